// Runs mctl: with pipes, or at a pseudo-terminal of its own.

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

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

// {code, out, err}; opts: env, input, kill (ms until SIGINT), fds.
export function mctl(args, opts = {}) {
	return new Promise((ok, no) => {
		const p = spawn(MCTL, args, { env: environment(opts.env),
		    stdio: ['pipe', 'pipe', 'pipe', ...(opts.fds ?? [])] });
		const out = [], err = [];
		const timer = setTimeout(() => p.kill('SIGKILL'), 20000);
		if (opts.kill)
			setTimeout(() => p.kill('SIGINT'), opts.kill);
		p.stdout.on('data', d => out.push(d));
		p.stderr.on('data', d => err.push(d));
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

// At a terminal; steps: [[text to wait for, what to type], ...].
export function terminal(args, steps, opts = {}) {
	return new Promise((ok, no) => {
		const p = spawn('python3', [PTY, JSON.stringify(steps), MCTL,
		    ...args], { env: environment(opts.env) });
		const out = [];
		const timer = setTimeout(() => p.kill('SIGKILL'), 20000);
		p.stdout.on('data', d => out.push(d));
		p.stderr.on('data', d => out.push(d));
		p.on('error', no);
		p.on('close', code => {
			clearTimeout(timer);
			ok({ code, out: Buffer.concat(out).toString() });
		});
	});
}
