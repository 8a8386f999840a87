// marionette-agent when things die: the connection, the server, the agent
// itself, the holder, the disk's patience.

import assert from "node:assert/strict";
import fs from "node:fs";
import { test } from "node:test";
import { until } from "../lib/wait.mjs";
import { Relay } from "../lib/relay.mjs";
import { fill_disk, on_disk, processes, program, scene } from "./harness.mjs";

test("the server dies with a permission pending", async (t) => {
	const s = await scene(t);
	const { server } = s;

	await server.attach("sess_a", "demo");
	server.execute("run_1", "sess_a", "x");
	const q = await server.message_of("permission_request", "run_1");
	// Its answer comes behind the question's acknowledgement.
	server.send({ kill_run: { run_id: "run_9", reason: "canceled" } });
	await server.message_of("run_unwound", "run_9");
	server.stop();
	await s.agent.says(/server .*: /);
	await server.start();
	await server.connected(2);
	const h = server.hellos[1];
	assert.equal(h.session_id, "sess_a");
	assert.deepEqual(h.runs.map((r) => [r.run_id, r.state]),
	    [["run_1", "running"]]);
	server.execute("run_1", "sess_a", "x");
	server.answer("run_1", q.request_id, true);
	server.answer("run_1", q.request_id, true);
	assert.equal((await server.message_of("run_completed", "run_1")).status,
	    "completed");
	// The new server may not know of it, and is asked the same.
	assert.deepEqual(server.of("permission_request"), [q, q]);
	assert.deepEqual(server.errors, []);
});

const COUNT = `#!/bin/sh
read -r task
echo started >>starts
i=0
while [ $i -lt 60 ]; do echo "line $i"; i=$((i + 1)); sleep 0.05; done
`;

test("a run ends while the server is away: told later", async (t) => {
	const s = await scene(t, { enrol: false, server: { ack: false,
	    log_ack: false, lost_after: 62 } });	// not to be lost after 2
	const at = program(s.dir, "p", COUNT);
	const { server } = s;
	s.start(["--agent", `custom:p=${at}`]);
	await server.connected(1);
	await server.attach("sess_a", "custom:p");
	server.execute("run_1", "sess_a", "x");
	await server.message_of("run_started", "run_1");
	await until("a line", () => server.logs.get("run_1")?.length > 3);
	server.stop();
	await s.agent.says(/run run_1: completed/);
	server.o.ack = server.o.log_ack = true;
	await server.start();
	const log = await server.log("run_1");
	assert.deepEqual(log.map((l) => l.content),
	    Array.from({ length: 60 }, (_, i) => `line ${i}`));
	assert.equal(s.read("sess_a", "starts"), "started\n");
	assert.deepEqual(server.errors, []);
	await until("the spool to go", () =>
	    fs.readdirSync(`${s.state}/spool`).length === 0);
});

// A few lines are acknowledged, too few for the journal to know of it.
for (const what of ["while it runs", "when it has ended"]) {
	test(`away from its server, then killed ${what}: no line is missing`,
	    async (t) => {
		const s = await scene(t, { enrol: false, server:
		    { heartbeat: 1 } });
		const at = program(s.dir, "p", "#!/bin/sh\nread -r task\n" +
		    "seq 1 10\nwhile [ ! -e go ]; do sleep 0.05; done\n" +
		    "seq 11 1010\n" +
		    (what.includes("ended") ? "" : "exec sleep 5439\n"));
		const { server } = s;
		const spool = () => fs.statSync(`${s.state}/spool/run_1`).size;
		s.start(["--agent", `custom:p=${at}`]);
		await server.connected(1);
		await server.attach("sess_a", "custom:p");
		server.execute("run_1", "sess_a", "x");
		await until("ten lines", () =>
		    server.logs.get("run_1")?.length === 10);
		await server.log_acked();
		server.stop();
		const few = spool();
		fs.writeFileSync(s.work("sess_a", "go"), "");
		await until("the rest to be spooled", () =>
		    spool() > few * 80);
		if (what.includes("ended"))
			await s.agent.says(/run run_1: completed/);
		await s.agent.stop("SIGKILL");
		await server.start();
		s.start(["--agent", `custom:p=${at}`]);
		const log = await server.log("run_1");
		assert.deepEqual(server.lost, []);
		assert.deepEqual(log.map((l) => l.content),
		    Array.from({ length: 1010 }, (_, i) => `${i + 1}`));
		assert.deepEqual(server.errors, []);
	});
}

