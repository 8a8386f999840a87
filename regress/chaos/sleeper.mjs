// A session that sleeps, and one task that wakes it just when sessiond is dead;
// no later one reminds anybody of it.  What is asked and told is in the books.

import fs from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { until } from "../lib/wait.mjs";

const SLEEPERS = 2;			// runners that the fleet leaves free
const ENDED = ["completed", "failed", "canceled"];
const SCRIPT = "lines=2 bytes=80";

const AGAIN = [0, 429, 503, 504];

// A POST that is said until it is answered for good.
async function post(w, path, body, key) {
	for (const end = Date.now() + 60000;; await pause(20)) {
		const r = await w.server.api.post(path, body,
		    { "idempotency-key": key }).catch(() => ({ status: 0 }));
		if (!AGAIN.includes(r.status) || Date.now() > end)
			return r;
	}
}

const book = (w, ...words) => fs.appendFileSync(w.book,
    `${process.hrtime.bigint()} ${words.join(" ")}\n`);

async function sleeper(w, random) {
	w.sleepers ??= [];
	if (w.sleepers.length === SLEEPERS)
		return random.of(w.sleepers);
	const r = await post(w, "/api/v1/sessions", { agent: "custom:fleet" },
	    `sleeper-${w.sleepers.length}`);
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
	const r = await post(w, "/api/v1/tasks", { session_id: s.id,
	    prompt: `fleet ${mark} ${SCRIPT}` }, mark);
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
