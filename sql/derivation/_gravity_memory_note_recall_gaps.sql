-- _gravity_memory_note_recall_gaps(p_user_ids, p_only_missing): notes users whose derived rows may be wrong; NULL is everyone.
--
-- Until CALL gravity_memory_rebuild_recall() has worked the note off, recall looks at all of the user's memories: slower, and complete.
-- p_only_missing says that what is derived is right, and the rebuild has but to add what is not there; it holds only as long as nothing else
-- is noted of the user.
CREATE FUNCTION @extschema@._gravity_memory_note_recall_gaps(p_user_ids text[], p_only_missing boolean DEFAULT false)
RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_note_recall_gaps$
    -- The time is renewed, so that a rebuild that is about to strike the user off sees that there is something new to do.
    INSERT INTO @extschema@.memory_recall_gaps AS g (user_id, is_every_user, noted_at, only_missing)
    SELECT u.user_id, false, clock_timestamp(), p_only_missing
    FROM (SELECT DISTINCT i.user_id FROM unnest(p_user_ids) AS i (user_id) WHERE i.user_id IS NOT NULL ORDER BY i.user_id) AS u
    UNION ALL
    SELECT '', true, clock_timestamp(), false WHERE p_user_ids IS NULL
    ON CONFLICT (user_id, is_every_user) DO UPDATE
        SET noted_at = EXCLUDED.noted_at, only_missing = g.only_missing AND EXCLUDED.only_missing
$_gravity_memory_note_recall_gaps$;

COMMENT ON FUNCTION @extschema@._gravity_memory_note_recall_gaps(text[], boolean) IS
    'Notes users whose derived rows recall must not rely on.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_note_recall_gaps(text[], boolean) FROM PUBLIC;
