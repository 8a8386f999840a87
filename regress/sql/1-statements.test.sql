-- Every statement, as the worker's role: what it guards and what it answers.
\ir alone.sql
SET mn.tenant = 'a';

-- ---- keys ------------------------------------------------------------------
SELECT pg_temp.ok(rows = 1 AND code = '' AND doc::json->>'name' = 'k'
    AND doc::json->'scopes'->>1 = 'events:read', 'KEY_PUT') FROM
    mn.key_put('a', 'key_00000000000000000000000001', 'k',
    pg_temp.hash('1'), 'tasks:* events:read', 0, 'me', 'i1',
    pg_temp.hash('r1'));
SELECT pg_temp.ok(code = 'replayed' AND
    doc::json->>'id' = 'key_00000000000000000000000001',
    'KEY_PUT, same Idempotency-Key: replayed') FROM
    mn.key_put('a', 'key_00000000000000000000000002', 'k',
    pg_temp.hash('2'), 'tasks:*', 0, 'me', 'i1', pg_temp.hash('r1'));
SELECT pg_temp.ok(code = 'idempotency_conflict',
    'KEY_PUT, same Idempotency-Key, another request') FROM
    mn.key_put('a', 'key_00000000000000000000000003', 'k',
    pg_temp.hash('3'), 'tasks:*', 0, 'me', 'i1', pg_temp.hash('r2'));
SELECT pg_temp.ok(code = '' AND rows = 1, 'KEY_PUT again, same id') FROM
    mn.key_put('a', 'key_00000000000000000000000001', 'k',
    pg_temp.hash('1'), 'tasks:*', 0, 'me', 'i1', pg_temp.hash('r1'));
SELECT mn.key_put('a', 'key_0000000000000000000000000' || i, 'k' || i,
    pg_temp.hash('k' || i), '*', 2000000000, '', '', '')
    FROM generate_series(4, 9) i \g /dev/null
SELECT pg_temp.ok(count(*) = 1 AND max(tenant) = 'a' AND max(revoked) = 0
    AND max(expires) = 0, 'KEY_FIND') FROM mn.key_find(pg_temp.hash('1'));
SELECT pg_temp.ok(json_array_length(doc::json->'items') = 3
    AND doc::json->>'has_more' = 'true'
    AND doc::json->>'total_count' = '7', 'KEY_PAGE')
    FROM mn.key_page('a', '{"limit":3,"count":true}');
SELECT pg_temp.ok(p2.doc::json->'items'->0->>'id' =
    'key_00000000000000000000000006' AND json_array_length(
    p2.doc::json->'items') = 4 AND p2.doc::json->>'has_more' = 'false',
    'KEY_PAGE, second page') FROM mn.key_page('a', '{"limit":3}') p1,
    mn.key_page('a', json_build_object('cursor',
    p1.doc::json->>'next_cursor')::text) p2;
SELECT pg_temp.ok(code = 'validation_error', 'a bad cursor is told')
    FROM mn.key_page('a', '{"cursor":"%%%"}');
SET mn.tenant = 'k';
SELECT mn.key_put('k', 'key_k' || i, '', pg_temp.hash('kk' || i), '*',
    (ARRAY[0, 1, 0, 0])[i], '', '', '') FROM generate_series(1, 4) i
\g /dev/null
SELECT mn.key_end('k', 'key_k3', '', '') \g /dev/null
SELECT pg_temp.ok(p.ids = w.ids AND p.total = w.total AND p.more = w.more,
    'KEY_PAGE by status: ' || w.status) FROM (VALUES
    ('["active"]', 'key_k4 key_k1', '2', 'false'),
    ('["revoked"]', 'key_k3', '1', 'false'),
    ('["expired"]', 'key_k2', '1', 'false'),
    ('["revoked", "active"]', 'key_k4 key_k3', '3', 'true'))
    AS w (status, ids, total, more),
    LATERAL (SELECT (SELECT string_agg(i->>'id', ' ')
	    FROM json_array_elements(doc::json->'items') i) AS ids,
	doc::json->>'total_count' AS total, doc::json->>'has_more' AS more
    FROM mn.key_page('k', '{"limit":2,"count":true,"status":' || w.status ||
	'}')) p;
SET mn.tenant = 'a';
SELECT pg_temp.ok(rows = 1 AND doc::json->>'status' = 'revoked', 'KEY_END')
    FROM mn.key_end('a', 'key_00000000000000000000000001', 'why', 'me');
SELECT pg_temp.ok(rows = 1 AND code = '', 'KEY_END twice')
    FROM mn.key_end('a', 'key_00000000000000000000000001', 'why', 'me');
SELECT pg_temp.ok(max(revoked) = 1, 'KEY_CHECK')
    FROM mn.key_check('key_00000000000000000000000001');
SELECT pg_temp.ok(code = 'not_found', 'KEY_END of nothing')
    FROM mn.key_end('a', 'key_x', '', 'me');
SELECT pg_temp.ok(rows = 1, 'AUDIT_PUT') FROM mn.audit_put('a',
    'alog_00000000000000000000000001', 'me', 'x', 'y', 'z', 1, 'd');
SELECT pg_temp.ok(rows = 0 AND code = '', 'AUDIT_PUT again') FROM
    mn.audit_put('a', 'alog_00000000000000000000000001', 'me', 'x', 'y', 'z',
    1, 'd');

-- ---- agent configs ---------------------------------------------------------
SELECT pg_temp.ok(rows = 1 AND doc::json->>'has_key' = 'true'
    AND doc NOT LIKE '%sealed%', 'AGENT_CONFIG_PUT') FROM
    mn.agent_config_put('a', 'acfg_0000000000000000000000001', 'c1', 'claude',
    'opus', '', 1, '...1', '\x0102', 'me', '', '');
