// What Claude Code really does at its gate (promise 13, agents.md section 3).
// Run by facts.sh, which sets CLAUDE to the native binary and takes the network
// away.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { before, test } from "node:test";
import { fileURLToPath } from "node:url";
import { temp_dir } from "../lib/place.mjs";
import { start_model } from "../lib/model.mjs";
import { until } from "../lib/wait.mjs";
import { allow, claude, deny, place } from "./claude.mjs";
import { lay_traps } from "./hostile.mjs";

const bin = process.env.CLAUDE;
const here = path.dirname(fileURLToPath(import.meta.url));

before(() => {
	assert.ok(bin, "CLAUDE is not set; run facts.sh");
	const names = Object.keys(os.networkInterfaces());
	assert.ok(names.every((n) => n === "lo"),
	    `interfaces beside loopback: ${names}; run facts.sh`);
});

// One place, one model, one claude; o as for claude().
async function scene(t, o = {}) {
	const dir = temp_dir(t, "mn-claude-");
	const at = o.at ?? place(dir);
	const model = o.model ?? await start_model(t, path.join(dir, "model"),
	    { bodies: true, ...o.model_options });

	return { at, model, run: (more = {}) => claude(t,
	    { bin, at, url: model.url, ...o, ...more }),
	    file: (name) => fs.readFileSync(path.join(at.work, name), "utf8"),
	    exists: (name) => fs.existsSync(path.join(at.work, name)) };
}

const mcp_args = (s) => [`--session-id=${s.at.session}`,
    "--mcp-config=" + JSON.stringify({ mcpServers: { marks: {
	command: process.execPath, args: [path.join(here, "mcp.mjs")] } } })];

test("a text answer: init, assistant, result, exit 0", async (t) => {
	const s = await scene(t);
	const c = s.run();
	const r = await c.turn("[[text:Hello from the model]]");

	assert.equal(r.subtype, "success");
	assert.equal(r.is_error, false);
	assert.equal(r.result, "Hello from the model");
	assert.equal(r.session_id, s.at.session);
	assert.equal(typeof r.usage.input_tokens, "number");
	assert.equal(typeof r.usage.output_tokens, "number");
	assert.equal(typeof r.total_cost_usd, "number");
	const init = c.of("line").find((m) => m.subtype === "init");
	assert.equal(init.permissionMode, "default");
	assert.equal(init.cwd, s.at.work);
	assert.deepEqual(await c.end(), { code: 0, signal: null });
});

test("initialize is answered before anything is gated", async (t) => {
	const s = await scene(t);
	const c = s.run();
	await c.turn("[[bash:ls]]");
	const i = c.log.findIndex(([k, v]) => k === "line" &&
	    v.type === "control_response" &&
	    v.response.request_id === "init-1" &&
	    v.response.subtype === "success");
	const j = c.log.findIndex(([k]) => k === "hook");

	assert.ok(i !== -1 && i < j, `${i} ${j}`);
	await c.end();
});

// Each tool: the hook first, then the question, and nothing else.
const EACH = [
	["[[bash:echo hi >> out.txt]]", ["Bash"]],
	["[[bash:ls]]", ["Bash"]],
	["[[bash:cat seen.txt]]", ["Bash"]],
	["[[write:new.txt:text]]", ["Write"]],
	["[[read:seen.txt]]", ["Read"]],
	["[[read:/etc/hostname]]", ["Read"]],
	["[[read:seen.txt]] [[edit:seen.txt:old:new]]", ["Read", "Edit"]],
	["[[glob:*.txt]]", ["Glob"]],
	["[[grep:old]]", ["Grep"]],
	["[[webfetch:http://127.0.0.1:9/]]", ["WebFetch"]],
	['[[tool:WebSearch:{"query":"heron"}]]', ["WebSearch"]],
	['[[tool:Skill:{"skill":"init"}]]', ["Skill"]],
	["[[tool:EnterPlanMode:{}]] [[tool:ExitPlanMode:{}]]",
	    ["EnterPlanMode", "ExitPlanMode"]],
	["[[mcp:marks.append:{\"path\":\"m.txt\",\"line\":\"x\"}]]",
	    ["mcp__marks__append"]],
	["[[bash:echo 1 >> s.txt]] [[bash:echo 2 >> s.txt]]", ["Bash", "Bash"]],
];

