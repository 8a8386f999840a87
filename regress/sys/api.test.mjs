// The public REST as others use it, by curl and over each protocol.  Streams:
// streams.test.mjs.

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { follow_sse, follow_ws } from "../lib/follow.mjs";
import { refused } from "../lib/http.mjs";
import { free_port, top } from "../lib/place.mjs";
import { run as program } from "../lib/proc.mjs";
import { claude_program, ends_well, puppet, start_server, tests }
    from "../lib/server.mjs";
import { LONG_MS, until } from "../lib/wait.mjs";

// A certificate of our own for the TLS listener.
const pems = fs.mkdtempSync("/tmp/mn-tls-");
const tls_port = await free_port();
await program(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
    "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj",
    "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout",
    `${pems}/key`, "-out", `${pems}/crt`]);
const server = await start_server({ ports: { api: 8080, admin: 8081 }, conf: [
    `listen api on localhost port ${tls_port} tls certificate "${pems}/crt" ` +
    `key "${pems}/key"`, "limit queued tasks 3"] });
server.after(() => fs.rmSync(pems, { recursive: true }));
const test = tests(server);
const { api } = server;
const claude = path.join(top, "regress/sys/agents/model-claude.sh");
const model = await server.model();
const runner = await server.runner({ agents: { "custom:puppet": puppet, claude },
    env: { PATH: `${path.dirname(claude_program())}:${process.env.PATH}:` +
	`/model-at/${model.port}` } });
const sessions = [];

async function puppet_session(more) {
	for (const s of sessions.splice(0))
		await server.terminate(s);
	const s = await server.session({ agent: "custom:puppet", ...more });
	sessions.push(s);
	return server.is(s, "active");
}

async function curl(...args) {
	const r = await program(["curl", "-sS", "-i", "--max-time", "20",
	    ...args]);
	assert.equal(r.code, 0, r.err);
	const parts = r.out.split("\r\n\r\n");
	while (parts.length > 2 && /^HTTP\S+ 1\d\d/.test(parts[0]))
		parts.shift();
	const head = parts.shift();
	const body = parts.join("\r\n\r\n");
	return { head, version: head.split(" ")[0],
	    status: Number(head.split(" ")[1]), body,
	    json: /json/i.test(head) && body ? JSON.parse(body) : null };
}
const bearer = ["-H", `Authorization: Bearer ${api.o.token}`];

test("README's two requests, exactly as they stand", async () => {
	const env = { ...process.env, API_KEY: api.o.token };
	const sh = async (text) => {
		const r = await program(["sh", "-c", text], { env });
		assert.equal(r.code, 0, r.err);
		return JSON.parse(r.out);
	};
	const s = await sh("curl -s -X POST http://localhost:8080/api/v1/sessions"
	    + ' -H "Authorization: Bearer $API_KEY"'
	    + ' -H "Content-Type: application/json"'
	    + ` -d '{"agent":"claude","api_key":"sk-ant-..."}'`);
	assert.match(s.id, /^sess_[0-9a-z]{26}$/);
	assert.equal(s.is_byok, true);
	sessions.push(s);
	const t = await sh("curl -s -X POST http://localhost:8080/api/v1/tasks"
	    + ' -H "Authorization: Bearer $API_KEY"'
	    + ' -H "Content-Type: application/json"'
	    + ` -d '{"session_id":"${s.id}","prompt":"Build a REST API"}'`);
	assert.match(t.id, /^task_/);
	const end = await server.ended(t);
	assert.equal(end.status, "completed");
	assert.match(end.result, /You said: Build a REST API/);
});

