// Streams: SSE with curl and npm's eventsource, WebSocket with npm's ws; slow
// readers, cut clients, flow control.

import { execFile } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import tls from "node:tls";
import { promisify } from "node:util";
import { EventSource } from "eventsource";
import WebSocket from "ws";
import { Raw, deadline, get, start, stats, test, until } from "./engine.mjs";

const run = promisify(execFile);
const e = await start();
const url = (t, proto = "http") => `${proto}://127.0.0.1:${e.api}${t}`;

function open(target, protocols, options) {
	const ws = new WebSocket(url(target, "ws"), protocols, options);
	const got = [];

	ws.on("message", (d) => got.push(JSON.parse(d)));
	return { ws, got };
}

await test("sse: curl -N gets every event once, and the end", async () => {
	const { stdout } = await run("curl", ["-sN", url("/count?count=500")]);
	const ids = [...stdout.matchAll(/^id: 1\.(\d+)$/gm)].map((m) => +m[1]);

	if (!stdout.startsWith("retry: 2000\n\n"))
		throw new Error("no retry");
	if (ids.length !== 500 || ids.some((n, i) => n !== i + 1))
		throw new Error(`ids ${ids}`);
	if (!stdout.endsWith("event: end\ndata: {}\n\n"))
		throw new Error("no end");
});

await test("sse: over HTTP/2 too", async () => {
	const { stdout } = await run("curl", ["-sNk", "--http2",
	    `https://127.0.0.1:${e.tls}/count?count=3000&pad=300`],
	    { maxBuffer: 1e8 });
	const n = stdout.match(/^id: /gm).length;

	if (n !== 3000 || !stdout.endsWith("event: end\ndata: {}\n\n"))
		throw new Error(`${n} events`);
});

await test("sse: eventsource resumes with Last-Event-ID", async () => {
	const es = new EventSource(url("/count?count=5"));
	const seen = [];
	let opens = 0;

	es.addEventListener("open", () => opens++);
	es.addEventListener("line", (m) => seen.push(m.lastEventId));
	await deadline(new Promise((yes) => es.addEventListener("error", () => {
		// The stream ended; the second time it begins after the last id.
		if (opens === 2) {
			es.close();
			yes();
		}
	})), "the second end");
	if (seen.join() !== "1.1,1.2,1.3,1.4,1.5")
		throw new Error(`seen ${seen}`);
});

await test("sse: a client that leaves is noticed once", async () => {
	const before = await stats(e);
	const c = await Raw.open(e.api);

	c.write("GET /count?count=1&hold=1 HTTP/1.1\r\nHost: localhost\r\n\r\n");
	await c.wait("an event", () => c.got.includes("id: 1.1"));
	c.end();
	await until("closed", async () =>
	    (await stats(e)).closed === before.closed + 1);
});

await test("sse: a slow reader gets everything, and is not buffered for",
    async () => {
	const c = await Raw.open(e.api);

	c.s.pause();
	c.write("GET /count?count=2000&pad=10000 HTTP/1.1\r\n" +
	    "Host: localhost\r\nConnection: close\r\n\r\n");
	await (await get(e, "/hello")).text();
	c.s.resume();
	await c.wait("the end", () => c.closed);
	const n = c.got.toString("latin1").match(/id: 1\.\d+\n/g).length;
	if (n !== 2000 || !c.got.includes("event: end"))
		throw new Error(`${n} events`);
});

await test("sse: a stream that floods is cut", async () => {
	const before = await stats(e);
	const c = await Raw.open(e.api);

	c.write("GET /flood HTTP/1.1\r\nHost: localhost\r\n\r\n");
	await c.wait("the cut", () => c.closed);
	await until("closed", async () =>
	    (await stats(e)).closed === before.closed + 1);
});

await test("sse: HEAD has no body and no stream stays", async () => {
	const { stdout } = await run("curl", ["-sI", url("/count?count=9")]);

	if (!stdout.includes("text/event-stream"))
		throw new Error(stdout);
});

