-- _gravity_memory_owner_findings(): who owns what, where that keeps our functions from working, for gravity_memory_check().
--
-- The SECURITY DEFINER functions write the arcs and what is derived: they should belong to the owner of gravity_map, which setup
-- sees to, and need the privileges. Adopted tables keep the owner they had; whoever owns the extension must be able to alter them.
CREATE FUNCTION @extschema@._gravity_memory_owner_findings()
RETURNS TABLE (severity text, finding text, object text, problem text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_owner_findings$
DECLARE
    v_owner CONSTANT oid := (SELECT c.relowner FROM pg_class AS c
                             WHERE c.oid = to_regclass(@extschema@._gravity_memory_qualified_name('gravity_map')));
    v_written CONSTANT text[] := ARRAY['memory_arcs', 'memory_arc_associations', 'memory_arc_locks',
                                       'memory_digests', 'memory_postings', 'memory_recall_gaps'];
BEGIN
    IF v_owner IS NULL THEN
        RETURN;
    END IF;

    RETURN QUERY
    SELECT 'warning', 'function_owner', f.signature,
           format('It runs with the rights of %I and writes tables of %I, the owner of gravity_map: arcs and derived rows are kept only '
                  'while nobody else''s code is attached to those tables, and searches read all memories.',
                  pg_get_userbyid(f.proowner), pg_get_userbyid(v_owner)),
           'SELECT * FROM ' || @extschema@._gravity_memory_qualified_name('gravity_memory_setup') || '()'
    FROM (SELECT p.oid::regprocedure::text AS signature, p.proowner
          FROM pg_proc AS p
          JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
          JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
          WHERE e.extname = 'gravity_memory' AND p.prosecdef AND p.proowner <> v_owner) AS f;

    RETURN QUERY
    SELECT 'warning', 'table_owner', t.table_name,
           format('%I belongs to %I, and gravity_map to %I, with whose rights our functions use both.', t.table_name,
                  pg_get_userbyid(c.relowner), pg_get_userbyid(v_owner)),
           format('ALTER TABLE %s OWNER TO %I', n.name, pg_get_userbyid(v_owner))
    FROM unnest(v_written || 'gravity_memory_settings'::text) AS t (table_name)
    CROSS JOIN LATERAL (SELECT @extschema@._gravity_memory_qualified_name(t.table_name) AS name) AS n
    JOIN pg_class AS c ON c.oid = to_regclass(n.name)
    WHERE c.relowner <> v_owner;

    RETURN QUERY
    SELECT 'error', 'missing_privilege', t.table_name,
           format('%I, with whose rights arcs and derived rows are written, lacks %s on %I.', pg_get_userbyid(v_owner),
                  string_agg(p.privilege, ', ' ORDER BY p.ordinality), t.table_name),
           format('GRANT %s ON %s TO %I', string_agg(p.privilege, ', ' ORDER BY p.ordinality), n.name, pg_get_userbyid(v_owner))
    FROM (SELECT w.name AS table_name, '{SELECT,INSERT,UPDATE,DELETE}'::text[] AS privileges FROM unnest(v_written) AS w (name)
          UNION ALL
          SELECT 'gravity_map', '{SELECT}'
          UNION ALL
          SELECT 'gravity_memory_settings', '{SELECT}') AS t
    CROSS JOIN LATERAL (SELECT @extschema@._gravity_memory_qualified_name(t.table_name) AS name) AS n
    CROSS JOIN LATERAL unnest(t.privileges) WITH ORDINALITY AS p (privilege, ordinality)
    WHERE to_regclass(n.name) IS NOT NULL AND NOT has_table_privilege(v_owner, to_regclass(n.name), p.privilege)
    GROUP BY t.table_name, n.name;

    RETURN QUERY
    SELECT 'error', 'forced_row_security', t.table_name,
           format('Row security is forced on the owner of %I: what the triggers keep there can be neither written nor read.',
                  t.table_name),
           format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', n.name)
    FROM @extschema@._gravity_memory_table_catalogue() AS t
    CROSS JOIN LATERAL (SELECT @extschema@._gravity_memory_qualified_name(t.table_name) AS name) AS n
    JOIN pg_class AS c ON c.oid = to_regclass(n.name)
    JOIN pg_roles AS r ON r.oid = v_owner
    WHERE (t.is_closed OR t.table_name IN ('gravity_map', 'memory_arcs', 'memory_arc_associations', 'memory_arc_locks')) AND c.relrowsecurity AND c.relforcerowsecurity AND NOT r.rolsuper AND NOT r.rolbypassrls;

    RETURN QUERY
    SELECT 'warning', 'extension_owner', 'gravity_memory',
           format('The extension belongs to %I, who may not alter the tables of %I: its setup and its updates will fail.',
                  pg_get_userbyid(e.extowner), pg_get_userbyid(v_owner)),
           format('GRANT %I TO %I', pg_get_userbyid(v_owner), pg_get_userbyid(e.extowner))
    FROM pg_extension AS e
    WHERE e.extname = 'gravity_memory' AND NOT pg_has_role(e.extowner, v_owner, 'USAGE');
END
$_gravity_memory_owner_findings$;

COMMENT ON FUNCTION @extschema@._gravity_memory_owner_findings() IS
    'Findings of gravity_memory_check() about owners and privileges.';
