-- Runs: one attempt at a task each.

CREATE TYPE mn.run_row AS (run text, task text, session text, runner text,
    attempt integer, epoch bigint, timeout bigint, interrupted smallint,
    prompt text);

-- The session's row is locked first, so that of two runs one waits and then
-- sees the other; the unique index is the backstop.  Asked again for the same
-- runner and epoch it answers the same.
CREATE FUNCTION mn.run_assign(p_tenant text, p_run text, p_task text,
    p_session text, p_runner text, p_epoch bigint)
RETURNS SETOF mn.run_row
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	r	mn_data.run;
BEGIN
	PERFORM FROM session WHERE id = p_session AND tenant_id = p_tenant
	    AND status = 'active' AND wish = 0 AND runner_id = p_runner
	    AND epoch = p_epoch FOR NO KEY UPDATE;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	UPDATE run SET status = 'assigned', runner_id = p_runner,
	    epoch = p_epoch, assigned_at = clock_timestamp()
	WHERE id = p_run AND tenant_id = p_tenant AND task_id = p_task
	    AND session_id = p_session AND status = 'pending'
	    AND NOT EXISTS (SELECT FROM run o WHERE o.session_id = p_session
		AND o.status IN ('assigned', 'running'))
	    AND EXISTS (SELECT FROM task WHERE id = p_task AND run_id = p_run
		AND status IN ('pending', 'running') AND NOT cancel_asked)
	RETURNING * INTO r;
	IF NOT FOUND THEN
		SELECT * INTO r FROM run WHERE id = p_run
		    AND tenant_id = p_tenant AND status = 'assigned'
		    AND runner_id = p_runner AND epoch = p_epoch;
		IF NOT FOUND THEN
			RETURN;
		END IF;
	END IF;
	RETURN QUERY SELECT r.id, t.id, r.session_id, r.runner_id, r.attempt,
	    r.epoch, t.timeout, coalesce((SELECT (o.status = 'lost')::integer
		FROM run o WHERE o.task_id = t.id AND o.attempt < r.attempt
		AND o.started_at IS NOT NULL ORDER BY o.attempt DESC LIMIT 1),
		0)::smallint, t.prompt
	FROM task t WHERE t.id = r.task_id;
END
$$;

CREATE FUNCTION mn.run_begin(p_tenant text, p_run text, p_attempt bigint,
    p_time_ms bigint) RETURNS SETOF mn.answer
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	r	mn_data.run;
	t	mn_data.task;
	v_time	timestamptz := clock_timestamp();
BEGIN
	IF p_time_ms BETWEEN 1 AND mn.ms(v_time) THEN
		v_time := to_timestamp(p_time_ms / 1000.0);
	END IF;
	UPDATE run SET status = 'running',
	    started_at = greatest(v_time, assigned_at)
	WHERE id = p_run AND tenant_id = p_tenant AND attempt = p_attempt
	    AND status = 'assigned' RETURNING * INTO r;
	IF NOT FOUND THEN
		RETURN QUERY SELECT 0::bigint, '', '', '';
		RETURN;
	END IF;
	UPDATE task SET status = 'running',
	    started_at = coalesce(started_at, r.started_at),
	    waiting_for = NULL, waiting_since = NULL,
	    updated_at = mn.later(updated_at)
	WHERE id = r.task_id AND status IN ('pending', 'running')
	RETURNING * INTO t;
	UPDATE session SET last_activity_at = clock_timestamp()
	WHERE id = r.session_id;
	PERFORM mn.run_event(r, t, 'started');
	PERFORM mn.task_event(t, 'running');
	RETURN QUERY SELECT 1::bigint, '', '', mn.task_doc(t);
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
	WHERE run_id = p_run AND tenant_id = p_tenant AND status = 'running'
	    AND id = (SELECT task_id FROM run WHERE id = p_run)
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

-- What the task becomes with the end of its newest run.
CREATE FUNCTION mn.run_end_task(r mn_data.run, p_status text, p_result text,
    p_next_run text, p_counted integer, p_lost boolean) RETURNS mn_data.task
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	t	mn_data.task;
	v_again	boolean := p_status = 'pending' AND p_next_run <> '';
