// What was written down while processes died, against what the server says when
// it has become quiet: what was acknowledged is there, and there once.

import { setTimeout as pause } from "node:timers/promises";
import { follow_sse } from "../lib/follow.mjs";

const ENDED = ["completed", "failed", "canceled"];
const LISTS = { key: "/admin/api/v1/keys", token: "/admin/api/v1/runner-tokens",
    config: "/admin/api/v1/agent-configs", session: "/api/v1/sessions",
    task: "/api/v1/tasks" };
const LINES = ["one", "two", "three"];
const EVENT_TYPES = ["session.created", "session.pending", "session.active",
    "session.suspended", "session.resuming", "session.terminated",
    "session.credential_required", "task.created", "task.running",
    "task.progress", "task.waiting", "task.completed", "task.failed",
    "task.canceled", "run.started", "run.ended", "permission.requested",
    "permission.approved", "permission.denied", "permission.delivered",
    "permission.canceled", "runner.online", "runner.offline",
    "runner.tainted"];

export const follow = (server, after) => follow_sse(`${server.url}/api/v1/` +
    `events${after ? `?after=${after}` : ""}`, { token: server.api.o.token,
	types: EVENT_TYPES });

// Every name that we gave is there once, every id that we were told too.
async function once(server, books, kind) {
	const items = await server.local.all(`${LISTS[kind]}?limit=500`);
	const ids = new Set(items.map((i) => i.id));
	const names = new Map();

	for (const i of items)
		names.set(i.name, (names.get(i.name) ?? 0) + 1);
	for (const [id, name] of books.made.get(kind) ?? []) {
		// A session or configuration that was deleted leaves its list.
		if (!ids.has(id) && (kind === "task" || kind === "key" ||
		    kind === "token"))
			books.is_wrong(`${kind} ${id} was acknowledged and is ` +
			    "not there");
		if (kind !== "task" && name !== "enrol" && names.get(name) > 1)
			books.is_wrong(`${kind} ${name} is there ` +
			    `${names.get(name)} times`);
	}
	return items;
}

// The lines of its last attempt, if it wrote some and was let finish.
async function lines(server, books, task) {
	const all = await server.lines(task);
	const last = all.filter((l) => l.run_id === all.at(-1).run_id)
	    .map((l) => l.content);

	if (last.length > LINES.length || last.join() !== LINES.join())
		books.is_wrong(`task ${task.id}: its lines are ${last}`);
}

async function tasks(server, books, items) {
	for (const t of items.filter((i) => books.made.get("task").has(i.id))) {
		for (let n = 0; !ENDED.includes(t.status); n++) {
			if (n === 60) {
				books.is_wrong(`task ${t.id} does not end: it ` +
				    `is ${t.status}, waits for ` +
				    `${t.waiting_for}`);
				break;
			}
			await pause(1000);
			Object.assign(t, await server.get_task(t));
		}
		if (t.status === "completed" && /\blines\b/.test(t.prompt))
			await lines(server, books, t);
	}
}

// Each run was begun once, by one runner.
function runs(books, runners) {
	const begun = new Map();

	for (const r of runners)
		for (const [id, n] of r.executed)
			begun.set(id, (begun.get(id) ?? 0) + n);
	for (const [id, n] of begun)
		if (n > 1)
			books.is_wrong(`run ${id} was executed ${n} times`);
}

// What a follower saw across all deaths is what another sees now, in order.
async function events(server, books, follower) {
	const seen = follower.items.map((i) => i.id);
	const fresh = follow(server, seen[0]);

	follower.close();
	for (let n = 0; n < 600 && fresh.items.at(-1)?.id !== seen.at(-1); n++)
		await pause(100);
	fresh.close();
	const now = [seen[0], ...fresh.items.map((i) => i.id)]
	    .slice(0, seen.length);
	const at = seen.findIndex((id, i) => id !== now[i]);
	if (at !== -1)
		books.is_wrong(`event ${at} of ${seen.length}: the follower ` +
		    `has ${JSON.stringify(follower.items[at])}, there is ` +
		    JSON.stringify(fresh.items[at - 1]));
	const ends = follower.items.filter((i) =>
	    /^task\.(completed|failed|canceled)$/.test(i.type))
	    .map((i) => `${i.type} ${i.data.resource_id ?? i.data.task_id}`);
	console.log(`# ${seen.length} events followed, ${ends.length} ends`);
}

export async function check(server, books, load, follower) {
	for (const kind of Object.keys(LISTS)) {
		const items = await once(server, books, kind);
		console.log(`# ${books.made.get(kind)?.size ?? 0} ${kind}s made`);
		if (kind === "task")
			await tasks(server, books, items);
	}
	runs(books, load.list);
	await events(server, books, follower);
}
