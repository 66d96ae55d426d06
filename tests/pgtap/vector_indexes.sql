-- Vector indexes: gravity_memory_vector_index_ddl() brings the indexes on embedding up to date, and gravity_memory_search_all() searches
-- all users. That the statements run beside writers, and what the index finds of a large table, is tested in tests/python.
BEGIN;
\ir support/session.psql
\ir support/vectors.psql
SELECT plan(53);
SELECT setseed(0.75) AS ignored \gset
SELECT count(*) AS ignored FROM gravity_memory_setup() \gset

-- wanted(): the statements, without what differs from database to database. do_it(): runs them; CONCURRENTLY is for outside a transaction.
CREATE FUNCTION pg_temp.wanted() RETURNS SETOF text LANGUAGE sql
AS $wanted$
    SELECT regexp_replace(regexp_replace(d, '\m' || quote_ident(n.nspname) || '\.', '', 'g'), '_old_\d+', '_old', 'g')
    FROM gravity_memory_vector_index_ddl() WITH ORDINALITY AS s (d, step)
    CROSS JOIN pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
    WHERE e.extname = 'gravity_memory'
    ORDER BY s.step
$wanted$;
CREATE FUNCTION pg_temp.do_it() RETURNS SETOF text LANGUAGE plpgsql
AS $do_it$
DECLARE
    v_statement text;
BEGIN
    FOR v_statement IN SELECT * FROM gravity_memory_vector_index_ddl() LOOP
        EXECUTE replace(v_statement, ' CONCURRENTLY', '');
    END LOOP;
    -- What is left to do, and how the indexes are then.
    RETURN QUERY SELECT 'left: ' || w FROM pg_temp.wanted() AS w;
    RETURN QUERY SELECT regexp_replace(pg_get_indexdef(i.indexrelid), '^.* INDEX (\w+) ON .* USING (\w+) \(embedding\S*( \w+_ops)?\)', '\1 \2')
                 FROM pg_index AS i WHERE i.indrelid = 'gravity_map'::regclass AND i.indisvalid AND i.indexrelid::regclass::text ~ 'embedding'
                 ORDER BY 1;
END
$do_it$;

SELECT is_empty('SELECT * FROM pg_temp.do_it()', 'on an empty table there is no index on embedding, and none to build');
INSERT INTO gravity_map (user_id, content, embedding) SELECT 'user ' || i % 3, 'memory ' || i, pg_temp.random_vector(i) FROM generate_series(1, 60) AS i;
INSERT INTO gravity_map (user_id, content) SELECT 'user 1', 'no embedding' FROM generate_series(1, 50);
SELECT is_empty('SELECT * FROM pg_temp.wanted()', 'nor on few rows, which an exact comparison searches in no time');
SELECT gravity_memory_set('embedding_index_min_rows', '61') IS NULL AS ignored \gset
SELECT is_empty('SELECT * FROM pg_temp.wanted()', 'memories without embedding do not count');
SELECT gravity_memory_set('embedding_index_min_rows', '60') IS NULL AS ignored \gset
SELECT results_eq('SELECT split_part(w, '' ON '', 1) FROM pg_temp.wanted() AS w',
    $$VALUES ('CREATE INDEX CONCURRENTLY idx_gravity_map_embedding_cosine'), ('CREATE INDEX CONCURRENTLY idx_gravity_map_embedding_l2')$$,
    'with as many rows as embedding_index_min_rows both indexes of the specification are to be built, beside writers');
SELECT results_eq('SELECT * FROM gravity_memory_index_ddl()', 'SELECT * FROM gravity_memory_vector_index_ddl()', 'gravity_memory_index_ddl() says the same of missing ones');
SELECT results_eq('SELECT * FROM pg_temp.do_it()',
    $$VALUES ('idx_gravity_map_embedding_cosine ivfflat WITH (lists=''10'')'), ('idx_gravity_map_embedding_l2 ivfflat WITH (lists=''10'')')$$,
    'then they are there, with lists by the number of rows, and nothing is left to do');

