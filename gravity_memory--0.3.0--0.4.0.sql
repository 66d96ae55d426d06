\echo Use "ALTER EXTENSION gravity_memory UPDATE TO '0.4.0'" to load this file. \quit

-- sql/setup/preflight.sql

-- Refuses, with the way out, a schema in which functions of these names were made by hand.
--
-- CREATE FUNCTION would stop at the first of them with an error that says nothing of the others; and of two search functions of
-- one name that differ in their parameters, PostgREST can call neither.
DO $preflight$
DECLARE
    v_functions text;
BEGIN
    -- So that the hint names functions and types in full: whoever follows it may have any search_path.
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    SELECT pg_catalog.string_agg(p.oid::pg_catalog.regprocedure::pg_catalog.text, ', ' ORDER BY p.proname)
    INTO v_functions
    FROM pg_catalog.pg_proc AS p
    WHERE p.pronamespace OPERATOR(pg_catalog.=) '@extschema@'::pg_catalog.regnamespace
      AND ((p.pronargs OPERATOR(pg_catalog.=) 0
            AND p.proname OPERATOR(pg_catalog.=) ANY (
                ARRAY['auto_tag_high_gravity', 'notify_memory_created', 'trigger_arc_building', 'cleanup_old_cache']::pg_catalog.name[]))
           OR p.proname OPERATOR(pg_catalog.=) ANY (
                ARRAY['match_memories', 'gravity_weighted_search', 'find_similar_memories', 'get_conversation_context',
                      'recall_memories']::pg_catalog.name[]))
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                      JOIN pg_catalog.pg_extension AS e ON e.oid OPERATOR(pg_catalog.=) d.refobjid
                      WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
                        AND d.objid OPERATOR(pg_catalog.=) p.oid AND d.deptype OPERATOR(pg_catalog.=) 'e'
                        AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
                        AND e.extname OPERATOR(pg_catalog.=) 'gravity_memory');
    IF v_functions IS NOT NULL THEN
        RAISE EXCEPTION 'functions that gravity_memory brings exist already: %', v_functions
            USING ERRCODE = 'duplicate_function',
                  HINT = pg_catalog.format('Run DROP ROUTINE %s CASCADE; it drops their triggers too, and no row. Then try again.',
                                           v_functions);
    END IF;
END
$preflight$;

-- sql/upgrades/0.3.0--0.4.0.sql

-- By hand, before the objects of 0.4.0: what their CREATE OR REPLACE leaves undone.
-- It returns one column more: each column's purpose.
DROP FUNCTION @extschema@._gravity_memory_column_catalogue();

-- sql/settings/gravity_memory_settings.sql

-- gravity_memory_settings(): every setting with the value in force.
--
-- Returns name, value (in force), default, unit and meaning, ordered by name. Values are text, in the form that
-- gravity_memory_set() takes. Anyone may read them. It shares its name with the table that holds the overrides.
CREATE OR REPLACE FUNCTION @extschema@.gravity_memory_settings()
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

-- sql/schedules/_gravity_memory_is_same_job.sql

-- _gravity_memory_is_same_job(p_command, p_wanted): does a job's command call the function that a job of the catalogue calls?
--
-- p_wanted is the catalogue's "SELECT schema.function()". A job made by hand may leave out the schema, end in a semicolon, say
-- "SELECT * FROM" or be spelled in capitals, as that of the specification's comment: SELECT cleanup_old_cache().
CREATE FUNCTION @extschema@._gravity_memory_is_same_job(p_command text, p_wanted text)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $_gravity_memory_is_same_job$
    SELECT c.command IN (w.call, regexp_replace(w.call, '^.*\.', ''))
    FROM (SELECT regexp_replace(regexp_replace(lower(p_command), '[\s;]', '', 'g'), '^select(\*from)?', '')) AS c (command)
    CROSS JOIN (SELECT regexp_replace(regexp_replace(lower(p_wanted), '[\s;]', '', 'g'), '^select(\*from)?', '')) AS w (call)
$_gravity_memory_is_same_job$;

COMMENT ON FUNCTION @extschema@._gravity_memory_is_same_job(text, text) IS
    'Whether two commands of jobs call the same function, though one may be written otherwise.';

-- sql/schedules/gravity_memory_schedule_jobs.sql

-- gravity_memory_schedule_jobs(): schedules the jobs of the catalogue in pg_cron, or says how to run them elsewhere.
--
-- Returns the names of the jobs it created or changed: none when all is as it should be, so it can be called at any time.
-- A job made by hand that calls the same function, under any name and schedule, stays as it is, and none is made beside it.
-- Where pg_cron is not in this database, or a job of that name runs something else, a NOTICE says what to run where. It never raises an error: a database
-- without its jobs still works.
CREATE OR REPLACE FUNCTION @extschema@.gravity_memory_schedule_jobs()
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
            EXECUTE 'SELECT EXISTS (SELECT FROM cron.job AS j WHERE j.database = current_database()'
                    ' AND ((j.jobname = $1 AND j.schedule = $2 AND j.command = $3)'
                    '      OR ((j.jobname, j.command) IS DISTINCT FROM ($1, $3)'
                    '          AND @extschema@._gravity_memory_is_same_job(j.command, $3))))'
                INTO v_is_current USING v_job.job_name, v_job.schedule, v_job.command;
            EXECUTE 'SELECT EXISTS (SELECT FROM cron.job AS j WHERE j.jobname = $1 AND j.command <> $2 AND j.username = current_user)'
                INTO v_is_taken USING v_job.job_name, v_job.command;
            IF v_is_current THEN
                CONTINUE;
            ELSIF v_is_taken THEN
                RAISE NOTICE 'gravity_memory: the job % is not scheduled, because a job of that name runs something else. %', v_job.job_name,
                    format('Under another name, run: SELECT cron.schedule(%L, %L, %L);',
                           'gravity_memory ' || v_job.job_name, v_job.schedule, v_job.command);
            ELSE
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
    'Schedules the jobs in pg_cron and returns those it changed; without pg_cron, a NOTICE says what to run.

None are returned when all is as it should be. A job of that name that runs something else stays, and a NOTICE
says so. Never an error: a database without its jobs still works.';

-- sql/schedules/gravity_memory_unschedule_jobs.sql

-- gravity_memory_unschedule_jobs(): removes this database's jobs of gravity_memory from pg_cron, and no others.
--
-- A job is ours when both its name and its command are: another job that happens to be called cleanup-cache stays. The step that
-- gravity_memory_train_vector_indexes() scheduled last is ours too.
-- Returns the names of the jobs it removed.
CREATE OR REPLACE FUNCTION @extschema@.gravity_memory_unschedule_jobs()
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
        ' LEFT JOIN @extschema@._gravity_memory_job_catalogue() AS c ON c.job_name = j.jobname AND c.command = j.command'
        ' WHERE j.database = current_database()'
        ' AND (c.job_name IS NOT NULL OR (j.jobname = ''train-vector-index-step'' AND j.command ~ ''idx_gravity_map_embedding_''))'
        ' ORDER BY j.jobname'
    LOOP
        EXECUTE 'SELECT cron.unschedule($1)' USING v_job.jobid;
        RETURN QUERY SELECT v_job.jobname::text;
    END LOOP;
END
$gravity_memory_unschedule_jobs$;

COMMENT ON FUNCTION @extschema@.gravity_memory_unschedule_jobs() IS
    'Removes the jobs of gravity_memory from pg_cron and returns their names; other jobs stay.

A job is ours when both its name and its command are.';

-- sql/tables/_gravity_memory_table_catalogue.sql

-- _gravity_memory_table_catalogue(): the tables that setup creates or adopts, in an order in which foreign keys can be made.
--
-- table_constraints are added only when setup creates the table: an adopted table keeps the constraints its owner chose.
-- A derived table holds nothing that cannot be computed from gravity_map; setup fills it when it makes it. A closed table tells about
-- memories, and the policies of gravity_map do not reach it: it has row security always, also where the other tables have not.
-- storage is what follows WITH. Derived tables are vacuumed early: index-only scans depend on it.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_table_catalogue()
RETURNS TABLE (table_name text, table_constraints text[], purpose text, is_derived boolean, is_closed boolean, storage text)
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_table_catalogue$
VALUES
    ('gravity_map',
     ARRAY['PRIMARY KEY (id)',
           'CONSTRAINT gravity_map_gravity_score_range CHECK (gravity_score >= 0 AND gravity_score <= 1)'],
     'The memories: one row each, with content, embedding, gravity (importance), emotion and entities.', false, false, ''),
    ('memory_arcs',
     ARRAY['PRIMARY KEY (id)'],
     'Arcs: groups of memories that belong together. Arcs named ''<emotion> arc (auto-created)'' are kept by gravity_memory.',
     false, false, ''),
    ('memory_arc_associations',
     ARRAY['PRIMARY KEY (memory_id, arc_id)',
           'FOREIGN KEY (memory_id) REFERENCES @extschema@.gravity_map (id) ON DELETE CASCADE',
           'FOREIGN KEY (arc_id) REFERENCES @extschema@.memory_arcs (id) ON DELETE CASCADE'],
     'Which memory belongs to which arc, and how strongly.', false, false, ''),
    ('consciousness_cache',
     ARRAY['PRIMARY KEY (id)'],
     'Cached answers; cleanup_old_cache() deletes them when they are a day old.', false, false, ''),
    ('active_sessions',
     ARRAY['PRIMARY KEY (session_id)'],
     'Sessions of the application and their state.', false, false, ''),
    ('pattern_matrix',
     ARRAY['PRIMARY KEY (id)'],
     'Patterns that the application found in a user''s memories.', false, false, ''),
    ('memory_arc_locks',
     ARRAY['PRIMARY KEY (user_id, emotion_type)'],
     'Whoever looks for clusters of a user and emotion locks the row here, so that concurrent writers see each other''s '
     'memories. A row without an emotion, never seen by others, has an arc recounted at the commit. Rows may be deleted.',
     false, false, ''),
    ('gravity_memory_settings',
     ARRAY['PRIMARY KEY (name)'],
     'Settings that differ from their defaults; see gravity_memory_set() and gravity_memory_settings().', false, false, ''),
    ('memory_digests',
     ARRAY['PRIMARY KEY (user_id, memory_id) INCLUDE (signature)'],
     'One row per memory: what recall reads of it. Its length in words, the sign of each component of its embedding, one bit each, '
     'and the terms it is found by.',
     true, true, 'autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_vacuum_scale_factor = 0.02'),
    ('memory_postings',
     ARRAY['PRIMARY KEY (term_key, memory_id) INCLUDE (frequency, length)'],
     'One row per term and memory it occurs in; the key is a hash of user and term. Recall by words reads it.',
     true, true, 'autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_vacuum_scale_factor = 0.02'),
    ('memory_recall_gaps',
     ARRAY['PRIMARY KEY (user_id, is_every_user)'],
     'Users whose derived rows may be missing or wrong, so that recall does not rely on them; one row with is_every_user stands '
     'for all. CALL gravity_memory_rebuild_recall() works it off.',
     true, true, ''),
    ('memory_events',
     ARRAY['PRIMARY KEY (user_id, xid, event_id)'],
     'The feed of changes: one row per event of a memory or arc; memory_changes_since() reads it. gravity_memory_cleanup_events() '
     'deletes old rows.',
     false, true, 'autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_vacuum_scale_factor = 0.02')
$_gravity_memory_table_catalogue$;

COMMENT ON FUNCTION @extschema@._gravity_memory_table_catalogue() IS
    'The tables of gravity_memory in creation order, with the constraints of a newly created one.';

-- sql/tables/_gravity_memory_column_catalogue.sql

-- _gravity_memory_column_catalogue(): the columns of every table.
--
-- data_type and modifiers make the column; also_accepted lists other types that an adopted table may have there, by the name
-- that format_type() gives without a length. identifiers of conversations may be uuid, as they are in the live application.
-- A column that is NOT NULL without a default cannot be added to a table with rows: adoption requires it to be there.
-- purpose becomes the column's comment on tables that setup made.
CREATE FUNCTION @extschema@._gravity_memory_column_catalogue()
RETURNS TABLE (table_name text, ordinal integer, column_name text, data_type text, modifiers text, also_accepted text[],
               purpose text)
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
       c.modifiers, c.also_accepted, c.purpose
FROM (VALUES
    ('gravity_map',  1, 'id',              'uuid',             'NOT NULL DEFAULT gen_random_uuid()', '{}'::text[],
     'Names the memory.'),
    ('gravity_map',  2, 'user_id',         'text',             'NOT NULL', '{character varying}',
     'Whose memory it is; every search but gravity_memory_search_all() is of one user.'),
    ('gravity_map',  3, 'thread_id',       'text',             '', '{character varying,uuid}',
     'The thread of the application that it belongs to.'),
    ('gravity_map',  4, 'session_id',      'text',             '', '{character varying,uuid}',
     'The session in which it was said; to recall, memories of one session are its turns, in order of created_at.'),
    ('gravity_map',  5, 'memory_trace_id', 'text',             '', '{character varying,uuid}',
     'The conversation that get_conversation_context() returns the last turns of.'),
    ('gravity_map',  6, 'content',         'text',             '', '{character varying}',
     'What is remembered, in words; the words of its first 100,000 characters are searched.'),
    ('gravity_map',  7, 'summary',         'text',             '', '{character varying}',
     'A shorter form, by the application; no function goes by it.'),
    ('gravity_map',  8, 'topic',           'text',             '', '{character varying}',
     'What it is about, by the application; no function goes by it.'),
    ('gravity_map',  9, 'gravity_score',   'double precision', 'DEFAULT 0.5', '{numeric}',
     'How important it is, from 0 to 1; decides over tags and arcs, and weighs in searches that ask for it. NULL: not known.'),
    ('gravity_map', 10, 'emotion_type',    'text',             '', '{character varying}',
     'Its emotion, such as joy; memories of one emotion form arcs. NULL or empty: none.'),
    ('gravity_map', 11, 'entities',        'text[]',           '', '{}',
     'Who and what it names.'),
    ('gravity_map', 12, 'meta_tags',       'text[]',           'DEFAULT ''{}''', '{}',
     'Tags: high_gravity and identity are added as it is written, all others are the application''s.'),
    ('gravity_map', 13, 'identity_anchor', 'boolean',          'NOT NULL DEFAULT false', '{}',
     'Whether it says who the user is; set for memories of high gravity.'),
    ('gravity_map', 14, 'temporal_type',   'text',             '', '{character varying}',
     'past, present or future, told from its words when it is inserted without.'),
    ('gravity_map', 15, 'embedding',       'vector',           '', '{}',
     'The vector that a model made of the content. NULL: found by words and neighbours only.'),
    ('gravity_map', 16, 'metadata',        'jsonb',            'NOT NULL DEFAULT ''{}''', '{}',
     'Whatever else the application keeps with it; recall can filter by what it contains.'),
    ('gravity_map', 17, 'created_at',      'timestamp with time zone', 'NOT NULL DEFAULT now()', '{}',
     'When it happened; what windows, ages and the order of turns go by.'),
    ('gravity_map', 18, 'updated_at',      'timestamp with time zone', 'NOT NULL DEFAULT now()', '{}',
     'When it was changed last, by the application''s account: no trigger sets it.'),

    ('memory_arcs',  1, 'id',              'uuid',             'NOT NULL DEFAULT gen_random_uuid()', '{}',
     'Names the arc.'),
    ('memory_arcs',  2, 'user_id',         'text',             'NOT NULL', '{character varying}',
     'Whose arc it is.'),
    ('memory_arcs',  3, 'arc_name',        'text',             'NOT NULL', '{character varying}',
     'Its name; <emotion> arc (auto-created) makes it automatic, any other the application''s.'),
    ('memory_arcs',  4, 'emotion_type',    'text',             '', '{character varying}',
     'The emotion of the memories that join it. NULL or empty: told by the name, if it holds the emotion as a word.'),
    ('memory_arcs',  5, 'gravity_center',  'double precision', '', '{numeric}',
     'The mean gravity of its members.'),
    ('memory_arcs',  6, 'evolution_stage', 'text',             'DEFAULT ''forming''', '{character varying}',
     'forming, active, mature or dormant, moved on by gravity_memory_evolve_arcs(); any other is the application''s.'),
    ('memory_arcs',  7, 'memory_count',    'integer',          'DEFAULT 0', '{bigint}',
     'How many members it has.'),
    ('memory_arcs',  8, 'peak_gravity',    'double precision', '', '{numeric}',
     'The highest gravity of a member.'),
    ('memory_arcs',  9, 'growth_vector',   'jsonb',            '', '{}',
     'How it grows, by the application; no function goes by it.'),
    ('memory_arcs', 10, 'first_memory_at', 'timestamp with time zone', '', '{}',
     'created_at of its earliest member.'),
    ('memory_arcs', 11, 'last_memory_at',  'timestamp with time zone', '', '{}',
     'created_at of its latest member; says when it becomes dormant.'),
    ('memory_arcs', 12, 'created_at',      'timestamp with time zone', 'NOT NULL DEFAULT now()', '{}',
     'When the arc was made.'),
    ('memory_arcs', 13, 'updated_at',      'timestamp with time zone', 'NOT NULL DEFAULT now()', '{}',
     'When its totals or its stage changed last.'),

    ('memory_arc_associations', 1, 'memory_id',       'uuid',             'NOT NULL', '{}',
     'The member; the link goes with the memory.'),
    ('memory_arc_associations', 2, 'arc_id',          'uuid',             'NOT NULL', '{}',
     'The arc; the link goes with the arc.'),
    ('memory_arc_associations', 3, 'user_id',         'text',             '', '{character varying}',
     'Whose arc it is; set on the links that the database makes.'),
    ('memory_arc_associations', 4, 'fusion_strength', 'double precision', '', '{numeric}',
     'How strongly it belongs, from 0 to 1; arc_fusion_strength on the links that the database makes.'),
    ('memory_arc_associations', 5, 'created_at',      'timestamp with time zone', 'NOT NULL DEFAULT now()', '{}',
     'When they were linked.'),

    ('consciousness_cache', 1, 'id',             'uuid',             'NOT NULL DEFAULT gen_random_uuid()', '{}',
     'Names the entry.'),
    ('consciousness_cache', 2, 'user_id',        'text',             '', '{character varying}',
     'Whose question it was.'),
    ('consciousness_cache', 3, 'query_hash',     'text',             '', '{character varying}',
     'The hash by which the application looks the question up.'),
    ('consciousness_cache', 4, 'query_text',     'text',             '', '{character varying}',
     'The question.'),
    ('consciousness_cache', 5, 'response',       'text',             '', '{character varying}',
     'The answer.'),
    ('consciousness_cache', 6, 'confidence',     'double precision', '', '{numeric}',
     'How sure the application was of it.'),
    ('consciousness_cache', 7, 'accessed_count', 'integer',          'DEFAULT 0', '{bigint}',
     'How often it was used, by the application''s account; gravity_memory_stats() sums it up.'),
    ('consciousness_cache', 8, 'last_accessed',  'timestamp with time zone', '', '{}',
     'When it was used last, by the application''s account.'),
    ('consciousness_cache', 9, 'created_at',     'timestamp with time zone', 'NOT NULL DEFAULT now()', '{}',
     'When it was stored; cleanup_old_cache() deletes what is older than cache_retention.'),

    ('active_sessions',  1, 'session_id',      'text',    'NOT NULL', '{character varying,uuid}',
     'Names the session.'),
    ('active_sessions',  2, 'user_id',         'text',    '', '{character varying}',
     'Whose session it is.'),
    ('active_sessions',  3, 'thread_id',       'text',    '', '{character varying,uuid}',
     'Its thread.'),
    ('active_sessions',  4, 'session_status',  'text',    'DEFAULT ''active''', '{character varying}',
     'Its state, such as active; the application''s.'),
    ('active_sessions',  5, 'message_count',   'integer', 'DEFAULT 0', '{bigint}',
     'How many messages it has, by the application''s account.'),
    ('active_sessions',  6, 'current_mode',    'text',    '', '{character varying}',
     'The mode that the application is in.'),
    ('active_sessions',  7, 'mode_history',    'jsonb',   'DEFAULT ''[]''', '{}',
     'The modes before, as a JSON array.'),
    ('active_sessions',  8, 'started_at',      'timestamp with time zone', 'DEFAULT now()', '{}',
     'When it began.'),
    ('active_sessions',  9, 'last_message_at', 'timestamp with time zone', 'DEFAULT now()', '{}',
     'When its last message came; lists of sessions go by it.'),
    ('active_sessions', 10, 'created_at',      'timestamp with time zone', 'NOT NULL DEFAULT now()', '{}',
     'When the row was made.'),
    ('active_sessions', 11, 'updated_at',      'timestamp with time zone', 'NOT NULL DEFAULT now()', '{}',
     'When it was changed last, by the application''s account.'),

    ('pattern_matrix',  1, 'id',             'uuid',             'NOT NULL DEFAULT gen_random_uuid()', '{}',
     'Names the pattern.'),
    ('pattern_matrix',  2, 'user_id',        'text',             '', '{character varying}',
     'Whose memories show it.'),
    ('pattern_matrix',  3, 'pattern_type',   'text',             '', '{character varying}',
     'Its kind, by the application.'),
    ('pattern_matrix',  4, 'description',    'text',             '', '{character varying}',
     'What it is, in words.'),
    ('pattern_matrix',  5, 'intensity',      'double precision', '', '{numeric}',
     'How strong it is; lists of a user''s patterns go by it.'),
    ('pattern_matrix',  6, 'instances',      'jsonb',            '', '{}',
     'Where it was seen, as the application keeps it.'),
    ('pattern_matrix',  7, 'status',         'text',             'DEFAULT ''active''', '{character varying}',
     'Its state, such as active; the application''s.'),
    ('pattern_matrix',  8, 'first_detected', 'timestamp with time zone', '', '{}',
     'When it was seen first.'),
    ('pattern_matrix',  9, 'last_observed',  'timestamp with time zone', '', '{}',
     'When it was seen last.'),
    ('pattern_matrix', 10, 'created_at',     'timestamp with time zone', 'NOT NULL DEFAULT now()', '{}',
     'When the row was made.'),
    ('pattern_matrix', 11, 'metadata',       'jsonb',            'DEFAULT ''{}''', '{}',
     'Whatever else the application keeps with it.'),

    ('memory_arc_locks', 1, 'user_id',      'text', 'NOT NULL', '{}',
     'The user whose clusters are looked for; or the id of an arc, where emotion_type is empty.'),
    ('memory_arc_locks', 2, 'emotion_type', 'text', 'NOT NULL', '{}',
     'The emotion.'),

    ('gravity_memory_settings', 1, 'name',  'text', 'NOT NULL', '{}',
     'The setting.'),
    ('gravity_memory_settings', 2, 'value', 'text', 'NOT NULL', '{}',
     'Its value, as gravity_memory_set() stored it.'),

    ('memory_digests', 1, 'user_id',   'text',        'NOT NULL', '{}',
     'Whose memory it is.'),
    ('memory_digests', 2, 'memory_id', 'uuid',        'NOT NULL', '{}',
     'The memory.'),
    ('memory_digests', 3, 'length',    'integer',     'NOT NULL', '{}',
     'How many words it has that are no stop words.'),
    ('memory_digests', 4, 'signature', 'bit varying', '', '{}',
     'The sign of each component of the embedding, one bit each; NULL without embedding.'),
    ('memory_digests', 5, 'term_keys', 'bigint[]',    'NOT NULL', '{}',
     'The keys of its terms in memory_postings, by which they are found again when it goes.'),

    ('memory_postings', 1, 'term_key',  'bigint',   'NOT NULL', '{}',
     'A 64-bit hash of user and term.'),
    ('memory_postings', 2, 'memory_id', 'uuid',     'NOT NULL', '{}',
     'The memory that the term occurs in.'),
    ('memory_postings', 3, 'frequency', 'smallint', 'NOT NULL', '{}',
     'How often it occurs there.'),
    ('memory_postings', 4, 'length',    'smallint', 'NOT NULL', '{}',
     'How many words that memory has that are no stop words.'),

    ('memory_recall_gaps', 1, 'user_id',       'text',    'NOT NULL', '{}',
     'The user; empty in the row that stands for all.'),
    ('memory_recall_gaps', 2, 'is_every_user', 'boolean', 'NOT NULL', '{}',
     'Whether the row stands for all users.'),
    ('memory_recall_gaps', 3, 'noted_at',      'timestamp with time zone', 'NOT NULL DEFAULT clock_timestamp()', '{}',
     'Since when their derived rows are not relied on.'),
    ('memory_recall_gaps', 4, 'only_missing',  'boolean', 'NOT NULL DEFAULT false', '{}',
     'Whether what is derived is right, so that the rebuild has but to add what is missing.'),

    ('memory_events', 1, 'user_id',    'text',   'NOT NULL', '{}',
     'Whose memory or arc it was; empty for a break in the feed, which concerns everybody.'),
    ('memory_events', 2, 'xid',        'xid8',   'NOT NULL DEFAULT pg_current_xact_id()', '{}',
     'The transaction that wrote it, by which readers tell what is new to them.'),
    ('memory_events', 3, 'event_id',   'bigint', 'NOT NULL GENERATED BY DEFAULT AS IDENTITY', '{}',
     'Orders the events of a transaction.'),
    ('memory_events', 4, 'event',      'text',   'NOT NULL', '{}',
     'memory_created, memory_updated, memory_deleted, arc_created, arc_updated, arc_deleted, or feed_broken.'),
    ('memory_events', 5, 'subject_id', 'uuid',   '', '{}',
     'The memory or arc; NULL for a break.'),
    ('memory_events', 6, 'payload',    'jsonb',  'NOT NULL', '{}',
     'The memory without its embedding, or the arc; the ids alone where it was deleted, the reason for a break.'),
    ('memory_events', 7, 'wakes',      'boolean', 'NOT NULL', '{}',
     'Whether listeners on memory_changes are told of it.'),
    ('memory_events', 8, 'created_at', 'timestamp with time zone', 'NOT NULL DEFAULT clock_timestamp()', '{}',
     'When it was written; gravity_memory_cleanup_events() goes by it.')
) AS c (table_name, ordinal, column_name, data_type, modifiers, also_accepted, purpose)
$_gravity_memory_column_catalogue$;

COMMENT ON FUNCTION @extschema@._gravity_memory_column_catalogue() IS
    'The columns of every table of gravity_memory: type, modifiers, types that an adopted table may have instead, and purpose.';

-- sql/vector_indexes/gravity_memory_vector_index_ddl.sql

-- gravity_memory_vector_index_ddl(): the statements that bring the indexes on embedding up to date without blocking writers.
--
-- An index that is missing is built; one that is invalid, no longer wanted or on too few rows is dropped; one whose lists do not suit the
-- number of rows any more, or that is of another kind than embedding_index says, is replaced by a successor built beside it, so
-- that searches keep an index all the time. Returns one statement per row, in order, none when all is as it should be. Run each
-- outside a transaction block: in psql, SELECT ddl FROM gravity_memory_vector_index_ddl() AS ddl \gexec
-- Interrupted anywhere, or run by two sessions at a time, it does no harm: call it again and it says what is left to do.
-- Returns none, and a NOTICE says so, while another session builds or drops an index of the table. A WARNING says what keeps an index from
-- being built, a NOTICE that more maintenance_work_mem would make a better one. PostgreSQL cannot build or drop indexes of a
-- partitioned table concurrently: there the statements block writers while they run, and a NOTICE says so.
-- Where pg_cron is, gravity_memory_train_vector_indexes() does it by itself.
CREATE OR REPLACE FUNCTION @extschema@.gravity_memory_vector_index_ddl()
RETURNS SETOF text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $gravity_memory_vector_index_ddl$
DECLARE
    v_table CONSTANT text := @extschema@._gravity_memory_qualified_name('gravity_map');
    v_settle CONSTANT text := 'SELECT ' || @extschema@._gravity_memory_qualified_name('_gravity_memory_settle_vector_indexes') || '()';
    v_kind CONSTANT "char" := (SELECT c.relkind FROM pg_class AS c WHERE c.oid = to_regclass(v_table));
    v_concurrently CONSTANT text := CASE v_kind WHEN 'p' THEN '' ELSE ' CONCURRENTLY' END;
    v_builder integer;
    v_advice record;
    v_statements text[];
BEGIN
    -- An index that is being built is invalid until it is done, and looks like something to drop. Who holds this lock builds or drops
    -- one, or vacuums; what other roles do is visible to superusers only.
    SELECT a.pid INTO v_builder
    FROM pg_locks AS l
    JOIN pg_stat_activity AS a ON a.pid = l.pid
    WHERE l.locktype = 'relation' AND l.relation = to_regclass(v_table) AND l.mode = 'ShareUpdateExclusiveLock'
      AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
      AND a.pid <> pg_backend_pid()
      AND a.query !~* '^\s*(autovacuum:|vacuum|analyze)'
    LIMIT 1;
    IF FOUND THEN
        RAISE NOTICE 'gravity_memory: session % is building or dropping an index of gravity_map, or vacuums it.', v_builder
            USING HINT = 'Call this again when it is done; pg_stat_progress_create_index shows how far it is.';
        RETURN;
    END IF;

    FOR v_advice IN
        SELECT s.advice AS text, bool_or(s.is_wanted AND s.is_buildable) AS is_built
        FROM @extschema@._gravity_memory_vector_index_states() AS s
        WHERE s.advice IS NOT NULL AND NOT s.index_serves AND NOT s.successor_serves
        GROUP BY s.advice
    LOOP
        IF v_advice.is_built THEN
            RAISE NOTICE 'gravity_memory: %.', v_advice.text
                USING HINT = 'SET maintenance_work_mem and call this again for more lists; where pg_cron does it, ALTER ROLE SET.';
        ELSE
            RAISE WARNING 'gravity_memory: the indexes on embedding cannot be built: %.', v_advice.text
                USING HINT = 'Raise maintenance_work_mem (where pg_cron builds: ALTER ROLE SET), shorten the embeddings, or set '
                             'embedding_index to hnsw, which needs less memory, or to none, which compares all memories.';
        END IF;
    END LOOP;

    v_statements := ARRAY(
        SELECT d.statement
        FROM (
            SELECT t.step, s.index_name AS ordinal, t.statement
            FROM @extschema@._gravity_memory_vector_index_states() AS s
            CROSS JOIN LATERAL (
                SELECT s.successor_oid IS NOT NULL AND (s.index_serves OR NOT s.successor_serves) AS drops_successor,
                       s.is_there AND NOT (s.is_valid AND s.is_wanted) AS drops_index,
                       s.successor_serves AND NOT s.index_serves AS takes_over,
                       s.is_wanted AND s.is_buildable AND NOT s.index_serves AND NOT s.successor_serves AS builds,
                       s.is_there AND s.is_valid AS has_index
            ) AS v
            CROSS JOIN LATERAL (VALUES
                (1, v.drops_successor OR v.drops_index OR v.takes_over, v_settle),
                (2, v.drops_successor, format('DROP INDEX%s IF EXISTS %s', v_concurrently,
                    @extschema@._gravity_memory_qualified_name(s.index_name || '_old_' || s.successor_oid))),
                (2, v.drops_index OR (v.takes_over AND s.is_there), format('DROP INDEX%s IF EXISTS %s', v_concurrently,
                    @extschema@._gravity_memory_qualified_name(s.index_name || '_old_' || s.index_oid))),
                (3, v.builds, format('CREATE INDEX%s %I ON %s %s', v_concurrently,
                    s.index_name || CASE WHEN v.has_index THEN '_successor' ELSE '' END, v_table, s.definition)),
                (4, v.builds AND v.has_index, v_settle),
                (5, v.builds AND v.has_index, format('DROP INDEX%s IF EXISTS %s', v_concurrently,
                    @extschema@._gravity_memory_qualified_name(s.index_name || '_old_' || s.index_oid)))
            ) AS t (step, is_needed, statement)
            WHERE t.is_needed
            UNION ALL
            -- What was set aside before.
            SELECT 2, c.relname::text,
                   format('DROP INDEX%s IF EXISTS %s', v_concurrently, @extschema@._gravity_memory_qualified_name(c.relname::text))
            FROM pg_index AS i
            JOIN pg_class AS c ON c.oid = i.indexrelid
            WHERE i.indrelid = to_regclass(v_table) AND c.relname ~ '^idx_gravity_map_embedding_(cosine|l2)_old_[0-9]+$'
        ) AS d
        GROUP BY d.step, d.statement
        ORDER BY d.step, min(d.ordinal));
    IF v_statements <> '{}' AND v_concurrently = '' THEN
        RAISE NOTICE 'gravity_memory: gravity_map is partitioned, so these statements block its writers while they run.'
            USING HINT = 'Run them when that does not matter.';
    END IF;
    RETURN QUERY SELECT u.statement FROM unnest(v_statements) AS u (statement);
END
$gravity_memory_vector_index_ddl$;

COMMENT ON FUNCTION @extschema@.gravity_memory_vector_index_ddl() IS
    'The statements that bring the indexes on embedding up to date without blocking writers; run each outside a transaction block.

In order, none when all is as it should be; in psql, SELECT ddl FROM gravity_memory_vector_index_ddl() AS ddl
\gexec runs them. Interrupted, or run by two sessions at a time, it does no harm: call it again. None, with a
NOTICE, while another session builds or drops an index of the table. A WARNING says what keeps an index from
being built, a NOTICE that more maintenance_work_mem would make a better one. Of a partitioned table, the
statements block writers while they run.';

-- sql/vector_indexes/gravity_memory_train_vector_indexes.sql

-- gravity_memory_train_vector_indexes(): starts the next of the statements of gravity_memory_vector_index_ddl() through pg_cron.
--
-- CREATE INDEX CONCURRENTLY can run neither in a function nor beside another statement, but pg_cron runs a command that is one
-- statement as it is. So the job train-vector-indexes calls this every embedding_index_schedule; this renames what is to be
-- renamed and schedules one further job, train-vector-index-step, for the next minute. The call after that removes or replaces it. What is
-- to do is read from the catalogues, never remembered, so a step that was interrupted is mended by the next ones. One that failed is
-- tried again after a day: it may be a large build for which there is no room on the disk.
-- Returns the statement it scheduled; NULL when there is nothing to do, when a step is due or running, and where it cannot work: a
-- NOTICE says what to run without pg_cron and for a partitioned table, whose writers the statements would block.
CREATE OR REPLACE FUNCTION @extschema@.gravity_memory_train_vector_indexes()
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_train_vector_indexes$
DECLARE
    v_step_job CONSTANT text := 'train-vector-index-step';
    v_kind CONSTANT "char" := (SELECT c.relkind FROM pg_class AS c WHERE c.oid = to_regclass('@extschema@.gravity_map'));
    v_statement text;
    v_zone text;
    v_minute timestamp;
    v_schedules text[];
    v_job record;
    v_failure text;
BEGIN
    IF v_kind IS NULL THEN
        RETURN NULL;
    END IF;
    IF v_kind = 'p' OR NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron') THEN
        IF EXISTS (SELECT FROM @extschema@.gravity_memory_vector_index_ddl()) THEN
            RAISE NOTICE 'gravity_memory: the indexes on embedding are to be built or trained again, %.',
                CASE v_kind WHEN 'p' THEN 'which blocks the writers of a partitioned table' ELSE 'and pg_cron is not in this database' END
                USING HINT = 'Run in psql: SELECT ddl FROM @extschema@.gravity_memory_vector_index_ddl() AS ddl \gexec';
        END IF;
        RETURN NULL;
    END IF;

    BEGIN
        PERFORM @extschema@._gravity_memory_settle_vector_indexes();
    EXCEPTION WHEN lock_not_available THEN
        RAISE NOTICE 'gravity_memory: % (%)', SQLERRM, 'a step that is still running, or a maintenance command';
        RETURN NULL;
    END;
    SELECT s.ddl INTO v_statement
    FROM @extschema@.gravity_memory_vector_index_ddl() WITH ORDINALITY AS s (ddl, step) ORDER BY s.step LIMIT 1;

    -- pg_cron reads schedules in cron.timezone (GMT where it has no such parameter). Who may not see it gets one that comes every quarter of
    -- an hour, in every time zone; one that comes once a year is better, should the next call take long. The first is for the
    -- next minute, unless that is too close; the others tell whether an earlier step is still due.
    BEGIN
        v_zone := COALESCE(NULLIF(current_setting('cron.timezone', true), ''), 'GMT');
    EXCEPTION WHEN insufficient_privilege THEN
        v_zone := NULL;
    END;
    v_minute := date_trunc('minute', clock_timestamp() AT TIME ZONE COALESCE(v_zone, 'GMT') + interval '15 seconds') + interval '1 minute';
    v_schedules := ARRAY(
        SELECT CASE WHEN v_zone IS NOT NULL THEN to_char(m.minute, 'FMMI FMHH24 FMDD FMMM') || ' *'
                    ELSE (SELECT string_agg(q::text, ',' ORDER BY q)
                          FROM generate_series(extract(minute FROM m.minute)::integer % 15, 59, 15) AS q) || ' * * * *' END
        FROM (SELECT o, v_minute - o * interval '1 minute' AS minute FROM generate_series(0, 3) AS o) AS m
        ORDER BY m.o);

    EXECUTE 'SELECT j.jobid, j.schedule, j.command FROM cron.job AS j'
            ' WHERE j.jobname = $1 AND j.database = current_database() AND j.username = current_user'
        INTO v_job USING v_step_job;
    IF v_job.command = v_statement AND v_job.schedule = ANY (v_schedules) THEN
        RETURN NULL;
    END IF;
    IF v_job.jobid IS NOT NULL THEN
        EXECUTE 'SELECT cron.unschedule($1)' USING v_job.jobid;
    END IF;
    IF v_statement IS NULL THEN
        RETURN NULL;
    END IF;

    -- The same index, whatever its number of lists. Not a step that ended with the server.
    EXECUTE 'SELECT d.return_message FROM cron.job_run_details AS d'
            ' WHERE split_part(d.command, '' USING '', 1) = split_part($1, '' USING '', 1) AND d.database = current_database()'
            ' AND d.status = ''failed'' AND d.start_time > now() - interval ''1 day'' AND d.return_message <> ''server restarted'''
            ' ORDER BY d.start_time DESC LIMIT 1'
        INTO v_failure USING v_statement;
    IF v_failure IS NOT NULL THEN
        RAISE WARNING 'gravity_memory: % failed within the last day, and is tried again after it: %',
            split_part(v_statement, ' USING ', 1), btrim(v_failure, E' \n')
            USING HINT = 'To try at once, run in psql: SELECT ddl FROM @extschema@.gravity_memory_vector_index_ddl() AS ddl \gexec';
        RETURN NULL;
    END IF;

    EXECUTE 'SELECT cron.schedule($1, $2, $3)' USING v_step_job, v_schedules[1], v_statement;
    RETURN v_statement;
