// Tasks: creating with retries, waiting, logs, following across cuts, events.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import { after, beforeEach, test } from 'node:test';

import { Fake, ID, line, task } from './fake.mjs';
import { clock_in, mctl, scratch, terminal } from './harness.mjs';

let fake, env;
const dir = scratch();

beforeEach(async () => {
	await fake?.stop();
	fake = await new Fake().start();
	env = { MARIONETTE_API_URL: fake.url, MARIONETTE_API_KEY: 'mk_test' };
});
after(() => fake.stop());
after(() => fs.rmSync(dir, { recursive: true }));

const run = (args, opts = {}) => mctl(args.split(' '),
    { ...opts, env: { ...env, ...opts.env } });
const create = `tasks create --session ${ID.session} --prompt p`;
const busy = (status, code, after) => ({ method: 'POST',
    path: '/api/v1/tasks', status, headers: after ?
    { 'retry-after': after } : {}, body: { code, message: 'later',
    request_id: 'r' } });

test('a task, with everything', async () => {
	const r = await mctl(['tasks', 'create', '--session', ID.session,
	    '--prompt-file', '-', '--timeout', '60', '--max-retries', '2',
	    '--label', 'a=b', '--idempotency-key', 'k1'],
	    { env, input: 'from stdin\n' });
	assert.equal(r.code, 0, r.err);
	assert.deepEqual(fake.requests[0].body, { session_id: ID.session,
	    prompt: 'from stdin\n', timeout_seconds: 60, max_retries: 2,
	    labels: { a: 'b' } });
	assert.equal(fake.requests[0].headers['idempotency-key'], 'k1');
	assert.ok(r.out.includes(ID.task));
});

test('503, unknown outcomes and cuts are tried again with one key', async () => {
	fake.fail = [busy(503, 'unavailable', '1'),
	    busy(504, 'outcome_unknown', '1'),
	    { method: 'POST', path: '/api/v1/tasks', cut: true }];
	const r = await run(create + ' -q');
	assert.equal(r.code, 0, r.err);
	assert.equal(r.out, `${ID.task}\n`);
	const keys = fake.asked('POST', '/api/v1/tasks').map(q =>
	    q.headers['idempotency-key']);
	assert.equal(keys.length, 4);
	assert.equal(new Set(keys).size, 1);
	assert.match(keys[0], /^mctl-[0-9a-f]{32}$/);
});

test('cut, and then nobody is there for a while: tried again with one key',
    async () => {
	fake.fail = [{ method: 'POST', path: '/api/v1/tasks', cut: true,
	    then: () => fake.away(4000) }];
	const r = await run(create + ' -q');
	assert.equal(r.code, 0, r.err);
	const keys = fake.asked('POST', '/api/v1/tasks').map(q =>
	    q.headers['idempotency-key']);
	assert.equal(keys.length, 2);
	assert.equal(keys[0], keys[1]);
});

test('--wait: the server is restarted; the last word names the task', async () => {
	const T = `/api/v1/tasks/${ID.task}`;

	fake.fail = [{ method: 'GET', path: T, cut: true, then: () => {
		fake.task = task({ status: 'completed', result: 'done' });
		return fake.away(4000);
	} }];
	let r = await run(create + ' --wait');
	assert.equal(r.code, 0, r.err);
	assert.equal(r.out, 'done\n');
	for (const [how, path] of [['--wait', T], ['-f', `${T}/logs/stream`]]) {
		fake.fail = [{ method: 'GET', path, status: 403, body: { code:
		    'forbidden', message: 'no', request_id: 'r' } }];
		r = await run(`${create} ${how}`);
		assert.equal(r.code, 4);
		assert.match(r.err, new RegExp(`task ${ID.task} is left`));
	}
});

test('what makes no sense to repeat is not repeated', async () => {
	fake.fail = [busy(502, 'upstream_unreachable')];
	let r = await run(create);
	assert.equal(r.code, 1);
	assert.equal(fake.requests.length, 1);
	fake.fail = [busy(409, 'invalid_state')];
	r = await run(create);
	assert.equal(r.code, 1);
	assert.equal(fake.requests.length, 2);
});

