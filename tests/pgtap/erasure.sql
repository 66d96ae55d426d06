-- Erasure: all that is held of a user is removed, proved gone, exported and imported.
BEGIN;
\ir support/session.psql
\ir support/vectors.psql
\ir support/derived.psql
SELECT plan(66);

SELECT gravity_memory_set('feed', 'on') IS NULL AS ignored \gset
-- fill(): something of a user in every table, with texts and values that are easily lost on the way.
CREATE FUNCTION pg_temp.fill(p_user_id text) RETURNS void LANGUAGE sql
AS $fill$
    INSERT INTO gravity_map (user_id, content, gravity_score, emotion_type, entities, metadata, embedding, created_at)
    SELECT p_user_id, v.content, v.gravity, 'joy', v.entities, v.metadata, v.embedding, v.created_at
    FROM (VALUES
        (E'quotes '' " \\ and\nlines\r\tand {"json": [1]}', 0.1 + 0.2, '{"a \"b\"",NULL,""}'::text[], 'null'::jsonb, pg_temp.direction(1.0 / 3), now()),
        ('emoji 😀, e + U+0301: é, RTL: שלום', 1.0 / 3, NULL, '{"a": null, "b": [1.10, "x"]}', NULL, '2020-02-29 23:59:59.999999+00'),
        ('', 0.9, '{}', '{}', pg_temp.direction(1e-20, 2), 'infinity'),
        (NULL, 0.95, '{x}', '[]', NULL, '4000-01-01 BC'),
        ('joyful', 0.9, '{x}', '"text"', NULL, now()), ('joyful', 0.9, '{x}', '1.000', NULL, now()), ('joyful', 0.9, '{x}', '{}', NULL, now())
    ) AS v (content, gravity, entities, metadata, embedding, created_at);
    INSERT INTO memory_arcs (user_id, arc_name, growth_vector, gravity_center) VALUES (p_user_id, 'by hand', '{"x": null}', 0.7);
    INSERT INTO memory_arc_associations (memory_id, arc_id, user_id, fusion_strength)
    SELECT m.id, a.id, NULL, 1e-300 FROM gravity_map AS m JOIN memory_arcs AS a ON a.user_id = m.user_id AND a.arc_name = 'by hand' WHERE m.user_id = p_user_id AND m.content = '';
    INSERT INTO consciousness_cache (user_id, query_text, response, confidence) VALUES (p_user_id, 'q', repeat('é', 9000), 0.1);
    INSERT INTO active_sessions (session_id, user_id, mode_history) VALUES ('pgtap ' || p_user_id, p_user_id, '["a"]');
    INSERT INTO pattern_matrix (user_id, instances, metadata) VALUES (p_user_id, 'null', NULL);
    INSERT INTO memory_recall_gaps (user_id, is_every_user) VALUES (p_user_id, false);
    UPDATE gravity_map SET topic = 'x' WHERE user_id = p_user_id AND content = '';
$fill$;
-- held_of(): every row of a user, as PostgreSQL prints it.
CREATE FUNCTION pg_temp.held_of(p_user_id text) RETURNS SETOF text LANGUAGE sql
AS $held_of$
    SELECT 'memory ' || m.* FROM gravity_map AS m WHERE m.user_id = p_user_id
    UNION ALL SELECT 'arc ' || a.* FROM memory_arcs AS a WHERE a.user_id = p_user_id
    UNION ALL SELECT 'link ' || l.* FROM memory_arc_associations AS l JOIN memory_arcs AS a ON a.id = l.arc_id WHERE a.user_id = p_user_id
    UNION ALL SELECT 'cache ' || c.* FROM consciousness_cache AS c WHERE c.user_id = p_user_id
    UNION ALL SELECT 'session ' || s.* FROM active_sessions AS s WHERE s.user_id = p_user_id
    UNION ALL SELECT 'pattern ' || p.* FROM pattern_matrix AS p WHERE p.user_id = p_user_id
