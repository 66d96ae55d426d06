-- _gravity_memory_note_recall_gaps(p_user_ids): notes users whose derived rows may be wrong; NULL stands for every user.
--
-- Until CALL gravity_memory_rebuild_recall() has worked the note off, recall looks at all of the user's memories: slower, and complete.
CREATE FUNCTION @extschema@._gravity_memory_note_recall_gaps(p_user_ids text[])
RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_note_recall_gaps$
    -- The time is renewed, so that a rebuild that is about to strike the user off sees that there is something new to do.
    INSERT INTO @extschema@.memory_recall_gaps AS g (user_id, is_every_user, noted_at)
    SELECT u.user_id, false, clock_timestamp()
    FROM (SELECT DISTINCT i.user_id FROM unnest(p_user_ids) AS i (user_id) WHERE i.user_id IS NOT NULL ORDER BY i.user_id) AS u
    UNION ALL
    SELECT '', true, clock_timestamp() WHERE p_user_ids IS NULL
    ON CONFLICT (user_id, is_every_user) DO UPDATE SET noted_at = EXCLUDED.noted_at
$_gravity_memory_note_recall_gaps$;

COMMENT ON FUNCTION @extschema@._gravity_memory_note_recall_gaps(text[]) IS
    'Notes users whose derived rows recall must not rely on.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_note_recall_gaps(text[]) FROM PUBLIC;
