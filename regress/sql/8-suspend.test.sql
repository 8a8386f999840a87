-- A person's suspension holds against what was concluded before it, and against
-- nothing that came after it.
\ir alone.sql
SET mn.tenant = 's';
INSERT INTO mn_data.session (id, tenant_id, workspace_id, agent, is_byok,
    network_policy, allowed_hosts, lifecycle_mode, spec, labels, annotations,
    status, runner_id, epoch)
SELECT 'sess_s' || n, 's', 'ws_s' || n, 'x', false, 'open', '[]', 'persistent',
    '{}', '{}', '{}', 'active', 'rnr_s' || n, 1 FROM generate_series(1, 4) n;

-- A task now, and what sessiond asks for because of it.
CREATE FUNCTION pg_temp.task(p_task text, p_session text) RETURNS bigint
LANGUAGE sql AS $$
	SELECT wanted_ms FROM pg_temp.task_put('s', p_task,
	    'run_' || p_task, p_session, 'x', 10, 0, 0, '', '', '', 'me', '',
	    '')
$$;
CREATE FUNCTION pg_temp.revive(p_task text) RETURNS SETOF mn.session_row
LANGUAGE sql AS $$
	SELECT r.* FROM mn_data.task t, mn.session_revive('s', t.session_id,
	    mn.ms(t.wanted_at)) r WHERE t.id = p_task
$$;

-- ---- suspended again while somebody is about to wake it ---------------------
SELECT mn.session_wish('s', 'sess_s1', 1, 'idle', 0, '') \g /dev/null
SELECT pg_temp.task('task_s1', 'sess_s1') \g /dev/null
SELECT mn.session_wish('s', 'sess_s1', 1, 'lunch', 0, 'me') \g /dev/null
SELECT mn.session_detach('s', 'sess_s1', 'rnr_s1', 1, 'suspended', '')
\g /dev/null
SELECT pg_temp.ok(status = 'suspended'
    AND doc::json->>'suspend_reason' = 'lunch',
    'SESSION_REVIVE for a task that is older than the suspension: as it is')
    FROM pg_temp.revive('task_s1');
SELECT pg_temp.task('task_s2', 'sess_s1') \g /dev/null
SELECT pg_temp.ok(status = 'resuming', 'and for one made since it wakes it')
    FROM pg_temp.revive('task_s2');

-- ---- suspended while it sleeps ------------------------------------------------
SELECT mn.session_wish('s', 'sess_s2', 1, 'idle', 0, '') \g /dev/null
SELECT mn.session_detach('s', 'sess_s2', 'rnr_s2', 1, 'suspended', '')
\g /dev/null
SELECT pg_temp.task('task_s3', 'sess_s2') \g /dev/null
SELECT mn.session_wish('s', 'sess_s2', 1, 'idle', 0, '') \g /dev/null
CREATE TEMPORARY TABLE before AS SELECT count(*) AS n FROM mn_data.event;
SELECT pg_temp.ok(status = 'suspended'
    AND doc::json->>'suspend_reason' = 'user'
    AND suspended_ms >= (SELECT mn.ms(wanted_at) FROM mn_data.task
	WHERE id = 'task_s3'), 'a person suspends what sleeps as idle')
    FROM mn.session_wish('s', 'sess_s2', 1, '', 0, 'me');
SELECT pg_temp.ok(count(*) = max(n), 'which is no event, as it was suspended')
    FROM mn_data.event, before;
SELECT pg_temp.ok(status = 'suspended', 'and a task of before does not wake it')
    FROM pg_temp.revive('task_s3');
SELECT pg_temp.task('task_s4', 'sess_s2') \g /dev/null
SELECT pg_temp.ok(status = 'resuming', 'but one made since does')
    FROM pg_temp.revive('task_s4');

-- ---- lost in the moment in which it was suspended -----------------------------
SELECT mn.session_wish('s', 'sess_s3', 1, 'lunch', 0, 'me') \g /dev/null
SELECT mn.session_detach('s', 'sess_s3', 'rnr_s3', 1, 'resuming', 'lost')
\g /dev/null
SELECT pg_temp.task('task_s5', 'sess_s3') \g /dev/null
SELECT pg_temp.ok(status = 'suspended'
    AND doc::json->>'suspend_reason' = 'lunch'
    AND suspended_ms < (SELECT mn.ms(wanted_at) FROM mn_data.task
	WHERE id = 'task_s5'), 'what was wished is done as of when it was')
    FROM mn.session_wish('s', 'sess_s3', 1, 'user', 0, '');