$held_of$;
SELECT pg_temp.fill('pgtap ana'), pg_temp.fill('pgtap ben') \gset ignored_
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
CREATE TEMPORARY TABLE held AS SELECT h FROM pg_temp.held_of('pgtap ana') AS h;
SELECT is((SELECT count(*) FROM held), 16::bigint, 'there is something of her to lose');

-- Export.

-- Whatever the session says about numbers and times.
SELECT current_setting('timezone') AS timezone \gset
SELECT set_config('timezone', 'Asia/Kolkata', true), set_config('extra_float_digits', '-15', true), set_config('datestyle', 'German', true) \gset ignored_
CREATE TEMPORARY TABLE line AS SELECT l.line, l.number FROM gravity_memory_export_user('pgtap ana') WITH ORDINALITY AS l (line, number);
SELECT set_config('timezone', :'timezone', true), set_config('extra_float_digits', '1', true), set_config('datestyle', 'ISO', true) \gset ignored_
SELECT is((SELECT row(l.line::json ->> 'format', l.line::json ->> 'user_id', l.line::json ->> 'gravity_memory')::text FROM line AS l WHERE l.number = 1),
          (SELECT format('(1,"pgtap ana",%s)', e.extversion) FROM pg_extension AS e WHERE e.extname = 'gravity_memory'), 'an export begins with what it is');
SELECT results_eq(
    $$SELECT l.line::json ->> 'table', count(*) FROM line AS l WHERE l.number > 1 GROUP BY 1 ORDER BY min(l.number)$$,
    $$VALUES ('gravity_map', 7::bigint), ('memory_arcs', 2), ('memory_arc_associations', 4), ('consciousness_cache', 1), ('active_sessions', 1), ('pattern_matrix', 1), ('memory_events', 12)$$,
    'then come the rows, in an order in which they can be imported');
SELECT is((SELECT count(*) FROM line AS l WHERE l.line ~ '[\n\r]'), 0::bigint, 'one on each line');
SELECT is((SELECT count(*) FROM line AS l WHERE l.line ~ 'ben'), 0::bigint, 'with nothing of anybody else''s');
SELECT is((SELECT count(*) FROM line AS l, json_object_keys(l.line::json -> 'row') AS k WHERE l.number = 2),
          (SELECT count(*) FROM pg_attribute AS a WHERE a.attrelid = 'gravity_map'::regclass AND a.attnum > 0 AND NOT a.attisdropped), 'and every column');
SELECT is((SELECT count(*) FROM gravity_memory_export_user('pgtap nobody')), 1::bigint, 'of who is not there there is nothing to export');

-- Forgetting.

INSERT INTO memory_arcs (user_id, arc_name) VALUES ('pgtap ben', 'of both');
INSERT INTO memory_arc_associations (memory_id, arc_id, fusion_strength)
SELECT m.id, a.id, 5 FROM gravity_map AS m, memory_arcs AS a WHERE a.arc_name = 'of both' AND m.user_id IN ('pgtap ana', 'pgtap ben') AND m.content = '';
SELECT is((SELECT a.memory_count FROM memory_arcs AS a WHERE a.arc_name = 'of both'), 2, 'a memory of hers is in an arc of his');
CREATE TEMPORARY TABLE his AS SELECT h FROM pg_temp.held_of('pgtap ben') AS h WHERE h !~ 'of both|,5,';
CREATE TEMPORARY TABLE postings AS SELECT count(*) AS of_her FROM memory_digests AS d, unnest(d.term_keys) WHERE d.user_id = 'pgtap ana';
CREATE TEMPORARY TABLE receipt AS SELECT * FROM gravity_memory_forget_user('pgtap ana');
SELECT bag_eq(
    'SELECT * FROM receipt',
    $$SELECT v.* FROM (VALUES ('memory_arc_associations', 5::bigint), ('memory_arcs', 2), ('memory_postings', (SELECT p.of_her FROM postings AS p)),
             ('memory_digests', 7), ('gravity_map', 7), ('consciousness_cache', 1), ('active_sessions', 1), ('pattern_matrix', 1), ('memory_recall_gaps', 1), ('memory_arc_locks', 1), ('memory_events', 12)) AS v$$,
    'forgetting returns what was held, table by table');
