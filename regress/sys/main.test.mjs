// The real Claude Code, supervised: everything that a person asks of it and
// that it asks of a person, against the scripted model.

import assert from "node:assert/strict";
import fs from "node:fs";
import path from "node:path";
import { lay_traps } from "../claude/hostile.mjs";
import { all_files, top } from "../lib/place.mjs";
import { claude_program, ends_well, puppet, start_server, tests }
    from "../lib/server.mjs";
import { until } from "../lib/wait.mjs";

const CLAUDE = claude_program();
const KEY = "sk-ant-test-0123456789abcdef";

const server = await start_server();
const test = tests(server);
const model = await server.model();
// Not below /tmp: agents have one of their own.
const mcp_dir = fs.mkdtempSync("/var/tmp/mn-");
server.after(() => fs.rmSync(mcp_dir, { recursive: true }));
fs.chmodSync(mcp_dir, 0o755);
const mcp = path.join(mcp_dir, "mcp.json");
fs.writeFileSync(mcp, JSON.stringify({ mcpServers: { marks: {
    command: process.execPath,
    args: [path.join(top, "regress/claude/mcp.mjs")] } } }));
const runner = await server.runner({ agents: { claude: CLAUDE,
    "custom:puppet": puppet }, args: ["--claude-mcp-config", mcp] });
// The server says active when it is decided; the agent's directories follow.
const laid = (s) => until("the session's directories", () =>
    runner.log().includes(`session ${s.id ?? s} attached`));
const open = (more) => server.session({ agent: "claude", api_key: KEY,
    base_url: model.url, ...more });
// The session that most tests share; a runner holds one at a time.
let session = await open();
const run = (prompt, more) => server.run(session, prompt, more);
const no = { answer: () => false };
// Policy's own decisions beside the questions that people were asked.
const decisions = async (task) => (await server.permissions(task))
    .map((p) => [p.tool, p.status, p.decided_by]);

async function fresh() {
	await server.terminate(session);
	session = await open();
	return server.is(session, "active");
}

test("a text answer", async () => {
	const { task, asked } = await run("Say hi [[text:Hello from the model]]");

	assert.equal(task.status, "completed");
	assert.equal(task.result, "Hello from the model");
	assert.equal(asked.length, 0);
	assert.ok(task.usage.tokens_output > 0);
	assert.ok(task.usage.duration_ms > 0);
	const s = await server.get_session(session);
	assert.equal(s.is_byok, true);
	assert.ok(!JSON.stringify(s).includes(KEY));
});

test("Bash approved: one question, one line", async () => {
	const { task, asked } = await run("[[bash:echo alive >> bash.txt]]");

	assert.equal(task.status, "completed");
	assert.equal(asked.length, 1);
	assert.equal(asked[0].tool, "Bash");
	assert.match(asked[0].action, /echo alive >> bash\.txt/);
	assert.equal(asked[0].input.command, "echo alive >> bash.txt");
	assert.equal(asked[0].kind, "tool");
	assert.equal(runner.read(session, "bash.txt"), "alive\n");
	assert.deepEqual(await decisions(task), [["Bash", "approved", "user"]]);
});

test("Bash denied: nothing runs, and the agent is told why", async () => {
	const { task, asked } = await run("[[bash:echo no >> denied.txt]]", no);

	assert.equal(task.status, "completed");
	assert.equal(asked.length, 1);
	assert.ok(!runner.has(session, "denied.txt"));
	assert.match(task.result, /The operator said no\./);
	const told = model.requests("denied.txt").flatMap((r) => r.results ?? []);
	assert.ok(told.some((r) => r.is_error &&
	    r.text.includes("The operator said no.")));
});

test("Write", async () => {
	const { task, asked } = await run("[[write:note.txt:written by Write]]");

	assert.equal(task.status, "completed");
	assert.deepEqual(asked.map((p) => p.tool), ["Write"]);
	assert.equal(runner.read(session, "note.txt"), "written by Write");
});

