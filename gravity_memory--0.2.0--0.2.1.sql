\echo Use "ALTER EXTENSION gravity_memory UPDATE TO '0.2.1'" to load this file. \quit

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

-- sql/upgrades/0.2.0--0.2.1.sql

-- By hand, before the objects of 0.2.1: what their CREATE OR REPLACE leaves undone.

-- They take or return something else.
DROP FUNCTION @extschema@._gravity_memory_derive(text, uuid[]);
DROP FUNCTION @extschema@._gravity_memory_forget_derived(text, uuid[]);
DROP FUNCTION @extschema@._gravity_memory_note_recall_gaps(text[]);
DROP FUNCTION @extschema@._gravity_memory_document_terms(regconfig, text, text, timestamptz);

-- Sessions that are open keep the plans of these two, into which PostgreSQL has computed the defaults of 0.2.0 as constants, until the
-- functions themselves are written anew: without this, a pool of connections would know no new setting.
ALTER FUNCTION @extschema@._gravity_memory_effective_settings() STABLE;
ALTER FUNCTION @extschema@.gravity_memory_reset(text) VOLATILE;

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
    ('memory_recall_gaps', 4, 'only_missing',  'boolean', 'NOT NULL DEFAULT false', '{}')
) AS c (table_name, ordinal, column_name, data_type, modifiers, also_accepted)
$_gravity_memory_column_catalogue$;

COMMENT ON FUNCTION @extschema@._gravity_memory_column_catalogue() IS
    'The columns of every table of gravity_memory: type, modifiers, and types that an adopted table may have instead.';

-- sql/vector_indexes/_gravity_memory_embedded_rows.sql

-- _gravity_memory_embedded_rows(): about how many memories have an embedding.
--
-- From the planner's statistics, scaled to the table's present size. Where some of the table has none, and up to 1,000 blocks, where a load
-- may have changed everything since they were gathered, the rows are counted too, which is quick up to 100,000 and stops there, and the
-- greater number is taken. Who may not read the column, or reads it under
-- row security, gets what the statistics say. 0 for a table without the column, to which setup adds it, and for what is no table: counting
-- the rows of a view would run its code before setup refuses it.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_embedded_rows()
RETURNS bigint
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_embedded_rows$
DECLARE
    v_may_count boolean;
    v_rows double precision;
    v_is_enough boolean;
BEGIN
    SELECT has_column_privilege(a.attrelid, a.attnum, 'SELECT') AND NOT row_security_active(c.oid) INTO v_may_count
    FROM pg_class AS c
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'embedding' AND NOT a.attisdropped
    WHERE c.oid = '@extschema@.gravity_map'::regclass AND c.relkind IN ('r', 'p');
    IF v_may_count IS NULL THEN
        RETURN 0;
    END IF;
    -- The rows of a partitioned table are in its partitions, of which autovacuum gathers statistics one by one. pg_stats hides what
    -- is under row security; reltuples alone is all there is then.
    SELECT sum(c.reltuples / NULLIF(c.relpages, 0) * s.pages * (1 - COALESCE(t.null_frac, 0)))
               FILTER (WHERE c.reltuples > 0 AND (t.null_frac IS NOT NULL OR NOT v_may_count)),
           bool_and(s.pages = 0 OR (c.reltuples > 0 AND t.null_frac IS NOT NULL)) AND sum(s.pages) > 1000
    INTO v_rows, v_is_enough
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL (SELECT pg_relation_size(c.oid) / current_setting('block_size')::integer AS pages) AS s
    LEFT JOIN pg_stats AS t
           ON t.schemaname = n.nspname AND t.tablename = c.relname AND t.attname = 'embedding' AND NOT t.inherited
    WHERE c.relkind = 'r'
      AND (c.oid = '@extschema@.gravity_map'::regclass
           OR c.oid IN (SELECT p.relid FROM pg_partition_tree('@extschema@.gravity_map') AS p));
    IF v_may_count AND v_is_enough IS NOT TRUE THEN
        v_rows := GREATEST(v_rows, (SELECT count(*) FROM (SELECT FROM @extschema@.gravity_map AS m
                                                          WHERE m.embedding IS NOT NULL LIMIT 100000) AS c));
    END IF;
    RETURN COALESCE(v_rows, 0)::bigint;
END
$_gravity_memory_embedded_rows$;

COMMENT ON FUNCTION @extschema@._gravity_memory_embedded_rows() IS
    'About how many memories have an embedding.';

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

-- sql/indexes/_gravity_memory_superseded_indexes.sql

-- _gravity_memory_superseded_indexes(): indexes that an earlier version made, and that another index of the catalogue serves for by now.
--
-- By name and definition: an index of that name that somebody made differently is theirs. Setup drops them, in an upgraded database and in
-- one that was restored from an older dump.
-- idx_gravity_map_user_session (0.1.0 to 0.2.0): idx_gravity_map_session_turns, read backwards, gives the same order.
CREATE FUNCTION @extschema@._gravity_memory_superseded_indexes()
RETURNS SETOF text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_superseded_indexes$
    SELECT s.index_name
    FROM (VALUES
        ('idx_gravity_map_user_session', 'gravity_map',
         'USING btree (user_id, session_id, created_at DESC) WHERE (session_id IS NOT NULL)')
    ) AS s (index_name, table_name, definition)
    JOIN pg_index AS i
      ON i.indexrelid = to_regclass(@extschema@._gravity_memory_qualified_name(s.index_name))
     AND i.indrelid = to_regclass(@extschema@._gravity_memory_qualified_name(s.table_name))
    WHERE right(pg_get_indexdef(i.indexrelid), length(s.definition)) = s.definition
$_gravity_memory_superseded_indexes$;

COMMENT ON FUNCTION @extschema@._gravity_memory_superseded_indexes() IS
    'Indexes that an earlier version made and that no query needs any more.';

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

-- sql/arcs/_gravity_memory_unsettle_arcs.sql

