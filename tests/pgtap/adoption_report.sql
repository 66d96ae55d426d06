-- The adoption report: what setup would do, before it does it; and gravity_memory.setup = off, which makes functions only.
BEGIN;
\ir support/session.psql
SELECT plan(44);

-- Each case has a schema of its own, so that the tables of this database stay where they are.
DROP EXTENSION gravity_memory CASCADE;
SET LOCAL gravity_memory.setup = off;
SELECT current_setting('search_path') AS base_path \gset

-- arrange(): the tables that a script creates in a schema of their own, and beside it, in another schema, the functions alone.
CREATE FUNCTION pg_temp.arrange(p_script text) RETURNS void
LANGUAGE plpgsql
AS $arrange$
BEGIN
    DROP EXTENSION IF EXISTS gravity_memory CASCADE;
    DROP SCHEMA IF EXISTS pgtap_looked_at, pgtap_beside CASCADE;
    CREATE SCHEMA pgtap_looked_at;
    CREATE SCHEMA pgtap_beside;
    PERFORM set_config('search_path', 'pgtap_looked_at, ' || current_setting('search_path'), true)
    WHERE current_setting('search_path') NOT LIKE 'pgtap_looked_at,%';
    EXECUTE p_script;
    CREATE EXTENSION gravity_memory SCHEMA pgtap_beside;
END
$arrange$;

-- look(): keeps the report on that schema in the temporary table report, and what it says setup does, one row per thing, in
-- planned. Tables that are missing come with their indexes and triggers.
CREATE TEMPORARY TABLE report (severity text, finding text, object text, present text, plan text, lock text, remedy text) ON COMMIT DROP;
CREATE TEMPORARY TABLE planned (action text, object text) ON COMMIT DROP;
CREATE FUNCTION pg_temp.look() RETURNS void
LANGUAGE plpgsql
AS $look$
BEGIN
    DELETE FROM report;
    DELETE FROM planned;
    INSERT INTO report SELECT * FROM pgtap_beside.gravity_memory_adoption_report('pgtap_looked_at');
    INSERT INTO planned
    SELECT 'create table', r.object FROM report AS r WHERE r.finding = 'missing_table'
    UNION ALL
    SELECT 'add column', r.object || '.' || c FROM report AS r CROSS JOIN string_to_table(substring(r.present FROM '^Missing: (.*)\.$'), ', ') AS c
    WHERE r.finding = 'missing_columns'
    UNION ALL
    SELECT 'create trigger', c FROM report AS r CROSS JOIN string_to_table(substring(r.present FROM '^Missing: (.*)\.$'), ', ') AS c
    WHERE r.finding = 'missing_triggers'
    UNION ALL
    SELECT 'create trigger', c.trigger_name FROM report AS r JOIN pgtap_beside._gravity_memory_trigger_catalogue() AS c ON c.table_name = r.object
    WHERE r.finding = 'missing_table'
    UNION ALL
    SELECT 'replace trigger', split_part(r.object, ' on ', 1) FROM report AS r WHERE r.finding = 'changed_trigger'
    UNION ALL
    SELECT 'create index', r.object FROM report AS r WHERE r.severity = 'change' AND r.plan LIKE 'create index, at once%'
    UNION ALL
    SELECT 'create index', c.index_name FROM report AS r JOIN pgtap_beside.gravity_memory_index_catalogue() AS c ON c.table_name = r.object
    WHERE r.finding = 'missing_table' AND c.index_name !~ 'embedding'
    UNION ALL
    SELECT 'drop index', r.object FROM report AS r WHERE r.plan LIKE 'drop index:%'
    UNION ALL
    SELECT 'derive rows', r.object FROM report AS r WHERE r.plan LIKE 'derive rows, at once%'
    UNION ALL
    SELECT 'schedule job', r.object FROM report AS r WHERE r.finding = 'missing_job';
END
$look$;

-- mend(): runs the remedies of what blocks, then has setup do its work in the schema; returns what it did.
CREATE FUNCTION pg_temp.mend() RETURNS SETOF text
LANGUAGE plpgsql
AS $mend$
DECLARE
    v_remedy text;