END
$gravity_memory_train_vector_indexes$;

COMMENT ON FUNCTION @extschema@.gravity_memory_train_vector_indexes() IS
    'Schedules, through pg_cron, the next statement that brings the indexes on embedding up to date, and returns it.

NULL when there is nothing to do, when a statement is due or running, and where it cannot work: without pg_cron
and for a partitioned table a NOTICE says what to run. One that failed is tried again after a day. The job
train-vector-indexes runs it.';

-- sql/indexes/gravity_memory_index_catalogue.sql

-- gravity_memory_index_catalogue(): every index, the query it serves, and whether the specification names it.
--
-- Returns index_name, table_name, is_unique, definition (what follows the table's name in CREATE INDEX), serves (a query that can
-- be run once its :parameters are filled in; the planner tests run exactly these) and in_spec.
-- All 22 indexes of the specification are here under its names. The others serve queries that the application issues and
-- no index of the specification serves, or serves only with a sort.
CREATE OR REPLACE FUNCTION @extschema@.gravity_memory_index_catalogue()
RETURNS TABLE (index_name text, table_name text, is_unique boolean, definition text, serves text, in_spec boolean)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_index_catalogue$
SELECT i.index_name, i.table_name, i.is_unique,
       COALESCE(v.definition, i.definition), i.serves, i.in_spec
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
     '',
     'SELECT id, content FROM gravity_map ORDER BY embedding <=> :embedding LIMIT 10', true),
    ('idx_gravity_map_embedding_l2', 'gravity_map', false,
     '',
     'SELECT id, content FROM gravity_map ORDER BY embedding <-> :embedding LIMIT 10', true),

    -- Memories: what the application's queries need besides.
    ('idx_gravity_map_user_significant', 'gravity_map', false, '(user_id, created_at DESC) WHERE gravity_score >= 0.7',
     'SELECT * FROM gravity_map WHERE user_id = :user_id AND created_at > now() - interval ''7 days'' '
     'AND gravity_score >= 0.7 ORDER BY created_at DESC LIMIT 50', false),
    ('idx_gravity_map_user_thread', 'gravity_map', false, '(user_id, thread_id, created_at DESC) WHERE thread_id IS NOT NULL',
     'SELECT id, content, created_at FROM gravity_map WHERE user_id = :user_id AND thread_id = :thread_id '
     'ORDER BY created_at DESC LIMIT 50', false),
    ('idx_gravity_map_user_gravity', 'gravity_map', false, '(user_id, gravity_score DESC)',
     'SELECT id, content, gravity_score FROM gravity_map WHERE user_id = :user_id AND gravity_score >= 0.375 '
     'ORDER BY gravity_score DESC LIMIT 20', false),
    ('idx_gravity_map_arc_cluster', 'gravity_map', false,
     '(user_id, emotion_type, created_at, id) WHERE gravity_score >= 0.8',
     'SELECT id, created_at FROM gravity_map WHERE user_id = :user_id AND emotion_type = :emotion_type '
     'AND gravity_score >= 0.8 AND created_at <= :created_at ORDER BY created_at DESC, id DESC LIMIT 3', false),

    -- A session, read backwards here; and recall's turns before and after a memory, in an order without ties.
    ('idx_gravity_map_session_turns', 'gravity_map', false, '(user_id, session_id, created_at, id) WHERE session_id IS NOT NULL',
     'SELECT id, content, created_at FROM gravity_map WHERE user_id = :user_id AND session_id = :session_id '
     'ORDER BY created_at DESC LIMIT 50', false),
    -- Recall: the lexical part's statistics of a user.
    ('idx_memory_digests_length', 'memory_digests', false, '(user_id, length)',
     'SELECT count(*), avg(length) FROM memory_digests WHERE user_id = :user_id', false),

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

    -- The feed of changes: events by transaction, for readers who look for many users at once.
    ('idx_memory_events_xid', 'memory_events', false, '(xid)',
     'SELECT user_id, event_id FROM memory_events WHERE xid >= :xid', false),

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
-- The indexes on embedding depend on the number of rows and on settings; with embedding_index = none there are none.
LEFT JOIN @extschema@._gravity_memory_vector_index_states() AS v ON v.index_name = i.index_name
WHERE i.definition <> '' OR v.definition NOT LIKE 'USING none %'
$gravity_memory_index_catalogue$;

COMMENT ON FUNCTION @extschema@.gravity_memory_index_catalogue() IS
    'Every index of gravity_memory: definition, the query it serves, and whether the specification names it.

definition is what follows the table''s name in CREATE INDEX; of the two indexes on embedding, as the settings
and the number of rows call for, and none with embedding_index at none. serves is a query to run once its
:parameters are filled in.';

-- sql/indexes/gravity_memory_index_ddl.sql

-- gravity_memory_index_ddl(): the statements that build the missing indexes without blocking writers.
--
-- Returns one statement per row, none when all indexes are there. Run each outside a transaction block, for example with
-- SELECT ddl FROM gravity_memory_index_ddl() AS ddl \gexec in psql. An invalid index, left by an interrupted build, is dropped first.
CREATE OR REPLACE FUNCTION @extschema@.gravity_memory_index_ddl()
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
    'The CREATE INDEX CONCURRENTLY statements for the indexes that are missing; run each outside a transaction block.

One statement per row, none when nothing is missing; in psql, SELECT ddl FROM gravity_memory_index_ddl() AS ddl
\gexec runs them. An invalid index, left by an interrupted build, is dropped first. The indexes on embedding
have gravity_memory_vector_index_ddl().';

-- sql/tables/vector_type_path.sql

-- Makes pgvector's types visible, unqualified, to the rest of this script, and nothing else but pg_catalog's.
--
-- Functions below take parameters of type vector, and @extschema:vector@ needs PostgreSQL 16. The script's own search_path would find the
-- type too, but looks into the extension's schema first, where somebody may have put a type of that name. CREATE
-- EXTENSION restores the search_path when it ends.
DO $vector_type_path$
BEGIN
    PERFORM pg_catalog.set_config(
        'search_path', pg_catalog.format('pg_catalog, %I, pg_temp', @extschema@._gravity_memory_vector_schema()), true);
    -- Loads pgvector's library: before, its parameters are unknown, and only a superuser may name those in CREATE FUNCTION ... SET.
    EXECUTE pg_catalog.format('SELECT %L::%I.vector', '[1]', @extschema@._gravity_memory_vector_schema());
END
$vector_type_path$;

-- sql/security/gravity_memory_current_user_id.sql

-- gravity_memory_current_user_id(): whose memories this session stands for, as the policies of row security see it.
--
-- The member sub of request.jwt.claims, which PostgREST and Supabase set for each request; where there are no claims, the setting
-- gravity_memory.user_id, which an application sets for a connection or a transaction. NULL when neither names a user: the policies show no
-- row then. Claims without sub, as of Supabase's anonymous key, are nobody's, whatever the setting says.
-- Neither is a proof: whoever may send any SQL may set them. They bind requests, not people who write SQL.
-- Errors: 22P02 for claims that are no JSON; nothing is shown then, either.
CREATE FUNCTION @extschema@.gravity_memory_current_user_id()
RETURNS text
LANGUAGE sql
STABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_current_user_id$
    -- The same words as in _gravity_memory_policy_catalogue(): a policy that called this function would go with the extension.
    SELECT CASE WHEN current_setting('request.jwt.claims', true) <> ''
                THEN NULLIF(current_setting('request.jwt.claims', true)::jsonb ->> 'sub', '')
                ELSE NULLIF(current_setting('gravity_memory.user_id', true), '') END
$gravity_memory_current_user_id$;

COMMENT ON FUNCTION @extschema@.gravity_memory_current_user_id() IS
    'Whose rows row security shows: sub of request.jwt.claims, or else the setting gravity_memory.user_id; NULL for nobody.

Claims without sub, such as those of Supabase''s anonymous key, are nobody''s, whatever the setting says. Neither
is a proof: whoever may send any SQL may set both.
Errors: 22P02 for claims that are no JSON.';

-- sql/security/_gravity_memory_policy_catalogue.sql

-- _gravity_memory_policy_catalogue(): the policies of row security, one at most per table; a table without one is the owner's alone.
--
-- Each shows a role the rows of the user for whom its session stands, and lets it write no others. A link needs a memory and an arc
-- that are
-- both the user's own: the totals of an arc tell about every memory in it. Events feed_broken of the user '' of memory_events are
-- nobody's: they tell every reader of a break in the feed. Settings are read by everybody, because every trigger reads them, and written by the owner alone.
-- The policies call no function of the extension, so that they stay, and the rows stay hidden, when it is dropped. The SELECT around the
-- identity has it computed once per query and not once per row; and an index on user_id serves it.
CREATE FUNCTION @extschema@._gravity_memory_policy_catalogue()
RETURNS TABLE (table_name text, policy_name text, command text, using_expression text, check_expression text)
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_policy_catalogue$
    WITH who AS (
        SELECT '(SELECT CASE WHEN current_setting(''request.jwt.claims'', true) <> '''' '
               'THEN NULLIF(current_setting(''request.jwt.claims'', true)::jsonb ->> ''sub'', '''') '
               'ELSE NULLIF(current_setting(''gravity_memory.user_id'', true), '''') END AS user_id)' AS user_id
    )
    SELECT t.table_name, 'gravity_memory_own_rows', 'ALL', 'user_id = ' || w.user_id, 'user_id = ' || w.user_id
    FROM who AS w,
         unnest(ARRAY['gravity_map', 'memory_arcs', 'consciousness_cache', 'active_sessions', 'pattern_matrix']) AS t (table_name)
    UNION ALL
    SELECT 'memory_arc_associations', 'gravity_memory_own_rows', 'ALL',
           'EXISTS (SELECT FROM @extschema@.gravity_map m WHERE m.id = memory_arc_associations.memory_id AND m.user_id = '
           || w.user_id || ')',
           'EXISTS (SELECT FROM @extschema@.gravity_map m WHERE m.id = memory_arc_associations.memory_id AND m.user_id = '
           || w.user_id || ') AND EXISTS (SELECT FROM @extschema@.memory_arcs a WHERE a.id = memory_arc_associations.arc_id '
           'AND a.user_id = ' || w.user_id || ') AND COALESCE(user_id = ' || w.user_id || ', true)'
    FROM who AS w
    UNION ALL
    SELECT 'memory_events', 'gravity_memory_own_rows', 'SELECT', '(user_id = '''' AND event = ''feed_broken'') OR user_id = ' || w.user_id, NULL
    FROM who AS w
    UNION ALL
    VALUES ('gravity_memory_settings', 'gravity_memory_readable_settings', 'SELECT', 'true', NULL)
$_gravity_memory_policy_catalogue$;

COMMENT ON FUNCTION @extschema@._gravity_memory_policy_catalogue() IS
    'The policies of row security that gravity_memory makes, with their expressions.';

-- sql/security/_gravity_memory_has_policy.sql

-- _gravity_memory_has_policy(p_table_name): whether a table has our policy, as we made it.
--
-- PostgreSQL prints an expression with casts and parentheses of its own, which differ with the type of user_id; they are left out on both
-- sides, and the catalogue writes aliases as they are printed. Where another version should print more than that, the answer is
-- false, which costs speed and shows nobody anything.
-- False for a table that has none in the catalogue.
CREATE FUNCTION @extschema@._gravity_memory_has_policy(p_table_name text)
RETURNS boolean
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off
AS $_gravity_memory_has_policy$
    SELECT EXISTS (
        SELECT
        FROM @extschema@._gravity_memory_policy_catalogue() AS c
        JOIN pg_policy AS p ON p.polrelid = to_regclass(@extschema@._gravity_memory_qualified_name(c.table_name)) AND p.polname = c.policy_name
        CROSS JOIN LATERAL (VALUES (pg_get_expr(p.polqual, p.polrelid), c.using_expression),
                                   (pg_get_expr(p.polwithcheck, p.polrelid), c.check_expression)) AS e (actual, wanted)
        WHERE c.table_name = p_table_name AND p.polpermissive AND p.polroles = ARRAY[0]::oid[]
          AND p.polcmd = CASE c.command WHEN 'ALL' THEN '*' ELSE 'r' END
        HAVING count(*) = 2
           AND bool_and(regexp_replace(e.actual, '::text|[\s()]', '', 'g')
                        IS NOT DISTINCT FROM regexp_replace(e.wanted, '::text|[\s()]', '', 'g')))
$_gravity_memory_has_policy$;

COMMENT ON FUNCTION @extschema@._gravity_memory_has_policy(text) IS
    'Whether a table has the policy of gravity_memory, unchanged.';

-- sql/security/_gravity_memory_make_policy.sql

-- _gravity_memory_make_policy(p_table_name): makes, or makes anew, our policy of a table. Returns whether there is one in the catalogue.
CREATE FUNCTION @extschema@._gravity_memory_make_policy(p_table_name text)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $_gravity_memory_make_policy$
DECLARE
    v_policy record;
    v_table CONSTANT text := @extschema@._gravity_memory_qualified_name(p_table_name);
BEGIN
    SELECT c.policy_name, c.command, c.using_expression, c.check_expression INTO v_policy
    FROM @extschema@._gravity_memory_policy_catalogue() AS c WHERE c.table_name = p_table_name;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP POLICY IF EXISTS %I ON %s', v_policy.policy_name, v_table);
    EXECUTE format('CREATE POLICY %I ON %s FOR %s USING (%s)', v_policy.policy_name, v_table, v_policy.command, v_policy.using_expression)
            || CASE WHEN v_policy.check_expression IS NULL THEN '' ELSE ' WITH CHECK (' || v_policy.check_expression || ')' END;
    RETURN true;
END
$_gravity_memory_make_policy$;

COMMENT ON FUNCTION @extschema@._gravity_memory_make_policy(text) IS
    'Makes the policy of gravity_memory on a table, anew where there is one.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_make_policy(text) FROM PUBLIC;

-- sql/security/gravity_memory_enable_rls.sql

-- gravity_memory_enable_rls(): row-level security for all tables: a role sees and writes the rows of its session's user only.
--
-- For tables that were adopted, or made by a version before 0.4.0; setup does the same for every table that it makes. Whose rows they
-- are says gravity_memory_current_user_id(). The owner of the tables, superusers and roles with BYPASSRLS are not bound.
-- Returns one row per thing it did (enable row security, create policy, replace policy), none a second time. Policies of others stay, and
-- PostgreSQL adds up what policies show: those that show more than ours are named in a WARNING.
-- Errors: 55000 before setup; 42501 for whoever does not own the tables. Nothing is changed then.
-- Locks each table that it changes for a moment, for readers too (ACCESS EXCLUSIVE), until the transaction ends.
CREATE FUNCTION @extschema@.gravity_memory_enable_rls()
RETURNS TABLE (action text, object text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_enable_rls$
DECLARE
    v_table record;
    v_others text;
BEGIN
    -- One of these at a time, and none beside setup: what is to be done is looked up after the wait.
    PERFORM pg_advisory_xact_lock(hashtextextended('gravity_memory_setup', 0));
    FOR v_table IN
        SELECT t.table_name, c.oid AS table_oid, c.relrowsecurity, p.policy_name,
               EXISTS (SELECT FROM pg_policy AS o WHERE o.polrelid = c.oid AND o.polname = p.policy_name) AS is_there
        FROM @extschema@._gravity_memory_table_catalogue() WITH ORDINALITY AS t
        LEFT JOIN pg_class AS c ON c.oid = to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name))
        LEFT JOIN @extschema@._gravity_memory_policy_catalogue() AS p ON p.table_name = t.table_name
        ORDER BY t.ordinality
    LOOP
        IF v_table.table_oid IS NULL THEN
            RAISE EXCEPTION 'the table % does not exist', v_table.table_name
                USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Run SELECT * FROM gravity_memory_setup() first.';
        END IF;
        IF v_table.policy_name IS NOT NULL AND NOT @extschema@._gravity_memory_has_policy(v_table.table_name) THEN
            PERFORM @extschema@._gravity_memory_make_policy(v_table.table_name);
            action := CASE WHEN v_table.is_there THEN 'replace policy' ELSE 'create policy' END;
            object := v_table.table_name || '.' || v_table.policy_name;
            RETURN NEXT;
        END IF;
        -- The policy first: nobody is shut out in between, and an error leaves both as they were.
        IF NOT v_table.relrowsecurity THEN
            EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', @extschema@._gravity_memory_qualified_name(v_table.table_name));
            action := 'enable row security';
            object := v_table.table_name;
            RETURN NEXT;
        END IF;
    END LOOP;

    SELECT string_agg(format('%I on %I', p.polname, t.table_name), ', ' ORDER BY t.table_name, p.polname) INTO v_others
    FROM @extschema@._gravity_memory_table_catalogue() AS t
    JOIN pg_policy AS p ON p.polrelid = to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name))
    LEFT JOIN @extschema@._gravity_memory_policy_catalogue() AS c ON c.table_name = t.table_name AND c.policy_name = p.polname
    WHERE c.policy_name IS NULL AND p.polpermissive;
    IF v_others IS NOT NULL THEN
        RAISE WARNING 'gravity_memory: other policies show rows beside those of gravity_memory: %', v_others
            USING HINT = 'A row is shown when one policy shows it. Drop those that show a role more than its user''s rows.';
    END IF;
END
$gravity_memory_enable_rls$;

COMMENT ON FUNCTION @extschema@.gravity_memory_enable_rls() IS
    'Row-level security for all tables of gravity_memory: a role sees and writes its session''s user''s rows only. Returns what it did.

For tables that were adopted, or made before 0.4.0; setup does it for those that it makes. Owner, superusers and
roles with BYPASSRLS are not bound. Policies of others stay; a WARNING names those that show more. Locks each
table that it changes (ACCESS EXCLUSIVE) until the transaction ends.
Errors: 55000 before setup; 42501 for who does not own the tables.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_enable_rls() FROM PUBLIC;

-- sql/security/gravity_memory_disable_rls.sql

-- gravity_memory_disable_rls(): takes the policies of gravity_memory away, and row security from tables that have no other policy.
--
-- What a role may read is then what it was granted. Tables that are the owner's alone (derived rows, events) stay closed. Returns
-- one row per thing it did
-- (drop policy, disable row security), none a second time.
-- Errors: 42501 for whoever does not own the tables. Locks each table that it changes until the transaction ends (ACCESS EXCLUSIVE).
CREATE FUNCTION @extschema@.gravity_memory_disable_rls()
RETURNS TABLE (action text, object text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_disable_rls$
DECLARE
    v_table record;
BEGIN
    -- One of these at a time, and none beside setup: what is to be done is looked up after the wait.
    PERFORM pg_advisory_xact_lock(hashtextextended('gravity_memory_setup', 0));
    FOR v_table IN
        SELECT t.table_name, t.is_closed, c.oid AS table_oid, p.policy_name
        FROM @extschema@._gravity_memory_table_catalogue() WITH ORDINALITY AS t
        JOIN pg_class AS c ON c.oid = to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name)) AND c.relrowsecurity
        LEFT JOIN @extschema@._gravity_memory_policy_catalogue() AS p
               ON p.table_name = t.table_name
              AND EXISTS (SELECT FROM pg_policy AS o WHERE o.polrelid = c.oid AND o.polname = p.policy_name)
        ORDER BY t.ordinality
    LOOP
        IF v_table.policy_name IS NOT NULL THEN
            EXECUTE format('DROP POLICY %I ON %s', v_table.policy_name, @extschema@._gravity_memory_qualified_name(v_table.table_name));
            action := 'drop policy';
            object := v_table.table_name || '.' || v_table.policy_name;
            RETURN NEXT;
        END IF;
        IF NOT v_table.is_closed AND NOT EXISTS (SELECT FROM pg_policy AS o WHERE o.polrelid = v_table.table_oid) THEN
            EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', @extschema@._gravity_memory_qualified_name(v_table.table_name));
            action := 'disable row security';
            object := v_table.table_name;
            RETURN NEXT;
        END IF;
    END LOOP;
END
$gravity_memory_disable_rls$;

COMMENT ON FUNCTION @extschema@.gravity_memory_disable_rls() IS
    'Drops the policies of gravity_memory and switches row security off where no other policy is left. Returns what it did.

What a role may read is then what it was granted. Derived rows and events stay closed. Locks each table that it
changes (ACCESS EXCLUSIVE) until the transaction ends.
Errors: 42501 for who does not own the tables.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_disable_rls() FROM PUBLIC;

-- sql/tagging/auto_tag_high_gravity.sql

-- auto_tag_high_gravity(): trigger function, BEFORE INSERT OR UPDATE OF gravity_score, entities on gravity_map, per row.
--
-- Rules (spec): gravity at or over high_gravity_threshold adds the tag high_gravity and sets identity_anchor; the identity
-- entities add the tag identity; a NULL temporal_type becomes past, future or present, in this order, by the words of the content.
-- Beyond the spec: a tag that is there is not added again; a NULL or NaN gravity is not high; the words are whole words with
-- their inflections, so that William is no future and a planet no plan; an UPDATE adds tags too and never takes one away.
-- Rows that gravity_memory_import_user() brings stay as they come: their tags were given where they were written.
-- Runs as the writer and touches nothing but NEW. A fault in it (a setting broken by hand, tags in two dimensions) is a
-- WARNING: the memory is stored as it came.
CREATE OR REPLACE FUNCTION @extschema@.auto_tag_high_gravity()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $auto_tag_high_gravity$
DECLARE
    v_settings jsonb;
    v_identity text[];
BEGIN
    IF TG_OP = 'INSERT' AND current_setting('gravity_memory.importing', true) = 'on' THEN
        RETURN NEW;
    END IF;
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
    'Trigger function: tags a memory by gravity and entities and sets its temporal_type from its words.

Adds high_gravity and sets identity_anchor from high_gravity_threshold on; adds identity by identity_entities
and identity_match. A temporal_type that is NULL on INSERT becomes past, future or present, in this order, by
temporal_past_pattern and temporal_future_pattern. An UPDATE of gravity_score or entities adds tags, too; none
is ever taken away. A fault is a WARNING, and the memory is stored as it came.';

-- sql/arcs/_gravity_memory_may_write_arcs.sql

-- _gravity_memory_may_write_arcs(): may a SECURITY DEFINER function write the arc tables without lending its power to their owner?
--
-- The usual case is answered here, with constants, because every write asks; the other one by _gravity_memory_may_write(). A table
-- that is missing is no obstacle: whoever writes it says so.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_may_write_arcs()
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_may_write_arcs$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_class AS c
                   WHERE c.oid IN (
                        '@extschema@.memory_arcs'::regclass,
                        '@extschema@.memory_arc_associations'::regclass,
                        '@extschema@.memory_arc_locks'::regclass,
                        '@extschema@.gravity_map'::regclass,
                        '@extschema@.gravity_memory_settings'::regclass)
                     AND (pg_get_userbyid(c.relowner) <> current_user OR c.relkind NOT IN ('r', 'p') OR c.relforcerowsecurity)) THEN
        RETURN true;
    END IF;
    IF row_security_active('@extschema@.gravity_map') OR row_security_active('@extschema@.memory_arcs')
       OR row_security_active('@extschema@.memory_arc_associations') OR row_security_active('@extschema@.memory_arc_locks') THEN
        -- Arcs of memories that it does not see would lose them.
        RAISE WARNING 'gravity_memory: arcs are not kept, because row security is forced on %, who owns the tables', current_user
            USING HINT = 'Run ALTER TABLE ... NO FORCE ROW LEVEL SECURITY on the tables that gravity_memory_check() names, then '
                         'gravity_memory_rebuild_arcs() for each user.';
        RETURN false;
    END IF;
    RETURN @extschema@._gravity_memory_may_write(
        ARRAY['memory_arcs', 'memory_arc_associations', 'memory_arc_locks'], ARRAY['gravity_map', 'gravity_memory_settings']);
EXCEPTION WHEN undefined_table THEN
    RETURN true;
END
$_gravity_memory_may_write_arcs$;

COMMENT ON FUNCTION @extschema@._gravity_memory_may_write_arcs() IS
    'Whether the current role may write the arc tables without running the code of someone less trusted.';

-- sql/arcs/_gravity_memory_hold_members.sql

-- _gravity_memory_hold_members(p_memory_ids): keeps memories that are being linked by hand from changing until the commit.
--
-- Whoever changes a memory's gravity recounts the arcs that hold it, but does not see a link that is not committed; whoever links
-- it does not see a change that is not. Both at a time would leave the arc with totals of no moment. Automatic arcs need no such
-- lock: their writers take turns by cluster. A memory that another transaction holds is looked at again for half a second, as
-- in _gravity_memory_link_memories(), because that transaction may be waiting for locks of ours; then a WARNING says so, and the
-- arc is to be recounted at the commit, which comes too early only for a transaction that outlives ours.
-- Returns whether all are held.
CREATE FUNCTION @extschema@._gravity_memory_hold_members(p_memory_ids uuid[])
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_hold_members$
DECLARE
    v_held uuid[];
BEGIN
    FOR v_attempt IN 1..50 LOOP
        v_held := ARRAY(SELECT g.id FROM @extschema@.gravity_map AS g WHERE g.id = ANY (p_memory_ids)
                        FOR NO KEY UPDATE SKIP LOCKED);
        IF cardinality(v_held) = (SELECT count(*) FROM @extschema@.gravity_map AS g WHERE g.id = ANY (p_memory_ids)) THEN
            RETURN true;
        END IF;
        PERFORM pg_sleep(0.01);
    END LOOP;
    RAISE WARNING 'gravity_memory: the totals of an arc may be out of date: another transaction is changing a memory linked to it'
        USING ERRCODE = 'lock_not_available', HINT = 'Link the memory again when the other transaction has ended.';
    RETURN false;
END
$_gravity_memory_hold_members$;

COMMENT ON FUNCTION @extschema@._gravity_memory_hold_members(uuid[]) IS
    'Keeps memories that are being linked from changing until the transaction ends, and returns whether it could.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_hold_members(uuid[]) FROM PUBLIC;

-- sql/arcs/_gravity_memory_keep_arc_totals.sql

-- _gravity_memory_keep_arc_totals(): trigger function, AFTER INSERT, UPDATE, DELETE and TRUNCATE on memory_arc_associations, per statement.
--
-- Whoever links or unlinks a memory, the application included, the arc's totals follow. New members of an open arc are added to
-- its running mean, so that the cost of a link does not grow with the arc; all else is recounted, and so is an arc made by hand
-- that was never counted before.
-- SECURITY DEFINER, because a writer who may only insert memories links them through trigger_arc_building(), and because deleting a
-- memory cascades here. It writes nothing but totals computed from the tables.
-- A fault is a WARNING: the link, or the deletion of a memory, stands.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_keep_arc_totals()
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
    v_left uuid[] := '{}'::uuid[];
    v_are_held boolean;
BEGIN
    IF TG_RELID IS DISTINCT FROM to_regclass('@extschema@.memory_arc_associations') THEN
        RAISE WARNING 'gravity_memory: % keeps what belongs to memory_arc_associations and does nothing for another table', TG_NAME;
        RETURN NULL;
    END IF;
    -- An import brings the totals, too.
    IF NOT @extschema@._gravity_memory_may_write_arcs() OR (TG_OP = 'INSERT' AND current_setting('gravity_memory.importing', true) = 'on') THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' THEN
        v_are_held := CASE WHEN pg_trigger_depth() > 1 THEN true
                           ELSE @extschema@._gravity_memory_hold_members(ARRAY(SELECT n.memory_id FROM new_rows AS n)) END;
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
            WHERE a.id = v_arc.arc_id AND v_are_held
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
                v_left := v_left || array_fill(v_arc.arc_id, ARRAY[v_arc.members]);
            END IF;
        END LOOP;
        PERFORM @extschema@._gravity_memory_unsettle_arcs(v_left);
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

-- sql/arcs/_gravity_memory_settle_at_commit.sql

-- _gravity_memory_settle_at_commit(): deferred constraint trigger function on memory_arc_locks, per row that names an arc.
--
-- Recounts an arc whose totals may still wait when the transaction commits (see _gravity_memory_unsettle_arcs). The event stands on this
-- private table, so that it is in nobody's way: PostgreSQL refuses TRUNCATE and ALTER TABLE on a table with pending events. A call
-- before the commit means that constraints are immediate (SET CONSTRAINTS): from then on totals never wait.
-- SECURITY DEFINER for the reason given at _gravity_memory_keep_arc_totals.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_settle_at_commit()
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
    IF TG_RELID IS DISTINCT FROM to_regclass('@extschema@.memory_arc_locks') THEN
        RAISE WARNING 'gravity_memory: % keeps what belongs to memory_arc_locks and does nothing for another table', TG_NAME;
        RETURN NULL;
    END IF;
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
CREATE OR REPLACE FUNCTION @extschema@.trigger_arc_building()
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
    IF TG_RELID IS DISTINCT FROM to_regclass('@extschema@.gravity_map') THEN
        RAISE WARNING 'gravity_memory: % keeps what belongs to gravity_map and does nothing for another table', TG_NAME;
        RETURN NULL;
    END IF;
    -- An import brings the arcs, too.
    IF NOT @extschema@._gravity_memory_may_write_arcs() OR (TG_OP = 'INSERT' AND current_setting('gravity_memory.importing', true) = 'on') THEN
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
    'Trigger function: links clustered memories of high gravity to arcs, once per statement, and follows updates and deletes.

Memories of one user and emotion with a gravity of at least arc_gravity_threshold, arc_min_memories of them
within arc_window, join the open arc of that emotion, or a new one. Runs with the rights of the owner of the
memories. A fault is a WARNING, and the memories are stored.';

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
CREATE OR REPLACE FUNCTION @extschema@.gravity_memory_evolve_arcs(p_now timestamptz DEFAULT pg_catalog.now())
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
    'Moves arcs from forming to active, mature and dormant by their members and age; returns how many changed stage.

p_now is the time to judge by; replays of history give their own. The rules are the settings arc_active_members,
arc_mature_members, arc_mature_after and arc_dormant_after. Arcs in other stages are the application''s and stay
as they are; arcs that a writer holds are left to the next run. The job evolve-arcs runs it hourly.';

-- sql/arcs/gravity_memory_rebuild_arcs.sql

-- gravity_memory_rebuild_arcs(p_user_id): recomputes a user's automatic arcs from the memories.
--
-- The result equals what the triggers built: every clustered memory in the open arc of its emotion, unless a closed arc or an
-- arc made by hand holds it already; nothing else in that arc; all totals counted anew. Closed arcs keep their members, because
-- which run of gravity_memory_evolve_arcs() closed them when is not written in the memories. Arcs made by hand are not
-- recounted. For use after a load with triggers disabled, after a changed setting, and after a WARNING from trigger_arc_building().
-- Returns how many automatic arcs the user has then. Errors: 22004 when p_user_id is NULL; 42501 where row security hides
-- memories or arcs from the caller, who would undo the arcs of what it does not see. Unknown users have no arcs: 0.
CREATE OR REPLACE FUNCTION @extschema@.gravity_memory_rebuild_arcs(p_user_id text)
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
    IF row_security_active('@extschema@.gravity_map') OR row_security_active('@extschema@.memory_arcs') THEN
        RAISE EXCEPTION 'row security hides memories or arcs from %', current_user
            USING ERRCODE = 'insufficient_privilege',
                  HINT = 'Run it as a role with BYPASSRLS, or as the owner of the tables without FORCE ROW LEVEL SECURITY; no arc was changed.';
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
    'Recomputes a user''s automatic arcs from the memories and returns how many there are.

The result is what the triggers would have built: for use after a load with triggers disabled, after a changed
setting, and after a WARNING that arcs were not updated. Closed arcs and arcs made by hand keep their members.
An unknown user has no arcs: 0.
Errors: 22004 when p_user_id is NULL; 42501 where row security hides memories or arcs from the caller.';

-- sql/notifications/notify_memory_created.sql

-- notify_memory_created(): trigger function, AFTER INSERT and AFTER UPDATE on gravity_map, once per statement.
--
-- Announces every new memory on channel memory_created and every updated one on memory_updated, with the JSON of the specification: id,
-- user_id, thread_id, session_id, gravity_score, emotion_type, created_at. A statement that writes more than notify_bulk_rows
-- rows announces {"user_id", "count"} once per user. Listeners get it when the transaction commits.
-- Silent unless the setting notify is payload, and for imported rows, which are nothing new; a WARNING and silence when the notification queue is fuller than notify_queue_limit, because
-- a full queue fails every commit. Any other fault is a WARNING too: a notification never costs a memory.
CREATE OR REPLACE FUNCTION @extschema@.notify_memory_created()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $notify_memory_created$
DECLARE
    v_settings jsonb;
    v_channel CONSTANT text := CASE TG_OP WHEN 'INSERT' THEN 'memory_created' ELSE 'memory_updated' END;
BEGIN
    v_settings := @extschema@._gravity_memory_effective_settings();
    IF v_settings ->> 'notify' <> 'payload' OR (TG_OP = 'INSERT' AND current_setting('gravity_memory.importing', true) = 'on')
       OR NOT @extschema@._gravity_memory_may_notify(v_settings, v_channel) THEN
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
    'Trigger function: announces new memories on channel memory_created and updated ones on memory_updated.

JSON with id, user_id, thread_id, session_id, gravity_score, emotion_type, created_at; of a statement of more
than notify_bulk_rows memories, user_id and count, once per user. Silent unless the setting notify is payload,
and while the notification queue is fuller than notify_queue_limit. A fault is a WARNING, and the memories are
stored.';

-- sql/notifications/notify_arc_created.sql

-- notify_arc_created(): trigger function, AFTER INSERT on memory_arcs, once per statement.
--
-- Announces every new arc, automatic or made by hand, on channel arc_created: id, user_id, arc_name, gravity_center, evolution_stage,
-- created_at. A statement that makes more than notify_bulk_rows arcs announces {"user_id", "count"} once per user. Faults and a
-- nearly full queue are treated as in notify_memory_created().
CREATE OR REPLACE FUNCTION @extschema@.notify_arc_created()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $notify_arc_created$
DECLARE
    v_settings jsonb;
BEGIN
    v_settings := @extschema@._gravity_memory_effective_settings();
    IF v_settings ->> 'notify' <> 'payload' OR current_setting('gravity_memory.importing', true) = 'on'
       OR NOT @extschema@._gravity_memory_may_notify(v_settings, 'arc_created') THEN
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
    'Trigger function: announces new arcs on channel arc_created.

JSON with id, user_id, arc_name, gravity_center, evolution_stage, created_at; of a statement of more than
notify_bulk_rows arcs, user_id and count, once per user. Silent unless the setting notify is payload. A fault is
a WARNING, and the arcs are stored.';

-- sql/realtime/gravity_memory_enable_realtime.sql

-- gravity_memory_enable_realtime(p_publication): publishes changes of memories and arcs, for Supabase's postgres_changes or any subscriber.
--
-- Adds gravity_map and memory_arcs to the publication, and makes it where it does not exist, as on plain PostgreSQL. Calling it again changes
-- nothing. Returns what it did (status done) and what it found: ok, or missing with the statement that mends it, for wal_level, the
-- primary key, the replica identity, and, where there is the role authenticated (Supabase), its SELECT privilege and policies. A remedy
-- is not executed: who may read is for the application to decide.
-- Errors: 22023 for an impossible name; 42501 for a role that may not change the publication or does not own the tables; 55000 before setup.
-- No table is added then.
CREATE OR REPLACE FUNCTION @extschema@.gravity_memory_enable_realtime(p_publication text DEFAULT 'supabase_realtime')
RETURNS TABLE (subject text, requirement text, status text, remedy text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_enable_realtime$
DECLARE
    v_publishes_changes boolean;
    v_table record;
    v_subscriber CONSTANT name := (SELECT r.rolname FROM pg_roles AS r WHERE r.rolname = 'authenticated');
BEGIN
    IF COALESCE(p_publication, '') = '' OR octet_length(p_publication) > 63 THEN
        RAISE EXCEPTION 'gravity_memory_enable_realtime(): % is no name for a publication', COALESCE(quote_literal(p_publication), 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Supabase''s is supabase_realtime; a name has 1 to 63 bytes.';
    END IF;
    IF EXISTS (SELECT FROM @extschema@._gravity_memory_realtime_tables() AS t
               WHERE to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name)) IS NULL) THEN
        RAISE EXCEPTION 'the tables of gravity_memory are not there'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Run SELECT * FROM gravity_memory_setup() first.';
    END IF;

    SELECT p.pubinsert AND p.pubupdate INTO v_publishes_changes FROM pg_publication AS p WHERE p.pubname = p_publication;
    IF NOT FOUND THEN
        BEGIN
            EXECUTE format('CREATE PUBLICATION %I', p_publication);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE EXCEPTION 'the publication % does not exist and % may not create it', p_publication, current_user
                USING ERRCODE = 'insufficient_privilege', HINT = format('GRANT CREATE ON DATABASE %I TO %I, or run it as another role.',
                                                                        current_database(), current_user);
        END;
        v_publishes_changes := true;
        subject := p_publication;
        requirement := 'publication';
        status := 'done';
        remedy := NULL;
        RETURN NEXT;
    END IF;

    FOR v_table IN
        SELECT t.table_name, @extschema@._gravity_memory_qualified_name(t.table_name) AS qualified_name, c.oid, c.relreplident, c.relrowsecurity,
               EXISTS (SELECT FROM pg_publication_tables AS k
                       WHERE k.pubname = p_publication AND k.schemaname = n.nspname AND k.tablename = c.relname) AS is_published,
               EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisprimary) AS has_key,
               EXISTS (SELECT FROM pg_policy AS y WHERE y.polrelid = c.oid AND y.polcmd IN ('r', '*')) AS has_policy
        FROM @extschema@._gravity_memory_realtime_tables() AS t
        JOIN pg_class AS c ON c.oid = to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name))
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
    LOOP
        subject := v_table.table_name;
        requirement := 'in the publication';
        status := 'ok';
        remedy := NULL;
        IF NOT v_table.is_published THEN
            BEGIN
                EXECUTE format('ALTER PUBLICATION %I ADD TABLE %s', p_publication, v_table.qualified_name);
            EXCEPTION WHEN insufficient_privilege THEN
                RAISE EXCEPTION '% may not add % to the publication %', current_user, v_table.table_name, p_publication
                    USING ERRCODE = 'insufficient_privilege',
                          DETAIL = SQLERRM, HINT = 'Run it as a role that owns both the table and the publication, or as a superuser.';
            END;
            status := 'done';
        END IF;
        RETURN NEXT;

        requirement := 'primary key';
        status := CASE WHEN v_table.has_key THEN 'ok' ELSE 'missing' END;
        remedy := CASE WHEN NOT v_table.has_key THEN format('ALTER TABLE %s ADD PRIMARY KEY (id)', v_table.qualified_name) END;
        RETURN NEXT;

        -- Without one, UPDATE and DELETE on a published table fail.
        requirement := 'replica identity';
        status := CASE WHEN v_table.relreplident IN ('f', 'i') OR (v_table.relreplident = 'd' AND v_table.has_key) THEN 'ok' ELSE 'missing' END;
        remedy := CASE WHEN status = 'missing' THEN
            format('ALTER TABLE %s REPLICA IDENTITY %s', v_table.qualified_name, CASE WHEN v_table.has_key THEN 'DEFAULT' ELSE 'FULL' END) END;
        RETURN NEXT;

        IF v_subscriber IS NOT NULL THEN
            requirement := format('SELECT for %I', v_subscriber);
            status := CASE WHEN has_table_privilege(v_subscriber, v_table.oid, 'SELECT') THEN 'ok' ELSE 'missing' END;
            remedy := CASE WHEN status = 'missing' THEN format('GRANT SELECT ON %s TO %I', v_table.qualified_name, v_subscriber) END;
            RETURN NEXT;

            requirement := format('row security that shows %I its own rows', v_subscriber);
            status := CASE WHEN v_table.relrowsecurity AND v_table.has_policy THEN 'ok' ELSE 'missing' END;
            remedy := CASE WHEN status = 'missing' THEN 'SELECT * FROM @extschema@.gravity_memory_enable_rls()' END;
            RETURN NEXT;
        END IF;
    END LOOP;

    subject := p_publication;
    requirement := 'publishes insert and update';
    status := CASE WHEN v_publishes_changes THEN 'ok' ELSE 'missing' END;
    remedy := CASE WHEN status = 'missing' THEN format('ALTER PUBLICATION %I SET (publish = ''insert, update, delete'')', p_publication) END;
    RETURN NEXT;
    subject := 'server';
    requirement := 'wal_level = logical';
    status := CASE WHEN current_setting('wal_level') = 'logical' THEN 'ok' ELSE 'missing' END;
    remedy := CASE WHEN status = 'missing' THEN 'ALTER SYSTEM SET wal_level = logical; then restart the server' END;
    RETURN NEXT;
