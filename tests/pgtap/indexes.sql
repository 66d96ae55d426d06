-- Indexes: the catalogue, what is really there, and gravity_memory_index_ddl().
BEGIN;
\ir support/session.psql
\ir support/vectors.psql
SELECT plan(51);
SELECT count(*) AS ignored FROM gravity_memory_setup(true) \gset

-- The two indexes on embedding wait for rows to train them; vector_indexes.sql says more of that.
SELECT is_empty('SELECT * FROM gravity_memory_index_ddl()', 'after setup no index is missing');
SELECT bag_eq(
    $$SELECT c.index_name FROM gravity_memory_index_catalogue() AS c
      EXCEPT
      SELECT i.indexrelid::regclass::text FROM pg_index AS i WHERE i.indisvalid AND i.indisready AND i.indislive$$,
    ARRAY['idx_gravity_map_embedding_cosine', 'idx_gravity_map_embedding_l2'],
    'all indexes of the catalogue are there, but those on embedding, for which there are too few rows');
INSERT INTO gravity_map (user_id, embedding) SELECT 'pgtap indexes', pg_temp.random_vector(g) FROM generate_series(1, 20) AS g;
-- What pgvector needs to train as many lists as the specification says on vectors of 1,536 dimensions.
SET LOCAL maintenance_work_mem = '128MB';
SELECT gravity_memory_set('embedding_index_min_rows', '20'), gravity_memory_set('embedding_lists', '100') IS NULL AS ignored \gset
SELECT count(*) AS ignored FROM gravity_memory_setup(true) \gset

SELECT bag_eq(
    'SELECT c.index_name FROM gravity_memory_index_catalogue() AS c WHERE c.in_spec',
    ARRAY['idx_gravity_map_user_id', 'idx_gravity_map_thread_id', 'idx_gravity_map_session_id', 'idx_gravity_map_memory_trace_id',
          'idx_gravity_map_created_at', 'idx_gravity_map_user_created', 'idx_gravity_map_high_gravity', 'idx_gravity_map_identity_anchors',
          'idx_gravity_map_entities', 'idx_gravity_map_emotion', 'idx_gravity_map_temporal', 'idx_gravity_map_tags',
          'idx_gravity_map_embedding_cosine', 'idx_gravity_map_embedding_l2', 'idx_memory_arcs_user', 'idx_memory_arcs_gravity',
          'idx_arc_associations_memory', 'idx_arc_associations_arc', 'idx_active_sessions_user', 'idx_active_sessions_updated',
          'idx_pattern_matrix_user', 'idx_pattern_matrix_type'],
    'the catalogue has the 22 indexes of the specification, by name');
SELECT bag_eq(
    'SELECT c.index_name FROM gravity_memory_index_catalogue() AS c WHERE NOT c.in_spec',
    ARRAY['idx_gravity_map_user_significant', 'idx_gravity_map_user_thread', 'idx_gravity_map_user_gravity',
          'idx_gravity_map_arc_cluster', 'idx_gravity_map_session_turns', 'idx_memory_digests_length', 'idx_memory_arcs_open_automatic',
          'idx_consciousness_cache_lookup', 'idx_consciousness_cache_created_at', 'idx_memory_events_xid'],
    'and those that the application''s other queries need');
SELECT is_empty($$SELECT c.index_name FROM gravity_memory_index_catalogue() AS c WHERE c.serves !~ ('^SELECT .* FROM ' || c.table_name || '\M')$$,
                'each entry names a query on its table that the index serves');
SELECT is_empty(
    $$SELECT c.index_name, c.table_name FROM gravity_memory_index_catalogue() AS c
      EXCEPT
      SELECT i.indexrelid::regclass::text, i.indrelid::regclass::text FROM pg_index AS i WHERE i.indisvalid AND i.indisready AND i.indislive$$,
    'with rows to train them, every index of the catalogue is there, on its table, and valid');
SELECT is_empty(
    $$SELECT i.indexrelid::regclass FROM gravity_memory_index_catalogue() AS c JOIN pg_index AS i ON i.indexrelid = to_regclass(quote_ident(c.index_name))
      WHERE i.indisunique <> c.is_unique$$,
    'unique where the catalogue says so');
SELECT is_empty('SELECT * FROM gravity_memory_index_ddl()', 'so gravity_memory_index_ddl() returns nothing');

