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

-- Code gone, and the oldest position as doc, when what follows p_after was
-- removed for its age.
CREATE FUNCTION mn.event_page(p_tenant text, p_after text, p_limit bigint)
RETURNS TABLE (tenant text, "position" text, type text, labels text,
    body text, code text, text text, doc text)
LANGUAGE plpgsql STABLE AS $$
#variable_conflict use_column
DECLARE
	v_xid	bigint := -1;
	v_seq	bigint := -1;
	v_row	bigint;		-- before the row that may hold what follows
	v_gone	bigint;
BEGIN
	IF p_after ~ '^[0-9]{1,18}\.[0-9]{1,18}$' THEN
		v_xid := split_part(p_after, '.', 1)::bigint;
		v_seq := split_part(p_after, '.', 2)::bigint;
		SELECT xid INTO v_gone FROM event_gone;
		IF v_xid <= v_gone AND v_gone > 0 THEN
			RETURN QUERY SELECT '', '', '', '', '', 'gone',
			    'older events were removed; the oldest kept '
			    'position is given', json_build_object('oldest',
			    v_gone + 1 || '.0')::text;
			RETURN;
		END IF;
	ELSIF p_after <> '' THEN
		RETURN QUERY SELECT '', '', '', '', '', 'validation_error',
		    'after: expected a position of an event', '';
		RETURN;
	END IF;
	v_row := v_seq - 1024;
	RETURN QUERY SELECT r.*, '', '', '' FROM (SELECT e, i.*
	    FROM event e, unnest(e.items) WITH ORDINALITY AS i (type, kind,
		id, session, task, labels, data, n)
	    WHERE e.tenant_id = p_tenant AND (e.xid, e.seq) > (v_xid, v_row)
	    AND (e.xid > v_xid OR e.seq + i.n - 1 > v_seq)
	    AND e.xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
	    AND i.type IS NOT NULL ORDER BY e.xid, e.seq, i.n
	    LIMIT least(greatest(p_limit, 1), 1000)) x, mn.event_row(x.e,
		mn.event_item(x.type, x.kind, x.id, x.session, x.task,
		x.labels, x.data), x.n - 1) r
	ORDER BY (x.e).xid, (x.e).seq, x.n;
END
$$;

-- The feed of every tenant, storaged's own.
CREATE FUNCTION mn.event_feed(p_xid bigint, p_seq bigint)
RETURNS SETOF mn.event_row
LANGUAGE plpgsql STABLE AS $$
DECLARE
	v_row	bigint := p_seq - 1024;
BEGIN
	RETURN QUERY SELECT r.* FROM (SELECT e, i.*
	    FROM event e, unnest(e.items) WITH ORDINALITY AS i (type, kind,
		id, session, task, labels, data, n)
	    WHERE (e.xid, e.seq) > (p_xid, v_row)
	    AND (e.xid > p_xid OR e.seq + i.n - 1 > p_seq)
	    AND e.xid < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
	    AND i.type IS NOT NULL ORDER BY e.xid, e.seq, i.n LIMIT 256) x,
	    mn.event_row(x.e, mn.event_item(x.type, x.kind, x.id, x.session,
		x.task, x.labels, x.data), x.n - 1) r
	ORDER BY (x.e).xid, (x.e).seq, x.n;
END
$$;
