-- _gravity_memory_may_write_arcs(): may a SECURITY DEFINER function write the arc tables without lending its power to their owner?
--
-- What such a function writes fires whatever the tables' owner attached to them, with the function's privileges. That is harmless
-- while the function belongs to that owner, which setup sees to. After a dump was restored by a superuser it does not, until
-- setup runs again: then the tables are written only while no code other than PostgreSQL's and ours is attached to them. The
-- lock keeps such code from being attached between this look and the write.
-- False comes with a WARNING that says what to do.
CREATE FUNCTION @extschema@._gravity_memory_may_write_arcs()
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_may_write_arcs$
DECLARE
    v_tables CONSTANT regclass[] := ARRAY['@extschema@.memory_arcs', '@extschema@.memory_arc_associations',
                                          '@extschema@.memory_arc_locks', '@extschema@.gravity_map',
                                          '@extschema@.gravity_memory_settings']::regclass[];
BEGIN
    IF NOT EXISTS (SELECT FROM pg_class AS c
                   WHERE c.oid = ANY (v_tables)
                     AND (pg_get_userbyid(c.relowner) <> current_user OR c.relkind NOT IN ('r', 'p'))) THEN
        RETURN true;
    END IF;

    LOCK TABLE @extschema@.memory_arcs, @extschema@.memory_arc_associations, @extschema@.memory_arc_locks IN ROW EXCLUSIVE MODE;
    IF NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = ANY (v_tables) AND c.relkind NOT IN ('r', 'p'))
       AND NOT EXISTS (
            SELECT
            FROM pg_trigger AS t
            WHERE t.tgrelid = ANY (v_tables[1:3])
              AND NOT t.tgisinternal
              AND NOT EXISTS (SELECT FROM pg_depend AS d
                              JOIN pg_extension AS e ON e.oid = d.refobjid
                              WHERE d.classid = 'pg_proc'::regclass AND d.objid = t.tgfoid AND d.deptype = 'e'
                                AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'gravity_memory'))
       AND NOT EXISTS (
            -- Defaults, constraints, indexes, rules and types of columns that reach beyond what PostgreSQL brings (16384 is the first
            -- object identifier that is not its own).
            SELECT
            FROM (SELECT 'pg_attrdef'::regclass AS classid, a.oid FROM pg_attrdef AS a WHERE a.adrelid = ANY (v_tables[1:3])
                  UNION ALL
                  SELECT 'pg_constraint'::regclass, k.oid FROM pg_constraint AS k WHERE k.conrelid = ANY (v_tables[1:3])
                  UNION ALL
                  SELECT 'pg_class'::regclass, i.indexrelid FROM pg_index AS i WHERE i.indrelid = ANY (v_tables[1:3])
                  UNION ALL
                  SELECT 'pg_rewrite'::regclass, r.oid FROM pg_rewrite AS r WHERE r.ev_class = ANY (v_tables[1:3])
                  UNION ALL
                  SELECT 'pg_class'::regclass, u.oid FROM unnest(v_tables[1:3]) AS u (oid)) AS o
            JOIN pg_depend AS d ON d.classid = o.classid AND d.objid = o.oid
            WHERE d.refobjid >= 16384
              AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_type'::regclass, 'pg_opclass'::regclass))
       AND NOT EXISTS (SELECT FROM pg_rewrite AS r WHERE r.ev_class = ANY (v_tables)) THEN
        RETURN true;
    END IF;

    RAISE WARNING 'gravity_memory: arcs are not kept, because the functions that keep them do not belong to the owner of their tables'
        USING HINT = 'Run SELECT * FROM gravity_memory_setup() as the role that restored or installed the extension.';
    RETURN false;
END
$_gravity_memory_may_write_arcs$;

COMMENT ON FUNCTION @extschema@._gravity_memory_may_write_arcs() IS
    'Whether the current role may write the arc tables without running the code of someone less trusted.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_may_write_arcs() FROM PUBLIC;
