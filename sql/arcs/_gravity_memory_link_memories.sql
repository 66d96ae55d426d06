-- _gravity_memory_link_memories(p_user_id, p_emotion_type, p_memory_ids, p_arc_id): links memories to an arc of their emotion.
--
-- p_arc_id is the open arc that they join; NULL makes a new automatic one, if any memory needs it. Memories that an arc of this user
-- and emotion holds already, open or closed, automatic or made by hand, stay where they are. A memory that another transaction
-- holds locked is waited for half a second and then passed over: a transaction that deletes it may be waiting for our locks.
CREATE FUNCTION @extschema@._gravity_memory_link_memories(p_user_id text, p_emotion_type text, p_memory_ids uuid[], p_arc_id uuid)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_link_memories$
DECLARE
    v_memory_ids uuid[];
    v_free uuid[];
    v_gravity double precision;
    v_arc_id uuid;
    v_fusion_strength CONSTANT double precision :=
        (@extschema@._gravity_memory_effective_settings() ->> 'arc_fusion_strength')::double precision;
BEGIN
    -- Links are looked up by memory, never by arc, which may have many; OFFSET 0 keeps them from being joined, because to statistics
    -- gathered during a long load the tables are empty, and a join reads all of them. For links to p_arc_id the arc itself is not
    -- read: in a long transaction it has many dead versions.
    v_memory_ids := ARRAY(
        SELECT g.id
        FROM @extschema@.gravity_map AS g
        WHERE g.id = ANY (p_memory_ids) AND NOT EXISTS (
            SELECT
            FROM @extschema@.memory_arc_associations AS l
            WHERE l.memory_id = g.id
              AND (l.arc_id = p_arc_id
                   OR EXISTS (SELECT
                              FROM @extschema@.memory_arcs AS a
                              WHERE a.id = l.arc_id
                                AND a.user_id = p_user_id
                                AND (a.emotion_type = p_emotion_type
                                     OR (COALESCE(a.emotion_type, '') = ''
                                         AND @extschema@._gravity_memory_names_emotion(a.arc_name, p_emotion_type)))))
            OFFSET 0));
    IF v_memory_ids = '{}' THEN
        RETURN;
    END IF;

    -- Looking again instead of waiting for the lock: a transaction that deletes a memory may be waiting for our cluster's lock, and would
    -- be the one to fall in the deadlock.
    FOR v_attempt IN 1..50 LOOP
        v_free := ARRAY(SELECT g.id FROM @extschema@.gravity_map AS g WHERE g.id = ANY (v_memory_ids) FOR KEY SHARE SKIP LOCKED);
        EXIT WHEN cardinality(v_free) = (SELECT count(*) FROM @extschema@.gravity_map AS g WHERE g.id = ANY (v_memory_ids));
        PERFORM pg_sleep(0.01);
    END LOOP;
    IF v_free = '{}' THEN
        RETURN;
    END IF;
    v_gravity := (SELECT avg(g.gravity_score) FROM @extschema@.gravity_map AS g WHERE g.id = ANY (v_free));

    v_arc_id := COALESCE(p_arc_id, @extschema@._gravity_memory_open_automatic_arc(p_user_id, p_emotion_type, v_gravity));
    INSERT INTO @extschema@.memory_arc_associations (memory_id, arc_id, user_id, fusion_strength, created_at)
    SELECT u.id, v_arc_id, p_user_id, v_fusion_strength, now()
    FROM unnest(v_free) AS u (id)
    ON CONFLICT DO NOTHING;
END
$_gravity_memory_link_memories$;

COMMENT ON FUNCTION @extschema@._gravity_memory_link_memories(text, text, uuid[], uuid) IS
    'Links memories to the open arc of their emotion, or a new one, unless an arc of that emotion holds them already.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_link_memories(text, text, uuid[], uuid) FROM PUBLIC;
