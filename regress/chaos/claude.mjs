// One real Claude Code session among the fleet, of a tenant of its own (the
// fleet's people answer whatever is asked in theirs), through the same lines: task
// after task, each with one call that a person approves, and each call appends
// a line of its own to a file in the workspace.  In the end there is one line for
// each, however often anything died.

import path from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { claude_program } from "../lib/server.mjs";
import { within } from "../lib/wait.mjs";
import { Books, Will } from "./points_will.mjs";

const T = "/api/v1/tasks", P = "/api/v1/permissions";
const FILE = "done.txt";
const API_KEY = "sk-ant-test-chaos-0123456789";
const END_MS = 90000;
const ENDED = ["completed", "failed", "canceled"];

export class Claude {
	constructor(world) {
		this.world = world;
		this.tasks = [];	// {id, mark, status}
		this.found = [];	// what must not be; end() says
	}

	async start() {
		const { server, runner } = this.world;
		const program = claude_program();
		const model = await server.model();
		const { api } = await server.key({ tenant: "claude" });

		this.will = new Will(api, new Books());
		this.world.spool_disk("claude");
		this.runner = await server.runner({ name: "claude",
		    token: await server.runner_token({ shared: true }),
		    address: `localhost:${runner.port}`,
		    agents: { claude: program },
		    env: { PATH: `${path.dirname(program)}:${process.env.PATH}` } });
		this.key = { api_key: API_KEY, base_url: model.url };
		this.session = await this.will.make("session",
		    "/api/v1/sessions", { agent: "claude", ...this.key });
		this.working = this.work();
		return this;
	}

	async work() {
		while (!this.stopped) {
			await this.one(`call-${this.tasks.length}`);
			await pause(100);
		}
	}

	async one(mark) {
		const t = await this.will.make("task", T, {
		    session_id: this.session.id,
		    prompt: `[[bash:echo ${mark} >> ${FILE}]]` });
		const task = { id: t.id, mark };

		this.tasks.push(task);
		while (!ENDED.includes(task.status) && !this.given_up) {
			const now = await this.will.get(`${T}/${t.id}?wait=1`);
			task.status = now.json?.status;
			if (now.json?.waiting_for === "credential")
				await this.give_key();
			await this.answer(t);
		}
	}

	// It is kept in the memory of providerd alone, and died with it.
	give_key() {
		return this.will.say("PUT", `/api/v1/sessions/${this.session.id}` +
		    "/credential", this.key, [200, 202, 204, 409]);
	}

	async answer(t) {
		const open = await this.will.get(`${P}?task_id=${t.id}` +
		    "&status=pending");

		for (const p of open.json?.items ?? [])
			await this.will.say("POST", `${P}/${p.id}/approve`, {},
			    [200, 404, 409]);
	}

	// What must not be, in the words of compare.mjs.
	async end() {
		this.stopped = true;
		const late = await within("the last task of Claude Code", END_MS,
		    this.working).then(() => [], (e) => [e.message]);
		this.given_up = late.length > 0;
		const lines = this.runner.has(this.session, FILE) ?
		    this.runner.read(this.session, FILE).split("\n") : [];
		const found = [
			...late.map((text) => ({ claim: "claude-call", text })),
			...this.will.books.wrong.map((text) =>
			    ({ claim: "claude-answer", text }))];

		for (const { id, mark, status } of this.tasks) {
			const n = lines.filter((l) => l === mark).length;
			if (n !== 1 || status !== "completed")
				found.push({ claim: "claude-call", text: `${id} ` +
				    `is ${status}, its call was made ${n} times` });
		}
		return found;
	}
}
