-- Permission requests: stored before anyone is asked, answered once, the
-- answer stored before it is delivered (promise 12).

CREATE TYPE mn.permission_row AS (tenant text, permission text, session text,
    task text, run text, request text, status text, delivered smallint,
    reason text, created_ms bigint, wanted_ms bigint,
    suspend_after bigint, input text,
    answers text, code text, text text, doc text);

CREATE FUNCTION mn.permission_row(p mn_data.permission, p_code text,
    p_text text, p_doc boolean DEFAULT true) RETURNS mn.permission_row
LANGUAGE sql STABLE AS $$
	SELECT ROW(p.tenant_id, p.id, p.session_id, p.task_id, p.run_id,
	    p.request, p.status, (p.delivered_at IS NOT NULL)::integer,
	    coalesce(p.reason, ''), mn.ms(p.created_at),
	    mn.ms(p.wanted_at), p.suspend_after,
	    coalesce(p.answer_input, ''), coalesce(p.answers, ''), p_code,
	    p_text, CASE WHEN p_doc THEN mn.permission_doc(p) ELSE ''
	    END)::mn.permission_row
$$;

CREATE FUNCTION mn.permission_none(p_code text, p_text text)
RETURNS SETOF mn.permission_row
LANGUAGE sql IMMUTABLE AS $$
	SELECT '', '', '', '', '', '', '', 0::smallint, '', 0::bigint,
	    0::bigint, 0::bigint, '', '', p_code, left(p_text, 1024), ''
$$;

CREATE FUNCTION mn.permission_event(p mn_data.permission, p_type text)
RETURNS void
LANGUAGE sql VOLATILE AS $$
	SELECT mn.event_put(p.tenant_id, 'permission.' || p_type,
	    'permission', p.id, p.session_id, p.task_id, coalesce((SELECT
	    labels FROM task WHERE id = p.task_id AND tenant_id = p.tenant_id),
	    '{}'), json_build_object(
	    'status', p.status, 'kind', p.kind, 'tool', p.tool,
	    'action', p.action, 'risk_level', p.risk, 'run_id', p.run_id,
	    'asked_again', p.again, 'decided_by', p.decided_by,
	    'responded_by', p.responded_by, 'response_reason', p.reason)::text)
$$;

-- An answer that nobody heard is kept for the attempts that follow: not, as promise
-- 12 has it, for all of the session, since a person who said yes has seen for which
-- task.  Of a task that has ended nothing is kept.
CREATE FUNCTION mn.permission_keep(p mn_data.permission) RETURNS void
LANGUAGE sql VOLATILE AS $$
	INSERT INTO kept_answer (permission_id, tenant_id, session_id, tool,
	    input_hash)
	SELECT p.id, p.tenant_id, p.session_id, p.tool,
	    sha256(convert_to(p.input, 'UTF8'))
	WHERE p.decided_by = 'user' AND EXISTS (SELECT FROM task
	    WHERE id = p.task_id AND tenant_id = p.tenant_id
	    AND ended_at IS NULL)
	ON CONFLICT DO NOTHING
$$;

-- Takes a kept answer, if there is one, and copies it to request p.
CREATE FUNCTION mn.permission_use_kept(p mn_data.permission)
RETURNS mn_data.permission
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	v_from	text;
	o	mn_data.permission;
BEGIN
	DELETE FROM kept_answer WHERE permission_id = (SELECT k.permission_id
	    FROM kept_answer k JOIN permission q ON q.id = k.permission_id
	    WHERE k.session_id = p.session_id
	    AND k.tenant_id = p.tenant_id AND k.tool = p.tool
	    AND k.input_hash = sha256(convert_to(p.input, 'UTF8'))
	    AND q.task_id = p.task_id
	    ORDER BY k.created_at LIMIT 1 FOR UPDATE OF k SKIP LOCKED)
	RETURNING permission_id INTO v_from;
	IF NOT FOUND THEN
		RETURN p;
	END IF;
	-- Given as an answer to p from now on, and to nothing else.
	UPDATE permission SET delivered_at = coalesce(delivered_at,
	    clock_timestamp()) WHERE id = v_from RETURNING * INTO o;
	p.status := o.status;
	p.decided_by := o.decided_by;
	p.responded_by := o.responded_by;
	p.on_behalf_of := o.on_behalf_of;
	p.reason := o.reason;
	p.answer_input := o.answer_input;
	p.answers := o.answers;
	p.responded_at := o.responded_at;
	RETURN p;
