-- Recall: recall_memories() and gravity_memory_explain_recall(), by meaning, by words and by the turns around. What concerns words alone is in
-- lexical.sql.
BEGIN;
\ir support/session.psql
\ir support/vectors.psql
\ir support/answers.psql
SELECT plan(151);

INSERT INTO gravity_map (user_id, session_id, thread_id, created_at, content, emotion_type, gravity_score, entities, meta_tags,
                         metadata, embedding)
VALUES
    ('ada', 's1', 't1', '2024-05-07 10:00+00', 'Bea: which flowers do you like best?', 'joy', 0.4, '{Bea}', '{garden}', '{"role": "user"}',
     pg_temp.direction(0.6, 0.8)),
    ('ada', 's1', 't1', '2024-05-07 10:01+00', 'Ada: tulips, always tulips', 'joy', 0.9, '{Ada}', '{garden,spring}', '{"role": "assistant"}',
     pg_temp.direction(1)),
    ('ada', 's1', 't1', '2024-05-07 10:02+00', 'Bea: nice', 'neutral', 0.3, '{Bea}', '{}', '{}', NULL),
    ('ada', 's1', 't1', '2024-05-07 10:03+00', '', NULL, NULL, NULL, NULL, '{}', pg_temp.direction(0, 1)),
    ('ada', 's2', 't2', '2023-11-02 18:00+00', 'Ada repaired the bicycle in the garden', 'anger', 0.7, '{Ada}', '{repair}', '{}',
     pg_temp.direction(0, 0, 1)),
    ('ada', NULL, NULL, '2022-01-15 08:00+00', NULL, 'joy', 0.5, '{}', '{}', '{}', pg_temp.direction(-1)),
    ('bob', 's1', 't1', '2024-05-07 10:01+00', 'Bob: tulips tulips tulips', 'joy', 0.9, '{Ada}', '{garden}', '{}', pg_temp.direction(1));

-- What is returned.

SELECT results_eq(
    $$SELECT r.id, r.content, r.created_at, r.gravity_score, r.emotion_type, r.session_id, r.thread_id FROM recall_memories('ada', 'tulips', p_limit => 1) AS r$$,
    $$SELECT m.id, m.content, m.created_at, m.gravity_score, m.emotion_type, m.session_id, m.thread_id FROM gravity_map AS m WHERE m.content ~ '^Ada: tulips'$$,
    'recall returns the memory''s columns');
SELECT results_eq(
    $$SELECT r.id FROM recall_memories('ada', 'tulips in the garden', pg_temp.direction(1, 1), p_gravity_weight => 0.3) AS r$$,
    $$SELECT r.id FROM recall_memories('ada', 'tulips in the garden', pg_temp.direction(1, 1), p_gravity_weight => 0.3) AS r ORDER BY r.score DESC, r.id$$,
    'in the order of the score');
SELECT is((SELECT count(*) FROM recall_memories('ada', 'tulips', pg_temp.direction(1), p_limit => v.p_limit)), v.expected,
          format('p_limit %s gives %s rows', v.p_limit, v.expected))
FROM (VALUES (0, 0::bigint), (1, 1), (3, 3), (1000, 6)) AS v (p_limit, expected);
SELECT is((SELECT count(*) FROM recall_memories('ada', 'tulips', pg_temp.direction(1), p_limit => 5) AS r
           JOIN (SELECT s.id, row_number() OVER () AS place FROM recall_memories('ada', 'tulips', pg_temp.direction(1), p_limit => 1000) AS s) AS l
             ON l.id = r.id AND l.place <= 5), 5::bigint, 'a smaller limit gives the first of a larger one');

-- By meaning.

SELECT is((pg_temp.answer($$'ada', p_embedding => pg_temp.direction(1)$$))[1], 'Ada: tulips, always tulips', 'an embedding alone finds the nearest');
SELECT is(cardinality(pg_temp.answer($$'ada', p_embedding => pg_temp.direction(1), p_neighbour_weight => 0$$)), 5,
          'every memory with an embedding is answered when the limit allows');
SELECT is((SELECT round(r.similarity::numeric, 6) FROM recall_memories('ada', p_embedding => pg_temp.direction(5)) AS r
           WHERE r.content LIKE 'Bea: which%'), 0.6, 'similarity is the cosine, whatever the length of the vector');
