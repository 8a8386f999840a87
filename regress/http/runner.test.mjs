// Runners' streams through frontd(runner) to runnerd and back, with
// @grpc/grpc-js: whole messages, credit, ends, and a runnerd that dies.

import grpc from "@grpc/grpc-js";
import { createHash } from "node:crypto";
import { ACK, END_HEADERS, END_STREAM, T, connect, frame, frames, request, u32,
    wait } from "./frames.mjs";
import { until } from "./engine.mjs";
import { failed, is, start, test } from "./world.mjs";

const world = await start("runner");
const same = (b) => b;
const row = (name, stream) => ({ path: `/marionette.v1.RunnerService/${name}`,
    requestStream: stream, responseStream: stream, requestSerialize: same,
    requestDeserialize: same, responseSerialize: same,
    responseDeserialize: same });
const Client = grpc.makeGenericClientConstructor({ enroll: row("Enroll",
    false), connect: row("Connect", true), logs: row("Logs", true) }, "test");
const client = new Client(`127.0.0.1:${world.port}`,
    grpc.credentials.createInsecure());

function talk(name, meta = new grpc.Metadata()) {
	const s = client[name](meta);
	const t = { s, got: [] };

	s.on("data", (d) => t.got.push(d));
	s.on("error", () => {});
	t.status = new Promise((ok) => s.on("status", ok));
	t.until = async (n) => {
		for (let i = 0; t.got.length < n; i++) {
			if (i > 2000)
				throw new Error(`${t.got.length} of ${n} messages`);
			await new Promise((ok) => setTimeout(ok, 10));
		}
	};
	return t;
}

await test("runner: Enroll is one message each way", async () => {
	const [err, v] = await new Promise((ok) => client.enroll(
	    Buffer.from("hello"), (e, r) => ok([e, r])));
	is([err, v?.toString()], [null, "hello"]);
});

await test("runner: the token goes on as a hash, without its dot", async () => {
	const meta = new grpc.Metadata();
	meta.set("x-runner-token", "rtok_abc.ca");
	const t = talk("connect", meta);
	await t.until(1);
	const open = JSON.parse(t.got[0]);
	is([open.method, open.token_hash, open.cert_hash], ["Connect",
	    createHash("sha256").update("rtok_abc").digest("hex"), ""]);
	t.s.end();
	is((await t.status).code, 0);
});

await test("runner: a megabyte, many messages, Logs beside Connect",
    async () => {
	const c = talk("connect"), l = talk("logs");
	await c.until(1);
	for (let i = 0; i < 200; i++)
		l.s.write(Buffer.alloc(60000, i));
	c.s.write(Buffer.alloc(1048576, 7));
	await c.until(2);
	await l.until(200);
	is(c.got[1].length, 1048576);
	is(l.got.map((b) => b[0]), [...Array(200).keys()]);
	c.s.end();
	l.s.end();
	is([(await c.status).code, (await l.status).code], [0, 0]);
});

await test("runner: a reset reaches runnerd", async () => {
	/* Streams of earlier tests may still be on their way out. */
	let n = -1, now;
	while ((now = +await world.say("count STREAM_CLOSE")) !== n) {
		n = now;
		await new Promise((ok) => setTimeout(ok, 300));
	}
	const t = talk("connect");
	await t.until(1);
	t.s.cancel();
	await t.status;
	for (let i = 0; i < 100 && now === n; i++) {
		await new Promise((ok) => setTimeout(ok, 20));
		now = +await world.say("count STREAM_CLOSE");
	}
	/* Two, when grpc-js ends the stream before it resets it. */
	is(now - n >= 1 && now - n <= 2, true);
});

await test("runner: runnerd dies: UNAVAILABLE, then again", async () => {
	const c = talk("connect"), l = talk("logs");
	await c.until(1);
	await world.say("gone runnerd");
	is([(await c.status).code, (await l.status).code], [14, 14]);
	is((await talk("connect").status).code, 14);
	await world.say("back runnerd");
	const again = await until("runnerd is back", () => {
		const t = talk("connect");
		return Promise.race([t.until(1).then(() => t),
		    t.status.then(() => null)]);
	});
	again.s.cancel();
	await again.status;
});

// runnerd is killed when its queue is given up.
await test("runner: who is unknown yet does not fill the way to runnerd",
    async () => {
	const cs = [], message = Buffer.alloc(60005);
	message.writeUInt32BE(60000, 1);
	process.kill(world.child.pid, "SIGSTOP");
	for (let k = 0; k < 2; k++) {
		const c = await connect(world.port);
		cs.push(c);
		for (let i = 0; i < 256; i++)
			c.write(frame(T.HEADERS, END_HEADERS, 2 * i + 1,
			    request("POST", "/marionette.v1.RunnerService/Enroll",
			    [["content-type", "application/grpc"]])));
	}
	for (const c of cs) {
		for (let i = 0; i < 256; i++)
			for (let at = 0, end; at < 4 * message.length; at = end) {
				end = Math.min(at + 16384, 4 * message.length);
				c.write(frame(T.DATA, 0, 2 * i + 1,
				    Buffer.concat([message, message, message,
				    message]).subarray(at, end)));
			}
		c.write(frame(T.PING, 0, 0, Buffer.alloc(8)));
		await wait(c, "the PING's answer", (f) => f.type === T.PING);
	}
	process.kill(world.child.pid, "SIGCONT");
	/* UNAVAILABLE while the queue is being read, and no longer. */
	let err, v;
	for (let i = 0; i < 100 && v === undefined; i++) {
		[err, v] = await new Promise((ok) => client.enroll(
		    Buffer.from("hello"), (e, r) => ok([e, r])));
		await new Promise((ok) => setTimeout(ok, 20));
	}
	cs.forEach((c) => c.end());
	is([err, v?.toString()], [null, "hello"]);
	if (/queue is full/.test(world.log))
		throw new Error(world.log);
});