test("an input with a NUL, which nobody can be shown, is refused", async () => {
	const call = JSON.stringify({ file_path: "/workspace/nul.txt",
	    content: "a\u0000b" });
	const { task, asked } = await run(`[[tool:Write:${call}]]`, no);

	assert.equal(task.status, "completed");
	assert.equal(asked.length, 0);
	assert.match(task.result, /NUL character/);
	assert.ok(!runner.has(session, "nul.txt"));
});

test("two tools in sequence, each asked", async () => {
	const { task, asked } = await run(
	    "[[seq:bash=echo one >> seq.txt|bash=echo two >> seq.txt]]");

	assert.equal(task.status, "completed");
	assert.equal(asked.length, 2);
	assert.equal(runner.read(session, "seq.txt"), "one\ntwo\n");
});

test("Read and Glob: decided by policy or by a person, and recorded",
    async () => {
	const { task } = await run("[[seq:read=note.txt|glob=*.txt]]");

	assert.equal(task.status, "completed");
	assert.match(task.result, /written by Write/);
	const made = await decisions(task);
	assert.deepEqual(made.map((d) => d[0]).sort(), ["Glob", "Read"]);
	for (const [, status, by] of made) {
		assert.equal(status, "approved");
		assert.equal(by, "policy");
	}
});

test("Read outside the workspace asks", async () => {
	const { task, asked } = await run("[[read:/etc/hostname]]", no);

	assert.equal(task.status, "completed");
	assert.deepEqual(asked.map((p) => p.tool), ["Read"]);
});

test("Grep outside the workspace asks, whatever it looks for", async () => {
	const call = JSON.stringify({ path: "/etc",
	    pattern: "localhost|x in /workspace" });
	const { task, asked } = await run(`[[tool:Grep:${call}]]`, no);

	assert.equal(task.status, "completed");
	assert.deepEqual(asked.map((p) => p.action),
	    ["Grep in /etc: localhost|x in /workspace"]);
});

test("Edit asks", async () => {
	const { task, asked } = await run(
	    "[[seq:read=note.txt|edit=note.txt:written:changed]]");

	assert.equal(task.status, "completed");
	assert.deepEqual(asked.map((p) => p.tool), ["Edit"]);
	assert.equal(runner.read(session, "note.txt"), "changed by Write");
});

test("WebFetch asks", async () => {
	const { asked } = await run("[[webfetch:http://127.0.0.1:9/]]", no);

	assert.deepEqual(asked.map((p) => p.tool), ["WebFetch"]);
	assert.equal(asked[0].risk_level, "high");
});

test("a subagent asks, and so do its tools", async () => {
	const { task, asked } = await run(
	    "[[task:bash=echo sub >> sub.txt|text=sub done]]");

	assert.equal(task.status, "completed");
	assert.equal(asked.length, 2);
	assert.match(asked[0].tool, /^(Agent|Task)$/);
	assert.equal(asked[1].tool, "Bash");
	assert.equal(runner.read(session, "sub.txt"), "sub\n");
});

test("an MCP tool asks, whatever it says of itself", async () => {
	const call = JSON.stringify({ path: "/workspace/mcp.txt", line: "mcp" });
	// The program connects to its servers while it works: on a busy machine
	// the tool may not be there yet.
	const calls = async (more, o) => {
		for (let i = 0; ; i++) {
			const r = await run(`[[mcp:marks.append:${call}]] ` +
			    `${more} ${i}`, o);
			if (r.asked.length > 0 || i === 5)
				return r;
			assert.match(r.task.result, /No such tool/);
		}
	};
	const yes = await calls("yes");

	assert.equal(yes.task.status, "completed");
	assert.deepEqual(yes.asked.map((p) => p.tool), ["mcp__marks__append"]);
	assert.equal(yes.asked[0].risk_level, "high");
	assert.equal(runner.read(session, "mcp.txt"), "mcp\n");
	const again = await calls("no", no);
	assert.equal(again.asked.length, 1);
	assert.equal(runner.read(session, "mcp.txt"), "mcp\n");
});

