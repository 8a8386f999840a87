// mctl against the live server: the commands of a day's work, over the local
// socket and over HTTP, and what their exit codes say.

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { demo, ends_well, O, puppet, start_server, tests }
    from "../lib/server.mjs";
import { free_port, top } from "../lib/place.mjs";
import { run, start } from "../lib/proc.mjs";
import { until } from "../lib/wait.mjs";

const server = await start_server();
const test = tests(server);
const runner = await server.runner({ agents: { demo, "custom:puppet": puppet } });
const admin_key = await server.key({ scopes: ["*", "admin:*"] });
const HTTP = { MARIONETTE_API_URL: server.url,
    MARIONETTE_ADMIN_URL: server.admin_url,
    MARIONETTE_API_KEY: admin_key.key };
const WAYS = [["the socket", ["--socket", server.socket], {}],
    ["HTTP", [], HTTP]];
const ASK = { ask: { id: "q", tool: "Deploy", action: "put it there",
    input: { where: "there" } } };

// Succeeds and gives stdout; json: parsed.
async function ok(args, env, o) {
	const r = await server.mctl(args, { env, ...o });

	assert.equal(r.code, 0, `${args.join(" ")}: ${r.code}\n${r.out}${r.err}`);
	return r.out;
}
const json = async (args, env) =>
    JSON.parse(await ok(["-o", "json", ...args], env));
const line = async (args, env) => (await ok(["-q", ...args], env)).trim();

async function code(n, args, env = HTTP, o = {}) {
	const r = await server.mctl(args, { env, ...o });

	assert.equal(r.code, n, `${args.join(" ")}: ${r.code}\n${r.out}${r.err}`);
	return r;
}

for (const [name, where, env] of WAYS) {
	const m = (...args) => ok([...where, ...args], env);
	const q = (...args) => line([...where, ...args], env);
	const j = (...args) => json([...where, ...args], env);

	test(`by hand, over ${name}`, async () => {
		const key = await q("admin", "keys", "create", "--name",
		    `laptop ${name}`);
		assert.match(key, /^mk_/);
		assert.match(await m("admin", "keys", "list"), /laptop/);
		const token = await q("admin", "runner-tokens", "create",
		    "--name", "pool", "--max-uses", "1", "--expires-in", "10m");
		assert.match(token, /^rtok_[^.]+\.[0-9a-f]{64}$/);
		assert.match(await m("admin", "runner-tokens", "list"), /pool/);
		assert.match(await m("agents"), /custom:puppet/);
		assert.match(await m("runners", "list"), /idle|busy/);
		assert.equal((await j("runners", "get", runner.id)).name, "r1");

		const s = await q("sessions", "create", "--agent",
		    "custom:puppet", "--name", "by hand", "--label", "team=a");
		assert.match(s, /^sess_/);
		const t = await q("tasks", "create", "--session", s, "--prompt",
		    JSON.stringify([{ out: "one" }, ASK, { out: "two" }]));
		assert.match(t, /^task_/);
		const p = await until("the question", async () => {
			const l = await j("permissions", "list", "--task", t,
			    "--status", "pending");
			return (l.items ?? l)[0];
		});
		assert.match(await m("permissions", "list", "--status",
		    "pending"), /put it there/);
		assert.equal((await j("permissions", "get", p.id)).tool,
		    "Deploy");
		const follow = start([path.join(O, "mctl"), ...where, "tasks",
		    "logs", t, "-f"], { env: { PATH: process.env.PATH,
		    HOME: server.dir, ...env } });
		await follow.says("one");
		await m("permissions", "approve", p.id, "--reason", "fine");
		assert.equal((await follow.wait()).code, 0);
		assert.match(follow.out, /one[\s\S]*two/);
		assert.match(await m("tasks", "logs", t), /one[\s\S]*two/);
		assert.equal((await j("tasks", "get", t)).status, "completed");
		assert.match(await m("tasks", "runs", t), /completed/);
		assert.match(await m("tasks", "list", "--session", s), /completed/);
		assert.equal((await j("sessions", "get", s)).id, s);
		assert.match(await m("sessions", "list", "--label", "team=a"),
		    /by hand/);
		await m("sessions", "suspend", s, "--wait", "30");
		assert.equal((await j("sessions", "get", s)).status, "suspended");
		await m("sessions", "resume", s, "--wait", "30");
		assert.equal((await j("sessions", "get", s)).status, "active");
		await m("sessions", "terminate", s, "--wait", "30");
		assert.equal((await j("sessions", "get", s)).status,
		    "terminated");
		await m("sessions", "delete", s);
		const list = await j("admin", "keys", "list");
		const made = (list.items ?? list).find((k) =>
		    k.name === `laptop ${name}`);
		await m("admin", "keys", "revoke", made.id);
	});

	test(`server status, privsep, health, version, over ${name}`, async () => {
		for (const word of ["sessiond", "taskd", "runnerd", "storaged",
		    "providerd", "tunneld"])
			assert.match(await m("server", "status"),
			    new RegExp(word));
		assert.match(await m("server", "privsep"), /sessiond/);
		await m("server", "health");
		await m("server", "version");
		await m("me");
		for (const o of ["table", "wide", "json", "yaml"])
			assert.ok((await m("-o", o, "runners", "list")).length);
	});
}

