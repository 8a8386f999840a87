// A whole Marionette of a test's own: marionetted with its embedded PostgreSQL
// and any number of marionette-agents, the scripted model, an API key and a
// runner token, below one temporary directory.  As root the workers have their
// users and roots; otherwise the same tree runs rootless.  Everything is
// stopped and removed when the test file ends, also by SIGINT, and the logs
// must not hold what a healthy server never says.

import crypto from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { after, test } from "node:test";
import { Contract } from "./contract.mjs";
import { close_followers } from "./follow.mjs";
import { Api } from "./http.mjs";
import { start_model } from "./model.mjs";
import { free_ports, servers, top } from "./place.mjs";
import { run, start } from "./proc.mjs";
import { LONG_MS, until } from "./wait.mjs";

export const O = path.resolve(top, process.env.O ?? "build");
export const is_root = process.getuid() === 0;

// What no log of a healthy server or agent holds, whatever was killed.
const BAD = new RegExp([/^\S+ \S+ fatal:/, /forbidden system call/,
    /broke the protocol/, /AddressSanitizer/, /LeakSanitizer/,
    // A worker that crashed; SIGKILL and SIGTERM are for tests.
    /\(pid \d+\) was killed by signal (4|6|7|8|11|31)\b/,
    /runtime error:/, /Assertion/].map((r) => r.source).join("|"), "m");
const CRASHES = ["SIGILL", "SIGABRT", "SIGBUS", "SIGFPE", "SIGSEGV", "SIGSYS"];
const ENDED = ["completed", "failed", "canceled"];

const program = (name) => path.join(O, name);
// Of a sanitizer build: leaks cannot be looked for from inside a jail.
const SANITIZED = { ASAN_OPTIONS: process.env.ASAN_OPTIONS ??
    "detect_leaks=0" };
// Without the parent's pings, which drown all else.
const tail = (text, n = 40) => text.trimEnd().split("\n")
    .filter((l) => !/debug: PROC_P[IO]NG|debug: PROC_REPORT/.test(l)).slice(-n)
    .map((l) => `#   ${l}`).join("\n");

// One marionette-agent, that can be killed and started again in its state.
class AgentProcess {
	constructor(server, o) {
		this.server = server;
		this.o = o;
		this.name = o.name;
		this.state = path.join(server.dir, o.name);
		this.procs = [];
	}

	argv(token) {
		const { o, server } = this;

		return [...(o.wrap ?? []), program("marionette-agent"),
		    "--server",
		    o.address ?? `localhost:${server.ports.runner}`, "--state",
		    this.state, "--name", this.name,
		    ...Object.entries(o.agents).flatMap(([k, v]) =>
			["--agent", `${k}=${v}`]),
		    ...(o.args ?? []), ...(token ? ["--token-fd", "3"] : [])];
	}

	launch(token) {
		this.proc = start(this.argv(token), {
		    env: { ...process.env, ...SANITIZED, ...this.o.env },
		    stdio: ["ignore", "pipe", "pipe", token ? "pipe" : "ignore"] });
		this.procs.push(this.proc);
		if (token)
			this.proc.child.stdio[3].end(`${token}\n`);
		return this;
	}

	// As GET /runners has it.
	async record() {
		const { items } = await this.server.api.must(200, "GET",
		    "/api/v1/runners?limit=500");

		return items.find((r) => r.name === this.name);
	}

	async online(ms) {
		const r = await until(`runner ${this.name} to be online`,
		    async () => {
			const it = await this.record();
			if (this.proc.status !== null)
				throw new Error(`it ended: ${this.proc.told()}`);
			return ["idle", "busy"].includes(it?.status) && it;
		    }, ms);

		this.id = r.id;
		return this;
	}

	offline(ms = 90000) {
		return until(`runner ${this.name} to be offline`, async () =>
		    (await this.record())?.status === "offline", ms);
	}

	// A file of a session's, from outside: below workspace or home.
	at(session, ...name) {
		return path.join(this.state, "sessions", session.id ?? session,
		    ...name);
	}

	read(session, name) {
		return fs.readFileSync(this.at(session, "workspace", name),
		    "utf8");
	}

	has(session, name) {
		return fs.existsSync(this.at(session, "workspace", name));
	}

	stop(signal = "SIGTERM") {
		return this.proc.stop(signal);
	}

	// Dies without a word.
	async kill() {
		this.proc.signal("SIGKILL", false);
		await this.proc.wait();
	}

	async again(ms) {
		return this.launch().online(ms);
	}

