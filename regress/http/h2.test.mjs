// HTTP/2: with curl, nghttp and h2load, then frames by hand: what is malformed,
// what floods, what is too much.

import { execFile } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import net from "node:net";
import { Duplex } from "node:stream";
import tls from "node:tls";
import { promisify } from "node:util";
import { Raw, get, start, stats, test, until } from "./engine.mjs";
import { END_HEADERS, END_STREAM, PREFACE, T, block, body, connect, frame,
    frames, goaway, request, reset, u32, wait } from "./frames.mjs";

const run = promisify(execFile);
const e = await start();
const BOTH = END_HEADERS | END_STREAM;
const PROTOCOL_ERROR = 1, FLOW_CONTROL_ERROR = 3, FRAME_SIZE_ERROR = 6,
    REFUSED = 7, COMPRESSION_ERROR = 9, CALM = 11;

async function alive() {
	const c = await connect(e.api);
	c.write(frame(T.HEADERS, BOTH, 1, request("GET", "/hello")));
	if (await body(c, 1) !== '{"hello":"world"}\n')
		throw new Error("no reply");
	c.end();
}

async function expect(name, block_, flags, text) {
	const c = await connect(e.api);
	c.write(frame(T.HEADERS, flags, 1, block_));
	const got = await body(c, 1);
	if (!got.includes(text))
		throw new Error(`${name}: ${got}`);
	c.end();
}

await test("h2: prior knowledge, a reply", alive);

await test("h2: curl over TLS by ALPN, a body of 1 MiB", async () => {
	const { stdout } = await run("sh", ["-c",
	    "head -c 1048576 /dev/zero | curl -sk --http2 --data-binary @- -o " +
	    "/dev/null -w '%{http_version} %{http_code} %{size_download}' " +
	    `-H Expect: https://127.0.0.1:${e.tls}/echo`]);
	if (stdout !== "2 200 1048576")
		throw new Error(stdout);
});

await test("h2: curl: a body that is too large is 413", async () => {
	const { stdout } = await run("sh", ["-c",
	    "head -c 1048577 /dev/zero | curl -sk --http2 --data-binary @- " +
	    `-w ' %{http_code}' https://127.0.0.1:${e.tls}/echo`]);
	if (!stdout.endsWith(" 413") || !stdout.includes("payload_too_large"))
		throw new Error(stdout);
});

await test("h2: nghttp gets a hundred at once", async () => {
	const urls = Array.from({ length: 100 }, (_, i) =>
	    `http://127.0.0.1:${e.api}/items/${i}`);
	const { stdout } = await run("nghttp", urls);
	const n = stdout.match(/^arg=\d+$/gm).length;
	if (n !== 100)
		throw new Error(`${n} replies`);
});

await test("h2: h2load sees no failure", async () => {
	for (const args of [["-c", "8", "-m", "50"], ["--h1", "-c", "8"]]) {
		const { stdout } = await run("h2load", ["-n", "4000", ...args,
		    `https://127.0.0.1:${e.tls}/big?bytes=3000`]);
		if (!stdout.includes("4000 succeeded, 0 failed, 0 errored"))
			throw new Error(stdout);
	}
});

await test("h2: HEAD has the length and no body", async () => {
	const { stdout } = await run("curl", ["-sI", "--http2-prior-knowledge",
	    `http://127.0.0.1:${e.api}/hello`]);
	if (!/^HTTP\/2 200/.test(stdout) ||
	    !/content-length: 18/.test(stdout))
		throw new Error(stdout);
});

await test("h2: nor has the refusal of a HEAD", async () => {
	const c = await connect(e.api);
	c.write(frame(T.HEADERS, BOTH, 1, request("HEAD", "/hello",
	    [["authorization", "a"], ["authorization", "b"]])));
	const got = await body(c, 1);
	if (got !== "")
		throw new Error(got);
	c.end();
});

