// A run that is over on its runner, its log not all here: what must be waited for
// before its session leaves.

import { enrol } from "./identity.mjs";
import { Runner } from "./runner.mjs";

// Lines 1 to 3 of 5 are here, RunCompleted too, and its session is to be suspended:
// {r: the runner, run, s: the session, task}.
export async function late_log(t, server) {
	const agent = "custom:elsewhere";
	const r = await new Runner(await enrol({
	    address: `localhost:${server.ports.runner}`, agents: [agent],
	    token: await server.runner_token() })).connect();
	t.after(() => r.close());
	let run;
	r.on_task = (it) => {
		run = it;
		return new Promise(() => {});
	};
	const s = await server.session({ agent });
	const task = await server.task(s, "go");

	await server.running(task);
	run.log("1", "2", "3");
	await run.logged();
	run.complete({ result: "done", log_last: 5 });
	await server.suspend(s, 0);
	await r.next("detach_session");
	return { r, run, s, task };
}
