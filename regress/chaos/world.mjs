// The server under fire, the fleet that uses it through lines that can be cut,
// and where the processes are.  The disk of the database is a small one of its
// own, so that it can be filled (as root).

import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { after } from "node:test";
import { free_port, top } from "../lib/place.mjs";
import { run, start } from "../lib/proc.mjs";
import { is_root, O, start_server } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";
import { sql } from "./database.mjs";
import { Line } from "./line.mjs";

export const WORKERS = ["api", "admin", "runner", "sessiond", "taskd",
    "runnerd", "tunneld", "providerd", "storaged"];
const DISK = "512m";

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

export class World {
	async start() {
		const port = await free_port();

		this.dir = fs.mkdtempSync("/tmp/mn-chaos-");
		after(() => fs.rmSync(this.dir, { recursive: true }));
		fs.chmodSync(this.dir, 0o755);
		execFileSync("sh", [path.join(top, "regress/http/certs.sh"),
		    this.dir]);
		this.log = path.join(this.dir, "log");
		this.server = await start_server({ conf: [
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
		if (is_root && !fs.existsSync(this.disk))
			this.own_disk();
		return ["sh", "-c", 'log=$1 program=$2; shift 3; ' +
		    'exec "$program" "$@" >>"$log" 2>&1', "sh", this.log];
	}

	own_disk() {
		fs.mkdirSync(this.disk, { mode: 0o755 });
		try {
			execFileSync("mount", ["-t", "tmpfs", "-o",
			    `size=${DISK},mode=755`, "tmpfs", this.disk],
			    { stdio: "ignore" });
		} catch {
			return;		// a container that may not mount
		}
		this.has_disk = true;
		this.server.after(() => run(["umount", "-l", this.disk]));
	}

	pids() {
		return workers(this.server.proc.pid);
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

	// Descriptors and KB of each worker.
	weigh() {
		return Object.fromEntries(Object.entries(this.pids())
		    .map(([name, pid]) => [name, {
			fds: fs.readdirSync(`/proc/${pid}/fd`).length,
			kb: Number(/^VmRSS:\s+(\d+)/m.exec(fs.readFileSync(
			    `/proc/${pid}/status`, "utf8"))[1]) }]));
	}

	// The fleet, with its books: it tells and is told everything twice.
	async fleet(args) {
		this.book = path.join(this.dir, "book");
		this.load = start([path.join(O, "regress/fleet"),
		    "-a", `localhost:${this.api.port}`,
		    "-r", `localhost:${this.runner.port}`,
		    "-c", path.join(this.dir, "ca.crt"), "-b", this.book,
		    "-i", path.join(this.dir, "runners"), "-e", ...args], {
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
}
