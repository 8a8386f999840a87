// The books of the circles and of their runners, of the same shape as those of the
// fleet (books.mjs), so that compare.mjs has the same to say of them; and what is
// in the server's lists against what was acknowledged.

import { CIRCLES, compare } from "./compare.mjs";

const EXISTS = "what was acknowledged exists";
const ONCE = "nothing is made twice";
const KINDS = ["post", "answer", "execute", "complete", "acked", "attach", "ask",
    "withdraw", "decide", "decided", "told"];

// The mark is the second word, as in the fleet's prompts.
export const prompt = (mark, words) => `points ${mark} ${words}`;

export class Book {
	constructor() {
		this.all = [];
		this.retried = new Set();	// tasks: they may end again
		for (const kind of KINDS)
			this[kind] = [];
	}

	add(kind, fields) {
		this[kind].push(fields);
	}

	// A task that was acknowledged.
	made(task, text) {
		const mark = text.split(" ")[1];

		this.add("post", { mark });
		this.add("answer", { mark, status: "201", task });
	}

	// verdict: approve or deny; status: of the answer.
	decision(permission, verdict, status) {
		this.add("decide", { permission, verdict });
		this.add("decided", { permission, status: String(status) });
	}

	// What a runner says, numbered.
	said(runner, type, m) {
		const run = m.run_id;

		if (type === "permission_request")
			this.add("ask", { runner, run, request: m.request_id });
		else if (type === "permission_canceled")
			this.add("withdraw", { run, request: m.request_id });
		else if (type === "run_completed")
			this.add("complete", { runner, run, status: m.status,
			    lines: m.log_last,
			    result: m.result.replace(/^done /, "") });
	}

	// What it is told.
	heard(runner, c) {
		if (c.type === "attach_session")
			this.add("attach", { runner, session: c.session_id,
			    epoch: c.epoch });
		else if (c.type === "permission_answer")
			this.add("told", { runner, run: c.run_id,
			    request: c.request_id, permission: c.permission_id,
			    verdict: c.approved ? "approved" : "denied",
			    reason: c.reason });
	}
}

const TASK_END = /^task\.(completed|failed|canceled)$/;

// items: what a follower had.  A task that was tried again ends again.
export function circles_compare(book, db, items) {
	const marks = book.answer.map((a) => a.mark.split("-")[0]);

	return compare({ ...book, begin: [{ process: marks[0] }],
	    event: items.map((i) => ({ follower: "0", position: i.id,
	    type: i.type, resource: i.data.resource.id })) }, { ...db,
	    again: (e) => TASK_END.test(e.type) &&
	    book.retried.has(e.resource_id) }, CIRCLES);
}

// Every name that was given is there once, every id that was told too, and no other:
// of what was made twice, one may have another name by now, or be deleted.
// there: ids that were in the list before anything was made.
export function listed(books, kind, items, there) {
	const made = books.made.get(kind) ?? new Map();
	const ids = new Set(items.map((i) => i.id));
	const names = new Map();

	for (const i of items) {
		const name = i.name ?? i.prompt;
		names.set(name, (names.get(name) ?? 0) + 1);
		if (!made.has(i.id) && !there.has(i.id))
			books.is_wrong(ONCE, `${kind} ${i.id} (${name}) is ` +
			    "there, and nobody was told of it");
	}
	for (const [id, name] of made) {
		// A session or configuration that was deleted leaves its list.
		if (!ids.has(id) && kind !== "session" && kind !== "config")
			books.is_wrong(EXISTS, `${kind} ${id} is not there`);
		if (name !== "enrol" && names.get(name) > 1)
			books.is_wrong(ONCE, `${kind} ${name} is there ` +
			    `${names.get(name)} times`);
	}
}
