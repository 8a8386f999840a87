// The runner wire as somebody else's runner speaks it: @grpc/grpc-js with our
// .proto, and every way to speak it wrongly.

import assert from "node:assert/strict";
import { call, chain_of, credentials, der_to_pem, grpc, Health, pinned_ca,
    RunnerService, token_pin } from "../lib/grpc.mjs";
import { enrol, make_csr, sealing_pair, sign_hello } from "../lib/identity.mjs";
import { run as program } from "../lib/proc.mjs";
import { Runner } from "../lib/runner.mjs";
import { ends_well, start_server, tests } from "../lib/server.mjs";
import { LONG_MS, until, within } from "../lib/wait.mjs";

const { status: S } = grpc;
const server = await start_server({ conf: ["heartbeat 2"] });
const test = tests(server);
const address = `localhost:${server.ports.runner}`;
const ca = await pinned_ca(address, await server.runner_token());
const AGENT = "custom:elsewhere";

const runners = [];

async function independent(o = {}) {
	const me = await enrol({ address, token: await server.runner_token(),
	    agents: [AGENT], name: `independent-${runners.length + 1}`, ...o });
	const r = await new Runner(me).connect();

	runners.push(r);
	return r;
}

// A runner with a session of its own; others are sent away first.
async function placed(t, o) {
	const r = await independent(o);
	const s = await server.session({ agent: AGENT });

	await server.is(s, "active");
	t.after(async () => {
		await server.terminate(s, r.connected ? 30 : 0);
		await r.close();
		await until("it to be offline", async () => (await server.api.must(
		    200, "GET", `/api/v1/runners/${r.me.id}`)).status ===
		    "offline");
	});
	return { r, s };
}

const enroll = (message, metadata, cred = credentials(ca)) => {
	const client = new RunnerService(address, cred);

	return call(client, "Enroll", message, metadata)
	    .finally(() => client.close());
};
const request = async (more) => ({ name: "n", hostname: "h", version: "1",
    agents: [AGENT], sandbox_mode: "none", labels_json: "{}",
    resources_json: "{}", csr_der: (await make_csr()).csr, ...more });

// The status that a call ends with.
async function refusal(promise) {
	try {
		await promise;
	} catch (e) {
		if (e.code === undefined)
			throw e;
		return e;
	}
	throw new Error("it was not refused");
}

// A Connect of a certificate, up to whatever ends it.
function connect(me, on_challenge) {
	const client = new RunnerService(address,
	    credentials(ca, me?.key, me?.certificate));
	const stream = client.Connect();
	const got = [];

	const end = new Promise((done) => {
		stream.on("error", (e) => done(e));
		stream.on("end", () => done(null));
	}).finally(() => client.close());
	stream.on("data", (m) => {
		got.push(m);
		if (m.body === "challenge")
			on_challenge?.(stream, m.challenge.nonce);
	});
	return { stream, got, end: () => within("the stream to end", LONG_MS, end),
	    client };
}

function hello(me, nonce, more = {}) {
	const pair = sealing_pair();

	return { hello: { runner_id: me.id, version: "9.9", agents: [AGENT],
	    sealing_key: pair.public, signature: sign_hello(me, pair.public,
	    nonce), labels_json: "{}", resources_json: "{}", ...more } };
}

test("grpc.health.v1 answers a client without a certificate", async () => {
	const client = new Health(address, credentials(ca));
	const check = (service) => call(client, "Check", { service });

	assert.equal((await check("")).status, "SERVING");
	assert.equal((await check("marionette.v1.RunnerService")).status,
	    "SERVING");
	assert.equal((await refusal(check("no.such.Service"))).code, S.NOT_FOUND);
	client.close();
});

test("the server shows the CA that the token pins", async () => {
	const token = await server.runner_token();

	assert.match(token, /^rtok_[A-Za-z0-9_-]{43}\./);
	assert.equal(token_pin(token).length, 32);
	assert.ok((await chain_of(address)).length >= 1);
	assert.match(ca, /BEGIN CERTIFICATE/);
});

