\echo Use "ALTER EXTENSION gravity_memory UPDATE TO '0.3.0'" to load this file. \quit

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

-- sql/upgrades/0.2.1--0.3.0.sql

-- By hand, before the objects of 0.3.0: what their CREATE OR REPLACE leaves undone.

-- Sessions that are open keep the plans of these two, into which PostgreSQL has computed the defaults of 0.2.1 as constants, until the
-- functions themselves are written anew: without this, a pool of connections would know no new setting.
ALTER FUNCTION @extschema@._gravity_memory_effective_settings() STABLE;
ALTER FUNCTION @extschema@.gravity_memory_reset(text) VOLATILE;

-- It returns another column.
DROP FUNCTION @extschema@._gravity_memory_table_catalogue();

-- sql/settings/_gravity_memory_setting_definitions.sql

-- _gravity_memory_setting_definitions(): the settings that exist, each with its default.
--
-- This is the only place where a default stands. Defaults marked (spec) are the values written in the specification of the
-- database layer; the others follow from measurements or from PostgreSQL's own limits.
-- Returns one row per setting: kind (how a value is checked), default, bounds for numbers, allowed values for choices,
-- unit and meaning.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_setting_definitions()
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
    ('notify', 'choice', 'payload', NULL, NULL, '{payload,wakeup,off}', '',
     'payload: memory_created, memory_updated and arc_created are announced with their data (spec), and commits queue for it. wakeup: '
     'changes are recorded for memory_changes_since(), and an empty memory_changes says so. off: nothing is announced.'),
    ('feed', 'choice', 'off', NULL, NULL, '{on,off}', '',
     'on: changes are recorded for memory_changes_since() whatever notify is; unless that is off, memory_changes is announced, too.'),
    ('feed_retention', 'interval', '7 days', NULL, NULL, NULL, 'interval',
     'How long a cursor of the feed of changes is good for. Events are kept for twice as long.'),
    ('feed_cleanup_schedule', 'schedule', '30 * * * *', NULL, NULL, NULL, 'cron schedule',
     'When the job cleanup-events runs gravity_memory_cleanup_events().'),
    ('broadcast', 'choice', 'off', NULL, NULL, '{on,off}', '',
     'on: each new memory is sent with Supabase''s realtime.send() to the private topic broadcasts:<user_id>, event memory_created.'),
    ('notify_bulk_rows', 'integer', '1000', 0, 1000000, NULL, 'rows',
     'A statement that writes more rows than this announces, and broadcasts, one message per user, with a count.'),
    ('notify_queue_limit', 'number', '0.5', 0, 1, NULL, 'share 0..1',
     'Nothing is announced while more than this share of PostgreSQL''s notification queue is in use: a full queue would '
     'fail every commit.'),
    -- Cleanup.
    ('cache_retention', 'interval', '24 hours', NULL, NULL, NULL, 'interval',
     'cleanup_old_cache() deletes entries of consciousness_cache that are older (spec).'),
    ('cache_cleanup_schedule', 'schedule', '0 * * * *', NULL, NULL, NULL, 'cron schedule',
     'When the job cleanup-cache runs cleanup_old_cache() (spec).'),
    -- Recall.
    ('recall_oversampling', 'integer', '8', 1, 1000, NULL, 'memories per result',
     'How many memories a search compares by full vector at first, per result, for up to ten results. It goes on from there as '
     'recall_margin says.'),
    ('recall_margin', 'number', '2', 0, 20, NULL, 'standard deviations',
     'How far beyond its expected place in the order of signatures a memory is still looked for. More finds more and costs more: '
     'at 2, .996 of the ten nearest of 100,000.'),
    ('text_search_config', 'text search configuration', 'english', NULL, NULL, NULL, 'text search configuration',
     'Which words of content and query are the same and which are stop words. After a change, CALL '
     'gravity_memory_rebuild_recall() derives the terms of existing memories anew.'),
    ('derive_bulk_rows', 'integer', '0', 0, 1000000000, NULL, 'rows',
     'An INSERT of more rows than this leaves what recall reads to CALL gravity_memory_rebuild_recall(), and is cheaper; until then '
     'recall looks at every memory of its users. 0 derives at once, always.'),
    -- Indexes.
    ('embedding_index', 'choice', 'ivfflat', NULL, NULL, '{ivfflat,hnsw,none}', '',
     'The kind of the two indexes on embedding, for searches across users (spec: ivfflat). hnsw finds more and costs writers '
     'more; none builds none.'),
    ('embedding_index_min_rows', 'integer', '10000', 1, 1000000000, NULL, 'memories',
     'The indexes on embedding are built when this many memories have one: fewer are compared exactly in milliseconds, and '
     'an index trained on few rows stays bad.'),
    ('embedding_index_schedule', 'schedule', '*/10 * * * *', NULL, NULL, NULL, 'cron schedule',
     'When the job train-vector-indexes looks whether the indexes on embedding suit the number of rows.'),
    ('embedding_lists', 'integer', '0', 0, 32768, NULL, 'lists',
     'The number of lists of the ivfflat indexes on embedding; 0 chooses it by the number of rows, and again as they grow.'),
    ('embedding_probes', 'integer', '0', 0, 32768, NULL, 'lists',
     'How many lists gravity_memory_search_all() searches; 0 chooses it by the number of lists.'),
    ('setup_index_limit', 'integer', '100', 0, 1000000, NULL, 'MB',
     'gravity_memory_setup() builds missing indexes itself on tables up to this size; on larger ones it would block writers '
     'for long and points to gravity_memory_index_ddl() instead.')
$_gravity_memory_setting_definitions$;

COMMENT ON FUNCTION @extschema@._gravity_memory_setting_definitions() IS
    'The settings of gravity_memory with kind, default, bounds, unit and meaning.';

-- sql/schedules/_gravity_memory_job_catalogue.sql

-- _gravity_memory_job_catalogue(): the jobs that keep a database in order, with the schedules in force.
--
-- cleanup-cache and its hourly schedule come from the specification. The commands name their schema, because pg_cron runs them
-- with the search_path of the role.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_job_catalogue()
RETURNS TABLE (job_name text, schedule text, command text)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_job_catalogue$
    SELECT j.job_name, s.settings ->> j.setting, j.command
    FROM (VALUES
            ('cleanup-cache', 'cache_cleanup_schedule', 'SELECT @extschema@.cleanup_old_cache()'),
            ('cleanup-events', 'feed_cleanup_schedule', 'SELECT @extschema@.gravity_memory_cleanup_events()'),
            ('evolve-arcs', 'arc_evolution_schedule', 'SELECT @extschema@.gravity_memory_evolve_arcs()'),
            ('train-vector-indexes', 'embedding_index_schedule', 'SELECT @extschema@.gravity_memory_train_vector_indexes()')
         ) AS j (job_name, setting, command)
    CROSS JOIN (SELECT @extschema@._gravity_memory_effective_settings() AS settings) AS s
