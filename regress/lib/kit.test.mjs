// The test kit tested: the independent runner against a small server made with
// the same gRPC library, and the rest against what node has.  Nothing of
// Marionette's runs here.

import assert from "node:assert/strict";
import crypto from "node:crypto";
import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import { test } from "node:test";
import { WebSocketServer } from "ws";
import { follow_sse, follow_ws } from "./follow.mjs";
import { credentials, call, grpc, Health, pinned_ca, RunnerService }
    from "./grpc.mjs";
import { Api } from "./http.mjs";
import { enrol, make_csr, sodium } from "./identity.mjs";
import { start_model } from "./model.mjs";
import { free_port, temp_dir } from "./place.mjs";
import { run, start } from "./proc.mjs";
import { Relay } from "./relay.mjs";
import { Runner } from "./runner.mjs";
import { until } from "./wait.mjs";

const sha256 = (d) => crypto.createHash("sha256").update(d).digest("hex");

async function openssl(...args) {
	const r = await run(["openssl", ...args]);

	assert.equal(r.code, 0, r.err);
}

// A CA and a server certificate below dir.
async function make_ca(dir) {
	const at = (n) => path.join(dir, n);

	await openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
	    "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=Test CA",
	    "-days", "2", "-keyout", at("ca.key"), "-out", at("ca.crt"));
	await openssl("req", "-new", "-newkey", "ec", "-pkeyopt",
	    "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=server",
	    "-keyout", at("key"), "-out", at("csr"));
	await openssl("x509", "-req", "-in", at("csr"), "-CA", at("ca.crt"),
	    "-CAkey", at("ca.key"), "-days", "2", "-set_serial", "2", "-out",
	    at("crt"));
	return at;
}

async function sign_csr(at, der, id) {
	fs.writeFileSync(at("in.csr"), der);
	await openssl("req", "-inform", "DER", "-in", at("in.csr"), "-out",
	    at("in.pem"));
	await openssl("x509", "-req", "-in", at("in.pem"), "-CA", at("ca.crt"),
	    "-CAkey", at("ca.key"), "-days", "2", "-set_serial", "3", "-subj",
	    `/CN=${id}`, "-out", at("in.crt"));
	return new crypto.X509Certificate(fs.readFileSync(at("in.crt")));
}

// The other end: checks the Hello, keeps what it hears, acknowledges it.
class Mock {
	constructor(at) {
		this.at = at;
		this.id = "rnr_00000000000000000000000001";
		this.heard = [];
		this.lines = [];
		this.acking = true;
		this.nonce = crypto.randomBytes(32);
	}

	async listen(t) {
		const read = (n) => fs.readFileSync(this.at(n));
		const ca = new crypto.X509Certificate(read("ca.crt"));

		this.ca_der = ca.raw;
		this.token = `rtok_x.${sha256(ca.raw)}`;
		this.server = new grpc.Server();
		this.server.addService(RunnerService.service, {
		    Enroll: (q, done) => this.enroll(q, done),
		    Connect: (s) => this.connect(s), Logs: (s) => this.logs(s) });
		this.server.addService(Health.service, {
		    Check: (q, done) => done(null, { status: "SERVING" }),
		    Watch: (s) => s.end() });
		this.port = await new Promise((done, fail) =>
		    this.server.bindAsync("127.0.0.1:0",
		    grpc.ServerCredentials.createSsl(read("ca.crt"), [{
			private_key: read("key"), cert_chain:
			Buffer.concat([read("crt"), read("ca.crt")]) }], false),
		    (e, port) => e ? fail(e) : done(port)));
		t.after(() => this.server.forceShutdown());
		return `127.0.0.1:${this.port}`;
	}

	async enroll({ request, metadata }, done) {
		if (metadata.get("x-runner-token")[0] !== this.token)
			return done({ code: grpc.status.UNAUTHENTICATED,
			    details: "no such token" });
		this.cert = await sign_csr(this.at, request.csr_der, this.id);
		return done(null, { runner_id: this.id, heartbeat_seconds: 15,
		    certificate_der: this.cert.raw, ca_der: this.ca_der,
		    lost_after_seconds: 600 });
	}

	connect(stream) {
		this.stream = stream;
		stream.on("error", () => {});
		stream.write({ challenge: { nonce: this.nonce } });
		stream.on("data", (m) => {
			this.heard.push(m);
			if (m.body === "hello")
				this.welcome(stream, m.hello);
			else if (m.number > 0 && this.acking)
				stream.write({ ack: { up_to: m.number } });
		});
	}

	welcome(stream, h) {
		const signed = Buffer.concat([Buffer.from("marionette-hello-v1"),
		    Buffer.from(this.id), Buffer.from([0]), h.sealing_key,
		    this.nonce]);
		const key = this.cert.publicKey;

		assert.equal(h.sealing_key.length, 32);
		assert.ok(crypto.verify(key.asymmetricKeyType === "ec" ?
		    "sha256" : null, signed, key, h.signature));
		this.sealing_key = h.sealing_key;
		stream.write({ welcome: { heartbeat_seconds: 15,
		    lost_after_seconds: 600, up_to: 0 } });
	}