const post = (name) => request("POST", `/marionette.v1.RunnerService/${name}`,
    [["content-type", "application/grpc"]]);
const message = (n, len) => {
	const b = Buffer.alloc(5 + len);
	b.writeUInt32BE(len, 1);
	b.writeUInt32BE(n, 9);
	return b;
};

// A connection with so many streams of Logs that runnerd has answered.
async function logs(n) {
	const c = await connect(world.port,
	    Buffer.from([0, 4, 0x7f, 0xff, 0xff, 0xff]));

	await wait(c, "SETTINGS", (f) => f.type === T.SETTINGS);
	c.write(Buffer.concat([frame(T.SETTINGS, ACK, 0),
	    frame(T.WINDOW, 0, 0, u32(0x70000000))]));
	for (let i = 0; i < n; i++) {
		c.write(frame(T.HEADERS, END_HEADERS, 2 * i + 1, post("Logs")));
		c.write(frame(T.DATA, 0, 2 * i + 1, message(0, 8)));
	}
	await c.wait("all are known", () => frames(c).filter((f) =>
	    f.type === T.DATA).length === n);
	return c;
}

// Messages 1 to 4, nearly a window, are the last of such a stream.
function flood(c, i) {
	const b = Buffer.concat([1, 2, 3, 4].map((n) => message(n, 60000)));

	for (let at = 0, end; at < b.length; at = end) {
		end = Math.min(at + 16384, b.length);
		c.write(frame(T.DATA, end === b.length ? END_STREAM : 0,
		    2 * i + 1, b.subarray(at, end)));
	}
}

async function ping(c, n) {
	c.write(frame(T.PING, 0, 0, Buffer.alloc(8, n)));
	await wait(c, `the answer to PING ${n}`, (f) => f.type === T.PING &&
	    f.data[0] === n);
}

// A permission is asked for while there are more lines than a queue holds, and
// more of what other runners say, too.
await test("runner: what Connect says does not wait behind lines",
    async () => {
	const N = 200, OTHERS = 40, ID = 2 * (N + OTHERS) + 1, ACKS = 13;
	const c = await logs(N);
	const said = () => frames(c).filter((f) => f.type === T.DATA &&
	    f.id === ID);
	for (let id = 2 * N + 1; id <= ID; id += 2)
		c.write(frame(T.HEADERS, END_HEADERS, id, post("Connect")));
	await c.wait("runnerd's hello", () => said().length === 1);
	process.kill(world.child.pid, "SIGSTOP");
	for (let i = 0; i < N + OTHERS; i++)
		flood(c, i);
	c.write(frame(T.DATA, 0, ID, message(7, 8)));
	await ping(c, 1);
	process.kill(world.child.pid, "SIGCONT");
	await c.wait("the answer", () => said().length === 2);
	const all = frames(c);
	const before = all.slice(0, all.indexOf(all.findLast((f) =>
	    f.type === T.DATA && f.id === ID)));
	const acked = before.filter((f) => f.type === T.DATA && f.id < 2 * N)
	    .reduce((n, f) => n + f.data.length / ACKS, 0) - N;
	c.end();
	if (acked > 4 * N / 2)
		throw new Error(`behind ${acked} of ${4 * N} messages`);
});

// More than a queue holds, of streams that runnerd has answered: they wait, and
// when too much waits their connections are not read.
await test("runner: who is known waits for a runnerd that does not read",
    async () => {
	const CONNS = 2, EACH = 256, MANY = 4, cs = [];
	const acks = (c, id) => frames(c).filter((f) => f.type === T.DATA &&
	    f.id === id).flatMap((f) => [...Array(f.data.length / 13).keys()]
	    .map((i) => f.data.readUInt32BE(13 * i + 9)));
	for (let k = 0; k < CONNS; k++)
		cs.push(await logs(EACH));
	const t = talk("connect");
	await t.until(1);
	process.kill(world.child.pid, "SIGSTOP");
	for (let i = 0; i < 150; i++)
		flood(cs[0], i);
	await ping(cs[0], 1);
	t.s.write(Buffer.alloc(1048576, 7));
	t.s.write(Buffer.from("more"));
	t.s.end();
	for (let i = 150; i < EACH; i++)
		flood(cs[0], i);
	for (let i = 0; i < EACH; i++)
		flood(cs[1], i);
	let read = false;
	const later = ping(cs[1], 2).then(() => read = true, () => {});
	await new Promise((ok) => setTimeout(ok, 1500));
	const early = read;
	process.kill(world.child.pid, "SIGCONT");
	await later;
	if (/queue is full/.test(world.log))
		throw new Error(world.log);
	is([early, read], [false, true]);
	for (const c of cs) {
		await c.wait("the ends", () => frames(c).filter((f) =>
		    (f.flags & END_STREAM) !== 0 && f.type <= T.HEADERS)
		    .length === EACH);
		for (let i = 0; i < EACH; i++)
			is(acks(c, 2 * i + 1), [...Array(MANY + 1).keys()],
			    `stream ${i}`);
		c.end();
	}
	is([(await t.status).code, t.got[1].length, String(t.got[2])],
	    [0, 1048576, "more"]);
});

await test("runner: what runnerd said before a drain comes before the end",
    async () => {
	const t = talk("connect");
	await t.until(1);
	await world.say("drain good-bye");
	is((await t.status).code, 14);
	is(t.got.slice(1).map(String), ["good-bye"]);
});

client.close();
await world.stop();
process.exit(failed > 0 ? 1 : 0);
