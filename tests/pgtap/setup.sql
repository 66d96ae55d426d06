-- Setup: gravity_memory_setup() creates what is missing, mends what was altered, and does nothing to what is right.
BEGIN;
\ir support/session.psql
\ir support/vectors.psql
SELECT plan(107);

-- objects(): the columns, constraints, indexes, triggers and comments of the tables, to compare before and after.
CREATE FUNCTION pg_temp.objects() RETURNS SETOF text
LANGUAGE sql
AS $objects$
    WITH tables AS (SELECT to_regclass(quote_ident(t.table_name)) AS oid, t.table_name FROM _gravity_memory_table_catalogue() AS t)
    SELECT format('column %s.%s %s %s %s', t.table_name, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                  pg_get_expr(d.adbin, d.adrelid))
    FROM tables AS t
    JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    UNION ALL
    SELECT format('constraint %s %s', t.table_name, pg_get_constraintdef(c.oid))
    FROM tables AS t JOIN pg_constraint AS c ON c.conrelid = t.oid AND c.contype IN ('p', 'u', 'f', 'c')
    UNION ALL
    SELECT format('index %s', pg_get_indexdef(i.indexrelid)) FROM tables AS t JOIN pg_index AS i ON i.indrelid = t.oid
    UNION ALL
    SELECT format('trigger %s', pg_get_triggerdef(g.oid)) FROM tables AS t JOIN pg_trigger AS g ON g.tgrelid = t.oid AND NOT g.tgisinternal
    UNION ALL
    SELECT format('comment %s %s', t.table_name, obj_description(t.oid, 'pg_class')) FROM tables AS t
$objects$;

-- Idempotence. Setup runs once before, so that what an owner of this database left out does not count.

SELECT count(*) AS ignored FROM gravity_memory_setup(true) \gset
CREATE TEMPORARY TABLE healthy AS SELECT o FROM pg_temp.objects() AS o;
SELECT is_empty('SELECT * FROM gravity_memory_setup()', 'a second call does nothing and returns no rows');
SELECT is_empty('SELECT * FROM gravity_memory_setup(true)', 'nor does it with p_build_indexes true');
SELECT is_empty('SELECT * FROM gravity_memory_setup(false)', 'nor with p_build_indexes false');

-- What is as it should be has nothing to adopt.

SELECT is_empty('SELECT * FROM gravity_memory_adoption_report() AS r WHERE r.severity <> ''note'' AND r.finding <> ''missing_job''',
                'the adoption report has nothing but notes then');
SELECT bag_eq('SELECT r.object FROM gravity_memory_adoption_report() AS r WHERE r.finding = ''table''',
              'SELECT t.table_name FROM _gravity_memory_table_catalogue() AS t', 'among them the tables');

-- Triggers.

DROP TRIGGER trigger_auto_tag_high_gravity ON gravity_map;
SELECT results_eq('SELECT action, object FROM gravity_memory_setup()', $$VALUES ('create trigger', 'trigger_auto_tag_high_gravity')$$,
                  'a dropped trigger is created again');
SELECT has_trigger('gravity_map', 'trigger_auto_tag_high_gravity', 'and is there');
SELECT results_eq('SELECT action, object FROM gravity_memory_teardown() WHERE action = ''drop trigger''',
                  $$SELECT 'drop trigger', c.trigger_name FROM _gravity_memory_trigger_catalogue() AS c ORDER BY c.table_name, c.trigger_name$$,
                  'teardown removes all triggers');
SELECT results_eq('SELECT action, object FROM gravity_memory_setup() WHERE action NOT IN (''schedule job'', ''derive rows'')',
                  $$SELECT 'create trigger', c.trigger_name FROM _gravity_memory_trigger_catalogue() AS c ORDER BY c.table_name, c.trigger_name$$,
                  'and setup brings all of them back');
SELECT set_eq('SELECT o FROM pg_temp.objects() AS o', 'SELECT o FROM healthy', 'just as they were');

DROP TRIGGER trigger_auto_tag_high_gravity ON gravity_map;
CREATE TRIGGER trigger_auto_tag_high_gravity BEFORE INSERT ON gravity_map FOR EACH ROW EXECUTE FUNCTION auto_tag_high_gravity();
SELECT results_eq('SELECT action, object FROM gravity_memory_setup()', $$VALUES ('replace trigger', 'trigger_auto_tag_high_gravity')$$,
                  'a trigger that was altered is put right');