SELECT pg_temp.ok(rows = 1, 'AGENT_CONFIG_PUT, another default') FROM
    mn.agent_config_put('a', 'acfg_0000000000000000000000002', 'c2', 'claude',
    'haiku', 'http://x', 1, '...2', '\x0304', 'me', '', '');
SELECT pg_temp.ok((doc::json->'items'->1->>'is_default') = 'false'
    AND (doc::json->'items'->0->>'is_default') = 'true',
    'one default an agent') FROM mn.agent_config_page('a', '{}');
SELECT pg_temp.ok(doc::json->>'name' = 'c1', 'AGENT_CONFIG_READ')
    FROM mn.agent_config_read('a', 'acfg_0000000000000000000000001');
SELECT pg_temp.ok(data_key = '\xaa', 'DATA_KEY_PUT')
    FROM mn.data_key_put('a', '\xaa');
SELECT pg_temp.ok(data_key = '\xaa', 'DATA_KEY_PUT: the first wins')
    FROM mn.data_key_put('a', '\xbb');
SELECT pg_temp.ok(sealed = '\x0304' AND data_key = '\xaa'
    AND base_url = 'http://x', 'AGENT_CONFIG_LOAD')
    FROM mn.agent_config_load('a', 'acfg_0000000000000000000000002');

-- ---- sessions --------------------------------------------------------------
SELECT pg_temp.ok(status = 'pending' AND agent_config =
    'acfg_0000000000000000000000002' AND model = 'haiku' AND code = ''
    AND doc::json->'labels'->>'l' = '1' AND doc::json->>'is_byok' = 'false'
    AND doc LIKE '%,"updated_at":"____-__-__T__:__:__.___Z"}',
    'SESSION_PUT takes the default agent config') FROM mn.session_put('a',
    'sess_0000000000000000000000001', 'ws_1', 'claude', '', '',
    '{"name":"one","labels":{"l":"1"},"idle_timeout_seconds":60}', 'me', 'i2',
    pg_temp.hash('s'));
SELECT pg_temp.ok(code = 'replayed' AND session =
    'sess_0000000000000000000000001', 'SESSION_PUT replayed') FROM
    mn.session_put('a', 'sess_0000000000000000000000002', 'ws_2', 'claude',
    '', '', '{}', 'me', 'i2', pg_temp.hash('s'));
SELECT pg_temp.ok(code = 'validation_error' AND session = '',
    'SESSION_PUT with an unknown agent config') FROM mn.session_put('a',
    'sess_0000000000000000000000002', 'ws_2', 'claude', 'acfg_x', '', '{}',
    'me', '', '');
SELECT pg_temp.ok(code = 'validation_error',
    'SESSION_PUT with another agent''s config') FROM mn.session_put('a',
    'sess_0000000000000000000000002', 'ws_2', 'codex',
    'acfg_0000000000000000000000002', '', '{}', 'me', '', '');
SELECT pg_temp.ok(code = '' AND key_ref = 'kref_1' AND agent_config = ''
    AND doc::json->>'is_byok' = 'true' AND policy = '[{"tool": "*"}]',
    'SESSION_PUT with a key of its own') FROM mn.session_put('a',
    'sess_0000000000000000000000002', 'ws_2', 'claude', '', 'kref_1',
    '{"permission_policy":[{"tool":"*"}]}', 'me', '', '');
SELECT pg_temp.ok(code = '' AND agent_config = '',
    'SESSION_PUT, no config and no key') FROM mn.session_put('a',
    'sess_0000000000000000000000003', 'ws_3', 'custom:demo', '', '',
    'no json', 'me', '', '');
SELECT pg_temp.ok(json_array_length(doc::json->'items') = 1
    AND doc::json->>'total_count' = '1', 'SESSION_PAGE by label') FROM
    mn.session_page('a', '{"labels":{"l":"1"},"count":true}');
SELECT pg_temp.ok(json_array_length(doc::json->'items') = 2,
    'SESSION_PAGE by agent and status') FROM mn.session_page('a',
    '{"agent":["claude"],"status":["pending","active"]}');
SELECT pg_temp.ok(json_array_length(doc::json->'items') = 0
    AND doc::json->>'has_more' = 'false', 'SESSION_PAGE, nothing') FROM
    mn.session_page('a', '{"status":["suspended"]}');
SELECT pg_temp.ok(doc::json->>'name' = 'one' AND
    doc::json->>'idle_timeout_seconds' = '60', 'SESSION_READ') FROM
    pg_temp.session_read('a', 'sess_0000000000000000000000001');
SELECT pg_temp.ok(code = 'precondition_failed' AND session <> '',
    'SESSION_PATCH with a stale If-Match') FROM mn.session_patch('a',
    'sess_0000000000000000000000001', 'chg_1',
    '"2020-01-01T00:00:00.000Z"', '{}');
SELECT pg_temp.ok(p.code = '' AND p.doc::json->>'name' = 'two' AND
    p.doc::json->'labels'->>'m' = '2' AND p.doc::json->'labels'->>'l' IS NULL
    AND p.doc::json->>'idle_timeout_seconds' IS NULL
    AND p.doc::json->>'updated_at' > r.doc::json->>'updated_at',
    'SESSION_PATCH merges') FROM pg_temp.session_read('a',
    'sess_0000000000000000000000001') r, mn.session_patch('a',
    'sess_0000000000000000000000001', 'chg_2', '"' ||
    (r.doc::json->>'updated_at') || '"',
    '{"name":"two","labels":{"l":null,"m":"2"},'
    '"idle_timeout_seconds":null}') p;
SELECT pg_temp.ok(code = '' AND key_ref = 'kref_2', 'SESSION_KEY') FROM
    mn.session_key('a', 'sess_0000000000000000000000002', 'kref_2');
SELECT pg_temp.ok(code = 'invalid_state', 'SESSION_KEY without BYOK') FROM
    mn.session_key('a', 'sess_0000000000000000000000001', 'kref_2');