test("run demo --yes: does it all", async () => {
	const r = await code(0, ["run", "demo", "Write hello.md: greet.",
	    "--yes"]);

	assert.match(r.out, /hello\.md/);
	const all = await json(["sessions", "list"], HTTP);
	assert.equal((all.items ?? all)[0].status, "terminated");
});

test("run, approved at a terminal and denied without one", async () => {
	const pty = path.join(top, "regress/mctl/terminal.py");
	const seen = await run(["python3", pty, JSON.stringify([
	    ["[y]es / [n]o / [d]etails / [q]uit: ", "y\n"]]),
	    path.join(O, "mctl"), "run", "demo", "Write hello.md", "--keep"],
	    { env: { PATH:
	    process.env.PATH, HOME: server.dir, TERM: "xterm", ...HTTP },
	    ms: 45000 });
	for (const s of await server.api.all("/api/v1/sessions?status=active"))
		await server.terminate(s);
	assert.equal(seen.code, 0, seen.out + seen.err);
	const none = await code(4, ["run", "demo", "Write hello.md"]);
	assert.match(none.err, /denied/);
});

test("exit codes", async () => {
	const s = await line(["sessions", "create", "--agent", "custom:puppet"],
	    HTTP);
	// 3: the task failed.
	await code(3, ["tasks", "create", "--session", s, "--prompt",
	    '[{"exit":1}]', "--wait"]);
	await code(3, ["tasks", "create", "--session", s, "--prompt",
	    '[{"out":"x"},{"exit":1}]', "--follow"]);
	const good = await code(0, ["tasks", "create", "--session", s,
	    "--prompt-file", "-", "--follow"], HTTP,
	    { input: '[{"out":"from stdin"}]' });
	assert.match(good.out, /from stdin/);
	// 2: the command line.
	await code(2, ["tasks", "create", "--session", s]);
	await code(2, ["tasks", "dance"]);
	// 1: an error of the server's.
	const none = await code(1, ["tasks", "get",
	    "task_00000000000000000000000000"]);
	assert.match(none.err, /not_found|not found|no such/);
	// 4: not allowed.
	await code(4, ["sessions", "list"], { ...HTTP, MARIONETTE_API_KEY:
	    "mk_nobody" });
	const reader = await server.key({ scopes: ["sessions:read"] });
	const denied = await code(4, ["tasks", "list"], { ...HTTP,
	    MARIONETTE_API_KEY: reader.key });
	assert.match(denied.err, /tasks:read/);
	// 5: nobody there.
	await code(5, ["sessions", "list"], { ...HTTP, MARIONETTE_API_URL:
	    `http://localhost:${await free_port()}` });
	await code(5, ["--socket", "/nonexistent/sock", "sessions", "list"], {});
	await code(0, ["sessions", "terminate", s, "--wait", "30"]);
});

