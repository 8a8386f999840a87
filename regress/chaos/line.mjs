// A line between the fleet and a listener: cut, refused, silent for a while
// (half-open: nothing is closed and nothing comes), or slow.

import { setTimeout as pause } from "node:timers/promises";
import { Relay } from "../lib/relay.mjs";


export class Line extends Relay {
	async listen() {
		await super.listen({ after() {} });
		return this;
	}

	accept(client) {
		super.accept(client);
		if (this.silent)
			for (const pair of this.pairs)
				this.hush(pair);
	}

	hush({ client, server }) {
		client.pause();
		server.pause();
	}

	async half_open(ms) {
		this.silent = true;
		this.pairs.forEach((pair) => this.hush(pair));
		await pause(ms);
		this.silent = false;
		for (const { client, server } of this.pairs) {
			client.resume();
			server.resume();
		}
	}

	async refuse(ms) {
		this.down();
		await pause(ms);
		this.up();
	}

	// Each connection gets a little at a time, both ways.
	async slow(ms) {
		for (const end = Date.now() + ms; Date.now() < end;) {
			this.pairs.forEach((pair) => this.hush(pair));
			await pause(40);
			for (const { client, server } of this.pairs)
				for (const s of [client, server]) {
					s.resume();
					setImmediate(() => s.pause());
				}
			await pause(5);
		}
		for (const { client, server } of this.pairs) {
			client.resume();
			server.resume();
		}
	}
}
