// What waits for an owner when that dies, or when there is very much of it.

import http from "node:http";
import net from "node:net";
import { END_HEADERS, END_STREAM, T, body, connect, frame, frames, request,
    u32, wait } from "./frames.mjs";
import { deadline, until } from "./engine.mjs";
import { failed, is, start, test } from "./world.mjs";

const world = await start("api");
const SILENT = { "X-Request-ID": "do-silent" };
let pings = 0;
const TASK = "/api/v1/tasks/task_01234567890123456789012345";
const ENDED = `${TASK.slice(0, -1)}0/logs/stream`;
const BUSY = `${TASK.slice(0, -1)}8/logs/stream`;
const sleep = (ms) => new Promise((ok) => setTimeout(ok, ms));

// A request is made, and sessiond has been asked to let it follow.
async function following() {
	const n = +await world.say("count EVENT_FOLLOW");
	const got = status("/api/v1/events", SILENT);

	for (let i = 0; +await world.say("count EVENT_FOLLOW") === n; i++) {
		if (i === 500)
			throw new Error("sessiond is not asked");
		await sleep(10);
	}
	return { got };
}

// frontd has heard all that came on this connection.
async function pinged(c) {
	const n = pings++;

	c.write(frame(T.PING, 0, 0, Buffer.alloc(8, n)));
	await wait(c, "the PING's answer", (f) => f.type === T.PING &&
	    f.data[0] === n % 256);
}

// A request was made, and frontd has heard that.
async function asked(path, key = "mk_good", from, more = []) {
	const c = await connect(world.port, undefined, from);

	c.write(frame(T.HEADERS, END_HEADERS | END_STREAM, 1, request("GET",
	    path, key === null ? more : [["authorization", `Bearer ${key}`],
	    ...more])));
	await pinged(c);
	return c;
}

// Its answer begins with :status 200 (RFC 7541, index 8), or does not.
async function is_ok(c, ms) {
	const head = await wait(c, "a head", (f) => f.type === T.HEADERS, ms);

	c.end();
	return head.data[0] === 0x88;
}

// frontd knows it as well; whoever asks no stream is told at once.
async function gone(proc) {
	await world.say(`gone ${proc}`);
	is(await status(proc === "runnerd" ? `${TASK}/logs` :
	    "/api/v1/sessions"), 503);
}

// The status, or why there is none.
function status(path, headers = {}, more = {}) {
	return new Promise((ok) => {
		const req = http.get({ host: "127.0.0.1", port: world.port,
		    path, agent: false, timeout: 30000, headers: { Authorization:
		    "Bearer mk_good", ...headers }, ...more }, (res) => {
			ok(res.statusCode);
			req.destroy();
		});
		req.on("timeout", () => req.destroy(new Error("no answer")));
		req.on("error", (e) => ok(e.message));
	});
}

// sessiond dies before it has said a word about the stream.
for (const [name, how, want] of [
    ["is asked again", "kill", 200], ["stays away", "gone", 503]])
	await test(`events: sessiond dies before it begins, and ${name}`,
	    async () => {
		const { got } = await following();

		await world.say(`${how} sessiond`);
		try {
			/* Nor do those wait for ever that come too late. */
			const late = how === "gone" ? [asked("/api/v1/events"),
			    asked("/api/v1/events?ticket=another", null)] : [];
			is(await got, want);
			for (const c of late)
				is(await is_ok(await c), false);
		} finally {
			if (how === "gone")
				await world.say("back sessiond");
		}
	});

// A browser that is told 503 does not come again.
await test("events: sessiond dies before it begins, and comes back late",
    async () => {
	const { got } = await following();

	await world.say("gone sessiond");
	await sleep(2500);
	await world.say("back sessiond");
	is(await got, 200);
});