await test("h2: bytes one by one", async () => {
	const c = await Raw.open(e.api);
	const all = Buffer.concat([PREFACE, frame(T.SETTINGS, 0, 0),
	    frame(T.HEADERS, END_HEADERS, 1, request("POST", "/echo")),
	    frame(T.DATA, 0, 1, Buffer.from("hel")),
	    frame(T.DATA, END_STREAM, 1, Buffer.from("lo"))]);
	for (const b of all) {
		c.write(Buffer.from([b]));
		await new Promise((r) => setImmediate(r));
	}
	if (await body(c, 1) !== "hello")
		throw new Error("no echo");
	c.end();
});

await test("h2: trailers of a request are dropped", async () => {
	const c = await connect(e.api);
	c.write(Buffer.concat([
	    frame(T.HEADERS, END_HEADERS, 1, request("POST", "/echo")),
	    frame(T.DATA, 0, 1, Buffer.from("ok")),
	    frame(T.HEADERS, BOTH, 1, block([["x-trailer", "1"]]))]));
	if (await body(c, 1) !== "ok")
		throw new Error("no echo");
	c.end();
});

await test("h2: who waits to be told to send a body is told", async () => {
	const c = await connect(e.api);
	c.write(frame(T.HEADERS, END_HEADERS, 1, request("POST", "/echo",
	    [["expect", "100-continue"]])));
	const f = await wait(c, "100", (g) => g.id === 1, 10000);
	if (f.type !== T.HEADERS || (f.flags & END_STREAM) !== 0)
		throw new Error(`${f.type}/${f.flags}`);
	c.write(frame(T.DATA, END_STREAM, 1, Buffer.from("ok")));
	if (await body(c, 1) !== "ok")
		throw new Error("no echo");
	c.end();
	await expect("417", request("POST", "/echo", [["expect", "money"]]),
	    END_HEADERS, "expectation_failed");
});

await test("h2: Host beside :authority", async () => {
	await expect("the same", request("GET", "/hello",
	    [["host", "localhost"]]), BOTH, "world");
	await expect("another", request("GET", "/hello",
	    [["host", "evil.example"]]), BOTH, "bad_request");
});

await test("h2: refusals are the same as in HTTP/1.1", async () => {
	await expect("404", request("GET", "/nowhere"), BOTH, "not_found");
	await expect("405", request("POST", "/hello"), BOTH, "method_not");
	await expect("501", request("BREW", "/hello"), BOTH, "not_implemented");
	await expect("400", request("GET", "/items/%ff"), BOTH, "bad_request");
	await expect("431", request("GET", "/hello",
	    Array.from({ length: 101 }, (_, i) => [`x-${i}`, "y"])), BOTH,
	    "headers_too_large");
	await expect("414", request("GET", "/" + "a".repeat(9000)), BOTH,
	    "uri_too_long");
	await expect("403", request("POST", "/echo", [["origin",
	    "http://evil.example"]]), BOTH, "forbidden");
	await expect("twice", request("GET", "/hello",
	    [["authorization", "a"], ["authorization", "b"]]), BOTH, "twice");
	await expect("421", block([[":method", "GET"], [":scheme", "http"],
	    [":path", "/hello"], [":authority", "evil.example"]]), BOTH,
	    "misdirected");
});

await test("h2: malformed requests are reset", async () => {
	const bad = {
		"no path": block([[":method", "GET"], [":scheme", "http"],
		    [":authority", "localhost"]]),
		"upper case": request("GET", "/hello", [["X-Y", "z"]]),
		"connection": request("GET", "/hello", [["connection", "x"]]),
		"chunked": request("POST", "/echo",
		    [["transfer-encoding", "chunked"]]),
		"a NUL": request("GET", "/hello", [["x", "a\0b"]]),
		"a newline": request("GET", "/hello", [["x", "a\r\nb: c"]]),
		"a late pseudo header": Buffer.concat([
		    request("GET", "/hello", [["x", "y"]]),
		    block([[":path", "/other"]])]),
		"two paths": request("GET", "/hello", [[":path", "/other"]]),
	};
	for (const [name, b] of Object.entries(bad)) {
		const c = await connect(e.api);
		c.write(frame(T.HEADERS, BOTH, 1, b));
		const code = await reset(c, 1);
		if (code !== PROTOCOL_ERROR)
			throw new Error(`${name}: ${code}`);
		c.end();
	}
});