test("curl over HTTP/1.1, HTTP/2 in plaintext and HTTP/2 over TLS", async () => {
	for (const [args, url, version] of [
	    [["--http1.1"], server.url, "HTTP/1.1"],
	    [["--http2-prior-knowledge"], server.url, "HTTP/2"],
	    [["--http2", "--cacert", `${pems}/crt`],
		`https://localhost:${tls_port}`, "HTTP/2"],
	    [["--http1.1", "--cacert", `${pems}/crt`],
		`https://localhost:${tls_port}`, "HTTP/1.1"]]) {
		const made = await curl(...args, ...bearer, "-H",
		    "Content-Type: application/json", "-d",
		    '{"agent":"custom:nobody","labels":{"by":"curl"}}',
		    `${url}/api/v1/sessions`);
		assert.equal(made.version, version);
		assert.equal(made.status, 201, made.body);
		const got = await curl(...args, ...bearer,
		    `${url}/api/v1/sessions/${made.json.id}`);
		assert.equal(got.json.id, made.json.id);
		assert.match(got.head, /x-request-id: \S+/i);
		const none = await curl(...args, `${url}/api/v1/sessions`);
		refused(none, 401, "missing_auth");
		const gone = await curl(...args, ...bearer, "-X", "DELETE",
		    `${url}/api/v1/sessions/${made.json.id}`);
		assert.ok([202, 204].includes(gone.status));
	}
});

test("version, health and documents need no key", async () => {
	const bare = api.as({});

	for (const at of ["/health/live", "/health/ready", "/version",
	    "/openapi.yaml", "/docs"])
		assert.equal((await bare.get(at)).status, 200, at);
});

test("errors: one envelope, the field named", async () => {
	const post = (body, h) => api.post("/api/v1/sessions", body, h);

	refused(await post("{"), 400, "invalid_json");
	refused(await post({}), 400, "validation_error", /agent/);
	refused(await post({ agent: 7 }), 400, "validation_error", /agent/);
	refused(await post({ agent: "claude", nmae: "x" }), 400,
	    "validation_error", /nmae/);
	refused(await api.post("/api/v1/tasks", { session_id: "x", prompt: "p" }),
	    400, "invalid_id", /session_id/);
	refused(await api.post("/api/v1/tasks", { session_id:
	    "sess_00000000000000000000000000", prompt: "p" }), 404, "not_found");
	refused(await api.get("/api/v1/tasks/nonsense"), 400, "invalid_id");
	refused(await api.get("/api/v1/tasks/task_00000000000000000000000000"),
	    404, "not_found");
	refused(await api.get("/api/v1/sessions?limit=0"), 400,
	    "validation_error", /limit/);
	refused(await api.get("/api/v1/sessions?limit=501"), 400,
	    "validation_error", /limit/);
	refused(await api.get("/api/v1/sessions?colour=red"), 400,
	    "validation_error", /colour/);
	refused(await api.get("/api/v1/sessions?cursor=garbage"), 400,
	    "validation_error", /cursor/);
	refused(await api.get("/api/v1/nothing"), 404, "not_found");
	const wrong = await api.request("PUT", "/api/v1/sessions", {});
	assert.equal(wrong.status, 405);
	assert.match(wrong.headers.allow, /GET/);
	const type = await post("agent=claude", { "content-type":
	    "text/plain" });
	assert.equal(type.status, 415, type.text);
	const id = "my-own.request_id-1";
	const named = await api.get("/api/v1/nothing", { "x-request-id": id });
	assert.equal(named.headers["x-request-id"], id);
	assert.equal(named.json.request_id, id);
	const big = await post({ agent: "claude", name: "x".repeat(70000) });
	assert.equal(big.status, 413);
});

test("a body of 1 MiB passes, a longer one does not", async () => {
	const s = await puppet_session();
	const prompt = `[${" ".repeat(1048400)}]`;
	const t = await server.task(s, prompt);

	assert.equal((await server.ended(t)).status, "completed");
	const over = await api.post("/api/v1/tasks", { session_id: s.id,
	    prompt: "x".repeat(1100000) });
	assert.ok([400, 413].includes(over.status), over.text);
});

