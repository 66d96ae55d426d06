-- _gravity_memory_may_write(p_written, p_read): may a SECURITY DEFINER function write tables that do not belong to its owner?
--
-- What such a function writes fires whatever the tables' owner attached to them, with the function's privileges. That is harmless
-- while the function belongs to that owner, which setup sees to. After a dump was restored by a superuser it does not, until
-- setup runs again: then the tables are written only while no code other than PostgreSQL's and ours is attached to them. The
-- lock keeps such code from being attached between this look and the write. Tables that are only read may be no views.
-- False comes with a WARNING that says what to do.
CREATE FUNCTION @extschema@._gravity_memory_may_write(p_written text[], p_read text[])
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_may_write$
DECLARE
    v_written regclass[];
    v_table regclass;
BEGIN
    v_written := ARRAY(SELECT to_regclass('@extschema@.' || n.name) FROM unnest(p_written) AS n (name)
                       WHERE to_regclass('@extschema@.' || n.name) IS NOT NULL);
    FOREACH v_table IN ARRAY v_written LOOP
        EXECUTE format('LOCK TABLE %s IN ROW EXCLUSIVE MODE', v_table);
    END LOOP;
    IF NOT EXISTS (SELECT FROM unnest(p_written || p_read) AS n (name)
                   JOIN pg_class AS c ON c.oid = to_regclass('@extschema@.' || n.name)
                   WHERE c.relkind NOT IN ('r', 'p')
                      OR EXISTS (SELECT FROM pg_rewrite AS r WHERE r.ev_class = c.oid))
       AND NOT EXISTS (
            SELECT
            FROM pg_trigger AS t
            WHERE t.tgrelid = ANY (v_written)
              AND NOT t.tgisinternal
              AND NOT EXISTS (SELECT FROM pg_depend AS d
                              JOIN pg_extension AS e ON e.oid = d.refobjid
                              WHERE d.classid = 'pg_proc'::regclass AND d.objid = t.tgfoid AND d.deptype = 'e'
                                AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'gravity_memory'))
       AND NOT EXISTS (
            -- Defaults, constraints, indexes, rules and types of columns that reach beyond what PostgreSQL brings (16384 is the first
            -- object identifier that is not its own).
            SELECT
            FROM (SELECT 'pg_attrdef'::regclass AS classid, a.oid FROM pg_attrdef AS a WHERE a.adrelid = ANY (v_written)
                  UNION ALL
                  SELECT 'pg_constraint'::regclass, k.oid FROM pg_constraint AS k WHERE k.conrelid = ANY (v_written)
                  UNION ALL
                  SELECT 'pg_class'::regclass, i.indexrelid FROM pg_index AS i WHERE i.indrelid = ANY (v_written)
                  UNION ALL
                  SELECT 'pg_class'::regclass, u.oid FROM unnest(v_written) AS u (oid)) AS o
            JOIN pg_depend AS d ON d.classid = o.classid AND d.objid = o.oid
            WHERE d.refobjid >= 16384
              AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_type'::regclass, 'pg_opclass'::regclass)) THEN
        RETURN true;
    END IF;

    RAISE WARNING 'gravity_memory: % are not kept, because the functions that keep them do not belong to the owner of these tables',
            array_to_string(p_written, ', ')
        USING HINT = 'Run SELECT * FROM gravity_memory_setup() as the role that restored or installed the extension, then '
                     'gravity_memory_rebuild_arcs() and gravity_memory_rebuild_recall(p_everything => true).';
    RETURN false;
END
$_gravity_memory_may_write$;

COMMENT ON FUNCTION @extschema@._gravity_memory_may_write(text[], text[]) IS
    'Whether the current role may write these tables, which belong to another, without running that one''s code.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_may_write(text[], text[]) FROM PUBLIC;
