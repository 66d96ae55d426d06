-- gravity_memory_settings(): every setting with the value in force.
--
-- Returns name, value (in force), default, unit and meaning, ordered by name. Values are text, in the form that
-- gravity_memory_set() takes. Anyone may read them. It shares its name with the table that holds the overrides.
CREATE FUNCTION @extschema@.gravity_memory_settings()
RETURNS TABLE (name text, value text, "default" text, unit text, meaning text)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_settings$
    SELECT d.name, e.effective ->> d.name, d.default_value, d.unit, d.meaning
    FROM @extschema@._gravity_memory_setting_definitions() AS d
    CROSS JOIN (SELECT @extschema@._gravity_memory_effective_settings() AS effective) AS e
    ORDER BY d.name
$gravity_memory_settings$;

COMMENT ON FUNCTION @extschema@.gravity_memory_settings() IS
    'Lists every setting: the value in force, its default, unit and meaning.

Values are text, in the form that gravity_memory_set() takes.';