for (const [prompt, tools] of EACH) {
	test(`asked: ${prompt}`, async (t) => {
		const s = await scene(t);
		fs.writeFileSync(path.join(s.at.work, "seen.txt"), "old\n");
		const c = s.run({ args: mcp_args(s) });

		await c.turn(prompt);
		assert.deepEqual(c.asked(),
		    tools.flatMap((n) => [`hook ${n}`, `can ${n}`]));
		for (const h of c.of("hook"))
			assert.equal(h.hook_event_name, "PreToolUse");
		assert.deepEqual(c.of("can").map((q) => q.tool_use_id),
		    c.of("hook").map((h) => h.tool_use_id));
		assert.equal(c.results().length, 1);
		assert.equal((await c.end()).code, 0);
	});

	test(`denied: ${prompt}`, async (t) => {
		const s = await scene(t);
		fs.writeFileSync(path.join(s.at.work, "seen.txt"), "old\n");
		const c = s.run({ args: mcp_args(s), can: deny });

		const r = await c.turn(prompt);
		assert.equal(c.asked()[1], `can ${tools[0]}`);
		assert.deepEqual(fs.readdirSync(s.at.work), ["seen.txt"]);
		assert.equal(s.file("seen.txt"), "old\n");
		assert.equal(c.tool_results()[0].is_error, true);
		assert.match(String(c.tool_results()[0].content),
		    /The operator said no/);
		assert.equal(r.subtype, "success");
		assert.equal(r.permission_denials[0].tool_name, tools[0]);
		await c.end();
	});
}

test("a subagent and every tool that it uses", async (t) => {
	const s = await scene(t);
	const c = s.run();
	await c.turn("[[task:bash=echo sub >> sub.txt|read=sub.txt]]");

	assert.deepEqual(c.asked(), ["hook Agent", "can Agent", "hook Bash",
	    "can Bash", "hook Read", "can Read"]);
	const [outer, ...inner] = c.of("can");
	assert.equal(outer.agent_id, undefined);
	for (const q of inner)
		assert.match(q.agent_id, /./);
	assert.equal(s.file("sub.txt"), "sub\n");
	assert.equal(c.results().length, 1);
	await c.end();
});

test("a subagent whose tool is denied", async (t) => {
	const s = await scene(t);
	const c = s.run({ can: (q) => q.tool_name === "Bash" ? deny() : allow(q) });
	await c.turn("[[task:bash=echo sub >> sub.txt]]");

	assert.ok(!s.exists("sub.txt"));
	await c.end();
});

test("no tool is offered that outlives its turn", async (t) => {
	const s = await scene(t);
	const c = s.run();
	await c.turn("[[text:x]]");
	const { tools } = c.of("line").find((m) => m.subtype === "init");

	assert.deepEqual([...tools].sort(), ["AskUserQuestion", "Bash", "Edit",
	    "EnterPlanMode", "ExitPlanMode", "Glob", "Grep", "NotebookEdit",
	    "Read", "Skill", "Task", "WebFetch", "WebSearch", "Write"]);
	await c.end();
});

test("a tool that is not offered does not run", async (t) => {
	const s = await scene(t);
	const c = s.run();
	await c.turn('[[tool:Monitor:{"command":"echo x > mon.txt",' +
	    '"description":"d","timeout_ms":1000,"persistent":false}]] ' +
	    '[[tool:TodoWrite:{"todos":[]}]] [[tool:NoSuch:{}]]');

	assert.deepEqual(c.asked(), []);
	assert.equal(c.tool_results().length, 3);
	for (const r of c.tool_results())
		assert.equal(r.is_error, true);
	assert.ok(!s.exists("mon.txt"));
	await c.end();
});

test("a command cannot be put into the background", async (t) => {
	const s = await scene(t);
	const c = s.run();
	await c.turn('[[tool:Bash:{"command":"echo x > bg.txt",' +
	    '"description":"d","run_in_background":true}]]');

	assert.deepEqual(c.asked(), []);
	assert.ok(!s.exists("bg.txt"));
	await c.end();
});

for (const decision of ["allow", "ask", null]) {
	test(`the hook says ${decision}: the person is asked`, async (t) => {
		const s = await scene(t);
		const c = s.run({ hook: () => decision, can: deny });
		await c.turn("[[bash:echo x > x.txt]]");

		assert.deepEqual(c.asked(), ["hook Bash", "can Bash"]);
		assert.ok(!s.exists("x.txt"));
		await c.end();
	});
}

test("the hook says deny: nobody is asked, nothing runs", async (t) => {
	const s = await scene(t);
	const c = s.run({ hook: () => "deny" });
	const r = await c.turn("[[bash:echo x > x.txt]]");

	assert.deepEqual(c.asked(), ["hook Bash"]);
	assert.ok(!s.exists("x.txt"));
	assert.match(c.tool_results()[0].content, /the gate/);
	assert.equal(r.permission_denials.length, 1);
	await c.end();
});