await test("h2: a content-length that is not the body's", async () => {
	for (const [len, data] of [["5", "ok"], ["1", "ok"]]) {
		const c = await connect(e.api);
		c.write(Buffer.concat([frame(T.HEADERS, END_HEADERS, 1,
		    request("POST", "/echo", [["content-length", len]])),
		    frame(T.DATA, END_STREAM, 1, Buffer.from(data))]));
		if (await reset(c, 1) !== PROTOCOL_ERROR)
			throw new Error(len);
		c.end();
	}
});

await test("h2: broken framing ends the connection, and says why", async () => {
	const bad = [
		[frame(T.DATA, 0, 0, Buffer.from("x")), PROTOCOL_ERROR],
		[frame(T.HEADERS, BOTH, 2, request("GET", "/hello")),
		    PROTOCOL_ERROR],
		[frame(T.HEADERS, BOTH, 1, Buffer.from([0xff, 0xff, 0xff, 0xff,
		    0xff, 0xff])), COMPRESSION_ERROR],
		[frame(T.SETTINGS, 0, 0, Buffer.alloc(5)), FRAME_SIZE_ERROR],
		[frame(T.PING, 0, 0, Buffer.alloc(7)), FRAME_SIZE_ERROR],
		[frame(T.WINDOW, 0, 0, u32(0)), PROTOCOL_ERROR],
		[Buffer.concat([frame(T.WINDOW, 0, 0, u32(0x7fffffff)),
		    frame(T.WINDOW, 0, 0, u32(0x7fffffff))]),
		    FLOW_CONTROL_ERROR],
		[frame(T.PUSH, END_HEADERS, 1, Buffer.alloc(4)),
		    PROTOCOL_ERROR],
		[frame(T.CONTINUATION, END_HEADERS, 1), PROTOCOL_ERROR],
		[Buffer.concat([frame(T.HEADERS, 0, 1,
		    request("GET", "/hello")), frame(T.PING, 0, 0,
		    Buffer.alloc(8))]), PROTOCOL_ERROR],
		[frame(T.DATA, 0, 1, Buffer.alloc(16385)), FRAME_SIZE_ERROR],
	];
	for (const [i, [bytes, want]] of bad.entries()) {
		const c = await connect(e.api);
		c.write(bytes);
		const code = await goaway(c);
		if (code !== want)
			throw new Error(`case ${i}: ${code}, not ${want}`);
	}
	await alive();
});

await test("h2: a preface that goes wrong after its start", async () => {
	const c = await Raw.open(e.api);
	c.write(Buffer.concat([PREFACE, Buffer.from("GET / HTTP/1.1\r\n\r\n")]));
	await c.wait("the end", () => c.closed);
});

await test("h2: PING flood", async () => {
	const c = await connect(e.api);
	const pings = Buffer.concat(Array(2000).fill(frame(T.PING, 0, 0,
	    Buffer.alloc(8))));
	c.write(pings);
	if (await goaway(c) !== CALM)
		throw new Error("not calmed");
	await alive();
});

await test("h2: SETTINGS flood", async () => {
	const c = await connect(e.api);
	c.write(Buffer.concat(Array(3000).fill(frame(T.SETTINGS, 0, 0))));
	await goaway(c);
	await alive();
});