SELECT results_eq(
    $$SELECT round(r.semantic_score::numeric, 6) FROM recall_memories('ada', p_embedding => pg_temp.direction(1), p_neighbour_weight => 0) AS r LIMIT 3$$,
    $$VALUES (0.5::numeric(7, 6)), (0.3), (0)$$, 'the semantic score is the weight times the similarity, as a share of the best one');
SELECT is(pg_temp.answer($$'nobody', p_embedding => pg_temp.direction(1)$$), '{}'::text[], 'an unknown user has no similar memories');
SELECT is(pg_temp.answer($$'', p_embedding => pg_temp.direction(1)$$), '{}'::text[], 'nor has the empty user');

-- What one part cannot find, the other does.

SELECT ok('' = ANY (pg_temp.answer($$'ada', 'flowers', pg_temp.direction(0, 1), p_neighbour_weight => 0$$)), 'a memory of empty content is found by meaning');
SELECT is((SELECT count(*) FROM recall_memories('ada', 'flowers', pg_temp.direction(-1), p_neighbour_weight => 0) AS r WHERE r.content IS NULL), 1::bigint,
          'and so is one without content');
SELECT ok('Bea: nice' = ANY (pg_temp.answer($$'ada', 'nice', pg_temp.direction(0, 0, 1), p_neighbour_weight => 0$$)), 'a memory without embedding is found by words');
INSERT INTO gravity_map (user_id, content, embedding) VALUES ('zero', 'a violet', pg_temp.direction(0)), ('zero', 'a pansy', pg_temp.direction(0, 1));
SELECT results_eq($$SELECT r.content, r.similarity IS NULL FROM recall_memories('zero', 'violets', pg_temp.direction(0, 1)) AS r ORDER BY 1$$,
                  $$VALUES ('a pansy', false), ('a violet', true)$$, 'a memory whose embedding has no direction is found by words');
SELECT is_empty($$SELECT r.content FROM recall_memories('zero', 'violets pansies', pg_temp.direction(0, 1), p_gravity_weight => 1, p_recency_weight => 1) AS r
                  WHERE NOT r.score BETWEEN 0 AND 10 OR r.similarity = 'NaN'$$, 'and makes no score NaN');
INSERT INTO gravity_map (user_id, content, embedding) VALUES ('blank', NULL, NULL);
SELECT is(pg_temp.answer($$'blank', 'anything', pg_temp.direction(1)$$), '{}'::text[], 'a memory of neither content nor embedding is found by neither');

-- Neighbours.

SELECT is((pg_temp.answer($$'ada', 'flowers'$$))[1:2],
          ARRAY['Bea: which flowers do you like best?', 'Ada: tulips, always tulips'],
          'the answer to a question is recalled with it, though it has no word in common');
SELECT is(pg_temp.answer($$'ada', 'flowers', p_neighbour_weight => 0$$), ARRAY['Bea: which flowers do you like best?'],
          'with p_neighbour_weight 0 turns lend nothing');
SELECT is((SELECT array_agg(round((r.neighbour_score / 0.5)::numeric, 4) ORDER BY r.created_at)
           FROM recall_memories('ada', 'flowers') AS r), ARRAY[0, 0.7071, 0.5],
          'a term is lent at the square root of the weight per turn, two turns far');
SELECT is((SELECT array_agg(round((r.neighbour_score / 0.5)::numeric, 4) ORDER BY r.created_at)
           FROM recall_memories('ada', 'flowers', p_neighbour_weight => 1) AS r), ARRAY[0, 1.0000, 1.0000], 'with p_neighbour_weight 1 undiminished');
SELECT is((SELECT array_agg(round(r.neighbour_score::numeric, 4) ORDER BY r.created_at)
           FROM recall_memories('ada', p_embedding => pg_temp.direction(0, 0, 1)) AS r WHERE r.session_id = 's2'), ARRAY[0.0000],
          'nothing is lent across sessions');
SELECT is(pg_temp.answer($$'ada', 'bicycle'$$), ARRAY['Ada repaired the bicycle in the garden'], 'a memory alone in its session is alone');
INSERT INTO gravity_map (user_id, session_id, content, created_at)
SELECT 'same', 's', CASE i WHEN 3 THEN 'zebra' ELSE 'turn ' || i END, now() FROM generate_series(1, 6) AS i;
SELECT is(cardinality(pg_temp.answer($$'same', 'zebra'$$)) BETWEEN 3 AND 5, true, 'turns of the same moment have neighbours, too');
INSERT INTO gravity_map (user_id, session_id, content) VALUES ('none', NULL, 'zebra'), ('none', NULL, 'no zebra'), ('none', NULL, 'lion');
SELECT is(cardinality(pg_temp.answer($$'none', 'zebra'$$)), 2, 'memories without a session have none');

