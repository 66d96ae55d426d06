\echo Use "CREATE EXTENSION gravity_memory" to load this file. \quit

-- sql/setup/preflight.sql

-- Refuses, with the way out, a schema where the specification's functions were made by hand.
--
-- CREATE FUNCTION would stop at the first of them with an error that says nothing of the others.
DO $preflight$
DECLARE
    v_functions text;
BEGIN
    SELECT pg_catalog.string_agg(p.oid::pg_catalog.regprocedure::pg_catalog.text, ', ')
    INTO v_functions
    FROM pg_catalog.pg_proc AS p
    WHERE p.pronamespace OPERATOR(pg_catalog.=) '@extschema@'::pg_catalog.regnamespace
      AND p.pronargs OPERATOR(pg_catalog.=) 0
      AND p.proname OPERATOR(pg_catalog.=) ANY (
            ARRAY['auto_tag_high_gravity', 'notify_memory_created', 'trigger_arc_building', 'cleanup_old_cache']::pg_catalog.name[]);
    IF v_functions IS NOT NULL THEN
        RAISE EXCEPTION 'functions that gravity_memory brings exist already: %', v_functions
            USING ERRCODE = 'duplicate_function',
                  HINT = pg_catalog.format('Run DROP FUNCTION %s CASCADE; it drops their triggers too, and no row. Then try again.',
                                           v_functions);
    END IF;
END
$preflight$;

-- sql/tables/_gravity_memory_qualified_name.sql

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

-- sql/settings/_gravity_memory_setting_definitions.sql

-- _gravity_memory_setting_definitions(): the settings that exist, each with its default.
--
-- This is the only place where a default stands. Defaults marked (spec) are the values written in the specification of the
-- database layer; the others follow from measurements or from PostgreSQL's own limits.
-- Returns one row per setting: kind (how a value is checked), default, bounds for numbers, allowed values for choices,
-- unit and meaning.
CREATE FUNCTION @extschema@._gravity_memory_setting_definitions()
RETURNS TABLE (name text, kind text, default_value text, minimum numeric, maximum numeric, choices text[], unit text, meaning text)
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $_gravity_memory_setting_definitions$
VALUES
    -- Tagging.
    ('high_gravity_threshold', 'number', '0.85', 0::numeric, 1::numeric, NULL::text[], 'gravity 0..1',
     'A memory with at least this gravity gets the tag high_gravity and becomes an identity anchor (spec).'),
    ('identity_entities', 'list', '{Blu,Matt,Atlas,Ivy}', NULL, NULL, NULL, 'list of entities',
     'A memory that names these entities gets the tag identity (spec). An empty list tags nothing.'),
    ('identity_match', 'choice', 'all', NULL, NULL, '{all,any}', '',
     'Whether all identity entities must be present (spec), or any one of them.'),
    ('temporal_past_pattern', 'pattern', '\m(yesterday|last\s+week|remember(s|ed|ing)?|before)\M', NULL, NULL, NULL,
     'regular expression', 'Content that matches, in any case, is past (spec, on whole words).'),
    ('temporal_future_pattern', 'pattern',
     '\m(tomorrow|next\s+week|will|won[''\u2019]t|plan(s|ned|ning)?|going\s+to)\M|[''\u2019]ll\M', NULL, NULL, NULL,
     'regular expression', 'Content that matches, in any case, and is not past is future (spec, on whole words).'),
    -- Arcs.
    ('arc_gravity_threshold', 'number', '0.8', 0, 1, NULL, 'gravity 0..1',
     'Memories with at least this gravity form arcs (spec). Below 0.8 the cluster index does not serve and arcs cost more.'),
    ('arc_window', 'interval', '24 hours', NULL, NULL, NULL, 'interval',
     'Memories form an arc when enough of them were created within less than this time of each other (spec).'),
    ('arc_min_memories', 'integer', '3', 2, 100, NULL, 'memories',
     'How many memories within the window form an arc (spec).'),
    ('arc_fusion_strength', 'number', '0.8', 0, 1, NULL, 'strength 0..1',
     'The fusion_strength of the links that the database makes (spec).'),
    ('arc_active_members', 'integer', '5', 1, 1000000, NULL, 'memories',
     'A forming arc becomes active at this many members.'),
    ('arc_mature_members', 'integer', '20', 1, 1000000, NULL, 'memories',
     'An active arc becomes mature, and takes no more members, at this many members.'),
    ('arc_mature_after', 'interval', '7 days', NULL, NULL, NULL, 'interval',
     'An active arc becomes mature at this age, whatever its size.'),
    ('arc_dormant_after', 'interval', '7 days', NULL, NULL, NULL, 'interval',
     'An arc becomes dormant when its newest member is this old.'),
    ('arc_evolution_schedule', 'schedule', '15 * * * *', NULL, NULL, NULL, 'cron schedule',
     'When the job evolve-arcs runs gravity_memory_evolve_arcs().'),
    -- Notifications.
    ('notify', 'choice', 'payload', NULL, NULL, '{payload,off}', '',
     'payload: memory_created, memory_updated and arc_created are announced with their data (spec). off: nothing is announced.'),
    ('notify_bulk_rows', 'integer', '1000', 0, 1000000, NULL, 'rows',
     'A statement that writes more rows than this announces one message per user, with a count.'),
    ('notify_queue_limit', 'number', '0.5', 0, 1, NULL, 'share 0..1',
     'Nothing is announced while more than this share of PostgreSQL''s notification queue is in use: a full queue would '
     'fail every commit.'),
    -- Cleanup.
    ('cache_retention', 'interval', '24 hours', NULL, NULL, NULL, 'interval',
     'cleanup_old_cache() deletes entries of consciousness_cache that are older (spec).'),
    ('cache_cleanup_schedule', 'schedule', '0 * * * *', NULL, NULL, NULL, 'cron schedule',
     'When the job cleanup-cache runs cleanup_old_cache() (spec).'),
    -- Indexes.
    ('embedding_lists', 'integer', '100', 1, 32768, NULL, 'lists',
     'The number of lists of the two ivfflat indexes on embedding (spec), used when they are created.'),
    ('setup_index_limit', 'integer', '100', 0, 1000000, NULL, 'MB',
     'gravity_memory_setup() builds missing indexes itself on tables up to this size; on larger ones it would block writers '
     'for long and points to gravity_memory_index_ddl() instead.')
$_gravity_memory_setting_definitions$;

COMMENT ON FUNCTION @extschema@._gravity_memory_setting_definitions() IS
    'The settings of gravity_memory with kind, default, bounds, unit and meaning.';

-- sql/settings/_gravity_memory_default_settings.sql

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

-- sql/settings/_gravity_memory_effective_settings.sql

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

-- sql/schedules/_gravity_memory_is_schedule.sql

-- _gravity_memory_is_schedule(p_schedule): is this a schedule that pg_cron takes?
--
-- Five fields (minute, hour, day of month, month, day of week) of *, numbers in range, ranges, steps, lists and English
-- abbreviations, with $ for the last day of the month; or '1 second' to '59 seconds', which needs pg_cron 1.5.
CREATE FUNCTION @extschema@._gravity_memory_is_schedule(p_schedule text)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $_gravity_memory_is_schedule$
    SELECT p_schedule ~ '^\s*([1-9]|[1-5][0-9])\s+seconds?\s*$'
        OR COALESCE((
            SELECT cardinality(f.fields) = 5
                   AND bool_and(f.fields[n.ordinality] ~* format('^(\*|(%1$s)(-(%1$s))?)(/[1-9][0-9]?)?(,(\*|(%1$s)(-(%1$s))?)(/[1-9][0-9]?)?)*$', n.value))
            FROM (SELECT regexp_split_to_array(btrim(p_schedule), '\s+') AS fields) AS f
            CROSS JOIN unnest(ARRAY[
                '[0-5]?[0-9]',
                '[01]?[0-9]|2[0-3]',
                '0?[1-9]|[12][0-9]|3[01]|[$]',
                '0?[1-9]|1[0-2]|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec',
                '[0-7]|sun|mon|tue|wed|thu|fri|sat'
            ]) WITH ORDINALITY AS n (value, ordinality)
            GROUP BY f.fields), false)
$_gravity_memory_is_schedule$;

COMMENT ON FUNCTION @extschema@._gravity_memory_is_schedule(text) IS
    'Whether a text is a schedule that pg_cron takes.';