await test("h2: rapid reset", async () => {
	const c = await connect(e.api);
	const out = [];
	for (let id = 1; id < 6000; id += 2)
		out.push(frame(T.HEADERS, BOTH, id, request("GET", "/late")),
		    frame(T.RST, 0, id, u32(8)));
	c.write(Buffer.concat(out));
	await goaway(c);
	if ((await stats(e)).opened > 1100)
		throw new Error("too many were begun");
	await alive();
});

await test("h2: empty DATA flood", async () => {
	const c = await connect(e.api);
	c.write(frame(T.HEADERS, END_HEADERS, 1, request("POST", "/echo")));
	c.write(Buffer.concat(Array(3000).fill(frame(T.DATA, 0, 1))));
	if (await goaway(c) !== CALM)
		throw new Error("not calmed");
});

await test("h2: CONTINUATION flood", async () => {
	const c = await connect(e.api);
	c.write(frame(T.HEADERS, 0, 1, request("GET", "/hello")));
	c.write(Buffer.concat(Array(5000).fill(frame(T.CONTINUATION, 0, 1,
	    block([["x", "y"]])))));
	await c.wait("the end", () => c.closed);
	await alive();
});

// A field of 3,500 bytes in the dynamic table (RFC 7541 6.2.1), and then its
// index as often as a block of 16 kB has room: 56 MB a request.
await test("h2: HPACK bomb: refused, without the memory", async () => {
	const kb = () => Number(/^VmRSS:\s+(\d+)/m.exec(fs.readFileSync(
	    `/proc/${e.child.pid}/status`, "utf8"))[1]);
	const before = kb();
	const c = await connect(e.api);
	const seed = block([["x-bomb", "b".repeat(3500)]]);
	seed[0] = 0x40;
	c.write(frame(T.HEADERS, BOTH, 1, Buffer.concat([
	    request("GET", "/hello"), seed])));
	await body(c, 1);
	for (let id = 3; id < 43; id += 2) {
		c.write(frame(T.HEADERS, BOTH, id, Buffer.concat([
		    request("GET", "/hello"), Buffer.alloc(16000, 0xbe)])));
		const end = await wait(c, "the refusal", (f) => f.id === id &&
		    (f.type === T.RST || f.flags & END_STREAM));
		if (end.type !== T.RST && !(await body(c, id))
		    .includes("headers_too_large"))
			throw new Error(await body(c, id));
	}
	await alive();
	if (kb() > before + 8 * 1024)
		throw new Error(`${before} to ${kb()} KB`);
	c.end();
});

await test("h2: the 101st stream at once is refused", async () => {
	// As long as we have not said that we know the limit; then it is a
	// broken connection.
	const c = await connect(e.api);
	const out = [];
	for (let i = 0; i <= 100; i++)
		out.push(frame(T.HEADERS, BOTH, 2 * i + 1,
		    request("GET", "/late?ms=500")));
	c.write(Buffer.concat(out));
	if (await reset(c, 201) !== REFUSED)
		throw new Error("not refused");
	for (let i = 0; i < 100; i++)
		await body(c, 2 * i + 1);
	c.end();
});

await test("h2: the client's window is kept to", async () => {
	// SETTINGS_INITIAL_WINDOW_SIZE 100
	const c = await connect(e.api, Buffer.from([0, 4, 0, 0, 0, 100]));
	c.write(frame(T.HEADERS, BOTH, 1, request("GET", "/big?bytes=250")));
	await wait(c, "data", (f) => f.type === T.DATA);
	await alive();
	const sum = () => frames(c).filter((f) => f.type === T.DATA)
	    .reduce((n, f) => n + f.data.length, 0);
	if (sum() !== 100)
		throw new Error(`${sum()} bytes`);
	c.write(frame(T.WINDOW, 0, 1, u32(1000)));
	if ((await body(c, 1)).length !== 250)
		throw new Error("the rest");
	c.end();
});

