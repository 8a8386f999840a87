-- Runs: one attempt at a task each.

CREATE TYPE mn.run_row AS (run text, task text, session text, runner text,
    attempt integer, epoch bigint, timeout bigint, interrupted smallint,
    prompt text, n bigint);

-- What RUN_START tells of a run that is assigned.  interrupted: the attempt
-- before it that had started was lost.  One that was lost may have started
-- where nobody could hear it.
CREATE FUNCTION mn.run_row(r mn_data.run, t mn_data.task, p_n bigint)
RETURNS mn.run_row
LANGUAGE sql STABLE AS $$
	SELECT ROW(r.id, r.task_id, r.session_id, r.runner_id, r.attempt,
	    r.epoch, t.timeout, CASE WHEN r.attempt = 1 THEN 0 ELSE coalesce(
		(SELECT (o.status = 'lost')::integer FROM run o
		WHERE o.task_id = r.task_id AND o.attempt < r.attempt
		AND (o.started_at IS NOT NULL OR o.status = 'lost')
		ORDER BY o.attempt DESC LIMIT 1),
		0) END, t.prompt, p_n)::mn.run_row
$$;

-- The session is claimed first, by its row: of two runs one finds it taken.
-- Asked again for the same runner and epoch it answers the same.  Assigned under
-- an older epoch, it is of an answer that was lost: nobody was told, or taskd
-- would ask for that one again.
CREATE FUNCTION mn.run_assign(p_tenant text, p_run text, p_task text,
    p_session text, p_runner text, p_epoch bigint)
RETURNS SETOF mn.run_row
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	r	mn_data.run;
BEGIN
	UPDATE session SET run_id = p_run,
	    last_activity_at = clock_timestamp()
	WHERE id = p_session AND tenant_id = p_tenant
	    AND status = 'active' AND wish = 0 AND runner_id = p_runner
	    AND epoch = p_epoch AND coalesce(run_id, p_run) = p_run;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	UPDATE run SET status = 'assigned', runner_id = p_runner,
	    epoch = p_epoch, assigned_at = clock_timestamp()
	WHERE id = p_run AND tenant_id = p_tenant AND task_id = p_task
	    AND session_id = p_session AND (status = 'pending'
		OR status = 'assigned' AND epoch < p_epoch)
	    AND EXISTS (SELECT FROM task WHERE id = p_task
		AND tenant_id = p_tenant AND run_id = p_run
		AND status IN ('pending', 'running') AND NOT cancel_asked)
	RETURNING * INTO r;
	IF NOT FOUND THEN
		SELECT * INTO r FROM run WHERE id = p_run
		    AND tenant_id = p_tenant
		    AND status IN ('assigned', 'running');
		IF NOT FOUND THEN
			UPDATE session SET run_id = NULL
			WHERE id = p_session AND run_id = p_run;
		END IF;
		IF r.status IS DISTINCT FROM 'assigned' OR
		    r.runner_id <> p_runner OR r.epoch <> p_epoch THEN
			RETURN;
		END IF;
	END IF;
	RETURN QUERY SELECT x.* FROM task t, mn.run_row(r, t, 1) x
	WHERE t.id = r.task_id;
END
$$;

CREATE FUNCTION mn.run_begin(p_tenant text, p_run text[], p_task text[],
    p_attempt bigint[], p_time_ms bigint[])
RETURNS TABLE (n bigint, rows integer)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
	v_now	timestamptz := clock_timestamp();
BEGIN
	RETURN QUERY WITH begun AS (
		UPDATE run r SET status = 'running', started_at =
		    greatest(r.assigned_at, CASE WHEN p_time_ms[n] BETWEEN 1
			AND mn.ms(v_now) THEN to_timestamp(p_time_ms[n] /
			1000.0) ELSE v_now END)
		FROM mn.places(p_run) AS q
		WHERE r.id = q.id AND r.tenant_id = p_tenant
		    AND r.task_id = p_task[n]
		    AND r.attempt = p_attempt[n] AND r.status = 'assigned'
		RETURNING n, r.id, r.task_id, r.started_at,
		    mn.run_data(r) AS data
	), working AS (
		UPDATE task t SET status = 'running',
		    started_at = coalesce(t.started_at, b.started_at),
		    waiting_for = NULL, waiting_since = NULL,
		    updated_at = greatest(v_now, t.updated_at +
			interval '1 millisecond')
		FROM begun b WHERE t.id = b.task_id
		    AND t.status IN ('pending', 'running')
		RETURNING ARRAY[mn.run_item('started', b.id, t, b.data),
		    mn.task_item(t, 'running')] AS items
	), told AS (
		INSERT INTO event (tenant_id, items)
		SELECT p_tenant, array_agg(items) FROM working
		HAVING count(*) > 0
	)
	SELECT n::bigint, 1 FROM begun;
