// The comparison itself: of books in which all is well it finds nothing, and each
// of its claims breaks when the one thing that it is there for is done to them.

import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { test } from "node:test";
import { read_book } from "./books.mjs";
import { compare } from "./compare.mjs";

// A task that asked and was answered, lost its runner, and was done by a second
// attempt; two followers.
const BOOK = `
begin f 2 1
session sess_1
attach rnr_1 sess_1 1
post sess_1 f-0 lines=2 ask=1
answer f-0 201 task_1
execute rnr_1 task_1 run_1 1 1 f-0
lines rnr_1 run_1 2
logack rnr_1 run_1 1
ask rnr_1 run_1 ask-1 f-0
detach rnr_1 sess_1 1
complete rnr_1 run_1 suspended 2 f-0/run_1
acked rnr_1 run_1
decide perm_1 approve because-perm_1
decided perm_1 200
attach rnr_2 sess_1 2
execute rnr_2 task_1 run_2 2 2 f-0
lines rnr_2 run_2 2
logack rnr_2 run_2 2
ask rnr_2 run_2 ask-1 f-0
told rnr_2 run_2 ask-1 perm_2 approved because-perm_1
complete rnr_2 run_2 completed 2 f-0/run_2
acked rnr_2 run_2
replace rnr_2 sess_1 2
attach rnr_2 sess_2 1
`.trim().split("\n");

const EVENTS = [["session.created", "sess_1"], ["session.created", "sess_2"],
    ["session.active", "sess_1"], ["task.created", "task_1"],
    ["run.started", "run_1"], ["task.running", "task_1"],
    ["permission.requested", "perm_1"], ["session.suspended", "sess_1"],
    ["run.ended", "run_1"], ["permission.approved", "perm_1"],
    ["session.active", "sess_1"], ["run.started", "run_2"],
    ["task.running", "task_1"], ["permission.requested", "perm_2"],
    ["permission.approved", "perm_2"], ["permission.delivered", "perm_2"],
    ["run.ended", "run_2"], ["task.completed", "task_1"],
    ["session.suspended", "sess_1"], ["session.active", "sess_2"]];

const FIRST = EVENTS.findIndex(([type]) => type === "task.created");
const rows = (...numbers) => numbers.map((n) => JSON.stringify({ content:
    `f-0 0000000${n} 00 abc` })).join("\n") + "\n";
const database = () => ({
	tasks: [{ id: "task_1", status: "completed", attempt: 2,
	    run_id: "run_2", result: "done f-0 run_2", waiting_for: null,
	    mark: "f-0" }],
	runs: [{ id: "run_1", task_id: "task_1", attempt: 1,
	    status: "lost", runner_id: "rnr_1", epoch: 1 },
	{ id: "run_2", task_id: "task_1", attempt: 2, status: "completed",
	    runner_id: "rnr_2", epoch: 2 }],
	log: [{ task_id: "task_1", attempt: 1, first: 1, lines: rows(1, 2) },
	    { task_id: "task_1", attempt: 2, first: 1, lines: rows(1) },
	    { task_id: "task_1", attempt: 2, first: 2, lines: rows(2) }],
	permissions: [{ id: "perm_1", run_id: "run_1", request: "ask-1",
	    status: "approved" }, { id: "perm_2", run_id: "run_2",
	    request: "ask-1", status: "approved" }],
	events: EVENTS.map(([type, resource_id]) => ({ type, resource_id })),
	sessions: [{ id: "sess_1", epoch: 2 }, { id: "sess_2", epoch: 1 }]
});

const dir = fs.mkdtempSync(path.join(os.tmpdir(), "mn-compare-"));
process.on("exit", () => fs.rmSync(dir, { recursive: true }));

// The claims that break when this was done to books and database.
async function broken(harm) {
	const seen = EVENTS.slice(FIRST).flatMap(([type, resource], i) =>
	    [0, 1].map((f) => `event ${f} p${i} ${type} ${resource} -`));
	const lines = [...BOOK, ...seen, "end 0"];
	const db = database();
	const book = {
		lines,
		// from: the beginning of the line that is `to' instead.
		put(from, ...to) {
			const at = lines.findIndex((l) => l.startsWith(from));
			assert.notEqual(at, -1, from);
			lines.splice(at, 1, ...to);
		},
		add: (...more) => lines.splice(-1, 0, ...more)
	};
	const file = path.join(dir, "book");

	harm?.(book, db);
	fs.writeFileSync(file, lines.map((l, i) => `${i} ${l}\n`).join(""));
	return [...new Set(compare(await read_book(file), db)
	    .map((f) => f.claim))].sort();
}

const event = (db, type, id) => db.events.findIndex((e) => e.type === type &&
    e.resource_id === id);

// Another task, of this mark.
function more_of_it(db, mark, status = "completed") {
	db.tasks.push({ ...db.tasks[0], id: "task_2", mark, status });
	for (const what of ["created", status].filter((s) => s !== "pending"))
		db.events.push({ type: `task.${what}`, resource_id: "task_2" });
}

