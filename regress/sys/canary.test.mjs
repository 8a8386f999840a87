// A key that is looked for everywhere afterwards: brought with a session, used
// by Claude Code and by a custom agent, stored as an agent config.  It may be in
// the memory of providerd, marionette-agent and the agent program, and nowhere
// else: no file, no core, no argument, no environment, no log, no row, no other
// memory.

import assert from "node:assert/strict";
import crypto from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { all_files } from "../lib/place.mjs";
import { run } from "../lib/proc.mjs";
import { claude_program, demo, ends_well, puppet, start_server,
    tests } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";

// 27 bytes, so that base64 of it is the same wherever it begins in a triple.
const canary = (what) => `sk-ant-${what}-` +
    crypto.randomBytes(24).toString("hex");
const BYOK = canary("byok");
const STORED = canary("stored");
const CUSTOM = canary("custom");

// The ways it could be written down.  In base64 the first and last characters
// depend on what stands around: the middle is looked for, at each offset.
function forms(secret) {
	const b = Buffer.from(secret);
	const out = [b, Buffer.from(b.toString("hex")),
	    Buffer.from(b.toString("hex").toUpperCase()),
	    Buffer.from(encodeURIComponent(secret)),
	    Buffer.from(secret, "utf16le")];

	for (let i = 0; i < 3; i++) {
		const text = Buffer.concat([Buffer.alloc(i), b])
		    .toString("base64").replace(/=+$/, "").slice(4, -2);
		out.push(Buffer.from(text), Buffer.from(text
		    .replaceAll("+", "-").replaceAll("/", "_")));
	}
	return out;
}
const LOOKED_FOR = [BYOK, STORED, CUSTOM].flatMap((s) => forms(s)
    .map((form) => ({ name: s.split("-")[2], form })));
const found_in = (bytes) => LOOKED_FOR.filter((l) => bytes.includes(l.form))
    .map((l) => l.name)[0];

const server = await start_server();
const test = tests(server);
const model = await server.model();
const runner = await server.runner({ agents: { claude: claude_program(), demo,
    "custom:puppet": puppet } });

const read = (pid, name) => {
	try {
		return fs.readFileSync(`/proc/${pid}/${name}`);
	} catch {
		return Buffer.alloc(0);
	}
};

