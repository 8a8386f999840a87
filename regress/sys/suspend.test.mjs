// Sessions that pause: by a person, by silence, by a runner that went away, by
// a credential that was lost; and what waits meanwhile.

import assert from "node:assert/strict";
import fs from "node:fs";
import { late_log } from "../lib/late.mjs";
import { claude_program, ends_well, puppet, start_server, tests }
    from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";

const KEY = "sk-ant-test-suspend-0001";
const server = await start_server({ conf: ["heartbeat 2"] });
const checked = tests(server);
const model = await server.model();
const runner = await server.runner({ agents: { claude: claude_program(),
    "custom:puppet": puppet } });
const ASK = { ask: { id: "q", tool: "T", action: "a", input: {} } };

const sessions = [];
async function puppet_session(more) {
	const s = await server.session({ agent: "custom:puppet", ...more });

	sessions.push(s);
	return server.is(s, "active");
}
// What a runner does is stored apart from what becomes of its session.
const is_free = () => until("the runner to be free", async () =>
    (await runner.record()).status === "idle");
// The question of another attempt.
const asked_anew = (t, old) => until("a new question", async () => {
	const p = await server.asked(t);
	return p.run_id !== old.run_id && p;
});
async function away() {
	for (const s of sessions.splice(0))
		await server.terminate(s);
}
// The runner holds one session: none is left over for the next test.
const test = (name, f, ms) => checked(name, async (t) => {
	try {
		await f(t);
	} finally {
		await away();
	}
}, ms);

test("suspend with a task at work: it goes on after resume", async () => {
	const s = await puppet_session();
	const t = await server.task(s, JSON.stringify([
	    { append: ["log.txt", "began"] }, ASK,
	    { append: ["log.txt", "ended"] }]));

	const before = await server.asked(t);
	const down = await server.suspend(s);
	assert.equal(down.status, "suspended");
	assert.ok(down.suspended_at);
	assert.equal(down.runner_id, null);
	const waiting = await server.when(t, "to wait for its session",
	    (x) => x.status === "pending" &&
	    /session|permission/.test(x.waiting_for));
	assert.equal(waiting.retry_count, 0);
	await is_free();
	const up = await server.resume(s);
	assert.equal(up.status, "active");
	const p = await asked_anew(t, before);
	assert.equal(p.status, "pending");
	const q = await server.api.must(200, "GET",
	    `/api/v1/permissions/${before.id}`);
	assert.equal(q.status, "canceled");
	await server.approve(p);
	const end = await server.ended(t);
	assert.equal(end.status, "completed");
	assert.equal(runner.read(s, "log.txt"), "began\nbegan\nended\n");
	const runs = await server.runs(t);
	assert.equal(runs.length, 2);
	assert.equal(end.retry_count, 0);
});

test("approved while it is being suspended: the next attempt has the answer",
    async () => {
	const s = await puppet_session();
	const t = await server.task(s, JSON.stringify([
	    { ignore: "SIGTERM" }, ASK, { append: ["log.txt", "ended"] }]));

	const before = await server.asked(t);
	const down = server.suspend(s);
	await until("it to be told", async () => (await server.lines(t))
	    .some((l) => /ignored SIGTERM/.test(l.content)));
	await server.approve(before);
	assert.equal((await down).status, "suspended");
	const answered = await server.api.must(200, "GET",
	    `/api/v1/permissions/${before.id}`);
	assert.equal(answered.status, "approved");
	await server.resume(s);
	assert.equal((await server.ended(t)).status, "completed");
	const all = await server.permissions(t);
	assert.equal(all.length, 2);
	assert.deepEqual(all.map((p) => [p.status, p.responded_at]),
	    all.map(() => ["approved", answered.responded_at]));
	assert.equal(runner.read(s, "log.txt"), "ended\n");
});

test("suspended by a person, a new task resumes it; an old one does not",
    async () => {
	const s = await puppet_session();
	const old = await server.task(s, JSON.stringify([ASK]));

	const before = await server.asked(old);
	await server.suspend(s);
	await server.when(old, "to wait", (x) => x.status === "pending");
	for (let i = 0; i < 10; i++)
		assert.equal((await server.get_session(s)).status, "suspended");
	const fresh = await server.task(s, '[{"out":"new"}]', { priority: 5 });
	assert.equal((await server.ended(fresh)).status, "completed");
	await server.approve(await asked_anew(old, before));
	assert.equal((await server.ended(old)).status, "completed");
});

