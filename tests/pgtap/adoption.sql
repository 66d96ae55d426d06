-- Adoption: CREATE EXTENSION and setup over tables that the application made before.
BEGIN;
\ir support/session.psql
SELECT plan(77);

-- Each case has a schema of its own, so that the tables of this database stay where they are.
DROP EXTENSION gravity_memory CASCADE;
SELECT current_setting('search_path') AS base_path \gset

-- adopt(): CREATE EXTENSION in a new schema over the tables that a script creates there.
CREATE FUNCTION pg_temp.adopt(p_script text) RETURNS void
LANGUAGE plpgsql
AS $adopt$
BEGIN
    DROP EXTENSION IF EXISTS gravity_memory CASCADE;
    DROP SCHEMA IF EXISTS pgtap_adopted CASCADE;
    CREATE SCHEMA pgtap_adopted;
    PERFORM set_config('search_path', 'pgtap_adopted, ' || current_setting('search_path'), true)
    WHERE current_setting('search_path') NOT LIKE 'pgtap_adopted,%';
    EXECUTE p_script;
    CREATE EXTENSION gravity_memory SCHEMA pgtap_adopted;
END
$adopt$;

-- A live application's tables: older columns, other names, columns of its own, rows.
SELECT pg_temp.adopt($script$
    CREATE TABLE gravity_map (
        own_first integer GENERATED ALWAYS AS IDENTITY,
        id uuid PRIMARY KEY,
        user_id varchar(100) NOT NULL,
        thread_id uuid,
        content varchar,
        gravity_score numeric(4, 3),
        emotion text DEFAULT 'joy',
        meta_tags text[],
        created_at timestamptz DEFAULT now(),
        own_last jsonb NOT NULL DEFAULT '{"kept": true}'
    );
    CREATE INDEX idx_gravity_map_user_id ON gravity_map (user_id, created_at);
    CREATE TABLE memory_arcs (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_id text NOT NULL, arc_name text NOT NULL, memory_count bigint,
                              own integer NOT NULL DEFAULT 7);
    CREATE TABLE consciousness_cache (id uuid PRIMARY KEY, response text);
    CREATE TABLE unrelated (id integer);
    INSERT INTO gravity_map (id, user_id, thread_id, content, gravity_score, meta_tags, created_at)
    SELECT md5(i::text)::uuid, 'user ' || i % 3, md5('t')::uuid, 'I remember ' || i, i / 100.0, NULL, timestamptz '2024-01-01 UTC' + i * interval '1 hour'
    FROM generate_series(1, 100) AS i;
    INSERT INTO memory_arcs (user_id, arc_name) VALUES ('user 1', 'by hand');
    INSERT INTO consciousness_cache (id, response) SELECT md5(i::text)::uuid, 'r' FROM generate_series(1, 10) AS i;
    CREATE TEMPORARY TABLE before_adoption ON COMMIT DROP AS
    SELECT 'gravity_map' AS t, ctid AS place, xmin::text AS version, xmax::text AS locked, to_jsonb(m) AS j FROM gravity_map AS m
    UNION ALL SELECT 'memory_arcs', ctid, xmin::text, xmax::text, to_jsonb(a) FROM memory_arcs AS a
    UNION ALL SELECT 'consciousness_cache', ctid, xmin::text, xmax::text, to_jsonb(c) FROM consciousness_cache AS c;
    CREATE TEMPORARY TABLE filenodes ON COMMIT DROP AS
    SELECT c.oid, c.relfilenode FROM pg_class AS c WHERE c.relnamespace = 'pgtap_adopted'::regnamespace;
$script$) IS NULL AS ignored \gset
CREATE TEMPORARY VIEW after_adoption AS
SELECT 'gravity_map' AS t, ctid AS place, xmin::text AS version, xmax::text AS locked, to_jsonb(m) AS j FROM pgtap_adopted.gravity_map AS m
UNION ALL SELECT 'memory_arcs', ctid, xmin::text, xmax::text, to_jsonb(a) FROM pgtap_adopted.memory_arcs AS a
UNION ALL SELECT 'consciousness_cache', ctid, xmin::text, xmax::text, to_jsonb(c) FROM pgtap_adopted.consciousness_cache AS c;