// All readable and writable memory of a process, in pieces that overlap.
function memory_has(pid) {
	const PIECE = 4 << 20, OVERLAP = 512;
	const found = new Set();
	let fd;

	try {
		fd = fs.openSync(`/proc/${pid}/mem`, "r");
	} catch {
		return null;
	}
	const buf = Buffer.allocUnsafe(PIECE);
	for (const l of read(pid, "maps").toString().split("\n")) {
		const m = /^([0-9a-f]+)-([0-9a-f]+) r.* (\S*)$/.exec(l);
		if (m === null || /\[v(var|syscall|dso)/.test(l))
			continue;
		const end = parseInt(m[2], 16);
		for (let at = parseInt(m[1], 16); at < end;
		    at += PIECE - OVERLAP) {
			let n;
			try {
				n = fs.readSync(fd, buf, 0,
				    Math.min(PIECE, end - at), at);
			} catch {
				break;
			}
			const name = found_in(buf.subarray(0, n));
			if (name)
				found.add(name);
			if (n < Math.min(PIECE, end - at))
				break;
		}
	}
	buf.fill(0);
	fs.closeSync(fd);
	return found;
}

function children(pid) {
	return read(pid, `task/${pid}/children`).toString().trim().split(" ")
	    .filter(Boolean).map(Number).flatMap((p) => [p, ...children(p)]);
}

const name_of = (pid) => {
	const argv = read(pid, "cmdline").toString().split("\0");
	return argv[1] === "-P" ? argv[2] : path.basename(argv[0])
	    .split(" ")[0].replace(/:$/, "");
};
const family = () => [server.proc.pid, ...children(server.proc.pid),
    runner.proc.pid, ...children(runner.proc.pid)];

const byok = await server.session({ agent: "claude", api_key: BYOK,
    base_url: model.url });
const held = await (async () => {
	// Something to do everywhere, then a moment to look at.
	const { task } = await server.run(byok,
	    "[[seq:bash=env; cat /proc/self/environ /proc/*/environ /proc/*/" +
	    "cmdline|write=a.txt:x]]");
	assert.equal(task.status, "completed");
	assert.ok(model.requests().some((r) => r.key_sha256 === crypto
	    .createHash("sha256").update(BYOK).digest("hex")));
	const t = await server.task(byok, "[[bash:echo waiting]]");
	await server.asked(t);
	return t;
})();

test("while it is used: in the memory of who must have it, and of nobody else",
    async () => {
	const may = /^(providerd|marionette-agent|claude)$/;
	const seen = new Set();

	for (const pid of family()) {
		const name = name_of(pid);
		const found = memory_has(pid);
		if (found === null)
			continue;
		if (found.size > 0) {
			seen.add(name);
			assert.match(name, may, `the key of ${[...found]} is ` +
			    `in the memory of ${name} (pid ${pid})`);
		}
	}
	assert.ok(seen.has("providerd") && seen.has("marionette-agent"),
	    `it was looked for badly: ${[...seen]}`);
});

test("no argument and no environment has it", () => {
	for (const pid of family()) {
		assert.equal(found_in(read(pid, "cmdline")), undefined,
		    `argv of ${name_of(pid)}`);
		assert.equal(found_in(read(pid, "environ")), undefined,
		    `environ of ${name_of(pid)}`);
	}
});

test("the tools of the agent do not see it", async () => {
	await server.approve(await server.asked(held));
	assert.equal((await server.ended(held)).status, "completed");
	for (const t of await server.api.all("/api/v1/tasks"))
		assert.equal(found_in(Buffer.from(JSON.stringify([t,
		    await server.lines(t), await server.permissions(t)]))),
		    undefined);
	await server.terminate(byok);
});

test("a custom agent gets its own key, and it is masked where it is printed",
    async () => {
	const s = await server.session({ agent: "custom:puppet",
	    api_key: CUSTOM });
	const { task } = await server.run(s, JSON.stringify([
	    { env: "MARIONETTE_API_KEY" }, { json: { type: "result",
		result: "no key here" } }]));
	assert.equal(task.status, "completed");
	const said = await server.printed(task);
	assert.match(said, /env MARIONETTE_API_KEY=.+/);
	assert.ok(!said.includes(CUSTOM), "the line has it");
	await server.terminate(s);
	const d = await server.session({ agent: "demo", api_key: CUSTOM });
	const r = await server.run(d, "Write hello.md: greet the reader.");
	assert.equal(r.task.status, "completed");
	await server.terminate(d);
});

let config;

test("a stored credential is used, and no answer shows it", async () => {
	const made = await server.local.post("/admin/api/v1/agent-configs",
	    { name: "canary", agent: "claude", api_key: STORED,
	    base_url: model.url });
	assert.equal(made.status, 201);
	config = made.json;
	const s = await server.session({ agent: "claude",
	    agent_config_id: config.id });
	const { task } = await server.run(s, "[[bash:env]]");
	assert.equal(task.status, "completed");
	const shown = [made.text, (await server.local.get(
	    "/admin/api/v1/agent-configs")).text, (await server.local.get(
	    `/admin/api/v1/agent-configs/${config.id}`)).text,
	    JSON.stringify(await server.get_session(s)),
	    (await server.local.get("/metrics")).text,
	    (await server.local.get("/admin/api/v1/status")).text];
	assert.equal(found_in(Buffer.from(shown.join("\n"))), undefined);
	await server.terminate(s);
});

test("when its session is gone, the agent forgets it; other processes never"
    + " had it", async () => {
	await until("it to be forgotten", () => {
		for (const pid of [server.proc.pid,
		    ...children(server.proc.pid)]) {
			const name = name_of(pid);
			const found = memory_has(pid);
			if (found === null)
				continue;
			if (name === "providerd") {
				assert.ok(!found.has("byok"),
				    "providerd keeps a BYOK key of a session" +
				    " that is gone");
				continue;
			}
			assert.deepEqual([...found], [], name);
		}
		assert.deepEqual([...memory_has(runner.proc.pid)], [],
		    "marionette-agent");
		return true;
	}, undefined, 250);
});

// The database's own words, as its owner.
async function dump() {
	const bin = fs.readdirSync("/usr/lib/postgresql").sort().at(-1);
	const r = await run([`/usr/lib/postgresql/${bin}/bin/pg_dump`, "-h",
	    path.join(server.dir, "r/postgres"), "-U", "marionette_owner",
	    "marionette"], { ms: 30000 });

	assert.equal(r.code, 0, r.err);
	return r.out;
}

test("the database: ciphertext and hashes alone", async () => {
	const text = await dump();
	const hex = (s) => crypto.createHash("sha256").update(s).digest("hex");
	const token = await server.runner_token();
	const again = await dump();

	assert.ok(text.includes(config.id) && text.includes(byok.id));
	assert.equal(found_in(Buffer.from(text)), undefined);
	// API keys and runner tokens are there as their SHA-256.
	const key = server.api.o.token;
	for (const secret of [key, token.split(".")[0], server.master_key]) {
		assert.ok(!again.includes(secret));
		assert.ok(!again.includes(Buffer.from(secret)
		    .toString("hex")));
	}
	assert.ok(again.includes(hex(key)));
	assert.ok(again.includes(hex(token.split(".")[0])) ||
	    again.includes(hex(token)));
});

test("no file has it, nor a core, nor a log, also after all has ended",
    async () => {
	const look = () => {
		for (const file of [...all_files(server.dir),
		    ...fs.readdirSync("/tmp").filter((n) => /^(core|claude)/
			.test(n)).map((n) => path.join("/tmp", n))
			.filter((f) => fs.statSync(f,
			    { throwIfNoEntry: false })?.isFile())]) {
			let bytes;
			try {
				bytes = fs.readFileSync(file);
			} catch {
				continue;	// It is gone.
			}
			assert.equal(found_in(bytes), undefined, file);
			assert.doesNotMatch(path.basename(file), /^core/);
		}
	};

	await run(["sync"]);
	look();
	assert.equal((await server.halt()).code, 0);
	look();
	assert.equal(found_in(Buffer.from(server.log() + runner.log())),
	    undefined);
	await server.start();
	await runner.online();
});

ends_well(server);
