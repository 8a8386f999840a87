// What clients were told, what agents did and what the database says, side by
// side.  Each claim has a name; what breaks it is told in words.

import { index } from "./books.mjs";

const ENDED = ["completed", "failed", "canceled"];

class Findings {
	constructor() {
		this.list = [];
	}

	at(claim) {
		return (text) => this.list.push({ claim, text });
	}
}

// Every acknowledged task exists, once, ends, and nobody's was made up.
function tasks(book, db, wrong) {
	const by_id = new Map(db.tasks.map((t) => [t.id, t]));
	const by_mark = index(db.tasks, (t) => t.mark);
	const posted = new Set(book.post.map((p) => p.mark));

	for (const a of book.answer) {
		if (a.status === "201" && !by_id.has(a.task))
			wrong("task-lost")(`${a.task} (${a.mark})`);
		if (a.status !== "201" && by_mark.has(a.mark))
			wrong("task-invented")(`${a.mark}: refused with ` +
			    a.status);
	}
	for (const [mark, list] of by_mark) {
		if (list.length > 1)
			wrong("task-doubled")(`${mark}: ${list.length} times`);
		if (!posted.has(mark))
			wrong("task-invented")(`${list[0].id}: ${mark}`);
	}
	for (const t of db.tasks)
		if (!ENDED.includes(t.status))
			wrong("task-unended")(`${t.id} is ${t.status}, waiting ` +
			    `for ${t.waiting_for}`);
}

// A run is begun once, and its end is what the agent said, once.
function runs(book, db, wrong) {
	const by_id = new Map(db.runs.map((r) => [r.id, r]));
	const task_of = new Map(db.tasks.map((t) => [t.id, t]));
	const done = new Map(book.complete.map((c) => [c.run, c]));
	const worked = index(db.runs.filter((r) => r.status === "completed"),
	    (r) => r.task_id);

	for (const [run, list] of index(book.execute, (e) => e.run)) {
		if (list.length > 1)
			wrong("run-twice")(`${run}: ${list.length} times`);
		if (!by_id.has(run))
			wrong("run-lost")(`${run} was begun and is not there`);
	}
	// Asked again, after it has ended, an agent says the same again.
	for (const [run, list] of index(book.complete, (c) => c.run))
		if (new Set(list.map((c) => `${c.status} ${c.lines} ${c.result}`))
		    .size > 1)
			wrong("run-twice")(`${run} ended in more than one way`);
	for (const [task, list] of worked)
		if (list.length > 1)
			wrong("run-twice")(`${task} was done by ` +
			    list.map((r) => r.id).join(" and "));
	for (const { run } of book.acked) {
		const c = done.get(run), r = by_id.get(run);
		// Given up by the agent, and by the server before it heard so.
		if (c.status === "suspended" && r?.status === "lost")
			continue;
		if (r?.status !== c.status)
			wrong("result-lost")(`${run}: ${c.status} was ` +
			    `acknowledged, and it is ${r?.status}`);
		else if (c.status === "completed")
			result(task_of.get(r.task_id), run, result_of(c),
			    wrong);
	}
	for (const r of db.runs)
		if (r.status === "completed" && !done.has(r.id))
			wrong("result-invented")(r.id);
}

// Whose run has done it is done, and says what that run said.
function result(task, run, said, wrong) {
	if (task?.status !== "completed" || task.run_id !== run)
		wrong("result-lost")(`${task?.id} is ${task?.status} by ` +
		    `${task?.run_id}, and ${run} has done it`);
	else if (task.result !== said)
		wrong("result-lost")(`${run}: another result`);
}

// The book has MARK/RUN of `done MARK RUN'.
const result_of = (c) => `done ${c.result.replace("/", " ")}`;

// Every acknowledged line is there once, in order, and says what was written.
function lines(book, db, wrong) {
	const stored = index(db.log, (l) => `${l.task_id} ${l.attempt}`);
	const mark = new Map(book.execute.map((e) => [e.run, e.mark]));
	const acked = new Map(book.logack.map((l) => [l.run, Number(l.n)]));

	for (const r of db.runs) {
		const n = run_lines(r, stored.get(`${r.task_id} ${r.attempt}`) ??
		    [], mark.get(r.id), wrong);
		if (n < (acked.get(r.id) ?? 0))
			wrong("line-lost")(`${r.id}: ${acked.get(r.id)} were ` +
			    `acknowledged, ${n} are there`);
	}
}

// How many there are without a gap.
function run_lines(run, batches, mark, wrong) {
	let next = 1;

	for (const b of batches) {
		if (Number(b.first) !== next) {
			wrong(Number(b.first) < next ? "line-twice" :
			    "line-lost")(`${run.id}: ${b.first} where ${next} ` +
			    "was expected");
			break;
		}
		for (const text of b.lines.trimEnd().split("\n")) {
			const { content } = JSON.parse(text);
			const [m, n] = content.split(" ");
			if (m !== mark || Number(n) !== next)
				wrong("line-changed")(`${run.id}: line ${next} ` +
				    `is ${content}`);
			next++;
		}
	}
	return next - 1;
}

