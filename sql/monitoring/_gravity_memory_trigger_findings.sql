-- _gravity_memory_trigger_findings(): triggers that are missing, switched off or not as setup makes them, for
-- gravity_memory_check().
--
-- ENABLE REPLICA is off for every ordinary session; ENABLE ALWAYS is on. Setup replaces a trigger that was changed and leaves one
-- that was switched off.
CREATE FUNCTION @extschema@._gravity_memory_trigger_findings()
RETURNS TABLE (severity text, finding text, object text, problem text, remedy text)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_trigger_findings$
    SELECT 'error', f.finding, c.trigger_name || ' on ' || c.table_name, f.problem, f.remedy
    FROM @extschema@._gravity_memory_trigger_catalogue() AS c
    CROSS JOIN LATERAL (SELECT @extschema@._gravity_memory_qualified_name(c.table_name) AS name) AS n
    LEFT JOIN pg_trigger AS t ON t.tgrelid = to_regclass(n.name) AND t.tgname = c.trigger_name
    CROSS JOIN LATERAL (SELECT 'SELECT * FROM ' || @extschema@._gravity_memory_qualified_name('gravity_memory_setup')
        || '()' AS call) AS s
    CROSS JOIN LATERAL (
        VALUES ('missing_trigger', 'The trigger does not exist.', s.call, t.oid IS NULL),
               ('changed_trigger', 'The trigger is not as setup makes it, but: ' || pg_get_triggerdef(t.oid), s.call,
                pg_get_triggerdef(t.oid) <> c.definition),
               ('disabled_trigger',
                CASE WHEN c.definition ~ '_gravity_memory_keep_derived\(\)$'
                     THEN 'The trigger is switched off: of memories written meanwhile nothing is derived. When it is on again, CALL '
                          || @extschema@._gravity_memory_qualified_name('gravity_memory_rebuild_recall')
                              || '(p_everything => true).'
                     ELSE 'The trigger is switched off.' END,
                format('ALTER TABLE %s ENABLE TRIGGER %I', n.name, c.trigger_name), t.tgenabled IN ('D', 'R'))
    ) AS f (finding, problem, remedy, applies)
    WHERE f.applies AND to_regclass(n.name) IS NOT NULL
$_gravity_memory_trigger_findings$;

COMMENT ON FUNCTION @extschema@._gravity_memory_trigger_findings() IS
    'Findings of gravity_memory_check() about triggers.';