SELECT set_eq('SELECT o FROM pg_temp.objects() AS o', 'SELECT o FROM healthy', 'and is as it was');
CREATE FUNCTION pg_temp.own() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER pgtap_own BEFORE INSERT ON gravity_map FOR EACH ROW EXECUTE FUNCTION pg_temp.own();
SELECT is_empty('SELECT * FROM gravity_memory_setup()', 'a trigger of the application''s own is none of setup''s business');
SELECT has_trigger('gravity_map', 'pgtap_own', 'and stays');
DROP TRIGGER pgtap_own ON gravity_map;

-- Indexes.

SELECT is_empty($$SELECT i.indexrelid::regclass FROM pg_index AS i WHERE i.indrelid = 'gravity_map'::regclass AND i.indexrelid::regclass::text ~ 'embedding'$$,
                'no index on embedding is trained on an empty table');
DROP INDEX idx_gravity_map_user_created, idx_memory_arcs_open_automatic, idx_memory_digests_length;
SELECT is_empty('SELECT * FROM gravity_memory_setup(false)', 'p_build_indexes false builds no index');
SELECT results_eq('SELECT action, object FROM gravity_memory_setup(NULL)',
                  $$VALUES ('create index', 'idx_gravity_map_user_created'), ('create index', 'idx_memory_arcs_open_automatic'),
                           ('create index', 'idx_memory_digests_length')$$,
                  'p_build_indexes NULL builds the missing indexes on small tables');
SELECT set_eq('SELECT o FROM pg_temp.objects() AS o', 'SELECT o FROM healthy', 'just as they were, the unique one unique');
DROP INDEX idx_gravity_map_user_created;
SELECT gravity_memory_set('setup_index_limit', '0') IS NULL AS ignored \gset
SELECT is_empty('SELECT * FROM gravity_memory_setup()', 'p_build_indexes NULL leaves them on tables over setup_index_limit');
SELECT is((SELECT count(*) FROM gravity_memory_index_ddl()), 1::bigint, 'to gravity_memory_index_ddl()');
SELECT results_eq('SELECT action, object FROM gravity_memory_setup(true)', $$VALUES ('create index', 'idx_gravity_map_user_created')$$,
                  'p_build_indexes true builds them whatever the size');
SELECT gravity_memory_reset('setup_index_limit') IS NULL AS ignored \gset
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_gravity_map_tags'::regclass;
SELECT results_eq('SELECT action, object FROM gravity_memory_setup()', $$VALUES ('create index', 'idx_gravity_map_tags')$$,
                  'an invalid index is built anew');
SELECT set_eq('SELECT o FROM pg_temp.objects() AS o', 'SELECT o FROM healthy', 'and all is as it was');
DROP INDEX idx_pattern_matrix_type;
CREATE INDEX idx_pattern_matrix_type ON pattern_matrix (pattern_type, status);
SELECT is_empty('SELECT * FROM gravity_memory_setup()', 'an index that a DBA defined otherwise under the same name is left alone');
DROP INDEX idx_pattern_matrix_type;
SELECT count(*) AS ignored FROM gravity_memory_setup() \gset

-- The indexes on embedding are built when there are rows to train them.
SAVEPOINT trained;
INSERT INTO gravity_map (user_id, embedding)
SELECT 'pgtap setup', pg_temp.random_vector(g) FROM generate_series(1, 60) AS g;
SELECT is_empty('SELECT * FROM gravity_memory_setup()', 'sixty memories are too few for indexes on embedding');
SELECT gravity_memory_set('embedding_index_min_rows', '50'), gravity_memory_set('embedding_lists', '7') IS NULL AS ignored \gset
SELECT is_empty('SELECT * FROM gravity_memory_setup(false)', 'with enough of them p_build_indexes false still builds none');
SELECT results_eq('SELECT action, object FROM gravity_memory_setup()',
                  $$VALUES ('create index', 'idx_gravity_map_embedding_cosine'), ('create index', 'idx_gravity_map_embedding_l2')$$,
                  'with enough of them, as embedding_index_min_rows says, setup builds both');
SELECT alike(pg_get_indexdef('idx_gravity_map_embedding_l2'::regclass), '%ivfflat (embedding) WITH (lists=''7'')',
             'embedding_lists decides over the lists of an index that is created');