const GIVEN_UP = ["suspended", "lost", "canceled"];
const VERDICT = { approve: "approved", deny: "denied" };

// What an agent was told is what a person decided: of this question, or of the
// same one of an earlier attempt, whose answer nobody heard (promise 12).
function invented(t, decided, same, wrong) {
	const from = t.reason.replace(/^because-/, "");
	const verdict = VERDICT[decided.get(from)?.verdict];

	if (t.verdict !== verdict)
		wrong("answer-invented")(`${t.permission}: the agent heard ` +
		    `${t.verdict}, a person said ${verdict} of ${from}`);
	if (same.get(from) !== same.get(t.permission))
		wrong("answer-invented")(`${t.permission}: the agent heard ` +
		    `what a person said of another question, ${from}`);
}

// Nobody heard an answer: then its run ended first, and who asks the same again
// is told it.
function unheard(p, run, told, same, wrong) {
	if (!GIVEN_UP.includes(run?.status))
		wrong("answer-lost")(`${p.id}: ${p.status}, and the agent ` +
		    "never heard");
	for (const t of told)
		if (t.permission > p.id && same.get(t.permission) ===
		    same.get(p.id) && t.reason !== `because-${p.id}`)
			wrong("answer-lost")(`${p.id}: ${p.status}, nobody ` +
			    `heard, and ${t.permission} was asked again`);
}

// A no is for a question that is canceled, or that has the other answer, kept
// from an earlier attempt (promise 12): never for one that waits, or says what
// was refused.
function refused(permission, p, verdict, wrong) {
	if (p === undefined || p.status === "pending")
		wrong("answer-lost")(`${permission}: ${verdict} was refused, ` +
		    `it is ${p?.status}`);
	else if (p.status === verdict)
		wrong("answer-invented")(`${permission}: ${verdict} was ` +
		    "refused, and that is what it is");
}

// What was decided is what the agent was told, and nothing else is.
function permissions(book, db, wrong) {
	const by_id = new Map(db.permissions.map((p) => [p.id, p]));
	const run_of = new Map(db.runs.map((r) => [r.id, r]));
	// Of two attempts at a task a question is the same one.
	const same = new Map(db.permissions.map((p) => [p.id,
	    `${run_of.get(p.run_id)?.task_id} ${p.request}`]));
	const decided = new Map(book.decide.map((d) => [d.permission, d]));
	const told = index(book.told, (t) => t.permission);
	const stored = index(db.permissions, (p) => `${p.run_id} ${p.request}`);
	const withdrawn = new Set((book.withdraw ?? []).map((w) =>
	    `${w.run} ${w.request}`));

	for (const { permission, status } of book.decided) {
		const p = by_id.get(permission);
		const verdict = VERDICT[decided.get(permission).verdict];

		if (status !== "200")
			refused(permission, p, verdict, wrong);
		else if (p?.status !== verdict)
			wrong("answer-lost")(`${permission}: ${verdict} was ` +
			    `taken, it is ${p?.status}`);
		else if (!told.has(permission) &&
		    !withdrawn.has(`${p.run_id} ${p.request}`))
			unheard(p, run_of.get(p.run_id), book.told, same, wrong);
	}
	for (const t of book.told)
		invented(t, decided, same, wrong);
	const asked = index(book.ask, (a) => `${a.run} ${a.request}`);
	for (const [key, list] of stored)
		if (list.length > (asked.get(key)?.length ?? 0))
			wrong("question-twice")(key);
}

const event_name = (type, resource) => `${type} ${resource}`;

// Where the list agrees longest with what follows there in `all'.
function align(list, all) {
	let best = { at: -1, n: 0 };

	for (let at = 0; at < all.length; at++) {
		let n = 0;
		while (n < list.length && all[at + n] === list[n])
			n++;
		if (n > best.n)
			best = { at, n };
		if (n === list.length)
			break;
	}
	return best;
}

const TASK_END = /^task\.(completed|failed|canceled) /;

// Every follower has every event from its first on, once and in order, as far
// as the last end of a task that the fleet has posted, which it waits for.
function events(book, db, wrong) {
	const all = db.events.map((e) => event_name(e.type, e.resource_id));
	const ours = new Set(book.answer.filter((a) => a.mark.startsWith(
	    `${book.begin[0].process}-`)).map((a) => a.task));
	const last = all.findLastIndex((name) => TASK_END.test(name) &&
	    ours.has(name.split(" ")[1]));

	for (const [follower, list] of index(book.event, (e) => e.follower)) {
		const names = list.map((e) => event_name(e.type, e.resource));
		const { at, n } = align(names, all);
		if (new Set(list.map((e) => e.position)).size < list.length)
			wrong("event-twice")(`follower ${follower}`);
		else if (n < names.length)
			wrong("event-lost")(`follower ${follower}: ${names[n]} ` +
			    `after ${n} events, where ${all[at + n]} was ` +
			    "expected");
		else if (at + n <= last)
			wrong("event-lost")(`follower ${follower}: nothing ` +
			    `after ${n} events, where ${all[at + n]} was ` +
			    "expected");
	}
}

