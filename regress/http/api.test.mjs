// frontd's API half against owners that tell what they were asked (world.c):
// every public route, bad input, secrets, streams, owners that die.

import http from "node:http";
import WebSocket from "ws";
import { ask, id, refused, sent, use } from "./ask.mjs";
import { until } from "./engine.mjs";
import { failed, is, like, start, test } from "./world.mjs";

const world = use(await start("api"));

// An owner has been sent so many of these.
function counted(message, n) {
	return until(`${message} ${n}`, async () =>
	    +await world.say(`count ${message}`) === n);
}

await test("api: meta", async () => {
	is((await ask("GET", "/health/live", { key: null })).status, 200);
	is((await ask("GET", "/health/ready", { key: null })).status, 200);
	is((await ask("GET", "/version", { key: null })).json.api, "v1");
	like((await ask("GET", "/openapi.yaml", { key: null })).text,
	    /^openapi: 3/);
	const d = await ask("GET", "/docs", { key: null });
	like(d.headers["content-security-policy"], /default-src 'none'/);
	like(d.text, /<html/);
});

await test("api: credentials", async () => {
	const r = await refused(401, "missing_auth", /Bearer mk_/, "GET",
	    "/api/v1/sessions", { key: null });
	is(r.headers["www-authenticate"], 'Bearer realm="Marionette"');
	await refused(401, "invalid_auth", null, "GET", "/api/v1/sessions",
	    { key: "mk_bad" });
	await refused(401, "invalid_auth", /admin port/, "GET",
	    "/api/v1/sessions", { headers: { Authorization: "Basic YTpi" } });
	await refused(401, "invalid_auth", /expected/, "GET",
	    "/api/v1/sessions", { headers: { Authorization: "Bearer" } });
	await refused(403, "forbidden", /tasks:read/, "GET", "/api/v1/tasks",
	    { key: "mk_reader" });
	is((await ask("GET", "/api/v1/sessions", { key: "mk_reader" })).status,
	    200);
	const me = await ask("GET", "/api/v1/me");
	is([me.json.tenant, me.json.scopes], ["t1", ["*"]]);
});

await test("api: one question for many requests with one key", async () => {
	await world.say("kill sessiond");
	const n = +await world.say("count AUTH_KEY");
	const all = await Promise.all([...Array(20)].map((_, i) =>
	    ask("GET", "/api/v1/me", { key: "mk_admin" })));
	is(all.every((r) => r.status === 200), true);
	is(+await world.say("count AUTH_KEY") - n, 1);
});

await test("api: sessions", async () => {
	const r = await sent(201, "SESSION_CREATE", { agent: "claude",
	    agent_config: "", key_ref: "",
	    spec: '{"name":"n","labels":{"a":"b"}}' },
	    "POST", "/api/v1/sessions", { body: { agent: "claude", name: "n",
	    labels: { a: "b" }, model: null } });
	like(r.json.idem_key, /^auto-/);
	is(r.headers.etag, '"v1"');
	await sent(200, "SESSION_LIST", { query:
	    '{"limit":7,"labels":{"team":"web"},"status":["active","pending"],'
	    + '"cursor":"abc","count":true}' }, "GET", "/api/v1/sessions"
	    + "?limit=7&label=team=web&status=active&status=pending"
	    + "&cursor=abc&count=true");
	await sent(200, "SESSION_GET", { wait: 3 }, "GET",
	    `/api/v1/sessions/${id("sess")}?wait=3`);
	await sent(200, "SESSION_CHANGE", { if_match: "v1",
	    patch: '{"name":null}' }, "PATCH",
	    `/api/v1/sessions/${id("sess")}`, { body: { name: null },
	    headers: { "If-Match": '"v1"' } });
	await sent(200, "SESSION_SUSPEND", { reason: "r", wait: 1 }, "POST",
	    `/api/v1/sessions/${id("sess")}/suspend?wait=1`,
	    { body: { reason: "r" } });
	await sent(200, "SESSION_RESUME", {}, "POST",
	    `/api/v1/sessions/${id("sess")}/resume`);
	await sent(200, "SESSION_TERMINATE", { remove: 0 }, "POST",
	    `/api/v1/sessions/${id("sess")}/terminate`);
	await sent(200, "SESSION_TERMINATE", { remove: 1 }, "DELETE",
	    `/api/v1/sessions/${id("sess")}`);
});