// Nor does one that comes while the owner is away, with a ticket that frontd may
// have forgotten.
for (const [proc, path, key] of [
    ["sessiond", "/api/v1/events", "mk_good"],
    ["sessiond", "/api/v1/events?ticket=good-ticket", null],
    ["sessiond", `${TASK}/logs/stream?ticket=good-ticket`, null],
    ["runnerd", `${TASK}/logs/stream`, "mk_good"]])
	await test(`streams: ${path} is asked for while ${proc} is away`,
	    async () => {
		is(await status("/api/v1/me"), 200);
		await gone(proc);
		const c = await asked(path, key);
		await world.say(`back ${proc}`);
		is(await is_ok(c), true);
	});

// Nor one whose owner is there and cannot answer: the database is away, say.
for (const [type, path, key, want] of [
    ["AUTH_KEY", "/api/v1/events", "mk_reader", 403],
    ["AUTH_STREAM", "/api/v1/events?ticket=bad-ticket", null, 401],
    ["EVENT_FOLLOW", "/api/v1/events", "mk_good", 200],
    ["LOG_FOLLOW", `${TASK}/logs/stream`, "mk_good", 200]])
	await test(`streams: ${type} is refused for now`, async () => {
		const n = +await world.say(`count ${type}`);

		await world.say(`busy ${type}`);
		is(await status(path, {}, { headers: key === null ? {} :
		    { Authorization: `Bearer ${key}` } }), want);
		is(+await world.say(`count ${type}`) - n, 2);
	});

// Nobody renews the tickets meanwhile; the key is as good as it was.
await test("events: sessiond stays away for longer than a ticket lives",
    async () => {
	const short = { Authorization: "Bearer mk_short" };

	is(await status("/api/v1/me", short), 200);
	await gone("sessiond");
	const got = await status("/api/v1/events", short);
	await world.say("back sessiond");
	is(got, 503);
});

// The clock was set, or the machine slept: the key is as good as it was.
await test("events: its tickets expire before it begins", async () => {
	const n = +await world.say("count EVENT_FOLLOW");

	is(await status("/api/v1/events", { ...SILENT, Authorization:
	    "Bearer mk_stale" }), 200);
	is(+await world.say("count EVENT_FOLLOW") - n, 2);
});

// A few times, and not for ever.
await test("logs: the owner finds each of its tickets expired", async () => {
	const n = +await world.say("count LOG_FOLLOW");

	is(await status(`${TASK}/logs/stream`,
	    { "X-Request-ID": "do-refuse-token_expired" }), 503);
	const asked = +await world.say("count LOG_FOLLOW") - n;
	is(asked > 0 && asked < 50, true, `asked ${asked} times`);
});

// Who comes back after the last line is told 204, and never hears of the end.
for (const [name, path] of [["taskd is", ENDED],
    ["taskd, and then the database, is", BUSY]])
	await test(`logs: ${name} away when the task has ended`, async () => {
		await world.say("gone taskd");
		is(await status(TASK), 503);
		const n = +await world.say("count LOG_FOLLOW");
		const c = await asked(path);
		await sleep(2500);
		const asks = +await world.say("count LOG_FOLLOW") - n;
		await world.say("back taskd");
		const text = await deadline(body(c, 1), "the end", 5000);
		c.end();
		is(text.match(/^(id|event): .*$/gm), ["id: 1.1", "event: log",
		    "id: 1.2", "event: log", "id: 1.3", "event: log",
		    "event: end"]);
		is(asks > 1 && asks < 10, true, `asked ${asks} times`);
	});

await test("logs: there is no such task when it has ended", async () => {
	const c = await asked(ENDED, undefined, undefined,
	    [["x-request-id", "do-end-not_found"]]);
	const text = await deadline(body(c, 1), "the end", 5000);

	c.end();
	is([text.includes("id: 1.3"), text.includes("event: end")],
	    [true, false]);
});

