// Runners that do what the prompt says, a word a step, and never give up: they
// dial again whenever the line is gone.
//
//	lines	some lines		progress  reports
//	ask	a question		withdraw  a question taken back
//	slow	until it is killed	unwind	  refused once
//	flood	many lines		forget	  lost: not named any more

import { setTimeout as pause } from "node:timers/promises";
import { enrol } from "../lib/identity.mjs";
import { Runner } from "../lib/runner.mjs";
import { until } from "../lib/wait.mjs";

const FLOOD = "x".repeat(200);

const question = (run, request_id) => run.head({ request_id, kind: "tool",
    tool: "Shell", action: "a", input_json: "{}" });

const DO = {
	lines: (run) => run.log("one", "two", "three"),
	progress: (run) => run.progress(50, "half"),
	async ask(run) {
		run.runner.say("permission_request", question(run, "q"));
		await until("an answer", () => run.answer || run.killed, 600000);
	},
	async withdraw(run) {
		run.runner.say("permission_request", question(run, "w"));
		run.runner.say("permission_canceled", { run_id: run.id,
		    request_id: "w" });
	},
	async slow(run) {
		await until("to be killed", () => run.killed, 15000);
	},
	async flood(run) {
		for (let i = 0; i < 20; i++)
			run.log(...Array.from({ length: 200 }, () => FLOOD));
		await run.logged(60000);
	},
	// The line is cut, and the next Hello does not name the run.
	async forget(run) {
		if (run.runner.once.has(run.task.task_id))
			return;
		run.runner.once.add(run.task.task_id);
		// Known to have begun, or it would be given again.
		await run.runner.settled(60000).catch(() => {});
		run.forgotten = true;
		run.state = "forgotten";
		run.runner.cut();
		await new Promise(() => {});
	},
};

export class Steady extends Runner {
	// book: of points_book.mjs
	constructor(me, book) {
		super(me, { auto: true });
		this.book = book;
		this.once = new Set();		// tasks unwound or forgotten
		this.executed = new Map();	// run id: times it was begun
		this.attached = new Set();	// `session epoch'
		this.told = [];			// of sessions, and when
		this.on_task = (run) => this.work(run);
	}

	async work(run) {
		this.executed.set(run.id, (this.executed.get(run.id) ?? 0) + 1);
		this.book.add("execute", { runner: this.me.id, run: run.id,
		    epoch: run.task.epoch });
		for (const word of run.task.prompt.split(" ")) {
			if (run.killed)
				break;
			await DO[word]?.(run);
		}
		if (run.killed)
			run.complete({ status: "failed", exit_code: 143,
			    error_code: "agent_failed", error: "killed" });
		return `done ${run.id}`;
	}

	async take(task) {
		if (/\bunwind\b/.test(task.prompt) &&
		    !this.once.has(task.task_id)) {
			this.once.add(task.task_id);
			this.unwind(task, "busy");
			return;
		}
		// Told to forget it, it knows nothing.
		if (this.runs.get(task.run_id)?.forgotten &&
		    this.runs.get(task.run_id).state === "forgotten")
			return;
		await super.take(task);
	}

	// Dials whenever it has no line, until stop(); and writes again what is not
	// acknowledged when its lines had none.
	async stay() {
		while (!this.stopped) {
			if (this.stream === null)
				await this.connect(5000).catch(() => this.cut());
			else if (this.connected && this.logs === null)
				for (const run of this.runs.values())
					run.batches.forEach((b) =>
					    this.send_logs(b));
			await pause(50);
		}
		await this.close();
	}

	say(type, body) {
		this.book.said(this.me.id, type, body);
		return super.say(type, body);
	}

	// Of one that was killed the server may have said already how it ended.
	acked(up_to) {
		for (const { number, run_completed: end } of this.unacked)
			if (end && number <= up_to && !this.runs.get(end.run_id)
			    .killed)
				this.book.add("acked", { run: end.run_id });
		super.acked(up_to);
	}

	obey(c) {
		this.book.heard(this.me.id, c);
		// What was told long ago is not looked at again.
		if (this.commands.length > 500)
			this.commands.splice(0, 250);
		if (/^(attach|detach)_session$/.test(c.type))
			this.told.push(`${Date.now()} ${this.me.id} ${c.type} ` +
			    `${c.session_id} ${c.epoch}, has ` +
			    `${this.session || "none"} ${this.epoch}`);
		// Said until it is acknowledged, so perhaps more than once.
		if (c.type === "attach_session")
			this.attached.add(`${c.session_id} ${c.epoch}`);
		if (c.type === "permission_answer") {
			const run = this.runs.get(c.run_id);
			if (run && c.request_id === "q")
				run.answer = c;
			this.say("permission_ack",
			    { permission_id: c.permission_id });
		} else
			super.obey(c);
	}

	stop() {
		this.stopped = true;
		return this.staying;
	}
}

// Enrolled, however often that has to be tried, and dialling.
export async function steady(address, token, agents, name, book) {
	for (let n = 0;; n++) {
		try {
			const r = new Steady(await enrol({ address, agents,
			    token: await token(), name }), book);
			r.staying = r.stay();
			return r;
		} catch (e) {
			if (n === 100)
				throw e;
			await pause(100);
		}
	}
}
