-- The least that holds what a task leaves behind: itself, its run, its five
-- events and a batch of its lines.  No walls, no checks, one index beside each key.
CREATE TABLE task (
	id text PRIMARY KEY, session text NOT NULL, prompt text NOT NULL,
	status text NOT NULL DEFAULT 'pending', result text,
	created timestamptz NOT NULL DEFAULT now(), started timestamptz,
	ended timestamptz) WITH (fillfactor = 70);
CREATE INDEX ON task (session, created);
CREATE TABLE run (
	id text PRIMARY KEY, task text NOT NULL, attempt integer NOT NULL,
	status text NOT NULL, log_last bigint NOT NULL DEFAULT 0,
	started timestamptz, ended timestamptz) WITH (fillfactor = 70);
CREATE INDEX ON run (task);
CREATE TABLE event (
	number bigserial PRIMARY KEY, type text NOT NULL, resource text NOT NULL,
	data json NOT NULL, time timestamptz NOT NULL DEFAULT now());
CREATE TABLE log (
	task text NOT NULL, attempt integer NOT NULL, first bigint NOT NULL,
	lines text NOT NULL, PRIMARY KEY (task, attempt, first));
-- Twenty lines as they are stored, once: making them is not what is measured.
CREATE TABLE given AS SELECT string_agg(format('{"position":"1.%s","run_id":'
    '"run_01m8ag7gf91zk0va4dx3g900wp","stream":"stdout","level":"info",'
    '"kind":"text","content":"%s","time":"2026-11-25T23:21:37.517Z"}', i,
    rpad('0a1b2c3d-77 ' || lpad(i::text, 8, '0'), 100, 'abcdefghijklmnopqrs')),
    E'\n') AS lines FROM generate_series(1, 20) i;
