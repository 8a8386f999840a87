// What stays on a runner of a session that is over: nothing, also when its end
// came while nobody there could hear of it.  And what a runner is told before
// the server stops.

import assert from "node:assert/strict";
import fs from "node:fs";
import { enrol } from "../lib/identity.mjs";
import { Runner } from "../lib/runner.mjs";
import { ends_well, puppet, start_server, tests } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";

const server = await start_server({ conf: ["heartbeat 1"] });
const test = tests(server);
const runner = await server.runner({ agents: { "custom:puppet": puppet } });

const there = (s) => fs.existsSync(runner.at(s));
const gone = (s) => until(`the directory of ${s.id} to be gone`,
    () => !there(s));
const is_free = () => until("the runner to be free", async () =>
    (await runner.record()).status === "idle");

// Active, with a file in its workspace.
async function working() {
	const s = await server.session({ agent: "custom:puppet" });

	await server.is(s, "active");
	await server.run(s, '[{"append":["f","x"]}]');
	assert.ok(runner.has(s, "f"));
	return s;
}

test("terminated while it is suspended: its directory goes, others stay",
    async () => {
	const s = await working();
	await server.suspend(s);
	const other = await working();
	await server.suspend(other);
	assert.ok(there(s));
	await server.terminate(s);
	await gone(s);
	assert.ok(there(other));
	const { task } = await server.run(other, '[{"read":"f"}]');
	assert.equal(await server.printed(task), "read f: x\n\n");
	await server.terminate(other);
	await gone(other);
});

test("terminated while suspended and its runner away: it goes afterwards",
    async () => {
	const s = await working();
	await server.suspend(s);
	await runner.stop();
	await runner.offline();
	await server.terminate(s);
	assert.ok(there(s));
	await runner.again();
	await gone(s);
});

test("terminated while attached and its runner dead: it goes afterwards",
    async () => {
	const s = await working();
	await runner.kill();
	await runner.offline();
	await server.terminate(s);
	await server.is(s, "terminated");
	assert.ok(there(s));
	await runner.again();
	await gone(s);
	await is_free();
});

test("a server that has forgotten the runner's list asks for it again",
    async () => {
	const s = await working();
	await server.suspend(s);
	await server.kill_worker("runnerd");
	await until("the runner to be back", async () =>
	    (await runner.record()).status === "idle");
	await server.terminate(s);
	await gone(s);
});

test("a directory that is no session's of this runner stays", async () => {
	const never = `sess_${"0".repeat(26)}`;
	fs.mkdirSync(runner.at(never));
	fs.mkdirSync(runner.at("lost+found"));
	const s = await working();
	await server.suspend(s);
	await runner.stop();
	await server.terminate(s);
	await runner.again();
	await gone(s);
	assert.ok(there(never));
	assert.ok(there("lost+found"));
});

test("a stop is told to runners, and a run goes on over it", async (t) => {
	const me = await enrol({ address: `localhost:${server.ports.runner}`,
	    token: await server.runner_token(), agents: ["custom:elsewhere"] });
	const s = await working();
	const work = await server.task(s, JSON.stringify([
	    { append: ["n", "x"] }, { ask: { id: "q", tool: "T", action: "a",
	    input: {} } }, { out: "over" }]));

	const p = await server.asked(work);
	const r = await new Runner(me).connect();
	t.after(() => r.close());
	const status = await server.halt();
	assert.equal(status.code, 0);
	assert.equal((await r.next("drain")).seconds, 10);
	await runner.proc.says(/the server is going away for a while/);
	await server.start();
	await runner.online();
	await server.approve(p);
	const end = await server.ended(work);
	assert.equal(end.status, "completed");
	assert.equal((await server.runs(work)).length, 1);
	assert.equal(runner.read(s, "n"), "x\n");
	await server.terminate(s);
});

ends_well(server);
