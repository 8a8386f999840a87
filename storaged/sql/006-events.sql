-- The events of one call are one row: of some hundred rows a batch with two
-- entries of an index each, a handful is left.  An event's number is its row's and
-- its place in it; rows are 1024 apart, and a call has no more than 512 events.
-- Two dimensions, where a call tells a fixed number of each thing; NULL is none.

SET LOCAL mn.tenant = '*';

CREATE TYPE mn_data.event_item AS (type text, resource_type text,
    resource_id text, session_id text, task_id text, labels jsonb, data text);
ALTER TABLE mn_data.event ADD COLUMN items mn_data.event_item[],
    ALTER COLUMN seq SET INCREMENT BY 1024;
UPDATE mn_data.event SET items = ARRAY[ROW(type, resource_type, resource_id,
    session_id, task_id, labels, data::text)::mn_data.event_item];
ALTER TABLE mn_data.event ALTER COLUMN items SET NOT NULL,
    ALTER COLUMN items SET STORAGE MAIN,
    DROP COLUMN type, DROP COLUMN resource_type, DROP COLUMN resource_id,
    DROP COLUMN session_id, DROP COLUMN task_id, DROP COLUMN labels,
    DROP COLUMN data;
DO $$
BEGIN
	ALTER TABLE mn_data.event ALTER COLUMN items SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
	NULL;
END
$$;

-- The check of a word that only functions write was parsed from text at each
-- change of a session (002).
ALTER TABLE mn_data.session DROP CONSTRAINT session_status_check;
