-- Logs: a row a batch of lines, each a finished JSON object.  A position is
-- attempt.line.

-- A partition a day, made ahead.  It runs as the owner, since the worker's role may
-- make no table.
CREATE FUNCTION mn.log_ahead() RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = mn, mn_data, pg_temp AS $$
DECLARE
	v_today	date := (now() AT TIME ZONE 'UTC')::date;
	v_day	date;
	v_name	text;
BEGIN
	FOR v_day IN SELECT v_today + i FROM generate_series(0, 7) i LOOP
		v_name := 'log_' || to_char(v_day, 'YYYYMMDD');
		CONTINUE WHEN to_regclass('mn_data.' || v_name) IS NOT NULL;
		EXECUTE format('CREATE TABLE mn_data.%I (LIKE mn_data.log '
		    'INCLUDING DEFAULTS INCLUDING CONSTRAINTS '
		    'INCLUDING STORAGE INCLUDING COMPRESSION)', v_name);
		EXECUTE format('ALTER TABLE mn_data.log ATTACH PARTITION '
		    'mn_data.%I FOR VALUES FROM (%L) TO (%L)', v_name, v_day,
		    v_day + 1);
	END LOOP;
END
$$;

-- The days before this one are gone, but today and yesterday never.
CREATE FUNCTION mn.log_drop(p_before date) RETURNS void
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = mn, mn_data, pg_temp AS $$
DECLARE
	v_name	text;
BEGIN
	FOR v_name IN SELECT c.relname FROM pg_inherits i
	    JOIN pg_class c ON c.oid = i.inhrelid
	    WHERE i.inhparent = 'mn_data.log'::regclass
	    AND c.relname < 'log_' || to_char(least(p_before,
		(now() AT TIME ZONE 'UTC')::date - 1), 'YYYYMMDD') LOOP
		EXECUTE format('DROP TABLE mn_data.%I', v_name);
	END LOOP;
END
$$;

-- A task of a clock that was ahead was made now.
CREATE FUNCTION mn.task_now(p_tenant text, p_task text) RETURNS timestamptz
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	UPDATE task SET created_at = now()
	WHERE id = p_task AND tenant_id = p_tenant AND created_at > now();
	RETURN now();
END
$$;

-- Never before the day of its task, behind which it is looked for, though the
-- clock may have been set back since; by more days than partitions are ahead, it is
-- the task that moves.
CREATE FUNCTION mn.log_append(p_tenant text, p_run text[], p_task text[],
    p_attempt bigint[], p_first bigint[], p_count bigint[], p_lines text[])
RETURNS TABLE (n bigint, rows integer, code text, text text, doc text)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
BEGIN
	RETURN QUERY WITH moved AS (
		UPDATE run r SET log_last = p_first[n] + p_count[n] - 1
		FROM mn.places(p_run) AS q
		WHERE r.id = q.id AND r.tenant_id = p_tenant
		    AND r.task_id = p_task[n] AND r.attempt = p_attempt[n]
		    AND r.log_last = p_first[n] - 1
		RETURNING n, r.queued_at
	), kept AS (
		INSERT INTO log (day, tenant_id, task_id, attempt, first,
		    count, lines)
		SELECT (CASE WHEN queued_at > now() + interval '6 days'
			THEN mn.task_now(p_tenant, p_task[n])
			ELSE greatest(now(), queued_at) END
			AT TIME ZONE 'UTC')::date,
		    p_tenant, p_task[n], p_attempt[n], p_first[n],
		    mn.clamp(p_count[n]), p_lines[n]
		FROM moved WHERE p_count[n] > 0
	)
	SELECT n::bigint, 1, '', '', '' FROM moved
	UNION ALL
	SELECT n, 0, CASE WHEN r.id IS NULL THEN 'not_found' ELSE '' END,
	    CASE WHEN r.id IS NULL THEN 'there is no attempt of run ' || q.id
		ELSE '' END, coalesce(r.log_last::text, '')
	FROM mn.places(p_run) AS q
	LEFT JOIN run r ON r.id = q.id AND r.tenant_id = p_tenant
	    AND r.task_id = p_task[n] AND r.attempt = p_attempt[n]
	WHERE n NOT IN (SELECT n FROM moved);
END
$$;

