// Everything that clients do, in circles, each on its own: so that whichever
// message is waited for comes again within seconds.

import { setTimeout as pause } from "node:timers/promises";
import { enrol } from "../lib/identity.mjs";
import { prompt } from "./points_book.mjs";
import { orders } from "./points_orders.mjs";

export const AGENT = "custom:points";
const ENDED = ["completed", "failed", "canceled"];
const GONE = [404, 409];
const STREAM_MS = 35000;		// its ticket is renewed meanwhile
const T = "/api/v1/tasks", S = "/api/v1/sessions", A = "/admin/api/v1";
const KEY = { api_key: "sk-ant-test-points-0001",
    base_url: "http://localhost:1" };

let names = 0;
const name = () => `p${process.pid}-${++names}`;

async function reads(w) {
	for (const at of [S, T, "/api/v1/permissions", "/api/v1/runners",
	    "/api/v1/agent-configs"]) {
		const { json } = await w.get(`${at}?limit=5`);
		const one = json?.items?.[0]?.id;
		if (one)
			await w.get(`${at}/${one}`);
		if (one && at === T)
			for (const part of ["runs", "logs"])
				await w.get(`${at}/${one}/${part}`);
	}
	await w.get(`${T}/task_00000000000000000000000000`);
	await w.get("/api/v1/agents");
	await w.get("/api/v1/me");
}

const session = (w, more = {}) => w.make("session", S, { agent: AGENT,
    name: name(), idle_timeout_seconds: 2, ...more });
// The name makes the prompt one of its kind.
const task = (w, s, words) => w.make("task", T, { session_id: s.id,
    prompt: prompt(name(), words) });
// An attempt more, if it may have one.
const retry = (w, t) => {
	w.books.book.retried.add(t.id);
	return w.say("POST", `${T}/${t.id}/retry`, {}, [200, 202, ...GONE]);
};

async function answer(w, id) {
	const verdict = id.charCodeAt(30) % 2 ? "approve" : "deny";
	const { status } = await w.say("POST", `/api/v1/permissions/${id}/` +
	    verdict, { reason: `because-${id}` }, [200, ...GONE]);

	w.books.book.decision(id, verdict, status);
}

// Answers what it asks, gives the key again when it is lost, until it ends.
async function ended(w, s, t) {
	for (;;) {
		const { json } = await w.get(`${T}/${t.id}?wait=1`);
		if (ENDED.includes(json?.status))
			return json;
		if (/session|credential/.test(json?.waiting_for) && /key was lost/
		    .test((await w.get(`${S}/${s.id}`)).json?.status_reason))
			await w.say("PUT", `${S}/${s.id}/credential`, KEY,
			    [200, 202, 204, 409]);
		const open = await w.get("/api/v1/permissions?task_id=" +
		    `${t.id}&status=pending`);
		for (const p of open.json?.items ?? [])
			await answer(w, p.id);
	}
}

// A session's whole life with a key of its own.
async function life(w) {
	const s = await session(w, KEY);
	const at = `${S}/${s.id}`;

	for (const prompt of ["lines progress ask", "withdraw unwind lines",
	    "forget lines"])
		await ended(w, s, await task(w, s, prompt));
	await w.say("PATCH", at, { name: name() }, [200]);
	const t = await task(w, s, "slow");
	await w.get(`${at}?wait=1`);
	await w.say("POST", `${T}/${t.id}/cancel`, {}, [200, 202, ...GONE]);
	await ended(w, s, t);
	await retry(w, t);
	await w.say("POST", `${at}/suspend?wait=5`, {}, [200, 202, ...GONE]);
	const waits = await task(w, s, "ask");
	await w.say("POST", `${at}/resume?wait=5`, {}, [200, 202, ...GONE]);
	await ended(w, s, waits);
	await w.say("PUT", `${at}/credential`, KEY, [200, 202, 204, ...GONE]);
	await w.say("DELETE", at, undefined, [200, 202, 204, 404]);
}

// Suspended by silence, and wanted again; terminated with tasks waiting.
async function idle(w) {
	const s = await session(w);

	await ended(w, s, await task(w, s, "lines"));
	for (let n = 0; n < 60 && !w.books.stopped; n++) {
		const { json } = await w.get(`${S}/${s.id}`);
		if (json?.status === "suspended")
			break;
		await pause(200);
	}
	await ended(w, s, await task(w, s, "lines"));
	await task(w, s, "slow");
	await task(w, s, "slow");
	await w.say("POST", `${S}/${s.id}/terminate?wait=5`, {},
	    [200, 202, ...GONE]);
}

