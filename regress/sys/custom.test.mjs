// Custom agents (surface 9) and the demo agent, through the whole house: what
// they print, ask and do wrong.

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { demo, ends_well, puppet, start_server, tests }
    from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";

const server = await start_server();
const test = tests(server);
const gone = path.join(server.dir, "gone");
fs.copyFileSync(demo, gone);
const runner = await server.runner({ agents: { demo, "custom:puppet": puppet,
    "custom:gone": gone } });
fs.rmSync(gone);
const session = await server.session({ agent: "custom:puppet" });
const play = (steps, more) => server.run(session, JSON.stringify(steps), more);
const text = async (t) => (await server.lines(t, "&stream=stdout"))
    .map((l) => l.content);

// Every process that has this argument.
function processes(mark) {
	return fs.readdirSync("/proc").filter((p) => /^\d+$/.test(p))
	    .filter((p) => {
		try {
			return fs.readFileSync(`/proc/${p}/cmdline`, "utf8")
			    .split("\0").includes(mark);
		} catch {
			return false;
		}
	});
}

test("the first line of stdin is the task", async () => {
	const { task } = await play([{ told: true }, { env: "HOME" },
	    { env: "MARIONETTE_TASK_ID" }]);
	const lines = await text(task);
	const told = JSON.parse(lines[0].slice("told ".length));

	assert.equal(task.status, "completed");
	assert.equal(told.task_id, task.id);
	assert.equal(told.session_id, session.id);
	assert.deepEqual(JSON.parse(told.prompt)[0], { told: true });
	assert.equal(lines[2], `env MARIONETTE_TASK_ID=${task.id}`);
	const s = await server.get_session(session);
	assert.equal(s.status, "active");
	assert.equal(s.runner_id, runner.id);
});

test("lines of stdout and stderr, in order, numbered", async () => {
	const { task } = await play([{ out: "one" }, { out: "" }, { out: "zwei ä" },
	    { err: "trouble" }]);
	const lines = await server.lines(task);

	assert.deepEqual(lines.map((l) => l.position),
	    lines.map((_, i) => `1.${i + 1}`));
	assert.deepEqual(await text(task), ["one", "", "zwei ä"]);
	assert.deepEqual(lines.filter((l) => l.stream === "stderr")
	    .map((l) => l.content), ["trouble"]);
	const [run] = await server.runs(task);
	assert.equal(run.status, "completed");
	assert.equal(run.exit_code, 0);
	assert.equal(run.log_lines, lines.length);
});

test("a question answered with yes", async () => {
	const { task, asked } = await play([{ ask: { id: "q1", tool: "Deploy",
	    action: "put it on the moon", input: { where: "moon", n: 1 } } },
	    { append: ["moon.txt", "landed"] }]);
	const [p] = asked;

	assert.equal(task.status, "completed");
	assert.equal(asked.length, 1);
	assert.equal(p.tool, "Deploy");
	assert.equal(p.action, "put it on the moon");
	assert.deepEqual(p.input, { where: "moon", n: 1 });
	assert.equal(p.original_request_id, "q1");
	assert.ok(["medium", "high", "critical"].includes(p.risk_level));
	assert.equal(runner.read(session, "moon.txt"), "landed\n");
	const now = await server.api.must(200, "GET",
	    `/api/v1/permissions/${p.id}`);
	assert.equal(now.status, "approved");
	assert.equal(now.decided_by, "user");
	assert.ok(now.delivered_at);
	const a = (await text(task)).find((l) => l.startsWith("answer "));
	assert.deepEqual({ ...JSON.parse(a.slice(7)), reason: undefined },
	    { ...JSON.parse(a.slice(7)), reason: undefined, id: "q1",
		approved: true });
});

test("a question answered with no, and why", async () => {
	const { task } = await play([{ ask: { id: "q1", tool: "Deploy",
	    action: "to mars", input: {} }, or: "stop" },
	    { append: ["mars.txt", "landed"] }], { answer: () => false });

	assert.equal(task.status, "completed");
	assert.ok(!runner.has(session, "mars.txt"));
	const a = (await text(task)).find((l) => l.startsWith("answer "));
	assert.equal(JSON.parse(a.slice(7)).approved, false);
	assert.equal(JSON.parse(a.slice(7)).reason, "The operator said no.");
});

test("usage, progress, result", async () => {
	const { task } = await play([
	    { json: { type: "progress", percent: 40, step: "halfway" } },
	    { json: { type: "usage", tokens_input: 1200, tokens_output: 34,
		cost_usd: 0.25 } },
	    { json: { type: "progress", percent: 100, step: "there" } },
	    { json: { type: "result", result: "The answer is 42." } }]);

	assert.equal(task.status, "completed");
	assert.equal(task.result, "The answer is 42.");
	assert.equal(task.usage.tokens_input, 1200);
	assert.equal(task.usage.tokens_output, 34);
	assert.equal(Number(task.usage.cost_usd), 0.25);
	assert.ok(task.usage.duration_ms > 0);
	assert.deepEqual(task.progress, { percent: 100, step: "there" });
	const s = await server.get_session(session);
	assert.ok(s.usage.tokens_input >= 1200);
});

