-- _gravity_memory_adoption_triggers(p_schema): what gravity_memory_adoption_report() says of triggers.
--
-- Triggers of ours that are missing, one row per table; those of the same name that setup replaces; and those of others, which
-- stay and run beside ours. One that announces on our channels or makes arcs does again what ours do: that is read from the
-- source of its function, so that what it does through other functions is not seen.
CREATE FUNCTION @extschema@._gravity_memory_adoption_triggers(p_schema text)
RETURNS TABLE (severity text, finding text, object text, present text, plan text, lock text, remedy text)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_adoption_triggers$
    WITH wanted AS (
        SELECT c.trigger_name, c.table_name, k.oid AS table_oid, t.oid AS trigger_oid,
               -- As the catalogue would be if the extension were in that schema.
               replace(c.definition, ' @extschema@.', format(' %I.', p_schema)) AS definition
        FROM @extschema@._gravity_memory_trigger_catalogue() AS c
        JOIN pg_class AS k ON k.oid = to_regclass(format('%I.%I', p_schema, c.table_name)) AND k.relkind IN ('r', 'p')
        LEFT JOIN pg_trigger AS t ON t.tgrelid = k.oid AND t.tgname = c.trigger_name
    ), others AS (
        SELECT t.oid, t.tgname, t.tgrelid, k.is_derived, k.table_name, t.tgenabled,
               p.prosrc ~* 'notify' AND p.prosrc ~ 'memory_created|memory_updated|arc_created' AS notifies,
               p.prosrc ~* 'insert\s+into\s+\S*memory_arc' AS makes_arcs
        FROM @extschema@._gravity_memory_table_catalogue() AS k
        JOIN pg_trigger AS t ON t.tgrelid = to_regclass(format('%I.%I', p_schema, k.table_name)) AND NOT t.tgisinternal
        JOIN pg_proc AS p ON p.oid = t.tgfoid
        WHERE NOT EXISTS (SELECT FROM wanted AS w WHERE w.trigger_oid = t.oid)
    )
    SELECT 'change', 'missing_triggers', w.table_name, 'Missing: ' || string_agg(w.trigger_name, ', ' ORDER BY w.trigger_name)
        || '.',
           'create trigger, ' || count(*) || ' of them',
           'SHARE ROW EXCLUSIVE until the transaction is over: writers wait', NULL::text
    FROM wanted AS w
    WHERE w.trigger_oid IS NULL
    GROUP BY w.table_name
    UNION ALL
    SELECT 'change', 'changed_trigger', format('%I on %I', w.trigger_name, w.table_name), pg_get_triggerdef(w.trigger_oid) || '.',
           'replace trigger: ' || w.definition,
           'ACCESS EXCLUSIVE until the transaction is over: readers and writers wait', NULL
    FROM wanted AS w
    WHERE pg_get_triggerdef(w.trigger_oid) <> w.definition
    UNION ALL
    SELECT CASE WHEN o.is_derived THEN 'blocks' ELSE 'note' END,
           CASE WHEN o.is_derived THEN 'foreign_trigger' WHEN o.notifies OR o.makes_arcs THEN 'doubled_trigger'
               ELSE 'own_trigger' END,
           format('%I on %I', o.tgname, o.table_name), pg_get_triggerdef(o.oid) || CASE o.tgenabled WHEN 'D'
               THEN ' (switched off).' ELSE '.' END,
           CASE WHEN o.is_derived THEN 'Setup stops: no trigger but ours may stand on what is derived.'
                ELSE 'Keep it. It runs beside ours' || CASE
                         WHEN o.notifies AND o.makes_arcs
                             THEN ', and seems to announce on our channels and to make arcs, as ours do: both happen twice then'
                         WHEN o.notifies THEN ', and seems to announce on our channels, as ours do: listeners hear of a memory twice then'
                         WHEN o.makes_arcs THEN ', and seems to make arcs, as ours do: a cluster may get two then'
                         ELSE '' END || '.' END,
           CASE WHEN o.is_derived OR o.notifies OR o.makes_arcs THEN 'ACCESS EXCLUSIVE, for a moment' ELSE 'none' END,
           CASE WHEN o.is_derived OR o.notifies OR o.makes_arcs THEN format('DROP TRIGGER %I ON %s', o.tgname,
               o.tgrelid::regclass) END
    FROM others AS o
$_gravity_memory_adoption_triggers$;

COMMENT ON FUNCTION @extschema@._gravity_memory_adoption_triggers(text) IS
    'What gravity_memory_adoption_report() says of triggers.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_adoption_triggers(text) FROM PUBLIC;
