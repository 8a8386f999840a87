// Bad input from everywhere: wrong command lines, files, ports and directories,
// disks that are full, bytes that are no requests, clients that dawdle, agents
// that talk nonsense.  Each gets one clear line or envelope; nothing crashes,
// nothing is lost, and others notice nothing.

import assert from "node:assert/strict";
import crypto from "node:crypto";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import tls from "node:tls";
import { setTimeout as pause } from "node:timers/promises";
import { free_port, free_ports } from "../lib/place.mjs";
import { run } from "../lib/proc.mjs";
import { claude_program, ends_well, is_root, O, puppet, start_server, tests }
    from "../lib/server.mjs";
import { LONG_MS, until, within } from "../lib/wait.mjs";

const server = await start_server();
const test = tests(server);
const model = await server.model();
const { api, ports } = server;
const at = (name) => path.join(O, name);
const as_root = is_root ? test : (name) => test(`${name} (not root)`,
    (t) => t.skip("not root"));

// ---- programs ----------------------------------------------------------

for (const [argv, code, says] of [
    [["marionetted", "-x"], 2, /usage: marionetted/],
    [["marionetted", "more"], 2, /usage: marionetted/],
    [["marionetted", "-f"], 2, /usage: marionetted/],
    [["marionetted", "-f", "/nowhere"], 1, /\/nowhere: No such file/],
    ...["sessiond", "taskd", "runnerd", "tunneld", "providerd", "storaged",
	"frontd"].flatMap((p) => [
	[[p], 1, /is started by marionetted\(8\)/],
	[[p, "-P", "nobody"], 1, /is started by marionetted\(8\)/],
	[[p, "-P", p === "frontd" ? "api" : p], 1,
	    /is started by marionetted\(8\)/]]),
    [["providerd", "-I"], 1, /usage|providerd/],
    [["marionette-agent", "--nonsense"], 2, /usage: marionette-agent/],
    [["mctl", "--nonsense"], 2, /nonsense/],
    [["mctl", "nonsense"], 2, /nonsense/],
    [["mctl", "sessions", "nonsense"], 2, /nonsense/],
    [["mctl", "sessions", "create"], 2, /agent/],
    [["mctl", "sessions", "get", "x", "y"], 2, /y|argument|usage/],
    [["mctl", "-o", "pdf", "sessions", "list"], 2, /pdf|table/]])
	test(`wrong: ${argv.join(" ")}`, async () => {
		const r = await run([at(argv[0]), ...argv.slice(1)],
		    { env: { PATH: process.env.PATH } });
		assert.equal(r.code, code, r.err);
		assert.match(r.out + r.err, says);
	});

// A server that must not start: its configuration, lines of which are replaced.
async function attempt(t, change, prepare = () => {}) {
	const dir = fs.mkdtempSync("/tmp/mn-bad-");
	t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
	fs.chmodSync(dir, 0o755);
	const [a, r] = await free_ports(2);
	const conf = { state: `state directory "${dir}/s"`,
	    run: `run directory "${dir}/r"`,
	    api: `listen api on localhost port ${a} plaintext`,
	    runner: `listen runner on localhost port ${r} tls`,
	    admin: `admin user "admin" password "sha256:${"0".repeat(64)}"`,
	    ...(typeof change === "function" ? change(dir) : change) };
	await prepare(dir);
	fs.writeFileSync(`${dir}/m.conf`,
	    `${Object.values(conf).join("\n")}\n`);
	return run([at("marionetted"), "-f", `${dir}/m.conf`], { ms: 40000 });
}

const openssl = (...args) => run(["openssl", ...args]);
async function certificates(dir) {
	for (const n of ["a", "b"])
		await openssl("req", "-x509", "-newkey", "ec", "-pkeyopt",
		    "ec_paramgen_curve:P-256", "-nodes", "-subj",
		    "/CN=localhost", "-keyout", `${dir}/${n}.key`, "-out",
		    `${dir}/${n}.crt`);
	fs.writeFileSync(`${dir}/garbage`, crypto.randomBytes(600));
}
const tls_line = (crt, key) => (dir) => ({ api: "listen api on localhost " +
    `port 28443 tls certificate "${dir}/${crt}" key "${dir}/${key}"` });
const with_state = (f) => (dir) => {
	fs.mkdirSync(`${dir}/s`);
	return f(`${dir}/s`);
};

