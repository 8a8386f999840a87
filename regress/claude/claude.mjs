// Drives the real Claude Code over its control protocol for the facts tests:
// the same frames that the agent sends, with every answer chosen by the test.

import fs from "node:fs";
import path from "node:path";
import { randomUUID } from "node:crypto";
import { start } from "../lib/proc.mjs";
import { LONG_MS, until, within } from "../lib/wait.mjs";

export const TOOLS = "Bash,Read,Write,Edit,Glob,Grep,WebFetch,WebSearch,Task," +
    "NotebookEdit,AskUserQuestion,EnterPlanMode,ExitPlanMode,Skill";

const QUIET = { DISABLE_TELEMETRY: "1", DISABLE_ERROR_REPORTING: "1",
    DISABLE_AUTOUPDATER: "1", DISABLE_BUG_COMMAND: "1",
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
    CLAUDE_CODE_DISABLE_BACKGROUND_TASKS: "1",
    CLAUDE_CODE_DISABLE_FILE_MENTIONS: "1" };

// A home and a workspace; both survive from one claude to the next.
export function place(dir) {
	const p = { dir, home: path.join(dir, "home"),
	    work: path.join(dir, "work"), session: randomUUID() };

	fs.mkdirSync(p.home, { recursive: true });
	fs.mkdirSync(p.work, { recursive: true });
	return p;
}

const success = (request_id, response) => ({ type: "control_response",
    response: { subtype: "success", request_id, response } });

export const allow = (q) => ({ behavior: "allow", updatedInput: q.input });
export const deny = () => ({ behavior: "deny",
    message: "The operator said no." });

function hook_reply(decision) {
	if (decision === null)
		return {};
	return { hookSpecificOutput: { hookEventName: "PreToolUse",
	    ...(typeof decision === "string" ?
		{ permissionDecision: decision } : decision),
	    permissionDecisionReason: "the gate" } };
}

// options: bin, at (a place), url, key, args, env, gate (false: neither belt),
// ask_rule, hook (null: not installed), can, on_hook.  hook(input) and
// can(request) return the answer, or undefined to leave it open.
class Claude {
	constructor(t, o) {
		const ask = o.gate === false || o.ask_rule === false ? [] :
		    ["--settings", '{"permissions":{"ask":["*"]}}'];
		const sources = o.gate === false ? [] : ["--setting-sources", "",
		    "--strict-mcp-config", `--tools=${TOOLS}`];

		this.log = [];		// ["hook", input], ["can", request], ["line", m]
		this.o = { hook: () => "ask", can: allow, ...o };
		this.hooked = o.gate !== false && o.hook !== null;
		this.proc = start([o.bin, "-p", "--output-format", "stream-json",
		    "--input-format", "stream-json", "--verbose",
		    "--permission-prompt-tool", "stdio", ...sources, ...ask,
		    ...(o.args ?? [`--session-id=${o.at.session}`])], {
			cwd: o.at.work,
			env: { PATH: "/usr/local/bin:/usr/bin:/bin",
			    HOME: o.at.home, TERM: "dumb", LANG: "C.UTF-8",
			    ANTHROPIC_BASE_URL: o.url,
			    CLAUDE_CODE_TMPDIR: o.at.dir,
			    ...(o.key_pipe ? {} : { ANTHROPIC_API_KEY:
				o.key ?? "dummy" }), ...QUIET, ...o.env },
			stdio: ["pipe", "pipe", "pipe",
			    ...(o.key_pipe ? ["pipe"] : [])] });
		if (o.key_pipe)
			this.proc.child.stdio[3].end(o.key);
		this.proc.on_line((l) => this.line(l));
		t.after(() => this.proc.status === null &&
		    this.proc.stop("SIGKILL"));
		if (this.hooked)
			this.send({ type: "control_request",
			    request_id: "init-1", request: {
				subtype: "initialize", hooks: { PreToolUse: [
				{ hookCallbackIds: ["h0"], timeout: 604800 }] },
			    } });
	}

	send(m) {
		this.proc.write(JSON.stringify(m) + "\n");
	}

	line(text) {
		const m = JSON.parse(text);

		if (m.type !== "control_request")
			return void this.log.push(["line", m]);
		const q = m.request;
		if (q.subtype === "hook_callback") {
			this.log.push(["hook", q.input]);
			const d = this.o.hook(q.input);
			if (d !== undefined)
				this.send(success(m.request_id, hook_reply(d)));
		} else if (q.subtype === "can_use_tool") {
			this.log.push(["can", q, m.request_id]);
			const a = this.o.can(q);
			if (a !== undefined)
				this.send(success(m.request_id, a));
		} else
			this.log.push(["control", q]);
	}

	answer(request_id, response) {
		this.send(success(request_id, response));
	}

	say(text) {
		this.send({ type: "user",
		    message: { role: "user", content: text } });
	}

	of(kind) {
		return this.log.filter(([k]) => k === kind).map(([, v]) => v);
	}

	// "hook Bash", "can Bash", ...: the order in which things were asked.
	asked() {
		return this.log.filter(([k]) => k === "hook" || k === "can")
		    .map(([k, v]) => `${k} ${v.tool_name}`);
	}

	results() {
		return this.of("line").filter((m) => m.type === "result");
	}

	tool_results() {
		return this.of("line").filter((m) => m.type === "user" &&
		    Array.isArray(m.message.content))
		    .flatMap((m) => m.message.content)
		    .filter((b) => b.type === "tool_result");
	}

	// Says it and waits for the turn's result line.
	async turn(text, ms = LONG_MS) {
		const n = this.results().length;

		this.say(text);
		return until(`the result of ${text}`, () => {
			if (this.results().length > n)
				return this.results()[n];
			if (this.proc.status !== null)
				throw new Error(this.proc.told());
			return null;
		}, ms);
	}

	async end(ms = LONG_MS) {
		this.proc.child.stdin.end();
		return within("claude to end", ms, this.proc.exited);
	}
}

export function claude(t, options) {
	return new Claude(t, options);
}
