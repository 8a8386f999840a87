// Every process is killed with SIGKILL, one after the other on one tree, while
// one session has a permission pending and another a tool at work: Claude Code
// appends a line to a file for each approved call, no more and no less; the
// prompt is given once; what was stored is what the program printed.

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { top } from "../lib/place.mjs";
import { claude_program, ends_well, is_root, start_server, tests }
    from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";

const CLAUDE = claude_program();
const KEY = "sk-ant-test-crash-0123456789";
const WORKERS = ["api", "admin", "runner", "sessiond", "taskd", "runnerd",
    "tunneld", "storaged"];

const server = await start_server();
const test = tests(server);
const model = await server.model();
const each = path.join(top, "regress/sys/agents/each-claude.sh");
// Two runners, so that one death meets both moments.
const sides = [];
for (const name of ["asking", "working"]) {
	const runner = await server.runner({ name, agents: { claude: each },
	    env: { PATH: `${path.dirname(CLAUDE)}:${process.env.PATH}` } });
	const session = await server.session({ agent: "claude", api_key: KEY,
	    base_url: model.url });
	sides.push({ name, session, runner });
	await server.is(session, "active");
}
for (const side of sides) {
	const { runner_id } = await server.get_session(side.session);
	if (runner_id !== side.runner.id)
		side.runner = server.runners.find((r) => r.id === runner_id);
}
const [asking, working] = sides;

const lines_of = (side, file) => side.runner.has(side.session, file) ?
    side.runner.read(side.session, file) : "";

// Every process below pid whose command line has the words.
function below(pid, words) {
	const out = [];
	for (const c of fs.readFileSync(`/proc/${pid}/task/${pid}/children`,
	    "utf8").trim().split(" ").filter(Boolean).map(Number)) {
		try {
			if (fs.readFileSync(`/proc/${c}/cmdline`, "utf8")
			    .includes(words))
				out.push(c);
			out.push(...below(c, words));
		} catch {
			// It ended meanwhile.
		}
	}
	return out;
}
const claude_of = (side) => below(side.runner.proc.pid, "claude\0-p\0")
    .filter((pid) => fs.readlinkSync(`/proc/${pid}/exe`).includes("claude"));

function postmaster() {
	return Number(fs.readFileSync(path.join(server.dir,
	    "s/postgres/postmaster.pid"), "utf8").split("\n")[0]);
}

// Both sessions at their moment: a question open, a tool at work.
async function scene(name, more) {
	const file = `${name}.txt`;
	// What a test that failed has left is not the next one's.
	for (const side of sides)
		for (const t of await server.api.all("/api/v1/tasks?session_id=" +
		    `${side.session.id}&status=pending&status=running`)) {
			await server.cancel(t);
			await server.ended(t);
		}
	for (const side of sides)
		side.starts = printed(side).length;
	asking.task = await server.task(asking.session,
	    `[[bash:echo asked >> ${file}]]`, more);
	working.task = await server.task(working.session,
	    `[[bash:echo worked >> ${file}; ` +
	    `until test -e ${file}.go; do sleep 0.1; done]]`, more);
	asking.first = await server.asked(asking.task);
	await server.approve(await server.asked(working.task));
	await until("the tool to run", () => lines_of(working, file) !== "");
	for (const side of sides)
		side.file = file;
}

// To the end, whatever is asked on the way approved; the tool, which is at work
// until then, is let go.
async function finish(side, ms = 60000) {
	fs.writeFileSync(side.runner.at(side.session, "workspace",
	    `${side.file}.go`), "");
	return until(`${side.name} to end`, async () => {
		const now = await server.get_task(side.task);
		for (const p of await server.permissions(side.task,
		    "&status=pending"))
			await server.approve(p);
		return ["completed", "failed", "canceled"].includes(now.status) &&
		    now;
	}, ms, 60);
}

// What each start of the program printed, in order.
function printed(side) {
	const home = side.runner.at(side.session, "home");

	return fs.readdirSync(home).filter((n) => n.startsWith("printed."))
	    .sort().map((n) => fs.readFileSync(path.join(home, n), "utf8"));
}