test("suspend and resume twice, at once, and in the wrong state", async () => {
	const s = await puppet_session();

	const all = await Promise.all([server.suspend(s), server.suspend(s)]);
	assert.deepEqual(all.map((x) => x.status), ["suspended", "suspended"]);
	const both = await Promise.all([server.resume(s), server.resume(s)]);
	assert.deepEqual(both.map((x) => x.status), ["active", "active"]);
	await server.terminate(s);
	for (const verb of ["suspend", "resume"]) {
		const r = await server.api.post(
		    `/api/v1/sessions/${s.id}/${verb}`, {});
		assert.equal(r.status, 409);
		assert.equal(r.json.code, "invalid_state");
		assert.match(r.json.message, /terminated/);
	}
	const t = await server.api.post("/api/v1/tasks", { session_id: s.id,
	    prompt: "x" });
	assert.equal(t.status, 409);
	assert.equal(t.json.code, "invalid_state");
});

test("the runner is busy with another session: tasks wait and say so",
    async () => {
	const one = await puppet_session();
	const two = await server.session({ agent: "custom:puppet" });
	sessions.push(two);
	const t = await server.task(two, '[{"out":"x"}]');
	const w = await server.when(t, "to wait", (x) => x.waiting_for);

	assert.match(w.waiting_for, /runner|session/);
	assert.ok(w.waiting_since);
	await until("a reason", async () =>
	    (await server.get_session(two)).status_reason);
	await server.terminate(one);
	assert.equal((await server.ended(t)).status, "completed");
});

test("the runner is away: tasks wait and say so, then go on", async () => {
	const s = await puppet_session();
	await server.run(s, '[{"append":["kept.txt","kept"]}]');
	await server.suspend(s);
	await runner.stop();
	await runner.offline();
	const t = await server.task(s, '[{"read":"kept.txt"}]');
	const w = await server.when(t, "to wait", (x) => x.waiting_for);
	assert.match(w.waiting_for, /runner|session/);
	const said = await until("a reason", async () => {
		const now = await server.get_session(s);
		return /offline|away|not online/.test(now.status_reason) && now;
	});
	assert.match(said.status_reason, /runner/);
	await runner.again();
	const end = await server.ended(t);
	assert.equal(end.status, "completed");
	assert.equal(await server.printed(end), "read kept.txt: kept\n\n");
});

test("the agent is stopped with a session attached, and comes back",
    async () => {
	const s = await puppet_session();
	const t = await server.task(s, JSON.stringify([
	    { append: ["n.txt", "x"] }, ASK, { out: "on" }]));

	const before = await server.asked(t);
	await runner.stop();
	await runner.offline();
	await runner.again();
	// The run died with its agent and is tried again, not counted.
	await server.approve(await asked_anew(t, before));
	const end = await server.ended(t);
	assert.equal(end.status, "completed");
	assert.equal(end.retry_count, 0);
	assert.equal(runner.read(s, "n.txt"), "x\nx\n");
});