	logs(stream) {
		stream.on("error", () => {});
		stream.on("data", (b) => {
			b.lines.forEach((l, i) => {
				this.lines[b.first + i] = l.content;
			});
			stream.write({ log_ack: undefined, run_id: b.run_id,
			    up_to: b.first + b.lines.length - 1 });
		});
	}

	of(type) {
		return this.heard.filter((m) => m.body === type)
		    .map((m) => m[type]);
	}

	has(type) {
		return until(type, () => this.of(type)[0]);
	}
}

const TASK = { run_id: "run_1", task_id: "task_1", session_id: "sess_1",
    attempt: 1, epoch: 3, prompt: "do it" };

for (const key of ["p256", "ed25519"]) {
	test(`the runner enrols and works with a ${key} key`, async (t) => {
		const mock = new Mock(await make_ca(temp_dir(t)));
		const address = await mock.listen(t);
		const me = await enrol({ address, token: mock.token, key });
		assert.equal(me.id, mock.id);
		assert.equal(me.ca_given, me.ca);
		const r = new Runner(me);
		t.after(() => r.close());
		await r.connect();
		mock.stream.write({ attach_session: { session_id: "sess_1",
		    epoch: 3, agent: "custom:demo" } });
		assert.equal((await mock.has("session_attached")).epoch, 3);
		let begun = 0;
		r.on_task = async (job) => {
			begun++;
			job.log("one", "two");
			const a = await job.ask({ tool: "Shell", action: "ls" });
			job.log(`approved ${a.approved}`);
			await job.logged();
			return "all done";
		};
		mock.stream.write({ execute_task: TASK });
		mock.stream.write({ execute_task: TASK });
		const q = await mock.has("permission_request");
		mock.stream.write({ permission_answer: { permission_id: "perm_1",
		    run_id: q.run_id, request_id: q.request_id,
		    approved: true } });
		const done = await mock.has("run_completed");
		assert.equal(done.result, "all done");
		assert.equal(done.log_last, 3);
		assert.deepEqual(mock.lines.slice(1),
		    ["one", "two", "approved true"]);
		// Told twice, begun once, answered each time.
		assert.equal(begun, 1);
		assert.equal(mock.of("run_accepted").length, 2);
		assert.equal(mock.of("permission_ack")[0].permission_id, "perm_1");
		await r.settled();
		assert.deepEqual(r.errors, []);
	});
}

async function connected(t) {
	const mock = new Mock(await make_ca(temp_dir(t)));
	const address = await mock.listen(t);
	const r = new Runner(await enrol({ address, token: mock.token }));
	t.after(() => r.close());
	await r.connect();
	return { mock, r };
}

test("a run that is not taken is not begun before that is acknowledged",
    async (t) => {
	const { mock, r } = await connected(t);
	mock.acking = false;
	const number = r.unwind(TASK, "busy");
	mock.stream.write({ execute_task: TASK });
	await until("it to be said again", () =>
	    mock.of("run_unwound").length === 2);
	assert.equal(mock.of("run_accepted").length, 0);
	mock.stream.write({ ack: { up_to: number + 1 } });
	await r.settled();
	mock.stream.write({ execute_task: TASK });
	await mock.has("run_accepted");
});

test("what was not acknowledged is said again", async (t) => {
	const { mock, r } = await connected(t);
	mock.acking = false;
	mock.stream.write({ execute_task: TASK });
	await mock.has("run_accepted");
	r.cut();
	mock.acking = true;
	await r.connect();
	await r.settled();
	assert.equal(mock.of("run_accepted").length, 2);
	assert.equal(mock.of("hello")[1].first_unacked, 1);
	assert.equal(mock.of("hello")[1].runs[0].run_id, "run_1");
});

test("a sealed key opens, and only with its key", async (t) => {
	const { mock, r } = await connected(t);
	await sodium.ready;
	const sealed_key = sodium.crypto_box_seal(
	    JSON.stringify({ api_key: "sk-1", base_url: "" }),
	    mock.sealing_key);
	mock.stream.write({ attach_session: { session_id: "s", epoch: 1,
	    sealed_key } });
	const c = await r.next("attach_session");
	assert.equal((await r.key_of(c)).api_key, "sk-1");
});

test("a wrong token is refused, a wrong CA is not trusted", async (t) => {
	const mock = new Mock(await make_ca(temp_dir(t)));
	const address = await mock.listen(t);
	await assert.rejects(enrol({ address,
	    token: mock.token.replace("x", "y") }), { code: 16 });
	await assert.rejects(pinned_ca(address, `rtok_x.${"0".repeat(64)}`),
	    /does not show the CA/);
	const other = (await make_ca(temp_dir(t)))("ca.crt");
	const c = new Health(address,
	    credentials(fs.readFileSync(other, "utf8")));
	await assert.rejects(call(c, "Check", {}, {}, 3000));
	c.close();
	const d = new Health(address,
	    credentials(await pinned_ca(address, mock.token)));
	assert.equal((await call(d, "Check", {})).status, "SERVING");
	d.close();
	assert.ok((await make_csr("rsa")).csr.length > 0);
});

