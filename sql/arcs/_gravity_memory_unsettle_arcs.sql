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
    v_waiting CONSTANT jsonb := COALESCE(v_state -> 'waiting', '{}');
    v_changed jsonb;
    v_fresh text[];
BEGIN
    -- The note is written once for all arcs: adding them one by one would copy it for each.
    SELECT jsonb_object_agg(c.id, jsonb_build_object(
               'changes', COALESCE((v_waiting -> c.id ->> 'changes')::bigint, 0) + c.changes,
               'members', COALESCE((v_waiting -> c.id ->> 'members')::bigint,
                                   (SELECT a.memory_count FROM @extschema@.memory_arcs AS a WHERE a.id = c.id::uuid), 0))),
           array_agg(c.id ORDER BY c.id) FILTER (WHERE NOT v_waiting ? c.id)
    INTO v_changed, v_fresh
    FROM (SELECT u.arc_id::text AS id, count(*) AS changes FROM unnest(p_arc_ids) AS u (arc_id) GROUP BY u.arc_id) AS c;
    IF v_changed IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO @extschema@.memory_arc_locks (user_id, emotion_type)
    SELECT f.id, '' FROM unnest(v_fresh) AS f (id)
    ON CONFLICT DO NOTHING;
    DELETE FROM @extschema@.memory_arc_locks AS l WHERE l.user_id = ANY (v_fresh) AND l.emotion_type = '';
    -- Read again: under SET CONSTRAINTS IMMEDIATE the trigger has run.
    v_state := @extschema@._gravity_memory_unsettled_arcs();
    PERFORM set_config('gravity_memory.arc_totals', (v_state || jsonb_build_object('waiting', v_waiting || v_changed))::text, true);
END
$_gravity_memory_unsettle_arcs$;

COMMENT ON FUNCTION @extschema@._gravity_memory_unsettle_arcs(uuid[]) IS
    'Notes, for this transaction, that the members of arcs changed.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_unsettle_arcs(uuid[]) FROM PUBLIC;
