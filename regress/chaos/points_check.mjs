// What was written down while processes died, against what the server says when
// it has become quiet: what was acknowledged is there, and there once.

import { setTimeout as pause } from "node:timers/promises";
import { EVENT_TYPES, follow_sse } from "../lib/follow.mjs";
import { explain } from "./books.mjs";
import { database } from "./database.mjs";
import { circles_compare, listed } from "./points_book.mjs";

const ENDED = ["completed", "failed", "canceled"];
const LISTS = { key: "/admin/api/v1/keys", token: "/admin/api/v1/runner-tokens",
    config: "/admin/api/v1/agent-configs", session: "/api/v1/sessions",
    task: "/api/v1/tasks" };
const LINES = ["one", "two", "three"];
const QUIET_MS = 3000;			// and no event
const QUIET_MAX_MS = 120000;

export const follow = (server, after) => follow_sse(`${server.url}/api/v1/` +
    `events${after ? `?after=${after}` : ""}`, { token: server.api.o.token,
	types: EVENT_TYPES });

const ENDS = "every task ends";
const LINE = "every line is there once, in order";
const RUN = "no run is executed twice";
const EPOCH = "an epoch is one session on one runner";
const EVENT = "no event is missed, none comes twice";

// The lines of its last attempt, if it wrote some and was let finish.
async function lines(server, books, task) {
	const all = await server.lines(task);
	const last = all.filter((l) => l.run_id === all.at(-1).run_id)
	    .map((l) => l.content);

	if (last.length > LINES.length || last.join() !== LINES.join())
		books.is_wrong(LINE, `task ${task.id}: they are ${last}`);
}

async function tasks(server, books, items) {
	for (const t of items.filter((i) => books.made.get("task").has(i.id))) {
		for (let n = 0; !ENDED.includes(t.status); n++) {
			if (n === 60) {
				books.is_wrong(ENDS, `task ${t.id} is ` +
				    `${t.status}, waits for ${t.waiting_for}`);
				break;
			}
			await pause(1000);
			Object.assign(t, await server.get_task(t));
		}
		if (t.status === "completed" && /\blines\b/.test(t.prompt))
			await lines(server, books, t);
	}
}

// Says each that is there more than once, and returns them.
function doubles(books, invariant, all) {
	const n = new Map(), found = [];

	for (const x of all)
		n.set(x, (n.get(x) ?? 0) + 1);
	for (const [x, times] of n)
		if (times > 1) {
			books.is_wrong(invariant, `${x}: ${times} times`);
			found.push(x);
		}
	return found;
}

// Both have the same last event, and for a while none comes.
async function at_the_end(follower, fresh) {
	const end = Date.now() + QUIET_MAX_MS;
	let had = -1, since = 0;

	while (Date.now() < end) {
		const n = follower.items.length + fresh.items.length;
		if (n !== had || fresh.items.at(-1)?.id !==
		    follower.items.at(-1).id)
			since = Date.now();
		else if (Date.now() - since > QUIET_MS)
			return true;
		had = n;
		await pause(100);
	}
	return false;
}

// {kind: ids}: what is in the lists.
export async function there(server) {
	const out = new Map();

	for (const [kind, list] of Object.entries(LISTS))
		out.set(kind, new Set((await server.local.all(`${list}?limit=500`))
		    .map((i) => i.id)));
	return out;
}

// As the fleet's books are compared.
async function compared(server, books, follower) {
	const db = await database(server);
	const found = circles_compare(books.book, db, follower.items);

	console.log(`# the circles: ${db.tasks.length} tasks, ` +
	    `${db.runs.length} runs, ${books.book.decided.length} answers, ` +
	    `${books.book.complete.length} ends`);
	explain({ all: [] }, db, found);
	for (const f of found)
		books.is_wrong(f.claim, f.text);
}

// What a follower saw across all deaths is what another sees now, in order.
async function events(server, books, follower) {
	if (follower.items.length === 0) {
		books.is_wrong(EVENT, "the follower has none");
		return;
	}
	const fresh = follow(server, follower.items[0].id);
	if (!await at_the_end(follower, fresh))
		books.is_wrong(EVENT, "the follower ends with " +
		    `${JSON.stringify(follower.items.at(-1))}, another with ` +
		    JSON.stringify(fresh.items.at(-1)));
	const seen = [...follower.items], now = [seen[0], ...fresh.items];
	follower.close();
	fresh.close();
	const at = Array.from({ length: Math.max(seen.length, now.length) })
	    .findIndex((_, i) => seen[i]?.id !== now[i]?.id);
	if (at !== -1)
		books.is_wrong(EVENT, `${at} of ${seen.length}: the follower ` +
		    `has ${JSON.stringify(seen[at])}, there is ` +
		    JSON.stringify(now[at]));
	doubles(books, EVENT, seen.map((i) => i.id));
	// An attempt begins once and ends once.
	doubles(books, EVENT, seen.filter((i) => i.type.startsWith("run."))
	    .map((i) => `${i.type} of ${i.data.resource.id}`));
	console.log(`# ${seen.length} events followed; asked ` +
	    `${follower.requests.length} times, at last answered ` +
	    `${follower.requests.at(-1).status}`);
}

export async function check(server, books, load, follower) {
	for (const [kind, list] of Object.entries(LISTS)) {
		const items = await server.local.all(`${list}?limit=500`);
		listed(books, kind, items, load.there.get(kind));
		console.log(`# ${books.made.get(kind)?.size ?? 0} ${kind}s made`);
		if (kind === "task")
			await tasks(server, books, items);
	}
	doubles(books, RUN, load.list.flatMap((r) => [...r.executed]
	    .flatMap(([id, n]) => Array(n).fill(id))));
	for (const twice of doubles(books, EPOCH, load.list.flatMap((r) =>
	    [...r.attached])))
		for (const line of load.list.flatMap((r) => r.told)
		    .filter((l) => l.includes(twice.split(" ")[0])).sort())
			console.log(`#     ${line}`);
	await events(server, books, follower);
	await compared(server, books, follower);
}