SELECT is((SELECT count(*) FROM before_adoption), 111::bigint, 'there are rows to adopt');
SELECT is_empty(
    $$SELECT b.t, b.place, b.j FROM before_adoption AS b
      LEFT JOIN after_adoption AS a ON a.t = b.t AND a.place = b.place AND a.version = b.version AND a.locked = b.locked AND a.j @> b.j
      WHERE a.t IS NULL$$,
    'adoption touches no row: place, version and every value of every row are the same');
SELECT is((SELECT count(*) FROM after_adoption), 111::bigint, 'and adds none');
SELECT is_empty($$SELECT c.oid::regclass FROM filenodes AS f JOIN pg_class AS c ON c.oid = f.oid WHERE c.relfilenode <> f.relfilenode$$,
                'no table is rewritten');
SELECT is_empty('SELECT * FROM pgtap_adopted.gravity_memory_setup()', 'a second setup has nothing to do');
SELECT bag_eq(
    $$SELECT c.relname::text FROM pg_class AS c WHERE c.relnamespace = 'pgtap_adopted'::regnamespace AND c.relkind = 'r'$$,
    ARRAY['gravity_map', 'memory_arcs', 'memory_arc_associations', 'consciousness_cache', 'active_sessions', 'pattern_matrix', 'memory_arc_locks',
          'gravity_memory_settings', 'memory_digests', 'memory_postings', 'memory_recall_gaps', 'memory_events', 'unrelated'],
    'missing tables are created beside the adopted ones');
SELECT bag_eq(
    $$SELECT c.conname::text FROM pg_constraint AS c WHERE c.conrelid = 'pgtap_adopted.gravity_map'::regclass AND c.contype IN ('c', 'p')$$,
    ARRAY['gravity_map_pkey'], 'an adopted table gets no constraint that its owner did not choose');
SELECT columns_are('pgtap_adopted', 'gravity_map',
    ARRAY['own_first', 'id', 'user_id', 'thread_id', 'content', 'gravity_score', 'emotion', 'meta_tags', 'created_at', 'own_last',
          'session_id', 'memory_trace_id', 'summary', 'topic', 'emotion_type', 'entities', 'identity_anchor', 'temporal_type', 'embedding',
          'metadata', 'updated_at'],
    'missing columns are added, and the application''s own stay');
SELECT col_type_is('pgtap_adopted', 'gravity_map', c.name, c.type, format('the column %s keeps its type %s', c.name, c.type))
FROM (VALUES ('thread_id'::name, 'uuid'), ('user_id', 'character varying(100)'), ('gravity_score', 'numeric(4,3)'), ('content', 'character varying'))
     AS c (name, type);
SELECT results_eq(
    $$SELECT DISTINCT m.identity_anchor, m.metadata, m.meta_tags, m.temporal_type FROM pgtap_adopted.gravity_map AS m$$,
    $$VALUES (false, '{}'::jsonb, NULL::text[], NULL::text)$$, 'in old rows, new columns hold their defaults; the past is not tagged');
SELECT is((SELECT c.definition FROM (SELECT pg_get_indexdef('pgtap_adopted.idx_gravity_map_user_id'::regclass) AS definition) AS c),
          'CREATE INDEX idx_gravity_map_user_id ON pgtap_adopted.gravity_map USING btree (user_id, created_at)',
          'an index that the application made under a name of ours stays as it is');
SELECT is_empty('SELECT * FROM pgtap_adopted.gravity_memory_index_ddl()', 'all other indexes are there');
SELECT triggers_are('pgtap_adopted', 'gravity_map',
    ARRAY['trigger_auto_tag_high_gravity', 'trigger_arc_building', 'trigger_arc_building_on_update', 'trigger_arc_building_on_delete',
          'trigger_notify_memory_created', 'trigger_notify_memory_updated', 'trigger_keep_derived', 'trigger_keep_derived_on_update',
          'trigger_keep_derived_on_delete', 'trigger_keep_derived_on_truncate', 'trigger_publish_memories', 'trigger_publish_memories_on_update',
          'trigger_publish_memories_on_delete', 'trigger_break_feed_on_truncate'], 'and all triggers');
