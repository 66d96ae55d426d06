-- Similarity: match_memories(), gravity_weighted_search(), find_similar_memories() and get_conversation_context(). That they find what
-- comparing everything finds, for users of every size, is tested in tests/python/test_similarity.py.
BEGIN;
\ir support/session.psql
\ir support/vectors.psql
SELECT plan(81);
SELECT setseed(0.5) AS ignored \gset

INSERT INTO gravity_map (user_id, content, gravity_score, emotion_type, embedding)
SELECT 'angles', 'similarity ' || s, LEAST(1, 1 - s), 'joy', pg_temp.at_similarity(s)
FROM unnest(ARRAY[1, 0.9, 0.8, 0.5, 0, -0.5]) AS s;
INSERT INTO gravity_map (user_id, content, embedding)
VALUES ('angles', 'no embedding', NULL), ('angles', 'zero', pg_temp.direction(0)), ('stranger', 'similarity 1', pg_temp.direction(1));

-- match_memories().

SELECT results_eq(
    $$SELECT m.content FROM match_memories(query_embedding => pg_temp.direction(1), user_id => 'angles') AS m$$,
    $$VALUES ('similarity 1'), ('similarity 0.9'), ('similarity 0.8')$$,
    'match_memories() finds, by default, what has at least similarity 0.7, most similar first');
SELECT results_eq(
    $$SELECT m.id, m.gravity_score, m.emotion_type, m.created_at, round(m.similarity::numeric, 6)
      FROM match_memories(query_embedding => pg_temp.direction(1), match_threshold => 0.85, match_count => 5, user_id => 'angles') AS m$$,
    $$SELECT m.id, m.gravity_score, m.emotion_type, m.created_at, split_part(m.content, ' ', 2)::numeric(9, 6)
      FROM gravity_map AS m WHERE m.user_id = 'angles' AND m.content IN ('similarity 1', 'similarity 0.9') ORDER BY m.content DESC$$,
    'it takes named arguments and returns the memory''s columns with its cosine similarity');
SELECT is((SELECT count(*) FROM match_memories(pg_temp.direction(1), -1, 1000, 'angles')), 6::bigint,
          'it returns as many rows as exist, and neither memories without embedding nor with a zero vector');
SELECT results_eq(
    $$SELECT m.content FROM match_memories(pg_temp.direction(1), -1, 10, 'angles') AS m OFFSET 4$$, $$VALUES ('similarity 0'), ('similarity -0.5')$$,
    'a threshold of -1 lets opposite memories through');
SELECT results_eq(
    $$SELECT m.content FROM match_memories(pg_temp.direction(2000), 0.85, 10, 'angles') AS m$$,
    $$VALUES ('similarity 1'), ('similarity 0.9')$$, 'the length of the query vector does not matter');
SELECT is((SELECT count(*) FROM match_memories(pg_temp.direction(1), 1, 10, 'angles')), 1::bigint, 'a threshold of 1 finds the same direction');
SELECT is_empty($$SELECT * FROM match_memories(pg_temp.direction(1), -1, 0, 'angles')$$, 'a count of 0 finds nothing');
SELECT is((SELECT count(*) FROM match_memories(pg_temp.direction(1), -1, 2147483647, 'angles')), 6::bigint, 'the largest count is legal');
SELECT is_empty($$SELECT * FROM match_memories(pg_temp.direction(1), -1, 10, 'nobody')$$, 'a user without memories has no similar ones');
SELECT is_empty($$SELECT * FROM match_memories(pg_temp.direction(1), -1, 10, '')$$, 'nor has the empty user');
INSERT INTO gravity_map (user_id, content, embedding) SELECT v, 'mine', pg_temp.direction(1) FROM unnest('{"it''s","%","_","a\\b","Zoë 🦊"}'::text[]) AS v;
SELECT is((SELECT count(*) FROM match_memories(pg_temp.direction(1), 0.9, 10, v)), 1::bigint, format('the user %L finds its own memories and no others', v))
FROM unnest('{"it''s","%","_","a\\b","Zoë 🦊"}'::text[]) AS v;
INSERT INTO gravity_map (user_id, content, embedding) SELECT 'twins', 'twin ' || i, pg_temp.direction(1) FROM generate_series(1, 5) AS i;
SELECT results_eq($$SELECT m.id FROM match_memories(pg_temp.direction(1), 0.9, 3, 'twins') AS m$$,
                  $$SELECT m.id FROM gravity_map AS m WHERE m.user_id = 'twins' ORDER BY m.id LIMIT 3$$, 'equally similar memories come in the order of their ids');

