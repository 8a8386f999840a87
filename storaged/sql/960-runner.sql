-- Runners and the tokens that make them.

CREATE FUNCTION mn.runner_token_put(p_tenant text, p_id text, p_hash bytea,
    p_name text, p_pool text, p_shared integer, p_max_uses bigint,
    p_expires bigint, p_actor text, p_idem_key text, p_idem_hash bytea)
RETURNS SETOF mn.answer
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	t	mn_data.runner_token;
	v_id	text;
BEGIN
	v_id := mn.idem(p_tenant, p_idem_key, p_idem_hash, p_id, true);
	IF v_id IS NULL THEN
		RETURN QUERY SELECT 0::bigint, 'idempotency_conflict',
		    mn.idem_text(), '';
		RETURN;
	END IF;
	IF v_id = p_id THEN
		INSERT INTO runner_token (id, tenant_id, hash, name, pool,
		    shared, max_uses, expires_at, created_by)
		VALUES (p_id, p_tenant, p_hash, p_name, p_pool, p_shared <> 0,
		    p_max_uses, CASE WHEN p_expires > 0 THEN to_timestamp(
			least(p_expires, 253402300799)) END,
		    nullif(p_actor, '')) ON CONFLICT DO NOTHING;
	END IF;
	SELECT * INTO t FROM runner_token
	WHERE id = v_id AND tenant_id = p_tenant;
	IF NOT FOUND THEN
		RETURN QUERY SELECT * FROM mn.not_found('runner token', v_id);
		RETURN;
	END IF;
	RETURN QUERY SELECT 1::bigint, CASE WHEN v_id <> p_id THEN 'replayed'
	    ELSE '' END, '', mn.runner_token_doc(t);
END
$$;

CREATE FUNCTION mn.runner_token_page(p_tenant text, p_query text)
RETURNS SETOF mn.answer
LANGUAGE plpgsql STABLE AS $$
DECLARE
	q		jsonb := mn.object(p_query);
	v_from		text := mn.cursor_read(q);
	v_max		integer := mn.page_limit(q);
	v_status	text[] := mn.filter(q, 'status');
	v_pool		text[] := mn.filter(q, 'pool');
	v_docs		text[];
	v_ids		text[];
BEGIN
	IF v_from IS NULL THEN
		RETURN QUERY SELECT * FROM mn.bad_cursor();
		RETURN;
	END IF;
	SELECT array_agg(mn.runner_token_doc(t) ORDER BY t.id DESC),
	    array_agg(t.id ORDER BY t.id DESC) INTO v_docs, v_ids
	FROM (SELECT * FROM runner_token x WHERE tenant_id = p_tenant
	    AND id < v_from AND (v_status IS NULL
		OR mn.token_status(x) = ANY (v_status))
	    AND (v_pool IS NULL OR pool = ANY (v_pool))
	    ORDER BY id DESC LIMIT v_max + 1) t;
	RETURN QUERY SELECT * FROM mn.page(v_docs[:v_max], v_ids[:v_max],
	    coalesce(cardinality(v_ids), 0) > v_max,
	    CASE WHEN mn.page_counted(q) THEN (SELECT count(*)
		FROM runner_token x WHERE tenant_id = p_tenant
		AND (v_status IS NULL
		OR mn.token_status(x) = ANY (v_status))
		AND (v_pool IS NULL OR pool = ANY (v_pool))) END);
END
$$;

CREATE FUNCTION mn.runner_token_end(p_tenant text, p_id text, p_reason text,
    p_actor text) RETURNS SETOF mn.answer
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	t	mn_data.runner_token;
BEGIN
	UPDATE runner_token SET revoked_at = coalesce(revoked_at,
		clock_timestamp()),
	    revoke_reason = coalesce(revoke_reason, nullif(p_reason, ''))
	WHERE id = p_id AND tenant_id = p_tenant RETURNING * INTO t;
	IF NOT FOUND THEN
		RETURN QUERY SELECT * FROM mn.not_found('runner token', p_id);
		RETURN;
	END IF;
	RETURN QUERY SELECT 1::bigint, '', '', mn.runner_token_doc(t);
END
$$;

-- What is wrong with a token, as code and text; '' when it is good.
CREATE FUNCTION mn.token_fault(t mn_data.runner_token, OUT code text,
    OUT text text)
LANGUAGE sql STABLE AS $$
	SELECT CASE WHEN t.id IS NULL THEN 'invalid_token'
	    WHEN t.revoked_at IS NOT NULL THEN 'token_revoked'
	    WHEN t.expires_at <= now() THEN 'token_expired'
	    WHEN t.max_uses > 0 AND t.uses >= t.max_uses THEN 'invalid_token'
	    ELSE '' END,
	    CASE WHEN t.id IS NULL THEN 'there is no such runner token'
	    WHEN t.revoked_at IS NOT NULL THEN 'the runner token was revoked'
	    WHEN t.expires_at <= now() THEN 'the runner token has expired'
	    WHEN t.max_uses > 0 AND t.uses >= t.max_uses
		THEN 'the runner token is used up' ELSE '' END
$$;