BEGIN
    FOR v_remedy IN SELECT r.remedy FROM report AS r WHERE r.severity = 'blocks' AND r.remedy IS NOT NULL LOOP
        EXECUTE replace(v_remedy, ' CONCURRENTLY', '');
    END LOOP;
    PERFORM pg_temp.look();
    DROP EXTENSION gravity_memory;
    CREATE EXTENSION gravity_memory SCHEMA pgtap_looked_at;
    RETURN QUERY SELECT s.action || ' ' || s.object FROM pgtap_looked_at.gravity_memory_setup() AS s
    WHERE s.action NOT IN ('bind function', 'change owner');
END
$mend$;

-- The functions alone.

CREATE SCHEMA pgtap_beside;
CREATE TEMPORARY TABLE relations_before ON COMMIT DROP AS SELECT c.oid FROM pg_class AS c;
CREATE TEMPORARY TABLE triggers_before ON COMMIT DROP AS SELECT t.oid FROM pg_trigger AS t;
CREATE EXTENSION gravity_memory SCHEMA pgtap_beside;
SELECT is_empty($$SELECT c.oid::regclass FROM pg_class AS c WHERE c.oid NOT IN (SELECT b.oid FROM relations_before AS b)
                  AND c.relnamespace <> 'pg_toast'::regnamespace AND c.relpersistence <> 't'$$,
                'with gravity_memory.setup = off, CREATE EXTENSION makes no table, index or sequence');
SELECT is_empty('SELECT t.tgname FROM pg_trigger AS t WHERE t.oid NOT IN (SELECT b.oid FROM triggers_before AS b)', 'and no trigger');
SELECT is(pg_temp.error_of('DROP EXTENSION gravity_memory')::text, '(,,,)', 'so that the extension can be dropped at once');
SELECT is_empty($$SELECT p.oid::regprocedure FROM pg_proc AS p WHERE p.pronamespace = 'pgtap_beside'::regnamespace$$, 'and leaves no function behind');
SELECT results_eq(
    format($$SELECT e.state, e.message, e.hint FROM pg_temp.error_of('SET LOCAL gravity_memory.setup = %s; CREATE EXTENSION gravity_memory SCHEMA pgtap_beside') AS e$$, v.value),
    $$VALUES ('22023', 'gravity_memory.setup must be on or off, not ''maybe''',
              'RESET gravity_memory.setup; or SET gravity_memory.setup = off for the functions alone, without tables and triggers.')$$,
    'any other value is an error that says what to do')
FROM (VALUES ('maybe')) AS v (value);
SELECT is((pg_temp.error_of($$SELECT set_config('gravity_memory.setup', v, true) FROM unnest('{" OFF ",Off}'::text[]) AS v;
                             CREATE EXTENSION gravity_memory SCHEMA pgtap_beside; DROP EXTENSION gravity_memory$$)).message, NULL,
          'off may be written in capitals and with blanks, and leaves nothing that would keep the extension from being dropped');
SET LOCAL gravity_memory.setup = '';
CREATE EXTENSION gravity_memory SCHEMA pgtap_beside;
SELECT has_table('pgtap_beside', 'gravity_map', 'an empty value is none: setup runs');
SET LOCAL gravity_memory.setup = off;
SELECT is_empty($$SELECT * FROM pgtap_beside.gravity_memory_adoption_report() AS r WHERE r.severity <> 'note' AND r.finding <> 'missing_job'$$,
                'where setup has run, the report has nothing but notes');
SELECT is_empty('SELECT * FROM pgtap_beside.gravity_memory_setup() AS s WHERE s.action <> ''schedule job''', 'as a second setup has nothing to do');
DROP EXTENSION gravity_memory CASCADE;
DROP SCHEMA pgtap_beside CASCADE;

-- An empty schema, and none.

SELECT pg_temp.arrange('') IS NULL AS ignored \gset
SELECT pg_temp.look() IS NULL AS ignored \gset
SELECT bag_eq($$SELECT r.object FROM report AS r WHERE r.severity <> 'note' AND r.finding <> 'missing_job'$$,
              'SELECT t.table_name FROM pgtap_beside._gravity_memory_table_catalogue() AS t', 'in an empty schema, setup would create every table, and nothing else is to say');
