// A small server with the routes that mctl uses and canned documents in the
// shapes of the API.  It keeps what it was asked, so that tests can look; it
// fails on demand.  Listens on loopback, and on a unix socket if given one.

import http from 'node:http';

export const ID = {
	session: 'sess_01h2xcejqtf2nbrexx3vqjhp41',
	task: 'task_01h2xcejqtf2nbrexx3vqjhp42',
	run: 'run_01h2xcejqtf2nbrexx3vqjhp43',
	perm: 'perm_01h2xcejqtf2nbrexx3vqjhp44',
	runner: 'rnr_01h2xcejqtf2nbrexx3vqjhp45',
	key: 'key_01h2xcejqtf2nbrexx3vqjhp46',
	token: 'rtk_01h2xcejqtf2nbrexx3vqjhp47',
	config: 'acfg_01h2xcejqtf2nbrexx3vqjhp48',
};

const ago = s => new Date(Date.now() - s * 1000).toISOString();

export function session(over = {}) {
	return { id: ID.session, name: 'fix the parser', status: 'active',
	    agent: 'claude', is_byok: false, workspace_id:
	    'ws_01h2xcejqtf2nbrexx3vqjhp49', network_policy: 'open',
	    allowed_hosts: [], lifecycle_mode: 'manual', labels: { team: 'a' },
	    annotations: {}, created_at: ago(300), updated_at: ago(3), ...over };
}

export function task(over = {}) {
	return { id: ID.task, session_id: ID.session, prompt: 'do it',
	    status: 'pending', priority: 0, max_retries: 0, retry_count: 0,
	    timeout_seconds: 3600, result: null, error: null, labels: {},
	    annotations: {}, waiting_for: null, created_at: ago(200),
	    updated_at: ago(1), ...over };
}

export function permission(over = {}) {
	return { id: ID.perm, kind: 'tool', original_request_id: 'r1',
	    session_id: ID.session, task_id: ID.task, run_id: ID.run,
	    tool: 'Bash', action: 'echo alive > out.txt',
	    input: { command: 'echo alive > out.txt' }, risk_level: 'medium',
	    status: 'pending', suspend_after_seconds: 900,
	    created_at: ago(2), ...over };
}

export function line(n, over = {}) {
	return { position: `1.${n}`, sequence: n, run_id: ID.run,
	    stream: 'stdout', level: 'info', kind: 'text',
	    content: `line ${n}`, data: {}, time: ago(1), ...over };
}

export class Fake {
	constructor() {
		this.requests = [];
		this.task = task();
		this.session = session();
		this.perm = null;		// the one that stands open
		this.lines = [];
		this.sessions = [session()];
		this.fail = [];			// answers to give first
		this.cutAfter = 0;		// cut the stream after n lines
		this.health = 200;
		this.processes = [];
		this.onDecision = () => {};
		this.onCancel = () => {
			this.task = { ...this.task, status: 'canceled' };
		};
	}

	async start(path, port = 0) {
		this.server = http.createServer((q, r) => this.handle(q, r));
		await new Promise(ok => path ? this.server.listen(path, ok) :
		    this.server.listen(port, '127.0.0.1', ok));
		if (!path)
			this.url = `http://127.0.0.1:${this.server.address().port}`;
		return this;
	}

	stop() {
		this.server.closeAllConnections();
		return new Promise(ok => this.server.close(ok));
	}

	// Away for so long, and at the same port again.
	async away(ms) {
		const { port } = this.server.address();

		await this.stop();
		await new Promise(ok => setTimeout(ok, ms));
		await this.start(undefined, port);
	}

	asked(method, path) {
		return this.requests.filter(q => q.method === method &&
		    q.path === path);
	}

	handle(q, r) {
		let text = '';
		q.on('data', d => { text += d; });
		q.on('end', () => {
			const url = new URL(q.url, 'http://x');
			const rec = { method: q.method, path: url.pathname,
			    query: url.searchParams, headers: q.headers,
			    body: text === '' ? null : JSON.parse(text) };
			this.requests.push(rec);
			const first = this.fail.findIndex(f =>
			    f.path === rec.path && f.method === rec.method);
			if (first !== -1) {
				const [f] = this.fail.splice(first, 1);
				f.then?.();
				if (f.cut)
					return q.socket.destroy();
				if (f.dumb)
					return undefined;
				return this.send(r, f.status, f.body, f.headers);
			}
			const type = q.headers['content-type'];
			if (type !== (text === '' ? undefined :
			    'application/json'))
				return this.refuse(r, 415, 'validation_error',
				    `${type}: expected application/json`);
			if (this.endless)
				return this.pour(r);
			this.route(rec, r, `${rec.method} ${rec.path}`);
		});
	}

