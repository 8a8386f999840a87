// gRPC with a client not written here (@grpc/grpc-js): messages of all sizes,
// statuses, windows that are withheld, health, client certificates.

import grpc from "@grpc/grpc-js";
import { once } from "node:events";
import fs from "node:fs";
import http2 from "node:http2";
import path from "node:path";
import { deadline, dir, start, stats, test, until } from "./engine.mjs";

const e = await start({ MN_MTLS: "1" });
const same = (b) => b;
const bidi = (p) => ({ path: p, requestStream: true, responseStream: true,
    requestSerialize: same, requestDeserialize: same,
    responseSerialize: same, responseDeserialize: same });
const unary = (p) => ({ ...bidi(p), requestStream: false,
    responseStream: false });
const Client = grpc.makeGenericClientConstructor({
	bidi: bidi("/test.Echo/Bidi"),
	hold: bidi("/test.Echo/Hold"),
	cert: unary("/test.Echo/Cert"),
	none: unary("/test.Echo/None"),
	health: unary("/grpc.health.v1.Health/Check"),
	watch: unary("/grpc.health.v1.Health/Watch"),
}, "test");
const big = { "grpc.max_receive_message_length": 8 << 20,
    "grpc.max_send_message_length": 8 << 20 };
const plain = () => new Client(`127.0.0.1:${e.runner}`,
    grpc.credentials.createInsecure(), big);
const pem = (n) => fs.readFileSync(path.join(dir, n));

function secure(who) {
	return new Client(`localhost:${e.runnertls}`, grpc.credentials
	    .createSsl(pem("ca.crt"), ...(who ? [pem(`${who}.key`),
	    pem(`${who}.crt`)] : [])), big);
}

function call(client, name, data) {
	return deadline(new Promise((yes) => client[name](data, (err, v) =>
	    yes({ code: err ? err.code : 0, details: err?.details, v }))), name);
}

// Writes all, ends, gives what came and the status.
function talk(client, name, messages, meta = new grpc.Metadata()) {
	const s = client[name](meta);
	const got = [];

	s.on("data", (d) => got.push(d));
	s.on("error", () => {});
	const done = new Promise((yes) => s.on("status", (status) =>
	    yes({ got, ...status })));
	for (const m of messages)
		s.write(m);
	s.end();
	return deadline(done, name);
}

await test("grpc: messages of all sizes come back in order", async () => {
	const c = plain();
	const sizes = [0, 1, 4, 5, 16379, 16384, 65536, 262139, 262144, 300000,
	    1000000, 1048576, 3, 0, 700000];
	const sent = sizes.map((n, i) => Buffer.alloc(n, 65 + i));
	const { got, code } = await talk(c, "bidi", sent);

	if (code !== 0 || got.length !== sent.length ||
	    got.some((b, i) => !b.equals(sent[i])))
		throw new Error(`${code} ${got.map((b) => b.length)}`);
	c.close();
});

await test("grpc: a thousand small ones", async () => {
	const c = plain();
	const sent = Array.from({ length: 1000 }, (_, i) =>
	    Buffer.from(`message ${i}`));
	const { got, code } = await talk(c, "bidi", sent);

	if (code !== 0 || Buffer.concat(got).compare(Buffer.concat(sent)) !== 0)
		throw new Error(`${code} ${got.length}`);
	c.close();
});

await test("grpc: a message that is too large is RESOURCE_EXHAUSTED",
    async () => {
	const c = plain();
	const { code } = await talk(c, "bidi", [Buffer.alloc(1048577)]);
	if (code !== grpc.status.RESOURCE_EXHAUSTED)
		throw new Error(`${code}`);
	c.close();
});

await test("grpc: unknown methods are UNIMPLEMENTED", async () => {
	const c = plain();
	for (const m of ["none", "watch"]) {
		const { code } = await call(c, m, Buffer.alloc(0));
		if (code !== grpc.status.UNIMPLEMENTED)
			throw new Error(`${m}: ${code}`);
	}
	c.close();
});

await test("grpc: a compressed message is UNIMPLEMENTED", async () => {
	const c = new Client(`127.0.0.1:${e.runner}`,
	    grpc.credentials.createInsecure(),
	    { "grpc.default_compression_algorithm": 2 });
	const { code } = await talk(c, "bidi", [Buffer.alloc(100)]);
	if (code !== grpc.status.UNIMPLEMENTED)
		throw new Error(`${code}`);
	c.close();
});

await test("grpc: a status with its text", async () => {
	const c = plain();
	const meta = new grpc.Metadata();
	meta.set("x-runner-token", "refuse");
	const { code, details } = await talk(c, "bidi", [], meta);
	if (code !== 16 || details !== "no such token: 100%")
		throw new Error(`${code} ${details}`);
	c.close();
});