END
$gravity_memory_enable_realtime$;

COMMENT ON FUNCTION @extschema@.gravity_memory_enable_realtime(text) IS
    'Adds memories and arcs to a publication for realtime subscribers and says what they still need.

Makes the publication where it does not exist. Returns, per table and requirement, status done, ok, or missing
with the statement that mends it, which is not executed: wal_level, primary key, replica identity and, where
there is the role authenticated, its privilege and policies. Calling it again changes nothing.
Errors: 22023 for an impossible name; 42501 for a role that may not change the publication or does not own the
tables; 55000 before setup.';

-- sql/realtime/gravity_memory_disable_realtime.sql

-- gravity_memory_disable_realtime(p_publication): takes memories and arcs out of a publication, and leaves the publication.
--
-- Returns the tables it took out, none when none was in it. A publication FOR ALL TABLES, or for the whole schema, has no tables to take out.
-- Errors: 42704 where there is no such publication; 42501 for a role that does not own it.
CREATE OR REPLACE FUNCTION @extschema@.gravity_memory_disable_realtime(p_publication text DEFAULT 'supabase_realtime')
RETURNS TABLE (table_name text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_disable_realtime$
DECLARE
    v_table_name text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_publication AS p WHERE p.pubname = p_publication) THEN
        RAISE EXCEPTION 'there is no publication %', COALESCE(quote_literal(p_publication), 'NULL')
            USING ERRCODE = 'undefined_object',
                  HINT = format('There are: %s.', COALESCE((SELECT string_agg(p.pubname, ', ' ORDER BY p.pubname) FROM pg_publication AS p), 'none'));
    END IF;
    FOR v_table_name IN
        SELECT t.table_name
        FROM @extschema@._gravity_memory_realtime_tables() AS t
        JOIN pg_publication_rel AS r ON r.prrelid = to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name))
        JOIN pg_publication AS p ON p.oid = r.prpubid
        WHERE p.pubname = p_publication
        ORDER BY t.table_name
    LOOP
        EXECUTE format('ALTER PUBLICATION %I DROP TABLE %s', p_publication, @extschema@._gravity_memory_qualified_name(v_table_name));
        table_name := v_table_name;
        RETURN NEXT;
    END LOOP;
END
$gravity_memory_disable_realtime$;

COMMENT ON FUNCTION @extschema@.gravity_memory_disable_realtime(text) IS
    'Takes memories and arcs out of a publication and returns which.

The publication stays. None are returned when none was in it, or when it is FOR ALL TABLES or of the whole
schema.
Errors: 42704 where there is no such publication; 42501 for a role that does not own it.';

-- sql/feed/_gravity_memory_break_feed_on_truncate.sql

-- _gravity_memory_break_feed_on_truncate(): trigger function, AFTER TRUNCATE on gravity_map, memory_arcs and memory_events.
--
-- A TRUNCATE does not say what it removed, so there is no event for each row: readers of the feed start anew. SECURITY DEFINER and faults as in
-- _gravity_memory_publish_memories().
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_break_feed_on_truncate()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_break_feed_on_truncate$
BEGIN
    IF to_regclass('@extschema@.gravity_map') IS DISTINCT FROM TG_RELID AND to_regclass('@extschema@.memory_arcs') IS DISTINCT FROM TG_RELID
       AND to_regclass('@extschema@.memory_events') IS DISTINCT FROM TG_RELID THEN
        RAISE WARNING 'gravity_memory: % keeps what belongs to our tables and does nothing for another one', TG_NAME;
        RETURN NULL;
    END IF;
    IF @extschema@._gravity_memory_records_events(@extschema@._gravity_memory_effective_settings())
       AND @extschema@._gravity_memory_may_write_events() THEN
        PERFORM @extschema@._gravity_memory_break_feed(TG_TABLE_NAME || ' was truncated');
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'gravity_memory: readers of the feed could not be told that % was truncated: %', TG_TABLE_NAME, SQLERRM
        USING ERRCODE = SQLSTATE, HINT = 'Run SELECT * FROM gravity_memory_setup().';
    RETURN NULL;
END
$_gravity_memory_break_feed_on_truncate$;

COMMENT ON FUNCTION @extschema@._gravity_memory_break_feed_on_truncate() IS
    'Trigger function: has readers of the feed start anew after a TRUNCATE.';

-- sql/feed/_gravity_memory_publish_memories.sql

-- _gravity_memory_publish_memories(): trigger function, AFTER INSERT, UPDATE and DELETE on gravity_map, once per statement.
--
-- Records one event per memory in memory_events while the setting feed or notify asks for it: memory_created, memory_updated and memory_deleted,
-- with all of the memory's columns that the specification knows but the embedding. A memory that an UPDATE gives to another user, or another
-- id, is deleted where it was and updated where it is. Sends new memories to Supabase's topics, too, while the setting broadcast is on.
-- Where events could not be recorded the feed is broken, so that its readers start anew.
-- SECURITY DEFINER, because a writer may hold no more than INSERT on gravity_map, and nobody but the owner writes events: who could
-- would tell another user's application what never happened. A fault is a WARNING: the memories stay as they were written.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_publish_memories()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_publish_memories$
DECLARE
    v_settings CONSTANT jsonb := @extschema@._gravity_memory_effective_settings();
    v_wakes boolean;
BEGIN
    IF TG_RELID IS DISTINCT FROM to_regclass('@extschema@.gravity_map') THEN
        RAISE WARNING 'gravity_memory: % keeps what belongs to gravity_map and does nothing for another table', TG_NAME;
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' AND v_settings ->> 'broadcast' = 'on' AND current_setting('gravity_memory.importing', true) IS DISTINCT FROM 'on' THEN
        BEGIN
            PERFORM @extschema@._gravity_memory_broadcast(b.user_id, b.payload)
            FROM (SELECT n.user_id::text AS user_id, json_build_object(
                             'id', n.id, 'user_id', n.user_id, 'thread_id', n.thread_id, 'session_id', n.session_id,
                             'gravity_score', n.gravity_score, 'emotion_type', n.emotion_type, 'created_at', n.created_at)::jsonb AS payload
                  FROM new_rows AS n
                  WHERE (SELECT count(*) FROM new_rows) <= (v_settings ->> 'notify_bulk_rows')::bigint
                  UNION ALL
                  SELECT n.user_id::text, jsonb_build_object('user_id', n.user_id, 'count', count(*))
                  FROM new_rows AS n
                  WHERE (SELECT count(*) FROM new_rows) > (v_settings ->> 'notify_bulk_rows')::bigint
                  GROUP BY n.user_id) AS b;
        EXCEPTION WHEN OTHERS THEN
            RAISE WARNING 'gravity_memory: memory_created was not broadcast: %', SQLERRM
                USING ERRCODE = SQLSTATE, HINT = 'The memories are stored.';
        END;
    END IF;
    IF NOT @extschema@._gravity_memory_records_events(v_settings) THEN
        RETURN NULL;
    END IF;

    v_wakes := v_settings ->> 'notify' <> 'off';
    BEGIN
        IF NOT @extschema@._gravity_memory_may_write_events() THEN
            RETURN NULL;
        END IF;
        IF TG_OP = 'UPDATE' THEN
            INSERT INTO @extschema@.memory_events (user_id, event, subject_id, payload, wakes)
            SELECT d.user_id, 'memory_deleted', d.id, jsonb_build_object('id', d.id, 'user_id', d.user_id),
                   v_wakes AND row_number() OVER () = 1
            FROM (SELECT o.id, o.user_id::text AS user_id FROM old_rows AS o
                  EXCEPT
                  SELECT n.id, n.user_id::text FROM new_rows AS n) AS d
            WHERE d.user_id IS NOT NULL;
        END IF;
        IF TG_OP = 'DELETE' THEN
            INSERT INTO @extschema@.memory_events (user_id, event, subject_id, payload, wakes)
            SELECT o.user_id, 'memory_deleted', o.id, jsonb_build_object('id', o.id, 'user_id', o.user_id),
                   v_wakes AND row_number() OVER () = 1
            FROM old_rows AS o
            WHERE o.user_id IS NOT NULL;
        ELSE
            INSERT INTO @extschema@.memory_events (user_id, event, subject_id, payload, wakes)
            SELECT n.user_id, CASE TG_OP WHEN 'INSERT' THEN 'memory_created' ELSE 'memory_updated' END, n.id,
                   jsonb_build_object(
                       'id', n.id, 'user_id', n.user_id, 'thread_id', n.thread_id, 'session_id', n.session_id,
                       'memory_trace_id', n.memory_trace_id, 'content', n.content, 'summary', n.summary, 'topic', n.topic,
                       'gravity_score', n.gravity_score, 'emotion_type', n.emotion_type, 'entities', n.entities,
                       'meta_tags', n.meta_tags, 'identity_anchor', n.identity_anchor, 'temporal_type', n.temporal_type,
                       'metadata', n.metadata, 'created_at', n.created_at, 'updated_at', n.updated_at),
                   v_wakes AND row_number() OVER () = 1
            FROM new_rows AS n
            WHERE n.user_id IS NOT NULL;
        END IF;
    EXCEPTION WHEN OTHERS THEN
        RAISE WARNING 'gravity_memory: no events were recorded (% on gravity_map): %', TG_OP, SQLERRM
            USING ERRCODE = SQLSTATE, HINT = 'The memories are stored. Readers of the feed are told to start anew.';
        BEGIN
            PERFORM @extschema@._gravity_memory_break_feed('events of memories could not be recorded');
        EXCEPTION WHEN OTHERS THEN
            RAISE WARNING 'gravity_memory: readers of the feed could not be told that it misses events: %', SQLERRM
                USING ERRCODE = SQLSTATE, HINT = 'Run SELECT * FROM gravity_memory_setup().';
        END;
    END;
    RETURN NULL;
END
$_gravity_memory_publish_memories$;

COMMENT ON FUNCTION @extschema@._gravity_memory_publish_memories() IS
    'Trigger function: records what happens to memories in memory_events, and broadcasts new ones, where settings ask for it.';

-- sql/feed/_gravity_memory_publish_arcs.sql

-- _gravity_memory_publish_arcs(): trigger function, AFTER INSERT, UPDATE and DELETE on memory_arcs, once per statement.
--
-- Records arc_created, arc_updated and arc_deleted in memory_events while the setting feed or notify asks for it, with the arc's columns. An arc is
-- updated when its totals change, at most once per statement that changes them. SECURITY DEFINER and faults as in
-- _gravity_memory_publish_memories().
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_publish_arcs()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_publish_arcs$
DECLARE
    v_settings CONSTANT jsonb := @extschema@._gravity_memory_effective_settings();
    v_wakes boolean;
BEGIN
    IF TG_RELID IS DISTINCT FROM to_regclass('@extschema@.memory_arcs') THEN
        RAISE WARNING 'gravity_memory: % keeps what belongs to memory_arcs and does nothing for another table', TG_NAME;
        RETURN NULL;
    END IF;
    IF NOT @extschema@._gravity_memory_records_events(v_settings) THEN
        RETURN NULL;
    END IF;
    v_wakes := v_settings ->> 'notify' <> 'off';
    BEGIN
        IF NOT @extschema@._gravity_memory_may_write_events() THEN
            RETURN NULL;
        END IF;
        IF TG_OP = 'DELETE' THEN
            INSERT INTO @extschema@.memory_events (user_id, event, subject_id, payload, wakes)
            SELECT o.user_id, 'arc_deleted', o.id, jsonb_build_object('id', o.id, 'user_id', o.user_id),
                   v_wakes AND row_number() OVER () = 1
            FROM old_rows AS o;
        ELSE
            INSERT INTO @extschema@.memory_events (user_id, event, subject_id, payload, wakes)
            SELECT n.user_id, CASE TG_OP WHEN 'INSERT' THEN 'arc_created' ELSE 'arc_updated' END, n.id,
                   jsonb_build_object(
                       'id', n.id, 'user_id', n.user_id, 'arc_name', n.arc_name, 'emotion_type', n.emotion_type,
                       'gravity_center', n.gravity_center, 'evolution_stage', n.evolution_stage, 'memory_count', n.memory_count,
                       'peak_gravity', n.peak_gravity, 'growth_vector', n.growth_vector, 'first_memory_at', n.first_memory_at,
                       'last_memory_at', n.last_memory_at, 'created_at', n.created_at, 'updated_at', n.updated_at),
                   v_wakes AND row_number() OVER () = 1
            FROM new_rows AS n;
        END IF;
    EXCEPTION WHEN OTHERS THEN
        RAISE WARNING 'gravity_memory: no events were recorded (% on memory_arcs): %', TG_OP, SQLERRM
            USING ERRCODE = SQLSTATE, HINT = 'The arcs are stored. Readers of the feed are told to start anew.';
        BEGIN
            PERFORM @extschema@._gravity_memory_break_feed('events of arcs could not be recorded');
        EXCEPTION WHEN OTHERS THEN
            RAISE WARNING 'gravity_memory: readers of the feed could not be told that it misses events: %', SQLERRM
                USING ERRCODE = SQLSTATE, HINT = 'Run SELECT * FROM gravity_memory_setup().';
        END;
    END;
    RETURN NULL;
END
$_gravity_memory_publish_arcs$;

COMMENT ON FUNCTION @extschema@._gravity_memory_publish_arcs() IS
    'Trigger function: records what happens to arcs in memory_events, where settings ask for it.';

-- sql/feed/_gravity_memory_check_feed.sql

-- _gravity_memory_check_feed(): whether the caller can read the feed; an error where it would be empty for ever.
--
-- Errors: 55000 while nothing is recorded, the table is missing, or memories or arcs come by a subscription: no trigger runs for what logical
-- replication writes, and events that it brings carry the numbers of the publisher's transactions. 42501 for a caller who may not
-- read it, or from whom row security hides every event.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_check_feed()
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_check_feed$
BEGIN
    IF NOT @extschema@._gravity_memory_records_events(@extschema@._gravity_memory_effective_settings()) THEN
        RAISE EXCEPTION 'no events are recorded'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Run SELECT gravity_memory_set(''notify'', ''wakeup''), or gravity_memory_set(''feed'', ''on'') to keep '
                         'the notifications with data besides.';
    END IF;
    IF to_regclass('@extschema@.memory_events') IS NULL THEN
        RAISE EXCEPTION 'the table memory_events does not exist'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Run SELECT * FROM gravity_memory_setup().';
    END IF;
    IF EXISTS (SELECT FROM pg_subscription_rel AS r
               WHERE r.srrelid IN (to_regclass('@extschema@.gravity_map'), to_regclass('@extschema@.memory_arcs'))) THEN
        RAISE EXCEPTION 'memories or arcs come here by a subscription, and their changes are not recorded here'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Read the feed of the publisher. After DROP SUBSCRIPTION run TRUNCATE memory_events, which has readers start anew.';
    END IF;
    IF NOT has_table_privilege('@extschema@.memory_events', 'SELECT') THEN
        RAISE EXCEPTION 'permission denied for table memory_events'
            USING ERRCODE = 'insufficient_privilege',
                  HINT = 'Ask the owner of the tables for GRANT SELECT ON memory_events; row security shows each role its user''s events only.';
    END IF;
    IF row_security_active('@extschema@.memory_events')
       AND NOT EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = '@extschema@.memory_events'::regclass AND p.polcmd IN ('r', '*')) THEN
        RAISE EXCEPTION 'row security hides every event from %', current_user
            USING ERRCODE = 'insufficient_privilege',
                  HINT = 'Run SELECT * FROM gravity_memory_enable_rls() as the owner of the tables, or make a policy on memory_events that shows '
                         'a role its user''s events, and those of the user '''', which say that the feed has a break: CREATE POLICY ... FOR SELECT USING (user_id IN (..., '''')).';
    END IF;
END
$_gravity_memory_check_feed$;

COMMENT ON FUNCTION @extschema@._gravity_memory_check_feed() IS
    'Refuses a reader of the feed for whom it would be empty for ever.';

-- sql/feed/memory_changes_head.sql

-- memory_changes_head(): the place in the feed of changes where it ends now, for those who begin to read it.
--
-- Returns a cursor for memory_changes_since(), for any user: from it on come the events of all transactions that this one does not see, its
-- own among them. A reader who shows memories takes the cursor first and reads the memories then: what falls between comes twice,
-- once read and once as an event, and nothing is missed. The cursor is good for feed_retention (7 days).
-- Errors: 55000 while nothing is recorded, 42501 where row security hides all events.
CREATE OR REPLACE FUNCTION @extschema@.memory_changes_head()
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $memory_changes_head$
BEGIN
    PERFORM @extschema@._gravity_memory_check_feed();
    RETURN format('1/%s/%s', (SELECT c.system_identifier FROM pg_control_system() AS c),
                  @extschema@._gravity_memory_feed_place(@extschema@._gravity_memory_feed_snapshot(), clock_timestamp()));
END
$memory_changes_head$;

COMMENT ON FUNCTION @extschema@.memory_changes_head() IS
    'The cursor of the end of the feed of changes, for memory_changes_since().

Good for every user, and for feed_retention. Who shows memories takes the cursor first and reads them then: what
falls between comes twice, and nothing is missed.
Errors: 55000 while nothing is recorded (settings notify and feed); 42501 where row security hides all events.';

-- sql/feed/gravity_memory_changes.sql

-- gravity_memory_changes(p_user_ids, p_cursor, p_limit): what happened to some users' memories and arcs since a cursor was taken.
--
-- Returns one row per event, at most p_limit (1 to 100000): user_id, event (memory_created, memory_updated, memory_deleted, arc_created,
-- arc_updated, arc_deleted), subject_id, payload (the memory without its embedding, or the arc), created_at (when it was written) and
-- next_cursor, the place after this event. One row without an event comes last, always: its next_cursor is the place to go
-- on from; has_more says that p_limit was reached, is_open that transactions are under way that may have written more.
-- Never skips: an event is new until the transaction that wrote it was visible to a reader, however late it commits. Never repeats: from each
-- cursor on, every event comes once, also after a crash. Order: what was visible earlier comes first; within one look, as it was
-- written, which for one memory is the order of the commits. A transaction that stays open holds up nobody's events but its own.
-- This is not the horizon that pg_snapshot_xmin() gives, below which everything is finished: one long transaction, of any database of the
-- server, would hold up every reader.
-- Events that a dump brought here carry numbers of another server's transactions, and are passed over: their rows are younger than these.
-- Reads memory_events with the privileges and policies of the caller.
-- Errors: 22004 for p_user_ids NULL, 22023 for a bad limit or cursor; 72000 (snapshot too old), with the way to start anew in the HINT, for an
-- expired cursor and after a break in the feed; 55000 while nothing is recorded; 42501 where row security hides all events.
CREATE OR REPLACE FUNCTION @extschema@.gravity_memory_changes(p_user_ids text[], p_cursor text, p_limit integer DEFAULT 1000)
RETURNS TABLE (user_id text, event text, subject_id uuid, payload jsonb, created_at timestamptz,
               next_cursor text, has_more boolean, is_open boolean)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET jit = off
AS $gravity_memory_changes$
#variable_conflict use_column
DECLARE
    -- Few users, and users who have not looked for long, are looked up one by one; many who have just looked share one look.
    v_few_users CONSTANT integer := 20;
    v_recently CONSTANT interval := interval '10 seconds';
    v_from record;
    v_to pg_snapshot;
    v_place text;
    v_reason text;
    v_events refcursor;
    v_event record;
    v_found integer := 0;
