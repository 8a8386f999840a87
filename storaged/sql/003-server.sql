-- Who has been at work on this database: one server at a time, and the last row
-- is of the one that is, or was.  instance: drawn by its parent at each start.
-- A server that finds somebody else's row behind its own has a memory that is
-- old.  Without a tenant: no policy lets any tenant see it.

CREATE TABLE mn_data.server (
	seq		bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	instance	text NOT NULL UNIQUE,
	server_id	integer NOT NULL,
	taken_at	timestamptz NOT NULL DEFAULT clock_timestamp()
);
ALTER TABLE mn_data.server ENABLE ROW LEVEL SECURITY,
    FORCE ROW LEVEL SECURITY;
CREATE POLICY system ON mn_data.server
    USING (current_setting('mn.tenant', true) = '*');
