-- _gravity_memory_read_cursor(p_cursor): the parts of a cursor, if the feed can be read on from it.
--
-- Returns origin (the cursor without its page), first_unseen (transactions from it on were not seen), were_open (those before it that were open
-- then), taken_at, lost_transactions (see below); and for a cursor between two pages page_place, page_snapshot and page_event, the
-- last event of the page. page_event stands alone where the page has to be looked for anew.
-- lost_transactions: since the cursor was issued the server crashed, or another one took over. Transactions that had left nothing on
-- disk are forgotten then, and their numbers given anew: what was written after the cursor was issued is new, whatever
-- its number. A crash resets the statistics; another server has another timeline.
-- Errors: 22023 for a text that is no cursor, 72000 (snapshot too old) for one of another server or older than feed_retention.
CREATE FUNCTION @extschema@._gravity_memory_read_cursor(
    p_cursor text, OUT origin text, OUT first_unseen xid8, OUT were_open xid8[], OUT taken_at timestamptz, OUT lost_transactions boolean,
    OUT page_place text, OUT page_snapshot pg_snapshot, OUT page_event bigint)
RETURNS record
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_read_cursor$
DECLARE
    v_parts CONSTANT text[] := string_to_array(p_cursor, '/');
    v_timeline CONSTANT text := @extschema@._gravity_memory_feed_timeline()::text;
    v_crashed_at CONSTANT timestamptz := (SELECT COALESCE(b.stats_reset, 'infinity') FROM pg_stat_bgwriter AS b);
    v_resync CONSTANT text := 'Take a new cursor from SELECT memory_changes_head(), read the memories and arcs themselves, then go on '
                              'from that cursor.';
    v_snapshot pg_snapshot;
    v_page_taken_at timestamptz;
    v_retention interval;
BEGIN
    BEGIN
        IF p_cursor IS NULL OR p_cursor !~ ('^1/[0-9]+/[0-9]+/[0-9]+/[0-9]+:[0-9]+:[0-9,]*'
                                            '(/[0-9]+/[0-9]+/[0-9]+:[0-9]+:[0-9,]*/[0-9]+)?$') THEN
            RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'no cursor';
        END IF;
        taken_at := to_timestamp(0) + v_parts[4]::bigint * interval '1 microsecond';
        v_snapshot := v_parts[5]::pg_snapshot;
        v_page_taken_at := to_timestamp(0) + v_parts[7]::bigint * interval '1 microsecond';
        page_snapshot := v_parts[8]::pg_snapshot;
        page_event := v_parts[9]::bigint;
    EXCEPTION WHEN data_exception THEN
        RAISE EXCEPTION 'not a cursor of the feed of changes: %', COALESCE(quote_literal(left(p_cursor, 200)), 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Pass the last next_cursor that memory_changes_since() returned, or begin with SELECT memory_changes_head().';
    END;
    IF v_parts[2] <> (SELECT c.system_identifier FROM pg_control_system() AS c)::text THEN
        RAISE EXCEPTION 'the cursor was issued by another server' USING ERRCODE = '72000', HINT = v_resync;
    END IF;
    v_retention := (@extschema@._gravity_memory_effective_settings() ->> 'feed_retention')::interval;
    IF taken_at < clock_timestamp() - v_retention THEN
        RAISE EXCEPTION 'the cursor has expired: it was issued at %, and events are kept for %', taken_at, v_retention
            USING ERRCODE = '72000', HINT = v_resync;
    END IF;

    origin := array_to_string(v_parts[1:5], '/');
    first_unseen := pg_snapshot_xmax(v_snapshot);
    were_open := ARRAY(SELECT x FROM pg_snapshot_xip(v_snapshot) AS x);
    lost_transactions := v_parts[3] <> v_timeline OR v_crashed_at > taken_at;
    -- The snapshot of a page is worth nothing either, once transactions were lost after it. None that it saw open can commit any more, so
    -- that what comes is after the last event of the page in any case.
    IF v_parts[6] <> v_timeline OR v_crashed_at > v_page_taken_at THEN
        page_snapshot := NULL;
    ELSIF page_snapshot IS NOT NULL THEN
        page_place := array_to_string(v_parts[6:8], '/');
    END IF;
END
$_gravity_memory_read_cursor$;

COMMENT ON FUNCTION @extschema@._gravity_memory_read_cursor(text) IS
    'Takes a cursor of the feed apart, or says why the feed cannot be read on from it.';
