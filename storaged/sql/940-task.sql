-- Tasks and runs.

-- n: of the statements that were bound together, which; see 900-base.sql.
CREATE TYPE mn.task_row AS (tenant text, task text, session text,
    status text, priority bigint, timeout bigint, max_retries integer,
    retry_count integer, lost integer, created_ms bigint,
    wanted_ms bigint, run text,
    attempt integer, run_status text, runner text, epoch bigint,
    started_ms bigint, cancel_asked smallint, code text, text text, doc text,
    n bigint);

CREATE FUNCTION mn.task_row(t mn_data.task, p_run_status text,
    p_runner text, p_epoch bigint, p_started_at timestamptz, p_code text,
    p_text text, p_doc boolean, p_n bigint) RETURNS mn.task_row
LANGUAGE sql STABLE AS $$
	SELECT ROW(t.tenant_id, t.id, t.session_id, t.status, t.priority,
	    t.timeout, t.max_retries, t.retry_count, t.lost_count,
	    mn.ms(t.created_at), mn.ms(t.wanted_at), t.run_id, t.attempt, p_run_status,
	    coalesce(p_runner, ''), p_epoch, mn.ms(p_started_at),
	    t.cancel_asked::integer::smallint, p_code, p_text,
	    CASE WHEN p_doc THEN mn.task_doc(t) ELSE '' END,
	    p_n)::mn.task_row
$$;

-- With its newest run.
CREATE FUNCTION mn.task_row(t mn_data.task, p_code text, p_text text,
    p_doc boolean) RETURNS SETOF mn.task_row
LANGUAGE sql STABLE AS $$
	SELECT (mn.task_row(t, r.status, r.runner_id, r.epoch, r.started_at,
	    p_code, p_text, p_doc, 1)).*
	FROM run r WHERE r.id = t.run_id
$$;

CREATE FUNCTION mn.task_none(p_code text, p_text text)
RETURNS SETOF mn.task_row
LANGUAGE sql IMMUTABLE AS $$
	SELECT '', '', '', '', 0::bigint, 0::bigint, 0, 0, 0, 0::bigint,
	    0::bigint, '', 0,
	    '', '', 0::bigint, 0::bigint, 0::smallint, p_code,
	    left(p_text, 1024), '', 1::bigint
$$;

-- What the events of a task and of its runs tell.
CREATE FUNCTION mn.task_data(t mn_data.task) RETURNS text
LANGUAGE sql STABLE AS $$
	SELECT concat('{"status":"', t.status, '","attempt":', t.attempt,
	    ',"run_id":"', t.run_id, '","waiting_for":',
	    mn.json_text(t.waiting_for), ',"progress":',
	    mn.progress_doc(t.percent, t.step), ',"error":',
	    mn.error_doc(t.error_code, t.error), '}')
$$;

CREATE FUNCTION mn.run_data(r mn_data.run) RETURNS text
LANGUAGE sql STABLE AS $$
	SELECT concat('{"status":"', r.status, '","attempt":', r.attempt,
	    ',"runner_id":', mn.json_word(r.runner_id), ',"exit_code":',
	    mn.json_int(r.exit_code), ',"error":',
	    mn.error_doc(r.error_code, r.error), '}')
$$;

CREATE FUNCTION mn.task_item(t mn_data.task, p_type text)
RETURNS mn_data.event_item
LANGUAGE sql STABLE AS $$
	SELECT mn.event_item('task.' || p_type, 'task', t.id, t.session_id,
	    t.id, t.labels, mn.task_data(t))
$$;

-- Of the run of this task; p_data: mn.run_data() of it.
CREATE FUNCTION mn.run_item(p_type text, p_run text, t mn_data.task,
    p_data text) RETURNS mn_data.event_item
LANGUAGE sql STABLE AS $$
	SELECT mn.event_item('run.' || p_type, 'run', p_run, t.session_id,
	    t.id, t.labels, p_data)
$$;

