// Who is slow, who is many, and whether memory forgets.  In the first engine a
// second of ours is a hundred of its own.

import { execFile } from "node:child_process";
import fs from "node:fs";
import { promisify } from "node:util";
import { client_hello } from "../lib/hello.mjs";
import { Raw, deadline, get, start, stats, test, until } from "./engine.mjs";
import { END_HEADERS, END_STREAM, PREFACE, T, body, connect, frame, frames,
    request, u32, wait } from "./frames.mjs";

const run = promisify(execFile);
const fast = await start({ MN_FAST: "100" });

async function slow(name, port, bytes, text) {
	await test(`slow: ${name}`, async () => {
		const c = await Raw.open(port);
		c.write(bytes);
		await c.wait("the end", () => c.closed);
		if (text !== null && (text === "" ? c.got.length > 0 :
		    !c.got.includes(text)))
			throw new Error(c.got.toString());
	});
}

await slow("a head", fast.api, "GET /hello HTTP/1.1\r\nHost: loc", "408");
await slow("a first byte", fast.api, "", "");
await slow("the start of HTTP/2", fast.api, "PRI * HT", "");
await slow("a body", fast.api, "POST /echo HTTP/1.1\r\nHost: localhost\r\n" +
    "Content-Length: 9\r\n\r\nabc", "408");
await slow("a chunk", fast.api, "POST /echo HTTP/1.1\r\nHost: localhost\r\n" +
    "Transfer-Encoding: chunked\r\n\r\n9\r\nabc", "408");
await slow("an idle connection", fast.api, "GET /hello HTTP/1.1\r\n" +
    "Host: localhost\r\n\r\n", "world");
await slow("a TLS handshake", fast.tls, Buffer.from([0x16, 3, 1, 0]), "");
await slow("SETTINGS", fast.api, PREFACE, null);
await slow("a header block", fast.api, Buffer.concat([PREFACE,
    frame(T.SETTINGS, 0, 0), frame(T.HEADERS, END_STREAM, 1,
    request("GET", "/hello"))]), null);
await slow("an idle HTTP/2 connection", fast.api, Buffer.concat([PREFACE,
    frame(T.SETTINGS, 0, 0)]), null);
await test("slow: a gRPC message", async () => {
	const c = await connect(fast.runner);
	c.write(Buffer.concat([frame(T.HEADERS, END_HEADERS, 1,
	    request("POST", "/test.Echo/Bidi", [["content-type",
	    "application/grpc"]])), frame(T.DATA, 0, 1,
	    Buffer.from([0, 0, 0, 0, 9, 1]))]));
	await wait(c, "a status", (f) => f.type === T.HEADERS &&
	    (f.flags & END_STREAM) !== 0);
	c.end();
});

await test("slow: a gRPC stream that may be quiet is served when it speaks",
    async () => {
	const c = await connect(fast.runner);
	const open = (id, name) => frame(T.HEADERS, END_HEADERS, id,
	    request("POST", `/test.Echo/${name}`, [["content-type",
	    "application/grpc"]]));
	const ended = (id) => (f) => f.id === id && f.type === T.HEADERS &&
	    (f.flags & END_STREAM) !== 0;
	c.write(Buffer.concat([open(1, "Quiet"), open(3, "Bidi")]));
	await wait(c, "the end of the other", ended(3));
	c.write(frame(T.DATA, 0, 1, Buffer.alloc(5)));
	await wait(c, "an answer or the end", (f) => f.id === 1 &&
	    (f.type === T.DATA || ended(1)(f)));
	if (frames(c).some(ended(1)))
		throw new Error("the quiet one was ended, too");
	c.end();
});

await test("slow: a head, byte by byte for ever", async () => {
	const c = await Raw.open(fast.api);
	c.write("GET /hello HTTP/1.1\r\nX: ");
	const drip = setInterval(() => c.write("a"), 10);
	await c.wait("the end", () => c.closed);
	clearInterval(drip);
	if (!c.got.includes("408"))
		throw new Error(c.got.toString());
});

await test("slow: a body that was refused, for ever", async () => {
	const c = await Raw.open(fast.api);
	c.s.allowHalfOpen = true;
	c.write("POST /nowhere HTTP/1.1\r\nHost: localhost\r\n" +
	    "Content-Length: 9000000\r\n\r\n");
	const drip = setInterval(() => c.write("a"), 5);
	await deadline(new Promise((yes) => c.s.on("close", yes)), "the end");
	clearInterval(drip);
	if (!c.got.includes("404"))
		throw new Error(c.got.toString());
});