SELECT pg_temp.ok(rows = 1, 'SESSION_NOTE') FROM mn.session_note('a',
    'sess_0000000000000000000000002', 'kref_2', 0, 'needs its key');
SELECT pg_temp.ok(rows = 0, 'SESSION_NOTE, nothing new') FROM
    mn.session_note('a', 'sess_0000000000000000000000002', 'kref_2', 0,
    'needs its key');
SELECT pg_temp.ok(rows = 0, 'SESSION_NOTE of the key before') FROM
    mn.session_note('a', 'sess_0000000000000000000000002', 'kref_1', 0,
    'needs another key');
SELECT pg_temp.ok(status = 'suspended' AND suspended_ms > 0
    AND doc::json->>'suspend_reason' = 'user',
    'SESSION_WISH suspend of a pending one') FROM
    mn.session_wish('a', 'sess_0000000000000000000000002', 1, '', 0, 'me');
SELECT pg_temp.ok(status = 'suspended' AND code = '', 'and again') FROM
    mn.session_wish('a', 'sess_0000000000000000000000002', 1, '', 0, 'me');
SELECT pg_temp.ok(count(*) = 1 AND max(status) = 'resuming',
    'SESSION_REVIVE') FROM mn.session_revive('a',
    'sess_0000000000000000000000002', mn.ms(now() + interval '1 hour'));
SELECT pg_temp.ok(count(*) = 0, 'SESSION_REVIVE of a pending one') FROM
    mn.session_revive('a', 'sess_0000000000000000000000003', 1);
SELECT pg_temp.ok(status = 'terminated' AND code = '',
    'SESSION_WISH terminate') FROM mn.session_wish('a',
    'sess_0000000000000000000000003', 2, '', 1, 'me');
SELECT pg_temp.ok(status = 'terminated' AND code = '', 'and again') FROM
    mn.session_wish('a', 'sess_0000000000000000000000003', 2, '', 1, 'me');
SELECT pg_temp.ok(code = 'not_found', 'a removed session is not there') FROM
    pg_temp.session_read('a', 'sess_0000000000000000000000003');
SELECT pg_temp.ok(code = 'in_use', 'AGENT_CONFIG_END in use') FROM
    mn.agent_config_end('a', 'acfg_0000000000000000000000002', 'me');
SELECT pg_temp.ok(rows = 1 AND code = '', 'AGENT_CONFIG_END') FROM
    mn.agent_config_end('a', 'acfg_0000000000000000000000001', 'me');
SELECT pg_temp.ok(code = 'not_found', 'its config is gone') FROM
    mn.agent_config_read('a', 'acfg_0000000000000000000000001');

-- ---- runners ---------------------------------------------------------------
SELECT pg_temp.ok(rows = 1 AND doc::json->>'status' = 'active',
    'RUNNER_TOKEN_PUT') FROM mn.runner_token_put('a',
    'rtk_00000000000000000000000001', pg_temp.hash('tok'), 'n', 'p', 1, 2, 0,
    'me', '', '');
SET mn.tenant = '*';
SELECT pg_temp.ok(code = '' AND runner_token <> '' AND shared = 1,
    'RUNNER_TOKEN_FIND') FROM mn.runner_token_find(pg_temp.hash('tok'),
    pg_temp.hash('q1'));
SELECT pg_temp.ok(code = 'invalid_token' AND runner_token = '',
    'RUNNER_TOKEN_FIND of nothing') FROM
    mn.runner_token_find(pg_temp.hash('no'), pg_temp.hash('q1'));
SELECT pg_temp.ok(runner <> '' AND status = 'offline' AND tenant = 'a',
    'RUNNER_PUT') FROM mn.runner_put('rnr_00000000000000000000000001',
    pg_temp.hash('tok'), pg_temp.hash('q1'), 'r1', 'h', '1',
    'claude custom:demo', 'none', '{}', '', '\x01', pg_temp.hash('c1'));
SELECT pg_temp.ok(runner <> '', 'RUNNER_PUT again') FROM
    mn.runner_put('rnr_00000000000000000000000001', pg_temp.hash('tok'),
    pg_temp.hash('q1'), 'r1', 'h', '1', 'claude', 'none', '{}', '', '\x01',
    pg_temp.hash('c1'));
SELECT pg_temp.ok(runner = '' AND code = 'unavailable',
    'RUNNER_PUT, another by the same request') FROM
    mn.runner_put('rnr_00000000000000000000000009', pg_temp.hash('tok'),
    pg_temp.hash('q1'), 'r1', 'h', '1', 'claude', 'none', '{}', '', '\x01',
    pg_temp.hash('c9'));
SELECT pg_temp.ok(runner <> '', 'RUNNER_PUT, a second') FROM
    mn.runner_put('rnr_00000000000000000000000002', pg_temp.hash('tok'),
    pg_temp.hash('q2'), 'r2', 'h', '1', 'claude', 'none', '', '', '\x01',
    pg_temp.hash('c2'));
SELECT pg_temp.ok(runner = '' AND code = 'invalid_token',
    'RUNNER_PUT with a token used up') FROM
    mn.runner_put('rnr_00000000000000000000000003', pg_temp.hash('tok'),
    pg_temp.hash('q3'), 'r3', 'h', '1', 'claude', 'none', '', '', '\x01',
    pg_temp.hash('c3'));
SELECT pg_temp.ok(code = 'invalid_token' AND runner = '',
    'RUNNER_TOKEN_FIND of one used up') FROM
    mn.runner_token_find(pg_temp.hash('tok'), pg_temp.hash('q3'));
SELECT pg_temp.ok(code = '' AND runner =
    'rnr_00000000000000000000000001', 'but what it has made is told again') FROM
    mn.runner_token_find(pg_temp.hash('tok'), pg_temp.hash('q1'));
SELECT pg_temp.ok(rows = 1, 'RUNNER_STATE') FROM mn.runner_state(
    'rnr_00000000000000000000000001', 1, '2', '', '', '{"cpus":2}');
