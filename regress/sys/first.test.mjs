// The server as the first process of its machine, as in a container that runs
// nothing else: its workers' parent is pid 1.

import assert from "node:assert/strict";
import { ends_well, puppet, start_server, tests } from "../lib/server.mjs";

const server = await start_server({ wrap: () => ["unshare", "--pid", "--fork",
    "--mount-proc", "--kill-child"] });
const test = tests(server);
const runner = await server.runner({ agents: { "custom:puppet": puppet } });

test("it starts, and a task is done", async () => {
	const s = await server.session({ agent: "custom:puppet" });
	const { task } = await server.run(s, JSON.stringify([{ out: "x" }]));

	assert.equal(task.status, "completed");
	assert.equal((await server.get_session(s)).runner_id, runner.id);
	await server.terminate(s);
});

// To both of them: unshare does not hand it on.
test("it is told to stop", async () => {
	server.proc.signal("SIGTERM");
	await server.proc.says(/stopping: requests under way are finished/);
});

ends_well(server);
