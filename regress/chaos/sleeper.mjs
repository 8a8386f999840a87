// A session that sleeps, and one task that wakes it just when sessiond is dead;
// no later one reminds anybody of it.  What is asked and told is in the books.

import fs from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { until } from "../lib/wait.mjs";
import { Books, Will } from "./points_will.mjs";

const SLEEPERS = 2;			// runners that the fleet leaves free
const ENDED = ["completed", "failed", "canceled"];
const SCRIPT = "lines=2 bytes=80";

const say = (w, path, body) => new Will(w.server.api, new Books())
    .say("POST", path, body, [201]);

const book = (w, ...words) => fs.appendFileSync(w.book,
    `${process.hrtime.bigint()} ${words.join(" ")}\n`);

async function sleeper(w, random) {
	w.sleepers ??= [];
	if (w.sleepers.length === SLEEPERS)
		return random.of(w.sleepers);
	const r = await say(w, "/api/v1/sessions", { agent: "custom:fleet" });
	w.sleepers.push({ id: r.json.id, tasks: [] });
	return w.sleepers.at(-1);
}

export async function wake(w, random, kill) {
	const s = await sleeper(w, random);
	const at = `/api/v1/sessions/${s.id}`;
	const mark = `sleeper-${w.sleepers.indexOf(s)}.${s.tasks.length}`;

	await until("it to be awake", async () => (await w.server
	    .get_session(s)).status === "active", 10000);
	await w.server.suspend(s, 10);
	kill();
	book(w, "post", s.id, mark, SCRIPT);
	const r = await say(w, "/api/v1/tasks", { session_id: s.id,
	    prompt: `fleet ${mark} ${SCRIPT}` });
	book(w, "answer", mark, r.status, r.json?.id ?? "-");
	if (r.status === 201)
		s.tasks.push(r.json);
	return `${at} ${r.status}`;
}

// Its tasks have ended, or had the time for it: the books will tell.
export function asleep(w) {
	const tasks = (w.sleepers ?? []).flatMap((s) => s.tasks);

	return until("their end", async () => {
		for (const t of tasks)
			if (!ENDED.includes((await w.server.get_task(t)).status))
				return false;
		return true;
	}, 20000, 200).catch(() => {});
}