await test("grpc: health", async () => {
	const c = plain();
	const ok = await call(c, "health", Buffer.alloc(0));
	const name = "marionette.v1.RunnerService";
	const ours = await call(c, "health", Buffer.concat([
	    Buffer.from([0x0a, name.length]), Buffer.from(name)]));
	const other = await call(c, "health", Buffer.from([0x0a, 1, 0x78]));
	if (ok.code !== 0 || !ok.v.equals(Buffer.from([8, 1])) ||
	    ours.code !== 0 || other.code !== grpc.status.NOT_FOUND)
		throw new Error(JSON.stringify([ok, ours, other]));
	c.close();
});

await test("grpc: withheld windows stop a stream and no other", async () => {
	const before = await stats(e);
	const c = plain();
	const s = c.hold();
	let written = 0;

	s.on("data", () => {});
	s.on("error", () => {});
	// 64 KiB each; only the window and what the kernel holds gets through.
	for (let i = 0; i < 64; i++)
		s.write(Buffer.alloc(65536), () => written++);
	for (let i = 0; i < 100; i++) {
		const { code } = await talk(c, "bidi", [Buffer.from("beat")]);
		if (code !== 0)
			throw new Error(`beat ${i}: ${code}`);
	}
	if (written >= 64)
		throw new Error("nothing was withheld");
	s.cancel();
	await until("closed once", async () =>
	    (await stats(e)).closed === before.closed + 1);
	c.close();
});

await test("grpc: a cancelled stream is closed, once", async () => {
	const before = await stats(e);
	const c = plain();
	const s = c.hold();
	s.on("error", () => {});
	s.write(Buffer.from("x"));
	await until("opened", async () =>
	    (await stats(e)).opened === before.opened + 1);
	s.cancel();
	await until("closed once", async () =>
	    (await stats(e)).closed === before.closed + 1);
	c.close();
});

await test("grpc: mutual TLS shows the certificate's hash", async () => {
	const c = secure("client");
	const { code, v } = await call(c, "cert", Buffer.alloc(0));
	if (code !== 0 || v.length !== 32)
		throw new Error(`${code} ${v?.length}`);
	c.close();
});

await test("grpc: without a certificate there is none", async () => {
	const c = secure(null);
	const { code, v } = await call(c, "cert", Buffer.alloc(0));
	if (code !== 0 || v.length !== 0)
		throw new Error(`${code} ${v?.length}`);
	c.close();
});

for (const [what, who] of [["a stranger's", "other"],
    ["an expired", "expired"]])
	await test(`grpc: ${what} certificate does not get in`, async () => {
		const c = secure(who);
		const { code } = await call(c, "cert", Buffer.alloc(0));
		if (code !== grpc.status.UNAVAILABLE)
			throw new Error(`${code}`);
		c.close();
	});

// RFC 9110 9.3.2: its answer has no content, whatever is wrong with it.
await test("grpc: HEAD is refused without a body", async () => {
	const s = http2.connect(`http://127.0.0.1:${e.runner}`);
	const req = s.request({ ":method": "HEAD", ":path": "/x" });
	let status, n = 0;

	req.on("response", (h) => status = h[":status"]);
	req.on("data", (d) => n += d.length);
	req.on("error", (err) => status = err.message);
	await deadline(new Promise((ok) => req.on("close", ok)), "an answer");
	s.close();
	if (status !== 415 || n !== 0)
		throw new Error(`${status}, ${n} bytes`);
});

await test("grpc: 5,500 runners have their two streams each", async () => {
	const at = { ":method": "POST", ":path": "/test.Echo/Bidi",
	    "content-type": "application/grpc", te: "trailers" };
	const sessions = [];
	const { closed } = await stats(e);
	const ask = (s) => new Promise((yes) => {
		const st = s.request(at);
		st.on("response", () => yes(1)).on("error", () => yes(0))
		    .on("close", () => yes(0));
		st.write(Buffer.alloc(5));	// an empty message
	});
	// Who connects and says nothing for long is cut: each speaks in its turn.
	const answered = [];
	while (sessions.length < 55) {
		const s = http2.connect(`http://127.0.0.1:${e.runner}`);
		s.on("error", () => {});	// its calls are counted
		sessions.push(s);
		await deadline(once(s, "remoteSettings"), "settings");
		answered.push(...Array.from({ length: 200 }, () => ask(s)));
	}
	const n = (await deadline(Promise.all(answered), "streams"))
	    .reduce((sum, x) => sum + x, 0);
	sessions.forEach((s) => s.destroy());
	await until("all of them to be closed", async () =>
	    (await stats(e)).closed >= closed + n);
	if (n !== 11000)
		throw new Error(`${n} of 11000 streams were served`);
});

await test("grpc: a drain ends streams with UNAVAILABLE", async () => {
	const c = plain();
	const s = c.bidi();
	const status = new Promise((yes) => s.on("status", yes));
	const first = new Promise((yes) => s.on("data", yes));

	s.on("error", () => {});
	s.write(Buffer.from("x"));
	await deadline(first, "an echo");
	e.child.stdin.write("d");
	const { code } = await deadline(status, "the end");
	if (code !== grpc.status.UNAVAILABLE)
		throw new Error(`${code}`);
	c.close();
});

await test("grpc: the engine is well", () => e.stop());