-- Components and weights.

SELECT is_empty(
    $$SELECT r.score FROM recall_memories('ada', 'tulips in the garden', pg_temp.direction(1, 1), p_gravity_weight => 0.3, p_recency_weight => 0.2) AS r
      WHERE abs(r.score - r.semantic_score - r.lexical_score - r.neighbour_score - r.gravity_component - r.recency_component) > 1e-9$$,
    'the components add up to the score');
SELECT is((SELECT array_agg(DISTINCT round((r.gravity_component / 0.5)::numeric - COALESCE(r.gravity_score, 0)::numeric, 9))
           FROM recall_memories('ada', 'in May 2024', p_gravity_weight => 0.5) AS r), ARRAY[0::numeric],
          'the gravity component is weight times gravity, 0 for NULL');
SELECT is((SELECT array_agg(DISTINCT r.gravity_component + r.recency_component) FROM recall_memories('ada', 'in May 2024') AS r), ARRAY[0::double precision],
          'gravity and age weigh nothing by default');
INSERT INTO gravity_map (user_id, created_at, content) VALUES
    ('eve', now(), 'zebra'), ('eve', now() - interval '10 days', 'zebra'), ('eve', 'infinity', 'zebra'), ('eve', '-infinity', 'zebra'),
    ('eve', '4713-01-01 BC', 'zebra'), ('eve', now() + interval '1 year', 'zebra');
SELECT is((SELECT array_agg(round(r.recency_component::numeric, 4) ORDER BY r.created_at)
           FROM recall_memories('eve', 'zebra', p_recency_weight => 1, p_half_life => '10 days') AS r),
          ARRAY[0, 0.0000, 0.3679, 1, 1, 1], 'recency is exp(-age / half-life), at most 1, also for infinite times');
SELECT is((SELECT array_agg(round(r.recency_component::numeric, 4) ORDER BY r.created_at)
           FROM recall_memories('eve', 'zebra', p_recency_weight => 0.5) AS r WHERE isfinite(r.created_at) AND r.created_at > '2000-01-01'),
          ARRAY[0.3583, 0.5, 0.5], 'with a half-life of 30 days by default');
SELECT is((SELECT round(r.recency_component::numeric, 4) FROM recall_memories('eve', 'zebra', p_recency_weight => 1, p_half_life => h) AS r
           WHERE r.created_at = now() - interval '10 days'), e, format('a half-life of %s will do', h))
FROM (VALUES (interval '1 microsecond', 0.0000), (interval '178000000 years', 1.0000)) AS v (h, e);
SELECT is(pg_temp.answer($$'ada', 'tulips bicycle', pg_temp.direction(1), p_semantic_weight => 0, p_neighbour_weight => 0$$),
          pg_temp.answer($$'ada', 'tulips bicycle', p_neighbour_weight => 0$$), 'a semantic weight of 0 leaves the embedding out');
SELECT is(pg_temp.answer($$'ada', 'bicycle', pg_temp.direction(1), p_lexical_weight => 0$$),
          pg_temp.answer($$'ada', p_embedding => pg_temp.direction(1)$$), 'a lexical weight of 0 leaves the words out');
SELECT is((pg_temp.answer(format($$'ada', 'bicycle', pg_temp.direction(1), p_semantic_weight => %s, p_lexical_weight => %s, p_neighbour_weight => 0$$, v.s, v.l)))[1], v.first,
          format('semantic %s against lexical %s: %s comes first', v.s, v.l, v.first))
FROM (VALUES (1, 0.9, 'Ada: tulips, always tulips'), (0.9, 1, 'Ada repaired the bicycle in the garden')) AS v (s, l, first);
SELECT results_eq(
    $$SELECT r.id, round(r.score::numeric, 9)
      FROM recall_memories('ada', 'tulips in the garden', pg_temp.direction(1, 1), p_semantic_weight => 0.5, p_lexical_weight => 0.25) AS r$$,
    $$SELECT r.id, round(r.score::numeric / 2, 9)
      FROM recall_memories('ada', 'tulips in the garden', pg_temp.direction(1, 1), p_semantic_weight => 1, p_lexical_weight => 0.5) AS r$$,
    'twice the weights give twice the scores and the same order');
