-- _gravity_memory_begin_rebuild(p_batch_size, p_user_id, p_everything): notes what gravity_memory_rebuild_recall() has to work off.
--
-- Returns how many users are noted. Errors: 22023 for a batch size outside 1..100000, for a user together with
-- p_everything; 42501 when row security is in force for the caller: what is not seen would be taken for gone.
CREATE FUNCTION @extschema@._gravity_memory_begin_rebuild(p_batch_size integer, p_user_id text, p_everything boolean)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_begin_rebuild$
BEGIN
    IF p_batch_size IS NULL OR p_batch_size NOT BETWEEN 1 AND 100000 THEN
        RAISE EXCEPTION 'gravity_memory_rebuild_recall(): p_batch_size must be from 1 to 100000, not %',
            COALESCE(p_batch_size::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'The rows of one batch are locked against changes until it commits: some hundred are a few milliseconds.';
    END IF;
    IF p_everything AND p_user_id IS NOT NULL THEN
        RAISE EXCEPTION 'gravity_memory_rebuild_recall(): p_user_id and p_everything exclude each other'
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Name a user, or ask for everything.';
    END IF;
    IF row_security_active('@extschema@.gravity_map') THEN
        RAISE EXCEPTION 'gravity_memory_rebuild_recall(): row security hides memories from %', current_user
            USING ERRCODE = 'insufficient_privilege',
                  HINT = 'Run it as the owner of gravity_map, or, where row security is forced on the owner, as a role with BYPASSRLS.';
    END IF;
    IF p_user_id IS NOT NULL THEN
        PERFORM @extschema@._gravity_memory_note_recall_gaps(ARRAY[p_user_id]);
    END IF;
    IF p_everything THEN
        PERFORM @extschema@._gravity_memory_note_recall_gaps(NULL);
    END IF;
    -- The note that stands for everyone becomes one note per user, so that each is quick again as soon as its own is worked off.
    -- Users of whom only derived rows are left are among them.
    IF EXISTS (SELECT FROM @extschema@.memory_recall_gaps AS g WHERE g.is_every_user) THEN
        PERFORM @extschema@._gravity_memory_note_recall_gaps(ARRAY(
            SELECT m.user_id::text FROM @extschema@.gravity_map AS m
            UNION
            SELECT d.user_id FROM @extschema@.memory_digests AS d));
        DELETE FROM @extschema@.memory_recall_gaps AS g WHERE g.is_every_user;
    END IF;
    RETURN (SELECT count(*) FROM @extschema@.memory_recall_gaps AS g WHERE g.user_id = p_user_id OR p_user_id IS NULL);
END
$_gravity_memory_begin_rebuild$;

COMMENT ON FUNCTION @extschema@._gravity_memory_begin_rebuild(integer, text, boolean) IS
    'Notes the users whose derived rows a rebuild has to make anew, and returns how many they are.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_begin_rebuild(integer, text, boolean) FROM PUBLIC;