SELECT bag_eq('SELECT DISTINCT r.lock FROM report AS r', ARRAY['none'], 'which locks nothing');
SELECT bag_eq('SELECT p.action || '' '' || p.object FROM planned AS p', 'SELECT pg_temp.mend()', 'and so it does');
SELECT results_eq($$SELECT e.state, e.message FROM pg_temp.error_of('SELECT * FROM gravity_memory_adoption_report(''nowhere'')') AS e$$,
                  $$VALUES ('3F000', 'there is no schema ''nowhere''')$$, 'a schema that does not exist is an error');
SELECT matches((pg_temp.error_of('SELECT * FROM gravity_memory_adoption_report(''nowhere'')')).hint, 'pgtap_looked_at',
               'whose hint names the schemas that have such tables');

-- The specification's SQL, applied by hand.

SELECT pg_temp.arrange('') IS NULL AS ignored \gset
\ir ../adoption/specification_tables.sql
\ir ../adoption/specification_triggers.sql
INSERT INTO gravity_map (user_id, content, gravity_score, emotion_type, embedding)
SELECT 'ana', 'I remember ' || i, 0.9, 'joy', '[1,2,3,4,5,6,7,8]' FROM generate_series(1, 40) AS i;
\ir ../adoption/specification_indexes.sql
DROP INDEX idx_gravity_map_emotion;
CREATE INDEX own_emotion ON gravity_map USING btree (user_id, emotion_type) WITH (fillfactor = 80) WHERE emotion_type IS NOT NULL;
ALTER INDEX idx_gravity_map_tags RENAME TO own_tags;
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_gravity_map_temporal'::regclass;
DROP INDEX idx_gravity_map_user_id;
CREATE INDEX idx_gravity_map_user_id ON gravity_map (user_id, id);
CREATE INDEX idx_gravity_map_user_session ON gravity_map (user_id, session_id, created_at DESC) WHERE session_id IS NOT NULL;
CREATE FUNCTION match_memories(query vector) RETURNS SETOF gravity_map LANGUAGE sql AS 'SELECT * FROM gravity_map ORDER BY embedding <=> query LIMIT 10';
CREATE VIEW own_view AS SELECT m.id FROM match_memories('[1,2,3,4,5,6,7,8]') AS m;
CREATE FUNCTION own_notify() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_notify(''memory_created'', NEW.id::text); RETURN NEW; END';
CREATE TRIGGER own_notify AFTER INSERT ON gravity_map FOR EACH ROW EXECUTE FUNCTION own_notify();
CREATE TRIGGER own_arcs AFTER INSERT ON gravity_map FOR EACH ROW EXECUTE FUNCTION trigger_arc_building();
CREATE FUNCTION own_touch() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER own_touch BEFORE UPDATE ON gravity_map FOR EACH ROW EXECUTE FUNCTION own_touch();
ALTER TABLE gravity_map DISABLE TRIGGER own_touch;
CREATE TEMPORARY TABLE triggers_by_hand ON COMMIT DROP AS SELECT t.oid, t.tgname FROM pg_trigger AS t WHERE t.tgrelid = 'gravity_map'::regclass;
CREATE TEMPORARY TABLE arcs_by_hand ON COMMIT DROP AS SELECT to_jsonb(a) AS arc FROM memory_arcs AS a;
SELECT pg_temp.look() IS NULL AS ignored \gset

SELECT results_eq(
    $$SELECT r.finding, r.object, split_part(r.present, '; ', 2), r.remedy FROM report AS r WHERE r.severity = 'blocks' AND r.object <> 'x' ORDER BY r.object$$,
    $$SELECT 'function_by_hand', 'pgtap_looked_at.' || v.f || '(' || v.a || ')', v.d, 'ALTER ROUTINE pgtap_looked_at.' || v.f || '(' || v.a || ') RENAME TO ' || v.f || '_by_hand'
      FROM (VALUES ('auto_tag_high_gravity', '', 'as in the specification'), ('cleanup_old_cache', '', 'as in the specification'),
                   ('match_memories', format_type((SELECT t.oid FROM pg_type AS t JOIN pg_extension AS e ON e.extnamespace = t.typnamespace AND e.extname = 'vector'
                                                   WHERE t.typname = 'vector'), NULL), 'not the specification''s'),
                   ('notify_memory_created', '', 'as in the specification'), ('trigger_arc_building', '', 'as in the specification')) AS v (f, a, d)
      WHERE v.f <> 'match_memories'
      UNION ALL
      SELECT 'function_by_hand', r.object, 'not the specification''s', 'ALTER ROUTINE ' || r.object || ' RENAME TO match_memories_by_hand'
      FROM report AS r WHERE r.object ~ 'match_memories'
      ORDER BY 2$$,
    'functions made by hand block, are known as the specification''s or not, and can be renamed');