-- _gravity_memory_unsettle_arcs(p_arc_ids): notes that arcs' members changed, for _gravity_memory_settle_arc_totals().
--
-- An arc named twice counts two changes. The row that is inserted into memory_arc_locks and deleted at once leaves an event behind: the
-- deferred trigger trigger_arc_totals_at_commit recounts the arc when the transaction commits, whatever becomes of the note.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_unsettle_arcs(p_arc_ids uuid[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_unsettle_arcs$
DECLARE
    v_state jsonb := @extschema@._gravity_memory_unsettled_arcs();
    v_waiting CONSTANT jsonb := COALESCE(v_state -> 'waiting', '{}');
    v_changed jsonb;
    v_fresh text[];
BEGIN
    -- The note is written once for all arcs: adding them one by one would copy it for each.
    SELECT jsonb_object_agg(c.id, jsonb_build_object(
               'changes', COALESCE((v_waiting -> c.id ->> 'changes')::bigint, 0) + c.changes,
               'members', COALESCE((v_waiting -> c.id ->> 'members')::bigint,
                                   (SELECT a.memory_count FROM @extschema@.memory_arcs AS a WHERE a.id = c.id::uuid), 0))),
           array_agg(c.id ORDER BY c.id) FILTER (WHERE NOT v_waiting ? c.id)
    INTO v_changed, v_fresh
    FROM (SELECT u.arc_id::text AS id, count(*) AS changes FROM unnest(p_arc_ids) AS u (arc_id) GROUP BY u.arc_id) AS c;
    IF v_changed IS NULL THEN
        RETURN;
    END IF;
    INSERT INTO @extschema@.memory_arc_locks (user_id, emotion_type)
    SELECT f.id, '' FROM unnest(v_fresh) AS f (id)
    ON CONFLICT DO NOTHING;
    DELETE FROM @extschema@.memory_arc_locks AS l WHERE l.user_id = ANY (v_fresh) AND l.emotion_type = '';
    -- Read again: under SET CONSTRAINTS IMMEDIATE the trigger has run.
    v_state := @extschema@._gravity_memory_unsettled_arcs();
    PERFORM set_config('gravity_memory.arc_totals', (v_state || jsonb_build_object('waiting', v_waiting || v_changed))::text, true);
END
$_gravity_memory_unsettle_arcs$;

COMMENT ON FUNCTION @extschema@._gravity_memory_unsettle_arcs(uuid[]) IS
    'Notes, for this transaction, that the members of arcs changed.';

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

-- sql/lexical/_gravity_memory_document_terms.sql

-- _gravity_memory_document_terms(p_config, p_user_id, p_content, p_created_at): what a memory can be found by.
--
-- The lexemes of its content under the text search configuration, and three terms for the month, day and year (UTC) it was created
-- in ('@m5', '@d8', '@y2023'; no lexeme contains @), which a query with a date in it asks for. Content is split at everything that is
-- neither letter nor digit first, because the parser keeps advice/assistance as one word.
-- A term is stored as a 64-bit hash of user and term, so that one narrow index serves all users and none sees another's terms.
-- Returns one row: the number of words that are not stop words, and two arrays of equal length: the terms' keys and how often each
-- occurs. Only the first 100,000 characters count: a tsvector holds no more than a megabyte.
-- Written so that PostgreSQL inlines it into the query that calls it, which halves its cost, and bulk inserts call it for every row: that
-- is why it is a SELECT that returns a table and, alone among the functions, pins no search_path; everything in it is qualified.
CREATE FUNCTION @extschema@._gravity_memory_document_terms(
    p_config regconfig, p_user_id text, p_content text, p_created_at timestamptz)
RETURNS TABLE (length integer, term_keys bigint[], frequencies smallint[])
LANGUAGE sql
STABLE
ROWS 1
AS $_gravity_memory_document_terms$
    SELECT COALESCE(pg_catalog.sum(t.words), 0)::pg_catalog.int4,
           COALESCE(pg_catalog.array_agg(pg_catalog.hashtextextended(
               t.term COLLATE pg_catalog."C", pg_catalog.hashtextextended(p_user_id COLLATE pg_catalog."C", 0))), '{}'),
           COALESCE(pg_catalog.array_agg(t.frequency), '{}')
    FROM (
        SELECT l.lexeme AS term, pg_catalog.cardinality(l.positions) AS words, pg_catalog.cardinality(l.positions)::pg_catalog.int2 AS frequency
        FROM pg_catalog.unnest(pg_catalog.to_tsvector(
            p_config, @extschema@._gravity_memory_words(pg_catalog."left"(p_content, 100000)))) AS l
        UNION ALL
        SELECT pg_catalog.concat('@', d.field, pg_catalog.date_part(d.name, pg_catalog.timezone('UTC', p_created_at))), 0, 1::pg_catalog.int2
        FROM (VALUES ('m', 'month'), ('d', 'day'), ('y', 'year')) AS d (field, name)
        WHERE pg_catalog.isfinite(p_created_at)
    ) AS t
$_gravity_memory_document_terms$;

COMMENT ON FUNCTION @extschema@._gravity_memory_document_terms(regconfig, text, text, timestamptz) IS
    'The terms a memory is found by, as keys with frequencies, and its length in words.';

-- sql/derivation/_gravity_memory_derive.sql

-- _gravity_memory_derive(p_user_ids, p_memory_ids): writes what recall reads, for memories that have none of it yet.
--
-- The arrays are of equal length: whose, and which. One statement for all three parts, because a statement of its own for each costs a
-- single insert as much as the rows do; and for all users, because one per user costs a load of many users a quarter more. Each
-- memory is looked up by its key: the plan is kept for the session, and was made before anyone knew how many there would be.
-- Returns how many it was done for: a memory that is gone, another user's by now, or hidden by row security is left out. Errors: 23505
-- when something is derived for one of them already.
CREATE FUNCTION @extschema@._gravity_memory_derive(p_user_ids text[], p_memory_ids uuid[])
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_derive$
DECLARE
    v_config CONSTANT regconfig := @extschema@._gravity_memory_text_search_config();
    v_derived bigint;
BEGIN
    WITH memory AS MATERIALIZED (
        SELECT u.user_id, m.id, vector_schema.binary_quantize(m.embedding) AS signature, t.length, t.term_keys, t.frequencies
        FROM unnest(p_user_ids, p_memory_ids) AS u (user_id, id)
        CROSS JOIN LATERAL (SELECT g.id, g.user_id, g.content, g.created_at, g.embedding FROM @extschema@.gravity_map AS g
                            WHERE g.id = u.id LIMIT 1) AS m
        CROSS JOIN LATERAL @extschema@._gravity_memory_document_terms(v_config, u.user_id, m.content, m.created_at) AS t
        -- Not inside: planned on an empty table, the index on user_id looks as good as the key, and reads all memories of the user.
        WHERE m.user_id = u.user_id
    ), digest AS (
        INSERT INTO @extschema@.memory_digests (user_id, memory_id, length, signature, term_keys)
        SELECT m.user_id, m.id, m.length, m.signature, m.term_keys FROM memory AS m
    ), posting AS (
        INSERT INTO @extschema@.memory_postings (term_key, memory_id, frequency, length)
        SELECT k.term_key, m.id, k.frequency, LEAST(m.length, 32767)
        FROM memory AS m
        CROSS JOIN LATERAL unnest(m.term_keys, m.frequencies) AS k (term_key, frequency)
    )
    SELECT count(*) INTO v_derived FROM memory AS m;
    RETURN v_derived;
END
$_gravity_memory_derive$;

COMMENT ON FUNCTION @extschema@._gravity_memory_derive(text[], uuid[]) IS
    'Writes what recall reads for memories, and returns for how many.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_derive(text[], uuid[]) FROM PUBLIC;

-- sql/derivation/_gravity_memory_forget_derived.sql

-- _gravity_memory_forget_derived(p_user_ids, p_memory_ids): removes what recall reads of memories.
--
-- The arrays are of equal length: whose, and which. The digest lists the keys of its postings, so they are found whatever the text search configuration is by now. Each row is looked up
-- by its key, and deleted by its place: the plan is kept for the session, and one that was made on empty tables would
-- otherwise compare every posting with every other.
CREATE FUNCTION @extschema@._gravity_memory_forget_derived(p_user_ids text[], p_memory_ids uuid[])
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
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_forget_derived(text[], uuid[]) FROM PUBLIC;

-- sql/derivation/_gravity_memory_note_recall_gaps.sql

-- _gravity_memory_note_recall_gaps(p_user_ids, p_only_missing): notes users whose derived rows may be wrong; NULL is everyone.
--
-- Until CALL gravity_memory_rebuild_recall() has worked the note off, recall looks at all of the user's memories: slower, and complete.
-- p_only_missing says that what is derived is right, and the rebuild has but to add what is not there; it holds only as long as nothing else
-- is noted of the user.
CREATE FUNCTION @extschema@._gravity_memory_note_recall_gaps(p_user_ids text[], p_only_missing boolean DEFAULT false)
RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_note_recall_gaps$
    -- The time is renewed, so that a rebuild that is about to strike the user off sees that there is something new to do.
    INSERT INTO @extschema@.memory_recall_gaps AS g (user_id, is_every_user, noted_at, only_missing)
    SELECT u.user_id, false, clock_timestamp(), p_only_missing
    FROM (SELECT DISTINCT i.user_id FROM unnest(p_user_ids) AS i (user_id) WHERE i.user_id IS NOT NULL ORDER BY i.user_id) AS u
    UNION ALL
    SELECT '', true, clock_timestamp(), false WHERE p_user_ids IS NULL
    ON CONFLICT (user_id, is_every_user) DO UPDATE
        SET noted_at = EXCLUDED.noted_at, only_missing = g.only_missing AND EXCLUDED.only_missing
$_gravity_memory_note_recall_gaps$;

COMMENT ON FUNCTION @extschema@._gravity_memory_note_recall_gaps(text[], boolean) IS
    'Notes users whose derived rows recall must not rely on.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_note_recall_gaps(text[], boolean) FROM PUBLIC;

-- sql/derivation/_gravity_memory_derive_or_note.sql

-- _gravity_memory_derive_or_note(p_user_ids, p_memory_ids): derives what recall reads, and notes the users of whom some could not be.
--
-- A memory that the owner itself cannot see, or that a trigger removed again or gave to somebody else, is not derived; its user is
-- noted in memory_recall_gaps, so that recall looks at the memories themselves. The arrays are of equal length: whose, and which.
CREATE FUNCTION @extschema@._gravity_memory_derive_or_note(p_user_ids text[], p_memory_ids uuid[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_derive_or_note$
BEGIN
    IF @extschema@._gravity_memory_derive(p_user_ids, p_memory_ids) = cardinality(p_memory_ids) THEN
        RETURN;
    END IF;
    PERFORM @extschema@._gravity_memory_note_recall_gaps(ARRAY(
        SELECT u.user_id
        FROM unnest(p_user_ids, p_memory_ids) AS u (user_id, id)
        WHERE NOT EXISTS (SELECT FROM @extschema@.memory_digests AS d WHERE d.user_id = u.user_id AND d.memory_id = u.id)));
END
$_gravity_memory_derive_or_note$;

COMMENT ON FUNCTION @extschema@._gravity_memory_derive_or_note(text[], uuid[]) IS
    'Writes what recall reads for memories, and notes the users of whom some could not be derived.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_derive_or_note(text[], uuid[]) FROM PUBLIC;

-- sql/derivation/_gravity_memory_leaves_deriving.sql

-- _gravity_memory_leaves_deriving(p_rows): whether an INSERT of so many rows leaves what recall reads to a rebuild.
--
-- Single rows never do, and the setting is not read for them: it would cost them a twentieth more.
CREATE FUNCTION @extschema@._gravity_memory_leaves_deriving(p_rows bigint)
RETURNS boolean
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_leaves_deriving$
DECLARE
    v_limit bigint;
BEGIN
    IF p_rows <= 1 THEN
        RETURN false;
    END IF;
    v_limit := (@extschema@._gravity_memory_effective_settings() ->> 'derive_bulk_rows')::bigint;
    RETURN v_limit > 0 AND p_rows > v_limit;
END
$_gravity_memory_leaves_deriving$;

COMMENT ON FUNCTION @extschema@._gravity_memory_leaves_deriving(bigint) IS
    'Whether an INSERT of so many rows leaves what recall reads to gravity_memory_rebuild_recall().';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_leaves_deriving(bigint) FROM PUBLIC;

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
                                               WHERE e.user_id = u.user_id AND e.memory_id >= u.id
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

-- sql/derivation/_gravity_memory_derive_memories.sql

-- _gravity_memory_derive_memories(p_user_id, p_memory_ids, p_wait): derives what recall reads, for memories that are there already.
--
-- Locks each row against changes, not against reading, for the moment of one batch, so that what was derived from an older version never
-- overwrites what a trigger derived from a newer one. Without p_wait, rows that another transaction is changing are passed over:
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
                          FOR SHARE);
    ELSE
        v_locked := ARRAY(SELECT m.id FROM @extschema@.gravity_map AS m
                          WHERE m.id = ANY (p_memory_ids) AND m.user_id = p_user_id
                          FOR SHARE SKIP LOCKED);
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

-- sql/derivation/_gravity_memory_next_recall_gap.sql

-- _gravity_memory_next_recall_gap(p_after, p_user_id): the next user of whom a rebuild has to make the derived rows anew.
--
-- In the order of user_id, after p_after (NULL: from the start), and only p_user_id when that is given. Returns one row, or none at the end:
-- the user, when it was noted, and the ids of all of its memories, or of those of which nothing is derived where nothing else is amiss.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_next_recall_gap(p_after text, p_user_id text)
RETURNS TABLE (user_id text, noted_at timestamptz, memory_ids uuid[])
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_next_recall_gap$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT n.user_id, n.noted_at, ARRAY(
               SELECT m.id
               FROM @extschema@.gravity_map AS m
               WHERE m.user_id = n.user_id
                 AND NOT (n.only_missing AND EXISTS (
                     SELECT FROM @extschema@.memory_digests AS d WHERE d.user_id = n.user_id AND d.memory_id = m.id)))
    FROM (SELECT g.user_id, g.noted_at, g.only_missing
          FROM @extschema@.memory_recall_gaps AS g
          WHERE NOT g.is_every_user
            AND (p_after IS NULL OR g.user_id > p_after)
            AND (p_user_id IS NULL OR g.user_id = p_user_id)
          ORDER BY g.user_id
          LIMIT 1) AS n;
END
$_gravity_memory_next_recall_gap$;

COMMENT ON FUNCTION @extschema@._gravity_memory_next_recall_gap(text, text) IS
    'The next user whose derived rows a rebuild has to make anew, with the ids of its memories.';

-- sql/derivation/_gravity_memory_derive_batch.sql

-- _gravity_memory_derive_batch(p_user_id, p_noted_at, p_memory_ids, p_done, p_batch_size, p_passed_over): one step of a rebuild.
--
-- Derives the p_batch_size memories after the first p_done of p_memory_ids. When these are done, comes back to the memories passed
-- over, one at a time, and waits for each: a transaction that holds one lock at a time takes part in no deadlock. When there is
-- nothing left, removes derived rows that have no memory and strikes the user off, unless it was noted again meanwhile.
-- Returns how far it is, what is passed over, and whether the user is finished. The caller commits after each step.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_derive_batch(
    p_user_id text, p_noted_at timestamptz, p_memory_ids uuid[], p_batch_size integer,
    INOUT p_done integer, INOUT p_passed_over uuid[], OUT is_finished boolean)
RETURNS record
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_derive_batch$
DECLARE
    v_orphans uuid[];
BEGIN
    is_finished := false;
    IF p_done < cardinality(p_memory_ids) THEN
        p_passed_over := p_passed_over || @extschema@._gravity_memory_derive_memories(
            p_user_id, p_memory_ids[p_done + 1 : p_done + p_batch_size], false);
        p_done := LEAST(p_done + p_batch_size, cardinality(p_memory_ids));
    ELSIF p_passed_over <> '{}' THEN
        PERFORM @extschema@._gravity_memory_derive_memories(p_user_id, p_passed_over[1:1], true);
        p_passed_over := p_passed_over[2:];
    END IF;
    IF p_done < cardinality(p_memory_ids) OR p_passed_over <> '{}' THEN
        RETURN;
    END IF;

    v_orphans := ARRAY(
        SELECT d.memory_id
        FROM @extschema@.memory_digests AS d
        WHERE d.user_id = p_user_id
          AND NOT EXISTS (SELECT FROM @extschema@.gravity_map AS m WHERE m.id = d.memory_id AND m.user_id = p_user_id));
    PERFORM @extschema@._gravity_memory_forget_derived(array_fill(p_user_id, ARRAY[cardinality(v_orphans)]), v_orphans);
    DELETE FROM @extschema@.memory_recall_gaps AS g
    WHERE g.user_id = p_user_id AND NOT g.is_every_user AND g.noted_at = p_noted_at;
    is_finished := true;
END
$_gravity_memory_derive_batch$;

COMMENT ON FUNCTION @extschema@._gravity_memory_derive_batch(text, timestamptz, uuid[], integer, integer, uuid[]) IS
    'One step of gravity_memory_rebuild_recall(): derives a batch of a user''s memories, or finishes the user.';

-- sql/derivation/_gravity_memory_fill_recall.sql

-- _gravity_memory_fill_recall(): derives what recall reads from all memories at once, in this transaction.
--
-- For setup, on tables small enough; gravity_memory_rebuild_recall() does the same in batches. It blocks writers meanwhile, so that no
-- row has to be locked: a lock is written into the row, and adoption leaves the rows of the application as they are.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_fill_recall()
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $_gravity_memory_fill_recall$
DECLARE
    v_gap record;
BEGIN
    LOCK TABLE @extschema@.gravity_map IN SHARE ROW EXCLUSIVE MODE;
    PERFORM @extschema@._gravity_memory_begin_rebuild(1, NULL, true);
    -- All of it, also what was left of memories that are gone.
    DELETE FROM @extschema@.memory_digests;
    DELETE FROM @extschema@.memory_postings;
    FOR v_gap IN
        SELECT n.user_id, n.memory_ids
        FROM @extschema@.memory_recall_gaps AS g
        CROSS JOIN LATERAL @extschema@._gravity_memory_next_recall_gap(NULL, g.user_id) AS n
    LOOP
        PERFORM @extschema@._gravity_memory_derive(
            array_fill(v_gap.user_id, ARRAY[cardinality(v_gap.memory_ids)]), v_gap.memory_ids);
    END LOOP;
    DELETE FROM @extschema@.memory_recall_gaps;
END
$_gravity_memory_fill_recall$;

COMMENT ON FUNCTION @extschema@._gravity_memory_fill_recall() IS
    'Derives what recall reads from all memories at once.';

-- sql/similarity/_gravity_memory_nearest.sql

-- _gravity_memory_nearest(p_user_id, p_embedding, p_threshold, p_gravity_weight, p_count): a user's best memories for a vector.
--
-- score = similarity * (1 - p_gravity_weight) + gravity * p_gravity_weight; a NULL, NaN or infinite gravity counts as 0. Returns the p_count
-- best by score among the memories with similarity >= p_threshold, best first, and fewer only when fewer qualify. Memories without
-- embedding, or with a zero vector, have no similarity and are never returned.
--
-- Signatures (the sign of each component, one bit) put the user's memories in approximate order; they are then ranked by their full
-- vectors in that order, until no further one can be expected to enter the answer. Two vectors with the angle a between them
-- differ in about d * a / pi of their d signs, with the spread of a binomial distribution. Whoever enters has at least a known
-- similarity: that of the last row of the answer so far (with gravity: what the highest gravity leaves to be reached), or the
-- threshold. So everything up to the distance of that similarity plus recall_margin standard deviations is ranked; the mean is corrected
-- by what the twenty most similar rows so far show, because components of real embeddings are not independent. (Not by the most similar of
-- each slice: those of a slice far away have distances above the mean because they lie in it, and one would never stop.) When
-- the first candidates are not enough, the others are fetched by distance. That goes on by itself for larger
-- users, longer answers and embeddings whose signs say little; where they say nothing every memory is compared, as it is with
-- fewer than 64 dimensions, for a user with few memories, and while the signatures may not be read. At least ten rows are
-- made sure of.
-- Candidates are looked up one by one: with hash and merge joins the planner would read the whole table for a few hundred of them.
-- The vector indexes are of no use here: with a condition on the user they return too few rows, or wrong ones, silently.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_nearest(
    p_user_id text, p_embedding vector, p_threshold double precision, p_gravity_weight double precision, p_count integer)
RETURNS TABLE (memory_id uuid, similarity double precision, score double precision)
LANGUAGE plpgsql
STABLE
ROWS 10
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET max_parallel_workers_per_gather = 0
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $_gravity_memory_nearest$
DECLARE
    v_settings CONSTANT jsonb := @extschema@._gravity_memory_effective_settings();
    v_margin CONSTANT double precision := (v_settings ->> 'recall_margin')::double precision;
    v_kept CONSTANT bigint := GREATEST(p_count, 10);
    v_dimensions CONSTANT double precision := vector_schema.vector_dims(p_embedding);
    v_few CONSTANT integer := 500000 / v_dimensions;
    v_are_few boolean;
    v_highest_gravity double precision := 0;
    v_limit bigint;
    v_candidates uuid[];
    v_distances integer[];
    v_done integer := 0;
    v_goal bigint;
    v_ids uuid[] := '{}'::uuid[];
    v_similarities double precision[] := '{}'::double precision[];
    v_scores double precision[] := '{}'::double precision[];
    v_near_similarities double precision[] := '{}'::double precision[];
    v_near_distances integer[] := '{}'::integer[];
    v_reach double precision;
    v_offset double precision;
    v_needed double precision;
    v_share double precision;
    v_last_distance double precision;
    v_is_settled boolean := false;
BEGIN
    IF p_count <= 0 THEN
        RETURN;
    END IF;
    IF p_gravity_weight > 0 THEN
        SELECT m.gravity_score INTO v_highest_gravity
        FROM @extschema@.gravity_map AS m
        WHERE m.user_id = p_user_id AND m.gravity_score < 'Infinity' ORDER BY m.gravity_score DESC LIMIT 1;
        v_highest_gravity := GREATEST(v_highest_gravity, 0);
    END IF;

    -- So few memories that to compare them all, as they lie in the table, costs less than to look up a part of them.
    v_are_few := (SELECT count(*) FROM (SELECT FROM @extschema@.gravity_map AS m WHERE m.user_id = p_user_id
                                        LIMIT v_few + 1) AS f) <= v_few;

    v_goal := 10 * (v_settings ->> 'recall_oversampling')::bigint + 4 * (v_kept - 10);
    v_limit := GREATEST(320, 2 * v_goal);

    <<candidates>>
    WHILE NOT v_are_few AND v_dimensions >= 64 AND v_limit <= 200001 LOOP
        SELECT n.memory_ids, n.distances INTO v_candidates, v_distances
        FROM @extschema@._gravity_memory_nearest_signatures(
            p_user_id, vector_schema.binary_quantize(p_embedding), v_limit::integer, v_reach::integer) AS n;
        EXIT WHEN v_candidates IS NULL OR cardinality(v_candidates) > 200000;
        -- Up to which distance the candidates are all that there are.
        v_reach := CASE WHEN v_reach >= v_dimensions OR (v_reach IS NULL AND cardinality(v_candidates) < v_limit) THEN 'Infinity'
                        WHEN v_reach IS NULL THEN v_distances[cardinality(v_distances)] - 1
                        ELSE v_reach END;
        WHILE v_done < cardinality(v_candidates) LOOP
            v_goal := LEAST(v_goal, cardinality(v_candidates));
            WITH slice AS MATERIALIZED (
                SELECT r.id, r.similarity, r.distance,
                       r.similarity * (1 - p_gravity_weight)
                       + CASE WHEN abs(r.gravity) < 'Infinity' THEN r.gravity ELSE 0 END * p_gravity_weight AS score
                FROM (
                    -- OFFSET 0 keeps the distance from being computed once for the filter and again for the result.
                    SELECT m.id, 1 - (m.embedding OPERATOR(vector_schema.<=>) p_embedding) AS similarity, c.distance,
                           m.gravity_score::double precision AS gravity
                    FROM unnest(v_candidates[v_done + 1 : v_goal], v_distances[v_done + 1 : v_goal]) AS c (id, distance)
                    -- LIMIT keeps the planner from reading all memories of the user, of whom it does not know that they are many.
                    CROSS JOIN LATERAL (SELECT g.id, g.user_id, g.embedding, g.gravity_score FROM @extschema@.gravity_map AS g
                                        WHERE g.id = c.id LIMIT 1) AS m
                    WHERE m.user_id = p_user_id
                    OFFSET 0
                ) AS r
                WHERE r.similarity < 'NaN'
            ), nearest AS MATERIALIZED (
                SELECT u.similarity, u.distance FROM unnest(v_near_similarities, v_near_distances) AS u (similarity, distance)
                UNION ALL
                SELECT s.similarity, s.distance FROM slice AS s
                ORDER BY similarity DESC
                LIMIT 20
            )
            SELECT array_agg(b.id ORDER BY b.score DESC, b.id), array_agg(b.similarity ORDER BY b.score DESC, b.id),
                   array_agg(b.score ORDER BY b.score DESC, b.id),
                   (SELECT array_agg(o.similarity) FROM nearest AS o), (SELECT array_agg(o.distance) FROM nearest AS o),
                   (SELECT avg(o.distance - v_dimensions * acos(LEAST(o.similarity, 1)) / pi()) FROM nearest AS o)
            INTO v_ids, v_similarities, v_scores, v_near_similarities, v_near_distances, v_offset
            FROM (SELECT u.id, u.similarity, u.score FROM unnest(v_ids, v_similarities, v_scores) AS u (id, similarity, score)
                  UNION ALL
                  SELECT s.id, s.similarity, s.score FROM slice AS s WHERE s.similarity >= p_threshold
                  ORDER BY score DESC, id
                  LIMIT v_kept) AS b;
            v_done := v_goal;

            -- The similarity that a row not ranked yet must have, and how far away its signature may then be.
            v_needed := GREATEST(p_threshold, -1, CASE WHEN p_gravity_weight < 1 THEN
                (v_scores[v_kept] - p_gravity_weight * v_highest_gravity) / (1 - p_gravity_weight) END);
            v_share := LEAST(GREATEST(acos(LEAST(v_needed, 1)) / pi() + COALESCE(v_offset, 0) / v_dimensions, 0.01), 0.99);
            v_last_distance := v_dimensions * v_share + v_margin * sqrt(v_dimensions * v_share * (1 - v_share));
            v_is_settled := CASE WHEN v_done < cardinality(v_candidates) THEN v_needed > -1 AND v_distances[v_done] > v_last_distance
                                 ELSE v_reach >= LEAST(v_last_distance, v_dimensions) END;
            EXIT candidates WHEN v_is_settled;
            -- Up to the last candidate within that distance, but with a new estimate when four times as many have been ranked.
            SELECT LEAST(GREATEST(count(*) FILTER (WHERE d.distance <= v_last_distance) + 1, v_done + 1), 4 * v_done) INTO v_goal
            FROM unnest(v_distances) AS d (distance);
        END LOOP;
        -- No candidate at all, or all are ranked and it takes more: those up to the distance known by now, and a little to spare.
        v_is_settled := v_candidates = '{}';
        EXIT WHEN v_is_settled;
        v_reach := ceil(LEAST(v_last_distance + sqrt(v_dimensions) / 4, v_dimensions));
        v_limit := 200001;
    END LOOP;

    IF v_is_settled THEN
        RETURN QUERY
        SELECT u.id, u.similarity, u.score
        FROM unnest(v_ids, v_similarities, v_scores) WITH ORDINALITY AS u (id, similarity, score, rank)
        ORDER BY u.rank
        LIMIT p_count;
        RETURN;
    END IF;

    -- Sorted by an expression that no vector index has, and OFFSET 0 as above.
    RETURN QUERY
    SELECT r.id, r.similarity,
           r.similarity * (1 - p_gravity_weight)
           + CASE WHEN abs(r.gravity) < 'Infinity' THEN r.gravity ELSE 0 END * p_gravity_weight AS score
    FROM (
        SELECT m.id, 1 - (m.embedding OPERATOR(vector_schema.<=>) p_embedding) AS similarity,
               m.gravity_score::double precision AS gravity
        FROM @extschema@.gravity_map AS m
        WHERE m.user_id = p_user_id AND m.embedding IS NOT NULL
          AND vector_schema.vector_dims(m.embedding) = vector_schema.vector_dims(p_embedding)
        OFFSET 0
    ) AS r
    WHERE r.similarity >= p_threshold AND r.similarity < 'NaN'
    ORDER BY 3 DESC, 1
    LIMIT p_count;
END
$_gravity_memory_nearest$;

COMMENT ON FUNCTION @extschema@._gravity_memory_nearest(text, vector, double precision, double precision, integer) IS
    'A user''s best memories for a vector, by cosine similarity and gravity, as exact as a comparison with all of them.';

-- sql/recall/_gravity_memory_similar_memories.sql

-- _gravity_memory_similar_memories(p_user_id, p_embedding, p_count, p_eligible, p_filters): the p_count memories most similar to a vector.
--
-- Among p_eligible, when that is given, otherwise among those that pass p_filters ({}: all). Four times p_count are taken by signature and
-- ranked by full vector: the end of a list of a hundred decides nothing, so it need not be as exact as
-- _gravity_memory_nearest() makes it, at several times the cost. With filters, so many signatures are looked at that enough of
-- them pass. A few hundred eligible memories are compared without signatures, and so are all where signatures may not be read, or
-- say too little.
-- Returns the memories by similarity, best first.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_similar_memories(
    p_user_id text, p_embedding vector, p_count integer, p_eligible uuid[], p_filters jsonb,
    OUT memory_ids uuid[], OUT similarities double precision[])
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_mergejoin = off
SET max_parallel_workers_per_gather = 0
SET jit = off
AS $_gravity_memory_similar_memories$
DECLARE
    v_compared uuid[];
    v_asked integer := CASE WHEN p_filters = '{}' THEN 4 ELSE 16 END * p_count;
    v_found integer;
    v_distances integer[];
BEGIN
    IF cardinality(p_eligible) <= 5 * p_count THEN
        v_compared := p_eligible;
    ELSIF vector_schema.vector_dims(p_embedding) >= 64 THEN
        LOOP
            SELECT n.memory_ids, n.distances, cardinality(n.memory_ids) INTO v_compared, v_distances, v_found
            FROM @extschema@._gravity_memory_nearest_signatures(p_user_id, vector_schema.binary_quantize(p_embedding), v_asked) AS n;
            -- Signatures that are mostly alike, as those of embeddings without negative components, do not say who is nearer.
            IF v_distances[v_found / 4 + 1] = v_distances[v_found] AND v_found = v_asked THEN
                v_compared := NULL;
            END IF;
            EXIT WHEN p_filters = '{}' OR v_compared IS NULL;
            v_compared := @extschema@._gravity_memory_passing(p_user_id, p_filters, v_compared, 4 * p_count);
            EXIT WHEN cardinality(v_compared) = 4 * p_count OR v_found < v_asked;
            v_asked := LEAST(v_asked * 8::bigint, 2147483647 / 10);
        END LOOP;
    END IF;

    IF v_compared IS NULL AND p_filters = '{}' THEN
        SELECT array_agg(c.memory_id), array_agg(c.similarity) INTO memory_ids, similarities
        FROM @extschema@._gravity_memory_nearest(p_user_id, p_embedding, -1, 0, p_count) AS c;
        RETURN;
    END IF;
    v_compared := COALESCE(v_compared, p_eligible, @extschema@._gravity_memory_passing(p_user_id, p_filters, NULL, NULL));
    SELECT array_agg(c.id), array_agg(c.similarity) INTO memory_ids, similarities
    FROM (
        SELECT r.id, r.similarity
        FROM (
            SELECT m.id, 1 - (m.embedding OPERATOR(vector_schema.<=>) p_embedding) AS similarity
            FROM unnest(v_compared) AS e (id)
            -- LIMIT keeps the planner from reading all memories of the user, of whom it does not know that they are many.
            CROSS JOIN LATERAL (SELECT g.id, g.user_id, g.embedding FROM @extschema@.gravity_map AS g WHERE g.id = e.id LIMIT 1) AS m
            WHERE m.user_id = p_user_id AND m.embedding IS NOT NULL
              AND vector_schema.vector_dims(m.embedding) = vector_schema.vector_dims(p_embedding)
            OFFSET 0
        ) AS r
        WHERE r.similarity < 'NaN'
        ORDER BY r.similarity DESC, r.id
        LIMIT p_count
    ) AS c;
    -- Memories without direction, or that nobody can see any more, stood among the signatures in the place of others.
    IF p_filters = '{}' AND cardinality(v_compared) = 4 * p_count AND COALESCE(cardinality(memory_ids), 0) < p_count THEN
        SELECT array_agg(c.memory_id), array_agg(c.similarity) INTO memory_ids, similarities
        FROM @extschema@._gravity_memory_nearest(p_user_id, p_embedding, -1, 0, p_count) AS c;
    END IF;
END
$_gravity_memory_similar_memories$;

COMMENT ON FUNCTION @extschema@._gravity_memory_similar_memories(text, vector, integer, uuid[], jsonb) IS
    'The memories of a user most similar to a vector among those that pass the filters of a recall.';

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
        IF v_object.is_derived THEN
            EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', @extschema@._gravity_memory_qualified_name(v_object.table_name));
            v_must_fill := true;
        END IF;
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

-- sql/monitoring/gravity_memory_slow_queries.sql

-- gravity_memory_slow_queries(p_limit): the slowest statements that touch our tables or functions, by pg_stat_statements.
--
-- The query of the specification's section on monitoring, for this database alone, and for all our tables and functions. Returns
-- query, calls, mean_exec_time, max_exec_time and total_exec_time in milliseconds, and rows, the slowest mean first; as in the
-- view, one row per statement and role. Who is no member of pg_read_all_stats sees the statements of roles that it is a member of.
-- Errors: 22023 unless p_limit is at least 1; 55000 when pg_stat_statements is not installed in this database, not preloaded, or
-- older than 1.8, with a HINT that says what to do; 42501 where pg_stat_statements is closed to the caller.
CREATE FUNCTION @extschema@.gravity_memory_slow_queries(p_limit integer DEFAULT 10)
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
    'The slowest statements that touch the tables or functions of gravity_memory, by pg_stat_statements.';

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
CREATE FUNCTION @extschema@.gravity_memory_index_usage()
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
    'How much each index of the tables of gravity_memory is used, since when never, what it serves and how large it is.';

-- sql/monitoring/_gravity_memory_table_counts.sql

-- _gravity_memory_table_counts(p_table_name, p_user_id): what gravity_memory_stats() counts in one table.
--
-- gravity_map is read once: the rows are grouped by all that is counted, in an aggregate that parallel workers can share, and the
-- groups, which are few, are added up by each. How many users there are is another pass, over an index; a count of distinct values
-- would sort the table.
CREATE FUNCTION @extschema@._gravity_memory_table_counts(p_table_name text, p_user_id text)
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
--   notifications   queue usage and queue limit, shares from 0 to 1; the same for every user
--   not counted     a table that is missing or that the caller may not read; value is NULL
-- Runs with the caller's rights, and counts what the caller may SELECT: under row security, the caller's own rows. For everybody it
-- reads gravity_map once from end to end, an index on user_id once, and the smaller tables and memory_digests once each, with
-- parallel workers where the server has them: some seconds for millions of memories. For one user it reads that user's rows.
-- Errors: 55000 when gravity_map does not exist.
CREATE FUNCTION @extschema@.gravity_memory_stats(p_user_id text DEFAULT NULL)
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
                                        'active_sessions', 'pattern_matrix', 'memory_digests', 'memory_recall_gaps'] LOOP
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

-- sql/monitoring/_gravity_memory_table_findings.sql

-- _gravity_memory_table_findings(): what is wrong with the tables themselves, for gravity_memory_check().
--
-- Missing tables and columns, what keeps setup from adopting a table, derived tables that are open or have triggers of others,
-- tables that pg_dump would leave out, and autovacuum switched off. Read from the catalogues; one row of gravity_map is read where
-- its embeddings have no fixed dimension, to know which one to give them.
CREATE FUNCTION @extschema@._gravity_memory_table_findings()
RETURNS TABLE (severity text, finding text, object text, problem text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_table_findings$
DECLARE
    v_setup CONSTANT text := 'SELECT * FROM ' || @extschema@._gravity_memory_qualified_name('gravity_memory_setup') || '()';
    v_memories CONSTANT regclass := to_regclass(@extschema@._gravity_memory_qualified_name('gravity_map'));
    v_dimensions integer;
    v_has_embedding boolean := false;
BEGIN
    RETURN QUERY
    SELECT 'error', 'missing_table', t.table_name, format('The table %I does not exist.', t.table_name), v_setup
    FROM @extschema@._gravity_memory_table_catalogue() AS t
    WHERE to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name)) IS NULL;

    -- A column that setup cannot add is among the mismatches below.
    RETURN QUERY
    SELECT 'error', 'missing_column', c.table_name || '.' || c.column_name,
           format('The column %I of %I does not exist.', c.column_name, c.table_name), v_setup
    FROM @extschema@._gravity_memory_column_catalogue() AS c
    JOIN pg_class AS k ON k.oid = to_regclass(@extschema@._gravity_memory_qualified_name(c.table_name)) AND k.relkind IN ('r', 'p')
    WHERE NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = k.oid AND a.attname = c.column_name AND NOT a.attisdropped)
      AND c.modifiers <> 'NOT NULL' AND c.modifiers NOT LIKE '%gen_random_uuid()%';

    -- Its owner may have changed a table since it was adopted. Where the line ends in a statement, that is what mends it.
    RETURN QUERY
    SELECT 'error', 'table_mismatch',
           COALESCE(substring(m.line FROM '^the (?:foreign key|name) (\S+)'), split_part(m.line, ' ', 1)),
           'Setup cannot adopt it: ' || m.line || '.',
           replace(substring(m.line FROM ': (ALTER TABLE .*)$'), 'ALTER TABLE ', 'ALTER TABLE @extschema@.')
    FROM @extschema@._gravity_memory_adoption_mismatches() AS m (line)
    WHERE m.line !~ '^gravity_map\.embedding has no dimensions';

    SELECT a.atttypmod, true INTO v_dimensions, v_has_embedding
    FROM pg_attribute AS a
    JOIN pg_type AS t ON t.oid = a.atttypid
    -- Reading a view would run its code.
    JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
    WHERE a.attrelid = v_memories AND a.attname = 'embedding' AND NOT a.attisdropped AND t.typname = 'vector';
    IF v_has_embedding AND v_dimensions < 1 THEN
        IF has_column_privilege(v_memories, 'embedding', 'SELECT') THEN
            EXECUTE format('SELECT %I.vector_dims(m.embedding) FROM %s AS m WHERE m.embedding IS NOT NULL LIMIT 1',
                           @extschema@._gravity_memory_vector_schema(), @extschema@._gravity_memory_qualified_name('gravity_map'))
                INTO v_dimensions;
        END IF;
        IF v_dimensions IS NULL OR v_dimensions < 1 THEN
            v_dimensions := @extschema@._gravity_memory_embedding_dimensions();
        END IF;
        RETURN QUERY
        SELECT 'error', 'embedding_without_dimension', 'gravity_map.embedding',
               'The embeddings have no fixed dimension: pgvector indexes no such column, and vectors of another length fail searches.',
               format('ALTER TABLE %s ALTER COLUMN embedding TYPE %I.vector(%s)',
                   @extschema@._gravity_memory_qualified_name('gravity_map'),
                      @extschema@._gravity_memory_vector_schema(), v_dimensions);
    END IF;

    RETURN QUERY
    SELECT 'error', 'open_derived_table', t.table_name,
           format('Row security is off on %I: whoever was granted it reads what is derived from every memory.', t.table_name),
           format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', n.name)
    FROM @extschema@._gravity_memory_table_catalogue() AS t
    CROSS JOIN LATERAL (SELECT @extschema@._gravity_memory_qualified_name(t.table_name) AS name) AS n
    JOIN pg_class AS k ON k.oid = to_regclass(n.name)
    WHERE t.is_derived AND NOT k.relrowsecurity;

    RETURN QUERY
    SELECT 'error', 'foreign_trigger', format('%I on %I', g.tgname, t.table_name),
           format('The derived table %I has a trigger that is not ours: setup stops at it, and what is derived may be wrong.',
               t.table_name),
           format('DROP TRIGGER %I ON %s', g.tgname, n.name)
    FROM @extschema@._gravity_memory_table_catalogue() AS t
    CROSS JOIN LATERAL (SELECT @extschema@._gravity_memory_qualified_name(t.table_name) AS name) AS n
    JOIN pg_trigger AS g ON g.tgrelid = to_regclass(n.name) AND NOT g.tgisinternal
    WHERE t.is_derived;

    RETURN QUERY
    SELECT 'error', 'table_in_extension', t.table_name,
           format('%I is a member of the extension: pg_dump leaves its rows out, and DROP EXTENSION drops it.', t.table_name),
           'ALTER EXTENSION gravity_memory DROP TABLE ' || n.name
    FROM @extschema@._gravity_memory_table_catalogue() AS t
    CROSS JOIN LATERAL (SELECT @extschema@._gravity_memory_qualified_name(t.table_name) AS name) AS n
    JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = to_regclass(n.name) AND d.deptype = 'e'
    JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid AND e.extname = 'gravity_memory';

    -- The TOAST table, where embeddings and long contents are, has a switch of its own.
    RETURN QUERY
    SELECT 'warning', 'autovacuum_disabled', k.oid::regclass::text,
           format('Autovacuum is switched off for %s: statistics grow stale, dead rows stay, and index-only scans read the table.',
                  w.which || k.oid::regclass),
           format('ALTER TABLE %s RESET (%s)', k.oid::regclass, w.parameter)
    FROM @extschema@._gravity_memory_table_catalogue() AS t
    CROSS JOIN LATERAL (SELECT to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name)) AS oid) AS n
    JOIN pg_class AS k ON k.relkind = 'r' AND (k.oid = n.oid OR k.oid IN (SELECT p.relid FROM pg_partition_tree(n.oid) AS p))
    CROSS JOIN LATERAL (VALUES ('', 'autovacuum_enabled', k.oid),
        ('the TOAST table of ', 'toast.autovacuum_enabled', k.reltoastrelid))
         AS w (which, parameter, relation)
    JOIN pg_class AS o ON o.oid = w.relation
    CROSS JOIN LATERAL pg_options_to_table(o.reloptions) AS r
    WHERE r.option_name = 'autovacuum_enabled' AND NOT r.option_value::boolean;