-- A successor replaces an index that does not suit any more.
SELECT gravity_memory_set('embedding_lists', '15') IS NULL AS ignored \gset
SELECT is_empty('SELECT * FROM pg_temp.wanted()', 'a number of lists that is less than twice as good is not worth the work');
SELECT gravity_memory_set('embedding_lists', '21') IS NULL AS ignored \gset
SELECT bag_eq('SELECT split_part(w, '' ON '', 1) FROM pg_temp.wanted() AS w',
    $$VALUES ('CREATE INDEX CONCURRENTLY idx_gravity_map_embedding_cosine_successor'), ('CREATE INDEX CONCURRENTLY idx_gravity_map_embedding_l2_successor'),
             ('SELECT _gravity_memory_settle_vector_indexes()'),
             ('DROP INDEX CONCURRENTLY IF EXISTS idx_gravity_map_embedding_cosine_old'), ('DROP INDEX CONCURRENTLY IF EXISTS idx_gravity_map_embedding_l2_old')$$,
    'a better one is built beside the old index, takes its name, and then the old one goes');
SELECT results_eq('SELECT * FROM pg_temp.do_it()',
    $$VALUES ('idx_gravity_map_embedding_cosine ivfflat WITH (lists=''21'')'), ('idx_gravity_map_embedding_l2 ivfflat WITH (lists=''21'')')$$,
    'which leaves two indexes of the same names');
SELECT gravity_memory_set('embedding_index', 'hnsw') IS NULL AS ignored \gset
SELECT results_eq('SELECT * FROM pg_temp.do_it()', $$VALUES ('idx_gravity_map_embedding_cosine hnsw'), ('idx_gravity_map_embedding_l2 hnsw')$$,
    'another kind of index replaces them in the same way');
SELECT gravity_memory_reset('embedding_index') IS NULL AS ignored \gset
SELECT gravity_memory_reset('embedding_lists') IS NULL AS ignored \gset
SELECT count(*) AS ignored FROM pg_temp.do_it() \gset
COMMENT ON INDEX idx_gravity_map_embedding_l2 IS 'gravity_memory: train again, it was built on an empty table';
SELECT bag_eq('SELECT split_part(w, '' ON '', 1) FROM pg_temp.wanted() AS w',
    $$VALUES ('CREATE INDEX CONCURRENTLY idx_gravity_map_embedding_l2_successor'), ('SELECT _gravity_memory_settle_vector_indexes()'),
             ('DROP INDEX CONCURRENTLY IF EXISTS idx_gravity_map_embedding_l2_old')$$, 'an index whose comment says "train again" is trained again');
SELECT count(*) AS ignored FROM pg_temp.do_it() \gset
SELECT is(obj_description('idx_gravity_map_embedding_l2'::regclass, 'pg_class') LIKE '%train again%', NULL, 'once');

-- What an interrupted build leaves.
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_gravity_map_embedding_l2'::regclass;
SELECT bag_eq('SELECT split_part(w, '' ON '', 1) FROM pg_temp.wanted() AS w',
    $$VALUES ('SELECT _gravity_memory_settle_vector_indexes()'), ('DROP INDEX CONCURRENTLY IF EXISTS idx_gravity_map_embedding_l2_old'),
             ('CREATE INDEX CONCURRENTLY idx_gravity_map_embedding_l2')$$, 'an invalid index is dropped and built again');
SELECT is((SELECT count(*) FROM pg_temp.do_it()), 2::bigint, 'then both are valid');
CREATE INDEX idx_gravity_map_embedding_l2_successor ON gravity_map USING ivfflat (embedding vector_l2_ops) WITH (lists = 10);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_gravity_map_embedding_l2_successor'::regclass;
SELECT bag_eq('SELECT w FROM pg_temp.wanted() AS w',
    $$VALUES ('SELECT _gravity_memory_settle_vector_indexes()'), ('DROP INDEX CONCURRENTLY IF EXISTS idx_gravity_map_embedding_l2_old')$$,
    'a successor that was not finished is dropped');
SELECT is((SELECT count(*) FROM pg_temp.do_it()), 2::bigint, 'then the two indexes are alone again');
CREATE INDEX idx_gravity_map_embedding_l2_successor ON gravity_map USING ivfflat (embedding vector_l2_ops) WITH (lists = 12);
DROP INDEX idx_gravity_map_embedding_l2;
SELECT bag_eq('SELECT w FROM pg_temp.wanted() AS w', $$VALUES ('SELECT _gravity_memory_settle_vector_indexes()')$$,
    'a successor that is good takes the place of an index that is gone');
SELECT bag_eq('SELECT * FROM pg_temp.do_it()',
    $$VALUES ('idx_gravity_map_embedding_cosine ivfflat WITH (lists=''10'')'), ('idx_gravity_map_embedding_l2 ivfflat WITH (lists=''12'')')$$, 'under its name');