const ONCE = new RegExp("^((run|permission)\\.|session\\.(created|terminated)|" +
    "task\\.(created|completed|failed|canceled))");

// What the database says of each that it became, and when it began.
const became = (db) => [
	...db.tasks.flatMap((t) => [["task.created", t.id],
	    ENDED.includes(t.status) && [`task.${t.status}`, t.id]]),
	...db.runs.map((r) => !["pending", "assigned", "running"]
	    .includes(r.status) && ["run.ended", r.id]),
	...db.permissions.flatMap((p) => [["permission.requested", p.id],
	    p.status !== "pending" && [`permission.${p.status}`, p.id]]),
	...db.sessions.map((s) => ["session.created", s.id])
].filter(Boolean).map(([type, id]) => event_name(type, id));

// What happens once in a life is told once; each attachment has its epoch.
function lives(book, db, wrong) {
	const told = index(db.events, (e) => event_name(e.type, e.resource_id));

	for (const [name, list] of told)
		if (ONCE.test(name) && list.length > 1 && !db.again?.(list[0]))
			wrong("event-twice")(`${name}: ${list.length} times`);
	for (const name of became(db))
		if (!told.has(name))
			wrong("event-lost")(`${name} is no event`);
	for (const s of db.sessions) {
		const n = told.get(event_name("session.active", s.id))?.length;
		if ((n ?? 0) !== s.epoch)
			wrong("epoch-again")(`${s.id} was attached ${n} ` +
			    `times, and its epoch is ${s.epoch}`);
	}
}

// {session: [{was, at}, ...]}: what it became, and at which event, in order.
const turns = (db) => index(db.events.map((e, at) => ({ at,
    session: e.resource_id, was: e.type.replace(/^session\./, "") }))
    .filter((e) => /^(active|suspended|resuming|terminated)$/.test(e.was)),
    (e) => e.session);

// Where in the events it became active with this epoch.
const begins = (list, epoch) => (list ?? []).filter((t) => t.was === "active")
    [Number(epoch) - 1]?.at;

// Where it left the runner that it had with this epoch.
function leaves(list, epoch) {
	const from = begins(list, epoch);

	return (list ?? []).find((t) => t.at > from && t.was !== "active")?.at;
}

// A session comes in the place of another, of which the runner was not told
// that it is gone: then the server had it away before.
function replaced(old, next, of) {
	const from = leaves(of.get(old.session), old.epoch);

	return from < begins(of.get(next.session), next.epoch);
}

// At one epoch a session is at one runner, where its runs begin, and a runner
// has one session.
function claims(book, db, wrong) {
	const run_of = new Map(db.runs.map((r) => [r.id, r]));
	const of = turns(db), had = new Map();

	for (const [key, list] of index(book.attach, (a) =>
	    `${a.session} at epoch ${a.epoch}`))
		if (new Set(list.map((a) => a.runner)).size > 1)
			wrong("session-doubled")(key);
	for (const e of book.all)
		if (e.kind === "replace")
			had.set(e.runner, e);
		else if (e.kind === "attach" && had.has(e.runner)) {
			const old = had.get(e.runner);
			had.delete(e.runner);
			if (!replaced(old, e, of))
				wrong("runner-doubled")(`${e.runner} has ` +
				    `${old.session} at epoch ${old.epoch} and ` +
				    `${e.session} at ${e.epoch}`);
		}
	for (const e of book.execute) {
		const r = run_of.get(e.run);
		if (r !== undefined && (r.runner_id !== e.runner ||
		    r.epoch !== Number(e.epoch)))
			wrong("session-doubled")(`${e.run} began at ` +
			    `${e.runner} with epoch ${e.epoch}, it is of ` +
			    `${r.runner_id} with ${r.epoch}`);
	}
}

// The fleet ended by itself, and of what it says must not be all is booked.
function fleet(book, db, wrong) {
	for (const w of book.wrong)
		wrong("fleet")(w.text);
	if (book.end.length !== 1)
		wrong("fleet")(`it gave up: its book ends ${book.end.length} ` +
		    "times");
	else if (Number(book.end[0].wrong) !== book.wrong.length)
		wrong("fleet")(`it ended with ${book.end[0].wrong} wrong, ` +
		    `${book.wrong.length} are in its book`);
}

const FLEET = [tasks, runs, lines, permissions, events, lives, claims, fleet];
// Their lines are of another kind.
export const CIRCLES = [tasks, runs, permissions, events, lives, claims];

export function compare(book, db, parts = FLEET) {
	const found = new Findings();
	const wrong = (claim) => found.at(claim);

	for (const part of parts)
		part(book, db, wrong);
	return found.list;
}