test("terminate in each state", async () => {
	// Pending: nobody offers it.
	const pending = await server.session({ agent: "custom:nobody" });
	assert.equal((await server.terminate(pending)).status, "terminated");
	// Active and idle.
	const active = await puppet_session();
	const dir = runner.at(active);
	await until("its directory", () => fs.existsSync(dir));
	assert.equal((await server.terminate(active)).status, "terminated");
	// Active with a task at work, one asking, one queued.
	const busy = await puppet_session();
	const asking = await server.task(busy, JSON.stringify([ASK]));
	const queued = await server.task(busy, "[]");
	const p = await server.asked(asking);
	assert.equal((await server.terminate(busy)).status, "terminated");
	assert.equal((await server.ended(asking)).status, "canceled");
	assert.equal((await server.ended(queued)).status, "canceled");
	assert.equal((await server.api.must(200, "GET",
	    `/api/v1/permissions/${p.id}`)).status, "canceled");
	// Suspended.
	const down = await puppet_session();
	await server.suspend(down);
	assert.equal((await server.terminate(down)).status, "terminated");
	// Resuming: its runner is busy elsewhere.
	const first = await puppet_session();
	await server.suspend(first);
	const second = await puppet_session();
	await server.resume(first, 0);
	await server.is(first, "resuming");
	assert.equal((await server.terminate(first)).status, "terminated");
	assert.equal((await server.get_session(second)).status, "active");
	// Terminated: again.
	assert.equal((await server.terminate(first)).status, "terminated");
	// Deleted: gone from lists and by id, and from the runner.
	sessions.length = 0;
	assert.ok([202, 204].includes((await server.api.delete(
	    `/api/v1/sessions/${second.id}`)).status));
	await until("it to be gone", async () => !(await server.api.all(
	    "/api/v1/sessions")).some((s) => s.id === second.id));
	await until("its files to be gone", () =>
	    !fs.existsSync(runner.at(second)));
});

test("a question nobody answers suspends the session; the answer resumes it"
    + " and is used once", async () => {
	const text = fs.readFileSync(server.conf, "utf8");
	const told = () => server.proc.err
	    .split("taskd debug: PROC_CONFIGURED from").length;
	const n = told();
	fs.writeFileSync(server.conf, `${text}\nsuspend after 10\n`);
	server.proc.signal("SIGHUP", false);
	await until("taskd to be told", () => told() > n);
	const s = await puppet_session();
	const t = await server.task(s, JSON.stringify([
	    { append: ["tries.txt", "x"] },
	    { ask: { id: "q", tool: "Pay", action: "pay it",
		input: { amount: 7 } } },
	    { append: ["paid.txt", "7"] }, { out: "paid" }]));
	const p = await server.asked(t);
	await server.is(s, "suspended");
	assert.match((await server.get_session(s)).suspend_reason,
	    /permission/);
	const still = await server.api.must(200, "GET",
	    `/api/v1/permissions/${p.id}`);
	assert.equal(still.status, "pending");
	await is_free();
	await server.approve(p, { reason: "pay" });
	const end = await server.ended(t);
	assert.equal(end.status, "completed");
	assert.equal(runner.read(s, "paid.txt"), "7\n");
	assert.equal(runner.read(s, "tries.txt"), "x\nx\n");
	const all = await server.permissions(t);
	assert.ok(all.length === 1 || all.every((q) => q.status === "approved"),
	    JSON.stringify(all));
	// Used once: the same call asks again.
	const again = await server.task(s, JSON.stringify([
	    { ask: { id: "q", tool: "Pay", action: "pay it",
		input: { amount: 7 } } }]));
	await server.deny(await server.asked(again));
	assert.equal((await server.ended(again)).status, "completed");
	fs.writeFileSync(server.conf, text);
	server.proc.signal("SIGHUP", false);
});

test("an answer wakes a suspended session, though taskd dies before it says so",
    async () => {
	const s = await puppet_session();
	const t = await server.task(s, JSON.stringify([{ ask: { id: "q",
	    tool: "T", action: "a", input: {} } }, { out: "on" }]));
	const p = await server.asked(t);
	await server.suspend(s);
	assert.equal((await server.get_session(s)).status, "suspended");
	// So that nobody hears what taskd has to say of the answer.
	const { sessiond, taskd } = await server.processes();
	process.kill(sessiond.pid, "SIGSTOP");
	await server.approve(p);
	process.kill(taskd.pid, "SIGKILL");
	process.kill(sessiond.pid, "SIGKILL");
	assert.equal((await server.ended(t)).status, "completed");
});

test("idle sessions are suspended when they say so", async () => {
	const s = await server.session({ agent: "custom:puppet",
	    idle_timeout_seconds: 1 });

	// It may be active for no longer than that.
	sessions.push(s);
	await server.is(s, "suspended");
	assert.match((await server.get_session(s)).suspend_reason, /idle/);
	const { task } = await server.run(s, '[{"out":"woken"}]');
	assert.equal(task.status, "completed");
});