BEGIN
    IF p_user_ids IS NULL THEN
        RAISE EXCEPTION 'gravity_memory_changes(): p_user_ids must not be NULL'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Name the users whose changes you want.';
    END IF;
    IF p_limit IS NULL OR p_limit NOT BETWEEN 1 AND 100000 THEN
        RAISE EXCEPTION 'gravity_memory_changes(): p_limit must be from 1 to 100000, not %', COALESCE(p_limit::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'has_more says whether there is more than the limit.';
    END IF;
    PERFORM @extschema@._gravity_memory_check_feed();
    v_from := @extschema@._gravity_memory_read_cursor(p_cursor);
    v_to := COALESCE(v_from.page_snapshot, @extschema@._gravity_memory_feed_snapshot());
    v_place := COALESCE(v_from.page_place, @extschema@._gravity_memory_feed_place(v_to, clock_timestamp()));

    SELECT b.payload ->> 'reason' INTO v_reason
    FROM @extschema@.memory_events AS b
    WHERE b.user_id = '' AND b.event = 'feed_broken'
      AND (b.xid >= v_from.first_unseen OR b.xid = ANY (v_from.were_open)
           OR (v_from.lost_transactions AND b.created_at > v_from.taken_at))
      AND pg_visible_in_snapshot(b.xid, v_to) AND age(b.xmin) <= age(b.xid::xid)
    ORDER BY b.event_id
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'the feed of changes has a break after this cursor: %', v_reason
            USING ERRCODE = '72000',
                  HINT = 'Take a new cursor from SELECT memory_changes_head(), read the memories and arcs themselves, then go on from '
                         'that cursor.';
    END IF;

    IF cardinality(p_user_ids) <= v_few_users OR v_from.lost_transactions OR v_from.taken_at < clock_timestamp() - v_recently THEN
        OPEN v_events FOR
            SELECT e.event_id, e.user_id, e.event, e.subject_id, e.payload, e.created_at
            FROM (SELECT DISTINCT n.user_id FROM unnest(p_user_ids) AS n (user_id)) AS u
            CROSS JOIN LATERAL (
                SELECT a.event_id, a.xid, a.xmin AS row_xid, a.user_id, a.event, a.subject_id, a.payload, a.created_at
                FROM @extschema@.memory_events AS a
                WHERE a.user_id = u.user_id AND a.xid >= v_from.first_unseen
                UNION ALL
                SELECT o.event_id, o.xid, o.xmin AS row_xid, o.user_id, o.event, o.subject_id, o.payload, o.created_at
                FROM @extschema@.memory_events AS o
                WHERE o.user_id = u.user_id AND o.xid = ANY (v_from.were_open)
                UNION ALL
                SELECT l.event_id, l.xid, l.xmin AS row_xid, l.user_id, l.event, l.subject_id, l.payload, l.created_at
                FROM @extschema@.memory_events AS l
                WHERE v_from.lost_transactions AND l.user_id = u.user_id AND l.created_at > v_from.taken_at
                  AND l.xid < v_from.first_unseen AND l.xid <> ALL (v_from.were_open)) AS e
            WHERE pg_visible_in_snapshot(e.xid, v_to) AND e.event_id > COALESCE(v_from.page_event, 0) AND e.event <> 'feed_broken'
              AND age(e.row_xid) <= age(e.xid::xid)
            ORDER BY e.event_id
            LIMIT p_limit;
    ELSE
        OPEN v_events FOR
            SELECT e.event_id, e.user_id, e.event, e.subject_id, e.payload, e.created_at
            FROM (SELECT a.event_id, a.xid, a.xmin AS row_xid, a.user_id, a.event, a.subject_id, a.payload, a.created_at
                  FROM @extschema@.memory_events AS a
                  WHERE a.xid >= v_from.first_unseen
                  UNION ALL
                  SELECT o.event_id, o.xid, o.xmin AS row_xid, o.user_id, o.event, o.subject_id, o.payload, o.created_at
                  FROM @extschema@.memory_events AS o
                  WHERE o.xid = ANY (v_from.were_open)) AS e
            WHERE e.user_id IN (SELECT u.user_id FROM unnest(p_user_ids) AS u (user_id))
              AND pg_visible_in_snapshot(e.xid, v_to) AND e.event_id > COALESCE(v_from.page_event, 0) AND e.event <> 'feed_broken'
              AND age(e.row_xid) <= age(e.xid::xid)
            ORDER BY e.event_id
            LIMIT p_limit;
    END IF;
    LOOP
        FETCH v_events INTO v_event;
        EXIT WHEN NOT FOUND;
        v_found := v_found + 1;
        user_id := v_event.user_id;
        event := v_event.event;
        subject_id := v_event.subject_id;
        payload := v_event.payload;
        created_at := v_event.created_at;
        next_cursor := format('%s/%s/%s', v_from.origin, v_place, v_event.event_id);
        RETURN NEXT;
    END LOOP;
    CLOSE v_events;

    user_id := NULL;
    event := NULL;
    subject_id := NULL;
    payload := NULL;
    created_at := NULL;
    has_more := v_found = p_limit;
    -- A snapshot names the open transactions only up to the last one that has finished; age() counts those begun after that.
    is_open := pg_snapshot_xmin(pg_current_snapshot()) < pg_snapshot_xmax(pg_current_snapshot())
        OR age(pg_snapshot_xmax(pg_current_snapshot())::xid) > 0
        OR pg_current_xact_id_if_assigned() IS NOT NULL;
    IF NOT has_more THEN
        -- The same server issued the one that was passed.
        next_cursor := format('1/%s/%s', split_part(p_cursor, '/', 2), v_place);
    END IF;
    RETURN NEXT;
END
$gravity_memory_changes$;

COMMENT ON FUNCTION @extschema@.gravity_memory_changes(text[], text, integer) IS
    'What happened to these users'' memories and arcs since the cursor: events in order, then a row with the cursor to go on from.

p_cursor: from memory_changes_head(), or a next_cursor. p_limit: events at most, 1 to 100000.
event: memory_created, memory_updated, memory_deleted, arc_created, arc_updated or arc_deleted. subject_id: the
memory or arc. payload: the memory without its embedding, or the arc; of what was deleted, the ids. created_at:
when it was written. next_cursor: the place after this event. The last row has no event, only the place to go on
from, has_more (p_limit was reached) and is_open (transactions are under way that may have written more). No
event is skipped, none comes twice from one cursor on. Reads memory_events with the caller''s privileges and
policies.
Errors: 22004 when p_user_ids is NULL; 22023 for a bad limit or cursor; 72000 for an expired cursor, one of
another server, and after a break in the feed: the HINT says how to start anew; 55000 while nothing is recorded;
42501 where row security hides all events.';

-- sql/feed/memory_changes_since.sql

-- memory_changes_since(p_user_id, p_cursor, p_limit): what happened to a user's memories and arcs since a cursor was taken.
--
-- gravity_memory_changes() for one user; columns, order, promises and errors are described there.
CREATE OR REPLACE FUNCTION @extschema@.memory_changes_since(p_user_id text, p_cursor text, p_limit integer DEFAULT 100)
RETURNS TABLE (user_id text, event text, subject_id uuid, payload jsonb, created_at timestamptz,
               next_cursor text, has_more boolean, is_open boolean)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $memory_changes_since$
BEGIN
    IF p_user_id IS NULL THEN
        RAISE EXCEPTION 'memory_changes_since(): p_user_id must not be NULL'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Name the user whose changes you want.';
    END IF;
    RETURN QUERY SELECT c.* FROM @extschema@.gravity_memory_changes(ARRAY[p_user_id], p_cursor, p_limit) AS c;
END
$memory_changes_since$;

COMMENT ON FUNCTION @extschema@.memory_changes_since(text, text, integer) IS
    'What happened to a user''s memories and arcs since the cursor: events in order, then a row with the cursor to go on from.

gravity_memory_changes() for one user: columns, order, promises and errors are described there.';

-- sql/feed/gravity_memory_cleanup_events.sql

-- gravity_memory_cleanup_events(): deletes events that no cursor can ask for any more.
--
-- Returns how many it deleted. A cursor is good for feed_retention; an event goes when it is twice as old, because it may have been
-- written long before it was committed. Only a transaction that stays open for longer than feed_retention may lose
-- events to readers who are away. Scheduled as the job cleanup-events.
CREATE OR REPLACE FUNCTION @extschema@.gravity_memory_cleanup_events()
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_cleanup_events$
DECLARE
    v_oldest_kept CONSTANT timestamptz :=
        now() - 2 * (@extschema@._gravity_memory_effective_settings() ->> 'feed_retention')::interval;
    v_deleted bigint;
BEGIN
    DELETE FROM @extschema@.memory_events AS e WHERE e.created_at < v_oldest_kept;
    GET DIAGNOSTICS v_deleted = ROW_COUNT;
    RETURN v_deleted;
END
$gravity_memory_cleanup_events$;

COMMENT ON FUNCTION @extschema@.gravity_memory_cleanup_events() IS
    'Deletes events older than twice the setting feed_retention and returns how many.

The job cleanup-events runs it hourly.';

-- sql/cleanup/cleanup_old_cache.sql

-- cleanup_old_cache(): deletes entries of consciousness_cache older than cache_retention (24 hours, spec).
--
-- Returns how many it deleted. Entries that another session holds are passed over and go with the next run, so it never waits for a
-- writer; readers use entries of the last hour and never meet it. Scheduled as the job cleanup-cache (hourly, spec).
CREATE OR REPLACE FUNCTION @extschema@.cleanup_old_cache()
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
    'Deletes cache entries older than the setting cache_retention and returns how many.

Entries that another session holds are passed over and go with the next run, so it waits for no writer. The job
cleanup-cache runs it hourly. One transaction, whatever the number of entries.';

-- sql/derivation/_gravity_memory_forget_derived.sql

-- _gravity_memory_forget_derived(p_user_ids, p_memory_ids): removes what recall reads of memories.
--
-- The arrays are of equal length: whose, and which. The digest lists the keys of its postings, so they are found whatever the text search configuration is by now. Each row is looked up
-- by its key, and deleted by its place: the plan is kept for the session, and one that was made on empty tables would
-- otherwise compare every posting with every other.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_forget_derived(p_user_ids text[], p_memory_ids uuid[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_forget_derived$
BEGIN
    WITH removed AS (
        DELETE FROM @extschema@.memory_digests AS d
        WHERE d.ctid = ANY (ARRAY(
            SELECT f.place
            FROM unnest(p_user_ids, p_memory_ids) AS u (user_id, memory_id)
            CROSS JOIN LATERAL (SELECT e.ctid AS place, e.memory_id FROM @extschema@.memory_digests AS e
                                WHERE e.user_id = u.user_id AND e.memory_id >= u.memory_id
                                  -- The bound keeps it from walking the rows that this transaction has deleted beyond it.
                                  AND e.memory_id <= u.memory_id
                                -- An order that only the key has: the index on length would read all of the user's digests.
                                ORDER BY e.memory_id LIMIT 1) AS f
            WHERE f.memory_id = u.memory_id))
        RETURNING d.memory_id, d.term_keys
    )
    DELETE FROM @extschema@.memory_postings AS p
    WHERE p.ctid = ANY (ARRAY(
        SELECT f.place
        FROM removed AS r
        CROSS JOIN LATERAL unnest(r.term_keys) AS k (term_key)
        CROSS JOIN LATERAL (SELECT q.ctid AS place FROM @extschema@.memory_postings AS q
                            WHERE q.term_key = k.term_key AND q.memory_id = r.memory_id LIMIT 1) AS f));
END
$_gravity_memory_forget_derived$;

COMMENT ON FUNCTION @extschema@._gravity_memory_forget_derived(text[], uuid[]) IS
    'Removes what recall reads of memories.';

-- sql/derivation/_gravity_memory_keep_derived.sql

-- _gravity_memory_keep_derived(): trigger function, AFTER INSERT, UPDATE, DELETE and TRUNCATE on gravity_map, once per statement.
--
-- Keeps memory_digests and memory_postings in step with the memories. An UPDATE is followed where content, embedding, time, user or id
-- changed, whichever column the statement named: triggers of the application may set them too. Set differences stand where one
-- would join on id: the plan is kept for the session, and a nested loop over two large transition tables would be quadratic.
-- A memory that the owner itself cannot see (FORCE ROW LEVEL SECURITY) or that a trigger removed again leaves a note, as a fault does.
-- Nobody waits for anybody here: whoever writes a memory holds its row, and what is derived is the memory's own. An INSERT of more than
-- derive_bulk_rows rows only notes its users; such INSERTs of the same users wait for each other.
-- SECURITY DEFINER, because a writer may hold no more than SELECT and INSERT on gravity_map, and nobody but the owner reads or writes the
-- derived tables. A fault is a WARNING: the memories stay as they were written, and the users are noted in memory_recall_gaps, so
-- that recall does not rely on what is derived from their memories.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_keep_derived()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $_gravity_memory_keep_derived$
DECLARE
    -- Memories handled in one go: enough to make the cost of a statement small, few enough to fit into work_mem.
    v_part_size CONSTANT integer := 1000;
    v_part record;
    v_user_ids text[];
BEGIN
    IF TG_RELID IS DISTINCT FROM to_regclass('@extschema@.gravity_map') THEN
        RAISE WARNING 'gravity_memory: % keeps what belongs to gravity_map and does nothing for another table', TG_NAME;
        RETURN NULL;
    END IF;
    BEGIN
        IF NOT @extschema@._gravity_memory_may_write_derived() THEN
            RETURN NULL;
        END IF;
        IF TG_OP = 'INSERT' THEN
            IF @extschema@._gravity_memory_leaves_deriving((SELECT count(*) FROM new_rows)) THEN
                BEGIN
                    PERFORM @extschema@._gravity_memory_note_recall_gaps(ARRAY(SELECT n.user_id::text FROM new_rows AS n), true);
                    RETURN NULL;
                EXCEPTION WHEN deadlock_detected OR lock_not_available THEN
                    -- Another load notes the same users in another order: this one derives at once after all.
                    NULL;
                END;
            END IF;
            FOR v_part IN
                SELECT array_agg(r.user_id ORDER BY r.number) AS user_ids, array_agg(r.id ORDER BY r.number) AS ids
                FROM (SELECT n.user_id::text AS user_id, n.id, row_number() OVER () AS number
                      FROM new_rows AS n
                      WHERE n.user_id IS NOT NULL) AS r
                GROUP BY r.number / v_part_size
            LOOP
                -- An AFTER ROW trigger of the application that updates the new memory had it derived already.
                IF EXISTS (SELECT
                           FROM unnest(v_part.user_ids, v_part.ids) AS u (user_id, id)
                           -- An order that only the key has, as in _gravity_memory_forget_derived().
                           CROSS JOIN LATERAL (SELECT e.memory_id FROM @extschema@.memory_digests AS e
                                               WHERE e.user_id = u.user_id AND e.memory_id >= u.id AND e.memory_id <= u.id
                                               ORDER BY e.memory_id LIMIT 1) AS d
                           WHERE d.memory_id = u.id) THEN
                    PERFORM @extschema@._gravity_memory_forget_derived(v_part.user_ids, v_part.ids);
                END IF;
                PERFORM @extschema@._gravity_memory_derive_or_note(v_part.user_ids, v_part.ids);
            END LOOP;
        ELSIF TG_OP = 'DELETE' THEN
            FOR v_part IN
                SELECT array_agg(r.user_id ORDER BY r.number) AS user_ids, array_agg(r.id ORDER BY r.number) AS ids
                FROM (SELECT o.user_id::text AS user_id, o.id, row_number() OVER () AS number
                      FROM old_rows AS o
                      WHERE o.user_id IS NOT NULL) AS r
                GROUP BY r.number / v_part_size
            LOOP
                PERFORM @extschema@._gravity_memory_forget_derived(v_part.user_ids, v_part.ids);
            END LOOP;
        ELSIF TG_OP = 'TRUNCATE' THEN
            TRUNCATE @extschema@.memory_digests, @extschema@.memory_postings, @extschema@.memory_recall_gaps;
        ELSE
            -- What is old is forgotten before anything is derived: false sorts before true.
            FOR v_part IN
                SELECT r.is_new, array_agg(r.user_id ORDER BY r.number) AS user_ids, array_agg(r.id ORDER BY r.number) AS ids
                FROM (SELECT c.user_id, c.id, c.is_new, row_number() OVER (PARTITION BY c.is_new) AS number
                      FROM (SELECT d.user_id::text AS user_id, d.id, false AS is_new
                            FROM (SELECT o.user_id, o.id, o.content, o.created_at, o.embedding FROM old_rows AS o
                                  EXCEPT
                                  SELECT n.user_id, n.id, n.content, n.created_at, n.embedding FROM new_rows AS n) AS d
                            UNION ALL
                            SELECT e.user_id::text, e.id, true
                            FROM (SELECT n.user_id, n.id, n.content, n.created_at, n.embedding FROM new_rows AS n
                                  EXCEPT
                                  SELECT o.user_id, o.id, o.content, o.created_at, o.embedding FROM old_rows AS o) AS e) AS c
                      WHERE c.user_id IS NOT NULL) AS r
                GROUP BY r.is_new, r.number / v_part_size
                ORDER BY r.is_new
            LOOP
                IF v_part.is_new THEN
                    PERFORM @extschema@._gravity_memory_derive_or_note(v_part.user_ids, v_part.ids);
                ELSE
                    PERFORM @extschema@._gravity_memory_forget_derived(v_part.user_ids, v_part.ids);
                END IF;
            END LOOP;
        END IF;
    EXCEPTION WHEN OTHERS THEN
        RAISE WARNING 'gravity_memory: what recall reads was not updated (% on gravity_map): %', TG_OP, SQLERRM
            USING ERRCODE = SQLSTATE,
                  HINT = 'The memories are stored, and recall stays complete, but slower, until CALL gravity_memory_rebuild_recall() '
                         'has run.';
        IF TG_OP = 'INSERT' THEN
            v_user_ids := ARRAY(SELECT n.user_id::text FROM new_rows AS n);
        ELSIF TG_OP = 'UPDATE' THEN
            v_user_ids := ARRAY(SELECT n.user_id::text FROM new_rows AS n UNION SELECT o.user_id::text FROM old_rows AS o);
        ELSIF TG_OP = 'DELETE' THEN
            v_user_ids := ARRAY(SELECT o.user_id::text FROM old_rows AS o);
        END IF;
        -- In the handler and not around the whole: a block that catches errors is a subtransaction, and every insert would pay for it.
        BEGIN
            -- NULL, after a TRUNCATE, notes every user: the terms of memories that are gone would still be counted.
            PERFORM @extschema@._gravity_memory_note_recall_gaps(v_user_ids);
        EXCEPTION WHEN OTHERS THEN
            RAISE WARNING 'gravity_memory: the users whose derived rows are wrong could not be noted: %', SQLERRM
                USING ERRCODE = SQLSTATE,
                      HINT = 'Run SELECT * FROM gravity_memory_setup(), then CALL gravity_memory_rebuild_recall(p_everything => true).';
        END;
    END;
    RETURN NULL;
END
$_gravity_memory_keep_derived$;

COMMENT ON FUNCTION @extschema@._gravity_memory_keep_derived() IS
    'Trigger function: keeps what recall reads in step with gravity_map, once per statement.';

-- sql/derivation/_gravity_memory_may_read_derived.sql

-- _gravity_memory_may_read_derived(p_user_id, p_column): may a SECURITY DEFINER function answer its caller from the derived tables?
--
-- Derived rows tell about memories, and the policies of gravity_map do not reach them. So they answer only a caller who may read
-- that column of every memory of that user: one with the privilege, who is not subject to row security, or whom our policy shows all
-- of that user's memories, because the session stands for the user. The caller is the role that was set, or
-- the one that logged in; a SECURITY DEFINER function of the application is judged by who called it. Everyone else is answered from the
-- memories themselves, under their own privileges and policies: more slowly, and the same.
-- False also while the user is listed in memory_recall_gaps, before setup has made the tables, and after a dump was restored by a
-- superuser, until setup hands the function over: read as a superuser, a table of somebody else might be a view with code in it.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_may_read_derived(p_user_id text, p_column text)
RETURNS boolean
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_may_read_derived$
DECLARE
    v_caller CONSTANT name := CASE WHEN current_setting('role') = 'none' THEN session_user ELSE current_setting('role')::name END;
    v_memories record;
BEGIN
    SELECT c.oid, c.relowner, c.relrowsecurity, c.relforcerowsecurity INTO v_memories
    FROM pg_class AS c
    WHERE c.oid = to_regclass('@extschema@.gravity_map') AND c.relkind IN ('r', 'p');
    IF (has_column_privilege(v_caller, v_memories.oid, 'id', 'SELECT')
        AND has_column_privilege(v_caller, v_memories.oid, 'user_id', 'SELECT')
        AND has_column_privilege(v_caller, v_memories.oid, p_column, 'SELECT')
        -- A memory is found by the words for its date, too.
        AND (p_column <> 'content' OR has_column_privilege(v_caller, v_memories.oid, 'created_at', 'SELECT'))) IS NOT TRUE THEN
        RETURN false;
    END IF;
    IF v_memories.relrowsecurity
       AND NOT (SELECT r.rolsuper OR r.rolbypassrls
                       OR (NOT v_memories.relforcerowsecurity AND pg_has_role(r.oid, v_memories.relowner, 'USAGE'))
                FROM pg_roles AS r WHERE r.rolname = v_caller)
       -- Permissive policies of the application show more, and restrictive ones less.
       AND (p_user_id = @extschema@.gravity_memory_current_user_id()
            AND @extschema@._gravity_memory_has_policy('gravity_map')
            AND NOT EXISTS (SELECT FROM pg_policy AS y
                            WHERE y.polrelid = v_memories.oid AND NOT y.polpermissive AND y.polcmd IN ('r', '*'))) IS NOT TRUE THEN
        RETURN false;
    END IF;
    -- Three tables: one that is missing makes the answer false too.
    IF (SELECT count(*) FROM pg_class AS c
        WHERE c.oid IN (to_regclass('@extschema@.memory_digests'), to_regclass('@extschema@.memory_postings'),
                        to_regclass('@extschema@.memory_recall_gaps'))
          AND pg_get_userbyid(c.relowner) = current_user AND c.relkind IN ('r', 'p')) < 3 THEN
        RETURN false;
    END IF;
    RETURN NOT EXISTS (SELECT FROM @extschema@.memory_recall_gaps AS g WHERE g.user_id = p_user_id AND NOT g.is_every_user)
       AND NOT EXISTS (SELECT FROM @extschema@.memory_recall_gaps AS g WHERE g.user_id = '' AND g.is_every_user);
END
$_gravity_memory_may_read_derived$;

COMMENT ON FUNCTION @extschema@._gravity_memory_may_read_derived(text, text) IS
    'Whether the caller of a SECURITY DEFINER function may be answered from what is derived from a user''s memories.';

-- sql/derivation/_gravity_memory_derive_memories.sql

-- _gravity_memory_derive_memories(p_user_id, p_memory_ids, p_wait): derives what recall reads, for memories that are there already.
--
-- Locks each row against changes, not against reading, for the moment of one batch, so that what was derived from an older version never
-- overwrites what a trigger derived from a newer one, and two rebuilds never derive the same memory at a time (FOR SHARE would let
-- them); who only refers to the memory does not notice. Without p_wait, rows that another transaction is changing are passed over:
-- waiting for several of them could deadlock.
-- Returns the memories it passed over, which have to be tried again. Memories that are gone are left out.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_derive_memories(p_user_id text, p_memory_ids uuid[], p_wait boolean)
RETURNS uuid[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $_gravity_memory_derive_memories$
DECLARE
    v_locked uuid[];
    v_user_ids text[];
BEGIN
    IF p_wait THEN
        v_locked := ARRAY(SELECT m.id FROM @extschema@.gravity_map AS m
                          WHERE m.id = ANY (p_memory_ids) AND m.user_id = p_user_id
                          FOR NO KEY UPDATE);
    ELSE
        v_locked := ARRAY(SELECT m.id FROM @extschema@.gravity_map AS m
                          WHERE m.id = ANY (p_memory_ids) AND m.user_id = p_user_id
                          FOR NO KEY UPDATE SKIP LOCKED);
    END IF;

    v_user_ids := array_fill(p_user_id, ARRAY[cardinality(v_locked)]);
    PERFORM @extschema@._gravity_memory_forget_derived(v_user_ids, v_locked);
    BEGIN
        PERFORM @extschema@._gravity_memory_derive(v_user_ids, v_locked);
    EXCEPTION WHEN unique_violation THEN
        -- Postings whose digests were removed by hand: only a look at all postings finds them.
        DELETE FROM @extschema@.memory_postings AS p WHERE p.memory_id = ANY (v_locked);
        PERFORM @extschema@._gravity_memory_derive(v_user_ids, v_locked);
    END;

    RETURN ARRAY(
        SELECT m.id FROM @extschema@.gravity_map AS m
        WHERE NOT p_wait AND m.id = ANY (p_memory_ids) AND m.user_id = p_user_id
        EXCEPT
        SELECT l.id FROM unnest(v_locked) AS l (id));
END
$_gravity_memory_derive_memories$;

COMMENT ON FUNCTION @extschema@._gravity_memory_derive_memories(text, uuid[], boolean) IS
    'Derives what recall reads from memories that are there already, and returns those it has to come back to.';

-- sql/derivation/gravity_memory_rebuild_recall.sql

-- gravity_memory_rebuild_recall(p_batch_size, p_user_id, p_everything): derives what recall reads from memories that are there already.
--
-- For tables adopted with rows, after a load with triggers disabled, after a WARNING that says so, and after the dimension of the embeddings
-- was changed. Works off memory_recall_gaps: the users that setup or a trigger noted; p_user_id does one user, noted or not;
-- p_everything does all users. Searches are complete all the while: those of users not done yet look at every memory.
-- Commits after each batch of p_batch_size memories (1 to 100000), so that a writer waits for the moment of one batch at most, and only
-- for a memory in it. Interrupted, it goes on where it was when it is called again. Says how far it is every few seconds.
-- Call it outside a transaction block. Errors: 22023 for a bad argument, 2D000 inside a transaction block.
-- A procedure that commits cannot pin search_path, so everything in it is qualified.
CREATE OR REPLACE PROCEDURE @extschema@.gravity_memory_rebuild_recall(
    p_batch_size integer DEFAULT 500, p_user_id text DEFAULT NULL, p_everything boolean DEFAULT false)
LANGUAGE plpgsql
AS $gravity_memory_rebuild_recall$
DECLARE
    v_users bigint;
    v_users_done bigint := 0;
    v_memories bigint := 0;
    v_said_at timestamptz := pg_catalog.clock_timestamp();
    v_user_id text;
    v_noted_at timestamptz;
    v_ids uuid[];
    v_done integer;
    v_passed_over uuid[];
    v_is_finished boolean;
BEGIN
    v_users := @extschema@._gravity_memory_begin_rebuild(p_batch_size, p_user_id, p_everything);
    COMMIT;
    LOOP
        SELECT g.user_id, g.noted_at, g.memory_ids INTO v_user_id, v_noted_at, v_ids
        FROM @extschema@._gravity_memory_next_recall_gap(v_user_id, p_user_id) AS g;
        EXIT WHEN v_user_id IS NULL;
        v_done := 0;
        v_passed_over := '{}';
        v_is_finished := false;
        WHILE NOT v_is_finished LOOP
            SELECT b.p_done, b.p_passed_over, b.is_finished INTO v_done, v_passed_over, v_is_finished
            FROM @extschema@._gravity_memory_derive_batch(v_user_id, v_noted_at, v_ids, p_batch_size, v_done, v_passed_over) AS b;
            COMMIT;
            IF pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) v_said_at OPERATOR(pg_catalog.>) '5 seconds'::pg_catalog.interval THEN
                RAISE INFO 'gravity_memory: % of % users done, now at % of % memories of %',
                    v_users_done, v_users, v_done, pg_catalog.cardinality(v_ids), pg_catalog.quote_literal(v_user_id);
                v_said_at := pg_catalog.clock_timestamp();
            END IF;
        END LOOP;
        v_users_done := v_users_done OPERATOR(pg_catalog.+) 1;
        v_memories := v_memories OPERATOR(pg_catalog.+) pg_catalog.cardinality(v_ids);
    END LOOP;
    RAISE INFO 'gravity_memory: recall rebuilt for % users, % memories', v_users_done, v_memories;
END
$gravity_memory_rebuild_recall$;

COMMENT ON PROCEDURE @extschema@.gravity_memory_rebuild_recall(integer, text, boolean) IS
    'Derives what recall reads from memories that are there already, in batches that do not block writers; can be interrupted.

p_batch_size: memories in a batch, 1 to 100000; each batch is a transaction, and a writer of one of its memories
waits for it.
p_user_id: this user alone, noted or not. p_everything: all users, noted or not. Neither: the users in
memory_recall_gaps.
Says how far it is every few seconds, and goes on where it was when it is called again. Call it outside a
transaction block.
Errors: 22023 for a bad batch size, and for a user and everything at a time; 2D000 inside a transaction block;
42501 where row security hides memories from the caller; 42704 where the text search configuration of the
settings is gone.';

-- sql/settings/gravity_memory_set.sql

-- gravity_memory_set(p_name, p_value): changes a setting for the whole database, from the next statement on.
--
-- Returns the value as stored. Setting a default stores no override. A setting that holds a schedule is applied to pg_cron at once; a
-- new text_search_config makes recall read the memories themselves until CALL gravity_memory_rebuild_recall() has run; a feed of changes
-- that is switched on again has its readers start anew. Only the
-- owner of the settings table may call it; others are refused by the table's privileges.
-- Errors: 22023 for an unknown name or an impossible value (the HINT names the valid ones); 55000 when setup has not run.
CREATE OR REPLACE FUNCTION @extschema@.gravity_memory_set(p_name text, p_value text)
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

-- sql/settings/gravity_memory_reset.sql

-- gravity_memory_reset(p_name): gives a setting its default back.
--
-- Returns the default. Errors: 22023 for an unknown name; 55000 when setup has not run.
CREATE OR REPLACE FUNCTION @extschema@.gravity_memory_reset(p_name text)
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

-- sql/similarity/match_memories.sql

-- match_memories(query_embedding, match_threshold, match_count, user_id): a user's memories most similar to a vector.
--
-- Returns id, content, gravity_score, emotion_type, created_at and similarity (cosine, -1..1), most similar first: the match_count best
-- with similarity >= match_threshold (0.7), and fewer only when fewer qualify. Names and defaults are the application's.
-- Memories without embedding, or with a zero vector, are not found. match_count 0 and a user without memories: no rows.
-- Errors: 22004 for a NULL argument (user_id has to be given); 22023 for a threshold outside -1..1, a negative count, a vector of
-- another dimension or without direction. NaN and infinite components are refused by pgvector.
CREATE OR REPLACE FUNCTION @extschema@.match_memories(
    query_embedding vector, match_threshold double precision DEFAULT 0.7, match_count integer DEFAULT 10, user_id text DEFAULT NULL)
RETURNS TABLE (id uuid, content text, gravity_score double precision, emotion_type text, created_at timestamptz,
               similarity double precision)
LANGUAGE plpgsql
STABLE
ROWS 10
SET search_path = pg_catalog, pg_temp
AS $match_memories$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@._gravity_memory_check_search('match_memories()', match_memories.user_id, match_threshold, match_count);
    PERFORM @extschema@._gravity_memory_check_embedding(query_embedding, 'match_memories()');
    RETURN QUERY
    SELECT m.id, m.content::text, m.gravity_score::double precision, m.emotion_type::text, m.created_at, n.similarity
    FROM @extschema@._gravity_memory_nearest(match_memories.user_id, query_embedding, match_threshold, 0, match_count) AS n
    JOIN @extschema@.gravity_map AS m ON m.id = n.memory_id
    ORDER BY n.similarity DESC, m.id;
END
$match_memories$;

COMMENT ON FUNCTION @extschema@.match_memories(vector, double precision, integer, text) IS
    'A user''s memories most similar to a vector, by cosine; as many as exist and reach the threshold.

user_id is required, though it has a default for the sake of its place. match_threshold: cosine from -1 to 1, at
least. match_count: 0 or more. Most similar first. Memories without embedding, or with a zero vector, are not
found.
Errors: 22004 for a NULL argument; 22023 for a value out of range, and a vector of another dimension or without
direction.';

-- sql/similarity/gravity_weighted_search.sql

-- gravity_weighted_search(query_embedding, user_id, match_threshold, gravity_weight, match_count): similar memories, weighed by gravity.
--
-- weighted_score = similarity * (1 - gravity_weight) + gravity_score * gravity_weight (the application's rule); a NULL gravity counts as
-- 0. Returns the match_count best by weighted_score among the memories with similarity >= match_threshold, best first, with
-- the columns of match_memories(); fewer only when fewer qualify.
-- Errors: as match_memories(); 22023 too for a gravity_weight outside 0..1.
CREATE OR REPLACE FUNCTION @extschema@.gravity_weighted_search(
    query_embedding vector, user_id text, match_threshold double precision DEFAULT 0.7,
    gravity_weight double precision DEFAULT 0.3, match_count integer DEFAULT 10)
RETURNS TABLE (id uuid, content text, gravity_score double precision, emotion_type text, created_at timestamptz,
               similarity double precision, weighted_score double precision)
LANGUAGE plpgsql
STABLE
ROWS 10
SET search_path = pg_catalog, pg_temp
AS $gravity_weighted_search$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@._gravity_memory_check_search(
        'gravity_weighted_search()', gravity_weighted_search.user_id, match_threshold, match_count);
    PERFORM @extschema@._gravity_memory_check_embedding(query_embedding, 'gravity_weighted_search()');
    IF gravity_weight IS NULL OR NOT gravity_weight BETWEEN 0 AND 1 THEN
        RAISE EXCEPTION 'gravity_weighted_search(): gravity_weight must be a number from 0 to 1, not %',
            COALESCE(gravity_weight::text, 'NULL')
            USING ERRCODE = CASE WHEN gravity_weight IS NULL THEN 'null_value_not_allowed' ELSE 'invalid_parameter_value' END,
                  HINT = '0 orders by similarity alone, 1 by gravity alone.';
    END IF;
    RETURN QUERY
    SELECT m.id, m.content::text, m.gravity_score::double precision, m.emotion_type::text, m.created_at, n.similarity, n.score
    FROM @extschema@._gravity_memory_nearest(
             gravity_weighted_search.user_id, query_embedding, match_threshold, gravity_weight, match_count) AS n
    JOIN @extschema@.gravity_map AS m ON m.id = n.memory_id
    ORDER BY n.score DESC, m.id;
END
$gravity_weighted_search$;

COMMENT ON FUNCTION @extschema@.gravity_weighted_search(vector, text, double precision, double precision, integer) IS
    'A user''s memories that are similar to a vector, ordered by a mixture of similarity and gravity.

weighted_score = similarity * (1 - gravity_weight) + gravity_score * gravity_weight; a NULL gravity counts as 0.
match_threshold: cosine from -1 to 1, at least. gravity_weight: 0 to 1. match_count: 0 or more.
Errors: as match_memories(), and 22023 for a gravity_weight out of range.';

-- sql/similarity/find_similar_memories.sql

-- find_similar_memories(memory_id, similarity_threshold, max_results): the memories of the same user most similar to a given one.
--
-- Returns the columns of match_memories(), most similar first, without the memory itself: the max_results best with similarity >=
-- similarity_threshold (0.7). A memory without embedding, or with a zero vector, has no similar ones: no rows.
-- Errors: P0002 for a memory that does not exist or that the caller may not see; 22004 and 22023 as match_memories().
CREATE OR REPLACE FUNCTION @extschema@.find_similar_memories(
    memory_id uuid, similarity_threshold double precision DEFAULT 0.7, max_results integer DEFAULT 10)
RETURNS TABLE (id uuid, content text, gravity_score double precision, emotion_type text, created_at timestamptz,
               similarity double precision)
LANGUAGE plpgsql
STABLE
ROWS 10
SET search_path = pg_catalog, pg_temp
AS $find_similar_memories$
#variable_conflict use_column
DECLARE
    v_memory record;
BEGIN
    IF find_similar_memories.memory_id IS NULL THEN
        RAISE EXCEPTION 'find_similar_memories() needs a memory_id, not NULL'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Pass the id of a memory in gravity_map.';
    END IF;
    SELECT m.user_id::text AS user_id, m.embedding INTO v_memory
    FROM @extschema@.gravity_map AS m WHERE m.id = find_similar_memories.memory_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'find_similar_memories(): there is no memory %', find_similar_memories.memory_id
            USING ERRCODE = 'no_data_found', HINT = 'It was deleted, or row security hides it.';
    END IF;
    PERFORM @extschema@._gravity_memory_check_search(
        'find_similar_memories()', v_memory.user_id, similarity_threshold, max_results);
    IF v_memory.embedding IS NULL
       OR NOT ((v_memory.embedding OPERATOR(vector_schema.<=>) v_memory.embedding) < 'NaN')
       OR max_results = 0 THEN
        RETURN;
    END IF;
    -- One more than wanted: the memory itself is among the nearest, or as near as others.
    RETURN QUERY
    SELECT m.id, m.content::text, m.gravity_score::double precision, m.emotion_type::text, m.created_at, n.similarity
    FROM @extschema@._gravity_memory_nearest(
             v_memory.user_id, v_memory.embedding, similarity_threshold, 0, LEAST(max_results, 2147483646) + 1) AS n
    JOIN @extschema@.gravity_map AS m ON m.id = n.memory_id
    WHERE n.memory_id <> find_similar_memories.memory_id
    ORDER BY n.similarity DESC, m.id
    LIMIT max_results;
END
$find_similar_memories$;

COMMENT ON FUNCTION @extschema@.find_similar_memories(uuid, double precision, integer) IS
    'The memories of the same user that are most similar to a given one, by cosine.

similarity_threshold: cosine from -1 to 1, at least. max_results: 0 or more. Most similar first, without the
memory itself; none for a memory without embedding, or with a zero vector.
Errors: P0002 for a memory that does not exist or is hidden from the caller; 22004 for a NULL argument; 22023
for a value out of range.';

-- sql/similarity/get_conversation_context.sql

-- get_conversation_context(user_id, memory_trace_id, limit): the latest turns of one conversation, in the order they were said.
--
-- Returns id, content, gravity_score, emotion_type, created_at and metadata (where the application keeps the role) of the last "limit"
-- (10) memories of the user with this memory_trace_id, oldest first. An unknown user or trace, and limit 0: no rows.
-- Errors: 22004 for a NULL argument; 22023 for a negative limit.
CREATE OR REPLACE FUNCTION @extschema@.get_conversation_context(user_id text, memory_trace_id text, "limit" integer DEFAULT 10)
RETURNS TABLE (id uuid, content text, gravity_score double precision, emotion_type text, created_at timestamptz, metadata jsonb)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $get_conversation_context$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@._gravity_memory_check_search('get_conversation_context()', get_conversation_context.user_id, 0, "limit");
    IF get_conversation_context.memory_trace_id IS NULL THEN
        RAISE EXCEPTION 'get_conversation_context() needs a memory_trace_id, not NULL'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Pass the memory_trace_id of the conversation.';
    END IF;
    RETURN QUERY
    SELECT t.id, t.content, t.gravity_score, t.emotion_type, t.created_at, t.metadata
    FROM (
        SELECT m.id, m.content::text AS content, m.gravity_score::double precision AS gravity_score,
               m.emotion_type::text AS emotion_type, m.created_at, m.metadata
        FROM @extschema@.gravity_map AS m
        WHERE m.memory_trace_id::text = get_conversation_context.memory_trace_id
          AND m.user_id = get_conversation_context.user_id
        ORDER BY m.created_at DESC, m.id DESC
        LIMIT get_conversation_context."limit"
    ) AS t
    ORDER BY t.created_at, t.id;
END
$get_conversation_context$;

COMMENT ON FUNCTION @extschema@.get_conversation_context(text, text, integer) IS
    'The latest memories of one conversation (memory_trace_id) of a user, oldest first.

limit: how many of the latest, 0 or more. An unknown user or conversation has none.
Errors: 22004 for a NULL argument; 22023 for a negative limit.';

-- sql/vector_indexes/gravity_memory_search_all.sql

-- gravity_memory_search_all(query_embedding, match_threshold, match_count): memories of all users most similar to a vector.
--
-- Returns id, user_id, content, gravity_score, emotion_type, created_at and similarity (cosine, -1..1), most similar first: of the match_count
-- (10) nearest memories that the caller may see, those with similarity >= match_threshold (0.7). Uses the index on embedding
-- and sets how much of it to search (ivfflat.probes by the index's lists, hnsw.ef_search by match_count), so the answer is
-- approximate: the bar is a recall@10 of .95. Where the index gives fewer rows than asked for, all memories are compared; so are all that a
-- caller under row security may see, because an index finds the nearest of all and, of those, the few that pass a policy
-- are not the nearest of the ones that do. For the memories of one user, match_memories() is exact and quicker. Zero vectors are not
-- found. Errors: as match_memories().
CREATE OR REPLACE FUNCTION @extschema@.gravity_memory_search_all(
    query_embedding vector, match_threshold double precision DEFAULT 0.7, match_count integer DEFAULT 10)
RETURNS TABLE (id uuid, user_id text, content text, gravity_score double precision, emotion_type text, created_at timestamptz,
               similarity double precision)
LANGUAGE plpgsql
STABLE
ROWS 10
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET jit = off
-- These are given values below; naming them here restores the caller's when the function ends.
SET ivfflat.probes = 1
SET hnsw.ef_search = 40
AS $gravity_memory_search_all$
#variable_conflict use_column
DECLARE
    v_settings CONSTANT jsonb := @extschema@._gravity_memory_effective_settings();
    v_lists integer;
    v_probes integer := (v_settings ->> 'embedding_probes')::integer;
    v_ids uuid[];
BEGIN
    PERFORM @extschema@._gravity_memory_check_search('gravity_memory_search_all()', '', match_threshold, match_count);
    PERFORM @extschema@._gravity_memory_check_embedding(query_embedding, 'gravity_memory_search_all()');
    IF match_count = 0 THEN
        RETURN;
    END IF;

    IF NOT row_security_active('@extschema@.gravity_map') THEN
        SELECT max(COALESCE((SELECT o.option_value::integer FROM pg_options_to_table(c.reloptions) AS o WHERE o.option_name = 'lists'), 100))
        INTO v_lists
        FROM pg_index AS i
        JOIN pg_class AS c ON c.oid = i.indexrelid
        JOIN pg_am AS am ON am.oid = c.relam
        WHERE i.indrelid = '@extschema@.gravity_map'::regclass AND i.indisvalid AND am.amname = 'ivfflat';
        IF v_probes = 0 THEN
            v_probes := LEAST(32768, GREATEST(5, ceil(1.5 * sqrt(COALESCE(v_lists, 100)))))::integer;
        END IF;
        PERFORM set_config('ivfflat.probes', v_probes::text, true);
        PERFORM set_config('hnsw.ef_search', LEAST(1000, GREATEST(100, 2 * match_count::bigint))::text, true);
        v_ids := ARRAY(
            SELECT m.id FROM @extschema@.gravity_map AS m
            WHERE m.embedding IS NOT NULL
            ORDER BY m.embedding OPERATOR(vector_schema.<=>) query_embedding
            LIMIT match_count);
    END IF;
    IF v_ids IS NULL OR cardinality(v_ids) < match_count THEN
        -- By an expression that no index has. Zero vectors come last.
        v_ids := ARRAY(
            SELECT m.id FROM @extschema@.gravity_map AS m
            WHERE m.embedding IS NOT NULL
            ORDER BY (m.embedding OPERATOR(vector_schema.<=>) query_embedding) + 0
            LIMIT match_count);
    END IF;

    RETURN QUERY
    SELECT r.id, r.user_id, r.content, r.gravity_score, r.emotion_type, r.created_at, r.similarity
    FROM (SELECT m.id, m.user_id::text AS user_id, m.content::text AS content, m.gravity_score::double precision AS gravity_score,
                 m.emotion_type::text AS emotion_type, m.created_at,
                 1 - (m.embedding OPERATOR(vector_schema.<=>) query_embedding) AS similarity
          FROM unnest(v_ids) AS f (id)
          JOIN @extschema@.gravity_map AS m ON m.id = f.id) AS r
    WHERE r.similarity >= match_threshold AND r.similarity < 'NaN'
    ORDER BY r.similarity DESC, r.id;
END
$gravity_memory_search_all$;

COMMENT ON FUNCTION @extschema@.gravity_memory_search_all(vector, double precision, integer) IS
    'Memories of all users most similar to a vector, by cosine, through the index on embedding.

match_threshold: cosine from -1 to 1, at least. match_count: 0 or more. Of what the caller may see, most similar
first; approximate where the index is used, exact where there is none, where it gives too few rows, and under
row security, which compares all memories.
Errors: as match_memories().';

-- sql/lexical/_gravity_memory_matching_postings.sql

-- _gravity_memory_matching_postings(p_user_id, p_query, p_count, p_eligible): the p_count best memories by BM25.
--
-- BM25 over the user's own memories, k1 = 1.2, b = 0.3: the sum over the query's terms of idf * f * (k1 + 1) / (f + k1 * (1 - b + b *
-- length / average length)), idf = ln(1 + (N - df + 0.5) / (df + 0.5)). N, df and the average are counted at query time:
-- counters would make every writer of a user wait for the others. A term that occurs in none of the user's memories says
-- nothing; of a long query the 32 rarest terms count.
-- Rare terms first: the postings of the rarest terms, up to 20,000 of them and of three terms at least, name the candidates; common terms
-- only re-score the best of these, because walking their postings costs most and tells least. Up to three terms, and up to
-- 20,000 postings, the answer is exact.
-- p_eligible restricts the answer (NULL: no restriction), not the statistics.
-- Returns three arrays of equal length, one entry per memory and term: the memory, the number of the term, and its share of the
-- score. is_reliable is false, and the arrays are NULL, when the caller has to look at the memories themselves: see
-- _gravity_memory_may_read_derived().
-- SECURITY DEFINER, because the derived tables are readable by their owner only.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_matching_postings(
    p_user_id text, p_query text, p_count integer, p_eligible uuid[],
    OUT is_reliable boolean, OUT memory_ids uuid[], OUT term_numbers integer[], OUT term_scores double precision[])
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_mergejoin = off
SET max_parallel_workers_per_gather = 0
SET jit = off
AS $_gravity_memory_matching_postings$
DECLARE
    v_postings_limit CONSTANT bigint := 20000;
    v_keys bigint[];
    v_counts bigint[];
    v_weights double precision[];
    v_total bigint;
    v_slope double precision;
    v_leading integer := 0;
    v_walked bigint := 0;
    v_candidates uuid[];
    v_wanted integer;
BEGIN
    is_reliable := false;
    IF NOT @extschema@._gravity_memory_may_read_derived(p_user_id, 'content') THEN
        RETURN;
    END IF;

    SELECT array_agg(r.term_key ORDER BY r.memories, r.term_key), array_agg(r.memories ORDER BY r.memories, r.term_key)
    INTO v_keys, v_counts
    FROM (
        SELECT t.term_key, c.memories
        FROM @extschema@._gravity_memory_query_terms(p_user_id, p_query) AS t
        CROSS JOIN LATERAL (
            SELECT count(*) AS memories FROM @extschema@.memory_postings AS p WHERE p.term_key = t.term_key
        ) AS c
        WHERE c.memories > 0
        ORDER BY c.memories, t.term_key
        LIMIT 32
    ) AS r;
    IF v_keys IS NULL THEN
        is_reliable := true;
        RETURN;
    END IF;

    -- A hash may be chosen that is that of another user's word. Whoever may read every memory is told by the caller, who looks whose the found
    -- ones are; row security would hide them from the one for whose sake it matters. Set operations never become nested loops.
    IF p_user_id = @extschema@.gravity_memory_current_user_id()
       AND EXISTS (SELECT p.memory_id FROM @extschema@.memory_postings AS p WHERE p.term_key = ANY (v_keys)
                   EXCEPT
                   SELECT d.memory_id FROM @extschema@.memory_digests AS d WHERE d.user_id = p_user_id) THEN
        RETURN;
    END IF;

    -- k1 * (1 - b + b * length / average) = 0.84 + slope * length.
    SELECT count(*), 0.36 / GREATEST(avg(d.length), 1)
    INTO v_total, v_slope
    FROM @extschema@.memory_digests AS d
    WHERE d.user_id = p_user_id;
    -- GREATEST: while another session writes, a posting may be counted whose document was not.
    v_weights := ARRAY(SELECT 2.2 * ln(1 + (GREATEST(v_total - c.memories, 0) + 0.5) / (c.memories + 0.5))
                    FROM unnest(v_counts) WITH ORDINALITY AS c (memories, number) ORDER BY c.number);

    LOOP
        v_leading := v_leading + 1;
        v_walked := v_walked + v_counts[v_leading];
        CONTINUE WHEN v_leading < cardinality(v_keys)
                      AND (v_leading < 3 OR v_walked + v_counts[v_leading + 1] <= v_postings_limit);

        v_wanted := CASE WHEN v_leading = cardinality(v_keys) THEN p_count ELSE GREATEST(500, 2 * p_count) END;
        IF p_eligible IS NULL THEN
            v_candidates := ARRAY(
                SELECT p.memory_id
                FROM unnest(v_keys[:v_leading], v_weights[:v_leading]) AS t (term_key, weight)
                JOIN @extschema@.memory_postings AS p ON p.term_key = t.term_key
                GROUP BY p.memory_id
                ORDER BY sum(t.weight * p.frequency / (p.frequency + 0.84::double precision + v_slope * p.length)) DESC,
                         p.memory_id
                LIMIT v_wanted);
        ELSE
            v_candidates := ARRAY(
                SELECT p.memory_id
                FROM unnest(v_keys[:v_leading], v_weights[:v_leading]) AS t (term_key, weight)
                JOIN @extschema@.memory_postings AS p ON p.term_key = t.term_key
                -- IS TRUE makes it a hash table; the planner takes arrays for short and would join by nested loops.
                WHERE (p.memory_id IN (SELECT unnest(p_eligible))) IS TRUE
                GROUP BY p.memory_id
                ORDER BY sum(t.weight * p.frequency / (p.frequency + 0.84::double precision + v_slope * p.length)) DESC,
                         p.memory_id
                LIMIT v_wanted);
        END IF;
        -- Too few of the rare terms' memories may be answered: the common terms have to name candidates too.
        EXIT WHEN v_leading = cardinality(v_keys) OR cardinality(v_candidates) >= p_count;
    END LOOP;

    SELECT array_agg(r.memory_id), array_agg(r.term_number), array_agg(r.term_score)
    INTO memory_ids, term_numbers, term_scores
    FROM (
        SELECT s.memory_id, s.term_number, s.term_score
        FROM (
            SELECT c.memory_id, t.term_number::integer AS term_number, b.term_score,
                   sum(b.term_score) OVER (PARTITION BY c.memory_id) AS score
            FROM unnest(v_candidates) AS c (memory_id)
            CROSS JOIN unnest(v_keys, v_weights) WITH ORDINALITY AS t (term_key, weight, term_number)
            CROSS JOIN LATERAL (
                -- LIMIT keeps the planner from reading all postings of a term instead of looking this one up.
                SELECT t.weight * q.frequency / (q.frequency + 0.84::double precision + v_slope * q.length) AS term_score
                FROM @extschema@.memory_postings AS q
                WHERE q.term_key = t.term_key AND q.memory_id = c.memory_id
                LIMIT 1
            ) AS b
        ) AS s
        ORDER BY s.score DESC, s.memory_id
        LIMIT p_count * cardinality(v_keys)::bigint
    ) AS r;
    is_reliable := true;
END
$_gravity_memory_matching_postings$;

COMMENT ON FUNCTION @extschema@._gravity_memory_matching_postings(text, text, integer, uuid[]) IS
    'The memories of a user that match a query best by BM25, with each term''s share of the score.';

-- sql/lexical/_gravity_memory_lexical_candidates.sql

-- _gravity_memory_lexical_candidates(p_user_id, p_query, p_count, p_eligible, p_filters): the p_count best memories of a user by BM25.
--
-- Among p_eligible, when that is given, otherwise among those that pass p_filters ({}: all): four times as many are looked at first, and
-- only when too few of them pass, all memories that do are listed. The statistics are those of all memories either way.
-- The score is defined at _gravity_memory_matching_postings(), which answers from the derived tables. Where they may not be read, the
-- terms of all memories of the user are derived here and now: slower, and complete.
-- Returns the memory, its BM25 score, and the terms behind it: their numbers and their shares of the score.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_lexical_candidates(
    p_user_id text, p_query text, p_count integer, p_eligible uuid[], p_filters jsonb)
RETURNS TABLE (memory_id uuid, bm25 double precision, term_numbers integer[], term_scores double precision[])
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET max_parallel_workers_per_gather = 0
SET jit = off
AS $_gravity_memory_lexical_candidates$
DECLARE
    v_found record;
    v_found_ids uuid[];
    v_passing uuid[] := p_eligible;
    v_config regconfig;
BEGIN
    IF p_count <= 0 THEN
        RETURN;
    END IF;
    IF p_eligible IS NULL AND p_filters <> '{}' THEN
        v_found := @extschema@._gravity_memory_matching_postings(p_user_id, p_query, 4 * p_count, NULL);
        v_found_ids := ARRAY(SELECT DISTINCT f.id FROM unnest(v_found.memory_ids) AS f (id));
        v_passing := @extschema@._gravity_memory_passing(p_user_id, p_filters, v_found_ids, NULL);
        IF NOT v_found.is_reliable
           OR (cardinality(v_passing) < p_count AND cardinality(v_found_ids) >= 4 * p_count) THEN
            v_passing := @extschema@._gravity_memory_passing(p_user_id, p_filters, NULL, NULL);
            v_found := @extschema@._gravity_memory_matching_postings(p_user_id, p_query, p_count, v_passing);
        END IF;
    ELSE
        v_found := @extschema@._gravity_memory_matching_postings(p_user_id, p_query, p_count, p_eligible);
    END IF;
    -- Terms are found by hash. Who writes content or a query can choose a word whose key is that of a word of another user: then, and
    -- hardly ever by chance, a memory of that one is among those found, perhaps in the place of others. From a caller whom row security
    -- binds it would be hidden here: _gravity_memory_matching_postings() has looked for it.
    IF v_found.is_reliable
       AND NOT EXISTS (SELECT FROM (SELECT DISTINCT u.id FROM unnest(v_found.memory_ids) AS u (id)) AS f
                       CROSS JOIN LATERAL (SELECT m.user_id FROM @extschema@.gravity_map AS m WHERE m.id = f.id LIMIT 1) AS o
                       WHERE o.user_id <> p_user_id) THEN
        RETURN QUERY
        SELECT u.memory_id, sum(u.term_score), array_agg(u.term_number ORDER BY u.term_number),
               array_agg(u.term_score ORDER BY u.term_number)
        FROM unnest(v_found.memory_ids, v_found.term_numbers, v_found.term_scores) AS u (memory_id, term_number, term_score)
        WHERE v_passing IS NULL OR u.memory_id IN (SELECT unnest(v_passing))
        GROUP BY u.memory_id
        ORDER BY 2 DESC, 1
        LIMIT p_count;
        RETURN;
    END IF;

    v_config := @extschema@._gravity_memory_text_search_config();
    RETURN QUERY
    WITH document AS MATERIALIZED (
        SELECT m.id, d.length, d.term_keys, d.frequencies
        FROM @extschema@.gravity_map AS m
        CROSS JOIN LATERAL @extschema@._gravity_memory_document_terms(v_config, m.user_id, m.content, m.created_at) AS d
        WHERE m.user_id = p_user_id
    ), statistic AS (
        SELECT count(*) AS total, GREATEST(avg(d.length)::double precision, 1) AS average FROM document AS d
    ), posting AS MATERIALIZED (
        SELECT d.id, LEAST(d.length, 32767) AS length, k.term_key, k.frequency
        FROM document AS d
        CROSS JOIN LATERAL unnest(d.term_keys, d.frequencies) AS k (term_key, frequency)
        JOIN @extschema@._gravity_memory_query_terms(p_user_id, p_query) AS t ON t.term_key = k.term_key
    ), term AS (
        SELECT c.term_key, row_number() OVER (ORDER BY c.memories, c.term_key)::integer AS term_number,
               ln(1 + (s.total - c.memories + 0.5) / (c.memories + 0.5))::double precision AS idf, s.average
        FROM (SELECT p.term_key, count(*) AS memories FROM posting AS p GROUP BY p.term_key) AS c
        CROSS JOIN statistic AS s
        ORDER BY c.memories, c.term_key
        LIMIT 32
    )
    SELECT s.id, sum(s.term_score), array_agg(s.term_number ORDER BY s.term_number),
           array_agg(s.term_score ORDER BY s.term_number)
    FROM (
        SELECT p.id, t.term_number,
               t.idf * 2.2::double precision * p.frequency
               / (p.frequency + 1.2::double precision * (0.7::double precision
                                                         + 0.3::double precision * p.length / t.average)) AS term_score
        FROM posting AS p
        JOIN term AS t ON t.term_key = p.term_key
    ) AS s
    WHERE v_passing IS NULL OR s.id IN (SELECT unnest(v_passing))
    GROUP BY s.id
    ORDER BY 2 DESC, 1
    LIMIT p_count;
END
$_gravity_memory_lexical_candidates$;

COMMENT ON FUNCTION @extschema@._gravity_memory_lexical_candidates(text, text, integer, uuid[], jsonb) IS
    'The memories of a user that match a query best by BM25, complete also while derived rows are missing.';

-- sql/recall/recall_memories.sql

-- recall_memories(p_user_id, p_query, p_embedding, p_limit, filters, weights): the user's memories that answer a question best.
--
-- p_query is the question in words, p_embedding its embedding; either may be NULL. p_limit 0..1000.
-- Filters (NULL: not used): p_since <= created_at < p_until; p_emotion_type, p_thread_id, p_session_id equal; p_entities, p_meta_tags
-- and p_metadata contained; gravity_score >= p_min_gravity. A filtered recall ranks the memories that pass as it would rank
-- them were they the only ones to answer: a selective filter costs no results.
-- Weights 0..1: p_semantic_weight and p_lexical_weight of the two lists, p_neighbour_weight what a turn lends to the next one,
-- p_gravity_weight of gravity_score, p_recency_weight of exp(-age / p_half_life), so that recency is .37 at that age. How
-- the score is made: _gravity_memory_ranked_memories(). The defaults were chosen by cross-validation (bench/locomo.py).
-- Returns, best first, the memory with score = semantic_score + lexical_score + neighbour_score + gravity_component + recency_component, and
-- the raw cosine similarity and BM25 score (NULL when it was not among the best by that measure). Fewer rows than p_limit when fewer
-- memories match: a query of stop words alone, or an unknown user, gets an empty answer. Memories without embedding are
-- found by words and neighbours, those without content by meaning, neighbours and date.
-- Errors: 22004 for a NULL user, limit or weight and when p_query and p_embedding are both NULL; 22023 for a limit, weight, half-life or
-- minimum gravity out of range, and for an embedding of another dimension than the memories' or without direction (zero
-- vector). Of p_query the first 8,192 characters and the 32 rarest terms count.
CREATE OR REPLACE FUNCTION @extschema@.recall_memories(
    p_user_id text, p_query text DEFAULT NULL, p_embedding vector DEFAULT NULL, p_limit integer DEFAULT 10,
    p_since timestamptz DEFAULT NULL, p_until timestamptz DEFAULT NULL, p_emotion_type text DEFAULT NULL,
    p_entities text[] DEFAULT NULL, p_meta_tags text[] DEFAULT NULL, p_thread_id text DEFAULT NULL,
    p_session_id text DEFAULT NULL, p_min_gravity double precision DEFAULT NULL, p_metadata jsonb DEFAULT NULL,
    p_semantic_weight double precision DEFAULT 0.5, p_lexical_weight double precision DEFAULT 0.5,
    p_neighbour_weight double precision DEFAULT 0.5, p_gravity_weight double precision DEFAULT 0,
    p_recency_weight double precision DEFAULT 0, p_half_life interval DEFAULT '30 days')
RETURNS TABLE (id uuid, content text, created_at timestamptz, gravity_score double precision, emotion_type text, session_id text,
               thread_id text, score double precision, semantic_score double precision, lexical_score double precision,
               neighbour_score double precision, gravity_component double precision, recency_component double precision,
               similarity double precision, bm25 double precision)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_mergejoin = off
SET max_parallel_workers_per_gather = 0
SET jit = off
AS $recall_memories$
DECLARE
    v_filters CONSTANT jsonb := @extschema@._gravity_memory_checked_recall(
        'recall_memories()', p_user_id, p_query IS NOT NULL OR p_embedding IS NOT NULL, p_limit, p_since, p_until, p_emotion_type,
        p_entities, p_meta_tags, p_thread_id, p_session_id, p_min_gravity, p_metadata,
        jsonb_build_object('semantic', p_semantic_weight, 'lexical', p_lexical_weight, 'neighbour', p_neighbour_weight,
                           'gravity', p_gravity_weight, 'recency', p_recency_weight), p_half_life);
BEGIN
    RETURN QUERY
    SELECT m.id, m.content::text, m.created_at, m.gravity_score::double precision, m.emotion_type::text, m.session_id::text,
           m.thread_id::text, r.score, r.semantic_score, r.lexical_score, r.neighbour_score, r.gravity_component,
           r.recency_component, r.similarity, r.bm25
    FROM (
        SELECT k.*
        FROM @extschema@._gravity_memory_ranked_memories(
                 p_user_id, p_query, p_embedding, GREATEST(100, p_limit), v_filters, p_semantic_weight, p_lexical_weight,
                 p_neighbour_weight, p_gravity_weight, p_recency_weight, p_half_life) AS k
        ORDER BY k.score DESC, k.memory_id
        LIMIT p_limit
    ) AS r
    CROSS JOIN LATERAL (SELECT g.id, g.user_id, g.content, g.created_at, g.gravity_score, g.emotion_type, g.session_id, g.thread_id
                        FROM @extschema@.gravity_map AS g WHERE g.id = r.memory_id LIMIT 1) AS m
    -- Terms are found by hash: who writes the query can choose a word whose key is that of a word of another user.
    WHERE m.user_id = p_user_id
    ORDER BY r.score DESC, r.memory_id;
END
$recall_memories$;

COMMENT ON FUNCTION @extschema@.recall_memories(
    text, text, vector, integer, timestamptz, timestamptz, text, text[], text[], text, text, double precision, jsonb, double precision,
    double precision, double precision, double precision, double precision, interval) IS
    'The memories of a user that answer a question best, by meaning, words and the turns around them, with every component of the score.

p_query: the question in words; its first 8,192 characters and 32 rarest terms count. p_embedding: its
embedding. One of the two is required. p_limit: 0 to 1000 memories.
Filters, NULL for none: p_since <= created_at < p_until; p_emotion_type, p_thread_id, p_session_id equal; all of
p_entities and p_meta_tags; p_metadata contained; p_min_gravity, 0 to 1, at least.
Weights, 0 to 1, of which only the proportions matter: p_semantic_weight of similarity, p_lexical_weight of
words, p_neighbour_weight what a turn lends to the next one of its session, p_gravity_weight of gravity_score,
p_recency_weight of exp(-age / p_half_life).
Best first; score is the sum of semantic_score, lexical_score, neighbour_score, gravity_component and
recency_component; similarity (cosine) and bm25 are NULL where the memory was not among the best by that
measure. Fewer rows than p_limit only when fewer memories have to do with the question.
Errors: 22004 for a NULL user, limit or weight, and when there is neither query nor embedding; 22023 for a value
out of range, and an embedding of another dimension or without direction.';

-- sql/recall/gravity_memory_explain_recall.sql

-- gravity_memory_explain_recall(as recall_memories(), p_memory_id): why a memory is, or is not, in that answer.
--
-- Takes the parameters of recall_memories() in the same order, and the memory. Returns one row:
-- verdict: 'answered'; 'below limit' (ranked, but p_limit others are better); 'not listed' (neither among the best by meaning or by words,
-- nor a neighbour of one that is); 'filtered out'; 'unknown' (no memory of this user has that id, or the caller may not see it).
-- filtered_by: the filters it does not pass. rank: its place among the candidates of this recall, of which there are candidates.
-- The score and its components are those of recall_memories(), NULL unless it was ranked. similarity and bm25 are its own, computed
-- whether or not it was listed (NULL: no embedding, or not asked for; no word in common); explanation says it in a sentence.
-- Errors: those of recall_memories(); 22004 for a NULL p_memory_id.
CREATE OR REPLACE FUNCTION @extschema@.gravity_memory_explain_recall(
    p_user_id text, p_query text DEFAULT NULL, p_embedding vector DEFAULT NULL, p_limit integer DEFAULT 10,
    p_since timestamptz DEFAULT NULL, p_until timestamptz DEFAULT NULL, p_emotion_type text DEFAULT NULL,
    p_entities text[] DEFAULT NULL, p_meta_tags text[] DEFAULT NULL, p_thread_id text DEFAULT NULL,
    p_session_id text DEFAULT NULL, p_min_gravity double precision DEFAULT NULL, p_metadata jsonb DEFAULT NULL,
    p_semantic_weight double precision DEFAULT 0.5, p_lexical_weight double precision DEFAULT 0.5,
    p_neighbour_weight double precision DEFAULT 0.5, p_gravity_weight double precision DEFAULT 0,
    p_recency_weight double precision DEFAULT 0, p_half_life interval DEFAULT '30 days', p_memory_id uuid DEFAULT NULL)
RETURNS TABLE (memory_id uuid, verdict text, explanation text, filtered_by text[], rank bigint, candidates bigint,
               score double precision, semantic_score double precision, lexical_score double precision,
               neighbour_score double precision, gravity_component double precision, recency_component double precision,
               similarity double precision, bm25 double precision)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $gravity_memory_explain_recall$
DECLARE
    v_filters CONSTANT jsonb := @extschema@._gravity_memory_checked_recall(
        'gravity_memory_explain_recall()', p_user_id, p_query IS NOT NULL OR p_embedding IS NOT NULL, p_limit, p_since, p_until,
        p_emotion_type, p_entities, p_meta_tags, p_thread_id, p_session_id, p_min_gravity, p_metadata,
        jsonb_build_object('semantic', p_semantic_weight, 'lexical', p_lexical_weight, 'neighbour', p_neighbour_weight,
                           'gravity', p_gravity_weight, 'recency', p_recency_weight), p_half_life);
    v_list_length CONSTANT integer := GREATEST(100, p_limit);
    v_condition record;
    v_passes boolean;
    v_last_score double precision;
    v_last_similarity double precision;
    v_last_bm25 double precision;
BEGIN
    IF p_memory_id IS NULL THEN
        RAISE EXCEPTION 'gravity_memory_explain_recall() needs a memory'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Pass p_memory_id, the id of the memory to explain.';
    END IF;
    memory_id := p_memory_id;
    IF p_embedding IS NOT NULL THEN
        PERFORM @extschema@._gravity_memory_check_embedding(p_embedding, 'gravity_memory_explain_recall()');
    END IF;

    SELECT NULLIF(1 - (m.embedding OPERATOR(vector_schema.<=>) p_embedding), 'NaN')
    INTO similarity
    FROM @extschema@.gravity_map AS m
    WHERE m.id = p_memory_id AND m.user_id = p_user_id;
    IF NOT FOUND THEN
        verdict := 'unknown';
        explanation := 'No memory of this user has this id, or you may not see it.';
        RETURN NEXT;
        RETURN;
    END IF;
    SELECT c.bm25 INTO bm25
    FROM @extschema@._gravity_memory_lexical_candidates(p_user_id, p_query, 1, ARRAY[p_memory_id], '{}') AS c;

    filtered_by := '{}';
    FOR v_condition IN SELECT c.filter, c.condition FROM @extschema@._gravity_memory_recall_conditions(v_filters) AS c LOOP
        EXECUTE format('SELECT (%s) IS TRUE FROM @extschema@.gravity_map AS m WHERE m.id = $1 AND m.user_id = $2',
                       v_condition.condition)
        INTO v_passes USING p_memory_id, p_user_id;
        IF NOT v_passes THEN
            filtered_by := filtered_by || v_condition.filter;
        END IF;
    END LOOP;
    IF filtered_by <> '{}' THEN
        verdict := 'filtered out';
        explanation := format('It does not pass: %s.',
                              (SELECT string_agg('p_' || f, ', ') FROM unnest(filtered_by) AS f));
        RETURN NEXT;
        RETURN;
    END IF;

    WITH ranked AS MATERIALIZED (
        SELECT k.*, row_number() OVER (ORDER BY k.score DESC, k.memory_id) AS rank, count(*) OVER () AS candidates
        FROM @extschema@._gravity_memory_ranked_memories(
                 p_user_id, p_query, p_embedding, v_list_length, v_filters, p_semantic_weight, p_lexical_weight,
                 p_neighbour_weight, p_gravity_weight, p_recency_weight, p_half_life) AS k
    )
    SELECT r.rank, a.candidates, r.score, r.semantic_score, r.lexical_score, r.neighbour_score, r.gravity_component,
           r.recency_component, a.last_score, a.last_similarity, a.last_bm25
    INTO rank, candidates, score, semantic_score, lexical_score, neighbour_score, gravity_component, recency_component,
         v_last_score, v_last_similarity, v_last_bm25
    FROM (SELECT count(*) AS candidates, min(k.score) FILTER (WHERE k.rank <= p_limit) AS last_score,
                 min(k.similarity) AS last_similarity, min(k.bm25) AS last_bm25
          FROM ranked AS k) AS a
    LEFT JOIN ranked AS r ON r.memory_id = p_memory_id;

    IF rank <= p_limit THEN
        verdict := 'answered';
        explanation := format('Ranked %s of %s candidates, within p_limit %s.', rank, candidates, p_limit);
    ELSIF rank IS NOT NULL THEN
        verdict := 'below limit';
        explanation := format('Ranked %s of %s candidates with score %s; the last one answered within p_limit %s has %s.',
                              rank, candidates, round(score::numeric, 4), p_limit,
                              COALESCE(round(v_last_score::numeric, 4)::text, 'none'));
    ELSE
        verdict := 'not listed';
        explanation := format(
            'Not among the %s best by meaning (%s) or by words (%s), and no such memory is within two turns of it in its session.',
            v_list_length,
            CASE WHEN p_embedding IS NULL THEN 'no p_embedding given' WHEN p_semantic_weight = 0 THEN 'p_semantic_weight is 0'
                 WHEN similarity IS NULL THEN 'it has no embedding, or one without direction'
                 ELSE format('similarity %s, the last listed has %s', round(similarity::numeric, 4),
                             COALESCE(round(v_last_similarity::numeric, 4)::text, 'none')) END,
            CASE WHEN p_query IS NULL THEN 'no p_query given' WHEN p_lexical_weight = 0 THEN 'p_lexical_weight is 0'
                 WHEN bm25 IS NULL THEN 'no term in common'
                 ELSE format('BM25 %s, the last listed has %s', round(bm25::numeric, 4),
                             COALESCE(round(v_last_bm25::numeric, 4)::text, 'none')) END);
    END IF;
    RETURN NEXT;
END
$gravity_memory_explain_recall$;

COMMENT ON FUNCTION @extschema@.gravity_memory_explain_recall(
    text, text, vector, integer, timestamptz, timestamptz, text, text[], text[], text, text, double precision, jsonb, double precision,
    double precision, double precision, double precision, double precision, interval, uuid) IS
    'Why a memory is or is not in the answer of recall_memories() with the same parameters.

p_memory_id: the memory, required; all others as recall_memories(). One row. verdict: answered; below limit
(p_limit others are better); not listed (neither among the best by meaning or words, nor near one that is);
filtered out (filtered_by says by what); unknown (no memory of this user, or hidden from the caller). rank among
so many candidates; score and components NULL unless it was ranked; similarity and bm25 are its own, listed or
not.
Errors: those of recall_memories(); 22004 when p_memory_id is NULL.';

-- sql/setup/_gravity_memory_mismatches_in.sql

-- _gravity_memory_mismatches_in(p_schema): why the tables of a schema cannot be adopted, one row per mismatch.
--
-- Looks at every table of the catalogue that exists in p_schema: its kind, the types of its columns, columns that cannot be added
-- to a table with rows, the unique key that foreign keys need, and columns of the arc tables that our inserts could not fill.
-- Columns that are merely missing, and columns of the application's own, are no mismatch. Returns the table; an ordinal within it;
-- the object; problem and advice, in words; remedy, the statement that mends it without losing a value, NULL where only the owner
-- can know it; and lock: what that statement locks the table with. Where values would have to be converted, the remedy renames the
-- column away, which takes a moment whatever the size; setup then adds an empty one, and the values can be copied in batches. A
-- column that setup cannot add is converted where it stands.
CREATE FUNCTION @extschema@._gravity_memory_mismatches_in(p_schema text)
RETURNS TABLE (table_name text, ordinal integer, object text, problem text, advice text, remedy text, lock text)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_mismatches_in$
    WITH existing AS (
        SELECT t.table_name, c.oid AS table_oid, c.relkind, format('%I.%I', p_schema, t.table_name) AS name,
               'ACCESS EXCLUSIVE, for a moment' AS briefly,
               format('ACCESS EXCLUSIVE while the table is rewritten (%s)',
                   pg_size_pretty(pg_total_relation_size(c.oid))) AS rewriting
        FROM @extschema@._gravity_memory_table_catalogue() AS t
        JOIN pg_class AS c ON c.oid = to_regclass(format('%I.%I', p_schema, t.table_name))
    ), wanted AS (
        SELECT e.table_name, e.table_oid, e.relkind, e.name, e.briefly, e.rewriting, w.ordinal, w.column_name, w.modifiers,
               -- The dimension of an existing embedding column is its owner's choice: types are compared without their modifier.
               regexp_replace(w.data_type, '\([0-9]+\)$', '') AS type_name, w.data_type, w.also_accepted,
               a.attnum, a.atttypid, a.atttypmod, format_type(a.atttypid, NULL) AS actual_type, a.attgenerated,
               -- Setup can add it.
               w.modifiers <> 'NOT NULL' AND w.modifiers NOT LIKE '%gen_random_uuid()%' AS is_addable
        FROM existing AS e
        JOIN @extschema@._gravity_memory_column_catalogue() AS w ON w.table_name = e.table_name
        LEFT JOIN pg_attribute AS a ON a.attrelid = e.table_oid AND a.attname = w.column_name AND NOT a.attisdropped
        WHERE e.relkind IN ('r', 'p')
    )
    SELECT m.*
    FROM (
        SELECT e.table_name, 0 AS ordinal, e.table_name AS object,
               format('%I is not a table', e.table_name) AS problem,
               'rename it away, or create the extension in another schema' AS advice,
               CASE e.relkind WHEN 'c' THEN format('ALTER TYPE %s RENAME TO %I', e.name, e.table_name || '_before')
                              ELSE format('ALTER TABLE %s RENAME TO %I', e.name, e.table_name || '_before') END AS remedy,
               e.briefly AS lock
        FROM existing AS e
        WHERE e.relkind NOT IN ('r', 'p')
        UNION ALL
        SELECT w.table_name, w.ordinal, w.table_name || '.' || w.column_name,
               format('%I.%I is %s, must be %s', w.table_name, w.column_name, w.actual_type, w.data_type),
               format('convert it, or rename it away and setup adds an empty %I, then copy the values', w.column_name),
               CASE WHEN c.is_convertible THEN
                        format('ALTER TABLE %s ALTER COLUMN %I TYPE %s', w.name, w.column_name, w.data_type)
                    WHEN w.is_addable THEN
                        format('ALTER TABLE %s RENAME COLUMN %I TO %I', w.name, w.column_name, w.column_name || '_before') END,
               CASE WHEN c.is_convertible THEN w.rewriting WHEN w.is_addable THEN w.briefly END
        FROM wanted AS w
        CROSS JOIN LATERAL (
            SELECT (w.type_name = 'text' AND NOT w.is_addable)
                OR EXISTS (SELECT FROM pg_cast AS k
                           WHERE k.castsource = w.atttypid AND k.casttarget = to_regtype(w.type_name) AND k.castcontext <> 'e')
                AS is_convertible
        ) AS c
        WHERE w.attnum IS NOT NULL
          -- format_type() leaves out the schema of a type that is visible, which under our search_path pgvector's never is.
          AND w.actual_type <> w.type_name
          AND w.actual_type <> ALL (w.also_accepted)
        UNION ALL
        SELECT w.table_name, w.ordinal, w.table_name || '.' || w.column_name,
               format('%I.%I is generated, must be an ordinary column', w.table_name, w.column_name),
               format('ALTER TABLE %I ALTER COLUMN %I DROP EXPRESSION', w.table_name, w.column_name),
               -- Only what is stored can stay when its expression goes.
               CASE WHEN w.attgenerated = 's' THEN format('ALTER TABLE %s ALTER COLUMN %I DROP EXPRESSION', w.name, w.column_name)
                    WHEN w.is_addable THEN
                        format('ALTER TABLE %s RENAME COLUMN %I TO %I', w.name, w.column_name, w.column_name || '_before') END,
               w.briefly
        FROM wanted AS w
        WHERE w.attgenerated <> ''
        UNION ALL
        SELECT w.table_name, w.ordinal, w.table_name || '.' || w.column_name,
               format('%I.%I is missing and cannot be added to a table with rows', w.table_name, w.column_name),
               format('rename the column that holds it, or add it as %s %s', w.data_type, w.modifiers),
               -- The live application's key of memory_arcs is called arc_id.
               'ALTER TABLE ' || w.name || ' RENAME COLUMN ' || quote_ident(k.attname) || ' TO ' || quote_ident(w.column_name),
               CASE WHEN k.attname IS NOT NULL THEN w.briefly END
        FROM wanted AS w
        LEFT JOIN LATERAL (
            SELECT a.attname
            FROM pg_index AS i
            JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
            WHERE i.indrelid = w.table_oid AND i.indisprimary AND i.indnkeyatts = 1
              AND w.column_name = 'id' AND format_type(a.atttypid, NULL) = w.type_name
        ) AS k ON true
        WHERE w.attnum IS NULL AND NOT w.is_addable
        UNION ALL
        SELECT w.table_name, w.ordinal, w.table_name || '.' || w.column_name,
               format('%I.%I has %s dimensions, must have from 1 to 2000, for the indexes of pgvector',
                      w.table_name, w.column_name, CASE WHEN w.atttypmod < 0 THEN 'no' ELSE 'too many' END),
               format('ALTER TABLE %I ALTER COLUMN %I TYPE %s', w.table_name, w.column_name, w.data_type),
               CASE WHEN w.atttypmod < 0 THEN format('ALTER TABLE %s ALTER COLUMN %I TYPE %s', w.name, w.column_name, w.data_type)
                    ELSE format('ALTER TABLE %s RENAME COLUMN %I TO %I', w.name, w.column_name, w.column_name || '_before') END,
               CASE WHEN w.atttypmod < 0 THEN w.rewriting ELSE w.briefly END
        FROM wanted AS w
        WHERE w.attnum IS NOT NULL AND w.column_name = 'embedding' AND w.actual_type = w.type_name
          AND (w.atttypmod < 0 OR w.atttypmod > 2000)
        UNION ALL
        SELECT e.table_name, 150, format('%s.%I', e.table_name, k.conname),
               format('the foreign key %I of %I would refuse the deletion of memories that arcs link', k.conname, e.table_name),
               'make it ON DELETE CASCADE',
               format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %I FOREIGN KEY (%s) REFERENCES %s (%s) ON DELETE CASCADE%s',
                      e.name, k.conname, k.conname, f.columns, k.confrelid::regclass, f.referenced,
                      CASE e.relkind WHEN 'p' THEN '' ELSE ' NOT VALID' END),
               'ACCESS EXCLUSIVE on both tables, for a moment; VALIDATE CONSTRAINT afterwards locks nobody out'
        FROM existing AS e
        JOIN pg_constraint AS k ON k.conrelid = e.table_oid AND k.contype = 'f' AND k.confdeltype <> 'c'
        CROSS JOIN LATERAL (
            SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY u.n) AS columns,
                   string_agg(quote_ident(b.attname), ', ' ORDER BY u.n) AS referenced
            FROM unnest(k.conkey, k.confkey) WITH ORDINALITY AS u (own, other, n)
            JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = u.own
            JOIN pg_attribute AS b ON b.attrelid = k.confrelid AND b.attnum = u.other
        ) AS f
        WHERE e.table_name = 'memory_arc_associations'
          AND k.confrelid = ANY (ARRAY(SELECT x.table_oid FROM existing AS x WHERE x.table_name IN ('gravity_map', 'memory_arcs')))
        UNION ALL
        SELECT c.table_name, 200, c.index_name,
               format('the name %I belongs to another relation, and %I needs it for an index', c.index_name, c.table_name),
               'rename that relation',
               CASE o.relkind WHEN 'c' THEN format('ALTER TYPE %I.%I RENAME TO %I', p_schema, c.index_name, c.index_name
                   || '_before')
                              WHEN 'i' THEN format('ALTER INDEX %I.%I RENAME TO %I', p_schema, c.index_name, c.index_name
                                  || '_before')
                              ELSE format('ALTER TABLE %I.%I RENAME TO %I', p_schema, c.index_name, c.index_name || '_before') END,
               CASE o.relkind WHEN 'i' THEN 'SHARE UPDATE EXCLUSIVE on the index: nobody waits'
                              ELSE 'ACCESS EXCLUSIVE on that relation, for a moment' END
        FROM @extschema@.gravity_memory_index_catalogue() AS c
        JOIN pg_class AS o ON o.oid = to_regclass(format('%I.%I', p_schema, c.index_name))
        WHERE NOT EXISTS (SELECT FROM pg_index AS i
                          WHERE i.indexrelid = o.oid AND i.indrelid = to_regclass(format('%I.%I', p_schema, c.table_name)))
        UNION ALL
        SELECT w.table_name, 100, w.table_name || '.' || w.column_name,
               format('%I has no primary key or unique constraint on (%I)', w.table_name, w.column_name),
               format('ALTER TABLE %I ADD PRIMARY KEY (%I)', w.table_name, w.column_name),
               CASE w.relkind WHEN 'p' THEN format('ALTER TABLE %s ADD UNIQUE (%I)', w.name, w.column_name)
                              ELSE format('CREATE UNIQUE INDEX CONCURRENTLY ON %s (%I)', w.name, w.column_name) END,
               CASE w.relkind WHEN 'p' THEN 'ACCESS EXCLUSIVE while the index is built'
                   ELSE 'SHARE UPDATE EXCLUSIVE: nobody waits' END
        FROM wanted AS w
        WHERE w.table_name IN ('gravity_map', 'memory_arcs') AND w.column_name = 'id' AND w.attnum IS NOT NULL
          AND NOT EXISTS (SELECT FROM pg_index AS i
                          WHERE i.indrelid = w.table_oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
                            AND i.indnkeyatts = 1 AND i.indkey[0] = w.attnum)
        UNION ALL
        SELECT e.table_name, 100 + a.attnum, format('%s.%I', e.table_name, a.attname),
               format('%I.%I is NOT NULL without a default, so arcs could not be written', e.table_name, a.attname),
               'give it a default or drop NOT NULL',
               CASE WHEN NOT EXISTS (SELECT FROM pg_index AS i
                                     WHERE i.indrelid = e.table_oid AND i.indisprimary AND a.attnum = ANY (i.indkey))
                    THEN format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL', e.name, a.attname) END,
               e.briefly
        FROM existing AS e
        JOIN pg_attribute AS a ON a.attrelid = e.table_oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE e.table_name IN ('memory_arcs', 'memory_arc_associations')
          AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND a.attgenerated = ''
          AND NOT EXISTS (SELECT FROM @extschema@._gravity_memory_column_catalogue() AS w
                          WHERE w.table_name = e.table_name AND w.column_name = a.attname)
    ) AS m (table_name, ordinal, object, problem, advice, remedy, lock)
$_gravity_memory_mismatches_in$;

COMMENT ON FUNCTION @extschema@._gravity_memory_mismatches_in(text) IS
    'Why the tables of a schema cannot be adopted: one row per mismatch, with what to do.';

-- sql/setup/_gravity_memory_adoption_mismatches.sql

-- _gravity_memory_adoption_mismatches(): why existing tables cannot be adopted, one line per mismatch, each with what to do.
--
-- Setup refuses when there is one. See _gravity_memory_mismatches_in(), which looks. Returns nothing when all fits.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_adoption_mismatches()
RETURNS SETOF text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_adoption_mismatches$
    SELECT m.problem || ': ' || m.advice
    FROM @extschema@._gravity_memory_mismatches_in(
        (SELECT n.nspname::text FROM pg_namespace AS n WHERE n.oid = '@extschema@'::regnamespace)) AS m
    ORDER BY m.table_name, m.ordinal, m.problem
$_gravity_memory_adoption_mismatches$;

COMMENT ON FUNCTION @extschema@._gravity_memory_adoption_mismatches() IS
    'Why existing tables cannot be adopted: one line per mismatch, with what to do.';

-- sql/setup/_gravity_memory_describe_columns.sql

-- _gravity_memory_describe_columns(): gives the columns of tables that setup made their comments.
--
-- A table that setup made is known by its comment, so that an adopted table keeps its owner's words, and the lack of them; and so does a
-- column that has a comment. Tables of a role that the caller is no member of are passed over: a comment is the owner's to make.
CREATE FUNCTION @extschema@._gravity_memory_describe_columns()
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_describe_columns$
DECLARE
    v_column record;
BEGIN
    FOR v_column IN
        SELECT t.table_name, w.column_name, w.purpose
        FROM @extschema@._gravity_memory_table_catalogue() AS t
        JOIN pg_class AS c ON c.oid = to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name))
        JOIN @extschema@._gravity_memory_column_catalogue() AS w ON w.table_name = t.table_name
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = w.column_name AND NOT a.attisdropped
        WHERE obj_description(c.oid, 'pg_class') = t.purpose
          AND col_description(c.oid, a.attnum) IS NULL
          AND pg_has_role(c.relowner, 'USAGE')
        ORDER BY t.table_name, w.ordinal
    LOOP
        EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', @extschema@._gravity_memory_qualified_name(v_column.table_name),
                       v_column.column_name, v_column.purpose);
    END LOOP;
