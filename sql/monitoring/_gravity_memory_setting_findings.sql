-- _gravity_memory_setting_findings(): settings that are unknown, impossible or contradict each other, for gravity_memory_check().
--
-- gravity_memory_set() refuses the first two; they come from a dump of another version, or from a direct write to the table.
-- Settings are compared with each other only when all of them are possible.
CREATE FUNCTION @extschema@._gravity_memory_setting_findings()
RETURNS TABLE (severity text, finding text, object text, problem text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_setting_findings$
DECLARE
    v_set CONSTANT text := 'SELECT ' || @extschema@._gravity_memory_qualified_name('gravity_memory_set');
    v_reset CONSTANT text := 'SELECT ' || @extschema@._gravity_memory_qualified_name('gravity_memory_reset');
    v_override record;
    v_is_possible boolean := true;
    v_settings jsonb;
    v_lists integer;
BEGIN
    IF to_regclass(@extschema@._gravity_memory_qualified_name('gravity_memory_settings')) IS NULL THEN
        RETURN;
    END IF;
    FOR v_override IN
        SELECT s.name, s.value, d.name IS NOT NULL AS is_known
        FROM @extschema@.gravity_memory_settings AS s
        LEFT JOIN @extschema@._gravity_memory_setting_definitions() AS d ON d.name = s.name
        ORDER BY s.name
    LOOP
        IF NOT v_override.is_known THEN
            RETURN QUERY SELECT 'warning', 'unknown_setting', v_override.name,
                format('There is no such setting in this version; the value %L does nothing.', left(v_override.value, 200)),
                format('DELETE FROM %s WHERE name = %L', @extschema@._gravity_memory_qualified_name('gravity_memory_settings'),
                    v_override.name);
            CONTINUE;
        END IF;
        BEGIN
            PERFORM @extschema@._gravity_memory_checked_setting(v_override.name, v_override.value);
        EXCEPTION WHEN invalid_parameter_value THEN
            v_is_possible := false;
            RETURN QUERY SELECT 'error', 'invalid_setting', v_override.name, SQLERRM, v_reset || format('(%L)', v_override.name);
        END;
    END LOOP;
    IF NOT v_is_possible THEN
        RETURN;
    END IF;

    v_settings := @extschema@._gravity_memory_effective_settings();
    -- The fewest lists that an index has, or will have: more than these cannot be searched.
    SELECT min(COALESCE((SELECT o.option_value::integer FROM pg_options_to_table(c.reloptions) AS o
           WHERE o.option_name = 'lists'), 100))
    INTO v_lists
    FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_am AS a ON a.oid = c.relam AND a.amname = 'ivfflat'
    WHERE i.indrelid = to_regclass(@extschema@._gravity_memory_qualified_name('gravity_map'));
    v_lists := COALESCE(NULLIF((v_settings ->> 'embedding_lists')::integer, 0), v_lists);

    RETURN QUERY
    SELECT f.severity, f.finding, f.object, f.problem, f.remedy
    FROM (VALUES
        ('warning', 'contradicting_settings', 'arc_active_members, arc_mature_members',
         'An arc is mature, and takes no more members, before it has enough of them to be active.',
         v_set || format('(%L, %L)', 'arc_active_members', v_settings ->> 'arc_mature_members'),
         (v_settings ->> 'arc_active_members')::integer > (v_settings ->> 'arc_mature_members')::integer),
        ('warning', 'contradicting_settings', 'arc_min_memories, arc_mature_members',
         'An arc is mature, and takes no more members, before the cluster that starts it is in it.',
         v_set || format('(%L, %L)', 'arc_mature_members', v_settings ->> 'arc_min_memories'),
         (v_settings ->> 'arc_mature_members')::integer < (v_settings ->> 'arc_min_memories')::integer),
        ('warning', 'contradicting_settings', 'arc_window, arc_dormant_after',
         'An arc becomes dormant while memories still come within its window.',
         v_set || format('(%L, %L)', 'arc_dormant_after', v_settings ->> 'arc_window'),
         (v_settings ->> 'arc_dormant_after')::interval < (v_settings ->> 'arc_window')::interval),
        ('warning', 'contradicting_settings', 'embedding_probes, embedding_lists',
         format('gravity_memory_search_all() is to search %s lists of %s: all memories, and the index for nothing.',
                v_settings ->> 'embedding_probes', v_lists),
         v_reset || format('(%L)', 'embedding_probes'),
         v_settings ->> 'embedding_index' = 'ivfflat' AND (v_settings ->> 'embedding_probes')::integer > v_lists),
        ('warning', 'threshold_below_index', 'arc_gravity_threshold',
         'The index idx_gravity_map_arc_cluster holds memories from gravity 0.8 on: below that, arcs cost more with every memory.',
         v_reset || format('(%L)', 'arc_gravity_threshold'),
         (v_settings ->> 'arc_gravity_threshold')::numeric < 0.8),
        ('warning', 'broadcast_unavailable', 'broadcast',
         'New memories are to be broadcast, and there is no realtime.send(jsonb, text, text, boolean) here: every insert warns.',
         v_reset || format('(%L)', 'broadcast'),
         v_settings ->> 'broadcast' = 'on' AND to_regprocedure('realtime.send(jsonb, text, text, boolean)') IS NULL)
    ) AS f (severity, finding, object, problem, remedy, applies)
    WHERE f.applies;
END
$_gravity_memory_setting_findings$;

COMMENT ON FUNCTION @extschema@._gravity_memory_setting_findings() IS
    'Findings of gravity_memory_check() about settings.';
