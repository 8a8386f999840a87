// The life of the whole server: reloaded, stopped while it is used, started
// again, and its parent killed.  What people and runners hold on to (keys,
// sessions, runs, conversations, positions) goes on.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import crypto from "node:crypto";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { follow_sse } from "../lib/follow.mjs";
import { run } from "../lib/proc.mjs";
import { claude_program, ends_well, puppet, start_server, tests }
    from "../lib/server.mjs";
import { LONG_MS, until, within } from "../lib/wait.mjs";

// PostgreSQL's process does nothing for a while before it is that.
let is_slow = false;
const SLOW = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=setsid",
    "-e", "inject=setsid:delay_exit=1000000"];
// Whoever forks goes on when its child has long begun.
const BUSY = ["strace", "-qq", "-o", "/dev/null", "-e", "trace=clone", "-e",
    "inject=clone:delay_exit=50000"];
const server = await start_server({ conf: ["heartbeat 2"],
    wrap: () => is_slow ? SLOW : [] });
const test = tests(server);
const model = await server.model();
const runner = await server.runner({ agents: { claude: claude_program(),
    "custom:puppet": puppet } });
const ASK = { ask: { id: "q", tool: "T", action: "a", input: {} } };
const admin = (password) => server.api.as({ url: server.admin_url,
    basic: `admin:${password}` }).get("/admin/api/v1/keys");

// Everything that the parent started, and what these started.
function tree(pid) {
	const own = fs.readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8")
	    .trim().split(" ").filter(Boolean).map(Number);

	return own.flatMap((p) => [p, ...tree(p)]);
}

function lives(pid) {
	try {
		return !/^State:\s*[ZX]/m.test(fs.readFileSync(
		    `/proc/${pid}/status`, "utf8"));
	} catch {
		return false;
	}
}

const WORKERS = ["api", "admin", "runner", "sessiond", "taskd", "runnerd",
    "tunneld", "providerd", "storaged"];
const postmaster_file = () => path.join(server.dir,
    "s/postgres/postmaster.pid");

test("SIGHUP takes a changed password; a broken file changes nothing",
    async () => {
	const text = fs.readFileSync(server.conf, "utf8");
	const hash = (p) => crypto.createHash("sha256").update(p).digest("hex");
	const old = server.admin_password;
	// Each reports within a second of its own.
	const before = await until("all to have reported", async () => {
		const all = await server.processes();
		return WORKERS.every((name) => all[name]) && all;
	});

	assert.equal((await admin(old)).status, 200);
	fs.writeFileSync(server.conf, text.replace(hash(old), hash("new one")));
	server.proc.signal("SIGHUP", false);
	await until("the new password", async () =>
	    (await admin("new one")).status === 200);
	const no = await admin(old);
	assert.equal(no.status, 401);
	assert.equal(no.json.code, "invalid_auth");
	fs.writeFileSync(server.conf, text.replace(hash(old), hash("third")) +
	    "\nlisten everything\n");
	server.proc.signal("SIGHUP", false);
	await server.proc.says(/the old one stays/);
	const n = text.split("\n").length + 1;
	assert.match(server.proc.err, new RegExp(`m\\.conf:${n}: .*expected`));
	assert.equal((await admin("new one")).status, 200);
	assert.equal((await admin("third")).status, 401);
	// A file that is gone is no reason to end either.
	const file = path.join(server.dir, "master.key");
	fs.writeFileSync(server.conf, text);
	fs.renameSync(file, `${file}.away`);
	server.proc.signal("SIGHUP", false);
	await server.proc.says(/the old configuration stays/);
	assert.match(server.proc.err, /master key file \S+: No such file/);
	assert.equal((await server.api.as({ url: server.admin_url,
	    token: server.master_key }).get("/admin/api/v1/keys")).status, 200);
	fs.renameSync(`${file}.away`, file);
	server.proc.signal("SIGHUP", false);
	await until("the first password", async () =>
	    (await admin(old)).status === 200);
	// Nobody was started anew for it, and clients noticed nothing.
	const now = await server.processes();
	for (const name of WORKERS)
		assert.equal(now[name].pid, before[name].pid, name);
	assert.equal((await server.api.get("/api/v1/me")).status, 200);
});