-- Batches that hold lines after attempt.line, oldest first, cut to them.  The
-- day of the task's creation keeps older partitions out of it.  In SQL and with
-- one SELECT, so that PostgreSQL puts it in place of its call: who has enough
-- stops, and the rest of a long log is not read.  Under row-level security the
-- position bounds the index scan only while it compares with plain parameters,
-- so coalesce() is in a SELECT of its own.
CREATE FUNCTION mn.log_after(p_tenant text, p_task text, p_attempt bigint,
    p_after bigint)
RETURNS TABLE (attempt integer, first bigint, count integer, lines text)
LANGUAGE sql STABLE AS $$
	SELECT b.attempt, b.first + b.seen, b.count - b.seen,
	    CASE WHEN b.seen = 0 THEN b.lines ELSE array_to_string(
		(string_to_array(b.lines, E'\n'))[b.seen + 1:], E'\n') END
	FROM (SELECT l.*, CASE WHEN l.attempt = p_attempt THEN
		least(greatest(p_after + 1 - l.first, 0), l.count)::integer
		ELSE 0 END AS seen
	    FROM log l WHERE l.task_id = p_task AND l.tenant_id = p_tenant
		AND l.day >= (SELECT (created_at AT TIME ZONE 'UTC')::date
		    FROM task WHERE id = p_task AND tenant_id = p_tenant)
		AND (l.attempt, l.first) >= (p_attempt, (SELECT coalesce(
		    (SELECT x.first FROM log x WHERE x.task_id = p_task
			AND x.tenant_id = p_tenant AND x.attempt = p_attempt
			AND x.first <= p_after + 1 AND x.day >=
			    (SELECT (created_at AT TIME ZONE 'UTC')::date
			    FROM task WHERE id = p_task
			    AND tenant_id = p_tenant)
		    ORDER BY x.task_id, x.attempt, x.first DESC LIMIT 1), 0)))
	    ORDER BY l.task_id, l.attempt, l.first) b
	WHERE b.seen < b.count
$$;

-- Code gone, and the oldest position to follow from, when of what was written after
-- attempt.line the next is kept no longer: no row when it is, or when there was
-- none.  What is before the first attempt is not asked for, but all that is kept.
CREATE FUNCTION mn.log_gone(p_tenant text, p_task text, p_attempt bigint,
    p_after bigint) RETURNS SETOF mn.answer
LANGUAGE plpgsql STABLE AS $$
DECLARE
	v_next	record;
	v_kept	record;
BEGIN
	SELECT attempt, after + 1 AS first INTO v_next FROM run,
	    LATERAL (SELECT CASE WHEN attempt = p_attempt THEN p_after
		ELSE 0 END AS after) x
	WHERE task_id = p_task AND tenant_id = p_tenant AND p_attempt > 0
	    AND attempt >= p_attempt AND log_last > after
	ORDER BY attempt LIMIT 1;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	SELECT attempt, first INTO v_kept
	FROM mn.log_after(p_tenant, p_task, p_attempt, p_after) LIMIT 1;
	IF v_kept = v_next THEN
		RETURN;
	END IF;
	RETURN QUERY SELECT 0::bigint, 'gone', 'older lines were removed; the '
	    'oldest kept position is given', json_build_object('oldest',
	    coalesce(v_kept.attempt || '.' || v_kept.first - 1, (SELECT
		attempt || '.' || log_last FROM run WHERE task_id = p_task
		AND tenant_id = p_tenant ORDER BY attempt DESC LIMIT 1)))::text;
END
$$;

CREATE TYPE mn.log_row AS (attempt integer, first bigint, count integer,
    ended smallint, lines text, code text, text text, doc text);

CREATE FUNCTION mn.log_read(p_tenant text, p_task text, p_attempt bigint,
    p_after bigint, p_limit bigint) RETURNS SETOF mn.log_row
LANGUAGE plpgsql STABLE AS $$
DECLARE
	b	record;
	v_sum	bigint := 0;