test("a context of one task is given to the next", async () => {
	await play([{ json: { type: "context", context: { page: 7 } } }]);
	const { task } = await play([{ told: true }]);
	const told = JSON.parse((await text(task))[0].slice(5));

	assert.match(JSON.stringify(told.context), /"page":\s*7/);
});

test("a status that is not zero fails the task, in words", async () => {
	const { task } = await play([{ out: "uh" }, { exit: 3 }]);

	assert.equal(task.status, "failed");
	assert.equal(task.error.code, "agent_failed");
	assert.match(task.error.message, /3/);
	assert.equal((await server.runs(task))[0].exit_code, 3);
});

test("an exit without a result is fine", async () => {
	const { task } = await play([]);

	assert.equal(task.status, "completed");
	assert.ok(task.result === null || task.result === "");
});

test("garbage that looks like the protocol is a log line", async () => {
	const bad = ['{"type":"permission_request"}', '{"type":', "[1,2,3]",
	    '{"type":"result","result":{"a":1}}', '{"type":"unknown","x":1}',
	    '{"type":"usage","tokens_input":-5}', '{"type":42}', "\u0001\u0002",
	    '{"type":"progress","percent":"many"}', "null"];
	const { task, asked } = await play(bad.map((out) => ({ out })));
	const lines = await text(task);

	assert.equal(task.status, "completed");
	assert.equal(asked.length, 0);
	assert.deepEqual(lines, bad.map((l) => l));
});

test("a line of 1 MB, whole", async () => {
	const { task } = await play([{ fill: ["xy", 1 << 19] },
	    { out: "after" }]);

	assert.equal(task.status, "completed");
	assert.ok(await server.printed(task) ===
	    `${"xy".repeat(1 << 19)}\nafter\n`);
});

test("bytes that are no UTF-8 become replacement characters", async () => {
	const raw = Buffer.from([0x61, 0xff, 0xc3, 0x28, 0xed, 0xa0, 0x80, 0x00,
	    0x62, 0x0a]);
	const { task } = await play([{ raw: raw.toString("base64") },
	    { out: "after" }]);
	const lines = await text(task);

	assert.equal(task.status, "completed");
	assert.match(lines[0], /^a\ufffd+.*b$/u);
	assert.ok(!lines[0].includes("\0"));
	assert.equal(lines.at(-1), "after");
});

test("a last line without a newline is kept", async () => {
	const { task } = await play([{ raw: Buffer.from("no newline")
	    .toString("base64") }]);

	assert.deepEqual(await text(task), ["no newline"]);
});

test("an agent that never reads its stdin does not hold up anything",
    async () => {
	const prompt = JSON.stringify([{ out: "done" }, { out: "x".repeat(4096) },
	    ...Array.from({ length: 3000 }, (_, i) => ({ env: `V${i}` }))]);
	const { task } = await server.run(session, prompt);

	assert.equal(task.status, "completed");
	assert.equal((await text(task)).length, 3002);
});

test("a flood arrives whole", async () => {
	const n = 30000;
	const { task } = await play([{ flood: n }], { ms: 60000 });
	const printed = await server.printed(task);

	assert.equal(task.status, "completed");
	assert.equal(printed, Array.from({ length: n }, (_, i) =>
	    `flood ${i + 1}\n`).join(""));
});

test("children that were left behind are dead when the task has ended",
    async () => {
	const mark = `98765.${process.pid}`;
	const { task } = await play([
	    { spawn: ["sleep", mark] },
	    { spawn: ["setsid", "sleep", mark], detached: true },
	    { spawn: ["sh", "-c", "trap '' TERM HUP; sleep $0", mark],
		detached: true },
	    { spawn: ["sleep", mark], keep: true, detached: true },
	    { out: "left" }]);

	assert.equal(task.status, "completed");
	await until("no child to be left", () => processes(mark).length === 0,
	    5000);
});

test("cancel: asked first, then killed with all it started", async () => {
	const mark = `98766.${process.pid}`;
	const t = await server.task(session, JSON.stringify([
	    { ignore: "SIGTERM" }, { spawn: ["sleep", mark], detached: true },
	    { out: "ready" }, { hang: true }]));

	await until("its line", async () => (await text(t)).includes("ready"));
	assert.ok(processes(mark).length > 0);
	await server.cancel(t);
	const task = await server.ended(t);
	assert.equal(task.status, "canceled");
	assert.equal(processes(mark).length, 0);
	const [run] = await server.runs(t);
	assert.equal(run.status, "canceled");
});

test("cancel while it asks: the question is canceled too", async () => {
	const t = await server.task(session, JSON.stringify([{ ask: { id: "q",
	    tool: "T", action: "a", input: {} } }]));
	const p = await server.asked(t);

	await server.cancel(t);
	assert.equal((await server.ended(t)).status, "canceled");
	const now = await until("the question to be canceled", async () => {
		const q = await server.api.must(200, "GET",
		    `/api/v1/permissions/${p.id}`);
		return q.status !== "pending" && q;
	});
	assert.equal(now.status, "canceled");
	const late = await server.api.post(
	    `/api/v1/permissions/${p.id}/approve`, {});
	assert.equal(late.status, 409);
	assert.equal(late.json.code, "invalid_state");
});