// Nobody is told what he could not take, and would not start with either.
test("SIGHUP: what has no meaning or no room in a worker changes nothing",
    async () => {
	const text = fs.readFileSync(server.conf, "utf8");
	const file = path.join(server.dir, "master.key");
	const ca = path.join(server.dir, "other-ca.crt");
	const many = (line) => Array.from({ length: 65 }, (_, i) =>
	    `${line(i)}\n`).join("");
	const sha = `sha256:${"0".repeat(64)}`;
	const before = await server.processes();
	const refused = async (conf, key, why) => {
		const at = server.proc.err.length;

		fs.writeFileSync(server.conf, conf);
		fs.writeFileSync(file, key);
		server.proc.signal("SIGHUP", false);
		await until(`a refusal: ${why}`, () => server.proc.status ||
		    /old (configuration|one) stays/.test(
		    server.proc.err.slice(at)));
		assert.equal(server.proc.status, null, "it ended");
		assert.match(server.proc.err.slice(at), why);
	};

	try {
		await refused(text, `sha256:${"g".repeat(64)}\n`,
		    /64 hexadecimal digits are expected/);
		const pem = fs.readFileSync(path.join(server.dir,
		    "s/keys/ca.crt"), "utf8");
		for (const bad of ["", "no certificate", pem.repeat(40)]) {
			fs.writeFileSync(ca, bad);
			await refused(text.replace(/^listen runner.*$/m,
			    `$& client ca "${ca}"`), `${server.master_key}\n`,
			    new RegExp(`client ca ${ca} cannot be used`));
		}
		for (const [conf, why] of [
		    [many((i) => `hostname "h${i}"`), /at most 64 `hostname'/],
		    [many((i) => `origin "http://h${i}"`), /at most 64 `origin'/],
		    [many((i) => `admin user "u${i}" password "${sha}"`),
			/at most 64 `admin user'/],
		    [`admin user "u" password "$argon2id$${"x".repeat(151)}"\n`,
			/the hash has more than 160 bytes/]])
			await refused(text + conf, `${server.master_key}\n`,
			    why);
		await refused(`${text}database "host=/nowhere"\n` +
		    `database password file "${server.dir}"\n`,
		    `${server.master_key}\n`, /password file: .*: Is a directory/);
		// Another one would open nothing, another CA let no runner in.
		for (const name of ["encryption-key", "ca.key", "ca.crt"]) {
			const key = path.join(server.dir, "s/keys", name);

			fs.renameSync(key, `${key}.away`);
			try {
				await refused(text, `${server.master_key}\n`,
				    new RegExp(`${key} is gone`));
				assert.ok(!fs.existsSync(key));
			} finally {
				fs.renameSync(`${key}.away`, key);
			}
		}
	} finally {
		fs.writeFileSync(server.conf, text);
		fs.writeFileSync(file, `${server.master_key}\n`);
	}
	// What is read once is not read again, whatever became of it.
	const position = path.join(server.dir, "s/keys/position-key");
	const was = fs.readFileSync(position);
	fs.writeFileSync(position, "no key");
	const at = server.proc.err.length;
	server.proc.signal("SIGHUP", false);
	await until("all to be told", () => server.proc.status ||
	    WORKERS.every((name) => server.proc.err.slice(at).includes(
	    `${name} debug: PROC_CONFIGURED`)));
	fs.writeFileSync(position, was);
	assert.equal((await admin(server.admin_password)).status, 200);
	const now = await server.processes();
	for (const name of WORKERS)
		assert.equal(now[name].pid, before[name].pid, name);
});

// What it opened ends with it: a ticket as well as what is remembered of it.
test("SIGHUP: what an old password or master key opened is over", async () => {
	const text = fs.readFileSync(server.conf, "utf8");
	const file = path.join(server.dir, "master.key");
	const hash = (p) => crypto.createHash("sha256").update(p).digest("hex");
	const target = "/api/v1/events";
	const origin = server.admin_url;
	const at = server.api.as({ url: server.admin_url });
	const make = (who) => at.as(who).must(201, "POST",
	    "/api/v1/stream-tickets", { target }, { origin });
	const old = { basic: `admin:${server.admin_password}` };
	const tickets = [await make(old),
	    await make({ token: server.master_key })];
	const status = async (i) => {
		const f = follow_sse(`${server.admin_url}${target}?ticket=` +
		    encodeURIComponent(tickets[i].ticket),
		    { headers: { origin } });
		await until("an answer", () => f.opened > 0 || f.ended);
		f.close();
		return f.requests[0].status;
	};
	const other = (i) => fs.writeFileSync(server.conf, text.replace(
	    hash(server.admin_password), hash(`other ${i}`)));
	const takes = (i) => until("the other password", async () =>
	    (await admin(`other ${i}`)).status === 200);

	assert.deepEqual([await status(0), await status(1)], [200, 200]);
	other(1);
	server.proc.signal("SIGHUP", false);
	await takes(1);
	assert.deepEqual([await status(0), await status(1)], [401, 200]);
	fs.writeFileSync(file, `mk_${"0".repeat(64)}\n`);
	server.proc.signal("SIGHUP", false);
	await until("the other master key", async () => (await at.as({ token:
	    `mk_${"0".repeat(64)}` }).get("/api/v1/me")).status === 200);
	assert.deepEqual([await status(0), await status(1)], [401, 401]);
	// Nobody is told by a sessiond that was not there.
	const { pid } = (await server.processes()).sessiond;
	assert.equal((await admin("other 1")).status, 200);
	other(2);
	process.kill(pid, "SIGKILL");
	server.proc.signal("SIGHUP", false);
	await takes(2);
	assert.equal((await admin("other 1")).status, 401);
	fs.writeFileSync(file, `${server.master_key}\n`);
	fs.writeFileSync(server.conf, text);
	server.proc.signal("SIGHUP", false);
	await until("the first password", async () =>
	    (await at.as(old).get("/api/v1/me")).status === 200);
});

// A request that is only half sent: the rest follows when asked to.
function half(port, head, body) {
	const s = net.connect(port, "127.0.0.1");
	const got = new Promise((done, fail) => {
		let text = "";
		s.on("data", (d) => { text += d; });
		s.on("error", fail);
		s.on("close", () => done(text));
	});

	s.write(`${head.join("\r\n")}\r\ncontent-length: ${body.length}\r\n` +
	    `\r\n${body.slice(0, 10)}`);
	return { rest: () => s.write(body.slice(10)), got };
}

const is_refused = (port) => new Promise((done) => {
	const s = net.connect(port, "127.0.0.1");

	s.on("error", (e) => done(e.code === "ECONNREFUSED"));
	s.on("connect", () => {
		s.destroy();
		done(false);
	});
});

test("SIGTERM: what is under way is finished, then everything ends",
    async () => {
	const s = await server.session({ agent: "custom:puppet" });
	await server.is(s, "active");
	const t = await server.task(s, JSON.stringify([
	    { append: ["t.txt", "x"] }, ASK, { out: "after" }]));
	const p = await server.asked(t);
	const body = JSON.stringify({ session_id: s.id, prompt:
	    '[{"out":"posted"}]', labels: { made: "while stopping" } });
	const post = half(server.ports.api, ["POST /api/v1/tasks HTTP/1.1",
	    "host: localhost", `authorization: Bearer ${server.api.o.token}`,
	    "content-type: application/json", "connection: close"], body);
	const events = follow_sse(`${server.url}/api/v1/events`,
	    { token: server.api.o.token });
	await until("a follower", () => events.opened === 1);
	const all = tree(server.proc.pid);
	assert.ok(all.length > 12);
	const from = Date.now();
	const halt = server.halt();
	await server.proc.says(/stopping: requests under way are finished/);
	// Nobody is let in to wait for the end of it.
	for (const name of ["api", "admin", "runner"])
		await until(`${name} to refuse who comes now`, () =>
		    is_refused(server.ports[name]), 5000);
	post.rest();
	const said = await within("the half request", LONG_MS, post.got);
	assert.match(said, /^HTTP\/1\.1 201 /);
	const made = JSON.parse(said.slice(said.indexOf("\r\n\r\n")));
	events.close();
	const status = await halt;
	assert.deepEqual(status, { code: 0, signal: null });
	assert.ok(Date.now() - from < 15000, "it took too long");
	assert.deepEqual(all.filter(lives), []);
	assert.ok(!fs.existsSync(postmaster_file()), "PostgreSQL was not " +
	    "stopped in order");
	assert.ok(!fs.existsSync(server.socket));
	assert.match(server.log(), /marionetted info: stopped/);

	await server.start();
	await runner.online();
	// The run went on without us, and so does everything else.
	await server.approve(p);
	assert.equal((await server.ended(t)).status, "completed");
	assert.equal(runner.read(s, "t.txt"), "x\n");
	assert.equal((await server.runs(t)).length, 1);
	assert.equal((await server.ended(made)).status, "completed");
	await server.terminate(s);
});

const types = ["session.created", "session.active", "task.created",
    "task.running", "task.completed", "session.terminated"];
const follow = (after) => follow_sse(`${server.url}/api/v1/events` +
    (after ? `?after=${encodeURIComponent(after)}` : ""),
    { token: server.api.o.token, types });

test("a restart: keys, sessions, conversations, positions, sealed credentials",
    async () => {
	const config = await server.local.must(201, "POST",
	    "/admin/api/v1/agent-configs", { name: "house", agent: "claude",
	    api_key: "sk-ant-house-key-0001", base_url: model.url });
	const reader = await server.key({ name: "reader",
	    scopes: ["sessions:read"] });
	const gone = await server.key({ name: "gone" });
	await server.local.must(200, "POST",
	    `/admin/api/v1/keys/${gone.id}/revoke`, { reason: "test" });
	const first = follow();
	await until("a follower", () => first.opened === 1);
	const s = await server.session({ agent: "claude", agent_config_id:
	    config.id, labels: { a: "b" } });
	const { task } = await server.run(s, "The word is plum [[text:noted]]");
	const idem = { "idempotency-key": "over the restart" };
	const later = await server.api.post("/api/v1/tasks", { session_id: s.id,
	    prompt: "[[recall]] later" }, idem);
	await server.ended(later.json);
	await first.has("the last event", (i) => i.data.type ===
	    "task.completed" && i.data.task_id === later.json.id);
	first.close();
	const at = first.items.at(-1);
	const lines = await server.lines(task);

	assert.equal((await server.halt()).code, 0);
	await server.start();
	await runner.online();

	assert.deepEqual((await reader.api.must(200, "GET", "/api/v1/me")).scopes,
	    ["sessions:read"]);
	const refused = await gone.api.get("/api/v1/me");
	assert.equal(refused.json.code, "token_revoked");
	const now = await server.is(s, "active");
	assert.deepEqual(now.labels, { a: "b" });
	assert.equal(now.runner_id, runner.id);
	assert.equal((await server.get_task(task)).result, "noted");
	assert.deepEqual(await server.lines(task), lines);
	const again = await server.api.post("/api/v1/tasks", { session_id: s.id,
	    prompt: "[[recall]] later" }, idem);
	assert.equal(again.json.id, later.json.id);
	assert.equal(again.headers["idempotent-replayed"], "true");
	// The stored credential is opened again, the conversation goes on.
	const next = await server.run(s, "And now? [[recall]]");
	assert.match(next.task.result, /The word is plum/);
	// Positions of before are good: nothing missed, nothing repeated.
	const second = follow(at.id);
	await second.has("the next end", (i) => i.data.type ===
	    "task.completed" && i.data.task_id === next.task.id);
	second.close();
	const ids = [...first.items, ...second.items].map((i) => i.data.id);
	assert.equal(new Set(ids).size, ids.length);
	assert.deepEqual(second.items.filter((i) => i.data.task_id ===
	    next.task.id).map((i) => i.data.type),
	    ["task.created", "task.running", "task.completed"]);
	await server.terminate(s);
});

test("kill -9 of the parent: nothing of it is left, runs go on, it starts"
    + " again at once", async () => {
	const s = await server.session({ agent: "custom:puppet" });
	await server.is(s, "active");
	const t = await server.task(s, JSON.stringify([
	    { append: ["k.txt", "x"] }, ASK, { flood: 300 }, { out: "end" }]));
	const p = await server.asked(t);
	const queued = await server.task(s, '[{"out":"queued"}]');
	const all = tree(server.proc.pid);
	await server.halt("SIGKILL");
	// PostgreSQL writes all that it has to the disk first.
	await until("all of it to be gone", () => all.every((x) => !lives(x)),
	    undefined, 20);
	await server.start();
	await runner.online();
	await server.approve(p);
	const end = await server.ended(t);
	assert.equal(end.status, "completed");
	assert.equal(runner.read(s, "k.txt"), "x\n");
	assert.equal((await server.runs(t)).length, 1);
	const lines = await server.lines(t, "&stream=stdout");
	assert.equal(lines.filter((l) => /^flood/.test(l.content)).length, 300);
	assert.equal((await server.ended(queued)).status, "completed");
	await server.terminate(s);
});

test("kill -9 of the parent, whose PostgreSQL lives on: it is stopped first",
    async () => {
	const pid = Number(fs.readFileSync(postmaster_file(), "utf8")
	    .split("\n")[0]);
	const s = await server.session({ agent: "custom:nobody" });

	// It hears of its parent's death only when it goes on, later.
	process.kill(pid, "SIGSTOP");
	server.proc.signal("SIGKILL", false);
	await until("the parent to be gone", () => !lives(server.proc.pid));
	server.logs.push(server.proc.out + server.proc.err);
	const up = server.start();
	try {
		await server.proc.says(new RegExp("stopping its old " +
		    `postmaster \\(pid ${pid}\\)`));
	} finally {
		process.kill(pid, "SIGCONT");
	}
	await up;
	assert.ok(!lives(pid));
	assert.equal((await server.get_session(s)).id, s.id);
	await server.terminate(s);
	await runner.online();
});

test("kill -9 of the parent, whose PostgreSQL has only begun: it ends, too",
    async () => {
	const stat = (pid) => fs.readFileSync(`/proc/${pid}/stat`, "latin1")
	    .replace(/^.*\) /s, "").split(" ").map(Number);
	const session = (pid) => stat(pid)[3];

	assert.equal((await server.halt()).code, 0);
	is_slow = true;
	server.launch();
	is_slow = false;
	const pid = await until("PostgreSQL to begin", () =>
	    tree(server.proc.pid).find((p) => session(p) === p), undefined, 5);
	try {
		process.kill(stat(pid)[1], "SIGKILL");
		await until("it to be gone", () => !lives(pid));
	} finally {
		if (lives(pid))
			process.kill(pid, "SIGINT");
		await server.proc.wait();
	}
	server.logs.push(server.proc.out + server.proc.err);
	await server.start();
	await runner.online();
});

test("SIGTERM twice: at once", async () => {
	const events = follow();
	await until("a follower", () => events.opened === 1);
	const from = Date.now();
	server.proc.signal("SIGTERM", false);
	const status = await server.halt();
	events.close();
	assert.equal(status.code, 0);
	assert.ok(Date.now() - from < 8000);
	await server.start();
	await runner.online();
});

// Puts the next start on the state directory `name', made by fill(its path).
function move(name, fill) {
	const state = path.join(server.dir, name);
	const text = fs.readFileSync(server.conf, "utf8");

	fs.mkdirSync(state, { mode: 0o755 });
	fill(state);
	fs.writeFileSync(server.conf, text.replace(/^state directory .*$/m,
	    `state directory "${state}"`));
	return state;
}

// A backup, as the manual has it.
function put_back(from, state) {
	for (const name of ["keys", "postgres"])
		execFileSync("cp", ["-a", path.join(server.dir, from, name),
		    state]);
}

let kept;	// a task
async function is_there() {
	assert.equal((await server.api.get("/api/v1/me")).status, 200);
	assert.equal((await server.get_task(kept)).status, "completed");
	assert.equal(await server.printed(kept), "kept\n");
}

test("keys and postgres put back on a new machine: all is there", async () => {
	const s = await server.session({ agent: "custom:puppet" });
	kept = (await server.run(s, '[{"out":"kept"}]')).task;

	assert.equal((await server.halt()).code, 0);
	move("back", (state) => put_back("s", state));
	await server.start();
	await is_there();
	await runner.online();
	assert.equal((await server.run(s, '[{"out":"on"}]')).task.status,
	    "completed");
	await server.terminate(s);
});

// The parent is killed at its first start, with all that it began; the database.
async function cut_short(state) {
	const data = path.join(state, "postgres");

	server.launch();
	await until("initdb to be under way", () =>
	    fs.existsSync(path.join(data, "base/1/PG_VERSION")), undefined, 5);
	const begun = tree(server.proc.pid);
	await server.halt("SIGKILL");
	for (const pid of begun.filter(lives))
		process.kill(pid, "SIGKILL");
	assert.ok(fs.readdirSync(data).length > 0);
	return data;
}

const aside = (state) => fs.readdirSync(state).filter((f) =>
    f.startsWith("postgres.half-made"));

test("kill -9 of the parent at its first start: half a database is put aside",
    async () => {
	assert.equal((await server.halt()).code, 0);
	const state = move("new", () => {});
	await cut_short(state);
	await server.start();
	await server.proc.says(/was half made; it is now \S+half-made/);
	assert.equal((await server.halt()).code, 0);
	await server.start();
	assert.equal(aside(state).length, 1);
});

test("SIGHUP while it starts: it starts, and reads its configuration again",
    async () => {
	assert.equal((await server.halt()).code, 0);
	move("early", () => {});
	const up = server.start();
	await server.proc.says(/initdb in/);
	server.proc.signal("SIGHUP", false);
	await up;
	await server.proc.says(/reload: /);
	assert.equal((await admin(server.admin_password)).status, 200);
});

test("a database that is put back in place of half a one is used", async () => {
	assert.equal((await server.halt()).code, 0);
	const state = move("removed", () => {});
	const data = await cut_short(state);
	fs.rmSync(data, { recursive: true });
	put_back("back", state);
	await server.start();
	await is_there();
	assert.deepEqual(aside(state), []);
});

test("a database that is put back where none could be made is used",
    async () => {
	assert.equal((await server.halt()).code, 0);
	const state = move("failed", () => {});
	const bin = path.join(server.dir, "bin");
	const text = fs.readFileSync(server.conf, "utf8");
	fs.mkdirSync(bin);
	fs.writeFileSync(path.join(bin, "initdb"), "#!/bin/sh\nexit 1\n",
	    { mode: 0o755 });
	fs.appendFileSync(server.conf, `database embedded binaries "${bin}"\n`);
	server.launch();
	assert.equal((await server.proc.wait()).code, 1);
	fs.writeFileSync(server.conf, text);
	put_back("back", state);
	await server.start();
	await is_there();
	assert.deepEqual(aside(state), []);
});

test("a worker that dies at once while others are started is not forgotten",
    async () => {
	const bin = path.join(server.dir, "broken");
	const O = path.dirname(server.proc.argv.find((a) =>
	    a.endsWith("/marionetted")));

	assert.equal((await server.halt()).code, 0);
	fs.mkdirSync(bin);
	for (const name of fs.readdirSync(O))
		if (name !== "marionetted" && name !== "storaged")
			fs.symlinkSync(path.join(O, name), path.join(bin, name));
	fs.copyFileSync(path.join(O, "marionetted"),
	    path.join(bin, "marionetted"));
	const r = await run([...BUSY, path.join(bin, "marionetted"), "-f",
	    server.conf]);
	assert.equal(r.code, 1);
	assert.match(r.err, /storaged died 5 times before it was ready/);
	await server.start();
});

ends_well(server);
