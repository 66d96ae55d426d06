-- _gravity_memory_qualified_name(p_name): an object of our schema, quoted and ready for to_regclass() and format('%s').
CREATE FUNCTION @extschema@._gravity_memory_qualified_name(p_name text)
RETURNS text
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_qualified_name$
    SELECT '@extschema@.' || quote_ident(p_name)
$_gravity_memory_qualified_name$;

COMMENT ON FUNCTION @extschema@._gravity_memory_qualified_name(text) IS
    'A name qualified with the schema of gravity_memory, quoted.';
