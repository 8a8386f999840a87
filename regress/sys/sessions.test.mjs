// Sessions under hard hands: told all at once, deleted in each state, their
// workers stopped and killed on the way, files gone under a reload.

import assert from "node:assert/strict";
import fs from "node:fs";
import http2 from "node:http2";
import path from "node:path";
import { ends_well, puppet, start_server, tests } from "../lib/server.mjs";
import { EVENT_TYPES, follow_sse } from "../lib/follow.mjs";
import { until } from "../lib/wait.mjs";

const server = await start_server({ conf: ["heartbeat 2"] });
const test = tests(server);
const runner = await server.runner({ agents: { "custom:puppet": puppet } });
const ASK = { ask: { id: "q", tool: "T", action: "a", input: {} } };

async function active() {
	return server.is(await server.session({ agent: "custom:puppet" }),
	    "active");
}
const remove = (s, wait = 0) => server.api.delete(
    `/api/v1/sessions/${s.id}?wait=${wait}`);

test("prompts of one connection that come within a millisecond run in order",
    async () => {
	const s = await active();
	const c = http2.connect(server.url);
	const numbers = Array.from({ length: 12 }, (_, i) => `${i}`);
	const post = (n) => new Promise((done, fail) => {
		const q = c.request({ ":method": "POST", ":path":
		    "/api/v1/tasks", authorization:
		    `Bearer ${server.api.o.token}`, "content-type":
		    "application/json" });
		let text = "";

		q.on("data", (d) => { text += d; });
		q.on("end", () => done(JSON.parse(text)));
		q.on("error", fail);
		q.end(JSON.stringify({ session_id: s.id, prompt:
		    JSON.stringify([{ append: ["order", `${n} `] }]) }));
	});

	await server.api.get("/api/v1/me");	// who it is, is known
	const all = await Promise.all(numbers.map(post));
	c.close();
	for (const t of all)
		assert.equal((await server.ended(t)).status, "completed");
	assert.deepEqual(runner.read(s, "order").split(/\s+/).filter(Boolean),
	    numbers);
	await remove(s, 30);
});

test("DELETE in each state: 202 while it goes, 204 when it is gone",
    async () => {
	const s = await active();
	const going = await remove(s);
	assert.equal(going.status, 202);
	assert.equal(going.json.id, s.id);
	assert.ok(going.headers.etag);
	const gone = await remove(s, 30);
	assert.equal(gone.status, 204);
	assert.equal(gone.text, "");
	assert.equal((await remove(s)).status, 204);
	assert.equal((await server.api.get(
	    `/api/v1/sessions/${s.id}`)).status, 404);
	const waited = await remove(await active(), 30);
	assert.equal(waited.status, 204);
	const pending = await server.session({ agent: "custom:nobody" });
	assert.equal((await remove(pending)).status, 204);
	const ended = await active();
	await server.terminate(ended);
	assert.equal((await remove(ended)).status, 204);
	const stranger = await remove({ id: "sess_0000000000000000000000000z" });
	assert.equal(stranger.status, 404);
});

test("ETag: of every answer with a session; PATCH with the right one only",
    async () => {
	const s = await server.session({ agent: "custom:nobody" });
	const url = `/api/v1/sessions/${s.id}`;
	// Why it waits is written into it a moment later.
	await until("a reason", async () =>
	    (await server.get_session(s)).status_reason);
	const { headers: { etag } } = await server.api.get(url);
	const first = await server.api.patch(url, { name: "one" },
	    { "if-match": etag });
	assert.equal(first.status, 200);
	assert.notEqual(first.headers.etag, etag);
	const stale = await server.api.patch(url, { name: "two" },
	    { "if-match": etag });
	assert.equal(stale.status, 412);
	assert.equal((await server.get_session(s)).name, "one");
	await remove(s);
});