END
$_gravity_memory_describe_columns$;

COMMENT ON FUNCTION @extschema@._gravity_memory_describe_columns() IS
    'Gives the columns of tables that setup made their comments.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_describe_columns() FROM PUBLIC;

-- sql/setup/gravity_memory_setup.sql

-- gravity_memory_setup(p_build_indexes): creates what is missing and adopts what is there.
--
-- Creates missing tables, with row-level security (gravity_memory_enable_rls() does that for others), adds missing columns (no row is touched: defaults are constants or now()), builds missing indexes, makes or
-- mends the triggers, hands new tables and the SECURITY DEFINER functions to the owner of gravity_map, and schedules the jobs. CREATE
-- EXTENSION calls it; call it again after restoring a dump as another role, after gravity_memory_teardown(), or when
-- something was dropped by accident.
-- p_build_indexes: true builds all missing indexes now; false builds none; NULL (default) builds them on tables up to
-- setup_index_limit and leaves the others, with a NOTICE, to gravity_memory_index_ddl(), which does not block writers. The same
-- decides whether what recall reads is derived now, NULL up to 10,000 memories, or left to gravity_memory_rebuild_recall().
-- Returns one row per thing it did, none when nothing was to do.
-- Errors: 42804 datatype_mismatch with every mismatch in the DETAIL when existing tables do not fit; nothing is changed then. 22023 for
-- an impossible gravity_memory.embedding_dimensions. Needs the privileges of the owner of the tables.
CREATE OR REPLACE FUNCTION @extschema@.gravity_memory_setup(p_build_indexes boolean DEFAULT NULL)
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
    v_must_fill boolean := false;
    v_must_break boolean := false;
    -- What others committed since the snapshot of such a transaction was taken is in the table, and not seen.
    v_sees_all boolean := current_setting('transaction_isolation') NOT IN ('repeatable read', 'serializable');
    v_foreign_triggers text;
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

    -- What setup writes there fires it with setup's privileges, and what recall reads there might not be what was derived.
    SELECT string_agg(format('%I on %s', t.tgname, t.tgrelid::regclass), ', ' ORDER BY t.tgrelid, t.tgname) INTO v_foreign_triggers
    FROM @extschema@._gravity_memory_table_catalogue() AS c
    JOIN pg_trigger AS t ON t.tgrelid = to_regclass(@extschema@._gravity_memory_qualified_name(c.table_name))
    WHERE c.is_derived AND NOT t.tgisinternal;
    IF v_foreign_triggers IS NOT NULL THEN
        RAISE EXCEPTION 'the derived tables of gravity_memory have triggers that are not its own: %', v_foreign_triggers
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Drop them, run this again, then CALL gravity_memory_rebuild_recall(p_everything => true).';
    END IF;

    -- The name of pgvector's schema, which may have changed.
    RETURN QUERY SELECT 'bind function', b FROM @extschema@._gravity_memory_bind_vector_schema() AS b;

    -- Tables.
    FOR v_object IN
        SELECT t.table_name, t.table_constraints, t.purpose, t.is_derived, t.storage,
               string_agg(format('%I %s %s', c.column_name, c.data_type, c.modifiers), ', ' ORDER BY c.ordinal) AS columns
        FROM @extschema@._gravity_memory_table_catalogue() WITH ORDINALITY AS t
        JOIN @extschema@._gravity_memory_column_catalogue() AS c ON c.table_name = t.table_name
        WHERE to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name)) IS NULL
        GROUP BY t.table_name, t.table_constraints, t.purpose, t.is_derived, t.storage, t.ordinality
        ORDER BY t.ordinality
    LOOP
        EXECUTE format('CREATE TABLE %s (%s, %s)', @extschema@._gravity_memory_qualified_name(v_object.table_name), v_object.columns,
                       array_to_string(v_object.table_constraints, ', '))
                || CASE WHEN v_object.storage <> '' THEN format(' WITH (%s)', v_object.storage) ELSE '' END;
        EXECUTE format('COMMENT ON TABLE %s IS %L', @extschema@._gravity_memory_qualified_name(v_object.table_name), v_object.purpose);
        IF v_object.table_name = 'gravity_memory_settings' THEN
            -- Before the table is released: a grant made in an extension's script counts as the extension's, and is not dumped.
            EXECUTE format('GRANT SELECT ON %s TO PUBLIC', @extschema@._gravity_memory_qualified_name(v_object.table_name));
        END IF;
        -- Only tables that setup makes: on a table that is there, it would hide rows from an application that names no user.
        PERFORM @extschema@._gravity_memory_make_policy(v_object.table_name);
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', @extschema@._gravity_memory_qualified_name(v_object.table_name));
        v_must_fill := v_must_fill OR v_object.is_derived;
        v_must_break := v_must_break OR v_object.table_name = 'memory_events';
        v_sees_all := v_sees_all OR v_object.table_name = 'gravity_map';
        action := 'create table';
        object := v_object.table_name;
        RETURN NEXT;
    END LOOP;
    IF v_must_fill THEN
        -- What is left in one derived table does not go with what another one, made anew, will be given.
        TRUNCATE @extschema@.memory_digests, @extschema@.memory_postings;
    END IF;
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
    PERFORM @extschema@._gravity_memory_describe_columns();

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
    -- An index on embedding that was made while there were too few rows to train it finds little for ever after.
    FOR v_object IN
        SELECT i.index_name FROM @extschema@._gravity_memory_vector_index_states() AS i
        WHERE i.is_there AND NOT i.is_wanted
          AND COALESCE(p_build_indexes, @extschema@._gravity_memory_table_bytes('gravity_map') <= v_limit_bytes)
        ORDER BY i.index_name
    LOOP
        EXECUTE 'DROP INDEX ' || @extschema@._gravity_memory_qualified_name(v_object.index_name);
        action := 'drop index';
        object := v_object.index_name;
        RETURN NEXT;
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
        -- What was written while it was missing has no derived rows, or wrong ones.
        v_must_fill := v_must_fill OR v_object.definition ~ '_gravity_memory_keep_derived\(\)$';
        v_must_break := v_must_break OR v_object.definition ~ '_gravity_memory_(publish_memories|publish_arcs|break_feed_on_truncate)\(\)$';
        action := CASE WHEN v_object.trigger_oid IS NULL THEN 'create trigger' ELSE 'replace trigger' END;
        object := v_object.trigger_name;
        RETURN NEXT;
    END LOOP;

    -- Derived rows of memories that are there already.
    IF v_must_fill AND (NOT v_sees_all OR EXISTS (SELECT FROM @extschema@.gravity_map) OR EXISTS (SELECT FROM @extschema@.memory_digests)) THEN
        -- Deriving costs .3 ms a memory, whatever its size, and writers wait.
        IF COALESCE(p_build_indexes,
                    @extschema@._gravity_memory_table_bytes('gravity_map') <= v_limit_bytes
                    AND (SELECT count(*) FROM (SELECT FROM @extschema@.gravity_map LIMIT 10001) AS m) <= 10000)
           AND v_sees_all AND NOT row_security_active('@extschema@.gravity_map') THEN
            PERFORM @extschema@._gravity_memory_fill_recall();
            action := 'derive rows';
            object := 'memory_digests, memory_postings';
            RETURN NEXT;
        ELSE
            PERFORM @extschema@._gravity_memory_note_recall_gaps(NULL);
            RAISE NOTICE 'gravity_memory: searches look at every memory of a user until what they read is derived.'
                USING HINT = 'Run CALL @extschema@.gravity_memory_rebuild_recall(); it works in batches and does not block writers.';
        END IF;
    END IF;

    IF v_must_break AND @extschema@._gravity_memory_records_events(@extschema@._gravity_memory_effective_settings()) THEN
        -- Nothing recorded what was written while they were missing.
        PERFORM @extschema@._gravity_memory_break_feed('events were not recorded until gravity_memory_setup() ran');
    END IF;

    RETURN QUERY SELECT h.action, h.object FROM @extschema@._gravity_memory_hand_over() AS h;
    -- As late as possible: readers wait from here on, until the transaction is over.
    FOR object IN SELECT i FROM @extschema@._gravity_memory_superseded_indexes() AS i LOOP
        EXECUTE 'DROP INDEX ' || @extschema@._gravity_memory_qualified_name(object);
        action := 'drop index';
        RETURN NEXT;
    END LOOP;
    RETURN QUERY SELECT 'schedule job', j FROM @extschema@.gravity_memory_schedule_jobs() AS j;