await test("streams: who left is not asked for any more", async () => {
	is(await status("/api/v1/me"), 200);
	await gone("sessiond");
	const n = +await world.say("count EVENT_FOLLOW");
	const c = await asked("/api/v1/events");
	c.write(frame(T.RST, 0, 1, u32(8)));
	await pinged(c);
	await world.say("back sessiond");
	is(await status("/api/v1/events"), 200);
	is(+await world.say("count EVENT_FOLLOW") - n, 1);
	c.end();
});

// More wrong keys than there is room for credentials.
await test("keys: who is known is not forgotten for who is not", async () => {
	const N = 2200, c = net.connect(world.port, "127.0.0.1");
	let got = 0, rest = "";

	is(await status("/api/v1/me"), 200);
	const n = +await world.say("count AUTH_KEY");
	for (let i = 0; i < N; i++)
		c.write("GET /api/v1/me HTTP/1.1\r\nHost: localhost\r\n" +
		    `Authorization: Bearer mk_wrong${i}\r\n\r\n`);
	await new Promise((ok, no) => {
		c.on("data", (d) => {
			const parts = (rest + d.toString("latin1"))
			    .split("HTTP/1.1 401");
			got += parts.length - 1;
			rest = parts.at(-1).slice(-11);
			if (got === N)
				ok();
		});
		c.on("close", () => no(new Error(`${got} answers`)));
	});
	c.destroy();
	is(await status("/api/v1/me"), 200);
	is(+await world.say("count AUTH_KEY") - n, N);
});

// sessiond does not answer for a while.
await test("keys: one address does not ask about all that there is room for",
    async () => {
	const cs = [], EACH = 100;

	process.kill(world.child.pid, "SIGSTOP");
	for (let k = 0; k < 22; k++) {
		const c = await connect(world.port);
		cs.push(c);
		for (let i = 0; i < EACH; i++)
			c.write(frame(T.HEADERS, END_HEADERS | END_STREAM,
			    2 * i + 1, request("GET", "/api/v1/me",
			    [["authorization", `Bearer mk_${k}x${i}`]])));
		await pinged(c);
	}
	const another = await asked("/api/v1/me", "mk_reader", "127.0.0.2");
	const refused = () => cs.map((c) => frames(c).filter((f) => f.type ===
	    T.HEADERS).length).reduce((a, b) => a + b);
	await until("those are refused", () => refused() >= 22 * EACH - 512);
	for (const c of cs)
		await pinged(c);
	const n = refused();
	process.kill(world.child.pid, "SIGCONT");
	cs.forEach((c) => c.end());
	is([await is_ok(another), 22 * EACH - n], [true, 512]);
});

// Nobody says who he is there, and sessiond is long in answering.
await test("health: whoever checks meanwhile asks nothing of his own",
    async () => {
	const n = +await world.say("count AUTH_KEY"), cs = [];

	process.kill(world.child.pid, "SIGSTOP");
	for (let i = 0; i < 500 && cs.length < 50; i++) {
		const c = await asked("/health/ready", null);
		if (frames(c).some((f) => f.type === T.HEADERS)) {
			c.end();	/* it was known for a second */
			await sleep(20);
		} else
			cs.push(c);
	}
	process.kill(world.child.pid, "SIGCONT");
	for (const c of cs)
		is(await is_ok(c), true);
	is([cs.length, +await world.say("count AUTH_KEY") - n], [50, 1]);
});

// A password takes sessiond a sixth of a second, one after the other.
await test("passwords: one address does not ask about all of a queue",
    async () => {
	const admin = await start("admin"), port = admin.port;
	const basic = (s) => ({ Authorization: "Basic " +
	    Buffer.from(s).toString("base64") });
	try {
		const got = [];
		for (let i = 0; i < 12; i++)
			status("/api/v1/me", { ...SILENT, ...basic(`a:${i}`) },
			    { port }).then((code) => got.push(code));
		for (let i = 0; i < 400 && got.length < 8; i++)
			await sleep(20);
		is(got, Array(8).fill(429));
		await until("sessiond to be asked for the others", async () =>
		    await admin.say("count AUTH_PASSWORD") === "4");
		is(await status("/api/v1/me", basic("admin:secret"),
		    { port, localAddress: "127.0.0.2" }), 200);
	} finally {
		await admin.stop();
	}
});