SELECT is((SELECT count(*) FROM pgtap_adopted.memory_digests), 100::bigint, 'what recall reads is derived from the adopted memories');
SELECT is((SELECT array_agg(r.content) FROM pgtap_adopted.recall_memories('user 1', 'remembering 7') AS r WHERE r.bm25 > 1), '{"I remember 7"}'::text[],
          'so they are found');

-- It works there: numeric gravity, uuid threads, short identifiers, no check on gravity.
INSERT INTO pgtap_adopted.gravity_map (id, user_id, thread_id, content, gravity_score, emotion_type)
SELECT md5('n' || i)::uuid, 'new', md5('t')::uuid, 'Tomorrow', 0.850, 'joy' FROM generate_series(1, 3) AS i;
INSERT INTO pgtap_adopted.gravity_map (id, user_id, content, gravity_score, emotion_type, created_at)
VALUES (md5('below')::uuid, 'below', 'Tomorrow', 0.849, 'joy', NULL), (md5('nan')::uuid, 'nan', 'Tomorrow', 'NaN', 'joy', now());
SELECT results_eq(
    $$SELECT m.user_id::text, m.meta_tags, m.identity_anchor, m.temporal_type, count(*) FROM pgtap_adopted.gravity_map AS m
      WHERE m.user_id IN ('new', 'below', 'nan') GROUP BY 1, 2, 3, 4 ORDER BY 1$$,
    $$VALUES ('below'::text, NULL::text[], false, 'future'::text, 1::bigint), ('nan', NULL, false, 'future', 1), ('new', '{high_gravity}', true, 'future', 3)$$,
    'numeric gravity is tagged from exactly 0.85 on; NaN is not high');
SELECT results_eq(
    $$SELECT a.arc_name, a.gravity_center, a.memory_count, a.own FROM pgtap_adopted.memory_arcs AS a WHERE a.user_id = 'new'$$,
    $$VALUES ('joy arc (auto-created)', 0.85::double precision, 3::bigint, 7)$$, 'memories of numeric gravity form arcs');
INSERT INTO pgtap_adopted.gravity_map (id, user_id, gravity_score, emotion_type)
SELECT md5('nan' || i)::uuid, 'nan arc', 'NaN', 'joy' FROM generate_series(1, 3) AS i;
SELECT is((SELECT count(*) FROM pgtap_adopted.memory_arcs AS a WHERE a.user_id = 'nan arc'), 0::bigint, 'memories of gravity NaN do not');
UPDATE pgtap_adopted.gravity_map SET gravity_score = 0.9, emotion_type = 'joy' WHERE user_id = 'user 1' AND content IN ('I remember 1', 'I remember 4', 'I remember 7');
SELECT results_eq($$SELECT a.memory_count FROM pgtap_adopted.memory_arcs AS a WHERE a.user_id = 'user 1' AND a.emotion_type = 'joy'$$, ARRAY[3::bigint],
                  'adopted memories join arcs when they are updated');
SELECT is(pgtap_adopted.cleanup_old_cache(), 0::bigint, 'adopted cache entries count as new: their age is not known');
SET CONSTRAINTS ALL IMMEDIATE;
SELECT is((pg_temp.error_of('SELECT pgtap_adopted.gravity_memory_rebuild_arcs(''user 1'')')).message, NULL, 'arcs can be rebuilt there');

SELECT results_eq(
    $$SELECT r.content, r.gravity_score, r.thread_id FROM pgtap_adopted.recall_memories(
          'new', 'tomorrow', p_thread_id => md5('t')::uuid::text, p_min_gravity => 0.85, p_limit => 1) AS r$$,
    $$SELECT 'Tomorrow', 0.85::double precision, md5('t')::uuid::text$$, 'recall filters by numeric gravity and by threads that are uuids');
