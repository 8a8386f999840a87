// Two servers on one database, from which one is lost: killed, hanging, or cut
// off from the database.  The other takes over each time, who was lost does no harm
// when it comes back, and the books of who used them are compared.

import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { read_book } from "./books.mjs";
import { compare } from "./compare.mjs";
import { database } from "./database.mjs";
import { Two } from "./two.mjs";

const FLEET = ["-n", "12", "-s", "10", "-t", "10000000", "-R", "40", "-q", "5",
    "-l", "7", "-f", "3", "-S", "lines=6 bytes=80 rate=60", "ask"];
const WORK_MS = 3000;			// between one loss and the next

const world = await new Two().start();
await world.fleet(FLEET);
const [a, b] = world.servers;
const said = (what, ms) => console.log(`# ${what}: ${ms} ms`);

test("while one is at work the other stands by, and says so",
    { timeout: 60000 }, async () => {
	await world.stand_by(b);
	assert.equal(await world.is_ready(a), true);
	assert.equal(await world.is_ready(b), false);
	await pause(WORK_MS);
});

test("one is killed: the other takes over", { timeout: 60000 }, async () => {
	a.proc.signal("SIGKILL");
	said("taken over", await world.turn_to(b));
	await pause(WORK_MS);
	await world.stand_by(a);
	assert.equal(await world.is_ready(b), true);
});

test("one hangs: the other takes over, and the first ends when it wakes",
    { timeout: 90000 }, async () => {
	b.proc.signal("SIGSTOP");
	said("taken over", await world.turn_to(a));
	await pause(WORK_MS);
	b.proc.signal("SIGCONT");
	await world.ends_overtaken(b);
	await world.stand_by(b);
	assert.equal(await world.is_ready(a), true);
});

test("one is cut off from the database: the other takes over",
    { timeout: 90000 }, async () => {
	const silence = world.way.half_open(25000);

	said("taken over", await world.turn_to(b));
	await silence;
	await world.ends_overtaken(a);
	assert.equal(await world.is_ready(b), true);
});

test("nothing is lost, nothing is there twice", { timeout: 240000 },
    async () => {
	world.load.signal("SIGTERM", false);
	const { code } = await world.load.wait(180000);
	assert.ok(code === 0 || code === 1, world.load.told());
	const book = await read_book(world.book);
	const found = compare(book, await database({ dir: world.dir,
	    port: world.postgres.port }));

	console.log(`# ${book.acked.length} tasks, ${book.event.length} events`);
	for (const f of found.slice(0, 50))
		console.log(`# ${f.claim}: ${f.text}`);
	assert.deepEqual([...new Set(found.map((f) => f.claim))], []);
	assert.ok(book.acked.length > 0 && book.decided.length > 0);
});
