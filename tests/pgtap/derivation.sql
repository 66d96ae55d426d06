-- Derivation: what recall reads of every memory follows every write; a fault costs speed and never a memory, nor an answer.
BEGIN;
\ir support/session.psql
\ir support/vectors.psql
\ir support/derived.psql
SELECT plan(94);
SELECT setseed(0.25) AS ignored \gset

-- What is derived.

INSERT INTO gravity_map (user_id, content, created_at, embedding)
VALUES ('facts', 'Tulips, tulips and a rose', '2024-05-07 12:00+00', pg_temp.direction(0.5, -0.5, 0, 1));
SELECT results_eq(
    $$SELECT d.length, substr(d.signature::text, 1, 6), length(d.signature), cardinality(d.term_keys) FROM memory_digests AS d WHERE d.user_id = 'facts'$$,
    $$VALUES (3, '100100'::text, pg_temp.dimensions(), 5)$$,
    'of a memory is kept its length without stop words, the signs of its embedding, and its terms: two words, month, day and year');
SELECT results_eq(
    $$SELECT p.frequency::integer, p.length::integer, count(*) FROM memory_digests AS d JOIN memory_postings AS p ON p.memory_id = d.memory_id AND p.term_key = ANY (d.term_keys)
      WHERE d.user_id = 'facts' GROUP BY 1, 2 ORDER BY 1$$,
    $$VALUES (1, 3, 4::bigint), (2, 3, 1)$$, 'and one posting for each term, with how often it occurs');
INSERT INTO gravity_map (user_id, content, created_at)
VALUES ('facts 2', 'Tulips, tulips and a rose', '2024-05-07 12:00+00');
SELECT is_empty(
    $$SELECT p.term_key FROM memory_postings AS p JOIN gravity_map AS m ON m.id = p.memory_id WHERE m.user_id = 'facts'
      INTERSECT SELECT p.term_key FROM memory_postings AS p JOIN gravity_map AS m ON m.id = p.memory_id WHERE m.user_id = 'facts 2'$$,
    'two users who say the same have no term in common');
INSERT INTO gravity_map (user_id, content, created_at, embedding)
VALUES ('nothing', NULL, '2024-05-07 12:00+00', NULL), ('nothing', '', '-infinity', pg_temp.direction(0)), ('nothing', 'the of and', 'infinity', NULL);
SELECT results_eq(
    $$SELECT d.length, d.signature IS NULL, cardinality(d.term_keys) FROM memory_digests AS d WHERE d.user_id = 'nothing' ORDER BY 3 DESC, 2$$,
    $$VALUES (0, true, 3), (0, false, 0), (0, true, 0)$$,
    'without content there are only the terms of the date, without embedding no signature, without end no date');
SELECT is_empty('SELECT * FROM pg_temp.wrong_derived()', 'all of it is as a rebuild would make it');
SELECT is((SELECT count(*) FROM memory_digests AS d WHERE d.user_id IN ('facts', 'facts 2', 'nothing')), 5::bigint, 'one digest per memory');

-- Every write is followed. Each step is one statement, or several.

CREATE FUNCTION pg_temp.after(p_statement text) RETURNS SETOF text
LANGUAGE plpgsql
AS $after$
BEGIN
    EXECUTE p_statement;
    RETURN QUERY SELECT * FROM pg_temp.wrong_derived();
    RETURN QUERY SELECT 'noted: ' || g.user_id FROM memory_recall_gaps AS g;
END
$after$;
CREATE FUNCTION pg_temp.clear_embedding() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.embedding := NULL; RETURN NEW; END';

