// One server, one agent, a directory: what each test of the agent starts from.

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { temp_dir, top } from "../lib/place.mjs";
import { run, start } from "../lib/proc.mjs";
import { LONG_MS, until } from "../lib/wait.mjs";
import { Server } from "./server.mjs";

export const AGENT = process.env.AGENT ??
    path.join(top, process.env.O ?? "build", "marionette-agent");
export const DEMO = path.join(top, "agent/demo/demo-agent");

// A program for custom:test; sh or whatever its first line says.
export function program(dir, name, text) {
	const at = path.join(dir, name);

	fs.writeFileSync(at, text, { mode: 0o755 });
	return at;
}

// o: server (options), agents [kind=path], args, env, enrol (false: not yet),
// uid (the agent's; else ours).
export async function scene(t, o = {}) {
	const dir = temp_dir(t, "mn-agent-");
	const server = new Server(dir, o.server);
	const state = path.join(dir, "state");
	const root = path.join(dir, "sessions");

	fs.chmodSync(dir, 0o755);	// Sessions have users of their own.
	if (o.uid)
		fs.chownSync(dir, o.uid, o.uid);
	await server.start();
	t.after(() => server.stop());
	const s = { dir, server, state, root, agent: null };

	s.args = (more = []) => [...(o.uid ? ["setpriv", `--reuid=${o.uid}`,
	    `--regid=${o.uid}`, "--clear-groups"] : []),
	    AGENT, "-v", "--server", server.address,
	    "--state", state, "--workspace-root", root, "--name", "test",
	    ...(o.server?.plaintext ? ["--insecure"] : []),
	    ...(o.agents ?? [`demo=${DEMO}`]).flatMap((a) => ["--agent", a]),
	    ...(o.args ?? []), ...more];
	s.start = (more = [], env = {}) => {
		s.agent = start(s.args(more), { env: { PATH: process.env.PATH,
		    LANG: "C.UTF-8",
		    MARIONETTE_RUNNER_TOKEN: server.full_token, ...o.env,
		    ...env }, group: false });
		t.after(() => s.agent.status === null &&
		    s.agent.stop("SIGKILL"));
		return s.agent;
	};
	s.work = (session, name = "") => path.join(root, session, "workspace",
	    name);
	s.read = (session, name) => fs.readFileSync(s.work(session, name),
	    "utf8");
	s.file = (session, name, ms = LONG_MS) => until(`${name}`, () =>
	    fs.existsSync(s.work(session, name)) && s.read(session, name), ms);
	if (o.enrol !== false) {
		s.start();
		await server.connected(1);
	}
	return s;
}

// What fn does, with a state directory on a disk of that many MiB: netns.sh lets
// a test mount.  Without it such a test would say nothing, so it fails.
export async function on_disk(s, mib, fn) {
	fs.mkdirSync(s.state, { recursive: true });
	const mounted = await run(["mount", "-t", "tmpfs", "-o",
	    `size=${mib}m,mode=0700,nr_inodes=500`, "tmpfs", s.state]);

	assert.equal(mounted.code, 0, "no small disk can be mounted here: " +
	    mounted.err);
	try {
		await fn();
		await s.agent.stop();
	} finally {
		// Lazily: an agent that does not stop goes with the test.
		await run(["umount", "-l", s.state]);
	}
}

// Takes all room of the state directory but so many bytes.
export function fill_disk(s, but) {
	const at = `${s.state}/ballast`, d = fs.statfsSync(s.state);

	fs.writeFileSync(at, Buffer.alloc(Math.max(0,
	    d.bavail * d.bsize - but)));
	return () => fs.unlinkSync(at);
}

// Takes all room for more files of the state directory; their bytes stay free.
export function fill_names(s) {
	const dir = `${s.state}/names`;

	fs.mkdirSync(dir);
	try {
		for (let i = 0; ; i++)
			fs.writeFileSync(`${dir}/${i}`, "");
	} catch (e) {
		assert.equal(e.code, "ENOSPC");
	}
	return () => fs.rmSync(dir, { recursive: true });
}

// Processes that have the text in their command line.
export function processes(text) {
	return fs.readdirSync("/proc").filter((n) => /^\d+$/.test(n))
	    .filter((n) => {
		try {
			return fs.readFileSync(`/proc/${n}/cmdline`, "utf8")
			    .replaceAll("\0", " ").includes(text);
		} catch {
			return false;
		}
	    }).map(Number).filter((n) => n !== process.pid);
}
