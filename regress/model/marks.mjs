// Owns the scenario language of the scripted model: what a mark in a prompt
// asks the model to do.  Called by script.mjs.  An unknown mark throws, and the
// server answers 400 with the reason, so that a misspelt test fails loudly.
//
//   [[text:T]]  [[bash:CMD]]  [[write:PATH:CONTENT]]  [[read:PATH]]
//   [[edit:PATH:OLD:NEW]]  [[glob:PATTERN]]  [[grep:PATTERN]]
//   [[webfetch:URL]]  [[task:PROMPT]]  [[mcp:SERVER.TOOL:JSON]]
//   [[tool:NAME:JSON]]  [[seq:a=..|b=..]]  [[par:a=..|b=..]]
//   [[deltas:N]]  [[hang:SECONDS]]  [[recall]]  [[error:529,500 then ok]]
//
// Marks in one prompt happen one after the other; par is several calls in one
// answer.  In task, inner marks are written verb=argument, as in seq.

import path from "node:path";

const VERBS = "text|bash|write|read|edit|glob|grep|webfetch|task|mcp|tool|" +
    "deltas|hang|recall|error";
const MARK = /\[\[([a-z]+)(?::([\s\S]*?))?\]\]/g;
const PART = new RegExp(`\\|(?=(?:${VERBS})=)`);

// "path:rest" -> [path, rest]
function cut(s, n) {
	const out = [];
	for (; n > 1 && s.includes(":"); n--) {
		const i = s.indexOf(":");
		out.push(s.slice(0, i));
		s = s.slice(i + 1);
	}
	out.push(s);
	return out;
}

// A text for a subagent: "bash=echo hi|text=done" -> marks.
function inner(arg) {
	return arg.split(PART).map((p) => {
		const m = new RegExp(`^(${VERBS})=([\\s\\S]*)$`).exec(p);
		return m ? `[[${m[1]}:${m[2]}]]` : p;
	}).join(" ");
}

// One tool call; offered: names of the tools in the request; cwd: where the
// agent works, since file tools want absolute paths.
function call(verb, arg, offered, cwd) {
	const abs = (p) => path.resolve(cwd, p);
	const a = cut(arg, verb === "edit" ? 3 : 2);

	switch (verb) {
	case "bash":
		return { name: "Bash",
		    input: { command: arg, description: "scripted command" } };
	case "write":
		return { name: "Write",
		    input: { file_path: abs(a[0]), content: a[1] ?? "" } };
	case "read":
		return { name: "Read", input: { file_path: abs(arg) } };
	case "edit":
		return { name: "Edit", input: { file_path: abs(a[0]),
		    old_string: a[1] ?? "", new_string: a[2] ?? "" } };
	case "glob":
		return { name: "Glob", input: { pattern: arg } };
	case "grep":
		return { name: "Grep", input: { pattern: arg } };
	case "webfetch":
		return { name: "WebFetch",
		    input: { url: arg, prompt: "What does it say?" } };
	case "task":
		return { name: offered.includes("Agent") ? "Agent" : "Task",
		    input: { description: "scripted subagent",
			prompt: inner(arg), subagent_type: "general-purpose" } };
	case "mcp":
		return { name: `mcp__${a[0].replace(".", "__")}`,
		    input: JSON.parse(a[1] || "{}") };
	case "tool":
		return { name: a[0], input: JSON.parse(a[1] || "{}") };
	}
	return null;
}

function number(verb, arg) {
	const n = Number(arg);

	if (arg === "" || !Number.isFinite(n) || n < 0)
		throw new Error(`mark ${verb} wants a number, got "${arg}"`);
	return n;
}

// "529,500 then ok" -> {statuses: [529, 500], then: true}
function errors(arg) {
	const m = /^([0-9]{3}(?:,[0-9]{3})*)( then ok)?$/.exec(arg);

	if (m === null)
		throw new Error(`mark error wants "529,500 then ok" or "400"`);
	return { statuses: m[1].split(",").map(Number), then: Boolean(m[2]) };
}

// The whole prompt -> {steps: [[call, ...], ...], text, deltas, hang, recall,
// error, marks}; steps are the answers with tool calls, in order.
export function plan(prompt, offered, cwd) {
	const p = { steps: [], text: null, deltas: 0, hang: 0, recall: false,
	    error: null, marks: [] };
	const one = (verb, arg) => {
		const c = call(verb, arg, offered, cwd);

		if (c !== null)
			p.steps.push([c]);
		else if (verb === "text")
			p.text = arg;
		else if (verb === "deltas" || verb === "hang")
			p[verb] = number(verb, arg);
		else if (verb === "recall")
			p.recall = true;
		else if (verb === "error")
			p.error = errors(arg);
		else
			throw new Error(`mark "${verb}" is not known`);
	};
	const parts = (arg) => arg.split(PART).map((s) => {
		const i = s.indexOf("=");
		return i === -1 ? [s, ""] : [s.slice(0, i), s.slice(i + 1)];
	});

	for (const [mark, verb, arg = ""] of prompt.matchAll(MARK)) {
		p.marks.push(mark);
		if (verb === "seq")
			parts(arg).forEach(([v, a]) => one(v, a));
		else if (verb === "par")
			p.steps.push(parts(arg).map(([v, a]) => {
				const c = call(v, a, offered, cwd);
				if (c === null)
					throw new Error(`par cannot hold ${v}`);
				return c;
			}));
		else
			one(verb, arg);
	}
	return p;
}

export function has_mark(text) {
	return /\[\[[a-z]+(:|\]\])/.test(text);
}
