-- _gravity_memory_lock_cluster(p_user_id, p_emotion_type): makes writers of one user and emotion take turns until they commit.
--
-- Without it three concurrent inserts would each see one memory, and no arc would form. A row lock, not an advisory lock: a bulk
-- insert may touch thousands of clusters, and advisory locks would exhaust the shared lock table for everyone.
CREATE FUNCTION @extschema@._gravity_memory_lock_cluster(p_user_id text, p_emotion_type text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_lock_cluster$
BEGIN
    PERFORM FROM @extschema@.memory_arc_locks AS l
    WHERE l.user_id = p_user_id AND l.emotion_type = p_emotion_type
    FOR UPDATE;
    IF NOT FOUND THEN
        -- A conflicting insert waits here for the transaction that made the row, which is the turn-taking wanted.
        INSERT INTO @extschema@.memory_arc_locks (user_id, emotion_type)
        VALUES (p_user_id, p_emotion_type)
        ON CONFLICT DO NOTHING;
        PERFORM FROM @extschema@.memory_arc_locks AS l
        WHERE l.user_id = p_user_id AND l.emotion_type = p_emotion_type
        FOR UPDATE;
    END IF;
END
$_gravity_memory_lock_cluster$;

COMMENT ON FUNCTION @extschema@._gravity_memory_lock_cluster(text, text) IS
    'Locks the clusters of one user and emotion until the transaction ends.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_lock_cluster(text, text) FROM PUBLIC;