test("an edited input is what runs", async () => {
	const { task } = await run("[[bash:echo asked >> edit.txt]]", {
	    answer: (p) => ({ input: { ...p.input,
		command: "echo edited >> edit.txt" } }) });

	assert.equal(task.status, "completed");
	assert.equal(runner.read(session, "edit.txt"), "edited\n");
	const [p] = await server.permissions(task);
	assert.equal(p.input.command, "echo asked >> edit.txt");
	assert.equal(p.edited_input.command, "echo edited >> edit.txt");
});

test("a question of the agent's is answered", async () => {
	const call = JSON.stringify({ questions: [{ question: "Which colour?",
	    header: "Colour", multiSelect: false, options: [
	    { label: "red", description: "warm" },
	    { label: "blue", description: "cold" }] }] });
	const { task, asked } = await run(`[[tool:AskUserQuestion:${call}]]`, {
	    answer: () => ({ answers: { "Which colour?": "blue" } }) });

	assert.equal(asked.length, 1);
	assert.equal(asked[0].kind, "question");
	assert.equal(task.status, "completed");
	assert.match(task.result, /blue/);
});

test("5,000 text deltas: every line is stored, in order", async () => {
	const { task } = await run("[[deltas:5000]]");
	const lines = await server.lines(task);

	assert.equal(task.status, "completed");
	assert.match(task.result, /w1 w2 .* w5000/);
	assert.deepEqual(lines.map((l) => l.sequence),
	    lines.map((_, i) => i + 1));
	const [r] = await server.runs(task);
	assert.equal(r.log_lines, lines.length);
});

test("the model fails twice, then works", async () => {
	const { task } = await run(
	    "[[error:529,500 then ok]] [[text:after the storm]]");

	assert.equal(task.status, "completed");
	assert.equal(task.result, "after the storm");
});

test("the model refuses: the task fails with its words", async () => {
	const { task } = await run("[[error:400]]");

	assert.equal(task.status, "failed");
	assert.equal(task.error.code, "model_error");
	assert.match(task.error.message, /400|scripted error/);
	assert.equal((await server.get_session(session)).status, "active");
});

test("the second task continues the conversation, also after a pause",
    async () => {
	await fresh();
	await run("The word is banana [[text:noted]]");
	const second = await run("[[recall]]");
	assert.match(second.task.result, /The word is banana/);

	const down = await server.suspend(session);
	assert.equal(down.status, "suspended");
	const up = await server.resume(session);
	assert.equal(up.status, "active");
	assert.equal(up.runner_id, runner.id);
	const third = await run("And now? [[recall]]");
	assert.match(third.task.result, /The word is banana/);
});

test("prompts that begin with a slash, or name a file, reach the model as"
    + " they are", async () => {
	fs.writeFileSync(runner.at(session, "workspace", "secret.txt"),
	    "SECRET-IN-FILE\n", { mode: 0o644 });
	for (const prompt of ["/clear", "/permissions [[text:slash]]",
	    "look at @/workspace/secret.txt and @secret.txt [[text:at]]"]) {
		const { task, asked } = await run(prompt);
		assert.equal(task.status, "completed");
		assert.equal(asked.length, 0);
		assert.ok(model.prompts().some((p) => p.includes(prompt)),
		    `${prompt}: ${JSON.stringify(model.prompts().slice(-3))}`);
	}
	const { task } = await run("[[recall]]");
	assert.match(task.result, /banana/);
	assert.ok(!task.result.includes("SECRET-IN-FILE"));
});

