// What can go wrong, one thing at a time: each does it to the world, waits as
// long as its random numbers say, undoes it, and says how it was.  An exception
// says that it could not be done just now.  `weight' is how often, `needs' what
// the world may not have.

import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { is_root } from "../lib/server.mjs";
import { deny } from "./database.mjs";
import { wake } from "./sleeper.mjs";
import { WORKERS } from "./world.mjs";

const HOUR = 3600, DAY = 24 * HOUR, AHEAD = 60 * DAY;
const BEHIND = 240;			// of the 300 s that providerd allows for

// Processes come and go under our hands.
function signal(pid, name) {
	try {
		process.kill(pid, name);
		return true;
	} catch (e) {
		if (e.code !== "ESRCH")
			throw e;
		return false;
	}
}

function pid_of(w, name) {
	const pid = w.pids()[name];

	if (pid === undefined)
		throw new Error(`there is no ${name}`);
	return pid;
}

function kill(pid, name = "SIGKILL") {
	if (!signal(pid, name))
		throw new Error("it has ended");
}

// There is no such program, which no server is to blame for.
export class Missing extends Error {}

function tool(...argv) {
	const { error, status, stderr } = spawnSync(argv[0], argv.slice(1),
	    { encoding: "utf8", env: { ...process.env, LC_ALL: "C" } });

	if (error || status === 127)
		throw new Missing(error?.message ?? stderr);
	if (status !== 0)
		throw new Error(stderr);
}

async function stopped(pid, ms) {
	kill(pid, "SIGSTOP");
	await pause(ms);
	signal(pid, "SIGCONT");
}

async function kill_worker(w, random) {
	const name = random.of(WORKERS);

	kill(pid_of(w, name));
	return name;
}

async function stop_worker(w, random) {
	const name = random.of(WORKERS), ms = random.between(50, 3000);

	await stopped(pid_of(w, name), ms);
	return `${name} ${ms} ms`;
}

// Half of them at the same moment.
async function kill_several(w, random) {
	const names = WORKERS.filter(() => random.next() < 0.5);
	const pids = w.pids();
	const killed = names.filter((name) => pids[name] &&
	    signal(pids[name], "SIGKILL"));

	if (killed.length === 0)
		throw new Error(`there is none of ${names.join(" ")}`);
	return killed.join(" ");
}

async function kill_parent(w) {
	const { proc } = w.server;

	proc.signal("SIGKILL", false);
	await proc.wait();
	await w.server.start();
	return "";
}

async function restart(w) {
	await w.server.halt();
	await w.server.start();
	return "";
}

async function kill_postgres(w) {
	kill(w.postmaster());
	return "";
}

async function kill_backend(w, random) {
	const pids = w.backends();

	if (pids.length === 0)
		throw new Error("there is none");
	kill(random.of(pids), random.of(["SIGKILL", "SIGTERM"]));
	return "";
}

async function stop_backends(w, random) {
	const ms = random.between(100, 3000);
	const pids = w.backends().filter((pid) => signal(pid, "SIGSTOP"));

	if (pids.length === 0)
		throw new Error("there is none");
	await pause(ms);
	pids.forEach((pid) => signal(pid, "SIGCONT"));
	return `${ms} ms`;
}

// The database says no to whoever connects.
async function refuse_database(w, random) {
	const ms = random.between(1000, 10000);

	await deny(w.server, ms);
	return `${ms} ms`;
}

const line_of = (w, random) => random.of(["api", "runner"]);

async function cut_line(w, random) {
	const name = line_of(w, random);

	w[name].cut();
	return name;
}

async function cut_some(w) {
	w.load.signal("SIGUSR1", false);
	return "";
}

const lines = (verb, most) => async (w, random) => {
	const name = line_of(w, random), ms = random.between(500, most);

	await w[name][verb](ms);
	return `${name} ${ms} ms`;
};

