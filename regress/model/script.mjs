// Owns the reading of one request: which prompt is being answered, how far the
// agent has got with it, and so what the model says now.  Nothing is remembered
// between requests (but how often an error was already given, by server.mjs):
// the conversation in the request is the state, as it is for a real model, so
// resumed and concurrent sessions need nothing.

import { has_mark, plan } from "./marks.mjs";

// What Claude Code itself puts into the user's turns.
const REMINDER = /<system-reminder>[\s\S]*?<\/system-reminder>/g;
const NOT_SAID = /^(Continue from where you left off\.?|\[Request interrupted.*|<local-command[\s\S]*|Caveat:[\s\S]*)$/;
// A prompt without a mark that means: go on with the one before.
const GO_ON = /interrupted|left off|restarted|cut short|^continue\b/i;
// Results of calls that may not have happened: asked to go on, do them again.
const NOT_DONE = /^\[Tool call interrupted|Tool permission stream closed|^The user doesn't want to proceed|^\[Request interrupted/;

function blocks(message) {
	return typeof message.content === "string" ?
	    [{ type: "text", text: message.content }] : message.content ?? [];
}

function said(message) {
	return blocks(message).filter((b) => b.type === "text")
	    .map((b) => b.text.replace(REMINDER, "").trim())
	    .filter((t) => t !== "" && !NOT_SAID.test(t)).join("\n");
}

function result_text(block) {
	return typeof block.content === "string" ? block.content :
	    (block.content ?? []).map((b) => b.text ?? `[${b.type}]`).join("");
}

// The working directory stands in the system prompt or in a reminder.
function working_directory(body) {
	const m = /[Ww]orking directory: ([^\s"\\]+)/.exec(
	    JSON.stringify([body.system, body.messages]));
	return m ? m[1] : "/";
}

// All that a test may want to know of a request, without any secret.
export function facts(body) {
	const messages = body.messages ?? [];
	// Tools that the API itself would run (web search) are not the agent's.
	const tools = (body.tools ?? []).filter((t) => t.input_schema)
	    .map((t) => t.name);
	const prompts = [];
	let at = 0, prompt = "", results = [];

	messages.forEach((m, i) => {
		if (m.role !== "user")
			return;
		const text = said(m);
		const answers = blocks(m).filter((b) => b.type === "tool_result");
		for (const r of answers)
			results.push({ id: r.tool_use_id,
			    is_error: Boolean(r.is_error), text: result_text(r) });
		if (text === "" || (answers.length > 0 && !has_mark(text)))
			return;
		prompts.push(text);
		if (!has_mark(text) && GO_ON.test(text) && has_mark(prompt)) {
			results = results.filter((r) => !NOT_DONE.test(r.text));
			return;
		}
		at = i;
		prompt = text;
		results = [];
	});
	return { tools, prompts, prompt, at, results,
	    cwd: working_directory(body), messages: messages.length };
}

// Calls of the plan that have an answer: step k is the first that has not.
function step_of(steps, answered) {
	let k = 0;

	for (; k < steps.length && answered >= steps[k].length; k++)
		answered -= steps[k].length;
	return k;
}

function side_answer(body, f) {
	const schema = body.output_config?.format?.schema?.properties;

	if (schema === undefined)
		return `Scripted answer to: ${f.prompt.slice(0, 200)}`;
	return JSON.stringify(Object.fromEntries(Object.entries(schema)
	    .map(([k, v]) => [k, v.type === "boolean" ? true :
	    v.type === "string" ? "scripted" : v.type === "array" ? [] : null])));
}

// -> {kind, step, text, calls, deltas, hang, error}
export function answer(body, f) {
	const out = { kind: "main", step: 0, text: "", calls: [], deltas: 0,
	    hang: 0, error: null };

	if (f.tools.length === 0) {	// title, summary of a page, quota
		out.kind = "side";
		out.text = side_answer(body, f);
		return out;
	}
	const p = plan(f.prompt, f.tools, f.cwd);
	out.error = p.error;
	out.step = step_of(p.steps, f.results.length);
	if (out.step < p.steps.length) {
		out.calls = p.steps[out.step];
		out.text = `Step ${out.step + 1}.`;
		return out;
	}
	out.deltas = p.deltas;
	out.hang = p.hang;
	if (p.text !== null)
		out.text = p.text;
	else if (p.recall)
		out.text = "I recall: " + JSON.stringify(f.prompts.slice(0, -1));
	else if (f.results.length > 0)
		out.text = "The tool said: " +
		    f.results.map((r) => r.text).join(" / ").slice(0, 600);
	else if (p.deltas === 0 && p.hang === 0)
		out.text = `You said: ${f.prompt.slice(0, 400)}`;
	return out;
}