	log() {
		return this.procs.map((p) => p.out + p.err).join("");
	}
}

export class Server {
	constructor(options) {
		this.o = options;
		this.cleanups = [];
		this.runners = [];
		this.logs = [];		// of earlier starts
		this.stopped = false;
	}

	after(f) {
		this.cleanups.push(f);
	}

	async prepare() {
		const [api, admin, runner] = await free_ports(3);

		this.dir = fs.mkdtempSync(path.join(servers, "mn-"));
		this.after(() => fs.rmSync(this.dir, { recursive: true,
		    force: true, maxRetries: 10 }));
		// The workers' users pass through on the way to their roots.
		fs.chmodSync(this.dir, 0o755);
		this.ports = { api, admin, runner, ...this.o.ports };
		this.socket = path.join(this.dir, "r/control.sock");
		this.url = `http://localhost:${this.ports.api}`;
		this.admin_url = `http://localhost:${this.ports.admin}`;
		this.admin_password = crypto.randomBytes(12).toString("hex");
		this.master_key = `mk_${crypto.randomBytes(32).toString("hex")}`;
		fs.writeFileSync(path.join(this.dir, "master.key"),
		    `${this.master_key}\n`, { mode: 0o600 });
		this.conf = path.join(this.dir, "m.conf");
		fs.writeFileSync(this.conf, this.conf_text(), { mode: 0o600 });
		this.contract = new Contract();
		this.local = new Api({ socket: this.socket,
		    contract: this.contract });
		if (is_root)
			await this.users();
	}

	async users() {
		const r = await run(["sh", path.join(top, "parent/users.sh"),
		    path.join(top, "parent/etc/sysusers.conf")]);

		if (r.code !== 0)
			throw new Error(`parent/users.sh: ${r.err}`);
	}

	conf_text() {
		const hash = crypto.createHash("sha256")
		    .update(this.admin_password).digest("hex");
		const { ports: p, dir } = this;

		return [`state directory "${dir}/s"`, `run directory "${dir}/r"`,
		    `listen api on localhost port ${p.api} plaintext`,
		    `listen admin on localhost port ${p.admin} plaintext`,
		    `listen runner on localhost port ${p.runner} ` +
			(this.o.plaintext ? "plaintext" : "tls"),
		    `admin user "admin" password "sha256:${hash}"`,
		    `master key file "${dir}/master.key"`,
		    ...(this.o.conf ?? []), ""].join("\n");
	}

	launch() {
		this.proc = start([...(this.o.wrap?.(this) ?? []),
		    program("marionetted"), ...(this.o.quiet ? [] : ["-v"]),
		    "-f", this.conf],
		    { env: { ...process.env, ...SANITIZED },
		    stdio: ["ignore", "pipe", "pipe"] });
	}

	async start() {
		this.launch();
		await until("the server to be ready", async () => {
			if (this.proc.status !== null)
				throw new Error(`it ended: ${this.proc.told()}`);
			return (await this.local.get("/health/ready")).status ===
			    200;
		}, undefined, 100);
		return this;
	}

	// SIGTERM, or what is given; then start() works again.
	async halt(signal = "SIGTERM") {
		const status = await this.proc.stop(signal);

		this.logs.push(this.proc.out + this.proc.err);
		return status;
	}

	async key(body = {}) {
		const k = await this.local.must(201, "POST",
		    "/admin/api/v1/keys", { name: "test", ...body });

		return { ...k, api: new Api({ url: this.url, token: k.key,
		    contract: this.contract }) };
	}

	async runner_token(body = {}) {
		return (await this.local.must(201, "POST",
		    "/admin/api/v1/runner-tokens", { pool: "default", ...body }))
		    .token;
	}

	// o: name, agents {kind: path}, args, env, address, wrap (what the
	// program is started through).
	async runner(o = {}) {
		const name = o.name ?? `r${this.runners.length + 1}`;
		const r = new AgentProcess(this, { ...o, name });

		this.runners.push(r);
		r.launch(o.token ?? await this.runner_token());
		return r.online(o.ms);
	}

	async model(options = {}) {
		return start_model(this, path.join(this.dir,
		    `model${this.cleanups.length}`), options);
	}

	// ---- what a client does ------------------------------------------

	session(body) {
		return this.api.must(201, "POST", "/api/v1/sessions", body);
	}

	get_session(s) {
		return this.api.must(200, "GET",
		    `/api/v1/sessions/${s.id ?? s}`);
	}

