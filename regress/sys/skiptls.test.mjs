// `skip tls': the runner wire in plaintext.  Who a runner is, its signed Hello
// says; without the option nobody comes in without a certificate.

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { call, credentials, grpc, pinned_ca, RunnerService }
    from "../lib/grpc.mjs";
import { enrol, make_csr } from "../lib/identity.mjs";
import { run } from "../lib/proc.mjs";
import { Runner } from "../lib/runner.mjs";
import { ends_well, O, puppet, start_server, tests } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";

const { status: S } = grpc;
const server = await start_server({ plaintext: true,
    conf: ["skip tls", "heartbeat 2"] });
const test = tests(server);
const address = `localhost:${server.ports.runner}`;
const AGENT = "custom:elsewhere";

const insecure = async (name) => enrol({ address, ca: null, name,
    token: await server.runner_token(), agents: [AGENT] });

// What ends a Logs stream that brings this batch.
function logs_end(...batches) {
	const client = new RunnerService(address, credentials(null));
	const logs = client.Logs();

	logs.on("data", () => {});
	batches.forEach((b) => logs.write(b));
	return new Promise((done) => {
		logs.on("error", done);
		logs.on("end", () => done(null));
	}).finally(() => client.close());
}

// What the server says to a runner that dials and is not let in.
async function refusal(r) {
	r.connect(0).catch(() => {});	// no welcome: that is waited for here
	const e = await until("it to be refused", () => r.errors[0]);

	assert.ok(!r.connected);
	r.cut();
	return e.message;
}

test("the server warns once", () => {
	assert.equal(server.log().match(/skip tls: /g).length, 1);
});

test("marionette-agent --insecure enrols, works, and comes back", async () => {
	const r = await server.runner({ agents: { "custom:puppet": puppet },
	    args: ["--insecure"] });
	const s = await server.session({ agent: "custom:puppet" });

	await server.is(s, "active");
	const one = await server.run(s, JSON.stringify([{ out: "plain" },
	    { ask: { id: "q", tool: "T", action: "a", input: {} } },
	    { out: "text" }]));
	assert.equal(one.task.status, "completed");
	assert.equal(one.asked.length, 1);
	assert.match(await server.printed(one.task), /plain\n[^]*text\n/);
	await r.stop();
	await r.again();
	const two = await server.run(s, '[{"out":"again"}]');
	assert.equal(two.task.status, "completed");
	assert.equal(await server.printed(two.task), "again\n");
	await server.terminate(s);
	await r.stop();
	await r.offline();
});

test("a runner of somebody else's: a certificate all the same", async (t) => {
	const me = await insecure("independent");
	assert.match(me.certificate, /BEGIN CERTIFICATE/);
	const r = await new Runner(me).connect();
	t.after(() => r.close());
	r.on_task = async (it) => {
		it.log("one", "two");
		return "done";
	};
	const s = await server.session({ agent: AGENT });
	await server.is(s, "active");
	const { task } = await server.run(s, "x");
	assert.equal(task.result, "done");
	assert.equal(await server.printed(task), "one\ntwo\n");
	await server.terminate(s);
});

test("a forged Hello is refused, and who it names stays", async (t) => {
	const me = await insecure("victim");
	const thief = await insecure("thief");
	const r = await new Runner(me).connect();
	t.after(() => r.close());

	const forged = new Runner({ ...me, key: thief.key });
	assert.match(await refusal(forged), /UNAUTHENTICATED: .*signature/);
	const nobody = new Runner({ ...me,
	    id: `rnr_${"0".repeat(26)}` });
	assert.match(await refusal(nobody), /UNAUTHENTICATED: .*not known/);
	assert.ok(r.connected);
	await until("it to be idle", async () => (await server.api.must(200,
	    "GET", `/api/v1/runners/${me.id}`)).status === "idle");
});

test("a Logs stream stays with the runner whose run it named", async (t) => {
	const both = [];
	let over = false;

	for (const name of ["first", "second"]) {
		const r = await new Runner(await insecure(name)).connect();
		const s = await server.session({ agent: AGENT });
		r.on_task = () => until("the end", () => over);
		t.after(async () => {
			await server.terminate(s);
			await r.close();
		});
		await server.is(s, "active");
		await server.task(s, "x");
		both.push(await r.next("execute_task"));
	}
	const lines = [{ stream: "stdout", level: "info", kind: "text",
	    content: "x", time_ms: Date.now() }];
	const e = await logs_end(...both.map((x) => ({ run_id: x.run_id,
	    first: 1, lines })));
	assert.equal(e.code, S.PERMISSION_DENIED);
	assert.match(e.details, /not a run of this runner/);
	over = true;
});

test("without the option the file is refused, and no one without a " +
    "certificate comes in", async () => {
	const conf = fs.readFileSync(server.conf, "utf8");
	const me = await insecure("late");
	const file = path.join(server.dir, "without.conf");

	fs.writeFileSync(file, conf.replace("skip tls\n", ""), { mode: 0o600 });
	const n = await run([path.join(O, "marionetted"), "-n", "-f", file]);
	assert.equal(n.code, 1);
	assert.match(n.err, /plaintext only with `skip tls'/);
	assert.equal((await server.halt()).code, 0);
	fs.writeFileSync(server.conf, conf.replace("skip tls\n", "")
	    .replace(/(listen runner .*) plaintext/, "$1 tls"),
	    { mode: 0o600 });
	await server.start();
	const token = await server.runner_token();
	const ca = await pinned_ca(address, token);
	const r = new Runner({ ...me, ca, key: null, certificate: null });
	assert.match(await refusal(r),
	    /UNAUTHENTICATED: a client certificate is required/);
	const client = new RunnerService(address, credentials(null));
	await assert.rejects(call(client, "Enroll", { name: "n", hostname: "h",
	    version: "1", agents: [AGENT], sandbox_mode: "none",
	    labels_json: "{}", resources_json: "{}",
	    csr_der: (await make_csr()).csr }, { "x-runner-token": token },
	    3000));
	client.close();
	const back = await new Runner({ ...me, ca }).connect();
	await until("it to be idle", async () => (await server.api.must(200,
	    "GET", `/api/v1/runners/${me.id}`)).status === "idle");
	await back.close();
});

ends_well(server);
