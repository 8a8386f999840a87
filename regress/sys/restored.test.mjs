// A backup is put back, as marionetted.8 says, while a runner works on: what it
// was told is stored is not in that database, and the runner has it no more.

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { run } from "../lib/proc.mjs";
import { ends_well, start_server, tests } from "../lib/server.mjs";
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

test("a backup is put back: a run that went on meanwhile ends, its log says what "
    + "is missing, and its runner works on", async () => {
	const state = path.join(server.dir, "s");
	const backup = path.join(server.dir, "backup");
	const runner = await server.runner({ agents: { "custom:counts": counts } });
	const s = await server.session({ agent: "custom:counts" });
	const t = await server.task(s, "count");
	const go = (word) => fs.writeFileSync(runner.at(s, "workspace", word), "");
	const printed = (n) => until(`${n} lines`, async () =>
	    (await server.lines(t)).length === n);

	await printed(5);
	assert.equal((await server.halt()).code, 0);
	await copy(state, backup);
	await server.start();
	await runner.online();
	go("one");
	await printed(15);
	assert.equal((await server.halt()).code, 0);
	await copy(backup, state);
	await server.start();
	await runner.online();
	go("two");
	assert.equal((await server.ended(t)).status, "completed");
	const lines = await server.lines(t);
	assert.deepEqual(lines.slice(0, 5).map((l) => l.content),
	    ["1", "2", "3", "4", "5"]);
	assert.match(lines[5].content, /lines from 6 on are not in the database any more/);
	assert.equal(lines.length, 6);
	assert.match(server.log(), /has lines up to 5 only: was it put back/);
	// The next has its whole log again.
	const next = await server.task(s, "count");
	await server.ended(next);
	assert.equal((await server.lines(next)).length, 20);
	await server.terminate(s);
});

ends_well(server);