END
$_gravity_memory_table_findings$;

COMMENT ON FUNCTION @extschema@._gravity_memory_table_findings() IS
    'Findings of gravity_memory_check() about tables and columns.';

-- sql/monitoring/_gravity_memory_owner_findings.sql

-- _gravity_memory_owner_findings(): who owns what, where that keeps our functions from working, for gravity_memory_check().
--
-- The SECURITY DEFINER functions write the arcs and what is derived: they should belong to the owner of gravity_map, which setup
-- sees to, and need the privileges. Adopted tables keep the owner they had; whoever owns the extension must be able to alter them.
CREATE FUNCTION @extschema@._gravity_memory_owner_findings()
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
           format('Row security is forced on the owner of %I, and the table has no policy: what is derived can be neither '
                  'written nor read.',
                  t.table_name),
           format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', n.name)
    FROM @extschema@._gravity_memory_table_catalogue() AS t
    CROSS JOIN LATERAL (SELECT @extschema@._gravity_memory_qualified_name(t.table_name) AS name) AS n
    JOIN pg_class AS c ON c.oid = to_regclass(n.name)
    JOIN pg_roles AS r ON r.oid = v_owner
    WHERE t.is_derived AND c.relrowsecurity AND c.relforcerowsecurity AND NOT r.rolsuper AND NOT r.rolbypassrls;

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