// What was stored of each attempt at the task, in order.
async function stored(task) {
	const runs = new Map();

	for (const l of await server.lines(task, "&stream=stdout"))
		runs.set(l.run_id, (runs.get(l.run_id) ?? "") + l.content +
		    (l.partial ? "" : "\n"));
	return [...runs.values()];
}

// The texts are long: an error shows where they part.
function same(have, want) {
	let i = 0;

	while (i < have.length && have[i] === want[i])
		i++;
	assert.ok(have === want, `stored ${have.length}, printed ` +
	    `${want?.length}, different at ${i}: ` +
	    `${JSON.stringify(have.slice(i, i + 100))}, printed ` +
	    JSON.stringify(want?.slice(i, i + 100)));
}

// One line per approved call; the prompt was given once.  An answer that came
// too late for the program that had asked is used by the next attempt: two
// requests, but one approval.
async function accounts(side, word) {
	const approved = new Set((await server.permissions(side.task))
	    .filter((p) => p.status === "approved").map((p) => p.responded_at));
	const lines = lines_of(side, side.file);

	assert.equal(lines, `${word}\n`.repeat(approved.size));
	const prompt = (await server.get_task(side.task)).prompt;
	assert.equal(model.prompts().filter((p) => p.includes(prompt)).length, 1,
	    JSON.stringify(model.prompts()));
	const sequence = (await server.lines(side.task))
	    .map((l) => [l.run_id, l.sequence]);
	let at = null, n = 0;
	for (const [run, s] of sequence) {
		n = run === at ? n + 1 : 1;
		at = run;
		assert.equal(s, n, "a line is missing or twice");
	}
	return approved.size;
}

// A task made while things are down, again and again with the same key.
async function create_through(name) {
	const body = { session_id: asking.session.id,
	    prompt: `[[text:made while ${name} was away]]` };
	const seen = new Set();

	const r = await until("the task to be made", async () => {
		const a = await server.api.post("/api/v1/tasks", body,
		    { "idempotency-key": `made-${name}` });
		seen.add(a.status);
		if (a.status === 503)
			assert.ok(a.headers["retry-after"], a.text);
		else if (a.status !== 504)
			assert.equal(a.status, 201, a.text);
		return a.status === 201 && a;
	}, undefined, 100);
	return { task: r.json, seen };
}

async function made_once(made, name) {
	const all = (await server.api.all("/api/v1/tasks?session_id=" +
	    asking.session.id)).filter((t) => t.prompt ===
	    `[[text:made while ${name} was away]]`);

	assert.deepEqual(all.map((t) => t.id), [made.id]);
	assert.equal((await server.ended(made)).status, "completed");
}

// Nothing of the runs noticed: one attempt, one question, one line, and every
// byte stored.
async function unharmed(restarted) {
	for (const [side, word] of [[asking, "asked"], [working, "worked"]]) {
		const end = await finish(side);
		assert.equal(end.status, "completed", JSON.stringify(end.error));
		assert.equal(end.retry_count, 0);
		assert.equal(await accounts(side, word), 1);
		assert.equal((await server.runs(side.task)).length, 1);
		assert.equal((await server.permissions(side.task)).length, 1);
		assert.equal(model.requests(side.task.prompt)
		    .filter((r) => r.kind === "main").length, 2);
		const have = await stored(side.task);
		assert.equal(have.length, 1);
		same(have[0], printed(side)[side.starts]);
	}
	const now = await server.processes();
	for (const [name, p] of Object.entries(now))
		assert.equal(p.restarts, restarted[name] ?? 0, name);
}

// A dead agent's left-overs are found by their user: were it the same one, the
// other agent's program would die with them.
test("two agents on one machine do not give the same users", async () => {
	const places = sides.map((s) => s.runner.at(s.session, "workspace"));
	await until("both workspaces", () => places.every(fs.existsSync));
	const users = places.map((p) => fs.statSync(p).uid);

	if (is_root)
		assert.notDeepEqual(users, [200000, 200000]);
});

const restarted = {};

