-- _gravity_memory_keep_arc_totals(): trigger function, AFTER INSERT, UPDATE, DELETE and TRUNCATE on memory_arc_associations, per statement.
--
-- Whoever links or unlinks a memory, the application included, the arc's totals follow. New members of an open arc are added to
-- its running mean, so that the cost of a link does not grow with the arc; all else is recounted, and so is an arc made by hand
-- that was never counted before.
-- SECURITY DEFINER, because a writer who may only insert memories links them through trigger_arc_building(), and because deleting a
-- memory cascades here. It writes nothing but totals computed from the tables.
-- A fault is a WARNING: the link, or the deletion of a memory, stands.
CREATE FUNCTION @extschema@._gravity_memory_keep_arc_totals()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $_gravity_memory_keep_arc_totals$
DECLARE
    v_arc record;
    v_state jsonb;
    v_writes bigint;
    v_left uuid[] := '{}'::uuid[];
    v_are_held boolean;
BEGIN
    IF TG_RELID IS DISTINCT FROM to_regclass('@extschema@.memory_arc_associations') THEN
        RAISE WARNING 'gravity_memory: % keeps what belongs to memory_arc_associations and does nothing for another table', TG_NAME;
        RETURN NULL;
    END IF;
    -- An import brings the totals, too.
    IF NOT @extschema@._gravity_memory_may_write_arcs() OR (TG_OP = 'INSERT' AND current_setting('gravity_memory.importing', true) = 'on') THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' THEN
        v_are_held := CASE WHEN pg_trigger_depth() > 1 THEN true
                           ELSE @extschema@._gravity_memory_hold_members(ARRAY(SELECT n.memory_id FROM new_rows AS n)) END;
        FOR v_arc IN
            SELECT n.arc_id, count(*)::integer AS members, count(m.gravity_score) AS weighed, sum(m.gravity_score) AS gravity,
                   max(m.gravity_score) AS peak, min(m.created_at) AS first_at, max(m.created_at) AS last_at
            FROM new_rows AS n
            -- OFFSET 0 keeps this a lookup by id: to statistics gathered during a long load the table is empty, and a join reads it all.
            CROSS JOIN LATERAL (SELECT g.gravity_score, g.created_at FROM @extschema@.gravity_map AS g WHERE g.id = n.memory_id OFFSET 0)
                AS m
            GROUP BY n.arc_id
            ORDER BY n.arc_id
        LOOP
            v_state := @extschema@._gravity_memory_unsettled_arcs();
            v_writes := COALESCE((v_state ->> 'writes')::bigint, 0);
            -- An arc that waits for its recount must not be added to: its count is already behind.
            -- After 100 writes, only small arcs, and those that this transaction has not written yet, are written at once.
            UPDATE @extschema@.memory_arcs AS a
            SET gravity_center = (CASE WHEN a.memory_count > 0 THEN a.gravity_center * a.memory_count ELSE 0 END + v_arc.gravity)
                                 / (COALESCE(a.memory_count, 0) + v_arc.members),
                memory_count = COALESCE(a.memory_count, 0) + v_arc.members,
                peak_gravity = GREATEST(a.peak_gravity, v_arc.peak),
                first_memory_at = LEAST(a.first_memory_at, v_arc.first_at),
                last_memory_at = GREATEST(a.last_memory_at, v_arc.last_at),
                updated_at = now()
            WHERE a.id = v_arc.arc_id AND v_are_held
              -- IS TRUE keeps the planner to the primary key: without statistics it reads all of a partial index instead.
              AND (a.arc_name = a.emotion_type || ' arc (auto-created)' OR (a.memory_count > 0 AND a.first_memory_at IS NOT NULL))
                  IS TRUE
              AND (a.memory_count = 0 OR a.gravity_center IS NOT NULL)
              AND (a.evolution_stage IN ('forming', 'active')) IS TRUE
              AND v_arc.weighed = v_arc.members AND v_arc.gravity < 'Infinity'
              AND NOT COALESCE(v_state -> 'waiting' ? a.id::text, false)
              AND (v_writes < 100 OR a.updated_at <> now() OR a.memory_count < 100);
            IF FOUND THEN
                PERFORM set_config('gravity_memory.arc_totals',
                                   (v_state || jsonb_build_object('writes', v_writes + 1))::text, true);
            ELSE
                v_left := v_left || array_fill(v_arc.arc_id, ARRAY[v_arc.members]);
            END IF;
        END LOOP;
        PERFORM @extschema@._gravity_memory_unsettle_arcs(v_left);
    ELSIF TG_OP = 'TRUNCATE' THEN
        PERFORM @extschema@._gravity_memory_recount_arcs(ARRAY(SELECT a.id FROM @extschema@.memory_arcs AS a WHERE a.memory_count > 0));
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM @extschema@._gravity_memory_unsettle_arcs(ARRAY(SELECT o.arc_id FROM old_rows AS o));
    ELSE
        PERFORM @extschema@._gravity_memory_unsettle_arcs(ARRAY(
            SELECT c.arc_id
            FROM ((SELECT o.memory_id, o.arc_id FROM old_rows AS o EXCEPT SELECT n.memory_id, n.arc_id FROM new_rows AS n)
                  UNION ALL
                  (SELECT n.memory_id, n.arc_id FROM new_rows AS n EXCEPT SELECT o.memory_id, o.arc_id FROM old_rows AS o)) AS c));
    END IF;

    -- Inside another trigger or a cascade there is more to come; whoever is outermost settles, at the latest the commit.
    IF pg_trigger_depth() = 1 THEN
        PERFORM @extschema@._gravity_memory_settle_arc_totals();
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'gravity_memory: the totals of an arc were not updated: %', SQLERRM
        USING ERRCODE = SQLSTATE, HINT = 'Run SELECT gravity_memory_rebuild_arcs(user_id) for the user.';
    RETURN NULL;
END
$_gravity_memory_keep_arc_totals$;

COMMENT ON FUNCTION @extschema@._gravity_memory_keep_arc_totals() IS
    'Trigger function: keeps an arc''s running mean, count, peak and times as its members come and go.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_keep_arc_totals() FROM PUBLIC;
