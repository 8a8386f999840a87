// The walls around a run, seen from within: what a session may write, and what it
// finds of its user's and of other sessions'.

import assert from "node:assert/strict";
import fs from "node:fs";
import net from "node:net";
import path from "node:path";
import { test } from "node:test";
import { run, start } from "../lib/proc.mjs";
import { AGENT, program, scene } from "./harness.mjs";

const NOBODY = 65534;

function is_mapped(uid) {
	return fs.readFileSync("/proc/self/uid_map", "utf8").trim().split("\n")
	    .map((l) => l.trim().split(/\s+/).map(Number))
	    .some(([from, , n]) => uid >= from && uid < from + n);
}

// Without users to give, root of a namespace is a plain user itself.
const PLAIN = is_mapped(NOBODY) ? NOBODY : undefined;
const WHO = [["root", undefined], ["a plain user", PLAIN]];

// An agent of that user's, whose home is `mine', with a program that does what
// the file `do' in its workspace says.
async function room(t, uid) {
	// Not below /tmp, which were everybody's then.
	const mine = fs.mkdtempSync(path.join(path.dirname(AGENT), "mn-room-"));
	t.after(() => fs.rmSync(mine, { recursive: true, force: true }));
	const at = program(mine, "p", "#!/bin/sh\nread -r task\n. ./do\n");

	fs.writeFileSync(`${mine}/.bashrc`, "mine\n");
	fs.mkdirSync(`${mine}/.ssh`);
	fs.chmodSync(mine, 0o755);
	for (const f of ["", "/p", "/.bashrc", "/.ssh"])
		fs.chownSync(mine + f, uid ?? 0, uid ?? 0);
	const s = await scene(t, { uid, agents: [`custom:p=${at}`],
	    env: { HOME: mine } });
	let runs = 0;

	s.mine = mine;
	s.attach = (session) => s.server.attach(session, "custom:p",
	    { env: { MINE: mine } });
	s.does = async (session, text) => {
		const id = `run_${++runs}`;

		fs.writeFileSync(s.work(session, "do"), text);
		s.server.execute(id, session, "x");
		return (await s.server.log(id)).filter((l) => l.stream ===
		    "stdout").map((l) => l.content);
	};
	assert.equal(s.server.enrolled[0].sandbox_mode, "namespace");
	return s;
}

const WRITES = `cat "$MINE/.bashrc"
for f in "$MINE/.bashrc" "$MINE/new" "$MINE/p" /.marionette/agent /new; do
	echo evil >>"$f" && echo "wrote $f"
done
ln -sf /workspace/do "$MINE/.profile" && echo linked
chmod 777 "$MINE/.bashrc" && echo changed
rm -f "$MINE/.bashrc" && echo removed
unshare -Urm sh -c 'd=$(df --output=target "$MINE" | tail -1)
mount -o remount,bind,rw "$d" && echo remounted; umount "$d" && echo unmounted
echo evil >>"$MINE/.bashrc"'
`;

test("what is a plain user's is read in his rooms, and not written",
    async (t) => {
	const s = await room(t, PLAIN);
	const text = fs.readFileSync(`${s.mine}/p`, "utf8");
	await s.attach("sess_a");
	assert.deepEqual(await s.does("sess_a", WRITES), ["mine"]);
	assert.equal(fs.readFileSync(`${s.mine}/.bashrc`, "utf8"), "mine\n");
	assert.equal(fs.readFileSync(`${s.mine}/p`, "utf8"), text);
	assert.deepEqual(fs.readdirSync(s.mine).sort(),
	    [".bashrc", ".ssh", "p"]);
	assert.deepEqual(s.server.errors, []);
});

const OWN = ["/workspace/f", "/home/agent/f", "/tmp/f", "/var/tmp/f",
    "/dev/shm/f", "/dev/null"];

for (const [who, uid] of WHO) {
	test(`${who}: a session has what it needs to write to`, async (t) => {
		const s = await room(t, uid);
		await s.attach("sess_a");
		assert.deepEqual(await s.does("sess_a", `for f in ` +
		    `${OWN.join(" ")}; do echo x >$f && echo $f; done\n` +
		    "cat /tmp/f /var/tmp/f\n" +
		    "script -qec tty /dev/null </dev/null | tr -d '\\r'\n"),
		    [...OWN, "x", "x", "/dev/pts/0"]);
		// What it leaves goes with its directory.
		assert.ok(fs.existsSync(`${s.root}/sess_a/tmp/f`));
		assert.deepEqual(s.server.errors, []);
	});

	test(`${who}: nothing that a session left is there for the next`,
	    async (t) => {
		const s = await room(t, uid);
		t.after(() => fs.rmSync("/var/tmp/mn-left", { force: true }));
		await s.attach("sess_a");
		const [made] = await s.does("sess_a", "echo x >/var/tmp/mn-left\n" +
		    "ipcmk -M 64 -p 0666\n");
		const id = /id: (\d+)/.exec(made)[1];
		t.after(() => run(["ipcrm", "-m", id]));
		await s.attach("sess_b");
		assert.deepEqual(await s.does("sess_b", "ls /var/tmp\n" +
		    "ipcs -m | grep ^0x\n"), []);
		assert.deepEqual(s.server.errors, []);
	});
}

