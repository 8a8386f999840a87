// The fleet of make bench beside the circles, in its enduring mood: it compares
// its own books with what the server says before it ends.

import path from "node:path";
import { start } from "../lib/proc.mjs";

// It ends by itself after a minute in which it came no further; a busy machine
// takes its time to read a hundred thousand events again.
const END_MS = 600000;

export class Fleet {
	// dir: where certs.sh made ca.crt; port: of an api listener with TLS; key
	// and token: of its tenant.
	constructor(server, program, dir, port, key, token) {
		this.book = path.join(dir, "book");
		this.proc = start([program, "-a", `localhost:${port}`, "-r",
		    `localhost:${server.ports.runner}`, "-c",
		    path.join(dir, "ca.crt"), "-i", path.join(dir, "papers"),
		    "-e", "-b", this.book, "-n", "8", "-s", "8", "-k", "8",
		    "-R", "20", "-t", "10000000", "-l", "10", "-f",
		    "2", "-S", "lines=20 bytes=100 progress=1",
		    "ask"], { stdio: ["ignore", "pipe", "pipe"],
		    env: { ...process.env, MARIONETTE_RUNNER_TOKEN: token,
			MARIONETTE_API_KEY: key.key } });
	}

	// A tenth of its connections breaks.
	cut() {
		this.proc.signal("SIGUSR1", false);
	}

	// What it found wrong, or nothing.
	async end() {
		this.proc.signal("SIGTERM", false);
		const { code } = await this.proc.wait(END_MS);
		return code === 0 ? "" : `fleet: ${this.proc.told()}`;
	}
}
