// A captured frontd: a build whose api process is, on a signal, in the hands of
// somebody who says to the owners whatever the table lets it say, with forged
// tickets and with those of a stolen key, and then what it may not.  It gets
// nothing that the key would not get, breaks nobody, and is replaced.

import assert from "node:assert/strict";
import crypto from "node:crypto";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after } from "node:test";
import { top } from "../lib/place.mjs";
import { run } from "../lib/proc.mjs";
import { until } from "../lib/wait.mjs";

const dir = fs.mkdtempSync(path.join(os.tmpdir(), "mn-captured-"));
after(() => fs.rmSync(dir, { recursive: true }));
fs.chmodSync(dir, 0o755);
process.env.MN_CAPTURED = path.join(dir, "known");
process.env.O = path.join(path.resolve(top, process.env.O ?? "build"),
    "captured");
const { ends_well, start_server, tests } = await import("../lib/server.mjs");

const SIGRTMIN = 34;
const SILENCE_MS = 3000;
const RELEASED = 0, FORGED = 1, STOLEN = 2, FLOOD = 3, BROKEN = 4;
const MARK = "of-another-tenant";
// What else is wrong on a channel is the room fuzz's.
const WRONG = ["sessiond: what taskd is asked", "taskd: a statement",
    "providerd: a key to seal", "the parent: a task", "taskd: no type at all",
    "runnerd: a length beyond all bounds",
    "sessiond: a descriptor that is not due"];

const server = await start_server({ expected: /broke the protocol/ });
const test = tests(server);
const theirs = (await server.key({ tenant: "theirs" })).api;
const stolen = await server.key({ tenant: "stolen" });

// What the other tenant has, and what the thief knows of it.
const make = async (at, body) => (await theirs.must(201, "POST", at, body));
const session = await make("/api/v1/sessions", { agent: "custom:none",
    name: MARK });
const task = await make("/api/v1/tasks", { session_id: session.id,
    prompt: MARK });
const config = await make("/api/v1/agent-configs", { name: MARK,
    agent: "claude", api_key: `sk-ant-${MARK}-0123456789` });
fs.writeFileSync(process.env.MN_CAPTURED, [
    `hash ${crypto.createHash("sha256").update(stolen.key).digest("hex")}`,
    `session ${session.id}`, `task ${task.id}`, `config ${config.id}`,
    `agent_config ${config.id}`, `run ${task.run_id ?? "run_" + "0".repeat(26)}`,
    `key ${stolen.id}`, ""].join("\n"));

await until("the first report of the processes", async () =>
    (await server.processes()).api);
await server.kill_worker("api");	// the next one knows it, too

const told = () => server.proc.err.split("\n")
    .filter((l) => l.startsWith("captured: "));

// In a stranger's hands from now on, or in its own again.
async function capture(order) {
	const { pid } = (await server.processes()).api;
	const r = await run(["kill", "-s", String(SIGRTMIN + order),
	    String(pid)]);

	assert.equal(r.code, 0, r.err);
	return pid;
}

// Until something was told and then nothing more for longer than an owner takes
// on a busy machine: what is said last on each channel need not have an answer.
async function silence(from) {
	let n = from, since = Date.now();

	await until("the captured process to be done", () => {
		if (told().length !== n) {
			n = told().length;
			since = Date.now();
		}
		return n > from && Date.now() - since > SILENCE_MS;
	}, undefined, 50);
}

// Those who are not captured: the other listeners, and all owners.
async function others_are_well(before, alive) {
	const now = await server.processes();

	for (const [name, { pid }] of Object.entries(before))
		if (name !== "api" || alive)
			assert.equal(now[name].pid, pid, `${name} has died`);
	await server.local.must(200, "GET", "/admin/api/v1/keys?limit=5");
	await server.local.must(200, "GET", "/admin/api/v1/status");
}

async function theirs_is_untouched() {
	await capture(RELEASED);
	const s = await theirs.must(200, "GET", `/api/v1/sessions/${session.id}`);
	const t = await theirs.must(200, "GET", `/api/v1/tasks/${task.id}`);
	const c = await theirs.must(200, "GET",
	    `/api/v1/agent-configs/${config.id}`);

	assert.equal(s.name, MARK);
	assert.equal(s.status, session.status);
	assert.equal(t.status, "pending");
	assert.equal(c.name, MARK);
}

