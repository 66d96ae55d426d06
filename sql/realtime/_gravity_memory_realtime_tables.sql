-- _gravity_memory_realtime_tables(): the tables that subscribers of a publication follow (spec: memories and arcs).
CREATE FUNCTION @extschema@._gravity_memory_realtime_tables()
RETURNS TABLE (table_name text)
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_realtime_tables$
VALUES ('gravity_map'), ('memory_arcs')
$_gravity_memory_realtime_tables$;

COMMENT ON FUNCTION @extschema@._gravity_memory_realtime_tables() IS
    'The tables whose changes are published to realtime subscribers.';