test('--wait', async () => {
	setTimeout(() => { fake.task = task({ status: 'completed',
	    result: 'done \x1b[1mwell' }); }, 300);
	let r = await run(create + ' --wait');
	assert.equal(r.code, 0, r.err);
	assert.equal(r.out, 'done ^[[1mwell\n');
	fake.task = task({ status: 'failed', error: { code: 'agent_failed',
	    message: 'exit 1' } });
	r = await run(create + ' --wait -o json');
	assert.equal(r.code, 3);
	assert.equal(JSON.parse(r.out).status, 'failed');
	assert.match(r.err, /failed: exit 1/);
});

test('logs: pages, tail, after, raw', async () => {
	fake.lines = Array.from({ length: 1203 }, (_, i) => line(i + 1));
	fake.lines[5].content = '{"a":"\\u001b"}\x1b[31m';
	fake.lines[6].partial = true;
	let r = await run(`tasks logs ${ID.task} --raw`);
	assert.equal(r.code, 0, r.err);
	assert.equal(r.out, fake.lines.map(l => l.content +
	    (l.partial ? '' : '\n')).join(''));
	r = await run(`tasks logs ${ID.task} --tail 2`);
	assert.equal(r.out, 'line 1202\nline 1203\n');
	r = await run(`tasks logs ${ID.task} --after 1.1201`);
	assert.equal(r.out, 'line 1202\nline 1203\n');
	r = await run(`tasks logs ${ID.task} --tail 1 -o json`);
	assert.equal(JSON.parse(r.out).content, 'line 1203');
	r = await run(`tasks logs ${ID.task}`);
	assert.match(r.out, /\^\[\[31m/);
});

test('logs --level: pages on which there is nothing, or little', async () => {
	fake.lines = Array.from({ length: 2203 }, (_, i) => line(i + 1));
	fake.lines[1002].level = fake.lines[2202].level = 'error';
	const r = await run(`tasks logs ${ID.task} --level error`);
	assert.equal(r.code, 0, r.err);
	assert.equal(r.out, 'line 1003\nline 2203\n');
	assert.deepEqual(fake.asked('GET', `/api/v1/tasks/${ID.task}/logs`)
	    .map(q => q.query.get('after')),
	    [null, '1.500', '1.1000', '1.1500', '1.2000']);
});

test('logs -f: cut in the middle, nothing lost, nothing twice', async () => {
	fake.lines = Array.from({ length: 40 }, (_, i) => line(i + 1));
	fake.cutAfter = 17;
	setTimeout(() => {
		for (let i = 41; i <= 60; i++)
			fake.lines.push(line(i));
		fake.task = task({ status: 'completed', result: 'r' });
	}, 800);
	const r = await run(`tasks logs ${ID.task} -f --raw`);
	assert.equal(r.code, 0, r.err);
	assert.equal(r.out, fake.lines.map(l => `${l.content}\n`).join(''));
	const asks = fake.asked('GET', `/api/v1/tasks/${ID.task}/logs/stream`);
	assert.equal(asks.length, 2);
	assert.equal(asks[0].headers['last-event-id'], undefined);
	assert.equal(asks[1].headers['last-event-id'], '1.17');
});

test('logs -f: a line that was quiet for long, or a clock set forward, and then ' +
    'a cut', async () => {
	const clock = clock_in(dir);

	fake.lines = [line(1)];
	fake.task = task({ status: 'running' });
	const r = await run(`tasks logs ${ID.task} -f`, { env: clock.env,
	    on: [/line 1/, () => {
		clock.set(400);
		fake.server.closeAllConnections();
		fake.lines.push(line(2));
		fake.task = task({ status: 'completed' });
	}] });
	assert.equal(r.code, 0, r.err);
	assert.equal(r.out, 'line 1\nline 2\n');
});

test('logs -f: a server that repeats itself, one that goes away', async () => {
	fake.lines = [line(1), line(2), line(2), line(1), line(3)];
	fake.task = task({ status: 'failed', error: 'gone' });
	fake.fail = [{ method: 'GET', path:
	    `/api/v1/tasks/${ID.task}/logs/stream`, status: 503, body: {} }];
	let r = await run(`tasks logs ${ID.task} -f`);
	assert.equal(r.code, 3);
	assert.equal(r.out, 'line 1\nline 2\nline 3\n');
	assert.match(r.err, /failed: gone/);
	r = await run(`tasks logs ${ID.task} -f --tail 1`);
	assert.equal(r.out, 'line 3\n');
	assert.equal(fake.requests.at(-1).headers['last-event-id'], '1.3');
	fake.fail = [{ method: 'GET', path:
	    `/api/v1/tasks/${ID.task}/logs/stream`, status: 204 }];
	r = await run(`tasks logs ${ID.task} -f --after 1.3`);
	assert.equal(r.code, 3);
	fake.fail = [{ method: 'GET', path:
	    `/api/v1/tasks/${ID.task}/logs/stream`, status: 410, body: {
	    code: 'gone', message: 'oldest is 1.9', request_id: 'r' } }];
	r = await run(`tasks logs ${ID.task} -f`);
	assert.equal(r.code, 1);
	assert.match(r.err, /gone: oldest is 1.9/);
});

test('text in pieces is joined and not said twice', async () => {
	const ev = (n, text, content, kind = 'message') => line(n, { kind,
	    content: JSON.stringify(content), data: { text } });
	fake.lines = [
		ev(1, 'Hel', { type: 'stream_event' }),
		ev(2, 'lo, ', { type: 'stream_event' }),
		ev(3, 'world', { type: 'stream_event' }),
		ev(4, 'Hello, world', { type: 'assistant' }),
		ev(5, 'Bash: ls', { type: 'assistant' }, 'tool_use'),
		line(6, { kind: 'usage', content: '{}', data: {} }),
		ev(7, 'Done\x1b[2J', { type: 'assistant' }),
		ev(8, 'Done\x1b[2J', { type: 'result' }),
		line(9, { stream: 'system', content: 'the end' }),
		line(10, { content: 'a', partial: true }),
		line(11, { content: 'b' }),
		line(12, { level: 'debug', content: '{"type":"system"}' }),
		line(13, { content: '' }),
		line(14, { content: 'c', data: { text: '' } }),
		ev(15, 'x', { type: 'stream_event' }),
		ev(16, 'yz', { type: 'stream_event' }),
		line(17, { kind: 'message', content: '{"type":"assist',
		    data: { text: 'xy' }, partial: true }),
		line(18, { kind: 'message', content: 'ant"',
		    data: { text: 'z' }, partial: true }),
		line(19, { kind: 'message', content: '}', data: {} }),
		line(20, { kind: 'message', content: '{"a', data: { text:
		    'new' }, partial: true }),
		line(21, { kind: 'message', content: '"}', data: {} }),
		ev(22, 'it broke', { type: 'result' }, 'usage'),
	];
	fake.task = task({ status: 'completed' });
	const r = await run(`tasks logs ${ID.task} -f`);
	assert.equal(r.out,
	    'Hello, world\n> Bash: ls\nDone^[[2J\n* the end\nab\n\nc\n' +
	    'xyz\nnew\nit broke\n');
	assert.equal(r.err, '');
});

test('--follow shows the log, then exits with the task', async () => {
	fake.lines = [line(1), line(2)];
	setTimeout(() => { fake.task = task({ status: 'canceled' }); }, 200);
	let r = await run(create + ' --follow');
	assert.equal(r.code, 3);
	assert.equal(r.out, 'line 1\nline 2\n');
	r = await run(create + ' -f -o json');
	assert.equal(r.out.trimEnd().split('\n').length, 3);
});

test('progress on a terminal only, and colours', async () => {
	fake.task = task({ waiting_for: 'runner' });
	fake.lines = [line(1, { kind: 'tool_use', data: { text: 'Bash' } })];
	const args = ['tasks', 'logs', ID.task, '-f'];
	let t = await terminal(args, [], { env, on: [/waiting for runner/,
	    () => { fake.task = task({ status: 'completed' }); }] });
	assert.equal(t.code, 0);
	assert.match(t.out, /task pending, waiting for runner/);
	assert.match(t.out, /\x1b\[36mBash\x1b\[0m/);
	t = await terminal(args, [], { env: { ...env, NO_COLOR: '1' } });
	assert.doesNotMatch(t.out, /\x1b/);
});

test('an answer without end, an event without end', async () => {
	fake.endless = true;
	let r = await run(`tasks logs ${ID.task} -f`);
	assert.equal(r.code, 1);
	assert.match(r.err, /event without end/);
	r = await run(`tasks get ${ID.task}`);
	assert.equal(r.code, 5);
});

test('nobody reads any more: whoever follows ends', async () => {
	const sh = '{ timeout 20 "$@"; echo "code $?" >&2; } | head -1';
	let r = await run('events follow', { sh });
	assert.match(r.err, /code 1\n/);
	assert.doesNotMatch(r.err, /could not be written/);
	fake.lines = Array.from({ length: 9000 }, (_, i) => line(i + 1));
	fake.task = task({ status: 'running' });
	r = await run(`tasks logs ${ID.task} -f`, { sh });
	assert.match(r.err, /code 1\n/);
	assert.doesNotMatch(r.err, /could not be written/);
});

test('what is no stream is no server of ours, or a cut like any other', async () => {
	const page = path => ({ method: 'GET', path, status: 200, headers: {
	    'content-type': 'text/html' }, body: '<p>Welcome!</p>\n\n' });

	fake.fail = [page('/api/v1/events')];
	let r = await run('events follow', { sh: 'timeout 20 "$@"' });
	assert.equal(r.code, 1, r.err);
	assert.match(r.err, /answered 200 and no/);
	fake.lines = [line(1), line(2)];
	fake.task = task({ status: 'completed' });
	fake.fail = [page(`/api/v1/tasks/${ID.task}/logs/stream`)];
	r = await run(`tasks logs ${ID.task} -f --tail 1`);
	assert.equal(r.code, 0, r.err);
	assert.equal(r.out, 'line 2\n');
});

test('stdout is closed: nothing else is taken for it', async () => {
	const r = await run('events follow', { sh: 'timeout 20 "$@" >&-' });
	assert.equal(r.code, 1, r.err);
	assert.match(r.err, /could not be written/);
});

test('a full disk: the log has a gap, and that is no success', async () => {
	const sh = '"$@" >/dev/full';
	fake.lines = [line(1)];
	fake.task = task({ status: 'completed', result: 'r' });
	for (const what of [`tasks logs ${ID.task}`, `tasks logs ${ID.task} -f`,
	    create + ' -f', 'run claude p']) {
		const r = await run(what, { sh });
		assert.equal(r.code, 1, what);
		assert.match(r.err, /could not be written/);
	}
	assert.equal(fake.asked('POST', `/api/v1/sessions/${ID.session}` +
	    '/terminate').length, 1);
});

test('events, across cuts', async () => {
	const r = await run('events follow --type task.* --type run.*',
	    { kill: /(task\.running[^]*){4}/ });
	const ids = r.out.trimEnd().split('\n');
	assert.match(ids[0], /^2.*Z {2}task\.running +task_/);
	assert.deepEqual(fake.requests[0].query.getAll('types'),
	    ['task.*', 'run.*']);
	assert.equal(fake.requests[1].headers['last-event-id'], '2');
	// The last request may not have been read to its end.
	const all = 2 * fake.requests.length;
	assert.ok(ids.length <= all && ids.length >= all - 2, r.out);
});