-- The specification's own statements, run on copies of the tables, make the same indexes.
SELECT quote_ident(n.nspname) AS extension_schema FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'gravity_memory' \gset
SELECT current_setting('search_path') AS base_path \gset
CREATE SCHEMA pgtap_specification;
CREATE TABLE pgtap_specification.gravity_map (LIKE gravity_map);
CREATE TABLE pgtap_specification.memory_arcs (LIKE memory_arcs);
CREATE TABLE pgtap_specification.memory_arc_associations (LIKE memory_arc_associations);
CREATE TABLE pgtap_specification.active_sessions (LIKE active_sessions);
CREATE TABLE pgtap_specification.pattern_matrix (LIKE pattern_matrix);
SELECT set_config('search_path', 'pgtap_specification, ' || current_setting('search_path'), true) AS ignored \gset
CREATE INDEX IF NOT EXISTS idx_gravity_map_user_id ON gravity_map(user_id);
CREATE INDEX IF NOT EXISTS idx_gravity_map_thread_id ON gravity_map(thread_id) WHERE thread_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS idx_gravity_map_session_id ON gravity_map(session_id) WHERE session_id IS NOT NULL;
CREATE INDEX IF NOT EXISTS idx_gravity_map_memory_trace_id ON gravity_map(memory_trace_id);
CREATE INDEX IF NOT EXISTS idx_gravity_map_created_at ON gravity_map(created_at DESC);
CREATE INDEX IF NOT EXISTS idx_gravity_map_user_created ON gravity_map(user_id, created_at DESC);
CREATE INDEX IF NOT EXISTS idx_gravity_map_high_gravity ON gravity_map(user_id, gravity_score DESC) WHERE gravity_score >= 0.7;
CREATE INDEX IF NOT EXISTS idx_gravity_map_identity_anchors ON gravity_map(user_id, identity_anchor) WHERE identity_anchor = true;
CREATE INDEX IF NOT EXISTS idx_gravity_map_entities ON gravity_map USING GIN(entities);
CREATE INDEX IF NOT EXISTS idx_gravity_map_emotion ON gravity_map(user_id, emotion_type) WHERE emotion_type IS NOT NULL;
CREATE INDEX IF NOT EXISTS idx_gravity_map_temporal ON gravity_map(temporal_type) WHERE temporal_type IS NOT NULL;
CREATE INDEX IF NOT EXISTS idx_gravity_map_tags ON gravity_map USING GIN(meta_tags);
CREATE INDEX IF NOT EXISTS idx_gravity_map_embedding_cosine ON gravity_map USING ivfflat (embedding vector_cosine_ops) WITH (lists = 100);
CREATE INDEX IF NOT EXISTS idx_gravity_map_embedding_l2 ON gravity_map USING ivfflat (embedding vector_l2_ops) WITH (lists = 100);
CREATE INDEX IF NOT EXISTS idx_memory_arcs_user ON memory_arcs(user_id, evolution_stage);
CREATE INDEX IF NOT EXISTS idx_memory_arcs_gravity ON memory_arcs(gravity_center DESC);
CREATE INDEX IF NOT EXISTS idx_arc_associations_memory ON memory_arc_associations(memory_id);
CREATE INDEX IF NOT EXISTS idx_arc_associations_arc ON memory_arc_associations(arc_id, fusion_strength DESC);
CREATE INDEX IF NOT EXISTS idx_active_sessions_user ON active_sessions(user_id, session_status);
CREATE INDEX IF NOT EXISTS idx_active_sessions_updated ON active_sessions(last_message_at DESC);
CREATE INDEX IF NOT EXISTS idx_pattern_matrix_user ON pattern_matrix(user_id, intensity DESC);
CREATE INDEX IF NOT EXISTS idx_pattern_matrix_type ON pattern_matrix(pattern_type);
SELECT set_config('search_path', :'base_path', true) AS ignored \gset
SELECT is(
    (SELECT replace(i.indexdef, format(' ON %s.', :'extension_schema'), ' ON ')
     FROM pg_indexes AS i WHERE i.indexname = s.indexname AND quote_ident(i.schemaname) = :'extension_schema'),
    replace(s.indexdef, ' ON pgtap_specification.', ' ON '),
    format('%s is what the specification''s statement makes', s.indexname))
FROM pg_indexes AS s WHERE s.schemaname = 'pgtap_specification' ORDER BY s.indexname;
DROP SCHEMA pgtap_specification CASCADE;

