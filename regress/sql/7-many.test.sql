-- Many rows of which few matter: who asks for those reads no others.
\ir alone.sql
SET enable_seqscan = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET random_page_cost = 1;
SET cpu_tuple_cost = 1;
SET plan_cache_mode = force_generic_plan;
SET mn.tenant = 'm';
INSERT INTO mn_data.session (id, tenant_id, workspace_id, agent, is_byok,
    network_policy, allowed_hosts, lifecycle_mode, spec, labels, annotations,
    status, runner_id, epoch)
SELECT 'sess_m' || n, 'm', 'ws_m' || n, 'x', false, 'open', '[]', 'persistent',
    '{}', '{}', '{}', 'active', 'rnr_m' || n, 1 FROM generate_series(1, 2) n;
INSERT INTO mn_data.task (id, tenant_id, session_id, prompt, status, priority,
    max_retries, timeout, run_id, labels, annotations, wanted_at, ended_at)
SELECT 'task_m' || n, 'm', 'sess_m1', 'x', 'completed', 0, 0, 10, 'run_m' || n,
    '{}', '{}', now(), now() FROM generate_series(1, 3000) n;
SELECT pg_temp.task_put('m', 'task_m0', 'run_m0', 'sess_m1', 'x', 10, 0, 0, '',
    '', '', 'me', '', '', 'rnr_m1', 1) \g /dev/null
INSERT INTO mn_data.permission (id, tenant_id, session_id, task_id, run_id,
    request, kind, tool, action, input, risk, status, again, suspend_after,
    responded_at)
SELECT 'perm_m' || n, 'm', 'sess_m1', 'task_m0', 'run_m0', 'q' || n, 'tool',
    'T', 'x', '{}', 'low', 'approved', false, 0, now()
FROM generate_series(1, 3000) n;

-- Rows that were fetched from a table in this transaction until now.
CREATE FUNCTION pg_temp.fetched(t regclass) RETURNS bigint
LANGUAGE sql AS $$ SELECT seq_tup_read + idx_tup_fetch
    FROM pg_stat_xact_user_tables WHERE relid = t $$;
CREATE FUNCTION pg_temp.items(doc text) RETURNS text
LANGUAGE sql AS $$ SELECT coalesce(string_agg(i->>'id', ' '), '')
    FROM json_array_elements(doc::json->'items') i $$;

BEGIN;
SELECT pg_temp.fetched('mn_data.permission') AS before \gset
SELECT mn.permission_put('m', 'perm_m0', 'run_m0', 1, 'q', 'tool', 'T', 'x',
    '{}', 'low', '', 0) \g /dev/null
SELECT pg_temp.ok(pg_temp.fetched('mn_data.permission') - :before < 50,
    'PERMISSION_PUT of a first attempt reads nothing else that it asked: ' ||
    pg_temp.fetched('mn_data.permission') - :before || ' rows');
COMMIT;

BEGIN;
SELECT pg_temp.fetched('mn_data.task') AS before \gset
SELECT pg_temp.ok(pg_temp.items(doc) = 'task_m0', 'TASK_LIST of open ones')
    FROM mn.task_page('m', '{"status":["pending","running"]}');
SELECT pg_temp.ok(pg_temp.items(doc) = '', 'TASK_LIST of running ones')
    FROM mn.task_page('m', '{"status":["running"],"count":true}');
SELECT pg_temp.ok(pg_temp.fetched('mn_data.task') - :before < 50,
    'the others are not read: ' || pg_temp.fetched('mn_data.task') - :before
    || ' rows');
COMMIT;
SELECT pg_temp.ok(doc::json->>'total_count' = '3000' AND doc::json->>'has_more'
    = 'true', 'TASK_LIST of ended ones')
    FROM mn.task_page('m', '{"status":["completed"],"count":true,"limit":5}');

BEGIN;
SELECT pg_temp.fetched('mn_data.permission') AS before \gset
SELECT pg_temp.ok(pg_temp.items(doc) = 'perm_m0',
    'PERMISSION_LIST of those that wait')
    FROM mn.permission_page('m', '{"status":["pending"]}');
SELECT pg_temp.ok(pg_temp.items(doc) = '', 'PERMISSION_LIST of a session')
    FROM mn.permission_page('m', '{"session_id":["sess_m2"]}');
SELECT pg_temp.ok(pg_temp.fetched('mn_data.permission') - :before < 50,
    'the others are not read: ' || pg_temp.fetched('mn_data.permission')
    - :before || ' rows');
COMMIT;

BEGIN;
SELECT pg_temp.fetched('mn_data.task') AS before \gset
SELECT pg_temp.ok(wish = 1, 'SESSION_WISH suspend') FROM mn.session_wish('m',
    'sess_m1', 1, '', 0, 'me');
SELECT pg_temp.ok(pg_temp.fetched('mn_data.task') - :before < 50,
    'its ended tasks are not read: ' || pg_temp.fetched('mn_data.task')
    - :before || ' rows');
COMMIT;
