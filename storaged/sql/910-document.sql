-- The objects of the API.  Every member is always there, null when unset; the
-- order is that of a reader's interest.
--
-- concat() keeps the types of its arguments, which json_build_object() looks up
-- at each call: that was two thirds of reading a session.  It skips a NULL, so
-- what may be one goes through these.

-- A JSON string of any text.
CREATE FUNCTION mn.json_text(p text) RETURNS text
LANGUAGE sql STABLE AS $$
	SELECT coalesce(to_json(p)::text, 'null')
$$;

-- Of an id, or a word of ours: nothing in it is to be escaped.
CREATE FUNCTION mn.json_word(p text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
	SELECT coalesce('"' || p || '"', 'null')
$$;

CREATE FUNCTION mn.json_int(p bigint) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
	SELECT coalesce(p::text, 'null')
$$;

CREATE FUNCTION mn.json_bool(p boolean) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN p THEN 'true' ELSE 'false' END
$$;

CREATE FUNCTION mn.json_time(t timestamptz) RETURNS text
LANGUAGE sql STABLE AS $$
	SELECT coalesce(to_char(t AT TIME ZONE 'UTC',
	    '\"YYYY-MM-DD"T"HH24:MI:SS.MS"Z"\"'), 'null')
$$;

CREATE FUNCTION mn.json_value(p jsonb) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
	SELECT coalesce(p::text, 'null')
$$;

CREATE FUNCTION mn.error_doc(p_code text, p_text text) RETURNS text
LANGUAGE sql STABLE AS $$
	SELECT CASE WHEN coalesce(p_code, p_text) IS NULL THEN 'null' ELSE
	    concat('{"code":', mn.json_text(p_code),
	    ',"message":', mn.json_text(p_text), '}') END
$$;

CREATE FUNCTION mn.usage_doc(p_in bigint, p_out bigint, p_cost bigint,
    p_ms bigint) RETURNS text
LANGUAGE sql STABLE AS $$
	SELECT concat('{"tokens_input":', p_in, ',"tokens_output":', p_out,
	    ',"cost_usd":', trim_scale(p_cost / 1000000.0),
	    ',"duration_ms":', p_ms, '}')
$$;

CREATE FUNCTION mn.progress_doc(p_percent integer, p_step text) RETURNS text
LANGUAGE sql STABLE AS $$
	SELECT CASE WHEN p_percent IS NULL THEN 'null' ELSE
	    concat('{"percent":', p_percent,
	    ',"step":', mn.json_text(p_step), '}') END
$$;

-- updated_at stands last and exactly as below: its text is the ETag.
CREATE FUNCTION mn.session_doc(s mn_data.session) RETURNS text
LANGUAGE sql STABLE AS $$
	SELECT concat('{"id":"', s.id, '","name":', mn.json_text(s.name),
	    ',"status":"', s.status, '","agent":', mn.json_text(s.agent),
	    ',"agent_config_id":', mn.json_word(s.agent_config_id),
	    ',"is_byok":', mn.json_bool(s.is_byok), ',"model":',
	    mn.json_text(s.model), ',"runner_id":',
	    mn.json_word(s.runner_id), ',"workspace_id":"',
	    s.workspace_id, '","status_reason":',
	    mn.json_text(s.status_reason), ',"last_error":',
	    CASE WHEN s.error_at IS NULL THEN 'null' ELSE concat('{"code":',
		mn.json_text(s.error_code), ',"message":',
		mn.json_text(s.error), ',"at":', mn.json_time(s.error_at),
		'}') END,
	    ',"profile":', mn.json_value(s.spec->'profile'),
	    ',"provider":', mn.json_value(s.spec->'provider'),
	    ',"network_policy":', mn.json_text(s.network_policy),
	    ',"allowed_hosts":', s.allowed_hosts,
	    ',"permission_policy":', mn.json_value(s.permission_policy),
	    ',"lifecycle_mode":', mn.json_text(s.lifecycle_mode),
	    ',"idle_timeout_seconds":', mn.json_int(s.idle_timeout),
	    ',"max_lifetime_seconds":', mn.json_int(s.max_lifetime),
	    ',"suspend_strategy":',
	    mn.json_value(s.spec->'suspend_strategy'),
	    ',"suspend_reason":', mn.json_text(s.suspend_reason),
	    ',"budget":', mn.json_value(s.spec->'budget'), ',"usage":',
	    mn.usage_doc(s.tokens_input, s.tokens_output,
		s.cost_microusd, s.duration_ms),
	    ',"labels":', s.labels, ',"annotations":',
	    s.annotations, ',"last_activity_at":',
	    mn.json_time(s.last_activity_at), ',"suspended_at":',
	    mn.json_time(s.suspended_at), ',"created_at":',
	    mn.json_time(s.created_at), ',"updated_at":"',
	    mn.time(s.updated_at), '"}')
$$;

CREATE FUNCTION mn.task_doc(t mn_data.task) RETURNS text
LANGUAGE sql STABLE AS $$
	SELECT concat('{"id":"', t.id, '","session_id":"', t.session_id,
	    '","prompt":', mn.json_text(t.prompt), ',"continue_from":',
	    mn.json_text(t.continue_from), ',"status":"', t.status,
	    '","priority":', t.priority, ',"attempt":', t.attempt,
	    ',"run_id":"', t.run_id, '","max_retries":', t.max_retries,
	    ',"retry_count":', t.retry_count, ',"timeout_seconds":',
	    t.timeout, ',"result":', mn.json_text(t.result), ',"error":',
	    mn.error_doc(t.error_code, t.error), ',"usage":',
	    mn.usage_doc(t.tokens_input, t.tokens_output,
		t.cost_microusd, t.duration_ms),
	    ',"progress":', mn.progress_doc(t.percent, t.step),
	    ',"waiting_for":', mn.json_text(t.waiting_for),
	    ',"waiting_since":', mn.json_time(t.waiting_since),
	    ',"cancel_requested":', mn.json_bool(t.cancel_asked),
	    ',"labels":', t.labels, ',"annotations":',
	    t.annotations, ',"created_at":',
	    mn.json_time(t.created_at), ',"started_at":',
	    mn.json_time(t.started_at), ',"ended_at":',
	    mn.json_time(t.ended_at), ',"updated_at":',
	    mn.json_time(t.updated_at), '}')
$$;

CREATE FUNCTION mn.run_doc(r mn_data.run) RETURNS text
LANGUAGE sql STABLE AS $$
	SELECT concat('{"id":"', r.id, '","task_id":"', r.task_id,
	    '","attempt":', r.attempt, ',"runner_id":',
	    mn.json_word(r.runner_id), ',"status":"', r.status,
	    '","error":', mn.error_doc(r.error_code, r.error),
	    ',"exit_code":', mn.json_int(r.exit_code), ',"usage":',
	    mn.usage_doc(r.tokens_input, r.tokens_output,
		r.cost_microusd, r.duration_ms),
	    ',"log_lines":', r.log_last, ',"queued_at":',
	    mn.json_time(r.queued_at), ',"assigned_at":',
	    mn.json_time(r.assigned_at), ',"started_at":',
	    mn.json_time(r.started_at), ',"ended_at":',
	    mn.json_time(r.ended_at), '}')
$$;

-- JSON objects as they are, byte for byte; other text as {"text": ...}.
CREATE FUNCTION mn.input_doc(p text) RETURNS json
LANGUAGE sql STABLE AS $$
	SELECT CASE WHEN jsonb_typeof(mn.json(p)) = 'object' THEN p::json
	    ELSE json_build_object('text', p) END
$$;

CREATE FUNCTION mn.permission_doc(p mn_data.permission) RETURNS text
LANGUAGE sql STABLE AS $$
	SELECT json_build_object(
	    'id', p.id, 'kind', p.kind, 'status', p.status,
	    'original_request_id', p.request, 'session_id', p.session_id,
	    'task_id', p.task_id, 'run_id', p.run_id, 'tool', p.tool,
	    'action', p.action, 'risk_level', p.risk,
	    'asked_again', p.again, 'input', mn.input_doc(p.input),
	    'edited_input', CASE WHEN p.answer_input IS NOT NULL THEN
		mn.input_doc(p.answer_input) END,
	    'answers', CASE WHEN p.answers IS NOT NULL THEN
		mn.input_doc(p.answers) END,
	    'decided_by', p.decided_by, 'responded_by', p.responded_by,
	    'on_behalf_of', p.on_behalf_of, 'response_reason', p.reason,
	    'suspend_after_seconds', p.suspend_after,
	    'delivered_at', mn.time(p.delivered_at),
	    'created_at', mn.time(p.created_at),
	    'responded_at', mn.time(p.responded_at))::text
$$;

-- agents: words, spaces or commas between.
CREATE FUNCTION mn.agents(p text) RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
	SELECT array_remove(regexp_split_to_array(p, '[\s,]+'), '')
$$;

-- A shared runner tells a tenant only of the tenant's own session.
CREATE FUNCTION mn.runner_doc(r mn_data.runner, p_tenant text) RETURNS text
LANGUAGE sql STABLE AS $$
	SELECT json_build_object(
	    'id', r.id, 'name', r.name, 'hostname', r.hostname,
	    'status', r.status, 'tainted', r.tainted,
	    'taint_reason', r.taint_reason, 'sandbox_mode', r.sandbox_mode,
	    'sandbox_types', json_build_array(r.sandbox_mode),
	    'capabilities', to_json(mn.agents(r.agents)),
	    'pool', nullif(r.pool, ''), 'shared', r.shared,
	    'labels', r.labels, 'resources', r.resources,
	    'session_id', (SELECT s.id FROM session s
		WHERE s.id = r.session_id AND s.tenant_id = p_tenant),
	    'version', r.version, 'last_seen_at', mn.time(r.last_seen_at),
	    'created_at', mn.time(r.created_at))::text
$$;

CREATE FUNCTION mn.token_status(t mn_data.runner_token) RETURNS text
LANGUAGE sql STABLE AS $$
	SELECT CASE WHEN t.revoked_at IS NOT NULL THEN 'revoked'
	    WHEN t.expires_at <= now() OR
		(t.max_uses > 0 AND t.uses >= t.max_uses) THEN 'expired'
	    ELSE 'active' END
$$;

CREATE FUNCTION mn.runner_token_doc(t mn_data.runner_token) RETURNS text
LANGUAGE sql STABLE AS $$
	SELECT json_build_object(
	    'id', t.id, 'name', t.name, 'status', mn.token_status(t),
	    'pool', nullif(t.pool, ''), 'shared', t.shared,
	    'max_uses', nullif(t.max_uses, 0), 'uses', t.uses,
	    'expires_at', mn.time(t.expires_at),
	    'revoked_at', mn.time(t.revoked_at),
	    'revoke_reason', t.revoke_reason, 'created_by', t.created_by,
	    'created_at', mn.time(t.created_at))::text
$$;

CREATE FUNCTION mn.key_status(k mn_data.api_key) RETURNS text
LANGUAGE sql STABLE AS $$
	SELECT CASE WHEN k.revoked_at IS NOT NULL THEN 'revoked'
	    WHEN k.expires_at <= now() THEN 'expired' ELSE 'active' END
$$;

CREATE FUNCTION mn.key_doc(k mn_data.api_key) RETURNS text
LANGUAGE sql STABLE AS $$
	SELECT json_build_object(
	    'id', k.id, 'name', k.name, 'tenant', k.tenant_id,
	    'status', mn.key_status(k),
	    'scopes', to_json(array_remove(string_to_array(k.scopes, ' '),
		'')),
	    'expires_at', mn.time(k.expires_at),
	    'revoked_at', mn.time(k.revoked_at),
	    'revoke_reason', k.revoke_reason, 'created_by', k.created_by,
	    'created_at', mn.time(k.created_at))::text
$$;

CREATE FUNCTION mn.agent_config_doc(c mn_data.agent_config) RETURNS text
LANGUAGE sql STABLE AS $$
	SELECT json_build_object(
	    'id', c.id, 'name', c.name, 'agent', c.agent, 'model', c.model,
	    'base_url', c.base_url, 'is_default', c.is_default,
	    'has_key', octet_length(c.sealed) > 0, 'key_hint', c.key_hint,
	    'created_by', c.created_by, 'created_at', mn.time(c.created_at),
	    'updated_at', mn.time(c.updated_at))::text
$$;

-- Item n, from 0, of a row of events.  Without `position', which only sessiond
-- can make opaque: it puts it before the first member, id.
CREATE FUNCTION mn.event_doc(e mn_data.event, i mn_data.event_item, n bigint)
RETURNS text
LANGUAGE sql STABLE AS $$
	SELECT concat('{"id":"',
	    coalesce(e.id, mn.event_id(e.created_at, e.uid, n)),
	    '","type":"', i.type, '","resource":{"id":"', i.resource_id,
	    '","type":"', i.resource_type, '"},"session_id":',
	    mn.json_word(i.session_id), ',"task_id":',
	    mn.json_word(i.task_id), ',"data":', i.data, ',"time":',
	    mn.json_time(e.created_at), '}')
$$;