-- Users of some hundred memories: signatures choose what is compared.
INSERT INTO gravity_map (user_id, content, gravity_score, embedding)
SELECT 'many', 'memory ' || i, i / 400.0, pg_temp.random_vector(i) FROM generate_series(1, 300) AS i;
CREATE TEMPORARY TABLE query AS SELECT i AS number, pg_temp.random_vector(i) AS vector FROM generate_series(1, 5) AS i;
CREATE TEMPORARY VIEW exact AS
SELECT q.number, m.id, 1 - (m.embedding <=> q.vector) AS similarity, m.gravity_score AS gravity
FROM query AS q CROSS JOIN gravity_map AS m WHERE m.user_id = 'many';
SELECT results_eq(
    $$SELECT q.number, m.id, round(m.similarity::numeric, 9) FROM query AS q CROSS JOIN LATERAL match_memories(q.vector, -1, 10, 'many') AS m$$,
    $$SELECT q.number, e.id, round(e.similarity::numeric, 9) FROM query AS q CROSS JOIN LATERAL (
          SELECT x.* FROM exact AS x WHERE x.number = q.number ORDER BY x.similarity DESC LIMIT 10) AS e$$,
    'the ten most similar of 300 are the ten most similar of all, in order');
SELECT results_eq(
    $$SELECT q.number, m.id FROM query AS q CROSS JOIN LATERAL gravity_weighted_search(q.vector, 'many', -1, 0.5, 10) AS m$$,
    $$SELECT q.number, e.id FROM query AS q CROSS JOIN LATERAL (
          SELECT x.* FROM exact AS x WHERE x.number = q.number ORDER BY x.similarity * 0.5 + x.gravity * 0.5 DESC LIMIT 10) AS e$$,
    'and so are the ten best with gravity');
CREATE TEMPORARY TABLE quick AS SELECT q.number, m.id FROM query AS q CROSS JOIN LATERAL match_memories(q.vector, -1, 50, 'many') AS m;
INSERT INTO memory_recall_gaps (user_id, is_every_user) VALUES ('many', false);
SELECT results_eq('SELECT q.number, m.id FROM query AS q CROSS JOIN LATERAL match_memories(q.vector, -1, 50, ''many'') AS m', 'SELECT * FROM quick',
                  'while the signatures of a user are noted as wrong, the answer is the same');
DELETE FROM memory_recall_gaps;

-- gravity_weighted_search().

SELECT results_eq(
    $$SELECT m.content, round(m.weighted_score::numeric, 6)
      FROM gravity_weighted_search(query_embedding => pg_temp.direction(1), user_id => 'angles', match_threshold => 0.4,
                                   gravity_weight => 0.8, match_count => 3) AS m$$,
    $$VALUES ('similarity 0.5', 0.5::numeric), ('similarity 0.8', 0.32), ('similarity 0.9', 0.26)$$,
    'gravity_weighted_search() orders by similarity * (1 - weight) + gravity * weight among those above the threshold');
SELECT results_eq(
    $$SELECT m.content, round(m.weighted_score::numeric, 6) FROM gravity_weighted_search(pg_temp.direction(1), 'angles') AS m$$,
    $$VALUES ('similarity 1', 0.7::numeric), ('similarity 0.9', 0.66), ('similarity 0.8', 0.62)$$, 'the weight of gravity is 0.3 by default');
SELECT results_eq(
    $$SELECT m.id FROM gravity_weighted_search(pg_temp.direction(1), 'angles', -1, 0) AS m$$,
    $$SELECT m.id FROM match_memories(pg_temp.direction(1), -1, 10, 'angles') AS m$$, 'with weight 0 it is match_memories()');
