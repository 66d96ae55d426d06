-- _gravity_memory_may_write_events(): may a SECURITY DEFINER function write memory_events without lending its power to its owner?
--
-- The usual case is answered here, with constants, because every write asks; the other one by _gravity_memory_may_write(). A table
-- that is missing is no obstacle: whoever writes it says so.
CREATE FUNCTION @extschema@._gravity_memory_may_write_events()
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_may_write_events$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_class AS c
                   WHERE c.oid IN ('@extschema@.memory_events'::regclass, '@extschema@.gravity_memory_settings'::regclass)
                     AND (pg_get_userbyid(c.relowner) <> current_user OR c.relkind NOT IN ('r', 'p'))) THEN
        RETURN true;
    END IF;
    RETURN @extschema@._gravity_memory_may_write(ARRAY['memory_events'], ARRAY['gravity_memory_settings']);
EXCEPTION WHEN undefined_table THEN
    RETURN true;
END
$_gravity_memory_may_write_events$;

COMMENT ON FUNCTION @extschema@._gravity_memory_may_write_events() IS
    'Whether the current role may write memory_events without running the code of someone less trusted.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_may_write_events() FROM PUBLIC;
