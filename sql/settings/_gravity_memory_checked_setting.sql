-- _gravity_memory_checked_setting(p_name, p_value): the value as it is stored, or an error that names what is allowed.
--
-- Errors: 22023 invalid_parameter_value, for an unknown name or an impossible value, with a HINT naming the valid ones.
CREATE FUNCTION @extschema@._gravity_memory_checked_setting(p_name text, p_value text)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_checked_setting$
DECLARE
    v_definition record;
    v_number numeric;
    v_interval interval;
    v_list text[];
    v_allowed text;
    v_checked text;
BEGIN
    SELECT d.* INTO v_definition
    FROM @extschema@._gravity_memory_setting_definitions() AS d
    WHERE d.name = p_name;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'unknown gravity_memory setting: %', COALESCE(quote_literal(p_name), 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = format('The settings are: %s.', (SELECT string_agg(d.name, ', ' ORDER BY d.name)
                                                          FROM @extschema@._gravity_memory_setting_definitions() AS d));
    END IF;

    v_allowed := CASE v_definition.kind
        WHEN 'number' THEN format('a number from %s to %s', v_definition.minimum, v_definition.maximum)
        WHEN 'integer' THEN format('a whole number from %s to %s', v_definition.minimum, v_definition.maximum)
        WHEN 'interval' THEN 'an interval greater than zero, such as ''24 hours'' or ''7 days'''
        WHEN 'choice' THEN format('one of: %s', array_to_string(v_definition.choices, ', '))
        WHEN 'list' THEN 'a list such as ''Blu, Matt'', ''{Blu,Matt}'' or ''["Blu", "Matt"]'', without empty entries'
        WHEN 'pattern' THEN 'a PostgreSQL regular expression (ARE) that does not match the empty string'
        WHEN 'text search configuration' THEN format('one of this database''s text search configurations, those outside pg_catalog with their schema: %s',
            (SELECT string_agg(CASE n.nspname WHEN 'pg_catalog' THEN '' ELSE quote_ident(n.nspname) || '.' END || quote_ident(c.cfgname),
                               ', ' ORDER BY n.nspname, c.cfgname)
             FROM pg_ts_config AS c JOIN pg_namespace AS n ON n.oid = c.cfgnamespace))
        WHEN 'schedule' THEN 'a cron schedule of five fields, such as ''0 * * * *'', or ''30 seconds'''
    END;

    BEGIN
        IF p_value IS NULL THEN
            RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'NULL';
        END IF;
        CASE v_definition.kind
            WHEN 'number', 'integer' THEN
                v_number := p_value::numeric;
                -- NaN sorts above every number, so the upper bound refuses it too.
                IF v_number < v_definition.minimum OR v_number > v_definition.maximum
                   OR (v_definition.kind = 'integer' AND v_number <> trunc(v_number)) THEN
                    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'out of range';
                END IF;
                v_checked := trim_scale(v_number)::text;
            WHEN 'interval' THEN
                v_interval := p_value::interval;
                IF v_interval <= interval '0' OR v_interval > interval '1000 years' THEN
                    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'out of range';
                END IF;
                v_checked := btrim(p_value);
            WHEN 'choice' THEN
                IF lower(btrim(p_value)) <> ALL (v_definition.choices) THEN
                    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'not a choice';
                END IF;
                v_checked := lower(btrim(p_value));
            WHEN 'list' THEN
                v_list := CASE
                    WHEN btrim(p_value) = '' THEN '{}'
                    WHEN btrim(p_value) LIKE '[%' THEN
                        ARRAY(SELECT CASE jsonb_typeof(e) WHEN 'string' THEN e #>> '{}' END FROM jsonb_array_elements(p_value::jsonb) AS e)
                    WHEN btrim(p_value) LIKE '{%' THEN p_value::text[]
                    ELSE ARRAY(SELECT btrim(e) FROM unnest(string_to_array(p_value, ',')) AS e)
                END;
                IF array_ndims(v_list) > 1 OR array_position(v_list, NULL) IS NOT NULL OR array_position(v_list, '') IS NOT NULL THEN
                    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'bad list';
                END IF;
                v_checked := v_list::text;
            WHEN 'pattern' THEN
                -- A pattern that matches nothing at all ('') would match every memory.
                IF '' ~* p_value THEN
                    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'matches everything';
                END IF;
                v_checked := p_value;
            WHEN 'text search configuration' THEN
                -- Under our search_path the name prints with its schema, unless that is pg_catalog.
                IF btrim(p_value) ~ '^([0-9]+|-)$' THEN
                    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'a number or none, not a name';
                END IF;
                v_checked := btrim(p_value)::regconfig::text;
            WHEN 'schedule' THEN
                IF NOT @extschema@._gravity_memory_is_schedule(p_value) THEN
                    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'bad schedule';
                END IF;
                v_checked := btrim(p_value);
        END CASE;
    EXCEPTION WHEN data_exception OR syntax_error_or_access_rule_violation OR invalid_schema_name THEN
        RAISE EXCEPTION 'invalid value for gravity_memory setting %: %', p_name, COALESCE(quote_literal(left(p_value, 200)), 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = format('It takes %s. The default is %L.', v_allowed, v_definition.default_value);
    END;
    RETURN v_checked;
END
$_gravity_memory_checked_setting$;

COMMENT ON FUNCTION @extschema@._gravity_memory_checked_setting(text, text) IS
    'Checks a setting''s value and returns it in its stored form; refuses unknown names and impossible values.';