CREATE INDEX pgtap_own_embedding ON gravity_map USING hnsw (embedding vector_ip_ops);
SELECT is_empty('SELECT * FROM pg_temp.wanted()', 'an index on embedding that the application made is left alone');
DROP INDEX pgtap_own_embedding;

-- The memory that building takes.
SAVEPOINT memory;
SET LOCAL maintenance_work_mem = '1MB';
SELECT is_empty('SELECT * FROM pg_temp.wanted()', 'an index that is there stays when maintenance_work_mem is too small to build it');
DROP INDEX idx_gravity_map_embedding_l2;
SELECT is_empty('SELECT * FROM pg_temp.wanted()', 'one that is missing is not tried then');
SELECT matches((SELECT s.advice FROM _gravity_memory_vector_index_states() AS s WHERE s.index_name ~ 'l2'),
    '^maintenance_work_mem must be at least \d+ MB to train ivfflat indexes on vectors of \d+ dimensions, and is 1MB$', 'what is needed is said');
ROLLBACK TO memory;

-- Fewer rows.
DELETE FROM gravity_map WHERE content IN (SELECT 'memory ' || i FROM generate_series(1, 25) AS i);
SELECT is_empty('SELECT * FROM pg_temp.wanted()', 'when some rows go, the indexes stay');
DELETE FROM gravity_map WHERE content IN (SELECT 'memory ' || i FROM generate_series(26, 40) AS i);
SELECT bag_eq('SELECT w FROM pg_temp.wanted() AS w',
    $$VALUES ('SELECT _gravity_memory_settle_vector_indexes()'), ('DROP INDEX CONCURRENTLY IF EXISTS idx_gravity_map_embedding_cosine_old'),
             ('DROP INDEX CONCURRENTLY IF EXISTS idx_gravity_map_embedding_l2_old')$$, 'when more than half go, they go too');
SAVEPOINT dropped;
SELECT is_empty('SELECT * FROM pg_temp.do_it()', 'and nothing is left');
ROLLBACK TO dropped;
SELECT gravity_memory_set('embedding_index_min_rows', '10'), gravity_memory_set('embedding_index', 'none') IS NULL AS ignored \gset
SELECT is_empty('SELECT * FROM pg_temp.do_it()', 'with embedding_index none there are none, however many rows');
SELECT gravity_memory_reset('embedding_index') IS NULL AS ignored \gset

-- Searching all users. The table is compared without an index first, then through each kind of index, as thoroughly as there are lists.

INSERT INTO gravity_map (user_id, content, gravity_score, emotion_type, embedding)
SELECT 'user ' || i, 'similarity ' || s, 0.4, 'joy', pg_temp.at_similarity(s) FROM unnest(ARRAY[1, 0.9, 0.8, 0.5]) WITH ORDINALITY AS u (s, i);
INSERT INTO gravity_map (user_id, content, embedding) VALUES ('user 5', 'zero', pg_temp.direction(0));
CREATE FUNCTION pg_temp.searched() RETURNS SETOF text LANGUAGE sql
AS $searched$ SELECT m.content || ' of ' || m.user_id FROM gravity_memory_search_all(query_embedding => pg_temp.direction(1)) AS m $searched$;
CREATE FUNCTION pg_temp.exact(p_count integer) RETURNS SETOF uuid LANGUAGE sql
AS $exact$
    SELECT m.id FROM gravity_map AS m WHERE m.embedding IS NOT NULL AND m.content <> 'zero'
    ORDER BY 1 - (m.embedding <=> pg_temp.direction(1)) DESC, m.id LIMIT p_count