-- sql/monitoring/_gravity_memory_trigger_findings.sql

-- _gravity_memory_trigger_findings(): triggers that are missing, switched off or not as setup makes them, for
-- gravity_memory_check().
--
-- ENABLE REPLICA is off for every ordinary session; ENABLE ALWAYS is on. Setup replaces a trigger that was changed and leaves one
-- that was switched off.
CREATE FUNCTION @extschema@._gravity_memory_trigger_findings()
RETURNS TABLE (severity text, finding text, object text, problem text, remedy text)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_trigger_findings$
    SELECT 'error', f.finding, c.trigger_name || ' on ' || c.table_name, f.problem, f.remedy
    FROM @extschema@._gravity_memory_trigger_catalogue() AS c
    CROSS JOIN LATERAL (SELECT @extschema@._gravity_memory_qualified_name(c.table_name) AS name) AS n
    LEFT JOIN pg_trigger AS t ON t.tgrelid = to_regclass(n.name) AND t.tgname = c.trigger_name
    CROSS JOIN LATERAL (SELECT 'SELECT * FROM ' || @extschema@._gravity_memory_qualified_name('gravity_memory_setup')
        || '()' AS call) AS s
    CROSS JOIN LATERAL (
        VALUES ('missing_trigger', 'The trigger does not exist.', s.call, t.oid IS NULL),
               ('changed_trigger', 'The trigger is not as setup makes it, but: ' || pg_get_triggerdef(t.oid), s.call,
                pg_get_triggerdef(t.oid) <> c.definition),
               ('disabled_trigger',
                CASE WHEN c.definition ~ '_gravity_memory_keep_derived\(\)$'
                     THEN 'The trigger is switched off: of memories written meanwhile nothing is derived. When it is on again, CALL '
                          || @extschema@._gravity_memory_qualified_name('gravity_memory_rebuild_recall')
                              || '(p_everything => true).'
                     ELSE 'The trigger is switched off.' END,
                format('ALTER TABLE %s ENABLE TRIGGER %I', n.name, c.trigger_name), t.tgenabled IN ('D', 'R'))
    ) AS f (finding, problem, remedy, applies)
    WHERE f.applies AND to_regclass(n.name) IS NOT NULL
