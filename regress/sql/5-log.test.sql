-- A long log: who reads a part of it costs a part of it.
CREATE FUNCTION pg_temp.ok(b boolean, what text) RETURNS text
LANGUAGE sql AS $$ SELECT CASE WHEN b THEN 'ok' ELSE 'not ok' END
    || ' - ' || what $$;
-- Rows that were fetched from logs in this transaction until now.
CREATE FUNCTION pg_temp.fetched() RETURNS bigint
LANGUAGE sql AS $$ SELECT sum(seq_tup_read + idx_tup_fetch)::bigint
    FROM pg_stat_xact_user_tables WHERE relname LIKE 'log\_2%' $$;
SET mn.tenant = 'a';
-- As storaged's connections have it.
SET enable_seqscan = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET random_page_cost = 1;
SET cpu_tuple_cost = 1;
SELECT id AS task FROM task WHERE tenant_id = 'a' ORDER BY id LIMIT 1 \gset
INSERT INTO log (tenant_id, task_id, attempt, first, count, lines)
SELECT 'a', :'task', 9, i * 10 + 1, 10, (SELECT string_agg('{"n":'
    || i * 10 + j || '}' || E'\n', '') FROM generate_series(1, 10) j)
FROM generate_series(0, 1999) i;

BEGIN;
SELECT pg_temp.fetched() AS before \gset
SELECT pg_temp.ok(sum(count) BETWEEN 100 AND 1000 AND min(first) FILTER
    (WHERE count > 0) = 1, 'LOG_READ from the beginning')
    FROM mn.log_read('a', :'task', 9, 0, 4096);
SELECT pg_temp.ok(pg_temp.fetched() - :before BETWEEN 10 AND 200,
    'it stops when it has enough: ' || pg_temp.fetched() - :before || ' rows');
COMMIT;
BEGIN;
SELECT pg_temp.fetched() AS before \gset
SELECT pg_temp.ok(min(first) FILTER (WHERE count > 0) = 10006 AND min(lines)
    FILTER (WHERE first = 10006) LIKE '{"n":10006}' || E'\n{"n":10007}%',
    'LOG_READ from the middle of a batch, cut to it')
    FROM mn.log_read('a', :'task', 9, 10005, 4096);
SELECT pg_temp.ok(pg_temp.fetched() - :before BETWEEN 10 AND 200,
    'it begins where it is asked to: ' || pg_temp.fetched() - :before
    || ' rows');
COMMIT;
BEGIN;
SELECT pg_temp.fetched() AS before \gset
SELECT pg_temp.ok(json_array_length(doc::json->'items') = 100
    AND doc::json->>'has_more' = 'true', 'LOG_LIST from the middle')
    FROM mn.log_page('a', :'task', '{"limit":100,"cursor":"9.10005"}');
SELECT pg_temp.ok(pg_temp.fetched() - :before BETWEEN 10 AND 200,
    'a page is not the whole log: ' || pg_temp.fetched() - :before || ' rows');
COMMIT;