SELECT results_eq(
    $$SELECT m.gravity_score FROM gravity_weighted_search(pg_temp.direction(1), 'angles', -1, 1, 3) AS m$$,
    $$VALUES (1::double precision), (1), (0.5)$$, 'with weight 1 gravity alone decides');
SELECT is_empty($$SELECT * FROM gravity_weighted_search(pg_temp.direction(1), 'angles', -1, 0.3, 0)$$, 'a count of 0 finds nothing');
UPDATE gravity_map SET gravity_score = NULL WHERE user_id = 'angles' AND content = 'similarity 1';
SELECT is((SELECT round(m.weighted_score::numeric, 6) FROM gravity_weighted_search(pg_temp.direction(1), 'angles') AS m
           WHERE m.content = 'similarity 1'), 0.7::numeric, 'a NULL gravity counts as 0');

-- find_similar_memories().

SELECT results_eq(
    $$SELECT f.content FROM find_similar_memories(
          memory_id => (SELECT m.id FROM gravity_map AS m WHERE m.user_id = 'angles' AND m.content = 'similarity 0.9'),
          similarity_threshold => 0.8, max_results => 2) AS f$$,
    $$VALUES ('similarity 0.8'), ('similarity 1')$$,
    'find_similar_memories() finds memories of the same user, without the memory itself');
SELECT is((SELECT count(*) FROM find_similar_memories((SELECT m.id FROM gravity_map AS m WHERE m.content = 'twin 3'), max_results => 4)), 4::bigint,
          'nor does the memory itself take a place among others that are just as near');
SELECT is((SELECT count(*) FROM find_similar_memories((SELECT m.id FROM gravity_map AS m WHERE m.content = 'twin 3'), -1, 2147483647)), 4::bigint,
          'the largest number of results is legal');
SELECT is_empty($$SELECT f.* FROM gravity_map AS m CROSS JOIN LATERAL find_similar_memories(m.id, -1) AS f WHERE m.content IN ('no embedding', 'zero')$$,
                'a memory without embedding, or with a zero vector, has no similar memories');
SELECT is_empty($$SELECT f.* FROM gravity_map AS m CROSS JOIN LATERAL find_similar_memories(m.id, -1, 0) AS f WHERE m.user_id = 'angles'$$,
                'with 0 results it finds none');

-- get_conversation_context().

INSERT INTO gravity_map (user_id, memory_trace_id, content, created_at, metadata)
SELECT 'talker', 't1', 'turn ' || i, timestamptz '2025-01-01' + i * interval '1 minute', '{"role": "user"}' FROM generate_series(1, 12) AS i;
INSERT INTO gravity_map (user_id, memory_trace_id, content) VALUES ('stranger', 't1', 'not mine'), ('talker', 't2', 'elsewhere'), ('talker', NULL, 'nowhere');
SELECT results_eq(
    $$SELECT c.content FROM get_conversation_context(user_id => 'talker', memory_trace_id => 't1', "limit" => 3) AS c$$,
    $$VALUES ('turn 10'), ('turn 11'), ('turn 12')$$,
    'get_conversation_context() returns the latest turns of a conversation in the order they were said');
SELECT is((SELECT count(*) FROM get_conversation_context('talker', 't1')), 10::bigint, 'ten turns by default');
SELECT is((SELECT count(*) FROM get_conversation_context('talker', 't1', 2147483647)), 12::bigint, 'all of them when as many are asked for');
SELECT is((SELECT count(*) FROM get_conversation_context('talker', 't1', 0)), 0::bigint, 'none when none are asked for');
SELECT is((SELECT count(*) FROM get_conversation_context('talker', v.trace)), 0::bigint, format('the conversation %L has no turns', v.trace))
FROM (VALUES ('unknown'), (''), ('%'), (repeat('x', 1000000))) AS v (trace) WHERE length(v.trace) < 100
UNION ALL
SELECT is((SELECT count(*) FROM get_conversation_context('talker', repeat('x', 1000000))), 0::bigint, 'nor has one with a name of a megabyte');
SELECT results_eq($$SELECT DISTINCT c.metadata ->> 'role', c.gravity_score FROM get_conversation_context('talker', 't1') AS c$$,
                  $$VALUES ('user', 0.5::double precision)$$, 'it returns the metadata, where the role is, and the gravity');