for (const [name, change, says, prepare] of [
    ["a port in use", { api: `listen api on localhost port ${ports.api} ` +
	"plaintext" }, new RegExp("m\\.conf:3: listen api on localhost port " +
	`${ports.api}: Address already in use`)],
    ["an address that is not here", { api:
	"listen api on 192.0.2.7 port 28080 plaintext" },
	/m\.conf:3: .*192\.0\.2\.7.*(no such address|assign)/],
    ["a state directory in use", { state:
	`state directory "${server.dir}/s"` }, /in use by another marionetted/],
    ["a state directory of another version", {}, /version 9.*knows version 1/,
	with_state((s) => fs.writeFileSync(`${s}/version`, "9\n"))],
    ["a state directory that is a file", {}, /a directory is expected/,
	(dir) => fs.writeFileSync(`${dir}/s`, "")],
    ["a state directory of another user", {}, /belongs to uid 12345/,
	with_state((s) => is_root ? fs.chownSync(s, 12345, 12345) :
	    fs.writeFileSync(`${s}/version`, "uid 12345\n"))],
    ["a run directory whose path is too long", { run:
	`run directory "/tmp/${"x".repeat(80)}"` }, /m\.conf: run directory: at most 70 bytes/],
    ["no certificate", tls_line("no.crt", "a.key"),
	/m\.conf:3: .*(no\.crt|cannot be read)/, certificates],
    ["a certificate that is none", tls_line("garbage", "a.key"),
	/m\.conf:3: .*certificate/, certificates],
    ["a key that is none", tls_line("a.crt", "garbage"), /m\.conf:3: .*key/,
	certificates],
    ["a key of another certificate", tls_line("a.crt", "b.key"),
	/m\.conf:3: .*key/, certificates],
    ["no master key file", { master: 'master key file "/nowhere/key"' },
	/master key file \/nowhere\/key: No such file/],
    ["a master key that is none", (dir) => ({ master:
	`master key file "${dir}/garbage"` }), /`mk_\.\.\.' or `sha256:'/,
	certificates],
    ["a control group that does not exist", { group:
	"control group nobody_knows" }, /nobody_knows: there is no such group/],
    ["no PostgreSQL", { database: 'database embedded binaries "/nowhere"' },
	/\/nowhere.*(No such file|initdb)/],
    ["no database password file", { database: 'database "host=127.0.0.1"',
	file: 'database password file "/nowhere/pass"' },
	/\/nowhere\/pass/]])
	test(`it does not start with ${name}`, async (t) => {
		const r = await attempt(t, change, prepare);
		assert.equal(r.code, 1, r.err);
		assert.match(r.err, says);
		// One line, not five, and nothing was started before.
		assert.equal(r.err.split("\n").filter((l) => says.test(l)).length,
		    1, r.err);
		assert.doesNotMatch(r.err, /killed by|ended with status/);
	});

test("it stops with a conninfo that is none, and says what is wrong with it",
    async (t) => {
	const r = await attempt(t, { database: 'database "colour=red"' });

	assert.match(r.err, /database: invalid connection option .*colour/);
	assert.match(r.err, /storaged died 5 times .* the server stops/);
});

