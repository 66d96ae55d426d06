-- _gravity_memory_unsettle_arcs(p_arc_ids): notes that arcs' members changed, for _gravity_memory_settle_arc_totals().
--
-- An arc named twice counts two changes. The row that is inserted into memory_arc_locks and deleted at once leaves an event behind: the
-- deferred trigger trigger_arc_totals_at_commit recounts the arc when the transaction commits, whatever becomes of the note.
CREATE FUNCTION @extschema@._gravity_memory_unsettle_arcs(p_arc_ids uuid[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_unsettle_arcs$
DECLARE
    v_state jsonb := @extschema@._gravity_memory_unsettled_arcs();
    v_waiting jsonb := COALESCE(v_state -> 'waiting', '{}');
    v_arc record;
BEGIN
    FOR v_arc IN
        SELECT u.arc_id::text AS id, count(*) AS changes FROM unnest(p_arc_ids) AS u (arc_id) GROUP BY u.arc_id ORDER BY u.arc_id
    LOOP
        IF NOT v_waiting ? v_arc.id THEN
            INSERT INTO @extschema@.memory_arc_locks (user_id, emotion_type) VALUES (v_arc.id, '') ON CONFLICT DO NOTHING;
            DELETE FROM @extschema@.memory_arc_locks AS l WHERE l.user_id = v_arc.id AND l.emotion_type = '';
            v_waiting := v_waiting || jsonb_build_object(v_arc.id, jsonb_build_object('changes', 0, 'members', COALESCE(
                (SELECT a.memory_count FROM @extschema@.memory_arcs AS a WHERE a.id = v_arc.id::uuid), 0)));
        END IF;
        v_waiting := jsonb_set(v_waiting, ARRAY[v_arc.id, 'changes'],
                               to_jsonb((v_waiting #>> ARRAY[v_arc.id, 'changes'])::bigint + v_arc.changes));
    END LOOP;
    -- Read again: under SET CONSTRAINTS IMMEDIATE the trigger has run.
    v_state := @extschema@._gravity_memory_unsettled_arcs();
    PERFORM set_config('gravity_memory.arc_totals', (v_state || jsonb_build_object('waiting', v_waiting))::text, true);
END
$_gravity_memory_unsettle_arcs$;

COMMENT ON FUNCTION @extschema@._gravity_memory_unsettle_arcs(uuid[]) IS
    'Notes, for this transaction, that the members of arcs changed.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_unsettle_arcs(uuid[]) FROM PUBLIC;
