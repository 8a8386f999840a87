// Streams of logs and events by an EventSource and a WebSocket that were not
// written here: cut and resumed, slow, and with tickets.

import assert from "node:assert/strict";
import http from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { sql } from "../lib/database.mjs";
import { EVENT_TYPES, follow_sse, follow_ws } from "../lib/follow.mjs";
import { refused } from "../lib/http.mjs";
import { Relay } from "../lib/relay.mjs";
import { ends_well, puppet, start_server, tests } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";

const server = await start_server({ ports: { api: 8080 } });
const test = tests(server);
const { api } = server;
await server.runner({ agents: { "custom:puppet": puppet } });

async function active(t) {
	const s = await server.is(await server.session({ agent:
	    "custom:puppet" }), "active");

	t.after(() => server.terminate(s));
	return s;
}

// Logs in three floods with questions between them, so that a cut may fall
// anywhere.
const LONG = JSON.stringify([{ flood: 1500 }, { ask: { id: "1", tool: "T",
    action: "a", input: {} } }, { flood: 1500 }, { ask: { id: "2", tool: "T",
    action: "b", input: {} } }, { flood: 1500 }]);

async function answer_all(t) {
	await server.approve(await server.asked(t));
	await until("the second question", async () =>
	    (await server.permissions(t)).length === 2);
	await server.approve(await server.asked(t));
	return server.ended(t);
}

const whole = async (t) => (await server.lines(t)).map((l) => l.position);

test("SSE: cut again and again, no line is missed and none repeated",
    async (t) => {
	const relay = await new Relay(8080).listen(t);
	const s = await active(t);
	const task = await server.task(s, LONG);
	const f = follow_sse(`http://localhost:${relay.port}/api/v1/tasks/` +
	    `${task.id}/logs/stream`, { token: api.o.token,
	    types: ["log", "end"] });

	await until("half of it", () => f.of("log").length > 700);
	relay.cut();
	await until("it to go on", () => f.opened === 2 &&
	    f.of("log").length >= 1500);
	const ended = answer_all(task);
	await until("more of it", () => f.of("log").length > 3000);
	relay.cut();
	await ended;
	await until("the end", () => f.of("end").length > 0);
	const end = f.of("end")[0].data;
	assert.equal(end.id, task.id);
	assert.equal(end.status, "completed");
	await until("a 204", () => f.ended);
	assert.equal(f.requests.at(-1).status, 204);
	assert.ok(f.opened >= 3);
	assert.deepEqual(f.of("log").map((i) => i.id), await whole(task));
	assert.deepEqual(f.of("log").map((i) => i.data.position),
	    f.of("log").map((i) => i.id));
	assert.equal(f.of("end").length, 1);
	f.close();
});

test("WebSocket: cut and resumed with ?after=, then 204", async (t) => {
	const s = await active(t);
	const task = await server.task(s, LONG);
	const url = `ws://localhost:8080/api/v1/tasks/${task.id}/logs/stream`;
	const one = follow_ws(url, { token: api.o.token });

	await until("half of it", () => one.items.length > 700);
	one.cut();
	const n = one.items.length;
	const two = follow_ws(`${url}?after=${one.items[n - 1].data.id}`,
	    { token: api.o.token });
	await answer_all(task);
	await until("the end", () => two.items.at(-1)?.data.event === "end");
	const got = [...one.items.slice(0, n), ...two.items.slice(0, -1)]
	    .map((i) => i.data.id);
	assert.deepEqual(got, await whole(task));
	await until("it to close", () => two.ended);
	assert.equal(two.code, 1000);
	assert.equal(two.items.at(-1).data.data.status, "completed");
	const three = follow_ws(`${url}?after=${got.at(-1)}`,
	    { token: api.o.token });
	await until("an answer", () => three.ended);
	assert.equal(three.status, 204);
	// A browser's way to bring the key.
	const four = follow_ws(url, { protocols: ["marionette.v1",
	    api.o.token] });
	await until("the end again", () =>
	    four.items.at(-1)?.data.event === "end");
	assert.equal(four.items.length, got.length + 1);
});