CREATE FUNCTION mn.runner_token_find(p_hash bytea, p_csr_hash bytea)
RETURNS TABLE (runner_token text, tenant text, pool text, shared smallint,
    runner text, code text, text text)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
	t	mn_data.runner_token;
	r	mn_data.runner;
	v_code	text;
	v_text	text;
BEGIN
	SELECT * INTO t FROM runner_token WHERE hash = p_hash;
	SELECT * INTO v_code, v_text FROM mn.token_fault(t);
	IF t.revoked_at IS NULL THEN
		SELECT * INTO r FROM runner
		WHERE token_id = t.id AND csr_hash = p_csr_hash;
		IF FOUND THEN
			v_code := '';
			v_text := '';
		END IF;
	END IF;
	RETURN QUERY SELECT CASE WHEN v_code = '' THEN t.id ELSE '' END,
	    coalesce(t.tenant_id, ''), coalesce(t.pool, ''),
	    coalesce(t.shared, false)::integer::smallint,
	    coalesce(r.id, ''), v_code, v_text;
END
$$;

-- ---- runners ---------------------------------------------------------------

CREATE TYPE mn.runner_row AS (runner text, tenant text, shared smallint,
    pool text, name text, agents text, status text, session text,
    epoch bigint, seen_ms bigint, certificate bytea, cert_hash bytea,
    code text, text text);

CREATE FUNCTION mn.runner_row(r mn_data.runner) RETURNS mn.runner_row
LANGUAGE sql STABLE AS $$
	SELECT ROW(r.id, r.tenant_id, r.shared::integer, r.pool, r.name,
	    r.agents, r.status, coalesce(r.session_id, ''),
	    coalesce((SELECT epoch FROM session WHERE id = r.session_id), 0),
	    mn.ms(r.last_seen_at), r.certificate, r.cert_hash, '', ''
	    )::mn.runner_row
$$;

CREATE FUNCTION mn.runner_put(p_runner text, p_token_hash bytea,
    p_csr_hash bytea, p_name text, p_hostname text, p_version text,
    p_agents text, p_sandbox_mode text, p_labels text, p_resources text,
    p_certificate bytea, p_cert_hash bytea)
RETURNS SETOF mn.runner_row
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	r	mn_data.runner;
	t	mn_data.runner_token;
	v_code	text;
	v_text	text;
BEGIN
	SELECT * INTO r FROM runner WHERE id = p_runner;
	IF FOUND THEN
		RETURN QUERY SELECT (mn.runner_row(r)).*;
		RETURN;
	END IF;
	SELECT * INTO t FROM runner_token WHERE hash = p_token_hash
	FOR UPDATE;
	SELECT * INTO v_code, v_text FROM mn.token_fault(t);
	IF EXISTS (SELECT FROM runner
	    WHERE token_id = t.id AND csr_hash = p_csr_hash) THEN
		v_code := 'unavailable';
		v_text := 'the same enrolment is under way: try again';
	ELSIF v_code = '' THEN
		INSERT INTO runner (id, tenant_id, shared, token_id, csr_hash,
		    pool, name, hostname, version, agents, sandbox_mode,
		    labels, resources, status, certificate, cert_hash)
		VALUES (p_runner, t.tenant_id, t.shared, t.id, p_csr_hash,
		    t.pool, p_name, p_hostname, p_version, p_agents,
		    p_sandbox_mode, mn.object(p_labels),
		    mn.object(p_resources), 'offline', p_certificate,
		    p_cert_hash)
		ON CONFLICT DO NOTHING RETURNING * INTO r;
		IF FOUND THEN
			UPDATE runner_token SET uses = uses + 1
			WHERE id = t.id;
			RETURN QUERY SELECT (mn.runner_row(r)).*;
			RETURN;
		END IF;
		v_code := 'validation_error';
		v_text := 'certificate: it belongs to another runner';
	END IF;
	RETURN QUERY SELECT '', '', 0::smallint, '', '', '', '', '',
	    0::bigint, 0::bigint, ''::bytea, ''::bytea, v_code, v_text;
END
$$;

CREATE FUNCTION mn.runner_load() RETURNS SETOF mn.runner_row
LANGUAGE sql STABLE AS $$
	SELECT x.* FROM runner r, mn.runner_row(r) x
	WHERE r.removed_at IS NULL ORDER BY r.id
$$;

CREATE FUNCTION mn.home_ended(p_runner text, p_sessions text)
RETURNS TABLE (session text, epoch bigint)
LANGUAGE sql STABLE AS $$
	SELECT s.id, s.epoch FROM session s
	WHERE s.id = ANY (string_to_array(p_sessions, ' '))
	    AND s.home_id = p_runner AND s.status = 'terminated'
	LIMIT 50
$$;

CREATE FUNCTION mn.runner_event(r mn_data.runner, p_type text) RETURNS void
LANGUAGE sql VOLATILE AS $$
	SELECT mn.event_put(r.tenant_id, 'runner.' || p_type, 'runner', r.id,
	    NULL, NULL, r.labels, json_build_object('status', r.status,
	    'name', r.name, 'pool', nullif(r.pool, ''))::text)
$$;

