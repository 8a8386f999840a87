// A TCP relay between a client and the server under test, so that a test can
// cut, stop or slow the line at a moment of its own choosing.

import net from "node:net";

export class Relay {
	constructor(port, host = "127.0.0.1") {
		this.target = { port, host };
		this.pairs = new Set();
		this.refusing = false;
		this.accepted = 0;
		this.bytes = 0;		// from the server to clients
		this.limit = Infinity;	// cut when so many have passed
		this.server = net.createServer((c) => this.accept(c));
	}

	async listen(t) {
		await new Promise((done) =>
		    this.server.listen(0, "127.0.0.1", done));
		t.after(() => this.close());
		this.port = this.server.address().port;
		return this;
	}

	accept(client) {
		const server = net.connect(this.target);
		const pair = { client, server };
		const end = () => {
			this.pairs.delete(pair);
			client.destroy();
			server.destroy();
		};

		this.accepted++;
		if (this.refusing)
			return void end();
		this.pairs.add(pair);
		for (const s of [client, server]) {
			s.setNoDelay(true);
			s.on("error", end);
			s.on("close", end);
		}
		server.on("data", (d) => {
			this.bytes += d.length;
			if (this.bytes > this.limit)
				this.cut();
		});
		client.pipe(server);
		server.pipe(client);
	}

	// Every connection is reset now.
	cut() {
		for (const { client, server } of [...this.pairs]) {
			client.resetAndDestroy();
			server.resetAndDestroy();
		}
	}

	// New connections are refused until up().
	down() {
		this.refusing = true;
		this.cut();
	}

	up() {
		this.refusing = false;
	}

	close() {
		this.cut();
		return new Promise((done) => this.server.close(done));
	}
}
