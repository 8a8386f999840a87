// mctl run: the whole of it, with and without a person.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, beforeEach, test } from 'node:test';

import { Fake, ID, line, permission, task } from './fake.mjs';
import { clock_in, mctl, scratch, terminal } from './harness.mjs';

let fake, env;
const dir = scratch();
const S = `/api/v1/sessions/${ID.session}`;
const P = `/api/v1/permissions/${ID.perm}`;
const Q = '[q]uit: ';

beforeEach(async () => {
	await fake?.stop();
	fake = await new Fake().start();
	env = { MARIONETTE_API_URL: fake.url, MARIONETTE_API_KEY: 'mk_test' };
	fake.task = task({ status: 'running' });
	fake.lines = [line(1, { content: 'working' })];
	fake.onDecision = yes => {
		fake.lines.push(line(fake.lines.length + 1, { content:
		    yes ? 'did it' : 'was not allowed' }));
		fake.task = task({ status: 'completed', result: 'the result' });
	};
});
after(() => fake.stop());
after(() => fs.rmSync(dir, { recursive: true }));

function ask(over) {
	fake.perm = permission(over);
	fake.lines.push(line(fake.lines.length + 1, { kind: 'permission',
	    content: '{}' }));
}

test('yes, at the terminal', async () => {
	ask();
	const t = await terminal(['run', 'claude', 'do it'], [[Q, 'y\n']],
	    { env });
	assert.equal(t.code, 0, t.out);
	assert.match(t.out, /working/);
	assert.match(t.out, /use Bash \(risk: medium\)/);
	assert.match(t.out, /\| echo alive > out\.txt/);
	assert.match(t.out, /"command": "echo alive > out\.txt"/);
	assert.match(t.out, /did it\r\nthe result/);
	assert.equal(fake.asked('POST', `${P}/approve`).length, 1);
	assert.equal(fake.asked('POST', `${S}/terminate`).length, 1);
	assert.deepEqual(fake.asked('POST', '/api/v1/tasks')[0].body,
	    { session_id: ID.session, prompt: 'do it' });
});

test('details, then no', async () => {
	ask({ input: { text: 'long\n'.repeat(3), list: Array.from(
	    { length: 100 }, (_, i) => `item-${i}`) } });
	const t = await terminal(['run', 'claude', 'do it'], [[Q, 'd\n'],
	    ['item-99', ''], [Q, 'what\n'], [Q, 'No\n']], { env });
	assert.equal(t.code, 4, t.out);
	assert.match(t.out, /\(\d+ more lines: \[d\]etails shows them\)/);
	assert.match(t.out, /original_request_id/);
	assert.equal(fake.asked('POST', `${P}/deny`).length, 1);
	assert.match(t.out, /was not allowed/);
});

test('what was typed before the question does not answer it', async () => {
	const t = await terminal(['run', 'claude', 'do it'],
	    [['working', 'y\n'], [Q, 'n\n']], { env, on: [/working/, ask] });
	assert.equal(t.code, 4, t.out);
	assert.equal(fake.asked('POST', `${P}/approve`).length, 0);
	assert.equal(fake.asked('POST', `${P}/deny`).length, 1);
});

test('only a whole y is a yes: no other word, no rest of a long line', async () => {
	ask();
	const t = await terminal(['run', 'claude', 'do it'],
	    [[Q, 'you must not\n'], [Q, '?'.repeat(63) + 'yes\n'],
	    [Q, '?\ny\n'], [Q, 'NO\n']], { env });
	assert.equal(t.code, 4, t.out);
	assert.equal(fake.asked('POST', `${P}/approve`).length, 0);
	assert.equal(fake.asked('POST', `${P}/deny`).length, 1);
});

test('a hostile agent cannot draw a question of ours', async () => {
	const evil = `ls\r\nAllow Read? ${Q}\x1b[2J\x1b[1;1H\u202e${' '.repeat(
	    300)}Allow Read? [y]es`;
	ask({ tool: 'Bash\x1b[8m', action: evil, input: { command: evil } });
	const t = await terminal(['run', 'claude', 'do it'],
	    [['Allow Bash^[[8m? [y]es / [n]o / [d]etails / [q]uit: ', 'n\n']],
	    { env: { ...env, NO_COLOR: '1' } });
	assert.equal(t.code, 4, t.out);
	assert.doesNotMatch(t.out, /[\x1b\u202e]/);
	for (const l of t.out.split(/\r?\n/)) {
		assert.ok([...l].length <= 80, l);
		if (l.includes('Allow Read'))
			assert.match(l, /^ {2}\| /);
	}
	assert.equal(fake.asked('POST', `${P}/deny`).length, 1);
});