SELECT pg_temp.ok(count(*) = 2 AND max(agents) = 'claude custom:demo'
    AND min(status) = 'idle', 'RUNNER_LOAD') FROM mn.runner_load();
SELECT pg_temp.ok(count(*) = 0, 'HOME_ENDED, none') FROM mn.home_ended(
    'rnr_00000000000000000000000001', 'sess_x sess_y');
SELECT pg_temp.ok(rows = 2, 'RUNNER_BEAT') FROM mn.runner_beat(
    'rnr_00000000000000000000000001 rnr_00000000000000000000000002 rnr_x');
SET mn.tenant = 'a';
SELECT pg_temp.ok(doc::json->'items'->0->>'agent' = 'claude'
    AND doc::json->'items'->0->>'idle' = '1'
    AND json_array_length(doc::json->'items') = 2, 'AGENT_PAGE')
    FROM mn.agent_page('a');
SELECT mn.runner_token_put('a', 'rtk_00000000000000000000000002',
    pg_temp.hash('tok2'), 'n', '', 0, 0, 1, 'me', '', '') \g /dev/null
SELECT pg_temp.ok(doc::json->>'has_more' = 'true' AND
    doc::json->'items'->0->>'status' = 'expired', 'RUNNER_TOKEN_PAGE')
    FROM mn.runner_token_page('a', '{"limit":1}');
SET mn.tenant = 'p';
SELECT mn.runner_token_put('p', 'rtk_p' || i, pg_temp.hash('tokp' || i), 'n',
    CASE i WHEN 2 THEN 'two' ELSE 'one' END, 0, 0, i / 3, 'me', '', '')
    FROM generate_series(1, 3) i \g /dev/null
SELECT pg_temp.ok((SELECT string_agg(i->>'id', ' ')
	FROM json_array_elements(doc::json->'items') i) = 'rtk_p3 rtk_p1'
    AND doc::json->>'total_count' = '2', 'RUNNER_TOKEN_PAGE by pool')
    FROM mn.runner_token_page('p', '{"count":true,"pool":["one"]}');
SELECT pg_temp.ok((SELECT string_agg(i->>'id', ' ')
	FROM json_array_elements(doc::json->'items') i) = 'rtk_p1'
    AND doc::json->>'total_count' = '1', 'RUNNER_TOKEN_PAGE by both')
    FROM mn.runner_token_page('p',
    '{"count":true,"pool":["one"],"status":["active"]}');
SET mn.tenant = 'a';
SELECT pg_temp.ok(doc::json->>'status' = 'revoked', 'RUNNER_TOKEN_END')
    FROM mn.runner_token_end('a', 'rtk_00000000000000000000000001', '', 'me');

-- ---- attach ----------------------------------------------------------------
SELECT pg_temp.ok(count(*) = 1 AND max(epoch) = 0,
    'SESSION_ATTACH to an offline runner') FROM
    mn.session_attach('a', 'sess_0000000000000000000000001',
    'rnr_00000000000000000000000002');
SELECT pg_temp.ok(count(*) = 1 AND max(epoch) = 1, 'SESSION_ATTACH') FROM
    mn.session_attach('a', 'sess_0000000000000000000000001',
    'rnr_00000000000000000000000001');
SELECT pg_temp.ok(count(*) = 1 AND max(epoch) = 1, 'the same again') FROM
    mn.session_attach('a', 'sess_0000000000000000000000001',
    'rnr_00000000000000000000000001');
SELECT pg_temp.ok(count(*) = 1 AND max(epoch) = 0, 'a runner has one session')
    FROM mn.session_attach('a', 'sess_0000000000000000000000002',
    'rnr_00000000000000000000000001');
SELECT pg_temp.ok(count(*) = 0, 'a session that has ended has no runner') FROM
    mn.session_attach('a', 'sess_0000000000000000000000003',
    'rnr_00000000000000000000000001');
SELECT pg_temp.ok(doc::json->>'status' = 'busy' AND doc::json->>'session_id'
    = 'sess_0000000000000000000000001', 'RUNNER_READ') FROM
    pg_temp.runner_read('a', 'rnr_00000000000000000000000001');

-- ---- tasks and runs --------------------------------------------------------
SELECT pg_temp.ok(code = 'not_found' AND task = '',
    'TASK_PUT without a session') FROM pg_temp.task_put('a',
    'task_0000000000000000000000001', 'run_00000000000000000000000001',
    'sess_x', 'p', 10, 1, 0, '', '{}', '{}', 'me', '', '');
SELECT pg_temp.ok(code = '' AND status = 'pending' AND attempt = 1
    AND run_status = 'pending' AND doc::json->>'prompt' = E'p\u00e4',
    'TASK_PUT') FROM pg_temp.task_put('a',
    'task_0000000000000000000000001', 'run_00000000000000000000000001',
    'sess_0000000000000000000000001', E'p\u00e4', 10, 1, 0, '', '{"x":"y"}',
    '{}', 'me', 'i3', pg_temp.hash('t'));
SELECT pg_temp.ok(code = 'replayed' AND
    task = 'task_0000000000000000000000001' AND
    run = 'run_00000000000000000000000001', 'TASK_PUT replayed') FROM
    pg_temp.task_put('a', 'task_0000000000000000000000009',
    'run_00000000000000000000000009', 'sess_0000000000000000000000001', 'p',
    10, 1, 0, '', '{}', '{}', 'me', 'i3', pg_temp.hash('t'));
SELECT pg_temp.ok(code = '', 'TASK_PUT again, same ids') FROM pg_temp.task_put('a',
    'task_0000000000000000000000001', 'run_00000000000000000000000001',
    'sess_0000000000000000000000001', 'p', 10, 1, 0, '', '{}', '{}', 'me',
    'i3', pg_temp.hash('t'));
