// A runner that shares no line with marionette-agent: it speaks runner.proto
// through @grpc/grpc-js, as somebody else's would.  What it was told is kept in
// `commands`; what it says that changes anything is numbered and said again
// after a reconnect until it is acknowledged.
//
//   const me = await enrol({address, token, agents: ["custom:demo"]});
//   const r = new Runner(me);
//   await r.connect();
//   r.on_task = async (run) => { await run.log("hello"); return "done"; };

import { setTimeout as pause } from "node:timers/promises";
import { credentials, RunnerService } from "./grpc.mjs";
import { open_sealed, sealing_pair, sign_hello } from "./identity.mjs";
import { LONG_MS, until } from "./wait.mjs";

// One attempt at a task, as seen by who does it.
class Run {
	constructor(runner, task) {
		this.runner = runner;
		this.task = task;
		this.id = task.run_id;
		this.line = 0;		// last line number written
		this.acked = 0;		// last line number acknowledged
		this.batches = [];	// not yet acknowledged
		this.asked = 0;
		this.state = "accepted";
		this.killed = null;	// the KillRun, when there was one
	}

	head(more) {
		return { run_id: this.id, attempt: this.task.attempt, ...more };
	}

	accept() {
		this.runner.say("run_accepted", this.head(
		    { epoch: this.task.epoch }));
	}

	started() {
		this.state = "running";
		this.runner.say("run_started", this.head({ time_ms: Date.now() }));
	}

	progress(percent, step) {
		this.runner.say("run_progress", { run_id: this.id, percent, step });
	}

	// lines: strings, or LogLine objects.
	log(...lines) {
		const batch = { run_id: this.id, first: this.line + 1,
		    lines: lines.map((l) => ({ stream: "stdout", level: "info",
			kind: "text", time_ms: Date.now(),
			...(typeof l === "string" ? { content: l } : l) })) };

		this.line += lines.length;
		this.batches.push(batch);
		this.runner.send_logs(batch);
	}

	logged(ms = LONG_MS) {
		return until(`the acknowledgement of line ${this.line}`,
		    () => this.acked >= this.line, ms);
	}

	// Asks, waits for the person and acknowledges: a PermissionAnswer.
	async ask(q, ms = LONG_MS) {
		const request_id = q.request_id ?? `ask-${++this.asked}`;

		this.runner.say("permission_request", this.head({ request_id,
		    kind: "tool", tool: "Shell", action: "run something",
		    input_json: "{}", ...q }));
		const a = await this.runner.next("permission_answer", ms, (c) =>
		    c.run_id === this.id && c.request_id === request_id);
		this.runner.say("permission_ack",
		    { permission_id: a.permission_id });
		return a;
	}

	complete(more = {}) {
		this.state = "completed";
		this.end = this.head({ status: "completed", exit_code: 0,
		    result: "", log_last: this.line, conversation_id: "",
		    ...more });
		this.runner.say("run_completed", this.end);
	}
}

export class Runner {
	constructor(identity, { auto = true } = {}) {
		this.me = identity;
		this.auto = auto;	// answer attaches, take tasks
		this.commands = [];	// {type, ...}, in order, for ever
		this.seen = new Set();	// commands already given by next()
		this.runs = new Map();
		this.number = 0;
		this.unacked = [];
		this.session = "";
		this.epoch = 0;
		this.on_task = null;	// async (run) -> result text
		this.errors = [];
		this.stream = this.logs = null;
		this.connected = false;
	}

	// Opens Connect, answers the Challenge, waits for the Welcome.
	async connect(ms = LONG_MS) {
		const { me } = this;

		this.cut();
		this.client = new RunnerService(me.address,
		    credentials(me.ca, me.key, me.certificate));
		this.pair = sealing_pair();
		const at = this.commands.length;
		const stream = this.client.Connect();
		this.stream = stream;
		this.logs = null;
		stream.on("data", (m) => this.heard(stream, m));
		stream.on("error", (e) => this.gone(stream, e));
		stream.on("end", () => this.gone(stream, null));
		await until("the welcome", () => {
			const w = this.commands.slice(at)
			    .find((c) => c.type === "welcome");
			if (!w && this.stream !== stream)
				throw this.errors.at(-1) ??
				    new Error("the stream ended");
			return w;
		}, ms);
		this.connected = true;
		for (const run of this.runs.values())
			run.batches.forEach((b) => this.send_logs(b));
		return this;
	}

	hello(nonce) {
		const { me, pair } = this;

		return { hello: { runner_id: me.id, version: "9.9",
		    agents: me.agents, sealing_key: pair.public,
		    signature: sign_hello(me, pair.public, nonce),
		    first_unacked: this.unacked[0]?.number ?? 0,
		    session_id: this.session, session_epoch: this.epoch,
		    labels_json: "{}", resources_json: "{}",
		    runs: [...this.runs.values()].filter((r) => !r.forgotten)
			.map((r) => ({ run_id: r.id, state: r.state,
			session_id: r.task.session_id, attempt: r.task.attempt,
			epoch: r.task.epoch, log_last: r.line })) } };
	}

