-- Sessions.

CREATE TYPE mn.session_row AS (tenant text, session text, agent text,
    model text, status text, wish smallint, runner text, home text,
    epoch bigint, agent_config text, key_ref text, idle_timeout integer,
    suspended_ms bigint, policy text, code text, text text, doc text);

CREATE FUNCTION mn.session_row(s mn_data.session, p_code text, p_text text,
    p_doc boolean) RETURNS mn.session_row
LANGUAGE sql STABLE AS $$
	SELECT ROW(s.tenant_id, s.id, s.agent, coalesce(s.model, ''),
	    s.status, s.wish, coalesce(s.runner_id, ''),
	    coalesce(s.home_id, ''), s.epoch, coalesce(s.agent_config_id, ''),
	    coalesce(s.key_ref, ''), coalesce(s.idle_timeout, 0),
	    mn.ms(s.suspended_at),
	    coalesce(s.permission_policy::text, ''), p_code, p_text,
	    CASE WHEN p_doc THEN mn.session_doc(s) ELSE '' END
	    )::mn.session_row
$$;

-- No record to show: a code alone.
CREATE FUNCTION mn.session_none(p_code text, p_text text)
RETURNS SETOF mn.session_row
LANGUAGE sql IMMUTABLE AS $$
	SELECT '', '', '', '', '', 0::smallint, '', '', 0::bigint, '', '', 0,
	    0::bigint, '', p_code, left(p_text, 1024), ''
$$;

CREATE FUNCTION mn.session_event(s mn_data.session, p_type text)
RETURNS void
LANGUAGE sql VOLATILE AS $$
	SELECT mn.event_put(s.tenant_id, 'session.' || p_type, 'session', s.id,
	    s.id, NULL, s.labels, json_build_object('status', s.status,
	    'reason', coalesce(s.status_reason, s.suspend_reason),
	    'agent', s.agent, 'runner_id', s.runner_id)::text)
$$;

CREATE FUNCTION mn.session_put(p_tenant text, p_session text,
    p_workspace text, p_agent text, p_agent_config text, p_key_ref text,
    p_spec text, p_actor text, p_idem_key text, p_idem_hash bytea)
RETURNS SETOF mn.session_row
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	s	mn_data.session;
	c	mn_data.agent_config;
	j	jsonb := mn.object(p_spec);
	v_id	text := mn.idem(p_tenant, p_idem_key, p_idem_hash, p_session,
		    false);
