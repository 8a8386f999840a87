-- Tasks and runs.

CREATE TYPE mn.task_row AS (tenant text, task text, session text,
    status text, priority bigint, timeout bigint, max_retries integer,
    retry_count integer, lost integer, created_ms bigint, run text,
    attempt integer, run_status text, runner text, epoch bigint,
    started_ms bigint, cancel_asked smallint, code text, text text, doc text);

CREATE FUNCTION mn.task_row(t mn_data.task, p_code text, p_text text,
    p_doc boolean) RETURNS SETOF mn.task_row
LANGUAGE sql STABLE AS $$
	SELECT t.tenant_id, t.id, t.session_id, t.status, t.priority,
	    t.timeout, t.max_retries, t.retry_count, t.lost_count,
	    mn.ms(t.created_at), r.id, r.attempt, r.status,
	    coalesce(r.runner_id, ''), r.epoch, mn.ms(r.started_at),
	    t.cancel_asked::integer::smallint, p_code, p_text,
	    CASE WHEN p_doc THEN mn.task_doc(t) ELSE '' END
	FROM run r WHERE r.id = t.run_id
$$;

CREATE FUNCTION mn.task_none(p_code text, p_text text)
RETURNS SETOF mn.task_row
LANGUAGE sql IMMUTABLE AS $$
	SELECT '', '', '', '', 0::bigint, 0::bigint, 0, 0, 0, 0::bigint, '', 0,
	    '', '', 0::bigint, 0::bigint, 0::smallint, p_code,
	    left(p_text, 1024), ''
$$;

CREATE FUNCTION mn.task_event(t mn_data.task, p_type text) RETURNS void
LANGUAGE sql VOLATILE AS $$
	SELECT mn.event_put(t.tenant_id, 'task.' || p_type, 'task', t.id,
	    t.session_id, t.id, t.labels, json_build_object(
	    'status', t.status, 'attempt', t.attempt, 'run_id', t.run_id,
	    'waiting_for', t.waiting_for,
	    'progress', CASE WHEN t.percent IS NOT NULL THEN
		json_build_object('percent', t.percent, 'step', t.step) END,
	    'error', mn.error_doc(t.error_code, t.error)))
$$;

CREATE FUNCTION mn.run_event(r mn_data.run, t mn_data.task, p_type text)
RETURNS void
LANGUAGE sql VOLATILE AS $$
	SELECT mn.event_put(r.tenant_id, 'run.' || p_type, 'run', r.id,
	    r.session_id, r.task_id, t.labels, json_build_object(
	    'status', r.status, 'attempt', r.attempt,
	    'runner_id', r.runner_id, 'exit_code', r.exit_code,
	    'error', mn.error_doc(r.error_code, r.error)))
$$;

CREATE FUNCTION mn.task_put(p_tenant text, p_task text, p_run text,
    p_session text, p_prompt text, p_timeout bigint, p_max_retries bigint,
    p_priority bigint, p_continue_from text, p_labels text,
    p_annotations text, p_actor text, p_idem_key text, p_idem_hash bytea)
RETURNS SETOF mn.task_row
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	s	mn_data.session;
	t	mn_data.task;
	v_id	text := mn.idem(p_tenant, p_idem_key, p_idem_hash, p_task,
		    false);
BEGIN
	IF v_id = p_task AND NOT EXISTS (SELECT FROM task WHERE id = p_task)
	THEN
		SELECT * INTO s FROM session WHERE id = p_session
		    AND tenant_id = p_tenant AND NOT (removed
		    AND status = 'terminated') FOR KEY SHARE;
		IF NOT FOUND THEN
			RETURN QUERY SELECT * FROM mn.task_none('not_found',
			    'there is no session ' || p_session);
			RETURN;
		ELSIF s.status = 'terminated' OR s.wish = 2 THEN
			RETURN QUERY SELECT * FROM mn.task_none(
			    'invalid_state', 'the session is ' ||
			    CASE WHEN s.wish = 2 THEN 'being ' ELSE '' END ||
			    'terminated');
			RETURN;
		ELSIF p_continue_from <> '' AND NOT EXISTS (SELECT FROM task
		    WHERE id = p_continue_from AND tenant_id = p_tenant) THEN
			RETURN QUERY SELECT * FROM mn.task_none(
			    'validation_error', 'continue_from: there is no '
			    'task ' || p_continue_from);
			RETURN;
		END IF;
		v_id := mn.idem(p_tenant, p_idem_key, p_idem_hash, p_task,
		    true);
	END IF;
	IF v_id IS NULL THEN
		RETURN QUERY SELECT * FROM mn.task_none(
		    'idempotency_conflict', mn.idem_text());
		RETURN;
	END IF;
	IF v_id = p_task THEN
		INSERT INTO task (id, tenant_id, session_id, prompt,
		    continue_from, status, priority, max_retries, timeout,
		    run_id, labels, annotations, created_by)
		VALUES (p_task, p_tenant, p_session, p_prompt,
		    nullif(p_continue_from, ''), 'pending', p_priority,
		    mn.clamp(p_max_retries), p_timeout, p_run,
		    mn.object(p_labels), mn.object(p_annotations),
		    nullif(p_actor, ''))
		ON CONFLICT (id) DO NOTHING RETURNING * INTO t;
		IF FOUND THEN
			INSERT INTO run (id, tenant_id, task_id, session_id,
			    attempt, status)
			VALUES (p_run, p_tenant, p_task, p_session, 1,
			    'pending') ON CONFLICT DO NOTHING;
			PERFORM mn.task_event(t, 'created');
		END IF;
	END IF;
	SELECT * INTO t FROM task WHERE id = v_id AND tenant_id = p_tenant;
	IF NOT FOUND THEN
		RETURN QUERY SELECT * FROM mn.task_none('not_found',
		    'there is no task ' || v_id);
		RETURN;
	END IF;
	RETURN QUERY SELECT * FROM mn.task_row(t, CASE WHEN v_id <> p_task
	    THEN 'replayed' ELSE '' END, '', true);
