// The jails as the kernel sees them, read from the running processes: who they
// are, where their root is, what they hold open, what they have mapped.  As
// root the whole jail; the rootless tree has the filters at least.

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { test as plain } from "node:test";
import { top } from "../lib/place.mjs";
import { run } from "../lib/proc.mjs";
import { ends_well, is_root, O, start_server, tests }
    from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";

const FRONTS = ["api", "admin", "runner"];
// As regress/house/run.sh has it for DT_NEEDED, and what these need in turn.
const COMMON = ["libevent_core-2.1", "libseccomp", "libcap", "libsodium",
    "libbsd", "libmd", "libc", "ld-linux-x86-64", "ld-linux-aarch64"];
const OWN = {
	frontd: ["libtls", "libssl", "libcrypto", "libnghttp2", "libwslay",
	    "libjansson"],
	runnerd: ["libprotobuf-c"],
	providerd: ["libcrypto"],
	storaged: ["libpq", "libssl", "libcrypto", "libgssapi_krb5", "libkrb5",
	    "libk5crypto", "libkrb5support", "libcom_err", "libkeyutils",
	    "libldap", "libldap-2.5", "liblber", "liblber-2.5", "libsasl2",
	    "libresolv", "libgnutls", "libp11-kit", "libidn2",
	    "libunistring", "libtasn1", "libnettle", "libhogweed", "libgmp",
	    "libffi"],
};

const server = await start_server();
const test = tests(server);
const as_root = is_root ? test : (name) =>
    plain(name, { skip: "not root" }, () => {});

const read = (pid, name) => fs.readFileSync(`/proc/${pid}/${name}`, "utf8");
const status = (pid) => Object.fromEntries(read(pid, "status").trim()
    .split("\n").map((l) => l.split(/:\s*/)).map(([k, v]) => [k, v ?? ""]));

// Every child of the parent but PostgreSQL: {name, program, pid}.
function workers(root) {
	return read(root, `task/${root}/children`).trim().split(" ")
	    .map(Number).map((pid) => ({ pid,
		argv: read(pid, "cmdline").split("\0") }))
	    .filter(({ argv }) => argv[1] === "-P")
	    .map(({ pid, argv }) => ({ pid, name: argv[2],
		program: path.basename(argv[0]) }));
}

function is_filtered(pid, name) {
	const s = status(pid);

	assert.equal(s.Seccomp, "2", `${name}: Seccomp`);
	assert.equal(s.NoNewPrivs, "1", `${name}: NoNewPrivs`);
	assert.match(read(pid, "limits"), /^Max core file size +0 +0 /m, name);
	return s;
}

const all = workers(server.proc.pid);
// The child of sessiond's that checks passwords.
const [password] = read(all.find((w) => w.name === "sessiond").pid,
    `task/${all.find((w) => w.name === "sessiond").pid}/children`)
    .trim().split(" ").map(Number);

test("every worker runs, from its own program", () => {
	assert.deepEqual(all.map((w) => w.name).sort(), ["admin", "api",
	    "providerd", "runner", "runnerd", "sessiond", "storaged", "taskd",
	    "tunneld"]);
	for (const w of all) {
		assert.equal(w.program, FRONTS.includes(w.name) ? "frontd" :
		    w.name);
		assert.equal(fs.readlinkSync(`/proc/${w.pid}/exe`),
		    path.join(O, w.program));
	}
	assert.ok(password > 0);
});

test("no capability, no way to get one, a filter, no core", () => {
	for (const { pid, name } of [...all, { pid: password,
	    name: "password" }]) {
		const s = is_filtered(pid, name);
		if (!is_root)
			continue;
		for (const set of ["CapInh", "CapPrm", "CapEff", "CapAmb"])
			assert.match(s[set], /^0+$/, `${name}: ${set}`);
	}
});

as_root("each worker is a user of its own, who is nobody else", () => {
	const uids = new Map();

	for (const { pid, name, program } of all) {
		const s = status(pid);
		const [uid, ...more] = s.Uid.split("\t");
		const [gid, ...groups] = s.Gid.split("\t");
		assert.ok(more.every((u) => u === uid), `${name}: ${s.Uid}`);
		assert.ok(groups.every((g) => g === gid), `${name}: ${s.Gid}`);
		assert.equal(s.Groups.trim(), "", name);
		assert.notEqual(uid, "0");
		assert.notEqual(gid, "0");
		assert.equal(uids.get(uid) ?? program, program,
		    `${name} shares uid ${uid} with ${uids.get(uid)}`);
		uids.set(uid, program);
	}
	assert.equal(uids.size, 7);
	const pw = Number(status(password).Uid.split("\t")[0]);
	assert.equal(uids.get(String(pw)), "sessiond");
	// PostgreSQL is another again.
	const pg = Number(fs.readFileSync(`${server.dir}/s/postgres/` +
	    "postmaster.pid", "utf8").split("\n")[0]);
	const db = status(pg).Uid.split("\t")[0];
	assert.ok(db !== "0" && !uids.has(db));
});