// dir: a disk of its own.
async function fill_disk(dir, random) {
	const ms = random.between(500, 3000);

	const file = path.join(dir, "full");

	try {
		tool("dd", "if=/dev/zero", `of=${file}`, "bs=1M");
	} catch (e) {
		if (!/No space left/.test(e.message))
			throw e;
	}
	await pause(ms);
	fs.rmSync(file);
	return `${ms} ms`;
}

const fill_database = (w, random) => fill_disk(w.disk, random);
const fill_spool = (w, random) => fill_disk(w.spool, random);

// By seconds, hours, a day or weeks, forward or back, and it stays so.  Never
// far behind the machine's: certificates that were just made would not be valid
// yet, which is no fault of the server.
async function step_clock(w, random) {
	const by = random.between(1, random.of([60, HOUR, 26 * HOUR, 40 * DAY]));
	const was = w.clock.seconds;
	const back = was + by > AHEAD ||
	    (was - by >= -BEHIND && random.next() < 0.5);

	w.clock.set(back ? was - by : was + by);
	return `by ${back ? -by : by} s, to ${w.clock.seconds} s`;
}

// Root without CAP_SYS_RESOURCE may not limit those of others.
function as_user_of(pid) {
	const status = fs.readFileSync(`/proc/${pid}/status`, "utf8");
	const id = (name) => new RegExp(`^${name}:\\s+(\\d+)`, "m")
	    .exec(status)[1];

	return is_root ? ["setpriv", `--reuid=${id("Uid")}`,
	    `--regid=${id("Gid")}`, "--clear-groups"] : ["env"];
}

// A process may open no more than it has open, for a while.
async function few_descriptors(w, random) {
	const name = random.of(["api", "runner", "admin", "storaged"]);
	const ms = random.between(500, 3000), pid = pid_of(w, name);
	const limit = (n) => tool(...as_user_of(pid), "prlimit", "--pid",
	    `${pid}`, `--nofile=${n}:`);
	const was = /^Max open files +(\d+)/m.exec(fs.readFileSync(
	    `/proc/${pid}/limits`, "utf8"))[1];
	limit(fs.readdirSync(`/proc/${pid}/fd`).length);
	await pause(ms);
	if (signal(pid, 0))
		limit(was);
	return `${name} ${ms} ms`;
}

const wake_one = (w, random) => wake(w, random, () =>
    kill(pid_of(w, "sessiond")));

export const FAULTS = [
	{ name: "kill a worker", weight: 8, act: kill_worker },
	{ name: "stop a worker", weight: 4, act: stop_worker },
	{ name: "kill several workers", weight: 2, act: kill_several },
	{ name: "kill the parent", weight: 1, act: kill_parent },
	{ name: "restart", weight: 1, act: restart },
	{ name: "kill PostgreSQL", weight: 2, act: kill_postgres },
	{ name: "kill a connection to PostgreSQL", weight: 3,
	    act: kill_backend },
	{ name: "stop PostgreSQL's processes", weight: 2, act: stop_backends },
	{ name: "the database refuses connections", weight: 1,
	    act: refuse_database },
	{ name: "cut a line", weight: 3, act: cut_line },
	{ name: "cut a tenth of the connections", weight: 3, act: cut_some },
	{ name: "refuse on a line", weight: 2, act: lines("refuse", 3000) },
	{ name: "silence on a line", weight: 2, act: lines("half_open", 4000) },
	{ name: "a slow line", weight: 2, act: lines("slow", 3000) },
	{ name: "wake a session while sessiond dies", weight: 2,
	    act: wake_one },
	{ name: "no descriptors", weight: 1, act: few_descriptors },
	{ name: "a full disk under PostgreSQL", weight: 1,
	    act: fill_database, needs: "has_disk" },
	{ name: "a full disk under the agent's spool", weight: 1,
	    act: fill_spool, needs: "spool" },
	{ name: "step the clock", weight: 2, act: step_clock }
];

// Each is as often in it as it is heavy.
export const deck = FAULTS.flatMap((f) => Array(f.weight).fill(f));
