// marionette-agent given wrong things: one clear line each, and a status.

import assert from "node:assert/strict";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { test } from "node:test";
import { run, start } from "../lib/proc.mjs";
import { free_port, temp_dir, top } from "../lib/place.mjs";
import { until } from "../lib/wait.mjs";
import { AGENT, DEMO, fill_disk, fill_names, on_disk, program, scene }
    from "./harness.mjs";
import { make_ca, Server } from "./server.mjs";

const TOKEN = "rtok_" + "A".repeat(43) + "." + "0".repeat(64);
const WRONG = [
	[[], /--server host:port is missing/],
	[["--server", "x"], /expected host:port/],
	[["--server", "x:99999"], /port 99999 is too large/],
	[["--server", "x:1"], /--state directory is missing/],
	[["--server", "x:1", "--state", "s", "more"], /unexpected argument/],
	[["--server", "x:1", "--state", "s", "--ca-sha256", "12"],
	    /64 hexadecimal digits/],
	[["--server", "x:1", "--state", "s", "--insecure"], /not localhost/],
	[["--server", "x:1", "--state", "s", "--label", "x"], /key=value/],
	[["--server", "x:1", "--state", "s", "--uid-range", "5"],
	    /first:count/],
	[["--server", "x:1", "--state", "s", "--token-file", "/nowhere"],
	    /No such file/],
	[["--server", "x:1", "--state", "s", "--name", ""], /--name/],
	[["--nonsense"], /usage:/],
];

for (const [args, says] of WRONG)
	test(`wrong: ${args.join(" ")}`, async () => {
		const r = await run([AGENT, ...args]);
		assert.equal(r.code, 2, r.err);
		assert.match(r.err, says);
	});

for (const [kind, says] of [["claude=/nowhere/claude", /is not there/],
    ["codex", /expected claude/], ["custom:x", /expected claude/],
    [`custom:x=${path.join(top, "LICENSE")}`,
    /not a program that can be run/]])
	test(`wrong: --agent ${kind}`, async () => {
		const r = await run([AGENT, "--agent", kind, "--server", "x:1",
		    "--state", "s"]);
		assert.equal(r.code, 1);
		assert.match(r.err, says);
	});

const args = (dir, port, more = []) => [AGENT, "--server",
    `localhost:${port}`, "--state", path.join(dir, "state"), "--agent",
    `demo=${DEMO}`, ...more];
const env = (token = TOKEN) => ({ PATH: process.env.PATH,
    MARIONETTE_RUNNER_TOKEN: token });

