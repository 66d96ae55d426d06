-- gravity_memory_reset(p_name): gives a setting its default back.
--
-- Returns the default. Errors: 22023 for an unknown name; 55000 when setup has not run.
CREATE FUNCTION @extschema@.gravity_memory_reset(p_name text)
RETURNS text
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_reset$
    -- An unknown name has no default; the NULL is refused by name, which is the error wanted here.
    SELECT @extschema@.gravity_memory_set(p_name, @extschema@._gravity_memory_default_settings() ->> p_name)
$gravity_memory_reset$;

COMMENT ON FUNCTION @extschema@.gravity_memory_reset(text) IS
    'Gives a setting its default back and returns it; refuses unknown names.

Errors: 22023 for an unknown name; 55000 before setup; 42501 for who may not write the table
gravity_memory_settings.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_reset(text) FROM PUBLIC;