for (const key of ["p256", "ed25519"])
	test(`an independent runner (${key}) takes a task, logs, asks, completes`,
	    async (t) => {
		const { r, s } = await placed(t, { key, labels: { zone: "x" } });
		const record = await server.api.must(200, "GET",
		    `/api/v1/runners/${r.me.id}`);
		assert.equal(record.status, "busy");
		assert.equal(record.session_id, s.id);
		assert.deepEqual(record.capabilities, [AGENT]);
		assert.equal(record.hostname, "elsewhere.example");
		r.on_task = async (run) => {
			run.log("one", { content: "two", stream: "stderr",
			    level: "warn" });
			run.progress(50, "half");
			const a = await run.ask({ tool: "Launch",
			    action: "launch it", input_json: '{"n":1}' });
			run.log(`approved: ${a.approved}, ${a.reason}`);
			await run.logged();
			run.complete({ result: "launched", tokens_input: 11,
			    tokens_output: 7, cost_microusd: 1500,
			    duration_ms: 42, conversation_id: "c-1" });
		};
		const { task, asked } = await server.run(s, "go",
		    { answer: () => ({ reason: "fine" }) });
		assert.equal(task.status, "completed");
		assert.equal(task.result, "launched");
		assert.equal(task.usage.tokens_input, 11);
		assert.equal(Number(task.usage.cost_usd), 0.0015);
		assert.equal(asked[0].tool, "Launch");
		assert.deepEqual(asked[0].input, { n: 1 });
		const lines = await server.lines(task);
		assert.deepEqual(lines.map((l) => [l.stream, l.content]),
		    [["stdout", "one"], ["stderr", "two"],
		    ["stdout", "approved: true, fine"]]);
		await r.settled();
		await until("the delivery to be known", async () =>
		    (await server.permissions(task))[0].delivered_at);
	});

test("a key is sealed to this Hello and opened by its holder alone",
    async (t) => {
	const r = await independent();
	const s = await server.session({ agent: AGENT, api_key: "sk-ant-sealed-1",
	    base_url: "http://127.0.0.1:1" });
	t.after(async () => {
		await server.terminate(s);
		await r.close();
	});
	await server.is(s, "active");
	r.on_task = async (run) => run.complete({ result: "ok" });
	const { task } = await server.run(s, "x");
	assert.equal(task.status, "completed");
	const c = await r.next("execute_task");
	assert.equal(c.prompt, "x");
	assert.deepEqual(await r.key_of(c), { api_key: "sk-ant-sealed-1",
	    base_url: "http://127.0.0.1:1" });
	assert.ok(!Buffer.from(c.sealed_key).includes("sk-ant"));
});

test("after a cut everything is said again, and counted once", async (t) => {
	const { r, s } = await placed(t);
	let run;
	r.on_task = (it) => {
		run = it;
		return new Promise(() => {});	// this test ends it
	};
	const task = await server.task(s, "go");
	await server.running(task);
	run.log("a", "b");
	await run.logged();
	r.cut();
	// Said into the void:
	run.log("c", "d");
	const asking = run.ask({ tool: "T", action: "while away" });
	await r.connect();
	const p = await server.asked(task);
	r.cut();
	await server.approve(p);
	await r.connect();
	assert.equal((await asking).approved, true);
	// What was acknowledged long ago, again, with its old number.
	await r.settled();
	const old = { number: 1, run_accepted: { run_id: run.id, attempt: 1,
	    epoch: run.task.epoch } };
	r.stream.write(old);
	// Lines that are there already, and some that are new.
	run.batches.push({ run_id: run.id, first: 3, lines: [
	    { stream: "stdout", level: "info", kind: "text", content: "c",
		time_ms: 1 },
	    { stream: "stdout", level: "info", kind: "text", content: "d",
		time_ms: 1 },
	    { stream: "stdout", level: "info", kind: "text", content: "e",
		time_ms: 1 }] });
	run.line = 5;
	r.send_logs(run.batches.at(-1));
	await run.logged();
	run.complete({ result: "done" });
	const end = await server.ended(task);
	assert.equal(end.status, "completed");
	assert.deepEqual((await server.lines(task)).map((l) => l.content),
	    ["a", "b", "c", "d", "e"]);
	assert.equal((await server.permissions(task)).length, 1);
	assert.equal((await server.runs(task)).length, 1);
	// The end again, after the end: of no consequence.
	await r.settled();
	r.say("run_completed", { run_id: run.id, attempt: 1, status: "failed",
	    exit_code: 1, log_last: 5 });
	await r.settled();
	assert.equal((await server.get_task(task)).status, "completed");
});

