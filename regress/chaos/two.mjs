// Two servers on one PostgreSQL that is neither's, with the same keys, as an
// operator has them: one is at work and one stands by.  Clients come through
// lines that lead to whichever is ready, as a load balancer's do.
//
// All of it ends when the tests do, when they are interrupted, and when their
// process is killed (Guard).

import { execFileSync, spawn } from "node:child_process";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after } from "node:test";
import { pgbin, sql } from "../lib/database.mjs";
import { free_port, servers, top } from "../lib/place.mjs";
import { start } from "../lib/proc.mjs";
import { is_root, Server } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";
import { Line } from "./line.mjs";
import { World } from "./world.mjs";

const OWNER = "marionette_owner";
const TAKEN = /another server has taken over/;
const TASK_PUT = "\0task_put\0";	// in a Bind, and so in a batch
const SYNC = 5;		// bytes of the message that ends a batch
const ENDS_MS = 30000;	// for whoever is to end by itself

// A group by its first process, which may be someone else's by now: it is
// known by the directory that it was started with.
const GUARD = `
while read -r what it; do
	case $what in
	dir)	dirs="$dirs $it" ;;
	*)	groups="$groups $what:$it" ;;
	esac
done
for dir in $dirs; do
	for group in $groups; do
		pid=\${group#*:}
		grep -qs "$dir/" "/proc/$pid/cmdline" || continue
		kill -s "\${group%:*}" -- "-$pid"
		kill -s CONT -- "-$pid"
	done
	rm -rf "$dir"
done`;

// Nobody can clean up who was killed: then this one, which was told of all that
// there is, finds its end of the pipe closed.
class Guard {
	constructor() {
		const p = spawn("sh", ["-c", GUARD], { detached: true,
		    stdio: ["pipe", "ignore", "ignore"] });

		p.unref();
		p.stdin.unref();
		this.pipe = p.stdin;
	}

	dir(name) {
		this.pipe.write(`dir ${name}\n`);
	}

	group(pid, signal) {
		this.pipe.write(`${signal} ${pid}\n`);
	}
}

// The state of a process, or nothing when it is not of the group.
function state_in(group, pid) {
	try {
		const stat = fs.readFileSync(`/proc/${pid}/stat`, "latin1");
		const [state, , of] = stat.slice(stat.lastIndexOf(")") + 2)
		    .split(" ");
		return Number(of) === group && state;
	} catch (e) {
		if (e.code !== "ENOENT" && e.code !== "ESRCH")
			throw e;
		return undefined;	// it ended meanwhile
	}
}

// The states of those of a group that live.  A process whose parent was killed
// is reaped by somebody else, or not at all.
const states = (group) => fs.readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map((pid) => state_in(group, pid))
    .filter((state) => state && state !== "Z");

class Postgres {
	constructor(dir, guard) {
		this.dir = dir;
		this.guard = guard;
		this.data = path.join(dir, "data");
		this.sockets = path.join(dir, "r/postgres");
	}

	// initdb refuses root.
	as(program, ...args) {
		return [...(is_root ? ["setpriv", "--reuid=65534",
		    "--regid=65534", "--clear-groups"] : ["env"]),
		    path.join(pgbin, program), ...args];
	}

	run(...words) {
		const [program, ...args] = this.as(...words);

		execFileSync(program, args, { stdio: "ignore" });
	}

	sql(text) {
		return sql({ dir: this.dir, port: this.port }, text);
	}

	async start() {
		const at = ["-h", this.sockets, "-p", `${await this.make()}`];

		this.proc = start(this.as("postgres", "-D", this.data));
		this.guard.group(this.proc.pid, "QUIT");
		await until("PostgreSQL to be ready", () => {
			this.run("pg_isready", "-q", ...at);
			return true;
		}, 30000, 100);
		this.run("createdb", ...at, "-U", OWNER, "marionette");
	}

	async make() {
		this.port = await free_port();
		fs.mkdirSync(path.join(this.dir, "r"), { mode: 0o755 });
		for (const d of [this.data, this.sockets]) {
			fs.mkdirSync(d, { mode: 0o700 });
			if (is_root)
				fs.chownSync(d, 65534, 65534);
		}
		this.run("initdb", "-D", this.data, "-U", OWNER, "-A", "trust",
		    "--no-sync", "-E", "UTF8", "--locale=C");
		fs.appendFileSync(path.join(this.data, "postgresql.conf"),
		    "listen_addresses = '127.0.0.1'\n" +
		    `port = ${this.port}\n` +
		    `unix_socket_directories = '${this.sockets}'\n`);
		return this.port;
	}

	async stop() {
		await this.proc?.stop("SIGQUIT");
	}
}

// The way of a server to PostgreSQL, on which one batch can be held up, or
// everything.
class Way extends Line {
	accept(client) {
		super.accept(client);
		const { server } = [...this.pairs].at(-1);

		client.unpipe(server);
		client.on("data", (d) => this.pass(server, d));
		if (!this.silent)
			client.resume();
	}

	// Of the batch that is held up, in however many pieces it comes, all
	// but the end goes on.
	pass(server, d) {
		if (this.is_wanted && d.includes(TASK_PUT)) {
			this.is_wanted = false;
			this.held = { server, end: Buffer.alloc(0) };
		}
		if (this.held?.server !== server) {
			server.write(d);
			return;
		}
		const all = Buffer.concat([this.held.end, d]);
		server.write(all.subarray(0, -SYNC));
		this.held.end = all.subarray(-SYNC);
	}

	let_go() {
		this.held?.server.write(this.held.end);
		this.held = undefined;
	}

