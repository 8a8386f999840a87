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
import fs from "node:fs";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { until } from "../lib/wait.mjs";
import { explain, read_book } from "./books.mjs";
import { Claude } from "./claude.mjs";
import { compare } from "./compare.mjs";
import { database } from "./database.mjs";
import { deck } from "./faults.mjs";
import { Random } from "./random.mjs";
import { asleep } from "./sleeper.mjs";
import { World } from "./world.mjs";

const seed = Number(process.env.SEED ?? crypto.randomInt(2 ** 31));
const seconds = Number(process.env.CHAOS_SECONDS ?? 40);
// The longer it was, the more there is to read again.
const MORE_MS = seconds * 100;
const faults = deck.filter((f) =>
    new RegExp(process.env.FAULTS ?? "").test(f.name));
const FDS_MORE = 6;			// than an idle server has
const KB_MORE = 24 * 1024;
// What no log of a healthy server holds, whatever was done to it.
const BAD = new RegExp([/^\S+ \S+ fatal: (?!storaged)/, /AddressSanitizer/,
    /forbidden system call/, /broke the protocol/, /runtime error:/,
    /Assertion/].map((r) => r.source).join("|"));

const random = new Random(seed);
const world = await new World().start();
const idle = world.weigh();
const claude = new Claude(world);

async function one_fault() {
	const fault = random.of(faults);
	let how;

	try {
		how = await fault.act(world, random);
	} catch (e) {
		how = `could not be done: ${e.message.split("\n")[0]}`;
	}
	console.log(`# ${fault.name} ${how}`);
	if (world.server.proc.status !== null)
		await world.server.start();
}

test(`${seconds} s of faults, SEED=${seed}`,
    { timeout: (seconds + 300) * 1000 + MORE_MS }, async () => {
	assert.deepEqual(world.clockless(), []);
	await world.fleet();
	await claude.start();
	for (const end = Date.now() + seconds * 1000; Date.now() < end;) {
		await pause(random.between(50, 1500));
		await one_fault();
		assert.equal(world.load.status, null, world.load.told());
	}
	await world.ready();
	await asleep(world);
	claude.found = await claude.end();
	await world.fleet_ends(180000 + MORE_MS);
});

test("nothing is lost, nothing is there twice",
    { timeout: 120000 + MORE_MS }, async () => {
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

test("no log says what it must not", () => {
	const bad = fs.readFileSync(world.log, "utf8").split("\n")
	    .filter((l) => BAD.test(l));
	assert.deepEqual(bad, []);
});