SELECT results_eq(
    $$SELECT r.object ~ 'match', r.present ~ 'EXECUTE granted to PUBLIC', r.present ~ 'used by .*own_view', r.present ~ 'used by trigger trigger_notify_memory_created on table'
      FROM report AS r WHERE r.object ~ 'match|notify_memory_created\(' ORDER BY 1$$,
    'VALUES (false, true, false, true), (true, true, true, false)', 'with who may execute them and what uses them');
SELECT bag_eq($$SELECT r.object FROM report AS r WHERE r.finding = 'changed_trigger'$$,
              ARRAY['trigger_auto_tag_high_gravity on gravity_map', 'trigger_notify_memory_created on gravity_map', 'trigger_arc_building on gravity_map'],
              'triggers of our names would be replaced');
SELECT results_eq(
    $$SELECT r.severity, r.finding, r.object, substring(r.plan FROM 'to announce on our channels|to make arcs'), r.remedy, r.present ~ 'switched off' FROM report AS r
      WHERE r.finding IN ('own_trigger', 'doubled_trigger') ORDER BY r.object$$,
    $$VALUES ('note', 'doubled_trigger', 'own_arcs on gravity_map', 'to make arcs', 'DROP TRIGGER own_arcs ON pgtap_looked_at.gravity_map', false),
             ('note', 'doubled_trigger', 'own_notify on gravity_map', 'to announce on our channels', 'DROP TRIGGER own_notify ON pgtap_looked_at.gravity_map', false),
             ('note', 'own_trigger', 'own_touch on gravity_map', NULL, NULL, true)$$,
    'those of other names stay, and what they do once more than it should be done is said');
SELECT results_eq($$SELECT r.finding, r.object, r.remedy FROM report AS r WHERE r.finding IN ('same_index', 'changed_index', 'invalid_index') ORDER BY r.object$$,
    $$VALUES ('same_index', 'idx_gravity_map_emotion', 'ALTER INDEX pgtap_looked_at.own_emotion RENAME TO idx_gravity_map_emotion'),
             ('same_index', 'idx_gravity_map_tags', 'ALTER INDEX pgtap_looked_at.own_tags RENAME TO idx_gravity_map_tags'),
             ('invalid_index', 'idx_gravity_map_temporal', NULL),
             ('changed_index', 'idx_gravity_map_user_id', 'DROP INDEX CONCURRENTLY pgtap_looked_at.idx_gravity_map_user_id')$$,
    'indexes that serve the same under another name, serve something else under ours, or nobody, are told apart');
SELECT bag_eq($$SELECT r.object FROM report AS r WHERE r.finding = 'unsuitable_index'$$, ARRAY['idx_gravity_map_embedding_cosine', 'idx_gravity_map_embedding_l2', 'idx_gravity_map_user_session'],
              'the indexes on embedding, trained on too few rows, would be dropped, and one of an earlier version');
SELECT is((SELECT count(*) FROM report AS r WHERE r.finding = 'table' AND r.present ~ '^A table, (about \d+ rows|never analyzed), .* owner '), 6::bigint, 'six tables are found, with size and owner');
SELECT results_eq($$SELECT r.present, r.plan FROM report AS r WHERE r.finding = 'rows_to_derive'$$,
                  $$VALUES ('40 memories, of which nothing is derived.', 'derive rows, at once')$$, 'memories that recall does not know yet are counted');

