// A run was given to a runner, and nobody has told yet that it has begun, when
// what was known of that is lost on the server: only its runner knows now, and
// the run is not given to anybody again as if it were new.

import assert from "node:assert/strict";
import { after } from "node:test";
import { enrol } from "../lib/identity.mjs";
import { Runner } from "../lib/runner.mjs";
import { ends_well, start_server, tests } from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";

const AGENT = "custom:doubt";
const server = await start_server({ conf: ["heartbeat 1"] });
const test = tests(server);
const me = await enrol({ address: `localhost:${server.ports.runner}`,
    token: await server.runner_token(), agents: [AGENT] });

// Takes a run and does not say that it begins; killed, it says so.
class Silent extends Runner {
	heard(stream, message) {
		super.heard(stream, message);
		if (message.kill_run && !this.is_deaf)
			this.die(message.kill_run.run_id,
			    message.kill_run.reason);
	}

	die(run_id, status) {
		const run = this.runs.get(run_id);

		if (run && run.state !== "completed")
			run.complete({ status });
	}

	given() {
		return this.commands.filter((c) => c.type === "execute_task");
	}
}

const r = await new Silent(me).connect();

// A session of which the runner has a task's run.
async function begin() {
	const n = r.given().length;
	const s = await server.session({ agent: AGENT });
	const task = await server.task(s, "work");

	await until("the run to be given", () => r.given().length > n);
	await r.settled();
	return { s, task, run: r.given()[n] };
}

// Resumed, the session has another run.
async function another({ s, run }) {
	const n = r.given().length;

	await server.is(s, "suspended");
	await server.resume(s);
	const again = await until("a run to be given", () => r.given()[n]);
	assert.notEqual(again.run_id, run.run_id);
	assert.equal(again.attempt, 2);
	await server.terminate(s);
	await r.settled();
}

test("runnerd has died, and its runner is away while the session is suspended",
    async () => {
	const it = await begin();

	r.cut();
	await server.kill_worker("runnerd");
	await server.api.post(`/api/v1/sessions/${it.s.id}/suspend`, {});
	await until("runnerd to be told to stop it", () =>
	    /runnerd debug: RUN_KILL/.test(server.proc.out + server.proc.err));
	await r.connect();
	await another(it);
});

test("taskd has died, and the session is to be suspended", async () => {
	const it = await begin();

	r.is_deaf = true;
	await server.api.post(`/api/v1/sessions/${it.s.id}/suspend`, {});
	await r.next("kill_run");
	await server.kill_worker("taskd");
	r.is_deaf = false;
	r.die(it.run.run_id, "suspended");
	await another(it);
});

test("a run that no runner has is given, whoever died", async () => {
	const it = await begin();

	// Nothing is known of it there either.
	r.cut();
	r.runs.clear();
	await server.kill_worker("runnerd");
	const n = r.given().length;
	await r.connect();
	const again = await until("it to be given again", () => r.given()[n]);
	assert.equal(again.run_id, it.run.run_id);
	await server.terminate(it.s);
});

test("lines of a run that nobody has are let go, and are not its lines",
    async () => {
	const s = await server.session({ agent: "custom:nobody" });
	const task = await server.task(s, "work");
	const batch = { run_id: task.run_id, first: 1, lines: [{ content: "x",
	    stream: "stdout", level: "info", kind: "text", time_ms: 1 }] };
	const acks = [];

	r.send_logs(batch);
	r.logs.on("data", (a) => acks.push(a));
	await until("an acknowledgement", () => acks.some((a) =>
	    a.run_id === task.run_id && Number(a.up_to) === 1));
	const { json } = await server.api.get(`/api/v1/tasks/${task.id}/logs`);
	assert.deepEqual(json.items, []);
	await server.terminate(s);
});

after(() => r.close());
ends_well(server);
