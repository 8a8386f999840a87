// A bounded pass: for SECONDS (60), at moments that SEED decides, workers are
// killed or stopped, PostgreSQL is killed, connections are cut, while all that
// clients and runners do goes on.  Then it becomes quiet, and the books are
// compared.  What faults.sh plants has to be caught here.
//
//	POINTS_CERTS	what certs.sh made
//	FLEET		the fleet's program

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { ends_well } from "../lib/server.mjs";
import { start_world } from "./points_world.mjs";

const SEED = Number(process.env.SEED ?? 1);
const SECONDS = Number(process.env.SECONDS ?? 60);
const WORKERS = ["api", "admin", "runner", "sessiond", "taskd", "runnerd",
    "providerd", "storaged"];

// mulberry32
let state = SEED;
function random() {
	state = (state + 0x6d2b79f5) | 0;
	let t = Math.imul(state ^ (state >>> 15), 1 | state);
	t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
	return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}
const one_of = (list) => list[Math.floor(random() * list.length)];

const world = await start_world(process.env.POINTS_CERTS, process.env.FLEET);
const { server } = world;

// What the server says of its processes may be a second old.
function send(pid, signal) {
	try {
		process.kill(pid, signal);
	} catch (e) {
		if (e.code !== "ESRCH")
			throw e;
	}
}

async function worker(signal, ms) {
	const name = one_of(WORKERS);
	const { pid } = (await server.processes())[name];

	send(pid, signal);
	if (signal === "SIGSTOP") {
		await pause(ms);
		send(pid, "SIGCONT");
	}
	return name;
}

function postgres() {
	process.kill(Number(fs.readFileSync(path.join(server.dir,
	    "s/postgres/postmaster.pid"), "utf8").split("\n")[0]), "SIGKILL");
	return "PostgreSQL";
}

const FAULTS = [
    ["killed", () => worker("SIGKILL")],
    ["killed", () => worker("SIGKILL")],
    ["killed", () => worker("SIGKILL")],
    ["stopped for a while", () => worker("SIGSTOP", 500 + random() * 1500)],
    ["killed", postgres],
    ["cut", () => (world.cut(), one_of(world.list).cut(), "connections")],
];

test(`the server lives, seed ${SEED}`, { timeout: (SECONDS + 120) * 1000 },
    async () => {
	for (const end = Date.now() + SECONDS * 1000; Date.now() < end;) {
		await pause(300 + random() * 1200);
		const [what, f] = one_of(FAULTS);
		console.log(`# ${await f()} ${what}`);
		await world.is_up();
	}
});

test("nothing is lost, nothing is there twice", { timeout: 600000 },
    async () => {
	assert.deepEqual(await world.end(), []);
});

ends_well(server);
