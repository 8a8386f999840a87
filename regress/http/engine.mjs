// Starts the engine, counts results, and keeps what every test needs.

import { spawn } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import readline from "node:readline";

export const dir = process.env.DIR;
let failed = 0;

export async function start(env = {}) {
	const sock = path.join(dir, `s${Math.random().toString(36).slice(2)}`);
	const file = (n) => path.join(dir, n);
	const child = spawn(process.env.ENGINE, [file("server.crt"),
	    file("server.key"), file("ca.crt"), sock],
	    { stdio: ["pipe", "pipe", "pipe"], env: { ...process.env, ...env } });
	const lines = readline.createInterface({ input: child.stdout });
	const e = { child, sock, log: "" };

	child.stderr.on("data", (d) => e.log += d);
	const exited = once(child, "exit");
	const line = await Promise.race([once(lines, "line"),
	    exited.then(() => null)]);
	if (line === null)
		throw new Error(`engine did not start: ${e.log}`);
	Object.assign(e, JSON.parse(line[0]));
	// It must end by itself and say nothing: sanitizers speak on stderr.
	e.stop = async () => {
		child.stdin.end();
		const [code, signal] = await exited;
		if (code !== 0 || signal !== null || /ERROR|runtime/.test(e.log))
			throw new Error(`engine: ${code} ${signal}\n${e.log}`);
	};
	return e;
}

export async function test(name, run) {
	try {
		await run();
		console.log(`ok - ${name}`);
	} catch (e) {
		failed++;
		process.exitCode = 1;
		console.log(`not ok - ${name}`);
		for (const line of String(e.stack ?? e).split("\n"))
			console.log(`# ${line}`);
	}
}

// Bounds are there so that a test ends: far beyond what a busy machine needs.
const LONG_MS = 60000;

export function deadline(promise, what, ms = LONG_MS) {
	let timer;
	const late = new Promise((_, no) => {
		timer = setTimeout(() => no(new Error(`timeout: ${what}`)), ms);
	});
	return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// Polls, for facts that nobody announces.
export async function until(what, f, ms = LONG_MS) {
	const end = Date.now() + ms;
	for (;;) {
		const v = await f();
		if (v)
			return v;
		if (Date.now() > end)
			throw new Error(`timeout: ${what}`);
		await new Promise((r) => setTimeout(r, 20));
	}
}

export function get(e, target) {
	return fetch(`http://127.0.0.1:${e.api}${target}`);
}

export async function stats(e) {
	return (await get(e, "/stats")).json();
}

// A connection that remembers what came and can be asked to wait for it.
export class Raw {
	constructor(socket) {
		this.s = socket;
		this.parts = [];
		this.closed = false;
		this.wake = () => {};
		socket.setNoDelay?.(true);
		socket.on("data", (d) => {
			this.parts.push(d);
			this.wake();
		});
		for (const ev of ["end", "close", "error"])
			socket.on(ev, () => {
				this.closed = true;
				this.wake();
			});
	}

	static async open(port, localAddress) {
		const s = net.connect({ port, host: "127.0.0.1", localAddress });
		await once(s, "connect");
		return new Raw(s);
	}

	write(data) {
		if (!this.s.destroyed)
			this.s.write(data);
	}

	// Put together when somebody looks: for each part it would be copied whole.
	get got() {
		if (this.parts.length !== 1)
			this.parts = [Buffer.concat(this.parts)];
		return this.parts[0];
	}

	set got(rest) {
		this.parts = [rest];
	}

	async wait(what, f, ms) {
		await deadline(new Promise((yes) => {
			this.wake = () => f() && yes();
			this.wake();
		}), `${what}; got ${JSON.stringify(
		    this.got.toString("latin1").slice(0, 500))}`,
		    ms);
	}

	end() {
		this.s.destroy();
	}
}

export function read(name) {
	return fs.readFileSync(new URL(name, import.meta.url), "latin1");
}