await test("api: ETag: 304", async () => {
	const r = await ask("GET", `/api/v1/sessions/${id("sess")}`,
	    { headers: { "If-None-Match": '"v1"' } });
	is([r.status, r.text], [304, ""]);
});

await test("api: bad input", async () => {
	const post = (body, re, code = "validation_error") => refused(400,
	    code, re, "POST", "/api/v1/sessions", { body });

	await post("{", /line 1/, "invalid_json");
	await post('{"agent":"claude","agent":"x"}', /duplicate/,
	    "invalid_json");
	await post("[".repeat(40) + "]".repeat(40), /32 levels/,
	    "invalid_json");
	await post('{"agent":"\\u0000"}', /u0000/i, "invalid_json");
	await post("skip_tls: true", /skip tls/, "invalid_json");
	await post("[]", /JSON object/);
	await post({}, /^agent: missing; expected/);
	await post({ agent: 7 }, /^agent: expected a string.*an integer/);
	await post({ agent: "cluade" }, /^agent: expected claude/);
	await post({ agent: "claude", skip_tls: true }, /marionette\.conf/);
	await post({ agent: "claude", modle: "x" },
	    /^modle: unknown field; known are: agent, /);
	await post({ agent: "claude", budget: {} }, /^budget: this version/);
	await post({ agent: "claude", agent_config_id: "x" },
	    /agent_config_id: expected an id: acfg_/, "invalid_id");
	await post({ agent: "claude", labels: { a: 1 } }, /^labels: expected/);
	await post({ agent: "claude", base_url: "https://x" }, /api_key/);
	await post({ agent: "claude", idle_timeout_seconds: 1.5 },
	    /^idle_timeout_seconds: expected an integer/);
	await post({ agent: "claude", ["é".repeat(40)]: 1 }, /unknown field/);
	await refused(400, "validation_error", /^limit: .* 1 to 500/, "GET",
	    "/api/v1/sessions?limit=0");
	await refused(400, "validation_error", /^stauts: unknown/, "GET",
	    "/api/v1/sessions?stauts=active");
	// No half character is shown of a name that is too long.
	for (const c of ["é", "€", "😀"])
		for (let n = 60; n < 65; n++) {
			const name = "a".repeat(n) + c.repeat(2);
			const r = await refused(400, "validation_error",
			    /unknown query/, "GET",
			    `/api/v1/sessions?${encodeURIComponent(name)}`);
			is(r.text.includes("\ufffd"), false, name);
		}
	await refused(400, "validation_error", /^status: expected one of/,
	    "GET", "/api/v1/sessions?status=done");
	await refused(400, "validation_error", /^tenant: unknown/, "GET",
	    "/api/v1/sessions?tenant=t2");
	await refused(400, "invalid_id", /sess_/, "GET", "/api/v1/sessions/x");
	await refused(400, "validation_error", /Idempotency-Key/, "POST",
	    "/api/v1/sessions", { body: { agent: "claude" },
	    headers: { "Idempotency-Key": "x".repeat(256) } });
	await refused(400, "validation_error", /If-Match/, "PATCH",
	    `/api/v1/sessions/${id("sess")}`, { body: {},
	    headers: { "If-Match": "v1" } });
	await refused(404, "not_found", null, "GET", "/api/v1/workspaces");
	await refused(404, "not_found", null, "GET", "/admin/api/v1/keys");
	await refused(405, "method_not_allowed", null, "PUT",
	    "/api/v1/sessions");
});

await test("api: idempotency", async () => {
	const once = (body, key) => ask("POST", "/api/v1/tasks", { body,
	    headers: { "Idempotency-Key": key } });
	const a = await once('{"session_id":"' + id("sess")
	    + '","prompt":"x"}', "k");
	const b = await once('{ "prompt": "x", "session_id":"' + id("sess")
	    + '"}', "k");
	const c = await once('{"session_id":"' + id("sess")
	    + '","prompt":"y"}', "k");
	is(a.json.idem_key, "k");
	is(a.json.idem_hash, b.json.idem_hash);
	is(a.json.idem_hash === c.json.idem_hash, false);
});

