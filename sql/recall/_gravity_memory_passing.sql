-- _gravity_memory_passing(p_user_id, p_filters, p_memory_ids, p_most): which of these memories of a user pass the filters of a recall.
--
-- p_memory_ids NULL: all of the user's memories. Returns at most p_most (NULL: all) of them, in the order given.
CREATE FUNCTION @extschema@._gravity_memory_passing(p_user_id text, p_filters jsonb, p_memory_ids uuid[], p_most integer)
RETURNS uuid[]
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $_gravity_memory_passing$
DECLARE
    v_conditions CONSTANT text := (SELECT string_agg(' AND ' || c.condition, '')
                                   FROM @extschema@._gravity_memory_recall_conditions(p_filters) AS c);
    v_passing uuid[];
BEGIN
    IF p_memory_ids IS NULL THEN
        EXECUTE 'SELECT array_agg(p.id) FROM (SELECT m.id FROM @extschema@.gravity_map AS m WHERE m.user_id = $1'
                || v_conditions || ' LIMIT $2) AS p'
            INTO v_passing USING p_user_id, p_most;
    ELSE
        -- LIMIT keeps the planner from reading all memories of the user instead of looking these up.
        EXECUTE 'SELECT array_agg(p.id ORDER BY p.place) FROM (SELECT m.id, g.place FROM unnest($2) WITH ORDINALITY AS g (id, place) '
                'CROSS JOIN LATERAL (SELECT r.* FROM @extschema@.gravity_map AS r WHERE r.id = g.id LIMIT 1) AS m '
                'WHERE m.user_id = $1' || v_conditions || ' ORDER BY g.place LIMIT $3) AS p'
            INTO v_passing USING p_user_id, p_memory_ids, p_most;
    END IF;
    RETURN COALESCE(v_passing, '{}');
END
$_gravity_memory_passing$;

COMMENT ON FUNCTION @extschema@._gravity_memory_passing(text, jsonb, uuid[], integer) IS
    'Which of the given memories of a user pass the filters of a recall.';
