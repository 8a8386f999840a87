// Two servers on one database, from which one is lost: killed, hanging, or cut
// off from the database.  The other takes over each time, who was lost does no
// harm when it comes back and ends as it should, and the books of who used them
// are compared.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ends_well } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";
import { read_book } from "./books.mjs";
import { compare } from "./compare.mjs";
import { database } from "./database.mjs";
import { Two } from "./two.mjs";

const FLEET = ["-n", "12", "-s", "10", "-t", "10000000", "-R", "40", "-q", "5",
    "-l", "7", "-f", "3", "-S", "lines=6 bytes=80 rate=60", "ask"];
const WORK = 120;	// runs: three seconds of them

const world = await new Two().start(FLEET);
const [a, b] = world.servers;
const db = world.postgres;

// Each begins where the one before has ended, or not at all.
let well = true;
const step = (name, timeout, f) => test(name, { timeout }, async (t) => {
	if (!well)
		return t.skip("the one before has failed");
	well = false;
	try {
		await f();
		well = true;
	} catch (e) {
		console.error(world.tails());
		throw e;
	}
});

async function takes_over(server, lost) {
	const ms = await world.turn_to(server, lost, 30000);

	console.log(`# taken over: ${ms} ms`);
}

// Some seconds' work is done, and acknowledged.
async function works() {
	const done = async () => (await read_book(world.book)).acked.length;
	const was = await done();

	await until("the fleet to work", async () => await done() >= was + WORK,
	    60000, 500);
}

step("while one is at work the other stands by, and says so", 120000,
    async () => {
	await b.stand_by();
	assert.equal(await a.is_ready(), true);
	assert.equal(await b.is_ready(), false);
	await works();
});

step("one is killed: the other takes over at once", 120000, async () => {
	const lost = performance.now();

	await Promise.all([a.killed(), takes_over(b, lost)]);
	await works();
	await a.stand_by();
	assert.equal(await b.is_ready(), true);
});

step("one hangs: the other takes over, and the first ends when it wakes",
    150000, async () => {
	const lost = performance.now();

	await b.while_stopped(async () => {
		await takes_over(a, lost);
		await works();
	});
	await b.ends_overtaken();
	await b.stand_by();
	assert.equal(await a.is_ready(), true);
});

step("one is cut off from the database: the other takes over", 150000,
    async () => {
	const lost = performance.now();

	await a.way.while_silent(() => takes_over(b, lost));
});

step("who was cut off ends when it is there again, and stands by", 120000,
    async () => {
	await a.ends_overtaken();
	await works();
	await a.stand_by();
	assert.equal(await b.is_ready(), true);
});

step("nothing is lost, nothing is there twice", 240000, async () => {
	world.load.signal("SIGTERM", false);
	const { code } = await world.load.wait(180000);
	assert.ok(code === 0 || code === 1, world.load.told());
	const book = await read_book(world.book);
	const found = compare(book, await database({ dir: world.dir,
	    port: db.port }));

	console.log(`# ${book.acked.length} tasks, ` +
	    `${book.event.length} events`);
	for (const f of found.slice(0, 50))
		console.log(`# ${f.claim}: ${f.text}`);
	assert.deepEqual([...new Set(found.map((f) => f.claim))], []);
	assert.ok(book.acked.length > 0 && book.decided.length > 0);
});

ends_well(b);

step("one was stopped as asked: the other took over at once", 30000,
    async () => {
	await takes_over(a, performance.now());
});

ends_well(a);

step("no process of theirs is left", 30000, async () => {
	await a.nobody_left();
	await b.nobody_left();
});