test("logs: the end comes, though taskd dies before it says so", async (t) => {
	const s = await server.session({ agent: "custom:nobody" });
	const task = await server.task(s, "wait");
	const f = follow_sse("http://localhost:8080/api/v1/tasks/" +
	    `${task.id}/logs/stream`, { token: api.o.token, types: ["end"] });

	t.after(() => server.terminate(s));
	await until("it to be followed", () => f.opened === 1);
	// So that it is canceled when nobody is there any more who hears it.
	const pid = Number(await sql(server, "SELECT pid FROM pg_stat_activity " +
	    "WHERE application_name LIKE 'marionette write%'"));
	process.kill(pid, "SIGSTOP");
	const canceled = server.cancel(task);
	await until("storaged to be asked", () =>
	    server.log().includes("TASK_STOP from taskd"));
	await server.kill_worker("taskd");
	process.kill(pid, "SIGCONT");
	await canceled;
	await until("the end", () => f.of("end").length > 0);
	assert.equal(f.of("end")[0].data.status, "canceled");
	f.close();
});

// As the janitor leaves it, who drops what is older than it is to be kept.
test("logs: 410 from a position after which lines are gone, with one to go on from",
    async (t) => {
	const task = await server.task(await active(t), LONG);
	const at = `/api/v1/tasks/${task.id}/logs`;
	const drop = (which) => sql(server, "SET mn.tenant = '*'; DELETE FROM " +
	    `mn_data.log WHERE task_id = '${task.id}' AND ${which}`);
	const oldest = async (path) => {
		const r = await api.get(path);
		refused(r, 410, "gone");
		return r.json.details.oldest;
	};

	await answer_all(task);
	const all = await whole(task);
	const first = all[0];
	await drop("first < 2000");
	const from = await oldest(`${at}/stream?after=${first}`);
	assert.equal(await oldest(`${at}?after=${first}`), from);
	const kept = all.slice(all.indexOf(from) + 1);
	assert.ok(all.includes(from) && kept.length > 1000);
	const ids = async (query) => [...(await api.get(`${at}/stream${query}`))
	    .text.matchAll(/^id: (\S+)$/gm)].map((m) => m[1]);
	assert.deepEqual(await ids(`?after=${from}`), kept);
	assert.deepEqual(await ids(""), kept);
	await drop("true");
	assert.equal(await oldest(`${at}/stream?after=${first}`), all.at(-1));
	assert.equal(await oldest(`${at}?after=${first}`), all.at(-1));
	assert.equal((await api.get(`${at}/stream?after=${all.at(-1)}`)).status,
	    204);
	// An end that no line came before has a position of its own.
	const [end] = await ids("");
	assert.equal((await api.get(`${at}/stream?after=${end}`)).status, 204);
});

test("a reader that is slow gets every line all the same", async (t) => {
	const s = await active(t);
	const { task } = await server.run(s, JSON.stringify(
	    Array.from({ length: 60 }, (_, i) =>
		({ fill: [String(i % 10), 60000] }))));
	const f = follow_ws(`ws://localhost:8080/api/v1/tasks/${task.id}` +
	    "/logs/stream", { token: api.o.token });

	await until("it to open", () => f.opened > 0);
	f.socket.pause();
	await pause(1500);
	f.socket.resume();
	await until("the end", () => f.items.at(-1)?.data.event === "end");
	assert.deepEqual(f.items.slice(0, -1).map((i) => i.data.id),
	    await whole(task));
});