UPDATE pgtap_adopted.gravity_map SET session_id = 's', embedding = array_fill(0.1, '{1536}')::vector WHERE user_id = 'new';
SELECT results_eq(
    $$SELECT m.content, m.gravity_score, round(m.similarity::numeric, 6)
      FROM pgtap_adopted.match_memories(array_fill(1, '{1536}')::vector, user_id => 'new') AS m$$,
    $$SELECT 'Tomorrow', 0.85::double precision, 1::numeric(7, 6) FROM generate_series(1, 3)$$, 'and they are found by similarity once they have embeddings');

-- double precision without the check constraint: NaN and infinite gravity.
SELECT pg_temp.adopt('CREATE TABLE gravity_map (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_id text NOT NULL, gravity_score double precision)') IS NULL AS ignored \gset
INSERT INTO pgtap_adopted.gravity_map (user_id, gravity_score, emotion_type)
SELECT g::text, g, 'joy' FROM unnest('{NaN,Infinity,-Infinity,-1,1.5}'::double precision[]) AS g CROSS JOIN generate_series(1, 3);
SELECT results_eq(
    $$SELECT DISTINCT m.user_id COLLATE "C", m.meta_tags, m.identity_anchor FROM pgtap_adopted.gravity_map AS m ORDER BY 1$$,
    $$VALUES ('-1' COLLATE "C", '{}'::text[], false), ('-Infinity', '{}', false), ('1.5', '{high_gravity}', true), ('Infinity', '{}', false), ('NaN', '{}', false)$$,
    'where nothing checks gravity, NaN and infinity are not high');
SELECT results_eq('SELECT a.user_id FROM pgtap_adopted.memory_arcs AS a', ARRAY['1.5'], 'and form no arc');
UPDATE pgtap_adopted.gravity_map SET content = 'tulips ' || gravity_score, user_id = 'all', embedding = array_fill(1, '{1536}')::vector;
SELECT is_empty($$SELECT r.content FROM pgtap_adopted.recall_memories('all', 'tulips', p_gravity_weight => 1) AS r WHERE NOT r.score BETWEEN 0 AND 3$$,
                'nor do they make a score of recall infinite or NaN');
SELECT is((SELECT count(*) FROM pgtap_adopted.recall_memories('all', 'tulips', p_limit => 20)), 15::bigint, 'they are found all the same');
SELECT is((SELECT count(*) FROM pgtap_adopted.recall_memories('all', 'tulips', p_limit => 20, p_min_gravity => 0.5)), 3::bigint,
          'and pass no filter on gravity');
SELECT is_empty($$SELECT m.content FROM pgtap_adopted.gravity_weighted_search(array_fill(1, '{1536}')::vector, 'all', match_count => 20) AS m
                  WHERE NOT m.weighted_score < 'Infinity' OR NOT m.weighted_score > '-Infinity'$$, 'nor one of gravity_weighted_search()');
SET CONSTRAINTS ALL IMMEDIATE;

-- A partitioned table.
SELECT pg_temp.adopt($script$
    CREATE TABLE gravity_map (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_id text NOT NULL) PARTITION BY HASH (id);
    CREATE TABLE gravity_map_0 PARTITION OF gravity_map FOR VALUES WITH (MODULUS 2, REMAINDER 0);
    CREATE TABLE gravity_map_1 PARTITION OF gravity_map FOR VALUES WITH (MODULUS 2, REMAINDER 1)
$script$) IS NULL AS ignored \gset
INSERT INTO pgtap_adopted.gravity_map (user_id, content, gravity_score, emotion_type) SELECT 'u', 'yesterday', 0.9, 'joy' FROM generate_series(1, 4);
SELECT results_eq('SELECT DISTINCT m.meta_tags, m.temporal_type FROM pgtap_adopted.gravity_map AS m', $$VALUES ('{high_gravity}'::text[], 'past')$$,
                  'a table partitioned by id is adopted, and its memories are tagged');
SELECT results_eq('SELECT a.arc_name, a.memory_count FROM pgtap_adopted.memory_arcs AS a', $$VALUES ('joy arc (auto-created)', 4)$$, 'and form arcs');
SELECT is_empty('SELECT * FROM pgtap_adopted.gravity_memory_setup()', 'a second setup has nothing to do there either');
SELECT is((SELECT count(*) FROM pgtap_adopted.recall_memories('u', 'yesterday')), 4::bigint, 'and are found by recall');
SET CONSTRAINTS ALL IMMEDIATE;

