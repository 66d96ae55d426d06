-- trigger_arc_building(): trigger function, AFTER INSERT, UPDATE and DELETE on gravity_map, once per statement.
--
-- Rules (spec): memories of one user and emotion with gravity at or over arc_gravity_threshold, arc_min_memories of them within
-- arc_window, are linked to the open arc of that emotion, or to a new arc '<emotion> arc (auto-created)'. A NULL or NaN gravity and a
-- NULL or empty emotion build nothing. Beyond the spec: the members that stood there before the cluster was complete
-- are linked too, and an UPDATE or DELETE is followed, so that arcs are always what the memories say.
-- Clusters are handled in one order (user, emotion), so that two statements cannot wait for each other; and with plain statements per
-- cluster, because distributed engines refuse to join a transition table with a table.
-- SECURITY DEFINER, because a writer may hold no more than SELECT and INSERT on gravity_map; only the rows that the writer's own
-- privileges and policies let it write get here. A fault is a WARNING: the memories stay as they were written.
CREATE FUNCTION @extschema@.trigger_arc_building()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $trigger_arc_building$
DECLARE
    v_threshold double precision;
    v_cluster record;
    v_changed uuid[];
BEGIN
    IF TG_RELID IS DISTINCT FROM to_regclass('@extschema@.gravity_map') THEN
        RAISE WARNING 'gravity_memory: % keeps what belongs to gravity_map and does nothing for another table', TG_NAME;
        RETURN NULL;
    END IF;
    -- An import brings the arcs, too.
    IF NOT @extschema@._gravity_memory_may_write_arcs() OR (TG_OP = 'INSERT' AND current_setting('gravity_memory.importing', true) = 'on') THEN
        RETURN NULL;
    END IF;
    -- Not in DECLARE: what fails there is not caught below, and the insert would fail with it.
    v_threshold := (@extschema@._gravity_memory_effective_settings() ->> 'arc_gravity_threshold')::double precision;

    IF TG_OP = 'INSERT' THEN
        FOR v_cluster IN
            SELECT n.user_id, n.emotion_type, array_agg(n.id) AS memory_ids, array_agg(n.created_at) AS created_ats
            FROM new_rows AS n
            WHERE n.gravity_score >= v_threshold AND n.gravity_score < 'Infinity' AND n.emotion_type <> ''
              AND n.user_id IS NOT NULL AND n.created_at IS NOT NULL
            GROUP BY n.user_id, n.emotion_type
            ORDER BY n.user_id, n.emotion_type
        LOOP
            PERFORM @extschema@._gravity_memory_examine_cluster(
                v_cluster.user_id, v_cluster.emotion_type, v_cluster.memory_ids, v_cluster.created_ats);
        END LOOP;
    ELSIF TG_OP = 'DELETE' THEN
        FOR v_cluster IN
            SELECT o.user_id, o.emotion_type, array_agg(o.id) AS memory_ids, array_agg(o.created_at) AS created_ats
            FROM old_rows AS o
            WHERE o.gravity_score >= v_threshold AND o.gravity_score < 'Infinity' AND o.emotion_type <> ''
              AND o.user_id IS NOT NULL AND o.created_at IS NOT NULL
            GROUP BY o.user_id, o.emotion_type
            ORDER BY o.user_id, o.emotion_type
        LOOP
            PERFORM @extschema@._gravity_memory_examine_cluster(
                v_cluster.user_id, v_cluster.emotion_type, v_cluster.memory_ids, v_cluster.created_ats);
        END LOOP;
    ELSE
        -- A changed gravity makes the cluster take its turn, too, even where membership stays: an insert beside it adds to the
        -- running mean. Set differences instead of a join on id: the plan is cached, and a nested loop over two large
        -- transition tables would be quadratic.
        FOR v_cluster IN
            WITH old_state AS (
                SELECT o.user_id, o.emotion_type, o.id, o.created_at, o.gravity_score
                FROM old_rows AS o
                WHERE o.gravity_score >= v_threshold AND o.gravity_score < 'Infinity' AND o.emotion_type <> ''
                  AND o.user_id IS NOT NULL AND o.created_at IS NOT NULL
            ), new_state AS (
                SELECT n.user_id, n.emotion_type, n.id, n.created_at, n.gravity_score
                FROM new_rows AS n
                WHERE n.gravity_score >= v_threshold AND n.gravity_score < 'Infinity' AND n.emotion_type <> ''
                  AND n.user_id IS NOT NULL AND n.created_at IS NOT NULL
            )
            SELECT c.user_id, c.emotion_type, array_agg(c.id) AS memory_ids, array_agg(c.created_at) AS created_ats
            FROM ((TABLE old_state EXCEPT TABLE new_state) UNION ALL (TABLE new_state EXCEPT TABLE old_state)) AS c
            GROUP BY c.user_id, c.emotion_type
            ORDER BY c.user_id, c.emotion_type
        LOOP
            PERFORM @extschema@._gravity_memory_examine_cluster(
                v_cluster.user_id, v_cluster.emotion_type, v_cluster.memory_ids, v_cluster.created_ats);
        END LOOP;
        -- After the clusters are locked, because an insert locks the cluster first and the arc second.
        v_changed := ARRAY(
            SELECT c.id
            FROM (SELECT n.id, n.gravity_score, n.created_at FROM new_rows AS n
                  EXCEPT
                  SELECT o.id, o.gravity_score, o.created_at FROM old_rows AS o) AS c);
        IF v_changed <> '{}' THEN
            PERFORM @extschema@._gravity_memory_recount_arcs(ARRAY(
                SELECT DISTINCT l.arc_id
                FROM unnest(v_changed) AS c (id)
                CROSS JOIN LATERAL (SELECT a.arc_id FROM @extschema@.memory_arc_associations AS a WHERE a.memory_id = c.id OFFSET 0) AS l));
        END IF;
    END IF;
    PERFORM @extschema@._gravity_memory_settle_arc_totals();
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'gravity_memory: the arcs were not updated after an % on gravity_map: %', TG_OP, SQLERRM
        USING ERRCODE = SQLSTATE,
              HINT = 'The memories are stored. Run SELECT gravity_memory_rebuild_arcs(user_id) for the users concerned.';
    RETURN NULL;
END
$trigger_arc_building$;

COMMENT ON FUNCTION @extschema@.trigger_arc_building() IS
    'Trigger function: links clustered memories of high gravity to arcs, once per statement, and follows updates and deletes.

Memories of one user and emotion with a gravity of at least arc_gravity_threshold, arc_min_memories of them
within arc_window, join the open arc of that emotion, or a new one. Runs with the rights of the owner of the
memories. A fault is a WARNING, and the memories are stored.';
REVOKE EXECUTE ON FUNCTION @extschema@.trigger_arc_building() FROM PUBLIC;
