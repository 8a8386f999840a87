// What costs the sender little and us much, over HTTP/2: each ends with the
// right code, in bounded memory, and others are served meanwhile.

import fs from "node:fs";
import { Raw, get, start, stats, test, until } from "./engine.mjs";
import { END_HEADERS, END_STREAM, T, block, body, connect, frame, frames,
    goaway, request, u32, wait } from "./frames.mjs";

let e = await start();
const BOTH = END_HEADERS | END_STREAM;
const CALM = 11, REFUSED = 7;
const MB = 1024;

// A sanitizer keeps what is freed: nothing to measure.
function rss() {
	if (process.env.MN_BUILD === "san")
		return 0;
	const s = fs.readFileSync(`/proc/${e.child.pid}/status`, "latin1");
	return Number(/VmRSS:\s+(\d+)/.exec(s)[1]);
}

// What an engine has freed it may keep, and growth would not be seen.
async function fresh() {
	await e.stop();
	e = await start();
}

// Runs f; how many KB the engine grew, while others had their answers.
async function growth(f) {
	const was = rss();
	const r = await f();
	const grown = rss() - was;

	if (await (await get(e, "/hello")).text() !== '{"hello":"world"}\n')
		throw new Error("another client got no answer");
	return [grown, r];
}

// The server made to reset streams whose work it has begun is a rapid reset,
// too: by a window that overflows, by data after the end.
for (const [name, provoke] of [
    ["a window that overflows", (id) => frame(T.WINDOW, 0, id,
	u32(0x7fffffff))],
    ["data after the end", (id) => frame(T.DATA, 0, id, Buffer.from("x"))],
    ["a second head", (id) => frame(T.HEADERS, END_HEADERS, id,
	request("GET", "/hello"))]])
	await test(`attack: resets provoked by ${name}`, async () => {
		const before = (await stats(e)).opened;
		const c = await connect(e.api);
		for (let id = 1; id < 6000 && !c.closed; id += 2) {
			c.write(Buffer.concat([frame(T.HEADERS, BOTH, id,
			    request("GET", "/late?ms=5000")), provoke(id)]));
			if (id % 100 === 1)
				await new Promise((r) => setImmediate(r));
		}
		const code = await goaway(c);
		const n = (await stats(e)).opened - before;
		if (n > 1500)
			throw new Error(`${n} were begun`);
		if (name === "a window that overflows" && code !== CALM)
			throw new Error(`code ${code}`);
	});

await test("attack: malformed heads without end", async () => {
	const c = await connect(e.api);
	for (let id = 1; id < 6000 && !c.closed; id += 2) {
		c.write(frame(T.HEADERS, BOTH, id, request("GET", "/hello",
		    [["X-Y", "z"]])));
		if (id % 100 === 1)
			await new Promise((r) => setImmediate(r));
	}
	if (await goaway(c) !== CALM)
		throw new Error("not calmed");
});

await test("attack: a PRIORITY flood", async () => {
	const c = await connect(e.api);
	c.write(Buffer.concat(Array.from({ length: 3000 }, (_, i) =>
	    frame(T.PRIORITY, 0, 2 * i + 1, Buffer.from([0, 0, 0, 0, 16])))));
	if (await goaway(c) !== CALM)
		throw new Error("not calmed");
});

// nghttp2 1.52 goes on behind some frames at which it was told to end, and a
// frame of a wrong size is then more than it believes possible.
for (const [name, cheap] of [["empty DATA", frame(T.DATA, 0, 1)],
    ["PING", frame(T.PING, 0, 0, Buffer.alloc(8))],
    ["PRIORITY", frame(T.PRIORITY, 0, 3, Buffer.from([0, 0, 0, 0, 16]))],
    ["SETTINGS", frame(T.SETTINGS, 0, 0)],
    ["RST_STREAM", frame(T.RST, 0, 1, u32(8))],
    ["WINDOW_UPDATE of nothing", frame(T.WINDOW, 0, 1, u32(0))]])
	for (const size of [0, 6])
		await test(`attack: ${name} without end, and a frame of a ` +
		    `wrong size, ${size}`, async () => {
			const c = await connect(e.api);
			c.write(Buffer.concat([frame(T.HEADERS, END_HEADERS, 1,
			    request("POST", "/echo")),
			    ...Array.from({ length: 1100 }, () => cheap),
			    frame(T.PRIORITY, 0, 1, Buffer.alloc(size)),
			    ...Array.from({ length: 100 }, () => cheap)]));
			await goaway(c);
			await growth(async () => {});
		});

