// The scripted model server as a test sees it: started, asked what it was told,
// stopped.

import fs from "node:fs";
import path from "node:path";
import { start } from "./proc.mjs";
import { top } from "./place.mjs";

export async function start_model(t, state, { key_sha256, bodies } = {}) {
	const argv = [process.execPath, path.join(top, "regress/model/server.mjs"),
	    "--state", state];

	if (key_sha256)
		argv.push("--key-sha256", key_sha256);
	if (bodies)
		argv.push("--bodies");
	const proc = start(argv);
	t.after(() => proc.stop());
	const port = Number((await proc.says(/^(\d+)\n/))[1]);
	const log = path.join(state, "requests.jsonl");

	return {
		port, proc, state,
		url: `http://127.0.0.1:${port}`,
		// Every request so far; filter: those with the mark in the prompt.
		requests: (mark = "") => fs.existsSync(log) ?
		    fs.readFileSync(log, "utf8").split("\n").filter(Boolean)
		    .map((l) => JSON.parse(l))
		    .filter((r) => (r.prompt ?? "").includes(mark)) : [],
		// Different prompts of people, in the order they first came.
		prompts() {
			return [...new Set(this.requests()
			    .filter((r) => r.kind === "main")
			    .flatMap((r) => r.prompts))];
		},
		bodies: () => fs.readFileSync(path.join(state, "bodies.jsonl"),
		    "utf8").split("\n").filter(Boolean).map((l) => JSON.parse(l)),
	};
}