SELECT pg_temp.ok(status = 'resuming', 'so a task made meanwhile wakes it')
    FROM pg_temp.revive('task_s5');
SELECT pg_temp.ok(status = 'suspended'
    AND doc::json->>'suspend_reason' = 'user'
    AND suspended_ms >= (SELECT mn.ms(wanted_at) FROM mn_data.task
	WHERE id = 'task_s5'), 'and is told once: a later one is of its own time')
    FROM mn.session_wish('s', 'sess_s3', 1, '', 0, 'me');
SELECT mn.session_wish('s', 'sess_s4', 1, 'idle', 0, '') \g /dev/null
SELECT mn.session_wish('s', 'sess_s4', 2, 'enough', 0, 'me') \g /dev/null
SELECT mn.session_detach('s', 'sess_s4', 'rnr_s4', 1, 'suspended', '')
\g /dev/null
SELECT pg_temp.ok(status = 'terminated'
    AND doc::json->>'suspend_reason' = 'enough',
    'also why it was to be terminated')
    FROM mn.session_wish('s', 'sess_s4', 2, 'user', 0, '');

-- ---- given back in two ways ---------------------------------------------------
SELECT pg_temp.ok(rows = 0 AND text = 'terminated', 'SESSION_DETACH again tells '
    'how it is') FROM mn.session_detach('s', 'sess_s4', 'rnr_s4', 1,
    'suspended', '');

-- ---- answered just before nobody was waited for any longer --------------------
INSERT INTO mn_data.session (id, tenant_id, workspace_id, agent, is_byok,
    network_policy, allowed_hosts, lifecycle_mode, spec, labels, annotations,
    status, runner_id, epoch)
VALUES ('sess_s5', 's', 'ws_s5', 'x', false, 'open', '[]', 'persistent', '{}',
    '{}', '{}', 'active', 'rnr_s5', 1);
SELECT pg_temp.task('task_s6', 'sess_s5') \g /dev/null
SELECT mn.run_assign('s', 'run_task_s6', 'task_s6', 'sess_s5', 'rnr_s5', 1)
\g /dev/null
SELECT mn.permission_put('s', 'perm_s' || n, 'run_task_s6', 1, 'q' || n, 'tool',
    'Write', 'Write x', '{"n":' || n || '}', 'low', '', 1)
    FROM generate_series(1, 2) n \g /dev/null
SELECT mn.permission_settle('s', 'perm_s1', 1, '', 'me', '', '', '')
\g /dev/null
SELECT mn.permission_settle('s', 'perm_s2', 1, '', 'me', '', '', '')
\g /dev/null
SELECT pg_temp.ok(status = 'active' AND wish = 0,
    'not suspended for a question that was answered meanwhile')
    FROM mn.session_wish('s', 'sess_s5', 1, 'permission', 0, '');
SELECT mn.permission_put('s', 'perm_s3', 'run_task_s6', 1, 'q3', 'tool', 'Write',
    'Write x', '{"n":3}', 'low', '', 1) \g /dev/null
SELECT pg_temp.ok(status = 'active' AND wish = 1, 'but for one that waits')
    FROM mn.session_wish('s', 'sess_s5', 1, 'permission', 0, '');

-- ---- idle, and then not -------------------------------------------------------
INSERT INTO mn_data.session (id, tenant_id, workspace_id, agent, is_byok,
    network_policy, allowed_hosts, lifecycle_mode, spec, labels, annotations,
    status, runner_id, epoch)
VALUES ('sess_s6', 's', 'ws_s6', 'x', false, 'open', '[]', 'persistent', '{}',
    '{}', '{}', 'active', 'rnr_s6', 1);
SELECT pg_temp.task('task_s7', 'sess_s6') \g /dev/null
SELECT pg_temp.ok(status = 'active' AND wish = 0,
    'a session that got a task meanwhile is not suspended as idle')
    FROM mn.session_wish('s', 'sess_s6', 1, 'idle', 0, '');