// One entry of the table, referred to by a byte each time.
const first = Buffer.concat([Buffer.from([0x40]),
    block([["accept", "a".repeat(160)]]).subarray(1)]);
const tiny = Buffer.from([0x82, 0x84, 0x86, 0x41, 1, 0x78]);
const again = (n) => Buffer.alloc(n, 0x80 | 62);

await test("attack: a field of a list, 95 times by a byte each: memory",
    async () => {
	await fresh();
	const cs = [];
	const [grown] = await growth(async () => {
		for (let k = 0; k < 4; k++) {
			const c = await connect(e.api);
			cs.push(c);
			for (let i = 0; i < 90; i++)
				c.write(frame(T.HEADERS, END_HEADERS, 2 * i + 1,
				    Buffer.concat([request("POST", "/echo"),
				    i === 0 ? first : again(1), again(90)])));
			c.write(frame(T.PING, 0, 0, Buffer.alloc(8)));
			await wait(c, "the PING's answer",
			    (f) => f.type === T.PING);
		}
	});
	if (grown > 40 * MB)
		throw new Error(`${grown} KB more`);
	// They are requests all the same.
	cs[0].write(frame(T.DATA, END_STREAM, 1, Buffer.from("ok")));
	if (await body(cs[0], 1) !== "ok")
		throw new Error("no echo");
	cs.forEach((c) => c.end());
});

await test("attack: heads that wait for bodies count as bodies do",
    async () => {
	await fresh();
	const cs = [], sent = [];
	let told = false;
	for (let i = 0; i < 99; i++)
		sent.push(frame(T.HEADERS, END_HEADERS, 2 * i + 1,
		    Buffer.concat([request("POST", "/echo"),
		    i === 0 ? first : again(1), again(90)])));
	sent.push(frame(T.PING, 0, 0, Buffer.alloc(8)));
	const all = Buffer.concat(sent);
	for (let k = 0; k < 250 && !told; k++) {
		const c = await connect(e.api);
		cs.push(c);
		c.write(all);
		await wait(c, "the PING's answer", (f) => f.type === T.PING);
		told = frames(c).some((f) => f.type === T.DATA &&
		    f.data.includes("too many requests are being received"));
	}
	if (!told || rss() > 250 * MB)
		throw new Error(`${rss()} KB with ${cs.length} connections`);
	// From another address a body is taken as ever.
	const other = await Raw.open(e.api, "127.0.0.2");
	other.write("POST /echo HTTP/1.1\r\nHost: localhost\r\n" +
	    "Content-Length: 5\r\n\r\nhello");
	await other.wait("its answer", () => other.got.includes("\r\n\r\n"));
	if (!other.got.toString().endsWith("\r\n\r\nhello"))
		throw new Error(`another client: ${other.got}`);
	other.end();
	cs.forEach((c) => c.end());
	await until("they count no more", async () =>
	    (await stats(e)).bodies === 0);
});