test("the end is told only when the last line is stored", async (t) => {
	const { r, s } = await placed(t);
	let run;
	r.on_task = (it) => {
		run = it;
		return new Promise(() => {});
	};
	const task = await server.task(s, "go");
	await server.running(task);
	// It says ten lines, and that it has ended; the lines come later.
	run.line = 10;
	run.complete({ result: "done", log_last: 10 });
	for (let i = 0; i < 10; i++)
		assert.equal((await server.get_task(task)).status, "running");
	r.send_logs({ run_id: run.id, first: 1, lines: Array.from({ length: 10 },
	    (_, i) => ({ stream: "stdout", level: "info", kind: "text",
	    content: `late ${i}`, time_ms: Date.now() })) });
	assert.equal((await server.ended(task)).status, "completed");
	assert.equal((await server.lines(task)).length, 10);
});

test("a run that is not taken is given again", async (t) => {
	const r = await independent();
	r.auto = false;
	const s = await server.session({ agent: AGENT });
	t.after(async () => {
		r.auto = true;
		await server.terminate(s);
		await r.close();
	});
	const a = await r.next("attach_session");
	r.say("session_attached", { session_id: a.session_id, epoch: a.epoch });
	r.session = a.session_id;
	r.epoch = a.epoch;
	const task = await server.task(s, "go");
	const one = await r.next("execute_task");
	assert.equal(one.epoch, a.epoch);
	r.say("run_unwound", { run_id: one.run_id, attempt: one.attempt,
	    reason: "busy" });
	const two = await r.next("execute_task");
	assert.equal(two.task_id, task.id);
	r.auto = true;
	r.on_task = async () => "taken";
	await r.take(two);
	assert.equal((await server.ended(task)).result, "taken");
	assert.equal((await server.get_task(task)).retry_count, 0);
});

test("words under another epoch change nothing", async (t) => {
	const { r, s } = await placed(t);
	const epoch = r.epoch;

	r.say("session_suspended", { session_id: s.id, epoch: epoch + 5 });
	r.say("session_attached", { session_id: s.id, epoch: epoch + 5 });
	await r.settled();
	const now = await server.get_session(s);
	assert.equal(now.status, "active");
	assert.equal(now.runner_id, r.me.id);
	r.on_task = async () => "still here";
	assert.equal((await server.run(s, "x")).task.result, "still here");
});

test("cancel comes as KillRun; the runner says how it ended", async (t) => {
	const { r, s } = await placed(t);
	r.on_task = async (run) => {
		await until("the kill", () => run.killed);
		run.complete({ status: "canceled", exit_code: 143 });
	};
	const task = await server.task(s, "go");
	await server.running(task);
	await server.cancel(task);
	assert.equal((await server.ended(task)).status, "canceled");
	const kill = await r.next("kill_run");
	assert.equal(kill.reason, "canceled");
});