await test("ws: every message once, then a normal close", async () => {
	const { ws, got } = open("/count?count=2000&pad=500");
	const [code] = await deadline(once(ws, "close"), "close");

	if (code !== 1000 && code !== 1005)
		throw new Error(`close ${code}`);
	const lines = got.filter((m) => m.event === "line");
	if (lines.length !== 2000 || lines.some((m, i) =>
	    m.id !== `1.${i + 1}` || m.data.n !== i + 1))
		throw new Error(`${lines.length} lines`);
	if (got.at(-1).event !== "end")
		throw new Error("no end");
});

await test("ws: the protocol that was offered", async () => {
	const before = await stats(e);
	const a = open("/count?count=1&hold=1", ["mk_abc", "marionette.v1"]);
	await deadline(once(a.ws, "open"), "open");
	if (a.ws.protocol !== "marionette.v1")
		throw new Error(a.ws.protocol);
	a.ws.terminate();
	const b = open("/count?count=1&hold=1", ["mk_abc"]);
	await deadline(once(b.ws, "open"), "open");
	if (b.ws.protocol !== "mk_abc")
		throw new Error(b.ws.protocol);
	b.ws.terminate();
	// What is noticed late would be counted among the next test's.
	await until("both closed", async () =>
	    (await stats(e)).closed === before.closed + 2);
});

await test("ws: pings are answered, closes too, and it is noticed",
    async () => {
	const before = await stats(e);
	const { ws } = open("/count?count=1&hold=1");

	await deadline(once(ws, "open"), "open");
	ws.ping("abc");
	const [p] = await deadline(once(ws, "pong"), "pong");
	if (p.toString() !== "abc")
		throw new Error(p.toString());
	ws.send("hello");
	ws.close(1000);
	const [code] = await deadline(once(ws, "close"), "close");
	if (code !== 1000)
		throw new Error(`close ${code}`);
	await until("closed", async () =>
	    (await stats(e)).closed === before.closed + 1);
});

await test("ws: too long a message ends it with 1009", async () => {
	const { ws } = open("/count?count=1&hold=1");

	await deadline(once(ws, "open"), "open");
	ws.send("x".repeat(100000));
	const [code] = await deadline(once(ws, "close"), "close");
	if (code !== 1009)
		throw new Error(`close ${code}`);
});

