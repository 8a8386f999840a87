// Runners' streams through frontd(runner) to runnerd and back, with
// @grpc/grpc-js: whole messages, credit, ends, and a runnerd that dies.

import grpc from "@grpc/grpc-js";
import { createHash } from "node:crypto";
import { END_HEADERS, T, connect, frame, request, wait } from "./frames.mjs";
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
			if (i > 300)
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
	await new Promise((ok) => setTimeout(ok, 100));
	const again = talk("connect");
	await again.until(1);
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