END
$gravity_memory_setup$;

COMMENT ON FUNCTION @extschema@.gravity_memory_setup(boolean) IS
    'Creates or adopts the tables with their indexes, triggers and jobs; idempotent; returns one row per thing it did.

p_build_indexes: true builds missing indexes, and derives what recall reads, now; false does not; NULL does on
tables of up to setup_index_limit, and derives for up to 10,000 memories; NOTICEs say what is left to do. CREATE
EXTENSION calls it. Call it again after restoring a dump as another role, after gravity_memory_teardown(), and
when something was dropped by accident.
Errors: 42804, with every mismatch in the DETAIL, when existing tables do not fit; 22023 for an impossible
gravity_memory.embedding_dimensions; 55000 when somebody''s triggers stand on a derived table. Nothing is changed
then.';

-- sql/setup/gravity_memory_teardown.sql

-- gravity_memory_teardown(): removes the triggers and the scheduled jobs, and nothing else.
--
-- Tables, rows, indexes and settings stay as they are; afterwards DROP EXTENSION needs no CASCADE. gravity_memory_setup() undoes it.
-- Returns one row per thing it removed, none when nothing was left.
CREATE OR REPLACE FUNCTION @extschema@.gravity_memory_teardown()
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
    'Removes the triggers and jobs and keeps all tables and rows; returns one row per thing it removed.

DROP EXTENSION needs no CASCADE afterwards. gravity_memory_setup() undoes it.';

-- sql/monitoring/gravity_memory_slow_queries.sql

-- gravity_memory_slow_queries(p_limit): the slowest statements that touch our tables or functions, by pg_stat_statements.
--
-- The query of the specification's section on monitoring, for this database alone, and for all our tables and functions. Returns
-- query, calls, mean_exec_time, max_exec_time and total_exec_time in milliseconds, and rows, the slowest mean first; as in the
-- view, one row per statement and role. Who is no member of pg_read_all_stats sees the statements of roles that it is a member of.
-- Errors: 22023 unless p_limit is at least 1; 55000 when pg_stat_statements is not installed in this database, not preloaded, or
-- older than 1.8, with a HINT that says what to do; 42501 where pg_stat_statements is closed to the caller.
CREATE OR REPLACE FUNCTION @extschema@.gravity_memory_slow_queries(p_limit integer DEFAULT 10)
RETURNS TABLE (query text, calls bigint, mean_exec_time double precision, max_exec_time double precision,
    total_exec_time double precision,
               rows bigint)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
AS $gravity_memory_slow_queries$
DECLARE
    v_schema CONSTANT name := (SELECT n.nspname FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
                               WHERE e.extname = 'pg_stat_statements');
    v_names text;
    v_found jsonb;
    v_detail text;
BEGIN
    IF p_limit IS NULL OR p_limit < 1 THEN
        RAISE EXCEPTION 'gravity_memory_slow_queries(): p_limit must be at least 1, not %', COALESCE(p_limit::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'It is how many statements are returned: 10 when left out.';
    END IF;
    IF v_schema IS NULL THEN
        RAISE EXCEPTION 'pg_stat_statements is not installed in database %', current_database()
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Add pg_stat_statements to shared_preload_libraries and restart the server; then, in this database, run '
                         'CREATE EXTENSION pg_stat_statements. It is one of PostgreSQL''s contrib modules.';
    END IF;

    -- Names of ours as whole words: gravity_map is no gravity_mapping.
    SELECT '\m(' || string_agg(o.name, '|') || ')\M' INTO v_names
    FROM (SELECT t.table_name AS name FROM @extschema@._gravity_memory_table_catalogue() AS t
          UNION
          SELECT p.proname::text
          FROM pg_proc AS p
          JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
          JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
          WHERE e.extname = 'gravity_memory') AS o;
    EXECUTE format(
        'SELECT jsonb_agg(to_jsonb(f)) FROM ('
        'SELECT s.query, s.calls, s.mean_exec_time, s.max_exec_time, s.total_exec_time, s.rows FROM %I.pg_stat_statements AS s'
        ' WHERE s.dbid = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()) AND s.query ~* $1'
        ' ORDER BY s.mean_exec_time DESC, s.query LIMIT $2) AS f', v_schema)
        INTO v_found USING v_names, p_limit;
    RETURN QUERY
    SELECT f.query, f.calls, f.mean_exec_time, f.max_exec_time, f.total_exec_time, f.rows
    FROM jsonb_to_recordset(v_found) AS f (query text, calls bigint, mean_exec_time double precision,
        max_exec_time double precision,
                                           total_exec_time double precision, rows bigint)
    ORDER BY f.mean_exec_time DESC, f.query;
EXCEPTION
    WHEN undefined_column OR undefined_table THEN
        GET STACKED DIAGNOSTICS v_detail = MESSAGE_TEXT;
        RAISE EXCEPTION 'pg_stat_statements is older than 1.8 in database %', current_database()
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = v_detail,
                HINT = 'Run ALTER EXTENSION pg_stat_statements UPDATE.';
    WHEN object_not_in_prerequisite_state THEN
        IF v_schema IS NULL THEN
            RAISE;
        END IF;
        GET STACKED DIAGNOSTICS v_detail = MESSAGE_TEXT;
        RAISE EXCEPTION 'pg_stat_statements is installed, and not loaded'
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = v_detail,
                  HINT = 'Add pg_stat_statements to shared_preload_libraries and restart the server.';
END
$gravity_memory_slow_queries$;

COMMENT ON FUNCTION @extschema@.gravity_memory_slow_queries(integer) IS
    'The slowest statements that touch the tables or functions of gravity_memory, by pg_stat_statements.

Of this database, slowest mean first, p_limit of them, at least 1; times in milliseconds. Who is no member of
pg_read_all_stats sees the statements of its own roles.
Errors: 22023 for a bad limit; 55000 where pg_stat_statements is not installed, not loaded or older than 1.8;
42501 where it is closed to the caller.';

-- sql/monitoring/gravity_memory_index_usage.sql

-- gravity_memory_index_usage(): how much each index of our tables is used, what it is for and what it takes.
--
-- Returns one row per index, those of the application's own included, most used first: table and index, scans, the time of the last
-- one (NULL on PostgreSQL 15, which does not keep it), index entries read and rows fetched by them, size in bytes;
-- never_used_since, when there was no scan: since when that is known, which is when the counters of this database or of the server
-- were last reset or lost in a crash, or when the index was made, if that is later; whether it is in
-- gravity_memory_index_catalogue() and in the specification; serves: the catalogue's query, or the constraint that the index keeps,
-- which needs it whatever its scans; and whether it is valid. An index of a partitioned table is one row, the sum of its
-- partitions'. Counters are of this server: a replica counts its own. Errors: 55000 when none of our tables is there.
CREATE OR REPLACE FUNCTION @extschema@.gravity_memory_index_usage()
RETURNS TABLE (table_name text, index_name text, scans bigint, last_scan timestamptz, tuples_read bigint, tuples_fetched bigint,
               size_bytes bigint, never_used_since timestamptz, in_catalogue boolean, in_spec boolean, serves text,
                   is_valid boolean)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $gravity_memory_index_usage$
DECLARE
    v_counting_since timestamptz;
BEGIN
    IF NOT EXISTS (SELECT FROM @extschema@._gravity_memory_table_catalogue() AS t
                   WHERE to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name)) IS NOT NULL) THEN
        RAISE EXCEPTION 'the tables of gravity_memory do not exist'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Run SELECT * FROM @extschema@.gravity_memory_setup() first.';
    END IF;
    -- A database whose counters were never reset says NULL; what the whole server counts began no later than they did.
    v_counting_since := GREATEST(
        (SELECT d.stats_reset FROM pg_stat_database AS d WHERE d.datname = current_database()),
        (SELECT LEAST(b.stats_reset, w.stats_reset, a.stats_reset) FROM pg_stat_bgwriter AS b, pg_stat_wal AS w,
            pg_stat_archiver AS a));

    RETURN QUERY
    SELECT t.relname::text, k.relname::text, u.scans, u.last_scan, u.tuples_read, u.tuples_fetched, u.size_bytes,
           CASE WHEN u.scans = 0 THEN v_counting_since END,
           c.index_name IS NOT NULL, COALESCE(c.in_spec, false), COALESCE(c.serves, pg_get_constraintdef(q.oid)), i.indisvalid
    FROM @extschema@._gravity_memory_table_catalogue() AS o
    CROSS JOIN LATERAL (SELECT to_regclass(@extschema@._gravity_memory_qualified_name(o.table_name)) AS oid) AS n
    JOIN pg_class AS t ON t.oid = n.oid OR t.oid IN (SELECT p.relid FROM pg_partition_tree(n.oid) AS p)
    JOIN pg_index AS i ON i.indrelid = t.oid
    JOIN pg_class AS k ON k.oid = i.indexrelid AND NOT k.relispartition
    CROSS JOIN LATERAL (
        -- to_jsonb(): last_idx_scan is not in PostgreSQL 15, and naming it would be an error there.
        SELECT COALESCE(sum(s.idx_scan), 0)::bigint AS scans, max((to_jsonb(s) ->> 'last_idx_scan')::timestamptz) AS last_scan,
               COALESCE(sum(s.idx_tup_read), 0)::bigint AS tuples_read, COALESCE(sum(s.idx_tup_fetch), 0)::bigint AS tuples_fetched,
               COALESCE(sum(pg_relation_size(s.indexrelid)), 0)::bigint AS size_bytes
        FROM pg_stat_all_indexes AS s
        WHERE s.indexrelid = k.oid OR s.indexrelid IN (SELECT p.relid FROM pg_partition_tree(k.oid) AS p)
    ) AS u
    LEFT JOIN @extschema@.gravity_memory_index_catalogue() AS c ON c.index_name = k.relname AND c.table_name = t.relname
    LEFT JOIN pg_constraint AS q ON q.conindid = k.oid AND q.contype IN ('p', 'u', 'x')
    ORDER BY u.scans DESC, t.relname, k.relname;
END
$gravity_memory_index_usage$;

COMMENT ON FUNCTION @extschema@.gravity_memory_index_usage() IS
    'How much each index of the tables of gravity_memory is used, since when never, what it serves and how large it is.

One row per index, the application''s own included, most used first. scans, last_scan (NULL on PostgreSQL 15),
tuples_read and tuples_fetched are this server''s counters: a replica has its own. size_bytes with partitions.
never_used_since: where there was no scan, since when that is known. serves: the catalogue''s query, or the
constraint that needs the index whatever its scans.
Errors: 55000 when none of the tables is there.';

-- sql/monitoring/gravity_memory_stats.sql

-- gravity_memory_stats(p_user_id): how many memories there are, of what kind, how fast they grow, and how full cache and queue are.
--
-- For one user, or for everybody with NULL (the default). Returns rows (category, name, value):
--   total      memories, with embedding, identity anchors, users (of everybody only), arcs, arc members, sessions, patterns
--   growth     memories created within the last day, 7 days, 30 days
--   tag, emotion, temporal_type   memories by each value, a memory under each of its tags; name is NULL for those that have none
--   arc_stage  arcs by stage
--   cache      entries; expired, which are older than cache_retention; hits, the sum of accessed_count
--   derived    digests, postings, gaps (users of whom recall reads all memories), gaps of everyone (1 while that is noted of all)
--   feed       events that memory_events holds
--   notifications   queue usage and queue limit, shares from 0 to 1; the same for every user
--   not counted     a table that is missing or that the caller may not read; value is NULL
-- Runs with the caller's rights, and counts what the caller may SELECT: under row security, the caller's own rows. For everybody it
-- reads gravity_map once from end to end, an index on user_id once, and the smaller tables, memory_digests and memory_events once each, with
-- parallel workers where the server has them: some seconds for millions of memories. For one user it reads that user's rows.
-- Errors: 55000 when gravity_map does not exist.
CREATE OR REPLACE FUNCTION @extschema@.gravity_memory_stats(p_user_id text DEFAULT NULL)
RETURNS TABLE (category text, name text, value numeric)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $gravity_memory_stats$
DECLARE
    v_table_name text;
    v_is_table boolean;
BEGIN
    IF to_regclass(@extschema@._gravity_memory_qualified_name('gravity_map')) IS NULL THEN
        RAISE EXCEPTION 'the table gravity_map does not exist'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Run SELECT * FROM @extschema@.gravity_memory_setup() first.';
    END IF;
    FOREACH v_table_name IN ARRAY ARRAY['gravity_map', 'memory_arcs', 'memory_arc_associations', 'consciousness_cache',
                                        'active_sessions', 'pattern_matrix', 'memory_digests', 'memory_events', 'memory_recall_gaps'] LOOP
        -- Not a view, whose code would run with the caller's rights.
        SELECT bool_and(c.relkind IN ('r', 'p')) INTO v_is_table
        FROM pg_class AS c
        WHERE c.oid = to_regclass(@extschema@._gravity_memory_qualified_name(v_table_name))
           -- Whose a link is, is read from its arc.
           OR (v_table_name = 'memory_arc_associations'
               AND c.oid = to_regclass(@extschema@._gravity_memory_qualified_name('memory_arcs')));
        IF v_is_table IS NOT TRUE THEN
            RETURN QUERY SELECT 'not counted', v_table_name, NULL::numeric;
            CONTINUE;
        END IF;
        BEGIN
            RETURN QUERY SELECT c.category, c.name, c.value
                         FROM @extschema@._gravity_memory_table_counts(v_table_name, p_user_id) AS c;
        EXCEPTION WHEN insufficient_privilege OR undefined_table OR undefined_column THEN
            RETURN QUERY SELECT 'not counted', v_table_name, NULL::numeric;
        END;
    END LOOP;
    RETURN QUERY
    SELECT 'notifications', v.name, v.value
    FROM (VALUES ('queue usage', pg_notification_queue_usage()::numeric),
                 ('queue limit', (@extschema@._gravity_memory_effective_settings() ->> 'notify_queue_limit')::numeric)) AS v (name, value);
END
$gravity_memory_stats$;

COMMENT ON FUNCTION @extschema@.gravity_memory_stats(text) IS
    'Counts of memories, arcs, cache and derived rows, of one user or of everybody, as far as the caller may read them.

p_user_id NULL: everybody. Categories: total; growth (memories of the last day, 7 and 30 days); tag, emotion,
temporal_type (memories by value; name is NULL for those without); arc_stage; cache (entries, expired, hits);
derived (digests, postings, gaps: users of whom recall reads all memories, gaps of everyone); feed (events);
notifications (queue usage and limit, shares from 0 to 1); not counted (a table that is missing or closed to the
caller). For everybody it reads gravity_map once from end to end.
Errors: 55000 when gravity_map does not exist.';

-- sql/monitoring/_gravity_memory_owner_findings.sql

