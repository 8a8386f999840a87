// Tables, JSON, YAML, exit codes, the command line, contexts.

import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { after, before, beforeEach, test } from 'node:test';

import { Fake, ID, line, permission, session, task } from './fake.mjs';
import { mctl, scratch, terminal } from './harness.mjs';

let fake, env, dir;

before(() => { dir = scratch(); });
after(() => fs.rmSync(dir, { recursive: true }));
beforeEach(async t => {
	await fake?.stop();
	fake = await new Fake().start();
	env = { MARIONETTE_API_URL: fake.url, MARIONETTE_ADMIN_URL: fake.url,
	    MARIONETTE_API_KEY: 'mk_test' };
});
after(() => fake.stop());

const run = (args, opts = {}) => mctl(args.split(' '),
    { ...opts, env: { ...env, ...opts.env } });

test('a table is aligned, whatever the width of its characters', async () => {
	fake.sessions = [session({ name: '日本語の名前' }),
	    session({ name: 'e\u0301te\u0301' }), session({ name: 'plain' })];
	const r = await run('sessions list');
	assert.equal(r.code, 0);
	const rows = r.out.trimEnd().split('\n');
	assert.equal(rows.length, 4);
	assert.match(rows[0], /^ID +NAME +AGENT +STATUS +REASON +AGE$/);
	const width = s => [...s].reduce((n, c) => n +
	    (/\p{M}/u.test(c) ? 0 : /[\u3000-\u9fff]/.test(c) ? 2 : 1), 0);
	const at = rows.slice(1).map(x => width(x.split('claude')[0]));
	assert.deepEqual(at, [at[0], at[0], at[0]]);
	assert.equal(rows[0].indexOf('AGENT'), at[0]);
	assert.match(rows[3], /5m$/);
	assert.equal(fake.requests[0].headers.authorization, 'Bearer mk_test');
});

test('wide shows more', async () => {
	const r = await run('sessions list -o wide');
	assert.match(r.out, /WORKSPACE/);
	assert.match(r.out, /team=a/);
});

test('json is the document, lists follow their cursors', async () => {
	fake.sessions = Array.from({ length: 1203 }, (_, i) =>
	    session({ name: `s${i}` }));
	let r = await run('-o json sessions list --all');
	let doc = JSON.parse(r.out);
	assert.equal(doc.items.length, 1203);
	assert.equal(doc.has_more, false);
	assert.equal(fake.requests.length, 3);
	r = await run('sessions list --limit 7 --output=json');
	doc = JSON.parse(r.out);
	assert.equal(doc.items.length, 7);
	assert.equal(doc.next_cursor, '7');
	assert.equal(doc.items[0].created_at, fake.sessions[0].created_at);
});

test('filters are repeated keys', async () => {
	await run('sessions list --status active --status suspended ' +
	    '--label team=a&b');
	const q = fake.requests[0].query;
	assert.deepEqual(q.getAll('status'), ['active', 'suspended']);
	assert.deepEqual(q.getAll('label'), ['team=a&b']);
	await run(`permissions list --task ${ID.task} --risk high`);
	assert.equal(fake.requests[1].query.get('task_id'), ID.task);
	assert.equal(fake.requests[1].query.get('risk_level'), 'high');
});