-- Somebody who reads the report may do as it says: indexes first, then what blocks, then setup.
ALTER INDEX own_emotion RENAME TO idx_gravity_map_emotion;
ALTER INDEX own_tags RENAME TO idx_gravity_map_tags;
CREATE TEMPORARY TABLE done ON COMMIT DROP AS SELECT m AS line FROM pg_temp.mend() AS m;
SELECT is((SELECT count(*) FROM done), (SELECT count(*) FROM planned), 'setup then does as many things as the report said');
SELECT bag_eq('SELECT d.line FROM done AS d', 'SELECT p.action || '' '' || p.object FROM planned AS p', 'and exactly those');
SELECT has_view('pgtap_looked_at', 'own_view', 'a view over a function made by hand is still there');
SELECT bag_eq('SELECT to_jsonb(a) - ARRAY[''emotion_type'', ''memory_count'', ''peak_gravity'', ''growth_vector'', ''first_memory_at'', ''last_memory_at'', ''updated_at''] FROM memory_arcs AS a',
              'SELECT a.arc FROM arcs_by_hand AS a', 'the arcs made by hand are the same');
DROP TRIGGER own_notify ON gravity_map;
DROP TRIGGER own_arcs ON gravity_map;
DROP VIEW own_view;
SELECT is((pg_temp.error_of('DROP ROUTINE auto_tag_high_gravity_by_hand, notify_memory_created_by_hand, trigger_arc_building_by_hand,
                             cleanup_old_cache_by_hand, match_memories_by_hand')).message, NULL, 'and nothing needs the renamed functions any more');
INSERT INTO gravity_map (user_id, content, gravity_score, emotion_type) VALUES ('ana', 'Tomorrow', 0.9, 'joy');
SELECT results_eq($$SELECT m.meta_tags, m.temporal_type FROM gravity_map AS m WHERE m.content = 'Tomorrow'$$, $$VALUES ('{high_gravity}'::text[], 'future')$$, 'memories are tagged once');
SELECT results_eq('SELECT count(DISTINCT a.arc_id), count(*) FROM memory_arc_associations AS a', $$VALUES (1::bigint, 41::bigint)$$,
                  'and join the arc that was made by hand, with those two that the specification''s trigger left out: there is no second arc');
SET CONSTRAINTS ALL IMMEDIATE;

-- The live application's tables.

SELECT pg_temp.arrange($script$
    CREATE TABLE owners (id text PRIMARY KEY);
    INSERT INTO owners VALUES ('ana');
    CREATE TABLE gravity_map (id uuid, user_id text REFERENCES owners (id), emotion text, entities jsonb, embedding vector, own integer,
                              gravity_score numeric, created_at timestamp, identity_anchor boolean GENERATED ALWAYS AS (true) STORED);
    CREATE TABLE memory_arcs (arc_id uuid PRIMARY KEY DEFAULT gen_random_uuid(), peak_gravity double precision NOT NULL, user_id text NOT NULL, arc_name text NOT NULL, emotion_type text, evolution_stage text, project text NOT NULL);
    CREATE TABLE memory_arc_associations (memory_id uuid, arc_id uuid REFERENCES memory_arcs (arc_id));
    CREATE VIEW pattern_matrix AS SELECT 1 AS id;
    CREATE TABLE idx_gravity_map_tags (own integer);
    INSERT INTO gravity_map (id, user_id, entities, embedding, gravity_score, created_at)
    SELECT md5((i / 2 * 2)::text)::uuid, CASE WHEN i % 4 > 0 THEN 'ana' END, CASE WHEN i % 3 = 0 THEN '{"a": 1}' WHEN i % 3 = 1 THEN '[1]' ELSE '["Blu"]' END::jsonb,
           CASE WHEN i % 2 = 0 THEN '[1,2,3]' ELSE '[1,2]' END::vector, i / 5.0, now()::timestamp FROM generate_series(0, 11) AS i;
    INSERT INTO memory_arcs SELECT gen_random_uuid(), 0, 'ana', 'joy arc (auto-created)', 'joy', 'forming', 'p' FROM generate_series(1, 3);
    ALTER TABLE gravity_map ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own_rows ON gravity_map FOR SELECT USING (user_id = current_user);
    CREATE PUBLICATION pgtap_some FOR TABLE gravity_map, memory_arcs;
    CREATE PUBLICATION pgtap_schema FOR TABLES IN SCHEMA pgtap_looked_at;
    CREATE PUBLICATION pgtap_all FOR ALL TABLES;
    CREATE PUBLICATION pgtap_other FOR TABLE pgtap_looked_at.owners;
$script$) IS NULL AS ignored \gset
SELECT pg_temp.look() IS NULL AS ignored \gset
SELECT results_eq(
    $$SELECT r.finding, r.object, r.remedy FROM report AS r WHERE r.severity = 'blocks' AND r.finding <> 'twin_arcs' ORDER BY r.finding, r.object COLLATE "C"$$,
    format($$VALUES ('duplicate_keys', 'gravity_map.id', NULL),
             ('table_mismatch', 'gravity_map.created_at', 'ALTER TABLE pgtap_looked_at.gravity_map ALTER COLUMN created_at TYPE timestamp with time zone'),
             ('table_mismatch', 'gravity_map.embedding', 'ALTER TABLE pgtap_looked_at.gravity_map ALTER COLUMN embedding TYPE %1$s.vector(1536)'),
             ('table_mismatch', 'gravity_map.entities', 'ALTER TABLE pgtap_looked_at.gravity_map RENAME COLUMN entities TO entities_before'),
             ('table_mismatch', 'gravity_map.id', 'CREATE UNIQUE INDEX CONCURRENTLY ON pgtap_looked_at.gravity_map (id)'),
             ('table_mismatch', 'gravity_map.identity_anchor', 'ALTER TABLE pgtap_looked_at.gravity_map ALTER COLUMN identity_anchor DROP EXPRESSION'),
             ('table_mismatch', 'idx_gravity_map_tags', 'ALTER TABLE pgtap_looked_at.idx_gravity_map_tags RENAME TO idx_gravity_map_tags_before'),
             ('table_mismatch', 'memory_arc_associations.memory_arc_associations_arc_id_fkey',
              'ALTER TABLE pgtap_looked_at.memory_arc_associations DROP CONSTRAINT memory_arc_associations_arc_id_fkey, ADD CONSTRAINT '
              'memory_arc_associations_arc_id_fkey FOREIGN KEY (arc_id) REFERENCES pgtap_looked_at.memory_arcs (arc_id) ON DELETE CASCADE NOT VALID'),
             ('table_mismatch', 'memory_arcs.id', 'ALTER TABLE pgtap_looked_at.memory_arcs RENAME COLUMN arc_id TO id'),
             ('table_mismatch', 'memory_arcs.project', 'ALTER TABLE pgtap_looked_at.memory_arcs ALTER COLUMN project DROP NOT NULL'),
             ('table_mismatch', 'pattern_matrix', 'ALTER TABLE pgtap_looked_at.pattern_matrix RENAME TO pattern_matrix_before')$$,
           (SELECT quote_ident(n.nspname) FROM pg_extension AS x JOIN pg_namespace AS n ON n.oid = x.extnamespace WHERE x.extname = 'vector')),
    'all that blocks is listed at once, each with the statement that mends it and loses no value');
SELECT results_eq($$SELECT r.object, r.lock LIKE 'ACCESS EXCLUSIVE while the table is rewritten (%)' FROM report AS r
                    WHERE r.finding = 'table_mismatch' AND r.object ~ '^gravity_map\.(created_at|entities)' ORDER BY 1$$,
                  $$VALUES ('gravity_map.created_at', true), ('gravity_map.entities', false)$$, 'and what it locks: a rename takes a moment, a conversion rewrites the table');
SELECT results_eq($$SELECT r.finding, r.object, r.present FROM report AS r
                    WHERE r.finding IN ('gravity_out_of_range', 'no_user', 'entities_json', 'embedding_lengths', 'twin_arcs', 'duplicate_keys') ORDER BY 1$$,
    $$VALUES ('duplicate_keys', 'gravity_map.id', '6 rows have no id, or one that another row has.'),
             ('embedding_lengths', 'gravity_map.embedding', '12 embeddings looked at have from 2 to 3 dimensions.'),
             ('entities_json', 'gravity_map.entities', '8 of 12 values looked at are not arrays of strings.'),
             ('gravity_out_of_range', 'gravity_map.gravity_score', '6 of 12 rows looked at have a gravity below 0, above 1 or NaN.'),
             ('no_user', 'gravity_map.user_id', '3 of 12 rows looked at have none.'),
             ('twin_arcs', 'memory_arcs', '2 open automatic arcs have a twin of the same user and emotion.')$$,
    'rows that break a rule are counted');
SELECT results_eq($$SELECT r.finding, r.object, r.present FROM report AS r WHERE r.finding IN ('row_security', 'publication', 'foreign_key', 'no_foreign_key', 'other_name', 'no_default')
                    ORDER BY 1, 2, 3$$,
    $$VALUES ('foreign_key', 'gravity_map_user_id_fkey on pgtap_looked_at.gravity_map', 'FOREIGN KEY (user_id) REFERENCES pgtap_looked_at.owners(id).'),
             ('no_default', 'memory_arcs.peak_gravity', 'It is NOT NULL and has no default.'),
             ('no_foreign_key', 'memory_arc_associations', 'No foreign key refers to gravity_map.'),
             ('other_name', 'gravity_map.emotion', 'There is no column emotion_type, and one emotion.'),
             ('publication', 'pgtap_all', 'Publishes all tables.'),
             ('publication', 'pgtap_schema', 'Publishes all tables of the schema pgtap_looked_at.'),
             ('publication', 'pgtap_some', 'Publishes gravity_map, memory_arcs.'),
             ('row_security', 'gravity_map', 'Row security is on; policies: own_rows (SELECT, PUBLIC).')$$,
    'what hangs on the tables is named: policies, publications, foreign keys');
SELECT matches((SELECT r.present FROM report AS r WHERE r.finding = 'table' AND r.object = 'gravity_map'), 'with columns of its own: emotion, own\.$',
               'and so are the columns of the application''s own');
-- The statements run as they stand.
DROP PUBLICATION pgtap_some, pgtap_schema, pgtap_all;
DELETE FROM gravity_map AS m WHERE m.ctid <> (SELECT min(o.ctid) FROM gravity_map AS o WHERE o.id = m.id);
UPDATE gravity_map SET embedding = NULL;
SELECT bag_eq('SELECT pg_temp.mend()', $$SELECT p.action || ' ' || p.object FROM planned AS p$$, 'after all remedies setup does what the report said');
SELECT results_eq('SELECT count(*), count(entities_before), count(embedding) FROM gravity_map', $$VALUES (6::bigint, 6::bigint, 0::bigint)$$, 'and every value is there');
SELECT results_eq('SELECT a.evolution_stage, count(*) FROM memory_arcs AS a GROUP BY 1 ORDER BY 1', $$VALUES ('dormant', 2::bigint), ('forming', 1)$$, 'of the twins one is open');

-- Large tables, as the settings of an earlier installation have it.

SELECT pg_temp.arrange($script$
    CREATE TABLE gravity_memory_settings (name text PRIMARY KEY, value text NOT NULL);
    INSERT INTO gravity_memory_settings VALUES ('setup_index_limit', '1'), ('embedding_index_min_rows', '20');
    CREATE TABLE gravity_map (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_id text NOT NULL, content text, embedding vector(3)) PARTITION BY HASH (id);
    CREATE TABLE gravity_map_0 PARTITION OF gravity_map FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE gravity_map_1 PARTITION OF gravity_map FOR VALUES WITH (MODULUS 2, REMAINDER 1);
    ALTER TABLE gravity_map_0 ALTER content SET STORAGE EXTERNAL;
    ALTER TABLE gravity_map_1 ALTER content SET STORAGE EXTERNAL;
    INSERT INTO gravity_map (user_id, content, embedding) SELECT 'ana', repeat('x', 50000), '[1,2,3]' FROM generate_series(1, 30);
    CREATE INDEX idx_gravity_map_embedding_l2 ON gravity_map USING ivfflat (embedding) WITH (lists = 10);
    CREATE INDEX own_cosine ON gravity_map USING hnsw (embedding vector_cosine_ops);
    CREATE FUNCTION own_trigger() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TABLE memory_digests (user_id text NOT NULL, memory_id uuid NOT NULL, length integer NOT NULL, signature bit varying, term_keys bigint[] NOT NULL);
    CREATE TRIGGER own_trigger BEFORE INSERT ON memory_digests FOR EACH ROW EXECUTE FUNCTION own_trigger();
    ALTER TABLE gravity_map ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY
$script$) IS NULL AS ignored \gset
SELECT pg_temp.look() IS NULL AS ignored \gset
SELECT is_empty($$SELECT r.object FROM report AS r WHERE r.plan ~ '(create index|derive rows|drop index), at once'
                  AND r.object <> 'idx_memory_digests_length'$$,
                'above setup_index_limit, nothing is built while writers wait');
SELECT results_eq($$SELECT r.finding, r.severity, r.object, r.remedy FROM report AS r WHERE r.finding IN ('foreign_trigger', 'partitioned', 'embedding_index', 'embedding_dimensions')
                    OR (r.finding = 'missing_index' AND r.object ~ 'embedding') ORDER BY r.finding, r.object$$,
    $$VALUES ('embedding_dimensions', 'note', 'gravity_map.embedding', NULL),
             ('embedding_index', 'note', 'idx_gravity_map_embedding_l2',
              'COMMENT ON INDEX pgtap_looked_at.idx_gravity_map_embedding_l2 IS ''gravity_memory: train again'''),
             ('embedding_index', 'note', 'own_cosine', 'ALTER INDEX pgtap_looked_at.own_cosine RENAME TO idx_gravity_map_embedding_cosine'),
             ('foreign_trigger', 'blocks', 'own_trigger on memory_digests', 'DROP TRIGGER own_trigger ON pgtap_looked_at.memory_digests'),
             ('missing_index', 'change', 'idx_gravity_map_embedding_cosine', NULL),
             ('partitioned', 'note', 'gravity_map', NULL)$$,
    'partitions, indexes on embedding and triggers on what is derived are told');
SELECT bag_eq('SELECT pg_temp.mend()', $$SELECT p.action || ' ' || p.object FROM planned AS p$$, 'and setup leaves to the owner what the report said it would');

-- Rights.

SELECT pg_temp.arrange($script$
    CREATE TABLE gravity_map (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_id text NOT NULL, gravity_score double precision);
    INSERT INTO gravity_map (user_id, gravity_score) VALUES ('ana', 'NaN')
$script$) IS NULL AS ignored \gset
CREATE ROLE gravity_memory_pgtap_reader;
GRANT USAGE ON SCHEMA pgtap_beside, pgtap_looked_at TO gravity_memory_pgtap_reader;
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_reader', 'SELECT pgtap_beside.gravity_memory_adoption_report(''pgtap_looked_at'')')).state, '42501',
          'the report is for those who are granted it');
SELECT count(pg_temp.error_of(format('GRANT EXECUTE ON FUNCTION %s TO gravity_memory_pgtap_reader', p.oid::regprocedure))) AS ignored
FROM pg_proc AS p WHERE p.pronamespace = 'pgtap_beside'::regnamespace AND p.proname ~ 'adoption|settings_in' \gset
SELECT bag_eq(
    $$SELECT a FROM unnest(pg_temp.answer_as('gravity_memory_pgtap_reader',
          'SELECT r.finding || '' '' || r.object FROM pgtap_beside.gravity_memory_adoption_report(''pgtap_looked_at'') AS r
           WHERE r.severity = ''blocks'' OR r.finding = ''not_looked_at'' AND r.object <> ''cron.job''')) AS a$$,
    ARRAY['no_create pgtap_looked_at', 'other_owner gravity_map', 'not_looked_at gravity_map'],
    'who may not alter the tables is told so, and reads nothing that is not granted');
SELECT pg_temp.arrange($script$
    CREATE FUNCTION own_error() RETURNS text LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''code of the view was run''; END';
    CREATE VIEW gravity_map AS SELECT gen_random_uuid() AS id, own_error() AS user_id, 1.5::double precision AS gravity_score, NULL::vector AS embedding;
    CREATE VIEW memory_arcs AS SELECT gen_random_uuid() AS id, own_error() AS user_id, 'a' AS arc_name, 'a' AS emotion_type, 'forming' AS evolution_stage;
    CREATE VIEW gravity_memory_settings AS SELECT own_error() AS name, 'a'::text AS value
$script$) IS NULL AS ignored \gset
SELECT is((pg_temp.error_of('SELECT pg_temp.look()')).message, NULL, 'a view is reported, and its code is not run');
SELECT bag_eq($$SELECT r.object, r.remedy FROM report AS r WHERE r.severity = 'blocks'$$,
              $$SELECT v, format('ALTER TABLE pgtap_looked_at.%I RENAME TO %I', v, v || '_before') FROM unnest('{gravity_map,memory_arcs,gravity_memory_settings}'::text[]) AS v$$,
              'and can be renamed away');

SELECT * FROM finish();
ROLLBACK;
