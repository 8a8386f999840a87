// marionette-agent against an independent gRPC server: enrolment, tasks with
// the demo agent and with programs made for the purpose, permissions, logs,
// reconnecting.

import assert from "node:assert/strict";
import fs from "node:fs";
import { test } from "node:test";
import { until } from "../lib/wait.mjs";
import { processes, program, scene } from "./harness.mjs";

test("enrols, signs, and is known again without a token", async (t) => {
	const s = await scene(t);
	const e = s.server.enrolled[0];

	assert.equal(e.name, "test");
	assert.deepEqual(e.agents, ["custom:demo"]);
	assert.match(e.sandbox_mode, /^(namespace|uid|none)$/);
	assert.ok(JSON.parse(e.resources_json).cpus > 0);
	assert.deepEqual(JSON.parse(e.labels_json), {});
	assert.equal(fs.statSync(`${s.state}/key.pem`).mode & 0o777, 0o600);
	assert.equal(fs.statSync(s.state).mode & 0o777, 0o700);
	assert.equal((await s.agent.stop()).code, 0);
	s.start([], { MARIONETTE_RUNNER_TOKEN: "" });
	await s.server.connected(2);
	assert.equal(s.server.enrolled.length, 1);
	assert.notDeepEqual(s.server.hellos[0].sealing_key,
	    s.server.hellos[1].sealing_key);
	assert.deepEqual(s.server.errors, []);
});

test("plaintext on loopback, for development", async (t) => {
	const s = await scene(t, { server: { plaintext: true } });

	await s.server.attach("sess_a", "custom:demo");
	assert.deepEqual(s.server.errors, []);
});

test("the demo agent asks, writes, and reports", async (t) => {
	const s = await scene(t);
	const { server } = s;

	await server.attach("sess_a", "custom:demo");
	server.execute("run_1", "sess_a", 'say "hi"');
	const q = await server.message_of("permission_request", "run_1");
	assert.equal(q.tool, "Write");
	assert.equal(q.action, "Write: hello.md");
	assert.match(JSON.parse(q.input_json).content, /say "hi"/);
	assert.ok(!fs.existsSync(s.work("sess_a", "hello.md")));
	server.answer("run_1", q.request_id, true);
	const done = await server.message_of("run_completed", "run_1");
	assert.equal(done.status, "completed");
	assert.equal(done.exit_code, 0);
	assert.match(done.result, /I wrote hello.md/);
	assert.ok(done.tokens_input > 0);
	assert.match(s.read("sess_a", "hello.md"), /> say "hi"/);
	assert.deepEqual(server.of("permission_ack"),
	    [{ permission_id: "perm_run_1_write-1" }]);
	assert.deepEqual(server.up.filter((m) => m[m.body].run_id === "run_1")
	    .map((m) => m.body).filter((b) => b !== "run_progress"),
	    ["run_accepted", "run_started", "permission_request",
	    "run_completed"]);
	const log = await server.log("run_1");
	assert.deepEqual(log.filter((l) => l.kind === "permission" &&
	    l.stream === "system").map((l) => l.content),
	    ["Permission asked: Write: hello.md", "Permission given: Write"]);
	assert.ok(log.some((l) => l.content.startsWith("I am the demo agent")));
	assert.deepEqual(server.errors, []);
});

test("denied: nothing is written; edited: the edit is", async (t) => {
	const s = await scene(t);
	const { server } = s;

	await server.attach("sess_a", "demo");
	server.execute("run_1", "sess_a", "one");
	let q = await server.message_of("permission_request", "run_1");
	server.answer("run_1", q.request_id, false, { reason: "not today" });
	let done = await server.message_of("run_completed", "run_1");
	assert.equal(done.status, "completed");
	assert.match(done.result, /not allowed/);
	assert.deepEqual(fs.readdirSync(s.work("sess_a")), []);
	server.execute("run_2", "sess_a", "two");
	q = await server.message_of("permission_request", "run_2");
	server.answer("run_2", q.request_id, true, { input_json:
	    JSON.stringify({ file_path: "hello.md", content: "edited" }) });
	done = await server.message_of("run_completed", "run_2");
	assert.equal(s.read("sess_a", "hello.md"), "edited\n");
});

