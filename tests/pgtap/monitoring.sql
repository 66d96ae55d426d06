-- Monitoring: gravity_memory_check() and what it finds, gravity_memory_index_usage(), gravity_memory_stats(), gravity_memory_slow_queries().
--
-- A statement that mends is executed as it was returned, but for CONCURRENTLY, which is for outside a transaction, and but for
-- gravity_memory_rebuild_recall(), which commits. Both, and what needs pg_cron, pg_stat_statements or several sessions, is tested in tests/python/test_monitoring.py.
BEGIN;
\ir support/session.psql
\ir support/vectors.psql
SELECT plan(84);
SELECT count(*) AS ignored FROM gravity_memory_setup() \gset
SELECT n.nspname AS extension_schema FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'gravity_memory' \gset
SELECT pg_temp.new_role('gravity_memory_pgtap_owner') AS ignored \gset
SELECT pg_temp.new_role('gravity_memory_pgtap "reader" % 💧') AS ignored \gset

-- seen(): the findings. provoke(): what a script makes the check find, then what is left when every remedy was executed.
CREATE FUNCTION pg_temp.seen() RETURNS SETOF text LANGUAGE sql
AS $seen$ SELECT format('%s %s: %s', c.severity, c.finding, c.object) FROM gravity_memory_check() AS c $seen$;
CREATE FUNCTION pg_temp.provoke(p_script text) RETURNS text
LANGUAGE plpgsql
AS $provoke$
DECLARE
    v_seen text[];
    v_remedy text;
BEGIN
    EXECUTE p_script;
    v_seen := ARRAY(SELECT * FROM pg_temp.seen());
    FOR i IN 1 .. 6 LOOP
        FOR v_remedy IN SELECT DISTINCT c.remedy FROM gravity_memory_check() AS c WHERE c.remedy IS NOT NULL LOOP
            EXECUTE CASE WHEN v_remedy ~ '^CALL \S+\.gravity_memory_rebuild_recall\(' THEN 'SELECT _gravity_memory_fill_recall()'
                         ELSE replace(v_remedy, ' CONCURRENTLY', '') END;
        END LOOP;
    END LOOP;
    RETURN array_to_string(v_seen || ARRAY(SELECT 'left: ' || s FROM pg_temp.seen() AS s), ' | ');
END
$provoke$;
CREATE FUNCTION pg_temp.remedy_of(p_finding text) RETURNS text LANGUAGE sql
AS $remedy_of$ SELECT string_agg(DISTINCT c.remedy, '; ') FROM gravity_memory_check() AS c WHERE c.finding = p_finding $remedy_of$;

SELECT is_empty('SELECT * FROM gravity_memory_check()', 'a healthy installation has no finding');
INSERT INTO gravity_map (user_id, content, gravity_score, emotion_type, embedding, entities, created_at)
SELECT 'pgtap O''Neill "%" 💧', 'We will meet ' || i, 0.9, 'joy', pg_temp.random_vector(i), '{Blu,Matt,Atlas,Ivy}', now() - i * interval '1 hour'
FROM generate_series(1, 6) AS i;
INSERT INTO gravity_map (user_id) VALUES ('pgtap nothing');
SELECT is_empty('SELECT * FROM gravity_memory_check()', 'nor has one with memories');

-- Tables.

SELECT is(pg_temp.provoke('DROP TABLE pattern_matrix'), 'error missing_table: pattern_matrix', 'a missing table is found, and made by its remedy');
SELECT is(pg_temp.provoke('ALTER TABLE gravity_map DROP COLUMN summary'), 'error missing_column: gravity_map.summary', 'a missing column too');
SELECT is(pg_temp.provoke('ALTER TABLE gravity_map DROP CONSTRAINT gravity_map_pkey CASCADE'), 'error table_mismatch: gravity_map',
          'what keeps setup from adopting a table is found, and where a statement mends it, it does');
SELECT is(pg_temp.provoke('ALTER TABLE active_sessions DROP COLUMN session_id CASCADE'),
          'error table_mismatch: active_sessions.session_id | left: error table_mismatch: active_sessions.session_id',
          'a column that cannot be added has no remedy that runs as it stands');