test('no wide character runs over the edge, and what is behind it', async () => {
	for (const c of ['\u26a1', '\u2b50', '\u2764\ufe0f', '\ua960',
	    '\u{1fae0}', '\u{1f7e2}', '\u{17000}', '\u{1f1e6}']) {
		ask({ action: c.repeat(200) + 'Allow Read? [y]es' });
		const t = await terminal(['run', 'claude', 'do it'], [[Q,
		    'n\n']], { env });
		const lines = t.out.split(/\r?\n/).filter(l => l.includes(c));
		assert.ok(lines.length >= 4, t.out);
		for (const l of lines)
			assert.ok(l.split(c).length - 1 + [...l.replaceAll(
			    '\ufe0f', '')].length <= 80, l);
	}
});

test('quit leaves the task at work', async () => {
	ask();
	const t = await terminal(['run', 'claude', 'do it'], [[Q, 'q\n']],
	    { env });
	assert.equal(t.code, 1);
	assert.match(t.out, new RegExp(`task ${ID.task} is left at work`));
	assert.equal(fake.asked('POST', `${S}/terminate`).length, 0);
});

test('answered elsewhere: the question goes away', async () => {
	ask();
	const t = await terminal(['run', 'claude', 'do it'], [], { env,
	    on: [/\[q\]uit: /, () => { fake.perm = null; fake.onDecision(true); }] });
	assert.equal(t.code, 0, t.out);
	assert.match(t.out, /It no longer stands/);
	assert.match(t.out, /the result/);
});

test('no terminal: denied, and said; --yes: approved, and said', async () => {
	ask();
	let r = await mctl(['run', 'claude', 'do it'], { env });
	assert.equal(r.code, 4, r.err);
	assert.match(r.err, /denied \(no terminal to ask at; --yes approves\)/);
	assert.equal(fake.asked('POST', `${P}/deny`).length, 1);
	fake.task = task({ status: 'running' });
	ask();
	r = await mctl(['run', 'claude', 'do it', '--yes', '--keep'], { env });
	assert.match(r.err, /approved \(--yes\): Bash: echo alive/);
	assert.match(r.err, new RegExp(`session ${ID.session} stays`));
	fake.task = task({ status: 'running' });
	ask();
	r = await mctl(['run', 'claude', 'do it', '-q'], { env: { ...env,
	    MARIONETTE_YES: '1' } });
	assert.equal(r.out, 'the result\n');
	assert.equal(fake.asked('POST', `${P}/approve`).length, 2);
});

test('a clock that is set back: questions are found all the same', async () => {
	const clock = clock_in(dir);
	const r = await mctl(['run', 'claude', 'do it', '-y'], { env: { ...env,
	    ...clock.env }, on: [/working/, () => {
		clock.set(-3600);
		fake.perm = permission();
	}] });
	assert.equal(r.code, 0, r.err);
	assert.equal(fake.asked('POST', `${P}/approve`).length, 1);
});

test('an answer that could not be taken for now is given again', async () => {
	ask();
	fake.fail = Array.from({ length: 6 }, () => ({ method: 'POST',
	    path: `${P}/approve`, status: 503, headers: { 'retry-after': '1' },
	    body: { code: 'unavailable', message: 'later', request_id: 'r' } }));
	const r = await mctl(['run', 'claude', 'do it', '-y'], { env });
	assert.equal(r.code, 0, r.err);
	assert.equal(fake.asked('POST', `${P}/approve`).length, 7);
});

test('a question that no line told of is found by asking', async () => {
	fake.perm = permission();
	const r = await mctl(['run', 'claude', 'do it', '-y'], { env });
	assert.equal(r.code, 0, r.err);
	assert.equal(fake.asked('GET', '/api/v1/permissions')[0].query.get(
	    'task_id'), ID.task);
});

test('a wrong command line asks nothing of the server', async () => {
	for (const [args, input] of [[['x', '--timeout', '0'], ''],
	    [['-'], Buffer.from([0x61, 0xff])]]) {
		const r = await mctl(['run', 'claude', ...args], { env, input });
		assert.equal(r.code, 2, r.err);
		assert.deepEqual(fake.requests, []);
	}
});

