// Each process dies before and after each message that it can send, and
// storaged around each commit, while everything that clients and runners do
// goes on; in the end the books of those who used it are compared with what
// the server says.  Prints each point: hit, or why it was not.
//
//	MN_POINTS	the page of orders (points.h), made by points.sh
//	POINTS_LIST	gen.awk's points
//	POINTS=regex	only those whose name it matches

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test } from "node:test";
import { setTimeout as pause } from "node:timers/promises";
import { start } from "../lib/proc.mjs";
import { ends_well, O, start_server } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";
import { AGENT, circles } from "./points_circles.mjs";
import { Page, points } from "./points_page.mjs";
import { steady } from "./points_runner.mjs";
import { Books, Will } from "./points_will.mjs";

const WARM_MS = 40000;			// to see what comes how often
const QUICK_MS = 5000;			// for what comes all the time
const SLOW_MS = 45000;			// for what comes now and then
const RUNNERS = 10;

const list = points(process.env.POINTS_LIST);
const page = new Page(process.env.MN_POINTS,
    Math.max(...list.map((p) => p.type)) + 1);
// The parent last: all others go with it.
const all = list.filter((p) => new RegExp(process.env.POINTS ?? "")
    .test(p.name)).sort((a, b) => (a.proc === 0) - (b.proc === 0));
const server = await start_server({ conf: ["heartbeat 1",
    "suspend after 10", "limit connections 2000"] });
const books = new Books();

const web = new Will(server.api, books);
web.url = server.url;
web.auth = { authorization: `Bearer ${server.api.o.token}` };
const local = new Will(server.local, books);
local.admin = true;
local.url = server.admin_url;
local.auth = { authorization: "Basic " + Buffer.from(
    `admin:${server.admin_password}`).toString("base64") };

const load = { books, list: [],
    address: `localhost:${server.ports.runner}`,
    token: async () => (await local.make("token", "/admin/api/v1/runner-tokens",
	{ pool: "default", name: "enrol" })).token };
for (let i = 0; i < RUNNERS; i++)
	load.list.push(await steady(load.address, load.token, [AGENT],
	    `points-${i}`));
const done = circles(load, [web, local]);

// The parent may have died: it is started again.
async function is_up() {
	await until("the server to be up", async () => {
		if (server.proc.status !== null) {
			server.logs.push(server.proc.out + server.proc.err);
			await server.start();
		}
		const r = await server.local.get("/health/ready");
		return r.status === 200;
	}, 60000, 20);
}

async function hit(p, ms) {
	page.arm(p);
	for (const end = Date.now() + ms; Date.now() < end; await pause(10))
		if (page.is_hit(p.proc))
			break;
	p.hit = page.disarm(p.proc);
	await is_up();
	if (p.hit)
		console.log(`# hit ${p.name}`);
	return p.hit;
}

test("every point is hit that can be", { timeout: 3600000 }, async () => {
	const can = all.filter((p) => p.never === undefined);
	const lanes = new Map();

	// One after the other, what comes quickly; the rest side by side.
	await pause(process.env.POINTS ? 1000 : WARM_MS);
	for (const p of can.filter((x) => page.sent(x) > 0))
		await hit(p, QUICK_MS);
	for (const p of can.filter((x) => !x.hit))
		lanes.set(p.proc, [...(lanes.get(p.proc) ?? []), p]);
	await Promise.all([...lanes.values()].map(async (lane) => {
		for (const p of lane)
			await hit(p, SLOW_MS);
	}));
	for (const p of all.filter((x) => !x.hit))
		console.log(`# not hit ${p.name}: ${p.never ??
		    `sent ${page.sent(p)} times`}`);
	const missed = all.filter((p) => !p.hit && !p.never);
	console.log(`# ${all.filter((p) => p.hit).length} of ${all.length} ` +
	    `points hit, ${all.filter((p) => p.never).length} cannot be`);
	assert.deepEqual(missed.map((p) => p.name), []);
});

test("nothing is lost, nothing is there twice", { timeout: 300000 },
    async () => {
	books.stopped = true;
	await done;
	await is_up();
	await Promise.all(load.list.map((r) => r.stop()));
	assert.deepEqual(books.wrong, []);
});

ends_well(server);