$_gravity_memory_trigger_findings$;

COMMENT ON FUNCTION @extschema@._gravity_memory_trigger_findings() IS
    'Findings of gravity_memory_check() about triggers.';

-- sql/monitoring/_gravity_memory_plain_index_definition.sql

-- _gravity_memory_plain_index_definition(p_definition): what an index is good for, in a form in which two definitions can be
-- compared.
--
-- p_definition is what follows the table's name in CREATE INDEX, as the catalogue writes it or as pg_get_indexdef() prints it. Left
-- out is what changes no plan (storage parameters, included columns) and what depends on the types of adopted columns (casts), then
-- parentheses and blanks, which PostgreSQL sets in its own way. The kind of an index on embedding is a setting, and left out too,
-- and so is pgvector's default operator class, which PostgreSQL does not print.
CREATE FUNCTION @extschema@._gravity_memory_plain_index_definition(p_definition text)
RETURNS text
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
AS $_gravity_memory_plain_index_definition$
    SELECT replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(
        CASE WHEN p_definition ~ '^USING ' THEN p_definition ELSE 'USING btree ' || p_definition END,
        ' (INCLUDE|WITH) \([^)]*\)', '', 'g'),
        '::(character varying|double precision|numeric|text|boolean|uuid)(\[\])?', '', 'g'),
        '^USING (?:ivfflat|hnsw) \(embedding(?: .*vector_l2_ops)?', 'USING vectors (embedding'),
        '[\s()\]]', '', 'g'),
        '=ANYARRAY[', 'IN')