await test("ws: an unmasked frame ends it with 1002", async () => {
	const c = await Raw.open(e.api);

	c.write("GET /count?count=0&hold=1 HTTP/1.1\r\nHost: localhost\r\n" +
	    "Connection: Upgrade\r\nUpgrade: websocket\r\n" +
	    "Sec-WebSocket-Version: 13\r\n" +
	    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
	await c.wait("101", () => c.got.includes("\r\n\r\n"));
	c.write(Buffer.from([0x81, 2, 0x68, 0x69]));
	await c.wait("the end", () => c.closed);
	const i = c.got.indexOf("\r\n\r\n") + 4;
	if (c.got[i] !== 0x88 || c.got.readUInt16BE(i + 2) !== 1002)
		throw new Error(c.got.subarray(i).toString("hex"));
});

await test("ws: garbage ends it and nothing else", async () => {
	for (let i = 0; i < 50; i++) {
		const c = await Raw.open(e.api);
		const junk = Buffer.from(Array.from({ length: 200 },
		    () => Math.random() * 256));

		c.write("GET /count?count=0&hold=1 HTTP/1.1\r\n" +
		    "Host: localhost\r\nConnection: Upgrade\r\n" +
		    "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
		    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
		await c.wait("101", () => c.got.includes("\r\n\r\n"));
		c.write(junk);
		c.s.end();
		await c.wait("the end", () => c.closed);
	}
});

await test("late: a reply to a client that left is dropped", async () => {
	const before = await stats(e);

	for (let i = 0; i < 20; i++) {
		const c = await Raw.open(e.api);
		c.write("GET /late?ms=100 HTTP/1.1\r\nHost: localhost\r\n\r\n");
		await until("opened", async () =>
		    (await stats(e)).opened >= before.opened + i + 1);
		c.s.resetAndDestroy();
	}
	await until("no connection is left", async () =>
	    (await stats(e)).conns <= 2);
});

await test("late: half-closing the connection is not leaving", async () => {
	const c = await Raw.open(e.api);

	c.s.allowHalfOpen = true;
	c.write("GET /late?ms=100 HTTP/1.1\r\nHost: localhost\r\n\r\n");
	c.s.end();
	await c.wait("the reply", () => c.got.includes("world"));
});

await test("late: nor is it with a request behind the one in work", async () => {
	const c = await Raw.open(e.api);

	c.s.allowHalfOpen = true;
	c.s.end("GET /late?ms=100 HTTP/1.1\r\nHost: localhost\r\n\r\n" +
	    "GET /late?ms=100 HTTP/1.1\r\nHost: localhost\r\n\r\n" +
	    "GET /items/7 HTTP/1.1\r\nHost: localhost\r\n\r\nGET");
	await c.wait("the end", () => c.closed, 5000);
	if (!/world[^]*world[^]*arg=7\n$/.test(c.got.toString()))
		throw new Error(c.got.toString());
});

await test("late: nor is it while the reply is being sent", async () => {
	const s = net.connect({ path: e.sock, allowHalfOpen: true });
	const c = new Raw(s), bytes = 300000;

	s.pause();
	s.end(`GET /big?bytes=${bytes} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
	await once(s, "finish");
	// It has seen both the request and the end before these.
	await get(e, "/hello");
	await get(e, "/hello");
	s.resume();
	await c.wait("the end", () => c.closed);
	if (c.got.length < bytes)
		throw new Error(`${c.got.length} of ${bytes} bytes`);
});

await test("late: nor over TLS, in the records after the request's",
    async () => {
	const s = tls.connect({ port: e.tls, rejectUnauthorized: false,
	    allowHalfOpen: true });

	await once(s, "secureConnect");
	const c = new Raw(s);
	process.kill(e.child.pid, "SIGSTOP");
	s.end("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
	await once(s, "finish");
	process.kill(e.child.pid, "SIGCONT");
	await c.wait("the reply", () => c.closed);
	if (!c.got.includes("world"))
		throw new Error(`got ${c.got}`);
});

await test("drain: idle connections and streams end, work is finished",
    async () => {
	const idle = await Raw.open(e.api);
	const busy = await Raw.open(e.api);
	const stream = await Raw.open(e.api);
	const late = await Raw.open(e.api);

	idle.write("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
	await idle.wait("a reply", () => idle.got.includes("world"));
	stream.write("GET /count?count=1&hold=1 HTTP/1.1\r\n" +
	    "Host: localhost\r\n\r\n");
	await stream.wait("an event", () => stream.got.includes("id: 1.1"));
	const { ws } = open("/count?count=1&hold=1");
	await deadline(once(ws, "open"), "open");
	const { opened } = await stats(e);
	busy.write("GET /late?ms=300 HTTP/1.1\r\nHost: localhost\r\n\r\n");
	late.write("GET /count?count=1&hold=1&ms=300 HTTP/1.1\r\n" +
	    "Host: localhost\r\n\r\n");
	await until("they are being worked on", async () =>
	    (await stats(e)).opened === opened + 2);
	const closing = once(ws, "close");
	e.child.stdin.write("d");
	const [code] = await deadline(closing, "close");
	if (code !== 1001)
		throw new Error(`close ${code}: who hears that may not return`);
	await idle.wait("the end", () => idle.closed);
	await stream.wait("the end", () => stream.closed);
	await busy.wait("the end", () => busy.closed);
	if (!busy.got.includes("world") ||
	    !busy.got.includes("Connection: close"))
		throw new Error(busy.got.toString());
	// A stream that begins now ends, too.
	await late.wait("the end", () => late.closed);
	if (!late.got.includes("id: 1.1"))
		throw new Error(late.got.toString());
});

await test("streams: the engine is well", () => e.stop());
