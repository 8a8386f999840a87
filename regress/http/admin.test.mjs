// frontd's API half: the admin port and the local socket.

import fs from "node:fs";
import http from "node:http";
import os from "node:os";
import path from "node:path";
import { ask, id, refused, sent, use } from "./ask.mjs";
import { until } from "./engine.mjs";
import { failed, is, like, start, test } from "./world.mjs";

const world = use(await start("admin"));
const dir = fs.mkdtempSync(path.join(os.tmpdir(), "mn-api-"));
const basic = (p) => ({ Authorization: `Basic ${btoa(p)}` });

await test("admin: keys and runner tokens", async () => {
	const k = await ask("POST", "/admin/api/v1/keys", { key: "mk_admin",
	    body: { name: "ci", scopes: ["tasks:write"] } });
	is([k.status, k.json], [201, { id: "x_1", key: "mk_shown" }]);
	const t = await ask("POST", "/admin/api/v1/runner-tokens",
	    { key: "mk_admin", body: { pool: "default" } });
	is([t.status, t.json], [201, { id: "x_1", token: "rtok_shown.ca" }]);
	await sent(200, "KEY_LIST", {}, "GET", "/admin/api/v1/keys",
	    { key: "mk_admin" });
	await sent(200, "KEY_REVOKE", { reason: "r" }, "POST",
	    `/admin/api/v1/keys/${id("key")}/revoke`, { key: "mk_admin",
	    body: { reason: "r" } });
	await sent(200, "RUNNER_TOKEN_REVOKE", {}, "POST",
	    `/admin/api/v1/runner-tokens/${id("rtk")}/revoke`,
	    { key: "mk_admin" });
	await refused(400, "validation_error", /no scope/, "POST",
	    "/admin/api/v1/keys", { key: "mk_admin",
	    body: { name: "x", scopes: ["all"] } });
	await refused(400, "validation_error", /still to come/, "POST",
	    "/admin/api/v1/keys", { key: "mk_admin",
	    body: { name: "x", expires_at: "2020-01-01T00:00:00Z" } });
	await refused(400, "validation_error", /expires_at: .* a time as in/,
	    "POST", "/admin/api/v1/keys", { key: "mk_admin",
	    body: { name: "x", expires_at: "2036-02-31T00:00:00Z" } });
	await refused(403, "forbidden", /admin:\*/, "GET",
	    "/admin/api/v1/keys", { key: "mk_good" });
});

await test("admin: passwords", async () => {
	is((await ask("GET", "/admin/api/v1/keys",
	    { headers: basic("admin:secret") })).status, 200);
	const r = await refused(401, "invalid_auth", null, "GET",
	    "/admin/api/v1/keys", { headers: basic("admin:wrong") });
	like(r.headers["www-authenticate"], /^Basic/);
	await refused(401, "invalid_auth", null, "GET", "/admin/api/v1/keys",
	    { headers: { Authorization: "Basic %%%" } });
	await refused(403, "forbidden", /same-origin/, "POST",
	    "/admin/api/v1/keys", { headers: basic("admin:secret"),
	    body: { name: "x" } });
	// TLS may be a proxy's.
	for (const scheme of ["http", "https"])
		is((await ask("POST", "/admin/api/v1/keys", { headers: {
		    ...basic("admin:secret"), Origin:
		    `${scheme}://127.0.0.1:${world.port}` },
		    body: { name: "x" } })).status, 201, scheme);
	is(await world.say("scan admin:secret"), "0", "scan");
});

await test("admin: public paths, another tenant", async () => {
	is((await ask("GET", "/api/v1/sessions?tenant=t2",
	    { key: "mk_admin" })).status, 200);
	// A ticket was made in one of them, and is not for another.
	const at = `/api/v1/tasks/${id("task", "0")}/logs/stream`
	    + "?ticket=good-ticket";
	is((await ask("GET", `${at}&tenant=t1`, { key: null })).status, 200);
	await refused(400, "validation_error", /^tenant: /, "GET",
	    `${at}&tenant=t2`, { key: null });
});

await test("admin: status and metrics", async () => {
	await world.say("report");
	const s = await until("frontd was told", async () => {
		const r = await ask("GET", "/admin/api/v1/status",
		    { key: "mk_admin" });
		return r.json.items.length === 2 && r;
	});
	is(s.json.items.map((i) => [i.name, i.pid, i.jail, i.ready]),
	    [["taskd", 7, "full", true], ["sessiond", 7, "full", true]]);
	const m = await ask("GET", "/metrics", { key: "mk_admin" });
	like(m.text, new RegExp('# TYPE x_total counter\nx_total'
	    + '{process="taskd"} 1\nx_total{process="sessiond"} 1\n'));
	like(m.text, /y{process="taskd",a="b"} 2\n/);
	is(m.text.match(/# TYPE x_total/g).length, 1);
});

await test("local: the socket is both surfaces, without a key", async () => {
	const socket = path.join(dir, "sock");

	await world.say(`local ${socket}`);
	is((await ask("GET", "/api/v1/me", { key: null, socket })).json.name,
	    "root");
	is((await ask("POST", "/admin/api/v1/keys", { key: null, socket,
	    body: { name: "x" } })).status, 201);
	await refused(400, "validation_error", /tenant/, "GET",
	    "/api/v1/sessions?tenant=t2", { key: null, socket });
});

await test("local: who is told to connect again does", async () => {
	const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
	const me = async () => (await ask("GET", "/api/v1/me", { key: null,
	    socket: path.join(dir, "sock"), agent })).status;

	is([await me(), await me()], [200, 200]);
	await world.say("revoke");
	await until("its identity to end", async () => await me() === 401);
	is(await me(), 200);
	agent.destroy();
});

await world.stop();
fs.rmSync(dir, { recursive: true });
process.exit(failed > 0 ? 1 : 0);
