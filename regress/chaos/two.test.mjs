// Two servers on one database, from which one is lost while clients and runners
// are at work: killed, hanging in the midst of a batch, or cut off from the
// database in the midst of one.  The other takes over in the time that
// marionetted(8) promises, who was lost does no harm when it comes back and
// ends as it should, and the books of who used them are compared.

import assert from "node:assert/strict";
import { test } from "node:test";
import { ends_well } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";
import { explain, read_book } from "./books.mjs";
import { compare } from "./compare.mjs";
import { database } from "./database.mjs";
import { Two } from "./two.mjs";

const LOADED = 10;	// tasks unanswered: the fleet posts 16 at a time
const WORK = 120;	// runs: three seconds of them
const CHECK = 6000;	// ms; /health/ready says no within three seconds

// After how many ms from when PostgreSQL was last told something the other
// takes over, at least and at most: what is promised, with room for a busy
// machine, and none so long as the next.
const AT_ONCE = [0, 7000];
const SILENCE = [9500, 25000];
const SILENCE_BUSY = [29500, 55000];

// The one at work, when PostgreSQL has done a part of its batch and waits for
// the rest.
const BUSY = "SELECT a.pid FROM pg_stat_activity a JOIN pg_locks l " +
    "ON l.pid = a.pid AND l.locktype = 'advisory' AND l.granted " +
    "WHERE a.state = 'active' AND a.wait_event = 'ClientRead' " +
    "AND a.backend_xid IS NOT NULL";

const world = await new Two().start();
const [a, b] = world.servers;
const db = world.postgres;

// Each begins where the one before has ended, or not at all.
let well = true;
const step = (name, timeout, f) => test(name, { timeout }, async () => {
	assert.ok(well, "the one before has failed");
	well = false;
	try {
		await f();
		well = true;
	} catch (e) {
		console.error(world.tails());
		throw e;
	}
});

async function takes_over(server, lost, [least, most]) {
	const ms = await world.turn_to(server, lost, most);

	console.log(`# taken over: ${ms} ms`);
	assert.ok(ms >= least, `it is taken over after ${ms} ms, too early`);
	assert.ok(ms <= most, `it is taken over after ${ms} ms, too late`);
}

// It serves, and says so; not at the first look, when the machine is busy and the
// database answers late.
const is_at_work = (server) => until("it to be ready", () => server.is_ready(),
    10000, 100);

// Some seconds' work is done, and acknowledged.
async function works() {
	const done = async () => (await read_book(world.book)).acked.length;
	const was = await done();

	await until("the fleet to work", async () => await done() >= was + WORK,
	    60000, 500);
}

// The marks of the tasks that were posted and not answered.
async function unanswered() {
	const book = await read_book(world.book);
	const told = new Set(book.answer.map((x) => x.mark));

	return book.post.map((p) => p.mark).filter((m) => !told.has(m));
}

// f: what happens while the server at work is in the midst of a batch, and
// clients wait for the tasks in it and behind it.  f gets the pid of its
// backend, the marks of those tasks, and a time before the batch.
const in_a_batch = (server, f) => server.way.while_in_a_batch(async () => {
	const before = performance.now();
	const pid = Number(await until("it to be in the midst of a batch",
	    async () => (await db.sql(BUSY)).trim()));
	const marks = await until("tasks to wait", async () => {
		const list = await unanswered();
		return list.length >= LOADED && list;
	});

	console.log("# in the midst of a batch, tasks unanswered: " +
	    marks.length);
	await f(pid, marks, before);
});

// How many of these tasks there are.
const stored = async (marks) => Number(await db.sql("SELECT count(*) " +
    "FROM mn_data.task WHERE split_part(prompt, ' ', 2) IN (" +
    `${marks.map((m) => `'${m}'`)})`));

// Its state as PostgreSQL has it; nothing when it was ended.
const backend = async (pid) => (await db.sql("SELECT state FROM " +
    `pg_stat_activity WHERE pid = ${pid}`)).trim();

step("while one is at work the other stands by, and says so", 120000,
    async () => {
	await b.stand_by();
	await is_at_work(a);
	const asked = performance.now();
	assert.equal(await b.is_ready(), false);
	assert.ok(performance.now() - asked < CHECK,
	    "a load balancer has given up before that");
	await works();
});

step("one is killed: the other takes over at once", 120000, async () => {
	const lost = performance.now();

	await Promise.all([a.killed(), takes_over(b, lost, AT_ONCE)]);
	await works();
	await a.stand_by();
	await is_at_work(b);
});

step("one hangs in the midst of a batch, which is stored and nobody is told: " +
    "the other takes over, and the first ends when it wakes", 150000,
    () => in_a_batch(b, async (pid, marks) => {
	const lost = performance.now();

	await b.while_stopped(async () => {
		const was = await stored(marks);
		b.way.let_go();
		await until("the batch to be done", async () =>
		    await backend(pid) === "idle");
		const n = await stored(marks) - was;
		console.log(`# stored, and nobody was told: ${n}`);
		assert.ok(n > 0);
		await takes_over(a, lost, SILENCE);
		await works();
	});
	await b.ends_overtaken();
	await b.stand_by();
	await is_at_work(a);
}));

step("one is cut off from the database in the midst of a batch: the " +
    "other takes over, later, and nothing of the batch is left", 150000,
    () => in_a_batch(a, (pid, marks, before) => a.way.while_silent(
    async () => {
	const was = await stored(marks);

	await until("its connection to be ended", async () =>
	    await backend(pid) === "", SILENCE_BUSY[1], 100);
	assert.equal(await stored(marks), was);
	await takes_over(b, before, SILENCE_BUSY);
})));

step("who was cut off ends when it is there again, and stands by", 120000,
    async () => {
	await a.ends_overtaken();
	await works();
	await a.stand_by();
	await is_at_work(b);
});

step("nothing is lost, nothing is there twice", 240000, async () => {
	await world.fleet_ends(180000);
	const book = await read_book(world.book);
	const stored_now = await database({ dir: world.dir, port: db.port });
	const found = compare(book, stored_now);

	console.log(`# ${book.acked.length} tasks, ` +
	    `${book.event.length} events`);
	explain(book, stored_now, found);
	assert.deepEqual([...new Set(found.map((f) => f.claim))], []);
	assert.ok(book.acked.length > 0 && book.decided.length > 0);
});

ends_well(b);

step("one was stopped as asked: the other took over at once", 30000,
    async () => {
	await takes_over(a, performance.now(), AT_ONCE);
});

ends_well(a);

step("no process of theirs is left", 30000, async () => {
	await a.nobody_left();
	await b.nobody_left();
});