test("the ask rule alone is a gate", async (t) => {
	const s = await scene(t);
	const c = s.run({ hook: null, can: deny });
	await c.turn("[[bash:ls]] [[read:/etc/hostname]] [[glob:*]]");

	assert.deepEqual(c.asked(), ["can Bash", "can Read", "can Glob"]);
	await c.end();
});

test("the hook alone is a gate", async (t) => {
	const s = await scene(t);
	const c = s.run({ ask_rule: false, can: deny });
	await c.turn("[[bash:ls]] [[read:/etc/hostname]] [[glob:*]]");

	assert.deepEqual(c.asked(), ["hook Bash", "can Bash", "hook Read",
	    "can Read", "hook Glob", "can Glob"]);
	await c.end();
});

test("the input that a person edited is what runs", async (t) => {
	const s = await scene(t);
	const c = s.run({ can: () => ({ behavior: "allow",
	    updatedInput: { command: "echo edited > edited.txt" } }) });
	await c.turn("[[bash:echo asked > asked.txt]]");

	assert.equal(s.file("edited.txt"), "edited\n");
	assert.ok(!s.exists("asked.txt"));
	await c.end();
});

test("an agent's question is answered", async (t) => {
	const s = await scene(t);
	const c = s.run({ can: (q) => ({ behavior: "allow",
	    updatedInput: { ...q.input, answers: { "Which?": "B" } } }) });
	const option = (label) => ({ label, description: label });
	const r = await c.turn("[[tool:AskUserQuestion:" + JSON.stringify({
	    questions: [{ question: "Which?", header: "H", multiSelect: false,
		options: [option("A"), option("B")] } ] }).replaceAll("]]", "] ]") +
	    "]]");

	assert.match(r.result, /"Which\?"="B"/);
	await c.end();
});

test("parallel calls are asked one after the other", async (t) => {
	const s = await scene(t);
	const c = s.run({ can: () => undefined });
	c.say("[[par:bash=echo 1 >> p.txt|bash=echo 2 >> p.txt]]");
	await until("the first question", () => c.of("can").length === 1);
	const [, q, id] = c.log.find(([k]) => k === "can");
	assert.equal(q.input.command, "echo 1 >> p.txt");
	assert.equal(c.of("hook").length, 1);
	c.answer(id, allow(q));
	await until("the second question", () => c.of("can").length === 2);
	assert.equal(s.file("p.txt"), "1\n");
	const [, r, other] = c.log.filter(([k]) => k === "can")[1];
	c.answer(other, deny());
	await until("the result", () => c.results().length === 1);
	assert.equal(r.input.command, "echo 2 >> p.txt");
	assert.equal(s.file("p.txt"), "1\n");
	await c.end();
});

test("a hostile workspace and HOME run nothing unasked", async (t) => {
	const s = await scene(t);
	const loot = temp_dir(t, "mn-loot-");
	lay_traps(s.at, loot);
	const c = s.run({ can: deny });
	await c.turn("[[bash:ls]] [[write:a.txt:x]] [[task:bash=ls]] " +
	    '[[mcp:evil.append:{"path":"m.txt","line":"x"}]] ' +
	    '[[tool:Skill:{"skill":"evil"}]]');

	assert.deepEqual(c.asked(), ["hook Bash", "can Bash", "hook Write",
	    "can Write", "hook Agent", "can Agent"]);
	assert.deepEqual(fs.readdirSync(loot), []);
	assert.ok(!s.exists("a.txt") && !s.exists("m.txt"));
	for (const b of s.model.bodies())
		assert.doesNotMatch(JSON.stringify(b), /HOSTILE-MEMORY/);
	const key = createHash("sha256").update("dummy").digest("hex");
	for (const r of s.model.requests())
		assert.equal(r.key_sha256, key);
	assert.equal((await c.end()).code, 0);
	assert.deepEqual(fs.readdirSync(loot), []);
});

test("the traps are real: without the gate they spring", async (t) => {
	const s = await scene(t);
	const loot = temp_dir(t, "mn-loot-");
	lay_traps(s.at, loot, { mode: false });
	const c = s.run({ gate: false, env: { CLAUDE_CODE_MAX_RETRIES: "0" } });
	c.say("[[bash:ls]]");
	await until("a trap", () => fs.readdirSync(loot).length > 0);
	await c.proc.stop("SIGKILL");
});