test("a file that a prompt names is not read unasked", async () => {
	const seen = await server.model({ bodies: true });
	await server.terminate(session);
	session = await server.session({ agent: "claude", api_key: KEY,
	    base_url: seen.url });
	await server.is(session, "active");
	await laid(session);
	fs.writeFileSync(runner.at(session, "workspace", "secret.txt"),
	    "SECRET-IN-FILE\n", { mode: 0o644 });
	const { task } = await run("see @secret.txt @/workspace/secret.txt " +
	    "[[text:ok]]");
	assert.equal(task.status, "completed");
	assert.ok(!JSON.stringify(seen.bodies()).includes("SECRET-IN-FILE"));
	await fresh();
});

test("cancel in mid-answer", async () => {
	const t = await server.task(session, "[[hang:60]]");

	await until("the model to be asked", () =>
	    model.requests("[[hang:60]]").length > 0);
	await server.cancel(t);
	const task = await server.ended(t);
	assert.equal(task.status, "canceled");
	const next = await run("[[text:still here]]");
	assert.equal(next.task.result, "still here");
});

test("cancel while a tool runs: it dies too", async () => {
	const t = await server.task(session,
	    "[[bash:echo in >> tool.txt; sleep 300; echo out >> tool.txt]]");

	await server.approve(await server.asked(t));
	await until("the tool to run", () => runner.has(session, "tool.txt"));
	await server.cancel(t);
	assert.equal((await server.ended(t)).status, "canceled");
	assert.equal(runner.read(session, "tool.txt"), "in\n");
});

test("cancel while it asks", async () => {
	const t = await server.task(session, "[[bash:echo no >> asking.txt]]");
	const p = await server.asked(t);

	await server.cancel(t);
	assert.equal((await server.ended(t)).status, "canceled");
	assert.ok(!runner.has(session, "asking.txt"));
	const q = await server.api.must(200, "GET",
	    `/api/v1/permissions/${p.id}`);
	assert.equal(q.status, "canceled");
});

test("timeout", async () => {
	const { task } = await run("[[hang:60]] timeout", { timeout_seconds: 3 });

	assert.equal(task.status, "failed");
	assert.equal(task.error.code, "timeout");
	assert.equal((await server.runs(task))[0].status, "timeout");
});

test("a permission answered later than the timeout", async () => {
	const TIMEOUT_S = 30;	// a busy machine begins slowly
	const t = await server.task(session, "[[bash:echo late >> late.txt]]",
	    { timeout_seconds: TIMEOUT_S });
	const p = await server.asked(t);
	const from = Date.now();

	await until("its time to be over", async () => {
		assert.equal((await server.get_task(t)).status, "running");
		return Date.now() - from > TIMEOUT_S * 1000;
	}, undefined, 250);
	await server.approve(p);
	const task = await server.ended(t);
	assert.equal(task.status, "completed");
	assert.equal(runner.read(session, "late.txt"), "late\n");
	assert.ok(task.usage.duration_ms < TIMEOUT_S * 1000,
	    task.usage.duration_ms);
});

test("a hostile workspace runs nothing unasked", async () => {
	await fresh();
	await laid(session);
	const at = { work: runner.at(session, "workspace"),
	    home: runner.at(session, "home") };
	const { uid, gid } = fs.statSync(at.work);
	const loot = path.join(at.work, "loot");
	const own = (dir) => fs.readdirSync(dir, { withFileTypes: true })
	    .forEach((e) => {
		const p = path.join(dir, e.name);
		fs.chownSync(p, uid, gid);
		if (e.isDirectory())
			own(p);
	});

	fs.mkdirSync(loot);
	lay_traps(at, "/workspace/loot");
	const trusted = path.join(at.home, ".claude.json");
	fs.writeFileSync(trusted, fs.readFileSync(trusted, "utf8")
	    .replaceAll(at.work, "/workspace"));
	own(at.work);
	own(at.home);
	const { task, asked } = await run(
	    "[[seq:bash=touch /workspace/loot/asked|write=w.txt:x]]", no);
	assert.equal(task.status, "completed");
	assert.deepEqual(asked.map((p) => p.tool), ["Bash", "Write"]);
	assert.deepEqual(all_files(loot), []);
	const evil = await run("[[mcp:evil.append:{\"path\":" +
	    "\"/workspace/loot/mcp\",\"line\":\"x\"}]]", no);
	assert.deepEqual(all_files(loot), []);
	assert.equal(evil.asked.length, 0);
	assert.ok(model.requests("loot/asked").length > 0);
});