test('yaml quotes what needs it', async () => {
	fake.session = session({ name: 'yes', labels: { 'a: b': '- x',
	    num: '1', nl: 'a\nb', esc: '\x1b[2J"\\', t: '~', ok: 'fine' },
	    allowed_hosts: ['a', 'b:443'], usage: {}, deep: [{ a: 1,
	    b: [true, null] }, []] });
	const r = await run(`sessions get ${ID.session} -o yaml`);
	assert.match(r.out, /^name: "yes"$/m);
	assert.match(r.out, /^ {2}"a: b": "- x"$/m);
	assert.match(r.out, /^ {2}num: "1"$/m);
	assert.match(r.out, /^ {2}nl: "a\\nb"$/m);
	assert.match(r.out, /^ {2}esc: "\\u001b\[2J\\"\\\\"$/m);
	assert.match(r.out, /^ {2}t: "~"$/m);
	assert.match(r.out, /^ {2}ok: fine$/m);
	assert.match(r.out, /^allowed_hosts:\n- a\n- "b:443"$/m);
	assert.match(r.out, /^usage: \{\}$/m);
	assert.match(r.out, /^deep:\n- a: 1\n {2}b:\n {2}- true\n {2}- null\n- \[\]$/m);
	assert.match(r.out, /^is_byok: false$/m);
	assert.ok(!r.out.includes('\x1b'));
});

test('quiet prints ids, and a new secret', async () => {
	let r = await run('sessions list -q');
	assert.equal(r.out, `${ID.session}\n`);
	r = await run('admin keys create --name ci -q');
	assert.equal(r.out, 'mk_secret\n');
	r = await run('admin runner-tokens create -q --max-uses 2');
	assert.equal(r.out, 'rtok_secret.aa\n');
	assert.deepEqual(fake.requests[2].body, { pool: 'default',
	    max_uses: 2 });
});

test('a hostile server or agent does not reach the terminal', async () => {
	const evil = 'x\x1b]0;owned\x07\x1b[2J\u009b31m\u202egnp\r\nfake row\u0000';
	fake.sessions = [session({ name: evil.slice(0, -1),
	    labels: { [evil.slice(0, -1)]: 'v' } })];
	fake.session = fake.sessions[0];
	for (const args of ['sessions list -o wide',
	    `sessions get ${ID.session}`, `sessions get ${ID.session} -o yaml`]) {
		const r = await run(args);
		assert.equal(r.code, 0, r.err);
		assert.doesNotMatch(r.out, /[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]/);
	}
	assert.equal((await run('sessions list')).out.split('\n').length, 3);
	const t = await terminal(['sessions', 'get', ID.session, '-o', 'json'],
	    [], { env });
	assert.doesNotMatch(t.out, /[\x1b\x7f-\x9f\u202e]/);
	fake.fail.push({ method: 'GET', path: '/api/v1/me', status: 400,
	    body: { code: 'x\x1b[31m', message: evil, request_id: evil } });
	const r = await run('me');
	assert.equal(r.code, 1);
	assert.doesNotMatch(r.err, /[\x1b\x07\u009b]/);
});

test('errors: envelope, request id, exit codes', async () => {
	let r = await run('sessions get sess_00000000000000000000000000');
	assert.equal(r.code, 1);
	assert.match(r.err, /not_found: there is no .*\(request req-7\)/);
	assert.equal(r.out, '');
	fake.fail.push({ method: 'GET', path: '/api/v1/me', status: 403,
	    body: { code: 'forbidden', message: 'needs x:read',
	    request_id: 'r' } });
	r = await run('me');
	assert.equal(r.code, 4);
	assert.match(r.err, /forbidden: needs x:read/);
	fake.fail.push({ method: 'GET', path: '/api/v1/me', status: 401,
	    body: { code: 'missing_auth', message: 'no', request_id: 'r' } });
	r = await run('me', { env: { MARIONETTE_API_KEY: '' } });
	assert.equal(r.code, 4);
	assert.match(r.err, /MARIONETTE_API_KEY/);
	fake.fail.push({ method: 'GET', path: '/api/v1/me', status: 200,
	    body: '<html>' });
	r = await run('me');
	assert.equal(r.code, 1);
	assert.match(r.err, /no JSON.*req-from-header/);
	r = await mctl(['me', '--server', 'http://127.0.0.1:1']);
	assert.equal(r.code, 5);
	assert.match(r.err, /cannot reach the server at http:\/\/127.0.0.1:1/);
	r = await mctl(['me', '--socket', '/nonexistent/x.sock']);
	assert.equal(r.code, 5);
	assert.match(r.err, /\/nonexistent\/x.sock/);
});

test('a key that travels unencrypted is warned of, on either surface', async () => {
	const at = '--server http://a.invalid --admin-url http://b.invalid';
	for (const [args, where] of [['me', 'a'], ['admin keys list', 'b']]) {
		const r = await run(`${args} ${at}`);
		assert.match(r.err, new RegExp(`unencrypted to http://${where}`));
		assert.equal(r.err.match(/warning/g).length, 1, r.err);
	}
});

test('usage errors are 2, with a suggestion', async () => {
	for (const [args, says] of [['sesions list', /did you mean `sessions'/],
	    ['sessions lst', /did you mean `list'/],
	    ['sessions list --stats x', /did you mean --status/],
	    ['tasks', /One of: create, list/], ['admin kyes list', /admin keys/],
	    ['sessions get', /needs SESSION/],
	    ['sessions get a b', /too many/], ['sessions get a/../b', /no id/],
	    ['sessions list --limit zero', /expected a number from 1/],
	    ['sessions list --limit', /needs N/],
	    ['sessions list --all=1', /takes no value/],
	    ['sessions list -o xml', /table, wide, json or yaml/],
	    ['sessions create', /--agent is needed/],
	    ['sessions create --agent x --label y', /key=value/],
	    ['sessions create --agent codex --byok', /--api-key-env/],
	    [`tasks create --session ${ID.session}`, /--prompt/],
	    ['tasks create --prompt x', /--session is needed/],
	    ['me --server x', /expected http/], ['frobnicate now', /no `frobnicate'/],
	    ['me --context nope', /no context `nope'/],
	    ['completion tcsh', /bash, zsh or fish/]]) {
		const r = await run(args);
		assert.equal(r.code, 2, `${args}: ${r.err}`);
		assert.match(r.err, says);
		assert.match(r.err, /Try `mctl help/);
		assert.equal(r.out, '');
	}
	assert.equal(fake.requests.length, 0);
});

test('help and completion know every command', async () => {
	const r = await run('help');
	assert.equal(r.code, 0);
	for (const noun of ['run', 'sessions credential', 'tasks logs',
	    'permissions approve', 'admin password hash', 'server privsep'])
		assert.ok(r.out.includes(`  ${noun}`), noun);
	assert.match((await run('tasks logs -h')).out, /-f, --follow/);
	assert.match((await run('help admin keys create')).out, /--scope/);
	for (const shell of ['bash', 'zsh', 'fish']) {
		const c = await run(`completion ${shell}`);
		assert.equal(c.code, 0);
		assert.match(c.out, /approve/);
		assert.match(c.out, /idle-timeout/);
	}
});

test('keys never travel in arguments', async () => {
	const file = path.join(dir, 'key');
	fs.writeFileSync(file, 'sk-ant-file\n');
	let r = await run(`sessions create --agent claude --api-key-file ${file}`);
	assert.equal(r.code, 0, r.err);
	assert.equal(fake.requests.at(-1).body.api_key, 'sk-ant-file');
	r = await run('sessions create --agent claude --api-key-env K --name n ' +
	    '--label a=b --model m --idle-timeout 60 --base-url http://m',
	    { env: { K: 'sk-env' } });
	assert.deepEqual(fake.requests.at(-1).body, { agent: 'claude',
	    name: 'n', model: 'm', base_url: 'http://m', labels: { a: 'b' },
	    idle_timeout_seconds: 60, api_key: 'sk-env' });
	assert.ok(fake.requests.at(-1).headers['idempotency-key'].length > 20);
	r = await run(`sessions credential ${ID.session} --api-key-fd 0`,
	    { input: 'sk-stdin\n' });
	assert.equal(fake.requests.at(-1).method, 'PUT');
	assert.equal(fake.requests.at(-1).body.api_key, 'sk-stdin');
	r = await run('sessions create --agent claude --byok',
	    { env: { ANTHROPIC_API_KEY: 'sk-byok' } });
	assert.equal(fake.requests.at(-1).body.api_key, 'sk-byok');
	r = await run('sessions create --agent claude',
	    { env: { ANTHROPIC_API_KEY: 'sk-byok' } });
	assert.equal(fake.requests.at(-1).body.api_key, undefined);
	r = await run('sessions create --agent claude --api-key-fd 0 ' +
	    '--api-key-env K');
	assert.equal(r.code, 2);
	r = await run('sessions create --agent claude --api-key-fd 9');
	assert.equal(r.code, 2);
	r = await run('admin agent-configs create --name c --agent claude ' +
	    '--api-key-fd 0 --default', { input: 'sk-stored' });
	assert.deepEqual(fake.requests.at(-1).body, { name: 'c',
	    agent: 'claude', api_key: 'sk-stored', is_default: true });
	assert.doesNotMatch(r.out + r.err, /sk-stored/);
});

test('a secret that was shown before is not an id', async () => {
	fake.fail.push({ method: 'POST', path: '/admin/api/v1/keys',
	    status: 201, body: { id: ID.key, name: 'ci' },
	    headers: { 'idempotent-replayed': 'true' } });
	const r = await run('admin keys create --name ci -q');
	assert.deepEqual([r.code, r.out], [1, '']);
	assert.match(r.err, /not shown again/);
});

test('changes', async () => {
	for (const verb of ['suspend', 'resume', 'terminate']) {
		const r = await run(`sessions ${verb} ${ID.session} --wait 30`);
		assert.equal(r.code, 0, r.err);
		assert.equal(fake.requests.at(-1).query.get('wait'), '30');
	}
	let r = await run(`sessions delete ${ID.session}`);
	assert.deepEqual([r.code, r.out], [0, '']);
	r = await run(`tasks cancel ${ID.task} --reason enough`);
	assert.deepEqual(fake.requests.at(-1).body, { reason: 'enough' });
	r = await run(`tasks retry ${ID.task}`);
	assert.equal(r.code, 0);
	r = await run(`tasks runs ${ID.task}`);
	assert.match(r.out, /ATTEMPT/);
	r = await run(`admin keys revoke ${ID.key} --reason leaked`);
	assert.match(r.out, /revoked/);
	r = await run(`admin agent-configs delete ${ID.config}`);
	assert.equal(r.code, 0, r.err);
	r = await run('admin keys create --name x --scope tasks:read ' +
	    '--expires-in 90d');
	const { expires_at, ...rest } = fake.requests.at(-1).body;
	assert.deepEqual(rest, { name: 'x', scopes: ['tasks:read'] });
	assert.ok(Math.abs(Date.parse(expires_at) - Date.now() -
	    90 * 86400e3) < 60e3);
	assert.match(r.out, /^key +mk_secret$/m);
});

test('permissions: the full input, and answers', async () => {
	fake.perm = permission({ input: { command: 'a\x1b[2Jb',
	    file: 'Z'.repeat(300) } });
	let r = await run(`permissions get ${ID.perm}`);
	assert.match(r.out, /\| +"command": "a\\u001[bB]\[2Jb"/);
	assert.equal(r.out.match(/Z/g).length, 300);
	const file = path.join(dir, 'input.json');
	fs.writeFileSync(file, '{"command": "true"}');
	r = await run(`permissions approve ${ID.perm} --input-file ${file} ` +
	    '--reason ok --on-behalf-of ann');
	assert.equal(r.code, 0, r.err);
	assert.deepEqual(fake.requests.at(-1).body, { reason: 'ok',
	    on_behalf_of: 'ann', input: { command: 'true' } });
	fs.writeFileSync(file, '{"command": ');
	r = await run(`permissions approve ${ID.perm} --input-file ${file}`);
	assert.equal(r.code, 2);
	r = await run(`permissions deny ${ID.perm} --input-file ${file}`);
	assert.equal(r.code, 2);
	r = await run(`permissions deny ${ID.perm} --reason no`);
	assert.match(r.out, /denied/);
});

test('contexts', async () => {
	const conf = path.join(dir, 'conf');
	const none = { XDG_CONFIG_HOME: conf, MARIONETTE_API_URL: '',
	    MARIONETTE_API_KEY: '', MARIONETTE_ADMIN_URL: '' };
	let r = await run('config list', { env: none });
	assert.equal(r.code, 0, r.err);
	r = await run(`config set-context a --server ${fake.url}/ ` +
	    '--api-key-fd 0', { env: none, input: 'mk_ctx' });
	assert.equal(r.code, 0, r.err);
	const file = path.join(conf, 'marionette/config.json');
	assert.equal(fs.statSync(file).mode & 0o777, 0o600);
	r = await run('me', { env: none });
	assert.equal(r.code, 0, r.err);
	assert.equal(fake.requests.at(-1).headers.authorization, 'Bearer mk_ctx');
	r = await run('config set-context b --server http://127.0.0.1:1',
	    { env: none });
	r = await run('config list', { env: none });
	assert.match(r.out, /\* +a +http.*\(stored\)/);
	assert.doesNotMatch(r.out, /mk_ctx/);
	r = await run('config use-context b', { env: none });
	r = await run('me', { env: none });
	assert.equal(r.code, 5);
	r = await run('me --context a', { env: none });
	assert.equal(r.code, 0, r.err);
	r = await run('me', { env: { ...none, MARIONETTE_CONTEXT: 'a' } });
	assert.equal(r.code, 0, r.err);
	// a key that has no name to be kept by is not dropped without a word
	r = await run('config set-context a --api-key-file /dev/stdin',
	    { env: none, sh: 'echo mk_new | "$@"' });
	assert.equal(r.code, 2, r.err);
	r = await run('me --context a', { env: none });
	assert.equal(fake.requests.at(-1).headers.authorization, 'Bearer mk_ctx');
	// a context's key does not go to another server
	r = await run(`me --server ${fake.url}`, { env: none });
	assert.equal(fake.requests.at(-1).headers.authorization, undefined);
	// nor to another's admin listener
	const other = await new Fake().start();
	r = await run('admin keys list --context b', { env: { ...none,
	    MARIONETTE_ADMIN_URL: other.url, MARIONETTE_API_KEY: 'mk_env' } });
	r = await run('admin keys list --context a', { env: { ...none,
	    MARIONETTE_ADMIN_URL: other.url } });
	await other.stop();
	assert.deepEqual(other.requests, []);
	fs.writeFileSync(file, '{');
	r = await run('me', { env: none });
	assert.equal(r.code, 1);
	assert.match(r.err, /config.json:1/);
});

test('the local socket needs no key', async () => {
	const sock = path.join(dir, 's');
	const local = await new Fake().start(sock);
	try {
		let r = await mctl(['me'], { env: { MARIONETTE_SOCKET: sock } });
		assert.equal(r.code, 0, r.err);
		assert.equal(local.requests[0].headers.authorization, undefined);
		r = await mctl(['admin', 'keys', 'list'], { env: {
		    MARIONETTE_SOCKET: sock, MARIONETTE_API_KEY: 'mk_x' } });
		assert.equal(r.code, 0, r.err);
		assert.equal(local.requests.length, 2);
		r = await mctl(['--socket', sock, 'admin', 'keys', 'list', '-q']);
		assert.equal(r.out, `${ID.key}\n`);
	} finally {
		await local.stop();
	}
});

test('server status, privsep, health', async () => {
	fake.processes = [{ name: 'taskd', pid: process.pid,
	    uid: process.getuid(), root: '/somewhere', ready: true,
	    uptime_seconds: 4000, restarts: 0, rss_bytes: 3 << 20, queued: 2,
	    ping_us: 40 }, { name: 'else', pid: 1 << 29, uid: 1, root: '/r',
	    uptime_seconds: 1, restarts: 1, rss_bytes: 1, queued: 0 }];
	let r = await run('server status');
	assert.match(r.out, /taskd +\d+ +true +66m +0 +3072K +2/);
	r = await run('server privsep');
	assert.match(r.out, /PROCESS +PID +UID +ROOT +SECCOMP +CAPABILITIES +UPTIME/);
	assert.match(r.out, /^taskd +\d+ +\d+ +\/ /m);
	assert.match(r.out, /^else +\d+ +1 +\/r +- +- /m);
	r = await run('server health');
	assert.equal(r.code, 0, r.err);
	fake.health = 503;
	r = await run('server health');
	assert.equal(r.code, 1);
	assert.match(r.out, /ready +failing +503 +no database/);
});

test('the password line', async () => {
	const r = await run('admin password hash ann', { input: 'hunter2\n' });
	assert.equal(r.code, 0, r.err);
	assert.match(r.out,
	    /^admin user "ann" password "\$argon2id\$v=19\$m=65536,t=2,p=1\$[^"]+"\n$/);
	assert.equal((await run('admin password hash', { input: '\n' })).code, 1);
	assert.equal((await run('admin password hash a"b',
	    { input: 'x\n' })).code, 2);
	const t = await terminal(['admin', 'password', 'hash'],
	    [['Password: ', 'hunter2\n'], ['Again: ', 'hunter2\n']]);
	assert.equal(t.code, 0);
	assert.match(t.out, /admin user "admin"/);
	assert.doesNotMatch(t.out, /hunter2/);
});

test('other nouns', async () => {
	assert.match((await run('runners list')).out,
	    /büro-1 +idle +false +claude,custom:demo +default/);
	assert.match((await run('agents')).out, /claude +2\.1\.197 +1/);
	assert.match((await run('agents list')).out, /claude/);
	assert.match((await run('me')).out, /^scopes +\*$/m);
	fake.task = task({ prompt: 'line one\nline two', waiting_for: 'runner' });
	assert.match((await run('tasks list')).out,
	    /pending +runner +line one\\nline two/);
	fake.lines = [line(1)];
	assert.equal((await run('version')).out, 'mctl 0.1.0\n');
});