await test("api: tasks", async () => {
	await sent(201, "TASK_CREATE", { session: id("sess"), prompt: "hé\n",
	    timeout: 3600, max_retries: 0, priority: 5, labels: "{}",
	    annotations: '{"a":"b"}' }, "POST", "/api/v1/tasks", { body: {
	    session_id: id("sess"), prompt: "hé\n", priority: 5,
	    annotations: { a: "b" } } });
	await sent(200, "TASK_LIST", { query: '{"limit":50,"labels":{},'
	    + `"session_id":["${id("sess")}"]}` }, "GET",
	    `/api/v1/tasks?session_id=${id("sess")}`);
	await sent(200, "TASK_CANCEL", { reason: "r" }, "POST",
	    `/api/v1/tasks/${id("task")}/cancel`, { body: { reason: "r" } });
	await sent(200, "TASK_RETRY", {}, "POST",
	    `/api/v1/tasks/${id("task")}/retry`);
	await sent(200, "TASK_RUNS", {}, "GET",
	    `/api/v1/tasks/${id("task")}/runs`);
	await sent(200, "TASK_GET", { wait: 20 }, "GET",
	    `/api/v1/tasks/${id("task")}?wait=20`);
	await refused(413, "payload_too_large", null, "POST", "/api/v1/tasks",
	    { body: { prompt: "x".repeat(1100000) } });
	const big = await ask("POST", "/api/v1/tasks", { body: {
	    session_id: id("sess"), prompt: "x".repeat(1000000) } });
	is([big.status, big.json.prompt.length], [201, 1000000]);
});

await test("api: permissions", async () => {
	const p = `/api/v1/permissions/${id("perm")}`;

	await sent(200, "PERMISSION_LIST", { query: '{"limit":50,'
	    + '"risk_level":["high"]}' }, "GET",
	    "/api/v1/permissions?risk_level=high");
	await sent(200, "PERMISSION_GET", {}, "GET", p);
	await sent(200, "PERMISSION_DECIDE", { approved: 1, reason: "ok",
	    on_behalf_of: "eve", input: '{"command":"ls"}',
	    answers: '{"q":"a"}' }, "POST", `${p}/approve`, { body: {
	    reason: "ok", on_behalf_of: "eve", input: { command: "ls" },
	    answers: { q: "a" }, remember: "none" } });
	await sent(200, "PERMISSION_DECIDE", { approved: 0 }, "POST",
	    `${p}/deny`);
	await refused(400, "validation_error", /remember/, "POST",
	    `${p}/approve`, { body: { remember: "session" } });
	await refused(400, "validation_error", /input: unknown/, "POST",
	    `${p}/deny`, { body: { input: {} } });
});

await test("api: runners, agents, agent configs", async () => {
	await sent(200, "RUNNER_LIST", {}, "GET", "/api/v1/runners?status=idle");
	await sent(200, "RUNNER_GET", {}, "GET",
	    `/api/v1/runners/${id("rnr")}`);
	await sent(200, "AGENT_LIST", {}, "GET", "/api/v1/agents");
	await refused(403, "forbidden", /runners:read/, "GET",
	    "/api/v1/agents", { key: "mk_reader" });
	await sent(201, "AGENT_CONFIG_CREATE", { key: "secret of 6",
	    is_default: 1 }, "POST", "/api/v1/agent-configs", { body: {
	    name: "n", agent: "claude", api_key: "sk-ant", is_default: true } });
	await sent(200, "AGENT_CONFIG_LIST", {}, "GET",
	    "/api/v1/agent-configs");
	await sent(200, "AGENT_CONFIG_DELETE", {}, "DELETE",
	    `/api/v1/agent-configs/${id("acfg")}`);
});

