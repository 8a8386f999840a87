-- Schema mn: every statement of messages.master is the function of its name.
-- Files from 900 on are applied whole, in order, whenever one of them differs
-- from what the database has; so a function is changed where it stands.
--
-- Functions are SECURITY INVOKER: the worker's role owns no table and
-- row-level security binds it, whatever a function forgets to ask.  They are
-- written not to raise on ordinary data: what is wrong is told as a code.
-- search_path (mn, mn_data) is set by the connection.
--
-- A statement that goes with others (MSG_F_MANY) takes arrays and is one query
-- that chains what it changes.  It unnests one of them: a dozen side by side are as
-- many stores of tuples at each call.  There a tenant is compared with IS NOT
-- DISTINCT FROM where an index begins with it: to the planner, which knows an empty
-- table when it plans, that index would look as good as the one of the ids.
--
-- A function in SQL that PostgreSQL cannot put in place of its call is parsed and
-- planned again at each: an expression is in SQL, and says of itself no more
-- than of what it calls (STABLE with concat); all else is plpgsql.

DROP SCHEMA IF EXISTS mn CASCADE;
CREATE SCHEMA mn;

-- What a statement without rows answers; see STORED.
CREATE TYPE mn.answer AS (rows bigint, code text, text text, doc text);

-- NULL for what is no JSON, or is JSON that jsonb cannot hold (\u0000).
CREATE FUNCTION mn.json(p text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
	IF p IS NULL OR p = '' THEN
		RETURN NULL;
	END IF;
	RETURN p::jsonb;
EXCEPTION WHEN OTHERS THEN
	RETURN NULL;
END
$$;

-- A JSON object, {} in place of anything else.  Most are empty, and catching
-- an error costs a subtransaction.
CREATE FUNCTION mn.object(p text) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	j	jsonb;
BEGIN
	IF p IN ('', '{}') THEN
		RETURN '{}';
	END IF;
	j := mn.json(p);
	RETURN CASE WHEN jsonb_typeof(j) = 'object' THEN j ELSE '{}' END;
END
$$;

CREATE FUNCTION mn.int(p text) RETURNS integer
LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN p ~ '^[0-9]{1,9}$' THEN p::integer END
$$;

-- A u64 that fits an integer column.
CREATE FUNCTION mn.clamp(p bigint) RETURNS integer
LANGUAGE sql IMMUTABLE AS $$
	SELECT least(greatest(p, 0), 2147483647)::integer
$$;

-- RFC 3339, UTC, milliseconds.
CREATE FUNCTION mn.time(t timestamptz) RETURNS text
LANGUAGE sql STABLE AS $$
	SELECT to_char(t AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;

-- Unix milliseconds, 0 for NULL.
CREATE FUNCTION mn.ms(t timestamptz) RETURNS bigint
LANGUAGE sql STABLE AS $$
	SELECT coalesce(floor(extract(epoch FROM t) * 1000), 0)::bigint
$$;

-- The next updated_at: two changes never share one, since it is the ETag.
CREATE FUNCTION mn.later(t timestamptz) RETURNS timestamptz
LANGUAGE sql VOLATILE AS $$
	SELECT greatest(clock_timestamp(), t + interval '1 millisecond')
$$;

-- The id of an event that was made at t, like those that imsg/id.c makes: two
-- zero bits and 48 of milliseconds, five a character, then 80 random ones, where
-- id.c says in the first 16 when in the millisecond: events have their order
-- already.  They are base64 of the bytes 0 to 5 and 9 to 14 of a random UUID, two
-- of its letters for each of ours; of the n-th of its row, from 0, of a digest.
-- Computed where it is read, which is rarer than writing.
CREATE FUNCTION mn.event_id(t timestamptz, u uuid, n bigint) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	a	CONSTANT text := '0123456789abcdefghjkmnpqrstvwxyz';
	m	bigint := floor(extract(epoch FROM t) * 1000);
	r	text := translate(encode(CASE n WHEN 0 THEN uuid_send(u)
		    ELSE substr(sha256(uuid_send(u) || int8send(n)), 1, 16)
		    END, 'base64'),
		    'ABCDEFGHIJKLMNOPQRSTUVWXYZilou+/',
		    'abcdefghjkmnpqrstvwxyz0123456789');
BEGIN
	RETURN 'evt_' || substr(a, (m >> 45 & 31)::integer + 1, 1)
	    || substr(a, (m >> 40 & 31)::integer + 1, 1)
	    || substr(a, (m >> 35 & 31)::integer + 1, 1)
	    || substr(a, (m >> 30 & 31)::integer + 1, 1)
	    || substr(a, (m >> 25 & 31)::integer + 1, 1)
	    || substr(a, (m >> 20 & 31)::integer + 1, 1)
	    || substr(a, (m >> 15 & 31)::integer + 1, 1)
	    || substr(a, (m >> 10 & 31)::integer + 1, 1)
	    || substr(a, (m >> 5 & 31)::integer + 1, 1)
	    || substr(a, (m & 31)::integer + 1, 1)
	    || substr(r, 1, 8) || substr(r, 13, 8);
END
$$;

-- RFC 7396.
CREATE FUNCTION mn.merge(target jsonb, patch jsonb) RETURNS jsonb
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	k	text;
	v	jsonb;
BEGIN
	IF jsonb_typeof(patch) IS DISTINCT FROM 'object' THEN
		RETURN patch;
	END IF;
	IF jsonb_typeof(target) IS DISTINCT FROM 'object' THEN
		target := '{}';
	END IF;
	FOR k, v IN SELECT * FROM jsonb_each(patch) LOOP
		IF v = 'null' THEN
			target := target - k;
		ELSE
			target := target ||
			    jsonb_build_object(k, mn.merge(target->k, v));
		END IF;
	END LOOP;
	RETURN target;
END
$$;

-- The Idempotency-Key of a request that is to make p_object.  NULL: the key
-- was used for another request.  Otherwise the object that the key stands for,
-- p_object itself when there is no key or it is new.  p_claim: store it.
CREATE FUNCTION mn.idem(p_tenant text, p_key text, p_hash bytea,
    p_object text, p_claim boolean) RETURNS text
LANGUAGE plpgsql VOLATILE AS $$
DECLARE
	i	mn_data.idempotency;
BEGIN
	IF p_key = '' THEN
		RETURN p_object;
	END IF;
	IF p_claim THEN
		INSERT INTO idempotency AS old (tenant_id, key, hash, object_id)
		VALUES (p_tenant, p_key, p_hash, p_object)
		ON CONFLICT (tenant_id, key) DO UPDATE SET
		    hash = excluded.hash, object_id = excluded.object_id,
		    created_at = excluded.created_at
		WHERE old.created_at < now() - interval '24 hours';
	END IF;
	SELECT * INTO i FROM idempotency
	WHERE tenant_id = p_tenant AND key = p_key
	    AND created_at >= now() - interval '24 hours';
	IF NOT FOUND THEN
		RETURN p_object;
	END IF;
	RETURN CASE WHEN i.hash = p_hash THEN i.object_id END;
END
$$;

CREATE FUNCTION mn.idem_text() RETURNS text
LANGUAGE sql IMMUTABLE AS $$
	SELECT 'Idempotency-Key was used before with another request'
$$;

-- What one call tells, in order; data: JSON.  All of it is one row (006).
CREATE FUNCTION mn.event_item(p_type text, p_kind text, p_id text,
    p_session text, p_task text, p_labels jsonb, p_data text)
RETURNS mn_data.event_item
LANGUAGE sql IMMUTABLE AS $$
	SELECT ROW(p_type, p_kind, p_id, p_session, p_task, p_labels,
	    p_data)::mn_data.event_item
$$;

CREATE FUNCTION mn.event_put(p_tenant text, p_type text, p_kind text,
    p_id text, p_session text, p_task text, p_labels jsonb, p_data text)
RETURNS void
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
	INSERT INTO event (tenant_id, items)
	VALUES (p_tenant, ARRAY[mn.event_item(p_type, p_kind, p_id, p_session,
	    p_task, p_labels, p_data)]);
END
$$;

-- The elements of an array and their places, from 1.  To the planner they are
-- ten; of generate_series() they are a thousand, for which it reads a small table
-- whole, and goes on when it is large.  An index is looked up by the element:
-- behind row-level security it is not by p_array[n], for the sake of n's cast.
CREATE FUNCTION mn.places(p text[]) RETURNS TABLE (id text, n integer)
LANGUAGE sql IMMUTABLE AS $$
	SELECT e, i::integer FROM unnest(p) WITH ORDINALITY AS u (e, i)
$$;

-- ---- lists -----------------------------------------------------------------

-- A condition of a query that is put together, whose place-th parameter p_values
-- is: none without a filter; of one value an equality, as an index is looked up.
CREATE FUNCTION mn.is_in(p_column text, p_values text[], place integer)
RETURNS text
LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN p_values IS NULL THEN ''
	    WHEN cardinality(p_values) = 1
		THEN format(' AND %I = $%s[1]', p_column, place)
	    ELSE format(' AND %I = ANY ($%s)', p_column, place) END
$$;

-- The values of a filter: an array of strings, or one string.  NULL: no filter.
CREATE FUNCTION mn.filter(q jsonb, name text) RETURNS text[]
LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE jsonb_typeof(q->name)
	    WHEN 'array' THEN CASE WHEN jsonb_array_length(q->name) > 0 THEN
		ARRAY(SELECT jsonb_array_elements_text(q->name)) END
	    WHEN 'string' THEN ARRAY[q->>name]
	    END
$$;

CREATE FUNCTION mn.filter_labels(q jsonb) RETURNS jsonb
LANGUAGE sql IMMUTABLE AS $$
	SELECT CASE WHEN jsonb_typeof(q->'labels') = 'object'
	    THEN q->'labels' ELSE '{}' END
$$;

CREATE FUNCTION mn.page_limit(q jsonb) RETURNS integer
LANGUAGE sql IMMUTABLE AS $$
	SELECT least(greatest(coalesce(mn.int(q->>'limit'), 50), 1), 500)
$$;

CREATE FUNCTION mn.page_counted(q jsonb) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
	SELECT coalesce(q->>'count' IN ('true', '1'), false)
$$;

-- A cursor is base64url of the last id seen.
CREATE FUNCTION mn.cursor_make(p_id text) RETURNS text
LANGUAGE sql IMMUTABLE AS $$
	SELECT translate(encode(convert_to(p_id, 'UTF8'), 'base64'),
	    E'+/=\n', '-_')
$$;

-- The id before which a page begins: beyond every id without a cursor, NULL
-- when the cursor is none of ours.
CREATE FUNCTION mn.cursor_read(q jsonb) RETURNS text
LANGUAGE plpgsql IMMUTABLE AS $$
DECLARE
	c	text := translate(q->>'cursor', '-_', '+/');
BEGIN
	IF coalesce(c, '') = '' THEN
		RETURN '~';
	END IF;
	c := convert_from(decode(rpad(c, (length(c) + 3) / 4 * 4, '='),
	    'base64'), 'UTF8');
	RETURN CASE WHEN c ~ '^[a-z]{2,4}_[0-9a-z]{26}$' THEN c END;
EXCEPTION WHEN OTHERS THEN
	RETURN NULL;
END
$$;

-- A page of documents; ids are theirs, the cursor is made of the last.
CREATE FUNCTION mn.page(docs text[], ids text[], more boolean, total bigint)
RETURNS SETOF mn.answer
LANGUAGE sql STABLE AS $$
	SELECT coalesce(cardinality(docs), 0), '', '',
	    '{"items":[' || coalesce(array_to_string(docs, ','), '') ||
	    '],"has_more":' ||
	    CASE WHEN more THEN 'true' ELSE 'false' END || ',"next_cursor":' ||
	    CASE WHEN more THEN to_json(mn.cursor_make(
		ids[cardinality(ids)]))::text ELSE 'null' END ||
	    CASE WHEN total IS NULL THEN '' ELSE ',"total_count":' || total
		END || '}'
$$;

CREATE FUNCTION mn.bad_cursor() RETURNS SETOF mn.answer
LANGUAGE sql IMMUTABLE AS $$
	SELECT 0::bigint, 'validation_error',
	    'cursor: expected the next_cursor of a page of this list', ''
$$;

CREATE FUNCTION mn.not_found(p_kind text, p_id text) RETURNS SETOF mn.answer
LANGUAGE sql IMMUTABLE AS $$
	SELECT 0::bigint, 'not_found', left('there is no ' || p_kind || ' ' ||
	    p_id, 1024), ''
$$;

-- The n-th of several that were asked for: its document, or that it is not there.
CREATE TYPE mn.found AS (n bigint, rows integer, code text, text text,
    doc text);

CREATE FUNCTION mn.found(p_n bigint, p_kind text, p_id text, p_there boolean,
    p_doc text) RETURNS mn.found
LANGUAGE sql STABLE AS $$
	SELECT ROW(p_n, p_there::integer, CASE WHEN p_there THEN ''
	    ELSE 'not_found' END, CASE WHEN p_there THEN '' ELSE
	    left('there is no ' || p_kind || ' ' || p_id, 1024) END,
	    CASE WHEN p_there THEN p_doc ELSE '' END)::mn.found
$$;
