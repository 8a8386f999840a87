-- For the tests of statements, which include this: ok, and the statements that go
-- with others (MSG_F_MANY), alone.
\set QUIET on
\pset format unaligned
\pset tuples_only on
CREATE FUNCTION pg_temp.ok(cond boolean, what text) RETURNS text
LANGUAGE sql AS $$
	SELECT CASE WHEN cond THEN 'ok - ' ELSE 'not ok - ' END || what
$$;
CREATE FUNCTION pg_temp.hash(t text) RETURNS bytea
LANGUAGE sql AS $$ SELECT sha256(convert_to(t, 'UTF8')) $$;
CREATE FUNCTION pg_temp.task_put(a text, b text, c text, d text, e text,
    f bigint, g bigint, h bigint, i text, j text, k text, l text, m text,
    n bytea, runner text DEFAULT '', epoch bigint DEFAULT 0,
    waits text DEFAULT '', is_full bigint DEFAULT 0)
RETURNS SETOF mn.task_row
LANGUAGE sql AS $$
	SELECT * FROM mn.task_put(a, ARRAY[b], ARRAY[c], ARRAY[d], ARRAY[e],
	    ARRAY[f], ARRAY[g], ARRAY[h], ARRAY[i], ARRAY[j], ARRAY[k],
	    ARRAY[l], ARRAY[runner], ARRAY[epoch], ARRAY[waits],
	    ARRAY[is_full], ARRAY['alog_' || b], ARRAY['req'], ARRAY[m],
	    ARRAY[n])
$$;
CREATE FUNCTION pg_temp.session_read(a text, b text) RETURNS SETOF mn.found
LANGUAGE sql AS $$ SELECT * FROM mn.session_read(a, ARRAY[b]) $$;
CREATE FUNCTION pg_temp.task_read(a text, b text) RETURNS SETOF mn.found
LANGUAGE sql AS $$ SELECT * FROM mn.task_read(a, ARRAY[b]) $$;
CREATE FUNCTION pg_temp.permission_read(a text, b text) RETURNS SETOF mn.found
LANGUAGE sql AS $$ SELECT * FROM mn.permission_read(a, ARRAY[b]) $$;
CREATE FUNCTION pg_temp.runner_read(a text, b text) RETURNS SETOF mn.found
LANGUAGE sql AS $$ SELECT * FROM mn.runner_read(a, ARRAY[b]) $$;
CREATE FUNCTION pg_temp.run_begin(a text, b text, c text, d bigint, e bigint)
RETURNS bigint LANGUAGE sql AS $$
	SELECT count(*) FROM mn.run_begin(a, ARRAY[b], ARRAY[c], ARRAY[d],
	    ARRAY[e]) WHERE rows = 1
$$;
CREATE FUNCTION pg_temp.log_append(a text, b text, c text, d bigint,
    e bigint, f bigint, g text)
RETURNS TABLE (rows integer, code text, doc text) LANGUAGE sql AS $$
	SELECT r.rows, r.code, r.doc FROM mn.log_append(a, ARRAY[b], ARRAY[c],
	    ARRAY[d], ARRAY[e], ARRAY[f], ARRAY[g]) r
$$;
-- The task as the end of its run left it; no row: the run had ended.
CREATE FUNCTION pg_temp.run_end(a text, b text, c bigint, d text, e bigint,
    f text, g text, h text, i bigint, j bigint, k bigint, l bigint, m text,
    n text, o text, p integer, then_run text DEFAULT '',
    then_task text DEFAULT '', then_runner text DEFAULT '',
    then_epoch bigint DEFAULT 0)
RETURNS TABLE (rows bigint, doc text, taken text) LANGUAGE plpgsql AS $$
DECLARE
	v_session	text;
	v_task		text;
	v_was		text;
	v_taken		text;
BEGIN
	SELECT session, task, status INTO v_session, v_task, v_was
	FROM mn.run_find(b) WHERE tenant = a AND attempt = c;
	SELECT r.run INTO v_taken FROM mn.run_end(a, ARRAY[b], ARRAY[v_task],
	    ARRAY[c], ARRAY[v_session], ARRAY[d], ARRAY[e], ARRAY[f], ARRAY[g],
	    ARRAY[h], ARRAY[i], ARRAY[j], ARRAY[k], ARRAY[l], ARRAY[m],
	    ARRAY[n], ARRAY[o], ARRAY[p::bigint], ARRAY[then_run],
	    ARRAY[then_task], ARRAY[then_runner], ARRAY[then_epoch]) r;
	RETURN QUERY SELECT CASE WHEN v_was IN ('pending', 'assigned',
	    'running') THEN 1 ELSE 0 END::bigint, t.doc, v_taken
	FROM pg_temp.task_read(a, coalesce(v_task, (SELECT task
	    FROM mn.run_find(b)))) t;
END
$$;