test("events: followed across cuts, none missed, none repeated", async (t) => {
	const relay = await new Relay(8080).listen(t);
	const at = "/api/v1/events";
	const all = follow_sse(`${server.url}${at}`, { token: api.o.token,
	    types: EVENT_TYPES });
	await until("it to open", () => all.opened > 0);
	const first = await server.session({ agent: "custom:nobody" });
	const start = await all.has("its event", (i) =>
	    i.data.resource?.id === first.id);
	const cut = follow_sse(`http://localhost:${relay.port}${at}?after=` +
	    encodeURIComponent(start.id), { token: api.o.token,
	    types: EVENT_TYPES });
	const s = await active(t);
	const marks = [];
	for (let i = 0; i < 6; i++) {
		const { task } = await server.run(s, '[{"out":"x"}]');
		marks.push(task.id);
		if (i % 2 === 0) {
			const n = cut.opened;
			relay.cut();
			await server.run(s, '[{"out":"meanwhile"}]')
			    .then((r) => marks.push(r.task.id));
			await until("it to be back", () => cut.opened > n);
		}
	}
	await server.terminate(first);
	const last = (f) => f.has("the last event", (i) => i.data.type ===
	    "session.terminated" && i.data.resource.id === first.id);
	await last(all);
	await last(cut);
	const from = all.items.indexOf(start);
	const want = all.items.slice(from + 1).map((i) => i.id);
	assert.ok(cut.opened >= 3);
	assert.deepEqual(cut.items.slice(0, want.length).map((i) => i.id), want);
	assert.equal(new Set(cut.items.map((i) => i.data.id)).size,
	    cut.items.length);
	for (const id of marks)
		assert.deepEqual(cut.items.filter((i) => i.data.task_id === id)
		    .map((i) => i.data.type).filter((x) => /^task/.test(x)),
		    ["task.created", "task.running", "task.completed"]);
	// Positions tell nothing.
	assert.doesNotMatch(start.id, /^\d+\.\d+$/);
	all.close();
	cut.close();
	// A filter.
	const some = follow_sse(`${server.url}${at}?types=task.completed&after=` +
	    encodeURIComponent(start.id), { token: api.o.token,
	    types: EVENT_TYPES });
	await until("them", () => some.items.length === marks.length);
	assert.deepEqual(some.items.map((i) => i.data.task_id), marks);
	some.close();
	refused(await api.get(`${at}?after=nonsense`), 400, "validation_error");
	// Another tenant sees none of it.
	const other = await server.key({ tenant: "third" });
	const theirs = follow_sse(`${server.url}${at}`, { token: other.key,
	    types: EVENT_TYPES });
	await until("it to open", () => theirs.opened > 0);
	const own = await other.api.must(201, "POST", "/api/v1/sessions",
	    { agent: "custom:nobody" });
	await server.run(s, "[]");
	await theirs.has("its own event", (i) => i.data.resource?.id === own.id);
	assert.ok(theirs.items.every((i) => i.data.resource?.id === own.id));
	theirs.close();
});

// Cut before anything has happened.
test("events: a stream without a position says first where it begins",
    async (t) => {
	const url = `${server.url}/api/v1/events`;
	const authorization = `Bearer ${api.o.token}`;
	const cut = new AbortController();
	const r = await fetch(url, { headers: { authorization },
	    signal: cut.signal });
	let head = "";
	for await (const part of r.body) {
		head += Buffer.from(part).toString();
		if (/^id: /m.test(head))
			break;
	}
	// What another test's session does may be behind it.
	assert.match(head, /^retry: 2000\n\nid: \S+\n\n/);
	cut.abort();
	const ws = follow_ws(url.replace("http", "ws"), { token: api.o.token });
	const [begin] = await until("it by WebSocket, too", () =>
	    ws.items.length > 0 && ws.items);
	assert.deepEqual(Object.keys(begin.data), ["id"]);
	ws.cut();
	const s = await server.session({ agent: "custom:nobody" });
	t.after(() => server.terminate(s));
	for (const id of [/^id: (\S+)$/m.exec(head)[1], begin.data.id]) {
		const f = follow_sse(`${url}?after=${encodeURIComponent(id)}`,
		    { token: api.o.token, types: EVENT_TYPES });
		await f.has("what happened meanwhile", (i) =>
		    i.type === "session.created" &&
		    i.data.resource.id === s.id);
		f.close();
	}
});

