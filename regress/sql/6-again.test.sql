-- What is said again because its answer was lost, and what comes when another was
-- first.
\ir alone.sql
SET mn.tenant = 'r';
INSERT INTO mn_data.session (id, tenant_id, workspace_id, agent, is_byok,
    network_policy, allowed_hosts, lifecycle_mode, spec, labels, annotations,
    status, runner_id, epoch)
SELECT 'sess_' || n, 'r', 'ws_' || n, 'x', false, 'open', '[]', 'persistent',
    '{}', '{}', '{}', 'active', 'rnr_' || n, 1 FROM generate_series(1, 4) n;

-- ---- the run that follows one that ends -------------------------------------
SELECT pg_temp.task_put('r', 'task_1', 'run_1', 'sess_1', 'x', 10, 0, 0, '', '',
    '', 'me', '', '', 'rnr_1', 1) \g /dev/null
SELECT pg_temp.task_put('r', 'task_2', 'run_2', 'sess_1', 'x', 10, 0, 0, '', '',
    '', 'me', '', '') \g /dev/null
PREPARE ending AS SELECT * FROM mn.run_end('r', ARRAY['run_1'],
    ARRAY['task_1'], ARRAY[1], ARRAY['sess_1'], ARRAY['completed'], ARRAY[0],
    ARRAY[''], ARRAY[''], ARRAY['done'], ARRAY[0], ARRAY[0], ARRAY[0],
    ARRAY[0], ARRAY[''], ARRAY['completed'], ARRAY[''], ARRAY[0],
    ARRAY['run_2'], ARRAY['task_2'], ARRAY['rnr_1'], ARRAY[1]);
CREATE TEMPORARY TABLE first AS EXECUTE ending;
CREATE TEMPORARY TABLE again AS EXECUTE ending;
SELECT pg_temp.ok(count(*) = 1 AND bool_and(run = 'run_2' AND epoch = 1 AND
    runner = 'rnr_1' AND n = 1), 'RUN_END gives the session its next run')
    FROM first;
SELECT pg_temp.ok(count(*) = 1 AND bool_and(f = a),
    'RUN_END again, its answer lost: the same answer') FROM first f, again a;
SELECT pg_temp.run_begin('r', 'run_2', 'task_2', 1, 0) \g /dev/null
CREATE TEMPORARY TABLE late AS EXECUTE ending;
SELECT pg_temp.ok(count(*) = 0,
    'RUN_END again when that run has begun: it is not given twice') FROM late;

-- ---- lines, and a clock that was set back -----------------------------------
SELECT pg_temp.task_put('r', 'task_3', 'run_3', 'sess_2', 'x', 10, 0, 0, '', '',
    '', 'me', '', '', 'rnr_2', 1) \g /dev/null
UPDATE mn_data.task SET created_at = created_at + interval '1 day'
    WHERE id = 'task_3';
UPDATE mn_data.run SET queued_at = queued_at + interval '1 day'
    WHERE id = 'run_3';
SELECT pg_temp.log_append('r', 'run_3', 'task_3', 1, 1, 1,
    E'{"n":1,"level":"info","content":"one"}\n') \g /dev/null
SELECT pg_temp.ok(string_agg(lines, '') LIKE '%"one"%',
    'lines written when the clock is behind the task''s day are read')
    FROM mn.log_read('r', 'task_3', 1, 0, 1000);
SELECT pg_temp.run_begin('r', 'run_3', 'task_3', 1, 0) \g /dev/null
SELECT pg_temp.ok(bool_and(doc::json->>'attempt' = '2'), 'it is tried again')
    FROM pg_temp.run_end('r', 'run_3', 1, 'lost', 0, '',
    '', '', 0, 0, 0, 0, '', 'pending', 'run_4', 0);
SELECT pg_temp.log_append('r', 'run_4', 'task_3', 2, 1, 1,
    E'{"n":1,"level":"info","content":"two"}\n') \g /dev/null
