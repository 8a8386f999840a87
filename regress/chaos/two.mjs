// Two servers on one PostgreSQL that is neither's, with the same keys, as an
// operator has them: one is at work and one stands by.  Clients come through
// lines that lead to whichever is ready, as a load balancer's do.

import { execFileSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { after } from "node:test";
import { free_port, top } from "../lib/place.mjs";
import { is_root, Server } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";
import { pgbin } from "./database.mjs";
import { Line } from "./line.mjs";
import { World } from "./world.mjs";

export const TAKEN = /another server has taken over/;

class Postgres {
	constructor(dir) {
		this.dir = dir;
		this.data = path.join(dir, "data");
		this.sockets = path.join(dir, "r/postgres");
	}

	// initdb refuses root.
	as(program, ...args) {
		return execFileSync(is_root ? "setpriv" : "env", [...(is_root ?
		    ["--reuid=65534", "--regid=65534", "--clear-groups"] : []),
		    path.join(pgbin, program), ...args], { stdio: "ignore" });
	}

	stop() {
		this.as("pg_ctl", "-D", this.data, "-s", "-m", "immediate",
		    "stop");
	}

	async start() {
		this.port = await free_port();
		fs.mkdirSync(path.join(this.dir, "r"), { mode: 0o755 });
		for (const d of [this.data, this.sockets]) {
			fs.mkdirSync(d, { mode: 0o700 });
			if (is_root)
				fs.chownSync(d, 65534, 65534);
		}
		this.as("initdb", "-D", this.data, "-U", "marionette_owner",
		    "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C");
		fs.appendFileSync(path.join(this.data, "postgresql.conf"),
		    "listen_addresses = '127.0.0.1'\n" +
		    `port = ${this.port}\n` +
		    `unix_socket_directories = '${this.sockets}'\n`);
		this.as("pg_ctl", "-D", this.data, "-s", "-w", "-l",
		    path.join(this.dir, "data/log"), "start");
		this.as("createdb", "-h", this.sockets, "-p", `${this.port}`,
		    "-U", "marionette_owner", "marionette");
	}
}

export class Two extends World {
	async start() {
		this.dir = fs.mkdtempSync("/tmp/mn-two-");
		fs.chmodSync(this.dir, 0o755);
		execFileSync("sh", [path.join(top, "regress/http/certs.sh"),
		    this.dir]);
		this.postgres = new Postgres(this.dir);
		await this.postgres.start();
		this.way = await new Line(this.postgres.port).listen();
		this.servers = [await this.one(this.way.port),
		    await this.one(this.postgres.port)];
		const [a, b] = this.servers;
		this.server = a;
		await a.start();
		a.api = (await a.key()).api;
		for (const [file, to] of [["s/keys", "s/keys"],
		    ["master.key", "master.key"]])
			execFileSync("cp", ["-a", path.join(a.dir, file),
			    path.join(b.dir, to)]);
		b.api = a.api;
		this.api = await new Line(a.tls).listen();
		this.runner = await new Line(a.ports.runner).listen();
		after(() => this.end());
		return this;
	}

	async end() {
		await Promise.all(this.servers.map((s) => s.stop()));
		await Promise.all([this.api, this.runner, this.way]
		    .map((l) => l.close()));
		this.postgres.stop();
		fs.rmSync(this.dir, { recursive: true });
	}

	// port: of the way to PostgreSQL.
	async one(port) {
		const at = `host=127.0.0.1 port=${port} dbname=marionette`;
		const tls = await free_port();
		const s = new Server({ conf: [
		    `database "${at} user=marionette"`,
		    `database owner "${at} user=marionette_owner"`,
		    `server id ${(this.count = (this.count ?? 0) + 1)}`,
		    `listen api on localhost port ${tls} tls certificate ` +
		    `"${this.dir}/server.crt" key "${this.dir}/server.key"`] });

		s.tls = tls;
		await s.prepare();
		fs.mkdirSync(path.join(s.dir, "s"), { mode: 0o755 });
		return s;
	}

	is_ready(server) {
		return server.local.get("/health/ready")
		    .then((r) => r.status === 200, () => false);
	}

	// The lines lead to it as soon as it is ready: ms until then.
	async turn_to(server, ms = 30000) {
		const t0 = Date.now();

		await until("the other server to take over", () =>
		    this.is_ready(server), ms, 20);
		const took = Date.now() - t0;
		this.server = server;
		for (const [line, port] of [[this.api, server.tls],
		    [this.runner, server.ports.runner]]) {
			line.target.port = port;
			line.cut();
		}
		return took;
	}

	// It was at work, finds that it is not any more, and ends by itself.
	async ends_overtaken(server) {
		const { code } = await server.proc.wait(30000);

		if (code !== 1 || !TAKEN.test(server.log()))
			throw new Error(server.tails());
	}

	// Again, to stand by.
	async stand_by(server) {
		server.launch();
		await until("it to stand by", () => server.proc.status === null &&
		    /standing by/.test(server.proc.out + server.proc.err), 20000);
	}
}