// As the janitor leaves it; a new sessiond has none of them in memory.
test("events: 410 from a position that is kept no longer, with the oldest that is",
    async () => {
	const at = `${server.url}/api/v1/events`;
	const own = { token: api.o.token, types: EVENT_TYPES };
	const all = follow_sse(at, own);
	await until("it to open", () => all.opened > 0);
	const s = await server.session({ agent: "custom:nobody" });
	const { id } = await all.has("its event", (i) =>
	    i.data.resource?.id === s.id);
	all.close();
	await sql(server, "UPDATE mn_data.event_gone SET xid = " +
	    "pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1");
	await server.kill_worker("sessiond");
	const r = await until("an answer", async () => {
		const now = await api.get(`/api/v1/events?after=${id}`);
		return now.status !== 503 && now;
	});
	refused(r, 410, "gone");
	const { oldest } = r.json.details;
	await server.terminate(s);
	const f = follow_sse(`${at}?after=${oldest}`, own);
	await f.has("what came later", (i) => i.type === "session.terminated" &&
	    i.data.resource.id === s.id);
	f.close();
});

test("stream tickets: for one path, one Origin, and only streams", async (t) => {
	const s = await active(t);
	const { task } = await server.run(s, '[{"out":"ticketed"}]');
	const target = `/api/v1/tasks/${task.id}/logs/stream`;
	const origin = "http://localhost:8080";
	const made = await api.post("/api/v1/stream-tickets", { target },
	    { origin });
	const bare = api.as({});
	const q = (at) => `${at}?ticket=${encodeURIComponent(made.json.ticket)}`;

	assert.equal(made.status, 201, made.text);
	assert.ok(!made.json.ticket.startsWith("mk_"));
	const ok = await bare.get(q(target), { origin });
	assert.equal(ok.status, 200, ok.text);
	assert.match(ok.text, /ticketed/);
	assert.match(ok.text, /event: end/);
	// A browser names no Origin with a GET to its own.
	assert.equal((await bare.get(q(target))).status, 200);
	assert.equal((await bare.get(q("/api/v1/events"), { origin })).status,
	    401);
	assert.equal((await bare.get(q(target), { origin:
	    "http://evil.example" })).status >= 401, true);
	assert.ok((await bare.get(q(`/api/v1/tasks/${task.id}`), { origin }))
	    .status >= 400);
	refused(await api.post("/api/v1/stream-tickets",
	    { target: "/api/v1/tasks" }), 400, "validation_error", /target/);
	// A long-lived key in a URL is no credential.
	assert.equal((await bare.get(`${target}?ticket=${api.o.token}`)).status,
	    401);
});

test("stream tickets of the master key and of a password open streams, too",
    async () => {
	const origin = server.admin_url;
	const at = api.as({ url: server.admin_url });

	for (const who of [{ token: server.master_key },
	    { basic: `admin:${server.admin_password}` }]) {
		const { ticket } = await at.as(who).must(201, "POST",
		    "/api/v1/stream-tickets", { target: "/api/v1/events" },
		    { origin });
		const f = follow_sse(`${server.admin_url}/api/v1/events` +
		    `?ticket=${encodeURIComponent(ticket)}`,
		    { headers: { origin } });
		await until("it to open", () => f.opened > 0 || f.ended);
		assert.equal(f.requests[0].status, 200);
		f.close();
	}
});

// Each renews its identity after half a minute.
test("the control socket, a stream of a password: as good when renewed",
    async (t) => {
	const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
	t.after(() => agent.destroy());
	const get = () => new Promise((ok, fail) => http.get({ agent, headers:
	    { host: "localhost" }, socketPath: server.socket, path:
	    "/admin/api/v1/keys" }, (r) => r.resume().on("end", () =>
	    ok([r.statusCode, r.req.reusedSocket]))).on("error", fail));
	const s = await active(t);
	const task = await server.task(s, JSON.stringify([{ ask: { id: "1",
	    tool: "T", action: "a", input: {} } }]));
	const question = await server.asked(task);
	const f = follow_sse(`${server.admin_url}/api/v1/tasks/${task.id}` +
	    "/logs/stream", { types: ["log", "end"], headers: { authorization:
	    `Basic ${btoa(`admin:${server.admin_password}`)}` } });

	await until("it to open", () => f.opened > 0);
	assert.deepEqual(await get(), [200, false]);
	for (let i = 0; i < 4; i++) {
		await pause(8500);
		assert.deepEqual(await get(), [200, true]);
	}
	await server.approve(question);
	await until("the end", () => f.of("end").length > 0);
	assert.equal(f.opened, 1);
	f.close();
});

ends_well(server);