test("timeout counts execution only", async () => {
	const TIMEOUT_S = 5;	// a busy machine begins slowly
	const t = await server.task(session, JSON.stringify([{ ask: { id: "q",
	    tool: "T", action: "a", input: {} } }, { out: "went on" }]),
	    { timeout_seconds: TIMEOUT_S });
	const p = await server.asked(t);
	const from = Date.now();

	// Stored a moment after the question is.
	await server.when(t, "to wait for a person",
	    (x) => x.waiting_for === "permission");
	await until("its time to be over", async () => {
		assert.equal((await server.get_task(t)).status, "running");
		return Date.now() - from > 1000 * (TIMEOUT_S + 1);
	}, 4000 * TIMEOUT_S, 250);
	await server.approve(p);
	assert.equal((await server.ended(t)).status, "completed");
	assert.ok((await text(t)).includes("went on"));
});

test("a task that runs too long fails as a timeout", async () => {
	const { task } = await play([{ out: "a" }, { hang: true }],
	    { timeout_seconds: 1 });

	assert.equal(task.status, "failed");
	assert.equal(task.error.code, "timeout");
	assert.equal((await server.runs(task))[0].status, "timeout");
});

test("retries: max_retries attempts more, each a run of its own", async () => {
	const { task } = await play([{ append: ["tries.txt", "x"] },
	    { exit: 1 }], { max_retries: 2 });
	const runs = await server.runs(task);

	assert.equal(task.status, "failed");
	assert.equal(task.retry_count, 2);
	assert.deepEqual(runs.map((r) => r.attempt).sort(), [1, 2, 3]);
	assert.equal(runner.read(session, "tries.txt"), "x\nx\nx\n");
	const again = await server.api.must(202, "POST",
	    `/api/v1/tasks/${task.id}/retry`, {});
	assert.equal(again.id, task.id);
	const end = await server.when(task, "to have failed again",
	    (x) => x.status === "failed" && x.attempt > 3);
	assert.ok(end.attempt >= 4);
	// Positions say which attempt.
	const lines = await server.lines(task);
	assert.deepEqual([...new Set(lines.map((l) => l.position.split(".")[0]))]
	    .slice(0, 4), ["1", "2", "3", "4"]);
});

test("tasks of a session run one at a time, the most urgent first", async () => {
	const first = await server.task(session, JSON.stringify([{ ask: { id: "q",
	    tool: "T", action: "hold", input: {} } }]));
	const p = await server.asked(first);
	const low = await server.task(session,
	    JSON.stringify([{ append: ["order.txt", "low"] }]));
	const high = await server.task(session,
	    JSON.stringify([{ append: ["order.txt", "high"] }]),
	    { priority: 9 });

	assert.equal((await server.get_task(low)).status, "pending");
	await server.approve(p);
	await server.ended(low);
	await server.ended(high);
	assert.equal(runner.read(session, "order.txt"), "high\nlow\n");
});

test("a program that is there no more is said so", async () => {
	await server.suspend(session);
	const s = await server.session({ agent: "custom:gone" });
	const { task } = await server.run(s, "hello");

	assert.equal(task.status, "failed");
	assert.equal(task.error.code, "agent_missing");
	assert.match(task.error.message, /custom:gone/);
	await server.terminate(s);
});

test("an agent that nobody offers is waited for, and said so", async () => {
	const s = await server.session({ agent: "custom:nobody" });
	const t = await server.task(s, "hello");
	const now = await server.when(t, "to wait", (x) => x.waiting_for);

	assert.equal(now.status, "pending");
	assert.match(now.waiting_for, /runner|session/);
	await until("a reason", async () => /custom:nobody/.test(
	    (await server.get_session(s)).status_reason));
	await server.terminate(s);
	assert.equal((await server.ended(t)).status, "canceled");
});

test("the demo agent really writes, when allowed", async () => {
	const s = await server.session({ agent: "demo" });
	const { task, asked } = await server.run(s,
	    "Write hello.md: greet the reader in one line.");

	assert.equal(task.status, "completed");
	assert.ok(asked.length >= 1);
	assert.ok(task.result);
	assert.ok(runner.has(s, "hello.md"));
	await server.terminate(s);
});

test("the demo agent takes no for an answer", async () => {
	const s = await server.session({ agent: "demo" });
	const { task, asked } = await server.run(s, "Write hello.md: greet.",
	    { answer: () => false });

	assert.ok(["completed", "failed"].includes(task.status));
	assert.ok(asked.length >= 1);
	assert.ok(!runner.has(s, "hello.md"));
	await server.terminate(s);
	assert.ok(!fs.existsSync(runner.at(s)));
});

ends_well(server);