test("forged tickets: refused, whatever is asked", async () => {
	const before = await server.processes();
	await capture(FORGED);
	await silence(0);
	// A secret may be put in by anybody who speaks; none comes out.
	const lines = told().filter((l) => !l.startsWith("captured: KEY_HOLD:"));
	assert.ok(lines.length > 40, `${lines.length} answers`);
	for (const l of lines)
		assert.match(l, /: refused: (invalid_auth|invalid_token|token_expired)$/);
	await others_are_well(before, true);
	await theirs_is_untouched();
});

test("tickets of a stolen key: what the key may, of its own tenant, and no more",
    async () => {
	const before = await server.processes();
	const n = told().length;
	await capture(STOLEN);
	await silence(n);
	const lines = told().slice(n);
	assert.ok(lines.some((l) => l.includes("refused: invalid_auth")));
	assert.ok(lines.some((l) => l.includes("refused: not_found")),
	    lines.join("\n"));
	assert.ok(lines.some((l) => l.startsWith("captured: SESSION_LIST: DOC")));
	for (const l of lines)
		assert.ok(!l.includes(MARK), l);
	await others_are_well(before);
	await theirs_is_untouched();
});

test("a flood: the owners serve the others meanwhile, and do not grow",
    async () => {
	const size = (pid) => Number(/^VmRSS:\s+(\d+)/m.exec(fs.readFileSync(
	    `/proc/${pid}/status`, "utf8"))[1]);
	const before = await server.processes();
	const was = size(before.taskd.pid);
	await capture(FLOOD);
	for (let i = 0; i < 20; i++)
		await server.local.must(200, "GET", "/api/v1/tasks?limit=1");
	await others_are_well(before);
	await theirs_is_untouched();
	const is = size(before.taskd.pid);
	assert.ok(is < was + 64 * 1024, `${was} to ${is} KB`);
});

test("it accuses all owners: it is replaced itself", async () => {
	const before = await server.processes();
	const pid = await capture(BROKEN + 8);
	await until("the captured process to be replaced", async () => {
		const { api } = await server.processes();
		return api.pid !== pid && api.ready;
	}, undefined, 50);
	await others_are_well(before);
	await theirs.must(200, "GET", `/api/v1/tasks/${task.id}`);
});

// taskd hears it when the one who said it has a successor; before those that
// die so often that a successor takes its time.
test("what it said to two, one of whom was slow: it is replaced once",
    async () => {
	const pongs = () => server.proc.err.split("PROC_PONG from taskd").length;
	const deaths = () => server.proc.err.split(/api \(pid \d+\) was/).length;
	const pong = async () => {
		const n = pongs();
		await until("an answer of taskd's", () => pongs() > n, undefined, 5);
	};
	const { taskd } = await server.processes();
	const n = deaths();
	let now;

	await pong();		// the next ping comes behind what is said
	process.kill(taskd.pid, "SIGSTOP");
	try {
		const pid = await capture(BROKEN + 7);
		now = await until("it to be replaced", async () => {
			const { api } = await server.processes();
			return api.pid !== pid && api.ready && api;
		}, undefined, 50);
	} finally {
		process.kill(taskd.pid, "SIGCONT");
	}
	await theirs.must(200, "GET", `/api/v1/tasks/${task.id}`);
	await pong();		// the parent has heard what taskd says of it
	await theirs.must(200, "GET", `/api/v1/tasks/${task.id}`);
	assert.equal(deaths(), n + 1, "its successor was killed");
	assert.equal((await server.processes()).api.pid, now.pid);
});

for (const [i, what] of WRONG.entries())
	test(`what it may not say, ${what}: it is dropped and replaced`, async () => {
		const before = await server.processes();
		const pid = await capture(BROKEN + i);
		await until("the captured process to be replaced", async () => {
			const { api } = await server.processes();
			return api.pid !== pid && api.ready;
		}, undefined, 50);
		assert.match(server.proc.err, /api broke the protocol, says/);
		await others_are_well(before);
		await theirs.must(200, "GET", `/api/v1/tasks/${task.id}`);
	});

ends_well(server);