-- As PostgREST calls them: one JSON object, whose keys are the names of the arguments; what is left out gets its default.

SELECT is(v.found, v.expected, v.description)
FROM (
    SELECT 'match_memories() can be called with a JSON body', 3::bigint,
           (SELECT count(*) FROM json_to_record(json_build_object('user_id', 'angles', 'query_embedding', pg_temp.direction(1)::text))
                               AS b (user_id text, query_embedding vector)
            CROSS JOIN LATERAL match_memories(user_id => b.user_id, query_embedding => b.query_embedding))
    UNION ALL
    SELECT 'so can gravity_weighted_search()', 2,
           (SELECT count(*) FROM json_to_record(json_build_object('match_count', 2, 'user_id', 'angles', 'query_embedding', pg_temp.direction(1)::text))
                               AS b (match_count integer, user_id text, query_embedding vector)
            CROSS JOIN LATERAL gravity_weighted_search(match_count => b.match_count, user_id => b.user_id, query_embedding => b.query_embedding))
    UNION ALL
    SELECT 'and find_similar_memories()', 4,
           (SELECT count(*) FROM json_to_record(json_build_object('memory_id', (SELECT m.id FROM gravity_map AS m WHERE m.content = 'twin 3'))) AS b (memory_id uuid)
            CROSS JOIN LATERAL find_similar_memories(memory_id => b.memory_id))
    UNION ALL
    SELECT 'and get_conversation_context()', 7,
           (SELECT count(*) FROM json_to_record('{"limit": 7, "memory_trace_id": "t1", "user_id": "talker"}') AS b ("limit" integer, memory_trace_id text, user_id text)
            CROSS JOIN LATERAL get_conversation_context("limit" => b."limit", memory_trace_id => b.memory_trace_id, user_id => b.user_id))
) AS v (description, expected, found);

-- Bad input: each call, the SQLSTATE and a word of the message. Every error has a HINT, except pgvector's own.

CREATE TEMPORARY TABLE bad_call (call text, state text, says text);
INSERT INTO bad_call VALUES
    ('match_memories(''[1,2]'', user_id => ''u'')', '22023', 'has 2 dimensions'),
    ('match_memories(pg_temp.direction(0), user_id => ''u'')', '22023', 'direction'),
    ('match_memories(pg_temp.direction(1e-30), user_id => ''u'')', '22023', 'direction'),
    ('match_memories(NULL, user_id => ''u'')', '22004', 'query vector'),
    ('match_memories(NULL, NULL, NULL, NULL)', '22004', 'user_id'),
    ('match_memories(pg_temp.direction(1))', '22004', 'user_id'),
    ('match_memories(pg_temp.direction(1), 1.5, 10, ''u'')', '22023', 'threshold'),
    ('match_memories(pg_temp.direction(1), -1.01, 10, ''u'')', '22023', 'threshold'),
    ('match_memories(pg_temp.direction(1), ''NaN'', 10, ''u'')', '22023', 'threshold'),
    ('match_memories(pg_temp.direction(1), ''-Infinity'', 10, ''u'')', '22023', 'threshold'),
    ('match_memories(pg_temp.direction(1), NULL, 10, ''u'')', '22004', 'threshold'),
    ('match_memories(pg_temp.direction(1), 0.7, -1, ''u'')', '22023', 'number of results'),
    ('match_memories(pg_temp.direction(1), 0.7, NULL, ''u'')', '22004', 'number of results'),
    ('gravity_weighted_search(pg_temp.direction(1), NULL)', '22004', 'user_id'),
    ('gravity_weighted_search(NULL, NULL, NULL, NULL, NULL)', '22004', 'user_id'),
    ('gravity_weighted_search(''[1,2]'', ''u'')', '22023', 'has 2 dimensions'),
    ('gravity_weighted_search(pg_temp.direction(0), ''u'')', '22023', 'direction'),
    ('gravity_weighted_search(pg_temp.direction(1), ''u'', 0.7, 1.1)', '22023', 'gravity_weight'),
    ('gravity_weighted_search(pg_temp.direction(1), ''u'', 0.7, -0.1)', '22023', 'gravity_weight'),
    ('gravity_weighted_search(pg_temp.direction(1), ''u'', 0.7, ''NaN'')', '22023', 'gravity_weight'),
    ('gravity_weighted_search(pg_temp.direction(1), ''u'', 0.7, NULL)', '22004', 'gravity_weight'),
    ('gravity_weighted_search(pg_temp.direction(1), ''u'', 0.7, 0.3, -1)', '22023', 'number of results'),
    ('find_similar_memories(NULL)', '22004', 'memory_id'),
    ('find_similar_memories(''00000000-0000-0000-0000-000000000000'')', 'P0002', 'no memory'),
    ('find_similar_memories((SELECT m.id FROM gravity_map AS m LIMIT 1), 7)', '22023', 'threshold'),
    ('find_similar_memories((SELECT m.id FROM gravity_map AS m LIMIT 1), 0.7, -1)', '22023', 'number of results'),
    ('find_similar_memories((SELECT m.id FROM gravity_map AS m WHERE m.content = ''zero''), NULL)', '22004', 'threshold'),
    ('get_conversation_context(NULL, NULL, NULL)', '22004', 'user_id'),
    ('get_conversation_context(''u'', NULL)', '22004', 'memory_trace_id'),
    ('get_conversation_context(''u'', ''t'', -1)', '22023', 'number of results'),
    ('get_conversation_context(''u'', ''t'', NULL)', '22004', 'number of results');