test("an edit that is no JSON object is no consent", async (t) => {
	const s = await scene(t);
	const { server } = s;

	await server.attach("sess_a", "demo");
	server.execute("run_1", "sess_a", "one");
	const q = await server.message_of("permission_request", "run_1");
	server.answer("run_1", q.request_id, true, { input_json: "{" });
	await server.message_of("run_completed", "run_1");
	assert.deepEqual(fs.readdirSync(s.work("sess_a")), []);
});

const LINES = `#!/bin/sh
read -r task
printf 'plain\\n\\n  spaces  \\ttab\\n'
printf 'bad \\377 utf8 \\000 nul\\n'
printf 'err\\n' >&2
head -c 100000 /dev/zero | tr '\\0' 'x'
printf '\\303\\251\\n'
i=0
while [ $i -lt 2000 ]; do echo "line $i é"; i=$((i + 1)); done
printf '{"type":"something_else"}\\n{"type":\\nno newline'
`;

test("lines are what the program printed, byte for byte", async (t) => {
	const s = await scene(t, { enrol: false });
	const at = program(s.dir, "lines", LINES);
	s.start(["--agent", `custom:lines=${at}`]);
	await s.server.connected(1);
	await s.server.attach("sess_a", "custom:lines");
	s.server.execute("run_1", "sess_a", "x");
	const log = await s.server.log("run_1");
	const out = log.filter((l) => l.stream === "stdout")
	    .map((l) => l.content);

	assert.equal(s.server.of("run_completed")[0].status, "completed");
	assert.deepEqual(out, ["plain", "", "  spaces  \ttab",
	    "bad \ufffd utf8 \ufffd nul", "x".repeat(100000) + "é",
	    ...Array.from({ length: 2000 }, (_, i) => `line ${i} é`),
	    '{"type":"something_else"}', '{"type":', "no newline"]);
	assert.deepEqual(log.filter((l) => l.stream === "stderr")
	    .map((l) => l.content), ["err"]);
	for (const l of s.server.logs.get("run_1"))
		assert.ok(Buffer.byteLength(l.content) <= 32768);
	assert.deepEqual(s.server.errors, []);
});

const FAILS = [
	["exit 3", "failed", "agent_failed", /status 3/, 3],
	["kill -9 $$", "failed", "agent_failed", /signal 9/, 137],
	["echo '{\"type\":\"result\",\"result\":\"r\",\"is_error\":true}'",
	    "failed", "agent_failed", /./, 0],
	["exec 1>&- 2>&-; sleep 0.2", "completed", "", /^$/, 0],
];

for (const [text, status, code, error, exit] of FAILS) {
	test(`a program that does: ${text}`, async (t) => {
		const s = await scene(t, { enrol: false });
		const at = program(s.dir, "p", `#!/bin/sh\n${text}\n`);
		s.start(["--agent", `custom:p=${at}`]);
		await s.server.connected(1);
		await s.server.attach("sess_a", "custom:p");
		s.server.execute("run_1", "sess_a", "x");
		const d = await s.server.message_of("run_completed", "run_1");
		assert.equal(d.status, status);
		assert.equal(d.error_code, code);
		assert.match(d.error, error);
		assert.equal(d.exit_code, exit);
	});
}

test("an agent that this runner does not have", async (t) => {
	const s = await scene(t);

	await s.server.attach("sess_a", "custom:other");
	s.server.execute("run_1", "sess_a", "x");
	const d = await s.server.message_of("run_completed", "run_1");
	assert.equal(d.status, "failed");
	assert.equal(d.error_code, "agent_missing");
	assert.match(d.error, /custom:other/);
});