$_gravity_memory_job_catalogue$;

COMMENT ON FUNCTION @extschema@._gravity_memory_job_catalogue() IS
    'The scheduled jobs of gravity_memory: name, schedule in force, command.';

-- sql/tables/_gravity_memory_table_catalogue.sql

-- _gravity_memory_table_catalogue(): the tables that setup creates or adopts, in an order in which foreign keys can be made.
--
-- table_constraints are added only when setup creates the table: an adopted table keeps the constraints its owner chose.
-- A derived table holds nothing that cannot be computed from gravity_map; setup fills it when it makes it. A closed table tells about
-- memories, and the policies of gravity_map do not reach it: setup makes it with row security and no policy.
-- storage is what follows WITH. Derived tables are vacuumed early: index-only scans depend on it.
CREATE FUNCTION @extschema@._gravity_memory_table_catalogue()
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
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_column_catalogue()
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
    ('gravity_memory_settings', 2, 'value', 'text', 'NOT NULL', '{}'),

    ('memory_digests', 1, 'user_id',   'text',        'NOT NULL', '{}'),
    ('memory_digests', 2, 'memory_id', 'uuid',        'NOT NULL', '{}'),
    ('memory_digests', 3, 'length',    'integer',     'NOT NULL', '{}'),
    ('memory_digests', 4, 'signature', 'bit varying', '', '{}'),
    ('memory_digests', 5, 'term_keys', 'bigint[]',    'NOT NULL', '{}'),

    ('memory_postings', 1, 'term_key',  'bigint',   'NOT NULL', '{}'),
    ('memory_postings', 2, 'memory_id', 'uuid',     'NOT NULL', '{}'),
    ('memory_postings', 3, 'frequency', 'smallint', 'NOT NULL', '{}'),
    ('memory_postings', 4, 'length',    'smallint', 'NOT NULL', '{}'),

    ('memory_recall_gaps', 1, 'user_id',       'text',    'NOT NULL', '{}'),
    ('memory_recall_gaps', 2, 'is_every_user', 'boolean', 'NOT NULL', '{}'),
    ('memory_recall_gaps', 3, 'noted_at',      'timestamp with time zone', 'NOT NULL DEFAULT clock_timestamp()', '{}'),
    ('memory_recall_gaps', 4, 'only_missing',  'boolean', 'NOT NULL DEFAULT false', '{}'),

    ('memory_events', 1, 'user_id',    'text',   'NOT NULL', '{}'),
    ('memory_events', 2, 'xid',        'xid8',   'NOT NULL DEFAULT pg_current_xact_id()', '{}'),
    ('memory_events', 3, 'event_id',   'bigint', 'NOT NULL GENERATED BY DEFAULT AS IDENTITY', '{}'),
    ('memory_events', 4, 'event',      'text',   'NOT NULL', '{}'),
    ('memory_events', 5, 'subject_id', 'uuid',   '', '{}'),
    ('memory_events', 6, 'payload',    'jsonb',  'NOT NULL', '{}'),
    ('memory_events', 7, 'wakes',      'boolean', 'NOT NULL', '{}'),
    ('memory_events', 8, 'created_at', 'timestamp with time zone', 'NOT NULL DEFAULT clock_timestamp()', '{}')
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
    'Every index of gravity_memory: definition, the query it serves, and whether the specification names it.';

-- sql/triggers/_gravity_memory_trigger_catalogue.sql

