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