-- A user that may be missing.
SELECT pg_temp.adopt('CREATE TABLE gravity_map (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_id text)') IS NULL AS ignored \gset
INSERT INTO pgtap_adopted.gravity_map (user_id, gravity_score, emotion_type)
SELECT u, 0.9, 'joy' FROM unnest('{known,NULL}'::text[]) AS u CROSS JOIN generate_series(1, 3);
SELECT is((SELECT count(*) FROM pgtap_adopted.gravity_map AS m WHERE m.meta_tags = '{high_gravity}'), 6::bigint,
          'memories without a user, where the application allows them, are stored and tagged');
SELECT results_eq('SELECT a.user_id FROM pgtap_adopted.memory_arcs AS a', ARRAY['known'], 'and do not keep others from forming arcs');
SELECT results_eq('SELECT DISTINCT d.user_id FROM pgtap_adopted.memory_digests AS d', ARRAY['known'], 'nor from being derived');
UPDATE pgtap_adopted.gravity_map SET user_id = CASE WHEN user_id IS NULL THEN 'found' END;
SELECT results_eq('SELECT d.user_id, count(*) FROM pgtap_adopted.memory_digests AS d GROUP BY 1', $$VALUES ('found', 3::bigint)$$,
                  'a memory that gets a user is derived, one that loses its user is forgotten');
SELECT is_empty('SELECT FROM pgtap_adopted.memory_recall_gaps', 'and nothing is left to mend');
SET CONSTRAINTS ALL IMMEDIATE;

-- Tables of another owner.
CREATE ROLE gravity_memory_pgtap_app;
SELECT is((pg_temp.error_of($$SELECT pg_temp.adopt($script$
    GRANT USAGE, CREATE ON SCHEMA pgtap_adopted TO gravity_memory_pgtap_app;
    CREATE TABLE gravity_map (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_id text NOT NULL);
    ALTER TABLE gravity_map OWNER TO gravity_memory_pgtap_app$script$)$$)).message, NULL,
    'a superuser can install over tables that the application''s role owns');
SELECT is_empty($$SELECT c.relname FROM pg_class AS c WHERE c.relnamespace = 'pgtap_adopted'::regnamespace AND c.relkind = 'r'
                  AND c.relowner <> 'gravity_memory_pgtap_app'::regrole$$, 'the new tables belong to that role, too');
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_app',
    $$INSERT INTO pgtap_adopted.gravity_map (user_id, gravity_score, emotion_type) SELECT 'app', 0.9, 'joy' FROM generate_series(1, 3)$$)).message, NULL,
    'then that role writes memories as before');
SELECT is((SELECT count(*) FROM pgtap_adopted.memory_digests AS d WHERE d.user_id = 'app'), 3::bigint, 'from which is derived what recall reads');
SELECT is((SELECT a.memory_count FROM pgtap_adopted.memory_arcs AS a WHERE a.user_id = 'app'), 3, 'and they form arcs');
SET CONSTRAINTS ALL IMMEDIATE;

-- A table over setup_index_limit: nothing is derived while writers would wait for it.
SELECT pg_temp.adopt($script$
    CREATE TABLE gravity_memory_settings (name text PRIMARY KEY, value text NOT NULL);
    INSERT INTO gravity_memory_settings VALUES ('setup_index_limit', '0');
    CREATE TABLE gravity_map (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_id text NOT NULL, content text);
    INSERT INTO gravity_map (user_id, content) SELECT 'big', 'tulip ' || i FROM generate_series(1, 30) AS i
$script$) IS NULL AS ignored \gset
SELECT is((SELECT count(*) FROM pgtap_adopted.memory_digests), 0::bigint, 'from the memories of a large table nothing is derived at once');
SELECT is((SELECT count(*) FROM pgtap_adopted.recall_memories('big', 'tulips', p_limit => 100)), 30::bigint, 'and recall is complete all the same');
INSERT INTO pgtap_adopted.gravity_map (user_id, content) VALUES ('big', 'tulips again');
SELECT is((SELECT count(*) FROM pgtap_adopted.recall_memories('big', 'tulips', p_limit => 100)), 31::bigint, 'also after more is written, and derived');