test("logs: --raw is what the agent printed, byte for byte", async () => {
	const s = await server.session({ agent: "custom:puppet" });
	const long = "y".repeat(100000);
	const { task } = await server.run(s, JSON.stringify([{ out: "a\tb ä" },
	    { out: long }, { json: { type: "progress", percent: 3,
	    step: "s" } }]));
	const raw = await ok(["tasks", "logs", task.id, "--raw", "--stream",
	    "stdout"], HTTP);

	assert.equal(raw, `a\tb ä\n${long}\n` +
	    '{"type":"progress","percent":3,"step":"s"}\n');
	assert.equal((await ok(["tasks", "logs", task.id, "--raw", "-f"], HTTP))
	    .includes(long), true);
	await server.terminate(s);
});

test("events follow", async () => {
	const e = start([path.join(O, "mctl"), "-o", "json", "events", "follow",
	    "--type", "task.*"], { env: { PATH: process.env.PATH,
	    HOME: server.dir, ...HTTP } });
	const s = await server.session({ agent: "custom:puppet" });
	await until("an event", async () => {
		await server.run(s, "[]");
		return e.lines.some((l) => /task\.completed/.test(l));
	}, undefined, 200);
	assert.ok(e.lines.every((l) => /^task\./.test(JSON.parse(l).type)));
	await e.stop("SIGINT");
	await server.terminate(s);
});

test("admin agent-configs, contexts, and a password line", async () => {
	const file = path.join(server.dir, "key.txt");
	fs.writeFileSync(file, "sk-ant-file-key-1\n", { mode: 0o600 });
	const c = await line(["admin", "agent-configs", "create", "--name", "c",
	    "--agent", "claude", "--api-key-file", file], HTTP);
	assert.match(c, /^acfg_/);
	const got = await ok(["-o", "json", "admin", "agent-configs", "get", c],
	    HTTP);
	assert.ok(!got.includes("sk-ant-file-key-1"));
	assert.match(await ok(["admin", "agent-configs", "list"], HTTP), /acfg_/);
	await ok(["admin", "agent-configs", "delete", c], HTTP);
	await ok(["config", "set-context", "here", "--server", server.url,
	    "--admin-url", server.admin_url, "--api-key-env", "K", "--use"],
	    { K: server.api.o.token });
	assert.match(await ok(["sessions", "list"], {}), /ID|no /i);
	const hash = await ok(["admin", "password", "hash", "ann"], {},
	    { input: "correct horse\n" });
	assert.match(hash, /^admin user "ann" password "\$argon2id\$/);
	// The server takes it, and checks it in a process of its own.
	fs.appendFileSync(server.conf, `\n${hash}`);
	server.proc.signal("SIGHUP", false);
	const admin = server.api.as({ basic: "ann:correct horse",
	    url: server.admin_url });
	await until("ann to be let in", async () =>
	    (await admin.get("/admin/api/v1/keys")).status === 200, undefined, 300);
	const no = await server.api.as({ basic: "ann:wrong horse",
	    url: server.admin_url }).get("/admin/api/v1/keys");
	assert.equal(no.status, 401);
});

test("a task canceled and retried by hand", async () => {
	const s = await server.session({ agent: "custom:puppet" });
	const t = await line(["tasks", "create", "--session", s.id, "--prompt",
	    JSON.stringify([ASK])], HTTP);

	await server.asked({ id: t });
	await code(0, ["tasks", "cancel", t, "--reason", "enough"]);
	const end = await server.ended({ id: t });
	assert.equal(end.status, "canceled");
	await code(0, ["tasks", "retry", t]);
	await server.deny(await server.asked({ id: t }));
	assert.equal((await server.ended({ id: t })).status, "completed");
	await server.terminate(s);
});

ends_well(server);