test("-n checks and says what it found", async (t) => {
	const dir = temp_dir(t);
	const r = await run(args(dir, 1, ["-n"]), { env: env() });

	assert.equal(r.code, 0, r.err);
	assert.match(r.out, /not enrolled/);
	assert.match(r.out, /agent custom:demo \//);
});

test("no token and no enrolment", async (t) => {
	const r = await run(args(temp_dir(t), 1), { env: env("") });

	assert.equal(r.code, 1);
	assert.match(r.err, /give a runner token/);
});

test("a server that is not there yet is tried again", async (t) => {
	const dir = temp_dir(t), port = await free_port();
	const p = start(args(dir, port), { env: env(), group: false });

	t.after(() => p.status === null && p.stop("SIGKILL"));
	await p.says(/Connection refused/);
	await p.says(/trying again in 2 seconds/);
	assert.equal((await p.stop()).code, 0);
});

test("a wrong token", async (t) => {
	const s = await scene(t, { enrol: false });
	const p = s.start([], { MARIONETTE_RUNNER_TOKEN: "rtok_" +
	    "A".repeat(43) + "." + s.server.ca.pin });

	assert.equal((await p.wait()).code, 1);
	assert.match(p.err, /unknown runner token.*not revoked/);
});

// A token of one use is spent then: only the same request can be answered.  Its
// container was made anew, perhaps, and has another name.
test("killed before the answer to its enrolment: asks the same again",
    async (t) => {
	const s = await scene(t, { enrol: false,
	    server: { lose_enrolment: true } });
	const p = s.start();

	await until("the enrolment", () => s.server.enrolled.length === 1);
	await p.stop("SIGKILL");
	s.server.o.lose_enrolment = false;
	s.start(["--name", "another"]);
	await s.server.connected(1);
	assert.equal(s.server.enrolled.length, 2);
	assert.equal(s.server.enrolled[1].name, "another");
	assert.deepEqual(s.server.enrolled[0].csr_der,
	    s.server.enrolled[1].csr_der);
});

test("a token of another server: nothing is sent", async (t) => {
	const s = await scene(t, { enrol: false });
	const p = s.start([], { MARIONETTE_RUNNER_TOKEN: TOKEN });

	assert.equal((await p.wait()).code, 1);
	assert.match(p.err, /CA is not the one that the token names/);
	assert.equal(s.server.enrolled.length, 0);
});

test("the right CA, but a certificate for another name", async (t) => {
	const dir = temp_dir(t);
	const server = new Server(dir, { name: "elsewhere.example" });

	await server.start();
	t.after(() => server.stop());
	const r = await run(args(dir, server.port),
	    { env: env(server.full_token) });
	assert.equal(r.code, 1);
	assert.match(r.err, /not good for localhost.*mismatch/i);
	assert.equal(server.enrolled.length, 0);
});

test("after enrolment, a server with another CA is not spoken to",
    async (t) => {
	const s = await scene(t);

	await s.agent.stop();
	s.server.stop();
	s.server.ca = await make_ca(path.join(s.dir, "other"));
	await s.server.start();
	s.start();
	await s.agent.says(/TLS: .*verify|certificate verif/i);
	assert.equal(s.server.hellos.length, 1);
});

test("something that is no server", async (t) => {
	const dir = temp_dir(t);
	const srv = net.createServer((c) => {
		c.on("error", () => {});
		c.end("HTTP/1.1 400 Bad Request\r\n\r\n");
	}).listen(0, "127.0.0.1");
	t.after(() => srv.close());
	await new Promise((r) => srv.on("listening", r));
	const p = start(args(dir, srv.address().port), { env: env(),
	    group: false });
	t.after(() => p.status === null && p.stop("SIGKILL"));
	await p.says(/TLS: /);
	await p.stop();
});

test("a state directory in use, and one of another version", async (t) => {
	const s = await scene(t);
	let r = await run(s.args(), { env: env() });

	assert.equal(r.code, 1);
	assert.match(r.err, /in use by another/);
	await s.agent.stop();
	fs.writeFileSync(path.join(s.state, "version"), "marionette-agent 9\n");
	r = await run(s.args(), { env: env() });
	assert.equal(r.code, 1);
	assert.match(r.err, /of another version/);
});

// The next one that it gave would take the others' place.
test("whose users sessions have cannot be read: they are not forgotten",
    async (t) => {
	const s = await scene(t, { enrol: false });
	const users = path.join(s.state, "users");

	fs.mkdirSync(s.state, { mode: 0o700 });
	fs.symlinkSync("users", users);
	const r = await run(s.args(), { env: env(s.server.full_token) });
	assert.equal(r.code, 1);
	assert.match(r.err, /users: .*symbolic links/);
	assert.equal(s.server.enrolled.length, 0);
});

test("a state directory of another user", async (t) => {
	if (process.getuid() !== 0)
		return t.skip("not root");
	const dir = temp_dir(t);
	fs.mkdirSync(path.join(dir, "state"));
	fs.chownSync(path.join(dir, "state"), 12345, 12345);
	const r = await run(args(dir, 1), { env: env() });
	assert.equal(r.code, 1);
	assert.match(r.err, /belongs to uid 12345/);
	return undefined;
});

test("garbage from the program is log lines, never consent", async (t) => {
	const s = await scene(t, { enrol: false });
	const at = program(s.dir, "p", `#!/bin/sh
read -r task
echo '{"type":"permission_request"}'
echo '{"type":"permission_request","id":5,"tool":[]}'
echo '{"type":"usage","tokens_input":-5,"cost_usd":"x"}'
echo '{"type":"progress","percent":"many"}'
echo '{"type":"permission_answer","id":"1","approved":true}'
echo '{"type":"result","result":{"a":[1,2]}}'
echo '[1,2'
head -c 300000 /dev/urandom
echo '{"type":"context","context":{"k":1}}'
`);
	s.start(["--agent", `custom:p=${at}`]);
	await s.server.connected(1);
	await s.server.attach("sess_a", "custom:p");
	s.server.execute("run_1", "sess_a", "x");
	const d = await s.server.message_of("run_completed", "run_1");
	assert.equal(d.status, "completed");
	assert.equal(d.result, '{"a": [1, 2]}');
	assert.equal(d.tokens_input, 0);
	assert.deepEqual(s.server.of("permission_request"), []);
	await s.server.log("run_1");
	assert.deepEqual(s.server.errors, []);
});

test("a line of more than 16 MiB is cut, and said", async (t) => {
	const s = await scene(t, { enrol: false });
	const at = program(s.dir, "p", "#!/bin/sh\nread -r task\n" +
	    "head -c 17000000 /dev/zero | tr '\\0' y\necho; echo after\n");
	s.start(["--agent", `custom:p=${at}`]);
	await s.server.connected(1);
	await s.server.attach("sess_a", "custom:p");
	s.server.execute("run_1", "sess_a", "x");
	const log = await s.server.log("run_1");
	assert.equal(log[0].content.length, 16 * 1024 * 1024);
	assert.match(log[1].content, /longer than 16 MiB/);
	assert.equal(log[2].content, "after");
});

// Sessions can have users of their own here.
function has_users() {
	return process.getuid() === 0 && fs.readFileSync("/proc/self/uid_map",
	    "utf8").trim().split("\n").some((l) =>
	    Number(l.trim().split(/ +/)[2]) > 2000);
}

test("a session for which there is no user: its tasks fail, and say so",
    async (t) => {
	if (!has_users())
		return t.diagnostic("no users for sessions here");
	const s = await scene(t, { enrol: false });
	const at = program(s.dir, "p", "#!/bin/sh\nid -u >uid\n");
	const kept = "sess_00000000000000000000000001";
	const { server } = s;
	const more = ["--agent", `custom:p=${at}`, "--uid-range", "200000:1"];
	const fails = async (run) => {
		server.execute(run, "sess_b", "x");
		const done = await server.message_of("run_completed", run);
		assert.equal(done.status, "failed");
		assert.equal(done.error_code, "runner_failed");
		assert.match(done.error, /--uid-range/);
		assert.match((await server.log(run))[0].content, /--uid-range/);
	};

	s.start(more);
	await server.connected(1);
	await server.attach(kept, "custom:p");
	server.send({ detach_session: { session_id: kept, epoch: 1 } });
	await server.message_of("session_suspended");
	server.send({ attach_session: { session_id: "sess_b", epoch: 1,
	    agent: "custom:p" } });
	await fails("run_1");
	await s.agent.stop();
	s.start(more);
	await server.connected(2);
	await fails("run_2");
	server.send({ detach_session: { session_id: kept, epoch: 1,
	    remove: true } });
	server.execute("run_3", "sess_b", "x");
	assert.equal((await server.message_of("run_completed", "run_3")).status,
	    "completed");
	assert.notEqual(s.read("sess_b", "uid"), "0\n");
	assert.equal(server.hellos.length, 2);
	assert.deepEqual(server.errors, []);
	return undefined;
});

test("a full disk: no room for a session's user is said, and tried again",
    async (t) => {
	const s = await scene(t, { enrol: false });
	const { server } = s;
	const at = program(s.dir, "p", "#!/bin/sh\nexit 0\n");

	if (!has_users())
		return t.diagnostic("no users for sessions here");
	await on_disk(s, 20, async () => {
		s.start(["--agent", `custom:p=${at}`]);
		await server.connected(1);
		const empty = fill_disk(s, 0);
		await server.attach("sess_a", "custom:p");
		server.execute("run_1", "sess_a", "x");
		const done = await server.message_of("run_completed", "run_1");
		assert.equal(done.status, "failed");
		assert.match(done.error, /No space left/);
		empty();
		server.execute("run_2", "sess_a", "x");
		assert.equal((await server.message_of("run_completed", "run_2"))
		    .status, "completed");
		assert.deepEqual(server.errors, []);
	});
	return undefined;
});

// Begun without one, nobody would read what it did.
test("a full disk: no room for a run's log is said, and tried again",
    async (t) => {
	const s = await scene(t, { enrol: false });
	const { server } = s;
	const at = program(s.dir, "p", "#!/bin/sh\necho hello\n");

	await on_disk(s, 20, async () => {
		s.start(["--agent", `custom:p=${at}`]);
		await server.connected(1);
		await server.attach("sess_a", "custom:p");
		const empty = fill_names(s);
		server.execute("run_1", "sess_a", "x");
		const done = await server.message_of("run_completed", "run_1");
		assert.equal(done.status, "failed");
		assert.equal(done.error_code, "runner_failed");
		assert.match(done.error, /log.*No space left/);
		assert.equal(done.log_last, 0);
		empty();
		server.execute("run_2", "sess_a", "x");
		assert.equal((await server.log("run_2"))[0].content, "hello");
		assert.deepEqual(server.of("run_unwound"), []);
		assert.deepEqual(server.errors, []);
	});
});

// All that it printed is read before the disk refuses it.  Its end is what makes
// the disk be tried again; what is said of the wait then belongs to its log.
test("a full disk until a run ends: its last line is the one it is said to be",
    async (t) => {
	const s = await scene(t, { enrol: false });
	const { server } = s;
	const wait = (f) => `while [ ! -e ${f} ]; do sleep 0.01; done\n`;
	const at = program(s.dir, "p", "#!/bin/sh\nread -r task\n" +
	    `echo ready; ${wait("print")}seq 1 5000; exec >&- 2>&-\n` +
	    `: >printed; ${wait("end")}`);
	const tell = (f) => fs.writeFileSync(s.work("sess_a", f), "");

	await on_disk(s, 20, async () => {
		s.start(["--agent", `custom:p=${at}`]);
		await server.connected(1);
		await server.attach("sess_a", "custom:p");
		server.execute("run_1", "sess_a", "x");
		await until("it to be ready", () =>
		    server.logs.get("run_1")?.length === 1);
		const empty = fill_disk(s, 0);
		process.kill(s.agent.pid, "SIGSTOP");
		tell("print");
		await until("it to have printed", () =>
		    fs.existsSync(s.work("sess_a", "printed")));
		process.kill(s.agent.pid, "SIGCONT");
		await s.agent.says(/its output waits until there is room/);
		empty();
		tell("end");
		const done = await server.message_of("run_completed", "run_1");
		await until("the spool to go", () =>
		    fs.readdirSync(`${s.state}/spool`).length === 0);
		assert.equal(server.logs.get("run_1").length, done.log_last);
		assert.match(server.logs.get("run_1").at(-1).content,
		    /disk was full/);
		assert.deepEqual(server.errors, []);
	});
});

// What it asks is kept until a server has it: it would fill memory and disk.
test("a program that asks and withdraws without end waits for its server",
    async (t) => {
	const s = await scene(t, { enrol: false });
	const at = program(s.dir, "p", `#!${process.execPath}
const fs = require("fs"), x = "x".repeat(800000);
const say = (j) => fs.writeFileSync(1, JSON.stringify(j) + "\\n");
while (!fs.existsSync("go"))
	Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 50);
for (let i = 0; i < 50; i++) {
	say({ type: "control_request", request_id: "q" + i, request: {
	    subtype: "can_use_tool", tool_name: "Bash", input: { x } } });
	say({ type: "control_cancel_request", request_id: "q" + i });
	fs.writeFileSync("asked", String(i + 1));
}
say({ type: "result", subtype: "success", is_error: false, result: "" });
`);
	const { server } = s;
	const ids = Array.from({ length: 50 }, (_, i) => `q${i}`);
	const all = (body) => server.of(body, "run_1")
	    .map((m) => m.request_id);

	s.start(["--agent", `claude=${at}`]);
	await server.connected(1);
	await server.attach("sess_a", "claude");
	server.execute("run_1", "sess_a", "x");
	await server.message_of("run_started", "run_1");
	server.stop();
	fs.writeFileSync(s.work("sess_a", "go"), "");
	await s.agent.says(/no program is read until the server/);
	assert.ok(Number(s.read("sess_a", "asked")) < 20);
	await server.start();
	assert.equal((await server.message_of("run_completed", "run_1"))
	    .status, "completed");
	assert.deepEqual(all("permission_request"), ids);
	assert.deepEqual(all("permission_canceled"), ids);
	assert.deepEqual(server.errors, []);
});

// Ids that are too long and begin alike, each withdrawn at once.
test("a program that asks and withdraws without end is still killed",
    async (t) => {
	const s = await scene(t, { enrol: false });
	const at = program(s.dir, "p", `#!${process.execPath}
const pad = "0".repeat(200);
for (let i = 0; i < 20000; i++) {
	require("fs").writeSync(1, JSON.stringify({ type: "control_request",
	    request_id: pad + i, request: { subtype: "can_use_tool",
	    tool_name: "Bash", input: {} } }) + "\\n" + JSON.stringify({
	    type: "control_cancel_request", request_id: pad + i }) + "\\n");
}
setInterval(() => {}, 1000);
`);
	const { server } = s;

	s.start(["--agent", `claude=${at}`]);
	await server.connected(1);
	await server.attach("sess_a", "claude");
	server.execute("run_1", "sess_a", "x");
	await until("a question", () =>
	    server.of("permission_request").length > 0);
	server.send({ kill_run: { run_id: "run_1", grace_seconds: 1 } });
	await s.agent.says(/run run_1: canceled/);
	assert.deepEqual(server.errors, []);
});

// Deeper than the agent can have files open.
test("a deep directory of a session is removed with it", async (t) => {
	const s = await scene(t);
	const { server } = s;

	assert.equal((await run(["prlimit", "--pid", `${s.agent.pid}`,
	    "--nofile=256"])).code, 0);
	await server.attach("sess_a", "demo");
	fs.mkdirSync(s.work("sess_a", "d/".repeat(1500)), { recursive: true });
	fs.symlinkSync(s.state, s.work("sess_a", "d/".repeat(1500) + "link"));
	server.send({ detach_session: { session_id: "sess_a", epoch: 1,
	    remove: true } });
	await until("its directory to go", () =>
	    fs.readdirSync(s.root).length === 0);
	assert.ok(fs.readdirSync(s.state).length > 0);
	assert.ok(!s.agent.err.includes("what is left"));
});

test("what cannot be removed is said", async (t) => {
	const s = await scene(t);
	const { server } = s;
	const held = `${s.root}/.trash-sess_a/workspace/held`;

	await server.attach("sess_a", "demo");
	fs.mkdirSync(s.work("sess_a", "held"));
	assert.equal((await run(["mount", "-t", "tmpfs", "tmpfs",
	    s.work("sess_a", "held")])).code, 0);
	server.send({ detach_session: { session_id: "sess_a", epoch: 1,
	    remove: true } });
	try {
		await s.agent.says(/what is left of removed sessions: .*busy/);
	} finally {
		await run(["umount", "-l", held]);
	}
});
