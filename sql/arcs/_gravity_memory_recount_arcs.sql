-- _gravity_memory_recount_arcs(p_arc_ids): computes the totals of arcs from their members.
--
-- Totals are memory_count, gravity_center (mean), peak_gravity, first_memory_at and last_memory_at. An automatic arc without members
-- is deleted; one made by hand stays, with memory_count 0. The arcs are locked first, so that the members counted
-- include those of writers we had to wait for.
CREATE FUNCTION @extschema@._gravity_memory_recount_arcs(p_arc_ids uuid[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_recount_arcs$
BEGIN
    PERFORM FROM @extschema@.memory_arcs AS a WHERE a.id = ANY (p_arc_ids) ORDER BY a.id FOR NO KEY UPDATE;

    UPDATE @extschema@.memory_arcs AS a
    SET memory_count = t.memory_count,
        gravity_center = COALESCE(t.gravity_center, a.gravity_center),
        peak_gravity = t.peak_gravity,
        first_memory_at = t.first_memory_at,
        last_memory_at = t.last_memory_at,
        updated_at = now()
    FROM (
        SELECT k.arc_id, count(m.id)::integer AS memory_count,
               avg(m.gravity_score) FILTER (WHERE m.gravity_score < 'Infinity') AS gravity_center,
               max(m.gravity_score) FILTER (WHERE m.gravity_score < 'Infinity') AS peak_gravity,
               min(m.created_at) AS first_memory_at, max(m.created_at) AS last_memory_at
        FROM unnest(p_arc_ids) AS k (arc_id)
        -- OFFSET 0 keeps these lookups; see _gravity_memory_link_memories.
        LEFT JOIN LATERAL (SELECT t.memory_id FROM @extschema@.memory_arc_associations AS t WHERE t.arc_id = k.arc_id OFFSET 0) AS l
               ON true
        LEFT JOIN LATERAL (SELECT g.id, g.gravity_score, g.created_at FROM @extschema@.gravity_map AS g WHERE g.id = l.memory_id OFFSET 0) AS m
               ON true
        GROUP BY k.arc_id
    ) AS t
    WHERE a.id = t.arc_id
      AND (a.memory_count, a.gravity_center, a.peak_gravity, a.first_memory_at, a.last_memory_at) IS DISTINCT FROM
          (t.memory_count, COALESCE(t.gravity_center, a.gravity_center), t.peak_gravity, t.first_memory_at, t.last_memory_at);

    DELETE FROM @extschema@.memory_arcs AS a
    WHERE a.id = ANY (p_arc_ids)
      AND a.memory_count = 0
      AND a.arc_name = a.emotion_type || ' arc (auto-created)';
END
$_gravity_memory_recount_arcs$;

COMMENT ON FUNCTION @extschema@._gravity_memory_recount_arcs(uuid[]) IS
    'Recomputes the totals of arcs from their members; an automatic arc that has none left is deleted.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_recount_arcs(uuid[]) FROM PUBLIC;