// What is not acknowledged comes again on the next connection, where it would
// undo a run that was begun in the meantime.
test("a run that was unwound is not begun before that is acknowledged",
    async (t) => {
	const s = await scene(t, { server: { ack: false } });
	const { server } = s;
	const refusals = () => server.of("run_unwound")
	    .filter((u) => u.run_id === "run_1").length;

	server.execute("run_1", "sess_a", "x");
	await until("it to be unwound", () => refusals() === 1);
	await server.attach("sess_a", "demo");
	server.execute("run_1", "sess_a", "x");
	await until("it to be unwound again", () => refusals() === 2);
	assert.deepEqual(server.of("run_accepted"), []);
	server.o.ack = true;
	server.send({ ack: { up_to: server.up.length } });
	server.execute("run_1", "sess_a", "x");
	await server.message_of("run_accepted", "run_1");
});

test("not acknowledged is sent again, in order", async (t) => {
	const s = await scene(t, { server: { ack: false } });
	const { server } = s;

	await server.attach("sess_a", "demo");
	server.execute("run_1", "sess_a", "x");
	await server.message_of("permission_request", "run_1");
	const n = server.up.length;
	server.stop();
	await server.start();
	await until("all of it again", () => server.again >= n);
	assert.equal(server.hellos[1].first_unacked, 1);
	assert.deepEqual(server.errors, []);
});

for (const what of ["a permission pending", "a command running"]) {
	test(`kill -9 of the agent with ${what}`, async (t) => {
		const s = await scene(t, { enrol: false });
		const at = program(s.dir, "p", "#!/bin/sh\nread -r task\n" +
		    "echo started >>starts\n" +
		    '(setsid sh -c "trap \\"\\" TERM HUP; sleep 5435") &\n' +
		    (what.includes("perm") ?
		    'echo \'{"type":"permission_request","id":"1","tool":"T"}\'' :
		    "echo hello") + "\nexec sleep 5435\n");
		const { server } = s;
		s.start(["--agent", `custom:p=${at}`]);
		await server.connected(1);
		await server.attach("sess_a", "custom:p");
		server.execute("run_1", "sess_a", "x");
		await until("it to run", () =>
		    processes("sleep 5435").length >= 2 &&
		    server.logs.get("run_1")?.length > 0);
		await s.agent.stop("SIGKILL");
		await until("all to be dead", () =>
		    processes("sleep 5435").length === 0);
		s.start(["--agent", `custom:p=${at}`]);
		await server.connected(2);
		assert.equal(server.hellos[1].runs[0].state, "completed");
		const d = await server.message_of("run_completed", "run_1");
		assert.equal(d.status, "lost");
		await server.log("run_1");
		server.execute("run_1", "sess_a", "x");
		await server.message_of("run_completed", "run_1", undefined, 2);
		assert.equal(s.read("sess_a", "starts"), "started\n");
		// The session is still attached, and goes on.
		server.execute("run_2", "sess_a", "x", { attempt: 2 });
		await server.message_of("run_started", "run_2");
		assert.deepEqual(server.errors, []);
	});
}

