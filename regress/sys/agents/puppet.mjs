#!/usr/bin/env node
// A custom agent (surface 9) that does what its prompt says: the prompt is a
// JSON array of steps, done in order.  What it got is told on stdout, so that
// a test sees both sides of the pipe.
//
//	{"out": text} {"err": text} {"raw": base64} {"json": value}
//	{"ask": {id, tool, action, input}, "or": "stop"}
//	{"append": [file, line]}	{"read": file}	{"env": name}
//	{"flood": n}			n lines `flood i'
//	{"fill": [text, n]}		a line of n times text
//	{"spawn": argv, "detached": true}
//	{"line": true}			waits for a line of stdin, prints it
//	{"told": true}			prints line 1 of stdin
//	{"ignore": signal}		{"hang": true}	{"exit": n}

import fs from "node:fs";
import readline from "node:readline";
import { spawn } from "node:child_process";

const put = (fd, data) => {
	let b = Buffer.from(data);
	while (b.length > 0)
		try {
			b = b.subarray(fs.writeSync(fd, b));
		} catch (e) {
			if (e.code !== "EAGAIN")
				throw e;
		}
};
const say = (text) => put(1, `${text}\n`);
const lines = readline.createInterface({ input: process.stdin })
    [Symbol.asyncIterator]();
const next = async () => (await lines.next()).value;

const first = await next();
const task = JSON.parse(first);

async function ask(q, or) {
	say(JSON.stringify({ type: "permission_request", ...q }));
	const text = await next();
	if (text === undefined) {
		say("stdin is closed");
		process.exit(9);
	}
	const a = JSON.parse(text);
	say(`answer ${JSON.stringify(a)}`);
	if (!a.approved && or === "stop")
		process.exit(0);
}

const DO = {
	out: (v) => say(v),
	err: (v) => put(2, `${v}\n`),
	raw: (v) => put(1, Buffer.from(v, "base64")),
	json: (v) => say(JSON.stringify(v)),
	ask: (v, s) => ask(v, s.or),
	append: ([file, line]) => fs.appendFileSync(file, `${line}\n`),
	read: (v) => {
		try {
			say(`read ${v}: ${fs.readFileSync(v, "utf8")}`);
		} catch (e) {
			say(`read ${v}: ${e.code}`);
		}
	},
	env: (v) => say(`env ${v}=${process.env[v] ?? ""}`),
	flood: (n) => {
		for (let i = 1; i <= n; i += 500)
			put(1, Array.from({ length: Math.min(500, n - i + 1) },
			    (_, k) => `flood ${i + k}\n`).join(""));
	},
	spawn: (v, s) => spawn(v[0], v.slice(1), { stdio: s.keep ? "inherit" :
	    "ignore", detached: s.detached }).unref(),
	fill: ([text, n]) => say(text.repeat(n)),
	line: async () => say(`line ${await next()}`),
	told: () => say(`told ${first}`),
	ignore: (v) => process.on(v, () => say(`ignored ${v}`)),
	hang: () => new Promise(() => setInterval(() => {}, 1000)),
	exit: (n) => process.exit(n),
};

for (const step of JSON.parse(task.prompt)) {
	const verb = Object.keys(step)[0];
	await DO[verb](step[verb], step);
}
process.exit(0);