SELECT gravity_memory_reset('embedding_lists') IS NULL AS ignored \gset
SELECT is_empty('SELECT * FROM gravity_memory_setup()', 'and not over one that is there');
DELETE FROM gravity_map WHERE user_id = 'pgtap setup' AND ctid NOT IN (SELECT m.ctid FROM gravity_map AS m LIMIT 10);
SELECT gravity_memory_set('setup_index_limit', '0') IS NULL AS ignored \gset
SELECT is_empty('SELECT * FROM gravity_memory_setup()', 'setup does not drop an index on a table over setup_index_limit, which would block writers');
SELECT gravity_memory_reset('setup_index_limit') IS NULL AS ignored \gset
SELECT results_eq('SELECT action, object FROM gravity_memory_setup()',
                  $$VALUES ('drop index', 'idx_gravity_map_embedding_cosine'), ('drop index', 'idx_gravity_map_embedding_l2')$$,
                  'an index on embedding for which there are too few rows is dropped');
ROLLBACK TO trained;

-- Columns and tables.

INSERT INTO gravity_map (user_id, content, gravity_score) VALUES ('pgtap setup', 'before', 0.9);
INSERT INTO pattern_matrix (user_id, description) VALUES ('pgtap setup', 'kept');
ALTER TABLE gravity_map DROP COLUMN thread_id;
SELECT results_eq('SELECT action, object FROM gravity_memory_setup()',
                  $$VALUES ('add column', 'gravity_map.thread_id'), ('create index', 'idx_gravity_map_thread_id'),
                           ('create index', 'idx_gravity_map_user_thread')$$,
                  'a dropped column is added again, with the indexes that went with it');
ALTER TABLE gravity_map DROP COLUMN gravity_score CASCADE;
SELECT is((SELECT count(*) FROM gravity_memory_setup() WHERE (action, object) IN
              (('add column', 'gravity_map.gravity_score'), ('create trigger', 'trigger_auto_tag_high_gravity'),
               ('create index', 'idx_gravity_map_arc_cluster'))), 3::bigint,
          'a column comes back with the trigger and the indexes that stood on it');
SELECT results_eq($$SELECT m.gravity_score, m.meta_tags FROM gravity_map AS m WHERE m.user_id = 'pgtap setup'$$,
                  $$VALUES (0.5::double precision, '{high_gravity}'::text[])$$, 'rows get its default and lose nothing else');
SELECT is_empty('SELECT * FROM gravity_memory_setup()', 'then nothing is left to do');
DROP TABLE consciousness_cache, memory_arc_associations, gravity_memory_settings, memory_arc_locks, memory_digests;
SELECT results_eq($$SELECT action, object FROM gravity_memory_setup()$$,
    $$VALUES ('create table', 'memory_arc_associations'), ('create table', 'consciousness_cache'), ('create table', 'memory_arc_locks'),
             ('create table', 'gravity_memory_settings'), ('create table', 'memory_digests'),
             ('create index', 'idx_consciousness_cache_created_at'), ('create index', 'idx_consciousness_cache_lookup'),
             ('create index', 'idx_arc_associations_arc'), ('create index', 'idx_arc_associations_memory'),
             ('create index', 'idx_memory_digests_length'),
             ('create trigger', 'trigger_arc_totals_on_delete'), ('create trigger', 'trigger_arc_totals_on_insert'),
             ('create trigger', 'trigger_arc_totals_on_truncate'), ('create trigger', 'trigger_arc_totals_on_update'),
             ('create trigger', 'trigger_arc_totals_at_commit'), ('derive rows', 'memory_digests, memory_postings')$$,
    'dropped tables are created again, with their indexes and triggers; derived ones are filled');
SELECT is((SELECT count(*) FROM pattern_matrix AS p WHERE p.user_id = 'pgtap setup'), 1::bigint, 'the rows of the others stay');
SELECT is((SELECT count(*) FROM memory_digests AS d WHERE d.user_id = 'pgtap setup'), 1::bigint, 'with what the memories say');
SELECT is_empty('SELECT * FROM gravity_memory_setup()', 'after that there is nothing to do again');

-- Derived tables.

SELECT is_empty($$SELECT c.oid::regclass FROM pg_class AS c JOIN _gravity_memory_table_catalogue() AS t ON c.oid = to_regclass(quote_ident(t.table_name))
                  WHERE t.is_closed AND NOT c.relrowsecurity OR c.relforcerowsecurity OR c.relacl IS NOT NULL AND t.is_closed$$,
                'the derived tables and the feed are closed by row security, whatever the others are, and granted to nobody');
