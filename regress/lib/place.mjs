// Where a test runs: a directory of its own that goes with it, and free ports.

import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

// Top of the source tree.
export const top = path.resolve(path.dirname(fileURLToPath(import.meta.url)),
    "../..");

// What servers' directories are in: a short name, for the sake of unix sockets,
// and the workers' users pass through.
export const servers = process.env.MN_TMP ?? "/tmp";

// A private directory; t is a test context (or anything with after()).
export function temp_dir(t, name = "mn-test-") {
	const dir = fs.mkdtempSync(path.join(os.tmpdir(), name));

	t.after(() => fs.rmSync(dir, { recursive: true, force: true,
	    maxRetries: 5 }));
	return dir;
}

// Ports free on host just now, all different.
export async function free_ports(n, host = "127.0.0.1") {
	const servers = await Promise.all(Array.from({ length: n }, () =>
	    new Promise((done, fail) => {
		const s = net.createServer();
		s.on("error", fail);
		s.listen(0, host, () => done(s));
	})));
	const ports = servers.map((s) => s.address().port);

	await Promise.all(servers.map((s) => new Promise((r) => s.close(r))));
	return ports;
}

export async function free_port(host) {
	return (await free_ports(1, host))[0];
}

// {path: text} written below dir.
export function write_files(dir, files) {
	for (const [name, text] of Object.entries(files)) {
		const at = path.join(dir, name);

		fs.mkdirSync(path.dirname(at), { recursive: true });
		fs.writeFileSync(at, typeof text === "string" ? text :
		    JSON.stringify(text, null, 2));
	}
}

// Every regular file below dir, as paths.
export function all_files(dir) {
	const out = [];

	for (const e of fs.readdirSync(dir, { withFileTypes: true })) {
		const at = path.join(dir, e.name);
		if (e.isDirectory())
			out.push(...all_files(at));
		else if (e.isFile())
			out.push(at);
	}
	return out;
}
