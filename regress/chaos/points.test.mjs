// Each process dies before and after each message that it can send, and
// storaged around each commit, while everything that clients and runners do
// goes on; in the end the books of those who used it are compared with what
// the server says.  Prints each point: hit, or why it was not.
//
//	MN_POINTS	the page of orders (points.h), made by points.sh
//	POINTS_LIST	gen.awk's points
//	POINTS_CERTS	what certs.sh made
//	POINTS=regex	only those whose name it matches
//	POINTS_SECONDS	how long one that comes now and then is waited for (45)
//	FLEET		the fleet's program

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { ends_well } from "../lib/server.mjs";
import { deny } from "./database.mjs";
import { at_length, at_refusal, at_runnerd, at_start, at_stop, Page,
    points } from "./points_page.mjs";
import { start_world } from "./points_world.mjs";
import { workers } from "./world.mjs";

const WARM_MS = 30000;			// to see what comes how often
const QUICK_MS = 6000;			// for what comes all the time
const SLOW_MS = Number(process.env.POINTS_SECONDS ?? 45) * 1000;	// now and then
const DENY_MS = 12000;			// storaged refuses after nine seconds
const STOPS = 12;			// tries to stop
const ROUNDS = 3;			// for what comes now and then
const LANES = 3;			// processes that may die at once
const { MN_POINTS, POINTS, POINTS_LIST, POINTS_CERTS, FLEET } = process.env;

const list = points(POINTS_LIST);
const page = new Page(MN_POINTS, Math.max(...list.map((p) => p.type)) + 1);
const all = list.filter((p) => new RegExp(POINTS ?? "").test(p.name));
const world = await start_world(POINTS_CERTS, FLEET);

// What it takes that the message is sent at all: a database that is away for
// longer than anybody waits, or a process that starts, which the parent tells any.
async function provoke(p) {
	if (at_refusal(p))
		await deny(world.server, DENY_MS);
	if (!at_start(p) && !at_runnerd(p))
		return;
	const all = workers(world.server.proc.pid);
	// The parent tells this one most: it has a listener with TLS.
	const victim = all[at_runnerd(p) ? "runnerd" : p.who] ?? all.runner;
	if (victim)
		process.kill(victim, "SIGKILL");
}

async function hit(p, ms) {
	page.arm(p);
	await provoke(p);
	for (const end = Date.now() + ms; Date.now() < end; await pause(10))
		if (page.is_hit(p.proc) || world.server.proc.status !== null)
			break;
	p.hit = page.disarm(p.proc);
	// Its workers may still answer for a moment.
	if (p.hit && p.proc === 0)
		await world.server.proc.exited;
	await world.is_up();
	if (p.hit)
		console.log(`# hit ${p.name}`);
}

// Those that are sent when all stop: of all workers at once, and of the parent.
async function hit_stopping(points) {
	const rounds = new Map();

	for (const p of points) {
		const key = `${p.where} ${p.proc === 0}`;
		rounds.set(key, [...(rounds.get(key) ?? []), p]);
	}
	for (const round of rounds.values()) {
		round.forEach((p) => page.arm(p));
		world.server.proc.signal("SIGTERM", false);
		await world.server.proc.exited;
		for (const p of round) {
			p.hit = page.disarm(p.proc) || p.hit;
			if (p.hit)
				console.log(`# hit ${p.name}`);
		}
		await world.is_up();
	}
}

// A lane for each process, so many at once: within one, point after point.
async function hit_all(points, ms, at_once) {
	const lanes = new Map();

	for (const p of points)
		lanes.set(p.proc, [...(lanes.get(p.proc) ?? []), p]);
	const queue = [...lanes.values()].sort((a, b) => a.length - b.length);
	await Promise.all(Array.from({ length: at_once }, async () => {
		for (let lane; (lane = queue.pop()) !== undefined;)
			for (const p of lane)
				await hit(p, ms);
	}));
}

test("every point is hit that can be", { timeout: 3600000 }, async () => {
	const can = all.filter((p) => p.never === undefined);
	const is_parent = (p) => p.proc === 0;

	await pause(POINTS ? 1000 : WARM_MS);
	await hit_all(can.filter((p) => page.sent(p) > 0 && !is_parent(p) &&
	    !at_start(p) && !at_refusal(p) && !at_length(p)), QUICK_MS, LANES);
	// With the parent all others go.
	await hit_all(can.filter((p) => at_start(p) || is_parent(p)), QUICK_MS,
	    1);
	// Who has a request that takes its time is stopped before it has drained.
	for (let n = 0; n < STOPS; n++)
		await hit_stopping(can.filter((p) => at_stop(p) && !p.hit));
	await hit_all(can.filter(at_refusal), QUICK_MS, 1);
	// While nobody else dies, or no stream is open for so long.
	await hit_all(can.filter(at_length), SLOW_MS, LANES);
	for (let n = 0; n < ROUNDS; n++)
		await hit_all(can.filter((p) => !p.hit && !at_stop(p)), SLOW_MS,
		    list.length);
	for (const p of all.filter((x) => !x.hit))
		console.log(`# not hit ${p.name}: ${p.never ??
		    `sent ${page.sent(p)} times`}`);
	const missed = all.filter((p) => !p.hit && !p.never);
	console.log(`# ${all.filter((p) => p.hit).length} of ${all.length} ` +
	    `points hit, ${all.filter((p) => p.never).length} cannot be`);
	assert.deepEqual(missed.map((p) => p.name), []);
});

test("nothing is lost, nothing is there twice", { timeout: 1200000 },
    async () => {
	assert.deepEqual(await world.end(), []);
});

ends_well(world.server);
