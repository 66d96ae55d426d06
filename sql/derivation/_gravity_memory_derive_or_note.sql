-- _gravity_memory_derive_or_note(p_user_ids, p_memory_ids): derives what recall reads, and notes the users of whom some could not be.
--
-- A memory that the owner itself cannot see, or that a trigger removed again or gave to somebody else, is not derived; its user is
-- noted in memory_recall_gaps, so that recall looks at the memories themselves. The arrays are of equal length: whose, and which.
CREATE FUNCTION @extschema@._gravity_memory_derive_or_note(p_user_ids text[], p_memory_ids uuid[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_derive_or_note$
BEGIN
    IF @extschema@._gravity_memory_derive(p_user_ids, p_memory_ids) = cardinality(p_memory_ids) THEN
        RETURN;
    END IF;
    PERFORM @extschema@._gravity_memory_note_recall_gaps(ARRAY(
        SELECT u.user_id
        FROM unnest(p_user_ids, p_memory_ids) AS u (user_id, id)
        WHERE NOT EXISTS (SELECT FROM @extschema@.memory_digests AS d WHERE d.user_id = u.user_id AND d.memory_id = u.id)));
END
$_gravity_memory_derive_or_note$;

COMMENT ON FUNCTION @extschema@._gravity_memory_derive_or_note(text[], uuid[]) IS
    'Writes what recall reads for memories, and notes the users of whom some could not be derived.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_derive_or_note(text[], uuid[]) FROM PUBLIC;