// What is done, and the claims that it breaks.
const HARMS = [
	["a task is gone", ["task-lost"], (book, db) => {
		book.add("post sess_1 f-1", "answer f-1 201 task_2");
	}],
	["a task is there twice", ["task-doubled"], (book, db) => {
		more_of_it(db, "f-0");
	}],
	["a task that was refused", ["task-invented"], (book) => {
		book.put("answer", "answer f-0 409 -");
	}],
	["a task that nobody posted", ["task-invented"], (book, db) => {
		more_of_it(db, "x");
	}],
	["a task that does not end", ["task-unended"], (book, db) => {
		more_of_it(db, "f-1", "pending");
		book.add("post sess_1 f-1", "answer f-1 201 task_2");
	}],
	["a run is begun twice", ["run-twice"], (book) => {
		book.add("execute rnr_2 task_1 run_2 2 2 f-0");
	}],
	["a run ends in two ways", ["run-twice"], (book) => {
		book.add("complete rnr_2 run_2 completed 3 f-0/run_2");
	}],
	["two runs do one task", ["run-twice"], (book, db) => {
		db.runs.push({ ...db.runs[1], id: "run_3", attempt: 3 });
		db.log.push({ ...db.log[0], attempt: 3 });
		db.events.push({ type: "run.ended", resource_id: "run_3" });
		book.add("execute rnr_2 task_1 run_3 3 2 f-0",
		    "complete rnr_2 run_3 completed 2 f-0/run_3");
	}],
	["a run that was begun is gone", ["run-lost"], (book, db) => {
		book.add("execute rnr_2 task_1 run_3 3 2 f-0");
	}],
	["an end that was acknowledged is another", ["result-lost"],
	    (book, db) => {
		db.runs[0].status = "canceled";
	}],
	["a result is another", ["result-lost"], (book, db) => {
		db.tasks[0].result = "done f-0 run_1";
	}],
	["a task forgets the run that did it", ["result-lost"], (book, db) => {
		db.tasks[0].run_id = "run_1";
		db.tasks[0].result = "done f-0 run_1";
	}],
	["a task failed that was done", ["result-lost"], (book, db) => {
		db.tasks[0].status = "failed";
		db.events[event(db, "task.completed", "task_1")].type =
		    "task.failed";
		for (const f of [0, 1])
			book.put(`event ${f} p14`,
			    `event ${f} p14 task.failed task_1 -`);
	}],
	["a result that no agent has", ["result-invented"], (book) => {
		book.put("complete rnr_2", "kill rnr_2 run_2 x");
		book.put("acked rnr_2", "kill rnr_2 run_2 x");
	}],
	["a line is gone", ["line-lost"], (book, db) => {
		db.log.pop();
	}],
	["a batch in the middle is gone", ["line-lost"], (book, db) => {
		db.log.splice(1, 1);
	}],
	["a line is there again", ["line-twice"], (book, db) => {
		db.log.push({ ...db.log[2] });
	}],
	["a line says something else", ["line-changed"], (book, db) => {
		db.log[1].lines = rows(7);
	}],
	["an answer is not what was taken", ["answer-lost"], (book, db) => {
		db.permissions[0].status = "pending";
	}],
	["nobody heard an answer", ["answer-lost"], (book, db) => {
		db.permissions[1].request = "ask-2";
		book.put("told", "told rnr_2 run_2 ask-2 perm_2 approved " +
		    "because-perm_2");
		book.put("ask rnr_2", "ask rnr_2 run_2 ask-2 f-0",
		    "decide perm_2 approve because-perm_2");
		db.runs[0].status = "failed";
		book.put("complete rnr_1",
		    "complete rnr_1 run_1 failed 2 f-0/run_1");
	}],
	["asked again, though it was answered", ["answer-lost"], (book) => {
		book.put("told", "told rnr_2 run_2 ask-1 perm_2 approved " +
		    "because-perm_2");
		book.add("decide perm_2 approve because-perm_2");
	}],
	["heard is what nobody said", ["answer-invented"], (book) => {
		book.put("told", "told rnr_2 run_2 ask-1 perm_2 denied " +
		    "because-perm_1");
	}],
	["heard is what was said of another", ["answer-invented"],
	    (book, db) => {
		db.permissions[0].request = "ask-2";
		book.put("ask rnr_1", "ask rnr_1 run_1 ask-2 f-0");
	}],
	["an answer that was refused", ["answer-invented"], (book) => {
		book.put("decided", "decided perm_1 409");
	}],
	["an answer refused, and the question waits", ["answer-lost"],
	    (book, db) => {
		db.permissions.push({ ...db.permissions[1], id: "perm_3",
		    request: "ask-2", status: "pending" });
		db.events.push({ type: "permission.requested",
		    resource_id: "perm_3" });
		book.add("ask rnr_2 run_2 ask-2 f-0",
		    "decide perm_3 deny because-perm_3", "decided perm_3 409");
	}],
	["a question is there twice", ["question-twice"], (book, db) => {
		db.permissions.push({ ...db.permissions[1], id: "perm_3" });
		db.events.push(...["requested", "approved"].map((what) =>
		    ({ type: `permission.${what}`, resource_id: "perm_3" })));
	}],
	["a question that nobody asked", ["question-twice"], (book, db) => {
		db.permissions.push({ ...db.permissions[1], id: "perm_3",
		    request: "ask-9" });
		db.events.push(...["requested", "approved"].map((what) =>
		    ({ type: `permission.${what}`, resource_id: "perm_3" })));
	}],
	["a follower misses an event", ["event-lost"], (book) => {
		book.lines.splice(book.lines.findIndex((l) =>
		    l.startsWith("event 1 p5 ")), 1);
	}],
	["a follower hears no more", ["event-lost"], (book) => {
		const at = book.lines.findIndex((l) =>
		    l.startsWith("event 1 p5 "));
		book.lines.splice(0, book.lines.length, ...book.lines.filter(
		    (l, i) => i < at || !l.startsWith("event 1 ")));
	}],
	["a follower has one twice", ["event-twice"], (book) => {
		book.add("event 0 p5 permission.requested perm_1 -");
	}],
	["an attempt begins twice", ["event-twice"], (book, db) => {
		db.events.push({ type: "run.started", resource_id: "run_2" });
	}],
	["a task's end is no event", ["event-lost"], (book, db) => {
		db.events.splice(event(db, "task.completed", "task_1"), 1);
		for (const f of [0, 1])
			book.lines.splice(book.lines.findIndex((l) =>
			    l.startsWith(`event ${f} p14 `)), 1);
	}],
	["a task's end is two events", ["event-lost", "event-twice"],
	    (book, db) => {
		db.events.push({ type: "task.completed",
		    resource_id: "task_1" });
	}],
	["an answer is no event", ["event-lost"], (book, db) => {
		db.permissions.push({ id: "perm_3", run_id: "run_2",
		    request: "ask-2", status: "denied" });
		book.add("ask rnr_2 run_2 ask-2 f-0");
		db.events.push({ type: "permission.requested",
		    resource_id: "perm_3" });
	}],
	["a session has an epoch again", ["epoch-again"], (book, db) => {
		db.sessions[1].epoch = 2;
	}],
	["two runners have a session", ["session-doubled"], (book) => {
		book.add("attach rnr_3 sess_1 2");
	}],
	["a run is elsewhere", ["session-doubled"], (book, db) => {
		db.runs[0].epoch = 2;
	}],
	["a runner has two sessions", ["runner-doubled"], (book, db) => {
		db.events.splice(event(db, "session.suspended", "sess_1"), 1);
		db.events.splice(db.events.findLastIndex((e) => e.type ===
		    "session.suspended"), 1);
		for (const f of [0, 1]) {
			book.lines.splice(book.lines.findIndex((l) =>
			    l.startsWith(`event ${f} p4 `)), 1);
			book.lines.splice(book.lines.findIndex((l) =>
			    l.startsWith(`event ${f} p15 `)), 1);
		}
	}],
	["the fleet saw what must not be", ["fleet"], (book) => {
		book.put("end", "wrong a gap", "end 1");
	}],
	["the fleet counted more than it says", ["fleet"], (book) => {
		book.put("end", "end 1");
	}],
	["the fleet gave up", ["fleet"], (book) => {
		book.put("end", "wrong x");
	}]
];