-- So do the catalogue's definitions.
CREATE SCHEMA pgtap_catalogue;
DO $copies$
DECLARE
    v_index record;
BEGIN
    FOR v_index IN SELECT c.* FROM gravity_memory_index_catalogue() AS c LOOP
        EXECUTE format('CREATE TABLE IF NOT EXISTS pgtap_catalogue.%I (LIKE %I)', v_index.table_name, v_index.table_name);
        EXECUTE format('CREATE %s INDEX %I ON pgtap_catalogue.%I %s', CASE WHEN v_index.is_unique THEN 'UNIQUE' END, v_index.index_name,
                       v_index.table_name, v_index.definition);
    END LOOP;
END
$copies$;
SELECT bag_eq(
    $$SELECT replace(i.indexdef, ' ON pgtap_catalogue.', ' ON ') FROM pg_indexes AS i WHERE i.schemaname = 'pgtap_catalogue'$$,
    format($$SELECT replace(i.indexdef, ' ON %1$s.', ' ON ') FROM pg_indexes AS i JOIN gravity_memory_index_catalogue() AS c ON c.index_name = i.indexname
             WHERE quote_ident(i.schemaname) = %2$L$$, :'extension_schema', :'extension_schema'),
    'all indexes are as the catalogue defines them');
DROP SCHEMA pgtap_catalogue CASCADE;
SELECT is((SELECT count(*) FROM pg_indexes AS i JOIN gravity_memory_index_catalogue() AS c ON c.index_name = i.indexname
           WHERE quote_ident(i.schemaname) = :'extension_schema' AND i.indexdef NOT LIKE '% CONCURRENTLY %'), 32::bigint,
          'pg_indexes lists all of them');
SELECT is(
    (SELECT replace(i.indexdef, format(' ON %s.', :'extension_schema'), ' ON ') FROM pg_indexes AS i
     WHERE i.indexname = 'idx_memory_arcs_open_automatic' AND quote_ident(i.schemaname) = :'extension_schema'),
    'CREATE UNIQUE INDEX idx_memory_arcs_open_automatic ON memory_arcs USING btree (user_id, emotion_type) WHERE '
    '((evolution_stage = ANY (ARRAY[''forming''::text, ''active''::text])) AND (arc_name = (emotion_type || '' arc (auto-created)''::text)))',
    'a unique index allows one open automatic arc per user and emotion');
INSERT INTO memory_arcs (user_id, arc_name, emotion_type) VALUES ('pgtap indexes', 'joy arc (auto-created)', 'joy');
SELECT is(e.state, v.state, v.description)
FROM (VALUES
    ('joy arc (auto-created)', 'forming', '23505', 'a second open automatic arc is refused'),
    ('joy arc (auto-created)', 'dormant', NULL, 'a closed one is not'),
    ('joy, by hand', 'forming', NULL, 'nor one made by hand')
) AS v (arc_name, stage, state, description)
CROSS JOIN LATERAL pg_temp.error_of(format('INSERT INTO memory_arcs (user_id, arc_name, emotion_type, evolution_stage) VALUES (%L, %L, %L, %L)',
                                           'pgtap indexes', v.arc_name, 'joy', v.stage)) AS e;

-- The statements for indexes that are missing.
DROP INDEX idx_gravity_map_user_created, idx_memory_arcs_open_automatic, idx_gravity_map_embedding_cosine;
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_pattern_matrix_user'::regclass;
SELECT quote_ident(n.nspname) AS vector_schema FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'vector' \gset
SELECT results_eq(
    'SELECT d FROM gravity_memory_index_ddl() AS d',
    format($q$VALUES
        ('CREATE INDEX CONCURRENTLY idx_gravity_map_embedding_cosine ON %1$s.gravity_map USING ivfflat (embedding %2$s.vector_cosine_ops) WITH (lists = 100)'),
        ('CREATE INDEX CONCURRENTLY idx_gravity_map_user_created ON %1$s.gravity_map (user_id, created_at DESC)'),
        ('CREATE UNIQUE INDEX CONCURRENTLY idx_memory_arcs_open_automatic ON %1$s.memory_arcs (user_id, emotion_type) '
         || 'WHERE evolution_stage IN (''forming'', ''active'') AND arc_name = emotion_type || '' arc (auto-created)'''),
        ('DROP INDEX CONCURRENTLY %1$s.idx_pattern_matrix_user'),
        ('CREATE INDEX CONCURRENTLY idx_pattern_matrix_user ON %1$s.pattern_matrix (user_id, intensity DESC)')$q$, :'extension_schema', :'vector_schema'),
    'gravity_memory_index_ddl() builds what is missing concurrently, and drops an invalid index first');