SELECT is_empty($$SELECT * FROM gravity_memory_verify_forgotten('pgtap ana') AS v WHERE v.remaining <> 0$$, 'and leaves nothing');
SELECT bag_eq($$SELECT v.table_name FROM gravity_memory_verify_forgotten('pgtap ana') AS v$$, 'SELECT r.table_name FROM receipt AS r', 'which is looked up in the same tables');
SELECT is((SELECT count(*) FROM _gravity_memory_table_catalogue() AS t WHERE t.table_name <> 'gravity_memory_settings' AND t.table_name NOT IN (SELECT r.table_name FROM receipt AS r)), 0::bigint,
          'and those are all tables but the settings');
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
SELECT is_empty($$SELECT * FROM gravity_memory_verify_forgotten('pgtap ana') AS v WHERE v.remaining <> 0$$, 'nor does the commit write anything of her');
SELECT bag_eq($$SELECT h FROM pg_temp.held_of('pgtap ben') AS h WHERE h !~ 'of both|,5,'$$, 'SELECT h FROM his', 'what is held of others is as it was');
SELECT is((SELECT a.memory_count FROM memory_arcs AS a WHERE a.arc_name = 'of both'), 1, 'his arc has lost her memory');
SELECT is((SELECT count(*) FROM memory_events AS e WHERE e.user_id = ''), 1::bigint, 'what the feed says of itself stays');
SELECT is((SELECT sum(r.removed) FROM gravity_memory_forget_user('pgtap ana') AS r), 0::numeric, 'who is forgotten already is so twice');
SELECT is_empty('SELECT * FROM pg_temp.wrong_derived()', 'what recall reads is what the memories say');

-- Import.

CREATE TEMPORARY TABLE imported AS SELECT * FROM gravity_memory_import_user('pgtap ana', ARRAY(SELECT l.line FROM line AS l ORDER BY l.number));
SELECT bag_eq(
    'SELECT * FROM imported',
    $$VALUES ('gravity_map', 7::bigint, 0::bigint), ('memory_arcs', 2, 0), ('memory_arc_associations', 4, 0), ('consciousness_cache', 1, 0), ('active_sessions', 1, 0), ('pattern_matrix', 1, 0), ('memory_events', 0, 12)$$,
    'an import makes the rows, and leaves out the events of another time');
SELECT bag_eq($$SELECT h FROM pg_temp.held_of('pgtap ana') AS h$$, 'SELECT h FROM held', 'every row is what it was, to the last digit');
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
SELECT bag_eq($$SELECT h FROM pg_temp.held_of('pgtap ana') AS h$$, 'SELECT h FROM held', 'after the commit too');
SELECT is_empty('SELECT * FROM pg_temp.wrong_derived()', 'and what recall reads is there');
SELECT is((SELECT count(*) FROM recall_memories('pgtap ana', 'joyful')  AS r WHERE r.content = 'joyful'), 3::bigint, 'so that her memories are found');
SELECT is((SELECT sum(i.inserted) FROM gravity_memory_import_user('pgtap ana', ARRAY(SELECT l.line FROM line AS l ORDER BY l.number)) AS i), 0::numeric, 'importing twice changes nothing');
SELECT bag_eq($$SELECT h FROM pg_temp.held_of('pgtap ana') AS h$$, 'SELECT h FROM held', 'at all');
INSERT INTO gravity_map (user_id, gravity_score, emotion_type) VALUES ('pgtap ana', 0.9, 'joy');
SELECT is((SELECT a.memory_count FROM memory_arcs AS a WHERE a.user_id = 'pgtap ana' AND a.arc_name = 'joy arc (auto-created)'), 4, 'her arcs go on from there');
SELECT is((SELECT m.meta_tags FROM gravity_map AS m WHERE m.user_id = 'pgtap ana' AND m.content IS NULL AND m.created_at = now()), '{high_gravity}'::text[], 'and new memories are tagged again');
SELECT count(*) AS ignored FROM gravity_memory_forget_user('pgtap ana') \gset
SELECT is((SELECT sum(i.inserted) FROM line AS l CROSS JOIN LATERAL gravity_memory_import_user('pgtap ana', ARRAY[l.line]) AS i), 16::numeric, 'line by line it can be imported as well');
SELECT bag_eq($$SELECT h FROM pg_temp.held_of('pgtap ana') AS h$$, 'SELECT h FROM held', 'with the same result');
SELECT is_empty('SELECT * FROM gravity_memory_import_user(''pgtap ana'', ''{}'')', 'no lines make no rows');
SELECT is_empty($$SELECT * FROM gravity_memory_import_user('pgtap ana', '{"",NULL," "}')$$, 'nor do empty ones');

