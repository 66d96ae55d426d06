-- Recall by words: which words find a memory, which dates, how BM25 ranks, and the text search configuration.
BEGIN;
\ir support/session.psql
\ir support/derived.psql
\ir support/answers.psql
SELECT plan(72);

-- answer(), by words alone, without what neighbours lend.
CREATE FUNCTION pg_temp.found(p_query text) RETURNS text[] LANGUAGE sql
AS $found$ SELECT pg_temp.answer(format('%L, %L, p_neighbour_weight => 0', 'ada', p_query)) $found$;

INSERT INTO gravity_map (user_id, session_id, created_at, content) VALUES
    ('ada', 's1', '2024-05-07 10:00+00', 'Bea: which flowers do you like best?'),
    ('ada', 's1', '2024-05-07 10:01+00', 'Ada: tulips, always tulips'),
    ('ada', 's1', '2024-05-07 10:03+00', ''),
    ('ada', 's2', '2023-11-02 18:00+00', 'Ada repaired the bicycle in the garden'),
    ('ada', 's3', '2023-12-31 23:30-05', 'O''Brien''s e-mail is pat_obrien@example.com; naïve Zoë lives in 東京'),
    ('ada', NULL, '2022-01-15 08:00+00', NULL),
    ('bob', 's1', '2024-05-07 10:01+00', 'Bob: tulips tulips tulips');

-- Words.

