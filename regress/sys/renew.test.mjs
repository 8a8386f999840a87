// A server that nobody starts anew: its build looks after the runner listener's
// certificate each second instead of once a day, and waits a second for
// PostgreSQL to stop.

import assert from "node:assert/strict";
import { once } from "node:events";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import tls from "node:tls";
import { client_hello } from "../lib/hello.mjs";
import { free_ports, top } from "../lib/place.mjs";
import { run } from "../lib/proc.mjs";
import { until } from "../lib/wait.mjs";

process.env.O = path.join(path.resolve(top, process.env.O ?? "build"),
    "renewing");
const { ends_well, puppet, start_server, tests } =
    await import("../lib/server.mjs");

// One address is in another's text, and the host's name is none of a certificate.
const [port] = await free_ports(1, "127.0.0.2");
const server = await start_server({ conf: ["heartbeat 2",
    'hostname "127.0.0.22"', `listen runner on 127.0.0.2 port ${port} tls`],
    wrap: () => ["unshare", "-u", "sh", "-c", "echo my_host " +
    '>/proc/sys/kernel/hostname && exec "$@"', "sh"] });
const test = tests(server);
const keys = path.join(server.dir, "s/keys");
const DAY = 86400000;

// Whole days that what the listener shows is good for.
function days(host = "localhost", port = server.ports.runner) {
	return new Promise((done, fail) => {
		const s = tls.connect({ host, port, ALPNProtocols: ["h2"],
		    ca: fs.readFileSync(path.join(keys, "ca.crt")) }, () => {
			const left = new Date(s.getPeerCertificate().valid_to) -
			    Date.now();
			s.destroy();
			done(Math.round(left / DAY));
		});
		s.on("error", fail);
	});
}

// The same certificate, good for so many days, instead of the one there is.
async function place(n) {
	const at = (name) => path.join(keys, name);
	const sh = async (...argv) => {
		const r = await run(["openssl", ...argv]);
		assert.equal(r.code, 0, r.err);
	};

	await sh("x509", "-x509toreq", "-in", at("runner.crt"), "-signkey",
	    at("runner.key"), "-copy_extensions", "copyall", "-out",
	    at("test.csr"));
	await sh("x509", "-req", "-in", at("test.csr"), "-CA", at("ca.crt"),
	    "-CAkey", at("ca.key"), "-days", String(n), "-copy_extensions",
	    "copyall", "-out", at("test.crt"));
	fs.renameSync(at("test.crt"), at("runner.crt"));
}

test("the runner listener's certificate is for each of its addresses", () =>
    days("127.0.0.2", port));

test("the runner listener's certificate is made anew before it expires, and "
    + "nobody is started for it", async () => {
	const runner = await server.runner({ agents: { "custom:puppet": puppet } });
	const before = await until("all to have reported", async () => {
		const all = await server.processes();
		return all.runner && all.providerd && all;
	});

	assert.equal(await days(), 365);
	// Again and again, so that some of it falls into a look: another's file
	// is not one that was made anew.
	const looks = Date.now() + 3000;
	do
		await place(31);
	while (Date.now() < looks);
	await until("one that is good for long enough", async () =>
	    await days() === 31, undefined, 200);
	assert.doesNotMatch(server.proc.err, /made anew/);
	await place(29);
	await until("a new one", async () => await days() === 365, undefined, 200);
	assert.match(server.proc.err, /certificate was made anew/);
	assert.equal(server.proc.err.match(/made anew/g).length, 1);
	const now = await server.processes();
	for (const name of ["runner", "providerd"])
		assert.equal(now[name].pid, before[name].pid, name);
	// Who was connected still is, and its work goes on.
	const s = await server.session({ agent: "custom:puppet" });
	await server.run(s, '[{"out":"still"}]');
	await server.terminate(s);
	assert.equal(runner.proc.err.match(/: connected to|info: connected to/g)
	    .length, 1);
});

// The same certificate as it is made while the clock is 100 days ahead.
async function place_ahead() {
	const at = (name) => path.join(keys, name);
	const day = (n) => new Date(Date.now() + n * DAY).toISOString()
	    .replace(/[-T:]|\..*/g, "") + "Z";
	const conf = path.join(server.dir, "ca.conf");

	fs.writeFileSync(path.join(server.dir, "ca.db"), "");
	fs.writeFileSync(conf, ["[ca]", "default_ca=x", "[x]",
	    `database=${server.dir}/ca.db`, `new_certs_dir=${server.dir}`,
	    "default_md=sha256", "rand_serial=yes", "policy=p",
	    "copy_extensions=copyall", "[p]", "commonName=supplied", ""]
	    .join("\n"));
	const r = await run(["openssl", "ca", "-batch", "-notext", "-config",
	    conf, "-cert", at("ca.crt"), "-keyfile", at("ca.key"), "-in",
	    at("test.csr"), "-out", at("test.crt"), "-startdate", day(100),
	    "-enddate", day(465)]);
	assert.equal(r.code, 0, r.err);
	fs.renameSync(at("test.crt"), at("runner.crt"));
}

test("one that was made while the clock was ahead is made anew", async () => {
	const made = () => server.proc.err.match(/made anew/g).length;
	const n = made();

	await place_ahead();
	await until("a new one", () => made() > n, 10000, 200);
	await until("it to be shown", async () => await days() === 365,
	    undefined, 200);
});

test("a handshake that was begun before a reload goes on behind it", async () => {
	const reloads = () =>
	    server.proc.err.match(/runner debug: PROC_CONFIGURED/g)?.length ?? 0;
	const hello = await client_hello();
	const before = (await server.processes()).runner;
	const some = await Promise.all(Array.from({ length: 20 }, async () => {
		const s = net.connect(server.ports.runner, "localhost");
		s.on("error", () => {});
		await once(s, "connect");
		s.write(hello.subarray(0, 20));
		return s;
	}));
	const n = reloads();

	await until("two reloads", () => reloads() > n + 1);
	const answers = await Promise.all(some.map((s) => {
		s.write(hello.subarray(20));
		return Promise.race([once(s, "data").then(([d]) => d[0]),
		    once(s, "close").then(() => "closed")]);
	}));
	some.forEach((s) => s.destroy());
	assert.deepEqual(answers, Array(20).fill(22), "no handshake records");
	assert.equal((await server.processes()).runner.pid, before.pid);
});

test("SIGTERM: a PostgreSQL that does not stop is not waited for without end",
    async () => {
	const file = path.join(server.dir, "s/postgres/postmaster.pid");
	const pid = Number(fs.readFileSync(file, "utf8").split("\n")[0]);

	process.kill(pid, "SIGSTOP");
	try {
		server.proc.signal("SIGTERM", false);
		assert.deepEqual(await server.proc.wait(30000),
		    { code: 0, signal: null });
	} finally {
		try {
			process.kill(pid, "SIGCONT");
		} catch {}
	}
	server.logs.push(server.proc.out + server.proc.err);
	await server.start();
});

ends_well(server);