-- Columns of the application: more of them, generated ones, and fewer.

ALTER TABLE gravity_map ADD COLUMN pgtap_source json, ADD COLUMN pgtap_length integer GENERATED ALWAYS AS (length(content)) STORED,
    ADD COLUMN pgtap_number bigint GENERATED ALWAYS AS IDENTITY, ADD COLUMN "pgtap ""Quoted"" %" text DEFAULT 'x';
-- A column called like the alias in a query, dates that depend on the session inside of another type, and a type with a cast to json of its own.
CREATE TYPE pgtap_mood AS ENUM ('glad');
CREATE FUNCTION pgtap_mood_to_json(pgtap_mood) RETURNS json LANGUAGE sql IMMUTABLE AS 'SELECT ''{"mood": 1}''::json';
CREATE CAST (pgtap_mood AS json) WITH FUNCTION pgtap_mood_to_json(pgtap_mood);
CREATE DOMAIN pgtap_document AS jsonb;
ALTER TABLE gravity_map ADD COLUMN t text DEFAULT 't', ADD COLUMN x interval DEFAULT '1 year -3 days 00:00:00.5', ADD COLUMN "row" tstzrange DEFAULT '[2020-02-03, 2020-03-04)',
    ADD COLUMN pgtap_mood pgtap_mood DEFAULT 'glad', ADD COLUMN pgtap_document pgtap_document DEFAULT 'null', ADD COLUMN pgtap_bytes bytea DEFAULT '\x00ff',
    ADD COLUMN pgtap_half numeric DEFAULT 'NaN';
UPDATE gravity_map SET pgtap_source = E'{"b": 1,\n "a": 1, "b": 2}' WHERE user_id = 'pgtap ana';
TRUNCATE line, held;
SELECT set_config('datestyle', 'SQL, DMY', true), set_config('intervalstyle', 'sql_standard', true) \gset ignored_
INSERT INTO line SELECT l.line, l.number FROM gravity_memory_export_user('pgtap ana') WITH ORDINALITY AS l (line, number);
SELECT set_config('datestyle', 'SQL, MDY', true), set_config('intervalstyle', 'iso_8601', true) \gset ignored_
INSERT INTO held SELECT translate(h, E'\n', ' ') FROM pg_temp.held_of('pgtap ana') AS h;
SELECT is((SELECT count(*) FROM line AS l WHERE l.line ~ '[\n\r]'), 0::bigint, 'a column of type json brings no line break');
SELECT count(*) AS ignored FROM gravity_memory_forget_user('pgtap ana') \gset
SELECT is((SELECT i.inserted FROM gravity_memory_import_user('pgtap ana', ARRAY(SELECT l.line FROM line AS l ORDER BY l.number)) AS i WHERE i.table_name = 'gravity_map'), 7::bigint,
          'rows with columns of the application');
