-- API keys, the audit log, agent configs and data keys.

CREATE TYPE mn.key_row AS (key text, tenant text, name text, scopes text,
    expires bigint, revoked smallint);

CREATE FUNCTION mn.key_row(k mn_data.api_key) RETURNS mn.key_row
LANGUAGE sql STABLE AS $$
	SELECT ROW(k.id, k.tenant_id, k.name, k.scopes,
	    mn.ms(k.expires_at) / 1000, (k.revoked_at IS NOT NULL)::integer
	    )::mn.key_row
$$;

CREATE FUNCTION mn.key_find(p_hash bytea) RETURNS SETOF mn.key_row
LANGUAGE sql STABLE AS $$
	SELECT (mn.key_row(k)).* FROM api_key k WHERE k.hash = p_hash
$$;

CREATE FUNCTION mn.key_check(p_key text) RETURNS SETOF mn.key_row
LANGUAGE sql STABLE AS $$
	SELECT (mn.key_row(k)).* FROM api_key k WHERE k.id = p_key
$$;

CREATE FUNCTION mn.key_put(p_tenant text, p_key text, p_name text,
    p_hash bytea, p_scopes text, p_expires bigint, p_actor text,
    p_idem_key text, p_idem_hash bytea) RETURNS SETOF mn.answer
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	k	mn_data.api_key;
	v_id	text;
BEGIN
	v_id := mn.idem(p_tenant, p_idem_key, p_idem_hash, p_key, true);
	IF v_id IS NULL THEN
		RETURN QUERY SELECT 0::bigint, 'idempotency_conflict',
		    mn.idem_text(), '';
		RETURN;
	END IF;
	IF v_id = p_key THEN
		INSERT INTO tenant (tenant_id) VALUES (p_tenant)
		ON CONFLICT DO NOTHING;
		INSERT INTO api_key (id, tenant_id, name, hash, scopes,
		    expires_at, created_by)
		VALUES (p_key, p_tenant, p_name, p_hash, p_scopes,
		    CASE WHEN p_expires > 0 THEN to_timestamp(
			least(p_expires, 253402300799)) END,
		    nullif(p_actor, ''))
		ON CONFLICT DO NOTHING;
	END IF;
	SELECT * INTO k FROM api_key WHERE id = v_id AND tenant_id = p_tenant;
	IF NOT FOUND THEN
		RETURN QUERY SELECT * FROM mn.not_found('key', v_id);
		RETURN;
	END IF;
	RETURN QUERY SELECT 1::bigint, CASE WHEN v_id <> p_key THEN 'replayed'
	    ELSE '' END, '', mn.key_doc(k);
END
$$;

CREATE FUNCTION mn.key_page(p_tenant text, p_query text)
RETURNS SETOF mn.answer
LANGUAGE plpgsql STABLE AS $$
DECLARE
	q		jsonb := mn.object(p_query);
	v_from		text := mn.cursor_read(q);
	v_max		integer := mn.page_limit(q);
	v_status	text[] := mn.filter(q, 'status');
	v_docs		text[];
	v_ids		text[];
BEGIN
	IF v_from IS NULL THEN
		RETURN QUERY SELECT * FROM mn.bad_cursor();
		RETURN;
	END IF;
	SELECT array_agg(mn.key_doc(k) ORDER BY k.id DESC),
	    array_agg(k.id ORDER BY k.id DESC) INTO v_docs, v_ids
	FROM (SELECT * FROM api_key x WHERE tenant_id = p_tenant
	    AND id < v_from AND (v_status IS NULL
		OR mn.key_status(x) = ANY (v_status))
	    ORDER BY id DESC LIMIT v_max + 1) k;
	RETURN QUERY SELECT * FROM mn.page(v_docs[:v_max], v_ids[:v_max],
	    coalesce(cardinality(v_ids), 0) > v_max,
	    CASE WHEN mn.page_counted(q) THEN (SELECT count(*)
		FROM api_key x WHERE tenant_id = p_tenant
		AND (v_status IS NULL
		OR mn.key_status(x) = ANY (v_status))) END);