// What a user may connect to he is in a room as well: a read-only mount does not
// prevent it.
test("of a plain user's daemons none can be reached", async (t) => {
	const s = await room(t, PLAIN);
	const mounted = await run(["mount", "-t", "tmpfs", "tmpfs", "/run"]);
	assert.equal(mounted.code, 0, mounted.err);
	t.after(() => run(["umount", "-l", "/run"]));
	const sockets = ["/run/docker.sock", "/run/user/1/bus",
	    `${s.mine}/.ssh/agent`];

	for (const at of sockets) {
		fs.mkdirSync(path.dirname(at), { recursive: true });
		const server = net.createServer();
		t.after(() => server.close());
		await new Promise((done) => server.listen(at, done));
		fs.chmodSync(at, 0o777);
	}
	fs.mkdirSync("/run/systemd/resolve", { recursive: true });
	fs.writeFileSync("/run/systemd/resolve/stub-resolv.conf", "names\n");
	await s.attach("sess_a");
	assert.deepEqual(await s.does("sess_a", 'find /run "$MINE" -type s\n' +
	    "cat /run/systemd/resolve/stub-resolv.conf\n"), ["names"]);
	assert.deepEqual(s.server.errors, []);
});

// The same name, given by two servers that know nothing of each other.
test("what is left of a run is killed, and not another agent's of the same name",
    async (t) => {
	const [s, other] = [await room(t, PLAIN), await room(t, PLAIN)];

	for (const x of [s, other]) {
		await x.attach("sess_a");
		fs.writeFileSync(x.work("sess_a", "do"), "echo x >began\n" +
		    "until [ -e go ]; do sleep 0.1; done\n");
		x.server.execute("run_1", "sess_a", "x");
		await x.file("sess_a", "began");
	}
	const at = `/proc/${other.agent.pid}/task/${other.agent.pid}/children`;
	process.kill(Number(fs.readFileSync(at, "utf8")), "SIGKILL");
	const dead = await other.server.message_of("run_completed", "run_1");
	assert.match(dead.error, /signal 9/);
	fs.writeFileSync(s.work("sess_a", "go"), "");
	const done = await s.server.message_of("run_completed", "run_1");
	assert.equal(done.status, "completed", done.error);
});

// An agent without namespaces, whose sessions' users walk the whole way to this
// state directory, and a run that wants its HOME.
async function walked(t, below) {
	const s = await scene(t, { enrol: false });
	const state = path.join(s.dir, below);
	const at = program(s.dir, "p", `#!/bin/sh
cd "$HOME" && echo home >>it && cd ../workspace && echo workspace >>it
`);

	fs.mkdirSync(path.join(s.dir, "closed"), { mode: 0o700 });
	s.agent = start(["setpriv", "--bounding-set", "-sys_admin",
	    ...s.args(["--state", state, "--workspace-root",
		`${state}/sessions`, "--agent", `custom:p=${at}`])],
	    { env: { PATH: process.env.PATH,
		MARIONETTE_RUNNER_TOKEN: s.server.full_token }, group: false });
	t.after(() => s.agent.stop("SIGKILL"));
	await s.server.connected(1);
	assert.equal(s.server.enrolled[0].sandbox_mode, "uid");
	await s.server.attach("sess_a", "custom:p");
	s.server.execute("run_1", "sess_a", "x");
	return { done: await s.server.message_of("run_completed", "run_1"),
	    said: s.agent.out + s.agent.err };
}

const AS_ROOT = { skip: PLAIN === undefined && "as root" };

test("without namespaces, a state directory in one that had to be made",
    AS_ROOT, async (t) => {
	const { done, said } = await walked(t, "new/er/state");

	assert.equal(done.status, "completed", done.error);
	assert.doesNotMatch(said, /may not pass/);
});

test("without namespaces, a state directory in one that is closed", AS_ROOT,
    async (t) => {
	const { done, said } = await walked(t, "closed/state");

	assert.equal(done.status, "failed");
	assert.match(said, /may not pass on the way to .*closed.state.sessions/);
});
