-- gravity_memory_changes(p_user_ids, p_cursor, p_limit): what happened to some users' memories and arcs since a cursor was taken.
--
-- Returns one row per event, at most p_limit (1 to 100000): user_id, event (memory_created, memory_updated, memory_deleted, arc_created,
-- arc_updated, arc_deleted), subject_id, payload (the memory without its embedding, or the arc), created_at (when it was written) and
-- next_cursor, the place after this event. One row without an event comes last, always: its next_cursor is the place to go
-- on from; has_more says that p_limit was reached, is_open that transactions are under way that may have written more.
-- Never skips: an event is new until the transaction that wrote it was visible to a reader, however late it commits. Never repeats: from each
-- cursor on, every event comes once, also after a crash. Order: what was visible earlier comes first; within one look, as it was
-- written, which for one memory is the order of the commits. A transaction that stays open holds up nobody's events but its own.
-- This is not the horizon that pg_snapshot_xmin() gives, below which everything is finished: one long transaction, of any database of the
-- server, would hold up every reader.
-- Events that a dump brought here carry numbers of another server's transactions, and are passed over: their rows are younger than these.
-- Reads memory_events with the privileges and policies of the caller.
-- Errors: 22004 for p_user_ids NULL, 22023 for a bad limit or cursor; 72000 (snapshot too old), with the way to start anew in the HINT, for an
-- expired cursor and after a break in the feed; 55000 while nothing is recorded; 42501 where row security hides all events.
CREATE FUNCTION @extschema@.gravity_memory_changes(p_user_ids text[], p_cursor text, p_limit integer DEFAULT 1000)
RETURNS TABLE (user_id text, event text, subject_id uuid, payload jsonb, created_at timestamptz,
               next_cursor text, has_more boolean, is_open boolean)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET jit = off
AS $gravity_memory_changes$
#variable_conflict use_column
DECLARE
    -- Few users, and users who have not looked for long, are looked up one by one; many who have just looked share one look.
    v_few_users CONSTANT integer := 20;
    v_recently CONSTANT interval := interval '10 seconds';
    v_from record;
    v_to pg_snapshot;
    v_place text;
    v_reason text;
    v_events refcursor;
    v_event record;
    v_found integer := 0;
