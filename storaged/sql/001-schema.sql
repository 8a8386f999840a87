-- Tables.  They live in mn_data, apart from the functions (schema mn), which
-- are replaced whole when they change; a file below 900 is applied once.
--
-- Every table of a tenant has row-level security, forced on its owner too.
-- mn.tenant names the tenant of the statement; '*' is the mark of system
-- statements and no tenant's name; unset or '' shows no row.

CREATE SCHEMA mn_data;

CREATE TABLE mn_data.tenant (
	tenant_id	text PRIMARY KEY CHECK (tenant_id NOT IN ('', '*')),
	created_at	timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE TABLE mn_data.api_key (
	id		text PRIMARY KEY,
	tenant_id	text NOT NULL,
	name		text NOT NULL,
	hash		bytea NOT NULL UNIQUE,
	scopes		text NOT NULL,
	expires_at	timestamptz,
	revoked_at	timestamptz,
	revoke_reason	text,
	created_by	text,
	created_at	timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX api_key_page ON mn_data.api_key (tenant_id, id DESC);

-- The answer to a repeated Idempotency-Key, stored by the statement that made
-- the object (promise 3).
CREATE TABLE mn_data.idempotency (
	tenant_id	text NOT NULL,
	key		text NOT NULL,
	hash		bytea NOT NULL,
	object_id	text NOT NULL,
	created_at	timestamptz NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (tenant_id, key)
);
CREATE INDEX idempotency_old ON mn_data.idempotency (created_at);

CREATE TABLE mn_data.session (
	id		text PRIMARY KEY,
	tenant_id	text NOT NULL,
	workspace_id	text NOT NULL,
	agent		text NOT NULL,
	agent_config_id	text,
	key_ref		text,
	is_byok		boolean NOT NULL,
	credential	boolean NOT NULL DEFAULT true,
	name		text,
	model		text,
	network_policy	text NOT NULL,
	allowed_hosts	jsonb NOT NULL,
	permission_policy jsonb,
	lifecycle_mode	text NOT NULL,
	idle_timeout	integer,
	max_lifetime	integer,
	spec		jsonb NOT NULL,		-- what else was asked for
	labels		jsonb NOT NULL,
	annotations	jsonb NOT NULL,
	status		text NOT NULL CHECK (status IN ('pending', 'active',
			    'suspended', 'resuming', 'terminated')),
	status_reason	text,
	suspend_reason	text,
	wish		smallint NOT NULL DEFAULT 0,
	wish_reason	text,
	removed		boolean NOT NULL DEFAULT false,
	runner_id	text,
	home_id		text,			-- the runner with its workspace
	epoch		bigint NOT NULL DEFAULT 0,
	error_code	text,
	error		text,
	error_at	timestamptz,
	tokens_input	bigint NOT NULL DEFAULT 0,
	tokens_output	bigint NOT NULL DEFAULT 0,
	cost_microusd	bigint NOT NULL DEFAULT 0,
	duration_ms	bigint NOT NULL DEFAULT 0,
	last_activity_at timestamptz,
	suspended_at	timestamptz,
	created_by	text,
	created_at	timestamptz NOT NULL DEFAULT clock_timestamp(),
	updated_at	timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX session_page ON mn_data.session (tenant_id, id DESC);
CREATE INDEX session_live ON mn_data.session (id)
    WHERE status <> 'terminated';
CREATE INDEX session_config ON mn_data.session (agent_config_id)
    WHERE status <> 'terminated' AND agent_config_id IS NOT NULL;

CREATE TABLE mn_data.task (
	id		text PRIMARY KEY,
	tenant_id	text NOT NULL,
	session_id	text NOT NULL REFERENCES mn_data.session (id),
	prompt		text NOT NULL,
	continue_from	text,
	status		text NOT NULL CHECK (status IN ('pending', 'running',
			    'completed', 'failed', 'canceled')),
	priority	bigint NOT NULL,
	max_retries	integer NOT NULL,
	retry_count	integer NOT NULL DEFAULT 0,
	lost_count	integer NOT NULL DEFAULT 0,
	timeout		bigint NOT NULL,
	attempt		integer NOT NULL DEFAULT 1,
	run_id		text NOT NULL,		-- the newest attempt
	cancel_asked	boolean NOT NULL DEFAULT false,
	cancel_reason	text,
	result		text,
	error_code	text,
	error		text,
	tokens_input	bigint NOT NULL DEFAULT 0,
	tokens_output	bigint NOT NULL DEFAULT 0,
	cost_microusd	bigint NOT NULL DEFAULT 0,
	duration_ms	bigint NOT NULL DEFAULT 0,
	labels		jsonb NOT NULL,
	annotations	jsonb NOT NULL,
	percent		integer,
	step		text,
	waiting_for	text,
	waiting_since	timestamptz,
	created_by	text,
	created_at	timestamptz NOT NULL DEFAULT clock_timestamp(),
	started_at	timestamptz,
	ended_at	timestamptz,
	updated_at	timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX task_page ON mn_data.task (tenant_id, id DESC);
CREATE INDEX task_session ON mn_data.task (session_id, id DESC);
CREATE INDEX task_live ON mn_data.task (id)
    WHERE status IN ('pending', 'running');

CREATE TABLE mn_data.run (
	id		text PRIMARY KEY,
	tenant_id	text NOT NULL,
	task_id		text NOT NULL REFERENCES mn_data.task (id),
	session_id	text NOT NULL,
	attempt		integer NOT NULL,
	status		text NOT NULL CHECK (status IN ('pending', 'assigned',
			    'running', 'completed', 'failed', 'timeout',
			    'canceled', 'lost')),
	runner_id	text,
	epoch		bigint NOT NULL DEFAULT 0,
	log_last	bigint NOT NULL DEFAULT 0,
	exit_code	bigint,
	error_code	text,
	error		text,
	tokens_input	bigint NOT NULL DEFAULT 0,
	tokens_output	bigint NOT NULL DEFAULT 0,
	cost_microusd	bigint NOT NULL DEFAULT 0,
	duration_ms	bigint NOT NULL DEFAULT 0,
	conversation	text,
	queued_at	timestamptz NOT NULL DEFAULT clock_timestamp(),
	assigned_at	timestamptz,
	started_at	timestamptz,
	ended_at	timestamptz,
	UNIQUE (task_id, attempt)
);
-- One run at a time in a session (promise 8).
CREATE UNIQUE INDEX run_alone ON mn_data.run (session_id)
    WHERE status IN ('assigned', 'running');

CREATE TABLE mn_data.permission (
	id		text PRIMARY KEY,
	tenant_id	text NOT NULL,
	session_id	text NOT NULL,
	task_id		text NOT NULL,
	run_id		text NOT NULL REFERENCES mn_data.run (id),
	request		text NOT NULL,		-- the asking program's own id
	kind		text NOT NULL,
	tool		text NOT NULL,
	action		text NOT NULL,
	input		text NOT NULL,		-- byte for byte as it came
	risk		text NOT NULL,
	status		text NOT NULL CHECK (status IN ('pending', 'approved',
			    'denied', 'canceled')),
	decided_by	text,
	responded_by	text,
	on_behalf_of	text,
	reason		text,
	answer_input	text,
	answers		text,
	again		boolean NOT NULL DEFAULT false,
	suspend_after	bigint NOT NULL,
	delivered_at	timestamptz,
	created_at	timestamptz NOT NULL DEFAULT clock_timestamp(),
	responded_at	timestamptz,
	UNIQUE (run_id, request)
);
CREATE INDEX permission_page ON mn_data.permission (tenant_id, id DESC);
CREATE INDEX permission_task ON mn_data.permission (task_id, id DESC);
CREATE INDEX permission_open ON mn_data.permission (id)
    WHERE status <> 'canceled' AND delivered_at IS NULL;

-- Answers that nobody was there to hear: used once, for the same tool and the
-- same bytes of input in the same session (promise 12).
CREATE TABLE mn_data.kept_answer (
	permission_id	text PRIMARY KEY,
	tenant_id	text NOT NULL,
	session_id	text NOT NULL,
	tool		text NOT NULL,
	input_hash	bytea NOT NULL,
	created_at	timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX kept_answer_find ON mn_data.kept_answer
    (session_id, tool, input_hash);

-- Numbered by the transaction and within it: readers take only rows below
-- the oldest transaction at work, so that none is missed (promise 14).
CREATE TABLE mn_data.event (
	xid		bigint NOT NULL
			    DEFAULT pg_current_xact_id()::text::bigint,
	seq		bigint GENERATED ALWAYS AS IDENTITY,
	id		text NOT NULL,
	tenant_id	text NOT NULL,
	type		text NOT NULL,
	resource_type	text NOT NULL,
	resource_id	text NOT NULL,
	session_id	text,
	task_id		text,
	labels		jsonb NOT NULL,
	data		json NOT NULL,
	created_at	timestamptz NOT NULL DEFAULT clock_timestamp(),
	PRIMARY KEY (xid, seq)
);
CREATE INDEX event_page ON mn_data.event (tenant_id, xid, seq);
CREATE INDEX event_old ON mn_data.event (created_at);

-- Up to which transaction events were removed for their age.
CREATE TABLE mn_data.event_gone (
	one		boolean PRIMARY KEY DEFAULT true CHECK (one),
	xid		bigint NOT NULL
);
INSERT INTO mn_data.event_gone (xid) VALUES (0);

-- A row a batch of lines; a partition a day (UTC), made ahead and dropped by
-- the janitor.
CREATE TABLE mn_data.log (
	day		date NOT NULL
			    DEFAULT (now() AT TIME ZONE 'UTC')::date,
	tenant_id	text NOT NULL,
	task_id		text NOT NULL,
	attempt		integer NOT NULL,
	first		bigint NOT NULL,
	count		integer NOT NULL,
	lines		text NOT NULL,
	PRIMARY KEY (task_id, attempt, first, day)
) PARTITION BY RANGE (day);

CREATE TABLE mn_data.runner (
	id		text PRIMARY KEY,
	tenant_id	text NOT NULL,
	shared		boolean NOT NULL,
	token_id	text NOT NULL,
	pool		text NOT NULL,
	name		text NOT NULL,
	hostname	text NOT NULL,
	version		text NOT NULL,
	agents		text NOT NULL,
	sandbox_mode	text NOT NULL,
	labels		jsonb NOT NULL,
	resources	jsonb NOT NULL,
	status		text NOT NULL CHECK (status IN ('offline', 'idle',
			    'busy', 'paused')),
	tainted		boolean NOT NULL DEFAULT false,
	taint_reason	text,
	session_id	text,
	certificate	bytea NOT NULL,
	cert_hash	bytea NOT NULL UNIQUE,
	last_seen_at	timestamptz,
	created_at	timestamptz NOT NULL DEFAULT clock_timestamp(),
	removed_at	timestamptz
);
CREATE INDEX runner_page ON mn_data.runner (id DESC) WHERE removed_at IS NULL;
-- A runner serves one session, a session has one runner.
CREATE UNIQUE INDEX runner_session ON mn_data.runner (session_id);

CREATE TABLE mn_data.runner_token (
	id		text PRIMARY KEY,
	tenant_id	text NOT NULL,
	hash		bytea NOT NULL UNIQUE,
	name		text NOT NULL,
	pool		text NOT NULL,
	shared		boolean NOT NULL,
	max_uses	bigint NOT NULL,	-- 0 without end
	uses		bigint NOT NULL DEFAULT 0,
	expires_at	timestamptz,
	revoked_at	timestamptz,
	revoke_reason	text,
	created_by	text,
	created_at	timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX runner_token_page ON mn_data.runner_token (tenant_id, id DESC);

CREATE TABLE mn_data.agent_config (
	id		text PRIMARY KEY,
	tenant_id	text NOT NULL,
	name		text NOT NULL,
	agent		text NOT NULL,
	model		text,
	base_url	text,
	is_default	boolean NOT NULL,
	key_hint	text,
	sealed		bytea NOT NULL,
	created_by	text,
	created_at	timestamptz NOT NULL DEFAULT clock_timestamp(),
	updated_at	timestamptz NOT NULL DEFAULT clock_timestamp(),
	removed_at	timestamptz
);
CREATE INDEX agent_config_page ON mn_data.agent_config (tenant_id, id DESC);
CREATE UNIQUE INDEX agent_config_default ON mn_data.agent_config
    (tenant_id, agent) WHERE is_default;

CREATE TABLE mn_data.data_key (
	tenant_id	text PRIMARY KEY,
	data_key	bytea NOT NULL
);

CREATE TABLE mn_data.action_log (
	id		text PRIMARY KEY,
	tenant_id	text NOT NULL,
	actor		text NOT NULL,
	action		text NOT NULL,
	resource	text NOT NULL,
	request_id	text NOT NULL,
	success		boolean NOT NULL,
	detail		text NOT NULL,
	created_at	timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX action_log_page ON mn_data.action_log (tenant_id, id DESC);

-- Partitions need no policy of their own: the worker's role is granted the
-- parent alone.
DO $$
DECLARE
	t	text;
BEGIN
	FOREACH t IN ARRAY ARRAY['tenant', 'api_key', 'idempotency', 'session',
	    'task', 'run', 'permission', 'kept_answer', 'event', 'log',
	    'runner', 'runner_token', 'agent_config', 'data_key',
	    'action_log'] LOOP
		EXECUTE format('ALTER TABLE mn_data.%I ENABLE ROW LEVEL '
		    'SECURITY, FORCE ROW LEVEL SECURITY', t);
		EXECUTE format('CREATE POLICY tenant ON mn_data.%I USING '
		    '(tenant_id = nullif(current_setting(''mn.tenant'', '
		    'true), ''''))', t);
		EXECUTE format('CREATE POLICY system ON mn_data.%I USING '
		    '(current_setting(''mn.tenant'', true) = ''*'')', t);
	END LOOP;
END
$$;

-- A shared runner is seen and claimed by every tenant; whose it is does not
-- change, and what another tenant does on it the functions keep back.
CREATE POLICY shared_seen ON mn_data.runner FOR SELECT
    USING (shared AND nullif(current_setting('mn.tenant', true), '')
    IS NOT NULL);
CREATE POLICY shared_claimed ON mn_data.runner FOR UPDATE
    USING (shared AND nullif(current_setting('mn.tenant', true), '')
    IS NOT NULL)
    WITH CHECK (shared AND nullif(current_setting('mn.tenant', true), '')
    IS NOT NULL);
