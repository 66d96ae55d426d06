-- _gravity_memory_effective_settings(): the value of every setting in force, as one JSON object of text values.
--
-- The tagging and notification triggers run as whoever writes a memory, so setup lets everyone read the overrides: no secret.
-- A database restored without the settings table (pg_dump -t gravity_map) has no overrides: the defaults hold there.
CREATE FUNCTION @extschema@._gravity_memory_effective_settings()
RETURNS jsonb
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_effective_settings$
DECLARE
    v_overrides jsonb;
BEGIN
    BEGIN
        SELECT jsonb_object_agg(s.name, s.value) INTO v_overrides FROM @extschema@.gravity_memory_settings AS s;
    EXCEPTION WHEN undefined_table THEN
        v_overrides := NULL;
    END;
    IF v_overrides IS NULL THEN
        RETURN @extschema@._gravity_memory_default_settings();
    END IF;
    RETURN @extschema@._gravity_memory_default_settings() || v_overrides;
END
$_gravity_memory_effective_settings$;

COMMENT ON FUNCTION @extschema@._gravity_memory_effective_settings() IS
    'The settings in force, as one JSON object: the defaults overlaid with gravity_memory_settings.';