	gone(stream, error) {
		if (error)
			this.errors.push(error);
		if (this.stream !== stream)
			return;
		clearInterval(this.beat);
		this.connected = false;
		this.stream = null;
		this.logs = null;
	}

	heard(stream, message) {
		const type = message.body;
		const c = { type, ...message[type] };

		this.commands.push(c);
		if (type === "challenge")
			stream.write(this.hello(c.nonce));
		else if (type === "welcome") {
			this.acked(c.up_to);
			this.unacked.forEach((m) => stream.write(m));
			this.beat = setInterval(() => this.heartbeat(),
			    c.heartbeat_seconds * 1000 || 15000);
			this.beat.unref();
		} else if (type === "ack")
			this.acked(c.up_to);
		else if (type === "kill_run" && this.runs.has(c.run_id))
			this.runs.get(c.run_id).killed = c;
		else if (this.auto)
			this.obey(c);
	}

	obey(c) {
		if (c.type === "attach_session") {
			this.session = c.session_id;
			this.epoch = c.epoch;
			this.say("session_attached", { session_id: c.session_id,
			    epoch: c.epoch });
		} else if (c.type === "detach_session") {
			// An old one's may be said again when it has another.
			if (c.session_id === this.session &&
			    c.epoch === this.epoch)
				this.session = "";
			this.say("session_suspended", { session_id: c.session_id,
			    epoch: c.epoch });
		} else if (c.type === "execute_task")
			this.take(c);
	}

	// What became of a run that is known, again.
	repeat(run) {
		if (run.state === "completed")
			this.say("run_completed", run.end);
		else {
			run.accept();
			if (run.state === "running")
				run.started();
		}
	}

	// Whether it was said of this run that it is not begun, and the server may
	// not know yet.
	unwinds(run_id) {
		return this.unacked.some((m) => m.run_unwound?.run_id === run_id);
	}

	unwind(task, reason) {
		return this.say("run_unwound", { run_id: task.run_id,
		    attempt: task.attempt, reason });
	}

	// Known runs are not started again (promise 6); others are done by on_task.
	async take(task) {
		if (this.runs.has(task.run_id)) {
			this.repeat(this.runs.get(task.run_id));
			return;
		}
		if (this.unwinds(task.run_id)) {
			this.unwind(task, "busy");
			return;
		}
		const run = new Run(this, task);
		this.runs.set(run.id, run);
		run.accept();
		if (this.on_task === null)
			return;
		run.started();
		try {
			const result = await this.on_task(run);
			if (run.state !== "completed")
				run.complete({ result: String(result ?? "") });
		} catch (e) {
			this.errors.push(e);
			run.complete({ status: "failed", exit_code: 1,
			    error_code: "agent_failed", error: e.message });
		}
	}

	heartbeat() {
		const busy = [...this.runs.values()]
		    .find((r) => r.state === "running");

		this.stream?.write({ heartbeat: { run_id: busy?.id ?? "",
		    log_queued: 0 } });
	}

	// A numbered message: kept until acknowledged.
	say(type, body) {
		const m = { number: ++this.number, [type]: body };

		this.unacked.push(m);
		this.stream?.write(m);
		return m.number;
	}

	acked(up_to) {
		this.unacked = this.unacked.filter((m) => m.number > up_to);
		for (const run of this.runs.values())
			if (run.state === "completed" && !this.unacked.some((m) =>
			    m.run_completed?.run_id === run.id))
				run.forgotten = true;
	}

	settled(ms = LONG_MS) {
		return until("all to be acknowledged",
		    () => this.unacked.length === 0, ms);
	}

	send_logs(batch) {
		if (this.stream === null)
			return;
		if (this.logs === null) {
			const logs = this.client.Logs();
			this.logs = logs;
			logs.on("data", (a) => this.log_ack(a));
			logs.on("error", (e) => this.errors.push(e));
			// Also by the server's end with status 0.
			logs.on("status", () => {
				if (this.logs === logs)
					this.logs = null;
			});
		}
		this.logs.write(batch);
	}

	log_ack({ run_id, up_to }) {
		const run = this.runs.get(run_id);

		if (!run)
			return;
		run.acked = Math.max(run.acked, up_to);
		run.batches = run.batches.filter((b) =>
		    b.first + b.lines.length - 1 > up_to);
	}

	// The next command of a type that next() has not given before.
	async next(type, ms = LONG_MS, which = () => true) {
		const c = await until(`the command ${type}`, () =>
		    this.commands.find((m) => m.type === type &&
			!this.seen.has(m) && which(m)), ms);

		this.seen.add(c);
		return c;
	}

	// What was sealed to us: {api_key, base_url}.
	async key_of(command) {
		return JSON.parse(await open_sealed(this.pair,
		    command.sealed_key));
	}

	// The line is cut: no goodbye, nothing is forgotten.
	cut() {
		const { stream, logs } = this;

		if (stream !== null) {
			this.gone(stream, null);
			stream.cancel();
		}
		// Closing a client leaves its calls alone.
		logs?.cancel();
		this.client?.close();
	}

	async close() {
		if (this.stream !== null) {
			this.logs?.end();
			this.stream.end();
			await pause(0);
		}
		this.cut();
	}
}
