-- The wrong tenant sees and changes nothing of what 1-statements made.
\ir alone.sql
SET mn.tenant = 'a';
-- The parameter lies, row-level security does not; and the other way round.
SELECT pg_temp.ok(rows = 0 OR code <> '', 'wrong tenant: ' || what) FROM (
	SELECT 'SESSION_READ' AS what, r.rows, r.code
	FROM pg_temp.session_read('b', 'sess_0000000000000000000000001') r
	UNION ALL SELECT 'TASK_READ', r.rows, r.code
	FROM pg_temp.task_read('b', 'task_0000000000000000000000001') r
	UNION ALL SELECT 'PERMISSION_READ', r.rows, r.code
	FROM pg_temp.permission_read('b', 'perm_0000000000000000000000001') r
	UNION ALL SELECT 'AGENT_CONFIG_READ', r.rows, r.code
	FROM mn.agent_config_read('b', 'acfg_0000000000000000000000002') r
	UNION ALL SELECT 'RUN_PAGE', r.rows, r.code
	FROM mn.run_page('b', 'task_0000000000000000000000001') r
	UNION ALL SELECT 'LOG_PAGE', r.rows, r.code
	FROM mn.log_page('b', 'task_0000000000000000000000001', '{}') r) x;
SET mn.tenant = 'b';
SELECT pg_temp.ok(rows = 0 OR code <> '', 'row-level security: ' || what)
FROM (
	SELECT 'KEY_PAGE' AS what, r.rows, r.code
	FROM mn.key_page('a', '{}') r
	UNION ALL SELECT 'KEY_END', r.rows, r.code FROM
	mn.key_end('a', 'key_00000000000000000000000004', '', '') r
	UNION ALL SELECT 'SESSION_PAGE', r.rows, r.code
	FROM mn.session_page('a', '{}') r
	UNION ALL SELECT 'SESSION_READ', r.rows, r.code
	FROM pg_temp.session_read('a', 'sess_0000000000000000000000001') r
	UNION ALL SELECT 'SESSION_NOTE', r.rows, r.code FROM
	mn.session_note('a', 'sess_0000000000000000000000001', '', 0, 'x') r
	UNION ALL SELECT 'SESSION_DETACH', r.rows, r.code FROM
	mn.session_detach('a', 'sess_0000000000000000000000001',
	    'rnr_00000000000000000000000001', 1, 'suspended', '') r
	UNION ALL SELECT 'SESSION_PATCH', (r.session <> '')::integer, r.code
	FROM mn.session_patch('a', 'sess_0000000000000000000000001', 'chg_1',
	    '', '{}')
	    r
	UNION ALL SELECT 'SESSION_WISH', (r.session <> '')::integer, r.code
	FROM mn.session_wish('a', 'sess_0000000000000000000000001', 2, '', 1,
	    '') r
	UNION ALL SELECT 'SESSION_KEY', (r.session <> '')::integer, r.code
	FROM mn.session_key('a', 'sess_0000000000000000000000002', 'k') r
	UNION ALL SELECT 'TASK_PAGE', r.rows, r.code
	FROM mn.task_page('a', '{}') r
	UNION ALL SELECT 'TASK_READ', r.rows, r.code
	FROM pg_temp.task_read('a', 'task_0000000000000000000000001') r
	UNION ALL SELECT 'TASK_STOP', (r.task <> '')::integer, r.code
	FROM mn.task_stop('a', 'task_0000000000000000000000001', '', '') r
	UNION ALL SELECT 'TASK_AGAIN', (r.task <> '')::integer, r.code
	FROM mn.task_again('a', 'task_0000000000000000000000001', 'run_y', '', '', '')
	    r
	UNION ALL SELECT 'TASK_WAIT', r.rows, r.code
	FROM mn.task_wait('a', 'task_0000000000000000000000001', 'runner') r
	UNION ALL SELECT 'RUN_PAGE', r.rows, r.code
	FROM mn.run_page('a', 'task_0000000000000000000000001') r
	UNION ALL SELECT 'RUN_BEGIN', r, ''
	FROM pg_temp.run_begin('a', 'run_00000000000000000000000016',
	    'task_0000000000000000000000002', 3, 1) r
	UNION ALL SELECT 'RUN_STEP', r.rows, r.code
	FROM mn.run_step('a', 'run_00000000000000000000000016', 3, '') r
	UNION ALL SELECT 'RUN_UNASSIGN', r.rows, r.code
	FROM mn.run_unassign('a', 'run_00000000000000000000000016', 3) r
	UNION ALL SELECT 'PERMISSION_PAGE', r.rows, r.code
	FROM mn.permission_page('a', '{}') r
	UNION ALL SELECT 'PERMISSION_PUT', (r.permission <> '')::integer,
	    r.code FROM mn.permission_put('a', 'perm_y',
	    'run_00000000000000000000000016', 3, 'y', 'tool', '', '', '', '',
	    '', 0) r
	UNION ALL SELECT 'PERMISSION_SETTLE', (r.permission <> '')::integer,
	    r.code FROM mn.permission_settle('a',
	    'perm_0000000000000000000000001', 1, '', '', '', '', '') r
	UNION ALL SELECT 'PERMISSION_SENT', r.rows, r.code FROM
	mn.permission_sent('perm_0000000000000000000000001',
	    'rnr_00000000000000000000000001') r
	UNION ALL SELECT 'PERMISSION_CANCEL', r.rows, r.code FROM
	mn.permission_cancel('a', 'run_00000000000000000000000001', 'q1') r
	UNION ALL SELECT 'LOG_APPEND', r.rows, r.code FROM
	pg_temp.log_append('a', 'run_00000000000000000000000001',
	    'task_0000000000000000000000001', 1, 6, 1, E'{}\n') r
	UNION ALL SELECT 'LOG_PAGE', r.rows, r.code FROM
	mn.log_page('a', 'task_0000000000000000000000001', '{}') r
	UNION ALL SELECT 'RUNNER_TOKEN_PAGE', r.rows, r.code
	FROM mn.runner_token_page('a', '{}') r
	UNION ALL SELECT 'RUNNER_TOKEN_END', r.rows, r.code FROM
	mn.runner_token_end('a', 'rtk_00000000000000000000000002', '', '') r
	UNION ALL SELECT 'AGENT_CONFIG_PAGE', r.rows, r.code
	FROM mn.agent_config_page('a', '{}') r
	UNION ALL SELECT 'AGENT_CONFIG_END', r.rows, r.code FROM
	mn.agent_config_end('a', 'acfg_0000000000000000000000002', '') r) x;