END
$$;

CREATE FUNCTION mn.task_load() RETURNS SETOF mn.task_row
LANGUAGE sql STABLE AS $$
	SELECT r.* FROM task t, mn.task_row(t, '', '', false) r
	WHERE t.status IN ('pending', 'running') ORDER BY t.id
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
	v_all		text[];
	v_ids		text[];
	v_docs		text[];
BEGIN
	IF v_from IS NULL THEN
		RETURN QUERY SELECT * FROM mn.bad_cursor();
		RETURN;
	END IF;
	v_all := ARRAY(SELECT id FROM task WHERE tenant_id = p_tenant
	    AND id < v_from AND (v_status IS NULL OR status = ANY (v_status))
	    AND (v_session IS NULL OR session_id = ANY (v_session))
	    AND labels @> v_labels ORDER BY id DESC LIMIT v_max + 1);
	-- Sizes first: they are known without reading what they are of.
	v_ids := ARRAY(SELECT d.id FROM (SELECT t.id, sum(2000 +
		octet_length(t.prompt) + coalesce(octet_length(t.result), 0))
		OVER (ORDER BY t.id DESC) AS upto,
		row_number() OVER (ORDER BY t.id DESC) AS n
	    FROM task t WHERE t.id = ANY (v_all[:v_max])) d
	WHERE d.upto <= 1048576 OR d.n = 1 ORDER BY d.id DESC);
	v_docs := ARRAY(SELECT mn.task_doc(t) FROM task t
	    WHERE t.id = ANY (v_ids) ORDER BY t.id DESC);
	RETURN QUERY SELECT * FROM mn.page(v_docs, v_ids,
	    cardinality(v_all) > cardinality(v_ids),
	    CASE WHEN mn.page_counted(q) THEN (SELECT count(*) FROM task
		WHERE tenant_id = p_tenant
		AND (v_status IS NULL OR status = ANY (v_status))
		AND (v_session IS NULL OR session_id = ANY (v_session))
		AND labels @> v_labels) END);
END
$$;

CREATE FUNCTION mn.task_read(p_tenant text, p_task text)
RETURNS SETOF mn.answer
LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN QUERY SELECT 1::bigint, '', '', mn.task_doc(t)
	FROM task t WHERE t.id = p_task AND t.tenant_id = p_tenant;
	IF NOT FOUND THEN
		RETURN QUERY SELECT * FROM mn.not_found('task', p_task);
	END IF;
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
		WHERE id = t.id RETURNING * INTO t;
		IF r.id IS NOT NULL THEN
			PERFORM mn.run_event(r, t, 'ended');
			PERFORM mn.task_event(t, 'canceled');
		END IF;
	END IF;
	RETURN QUERY SELECT * FROM mn.task_row(t, '', '', true);
END
$$;

CREATE FUNCTION mn.task_again(p_tenant text, p_task text, p_run text,
    p_actor text) RETURNS SETOF mn.task_row
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	t	mn_data.task;
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
	INSERT INTO run (id, tenant_id, task_id, session_id, attempt, status)
	VALUES (p_run, p_tenant, t.id, t.session_id, t.attempt + 1, 'pending');
	UPDATE task SET status = 'pending', attempt = attempt + 1,
	    run_id = p_run, lost_count = 0, cancel_asked = false,
	    cancel_reason = NULL, result = NULL, error_code = NULL,
	    error = NULL, ended_at = NULL, percent = NULL, step = NULL,
	    updated_at = mn.later(updated_at)
	WHERE id = t.id RETURNING * INTO t;
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