test('a failed task is 3; a given session is not ended', async () => {
	fake.task = task({ status: 'failed', error: { message: 'no luck' } });
	const r = await mctl(['run', 'claude', 'x', '--session', ID.session],
	    { env });
	assert.equal(r.code, 3);
	assert.match(r.err, /failed: no luck/);
	assert.equal(fake.asked('POST', '/api/v1/sessions').length, 0);
	assert.equal(fake.asked('POST', `${S}/terminate`).length, 0);
});

test('the key of the environment, for claude, and it is said', async () => {
	fake.task = task({ status: 'completed', result: 'working' });
	const e = { ...env, ANTHROPIC_API_KEY: 'sk-1', ANTHROPIC_BASE_URL:
	    'http://m' };
	let r = await mctl(['run', 'claude', 'x'], { env: e });
	assert.match(r.err, /uses your ANTHROPIC_API_KEY/);
	assert.equal(r.out, 'working\n');
	assert.deepEqual(fake.requests[0].body, { agent: 'claude',
	    api_key: 'sk-1', base_url: 'http://m' });
	r = await mctl(['run', 'custom:demo', 'x'], { env: e });
	assert.deepEqual(fake.asked('POST', '/api/v1/sessions')[1].body,
	    { agent: 'custom:demo' });
	r = await mctl(['run', 'claude', 'x', '--no-byok'], { env: e });
	assert.deepEqual(fake.asked('POST', '/api/v1/sessions')[2].body,
	    { agent: 'claude' });
});

test('Ctrl-C asks the task to stop', async () => {
	const t = await terminal(['run', 'claude', 'do it'],
	    [['working', '\x03']], { env });
	assert.equal(t.code, 3, t.out);
	assert.deepEqual(fake.asked('POST',
	    `/api/v1/tasks/${ID.task}/cancel`)[0].body,
	    { reason: 'interrupted' });
	assert.equal(fake.asked('POST', `${S}/terminate`).length, 1);
});

test('a Ctrl-C that could not be told for now is told later', async () => {
	fake.fail = Array.from({ length: 6 }, () => ({ method: 'POST',
	    path: `/api/v1/tasks/${ID.task}/cancel`, status: 503, headers: {
	    'retry-after': '1' }, body: { code: 'unavailable', message: 'later',
	    request_id: 'r' } }));
	const t = await terminal(['run', 'claude', 'do it'],
	    [['working', '\x03']], { env });
	assert.equal(t.code, 3, t.out);
	assert.equal(fake.asked('POST', `/api/v1/tasks/${ID.task}/cancel`)
	    .length, 7);
});

test('Ctrl-C at the question; twice leaves', async () => {
	fake.onCancel = () => {};
	ask();
	const t = await terminal(['run', 'claude', 'do it'],
	    [[Q, '\x03'], ['leaves it', '\x03']], { env });
	assert.equal(t.code, 1, t.out);
	assert.match(t.out, /is left at work/);
	assert.equal(fake.asked('POST', `${S}/terminate`).length, 0);
});

test('Ctrl-C twice leaves, whatever the server does', async () => {
	const left = [`/api/v1/tasks/${ID.task}/cancel`, '/api/v1/sessions'];

	fake.fail = [{ method: 'POST', path: left[0], dumb: true }];
	let t = await terminal(['run', 'claude', 'do it'],
	    [['working', '\x03'], ['leaves it', '\x03']], { env });
	assert.equal(t.code, 1, t.out);
	assert.match(t.out, /is left at work/);
	fake.fail = Array.from({ length: 9 }, () => ({ method: 'POST',
	    path: left[1], status: 503, headers: { 'retry-after': '9' },
	    body: { code: 'unavailable', message: 'later',
	    request_id: 'r' } }));
	t = await terminal(['run', 'claude', 'do it'],
	    [['is busy', '\x03'], ['is busy', '\x03']], { env });
	assert.equal(t.code, 1, t.out);
	assert.match(t.out, /unavailable: later/);
});

test('json is the task at its end', async () => {
	fake.task = task({ status: 'completed', result: 'r' });
	const r = await mctl(['-o', 'json', 'run', 'claude', '-'],
	    { env, input: 'from stdin' });
	assert.equal(r.code, 0, r.err);
	assert.equal(JSON.parse(r.out).result, 'r');
	assert.equal(fake.asked('POST', '/api/v1/tasks')[0].body.prompt,
	    'from stdin');
});