BEGIN
	IF v_id = p_session THEN
		SELECT * INTO c FROM agent_config
		WHERE tenant_id = p_tenant AND removed_at IS NULL AND CASE
		    WHEN p_agent_config <> '' THEN id = p_agent_config
		    ELSE p_key_ref = '' AND is_default AND agent = p_agent END
		FOR KEY SHARE;
		IF NOT FOUND AND p_agent_config <> '' THEN
			RETURN QUERY SELECT * FROM mn.session_none(
			    'validation_error', 'agent_config_id: there is no '
			    'agent config ' || p_agent_config);
			RETURN;
		ELSIF c.agent <> p_agent THEN
			RETURN QUERY SELECT * FROM mn.session_none(
			    'validation_error', 'agent_config_id: ' || c.id ||
			    ' is for agent ' || c.agent);
			RETURN;
		END IF;
		v_id := mn.idem(p_tenant, p_idem_key, p_idem_hash, p_session,
		    true);
	END IF;
	IF v_id IS NULL THEN
		RETURN QUERY SELECT * FROM mn.session_none(
		    'idempotency_conflict', mn.idem_text());
		RETURN;
	END IF;
	IF v_id = p_session THEN
		INSERT INTO session (id, tenant_id, workspace_id, agent,
		    agent_config_id, key_ref, is_byok, name, model,
		    network_policy, allowed_hosts, permission_policy,
		    lifecycle_mode, idle_timeout, max_lifetime, spec, labels,
		    annotations, status, created_by)
		VALUES (p_session, p_tenant, p_workspace, p_agent,
		    nullif(p_agent_config, ''), nullif(p_key_ref, ''),
		    p_key_ref <> '', j->>'name',
		    coalesce(nullif(j->>'model', ''), c.model),
		    coalesce(j->>'network_policy', 'default'),
		    coalesce(nullif(j->'allowed_hosts', 'null'), '[]'),
		    nullif(j->'permission_policy', 'null'),
		    coalesce(j->>'lifecycle_mode', 'on_demand'),
		    mn.int(j->>'idle_timeout_seconds'),
		    mn.int(j->>'max_lifetime_seconds'),
		    j - ARRAY['name', 'model', 'network_policy',
			'allowed_hosts', 'permission_policy', 'lifecycle_mode',
			'idle_timeout_seconds', 'max_lifetime_seconds',
			'labels', 'annotations'],
		    coalesce(nullif(j->'labels', 'null'), '{}'),
		    coalesce(nullif(j->'annotations', 'null'), '{}'),
		    'pending', nullif(p_actor, ''))
		ON CONFLICT (id) DO NOTHING RETURNING * INTO s;
		IF FOUND THEN
			IF c.id IS NOT NULL THEN
				UPDATE session SET agent_config_id = c.id
				WHERE id = s.id RETURNING * INTO s;
			END IF;
			INSERT INTO tenant (tenant_id) VALUES (p_tenant)
			ON CONFLICT DO NOTHING;
			PERFORM mn.session_event(s, 'created');
		END IF;
	END IF;
	SELECT * INTO s FROM session WHERE id = v_id AND tenant_id = p_tenant;
	IF NOT FOUND THEN
		RETURN QUERY SELECT * FROM mn.session_none('not_found',
		    'there is no session ' || v_id);
		RETURN;
	END IF;
	RETURN QUERY SELECT (mn.session_row(s, CASE WHEN v_id <> p_session
	    THEN 'replayed' ELSE '' END, '', true)).*;
END
$$;

CREATE FUNCTION mn.session_load() RETURNS SETOF mn.session_row
LANGUAGE sql STABLE AS $$
	SELECT r.* FROM session s, mn.session_row(s, '', '', false) r
	WHERE s.status <> 'terminated' ORDER BY s.id
$$;

CREATE FUNCTION mn.session_page(p_tenant text, p_query text)
RETURNS SETOF mn.answer
LANGUAGE plpgsql STABLE AS $$
DECLARE
	q		jsonb := mn.object(p_query);
	v_from		text := mn.cursor_read(q);
	v_max		integer := mn.page_limit(q);
	v_status	text[] := mn.filter(q, 'status');
	v_agent		text[] := mn.filter(q, 'agent');
	v_mode		text[] := mn.filter(q, 'lifecycle_mode');
	v_labels	jsonb := mn.filter_labels(q);
	v_all		text[];
	v_ids		text[];
	v_docs		text[];
BEGIN
	IF v_from IS NULL THEN
		RETURN QUERY SELECT * FROM mn.bad_cursor();
		RETURN;
	END IF;
	v_all := ARRAY(SELECT id FROM session WHERE tenant_id = p_tenant
	    AND NOT (removed AND status = 'terminated') AND id < v_from
	    AND (v_status IS NULL OR status = ANY (v_status))
	    AND (v_agent IS NULL OR agent = ANY (v_agent))
	    AND (v_mode IS NULL OR lifecycle_mode = ANY (v_mode))
	    AND labels @> v_labels ORDER BY id DESC LIMIT v_max + 1);
	SELECT array_agg(d.doc ORDER BY d.id DESC),
	    array_agg(d.id ORDER BY d.id DESC) INTO v_docs, v_ids
	FROM (SELECT s.id, mn.session_doc(s) AS doc, sum(2000 +
		pg_column_size(s)) OVER (ORDER BY s.id DESC) AS upto,
		row_number() OVER (ORDER BY s.id DESC) AS n
	    FROM session s WHERE s.id = ANY (v_all[:v_max])) d
	WHERE d.upto <= 1048576 OR d.n = 1;
	RETURN QUERY SELECT * FROM mn.page(v_docs, v_ids,
	    cardinality(v_all) > coalesce(cardinality(v_ids), 0),
	    CASE WHEN mn.page_counted(q) THEN (SELECT count(*) FROM session
		WHERE tenant_id = p_tenant
		AND NOT (removed AND status = 'terminated')
		AND (v_status IS NULL OR status = ANY (v_status))
		AND (v_agent IS NULL OR agent = ANY (v_agent))
		AND (v_mode IS NULL OR lifecycle_mode = ANY (v_mode))
		AND labels @> v_labels) END);