as_root("the root is empty, or PostgreSQL's socket", () => {
	for (const { pid, name } of all) {
		const root = fs.readlinkSync(`/proc/${pid}/root`);
		const entries = fs.readdirSync(`/proc/${pid}/root`);
		const { uid, mode } = fs.statSync(`/proc/${pid}/root/.`);
		assert.equal(fs.readlinkSync(`/proc/${pid}/cwd`), root, name);
		if (name === "storaged") {
			assert.deepEqual(entries.sort(), [".s.PGSQL.5432",
			    ".s.PGSQL.5432.lock"]);
			continue;
		}
		assert.deepEqual(entries, [], name);
		assert.equal(root, path.join(server.dir, "r/empty"));
		assert.equal(uid, 0);
		assert.equal(mode & 0o022, 0);
	}
});

// The kernel's own names of sockets: inode -> kind.
function sockets(pid) {
	const kinds = new Map();

	for (const [file, kind] of [["tcp", "tcp"], ["tcp6", "tcp"],
	    ["udp", "udp"], ["udp6", "udp"], ["raw", "raw"],
	    ["packet", "packet"], ["unix", "unix"], ["netlink", "netlink"]]) {
		const lines = read(pid, `net/${file}`).trim().split("\n");
		const head = lines.shift().trim().split(/\s+/);
		const at = file === "unix" ? 6 : head.indexOf("inode");
		for (const l of lines) {
			const f = l.trim().split(/\s+/);
			// In tcp and udp two headings stand over one column.
			const i = /^(tcp|udp|raw)/.test(file) ? 9 : at;
			const port = kind === "tcp" ?
			    parseInt(f[1].split(":")[1], 16) : 0;
			const state = kind === "tcp" ? f[3] : "";
			kinds.set(f[i], { kind, port, listens: state === "0A",
			    path: f[7] });
		}
	}
	return kinds;
}

test("nothing is open but sockets of their own, an event queue and the log",
    () => {
	const log = fs.readlinkSync(`/proc/${server.proc.pid}/fd/2`);
	const pipes = new Map();

	for (const { pid, name } of [...all, { pid: password,
	    name: "password" }]) {
		const kinds = sockets(pid);
		const tcp = [];
		for (const fd of fs.readdirSync(`/proc/${pid}/fd`)) {
			const to = fs.readlinkSync(`/proc/${pid}/fd/${fd}`);
			const what = `${name}: descriptor ${fd} is ${to}`;
			if (/^anon_inode:\[(eventpoll|eventfd|timerfd)\]$/
			    .test(to))
				continue;
			const m = /^socket:\[(\d+)\]$/.exec(to);
			if (/^pipe:/.test(to) && to !== log && fd > 2) {
				// libevent's, from itself to itself.
				assert.equal(pipes.get(to) ?? name, name, what);
				pipes.set(to, name);
				continue;
			}
			if (m === null) {
				// What the parent had as 0, 1 and 2.
				assert.ok(Number(fd) <= 2 && (to === log ||
				    to === "/dev/null" || /^pipe:/.test(to)),
				    what);
				continue;
			}
			const s = kinds.get(m[1]);
			assert.ok(s, what);
			if (s.kind === "tcp")
				tcp.push(s);
			else
				assert.equal(s.kind, "unix", what);
		}
		const port = server.ports[name];
		if (FRONTS.includes(name)) {
			assert.ok(tcp.length > 0, name);
			for (const s of tcp)
				assert.equal(s.port, port, `${name}: a socket ` +
				    `at port ${s.port}`);
		} else
			assert.deepEqual(tcp, [], name);
	}
});

test("frontd and storaged share no socket, nor do others without a word to say",
    () => {
	// Every socketpair joins two inodes; ss names the peer of each.
	const owner = new Map();

	for (const { pid, name } of all)
		for (const fd of fs.readdirSync(`/proc/${pid}/fd`)) {
			const m = /^socket:\[(\d+)\]$/.exec(
			    fs.readlinkSync(`/proc/${pid}/fd/${fd}`));
			if (m)
				owner.set(m[1], name);
		}
	return run(["ss", "-xnH"]).then((r) => {
		assert.equal(r.code, 0, r.err);
		const pairs = new Set();
		for (const l of r.out.trim().split("\n")) {
			const f = l.trim().split(/\s+/);
			const [a, b] = [owner.get(f[5]), owner.get(f[7])];
			if (a && b && a !== b)
				pairs.add([a, b].sort().join(" "));
		}
		assert.ok(pairs.size > 10, "no pairs were seen");
		for (const f of FRONTS)
			assert.ok(!pairs.has([f, "storaged"].sort().join(" ")));
		const edges = edges_of_table();
		for (const p of pairs)
			assert.ok(edges.has(p), `${p} share a socket`);
	});
});

