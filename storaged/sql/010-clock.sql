-- The clock, as far as it is believed: what is removed for its age is old by this
-- one (mn.janitor).
CREATE TABLE mn_data.clock (
	one		boolean PRIMARY KEY DEFAULT true CHECK (one),
	believed	timestamptz NOT NULL
);
INSERT INTO mn_data.clock (believed) VALUES (now());