SELECT bag_eq($$SELECT translate(h, E'\n', ' ') FROM pg_temp.held_of('pgtap ana') AS h WHERE h ~ '^memory '$$, $$SELECT h FROM held WHERE h ~ '^memory '$$, 'are made with all of them');
SELECT count(*) AS ignored FROM gravity_memory_forget_user('pgtap ana') \gset
SELECT set_config('datestyle', 'ISO', true), set_config('intervalstyle', 'postgres', true) \gset ignored_
ALTER TABLE gravity_map DROP COLUMN pgtap_source, DROP COLUMN pgtap_number;
SELECT matches(e.state || ': ' || e.message || '; ' || e.hint, '^42703: the table gravity_map lacks columns of the export: pgtap_number, pgtap_source; Add them', 'where the table lacks a column, nothing is lost in silence')
FROM pg_temp.error_of($$SELECT * FROM gravity_memory_import_user('pgtap ana', ARRAY(SELECT l.line FROM line AS l ORDER BY l.number))$$) AS e;
SELECT is((SELECT sum(v.remaining) FROM gravity_memory_verify_forgotten('pgtap ana') AS v), 0::numeric, 'and nothing is half done');
SELECT is(current_setting('gravity_memory.importing', true), '', 'triggers tag and gather again after an error');

-- What is no export.

SELECT is(e.state || CASE WHEN e.hint <> '' THEN '' ELSE ' without a hint' END, v.state, format('%s is refused, with what to do', v.description))
FROM (VALUES
    ('no JSON', '{"x', '22P02'), ('a number', '17', '22023'), ('an object of another kind', '{"x": 1}', '22023'), ('a table that is not there', '{"table": "pg_authid", "row": {}}', '22023'),
    ('a derived table', '{"table": "memory_digests", "row": {"user_id": "pgtap ana"}}', '22023'),
    ('the settings', '{"table": "gravity_memory_settings", "row": {"user_id": "pgtap ana", "name": "notify", "value": "off"}}', '22023'),
    ('an empty row', '{"table": "memory_arc_associations", "row": { }}', '22023'), ('a row that is none', '{"table": "gravity_map", "row": []}', '22023'), ('a row that is missing', '{"table": "gravity_map"}', '22023'),
    ('somebody else''s row', '{"table": "gravity_map", "row": {"user_id": "pgtap ben"}}', '22023'), ('nobody''s row', '{"table": "gravity_map", "row": {"user_id": null}}', '22023'),
    ('somebody else''s export', '{"gravity_memory": "0.4.0", "format": 1, "user_id": "pgtap ben"}', '22023'),
    ('a format of another time', '{"gravity_memory": "9.0.0", "format": 2, "user_id": "pgtap ana"}', '22023'),
    ('a link to what is not there', '{"table": "memory_arc_associations", "row": {"memory_id": "00000000-0000-0000-0000-000000000000", "arc_id": "00000000-0000-0000-0000-000000000000"}}', '23503')
) AS v (description, line, state)
CROSS JOIN LATERAL pg_temp.error_of(format('SELECT * FROM gravity_memory_import_user(''pgtap ana'', ARRAY[%L])', v.line)) AS e;
SELECT is((pg_temp.error_of(format('SELECT * FROM gravity_memory_import_user(''pgtap ana'', ARRAY[%L])',
           json_build_object('table', 'memory_arc_associations', 'row', json_build_object('memory_id', m.id, 'arc_id', a.id, 'user_id', 'pgtap ana'))::text))).state,
          '22023', 'a link that leads to rows of somebody else is refused')
FROM gravity_map AS m, memory_arcs AS a WHERE (m.user_id, m.content, a.arc_name) = ('pgtap ben', '', 'by hand') AND a.user_id = 'pgtap ben';