SELECT is(format('%s %s', c.problem ~ 'cannot be added to a table with rows', c.remedy IS NULL), 't t', 'and says so') FROM gravity_memory_check() AS c;
DROP TABLE active_sessions;
SELECT count(*) AS ignored FROM gravity_memory_setup() \gset
SELECT is(pg_temp.provoke('ALTER TABLE gravity_map ALTER COLUMN embedding TYPE vector'), 'error embedding_without_dimension: gravity_map.embedding',
          'an embedding without a fixed dimension gets that of its vectors back');
SELECT is(pg_temp.dimensions(), (SELECT vector_dims(m.embedding) FROM gravity_map AS m WHERE m.embedding IS NOT NULL LIMIT 1), 'which is theirs');
SELECT is(pg_temp.provoke('ALTER TABLE memory_digests DISABLE ROW LEVEL SECURITY'), 'error open_derived_table: memory_digests',
          'a derived table that is not closed is found');
SELECT is(pg_temp.provoke($$CREATE FUNCTION pg_temp.theirs() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
                            CREATE TRIGGER "their ""%"" trigger 💧" BEFORE INSERT ON memory_postings FOR EACH ROW EXECUTE FUNCTION pg_temp.theirs()$$),
          'error foreign_trigger: "their ""%"" trigger 💧" on memory_postings', 'and one with a trigger of others, whatever its name');
SELECT is(pg_temp.provoke('ALTER EXTENSION gravity_memory ADD TABLE pattern_matrix'), 'error table_in_extension: pattern_matrix',
          'a table that pg_dump would leave out is found');
SELECT is(pg_temp.provoke('ALTER TABLE memory_digests SET (autovacuum_enabled = off); ALTER TABLE gravity_map SET (toast.autovacuum_enabled = off)'),
          (SELECT string_agg(format('warning autovacuum_disabled: %I.%s', :'extension_schema', t), ' | ' ORDER BY t) FROM unnest('{gravity_map,memory_digests}'::text[]) AS t),
          'autovacuum switched off is found, for a TOAST table too');

-- Owners.

SELECT is(pg_temp.provoke('ALTER FUNCTION trigger_arc_building() OWNER TO gravity_memory_pgtap_owner'), format('warning function_owner: %I.trigger_arc_building()', :'extension_schema'),
          'a function that does not belong to the owner of gravity_map is handed over');
SELECT is(pg_temp.provoke('ALTER TABLE memory_arcs OWNER TO gravity_memory_pgtap_owner'), 'warning table_owner: memory_arcs', 'and so is a table');
SELECT format('ALTER TABLE %I OWNER TO gravity_memory_pgtap_owner', t.table_name) FROM _gravity_memory_table_catalogue() AS t \gexec
SELECT is((SELECT array_agg(DISTINCT c.finding) FROM gravity_memory_check() AS c), '{function_owner}', 'when all tables change hands');
SELECT count(*) AS ignored FROM gravity_memory_setup() \gset
SELECT is_empty('SELECT * FROM gravity_memory_check()', 'setup is what hands the functions over');
SELECT is(pg_temp.provoke('REVOKE INSERT, DELETE ON memory_digests FROM gravity_memory_pgtap_owner; REVOKE SELECT ON gravity_map FROM gravity_memory_pgtap_owner'),
          'error missing_privilege: gravity_map | error missing_privilege: memory_digests', 'an owner who lacks privileges is granted them');
SELECT is(pg_temp.provoke('ALTER TABLE memory_recall_gaps FORCE ROW LEVEL SECURITY'), 'error forced_row_security: memory_recall_gaps',
          'row security that would keep the owner itself out is not forced any more');
SAVEPOINT extension_owner;
UPDATE pg_extension SET extowner = (SELECT r.oid FROM pg_roles AS r WHERE r.rolname = 'gravity_memory_pgtap "reader" % 💧') WHERE extname = 'gravity_memory';
SELECT is(pg_temp.provoke('SELECT'), 'warning extension_owner: gravity_memory', 'an owner of the extension who may not alter the tables is made a member of their owner');
ROLLBACK TO extension_owner;
SELECT format('ALTER TABLE %I OWNER TO CURRENT_USER', t.table_name) FROM _gravity_memory_table_catalogue() AS t \gexec
SELECT count(*) AS ignored FROM gravity_memory_setup() \gset