END
$$;

CREATE FUNCTION mn.run_step(p_tenant text, p_run text, p_percent bigint,
    p_step text) RETURNS SETOF mn.answer
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	t	mn_data.task;
BEGIN
	UPDATE task SET percent = least(p_percent, 100)::integer,
	    step = nullif(p_step, ''), updated_at = mn.later(updated_at)
	WHERE id = (SELECT task_id FROM run WHERE id = p_run)
	    AND run_id = p_run AND tenant_id = p_tenant AND status = 'running'
	    AND (percent IS DISTINCT FROM least(p_percent, 100)::integer
		OR step IS DISTINCT FROM nullif(p_step, ''))
	RETURNING * INTO t;
	IF NOT FOUND THEN
		RETURN QUERY SELECT 0::bigint, '', '', '';
		RETURN;
	END IF;
	PERFORM mn.task_event(t, 'progress');
	RETURN QUERY SELECT 1::bigint, '', '', '';
END
$$;

-- What ends, and what becomes of it, in one statement for all of a batch: the
-- runs, their next attempts, the tasks, the sessions, each of which gives its
-- run back and takes then_run when it is still on that runner under that epoch,
-- those runs, and the events.  A row for each run that ended and in which a
-- permission was asked, or may have been before it in the task that ends (ended),
-- and for each that follows the n-th (taken).  An attempt is never queued before
-- the one it follows, whatever the clock says.
CREATE FUNCTION mn.run_ends(p_tenant text, p_run text[], p_task text[],
    p_attempt bigint[], p_session text[], p_status text[], p_exit_code bigint[],
    p_error_code text[], p_error text[], p_result text[],
    p_tokens_input bigint[], p_tokens_output bigint[], p_cost bigint[],
    p_duration bigint[], p_conversation text[], p_task_status text[],
    p_next_run text[], p_counted bigint[], p_then_run text[],
    p_then_task text[], p_then_runner text[], p_then_epoch bigint[])
RETURNS TABLE (n integer, ended text, taken text)
LANGUAGE plpgsql VOLATILE AS $$
#variable_conflict use_column
DECLARE
	v_now	timestamptz := clock_timestamp();