-- Refusals. Every mismatch is named, at once, with what to do; nothing is changed.

-- refusal(): the error of adopting what a script creates. The failed attempt takes the script's tables with it.
CREATE FUNCTION pg_temp.refusal(p_script text, OUT state text, OUT message text, OUT detail text, OUT hint text)
LANGUAGE sql
AS $refusal$
    SELECT e.* FROM pg_temp.error_of(format('SELECT pg_temp.adopt(%L)', p_script)) AS e
$refusal$;

SELECT is(e.detail, v.detail, v.description)
FROM (VALUES
    ('CREATE TABLE gravity_map (id uuid PRIMARY KEY, user_id text, entities jsonb)',
     'gravity_map.entities is jsonb, must be text[]: convert it, or rename it away and setup adds an empty entities, then copy the values',
     'entities jsonb is refused'),
    ('CREATE TABLE gravity_map (id integer PRIMARY KEY, user_id text)',
     'gravity_map.id is integer, must be uuid: convert it, or rename it away and setup adds an empty id, then copy the values',
     'an integer id is refused'),
    ('CREATE TABLE gravity_map (id uuid PRIMARY KEY, user_id uuid)',
     'gravity_map.user_id is uuid, must be text: convert it, or rename it away and setup adds an empty user_id, then copy the values',
     'a uuid user_id is refused'),
    ('CREATE TABLE gravity_map (id uuid PRIMARY KEY, user_id text, created_at timestamp)',
     'gravity_map.created_at is timestamp without time zone, must be timestamp with time zone: convert it, or rename it away and setup adds an '
     'empty created_at, then copy the values', 'a timestamp without time zone is refused'),
    ('CREATE TABLE gravity_map (id uuid PRIMARY KEY, user_id text, gravity_score real)',
     'gravity_map.gravity_score is real, must be double precision: convert it, or rename it away and setup adds an empty gravity_score, then copy the values',
     'a gravity of type real is refused: 0.85 is not 0.85 there'),
    ('CREATE TABLE gravity_map (id uuid PRIMARY KEY, user_id text, entities varchar(10)[])',
     'gravity_map.entities is character varying[], must be text[]: convert it, or rename it away and setup adds an empty entities, then copy the values',
     'entities of another array type are refused'),
    ('CREATE TABLE gravity_map (id uuid, user_id text)',
     'gravity_map has no primary key or unique constraint on (id): ALTER TABLE gravity_map ADD PRIMARY KEY (id)', 'a missing primary key is refused'),
    ('CREATE TABLE gravity_map (id uuid, user_id text, PRIMARY KEY (user_id, id))',
     'gravity_map has no primary key or unique constraint on (id): ALTER TABLE gravity_map ADD PRIMARY KEY (id)', 'a key of more columns is no key on id'),
    ('CREATE TABLE gravity_map (id uuid, user_id text, PRIMARY KEY (id, user_id))',
     'gravity_map has no primary key or unique constraint on (id): ALTER TABLE gravity_map ADD PRIMARY KEY (id)', 'not even when id comes first'),
    ('CREATE TABLE gravity_map (id uuid, user_id text); CREATE UNIQUE INDEX ON gravity_map (id) WHERE user_id IS NOT NULL',
     'gravity_map has no primary key or unique constraint on (id): ALTER TABLE gravity_map ADD PRIMARY KEY (id)', 'a partial unique index is none either'),
    ('CREATE TABLE gravity_map (id uuid PRIMARY KEY)',
     'gravity_map.user_id is missing and cannot be added to a table with rows: rename the column that holds it, or add it as text NOT NULL',
     'a missing user_id is refused'),
    ('CREATE TABLE memory_arcs (arc_id uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_id text, arc_name text)',
     'memory_arcs.id is missing and cannot be added to a table with rows: rename the column that holds it, or add it as uuid NOT NULL DEFAULT gen_random_uuid()',
     'a key of another name is refused'),
    ('CREATE TABLE gravity_map (id uuid PRIMARY KEY, user_id text, temporal_type text GENERATED ALWAYS AS (''past'') STORED)',
     'gravity_map.temporal_type is generated, must be an ordinary column: ALTER TABLE gravity_map ALTER COLUMN temporal_type DROP EXPRESSION',
     'a generated column is refused'),
    ('CREATE TABLE memory_arcs (id uuid PRIMARY KEY, user_id text, arc_name text, project text NOT NULL)',
     'memory_arcs.project is NOT NULL without a default, so arcs could not be written: give it a default or drop NOT NULL',
     'a column of memory_arcs that our inserts cannot fill is refused'),
    ('CREATE TABLE memory_arc_associations (memory_id uuid, arc_id uuid, number integer NOT NULL)',
     'memory_arc_associations.number is NOT NULL without a default, so arcs could not be written: give it a default or drop NOT NULL',
     'and so is one of memory_arc_associations'),
    ('CREATE VIEW gravity_map AS SELECT 1 AS id', 'gravity_map is not a table: rename it away, or create the extension in another schema', 'a view is refused'),
    ('CREATE SEQUENCE active_sessions', 'active_sessions is not a table: rename it away, or create the extension in another schema', 'a sequence is refused'),
    ('CREATE DOMAIN score AS double precision; CREATE TABLE gravity_map (id uuid PRIMARY KEY, user_id text, gravity_score score)',
     'gravity_map.gravity_score is pgtap_adopted.score, must be double precision: convert it, or rename it away and setup adds an empty gravity_score, then copy the values',
     'a domain is refused'),
    ('CREATE TABLE gravity_map (id uuid PRIMARY KEY, user_id text, embedding real[])',
     format('gravity_map.embedding is real[], must be %I.vector(1536): convert it, or rename it away and setup adds an empty embedding, then copy the values',
            (SELECT n.nspname FROM pg_extension AS x JOIN pg_namespace AS n ON n.oid = x.extnamespace WHERE x.extname = 'vector')),
     'an embedding that is no vector is refused'),
    ('CREATE TABLE memory_digests (user_id text, memory_id uuid, length integer, signature bit(1536), term_keys bigint[])',
     'memory_digests.signature is bit, must be bit varying: convert it, or rename it away and setup adds an empty signature, then copy the values',
     'a table of a name of ours that holds something else is refused'),
    ('CREATE VIEW gravity_map AS SELECT gen_random_uuid() AS id, (1 / 0)::text AS user_id, NULL::vector AS embedding WHERE 1 / 0 = 1',
     'gravity_map is not a table: rename it away, or create the extension in another schema', 'a view is refused before its code is run')
) AS v (script, detail, description)
CROSS JOIN LATERAL pg_temp.refusal(v.script) AS e;