SELECT pg_temp.ok(n = 0, 'row-level security, no row: ' || what) FROM (
	SELECT 'SESSION_REVIVE' AS what, count(*) AS n FROM
	mn.session_revive('a', 'sess_0000000000000000000000002', 1)
	UNION ALL SELECT 'SESSION_LOAD', count(*) FROM mn.session_load()
	UNION ALL SELECT 'TASK_LOAD', count(*) FROM mn.task_load()
	UNION ALL SELECT 'PERMISSION_LOAD', count(*) FROM mn.permission_load()
	UNION ALL SELECT 'SESSION_ATTACH', count(*) FROM mn.session_attach(
	    'a', 'sess_0000000000000000000000002',
	    'rnr_00000000000000000000000001')
	UNION ALL SELECT 'RUN_ASSIGN', count(*) FROM mn.run_assign('a',
	    'run_00000000000000000000000016',
	    'task_0000000000000000000000002',
	    'sess_0000000000000000000000001',
	    'rnr_00000000000000000000000001', 1)
	UNION ALL SELECT 'RUN_FIND', count(*) FROM
	mn.run_find('run_00000000000000000000000016')
	UNION ALL SELECT 'LOG_READ', count(*) FROM mn.log_read('a',
	    'task_0000000000000000000000001', 0, 0, 1000)
	UNION ALL SELECT 'KEY_FIND', count(*) FROM
	mn.key_find(pg_temp.hash('1'))
	UNION ALL SELECT 'KEY_CHECK', count(*) FROM
	mn.key_check('key_00000000000000000000000001')
	UNION ALL SELECT 'EVENT_PAGE', count(*) FROM
	mn.event_page('a', '', 100)
	UNION ALL SELECT 'AGENT_CONFIG_LOAD', count(*) FROM
	mn.agent_config_load('a', 'acfg_0000000000000000000000002')
	UNION ALL SELECT 'DATA_KEY_PUT', count(*) FROM
	mn.data_key_put('a', '')) x;
-- A shared runner is seen, without the other tenant's session.
SELECT pg_temp.ok(doc::json->>'status' = 'busy'
    AND doc::json->>'session_id' IS NULL, 'RUNNER_READ of a shared runner')
    FROM pg_temp.runner_read('b', 'rnr_00000000000000000000000001');
SELECT pg_temp.ok(json_array_length(doc::json->'items') = 2
    AND doc NOT LIKE '%sess\_%', 'RUNNER_PAGE of shared runners') FROM
    mn.runner_page('b', '{}');
-- Nothing can be written into another tenant's place.
\set ON_ERROR_STOP off
INSERT INTO mn_data.tenant (tenant_id) VALUES ('a2');
SELECT pg_temp.ok(:'SQLSTATE' = '42501', 'no row of another tenant is made');
UPDATE mn_data.runner SET tenant_id = 'b', shared = false
WHERE id = 'rnr_00000000000000000000000002';
SELECT pg_temp.ok(:'SQLSTATE' = '42501', 'no shared runner is taken over');
ALTER TABLE mn_data.task DISABLE ROW LEVEL SECURITY;
SELECT pg_temp.ok(:'SQLSTATE' = '42501', 'the role owns no table');
SELECT mn.grant_to('marionette');
SELECT pg_temp.ok(:'SQLSTATE' = '42501', 'the role grants nothing');
\set ON_ERROR_STOP on
RESET mn.tenant;
SELECT pg_temp.ok((SELECT count(*) FROM mn_data.task) = 0 AND
    (SELECT count(*) FROM mn_data.runner) = 0, 'without tenant: no row');
SET mn.tenant = '';
SELECT pg_temp.ok((SELECT count(*) FROM mn_data.task) = 0 AND
    (SELECT count(*) FROM mn_data.runner) = 0, 'with an empty one: no row');