-- Triggers.

SELECT is(pg_temp.provoke('DROP TRIGGER trigger_notify_memory_created ON gravity_map'), 'error missing_trigger: trigger_notify_memory_created on gravity_map',
          'a missing trigger is found and made');
SELECT is(pg_temp.provoke('ALTER TABLE memory_arcs DISABLE TRIGGER trigger_notify_arc_created; ALTER TABLE gravity_map ENABLE REPLICA TRIGGER trigger_arc_building;
                           ALTER TABLE gravity_map ENABLE ALWAYS TRIGGER trigger_notify_memory_created'),
          'error disabled_trigger: trigger_arc_building on gravity_map | error disabled_trigger: trigger_notify_arc_created on memory_arcs',
          'one that is off for ordinary sessions is switched on, one that is always on is none');
SELECT is(pg_temp.provoke('CREATE OR REPLACE TRIGGER trigger_auto_tag_high_gravity BEFORE INSERT ON gravity_map FOR EACH ROW EXECUTE FUNCTION auto_tag_high_gravity()'),
          'error changed_trigger: trigger_auto_tag_high_gravity on gravity_map', 'one that was changed is put right');

-- Indexes.

SELECT is(pg_temp.provoke('DROP INDEX idx_gravity_map_user_created, idx_memory_arcs_open_automatic'),
          'error missing_index: idx_memory_arcs_open_automatic | warning missing_index: idx_gravity_map_user_created',
          'missing indexes are found and built, a unique one is an error');
CREATE INDEX "their ""%"" index 💧" ON memory_arcs (arc_name);
UPDATE pg_index SET indisvalid = false WHERE indexrelid IN ('"their ""%"" index 💧"'::regclass, 'idx_gravity_map_thread_id'::regclass);
SELECT is(pg_temp.provoke('SELECT'), 'error invalid_index: idx_gravity_map_thread_id | error invalid_index: their "%" index 💧',
          'an invalid index goes, of whatever name');
SELECT isnt(to_regclass('idx_gravity_map_thread_id'), NULL, 'and comes back when it is one of ours');
SELECT is(pg_temp.provoke('DROP INDEX idx_gravity_map_created_at, idx_gravity_map_high_gravity, idx_gravity_map_tags, idx_gravity_map_user_id;
                           CREATE INDEX idx_gravity_map_created_at ON gravity_map (created_at);
                           CREATE INDEX idx_gravity_map_high_gravity ON gravity_map (user_id, gravity_score DESC) WHERE gravity_score >= 0.75;
                           CREATE INDEX idx_gravity_map_tags ON gravity_map (meta_tags);
                           CREATE INDEX idx_gravity_map_user_id ON gravity_map (user_id text_pattern_ops)'),
          'notice changed_index: idx_gravity_map_created_at | notice changed_index: idx_gravity_map_high_gravity | notice changed_index: idx_gravity_map_tags | notice changed_index: idx_gravity_map_user_id',
          'an index in another order, with another condition, method or operator class is a notice');
SELECT is(pg_temp.provoke('DROP INDEX idx_gravity_map_user_created; CREATE INDEX idx_gravity_map_user_created ON gravity_map (user_id, created_at DESC) INCLUDE (gravity_score) WITH (fillfactor = 80)'),
          '', 'one with columns more in its leaves, or other storage, serves as well');
-- What PostgreSQL prints depends on the types of adopted columns.
SELECT is(_gravity_memory_plain_index_definition('USING btree (user_id, emotion_type) WHERE (((evolution_stage)::text = ANY ((ARRAY[''forming''::character varying, '
                                                 '''active''::character varying])::text[])) AND ((arc_name)::text = ((emotion_type)::text || '' arc (auto-created)''::text)))'),
          (SELECT _gravity_memory_plain_index_definition(c.definition) FROM gravity_memory_index_catalogue() AS c WHERE c.index_name = 'idx_memory_arcs_open_automatic'),
          'nor is it another index because columns are varchar');

-- Vector indexes.

SELECT gravity_memory_set('embedding_index_min_rows', '4') IS NULL AS ignored \gset
SELECT is(pg_temp.provoke('SELECT'), 'warning missing_vector_index: idx_gravity_map_embedding_cosine | warning missing_vector_index: idx_gravity_map_embedding_l2',
          'vector indexes that there are rows enough for are found, and built');
SELECT is(pg_temp.provoke('SELECT gravity_memory_set(''embedding_lists'', ''50'')'),
          'warning untrained_vector_index: idx_gravity_map_embedding_cosine | warning untrained_vector_index: idx_gravity_map_embedding_l2',
          'those whose lists do not suit the rows are replaced, step by step');
SELECT is(pg_temp.provoke('SELECT gravity_memory_set(''embedding_index'', ''hnsw''); SELECT gravity_memory_reset(''embedding_lists'')'),
          'warning untrained_vector_index: idx_gravity_map_embedding_cosine | warning untrained_vector_index: idx_gravity_map_embedding_l2', 'and those of another kind');
SELECT is(pg_temp.provoke('CREATE INDEX idx_gravity_map_embedding_l2_successor ON gravity_map USING hnsw (embedding vector_l2_ops);
                           CREATE INDEX idx_gravity_map_embedding_l2_old_1 ON gravity_map USING hnsw (embedding vector_l2_ops)'),
          'warning unfinished_vector_index: idx_gravity_map_embedding_l2 | warning unfinished_vector_index: idx_gravity_map_embedding_l2_old_1',
          'what an interrupted replacement left is found, and goes');
SELECT is(pg_temp.provoke('DROP INDEX idx_gravity_map_embedding_l2; CREATE INDEX idx_gravity_map_embedding_l2 ON gravity_map USING hnsw (embedding vector_cosine_ops)'),
          'notice changed_index: idx_gravity_map_embedding_l2', 'an index by the wrong distance is found');
SELECT is(pg_temp.provoke('SELECT gravity_memory_set(''embedding_index_min_rows'', ''1000'')'),
          'warning unwanted_vector_index: idx_gravity_map_embedding_cosine | warning unwanted_vector_index: idx_gravity_map_embedding_l2',
          'those on too few rows go');
SELECT gravity_memory_reset('embedding_index') IS NULL AS ignored \gset
SELECT gravity_memory_set('embedding_index_min_rows', '4') IS NULL AS ignored \gset
SET LOCAL maintenance_work_mem = '1MB';
SELECT results_eq('SELECT * FROM pg_temp.seen()', ARRAY['warning vector_index_memory: idx_gravity_map_embedding_cosine, idx_gravity_map_embedding_l2'],
                  'vector indexes that cannot be built for lack of memory are found');
SELECT matches(pg_temp.remedy_of('vector_index_memory'), '^ALTER ROLE \S+ SET maintenance_work_mem = ''\d+ MB''$', 'with how much it takes');
SELECT set_config('maintenance_work_mem', substring(pg_temp.remedy_of('vector_index_memory') FROM '''(.*)'''), true) IS NULL AS ignored \gset
SELECT results_eq('SELECT DISTINCT c.finding FROM gravity_memory_check() AS c', ARRAY['missing_vector_index'], 'which is enough');
SELECT gravity_memory_reset('embedding_index_min_rows') IS NULL AS ignored \gset
RESET maintenance_work_mem;

-- What recall reads. gravity_memory_rebuild_recall() commits: that it mends these is tested in tests/python.

SELECT _gravity_memory_note_recall_gaps('{pgtap nothing}') IS NULL AS ignored \gset
SELECT results_eq('SELECT * FROM pg_temp.seen()', ARRAY['warning recall_gaps: memory_recall_gaps'], 'a user noted in memory_recall_gaps is found');
SELECT matches(c.problem, '\mof 1 user,', 'with how many there are') FROM gravity_memory_check() AS c;
SELECT _gravity_memory_note_recall_gaps(NULL) IS NULL AS ignored \gset
DELETE FROM memory_digests;
SELECT results_eq('SELECT c.problem ~ ''\mevery user\M'' FROM gravity_memory_check() AS c', ARRAY[true], 'where everyone is noted, nothing else can be wrong');
SELECT matches(pg_temp.remedy_of('recall_gaps'), '^CALL \S+\.gravity_memory_rebuild_recall\(\)$', 'and the rebuild mends it');
DELETE FROM memory_recall_gaps;
SELECT results_eq('SELECT * FROM pg_temp.seen()', ARRAY['error missing_derived_rows: memory_digests'], 'derived rows that are missing, and that nobody noted, are found');
SELECT _gravity_memory_fill_recall() IS NULL AS ignored \gset
SELECT is_empty('SELECT * FROM gravity_memory_check()', 'and made');
ALTER TABLE gravity_map DISABLE TRIGGER USER;
UPDATE gravity_map SET embedding = NULL WHERE content = 'We will meet 1';
DELETE FROM gravity_map WHERE content = 'We will meet 2';
ALTER TABLE gravity_map ENABLE TRIGGER USER;
SELECT results_eq('SELECT * FROM pg_temp.seen()', ARRAY['error missing_derived_rows: memory_digests', 'error wrong_derived_rows: memory_digests'],
                  'so are those of another embedding, and of memories that are gone');
SELECT _gravity_memory_fill_recall() IS NULL AS ignored \gset
DELETE FROM memory_postings;
SELECT results_eq('SELECT * FROM pg_temp.seen()', ARRAY['error wrong_derived_rows: memory_digests'], 'and words that recall would not find');
SELECT _gravity_memory_fill_recall() IS NULL AS ignored \gset
UPDATE memory_digests SET signature = signature || B'1' WHERE signature IS NOT NULL;
SELECT results_eq('SELECT * FROM pg_temp.seen()', ARRAY['error signature_length: memory_digests.signature'], 'and signatures of another length than the embeddings');
SELECT _gravity_memory_fill_recall() IS NULL AS ignored \gset

-- Settings.

INSERT INTO gravity_memory_settings VALUES ('no ''such'' "setting" % 💧', '%s %I');
SELECT is(pg_temp.provoke('SELECT'), 'warning unknown_setting: no ''such'' "setting" % 💧', 'a setting that does not exist is removed, whatever its name');
SELECT is(pg_temp.provoke($$INSERT INTO gravity_memory_settings VALUES ('text_search_config', 'o''neill %s'), ('arc_window', 'soon')$$),
          'error invalid_setting: arc_window | error invalid_setting: text_search_config', 'a value that makes no sense is');
SELECT is(pg_temp.provoke($$INSERT INTO gravity_memory_settings VALUES ('embedding_index_min_rows', 'many'), ('cache_retention', 'x')$$),
          'error invalid_setting: cache_retention | error invalid_setting: embedding_index_min_rows | notice not_checked: index findings | notice not_checked: table findings | notice not_checked: vector_index findings',
          'also where other looks stop at it: they say so');
SELECT is(pg_temp.provoke($$SELECT gravity_memory_set('broadcast', 'on')$$),
          CASE WHEN to_regprocedure('realtime.send(jsonb, text, text, boolean)') IS NULL THEN 'warning broadcast_unavailable: broadcast' ELSE '' END,
          'broadcasts that nothing sends are found');
SELECT is(pg_temp.provoke($$SELECT gravity_memory_set('arc_active_members', '21')$$), 'warning contradicting_settings: arc_active_members, arc_mature_members',
          'settings that contradict each other are found: stages in the wrong order');
SELECT gravity_memory_reset('arc_active_members') IS NULL AS ignored \gset
SELECT is(pg_temp.provoke($$SELECT gravity_memory_set('arc_min_memories', '30')$$), 'warning contradicting_settings: arc_min_memories, arc_mature_members', 'clusters larger than arcs');
SELECT gravity_memory_reset('arc_min_memories'), gravity_memory_reset('arc_mature_members') \gset ignored_
SELECT is(pg_temp.provoke($$SELECT gravity_memory_set('arc_window', '14 days')$$), 'warning contradicting_settings: arc_window, arc_dormant_after', 'arcs dormant within their window');
SELECT gravity_memory_reset('arc_window'), gravity_memory_reset('arc_dormant_after') \gset ignored_
SELECT is(pg_temp.provoke($$SELECT gravity_memory_set('embedding_lists', '10'), gravity_memory_set('embedding_probes', '11')$$),
          'warning contradicting_settings: embedding_probes, embedding_lists', 'more lists to be searched than there are');
SELECT gravity_memory_reset('embedding_lists') IS NULL AS ignored \gset
SELECT is(pg_temp.provoke($$SELECT gravity_memory_set('arc_gravity_threshold', '0.79')$$), 'warning threshold_below_index: arc_gravity_threshold',
          'and a threshold that the index does not serve');

-- Versions.

SAVEPOINT versions;
UPDATE pg_extension SET extversion = '0.6.2' WHERE extname = 'vector';
UPDATE pg_extension SET extversion = '0.2.0' WHERE extname = 'gravity_memory';
SELECT results_eq('SELECT format(''%s %s: %s'', c.severity, c.finding, c.remedy) FROM gravity_memory_check() AS c',
                  ARRAY['error old_pgvector: ALTER EXTENSION vector UPDATE', 'warning other_version: ALTER EXTENSION gravity_memory UPDATE'],
                  'an old pgvector is found, and a version that is not that of the files');
UPDATE pg_extension SET extversion = '0.10' WHERE extname = 'vector';
SELECT results_eq('SELECT * FROM pg_temp.seen()', ARRAY['warning other_version: gravity_memory'], 'versions are compared as numbers');
ROLLBACK TO versions;

-- Who may ask.

SELECT is((SELECT array_agg(DISTINCT a) FROM unnest(pg_temp.answer_as('gravity_memory_pgtap "reader" % 💧', 'SELECT format(''%s: %s'', c.finding, c.object) FROM gravity_memory_check() AS c')) AS a),
          '{not_checked: derived findings}', 'a role without privileges is told what it may not look at, and all else');
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap "reader" % 💧', 'SELECT * FROM gravity_memory_index_usage()')).message, NULL, 'it may look at the use of indexes');
SELECT is(pg_temp.answer_as('gravity_memory_pgtap "reader" % 💧', 'SELECT s.name FROM gravity_memory_stats() AS s WHERE s.category = ''not counted'' AND s.value IS NULL'),
          '{gravity_map,memory_arcs,memory_arc_associations,consciousness_cache,active_sessions,pattern_matrix,memory_digests,memory_events,memory_recall_gaps}',
          'and is told of every table that it may not read');

-- Counts.

DELETE FROM gravity_map;
DELETE FROM memory_arc_associations;
DELETE FROM memory_arcs;
DELETE FROM consciousness_cache;
INSERT INTO gravity_map (user_id, content, gravity_score, emotion_type, meta_tags, created_at, embedding)
SELECT u.user_id, 'We met', 0.9, 'joy', '{own,own}', now() - i * interval '9 hours', CASE i WHEN 1 THEN pg_temp.direction(1) END
FROM unnest(ARRAY['pgtap O''Neill "%" 💧', 'pgtap other']) AS u (user_id), generate_series(1, 3) AS i;
INSERT INTO gravity_map (user_id, meta_tags, created_at) VALUES ('pgtap other', NULL, now() - interval '10 days');
INSERT INTO consciousness_cache (user_id, accessed_count, created_at) VALUES ('pgtap other', 3, now()), ('pgtap other', 4, now() - interval '25 hours'), (NULL, NULL, now());
CREATE FUNCTION pg_temp.counted(p_user_id text) RETURNS SETOF text LANGUAGE sql
AS $counted$
    SELECT format('%s/%s=%s', s.category, COALESCE(s.name, 'NULL'), s.value) FROM gravity_memory_stats(p_user_id) AS s WHERE s.category NOT IN ('derived', 'notifications') AND s.value > 0
$counted$;
SELECT bag_eq('SELECT * FROM pg_temp.counted(NULL)',
    ARRAY['total/memories=7', 'total/with embedding=2', 'total/identity anchors=6', 'total/users=2', 'growth/last day=4', 'growth/last 7 days=6',
          'growth/last 30 days=7', 'tag/high_gravity=6', 'tag/own=6', 'tag/NULL=1', 'emotion/joy=6', 'emotion/NULL=1', 'temporal_type/present=7',
          'total/arcs=2', 'arc_stage/forming=2', 'total/arc members=6', 'cache/entries=3', 'cache/expired=1', 'cache/hits=7'],
    'everything is counted, a memory once under each of its tags');
SELECT bag_eq('SELECT * FROM pg_temp.counted(''pgtap O''''Neill "%" 💧'')',
    ARRAY['total/memories=3', 'total/with embedding=1', 'total/identity anchors=3', 'growth/last day=2', 'growth/last 7 days=3', 'growth/last 30 days=3',
          'tag/high_gravity=3', 'tag/own=3', 'emotion/joy=3', 'temporal_type/present=3', 'total/arcs=1', 'arc_stage/forming=1', 'total/arc members=3'],
    'or of one user alone');
SELECT is_empty('SELECT * FROM pg_temp.counted(''nobody'')', 'of a user who is not there all counts are 0');
SELECT bag_eq('SELECT s.name, s.value FROM gravity_memory_stats() AS s WHERE s.category = ''derived''',
    $$SELECT * FROM (VALUES ('digests', (SELECT count(*)::numeric FROM memory_digests)), ('postings', (SELECT count(*) FROM memory_postings)), ('gaps', 0), ('gaps of everyone', 0)) AS v$$,
    'what is derived is counted too');
SELECT bag_eq('SELECT s.name, s.value FROM gravity_memory_stats() AS s WHERE s.category = ''notifications''',
    $$SELECT * FROM (VALUES ('queue usage', pg_notification_queue_usage()::numeric), ('queue limit', 0.5)) AS v$$, 'and the queue is looked at');

SAVEPOINT view;
ALTER TABLE pattern_matrix RENAME TO pgtap_patterns;
CREATE VIEW pattern_matrix AS SELECT * FROM pgtap_patterns WHERE 1 / (random() * 0)::integer = 1;
SELECT results_eq('SELECT s.name FROM gravity_memory_stats() AS s WHERE s.category = ''not counted''', ARRAY['pattern_matrix'], 'a view in the place of a table is not read');
SELECT bag_eq('SELECT * FROM pg_temp.seen()', ARRAY['error table_mismatch: pattern_matrix', 'error table_mismatch: idx_pattern_matrix_type', 'error table_mismatch: idx_pattern_matrix_user'], 'and is found');
ROLLBACK TO view;

-- The use of indexes.

CREATE INDEX "their ""own"" % 💧" ON gravity_map (summary);
SELECT set_eq('SELECT u.index_name FROM gravity_memory_index_usage() AS u WHERE u.in_catalogue',
              'SELECT c.index_name FROM gravity_memory_index_catalogue() AS c WHERE to_regclass(c.index_name) IS NOT NULL', 'every index of the catalogue that is there is listed');
SELECT set_eq('SELECT u.index_name, u.serves FROM gravity_memory_index_usage() AS u WHERE u.in_spec',
              'SELECT c.index_name, c.serves FROM gravity_memory_index_catalogue() AS c WHERE c.in_spec AND to_regclass(c.index_name) IS NOT NULL', 'with its query, and whether it is of the specification');
SELECT results_eq($$SELECT u.table_name, u.in_catalogue, u.in_spec, u.serves, u.is_valid, u.scans, u.never_used_since < now(), u.size_bytes > 0
                    FROM gravity_memory_index_usage() AS u WHERE u.index_name = 'their "own" % 💧'$$,
                  $$VALUES ('gravity_map', false, false, NULL, true, 0::bigint, true, true)$$, 'and so is the application''s own, marked so');
SELECT results_eq($$SELECT u.serves FROM gravity_memory_index_usage() AS u WHERE u.index_name = 'gravity_map_pkey'$$, ARRAY['PRIMARY KEY (id)'], 'a constraint''s index says that it is one');

-- Statements. A view stands for pg_stat_statements, which not every server has; the real one is asked in tests/python.

SELECT is((pg_temp.error_of(format('SELECT * FROM gravity_memory_slow_queries(%s)', l))).state || ' ' || ((pg_temp.error_of(format('SELECT * FROM gravity_memory_slow_queries(%s)', l))).hint <> ''),
          '22023 true', format('a limit of %s makes no sense', l))
FROM unnest('{"NULL",0,-1}'::text[]) AS l;

SELECT matches((pg_temp.error_of('SELECT * FROM gravity_memory_slow_queries()')).hint, 'shared_preload_libraries.*CREATE EXTENSION pg_stat_statements',
               'where pg_stat_statements is not installed, a HINT names both steps');
CREATE SCHEMA "pgtap ""statements"" % 💧";
INSERT INTO pg_extension (oid, extname, extowner, extnamespace, extrelocatable, extversion)
SELECT 4294900001, 'pg_stat_statements', e.extowner, '"pgtap ""statements"" % 💧"'::regnamespace, true, '1.10' FROM pg_extension AS e WHERE e.extname = 'gravity_memory';
CREATE VIEW "pgtap ""statements"" % 💧".pg_stat_statements AS SELECT 1::oid AS dbid, 'SELECT'::text AS query, 1.0::double precision AS mean_time;
SELECT is((pg_temp.error_of('SELECT * FROM gravity_memory_slow_queries()')).hint, 'Run ALTER EXTENSION pg_stat_statements UPDATE.', 'before version 1.8 its columns had other names');
DROP VIEW "pgtap ""statements"" % 💧".pg_stat_statements;
CREATE VIEW "pgtap ""statements"" % 💧".pg_stat_statements AS
SELECT d.oid AS dbid, v.query, 2::bigint AS calls, v.mean_exec_time, 9.5::double precision AS max_exec_time, 2 * v.mean_exec_time AS total_exec_time, 3::bigint AS rows
FROM (VALUES ('SELECT * FROM gravity_map WHERE user_id = $1', 0.1::double precision), ('SELECT * FROM public."gravity_map" -- ''"%s" 💧', 7.25),
             ('select * from PATTERN_MATRIX', 8), ('SELECT recall_memories($1, $2)', 6), ('SELECT * FROM gravity_mapping, my_gravity_map', 99)) AS v (query, mean_exec_time)
JOIN pg_database AS d ON d.datname = current_database()
UNION ALL
SELECT 1, 'SELECT elsewhere FROM gravity_map', 2, 99, 99, 99, 3;
SELECT results_eq('SELECT * FROM gravity_memory_slow_queries(3)',
    $$VALUES ('select * from PATTERN_MATRIX', 2::bigint, 8::double precision, 9.5::double precision, 16::double precision, 3::bigint),
             ('SELECT * FROM public."gravity_map" -- ''"%s" 💧', 2, 7.25, 9.5, 14.5, 3), ('SELECT recall_memories($1, $2)', 2, 6, 9.5, 12, 3)$$,
    'the slowest statements of this database that name our tables or functions are listed');
SELECT is((SELECT count(*) FROM gravity_memory_slow_queries()), 4::bigint, 'ten, or as many as there are');

-- Without tables.

SET CONSTRAINTS ALL IMMEDIATE;
SELECT count(*) AS ignored FROM gravity_memory_teardown() \gset
SELECT results_eq('SELECT DISTINCT c.finding FROM gravity_memory_check() AS c', ARRAY['missing_trigger'], 'after a teardown the triggers are missing');
SELECT format('DROP TABLE %I CASCADE', t.table_name) FROM _gravity_memory_table_catalogue() AS t \gexec
SELECT is((pg_temp.error_of('SELECT * FROM gravity_memory_index_usage()')).state, '55000', 'without tables there is no use of indexes');
SELECT matches((pg_temp.error_of('SELECT * FROM gravity_memory_stats()')).hint, 'gravity_memory_setup\(\)', 'and nothing to count: the HINT names setup');
SELECT results_eq('SELECT DISTINCT c.finding, c.severity FROM gravity_memory_check() AS c', $$VALUES ('missing_table', 'error')$$, 'the check says what is missing');
SELECT unalike(pg_temp.provoke('SELECT'), '%left:%', 'and its remedy brings all back');

SELECT * FROM finish();
ROLLBACK;