test("tokens: none, wrong, used up, expired, revoked", async () => {
	const q = await request();
	const none = await refusal(enroll(q, {}));
	assert.equal(none.code, S.UNAUTHENTICATED);
	const wrong = await refusal(enroll(q, { "x-runner-token":
	    `rtok_${"A".repeat(43)}` }));
	assert.equal(wrong.code, S.UNAUTHENTICATED);
	const once = await server.runner_token({ max_uses: 1 });
	assert.match((await enroll(q, { "x-runner-token": once })).runner_id,
	    /^rnr_/);
	const used = await refusal(enroll(await request(),
	    { "x-runner-token": once }));
	assert.equal(used.code, S.UNAUTHENTICATED);
	assert.match(used.details, /used up|expired/);
	const soon = await server.runner_token({ expires_at:
	    new Date(Date.now() + 3000).toISOString() });
	await until("it to expire", async () => {
		try {
			await enroll(await request(), { "x-runner-token": soon });
			return false;
		} catch (e) {
			return e.code === S.UNAUTHENTICATED &&
			    /expired/.test(e.details);
		}
	}, undefined, 200);
	const made = await server.local.must(201, "POST",
	    "/admin/api/v1/runner-tokens", { pool: "default" });
	await server.local.must(200, "POST",
	    `/admin/api/v1/runner-tokens/${made.id}/revoke`, { reason: "x" });
	const revoked = await refusal(enroll(q, { "x-runner-token":
	    made.token }));
	assert.equal(revoked.code, S.UNAUTHENTICATED);
	assert.match(revoked.details, /revoked/);
	const bad = await server.local.post("/admin/api/v1/runner-tokens",
	    { pool: "default", expires_at: "tomorrow" });
	assert.equal(bad.status, 400);
});

test("an enrolment whose answer was lost: the same again, one use", async () => {
	const token = await server.runner_token({ max_uses: 1 });
	const meta = { "x-runner-token": token };
	const q = await request();
	const first = await enroll(q, meta);

	assert.deepEqual(await enroll(q, meta), first);
	const other = await refusal(enroll(await request(), meta));
	assert.match(other.details, /used up/);
	// At once: the second may find the first under way, and is told so.
	const many = await server.runner_token({ max_uses: 0 });
	const p = await request();
	const answers = await Promise.allSettled(Array.from({ length: 5 },
	    () => enroll(p, { "x-runner-token": many })));
	const ids = new Set(answers.flatMap((a) =>
	    a.status === "fulfilled" ? [a.value.runner_id] : []));
	assert.equal(ids.size, 1);
	for (const a of answers.filter((a) => a.status === "rejected"))
		assert.equal(a.reason.code, S.UNAVAILABLE);
});

test("two enrolments with one use: one wins", async () => {
	const token = await server.runner_token({ max_uses: 1 });
	const all = await Promise.allSettled(Array.from({ length: 5 },
	    async () => enroll(await request(), { "x-runner-token": token })));

	assert.equal(all.filter((x) => x.status === "fulfilled").length, 1);
});

test("no certificate, one of another CA, one that is not known", async () => {
	const none = connect(null);
	assert.equal((await none.end()).code, S.UNAUTHENTICATED);
	const logs = new RunnerService(address, credentials(ca));
	const e = await refusal(new Promise((done, fail) => {
		const st = logs.Logs();
		st.on("error", fail);
		st.on("end", done);
		st.on("data", () => {});
		st.write({ run_id: "run_00000000000000000000000000", first: 1,
		    lines: [] });
	}));
	assert.equal(e.code, S.UNAUTHENTICATED);
	logs.close();
	// A CA of somebody else's that signed for a runner's name.
	const me = await enrol({ address, token: await server.runner_token() });
	const dir = server.dir;
	for (const argv of [
	    ["req", "-x509", "-newkey", "ec", "-pkeyopt",
		"ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
		"/CN=Marionette CA", "-keyout", `${dir}/evil.key`, "-out",
		`${dir}/evil.crt`],
	    ["req", "-new", "-newkey", "ec", "-pkeyopt",
		"ec_paramgen_curve:P-256", "-nodes", "-subj", `/CN=${me.id}`,
		"-keyout", `${dir}/fake.key`, "-out", `${dir}/fake.csr`],
	    ["x509", "-req", "-in", `${dir}/fake.csr`, "-CA", `${dir}/evil.crt`,
		"-CAkey", `${dir}/evil.key`, "-CAcreateserial", "-days", "2",
		"-out", `${dir}/fake.crt`]])
		assert.equal((await program(["openssl", ...argv])).code, 0);
	const { readFileSync: read } = await import("node:fs");
	const fake = { id: me.id, key: read(`${dir}/fake.key`, "utf8"),
	    certificate: read(`${dir}/fake.crt`, "utf8") };
	const other = connect(fake);
	const end = await other.end();
	assert.ok([S.UNAUTHENTICATED, S.UNAVAILABLE, S.INTERNAL]
	    .includes(end.code), `${end.code} ${end.details}`);
	assert.equal(other.got.length, 0);
	// Its key alone, with the right certificate of another runner.
	const two = await enrol({ address, token: await server.runner_token() });
	const mixed = connect({ id: two.id, key: me.key,
	    certificate: me.certificate }, (st, nonce) =>
	    st.write(hello({ ...me, id: two.id }, nonce)));
	assert.equal((await mixed.end()).code, S.INVALID_ARGUMENT);
});

