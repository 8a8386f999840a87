-- Since when an answer wants its session: as a task does (004).  004 added this
-- column for a while, so some databases have it.
ALTER TABLE mn_data.permission ADD COLUMN IF NOT EXISTS wanted_at timestamptz;