for (const name of WORKERS)
	test(`kill -9 of ${name}`, async () => {
		await scene(name);
		const { pid } = (await server.processes())[name];
		process.kill(pid, "SIGKILL");
		restarted[name] = 1;
		const { task } = await create_through(name);
		await until(`${name} to be back`, async () => {
			const p = (await server.processes())[name];
			return p && p.pid !== pid && p.ready;
		}, undefined, 50);
		await unharmed(restarted);
		await made_once(task, name);
	});

test("kill -9 of PostgreSQL", async () => {
	await scene("postgres");
	const pid = postmaster();
	process.kill(pid, "SIGKILL");
	const { task } = await create_through("postgres");
	await until("another postmaster", () => postmaster() !== pid);
	await unharmed(restarted);
	await made_once(task, "postgres");
});

test("kill -9 of providerd: runs that have their key go on, the next waits",
    async () => {
	await scene("providerd");
	await server.kill_worker("providerd");
	restarted.providerd = 1;
	const { task } = await create_through("providerd");
	await unharmed(restarted);
	await server.when(task, "to wait for a credential", (t) =>
	    t.status === "pending" && t.waiting_for === "credential");
	for (const side of sides)
		await server.api.must(200, "PUT",
		    `/api/v1/sessions/${side.session.id}/credential`,
		    { api_key: KEY, base_url: model.url });
	await made_once(task, "providerd");
});

// What a dead program printed last may never have reached us: what is stored
// of that attempt is the beginning of what it printed.
async function began_again(kind, attempts) {
	for (const [side, word] of [[asking, "asked"], [working, "worked"]]) {
		const end = await finish(side);
		assert.equal(end.status, "completed", JSON.stringify(end.error));
		const n = await accounts(side, word);
		assert.ok(n >= 1 && n <= attempts, `${n} approved calls`);
		const runs = await server.runs(side.task);
		assert.deepEqual(runs.map((r) => r.status).sort(),
		    ["completed", ...Array(attempts - 1).fill(kind)].sort());
		const have = await stored(side.task);
		const all = printed(side).slice(side.starts);
		assert.equal(have.length, attempts);
		for (let i = 0; i < attempts; i++)
			same(have[i], i < attempts - 1 ?
			    all[i].slice(0, have[i].length) : all[i]);
	}
}

test("kill -9 of marionette-agent: another attempt goes on, not counted",
    async () => {
	await scene("agent");
	await Promise.all(sides.map((s) => s.runner.kill()));
	const { task } = await create_through("agent");
	await Promise.all(sides.map((s) => s.runner.again(60000)));
	await began_again("lost", 2);
	for (const side of sides)
		assert.equal((await server.get_task(side.task)).retry_count, 0);
	await made_once(task, "agent");
});

test("kill -9 of Claude Code: retried as often as the task allows", async () => {
	await scene("claude", { max_retries: 1 });
	for (const side of sides) {
		const pids = claude_of(side);
		assert.equal(pids.length, 1, side.name);
		process.kill(pids[0], "SIGKILL");
		// An answer given in the moment of the death may have been
		// heard or not: nobody can tell, so none is given.
		await until("the attempt to end", async () =>
		    (await server.runs(side.task)).length === 2);
	}
	await began_again("failed", 2);
	for (const side of sides)
		assert.equal((await server.get_task(side.task)).retry_count, 1);
});

test("kill -9 of Claude Code: failed, with what happened, and no retry",
    async () => {
	await scene("claude-once");
	for (const side of sides) {
		const before = await server.get_task(side.task);
		assert.equal(before.status, "running");
		process.kill(claude_of(side)[0], "SIGKILL");
		const end = await server.ended(side.task);
		assert.equal(end.status, "failed");
		assert.equal(end.error.code, "agent_failed");
		assert.match(end.error.message, /signal 9|killed|137|status/i);
		assert.equal((await server.runs(side.task)).length, 1);
		for (const p of await server.permissions(side.task))
			assert.notEqual(p.status, "pending");
		assert.equal(lines_of(side, side.file), side === working ?
		    "worked\n" : "");
		assert.deepEqual(below(side.runner.proc.pid, "sleep"), []);
	}
	// The sessions are as they were.
	for (const side of sides) {
		const { task } = await server.run(side.session,
		    "[[text:still here]]");
		assert.equal(task.result, "still here");
	}
});

ends_well(server);