END
$$;

CREATE FUNCTION mn.permission_put(p_tenant text, p_permission text,
    p_run text, p_attempt bigint, p_request text, p_kind text, p_tool text,
    p_action text, p_input text, p_risk text, p_decision text,
    p_suspend_after bigint) RETURNS SETOF mn.permission_row
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	p	mn_data.permission;
	r	mn_data.run;
BEGIN
	SELECT * INTO p FROM permission WHERE run_id = p_run
	    AND request = p_request AND tenant_id = p_tenant;
	IF FOUND AND p.tool = p_tool AND p.input = p_input THEN
		RETURN QUERY SELECT (mn.permission_row(p, '', '')).*;
		RETURN;
	ELSIF FOUND THEN
		-- What was said of the other is no answer to this.
		RETURN QUERY SELECT * FROM mn.permission_none('invalid_state',
		    'the run has asked something else as ' || p_request);
		RETURN;
	END IF;
	SELECT * INTO r FROM run WHERE id = p_run AND tenant_id = p_tenant
	    AND attempt = p_attempt FOR KEY SHARE;
	IF NOT FOUND THEN
		RETURN QUERY SELECT * FROM mn.permission_none('not_found',
		    'there is no such attempt of run ' || p_run);
		RETURN;
	ELSIF r.status NOT IN ('assigned', 'running') THEN
		RETURN QUERY SELECT * FROM mn.permission_none('invalid_state',
		    'the run is ' || r.status);
		RETURN;
	END IF;
	p := ROW(p_permission, r.tenant_id, r.session_id, r.task_id, r.id,
	    p_request, p_kind, p_tool, p_action, p_input, p_risk,
	    CASE WHEN p_decision IN ('approved', 'denied') THEN p_decision
		ELSE 'pending' END,
	    CASE WHEN p_decision IN ('approved', 'denied') THEN 'policy' END,
	    NULL, NULL, NULL, NULL, NULL, r.attempt > 1 AND EXISTS (
		SELECT FROM permission o WHERE o.task_id = r.task_id
		AND o.run_id <> r.id AND o.tool = p_tool
		AND o.input = p_input), p_suspend_after,
	    NULL, clock_timestamp(), CASE WHEN p_decision IN ('approved',
		'denied') THEN clock_timestamp() END,
	    NULL)::mn_data.permission;
	IF p.status = 'pending' THEN
		p := mn.permission_use_kept(p);
	END IF;
	INSERT INTO permission SELECT p.* ON CONFLICT DO NOTHING;
	IF FOUND THEN
		UPDATE run SET asked = true WHERE id = r.id AND NOT asked;
		PERFORM mn.permission_event(p, 'requested');
		IF p.status <> 'pending' THEN
			PERFORM mn.permission_event(p, p.status);
		END IF;
	END IF;
	SELECT * INTO p FROM permission WHERE run_id = p_run
	    AND request = p_request AND tenant_id = p_tenant;
	RETURN QUERY SELECT (mn.permission_row(p, '', '')).*;
END
$$;

CREATE FUNCTION mn.permission_load() RETURNS SETOF mn.permission_row
LANGUAGE sql STABLE AS $$
	SELECT x.* FROM permission p JOIN run r ON r.id = p.run_id,
	    mn.permission_row(p, '', '', false) x
	WHERE p.delivered_at IS NULL AND p.status <> 'canceled'
	    AND (p.status = 'pending'
		OR r.status IN ('pending', 'assigned', 'running'))
	ORDER BY p.id
$$;

