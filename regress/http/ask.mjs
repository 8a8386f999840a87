// Questions to frontd's API half, and what is to be answered.

import http from "node:http";
import { is, like } from "./world.mjs";

export const id = (p, end = "5") => `${p}_0123456789012345678901234${end}`;

let world;

// Of this world.
export function use(w) {
	world = w;
	return w;
}

export function ask(method, target, { body, headers = {}, key = "mk_good",
    socket, agent = false } = {}) {
	return new Promise((ok, no) => {
		const h = { ...headers };
		let data = body;

		if (key !== null)
			h.Authorization ??= `Bearer ${key}`;
		if (body !== undefined) {
			h["Content-Type"] ??= "application/json";
			if (typeof body !== "string")
				data = JSON.stringify(body);
			h["Content-Length"] = Buffer.byteLength(data);
		}
		const req = http.request({ host: "127.0.0.1", port: world.port,
		    method, path: target, headers: h, agent,
		    socketPath: socket, timeout: 30000 }, (res) => {
			let text = "";
			res.on("data", (d) => text += d);
			res.on("end", () => {
				let json;
				try {
					json = JSON.parse(text);
				} catch {
					json = undefined;
				}
				ok({ status: res.statusCode, text, json,
				    headers: res.headers });
			});
			res.on("error", no);
		});
		req.on("error", no);
		req.end(data);
	});
}

export async function refused(want, code, re, ...args) {
	const r = await ask(...args);

	is([r.status, r.json?.code], [want, code], r.text);
	if (re)
		like(r.json.message, re);
	if (!r.json.request_id)
		throw new Error("no request_id");
	return r;
}

export async function sent(want, message, fields, ...args) {
	const r = await ask(...args);

	is([r.status, r.json?.message], [want, message], r.text);
	for (const [k, v] of Object.entries(fields))
		is(r.json[k], v, k);
	return r;
}
