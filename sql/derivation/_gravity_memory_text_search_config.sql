-- _gravity_memory_text_search_config(): the text search configuration that says which words are the same.
--
-- This one setting alone, because reading all of them costs as much as the rest of what is derived from a memory.
-- Errors: 42704 when the configuration was dropped, or the setting was written past gravity_memory_set().
CREATE FUNCTION @extschema@._gravity_memory_text_search_config()
RETURNS regconfig
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_text_search_config$
DECLARE
    v_name text;
BEGIN
    SELECT s.value INTO v_name FROM @extschema@.gravity_memory_settings AS s WHERE s.name = 'text_search_config';
    RETURN COALESCE(v_name, @extschema@._gravity_memory_default_settings() ->> 'text_search_config')::regconfig;
EXCEPTION
    WHEN undefined_table THEN
        RETURN (@extschema@._gravity_memory_default_settings() ->> 'text_search_config')::regconfig;
    WHEN undefined_object OR invalid_schema_name OR invalid_name OR syntax_error THEN
        RAISE EXCEPTION 'the text search configuration %, which the setting text_search_config names, does not exist', quote_literal(v_name)
            USING ERRCODE = 'undefined_object',
                  HINT = 'Make it again, or choose another one: SELECT gravity_memory_set(''text_search_config'', ''english'').';
END
$_gravity_memory_text_search_config$;

COMMENT ON FUNCTION @extschema@._gravity_memory_text_search_config() IS
    'The text search configuration in force, from the setting text_search_config.';