await test("api: refusals of owners", async () => {
	const wish = (code) => ({ headers: { "X-Request-ID":
	    `do-refuse-${code}` } });

	for (const [code, status] of [["not_found", 404],
	    ["invalid_state", 409], ["already_answered", 409], ["gone", 410],
	    ["precondition_failed", 412], ["rate_limited", 429],
	    ["unavailable", 503], ["outcome_unknown", 504],
	    ["idempotency_conflict", 409], ["forbidden", 403]])
		await refused(status, code, /wished/, "GET",
		    `/api/v1/tasks/${id("task")}`, wish(code));
	const r = await ask("GET", `/api/v1/tasks/${id("task")}`,
	    wish("unavailable"));
	is(r.headers["retry-after"], "1");
	await refused(503, "unavailable", /renewing/, "GET",
	    `/api/v1/tasks/${id("task")}`, wish("token_expired"));
});

await test("api: an owner dies", async () => {
	const die = { headers: { "X-Request-ID": "do-die" } };

	// A read fails, a write that may be repeated is asked again.
	await refused(503, "unavailable", null, "GET",
	    `/api/v1/tasks/${id("task")}?wait=1`, die);
	await until("its successor", async () => (await ask("GET",
	    "/health/ready", { key: null })).status === 200);
	await sent(201, "TASK_CREATE", { prompt: "x" }, "POST",
	    "/api/v1/tasks", { ...die, body: { session_id: id("sess"),
	    prompt: "x" } });
	await sent(200, "TASK_CANCEL", {}, "POST",
	    `/api/v1/tasks/${id("task")}/cancel`, die);
	await sent(200, "TASK_RETRY", {}, "POST",
	    `/api/v1/tasks/${id("task")}/retry`, die);
	// That it is refused does not say that it was not done before, unless
	// it never can be.
	for (const [code, status, told] of [
	    ["unavailable", 504, "outcome_unknown"],
	    ["rate_limited", 504, "outcome_unknown"],
	    ["token_expired", 504, "outcome_unknown"],
	    ["not_found", 404, "not_found"],
	    ["validation_error", 400, "validation_error"]])
		await refused(status, told, null, "POST", "/api/v1/tasks", {
		    headers: { "X-Request-ID": `do-die-${code}` },
		    body: { session_id: id("sess"), prompt: "x" } });
	await refused(503, "unavailable", /wished/, "POST", "/api/v1/tasks", {
	    headers: { "X-Request-ID": "do-refuse-unavailable" },
	    body: { session_id: id("sess"), prompt: "x" } });
	await sent(200, "AGENT_CONFIG_DELETE", {}, "DELETE",
	    `/api/v1/agent-configs/${id("acfg")}`, die);
	// Of one that may not be, nobody can say whether it was done.
	await refused(504, "outcome_unknown", null, "PATCH",
	    `/api/v1/sessions/${id("sess")}`, { body: {}, headers: {
	    "X-Request-ID": "do-die", "If-Match": '"v1"' } });
	await world.say("gone taskd");
	await until("frontd knows", async () => (await ask("GET",
	    "/health/ready", { key: null })).status === 503);
	await refused(503, "unavailable", null, "POST", "/api/v1/tasks",
	    { body: { session_id: id("sess"), prompt: "x" } });
	await world.say("back taskd");
});

// Whatever its outcome is: the next request with that key brings a new one.
await test("api: a ticket that its owner would not have is not used again",
    async () => {
	for (const [how, status] of [["refuse", 503], ["die", 504]]) {
		is((await ask("GET", "/api/v1/me")).status, 200);
		const n = +await world.say("count AUTH_KEY");
		is((await ask("POST", "/api/v1/tasks", { headers: {
		    "X-Request-ID": `do-${how}-token_expired` },
		    body: { session_id: id("sess"), prompt: "x" } })).status,
		    status);
		is((await ask("GET", "/api/v1/me")).status, 200);
		is(+await world.say("count AUTH_KEY") - n, 1, how);
	}
});

await test("api: task with ?wait", async () => {
	const r = await ask("POST", "/api/v1/tasks?wait=5", { body: {
	    session_id: id("sess"), prompt: "x" } });
	is(r.status, 201);
});

// ---- secrets ----