-- _gravity_memory_trigger_catalogue(): every trigger, in the words in which pg_get_triggerdef() prints it.
--
-- Setup compares the two texts, so a trigger that someone changed is put right and one that is right is not touched.
-- Only tagging changes the row, so only it runs BEFORE and per row; all else runs once per statement, because counting per
-- row made the cost of a bulk insert quadratic. Triggers with transition tables take one event each.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_trigger_catalogue()
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
    ('trigger_keep_derived', 'gravity_map',
     'CREATE TRIGGER trigger_keep_derived AFTER INSERT ON @extschema@.gravity_map REFERENCING NEW TABLE AS new_rows '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._gravity_memory_keep_derived()'),
    ('trigger_keep_derived_on_update', 'gravity_map',
     'CREATE TRIGGER trigger_keep_derived_on_update AFTER UPDATE ON @extschema@.gravity_map '
     'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._gravity_memory_keep_derived()'),
    ('trigger_keep_derived_on_delete', 'gravity_map',
     'CREATE TRIGGER trigger_keep_derived_on_delete AFTER DELETE ON @extschema@.gravity_map REFERENCING OLD TABLE AS old_rows '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._gravity_memory_keep_derived()'),
    ('trigger_keep_derived_on_truncate', 'gravity_map',
     'CREATE TRIGGER trigger_keep_derived_on_truncate AFTER TRUNCATE ON @extschema@.gravity_map '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._gravity_memory_keep_derived()'),
    ('trigger_publish_memories', 'gravity_map',
     'CREATE TRIGGER trigger_publish_memories AFTER INSERT ON @extschema@.gravity_map REFERENCING NEW TABLE AS new_rows '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._gravity_memory_publish_memories()'),
    ('trigger_publish_memories_on_update', 'gravity_map',
     'CREATE TRIGGER trigger_publish_memories_on_update AFTER UPDATE ON @extschema@.gravity_map '
     'REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._gravity_memory_publish_memories()'),
    ('trigger_publish_memories_on_delete', 'gravity_map',
     'CREATE TRIGGER trigger_publish_memories_on_delete AFTER DELETE ON @extschema@.gravity_map REFERENCING OLD TABLE AS old_rows '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._gravity_memory_publish_memories()'),
    ('trigger_break_feed_on_truncate', 'gravity_map',
     'CREATE TRIGGER trigger_break_feed_on_truncate AFTER TRUNCATE ON @extschema@.gravity_map '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._gravity_memory_break_feed_on_truncate()'),
    ('trigger_publish_arcs', 'memory_arcs',
     'CREATE TRIGGER trigger_publish_arcs AFTER INSERT ON @extschema@.memory_arcs REFERENCING NEW TABLE AS new_rows '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._gravity_memory_publish_arcs()'),
    ('trigger_publish_arcs_on_update', 'memory_arcs',
     'CREATE TRIGGER trigger_publish_arcs_on_update AFTER UPDATE ON @extschema@.memory_arcs REFERENCING NEW TABLE AS new_rows '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._gravity_memory_publish_arcs()'),
    ('trigger_publish_arcs_on_delete', 'memory_arcs',
     'CREATE TRIGGER trigger_publish_arcs_on_delete AFTER DELETE ON @extschema@.memory_arcs REFERENCING OLD TABLE AS old_rows '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._gravity_memory_publish_arcs()'),
    ('trigger_break_feed_on_arcs_truncate', 'memory_arcs',
     'CREATE TRIGGER trigger_break_feed_on_arcs_truncate AFTER TRUNCATE ON @extschema@.memory_arcs '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._gravity_memory_break_feed_on_truncate()'),
    ('trigger_break_feed_on_events_truncate', 'memory_events',
     'CREATE TRIGGER trigger_break_feed_on_events_truncate AFTER TRUNCATE ON @extschema@.memory_events '
     'FOR EACH STATEMENT EXECUTE FUNCTION @extschema@._gravity_memory_break_feed_on_truncate()'),
    ('trigger_wake_listeners', 'memory_events',
     'CREATE CONSTRAINT TRIGGER trigger_wake_listeners AFTER INSERT ON @extschema@.memory_events '
     'DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (new.wakes) '
     'EXECUTE FUNCTION @extschema@._gravity_memory_wake_listeners()'),
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

-- sql/notifications/notify_memory_created.sql

-- notify_memory_created(): trigger function, AFTER INSERT and AFTER UPDATE on gravity_map, once per statement.
--
-- Announces every new memory on channel memory_created and every updated one on memory_updated, with the JSON of the specification: id,
-- user_id, thread_id, session_id, gravity_score, emotion_type, created_at. A statement that writes more than notify_bulk_rows
-- rows announces {"user_id", "count"} once per user. Listeners get it when the transaction commits.
-- Silent unless the setting notify is payload; a WARNING and silence when the notification queue is fuller than notify_queue_limit, because
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
    IF v_settings ->> 'notify' <> 'payload' OR NOT @extschema@._gravity_memory_may_notify(v_settings, v_channel) THEN
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
CREATE OR REPLACE FUNCTION @extschema@.notify_arc_created()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $notify_arc_created$
DECLARE
    v_settings jsonb;
BEGIN
    v_settings := @extschema@._gravity_memory_effective_settings();
    IF v_settings ->> 'notify' <> 'payload' OR NOT @extschema@._gravity_memory_may_notify(v_settings, 'arc_created') THEN
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

-- sql/realtime/_gravity_memory_broadcast.sql

-- _gravity_memory_broadcast(p_user_id, p_payload): sends one private message to a user's topic, by Supabase's realtime.send().
--
-- Topic broadcasts:<user_id>, event memory_created (spec). It runs with the rights of the owner of gravity_map, so a realtime.send() that
-- somebody made who is not trusted with them is not called: its owner has to be a superuser, or, while the owner of gravity_map is none, a
-- role that this one is a member of.
-- realtime.send() turns its own errors into a WARNING. Errors: 42883 where it is missing, 42501 where it is not trusted.
CREATE FUNCTION @extschema@._gravity_memory_broadcast(p_user_id text, p_payload jsonb)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_broadcast$
DECLARE
    v_is_trusted boolean;
BEGIN
    SELECT o.rolsuper OR (NOT m.rolsuper AND pg_has_role(m.oid, o.oid, 'MEMBER')) INTO v_is_trusted
    FROM pg_proc AS p
    JOIN pg_roles AS o ON o.oid = p.proowner
    JOIN pg_roles AS m ON m.rolname = current_user
    WHERE p.oid = to_regprocedure('realtime.send(jsonb, text, text, boolean)');
    IF v_is_trusted IS NULL THEN
        RAISE EXCEPTION 'the function realtime.send(jsonb, text, text, boolean) does not exist' USING ERRCODE = 'undefined_function';
    ELSIF NOT v_is_trusted THEN
        RAISE EXCEPTION 'the owner of realtime.send(jsonb, text, text, boolean) is not trusted with the rights of %', current_user
            USING ERRCODE = 'insufficient_privilege';
    END IF;
    EXECUTE 'SELECT realtime.send($1, $2, $3, $4)' USING p_payload, 'memory_created'::text, 'broadcasts:' || p_user_id, true;
END
$_gravity_memory_broadcast$;

COMMENT ON FUNCTION @extschema@._gravity_memory_broadcast(text, jsonb) IS
    'Sends one private message to a user''s topic of Supabase''s realtime server.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_broadcast(text, jsonb) FROM PUBLIC;

-- sql/realtime/_gravity_memory_realtime_tables.sql

-- _gravity_memory_realtime_tables(): the tables that subscribers of a publication follow (spec: memories and arcs).
CREATE FUNCTION @extschema@._gravity_memory_realtime_tables()
RETURNS TABLE (table_name text)
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_realtime_tables$
VALUES ('gravity_map'), ('memory_arcs')
$_gravity_memory_realtime_tables$;

COMMENT ON FUNCTION @extschema@._gravity_memory_realtime_tables() IS
    'The tables whose changes are published to realtime subscribers.';

-- sql/realtime/gravity_memory_enable_realtime.sql

-- gravity_memory_enable_realtime(p_publication): publishes changes of memories and arcs, for Supabase's postgres_changes or any subscriber.
--
-- Adds gravity_map and memory_arcs to the publication, and makes it where it does not exist, as on plain PostgreSQL. Calling it again changes
-- nothing. Returns what it did (status done) and what it found: ok, or missing with the statement that mends it, for wal_level, the
-- primary key, the replica identity, and, where there is the role authenticated (Supabase), its SELECT privilege and policies. A remedy
-- is not executed: who may read is for the application to decide.
-- Errors: 22023 for an impossible name; 42501 for a role that may not change the publication or does not own the tables; 55000 before setup.
-- No table is added then.
CREATE FUNCTION @extschema@.gravity_memory_enable_realtime(p_publication text DEFAULT 'supabase_realtime')
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
            remedy := CASE WHEN status = 'missing' THEN format(
                'ALTER TABLE %s ENABLE ROW LEVEL SECURITY; CREATE POLICY own_rows ON %s FOR SELECT TO %I USING (user_id = '
                '(SELECT current_setting(''request.jwt.claims'', true)::jsonb ->> ''sub''))',
                v_table.qualified_name, v_table.qualified_name, v_subscriber) END;
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
    'Adds memories and arcs to a publication for realtime subscribers and says what they still need.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_enable_realtime(text) FROM PUBLIC;

-- sql/realtime/gravity_memory_disable_realtime.sql

-- gravity_memory_disable_realtime(p_publication): takes memories and arcs out of a publication, and leaves the publication.
--
-- Returns the tables it took out, none when none was in it. A publication FOR ALL TABLES, or for the whole schema, has no tables to take out.
-- Errors: 42704 where there is no such publication; 42501 for a role that does not own it.
CREATE FUNCTION @extschema@.gravity_memory_disable_realtime(p_publication text DEFAULT 'supabase_realtime')
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
    'Takes memories and arcs out of a publication and returns which.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_disable_realtime(text) FROM PUBLIC;

-- sql/feed/_gravity_memory_records_events.sql

-- _gravity_memory_records_events(p_settings): whether changes go into memory_events.
--
-- They do when notify is wakeup, which announces nothing but that there is something to read; and when feed is on, besides what
-- notify says.
CREATE FUNCTION @extschema@._gravity_memory_records_events(p_settings jsonb)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_records_events$
    SELECT p_settings ->> 'notify' = 'wakeup' OR p_settings ->> 'feed' = 'on'
$_gravity_memory_records_events$;

COMMENT ON FUNCTION @extschema@._gravity_memory_records_events(jsonb) IS
    'Whether changes are recorded in memory_events, by these settings.';

-- sql/feed/_gravity_memory_may_write_events.sql

-- _gravity_memory_may_write_events(): may a SECURITY DEFINER function write memory_events without lending its power to its owner?
--
-- The usual case is answered here, with constants, because every write asks; the other one by _gravity_memory_may_write(). A table
-- that is missing is no obstacle: whoever writes it says so.
CREATE FUNCTION @extschema@._gravity_memory_may_write_events()
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_may_write_events$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_class AS c
                   WHERE c.oid IN ('@extschema@.memory_events'::regclass, '@extschema@.gravity_memory_settings'::regclass)
                     AND (pg_get_userbyid(c.relowner) <> current_user OR c.relkind NOT IN ('r', 'p'))) THEN
        RETURN true;
    END IF;
    RETURN @extschema@._gravity_memory_may_write(ARRAY['memory_events'], ARRAY['gravity_memory_settings']);
EXCEPTION WHEN undefined_table THEN
    RETURN true;
END
$_gravity_memory_may_write_events$;

COMMENT ON FUNCTION @extschema@._gravity_memory_may_write_events() IS
    'Whether the current role may write memory_events without running the code of someone less trusted.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_may_write_events() FROM PUBLIC;

-- sql/feed/_gravity_memory_break_feed.sql

-- _gravity_memory_break_feed(p_reason): notes that changes are missing from memory_events, for all users.
--
-- A reader whose cursor is older gets an error with p_reason and the way to start anew, instead of a feed with a hole in it. The note is an event
-- without a subject, of the user '', that no reader is given. It wakes nobody: an event that waits for the commit would keep setup from
-- altering the table in the same transaction.
CREATE FUNCTION @extschema@._gravity_memory_break_feed(p_reason text)
RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_break_feed$
    INSERT INTO @extschema@.memory_events (user_id, event, payload, wakes)
    VALUES ('', 'feed_broken', jsonb_build_object('reason', p_reason), false)
$_gravity_memory_break_feed$;

COMMENT ON FUNCTION @extschema@._gravity_memory_break_feed(text) IS
    'Notes that the feed of changes has a hole here, so that its readers start anew.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_break_feed(text) FROM PUBLIC;

-- sql/feed/_gravity_memory_break_feed_on_truncate.sql

-- _gravity_memory_break_feed_on_truncate(): trigger function, AFTER TRUNCATE on gravity_map, memory_arcs and memory_events.
--
-- A TRUNCATE does not say what it removed, so there is no event for each row: readers of the feed start anew. SECURITY DEFINER and faults as in
-- _gravity_memory_publish_memories().
CREATE FUNCTION @extschema@._gravity_memory_break_feed_on_truncate()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_break_feed_on_truncate$
BEGIN
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
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_break_feed_on_truncate() FROM PUBLIC;

-- sql/feed/_gravity_memory_wake_listeners.sql

-- _gravity_memory_wake_listeners(): deferred constraint trigger function on memory_events, once per statement that recorded something.
--
-- Sends the notification memory_changes, empty, unless another transaction that is about to commit does. Committing a notification takes a lock
-- of the whole database until the commit is over (781 instead of 21,072 inserts a second at 32 clients), so only one transaction
-- at a time carries it: the one that gets the advisory lock, which falls at its commit. Readers look again while transactions are open that
-- were open when they looked, and so see those that did not get it. It is asked for at the commit, and not in the statement, so
-- that a long transaction keeps nobody else from waking.
-- The settings, which cost more than all the rest, are read only while the queue of notifications is not empty.
-- Runs as whoever writes and touches no table. A fault is a WARNING: readers find the events at their next look.
CREATE FUNCTION @extschema@._gravity_memory_wake_listeners()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_wake_listeners$
BEGIN
    IF pg_try_advisory_xact_lock(hashtextextended('gravity_memory_wakeup', 0))
       AND (pg_notification_queue_usage() = 0
            OR @extschema@._gravity_memory_may_notify(@extschema@._gravity_memory_effective_settings(), 'memory_changes')) THEN
        PERFORM pg_notify('memory_changes', '');
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'gravity_memory: listeners were not woken: %', SQLERRM
        USING ERRCODE = SQLSTATE, HINT = 'The memories are stored, and their events recorded; listeners find them at their next look.';
    RETURN NULL;
END
$_gravity_memory_wake_listeners$;

COMMENT ON FUNCTION @extschema@._gravity_memory_wake_listeners() IS
    'Trigger function: tells listeners at the commit that there are new events, unless another transaction is doing so.';

-- sql/feed/_gravity_memory_publish_memories.sql

-- _gravity_memory_publish_memories(): trigger function, AFTER INSERT, UPDATE and DELETE on gravity_map, once per statement.
--
-- Records one event per memory in memory_events while the setting feed or notify asks for it: memory_created, memory_updated and memory_deleted,
-- with all of the memory's columns that the specification knows but the embedding. A memory that an UPDATE gives to another user, or another
-- id, is deleted where it was and updated where it is. Sends new memories to Supabase's topics, too, while the setting broadcast is on.
-- Where events could not be recorded the feed is broken, so that its readers start anew.
-- SECURITY DEFINER, because a writer may hold no more than INSERT on gravity_map, and nobody but the owner writes events: who could
-- would tell another user's application what never happened. A fault is a WARNING: the memories stay as they were written.
CREATE FUNCTION @extschema@._gravity_memory_publish_memories()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_publish_memories$
DECLARE
    v_settings CONSTANT jsonb := @extschema@._gravity_memory_effective_settings();
    v_wakes boolean;
BEGIN
    IF TG_OP = 'INSERT' AND v_settings ->> 'broadcast' = 'on' THEN
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
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_publish_memories() FROM PUBLIC;

-- sql/feed/_gravity_memory_publish_arcs.sql

-- _gravity_memory_publish_arcs(): trigger function, AFTER INSERT, UPDATE and DELETE on memory_arcs, once per statement.
--
-- Records arc_created, arc_updated and arc_deleted in memory_events while the setting feed or notify asks for it, with the arc's columns. An arc is
-- updated when its totals change, at most once per statement that changes them. SECURITY DEFINER and faults as in
-- _gravity_memory_publish_memories().
CREATE FUNCTION @extschema@._gravity_memory_publish_arcs()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_publish_arcs$
DECLARE
    v_settings CONSTANT jsonb := @extschema@._gravity_memory_effective_settings();
    v_wakes boolean;
BEGIN
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
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_publish_arcs() FROM PUBLIC;

-- sql/feed/_gravity_memory_feed_snapshot.sql

-- _gravity_memory_feed_snapshot(): which transactions a reader of the feed sees, now.
--
-- PostgreSQL's snapshot, without the reader's own transaction: that may still be rolled back, and what it commits comes later. A standby does not
-- tell which transactions are open there, so that everything from the oldest open one on waits.
CREATE FUNCTION @extschema@._gravity_memory_feed_snapshot()
RETURNS pg_snapshot
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_feed_snapshot$
DECLARE
    v_snapshot CONSTANT pg_snapshot := pg_current_snapshot();
    v_own CONSTANT xid8 := pg_current_xact_id_if_assigned();
BEGIN
    IF pg_is_in_recovery() THEN
        RETURN format('%s:%s:', pg_snapshot_xmin(v_snapshot), pg_snapshot_xmin(v_snapshot))::pg_snapshot;
    END IF;
    IF v_own IS NULL OR v_own >= pg_snapshot_xmax(v_snapshot) THEN
        RETURN v_snapshot;
    END IF;
    RETURN format('%s:%s:%s', LEAST(pg_snapshot_xmin(v_snapshot), v_own), pg_snapshot_xmax(v_snapshot),
                  (SELECT string_agg(o.xid::text, ',' ORDER BY o.xid)
                   FROM (SELECT x AS xid FROM pg_snapshot_xip(v_snapshot) AS x UNION SELECT v_own) AS o))::pg_snapshot;
END
$_gravity_memory_feed_snapshot$;

COMMENT ON FUNCTION @extschema@._gravity_memory_feed_snapshot() IS
    'The transactions that a reader of the feed sees: those of the current snapshot but its own.';

-- sql/feed/_gravity_memory_feed_timeline.sql

-- _gravity_memory_feed_timeline(): the timeline of this server: another one after a standby took over, or after a restore to a point in time.
CREATE FUNCTION @extschema@._gravity_memory_feed_timeline()
RETURNS bigint
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_feed_timeline$
    SELECT CASE WHEN pg_is_in_recovery() THEN (SELECT c.timeline_id FROM pg_control_checkpoint() AS c)
                ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint END
$_gravity_memory_feed_timeline$;

COMMENT ON FUNCTION @extschema@._gravity_memory_feed_timeline() IS
    'The timeline of the write-ahead log of this server.';

-- sql/feed/_gravity_memory_feed_place.sql

-- _gravity_memory_feed_place(p_snapshot, p_taken_at): a place in the feed of changes: everything that is visible in a snapshot has been read.
--
-- Parts, with / between: the server's timeline, when the snapshot was taken in microseconds, the snapshot. A cursor is 1 (the format), the
-- server's system identifier, and a place; between two pages, the place that the reader comes from, the one that the page leads to, and
-- the last event of the page. _gravity_memory_read_cursor() says what each part is for.
CREATE FUNCTION @extschema@._gravity_memory_feed_place(p_snapshot pg_snapshot, p_taken_at timestamptz)
RETURNS text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_feed_place$
    SELECT format('%s/%s/%s', @extschema@._gravity_memory_feed_timeline(), trunc(extract(epoch FROM p_taken_at) * 1000000), p_snapshot)
$_gravity_memory_feed_place$;

COMMENT ON FUNCTION @extschema@._gravity_memory_feed_place(pg_snapshot, timestamptz) IS
    'A place in the feed of changes, as the text that cursors are made of.';

-- sql/feed/_gravity_memory_read_cursor.sql

-- _gravity_memory_read_cursor(p_cursor): the parts of a cursor, if the feed can be read on from it.
--
-- Returns origin (the cursor without its page), first_unseen (transactions from it on were not seen), were_open (those before it that were open
-- then), taken_at, lost_transactions (see below); and for a cursor between two pages page_place, page_snapshot and page_event, the
-- last event of the page. page_event stands alone where the page has to be looked for anew.
-- lost_transactions: since the cursor was issued the server crashed, or another one took over. Transactions that had left nothing on
-- disk are forgotten then, and their numbers given anew: what was written after the cursor was issued is new, whatever
-- its number. A crash resets the statistics; another server has another timeline.
-- Errors: 22023 for a text that is no cursor, 72000 (snapshot too old) for one of another server or older than feed_retention.
CREATE FUNCTION @extschema@._gravity_memory_read_cursor(
    p_cursor text, OUT origin text, OUT first_unseen xid8, OUT were_open xid8[], OUT taken_at timestamptz, OUT lost_transactions boolean,
    OUT page_place text, OUT page_snapshot pg_snapshot, OUT page_event bigint)
RETURNS record
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_read_cursor$
DECLARE
    v_parts CONSTANT text[] := string_to_array(p_cursor, '/');
    v_timeline CONSTANT text := @extschema@._gravity_memory_feed_timeline()::text;
    v_crashed_at CONSTANT timestamptz := (SELECT COALESCE(b.stats_reset, 'infinity') FROM pg_stat_bgwriter AS b);
    v_resync CONSTANT text := 'Take a new cursor from SELECT memory_changes_head(), read the memories and arcs themselves, then go on '
                              'from that cursor.';
    v_snapshot pg_snapshot;
    v_page_taken_at timestamptz;
    v_retention interval;
BEGIN
    BEGIN
        IF p_cursor IS NULL OR p_cursor !~ ('^1/[0-9]+/[0-9]+/[0-9]+/[0-9]+:[0-9]+:[0-9,]*'
                                            '(/[0-9]+/[0-9]+/[0-9]+:[0-9]+:[0-9,]*/[0-9]+)?$') THEN
            RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'no cursor';
        END IF;
        taken_at := to_timestamp(0) + v_parts[4]::bigint * interval '1 microsecond';
        v_snapshot := v_parts[5]::pg_snapshot;
        v_page_taken_at := to_timestamp(0) + v_parts[7]::bigint * interval '1 microsecond';
        page_snapshot := v_parts[8]::pg_snapshot;
        page_event := v_parts[9]::bigint;
    EXCEPTION WHEN data_exception THEN
        RAISE EXCEPTION 'not a cursor of the feed of changes: %', COALESCE(quote_literal(left(p_cursor, 200)), 'NULL')
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Pass the last next_cursor that memory_changes_since() returned, or begin with SELECT memory_changes_head().';
    END;
    IF v_parts[2] <> (SELECT c.system_identifier FROM pg_control_system() AS c)::text THEN
        RAISE EXCEPTION 'the cursor was issued by another server' USING ERRCODE = '72000', HINT = v_resync;
    END IF;
    v_retention := (@extschema@._gravity_memory_effective_settings() ->> 'feed_retention')::interval;
    IF taken_at < clock_timestamp() - v_retention THEN
        RAISE EXCEPTION 'the cursor has expired: it was issued at %, and events are kept for %', taken_at, v_retention
            USING ERRCODE = '72000', HINT = v_resync;
    END IF;

    origin := array_to_string(v_parts[1:5], '/');
    first_unseen := pg_snapshot_xmax(v_snapshot);
    were_open := ARRAY(SELECT x FROM pg_snapshot_xip(v_snapshot) AS x);
    lost_transactions := v_parts[3] <> v_timeline OR v_crashed_at > taken_at;
    -- The snapshot of a page is worth nothing either, once transactions were lost after it. None that it saw open can commit any more, so
    -- that what comes is after the last event of the page in any case.
    IF v_parts[6] <> v_timeline OR v_crashed_at > v_page_taken_at THEN
        page_snapshot := NULL;
    ELSIF page_snapshot IS NOT NULL THEN
        page_place := array_to_string(v_parts[6:8], '/');
    END IF;
END
$_gravity_memory_read_cursor$;

COMMENT ON FUNCTION @extschema@._gravity_memory_read_cursor(text) IS
    'Takes a cursor of the feed apart, or says why the feed cannot be read on from it.';

-- sql/feed/_gravity_memory_check_feed.sql

-- _gravity_memory_check_feed(): whether the caller can read the feed; an error where it would be empty for ever.
--
-- Errors: 55000 while nothing is recorded or the table is missing, 42501 where row security hides every event from the caller.
CREATE FUNCTION @extschema@._gravity_memory_check_feed()
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
    IF row_security_active('@extschema@.memory_events')
       AND NOT EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = '@extschema@.memory_events'::regclass AND p.polcmd IN ('r', '*')) THEN
        RAISE EXCEPTION 'row security hides every event from %', current_user
            USING ERRCODE = 'insufficient_privilege',
                  HINT = 'Make a policy on memory_events that shows a role its user''s events, and those of the user '''', which say '
                         'that the feed has a break: CREATE POLICY ... FOR SELECT USING (user_id IN (..., '''')).';
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
CREATE FUNCTION @extschema@.memory_changes_head()
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
    'The cursor of the end of the feed of changes, for memory_changes_since().';

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
CREATE FUNCTION @extschema@.gravity_memory_changes(p_user_ids text[], p_cursor text, p_limit integer DEFAULT 1000)
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
    'What happened to these users'' memories and arcs since the cursor: events in order, then a row with the cursor to go on from.';

-- sql/feed/memory_changes_since.sql

-- memory_changes_since(p_user_id, p_cursor, p_limit): what happened to a user's memories and arcs since a cursor was taken.
--
-- gravity_memory_changes() for one user; columns, order, promises and errors are described there.
CREATE FUNCTION @extschema@.memory_changes_since(p_user_id text, p_cursor text, p_limit integer DEFAULT 100)
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
    'What happened to a user''s memories and arcs since the cursor: events in order, then a row with the cursor to go on from.';

-- sql/feed/gravity_memory_cleanup_events.sql

-- gravity_memory_cleanup_events(): deletes events that no cursor can ask for any more.
--
-- Returns how many it deleted. A cursor is good for feed_retention; an event goes when it is twice as old, because it may have been
-- written long before it was committed. Only a transaction that stays open for longer than feed_retention may lose
-- events to readers who are away. Scheduled as the job cleanup-events.
CREATE FUNCTION @extschema@.gravity_memory_cleanup_events()
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
    'Deletes events older than twice the setting feed_retention and returns how many.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_cleanup_events() FROM PUBLIC;

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
    'Changes a setting for the whole database and returns the stored value; refuses unknown names and impossible values.';

-- sql/setup/_gravity_memory_release_tables.sql

-- _gravity_memory_release_tables(): makes sure that no table of ours, and no sequence of one, is a member of the extension.
--
-- Tables created while CREATE EXTENSION or ALTER EXTENSION UPDATE runs become members, and pg_dump leaves out the rows of members. Released, they
-- are dumped and restored like any table, and DROP EXTENSION leaves them.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_release_tables()
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_release_tables$
DECLARE
    v_table_name text;
    v_sequence regclass;
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
    -- The sequence of an identity column.
    FOR v_sequence IN
        SELECT d.objid::regclass
        FROM pg_depend AS d
        JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
        JOIN pg_class AS c ON d.classid = 'pg_class'::regclass AND d.objid = c.oid
        WHERE d.deptype = 'e' AND e.extname = 'gravity_memory' AND c.relkind = 'S'
    LOOP
        EXECUTE 'ALTER EXTENSION gravity_memory DROP SEQUENCE ' || v_sequence;
    END LOOP;
END
$_gravity_memory_release_tables$;

COMMENT ON FUNCTION @extschema@._gravity_memory_release_tables() IS
    'Detaches the tables from the extension, so that they are dumped and kept like any others.';

-- sql/setup/gravity_memory_setup.sql

-- gravity_memory_setup(p_build_indexes): creates what is missing and adopts what is there.
--
-- Creates missing tables, adds missing columns (no row is touched: defaults are constants or now()), builds missing indexes, makes or
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
        SELECT t.table_name, t.table_constraints, t.purpose, t.is_derived, t.is_closed, t.storage,
               string_agg(format('%I %s %s', c.column_name, c.data_type, c.modifiers), ', ' ORDER BY c.ordinal) AS columns
        FROM @extschema@._gravity_memory_table_catalogue() WITH ORDINALITY AS t
        JOIN @extschema@._gravity_memory_column_catalogue() AS c ON c.table_name = t.table_name
        WHERE to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name)) IS NULL
        GROUP BY t.table_name, t.table_constraints, t.purpose, t.is_derived, t.is_closed, t.storage, t.ordinality
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
        IF v_object.is_closed THEN
            EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', @extschema@._gravity_memory_qualified_name(v_object.table_name));
        END IF;
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
    'Creates or adopts the tables with their indexes, triggers and jobs; idempotent; returns one row per thing it did.';

-- sql/monitoring/_gravity_memory_table_counts.sql

-- _gravity_memory_table_counts(p_table_name, p_user_id): what gravity_memory_stats() counts in one table.
--
-- gravity_map is read once: the rows are grouped by all that is counted, in an aggregate that parallel workers can share, and the
-- groups, which are few, are added up by each. How many users there are is another pass, over an index; a count of distinct values
-- would sort the table.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_table_counts(p_table_name text, p_user_id text)
RETURNS TABLE (category text, name text, value numeric)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
-- With a user the plan uses an index on user_id, without one it must not.
SET plan_cache_mode = force_custom_plan
AS $_gravity_memory_table_counts$
BEGIN
    CASE p_table_name
        WHEN 'gravity_map' THEN
            RETURN QUERY
            WITH kinds AS MATERIALIZED (
                SELECT m.emotion_type::text AS emotion, m.temporal_type::text AS temporal, m.meta_tags AS tags,
                       count(*) AS memories,
                       count(m.embedding) AS embedded, count(*) FILTER (WHERE m.identity_anchor) AS anchors,
                       count(*) FILTER (WHERE m.created_at > now() - interval '1 day') AS day,
                       count(*) FILTER (WHERE m.created_at > now() - interval '7 days') AS week,
                       count(*) FILTER (WHERE m.created_at > now() - interval '30 days') AS month
                FROM @extschema@.gravity_map AS m
                WHERE p_user_id IS NULL OR m.user_id = p_user_id
                GROUP BY m.emotion_type, m.temporal_type, m.meta_tags
            )
            SELECT v.category, v.name, v.value
            FROM (SELECT COALESCE(sum(k.memories), 0) AS memories, COALESCE(sum(k.embedded), 0) AS embedded,
                         COALESCE(sum(k.anchors), 0) AS anchors, COALESCE(sum(k.day), 0) AS day, COALESCE(sum(k.week), 0) AS week,
                         COALESCE(sum(k.month), 0) AS month
                  FROM kinds AS k) AS t
            CROSS JOIN LATERAL (VALUES
                ('total', 'memories', t.memories), ('total', 'with embedding', t.embedded),
                    ('total', 'identity anchors', t.anchors),
                ('growth', 'last day', t.day), ('growth', 'last 7 days', t.week), ('growth', 'last 30 days', t.month)
            ) AS v (category, name, value)
            UNION ALL
            (SELECT 'tag', l.tag, sum(k.memories) AS memories
             FROM kinds AS k
             LEFT JOIN LATERAL (SELECT DISTINCT u.tag FROM unnest(k.tags) AS u (tag)) AS l ON true
             GROUP BY l.tag ORDER BY memories DESC, l.tag)
            UNION ALL
            (SELECT 'emotion', k.emotion, sum(k.memories) AS memories FROM kinds AS k GROUP BY k.emotion ORDER BY memories DESC,
                k.emotion)
            UNION ALL
            (SELECT 'temporal_type', k.temporal, sum(k.memories) AS memories
             FROM kinds AS k GROUP BY k.temporal ORDER BY memories DESC, k.temporal);
            IF p_user_id IS NULL THEN
                RETURN QUERY SELECT 'total', 'users', count(*)::numeric FROM (SELECT m.user_id FROM @extschema@.gravity_map AS m
                                                                              GROUP BY m.user_id) AS u;
            END IF;
        WHEN 'memory_arcs' THEN
            RETURN QUERY
            WITH stages AS MATERIALIZED (
                SELECT a.evolution_stage::text AS stage, count(*)::numeric AS arcs
                FROM @extschema@.memory_arcs AS a
                WHERE p_user_id IS NULL OR a.user_id = p_user_id
                GROUP BY a.evolution_stage
            )
            SELECT 'total', 'arcs', COALESCE(sum(s.arcs), 0) FROM stages AS s
            UNION ALL
            (SELECT 'arc_stage', s.stage, s.arcs FROM stages AS s ORDER BY s.arcs DESC, s.stage);
        WHEN 'memory_arc_associations' THEN
            RETURN QUERY
            SELECT 'total', 'arc members', count(*)::numeric
            FROM @extschema@.memory_arc_associations AS l
            -- Links that were made by hand may lack their user.
            WHERE p_user_id IS NULL OR l.arc_id IN (SELECT a.id FROM @extschema@.memory_arcs AS a WHERE a.user_id = p_user_id);
        WHEN 'consciousness_cache' THEN
            RETURN QUERY
            SELECT 'cache', v.name, v.value
            FROM (SELECT count(*)::numeric AS entries, count(*)
                FILTER (WHERE c.created_at < now() - s.retention)::numeric AS expired,
                         COALESCE(sum(c.accessed_count), 0)::numeric AS hits
                  FROM @extschema@.consciousness_cache AS c
                  CROSS JOIN (SELECT (@extschema@._gravity_memory_effective_settings() ->> 'cache_retention')::interval AS retention) AS s
                  WHERE p_user_id IS NULL OR c.user_id = p_user_id) AS t
            CROSS JOIN LATERAL (VALUES ('entries', t.entries), ('expired', t.expired), ('hits', t.hits)) AS v (name, value);
        WHEN 'active_sessions' THEN
            RETURN QUERY
            SELECT 'total', 'sessions', count(*)::numeric
            FROM @extschema@.active_sessions AS s WHERE p_user_id IS NULL OR s.user_id = p_user_id;
        WHEN 'pattern_matrix' THEN
            RETURN QUERY
            SELECT 'total', 'patterns', count(*)::numeric
            FROM @extschema@.pattern_matrix AS m WHERE p_user_id IS NULL OR m.user_id = p_user_id;
        WHEN 'memory_digests' THEN
            RETURN QUERY
            SELECT 'derived', v.name, v.value
            FROM (SELECT count(*)::numeric AS digests, COALESCE(sum(cardinality(d.term_keys)), 0)::numeric AS postings
                  FROM @extschema@.memory_digests AS d WHERE p_user_id IS NULL OR d.user_id = p_user_id) AS t
            CROSS JOIN LATERAL (VALUES ('digests', t.digests), ('postings', t.postings)) AS v (name, value);
        WHEN 'memory_events' THEN
            RETURN QUERY
            SELECT 'feed', 'events', count(*)::numeric
            FROM @extschema@.memory_events AS e WHERE p_user_id IS NULL OR e.user_id = p_user_id;
        WHEN 'memory_recall_gaps' THEN
            RETURN QUERY
            SELECT 'derived', v.name, v.value
            FROM (SELECT count(*)
                FILTER (WHERE NOT g.is_every_user AND (p_user_id IS NULL OR g.user_id = p_user_id))::numeric AS gaps,
                         count(*) FILTER (WHERE g.is_every_user)::numeric AS gaps_of_everyone
                  FROM @extschema@.memory_recall_gaps AS g) AS t
            CROSS JOIN LATERAL (VALUES ('gaps', t.gaps), ('gaps of everyone', t.gaps_of_everyone)) AS v (name, value);
    END CASE;
END
$_gravity_memory_table_counts$;

COMMENT ON FUNCTION @extschema@._gravity_memory_table_counts(text, text) IS
    'What gravity_memory_stats() counts in one table.';

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
    'Counts of memories, arcs, cache and derived rows, of one user or of everybody, as far as the caller may read them.';

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
    WHERE t.is_closed AND c.relrowsecurity AND c.relforcerowsecurity AND NOT r.rolsuper AND NOT r.rolbypassrls;

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

-- sql/monitoring/_gravity_memory_setting_findings.sql

-- _gravity_memory_setting_findings(): settings that are unknown, impossible or contradict each other, for gravity_memory_check().
--
-- gravity_memory_set() refuses the first two; they come from a dump of another version, or from a direct write to the table.
-- Settings are compared with each other only when all of them are possible.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_setting_findings()
RETURNS TABLE (severity text, finding text, object text, problem text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_setting_findings$
DECLARE
    v_set CONSTANT text := 'SELECT ' || @extschema@._gravity_memory_qualified_name('gravity_memory_set');
    v_reset CONSTANT text := 'SELECT ' || @extschema@._gravity_memory_qualified_name('gravity_memory_reset');
    v_override record;
    v_is_possible boolean := true;
    v_settings jsonb;
    v_lists integer;
BEGIN
    IF to_regclass(@extschema@._gravity_memory_qualified_name('gravity_memory_settings')) IS NULL THEN
        RETURN;
    END IF;
    FOR v_override IN
        SELECT s.name, s.value, d.name IS NOT NULL AS is_known
        FROM @extschema@.gravity_memory_settings AS s
        LEFT JOIN @extschema@._gravity_memory_setting_definitions() AS d ON d.name = s.name
        ORDER BY s.name
    LOOP
        IF NOT v_override.is_known THEN
            RETURN QUERY SELECT 'warning', 'unknown_setting', v_override.name,
                format('There is no such setting in this version; the value %L does nothing.', left(v_override.value, 200)),
                format('DELETE FROM %s WHERE name = %L', @extschema@._gravity_memory_qualified_name('gravity_memory_settings'),
                    v_override.name);
            CONTINUE;
        END IF;
        BEGIN
            PERFORM @extschema@._gravity_memory_checked_setting(v_override.name, v_override.value);
        EXCEPTION WHEN invalid_parameter_value THEN
            v_is_possible := false;
            RETURN QUERY SELECT 'error', 'invalid_setting', v_override.name, SQLERRM, v_reset || format('(%L)', v_override.name);
        END;
    END LOOP;
    IF NOT v_is_possible THEN
        RETURN;
    END IF;

    v_settings := @extschema@._gravity_memory_effective_settings();
    -- The fewest lists that an index has, or will have: more than these cannot be searched.
    SELECT min(COALESCE((SELECT o.option_value::integer FROM pg_options_to_table(c.reloptions) AS o
           WHERE o.option_name = 'lists'), 100))
    INTO v_lists
    FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_am AS a ON a.oid = c.relam AND a.amname = 'ivfflat'
    WHERE i.indrelid = to_regclass(@extschema@._gravity_memory_qualified_name('gravity_map'));
    v_lists := COALESCE(NULLIF((v_settings ->> 'embedding_lists')::integer, 0), v_lists);

    RETURN QUERY
    SELECT f.severity, f.finding, f.object, f.problem, f.remedy
    FROM (VALUES
        ('warning', 'contradicting_settings', 'arc_active_members, arc_mature_members',
         'An arc is mature, and takes no more members, before it has enough of them to be active.',
         v_set || format('(%L, %L)', 'arc_active_members', v_settings ->> 'arc_mature_members'),
         (v_settings ->> 'arc_active_members')::integer > (v_settings ->> 'arc_mature_members')::integer),
        ('warning', 'contradicting_settings', 'arc_min_memories, arc_mature_members',
         'An arc is mature, and takes no more members, before the cluster that starts it is in it.',
         v_set || format('(%L, %L)', 'arc_mature_members', v_settings ->> 'arc_min_memories'),
         (v_settings ->> 'arc_mature_members')::integer < (v_settings ->> 'arc_min_memories')::integer),
        ('warning', 'contradicting_settings', 'arc_window, arc_dormant_after',
         'An arc becomes dormant while memories still come within its window.',
         v_set || format('(%L, %L)', 'arc_dormant_after', v_settings ->> 'arc_window'),
         (v_settings ->> 'arc_dormant_after')::interval < (v_settings ->> 'arc_window')::interval),
        ('warning', 'contradicting_settings', 'embedding_probes, embedding_lists',
         format('gravity_memory_search_all() is to search %s lists of %s: all memories, and the index for nothing.',
                v_settings ->> 'embedding_probes', v_lists),
         v_reset || format('(%L)', 'embedding_probes'),
         v_settings ->> 'embedding_index' = 'ivfflat' AND (v_settings ->> 'embedding_probes')::integer > v_lists),
        ('warning', 'threshold_below_index', 'arc_gravity_threshold',
         'The index idx_gravity_map_arc_cluster holds memories from gravity 0.8 on: below that, arcs cost more with every memory.',
         v_reset || format('(%L)', 'arc_gravity_threshold'),
         (v_settings ->> 'arc_gravity_threshold')::numeric < 0.8),
        ('warning', 'broadcast_unavailable', 'broadcast',
         'New memories are to be broadcast, and there is no realtime.send(jsonb, text, text, boolean) here: every insert warns.',
         v_reset || format('(%L)', 'broadcast'),
         v_settings ->> 'broadcast' = 'on' AND to_regprocedure('realtime.send(jsonb, text, text, boolean)') IS NULL)
    ) AS f (severity, finding, object, problem, remedy, applies)
    WHERE f.applies;
END
$_gravity_memory_setting_findings$;

COMMENT ON FUNCTION @extschema@._gravity_memory_setting_findings() IS
    'Findings of gravity_memory_check() about settings.';

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