SELECT is(pg_temp.found(v.query), v.expected, v.description)
FROM (VALUES
    ('tulip', '{"Ada: tulips, always tulips"}'::text[], 'a query in another inflection finds the memory, and no other user''s'),
    ('Which FLOWERS?', '{"Bea: which flowers do you like best?"}', 'case does not matter'),
    ('advice/bicycle', '{Ada repaired the bicycle in the garden}', 'words joined by a slash are words'),
    ('the garden''s', '{Ada repaired the bicycle in the garden}', 'nor does a possessive'),
    ('obrien', '{"O''Brien''s e-mail is pat_obrien@example.com; naïve Zoë lives in 東京"}', 'a part of an address is a word'),
    ('pat.obrien@example.com', '{"O''Brien''s e-mail is pat_obrien@example.com; naïve Zoë lives in 東京"}', 'and so is every part of it'),
    ('ZOË', '{"O''Brien''s e-mail is pat_obrien@example.com; naïve Zoë lives in 東京"}', 'letters with accents are letters'),
    ('東京', '{"O''Brien''s e-mail is pat_obrien@example.com; naïve Zoë lives in 東京"}', 'and so are those of other scripts'),
    ('the of and', '{}', 'a query of stop words finds nothing'),
    ('', '{}', 'an empty query finds nothing'),
    ('   ', '{}', 'nor does a blank one'),
    ('zebra', '{}', 'nor a word that occurs nowhere'),
    ('%_\ '' " & | ! ( ) : * <->', '{}', 'punctuation is no query language'),
    ('tulip:* | bicycle', '{"Ada: tulips, always tulips",Ada repaired the bicycle in the garden}', 'nor are operators: the words count'),
    ('!tulips', '{"Ada: tulips, always tulips"}', 'an exclamation mark excludes nothing'),
    ('@y2024', '{}', 'nobody can ask for the terms of dates by their inner names'),
    ('''; DROP TABLE gravity_map; --', '{}', 'a statement is text')
) AS v (query, expected, description);
SELECT is(pg_temp.answer($$'nobody', 'tulips'$$), '{}'::text[], 'an unknown user has no memories');
SELECT is(pg_temp.found('tulips ' || repeat('lorem ipsum ', 90000)), '{"Ada: tulips, always tulips"}'::text[],
          'of a query of a megabyte the beginning counts');
SELECT is(pg_temp.found(repeat('lorem ipsum ', 90000) || 'tulips'), '{}'::text[], 'and not the end');
SELECT is(pg_temp.found(repeat('x', 1000000)), '{}'::text[], 'a single word of a megabyte is a word that occurs nowhere');

-- Dates. A memory is of the month, day and year, in UTC, in which it was created.

SELECT is((pg_temp.found(v.query))[1:1], v.expected, format('%L %s', v.query, v.description))
FROM (VALUES
    ('what happened in November?', '{Ada repaired the bicycle in the garden}'::text[], 'finds what was stored in that month'),
    ('on 15 January', '{NULL}', 'finds a memory without content first'),
    ('January 15th, 2022', '{NULL}', 'does so, too'),
    ('the 15th of jan', '{NULL}', 'and so does its short form'),
    ('2023-11-02', '{Ada repaired the bicycle in the garden}', 'finds what was stored then'),
    ('in 2022', '{NULL}', 'finds what was stored in that year'),
    ('on New Year''s Day: 2024-01-01', '{"O''Brien''s e-mail is pat_obrien@example.com; naïve Zoë lives in 東京"}', 'is a day in UTC'),
    ('may I?', '{}', 'asks for no month: the verb is no date'),
    ('15 apples', '{}', 'asks for no day: a number beside no month is no date'),
    ('99 November', '{Ada repaired the bicycle in the garden}', 'asks for the month alone')
) AS v (query, expected, description);
SELECT is(cardinality(pg_temp.found(v.query)), 3, format('%L asks for the month', v.query))
FROM (VALUES ('in May'), ('last may'), ('7th of May'), ('May 7')) AS v (query);
SELECT is((pg_temp.error_of(format('SELECT pg_temp.found(%L)', v.query))).message, NULL, format('%L is no error', v.query))
FROM (VALUES ('2023-13-45'), ('0000-00-00'), ('99999-99-99'), ('31 February 2023'), ('00 May'), ('1900-19-39'), (E'\x01\x7f'), ('🦊')) AS v (query);

-- BM25: k1 = 1.2, b = 0.3, over the user's own memories. Three memories of 3, 1 and 2 words, on average 2.

INSERT INTO gravity_map (user_id, content, created_at)
VALUES ('bm25', 'rose', '2024-05-07'), ('bm25', 'lily pond', '2024-05-07'), ('bm25', 'tulip and tulip and rose', '2024-05-07');
INSERT INTO gravity_map (user_id, content) SELECT 'other', 'tulip' FROM generate_series(1, 20);
SELECT results_eq(
    $$SELECT r.content, round(r.bm25::numeric, 9) FROM recall_memories('bm25', 'tulip', p_neighbour_weight => 0) AS r$$,
    $$SELECT 'tulip and tulip and rose', round((ln(1 + (3 - 1 + 0.5) / (1 + 0.5)) * 2 * 2.2 / (2 + 1.2 * (1 - 0.3 + 0.3 * 3 / 2))), 9)$$,
    'the score of one word is that of BM25; other users'' memories do not count');
SELECT results_eq(
    $$SELECT r.content, round(r.bm25::numeric, 9), round(r.lexical_score::numeric, 6) FROM recall_memories('bm25', 'roses and tulips', p_neighbour_weight => 0) AS r$$,
    $$WITH idf AS (SELECT ln(1 + (3 - 1 + 0.5) / (1 + 0.5)) AS tulip, ln(1 + (3 - 2 + 0.5) / (2 + 0.5)) AS rose),
           score AS (SELECT tulip * 2 * 2.2 / (2 + 1.2 * (0.7 + 0.3 * 3 / 2)) + rose * 2.2 / (1 + 1.2 * (0.7 + 0.3 * 3 / 2)) AS two,
                            rose * 2.2 / (1 + 1.2 * (0.7 + 0.3 * 1 / 2)) AS one FROM idf)
      SELECT 'tulip and tulip and rose', round(two, 9), 0.5::numeric(7, 6) FROM score UNION ALL SELECT 'rose', round(one, 9), round(0.5 * one / two, 6) FROM score$$,
    'that of two words is their sum; a rare word counts more; the best memory gets the whole weight');
SELECT is((SELECT count(DISTINCT r.bm25) FROM recall_memories('bm25', 'tulip tulip TULIPS', p_neighbour_weight => 0) AS r
           JOIN recall_memories('bm25', 'tulip', p_neighbour_weight => 0) AS s ON s.id = r.id AND s.bm25 = r.bm25), 1::bigint, 'repeating a word in the query changes nothing');
CREATE TEMPORARY TABLE quick AS SELECT r.id, round(r.bm25::numeric, 9) AS bm25 FROM recall_memories('bm25', 'roses and tulips by the pond in May', p_neighbour_weight => 0) AS r;
INSERT INTO memory_recall_gaps (user_id, is_every_user) VALUES ('', true);
SELECT results_eq($$SELECT r.id, round(r.bm25::numeric, 9) FROM recall_memories('bm25', 'roses and tulips by the pond in May', p_neighbour_weight => 0) AS r$$,
                  'TABLE quick', 'while derived rows cannot be relied on, the scores are the same');
DELETE FROM memory_recall_gaps;
-- More words than the 32 that count: the rarest do.
INSERT INTO gravity_map (user_id, content, created_at)
SELECT 'words', string_agg('common' || md5(i::text), ' '), '2024-05-07' FROM generate_series(1, 60) AS i, generate_series(1, 5) AS n GROUP BY n;
INSERT INTO gravity_map (user_id, content, created_at) VALUES ('words', 'a rare one', '2024-05-07');
SELECT format('%s rare', string_agg('common' || md5(i::text), ' ')) AS query FROM generate_series(1, 60) AS i \gset
SELECT is((SELECT count(*) FROM recall_memories('words', :'query', p_neighbour_weight => 0)), 6::bigint, 'of a query of more words than count');
SELECT is((SELECT round(r.bm25::numeric, 9) FROM recall_memories('words', :'query', p_neighbour_weight => 0) AS r WHERE r.content = 'a rare one'),
          (SELECT round(r.bm25::numeric, 9) FROM recall_memories('words', 'rare', p_neighbour_weight => 0) AS r), 'the rarest do');

-- Long contents.

INSERT INTO gravity_map (user_id, content) VALUES ('long', 'needle ' || repeat('hay ', 250000) || 'pin');
SELECT is((SELECT count(*) FROM recall_memories('long', v.query)), v.expected, v.description)
FROM (VALUES ('needle', 1::bigint, 'a content of a megabyte is found by its first words'),
             ('pin', 0, 'and not by what comes after 100,000 characters')) AS v (query, expected, description);

-- Following the memories.

UPDATE gravity_map SET content = 'Ada: roses' WHERE content = 'Ada: tulips, always tulips';
SELECT is(pg_temp.found('tulips') || pg_temp.found('roses'), '{Ada: roses}'::text[], 'a changed content is found by its new words only');
UPDATE gravity_map SET created_at = '2019-08-01' WHERE content = 'Ada: roses';
SELECT is(pg_temp.found('August 2019'), '{Ada: roses}'::text[], 'a changed time by its new date');
UPDATE gravity_map SET user_id = 'bob' WHERE content = 'Ada: roses';
SELECT is(pg_temp.found('roses') || pg_temp.answer($$'bob', 'roses', p_neighbour_weight => 0$$), '{Ada: roses}'::text[], 'a memory given to another user is found there only');
DELETE FROM gravity_map WHERE content = 'Ada: roses';
SELECT is(pg_temp.answer($$'bob', 'roses'$$), '{}'::text[], 'a deleted memory is not found');

-- The text search configuration.

INSERT INTO gravity_map (user_id, content) VALUES ('ada', 'die Häuser am See');
SELECT is(pg_temp.found('Haus'), '{}'::text[], 'in English, Haus is not Häuser');
SELECT is(pg_temp.found('die'), '{die Häuser am See}'::text[], 'and die is a word');
SELECT gravity_memory_set('text_search_config', 'german') IS NULL AS ignored \gset
INSERT INTO gravity_map (user_id, content) VALUES ('ada', 'ein Haus im Wald');
SELECT bag_eq('SELECT unnest(pg_temp.found(''Haus''))', $$VALUES ('ein Haus im Wald'), ('die Häuser am See')$$,
              'after text_search_config has changed, memories old and new are found in German');
SELECT isnt_empty('SELECT * FROM pg_temp.wrong_derived()', 'though what is derived from the old ones is not yet');
SELECT results_eq('SELECT g.user_id, g.is_every_user FROM memory_recall_gaps AS g', $$VALUES ('', true)$$, 'because every user is noted');
UPDATE gravity_map SET content = 'die Gärten am See' WHERE content = 'die Häuser am See';
SELECT is(pg_temp.found('Garten'), '{die Gärten am See}'::text[], 'what changes meanwhile is found as it is');
SELECT is_empty($$SELECT p.memory_id FROM memory_postings AS p
                  WHERE NOT EXISTS (SELECT FROM memory_digests AS d WHERE d.memory_id = p.memory_id AND p.term_key = ANY (d.term_keys))$$,
                'and leaves no old term behind');
SELECT _gravity_memory_fill_recall() IS NULL AS ignored \gset
SELECT is_empty('SELECT * FROM pg_temp.wrong_derived() UNION ALL SELECT g.user_id FROM memory_recall_gaps AS g', 'a rebuild derives all anew');
SELECT gravity_memory_set('text_search_config', 'german') IS NULL AS ignored \gset
SELECT is_empty('SELECT g.user_id FROM memory_recall_gaps AS g', 'setting the same configuration again notes nobody');
SELECT is(pg_temp.found('die am im ein'), '{}'::text[], 'then the stop words are the German ones');
SELECT gravity_memory_set('text_search_config', 'simple') IS NULL AS ignored \gset
SELECT _gravity_memory_fill_recall() IS NULL AS ignored \gset
SELECT is(pg_temp.found('die'), '{die Gärten am See}'::text[], 'the configuration simple has none');
SELECT is(pg_temp.found('Garten'), '{}'::text[], 'and knows no inflections');
CREATE SCHEMA "pgtap words";
CREATE TEXT SEARCH CONFIGURATION "pgtap words"."of Ada" (COPY = german);
SELECT gravity_memory_set('text_search_config', '"pgtap words"."of Ada"') IS NULL AS ignored \gset
SELECT _gravity_memory_fill_recall() IS NULL AS ignored \gset
SELECT is(pg_temp.found('Garten'), '{die Gärten am See}'::text[], 'a configuration of the database''s own, in a schema whose name needs quotes, will do');
-- A configuration that is dropped while it is set.
DROP TEXT SEARCH CONFIGURATION "pgtap words"."of Ada";
INSERT INTO gravity_map (user_id, content) VALUES ('ada', 'ein Baum im Garten');
SELECT is((SELECT count(*) FROM gravity_map AS m WHERE m.content = 'ein Baum im Garten'), 1::bigint, 'with a configuration that is gone, memories are stored');
SELECT isnt_empty('SELECT FROM memory_recall_gaps AS g WHERE g.user_id = ''ada''', 'and their users noted');
SELECT is(e.state || ': ' || e.message || ' ' || e.hint,
          '42704: the text search configuration ''"pgtap words"."of Ada"'', which the setting text_search_config names, does not exist '
          'Make it again, or choose another one: SELECT gravity_memory_set(''text_search_config'', ''english'').',
          'recall by words says that it is gone, and what to do')
FROM pg_temp.error_of($$SELECT pg_temp.found('Garten')$$) AS e;
SELECT gravity_memory_reset('text_search_config') IS NULL AS ignored \gset
SELECT is(pg_temp.found('Baum'), '{ein Baum im Garten}'::text[], 'with one that is there all are found again');

SELECT * FROM finish();
ROLLBACK;
