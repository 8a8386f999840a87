// Owns the shape of an answer on the wire: the Messages API's JSON document and
// its server-sent events.  Called by server.mjs; a client that hangs up ends
// the stream.

import { randomBytes } from "node:crypto";

const id = (prefix) => `${prefix}_01${randomBytes(11).toString("hex")}`;

// Content blocks of an answer; every call gets an id of its own.
function content(a) {
	const out = [];

	if (a.text !== "" || a.calls.length === 0)
		out.push({ type: "text", text: a.text });
	for (const c of a.calls)
		out.push({ type: "tool_use", id: id("toolu"), name: c.name,
		    input: c.input });
	return out;
}

function message(model, blocks, stop_reason) {
	return { id: id("msg"), type: "message", role: "assistant", model,
	    content: blocks, stop_reason, stop_sequence: null,
	    usage: { input_tokens: 10, cache_creation_input_tokens: 0,
		cache_read_input_tokens: 0, output_tokens: 9 } };
}

const stop_of = (a) => a.calls.length > 0 ? "tool_use" : "end_turn";

export function whole(res, model, a) {
	const text = a.text + words(a.deltas).join("");
	const body = JSON.stringify(message(model, content({ ...a, text }),
	    stop_of(a)));

	res.writeHead(200, { "content-type": "application/json",
	    "request-id": id("req") });
	res.end(body);
}

const words = (n) => Array.from({ length: n }, (_, i) => `w${i + 1} `);

function wait(res, ms) {
	return new Promise((done) => {
		const end = () => {
			clearTimeout(t);
			res.off("close", end);
			done();
		};
		const t = setTimeout(end, ms);
		res.on("close", end);
	});
}

// Sends one event; waits when the client reads slower than we write.
async function event(res, data) {
	if (res.destroyed)
		return;
	if (!res.write(`event: ${data.type}\ndata: ${JSON.stringify(data)}\n\n`))
		await new Promise((done) => {
			const end = () => {
				res.off("drain", end);
				res.off("close", end);
				done();
			};
			res.on("drain", end);
			res.on("close", end);
		});
}

async function text_block(res, index, a, text) {
	const delta = (t) => event(res, { type: "content_block_delta", index,
	    delta: { type: "text_delta", text: t } });

	await event(res, { type: "content_block_start", index,
	    content_block: { type: "text", text: "" } });
	if (text !== "")
		await delta(text);
	for (const w of words(a.deltas))
		await delta(w);
	for (let ms = 0; ms < a.hang * 1000 && !res.destroyed; ms += 200) {
		await delta(".");
		await wait(res, 200);
	}
	await event(res, { type: "content_block_stop", index });
}

async function tool_block(res, index, b) {
	const json = JSON.stringify(b.input);
	const half = json.length >> 1;

	await event(res, { type: "content_block_start", index,
	    content_block: { ...b, input: {} } });
	for (const part of [json.slice(0, half), json.slice(half)])
		await event(res, { type: "content_block_delta", index,
		    delta: { type: "input_json_delta", partial_json: part } });
	await event(res, { type: "content_block_stop", index });
}

export async function events(res, model, a) {
	const start = message(model, [], null);

	res.writeHead(200, { "content-type": "text/event-stream",
	    "cache-control": "no-cache", "request-id": id("req") });
	start.usage.output_tokens = 1;
	await event(res, { type: "message_start", message: start });
	for (const [i, b] of content(a).entries()) {
		if (b.type === "text")
			await text_block(res, i, a, b.text);
		else
			await tool_block(res, i, b);
	}
	await event(res, { type: "message_delta",
	    delta: { stop_reason: stop_of(a), stop_sequence: null },
	    usage: { output_tokens: 9 } });
	await event(res, { type: "message_stop" });
	res.end();
}

export function error(res, status, text) {
	const type = { 400: "invalid_request_error", 401: "authentication_error",
	    403: "permission_error", 404: "not_found_error",
	    413: "request_too_large", 429: "rate_limit_error",
	    529: "overloaded_error" }[status] ?? "api_error";

	res.writeHead(status, { "content-type": "application/json",
	    "request-id": id("req") });
	res.end(JSON.stringify({ type: "error", error: { type, message: text } }));
}