test("idempotency keys", async () => {
	const body = { agent: "custom:nobody", name: "once" };
	const h = { "idempotency-key": `key ${Date.now()}` };
	const one = await api.post("/api/v1/sessions", body, h);
	const two = await api.post("/api/v1/sessions", body, h);

	assert.equal(one.status, 201);
	assert.equal(two.status, 201);
	assert.equal(two.json.id, one.json.id);
	assert.equal(two.headers["idempotent-replayed"], "true");
	assert.equal(one.headers["idempotent-replayed"], undefined);
	refused(await api.post("/api/v1/sessions", { ...body, name: "other" }, h),
	    409, "idempotency_conflict");
	// Another API key of the tenant is not shown what this one made.
	const other = await server.key({ name: "other" });
	refused(await other.api.post("/api/v1/sessions", body, h), 409,
	    "idempotency_conflict");
	const h2 = { "idempotency-key": "task-1" };
	const task = { session_id: one.json.id, prompt: "[]" };
	const all = await Promise.all(Array.from({ length: 8 }, () =>
	    api.post("/api/v1/tasks", task, h2)));
	assert.equal(new Set(all.map((r) => r.json.id)).size, 1);
	const { items } = await api.must(200, "GET",
	    `/api/v1/tasks?session_id=${one.json.id}`);
	assert.equal(items.length, 1);
	// Trying a task again, said twice, tries it once.
	const retry = `/api/v1/tasks/${items[0].id}/retry`;
	const stop = `/api/v1/tasks/${items[0].id}/cancel`;
	const hr = { "idempotency-key": "retry-1" };
	await api.must(202, "POST", stop, {});
	const r1 = await api.post(retry, {}, hr);
	const r2 = await api.post(retry, {}, hr);
	assert.deepEqual([r1.status, r1.json.attempt, r2.status,
	    r2.json.attempt, r2.json.run_id], [202, 2, 202, 2, r1.json.run_id]);
	assert.equal(r2.headers["idempotent-replayed"], "true");
	await api.must(202, "POST", stop, {});
	const r3 = await api.post(retry, {}, hr);
	assert.deepEqual([r3.json.attempt, r3.json.status], [2, "canceled"]);
	assert.equal((await api.post(retry, {})).json.attempt, 3);
	await api.must(202, "POST", stop, {});
	// A key that is shown once is shown once.
	const hk = { "idempotency-key": "k-1" };
	const k1 = await server.local.post("/admin/api/v1/keys", { name: "k" },
	    hk);
	const k2 = await server.local.post("/admin/api/v1/keys", { name: "k" },
	    hk);
	assert.match(k1.json.key, /^mk_/);
	assert.equal(k2.json.id, k1.json.id);
	assert.ok(!k2.json.key);
});

test("lists: pages, cursors, counts, filters and labels", async () => {
	const made = [];

	for (let i = 0; i < 7; i++)
		made.push(await server.session({ agent: "custom:nobody",
		    name: `list ${i}`, labels: { list: "yes",
		    parity: i % 2 ? "odd" : "even", "a=b": "c=d" } }));
	const at = "/api/v1/sessions?label=list=yes";
	const first = await api.must(200, "GET", `${at}&limit=3&count=true`);
	assert.equal(first.items.length, 3);
	assert.equal(first.has_more, true);
	assert.equal(first.total_count, 7);
	assert.ok(!("total_count" in await api.must(200, "GET", at)) ||
	    (await api.must(200, "GET", at)).total_count === undefined);
	const all = await api.all(`${at}&limit=3`);
	assert.deepEqual(all.map((s) => s.id), made.map((s) => s.id).reverse());
	const odd = await api.all(`${at}&label=parity=odd`);
	assert.deepEqual(odd.map((s) => s.name), ["list 5", "list 3", "list 1"]);
	assert.equal((await api.all(`${at}&label=parity=none`)).length, 0);
	assert.equal((await api.all(`${at}&status=terminated`)).length, 0);
	assert.equal((await api.all(`${at}&status=pending&status=active` +
	    "&agent=custom:nobody")).length, 7);
	await server.terminate(made[0]);
	assert.deepEqual((await api.all(`${at}&status=terminated`))
	    .map((s) => s.id), [made[0].id]);
	for (const s of made)
		await api.delete(`/api/v1/sessions/${s.id}`);
	await until("the list to be empty", async () =>
	    (await api.all(at)).length === 0);
});