as_root("it does not start without its users", async (t) => {
	const r = await attempt(t, { prefix: "user prefix nobody_" });

	assert.equal(r.code, 1);
	assert.match(r.err, /there is no user nobody_\w+; `make/);
});

// ---- requests ------------------------------------------------------------

function refused(r, status, code, says = /./) {
	assert.equal(r.status, status, r.text);
	assert.match(r.json.code, new RegExp(`^(${code})$`), r.text);
	assert.match(r.json.message, says);
	assert.ok(r.json.request_id);
}

test("bodies of the wrong shape: the field is named", async () => {
	const s = await server.session({ agent: "custom:nobody" });
	const sessions = (b, h) => api.post("/api/v1/sessions", b, h);
	const tasks = (b) => api.post("/api/v1/tasks",
	    { session_id: s.id, prompt: "x", ...b });
	const bad = "validation_error|invalid_id";

	for (const text of ["{", "nonsense", '{"agent":"claude"', "\0",
	    '{"agent":"claude"}x', '{"agent":"claude",}', "'x'",
	    '{"agent":"\\ud800"}', `${"[".repeat(5000)}${"]".repeat(5000)}`])
		refused(await sessions(text), 400, "invalid_json");
	for (const body of [[], null, "x", 7, true])
		assert.equal((await sessions(JSON.stringify(body))).status, 400);
	refused(await sessions(Buffer.from('{"agent":"\xff\xfe"}', "latin1")),
	    400, "invalid_json");
	refused(await sessions('{"agent":"claude","agent":"demo"}'), 400,
	    "invalid_json");
	for (const [field, value] of [["agent", {}], ["agent", "nonsense"],
	    ["agent", "custom:"], ["agent", "custom:../x"], ["name", 5],
	    ["name", "x".repeat(5000)], ["labels", []], ["labels", { a: 1 }],
	    ["labels", { "": "x" }], ["allowed_hosts", "x"],
	    ["permission_policy", 3], ["idle_timeout_seconds", -1],
	    ["idle_timeout_seconds", 1e30], ["idle_timeout_seconds", 1.5],
	    ["lifecycle_mode", "sometimes"], ["network_policy", "perhaps"],
	    ["agent_config_id", "x"], ["api_key", "two words"],
	    ["base_url", "gopher://x"], ["nonsense", 1]])
		refused(await sessions({ agent: "claude", [field]: value }), 400,
		    bad, new RegExp(field));
	for (const [field, value] of [["prompt", ""], ["prompt", 1],
	    ["prompt", null], ["session_id", 1], ["session_id", "task_x"],
	    ["timeout_seconds", 0], ["timeout_seconds", "1"],
	    ["max_retries", -1], ["max_retries", 1e9], ["priority", "high"],
	    ["continue_from", "x"], ["colour", "red"]])
		refused(await tasks({ [field]: value }), 400, bad,
		    new RegExp(field));
	refused(await tasks({ prompt: "a\0b" }), 400, "invalid_json",
	    /column \d+: the character \\u0000 is not allowed$/);
	refused(await sessions({ agent: "claude", name: "y".repeat(70000) }), 413,
	    "payload_too_large");
	await server.terminate(s);
});

test("ids that are none, unknown, or of another kind", async () => {
	const none = `${"0".repeat(26)}`;

	for (const [kind, prefix] of [["sessions", "sess"], ["tasks", "task"],
	    ["permissions", "perm"], ["runners", "rnr"]]) {
		for (const id of ["x", `${prefix}_`, `${prefix}_${"u".repeat(26)}`,
		    `nope_${none}`, `${prefix}_${none}0`, "%00", "..%2f..",
		    `${prefix}_${none}%0a`, "x".repeat(3000)]) {
			const r = await api.get(`/api/v1/${kind}/${id}`);
			assert.ok([400, 404].includes(r.status),
			    `${id}: ${r.status}`);
			assert.ok(["invalid_id", "not_found", "bad_request",
			    "validation_error"].includes(r.json.code), r.text);
		}
		refused(await api.get(`/api/v1/${kind}/${prefix}_${none}`), 404,
		    "not_found");
	}
});

test("credentials that are none, of others, or revoked", async () => {
	const me = (headers) => api.as({}).get("/api/v1/me", headers);

	for (const value of ["", "Bearer",
	    "Bearer ", "Bearer mk_x y", "Bearer mk_wrong",
	    `Bearer ${"x".repeat(4000)}`, "Digest x", "Basic !!!",
	    `Basic ${Buffer.from("a").toString("base64")}`]) {
		const r = await me({ authorization: value });
		assert.equal(r.status, 401, value);
		assert.match(r.json.code, /^(missing|invalid)_/);
	}
	refused(await me({}), 401, "missing_auth");
	const k = await server.key();
	await server.local.must(200, "POST",
	    `/admin/api/v1/keys/${k.id}/revoke`, {});
	refused(await k.api.get("/api/v1/me"), 401, "token_revoked");
	const theirs = await server.key({ tenant: "another" });
	const s = await server.session({ agent: "custom:nobody" });
	refused(await theirs.api.get(`/api/v1/sessions/${s.id}`), 404,
	    "not_found");
	refused(await theirs.api.delete(`/api/v1/sessions/${s.id}`), 404,
	    "not_found");
	await server.terminate(s);
});

// ---- bytes ---------------------------------------------------------------

// Who has to wait for a head or a handshake that does not come waits for ten
// seconds; on a busy machine some others may take one or two.
const HELD_UP_MS = 5000;

// Another client's requests meanwhile: how long the slowest took.
async function meanwhile(f) {
	const seen = { slowest: 0, n: 0, over: false };
	const other = (async () => {
		while (!seen.over) {
			const from = performance.now();
			const r = await api.get("/api/v1/me");
			assert.equal(r.status, 200);
			seen.slowest = Math.max(seen.slowest,
			    performance.now() - from);
			seen.n++;
			await pause(20);
		}
	})();

	try {
		await Promise.race([f(), other]);
	} finally {
		seen.over = true;
		await other;
	}
	return seen;
}

// Bytes to a port or path; what came back until it was closed.
const bytes = (to, data, { secure, ms = LONG_MS } = {}) => within(
    `the end of a connection to ${to}`, ms, new Promise((done) => {
	const o = typeof to === "number" ? { port: to, host: "127.0.0.1" } :
	    { path: to };
	const s = secure ? tls.connect({ ...o, rejectUnauthorized: false,
	    ...(secure === true ? {} : secure) }) : net.connect(o);
	let got = Buffer.alloc(0);
	s.on("data", (d) => { got = Buffer.concat([got, d]); });
	s.on("error", () => {});
	s.on("close", () => done(got.toString("latin1")));
	s.on(secure ? "secureConnect" : "connect", () => s.end(data));
}));

const HELLO = Buffer.from("16030100a5010000a10303" + "00".repeat(161), "hex");
const GET = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
const PREFACE = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

test("garbage on every port: closed, and nobody notices", async () => {
	const random = (n) => crypto.randomBytes(n);
	const before = await server.processes();
	const seen = await meanwhile(async () => {
		const all = [];
		for (const to of [ports.api, ports.admin, ports.runner,
		    server.socket])
			for (const data of [random(1), random(100),
			    random(70000), HELLO, "\r\n\r\n\r\n", "\0\0\0\0",
			    `${PREFACE}${random(200).toString("latin1")}`,
			    `GET /${"a".repeat(90000)} HTTP/1.1\r\n\r\n`,
			    "GET / HTTP/9.9\r\n\r\n", "\x80\x2e\x01\x00\x02"])
				all.push(bytes(to, data));
		await Promise.all(all);
	});
	assert.ok(seen.slowest < HELD_UP_MS, `${seen.slowest} ms`);
	// TLS spoken to plaintext, and the reverse.
	await bytes(ports.api, "", { secure: true });
	assert.doesNotMatch(await bytes(ports.runner, GET), /200/);
	// HTTP on the runner's port, inside TLS: without ALPN, and with.
	for (const secure of [true, { ALPNProtocols: ["http/1.1"] },
	    { ALPNProtocols: ["h2"] }])
		for (const data of [GET, random(500), PREFACE])
			assert.doesNotMatch(await bytes(ports.runner, data,
			    { secure }), /^HTTP\/1\.1 200/);
	const r = await bytes(ports.api, "GARBAGE\r\n\r\n");
	assert.match(r, /^HTTP\/1\.1 400 /);
	assert.match(r, /"code":"bad_request"/);
	const now = await server.processes();
	for (const [name, p] of Object.entries(before))
		assert.equal(now[name].pid, p.pid, name);
});

test("clients that dawdle: others are served at once, they are not for ever",
    async () => {
	const slow = [];
	let closed = 0;

	for (let i = 0; i < 300; i++) {
		const s = net.connect(i % 3 === 2 ? ports.runner : ports.api,
		    "127.0.0.1");
		const text = [GET.slice(0, -2), "POST /api/v1/tasks HTTP/1.1\r\n" +
		    "Host: localhost\r\nAuthorization: Bearer " +
		    `${api.o.token}\r\nContent-Type: application/json\r\n` +
		    "Content-Length: 1000\r\n\r\n{", "\x16\x03\x01"][i % 3];
		s.on("error", () => {});
		s.on("close", () => { closed++; });
		s.on("connect", () => s.write(text.slice(0, -1)));
		slow.push(s);
	}
	const drip = setInterval(() => slow.forEach((s) =>
	    s.writable && s.write(" ")), 1000);
	const seen = await meanwhile(() => pause(3000));
	assert.ok(seen.n > 20);
	assert.ok(seen.slowest < HELD_UP_MS, `${seen.slowest} ms`);
	// Heads and handshakes have ten seconds.
	await until("the slow heads to be cut", () => closed >= 200);
	clearInterval(drip);
	slow.forEach((s) => s.destroy());
	assert.equal((await api.get("/api/v1/me")).status, 200);
});

// ---- agents --------------------------------------------------------------

const gone = path.join(server.dir, "claude");
fs.copyFileSync(claude_program(), gone);
fs.chmodSync(gone, 0o755);
const runner = await server.runner({ agents: { claude: gone,
    "custom:puppet": puppet } });
fs.rmSync(gone);

test("Claude Code is there no more: the task fails and says so", async () => {
	const s = await server.session({ agent: "claude", api_key: "sk-ant-x",
	    base_url: model.url });
	const { task } = await server.run(s, "hello");

	assert.equal(task.status, "failed");
	assert.equal(task.error.code, "agent_missing");
	assert.match(task.error.message, /claude/);
	assert.equal((await server.get_session(s)).status, "active");
	await server.terminate(s);
});

test("an agent that talks nonsense harms nobody", async () => {
	const s = await server.session({ agent: "custom:puppet" });
	const raw = (b) => ({ raw: Buffer.from(b).toString("base64") });
	const { task } = await server.run(s, JSON.stringify([
	    { raw: crypto.randomBytes(150000).toString("base64") },
	    raw("\n\0\0\0\n"), raw('{"type":"result","result":"a\\u0000b"}\n'),
	    raw('{"type":"usage","tokens_input":1e400}\n'),
	    raw('{"type":"usage","tokens_input":99999999999999999999}\n'),
	    raw('{"type":"usage","tokens_input":-1,"cost_usd":"x"}\n'),
	    raw('{"type":"progress","percent":1e9,"step":"\\ud800"}\n'),
	    raw('{"type":"permission_request"}\n'),
	    raw('{"type":"permission_request","id":"1","tool":"T\\u0000",' +
		'"action":"a","input":{"k":"\\u0000"}}\n'),
	    raw(`{"type":"context","context":${"[".repeat(3000)}\n`),
	    raw("\xff\xfe\n"), { out: "the end" }]), { answer: () => false });

	assert.equal(task.status, "completed", JSON.stringify(task.error));
	const lines = await server.lines(task);
	assert.equal(lines.at(-1).content, "the end");
	assert.deepEqual(lines.map((l) => l.sequence),
	    lines.map((_, i) => i + 1));
	const next = await server.run(s, '[{"out":"fine"}]');
	assert.equal(next.task.status, "completed");
	await server.terminate(s);
});

// ---- disks and databases ---------------------------------------------------

// In a mount namespace of its own, so that it goes with the process.
const small = (dir, size) => ["unshare", "-m", "sh", "-c", `mkdir -p ${dir} && ` +
    `mount -t tmpfs -o size=${size},mode=755 none ${dir} && exec "$@"`, "sh"];
function fill(pid, dir, leave) {
	const where = `/proc/${pid}/root${dir}`;
	const { bavail, bsize } = fs.statfsSync(where);

	fs.writeFileSync(`${where}/filler`, Buffer.alloc(bavail * bsize -
	    leave));
	return () => fs.rmSync(`${where}/filler`);
}

as_root("the agent's disk is full: its program waits, no line is lost",
    async () => {
	const dir = path.join(server.dir, "full");
	const full = await server.runner({ name: "full", agents:
	    { "custom:full": puppet }, wrap: small(dir, "6m") });
	const s = await server.session({ agent: "custom:full" });
	await server.is(s, "active");
	const t = await server.task(s, JSON.stringify([{ out: "begin" },
	    { ask: { id: "1", tool: "T", action: "a", input: {} } },
	    { flood: 30000 }, { out: "the end" }]));
	const p = await server.asked(t);
	const free = fill(full.proc.pid, dir, 20000);
	await server.approve(p);
	await full.proc.says(/No space left|disk|spool/);
	await pause(1000);
	assert.equal((await server.get_task(t)).status, "running");
	assert.equal((await full.record()).status, "busy");
	free();
	const end = await server.ended(t);
	assert.equal(end.status, "completed", JSON.stringify(end.error));
	const lines = (await server.lines(t, "&stream=stdout"))
	    .map((l) => l.content).filter((l) => l.startsWith("flood "));
	assert.equal(lines.length, 30000);
	assert.ok(lines.every((l, i) => l === `flood ${i + 1}`));
	await server.terminate(s);
	await full.stop();
});

as_root("the database's disk is full: 503 until there is room, nothing is lost",
    async () => {
	const other = await start_server({ wrap: (o) => small(`${o.dir}/s`,
	    "160m") });
	const s = await other.session({ agent: "custom:nobody" });
	const free = fill(other.proc.pid, `${other.dir}/s`, 300000);
	const made = [];
	let last;

	for (let i = 0; i < 200; i++) {
		const body = { session_id: s.id, prompt: crypto.randomBytes(
		    100000).toString("hex") };
		last = { body, h: { "idempotency-key": `disk-${i}` } };
		last.r = await other.api.post("/api/v1/tasks", body, last.h);
		if (last.r.status !== 201)
			break;
		made.push(last.r.json.id);
	}
	assert.ok([503, 504].includes(last.r.status), last.r.text);
	assert.match(last.r.json.code, /^(unavailable|outcome_unknown)$/);
	assert.ok(last.r.status === 504 || last.r.headers["retry-after"]);
	assert.equal((await other.api.as({}).get("/health/live")).status, 200);
	free();
	await until("it to be made after all", async () => {
		last.r = await other.api.post("/api/v1/tasks", last.body, last.h);
		return last.r.status === 201;
	}, undefined, 250);
	made.push(last.r.json.id);
	const all = (await other.api.all("/api/v1/tasks?limit=500"))
	    .map((t) => t.id);
	assert.deepEqual(all.reverse(), made);
	assert.deepEqual(other.bad(), []);
	await other.stop();
});

as_root("no database: 503, and it goes on when there is one", async () => {
	const dir = fs.mkdtempSync("/tmp/mn-pg-");
	const bin = fs.readdirSync("/usr/lib/postgresql").sort().at(-1);
	const program = (name) => ["setpriv", "--reuid=65534",
	    "--regid=65534", "--clear-groups",
	    `/usr/lib/postgresql/${bin}/bin/${name}`];
	const port = await free_port();
	const { start } = await import("../lib/proc.mjs");
	const database = () => start([...program("postgres"), "-D", `${dir}/d`,
	    "-p", String(port), "-k", dir, "-c", "listen_addresses=127.0.0.1",
	    "-c", "fsync=off"]);
	fs.chownSync(dir, 65534, 65534);
	const r = await run([...program("initdb"), "-D", `${dir}/d`, "-U",
	    "owner", "-A", "trust", "--no-sync"]);
	assert.equal(r.code, 0, r.err);
	let pg = database();
	await until("PostgreSQL", async () => (await run(["psql", "-h", dir, "-p",
	    String(port), "-U", "owner", "postgres", "-c", "CREATE ROLE mn " +
	    "LOGIN"])).code === 0);
	const db = (user) => `"host=127.0.0.1 port=${port} dbname=postgres ` +
	    `user=${user}"`;
	const other = await start_server({ conf: [`database ${db("mn")}`,
	    `database owner ${db("owner")}`] });
	other.after(() => pg.stop("SIGQUIT"));
	other.after(() => fs.rmSync(dir, { recursive: true, force: true }));
	const s = await other.session({ agent: "custom:nobody" });
	const unavailable = async () => {
		const q = await other.api.post("/api/v1/tasks", { session_id:
		    s.id, prompt: "x" }, { "idempotency-key": "db" });
		assert.ok([503, 504].includes(q.status), q.text);
		assert.match(q.json.code, /^(unavailable|outcome_unknown)$/);
		if (q.status === 503)
			assert.ok(Number(q.headers["retry-after"]) > 0);
	};

	await pg.stop("SIGINT");
	await unavailable();
	assert.equal((await other.api.as({}).get("/health/live")).status, 200);
	assert.equal((await other.api.as({}).get("/health/ready")).status, 503);
	// Started anew without one.
	assert.equal((await other.halt()).code, 0);
	const up = other.start();
	up.catch(() => {});
	await other.proc.says(/database: .*Connection refused/);
	await until("it to listen", async () =>
	    (await other.api.as({}).get("/health/live")).status === 200);
	const q = await other.api.get("/api/v1/me");
	assert.equal(q.status, 503, q.text);
	assert.ok(Number(q.headers["retry-after"]) > 0);
	pg = database();
	await up;
	await until("all to be as before", async () =>
	    (await other.get_session(s)).id === s.id);
	const t = await other.api.must(201, "POST", "/api/v1/tasks",
	    { session_id: s.id, prompt: "x" }, { "idempotency-key": "db" });
	assert.deepEqual((await other.api.all("/api/v1/tasks"))
	    .map((x) => x.id), [t.id]);
	assert.deepEqual(other.bad(), []);
	await other.stop();
});

ends_well(server);