test("a program that went away after the start", async (t) => {
	const s = await scene(t, { enrol: false });
	const at = program(s.dir, "p", "#!/bin/sh\n");
	s.start(["--agent", `custom:p=${at}`]);
	await s.server.connected(1);
	fs.unlinkSync(at);
	await s.server.attach("sess_a", "custom:p");
	s.server.execute("run_1", "sess_a", "x");
	const d = await s.server.message_of("run_completed", "run_1");
	assert.equal(d.error_code, "agent_missing");
});

const LOITER = `#!/bin/sh
(setsid sh -c 'trap "" TERM HUP INT; echo $$; sleep 5432') &
trap '' TERM
echo started
sleep 5432
`;

test("a kill takes everything that the run started", async (t) => {
	const s = await scene(t, { enrol: false });
	const at = program(s.dir, "p", LOITER);
	s.start(["--agent", `custom:p=${at}`]);
	await s.server.connected(1);
	await s.server.attach("sess_a", "custom:p");
	s.server.execute("run_1", "sess_a", "x");
	await until("it to start", () => processes("sleep 5432").length >= 2);
	s.server.send({ kill_run: { run_id: "run_1", reason: "canceled",
	    grace_seconds: 1 } });
	const d = await s.server.message_of("run_completed", "run_1");
	assert.equal(d.status, "canceled");
	assert.deepEqual(processes("sleep 5432"), []);
});

test("what a program leaves behind dies with it", async (t) => {
	const s = await scene(t, { enrol: false });
	const at = program(s.dir, "p",
	    "#!/bin/sh\nsetsid sleep 5433 & \necho done\n");
	s.start(["--agent", `custom:p=${at}`]);
	await s.server.connected(1);
	await s.server.attach("sess_a", "custom:p");
	s.server.execute("run_1", "sess_a", "x");
	const d = await s.server.message_of("run_completed", "run_1");
	assert.equal(d.status, "completed");
	assert.deepEqual(processes("sleep 5433"), []);
});

test("the clock stands while a person is asked", async (t) => {
	const TIMEOUT_S = 5;	// a busy machine begins slowly
	const s = await scene(t);
	const { server } = s;

	await server.attach("sess_a", "demo");
	server.execute("run_1", "sess_a", "x", { timeout_seconds: TIMEOUT_S });
	const q = await server.message_of("permission_request", "run_1");
	await new Promise((r) => setTimeout(r, 1000 * (TIMEOUT_S + 1)));
	server.answer("run_1", q.request_id, true);
	const d = await server.message_of("run_completed", "run_1");
	assert.equal(d.status, "completed");
	assert.ok(d.duration_ms < 1000 * TIMEOUT_S, `${d.duration_ms}`);
});

// A program that takes its time to die hears nothing of use any more.
for (const [what, status, stop] of [
    ["suspended", "suspended", (s) => s.server.send({ kill_run: {
	run_id: "run_1", reason: "suspended", grace_seconds: 4 } })],
    ["stopped with its agent", "lost", (s) => s.agent.signal("SIGTERM")]])
	test(`an answer to a run that is ${what} is given back`, async (t) => {
		const s = await scene(t, { enrol: false });
		const at = program(s.dir, "p", "#!/bin/sh\ntrap '' TERM\n" +
		    "read -r task\necho '{\"type\":\"permission_request\"," +
		    "\"id\":\"1\",\"tool\":\"T\"}'\n" +
		    "read -r answer && echo heard >>heard\nsleep 60\n");
		const { server } = s;
		s.start(["--agent", `custom:p=${at}`]);
		await server.connected(1);
		await server.attach("sess_a", "custom:p");
		server.execute("run_1", "sess_a", "x");
		const q = await server.message_of("permission_request", "run_1");
		stop(s);
		await s.agent.says(/stopping it/);
		server.answer("run_1", q.request_id, true);
		const c = await server.message_of("permission_canceled", "run_1");
		assert.equal(c.request_id, q.request_id);
		const d = await server.message_of("run_completed", "run_1");
		assert.equal(d.status, status);
		assert.deepEqual(server.of("permission_ack"), []);
		assert.ok(!fs.existsSync(s.work("sess_a", "heard")));
	});