test("PATCH with ETag and If-Match", async () => {
	const s = await server.session({ agent: "custom:nobody", name: "old",
	    labels: { a: "1", b: "2" } });
	const url = `/api/v1/sessions/${s.id}`;
	// It changes once more by itself: why it waits.
	await until("a reason", async () =>
	    (await server.get_session(s)).status_reason);
	const get = await api.get(url);
	const { etag } = get.headers;

	assert.ok(etag);
	assert.equal((await api.get(url, { "if-none-match": etag })).status, 304);
	const done = await api.patch(url, { name: "new", labels: { a: null,
	    c: "3" } }, { "if-match": etag });
	assert.equal(done.status, 200, done.text);
	assert.equal(done.json.name, "new");
	assert.deepEqual(done.json.labels, { b: "2", c: "3" });
	assert.notEqual(done.headers.etag, etag);
	refused(await api.patch(url, { name: "late" }, { "if-match": etag }), 412,
	    "precondition_failed");
	assert.equal((await api.patch(url, { name: "free" })).status, 200);
	refused(await api.patch(url, { status: "active" }), 400,
	    "validation_error", /status/);
	await api.delete(url);
});

test("waits: of tasks and sessions", async () => {
	const s = await puppet_session();
	const t = await api.must(201, "POST", "/api/v1/tasks?wait=20",
	    { session_id: s.id, prompt: '[{"out":"x"}]' });

	assert.equal(t.status, "completed");
	const held = await server.task(s, JSON.stringify([{ ask: { id: "q",
	    tool: "T", action: "a", input: {} } }]));
	const p = await server.asked(held);
	const from = Date.now();
	const still = await api.must(200, "GET",
	    `/api/v1/tasks/${held.id}?wait=1`);
	assert.equal(still.status, "running");
	assert.ok(Date.now() - from >= 900 && Date.now() - from < 8000);
	const wait = api.must(200, "GET", `/api/v1/tasks/${held.id}?wait=20`);
	await server.approve(p);
	assert.equal((await wait).status, "completed");
	refused(await api.get(`/api/v1/tasks/${held.id}?wait=forever`), 400,
	    "validation_error", /wait/);
	assert.equal((await server.suspend(s, 20)).status, "suspended");
});

test("a permission answered twice", async () => {
	const s = await puppet_session();
	const t = await server.task(s, JSON.stringify([
	    { ask: { id: "q", tool: "T", action: "a", input: {} } },
	    { ask: { id: "q2", tool: "T", action: "b", input: {} } }]));
	const p = await server.asked(t);
	const at = `/api/v1/permissions/${p.id}`;

	const first = await api.must(200, "POST", `${at}/approve`,
	    { reason: "go", on_behalf_of: "ann@example.org" });
	assert.equal(first.status, "approved");
	assert.equal(first.on_behalf_of, "ann@example.org");
	const again = await api.must(200, "POST", `${at}/approve`, {});
	assert.equal(again.id, p.id);
	assert.equal(again.response_reason, "go");
	const other = await api.post(`${at}/deny`, {});
	refused(other, 409, "already_answered");
	assert.equal(other.json.details.id, p.id);
	assert.equal(other.json.details.status, "approved");
	await until("its delivery", async () =>
	    (await api.must(200, "GET", at)).delivered_at);
	const list = await api.all(`/api/v1/permissions?task_id=${t.id}` +
	    "&status=approved&risk_level=medium");
	assert.deepEqual(list.map((x) => x.id), [p.id]);
	// Many at once: one decision.
	const q = await server.asked(t);
	const race = await Promise.all(Array.from({ length: 10 }, (_, i) =>
	    api.post(`/api/v1/permissions/${q.id}/${i % 2 ? "approve" : "deny"}`,
	    {})));
	const end = await api.must(200, "GET", `/api/v1/permissions/${q.id}`);
	race.forEach((r, i) => assert.equal(r.status, (end.status ===
	    "approved") === (i % 2 === 1) ? 200 : 409));
	await server.ended(t);
});

