// A small HTTP client of the tests, on node's own http, https and http2: JSON
// in, JSON out, nothing retried, nothing hidden.

import assert from "node:assert/strict";
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";

const TIMEOUT_MS = 60000;

function encode(body) {
	if (body === undefined || Buffer.isBuffer(body) ||
	    typeof body === "string")
		return body;
	return JSON.stringify(body);
}

function answer(status, headers, parts) {
	const raw = Buffer.concat(parts);
	const text = raw.toString();
	let json;

	if (/json/.test(headers["content-type"] ?? ""))
		json = JSON.parse(text);
	return { status, headers, raw, text, json };
}

// options: url (scheme and place), token or basic ("user:password"), ca (PEM),
// socket (a path: HTTP over a unix socket), h2 (speak HTTP/2), headers,
// contract (what checks every answer).
export class Api {
	constructor(options) {
		this.o = options;
		this.url = options.url ?? "http://localhost";
	}

	// Another identity at the same place.
	as(change) {
		return new Api({ ...this.o, token: undefined, basic: undefined,
		    ...change });
	}

	headers(body, more) {
		const h = { ...this.o.headers };

		if (this.o.token)
			h.authorization = `Bearer ${this.o.token}`;
		if (this.o.basic)
			h.authorization = "Basic " +
			    Buffer.from(this.o.basic).toString("base64");
		if (body !== undefined) {
			h["content-type"] = "application/json";
			h["content-length"] = String(Buffer.byteLength(body));
		}
		return { ...h, ...more };
	}

	async request(method, path, body, headers = {}) {
		const data = encode(body);
		const h = this.headers(data, headers);
		const r = await (this.o.h2 ?
		    this.request2(method, path, data, h) :
		    this.request1(method, path, data, h));

		this.o.contract?.check(method, path, r);
		return r;
	}

	request1(method, path, data, headers) {
		const tls = this.url.startsWith("https:");

		return new Promise((done, fail) => {
			const q = (tls ? https : http).request(
			    new URL(path, this.url), { method, headers,
			    ca: this.o.ca, socketPath: this.o.socket,
			    agent: false, timeout: TIMEOUT_MS }, (res) => {
				const parts = [];
				res.on("data", (d) => parts.push(d));
				res.on("error", fail);
				res.on("end", () => {
					try {
						done(answer(res.statusCode,
						    res.headers, parts));
					} catch (e) {
						fail(e);
					}
				});
			});
			q.on("timeout", () => q.destroy(
			    new Error(`${method} ${path}: no answer`)));
			q.on("error", fail);
			q.end(data);
		});
	}

	request2(method, path, data, headers) {
		return new Promise((done, fail) => {
			const s = http2.connect(this.url, { ca: this.o.ca });
			const q = s.request({ ...headers, ":method": method,
			    ":path": path });
			const parts = [];
			let got;

			const over = (f, v) => { s.close(); f(v); };
			s.on("error", (e) => over(fail, e));
			q.on("error", (e) => over(fail, e));
			q.setTimeout(TIMEOUT_MS, () => { q.close(); over(fail,
			    new Error(`${method} ${path}: no answer`)); });
			q.on("response", (h) => { got = h; });
			q.on("data", (d) => parts.push(d));
			q.on("end", () => {
				try {
					over(done, answer(got[":status"], got,
					    parts));
				} catch (e) {
					over(fail, e);
				}
			});
			q.end(data);
		});
	}

	get(path, headers) {
		return this.request("GET", path, undefined, headers);
	}

	post(path, body, headers) {
		return this.request("POST", path, body, headers);
	}

	put(path, body, headers) {
		return this.request("PUT", path, body, headers);
	}

	patch(path, body, headers) {
		return this.request("PATCH", path, body, headers);
	}

	delete(path, headers) {
		return this.request("DELETE", path, undefined, headers);
	}

	// The body of an answer that has to be `status`.
	async must(status, method, path, body, headers) {
		const r = await this.request(method, path, body, headers);

		if (r.status !== status)
			throw new Error(`${method} ${path}: ${r.status}, not ` +
			    `${status}: ${r.text.slice(0, 2000)}`);
		return r.json;
	}

	// All items of a listing, page by page.
	async all(path) {
		const items = [];
		const sep = path.includes("?") ? "&" : "?";
		let cursor = null;

		do {
			const page = await this.must(200, "GET", cursor === null ?
			    path : `${path}${sep}cursor=` +
			    encodeURIComponent(cursor));
			items.push(...page.items);
			cursor = page.has_more ? page.next_cursor : null;
		} while (cursor !== null);
		return items;
	}
}

// An error's envelope, and what it says.
export function refused(r, status, code, words) {
	assert.equal(r.status, status, r.text ?? r.body);
	assert.equal(r.json.code, code);
	assert.equal(typeof r.json.message, "string");
	assert.ok(r.json.request_id);
	if (words)
		assert.match(r.json.message, words);
}