test("timeout", async (t) => {
	const s = await scene(t, { enrol: false });
	const at = program(s.dir, "p", "#!/bin/sh\nexec sleep 5434\n");
	s.start(["--agent", `custom:p=${at}`]);
	await s.server.connected(1);
	await s.server.attach("sess_a", "custom:p");
	s.server.execute("run_1", "sess_a", "x", { timeout_seconds: 1 });
	const d = await s.server.message_of("run_completed", "run_1");
	assert.equal(d.status, "timeout");
	assert.match(d.error, /1 seconds/);
	assert.deepEqual(processes("sleep 5434"), []);
});

test("ExecuteTask again: answered, not started again", async (t) => {
	const s = await scene(t, { enrol: false });
	const at = program(s.dir, "p", "#!/bin/sh\necho x >>count\nread -r _\n" +
	    "printf '{\"type\":\"result\",\"result\":\"'\nhead -c $(cat size) " +
	    "/dev/zero | tr '\\0' r\necho '\"}'\n");
	const { server } = s;
	let n = 0;
	const again = async () => {
		server.execute("run_1", "sess_a", "x");
		const d = await server.message_of("run_completed", "run_1",
		    undefined, ++n);
		assert.equal(d.status, "completed");
		return d.result;
	};

	s.start(["--agent", `custom:p=${at}`]);
	await server.connected(1);
	await server.attach("sess_a", "custom:p");
	fs.writeFileSync(s.work("sess_a", "size"), "5000");
	for (let i = 0; i < 3; i++)
		assert.equal(await again(), "r".repeat(5000));
	fs.writeFileSync(s.work("sess_a", "size"), "250000");
	for (let i = 2; i < 7; i++) {
		server.execute(`run_${i}`, "sess_a", "x");
		await server.message_of("run_completed", `run_${i}`);
	}
	// There are newer ones to keep.
	const cut = /^r{1024}\n\[cut: its runner has not kept .* 3976 bytes\]$/;
	assert.match(await again(), cut);
	await s.agent.stop();
	s.start(["--agent", `custom:p=${at}`]);
	await server.connected(2);
	assert.match(await again(), cut);
	assert.equal(s.read("sess_a", "count"), "x\n".repeat(6));
});

test("another session, epoch, or a busy runner: unwound", async (t) => {
	const s = await scene(t);
	const { server } = s;

	server.execute("run_0", "sess_a", "x");
	await server.message_of("run_unwound", "run_0");
	await server.attach("sess_a", "demo");
	server.execute("run_1", "sess_b", "x");
	server.execute("run_2", "sess_a", "x", { epoch: 2 });
	server.execute("run_3", "sess_a", "x");
	server.execute("run_4", "sess_a", "x");
	await server.message_of("run_unwound", "run_4");
	assert.deepEqual(server.of("run_unwound").map((u) => u.reason),
	    ["session", "session", "epoch", "busy"]);
	server.send({ kill_run: { run_id: "run_9", reason: "canceled" } });
	assert.equal((await server.message_of("run_unwound", "run_9")).reason,
	    "unknown");
});

test("detach stops the run; attached again, the files are there",
    async (t) => {
	const s = await scene(t);
	const { server } = s;

	await server.attach("sess_a", "demo");
	fs.writeFileSync(s.work("sess_a", "kept"), "kept");
	server.execute("run_1", "sess_a", "x");
	const q = await server.message_of("permission_request", "run_1");
	server.send({ detach_session: { session_id: "sess_a", epoch: 1 } });
	await server.message_of("session_suspended");
	const d = await server.message_of("run_completed", "run_1");
	assert.equal(d.status, "suspended");
	assert.equal((await server.message_of("permission_canceled", "run_1"))
	    .request_id, q.request_id);
	server.answer("run_1", q.request_id, true);
	await server.message_of("permission_canceled", "run_1", undefined, 2);
	assert.deepEqual(server.of("permission_ack"), []);
	await server.attach("sess_b", "demo");
	await server.attach("sess_a", "demo", { epoch: 2 });
	assert.equal(s.read("sess_a", "kept"), "kept");
	server.send({ detach_session: { session_id: "sess_a", epoch: 2,
	    remove: true } });
	await server.message_of("session_suspended", undefined, undefined, 2);
	await until("its directory to go", () =>
	    fs.readdirSync(s.root).join() === "sess_b");
	server.send({ detach_session: { session_id: "sess_a", epoch: 2 } });
	await server.message_of("session_suspended", undefined, undefined, 3);
});

