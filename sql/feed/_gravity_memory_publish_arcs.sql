-- _gravity_memory_publish_arcs(): trigger function, AFTER INSERT, UPDATE and DELETE on memory_arcs, once per statement.
--
-- Records arc_created, arc_updated and arc_deleted in memory_events while the setting feed or notify asks for it, with the arc's columns. An arc is
-- updated when its totals change, at most once per statement that changes them. SECURITY DEFINER and faults as in
-- _gravity_memory_publish_memories().
CREATE FUNCTION @extschema@._gravity_memory_publish_arcs()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_publish_arcs$
DECLARE
    v_settings CONSTANT jsonb := @extschema@._gravity_memory_effective_settings();
    v_wakes boolean;
BEGIN
    IF TG_RELID IS DISTINCT FROM to_regclass('@extschema@.memory_arcs') THEN
        RAISE WARNING 'gravity_memory: % keeps what belongs to memory_arcs and does nothing for another table', TG_NAME;
        RETURN NULL;
    END IF;
    IF NOT @extschema@._gravity_memory_records_events(v_settings) THEN
        RETURN NULL;
    END IF;
    v_wakes := v_settings ->> 'notify' <> 'off';
    BEGIN
        IF NOT @extschema@._gravity_memory_may_write_events() THEN
            RETURN NULL;
        END IF;
        IF TG_OP = 'DELETE' THEN
            INSERT INTO @extschema@.memory_events (user_id, event, subject_id, payload, wakes)
            SELECT o.user_id, 'arc_deleted', o.id, jsonb_build_object('id', o.id, 'user_id', o.user_id),
                   v_wakes AND row_number() OVER () = 1
            FROM old_rows AS o;
        ELSE
            INSERT INTO @extschema@.memory_events (user_id, event, subject_id, payload, wakes)
            SELECT n.user_id, CASE TG_OP WHEN 'INSERT' THEN 'arc_created' ELSE 'arc_updated' END, n.id,
                   jsonb_build_object(
                       'id', n.id, 'user_id', n.user_id, 'arc_name', n.arc_name, 'emotion_type', n.emotion_type,
                       'gravity_center', n.gravity_center, 'evolution_stage', n.evolution_stage, 'memory_count', n.memory_count,
                       'peak_gravity', n.peak_gravity, 'growth_vector', n.growth_vector, 'first_memory_at', n.first_memory_at,
                       'last_memory_at', n.last_memory_at, 'created_at', n.created_at, 'updated_at', n.updated_at),
                   v_wakes AND row_number() OVER () = 1
            FROM new_rows AS n;
        END IF;
    EXCEPTION WHEN OTHERS THEN
        RAISE WARNING 'gravity_memory: no events were recorded (% on memory_arcs): %', TG_OP, SQLERRM
            USING ERRCODE = SQLSTATE, HINT = 'The arcs are stored. Readers of the feed are told to start anew.';
        BEGIN
            PERFORM @extschema@._gravity_memory_break_feed('events of arcs could not be recorded');
        EXCEPTION WHEN OTHERS THEN
            RAISE WARNING 'gravity_memory: readers of the feed could not be told that it misses events: %', SQLERRM
                USING ERRCODE = SQLSTATE, HINT = 'Run SELECT * FROM gravity_memory_setup().';
        END;
    END;
    RETURN NULL;
END
$_gravity_memory_publish_arcs$;

COMMENT ON FUNCTION @extschema@._gravity_memory_publish_arcs() IS
    'Trigger function: records what happens to arcs in memory_events, where settings ask for it.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_publish_arcs() FROM PUBLIC;