END
$$;

CREATE FUNCTION mn.key_end(p_tenant text, p_key text, p_reason text,
    p_actor text) RETURNS SETOF mn.answer
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	k	mn_data.api_key;
BEGIN
	UPDATE api_key SET revoked_at = coalesce(revoked_at,
		clock_timestamp()),
	    revoke_reason = coalesce(revoke_reason, nullif(p_reason, ''))
	WHERE id = p_key AND tenant_id = p_tenant RETURNING * INTO k;
	IF NOT FOUND THEN
		RETURN QUERY SELECT * FROM mn.not_found('key', p_key);
		RETURN;
	END IF;
	RETURN QUERY SELECT 1::bigint, '', '', mn.key_doc(k);
END
$$;

CREATE FUNCTION mn.audit_put(p_tenant text, p_id text, p_actor text,
    p_action text, p_resource text, p_request_id text, p_success integer,
    p_detail text) RETURNS SETOF mn.answer
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	n	bigint;
BEGIN
	INSERT INTO action_log (id, tenant_id, actor, action, resource,
	    request_id, success, detail)
	VALUES (p_id, p_tenant, p_actor, p_action, p_resource, p_request_id,
	    p_success <> 0, p_detail) ON CONFLICT DO NOTHING;
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN QUERY SELECT n, '', '', '';
END
$$;

-- ---- agent configs ---------------------------------------------------------

CREATE FUNCTION mn.agent_config_put(p_tenant text, p_id text, p_name text,
    p_agent text, p_model text, p_base_url text, p_is_default integer,
    p_key_hint text, p_sealed bytea, p_actor text, p_idem_key text,
    p_idem_hash bytea) RETURNS SETOF mn.answer
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	c	mn_data.agent_config;
	v_id	text;
BEGIN
	v_id := mn.idem(p_tenant, p_idem_key, p_idem_hash, p_id, true);
	IF v_id IS NULL THEN
		RETURN QUERY SELECT 0::bigint, 'idempotency_conflict',
		    mn.idem_text(), '';
		RETURN;
	END IF;
	IF v_id = p_id AND NOT EXISTS (SELECT FROM agent_config
	    WHERE id = p_id) THEN
		IF p_is_default <> 0 THEN
			UPDATE agent_config SET is_default = false,
			    updated_at = mn.later(updated_at)
			WHERE tenant_id = p_tenant AND agent = p_agent
			    AND is_default;
		END IF;
		INSERT INTO agent_config (id, tenant_id, name, agent, model,
		    base_url, is_default, key_hint, sealed, created_by)
		VALUES (p_id, p_tenant, p_name, p_agent, nullif(p_model, ''),
		    nullif(p_base_url, ''), p_is_default <> 0,
		    nullif(p_key_hint, ''), p_sealed, nullif(p_actor, ''))
		ON CONFLICT (id) DO NOTHING;
	END IF;
	SELECT * INTO c FROM agent_config
	WHERE id = v_id AND tenant_id = p_tenant AND removed_at IS NULL;
	IF NOT FOUND THEN
		RETURN QUERY SELECT * FROM mn.not_found('agent config', v_id);
		RETURN;
	END IF;
	RETURN QUERY SELECT 1::bigint, CASE WHEN v_id <> p_id THEN 'replayed'
	    ELSE '' END, '', mn.agent_config_doc(c);
END
$$;

CREATE FUNCTION mn.agent_config_page(p_tenant text, p_query text)
RETURNS SETOF mn.answer
LANGUAGE plpgsql STABLE AS $$
DECLARE
	q	jsonb := mn.object(p_query);
	v_agent	text[] := mn.filter(q, 'agent');
	v_from	text := mn.cursor_read(q);
	v_max	integer := mn.page_limit(q);
	v_docs	text[];
	v_ids	text[];