SELECT pg_temp.ok(code = '', 'TASK_PUT, a second task') FROM pg_temp.task_put('a',
    'task_0000000000000000000000002', 'run_00000000000000000000000002',
    'sess_0000000000000000000000001', 'q', 10, 0, 0,
    'task_0000000000000000000000001', 'x', '', 'me', '', '');
SELECT pg_temp.ok(code = 'validation_error', 'TASK_PUT continues nothing')
    FROM pg_temp.task_put('a', 'task_0000000000000000000000003',
    'run_00000000000000000000000003', 'sess_0000000000000000000000001', 'q',
    10, 0, 0, 'task_x', 'x', '', 'me', '', '');
SELECT pg_temp.ok(count(*) = 0, 'RUN_ASSIGN under an old epoch') FROM
    mn.run_assign('a', 'run_00000000000000000000000001',
    'task_0000000000000000000000001', 'sess_0000000000000000000000001',
    'rnr_00000000000000000000000001', 0);
SELECT pg_temp.ok(count(*) = 1 AND max(interrupted) = 0, 'RUN_ASSIGN') FROM
    mn.run_assign('a', 'run_00000000000000000000000001',
    'task_0000000000000000000000001', 'sess_0000000000000000000000001',
    'rnr_00000000000000000000000001', 1);
SELECT pg_temp.ok(count(*) = 1, 'RUN_ASSIGN, the same again') FROM
    mn.run_assign('a', 'run_00000000000000000000000001',
    'task_0000000000000000000000001', 'sess_0000000000000000000000001',
    'rnr_00000000000000000000000001', 1);
-- Whose answer was lost, before the session left.
UPDATE session SET epoch = 2 WHERE id = 'sess_0000000000000000000000001';
SELECT pg_temp.ok(count(*) = 1, 'RUN_ASSIGN of what an older epoch was given')
    FROM mn.run_assign('a', 'run_00000000000000000000000001',
    'task_0000000000000000000000001', 'sess_0000000000000000000000001',
    'rnr_00000000000000000000000001', 2);
SELECT pg_temp.ok(count(*) = 0, 'RUN_ASSIGN, not back to that') FROM
    mn.run_assign('a', 'run_00000000000000000000000001',
    'task_0000000000000000000000001', 'sess_0000000000000000000000001',
    'rnr_00000000000000000000000001', 1);
UPDATE session SET epoch = 1 WHERE id = 'sess_0000000000000000000000001';
SELECT pg_temp.ok(count(*) = 0, 'RUN_ASSIGN: one run a session') FROM
    mn.run_assign('a', 'run_00000000000000000000000002',
    'task_0000000000000000000000002', 'sess_0000000000000000000000001',
    'rnr_00000000000000000000000001', 1);
SELECT pg_temp.ok(rows = 1, 'RUN_UNASSIGN') FROM
    mn.run_unassign('a', 'run_00000000000000000000000001', 1);
SELECT pg_temp.ok(rows = 0, 'RUN_UNASSIGN again') FROM
    mn.run_unassign('a', 'run_00000000000000000000000001', 1);
SELECT mn.run_assign('a', 'run_00000000000000000000000001',
    'task_0000000000000000000000001', 'sess_0000000000000000000000001',
    'rnr_00000000000000000000000001', 1) \g /dev/null
SELECT pg_temp.ok(pg_temp.run_begin('a', 'run_00000000000000000000000001',
    'task_0000000000000000000000001', 2, 1) = 0, 'RUN_BEGIN of another attempt');
SELECT pg_temp.ok(pg_temp.run_begin('a', 'run_00000000000000000000000001',
    'task_0000000000000000000000001', 1, 1) = 1, 'RUN_BEGIN');
SELECT pg_temp.ok(doc::json->>'status' = 'running', 'the task is running')
    FROM pg_temp.task_read('a', 'task_0000000000000000000000001');
SELECT pg_temp.ok(pg_temp.run_begin('a', 'run_00000000000000000000000001',
    'task_0000000000000000000000001', 1, 1) = 0, 'RUN_BEGIN again');
SELECT pg_temp.ok(rows = 1, 'RUN_STEP') FROM
    mn.run_step('a', 'run_00000000000000000000000001', 40, 'half');
SELECT pg_temp.ok(rows = 1, 'TASK_WAIT') FROM
    mn.task_wait('a', 'task_0000000000000000000000001', 'permission');
SELECT pg_temp.ok(rows = 0, 'TASK_WAIT again') FROM
    mn.task_wait('a', 'task_0000000000000000000000001', 'permission');
SELECT pg_temp.ok(doc::json->>'waiting_for' = 'permission'
    AND doc::json->'progress'->>'percent' = '40', 'TASK_READ') FROM
    pg_temp.task_read('a', 'task_0000000000000000000000001');

-- ---- logs ------------------------------------------------------------------
SELECT pg_temp.ok(rows = 1, 'LOG_APPEND') FROM pg_temp.log_append('a',
    'run_00000000000000000000000001', 'task_0000000000000000000000001', 1, 1,
    3, E'{"n":1,"level":"info"}\n{"n":2,"level":"error"}\n{"n":3}\n');
SELECT pg_temp.ok(rows = 0 AND doc = '3', 'LOG_APPEND again: 0 and where it '
    'stands') FROM pg_temp.log_append('a', 'run_00000000000000000000000001',
    'task_0000000000000000000000001', 1, 1, 3, E'{}\n{}\n{}\n');
SELECT pg_temp.ok(rows = 0 AND doc = '3', 'LOG_APPEND, overlapping') FROM
    pg_temp.log_append('a', 'run_00000000000000000000000001',
    'task_0000000000000000000000001', 1, 3, 2, E'{}\n{}\n');
SELECT pg_temp.ok(rows = 0 AND doc = '3', 'LOG_APPEND, with a gap') FROM
    pg_temp.log_append('a', 'run_00000000000000000000000001',
    'task_0000000000000000000000001', 1, 5, 1, E'{}\n');