test("a Hello that is signed wrongly, or late, is not heard", async () => {
	const me = await enrol({ address, token: await server.runner_token() });
	const { key } = await make_csr();
	const forged = connect(me, (st, nonce) =>
	    st.write(hello({ ...me, key }, nonce)));
	assert.equal((await forged.end()).code, S.UNAUTHENTICATED);
	const replayed = connect(me, (st) =>
	    st.write(hello(me, Buffer.alloc(32))));
	assert.equal((await replayed.end()).code, S.UNAUTHENTICATED);
	assert.equal((await server.api.must(200, "GET",
	    `/api/v1/runners/${me.id}`)).status, "offline");
});

test("what is malformed is INVALID_ARGUMENT and says which field", async () => {
	const token = await server.runner_token();
	const bad = async (more, words) => {
		const e = await refusal(enroll(await request(more),
		    { "x-runner-token": token }));
		assert.equal(e.code, S.INVALID_ARGUMENT, e.message);
		assert.match(e.details, words);
	};

	await bad({ name: "" }, /name/);
	await bad({ name: "x".repeat(65) }, /name/);
	await bad({ name: "tab\there" }, /name/);
	await bad({ name: "nul\0" }, /name/);
	await bad({ sandbox_mode: "castle" }, /sandbox_mode/);
	await bad({ csr_der: Buffer.from("nonsense") }, /csr|request/i);
	await bad({ csr_der: (await make_csr("rsa")).csr }, /key|P-256|csr/i);
	await bad({ agents: ["two words"] }, /agents/);
	const me = await enrol({ address, token });
	const say = async (message, words, status = S.INVALID_ARGUMENT) => {
		const c = connect(me, (st, nonce) => {
			st.write(hello(me, nonce));
		});
		await until("the welcome", () =>
		    c.got.some((m) => m.body === "welcome"));
		c.stream.write(message);
		const e = await c.end();
		assert.equal(e.code, status, e.message);
		assert.match(e.details, words);
	};
	await say({ number: 1, run_started: { run_id: "x" } }, /run_id/);
	await say({ number: 1, run_progress: { run_id:
	    "run_00000000000000000000000000", percent: 1, step: "s\0" } },
	    /step/);
	await say({ number: 1, permission_request: { run_id:
	    "run_00000000000000000000000000", request_id: "1", kind: "joke",
	    tool: "T", action: "a", input_json: "{}" } }, /kind/);
	// Hello with an id that is not the certificate's, and no Hello first.
	const not_me = connect(me, (st, nonce) => st.write(hello(me, nonce,
	    { runner_id: "rnr_00000000000000000000000000" })));
	assert.equal((await not_me.end()).code, S.INVALID_ARGUMENT);
	const early = connect(me, (st) => st.write({ number: 1, run_started:
	    { run_id: "run_00000000000000000000000000", attempt: 1 } }));
	assert.equal((await early.end()).code, S.INVALID_ARGUMENT);
});