$_gravity_memory_plain_index_definition$;

COMMENT ON FUNCTION @extschema@._gravity_memory_plain_index_definition(text) IS
    'An index definition without what changes no plan, for comparing.';

-- sql/monitoring/_gravity_memory_index_findings.sql

-- _gravity_memory_index_findings(): indexes that are missing, invalid or others than the catalogue says, for
-- gravity_memory_check().
--
-- Invalid indexes of any name, because they cost writers and serve nobody; those that another session is building at this moment
-- are left out where the caller may see that. Not the two indexes on embedding, but for their operator class: whether they suit the
-- rows is in _gravity_memory_vector_index_findings(). An index whose definition the owner tuned for a purpose is a notice, no more.
CREATE FUNCTION @extschema@._gravity_memory_index_findings()
RETURNS TABLE (severity text, finding text, object text, problem text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_index_findings$
BEGIN
    RETURN QUERY
    SELECT CASE WHEN c.is_unique THEN 'error' ELSE 'warning' END, 'missing_index', m.index_name,
           CASE WHEN c.is_unique THEN 'The unique index does not exist, and arcs need it to stay single: '
                ELSE 'The index does not exist; without it this reads too much: ' END || c.serves,
           m.concurrent_statement
    FROM @extschema@._gravity_memory_missing_indexes() AS m
    JOIN @extschema@.gravity_memory_index_catalogue() AS c ON c.index_name = m.index_name
    WHERE NOT m.is_invalid AND m.index_name !~ '^idx_gravity_map_embedding_'
      -- The name may belong to something else, which _gravity_memory_table_findings() reports.
      AND to_regclass(@extschema@._gravity_memory_qualified_name(m.index_name)) IS NULL;

    RETURN QUERY
    SELECT 'error', 'invalid_index', k.relname::text,
           format('The index of %s is invalid, after a build that failed or was interrupted: it costs writers and serves nobody.',
                  i.indrelid::regclass),
           CASE WHEN k.relkind = 'I' OR t.relkind = 'p' THEN format('DROP INDEX %s', k.oid::regclass)
                ELSE format('DROP INDEX CONCURRENTLY %s', k.oid::regclass) END
    FROM @extschema@._gravity_memory_table_catalogue() AS c
    CROSS JOIN LATERAL (SELECT to_regclass(@extschema@._gravity_memory_qualified_name(c.table_name)) AS oid) AS n
    JOIN pg_class AS t ON t.oid = n.oid OR t.oid IN (SELECT p.relid FROM pg_partition_tree(n.oid) AS p)
    JOIN pg_index AS i ON i.indrelid = t.oid AND NOT i.indisvalid
    JOIN pg_class AS k ON k.oid = i.indexrelid
    WHERE k.relname !~ '^idx_gravity_map_embedding_(cosine|l2)'
      AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index AS b WHERE b.index_relid = k.oid);

    RETURN QUERY
    SELECT 'notice', 'changed_index', c.index_name,
           format('The catalogue says %s, for: %s The index is %s.', c.definition, c.serves, d.definition),
           format('DROP INDEX%s %s', CASE t.relkind WHEN 'p' THEN '' ELSE ' CONCURRENTLY' END, i.indexrelid::regclass)
    FROM @extschema@.gravity_memory_index_catalogue() AS c
    JOIN pg_class AS t ON t.oid = to_regclass(@extschema@._gravity_memory_qualified_name(c.table_name))
    JOIN pg_index AS i
      ON i.indexrelid = to_regclass(@extschema@._gravity_memory_qualified_name(c.index_name)) AND i.indrelid = t.oid
          AND i.indisvalid
    CROSS JOIN LATERAL (SELECT CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END
                               || substring(pg_get_indexdef(i.indexrelid) FROM ' (USING .*)$') AS definition) AS d
    WHERE @extschema@._gravity_memory_plain_index_definition(regexp_replace(d.definition, '^UNIQUE ', ''))
          <> @extschema@._gravity_memory_plain_index_definition(c.definition)
       OR i.indisunique <> c.is_unique;
END
$_gravity_memory_index_findings$;

COMMENT ON FUNCTION @extschema@._gravity_memory_index_findings() IS
    'Findings of gravity_memory_check() about indexes.';

-- sql/monitoring/_gravity_memory_vector_index_findings.sql