const SEES = `#!/bin/sh
read -r task
pwd; echo $HOME; id -u; ls -A /workspace; ls -A ~ ; ls "$1" 2>&1
echo 1 > /tmp/mine; echo 2 > ~/mine; ls /proc | grep -c '^[0-9]'
cat "$ROOT"/sess_b/workspace/secret 2>&1
ls "$ROOT" 2>&1; ls "$STATE" 2>&1; env | sort
`;

test("a session sees itself and not the others", async (t) => {
	const s = await scene(t, { enrol: false });
	const at = program(s.dir, "p", SEES);
	const { server } = s;
	s.start(["--agent", `custom:p=${at}`]);
	await server.connected(1);
	await server.attach("sess_b", "custom:p");
	fs.writeFileSync(s.work("sess_b", "secret"), "HERON");
	await server.attach("sess_a", "custom:p", { env: { ROOT: s.root,
	    STATE: s.state, HOME: "/elsewhere" } });
	server.execute("run_1", "sess_a", "x");
	const log = (await server.log("run_1")).map((l) => l.content).join("\n");
	assert.doesNotMatch(log, /HERON|key\.pem|RUNNER_TOKEN/);
	if (server.enrolled[0].sandbox_mode !== "namespace")
		return t.diagnostic("no namespaces here");
	assert.match(log, /^\/workspace\n\/home\/agent\n/);
	assert.match(log, /^HOME=\/home\/agent$/m);
	assert.match(log, /^MARIONETTE_RUN_ID=run_1$/m);
	assert.ok(fs.existsSync(`${s.root}/sess_a/home/mine`));
	assert.equal(fs.statSync(`${s.root}/sess_a/workspace`).mode & 0o777,
	    0o700);
	return undefined;
});

test("a key: opened, used, masked, in no file", async (t) => {
	const s = await scene(t, { enrol: false });
	const canary = "sk-ant-canary-0123456789abcdef";
	const at = program(s.dir, "p", "#!/bin/sh\nread -r task\n" +
	    'echo "key $MARIONETTE_API_KEY url $MARIONETTE_BASE_URL"\n' +
	    'echo "oh $MARIONETTE_API_KEY" >&2\n' +
	    'echo "{\\"type\\":\\"result\\",\\"result\\":' +
	    '\\"is $MARIONETTE_API_KEY\\"}"\n');
	const { server } = s;
	s.start(["--agent", `custom:p=${at}`]);
	await server.connected(1);
	await server.attach("sess_a", "custom:p", { secret: { api_key: canary,
	    base_url: "http://x" } });
	server.execute("run_1", "sess_a", "x");
	const log = (await server.log("run_1")).map((l) => l.content).join("\n");
	assert.match(log, /key \[key\] url http:\/\/x/);
	assert.match(log, /oh \[key\]/);
	assert.equal(server.of("run_completed")[0].result, "is [key]");
	for (const f of fs.readdirSync(s.state, { recursive: true }))
		if (fs.statSync(`${s.state}/${f}`).isFile())
			assert.ok(!fs.readFileSync(`${s.state}/${f}`)
			    .includes(canary), f);
	// Sealed to another connection's key: not run, and said.
	server.execute("run_2", "sess_a", "x",
	    { sealed_key: Buffer.alloc(100, 1) });
	assert.equal((await server.message_of("run_unwound", "run_2")).reason,
	    "unknown");
});