CREATE TEMPORARY TABLE statements AS SELECT d, row_number() OVER () AS n FROM gravity_memory_index_ddl() AS d;
DO $run$
DECLARE v_statement text;
BEGIN
    -- CONCURRENTLY needs to be outside a transaction; that the statements are right shows without it, too.
    FOR v_statement IN SELECT replace(s.d, ' CONCURRENTLY', '') FROM statements AS s ORDER BY s.n LOOP
        EXECUTE v_statement;
    END LOOP;
END
$run$;
SELECT is_empty('SELECT * FROM gravity_memory_index_ddl()', 'when they have run, nothing is missing');
SELECT is_empty('SELECT * FROM gravity_memory_setup()', 'for setup neither');
SELECT gravity_memory_set('embedding_lists', '200') IS NULL AS ignored \gset
DROP INDEX idx_gravity_map_embedding_l2;
SELECT alike((SELECT d FROM gravity_memory_index_ddl() AS d), '%.vector_l2_ops) WITH (lists = 200)', 'the lists of an ivfflat index are a setting');
SELECT gravity_memory_set('embedding_index', 'hnsw') IS NULL AS ignored \gset
SELECT alike((SELECT d FROM gravity_memory_index_ddl() AS d), '% USING hnsw (embedding %.vector_l2_ops)', 'and so is its kind');
SELECT gravity_memory_set('embedding_index', 'none') IS NULL AS ignored \gset
SELECT is_empty('SELECT * FROM gravity_memory_index_ddl()', 'with embedding_index none there is no index on embedding to miss');
SELECT is_empty($$SELECT FROM gravity_memory_index_catalogue() AS c WHERE c.index_name ~ 'embedding'$$, 'nor one in the catalogue');
SELECT gravity_memory_reset('embedding_index') IS NULL AS ignored \gset

-- Who may: the catalogue is no secret, also of a table that one may not read.
SELECT pg_temp.new_role('gravity_memory_pgtap_indexes') AS ignored \gset
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_indexes', 'SELECT * FROM gravity_memory_index_catalogue()')).message, NULL,
          'a role without privileges can read the catalogue');
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_indexes', 'SELECT * FROM gravity_memory_index_ddl()')).message, NULL, 'and ask what is missing');
ALTER TABLE pattern_matrix RENAME TO pgtap_away;
SELECT is_empty($$SELECT d FROM gravity_memory_index_ddl() AS d WHERE d LIKE '%pattern_matrix%'$$, 'no statement for a table that is not there');
ALTER TABLE pgtap_away RENAME TO pattern_matrix;

-- An index that an earlier version made and nobody needs any more.
SELECT count(*) AS ignored FROM gravity_memory_setup() \gset
CREATE INDEX idx_gravity_map_user_session ON gravity_map (user_id, session_id, created_at DESC) WHERE session_id IS NOT NULL;
SELECT results_eq('SELECT action, object FROM gravity_memory_setup()', $$VALUES ('drop index', 'idx_gravity_map_user_session')$$, 'setup drops an index of an earlier version');
SELECT is(to_regclass('idx_gravity_map_user_session'), NULL, 'which is gone then');
CREATE INDEX idx_gravity_map_user_session ON gravity_map (user_id, session_id);
SELECT is_empty('SELECT action, object FROM gravity_memory_setup()', 'one of the same name that is defined otherwise is the application''s');
SELECT isnt(to_regclass('idx_gravity_map_user_session'), NULL, 'and stays');

-- A relation of ours whose name is taken by something else.
DROP INDEX idx_gravity_map_tags;
CREATE INDEX idx_gravity_map_tags ON pattern_matrix (status);
SELECT is(e.state || ': ' || e.detail, '42804: the name idx_gravity_map_tags belongs to another relation, and gravity_map needs it for an index: rename that relation',
          'when the name of an index is taken, setup says so, and what to do')
FROM pg_temp.error_of('SELECT * FROM gravity_memory_setup()') AS e;

SELECT * FROM finish();
ROLLBACK;