// A question that waits until its session is suspended, and longer.
async function patience(w) {
	const s = await session(w, { idle_timeout_seconds: 0 });
	const t = await task(w, s, "ask");

	for (let n = 0; n < 80 && !w.books.stopped; n++) {
		const { json } = await w.get(`${S}/${s.id}`);
		if (json?.status === "suspended")
			break;
		await pause(250);
	}
	await ended(w, s, t);
	await w.say("POST", `${S}/${s.id}/terminate`, {}, [200, 202, ...GONE]);
}

async function keys(w) {
	const k = await w.make("key", `${A}/keys`, { name: name() });
	await w.get(`${A}/keys?limit=5`);
	if (k) {
		await w.api.as({ socket: undefined, url: w.url, token: k.key })
		    .get("/api/v1/me").catch(() => {});
		await w.say("POST", `${A}/keys/${k.id}/revoke`, {}, [200, 204]);
	}
	const t = await w.make("token", `${A}/runner-tokens`, { pool: "default",
	    name: name() });
	await w.get(`${A}/runner-tokens?limit=5`);
	if (t)
		await w.say("POST", `${A}/runner-tokens/${t.id}/revoke`, {},
		    [200, 204]);
	await w.get(`${A}/status`);
	await w.get(`${A}/runners?limit=5`);
	await w.once("GET", "/api/v1/me", undefined, { host: "nowhere" });
}

// Sealed by providerd and used for a session.
async function configs(w) {
	const c = await w.make("config", w.admin ? `${A}/agent-configs` :
	    "/api/v1/agent-configs", { name: name(), agent: AGENT, ...KEY });
	if (!c)
		return;
	const s = await session(w, { agent_config_id: c.id });
	if (s) {
		await ended(w, s, await task(w, s, "lines"));
		await w.say("DELETE", `${S}/${s.id}?wait=10`, undefined,
		    [200, 202, 204, 404]);
	}
	await w.get(`/api/v1/agent-configs/${c.id}`);
	await w.say("DELETE", `/api/v1/agent-configs/${c.id}`, undefined,
	    [200, 204, ...GONE]);
}

// Reads a stream until it ends, so many bytes have come, or STREAM_MS are over.
async function stream(w, at, bytes, headers = {}) {
	let n = 0;

	try {
		const r = await fetch(w.url + at, { headers: { ...w.auth,
		    ...headers }, signal: AbortSignal.timeout(STREAM_MS) });
		for await (const part of r.body)
			if ((n += part.length) > bytes || w.books.stopped)
				break;
	} catch {
		// Cut by the server's death, or long enough.
	}
}

async function streams(w) {
	const { json } = await w.get(`${T}?limit=1&status=completed`);
	const target = json?.items?.[0] ? `${T}/${json.items[0].id}/logs/stream` :
	    "/api/v1/events";
	const origin = w.url;

	await stream(w, "/api/v1/events?after=0", 20000);
	await stream(w, target, 1000000);
	const made = await w.once("POST", "/api/v1/stream-tickets", { target },
	    { origin });
	if (made.status === 201)
		await stream({ ...w, auth: {}, url: w.url, books: w.books },
		    `${target}?ticket=` + encodeURIComponent(made.json.ticket),
		    1000, { origin });
}

// Long enough that the ticket is renewed; and a log that wants much credit.
async function long(w) {
	const s = await session(w, { idle_timeout_seconds: 0 });
	const t = await task(w, s, "flood");

	await stream(w, `${T}/${t.id}/logs/stream`, 1000);
	await stream(w, `${T}/${t.id}/logs/stream`, 1e9);
	await stream(w, "/api/v1/events", 1e12);
	await w.say("POST", `${S}/${s.id}/terminate`, {}, [200, 202, ...GONE]);
}

// One that enrols and is never seen again, and a line that is cut.
async function runners(load) {
	const { list } = load;

	await enrol({ address: load.address, agents: ["custom:never"],
	    token: await load.token(), name: name() }).catch(() => {});
	await pause(300);
	list[Math.floor(Math.random() * list.length)].cut();
	if (Math.random() < 0.1)
		load.cut();
}

// Each for ever, until the books are stopped.
export function circles(load, wills) {
	const forever = async (what, f) => {
		while (!load.books.stopped) {
			try {
				await f();
			} catch (e) {
				if (!load.books.stopped)
					load.books.is_wrong("requests are " +
					    "answered", `${what}: ${e.message}`);
			}
			await pause(20);
		}
	};
	const all = [forever("runners", () => runners(load))];

	for (const w of wills) {
		for (const f of [reads, life, idle, patience, streams, long,
		    ...orders({ AGENT, name, task, ended, retry })])
			all.push(forever(f.name, () => f(w)));
		for (const f of w.admin ? [keys, configs] : [configs])
			all.push(forever(f.name, () => f(w)));
	}
	return Promise.all(all);
}
