-- What is removed for its age, and what is said of it.
\set QUIET on
\pset format unaligned
\pset tuples_only on
\c - owner
SET search_path = mn, mn_data;
SET mn.tenant = '*';
CREATE TABLE mn_data.log_20200101 (LIKE mn_data.log INCLUDING DEFAULTS);
ALTER TABLE mn_data.log ATTACH PARTITION mn_data.log_20200101
    FOR VALUES FROM ('2020-01-01') TO ('2020-01-02');
INSERT INTO mn_data.idempotency VALUES ('k', 'old', '', 'x',
    now() - interval '25 hours'), ('k', 'new', '', 'x', now());
INSERT INTO mn_data.event (xid, id, tenant_id, items, created_at) VALUES (1,
    'e1', 'k', ARRAY[mn.event_item('t', 'r', 'i', NULL, NULL, '{}', '{}')],
    now() - interval '40 days') RETURNING xid AS old \gset
INSERT INTO mn_data.event (id, tenant_id, items) VALUES ('e2', 'k',
    ARRAY[mn.event_item('t', 'r', 'i', NULL, NULL, '{}', '{}')])
    RETURNING xid || '.' || seq AS new \gset
INSERT INTO mn_data.event (tenant_id, items) SELECT 'k', ARRAY[ARRAY[
    mn.event_item('a', 'r', '1', NULL, NULL, '{}', '{}'), NULL], ARRAY[
    mn.event_item('b', 'r', '2', NULL, NULL, '{}', '{}'),
    mn.event_item('c', 'r', '2', NULL, NULL, '{}', '{}')]]
    RETURNING xid || '.' AS several, seq \gset
CREATE FUNCTION mn_data.log_is_locked() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	PERFORM set_config('mn.log_was_locked', EXISTS (SELECT FROM pg_locks
	    WHERE pid = pg_backend_pid() AND mode = 'AccessExclusiveLock'
	    AND relation = 'mn_data.log'::regclass)::text, false);
	RETURN NULL;
END
$$;
CREATE TRIGGER is_locked AFTER DELETE ON mn_data.event
    EXECUTE FUNCTION mn_data.log_is_locked();
\c - marionette
SET search_path = mn, mn_data;
CREATE FUNCTION pg_temp.ok(cond boolean, what text) RETURNS text
LANGUAGE sql AS $$
	SELECT CASE WHEN cond THEN 'ok - ' ELSE 'not ok - ' END || what
$$;
SET mn.tenant = '*';
SELECT pg_temp.ok(NOT mn.janitor(30, 60), 'the janitor has done all of it');
SELECT pg_temp.ok(to_regclass('mn_data.log_20200101') IS NULL,
    'an old day of the log is dropped');
SELECT pg_temp.ok(current_setting('mn.log_was_locked') = 'false',
    'and while other things are removed the log is written');
SELECT pg_temp.ok(string_agg(key, ' ') = 'new',
    'Idempotency-Keys are kept 24 hours') FROM mn_data.idempotency
    WHERE tenant_id = 'k';
SET mn.tenant = 'k';
SELECT pg_temp.ok(string_agg(body::json->>'id', ' ') = 'e2',
    'an old event is removed') FROM mn.event_page('k', '', 1);
SELECT pg_temp.ok(string_agg(type || ' ' || position, ' ') = 'b ' || :'several'
    || :'seq' + 2 || ' c ' || :'several' || :'seq' + 3,
    'of several that a call told, what is after one')
    FROM mn.event_page('k', :'several' || :'seq', 10);
SELECT pg_temp.ok(code = 'gone' AND doc = :'old' + 1 || '.0',
    'reading after it: gone, and the oldest position')
    FROM mn.event_page('k', :'old' || '.0', 10);
SELECT pg_temp.ok(count(*) = 1 AND max(code) = 'gone' AND max(doc) = :'old' + 1
    || '.0', 'and after what is still to come: it was in another database')
    FROM mn.event_page('k', '999999999999.1', 10);
SELECT pg_temp.ok(count(*) = 0, 'but not after where all begins that begins now')
    FROM mn.event_page('k', pg_snapshot_xmin(pg_current_snapshot()) || '.0', 10);
SELECT pg_temp.ok(string_agg(type, ' ') = 'a b c', 'reading after one that is kept')
    FROM mn.event_page('k', :'new', 10);
SELECT pg_temp.ok(count(*) = 0, 'reading after all')
    FROM mn.event_page('k', :'several' || :'seq' + 3, 10);
-- More than one step: it says so, and goes on.
SET mn.tenant = '*';
INSERT INTO mn_data.idempotency SELECT 'k', 'old ' || n, '', 'x',
    now() - interval '25 hours' FROM generate_series(1, 10001) n;