CREATE FUNCTION mn.permission_page(p_tenant text, p_query text)
RETURNS SETOF mn.answer
LANGUAGE plpgsql STABLE AS $$
DECLARE
	q		jsonb := mn.object(p_query);
	v_from		text := mn.cursor_read(q);
	v_max		integer := mn.page_limit(q);
	v_status	text[] := mn.filter(q, 'status');
	v_session	text[] := mn.filter(q, 'session_id');
	v_task		text[] := mn.filter(q, 'task_id');
	v_risk		text[] := mn.filter(q, 'risk_level');
	-- As mn.task_page() does; of those that wait there is an index.
	v_sql		text := ' FROM permission WHERE tenant_id = $1' ||
			    CASE WHEN v_status = ARRAY['pending']
			    THEN $s$ AND status = 'pending'$s$
			    ELSE mn.is_in('status', v_status, 2) END ||
			    mn.is_in('session_id', v_session, 3) ||
			    mn.is_in('task_id', v_task, 4) ||
			    mn.is_in('risk', v_risk, 5);
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
	    ' AND id < $6 ORDER BY id DESC LIMIT $7)' INTO v_all USING
	    p_tenant, v_status, v_session, v_task, v_risk, v_from, v_max + 1;
	IF mn.page_counted(q) THEN
		EXECUTE 'SELECT count(*)' || v_sql INTO v_count USING
		    p_tenant, v_status, v_session, v_task, v_risk;
	END IF;
	v_ids := ARRAY(SELECT d.id FROM (SELECT p.id, sum(2000 +
		octet_length(p.input) + coalesce(octet_length(p.answer_input),
		0)) OVER (ORDER BY p.id DESC) AS upto,
		row_number() OVER (ORDER BY p.id DESC) AS n
	    FROM permission p WHERE p.id = ANY (v_all[:v_max])) d
	WHERE d.upto <= 1048576 OR d.n = 1 ORDER BY d.id DESC);
	v_docs := ARRAY(SELECT mn.permission_doc(p) FROM permission p
	    WHERE p.id = ANY (v_ids) ORDER BY p.id DESC);
	RETURN QUERY SELECT * FROM mn.page(v_docs, v_ids,
	    cardinality(v_all) > cardinality(v_ids), v_count);
END
$$;

CREATE FUNCTION mn.permission_read(p_tenant text, p_permission text[])
RETURNS SETOF mn.found
LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN QUERY SELECT (mn.found(q.n, 'permission request', q.id,
	    p.id IS NOT NULL, mn.permission_doc(p))).*
	FROM unnest(p_permission) WITH ORDINALITY AS q (id, n)
	LEFT JOIN permission p ON p.id = q.id
	    AND p.tenant_id IS NOT DISTINCT FROM p_tenant;
END
$$;

CREATE FUNCTION mn.permission_settle(p_tenant text, p_permission text,
    p_approved integer, p_reason text, p_actor text, p_on_behalf_of text,
    p_input text, p_answers text) RETURNS SETOF mn.permission_row
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	p	mn_data.permission;
	v_to	text := CASE WHEN p_approved <> 0 THEN 'approved'
		    ELSE 'denied' END;
	v_same	boolean;
BEGIN
	SELECT * INTO p FROM permission WHERE id = p_permission
	    AND tenant_id = p_tenant FOR UPDATE;
	IF NOT FOUND THEN
		RETURN QUERY SELECT * FROM mn.permission_none('not_found',
		    'there is no permission request ' || p_permission);
		RETURN;
	ELSIF p.status = 'canceled' THEN
		RETURN QUERY SELECT (mn.permission_row(p, 'invalid_state',
		    'the request is canceled')).*;
		RETURN;
	ELSIF p.status <> 'pending' THEN
		-- Who changes the input, or says something else, must not
		-- believe that this is what the agent hears.
		v_same := p.status = v_to
		    AND p_input IN ('', coalesce(p.answer_input, ''))
		    AND p_answers IN ('', coalesce(p.answers, ''));
		RETURN QUERY SELECT (mn.permission_row(p, CASE WHEN v_same
		    THEN '' ELSE 'already_answered' END, CASE WHEN v_same
		    THEN '' ELSE 'the request was ' || p.status || ' before' ||
		    CASE WHEN p.status = v_to THEN ', otherwise' ELSE '' END
		    END)).*;
		RETURN;
	ELSIF (p_input <> '' AND mn.json(p_input) IS NULL) OR
	    (p_answers <> '' AND mn.json(p_answers) IS NULL) THEN
		RETURN QUERY SELECT * FROM mn.permission_none(
		    'validation_error', CASE WHEN p_input <> ''
		    AND mn.json(p_input) IS NULL THEN 'input' ELSE 'answers'
		    END || ': expected JSON without NUL characters');
		RETURN;
	END IF;
	UPDATE permission SET status = v_to, decided_by = 'user',
	    responded_by = nullif(p_actor, ''),
	    on_behalf_of = nullif(p_on_behalf_of, ''),
	    reason = nullif(p_reason, ''),
	    answer_input = nullif(p_input, ''),
	    answers = nullif(p_answers, ''), responded_at = clock_timestamp(),
	    wanted_at = mn.wanted_time(p.session_id)
	WHERE id = p.id RETURNING * INTO p;
	PERFORM mn.permission_event(p, v_to);
	UPDATE task SET wanted_at = p.wanted_at WHERE id = p.task_id
	    AND tenant_id = p.tenant_id AND ended_at IS NULL;
	-- The run was suspended meanwhile: its next attempt asks again.
	IF NOT EXISTS (SELECT FROM run WHERE id = p.run_id
	    AND status IN ('assigned', 'running')) THEN
		PERFORM mn.permission_keep(p);
	END IF;
	RETURN QUERY SELECT (mn.permission_row(p, '', '')).*;
