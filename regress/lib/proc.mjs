// Child processes of a test: started with everything they say kept, waited for
// with a bound, and gone when the test is.  Only processes started here are
// ever signalled.

import { spawn } from "node:child_process";
import readline from "node:readline";
import { LONG_MS, until, within } from "./wait.mjs";

const OUTPUT_MAX = 67108864;
const living = new Set();

process.on("exit", () => {
	for (const p of living)
		p.signal("SIGKILL");
});

class Proc {
	constructor(argv, options) {
		const { env, cwd, stdio, group = true, input } = options;

		this.argv = argv;
		this.out = "";
		this.err = "";
		this.lines = [];
		this.listeners = [];
		this.status = null;
		this.group = group;
		this.child = spawn(argv[0], argv.slice(1), { cwd,
		    env: env ?? process.env, detached: group,
		    stdio: stdio ?? ["pipe", "pipe", "pipe"] });
		this.pid = this.child.pid;
		living.add(this);
		this.exited = new Promise((done) => {
			const end = (code, signal) => {
				living.delete(this);
				this.status = this.status ?? { code, signal };
				done(this.status);
			};
			// "close" and not "exit": all output has been read.
			this.child.on("close", end);
			this.child.on("error", (e) => {
				this.err += `${e.message}\n`;
				end(127, null);
			});
		});
		this.child.stdout?.setEncoding("utf8");
		this.child.stderr?.setEncoding("utf8");
		this.child.stdout?.on("data", (d) => { this.keep("out", d); });
		this.child.stderr?.on("data", (d) => { this.keep("err", d); });
		if (this.child.stdout)
			readline.createInterface({ input: this.child.stdout,
			    crlfDelay: Infinity }).on("line", (l) => {
				this.lines.push(l);
				this.listeners.forEach((f) => f(l));
			});
		this.child.stdin?.on("error", () => {});
		if (input !== undefined)
			this.child.stdin.end(input);
	}

	// Who says so much is killed, and what is told of it says why.
	keep(which, data) {
		if (this.is_flood)
			return;
		this[which] += data;
		this.is_flood = this[which].length > OUTPUT_MAX;
		if (this.is_flood) {
			this.err += `\nkilled: more than ${OUTPUT_MAX} bytes ` +
			    "of output";
			this.signal("SIGKILL");
		}
	}

	on_line(f) {
		this.lines.forEach(f);
		this.listeners.push(f);
	}

	write(s) {
		this.child.stdin.write(s);
	}

	// Something in the output: a string or a RegExp, whose match it returns.
	says(what, ms = LONG_MS) {
		const find = (s) => typeof what === "string" ?
		    s.includes(what) : what.exec(s);

		return until(`${this.argv[0]} to say ${what}`, () => {
			const m = find(this.out) || find(this.err);
			if (!m && this.status !== null)
				throw new Error(`it ended: ${this.told()}`);
			return m;
		}, ms);
	}

	told() {
		return JSON.stringify(this.status) + "\n" +
		    (this.out + this.err).slice(-4000);
	}

	signal(name, group = this.group) {
		try {
			process.kill(group ? -this.pid : this.pid, name);
		} catch (e) {
			if (e.code !== "ESRCH")
				throw e;
		}
	}

	// {code, signal}; a program that does not end is killed, and an error.
	async wait(ms = LONG_MS) {
		try {
			return await within(`${this.argv[0]} to end`, ms,
			    this.exited);
		} catch (e) {
			this.signal("SIGKILL");
			e.message += `\n${this.told()}`;
			throw e;
		}
	}

	async stop(signal = "SIGTERM", ms = LONG_MS) {
		if (this.status === null)
			this.signal(signal, false);
		return this.wait(ms);
	}
}

export function start(argv, options = {}) {
	return new Proc(argv, options);
}

// Runs to the end: {code, signal, out, err}.
export async function run(argv, options = {}) {
	const p = new Proc(argv, { ...options, input: options.input ?? "" });
	const status = await p.wait(options.ms ?? LONG_MS);

	return { ...status, out: p.out, err: p.err };
}
