-- gravity_memory_setup(p_build_indexes): creates what is missing and adopts what is there.
--
-- Creates missing tables, adds missing columns (no row is touched: defaults are constants or now()), builds missing indexes, makes or
-- mends the triggers, hands new tables and the SECURITY DEFINER functions to the owner of gravity_map, and schedules the jobs. CREATE
-- EXTENSION calls it; call it again after restoring a dump as another role, after gravity_memory_teardown(), or when
-- something was dropped by accident.
-- p_build_indexes: true builds all missing indexes now; false builds none; NULL (default) builds them on tables up to
-- setup_index_limit and leaves the others, with a NOTICE, to gravity_memory_index_ddl(), which does not block writers.
-- Returns one row per thing it did, none when nothing was to do.
-- Errors: 42804 datatype_mismatch with every mismatch in the DETAIL when existing tables do not fit; nothing is changed then. 22023 for
-- an impossible gravity_memory.embedding_dimensions. Needs the privileges of the owner of the tables.
CREATE FUNCTION @extschema@.gravity_memory_setup(p_build_indexes boolean DEFAULT NULL)
RETURNS TABLE (action text, object text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off
AS $gravity_memory_setup$
DECLARE
    v_mismatches text[];
    v_object record;
    v_limit_bytes bigint;
    v_indexes_left integer := 0;
    v_client_min_messages CONSTANT text := current_setting('client_min_messages');
BEGIN
    -- One setup at a time; two would race to create the same objects.
    PERFORM pg_advisory_xact_lock(hashtextextended('gravity_memory_setup', 0));

    v_mismatches := ARRAY(SELECT @extschema@._gravity_memory_adoption_mismatches());
    IF v_mismatches <> '{}' THEN
        RAISE EXCEPTION 'gravity_memory cannot adopt the existing tables in schema %: % mismatch(es)',
            '@extschema@', cardinality(v_mismatches)
            USING ERRCODE = 'datatype_mismatch',
                  DETAIL = array_to_string(v_mismatches, E'\n'),
                  HINT = 'Change the columns as each line says, then run this again. Nothing was changed.';
    END IF;

    -- Tables.
    FOR v_object IN
        SELECT t.table_name, t.table_constraints, t.purpose,
               string_agg(format('%I %s %s', c.column_name, c.data_type, c.modifiers), ', ' ORDER BY c.ordinal) AS columns
        FROM @extschema@._gravity_memory_table_catalogue() WITH ORDINALITY AS t
        JOIN @extschema@._gravity_memory_column_catalogue() AS c ON c.table_name = t.table_name
        WHERE to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name)) IS NULL
        GROUP BY t.table_name, t.table_constraints, t.purpose, t.ordinality
        ORDER BY t.ordinality
    LOOP
        EXECUTE format('CREATE TABLE %s (%s, %s)', @extschema@._gravity_memory_qualified_name(v_object.table_name), v_object.columns,
                       array_to_string(v_object.table_constraints, ', '));
        EXECUTE format('COMMENT ON TABLE %s IS %L', @extschema@._gravity_memory_qualified_name(v_object.table_name), v_object.purpose);
        IF v_object.table_name = 'gravity_memory_settings' THEN
            -- Before the table is released: a grant made in an extension's script counts as the extension's, and is not dumped.
            EXECUTE format('GRANT SELECT ON %s TO PUBLIC', @extschema@._gravity_memory_qualified_name(v_object.table_name));
        END IF;
        action := 'create table';
        object := v_object.table_name;
        RETURN NEXT;
    END LOOP;
    PERFORM @extschema@._gravity_memory_release_tables();

    -- Columns.
    FOR v_object IN
        SELECT c.table_name, c.column_name, c.data_type, c.modifiers
        FROM @extschema@._gravity_memory_column_catalogue() AS c
        WHERE NOT EXISTS (SELECT FROM pg_attribute AS a
                          WHERE a.attrelid = to_regclass(@extschema@._gravity_memory_qualified_name(c.table_name))
                            AND a.attname = c.column_name AND NOT a.attisdropped)
        ORDER BY c.table_name, c.ordinal
    LOOP
        EXECUTE format('ALTER TABLE %s ADD COLUMN %I %s %s',
                       @extschema@._gravity_memory_qualified_name(v_object.table_name), v_object.column_name, v_object.data_type, v_object.modifiers);
        action := 'add column';
        object := v_object.table_name || '.' || v_object.column_name;
        RETURN NEXT;
    END LOOP;

    -- Indexes. pgvector's notice about training an index on an empty table is not for whoever installs.
    v_limit_bytes := 1024 * 1024 * (@extschema@._gravity_memory_effective_settings() ->> 'setup_index_limit')::bigint;
    PERFORM set_config('client_min_messages', 'warning', true);
    FOR v_object IN
        SELECT m.index_name, m.table_name, m.statement, m.is_invalid
        FROM @extschema@._gravity_memory_missing_indexes() AS m
        ORDER BY m.table_name, m.index_name
    LOOP
        IF COALESCE(p_build_indexes, @extschema@._gravity_memory_table_bytes(v_object.table_name) <= v_limit_bytes) THEN
            IF v_object.is_invalid THEN
                EXECUTE 'DROP INDEX ' || @extschema@._gravity_memory_qualified_name(v_object.index_name);
            END IF;
            EXECUTE v_object.statement;
            action := 'create index';
            object := v_object.index_name;
            RETURN NEXT;
        ELSE
            v_indexes_left := v_indexes_left + 1;
        END IF;
    END LOOP;
    PERFORM set_config('client_min_messages', v_client_min_messages, true);
    IF v_indexes_left > 0 THEN
        RAISE NOTICE 'gravity_memory: % indexes are missing and were not built, because that would block writers.', v_indexes_left
            USING HINT = 'Run the statements that SELECT @extschema@.gravity_memory_index_ddl() returns; they build concurrently.';
    END IF;

    -- Triggers.
    FOR v_object IN
        SELECT c.trigger_name, c.table_name, c.definition, t.oid AS trigger_oid
        FROM @extschema@._gravity_memory_trigger_catalogue() AS c
        LEFT JOIN pg_trigger AS t
               ON t.tgrelid = to_regclass(@extschema@._gravity_memory_qualified_name(c.table_name)) AND t.tgname = c.trigger_name
        WHERE t.oid IS NULL OR pg_get_triggerdef(t.oid) <> c.definition
        ORDER BY c.table_name, c.trigger_name
    LOOP
        IF v_object.trigger_oid IS NOT NULL THEN
            EXECUTE format('DROP TRIGGER %I ON %s', v_object.trigger_name, @extschema@._gravity_memory_qualified_name(v_object.table_name));
        END IF;
        EXECUTE v_object.definition;
        action := CASE WHEN v_object.trigger_oid IS NULL THEN 'create trigger' ELSE 'replace trigger' END;
        object := v_object.trigger_name;
        RETURN NEXT;
    END LOOP;

    RETURN QUERY SELECT h.action, h.object FROM @extschema@._gravity_memory_hand_over() AS h;
    RETURN QUERY SELECT 'schedule job', j FROM @extschema@.gravity_memory_schedule_jobs() AS j;
END
$gravity_memory_setup$;

COMMENT ON FUNCTION @extschema@.gravity_memory_setup(boolean) IS
    'Creates or adopts the tables with their indexes, triggers and jobs; idempotent; returns one row per thing it did.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_setup(boolean) FROM PUBLIC;
