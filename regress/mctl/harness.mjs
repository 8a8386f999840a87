// Runs mctl: with pipes, or at a pseudo-terminal of its own.

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Clock } from '../lib/clock.mjs';
import { LONG_MS } from '../lib/wait.mjs';

export const MCTL = path.resolve(process.env.MCTL ?? 'build/mctl');
const PTY = new URL('terminal.py', import.meta.url).pathname;

export function scratch() {
	return fs.mkdtempSync(path.join(os.tmpdir(), 'mctl-test-'));
}

function environment(extra) {
	return { PATH: process.env.PATH, HOME: '/nonexistent',
	    TERM: 'xterm', LANG: 'C.UTF-8', MARIONETTE_SOCKET: '/nonexistent',
	    ...extra };
}

// What it prints; on: [pattern, what to do when it is there].
function gather(stream, on) {
	const out = [];

	stream.on('data', d => {
		out.push(d);
		if (on?.[0].test(Buffer.concat(out).toString())) {
			on[1]();
			on = null;
		}
	});
	return out;
}

// The clock of a mctl that is given its env.
export const clock_in = (dir) => new Clock(dir, path.dirname(MCTL));

// {code, out, err}; opts: env, input, kill (a pattern on which SIGINT), on
// (a pattern, and what to do then), fds, sh (a script that has it as "$@").
export function mctl(args, opts = {}) {
	const [program, ...words] = opts.sh ? ['sh', '-c', opts.sh, 'sh', MCTL,
	    ...args] : [MCTL, ...args];

	return new Promise((ok, no) => {
		const p = spawn(program, words, { env: environment(opts.env),
		    stdio: ['pipe', 'pipe', 'pipe', ...(opts.fds ?? [])] });
		const out = gather(p.stdout, opts.kill ? [opts.kill,
		    () => p.kill('SIGINT')] : opts.on);
		const err = gather(p.stderr);
		const timer = setTimeout(() => p.kill('SIGKILL'), LONG_MS);
		p.on('error', no);
		p.on('close', (code, signal) => {
			clearTimeout(timer);
			ok({ code, signal, out: Buffer.concat(out).toString(),
			    err: Buffer.concat(err).toString() });
		});
		p.stdin.on('error', () => {});
		p.stdin.end(opts.input ?? '');
	});
}

// At a terminal; steps: [[text to wait for, what to type], ...]; opts: env, on.
export function terminal(args, steps, opts = {}) {
	return new Promise((ok, no) => {
		const p = spawn('python3', [PTY, JSON.stringify(steps), MCTL,
		    ...args], { env: environment(opts.env) });
		const out = gather(p.stdout, opts.on);
		const timer = setTimeout(() => p.kill('SIGKILL'), LONG_MS);
		p.stderr.on('data', d => out.push(d));
		p.on('error', no);
		p.on('close', code => {
			clearTimeout(timer);
			ok({ code, out: Buffer.concat(out).toString() });
		});
	});
}
