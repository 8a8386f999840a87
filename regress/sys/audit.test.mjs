// The audit: what was done is there once, by whom it was done; what was refused
// is there as refused, what was said again is not there again.

import assert from "node:assert/strict";
import fs from "node:fs";
import { sql } from "../lib/database.mjs";
import { refused } from "../lib/http.mjs";
import { ends_well, puppet, start_server, tests } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";

const server = await start_server();
const test = tests(server);
const { local } = server;
const A = "/admin/api/v1";
// The test's own key was the first.
const start = await until("a record", async () => (await sql(server,
    "SET mn.tenant = '*'; SELECT max(id) FROM mn_data.action_log")).trim());

// What the audit has of one action, [resource, success], when it has `last',
// which its process did last.
const records = (action, last) => until(`${action} of ${last}`, async () => {
	const all = JSON.parse(await sql(server, "SET mn.tenant = '*'; SELECT " +
	    "coalesce(json_agg(json_build_array(resource, success) ORDER BY " +
	    "created_at), '[]') FROM mn_data.action_log WHERE action = " +
	    `'${action}' AND id > '${start}'`));
	return all.some(([resource]) => resource === last) && all;
});

// Made, made again with the same key, refused, another one: both ids.
async function make(what, path, body) {
	const again = { "idempotency-key": what };
	const one = await local.must(201, "POST", path, body, again);
	const same = await local.must(201, "POST", path, body, again);

	assert.equal(same.id, one.id);
	refused(await local.post(path, { ...body, name: "b" }, again), 409,
	    "idempotency_conflict");
	const two = await local.must(201, "POST", path, body);
	const made = await records(`${what}.create`, two.id);
	assert.deepEqual(made.map((r) => r[1]), [true, false, true]);
	assert.deepEqual([made[0][0], made[2][0]], [one.id, two.id]);
	return [one.id, two.id];
}

// One, what there is not, two; each answered as it should be.
async function end(what, action, [one, two], undo) {
	const none = one.replace(/.$/, (c) => c === "0" ? "1" : "0");

	assert.ok((await undo(one)).status < 300);
	refused(await undo(none), 404, "not_found");
	assert.ok((await undo(two)).status < 300);
	assert.deepEqual(await records(`${what}.${action}`, two),
	    [[one, true], [none, false], [two, true]]);
}

test("an agent configuration", async () => {
	const path = `${A}/agent-configs`;
	const ids = await make("agent_config", path, { name: "a",
	    agent: "claude", api_key: "sk-ant-1" });

	await end("agent_config", "delete", ids,
	    (id) => local.request("DELETE", `${path}/${id}`));
});

test("a runner token", async () => {
	const path = `${A}/runner-tokens`;
	const ids = await make("runner_token", path, { pool: "default",
	    name: "a" });

	await end("runner_token", "revoke", ids,
	    (id) => local.post(`${path}/${id}/revoke`, {}));
});

test("an API key", async () => {
	const path = `${A}/keys`;
	const ids = await make("key", path, { name: "audited" });

	await end("key", "revoke", ids,
	    (id) => local.post(`${path}/${id}/revoke`, {}));
});

test("a runner that enrols", async () => {
	const { id } = await server.runner({ agents: { "custom:puppet": puppet } });

	assert.deepEqual(await records("runner.enroll", id), [[id, true]]);
});

// Whoever reads it reads each line as what the configuration says that it is.
test("the log is JSON from the SIGHUP that says so, whoever writes, and whatever",
    async () => {
	const text = fs.readFileSync(server.conf, "utf8");
	const take = async (conf, says) => {
		const at = server.proc.err.length;

		fs.writeFileSync(server.conf, conf);
		server.proc.signal("SIGHUP", false);
		return until(`${says}`, () => says.test(server.proc.err
		    .slice(at)) && server.proc.err.slice(at));
	};

	await take(`${text}log format json\n`, /reload/);
	await server.runner({ agents: { "custom:puppet": puppet } });
	const at = server.proc.err.length;
	await server.runner({ agents: { "custom:puppet": puppet } });
	const here = server.proc.err.slice(at).trim().split("\n")
	    .map((l) => JSON.parse(l));
	assert.ok(here.some((l) => l.process === "runnerd" &&
	    / is here$/.test(l.message)));
	const no = (await take(`${text}log format json\nlisten everything\n`,
	    /old one stays/)).trim().split("\n").map((l) => JSON.parse(l));
	assert.ok(no.some((l) => /m\.conf:\d+: .*expected/.test(l.message)));
	await take(text, /"message":"reload/);
	await take(text, /^\S+Z marionetted info: reload/m);
});

ends_well(server);
