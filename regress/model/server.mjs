#!/usr/bin/env node
// A model that says what the test wants: the Anthropic Messages API as far as
// Claude Code uses it, with the scenario chosen by marks in the prompt (see
// marks.mjs).  Prints its port as the first line, and appends every request's
// facts to DIR/requests.jsonl: a key is written as its SHA-256, never itself.
//
//   node server.mjs [--port N] [--host H] --state DIR [--key-sha256 HEX]
//
// A wrong command line is exit 2; a request it cannot follow is a 4xx that
// says why.

import { createHash } from "node:crypto";
import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import { parseArgs } from "node:util";
import { answer, facts } from "./script.mjs";
import * as stream from "./stream.mjs";

const BODY_MAX = 33554432;
const errors_given = new Map();		// prompt and place -> how many
let options, log;

const sha256 = (s) => createHash("sha256").update(s).digest("hex");

function record(line) {
	fs.appendFileSync(log, JSON.stringify({ time: Date.now(), ...line }) +
	    "\n", { mode: 0o600 });
}

function refusal(req) {
	const key = req.headers["x-api-key"];

	if (key === undefined || key === "")
		return "x-api-key header is required";
	if (options["key-sha256"] && sha256(key) !== options["key-sha256"])
		return "invalid x-api-key";
	return null;
}

function read(req) {
	return new Promise((done, fail) => {
		const parts = [];
		let size = 0;

		req.on("data", (d) => {
			size += d.length;
			if (size > BODY_MAX)
				fail(new Error("request too large"));
			parts.push(d);
		});
		req.on("end", () => done(Buffer.concat(parts).toString()));
		req.on("error", fail);
	});
}

// The status to fail with now, or 0; the n-th request of a place gets the
// n-th status, and the last for ever unless "then ok".
function error_now(a, f, session) {
	if (a.error === null)
		return 0;
	const place = sha256(JSON.stringify([session, f.prompt, f.at]));
	const n = errors_given.get(place) ?? 0;
	const { statuses, then } = a.error;

	if (n >= statuses.length && then)
		return 0;
	errors_given.set(place, n + 1);
	return statuses[Math.min(n, statuses.length - 1)];
}

async function messages(req, res, key) {
	let body, f, a;

	try {
		body = JSON.parse(await read(req));
		f = facts(body);
		a = answer(body, f);
	} catch (e) {
		record({ path: req.url, refused: e.message });
		return stream.error(res, 400, `scripted model: ${e.message}`);
	}
	const session = req.headers["x-claude-code-session-id"] ?? "";
	const status = a.kind === "main" ? error_now(a, f, session) : 0;
	record({ path: req.url, kind: a.kind, session, model: body.model,
	    stream: Boolean(body.stream), key_sha256: sha256(key),
	    messages: f.messages, prompts: f.prompts, prompt: f.prompt,
	    step: a.step, calls: a.calls.map((c) => c.name),
	    results: f.results.map((r) =>
		({ is_error: r.is_error, text: r.text.slice(0, 2000) })),
	    tools: f.tools, cwd: f.cwd, status: status || 200 });
	if (options.bodies)
		fs.appendFileSync(path.join(options.state, "bodies.jsonl"),
		    JSON.stringify(body) + "\n");
	if (status !== 0)
		return stream.error(res, status, `scripted error ${status}`);
	if (body.stream)
		return stream.events(res, body.model, a);
	return stream.whole(res, body.model, a);
}

async function request(req, res) {
	const where = new URL(req.url, "http://model").pathname;

	if (req.method === "HEAD" || (req.method === "GET" && where === "/")) {
		res.writeHead(200);
		return res.end();
	}
	if (req.method !== "POST" || !where.startsWith("/v1/messages")) {
		record({ path: req.url, method: req.method, status: 404 });
		return stream.error(res, 404, `no ${req.method} ${where} here`);
	}
	const why = refusal(req);
	if (why !== null) {
		record({ path: req.url, status: 401, refused: why });
		req.resume();
		return stream.error(res, 401, why);
	}
	if (where === "/v1/messages/count_tokens") {
		await read(req);
		res.writeHead(200, { "content-type": "application/json" });
		return res.end('{"input_tokens":10}');
	}
	return messages(req, res, req.headers["x-api-key"]);
}

function usage(text) {
	process.stderr.write(`server.mjs: ${text}\nusage: server.mjs ` +
	    "[--port N] [--host H] --state DIR [--key-sha256 HEX] [--bodies]\n");
	process.exit(2);
}

try {
	options = parseArgs({ options: { port: { type: "string", default: "0" },
	    host: { type: "string", default: "127.0.0.1" },
	    state: { type: "string" }, "key-sha256": { type: "string" },
	    bodies: { type: "boolean" } } }).values;
} catch (e) {
	usage(e.message);
}
if (!options.state)
	usage("--state DIR is required");
if (!/^[0-9]{1,5}$/.test(options.port) || Number(options.port) > 65535)
	usage("--port wants a number up to 65535");
fs.mkdirSync(options.state, { recursive: true });
log = path.join(options.state, "requests.jsonl");

const server = http.createServer((req, res) => {
	res.on("error", () => {});
	request(req, res).catch((e) => {
		if (!res.headersSent)
			stream.error(res, 500, e.message);
		else
			res.destroy();
	});
});
server.on("error", (e) => {
	process.stderr.write(`server.mjs: ${e.message}\n`);
	process.exit(1);
});
server.listen(Number(options.port), options.host, () =>
    process.stdout.write(`${server.address().port}\n`));
for (const signal of ["SIGTERM", "SIGINT"])
	process.on(signal, () => process.exit(0));