SELECT matches((pg_temp.error_of($$SELECT * FROM gravity_memory_import_user('pgtap ana', ARRAY['', '{}', NULL, '{"x']) $$)).message, 'no JSON, line 4:', 'which line is no JSON is told');
SELECT set_config('gravity_memory.importing', 'on', true) AS ignored \gset
SELECT count(*) AS ignored FROM gravity_memory_import_user('pgtap ana', '{}') \gset
SELECT is(current_setting('gravity_memory.importing'), 'on', 'what the caller said of importing stays');
SELECT set_config('gravity_memory.importing', '', true) AS ignored \gset

-- Who may, and when.

SELECT is((pg_temp.error_of(format('SELECT * FROM %s', v.call))).state, '22004', format('%s needs a user', v.call))
FROM (VALUES ('gravity_memory_forget_user(NULL)'), ('gravity_memory_verify_forgotten(NULL)'), ('gravity_memory_export_user(NULL)'), ('gravity_memory_import_user(NULL, ''{}'')'),
             ('gravity_memory_import_user(''x'', NULL)')) AS v (call);
SELECT pg_temp.new_role('gravity_memory_pgtap_erase') AS ignored \gset
GRANT SELECT, INSERT, DELETE ON gravity_map, memory_arcs, memory_arc_associations, consciousness_cache, active_sessions, pattern_matrix TO gravity_memory_pgtap_erase;
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_erase', 'SELECT * FROM gravity_memory_forget_user(''pgtap ben'')')).state, '42501', 'only who is granted it may forget a user');
GRANT EXECUTE ON FUNCTION gravity_memory_forget_user(text), gravity_memory_export_user(text) TO gravity_memory_pgtap_erase;
SELECT matches(e.state || ': ' || e.message || '; ' || e.hint, '^42501: row security hides rows of memory_postings from gravity_memory_pgtap_erase; Run it as the owner', 'and who sees all of it')
FROM pg_temp.error_of_as('gravity_memory_pgtap_erase', 'SELECT * FROM gravity_memory_forget_user(''pgtap ben'')') AS e;
SELECT is((SELECT count(*) FROM gravity_map AS m WHERE m.user_id = 'pgtap ben'), 7::bigint, 'nothing is half done');
-- Without triggers, as after gravity_memory_teardown(), and with rows that nothing leads to.
SELECT count(*) AS ignored FROM gravity_memory_teardown() \gset
INSERT INTO gravity_map (user_id, content) VALUES ('pgtap ben', 'not derived');
INSERT INTO memory_postings (term_key, memory_id, frequency, length) SELECT 17, m.id, 1, 1 FROM gravity_map AS m WHERE m.content = 'not derived';
SELECT count(*) AS ignored FROM gravity_memory_forget_user('pgtap ben') \gset
SELECT is((SELECT sum(v.remaining) FROM gravity_memory_verify_forgotten('pgtap ben') AS v), 0::numeric, 'without triggers a user is forgotten all the same, rows that no digest leads to included');
INSERT INTO memory_postings (term_key, memory_id, frequency, length) VALUES (17, gen_random_uuid(), 1, 1);
SELECT is((SELECT v.remaining FROM gravity_memory_verify_forgotten('pgtap ben') AS v WHERE v.table_name = 'memory_postings'), 1::bigint, 'postings of no memory are told, because nobody knows whose they are');
INSERT INTO gravity_map (user_id) VALUES ('pgtap ben');
SELECT is((SELECT v.remaining FROM gravity_memory_verify_forgotten('pgtap ben') AS v WHERE v.table_name = 'gravity_map'), 1::bigint, 'so is what was written since');
ALTER TABLE pattern_matrix RENAME TO pgtap_elsewhere;
SELECT is((pg_temp.error_of('SELECT * FROM gravity_memory_forget_user(''pgtap ben'')')).state, '55000', 'without one of the tables nothing is said to be forgotten');

SELECT * FROM finish();
ROLLBACK;
