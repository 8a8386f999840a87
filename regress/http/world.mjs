// Starts frontd and its world (world.c) and counts what is wrong.

import { spawn } from "node:child_process";
import readline from "node:readline";

const O = process.env.O ?? "build";
const WORLD = `${O}/regress/world`, FRONTD = `${O}/frontd`;
export async function start(instance) {
	const child = spawn(WORLD, [FRONTD, instance],
	    { stdio: ["pipe", "pipe", "pipe"] });
	const lines = readline.createInterface({ input: child.stdout })
	    [Symbol.asyncIterator]();
	const w = { child, log: "" };

	child.stderr.on("data", (d) => w.log += d);
	const next = async () => {
		const { value, done } = await lines.next();
		if (done)
			throw new Error(`world ended: ${w.log}`);
		return value;
	};
	w.say = async (line) => {
		child.stdin.write(`${line}\n`);
		return next();
	};
	w.port = +(await next()).split(" ")[1];
	w.pid = +(await next()).split(" ")[1];
	// It must end by itself and say nothing: sanitizers speak on stderr.
	w.stop = () => test(`${instance}: ends without a word`, async () => {
		const code = await new Promise((ok) => {
			child.on("close", ok);
			child.stdin.end();
		});
		if (code !== 0 || /ERROR|runtime error/.test(w.log))
			throw new Error(`${code}: ${w.log}`);
	});
	return w;
}

export let failed = 0;
export async function test(name, fn) {
	try {
		await fn();
		console.log(`ok - ${name}`);
	} catch (e) {
		failed++;
		console.log(`not ok - ${name}`);
		console.log(String(e.stack).replace(/^/gm, "# "));
	}
}

export function is(got, want, what) {
	const a = JSON.stringify(got), b = JSON.stringify(want);

	if (a !== b)
		throw new Error(`${what ?? ""}: got ${a}, expected ${b}`);
}

export function like(text, re) {
	if (!re.test(text))
		throw new Error(`${text} is not like ${re}`);
}