BEGIN
	IF NOT EXISTS (SELECT FROM task WHERE id = p_task
	    AND tenant_id = p_tenant) THEN
		RETURN;
	END IF;
	RETURN QUERY SELECT 0, 0::bigint, 0, 0::smallint, '', g.code, g.text,
	    g.doc FROM mn.log_gone(p_tenant, p_task, p_attempt, p_after) g;
	IF FOUND THEN
		RETURN;
	END IF;
	FOR b IN SELECT * FROM mn.log_after(p_tenant, p_task, p_attempt,
	    p_after) LOOP
		EXIT WHEN v_sum > 0 AND
		    v_sum + octet_length(b.lines) > p_limit;
		v_sum := v_sum + octet_length(b.lines);
		RETURN NEXT ROW(b.attempt, b.first, b.count, 0, b.lines,
		    '', '', '')::mn.log_row;
	END LOOP;
	RETURN QUERY SELECT r.attempt, r.log_last, 0, (t.status IN
	    ('completed', 'failed', 'canceled'))::integer::smallint, '', '',
	    '', ''
	FROM task t JOIN run r ON r.id = t.run_id
	WHERE t.id = p_task AND t.tenant_id = p_tenant;
END
$$;

CREATE FUNCTION mn.log_page(p_tenant text, p_task text, p_query text)
RETURNS SETOF mn.answer
LANGUAGE plpgsql STABLE AS $$
DECLARE
	q		jsonb := mn.object(p_query);
	v_pos		text := coalesce(nullif(q->>'cursor', ''),
			    nullif(q->>'after', ''), '');
	v_max		integer := mn.page_limit(q);
	v_tail		integer := mn.int(q->>'tail');
	v_level		text[] := mn.filter(q, 'level');
	v_stream	text[] := mn.filter(q, 'stream');
	v_attempt	integer := 0;
	v_after		bigint := 0;
	v_docs		text[] := '{}';
	v_bytes		bigint := 0;
	v_scanned	bigint := 0;
	v_left		bigint;
	v_more		boolean := false;
	b		record;
	r		record;
	v_line		text;
	i		integer;
BEGIN
	IF NOT EXISTS (SELECT FROM task WHERE id = p_task
	    AND tenant_id = p_tenant) THEN
		RETURN QUERY SELECT * FROM mn.not_found('task', p_task);
		RETURN;
	END IF;
	IF v_pos ~ '^[0-9]{1,9}\.[0-9]{1,18}$' THEN
		v_attempt := split_part(v_pos, '.', 1)::integer;
		v_after := split_part(v_pos, '.', 2)::bigint;
		RETURN QUERY SELECT * FROM mn.log_gone(p_tenant, p_task,
		    v_attempt, v_after);
		IF FOUND THEN
			RETURN;
		END IF;
	ELSIF v_pos <> '' THEN
		RETURN QUERY SELECT 0::bigint, 'validation_error',
		    'after: expected a position, attempt.line', '';
		RETURN;
	ELSIF v_tail IS NOT NULL THEN
		-- Backwards through the attempts until the tail is covered.
		v_left := v_tail;
		FOR r IN SELECT attempt, log_last FROM run
		    WHERE task_id = p_task ORDER BY attempt DESC LOOP
			v_attempt := r.attempt;
			v_after := greatest(r.log_last - v_left, 0);
			v_left := v_left - (r.log_last - v_after);
			EXIT WHEN v_left = 0;
		END LOOP;
	END IF;
	<<batches>>
	FOR b IN SELECT * FROM mn.log_after(p_tenant, p_task, v_attempt,
	    v_after) LOOP
		i := 0;
		FOREACH v_line IN ARRAY string_to_array(rtrim(b.lines, E'\n'),
		    E'\n') LOOP
			IF cardinality(v_docs) >= v_max OR
			    v_bytes > 1048576 OR v_scanned > 8388608 THEN
				v_more := true;
				EXIT batches;
			END IF;
			v_scanned := v_scanned + octet_length(v_line);
			v_attempt := b.attempt;
			v_after := b.first + i;
			i := i + 1;
			CONTINUE WHEN v_level IS NOT NULL AND NOT coalesce(
			    mn.json(v_line)->>'level' = ANY (v_level), false);
			CONTINUE WHEN v_stream IS NOT NULL AND NOT coalesce(
			    mn.json(v_line)->>'stream' = ANY (v_stream), false);
			v_docs := v_docs || v_line;
			v_bytes := v_bytes + octet_length(v_line);
		END LOOP;
	END LOOP;
	RETURN QUERY SELECT cardinality(v_docs)::bigint, '', '',
	    '{"items":[' || array_to_string(v_docs, ',') ||
	    '],"has_more":' || CASE WHEN v_more THEN 'true' ELSE 'false' END
	    || ',"next_cursor":' || CASE WHEN v_more THEN '"' || v_attempt ||
	    '.' || v_after || '"' ELSE 'null' END || '}';
END
$$;
