// A Marionette server as far as an agent can tell: real gRPC (@grpc/grpc-js)
// over TLS with a CA of its own made by the openssl program.  It keeps every
// message and every log line, checks numbers and signatures, acknowledges when
// told to, and can be stopped and started again with what it knows.

import crypto from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { der_to_pem, grpc, RunnerService } from "../lib/grpc.mjs";
import { sodium } from "../lib/identity.mjs";
import { run } from "../lib/proc.mjs";
import { LONG_MS, until } from "../lib/wait.mjs";

async function openssl(...args) {
	const r = await run(["openssl", ...args]);

	if (r.code !== 0)
		throw new Error(`openssl ${args[0]}: ${r.err}`);
}

// ca.pem, server.pem (leaf and CA), server.key below dir.
export async function make_ca(dir, name = "localhost") {
	const at = (f) => path.join(dir, f);
	const ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
	    "-nodes"];

	fs.mkdirSync(dir, { recursive: true });
	fs.writeFileSync(at("leaf.ext"), `subjectAltName=DNS:${name}\n` +
	    "extendedKeyUsage=serverAuth\n");
	await openssl("req", "-x509", ...ec, "-subj", "/CN=test CA", "-days", "2",
	    "-keyout", at("ca.key"), "-out", at("ca.pem"));
	await openssl("req", "-new", ...ec, "-subj", `/CN=${name}`,
	    "-keyout", at("server.key"), "-out", at("server.csr"));
	await openssl("x509", "-req", "-in", at("server.csr"), "-CA",
	    at("ca.pem"), "-CAkey", at("ca.key"), "-CAcreateserial", "-days", "2",
	    "-extfile", at("leaf.ext"), "-out", at("leaf.pem"));
	fs.writeFileSync(at("server.pem"), fs.readFileSync(at("leaf.pem")) +
	    fs.readFileSync(at("ca.pem"), "utf8"));
	const der = new crypto.X509Certificate(fs.readFileSync(at("ca.pem"))).raw;
	return { dir, der, pin: crypto.createHash("sha256").update(der)
	    .digest("hex") };
}

export class Server {
	constructor(dir, options = {}) {
		this.dir = dir;
		this.o = { heartbeat: 15, lost_after: 600, ack: true,
		    log_ack: true, plaintext: false, ...options };
		this.token = "rtok_" + crypto.randomBytes(32)
		    .toString("base64url");
		this.enrolled = [];
		this.certificates = new Map();	// runner id -> PEM
		this.hellos = [];
		this.up = [];		// numbered messages, once each
		this.again = 0;		// how many came more than once
		this.beats = [];	// heartbeats
		this.logs = new Map();	// run id -> lines
		this.lost = [];
		this.errors = [];
		this.stream = null;
		this.port = 0;
	}

	async start() {
		if (!this.o.plaintext)
			this.ca ??= await make_ca(path.join(this.dir, "ca"),
			    this.o.name);
		const server = new grpc.Server({
		    "grpc.max_receive_message_length": 4194304 });
		server.addService(RunnerService.service, {
			Enroll: (c, done) => this.enroll(c).then((r) =>
			    done(null, r), (e) => done(e)),
			Connect: (c) => this.connect(c),
			Logs: (c) => this.log_stream(c),
		});
		this.server = server;
		this.port = await new Promise((done, fail) =>
		    server.bindAsync(`127.0.0.1:${this.port}`,
			this.credentials(), (e, p) => e ? fail(e) : done(p)));
		return this;
	}

	credentials() {
		if (this.o.plaintext)
			return grpc.ServerCredentials.createInsecure();
		const at = (f) => fs.readFileSync(path.join(this.ca.dir, f));
		const c = grpc.ServerCredentials.createSsl(at("ca.pem"), [{
		    cert_chain: at("server.pem"),
		    private_key: at("server.key") }], true);

		// A certificate is asked for and looked at; Enroll comes without.
		c._getConstructorOptions().rejectUnauthorized = false;
		return c;
	}

	get address() {
		return `${this.o.plaintext ? "127.0.0.1" :
		    this.o.name ?? "localhost"}:${this.port}`;
	}

	get full_token() {
		return this.ca ? `${this.token}.${this.ca.pin}` : this.token;
	}

	// Like a machine that dies: connections are cut.
	stop() {
		this.server?.forceShutdown();
		this.server = null;
		this.stream = null;
	}

	async enroll(call) {
		const r = call.request;

		if (call.metadata.get("x-runner-token")[0] !== this.token)
			throw { code: grpc.status.UNAUTHENTICATED,
			    details: "unknown runner token" };
		const id = `rnr_${crypto.randomBytes(13).toString("hex")}`;
		const dir = fs.mkdtempSync(path.join(this.dir, "csr-"));
		const at = (f) => path.join(dir, f);

		fs.writeFileSync(at("csr"), r.csr_der);
		const ca = this.ca ?? await make_ca(path.join(this.dir, "ca"));
		await openssl("x509", "-req", "-inform", "DER", "-in", at("csr"),
		    "-CA", path.join(ca.dir, "ca.pem"), "-CAkey",
		    path.join(ca.dir, "ca.key"), "-CAcreateserial", "-days", "2",
		    "-subj", `/CN=${id}`, "-outform", "DER", "-out", at("crt"))
		    .catch(() => openssl("x509", "-req", "-inform", "DER", "-in",
			at("csr"), "-CA", path.join(ca.dir, "ca.pem"), "-CAkey",
			path.join(ca.dir, "ca.key"), "-CAcreateserial", "-days",
			"2", "-outform", "DER", "-out", at("crt")));
		const der = fs.readFileSync(at("crt"));
		this.enrolled.push({ ...r, id });
		this.certificates.set(id, der_to_pem(der));
		if (this.o.lose_enrolment)
			await new Promise(() => {});
		return { runner_id: id, certificate_der: der, ca_der: ca.der,
		    heartbeat_seconds: this.o.heartbeat,
		    lost_after_seconds: this.o.lost_after };
	}