await test("attack: windows that stay shut: memory, and others' streams",
    async () => {
	await fresh();
	const cs = [];
	const [grown] = await growth(async () => {
		for (let k = 0; k < 10; k++) {
			const c = await connect(e.api,
			    Buffer.from([0, 4, 0, 0, 0, 0]));
			cs.push(c);
			for (let i = 0; i < 100; i++)
				c.write(frame(T.HEADERS, BOTH, 2 * i + 1,
				    request("GET", "/big?bytes=200000")));
			c.write(frame(T.PING, 0, 0, Buffer.alloc(8)));
			await wait(c, "the PING's answer",
			    (f) => f.type === T.PING);
		}
	});
	if (grown > 110 * MB)
		throw new Error(`${grown} KB more`);
	if (!frames(cs[9]).some((f) => f.type === T.RST &&
	    f.data.readUInt32BE(0) === REFUSED))
		throw new Error("none was refused");
	// Who reads gets all that it asks for, one after the other.
	const c = await connect(e.api);
	for (let i = 0; i < 10; i++) {
		c.write(frame(T.HEADERS, BOTH, 2 * i + 1,
		    request("GET", "/big?bytes=5000")));
		if ((await body(c, 2 * i + 1)).length !== 5000)
			throw new Error("not all of it");
	}
	c.end();
	cs.forEach((x) => x.end());
	await until("their connections are gone", async () =>
	    (await stats(e)).conns <= 2);
});

// All are asked for before the first answer comes.
for (const [name, conns, calls, target, most] of [
    ["late answers", 10, 100, "/big?bytes=200000", 110],
    ["late answers, on many connections", 250, 4, "/big?bytes=1000000", 330],
    ["streams", 10, 100, "/count?count=9999&pad=1000", 180]])
	await test(`attack: windows that stay shut, and ${name}`, async () => {
		await fresh();
		const cs = [];
		const [grown] = await growth(async () => {
			for (let k = 0; k < conns; k++) {
				const c = await connect(e.api,
				    Buffer.from([0, 4, 0, 0, 0, 0]));
				cs.push(c);
				for (let i = 0; i < calls; i++)
					c.write(frame(T.HEADERS, BOTH,
					    2 * i + 1, request("GET",
					    `${target}&ms=3000`)));
			}
			await Promise.all(cs.map(async (c) => {
				await wait(c, "an answer's head", (f) =>
				    f.type === T.HEADERS || f.type === T.RST);
				c.write(frame(T.PING, 0, 0, Buffer.alloc(8)));
				await wait(c, "the PING's answer",
				    (f) => f.type === T.PING);
			}));
		});
		if (grown > most * MB)
			throw new Error(`${grown} KB more`);
		if (!cs.some((c) => frames(c).some((f) => f.type === T.RST &&
		    f.data.readUInt32BE(0) === CALM)))
			throw new Error("none was cut");
		const c = await connect(e.api, undefined, "127.0.0.2");
		c.write(frame(T.HEADERS, BOTH, 1,
		    request("GET", "/big?bytes=60000")));
		if ((await body(c, 1)).length !== 60000)
			throw new Error("another address was not served");
		c.end();
		cs.forEach((x) => x.end());
		await until("their connections are gone", async () =>
		    (await stats(e)).conns <= 2);
	});

await test("attack: answers over HTTP/1.1 that nobody reads", async () => {
	await fresh();
	const cs = [];
	for (let k = 0; k < 120; k++) {
		const c = await Raw.open(e.api);
		c.s.pause();
		cs.push(c);
	}
	const [grown] = await growth(async () => {
		const before = (await stats(e)).opened;
		for (const c of cs)
			c.write("GET /big?bytes=6000000&ms=1000 HTTP/1.1\r\n" +
			    "Host: localhost\r\n\r\n");
		await until("all are asked for", async () =>
		    (await stats(e)).opened - before === cs.length);
		await until("all are answered", async () =>
		    (await stats(e)).late === 0);
	});
	if (grown > 330 * MB)
		throw new Error(`${grown} KB more`);
	cs.forEach((x) => x.end());
});