SELECT pg_temp.ok(rows = 1, 'LOG_APPEND goes on') FROM pg_temp.log_append('a',
    'run_00000000000000000000000001', 'task_0000000000000000000000001', 1, 4,
    2, E'{"n":4,"level":"error"}\n{"n":5,"level":"info"}\n');
SELECT pg_temp.ok(string_agg(first || '+' || count || ':' || lines, '|'
    ORDER BY n) = E'2+2:{"n":2,"level":"error"}\n{"n":3}\n|' ||
    E'4+2:{"n":4,"level":"error"}\n{"n":5,"level":"info"}\n|5+0:',
    'LOG_READ cuts the first batch and ends with the state') FROM
    mn.log_read('a', 'task_0000000000000000000000001', 1, 1, 100000)
    WITH ORDINALITY r (attempt, first, count, ended, lines,
    code, text, doc, n);
SELECT pg_temp.ok(string_agg(first || '+' || count, ' ' ORDER BY n) =
    '1+3 5+0', 'LOG_READ gives one batch at least') FROM
    mn.log_read('a', 'task_0000000000000000000000001', 0, 0, 1)
    WITH ORDINALITY r (attempt, first, count, ended, lines,
    code, text, doc, n);
SELECT pg_temp.ok(string_agg(first || '+' || count, ' ' ORDER BY n) = '5+0',
    'LOG_READ at the end') FROM
    mn.log_read('a', 'task_0000000000000000000000001', 1, 5, 1000)
    WITH ORDINALITY r (attempt, first, count, ended, lines,
    code, text, doc, n);
SELECT pg_temp.ok(count(*) = 0, 'LOG_READ of no task') FROM
    mn.log_read('a', 'task_x', 0, 0, 1000);
SELECT pg_temp.ok(json_array_length(doc::json->'items') = 2
    AND doc::json->>'next_cursor' = '1.2', 'LOG_PAGE') FROM
    mn.log_page('a', 'task_0000000000000000000000001', '{"limit":2}');
SELECT pg_temp.ok(json_array_length(doc::json->'items') = 3
    AND doc::json->'items'->0->>'n' = '3'
    AND doc::json->>'next_cursor' IS NULL, 'LOG_PAGE after') FROM
    mn.log_page('a', 'task_0000000000000000000000001', '{"after":"1.2"}');
SELECT pg_temp.ok(json_array_length(doc::json->'items') = 2
    AND doc::json->'items'->1->>'n' = '4', 'LOG_PAGE by level') FROM
    mn.log_page('a', 'task_0000000000000000000000001',
    '{"level":["error"]}');
SELECT pg_temp.ok(json_array_length(doc::json->'items') = 1
    AND doc::json->'items'->0->>'n' = '5', 'LOG_PAGE tail') FROM
    mn.log_page('a', 'task_0000000000000000000000001', '{"tail":1}');
SELECT pg_temp.ok(log_last = 5 AND status = 'running', 'RUN_FIND') FROM
    mn.run_find('run_00000000000000000000000001');

-- ---- permissions -----------------------------------------------------------
SELECT pg_temp.ok(status = 'pending' AND code = '' AND
    doc::json->'input'->>'c' = 'ls', 'PERMISSION_PUT') FROM
    mn.permission_put('a', 'perm_0000000000000000000000001',
    'run_00000000000000000000000001', 1, 'q1', 'tool', 'Bash', 'ls',
    '{"c":"ls"}', 'medium', '', 60);
SELECT pg_temp.ok(permission = 'perm_0000000000000000000000001',
    'PERMISSION_PUT again: the older one') FROM mn.permission_put('a',
    'perm_0000000000000000000000002', 'run_00000000000000000000000001', 1,
    'q1', 'tool', 'Bash', 'ls', '{"c":"ls"}', 'medium', '', 60);
SELECT pg_temp.ok(status = 'approved' AND doc::json->>'decided_by' = 'policy'
    AND doc::json->'input'->>'text' = E'{"x":"\\u0000"}',
    'PERMISSION_PUT by policy; JSON with NUL is text') FROM
    mn.permission_put('a', 'perm_0000000000000000000000003',
    'run_00000000000000000000000001', 1, 'q2', 'tool', 'Read', 'a',
    '{"x":"\u0000"}', 'low', 'approved', 60);
SELECT pg_temp.ok(status = 'approved' AND input = '{"c":"pwd"}' AND code = ''
    AND doc::json->'edited_input'->>'c' = 'pwd', 'PERMISSION_SETTLE') FROM
    mn.permission_settle('a', 'perm_0000000000000000000000001', 1, 'fine',
    'me', 'bob', '{"c":"pwd"}', '');
SELECT pg_temp.ok(status = 'approved' AND code = '', 'the same again') FROM
    mn.permission_settle('a', 'perm_0000000000000000000000001', 1, '', 'you',
    '', '', '');
SELECT pg_temp.ok(code = 'already_answered' AND permission <> ''
    AND status = 'approved', 'another decision') FROM mn.permission_settle(
    'a', 'perm_0000000000000000000000001', 0, '', 'you', '', '', '');
SELECT pg_temp.ok(code = 'not_found' AND permission = '', 'of nothing') FROM
    mn.permission_settle('a', 'perm_x', 0, '', 'you', '', '', '');
SELECT pg_temp.ok(rows = 0, 'PERMISSION_SENT of another runner') FROM
    mn.permission_sent('perm_0000000000000000000000003',
    'rnr_00000000000000000000000009');
SELECT pg_temp.ok(rows = 1, 'PERMISSION_SENT') FROM
    mn.permission_sent('perm_0000000000000000000000003',
    'rnr_00000000000000000000000001');
SELECT pg_temp.ok(rows = 0, 'PERMISSION_SENT again') FROM
    mn.permission_sent('perm_0000000000000000000000003',
    'rnr_00000000000000000000000001');
SELECT pg_temp.ok(count(*) = 1, 'PERMISSION_LOAD: what is not delivered')
    FROM mn.permission_load();