END
$$;

CREATE FUNCTION mn.session_read(p_tenant text, p_session text[])
RETURNS SETOF mn.found
LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN QUERY SELECT (mn.found(q.n, 'session', q.id, s.id IS NOT NULL,
	    mn.session_doc(s))).*
	FROM unnest(p_session) WITH ORDINALITY AS q (id, n)
	LEFT JOIN session s ON s.id = q.id
	    AND s.tenant_id IS NOT DISTINCT FROM p_tenant
	    AND NOT (s.removed AND s.status = 'terminated');
END
$$;

-- Bytes of an object of strings as JSON without spaces.
CREATE FUNCTION mn.compact_size(j jsonb) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
	SELECT 2 + greatest(0, sum(octet_length(to_jsonb(k)::text) +
	    octet_length(v::text) + 2) - 1) FROM jsonb_each(j) AS e (k, v)
$$;

-- p_if_match: '' or '*', or the text of updated_at, bare, quoted, in a list.
-- p_change: that of the row was done, and its answer lost.  What If-Match does not
-- guard may be done twice, and leaves the row's as it is.
-- Labels and annotations have the limits that they have in a POST, so that
-- many changes do not make more of them than one may.
CREATE FUNCTION mn.session_patch(p_tenant text, p_session text,
    p_change text, p_if_match text, p_patch text) RETURNS SETOF mn.session_row
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	s	mn_data.session;
	p	jsonb := mn.object(p_patch);
	v_labels	jsonb;
	v_annotations	jsonb;
	v_long	text;