// The server brings the session's key of now whenever it is connected anew.
test("a key that is changed while a run has the old one", async (t) => {
	const s = await scene(t, { enrol: false });
	const old = "sk-ant-the-old-one-012345", now = "sk-ant-the-new-one-012345";
	const at = program(s.dir, "p", "#!/bin/sh\nread -r task\n" +
	    "while ! test -e go; do sleep 0.05; done\n" +
	    'echo "{\\"type\\":\\"result\\",\\"result\\":' +
	    '\\"is $MARIONETTE_API_KEY\\"}"\n');
	const { server } = s;
	s.start(["--agent", `custom:p=${at}`]);
	await server.connected(1);
	await server.attach("sess_a", "custom:p", { secret: { api_key: old } });
	server.execute("run_1", "sess_a", "x");
	await server.message_of("run_started", "run_1");
	await server.attach("sess_a", "custom:p", { secret: { api_key: now } });
	fs.writeFileSync(s.work("sess_a", "go"), "");
	const done = await server.message_of("run_completed", "run_1");
	assert.equal(done.result, "is [key]");
	server.execute("run_2", "sess_a", "x");
	const next = await server.message_of("run_completed", "run_2");
	assert.equal(next.result, "is [key]");
	assert.equal(JSON.stringify([...server.logs]).includes("sk-ant"), false);
});

test("a program where the session's user cannot go", async (t) => {
	const s = await scene(t, { enrol: false });
	const closed = `${s.dir}/closed`;

	fs.mkdirSync(closed, { mode: 0o700 });
	const at = program(closed, "p", "#!/bin/sh\necho reached >>it\n");
	s.start(["--agent", `custom:p=${at}`]);
	await s.server.connected(1);
	await s.server.attach("sess_a", "custom:p");
	s.server.execute("run_1", "sess_a", "x");
	const d = await s.server.message_of("run_completed", "run_1");
	if (s.server.enrolled[0].sandbox_mode === "uid") {
		assert.equal(d.error_code, "agent_missing");
		return t.diagnostic("no namespaces here");
	}
	assert.equal(d.status, "completed", d.error);
	assert.equal(s.read("sess_a", "it"), "reached\n");
	return undefined;
});

test("workspaces in the state directory, where they are by default",
    async (t) => {
	const s = await scene(t, { enrol: false });

	s.start(["--workspace-root", `${s.state}/sessions`]);
	await s.server.connected(1);
	await s.server.attach("sess_a", "demo");
	s.server.execute("run_1", "sess_a", "x");
	const q = await s.server.message_of("permission_request", "run_1");
	s.server.answer("run_1", q.request_id, true);
	assert.equal((await s.server.message_of("run_completed", "run_1"))
	    .status, "completed");
	assert.ok(fs.existsSync(
	    `${s.state}/sessions/sess_a/workspace/hello.md`));
});

test("what nobody could be shown is refused, not asked", async (t) => {
	const s = await scene(t, { enrol: false });
	const at = program(s.dir, "p", String.raw`#!/bin/sh
read -r task
cat <<'END'
{"type":"permission_request","id":"1","tool":"T","input":"a\u0000b"}
END
read -r a; printf '%s\n' "$a"
cat <<'END'
{"type":"permission_request","id":"2","tool":"T","input":"\\u0000"}
END
read -r a; printf '%s\n' "$a"
printf '{"type":"permission_request","id":"3","tool":"T","input":"'
head -c 1000000 /dev/zero | tr '\0' z; echo '"}'
read -r a; printf '%s\n' "$a"
`);
	const { server } = s;
	s.start(["--agent", `custom:p=${at}`]);
	await server.connected(1);
	await server.attach("sess_a", "custom:p");
	server.execute("run_1", "sess_a", "x");
	server.answer("run_1", (await server.message_of("permission_request",
	    "run_1")).request_id, true);
	const log = (await server.log("run_1")).filter((l) =>
	    /permission_answer/.test(l.content)).map((l) =>
	    JSON.parse(l.content));
	assert.deepEqual(log.map((a) => [a.id, a.approved]),
	    [["1", false], ["2", true], ["3", false]]);
	assert.match(log[0].reason, /NUL/);
	assert.match(log[2].reason, /900 KiB/);
	assert.deepEqual(server.of("permission_request").map((q) =>
	    q.request_id), ["2"]);
});