SELECT is_empty($$SELECT p.polname FROM pg_policy AS p JOIN _gravity_memory_table_catalogue() AS t ON p.polrelid = to_regclass(quote_ident(t.table_name))
                  WHERE t.is_derived$$, 'the derived ones without a policy');
SELECT is((SELECT count(*) FROM pg_class AS c WHERE c.oid IN ('memory_digests'::regclass, 'memory_postings'::regclass)
             AND c.reloptions @> '{autovacuum_vacuum_insert_scale_factor=0.02,autovacuum_vacuum_scale_factor=0.02}'), 2::bigint,
          'those that grow are vacuumed early, because recall reads their indexes alone');
CREATE FUNCTION pg_temp.intruder() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER "pgtap intruder" BEFORE INSERT ON memory_postings FOR EACH ROW EXECUTE FUNCTION pg_temp.intruder();
SELECT is(e.state || ': ' || e.message || '; ' || e.hint,
          '55000: the derived tables of gravity_memory have triggers that are not its own: "pgtap intruder" on '
          || (SELECT quote_ident(n.nspname) FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = 'memory_postings'::regclass)
          || '.memory_postings; Drop them, run this again, then CALL gravity_memory_rebuild_recall(p_everything => true).',
          'a trigger of somebody else''s on a derived table is refused, with what to do')
FROM pg_temp.error_of('SELECT * FROM gravity_memory_setup()') AS e;
DROP TRIGGER "pgtap intruder" ON memory_postings;
DROP TRIGGER trigger_keep_derived ON gravity_map;
INSERT INTO gravity_map (user_id, content) VALUES ('pgtap setup', 'written without the trigger');
SELECT is((SELECT count(*) FROM memory_digests AS d WHERE d.user_id = 'pgtap setup'), 1::bigint, 'while a trigger is missing, nothing is derived');
SELECT results_eq('SELECT action, object FROM gravity_memory_setup()',
                  $$VALUES ('create trigger', 'trigger_keep_derived'), ('derive rows', 'memory_digests, memory_postings')$$,
                  'setup brings it back and derives what was written meanwhile');
SELECT is((SELECT count(*) FROM memory_digests AS d WHERE d.user_id = 'pgtap setup'), 2::bigint, 'completely');
SELECT gravity_memory_set('setup_index_limit', '0') IS NULL AS ignored \gset
DROP TRIGGER trigger_keep_derived ON gravity_map;
INSERT INTO gravity_map (user_id, content) VALUES ('pgtap setup', 'written without the trigger');
SELECT results_eq('SELECT action, object FROM gravity_memory_setup()', $$VALUES ('create trigger', 'trigger_keep_derived')$$,
                  'on a table over setup_index_limit that would block writers,');
SELECT results_eq('SELECT g.user_id, g.is_every_user FROM memory_recall_gaps AS g', $$VALUES ('', true)$$, 'so setup notes every user instead');
SELECT is((SELECT count(*) FROM recall_memories('pgtap setup', 'trigger')), 2::bigint, 'and recall, which looks at the memories themselves, is complete');
DROP TRIGGER trigger_keep_derived ON gravity_map;
SELECT set_eq('SELECT action, object FROM gravity_memory_setup(true)',
              $$VALUES ('create trigger', 'trigger_keep_derived'), ('derive rows', 'memory_digests, memory_postings')$$,
              'p_build_indexes true derives whatever the size');
SELECT is_empty('SELECT FROM memory_recall_gaps', 'and works the notes off');
SELECT gravity_memory_reset('setup_index_limit') IS NULL AS ignored \gset
DROP TRIGGER trigger_keep_derived_on_delete ON gravity_map;
DELETE FROM gravity_map;
SELECT count(*) AS ignored FROM gravity_memory_setup() \gset
SELECT is((SELECT count(*) FROM memory_digests) + (SELECT count(*) FROM memory_postings), 0::bigint,
          'what was derived from memories that were deleted without the trigger goes, even when none is left');
INSERT INTO gravity_map (user_id, content, gravity_score) VALUES ('pgtap setup', 'before', 0.9);

-- The dimension of embeddings.

SELECT is(e.state || ' ' || e.message,
          format('22023 gravity_memory.embedding_dimensions must be a whole number from 1 to 2000, not %L', btrim(v.given)),
          format('gravity_memory.embedding_dimensions = %L is refused', left(v.given, 20)))