BEGIN
	SELECT * INTO s FROM session WHERE id = p_session
	    AND tenant_id = p_tenant AND NOT (removed
	    AND status = 'terminated') FOR UPDATE;
	IF NOT FOUND THEN
		RETURN QUERY SELECT * FROM mn.session_none('not_found',
		    'there is no session ' || p_session);
		RETURN;
	END IF;
	IF s.change_id = p_change THEN
		RETURN QUERY SELECT (mn.session_row(s, '', '', true)).*;
		RETURN;
	END IF;
	IF p_if_match NOT IN ('', '*') AND
	    strpos(p_if_match, mn.time(s.updated_at)) = 0 THEN
		RETURN QUERY SELECT (mn.session_row(s, 'precondition_failed',
		    'If-Match: the session is at "' || mn.time(s.updated_at) ||
		    '"', true)).*;
		RETURN;
	END IF;
	v_labels := CASE WHEN p ? 'labels' THEN coalesce(nullif(
	    mn.merge(s.labels, p->'labels'), 'null'), '{}')
	    ELSE s.labels END;
	v_annotations := CASE WHEN p ? 'annotations' THEN coalesce(nullif(
	    mn.merge(s.annotations, p->'annotations'), 'null'), '{}')
	    ELSE s.annotations END;
	v_long := CASE WHEN mn.compact_size(v_labels) >
		greatest(8192, mn.compact_size(s.labels))
	    THEN 'labels: expected at most 8192 bytes of JSON, with this '
		'change there would be ' || mn.compact_size(v_labels)
	    WHEN mn.compact_size(v_annotations) >
		greatest(16384, mn.compact_size(s.annotations))
	    THEN 'annotations: expected at most 16384 bytes of JSON, with '
		'this change there would be ' ||
		mn.compact_size(v_annotations) END;
	IF v_long IS NOT NULL THEN
		RETURN QUERY SELECT (mn.session_row(s, 'validation_error',
		    v_long, true)).*;
		RETURN;
	END IF;
	UPDATE session t SET
	    name = CASE WHEN p ? 'name' THEN p->>'name' ELSE t.name END,
	    model = CASE WHEN p ? 'model' THEN p->>'model' ELSE t.model END,
	    network_policy = coalesce(p->>'network_policy', CASE
		WHEN p ? 'network_policy' THEN 'default'
		ELSE t.network_policy END),
	    allowed_hosts = CASE WHEN p ? 'allowed_hosts' THEN
		coalesce(nullif(p->'allowed_hosts', 'null'), '[]')
		ELSE t.allowed_hosts END,
	    permission_policy = CASE WHEN p ? 'permission_policy' THEN
		nullif(mn.merge(t.permission_policy, p->'permission_policy'),
		    'null') ELSE t.permission_policy END,
	    lifecycle_mode = coalesce(p->>'lifecycle_mode', CASE
		WHEN p ? 'lifecycle_mode' THEN 'on_demand'
		ELSE t.lifecycle_mode END),
	    idle_timeout = CASE WHEN p ? 'idle_timeout_seconds' THEN
		mn.int(p->>'idle_timeout_seconds') ELSE t.idle_timeout END,
	    max_lifetime = CASE WHEN p ? 'max_lifetime_seconds' THEN
		mn.int(p->>'max_lifetime_seconds') ELSE t.max_lifetime END,
	    labels = v_labels,
	    annotations = v_annotations,
	    spec = mn.merge(t.spec, p - ARRAY['name', 'model',
		'network_policy', 'allowed_hosts', 'permission_policy',
		'lifecycle_mode', 'idle_timeout_seconds',
		'max_lifetime_seconds', 'labels', 'annotations']),
	    change_id = CASE WHEN p_if_match IN ('', '*') THEN t.change_id
		ELSE p_change END,
	    updated_at = mn.later(t.updated_at)
	WHERE t.id = s.id RETURNING * INTO s;
	RETURN QUERY SELECT (mn.session_row(s, '', '', true)).*;
END
$$;

-- When a session is suspended: not before what its tasks want now, even when
-- the clock was set back since.
CREATE FUNCTION mn.suspend_time(p_session text) RETURNS timestamptz
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	RETURN greatest(clock_timestamp(), (SELECT max(wanted_at) FROM task
	    WHERE session_id = p_session AND ended_at IS NULL));
END
$$;

-- When a task wants its session from now on: after it was suspended.
CREATE FUNCTION mn.wanted_time(p_session text) RETURNS timestamptz
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	RETURN greatest(clock_timestamp(), (SELECT suspended_at +
	    interval '1 millisecond' FROM session WHERE id = p_session));
END
$$;

-- At once to suspended or terminated: there is no runner to ask first.  p_again:
-- it was wished before, and is done as of then and for the reason of then.
CREATE FUNCTION mn.session_stop(p_session text, p_to text, p_reason text,
    p_again boolean) RETURNS mn_data.session
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	s	mn_data.session;
BEGIN
	UPDATE session SET status = p_to, wish = 0, status_reason = NULL,
	    suspend_reason = coalesce(CASE WHEN p_again THEN wish_reason END,
		nullif(p_reason, ''), CASE WHEN p_to = 'suspended'
		THEN 'user' END), wish_reason = NULL,
	    suspended_at = CASE WHEN p_to = 'suspended' AND NOT p_again
		THEN mn.suspend_time(id) ELSE suspended_at END,
	    updated_at = mn.later(updated_at)
	WHERE id = p_session RETURNING * INTO s;
	PERFORM mn.session_event(s, p_to);
	RETURN s;