CREATE FUNCTION mn.runner_state(p_runner text, p_online integer,
    p_version text, p_agents text, p_labels text, p_resources text)
RETURNS SETOF mn.answer
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	r	mn_data.runner;
	v_was	boolean;
BEGIN
	SELECT status <> 'offline' INTO v_was FROM runner
	WHERE id = p_runner AND removed_at IS NULL FOR UPDATE;
	IF NOT FOUND THEN
		RETURN QUERY SELECT * FROM mn.not_found('runner', p_runner);
		RETURN;
	END IF;
	UPDATE runner SET status = CASE WHEN p_online = 0 THEN 'offline'
		WHEN session_id IS NULL THEN 'idle' ELSE 'busy' END,
	    version = coalesce(nullif(p_version, ''), version),
	    agents = coalesce(nullif(p_agents, ''), agents),
	    labels = CASE WHEN p_labels <> '' THEN mn.object(p_labels)
		ELSE labels END,
	    resources = CASE WHEN p_resources <> ''
		THEN mn.object(p_resources) ELSE resources END,
	    last_seen_at = CASE WHEN p_online <> 0 THEN clock_timestamp()
		ELSE last_seen_at END
	WHERE id = p_runner RETURNING * INTO r;
	IF v_was <> (p_online <> 0) THEN
		PERFORM mn.runner_event(r, CASE WHEN p_online <> 0
		    THEN 'online' ELSE 'offline' END);
	END IF;
	RETURN QUERY SELECT 1::bigint, '', '', '';
END
$$;

CREATE FUNCTION mn.runner_beat(p_runners text) RETURNS SETOF mn.answer
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	n	bigint;
BEGIN
	UPDATE runner SET last_seen_at = clock_timestamp()
	WHERE id IN (SELECT id FROM runner
	    WHERE id = ANY (string_to_array(p_runners, ' '))
	    ORDER BY id FOR UPDATE SKIP LOCKED);
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN QUERY SELECT n, '', '', '';
END
$$;

CREATE FUNCTION mn.runner_page(p_tenant text, p_query text)
RETURNS SETOF mn.answer
LANGUAGE plpgsql STABLE AS $$
DECLARE
	q		jsonb := mn.object(p_query);
	v_from		text := mn.cursor_read(q);
	v_max		integer := mn.page_limit(q);
	v_status	text[] := mn.filter(q, 'status');
	v_pool		text[] := mn.filter(q, 'pool');
	v_labels	jsonb := mn.filter_labels(q);
	v_docs		text[];
	v_ids		text[];
BEGIN
	IF v_from IS NULL THEN
		RETURN QUERY SELECT * FROM mn.bad_cursor();
		RETURN;
	END IF;
	SELECT array_agg(mn.runner_doc(r::mn_data.runner, p_tenant)
		ORDER BY r.id DESC),
	    array_agg(r.id ORDER BY r.id DESC) INTO v_docs, v_ids
	FROM (SELECT * FROM runner WHERE (tenant_id = p_tenant OR shared)
	    AND removed_at IS NULL AND id < v_from
	    AND (v_status IS NULL OR status = ANY (v_status))
	    AND (v_pool IS NULL OR pool = ANY (v_pool))
	    AND labels @> v_labels ORDER BY id DESC LIMIT v_max + 1) r;
	RETURN QUERY SELECT * FROM mn.page(v_docs[:v_max], v_ids[:v_max],
	    coalesce(cardinality(v_ids), 0) > v_max,
	    CASE WHEN mn.page_counted(q) THEN (SELECT count(*) FROM runner
		WHERE (tenant_id = p_tenant OR shared) AND removed_at IS NULL
		AND (v_status IS NULL OR status = ANY (v_status))
		AND (v_pool IS NULL OR pool = ANY (v_pool))
		AND labels @> v_labels) END);
END
$$;

CREATE FUNCTION mn.runner_read(p_tenant text, p_runner text[])
RETURNS SETOF mn.found
LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN QUERY SELECT (mn.found(q.n, 'runner', q.id, r.id IS NOT NULL,
	    mn.runner_doc(r, p_tenant))).*
	FROM unnest(p_runner) WITH ORDINALITY AS q (id, n)
	LEFT JOIN runner r ON r.id = q.id AND r.removed_at IS NULL
	    AND (r.tenant_id = p_tenant OR r.shared);
END
$$;

CREATE FUNCTION mn.agent_page(p_tenant text) RETURNS SETOF mn.answer
LANGUAGE sql STABLE AS $$
	SELECT count(*), '', '', '{"items":[' || coalesce(string_agg(
	    json_build_object('agent', o.agent, 'runners', o.runners,
	    'idle', o.idle)::text, ',' ORDER BY o.agent), '') || ']}'
	FROM (SELECT a.agent, count(*) AS runners,
		count(*) FILTER (WHERE r.status = 'idle') AS idle
	    FROM runner r, unnest(mn.agents(r.agents)) AS a (agent)
	    WHERE (r.tenant_id = p_tenant OR r.shared)
		AND r.removed_at IS NULL AND r.status <> 'offline'
	    GROUP BY a.agent) o
$$;