BEGIN
	IF v_again THEN
		INSERT INTO run (id, tenant_id, task_id, session_id, attempt,
		    status)
		VALUES (p_next_run, r.tenant_id, r.task_id, r.session_id,
		    r.attempt + 1, 'pending') ON CONFLICT DO NOTHING;
	END IF;
	UPDATE task SET status = p_status,
	    attempt = CASE WHEN v_again THEN r.attempt + 1 ELSE attempt END,
	    run_id = CASE WHEN v_again THEN p_next_run ELSE run_id END,
	    retry_count = retry_count + CASE WHEN v_again AND p_counted <> 0
		THEN 1 ELSE 0 END,
	    lost_count = lost_count + p_lost::integer,
	    result = coalesce(nullif(p_result, ''), result),
	    error_code = CASE WHEN p_status IN ('failed', 'canceled')
		THEN coalesce(r.error_code, p_status) END,
	    error = CASE WHEN p_status IN ('failed', 'canceled')
		THEN coalesce(r.error, cancel_reason) END,
	    tokens_input = tokens_input + r.tokens_input,
	    tokens_output = tokens_output + r.tokens_output,
	    cost_microusd = cost_microusd + r.cost_microusd,
	    duration_ms = duration_ms + r.duration_ms,
	    waiting_for = NULL, waiting_since = NULL,
	    percent = CASE WHEN v_again THEN NULL ELSE percent END,
	    step = CASE WHEN v_again THEN NULL ELSE step END,
	    ended_at = CASE WHEN p_status <> 'pending'
		THEN clock_timestamp() END,
	    updated_at = mn.later(updated_at)
	WHERE id = r.task_id RETURNING * INTO t;
	UPDATE session SET last_activity_at = clock_timestamp(),
	    tokens_input = tokens_input + r.tokens_input,
	    tokens_output = tokens_output + r.tokens_output,
	    cost_microusd = cost_microusd + r.cost_microusd,
	    duration_ms = duration_ms + r.duration_ms,
	    error_code = CASE WHEN p_status = 'failed' THEN t.error_code
		ELSE error_code END,
	    error = CASE WHEN p_status = 'failed' THEN t.error ELSE error END,
	    error_at = CASE WHEN p_status = 'failed' THEN clock_timestamp()
		ELSE error_at END,
	    updated_at = mn.later(updated_at)
	WHERE id = r.session_id;
	PERFORM mn.run_event(r, t, 'ended');
	IF p_status <> 'pending' THEN
		PERFORM mn.task_event(t, p_status);
	END IF;
	RETURN t;
END
$$;

CREATE FUNCTION mn.run_end(p_tenant text, p_run text, p_attempt bigint,
    p_status text, p_exit_code bigint, p_error_code text, p_error text,
    p_result text, p_tokens_input bigint, p_tokens_output bigint,
    p_cost bigint, p_duration bigint, p_conversation text,
    p_task_status text, p_next_run text, p_counted integer)
RETURNS SETOF mn.answer
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	r	mn_data.run;
	t	mn_data.task;
	v_cut	boolean := p_status IN ('lost', 'suspended');
BEGIN
	IF p_status NOT IN ('completed', 'failed', 'timeout', 'canceled',
	    'lost', 'suspended') OR p_task_status NOT IN ('completed',
	    'failed', 'canceled', 'pending') OR (p_task_status = 'pending'
	    AND p_next_run = '') THEN
		RETURN QUERY SELECT 0::bigint, 'validation_error',
		    'status, task_status or next_run of no meaning', '';
		RETURN;
	END IF;
	UPDATE run SET status = CASE WHEN v_cut THEN 'lost' ELSE p_status END,
	    exit_code = p_exit_code,
	    error_code = coalesce(nullif(p_error_code, ''), CASE
		WHEN p_status <> 'completed' THEN p_status END),
	    error = nullif(p_error, ''), tokens_input = p_tokens_input,
	    tokens_output = p_tokens_output, cost_microusd = p_cost,
	    duration_ms = p_duration, conversation = nullif(p_conversation,
	    ''), ended_at = clock_timestamp()
	WHERE id = p_run AND tenant_id = p_tenant AND attempt = p_attempt
	    AND (status IN ('assigned', 'running')
		OR (status = 'pending' AND p_status = 'canceled'))
	RETURNING * INTO r;
	IF NOT FOUND THEN
		RETURN QUERY SELECT 0::bigint, '', '', coalesce((SELECT
		    mn.task_doc(k) FROM run o JOIN task k ON k.id = o.task_id
		    WHERE o.id = p_run AND o.tenant_id = p_tenant), '');
		RETURN;
	END IF;
	PERFORM mn.permission_run_end(r, p_status);
	t := mn.run_end_task(r, p_task_status, p_result, p_next_run,
	    p_counted, p_status = 'lost');
	RETURN QUERY SELECT 1::bigint, '', '', mn.task_doc(t);
END
$$;

CREATE FUNCTION mn.run_unassign(p_tenant text, p_run text, p_attempt bigint)
RETURNS SETOF mn.answer
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	n	bigint;
BEGIN
	UPDATE run SET status = 'pending', runner_id = NULL, epoch = 0,
	    assigned_at = NULL
	WHERE id = p_run AND tenant_id = p_tenant AND attempt = p_attempt
	    AND status = 'assigned';
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN QUERY SELECT n, '', '', '';
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
