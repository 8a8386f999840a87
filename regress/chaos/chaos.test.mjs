// The fleet at work while one thing after the other goes wrong, at moments and
// in an order that a seed decides; then everything becomes quiet, and the books
// of those who used the server are compared with what it has.
//
//	SEED=n		what is done and when; printed, and another each time
//			unless it is given
//	CHAOS_SECONDS=n	how long
//	FAULTS=regex	only those whose name it matches

import assert from "node:assert/strict";
import crypto from "node:crypto";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { ends_well } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";
import { explain, read_book } from "./books.mjs";
import { Claude } from "./claude.mjs";
import { compare } from "./compare.mjs";
import { database } from "./database.mjs";
import { deck, Missing } from "./faults.mjs";
import { Random } from "./random.mjs";
import { asleep } from "./sleeper.mjs";
import { World } from "./world.mjs";

const seed = Number(process.env.SEED ?? crypto.randomInt(2 ** 31));
const seconds = Number(process.env.CHAOS_SECONDS ?? 40);
// The longer it was, the more there is to read again.
const MORE_MS = seconds * 100;
const wanted = deck.filter((f) =>
    new RegExp(process.env.FAULTS ?? "").test(f.name));
const OFTEN = 3;			// tried, and once it has to be done
const FDS_MORE = 6;			// than an idle server has
const KB_MORE = 24 * 1024;

const random = new Random(seed);
const world = await new World().start(seconds);
const idle = world.weigh();
const claude = new Claude(world);
const tally = new Map();		// by the name of a fault: {tried, done}

// Those that can be done here.
function faults() {
	const can = wanted.filter((f) => !f.needs || world[f.needs]);

	for (const { name } of wanted.filter((f) => !can.includes(f)))
		console.log(`# left out: ${name}: ${world.no_disk}`);
	for (const { name } of can)
		tally.set(name, { tried: 0, done: 0 });
	return can;
}

async function one_fault(fault) {
	const n = tally.get(fault.name);
	let how;

	n.tried++;
	try {
		how = await fault.act(world, random);
		n.done++;
	} catch (e) {
		if (e instanceof Missing)
			throw e;
		how = `could not be done: ${e.message.split("\n")[0]}`;
	}
	console.log(`# ${fault.name} ${how}`);
	if (world.server.proc.status !== null)
		await world.server.start();
}

async function under_fire() {
	assert.deepEqual(world.clockless(), []);
	await world.fleet();
	await claude.start();
	const can = faults();
	for (const end = Date.now() + seconds * 1000; Date.now() < end;) {
		await pause(random.between(50, 1500));
		await one_fault(random.of(can));
		assert.equal(world.load.status, null, world.load.told());
	}
	await world.ready();
	await asleep(world);
	claude.found = await claude.end();
	await world.fleet_ends(180000 + MORE_MS);
}

test(`${seconds} s of faults, SEED=${seed}`,
    { timeout: (seconds + 300) * 1000 + MORE_MS }, async () => {
	try {
		await under_fire();
	} catch (e) {
		console.error(world.server.tails());
		throw e;
	}
});

test("nothing is lost, nothing is there twice",
    { timeout: 120000 + MORE_MS }, async () => {
	if (world.has_disk)
		console.log(`# the database's disk: ${world.told_disk()}`);
	const book = await read_book(world.book);
	const db = await database(world.server);
	const found = [...compare(book, db), ...claude.found];

	console.log(`# ${db.tasks.length} tasks, ${db.runs.length} runs, ` +
	    `${book.logack.length} acks of lines, ${book.decided.length} ` +
	    `answers, ${db.events.length} events of which followers saw ` +
	    `${book.event.length}; ${claude.tasks.length} tasks of Claude Code`);
	explain(book, db, found);
	assert.deepEqual([...new Set(found.map((f) => f.claim))], []);
	assert.ok(book.acked.length > 0 && book.decided.length > 0 &&
	    book.event.length > 0 && claude.tasks.length > 0,
	    "not much was done");
});

test("memory and descriptors are what they were", { timeout: 60000 },
    async () => {
	let now;

	await until("all to be let go", () => {
		now = world.weigh();
		return Object.entries(idle).every(([name, was]) =>
		    now[name]?.fds <= was.fds + FDS_MORE &&
		    now[name]?.kb <= was.kb + KB_MORE);
	}, 45000, 500).catch((e) => {
		throw new Error(`${e.message}\nidle ${JSON.stringify(idle)}\n` +
		    `now ${JSON.stringify(now)}`);
	});
});

test("each fault that was tried was done", () => {
	const all = [...tally].filter(([, n]) => n.tried > 0);

	for (const [name, { tried, done }] of all)
		console.log(`# ${name}: done ${done} of ${tried} times`);
	assert.deepEqual(all.filter(([, n]) => n.tried >= OFTEN &&
	    n.done === 0).map(([name]) => name), []);
});

ends_well(world.server);