SELECT pg_temp.ok(json_array_length(doc::json->'items') = 2,
    'PERMISSION_PAGE') FROM mn.permission_page('a',
    '{"status":["approved"],"session_id":["sess_0000000000000000000000001"]}'
    );
-- Unanswered ones end with the run, unheard answers are kept for the next.
SELECT mn.permission_put('a', 'perm_0000000000000000000000004',
    'run_00000000000000000000000001', 1, 'q4', 'tool', 'Bash', 'x', '{}',
    'medium', '', 60) \g /dev/null
SELECT pg_temp.ok(rows = 0, 'RUN_END of another attempt') FROM
    pg_temp.run_end('a', 'run_00000000000000000000000001', 9, 'lost', 0, '', '',
    '', 0, 0, 0, 0, '', 'pending', 'run_00000000000000000000000011', 0);
SELECT pg_temp.ok(rows = 1 AND doc::json->>'status' = 'pending'
    AND doc::json->>'attempt' = '2' AND doc::json->>'retry_count' = '0',
    'RUN_END lost, and a next attempt') FROM
    pg_temp.run_end('a', 'run_00000000000000000000000001', 1, 'lost', 0, '', '',
    '', 1, 2, 550, 4, 'c', 'pending', 'run_00000000000000000000000011', 0);
SELECT pg_temp.ok(rows = 0 AND doc::json->>'attempt' = '2',
    'RUN_END again') FROM
    pg_temp.run_end('a', 'run_00000000000000000000000001', 1, 'lost', 0, '', '',
    '', 1, 2, 3, 4, 'c', 'pending', 'run_00000000000000000000000011', 0);
SELECT pg_temp.ok(doc::json->>'status' = 'canceled',
    'its open question is canceled') FROM pg_temp.permission_read('a',
    'perm_0000000000000000000000004');
SELECT pg_temp.ok(code = 'invalid_state' AND permission <> '',
    'a canceled one cannot be answered') FROM mn.permission_settle('a',
    'perm_0000000000000000000000004', 1, '', 'me', '', '', '');
SELECT pg_temp.ok(lost = 1 AND run = 'run_00000000000000000000000011'
    AND run_status = 'pending', 'TASK_LOAD') FROM mn.task_load()
    WHERE task = 'task_0000000000000000000000001';
SELECT pg_temp.ok(max(interrupted) = 1, 'the next attempt was interrupted')
    FROM mn.run_assign('a', 'run_00000000000000000000000011',
    'task_0000000000000000000000001', 'sess_0000000000000000000000001',
    'rnr_00000000000000000000000001', 1);
BEGIN;
UPDATE run SET started_at = NULL WHERE id = 'run_00000000000000000000000001';
SELECT pg_temp.ok(max(interrupted) = 1, 'also when nobody heard that the one ' ||
    'before it had started') FROM
    mn.run_assign('a', 'run_00000000000000000000000011',
    'task_0000000000000000000000001', 'sess_0000000000000000000000001',
    'rnr_00000000000000000000000001', 1);
ROLLBACK;
SELECT pg_temp.ok(status = 'pending', 'another input uses no kept answer')
    FROM mn.permission_put('a', 'perm_0000000000000000000000005',
    'run_00000000000000000000000011', 2, 'q5', 'tool', 'Bash', 'ls',
    '{"c": "ls"}', 'medium', '', 60);
SELECT pg_temp.ok(status = 'approved' AND input = '{"c":"pwd"}'
    AND doc::json->>'responded_by' = 'me'
    AND doc::json->>'asked_again' = 'true', 'a kept answer is used') FROM
    mn.permission_put('a', 'perm_0000000000000000000000006',
    'run_00000000000000000000000011', 2, 'q6', 'tool', 'Bash', 'ls',
    '{"c":"ls"}', 'medium', '', 60);
SELECT pg_temp.ok(status = 'pending', 'and only once') FROM
    mn.permission_put('a', 'perm_0000000000000000000000007',
    'run_00000000000000000000000011', 2, 'q7', 'tool', 'Bash', 'ls',
    '{"c":"ls"}', 'medium', '', 60);
SELECT pg_temp.ok(rows = 1, 'PERMISSION_CANCEL') FROM
    mn.permission_cancel('a', 'run_00000000000000000000000011', 'q5');

-- A suspended run: its question stays open, the late answer is kept.
SELECT pg_temp.run_begin('a', 'run_00000000000000000000000011',
    'task_0000000000000000000000001', 2, 1) \g /dev/null
SELECT pg_temp.ok(rows = 1, 'RUN_END suspended') FROM
    pg_temp.run_end('a', 'run_00000000000000000000000011', 2, 'suspended', 0, '',
    '', '', 0, 0, 0, 0, '', 'pending', 'run_00000000000000000000000012', 0);
SELECT pg_temp.ok(status = 'denied' AND code = '',
    'its question is answered later') FROM mn.permission_settle('a',
    'perm_0000000000000000000000007', 0, 'no', 'me', '', '', '');
SELECT mn.run_assign('a', 'run_00000000000000000000000012',
    'task_0000000000000000000000001', 'sess_0000000000000000000000001',
    'rnr_00000000000000000000000001', 1) \g /dev/null
SELECT pg_temp.ok(status = 'approved', 'an answer never heard is kept again')
    FROM mn.permission_put('a', 'perm_0000000000000000000000008',
    'run_00000000000000000000000012', 3, 'q8', 'tool', 'Bash', 'ls',
    '{"c":"ls"}', 'medium', '', 60);
SELECT pg_temp.ok(status = 'denied' AND reason = 'no',
    'and the late answer serves the next attempt') FROM
    mn.permission_put('a', 'perm_0000000000000000000000009',
    'run_00000000000000000000000012', 3, 'q9', 'tool', 'Bash', 'ls',
    '{"c":"ls"}', 'medium', '', 60);