// The pairs that imsg/messages.master has a message for.
function edges_of_table() {
	const text = fs.readFileSync(path.join(top, "imsg/messages.master"),
	    "utf8");
	const groups = new Map();
	const out = new Set();
	const members = (word) => groups.get(word) ?? [word];

	for (const l of text.split("\n")) {
		const group = /^group\s+(\S+)\s*=\s*(.*)$/.exec(l);
		if (group)
			groups.set(group[1], group[2].split(/[\s,]+/)
			    .flatMap(members));
		for (const [, a, b] of l.matchAll(
		    /(?<=[\s,])([a-z]+)>([a-z]+)(?=[\s,]|$)/g))
			for (const x of members(a))
				for (const y of members(b))
					out.add([x, y].sort().join(" "));
	}
	return out;
}

test("only the libraries of the allow list are mapped", () => {
	for (const { pid, name, program } of all) {
		const allowed = new Set([...COMMON, ...(OWN[program] ?? [])]);
		const files = new Set(read(pid, "maps").split("\n")
		    .map((l) => l.split(/\s+/)[5]).filter((f) =>
			f?.startsWith("/")));
		for (const f of files) {
			const lib = path.basename(f).replace(/\.so.*$/, "");
			assert.ok(f === path.join(O, program) ||
			    allowed.has(lib), `${name} has mapped ${f}`);
		}
	}
});

test("no page is both writable and executable", () => {
	for (const { pid, name } of all)
		for (const l of read(pid, "maps").trim().split("\n"))
			assert.doesNotMatch(l.split(" ")[1], /wx/,
			    `${name}: ${l}`);
});

as_root("a user of the same uid cannot look inside", async () => {
	for (const { pid, name } of all) {
		const [uid] = status(pid).Uid.split("\t");
		const [gid] = status(pid).Gid.split("\t");
		const r = await run(["setpriv", `--reuid=${uid}`,
		    `--regid=${gid}`, "--clear-groups", "strace", "-p",
		    String(pid)]);
		assert.notEqual(r.code, 0);
		assert.match(r.err, /not permitted/, name);
		const m = await run(["setpriv", `--reuid=${uid}`,
		    `--regid=${gid}`, "--clear-groups", "head", "-c", "1",
		    `/proc/${pid}/mem`]);
		assert.match(m.err, /denied/i, name);
	}
});

test("providerd's keys are in locked memory", () => {
	const { pid } = all.find((w) => w.name === "providerd");

	assert.ok(parseInt(status(pid).VmLck, 10) > 0);
});

// The same programs started by nobody in particular.
as_root("without root: the filters all the same, and it says so",
    async (t) => {
	const dir = fs.mkdtempSync("/tmp/mn-rootless-");
	t.after(() => fs.rmSync(dir, { recursive: true, force: true }));
	const { mtime: _, ...made } = fs.statSync(dir);
	assert.ok(made.uid === 0);
	fs.chownSync(dir, 65534, 65534);
	fs.chmodSync(dir, 0o700);
	const bin = path.join(dir, "bin");
	fs.mkdirSync(bin, { mode: 0o755 });
	for (const f of ["marionetted", "storaged", "frontd", "sessiond",
	    "taskd", "runnerd", "tunneld", "providerd"])
		fs.copyFileSync(path.join(O, f), path.join(bin, f));
	fs.writeFileSync(path.join(dir, "m.conf"), [
	    `state directory "${dir}/s"`, `run directory "${dir}/r"`,
	    "listen api on localhost port 28080 plaintext",
	    "listen runner on localhost port 29090 tls",
	    `admin user "admin" password "sha256:${"0".repeat(64)}"`,
	    ""].join("\n"));
	const { start } = await import("../lib/proc.mjs");
	const p = start(["setpriv", "--reuid=65534", "--regid=65534",
	    "--clear-groups", path.join(bin, "marionetted"), "-f",
	    path.join(dir, "m.conf")]);
	t.after(() => p.status === null && p.stop());
	await p.says(/every process is up/);
	await p.says(/not started by root/);
	const own = await until("the workers", () => {
		const w = workers(p.pid);
		return w.length === 9 && w;
	});
	for (const w of own) {
		const s = is_filtered(w.pid, w.name);
		assert.match(s.CapEff, /^0+$/);
		assert.match(s.Uid, /^65534\t/);
	}
	assert.equal((await p.stop()).code, 0);
	assert.doesNotMatch(p.err, /fatal/);
});

ends_well(server);