SELECT is(e.state || ': ' || e.message || '; ' || e.hint,
          '42804: gravity_memory cannot adopt the existing tables in schema pgtap_adopted: 11 mismatch(es); '
          'Change the columns as each line says, then run this again. Nothing was changed.',
          'the error is a datatype mismatch, counts the mismatches and says what to do')
FROM pg_temp.refusal($script$
    CREATE TABLE gravity_map (id bigint, gravity_score text, entities jsonb, created_at timestamp, identity_anchor boolean GENERATED ALWAYS AS (true) STORED);
    CREATE TABLE memory_arcs (id uuid, user_id uuid, arc_name text, project text NOT NULL);
    CREATE VIEW pattern_matrix AS SELECT 1 AS id
$script$) AS e;
SELECT results_eq(
    $$SELECT split_part(l.line, ':', 1) FROM pg_temp.refusal($script$
        CREATE TABLE gravity_map (id bigint, gravity_score text, entities jsonb, created_at timestamp,
                                  identity_anchor boolean GENERATED ALWAYS AS (true) STORED);
        CREATE TABLE memory_arcs (id uuid, user_id uuid, arc_name text, project text NOT NULL);
        CREATE VIEW pattern_matrix AS SELECT 1 AS id
      $script$) AS e
      CROSS JOIN LATERAL string_to_table(e.detail, E'\n') AS l (line)$$,
    ARRAY['gravity_map.id is bigint, must be uuid',
          'gravity_map.user_id is missing and cannot be added to a table with rows',
          'gravity_map.gravity_score is text, must be double precision',
          'gravity_map.entities is jsonb, must be text[]',
          'gravity_map.identity_anchor is generated, must be an ordinary column',
          'gravity_map.created_at is timestamp without time zone, must be timestamp with time zone',
          'gravity_map has no primary key or unique constraint on (id)',
          'memory_arcs.user_id is uuid, must be text',
          'memory_arcs has no primary key or unique constraint on (id)',
          'memory_arcs.project is NOT NULL without a default, so arcs could not be written',
          'pattern_matrix is not a table'],
    'all mismatches of all tables are listed at once, in the order of tables and columns');