FROM (VALUES ('0'), ('2001'), ('abc'), ('1.5'), ('-1'), ('1e3'), ('384 dimensions'), ('99999999999999999999'), (' ')) AS v (given)
CROSS JOIN LATERAL (SELECT set_config('gravity_memory.embedding_dimensions', v.given, true) OFFSET 0) AS c
CROSS JOIN LATERAL pg_temp.error_of(CASE WHEN c IS NOT NULL THEN 'SELECT gravity_memory_setup()' END) AS e;
SELECT set_config('gravity_memory.embedding_dimensions', '3072', true) AS ignored \gset
SELECT matches(e.detail, 'pgvector take vectors of at most 2000 dimensions', 'the error gives the reason for the limit')
FROM pg_temp.error_of('SELECT gravity_memory_setup()') AS e;
SELECT matches(e.hint, 'SET gravity_memory\.embedding_dimensions = 384', 'and says how to choose')
FROM pg_temp.error_of('SELECT gravity_memory_setup()') AS e;
SELECT set_config('gravity_memory.embedding_dimensions', '384', true) AS ignored \gset
SELECT is_empty('SELECT * FROM gravity_memory_setup()', 'an embedding column that is there keeps its dimension');
SELECT set_config('gravity_memory.embedding_dimensions', '', true) AS ignored \gset

-- Who may.

SELECT pg_temp.new_role('gravity_memory_pgtap_setup') AS ignored \gset
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_setup', 'SELECT gravity_memory_setup()')).state, '42501',
          'a role without privileges cannot run setup');

-- Least privilege: a role that may only select and insert memories.
GRANT SELECT, INSERT ON gravity_map TO gravity_memory_pgtap_setup;
SELECT set_config('gravity_memory.user_id', 'pgtap setup writer', true) AS ignored \gset
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_setup',
    $$INSERT INTO gravity_map (user_id, content, gravity_score, emotion_type)
      SELECT 'pgtap setup writer', 'yesterday', 0.9, 'joy' FROM generate_series(1, 3)$$)).message, NULL,
    'a role with nothing but SELECT and INSERT on gravity_map can insert');
SELECT is((SELECT count(*) FROM gravity_map AS m WHERE m.user_id = 'pgtap setup writer' AND m.meta_tags = '{high_gravity}'
             AND m.identity_anchor AND m.temporal_type = 'past'), 3::bigint, 'its memories are tagged');
SELECT results_eq($$SELECT a.arc_name, a.memory_count, count(*) FROM memory_arcs AS a JOIN memory_arc_associations AS l ON l.arc_id = a.id
                    WHERE a.user_id = 'pgtap setup writer' GROUP BY a.id$$,
                  $$VALUES ('joy arc (auto-created)', 3, 3::bigint)$$, 'and form an arc');
SET CONSTRAINTS ALL IMMEDIATE;

-- Another owner.
DO $own$
DECLARE v_table text;
BEGIN
    FOR v_table IN SELECT t.table_name FROM _gravity_memory_table_catalogue() AS t LOOP
        EXECUTE format('ALTER TABLE %I OWNER TO gravity_memory_pgtap_setup', v_table);
    END LOOP;
END
$own$;
SELECT results_eq('SELECT action, object FROM gravity_memory_setup()',
    $$VALUES ('change owner', '_gravity_memory_break_feed_on_truncate'), ('change owner', '_gravity_memory_keep_arc_totals'),
             ('change owner', '_gravity_memory_keep_derived'),
             ('change owner', '_gravity_memory_matching_postings'), ('change owner', '_gravity_memory_nearest_signatures'),
             ('change owner', '_gravity_memory_publish_arcs'), ('change owner', '_gravity_memory_publish_memories'),
             ('change owner', '_gravity_memory_settle_at_commit'), ('change owner', 'trigger_arc_building')$$,
    'when the tables change hands, setup hands over the SECURITY DEFINER functions, which need no more power than that');
SELECT is_empty(
    $$SELECT p.oid::regprocedure FROM pg_proc AS p JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
      JOIN pg_extension AS e ON e.oid = d.refobjid
      WHERE e.extname = 'gravity_memory' AND NOT has_function_privilege('gravity_memory_pgtap_setup', p.oid, 'EXECUTE')$$,
    'and the new owner may execute all others');