test("the key comes by a pipe and is in no environment", async (t) => {
	const key = "sk-ant-canary-0123456789";
	const s = await scene(t, { model_options: { key_sha256:
	    createHash("sha256").update(key).digest("hex") } });
	const c = s.run({ key, key_pipe: true,
	    env: { CLAUDE_CODE_API_KEY_FILE_DESCRIPTOR: "3" } });
	const r = await c.turn("[[bash:env; tr '\\0' '\\n' " +
	    "</proc/$PPID/environ; ls -l /proc/self/fd]]");

	assert.equal(r.is_error, false);
	assert.doesNotMatch(c.proc.out, /canary/);
	assert.match(c.tool_results()[0].content, /^HOME=/m);
	await c.end();
});

test("a wrong key is an error result and exit 1", async (t) => {
	const s = await scene(t, { model_options: { key_sha256: "00" } });
	const c = s.run({ env: { CLAUDE_CODE_MAX_RETRIES: "0" } });
	const r = await c.turn("[[text:x]]");

	assert.equal(r.is_error, true);
	assert.equal((await c.end()).code, 1);
});

test("a prompt that begins with a slash is a command of its own", async (t) => {
	const s = await scene(t);
	const c = s.run();
	await c.turn("/permissions [[text:x]]");
	assert.equal(s.model.requests().length, 0);
	const r = await c.turn(" /permissions [[text:reached]]");
	assert.equal(r.result, "reached");
	await c.end();
});

test("a file mentioned in a prompt is not read unasked", async (t) => {
	const s = await scene(t);
	fs.writeFileSync(path.join(s.at.work, "seen.txt"), "SECRET-HERON\n");
	const c = s.run();
	await c.turn("look at @seen.txt [[text:x]]");
	for (const b of s.model.bodies())
		assert.doesNotMatch(JSON.stringify(b), /SECRET-HERON/);
	await c.end();
	const d = s.run({ env: { CLAUDE_CODE_DISABLE_FILE_MENTIONS: "" },
	    args: [`--resume=${s.at.session}`] });
	await d.turn("look at @seen.txt [[text:y]]");
	assert.match(JSON.stringify(s.model.bodies()), /SECRET-HERON/,
	    "the variable is what keeps it out");
	await d.end();
});

test("two prompts in one process, one result each", async (t) => {
	const s = await scene(t);
	const c = s.run();
	await c.turn("the first [[text:one]]");
	const r = await c.turn("the second [[recall]]");

	assert.match(r.result, /the first/);
	assert.equal(c.results().length, 2);
	assert.equal((await c.end()).code, 0);
});

test("--resume carries the conversation to a new process", async (t) => {
	const s = await scene(t);
	const c = s.run();
	await c.turn("remember the heron [[text:yes]]");
	await c.end();
	const d = s.run({ args: [`--resume=${s.at.session}`] });
	const r = await d.turn("[[recall]]");

	assert.match(r.result, /the heron/);
	assert.equal(r.session_id, s.at.session);
	await d.end();
});

test("--resume of a conversation that is not there", async (t) => {
	const s = await scene(t);
	const c = s.run({ args: [`--resume=${s.at.session}`] });
	c.say("[[text:x]]");
	const { code } = await c.proc.wait();

	assert.equal(code, 1);
	assert.match(c.proc.out + c.proc.err, /No conversation found/);
	assert.equal(s.model.requests().length, 0);
});

test("thousands of deltas", async (t) => {
	const s = await scene(t);
	const c = s.run({ args: ["--include-partial-messages",
	    `--session-id=${s.at.session}`] });
	const r = await c.turn("[[deltas:3000]]");
	const n = c.of("line").filter((m) => m.type === "stream_event" &&
	    m.event.type === "content_block_delta").length;

	assert.ok(n >= 3000, `${n} deltas`);
	assert.match(r.result, /^w1 w2 .*w3000 $/);
	await c.end();
});

test("the model fails twice, then answers", async (t) => {
	const s = await scene(t);
	const c = s.run();
	const r = await c.turn("[[error:529,500 then ok]] [[text:fine]]");

	assert.equal(r.result, "fine");
	assert.deepEqual(c.of("line").filter((m) => m.subtype === "api_retry")
	    .map((m) => m.error_status), [529, 500]);
	await c.end();
});

test("an API error is is_error with subtype success", async (t) => {
	const s = await scene(t);
	const c = s.run();
	const r = await c.turn("[[error:400]]");

	assert.equal(r.is_error, true);
	assert.equal(r.subtype, "success");
	assert.match(r.result, /400/);
	assert.equal((await c.end()).code, 1);
});