await test("api: a key goes to providerd and is forgotten here", async () => {
	const canary = "sk-ant-canary-" + "q7".repeat(40);
	const n = +await world.say("count KEY_HOLD");
	const r = await sent(201, "SESSION_CREATE", { agent: "claude",
	    spec: '{"name":"n"}' }, "POST", "/api/v1/sessions", { body: {
	    agent: "claude", name: "n", api_key: canary,
	    base_url: "https://api.example" } });
	like(r.json.key_ref, /^sec_/);
	is(+await world.say("count KEY_HOLD") - n, 1);
	await sent(200, "SESSION_CREDENTIAL", {}, "PUT",
	    `/api/v1/sessions/${id("sess")}/credential`,
	    { body: { api_key: canary } });
	await sent(201, "AGENT_CONFIG_CREATE", {}, "POST",
	    "/api/v1/agent-configs", { body: { name: "n", agent: "claude",
	    api_key: canary } });
	await refused(400, "validation_error", null, "POST",
	    "/api/v1/sessions", { body: { agent: "claude", api_key: canary,
	    nonsense: 1 } });
	await refused(400, "invalid_json", null, "POST", "/api/v1/sessions",
	    { body: `{"agent":"claude","api_key":"${canary}` });
	await ask("GET", "/version", { key: null });
	is(await world.say(`scan ${canary.slice(0, 40)}`), "0", "scan");
	// What is not wiped would be found: who asks is remembered for a minute.
	let found = 0;
	for (let i = 0; i < 5 && found === 0; i++) {
		await ask("GET", "/api/v1/me");
		found = +await world.say("scan tester");
	}
	is(found > 0, true, "it finds nothing");
});

// ---- streams ----

function sse(target, { headers = {}, until = "end", key = "mk_good" } = {}) {
	return new Promise((ok, no) => {
		const events = [], ids = [];
		let text = "";
		const req = http.get({ host: "127.0.0.1", port: world.port,
		    path: target, headers: key === null ? headers :
		    { Authorization: `Bearer ${key}`, ...headers },
		    agent: false }, (res) => {
			res.on("data", (d) => {
				text += d;
				let i;
				while ((i = text.indexOf("\n\n")) >= 0) {
					const e = {};
					for (const l of text.slice(0, i).split("\n")) {
						const [, k, v] = /^([a-z]*): ?(.*)$/
						    .exec(l) ?? [];
						if (k)
							e[k] = v;
					}
					text = text.slice(i + 2);
					if (e.id)
						ids.push(e.id);
					if (e.data)
						events.push(e);
					if (e.event === until)
						req.destroy();
				}
			});
			const done = () => ok({ status: res.statusCode, events,
			    ids, text });
			res.on("close", done);
		});
		req.on("error", no);
	});
}

await test("logs: pages", async () => {
	await sent(200, "LOG_LIST", { query: '{"limit":9,"after":"1.2",'
	    + '"stream":["stdout"]}' }, "GET",
	    `/api/v1/tasks/${id("task")}/logs?limit=9&after=1.2&stream=stdout`);
	await refused(400, "validation_error", /^after/, "GET",
	    `/api/v1/tasks/${id("task")}/logs?after=x`);
});

await test("logs: SSE to the end, resumed, 204 after it", async () => {
	const t = `/api/v1/tasks/${id("task", "0")}/logs/stream`;
	const all = await sse(t);

	is(all.events.map((e) => [e.id, e.event, e.data]),
	    [["1.1", "log", '{"n":1}'], ["1.2", "log", '{"n":2}'],
	    ["1.3", "log", '{"n":3}'], [undefined, "end",
	    `{"id":"${id("task", "0")}", "status":"completed"}`]]);
	const rest = await sse(`${t}?after=1.2`);
	is(rest.events.map((e) => e.id), ["1.3", undefined]);
	is((await sse(t, { headers: { "Last-Event-ID": "1.3" } })).status, 204);
	await refused(400, "validation_error", /Last-Event-ID/, "GET", t,
	    { headers: { "Last-Event-ID": "x" } });
	await refused(404, "not_found", null, "GET",
	    `/api/v1/tasks/${id("task", "9")}/logs/stream`);
});