END
$$;

CREATE FUNCTION mn.permission_sent(p_permission text, p_runner text)
RETURNS SETOF mn.answer
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	p	mn_data.permission;
BEGIN
	UPDATE permission q SET delivered_at = clock_timestamp()
	FROM run r WHERE q.id = p_permission AND r.id = q.run_id
	    AND r.runner_id = p_runner
	    AND q.status IN ('approved', 'denied') AND q.delivered_at IS NULL
	RETURNING q.* INTO p;
	IF NOT FOUND THEN
		RETURN QUERY SELECT 0::bigint, '', '', '';
		RETURN;
	END IF;
	-- It was heard after all.
	DELETE FROM kept_answer WHERE permission_id = p.id;
	PERFORM mn.permission_event(p, 'delivered');
	RETURN QUERY SELECT 1::bigint, '', '', mn.permission_doc(p);
END
$$;

-- An answer that was given and not heard serves the next attempt.  p_cancel: what
-- is unanswered ends.
CREATE FUNCTION mn.permission_drop(p_tenant text, p_run text, p_request text,
    p_cancel boolean) RETURNS bigint
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	p	mn_data.permission;
	n	bigint := 0;
BEGIN
	FOR p IN SELECT * FROM permission WHERE run_id = p_run
	    AND tenant_id = p_tenant AND delivered_at IS NULL
	    AND status <> 'canceled'
	    AND (p_request IS NULL OR request = p_request) ORDER BY id
	    FOR UPDATE LOOP
		IF p.status = 'pending' THEN
			CONTINUE WHEN NOT p_cancel;
			UPDATE permission SET status = 'canceled'
			WHERE id = p.id RETURNING * INTO p;
			PERFORM mn.permission_event(p, 'canceled');
			n := n + 1;
		ELSE
			PERFORM mn.permission_keep(p);
			n := n + 1;
		END IF;
	END LOOP;
	RETURN n;
END
$$;

-- What its suspended runs asked and nobody answered, and what nobody heard.
CREATE FUNCTION mn.permission_task_end(p_tenant text, p_task text)
RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	PERFORM mn.permission_drop(p_tenant, run_id, request, true)
	FROM permission WHERE task_id = p_task AND tenant_id = p_tenant
	    AND status = 'pending';
	DELETE FROM kept_answer k USING permission p
	WHERE p.id = k.permission_id AND p.task_id = p_task
	    AND p.tenant_id = p_tenant;
END
$$;

-- Of a suspended run a person may still answer what was asked; of a run that
-- was to end, nothing is wanted any more.  p_last: so will its task.
CREATE FUNCTION mn.permission_run_end(r mn_data.run, p_status text,
    p_last boolean) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	PERFORM mn.permission_drop(r.tenant_id, r.id, NULL,
	    p_last OR p_status <> 'suspended');
	IF p_last THEN
		PERFORM mn.permission_task_end(r.tenant_id, r.task_id);
	END IF;
END
$$;

CREATE FUNCTION mn.permission_cancel(p_tenant text, p_run text,
    p_request text) RETURNS SETOF mn.answer
LANGUAGE sql VOLATILE AS $$
	SELECT mn.permission_drop(p_tenant, p_run, p_request, true),
	    '', '', ''
$$;
