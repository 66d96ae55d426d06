-- gravity_memory_teardown(): removes the triggers and the scheduled jobs, and nothing else.
--
-- Tables, rows, indexes and settings stay as they are; afterwards DROP EXTENSION needs no CASCADE. gravity_memory_setup() undoes it.
-- Returns one row per thing it removed, none when nothing was left.
CREATE FUNCTION @extschema@.gravity_memory_teardown()
RETURNS TABLE (action text, object text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_teardown$
DECLARE
    v_trigger record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('gravity_memory_setup', 0));
    FOR v_trigger IN
        SELECT c.trigger_name, c.table_name
        FROM @extschema@._gravity_memory_trigger_catalogue() AS c
        JOIN pg_trigger AS t
          ON t.tgrelid = to_regclass(@extschema@._gravity_memory_qualified_name(c.table_name)) AND t.tgname = c.trigger_name
        ORDER BY c.table_name, c.trigger_name
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', v_trigger.trigger_name,
                       @extschema@._gravity_memory_qualified_name(v_trigger.table_name));
        action := 'drop trigger';
        object := v_trigger.trigger_name;
        RETURN NEXT;
    END LOOP;
    RETURN QUERY SELECT 'unschedule job', j FROM @extschema@.gravity_memory_unschedule_jobs() AS j;
END
$gravity_memory_teardown$;

COMMENT ON FUNCTION @extschema@.gravity_memory_teardown() IS
    'Removes the triggers and jobs and keeps all tables and rows; returns one row per thing it removed.

DROP EXTENSION needs no CASCADE afterwards. gravity_memory_setup() undoes it.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_teardown() FROM PUBLIC;
