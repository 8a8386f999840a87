-- What a task costs: rows are changed in place (HOT), which wants free room in
-- the page and no index, nor a condition of one, on what changes.
--
-- One run at a time in a session (promise 8) is session.run_id, claimed and
-- given back by guarded updates of the session's row, and no longer an index
-- over run.status.  Rows are guarded by the statements that make them, which
-- see the row they refer to: the checks behind them cost a query each, the
-- CHECKs of a status are parsed from text at each execution.

SET LOCAL mn.tenant = '*';

ALTER TABLE mn_data.session ADD COLUMN run_id text;
UPDATE mn_data.session s SET run_id = r.id FROM mn_data.run r
WHERE r.session_id = s.id AND r.status IN ('assigned', 'running');
ALTER TABLE mn_data.session SET (fillfactor = 50);

DROP INDEX mn_data.run_alone;
ALTER TABLE mn_data.run DROP CONSTRAINT run_task_id_fkey,
    DROP CONSTRAINT run_status_check,
    ADD COLUMN asked boolean NOT NULL DEFAULT false; -- a permission, ever
UPDATE mn_data.run r SET asked = true WHERE EXISTS (SELECT
    FROM mn_data.permission p WHERE p.run_id = r.id);
ALTER TABLE mn_data.run SET (fillfactor = 60);

ALTER TABLE mn_data.task DROP CONSTRAINT task_session_id_fkey,
    DROP CONSTRAINT task_status_check;
DROP INDEX mn_data.task_live;
CREATE INDEX task_open ON mn_data.task (id) WHERE ended_at IS NULL;
UPDATE mn_data.task SET ended_at = updated_at
WHERE ended_at IS NULL AND status NOT IN ('pending', 'running');
ALTER TABLE mn_data.task SET (fillfactor = 70);

-- Nobody looks for one of these but in the list.
ALTER TABLE mn_data.action_log DROP CONSTRAINT action_log_pkey,
    ADD PRIMARY KEY (tenant_id, id);
DROP INDEX mn_data.action_log_page;

-- Events age in the order of their numbers.  What is random in an event's id is
-- kept as it was drawn; those from before have a whole id.
DROP INDEX mn_data.event_old;
ALTER TABLE mn_data.event ALTER COLUMN id DROP NOT NULL,
    ADD COLUMN uid uuid NOT NULL DEFAULT gen_random_uuid();

-- Lines repeat themselves: lz4 where the server has it, and kept in the row.
ALTER TABLE mn_data.log ALTER COLUMN lines SET STORAGE MAIN;
DO $$
BEGIN
	ALTER TABLE mn_data.log ALTER COLUMN lines SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
	NULL;
END
$$;