// An owner is killed when its queue is given up; here its successor would be,
// and the next one.
await test("tasks: more is to be asked again than a queue holds", async () => {
	const N = 70, body = JSON.stringify({ session_id:
	    "sess_01234567890123456789012345", prompt: "x".repeat(1000000) });
	const n = +await world.say("count TASK_CREATE");
	const post = () => {
		const req = http.request({ host: "127.0.0.1", port: world.port,
		    method: "POST", path: "/api/v1/tasks", agent: false,
		    headers: { Authorization: "Bearer mk_good", ...SILENT,
		    "Content-Type": "application/json" } }, (res) => {
			got.push(res.statusCode);
			req.destroy();
		});
		req.on("error", (e) => got.push(e.message));
		req.end(body);
	};
	const got = [];
	/* So few at once that none is refused. */
	for (let i = 0; i < N; i += 7) {
		for (let k = 0; k < 7; k++)
			post();
		for (let k = 0; k < 400 && +await world.say(
		    "count TASK_CREATE") - n < i + 7; k++)
			await sleep(5);
	}
	is(+await world.say("count TASK_CREATE") - n, N);
	await world.say("kill taskd");
	let there;
	for (let i = 0; i < 100 && there !== 200; i++) {
		there = await status(
		    "/api/v1/tasks/task_01234567890123456789012345");
		await sleep(20);
	}
	if (there !== 200 || /queue is full/.test(world.log))
		throw new Error(`${there}: ${world.log}`);
	/* Those that did not fit know at once; the others wait. */
	is(got, Array(got.length).fill(504));
	if (got.length < N / 2 || got.length === N)
		throw new Error(`${got.length} of ${N} know`);
});

await test("events: more streams than a queue holds are resumed", async () => {
	const CONNS = 130, EACH = 100, cs = [];
	const label = Array.from({ length: 4 }, (_, i) =>
	    `label=${i}=${"v".repeat(1013)}`).join("&");
	const head = request("GET", `/api/v1/events?after=${"7".repeat(64)}&${
	    label}&types=${"a".repeat(1020)}`, [["authorization",
	    "Bearer mk_good"], ["x-request-id", "do-silent"]]);
	const n = +await world.say("count EVENT_FOLLOW");
	const followed = async (all) => {
		let now;
		for (let i = 0; i < 2000 && !(now >= all); i++) {
			await sleep(5);
			now = +await world.say("count EVENT_FOLLOW") - n;
		}
		is(now >= all, true, `${now} of ${all}`);
	};
	for (let k = 0; k < CONNS; k++) {
		const c = await connect(world.port);
		cs.push(c);
		for (let i = 0; i < EACH; i++)
			c.write(frame(T.HEADERS, END_HEADERS | END_STREAM,
			    2 * i + 1, head));
		if (k % 10 === 9)
			await followed((k + 1) * EACH);
	}
	/* All have begun when the last one has. */
	await wait(cs.at(-1), "a head", (f) => f.type === T.HEADERS &&
	    f.id === 2 * EACH - 1);
	await world.say("kill sessiond");
	/* More than go at once. */
	await followed(CONNS * EACH + 4000);
	cs.forEach((c) => c.end());
	if (/queue is full/.test(world.log))
		throw new Error(world.log);
});

