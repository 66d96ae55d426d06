-- _gravity_memory_fill_recall(): derives what recall reads from all memories at once, in this transaction.
--
-- For setup, on tables small enough; gravity_memory_rebuild_recall() does the same in batches. It blocks writers meanwhile, so that no
-- row has to be locked: a lock is written into the row, and adoption leaves the rows of the application as they are.
CREATE FUNCTION @extschema@._gravity_memory_fill_recall()
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $_gravity_memory_fill_recall$
DECLARE
    v_gap record;
BEGIN
    LOCK TABLE @extschema@.gravity_map IN SHARE ROW EXCLUSIVE MODE;
    PERFORM @extschema@._gravity_memory_begin_rebuild(1, NULL, true);
    -- All of it, also what was left of memories that are gone.
    DELETE FROM @extschema@.memory_digests;
    DELETE FROM @extschema@.memory_postings;
    FOR v_gap IN
        SELECT n.user_id, n.memory_ids
        FROM @extschema@.memory_recall_gaps AS g
        CROSS JOIN LATERAL @extschema@._gravity_memory_next_recall_gap(NULL, g.user_id) AS n
    LOOP
        PERFORM @extschema@._gravity_memory_derive(
            array_fill(v_gap.user_id, ARRAY[cardinality(v_gap.memory_ids)]), v_gap.memory_ids);
    END LOOP;
    DELETE FROM @extschema@.memory_recall_gaps;
END
$_gravity_memory_fill_recall$;

COMMENT ON FUNCTION @extschema@._gravity_memory_fill_recall() IS
    'Derives what recall reads from all memories at once.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_fill_recall() FROM PUBLIC;
