// Each forbidden system call, tried from inside each jail of a running tree: a
// build whose workers have probe.o in them, which a real-time signal sets off.
// A call that is refused says EPERM; any other is the worker's death by SIGSYS,
// after which it is started anew.

import assert from "node:assert/strict";
import path from "node:path";
import { top } from "../lib/place.mjs";
import { run } from "../lib/proc.mjs";
import { until } from "../lib/wait.mjs";

const shipped = path.resolve(top, process.env.O ?? "build");
process.env.O = path.join(shipped, "probe");
const { ends_well, start_server, tests } = await import("../lib/server.mjs");

const CALLS = ["socket", "open", "openat", "connect", "bind", "listen",
    "execve", "ptrace", "clone", "kill", "setuid", "chroot", "mount"];
const REFUSED = ["socket", "open", "openat"];
// What storaged dials PostgreSQL with: it may, and the arguments were bad.
const DIALS = { socket: "ALLOWED", connect: "EBADF" };
const PROGRAMS = { api: "frontd", admin: "frontd", runner: "frontd" };
const SIGRTMIN = 34;

const server = await start_server({ expected:
    /forbidden system call|tunneld .* by signal 11/ });
const test = tests(server);

test("the workers that ship have no probe in them", async () => {
	for (const name of Object.keys(await server.processes())) {
		const program = PROGRAMS[name] ?? name;
		const symbols = async (dir) => (await run(["nm",
		    path.join(dir, program)], { ms: 20000 })).out;
		assert.doesNotMatch(await symbols(shipped), /probe_init/);
		assert.match(await symbols(process.env.O), /probe_init/);
	}
});

// As many times as there are workers, at once: the tree comes back whole.
async function try_all(call) {
	const before = await server.processes();
	const says = {};

	for (const { pid } of Object.values(before)) {
		const r = await run(["kill", "-s",
		    String(SIGRTMIN + CALLS.indexOf(call)), String(pid)]);
		assert.equal(r.code, 0, r.err);
	}
	for (const [name, { pid }] of Object.entries(before))
		says[name] = await until(`the end of ${call} in ${name}`, () => {
			const said = new RegExp(`^probe ${pid} ${call} (\\w+)$`,
			    "m").exec(server.proc.err);
			if (said)
				return said[1];
			return new RegExp(`: ${name} \\(pid ${pid}\\) was ` +
			    "killed by signal 31: a forbidden system call")
			    .test(server.proc.err) && "SIGSYS";
		});
	await until("the tree to be whole", async () => {
		const now = Object.entries(await server.processes());
		return now.length === 9 && now.every(([name, p]) => p.ready &&
		    (says[name] !== "SIGSYS" || p.pid !== before[name].pid)) &&
		    (await server.local.get("/health/ready")).status === 200;
	}, undefined, 50);
	return says;
}

for (const call of CALLS)
	test(call, async () => {
		const says = await try_all(call);

		for (const [name, what] of Object.entries(says)) {
			const want = name === "storaged" && DIALS[call] ||
			    (REFUSED.includes(call) ? "EPERM" : "SIGSYS");
			assert.equal(what, want, `${call} in ${name}`);
		}
	});

test("a worker's crash is what the end of every test complains of", async () => {
	const { tunneld } = await server.processes();
	const { expected } = server.o;
	const r = await run(["kill", "-s", "SEGV", String(tunneld.pid)]);
	assert.equal(r.code, 0, r.err);
	await server.proc.says(`tunneld (pid ${tunneld.pid}) was killed by ` +
	    "signal 11");

	server.o.expected = undefined;
	const bad = server.bad();
	server.o.expected = expected;
	assert.match(bad.join("\n"), /tunneld .* by signal 11/);
});

test("afterwards the server works as before", async () => {
	const s = await server.session({ agent: "custom:nobody" });

	assert.equal((await server.get_session(s)).id, s.id);
});

ends_well(server);
