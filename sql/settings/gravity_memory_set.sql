-- gravity_memory_set(p_name, p_value): changes a setting for the whole database, from the next statement on.
--
-- Returns the value as stored. Setting a default stores no override. A setting that holds a schedule is applied to pg_cron at once; a
-- new text_search_config makes recall read the memories themselves until CALL gravity_memory_rebuild_recall() has run; a feed of changes
-- that is switched on again has its readers start anew. Only the
-- owner of the settings table may call it; others are refused by the table's privileges.
-- Errors: 22023 for an unknown name or an impossible value (the HINT names the valid ones); 55000 when setup has not run.
CREATE FUNCTION @extschema@.gravity_memory_set(p_name text, p_value text)
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_set$
DECLARE
    v_value CONSTANT text := @extschema@._gravity_memory_checked_setting(p_name, p_value);
    v_old_settings CONSTANT jsonb := @extschema@._gravity_memory_effective_settings();
    v_old_value CONSTANT text := v_old_settings ->> p_name;
BEGIN
    IF to_regclass('@extschema@.gravity_memory_settings') IS NULL THEN
        RAISE EXCEPTION 'the table gravity_memory_settings does not exist'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Run SELECT * FROM @extschema@.gravity_memory_setup() first.';
    END IF;
    IF v_value = @extschema@._gravity_memory_default_settings() ->> p_name THEN
        DELETE FROM @extschema@.gravity_memory_settings AS s WHERE s.name = p_name;
    ELSE
        INSERT INTO @extschema@.gravity_memory_settings AS s (name, value)
        VALUES (p_name, v_value)
        ON CONFLICT (name) DO UPDATE SET value = EXCLUDED.value;
    END IF;
    IF p_name IN (SELECT d.name FROM @extschema@._gravity_memory_setting_definitions() AS d WHERE d.kind = 'schedule') THEN
        PERFORM @extschema@.gravity_memory_schedule_jobs();
    END IF;
    IF p_name = 'text_search_config' AND v_value <> v_old_value AND to_regclass('@extschema@.memory_recall_gaps') IS NOT NULL
       AND EXISTS (SELECT FROM @extschema@.gravity_map) THEN
        PERFORM @extschema@._gravity_memory_note_recall_gaps(NULL);
        RAISE NOTICE 'gravity_memory: recall reads every memory of a user until the terms of all memories are derived anew.'
            USING HINT = 'Run CALL @extschema@.gravity_memory_rebuild_recall().';
    END IF;
    IF @extschema@._gravity_memory_records_events(v_old_settings || jsonb_build_object(p_name, v_value))
       AND NOT @extschema@._gravity_memory_records_events(v_old_settings) AND to_regclass('@extschema@.memory_events') IS NOT NULL THEN
        -- A cursor from before the feed was switched off has a hole behind it.
        PERFORM @extschema@._gravity_memory_break_feed('no events were recorded until gravity_memory_set() was called');
    END IF;
    RETURN v_value;
END
$gravity_memory_set$;

COMMENT ON FUNCTION @extschema@.gravity_memory_set(text, text) IS
    'Changes a setting for the whole database and returns the stored value; refuses unknown names and impossible values.

Holds from the next statement on. A schedule is applied to pg_cron at once; after a new text_search_config
recall reads the memories themselves until CALL gravity_memory_rebuild_recall() has run; readers of a feed that
is switched on again start anew.
Errors: 22023 for an unknown name or an impossible value, with what is possible in the HINT; 55000 before setup;
42501 for who may not write the table gravity_memory_settings.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_set(text, text) FROM PUBLIC;