// A browser comes back until it is told 204, and that only for a position.
await test("logs: the end of a log without a line, 204 after it", async () => {
	const t = `/api/v1/tasks/${id("task", "6")}/logs/stream`;
	const [end] = (await sse(t)).events;

	is(end.event, "end");
	is((await sse(t, { headers: end.id === undefined ? {} :
	    { "Last-Event-ID": end.id } })).status, 204);
});

await test("logs: the stream outlives runnerd", async () => {
	const n = +await world.say("count LOG_FOLLOW");
	const got = sse(`/api/v1/tasks/${id("task", "5")}/logs/stream`,
	    { until: "never" });

	await counted("LOG_FOLLOW", n + 1);
	await world.say("kill runnerd");
	await counted("LOG_FOLLOW", n + 2);
	await world.say("revoke");
	const r = await got;
	is(r.events.map((e) => e.id), ["1.1", "1.2", "1.3"]);
});

for (const offered of [["marionette", "mk_good"], ["mk_good", "marionette"]])
	await test(`logs: WebSocket, ${offered} as subprotocols`, async () => {
		const ws = new WebSocket(`ws://127.0.0.1:${world.port}/api/v1/`
		    + `tasks/${id("task", "0")}/logs/stream`, offered);
		const got = [];

		ws.on("message", (d) => got.push(JSON.parse(d)));
		is(await new Promise((ok, no) => {
			ws.on("close", ok);
			ws.on("error", no);
		}), 1000);
		is(ws.protocol, "marionette");
		is(got.map((e) => [e.id, e.event]), [["1.1", "log"],
		    ["1.2", "log"], ["1.3", "log"], [undefined, "end"]]);
	});

// After a normal closure clients that come back by themselves do not.
await test("logs: a WebSocket that ends before its task", async () => {
	const ws = new WebSocket(`ws://127.0.0.1:${world.port}/api/v1/tasks/`
	    + `${id("task", "5")}/logs/stream`, ["marionette", "mk_good"]);
	const code = new Promise((ok) => ws.on("close", ok));

	await new Promise((ok) => ws.on("message", ok));
	await world.say("revoke");
	is(await code, 1001);
});

await test("events: SSE, a ticket in the URL", async () => {
	const t = await ask("POST", "/api/v1/stream-tickets",
	    { body: { target: "/api/v1/events" } });
	is([t.status, t.json.ticket], [201, "good-ticket"]);
	await refused(400, "validation_error", /path of a stream/, "POST",
	    "/api/v1/stream-tickets", { body: { target: "/api/v1/tasks" } });
	const r = await sse(`/api/v1/events?ticket=${t.json.ticket}`
	    + "&types=task.*", { until: "task.created", key: null });
	is(r.events, [{ id: "7.2", event: "task.created",
	    data: '{"type":"task.created"}' }]);
	await refused(401, "invalid_auth", null, "GET",
	    "/api/v1/events?ticket=bad", { key: null });
	await refused(400, "validation_error", /^ticket: unknown/, "GET",
	    "/api/v1/sessions?ticket=good-ticket");
});

// A browser names the page's Origin with each POST, with a GET to others only.
await test("logs: a ticket for a page of the same origin", async () => {
	const target = `/api/v1/tasks/${id("task", "0")}/logs/stream`;
	const open = async (headers) => (await sse(`${target}?ticket=`
	    + "good-ticket", { key: null, headers })).status;
	const make = (Origin) => ask("POST", "/api/v1/stream-tickets",
	    { body: { target }, headers: { Origin } });

	is((await make(`http://127.0.0.1:${world.port}`)).status, 201);
	is(await open({}), 200);
	is(await open({ Origin: "http://another.example" }), 401);
});

await test("events: go on where they were when sessiond dies", async () => {
	const n = +await world.say("count EVENT_FOLLOW");
	const got = sse("/api/v1/events", { until: "never" });

	await counted("EVENT_FOLLOW", n + 1);
	await world.say("kill sessiond");
	await counted("EVENT_FOLLOW", n + 2);
	await world.say("revoke");
	const r = await got;
	is(r.events.map((e) => e.id), ["7.2", "7.3"]);
	// The client as well learns how far it is when there is nothing for it.
	is(r.ids, ["7.1", "7.2", "7.25", "7.3"]);
});

await world.stop();
process.exit(failed > 0 ? 1 : 0);