-- _gravity_memory_vector_index_findings(): indexes on embedding that do not suit the rows, for gravity_memory_check().
--
-- Judged as the job train-vector-indexes judges them; see _gravity_memory_vector_index_states(). Where that job runs it mends them
-- by itself, one statement at a time, and the finding is a notice. Replacing an index takes several statements: the one returned is
-- the next, so check again after it. Who may not execute gravity_memory_vector_index_ddl() is told its name.
CREATE FUNCTION @extschema@._gravity_memory_vector_index_findings()
RETURNS TABLE (severity text, finding text, object text, problem text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
SET quote_all_identifiers = off
-- gravity_memory_vector_index_ddl() says in notices what stands in the rows here.
SET client_min_messages = error
AS $_gravity_memory_vector_index_findings$
DECLARE
    v_table CONSTANT regclass := to_regclass(@extschema@._gravity_memory_qualified_name('gravity_map'));
    v_ddl CONSTANT text := @extschema@._gravity_memory_qualified_name('gravity_memory_vector_index_ddl') || '()';
    v_is_partitioned CONSTANT boolean := EXISTS (SELECT FROM pg_class AS c WHERE c.oid = v_table AND c.relkind = 'p');
    v_severity text := 'warning';
    v_has_job boolean;
    v_statements text[];
BEGIN
    IF v_table IS NULL THEN
        RETURN;
    END IF;
    IF has_function_privilege(v_ddl, 'EXECUTE') THEN
        v_statements := ARRAY(SELECT s.ddl FROM @extschema@.gravity_memory_vector_index_ddl() WITH ORDINALITY AS s (ddl, step)
            ORDER BY s.step);
    ELSE
        v_statements := ARRAY['SELECT ddl FROM ' || v_ddl || ' AS ddl \gexec'];
    END IF;
    IF NOT v_is_partitioned AND EXISTS (SELECT FROM pg_extension AS e WHERE e.extname = 'pg_cron') THEN
        BEGIN
            EXECUTE 'SELECT EXISTS (SELECT FROM cron.job AS j WHERE j.database = current_database() AND j.active AND j.command LIKE'
                    ' ''%gravity_memory_train_vector_indexes()'')' INTO v_has_job;
        EXCEPTION WHEN insufficient_privilege THEN
            v_has_job := false;
        END;
        IF v_has_job THEN
            v_severity := 'notice';
        END IF;
    END IF;

    RETURN QUERY
    SELECT v_severity, f.finding, s.index_name, f.problem,
           -- What concerns the other index alone is in that one's row; renaming, and the name of the function, concern both.
           (SELECT u.statement FROM unnest(v_statements) WITH ORDINALITY AS u (statement, step)
            WHERE u.statement !~ '^(CREATE|DROP) ' OR strpos(u.statement, s.index_name) > 0 ORDER BY u.step LIMIT 1)
    FROM @extschema@._gravity_memory_vector_index_states() AS s
    CROSS JOIN LATERAL (VALUES
        ('missing_vector_index',
            'There are memories enough to train it; until it is built, searches across users compare all of them.',
         s.is_wanted AND s.index_oid IS NULL AND NOT s.successor_serves),
        ('untrained_vector_index',
         'The index has another kind, or a number of lists that the memories have outgrown, or is invalid: it should be '
         || s.definition || '.', s.is_wanted AND s.index_oid IS NOT NULL AND NOT s.index_serves),
        ('unwanted_vector_index',
         'The index stands on fewer memories than embedding_index_min_rows, or embedding_index says none: it finds little and '
         'costs writers.',
         NOT s.is_wanted AND s.index_oid IS NOT NULL),
        ('unfinished_vector_index', 'A successor of the index was built and has not taken its place, or was left half built.',
         s.successor_oid IS NOT NULL AND NOT (s.is_wanted AND s.index_oid IS NOT NULL AND NOT s.index_serves))
    ) AS f (finding, problem, applies)
    WHERE f.applies;

    RETURN QUERY
    SELECT v_severity, 'unfinished_vector_index', c.relname::text, 'The index was replaced, and is still there.',
           format('DROP INDEX%s IF EXISTS %s', CASE WHEN v_is_partitioned THEN '' ELSE ' CONCURRENTLY' END, c.oid::regclass)
    FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indexrelid
    WHERE i.indrelid = v_table AND c.relname ~ '^idx_gravity_map_embedding_(cosine|l2)_old_[0-9]+$';

    RETURN QUERY
    SELECT 'warning', 'vector_index_memory', string_agg(s.index_name, ', ' ORDER BY s.index_name),
           'They cannot be built: ' || s.advice || '.',
           format('ALTER ROLE %I SET maintenance_work_mem = ''%s MB''', current_user,
               substring(s.advice FROM 'at least ([0-9]+) MB'))
    FROM @extschema@._gravity_memory_vector_index_states() AS s
    WHERE NOT s.is_wanted AND NOT s.is_buildable AND s.advice ~ '^maintenance_work_mem' AND s.index_oid IS NULL
    GROUP BY s.advice;
END
$_gravity_memory_vector_index_findings$;

COMMENT ON FUNCTION @extschema@._gravity_memory_vector_index_findings() IS
    'Findings of gravity_memory_check() about the indexes on embedding.';

-- sql/monitoring/_gravity_memory_job_findings.sql

-- _gravity_memory_job_findings(): jobs of pg_cron that are missing, switched off or failing, for gravity_memory_check().
--
-- Nothing where pg_cron is not in this database: another scheduler may run the jobs. A job counts by its command, whatever its
-- name. It fails when its latest run did; of train-vector-index-step, whose command changes, the runs are looked at that are not
-- older than a day. pg_cron shows a role its own jobs only: whoever sees none of ours, and may not see all, gets an error, which
-- gravity_memory_check() reports as not checked. Errors: 42501 for a role that may not read the jobs.
CREATE FUNCTION @extschema@._gravity_memory_job_findings()
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
                ' WHERE j.command = $1 AND j.database = current_database() ORDER BY j.active DESC, j.jobid DESC LIMIT 1'
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

-- sql/monitoring/_gravity_memory_sample_percent.sql

-- _gravity_memory_sample_percent(p_table_name): how much of a table TABLESAMPLE SYSTEM is to read, so that it is about 200 blocks.
--
-- A number from 0 to 100; 100 for up to 200 blocks, whose every row is read then. Partitions count.
CREATE FUNCTION @extschema@._gravity_memory_sample_percent(p_table_name text)
RETURNS real
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $_gravity_memory_sample_percent$
    SELECT LEAST(100, 100.0 * 200 * current_setting('block_size')::integer
                      / NULLIF(pg_relation_size(r.relation)
                               + COALESCE((SELECT sum(pg_relation_size(t.relid)) FROM pg_partition_tree(r.relation) AS t
                                           WHERE t.isleaf AND t.relid <> r.relation), 0), 0))::real
    FROM (SELECT @extschema@._gravity_memory_qualified_name(p_table_name)::regclass AS relation) AS r
$_gravity_memory_sample_percent$;

COMMENT ON FUNCTION @extschema@._gravity_memory_sample_percent(text) IS
    'The percentage of a table that is about 200 blocks, for TABLESAMPLE SYSTEM.';

-- sql/monitoring/_gravity_memory_derived_findings.sql

-- _gravity_memory_derived_findings(): whether what recall reads is there for every memory, for gravity_memory_check().
--
-- First the users that setup and the triggers noted in memory_recall_gaps, of whom recall reads the memories themselves. Then a
-- look for what nobody noted, such as a load with triggers switched off: about 200 blocks of gravity_map and of memory_digests,
-- spread over the table, and the 200 newest memories, each compared with its counterpart by key. Tables up to 200 blocks are
-- compared whole. Of a larger one, what concerns one row in a hundred is practically sure to be seen, what concerns single rows
-- hardly. Errors: 42501 for a role that may not read all memories and the derived tables, which gravity_memory_check() reports as
-- not checked.
CREATE FUNCTION @extschema@._gravity_memory_derived_findings()
RETURNS TABLE (severity text, finding text, object text, problem text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
SET plan_cache_mode = force_custom_plan
SET jit = off
AS $_gravity_memory_derived_findings$
DECLARE
    v_rebuild CONSTANT text := 'CALL ' || @extschema@._gravity_memory_qualified_name('gravity_memory_rebuild_recall');
    v_memories CONSTANT regclass := to_regclass(@extschema@._gravity_memory_qualified_name('gravity_map'));
    v_digests CONSTANT regclass := to_regclass(@extschema@._gravity_memory_qualified_name('memory_digests'));
    v_postings CONSTANT regclass := to_regclass(@extschema@._gravity_memory_qualified_name('memory_postings'));
    v_gaps CONSTANT regclass := to_regclass(@extschema@._gravity_memory_qualified_name('memory_recall_gaps'));
    v_dimensions integer;
    v_users bigint;
    v_is_every_user boolean;
    v_wrong bigint;
    v_looked_at bigint;
BEGIN
    -- A table that is missing, or is none, is a finding of its own.
    IF v_memories IS NULL OR v_digests IS NULL OR v_postings IS NULL OR v_gaps IS NULL
       OR EXISTS (SELECT FROM pg_class AS c
                  WHERE c.oid IN (v_memories, v_digests, v_postings, v_gaps) AND c.relkind NOT IN ('r', 'p'))
    THEN
        RETURN;
    END IF;
    IF row_security_active(v_memories) OR row_security_active(v_digests) OR row_security_active(v_postings)
        OR row_security_active(v_gaps) THEN
        RAISE EXCEPTION 'row security hides memories, or what is derived from them, from %', current_user
            USING ERRCODE = 'insufficient_privilege', HINT = 'Check as the owner of gravity_map, or as a role with BYPASSRLS.';
    END IF;

    SELECT count(*) FILTER (WHERE NOT g.is_every_user), COALESCE(bool_or(g.is_every_user), false) INTO v_users, v_is_every_user
    FROM @extschema@.memory_recall_gaps AS g;
    IF v_is_every_user OR v_users > 0 THEN
        RETURN QUERY SELECT 'warning', 'recall_gaps', 'memory_recall_gaps',
            format('Recall reads all memories of %s, slowly, because what is derived from them may be missing or wrong.',
                   CASE WHEN v_is_every_user THEN 'every user' WHEN v_users = 1 THEN '1 user' ELSE v_users || ' users' END),
            v_rebuild || '()';
    END IF;
    IF v_is_every_user THEN
        -- Nothing is relied on, so nothing can be wrong.
        RETURN;
    END IF;

    SELECT a.atttypmod INTO v_dimensions
    FROM pg_attribute AS a WHERE a.attrelid = v_memories AND a.attname = 'embedding' AND NOT a.attisdropped;

    -- Each counterpart is looked up by its key: a join might be planned to read both tables.
    SELECT count(*), count(*) FILTER (WHERE c.has_signature IS NULL OR c.has_signature <> s.has_embedding) INTO v_looked_at, v_wrong
    FROM (SELECT m.user_id::text AS user_id, m.id, m.embedding IS NOT NULL AS has_embedding
          FROM @extschema@.gravity_map AS m TABLESAMPLE SYSTEM (@extschema@._gravity_memory_sample_percent('gravity_map'))
          UNION
          (SELECT m.user_id::text, m.id, m.embedding IS NOT NULL
           FROM @extschema@.gravity_map AS m ORDER BY m.created_at DESC LIMIT 200)) AS s
    CROSS JOIN LATERAL (SELECT (SELECT d.signature IS NOT NULL FROM @extschema@.memory_digests AS d
                                WHERE d.user_id = s.user_id AND d.memory_id = s.id LIMIT 1) AS has_signature,
                               (SELECT true FROM @extschema@.memory_recall_gaps AS g
                                WHERE g.user_id = s.user_id AND NOT g.is_every_user LIMIT 1) AS is_noted) AS c
    WHERE s.user_id IS NOT NULL AND c.is_noted IS NULL;
    IF v_wrong > 0 THEN
        RETURN QUERY SELECT 'error', 'missing_derived_rows', 'memory_digests',
            format('%s of %s memories looked at have no row there, or one without their embedding, and nobody noted it: recall does not '
                   'find them.', v_wrong, v_looked_at),
            v_rebuild || '(p_everything => true)';
    END IF;

    SELECT count(*),
           count(*) FILTER (WHERE c.is_there IS NULL OR c.has_posting IS NULL)
    INTO v_looked_at, v_wrong
    FROM (SELECT d.user_id, d.memory_id, d.term_keys
          FROM @extschema@.memory_digests AS d TABLESAMPLE SYSTEM (@extschema@._gravity_memory_sample_percent('memory_digests'))) AS s
    CROSS JOIN LATERAL (SELECT (SELECT m.user_id::text = s.user_id OR NULL FROM @extschema@.gravity_map AS m
                                WHERE m.id = s.memory_id LIMIT 1) AS is_there,
                               (SELECT true WHERE s.term_keys = '{}'
                                UNION ALL
                                (SELECT true FROM @extschema@.memory_postings AS p
                                 WHERE p.term_key = s.term_keys[1] AND p.memory_id = s.memory_id LIMIT 1)) AS has_posting,
                               (SELECT true FROM @extschema@.memory_recall_gaps AS g
                                WHERE g.user_id = s.user_id AND NOT g.is_every_user LIMIT 1) AS is_noted) AS c
    WHERE c.is_noted IS NULL;
    IF v_wrong > 0 THEN
        RETURN QUERY SELECT 'error', 'wrong_derived_rows', 'memory_digests',
            format('%s of %s rows looked at there belong to no memory, or lack their row in memory_postings, and nobody noted it.',
                   v_wrong, v_looked_at),
            v_rebuild || '(p_everything => true)';
    END IF;

    IF v_dimensions > 0 THEN
        SELECT count(*), count(*) FILTER (WHERE length(s.signature) <> v_dimensions) INTO v_looked_at, v_wrong
        FROM (SELECT d.user_id, d.signature
              FROM @extschema@.memory_digests AS d TABLESAMPLE SYSTEM (@extschema@._gravity_memory_sample_percent('memory_digests'))
              WHERE d.signature IS NOT NULL) AS s
        CROSS JOIN LATERAL (SELECT (SELECT true FROM @extschema@.memory_recall_gaps AS g
                                    WHERE g.user_id = s.user_id AND NOT g.is_every_user LIMIT 1) AS is_noted) AS c
        WHERE c.is_noted IS NULL;
        IF v_wrong > 0 THEN
            RETURN QUERY SELECT 'error', 'signature_length', 'memory_digests.signature',
                format('%s of %s signatures looked at are not %s bits long, as the embeddings are by now.', v_wrong, v_looked_at,
                    v_dimensions),
                v_rebuild || '(p_everything => true)';
        END IF;
    END IF;
END
$_gravity_memory_derived_findings$;

COMMENT ON FUNCTION @extschema@._gravity_memory_derived_findings() IS
    'Findings of gravity_memory_check() about what recall reads.';

-- sql/monitoring/_gravity_memory_statistics_findings.sql

-- _gravity_memory_statistics_findings(): tables whose statistics the planner should not trust, for gravity_memory_check().
--
-- Never gathered on a table of more than 10,000 rows, as after pg_upgrade or a restore; or stale, when more than 10,000 rows and a
-- fifth of the table, which is twice what autovacuum waits for by default, changed since. What a session counts arrives a moment
-- late, so that a load may be counted after the ANALYZE that followed it: the table must have grown too, or ten minutes have
-- passed, in which autovacuum makes that good. Also autovacuum switched off on the server.
CREATE FUNCTION @extschema@._gravity_memory_statistics_findings()
RETURNS TABLE (severity text, finding text, object text, problem text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_statistics_findings$
BEGIN
    RETURN QUERY
    SELECT 'warning', f.finding, s.relid::regclass::text, f.problem, format('ANALYZE %s', s.relid::regclass)
    FROM @extschema@._gravity_memory_table_catalogue() AS t
    CROSS JOIN LATERAL (SELECT to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name)) AS oid) AS n
    JOIN pg_class AS c ON c.relkind = 'r' AND (c.oid = n.oid OR c.oid IN (SELECT p.relid FROM pg_partition_tree(n.oid) AS p))
    JOIN pg_stat_all_tables AS s ON s.relid = c.oid
    CROSS JOIN LATERAL (
        -- pg_stats says what was gathered, but hides it from whoever may not read the table; the counters say when, but a crash
        -- loses them.
        SELECT GREATEST(c.reltuples::double precision, s.n_live_tup, 0) AS rows,
               s.last_analyze IS NULL AND s.last_autoanalyze IS NULL
               AND NOT EXISTS (SELECT FROM pg_stats AS p WHERE p.schemaname = s.schemaname AND p.tablename = s.relname) AS is_new
    ) AS v
    CROSS JOIN LATERAL (VALUES
        ('missing_statistics', format('There are about %s rows, and no statistics of them: plans are guesses.', v.rows::bigint),
         v.is_new AND v.rows > 10000),
        ('stale_statistics',
         format('About %s of %s rows changed since statistics were gathered.', s.n_mod_since_analyze, v.rows::bigint),
         NOT v.is_new AND s.n_mod_since_analyze > 10000 AND s.n_mod_since_analyze > v.rows / 5
         AND (pg_relation_size(c.oid) / current_setting('block_size')::integer > 1.1 * c.relpages
              OR GREATEST(s.last_analyze, s.last_autoanalyze) < now() - interval '10 minutes'))
    ) AS f (finding, problem, applies)
    WHERE f.applies;

    IF NOT current_setting('autovacuum')::boolean OR NOT current_setting('track_counts')::boolean THEN
        RETURN QUERY SELECT 'warning', 'autovacuum_off', 'server',
            'Autovacuum, or track_counts without which it does nothing, is switched off.',
                            CASE WHEN current_setting('autovacuum')::boolean THEN 'ALTER SYSTEM SET track_counts = on'
                                 ELSE 'ALTER SYSTEM SET autovacuum = on' END;
    END IF;
END
$_gravity_memory_statistics_findings$;

COMMENT ON FUNCTION @extschema@._gravity_memory_statistics_findings() IS
    'Findings of gravity_memory_check() about the planner''s statistics.';

-- sql/monitoring/_gravity_memory_setting_findings.sql

-- _gravity_memory_setting_findings(): settings that are unknown, impossible or contradict each other, for gravity_memory_check().
--
-- gravity_memory_set() refuses the first two; they come from a dump of another version, or from a direct write to the table.
-- Settings are compared with each other only when all of them are possible.
CREATE FUNCTION @extschema@._gravity_memory_setting_findings()
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
         (v_settings ->> 'arc_gravity_threshold')::numeric < 0.8)
    ) AS f (severity, finding, object, problem, remedy, applies)
    WHERE f.applies;
