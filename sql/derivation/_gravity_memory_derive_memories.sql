-- _gravity_memory_derive_memories(p_user_id, p_memory_ids, p_wait): derives what recall reads, for memories that are there already.
--
-- Locks each row against changes, not against reading, for the moment of one batch, so that what was derived from an older version never
-- overwrites what a trigger derived from a newer one, and two rebuilds never derive the same memory at a time (FOR SHARE would let
-- them); who only refers to the memory does not notice. Without p_wait, rows that another transaction is changing are passed over:
-- waiting for several of them could deadlock.
-- Returns the memories it passed over, which have to be tried again. Memories that are gone are left out.
CREATE FUNCTION @extschema@._gravity_memory_derive_memories(p_user_id text, p_memory_ids uuid[], p_wait boolean)
RETURNS uuid[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $_gravity_memory_derive_memories$
DECLARE
    v_locked uuid[];
    v_user_ids text[];
BEGIN
    IF p_wait THEN
        v_locked := ARRAY(SELECT m.id FROM @extschema@.gravity_map AS m
                          WHERE m.id = ANY (p_memory_ids) AND m.user_id = p_user_id
                          FOR NO KEY UPDATE);
    ELSE
        v_locked := ARRAY(SELECT m.id FROM @extschema@.gravity_map AS m
                          WHERE m.id = ANY (p_memory_ids) AND m.user_id = p_user_id
                          FOR NO KEY UPDATE SKIP LOCKED);
    END IF;

    v_user_ids := array_fill(p_user_id, ARRAY[cardinality(v_locked)]);
    PERFORM @extschema@._gravity_memory_forget_derived(v_user_ids, v_locked);
    BEGIN
        PERFORM @extschema@._gravity_memory_derive(v_user_ids, v_locked);
    EXCEPTION WHEN unique_violation THEN
        -- Postings whose digests were removed by hand: only a look at all postings finds them.
        DELETE FROM @extschema@.memory_postings AS p WHERE p.memory_id = ANY (v_locked);
        PERFORM @extschema@._gravity_memory_derive(v_user_ids, v_locked);
    END;

    RETURN ARRAY(
        SELECT m.id FROM @extschema@.gravity_map AS m
        WHERE NOT p_wait AND m.id = ANY (p_memory_ids) AND m.user_id = p_user_id
        EXCEPT
        SELECT l.id FROM unnest(v_locked) AS l (id));
END
$_gravity_memory_derive_memories$;

COMMENT ON FUNCTION @extschema@._gravity_memory_derive_memories(text, uuid[], boolean) IS
    'Derives what recall reads from memories that are there already, and returns those it has to come back to.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_derive_memories(text, uuid[], boolean) FROM PUBLIC;
