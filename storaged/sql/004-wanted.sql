-- Since when a task wants its session: made, tried again by a person, or one of
-- its questions was answered.  A suspended session sleeps on while nothing newer
-- than its suspension wants it; both are kept in that order whatever the clock
-- does, and outlive whoever was to tell of them.

SET LOCAL mn.tenant = '*';

ALTER TABLE mn_data.task ADD COLUMN wanted_at timestamptz;
UPDATE mn_data.task SET wanted_at = created_at;
ALTER TABLE mn_data.task ALTER COLUMN wanted_at SET NOT NULL;