-- _gravity_memory_owner_findings(): who owns what, where that keeps our functions from working, for gravity_memory_check().
--
-- The SECURITY DEFINER functions write the arcs and what is derived: they should belong to the owner of gravity_map, which setup
-- sees to, and need the privileges. Adopted tables keep the owner they had; whoever owns the extension must be able to alter them.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_owner_findings()
RETURNS TABLE (severity text, finding text, object text, problem text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_owner_findings$
DECLARE
    v_owner CONSTANT oid := (SELECT c.relowner FROM pg_class AS c
                             WHERE c.oid = to_regclass(@extschema@._gravity_memory_qualified_name('gravity_map')));
    v_written CONSTANT text[] := ARRAY['memory_arcs', 'memory_arc_associations', 'memory_arc_locks',
                                       'memory_digests', 'memory_postings', 'memory_recall_gaps'];
BEGIN
    IF v_owner IS NULL THEN
        RETURN;
    END IF;

    RETURN QUERY
    SELECT 'warning', 'function_owner', f.signature,
           format('It runs with the rights of %I and writes tables of %I, the owner of gravity_map: arcs and derived rows are kept only '
                  'while nobody else''s code is attached to those tables, and searches read all memories.',
                  pg_get_userbyid(f.proowner), pg_get_userbyid(v_owner)),
           'SELECT * FROM ' || @extschema@._gravity_memory_qualified_name('gravity_memory_setup') || '()'
    FROM (SELECT p.oid::regprocedure::text AS signature, p.proowner
          FROM pg_proc AS p
          JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
          JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
          WHERE e.extname = 'gravity_memory' AND p.prosecdef AND p.proowner <> v_owner) AS f;

    RETURN QUERY
    SELECT 'warning', 'table_owner', t.table_name,
           format('%I belongs to %I, and gravity_map to %I, with whose rights our functions use both.', t.table_name,
                  pg_get_userbyid(c.relowner), pg_get_userbyid(v_owner)),
           format('ALTER TABLE %s OWNER TO %I', n.name, pg_get_userbyid(v_owner))
    FROM unnest(v_written || 'gravity_memory_settings'::text) AS t (table_name)
    CROSS JOIN LATERAL (SELECT @extschema@._gravity_memory_qualified_name(t.table_name) AS name) AS n
    JOIN pg_class AS c ON c.oid = to_regclass(n.name)
    WHERE c.relowner <> v_owner;

    RETURN QUERY
    SELECT 'error', 'missing_privilege', t.table_name,
           format('%I, with whose rights arcs and derived rows are written, lacks %s on %I.', pg_get_userbyid(v_owner),
                  string_agg(p.privilege, ', ' ORDER BY p.ordinality), t.table_name),
           format('GRANT %s ON %s TO %I', string_agg(p.privilege, ', ' ORDER BY p.ordinality), n.name, pg_get_userbyid(v_owner))
    FROM (SELECT w.name AS table_name, '{SELECT,INSERT,UPDATE,DELETE}'::text[] AS privileges FROM unnest(v_written) AS w (name)
          UNION ALL
          SELECT 'gravity_map', '{SELECT}'
          UNION ALL
          SELECT 'gravity_memory_settings', '{SELECT}') AS t
    CROSS JOIN LATERAL (SELECT @extschema@._gravity_memory_qualified_name(t.table_name) AS name) AS n
    CROSS JOIN LATERAL unnest(t.privileges) WITH ORDINALITY AS p (privilege, ordinality)
    WHERE to_regclass(n.name) IS NOT NULL AND NOT has_table_privilege(v_owner, to_regclass(n.name), p.privilege)
    GROUP BY t.table_name, n.name;

    RETURN QUERY
    SELECT 'error', 'forced_row_security', t.table_name,
           format('Row security is forced on the owner of %I: what the triggers keep there can be neither written nor read.',
                  t.table_name),
           format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', n.name)
    FROM @extschema@._gravity_memory_table_catalogue() AS t
    CROSS JOIN LATERAL (SELECT @extschema@._gravity_memory_qualified_name(t.table_name) AS name) AS n
    JOIN pg_class AS c ON c.oid = to_regclass(n.name)
    JOIN pg_roles AS r ON r.oid = v_owner
    WHERE (t.is_closed OR t.table_name IN ('gravity_map', 'memory_arcs', 'memory_arc_associations', 'memory_arc_locks')) AND c.relrowsecurity AND c.relforcerowsecurity AND NOT r.rolsuper AND NOT r.rolbypassrls;

    RETURN QUERY
    SELECT 'warning', 'extension_owner', 'gravity_memory',
           format('The extension belongs to %I, who may not alter the tables of %I: its setup and its updates will fail.',
                  pg_get_userbyid(e.extowner), pg_get_userbyid(v_owner)),
           format('GRANT %I TO %I', pg_get_userbyid(v_owner), pg_get_userbyid(e.extowner))
    FROM pg_extension AS e
    WHERE e.extname = 'gravity_memory' AND NOT pg_has_role(e.extowner, v_owner, 'USAGE');
END
$_gravity_memory_owner_findings$;

COMMENT ON FUNCTION @extschema@._gravity_memory_owner_findings() IS
    'Findings of gravity_memory_check() about owners and privileges.';

-- sql/monitoring/_gravity_memory_job_findings.sql

-- _gravity_memory_job_findings(): jobs of pg_cron that are missing, switched off or failing, for gravity_memory_check().
--
-- Nothing where pg_cron is not in this database: another scheduler may run the jobs. A job counts by the function it calls, whatever
-- its name. It fails when its latest run did; of train-vector-index-step, whose command changes, the runs are looked at that are not
-- older than a day. pg_cron shows a role its own jobs only: whoever sees none of ours, and may not see all, gets an error, which
-- gravity_memory_check() reports as not checked. Errors: 42501 for a role that may not read the jobs.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_job_findings()
RETURNS TABLE (severity text, finding text, object text, problem text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_job_findings$
DECLARE
    v_schedule CONSTANT text := 'SELECT ' || @extschema@._gravity_memory_qualified_name('gravity_memory_schedule_jobs') || '()';
    v_wanted record;
    v_job record;
    v_run record;
    v_is_hidden boolean;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension AS e WHERE e.extname = 'pg_cron') THEN
        RETURN;
    END IF;
    FOR v_wanted IN SELECT c.* FROM @extschema@._gravity_memory_job_catalogue() AS c LOOP
        EXECUTE 'SELECT j.jobid, j.jobname, j.schedule, j.active FROM cron.job AS j'
                ' WHERE @extschema@._gravity_memory_is_same_job(j.command, $1) AND j.database = current_database()'
                ' ORDER BY j.active DESC, j.command = $1 DESC, j.jobid DESC LIMIT 1'
            INTO v_job USING v_wanted.command;
        IF v_job.jobid IS NULL THEN
            EXECUTE 'SELECT row_security_active(''cron.job'')' INTO v_is_hidden;
            IF v_is_hidden THEN
                RAISE EXCEPTION 'the jobs of other roles are hidden from %, and % is not among its own', current_user,
                    v_wanted.job_name
                    USING ERRCODE = 'insufficient_privilege', HINT = 'Check as the role that owns the jobs, or as a superuser.';
            END IF;
            EXECUTE 'SELECT EXISTS (SELECT FROM cron.job AS j WHERE j.jobname = $1 AND j.username = current_user)'
                INTO v_is_hidden USING v_wanted.job_name;
            RETURN QUERY SELECT 'error', 'missing_job', v_wanted.job_name, format('No job of pg_cron runs %s.', v_wanted.command),
                CASE WHEN v_is_hidden  -- by another job of that name
                     THEN format('SELECT cron.schedule(%L, %L, %L)', 'gravity_memory ' || v_wanted.job_name, v_wanted.schedule,
                         v_wanted.command)
                     ELSE v_schedule END;
            CONTINUE;
        END IF;
        IF NOT v_job.active THEN
            RETURN QUERY SELECT 'notice', 'inactive_job', v_job.jobname::text, 'The job is switched off.',
                                format('SELECT cron.alter_job(%s, active := true)', v_job.jobid);
        END IF;
        IF v_job.schedule <> v_wanted.schedule THEN
            RETURN QUERY SELECT 'warning', 'changed_job', v_job.jobname::text,
                                format('The job runs at %s, the settings say %s.', v_job.schedule, v_wanted.schedule),
                                format('SELECT cron.alter_job(%s, schedule := %L)', v_job.jobid, v_wanted.schedule);
        END IF;
        EXECUTE 'SELECT d.status, d.return_message, d.start_time FROM cron.job_run_details AS d'
                ' WHERE d.jobid = $1 AND d.status IN (''succeeded'', ''failed'') ORDER BY d.runid DESC LIMIT 1'
            INTO v_run USING v_job.jobid;
        IF v_run.status = 'failed' THEN
            RETURN QUERY SELECT 'error', 'failing_job', v_job.jobname::text,
                                format('Its latest run, at %s, failed: %s', v_run.start_time, btrim(v_run.return_message, E' \n')),
                                v_wanted.command;
        END IF;
    END LOOP;

    RETURN QUERY EXECUTE
        'SELECT ''error'', ''failing_job'', ''train-vector-index-step'','
        '       format(''Its run at %s failed: %s'', r.start_time, btrim(r.return_message, E'' \n'')), r.command'
        ' FROM (SELECT d.* FROM cron.job_run_details AS d'
        '       WHERE d.database = current_database() AND d.command ~ ''INDEX.* \S*idx_gravity_map_embedding_'''
        '         AND d.start_time > now() - interval ''1 day'' AND d.status IN (''succeeded'', ''failed'')'
        '       ORDER BY d.runid DESC LIMIT 1) AS r'
        ' WHERE r.status = ''failed''';
END
$_gravity_memory_job_findings$;

COMMENT ON FUNCTION @extschema@._gravity_memory_job_findings() IS
    'Findings of gravity_memory_check() about the jobs of pg_cron.';

-- sql/monitoring/gravity_memory_check.sql

-- gravity_memory_check(): what is wrong with this installation, and the statement that mends it; no row when all is well.
--
-- Returns one row per finding, errors first: severity (error: something does not work; warning: it works slowly, or will fail;
-- notice: to be known), finding (a short name, the same in every version; docs/operations.md explains each), object, problem (in
-- words) and remedy: one statement that runs as it stands, outside a transaction block, NULL where none can be given. Some findings
-- take several statements: check again after the one returned. Reads the catalogues, the statistics, the settings, and samples of
-- gravity_map and memory_digests, so that it takes some tenths of a second, whatever the number of memories. Runs with the caller's
-- rights: what the caller may not look at is a notice, not_checked, and never an error.
CREATE OR REPLACE FUNCTION @extschema@.gravity_memory_check()
RETURNS TABLE (severity text, finding text, object text, problem text, remedy text)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $gravity_memory_check$
    SELECT f.severity, f.finding, f.object, f.problem, f.remedy
    FROM unnest(ARRAY['table', 'owner', 'trigger', 'index', 'vector_index', 'job', 'derived', 'statistics', 'setting',
        'server']) AS u (family)
    CROSS JOIN LATERAL @extschema@._gravity_memory_findings(u.family) AS f
    ORDER BY array_position('{error,warning,notice}', f.severity), f.finding, f.object, f.problem
$gravity_memory_check$;

COMMENT ON FUNCTION @extschema@.gravity_memory_check() IS
    'What is wrong with this installation of gravity_memory, with the statement that mends it; no row when all is well.

severity: error (something does not work), warning (it works slowly, or will fail) or notice (to be known),
errors first. finding: a short name, the same in every version. remedy: one statement that runs as it stands,
outside a transaction block, or NULL; look again after it. Takes tenths of a second. Runs with the caller''s
rights; what the caller may not look at is a notice, not_checked: the owner of gravity_map sees most, a
superuser all.';

-- sql/erasure/_gravity_memory_erasure_catalogue.sql

-- _gravity_memory_erasure_catalogue(): by table, which rows tell about a user: a condition on $1, the user's id.
--
-- In an order in which they can be deleted without work for nothing: links before arcs, both before memories, whose triggers would
-- otherwise
-- settle arcs that are about to go; postings before the digests that lead to them; what triggers write, last. Tables with an
-- export_order are
-- exported, in an order in which they can be imported, rows by row_order; the others hold nothing that does not follow from these.
-- Events are not imported: they tell what happened on the server that wrote them. Rows of memory_events with the event feed_broken,
-- and the note of memory_recall_gaps for everybody, are nobody's.
CREATE FUNCTION @extschema@._gravity_memory_erasure_catalogue()
RETURNS TABLE (table_name text, condition text, export_order integer, row_order text)
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_erasure_catalogue$
VALUES
    ('memory_arc_associations',
     '(memory_id, arc_id) IN (SELECT l.memory_id, l.arc_id FROM @extschema@.memory_arc_associations AS l '
     'JOIN @extschema@.gravity_map AS m ON m.id = l.memory_id WHERE m.user_id = $1 '
     'UNION SELECT l.memory_id, l.arc_id FROM @extschema@.memory_arc_associations AS l '
     'JOIN @extschema@.memory_arcs AS a ON a.id = l.arc_id WHERE a.user_id = $1 '
     'UNION SELECT l.memory_id, l.arc_id FROM @extschema@.memory_arc_associations AS l WHERE l.user_id = $1)', 3, 'memory_id, arc_id'),
    ('memory_arcs', 'user_id = $1', 2, 'created_at, id'),
    ('memory_postings',
     '(term_key, memory_id) IN (SELECT k.term_key, d.memory_id FROM @extschema@.memory_digests AS d '
     'CROSS JOIN LATERAL unnest(d.term_keys) AS k (term_key) WHERE d.user_id = $1)', NULL, NULL),
    ('memory_digests', 'user_id = $1', NULL, NULL),
    ('gravity_map', 'user_id = $1', 1, 'created_at, id'),
    ('consciousness_cache', 'user_id = $1', 4, 'created_at, id'),
    ('active_sessions', 'user_id = $1', 5, 'session_id'),
    ('pattern_matrix', 'user_id = $1', 6, 'created_at, id'),
    ('memory_recall_gaps', 'user_id = $1 AND NOT is_every_user', NULL, NULL),
    ('memory_arc_locks', 'user_id = $1', NULL, NULL),
    ('memory_events', 'user_id = $1 AND event <> ''feed_broken''', 7, 'event_id')
$_gravity_memory_erasure_catalogue$;

COMMENT ON FUNCTION @extschema@._gravity_memory_erasure_catalogue() IS
    'By table, which rows tell about a user, and in which order they are exported.';

-- sql/erasure/_gravity_memory_check_erasure.sql

-- _gravity_memory_check_erasure(p_function, p_user_id): refuses what could only be done in part.
--
-- Errors: 22004 for p_user_id NULL; 55000 when a table is missing; 42501 where row security hides rows from the caller.
CREATE FUNCTION @extschema@._gravity_memory_check_erasure(p_function text, p_user_id text)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_check_erasure$
DECLARE
    v_table_name text;
BEGIN
    IF p_user_id IS NULL THEN
        RAISE EXCEPTION '%(): p_user_id must not be NULL', p_function
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Name the user.';
    END IF;
    FOR v_table_name IN SELECT c.table_name FROM @extschema@._gravity_memory_erasure_catalogue() AS c LOOP
        IF to_regclass(@extschema@._gravity_memory_qualified_name(v_table_name)) IS NULL THEN
            RAISE EXCEPTION 'the table % does not exist', v_table_name
                USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Run SELECT * FROM gravity_memory_setup() first.';
        END IF;
        IF row_security_active(@extschema@._gravity_memory_qualified_name(v_table_name)) THEN
            RAISE EXCEPTION 'row security hides rows of % from %', v_table_name, current_user
                USING ERRCODE = 'insufficient_privilege',
                      HINT = 'Run it as the owner of the tables, or as a role with BYPASSRLS; nothing was changed.';
        END IF;
    END LOOP;
END
$_gravity_memory_check_erasure$;

COMMENT ON FUNCTION @extschema@._gravity_memory_check_erasure(text, text) IS
    'Refuses to erase or export a user where that could only be done in part.';

-- sql/erasure/_gravity_memory_count_of_user.sql

-- _gravity_memory_count_of_user(p_table_name, p_condition, p_user_id): how many rows of a table tell about a user.
CREATE FUNCTION @extschema@._gravity_memory_count_of_user(p_table_name text, p_condition text, p_user_id text)
RETURNS bigint
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_count_of_user$
DECLARE
    v_count bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM %s WHERE %s', @extschema@._gravity_memory_qualified_name(p_table_name), p_condition)
    INTO v_count USING p_user_id;
    RETURN v_count;
END
$_gravity_memory_count_of_user$;

COMMENT ON FUNCTION @extschema@._gravity_memory_count_of_user(text, text, text) IS
    'How many rows of a table a condition of the erasure catalogue finds for a user.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_count_of_user(text, text, text) FROM PUBLIC;

-- sql/erasure/gravity_memory_forget_user.sql

-- gravity_memory_forget_user(p_user_id): removes every trace of a user from the tables of gravity_memory, in the caller's transaction.
--
-- Memories, links, arcs, cache, sessions, patterns, what recall reads, events (those that the deletion itself writes, too), locks
-- and notes.
-- Returns the receipt: one row per table with the number of rows that it held, 0 included. gravity_memory_verify_forgotten() proves it.
-- Links of the user's memories to another user's arc go too, and that arc's totals follow; one that is left without members keeps its last
-- gravity_center. Totals that wait for the commit are settled here, and deferred again for the rest of the transaction.
-- What somebody writes for the user meanwhile stays: stop the user's writers first. Out of its reach: tables of the application without a
-- foreign key that cascades, backups, WAL until it is recycled, the server's log, dead rows until VACUUM, texts of queries in
-- pg_stat_statements,
-- messages of Supabase's realtime, and settings (identity_entities may hold a name).
-- Errors: 22004 for NULL; 55000 when a table is missing; 42501 for whoever may not delete all of it; 23503 when a table of the
-- application still
-- refers to a memory. Nothing is removed then.
-- Reads memory_postings from end to end when rows of the user may be in it that no digest leads to (memory_recall_gaps notes the user).
CREATE FUNCTION @extschema@.gravity_memory_forget_user(p_user_id text)
RETURNS TABLE (table_name text, removed bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_forget_user$
DECLARE
    v_rows record;
    v_memory_ids uuid[];
    v_held bigint[];
    v_deleted bigint;
    v_stray bigint;
BEGIN
    PERFORM @extschema@._gravity_memory_check_erasure('gravity_memory_forget_user', p_user_id);
    -- One at a time, so that the second receipt says that nothing was left.
    PERFORM pg_advisory_xact_lock(hashtextextended('gravity_memory_forget_user ' || p_user_id, 0));
    IF EXISTS (SELECT FROM @extschema@.memory_recall_gaps AS g WHERE g.user_id = p_user_id OR g.is_every_user)
       -- Set operations never become nested loops, whatever the statistics say.
       OR EXISTS (SELECT m.id FROM @extschema@.gravity_map AS m WHERE m.user_id = p_user_id
                  EXCEPT
                  SELECT d.memory_id FROM @extschema@.memory_digests AS d WHERE d.user_id = p_user_id) THEN
        v_memory_ids := ARRAY(SELECT m.id FROM @extschema@.gravity_map AS m WHERE m.user_id = p_user_id
                              UNION SELECT d.memory_id FROM @extschema@.memory_digests AS d WHERE d.user_id = p_user_id);
    END IF;

    -- Before anything is deleted: triggers dissolve arcs that lose their members, and write events.
    SELECT array_agg(v.remaining) INTO v_held
    FROM (SELECT c.ordinality, x.remaining
          FROM @extschema@._gravity_memory_erasure_catalogue() WITH ORDINALITY AS c
          CROSS JOIN LATERAL (SELECT @extschema@._gravity_memory_count_of_user(c.table_name, c.condition, p_user_id) AS remaining) AS x
          ORDER BY c.ordinality) AS v;

    FOR v_rows IN
        SELECT c.table_name, c.condition, v_held[c.ordinality] AS held
        FROM @extschema@._gravity_memory_erasure_catalogue() WITH ORDINALITY AS c ORDER BY c.ordinality
    LOOP
        IF v_rows.table_name = 'memory_arc_locks'
           AND EXISTS (SELECT FROM pg_trigger AS t
                       WHERE t.tgrelid = '@extschema@.memory_arc_locks'::regclass AND t.tgname = 'trigger_arc_totals_at_commit') THEN
            -- What triggers put off to the commit writes locks and events: it is done now, and put off again for the rest of the
            -- transaction.
            SET CONSTRAINTS @extschema@.trigger_arc_totals_at_commit IMMEDIATE;
            SET CONSTRAINTS @extschema@.trigger_arc_totals_at_commit DEFERRED;
        END IF;
        EXECUTE format('DELETE FROM %s WHERE %s', @extschema@._gravity_memory_qualified_name(v_rows.table_name), v_rows.condition)
        USING p_user_id;
        GET DIAGNOSTICS v_deleted = ROW_COUNT;
        table_name := v_rows.table_name;
        -- What others committed since it was counted is gone as well; locks and events are also written by the deletion itself.
        removed := CASE WHEN v_rows.table_name IN ('memory_arc_locks', 'memory_events') THEN v_rows.held
                        ELSE GREATEST(v_rows.held, v_deleted) END;
        IF v_rows.table_name = 'memory_postings' AND v_memory_ids <> '{}' THEN
            DELETE FROM @extschema@.memory_postings AS p WHERE p.memory_id = ANY (v_memory_ids);
            GET DIAGNOSTICS v_stray = ROW_COUNT;
            removed := removed + v_stray;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$gravity_memory_forget_user$;

COMMENT ON FUNCTION @extschema@.gravity_memory_forget_user(text) IS
    'Removes every trace of a user from the tables of gravity_memory; returns one row per table with the number of rows removed.

In the caller''s transaction. What somebody writes for the user meanwhile stays: stop the user''s writers first.
Out of its reach are other tables of the application, backups, WAL, the server''s log, dead rows until VACUUM,
and settings.
Errors: 22004 for NULL; 55000 when a table is missing; 42501 for who may not delete all of it; 23503 when a
table of the application still refers to a memory. Nothing is removed then.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_forget_user(text) FROM PUBLIC;

-- sql/erasure/gravity_memory_verify_forgotten.sql

-- gravity_memory_verify_forgotten(p_user_id): what the tables of gravity_memory still hold of a user.
--
-- Returns one row per table with the number of rows left, 0 included: all are 0 when nothing is left. Postings hold no user, only a
-- hash of user
-- and word: of those, all that belong to no memory at all are counted, whoever's they were; CALL
-- gravity_memory_rebuild_recall(p_everything => true)
-- removes them. Looks at the tables anew, and trusts no count that gravity_memory_forget_user() made.
-- Reads memory_postings from end to end, some seconds for millions of memories.
-- Errors: 22004 for NULL; 55000 when a table is missing; 42501 for whoever may not see all of it.
CREATE FUNCTION @extschema@.gravity_memory_verify_forgotten(p_user_id text)
RETURNS TABLE (table_name text, remaining bigint)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_verify_forgotten$
DECLARE
    v_rows record;
BEGIN
    PERFORM @extschema@._gravity_memory_check_erasure('gravity_memory_verify_forgotten', p_user_id);
    FOR v_rows IN
        SELECT c.table_name, c.condition FROM @extschema@._gravity_memory_erasure_catalogue() WITH ORDINALITY AS c ORDER BY c.ordinality
    LOOP
        table_name := v_rows.table_name;
        remaining := @extschema@._gravity_memory_count_of_user(
            v_rows.table_name,
            CASE v_rows.table_name
                WHEN 'memory_postings' THEN
                    v_rows.condition || ' OR NOT EXISTS (SELECT FROM @extschema@.gravity_map AS m WHERE m.id = memory_id)'
                ELSE v_rows.condition
            END, p_user_id);
        RETURN NEXT;
    END LOOP;
END
$gravity_memory_verify_forgotten$;

COMMENT ON FUNCTION @extschema@.gravity_memory_verify_forgotten(text) IS
    'What the tables of gravity_memory still hold of a user: one row per table; all counts are 0 when nothing is left.

Of memory_postings it counts rows that belong to no memory at all, whoever''s they were. Reads that table from
end to end.
Errors: 22004 for NULL; 55000 when a table is missing; 42501 for who may not see all of it.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_verify_forgotten(text) FROM PUBLIC;

-- sql/erasure/gravity_memory_export_user.sql

-- gravity_memory_export_user(p_user_id): everything that the tables of gravity_memory hold of a user, as JSON lines.
--
-- The first line says what this is: {"gravity_memory": version, "format": 1, "user_id", "exported_at"}. Each other one is a row,
-- {"table", "row"},
-- with every column, the application's own included: memories, arcs, links, cache, sessions, patterns, events. Embeddings are written as
-- pgvector prints them, numbers in full, times in UTC. "json_nulls" names columns that hold the JSON value null, which "row" cannot tell
-- from NULL. Types that are not PostgreSQL's own are written as text. What does not come back: the bounds of arrays that do not begin at 1, JSON null
-- inside of jsonb[], and money where lc_monetary differs. What recall reads is left out: it follows from the memories. A link is exported when memory and arc are both the user's.
-- One statement, one snapshot. gravity_memory_import_user() makes the same rows elsewhere.
-- Errors: 22004 for NULL; 55000 when a table is missing; 42501 for whoever may not see all of it.
CREATE FUNCTION @extschema@.gravity_memory_export_user(p_user_id text)
RETURNS SETOF text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET extra_float_digits = 1
SET timezone = 'UTC'
SET datestyle = 'ISO, YMD'
SET intervalstyle = 'postgres'
AS $gravity_memory_export_user$
DECLARE
    v_table record;
BEGIN
    PERFORM @extschema@._gravity_memory_check_erasure('gravity_memory_export_user', p_user_id);
    RETURN QUERY
    SELECT json_build_object(
        'gravity_memory', (SELECT e.extversion FROM pg_extension AS e WHERE e.extname = 'gravity_memory'),
        'format', 1, 'user_id', p_user_id, 'exported_at', now())::text;
    FOR v_table IN
        SELECT c.table_name, c.row_order, r.relation,
               CASE c.table_name
                   WHEN 'memory_arc_associations' THEN
                       'EXISTS (SELECT FROM @extschema@.gravity_map AS m WHERE m.id = t.memory_id AND m.user_id = $1) '
                       'AND EXISTS (SELECT FROM @extschema@.memory_arcs AS a WHERE a.id = t.arc_id AND a.user_id = $1)'
                   ELSE c.condition
               END AS condition,
               -- A type of an extension may have its own cast to json, which nothing reads again: hstore has.
               (SELECT string_agg(CASE WHEN y.typtype = 'c' OR b.typnamespace = 'pg_catalog'::regnamespace THEN format('t.%I', a.attname)
                                       ELSE format('t.%I::text', a.attname) END, ', ' ORDER BY a.attnum)
                FROM pg_attribute AS a
                JOIN pg_type AS y ON y.oid = a.atttypid
                JOIN pg_type AS b ON b.oid = COALESCE(NULLIF(y.typbasetype, 0), y.oid)
                WHERE a.attrelid = r.relation AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
               COALESCE((SELECT string_agg(format('CASE WHEN json_typeof(t.%I::json) = ''null'' THEN %L END', a.attname, a.attname), ', '
                                           ORDER BY a.attnum)
                         FROM pg_attribute AS a
                         JOIN pg_type AS y ON y.oid = a.atttypid
                         WHERE a.attrelid = r.relation AND a.attnum > 0 AND NOT a.attisdropped
                           AND COALESCE(NULLIF(y.typbasetype, 0), y.oid) IN ('json'::regtype, 'jsonb'::regtype)), 'NULL::text') AS json_nulls
        FROM @extschema@._gravity_memory_erasure_catalogue() AS c
        CROSS JOIN LATERAL (SELECT @extschema@._gravity_memory_qualified_name(c.table_name)::regclass AS relation) AS r
        WHERE c.export_order IS NOT NULL
        ORDER BY c.export_order
    LOOP
        -- A line break outside of strings is white space, and only a column of type json can bring one.
        RETURN QUERY EXECUTE format(
            'SELECT translate(''{"table":%s,"row":'' || (SELECT row_to_json(x.*)::text FROM (SELECT %s) AS x) '
            '|| CASE WHEN n.names = ''{}'' THEN '''' ELSE '',"json_nulls":'' || array_to_json(n.names)::text END || ''}'', E''\n\r'', ''  '') '
            'FROM %s AS t CROSS JOIN LATERAL (SELECT array_remove(ARRAY[%s], NULL) AS names) AS n WHERE %s ORDER BY %s',
            to_json(v_table.table_name), v_table.columns, v_table.relation, v_table.json_nulls, v_table.condition, v_table.row_order)
        USING p_user_id;
    END LOOP;
END
$gravity_memory_export_user$;

COMMENT ON FUNCTION @extschema@.gravity_memory_export_user(text) IS
    'Everything that the tables of gravity_memory hold of a user, as JSON lines, for gravity_memory_import_user() or for the user.

The first line says what this is; each other one is a row: its table, and every column, the application''s own
included. What recall reads is left out: it follows from the memories. One snapshot.
Errors: 22004 for NULL; 55000 when a table is missing; 42501 for who may not see all of it.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_export_user(text) FROM PUBLIC;

-- sql/erasure/gravity_memory_import_user.sql

-- gravity_memory_import_user(p_user_id, p_lines): makes the rows that gravity_memory_export_user() wrote.
--
-- p_lines: the lines, all at once, or in their order in several calls, for a user whose export is larger than memory. Rows that are
-- there, by any
-- key, are left as they are, so that importing twice changes nothing; events are left out, because they tell what happened elsewhere.
-- Tags, arcs and totals stay as they were exported and nobody is notified: the triggers see gravity_memory.importing, set for this
-- call. Whoever sets
-- it for a transaction of their own does without them. What recall reads is derived as for any insert, and the feed records the rows.
-- Sequences of the application's identity columns are not moved on.
-- Returns one row per table of the lines: how many rows were inserted, and how many left out, because a row with one of their keys is there.
-- Errors: 22004 for NULL; 22023 for lines of another user, of another format, or that are no export, 22P02 for those that are no
-- JSON; 42703 where
-- the table lacks a column of the export; 23503 for links to rows that are not there; those of the tables themselves, as for
-- embeddings of another
-- dimension; 55000 when a table is missing; 42501 for whoever may not write all of it. Nothing is imported then.
CREATE FUNCTION @extschema@.gravity_memory_import_user(p_user_id text, p_lines text[])
RETURNS TABLE (table_name text, inserted bigint, left_out bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, YMD'
SET intervalstyle = 'postgres'
AS $gravity_memory_import_user$
DECLARE
    v_lines json[];
    v_rows record;
    v_columns text[];
    v_missing text;
    v_problem text;
    v_importing text;
BEGIN
    PERFORM @extschema@._gravity_memory_check_erasure('gravity_memory_import_user', p_user_id);
    IF p_lines IS NULL THEN
        RAISE EXCEPTION 'gravity_memory_import_user(): p_lines must not be NULL'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Pass the lines that gravity_memory_export_user() returned.';
    END IF;
    BEGIN
        v_lines := ARRAY(SELECT CASE WHEN l.line ~ '\S' THEN l.line::json END
                         FROM unnest(p_lines) WITH ORDINALITY AS l (line, number) ORDER BY l.number);
    EXCEPTION WHEN invalid_text_representation THEN
        v_problem := SQLERRM;
        FOR v_number IN 1 .. cardinality(p_lines) LOOP
            BEGIN
                PERFORM CASE WHEN p_lines[v_number] ~ '\S' THEN p_lines[v_number]::json END;
            EXCEPTION WHEN invalid_text_representation THEN
                v_problem := format('line %s: %s', v_number, SQLERRM);
                EXIT;
            END;
        END LOOP;
        RAISE EXCEPTION 'gravity_memory_import_user(): no JSON, %', v_problem
            USING ERRCODE = 'invalid_text_representation',
                  HINT = 'Pass each line of gravity_memory_export_user() as one element, as it was written.';
    END;

    SELECT CASE
               WHEN json_typeof(l.line) <> 'object' OR (l.line -> 'gravity_memory' IS NULL) = (l.line -> 'table' IS NULL) THEN
                   format('line %s is no line of an export', l.number)
               WHEN l.line -> 'gravity_memory' IS NOT NULL THEN
                   CASE WHEN l.line ->> 'format' IS DISTINCT FROM '1' THEN format('the format %s is not known', l.line -> 'format')
                        ELSE format('the lines are those of the user %s', l.line -> 'user_id') END
               WHEN c.table_name IS NULL THEN format('line %s: there is no table %s', l.number, l.line -> 'table')
               ELSE format('line %s belongs to the user %s', l.number, COALESCE(l.line -> 'row' ->> 'user_id', 'NULL'))
           END
    INTO v_problem
    FROM unnest(v_lines) WITH ORDINALITY AS l (line, number)
    LEFT JOIN @extschema@._gravity_memory_erasure_catalogue() AS c ON c.export_order IS NOT NULL AND c.table_name =
        CASE WHEN json_typeof(l.line) = 'object' THEN l.line ->> 'table' END
    WHERE l.line IS NOT NULL AND CASE
              WHEN json_typeof(l.line) <> 'object' THEN true
              WHEN l.line -> 'table' IS NULL THEN
                  l.line -> 'gravity_memory' IS NULL OR (l.line ->> 'user_id' = p_user_id AND l.line ->> 'format' = '1') IS NOT TRUE
              ELSE l.line -> 'gravity_memory' IS NOT NULL OR c.table_name IS NULL OR COALESCE(json_typeof(l.line -> 'row'), '') <> 'object'
                   OR l.line ->> 'row' ~ '^\s*\{\s*\}\s*$'
                   OR (l.line -> 'row' ->> 'user_id' IS DISTINCT FROM p_user_id
                       AND NOT (c.table_name = 'memory_arc_associations' AND l.line -> 'row' ->> 'user_id' IS NULL))
          END
    ORDER BY l.number
    LIMIT 1;
    IF v_problem IS NOT NULL THEN
        RAISE EXCEPTION 'gravity_memory_import_user(): %', v_problem
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Pass the lines that gravity_memory_export_user() returned for this user; nothing was imported.';
    END IF;

    v_importing := COALESCE(current_setting('gravity_memory.importing', true), '');
    PERFORM set_config('gravity_memory.importing', 'on', true);
    FOR v_rows IN
        SELECT c.table_name, r.relation, array_agg(l.line ORDER BY l.number) AS lines,
               -- The keys of the longest row; a row that lacks one holds nothing there.
               (SELECT array_agg(k.name ORDER BY k.name)
                FROM (SELECT DISTINCT json_object_keys(x.line -> 'row') AS name
                      FROM unnest(array_agg(l.line)) AS x (line)) AS k) AS names
        FROM unnest(v_lines) WITH ORDINALITY AS l (line, number)
        JOIN @extschema@._gravity_memory_erasure_catalogue() AS c ON c.table_name = l.line ->> 'table'
        CROSS JOIN LATERAL (SELECT @extschema@._gravity_memory_qualified_name(c.table_name)::regclass AS relation) AS r
        GROUP BY c.table_name, r.relation, c.export_order
        ORDER BY c.export_order
    LOOP
        table_name := v_rows.table_name;
        left_out := cardinality(v_rows.lines);
        inserted := 0;
        IF v_rows.table_name <> 'memory_events' THEN
            SELECT string_agg(quote_ident(n.name), ', ' ORDER BY n.name) INTO v_missing
            FROM unnest(v_rows.names) AS n (name)
            WHERE NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = v_rows.relation AND a.attname = n.name
                                AND a.attnum > 0 AND NOT a.attisdropped);
            IF v_missing IS NOT NULL THEN
                RAISE EXCEPTION 'the table % lacks columns of the export: %', v_rows.table_name, v_missing
                    USING ERRCODE = 'undefined_column', HINT = 'Add them as they are in the database that the rows come from; nothing was imported.';
            END IF;
            v_columns := ARRAY(SELECT a.attname::text FROM pg_attribute AS a
                               WHERE a.attrelid = v_rows.relation AND a.attname = ANY (v_rows.names) AND a.attgenerated = ''
                               ORDER BY a.attnum);
            BEGIN
                EXECUTE format(
                    'INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM unnest($1) AS l (line) '
                    'CROSS JOIN LATERAL json_populate_record(NULL::%s, l.line -> ''row'') AS r ON CONFLICT DO NOTHING',
                    v_rows.relation,
                    (SELECT string_agg(quote_ident(n.name), ', ' ORDER BY n.number)
                     FROM unnest(v_columns) WITH ORDINALITY AS n (name, number)),
                    (SELECT string_agg(
                         CASE WHEN COALESCE(NULLIF(y.typbasetype, 0), y.oid) IN ('json'::regtype, 'jsonb'::regtype)
                              THEN format('CASE WHEN (l.line -> ''json_nulls'')::jsonb ? %L THEN ''null'' ELSE r.%I END', n.name, n.name)
                              ELSE format('r.%I', n.name) END, ', ' ORDER BY n.number)
                     FROM unnest(v_columns) WITH ORDINALITY AS n (name, number)
                     JOIN pg_attribute AS a ON a.attrelid = v_rows.relation AND a.attname = n.name
                     JOIN pg_type AS y ON y.oid = a.atttypid),
                    v_rows.relation)
                USING v_rows.lines;
            EXCEPTION WHEN foreign_key_violation THEN
                RAISE EXCEPTION 'gravity_memory_import_user(): rows of % refer to what is not there: %', v_rows.table_name, SQLERRM
                    USING ERRCODE = 'foreign_key_violation',
                          HINT = 'Import the lines in their order, for a user who has no memories and arcs here yet; see gravity_memory_forget_user().';
            END;
            GET DIAGNOSTICS inserted = ROW_COUNT;
            left_out := left_out - inserted;
        END IF;
        RETURN NEXT;
    END LOOP;
    PERFORM set_config('gravity_memory.importing', v_importing, true);

    IF EXISTS (SELECT
               FROM unnest(v_lines) AS l (line)
               LEFT JOIN @extschema@.gravity_map AS m ON m.id = (l.line -> 'row' ->> 'memory_id')::uuid AND m.user_id = p_user_id
               LEFT JOIN @extschema@.memory_arcs AS a ON a.id = (l.line -> 'row' ->> 'arc_id')::uuid AND a.user_id = p_user_id
               WHERE l.line ->> 'table' = 'memory_arc_associations' AND (m.id IS NULL OR a.id IS NULL)) THEN
        RAISE EXCEPTION 'gravity_memory_import_user(): a link leads to a memory or an arc of another user'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Pass the lines that gravity_memory_export_user() returned for this user; nothing was imported.';
    END IF;
END
$gravity_memory_import_user$;

COMMENT ON FUNCTION @extschema@.gravity_memory_import_user(text, text[]) IS
    'Makes the rows that gravity_memory_export_user() wrote for a user; returns one row per table with the numbers inserted and left out.

p_lines: all lines at once, or in their order in several calls. Rows that are there stay as they are, so that
importing twice changes nothing; events are left out. Tags, arcs and totals come as they were exported, and
nobody is notified.
Errors: 22004 for NULL; 22023 for lines of another user or format; 22P02 for lines that are no JSON; 42703 where
a table lacks a column; 23503 for links to rows that are not there; 55000 when a table is missing; 42501 for who
may not write all of it; those of the tables. Nothing is imported then.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_import_user(text, text[]) FROM PUBLIC;

-- sql/adoption/_gravity_memory_settings_in.sql

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

-- sql/adoption/_gravity_memory_adoption_functions.sql

-- _gravity_memory_adoption_functions(p_schema): what gravity_memory_adoption_report() says of functions made by hand.
--
-- Those that keep CREATE EXTENSION from working in p_schema: of the same name and parameters as one of ours, and, of the search
-- functions, of the same name alone, because PostgREST can call neither of two. The remedy renames them: triggers, views and
-- policies go on using them under the new name, until setup gives the triggers ours. DROP ... CASCADE would drop all of these.
CREATE FUNCTION @extschema@._gravity_memory_adoption_functions(p_schema text)
RETURNS TABLE (severity text, finding text, object text, present text, plan text, lock text, remedy text)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_adoption_functions$
    WITH ours AS (
        SELECT p.oid, p.proname, p.proargtypes
        FROM pg_proc AS p
        JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
        JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
        WHERE e.extname = 'gravity_memory'
    )
    SELECT 'blocks', 'function_by_hand', p.oid::regprocedure::text,
           concat_ws('; ',
               format('Made by hand, owner %I', pg_get_userbyid(p.proowner)),
               -- The specification's sources, without comments and blanks.
               CASE WHEN md5(regexp_replace(p.prosrc, '--[^\n]*|\s', '', 'g')) = CASE p.proname
                             WHEN 'auto_tag_high_gravity' THEN '1c01e5cfc7c971a50edf1667b222ec1c'
                             WHEN 'notify_memory_created' THEN 'f4864c33a491aa59b563daab48b5423c'
                             WHEN 'trigger_arc_building' THEN '8388c8d8a1cd9ad5719d6e65c43a9b25'
                             WHEN 'cleanup_old_cache' THEN 'bef18293f4a0aed705ebbaca69d39c93' END
                    THEN 'as in the specification' ELSE 'not the specification''s' END,
               CASE WHEN p.prosecdef THEN 'SECURITY DEFINER' END,
               'EXECUTE granted to ' || (SELECT string_agg(CASE WHEN x.grantee = 0 THEN 'PUBLIC'
                   ELSE pg_get_userbyid(x.grantee)::text END, ', ')
                                         FROM aclexplode(COALESCE(p.proacl, acldefault('f', p.proowner))) AS x
                                         WHERE x.grantee <> p.proowner),
               'used by ' || (SELECT string_agg(pg_describe_object(d.classid, d.objid, d.objsubid), ', ' ORDER BY d.classid,
                   d.objid)
                              FROM pg_depend AS d
                              WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid = p.oid AND d.deptype IN ('n', 'a'))) || '.',
           'CREATE EXTENSION stops. Renamed, it stays in use until setup replaces the triggers; grant EXECUTE on ours anew.',
           'none', format('ALTER ROUTINE %s RENAME TO %I', p.oid::regprocedure, p.proname || '_by_hand')
    FROM pg_proc AS p
    WHERE p.pronamespace = (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = p_schema)
      AND p.prokind IN ('f', 'p')
      AND NOT EXISTS (SELECT FROM ours AS o WHERE o.oid = p.oid)
      AND EXISTS (SELECT FROM ours AS o
                  WHERE o.proname = p.proname
                    AND (o.proargtypes = p.proargtypes
                         OR o.proname IN ('match_memories', 'gravity_weighted_search', 'find_similar_memories',
                             'get_conversation_context',
                                          'recall_memories')))
$_gravity_memory_adoption_functions$;

COMMENT ON FUNCTION @extschema@._gravity_memory_adoption_functions(text) IS
    'What gravity_memory_adoption_report() says of functions made by hand.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_adoption_functions(text) FROM PUBLIC;

-- sql/adoption/_gravity_memory_adoption_tables.sql

-- _gravity_memory_adoption_tables(p_schema): what gravity_memory_adoption_report() says of tables and columns.
--
-- The tables that are there with their size, the columns that setup would add, the tables it would create, what it cannot adopt,
-- who owns them, and what hangs on them: partitions, row security, publications, foreign keys, default privileges.
CREATE FUNCTION @extschema@._gravity_memory_adoption_tables(p_schema text)
RETURNS TABLE (severity text, finding text, object text, present text, plan text, lock text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_adoption_tables$
DECLARE
    v_present regclass[] := ARRAY(SELECT c.oid::regclass
                                  FROM @extschema@._gravity_memory_table_catalogue() AS t
                                  JOIN pg_class AS c ON c.oid = to_regclass(format('%I.%I', p_schema, t.table_name))
                                  WHERE c.relkind IN ('r', 'p'));
    v_owner CONSTANT name := (SELECT pg_get_userbyid(c.relowner) FROM pg_class AS c
                              WHERE c.oid = to_regclass(format('%I.%I', p_schema, 'gravity_map')) AND c.relkind IN ('r', 'p'));
BEGIN
    RETURN QUERY
    SELECT 'blocks', 'table_mismatch', m.object, m.problem || '.', 'Setup stops: ' || m.advice || '.', m.lock, m.remedy
    FROM @extschema@._gravity_memory_mismatches_in(p_schema) AS m;

    IF NOT has_schema_privilege(p_schema, 'CREATE') THEN
        RETURN QUERY SELECT 'blocks', 'no_create', p_schema, format('%I may not create anything in the schema %I.', current_user,
            p_schema),
            'Setup stops at the first table that it creates.', 'none',
            format('GRANT CREATE, USAGE ON SCHEMA %I TO %I', p_schema, current_user);
    END IF;

    RETURN QUERY
    SELECT 'blocks', 'other_owner', c.relname::text, format('It belongs to %I, of whom %I is no member.',
        pg_get_userbyid(c.relowner), current_user),
           'Setup stops: only the owner of a table adds columns and triggers to it.', 'none',
           format('GRANT %I TO %I', pg_get_userbyid(c.relowner), current_user)
    FROM pg_class AS c
    WHERE c.oid = ANY (v_present) AND NOT pg_has_role(c.relowner, 'USAGE');

    RETURN QUERY
    SELECT 'note', 'table', c.relname::text,
           format('%s%s, %s with indexes, owner %I, %s.',
                  CASE c.relkind WHEN 'p' THEN 'A partitioned table, its rows are in its partitions' ELSE 'A table' END,
                  CASE WHEN c.relkind = 'p' THEN '' WHEN c.reltuples < 0 THEN ', never analyzed' ELSE format(', about %s rows',
                      c.reltuples::bigint) END,
                  pg_size_pretty(COALESCE((SELECT sum(pg_total_relation_size(p.relid)) FROM pg_partition_tree(c.oid) AS p
                      WHERE p.isleaf),
                                          pg_total_relation_size(c.oid))),
                  pg_get_userbyid(c.relowner),
                  COALESCE((SELECT 'with columns of its own: ' || string_agg(a.attname, ', ' ORDER BY a.attnum)
                            FROM pg_attribute AS a
                            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                              AND NOT EXISTS (SELECT FROM @extschema@._gravity_memory_column_catalogue() AS w
                                              WHERE w.table_name = c.relname AND w.column_name = a.attname)),
                           'without other columns')),
           'Adopt it: no row is touched, no constraint added, columns of its own stay.', 'none', NULL::text
    FROM pg_class AS c
    WHERE c.oid = ANY (v_present);

    RETURN QUERY
    SELECT 'note', 'embedding_dimensions', 'gravity_map.embedding', format('The embeddings have %s dimensions.', a.atttypmod),
           'Keep them so; gravity_memory.embedding_dimensions has no say in an existing column.', 'none', NULL::text
    FROM pg_attribute AS a
    JOIN pg_type AS t ON t.oid = a.atttypid AND t.typname = 'vector'
    WHERE a.attrelid = ANY (v_present) AND a.attrelid = to_regclass(format('%I.%I', p_schema, 'gravity_map'))
      AND a.attname = 'embedding' AND NOT a.attisdropped AND a.atttypmod > 0;

    RETURN QUERY
    SELECT 'change', 'missing_columns', t.table_name, format('Missing: %s.', string_agg(w.column_name, ', ' ORDER BY w.ordinal)),
           'add column ' || string_agg(format('%I %s', w.column_name, btrim(w.data_type || ' ' || w.modifiers)), ', '
               ORDER BY w.ordinal),
           'ACCESS EXCLUSIVE until the transaction is over; no row is rewritten', NULL::text
    FROM @extschema@._gravity_memory_table_catalogue() AS t
    JOIN @extschema@._gravity_memory_column_catalogue() AS w ON w.table_name = t.table_name
    WHERE to_regclass(format('%I.%I', p_schema, t.table_name)) = ANY (v_present)
      AND w.modifiers <> 'NOT NULL' AND w.modifiers NOT LIKE '%gen_random_uuid()%'
      AND NOT EXISTS (SELECT FROM pg_attribute AS a
                      WHERE a.attrelid = to_regclass(format('%I.%I', p_schema, t.table_name)) AND a.attname = w.column_name
                        AND NOT a.attisdropped)
    GROUP BY t.table_name;

    -- Columns of ours that the insert of an automatic arc leaves to their defaults.
    RETURN QUERY
    SELECT 'note', 'no_default', 'memory_arcs.' || a.attname, 'It is NOT NULL and has no default.',
           'Keep it so. Automatic arcs cannot be written then, and a WARNING says so each time.', 'ACCESS EXCLUSIVE, for a moment',
           format('ALTER TABLE %I.memory_arcs ALTER COLUMN %I %s', p_schema, a.attname,
                  CASE a.attname WHEN 'id' THEN 'SET DEFAULT gen_random_uuid()' ELSE 'DROP NOT NULL' END)
    FROM pg_attribute AS a
    WHERE a.attrelid = ANY (v_present) AND a.attrelid = to_regclass(format('%I.%I', p_schema, 'memory_arcs'))
      AND a.attname IN ('id', 'peak_gravity', 'growth_vector', 'first_memory_at', 'last_memory_at')
      AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND NOT a.attisdropped;

    -- The live application's own name.
    RETURN QUERY
    SELECT 'note', 'other_name', format('%s.%s', o.table_name, o.actual), format('There is no column %I, and one %I.', o.wanted,
        o.actual),
           format('Setup adds an empty %I; renamed before, this one is used, and the application has to call it so.', o.wanted),
           'ACCESS EXCLUSIVE, for a moment',
           format('ALTER TABLE %I.%I RENAME COLUMN %I TO %I', p_schema, o.table_name, o.actual, o.wanted)
    FROM (VALUES ('gravity_map', 'emotion', 'emotion_type')) AS o (table_name, actual, wanted)
    JOIN pg_attribute AS a
      ON a.attrelid = to_regclass(format('%I.%I', p_schema, o.table_name)) AND a.attrelid = ANY (v_present)
     AND a.attname = o.actual AND NOT a.attisdropped AND a.atttypid IN ('text'::regtype, 'varchar'::regtype)
    WHERE NOT EXISTS (SELECT FROM pg_attribute AS w
                      WHERE w.attrelid = a.attrelid AND w.attname = o.wanted AND NOT w.attisdropped);

    RETURN QUERY
    SELECT 'change', 'missing_table', t.table_name, 'There is none.',
           'create table, with its indexes and triggers' || CASE WHEN v_owner <> current_user THEN format('; it is given to %I',
               v_owner) ELSE '' END,
           CASE WHEN t.table_name = 'memory_arc_associations' AND v_present <> '{}'
                THEN 'SHARE ROW EXCLUSIVE on the tables it refers to, until the transaction is over: writers wait' ELSE 'none' END,
           NULL::text
    FROM @extschema@._gravity_memory_table_catalogue() AS t
    WHERE to_regclass(format('%I.%I', p_schema, t.table_name)) IS NULL;

    RETURN QUERY
    SELECT 'note', 'partitioned', c.relname::text,
           format('%s partitions.', (SELECT count(*) FROM pg_partition_tree(c.oid) AS p WHERE p.isleaf)),
           'Its indexes are built without CONCURRENTLY, which PostgreSQL does not offer there.',
               'SHARE while each index is built: writers wait',
           NULL::text
    FROM pg_class AS c
    WHERE c.oid = ANY (v_present) AND c.relkind = 'p';

    RETURN QUERY
    SELECT 'note', 'row_security', c.relname::text,
           format('Row security is on%s; %s.', CASE WHEN c.relforcerowsecurity THEN ', for the owner too' ELSE '' END,
                  COALESCE('policies: ' || (SELECT string_agg(format('%I (%s, %s)', p.polname,
                                                  CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
                                                                WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
                                                  (SELECT string_agg(CASE WHEN r.oid = 0 THEN 'PUBLIC'
                                                      ELSE pg_get_userbyid(r.oid)::text END, ', ')
                                                   FROM unnest(p.polroles) AS r (oid))), '; ' ORDER BY p.polname)
                                            FROM pg_policy AS p WHERE p.polrelid = c.oid),
                           'without any policy, so that only the owner and BYPASSRLS roles see rows')),
           CASE WHEN c.relname = 'gravity_map' AND c.relforcerowsecurity AND NOT EXISTS (
                         SELECT FROM pg_roles AS r WHERE r.oid = c.relowner AND (r.rolsuper OR r.rolbypassrls))
                THEN 'Keep it. Arcs and what recall reads cannot be kept while the owner, whose functions do that, sees no rows.'
                ELSE 'Keep it. Who recalls gets what these policies allow.' END,
           'none',
           CASE WHEN c.relname = 'gravity_map' AND c.relforcerowsecurity AND NOT EXISTS (
                         SELECT FROM pg_roles AS r WHERE r.oid = c.relowner AND (r.rolsuper OR r.rolbypassrls))
                THEN format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', c.oid::regclass) END
    FROM pg_class AS c
    JOIN @extschema@._gravity_memory_table_catalogue() AS t ON t.table_name = c.relname
    WHERE c.oid = ANY (v_present) AND c.relrowsecurity
      -- Those that setup makes so: row security without a policy.
      AND NOT (t.is_closed AND NOT c.relforcerowsecurity AND NOT EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = c.oid));

    RETURN QUERY
    SELECT 'note', 'publication', p.pubname::text,
           CASE WHEN p.puballtables THEN 'Publishes all tables.'
                ELSE 'Publishes ' || concat_ws(', ', CASE WHEN s.is_schema THEN format('all tables of the schema %I', p_schema) END,
                    r.tables) || '.' END,
           CASE WHEN p.puballtables OR s.is_schema
                THEN 'Keep it. It will publish the tables that setup creates, too, and its subscribers need them then.'
                ELSE 'Keep it, as it is; gravity_memory_enable_realtime() adds tables to supabase_realtime.' END,
           'none', NULL::text
    FROM pg_publication AS p
    CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM pg_publication_namespace AS n
                                       WHERE n.pnpubid = p.oid AND n.pnnspid = (SELECT x.oid FROM pg_namespace AS x
                                           WHERE x.nspname = p_schema))
                        AS is_schema) AS s
    CROSS JOIN LATERAL (SELECT string_agg(c.relname, ', ' ORDER BY c.relname) AS tables
                        FROM pg_publication_rel AS r JOIN pg_class AS c ON c.oid = r.prrelid
                        WHERE r.prpubid = p.oid AND r.prrelid = ANY (v_present)) AS r
    WHERE p.puballtables OR s.is_schema OR r.tables IS NOT NULL;

    RETURN QUERY
    SELECT 'note', 'foreign_key', format('%I on %s', k.conname, k.conrelid::regclass), pg_get_constraintdef(k.oid) || '.',
           CASE WHEN k.confrelid = ANY (v_present) AND NOT k.conrelid = ANY (v_present) AND k.confdeltype IN ('a', 'r')
                THEN 'Keep it. It refuses the deletion of rows that it refers to.' ELSE 'Keep it.' END, 'none', NULL::text
    FROM pg_constraint AS k
    WHERE k.contype = 'f' AND (k.conrelid = ANY (v_present) OR k.confrelid = ANY (v_present)) AND k.conparentid = 0
      -- Those among our own tables are as they should be, or a mismatch.
      AND NOT (k.conrelid = ANY (v_present) AND k.confrelid = ANY (v_present));

    RETURN QUERY
    SELECT 'note', 'no_foreign_key', 'memory_arc_associations', format('No foreign key refers to %I.', r.name),
           'Keep it so. Links to rows that are deleted stay, and nothing reads them.', 'none',
           format('ALTER TABLE %I.memory_arc_associations ADD FOREIGN KEY (%I) REFERENCES %I.%I (id) ON DELETE CASCADE NOT VALID',
                  p_schema, r.column_name, p_schema, r.name)
    FROM (VALUES ('gravity_map', 'memory_id'), ('memory_arcs', 'arc_id')) AS r (name, column_name)
    JOIN pg_class AS c ON c.oid = ANY (v_present) AND c.relname = 'memory_arc_associations' AND c.relkind = 'r'
    WHERE to_regclass(format('%I.%I', p_schema, r.name)) = ANY (v_present)
      AND NOT EXISTS (SELECT FROM pg_constraint AS k
                      WHERE k.contype = 'f' AND k.conrelid = c.oid AND k.confrelid = to_regclass(format('%I.%I', p_schema,
                          r.name)));

    -- Supabase gives what is created in public to anon, so that a REVOKE from PUBLIC does not reach it.
    RETURN QUERY
    SELECT 'note', 'default_privileges', format('%I in %I', pg_get_userbyid(d.defaclrole), p_schema),
           format('What this role creates there is given to others: %s.', string_agg(DISTINCT format('%s on %s to %s',
                      x.privilege_type, CASE d.defaclobjtype WHEN 'r' THEN 'tables' ELSE 'functions' END,
                      CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(x.grantee)::text END), '; ')),
           'New tables and functions get these privileges, too. Look at who may write the new tables when it is done.', 'none',
           format('ALTER DEFAULT PRIVILEGES FOR ROLE %I%s REVOKE ALL ON %s FROM %s', pg_get_userbyid(d.defaclrole),
                  CASE WHEN d.defaclnamespace = 0 THEN '' ELSE format(' IN SCHEMA %I', p_schema) END,
                  CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' ELSE 'FUNCTIONS' END,
                  string_agg(DISTINCT CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END, ', '))
    FROM pg_default_acl AS d
    CROSS JOIN LATERAL aclexplode(d.defaclacl) AS x
    WHERE d.defaclobjtype IN ('r', 'f') AND x.grantee <> d.defaclrole AND pg_get_userbyid(d.defaclrole) = current_user
      AND d.defaclnamespace IN (0, (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = p_schema))
      AND NOT (d.defaclobjtype = 'f' AND x.grantee = 0)
    GROUP BY d.oid, d.defaclrole, d.defaclnamespace, d.defaclobjtype;
END
$_gravity_memory_adoption_tables$;

COMMENT ON FUNCTION @extschema@._gravity_memory_adoption_tables(text) IS
    'What gravity_memory_adoption_report() says of tables and columns.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_adoption_tables(text) FROM PUBLIC;

-- sql/adoption/_gravity_memory_adoption_triggers.sql

-- _gravity_memory_adoption_triggers(p_schema): what gravity_memory_adoption_report() says of triggers.
--
-- Triggers of ours that are missing, one row per table; those of the same name that setup replaces; and those of others, which
-- stay and run beside ours. One that announces on our channels or makes arcs does again what ours do: that is read from the
-- source of its function, so that what it does through other functions is not seen.
CREATE FUNCTION @extschema@._gravity_memory_adoption_triggers(p_schema text)
RETURNS TABLE (severity text, finding text, object text, present text, plan text, lock text, remedy text)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_adoption_triggers$
    WITH wanted AS (
        SELECT c.trigger_name, c.table_name, k.oid AS table_oid, t.oid AS trigger_oid,
               -- As the catalogue would be if the extension were in that schema.
               replace(c.definition, ' @extschema@.', format(' %I.', p_schema)) AS definition
        FROM @extschema@._gravity_memory_trigger_catalogue() AS c
        JOIN pg_class AS k ON k.oid = to_regclass(format('%I.%I', p_schema, c.table_name)) AND k.relkind IN ('r', 'p')
        LEFT JOIN pg_trigger AS t ON t.tgrelid = k.oid AND t.tgname = c.trigger_name
    ), others AS (
        SELECT t.oid, t.tgname, t.tgrelid, k.is_derived, k.table_name, t.tgenabled,
               p.prosrc ~* 'notify' AND p.prosrc ~ 'memory_created|memory_updated|arc_created' AS notifies,
               p.prosrc ~* 'insert\s+into\s+\S*memory_arc' AS makes_arcs
        FROM @extschema@._gravity_memory_table_catalogue() AS k
        JOIN pg_trigger AS t ON t.tgrelid = to_regclass(format('%I.%I', p_schema, k.table_name)) AND NOT t.tgisinternal
        JOIN pg_proc AS p ON p.oid = t.tgfoid
        WHERE NOT EXISTS (SELECT FROM wanted AS w WHERE w.trigger_oid = t.oid)
    )
    SELECT 'change', 'missing_triggers', w.table_name, 'Missing: ' || string_agg(w.trigger_name, ', ' ORDER BY w.trigger_name)
        || '.',
           'create trigger, ' || count(*) || ' of them',
           'SHARE ROW EXCLUSIVE until the transaction is over: writers wait', NULL::text
    FROM wanted AS w
    WHERE w.trigger_oid IS NULL
    GROUP BY w.table_name
    UNION ALL
    SELECT 'change', 'changed_trigger', format('%I on %I', w.trigger_name, w.table_name), pg_get_triggerdef(w.trigger_oid) || '.',
           'replace trigger: ' || w.definition,
           'ACCESS EXCLUSIVE until the transaction is over: readers and writers wait', NULL
    FROM wanted AS w
    WHERE pg_get_triggerdef(w.trigger_oid) <> w.definition
    UNION ALL
    SELECT CASE WHEN o.is_derived THEN 'blocks' ELSE 'note' END,
           CASE WHEN o.is_derived THEN 'foreign_trigger' WHEN o.notifies OR o.makes_arcs THEN 'doubled_trigger'
               ELSE 'own_trigger' END,
           format('%I on %I', o.tgname, o.table_name), pg_get_triggerdef(o.oid) || CASE o.tgenabled WHEN 'D'
               THEN ' (switched off).' ELSE '.' END,
           CASE WHEN o.is_derived THEN 'Setup stops: no trigger but ours may stand on what is derived.'
                ELSE 'Keep it. It runs beside ours' || CASE
                         WHEN o.notifies AND o.makes_arcs
                             THEN ', and seems to announce on our channels and to make arcs, as ours do: both happen twice then'
                         WHEN o.notifies THEN ', and seems to announce on our channels, as ours do: listeners hear of a memory twice then'
                         WHEN o.makes_arcs THEN ', and seems to make arcs, as ours do: a cluster may get two then'
                         ELSE '' END || '.' END,
           CASE WHEN o.is_derived OR o.notifies OR o.makes_arcs THEN 'ACCESS EXCLUSIVE, for a moment' ELSE 'none' END,
           CASE WHEN o.is_derived OR o.notifies OR o.makes_arcs THEN format('DROP TRIGGER %I ON %s', o.tgname,
               o.tgrelid::regclass) END
    FROM others AS o
$_gravity_memory_adoption_triggers$;

COMMENT ON FUNCTION @extschema@._gravity_memory_adoption_triggers(text) IS
    'What gravity_memory_adoption_report() says of triggers.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_adoption_triggers(text) FROM PUBLIC;

-- sql/adoption/_gravity_memory_adoption_indexes.sql

-- _gravity_memory_adoption_indexes(p_schema): what gravity_memory_adoption_report() says of indexes.
--
-- Those that are missing or invalid, and whether setup builds them at once (on tables up to setup_index_limit) or leaves them to
-- gravity_memory_index_ddl(), which builds concurrently; those of our names with another definition, which setup keeps; and those
-- of other names that serve the same, which need nothing but our name. Whether the two on embedding suit the rows is judged as
-- setup does.
CREATE FUNCTION @extschema@._gravity_memory_adoption_indexes(p_schema text)
RETURNS TABLE (severity text, finding text, object text, present text, plan text, lock text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_adoption_indexes$
DECLARE
    v_settings CONSTANT jsonb := @extschema@._gravity_memory_settings_in(p_schema);
    v_limit CONSTANT numeric := 1024 * 1024 * (v_settings ->> 'setup_index_limit')::numeric;
    v_method CONSTANT text := v_settings ->> 'embedding_index';
    v_min_rows CONSTANT bigint := (v_settings ->> 'embedding_index_min_rows')::bigint;
    v_memories CONSTANT regclass := (SELECT c.oid FROM pg_class AS c
                                     WHERE c.oid = to_regclass(format('%I.%I', p_schema, 'gravity_map')) AND c.relkind IN ('r',
                                         'p'));
    v_at_once CONSTANT text := 'SHARE while it is built and until the transaction is over: writers wait';
    v_concurrently CONSTANT text := 'SHARE UPDATE EXCLUSIVE: nobody waits';
    v_dimensions integer;
    v_is_large boolean;
    v_pages bigint;
    v_rows double precision;
    v_may_look boolean := false;
BEGIN
    RETURN QUERY
    WITH tables AS (
        SELECT t.table_name, k.oid, k.relkind, format('%I.%I', p_schema, t.table_name) AS name,
               pg_table_size(k.oid) + COALESCE((SELECT sum(pg_table_size(p.relid)) FROM pg_partition_tree(k.oid) AS p
                                                WHERE p.isleaf AND p.relid <> k.oid), 0) AS bytes,
               CASE k.relkind WHEN 'p' THEN '' ELSE ' CONCURRENTLY' END AS word
        FROM @extschema@._gravity_memory_table_catalogue() AS t
        JOIN pg_class AS k ON k.oid = to_regclass(format('%I.%I', p_schema, t.table_name)) AND k.relkind IN ('r', 'p')
    ), existing AS (
        SELECT i.indrelid, i.indexrelid, c.relname, i.indisvalid, i.indisunique,
               substring(pg_get_indexdef(i.indexrelid) FROM ' (USING .*)$') AS definition,
               EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid) AS is_constraint
        FROM pg_index AS i
        JOIN pg_class AS c ON c.oid = i.indexrelid
        WHERE i.indrelid IN (SELECT t.oid FROM tables AS t)
    ), wanted AS (
        SELECT c.index_name, c.is_unique, c.definition, t.oid AS table_oid, t.name, t.bytes, t.word, t.relkind, e.indexrelid,
            e.indisvalid,
               e.indisunique, e.definition AS own_definition,
               (SELECT min(o.relname) FROM existing AS o
                WHERE o.indrelid = t.oid AND o.relname <> c.index_name AND o.indisvalid AND NOT o.is_constraint
                  AND (o.indisunique OR NOT c.is_unique)
                  AND @extschema@._gravity_memory_plain_index_definition(o.definition)
                      = @extschema@._gravity_memory_plain_index_definition(c.definition)) AS same
        FROM @extschema@.gravity_memory_index_catalogue() AS c
        JOIN tables AS t ON t.table_name = c.table_name
        LEFT JOIN existing AS e ON e.indrelid = t.oid AND e.relname = c.index_name
        WHERE c.index_name !~ '^idx_gravity_map_embedding_'
    )
    SELECT 'change', CASE WHEN w.indexrelid IS NULL THEN 'missing_index' ELSE 'invalid_index' END, w.index_name,
           CASE WHEN w.indexrelid IS NULL THEN 'There is none of this name.'
                ELSE 'It is invalid, after a build that failed or was interrupted.' END,
           CASE WHEN w.bytes <= v_limit THEN 'create index, at once: '
               ELSE 'create index, afterwards by gravity_memory_index_ddl(): ' END
               || CASE WHEN w.indexrelid IS NULL THEN '' ELSE 'DROP INDEX, then ' END
               || format('CREATE%s INDEX%s %I ON %s %s', CASE WHEN w.is_unique THEN ' UNIQUE' ELSE '' END,
                         CASE WHEN w.bytes <= v_limit THEN '' ELSE w.word END, w.index_name, w.name, w.definition),
           CASE WHEN w.bytes <= v_limit THEN v_at_once WHEN w.relkind = 'p' THEN 'SHARE while it is built: writers wait'
                ELSE v_concurrently END,
           NULL::text
    FROM wanted AS w
    WHERE w.indisvalid IS NOT TRUE AND w.same IS NULL
    UNION ALL
    SELECT 'change', 'same_index', w.index_name, format('%I serves the same, under another name.', w.same),
           CASE WHEN w.bytes <= v_limit THEN 'create index, at once'
               ELSE 'create index, afterwards by gravity_memory_index_ddl()' END
               || '; unless the other one is renamed before, which spares a second index',
           'SHARE UPDATE EXCLUSIVE on the index: nobody waits',
           -- What is invalid and has the name goes first.
           COALESCE('DROP INDEX' || w.word || ' ' || w.indexrelid::regclass::text,
                    format('ALTER INDEX %I.%I RENAME TO %I', p_schema, w.same, w.index_name))
    FROM wanted AS w
    WHERE w.indisvalid IS NOT TRUE AND w.same IS NOT NULL
    UNION ALL
    SELECT 'note', 'changed_index', w.index_name,
           format('It is %s%s; ours would be %s%s.', CASE WHEN w.indisunique THEN 'UNIQUE ' ELSE '' END, w.own_definition,
                  CASE WHEN w.is_unique THEN 'UNIQUE ' ELSE '' END, w.definition),
           'Keep it, whatever it is good for. Dropped, it is built anew like a missing one.',
           CASE w.relkind WHEN 'p' THEN 'ACCESS EXCLUSIVE, for a moment' ELSE v_concurrently END,
           format('DROP INDEX%s %s', w.word, w.indexrelid::regclass)
    FROM wanted AS w
    WHERE w.indisvalid
      AND (@extschema@._gravity_memory_plain_index_definition(w.own_definition)
               <> @extschema@._gravity_memory_plain_index_definition(w.definition)
           OR w.indisunique <> w.is_unique)
    UNION ALL
    SELECT 'note', 'invalid_index', e.relname::text,
        'It is invalid, after a build that failed or was interrupted: it costs writers and serves nobody.',
           'Keep it.', v_concurrently, format('DROP INDEX%s %s', t.word, e.indexrelid::regclass)
    FROM existing AS e
    JOIN tables AS t ON t.oid = e.indrelid
    WHERE NOT e.indisvalid AND NOT EXISTS (SELECT FROM wanted AS w WHERE w.index_name = e.relname)
      AND e.relname !~ '^idx_gravity_map_embedding_(cosine|l2)$';

    IF v_memories IS NULL THEN
        RETURN;
    END IF;
    -- As _gravity_memory_superseded_indexes() has it, whose tables are those of our own schema.
    RETURN QUERY
    SELECT 'change', 'unsuitable_index', c.relname::text, 'An earlier version made it.',
           'drop index: idx_gravity_map_session_turns, read backwards, gives the same order',
           'ACCESS EXCLUSIVE until the transaction is over: readers and writers wait', NULL::text
    FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indexrelid
    WHERE i.indrelid = v_memories AND c.relname = 'idx_gravity_map_user_session'
      AND pg_get_indexdef(i.indexrelid) LIKE '% USING btree (user\_id, session\_id, created\_at DESC) WHERE (session\_id IS NOT NULL)';

    -- The two on embedding.
    SELECT a.atttypmod, has_column_privilege(a.attrelid, a.attnum, 'SELECT') AND NOT row_security_active(a.attrelid)
    INTO v_dimensions, v_may_look
    FROM pg_attribute AS a
    JOIN pg_type AS t ON t.oid = a.atttypid AND t.typname = 'vector'
    WHERE a.attrelid = v_memories AND a.attname = 'embedding' AND NOT a.attisdropped;
    IF v_dimensions IS NULL THEN
        RETURN;
    END IF;
    SELECT sum(pg_relation_size(c.oid)) / current_setting('block_size')::integer,
           sum(c.reltuples / NULLIF(c.relpages, 0) * pg_relation_size(c.oid) / current_setting('block_size')::integer
               * (1 - t.null_frac)) FILTER (WHERE c.reltuples > 0)
    INTO v_pages, v_rows
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN pg_stats AS t
           ON t.schemaname = n.nspname AND t.tablename = c.relname AND t.attname = 'embedding' AND NOT t.inherited
    WHERE c.relkind = 'r' AND (c.oid = v_memories OR c.oid IN (SELECT p.relid FROM pg_partition_tree(v_memories) AS p));
    IF v_may_look AND (v_pages <= 1000 OR v_rows IS NULL) THEN
        EXECUTE format('SELECT count(*) FROM (SELECT FROM %I.gravity_map AS m WHERE m.embedding IS NOT NULL LIMIT 100000) AS c',
            p_schema)
            INTO v_rows;
    END IF;
    v_rows := COALESCE(v_rows, 0);
    v_is_large := (SELECT pg_table_size(v_memories) + COALESCE(sum(pg_table_size(p.relid)) FILTER (WHERE p.isleaf
        AND p.relid <> v_memories), 0)
                   FROM pg_partition_tree(v_memories) AS p) > v_limit;

    RETURN QUERY
    SELECT s.kind, s.finding, w.name,
           CASE WHEN e.oid IS NULL THEN format('There is none; about %s memories have an embedding.', v_rows::bigint)
                WHEN NOT e.valid THEN 'It is invalid, after a build that failed or was interrupted.'
                ELSE format('It is %s; about %s memories have an embedding.', e.definition, v_rows::bigint) END,
           CASE s.finding
               WHEN 'missing_index' THEN CASE WHEN v_is_large
                   THEN 'create index, afterwards by the job train-vector-indexes, or by gravity_memory_index_ddl()'
                                              ELSE 'create index, at once' END
               WHEN 'invalid_index' THEN CASE WHEN v_is_large
                   THEN 'create index, afterwards by the job train-vector-indexes, or by gravity_memory_index_ddl()'
                                              ELSE 'create index, at once' END
               WHEN 'unsuitable_index'
                   THEN format('drop index%s: embedding_index = %s, and below %s memories with an embedding none is kept',
                                                   CASE WHEN v_is_large THEN ', afterwards by the job train-vector-indexes'
                                                       ELSE '' END,
                                                   v_method, v_min_rows / 2)
               ELSE 'Keep it; the job train-vector-indexes replaces it concurrently when its kind or its lists do not suit. What was built '
                    || 'on an empty table finds little, and PostgreSQL does not tell: mark it, if it may have been.' END,
           CASE WHEN s.finding = 'embedding_index' THEN 'none'
                WHEN v_is_large THEN v_concurrently
                WHEN s.finding = 'unsuitable_index' THEN 'ACCESS EXCLUSIVE until the transaction is over: readers and writers wait'
                ELSE v_at_once END,
           CASE s.finding WHEN 'embedding_index' THEN format('COMMENT ON INDEX %s IS %L', e.oid::regclass,
               'gravity_memory: train again') END
    FROM (VALUES ('idx_gravity_map_embedding_cosine', 2), ('idx_gravity_map_embedding_l2', 1)) AS w (name, least_dimensions)
    LEFT JOIN LATERAL (
        SELECT i.indexrelid AS oid, i.indisvalid AS valid, substring(pg_get_indexdef(i.indexrelid)
            FROM ' (USING .*)$') AS definition
        FROM pg_index AS i
        WHERE i.indrelid = v_memories AND i.indexrelid = to_regclass(format('%I.%I', p_schema, w.name))
    ) AS e ON true
    CROSS JOIN LATERAL (
        SELECT v_method <> 'none' AND v_dimensions BETWEEN w.least_dimensions AND 2000
               AND CASE WHEN e.valid THEN v_rows >= v_min_rows / 2.0
                        ELSE v_rows >= v_min_rows
                             AND (v_method <> 'ivfflat'
                                  OR (SELECT l.lists_fitting IS NOT NULL
                                      FROM @extschema@._gravity_memory_ivfflat_lists(v_rows::bigint,
                                          v_dimensions) AS l)) END AS is_wanted
    ) AS v
    CROSS JOIN LATERAL (
        SELECT CASE WHEN e.valid AND v.is_wanted THEN 'note' ELSE 'change' END AS kind,
               CASE WHEN e.oid IS NULL THEN 'missing_index'
                    WHEN NOT v.is_wanted THEN 'unsuitable_index'
                    WHEN NOT e.valid THEN 'invalid_index' ELSE 'embedding_index' END AS finding
    ) AS s
    WHERE v.is_wanted OR e.oid IS NOT NULL;

    RETURN QUERY
    SELECT 'note', 'embedding_index', c.relname::text,
           format('An index on embedding of another name: %s.', substring(pg_get_indexdef(i.indexrelid) FROM ' (USING .*)$')),
           format('Keep it. Ours, %s, is built beside it when there are %s memories with an embedding; unless this one gets its name.', n.name, v_min_rows),
           'SHARE UPDATE EXCLUSIVE on the index: nobody waits',
           CASE WHEN to_regclass(format('%I.%I', p_schema, n.name)) IS NULL
                THEN format('ALTER INDEX %s RENAME TO %I', i.indexrelid::regclass, n.name) END
    FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_am AS a ON a.oid = c.relam AND a.amname IN ('ivfflat', 'hnsw')
    JOIN pg_opclass AS o ON o.oid = i.indclass[0]
    CROSS JOIN LATERAL (SELECT CASE o.opcname WHEN 'vector_cosine_ops' THEN 'idx_gravity_map_embedding_cosine'
                                              ELSE 'idx_gravity_map_embedding_l2' END AS name) AS n
    WHERE i.indrelid = v_memories AND i.indisvalid AND c.relname !~ '^idx_gravity_map_embedding_(cosine|l2)($|_successor$|_old_)'
      AND o.opcname IN ('vector_cosine_ops', 'vector_l2_ops');
END
$_gravity_memory_adoption_indexes$;

COMMENT ON FUNCTION @extschema@._gravity_memory_adoption_indexes(text) IS
    'What gravity_memory_adoption_report() says of indexes.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_adoption_indexes(text) FROM PUBLIC;

-- sql/adoption/_gravity_memory_adoption_rows.sql

-- _gravity_memory_adoption_rows(p_schema): what gravity_memory_adoption_report() says of the rows.
--
-- Reads about 200 blocks of gravity_map, and all of memory_arcs: gravity outside 0 to 1, memories without a user, lengths of
-- embeddings where the column has none, entities that are JSON. Duplicate identifiers are looked for only where no unique index
-- keeps them out, and only in a table up to setup_index_limit; in a larger one, building that index finds them. What the caller
-- may not read, or reads under row security, is not looked at, and a row says so. Nothing here keeps setup from working but twin
-- arcs.
CREATE FUNCTION @extschema@._gravity_memory_adoption_rows(p_schema text)
RETURNS TABLE (severity text, finding text, object text, present text, plan text, lock text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_adoption_rows$
DECLARE
    v_memories CONSTANT text := format('%I.%I', p_schema, 'gravity_map');
    v_arcs CONSTANT text := format('%I.%I', p_schema, 'memory_arcs');
    v_settings CONSTANT jsonb := @extschema@._gravity_memory_settings_in(p_schema);
    v_types jsonb;
    v_bytes numeric;
    v_percent numeric;
    v_rows bigint;
    v_found bigint;
    v_lowest integer;
    v_highest integer;
    v_is_few boolean;
    v_must_derive boolean;
    v_table record;
BEGIN
    FOR v_table IN
        SELECT c.relname FROM pg_class AS c
        WHERE c.oid IN (to_regclass(v_memories), to_regclass(v_arcs)) AND c.relkind IN ('r', 'p')
          AND NOT (has_table_privilege(c.oid, 'SELECT') AND NOT row_security_active(c.oid))
    LOOP
        RETURN QUERY SELECT 'note', 'not_looked_at', v_table.relname::text,
            format('%I may not read all of its rows.', current_user), 'Its rows were not looked at.', 'none', NULL::text;
    END LOOP;

    -- Types by name: a column of a type of somebody's own is not read.
    SELECT jsonb_object_agg(a.attname, a.atttypid::regtype::text) INTO v_types
    FROM pg_attribute AS a
    JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
    WHERE c.oid = to_regclass(v_memories) AND a.attnum > 0 AND NOT a.attisdropped
      AND has_table_privilege(c.oid, 'SELECT') AND NOT row_security_active(c.oid);
    IF v_types IS NOT NULL THEN
        SELECT sum(pg_relation_size(p.relid)) FILTER (WHERE p.isleaf) INTO v_bytes
            FROM pg_partition_tree(v_memories::regclass) AS p;
        v_bytes := COALESCE(v_bytes, pg_relation_size(v_memories::regclass));
        v_percent := LEAST(100, 100.0 * 200 * current_setting('block_size')::integer / GREATEST(v_bytes, 1));

        IF v_types ->> 'gravity_score' IN ('double precision', 'numeric', 'real') THEN
            EXECUTE format('SELECT count(*), count(*) FILTER (WHERE NOT m.gravity_score::double precision BETWEEN 0 AND 1)'
                           ' FROM %s AS m TABLESAMPLE SYSTEM (%s)', v_memories, v_percent) INTO v_rows, v_found;
            RETURN QUERY
            SELECT 'note', 'gravity_out_of_range', 'gravity_map.gravity_score',
                   format('%s of %s rows looked at have a gravity below 0, above 1 or NaN.', v_found, v_rows),
                   'Keep it. NaN and infinity count as not high; nothing checks what is written to an adopted table.', 'none',
                   format('UPDATE %s SET gravity_score = CASE WHEN gravity_score BETWEEN 0 AND 1 THEN gravity_score WHEN gravity_score = ''NaN'' '
                          'THEN NULL WHEN gravity_score < 0 THEN 0 ELSE 1 END WHERE NOT gravity_score BETWEEN 0 AND 1', v_memories)
            WHERE v_found > 0;
        END IF;

        IF v_types ->> 'user_id' IN ('text', 'character varying', 'uuid') THEN
            EXECUTE format('SELECT count(*), count(*) FILTER (WHERE m.user_id IS NULL) FROM %s AS m TABLESAMPLE SYSTEM (%s)',
                v_memories, v_percent)
                INTO v_rows, v_found;
            RETURN QUERY
            SELECT 'note', 'no_user', 'gravity_map.user_id', format('%s of %s rows looked at have none.', v_found, v_rows),
                   'Keep them. They are tagged, and neither form arcs nor are recalled.', 'none', NULL::text
            WHERE v_found > 0;
        END IF;

        IF v_types ->> 'entities' IN ('jsonb', 'json') THEN
            EXECUTE format('SELECT count(m.entities), count(*) FILTER (WHERE jsonb_typeof(m.entities::jsonb) <> ''array'''
                           ' OR EXISTS (SELECT FROM jsonb_array_elements(CASE jsonb_typeof(m.entities::jsonb) WHEN ''array'' THEN m.entities::jsonb'
                           ' ELSE ''[]'' END) AS e WHERE jsonb_typeof(e) <> ''string'')) FROM %s AS m TABLESAMPLE SYSTEM (%s)',
                               v_memories, v_percent)
                INTO v_rows, v_found;
            RETURN QUERY
            SELECT 'note', 'entities_json', 'gravity_map.entities',
                   format('%s of %s values looked at are not arrays of strings.', v_found, v_rows),
                   'Renamed away, the column can be copied in batches into the text[] that setup adds; triggers then tag what is copied.',
                   'none', NULL::text;
        END IF;

        IF v_types ->> 'embedding' ~ '(^|\.)vector$'
           AND EXISTS (SELECT FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
                       JOIN pg_extension AS x ON x.extname = 'vector' AND x.extnamespace = t.typnamespace
                       WHERE a.attrelid = v_memories::regclass AND a.attname = 'embedding' AND a.atttypmod < 0) THEN
            EXECUTE format('SELECT count(m.embedding), min(%I.vector_dims(m.embedding)), max(%I.vector_dims(m.embedding))'
                           ' FROM %s AS m TABLESAMPLE SYSTEM (%s)', @extschema@._gravity_memory_vector_schema(),
                           @extschema@._gravity_memory_vector_schema(), v_memories, v_percent) INTO v_rows, v_lowest, v_highest;
            RETURN QUERY
            SELECT 'note', 'embedding_lengths', 'gravity_map.embedding',
                   format('%s embeddings looked at have from %s to %s dimensions.', v_rows, v_lowest, v_highest),
                   'All must have the same before the column can be given it.', 'none',
                   CASE WHEN v_lowest = v_highest THEN format('SET gravity_memory.embedding_dimensions = %s', v_lowest) END
            WHERE v_rows > 0;
        END IF;

        IF v_bytes <= 1024 * 1024 * (v_settings ->> 'setup_index_limit')::numeric
           AND EXISTS (SELECT FROM @extschema@._gravity_memory_mismatches_in(p_schema) AS m
                       WHERE m.object = 'gravity_map.id' AND m.ordinal = 100) AND v_types ->> 'id' = 'uuid' THEN
            EXECUTE format('SELECT count(*) - count(DISTINCT m.id) FROM %s AS m', v_memories) INTO v_found;
            RETURN QUERY
            SELECT 'blocks', 'duplicate_keys', 'gravity_map.id', format('%s rows have no id, or one that another row has.',
                v_found),
                   'The unique index on id cannot be built while they are there.', 'none', NULL::text
            WHERE v_found > 0;
        END IF;

        -- Setup derives what recall reads when it attaches the triggers that keep it; above this it notes every user instead.
        v_must_derive := EXISTS (
                SELECT FROM @extschema@._gravity_memory_table_catalogue() AS t
                WHERE t.is_derived AND to_regclass(format('%I.%I', p_schema, t.table_name)) IS NULL)
            OR EXISTS (
                SELECT FROM @extschema@._gravity_memory_trigger_catalogue() AS c
                WHERE c.definition ~ '_gravity_memory_keep_derived\(\)$'
                  AND NOT EXISTS (SELECT FROM pg_trigger AS g WHERE g.tgrelid = to_regclass(v_memories)
                      AND g.tgname = c.trigger_name));
        IF v_must_derive THEN
            EXECUTE format('SELECT count(*) FROM (SELECT FROM %s AS m LIMIT 10001) AS m', v_memories) INTO v_rows;
            v_is_few := v_rows <= 10000
                AND (SELECT pg_table_size(v_memories::regclass) + COALESCE(sum(pg_table_size(p.relid)) FILTER (WHERE p.isleaf
                    AND p.relid <> v_memories::regclass), 0)
                     FROM pg_partition_tree(v_memories::regclass) AS p) <= 1024 * 1024 * (v_settings ->> 'setup_index_limit')::numeric;
            RETURN QUERY
            SELECT 'change', 'rows_to_derive', 'memory_digests, memory_postings',
                   format('%s memories, of which nothing is derived.', CASE WHEN v_rows > 10000 THEN 'More than 10000'
                       ELSE v_rows::text END),
                   CASE WHEN v_is_few THEN 'derive rows, at once'
                       ELSE 'derive rows, afterwards by CALL gravity_memory_rebuild_recall(), in batches' END,
                   CASE WHEN v_is_few THEN format('Writers wait for about %s s', round(v_rows * 0.0003, 1)) ELSE 'none' END,
                       NULL::text
            WHERE v_rows > 0;
            RETURN QUERY
            SELECT 'note', 'old_memories', 'gravity_map', 'The memories that are there.',
                   'Keep them as they are: they are neither tagged nor announced, and join arcs when gravity_memory_rebuild_arcs(user_id) runs.',
                   'none', NULL::text
            WHERE v_rows > 0;
        END IF;
    END IF;

    -- The specification's own trigger makes twins when two sessions insert at once.
    SELECT jsonb_object_agg(a.attname, a.atttypid::regtype::text) INTO v_types
    FROM pg_attribute AS a
    JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
    WHERE c.oid = to_regclass(v_arcs) AND a.attnum > 0 AND NOT a.attisdropped
      AND has_table_privilege(c.oid, 'SELECT') AND NOT row_security_active(c.oid);
    IF (SELECT count(*) = 4 AND bool_and(t.value IN ('text', 'character varying')) FROM jsonb_each_text(v_types) AS t
        WHERE t.key IN ('user_id', 'emotion_type', 'arc_name', 'evolution_stage'))
       AND NOT EXISTS (SELECT FROM pg_index AS i
                       WHERE i.indexrelid = to_regclass(format('%I.%I', p_schema, 'idx_memory_arcs_open_automatic'))
                           AND i.indisvalid) THEN
        EXECUTE format('SELECT COALESCE(sum(d.n - 1), 0) FROM (SELECT count(*) AS n FROM %s AS a WHERE a.evolution_stage IN (''forming'', ''active'')'
                       ' AND a.arc_name = a.emotion_type || '' arc (auto-created)'' AND a.user_id IS NOT NULL GROUP BY a.user_id, a.emotion_type) AS d',
                       v_arcs) INTO v_found;
        RETURN QUERY
        SELECT 'blocks', 'twin_arcs', 'memory_arcs',
               format('%s open automatic arcs have a twin of the same user and emotion.', v_found),
               'Setup stops, or the build of idx_memory_arcs_open_automatic does: of such arcs there may be one. Close all but the newest.',
               'none',
               format('UPDATE %1$s AS a SET evolution_stage = ''dormant'' WHERE a.evolution_stage IN (''forming'', ''active'')'
                      ' AND a.arc_name = a.emotion_type || '' arc (auto-created)'' AND a.ctid <> (SELECT o.ctid FROM %1$s AS o'
                      ' WHERE o.user_id = a.user_id AND o.emotion_type = a.emotion_type AND o.arc_name = a.arc_name'
                      ' AND o.evolution_stage IN (''forming'', ''active'') ORDER BY %2$s o.ctid DESC LIMIT 1)', v_arcs,
                      CASE WHEN v_types ? 'created_at' THEN 'o.created_at DESC NULLS LAST,' ELSE '' END)
        WHERE v_found > 0;
    END IF;
END
$_gravity_memory_adoption_rows$;

COMMENT ON FUNCTION @extschema@._gravity_memory_adoption_rows(text) IS
    'What gravity_memory_adoption_report() says of rows.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_adoption_rows(text) FROM PUBLIC;

-- sql/adoption/_gravity_memory_adoption_jobs.sql

-- _gravity_memory_adoption_jobs(p_schema): what gravity_memory_adoption_report() says of the jobs of pg_cron.
--
-- A job made by hand that calls the same function is kept and not doubled, whatever its name; one of our name that runs something
-- else is kept, too, and ours is not scheduled. pg_cron shows a role its own jobs only. Without pg_cron one row says so.
CREATE FUNCTION @extschema@._gravity_memory_adoption_jobs(p_schema text)
RETURNS TABLE (severity text, finding text, object text, present text, plan text, lock text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
AS $_gravity_memory_adoption_jobs$
DECLARE
    v_wanted record;
    v_job record;
    v_name text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension AS e WHERE e.extname = 'pg_cron') THEN
        RETURN QUERY SELECT 'note', 'no_pg_cron', 'pg_cron', 'pg_cron is not in this database.',
            'Schedule no job; a NOTICE of setup says what to run where.', 'none', NULL::text;
        RETURN;
    END IF;
    IF NOT (has_schema_privilege('cron', 'USAGE') AND has_table_privilege('cron.job', 'SELECT')) THEN
        RETURN QUERY SELECT 'note', 'not_looked_at', 'cron.job', format('%I may not use pg_cron.', current_user),
            'Schedule no job; a NOTICE of setup says what a role that may use pg_cron runs.', 'none',
            format('GRANT USAGE ON SCHEMA cron TO %I', current_user);
        RETURN;
    END IF;
    FOR v_wanted IN
        SELECT c.job_name, s.settings ->> d.setting AS schedule, replace(c.command, ' @extschema@.', format(' %I.',
            p_schema)) AS command
        FROM @extschema@._gravity_memory_job_catalogue() AS c
        JOIN (VALUES ('cleanup-cache', 'cache_cleanup_schedule'), ('cleanup-events', 'feed_cleanup_schedule'),
                     ('evolve-arcs', 'arc_evolution_schedule'), ('train-vector-indexes', 'embedding_index_schedule'))
             AS d (job_name, setting) ON d.job_name = c.job_name
        CROSS JOIN (SELECT @extschema@._gravity_memory_settings_in(p_schema) AS settings) AS s
    LOOP
        EXECUTE 'SELECT j.jobname, j.schedule, j.command, j.username, j.active FROM cron.job AS j'
                ' WHERE j.database = current_database() AND @extschema@._gravity_memory_is_same_job(j.command, $1)'
                ' ORDER BY j.active DESC, j.jobid LIMIT 1'
            INTO v_job USING v_wanted.command;
        v_name := COALESCE(v_job.jobname, v_wanted.job_name);
        IF v_job.command IS NOT NULL THEN
            RETURN QUERY SELECT 'note', 'same_job', v_name,
                format('Runs %s at %s as %I%s.', v_job.command, v_job.schedule, v_job.username,
                       CASE WHEN v_job.active THEN '' ELSE ', and is switched off' END),
                'Keep it, and schedule none beside it; it calls ours from then on.', 'none', NULL::text;
            CONTINUE;
        END IF;
        EXECUTE 'SELECT j.jobname, j.schedule, j.command FROM cron.job AS j WHERE j.jobname = $1 AND j.username = current_user LIMIT 1'
            INTO v_job USING v_wanted.job_name;
        IF v_job.command IS NOT NULL THEN
            RETURN QUERY SELECT 'note', 'other_job', v_wanted.job_name, format('A job of that name runs something else: %s',
                v_job.command),
                'Keep it. Ours is not scheduled; when setup is done, schedule it under another name.', 'none',
                format('SELECT cron.schedule(%L, %L, %L)', 'gravity_memory ' || v_wanted.job_name, v_wanted.schedule,
                    v_wanted.command);
        ELSE
            RETURN QUERY SELECT 'change', 'missing_job', v_wanted.job_name, format('No job runs %s.', v_wanted.command),
                format('schedule job, at %s', v_wanted.schedule), 'none', NULL::text;
        END IF;
    END LOOP;
END
$_gravity_memory_adoption_jobs$;

COMMENT ON FUNCTION @extschema@._gravity_memory_adoption_jobs(text) IS
    'What gravity_memory_adoption_report() says of jobs.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_adoption_jobs(text) FROM PUBLIC;

-- sql/adoption/gravity_memory_adoption_report.sql

-- gravity_memory_adoption_report(p_schema): what setup would find in a schema and do with it, before it does anything.
--
-- p_schema: where the tables are; NULL (default): the extension's own schema. With SET gravity_memory.setup = off, CREATE
-- EXTENSION makes functions only, in any schema, so that this can be asked before a table is touched, and where functions made by
-- hand would keep the extension from being created beside them. Changes nothing, takes no lock but that of reading, and works on a
-- standby. Returns one row per finding, what stops setup first: severity (blocks: setup or CREATE EXTENSION stops; change: setup
-- does something; note: to be known), finding (a short name, the same in every version), object, present (what is there), plan
-- (what setup does), lock (what is locked, and how long, by the plan or by the remedy where there is one) and remedy: a statement
-- for the owner to run before setup, NULL where there is nothing to run. docs/adoption.md goes through it. Sizes and rows are
-- estimates of the planner, and gravity_map is read in samples, so that it takes some tenths of a second, whatever the number of
-- memories; where it was never analyzed, up to 100,000 embeddings are counted, which reads the table until they are found. Errors:
-- 3F000 for a schema that does not exist. Reads with the caller's rights; who owns the tables may see all of it.
CREATE FUNCTION @extschema@.gravity_memory_adoption_report(p_schema text DEFAULT NULL)
RETURNS TABLE (severity text, finding text, object text, present text, plan text, lock text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $gravity_memory_adoption_report$
DECLARE
    v_own CONSTANT text := (SELECT n.nspname FROM pg_namespace AS n WHERE n.oid = '@extschema@'::regnamespace);
    v_schema CONSTANT text := COALESCE(p_schema, v_own);
BEGIN
    IF NOT EXISTS (SELECT FROM pg_namespace AS n WHERE n.nspname = v_schema) THEN
        RAISE EXCEPTION 'there is no schema %', quote_literal(v_schema)
            USING ERRCODE = 'invalid_schema_name',
                  HINT = COALESCE((SELECT 'Tables called gravity_map are in: ' || string_agg(n.nspname, ', ' ORDER BY n.nspname)
                      || '.'
                                   FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                                       WHERE c.relname = 'gravity_map'),
                                  'Name the schema of the tables, as it is in pg_namespace, without quotes.');
    END IF;

    RETURN QUERY
    SELECT f.*
    FROM (
        SELECT 'note', 'extension', 'gravity_memory', format('The extension is in the schema %I.', v_own),
               format('To adopt the tables of %I: DROP EXTENSION gravity_memory, then CREATE EXTENSION gravity_memory SCHEMA %I.',
                   v_schema, v_schema),
               'none', NULL
        WHERE v_schema <> v_own
        UNION ALL SELECT t.* FROM @extschema@._gravity_memory_adoption_functions(v_schema) AS t
        UNION ALL SELECT t.* FROM @extschema@._gravity_memory_adoption_tables(v_schema) AS t
        UNION ALL SELECT t.* FROM @extschema@._gravity_memory_adoption_triggers(v_schema) AS t
        UNION ALL SELECT t.* FROM @extschema@._gravity_memory_adoption_indexes(v_schema) AS t
        UNION ALL SELECT t.* FROM @extschema@._gravity_memory_adoption_rows(v_schema) AS t
        UNION ALL SELECT t.* FROM @extschema@._gravity_memory_adoption_jobs(v_schema) AS t
    ) AS f (severity, finding, object, present, plan, lock, remedy)
    ORDER BY array_position('{blocks,change,note}', f.severity), f.finding, f.object, f.present;
END
$gravity_memory_adoption_report$;

COMMENT ON FUNCTION @extschema@.gravity_memory_adoption_report(text) IS
    'What setup would find in a schema, do with it and lock, before it does anything; one row per finding, what stops it first.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_adoption_report(text) FROM PUBLIC;

-- sql/setup/bind_vector_schema.sql

-- Writes the name of pgvector's schema into the functions above, before anything calls them; also while a dump is being restored.
DO $bind_vector_schema$
BEGIN
    PERFORM @extschema@._gravity_memory_bind_vector_schema();
END
$bind_vector_schema$;

-- sql/upgrades/owners.sql

-- Gives what this script made to the owner of the extension, who need not be who runs it.
--
-- A superuser may run it for the owner, who could otherwise not replace these functions with the next version's. pg_dump compares
-- privileges with those that the script left; a REVOKE, though nothing is left to revoke, has them recorded under the new owner.
DO $owners$
DECLARE
    v_function record;
BEGIN
    FOR v_function IN
        SELECT p.oid::pg_catalog.regprocedure AS signature, pg_catalog.pg_get_userbyid(e.extowner) AS owner,
               NOT pg_catalog.has_function_privilege('public', p.oid, 'EXECUTE') AS is_revoked
        FROM pg_catalog.pg_proc AS p
        JOIN pg_catalog.pg_depend AS d
          ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) p.oid
         AND d.deptype OPERATOR(pg_catalog.=) 'e'
         AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
        JOIN pg_catalog.pg_extension AS e ON e.oid OPERATOR(pg_catalog.=) d.refobjid
        WHERE e.extname OPERATOR(pg_catalog.=) 'gravity_memory'
          AND pg_catalog.pg_get_userbyid(p.proowner) OPERATOR(pg_catalog.=) CURRENT_USER
          AND p.proowner OPERATOR(pg_catalog.<>) e.extowner
    LOOP
        EXECUTE pg_catalog.format('ALTER ROUTINE %s OWNER TO %I', v_function.signature, v_function.owner);
        IF v_function.is_revoked THEN
            EXECUTE pg_catalog.format('REVOKE EXECUTE ON ROUTINE %s FROM PUBLIC', v_function.signature);
        END IF;
    END LOOP;
END
$owners$;

-- sql/setup/install.sql

-- Creates or adopts the tables, unless a dump is being restored, or the session said SET gravity_memory.setup = off.
--
-- A restore brings the tables, their rows, triggers and jobs itself; what CREATE EXTENSION made before would be in its way (a
-- job inserted here makes COPY cron.job fail and loses the other jobs). pg_dump and pg_restore say SET row_security = off, and
-- nobody else does. With gravity_memory.setup = off, no table is touched: the functions are there for a look at what setup would
-- do, and setup is called when its time has come.
DO $install$
DECLARE
    -- Empty where a session or transaction set it and took it back.
    v_setup CONSTANT text := pg_catalog.lower(pg_catalog.btrim(
        COALESCE(pg_catalog.current_setting('gravity_memory.setup', true), '')));
BEGIN
    IF pg_catalog.current_setting('row_security') OPERATOR(pg_catalog.<>) 'on' THEN
        RETURN;
    END IF;
    IF v_setup OPERATOR(pg_catalog.<>) ALL ('{on,off,""}'::pg_catalog.text[]) THEN
        RAISE EXCEPTION 'gravity_memory.setup must be on or off, not %', pg_catalog.quote_literal(v_setup)
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'RESET gravity_memory.setup; or SET gravity_memory.setup = off for the functions alone, without tables and '
                         'triggers.';
    END IF;
    -- CREATE EXTENSION hides notices; setup's say what is left to do, and are meant to be read.
    IF pg_catalog.current_setting('client_min_messages') OPERATOR(pg_catalog.=) 'warning' THEN
        PERFORM pg_catalog.set_config('client_min_messages', 'notice', true);
    END IF;
    IF v_setup OPERATOR(pg_catalog.=) 'off' THEN
        RAISE NOTICE 'gravity_memory: its functions are there; gravity_memory.setup is off, so that no table was touched.'
            USING HINT = 'SELECT * FROM @extschema@.gravity_memory_adoption_report() says what is to do, '
                         'SELECT * FROM @extschema@.gravity_memory_setup() does it.';
        RETURN;
    END IF;
    PERFORM @extschema@.gravity_memory_setup();
END
$install$;