INSERT INTO gravity_map (user_id, content, embedding) SELECT 'writes', 'memory ' || i, pg_temp.random_vector(i) FROM generate_series(1, 8) AS i;
CREATE TEMPORARY TABLE statement (number serial, says text, statement text);
INSERT INTO statement (says, statement) VALUES
    ('an INSERT of several users', $$INSERT INTO gravity_map (user_id, content) VALUES ('writes', 'a'), ('facts', 'b'), ('writes', 'c')$$),
    ('an INSERT of nothing', $$INSERT INTO gravity_map (user_id) SELECT 'writes' WHERE false$$),
    ('an UPDATE of the content', $$UPDATE gravity_map SET content = 'changed' WHERE content = 'memory 1'$$),
    ('an UPDATE to no content', $$UPDATE gravity_map SET content = NULL WHERE content = 'memory 2'$$),
    ('an UPDATE of the embedding', $$UPDATE gravity_map SET embedding = pg_temp.direction(-1) WHERE content = 'memory 3'$$),
    ('an embedding that comes later', $$UPDATE gravity_map SET embedding = pg_temp.random_vector(1) WHERE embedding IS NULL$$),
    ('an embedding that is taken away', $$UPDATE gravity_map SET embedding = NULL WHERE content = 'memory 4'$$),
    ('an UPDATE of the time', $$UPDATE gravity_map SET created_at = created_at - interval '400 days' WHERE user_id = 'writes'$$),
    ('an UPDATE of the user', $$UPDATE gravity_map SET user_id = 'other' WHERE content = 'memory 5'$$),
    ('an UPDATE of the id', $$UPDATE gravity_map SET id = gen_random_uuid() WHERE content = 'memory 6'$$),
    ('an UPDATE that exchanges the users of two memories',
     $$UPDATE gravity_map SET user_id = CASE user_id WHEN 'other' THEN 'writes' ELSE 'other' END WHERE content IN ('memory 5', 'memory 6')$$),
    ('an UPDATE that exchanges the contents of two memories',
     $$UPDATE gravity_map SET content = CASE content WHEN 'memory 5' THEN 'memory 6' ELSE 'memory 5' END WHERE content IN ('memory 5', 'memory 6')$$),
    ('an UPDATE that changes nothing', $$UPDATE gravity_map SET content = content, embedding = embedding$$),
    ('an INSERT ... ON CONFLICT DO UPDATE that does both',
     $$INSERT INTO gravity_map (id, user_id, content) SELECT m.id, m.user_id, 'upserted' FROM gravity_map AS m WHERE m.user_id = 'writes'
       UNION ALL SELECT gen_random_uuid(), 'writes', 'new' ON CONFLICT (id) DO UPDATE SET content = EXCLUDED.content$$),
    ('an INSERT ... ON CONFLICT DO NOTHING', $$INSERT INTO gravity_map (id, user_id, content) SELECT m.id, m.user_id, 'ignored' FROM gravity_map AS m ON CONFLICT DO NOTHING$$),
    ('a MERGE that inserts, updates and deletes',
     $$MERGE INTO gravity_map AS m USING (VALUES ('new', 1), ('memory 6', 2), ('nowhere', 3)) AS v (content, i) ON m.content = v.content
       WHEN MATCHED AND v.i = 1 THEN DELETE WHEN MATCHED THEN UPDATE SET content = 'merged' WHEN NOT MATCHED THEN INSERT (user_id, content) VALUES ('writes', 'merged in')$$),
    ('two UPDATEs in one statement',
     $$WITH a AS (UPDATE gravity_map SET content = 'first' WHERE content = 'a' RETURNING 1)
       UPDATE gravity_map SET content = 'second' WHERE content = 'c'$$),
    ('a DELETE and an INSERT of the same memory in one statement',
     $$WITH d AS (DELETE FROM gravity_map WHERE user_id = 'other' RETURNING id, user_id) INSERT INTO gravity_map (id, user_id, content) SELECT d.id, d.user_id, 'again' FROM d$$),
    ('a trigger of the application that changes the row before it is written',
     $$CREATE TRIGGER pgtap_clear BEFORE UPDATE OF content ON gravity_map FOR EACH ROW EXECUTE FUNCTION pg_temp.clear_embedding();
       UPDATE gravity_map SET content = 'cleared' WHERE content = 'memory 3'; DROP TRIGGER pgtap_clear ON gravity_map$$),
    ('a DELETE', $$DELETE FROM gravity_map WHERE content IN ('memory 7', 'again')$$),
    ('a DELETE of all memories of a user', $$DELETE FROM gravity_map WHERE user_id = 'facts'$$),
    ('a content of a megabyte, in one word, of one word, of different words and of words of one four-byte letter,',
     $$INSERT INTO gravity_map (user_id, content)
       SELECT 'writes', v FROM (VALUES (repeat('x', 1000000)), (repeat('rose ', 200000)),
           ((SELECT string_agg(md5(i::text), ' ') FROM generate_series(1, 40000) AS i)),
           ((SELECT string_agg(chr(131072 + i), ' ') FROM generate_series(1, 40000) AS i))) AS c (v)$$),
    ('its DELETE', $$DELETE FROM gravity_map WHERE length(content) > 10000$$),
    ('users and words of any letters',
     $$INSERT INTO gravity_map (user_id, content) SELECT v, v || ' O''Brien 50% a\b Zoë 日本語 عربى 🦊 {a,b} "x" $1'
       FROM unnest('{"it''s","%","_","a\\b","","Zoë 🦊"," "}'::text[]) AS v$$);