SELECT pg_temp.ok(string_agg(lines, '') LIKE '%"one"%"two"%',
    'and those of the next attempt') FROM mn.log_read('r', 'task_3', 1, 0, 1000);

-- ---- a person suspends what is being suspended ------------------------------
SELECT mn.session_wish('r', 'sess_4', 1, 'idle', 0, '') \g /dev/null
SELECT pg_temp.task_put('r', 'task_5', 'run_5', 'sess_4', 'x', 10, 0, 0, '', '',
    '', 'me', '', '') \g /dev/null
SELECT pg_temp.ok(s.suspended_at < t.wanted_at,
    'a task made meanwhile wakes the session again')
    FROM mn_data.session s, mn_data.task t
    WHERE s.id = 'sess_4' AND t.id = 'task_5';
SELECT mn.session_wish('r', 'sess_4', 1, 'idle', 0, '') \g /dev/null
SELECT pg_temp.ok(s.suspended_at < t.wanted_at,
    'also when the system asks again') FROM mn_data.session s, mn_data.task t
    WHERE s.id = 'sess_4' AND t.id = 'task_5';
SELECT mn.session_wish('r', 'sess_4', 1, 'lunch', 0, 'me') \g /dev/null
SELECT pg_temp.ok(s.suspended_at >= t.wanted_at AND s.wish_reason = 'lunch',
    'but not when a person does, whose suspension is a later one')
    FROM mn_data.session s, mn_data.task t
    WHERE s.id = 'sess_4' AND t.id = 'task_5';

-- ---- a session is changed, as it was seen ------------------------------------
CREATE FUNCTION pg_temp.patch(p_change text, p_if_match text, p_name text)
RETURNS SETOF mn.session_row LANGUAGE sql AS $$
	SELECT * FROM mn.session_patch('r', 'sess_4', p_change, p_if_match,
	    json_build_object('name', p_name)::text)
$$;
SELECT mn.time(updated_at) AS seen FROM mn_data.session WHERE id = 'sess_4'
\gset
CREATE TEMPORARY TABLE patched AS
    SELECT * FROM pg_temp.patch('chg_1', :'seen', 'one');
SELECT pg_temp.ok(p.code = '' AND a.code = '' AND a.doc = p.doc,
    'SESSION_PATCH again, its answer lost: the same answer')
    FROM patched p, pg_temp.patch('chg_1', :'seen', 'one') a;
SELECT pg_temp.ok(code = 'precondition_failed',
    'SESSION_PATCH by another who saw the same')
    FROM pg_temp.patch('chg_2', :'seen', 'two');
SELECT pg_temp.ok(code = '' AND doc::json->>'name' = 'three',
    'SESSION_PATCH, whatever was seen') FROM pg_temp.patch('chg_3', '', 'three');
SELECT pg_temp.ok(code = '' AND doc::json->>'name' = 'three',
    'the first again, after that: it is done, and not done again')
    FROM pg_temp.patch('chg_1', :'seen', 'one');

-- ---- a task is tried again, with an Idempotency-Key -------------------------
SELECT pg_temp.task_put('r', 'task_6', 'run_6', 'sess_3', 'x', 10, 0, 0, '', '',
    '', 'me', '', '', 'rnr_3', 1) \g /dev/null
SELECT pg_temp.run_end('r', 'run_6', 1, 'failed', 0, '', '', '', 0, 0, 0, 0, '',
    'failed', '', 0) \g /dev/null
SELECT mn.task_again('r', 'task_6', 'run_7', 'me', 'k', pg_temp.hash('x')) AS r
\g /dev/null
SELECT pg_temp.ok(attempt = 2 AND run = 'run_7' AND code = 'replayed',
    'TASK_AGAIN with the same key: that attempt')
    FROM mn.task_again('r', 'task_6', 'run_8', 'me', 'k', pg_temp.hash('x'));
SELECT pg_temp.run_end('r', 'run_7', 2, 'canceled', 0, '', '', '', 0, 0, 0, 0,
    '', 'failed', '', 0) \g /dev/null
