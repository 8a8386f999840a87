-- The events of everything, as they are read.  A position is xid.number; a row has
-- the numbers from its seq on, see 006-events.sql.

CREATE TYPE mn.event_row AS (tenant text, position text, type text,
    labels text, body text);

-- Item n, from 0.  Larger labels are older than their limit.
CREATE FUNCTION mn.event_row(e mn_data.event, i mn_data.event_item, n bigint)
RETURNS mn.event_row
LANGUAGE sql STABLE AS $$
	SELECT ROW(e.tenant_id, e.xid || '.' || e.seq + n, i.type,
	    CASE WHEN octet_length(i.labels::text) <= 12288
		THEN i.labels::text ELSE '{}' END,
	    mn.event_doc(e, i, n))::mn.event_row
$$;

-- Those of a row whose position is after xid.seq, in order.
CREATE FUNCTION mn.event_rows(e mn_data.event, p_xid bigint, p_seq bigint)
RETURNS SETOF mn.event_row
LANGUAGE sql STABLE AS $$
	SELECT r.* FROM unnest(e.items) WITH ORDINALITY AS i (type, kind, id,
	    session, task, labels, data, n),
	    mn.event_row(e, mn.event_item(i.type, i.kind, i.id, i.session,
		i.task, i.labels, i.data), i.n - 1) r
	WHERE i.type IS NOT NULL AND (e.xid > p_xid OR e.seq + i.n - 1 > p_seq)
	ORDER BY i.n
$$;

-- Code gone, and the oldest position as doc, when what follows p_after was
-- removed for its age, or has not happened: an older copy of the database was put
-- in its place since.  How many rows are enough is known when they are opened:
-- they are read one after the other, and the rest of a long way is not.
CREATE FUNCTION mn.event_page(p_tenant text, p_after text, p_limit bigint)
RETURNS TABLE (tenant text, "position" text, type text, labels text,
    body text, code text, text text, doc text)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
	v_xid	bigint := -1;
	v_seq	bigint := -1;
	v_row	bigint;		-- before the row that may hold what follows
	v_left	bigint := least(greatest(p_limit, 1), 1000);
	v_gone	bigint;
	e	mn_data.event;
BEGIN
	IF p_after ~ '^[0-9]{1,18}\.[0-9]{1,18}$' THEN
		v_xid := split_part(p_after, '.', 1)::bigint;
		v_seq := split_part(p_after, '.', 2)::bigint;
		SELECT xid INTO v_gone FROM event_gone;
		IF (v_xid <= v_gone AND v_gone > 0) OR v_xid >
		    pg_snapshot_xmin(pg_current_snapshot())::text::bigint THEN
			RETURN QUERY SELECT '', '', '', '', '', 'gone', CASE
			    WHEN v_xid <= v_gone THEN 'older events were '
				'removed' ELSE 'the database was put back to '
				'before that' END || '; the oldest kept '
			    'position is given', v_gone + 1 || '.0';
			RETURN;
		END IF;
	ELSIF p_after <> '' THEN
		RETURN QUERY SELECT '', '', '', '', '', 'validation_error',
		    'after: expected a position of an event', '';
		RETURN;
	END IF;
	code := '';
	text := '';
	doc := '';
	v_row := v_seq - 1024;
	FOR e IN SELECT * FROM event WHERE tenant_id = p_tenant
	    AND (xid, seq) > (v_xid, v_row)
	    AND xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
	    ORDER BY xid, seq LOOP
		FOR tenant, "position", type, labels, body IN
		    SELECT * FROM mn.event_rows(e, v_xid, v_seq) LOOP
			RETURN NEXT;
			v_left := v_left - 1;
			IF v_left = 0 THEN
				RETURN;
			END IF;
		END LOOP;
	END LOOP;
END
$$;

-- The feed of every tenant, storaged's own.
CREATE FUNCTION mn.event_feed(p_xid bigint, p_seq bigint)
RETURNS SETOF mn.event_row
LANGUAGE plpgsql STABLE AS $$
DECLARE
	v_row	bigint := p_seq - 1024;
	v_left	integer := 256;
	e	mn_data.event;
	r	mn.event_row;
BEGIN
	FOR e IN SELECT * FROM event WHERE (xid, seq) > (p_xid, v_row)
	    AND xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
	    ORDER BY xid, seq LOOP
		FOR r IN SELECT * FROM mn.event_rows(e, p_xid, p_seq) LOOP
			RETURN NEXT r;
			v_left := v_left - 1;
			IF v_left = 0 THEN
				RETURN;
			END IF;
		END LOOP;
	END LOOP;
END
$$;