// A reader that is slow, within what its stream may be sent, is not whom the
// answers are to be protected from that nobody reads.
await test("logs: who is slow is not cut when much is not read", async () => {
	const N = 480, cs = [];
	const path = `${TASK.slice(0, -1)}7/logs/stream`;
	for (let k = 0; k < N; k++) {
		const c = await connect(world.port,
		    Buffer.from([0, 4, 0, 0, 0, 0]));
		cs.push(c);
		c.write(frame(T.HEADERS, END_HEADERS | END_STREAM, 1,
		    request("GET", path, [["authorization", "Bearer mk_good"]])));
	}
	const cut = (c) => frames(c).some((f) => f.type === T.RST);
	for (const c of cs)
		await wait(c, "a head", (f) => f.type === T.HEADERS ||
		    f.type === T.RST);
	is(cs.filter(cut).length, 0);
	for (const c of cs) {
		c.write(Buffer.concat([frame(T.WINDOW, 0, 0, u32(0x70000000)),
		    frame(T.WINDOW, 0, 1, u32(0x70000000))]));
		const text = await body(c, 1);
		const ids = [...text.matchAll(/^id: 1\.(\d+)$/gm)];
		is(ids.length > 500 && ids.every((m, i) => +m[1] === i + 1) &&
		    text.includes("event: end"), true);
		c.end();
	}
});

// Its client comes back, to whoever is there then.
await test("drain: nobody waits for an owner that says nothing", async () => {
	const another = await start("api"), c = await connect(another.port);

	try {
		c.write(frame(T.HEADERS, END_HEADERS | END_STREAM, 1, request(
		    "GET", "/api/v1/events", [["authorization",
		    "Bearer mk_good"], ["x-request-id", "do-silent"]])));
		await until("sessiond to be asked", async () =>
		    await another.say("count EVENT_FOLLOW") === "1");
		await another.say("drain");
		await deadline(body(c, 1), "the end of the stream", 5000);
	} finally {
		c.end();
		await another.stop();
	}
});

// Nor does anybody wait for what a client that has left had asked.
await test("drain: who left holds nothing up", async () => {
	const another = await start("api"), c = await connect(another.port);

	try {
		c.write(frame(T.HEADERS, END_HEADERS | END_STREAM, 1, request(
		    "POST", "/api/v1/sessions/sess_01234567890123456789012345" +
		    "/suspend?wait=60", [["authorization", "Bearer mk_good"],
		    ["x-request-id", "do-silent"]])));
		await until("sessiond to be asked", async () =>
		    await another.say("count SESSION_SUSPEND") === "1");
		c.end();
		await c.wait("the end", () => c.closed);
		await another.say("drain");
		await until("frontd to be drained", async () =>
		    await another.say("count PROC_DRAINED") === "1", 5000);
	} finally {
		await another.stop();
	}
});

// Who waits for a task, or for an owner that is away, does not hold up a stop: the
// last test here.
await test("drain: nobody waits for a task or for an owner", async () => {
	const hold = [["x-request-id", "do-hold"]];
	const n = +await world.say("count TASK_GET");
	const held = [await asked(`${TASK}?wait=60`, undefined, undefined,
	    hold), await connect(world.port)];
	held[1].write(frame(T.HEADERS, END_HEADERS, 1, request("POST",
	    "/api/v1/tasks?wait=60", [["authorization", "Bearer mk_good"],
	    ...hold])));
	held[1].write(frame(T.DATA, END_STREAM, 1, Buffer.from(JSON.stringify(
	    { session_id: "sess_01234567890123456789012345", prompt: "x" }))));
	await until("both to wait", async () =>
	    +await world.say("count TASK_GET") === n + 2);
	await gone("runnerd");
	await gone("sessiond");
	const cs = [await asked("/api/v1/events"),
	    await asked(`${TASK}/logs/stream`),
	    await asked("/api/v1/events?ticket=another", null)];
	await world.say("drain");
	const docs = await Promise.all(held.map(async (c) => JSON.parse(
	    await deadline(body(c, 1), "the task as it is", 5000))));
	is([docs[0].status, /^task_/.test(docs[1].id)], ["completed", true]);
	for (const c of cs)
		is(JSON.parse(await deadline(body(c, 1), "an answer", 5000))
		    .code, "unavailable");
});

await world.stop();
process.exit(failed > 0 ? 1 : 0);