SELECT is((pg_temp.answer($$'ada', 'in May 2024', p_gravity_weight => 1, p_lexical_weight => 0.01, p_neighbour_weight => 0$$))[1], 'Ada: tulips, always tulips',
          'gravity can decide');
SELECT is(pg_temp.answer($$'ada', 'tulips', pg_temp.direction(1), p_semantic_weight => 0, p_lexical_weight => 0, p_gravity_weight => 1$$), '{}'::text[],
          'with neither list there is nothing to rank');

-- Filters.

SELECT is(pg_temp.answer(p.parameters), p.expected, 'filter: ' || regexp_replace(p.parameters, '\s+', ' ', 'g'))
FROM (VALUES
    ($$'ada', 'tulips flowers bicycle garden', p_neighbour_weight => 0, p_since => '2024-05-07 10:01+00'$$, ARRAY['Ada: tulips, always tulips']),
    ($$'ada', 'tulips flowers', p_neighbour_weight => 0, p_until => '2024-05-07 10:01+00'$$, ARRAY['Bea: which flowers do you like best?']),
    ($$'ada', 'tulips flowers bicycle', p_neighbour_weight => 0, p_since => '2024-05-07 10:00+00', p_until => '2024-05-07 10:01+00'$$,
     ARRAY['Bea: which flowers do you like best?']),
    ($$'ada', 'tulips', p_since => 'infinity'$$, '{}'::text[]),
    ($$'ada', 'bicycle', p_since => '-infinity', p_until => 'infinity'$$, ARRAY['Ada repaired the bicycle in the garden']),
    ($$'ada', 'tulips bicycle', p_neighbour_weight => 0, p_emotion_type => 'anger'$$, ARRAY['Ada repaired the bicycle in the garden']),
    ($$'ada', 'tulips flowers', p_neighbour_weight => 0, p_entities => '{Bea}'$$, ARRAY['Bea: which flowers do you like best?']),
    ($$'ada', 'tulips', p_entities => '{Ada,Bea}'$$, '{}'::text[]),
    ($$'ada', 'bicycle', p_entities => '{}'$$, ARRAY['Ada repaired the bicycle in the garden']),
    ($$'ada', 'tulips flowers', p_neighbour_weight => 0, p_meta_tags => '{spring,garden}'$$, ARRAY['Ada: tulips, always tulips']),
    ($$'ada', 'tulips bicycle', p_neighbour_weight => 0, p_thread_id => 't2'$$, ARRAY['Ada repaired the bicycle in the garden']),
    ($$'ada', 'tulips bicycle', p_neighbour_weight => 0, p_session_id => 's2'$$, ARRAY['Ada repaired the bicycle in the garden']),
    ($$'ada', 'tulips flowers', p_neighbour_weight => 0, p_min_gravity => 0.9$$, ARRAY['Ada: tulips, always tulips']),
    ($$'ada', 'tulips flowers', p_neighbour_weight => 0, p_metadata => '{"role": "user"}'$$, ARRAY['Bea: which flowers do you like best?']),
    ($$'ada', 'tulips', p_metadata => 'null'$$, '{}'::text[]),
    ($$'ada', 'tulips', p_emotion_type => '''; DROP TABLE gravity_map; --'$$, '{}'::text[]),
    ($$'ada', 'tulips', p_session_id => '%s %L \'$$, '{}'::text[]),
    ($$'ada', p_embedding => pg_temp.direction(1), p_session_id => 's2'$$, ARRAY['Ada repaired the bicycle in the garden']),
    ($$'ada', p_embedding => pg_temp.direction(1), p_thread_id => 't1', p_meta_tags => '{garden}', p_emotion_type => 'joy', p_neighbour_weight => 0,
       p_since => '2024-01-01', p_until => '2025-01-01', p_min_gravity => 0.5, p_entities => '{Ada}', p_session_id => 's1',
       p_metadata => '{"role": "assistant"}'$$, ARRAY['Ada: tulips, always tulips']),
    ($$'ada', 'tulips flowers', p_emotion_type => 'neutral'$$, '{}'::text[])
) AS p (parameters, expected);
SELECT is(pg_temp.answer($$'ada', 'flowers', p_entities => '{Ada}'$$), '{}'::text[], 'a memory that does not pass lends nothing either');
SELECT is((SELECT round(r.bm25::numeric, 9) FROM recall_memories('ada', 'bicycle', p_emotion_type => 'anger') AS r),
          (SELECT round(r.bm25::numeric, 9) FROM recall_memories('ada', 'bicycle') AS r), 'a filter does not change what BM25 makes of a memory');
-- A filter on a larger user: 2,500 memories, of which few or most pass.
SELECT setseed(0.5) AS ignored \gset
INSERT INTO gravity_map (user_id, content, emotion_type, embedding)
SELECT 'big', 'pear pear ' || g, CASE WHEN g % 1000 = 0 THEN 'rare' WHEN g % 10 = 0 THEN 'some' ELSE 'common' END,
       pg_temp.direction(VARIADIC ARRAY(SELECT random() - 0.5 + 0 * g FROM generate_series(1, 96)))
FROM generate_series(1, 2500) AS g;
INSERT INTO gravity_map (user_id, content, embedding) VALUES ('big', 'one pear among all those many other fruits of the orchard', pg_temp.direction(-1));
SELECT is(cardinality(pg_temp.answer(format($$'big', %s, p_emotion_type => %L, p_limit => %s$$, a.arguments, v.emotion, v.p_limit))), v.expected,
          format('%s, %s of 2,500 pass: %s are answered', a.arguments, v.passing, v.expected))
FROM (VALUES ('rare', 2, 10, 2), ('some', 248, 500, 248), ('common', 2250, 500, 500), ('common', 2250, 1000, 1000)) AS v (emotion, passing, p_limit, expected)
CROSS JOIN (VALUES ($$'pear'$$), ('p_embedding => pg_temp.direction(0, 1)'), ($$'pear', pg_temp.direction(0, 1)$$)) AS a (arguments);
SELECT m.embedding AS vector FROM gravity_map AS m WHERE m.content = 'pear pear 1234' \gset
SELECT cmp_ok(
    (SELECT count(*) FROM recall_memories('big', p_embedding => :'vector', p_emotion_type => v.emotion) AS r
     JOIN (SELECT m.id FROM gravity_map AS m WHERE m.user_id = 'big' AND m.emotion_type = v.emotion
           ORDER BY 1 - (m.embedding <=> :'vector') DESC LIMIT 10) AS e ON e.id = r.id), '>=', 9::bigint,
    format('of those that pass (%s) the most similar are answered', v.emotion))
FROM (VALUES ('some'), ('common')) AS v (emotion);

-- While derived rows cannot be relied on, the answer is the same.

CREATE TEMPORARY TABLE quick AS
SELECT 'ada' AS user_id, r.id, round(r.score::numeric, 9) AS score FROM recall_memories('ada', 'tulips in the garden', pg_temp.direction(1, 1), p_gravity_weight => 0.3) AS r
UNION ALL
SELECT 'big', r.id, round(r.score::numeric, 9) FROM recall_memories('big', 'pear 777', pg_temp.direction(1, 7, -3), p_emotion_type => 'some') AS r;
INSERT INTO memory_recall_gaps (user_id, is_every_user) VALUES ('ada', false), ('big', false);
SELECT bag_eq(
    $$SELECT 'ada', r.id, round(r.score::numeric, 9) FROM recall_memories('ada', 'tulips in the garden', pg_temp.direction(1, 1), p_gravity_weight => 0.3) AS r
      UNION ALL
      SELECT 'big', r.id, round(r.score::numeric, 9) FROM recall_memories('big', 'pear 777', pg_temp.direction(1, 7, -3), p_emotion_type => 'some') AS r$$,
    'TABLE quick', 'while derived rows cannot be relied on, answers and scores are the same');
DELETE FROM memory_recall_gaps;

-- As PostgREST calls it: one JSON object, whose keys are the names of the arguments; what is left out gets its default.

SELECT is((SELECT r.content
           FROM json_to_record(json_build_object('p_query', 'flowers', 'p_user_id', 'ada', 'p_limit', 1, 'p_embedding', pg_temp.direction(1)::text, 'p_entities', '{Ada}'::text[],
                                                 'p_metadata', '{}'::jsonb, 'p_half_life', '1 day', 'p_since', '2024-01-01'))
               AS b (p_query text, p_user_id text, p_limit integer, p_embedding vector, p_entities text[], p_metadata jsonb, p_half_life interval, p_since timestamptz)
           CROSS JOIN LATERAL recall_memories(p_query => b.p_query, p_user_id => b.p_user_id, p_limit => b.p_limit, p_embedding => b.p_embedding,
                                              p_entities => b.p_entities, p_metadata => b.p_metadata, p_half_life => b.p_half_life, p_since => b.p_since) AS r),
          'Ada: tulips, always tulips', 'recall_memories() can be called with a JSON body');
SELECT is((SELECT x.verdict
           FROM json_to_record(json_build_object('p_memory_id', (SELECT m.id FROM gravity_map AS m WHERE m.content ~ '^Ada: tulips'), 'p_query', 'tulips', 'p_user_id', 'ada'))
               AS b (p_memory_id uuid, p_query text, p_user_id text)
           CROSS JOIN LATERAL gravity_memory_explain_recall(p_memory_id => b.p_memory_id, p_query => b.p_query, p_user_id => b.p_user_id) AS x),
          'answered', 'so can gravity_memory_explain_recall()');

-- Why.

CREATE FUNCTION pg_temp.explained(p_content text, p_parameters text, OUT verdict text, OUT filtered_by text[], OUT explanation text, OUT place bigint, OUT candidates bigint)
LANGUAGE plpgsql
AS $explained$
BEGIN
    EXECUTE format('SELECT x.verdict, x.filtered_by, x.explanation, x.rank, x.candidates FROM gravity_memory_explain_recall(%s, p_memory_id => %L) AS x',
                   p_parameters, (SELECT m.id FROM gravity_map AS m WHERE m.content = p_content OR (m.content IS NULL AND p_content IS NULL AND m.user_id = 'ada')))
        INTO verdict, filtered_by, explanation, place, candidates;
END
$explained$;
SELECT results_eq(
    $$SELECT x.memory_id, x.rank, x.score, x.semantic_score, x.lexical_score, x.neighbour_score, x.gravity_component, x.recency_component,
             x.similarity, x.bm25, x.verdict, x.candidates
      FROM (SELECT q.id, row_number() OVER () AS place
            FROM recall_memories('ada', 'tulips garden', pg_temp.direction(1, 1), p_gravity_weight => 0.2, p_recency_weight => 0.1) AS q) AS r
      CROSS JOIN LATERAL gravity_memory_explain_recall(
          'ada', 'tulips garden', pg_temp.direction(1, 1), p_gravity_weight => 0.2, p_recency_weight => 0.1, p_memory_id => r.id) AS x
      WHERE x.similarity IS NOT NULL AND x.bm25 IS NOT NULL ORDER BY r.place$$,
    $$SELECT r.* FROM (SELECT q.id, row_number() OVER () AS place, q.score, q.semantic_score, q.lexical_score, q.neighbour_score,
                              q.gravity_component, q.recency_component, q.similarity, q.bm25,
                              'answered', count(*) OVER ()
                       FROM recall_memories('ada', 'tulips garden', pg_temp.direction(1, 1), p_gravity_weight => 0.2, p_recency_weight => 0.1) AS q) AS r
      WHERE r.similarity IS NOT NULL AND r.bm25 IS NOT NULL ORDER BY r.place$$,
    'explain gives an answered memory its rank, its score and every component, as recall does');
SELECT is(row(x.verdict, x.explanation)::text, row('answered', 'Ranked 1 of 1 candidates, within p_limit 10.')::text, 'and says so')
FROM pg_temp.explained('Ada repaired the bicycle in the garden', $$'ada', 'bicycle'$$) AS x;
SELECT is(row(x.verdict, x.place, x.candidates)::text, row('answered', 2, 3)::text, 'a neighbour is answered, too')
FROM pg_temp.explained('Ada: tulips, always tulips', $$'ada', 'flowers'$$) AS x;
SELECT is(row(x.verdict, x.place)::text, row('below limit', 2)::text, 'a memory below the limit has its rank')
FROM pg_temp.explained('Ada: tulips, always tulips', $$'ada', 'flowers', p_limit => 1$$) AS x;
SELECT matches(x.explanation, '^Ranked 2 of 3 candidates with score 0\.\d+; the last one answered within p_limit 1 has 0\.\d+\.$', 'and what it would have taken')
FROM pg_temp.explained('Ada: tulips, always tulips', $$'ada', 'flowers', p_limit => 1$$) AS x;
SELECT is(row(x.verdict, x.place)::text, row('below limit', 1)::text, 'with p_limit 0 even the best is below the limit')
FROM pg_temp.explained('Ada repaired the bicycle in the garden', $$'ada', 'bicycle', p_limit => 0$$) AS x;
SELECT is(x.verdict || ': ' || (x.explanation ~ v.says)::text, 'not listed: true', format('a memory that matches nothing is not listed, and why: %s', x.explanation))
FROM (VALUES
    ('Ada repaired the bicycle in the garden', $$'ada', 'tulips'$$, 'by meaning \(no p_embedding given\) or by words \(no term in common\)'),
    ('Bea: nice', $$'ada', p_embedding => pg_temp.direction(0, 0, 1), p_neighbour_weight => 0$$,
     'by meaning \(it has no embedding, or one without direction\) or by words \(no p_query given\)'),
    ('Ada repaired the bicycle in the garden', $$'ada', 'bicycle', p_lexical_weight => 0$$, 'by words \(p_lexical_weight is 0\)'),
    ('Ada repaired the bicycle in the garden', $$'ada', 'tulips', pg_temp.direction(1), p_semantic_weight => 0$$, 'by meaning \(p_semantic_weight is 0\)'),
    ('one pear among all those many other fruits of the orchard', $$'big', 'pear 7', pg_temp.direction(1)$$,
     'Not among the 100 best by meaning \(similarity -1\.0000, the last listed has 0\.\d+\) or by words \(BM25 0\.\d+, the last listed has 0\.\d+\)')
) AS v (content, parameters, says)
CROSS JOIN LATERAL pg_temp.explained(v.content, v.parameters) AS x;
SELECT is(row(x.verdict, x.filtered_by, x.explanation)::text, row('filtered out', ARRAY[v.filter], format('It does not pass: p_%s.', v.filter))::text,
          format('explain names the filter p_%s => %L that keeps a memory out', v.filter, v.value))
FROM (VALUES ('since', '2024-05-08'), ('until', '2024-05-07 10:01+00'), ('emotion_type', 'sadness'), ('entities', '{Bea}'), ('meta_tags', '{winter}'),
             ('thread_id', 't2'), ('session_id', 's2'), ('min_gravity', '0.91'), ('metadata', '{"role": "user"}')) AS v (filter, value)
CROSS JOIN LATERAL pg_temp.explained('Ada: tulips, always tulips', format($$'ada', 'tulips', p_%s => %L$$, v.filter, v.value)) AS x;
SELECT is(row(x.verdict, x.filtered_by, x.explanation)::text,
          row('filtered out', '{since,emotion_type,min_gravity}'::text[], 'It does not pass: p_since, p_emotion_type, p_min_gravity.')::text,
          'and every one of several; a NULL passes none')
FROM pg_temp.explained(NULL, $$'ada', 'January', p_since => '2024-01-01', p_emotion_type => 'anger', p_min_gravity => 0.6$$) AS x;
SELECT is(row(x.verdict, x.filtered_by IS NULL, x.place)::text, '(unknown,t,)', 'explain does not tell of other users'' memories')
FROM pg_temp.explained('Bob: tulips tulips tulips', $$'ada', 'tulips'$$) AS x;
SELECT is((SELECT row(x.verdict, x.explanation)::text FROM gravity_memory_explain_recall('ada', 'tulips', p_memory_id => '00000000-0000-0000-0000-000000000000') AS x),
          '(unknown,"No memory of this user has this id, or you may not see it.")', 'nor of those that are not there');

-- Bad input: for both functions the same, with a reason and a HINT.

SELECT is(row(e.state, e.message LIKE f.name || '()%' || p.says || '%', e.hint <> '')::text, row(p.state, true, true)::text,
          format('%s(%s) is refused with a reason and a HINT', f.name, p.parameters))
FROM (VALUES
    ('22004', $$NULL, 'x'$$, 'user'),
    ('22004', $$NULL, NULL, NULL, NULL$$, 'user'),
    ('22004', $$'ada'$$, 'p_query or p_embedding'),
    ('22004', $$'ada', 'x', p_limit => NULL$$, 'p_limit must be a whole number from 0 to 1000, not NULL'),
    ('22023', $$'ada', 'x', p_limit => -1$$, 'not -1'),
    ('22023', $$'ada', 'x', p_limit => 1001$$, 'not 1001'),
    ('22023', $$'ada', 'x', p_limit => 2147483647$$, 'not 2147483647'),
    ('22023', $$'ada', 'x', p_semantic_weight => -0.01$$, 'p_semantic_weight must be a number from 0 to 1, not -0.01'),
    ('22023', $$'ada', 'x', p_lexical_weight => 1.01$$, 'p_lexical_weight must be a number from 0 to 1, not 1.01'),
    ('22023', $$'ada', 'x', p_neighbour_weight => 'Infinity'$$, 'p_neighbour_weight must be a number from 0 to 1, not Infinity'),
    ('22023', $$'ada', 'x', p_gravity_weight => 'NaN'$$, 'p_gravity_weight must be a number from 0 to 1, not NaN'),
    ('22004', $$'ada', 'x', p_recency_weight => NULL$$, 'p_recency_weight must be a number from 0 to 1, not NULL'),
    ('22023', $$'ada', 'x', p_half_life => '0'$$, 'p_half_life'),
    ('22023', $$'ada', 'x', p_half_life => '-1 day'$$, 'p_half_life'),
    ('22004', $$'ada', 'x', p_half_life => NULL$$, 'p_half_life'),
    ('22023', $$'ada', 'x', p_min_gravity => 2$$, 'p_min_gravity'),
    ('22023', $$'ada', 'x', p_min_gravity => 'NaN'$$, 'p_min_gravity'),
    ('22023', $$'ada', 'x', '[1,2,3]'$$, 'has 3 dimensions'),
    ('22023', $$'ada', NULL, pg_temp.direction(0)$$, 'no direction')
) AS p (state, parameters, says)
CROSS JOIN (VALUES ('recall_memories', ''), ('gravity_memory_explain_recall', ', p_memory_id => (SELECT m.id FROM gravity_map AS m LIMIT 1)')) AS f (name, further)
CROSS JOIN LATERAL pg_temp.error_of(format('SELECT * FROM %s(%s%s)', f.name, p.parameters, f.further)) AS e;
SELECT is(row(e.state, e.hint <> '')::text, '(22004,t)', 'explain needs a memory') FROM pg_temp.error_of($$SELECT * FROM gravity_memory_explain_recall('ada', 'x')$$) AS e;
SELECT is(e.state, v.state, format('PostgreSQL refuses %s by itself', v.description))
FROM (VALUES ('a component that is no number', format($$p_embedding => '%s'$$, replace(pg_temp.direction(1)::text, '[1', '[NaN')), '22000'),
             ('an infinite component', format($$p_embedding => '%s'$$, replace(pg_temp.direction(1)::text, '[1', '[Infinity')), '22000'),
             ('metadata that is no JSON', $$p_metadata => '{'$$, '22P02')) AS v (description, parameter, state)
CROSS JOIN LATERAL pg_temp.error_of(format($$SELECT * FROM recall_memories('ada', 'x', %s)$$, v.parameter)) AS e;

-- Who may: everybody may call; what is found, and scored, is what the caller may see.

SELECT pg_temp.new_role('gravity_memory_pgtap_reader') AS ignored \gset
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_reader', v.call)).state, '42501', 'who may not read the memories gets no answer: ' || v.call)
FROM (VALUES ($$SELECT r.content FROM recall_memories('ada', 'tulips garden') AS r$$),
             ($$SELECT x.verdict FROM gravity_memory_explain_recall('ada', 'tulips', p_memory_id => '00000000-0000-0000-0000-000000000000') AS x$$)) AS v (call);
GRANT SELECT ON gravity_map TO gravity_memory_pgtap_reader;
SELECT is(pg_temp.answer_as('gravity_memory_pgtap_reader', $$SELECT r.content FROM recall_memories('ada', 'tulips garden') AS r$$),
          pg_temp.answer($$'ada', 'tulips garden'$$), 'who may read them gets the same answer as their owner');
ALTER TABLE gravity_map ENABLE ROW LEVEL SECURITY;
CREATE POLICY pgtap_own ON gravity_map TO gravity_memory_pgtap_reader USING (user_id = 'ada' AND content !~ 'tulips');
SELECT bag_eq(
    format('SELECT unnest(%L::text[])', pg_temp.answer_as(
        'gravity_memory_pgtap_reader', $$SELECT r.content FROM recall_memories('ada', 'tulips garden', p_neighbour_weight => 0) AS r$$)),
    $$VALUES ('Ada repaired the bicycle in the garden')$$, 'row security decides what is found');
SELECT is(pg_temp.answer_as('gravity_memory_pgtap_reader', $$SELECT r.content FROM recall_memories('bob', 'tulips') AS r$$), '{}'::text[], 'and of whom');
SELECT is(pg_temp.answer_as('gravity_memory_pgtap_reader',
                            format('SELECT x.verdict FROM gravity_memory_explain_recall(''ada'', ''tulips'', p_memory_id => %L) AS x', m.id)), '{unknown}'::text[],
          'a memory that row security hides is unknown')
FROM gravity_map AS m WHERE m.content = 'Ada: tulips, always tulips';

SELECT * FROM finish();
ROLLBACK;
