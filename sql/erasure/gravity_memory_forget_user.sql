-- gravity_memory_forget_user(p_user_id): removes every trace of a user from the tables of gravity_memory, in the caller's transaction.
--
-- Memories, links, arcs, cache, sessions, patterns, what recall reads, events (those that the deletion itself writes, too), locks
-- and notes.
-- Returns the receipt: one row per table with the number of rows that it held, 0 included. gravity_memory_verify_forgotten() proves it.
-- Links of the user's memories to another user's arc go too, and that arc's totals follow; one that is left without members keeps its last
-- gravity_center. Totals that wait for the commit are settled here, and deferred again for the rest of the transaction.
-- What somebody writes for the user meanwhile stays: stop the user's writers first. Out of its reach: tables of the application without a
-- foreign key that cascades, backups, WAL until it is recycled, the server's log, dead rows until VACUUM, texts of queries in
-- pg_stat_statements,
-- messages of Supabase's realtime, and settings (identity_entities may hold a name).
-- Errors: 22004 for NULL; 55000 when a table is missing; 42501 for whoever may not delete all of it; 23503 when a table of the
-- application still
-- refers to a memory. Nothing is removed then.
-- Reads memory_postings from end to end when rows of the user may be in it that no digest leads to (memory_recall_gaps notes the user).
CREATE FUNCTION @extschema@.gravity_memory_forget_user(p_user_id text)
RETURNS TABLE (table_name text, removed bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_forget_user$
DECLARE
    v_rows record;
    v_memory_ids uuid[];
    v_held bigint[];
    v_deleted bigint;
    v_stray bigint;
BEGIN
    PERFORM @extschema@._gravity_memory_check_erasure('gravity_memory_forget_user', p_user_id);
    -- One at a time, so that the second receipt says that nothing was left.
    PERFORM pg_advisory_xact_lock(hashtextextended('gravity_memory_forget_user ' || p_user_id, 0));
    IF EXISTS (SELECT FROM @extschema@.memory_recall_gaps AS g WHERE g.user_id = p_user_id OR g.is_every_user)
       -- Set operations never become nested loops, whatever the statistics say.
       OR EXISTS (SELECT m.id FROM @extschema@.gravity_map AS m WHERE m.user_id = p_user_id
                  EXCEPT
                  SELECT d.memory_id FROM @extschema@.memory_digests AS d WHERE d.user_id = p_user_id) THEN
        v_memory_ids := ARRAY(SELECT m.id FROM @extschema@.gravity_map AS m WHERE m.user_id = p_user_id
                              UNION SELECT d.memory_id FROM @extschema@.memory_digests AS d WHERE d.user_id = p_user_id);
    END IF;

    -- Before anything is deleted: triggers dissolve arcs that lose their members, and write events.
    SELECT array_agg(v.remaining) INTO v_held
    FROM (SELECT c.ordinality, x.remaining
          FROM @extschema@._gravity_memory_erasure_catalogue() WITH ORDINALITY AS c
          CROSS JOIN LATERAL (SELECT @extschema@._gravity_memory_count_of_user(c.table_name, c.condition, p_user_id) AS remaining) AS x
          ORDER BY c.ordinality) AS v;

    FOR v_rows IN
        SELECT c.table_name, c.condition, v_held[c.ordinality] AS held
        FROM @extschema@._gravity_memory_erasure_catalogue() WITH ORDINALITY AS c ORDER BY c.ordinality
    LOOP
        IF v_rows.table_name = 'memory_arc_locks'
           AND EXISTS (SELECT FROM pg_trigger AS t
                       WHERE t.tgrelid = '@extschema@.memory_arc_locks'::regclass AND t.tgname = 'trigger_arc_totals_at_commit') THEN
            -- What triggers put off to the commit writes locks and events: it is done now, and put off again for the rest of the
            -- transaction.
            SET CONSTRAINTS @extschema@.trigger_arc_totals_at_commit IMMEDIATE;
            SET CONSTRAINTS @extschema@.trigger_arc_totals_at_commit DEFERRED;
        END IF;
        EXECUTE format('DELETE FROM %s WHERE %s', @extschema@._gravity_memory_qualified_name(v_rows.table_name), v_rows.condition)
        USING p_user_id;
        GET DIAGNOSTICS v_deleted = ROW_COUNT;
        table_name := v_rows.table_name;
        -- What others committed since it was counted is gone as well; locks and events are also written by the deletion itself.
        removed := CASE WHEN v_rows.table_name IN ('memory_arc_locks', 'memory_events') THEN v_rows.held
                        ELSE GREATEST(v_rows.held, v_deleted) END;
        IF v_rows.table_name = 'memory_postings' AND v_memory_ids <> '{}' THEN
            DELETE FROM @extschema@.memory_postings AS p WHERE p.memory_id = ANY (v_memory_ids);
            GET DIAGNOSTICS v_stray = ROW_COUNT;
            removed := removed + v_stray;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$gravity_memory_forget_user$;

COMMENT ON FUNCTION @extschema@.gravity_memory_forget_user(text) IS
    'Removes every trace of a user from the tables of gravity_memory; returns one row per table with the number of rows removed.

In the caller''s transaction. What somebody writes for the user meanwhile stays: stop the user''s writers first.
Out of its reach are other tables of the application, backups, WAL, the server''s log, dead rows until VACUUM,
and settings.
Errors: 22004 for NULL; 55000 when a table is missing; 42501 for who may not delete all of it; 23503 when a
table of the application still refers to a memory. Nothing is removed then.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_forget_user(text) FROM PUBLIC;