$exact$;
SELECT gravity_memory_set('embedding_probes', '32768') IS NULL AS ignored \gset
CREATE FUNCTION pg_temp.search_with(p_kind text) RETURNS SETOF text LANGUAGE plpgsql
AS $search_with$
BEGIN
    PERFORM gravity_memory_set('embedding_index', p_kind);
    PERFORM pg_temp.do_it();
    RETURN NEXT is_empty('SELECT ''similarity '' || s || '' of user '' || i FROM unnest(ARRAY[''1'', ''0.9'', ''0.8'']) WITH ORDINALITY AS u (s, i)
                          EXCEPT SELECT * FROM pg_temp.searched()', p_kind || ': by default what has at least similarity 0.7 is found, of all users');
    RETURN NEXT results_eq('SELECT m.id FROM gravity_memory_search_all(pg_temp.direction(1), -1, 15) AS m', 'SELECT * FROM pg_temp.exact(15)',
                           p_kind || ': the most similar come first');
    RETURN NEXT results_eq('SELECT m.id FROM gravity_memory_search_all(pg_temp.direction(1), -1, 2147483647) AS m', 'SELECT * FROM pg_temp.exact(1000)',
                           p_kind || ': the largest count finds all that have a similarity');
    RETURN NEXT is_empty('SELECT * FROM gravity_memory_search_all(pg_temp.direction(1), -1, 0)', p_kind || ': a count of 0 finds nothing');
END
$search_with$;
SELECT pg_temp.search_with(k) FROM unnest('{none,ivfflat,hnsw}'::text[]) AS k;
SELECT results_eq(
    $$SELECT m.content, m.gravity_score, m.emotion_type, m.created_at, round(m.similarity::numeric, 6)
      FROM gravity_memory_search_all(query_embedding => pg_temp.direction(1), match_threshold => 0.89, match_count => 2) AS m$$,
    $$VALUES ('similarity 1', 0.4::double precision, 'joy', now(), 1::numeric(7, 6)), ('similarity 0.9', 0.4, 'joy', now(), 0.9)$$,
    'it takes named arguments and returns the memory''s columns with its cosine similarity');
SET LOCAL ivfflat.probes = 3;
SET LOCAL hnsw.ef_search = 77;
SELECT is((SELECT count(*) FROM gravity_memory_search_all(pg_temp.direction(1), -1, 10)), 10::bigint, 'as many rows as asked for are found');
SELECT is(current_setting('ivfflat.probes') || ' ' || current_setting('hnsw.ef_search'), '3 77', 'the caller''s settings of pgvector are as they were');
SELECT is(row(e.state, e.message LIKE 'gravity_memory_search_all()%' || v.says || '%', e.hint <> '')::text, row(v.state, true, true)::text,
          format('gravity_memory_search_all(%s) is refused with a reason and a HINT', v.arguments))
FROM (VALUES ('NULL', '22004', 'query vector'), ('''[1,2]''', '22023', 'has 2 dimensions'), ('pg_temp.direction(0)', '22023', 'direction'),
             ('pg_temp.direction(1), 1.5', '22023', 'threshold'), ('pg_temp.direction(1), NULL', '22004', 'threshold'),
             ('pg_temp.direction(1), 0, -5', '22023', 'number of results'), ('pg_temp.direction(1), 0, NULL', '22004', 'number of results')) AS v (arguments, state, says)
CROSS JOIN LATERAL pg_temp.error_of(format('SELECT * FROM gravity_memory_search_all(%s)', v.arguments)) AS e;

-- Who may.

SELECT pg_temp.new_role('gravity_memory_pgtap_vector') AS ignored \gset
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_vector', 'SELECT * FROM gravity_memory_vector_index_ddl()')).state, '42501',
          'a role without privileges cannot ask for the statements');
SELECT format('SELECT m.content FROM gravity_memory_search_all(%L, 0.89, 10) AS m', pg_temp.direction(1)) AS call \gset
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_vector', :'call')).state, '42501', 'nor search memories that it may not read');
GRANT SELECT ON gravity_map TO gravity_memory_pgtap_vector;
SELECT is(pg_temp.answer_as('gravity_memory_pgtap_vector', :'call'), '{similarity 1,similarity 0.9}'::text[], 'it searches those that it may read');
ALTER TABLE gravity_map ENABLE ROW LEVEL SECURITY;
CREATE POLICY pgtap_own ON gravity_map TO gravity_memory_pgtap_vector USING (user_id = 'user 2');
SELECT is(pg_temp.answer_as('gravity_memory_pgtap_vector', :'call'), '{similarity 0.9}'::text[], 'and no others than row security lets it see');
SELECT is(cardinality(pg_temp.answer_as('gravity_memory_pgtap_vector', replace(:'call', '0.89', '-1'))),
          (SELECT LEAST(count(*), 10)::integer FROM gravity_map AS m WHERE m.user_id = 'user 2' AND m.embedding IS NOT NULL), 'but as many of these as there are');

SELECT * FROM finish();
ROLLBACK;
