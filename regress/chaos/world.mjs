// The server under fire, the fleet that uses it through lines that can be cut,
// and where the processes are.  The disk of the database is a small one of its
// own, so that it can be filled (as root).

import { execFileSync, spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { after } from "node:test";
import { Clock } from "../lib/clock.mjs";
import { sql } from "../lib/database.mjs";
import { free_port, servers, top } from "../lib/place.mjs";
import { run, start } from "../lib/proc.mjs";
import { is_root, O, start_server } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";
import { Line } from "./line.mjs";

export const WORKERS = ["api", "admin", "runner", "sessiond", "taskd",
    "runnerd", "tunneld", "providerd", "storaged"];
const FLEET = ["-n", "12", "-s", "10", "-t", "10000000", "-R", "40", "-q", "5",
    "-l", "7", "-f", "3", "-S", "lines=6 bytes=80 rate=60", "ask"];
// The database grows by about 0.3 MB a second.
const disk_mb = (seconds) => 512 + Math.ceil(seconds / 2);
const DISK = "512m";
const SPOOL = "16m";

const children = (pid) => fs.readFileSync(`/proc/${pid}/task/${pid}/children`,
    "utf8").trim().split(" ").filter(Boolean).map(Number);
const cmdline = (pid) => fs.readFileSync(`/proc/${pid}/cmdline`, "utf8")
    .split("\0");

// {name: pid} of the workers that are alive just now.
export function workers(parent) {
	const out = {};

	for (const pid of children(parent)) {
		try {
			const words = cmdline(pid);
			const i = words.indexOf("-P");
			if (i > 0)
				out[words[i + 1]] = pid;
		} catch {
			// It ended meanwhile.
		}
	}
	return out;
}

// Nothing, or why not; but only when this is no place for it.
function mount(at, size) {
	const { error, status, stderr } = spawnSync("mount", ["-t", "tmpfs",
	    "-o", `size=${size},mode=755`, "tmpfs", at],
	    { encoding: "utf8", env: { ...process.env, LC_ALL: "C" } });

	if (error)
		throw error;
	if (status !== 0 && !/permission denied|not permitted/.test(stderr))
		throw new Error(stderr);
	return status === 0 ? "" : stderr.split("\n")[0];
}

export class World {
	// For so many seconds of faults.
	async start(seconds) {
		const port = await free_port();

		this.disk_size = `${disk_mb(seconds)}m`;
		this.dir = fs.mkdtempSync(path.join(servers, "mn-chaos-"));
		after(() => fs.rmSync(this.dir, { recursive: true }));
		fs.chmodSync(this.dir, 0o755);
		execFileSync("sh", [path.join(top, "regress/http/certs.sh"),
		    this.dir]);
		this.log = path.join(this.dir, "log");
		// Of the server's processes and of its PostgreSQL.
		this.clock = new Clock(this.dir, O);
		this.server = await start_server({ log: this.log, conf: [
		    `listen api on localhost port ${port} tls certificate ` +
		    `"${this.dir}/server.crt" key "${this.dir}/server.key"`,
		    "limit connections 2000"],
		    wrap: (server) => this.wrap(server) });
		this.api = await new Line(port).listen();
		this.runner = await new Line(this.server.ports.runner).listen();
		after(() => Promise.all([this.api, this.runner]
		    .map((l) => l.close())));
		return this;
	}

	// Without -v, which would be most of the work; with a disk of its own.
	wrap(server) {
		this.server = server;
		this.disk = path.join(server.dir, "s");
		if (!fs.existsSync(this.disk))
			this.has_disk = this.mount(this.disk,
			    this.disk_size);
		return ["sh", "-c", 'log=$1 clock=$2 step=$3 program=$4; ' +
		    'shift 5; export LD_PRELOAD="$clock" STEP="$step"; ' +
		    'exec "$program" "$@" >>"$log" 2>&1', "sh", this.log,
		    this.clock.shim, this.clock.file];
	}

	// What is on the database's disk.
	told_disk() {
		const { blocks, bfree, bsize } = fs.statfsSync(this.disk);
		const mb = (n) => Math.round(n * bsize / 1048576);

		return `${mb(blocks - bfree)} of ${mb(blocks)} MB`;
	}

	// A small disk at a directory that is made; false where one may not,
	// as nobody may in some containers.
	mount(at, size) {
		fs.mkdirSync(at, { mode: 0o755 });
		this.no_disk = is_root ? mount(at, size) : "root mounts disks";
		if (this.no_disk)
			return false;
		this.server.after(() => run(["umount", "-l", at]));
		return true;
	}

	// The state of the runner `name' on a small disk, what its sessions
	// have on another.
	spool_disk(name) {
		const at = path.join(this.server.dir, name);

		if (this.mount(at, SPOOL) &&
		    this.mount(path.join(at, "sessions"), DISK))
			this.spool = at;
	}

	pids() {
		return workers(this.server.proc.pid);
	}

	// Who does not see the clock that steps.
	clockless() {
		return Object.entries({ ...this.pids(),
		    parent: this.server.proc.pid, postgres: this.postmaster() })
		    .filter(([, pid]) => ![this.clock.shim, this.clock.file]
		    .every((name) => fs.readFileSync(`/proc/${pid}/maps`, "utf8")
		    .includes(name))).map(([name]) => name);
	}

	postmaster() {
		return Number(fs.readFileSync(path.join(this.disk,
		    "postgres/postmaster.pid"), "utf8").split("\n")[0]);
	}

	// Those of its connections that serve us.
	backends() {
		return children(this.postmaster()).filter((pid) => {
			try {
				return cmdline(pid)[0].includes("marionette");
			} catch {
				return false;
			}
		});
	}

	// As the owner; database: where from.
	sql(text, database) {
		return sql(this.server, text, database);
	}

	ready(ms = 60000) {
		return until("all of the server to be ready", async () => {
			if (this.server.proc.status !== null)
				await this.server.start();
			return (await this.server.local.get("/health/ready"))
			    .status === 200;
		}, ms, 100);
	}

	// Descriptors and KB of each worker, and of the parent.
	weigh() {
		const all = { ...this.pids(), parent: this.server.proc.pid };

		return Object.fromEntries(Object.entries(all)
		    .map(([name, pid]) => [name, {
			fds: fs.readdirSync(`/proc/${pid}/fd`).length,
			kb: Number(/^VmRSS:\s+(\d+)/m.exec(fs.readFileSync(
			    `/proc/${pid}/status`, "utf8"))[1]) }]));
	}

	// The fleet, with its books: it tells and is told everything twice.
	async fleet() {
		this.book = path.join(this.dir, "book");
		this.load = start([path.join(O, "regress/fleet"),
		    "-a", `localhost:${this.api.port}`,
		    "-r", `localhost:${this.runner.port}`,
		    "-c", path.join(this.dir, "ca.crt"), "-b", this.book,
		    "-i", path.join(this.dir, "runners"), "-e", ...FLEET], {
		    env: { ...process.env,
			MARIONETTE_API_KEY: this.server.api.o.token,
			MARIONETTE_RUNNER_TOKEN:
			    await this.server.runner_token() } });
		after(() => this.load.stop("SIGKILL"));
		fs.mkdirSync(path.join(this.dir, "runners"));
		await until("the fleet to be at work", () => {
			if (this.load.status !== null)
				throw new Error(this.load.told());
			return fs.existsSync(this.book) && /^\d+ complete /m
			    .test(fs.readFileSync(this.book, "latin1"));
		}, 30000, 100);
	}

	// Asked to, it waits for what it posted and reads all of it again.  It
	// ends with 1 when it found something wrong and when it gave up: its
	// book tells which (compare.mjs).
	async fleet_ends(ms) {
		this.load.signal("SIGTERM", false);
		const { code } = await this.load.wait(ms);

		console.log(`# the fleet: ${this.load.err.trim().split("\n")
		    .slice(-5).join("; ")}`);
		if (code !== 0 && code !== 1)
			throw new Error(this.load.told());
	}
}