-- Refused by setup itself, once the extension is there: nothing is changed, and after the repair it goes on.
SELECT pg_temp.adopt('') IS NULL AS ignored \gset
DROP TABLE pgtap_adopted.pattern_matrix, pgtap_adopted.active_sessions;
CREATE TABLE pgtap_adopted.pattern_matrix (id bigint PRIMARY KEY, intensity text);
INSERT INTO pgtap_adopted.pattern_matrix VALUES (1, 'strong');
DROP TRIGGER trigger_arc_building ON pgtap_adopted.gravity_map;
DROP INDEX pgtap_adopted.idx_gravity_map_tags;
CREATE TEMPORARY TABLE before_refusal AS SELECT c.oid, c.relname, c.relkind, c.relnatts, c.relhastriggers FROM pg_class AS c
WHERE c.relnamespace = 'pgtap_adopted'::regnamespace;
SELECT is(e.state, '42804', 'setup refuses like CREATE EXTENSION') FROM pg_temp.error_of('SELECT * FROM pgtap_adopted.gravity_memory_setup()') AS e;
SELECT results_eq(
    $$SELECT m FROM pgtap_adopted._gravity_memory_adoption_mismatches() AS m$$,
    ARRAY['pattern_matrix.id is bigint, must be uuid: convert it, or rename it away and setup adds an empty id, then copy the values',
          'pattern_matrix.intensity is text, must be double precision: convert it, or rename it away and setup adds an empty intensity, then copy the values'],
    'one line per mismatch');
SELECT set_eq(
    $$SELECT c.oid, c.relname, c.relkind, c.relnatts, c.relhastriggers FROM pg_class AS c WHERE c.relnamespace = 'pgtap_adopted'::regnamespace$$,
    'SELECT * FROM before_refusal', 'a refused setup changes nothing, not even what fits');
ALTER TABLE pgtap_adopted.pattern_matrix RENAME COLUMN intensity TO old_intensity;
ALTER TABLE pgtap_adopted.pattern_matrix ALTER COLUMN id TYPE uuid USING md5(id::text)::uuid;
SELECT set_eq('SELECT action, object FROM pgtap_adopted.gravity_memory_setup()',
    $$SELECT * FROM (VALUES ('create table', 'active_sessions'), ('create trigger', 'trigger_arc_building'), ('create index', 'idx_gravity_map_tags'),
             ('create index', 'idx_active_sessions_user'), ('create index', 'idx_active_sessions_updated'),
             ('create index', 'idx_pattern_matrix_user'), ('create index', 'idx_pattern_matrix_type')) AS v (action, object)
      UNION ALL
      SELECT 'add column', 'pattern_matrix.' || c FROM unnest('{user_id,pattern_type,description,intensity,instances,status,first_detected,last_observed,
                                                                  created_at,metadata}'::text[]) AS c$$,
    'after the repair, setup does all that was left');
SELECT results_eq('SELECT p.old_intensity FROM pgtap_adopted.pattern_matrix AS p', ARRAY['strong'], 'and the row is there');

SELECT * FROM finish();
ROLLBACK;
