-- What many rows, of which few matter, would be read for: open tasks of a tenant
-- and of a session among all that have ended; questions of a session, and those that
-- wait, among all that were asked.
DROP INDEX mn_data.task_open;
CREATE INDEX task_open ON mn_data.task (tenant_id, id DESC)
    WHERE ended_at IS NULL;
CREATE INDEX task_open_session ON mn_data.task (session_id)
    WHERE ended_at IS NULL;
CREATE INDEX permission_pending ON mn_data.permission (tenant_id, id DESC)
    WHERE status = 'pending';
CREATE INDEX permission_session ON mn_data.permission (session_id, id DESC);

-- Each says every few seconds that it lives: there is room for that in its page.
ALTER TABLE mn_data.runner SET (fillfactor = 50);