// On the runner port calls that wait for their message, on the other requests
// that wait for their body: neither needs a credential.
const GRPC = [["content-type", "application/grpc"]];
for (const [name, port, n, sent, call, said] of [
    ["calls", "runner", 256,
	request("POST", "/grpc.health.v1.Health/Check", GRPC),
	request("POST", "/test.Echo/Bidi", GRPC), "\0\0\0\0\x02ok"],
    ["requests", "api", 100, request("POST", "/echo"),
	request("POST", "/echo"), "ok"]])
	await test(`attack: all ${name} that there may be, from one address`,
	    async () => {
		const ALL = 10000 + 2 * 300, cs = [];
		await e.stop();
		e = await start({ MN_CONN_MAX: "300" });
		const begin = Buffer.concat([...Array.from({ length: n },
		    (_, i) => frame(T.HEADERS, END_HEADERS, 2 * i + 1, sent)),
		    frame(T.PING, 0, 0, Buffer.alloc(8))]);
		for (let k = 0; k * n <= ALL; k++) {
			const c = await connect(e[port]);
			cs.push(c);
			c.write(begin);
			await wait(c, "the PING's answer",
			    (f) => f.type === T.PING);
		}
		if (!frames(cs.at(-1)).some((f) => f.type === T.RST &&
		    f.data.readUInt32BE(0) === REFUSED))
			throw new Error("none was refused");
		const other = await connect(e[port], undefined, "127.0.0.2");
		other.write(Buffer.concat([frame(T.HEADERS, END_HEADERS, 1,
		    call), frame(T.DATA, END_STREAM, 1, Buffer.from(said))]));
		if (await body(other, 1) !== said)
			throw new Error("another address was not served");
		other.end();
		cs.forEach((c) => c.end());
		// They count no more.
		await until("room for that address", async () =>
		    (await stats(e)).conns <= 1);
		const c = await connect(e[port]);
		c.write(Buffer.concat([frame(T.HEADERS, END_HEADERS, 1, call),
		    frame(T.DATA, END_STREAM, 1, Buffer.from(said))]));
		if (await body(c, 1) !== said)
			throw new Error("no room again");
		c.end();
	});

// What the kernel holds of the engine's for a client.
function unsent(c) {
	const hex = (n) => `:${n.toString(16).toUpperCase().padStart(4, "0")}`;
	const line = fs.readFileSync("/proc/net/tcp", "latin1").split("\n")
	    .map((l) => l.trim().split(/\s+/)).find((w) =>
	    w[1]?.endsWith(hex(e.api)) && w[2].endsWith(hex(c.s.localPort)));

	return line === undefined ? 0 : parseInt(line[4], 16);
}

await test("attack: refusals that are not read do not pile up", async () => {
	await fresh();
	const c = await connect(e.api);
	c.s.pause();
	const before = await stats(e);
	c.write(Buffer.concat([frame(T.WINDOW, 0, 0, u32(0x70000000)),
	    frame(T.SETTINGS, 0, 0, Buffer.from([0, 4, 0x7f, 0xff, 0xff,
	    0xff])), frame(T.HEADERS, BOTH, 1,
	    request("GET", "/big?bytes=30000000")), ...Array.from(
	    { length: 99 }, (_, i) => frame(T.HEADERS, END_HEADERS, 2 * i + 3,
	    request("POST", "/echo"))), frame(T.DATA, 0, 199,
	    Buffer.from("x"))]));
	await until("its requests are there", async () =>
	    (await stats(e)).bodies > before.bodies);
	// Each PING is a reason to try again.
	let same = 0, last = 0;
	await until("the way out to be full", async () => {
		c.write(frame(T.PING, 0, 0, Buffer.alloc(8)));
		await (await get(e, "/hello")).text();
		const now = unsent(c);
		same = now > 0 && now === last ? same + 1 : 0;
		last = now;
		return same > 10;
	});
	const [grown] = await growth(async () => {
		for (let k = 0; k < 100 && !c.closed; k++) {
			const out = [];
			for (let i = 0; i < 3000; i++)
				out.push(frame(T.HEADERS, BOTH,
				    2 * (k * 3000 + i) + 301, tiny));
			await new Promise((r) =>
			    c.s.write(Buffer.concat(out), r));
		}
	});
	c.end();
	if (grown > 8 * MB)
		throw new Error(`${grown} KB more`);
});

await test("attack: the engine is well", () => e.stop());