test("scopes: what a key may not is 403 and named", async () => {
	const read = await server.key({ name: "reader",
	    scopes: ["tasks:read", "sessions:read"] });
	const s = await server.session({ agent: "custom:nobody" });

	assert.equal((await read.api.get("/api/v1/sessions")).status, 200);
	refused(await read.api.post("/api/v1/tasks", { session_id: s.id,
	    prompt: "x" }), 403, "forbidden", /tasks:write/);
	refused(await read.api.post("/api/v1/sessions", { agent: "claude" }), 403,
	    "forbidden", /sessions:write/);
	refused(await read.api.get("/api/v1/permissions"), 403, "forbidden",
	    /permissions:read/);
	refused(await read.api.get("/api/v1/events"), 403, "forbidden",
	    /events:read/);
	const me = await read.api.must(200, "GET", "/api/v1/me");
	assert.deepEqual([...me.scopes].sort(), ["sessions:read", "tasks:read"]);
	// The admin routes are not on this listener at all, and not for it.
	assert.ok([403, 404].includes((await read.api.get(
	    "/admin/api/v1/keys")).status));
	const there = api.as({ url: server.admin_url, token: read.key });
	refused(await there.get("/admin/api/v1/keys"), 403, "forbidden",
	    /admin/);
	await api.delete(`/api/v1/sessions/${s.id}`);
});

test("the admin listener: password, master key, wrong ones", async () => {
	const admin = api.as({ url: server.admin_url });
	const at = "/admin/api/v1/keys";

	assert.equal((await admin.as({ basic: `admin:${server.admin_password}` })
	    .get(at)).status, 200);
	assert.equal((await admin.as({ token: server.master_key }).get(at))
	    .status, 200);
	refused(await admin.get(at), 401, "missing_auth");
	refused(await admin.as({ basic: "admin:wrong" }).get(at), 401,
	    "invalid_auth");
	refused(await admin.as({ basic: "nobody:x" }).get(at), 401,
	    "invalid_auth");
	const wrong = await admin.as({ token: "mk_wrong" }).get(at);
	assert.equal(wrong.status, 401);
	// A browser's page elsewhere may not use a remembered password.
	const page = await admin.as({ basic: `admin:${server.admin_password}` })
	    .post(at, { name: "x" });
	assert.equal(page.status, 403);
	const own = await admin.as({ basic: `admin:${server.admin_password}` })
	    .post(at, { name: "x" }, { origin: server.admin_url });
	assert.equal(own.status, 201, own.text);
});

test("another tenant's ids are not found", async () => {
	const other = await server.key({ name: "other", tenant: "other" });
	const s = await puppet_session();
	const t = await server.task(s, JSON.stringify([{ ask: { id: "q",
	    tool: "T", action: "a", input: {} } }]));
	const p = await server.asked(t);
	const o = other.api;

	for (const at of [`/api/v1/sessions/${s.id}`, `/api/v1/tasks/${t.id}`,
	    `/api/v1/permissions/${p.id}`, `/api/v1/tasks/${t.id}/runs`,
	    `/api/v1/tasks/${t.id}/logs`, `/api/v1/runners/${runner.id}`,
	    `/api/v1/tasks/${t.id}/logs/stream`])
		refused(await o.get(at), 404, "not_found");
	for (const at of [`/api/v1/sessions/${s.id}/suspend`,
	    `/api/v1/sessions/${s.id}/terminate`, `/api/v1/tasks/${t.id}/cancel`,
	    `/api/v1/permissions/${p.id}/approve`,
	    `/api/v1/permissions/${p.id}/deny`])
		refused(await o.post(at, {}), 404, "not_found");
	refused(await o.post("/api/v1/tasks", { session_id: s.id, prompt: "x" }),
	    404, "not_found");
	assert.equal((await o.all("/api/v1/sessions")).length, 0);
	assert.equal((await o.all("/api/v1/tasks")).length, 0);
	await server.approve(p);
	assert.equal((await server.ended(t)).status, "completed");
});

