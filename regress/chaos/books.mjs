// The fleet's books (regress/bench/README.md), read as they are: what it was
// told and what it sent, in the order in which that was.

import fs from "node:fs";
import readline from "node:readline";

// kind: names of the fields behind it; the last takes the rest.
const KINDS = {
	begin: ["process", "runners", "enduring"],
	session: ["session"],
	post: ["session", "mark", "script"],
	answer: ["mark", "status", "task"],
	unanswered: ["key", "status"],
	runner: ["runner", "how"],
	attach: ["runner", "session", "epoch"],
	detach: ["runner", "session", "epoch"],
	replace: ["runner", "session", "epoch"],
	execute: ["runner", "task", "run", "attempt", "epoch", "mark"],
	again: ["runner", "run"],
	refuse: ["runner", "run", "reason"],
	kill: ["runner", "run", "reason"],
	lines: ["runner", "run", "n"],
	logack: ["runner", "run", "n"],
	complete: ["runner", "run", "status", "lines", "result"],
	acked: ["runner", "run"],
	ask: ["runner", "run", "request", "mark"],
	decide: ["permission", "verdict", "reason"],
	decided: ["permission", "status"],
	told: ["runner", "run", "request", "permission", "verdict", "reason"],
	event: ["follower", "position", "type", "resource", "task"],
	log: ["follower", "task", "attempt", "first", "last"],
	logend: ["follower", "task", "status"],
	wrong: ["text"],
	end: ["wrong"]
};

function entry(text) {
	const [time, kind, ...words] = text.split(" ");
	const names = KINDS[kind];

	if (names === undefined)
		throw new Error(`the book has a line of no kind: ${text}`);
	const e = { time: BigInt(time), kind };
	names.forEach((name, i) => {
		e[name] = i === names.length - 1 ? words.slice(i).join(" ") :
		    words[i];
	});
	return e;
}

// {kind: [entry, ...]}, and all of them in `all'.
export async function read_book(file) {
	const book = { all: [] };

	for (const kind of Object.keys(KINDS))
		book[kind] = [];
	for await (const text of readline.createInterface({
	    input: fs.createReadStream(file, "latin1") })) {
		const e = entry(text);
		book.all.push(e);
		book[e.kind].push(e);
	}
	return book;
}

const ID = /\b(?:run|task|perm)_[0-9a-z]{26}\b/g;
const TOLD = 30;		// findings of each claim, and lines of each story

// {id: what the books say of it, in order}
function stories(book, ids) {
	const out = new Map(ids.map((id) => [id, []]));

	for (const e of book.all) {
		const { time, ...words } = e;
		for (const word of new Set(Object.values(words))) {
			const story = out.get(word);
			if (story !== undefined && story.length < TOLD)
				story.push(`${time} ` +
				    Object.values(words).join(" "));
		}
	}
	return out;
}

// Prints findings, and what books and database say of whom they name, for a
// person to read.
export function explain(book, db, found) {
	const all = [...db.tasks, ...db.runs, ...db.permissions];
	const told = [...index(found, (f) => f.claim).values()]
	    .flatMap((list) => list.slice(0, TOLD));
	const story_of = stories(book, told.flatMap((f) =>
	    f.text.match(ID) ?? []));

	for (const f of told) {
		console.log(`# ${f.claim}: ${f.text}`);
		for (const id of f.text.match(ID) ?? []) {
			for (const line of story_of.get(id))
				console.log(`#     ${line}`);
			for (const row of all.filter((r) => r.id === id))
				console.log(`#     ${JSON.stringify(row)}`);
		}
	}
}

export function index(list, key) {
	const out = new Map();

	for (const x of list) {
		const at = out.get(key(x));
		if (at === undefined)
			out.set(key(x), [x]);
		else
			at.push(x);
	}
	return out;
}
