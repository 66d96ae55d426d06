-- _gravity_memory_default_settings(): all defaults as one JSON object, name to value.
--
-- It is IMMUTABLE so that the planner computes it once per session: the tagging trigger reads settings for every row.
CREATE FUNCTION @extschema@._gravity_memory_default_settings()
RETURNS jsonb
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_default_settings$
    SELECT jsonb_object_agg(d.name, d.default_value)
    FROM @extschema@._gravity_memory_setting_definitions() AS d
$_gravity_memory_default_settings$;

COMMENT ON FUNCTION @extschema@._gravity_memory_default_settings() IS
    'The default of every setting, as one JSON object.';
