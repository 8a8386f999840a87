-- The last change that If-Match guarded: said again, it would find what it made.
ALTER TABLE mn_data.session ADD COLUMN change_id text;
