// An agent whose machine stands still with a run at work, for longer than `lost
// after': the run is lost, what it says when it wakes is not believed, and its
// session, which waited for the runner with its workspace, tries again there.

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { ends_well, start_server, tests } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";

const LOST_MS = 5000;
const AGENT = "custom:tries";
const server = await start_server({ conf: ["heartbeat 1", "lost after 5"] });
const test = tests(server);
const program = path.join(server.dir, "tries.mjs");

// Its result says of which try it is, once a file with that number is there.
fs.writeFileSync(program, `#!/usr/bin/env node
import fs from "node:fs";

fs.appendFileSync("tries", "x\\n");
const n = fs.readFileSync("tries", "utf8").trim().split("\\n").length;
console.log("ready " + n);
setInterval(() => {
	if (!fs.existsSync("go" + n))
		return;
	console.log(JSON.stringify({ type: "result", result: "try " + n }));
	process.exit(0);
}, 20);
`, { mode: 0o755 });
const agents = { [AGENT]: program };
const a = await server.runner({ name: "a", agents });
const active = async () => server.is(await server.session({ agent: AGENT }),
    "active");
const session = await active();
const b = await server.runner({ name: "b", agents });

const go = (runner, s, n) => fs.writeFileSync(runner.at(s, "workspace",
    `go${n}`), "");
const is_ready = (t, n) => until(`try ${n} to be at work`, async () =>
    (await server.printed(t)).includes(`ready ${n}\n`));
const state = (pid) => fs.readFileSync(`/proc/${pid}/stat`, "latin1")
    .replace(/^.*\) /s, "")[0];

// A process and all below it, each after its parent: the agent, what holds the
// run, the program.
const family = (pid) => [pid, ...fs.readFileSync(
    `/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ")
    .filter(Boolean).flatMap((child) => family(Number(child)))];

// Parents first: nothing new comes of them.
async function stop() {
	const all = family(a.proc.pid);

	all.forEach((pid) => process.kill(pid, "SIGSTOP"));
	await until("all of it to stand still", () =>
	    all.every((pid) => state(pid) === "T"));
	return all;
}

const wake = (pids) => pids.forEach((pid) => process.kill(pid, "SIGCONT"));
const said = async (t) => Object.fromEntries((await server.runs(t))
    .map((r) => [r.attempt, r.status]));
let task, still;

test("its run is lost, and the session waits for the runner", async () => {
	task = await server.task(session, "work");
	await is_ready(task, 1);
	still = await stop();
	const since = Date.now();
	await server.when(task, "to be tried again", (t) => t.attempt === 2);
	assert.ok(Date.now() - since >= LOST_MS, "it is lost too early");
	assert.deepEqual(await said(task), { 1: "lost", 2: "pending" });
	const s = await until("the reason", async () => {
		const now = await server.get_session(session);
		return now.status_reason === "the runner that has its " +
		    "workspace (a) is offline" && now;
	});
	assert.equal(s.status, "resuming");
});

test("another runner works meanwhile", async () => {
	const s = await active();

	assert.equal(s.runner_id, b.id);
	const t = await server.task(s, "work");
	await is_ready(t, 1);
	go(b, s, 1);
	assert.equal((await server.ended(t)).result, "try 1");
	assert.equal((await server.get_task(task)).status, "pending");
});

test("awake, what it still says is not believed, and it tries again",
    async () => {
	const tries = still.at(-1);

	// It ends well, and its agent hears of that before of anything else.
	go(a, session, 1);
	wake([tries]);
	await until("the program to end", () => state(tries) === "Z");
	wake(still.slice(0, -1));
	await is_ready(task, 2);
	const now = await server.running(task);
	assert.equal(now.result, null);
	// What it says comes in order, so all of the first try has come.
	const first = (await server.runs(task)).find((r) => r.attempt === 1);
	assert.match(a.log(), new RegExp(`${first.id}: completed`));
	assert.deepEqual(await said(task), { 1: "lost", 2: "running" });
	go(a, session, 2);
	const end = await server.ended(task);
	assert.equal(end.status, "completed");
	assert.equal(end.result, "try 2");
	assert.equal(end.retry_count, 0);
	assert.deepEqual(await said(task), { 1: "lost", 2: "completed" });
	assert.equal(a.read(session, "tries"), "x\nx\n");
});

test("it is free again, and takes another session", async () => {
	await server.terminate(session);
	const s = await active();

	assert.equal(s.runner_id, a.id);
	const t = await server.task(s, "work");
	await is_ready(t, 1);
	go(a, s, 1);
	assert.equal((await server.ended(t)).result, "try 1");
	await server.terminate(s);
	await until("it to be idle", async () =>
	    (await a.record()).status === "idle");
});

// Its machine burnt: nobody but a person knows that.
test("one that never returns is waited for, which is told, until the session is "
    + "terminated", async () => {
	const s = await active();
	const gone = [a, b].find((r) => r.id === s.runner_id);
	const t = await server.task(s, "work");

	await is_ready(t, 1);
	await gone.kill();
	const reason = `the runner that has its workspace (${gone.name}) is offline`;
	await until("the session to say what it waits for", async () =>
	    (await server.get_session(s)).status_reason === reason);
	const late = await server.task(s, "more work");
	for (const task of [t, late]) {
		const now = await server.when(task, "to wait for it", (x) =>
		    x.waiting_for === "runner");
		assert.equal(now.status, "pending");
	}
	// Asked for again it is waited for again.
	assert.equal((await server.suspend(s)).status, "suspended");
	assert.equal((await server.resume(s, 0)).status, "resuming");
	await until("it to be said again", async () =>
	    (await server.get_session(s)).status_reason === reason);
	await server.terminate(s);
	for (const task of [t, late]) {
		const end = await server.ended(task);
		assert.equal(end.status, "canceled");
		assert.equal(end.error.code, "canceled");
	}
});

ends_well(server);