await test("slow: a body over HTTP/2", async () => {
	const c = await connect(fast.api);
	c.write(frame(T.HEADERS, END_HEADERS, 1, request("POST", "/echo")));
	if (!(await body(c, 1)).includes("timeout"))
		throw new Error("no 408");
	c.end();
});

await test("slow: who does not read is cut", async () => {
	const c = await Raw.open(fast.api);
	c.s.pause();
	c.write("GET /big?bytes=30000000 HTTP/1.1\r\nHost: localhost\r\n\r\n");
	await until("cut", async () => (await stats(fast)).conns <= 2);
	c.end();
});

await test("slow: who does not open the window is cut", async () => {
	const c = await connect(fast.api, Buffer.from([0, 4, 0, 0, 0, 0]));
	c.write(frame(T.HEADERS, END_HEADERS | END_STREAM, 1,
	    request("GET", "/big?bytes=1000")));
	await wait(c, "RST_STREAM", (f) => f.type === T.RST);
	c.end();
});

await test("slow: a stream that is quiet is not cut, and hears comments",
    async () => {
	const c = await Raw.open(fast.api);
	c.write("GET /count?count=1&hold=1 HTTP/1.1\r\nHost: localhost\r\n\r\n");
	await c.wait("ten beats", () =>
	    c.got.toString().split("\r\n:\n\n").length > 10);
	if (c.closed)
		throw new Error("closed");
	c.end();
});

await test("garbage on every port is nobody's business", async () => {
	for (const port of [fast.api, fast.tls, fast.runner, fast.runnertls])
		for (let i = 0; i < 60; i++) {
			const c = await Raw.open(port);
			c.write(Buffer.from(Array.from({ length: 1 + i * 7 },
			    () => Math.random() * 256)));
			c.s.end();
			await c.wait("the end", () => c.closed);
		}
	if ((await get(fast, "/hello")).status !== 200)
		throw new Error("not well");
});

await test("slow: the engine is well", () => fast.stop());

const few = await start({ MN_CONNS: "8" });