END
$_gravity_memory_setting_findings$;

COMMENT ON FUNCTION @extschema@._gravity_memory_setting_findings() IS
    'Findings of gravity_memory_check() about settings.';

-- sql/monitoring/_gravity_memory_server_findings.sql

-- _gravity_memory_server_findings(): versions that do not go together, and a notification queue that fills, for
-- gravity_memory_check().
--
-- Signatures need binary_quantize() of pgvector 0.7.0. The version that is published is that of the files on the server.
CREATE FUNCTION @extschema@._gravity_memory_server_findings()
RETURNS TABLE (severity text, finding text, object text, problem text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
AS $_gravity_memory_server_findings$
DECLARE
    v_limit CONSTANT double precision := (@extschema@._gravity_memory_effective_settings() ->> 'notify_queue_limit')::double precision;
BEGIN
    RETURN QUERY
    SELECT 'error', 'old_pgvector', 'vector', format('pgvector is %s here; recall needs 0.7.0 or newer.', e.extversion),
           'ALTER EXTENSION vector UPDATE'
    FROM pg_extension AS e
    WHERE e.extname = 'vector'
      AND string_to_array(substring(e.extversion FROM '^[0-9]+(?:\.[0-9]+)*'), '.')::integer[] < '{0,7,0}'::integer[];

    RETURN QUERY
    SELECT 'warning', 'other_version', 'gravity_memory',
           format('Version %s is installed here, the files of the server are those of %s.', a.installed_version, a.default_version),
           'ALTER EXTENSION gravity_memory UPDATE'
    FROM pg_available_extensions AS a
    WHERE a.name = 'gravity_memory' AND a.installed_version <> a.default_version;

    IF pg_notification_queue_usage() > v_limit THEN
        RETURN QUERY SELECT 'error', 'notification_queue', 'pg_notification_queue_usage()',
            format('%s %% of the notification queue is in use, and above %s %% nothing is announced: a session that listens '
                   'does not read.',
                   round(100 * pg_notification_queue_usage()::numeric, 4), 100 * v_limit),
            -- Which one it is, PostgreSQL does not say; a full queue names it in the server's log.
            'SELECT pid, usename, application_name, state, xact_start, query FROM pg_stat_activity '
            'WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY xact_start';
    END IF;
END
$_gravity_memory_server_findings$;

COMMENT ON FUNCTION @extschema@._gravity_memory_server_findings() IS
    'Findings of gravity_memory_check() about versions and the notification queue.';

-- sql/monitoring/_gravity_memory_findings.sql

-- _gravity_memory_findings(p_family): the findings of one family, or that they could not be looked at.
--
-- Whatever goes wrong there, such as a missing privilege, becomes a notice, not_checked, so that the other families are looked at.
CREATE FUNCTION @extschema@._gravity_memory_findings(p_family text)
RETURNS TABLE (severity text, finding text, object text, problem text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $_gravity_memory_findings$
BEGIN
    CASE p_family
        WHEN 'table' THEN RETURN QUERY SELECT f.* FROM @extschema@._gravity_memory_table_findings() AS f;
        WHEN 'owner' THEN RETURN QUERY SELECT f.* FROM @extschema@._gravity_memory_owner_findings() AS f;
        WHEN 'trigger' THEN RETURN QUERY SELECT f.* FROM @extschema@._gravity_memory_trigger_findings() AS f;
        WHEN 'index' THEN RETURN QUERY SELECT f.* FROM @extschema@._gravity_memory_index_findings() AS f;
        WHEN 'vector_index' THEN RETURN QUERY SELECT f.* FROM @extschema@._gravity_memory_vector_index_findings() AS f;
        WHEN 'job' THEN RETURN QUERY SELECT f.* FROM @extschema@._gravity_memory_job_findings() AS f;
        WHEN 'derived' THEN RETURN QUERY SELECT f.* FROM @extschema@._gravity_memory_derived_findings() AS f;
        WHEN 'statistics' THEN RETURN QUERY SELECT f.* FROM @extschema@._gravity_memory_statistics_findings() AS f;
        WHEN 'setting' THEN RETURN QUERY SELECT f.* FROM @extschema@._gravity_memory_setting_findings() AS f;
        WHEN 'server' THEN RETURN QUERY SELECT f.* FROM @extschema@._gravity_memory_server_findings() AS f;
    END CASE;
EXCEPTION WHEN OTHERS THEN
    RETURN QUERY SELECT 'notice', 'not_checked', p_family || ' findings', 'They could not be looked at: ' || SQLERRM || '.',
        NULL::text;
END
$_gravity_memory_findings$;

COMMENT ON FUNCTION @extschema@._gravity_memory_findings(text) IS
    'One family of the findings of gravity_memory_check().';

-- sql/monitoring/gravity_memory_check.sql

-- gravity_memory_check(): what is wrong with this installation, and the statement that mends it; no row when all is well.
--
-- Returns one row per finding, errors first: severity (error: something does not work; warning: it works slowly, or will fail;
-- notice: to be known), finding (a short name, the same in every version; docs/operations.md explains each), object, problem (in
-- words) and remedy: one statement that runs as it stands, outside a transaction block, NULL where none can be given. Some findings
-- take several statements: check again after the one returned. Reads the catalogues, the statistics, the settings, and samples of
-- gravity_map and memory_digests, so that it takes some tenths of a second, whatever the number of memories. Runs with the caller's
-- rights: what the caller may not look at is a notice, not_checked, and never an error.
CREATE FUNCTION @extschema@.gravity_memory_check()
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
    'What is wrong with this installation of gravity_memory, with the statement that mends it; no row when all is well.';

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