test("Claude Code: suspended in the middle, it continues its conversation",
    async () => {
	const s = await server.session({ agent: "claude", api_key: KEY,
	    base_url: model.url });
	sessions.push(s);
	await server.is(s, "active");
	await server.run(s, "The word is cherry [[text:noted]]");
	const t = await server.task(s, "[[bash:echo once >> once.txt]]");
	const before = await server.asked(t);
	assert.equal((await server.suspend(s)).status, "suspended");
	await server.resume(s);
	await server.approve(await asked_anew(t, before));
	const end = await server.ended(t);
	assert.equal(end.status, "completed", JSON.stringify(end.error));
	assert.equal(runner.read(s, "once.txt"), "once\n");
	const { task } = await server.run(s, "[[recall]]");
	assert.match(task.result, /cherry/);
	// The prompt was given once: the second attempt only went on.
	assert.equal(model.prompts().filter((p) => p.includes("once.txt"))
	    .length, 1);
});

test("providerd is killed: the session waits for its key, and goes on with a"
    + " new one", async () => {
	const s = await server.session({ agent: "claude", api_key: KEY,
	    base_url: model.url });
	sessions.push(s);
	await server.run(s, "[[text:first]]");
	const working = await server.task(s, "[[bash:echo with-key >> k.txt]]");
	const p = await server.asked(working);
	await server.kill_worker("providerd");
	// The run that has its key goes on.
	await server.approve(p);
	assert.equal((await server.ended(working)).status, "completed");
	const t = await server.task(s, "[[text:second]]");
	await server.when(t, "to wait for a credential",
	    (x) => x.status === "pending" && x.waiting_for === "credential");
	const wrong = await server.api.put(
	    `/api/v1/sessions/${s.id}/credential`, {});
	assert.equal(wrong.status, 400);
	const r = await server.api.must(200, "PUT",
	    `/api/v1/sessions/${s.id}/credential`, { api_key: `${KEY}2`,
	    base_url: model.url });
	assert.equal(r.id, s.id);
	const end = await server.ended(t);
	assert.equal(end.status, "completed");
	assert.equal(end.result, "second");
	await away();
	const puppets = await puppet_session();
	const no = await server.api.put(
	    `/api/v1/sessions/${puppets.id}/credential`, { api_key: KEY });
	assert.equal(no.status, 409);
});

test("suspended while the log of a run that is over is late: its end is kept",
    async (t) => {
	const { r, run, s, task } = await late_log(t, server);
	sessions.push(s);
	// Its line is cut meanwhile, and comes back: twice as bad as slow.
	r.cut();
	await r.connect();
	await r.next("detach_session");
	await until("it to say why it stays", async () => /the end of its run/
	    .test((await server.get_session(s)).status_reason));
	for (let i = 0; i < 20; i++)
		assert.equal((await server.get_session(s)).status, "active");
	assert.equal((await server.get_task(task)).status, "running");
	run.log("4", "5");
	const end = await server.ended(task);
	assert.equal(end.status, "completed");
	assert.equal(end.result, "done");
	assert.equal((await server.runs(task)).length, 1);
	const down = await server.is(s, "suspended");
	assert.equal(down.status_reason, null);
	assert.deepEqual((await server.lines(task)).map((l) => l.content),
	    ["1", "2", "3", "4", "5"]);
});

test("the whole server is stopped and started: nothing is forgotten",
    async () => {
	const s = await puppet_session();
	const t = await server.task(s, JSON.stringify([
	    { append: ["r.txt", "x"] }, ASK, { out: "after" }]));
	const p = await server.asked(t);
	const queued = await server.task(s, '[{"out":"queued"}]');
	const status = await server.halt();
	assert.equal(status.code, 0);
	await server.start();
	await runner.online();
	assert.equal((await server.get_session(s)).status, "active");
	await server.approve(p);
	assert.equal((await server.ended(t)).status, "completed");
	assert.equal((await server.ended(queued)).status, "completed");
	// The run went on in its runner: it was not started again.
	assert.equal(runner.read(s, "r.txt"), "x\n");
	assert.equal((await server.runs(t)).length, 1);
});

ends_well(server);