SELECT is_empty('SELECT * FROM gravity_memory_setup()', 'once');
INSERT INTO gravity_map (user_id, gravity_score, emotion_type) SELECT 'pgtap setup owner', 0.9, 'joy' FROM generate_series(1, 3);
SELECT is((SELECT a.memory_count FROM memory_arcs AS a WHERE a.user_id = 'pgtap setup owner'), 3, 'and arcs still form');
SELECT is((SELECT count(*) FROM memory_digests AS d WHERE d.user_id = 'pgtap setup owner'), 3::bigint, 'and what recall reads is derived');
SET CONSTRAINTS ALL IMMEDIATE;

-- From nothing: CREATE EXTENSION in a schema whose name needs quotes.

DROP EXTENSION gravity_memory CASCADE;
CREATE SCHEMA "Übung 1";
CREATE EXTENSION gravity_memory SCHEMA "Übung 1";
SELECT set_config('search_path', '"Übung 1", ' || current_setting('search_path'), true) AS ignored \gset
SELECT results_eq(
    $$SELECT format('%s.%s %s%s%s', c.relname, a.attname, format_type(a.atttypid, NULL), CASE WHEN a.attnotnull THEN ' NOT NULL' END,
                    ' DEFAULT ' || pg_get_expr(d.adbin, d.adrelid)) COLLATE "C"
      FROM pg_class AS c
      JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0
      LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
      WHERE c.relnamespace = '"Übung 1"'::regnamespace AND c.relkind = 'r'
        AND c.relname NOT IN ('memory_arc_locks', 'gravity_memory_settings', 'memory_digests', 'memory_postings', 'memory_recall_gaps', 'memory_events')
      ORDER BY c.relname, a.attnum$$,
    $$SELECT v.c COLLATE "C" FROM (VALUES
        ('active_sessions.session_id text NOT NULL'),
        ('active_sessions.user_id text'),
        ('active_sessions.thread_id text'),
        ('active_sessions.session_status text DEFAULT ''active''::text'),
        ('active_sessions.message_count integer DEFAULT 0'),
        ('active_sessions.current_mode text'),
        ('active_sessions.mode_history jsonb DEFAULT ''[]''::jsonb'),
        ('active_sessions.started_at timestamp with time zone DEFAULT now()'),
        ('active_sessions.last_message_at timestamp with time zone DEFAULT now()'),
        ('active_sessions.created_at timestamp with time zone NOT NULL DEFAULT now()'),
        ('active_sessions.updated_at timestamp with time zone NOT NULL DEFAULT now()'),
        ('consciousness_cache.id uuid NOT NULL DEFAULT gen_random_uuid()'),
        ('consciousness_cache.user_id text'),
        ('consciousness_cache.query_hash text'),
        ('consciousness_cache.query_text text'),
        ('consciousness_cache.response text'),
        ('consciousness_cache.confidence double precision'),
        ('consciousness_cache.accessed_count integer DEFAULT 0'),
        ('consciousness_cache.last_accessed timestamp with time zone'),
        ('consciousness_cache.created_at timestamp with time zone NOT NULL DEFAULT now()'),
        ('gravity_map.id uuid NOT NULL DEFAULT gen_random_uuid()'),
        ('gravity_map.user_id text NOT NULL'),
        ('gravity_map.thread_id text'),
        ('gravity_map.session_id text'),
        ('gravity_map.memory_trace_id text'),
        ('gravity_map.content text'),
        ('gravity_map.summary text'),
        ('gravity_map.topic text'),
        ('gravity_map.gravity_score double precision DEFAULT 0.5'),
        ('gravity_map.emotion_type text'),
        ('gravity_map.entities text[]'),
        ('gravity_map.meta_tags text[] DEFAULT ''{}''::text[]'),
        ('gravity_map.identity_anchor boolean NOT NULL DEFAULT false'),
        ('gravity_map.temporal_type text'),
        ('gravity_map.embedding vector'),
        ('gravity_map.metadata jsonb NOT NULL DEFAULT ''{}''::jsonb'),
        ('gravity_map.created_at timestamp with time zone NOT NULL DEFAULT now()'),
        ('gravity_map.updated_at timestamp with time zone NOT NULL DEFAULT now()'),
        ('memory_arc_associations.memory_id uuid NOT NULL'),
        ('memory_arc_associations.arc_id uuid NOT NULL'),
        ('memory_arc_associations.user_id text'),
        ('memory_arc_associations.fusion_strength double precision'),
        ('memory_arc_associations.created_at timestamp with time zone NOT NULL DEFAULT now()'),
        ('memory_arcs.id uuid NOT NULL DEFAULT gen_random_uuid()'),
        ('memory_arcs.user_id text NOT NULL'),
        ('memory_arcs.arc_name text NOT NULL'),
        ('memory_arcs.emotion_type text'),
        ('memory_arcs.gravity_center double precision'),
        ('memory_arcs.evolution_stage text DEFAULT ''forming''::text'),
        ('memory_arcs.memory_count integer DEFAULT 0'),
        ('memory_arcs.peak_gravity double precision'),
        ('memory_arcs.growth_vector jsonb'),
        ('memory_arcs.first_memory_at timestamp with time zone'),
        ('memory_arcs.last_memory_at timestamp with time zone'),
        ('memory_arcs.created_at timestamp with time zone NOT NULL DEFAULT now()'),
        ('memory_arcs.updated_at timestamp with time zone NOT NULL DEFAULT now()'),
        ('pattern_matrix.id uuid NOT NULL DEFAULT gen_random_uuid()'),
        ('pattern_matrix.user_id text'),
        ('pattern_matrix.pattern_type text'),
        ('pattern_matrix.description text'),
        ('pattern_matrix.intensity double precision'),
        ('pattern_matrix.instances jsonb'),
        ('pattern_matrix.status text DEFAULT ''active''::text'),
        ('pattern_matrix.first_detected timestamp with time zone'),
        ('pattern_matrix.last_observed timestamp with time zone'),
        ('pattern_matrix.created_at timestamp with time zone NOT NULL DEFAULT now()'),
        ('pattern_matrix.metadata jsonb DEFAULT ''{}''::jsonb')
      ) AS v (c)$$,
    'the six tables have the application''s columns, in order');
