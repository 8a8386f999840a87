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

// All that the books say of an id, for a person to read.
export function story(book, id) {
	return book.all.filter((e) => Object.values(e).includes(id))
	    .map(({ time, ...e }) => `${time} ${Object.values(e).join(" ")}`);
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