	// Bytes for ever, as long as anybody takes them.
	pour(r) {
		const junk = Buffer.alloc(1 << 20, 'x');
		r.writeHead(200, { 'content-type': 'text/event-stream' });
		const more = () => {
			while (!r.destroyed && r.write(junk))
				;
		};
		r.on('drain', more);
		more();
	}

	send(r, status, body, headers = {}) {
		r.writeHead(status, { 'content-type': 'application/json',
		    'x-request-id': 'req-from-header', ...headers });
		r.end(body === undefined ? '' :
		    typeof body === 'string' ? body : JSON.stringify(body));
	}

	refuse(r, status, code, message) {
		this.send(r, status, { code, message, request_id: 'req-7' });
	}

	page(rec, r, items) {
		const limit = Number(rec.query.get('limit') ?? 50);
		const from = Number(rec.query.get('cursor') ?? 0);
		const more = from + limit < items.length;
		this.send(r, 200, { items: items.slice(from, from + limit),
		    has_more: more, next_cursor: more ? `${from + limit}` : null });
	}

	route(rec, r, what) {
		const T = `/api/v1/tasks/${ID.task}`;
		const S = `/api/v1/sessions/${ID.session}`;
		const P = `/api/v1/permissions/${ID.perm}`;
		const A = '/admin/api/v1';
		switch (what) {
		case 'POST /api/v1/sessions':
			return this.send(r, 201, { ...this.session, ...{
			    agent: rec.body.agent, status: 'pending' } });
		case 'GET /api/v1/sessions':
			return this.page(rec, r, this.sessions);
		case `GET ${S}`:
			return this.send(r, 200, this.session);
		case `POST ${S}/suspend`: case `POST ${S}/resume`:
		case `POST ${S}/terminate`:
			return this.send(r, 202, this.session);
		case `PUT ${S}/credential`:
			return this.send(r, 200, this.session);
		case `DELETE ${S}`:
			return this.send(r, 204);
		case 'POST /api/v1/tasks':
			return this.send(r, 201, this.task);
		case 'GET /api/v1/tasks':
			return this.page(rec, r, [this.task]);
		case `GET ${T}`:
			return this.send(r, 200, this.task);
		case `POST ${T}/cancel`:
			this.onCancel();
			return this.send(r, 202, this.task);
		case `POST ${T}/retry`:
			return this.send(r, 202, this.task);
		case `GET ${T}/runs`:
			return this.send(r, 200, { items: [{ id: ID.run,
			    task_id: ID.task, attempt: 1, status: 'completed',
			    exit_code: 0, runner_id: ID.runner,
			    queued_at: ago(9) }], has_more: false,
			    next_cursor: null });
		case `GET ${T}/logs`:
			return this.logs(rec, r);
		case `GET ${T}/logs/stream`:
			return this.stream(rec, r);
		case 'GET /api/v1/permissions':
			return this.page(rec, r, this.perm ? [this.perm] : []);
		case `GET ${P}`:
			return this.send(r, 200, this.perm ?? permission({
			    status: 'canceled' }));
		case `POST ${P}/approve`: case `POST ${P}/deny`:
			return this.decide(rec, r);
		case 'GET /api/v1/runners':
			return this.page(rec, r, [{ id: ID.runner,
			    name: 'büro-1', hostname: 'h', status: 'idle',
			    tainted: false, sandbox_mode: 'uid',
			    sandbox_types: [], capabilities: ['claude',
			    'custom:demo'], labels: {}, pool: 'default',
			    created_at: ago(9000), last_seen_at: ago(4) }]);
		case 'GET /api/v1/me':
			return this.send(r, 200, { key_id: ID.key,
			    scopes: ['*'], tenant: 'default' });
		case 'GET /api/v1/agents':
			return this.send(r, 200, { items: [{ agent: 'claude',
			    versions: ['2.1.197'], runners: 1 }] });
		case 'GET /api/v1/events':
			return this.events(rec, r);
		case `POST ${A}/keys`:
			return this.send(r, 201, { id: ID.key,
			    key: 'mk_secret', ...rec.body });
		case `GET ${A}/keys`:
			return this.page(rec, r, [{ id: ID.key, name: 'k',
			    status: 'active', scopes: ['*'],
			    created_at: ago(5) }]);
		case `POST ${A}/keys/${ID.key}/revoke`:
			return this.send(r, 200, { id: ID.key, name: 'k',
			    status: 'revoked' });
		case `POST ${A}/runner-tokens`:
			return this.send(r, 201, { id: ID.token,
			    token: 'rtok_secret.aa', ...rec.body });
		case `POST ${A}/agent-configs`:
			return this.send(r, 201, { id: ID.config,
			    name: rec.body.name, agent: rec.body.agent,
			    is_default: false, created_at: ago(1) });
		case `DELETE ${A}/agent-configs/${ID.config}`:
			return this.send(r, 204);
		case `GET ${A}/status`:
			return this.send(r, 200, { version: '0.1.0',
			    processes: this.processes });
		case 'GET /health/live':
			return this.send(r, 200, { status: 'ok' });
		case 'GET /health/ready':
			return this.send(r, this.health, this.health === 200 ?
			    { status: 'ok' } : { code: 'unavailable',
			    message: 'no database', request_id: 'req-7' });
		default:
			return this.refuse(r, 404, 'not_found',
			    `there is no ${rec.path}`);
		}
	}