BEGIN
	RETURN QUERY WITH over AS (
		UPDATE run r SET status = CASE WHEN p_status[n] = 'suspended'
			THEN 'lost' ELSE p_status[n] END,
		    exit_code = p_exit_code[n],
		    error_code = coalesce(nullif(p_error_code[n], ''),
			nullif(p_status[n], 'completed')),
		    error = nullif(p_error[n], ''),
		    tokens_input = p_tokens_input[n],
		    tokens_output = p_tokens_output[n],
		    cost_microusd = p_cost[n], duration_ms = p_duration[n],
		    conversation = nullif(p_conversation[n], ''),
		    ended_at = v_now
		FROM mn.places(p_run) AS q
		WHERE r.id = q.id AND r.tenant_id = p_tenant
		    AND r.task_id = p_task[n] AND r.attempt = p_attempt[n]
		    AND r.session_id = p_session[n]
		    AND (r.status IN ('assigned', 'running') OR
			(r.status = 'pending' AND p_status[n] = 'canceled'))
		RETURNING n, r.id, r.task_id, r.session_id, r.attempt,
		    r.queued_at, r.error_code, r.error, r.asked, mn.run_data(r) AS data,
		    p_task_status[n] = 'pending' AS again
	), next AS (
		INSERT INTO run (id, tenant_id, task_id, session_id, attempt,
		    status, queued_at)
		SELECT p_next_run[n], p_tenant, task_id, session_id,
		    attempt + 1, 'pending', greatest(v_now, queued_at)
		FROM over WHERE again
		ON CONFLICT DO NOTHING
	), done AS (
		UPDATE task t SET status = p_task_status[o.n],
		    attempt = t.attempt + o.again::integer,
		    run_id = CASE WHEN o.again THEN p_next_run[o.n]
			ELSE t.run_id END,
		    retry_count = t.retry_count + (o.again
			AND p_counted[o.n] <> 0)::integer,
		    lost_count = t.lost_count +
			(p_status[o.n] = 'lost')::integer,
		    result = coalesce(nullif(p_result[o.n], ''), t.result),
		    error_code = CASE WHEN p_task_status[o.n] IN ('failed',
			'canceled') THEN coalesce(o.error_code,
			p_task_status[o.n]) END,
		    error = CASE WHEN p_task_status[o.n] IN ('failed',
			'canceled') THEN coalesce(o.error,
			t.cancel_reason) END,
		    tokens_input = t.tokens_input + p_tokens_input[o.n],
		    tokens_output = t.tokens_output + p_tokens_output[o.n],
		    cost_microusd = t.cost_microusd + p_cost[o.n],
		    duration_ms = t.duration_ms + p_duration[o.n],
		    waiting_for = NULL, waiting_since = NULL,
		    percent = CASE WHEN NOT o.again THEN t.percent END,
		    step = CASE WHEN NOT o.again THEN t.step END,
		    ended_at = CASE WHEN NOT o.again THEN v_now END,
		    updated_at = greatest(v_now, t.updated_at +
			interval '1 millisecond')
		FROM over o WHERE t.id = o.task_id AND t.run_id = o.id
		RETURNING o.n, o.id, o.session_id, t.status, t.error_code,
		    t.error, ARRAY[mn.run_item('ended', o.id, t, o.data),
			CASE WHEN NOT o.again THEN
			    mn.task_item(t, t.status) END] AS items
	), used AS (
		SELECT session_id AS id, array_agg(id) AS runs,
		    sum(p_tokens_input[n]) AS tokens_input,
		    sum(p_tokens_output[n]) AS tokens_output,
		    sum(p_cost[n]) AS cost, sum(p_duration[n]) AS duration,
		    bool_or(status = 'failed') AS failed,
		    max(error_code) FILTER (WHERE status = 'failed')
			AS error_code,
		    max(error) FILTER (WHERE status = 'failed') AS error,
		    coalesce(max(n) FILTER (WHERE p_then_run[n] <> ''),
			max(n)) AS n
		FROM done GROUP BY session_id
	), freed AS (
		UPDATE session s SET last_activity_at = v_now,
		    run_id = CASE WHEN s.run_id <> ALL (u.runs) THEN s.run_id
			WHEN s.status = 'active' AND s.wish = 0
			AND s.runner_id = p_then_runner[u.n]
			AND s.epoch = p_then_epoch[u.n]
			AND EXISTS (SELECT FROM run r JOIN task t
			    ON t.id = r.task_id WHERE r.id = p_then_run[u.n]
			    AND r.task_id = p_then_task[u.n]
			    AND r.session_id = s.id AND r.status = 'pending'
			    AND t.run_id = r.id AND NOT t.cancel_asked
			    AND t.status IN ('pending', 'running'))
			THEN p_then_run[u.n] END,
		    tokens_input = s.tokens_input + u.tokens_input,
		    tokens_output = s.tokens_output + u.tokens_output,
		    cost_microusd = s.cost_microusd + u.cost,
		    duration_ms = s.duration_ms + u.duration,
		    error_code = CASE WHEN u.failed THEN u.error_code
			ELSE s.error_code END,
		    error = CASE WHEN u.failed THEN u.error ELSE s.error END,
		    error_at = CASE WHEN u.failed THEN v_now
			ELSE s.error_at END,
		    updated_at = greatest(v_now, s.updated_at +
			interval '1 millisecond')
		FROM used u WHERE s.id = u.id
		RETURNING s.run_id, u.n
	), taken AS (
		UPDATE run r SET status = 'assigned',
		    runner_id = p_then_runner[f.n], epoch = p_then_epoch[f.n],
		    assigned_at = v_now
		FROM freed f WHERE r.id = f.run_id
		    AND f.run_id = p_then_run[f.n]
		RETURNING f.n, r.id
	), told AS (
		INSERT INTO event (tenant_id, items)
		SELECT p_tenant, array_agg(items) FROM done
		HAVING count(*) > 0
	)
	SELECT n, id, NULL FROM over WHERE asked OR (attempt > 1 AND NOT again)
	UNION ALL
	SELECT n, NULL, id FROM taken;
