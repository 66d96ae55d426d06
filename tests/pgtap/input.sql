-- Input: whatever an application writes, and whatever was broken by hand, the memory is stored as it came or refused in plain words.
BEGIN;
\ir support/session.psql
SELECT plan(136);

-- Texts. Every text column takes every text, and gives it back.

CREATE TEMPORARY TABLE texts (name text, value text);
INSERT INTO texts VALUES
    ('an empty text', ''), ('a blank', ' '), ('single quotes', 'it''s ''quoted'''), ('double quotes', '"x"'), ('percent signs', '%s 50% %%'),
    ('underscores', '_'), ('backslashes', 'a\b\\c\'), ('dollars', '$1 $$ $x$'), ('braces', '{a,b}'), ('brackets', '["a"]'),
    ('JSON', '{"id": null}'), ('line breaks', E'a\nb\r\nc'), ('control characters', E'\x01\x1f\x7f'), ('emoji', '🦊👩‍👩‍👧'), ('other scripts', 'Zoë 日本語 عربى'),
    ('a statement', '''); DROP TABLE gravity_map; --'), ('a pattern', '(.*'), ('NULL as a word', 'NULL'), ('8 kB', repeat('gravity ', 1024)),
    ('8 kB of emoji', repeat('🦊', 2048)), ('8 kB of quotes and backslashes', repeat('''\', 4096));

INSERT INTO gravity_map (user_id, thread_id, session_id, memory_trace_id, content, summary, topic, gravity_score, emotion_type, entities, meta_tags,
                         temporal_type, metadata)
SELECT 'pgtap input ' || t.value, t.value, t.value, t.value, t.value, t.value, t.value, 0.9, t.value, ARRAY[t.value, t.value], ARRAY[t.value],
       t.value, jsonb_build_object(t.value, t.value)
FROM texts AS t CROSS JOIN generate_series(1, 3);
SELECT is((SELECT count(*) FROM gravity_map AS m
           WHERE m.user_id = 'pgtap input ' || t.value AND m.thread_id = t.value AND m.session_id = t.value AND m.memory_trace_id = t.value
             AND m.content = t.value AND m.summary = t.value AND m.topic = t.value AND m.emotion_type = t.value
             AND m.entities = ARRAY[t.value, t.value] AND m.meta_tags = ARRAY[t.value, 'high_gravity'] AND m.temporal_type = t.value
             AND m.metadata = jsonb_build_object(t.value, t.value)),
          3::bigint, format('%s is stored as it came, in every column, and tagged', t.name))
FROM texts AS t;
SELECT is((SELECT array_agg(a.arc_name || ', ' || a.memory_count ORDER BY a.arc_name) FROM memory_arcs AS a WHERE a.user_id = 'pgtap input ' || t.value),
          CASE WHEN t.value <> '' THEN ARRAY[t.value || ' arc (auto-created), 3'] END,
          format('as an emotion, %s %s', t.name, CASE WHEN t.value = '' THEN 'forms no arc' ELSE 'forms its arc' END))
FROM texts AS t;
SELECT is((SELECT count(*) FROM memory_arc_associations AS l WHERE l.user_id LIKE 'pgtap input %'), 60::bigint,
          'and no arc takes in another emotion''s memories');
SET CONSTRAINTS ALL IMMEDIATE;

-- Long texts that do not compress: what is only stored has no limit, what is indexed has PostgreSQL's.

SELECT string_agg(md5(i::text), '') AS noise FROM generate_series(1, 256) AS i \gset
SELECT is((pg_temp.error_of(format('INSERT INTO gravity_map (user_id, %s) VALUES (''pgtap input noise'', %L)', v.column_name, :'noise'))).state, v.state,
          format('8 kB of noise as %s %s', v.column_name, CASE WHEN v.state IS NULL THEN 'is stored' ELSE 'is refused: too long for its index' END))
FROM (VALUES ('content', NULL), ('summary', NULL), ('topic', NULL), ('thread_id', '54000'), ('emotion_type', '54000')) AS v (column_name, state);

-- Nothing at all.

INSERT INTO gravity_map (user_id, thread_id, session_id, memory_trace_id, content, summary, topic, gravity_score, emotion_type, entities, meta_tags,
                         temporal_type, embedding)
VALUES ('pgtap input null', NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
SELECT results_eq($$SELECT m.gravity_score, m.meta_tags, m.entities, m.identity_anchor, m.temporal_type FROM gravity_map AS m WHERE m.user_id = 'pgtap input null'$$,
                  $$VALUES (NULL::double precision, NULL::text[], NULL::text[], false, 'present')$$, 'a memory of nothing but NULLs is stored; it is present');
INSERT INTO gravity_map (user_id) VALUES ('pgtap input empty');
SELECT results_eq($$SELECT m.gravity_score, m.meta_tags, m.identity_anchor, m.temporal_type, m.metadata, m.created_at FROM gravity_map AS m WHERE m.user_id = 'pgtap input empty'$$,
                  $$VALUES (0.5::double precision, '{}'::text[], false, 'present', '{}'::jsonb, now())$$, 'a user is all that a memory needs');
SELECT is((pg_temp.error_of('INSERT INTO gravity_map (user_id, content) VALUES (NULL, ''x'')')).state, '23502', 'and it does need one');
SELECT is((pg_temp.error_of(format('INSERT INTO gravity_map (user_id, gravity_score) VALUES (''pgtap input'', %L)', v.gravity_score))).state, '23514',
          format('gravity %s is refused', v.gravity_score))
FROM (VALUES ('-0.1'), ('1.1'), ('NaN'), ('Infinity'), ('-Infinity')) AS v (gravity_score);

-- Times.

INSERT INTO gravity_map (user_id, gravity_score, emotion_type, created_at)
SELECT 'pgtap input ' || t, 0.9, 'joy', t FROM unnest('{infinity,-infinity,"4713-01-01 BC","2000-01-01"}'::timestamptz[]) AS t CROSS JOIN generate_series(1, 3);
SELECT is((SELECT a.memory_count FROM memory_arcs AS a WHERE a.user_id = 'pgtap input ' || t), CASE WHEN isfinite(t) THEN 3 END,
          format('memories of %s are stored%s', t::text, CASE WHEN isfinite(t) THEN ' and form arcs' ELSE '; times without an end are no cluster' END))
FROM unnest('{infinity,-infinity,"4713-01-01 BC","2000-01-01"}'::timestamptz[]) AS t;
INSERT INTO gravity_map (user_id, gravity_score, emotion_type, created_at)
SELECT 'pgtap input last day', 0.9, 'joy', '294276-12-31 23:59:59+00' FROM generate_series(1, 3);
SELECT is((SELECT count(*) FROM gravity_map AS m WHERE m.user_id = 'pgtap input last day'), 3::bigint,
          'even on the last day of PostgreSQL''s calendar memories are stored');
SET CONSTRAINTS ALL IMMEDIATE;

-- Arrays of two dimensions. array_append() refuses them; the memory is stored with the tags as they came.

INSERT INTO gravity_map (user_id, content, gravity_score, entities, meta_tags, emotion_type)
VALUES ('pgtap input 2d', 'yesterday', 0.9, '{{Blu,Matt},{Atlas,Ivy}}', '{{a,b},{c,d}}', 'joy'),
       ('pgtap input 2d low', 'yesterday', 0.1, '{{x,y}}', '{{a,b},{c,d}}', 'joy');
SELECT results_eq($$SELECT m.user_id, m.content, m.meta_tags, m.entities, m.identity_anchor FROM gravity_map AS m WHERE m.user_id LIKE 'pgtap input 2d%' ORDER BY m.user_id$$,
                  $$VALUES ('pgtap input 2d', 'yesterday', '{{a,b},{c,d}}'::text[], '{{Blu,Matt},{Atlas,Ivy}}'::text[], true),
                           ('pgtap input 2d low', 'yesterday', '{{a,b},{c,d}}', '{{x,y}}', false)$$,
                  'tags in two dimensions are kept as they are, the memory is stored');
SELECT is((SELECT m.temporal_type FROM gravity_map AS m WHERE m.user_id = 'pgtap input 2d low'), 'past', 'the rest of the tagging goes on where it can');
UPDATE gravity_map SET gravity_score = 0.9 WHERE user_id = 'pgtap input 2d low';
SELECT is((SELECT m.gravity_score FROM gravity_map AS m WHERE m.user_id = 'pgtap input 2d low'), 0.9::double precision, 'an update of such a memory is stored as well');

-- Settings broken by hand, past gravity_memory_set(): every write still succeeds.

CREATE FUNCTION pg_temp.broken(p_name text, p_value text) RETURNS text
LANGUAGE plpgsql
AS $broken$
DECLARE
    v_step text;
    v_user CONSTANT text := 'pgtap input broken ' || p_name;
BEGIN
    INSERT INTO gravity_memory_settings (name, value) VALUES (p_name, p_value);
    v_step := 'insert';
    INSERT INTO gravity_map (user_id, content, gravity_score, emotion_type, entities)
    SELECT v_user, 'yesterday', 0.9, 'joy', '{Blu,Matt,Atlas,Ivy}' FROM generate_series(1, 3);
    v_step := 'update';
    UPDATE gravity_map SET gravity_score = 0.95, entities = entities WHERE user_id = v_user;
    v_step := 'new arc';
    INSERT INTO memory_arcs (user_id, arc_name) VALUES (v_user, 'by hand');
    v_step := 'commit';
    SET CONSTRAINTS ALL IMMEDIATE;
    v_step := 'count';
    ASSERT (SELECT count(*) FROM gravity_map AS m WHERE m.user_id = v_user AND m.gravity_score = 0.95 AND m.content = 'yesterday') = 3;
    v_step := 'delete';
    DELETE FROM gravity_map WHERE user_id = v_user;
    v_step := 'reset';
    PERFORM gravity_memory_reset(p_name);
    DELETE FROM memory_arcs WHERE user_id = v_user;
    RETURN 'all writes succeed';
EXCEPTION WHEN OTHERS OR ASSERT_FAILURE THEN
    RETURN format('%s failed: %s', v_step, SQLERRM);
END
$broken$;
SELECT is(pg_temp.broken(s.name, v.value), 'all writes succeed', format('with %s broken by hand (%L) all writes succeed, and a reset mends it', s.name, v.value))
FROM gravity_memory_settings() AS s CROSS JOIN (VALUES ('(['), ('')) AS v (value) ORDER BY s.name, v.value;
INSERT INTO gravity_memory_settings (name, value) VALUES ('no such setting', 'x');
SELECT is((pg_temp.error_of('INSERT INTO gravity_map (user_id) VALUES (''pgtap input unknown'')')).message, NULL, 'a row for a setting that does not exist disturbs nothing');
SELECT is((SELECT count(*) FROM gravity_memory_settings()), (SELECT count(*) FROM _gravity_memory_setting_definitions()), 'and is not listed');
INSERT INTO gravity_memory_settings (name, value) VALUES ('temporal_past_pattern', '(');
INSERT INTO gravity_map (user_id, content, gravity_score, meta_tags) VALUES ('pgtap input regex', 'yesterday', 0.9, '{a}');
SELECT results_eq($$SELECT m.content, m.meta_tags, m.identity_anchor FROM gravity_map AS m WHERE m.user_id = 'pgtap input regex'$$,
                  $$VALUES ('yesterday', '{a,high_gravity}'::text[], true)$$, 'a broken pattern costs the temporal_type alone; the tags are there');
DELETE FROM gravity_memory_settings;

-- Overrides that a writer may not read: a dump restored without its privileges.
SELECT pg_temp.new_role('gravity_memory_pgtap_input') AS ignored \gset
GRANT SELECT, INSERT ON gravity_map TO gravity_memory_pgtap_input;
REVOKE ALL ON gravity_memory_settings FROM PUBLIC;
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_input',
    'INSERT INTO gravity_map (user_id, gravity_score, emotion_type) SELECT ''pgtap input unread'', 0.9, ''joy'' FROM generate_series(1, 3)')).message, NULL,
    'a writer who may not read the settings can write all the same');
SET CONSTRAINTS ALL IMMEDIATE;
SELECT is((SELECT count(*) FROM gravity_map AS m WHERE m.user_id = 'pgtap input unread'), 3::bigint, 'and the memories are stored');

-- A statement for many is not stopped by one.
INSERT INTO gravity_map (user_id, gravity_score, meta_tags)
SELECT 'pgtap input mixed', 0.9, CASE i WHEN 2 THEN '{{a}}' ELSE '{a}' END::text[] FROM generate_series(1, 3) AS i;
SELECT results_eq($$SELECT m.meta_tags, count(*) FROM gravity_map AS m WHERE m.user_id = 'pgtap input mixed' GROUP BY 1 ORDER BY 2$$,
                  $$VALUES ('{{a}}'::text[], 1::bigint), ('{a,high_gravity}', 2)$$, 'one memory that cannot be tagged leaves the others tagged');

SELECT * FROM finish();
ROLLBACK;