SELECT is_empty(format('SELECT * FROM pg_temp.after(%L)', s.statement), s.says || ' is followed')
FROM (SELECT s.says, s.statement FROM statement AS s ORDER BY s.number) AS s;
COPY gravity_map (user_id, content) FROM STDIN;
writes	copied tulips
facts	copied roses
\.
SELECT is((SELECT count(*) FROM memory_digests AS d JOIN gravity_map AS m ON m.id = d.memory_id WHERE m.content ~ '^copied'), 2::bigint, 'COPY is followed');
SELECT is_empty('SELECT * FROM pg_temp.wrong_derived()', 'as any other statement');

-- What does not concern recall leaves the derived rows untouched.
CREATE TEMPORARY TABLE untouched AS SELECT d.ctid AS place, d.memory_id FROM memory_digests AS d;
UPDATE gravity_map SET gravity_score = 0.7, metadata = '{"role": "user"}', emotion_type = 'joy', summary = 'x', meta_tags = '{a}', session_id = 's';
SELECT set_eq('SELECT d.ctid AS place, d.memory_id FROM memory_digests AS d', 'SELECT u.place, u.memory_id FROM untouched AS u',
              'an UPDATE of gravity, metadata, emotion or tags rewrites nothing');

-- Rollbacks.
SAVEPOINT before_truncate;
TRUNCATE gravity_map CASCADE;
SELECT is((SELECT count(*) FROM memory_digests) + (SELECT count(*) FROM memory_postings), 0::bigint, 'a TRUNCATE is followed');
INSERT INTO gravity_map (user_id, content) VALUES ('writes', 'after');
SELECT is_empty('SELECT * FROM pg_temp.wrong_derived()', 'and what comes after it');
ROLLBACK TO before_truncate;
SELECT is_empty('SELECT * FROM pg_temp.wrong_derived()', 'a rollback brings memories and derived rows back');

-- Any history leaves what a rebuild derives. 150 random statements of one session, a quarter of them rolled back, some of those in parts.

DELETE FROM gravity_map;
CREATE FUNCTION pg_temp.random_content() RETURNS text LANGUAGE sql VOLATILE
AS $random_content$
    SELECT CASE WHEN random() < 0.1 THEN NULL WHEN random() < 0.1 THEN '' ELSE
               (SELECT string_agg((ARRAY['tulip', 'rose', 'lily', 'the', 'and', 'fox', 'Fox''s', 'roses', '7', 'May'])[1 + floor(random() * 10)], ' ')
                FROM generate_series(1, 1 + (random() * 12)::integer)) END