	decide(rec, r) {
		const yes = rec.path.endsWith('approve');
		const p = permission({ ...this.perm, status: yes ? 'approved' :
		    'denied', response_reason: rec.body?.reason ?? null });
		this.perm = null;
		this.send(r, 200, p);
		this.onDecision(yes);
	}

	logs(rec, r) {
		let rows = this.lines;
		const level = rec.query.get('level');
		const after = rec.query.get('after');
		const tail = rec.query.get('tail');
		const limit = Number(rec.query.get('limit') ?? 50);
		if (after !== null)
			rows = rows.slice(rows.findIndex(l =>
			    l.position === after) + 1);
		if (tail !== null)
			rows = rows.slice(-Number(tail));
		const more = rows.length > limit;
		rows = rows.slice(0, limit);
		this.send(r, 200, { items: rows.filter(l => level === null ||
		    l.level === level), has_more: more,
		    next_cursor: more ? rows.at(-1).position : null });
	}

	// Lines that are there after Last-Event-ID, then new ones as they
	// come, until the task has ended.
	stream(rec, r) {
		const after = rec.headers['last-event-id'] ??
		    rec.query.get('after');
		let at = after === undefined || after === null ? 0 :
		    this.lines.findIndex(l => l.position === after) + 1;
		let sent = 0;
		r.writeHead(200, { 'content-type': 'text/event-stream' });
		r.write(': hello\n\nretry: 50\n\n');
		const step = () => {
			for (; at < this.lines.length; at++) {
				const l = this.lines[at];
				const ev = `id: ${l.position}\ndata: ` +
				    `${JSON.stringify(l)}\n\n`;
				if (this.cutAfter !== 0 && sent === this.cutAfter) {
					this.cutAfter = 0;
					clearInterval(timer);
					// in the middle of an event
					r.write(ev.slice(0, ev.length - 9));
					return setTimeout(() =>
					    r.socket.destroy(), 30);
				}
				r.write(ev);
				sent++;
			}
			if (['completed', 'failed', 'canceled'].includes(
			    this.task.status) && !this.hold) {
				clearInterval(timer);
				r.end(`event: end\ndata: ${JSON.stringify(
				    this.task)}\n\n`);
			}
		};
		const timer = setInterval(step, 20);
		r.on('close', () => clearInterval(timer));
		step();
	}

	events(rec, r) {
		r.writeHead(200, { 'content-type': 'text/event-stream' });
		const n = Number(rec.headers['last-event-id'] ?? 0);
		for (let i = n + 1; i <= n + 2; i++)
			r.write(`id: ${i}\nevent: task.running\ndata: ` +
			    JSON.stringify({ id: `evt_${i}`, position: `${i}`,
			    type: 'task.running', resource: { id: ID.task,
			    type: 'task' }, data: {}, time: ago(0) }) + '\n\n');
		setTimeout(() => r.socket?.destroy(), 20);
	}
}