END
$$;

CREATE FUNCTION mn.session_resume(p_session text) RETURNS mn_data.session
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	s	mn_data.session;
BEGIN
	UPDATE session SET status = 'resuming', wish = 0,
	    status_reason = NULL, updated_at = mn.later(updated_at)
	WHERE id = p_session RETURNING * INTO s;
	PERFORM mn.session_event(s, 'resuming');
	RETURN s;
END
$$;

-- p_actor: empty when it is the server's own, which no name of a person's is.
CREATE FUNCTION mn.session_wish(p_tenant text, p_session text,
    p_wish integer, p_reason text, p_remove integer, p_actor text)
RETURNS SETOF mn.session_row
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	s	mn_data.session;
	v_again	boolean;
	v_text	text;
BEGIN
	SELECT * INTO s FROM session WHERE id = p_session
	    AND tenant_id = p_tenant AND (p_remove <> 0 OR NOT (removed
	    AND status = 'terminated')) FOR UPDATE;
	IF NOT FOUND THEN
		RETURN QUERY SELECT * FROM mn.session_none('not_found',
		    'there is no session ' || p_session);
		RETURN;
	END IF;
	v_again := s.wish = p_wish AND p_actor = '';
	IF p_wish = 2 THEN
		IF p_remove <> 0 AND NOT s.removed THEN
			UPDATE session SET removed = true,
			    updated_at = mn.later(updated_at)
			WHERE id = s.id RETURNING * INTO s;
		END IF;
	ELSIF s.status = 'terminated' THEN
		v_text := 'the session is terminated';
	ELSIF s.wish = 2 THEN
		v_text := 'the session is being terminated';
	ELSIF p_wish = 0 AND s.wish = 1 THEN
		v_text := 'the session is being suspended';
	END IF;
	IF v_text IS NOT NULL THEN
		RETURN QUERY SELECT (mn.session_row(s, 'invalid_state',
		    v_text, true)).*;
		RETURN;
	END IF;
	-- The reason may be gone since it was found: what came meanwhile, a
	-- task or an answer, would be older than the suspension and not wake it.
	IF p_actor = '' AND ((p_reason = 'idle' AND EXISTS (
	    SELECT FROM task WHERE session_id = s.id
	    AND tenant_id = p_tenant AND ended_at IS NULL)) OR
	    (p_reason = 'permission' AND NOT EXISTS (
	    SELECT FROM permission WHERE session_id = s.id
	    AND tenant_id = p_tenant AND status = 'pending'))) THEN
		RETURN QUERY SELECT (mn.session_row(s, '', '', true)).*;
		RETURN;
	END IF;
	IF s.runner_id IS NOT NULL AND (s.wish < p_wish OR
	    s.wish = 1 AND p_wish = 1 AND p_actor <> '') THEN
		-- A task made from now on wakes it again: from a person's
		-- word on, also when it is being suspended already.
		UPDATE session SET wish = p_wish,
		    wish_reason = nullif(p_reason, ''),
		    suspended_at = CASE WHEN p_wish = 1
			THEN mn.suspend_time(id) ELSE suspended_at END,
		    updated_at = mn.later(updated_at)
		WHERE id = s.id RETURNING * INTO s;
	ELSIF s.runner_id IS NULL AND p_wish = 2 AND
	    s.status <> 'terminated' THEN
		s := mn.session_stop(s.id, 'terminated', p_reason,
		    v_again);
	ELSIF s.runner_id IS NULL AND p_wish = 1 AND
	    s.status IN ('pending', 'resuming') THEN
		s := mn.session_stop(s.id, 'suspended', p_reason,
		    v_again);
	ELSIF s.status = 'suspended' AND p_wish = 1 AND
	    p_actor <> '' THEN
		-- From now on: what was about to wake it does not.
		UPDATE session SET suspended_at = mn.suspend_time(id),
		    suspend_reason = coalesce(nullif(p_reason, ''), 'user'),
		    updated_at = mn.later(updated_at)
		WHERE id = s.id RETURNING * INTO s;
	ELSIF p_wish = 0 AND s.status = 'suspended' THEN
		s := mn.session_resume(s.id);
	END IF;
	RETURN QUERY SELECT (mn.session_row(s, '', '', true)).*;