test("of good books there is nothing to say", async () => {
	assert.deepEqual(await broken(), []);
});

// Denied where an earlier attempt's answer was kept, or canceled: a fair no.
for (const [what, status, verdict] of [["has another answer", "approved",
    "deny"], ["is canceled", "canceled", "approve"]])
	test(`of a refusal there is nothing to say when it ${what}`, async () => {
		assert.deepEqual(await broken((book, db) => {
			book.add(`decide perm_2 ${verdict} because-perm_2`,
			    "decided perm_2 409");
			if (status !== "canceled")
				return;
			book.put("told", "again rnr_2 run_2");
			db.permissions[1].status = status;
			db.events[event(db, "permission.approved",
			    "perm_2")].type = "permission.canceled";
			for (const f of [0, 1])
				book.put(`event ${f} p11`, `event ${f} p11 ` +
				    "permission.canceled perm_2 -");
		}), []);
	});

for (const [what, claims, harm] of HARMS)
	test(`${what}: ${claims}`, async () => {
		assert.deepEqual(await broken(harm), claims);
	});

test("each claim is broken by something", () => {
	const source = fs.readFileSync(new URL("compare.mjs", import.meta.url),
	    "utf8");
	const kinds = "task|run|result|line|answer|question|event|epoch|" +
	    "session|runner";
	const claims = new Set(source.match(new RegExp(
	    `(?<=")(fleet|(${kinds})-[a-z]+)(?=")`, "g")));
	const done = new Set(HARMS.flatMap(([, list]) => list));

	assert.deepEqual([...claims].filter((c) => !done.has(c)), []);
	assert.ok(claims.size > 15);
});