$random_content$;
CREATE FUNCTION pg_temp.random_write() RETURNS void
LANGUAGE plpgsql
AS $random_write$
DECLARE
    v_ids CONSTANT uuid[] := ARRAY(SELECT m.id FROM gravity_map AS m ORDER BY random() LIMIT 1 + floor(random() * 6));
    v_user CONSTANT text := (ARRAY['ada', 'bob', 'o''hara "%_\'])[1 + floor(random() * 3)];
BEGIN
    CASE floor(random() * 11)
        WHEN 0, 1, 2 THEN
            INSERT INTO gravity_map (user_id, content, embedding)
            SELECT v_user, pg_temp.random_content(), CASE WHEN random() < 0.7 THEN pg_temp.direction(random() - 0.5, random() - 0.5, random()) END
            FROM generate_series(1, 1 + (random() * 6)::integer);
        WHEN 3 THEN UPDATE gravity_map SET content = pg_temp.random_content() WHERE id = ANY (v_ids);
        WHEN 4 THEN UPDATE gravity_map SET embedding = CASE WHEN embedding IS NULL THEN pg_temp.direction(random() - 0.5, 1) END WHERE id = ANY (v_ids);
        WHEN 5 THEN UPDATE gravity_map SET user_id = v_user WHERE id = ANY (v_ids);
        WHEN 6 THEN UPDATE gravity_map SET id = gen_random_uuid(), created_at = created_at - random() * interval '90 days' WHERE id = ANY (v_ids);
        WHEN 7, 8 THEN DELETE FROM gravity_map WHERE id = ANY (v_ids);
        WHEN 9 THEN UPDATE gravity_map SET gravity_score = random(), content = content WHERE id = ANY (v_ids);
        ELSE
            INSERT INTO gravity_map (id, user_id, content)
            SELECT COALESCE(v_ids[i], gen_random_uuid()), v_user, pg_temp.random_content() FROM generate_series(1, 4) AS i
            ON CONFLICT (id) DO UPDATE SET content = EXCLUDED.content, user_id = EXCLUDED.user_id;
    END CASE;
END
$random_write$;
CREATE FUNCTION pg_temp.random_history(p_steps integer) RETURNS SETOF text
LANGUAGE plpgsql
AS $random_history$
DECLARE
    v_rolled_back integer := 0;
    v_wrong text;
BEGIN
    FOR v_step IN 1 .. p_steps LOOP
        PERFORM pg_temp.random_write();
        BEGIN
            PERFORM pg_temp.random_write();
            BEGIN
                PERFORM pg_temp.random_write();
                IF random() < 0.3 THEN
                    RAISE EXCEPTION USING ERRCODE = 'GM001';
                END IF;
            EXCEPTION WHEN SQLSTATE 'GM001' THEN
                v_rolled_back := v_rolled_back + 1;
            END;
            IF random() < 0.3 THEN
                RAISE EXCEPTION USING ERRCODE = 'GM001';
            END IF;
        EXCEPTION WHEN SQLSTATE 'GM001' THEN
            v_rolled_back := v_rolled_back + 1;
        END;
        FOR v_wrong IN SELECT * FROM pg_temp.wrong_derived() UNION ALL SELECT 'noted: ' || g.user_id FROM memory_recall_gaps AS g LOOP
            RETURN NEXT format('step %s: %s', v_step, v_wrong);
        END LOOP;
    END LOOP;
    IF v_rolled_back < p_steps / 4 OR (SELECT count(*) FROM memory_postings) < 100 THEN
        RETURN NEXT 'this history tells nothing';
    END IF;
END
$random_history$;
SELECT is_empty('SELECT * FROM pg_temp.random_history(50)', 'after any writes and rollbacks the derived rows are those of the memories');
CREATE TEMPORARY TABLE kept_digests AS SELECT d.* FROM memory_digests AS d;
CREATE TEMPORARY TABLE kept_postings AS SELECT p.* FROM memory_postings AS p;
SELECT _gravity_memory_fill_recall() IS NULL AS ignored \gset
SELECT bag_eq('SELECT d.* FROM memory_digests AS d', 'SELECT * FROM kept_digests', 'a rebuild derives the same digests');
SELECT bag_eq('SELECT p.* FROM memory_postings AS p', 'SELECT * FROM kept_postings', 'and the same postings');

-- Faults: the memory is stored, its user is noted, and recall answers from the memories themselves.

DELETE FROM gravity_map;
INSERT INTO gravity_map (user_id, content, embedding) SELECT v.user_id, 'tulips ' || i, pg_temp.random_vector(i)
FROM (VALUES ('gap'), ('whole')) AS v (user_id) CROSS JOIN generate_series(1, 20) AS i;
CREATE FUNCTION pg_temp.found(p_user_id text) RETURNS bigint LANGUAGE sql
AS $found$
    SELECT count(*) FROM recall_memories(p_user_id, 'tulips', p_limit => 100) AS r
    JOIN match_memories(pg_temp.direction(1), -1, 100, p_user_id) AS m ON m.id = r.id
$found$;
SAVEPOINT faults;
ALTER TABLE memory_digests ADD CONSTRAINT refuse CHECK (user_id <> 'gap') NOT VALID;
INSERT INTO gravity_map (user_id, content, embedding) VALUES ('gap', 'tulips, not derived', pg_temp.direction(1)), ('whole', 'tulips too', pg_temp.direction(1));
SELECT is((SELECT count(*) FROM gravity_map), 42::bigint, 'memories whose derived rows cannot be stored are stored all the same');
SELECT bag_eq('SELECT g.user_id, g.is_every_user FROM memory_recall_gaps AS g', $$VALUES ('gap', false), ('whole', false)$$,
              'the users of the statement are noted');
SELECT is(pg_temp.found('gap'), 21::bigint, 'and every memory is found by words and by meaning');
UPDATE gravity_map SET content = 'roses' WHERE content = 'tulips 1';
DELETE FROM gravity_map WHERE content = 'tulips 2';
SELECT is(pg_temp.found('gap'), 19::bigint, 'also after further writes');
SELECT is((SELECT count(*) FROM recall_memories('gap', 'roses')), 1::bigint, 'which are found as they are now');
SELECT is((SELECT count(*) FROM match_memories(pg_temp.direction(1), 0.999, 100, 'gap')), 1::bigint, 'most similar ones first');
ALTER TABLE memory_digests DROP CONSTRAINT refuse;
-- A rebuild, step by step as gravity_memory_rebuild_recall() takes them; rebuild.sql calls the procedure itself.
SELECT is(_gravity_memory_begin_rebuild(500, NULL, false), 2::bigint, 'a rebuild finds the users noted');
SELECT results_eq($$SELECT n.user_id, cardinality(n.memory_ids) FROM _gravity_memory_next_recall_gap(NULL, NULL) AS n$$, $$VALUES ('gap', 20)$$, 'takes the first');
SELECT results_eq($$SELECT n.user_id, cardinality(n.memory_ids) FROM _gravity_memory_next_recall_gap('gap', NULL) AS n$$, $$VALUES ('whole', 20)$$, 'then the next');
SELECT is_empty($$SELECT * FROM _gravity_memory_next_recall_gap('whole', NULL)$$, 'and no more');
SELECT results_eq(
    $$SELECT b.p_done, b.is_finished FROM _gravity_memory_next_recall_gap(NULL, 'gap') AS n
      CROSS JOIN LATERAL _gravity_memory_derive_batch(n.user_id, n.noted_at, n.memory_ids, 15, 0, '{}') AS b$$,
    $$VALUES (15, false)$$, 'a batch does as many memories as it is told');
SELECT is((SELECT count(*) FROM memory_recall_gaps AS g WHERE g.user_id = 'gap'), 1::bigint, 'until all are done the user stays noted');
SELECT results_eq(
    $$SELECT b.p_done, b.is_finished FROM _gravity_memory_next_recall_gap(NULL, 'gap') AS n
      CROSS JOIN LATERAL _gravity_memory_derive_batch(n.user_id, n.noted_at, n.memory_ids, 15, 15, '{}') AS b$$,
    $$VALUES (20, true)$$, 'the last batch finishes the user');
SELECT is((SELECT count(*) FROM memory_recall_gaps AS g WHERE g.user_id = 'gap'), 0::bigint, 'whose note is struck off');
SELECT results_eq(
    $$SELECT b.is_finished FROM _gravity_memory_next_recall_gap(NULL, 'whole') AS n
      CROSS JOIN LATERAL _gravity_memory_derive_batch(n.user_id, n.noted_at - interval '1 second', n.memory_ids, 500, 0, '{}') AS b$$,
    ARRAY[true], 'a user that was noted again meanwhile');
SELECT is((SELECT count(*) FROM memory_recall_gaps AS g WHERE g.user_id = 'whole'), 1::bigint, 'stays noted');
SELECT is_empty('SELECT * FROM pg_temp.wrong_derived()', 'after that nothing is wrong');
ROLLBACK TO faults;

CREATE FUNCTION pg_temp.without(p_table_name text) RETURNS text
LANGUAGE plpgsql
AS $without$
DECLARE
    v_outcome text := '';
BEGIN
    EXECUTE format('DROP TABLE %I', p_table_name);
    INSERT INTO gravity_map (user_id, content, embedding) VALUES ('gap', 'tulips', pg_temp.direction(1)), ('new', 'tulips', pg_temp.direction(1));
    v_outcome := v_outcome || 'found ' || pg_temp.found('gap') || ' and ' || pg_temp.found('new');
    UPDATE gravity_map SET content = 'roses' WHERE content = 'tulips 1';
    DELETE FROM gravity_map WHERE user_id = 'new' OR content = 'tulips 2';
    v_outcome := v_outcome || ', then ' || pg_temp.found('gap') || ' and ' || pg_temp.found('new');
    PERFORM gravity_memory_setup();
    v_outcome := v_outcome || '; wrong after setup: ' || (SELECT count(*) FROM pg_temp.wrong_derived()) || ', noted: ' || (SELECT count(*) FROM memory_recall_gaps)
        || ', found ' || pg_temp.found('gap');
    RAISE EXCEPTION USING ERRCODE = 'GM001';
EXCEPTION WHEN SQLSTATE 'GM001' THEN
    RETURN v_outcome;
END
$without$;
SELECT is(pg_temp.without(t), 'found 21 and 1, then 19 and 0; wrong after setup: 0, noted: 0, found 19',
          format('without the table %s memories are written and found, and setup makes it again, filled', t))
FROM unnest('{memory_digests,memory_postings,memory_recall_gaps}'::text[]) AS t;
SELECT is(pg_temp.without('gravity_memory_settings'), 'found 21 and 1, then 19 and 0; wrong after setup: 0, noted: 0, found 19',
          'without the table of settings the default text search configuration holds');

-- Rows removed by hand.
DELETE FROM memory_digests WHERE user_id = 'gap';
UPDATE memory_postings SET frequency = 7 WHERE memory_id IN (SELECT m.id FROM gravity_map AS m WHERE m.user_id = 'whole');
SELECT cmp_ok((SELECT count(*) FROM pg_temp.wrong_derived()), '>', 20::bigint, 'derived rows can be spoilt by hand');
SELECT is(_gravity_memory_begin_rebuild(500, NULL, true), 2::bigint, 'a rebuild of everything notes all users');
SELECT is((SELECT count(*) FROM memory_recall_gaps AS g
           CROSS JOIN LATERAL _gravity_memory_next_recall_gap(NULL, g.user_id) AS n
           CROSS JOIN LATERAL _gravity_memory_derive_batch(n.user_id, n.noted_at, n.memory_ids, 500, 0, '{}') AS b WHERE b.is_finished), 2::bigint, 'works them off');
SELECT is_empty('SELECT * FROM pg_temp.wrong_derived()', 'and puts all right');

-- An application's trigger that changes the memory after it was written.
CREATE FUNCTION pg_temp.append() RETURNS trigger LANGUAGE plpgsql AS $append$
BEGIN
    UPDATE gravity_map SET content = content || ' and tulips' WHERE id = NEW.id;
    RETURN NULL;
END
$append$;
CREATE TRIGGER pgtap_append AFTER INSERT ON gravity_map FOR EACH ROW EXECUTE FUNCTION pg_temp.append();
INSERT INTO gravity_map (user_id, content, embedding) VALUES ('gap', 'roses', pg_temp.direction(1));
SELECT is(pg_temp.found('gap'), 21::bigint, 'what an AFTER trigger of the application adds to a new memory is found');
DROP TRIGGER pgtap_append ON gravity_map;
SELECT _gravity_memory_fill_recall() IS NULL AS ignored \gset

-- Large loads, where the setting says so, are left to the rebuild.

SELECT gravity_memory_set('derive_bulk_rows', '3') AS ignored \gset
SELECT count(*) AS digests FROM memory_digests \gset
INSERT INTO gravity_map (user_id, content, embedding)
SELECT 'bulk ' || i % 2, 'tulips ' || i, pg_temp.direction(i) FROM generate_series(1, 3) AS i;
SELECT is((SELECT count(*) FROM memory_digests), :digests::bigint + 3, 'an INSERT of no more than derive_bulk_rows rows derives at once');
INSERT INTO gravity_map (user_id, content, embedding)
SELECT 'bulk ' || i % 2, 'roses ' || i, pg_temp.direction(i) FROM generate_series(1, 4) AS i;
SELECT is((SELECT count(*) FROM memory_digests), :digests::bigint + 3, 'a larger one derives nothing,');
SELECT results_eq('SELECT user_id, only_missing FROM memory_recall_gaps ORDER BY 1', $$VALUES ('bulk 0', true), ('bulk 1', true)$$, 'notes its users,');
SELECT is((SELECT count(*) FROM recall_memories('bulk 1', 'roses tulips', p_limit => 100)), 4::bigint, 'and recall is complete');
SELECT is((SELECT cardinality(n.memory_ids) FROM _gravity_memory_next_recall_gap(NULL, 'bulk 1') AS n), 2, 'the rebuild has but to add what is missing');
SELECT _gravity_memory_note_recall_gaps(ARRAY['bulk 1']) IS NULL AS ignored \gset
INSERT INTO gravity_map (user_id, content) SELECT 'bulk 1', 'lilies' FROM generate_series(1, 4);
SELECT is((SELECT cardinality(n.memory_ids) FROM _gravity_memory_next_recall_gap(NULL, 'bulk 1') AS n), 8, 'unless something else was noted of the user, too');
SELECT is((SELECT count(*) FROM memory_recall_gaps AS g
           CROSS JOIN LATERAL _gravity_memory_next_recall_gap(NULL, g.user_id) AS n
           CROSS JOIN LATERAL _gravity_memory_derive_batch(n.user_id, n.noted_at, n.memory_ids, 500, 0, '{}') AS b WHERE b.is_finished), 2::bigint, 'it works them off');
SELECT is_empty('SELECT * FROM pg_temp.wrong_derived()', 'and all is as if derived at once');
SELECT gravity_memory_reset('derive_bulk_rows') IS NULL AS ignored \gset
INSERT INTO gravity_map (user_id, content) SELECT 'bulk 1', 'irises' FROM generate_series(1, 200);
SELECT is_empty('SELECT * FROM pg_temp.wrong_derived()', 'by default every INSERT derives at once');

-- Impossible arguments of the rebuild.

SELECT is(row(e.state, e.message LIKE v.says, e.hint <> '')::text, row(v.state, true, true)::text, format('CALL gravity_memory_rebuild_recall(%s) is refused', v.arguments))
FROM (VALUES ('0', '22023', '%from 1 to 100000, not 0'), ('-1', '22023', '%from 1 to 100000, not -1'), ('100001', '22023', '%from 1 to 100000, not 100001'),
             ('NULL', '22023', '%from 1 to 100000, not NULL'), ('p_user_id => ''u'', p_everything => true', '22023', '%exclude each other')) AS v (arguments, state, says)
CROSS JOIN LATERAL pg_temp.error_of(format('CALL gravity_memory_rebuild_recall(%s)', v.arguments)) AS e;
SELECT is(e.state, '2D000', 'and so is any CALL inside a transaction block: it commits') FROM pg_temp.error_of('CALL gravity_memory_rebuild_recall()') AS e;

-- Who may: a writer needs nothing but its rights on gravity_map; the derived tables are the owner's alone.

SELECT pg_temp.new_role('gravity_memory_pgtap_writer') AS ignored \gset
GRANT SELECT, INSERT, UPDATE, DELETE ON gravity_map TO gravity_memory_pgtap_writer;
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_writer', v.statement)).state, v.state,
          format('a writer %s %s', CASE WHEN v.state IS NULL THEN 'may' ELSE 'may not' END, v.says))
FROM (VALUES
    ('insert', $$INSERT INTO gravity_map (user_id, content) VALUES ('writer', 'tulips'), ('writer', 'roses')$$, NULL),
    ('update', $$UPDATE gravity_map SET content = 'lilies' WHERE content = 'roses'$$, NULL),
    ('delete', $$DELETE FROM gravity_map WHERE user_id = 'writer' AND content = 'tulips'$$, NULL),
    ('read digests', 'SELECT FROM memory_digests', '42501'),
    ('read postings', 'SELECT FROM memory_postings', '42501'),
    ('read the notes', 'SELECT FROM memory_recall_gaps', '42501'),
    ('write a note', $$INSERT INTO memory_recall_gaps (user_id, is_every_user) VALUES ('', true)$$, '42501'),
    ('rebuild', 'CALL gravity_memory_rebuild_recall()', '42501')
) AS v (says, statement, state);
SELECT is_empty('SELECT * FROM pg_temp.wrong_derived()', 'what the writer wrote is derived');

-- Derived tables that belong to somebody else, as after a restore by another role: the functions lend that one no power.
SAVEPOINT foreign_owner;
CREATE ROLE gravity_memory_pgtap_foreign;
ALTER TABLE memory_postings OWNER TO gravity_memory_pgtap_foreign;
INSERT INTO gravity_map (user_id, content, embedding) VALUES ('gap', 'tulips', pg_temp.direction(1));
SELECT is(pg_temp.found('gap'), 22::bigint, 'with a derived table of another owner recall is complete');
SELECT is_empty('SELECT * FROM pg_temp.wrong_derived()', 'and rows are derived while no code hangs on the table');
CREATE FUNCTION pg_temp.intruder() RETURNS trigger LANGUAGE plpgsql AS $intruder$ BEGIN RAISE EXCEPTION 'ran with the rights of %', current_user; END $intruder$;
CREATE TRIGGER pgtap_intruder BEFORE INSERT ON memory_postings FOR EACH ROW EXECUTE FUNCTION pg_temp.intruder();
SELECT is((pg_temp.error_of($$INSERT INTO gravity_map (user_id, content, embedding) VALUES ('gap', 'tulips', pg_temp.direction(1))$$)).message, NULL,
          'code that hangs on it is not run, and the memory is stored');
SELECT is(pg_temp.found('gap'), 23::bigint, 'and found');
ROLLBACK TO foreign_owner;
SELECT is_empty('SELECT * FROM pg_temp.wrong_derived()', 'at the end of this file, too, the derived rows are those of the memories');

SELECT * FROM finish();
ROLLBACK;