test("a revoked key is refused at once, its streams end", async () => {
	const k = await server.key({ name: "short" });
	const s = await server.session({ agent: "custom:nobody" });
	const t = await server.task(s, "x");

	assert.equal((await k.api.get("/api/v1/me")).status, 200);
	const f = follow_sse(`${server.url}/api/v1/tasks/${t.id}/logs/stream`,
	    { token: k.key, types: ["log", "end"] });
	await until("the stream to open", () => f.opened > 0);
	await server.local.must(200, "POST",
	    `/admin/api/v1/keys/${k.id}/revoke`, { reason: "test" });
	const r = await k.api.get("/api/v1/me");
	refused(r, 401, "token_revoked");
	await until("the stream to end", () => f.errors.length > 0);
	await until("the stream to be refused", () => f.ended);
	assert.equal(f.requests.at(-1).status, 401);
	f.close();
	const soon = await server.key({ name: "soon", expires_at:
	    new Date(Date.now() + 5000).toISOString() });
	assert.equal((await soon.api.get("/api/v1/me")).status, 200);
	await until("it to expire", async () => {
		const e = await soon.api.get("/api/v1/me");
		return e.status === 401 && e.json.code === "token_expired";
	}, 2 * LONG_MS, 250);
	refused(await api.as({ token: "mk_nobody" }).get("/api/v1/me"), 401,
	    "invalid_auth");
	await api.delete(`/api/v1/sessions/${s.id}`);
});

test("hosts and origins that are not ours", async () => {
	const r = await api.get("/api/v1/me", { host: "evil.example" });

	assert.equal(r.status, 421);
	assert.equal(r.json.code, "misdirected");
	assert.equal((await api.get("/health/live", { host: "evil.example" }))
	    .status, 200);
	const f = follow_ws("ws://localhost:8080/api/v1/events",
	    { token: api.o.token });
	await until("it to open", () => f.opened > 0);
	f.close();
});

test("logs by page, tail, stream and level", async () => {
	const s = await puppet_session();
	const { task } = await server.run(s, JSON.stringify([{ flood: 120 },
	    { err: "oops" }]));
	const at = `/api/v1/tasks/${task.id}/logs`;
	const all = await server.lines(task);

	assert.ok(all.length >= 121);
	const page = await api.must(200, "GET", `${at}?limit=50`);
	assert.equal(page.items.length, 50);
	assert.equal(page.has_more, true);
	const next = await api.must(200, "GET",
	    `${at}?limit=50&after=${page.items.at(-1).position}`);
	assert.equal(next.items[0].sequence, 51);
	const tail = await api.must(200, "GET", `${at}?tail=3`);
	assert.deepEqual(tail.items.map((l) => l.position),
	    all.slice(-3).map((l) => l.position));
	const errs = await api.must(200, "GET", `${at}?stream=stderr`);
	assert.deepEqual(errs.items.map((l) => l.content), ["oops"]);
	refused(await api.get(`${at}?after=x`), 400, "validation_error",
	    /after/);
	refused(await api.get(`${at}?stream=mouth`), 400, "validation_error",
	    /stream/);
});