BEGIN
	IF v_from IS NULL THEN
		RETURN QUERY SELECT * FROM mn.bad_cursor();
		RETURN;
	END IF;
	SELECT array_agg(mn.agent_config_doc(c) ORDER BY c.id DESC),
	    array_agg(c.id ORDER BY c.id DESC) INTO v_docs, v_ids
	FROM (SELECT * FROM agent_config WHERE tenant_id = p_tenant
	    AND removed_at IS NULL AND id < v_from
	    AND (v_agent IS NULL OR agent = ANY (v_agent))
	    ORDER BY id DESC LIMIT v_max + 1) c;
	RETURN QUERY SELECT * FROM mn.page(v_docs[:v_max], v_ids[:v_max],
	    coalesce(cardinality(v_ids), 0) > v_max,
	    CASE WHEN mn.page_counted(q) THEN (SELECT count(*)
		FROM agent_config WHERE tenant_id = p_tenant
		AND removed_at IS NULL
		AND (v_agent IS NULL OR agent = ANY (v_agent))) END);
END
$$;

CREATE FUNCTION mn.agent_config_read(p_tenant text, p_id text)
RETURNS SETOF mn.answer
LANGUAGE plpgsql STABLE AS $$
BEGIN
	RETURN QUERY SELECT 1::bigint, '', '', mn.agent_config_doc(c)
	FROM agent_config c
	WHERE c.id = p_id AND c.tenant_id = p_tenant AND c.removed_at IS NULL;
	IF NOT FOUND THEN
		RETURN QUERY SELECT * FROM mn.not_found('agent config', p_id);
	END IF;
END
$$;

-- The row stays, without its key, so that the same request again has the
-- same answer.
CREATE FUNCTION mn.agent_config_end(p_tenant text, p_id text, p_actor text)
RETURNS SETOF mn.answer
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	v_by	text;
BEGIN
	PERFORM FROM agent_config WHERE id = p_id AND tenant_id = p_tenant
	FOR UPDATE;
	IF NOT FOUND THEN
		RETURN QUERY SELECT * FROM mn.not_found('agent config', p_id);
		RETURN;
	END IF;
	SELECT id INTO v_by FROM session WHERE agent_config_id = p_id
	    AND tenant_id = p_tenant AND status <> 'terminated' LIMIT 1;
	IF FOUND THEN
		RETURN QUERY SELECT 0::bigint, 'in_use', 'agent config ' ||
		    p_id || ' is used by session ' || v_by, '';
		RETURN;
	END IF;
	UPDATE agent_config SET removed_at = coalesce(removed_at,
	    clock_timestamp()), sealed = '', is_default = false
	WHERE id = p_id AND tenant_id = p_tenant;
	RETURN QUERY SELECT 1::bigint, '', '', '';
END
$$;

CREATE TYPE mn.agent_config_row AS (agent_config text, base_url text,
    sealed bytea, data_key bytea);

CREATE FUNCTION mn.agent_config_load(p_tenant text, p_id text)
RETURNS SETOF mn.agent_config_row
LANGUAGE sql STABLE AS $$
	SELECT c.id, coalesce(c.base_url, ''), c.sealed,
	    coalesce(d.data_key, '')
	FROM agent_config c LEFT JOIN data_key d ON d.tenant_id = c.tenant_id
	WHERE c.id = p_id AND c.tenant_id = p_tenant AND c.removed_at IS NULL
$$;

CREATE TYPE mn.data_key_row AS (tenant text, data_key bytea);

CREATE FUNCTION mn.data_key_put(p_tenant text, p_data_key bytea)
RETURNS SETOF mn.data_key_row
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	IF octet_length(p_data_key) > 0 THEN
		INSERT INTO data_key (tenant_id, data_key)
		VALUES (p_tenant, p_data_key) ON CONFLICT DO NOTHING;
	END IF;
	RETURN QUERY SELECT d.tenant_id, d.data_key FROM data_key d
	WHERE d.tenant_id = p_tenant;
END
$$;