SELECT pg_temp.ok(lost = 1, 'suspended is not lost') FROM mn.task_load()
    WHERE task = 'task_0000000000000000000000001';

-- ---- ends ------------------------------------------------------------------
SELECT pg_temp.ok(cancel_asked = 1 AND status = 'pending',
    'TASK_STOP of an assigned one marks it') FROM mn.task_stop('a',
    'task_0000000000000000000000001', 'enough', 'me');
SELECT pg_temp.ok(rows = 1 AND doc::json->>'status' = 'canceled'
    AND doc::json->'error'->>'message' = 'enough'
    AND doc::json->'usage'->>'cost_usd' = '0.00055', 'RUN_END canceled') FROM
    pg_temp.run_end('a', 'run_00000000000000000000000012', 3, 'canceled', 0, '',
    '', '', 0, 0, 0, 0, '', 'canceled', '', 0);
SELECT pg_temp.ok(code = '' AND status = 'canceled', 'TASK_STOP again')
    FROM mn.task_stop('a', 'task_0000000000000000000000001', '', 'me');
-- As if the clock had been set back since.
UPDATE session SET suspended_at = now() + interval '1 hour'
WHERE id = (SELECT session_id FROM task
    WHERE id = 'task_0000000000000000000000001');
SELECT pg_temp.ok(code = '' AND status = 'pending' AND attempt = 4,
    'TASK_AGAIN') FROM mn.task_again('a', 'task_0000000000000000000000001',
    'run_00000000000000000000000013', 'me', '', '');
SELECT pg_temp.ok(t.wanted_at > s.suspended_at
    AND mn.suspend_time(s.id) >= t.wanted_at,
    'what is wanted and suspended stays in order') FROM task t
    JOIN session s ON s.id = t.session_id
    WHERE t.id = 'task_0000000000000000000000001';
SELECT pg_temp.ok(code = '' AND attempt = 4, 'TASK_AGAIN, the same again')
    FROM mn.task_again('a', 'task_0000000000000000000000001',
    'run_00000000000000000000000013', 'me', '', '');
SELECT pg_temp.ok(code = 'invalid_state', 'TASK_AGAIN of a pending one')
    FROM mn.task_again('a', 'task_0000000000000000000000001',
    'run_00000000000000000000000014', 'me', '', '');
SELECT pg_temp.ok(code = '' AND status = 'canceled'
    AND run_status = 'canceled', 'TASK_STOP of a pending one') FROM
    mn.task_stop('a', 'task_0000000000000000000000001', '', 'me');
SELECT mn.run_assign('a', 'run_00000000000000000000000002',
    'task_0000000000000000000000002', 'sess_0000000000000000000000001',
    'rnr_00000000000000000000000001', 1) \g /dev/null
SELECT pg_temp.run_begin('a', 'run_00000000000000000000000002',
    'task_0000000000000000000000002', 1, 1) \g /dev/null
SELECT pg_temp.ok(rows = 1 AND doc::json->>'status' = 'failed'
    AND doc::json->'error'->>'code' = 'timeout', 'RUN_END timeout') FROM
    pg_temp.run_end('a', 'run_00000000000000000000000002', 1, 'timeout', 0, '',
    'too long', '', 0, 0, 0, 0, '', 'failed', '', 0);
SELECT pg_temp.ok(doc::json->'last_error'->>'code' = 'timeout',
    'the session tells its last error') FROM pg_temp.session_read('a',
    'sess_0000000000000000000000001');
SELECT mn.task_again('a', 'task_0000000000000000000000002',
    'run_00000000000000000000000015', 'me', '', '') \g /dev/null
SELECT mn.run_assign('a', 'run_00000000000000000000000015',
    'task_0000000000000000000000002', 'sess_0000000000000000000000001',
    'rnr_00000000000000000000000001', 1) \g /dev/null
SELECT pg_temp.ok(rows = 1 AND doc::json->>'status' = 'pending' AND
    doc::json->>'retry_count' = '1', 'RUN_END failed, counted retry') FROM
    pg_temp.run_end('a', 'run_00000000000000000000000015', 2, 'failed', 1, 'x',
    'y', '', 0, 0, 0, 0, '', 'pending', 'run_00000000000000000000000016', 1);
SELECT mn.run_assign('a', 'run_00000000000000000000000016',
    'task_0000000000000000000000002', 'sess_0000000000000000000000001',
    'rnr_00000000000000000000000001', 1) \g /dev/null
SELECT pg_temp.run_begin('a', 'run_00000000000000000000000016',
    'task_0000000000000000000000002', 3, 1) \g /dev/null
SELECT pg_temp.ok(rows = 1 AND doc::json->>'status' = 'completed' AND
    doc::json->>'result' = 'done' AND doc::json->>'error' IS NULL,
    'RUN_END completed') FROM
    pg_temp.run_end('a', 'run_00000000000000000000000016', 3, 'completed', 0, '',
    '', 'done', 5, 6, 7, 8, 'c', 'completed', '', 0);
SELECT pg_temp.ok(code = 'invalid_state' AND task <> '',
    'TASK_STOP of a completed one') FROM mn.task_stop('a',
    'task_0000000000000000000000002', '', 'me');
SELECT pg_temp.ok(json_array_length(doc::json->'items') = 3
    AND doc::json->'items'->0->>'attempt' = '3', 'RUN_PAGE') FROM
    mn.run_page('a', 'task_0000000000000000000000002');
SELECT pg_temp.ok(json_array_length(doc::json->'items') = 1
    AND doc::json->>'has_more' = 'true', 'TASK_PAGE') FROM mn.task_page('a',
    '{"limit":1,"session_id":["sess_0000000000000000000000001"]}');
SELECT pg_temp.ok(count(*) = 1 AND max(ended) = 1, 'LOG_READ says ended') FROM
    mn.log_read('a', 'task_0000000000000000000000002', 0, 0, 1000);
