-- _gravity_memory_unsettle_arcs(p_arc_ids): notes that arcs' members changed, for _gravity_memory_settle_arc_totals().
--
-- When a hundred arcs wait they are all recounted, so that the note stays short however many arcs a transaction touches.
CREATE FUNCTION @extschema@._gravity_memory_unsettle_arcs(p_arc_ids uuid[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_unsettle_arcs$
DECLARE
    v_state CONSTANT jsonb := COALESCE(NULLIF(current_setting('gravity_memory.arc_totals', true), '')::jsonb, '{}');
    v_waiting jsonb := COALESCE(v_state -> 'waiting', '{}');
BEGIN
    SELECT v_waiting || jsonb_object_agg(k.arc_id, COALESCE((v_waiting ->> k.arc_id::text)::bigint, 0) + k.changes)
    INTO v_waiting
    FROM (SELECT u.arc_id, count(*) AS changes FROM unnest(p_arc_ids) AS u (arc_id) GROUP BY u.arc_id) AS k;
    IF v_waiting IS NULL THEN
        RETURN;
    END IF;
    PERFORM set_config('gravity_memory.arc_totals',
                       jsonb_build_object('writes', COALESCE((v_state ->> 'writes')::bigint, 0), 'waiting', v_waiting)::text, true);
    IF (SELECT count(*) FROM jsonb_object_keys(v_waiting)) > 100 THEN
        PERFORM @extschema@._gravity_memory_settle_arc_totals(true);
    END IF;
END
$_gravity_memory_unsettle_arcs$;

COMMENT ON FUNCTION @extschema@._gravity_memory_unsettle_arcs(uuid[]) IS
    'Notes, for this transaction, that the members of arcs changed; an arc named twice counts two changes.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_unsettle_arcs(uuid[]) FROM PUBLIC;
