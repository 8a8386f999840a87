// A session is suspended while its runner is not there, or nobody on the server
// remembers what it said: what has ended there meanwhile is not done again.

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { after } from "node:test";
import { late_log } from "../lib/late.mjs";
import { Relay } from "../lib/relay.mjs";
import { ends_well, start_server, tests } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";

const AGENT = "custom:counts";
const RESULT = '{"type":"result","result":"done"}';
const server = await start_server({ conf: ["heartbeat 2"] });
const test = tests(server);
const relay = await new Relay(server.ports.runner).listen({ after });
const program = path.join(server.dir, "counts.mjs");

// Counts how often it is begun, and ends when it is let go.
fs.writeFileSync(program, `#!/usr/bin/env node
import fs from "node:fs";

fs.appendFileSync("begun", "x\\n");
console.log("one");
setInterval(() => {
	if (!fs.existsSync("go"))
		return;
	console.log("two");
	console.log('${RESULT}');
	process.exit(0);
}, 20);
`, { mode: 0o755 });
const runner = await server.runner({ agents: { [AGENT]: program },
    address: `localhost:${relay.port}` });

// It is to be suspended, and says why it is not.
async function stays(s) {
	await until("it to say why it stays", async () => /the end of its run/
	    .test((await server.get_session(s)).status_reason));
	for (let i = 0; i < 30; i++)
		assert.equal((await server.get_session(s)).status, "active");
}

// It was done once, and what came of it is kept; then the session left.
async function was_kept(s, task, lines) {
	const end = await server.ended(task);

	assert.equal(end.status, "completed");
	assert.equal(end.result, "done");
	assert.equal((await server.runs(task)).length, 1);
	assert.deepEqual((await server.lines(task, "&stream=stdout"))
	    .map((l) => l.content), lines);
	await server.is(s, "suspended");
}

test("the line is cut, and the run ends before it is back", async () => {
	const s = await server.is(await server.session({ agent: AGENT }),
	    "active");
	const task = await server.task(s, "go");

	await until("it to be at work", async () =>
	    (await server.printed(task)) === "one\n");
	relay.down();
	await server.suspend(s, 0);
	fs.writeFileSync(runner.at(s, "workspace", "go"), "");
	await until("it to end", () => runner.log()
	    .includes(`${task.run_id}: completed`));
	await stays(s);
	relay.up();
	await was_kept(s, task, ["one", "two", RESULT]);
	assert.equal(runner.read(s, "begun"), "x\n");
	await server.terminate(s);
});

test("runnerd dies between the end of the run and its log", async (t) => {
	const { r, run, s, task } = await late_log(t, server);

	await server.kill_worker("runnerd");
	await stays(s);
	await r.connect();
	await r.next("detach_session");
	run.log("4", "5");
	await was_kept(s, task, ["1", "2", "3", "4", "5"]);
	assert.equal(r.commands.filter((c) => c.type === "execute_task").length,
	    1);
	await server.terminate(s);
});

// Of this signal a sanitizer has no words of its own.
test("a crash of the agent is what the end of every test complains of", async () => {
	runner.proc.signal("SIGABRT", false);
	await runner.proc.wait();

	assert.deepEqual(server.bad(), [`${runner.name}: SIGABRT`]);
	server.o.expected = /: SIGABRT$/;
});

ends_well(server);