test("labels as large as may be are an event's, too; PATCH does not make more",
    async () => {
	const some = (n, k) => Object.fromEntries(Array.from({ length: n },
	    (_, i) => [`${k}${i}`, "v".repeat(60)]));
	const team = "web".repeat(600);
	const labels = { team, ...some(85, "l") };
	const f = follow_sse(`${server.url}/api/v1/events?label=team=${team}`,
	    { token: server.api.o.token, types: EVENT_TYPES });
	await until("the stream", () => f.opened > 0);
	const s = await server.session({ agent: "custom:nobody", labels });
	await f.has("its first event", (i) => i.type === "session.created" &&
	    i.data.resource.id === s.id);
	f.close();

	const url = `/api/v1/sessions/${s.id}`;
	for (const [name, k, max] of [["labels", "m", 8192],
	    ["annotations", "a", 16384]]) {
		let r;
		for (let i = 0; i < 10; i++) {
			r = await server.api.patch(url, { [name]:
			    some(60, `${k}${i}-`) });
			if (r.status !== 200)
				break;
		}
		assert.equal(r.status, 400, r.text);
		assert.equal(r.json.code, "validation_error");
		assert.match(r.json.message, new RegExp(`^${name}: .* ${max} `));
		const has = (await server.get_session(s))[name];
		assert.ok(JSON.stringify(has).length <= max);
		const away = await server.api.patch(url, { [name]:
		    { [Object.keys(has)[0]]: null } });
		assert.equal(away.status, 200, away.text);
	}
	await remove(s);
});

test("a worker that is stopped is killed and started again within seconds",
    async () => {
	for (const name of ["taskd", "sessiond"]) {
		const s = await active();
		await server.kill_worker(name, "SIGSTOP");
		await until("an answer", async () => (await server.api.get(
		    `/api/v1/sessions/${s.id}`)).status === 200);
		assert.equal((await server.run(s, '[{"out":"on"}]')).task.status,
		    "completed");
		assert.equal((await remove(s, 30)).status, 204);
	}
	assert.match(server.log(), /taskd \(pid \d+\) has been silent/);
});

test("workers are killed while a session leaves: it goes where it was wished",
    async () => {
	for (const name of ["sessiond", "taskd", "runnerd", "storaged"]) {
		for (const verb of ["suspend", "terminate"]) {
			const s = await active();
			const t = await server.task(s, JSON.stringify([ASK]));
			await server.asked(t);
			await server.api.must(202, "POST",
			    `/api/v1/sessions/${s.id}/${verb}`, {});
			await server.kill_worker(name);
			await server.is(s, verb === "suspend" ? "suspended" :
			    "terminated");
			await runner.online();
			const gone = await until("it to be deleted", async () => {
				const r = await remove(s, 30);
				return r.status === 204 && r;
			});
			assert.equal(gone.text, "");
			assert.equal((await server.ended(t)).status,
			    "canceled");
		}
	}
});

test("a file that is gone at a reload changes nothing, nor does a restart of"
    + " its worker end the server", async () => {
	const key = path.join(server.dir, "s/keys/runner.key");
	const text = fs.readFileSync(server.conf, "utf8");

	fs.writeFileSync(server.conf, text.replace("master.key", "no.key"));
	server.proc.signal("SIGHUP", false);
	await server.proc.says(/reload: a file cannot be used/);
	assert.equal((await server.api.get("/api/v1/me")).status, 200);
	fs.writeFileSync(server.conf, `${text}\nlisten api on "127.0.0.1" ` +
	    "port 1 plaintext\n");
	server.proc.signal("SIGHUP", false);
	await server.proc.says(/reload: other `listen' lines/);
	fs.writeFileSync(server.conf, text);
	fs.renameSync(key, `${key}.away`);
	const { pid } = (await server.processes()).runner;
	process.kill(pid, "SIGKILL");
	await server.proc.says(/tls-key: .*runner\.key/);
	assert.equal((await server.api.get("/api/v1/me")).status, 200);
	fs.renameSync(`${key}.away`, key);
	await until("frontd(runner)", async () => {
		const p = (await server.processes()).runner;
		return p.ready && p.pid !== pid;
	});
	await runner.online();
});

ends_well(server);