test("a session that is detached while it waits for another's run to end",
    async (t) => {
	const s = await scene(t, { enrol: false });
	const at = program(s.dir, "p", "#!/bin/sh\ntrap '' TERM\n" +
	    "read -r task\nwhile :; do sleep 0.1; done\n");
	const { server } = s;

	s.start(["--agent", `custom:p=${at}`]);
	await server.connected(1);
	await server.attach("sess_a", "custom:p");
	server.execute("run_1", "sess_a", "x");
	await server.message_of("run_started", "run_1");
	server.send({ detach_session: { session_id: "sess_a", epoch: 1 } });
	server.send({ attach_session: { session_id: "sess_b", epoch: 1,
	    agent: "custom:p" } });
	server.send({ detach_session: { session_id: "sess_b", epoch: 1 } });
	await server.message_of("session_suspended");
	assert.deepEqual(server.of("run_completed"), []);
	await server.message_of("session_suspended", undefined, undefined, 2);
	await server.attach("sess_c", "custom:p");
	assert.deepEqual(server.of("session_attached").map((a) => a.session_id),
	    ["sess_a", "sess_c"]);
	assert.deepEqual(server.of("session_suspended").map((a) => a.session_id),
	    ["sess_b", "sess_a"]);
});

test("a program that says again and again that it is done", async (t) => {
	const s = await scene(t, { enrol: false });
	const at = program(s.dir, "p", "#!/bin/sh\nread -r task\n" +
	    "yes '{\"type\":\"progress\",\"percent\":100}' | head -2000\n");

	s.start(["--agent", `custom:p=${at}`]);
	await s.server.connected(1);
	await s.server.attach("sess_a", "custom:p");
	s.server.execute("run_1", "sess_a", "x");
	await s.server.message_of("run_completed", "run_1");
	const told = s.server.of("run_progress").map((p) => p.percent);
	assert.equal(told[0], 100);
	assert.ok(told.length < 20, `${told.length} times`);
});

// Nobody is asked more than a person can look at, and nobody waits for that.
test("a program that asks without end", async (t) => {
	const s = await scene(t, { enrol: false });
	const at = program(s.dir, "p", "#!/bin/sh\nread -r task\n" +
	    "for i in $(seq 1000); do echo '{\"type\":\"permission_request\"," +
	    "\"id\":\"'$i'\",\"tool\":\"T\"}'; done\n" +
	    "n=$(head -n 900 | grep -c '\"approved\": *false')\n" +
	    "echo '{\"type\":\"result\",\"result\":\"'$n' denied\"}'\n");
	const { server } = s;

	s.start(["--agent", `custom:p=${at}`]);
	await server.connected(1);
	await server.attach("sess_a", "custom:p");
	server.execute("run_1", "sess_a", "x");
	const end = await server.message_of("run_completed", "run_1");
	assert.equal(end.result, "900 denied");
	assert.equal(server.of("permission_request").length, 100);
	assert.deepEqual(server.errors, []);
});

// Each is made durable, which takes its time; a kill is to be heard meanwhile.
test("a program that leaves one context after the other is still killed",
    async (t) => {
	const s = await scene(t, { enrol: false });
	const at = program(s.dir, "p", "#!/bin/sh\nread -r task\n" +
	    "exec yes '{\"type\":\"context\",\"context\":1}'\n");
	const { server } = s;

	s.start(["--agent", `custom:p=${at}`]);
	await server.connected(1);
	await server.attach("sess_a", "custom:p");
	server.execute("run_1", "sess_a", "x");
	await until("lines", () => server.logs.get("run_1")?.length > 10);
	server.send({ kill_run: { run_id: "run_1", grace_seconds: 1 } });
	assert.equal((await server.message_of("run_completed", "run_1")).status,
	    "canceled");
	assert.equal(fs.readFileSync(`${s.root}/sess_a/context`, "utf8"), "1");
	assert.deepEqual(server.errors, []);
});
