// Each process dies before and after each message that it can send, and
// storaged around each commit, while everything that clients and runners do
// goes on; in the end the books of those who used it are compared with what
// the server says.  Prints each point: hit, or why it was not.
//
//	MN_POINTS	the page of orders (points.h), made by points.sh
//	POINTS_LIST	gen.awk's points
//	POINTS_CERTS	what certs.sh made
//	POINTS=regex	only those whose name it matches
//	FLEET		the fleet's program

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { free_port } from "../lib/place.mjs";
import { ends_well, start_server } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";
import { check, follow } from "./points_check.mjs";
import { AGENT, circles } from "./points_circles.mjs";
import { Fleet } from "./points_fleet.mjs";
import { Page, points } from "./points_page.mjs";
import { steady } from "./points_runner.mjs";
import { Books, Will } from "./points_will.mjs";

const WARM_MS = 30000;			// to see what comes how often
const QUICK_MS = 6000;			// for what comes all the time
const SLOW_MS = 45000;			// for what comes now and then
const LANES = 3;			// processes that may die at once
const RUNNERS = 10;
const { MN_POINTS, POINTS, POINTS_LIST, POINTS_CERTS, FLEET } = process.env;

const list = points(POINTS_LIST);
const page = new Page(MN_POINTS, Math.max(...list.map((p) => p.type)) + 1);
const all = list.filter((p) => new RegExp(POINTS ?? "").test(p.name));
const port = await free_port();
const server = await start_server({ conf: ["heartbeat 1",
    "suspend after 10", "limit connections 2000",
    `listen api on localhost port ${port} tls certificate ` +
    `"${POINTS_CERTS}/server.crt" key "${POINTS_CERTS}/server.key"`] });
const books = new Books();

const web = new Will(server.api, books);
web.url = server.url;
web.auth = { authorization: `Bearer ${server.api.o.token}` };
const local = new Will(server.local, books);
local.admin = true;
local.url = server.admin_url;
local.auth = { authorization: "Basic " + Buffer.from(
    `admin:${server.admin_password}`).toString("base64") };

const load = { books, list: [],
    address: `localhost:${server.ports.runner}`,
    token: async () => (await local.make("token", "/admin/api/v1/runner-tokens",
	{ pool: "default", name: "enrol" })).token };
const follower = follow(server);
for (let i = 0; i < RUNNERS; i++)
	load.list.push(await steady(load.address, load.token, [AGENT],
	    `points-${i}`));
const fleet = new Fleet(server, FLEET, POINTS_CERTS, port,
    await server.runner_token());
load.cut = () => fleet.cut();
const done = circles(load, [web, local]);

let starting = null;
async function start_again() {
	server.logs.push(server.proc.out + server.proc.err);
	await server.start();
	starting = null;
}

// The parent may have died: it is started again, once for all who wait.
function is_up() {
	return until("the server to be up", async () => {
		if (server.proc.status !== null)
			await (starting ??= start_again());
		return (await server.local.get("/health/ready")).status === 200;
	}, 60000, 20);
}

async function hit(p, ms) {
	page.arm(p);
	for (const end = Date.now() + ms; Date.now() < end; await pause(10))
		if (page.is_hit(p.proc))
			break;
	p.hit = page.disarm(p.proc);
	await is_up();
	if (p.hit)
		console.log(`# hit ${p.name}`);
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
	await hit_all(can.filter((p) => page.sent(p) > 0 && !is_parent(p)),
	    QUICK_MS, LANES);
	// All others go with it.
	await hit_all(can.filter(is_parent), QUICK_MS, 1);
	await hit_all(can.filter((p) => !p.hit), SLOW_MS, list.length);
	for (const p of all.filter((x) => !x.hit))
		console.log(`# not hit ${p.name}: ${p.never ??
		    `sent ${page.sent(p)} times`}`);
	const missed = all.filter((p) => !p.hit && !p.never);
	console.log(`# ${all.filter((p) => p.hit).length} of ${all.length} ` +
	    `points hit, ${all.filter((p) => p.never).length} cannot be`);
	assert.deepEqual(missed.map((p) => p.name), []);
});

test("nothing is lost, nothing is there twice", { timeout: 600000 },
    async () => {
	await is_up();
	const lost = await fleet.end();
	if (lost !== "")
		books.is_wrong(lost);
	await books.stop(done);
	await check(server, books, load, follower);
	await Promise.all(load.list.map((r) => r.stop()));
	assert.deepEqual(books.wrong, []);
});

ends_well(server);