-- sql/settings/_gravity_memory_checked_setting.sql

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
            WHEN 'schedule' THEN
                IF NOT @extschema@._gravity_memory_is_schedule(p_value) THEN
                    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'bad schedule';
                END IF;
                v_checked := btrim(p_value);
        END CASE;
    EXCEPTION WHEN data_exception OR syntax_error_or_access_rule_violation THEN
        RAISE EXCEPTION 'invalid value for gravity_memory setting %: %', p_name, COALESCE(quote_literal(left(p_value, 200)), 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = format('It takes %s. The default is %L.', v_allowed, v_definition.default_value);
    END;
    RETURN v_checked;
END
$_gravity_memory_checked_setting$;

COMMENT ON FUNCTION @extschema@._gravity_memory_checked_setting(text, text) IS
    'Checks a setting''s value and returns it in its stored form; refuses unknown names and impossible values.';

-- sql/settings/gravity_memory_settings.sql

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
    'Lists every setting: the value in force, its default, unit and meaning.';

-- sql/schedules/_gravity_memory_job_catalogue.sql

-- _gravity_memory_job_catalogue(): the jobs that keep a database in order, with the schedules in force.
--
-- cleanup-cache and its hourly schedule come from the specification. The commands name their schema, because pg_cron runs them
-- with the search_path of the role.
CREATE FUNCTION @extschema@._gravity_memory_job_catalogue()
RETURNS TABLE (job_name text, schedule text, command text)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_job_catalogue$
    SELECT j.job_name, s.settings ->> j.setting, j.command
    FROM (VALUES
            ('cleanup-cache', 'cache_cleanup_schedule', 'SELECT @extschema@.cleanup_old_cache()'),
            ('evolve-arcs', 'arc_evolution_schedule', 'SELECT @extschema@.gravity_memory_evolve_arcs()')
         ) AS j (job_name, setting, command)
    CROSS JOIN (SELECT @extschema@._gravity_memory_effective_settings() AS settings) AS s
$_gravity_memory_job_catalogue$;

COMMENT ON FUNCTION @extschema@._gravity_memory_job_catalogue() IS
    'The scheduled jobs of gravity_memory: name, schedule in force, command.';

-- sql/schedules/gravity_memory_schedule_jobs.sql

-- gravity_memory_schedule_jobs(): schedules the jobs cleanup-cache and evolve-arcs in pg_cron, or says how to run them elsewhere.
--
-- Returns the names of the jobs it created or changed: none when all is as it should be, so it can be called at any time.
-- Where pg_cron is not in this database, or a job of that name runs something else, a NOTICE says what to run where. It never raises an error: a database
-- without its jobs still works.
CREATE FUNCTION @extschema@.gravity_memory_schedule_jobs()
RETURNS SETOF text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_schedule_jobs$
DECLARE
    v_job record;
    v_is_current boolean;
    v_is_taken boolean;
    v_cron_database text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron') THEN
        BEGIN
            v_cron_database := current_setting('cron.database_name', true);
        EXCEPTION WHEN insufficient_privilege THEN
            -- pg_cron shows it to superusers and pg_read_all_settings only; the advice is more general then.
            v_cron_database := NULL;
        END;
        FOR v_job IN SELECT c.* FROM @extschema@._gravity_memory_job_catalogue() AS c LOOP
            RAISE NOTICE 'gravity_memory: the job % is not scheduled, pg_cron is not in this database. %', v_job.job_name,
                CASE
                    WHEN v_cron_database = current_database() THEN
                        'Here, run: CREATE EXTENSION pg_cron; SELECT @extschema@.gravity_memory_schedule_jobs();'
                    WHEN v_cron_database IS NOT NULL THEN
                        format('In database %I, run: SELECT cron.schedule_in_database(%L, %L, %L, %L);', v_cron_database,
                               v_job.job_name || ' ' || current_database(), v_job.schedule, v_job.command, current_database())
                    ELSE
                        format('Run this from a scheduler of your choice, at %s: psql -d %s -c %s', v_job.schedule,
                               quote_literal(current_database()), quote_literal(v_job.command))
                END;
        END LOOP;
        RETURN;
    END IF;

    FOR v_job IN SELECT c.* FROM @extschema@._gravity_memory_job_catalogue() AS c LOOP
        BEGIN
            EXECUTE 'SELECT EXISTS (SELECT FROM cron.job AS j WHERE j.jobname = $1 AND j.schedule = $2 AND j.command = $3'
                    ' AND j.database = current_database())'
                INTO v_is_current USING v_job.job_name, v_job.schedule, v_job.command;
            EXECUTE 'SELECT EXISTS (SELECT FROM cron.job AS j WHERE j.jobname = $1 AND j.command <> $2 AND j.username = current_user)'
                INTO v_is_taken USING v_job.job_name, v_job.command;
            IF v_is_taken THEN
                RAISE NOTICE 'gravity_memory: the job % is not scheduled, because a job of that name runs something else. %', v_job.job_name,
                    format('Under another name, run: SELECT cron.schedule(%L, %L, %L);',
                           'gravity_memory ' || v_job.job_name, v_job.schedule, v_job.command);
            ELSIF NOT v_is_current THEN
                EXECUTE 'SELECT cron.schedule($1, $2, $3)' USING v_job.job_name, v_job.schedule, v_job.command;
                RETURN QUERY SELECT v_job.job_name;
            END IF;
        EXCEPTION WHEN OTHERS THEN
            RAISE NOTICE 'gravity_memory: the job % could not be scheduled (%). A role that may use pg_cron can run: %',
                v_job.job_name, SQLERRM,
                format('SELECT cron.schedule(%L, %L, %L);', v_job.job_name, v_job.schedule, v_job.command);
        END;
    END LOOP;
END
$gravity_memory_schedule_jobs$;

COMMENT ON FUNCTION @extschema@.gravity_memory_schedule_jobs() IS
    'Schedules cleanup-cache and evolve-arcs in pg_cron and returns the jobs it changed; without pg_cron, a NOTICE says what to run.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_schedule_jobs() FROM PUBLIC;

-- sql/schedules/gravity_memory_unschedule_jobs.sql

-- gravity_memory_unschedule_jobs(): removes this database's jobs of gravity_memory from pg_cron, and no others.
--
-- A job is ours when both its name and its command are: another job that happens to be called cleanup-cache stays.
-- Returns the names of the jobs it removed.
CREATE FUNCTION @extschema@.gravity_memory_unschedule_jobs()
RETURNS SETOF text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_unschedule_jobs$
DECLARE
    v_job record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron')
       OR NOT has_schema_privilege('cron', 'USAGE') THEN
        RETURN;
    END IF;
    FOR v_job IN EXECUTE
        'SELECT j.jobid, j.jobname FROM cron.job AS j'
        ' JOIN @extschema@._gravity_memory_job_catalogue() AS c ON c.job_name = j.jobname AND c.command = j.command'
        ' WHERE j.database = current_database() ORDER BY j.jobname'
    LOOP
        EXECUTE 'SELECT cron.unschedule($1)' USING v_job.jobid;
        RETURN QUERY SELECT v_job.jobname::text;
    END LOOP;
END
$gravity_memory_unschedule_jobs$;

COMMENT ON FUNCTION @extschema@.gravity_memory_unschedule_jobs() IS
    'Removes the jobs of gravity_memory from pg_cron and returns their names; other jobs stay.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_unschedule_jobs() FROM PUBLIC;

-- sql/settings/gravity_memory_set.sql

-- gravity_memory_set(p_name, p_value): changes a setting for the whole database, from the next statement on.
--
-- Returns the value as stored. Setting a default stores no override. A setting that holds a schedule is applied to pg_cron
-- at once. Only the owner of the settings table may call it; others are refused by the table's privileges.
-- Errors: 22023 for an unknown name or an impossible value (the HINT names the valid ones); 55000 when setup has not run.
CREATE FUNCTION @extschema@.gravity_memory_set(p_name text, p_value text)
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_set$
DECLARE
    v_value CONSTANT text := @extschema@._gravity_memory_checked_setting(p_name, p_value);
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
    RETURN v_value;
END
$gravity_memory_set$;

COMMENT ON FUNCTION @extschema@.gravity_memory_set(text, text) IS
    'Changes a setting for the whole database and returns the stored value; refuses unknown names and impossible values.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_set(text, text) FROM PUBLIC;

-- sql/settings/gravity_memory_reset.sql

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
    'Gives a setting its default back and returns it; refuses unknown names.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_reset(text) FROM PUBLIC;

-- sql/tables/_gravity_memory_vector_schema.sql

-- _gravity_memory_vector_schema(): the schema pgvector lives in, which need not be ours.
--
-- Looked up, because @extschema:vector@ needs PostgreSQL 16.
CREATE FUNCTION @extschema@._gravity_memory_vector_schema()
RETURNS name
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_vector_schema$
    SELECT n.nspname
    FROM pg_extension AS e
    JOIN pg_namespace AS n ON n.oid = e.extnamespace
    WHERE e.extname = 'vector'
$_gravity_memory_vector_schema$;

COMMENT ON FUNCTION @extschema@._gravity_memory_vector_schema() IS
    'The schema that the extension vector is installed in.';

-- sql/tables/_gravity_memory_embedding_dimensions.sql

-- _gravity_memory_embedding_dimensions(): how many dimensions a new embedding column gets.
--
-- Read from the configuration parameter gravity_memory.embedding_dimensions, which one sets before CREATE EXTENSION or
-- gravity_memory_setup(); 1536 when it is not set. An existing column keeps its own dimension.
-- Errors: 22023 unless it is a whole number from 1 to 2000. The limit is that of pgvector's indexes on type vector.
CREATE FUNCTION @extschema@._gravity_memory_embedding_dimensions()
RETURNS integer
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_embedding_dimensions$
DECLARE
    v_text CONSTANT text := btrim(COALESCE(NULLIF(current_setting('gravity_memory.embedding_dimensions', true), ''), '1536'));
BEGIN
    IF v_text !~ '^[0-9]{1,9}$' OR v_text::integer NOT BETWEEN 1 AND 2000 THEN
        RAISE EXCEPTION 'gravity_memory.embedding_dimensions must be a whole number from 1 to 2000, not %', quote_literal(v_text)
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = 'The ivfflat and hnsw indexes of pgvector take vectors of at most 2000 dimensions.',
                  HINT = 'For example: SET gravity_memory.embedding_dimensions = 384; a model with more than 2000 dimensions '
                         'usually offers a shortened output.';
    END IF;
    RETURN v_text::integer;
END
$_gravity_memory_embedding_dimensions$;

COMMENT ON FUNCTION @extschema@._gravity_memory_embedding_dimensions() IS
    'The dimension of a new embedding column, from gravity_memory.embedding_dimensions (1 to 2000, default 1536).';

-- sql/tables/_gravity_memory_table_catalogue.sql

-- _gravity_memory_table_catalogue(): the tables that setup creates or adopts, in an order in which foreign keys can be made.
--
-- table_constraints are added only when setup creates the table: an adopted table keeps the constraints its owner chose.
CREATE FUNCTION @extschema@._gravity_memory_table_catalogue()
RETURNS TABLE (table_name text, table_constraints text[], purpose text)
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_table_catalogue$
VALUES
    ('gravity_map',
     ARRAY['PRIMARY KEY (id)',
           'CONSTRAINT gravity_map_gravity_score_range CHECK (gravity_score >= 0 AND gravity_score <= 1)'],
     'The memories: one row each, with content, embedding, gravity (importance), emotion and entities.'),
    ('memory_arcs',
     ARRAY['PRIMARY KEY (id)'],
     'Arcs: groups of memories that belong together. Arcs named ''<emotion> arc (auto-created)'' are kept by gravity_memory.'),
    ('memory_arc_associations',
     ARRAY['PRIMARY KEY (memory_id, arc_id)',
           'FOREIGN KEY (memory_id) REFERENCES @extschema@.gravity_map (id) ON DELETE CASCADE',
           'FOREIGN KEY (arc_id) REFERENCES @extschema@.memory_arcs (id) ON DELETE CASCADE'],
     'Which memory belongs to which arc, and how strongly.'),
    ('consciousness_cache',
     ARRAY['PRIMARY KEY (id)'],
     'Cached answers; cleanup_old_cache() deletes them when they are a day old.'),
    ('active_sessions',
     ARRAY['PRIMARY KEY (session_id)'],
     'Sessions of the application and their state.'),
    ('pattern_matrix',
     ARRAY['PRIMARY KEY (id)'],
     'Patterns that the application found in a user''s memories.'),
    ('memory_arc_locks',
     ARRAY['PRIMARY KEY (user_id, emotion_type)'],
     'Whoever looks for clusters of a user and emotion locks the row here, so that concurrent writers see each other''s '
     'memories. A row without an emotion, never seen by others, has an arc recounted at the commit. Rows may be deleted.'),
    ('gravity_memory_settings',
     ARRAY['PRIMARY KEY (name)'],
     'Settings that differ from their defaults; see gravity_memory_set() and gravity_memory_settings().')
$_gravity_memory_table_catalogue$;

COMMENT ON FUNCTION @extschema@._gravity_memory_table_catalogue() IS
    'The tables of gravity_memory in creation order, with the constraints of a newly created one.';

-- sql/tables/_gravity_memory_column_catalogue.sql

-- _gravity_memory_column_catalogue(): the columns of every table.
--
-- data_type and modifiers make the column; also_accepted lists other types that an adopted table may have there, by the name
-- that format_type() gives without a length. identifiers of conversations may be uuid, as they are in the live application.
-- A column that is NOT NULL without a default cannot be added to a table with rows: adoption requires it to be there.
CREATE FUNCTION @extschema@._gravity_memory_column_catalogue()
RETURNS TABLE (table_name text, ordinal integer, column_name text, data_type text, modifiers text, also_accepted text[])
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_column_catalogue$
SELECT c.table_name, c.ordinal, c.column_name,
       CASE c.data_type
           WHEN 'vector' THEN format('%I.vector(%s)', @extschema@._gravity_memory_vector_schema(),
                                     @extschema@._gravity_memory_embedding_dimensions())
           ELSE c.data_type
       END,
       c.modifiers, c.also_accepted
FROM (VALUES
    ('gravity_map',  1, 'id',              'uuid',             'NOT NULL DEFAULT gen_random_uuid()', '{}'::text[]),
    ('gravity_map',  2, 'user_id',         'text',             'NOT NULL', '{character varying}'),
    ('gravity_map',  3, 'thread_id',       'text',             '', '{character varying,uuid}'),
    ('gravity_map',  4, 'session_id',      'text',             '', '{character varying,uuid}'),
    ('gravity_map',  5, 'memory_trace_id', 'text',             '', '{character varying,uuid}'),
    ('gravity_map',  6, 'content',         'text',             '', '{character varying}'),
    ('gravity_map',  7, 'summary',         'text',             '', '{character varying}'),
    ('gravity_map',  8, 'topic',           'text',             '', '{character varying}'),
    ('gravity_map',  9, 'gravity_score',   'double precision', 'DEFAULT 0.5', '{numeric}'),
    ('gravity_map', 10, 'emotion_type',    'text',             '', '{character varying}'),
    ('gravity_map', 11, 'entities',        'text[]',           '', '{}'),
    ('gravity_map', 12, 'meta_tags',       'text[]',           'DEFAULT ''{}''', '{}'),
    ('gravity_map', 13, 'identity_anchor', 'boolean',          'NOT NULL DEFAULT false', '{}'),
    ('gravity_map', 14, 'temporal_type',   'text',             '', '{character varying}'),
    ('gravity_map', 15, 'embedding',       'vector',           '', '{}'),
    ('gravity_map', 16, 'metadata',        'jsonb',            'NOT NULL DEFAULT ''{}''', '{}'),
    ('gravity_map', 17, 'created_at',      'timestamp with time zone', 'NOT NULL DEFAULT now()', '{}'),
    ('gravity_map', 18, 'updated_at',      'timestamp with time zone', 'NOT NULL DEFAULT now()', '{}'),

    ('memory_arcs',  1, 'id',              'uuid',             'NOT NULL DEFAULT gen_random_uuid()', '{}'),
    ('memory_arcs',  2, 'user_id',         'text',             'NOT NULL', '{character varying}'),
    ('memory_arcs',  3, 'arc_name',        'text',             'NOT NULL', '{character varying}'),
    ('memory_arcs',  4, 'emotion_type',    'text',             '', '{character varying}'),
    ('memory_arcs',  5, 'gravity_center',  'double precision', '', '{numeric}'),
    ('memory_arcs',  6, 'evolution_stage', 'text',             'DEFAULT ''forming''', '{character varying}'),
    ('memory_arcs',  7, 'memory_count',    'integer',          'DEFAULT 0', '{bigint}'),
    ('memory_arcs',  8, 'peak_gravity',    'double precision', '', '{numeric}'),
    ('memory_arcs',  9, 'growth_vector',   'jsonb',            '', '{}'),
    ('memory_arcs', 10, 'first_memory_at', 'timestamp with time zone', '', '{}'),
    ('memory_arcs', 11, 'last_memory_at',  'timestamp with time zone', '', '{}'),
    ('memory_arcs', 12, 'created_at',      'timestamp with time zone', 'NOT NULL DEFAULT now()', '{}'),
    ('memory_arcs', 13, 'updated_at',      'timestamp with time zone', 'NOT NULL DEFAULT now()', '{}'),

    ('memory_arc_associations', 1, 'memory_id',       'uuid',             'NOT NULL', '{}'),
    ('memory_arc_associations', 2, 'arc_id',          'uuid',             'NOT NULL', '{}'),
    ('memory_arc_associations', 3, 'user_id',         'text',             '', '{character varying}'),
    ('memory_arc_associations', 4, 'fusion_strength', 'double precision', '', '{numeric}'),
    ('memory_arc_associations', 5, 'created_at',      'timestamp with time zone', 'NOT NULL DEFAULT now()', '{}'),

    ('consciousness_cache', 1, 'id',             'uuid',             'NOT NULL DEFAULT gen_random_uuid()', '{}'),
    ('consciousness_cache', 2, 'user_id',        'text',             '', '{character varying}'),
    ('consciousness_cache', 3, 'query_hash',     'text',             '', '{character varying}'),
    ('consciousness_cache', 4, 'query_text',     'text',             '', '{character varying}'),
    ('consciousness_cache', 5, 'response',       'text',             '', '{character varying}'),
    ('consciousness_cache', 6, 'confidence',     'double precision', '', '{numeric}'),
    ('consciousness_cache', 7, 'accessed_count', 'integer',          'DEFAULT 0', '{bigint}'),
    ('consciousness_cache', 8, 'last_accessed',  'timestamp with time zone', '', '{}'),
    ('consciousness_cache', 9, 'created_at',     'timestamp with time zone', 'NOT NULL DEFAULT now()', '{}'),

    ('active_sessions',  1, 'session_id',      'text',    'NOT NULL', '{character varying,uuid}'),
    ('active_sessions',  2, 'user_id',         'text',    '', '{character varying}'),
    ('active_sessions',  3, 'thread_id',       'text',    '', '{character varying,uuid}'),
    ('active_sessions',  4, 'session_status',  'text',    'DEFAULT ''active''', '{character varying}'),
    ('active_sessions',  5, 'message_count',   'integer', 'DEFAULT 0', '{bigint}'),
    ('active_sessions',  6, 'current_mode',    'text',    '', '{character varying}'),
    ('active_sessions',  7, 'mode_history',    'jsonb',   'DEFAULT ''[]''', '{}'),
    ('active_sessions',  8, 'started_at',      'timestamp with time zone', 'DEFAULT now()', '{}'),
    ('active_sessions',  9, 'last_message_at', 'timestamp with time zone', 'DEFAULT now()', '{}'),
    ('active_sessions', 10, 'created_at',      'timestamp with time zone', 'NOT NULL DEFAULT now()', '{}'),
    ('active_sessions', 11, 'updated_at',      'timestamp with time zone', 'NOT NULL DEFAULT now()', '{}'),

    ('pattern_matrix',  1, 'id',             'uuid',             'NOT NULL DEFAULT gen_random_uuid()', '{}'),
    ('pattern_matrix',  2, 'user_id',        'text',             '', '{character varying}'),
    ('pattern_matrix',  3, 'pattern_type',   'text',             '', '{character varying}'),
    ('pattern_matrix',  4, 'description',    'text',             '', '{character varying}'),
    ('pattern_matrix',  5, 'intensity',      'double precision', '', '{numeric}'),
    ('pattern_matrix',  6, 'instances',      'jsonb',            '', '{}'),
    ('pattern_matrix',  7, 'status',         'text',             'DEFAULT ''active''', '{character varying}'),
    ('pattern_matrix',  8, 'first_detected', 'timestamp with time zone', '', '{}'),
    ('pattern_matrix',  9, 'last_observed',  'timestamp with time zone', '', '{}'),
    ('pattern_matrix', 10, 'created_at',     'timestamp with time zone', 'NOT NULL DEFAULT now()', '{}'),
    ('pattern_matrix', 11, 'metadata',       'jsonb',            'DEFAULT ''{}''', '{}'),

    ('memory_arc_locks', 1, 'user_id',      'text', 'NOT NULL', '{}'),
    ('memory_arc_locks', 2, 'emotion_type', 'text', 'NOT NULL', '{}'),

    ('gravity_memory_settings', 1, 'name',  'text', 'NOT NULL', '{}'),
    ('gravity_memory_settings', 2, 'value', 'text', 'NOT NULL', '{}')
) AS c (table_name, ordinal, column_name, data_type, modifiers, also_accepted)
$_gravity_memory_column_catalogue$;

COMMENT ON FUNCTION @extschema@._gravity_memory_column_catalogue() IS
    'The columns of every table of gravity_memory: type, modifiers, and types that an adopted table may have instead.';

-- sql/indexes/gravity_memory_index_catalogue.sql

-- gravity_memory_index_catalogue(): every index, the query it serves, and whether the specification names it.
--
-- Returns index_name, table_name, is_unique, definition (what follows the table's name in CREATE INDEX), serves (a query that can
-- be run once its :parameters are filled in; the planner tests run exactly these) and in_spec.
-- All 22 indexes of the specification are here under its names. The others serve queries that the application issues and
-- no index of the specification serves, or serves only with a sort.
CREATE FUNCTION @extschema@.gravity_memory_index_catalogue()
RETURNS TABLE (index_name text, table_name text, is_unique boolean, definition text, serves text, in_spec boolean)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_index_catalogue$
SELECT i.index_name, i.table_name, i.is_unique,
       replace(replace(i.definition, ':vector_schema', quote_ident(@extschema@._gravity_memory_vector_schema())),
               ':lists', @extschema@._gravity_memory_effective_settings() ->> 'embedding_lists'),
       i.serves, i.in_spec
FROM (VALUES
    -- Memories: the specification's indexes.
    ('idx_gravity_map_user_id', 'gravity_map', false, '(user_id)',
     'SELECT count(*) FROM gravity_map WHERE user_id = :user_id', true),
    ('idx_gravity_map_thread_id', 'gravity_map', false, '(thread_id) WHERE thread_id IS NOT NULL',
     'SELECT count(*) FROM gravity_map WHERE thread_id = :thread_id', true),
    ('idx_gravity_map_session_id', 'gravity_map', false, '(session_id) WHERE session_id IS NOT NULL',
     'SELECT count(*) FROM gravity_map WHERE session_id = :session_id', true),
    ('idx_gravity_map_memory_trace_id', 'gravity_map', false, '(memory_trace_id)',
     'SELECT id, content FROM gravity_map WHERE memory_trace_id = :memory_trace_id ORDER BY created_at', true),
    ('idx_gravity_map_created_at', 'gravity_map', false, '(created_at DESC)',
     'SELECT id, user_id, created_at FROM gravity_map ORDER BY created_at DESC LIMIT 50', true),
    ('idx_gravity_map_user_created', 'gravity_map', false, '(user_id, created_at DESC)',
     'SELECT id, content, created_at FROM gravity_map WHERE user_id = :user_id ORDER BY created_at DESC LIMIT 50', true),
    ('idx_gravity_map_high_gravity', 'gravity_map', false, '(user_id, gravity_score DESC) WHERE gravity_score >= 0.7',
     'SELECT id, content, gravity_score FROM gravity_map WHERE user_id = :user_id AND gravity_score >= 0.7 '
     'ORDER BY gravity_score DESC LIMIT 20', true),
    ('idx_gravity_map_identity_anchors', 'gravity_map', false, '(user_id, identity_anchor) WHERE identity_anchor = true',
     'SELECT count(*) FROM gravity_map WHERE user_id = :user_id AND identity_anchor = true', true),
    ('idx_gravity_map_entities', 'gravity_map', false, 'USING gin (entities)',
     'SELECT id, content FROM gravity_map WHERE entities @> :entities', true),
    ('idx_gravity_map_emotion', 'gravity_map', false, '(user_id, emotion_type) WHERE emotion_type IS NOT NULL',
     'SELECT count(*) FROM gravity_map WHERE user_id = :user_id AND emotion_type = :emotion_type', true),
    ('idx_gravity_map_temporal', 'gravity_map', false, '(temporal_type) WHERE temporal_type IS NOT NULL',
     'SELECT count(*) FROM gravity_map WHERE temporal_type = :temporal_type', true),
    ('idx_gravity_map_tags', 'gravity_map', false, 'USING gin (meta_tags)',
     'SELECT id, content FROM gravity_map WHERE meta_tags @> :meta_tags', true),
    ('idx_gravity_map_embedding_cosine', 'gravity_map', false,
     'USING ivfflat (embedding :vector_schema.vector_cosine_ops) WITH (lists = :lists)',
     'SELECT id, content FROM gravity_map ORDER BY embedding <=> :embedding LIMIT 10', true),
    ('idx_gravity_map_embedding_l2', 'gravity_map', false,
     'USING ivfflat (embedding :vector_schema.vector_l2_ops) WITH (lists = :lists)',
     'SELECT id, content FROM gravity_map ORDER BY embedding <-> :embedding LIMIT 10', true),

    -- Memories: what the application's queries need besides.
    ('idx_gravity_map_user_significant', 'gravity_map', false, '(user_id, created_at DESC) WHERE gravity_score >= 0.7',
     'SELECT * FROM gravity_map WHERE user_id = :user_id AND created_at > now() - interval ''7 days'' '
     'AND gravity_score >= 0.7 ORDER BY created_at DESC LIMIT 50', false),
    ('idx_gravity_map_user_thread', 'gravity_map', false, '(user_id, thread_id, created_at DESC) WHERE thread_id IS NOT NULL',
     'SELECT id, content, created_at FROM gravity_map WHERE user_id = :user_id AND thread_id = :thread_id '
     'ORDER BY created_at DESC LIMIT 50', false),
    ('idx_gravity_map_user_session', 'gravity_map', false, '(user_id, session_id, created_at DESC) WHERE session_id IS NOT NULL',
     'SELECT id, content, created_at FROM gravity_map WHERE user_id = :user_id AND session_id = :session_id '
     'ORDER BY created_at DESC LIMIT 50', false),
    ('idx_gravity_map_user_gravity', 'gravity_map', false, '(user_id, gravity_score DESC)',
     'SELECT id, content, gravity_score FROM gravity_map WHERE user_id = :user_id AND gravity_score >= 0.375 '
     'ORDER BY gravity_score DESC LIMIT 20', false),
    ('idx_gravity_map_arc_cluster', 'gravity_map', false,
     '(user_id, emotion_type, created_at, id) WHERE gravity_score >= 0.8',
     'SELECT id, created_at FROM gravity_map WHERE user_id = :user_id AND emotion_type = :emotion_type '
     'AND gravity_score >= 0.8 AND created_at <= :created_at ORDER BY created_at DESC, id DESC LIMIT 3', false),

    -- Arcs and their members.
    ('idx_memory_arcs_user', 'memory_arcs', false, '(user_id, evolution_stage)',
     'SELECT id, arc_name FROM memory_arcs WHERE user_id = :user_id AND evolution_stage = :evolution_stage '
     'ORDER BY last_memory_at DESC LIMIT 10', true),
    ('idx_memory_arcs_gravity', 'memory_arcs', false, '(gravity_center DESC)',
     'SELECT id, arc_name, gravity_center FROM memory_arcs ORDER BY gravity_center DESC LIMIT 10', true),
    ('idx_memory_arcs_open_automatic', 'memory_arcs', true,
     '(user_id, emotion_type) WHERE evolution_stage IN (''forming'', ''active'') '
     'AND arc_name = emotion_type || '' arc (auto-created)''',
     'SELECT id FROM memory_arcs WHERE user_id = :user_id AND emotion_type = :emotion_type '
     'AND evolution_stage IN (''forming'', ''active'') AND arc_name = emotion_type || '' arc (auto-created)''', false),
    ('idx_arc_associations_memory', 'memory_arc_associations', false, '(memory_id)',
     'SELECT count(*) FROM memory_arc_associations WHERE memory_id = :memory_id', true),
    ('idx_arc_associations_arc', 'memory_arc_associations', false, '(arc_id, fusion_strength DESC)',
     'SELECT memory_id, fusion_strength FROM memory_arc_associations WHERE arc_id = :arc_id '
     'ORDER BY fusion_strength DESC LIMIT 5', true),

    -- Cache, sessions, patterns.
    ('idx_consciousness_cache_lookup', 'consciousness_cache', false, '(user_id, query_hash, created_at DESC)',
     'SELECT response, confidence FROM consciousness_cache WHERE user_id = :user_id AND query_hash = :query_hash '
     'AND created_at > now() - interval ''1 hour'' ORDER BY created_at DESC LIMIT 1', false),
    ('idx_consciousness_cache_created_at', 'consciousness_cache', false, '(created_at)',
     'SELECT id FROM consciousness_cache WHERE created_at < now() - interval ''24 hours''', false),
    ('idx_active_sessions_user', 'active_sessions', false, '(user_id, session_status)',
     'SELECT session_id, last_message_at FROM active_sessions WHERE user_id = :user_id AND session_status = :session_status',
     true),
    ('idx_active_sessions_updated', 'active_sessions', false, '(last_message_at DESC)',
     'SELECT session_id, user_id FROM active_sessions ORDER BY last_message_at DESC LIMIT 50', true),
    ('idx_pattern_matrix_user', 'pattern_matrix', false, '(user_id, intensity DESC)',
     'SELECT id, description, intensity FROM pattern_matrix WHERE user_id = :user_id ORDER BY intensity DESC LIMIT 20', true),
    ('idx_pattern_matrix_type', 'pattern_matrix', false, '(pattern_type)',
     'SELECT count(*) FROM pattern_matrix WHERE pattern_type = :pattern_type', true)
) AS i (index_name, table_name, is_unique, definition, serves, in_spec)
$gravity_memory_index_catalogue$;

COMMENT ON FUNCTION @extschema@.gravity_memory_index_catalogue() IS
    'Every index of gravity_memory: definition, the query it serves, and whether the specification names it.';

-- sql/indexes/_gravity_memory_missing_indexes.sql

-- _gravity_memory_missing_indexes(): the indexes of the catalogue that a database lacks.
--
-- An index is there when one of its name stands on its table and is valid: a DBA may have tuned its definition. An invalid index,
-- left by an interrupted CREATE INDEX CONCURRENTLY, counts as missing and has to be dropped first.
-- Returns the table, the CREATE INDEX statement without and with CONCURRENTLY, and whether an invalid index is in the way.
CREATE FUNCTION @extschema@._gravity_memory_missing_indexes()
RETURNS TABLE (index_name text, table_name text, statement text, concurrent_statement text, is_invalid boolean)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_missing_indexes$
    SELECT c.index_name, c.table_name,
           format('CREATE%s INDEX %I ON %s %s', u.word, c.index_name, t.name, c.definition),
           format('CREATE%s INDEX%s %I ON %s %s', u.word,
                  -- PostgreSQL builds no index of a partitioned table concurrently.
                  CASE WHEN (SELECT k.relkind FROM pg_class AS k WHERE k.oid = to_regclass(t.name)) = 'p' THEN '' ELSE ' CONCURRENTLY' END,
                  c.index_name, t.name, c.definition),
           i.indexrelid IS NOT NULL
    FROM @extschema@.gravity_memory_index_catalogue() AS c
    CROSS JOIN LATERAL (SELECT CASE WHEN c.is_unique THEN ' UNIQUE' ELSE '' END AS word) AS u
    CROSS JOIN LATERAL (SELECT @extschema@._gravity_memory_qualified_name(c.table_name) AS name) AS t
    LEFT JOIN pg_index AS i
           ON i.indexrelid = to_regclass(@extschema@._gravity_memory_qualified_name(c.index_name))
          AND i.indrelid = to_regclass(t.name)
    WHERE to_regclass(t.name) IS NOT NULL
      AND i.indisvalid IS NOT TRUE
      -- pgvector has no cosine index for vectors of one dimension, which have no angle.
      AND NOT (c.index_name = 'idx_gravity_map_embedding_cosine'
               AND EXISTS (SELECT FROM pg_attribute AS a
                           WHERE a.attrelid = to_regclass(t.name) AND a.attname = 'embedding' AND a.atttypmod = 1))
$_gravity_memory_missing_indexes$;

COMMENT ON FUNCTION @extschema@._gravity_memory_missing_indexes() IS
    'The indexes of the catalogue that are missing or invalid, with the statements that make them.';

-- sql/indexes/gravity_memory_index_ddl.sql

-- gravity_memory_index_ddl(): the statements that build the missing indexes without blocking writers.
--
-- Returns one statement per row, none when all indexes are there. Run each outside a transaction block, for example with
-- SELECT ddl FROM gravity_memory_index_ddl() AS ddl \gexec in psql. An invalid index, left by an interrupted build, is dropped first.
CREATE FUNCTION @extschema@.gravity_memory_index_ddl()
RETURNS SETOF text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_index_ddl$
    SELECT s.statement
    FROM @extschema@._gravity_memory_missing_indexes() AS m
    CROSS JOIN LATERAL (VALUES
            (1, CASE WHEN m.is_invalid THEN 'DROP INDEX CONCURRENTLY ' || @extschema@._gravity_memory_qualified_name(m.index_name) END),
            (2, m.concurrent_statement)
         ) AS s (step, statement)
    WHERE s.statement IS NOT NULL
    ORDER BY m.table_name, m.index_name, s.step
$gravity_memory_index_ddl$;

COMMENT ON FUNCTION @extschema@.gravity_memory_index_ddl() IS
    'The CREATE INDEX CONCURRENTLY statements for the indexes that are missing; run each outside a transaction block.';

-- sql/triggers/_gravity_memory_trigger_catalogue.sql

-- _gravity_memory_trigger_catalogue(): every trigger, in the words in which pg_get_triggerdef() prints it.
--
-- Setup compares the two texts, so a trigger that someone changed is put right and one that is right is not touched.
-- Only tagging changes the row, so only it runs BEFORE and per row; all else runs once per statement, because counting per
-- row made the cost of a bulk insert quadratic. Triggers with transition tables take one event each.
CREATE FUNCTION @extschema@._gravity_memory_trigger_catalogue()
RETURNS TABLE (trigger_name text, table_name text, definition text)
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_trigger_catalogue$
VALUES
    ('trigger_auto_tag_high_gravity', 'gravity_map',
     'CREATE TRIGGER trigger_auto_tag_high_gravity BEFORE INSERT OR UPDATE OF gravity_score, entities ON @extschema@.gravity_map '
     'FOR EACH ROW EXECUTE FUNCTION @extschema@.auto_tag_high_gravity()'),
    ('trigger_arc_building', 'gravity_map',
     'CREATE TRIGGER trigger_arc_building AFTER INSERT ON @extschema@.gravity_map REFERENCING NEW TABLE AS new_rows '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.trigger_arc_building()'),
    ('trigger_arc_building_on_update', 'gravity_map',
     'CREATE TRIGGER trigger_arc_building_on_update AFTER UPDATE ON @extschema@.gravity_map '
     'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.trigger_arc_building()'),
    ('trigger_arc_building_on_delete', 'gravity_map',
     'CREATE TRIGGER trigger_arc_building_on_delete AFTER DELETE ON @extschema@.gravity_map REFERENCING OLD TABLE AS old_rows '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.trigger_arc_building()'),
    ('trigger_notify_memory_created', 'gravity_map',
     'CREATE TRIGGER trigger_notify_memory_created AFTER INSERT ON @extschema@.gravity_map REFERENCING NEW TABLE AS new_rows '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.notify_memory_created()'),
    ('trigger_notify_memory_updated', 'gravity_map',
     'CREATE TRIGGER trigger_notify_memory_updated AFTER UPDATE ON @extschema@.gravity_map REFERENCING NEW TABLE AS new_rows '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.notify_memory_created()'),
    ('trigger_notify_arc_created', 'memory_arcs',
     'CREATE TRIGGER trigger_notify_arc_created AFTER INSERT ON @extschema@.memory_arcs REFERENCING NEW TABLE AS new_rows '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@.notify_arc_created()'),
    ('trigger_arc_totals_on_insert', 'memory_arc_associations',
     'CREATE TRIGGER trigger_arc_totals_on_insert AFTER INSERT ON @extschema@.memory_arc_associations '
     'REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._gravity_memory_keep_arc_totals()'),
    ('trigger_arc_totals_on_update', 'memory_arc_associations',
     'CREATE TRIGGER trigger_arc_totals_on_update AFTER UPDATE ON @extschema@.memory_arc_associations '
     'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._gravity_memory_keep_arc_totals()'),
    ('trigger_arc_totals_on_delete', 'memory_arc_associations',
     'CREATE TRIGGER trigger_arc_totals_on_delete AFTER DELETE ON @extschema@.memory_arc_associations '
     'REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._gravity_memory_keep_arc_totals()'),
    ('trigger_arc_totals_on_truncate', 'memory_arc_associations',
     'CREATE TRIGGER trigger_arc_totals_on_truncate AFTER TRUNCATE ON @extschema@.memory_arc_associations '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._gravity_memory_keep_arc_totals()'),
    ('trigger_arc_totals_at_commit', 'memory_arc_locks',
     'CREATE CONSTRAINT TRIGGER trigger_arc_totals_at_commit AFTER INSERT ON @extschema@.memory_arc_locks '
     'DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN ((new.emotion_type = ''''::text)) '
     'EXECUTE FUNCTION @extschema@._gravity_memory_settle_at_commit()')
$_gravity_memory_trigger_catalogue$;

COMMENT ON FUNCTION @extschema@._gravity_memory_trigger_catalogue() IS
    'The triggers of gravity_memory, as pg_get_triggerdef() prints them.';

-- sql/tagging/auto_tag_high_gravity.sql

-- auto_tag_high_gravity(): trigger function, BEFORE INSERT OR UPDATE OF gravity_score, entities on gravity_map, per row.
--
-- Rules (spec): gravity at or over high_gravity_threshold adds the tag high_gravity and sets identity_anchor; the identity
-- entities add the tag identity; a NULL temporal_type becomes past, future or present, in this order, by the words of the content.
-- Beyond the spec: a tag that is there is not added again; a NULL or NaN gravity is not high; the words are whole words with
-- their inflections, so that William is no future and a planet no plan; an UPDATE adds tags too and never takes one away.
-- Runs as the writer and touches nothing but NEW. A fault in it (a setting broken by hand, tags in two dimensions) is a
-- WARNING: the memory is stored as it came.
CREATE FUNCTION @extschema@.auto_tag_high_gravity()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $auto_tag_high_gravity$
DECLARE
    v_settings jsonb;
    v_identity text[];
BEGIN
    v_settings := @extschema@._gravity_memory_effective_settings();

    IF NEW.gravity_score >= (v_settings ->> 'high_gravity_threshold')::double precision
       AND NEW.gravity_score < 'Infinity' THEN
        NEW.identity_anchor := true;
        IF NOT COALESCE('high_gravity' = ANY (NEW.meta_tags), false) THEN
            NEW.meta_tags := array_append(COALESCE(NEW.meta_tags, '{}'), 'high_gravity');
        END IF;
    END IF;

    v_identity := (v_settings ->> 'identity_entities')::text[];
    IF v_identity <> '{}'
       AND (NEW.entities @> v_identity OR (v_settings ->> 'identity_match' = 'any' AND NEW.entities && v_identity))
       AND NOT COALESCE('identity' = ANY (NEW.meta_tags), false) THEN
        NEW.meta_tags := array_append(COALESCE(NEW.meta_tags, '{}'), 'identity');
    END IF;

    IF TG_OP = 'INSERT' AND NEW.temporal_type IS NULL THEN
        NEW.temporal_type := CASE
            WHEN NEW.content ~* (v_settings ->> 'temporal_past_pattern') THEN 'past'
            WHEN NEW.content ~* (v_settings ->> 'temporal_future_pattern') THEN 'future'
            ELSE 'present'
        END;
    END IF;
    RETURN NEW;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'gravity_memory: memory % was stored without all of its tags: %', NEW.id, SQLERRM
        USING ERRCODE = SQLSTATE, HINT = 'See SELECT * FROM gravity_memory_settings() for the rules in force.';
    RETURN NEW;
END
$auto_tag_high_gravity$;

COMMENT ON FUNCTION @extschema@.auto_tag_high_gravity() IS
    'Trigger function: tags a memory by gravity and entities and sets its temporal_type from its words.';

-- sql/arcs/_gravity_memory_may_write_arcs.sql

-- _gravity_memory_may_write_arcs(): may a SECURITY DEFINER function write the arc tables without lending its power to their owner?
--
-- What such a function writes fires whatever the tables' owner attached to them, with the function's privileges. That is harmless
-- while the function belongs to that owner, which setup sees to. After a dump was restored by a superuser it does not, until
-- setup runs again: then the tables are written only while no code other than PostgreSQL's and ours is attached to them. The
-- lock keeps such code from being attached between this look and the write.
-- False comes with a WARNING that says what to do.
CREATE FUNCTION @extschema@._gravity_memory_may_write_arcs()
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_may_write_arcs$
DECLARE
    v_tables CONSTANT regclass[] := ARRAY['@extschema@.memory_arcs', '@extschema@.memory_arc_associations',
                                          '@extschema@.memory_arc_locks', '@extschema@.gravity_map',
                                          '@extschema@.gravity_memory_settings']::regclass[];
BEGIN
    IF NOT EXISTS (SELECT FROM pg_class AS c
                   WHERE c.oid = ANY (v_tables)
                     AND (pg_get_userbyid(c.relowner) <> current_user OR c.relkind NOT IN ('r', 'p'))) THEN
        RETURN true;
    END IF;

    LOCK TABLE @extschema@.memory_arcs, @extschema@.memory_arc_associations, @extschema@.memory_arc_locks IN ROW EXCLUSIVE MODE;
    IF NOT EXISTS (SELECT FROM pg_class AS c WHERE c.oid = ANY (v_tables) AND c.relkind NOT IN ('r', 'p'))
       AND NOT EXISTS (
            SELECT
            FROM pg_trigger AS t
            WHERE t.tgrelid = ANY (v_tables[1:3])
              AND NOT t.tgisinternal
              AND NOT EXISTS (SELECT FROM pg_depend AS d
                              JOIN pg_extension AS e ON e.oid = d.refobjid
                              WHERE d.classid = 'pg_proc'::regclass AND d.objid = t.tgfoid AND d.deptype = 'e'
                                AND d.refclassid = 'pg_extension'::regclass AND e.extname = 'gravity_memory'))
       AND NOT EXISTS (
            -- Defaults, constraints, indexes, rules and types of columns that reach beyond what PostgreSQL brings (16384 is the first
            -- object identifier that is not its own).
            SELECT
            FROM (SELECT 'pg_attrdef'::regclass AS classid, a.oid FROM pg_attrdef AS a WHERE a.adrelid = ANY (v_tables[1:3])
                  UNION ALL
                  SELECT 'pg_constraint'::regclass, k.oid FROM pg_constraint AS k WHERE k.conrelid = ANY (v_tables[1:3])
                  UNION ALL
                  SELECT 'pg_class'::regclass, i.indexrelid FROM pg_index AS i WHERE i.indrelid = ANY (v_tables[1:3])
                  UNION ALL
                  SELECT 'pg_rewrite'::regclass, r.oid FROM pg_rewrite AS r WHERE r.ev_class = ANY (v_tables[1:3])
                  UNION ALL
                  SELECT 'pg_class'::regclass, u.oid FROM unnest(v_tables[1:3]) AS u (oid)) AS o
            JOIN pg_depend AS d ON d.classid = o.classid AND d.objid = o.oid
            WHERE d.refobjid >= 16384
              AND d.refclassid IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_type'::regclass, 'pg_opclass'::regclass))
       AND NOT EXISTS (SELECT FROM pg_rewrite AS r WHERE r.ev_class = ANY (v_tables)) THEN
        RETURN true;
    END IF;

    RAISE WARNING 'gravity_memory: arcs are not kept, because the functions that keep them do not belong to the owner of their tables'
        USING HINT = 'Run SELECT * FROM gravity_memory_setup() as the role that restored or installed the extension.';
    RETURN false;
END
$_gravity_memory_may_write_arcs$;

COMMENT ON FUNCTION @extschema@._gravity_memory_may_write_arcs() IS
    'Whether the current role may write the arc tables without running the code of someone less trusted.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_may_write_arcs() FROM PUBLIC;

-- sql/arcs/_gravity_memory_lock_cluster.sql

-- _gravity_memory_lock_cluster(p_user_id, p_emotion_type): makes writers of one user and emotion take turns until they commit.
--
-- Without it three concurrent inserts would each see one memory, and no arc would form. A row lock, not an advisory lock: a bulk
-- insert may touch thousands of clusters, and advisory locks would exhaust the shared lock table for everyone.
CREATE FUNCTION @extschema@._gravity_memory_lock_cluster(p_user_id text, p_emotion_type text)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_lock_cluster$
BEGIN
    PERFORM FROM @extschema@.memory_arc_locks AS l
    WHERE l.user_id = p_user_id AND l.emotion_type = p_emotion_type
    FOR UPDATE;
    IF NOT FOUND THEN
        -- A conflicting insert waits here for the transaction that made the row, which is the turn-taking wanted.
        INSERT INTO @extschema@.memory_arc_locks (user_id, emotion_type)
        VALUES (p_user_id, p_emotion_type)
        ON CONFLICT DO NOTHING;
        PERFORM FROM @extschema@.memory_arc_locks AS l
        WHERE l.user_id = p_user_id AND l.emotion_type = p_emotion_type
        FOR UPDATE;
    END IF;
END
$_gravity_memory_lock_cluster$;

COMMENT ON FUNCTION @extschema@._gravity_memory_lock_cluster(text, text) IS
    'Locks the clusters of one user and emotion until the transaction ends.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_lock_cluster(text, text) FROM PUBLIC;

-- sql/arcs/_gravity_memory_names_emotion.sql

-- _gravity_memory_names_emotion(p_arc_name, p_emotion_type): does an arc's name contain the emotion as a whole word, in any case?
--
-- For arcs that the application made without an emotion_type. The emotion is literal text: joy is not in 'enjoyment', and % only in a
-- name with a % of its own.
CREATE FUNCTION @extschema@._gravity_memory_names_emotion(p_arc_name text, p_emotion_type text)
RETURNS boolean
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $_gravity_memory_names_emotion$
    SELECT CASE
        -- Cheap first test: most names cannot contain the emotion, and an emotion may be kilobytes long.
        WHEN strpos(lower(p_arc_name), lower(p_emotion_type)) = 0 THEN false
        ELSE p_arc_name ~* ('(^|\W)' || regexp_replace(p_emotion_type, '([^[:alnum:]])', '\\\1', 'g') || '(\W|$)')
    END
$_gravity_memory_names_emotion$;

COMMENT ON FUNCTION @extschema@._gravity_memory_names_emotion(text, text) IS
    'Whether an arc''s name contains an emotion as a whole word.';

-- sql/arcs/_gravity_memory_open_automatic_arc.sql

-- _gravity_memory_open_automatic_arc(p_user_id, p_emotion_type, p_gravity): makes the automatic arc of a new cluster.
--
-- It starts forming, at the mean gravity of its first members, which is what the notification arc_created tells. The caller holds the
-- cluster's lock and saw no open arc; behind it stands the unique index idx_memory_arcs_open_automatic, and an arc that the
-- caller's snapshot cannot see (REPEATABLE READ) is an error here, which trigger_arc_building() turns into a WARNING.
-- An arc is automatic when its name is '<emotion> arc (auto-created)' (spec): renaming it makes it the application's own.
CREATE FUNCTION @extschema@._gravity_memory_open_automatic_arc(p_user_id text, p_emotion_type text, p_gravity double precision)
RETURNS uuid
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_open_automatic_arc$
DECLARE
    v_arc_id uuid;
BEGIN
    INSERT INTO @extschema@.memory_arcs
        (user_id, arc_name, emotion_type, gravity_center, evolution_stage, memory_count, created_at, updated_at)
    VALUES (p_user_id, p_emotion_type || ' arc (auto-created)', p_emotion_type, p_gravity, 'forming', 0, now(), now())
    ON CONFLICT DO NOTHING
    RETURNING id INTO STRICT v_arc_id;
    RETURN v_arc_id;
END
$_gravity_memory_open_automatic_arc$;

COMMENT ON FUNCTION @extschema@._gravity_memory_open_automatic_arc(text, text, double precision) IS
    'Creates the automatic arc of a user and emotion and returns its id.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_open_automatic_arc(text, text, double precision) FROM PUBLIC;

-- sql/arcs/_gravity_memory_recount_arcs.sql

-- _gravity_memory_recount_arcs(p_arc_ids): computes the totals of arcs from their members.
--
-- Totals are memory_count, gravity_center (mean), peak_gravity, first_memory_at and last_memory_at. An automatic arc without members
-- is deleted; one made by hand stays, with memory_count 0. The arcs are locked first, so that the members counted
-- include those of writers we had to wait for.
CREATE FUNCTION @extschema@._gravity_memory_recount_arcs(p_arc_ids uuid[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_recount_arcs$
BEGIN
    PERFORM FROM @extschema@.memory_arcs AS a WHERE a.id = ANY (p_arc_ids) ORDER BY a.id FOR NO KEY UPDATE;

    UPDATE @extschema@.memory_arcs AS a
    SET memory_count = t.memory_count,
        gravity_center = COALESCE(t.gravity_center, a.gravity_center),
        peak_gravity = t.peak_gravity,
        first_memory_at = t.first_memory_at,
        last_memory_at = t.last_memory_at,
        updated_at = now()
    FROM (
        SELECT k.arc_id, count(m.id)::integer AS memory_count,
               avg(m.gravity_score) FILTER (WHERE m.gravity_score < 'Infinity') AS gravity_center,
               max(m.gravity_score) FILTER (WHERE m.gravity_score < 'Infinity') AS peak_gravity,
               min(m.created_at) AS first_memory_at, max(m.created_at) AS last_memory_at
        FROM unnest(p_arc_ids) AS k (arc_id)
        -- OFFSET 0 keeps these lookups; see _gravity_memory_link_memories.
        LEFT JOIN LATERAL (SELECT t.memory_id FROM @extschema@.memory_arc_associations AS t WHERE t.arc_id = k.arc_id OFFSET 0) AS l
               ON true
        LEFT JOIN LATERAL (SELECT g.id, g.gravity_score, g.created_at FROM @extschema@.gravity_map AS g WHERE g.id = l.memory_id OFFSET 0) AS m
               ON true
        GROUP BY k.arc_id
    ) AS t
    WHERE a.id = t.arc_id
      AND (a.memory_count, a.gravity_center, a.peak_gravity, a.first_memory_at, a.last_memory_at) IS DISTINCT FROM
          (t.memory_count, COALESCE(t.gravity_center, a.gravity_center), t.peak_gravity, t.first_memory_at, t.last_memory_at);

    DELETE FROM @extschema@.memory_arcs AS a
    WHERE a.id = ANY (p_arc_ids)
      AND a.memory_count = 0
      AND a.arc_name = a.emotion_type || ' arc (auto-created)';
END
$_gravity_memory_recount_arcs$;

COMMENT ON FUNCTION @extschema@._gravity_memory_recount_arcs(uuid[]) IS
    'Recomputes the totals of arcs from their members; an automatic arc that has none left is deleted.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_recount_arcs(uuid[]) FROM PUBLIC;

-- sql/arcs/_gravity_memory_unsettled_arcs.sql

-- _gravity_memory_unsettled_arcs(): this transaction's note of arcs whose totals wait, as JSON.
--
-- {"writes": totals written so far, "at_once": true once totals may not wait, "waiting": {arc: {"changes": n, "members": n}}}. It stands
-- in the transaction-local parameter gravity_memory.arc_totals, which anyone can overwrite: it only ever decides when an arc is
-- recounted, never what is written, and what it loses is recounted at the commit. An unreadable note is an empty one.
CREATE FUNCTION @extschema@._gravity_memory_unsettled_arcs()
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_unsettled_arcs$
DECLARE
    v_note CONSTANT text := current_setting('gravity_memory.arc_totals', true);
BEGIN
    IF COALESCE(v_note, '') = '' THEN
        RETURN '{}'::jsonb;
    END IF;
    RETURN v_note::jsonb;
EXCEPTION WHEN data_exception THEN
    RETURN '{}'::jsonb;
END
$_gravity_memory_unsettled_arcs$;

COMMENT ON FUNCTION @extschema@._gravity_memory_unsettled_arcs() IS
    'This transaction''s note of arcs whose totals wait.';

-- sql/arcs/_gravity_memory_settle_arc_totals.sql

-- _gravity_memory_settle_arc_totals(): recounts the arcs whose totals have waited long enough.
--
-- Why totals may wait at all: every UPDATE of an arc leaves a dead version that the same transaction cannot get rid of, and each
-- further UPDATE walks past all of them. 10,000 single inserts in one transaction took 21 s that way. So totals are written at
-- once for the first 100 writes of a transaction, and for arcs of fewer than 100 members; else an arc waits until its changes reach
-- a tenth of its members, or for the commit, or SET CONSTRAINTS ALL IMMEDIATE. When more than 100 arcs wait, the one with the most
-- changes is recounted, so that the note stays short.
CREATE FUNCTION @extschema@._gravity_memory_settle_arc_totals()
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_settle_arc_totals$
DECLARE
    v_state jsonb := @extschema@._gravity_memory_unsettled_arcs();
    v_waiting CONSTANT jsonb := COALESCE(v_state -> 'waiting', '{}');
    v_writes CONSTANT bigint := COALESCE((v_state ->> 'writes')::bigint, 0);
    v_due uuid[];
BEGIN
    IF v_waiting = '{}' THEN
        RETURN;
    END IF;
    SELECT array_agg(w.arc_id) INTO v_due
    FROM (
        SELECT e.key::uuid AS arc_id, (e.value ->> 'changes')::bigint AS changes, (e.value ->> 'members')::bigint AS members,
               row_number() OVER (ORDER BY (e.value ->> 'changes')::bigint DESC) AS place, count(*) OVER () AS arcs
        FROM jsonb_each(v_waiting) AS e
    ) AS w
    WHERE v_writes < 100
       OR COALESCE((v_state ->> 'at_once')::boolean, false)
       OR w.members < 100
       OR w.changes >= 0.1 * w.members
       OR (w.arcs > 100 AND w.place = 1);
    IF v_due IS NULL THEN
        RETURN;
    END IF;

    PERFORM @extschema@._gravity_memory_recount_arcs(v_due);
    -- Read again: the recount may have deleted an arc, whose links then reported their change.
    v_state := @extschema@._gravity_memory_unsettled_arcs();
    PERFORM set_config('gravity_memory.arc_totals', (v_state || jsonb_build_object(
        'writes', v_writes + cardinality(v_due), 'waiting', COALESCE(v_state -> 'waiting', '{}') - v_due::text[]))::text, true);
END
$_gravity_memory_settle_arc_totals$;

COMMENT ON FUNCTION @extschema@._gravity_memory_settle_arc_totals() IS
    'Recounts the arcs whose totals are due in this transaction.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_settle_arc_totals() FROM PUBLIC;

-- sql/arcs/_gravity_memory_unsettle_arcs.sql

-- _gravity_memory_unsettle_arcs(p_arc_ids): notes that arcs' members changed, for _gravity_memory_settle_arc_totals().
--
-- An arc named twice counts two changes. The row that is inserted into memory_arc_locks and deleted at once leaves an event behind: the
-- deferred trigger trigger_arc_totals_at_commit recounts the arc when the transaction commits, whatever becomes of the note.
CREATE FUNCTION @extschema@._gravity_memory_unsettle_arcs(p_arc_ids uuid[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_unsettle_arcs$
DECLARE
    v_state jsonb := @extschema@._gravity_memory_unsettled_arcs();
    v_waiting jsonb := COALESCE(v_state -> 'waiting', '{}');
    v_arc record;
BEGIN
    FOR v_arc IN
        SELECT u.arc_id::text AS id, count(*) AS changes FROM unnest(p_arc_ids) AS u (arc_id) GROUP BY u.arc_id ORDER BY u.arc_id
    LOOP
        IF NOT v_waiting ? v_arc.id THEN
            INSERT INTO @extschema@.memory_arc_locks (user_id, emotion_type) VALUES (v_arc.id, '') ON CONFLICT DO NOTHING;
            DELETE FROM @extschema@.memory_arc_locks AS l WHERE l.user_id = v_arc.id AND l.emotion_type = '';
            v_waiting := v_waiting || jsonb_build_object(v_arc.id, jsonb_build_object('changes', 0, 'members', COALESCE(
                (SELECT a.memory_count FROM @extschema@.memory_arcs AS a WHERE a.id = v_arc.id::uuid), 0)));
        END IF;
        v_waiting := jsonb_set(v_waiting, ARRAY[v_arc.id, 'changes'],
                               to_jsonb((v_waiting #>> ARRAY[v_arc.id, 'changes'])::bigint + v_arc.changes));
    END LOOP;
    -- Read again: under SET CONSTRAINTS IMMEDIATE the trigger has run.
    v_state := @extschema@._gravity_memory_unsettled_arcs();
    PERFORM set_config('gravity_memory.arc_totals', (v_state || jsonb_build_object('waiting', v_waiting))::text, true);
END
$_gravity_memory_unsettle_arcs$;

COMMENT ON FUNCTION @extschema@._gravity_memory_unsettle_arcs(uuid[]) IS
    'Notes, for this transaction, that the members of arcs changed.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_unsettle_arcs(uuid[]) FROM PUBLIC;

-- sql/arcs/_gravity_memory_keep_arc_totals.sql

-- _gravity_memory_keep_arc_totals(): trigger function, AFTER INSERT, UPDATE, DELETE and TRUNCATE on memory_arc_associations, per statement.
--
-- Whoever links or unlinks a memory, the application included, the arc's totals follow. New members of an open arc are added to
-- its running mean, so that the cost of a link does not grow with the arc; all else is recounted, and so is an arc made by hand
-- that was never counted before.
-- SECURITY DEFINER, because a writer who may only insert memories links them through trigger_arc_building(), and because deleting a
-- memory cascades here. It writes nothing but totals computed from the tables.
-- A fault is a WARNING: the link, or the deletion of a memory, stands.
CREATE FUNCTION @extschema@._gravity_memory_keep_arc_totals()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $_gravity_memory_keep_arc_totals$
DECLARE
    v_arc record;
    v_state jsonb;
    v_writes bigint;
BEGIN
    IF NOT @extschema@._gravity_memory_may_write_arcs() THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' THEN
        FOR v_arc IN
            SELECT n.arc_id, count(*)::integer AS members, count(m.gravity_score) AS weighed, sum(m.gravity_score) AS gravity,
                   max(m.gravity_score) AS peak, min(m.created_at) AS first_at, max(m.created_at) AS last_at
            FROM new_rows AS n
            -- OFFSET 0 keeps this a lookup by id: to statistics gathered during a long load the table is empty, and a join reads it all.
            CROSS JOIN LATERAL (SELECT g.gravity_score, g.created_at FROM @extschema@.gravity_map AS g WHERE g.id = n.memory_id OFFSET 0)
                AS m
            GROUP BY n.arc_id
            ORDER BY n.arc_id
        LOOP
            v_state := @extschema@._gravity_memory_unsettled_arcs();
            v_writes := COALESCE((v_state ->> 'writes')::bigint, 0);
            -- An arc that waits for its recount must not be added to: its count is already behind.
            -- After 100 writes, only small arcs, and those that this transaction has not written yet, are written at once.
            UPDATE @extschema@.memory_arcs AS a
            SET gravity_center = (CASE WHEN a.memory_count > 0 THEN a.gravity_center * a.memory_count ELSE 0 END + v_arc.gravity)
                                 / (COALESCE(a.memory_count, 0) + v_arc.members),
                memory_count = COALESCE(a.memory_count, 0) + v_arc.members,
                peak_gravity = GREATEST(a.peak_gravity, v_arc.peak),
                first_memory_at = LEAST(a.first_memory_at, v_arc.first_at),
                last_memory_at = GREATEST(a.last_memory_at, v_arc.last_at),
                updated_at = now()
            WHERE a.id = v_arc.arc_id
              -- IS TRUE keeps the planner to the primary key: without statistics it reads all of a partial index instead.
              AND (a.arc_name = a.emotion_type || ' arc (auto-created)' OR (a.memory_count > 0 AND a.first_memory_at IS NOT NULL))
                  IS TRUE
              AND (a.memory_count = 0 OR a.gravity_center IS NOT NULL)
              AND (a.evolution_stage IN ('forming', 'active')) IS TRUE
              AND v_arc.weighed = v_arc.members AND v_arc.gravity < 'Infinity'
              AND NOT COALESCE(v_state -> 'waiting' ? a.id::text, false)
              AND (v_writes < 100 OR a.updated_at <> now() OR a.memory_count < 100);
            IF FOUND THEN
                PERFORM set_config('gravity_memory.arc_totals',
                                   (v_state || jsonb_build_object('writes', v_writes + 1))::text, true);
            ELSE
                PERFORM @extschema@._gravity_memory_unsettle_arcs(array_fill(v_arc.arc_id, ARRAY[v_arc.members]));
            END IF;
        END LOOP;
    ELSIF TG_OP = 'TRUNCATE' THEN
        PERFORM @extschema@._gravity_memory_recount_arcs(ARRAY(SELECT a.id FROM @extschema@.memory_arcs AS a WHERE a.memory_count > 0));
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM @extschema@._gravity_memory_unsettle_arcs(ARRAY(SELECT o.arc_id FROM old_rows AS o));
    ELSE
        PERFORM @extschema@._gravity_memory_unsettle_arcs(ARRAY(
            SELECT c.arc_id
            FROM ((SELECT o.memory_id, o.arc_id FROM old_rows AS o EXCEPT SELECT n.memory_id, n.arc_id FROM new_rows AS n)
                  UNION ALL
                  (SELECT n.memory_id, n.arc_id FROM new_rows AS n EXCEPT SELECT o.memory_id, o.arc_id FROM old_rows AS o)) AS c));
    END IF;

    -- Inside another trigger or a cascade there is more to come; whoever is outermost settles, at the latest the commit.
    IF pg_trigger_depth() = 1 THEN
        PERFORM @extschema@._gravity_memory_settle_arc_totals();
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'gravity_memory: the totals of an arc were not updated: %', SQLERRM
        USING ERRCODE = SQLSTATE, HINT = 'Run SELECT gravity_memory_rebuild_arcs(user_id) for the user.';
    RETURN NULL;
END
$_gravity_memory_keep_arc_totals$;

COMMENT ON FUNCTION @extschema@._gravity_memory_keep_arc_totals() IS
    'Trigger function: keeps an arc''s running mean, count, peak and times as its members come and go.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_keep_arc_totals() FROM PUBLIC;

-- sql/arcs/_gravity_memory_settle_at_commit.sql

-- _gravity_memory_settle_at_commit(): deferred constraint trigger function on memory_arc_locks, per row that names an arc.
--
-- Recounts an arc whose totals may still wait when the transaction commits (see _gravity_memory_unsettle_arcs). The event stands on this
-- private table, so that it is in nobody's way: PostgreSQL refuses TRUNCATE and ALTER TABLE on a table with pending events. A call
-- before the commit means that constraints are immediate (SET CONSTRAINTS): from then on totals never wait.
-- SECURITY DEFINER for the reason given at _gravity_memory_keep_arc_totals.
CREATE FUNCTION @extschema@._gravity_memory_settle_at_commit()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $_gravity_memory_settle_at_commit$
DECLARE
    v_state jsonb;
BEGIN
    IF NOT @extschema@._gravity_memory_may_write_arcs() THEN
        RETURN NULL;
    END IF;
    PERFORM @extschema@._gravity_memory_recount_arcs(ARRAY[NEW.user_id::uuid]);
    v_state := @extschema@._gravity_memory_unsettled_arcs();
    PERFORM set_config('gravity_memory.arc_totals', (v_state || jsonb_build_object(
        'at_once', true, 'waiting', COALESCE(v_state -> 'waiting', '{}') - NEW.user_id))::text, true);
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'gravity_memory: the totals of an arc were not updated: %', SQLERRM
        USING ERRCODE = SQLSTATE, HINT = 'Run SELECT gravity_memory_rebuild_arcs(user_id) for the user.';
    RETURN NULL;
END
$_gravity_memory_settle_at_commit$;

COMMENT ON FUNCTION @extschema@._gravity_memory_settle_at_commit() IS
    'Trigger function: recounts an arc whose totals may still wait when the transaction commits.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_settle_at_commit() FROM PUBLIC;

-- sql/arcs/_gravity_memory_clustered_near.sql

-- _gravity_memory_clustered_near(p_user_id, p_emotion_type, p_memory_ids, p_created_ats): which memories stand in a cluster?
--
-- Of the memories of one user and emotion with gravity at or over arc_gravity_threshold, a memory is clustered when it is one of
-- arc_min_memories whose created_at lie less than arc_window apart (spec: 3 within 24 hours). That depends on nothing but the memories,
-- not on the order in which they came, so that arcs can be rebuilt from them.
-- The arrays name the places in time where something changed. With k = arc_min_memories, only memories between these places, and the
-- k - 1 before the first and after the last, can have become clustered or ceased to be; so only those are looked at,
-- and one more insert costs the same however many memories there are. NULL arrays look at all memories of the user and emotion.
-- Returns the memories looked at, each with whether it is clustered.
--
-- Sorting is switched off for the planner, because only idx_gravity_map_arc_cluster gives neighbours in order, and without
-- statistics it takes another index and sorts all memories of the user for every insert.
CREATE FUNCTION @extschema@._gravity_memory_clustered_near(
    p_user_id text, p_emotion_type text, p_memory_ids uuid[], p_created_ats timestamptz[])
RETURNS TABLE (memory_id uuid, is_clustered boolean)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET enable_sort = off
SET enable_incremental_sort = off
AS $_gravity_memory_clustered_near$
DECLARE
    v_settings CONSTANT jsonb := @extschema@._gravity_memory_effective_settings();
    v_threshold CONSTANT double precision := (v_settings ->> 'arc_gravity_threshold')::double precision;
    v_window CONSTANT interval := (v_settings ->> 'arc_window')::interval;
    v_reach CONSTANT integer := (v_settings ->> 'arc_min_memories')::integer - 1;
    v_first record;
    v_last record;
    v_ids uuid[];
    v_times timestamptz[];
    v_near boolean[];
BEGIN
    IF p_memory_ids IS NOT NULL AND v_threshold >= 0.8 THEN
        SELECT p.id, p.created_at INTO v_first
        FROM unnest(p_memory_ids, p_created_ats) AS p (id, created_at) ORDER BY p.created_at, p.id LIMIT 1;
        SELECT p.id, p.created_at INTO v_last
        FROM unnest(p_memory_ids, p_created_ats) AS p (id, created_at) ORDER BY p.created_at DESC, p.id DESC LIMIT 1;

        -- The constant 0.8 repeats the predicate of idx_gravity_map_arc_cluster; the planner cannot prove it from a variable.
        SELECT array_agg(c.id), array_agg(c.created_at), array_agg(c.near)
        INTO v_ids, v_times, v_near
        FROM (
            SELECT b.id, b.created_at, row_number() OVER (ORDER BY b.created_at DESC, b.id DESC) <= v_reach AS near
            FROM (
                SELECT m.id, m.created_at
                FROM @extschema@.gravity_map AS m
                WHERE m.user_id = p_user_id AND m.emotion_type = p_emotion_type
                  AND m.gravity_score >= 0.8 AND m.gravity_score >= v_threshold AND m.gravity_score < 'Infinity'
                  AND (m.created_at, m.id) < (v_first.created_at, v_first.id)
                ORDER BY m.created_at DESC, m.id DESC
                LIMIT 2 * v_reach
            ) AS b
            UNION ALL
            SELECT w.id, w.created_at, true
            FROM (
                SELECT m.id, m.created_at
                FROM @extschema@.gravity_map AS m
                WHERE m.user_id = p_user_id AND m.emotion_type = p_emotion_type
                  AND m.gravity_score >= 0.8 AND m.gravity_score >= v_threshold AND m.gravity_score < 'Infinity'
                  AND (m.created_at, m.id) >= (v_first.created_at, v_first.id)
                  AND (m.created_at, m.id) <= (v_last.created_at, v_last.id)
                ORDER BY m.created_at, m.id
            ) AS w
            UNION ALL
            SELECT a.id, a.created_at, row_number() OVER (ORDER BY a.created_at, a.id) <= v_reach
            FROM (
                SELECT m.id, m.created_at
                FROM @extschema@.gravity_map AS m
                WHERE m.user_id = p_user_id AND m.emotion_type = p_emotion_type
                  AND m.gravity_score >= 0.8 AND m.gravity_score >= v_threshold AND m.gravity_score < 'Infinity'
                  AND (m.created_at, m.id) > (v_last.created_at, v_last.id)
                ORDER BY m.created_at, m.id
                LIMIT 2 * v_reach
            ) AS a
        ) AS c;
    ELSE
        -- All memories of the user and emotion: asked for, or because a lower threshold has no index that gives them in order.
        SELECT array_agg(m.id), array_agg(m.created_at), array_agg(true)
        INTO v_ids, v_times, v_near
        FROM @extschema@.gravity_map AS m
        WHERE m.user_id = p_user_id AND m.emotion_type = p_emotion_type
          AND m.gravity_score >= v_threshold AND m.gravity_score < 'Infinity';
    END IF;

    RETURN QUERY
    SELECT r.id, r.is_clustered
    FROM (
        SELECT s.id, s.near,
               bool_or(s.starts_cluster) OVER (ORDER BY s.created_at, s.id ROWS BETWEEN v_reach PRECEDING AND CURRENT ROW)
                   AS is_clustered
        FROM (
            -- Infinite times are close to nothing. The difference, unlike a sum, depends on no time zone and cannot overflow.
            SELECT t.id, t.created_at, t.near,
                   CASE WHEN isfinite(t.created_at) AND isfinite(t.completed_at)
                        THEN t.completed_at - t.created_at < v_window ELSE false END AS starts_cluster
            FROM (
                SELECT u.id, u.created_at, u.near, lead(u.created_at, v_reach) OVER (ORDER BY u.created_at, u.id) AS completed_at
                FROM unnest(v_ids, v_times, v_near) AS u (id, created_at, near)
            ) AS t
        ) AS s
    ) AS r
    WHERE r.near;
END
$_gravity_memory_clustered_near$;

COMMENT ON FUNCTION @extschema@._gravity_memory_clustered_near(text, text, uuid[], timestamptz[]) IS
    'Whether the memories of a user and emotion near given places in time stand in a cluster.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_clustered_near(text, text, uuid[], timestamptz[]) FROM PUBLIC;

-- sql/arcs/_gravity_memory_link_memories.sql

-- _gravity_memory_link_memories(p_user_id, p_emotion_type, p_memory_ids, p_arc_id): links memories to an arc of their emotion.
--
-- p_arc_id is the open arc that they join; NULL makes a new automatic one, if any memory needs it. Memories that an arc of this user
-- and emotion holds already, open or closed, automatic or made by hand, stay where they are. A memory that another transaction
-- holds locked is waited for half a second and then passed over: a transaction that deletes it may be waiting for our locks.
CREATE FUNCTION @extschema@._gravity_memory_link_memories(p_user_id text, p_emotion_type text, p_memory_ids uuid[], p_arc_id uuid)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_link_memories$
DECLARE
    v_memory_ids uuid[];
    v_free uuid[];
    v_gravity double precision;
    v_arc_id uuid;
    v_fusion_strength CONSTANT double precision :=
        (@extschema@._gravity_memory_effective_settings() ->> 'arc_fusion_strength')::double precision;
BEGIN
    -- Links are looked up by memory, never by arc, which may have many; OFFSET 0 keeps them from being joined, because to statistics
    -- gathered during a long load the tables are empty, and a join reads all of them. For links to p_arc_id the arc itself is not
    -- read: in a long transaction it has many dead versions.
    v_memory_ids := ARRAY(
        SELECT g.id
        FROM @extschema@.gravity_map AS g
        WHERE g.id = ANY (p_memory_ids) AND NOT EXISTS (
            SELECT
            FROM @extschema@.memory_arc_associations AS l
            WHERE l.memory_id = g.id
              AND (l.arc_id = p_arc_id
                   OR EXISTS (SELECT
                              FROM @extschema@.memory_arcs AS a
                              WHERE a.id = l.arc_id
                                AND a.user_id = p_user_id
                                AND (a.emotion_type = p_emotion_type
                                     OR (COALESCE(a.emotion_type, '') = ''
                                         AND @extschema@._gravity_memory_names_emotion(a.arc_name, p_emotion_type)))))
            OFFSET 0));
    IF v_memory_ids = '{}' THEN
        RETURN;
    END IF;

    -- Looking again instead of waiting for the lock: a transaction that deletes a memory may be waiting for our cluster's lock, and would
    -- be the one to fall in the deadlock.
    FOR v_attempt IN 1..50 LOOP
        v_free := ARRAY(SELECT g.id FROM @extschema@.gravity_map AS g WHERE g.id = ANY (v_memory_ids) FOR KEY SHARE SKIP LOCKED);
        EXIT WHEN cardinality(v_free) = (SELECT count(*) FROM @extschema@.gravity_map AS g WHERE g.id = ANY (v_memory_ids));
        PERFORM pg_sleep(0.01);
    END LOOP;
    IF v_free = '{}' THEN
        RETURN;
    END IF;
    v_gravity := (SELECT avg(g.gravity_score) FROM @extschema@.gravity_map AS g WHERE g.id = ANY (v_free));

    v_arc_id := COALESCE(p_arc_id, @extschema@._gravity_memory_open_automatic_arc(p_user_id, p_emotion_type, v_gravity));
    INSERT INTO @extschema@.memory_arc_associations (memory_id, arc_id, user_id, fusion_strength, created_at)
    SELECT u.id, v_arc_id, p_user_id, v_fusion_strength, now()
    FROM unnest(v_free) AS u (id)
    ON CONFLICT DO NOTHING;
END
$_gravity_memory_link_memories$;

COMMENT ON FUNCTION @extschema@._gravity_memory_link_memories(text, text, uuid[], uuid) IS
    'Links memories to the open arc of their emotion, or a new one, unless an arc of that emotion holds them already.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_link_memories(text, text, uuid[], uuid) FROM PUBLIC;

-- sql/arcs/_gravity_memory_examine_cluster.sql

-- _gravity_memory_examine_cluster(p_user_id, p_emotion_type, p_memory_ids, p_created_ats): brings arcs in line with the memories.
--
-- Near the given places in time (or everywhere, when the arrays are NULL) clustered memories are linked, and memories that are not
-- clustered any more leave the open automatic arc. A closed arc (mature, dormant) is history: it keeps its members while they
-- live. Arcs made by hand are joined and never left.
CREATE FUNCTION @extschema@._gravity_memory_examine_cluster(
    p_user_id text, p_emotion_type text, p_memory_ids uuid[], p_created_ats timestamptz[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_examine_cluster$
DECLARE
    v_clustered uuid[];
    v_unclustered uuid[];
    v_arc record;
    v_joinable_arc_id uuid;
    v_automatic_arc_id uuid;
    v_leaving uuid[];
BEGIN
    PERFORM @extschema@._gravity_memory_lock_cluster(p_user_id, p_emotion_type);

    SELECT array_agg(c.memory_id) FILTER (WHERE c.is_clustered), array_agg(c.memory_id) FILTER (WHERE NOT c.is_clustered)
    INTO v_clustered, v_unclustered
    FROM @extschema@._gravity_memory_clustered_near(p_user_id, p_emotion_type, p_memory_ids, p_created_ats) AS c;

    -- The newest open arc that fits takes new members (spec), be it automatic or made by hand. The lock keeps
    -- gravity_memory_evolve_arcs() from closing an arc before we commit.
    FOR v_arc IN
        SELECT a.id, COALESCE(a.arc_name = a.emotion_type || ' arc (auto-created)', false) AS is_automatic
        FROM @extschema@.memory_arcs AS a
        WHERE a.user_id = p_user_id
          AND a.evolution_stage IN ('forming', 'active')
          AND (a.emotion_type = p_emotion_type
               OR (COALESCE(a.emotion_type, '') = '' AND @extschema@._gravity_memory_names_emotion(a.arc_name, p_emotion_type)))
        ORDER BY a.created_at DESC, a.id DESC
        FOR NO KEY UPDATE
    LOOP
        v_joinable_arc_id := COALESCE(v_joinable_arc_id, v_arc.id);
        IF v_arc.is_automatic THEN
            v_automatic_arc_id := v_arc.id;
        END IF;
    END LOOP;

    IF v_automatic_arc_id IS NOT NULL THEN
        v_leaving := ARRAY(
            SELECT c.id
            FROM (SELECT unnest(p_memory_ids || v_unclustered) AS id
                  UNION ALL
                  SELECT l.memory_id FROM @extschema@.memory_arc_associations AS l
                  WHERE p_memory_ids IS NULL AND l.arc_id = v_automatic_arc_id) AS c
            EXCEPT
            SELECT unnest(v_clustered));
        IF v_leaving <> '{}' THEN
            -- A link that another transaction is removing is left to it: that transaction may be waiting for our locks.
            -- IS TRUE keeps the planner from looking the links up by arc, which may have many.
            DELETE FROM @extschema@.memory_arc_associations AS l
            WHERE l.ctid = ANY (ARRAY(
                SELECT k.ctid
                FROM @extschema@.memory_arc_associations AS k
                WHERE k.memory_id = ANY (v_leaving) AND (k.arc_id = v_automatic_arc_id) IS TRUE
                FOR UPDATE SKIP LOCKED));
        END IF;
    END IF;

    IF v_clustered IS NOT NULL THEN
        PERFORM @extschema@._gravity_memory_link_memories(p_user_id, p_emotion_type, v_clustered, v_joinable_arc_id);
    END IF;
END
$_gravity_memory_examine_cluster$;

COMMENT ON FUNCTION @extschema@._gravity_memory_examine_cluster(text, text, uuid[], timestamptz[]) IS
    'Links clustered memories of a user and emotion to their arc and unlinks those that are not clustered any more.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_examine_cluster(text, text, uuid[], timestamptz[]) FROM PUBLIC;

-- sql/arcs/trigger_arc_building.sql

-- trigger_arc_building(): trigger function, AFTER INSERT, UPDATE and DELETE on gravity_map, once per statement.
--
-- Rules (spec): memories of one user and emotion with gravity at or over arc_gravity_threshold, arc_min_memories of them within
-- arc_window, are linked to the open arc of that emotion, or to a new arc '<emotion> arc (auto-created)'. A NULL or NaN gravity and a
-- NULL or empty emotion build nothing. Beyond the spec: the members that stood there before the cluster was complete
-- are linked too, and an UPDATE or DELETE is followed, so that arcs are always what the memories say.
-- Clusters are handled in one order (user, emotion), so that two statements cannot wait for each other; and with plain statements per
-- cluster, because distributed engines refuse to join a transition table with a table.
-- SECURITY DEFINER, because a writer may hold no more than SELECT and INSERT on gravity_map; only the rows that the writer's own
-- privileges and policies let it write get here. A fault is a WARNING: the memories stay as they were written.
CREATE FUNCTION @extschema@.trigger_arc_building()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $trigger_arc_building$
DECLARE
    v_threshold double precision;
    v_cluster record;
    v_changed uuid[];
BEGIN
    IF NOT @extschema@._gravity_memory_may_write_arcs() THEN
        RETURN NULL;
    END IF;
    -- Not in DECLARE: what fails there is not caught below, and the insert would fail with it.
    v_threshold := (@extschema@._gravity_memory_effective_settings() ->> 'arc_gravity_threshold')::double precision;

    IF TG_OP = 'INSERT' THEN
        FOR v_cluster IN
            SELECT n.user_id, n.emotion_type, array_agg(n.id) AS memory_ids, array_agg(n.created_at) AS created_ats
            FROM new_rows AS n
            WHERE n.gravity_score >= v_threshold AND n.gravity_score < 'Infinity' AND n.emotion_type <> ''
              AND n.user_id IS NOT NULL AND n.created_at IS NOT NULL
            GROUP BY n.user_id, n.emotion_type
            ORDER BY n.user_id, n.emotion_type
        LOOP
            PERFORM @extschema@._gravity_memory_examine_cluster(
                v_cluster.user_id, v_cluster.emotion_type, v_cluster.memory_ids, v_cluster.created_ats);
        END LOOP;
    ELSIF TG_OP = 'DELETE' THEN
        FOR v_cluster IN
            SELECT o.user_id, o.emotion_type, array_agg(o.id) AS memory_ids, array_agg(o.created_at) AS created_ats
            FROM old_rows AS o
            WHERE o.gravity_score >= v_threshold AND o.gravity_score < 'Infinity' AND o.emotion_type <> ''
              AND o.user_id IS NOT NULL AND o.created_at IS NOT NULL
            GROUP BY o.user_id, o.emotion_type
            ORDER BY o.user_id, o.emotion_type
        LOOP
            PERFORM @extschema@._gravity_memory_examine_cluster(
                v_cluster.user_id, v_cluster.emotion_type, v_cluster.memory_ids, v_cluster.created_ats);
        END LOOP;
    ELSE
        -- A changed gravity makes the cluster take its turn, too, even where membership stays: an insert beside it adds to the
        -- running mean. Set differences instead of a join on id: the plan is cached, and a nested loop over two large
        -- transition tables would be quadratic.
        FOR v_cluster IN
            WITH old_state AS (
                SELECT o.user_id, o.emotion_type, o.id, o.created_at, o.gravity_score
                FROM old_rows AS o
                WHERE o.gravity_score >= v_threshold AND o.gravity_score < 'Infinity' AND o.emotion_type <> ''
                  AND o.user_id IS NOT NULL AND o.created_at IS NOT NULL
            ), new_state AS (
                SELECT n.user_id, n.emotion_type, n.id, n.created_at, n.gravity_score
                FROM new_rows AS n
                WHERE n.gravity_score >= v_threshold AND n.gravity_score < 'Infinity' AND n.emotion_type <> ''
                  AND n.user_id IS NOT NULL AND n.created_at IS NOT NULL
            )
            SELECT c.user_id, c.emotion_type, array_agg(c.id) AS memory_ids, array_agg(c.created_at) AS created_ats
            FROM ((TABLE old_state EXCEPT TABLE new_state) UNION ALL (TABLE new_state EXCEPT TABLE old_state)) AS c
            GROUP BY c.user_id, c.emotion_type
            ORDER BY c.user_id, c.emotion_type
        LOOP
            PERFORM @extschema@._gravity_memory_examine_cluster(
                v_cluster.user_id, v_cluster.emotion_type, v_cluster.memory_ids, v_cluster.created_ats);
        END LOOP;
        -- After the clusters are locked, because an insert locks the cluster first and the arc second.
        v_changed := ARRAY(
            SELECT c.id
            FROM (SELECT n.id, n.gravity_score, n.created_at FROM new_rows AS n
                  EXCEPT
                  SELECT o.id, o.gravity_score, o.created_at FROM old_rows AS o) AS c);
        IF v_changed <> '{}' THEN
            PERFORM @extschema@._gravity_memory_recount_arcs(ARRAY(
                SELECT DISTINCT l.arc_id
                FROM unnest(v_changed) AS c (id)
                CROSS JOIN LATERAL (SELECT a.arc_id FROM @extschema@.memory_arc_associations AS a WHERE a.memory_id = c.id OFFSET 0) AS l));
        END IF;
    END IF;
    PERFORM @extschema@._gravity_memory_settle_arc_totals();
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'gravity_memory: the arcs were not updated after an % on gravity_map: %', TG_OP, SQLERRM
        USING ERRCODE = SQLSTATE,
              HINT = 'The memories are stored. Run SELECT gravity_memory_rebuild_arcs(user_id) for the users concerned.';
    RETURN NULL;
END
$trigger_arc_building$;

COMMENT ON FUNCTION @extschema@.trigger_arc_building() IS
    'Trigger function: links clustered memories of high gravity to arcs, once per statement, and follows updates and deletes.';
REVOKE EXECUTE ON FUNCTION @extschema@.trigger_arc_building() FROM PUBLIC;

-- sql/arcs/gravity_memory_evolve_arcs.sql

-- gravity_memory_evolve_arcs(p_now): moves arcs to the stage that their members call for.
--
-- forming becomes active at arc_active_members members; active becomes mature at arc_mature_members members, or
-- arc_mature_after after its beginning (the earlier of created_at and first_memory_at); any of them becomes dormant when its newest member is
-- arc_dormant_after old. A forming arc that qualifies passes both steps at once. The specification names the stages and no rule:
-- these are ours. Arcs in other stages are the application's own and stay untouched, as do arcs that a writer holds
-- at the moment: the next run finds them. Mature and dormant arcs take no new members.
-- p_now (default now()) is the time to judge by; replays of history give their own.
-- Returns how many arcs changed stage. Scheduled as the job evolve-arcs; running it twice changes nothing more.
CREATE FUNCTION @extschema@.gravity_memory_evolve_arcs(p_now timestamptz DEFAULT pg_catalog.now())
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_evolve_arcs$
DECLARE
    v_settings CONSTANT jsonb := @extschema@._gravity_memory_effective_settings();
    v_active_members CONSTANT integer := (v_settings ->> 'arc_active_members')::integer;
    v_mature_members CONSTANT integer := (v_settings ->> 'arc_mature_members')::integer;
    v_mature_after CONSTANT interval := (v_settings ->> 'arc_mature_after')::interval;
    v_dormant_after CONSTANT interval := (v_settings ->> 'arc_dormant_after')::interval;
    v_now CONSTANT timestamptz := COALESCE(p_now, now());
    v_changed bigint;
BEGIN
    WITH judged AS (
        SELECT a.id, a.evolution_stage,
               CASE
                   WHEN COALESCE(a.last_memory_at, a.created_at) <= v_now - v_dormant_after THEN 'dormant'
                   WHEN a.evolution_stage = 'mature' THEN 'mature'
                   WHEN a.evolution_stage = 'forming' AND COALESCE(a.memory_count, 0) < v_active_members THEN 'forming'
                   WHEN COALESCE(a.memory_count, 0) >= v_mature_members
                        OR LEAST(a.created_at, a.first_memory_at) <= v_now - v_mature_after THEN 'mature'
                   ELSE 'active'
               END AS next_stage
        FROM @extschema@.memory_arcs AS a
        WHERE a.evolution_stage IN ('forming', 'active', 'mature')
    ), moving AS (
        SELECT a.id, j.next_stage
        FROM @extschema@.memory_arcs AS a
        JOIN judged AS j ON j.id = a.id
        WHERE j.next_stage <> j.evolution_stage
        FOR NO KEY UPDATE OF a SKIP LOCKED
    )
    UPDATE @extschema@.memory_arcs AS a
    SET evolution_stage = m.next_stage, updated_at = now()
    FROM moving AS m
    WHERE a.id = m.id;
    GET DIAGNOSTICS v_changed = ROW_COUNT;
    RETURN v_changed;
END
$gravity_memory_evolve_arcs$;

COMMENT ON FUNCTION @extschema@.gravity_memory_evolve_arcs(timestamptz) IS
    'Moves arcs from forming to active, mature and dormant by their members and age; returns how many changed stage.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_evolve_arcs(timestamptz) FROM PUBLIC;

-- sql/arcs/gravity_memory_rebuild_arcs.sql

-- gravity_memory_rebuild_arcs(p_user_id): recomputes a user's automatic arcs from the memories.
--
-- The result equals what the triggers built: every clustered memory in the open arc of its emotion, unless a closed arc or an
-- arc made by hand holds it already; nothing else in that arc; all totals counted anew. Closed arcs keep their members, because
-- which run of gravity_memory_evolve_arcs() closed them when is not written in the memories. Arcs made by hand are not
-- recounted. For use after a load with triggers disabled, after a changed setting, and after a WARNING from trigger_arc_building().
-- Returns how many automatic arcs the user has then. Errors: 22004 when p_user_id is NULL. Unknown users have no arcs: 0.
CREATE FUNCTION @extschema@.gravity_memory_rebuild_arcs(p_user_id text)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $gravity_memory_rebuild_arcs$
DECLARE
    v_emotion_type text;
    v_automatic CONSTANT text := ' arc (auto-created)';
BEGIN
    IF p_user_id IS NULL THEN
        RAISE EXCEPTION 'gravity_memory_rebuild_arcs() needs a user'
            USING ERRCODE = 'null_value_not_allowed',
                  HINT = 'For all users: SELECT @extschema@.gravity_memory_rebuild_arcs(user_id) '
                         'FROM (SELECT DISTINCT user_id FROM @extschema@.gravity_map) AS u.';
    END IF;
    FOR v_emotion_type IN
        SELECT m.emotion_type FROM @extschema@.gravity_map AS m WHERE m.user_id = p_user_id AND m.emotion_type <> ''
        UNION
        SELECT a.emotion_type FROM @extschema@.memory_arcs AS a
        WHERE a.user_id = p_user_id AND a.arc_name = a.emotion_type || v_automatic
        ORDER BY 1
    LOOP
        PERFORM @extschema@._gravity_memory_examine_cluster(p_user_id, v_emotion_type, NULL, NULL);
    END LOOP;
    PERFORM @extschema@._gravity_memory_recount_arcs(ARRAY(
        SELECT a.id FROM @extschema@.memory_arcs AS a
        WHERE a.user_id = p_user_id AND a.arc_name = a.emotion_type || v_automatic));
    RETURN (SELECT count(*) FROM @extschema@.memory_arcs AS a
            WHERE a.user_id = p_user_id AND a.arc_name = a.emotion_type || v_automatic);
END
$gravity_memory_rebuild_arcs$;

COMMENT ON FUNCTION @extschema@.gravity_memory_rebuild_arcs(text) IS
    'Recomputes a user''s automatic arcs from the memories and returns how many there are.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_rebuild_arcs(text) FROM PUBLIC;

-- sql/notifications/_gravity_memory_may_notify.sql

-- _gravity_memory_may_notify(p_settings, p_channel): whether notifications are wanted, and safe, now.
--
-- False when the setting notify is off. False, with a WARNING, when more than notify_queue_limit of the notification queue is in use:
-- some listener has stopped reading, and at 100% every commit that announces something would fail.
CREATE FUNCTION @extschema@._gravity_memory_may_notify(p_settings jsonb, p_channel text)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_may_notify$
BEGIN
    IF p_settings ->> 'notify' = 'off' THEN
        RETURN false;
    END IF;
    IF pg_notification_queue_usage() > (p_settings ->> 'notify_queue_limit')::double precision THEN
        RAISE WARNING 'gravity_memory: % is not announced, the notification queue is % %% full', p_channel,
            round(100 * pg_notification_queue_usage()::numeric, 4)
            USING HINT = 'A session that issued LISTEN has stopped reading, or stays in a transaction; see pg_stat_activity.';
        RETURN false;
    END IF;
    RETURN true;
END
$_gravity_memory_may_notify$;

COMMENT ON FUNCTION @extschema@._gravity_memory_may_notify(jsonb, text) IS
    'Whether notifications are switched on and the notification queue has room.';

-- sql/notifications/_gravity_memory_notify.sql

-- _gravity_memory_notify(p_channel, p_payload): sends one notification that is sure to fit.
--
-- pg_notify() refuses payloads of 8,000 bytes and more, and with them the whole statement. A payload that is too long loses its
-- longest texts first (they become null, because half an identifier is a wrong one) and gains "truncated": true; id goes
-- never, user_id only when it does not fit by itself.
CREATE FUNCTION @extschema@._gravity_memory_notify(p_channel text, p_payload json)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_notify$
DECLARE
    c_longest_payload CONSTANT integer := 7999;
    v_payload text := p_payload::text;
    v_dropped text[] := ARRAY[]::text[];
BEGIN
    WHILE octet_length(v_payload) > c_longest_payload LOOP
        SELECT v_dropped || e.key INTO STRICT v_dropped
        FROM json_each(p_payload) AS e
        WHERE json_typeof(e.value) = 'string' AND e.key <> 'id' AND e.key <> ALL (v_dropped)
        ORDER BY e.key = 'user_id', octet_length(e.value::text) DESC
        LIMIT 1;
        SELECT left(json_object_agg(e.key, CASE WHEN e.key <> ALL (v_dropped) THEN e.value END ORDER BY e.ordinality)::text, -1)
               || ', "truncated" : true }'
        INTO v_payload
        FROM json_each(p_payload) WITH ORDINALITY AS e;
    END LOOP;
    PERFORM pg_notify(p_channel, v_payload);
END
$_gravity_memory_notify$;

COMMENT ON FUNCTION @extschema@._gravity_memory_notify(text, json) IS
    'Sends a notification, shortened to fit the limit of pg_notify().';

-- sql/notifications/notify_memory_created.sql

-- notify_memory_created(): trigger function, AFTER INSERT and AFTER UPDATE on gravity_map, once per statement.
--
-- Announces every new memory on channel memory_created and every updated one on memory_updated, with the JSON of the specification: id,
-- user_id, thread_id, session_id, gravity_score, emotion_type, created_at. A statement that writes more than notify_bulk_rows
-- rows announces {"user_id", "count"} once per user. Listeners get it when the transaction commits.
-- Silent when the setting notify is off; a WARNING and silence when the notification queue is fuller than notify_queue_limit, because
-- a full queue fails every commit. Any other fault is a WARNING too: a notification never costs a memory.
CREATE FUNCTION @extschema@.notify_memory_created()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $notify_memory_created$
DECLARE
    v_settings jsonb;
    v_channel CONSTANT text := CASE TG_OP WHEN 'INSERT' THEN 'memory_created' ELSE 'memory_updated' END;
BEGIN
    v_settings := @extschema@._gravity_memory_effective_settings();
    IF NOT @extschema@._gravity_memory_may_notify(v_settings, v_channel) THEN
        RETURN NULL;
    END IF;
    IF (SELECT count(*) FROM new_rows) > (v_settings ->> 'notify_bulk_rows')::bigint THEN
        PERFORM @extschema@._gravity_memory_notify(v_channel, json_build_object('user_id', u.user_id, 'count', u.memories))
        FROM (SELECT n.user_id, count(*) AS memories FROM new_rows AS n GROUP BY n.user_id) AS u;
    ELSE
        PERFORM @extschema@._gravity_memory_notify(v_channel, json_build_object(
            'id', n.id, 'user_id', n.user_id, 'thread_id', n.thread_id, 'session_id', n.session_id,
            'gravity_score', n.gravity_score, 'emotion_type', n.emotion_type, 'created_at', n.created_at))
        FROM new_rows AS n;
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'gravity_memory: % was not announced: %', v_channel, SQLERRM
        USING ERRCODE = SQLSTATE, HINT = 'The memories are stored.';
    RETURN NULL;
END
$notify_memory_created$;

COMMENT ON FUNCTION @extschema@.notify_memory_created() IS
    'Trigger function: announces new memories on channel memory_created and updated ones on memory_updated.';

-- sql/notifications/notify_arc_created.sql

-- notify_arc_created(): trigger function, AFTER INSERT on memory_arcs, once per statement.
--
-- Announces every new arc, automatic or made by hand, on channel arc_created: id, user_id, arc_name, gravity_center, evolution_stage,
-- created_at. A statement that makes more than notify_bulk_rows arcs announces {"user_id", "count"} once per user. Faults and a
-- nearly full queue are treated as in notify_memory_created().
CREATE FUNCTION @extschema@.notify_arc_created()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $notify_arc_created$
DECLARE
    v_settings jsonb;
BEGIN
    v_settings := @extschema@._gravity_memory_effective_settings();
    IF NOT @extschema@._gravity_memory_may_notify(v_settings, 'arc_created') THEN
        RETURN NULL;
    END IF;
    IF (SELECT count(*) FROM new_rows) > (v_settings ->> 'notify_bulk_rows')::bigint THEN
        PERFORM @extschema@._gravity_memory_notify('arc_created', json_build_object('user_id', u.user_id, 'count', u.arcs))
        FROM (SELECT n.user_id, count(*) AS arcs FROM new_rows AS n GROUP BY n.user_id) AS u;
    ELSE
        PERFORM @extschema@._gravity_memory_notify('arc_created', json_build_object(
            'id', n.id, 'user_id', n.user_id, 'arc_name', n.arc_name, 'gravity_center', n.gravity_center,
            'evolution_stage', n.evolution_stage, 'created_at', n.created_at))
        FROM new_rows AS n;
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'gravity_memory: arc_created was not announced: %', SQLERRM
        USING ERRCODE = SQLSTATE, HINT = 'The arcs are stored.';
    RETURN NULL;
END
$notify_arc_created$;

COMMENT ON FUNCTION @extschema@.notify_arc_created() IS
    'Trigger function: announces new arcs on channel arc_created.';

-- sql/cleanup/cleanup_old_cache.sql

-- cleanup_old_cache(): deletes entries of consciousness_cache older than cache_retention (24 hours, spec).
--
-- Returns how many it deleted. Entries that another session holds are passed over and go with the next run, so it never waits for a
-- writer; readers use entries of the last hour and never meet it. Scheduled as the job cleanup-cache (hourly, spec).
CREATE FUNCTION @extschema@.cleanup_old_cache()
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $cleanup_old_cache$
DECLARE
    v_oldest_kept CONSTANT timestamptz := now() - (@extschema@._gravity_memory_effective_settings() ->> 'cache_retention')::interval;
    v_deleted bigint;
BEGIN
    DELETE FROM @extschema@.consciousness_cache AS c
    USING (SELECT e.id FROM @extschema@.consciousness_cache AS e
           WHERE e.created_at < v_oldest_kept
           FOR UPDATE SKIP LOCKED) AS expired
    WHERE c.id = expired.id;
    GET DIAGNOSTICS v_deleted = ROW_COUNT;
    RETURN v_deleted;
END
$cleanup_old_cache$;

COMMENT ON FUNCTION @extschema@.cleanup_old_cache() IS
    'Deletes cache entries older than the setting cache_retention and returns how many.';
REVOKE EXECUTE ON FUNCTION @extschema@.cleanup_old_cache() FROM PUBLIC;

-- sql/setup/_gravity_memory_adoption_mismatches.sql

-- _gravity_memory_adoption_mismatches(): why existing tables cannot be adopted, one line per mismatch, each with what to do.
--
-- Looks at every table of the catalogue that exists: its kind, the types of its columns, columns that cannot be added to a table
-- with rows, the unique key that foreign keys need, and columns of the arc tables that our inserts could not fill.
-- Columns that are merely missing, and columns of the application's own, are no mismatch. Returns nothing when all fits.
CREATE FUNCTION @extschema@._gravity_memory_adoption_mismatches()
RETURNS SETOF text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_adoption_mismatches$
    WITH existing AS (
        SELECT t.table_name, c.oid AS table_oid, c.relkind
        FROM @extschema@._gravity_memory_table_catalogue() AS t
        JOIN pg_class AS c ON c.oid = to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name))
    ), wanted AS (
        SELECT e.table_name, e.table_oid, w.ordinal, w.column_name, w.modifiers,
               -- The dimension of an existing embedding column is its owner's choice: types are compared without their modifier.
               regexp_replace(w.data_type, '\([0-9]+\)$', '') AS type_name, w.data_type, w.also_accepted,
               a.attnum, format_type(a.atttypid, NULL) AS actual_type, a.attgenerated
        FROM existing AS e
        JOIN @extschema@._gravity_memory_column_catalogue() AS w ON w.table_name = e.table_name
        LEFT JOIN pg_attribute AS a ON a.attrelid = e.table_oid AND a.attname = w.column_name AND NOT a.attisdropped
        WHERE e.relkind IN ('r', 'p')
    )
    SELECT m.problem
    FROM (
        SELECT e.table_name, 0 AS ordinal,
               format('%I is not a table: rename it away, or create the extension in another schema', e.table_name) AS problem
        FROM existing AS e
        WHERE e.relkind NOT IN ('r', 'p')
        UNION ALL
        SELECT w.table_name, w.ordinal,
               format('%I.%I is %s, must be %s: convert it, or rename it away and setup adds an empty %I, then copy the values',
                      w.table_name, w.column_name, w.actual_type, w.data_type, w.column_name)
        FROM wanted AS w
        WHERE w.attnum IS NOT NULL
          -- format_type() leaves out the schema of a type that is visible, which under our search_path pgvector's never is.
          AND w.actual_type <> w.type_name
          AND w.actual_type <> ALL (w.also_accepted)
        UNION ALL
        SELECT w.table_name, w.ordinal,
               format('%I.%I is generated, must be an ordinary column: ALTER TABLE %I ALTER COLUMN %I DROP EXPRESSION',
                      w.table_name, w.column_name, w.table_name, w.column_name)
        FROM wanted AS w
        WHERE w.attgenerated <> ''
        UNION ALL
        SELECT w.table_name, w.ordinal,
               format('%I.%I is missing and cannot be added to a table with rows: rename the column that holds it, or add it as %s %s',
                      w.table_name, w.column_name, w.data_type, w.modifiers)
        FROM wanted AS w
        WHERE w.attnum IS NULL
          AND (w.modifiers = 'NOT NULL' OR w.modifiers LIKE '%gen_random_uuid()%')
        UNION ALL
        SELECT w.table_name, w.ordinal,
               format('%I.%I has %s dimensions, must have from 1 to 2000, for the indexes of pgvector: ALTER TABLE %I ALTER COLUMN %I TYPE %s',
                      w.table_name, w.column_name, CASE WHEN a.atttypmod < 0 THEN 'no' ELSE 'too many' END,
                      w.table_name, w.column_name, w.data_type)
        FROM wanted AS w
        JOIN pg_attribute AS a ON a.attrelid = w.table_oid AND a.attnum = w.attnum
        WHERE w.column_name = 'embedding' AND w.actual_type = w.type_name AND (a.atttypmod < 0 OR a.atttypmod > 2000)
        UNION ALL
        SELECT e.table_name, 150,
               format('the foreign key %I of %I would refuse the deletion of memories that arcs link: make it ON DELETE CASCADE',
                      k.conname, e.table_name)
        FROM existing AS e
        JOIN pg_constraint AS k ON k.conrelid = e.table_oid AND k.contype = 'f' AND k.confdeltype <> 'c'
        WHERE e.table_name = 'memory_arc_associations'
          AND k.confrelid = ANY (ARRAY(SELECT x.table_oid FROM existing AS x WHERE x.table_name IN ('gravity_map', 'memory_arcs')))
        UNION ALL
        SELECT c.table_name, 200,
               format('the name %I belongs to another relation, and %I needs it for an index: rename that relation',
                      c.index_name, c.table_name)
        FROM @extschema@.gravity_memory_index_catalogue() AS c
        JOIN pg_class AS o ON o.oid = to_regclass(@extschema@._gravity_memory_qualified_name(c.index_name))
        WHERE NOT EXISTS (SELECT FROM pg_index AS i
                          WHERE i.indexrelid = o.oid
                            AND i.indrelid = to_regclass(@extschema@._gravity_memory_qualified_name(c.table_name)))
        UNION ALL
        SELECT w.table_name, 100,
               format('%I has no primary key or unique constraint on (%I): ALTER TABLE %I ADD PRIMARY KEY (%I)',
                      w.table_name, w.column_name, w.table_name, w.column_name)
        FROM wanted AS w
        WHERE w.table_name IN ('gravity_map', 'memory_arcs') AND w.column_name = 'id' AND w.attnum IS NOT NULL
          AND NOT EXISTS (SELECT FROM pg_index AS i
                          WHERE i.indrelid = w.table_oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
                            AND i.indnkeyatts = 1 AND i.indkey[0] = w.attnum)
        UNION ALL
        SELECT e.table_name, 100 + a.attnum,
               format('%I.%I is NOT NULL without a default, so arcs could not be written: give it a default or drop NOT NULL',
                      e.table_name, a.attname)
        FROM existing AS e
        JOIN pg_attribute AS a ON a.attrelid = e.table_oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE e.table_name IN ('memory_arcs', 'memory_arc_associations')
          AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND a.attgenerated = ''
          AND NOT EXISTS (SELECT FROM @extschema@._gravity_memory_column_catalogue() AS w
                          WHERE w.table_name = e.table_name AND w.column_name = a.attname)
    ) AS m (table_name, ordinal, problem)
    ORDER BY m.table_name, m.ordinal, m.problem
$_gravity_memory_adoption_mismatches$;

COMMENT ON FUNCTION @extschema@._gravity_memory_adoption_mismatches() IS
    'Why existing tables cannot be adopted: one line per mismatch, with what to do.';

-- sql/setup/_gravity_memory_release_tables.sql

-- _gravity_memory_release_tables(): makes sure that no table of ours is a member of the extension.
--
-- Tables created while CREATE EXTENSION or ALTER EXTENSION UPDATE runs become members, and pg_dump leaves out the rows of members. Released, they
-- are dumped and restored like any table, and DROP EXTENSION leaves them.
CREATE FUNCTION @extschema@._gravity_memory_release_tables()
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_release_tables$
DECLARE
    v_table_name text;
BEGIN
    FOR v_table_name IN
        SELECT t.table_name
        FROM @extschema@._gravity_memory_table_catalogue() AS t
        JOIN pg_depend AS d
          ON d.classid = 'pg_class'::regclass AND d.objid = to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name))
        JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
        WHERE d.deptype = 'e' AND e.extname = 'gravity_memory'
    LOOP
        EXECUTE 'ALTER EXTENSION gravity_memory DROP TABLE ' || @extschema@._gravity_memory_qualified_name(v_table_name);
    END LOOP;
END
$_gravity_memory_release_tables$;

COMMENT ON FUNCTION @extschema@._gravity_memory_release_tables() IS
    'Detaches the tables from the extension, so that they are dumped and kept like any others.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_release_tables() FROM PUBLIC;

-- sql/setup/_gravity_memory_table_bytes.sql

-- _gravity_memory_table_bytes(p_table_name): the size of one of our tables on disk, its partitions included, without indexes.
CREATE FUNCTION @extschema@._gravity_memory_table_bytes(p_table_name text)
RETURNS bigint
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_table_bytes$
    SELECT pg_table_size(r.relation) + COALESCE((SELECT sum(pg_table_size(t.relid)) FROM pg_partition_tree(r.relation) AS t
                                                 WHERE t.isleaf AND t.relid <> r.relation), 0)::bigint
    FROM (SELECT @extschema@._gravity_memory_qualified_name(p_table_name)::regclass AS relation) AS r
$_gravity_memory_table_bytes$;

COMMENT ON FUNCTION @extschema@._gravity_memory_table_bytes(text) IS
    'The bytes of a table of gravity_memory and its partitions.';

-- sql/setup/_gravity_memory_hand_over.sql

-- _gravity_memory_hand_over(): makes the owner of gravity_map the owner of our other tables and of the SECURITY DEFINER functions.
--
-- A SECURITY DEFINER function that writes a table should hold no more power than the table's owner: were it a superuser's, that owner's
-- own triggers would run as superuser. The other functions stay with whoever installed them, who also calls them; the owner of the
-- tables is granted EXECUTE. Tables are handed over when they belong to whoever runs setup, which are those that it made.
-- Returns one row per table and per SECURITY DEFINER function. Where the role may not do that, a WARNING says so and all stays as it is.
CREATE FUNCTION @extschema@._gravity_memory_hand_over()
RETURNS TABLE (action text, object text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_hand_over$
DECLARE
    v_owner CONSTANT name := (SELECT pg_get_userbyid(c.relowner) FROM pg_class AS c WHERE c.oid = '@extschema@.gravity_map'::regclass);
    v_table_name text;
    v_function record;
BEGIN
    FOR v_table_name IN
        SELECT t.table_name
        FROM @extschema@._gravity_memory_table_catalogue() AS t
        JOIN pg_class AS c ON c.oid = to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name))
        WHERE pg_get_userbyid(c.relowner) = current_user AND v_owner <> current_user
    LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO %I', @extschema@._gravity_memory_qualified_name(v_table_name), v_owner);
        action := 'change owner';
        object := v_table_name;
        RETURN NEXT;
    END LOOP;

    FOR v_function IN
        SELECT p.oid::regprocedure AS signature, p.proname, p.prosecdef
        FROM pg_proc AS p
        JOIN pg_depend AS d
          ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass
        JOIN pg_extension AS e ON e.oid = d.refobjid
        WHERE e.extname = 'gravity_memory'
          AND CASE WHEN p.prosecdef THEN pg_get_userbyid(p.proowner) <> v_owner
                   ELSE NOT has_function_privilege(v_owner, p.oid, 'EXECUTE') END
        ORDER BY p.proname
    LOOP
        IF v_function.prosecdef THEN
            EXECUTE format('ALTER FUNCTION %s OWNER TO %I', v_function.signature, v_owner);
            action := 'change owner';
            object := v_function.proname;
            RETURN NEXT;
        ELSE
            EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %I', v_function.signature, v_owner);
        END IF;
    END LOOP;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE WARNING 'gravity_memory: tables and functions were not handed over to %, who owns gravity_map: %', v_owner, SQLERRM
        USING ERRCODE = SQLSTATE,
              HINT = 'Run SELECT * FROM gravity_memory_setup() as a superuser, or give that role CREATE on the schema.';
END
$_gravity_memory_hand_over$;

COMMENT ON FUNCTION @extschema@._gravity_memory_hand_over() IS
    'Gives our tables and the SECURITY DEFINER functions to the owner of gravity_map.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_hand_over() FROM PUBLIC;

-- sql/setup/gravity_memory_setup.sql

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

-- sql/setup/gravity_memory_teardown.sql

-- gravity_memory_teardown(): removes the triggers and the scheduled jobs, and nothing else.
--
-- Tables, rows, indexes and settings stay as they are; afterwards DROP EXTENSION needs no CASCADE. gravity_memory_setup() undoes it.
-- Returns one row per thing it removed, none when nothing was left.
CREATE FUNCTION @extschema@.gravity_memory_teardown()
RETURNS TABLE (action text, object text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_teardown$
DECLARE
    v_trigger record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('gravity_memory_setup', 0));
    FOR v_trigger IN
        SELECT c.trigger_name, c.table_name
        FROM @extschema@._gravity_memory_trigger_catalogue() AS c
        JOIN pg_trigger AS t
          ON t.tgrelid = to_regclass(@extschema@._gravity_memory_qualified_name(c.table_name)) AND t.tgname = c.trigger_name
        ORDER BY c.table_name, c.trigger_name
    LOOP
        EXECUTE format('DROP TRIGGER %I ON %s', v_trigger.trigger_name,
                       @extschema@._gravity_memory_qualified_name(v_trigger.table_name));
        action := 'drop trigger';
        object := v_trigger.trigger_name;
        RETURN NEXT;
    END LOOP;
    RETURN QUERY SELECT 'unschedule job', j FROM @extschema@.gravity_memory_unschedule_jobs() AS j;
END
$gravity_memory_teardown$;

COMMENT ON FUNCTION @extschema@.gravity_memory_teardown() IS
    'Removes the triggers and jobs and keeps all tables and rows; returns one row per thing it removed.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_teardown() FROM PUBLIC;

-- sql/setup/install.sql

-- Creates or adopts the tables, unless a dump is being restored.
--
-- A restore brings the tables, their rows, triggers and jobs itself; what CREATE EXTENSION made before would be in its way (a
-- job inserted here makes COPY cron.job fail and loses the other jobs). pg_dump and pg_restore say SET row_security = off, and
-- nobody else does.
DO $install$
BEGIN
    IF pg_catalog.current_setting('row_security') OPERATOR(pg_catalog.=) 'on' THEN
        -- CREATE EXTENSION hides notices; setup's say what is left to do, and are meant to be read.
        IF pg_catalog.current_setting('client_min_messages') OPERATOR(pg_catalog.=) 'warning' THEN
            PERFORM pg_catalog.set_config('client_min_messages', 'notice', true);
        END IF;
        PERFORM @extschema@.gravity_memory_setup();
    END IF;
END
$install$;
