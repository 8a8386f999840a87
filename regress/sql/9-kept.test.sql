-- An answer that nobody heard serves the task that it was given for, while that is
-- at work, and no other.
\ir alone.sql
SET mn.tenant = 'k';
INSERT INTO mn_data.session (id, tenant_id, workspace_id, agent, is_byok,
    network_policy, allowed_hosts, lifecycle_mode, spec, labels, annotations,
    status, runner_id, epoch)
SELECT 'sess_k' || n, 'k', 'ws_k' || n, 'x', false, 'open', '[]', 'persistent',
    '{}', '{}', '{}', 'active', 'rnr_k' || n, 1 FROM generate_series(1, 7) n;

-- Task n of session n; its other task is n with a b.
CREATE FUNCTION pg_temp.task(p_n text) RETURNS SETOF mn.run_row
LANGUAGE sql AS $$
	SELECT pg_temp.task_put('k', 'task_k' || p_n, 'run_k' || p_n || '.1',
	    'sess_k' || left(p_n, 1), 'x', 10, 0, 0, '', '', '', 'me', '', '');
	SELECT * FROM mn.run_assign('k', 'run_k' || p_n || '.1', 'task_k' ||
	    p_n, 'sess_k' || left(p_n, 1), 'rnr_k' || left(p_n, 1), 1)
$$;
CREATE FUNCTION pg_temp.next(p_n text, p_attempt bigint)
RETURNS SETOF mn.run_row LANGUAGE sql AS $$
	SELECT * FROM mn.run_assign('k', 'run_k' || p_n || '.' || p_attempt,
	    'task_k' || p_n, 'sess_k' || p_n, 'rnr_k' || p_n, 1)
$$;
CREATE FUNCTION pg_temp.asks(p_n text, p_attempt bigint) RETURNS text
LANGUAGE sql AS $$
	SELECT status FROM mn.permission_put('k', 'perm_k' || p_n || '.' ||
	    p_attempt, 'run_k' || p_n || '.' || p_attempt, p_attempt, 'q',
	    'tool', 'Bash', 'Bash: make', '{"c":"make"}', 'medium', '', 1)
$$;
CREATE FUNCTION pg_temp.approve(p_n text) RETURNS text
LANGUAGE sql AS $$
	SELECT status FROM mn.permission_settle('k', 'perm_k' || p_n || '.1', 1,
	    '', 'me', '', '', '')
$$;
-- Of an attempt, with what becomes of its task.
CREATE FUNCTION pg_temp.ends(p_n text, p_attempt bigint, p_status text,
    p_task text) RETURNS bigint
LANGUAGE sql AS $$
	SELECT rows FROM pg_temp.run_end('k', 'run_k' || p_n || '.' ||
	    p_attempt, p_attempt, p_status, 0, '', '', '', 0, 0, 0, 0, '',
	    p_task, CASE WHEN p_task = 'pending' THEN 'run_k' || p_n || '.' ||
	    p_attempt + 1 ELSE '' END, 0)
$$;

-- ---- another task of the session asks the same --------------------------------
SELECT pg_temp.task('1') \g /dev/null
SELECT pg_temp.asks('1', 1) \g /dev/null
SELECT pg_temp.ends('1', 1, 'suspended', 'pending') \g /dev/null
SELECT pg_temp.approve('1') \g /dev/null
SELECT pg_temp.task('1b') \g /dev/null
SELECT pg_temp.ok(pg_temp.asks('1b', 1) = 'pending',
    'an answer for one task is none for the next, which asks first');
SELECT pg_temp.ends('1b', 1, 'completed', 'completed') \g /dev/null
SELECT pg_temp.next('1', 2) \g /dev/null
SELECT pg_temp.ok(pg_temp.asks('1', 2) = 'approved',
    'it serves the next attempt of its own');

-- ---- the task has ended: no answer of it is left --------------------------------
-- Whoever tries it again, as a person may what failed or was canceled, asks.
CREATE FUNCTION pg_temp.gone(p_n text, p_how text) RETURNS text
LANGUAGE sql AS $$
	SELECT pg_temp.ok(NOT EXISTS (SELECT FROM mn_data.kept_answer
	    WHERE session_id = 'sess_k' || p_n), p_how || ': its answers go')
$$;
SELECT pg_temp.task(n::text), pg_temp.asks(n::text, 1)
    FROM generate_series(2, 7) n \g /dev/null
SELECT pg_temp.ends(n::text, 1, 'suspended', 'pending')
    FROM generate_series(2, 4) n \g /dev/null
SELECT pg_temp.approve(n::text) FROM generate_series(2, 7) n \g /dev/null

SELECT mn.task_stop('k', 'task_k2', '', 'me') \g /dev/null
SELECT pg_temp.gone('2', 'TASK_STOP of a task that waits');
SELECT mn.task_again('k', 'task_k2', 'run_k2.3', 'me', '', '') \g /dev/null
SELECT pg_temp.next('2', 3) \g /dev/null
SELECT pg_temp.ok(pg_temp.asks('2', 3) = 'pending',
    'so that a person is asked when it is tried again');
SELECT pg_temp.next('3', 2) \g /dev/null
SELECT pg_temp.ends('3', 2, 'completed', 'completed') \g /dev/null
SELECT pg_temp.gone('3', 'RUN_END of a later attempt, which never asked');
SELECT pg_temp.next('4', 2) \g /dev/null
SELECT pg_temp.ends('4', 2, 'canceled', 'canceled') \g /dev/null
SELECT pg_temp.gone('4', 'RUN_END as canceled');
SELECT pg_temp.ends('5', 1, 'failed', 'failed') \g /dev/null
SELECT pg_temp.gone('5', 'RUN_END as failed, with an answer on its way');
SELECT mn.permission_cancel('k', 'run_k6.1', 'q') \g /dev/null
SELECT pg_temp.ends('6', 1, 'completed', 'completed') \g /dev/null
SELECT pg_temp.gone('6', 'RUN_END of who withdrew what was answered');
SELECT pg_temp.ends('7', 1, 'failed', 'failed') \g /dev/null
SELECT mn.permission_cancel('k', 'run_k7.1', 'q') \g /dev/null
SELECT pg_temp.gone('7', 'PERMISSION_CANCEL behind the end');

-- ---- another question under an id that was used ----------------------------------
INSERT INTO mn_data.session (id, tenant_id, workspace_id, agent, is_byok,
    network_policy, allowed_hosts, lifecycle_mode, spec, labels, annotations,
    status, runner_id, epoch)
VALUES ('sess_k8', 'k', 'ws_k8', 'x', false, 'open', '[]', 'persistent', '{}',
    '{}', '{}', 'active', 'rnr_k8', 1);
SELECT pg_temp.task('8') \g /dev/null
SELECT pg_temp.asks('8', 1) \g /dev/null
SELECT pg_temp.approve('8') \g /dev/null
SELECT pg_temp.ok(pg_temp.asks('8', 1) = 'approved',
    'PERMISSION_PUT again: the request as it was answered');
SELECT pg_temp.ok(permission = '' AND code = 'invalid_state',
    'PERMISSION_PUT of another input under its id: that answer is none for it')
    FROM mn.permission_put('k', 'perm_k8.x', 'run_k8.1', 1, 'q', 'tool', 'Bash',
    'Bash: make', '{"c":"make install"}', 'high', '', 1);
SELECT pg_temp.ok(permission = '' AND code = 'invalid_state', 'nor for another '
    'tool') FROM mn.permission_put('k', 'perm_k8.x', 'run_k8.1', 1, 'q', 'tool',
    'Write', 'Write: make', '{"c":"make"}', 'medium', '', 1);