END
$$;

-- Somebody may have suspended it since it was decided to wake it.
CREATE FUNCTION mn.session_revive(p_tenant text, p_session text,
    p_wanted_ms bigint) RETURNS SETOF mn.session_row
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	s	mn_data.session;
BEGIN
	SELECT * INTO s FROM session WHERE id = p_session
	    AND tenant_id = p_tenant AND status IN ('suspended', 'resuming')
	FOR UPDATE;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	IF s.status = 'suspended' AND
	    mn.ms(s.suspended_at) < p_wanted_ms THEN
		s := mn.session_resume(s.id);
	END IF;
	RETURN QUERY SELECT (mn.session_row(s, '', '', true)).*;
END
$$;

CREATE FUNCTION mn.session_key(p_tenant text, p_session text, p_key_ref text)
RETURNS SETOF mn.session_row
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	s	mn_data.session;
	v_text	text;
BEGIN
	SELECT * INTO s FROM session WHERE id = p_session
	    AND tenant_id = p_tenant AND NOT (removed
	    AND status = 'terminated') FOR UPDATE;
	IF NOT FOUND THEN
		RETURN QUERY SELECT * FROM mn.session_none('not_found',
		    'there is no session ' || p_session);
		RETURN;
	END IF;
	IF s.status = 'terminated' THEN
		v_text := 'the session is terminated';
	ELSIF NOT s.is_byok THEN
		v_text := 'the session does not bring its own key';
	END IF;
	IF v_text IS NOT NULL THEN
		RETURN QUERY SELECT (mn.session_row(s, 'invalid_state',
		    v_text, true)).*;
		RETURN;
	END IF;
	IF s.key_ref IS DISTINCT FROM p_key_ref THEN
		UPDATE session SET key_ref = p_key_ref, credential = true,
		    status_reason = NULL, updated_at = mn.later(updated_at)
		WHERE id = s.id RETURNING * INTO s;
	END IF;
	RETURN QUERY SELECT (mn.session_row(s, '', '', true)).*;
END
$$;

CREATE FUNCTION mn.session_note(p_tenant text, p_session text,
    p_key_ref text, p_credential integer, p_reason text)
RETURNS SETOF mn.answer
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	s	mn_data.session;
	v_had	boolean;
BEGIN
	SELECT credential INTO v_had FROM session WHERE id = p_session
	    AND tenant_id = p_tenant AND status <> 'terminated' FOR UPDATE;
	UPDATE session SET credential = p_credential <> 0,
	    status_reason = nullif(p_reason, ''),
	    updated_at = mn.later(updated_at)
	WHERE id = p_session AND tenant_id = p_tenant
	    AND coalesce(key_ref, '') = p_key_ref
	    AND status <> 'terminated' AND (credential <> (p_credential <> 0)
	    OR coalesce(status_reason, '') <> p_reason) RETURNING * INTO s;
	IF NOT FOUND THEN
		RETURN QUERY SELECT 0::bigint, '', '', '';
		RETURN;
	END IF;
	IF v_had AND NOT s.credential THEN
		PERFORM mn.session_event(s, 'credential_required');
	END IF;
	RETURN QUERY SELECT 1::bigint, '', '', '';
END
$$;

-- ---- attach and detach: a session and a runner -----------------------------

CREATE TYPE mn.attach_row AS (session text, runner text, epoch bigint);

