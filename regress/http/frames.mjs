// HTTP/2 frames by hand (RFC 9113 4.1), header blocks without compression.

import { Raw } from "./engine.mjs";

export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
export const T = { DATA: 0, HEADERS: 1, PRIORITY: 2, RST: 3, SETTINGS: 4,
    PUSH: 5, PING: 6, GOAWAY: 7, WINDOW: 8, CONTINUATION: 9 };
export const END_STREAM = 1, END_HEADERS = 4, ACK = 1;

export function frame(type, flags, id, payload = Buffer.alloc(0)) {
	const h = Buffer.alloc(9);

	h.writeUIntBE(payload.length, 0, 3);
	h[3] = type;
	h[4] = flags;
	h.writeUInt32BE(id, 5);
	return Buffer.concat([h, payload]);
}

export function u32(n) {
	const b = Buffer.alloc(4);
	b.writeUInt32BE(n >>> 0);
	return b;
}

// A string literal without Huffman (RFC 7541 5.2).
function literal(s) {
	const b = Buffer.from(s, "latin1");
	const len = [];

	if (b.length < 127)
		len.push(b.length);
	else {
		let n = b.length - 127;
		len.push(127);
		for (; n >= 128; n >>>= 7)
			len.push(n & 127 | 128);
		len.push(n);
	}
	return Buffer.concat([Buffer.from(len), b]);
}

export function block(fields) {
	return Buffer.concat(fields.flatMap(([n, v]) =>
	    [Buffer.from([0]), literal(n), literal(v)]));
}

export function request(method, path, more = []) {
	return block([[":method", method], [":scheme", "http"],
	    [":path", path], [":authority", "localhost"], ...more]);
}

// A connection that has said hello.
export async function connect(port, settings = Buffer.alloc(0), from) {
	const c = await Raw.open(port, from);
	c.write(Buffer.concat([PREFACE, frame(T.SETTINGS, 0, 0, settings)]));
	return c;
}

// All whole frames that came.
export function frames(c) {
	const out = [];

	for (let i = 0; c.got.length - i >= 9;) {
		const len = c.got.readUIntBE(i, 3);
		if (c.got.length - i < 9 + len)
			break;
		out.push({ type: c.got[i + 3], flags: c.got[i + 4],
		    id: c.got.readUInt32BE(i + 5),
		    data: c.got.subarray(i + 9, i + 9 + len) });
		i += 9 + len;
	}
	return out;
}

export async function wait(c, what, f, ms) {
	let found;
	await c.wait(what, () => (found = frames(c).find(f)) !== undefined ||
	    c.closed, ms);
	found ??= frames(c).find(f);
	if (found === undefined)
		throw new Error(`closed before ${what}: ` +
		    frames(c).map((x) => `${x.type}/${x.flags}/${x.id}`));
	return found;
}

// GOAWAY's error code, and that the connection then ends.
export async function goaway(c, ms) {
	const g = await wait(c, "GOAWAY", (f) => f.type === T.GOAWAY, ms);
	await c.wait("the end", () => c.closed, ms);
	return g.data.readUInt32BE(4);
}

export async function reset(c, id) {
	const r = await wait(c, "RST_STREAM", (f) => f.type === T.RST &&
	    f.id === id);
	return r.data.readUInt32BE(0);
}

export async function body(c, id) {
	await wait(c, "the end of the stream", (f) => f.id === id &&
	    (f.flags & END_STREAM) !== 0 && f.type <= T.HEADERS);
	return Buffer.concat(frames(c).filter((f) => f.id === id &&
	    f.type === T.DATA).map((f) => f.data)).toString();
}