	is(s, status, ms) {
		let last;

		return until(`session ${s.id} to be ${status}`, async () => {
			last = await this.get_session(s);
			if (last.status === status)
				return last;
			throw new Error(`it is ${last.status}: ` +
			    last.status_reason);
		}, ms, 50);
	}

	// 202 while it is on its way, 200 when it is there.
	async turn(s, verb, wait) {
		const r = await this.api.post(`/api/v1/sessions/${s.id}/${verb}` +
		    `?wait=${wait}`, {});

		if (r.status !== 200 && r.status !== 202)
			throw new Error(`${verb}: ${r.status}: ${r.text}`);
		return r.json;
	}

	suspend(s, wait = 30) {
		return this.turn(s, "suspend", wait);
	}

	resume(s, wait = 30) {
		return this.turn(s, "resume", wait);
	}

	terminate(s, wait = 30) {
		return this.turn(s, "terminate", wait);
	}

	task(s, prompt, more = {}) {
		return this.api.must(201, "POST", "/api/v1/tasks", { session_id:
		    s.id ?? s, prompt, ...more });
	}

	get_task(t) {
		return this.api.must(200, "GET", `/api/v1/tasks/${t.id ?? t}`);
	}

	// The task as soon as `is` says so.
	when(t, what, is, ms) {
		return until(`task ${t.id} ${what}`, async () => {
			const now = await this.get_task(t);
			if (is(now))
				return now;
			throw new Error(`it is ${now.status}, waiting for ` +
			    `${now.waiting_for}, error ` +
			    `${JSON.stringify(now.error)}`);
		}, ms, 50);
	}

	ended(t, ms) {
		return this.when(t, "to end", (x) => ENDED.includes(x.status), ms);
	}

	running(t, ms) {
		return this.when(t, "to run", (x) => x.status === "running", ms);
	}

	permissions(t, query = "") {
		return this.api.all(`/api/v1/permissions?task_id=${t.id}${query}`);
	}

	// The oldest question of the task that nobody has answered.
	asked(t, ms) {
		return until(`a question of ${t.id}`, async () => {
			const open = await this.permissions(t,
			    "&status=pending");
			if (open.length > 0)
				return open.at(-1);
			const now = await this.get_task(t);
			throw new Error(`it is ${now.status}: ` +
			    JSON.stringify(now.error ?? now.result));
		}, ms, 50);
	}

	approve(p, body = {}) {
		return this.api.must(200, "POST",
		    `/api/v1/permissions/${p.id}/approve`, body);
	}

	deny(p, body = {}) {
		return this.api.must(200, "POST",
		    `/api/v1/permissions/${p.id}/deny`, body);
	}

	cancel(t) {
		return this.api.must(202, "POST", `/api/v1/tasks/${t.id}/cancel`,
		    {});
	}

	// Runs a prompt to its end; each question is answered by `answer`, which
	// gets the request and gives true, false or a body for approve.
	async run(s, prompt, { answer = () => true, ms = LONG_MS, ...more } = {}) {
		const t = await this.task(s, prompt, more);
		const asked = [];
		const end = Date.now() + ms;

		for (;;) {
			const now = await this.get_task(t);
			if (ENDED.includes(now.status))
				return { task: now, asked };
			for (const p of (await this.permissions(t,
			    "&status=pending")).reverse()) {
				asked.push(p);
				const a = await answer(p);
				if (a === false)
					await this.deny(p, { reason:
					    "The operator said no." });
				else
					await this.approve(p, a === true ? {} :
					    a);
			}
			if (Date.now() > end)
				throw new Error(`${t.id} does not end: ` +
				    JSON.stringify(now));
			await new Promise((r) => setTimeout(r, 40));
		}
	}

	lines(t, query = "") {
		return this.api.all(`/api/v1/tasks/${t.id ?? t}/logs?limit=500` +
		    query);
	}

	// What the program printed on a stream: parts joined, byte for byte.
	async printed(t, stream = "stdout") {
		const lines = await this.lines(t, `&stream=${stream}`);

		return lines.map((l) => l.content + (l.partial ? "" : "\n"))
		    .join("");
	}

	async runs(t) {
		return (await this.api.must(200, "GET",
		    `/api/v1/tasks/${t.id}/runs`)).items;
	}

	// {name: {pid, uid, restarts, ...}} of the workers.
	async processes() {
		const s = await this.local.must(200, "GET",
		    "/admin/api/v1/status");

		return Object.fromEntries(s.items.map((p) => [p.name, p]));
	}

