-- _gravity_memory_derive_batch(p_user_id, p_noted_at, p_memory_ids, p_done, p_batch_size, p_passed_over): one step of a rebuild.
--
-- Derives the p_batch_size memories after the first p_done of p_memory_ids. When these are done, comes back to the memories passed
-- over, one at a time, and waits for each: a transaction that holds one lock at a time takes part in no deadlock. When there is
-- nothing left, removes derived rows that have no memory and strikes the user off, unless it was noted again meanwhile.
-- Returns how far it is, what is passed over, and whether the user is finished. The caller commits after each step.
CREATE FUNCTION @extschema@._gravity_memory_derive_batch(
    p_user_id text, p_noted_at timestamptz, p_memory_ids uuid[], p_batch_size integer,
    INOUT p_done integer, INOUT p_passed_over uuid[], OUT is_finished boolean)
RETURNS record
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_derive_batch$
DECLARE
    v_orphans uuid[];
BEGIN
    is_finished := false;
    IF p_done < cardinality(p_memory_ids) THEN
        p_passed_over := p_passed_over || @extschema@._gravity_memory_derive_memories(
            p_user_id, p_memory_ids[p_done + 1 : p_done + p_batch_size], false);
        p_done := LEAST(p_done + p_batch_size, cardinality(p_memory_ids));
    ELSIF p_passed_over <> '{}' THEN
        PERFORM @extschema@._gravity_memory_derive_memories(p_user_id, p_passed_over[1:1], true);
        p_passed_over := p_passed_over[2:];
    END IF;
    IF p_done < cardinality(p_memory_ids) OR p_passed_over <> '{}' THEN
        RETURN;
    END IF;

    v_orphans := ARRAY(
        SELECT d.memory_id
        FROM @extschema@.memory_digests AS d
        WHERE d.user_id = p_user_id
          AND NOT EXISTS (SELECT FROM @extschema@.gravity_map AS m WHERE m.id = d.memory_id AND m.user_id = p_user_id));
    PERFORM @extschema@._gravity_memory_forget_derived(array_fill(p_user_id, ARRAY[cardinality(v_orphans)]), v_orphans);
    DELETE FROM @extschema@.memory_recall_gaps AS g
    WHERE g.user_id = p_user_id AND NOT g.is_every_user AND g.noted_at = p_noted_at;
    is_finished := true;
END
$_gravity_memory_derive_batch$;

COMMENT ON FUNCTION @extschema@._gravity_memory_derive_batch(text, timestamptz, uuid[], integer, integer, uuid[]) IS
    'One step of gravity_memory_rebuild_recall(): derives a batch of a user''s memories, or finishes the user.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_derive_batch(text, timestamptz, uuid[], integer, integer, uuid[])
    FROM PUBLIC;