SELECT mn.task_stop('s', 'task_s7', '', 'me') \g /dev/null
SELECT pg_temp.ok(status = 'active' AND wish = 1, 'without one it is')
    FROM mn.session_wish('s', 'sess_s6', 1, 'idle', 0, '');

-- ---- whatever a person's name and reason --------------------------------------
SELECT mn.session_detach('s', 'sess_s6', 'rnr_s6', 1, 'suspended', '')
\g /dev/null
SELECT pg_temp.ok(status = 'suspended' AND doc::json->>'suspend_reason' =
    'user', 'who is called system is a person') FROM mn.session_wish('s',
    'sess_s6', 1, 'user', 0, 'system');
SELECT pg_temp.task('task_s8', 'sess_s6') \g /dev/null
SELECT mn.session_wish('s', 'sess_s6', 1, 'idle', 0, 'me') \g /dev/null
SELECT pg_temp.ok(status = 'suspended', 'and may give any reason')
    FROM pg_temp.revive('task_s8');

-- ---- a task that ends takes its questions along -------------------------------
INSERT INTO mn_data.session (id, tenant_id, workspace_id, agent, is_byok,
    network_policy, allowed_hosts, lifecycle_mode, spec, labels, annotations,
    status, runner_id, epoch)
SELECT 'sess_s' || n, 's', 'ws_s' || n, 'x', false, 'open', '[]', 'persistent',
    '{}', '{}', '{}', 'active', 'rnr_s' || n, 1 FROM generate_series(7, 8) n;
SELECT pg_temp.task('task_q' || n, 'sess_s' || n)
    FROM generate_series(7, 8) n \g /dev/null
SELECT mn.run_assign('s', 'run_task_q' || n, 'task_q' || n, 'sess_s' || n,
    'rnr_s' || n, 1) FROM generate_series(7, 8) n \g /dev/null
SELECT mn.permission_put('s', 'perm_q' || n, 'run_task_q' || n, 1, 'q', 'tool',
    'Write', 'Write x', '{"q":' || n || '}', 'low', '', 1)
    FROM generate_series(7, 8) n \g /dev/null
SELECT pg_temp.run_end('s', 'run_task_q' || n, 1, 'suspended', 0, '', '', '', 0,
    0, 0, 0, '', 'pending', 'run_again_q' || n, 0)
    FROM generate_series(7, 8) n \g /dev/null
SELECT pg_temp.ok(bool_and(status = 'pending'), 'what a suspended run asked '
    'waits') FROM mn_data.permission WHERE id IN ('perm_q7', 'perm_q8');
CREATE FUNCTION pg_temp.void(p_permission text, p_how text) RETURNS text
LANGUAGE sql AS $$
	SELECT pg_temp.ok(p.status = 'canceled' AND (SELECT count(*) = 1
	    FROM mn_data.event e, unnest(e.items) i
	    WHERE i.type = 'permission.canceled' AND i.resource_id = p.id),
	    p_how || ': canceled with it, and an event says so')
	FROM mn_data.permission p WHERE p.id = p_permission
$$;
SELECT mn.task_stop('s', 'task_q7', '', 'me') \g /dev/null
SELECT pg_temp.void('perm_q7', 'TASK_STOP of a task whose suspended run asked');
SELECT pg_temp.ok(code = 'invalid_state', 'so nobody can answer it')
    FROM mn.permission_settle('s', 'perm_q7', 1, '', 'me', '', '', '');
SELECT mn.run_assign('s', 'run_again_q8', 'task_q8', 'sess_s8', 'rnr_s8', 1)
\g /dev/null
SELECT pg_temp.run_end('s', 'run_again_q8', 2, 'lost', 0, '', '', '', 0, 0, 0,
    0, '', 'pending', 'run_third_q8', 0) \g /dev/null
SELECT pg_temp.ok(status = 'pending', 'a lost attempt leaves what one before '
    'it asked') FROM mn_data.permission WHERE id = 'perm_q8';
SELECT mn.run_assign('s', 'run_third_q8', 'task_q8', 'sess_s8', 'rnr_s8', 1)
\g /dev/null
SELECT pg_temp.run_end('s', 'run_third_q8', 3, 'completed', 0, '', '', '', 0, 0,
    0, 0, '', 'completed', '', 0) \g /dev/null
SELECT pg_temp.void('perm_q8', 'RUN_END of the last attempt');