	async kill_worker(name, signal = "SIGKILL") {
		const { pid } = await until(`${name} to have reported`,
		    async () => (await this.processes())[name]);

		process.kill(pid, signal);
		return until(`${name} to be back`, async () => {
			const p = (await this.processes())[name];
			return p && p.pid !== pid && p.ready && p;
		}, undefined, 50);
	}

	mctl(args, { env = {}, input, ms } = {}) {
		return run([program("mctl"), ...args], { input: input ?? "", ms,
		    env: { PATH: process.env.PATH, HOME: this.dir,
			LANG: "C.UTF-8", ...env } });
	}

	// ---- the end -----------------------------------------------------

	log() {
		const { log } = this.o;

		return this.logs.join("") +
		    (this.proc ? this.proc.out + this.proc.err : "") +
		    (log && fs.existsSync(log) ? fs.readFileSync(log, "utf8") :
		    "");
	}

	// Whatever must not be in a log and is, and agents that crashed.
	bad() {
		const crashes = this.runners.flatMap((r) => r.procs
		    .filter((p) => CRASHES.includes(p.status?.signal))
		    .map((p) => `${r.name}: ${p.status.signal}`));
		const lines = [this.log(), ...this.runners.map((r) => r.log())]
		    .flatMap((text) => text.split("\n"))
		    .filter((l) => BAD.test(l));

		return [...lines, ...crashes]
		    .filter((l) => !this.o.expected?.test(l));
	}

	tails() {
		return [["server", this.log()],
		    ...this.runners.map((r) => [r.name, r.log()])]
		    .map(([name, text]) => `# last lines of ${name}:\n` +
			tail(text)).join("\n");
	}

	async stop() {
		if (this.stopped)
			return;
		this.stopped = true;
		const errors = [];
		const part = async (f) => {
			try {
				await f();
			} catch (e) {
				errors.push(e);
			}
		};
		for (const r of this.runners)
			if (r.proc?.status === null)
				await part(() => r.stop());
		if (this.proc?.status === null)
			await part(() => this.proc.stop());
		for (const f of this.cleanups.reverse())
			await part(f);
		if (errors.length > 0)
			throw errors[0];
	}
}

// A running server for the whole file.  options: plaintext (the runner
// listener's, with `skip tls' in conf), conf (further lines), ports,
// expected (RegExp: bad lines that this file provokes), wrap (server -> argv
// that marionetted is started through), log (a file that it has its log in then).
export async function start_server(options = {}) {
	const server = new Server(options);

	after(() => server.stop());
	for (const signal of ["SIGINT", "SIGTERM"])
		process.once(signal, () => server.stop()
		    .finally(() => process.exit(130)));
	try {
		await server.prepare();
		await server.start();
		server.api = (await server.key()).api;
	} catch (e) {
		console.error(server.tails());
		await server.stop().catch(() => {});
		throw e;
	}
	return server;
}

// test() for such a file: a bound for each, the logs' tails where one fails,
// and a failure where a log says what it must not.
export function tests(server) {
	let seen = 0;

	return (name, f, ms = 4 * LONG_MS) => test(name, { timeout: ms }, async (t) => {
		try {
			await f(t);
			const bad = server.bad();
			const fresh = bad.slice(seen);
			seen = bad.length;
			if (fresh.length > 0)
				throw new Error(`a log says: ${fresh.join("\n")}`);
		} catch (e) {
			console.error(server.tails());
			throw e;
		} finally {
			close_followers();
		}
	});
}

// The last tests of a file: every answer was what the contract says, and all of
// it stops as asked.
export function ends_well(server) {
	test("every answer was as openapi.yaml says", () => {
		const { wrong } = server.contract;
		if (wrong.size > 0)
			throw new Error([...wrong].join("\n"));
	});
	test("the server stops as asked and its logs are clean",
	    { timeout: 4 * LONG_MS }, async () => {
		try {
			for (const r of server.runners)
				if (r.proc.status === null)
					await r.stop();
			const status = await server.halt();
			const bad = server.bad();
			if (status.code !== 0)
				throw new Error(`it ended with ` +
				    JSON.stringify(status));
			if (bad.length > 0)
				throw new Error(`a log says: ${bad.join("\n")}`);
		} catch (e) {
			console.error(server.tails());
			throw e;
		}
	});
}

// Where the real Claude Code is: CLAUDE, as regress/claude/install.sh prints it.
export function claude_program() {
	if (!process.env.CLAUDE)
		throw new Error("CLAUDE is not set; run regress/sys/run.sh");
	return process.env.CLAUDE;
}

export const puppet = path.join(top, "regress/sys/agents/puppet.mjs");
export const demo = path.join(top, "agent/demo/demo-agent");