test("a run of somebody else's takes no word and no line", async (t) => {
	const { r, s } = await placed(t);
	let run;
	r.on_task = (it) => {
		run = it;
		return new Promise(() => {});
	};
	const task = await server.task(s, "go");
	await server.running(task);
	const thief = await independent({ agents: ["custom:thief"] });
	thief.say("run_completed", { run_id: run.id, attempt: 1,
	    status: "completed", exit_code: 0, result: "stolen", log_last: 0 });
	thief.say("permission_request", { run_id: run.id, attempt: 1,
	    request_id: "x", kind: "tool", tool: "T", action: "a",
	    input_json: "{}" });
	thief.send_logs({ run_id: run.id, first: 1, lines: [{ stream: "stdout",
	    level: "info", kind: "text", content: "forged", time_ms: 1 }] });
	run.log("mine");
	await run.logged();
	run.complete({ result: "mine" });
	const end = await server.ended(task);
	assert.equal(end.result, "mine");
	assert.deepEqual((await server.lines(task)).map((l) => l.content),
	    ["mine"]);
	assert.equal((await server.permissions(task)).length, 0);
	await thief.close();
});

test("a second Connect replaces the first", async () => {
	const me = await enrol({ address, token: await server.runner_token() });
	const welcome = (c) => until("the welcome", () =>
	    c.got.some((m) => m.body === "welcome"));
	const one = connect(me, (st, n) => st.write(hello(me, n)));
	await welcome(one);
	const two = connect(me, (st, n) => st.write(hello(me, n)));
	await welcome(two);
	assert.equal((await one.end()).code, S.ABORTED);
	await until("it to be idle", async () => (await server.api.must(200,
	    "GET", `/api/v1/runners/${me.id}`)).status === "idle");
	two.stream.end();
	await two.end();
});

test("Logs streams that a lost line left behind make room for new ones",
    async (t) => {
	const { r, s } = await placed(t);
	const ends = [];

	for (let i = 0; i < 8; i++) {
		const st = new RunnerService(address, credentials(r.me.ca,
		    r.me.key, r.me.certificate)).Logs();
		st.on("error", (e) => ends.push([i, e.code]));
		st.on("data", () => {});
		// It is there when it answers for a run that is not.
		const heard = new Promise((done) => st.once("data", done));
		st.write({ run_id: `run_${"0".repeat(25)}${i}`, first: 1,
		    lines: [] });
		await within("an answer", LONG_MS, heard);
		t.after(() => st.cancel());
	}
	r.on_task = async (run) => {
		run.log("heard");
		await run.logged();
	};
	const { task } = await server.run(s, "x");
	assert.equal(task.status, "completed");
	assert.deepEqual((await server.lines(task)).map((l) => l.content),
	    ["heard"]);
	await until("the first to be told", () => ends.length > 0);
	assert.deepEqual(ends, [[0, S.ABORTED]]);
});

test("methods that are not there", async () => {
	const client = new grpc.Client(address, credentials(ca));
	const e = await refusal(new Promise((done, fail) =>
	    client.makeUnaryRequest("/marionette.v1.RunnerService/Nothing",
	    (x) => x, (x) => x, Buffer.alloc(0), (err, v) =>
	    err ? fail(err) : done(v))));

	assert.equal(e.code, S.UNIMPLEMENTED);
	client.close();
});

test("a runner that says nothing for three heartbeats is offline", async () => {
	const me = await enrol({ address, token: await server.runner_token() });
	const c = connect(me, (st, n) => st.write(hello(me, n)));
	const status = async () => (await server.api.must(200, "GET",
	    `/api/v1/runners/${me.id}`)).status;

	await until("it to be idle", async () => await status() === "idle");
	await until("it to be offline", async () => await status() === "offline");
	c.stream.cancel();
	await c.end();
});

test("every runner is said good-bye to", async () => {
	for (const r of runners)
		await r.close();
});

ends_well(server);
