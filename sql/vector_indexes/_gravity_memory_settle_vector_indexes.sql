-- _gravity_memory_settle_vector_indexes(): gives the indexes on embedding the names that they are to have.
--
-- A successor that serves takes the name of the index; what is replaced, invalid or not wanted any more is renamed to a name that ends in
-- its own oid, by which gravity_memory_vector_index_ddl() drops it. So whatever became of the indexes between writing down a
-- DROP and running it, it never meets one that somebody has built since. Renaming blocks neither readers nor writers, and happens
-- only while nobody builds or drops an index of gravity_map: that is what the lock is for, which writers do not notice either.
-- Returns the new names. Errors: 55P03 when another session builds or drops an index, or vacuums, for more than five seconds.
CREATE FUNCTION @extschema@._gravity_memory_settle_vector_indexes()
RETURNS SETOF text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '5s'
AS $_gravity_memory_settle_vector_indexes$
DECLARE
    v_index record;
BEGIN
    BEGIN
        LOCK TABLE @extschema@.gravity_map IN SHARE UPDATE EXCLUSIVE MODE;
    EXCEPTION WHEN lock_not_available THEN
        RAISE EXCEPTION 'gravity_map is being indexed or vacuumed by another session'
            USING ERRCODE = 'lock_not_available',
                  HINT = 'Wait for it: pg_stat_progress_create_index and pg_stat_progress_vacuum show how far it is.';
    END;
    -- In this order: a name is given up before it is taken.
    FOR v_index IN
        SELECT r.index_oid::regclass AS index, r.new_name
        FROM @extschema@._gravity_memory_vector_index_states() AS s
        CROSS JOIN LATERAL (VALUES
            (1, s.successor_oid, s.index_name || '_old_' || s.successor_oid, s.index_serves OR NOT s.successor_serves),
            (2, s.index_oid, s.index_name || '_old_' || s.index_oid,
             NOT (s.is_valid AND s.is_wanted) OR (s.successor_serves AND NOT s.index_serves)),
            (3, s.successor_oid, s.index_name, s.successor_serves AND NOT s.index_serves)
        ) AS r (step, index_oid, new_name, is_due)
        WHERE r.is_due AND r.index_oid IS NOT NULL
        ORDER BY r.step
    LOOP
        EXECUTE format('ALTER INDEX %s RENAME TO %I', v_index.index, v_index.new_name);
        RETURN QUERY SELECT v_index.new_name;
    END LOOP;
END
$_gravity_memory_settle_vector_indexes$;

COMMENT ON FUNCTION @extschema@._gravity_memory_settle_vector_indexes() IS
    'Renames the indexes on embedding: a finished successor takes its place, what is of no use is set aside to be dropped.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_settle_vector_indexes() FROM PUBLIC;