SELECT pg_temp.ok(mn.janitor(30, 60), 'there is more to do');
SELECT pg_temp.ok(NOT mn.janitor(30, 60), 'and then there is not');
SELECT pg_temp.ok(count(*) = 0, 'all old keys are gone')
    FROM mn_data.idempotency WHERE key LIKE 'old%';
-- A clock that was wrong for a while makes no event older than it is.
INSERT INTO mn_data.event (id, tenant_id, items, created_at) VALUES ('e3', 'k',
    ARRAY[mn.event_item('t', 'r', 'i', NULL, NULL, '{}', '{}')],
    now() - interval '10 years');
SELECT pg_temp.ok(NOT mn.janitor(30, 60), 'an event of a clock that was slow');
SET mn.tenant = 'k';
SELECT pg_temp.ok(string_agg(body::json->>'id', ' ') = 'e2',
    'takes none away that came before it') FROM mn.event_page('k', '', 1);
SELECT pg_temp.ok(string_agg(type, ' ') = 'a b c t',
    'and who has seen those goes on') FROM mn.event_page('k', :'new', 10);
SET mn.tenant = '*';
DELETE FROM mn_data.event WHERE id = 'e3';
INSERT INTO mn_data.event (id, tenant_id, items, created_at) SELECT id, 'f',
    ARRAY[mn.event_item('t', 'r', 'i', NULL, NULL, '{}', '{}')],
    now() + age FROM (VALUES ('f1', interval '10 years'),
    ('f2', interval '-40 days'), ('f3', interval '0')) AS v (id, age);
DELETE FROM mn_data.event WHERE tenant_id <> 'f';
SELECT pg_temp.ok(NOT mn.janitor(30, 60), 'an event of a clock that was fast');
SELECT pg_temp.ok(count(*) = 0, 'keeps none that follows it')
    FROM mn_data.event WHERE id IN ('f1', 'f2');
-- A clock that leaps by forty days: nothing is as old as it says, but in time.
\c - owner
SET search_path = mn, mn_data;
SELECT 'log_' || to_char((now() - interval '35 days') AT TIME ZONE 'UTC',
    'YYYYMMDD') AS part, ((now() - interval '35 days') AT TIME ZONE 'UTC')::date
    AS day \gset
CREATE TABLE mn_data.:part (LIKE mn_data.log INCLUDING DEFAULTS);
ALTER TABLE mn_data.log ATTACH PARTITION mn_data.:part FOR VALUES FROM (:'day')
    TO (:'day'::date + 1);
SELECT mn.log_ahead() IS NOT NULL AS done \gset
UPDATE clock SET believed = now() - interval '40 days';
\c - marionette
SET search_path = mn, mn_data;
CREATE FUNCTION pg_temp.ok(cond boolean, what text) RETURNS text
LANGUAGE sql AS $$
	SELECT CASE WHEN cond THEN 'ok - ' ELSE 'not ok - ' END || what
$$;
SET mn.tenant = '*';
SELECT pg_temp.ok(to_regclass('mn_data.' || :'part') IS NOT NULL,
    'new functions drop no day of the log, however long they are kept');
DELETE FROM mn_data.event;
INSERT INTO mn_data.event (id, tenant_id, items, created_at) VALUES ('g1', 'k',
    ARRAY[mn.event_item('t', 'r', 'i', NULL, NULL, '{}', '{}')],
    now() - interval '35 days');
INSERT INTO mn_data.idempotency VALUES ('k', 'leapt', '', 'x',
    now() - interval '25 hours');
SELECT pg_temp.ok(NOT mn.janitor(30, 60), 'the clock has leapt');
SELECT pg_temp.ok(to_regclass('mn_data.' || :'part') IS NOT NULL AND
    EXISTS (SELECT FROM mn_data.event WHERE id = 'g1') AND
    EXISTS (SELECT FROM mn_data.idempotency WHERE key = 'leapt'),
    'and nothing is removed');
SELECT pg_temp.ok(NOT mn.janitor(30, 345600), 'it is believed, in time');
SELECT pg_temp.ok(to_regclass('mn_data.' || :'part') IS NULL AND
    NOT EXISTS (SELECT FROM mn_data.event WHERE id = 'g1') AND
    NOT EXISTS (SELECT FROM mn_data.idempotency WHERE key = 'leapt'),
    'and what is old is removed');
UPDATE mn_data.clock SET believed = now() + interval '1 day';
SELECT pg_temp.ok(NOT mn.janitor(30, 60), 'the clock is set back');
SELECT pg_temp.ok(believed <= now(), 'and believed at once') FROM mn_data.clock;
SELECT mn.log_drop('9999-01-01') IS NOT NULL AS done \gset
SELECT pg_temp.ok(to_regclass('mn_data.log_' || to_char(now() AT TIME ZONE 'UTC',
    'YYYYMMDD')) IS NOT NULL, 'nobody drops the log of today');
