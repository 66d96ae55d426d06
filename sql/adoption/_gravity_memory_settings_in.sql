-- _gravity_memory_settings_in(p_schema): the settings that setup would find in force in a schema, as one JSON object of text
-- values.
--
-- The defaults, and the overrides in a table gravity_memory_settings that an earlier installation left there. Anything else of
-- that name is not read: reading a view would run its code. Who may not read it gets the defaults.
CREATE FUNCTION @extschema@._gravity_memory_settings_in(p_schema text)
RETURNS jsonb
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $_gravity_memory_settings_in$
DECLARE
    v_overrides jsonb;
BEGIN
    IF (SELECT count(*) = 2 AND bool_and(a.atttypid = 'text'::regtype) AND bool_and(has_column_privilege(c.oid, a.attnum, 'SELECT'))
        FROM pg_class AS c
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname IN ('name', 'value') AND NOT a.attisdropped
        WHERE c.oid = to_regclass(format('%I.%I', p_schema, 'gravity_memory_settings')) AND c.relkind = 'r') THEN
        EXECUTE format('SELECT jsonb_object_agg(s.name, s.value) FROM %I.gravity_memory_settings AS s WHERE s.name IS NOT NULL',
            p_schema)
            INTO v_overrides;
    END IF;
    RETURN @extschema@._gravity_memory_default_settings() || COALESCE(v_overrides, '{}');
END
$_gravity_memory_settings_in$;

COMMENT ON FUNCTION @extschema@._gravity_memory_settings_in(text) IS
    'The settings in force in a schema: the defaults overlaid with what stands there in gravity_memory_settings.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_settings_in(text) FROM PUBLIC;