test("agent configs: stored sealed, used, never shown", async () => {
	const key = "sk-ant-config-secret-1234";
	const c = await server.local.must(201, "POST",
	    "/admin/api/v1/agent-configs", { name: "house key", agent: "claude",
	    api_key: key, base_url: model.url, is_default: true });

	assert.ok(!JSON.stringify(c).includes(key));
	assert.equal(c.has_key, true);
	for (const s of sessions.splice(0))
		await server.terminate(s);
	const s = await server.session({ agent: "claude" });
	assert.equal(s.agent_config_id, c.id);
	assert.equal(s.is_byok, false);
	const { task } = await server.run(s, "[[text:with the house key]]");
	assert.equal(task.result, "with the house key");
	refused(await server.local.delete(`/admin/api/v1/agent-configs/${c.id}`),
	    409, "in_use");
	await server.terminate(s);
	assert.ok([200, 204].includes((await server.local.delete(
	    `/admin/api/v1/agent-configs/${c.id}`)).status));
	refused(await server.local.get(`/admin/api/v1/agent-configs/${c.id}`),
	    404, "not_found");
});

test("metrics and status", async () => {
	const m = await server.local.get("/metrics");

	assert.equal(m.status, 200);
	assert.match(m.text, /^# (HELP|TYPE) /m);
	const p = await server.processes();
	for (const name of ["sessiond", "taskd", "runnerd", "tunneld",
	    "providerd", "storaged"]) {
		assert.ok(p[name]?.pid > 0, name);
		assert.equal(p[name].restarts, 0);
	}
});

test("SIGHUP: a listener that stays goes on, although its files are gone",
    async () => {
	const text = fs.readFileSync(server.conf, "utf8");
	const { pid } = (await server.processes()).api;
	const at = server.proc.err.length;

	fs.renameSync(`${pems}/crt`, `${pems}/crt2`);
	fs.renameSync(`${pems}/key`, `${pems}/key2`);
	fs.writeFileSync(server.conf, text.replace(`port ${tls_port} tls`,
	    "port 1 tls").replace(/\/crt"/, '/crt2"').replace(/\/key"/, '/key2"'));
	server.proc.signal("SIGHUP", false);
	await until("all to be told", () => /runner debug: PROC_CONFIGURED/
	    .test(server.proc.err.slice(at)));
	assert.match(server.proc.err.slice(at), /other `listen' lines/);
	assert.equal((await api.get("/api/v1/me")).status, 200);
	assert.equal((await server.processes()).api.pid, pid);
	fs.renameSync(`${pems}/crt2`, `${pems}/crt`);
	fs.renameSync(`${pems}/key2`, `${pems}/key`);
	fs.writeFileSync(server.conf, text);
	server.proc.signal("SIGHUP", false);
});

test("a full queue refuses what is new, not what it has", async () => {
	const s = await server.session({ agent: "custom:nobody" });
	const body = { session_id: s.id, prompt: "x" };
	const post = (key) => api.post("/api/v1/tasks", body,
	    key && { "idempotency-key": key });
	const full = (r) => {
		refused(r, 429, "rate_limited", /too many tasks wait/);
		assert.equal(r.headers["retry-after"], "1");
	};

	await post();
	await post();
	const third = await post("third");
	assert.equal(third.status, 201, third.text);
	full(await post());
	full(await post("fourth"));
	const again = await post("third");
	assert.equal(again.status, 201, again.text);
	assert.equal(again.json.id, third.json.id);
	assert.equal(again.headers["idempotent-replayed"], "true");
	refused(await api.post("/api/v1/tasks", { ...body, prompt: "y" },
	    { "idempotency-key": "third" }), 409, "idempotency_conflict");
	// The same said by a process that has only read of it.
	await server.kill_worker("taskd");
	assert.equal((await post("third")).json.id, third.json.id);
	full(await post("fourth"));
	// What was refused has used up no key.
	await api.must(202, "POST", `/api/v1/tasks/${third.json.id}/cancel`,
	    {});
	const fourth = await post("fourth");
	assert.equal(fourth.status, 201, fourth.text);
	assert.equal(fourth.headers["idempotent-replayed"], undefined);
	assert.equal((await api.all(`/api/v1/tasks?session_id=${s.id}`)).length,
	    4);
	await server.terminate(s);
});

ends_well(server);