// A run of two processes, who holds it, and how it ends.
async function held(t, seconds) {
	const s = await scene(t, { enrol: false }), sleep = `sleep ${seconds}`;
	s.start(["--agent", `custom:p=${program(s.dir, "p",
	    `#!/bin/sh\nsetsid ${sleep} &\nexec ${sleep}\n`)}`]);
	await s.server.connected(1);
	await s.server.attach("sess_a", "custom:p");
	s.server.execute("run_1", "sess_a", "x");
	await until("it to run", () => processes(sleep).length === 2);
	const [holder] = fs.readFileSync(`/proc/${s.agent.pid}/task/` +
	    `${s.agent.pid}/children`, "utf8").trim().split(" ").map(Number);
	return { server: s.server, holder, ends: async (status) => {
		const d = await s.server.message_of("run_completed", "run_1");
		assert.equal(d.status, status);
		assert.deepEqual(processes(sleep), []);
	} };
}

test("kill -9 of the holder", async (t) => {
	const { holder, ends } = await held(t, 5436);
	process.kill(holder, "SIGKILL");
	await ends("failed");
});

test("a kill where the holder stands still", async (t) => {
	const { server, holder, ends } = await held(t, 5444);
	process.kill(holder, "SIGSTOP");
	server.send({ kill_run: { run_id: "run_1", reason: "canceled" } });
	await ends("canceled");
});

test("too long without a server: it stops by itself", async (t) => {
	const s = await scene(t, { enrol: false, server: { lost_after: 4 } });
	const at = program(s.dir, "p", "#!/bin/sh\nexec sleep 5437\n");
	const { server } = s;
	s.start(["--agent", `custom:p=${at}`]);
	await server.connected(1);
	await server.attach("sess_a", "custom:p");
	server.execute("run_1", "sess_a", "x");
	await server.message_of("run_started", "run_1");
	server.stop();
	await s.agent.says(/run run_1: lost/);
	await until("it to be dead", () =>
	    processes("sleep 5437").length === 0);
	await server.start();
	assert.equal((await server.message_of("run_completed", "run_1"))
	    .status, "lost");
});

// What the server has sent meanwhile is read then, and looks like a server.
test("it stood still for too long: the same, though it is connected",
    async (t) => {
	const s = await scene(t, { enrol: false, server: { lost_after: 4 } });
	const at = program(s.dir, "p", "#!/bin/sh\nexec sleep 5447\n");
	const { server } = s;
	s.start(["--agent", `custom:p=${at}`]);
	await server.connected(1);
	await server.attach("sess_a", "custom:p");
	server.execute("run_1", "sess_a", "x");
	await server.message_of("run_started", "run_1");
	process.kill(s.agent.pid, "SIGSTOP");
	await new Promise((done) => setTimeout(done, 4000));
	process.kill(s.agent.pid, "SIGCONT");
	const done = await server.message_of("run_completed", "run_1");
	assert.equal(done.status, "lost");
	assert.match(done.error, /without a server/);
	assert.equal(server.hellos.length, 1);
	assert.deepEqual(processes("sleep 5447"), []);
});

// Whoever reads its log does not: it stands still in the midst of reading.
test("it stood still: what was sent meanwhile is not begun", async (t) => {
	const s = await scene(t);
	const { server } = s;

	await server.attach("sess_a", "demo");
	s.agent.child.stderr.pause();
	for (let i = 0; i < 5000; i++)
		server.send({ kill_run: { run_id: `run_${i + 2}` } });
	server.execute("run_1", "sess_a", "x");
	await new Promise((done) => setTimeout(done, 26000));
	s.agent.child.stderr.resume();
	await server.connected(2);
	server.execute("run_2", "sess_a", "x");
	await server.message_of("run_unwound", "run_2");
	assert.deepEqual(server.of("run_accepted"), []);
	assert.deepEqual(server.errors, []);
});

test("SIGTERM: the run is reported before the agent is gone", async (t) => {
	const s = await scene(t, { enrol: false });
	const at = program(s.dir, "p", "#!/bin/sh\nexec sleep 5438\n");
	s.start(["--agent", `custom:p=${at}`]);
	await s.server.connected(1);
	await s.server.attach("sess_a", "custom:p");
	s.server.execute("run_1", "sess_a", "x");
	await s.server.message_of("run_started", "run_1");
	assert.equal((await s.agent.stop()).code, 0);
	assert.equal((await s.server.message_of("run_completed", "run_1"))
	    .status, "lost");
	assert.deepEqual(processes("sleep 5438"), []);
});

// Claude Code needs a moment to end after its result; here it is a long one.
test("SIGTERM when the result is there already: the task is done", async (t) => {
	const s = await scene(t, { enrol: false });
	const at = program(s.dir, "p", `#!/bin/sh
read -r hooks
echo '{"type":"control_response","response":{"subtype":"success",' \\
    '"request_id":"init-1","response":{}}}'
read -r prompt
echo '{"type":"result","subtype":"success","is_error":false,"result":"done"}'
exec sleep 5443
`);
	s.start(["--agent", `claude=${at}`]);
	await s.server.connected(1);
	await s.server.attach("sess_a", "claude");
	s.server.execute("run_1", "sess_a", "x");
	await until("the result", () => s.server.logs.get("run_1")?.some((l) =>
	    l.content.includes('"result":"done"')));
	assert.equal((await s.agent.stop()).code, 0);
	const done = await s.server.message_of("run_completed", "run_1");
	assert.equal(done.status, "completed");
	assert.equal(done.result, "done");
	assert.deepEqual(processes("sleep 5443"), []);
});

test("SIGTERM, and no room to say how the run ended: gone all the same",
    async (t) => {
	const s = await scene(t, { enrol: false, server: { log_ack: false } });
	const { server } = s;
	const at = program(s.dir, "p", "#!/bin/sh\nread -r task\n" +
	    "seq 1 300000\nexec sleep 5441\n");

	await on_disk(s, 10, async () => {
		s.start(["--agent", `custom:p=${at}`]);
		await server.connected(1);
		await server.attach("sess_a", "custom:p");
		server.execute("run_1", "sess_a", "x");
		await s.agent.says(/its output waits until there is room/);
		assert.equal((await s.agent.stop()).code, 0);
		server.o.log_ack = true;
		s.start(["--agent", `custom:p=${at}`]);
		assert.equal((await server.message_of("run_completed", "run_1"))
		    .status, "lost");
		await server.log("run_1");
		assert.deepEqual(server.lost, []);
		assert.deepEqual(server.errors, []);
	});
});

test("a flood of lines, and a slow server", async (t) => {
	const s = await scene(t, { enrol: false });
	const at = program(s.dir, "p", "#!/bin/sh\nread -r task\n" +
	    "seq 1 200000\n");
	s.start(["--agent", `custom:p=${at}`]);
	await s.server.connected(1);
	await s.server.attach("sess_a", "custom:p");
	s.server.execute("run_1", "sess_a", "x");
	const log = await s.server.log("run_1");
	assert.equal(log.length, 200000);
	assert.ok(log.every((l, i) => l.content === `${i + 1}`));
	assert.deepEqual(s.server.errors, []);
});

// A power cut may leave any beginning of it.  A run that was said to be accepted
// and is not known would not be sent again, and never begin.
test("in the journal a run stands before what is said of it", async (t) => {
	const s = await scene(t);

	await s.server.attach("sess_a", "demo");
	s.server.execute("run_1", "sess_a", "x");
	await s.server.message_of("run_accepted", "run_1");
	await s.agent.stop("SIGKILL");
	const journal = fs.readFileSync(`${s.state}/journal`);
	const types = [];
	for (let i = 0, n; i < journal.length; i += 12 + n) {
		n = journal.readUInt32BE(i);
		if (journal.subarray(i + 12, i + 12 + n).includes("run_1"))
			types.push(String.fromCharCode(journal[i + 12]));
	}
	assert.equal(types[0], "R");
	assert.ok(types.includes("M"));
});

test("a torn journal is cut, not trusted", async (t) => {
	const s = await scene(t);
	const { server } = s;

	await server.attach("sess_a", "demo");
	await s.agent.stop("SIGKILL");
	fs.appendFileSync(`${s.state}/journal`, Buffer.alloc(77, 7));
	s.start();
	await server.connected(2);
	assert.equal(server.hellos[1].session_id, "sess_a");
	assert.match(s.agent.err, /torn tail/);
});

test("a line that goes dead is noticed within 35 seconds", async (t) => {
	const s = await scene(t, { enrol: false });
	const relay = await new Relay(s.server.port).listen(t);
	s.start(["--server", `localhost:${relay.port}`]);
	await s.server.connected(1);
	await s.agent.says(/connected to/);	/* welcomed, not only heard */
	for (const { client, server } of relay.pairs) {
		client.unpipe(server);
		server.unpipe(client);
		client.pause();
		server.pause();
	}
	await s.agent.says(/nothing heard/);
	await s.server.connected(2);
});

test("the line is cut again and again: all lines, once", async (t) => {
	const s = await scene(t, { enrol: false });
	const at = program(s.dir, "p", "#!/bin/sh\nread -r task\ni=0\n" +
	    "while [ $i -lt 40 ]; do seq $((i * 1000)) $((i * 1000 + 999))\n" +
	    "i=$((i + 1)); sleep 0.1; done\n");
	const relay = await new Relay(s.server.port).listen(t);
	s.start(["--server", `localhost:${relay.port}`,
	    "--agent", `custom:p=${at}`]);
	await s.server.connected(1);
	await s.server.attach("sess_a", "custom:p");
	s.server.execute("run_1", "sess_a", "x");
	for (let n = 2; n < 5; n++) {
		await until("lines", () => s.server.logs.get("run_1")?.length >
		    n * 1500);
		relay.cut();
		await s.server.connected(n);
	}
	const log = await s.server.log("run_1");
	assert.equal(log.length, 40000);
	assert.ok(log.every((l, i) => l.content === `${i}`));
	assert.deepEqual(s.server.errors, []);
});

test("a full disk: what a program leaves for the next task is kept later",
    async (t) => {
	const s = await scene(t, { enrol: false });
	const { server } = s;
	const at = program(s.dir, "p", `#!/bin/sh
read -r task
echo '{"type":"context","context":1}'
while [ ! -e go ]; do sleep 0.05; done
`);

	await on_disk(s, 20, async () => {
		const root = ["--workspace-root", `${s.state}/w`];
		s.start(["--agent", `custom:p=${at}`, ...root]);
		await server.connected(1);
		await server.attach("sess_a", "custom:p");
		const empty = fill_disk(s, 0);
		server.execute("run_1", "sess_a", "x");
		await s.agent.says(/session sess_a: context/);
		empty();
		fs.writeFileSync(`${s.state}/w/sess_a/workspace/go`, "");
		assert.equal((await server.message_of("run_completed", "run_1"))
		    .status, "completed");
		assert.equal(fs.readFileSync(`${s.state}/w/sess_a/context`,
		    "utf8"), "1");
	});
});

test("a full disk: waits, says so, loses nothing", async (t) => {
	const s = await scene(t, { enrol: false });
	const at = program(s.dir, "p", "#!/bin/sh\nread -r task\n" +
	    "seq 1 100000\n");

	await on_disk(s, 12, async () => {
		s.server.o.log_ack = false;
		s.start(["--agent", `custom:p=${at}`]);
		await s.server.connected(1);
		await s.server.attach("sess_a", "custom:p");
		const empty = fill_disk(s, 500000);
		s.server.execute("run_1", "sess_a", "x");
		await s.agent.says(/its output waits until there is room/);
		empty();
		const log = await s.server.log("run_1");
		assert.deepEqual(log.filter((l) => l.stream === "stdout")
		    .map((l) => l.content),
		    Array.from({ length: 100000 }, (_, i) => `${i + 1}`));
		assert.ok(log.some((l) => /disk was full/.test(l.content)));
		assert.deepEqual(s.server.errors, []);
	});
});

test("a disk smaller than the log: what is acknowledged makes room",
    async (t) => {
	const s = await scene(t, { enrol: false });
	const at = program(s.dir, "p", "#!/bin/sh\nread -r task\n" +
	    "seq 1 300000\n");

	await on_disk(s, 10, async () => {
		s.start(["--agent", `custom:p=${at}`]);
		await s.server.connected(1);
		await s.server.attach("sess_a", "custom:p");
		s.server.execute("run_1", "sess_a", "x");
		await s.agent.says(/its output waits until there is room/);
		const log = await s.server.log("run_1");
		assert.deepEqual(log.filter((l) => l.stream === "stdout")
		    .map((l) => l.content),
		    Array.from({ length: 300000 }, (_, i) => `${i + 1}`));
		assert.deepEqual(s.server.errors, []);
	});
});

// Too little for the journal to have been told of it when the disk was filled.
test("a full disk: what was acknowledged before makes room", async (t) => {
	const s = await scene(t, { enrol: false, server: { heartbeat: 1 } });
	const { server } = s;
	const at = program(s.dir, "p", "#!/bin/sh\nread -r task\n" +
	    "seq 1 4000\nwhile [ ! -e go ]; do sleep 0.05; done\n" +
	    "seq 4001 5000\n");

	await on_disk(s, 10, async () => {
		s.start(["--agent", `custom:p=${at}`]);
		await server.connected(1);
		await server.attach("sess_a", "custom:p");
		server.execute("run_1", "sess_a", "x");
		await until("4000 lines", () =>
		    server.logs.get("run_1")?.length === 4000);
		await server.log_acked();
		fill_disk(s, 0);
		fs.writeFileSync(s.work("sess_a", "go"), "");
		const log = await server.log("run_1");
		assert.deepEqual(log.filter((l) => l.stream === "stdout")
		    .map((l) => l.content),
		    Array.from({ length: 5000 }, (_, i) => `${i + 1}`));
		assert.deepEqual(server.errors, []);
	});
});

// There is room for the lines, which are sent and done with; that of the
// letters is what former letters had.
test("a full disk: a large question goes up when those before are answered",
    async (t) => {
	const s = await scene(t, { enrol: false });
	const { server } = s;
	const at = program(s.dir, "p", `#!/bin/sh
read -r task
x=$(head -c 700000 /dev/zero | tr '\\0' a)
for i in 1 2 3 4 5 6 7 8; do
printf '{"type":"permission_request","id":"%s","tool":"T","input":{"x":"%s"}}\\n' \
    $i $x
read -r answer
done
`);

	await on_disk(s, 10, async () => {
		s.start(["--agent", `custom:p=${at}`]);
		await server.connected(1);
		await server.attach("sess_a", "custom:p");
		fill_disk(s, 2000000);
		server.execute("run_1", "sess_a", "x");
		for (let n = 1; n <= 8; n++) {
			const q = await server.message_of("permission_request",
			    "run_1", undefined, n);
			assert.equal(q.request_id, `${n}`);
			server.answer("run_1", q.request_id, true);
		}
		assert.equal((await server.message_of("run_completed", "run_1"))
		    .status, "completed");
		await server.log("run_1");
		assert.deepEqual(server.errors, []);
		// What is on the disk is whole.
		await s.agent.stop("SIGKILL");
		s.start(["--agent", `custom:p=${at}`]);
		await server.connected(2);
		// Killed before it knew that its end is known, it tells it.
		for (const r of server.hellos[1].runs)
			assert.equal(r.state, "completed");
		assert.equal(server.hellos[1].session_id, "sess_a");
	});
});

// Heard by the program, it is acknowledged: else it would be given once more,
// to the next attempt, and nobody asked.
test("an answer is heard when its acknowledgement will be, whoever is killed",
    async (t) => {
	const s = await scene(t, { enrol: false, server: { heartbeat: 1 } });
	const { server } = s;
	const at = program(s.dir, "p", `#!/bin/sh
read -r task
ask='{"type":"permission_request","id":"%s","tool":"T","input":{"x":"%s"}}\\n'
printf "$ask" 1 x
while [ ! -e go ]; do sleep 0.05; done
printf "$ask" 2 "$(head -c 70000 /dev/zero | tr '\\0' a)"
read -r answer
echo "$answer" >heard
exec sleep 5442
`);

	await on_disk(s, 10, async () => {
		s.start(["--agent", `custom:p=${at}`]);
		await server.connected(1);
		await s.agent.stop();
		// It finds no room to hold: the disk is full already.
		fs.unlinkSync(`${s.state}/journal.next`);
		fs.truncateSync(`${s.state}/journal`,
		    fs.statSync(`${s.state}/journal`).size);
		const empty = fill_disk(s, 100000);
		s.start(["--agent", `custom:p=${at}`]);
		await server.connected(2);
		await server.attach("sess_a", "custom:p");
		server.execute("run_1", "sess_a", "x");
		const q = await server.message_of("permission_request", "run_1");
		fs.writeFileSync(s.work("sess_a", "go"), "");
		await s.agent.says(/journal in .* cannot be written/);
		server.answer("run_1", q.request_id, true);
		// By the second heartbeat from now it was told, or is not to be.
		const n = server.beats.length;
		await until("two heartbeats", () => server.beats.length > n + 1);
		const heard = fs.existsSync(s.work("sess_a", "heard"));
		await s.agent.stop("SIGKILL");
		empty();
		s.start(["--agent", `custom:p=${at}`]);
		await server.message_of("run_completed", "run_1");
		assert.equal(server.of("permission_ack").length > 0, heard);
		assert.deepEqual(server.errors, []);
	});
});
