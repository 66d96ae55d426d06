-- _gravity_memory_examine_cluster(p_user_id, p_emotion_type, p_memory_ids, p_created_ats): brings arcs in line with the memories.
--
-- Near the given places in time (or everywhere, when the arrays are NULL) clustered memories are linked, and memories that are not
-- clustered any more leave the open automatic arc. A closed arc (mature, dormant) is history: it keeps its members while they
-- live. Arcs made by hand are joined and never left.
CREATE FUNCTION @extschema@._gravity_memory_examine_cluster(
    p_user_id text, p_emotion_type text, p_memory_ids uuid[], p_created_ats timestamptz[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_examine_cluster$
DECLARE
    v_clustered uuid[];
    v_unclustered uuid[];
    v_arc record;
    v_joinable_arc_id uuid;
    v_automatic_arc_id uuid;
    v_leaving uuid[];
BEGIN
    PERFORM @extschema@._gravity_memory_lock_cluster(p_user_id, p_emotion_type);

    SELECT array_agg(c.memory_id) FILTER (WHERE c.is_clustered), array_agg(c.memory_id) FILTER (WHERE NOT c.is_clustered)
    INTO v_clustered, v_unclustered
    FROM @extschema@._gravity_memory_clustered_near(p_user_id, p_emotion_type, p_memory_ids, p_created_ats) AS c;

    -- The newest open arc that fits takes new members (spec), be it automatic or made by hand. The lock keeps
    -- gravity_memory_evolve_arcs() from closing an arc before we commit.
    FOR v_arc IN
        SELECT a.id, COALESCE(a.arc_name = a.emotion_type || ' arc (auto-created)', false) AS is_automatic
        FROM @extschema@.memory_arcs AS a
        WHERE a.user_id = p_user_id
          AND a.evolution_stage IN ('forming', 'active')
          AND (a.emotion_type = p_emotion_type
               OR (COALESCE(a.emotion_type, '') = '' AND @extschema@._gravity_memory_names_emotion(a.arc_name, p_emotion_type)))
        ORDER BY a.created_at DESC, a.id DESC
        FOR NO KEY UPDATE
    LOOP
        v_joinable_arc_id := COALESCE(v_joinable_arc_id, v_arc.id);
        IF v_arc.is_automatic THEN
            v_automatic_arc_id := v_arc.id;
        END IF;
    END LOOP;

    IF v_automatic_arc_id IS NOT NULL THEN
        v_leaving := ARRAY(
            SELECT c.id
            FROM (SELECT unnest(p_memory_ids || v_unclustered) AS id
                  UNION ALL
                  SELECT l.memory_id FROM @extschema@.memory_arc_associations AS l
                  WHERE p_memory_ids IS NULL AND l.arc_id = v_automatic_arc_id) AS c
            EXCEPT
            SELECT unnest(v_clustered));
        IF v_leaving <> '{}' THEN
            -- A link that another transaction is removing is left to it: that transaction may be waiting for our locks.
            -- IS TRUE keeps the planner from looking the links up by arc, which may have many.
            DELETE FROM @extschema@.memory_arc_associations AS l
            WHERE l.ctid = ANY (ARRAY(
                SELECT k.ctid
                FROM @extschema@.memory_arc_associations AS k
                WHERE k.memory_id = ANY (v_leaving) AND (k.arc_id = v_automatic_arc_id) IS TRUE
                FOR UPDATE SKIP LOCKED));
        END IF;
    END IF;

    IF v_clustered IS NOT NULL THEN
        PERFORM @extschema@._gravity_memory_link_memories(p_user_id, p_emotion_type, v_clustered, v_joinable_arc_id);
    END IF;
END
$_gravity_memory_examine_cluster$;

COMMENT ON FUNCTION @extschema@._gravity_memory_examine_cluster(text, text, uuid[], timestamptz[]) IS
    'Links clustered memories of a user and emotion to their arc and unlinks those that are not clustered any more.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_examine_cluster(text, text, uuid[], timestamptz[]) FROM PUBLIC;