SELECT is_empty('SELECT * FROM gravity_memory_setup()', 'after CREATE EXTENSION nothing is left for setup');
SELECT is_empty('SELECT * FROM gravity_memory_index_ddl()', 'nor any index');
SELECT is((SELECT a.atttypmod FROM pg_attribute AS a WHERE a.attrelid = 'gravity_map'::regclass AND a.attname = 'embedding'), 1536,
          'embeddings have 1536 dimensions when nobody chose');
SELECT col_is_pk('Übung 1'::name, t.table_name, t.key, format('the primary key of %s is (%s)', t.table_name, array_to_string(t.key, ', ')))
FROM (VALUES ('gravity_map'::name, '{id}'::name[]), ('memory_arcs', '{id}'), ('memory_arc_associations', '{memory_id,arc_id}'),
             ('consciousness_cache', '{id}'), ('active_sessions', '{session_id}'), ('pattern_matrix', '{id}')) AS t (table_name, key);
SELECT is((pg_temp.error_of(format('INSERT INTO gravity_map (user_id, gravity_score) VALUES (''u'', %L)', v.gravity_score))).state, v.state,
          format('gravity %s is %s', v.gravity_score, CASE WHEN v.state IS NULL THEN 'accepted' ELSE 'refused' END))
FROM (VALUES ('0', NULL), ('1', NULL), ('-0.001', '23514'), ('1.001', '23514'), ('NaN', '23514'), ('Infinity', '23514')) AS v (gravity_score, state);
INSERT INTO gravity_map (user_id, content, gravity_score, emotion_type, embedding)
SELECT 'u', 'yesterday', 0.9, 'joy', ('[' || repeat('0,', 1535) || '1]')::vector FROM generate_series(1, 3);
SELECT results_eq('SELECT a.arc_name, a.memory_count FROM memory_arcs AS a', $$VALUES ('joy arc (auto-created)', 3)$$,
                  'memories are tagged and form arcs there');
DELETE FROM gravity_map WHERE emotion_type = 'joy';
SELECT is_empty('SELECT FROM memory_arc_associations', 'deleting memories deletes their links');
SET CONSTRAINTS ALL IMMEDIATE;

CREATE FUNCTION pg_temp.installed_dimension(p_dimensions text) RETURNS integer
LANGUAGE plpgsql
AS $installed_dimension$
BEGIN
    PERFORM set_config('gravity_memory.embedding_dimensions', p_dimensions, true);
    DROP EXTENSION IF EXISTS gravity_memory CASCADE;
    DROP SCHEMA IF EXISTS pgtap_dimension CASCADE;
    CREATE SCHEMA pgtap_dimension;
    CREATE EXTENSION gravity_memory SCHEMA pgtap_dimension;
    RETURN (SELECT a.atttypmod FROM pg_attribute AS a
            WHERE a.attrelid = 'pgtap_dimension.gravity_map'::regclass AND a.attname = 'embedding');