CREATE FUNCTION mn.task_event(t mn_data.task, p_type text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	INSERT INTO event (tenant_id, items)
	VALUES (t.tenant_id, ARRAY[mn.task_item(t, p_type)]);
END
$$;

-- Why no task can be made, as code and text; NULL when one can.
CREATE FUNCTION mn.task_refusal(p_tenant text, p_session text,
    p_continue_from text, OUT code text, OUT text text)
LANGUAGE plpgsql STABLE AS $$
DECLARE
	v_status	text;
	v_wish		smallint;
BEGIN
	SELECT s.status, s.wish INTO v_status, v_wish FROM session s
	WHERE s.id = p_session AND s.tenant_id = p_tenant
	    AND NOT (s.removed AND s.status = 'terminated');
	IF NOT FOUND THEN
		code := 'not_found';
		text := 'there is no session ' || p_session;
	ELSIF v_status = 'terminated' OR v_wish = 2 THEN
		code := 'invalid_state';
		text := 'the session is ' || CASE WHEN v_wish = 2
		    THEN 'being ' ELSE '' END || 'terminated';
	ELSIF p_continue_from <> '' AND NOT EXISTS (SELECT FROM task
	    WHERE id = p_continue_from AND tenant_id = p_tenant) THEN
		code := 'validation_error';
		text := 'continue_from: there is no task ' || p_continue_from;
	END IF;
END
$$;

-- The task that an Idempotency-Key stands for: p_task when it is new.  NULL:
-- it was used for another request.  A request that is refused uses up no key.
CREATE FUNCTION mn.task_idem(p_tenant text, p_task text, p_session text,
    p_continue_from text, p_full bigint, p_key text, p_hash bytea) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	v_id	text := mn.idem(p_tenant, p_key, p_hash, p_task, false);
BEGIN
	IF v_id = p_task AND p_full = 0 AND (mn.task_refusal(p_tenant,
	    p_session, p_continue_from)).code IS NULL THEN
		RETURN mn.idem(p_tenant, p_key, p_hash, p_task, true);
	END IF;
	RETURN v_id;
END
$$;

-- What is answered when no task was made: it is there already, under this id
-- or that of its key, or why it cannot be made.
CREATE FUNCTION mn.task_unmade(p_tenant text, p_task text, p_id text,
    p_session text, p_continue_from text, p_full bigint, p_n bigint)
RETURNS mn.task_row
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	t	mn_data.task;
	a	mn.task_row;
	v_code	text := 'idempotency_conflict';
	v_text	text := mn.idem_text();
BEGIN
	IF p_id IS NOT NULL THEN
		SELECT * INTO t FROM task WHERE id = p_id
		    AND tenant_id = p_tenant;
		IF FOUND THEN
			SELECT * INTO a FROM mn.task_row(t, CASE
			    WHEN p_id <> p_task THEN 'replayed' ELSE '' END,
			    '', true);
			a.n := p_n;
			RETURN a;
		END IF;
		SELECT code, text INTO v_code, v_text FROM mn.task_refusal(
		    p_tenant, p_session, p_continue_from);
		IF v_code IS NULL AND p_full <> 0 AND p_id = p_task THEN
			v_code := 'rate_limited';
			v_text := 'too many tasks wait in this session';
		END IF;
	END IF;
	SELECT * INTO a FROM mn.task_none(coalesce(v_code, 'not_found'),
	    coalesce(v_text, 'there is no task ' || p_id));
	a.n := p_n;
	RETURN a;
END
$$;

-- New tasks, each with its first run, the event and the audit.  runner: the
-- run is assigned at once when the session is there, free, under epoch.
-- full: no task is made, and one that is there is answered.
CREATE FUNCTION mn.task_put(p_tenant text, p_task text[], p_run text[],
    p_session text[], p_prompt text[], p_timeout bigint[],
    p_max_retries bigint[], p_priority bigint[], p_continue_from text[],
    p_labels text[], p_annotations text[], p_actor text[], p_runner text[],
    p_epoch bigint[], p_waiting_for text[], p_full bigint[],
    p_action_log text[], p_request_id text[], p_idem_key text[],
    p_idem_hash bytea[])
RETURNS SETOF mn.task_row
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
	v_now	timestamptz := clock_timestamp();
	v_task	text[] := p_task;	-- or what the key of each stands for
BEGIN
	FOR i IN 1 .. cardinality(p_task) LOOP
		CONTINUE WHEN p_idem_key[i] = '';
		v_task[i] := mn.task_idem(p_tenant, p_task[i], p_session[i],
		    p_continue_from[i], p_full[i], p_idem_key[i],
		    p_idem_hash[i]);
	END LOOP;
	RETURN QUERY WITH made AS (
		INSERT INTO task AS t (id, tenant_id, session_id, prompt,
		    continue_from, status, priority, max_retries, timeout,
		    run_id, labels, annotations, waiting_for, waiting_since,
		    created_by, created_at, wanted_at, updated_at)
		SELECT p_task[n], p_tenant, s.id, p_prompt[n],
		    nullif(p_continue_from[n], ''), 'pending', p_priority[n],
		    mn.clamp(p_max_retries[n]), p_timeout[n], p_run[n],
		    mn.object(p_labels[n]), mn.object(p_annotations[n]),
		    nullif(p_waiting_for[n], ''),
		    CASE WHEN p_waiting_for[n] <> '' THEN v_now END,
		    nullif(p_actor[n], ''), v_now, greatest(v_now,
			s.suspended_at + interval '1 millisecond'), v_now
		FROM mn.places(p_session) AS q
		JOIN session s ON s.id = q.id
		WHERE v_task[n] = p_task[n] AND p_full[n] = 0
		    AND s.tenant_id IS NOT DISTINCT FROM p_tenant
		    AND s.status <> 'terminated' AND s.wish <> 2
		    AND (p_continue_from[n] = '' OR EXISTS (SELECT FROM task c
			WHERE c.id = p_continue_from[n]
			AND c.tenant_id IS NOT DISTINCT FROM p_tenant))
		ON CONFLICT DO NOTHING
		RETURNING t.id, t.run_id, t.session_id, t.priority, t.timeout,
		    t.max_retries, mn.ms(t.created_at) AS created_ms,
		    mn.ms(t.wanted_at) AS wanted_ms, mn.task_doc(t) AS doc,
		    mn.task_item(t, 'created') AS item,
		    array_position(p_task, t.id) AS n
	), claimed AS (
		UPDATE session s SET run_id = made.run_id,
		    last_activity_at = v_now
		FROM made WHERE s.id = made.session_id AND p_runner[made.n] <> ''
		    AND s.status = 'active' AND s.wish = 0
		    AND s.run_id IS NULL AND s.epoch = p_epoch[made.n]
		    AND s.runner_id = p_runner[made.n]
		RETURNING s.run_id
	), m AS (
		SELECT *, run_id IN (SELECT run_id FROM claimed) AS now
		FROM made
	), first AS (
		INSERT INTO run (id, tenant_id, task_id, session_id, attempt,
		    status, runner_id, epoch, queued_at, assigned_at)
		SELECT run_id, p_tenant, id, session_id, 1,
		    CASE WHEN now THEN 'assigned' ELSE 'pending' END,
		    CASE WHEN now THEN p_runner[n] END,
		    CASE WHEN now THEN p_epoch[n] ELSE 0 END, v_now,
		    CASE WHEN now THEN v_now END FROM m
	), audited AS (
		INSERT INTO action_log (id, tenant_id, actor, action,
		    resource, request_id, success, detail)
		SELECT p_action_log[n], p_tenant, p_actor[n], 'task.create',
		    id, p_request_id[n], true, session_id FROM made
	), told AS (
		INSERT INTO event (tenant_id, items)
		SELECT p_tenant, array_agg(item) FROM made HAVING count(*) > 0
	)
	SELECT p_tenant, id, session_id, 'pending', priority, timeout,
	    max_retries, 0, 0, created_ms, wanted_ms, run_id, 1,
	    CASE WHEN now THEN 'assigned' ELSE 'pending' END,
	    CASE WHEN now THEN p_runner[n] ELSE '' END,
	    CASE WHEN now THEN p_epoch[n] ELSE 0 END, 0::bigint, 0::smallint,
	    '', '', doc, n::bigint FROM m
	UNION ALL
	SELECT u.* FROM mn.places(p_task) AS q (id, i),
	    mn.task_unmade(p_tenant, q.id, v_task[i], p_session[i],
		p_continue_from[i], p_full[i], i) u
	WHERE q.id NOT IN (SELECT id FROM made);
END
$$;

CREATE FUNCTION mn.task_load() RETURNS SETOF mn.task_row
LANGUAGE sql STABLE AS $$
	SELECT r.* FROM task t, mn.task_row(t, '', '', false) r
	WHERE t.ended_at IS NULL ORDER BY t.id
$$;

CREATE FUNCTION mn.task_page(p_tenant text, p_query text)
RETURNS SETOF mn.answer
LANGUAGE plpgsql STABLE AS $$
DECLARE
	q		jsonb := mn.object(p_query);
	v_from		text := mn.cursor_read(q);
	v_max		integer := mn.page_limit(q);
	v_status	text[] := mn.filter(q, 'status');
	v_session	text[] := mn.filter(q, 'session_id');
	v_labels	jsonb := mn.filter_labels(q);
	-- Each filter has its index, which one plan for all would not use.
	v_sql		text := ' FROM task WHERE tenant_id = $1 '
			    'AND labels @> $2' ||
			    mn.is_in('status', v_status, 3) ||
			    mn.is_in('session_id', v_session, 4) ||
			    CASE WHEN v_status <@ ARRAY['pending', 'running']
			    THEN ' AND ended_at IS NULL' ELSE '' END;
	v_count		bigint;
	v_all		text[];
	v_ids		text[];
	v_docs		text[];
BEGIN
	IF v_from IS NULL THEN
		RETURN QUERY SELECT * FROM mn.bad_cursor();
		RETURN;
	END IF;
	EXECUTE 'SELECT ARRAY(SELECT id' || v_sql ||
	    ' AND id < $5 ORDER BY id DESC LIMIT $6)' INTO v_all
	USING p_tenant, v_labels, v_status, v_session, v_from, v_max + 1;
	IF mn.page_counted(q) THEN
		EXECUTE 'SELECT count(*)' || v_sql INTO v_count
		USING p_tenant, v_labels, v_status, v_session;
	END IF;
	-- Sizes first: they are known without reading what they are of.
	v_ids := ARRAY(SELECT d.id FROM (SELECT t.id, sum(2000 +
		octet_length(t.prompt) + coalesce(octet_length(t.result), 0))
		OVER (ORDER BY t.id DESC) AS upto,
		row_number() OVER (ORDER BY t.id DESC) AS n
	    FROM task t WHERE t.tenant_id = p_tenant
		AND t.id = ANY (v_all[:v_max])) d
	WHERE d.upto <= 1048576 OR d.n = 1 ORDER BY d.id DESC);
	v_docs := ARRAY(SELECT mn.task_doc(t) FROM task t
	    WHERE t.tenant_id = p_tenant AND t.id = ANY (v_ids)
	    ORDER BY t.id DESC);
	RETURN QUERY SELECT * FROM mn.page(v_docs, v_ids,
	    cardinality(v_all) > cardinality(v_ids), v_count);
END
$$;

CREATE FUNCTION mn.task_read(p_tenant text, p_task text[])
RETURNS SETOF mn.found
LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN QUERY SELECT (mn.found(q.n, 'task', q.id, t.id IS NOT NULL,
	    mn.task_doc(t))).*
	FROM unnest(p_task) WITH ORDINALITY AS q (id, n)
	LEFT JOIN task t ON t.id = q.id
	    AND t.tenant_id IS NOT DISTINCT FROM p_tenant;
END
$$;

-- Attempts, newest first; there are few of them, so a page is all.
CREATE FUNCTION mn.run_page(p_tenant text, p_task text)
RETURNS SETOF mn.answer
LANGUAGE plpgsql STABLE AS $$
BEGIN
	IF NOT EXISTS (SELECT FROM task WHERE id = p_task
	    AND tenant_id = p_tenant) THEN
		RETURN QUERY SELECT * FROM mn.not_found('task', p_task);
		RETURN;
	END IF;
	RETURN QUERY SELECT * FROM mn.page(ARRAY(SELECT mn.run_doc(r)
	    FROM run r WHERE r.task_id = p_task AND r.tenant_id = p_tenant
	    ORDER BY r.attempt DESC LIMIT 500), NULL, false, NULL);
END
$$;

CREATE FUNCTION mn.task_stop(p_tenant text, p_task text, p_reason text,
    p_actor text) RETURNS SETOF mn.task_row
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	t	mn_data.task;
	r	mn_data.run;
BEGIN
	SELECT * INTO t FROM task WHERE id = p_task AND tenant_id = p_tenant
	FOR UPDATE;
	IF NOT FOUND THEN
		RETURN QUERY SELECT * FROM mn.task_none('not_found',
		    'there is no task ' || p_task);
		RETURN;
	END IF;
	IF t.status IN ('completed', 'failed') THEN
		RETURN QUERY SELECT * FROM mn.task_row(t, 'invalid_state',
		    'the task is ' || t.status, true);
		RETURN;
	END IF;
	IF t.status <> 'canceled' AND NOT t.cancel_asked THEN
		UPDATE run SET status = 'canceled', ended_at =
		    clock_timestamp(), error_code = 'canceled',
		    error = nullif(p_reason, '')
		WHERE id = t.run_id AND status = 'pending' RETURNING * INTO r;
		UPDATE task SET cancel_reason = nullif(p_reason, ''),
		    cancel_asked = r.id IS NULL,
		    status = CASE WHEN r.id IS NULL THEN status
			ELSE 'canceled' END,
		    error_code = CASE WHEN r.id IS NULL THEN error_code
			ELSE 'canceled' END,
		    error = CASE WHEN r.id IS NULL THEN error
			ELSE nullif(p_reason, '') END,
		    ended_at = CASE WHEN r.id IS NULL THEN ended_at
			ELSE clock_timestamp() END,
		    waiting_for = CASE WHEN r.id IS NULL THEN waiting_for END,
		    waiting_since = CASE WHEN r.id IS NULL
			THEN waiting_since END,
		    updated_at = mn.later(updated_at)
		WHERE id = t.id AND tenant_id = p_tenant RETURNING * INTO t;
		IF r.id IS NOT NULL THEN
			INSERT INTO event (tenant_id, items)
			VALUES (p_tenant, ARRAY[
			    mn.run_item('ended', r.id, t, mn.run_data(r)),
			    mn.task_item(t, 'canceled')]);
			IF r.asked OR r.attempt > 1 THEN
				PERFORM mn.permission_task_end(p_tenant, t.id);
			END IF;
		END IF;
	END IF;
	RETURN QUERY SELECT * FROM mn.task_row(t, '', '', true);
END
$$;

-- The key of the request stands for the run.
CREATE FUNCTION mn.task_again(p_tenant text, p_task text, p_run text,
    p_actor text, p_idem_key text, p_idem_hash bytea)
RETURNS SETOF mn.task_row
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	t	mn_data.task;
	v_run	text;
	v_text	text;
BEGIN
	SELECT * INTO t FROM task WHERE id = p_task AND tenant_id = p_tenant
	FOR UPDATE;
	IF NOT FOUND THEN
		RETURN QUERY SELECT * FROM mn.task_none('not_found',
		    'there is no task ' || p_task);
		RETURN;
	END IF;
	IF t.run_id = p_run THEN
		RETURN QUERY SELECT * FROM mn.task_row(t, '', '', true);
		RETURN;
	END IF;
	v_run := mn.idem(p_tenant, p_idem_key, p_idem_hash, p_run, false);
	IF v_run IS NULL THEN
		RETURN QUERY SELECT * FROM mn.task_none('idempotency_conflict',
		    mn.idem_text());
		RETURN;
	ELSIF v_run <> p_run THEN
		RETURN QUERY SELECT * FROM mn.task_row(t, 'replayed', '', true);
		RETURN;
	END IF;
	IF t.status NOT IN ('failed', 'canceled') THEN
		v_text := 'the task is ' || t.status;
	ELSIF NOT EXISTS (SELECT FROM session WHERE id = t.session_id
	    AND status <> 'terminated' AND wish <> 2) THEN
		v_text := 'the session is terminated';
	END IF;
	IF v_text IS NOT NULL THEN
		RETURN QUERY SELECT * FROM mn.task_row(t, 'invalid_state',
		    v_text, true);
		RETURN;
	END IF;
	PERFORM mn.idem(p_tenant, p_idem_key, p_idem_hash, p_run, true);
	INSERT INTO run (id, tenant_id, task_id, session_id, attempt, status,
	    queued_at)
	SELECT p_run, p_tenant, t.id, t.session_id, t.attempt + 1, 'pending',
	    greatest(clock_timestamp(), r.queued_at)
	FROM run r WHERE r.id = t.run_id;
	UPDATE task SET status = 'pending', attempt = attempt + 1,
	    run_id = p_run, lost_count = 0, cancel_asked = false,
	    cancel_reason = NULL, result = NULL, error_code = NULL,
	    error = NULL, ended_at = NULL, percent = NULL, step = NULL,
	    wanted_at = mn.wanted_time(session_id),
	    updated_at = mn.later(updated_at)
	WHERE id = t.id AND tenant_id = p_tenant RETURNING * INTO t;
	RETURN QUERY SELECT * FROM mn.task_row(t, '', '', true);
END
$$;

CREATE FUNCTION mn.task_wait(p_tenant text, p_task text, p_waiting_for text)
RETURNS SETOF mn.answer
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	t	mn_data.task;
BEGIN
	UPDATE task SET waiting_for = nullif(p_waiting_for, ''),
	    waiting_since = CASE WHEN p_waiting_for <> ''
		THEN clock_timestamp() END,
	    updated_at = mn.later(updated_at)
	WHERE id = p_task AND tenant_id = p_tenant
	    AND status IN ('pending', 'running')
	    AND coalesce(waiting_for, '') <> p_waiting_for
	RETURNING * INTO t;
	IF NOT FOUND THEN
		RETURN QUERY SELECT 0::bigint, '', '', '';
		RETURN;
	END IF;
	IF t.waiting_for IS NOT NULL THEN
		PERFORM mn.task_event(t, 'waiting');
	END IF;
	RETURN QUERY SELECT 1::bigint, '', '', '';
END
$$;