test("one runner, one session after the other: none reads the other's files",
    async () => {
	await fresh();
	await run("[[write:mine.txt:PRIVATE-OF-ONE]]");
	const one = session;
	const outside = runner.at(one, "workspace", "mine.txt");
	assert.ok(fs.existsSync(outside));
	await server.suspend(one);
	session = await open();
	const { task } = await run(`[[bash:cat ${outside}; ls -la ` +
	    `${path.dirname(path.dirname(outside))}; cat /workspace/mine.txt; ` +
	    `grep -rs PRIVATE-OF-ONE /workspace /home /tmp; ` +
	    `cat /proc/[0-9]*/root/workspace/mine.txt; true]]`);
	assert.equal(task.status, "completed");
	const said = (await server.lines(task)).map((l) => l.content)
	    .filter((l) => !l.includes("grep -rs")).join("\n");
	assert.ok(!said.includes("PRIVATE-OF-ONE"), said);
	await server.terminate(session);
	await server.resume(one);
	session = one;
	const back = await run("[[bash:cat mine.txt]]");
	assert.match(back.task.result, /PRIVATE-OF-ONE/);
});

test("two runners at once: none reads the other's files or environment",
    async () => {
	const other = await server.runner({ name: "second",
	    agents: { claude: CLAUDE } });
	await fresh();
	const [a, b] = [session, await open()];
	const on = async (s) => (await server.is(s, "active")).runner_id;
	assert.notEqual(await on(a), await on(b));
	const there = (await on(b)) === other.id ? other : runner;
	await server.run(b, "[[write:mine.txt:PRIVATE-OF-TWO]]");
	const held = await server.task(b, "[[bash:export MARK=PRIVATE-OF-TWO; " +
	    "sleep 100]]");
	await server.approve(await server.asked(held));
	const outside = there.at(b, "workspace", "mine.txt");
	const { task } = await server.run(a, `[[bash:cat ${outside}; ` +
	    `cat ${there.at(b)}/home/.claude.json; ` +
	    `cat /proc/[0-9]*/environ; ps aux; true]]`);
	const said = (await server.lines(task)).map((l) => l.content)
	    .filter((l) => !l.includes("ps aux")).join("\n");
	assert.ok(!said.includes("PRIVATE-OF-TWO"), said);
	assert.ok(!said.includes("sleep 100"), said);
	await server.cancel(held);
	await server.ended(held);
	await server.terminate(b);
	await other.stop();
});

test("stored lines are byte for byte what the program printed", async () => {
	const tee = path.join(top, "regress/sys/agents/tee-claude.sh");
	const copy = await server.runner({ name: "tee", agents: { claude: tee },
	    env: { PATH: `${path.dirname(CLAUDE)}:${process.env.PATH}` } });
	await runner.stop();
	await runner.offline();
	const s = await open({ labels: { on: "tee" } });
	await server.is(s, "active");
	const { task } = await server.run(s, "[[seq:bash=seq 1 5000|" +
	    "write=ä.txt:grüße \u{1f600}|bash=printf 'a\\tb\\001c']] " +
	    "[[deltas:300]]");
	assert.equal(task.status, "completed");
	const printed = fs.readFileSync(copy.at(s, "home", "printed"), "utf8");
	assert.ok(printed.length > 10000);
	assert.ok(await server.printed(task) === printed);
	await server.terminate(s);
	await copy.stop();
});

test("no key in any line or request", async () => {
	for (const t of await server.api.all("/api/v1/tasks?limit=500"))
		for (const l of await server.lines(t))
			assert.ok(!JSON.stringify(l).includes(KEY), t.id);
	assert.ok(!server.log().includes(KEY));
});

ends_well(server);
