-- Leaving a runner, the events of all that, housekeeping; behind 1-statements.
\ir alone.sql
SET mn.tenant = 'a';
SELECT pg_temp.ok(wish = 1 AND status = 'active' AND suspended_ms > 0,
    'SESSION_WISH suspend of an active one') FROM mn.session_wish('a',
    'sess_0000000000000000000000001', 1, 'lunch', 0, 'me');
SELECT pg_temp.ok(code = 'invalid_state', 'SESSION_WISH resume meanwhile')
    FROM mn.session_wish('a', 'sess_0000000000000000000000001', 0, '', 0,
    'me');
SELECT pg_temp.ok(rows = 0, 'SESSION_DETACH of an old epoch') FROM
    mn.session_detach('a', 'sess_0000000000000000000000001',
    'rnr_00000000000000000000000001', 0, 'suspended', '');
SELECT pg_temp.ok(rows = 1 AND doc::json->>'status' = 'suspended'
    AND doc::json->>'runner_id' IS NULL
    AND doc::json->>'suspend_reason' = 'lunch', 'SESSION_DETACH') FROM
    mn.session_detach('a', 'sess_0000000000000000000000001',
    'rnr_00000000000000000000000001', 1, 'suspended', '');
SELECT pg_temp.ok(rows = 0, 'SESSION_DETACH again') FROM
    mn.session_detach('a', 'sess_0000000000000000000000001',
    'rnr_00000000000000000000000001', 1, 'suspended', '');
SELECT pg_temp.ok(status = 'resuming' AND home =
    'rnr_00000000000000000000000001', 'SESSION_WISH resume') FROM
    mn.session_wish('a', 'sess_0000000000000000000000001', 0, '', 0, 'me');
SELECT pg_temp.ok(count(*) = 1 AND max(epoch) = 2, 'attached again') FROM
    mn.session_attach('a', 'sess_0000000000000000000000001',
    'rnr_00000000000000000000000001');
SELECT pg_temp.ok(count(*) > 30 AND bool_and(body::json->>'id' LIKE 'evt\_%')
    AND bool_and(body LIKE '{"id":%'), 'EVENT_PAGE') FROM
    mn.event_page('a', '', 100);
SELECT pg_temp.ok(string_agg(type, ' ') =
    'task.created task.running task.progress task.waiting task.running '
    'task.canceled task.canceled', 'the events of a task') FROM mn.event_page('a', '', 1000)
    WHERE body::json->'resource'->>'id' = 'task_0000000000000000000000001';
SELECT pg_temp.ok((SELECT count(*) FROM mn.event_page('a', (SELECT position
    FROM mn.event_page('a', '', 10) OFFSET 9), 5)) = 5,
    'EVENT_PAGE after a position');
SELECT pg_temp.ok(bool_and(r.rest = e.total - e.place) AND count(*) > 30
    AND count(DISTINCT e.body::json->>'id') = count(*),
    'EVENT_PAGE after each: the rest, also after one of several that a call told')
    FROM (SELECT position, body, row_number() OVER () AS place,
	count(*) OVER () AS total FROM mn.event_page('a', '', 1000)) e,
    LATERAL (SELECT count(*) AS rest
	FROM mn.event_page('a', e.position, 1000)) r;
SELECT pg_temp.ok(bool_and(o.position = e.position), 'EVENT_PAGE one by one')
    FROM (SELECT position, lag(position) OVER () AS before
	FROM mn.event_page('a', '', 1000)) e,
    LATERAL (SELECT position FROM mn.event_page('a', coalesce(e.before, ''),
	1)) o;
-- A page of a long way reads what it gives, and a few rows at once.
BEGIN;
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off;
SELECT pg_stat_get_xact_tuples_fetched('mn_data.event_page'::regclass) AS before
\gset
SELECT position FROM mn.event_page('a', '', 1) \g /dev/null
SELECT pg_temp.ok(pg_stat_get_xact_tuples_fetched('mn_data.event_page'::regclass)
    - :before BETWEEN 1 AND 12, 'EVENT_PAGE does not read all that follows');
COMMIT;
SELECT pg_temp.ok(bool_and(json_typeof(body::json->'data') = 'object'),
    'each has its data') FROM mn.event_page('a', '', 1000);
SELECT pg_temp.ok(mn.error_doc('c', E'a "b"\n\\')::json->>'message' =
    E'a "b"\n\\' AND mn.error_doc(NULL, NULL) = 'null' AND
    mn.error_doc(NULL, 'x')::jsonb = '{"code": null, "message": "x"}',
    'what is concatenated is JSON');
SET mn.tenant = '*';
SELECT pg_temp.ok(bool_and(f.position = e.position), 'the feed one by one')
    FROM (SELECT position, lag(position, 1, '0.0') OVER () AS before
	FROM mn.event_feed(0, 0)) e,
    LATERAL (SELECT position FROM mn.event_feed(split_part(e.before, '.',
	1)::bigint, split_part(e.before, '.', 2)::bigint) LIMIT 1) f;
SELECT pg_temp.ok(NOT mn.janitor(30, 60), 'the janitor works');
SELECT pg_temp.ok(count(*) = 8, 'partitions for eight days') FROM pg_inherits
    WHERE inhparent = 'mn_data.log'::regclass;