	wrong(what) {
		this.errors.push(what);
	}

	connect(call) {
		const nonce = crypto.randomBytes(32);

		call.on("error", () => {});
		call.on("end", () => call.end());
		call.on("data", (m) => this.message(call, m, nonce));
		call.write({ challenge: { nonce } });
	}

	hello(call, h, nonce) {
		const pem = this.certificates.get(h.runner_id);
		const signed = Buffer.concat([
		    Buffer.from("marionette-hello-v1"), Buffer.from(h.runner_id),
		    Buffer.from([0]), h.sealing_key, nonce]);

		if (!pem || !crypto.verify(null, signed, new crypto
		    .X509Certificate(pem).publicKey, h.signature))
			this.wrong("hello: bad signature");
		if (!this.o.plaintext) {
			const peer = call.getAuthContext().sslPeerCertificate;
			if (!peer || der_to_pem(peer.raw) !== pem)
				this.wrong("hello: other client certificate");
		}
		this.hellos.push(h);
		this.stream = call;
		call.write({ welcome: { heartbeat_seconds: this.o.heartbeat,
		    lost_after_seconds: this.o.lost_after,
		    up_to: this.o.ack ? this.up.length : 0 } });
	}

	message(call, m, nonce) {
		if (m.body === "hello")
			return this.hello(call, m.hello, nonce);
		if (call !== this.stream)
			return this.wrong(`${m.body} before hello`);
		if (m.body === "heartbeat") {
			this.beats.push(m.heartbeat);
			return undefined;
		}
		if (m.number <= this.up.length) {
			this.again++;
			const old = this.up[m.number - 1];
			if (JSON.stringify(old) !== JSON.stringify(m))
				this.wrong(`number ${m.number} changed`);
		} else if (m.number !== this.up.length + 1)
			this.wrong(`number ${m.number} after ${this.up.length}`);
		else
			this.up.push(m);
		if (this.o.ack)
			call.write({ ack: { up_to: this.up.length } });
		return undefined;
	}

	log_stream(call) {
		call.on("error", () => {});
		call.on("end", () => call.end());
		call.on("data", (b) => {
			if (!this.logs.has(b.run_id))
				this.logs.set(b.run_id, []);
			const lines = this.logs.get(b.run_id);
			if (b.lost)
				this.lost.push(b);
			else if (b.first > lines.length + 1)
				this.wrong(`line ${b.first} after ${lines.length}`);
			b.lines.slice(lines.length + 1 - b.first)
			    .forEach((l) => lines.push(l));
			if (this.o.log_ack)
				call.write({ run_id: b.run_id,
				    up_to: b.first + b.lines.length - 1 });
		});
	}

	// The numbered messages of a kind, optionally about one run.
	of(body, run_id) {
		return this.up.filter((m) => m.body === body &&
		    (!run_id || m[body].run_id === run_id)).map((m) => m[body]);
	}

	async message_of(body, run_id, ms = LONG_MS, n = 1) {
		return until(`${body} of ${run_id ?? "anything"}`, () => {
			if (this.errors.length)
				throw new Error(this.errors.join("; "));
			return this.of(body, run_id)[n - 1];
		}, ms);
	}

	// All lines of a finished run, parts put together.  They may be many.
	async log(run_id, ms = LONG_MS) {
		const { log_last } = await this.message_of("run_completed", run_id,
		    ms);
		const lines = await until(`line ${log_last} of ${run_id}`, () => {
			const l = this.logs.get(run_id) ?? [];
			return l.length >= log_last && l;
		}, ms);
		const out = [];
		let open = false;

		for (const l of lines) {
			if (open) {
				out.at(-1).content += l.content;
				out.at(-1).text += l.text;
			} else
				out.push({ ...l });
			open = l.partial;
		}
		return out;
	}

	connected(n = this.hellos.length + 1, ms = LONG_MS) {
		return until("a hello", () => this.hellos.length >= n &&
		    this.stream, ms);
	}

	// All lines up to now are acknowledged, and the agent has read that: the
	// first heartbeat to come may have been sent before the last of them.
	async log_acked() {
		const n = this.beats.length;

		return until("a heartbeat with no line queued", () =>
		    this.beats.slice(n + 1).some((b) => b.log_queued === 0));
	}

	send(command) {
		this.stream.write(command);
	}

	async sealed(secret) {
		await sodium.ready;
		return Buffer.from(sodium.crypto_box_seal(
		    Buffer.from(JSON.stringify(secret)),
		    this.hellos.at(-1).sealing_key));
	}

	async attach(session_id, agent, { epoch = 1, secret, env, model } = {}) {
		const n = this.of("session_attached").length;

		this.send({ attach_session: { session_id, epoch, agent,
		    model: model ?? "", env_json: env ? JSON.stringify(env) : "",
		    sealed_key: secret ? await this.sealed(secret) : undefined } });
		return this.message_of("session_attached", undefined, LONG_MS, n + 1);
	}

	execute(run_id, session_id, prompt, more = {}) {
		this.send({ execute_task: { run_id, task_id: `task_${run_id}`,
		    session_id, attempt: 1, epoch: 1, prompt, ...more } });
	}

	answer(run_id, request_id, approved, more = {}) {
		this.send({ permission_answer: {
		    permission_id: `perm_${run_id}_${request_id}`, run_id,
		    request_id, approved, ...more } });
	}
}