-- Two servers may try: whoever locks the session first has it, the other goes
-- away empty.  Asked again by the winner, it answers the same.  Epoch 0: the
-- session would have it, but the runner is not free.
CREATE FUNCTION mn.session_attach(p_tenant text, p_session text,
    p_runner text) RETURNS SETOF mn.attach_row
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	s	mn_data.session;
BEGIN
	SELECT * INTO s FROM session WHERE id = p_session
	    AND tenant_id = p_tenant
	    AND ((status IN ('pending', 'resuming') AND wish = 0
		AND coalesce(home_id, p_runner) = p_runner)
	    OR (status = 'active' AND runner_id = p_runner))
	FOR UPDATE SKIP LOCKED;
	IF NOT FOUND THEN
		RETURN;
	END IF;
	IF s.status <> 'active' THEN
		UPDATE runner SET session_id = s.id, status = 'busy'
		WHERE id = (SELECT id FROM runner WHERE id = p_runner
		    AND (tenant_id = p_tenant OR shared) AND status = 'idle'
		    AND session_id IS NULL AND NOT tainted
		    AND removed_at IS NULL FOR UPDATE SKIP LOCKED);
		IF NOT FOUND THEN
			RETURN QUERY SELECT s.id, p_runner, 0::bigint;
			RETURN;
		END IF;
		UPDATE session SET status = 'active', runner_id = p_runner,
		    home_id = p_runner, epoch = epoch + 1,
		    status_reason = NULL, suspend_reason = NULL,
		    last_activity_at = clock_timestamp(),
		    updated_at = mn.later(updated_at)
		WHERE id = s.id RETURNING * INTO s;
		PERFORM mn.session_event(s, 'active');
	END IF;
	RETURN QUERY SELECT s.id, s.runner_id, s.epoch;
END
$$;

CREATE FUNCTION mn.session_detach(p_tenant text, p_session text,
    p_runner text, p_epoch bigint, p_to text, p_reason text)
RETURNS SETOF mn.answer
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	s	mn_data.session;
BEGIN
	IF p_to NOT IN ('suspended', 'resuming', 'terminated') THEN
		RETURN QUERY SELECT 0::bigint, 'validation_error',
		    'to: expected suspended, resuming or terminated', '';
		RETURN;
	END IF;
	UPDATE session SET status = p_to, runner_id = NULL,
	    wish = CASE WHEN p_to = 'terminated' OR
		(p_to = 'suspended' AND wish = 1) THEN 0 ELSE wish END,
	    status_reason = CASE WHEN p_to = 'resuming'
		THEN nullif(p_reason, '') END,
	    suspend_reason = CASE WHEN p_to <> 'resuming'
		THEN coalesce(wish_reason, nullif(p_reason, '')) END,
	    wish_reason = CASE WHEN p_to = 'resuming' OR
		(p_to = 'suspended' AND wish = 2) THEN wish_reason END,
	    suspended_at = CASE WHEN p_to = 'suspended' AND wish <> 1
		THEN mn.suspend_time(id) ELSE suspended_at END,
	    updated_at = mn.later(updated_at)
	WHERE id = p_session AND tenant_id = p_tenant AND status = 'active'
	    AND runner_id = p_runner AND epoch = p_epoch RETURNING * INTO s;
	IF NOT FOUND THEN
		RETURN QUERY SELECT 0::bigint, '', coalesce((SELECT status
		    FROM session WHERE id = p_session AND tenant_id = p_tenant
		    AND runner_id IS NULL), ''), '';
		RETURN;
	END IF;
	UPDATE runner SET session_id = NULL, status = CASE
	    WHEN status = 'busy' THEN 'idle' ELSE status END
	WHERE id = p_runner AND session_id = p_session;
	PERFORM mn.session_event(s, p_to);
	RETURN QUERY SELECT 1::bigint, '', '', mn.session_doc(s);
END
$$;
