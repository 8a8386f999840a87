// The clock leaps by forty days, as of a machine that has lost its time, and is set
// right again: what comes meanwhile finds its place in the log, and nothing is
// removed that was not old before.

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { Clock } from "../lib/clock.mjs";
import { ends_well, start_server, tests } from "../lib/server.mjs";

const LEAP = 40 * 86400;
let clock;
const server = await start_server({ wrap: ({ dir }) => {
	clock = new Clock(dir, process.env.O);
	return ["env", ...Object.entries(clock.env)
	    .map(([name, value]) => `${name}=${value}`)];
} });
const test = tests(server);
const program = path.join(server.dir, "says.mjs");
const go = path.join(server.dir, "go");

fs.writeFileSync(go, "");
fs.writeFileSync(program, `#!/usr/bin/env node
import fs from "node:fs";

const timer = setInterval(() => {
	if (!fs.existsSync("${go}"))
		return;
	console.log("said");
	console.log(JSON.stringify({ type: "result", result: "done" }));
	clearInterval(timer);
}, 20);
`, { mode: 0o755 });
await server.runner({ name: "a", agents: { "custom:says": program } });
const session = await server.session({ agent: "custom:says" });
const of = [];			// the tasks, one for each time

async function begins() {
	of.push(await server.task(session, `run ${of.length}`));
	return of.at(-1);
}

async function ends(t) {
	assert.equal((await server.ended(t, 30000)).status, "completed");
	for (const each of of)
		assert.match(await server.printed(each), /^said$/m, each.id);
}

const says = async () => ends(await begins());

test("before", says);
test("the clock leaps: there is a day for what comes, and none is gone",
    async () => {
	clock.set(LEAP);
	await says();
});
test("it is set right while a task is at work, and its lines come then",
    async () => {
	fs.rmSync(go);
	const t = await begins();
	await server.when(t, "to be at work", (x) => x.status === "running");
	clock.set(0);
	fs.writeFileSync(go, "");
	await ends(t);
	await says();
});
ends_well(server);
