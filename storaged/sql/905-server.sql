-- One server at work on a database (storaged's lock.c).

-- Has this instance been at work?
CREATE FUNCTION mn.server_known(p_instance text) RETURNS boolean
LANGUAGE plpgsql STABLE SET mn.tenant = '*' AS $$
BEGIN
	RETURN EXISTS (SELECT FROM server WHERE instance = p_instance);
END
$$;

-- By who holds the lock: false when another instance has been at work since
-- this one was.
CREATE FUNCTION mn.server_take(p_instance text, p_server_id integer)
RETURNS boolean
LANGUAGE plpgsql VOLATILE SET mn.tenant = '*' AS $$
DECLARE
	v_last	text := (SELECT instance FROM server ORDER BY seq DESC LIMIT 1);
BEGIN
	IF v_last IS NOT DISTINCT FROM p_instance THEN
		RETURN true;
	END IF;
	INSERT INTO server (instance, server_id)
	VALUES (p_instance, p_server_id) ON CONFLICT DO NOTHING;
	IF NOT FOUND THEN
		RETURN false;
	END IF;
	DELETE FROM server WHERE seq <= (SELECT seq FROM server
	    ORDER BY seq DESC OFFSET 1000 LIMIT 1);
	RETURN true;
END
$$;
