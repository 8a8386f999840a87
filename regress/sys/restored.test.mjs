// A backup is put back, as marionetted.8 says, while a runner works on: what it
// was told is stored is not in that database, and the runner has it no more.

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { run } from "../lib/proc.mjs";
import { ends_well, puppet, start_server, tests } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";

const server = await start_server();
const test = tests(server);
const counts = path.join(server.dir, "counts");

// Five lines, and on a word ten more, and on another five.
fs.writeFileSync(counts, `#!/bin/sh
read -r task
seq 1 5
until [ -e one ]; do sleep 0.05; done
seq 6 15
until [ -e two ]; do sleep 0.05; done
seq 16 20
`, { mode: 0o755 });

async function copy(from, to) {
	for (const name of ["keys", "postgres"]) {
		fs.rmSync(path.join(to, name), { recursive: true, force: true });
		fs.mkdirSync(to, { recursive: true });
		const r = await run(["cp", "-a", path.join(from, name), to]);
		assert.equal(r.code, 0, r.err);
	}
}

const state = path.join(server.dir, "s");
const backup = path.join(server.dir, "backup");

// Stopped, a copy, and on; stopped, the copy put back, and on.
async function back_up(from, to) {
	assert.equal((await server.halt()).code, 0);
	await copy(from, to);
	await server.start();
	for (const r of server.runners)
		await r.online();
}

test("a backup is put back: a run that went on meanwhile ends, its log says what "
    + "is missing, and its runner works on", async () => {
	const runner = await server.runner({ agents: { "custom:counts": counts } });
	await server.runner({ agents: { "custom:puppet": puppet } });
	const s = await server.session({ agent: "custom:counts" });
	const t = await server.task(s, "count");
	const go = (word) => fs.writeFileSync(runner.at(s, "workspace", word), "");
	const printed = (n) => until(`${n} lines`, async () =>
	    (await server.lines(t)).length === n);

	const asks = await server.task(await server.session({ agent:
	    "custom:puppet" }), JSON.stringify(["a", "b"].map((id) => ({ ask:
	    { id, tool: "Shell", action: id, input: {} } }))));

	await printed(5);
	const a = await server.asked(asks);
	await back_up(state, backup);
	go("one");
	await server.approve(a);
	await printed(15);
	await until("the second question", async () =>
	    (await server.asked(asks)).action === "b");
	await back_up(backup, state);
	go("two");
	assert.equal((await server.ended(t)).status, "completed");
	const lines = await server.lines(t);
	assert.deepEqual(lines.slice(0, 5).map((l) => l.content),
	    ["1", "2", "3", "4", "5"]);
	assert.match(lines[5].content, /lines from 6 on are not in the database any more/);
	assert.equal(lines.length, 6);
	assert.match(server.log(), /has lines up to 5 only: was it put back/);
	// What was asked meanwhile is asked again, and each answer is heard once.
	await until("both questions", async () => (await server.permissions(asks,
	    "&status=pending")).length === 2);
	// The oldest first: with the other's answer the run ends.
	for (const p of (await server.permissions(asks)).reverse())
		await server.approve(p);
	assert.equal((await server.ended(asks)).status, "completed");
	// The next has its whole log again.
	const next = await server.task(s, "count");
	await server.ended(next);
	assert.equal((await server.lines(next)).length, 20);
	await server.terminate(s);
});

test("a task that was done since then ends again, and its log says what is missing",
    async () => {
	const runner = await server.runner({ agents: { "custom:twice": counts } });
	const s = await server.session({ agent: "custom:twice" });
	const first = await server.task(s, "count");
	const then = await server.task(s, "count");
	const go = (word) => fs.writeFileSync(runner.at(s, "workspace", word), "");

	await until("5 lines", async () => (await server.lines(first)).length === 5);
	await back_up(state, backup);
	go("one");
	go("two");
	await server.ended(then);
	assert.equal((await server.lines(then)).length, 20);
	await back_up(backup, state);
	assert.equal((await server.ended(then)).status, "completed");
	const lines = await server.lines(then);
	assert.equal(lines.length, 1);
	assert.match(lines[0].content, /lines from 1 on are not in the database/);
	await server.terminate(s);
});

ends_well(server);
