// Followers of streams that were not written here: npm's eventsource for SSE
// and npm's ws for WebSocket.  Both keep what they got in order, so that a test
// can compare it with what was stored.

import { EventSource } from "eventsource";
import WebSocket from "ws";
import { until } from "./wait.mjs";

const living = new Set();

// Every type of event that there is.
export const EVENT_TYPES = ["session.created", "session.pending",
    "session.active", "session.suspended", "session.resuming", "session.terminated",
    "session.credential_required", "task.created", "task.running",
    "task.progress", "task.waiting", "task.completed", "task.failed",
    "task.canceled", "run.started", "run.ended", "permission.requested",
    "permission.approved", "permission.denied", "permission.delivered",
    "permission.canceled", "runner.online", "runner.offline",
    "runner.tainted"];

// Those that a test left open, which would keep its process from ending.
export function close_followers() {
	for (const f of living)
		f.close();
	living.clear();
}

class Follower {
	constructor() {
		living.add(this);
		this.items = [];	// {type, id, data}: data is parsed JSON
		this.opened = 0;
		this.errors = [];
		this.ended = false;
	}

	took(type, id, text) {
		let data = text;

		try {
			data = JSON.parse(text);
		} catch {
			// Not JSON: the test sees the text as it came.
		}
		this.items.push({ type, id, data });
	}

	of(type) {
		return this.items.filter((i) => i.type === type);
	}

	has(what, find, ms) {
		return until(what, () => this.items.find(find), ms);
	}
}

// types: the event names to listen to beside "message".  It reconnects by
// itself with Last-Event-ID, as browsers do, until closed or told 204.
export function follow_sse(url, { token, types = [], headers = {} } = {}) {
	const f = new Follower();
	const auth = token ? { authorization: `Bearer ${token}` } : {};

	f.requests = [];
	f.source = new EventSource(url, { fetch: async (at, init) => {
		const all = { ...init.headers, ...headers, ...auth };
		const q = { last: all["Last-Event-ID"], status: 0 };
		f.requests.push(q);
		const res = await fetch(at, { ...init, headers: all });
		q.status = res.status;
		return res;
	} });
	f.source.addEventListener("open", () => { f.opened++; });
	f.source.addEventListener("error", (e) => {
		f.errors.push({ code: e.code, message: e.message });
		f.ended = f.source.readyState === 2;
	});
	for (const type of ["message", ...types])
		f.source.addEventListener(type, (e) =>
		    f.took(type, e.lastEventId, e.data));
	f.close = () => { f.ended = true; f.source.close(); };
	return f;
}

// One WebSocket; a text frame is an item, whose type is its own "type".
export function follow_ws(url, { token, protocols = [], ca } = {}) {
	const f = new Follower();
	const headers = token ? { authorization: `Bearer ${token}` } : {};

	f.socket = new WebSocket(url, protocols, { headers, ca,
	    perMessageDeflate: false });
	f.socket.on("open", () => { f.opened++; });
	f.socket.on("unexpected-response", (_, res) => {
		f.status = res.statusCode;
		f.errors.push({ code: res.statusCode,
		    message: res.statusMessage });
		f.ended = true;
		res.resume();
	});
	f.socket.on("error", (e) => { f.errors.push({ message: e.message }); });
	f.socket.on("close", (code) => { f.ended = true; f.code = code; });
	f.socket.on("message", (data, binary) => {
		f.took(binary ? "binary" : "message", undefined,
		    data.toString());
		const last = f.items.at(-1);
		if (last.data?.type)
			last.type = last.data.type;
		last.id = last.data?.position ?? last.data?.id;
	});
	f.close = () => f.socket.terminate();
	f.cut = () => f.socket.terminate();
	return f;
}