BEGIN
    IF p_user_ids IS NULL THEN
        RAISE EXCEPTION 'gravity_memory_changes(): p_user_ids must not be NULL'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Name the users whose changes you want.';
    END IF;
    IF p_limit IS NULL OR p_limit NOT BETWEEN 1 AND 100000 THEN
        RAISE EXCEPTION 'gravity_memory_changes(): p_limit must be from 1 to 100000, not %', COALESCE(p_limit::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'has_more says whether there is more than the limit.';
    END IF;
    PERFORM @extschema@._gravity_memory_check_feed();
    v_from := @extschema@._gravity_memory_read_cursor(p_cursor);
    v_to := COALESCE(v_from.page_snapshot, @extschema@._gravity_memory_feed_snapshot());
    v_place := COALESCE(v_from.page_place, @extschema@._gravity_memory_feed_place(v_to, clock_timestamp()));

    SELECT b.payload ->> 'reason' INTO v_reason
    FROM @extschema@.memory_events AS b
    WHERE b.user_id = '' AND b.event = 'feed_broken'
      AND (b.xid >= v_from.first_unseen OR b.xid = ANY (v_from.were_open)
           OR (v_from.lost_transactions AND b.created_at > v_from.taken_at))
      AND pg_visible_in_snapshot(b.xid, v_to) AND age(b.xmin) <= age(b.xid::xid)
    ORDER BY b.event_id
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the feed of changes has a break after this cursor: %', v_reason
            USING ERRCODE = '72000',
                  HINT = 'Take a new cursor from SELECT memory_changes_head(), read the memories and arcs themselves, then go on from '
                         'that cursor.';
    END IF;

    IF cardinality(p_user_ids) <= v_few_users OR v_from.lost_transactions OR v_from.taken_at < clock_timestamp() - v_recently THEN
        OPEN v_events FOR
            SELECT e.event_id, e.user_id, e.event, e.subject_id, e.payload, e.created_at
            FROM (SELECT DISTINCT n.user_id FROM unnest(p_user_ids) AS n (user_id)) AS u
            CROSS JOIN LATERAL (
                SELECT a.event_id, a.xid, a.xmin AS row_xid, a.user_id, a.event, a.subject_id, a.payload, a.created_at
                FROM @extschema@.memory_events AS a
                WHERE a.user_id = u.user_id AND a.xid >= v_from.first_unseen
                UNION ALL
                SELECT o.event_id, o.xid, o.xmin AS row_xid, o.user_id, o.event, o.subject_id, o.payload, o.created_at
                FROM @extschema@.memory_events AS o
                WHERE o.user_id = u.user_id AND o.xid = ANY (v_from.were_open)
                UNION ALL
                SELECT l.event_id, l.xid, l.xmin AS row_xid, l.user_id, l.event, l.subject_id, l.payload, l.created_at
                FROM @extschema@.memory_events AS l
                WHERE v_from.lost_transactions AND l.user_id = u.user_id AND l.created_at > v_from.taken_at
                  AND l.xid < v_from.first_unseen AND l.xid <> ALL (v_from.were_open)) AS e
            WHERE pg_visible_in_snapshot(e.xid, v_to) AND e.event_id > COALESCE(v_from.page_event, 0) AND e.event <> 'feed_broken'
              AND age(e.row_xid) <= age(e.xid::xid)
            ORDER BY e.event_id
            LIMIT p_limit;
    ELSE
        OPEN v_events FOR
            SELECT e.event_id, e.user_id, e.event, e.subject_id, e.payload, e.created_at
            FROM (SELECT a.event_id, a.xid, a.xmin AS row_xid, a.user_id, a.event, a.subject_id, a.payload, a.created_at
                  FROM @extschema@.memory_events AS a
                  WHERE a.xid >= v_from.first_unseen
                  UNION ALL
                  SELECT o.event_id, o.xid, o.xmin AS row_xid, o.user_id, o.event, o.subject_id, o.payload, o.created_at
                  FROM @extschema@.memory_events AS o
                  WHERE o.xid = ANY (v_from.were_open)) AS e
            WHERE e.user_id IN (SELECT u.user_id FROM unnest(p_user_ids) AS u (user_id))
              AND pg_visible_in_snapshot(e.xid, v_to) AND e.event_id > COALESCE(v_from.page_event, 0) AND e.event <> 'feed_broken'
              AND age(e.row_xid) <= age(e.xid::xid)
            ORDER BY e.event_id
            LIMIT p_limit;
    END IF;
    LOOP
        FETCH v_events INTO v_event;
        EXIT WHEN NOT FOUND;
        v_found := v_found + 1;
        user_id := v_event.user_id;
        event := v_event.event;
        subject_id := v_event.subject_id;
        payload := v_event.payload;
        created_at := v_event.created_at;
        next_cursor := format('%s/%s/%s', v_from.origin, v_place, v_event.event_id);
        RETURN NEXT;
    END LOOP;
    CLOSE v_events;

    user_id := NULL;
    event := NULL;
    subject_id := NULL;
    payload := NULL;
    created_at := NULL;
    has_more := v_found = p_limit;
    -- A snapshot names the open transactions only up to the last one that has finished; age() counts those begun after that.
    is_open := pg_snapshot_xmin(pg_current_snapshot()) < pg_snapshot_xmax(pg_current_snapshot())
        OR age(pg_snapshot_xmax(pg_current_snapshot())::xid) > 0
        OR pg_current_xact_id_if_assigned() IS NOT NULL;
    IF NOT has_more THEN
        -- The same server issued the one that was passed.
        next_cursor := format('1/%s/%s', split_part(p_cursor, '/', 2), v_place);
    END IF;
    RETURN NEXT;
END
$gravity_memory_changes$;

COMMENT ON FUNCTION @extschema@.gravity_memory_changes(text[], text, integer) IS
    'What happened to these users'' memories and arcs since the cursor: events in order, then a row with the cursor to go on from.

p_cursor: from memory_changes_head(), or a next_cursor. p_limit: events at most, 1 to 100000.
event: memory_created, memory_updated, memory_deleted, arc_created, arc_updated or arc_deleted. subject_id: the
memory or arc. payload: the memory without its embedding, or the arc; of what was deleted, the ids. created_at:
when it was written. next_cursor: the place after this event. The last row has no event, only the place to go on
from, has_more (p_limit was reached) and is_open (transactions are under way that may have written more). No
event is skipped, none comes twice from one cursor on. Reads memory_events with the caller''s privileges and
policies.
Errors: 22004 when p_user_ids is NULL; 22023 for a bad limit or cursor; 72000 for an expired cursor, one of
another server, and after a break in the feed: the HINT says how to start anew; 55000 while nothing is recorded;
42501 where row security hides all events.';
