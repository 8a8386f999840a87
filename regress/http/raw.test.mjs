// Runs cases/*.txt: each twice, in whole writes and byte by byte.  A case:
//	== name		begins it (with `tls' or `runner' the other listener)
//	> bytes		is sent; \r \n \t \0 \xHH are escapes; no newline is added
//	>* n bytes	is sent n times
//	= status code	the next reply has this status and this code in its body
//			(code may be left out; a text of the body may stand there)
//	< line		the next reply is exactly these lines (Date and ids masked)
//	head status n	a head alone, of a body of n bytes, and then the end
//	closed, open	the connection is closed now, or serves another request

import fs from "node:fs";
import { Raw, read, start, test } from "./engine.mjs";

function unescape(s) {
	return Buffer.from(s.replace(/\\(r|n|t|0|\\|x[0-9a-f]{2})/gi, (_, c) =>
	    ({ r: "\r", n: "\n", t: "\t", 0: "\0", "\\": "\\" })[c] ??
	    String.fromCharCode(parseInt(c.slice(1), 16))), "latin1");
}

function parse(text) {
	const cases = [];
	for (const line of text.split("\n")) {
		if (line === "" || line.startsWith("#"))
			continue;
		const [, op, rest] = /^(\S+) ?(.*)$/.exec(line);
		if (op === "==")
			cases.push({ name: rest, steps: [] });
		else
			cases.at(-1).steps.push({ op, rest });
	}
	return cases;
}

// The first whole reply at the start of a buffer, or null.
function reply(buf) {
	const text = buf.toString("latin1");
	const end = text.indexOf("\r\n\r\n");
	if (end === -1)
		return null;
	const head = text.slice(0, end + 4);
	const status = Number(head.slice(9, 12));
	const len = /\r\ncontent-length: (\d+)\r\n/i.exec(head);
	if (!/^HTTP\/1\.1 \d\d\d [ -~]+\r\n/.test(head))
		throw new Error(`not a reply: ${JSON.stringify(head)}`);
	const size = status === 100 || status === 204 || status === 101 ? 0 :
	    Number(len[1]);
	if (text.length < head.length + size)
		return null;
	return { status, head, size: head.length + size,
	    body: text.slice(head.length, head.length + size) };
}

function mask(s) {
	return s.replace(/^Date: .*GMT\r$/m, "Date: D\r")
	    .replace(/^X-Request-ID: req-[0-9a-f]+-[0-9a-f]+\r$/m,
	    "X-Request-ID: R\r")
	    .replace(/"request_id":"req-[0-9a-f]+-[0-9a-f]+"/,
	    '"request_id":"R"');
}

async function next(c) {
	let r = null;
	await c.wait("a reply", () => (r = reply(c.got)) !== null || c.closed);
	r ??= reply(c.got);
	if (r === null)
		throw new Error(`closed, no reply; got ${c.got}`);
	c.got = c.got.subarray(r.size);
	return r;
}

async function expect(c, rest) {
	const [, status, code] = /^(\d+) ?(.*)$/.exec(rest);
	const r = await next(c);
	const text = unescape(code).toString("latin1");
	const want = r.body.includes(text);
	if (r.status !== Number(status) || !want)
		throw new Error(`wanted ${rest}, got ${r.head}${r.body}`);
	if (r.status >= 400) {
		const e = JSON.parse(r.body);
		for (const k of ["code", "message", "request_id"])
			if (typeof e[k] !== "string" || e[k] === "")
				throw new Error(`envelope: ${r.body}`);
	}
}

async function exactly(c, lines) {
	const r = await next(c);
	const got = mask(r.head + r.body);
	const want = unescape(lines.join("")).toString("latin1");
	if (got !== want)
		throw new Error(`wanted\n${want}\ngot\n${got}`);
}

async function send(c, data, slowly) {
	if (!slowly || data.length > 3000) {
		c.write(data);
		return;
	}
	for (const b of data) {
		c.write(Buffer.from([b]));
		await new Promise((r) => setImmediate(r));
	}
}

async function run(e, { name, steps }, slowly) {
	const kind = /\brunner\b/.test(name) ? "runner" : "api";
	const c = await Raw.open(e[kind]);

	for (let i = 0; i < steps.length; i++) {
		const { op, rest } = steps[i];
		const n = op === ">*" && /^(\d+) (.*)$/.exec(rest);
		if (op === ">")
			await send(c, unescape(rest), slowly);
		else if (op === ">*")
			c.write(Buffer.concat(Array(Number(n[1]))
			    .fill(unescape(n[2]))));
		else if (op === "=")
			await expect(c, rest);
		else if (op === "<") {
			const lines = [rest];
			while (steps[i + 1]?.op === "<")
				lines.push(steps[++i].rest);
			await exactly(c, lines);
		} else if (op === "closed") {
			await c.wait("the end", () => c.closed);
			if (c.got.length > 0)
				throw new Error(`and then came ${c.got}`);
		} else if (op === "head") {
			const [status, len] = rest.split(" ");
			await c.wait("the end", () => c.closed);
			const got = c.got.toString("latin1");
			if (!got.startsWith(`HTTP/1.1 ${status} `) ||
			    !got.includes(`\r\nContent-Length: ${len}\r\n`) ||
			    !got.endsWith("\r\n\r\n"))
				throw new Error(`got ${got}`);
		} else if (op === "open") {
			c.write("GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n");
			await expect(c, "200 world");
		} else
			throw new Error(`what is ${op}?`);
	}
	c.end();
}

const e = await start();
for (const file of fs.readdirSync(new URL("cases", import.meta.url)).sort())
	for (const c of parse(read(`cases/${file}`))) {
		await test(`${file}: ${c.name}`, () => run(e, c, false));
		await test(`${file}: ${c.name}, byte by byte`,
		    () => run(e, c, true));
	}
await test("raw: the engine is well", () => e.stop());