await test("many: the ninth connection of an address is told, and no other",
    async () => {
	const held = [];
	for (let i = 0; i < 8; i++)
		held.push(await Raw.open(few.api));
	const c = await Raw.open(few.api);
	await c.wait("the end", () => c.closed);
	const said = JSON.parse(c.got.toString().split("\r\n\r\n")[1]);
	if (said.code !== "unavailable" ||
	    !c.got.includes("503 Service Unavailable") ||
	    !c.got.includes("Retry-After"))
		throw new Error(c.got.toString());
	// Nobody reads its request, which resets the connection: no matter.
	for (let i = 0; i < 20; i++) {
		const { stdout } = await run("curl", ["-s", "-w", "%{http_code}",
		    `http://127.0.0.1:${few.api}/hello`]);
		if (!stdout.endsWith("503"))
			throw new Error(stdout);
	}
	held[0].write("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
	await held[0].wait("a reply", () => held[0].got.includes("world"));
	for (const h of held)
		h.end();
	await until("room again", async () =>
	    (await get(few, "/hello")).status === 200);
});

// Many programs do that.  Four seconds: who is silent for two is left alone.
await test("slow: who sends all of a body before it looks sees the refusal",
    async () => {
	const c = await Raw.open(few.api);
	let error = null;
	c.s.allowHalfOpen = true;
	c.s.on("error", (x) => error = x);
	c.write("POST /echo HTTP/1.1\r\nHost: localhost\r\n" +
	    "Content-Length: 9000000\r\n\r\n");
	for (let i = 0; i < 40 && error === null; i++) {
		c.write("x".repeat(1000));
		await new Promise((r) => setTimeout(r, 100));
	}
	if (error !== null || !c.got.includes("payload_too_large"))
		throw new Error(`${error}; got ${c.got}`);
	c.end();
});

await test("many: the local socket has that path", async () => {
	const { stdout } = await run("curl", ["-s", "--unix-socket", few.sock,
	    "http://localhost/local"]);
	if (!stdout.includes("world"))
		throw new Error(stdout);
});

await test("many: no descriptors: accepting stops and goes on", async () => {
	const { pid } = few.child;
	// What it holds now and three more.
	const held = fs.readdirSync(`/proc/${pid}/fd`).length + 3;
	await run("prlimit", [`--pid=${pid}`, `--nofile=${held}:4096`]);
	const cs = [];
	for (let i = 0; i < 6; i++)
		cs.push(await Raw.open(few.api));
	await until("it was said", () => few.log.includes("accept"));
	for (const c of cs)
		c.end();
	await run("prlimit", [`--pid=${pid}`, "--nofile=4096:4096"]);
	await until("it serves again", async () =>
	    (await get(few, "/hello")).status === 200);
});

await test("many: the engine is well", () => few.stop());

for (const [name, bytes] of [
    ["HTTP/1.1", "GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n"],
    ["HTTP/2", Buffer.concat([PREFACE, frame(T.SETTINGS, 0, 0),
    frame(T.HEADERS, END_HEADERS | END_STREAM, 1,
    request("GET", "/hello"))])]]) {
	const full = await start({ MN_FAST: "10", MN_CONN_MAX: "8" });

	await test(`full: idle connections of ${name} make room`, async () => {
		const held = [];
		for (let i = 0; i < 8; i++) {
			const c = await Raw.open(full.api);
			c.write(bytes);
			await c.wait("a reply", () => c.got.includes("world"));
			held.push(c);
		}
		// 75 of its seconds would be 7.5 of ours.
		await until("room", async () =>
		    (await get(full, "/hello")).status === 200, 3000);
		for (const c of held)
			c.end();
	});

	await test("full: the engine is well", () => full.stop());
}

const crowded = await start({ MN_CONNS: "600" });

await test("many: who is here is served between the handshakes of a crowd",
    async () => {
	const N = 500, { pid } = crowded.child, hello = await client_hello();
	const here = await Raw.open(crowded.api), crowd = [];

	for (let i = 0; i < N; i++)
		crowd.push(await Raw.open(crowded.tls));
	await until("all to be accepted", async () =>
	    (await stats(crowded)).conns > N);
	process.kill(pid, "SIGSTOP");
	await Promise.all(crowd.map((c) =>
	    new Promise((ok) => c.s.write(hello, ok))));
	here.write("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
	let begun = null;
	const answer = here.wait("a reply", () => here.got.includes("world"))
	    .then(() => begun = crowd.filter((c) => c.got.length > 0).length);
	process.kill(pid, "SIGCONT");
	await answer;
	if (begun > N / 2)
		throw new Error(`${begun} of ${N} came first`);
	await until("all others to have their turn", () =>
	    crowd.every((c) => c.got.length > 0));
	for (const c of [here, ...crowd])
		c.end();
});

await test("many: the crowd's engine is well", () => crowded.stop());

// What a process has in its writable memory, as one string.
function memory(pid) {
	const out = [];
	const fd = fs.openSync(`/proc/${pid}/mem`, "r");

	for (const line of fs.readFileSync(`/proc/${pid}/maps`, "latin1")
	    .split("\n")) {
		const m = /^([0-9a-f]+)-([0-9a-f]+) rw/.exec(line);
		if (m === null)
			continue;
		const from = BigInt(`0x${m[1]}`);
		const buf = Buffer.alloc(Number(BigInt(`0x${m[2]}`) - from));
		try {
			fs.readSync(fd, buf, 0, buf.length, from);
			out.push(buf);
		} catch {
			// vvar and its like cannot be read.
		}
	}
	fs.closeSync(fd);
	return Buffer.concat(out);
}

if (process.env.MN_BUILD !== "san") {
	const e = await start();

	await test("memory: a key that came through is nowhere afterwards",
	    async () => {
		const key = "sk-canary-".concat("0123456789abcdef".repeat(4));
		const json = JSON.stringify({ api_key: key, pad:
		    "x".repeat(9000) });
		const url = (p, s) => `http${s ? "s" : ""}://127.0.0.1:${p}/secret`;
		const ways = [["--http1.1", url(e.api)],
		    ["--http2-prior-knowledge", url(e.api)],
		    ["--http1.1", url(e.tls, 1)], ["--http2", url(e.tls, 1)],
		    ["--http1.1", "-H", "Transfer-Encoding: chunked",
		    url(e.api)], ["--http1.1", "--unix-socket", e.sock,
		    "http://localhost/secret"]];

		for (const way of ways)
			for (const data of [key, json]) {
				const { stdout } = await run("curl", ["-sk",
				    "-w", "%{http_code}", "-H", `Authorization: ${
				    key}`, "-d", data, ...way]);
				if (stdout !== "204")
					throw new Error(`${way}: ${stdout}`);
			}
		await until("all connections are gone", async () =>
		    (await stats(e)).conns <= 1);
		const mem = memory(e.child.pid);
		if (!mem.includes(e.sock))
			throw new Error("the test cannot see the memory");
		for (const part of [key, key.slice(10, 42)])
			if (mem.includes(part))
				throw new Error("it is still there");
	});
	await test("memory: the engine is well", () => e.stop());
}