SELECT pg_temp.ok(attempt = 2 AND run = 'run_7' AND status = 'failed'
    AND code = 'replayed', 'TASK_AGAIN with it when that has failed: no other')
    FROM mn.task_again('r', 'task_6', 'run_9', 'me', 'k', pg_temp.hash('x'));
SELECT pg_temp.ok(code = 'idempotency_conflict',
    'TASK_AGAIN with a key of another request')
    FROM mn.task_again('r', 'task_6', 'run_10', 'me', 'k', pg_temp.hash('y'));
SELECT pg_temp.ok(attempt = 3 AND run = 'run_11' AND code = '',
    'TASK_AGAIN with a key of its own')
    FROM mn.task_again('r', 'task_6', 'run_11', 'me', 'k2', pg_temp.hash('x'));
SELECT pg_temp.ok(code = 'invalid_state' AND (SELECT count(*) = 0
    FROM mn_data.idempotency WHERE key = 'k3'),
    'TASK_AGAIN that is refused uses up no key')
    FROM mn.task_again('r', 'task_6', 'run_12', 'me', 'k3', pg_temp.hash('x'));

-- ---- two people answer ------------------------------------------------------
SELECT mn.run_assign('r', 'run_11', 'task_6', 'sess_3', 'rnr_3', 1) \g /dev/null
SELECT mn.permission_put('r', 'perm_1', 'run_11', 3, 'q', 'tool', 'Write',
    'Write x', '{"c":"a"}', 'low', '', 0) \g /dev/null
SELECT mn.permission_settle('r', 'perm_1', 1, '', 'me', '', '', '')
\g /dev/null
SELECT pg_temp.ok(code = '', 'PERMISSION_SETTLE, the same again')
    FROM mn.permission_settle('r', 'perm_1', 1, 'because', 'you', '', '', '');
SELECT pg_temp.ok(code = 'already_answered',
    'PERMISSION_SETTLE with another input is another answer')
    FROM mn.permission_settle('r', 'perm_1', 1, '', 'you', '', '{"c":"b"}', '');
SELECT pg_temp.ok(code = 'already_answered',
    'PERMISSION_SETTLE with other answers, too')
    FROM mn.permission_settle('r', 'perm_1', 1, '', 'you', '', '', '["b"]');

-- ---- an answer that nobody heard serves once --------------------------------
SELECT mn.permission_cancel('r', 'run_11', 'q') \g /dev/null
SELECT pg_temp.ok(status = 'approved', 'an answer to what was withdrawn is '
    'kept for who asks the same') FROM mn.permission_put('r', 'perm_2',
    'run_11', 3, 'q2', 'tool', 'Write', 'Write x', '{"c":"a"}', 'low', '', 0);
SELECT mn.permission_sent('perm_2', 'rnr_3') \g /dev/null
SELECT pg_temp.run_end('r', 'run_11', 3, 'lost', 0, '', '', '', 0, 0, 0, 0, '',
    'pending', 'run_13', 0) \g /dev/null
SELECT mn.run_assign('r', 'run_13', 'task_6', 'sess_3', 'rnr_3', 1) \g /dev/null
SELECT pg_temp.ok(status = 'pending', 'and no second time')
    FROM mn.permission_put('r', 'perm_3', 'run_13', 4, 'q', 'tool', 'Write',
    'Write x', '{"c":"a"}', 'low', '', 0);

-- ---- an answer that was heard, which is known only after the end of the run ---
SELECT mn.permission_settle('r', 'perm_3', 1, '', 'me', '', '', '')
\g /dev/null
SELECT pg_temp.run_end('r', 'run_13', 4, 'lost', 0, '', '', '', 0, 0, 0, 0, '',
    'pending', 'run_14', 0) \g /dev/null
SELECT pg_temp.ok(rows = 0 AND EXISTS (SELECT FROM mn_data.kept_answer
    WHERE permission_id = 'perm_3'), 'it is kept, whatever another runner says')
    FROM mn.permission_sent('perm_3', 'rnr_1');