-- Lines that are gone.
SET mn.tenant = 'a';
SELECT pg_temp.ok(code = 'validation_error', 'LOG_PAGE, no position')
    FROM mn.log_page('a', 'task_0000000000000000000000001',
    '{"after":"x"}');
\c - owner
SET mn.tenant = '*';
DELETE FROM mn_data.log WHERE task_id = 'task_0000000000000000000000001'
    AND first = 1;
DROP FUNCTION mn_data.log_is_locked() CASCADE;
\c - marionette
SET search_path = mn, mn_data;
\ir alone.sql
SET mn.tenant = 'a';
-- Of one task the first lines are gone, of another all of two attempts, and of a
-- third all.
SELECT 'task_0000000000000000000000001' AS one,
    'task_0000000000000000000000002' AS two \gset
UPDATE mn_data.run SET log_last = attempt WHERE task_id = :'two';
INSERT INTO mn_data.log (tenant_id, task_id, attempt, first, count, lines)
    VALUES ('a', :'two', 3, 1, 3, E'{}\n{}\n{}\n');
SELECT pg_temp.task_put('a', 'task_three', 'run_three', session_id, 'x', 10, 0,
    0, '', '', '', 'me', '', '') FROM mn_data.task WHERE id = :'two'
\g /dev/null
UPDATE mn_data.run SET log_last = 7 WHERE id = 'run_three';
CREATE FUNCTION pg_temp.page(task text, after text) RETURNS SETOF mn.answer
LANGUAGE sql AS $$
	SELECT * FROM mn.log_page('a', task,
	    json_build_object('after', after)::text)
$$;
SELECT pg_temp.ok(code = 'gone' AND doc::json->>'oldest' = '1.3',
    'LOG_PAGE before the oldest line') FROM pg_temp.page(:'one', '1.1');
SELECT pg_temp.ok(json_array_length(doc::json->'items') = 2,
    'LOG_PAGE from where it is told to: no line that is kept is missed')
    FROM pg_temp.page(:'one', (SELECT doc::json->>'oldest'
	FROM pg_temp.page(:'one', '1.1')));
SELECT pg_temp.ok(json_array_length(doc::json->'items') = 2,
    'LOG_PAGE from the first that is kept') FROM pg_temp.page(:'one', '');
SELECT pg_temp.ok(code = 'gone' AND doc::json->>'oldest' = '3.0',
    'LOG_PAGE before an attempt of which nothing is left')
    FROM pg_temp.page(:'two', '1.1');
SELECT pg_temp.ok(code = '' AND json_array_length(doc::json->'items') = 3,
    'LOG_PAGE after it') FROM pg_temp.page(:'two', '2.2');
SELECT pg_temp.ok(code = 'gone' AND doc::json->>'oldest' = '1.7',
    'LOG_PAGE of a task of which nothing is left')
    FROM pg_temp.page('task_three', '1.3');
SELECT pg_temp.ok(code = '' AND json_array_length(doc::json->'items') = 0,
    'LOG_PAGE from its last line') FROM pg_temp.page('task_three', '1.7');
SELECT pg_temp.ok(code = '' AND json_array_length(doc::json->'items') = 0,
    'LOG_PAGE from the first that is kept, of none')
    FROM pg_temp.page('task_three', '');
CREATE FUNCTION pg_temp.read(task text, attempt bigint, after bigint)
RETURNS text LANGUAGE sql AS $$
	SELECT string_agg(concat_ws(' ', attempt || '.' || first || '+' ||
	    count, nullif(code, ''), nullif(doc, '')::json->>'oldest'),
	    ', ')
	FROM mn.log_read('a', task, attempt, after, 1000)
$$;
SELECT pg_temp.ok(pg_temp.read(:'one', 1, 1) = '0.0+0 gone 1.3',
    'LOG_READ before the oldest line');
SELECT pg_temp.ok(pg_temp.read(:'one', 1, 3) LIKE '1.4+2, _._+0',
    'LOG_READ from there');
SELECT pg_temp.ok(pg_temp.read(:'one', 0, 0) LIKE '1.4+2, _._+0',
    'LOG_READ from the first that is kept');
SELECT pg_temp.ok(pg_temp.read(:'two', 1, 1) = '0.0+0 gone 3.0',
    'LOG_READ before an attempt of which nothing is left');
SELECT pg_temp.ok(pg_temp.read('task_three', 1, 3) = '0.0+0 gone 1.7',
    'LOG_READ of a task of which nothing is left');
SELECT pg_temp.ok(pg_temp.read('task_three', 0, 0) = '1.7+0' AND
    pg_temp.read('task_three', 1, 7) = '1.7+0',
    'LOG_READ from the beginning, and from the end');
