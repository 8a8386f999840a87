// The books of the circles: of good ones there is nothing to say, and what is done
// to a list, a permission, a result or an event is seen.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Book, circles_compare, listed, prompt } from "./points_book.mjs";

// A task whose question was answered while its session slept; another was canceled,
// tried again and canceled.
function world() {
	const book = new Book();
	const say = (runner, type, body) => book.said(runner, type, body);

	book.made("task_1", prompt("p1-1", "ask lines"));
	book.made("task_2", prompt("p1-2", "never"));
	book.retried.add("task_2");
	book.heard("rnr_1", { type: "attach_session", session_id: "sess_1",
	    epoch: 1 });
	book.add("execute", { runner: "rnr_1", run: "run_1", epoch: 1 });
	say("rnr_1", "permission_request", { run_id: "run_1", request_id: "q" });
	book.decision("perm_1", "approve", 200);
	book.heard("rnr_1", { type: "attach_session", session_id: "sess_1",
	    epoch: 2 });
	book.add("execute", { runner: "rnr_1", run: "run_2", epoch: 2 });
	say("rnr_1", "permission_request", { run_id: "run_2", request_id: "q" });
	book.heard("rnr_1", { type: "permission_answer", run_id: "run_2",
	    request_id: "q", permission_id: "perm_2", approved: true,
	    reason: "because-perm_1" });
	say("rnr_1", "run_completed", { run_id: "run_2", status: "completed",
	    log_last: 3, result: "done run_2" });
	book.add("acked", { run: "run_2" });

	const events = [["session.created", "sess_1"],
	    ["session.active", "sess_1"], ["task.created", "task_1"],
	    ["run.started", "run_1"], ["permission.requested", "perm_1"],
	    ["session.suspended", "sess_1"], ["run.ended", "run_1"],
	    ["permission.approved", "perm_1"], ["session.active", "sess_1"],
	    ["run.started", "run_2"], ["permission.requested", "perm_2"],
	    ["permission.approved", "perm_2"],
	    ["permission.delivered", "perm_2"], ["run.ended", "run_2"],
	    ["task.completed", "task_1"], ["task.created", "task_2"],
	    ["task.canceled", "task_2"], ["task.canceled", "task_2"]];
	const permission = { run_id: "run_1", request: "q", status: "approved" };
	const run = { id: "run_1", task_id: "task_1", attempt: 1,
	    status: "suspended", runner_id: "rnr_1", epoch: 1 };
	const task = { id: "task_1", status: "completed", attempt: 2,
	    run_id: "run_2", result: "done run_2", mark: "p1-1" };

	return { book, items: events.map(([type, id], i) => ({ type, id: `${i}`,
	    data: { resource: { id } } })), db: {
		tasks: [task, { ...task, id: "task_2", status: "canceled",
		    run_id: null, result: null, mark: "p1-2" }],
		runs: [run, { ...run, id: "run_2", attempt: 2,
		    status: "completed", epoch: 2 }],
		permissions: [{ ...permission, id: "perm_1" },
		    { ...permission, id: "perm_2", run_id: "run_2" }],
		events: events.map(([type, resource_id]) => ({ type,
		    resource_id })),
		sessions: [{ id: "sess_1", epoch: 2 }]
	} };
}

const HARMS = [
	["nothing", []],
	["another answer is stored", ["answer-lost"], ({ db }) => {
		db.permissions[0].status = "denied";
		db.events[7].type = "permission.denied";
	}, ({ items }) => { items[7].type = "permission.denied"; }],
	["the agent hears another", ["answer-invented"], ({ book }) => {
		book.told[0].verdict = "denied";
	}],
	["nobody hears it, and no attempt was given up", ["answer-lost"],
	    ({ book, db }) => {
		book.told.length = 0;
		db.runs[0].status = "failed";
	}],
	["a question is there twice", ["event-lost", "question-twice"],
	    ({ db }) => {
		db.permissions.push({ ...db.permissions[1], id: "perm_3" });
	}],
	["a result is another", ["result-lost"], ({ db }) => {
		db.tasks[0].result = "done run_1";
	}],
	["a result that nobody has", ["result-invented"], ({ book }) => {
		book.complete.length = book.acked.length = 0;
	}],
	["a task is there twice", ["event-lost", "task-doubled"], ({ db }) => {
		db.tasks.push({ ...db.tasks[0], id: "task_3" });
	}],
	["the follower misses one", ["event-lost"], ({ items }) => {
		items.splice(9, 1);
	}],
	["no server tells of one", ["event-lost"], ({ db, items }) => {
		db.events.splice(13, 1);
		items.splice(13, 1);
	}],
	["an end is told twice", ["event-twice"], ({ db, items }) => {
		db.events.push({ type: "task.completed", resource_id: "task_1" });
		items.push({ type: "task.completed", id: "18",
		    data: { resource: { id: "task_1" } } });
	}]
];

for (const [what, claims, ...harms] of HARMS)
	test(`${what}: ${claims}`, () => {
		const w = world();

		harms.forEach((harm) => harm(w));
		assert.deepEqual([...new Set(circles_compare(w.book, w.db,
		    w.items).map((f) => f.claim))].sort(), claims);
	});

test("an answer to a question that was taken back need not be heard", () => {
	const w = world();

	w.book.told.length = 0;
	w.book.said("rnr_1", "permission_canceled", { run_id: "run_1",
	    request_id: "q" });
	w.db.runs[0].status = "completed";
	w.book.said("rnr_1", "run_completed", { run_id: "run_1",
	    status: "completed", log_last: 0, result: "done run_1" });
	w.db.runs[1].status = "lost";
	assert.deepEqual(circles_compare(w.book, w.db, w.items)
	    .filter((f) => f.claim === "answer-lost"), []);
});

// What listed() finds wrong of sessions s1 and s2 that were made, and s0 before.
function sessions(...items) {
	const wrong = [];
	const made = new Map([["s1", "a"], ["s2", "b"]]);

	listed({ made: new Map([["session", made]]),
	    is_wrong: (claim) => wrong.push(claim) }, "session", items,
	    new Set(["s0"]));
	return wrong;
}

const item = (id, name) => ({ id, name });
const TWICE = "nothing is made twice";

test("what was acknowledged and what was there is all", () => {
	assert.deepEqual(sessions(item("s0", "x"), item("s1", "a"),
	    item("s2", "renamed")), []);
	assert.deepEqual(sessions(item("s2", "b")), []);
});

test("made twice, and both have the name", () => {
	assert.ok(sessions(item("s1", "a"), item("s9", "a")).includes(TWICE));
});

test("made twice, and the one that was told is renamed", () => {
	assert.deepEqual(sessions(item("s1", "renamed"), item("s9", "a")),
	    [TWICE]);
});

test("made twice, and the one that was told is deleted", () => {
	assert.deepEqual(sessions(item("s9", "a")), [TWICE]);
});