SELECT pg_temp.ok(rows = 1, 'until its runner says that it was heard')
    FROM mn.permission_sent('perm_3', 'rnr_3');
SELECT mn.run_assign('r', 'run_14', 'task_6', 'sess_3', 'rnr_3', 1) \g /dev/null
SELECT pg_temp.ok(status = 'pending', 'then the next attempt asks a person')
    FROM mn.permission_put('r', 'perm_4', 'run_14', 5, 'q', 'tool', 'Write',
    'Write x', '{"c":"a"}', 'low', '', 0);

-- ---- a queue that is full ---------------------------------------------------
-- What is said again of task_q1, which has the key, and of what is new.
SELECT pg_temp.task_put('r', 'task_q1', 'run_q1', 'sess_2', 'x', 10, 0, 0, '',
    '', '', 'me', 'k7', pg_temp.hash('7')) \g /dev/null
SELECT pg_temp.ok(code = '' AND task = 'task_q1' AND run = 'run_q1',
    'TASK_PUT full, same ids') FROM pg_temp.task_put('r', 'task_q1', 'run_qx',
    'sess_2', 'x', 10, 0, 0, '', '', '', 'me', '', '', is_full => 1);
SELECT pg_temp.ok(code = 'replayed' AND task = 'task_q1' AND run = 'run_q1',
    'TASK_PUT full, same key') FROM pg_temp.task_put('r', 'task_q2', 'run_q2',
    'sess_2', 'x', 10, 0, 0, '', '', '', 'me', 'k7', pg_temp.hash('7'),
    is_full => 1);
SELECT pg_temp.ok(code = 'idempotency_conflict' AND task = '',
    'TASK_PUT full, the key of another') FROM pg_temp.task_put('r', 'task_q2',
    'run_q2', 'sess_2', 'x', 10, 0, 0, '', '', '', 'me', 'k7',
    pg_temp.hash('8'), is_full => 1);
SELECT pg_temp.ok(code = 'rate_limited' AND task = '',
    'TASK_PUT full, a new key') FROM pg_temp.task_put('r', 'task_q2', 'run_q2',
    'sess_2', 'x', 10, 0, 0, '', '', '', 'me', 'k8', pg_temp.hash('8'),
    is_full => 1);
SELECT pg_temp.ok(code = 'not_found', 'TASK_PUT full, no such session')
    FROM pg_temp.task_put('r', 'task_q2', 'run_q2', 'sess_x', 'x', 10, 0, 0, '',
    '', '', 'me', 'k8', pg_temp.hash('8'), is_full => 1);
SELECT pg_temp.ok(count(*) = 0, 'and none of them is there') FROM mn_data.task
    WHERE id = 'task_q2';
SELECT pg_temp.ok(code = '' AND task = 'task_q3',
    'a key that was refused is free') FROM pg_temp.task_put('r', 'task_q3',
    'run_q3', 'sess_2', 'x', 10, 0, 0, '', '', '', 'me', 'k8',
    pg_temp.hash('9'));
-- One call for several, as of a batch.
CREATE TEMPORARY TABLE several AS SELECT * FROM mn.task_put('r',
    ARRAY['task_q4', 'task_q5'], ARRAY['run_q4', 'run_q5'],
    ARRAY['sess_2', 'sess_3'], ARRAY['x', 'x'], ARRAY[10, 10], ARRAY[0, 0],
    ARRAY[0, 0], ARRAY['', ''], ARRAY['', ''], ARRAY['', ''],
    ARRAY['me', 'me'], ARRAY['', ''], ARRAY[0, 0], ARRAY['', ''], ARRAY[1, 0],
    ARRAY['alog_a', 'alog_b'], ARRAY['', ''], ARRAY['ka', 'kb'],
    ARRAY[pg_temp.hash('a'), pg_temp.hash('b')]);
SELECT pg_temp.ok(string_agg(n || code || task, ' ' ORDER BY n) =
    '1rate_limited 2task_q5', 'TASK_PUT, one of two is full') FROM several;