EXCEPTION WHEN OTHERS THEN
    -- The failure of one dimension is that one's test, and not the end of the file.
    RETURN NULL;
END
$installed_dimension$;
SELECT is(pg_temp.installed_dimension(v.given), v.expected,
          format('SET gravity_memory.embedding_dimensions = %L before CREATE EXTENSION gives %s', v.given, v.expected))
FROM (VALUES ('384', 384), ('1', 1), ('2000', 2000), (' 768 ', 768), ('', 1536)) AS v (given, expected);
DROP EXTENSION gravity_memory CASCADE;
CREATE SCHEMA pgtap_refused;
SELECT set_config('gravity_memory.embedding_dimensions', '2001', true) AS ignored \gset
SELECT throws_ok('CREATE EXTENSION gravity_memory SCHEMA pgtap_refused', '22023', NULL, 'CREATE EXTENSION refuses an impossible dimension');
SELECT is_empty($$SELECT FROM pg_class AS c WHERE c.relnamespace = 'pgtap_refused'::regnamespace$$, 'and leaves nothing behind');
SELECT set_config('gravity_memory.embedding_dimensions', '', true) AS ignored \gset
SELECT is((pg_temp.error_of('CREATE SCHEMA "50% off"; CREATE EXTENSION gravity_memory SCHEMA "50% off"; DROP EXTENSION gravity_memory CASCADE')).message,
          NULL, 'any schema will do, even one with a percent sign in its name');

-- By an ordinary role that may create in the database, with vector installed already.
CREATE ROLE gravity_memory_pgtap_owner;
DO $grant$ BEGIN EXECUTE format('GRANT CREATE ON DATABASE %I TO gravity_memory_pgtap_owner', current_database()); END $grant$;
CREATE SCHEMA pgtap_owned AUTHORIZATION gravity_memory_pgtap_owner;
DO $grant$ BEGIN EXECUTE format('GRANT USAGE ON SCHEMA %I TO gravity_memory_pgtap_owner',
    (SELECT n.nspname FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'vector')); END $grant$;
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_owner', 'CREATE EXTENSION gravity_memory SCHEMA pgtap_owned')).message, NULL,
          'CREATE EXTENSION needs no superuser');
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_owner', $$
    INSERT INTO pgtap_owned.gravity_map (user_id, gravity_score, emotion_type) SELECT 'u', 0.9, 'joy' FROM generate_series(1, 3);
    SET CONSTRAINTS ALL IMMEDIATE;
    SELECT pgtap_owned.gravity_memory_set('notify', 'off');
    SELECT pgtap_owned.cleanup_old_cache(), pgtap_owned.gravity_memory_evolve_arcs();
    SELECT pgtap_owned.gravity_memory_setup(), pgtap_owned.gravity_memory_teardown();
    DROP EXTENSION gravity_memory$$)).message, NULL, 'nor does anything after it, down to DROP EXTENSION');
DROP EXTENSION IF EXISTS gravity_memory CASCADE;

-- While a dump is restored, CREATE EXTENSION makes nothing: the dump brings the tables and their triggers.

CREATE SCHEMA pgtap_restored;
SET LOCAL row_security = off;
CREATE EXTENSION gravity_memory SCHEMA pgtap_restored;
SET LOCAL row_security = on;
SELECT set_config('search_path', 'pgtap_restored, ' || current_setting('search_path'), true) AS ignored \gset
SELECT is_empty($$SELECT c.relname FROM pg_class AS c WHERE c.relnamespace = 'pgtap_restored'::regnamespace$$,
                'with row_security off, as in a restore, CREATE EXTENSION makes no table and no index');
SELECT is_empty('SELECT * FROM pgtap_restored.gravity_memory_index_ddl()', 'no index is missing from tables that are not there');
SELECT is_empty('SELECT * FROM pgtap_restored.gravity_memory_teardown()', 'teardown has nothing to do and does it');
SELECT is(e.state, '55000', 'a setting cannot be stored yet') FROM pg_temp.error_of($$SELECT pgtap_restored.gravity_memory_set('notify', 'off')$$) AS e;
SELECT is((SELECT count(*) FROM pgtap_restored.gravity_memory_setup() WHERE action = 'create table'), 12::bigint, 'setup makes everything afterwards');
SELECT is_empty('SELECT * FROM pgtap_restored.gravity_memory_setup()', 'and needs no third call');

SELECT * FROM finish();
ROLLBACK;