await test("h2: a reply to a stream that was reset is dropped", async () => {
	const before = await stats(e);
	const c = await connect(e.api);
	c.write(Buffer.concat([frame(T.HEADERS, BOTH, 1,
	    request("GET", "/late?ms=200")), frame(T.RST, 0, 1, u32(8))]));
	await until("closed once", async () =>
	    (await stats(e)).closed === before.closed + 1);
	c.write(frame(T.HEADERS, BOTH, 3, request("GET", "/late?ms=300")));
	if (await body(c, 3) !== '{"hello":"world"}\n')
		throw new Error("no reply");
	c.end();
});

await test("h2: garbage of all kinds", async () => {
	const rnd = (n) => Math.floor(Math.random() * n);
	for (let i = 0; i < 200; i++) {
		const c = await connect(e.api);
		const out = [frame(T.HEADERS, BOTH, 1, request("GET", "/late"))];
		for (let k = 0; k < 10; k++)
			out.push(frame(rnd(12), rnd(256), rnd(8), Buffer.from(
			    Array.from({ length: rnd(60) }, () => rnd(256)))));
		c.write(Buffer.concat(out));
		c.s.end();
		await c.wait("the end", () => c.closed);
	}
	await alive();
});

await test("h2: a secret ends its connection, over TLS", async () => {
	const { stdout } = await run("curl", ["-sk", "--http2", "-o",
	    "/dev/null", "-d", "x", "-w", "%{num_connects} ",
	    `https://127.0.0.1:${e.tls}/secret`, "--next", "-sk", "--http2",
	    "-o", "/dev/null", "-w", "%{num_connects}",
	    `https://127.0.0.1:${e.tls}/hello`]);
	if (stdout !== "1 1")
		throw new Error(stdout);
});

// A client asks again, elsewhere, for all that GOAWAY leaves out.
await test("h2: what GOAWAY leaves out was not begun", async () => {
	const s = tls.connect({ port: e.tls, rejectUnauthorized: false,
	    ALPNProtocols: ["h2"] });
	await once(s, "secureConnect");
	const c = new Raw(s), { opened } = await stats(e);
	c.write(Buffer.concat([PREFACE, frame(T.SETTINGS, 0, 0),
	    frame(T.HEADERS, BOTH, 1, request("POST", "/secret")),
	    frame(T.HEADERS, BOTH, 3, request("GET", "/late"))]));
	const last = (await wait(c, "GOAWAY", (f) => f.type === T.GOAWAY))
	    .data.readUInt32BE(0);
	await c.wait("the end", () => c.closed);
	const begun = (await stats(e)).opened - opened;
	if (begun !== (last < 3 ? 0 : 1))
		throw new Error(`last is ${last}, begun were ${begun}`);
});

// A TLS client that answers the server's hello when it is told to go on.
async function handshake(port) {
	const s = net.connect(port, "127.0.0.1");
	let held = null, writes = 0;
	const pipe = new Duplex({ read() {}, write(d, _, done) {
		if (++writes === 2)
			held = () => s.write(d, done);
		else
			s.write(d, done);
	} });
	s.on("data", (d) => pipe.push(d)).on("end", () => pipe.push(null));
	const c = new Raw(tls.connect({ socket: pipe,
	    rejectUnauthorized: false, ALPNProtocols: ["h2"] }));
	await until("the server's hello", () => held !== null);
	c.go_on = held;
	return c;
}

await test("h2: drain", async () => {
	const c = await connect(e.api);
	c.write(frame(T.HEADERS, BOTH, 1, request("GET", "/late?ms=300")));
	const { opened } = await stats(e);
	await until("it is being worked on", async () =>
	    (await stats(e)).opened >= opened);
	const half = await handshake(e.tls);
	await (await get(e, "/hello")).text();
	e.child.stdin.write("d");
	if (await goaway(c) !== 0 || !(await body(c, 1)).includes("world"))
		throw new Error("not drained well");
	half.go_on();
	await half.wait("the end of who was not here yet", () => half.closed,
	    5000);
});

await test("h2: the engine is well", () => e.stop());
