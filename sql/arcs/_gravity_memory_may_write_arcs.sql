-- _gravity_memory_may_write_arcs(): may a SECURITY DEFINER function write the arc tables without lending its power to their owner?
--
-- The usual case is answered here, with constants, because every write asks; the other one by _gravity_memory_may_write(). A table
-- that is missing is no obstacle: whoever writes it says so.
CREATE FUNCTION @extschema@._gravity_memory_may_write_arcs()
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_may_write_arcs$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_class AS c
                   WHERE c.oid IN (
                        '@extschema@.memory_arcs'::regclass,
                        '@extschema@.memory_arc_associations'::regclass,
                        '@extschema@.memory_arc_locks'::regclass,
                        '@extschema@.gravity_map'::regclass,
                        '@extschema@.gravity_memory_settings'::regclass)
                     AND (pg_get_userbyid(c.relowner) <> current_user OR c.relkind NOT IN ('r', 'p') OR c.relforcerowsecurity)) THEN
        RETURN true;
    END IF;
    IF row_security_active('@extschema@.gravity_map') OR row_security_active('@extschema@.memory_arcs')
       OR row_security_active('@extschema@.memory_arc_associations') OR row_security_active('@extschema@.memory_arc_locks') THEN
        -- Arcs of memories that it does not see would lose them.
        RAISE WARNING 'gravity_memory: arcs are not kept, because row security is forced on %, who owns the tables', current_user
            USING HINT = 'Run ALTER TABLE ... NO FORCE ROW LEVEL SECURITY on the tables that gravity_memory_check() names, then '
                         'gravity_memory_rebuild_arcs() for each user.';
        RETURN false;
    END IF;
    RETURN @extschema@._gravity_memory_may_write(
        ARRAY['memory_arcs', 'memory_arc_associations', 'memory_arc_locks'], ARRAY['gravity_map', 'gravity_memory_settings']);
EXCEPTION WHEN undefined_table THEN
    RETURN true;
END
$_gravity_memory_may_write_arcs$;

COMMENT ON FUNCTION @extschema@._gravity_memory_may_write_arcs() IS
    'Whether the current role may write the arc tables without running the code of someone less trusted.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_may_write_arcs() FROM PUBLIC;
