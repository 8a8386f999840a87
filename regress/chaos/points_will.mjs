// What a client does that does not give up: a request is said again, a POST
// with the same Idempotency-Key, while the answer is 429, 503, 504 or none; any
// other answer counts.  What was acknowledged is written down, to be looked for
// in the end: there, and there once.

import crypto from "node:crypto";
import { setTimeout as pause } from "node:timers/promises";
import { Book } from "./points_book.mjs";

const AGAIN = [0, 429, 502, 503, 504];
const GIVE_UP_MS = 180000;	// the server may be stopped a dozen times in a row

export class Books {
	constructor() {
		this.wrong = [];	// what must not be: invariant and how
		this.made = new Map();	// kind: Map of id to its name
		this.stopped = false;
		this.book = new Book();
	}

	is_wrong(invariant, text) {
		this.wrong.push(`${invariant}: ${text}`);
		console.error(`# wrong: ${this.wrong.at(-1)}`);
	}

	// No circle begins again; those under way end.
	async stop(done) {
		this.stopped = true;
		await done;
	}

	note(kind, id, name) {
		if (!this.made.has(kind))
			this.made.set(kind, new Map());
		this.made.get(kind).set(id, name);
		if (kind === "task")
			this.book.made(id, name);
	}
}

export class Will {
	constructor(api, books) {
		this.api = api;
		this.books = books;
	}

	async once(method, path, body, headers) {
		try {
			return await this.api.request(method, path, body,
			    headers);
		} catch (e) {
			return { status: 0, text: e.message };
		}
	}

	// The answer for good.  `fine` are the statuses that may be.
	async say(method, path, body, fine) {
		const headers = method === "POST" ?
		    { "idempotency-key": crypto.randomUUID() } : {};
		const end = Date.now() + GIVE_UP_MS;

		for (let ms = 20;; ms = Math.min(ms * 2, 1000)) {
			const r = await this.once(method, path, body, headers);
			if (fine.includes(r.status))
				return r;
			if (!AGAIN.includes(r.status)) {
				this.books.is_wrong("answers are fit",
				    `${method} ${path}: ${r.status}: ` +
				    r.text.slice(0, 300));
				return r;
			}
			if (Date.now() > end)
				throw new Error(`${method} ${path}: no answer ` +
				    `in three minutes: ${r.status} ${r.text}`);
			await pause(ms);
		}
	}

	get(path, fine = [200, 404]) {
		return this.say("GET", path, undefined, fine);
	}

	// Something is made: noted under its kind with its name.
	async make(kind, path, body, fine = [201]) {
		const r = await this.say("POST", path, body, fine);
		const id = r.json?.id ?? r.json?.key_id;

		if (r.status === 201 && id)
			this.books.note(kind, id, body.name ?? body.prompt ?? "");
		return r.status === 201 ? r.json : null;
	}
}