SELECT is(row(e.state, e.message LIKE split_part(b.call, '(', 1) || '()%' || b.says || '%', e.hint <> '')::text, row(b.state, true, true)::text,
          b.call || ' is refused with a reason and a HINT')
FROM bad_call AS b CROSS JOIN LATERAL pg_temp.error_of('SELECT * FROM ' || b.call) AS e;
SELECT is(row(e.state, e.message)::text, row('22000', v.message)::text, format('pgvector refuses a component that is %s by itself', v.component))
FROM (VALUES ('NaN', 'NaN not allowed in vector'), ('Infinity', 'infinite value not allowed in vector')) AS v (component, message)
CROSS JOIN LATERAL pg_temp.error_of(format('SELECT * FROM match_memories(%L, user_id => ''u'')', replace(pg_temp.direction(1)::text, '[1', '[' || v.component))) AS e;

-- Who may: everybody may call; what is found is what the caller may see.

SELECT pg_temp.new_role('gravity_memory_pgtap_reader') AS ignored \gset
SELECT pg_temp.new_role('gravity_memory_pgtap_other') AS ignored \gset
SELECT format('SELECT m.content FROM match_memories(%L, 0.85, 10, ''angles'') AS m', pg_temp.direction(1)) AS call \gset
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_reader', :'call')).state, '42501', 'who may not read the memories gets no answer');
GRANT SELECT ON gravity_map TO gravity_memory_pgtap_reader, gravity_memory_pgtap_other;
SELECT is(pg_temp.answer_as('gravity_memory_pgtap_reader', :'call'), '{similarity 1,similarity 0.9}'::text[], 'who may read them gets it');
ALTER TABLE gravity_map ENABLE ROW LEVEL SECURITY;
CREATE POLICY pgtap_own ON gravity_map TO gravity_memory_pgtap_reader USING (content <> 'similarity 1');
SELECT is(pg_temp.answer_as('gravity_memory_pgtap_reader', :'call'), '{similarity 0.9}'::text[], 'row security decides what is found');
SELECT is(pg_temp.answer_as('gravity_memory_pgtap_other', :'call'), '{}'::text[], 'and hides all where there is no policy');
SELECT is((SELECT e.state FROM pg_temp.error_of_as('gravity_memory_pgtap_reader', format('SELECT * FROM find_similar_memories(%L)', m.id)) AS e), 'P0002',
          'a memory that row security hides is not there, for find_similar_memories() either')
FROM gravity_map AS m WHERE m.user_id = 'angles' AND m.content = 'similarity 1';

SELECT * FROM finish();
ROLLBACK;
