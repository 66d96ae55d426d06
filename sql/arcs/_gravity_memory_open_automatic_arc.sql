-- _gravity_memory_open_automatic_arc(p_user_id, p_emotion_type, p_gravity): makes the automatic arc of a new cluster.
--
-- It starts forming, at the mean gravity of its first members, which is what the notification arc_created tells. The caller holds the
-- cluster's lock and saw no open arc; behind it stands the unique index idx_memory_arcs_open_automatic, and an arc that the
-- caller's snapshot cannot see (REPEATABLE READ) is an error here, which trigger_arc_building() turns into a WARNING.
-- An arc is automatic when its name is '<emotion> arc (auto-created)' (spec): renaming it makes it the application's own.
CREATE FUNCTION @extschema@._gravity_memory_open_automatic_arc(p_user_id text, p_emotion_type text, p_gravity double precision)
RETURNS uuid
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_open_automatic_arc$
DECLARE
    v_arc_id uuid;
BEGIN
    INSERT INTO @extschema@.memory_arcs
        (user_id, arc_name, emotion_type, gravity_center, evolution_stage, memory_count, created_at, updated_at)
    VALUES (p_user_id, p_emotion_type || ' arc (auto-created)', p_emotion_type, p_gravity, 'forming', 0, now(), now())
    ON CONFLICT DO NOTHING
    RETURNING id INTO STRICT v_arc_id;
    RETURN v_arc_id;
END
$_gravity_memory_open_automatic_arc$;

COMMENT ON FUNCTION @extschema@._gravity_memory_open_automatic_arc(text, text, double precision) IS
    'Creates the automatic arc of a user and emotion and returns its id.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_open_automatic_arc(text, text, double precision) FROM PUBLIC;