END
$$;

CREATE FUNCTION mn.run_end(p_tenant text, p_run text[], p_task text[],
    p_attempt bigint[], p_session text[], p_status text[], p_exit_code bigint[],
    p_error_code text[], p_error text[], p_result text[],
    p_tokens_input bigint[], p_tokens_output bigint[], p_cost bigint[],
    p_duration bigint[], p_conversation text[], p_task_status text[],
    p_next_run text[], p_counted bigint[], p_then_run text[],
    p_then_task text[], p_then_runner text[], p_then_epoch bigint[])
RETURNS SETOF mn.run_row
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	e	record;
	v_left	text[] := array_remove(p_then_run, '');
BEGIN
	IF NOT p_status <@ ARRAY['completed', 'failed', 'timeout', 'canceled',
	    'lost', 'suspended'] OR NOT p_task_status <@ ARRAY['completed',
	    'failed', 'canceled', 'pending'] THEN
		RAISE invalid_parameter_value USING MESSAGE =
		    'status or task_status of no meaning';
	END IF;
	FOR e IN SELECT * FROM mn.run_ends(p_tenant, p_run, p_task,
	    p_attempt, p_session, p_status, p_exit_code, p_error_code,
	    p_error, p_result, p_tokens_input, p_tokens_output, p_cost,
	    p_duration, p_conversation, p_task_status, p_next_run,
	    p_counted, p_then_run, p_then_task, p_then_runner,
	    p_then_epoch) LOOP
		IF e.ended IS NOT NULL THEN
			PERFORM mn.permission_run_end(r, p_status[e.n],
			    p_task_status[e.n] <> 'pending')
			FROM run r WHERE r.id = e.ended;
		ELSE
			v_left := array_remove(v_left, e.taken);
			RETURN QUERY SELECT x.* FROM run r, task t,
			    mn.run_row(r, t, e.n) x
			WHERE r.id = e.taken AND t.id = r.task_id;
		END IF;
	END LOOP;
	-- It was given before, and that answer was lost.
	IF v_left <> '{}' THEN
		RETURN QUERY SELECT x.* FROM mn.places(p_then_run) AS q (id, i)
		JOIN run r ON r.id = q.id JOIN session s ON s.id = r.session_id
		JOIN task t ON t.id = r.task_id, mn.run_row(r, t, i) x
		WHERE q.id = ANY (v_left) AND r.tenant_id = p_tenant
		    AND r.status = 'assigned' AND s.run_id = r.id
		    AND r.runner_id = p_then_runner[i]
		    AND r.epoch = p_then_epoch[i];
	END IF;
END
$$;

CREATE FUNCTION mn.run_unassign(p_tenant text, p_run text, p_attempt bigint)
RETURNS SETOF mn.answer
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	v_session	text;
BEGIN
	UPDATE run SET status = 'pending', runner_id = NULL, epoch = 0,
	    assigned_at = NULL
	WHERE id = p_run AND tenant_id = p_tenant AND attempt = p_attempt
	    AND status = 'assigned' RETURNING session_id INTO v_session;
	IF NOT FOUND THEN
		RETURN QUERY SELECT 0::bigint, '', '', '';
		RETURN;
	END IF;
	UPDATE session SET run_id = NULL
	WHERE id = v_session AND tenant_id = p_tenant AND run_id = p_run;
	RETURN QUERY SELECT 1::bigint, '', '', '';
END
$$;

CREATE TYPE mn.run_found AS (tenant text, run text, task text, session text,
    runner text, attempt integer, epoch bigint, status text, log_last bigint);

CREATE FUNCTION mn.run_find(p_run text) RETURNS SETOF mn.run_found
LANGUAGE sql STABLE AS $$
	SELECT r.tenant_id, r.id, r.task_id, r.session_id,
	    coalesce(r.runner_id, ''), r.attempt, r.epoch, r.status,
	    r.log_last
	FROM run r WHERE r.id = p_run
$$;
