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

-- sql/schedules/gravity_memory_schedule_jobs.sql

-- gravity_memory_schedule_jobs(): schedules the jobs of the catalogue in pg_cron, or says how to run them elsewhere.
--
-- Returns the names of the jobs it created or changed: none when all is as it should be, so it can be called at any time.
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
-- both the user's own: the totals of an arc tell about every memory in it. The user '' of memory_events is nobody: its rows tell every
-- reader of a break in the feed. Settings are read by everybody, because every trigger reads them, and written by the owner alone.
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
    SELECT 'memory_events', 'gravity_memory_own_rows', 'SELECT', 'user_id = '''' OR user_id = ' || w.user_id, NULL
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
BEGIN
    -- An import brings the totals, too.
    IF NOT @extschema@._gravity_memory_may_write_arcs() OR (TG_OP = 'INSERT' AND current_setting('gravity_memory.importing', true) = 'on') THEN
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
-- Returns how many automatic arcs the user has then. Errors: 22004 when p_user_id is NULL. Unknown users have no arcs: 0.
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
Errors: 22004 when p_user_id is NULL.';

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
     'memory_id IN (SELECT m.id FROM @extschema@.gravity_map AS m WHERE m.user_id = $1) '
     'OR arc_id IN (SELECT a.id FROM @extschema@.memory_arcs AS a WHERE a.user_id = $1) OR user_id = $1', 3, 'memory_id, arc_id'),
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
-- Links of the user's memories to another user's arc go too, and that arc's totals follow.
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
    v_stray bigint;
BEGIN
    PERFORM @extschema@._gravity_memory_check_erasure('gravity_memory_forget_user', p_user_id);
    IF EXISTS (SELECT FROM @extschema@.memory_recall_gaps AS g WHERE g.user_id = p_user_id OR g.is_every_user)
       OR EXISTS (SELECT FROM @extschema@.gravity_map AS m
                  WHERE m.user_id = p_user_id
                    AND NOT EXISTS (SELECT FROM @extschema@.memory_digests AS d WHERE d.user_id = p_user_id AND d.memory_id = m.id)) THEN
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
        table_name := v_rows.table_name;
        removed := v_rows.held;
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
-- from NULL. What recall reads is left out: it follows from the memories. A link is exported when memory and arc are both the user's.
-- One statement, one snapshot. gravity_memory_import_user() makes the same rows elsewhere.
-- Errors: 22004 for NULL; 55000 when a table is missing; 42501 for whoever may not see all of it.
CREATE FUNCTION @extschema@.gravity_memory_export_user(p_user_id text)
RETURNS SETOF text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET extra_float_digits = 1
SET timezone = 'UTC'
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
               COALESCE((SELECT string_agg(format('CASE WHEN t.%I::text = ''null'' THEN %L END', a.attname, a.attname), ', ' ORDER BY a.attnum)
                         FROM pg_attribute AS a
                         WHERE a.attrelid = r.relation AND a.attnum > 0 AND NOT a.attisdropped
                           AND a.atttypid IN ('json'::regtype, 'jsonb'::regtype)), 'NULL::text') AS json_nulls
        FROM @extschema@._gravity_memory_erasure_catalogue() AS c
        CROSS JOIN LATERAL (SELECT @extschema@._gravity_memory_qualified_name(c.table_name)::regclass AS relation) AS r
        WHERE c.export_order IS NOT NULL
        ORDER BY c.export_order
    LOOP
        -- A line break outside of strings is white space, and only a column of type json can bring one.
        RETURN QUERY EXECUTE format(
            'SELECT translate(''{"table":%s,"row":'' || row_to_json(t)::text '
            '|| CASE WHEN n.names = ''{}'' THEN '''' ELSE '',"json_nulls":'' || array_to_json(n.names)::text END || ''}'', E''\n\r'', ''  '') '
            'FROM %s AS t CROSS JOIN LATERAL (SELECT array_remove(ARRAY[%s], NULL) AS names) AS n WHERE %s ORDER BY %s',
            to_json(v_table.table_name), v_table.relation, v_table.json_nulls, v_table.condition, v_table.row_order)
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
-- Returns one row per table of the lines: how many rows were inserted, and how many left out.
-- Errors: 22004 for NULL; 22023 for lines of another user, of another format, or that are no export, 22P02 for those that are no
-- JSON; 42703 where
-- the table lacks a column of the export; 23503 for links to rows that are not there; those of the tables themselves, as for
-- embeddings of another
-- dimension; 55000 when a table is missing; 42501 for whoever may not write all of it. Nothing is imported then.
CREATE FUNCTION @extschema@.gravity_memory_import_user(p_user_id text, p_lines text[])
RETURNS TABLE (table_name text, inserted bigint, left_out bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_import_user$
DECLARE
    v_lines json[];
    v_rows record;
    v_columns text[];
    v_missing text;
    v_problem text;
BEGIN
    PERFORM @extschema@._gravity_memory_check_erasure('gravity_memory_import_user', p_user_id);
    IF p_lines IS NULL THEN
        RAISE EXCEPTION 'gravity_memory_import_user(): p_lines must not be NULL'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Pass the lines that gravity_memory_export_user() returned.';
    END IF;
    BEGIN
        v_lines := ARRAY(SELECT l.line::json FROM unnest(p_lines) WITH ORDINALITY AS l (line, number) WHERE l.line ~ '\S' ORDER BY l.number);
    EXCEPTION WHEN invalid_text_representation OR untranslatable_character THEN
        RAISE EXCEPTION 'gravity_memory_import_user(): a line is no JSON: %', SQLERRM
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
    WHERE CASE
              WHEN json_typeof(l.line) <> 'object' THEN true
              WHEN l.line -> 'table' IS NULL THEN
                  l.line -> 'gravity_memory' IS NULL OR (l.line ->> 'user_id' = p_user_id AND l.line ->> 'format' = '1') IS NOT TRUE
              ELSE l.line -> 'gravity_memory' IS NOT NULL OR c.table_name IS NULL OR COALESCE(json_typeof(l.line -> 'row'), '') <> 'object'
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
                         CASE WHEN a.atttypid IN ('json'::regtype, 'jsonb'::regtype)
                              THEN format('CASE WHEN (l.line -> ''json_nulls'')::jsonb ? %L THEN ''null'' ELSE r.%I END', n.name, n.name)
                              ELSE format('r.%I', n.name) END, ', ' ORDER BY n.number)
                     FROM unnest(v_columns) WITH ORDINALITY AS n (name, number)
                     JOIN pg_attribute AS a ON a.attrelid = v_rows.relation AND a.attname = n.name),
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
    PERFORM set_config('gravity_memory.importing', '', true);

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