test("stdin closed while asking is a denial", async (t) => {
	const s = await scene(t);
	const c = s.run({ can: () => undefined });
	c.say("[[bash:echo x > x.txt]]");
	await until("the question", () => c.of("can").length === 1);
	assert.equal((await c.end()).code, 0);
	assert.match(JSON.stringify(c.tool_results()[0].content),
	    /Tool permission stream closed/);
	assert.ok(!s.exists("x.txt"));
});

test("interrupt while asking withdraws the question", async (t) => {
	const s = await scene(t);
	const c = s.run({ can: () => undefined });
	c.say("[[bash:echo x > x.txt]]");
	await until("the question", () => c.of("can").length === 1);
	const id = c.log.find(([k]) => k === "can")[2];
	c.send({ type: "control_request", request_id: "int-1",
	    request: { subtype: "interrupt" } });
	await until("the result", () => c.results().length === 1);
	assert.ok(c.of("line").some((m) => m.type === "control_cancel_request" &&
	    m.request_id === id));
	assert.equal(c.results()[0].subtype, "error_during_execution");
	assert.equal((await c.end()).code, 1);
	assert.ok(!s.exists("x.txt"));
});

test("interrupt kills the command that runs", async (t) => {
	const s = await scene(t);
	const c = s.run();
	c.say("[[bash:echo $$ > pid; exec sleep 600]]");
	const pid = Number(await until("the command", () =>
	    s.exists("pid") && s.file("pid").trim()));
	c.send({ type: "control_request", request_id: "int-1",
	    request: { subtype: "interrupt" } });
	await until("the result", () => c.results().length === 1);
	await until("the command to be gone", () =>
	    !fs.existsSync(`/proc/${pid}`));
	await c.end();
});

test("the model hangs: interrupt ends the turn", async (t) => {
	const s = await scene(t);
	const c = s.run({ args: ["--include-partial-messages",
	    `--session-id=${s.at.session}`] });
	c.say("[[hang:600]]");
	await until("a delta", () => c.of("line").some((m) =>
	    m.type === "stream_event"));
	c.send({ type: "control_request", request_id: "int-1",
	    request: { subtype: "interrupt" } });
	await until("the result", () => c.results().length === 1);
	assert.equal(c.results()[0].is_error, true);
	await c.end();
});

// What Claude writes down of a conversation, some time after it was said.
function transcript(s) {
	const name = fs.readdirSync(s.at.home, { recursive: true })
	    .find((f) => f.endsWith(`${s.at.session}.jsonl`));
	return name && path.join(s.at.home, name);
}

for (const signal of ["SIGTERM", "SIGKILL"]) {
	test(`${signal} while asking: resumed, it asks again`, async (t) => {
		const s = await scene(t);
		const c = s.run({ can: () => undefined });
		c.say("[[bash:echo x >> x.txt]]");
		await until("the question", () => c.of("can").length === 1);
		await until("the call in the transcript", () => transcript(s) &&
		    fs.readFileSync(transcript(s), "utf8")
		    .includes('"type":"tool_use"'));
		const status = await c.proc.stop(signal);
		assert.deepEqual(status, signal === "SIGTERM" ?
		    { code: 143, signal: null } :
		    { code: null, signal: "SIGKILL" });
		assert.equal(c.results().length, 0);
		assert.ok(!s.exists("x.txt"));
		const d = s.run({ args: [`--resume=${s.at.session}`] });
		const r = await d.turn("You were interrupted. Continue.");
		assert.deepEqual(d.asked(), ["hook Bash", "can Bash"]);
		assert.equal(r.is_error, false);
		assert.equal(s.file("x.txt"), "x\n");
		await d.end();
	});
}

test("without a message in its transcript a conversation can neither be " +
    "resumed nor begun", async (t) => {
	const s = await scene(t);
	const c = s.run();
	await c.turn("[[text:yes]]");
	await c.end();
	const lines = fs.readFileSync(transcript(s), "utf8").split("\n");
	const first = lines.findIndex((l) => l.includes('"type":"user"'));
	assert.ok(first > 0);
	fs.writeFileSync(transcript(s), lines.slice(0, first).join("\n") + "\n");
	const d = s.run({ args: [`--resume=${s.at.session}`] });
	const r = await d.turn("[[text:again]]");
	assert.match(r.errors[0], /No conversation found/);
	const e = s.run();
	assert.equal((await e.proc.wait()).code, 1);
	assert.match(e.proc.err, /already in use/);
});

test("garbage on stdin ends the process", async (t) => {
	const s = await scene(t);
	const c = s.run();
	c.proc.write("this is no JSON\n");
	assert.equal((await c.proc.wait()).code, 1);
});
