-- gravity_memory_stats(p_user_id): how many memories there are, of what kind, how fast they grow, and how full cache and queue are.
--
-- For one user, or for everybody with NULL (the default). Returns rows (category, name, value):
--   total      memories, with embedding, identity anchors, users (of everybody only), arcs, arc members, sessions, patterns
--   growth     memories created within the last day, 7 days, 30 days
--   tag, emotion, temporal_type   memories by each value, a memory under each of its tags; name is NULL for those that have none
--   arc_stage  arcs by stage
--   cache      entries; expired, which are older than cache_retention; hits, the sum of accessed_count
--   derived    digests, postings, gaps (users of whom recall reads all memories), gaps of everyone (1 while that is noted of all)
--   feed       events that memory_events holds
--   notifications   queue usage and queue limit, shares from 0 to 1; the same for every user
--   not counted     a table that is missing or that the caller may not read; value is NULL
-- Runs with the caller's rights, and counts what the caller may SELECT: under row security, the caller's own rows. For everybody it
-- reads gravity_map once from end to end, an index on user_id once, and the smaller tables, memory_digests and memory_events once each, with
-- parallel workers where the server has them: some seconds for millions of memories. For one user it reads that user's rows.
-- Errors: 55000 when gravity_map does not exist.
CREATE FUNCTION @extschema@.gravity_memory_stats(p_user_id text DEFAULT NULL)
RETURNS TABLE (category text, name text, value numeric)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $gravity_memory_stats$
DECLARE
    v_table_name text;
    v_is_table boolean;
BEGIN
    IF to_regclass(@extschema@._gravity_memory_qualified_name('gravity_map')) IS NULL THEN
        RAISE EXCEPTION 'the table gravity_map does not exist'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Run SELECT * FROM @extschema@.gravity_memory_setup() first.';
    END IF;
    FOREACH v_table_name IN ARRAY ARRAY['gravity_map', 'memory_arcs', 'memory_arc_associations', 'consciousness_cache',
                                        'active_sessions', 'pattern_matrix', 'memory_digests', 'memory_events', 'memory_recall_gaps'] LOOP
        -- Not a view, whose code would run with the caller's rights.
        SELECT bool_and(c.relkind IN ('r', 'p')) INTO v_is_table
        FROM pg_class AS c
        WHERE c.oid = to_regclass(@extschema@._gravity_memory_qualified_name(v_table_name))
           -- Whose a link is, is read from its arc.
           OR (v_table_name = 'memory_arc_associations'
               AND c.oid = to_regclass(@extschema@._gravity_memory_qualified_name('memory_arcs')));
        IF v_is_table IS NOT TRUE THEN
            RETURN QUERY SELECT 'not counted', v_table_name, NULL::numeric;
            CONTINUE;
        END IF;
        BEGIN
            RETURN QUERY SELECT c.category, c.name, c.value
                         FROM @extschema@._gravity_memory_table_counts(v_table_name, p_user_id) AS c;
        EXCEPTION WHEN insufficient_privilege OR undefined_table OR undefined_column THEN
            RETURN QUERY SELECT 'not counted', v_table_name, NULL::numeric;
        END;
    END LOOP;
    RETURN QUERY
    SELECT 'notifications', v.name, v.value
    FROM (VALUES ('queue usage', pg_notification_queue_usage()::numeric),
                 ('queue limit', (@extschema@._gravity_memory_effective_settings() ->> 'notify_queue_limit')::numeric)) AS v (name, value);
END
$gravity_memory_stats$;

COMMENT ON FUNCTION @extschema@.gravity_memory_stats(text) IS
    'Counts of memories, arcs, cache and derived rows, of one user or of everybody, as far as the caller may read them.

p_user_id NULL: everybody. Categories: total; growth (memories of the last day, 7 and 30 days); tag, emotion,
temporal_type (memories by value; name is NULL for those without); arc_stage; cache (entries, expired, hits);
derived (digests, postings, gaps: users of whom recall reads all memories, gaps of everyone); feed (events);
notifications (queue usage and limit, shares from 0 to 1); not counted (a table that is missing or closed to the
caller). For everybody it reads gravity_map once from end to end.
Errors: 55000 when gravity_map does not exist.';
