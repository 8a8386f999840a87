-- The janitor's work, and what the worker's role may do.

-- Once a minute, on a connection of its own with the system mark; at once again
-- when it says that there is more.  Events go in bounded steps, and it is noted up
-- to which transaction; none that is not old goes with one behind it, which a clock
-- made that was slow then, and one of the future, of a fast clock, keeps none.
-- The log comes last: who drops a part of it locks all of it, up to the commit.
--
-- A clock that leaps makes nothing old at once: it is believed ten times as fast as
-- time passes (p_passed, seconds since the last call, by a clock that does not
-- leap).  Who sets it right in that time has lost nothing.
CREATE FUNCTION mn.janitor(p_log_days integer, p_passed integer) RETURNS boolean
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	v_step	CONSTANT integer := 10000;
	v_now	timestamptz;
	v_from	timestamptz;
	v_xid	bigint;
	v_more	boolean;
	n	bigint;
BEGIN
	UPDATE clock SET believed = least(now(), believed + 10 *
	    make_interval(secs => p_passed)) RETURNING believed INTO v_now;
	v_from := v_now - make_interval(days => p_log_days);
	DELETE FROM idempotency WHERE (tenant_id, key) IN (SELECT tenant_id,
	    key FROM idempotency
	    WHERE created_at < v_now - interval '24 hours' LIMIT v_step);
	GET DIAGNOSTICS n = ROW_COUNT;
	v_more := n = v_step;
	SELECT max(xid), count(*) INTO v_xid, n FROM (SELECT xid, created_at,
	    bool_or(created_at BETWEEN v_from AND clock_timestamp())
		OVER (ORDER BY xid, seq) AS behind
	    FROM event ORDER BY xid, seq LIMIT v_step) old
	WHERE created_at < v_from AND NOT behind;
	v_more := v_more OR n = v_step;
	IF v_xid IS NOT NULL THEN
		DELETE FROM event WHERE xid <= v_xid;
		UPDATE event_gone SET xid = v_xid WHERE xid < v_xid;
	END IF;
	PERFORM mn.log_ahead();
	PERFORM mn.log_drop((v_from AT TIME ZONE 'UTC')::date);
	RETURN v_more;
END
$$;

-- Rows of every table, and nothing that changes a table.  No column that says
-- whose a row is may be updated.  Partitions are reached through the log table
-- alone.
CREATE FUNCTION mn.grant_to(p_role text) RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	t	text;
BEGIN
	IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = p_role) THEN
		EXECUTE format('CREATE ROLE %I LOGIN', p_role);
	END IF;
	REVOKE ALL ON SCHEMA mn, mn_data FROM PUBLIC;
	REVOKE ALL ON ALL FUNCTIONS IN SCHEMA mn FROM PUBLIC;
	EXECUTE format('GRANT USAGE ON SCHEMA mn, mn_data TO %I', p_role);
	EXECUTE format('GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA mn TO %I',
	    p_role);
	FOREACH t IN ARRAY ARRAY['tenant', 'api_key', 'idempotency', 'session',
	    'task', 'run', 'permission', 'kept_answer', 'event',
	    'event_gone', 'clock', 'log', 'runner', 'runner_token', 'agent_config',
	    'data_key', 'action_log', 'server'] LOOP
		EXECUTE format('GRANT SELECT, INSERT ON mn_data.%I TO %I', t,
		    p_role);
		CONTINUE WHEN t IN ('event', 'log', 'action_log', 'server');
		EXECUTE format('GRANT UPDATE (%s) ON mn_data.%I TO %I',
		    (SELECT string_agg(quote_ident(attname), ', ')
			FROM pg_attribute
			WHERE attrelid = ('mn_data.' || t)::regclass
			AND attnum > 0 AND NOT attisdropped
			AND attname NOT IN ('tenant_id', 'shared')), t, p_role);
	END LOOP;
	EXECUTE format('GRANT DELETE ON mn_data.idempotency, '
	    'mn_data.kept_answer, mn_data.event, mn_data.server TO %I', p_role);
	EXECUTE format('REVOKE EXECUTE ON FUNCTION mn.grant_to(text) FROM %I',
	    p_role);
END
$$;

REVOKE ALL ON FUNCTION mn.grant_to(text) FROM PUBLIC;
SELECT mn.log_ahead();