test("an SSE follower that is cut goes on where it was", async (t) => {
	const server = http.createServer((req, res) => {
		const from = Number(req.headers["last-event-id"] ?? 0);
		if (req.headers.authorization !== "Bearer k") {
			res.writeHead(401);
			return res.end();
		}
		if (from >= 50) {
			res.writeHead(204);
			return res.end();
		}
		res.writeHead(200, { "content-type": "text/event-stream" });
		res.write("retry: 10\n\n");
		const drip = (i) => {
			if (i > 50)
				return res.end();
			return res.write(`id: ${i}\nevent: log\ndata: ` +
			    `{"n":${i},"pad":"${"x".repeat(2000)}"}\n\n`,
			    () => setImmediate(drip, i + 1));
		};
		return drip(from + 1);
	});
	const port = await free_port();
	await new Promise((done) => server.listen(port, "127.0.0.1", done));
	t.after(() => server.close());
	const relay = await new Relay(port).listen(t);
	relay.limit = 30000;
	const f = follow_sse(`http://127.0.0.1:${relay.port}/`,
	    { token: "k", types: ["log"] });
	t.after(() => f.close());
	await until("the cut", () => relay.accepted > 0 && relay.bytes > 30000);
	relay.limit = Infinity;
	await until("the end", () => f.ended);
	assert.deepEqual(f.of("log").map((i) => i.data.n),
	    Array.from({ length: 50 }, (_, i) => i + 1));
	assert.ok(Number(f.requests[1].last) > 0);
	assert.equal(f.requests.at(-1).status, 204);
});

test("a WebSocket follower keeps what it got", async (t) => {
	const port = await free_port();
	const server = new WebSocketServer({ port, host: "127.0.0.1" });
	t.after(() => server.close());
	server.on("connection", (s, req) => s.send(JSON.stringify(
	    { type: "log", auth: req.headers.authorization })));
	const f = follow_ws(`ws://127.0.0.1:${port}/`, { token: "k" });
	t.after(() => f.cut());
	assert.equal((await f.has("a line", (i) => i.type === "log")).data.auth,
	    "Bearer k");
});

test("the HTTP client: JSON, status, pages, HTTP/2", async (t) => {
	const { default: http2 } = await import("node:http2");
	const handle = (req, res) => {
		const more = !req.url.includes("cursor=");
		res.writeHead(200, { "content-type": "application/json" });
		res.end(JSON.stringify({ items: [req.url, req.method,
		    req.headers.authorization], has_more: more,
		    next_cursor: more ? "a b" : null }));
	};
	for (const h2 of [false, true]) {
		const port = await free_port();
		const server = (h2 ? http2 : http).createServer(handle);
		await new Promise((r) => server.listen(port, "127.0.0.1", r));
		t.after(() => server.close());
		const api = new Api({ url: `http://127.0.0.1:${port}`, h2,
		    token: "k" });
		assert.deepEqual((await api.post("/x", {})).json.items,
		    ["/x", "POST", "Bearer k"]);
		assert.equal((await api.all("/x"))[3], "/x?cursor=a%20b");
		await assert.rejects(api.must(201, "GET", "/"), /200, not 201/);
	}
});

test("a process that does not end is an error, and is killed", async () => {
	const p = start(["sh", "-c", "echo up; sleep 600"]);
	await p.says("up");
	await assert.rejects(p.wait(50), /waited 50 ms for sh to end/);
	assert.equal((await p.wait()).signal, "SIGKILL");
	const none = await run(["/nonexistent/program"]);
	assert.equal(none.code, 127);
});

test("the model: keys, marks, errors", async (t) => {
	const m = await start_model(t, temp_dir(t),
	    { key_sha256: sha256("right") });
	const api = new Api({ url: m.url });
	const ask = (content, key = "right", more = {}) => api.post(
	    "/v1/messages", { model: "m", messages: [{ role: "user", content }],
		tools: [{ name: "Bash", input_schema: {} }], ...more },
	    key ? { "x-api-key": key } : {});

	assert.equal((await ask("x", null)).status, 401);
	assert.equal((await ask("x", "wrong")).status, 401);
	assert.equal((await ask("[[nonsense:x]]")).status, 400);
	const r = await ask("[[bash:ls]]");
	assert.equal(r.json.stop_reason, "tool_use");
	assert.deepEqual(r.json.content[1].input.command, "ls");
	const error = "[[error:529 then ok]] [[text:t]]";
	assert.equal((await ask(error)).status, 529);
	assert.equal((await ask(error)).json.content[0].text, "t");
	assert.equal((await api.request("HEAD", "/")).status, 200);
	const log = fs.readFileSync(path.join(m.state, "requests.jsonl"), "utf8");
	assert.doesNotMatch(log, /"right"|"wrong"/);
	assert.equal(m.requests("[[bash")[0].key_sha256, sha256("right"));
});