	// f: what happens while PostgreSQL is in the midst of a batch with a
	// new task in it, of which the end has not come; it may let it go.
	async while_in_a_batch(f) {
		this.is_wanted = true;
		try {
			return await f();
		} finally {
			this.is_wanted = false;
			this.let_go();
		}
	}

	// Nothing is closed and nothing comes through.
	async while_silent(f) {
		this.silent = true;
		this.pairs.forEach((pair) => this.hush(pair));
		try {
			return await f();
		} finally {
			await this.half_open(0);
		}
	}
}

// One of the two; its log is that of all its lives.
class Standing extends Server {
	constructor(options, guard) {
		super(options);
		this.guard = guard;
	}

	launch() {
		if (this.proc)
			this.logs.push(this.proc.out + this.proc.err);
		super.launch();
		this.guard.group(this.proc.pid, "KILL");
	}

	async is_ready() {
		const { status } = await this.local.get("/health/ready");

		if (status !== 200 && status !== 503)
			throw new Error(`/health/ready: ${status}`);
		return status === 200;
	}

	// To stand by, perhaps again.
	async stand_by() {
		this.launch();
		await until("it to stand by", () => this.proc.status === null &&
		    /standing by/.test(this.proc.out + this.proc.err), 20000);
	}

	// All of its processes, and awake in the end whatever f finds.
	async while_stopped(f) {
		this.proc.signal("SIGSTOP");
		try {
			await until("all of it to be stopped", () =>
			    states(this.proc.pid).every((s) => s === "T"));
			return await f();
		} finally {
			this.proc.signal("SIGCONT");
		}
	}

	async killed() {
		this.proc.signal("SIGKILL");
		await this.proc.wait();
		await this.nobody_left();
	}

	// It was at work, finds that it is not any more, and ends by itself.
	async ends_overtaken() {
		const { code } = await this.proc.wait(ENDS_MS);

		if (code !== 1 || !TAKEN.test(this.proc.out + this.proc.err))
			throw new Error(`it ended with ${code}`);
		await this.nobody_left();
	}

	// It has ended.
	nobody_left() {
		return until("its workers to be gone", () =>
		    states(this.proc.pid).length === 0);
	}
}

export class Two extends World {
	async start() {
		this.servers = [];
		after(() => this.end());
		for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"])
			process.once(signal, () => this.interrupted(signal));
		try {
			await this.begin();
			await this.fleet();
			this.guard.group(this.load.pid, "KILL");
		} catch (e) {
			console.error(this.tails());
			await this.end().catch(() => {});	// e is why
			throw e;
		}
		return this;
	}

	async begin() {
		this.guard = new Guard();
		this.dir = fs.mkdtempSync(path.join(servers, "mn-two-"));
		this.guard.dir(this.dir);
		fs.chmodSync(this.dir, 0o755);
		execFileSync("sh", [path.join(top, "regress/http/certs.sh"),
		    this.dir]);
		this.postgres = new Postgres(this.dir, this.guard);
		await this.postgres.start();
		const a = await this.one();
		const b = await this.one();
		this.server = a;
		await a.start();
		for (const file of ["s/keys", "master.key"])
			execFileSync("cp", ["-a", path.join(a.dir, file),
			    path.join(b.dir, file)]);
		a.api = b.api = (await a.key()).api;
		this.api = await new Line(a.tls).listen();
		this.runner = await new Line(a.ports.runner).listen();
	}

	async one() {
		const way = await new Way(this.postgres.port).listen();
		const at = `host=127.0.0.1 port=${way.port} dbname=marionette`;
		const tls = await free_port();
		const s = new Standing({ conf: [
		    `database "${at} user=marionette"`,
		    `database owner "${at} user=${OWNER}"`,
		    `server id ${this.servers.length + 1}`,
		    `listen api on localhost port ${tls} tls certificate ` +
		    `"${this.dir}/server.crt" key "${this.dir}/server.key"`] },
		    this.guard);

		this.servers.push(s);
		Object.assign(s, { tls, way });
		await s.prepare();
		this.guard.dir(s.dir);
		fs.mkdirSync(path.join(s.dir, "s"), { mode: 0o755 });
		return s;
	}

	tails() {
		return this.servers.map((s) => s.tails()).join("\n");
	}

	// The lines lead to it as soon as it is ready, within ms of the other's
	// loss: how long that took.
	async turn_to(server, lost, ms) {
		const left = Math.ceil(lost + ms - performance.now());

		await until("the other server to take over", () =>
		    server.is_ready(), left, 20);
		const took = Math.round(performance.now() - lost);
		this.server = server;
		for (const [line, port] of [[this.api, server.tls],
		    [this.runner, server.ports.runner]]) {
			line.target.port = port;
			line.cut();
		}
		return took;
	}

	// ---- the end -----------------------------------------------------

	end() {
		return this.ending ??= this.all_ends();
	}

	async all_ends() {
		const errors = [];

		for (const part of this.parts())
			try {
				await part();
			} catch (e) {
				errors.push(e);
			}
		if (errors.length > 0)
			throw errors[0];
	}

	// What there is, in the order in which it goes.
	parts() {
		return [
			() => this.load?.stop("SIGKILL"),
			...this.servers.flatMap((s) => [
				() => s.proc?.signal("SIGCONT"),
				() => s.stop(),
				() => s.way.close()]),
			() => this.api?.close(),
			() => this.runner?.close(),
			() => this.postgres?.stop(),
			() => this.dir && fs.rmSync(this.dir,
			    { recursive: true, force: true, maxRetries: 10 })];
	}

	// Whoever asks does not wait for long.
	interrupted(signal) {
		for (const s of this.servers)
			s.proc?.signal("SIGKILL");
		this.end().catch((e) => console.error(e.message))
		    .finally(() => process.exit(128 +
		    os.constants.signals[signal]));
	}
}
