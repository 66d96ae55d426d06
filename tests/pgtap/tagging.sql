-- Tagging: auto_tag_high_gravity(), on every insert and on updates of gravity_score or entities.
BEGIN;
\ir support/session.psql
SELECT plan(146);

-- tagged(): inserts one memory, with columns from a JSON object, and returns how it is stored.
CREATE FUNCTION pg_temp.tagged(p_memory jsonb) RETURNS gravity_map
LANGUAGE plpgsql
AS $tagged$
DECLARE
    v_memory gravity_map;
BEGIN
    -- A column that is named is given, even as null; one that is not gets the table's default.
    EXECUTE format(
        'INSERT INTO gravity_map (user_id, %1$s) SELECT ''pgtap tagging'', %1$s FROM jsonb_populate_record(NULL::gravity_map, $1) RETURNING *',
        (SELECT string_agg(quote_ident(k), ', ') FROM jsonb_object_keys(p_memory) AS k))
    INTO v_memory USING p_memory;
    RETURN v_memory;
END
$tagged$;

-- High gravity.

SELECT is((m.meta_tags, m.identity_anchor)::text, (v.meta_tags, v.identity_anchor)::text,
          format('gravity %s: %s', COALESCE(v.gravity_score::text, 'NULL'),
                 CASE WHEN v.identity_anchor THEN 'high_gravity and identity anchor' ELSE 'no tag, no anchor' END))
FROM (VALUES
    (0.85::double precision, '{high_gravity}'::text[], true), (0.8500000000000001, '{high_gravity}', true), (1, '{high_gravity}', true),
    (0.8499999999999999, '{}', false), (0.5, '{}', false), (0, '{}', false), (NULL, '{}', false)
) AS v (gravity_score, meta_tags, identity_anchor)
CROSS JOIN LATERAL pg_temp.tagged(jsonb_build_object('gravity_score', v.gravity_score)) AS m;
SELECT is((m.gravity_score, m.meta_tags, m.identity_anchor)::text, '(0.5,{},f)', 'a memory without a gravity has 0.5 and no tag')
FROM pg_temp.tagged('{"content": "x"}') AS m;
SELECT is(m.identity_anchor, true, 'an identity anchor of low gravity, set by the application, stays')
FROM pg_temp.tagged('{"gravity_score": 0.1, "identity_anchor": true}') AS m;
SELECT is(m.identity_anchor, true, 'high gravity makes an identity anchor even when the application said no')
FROM pg_temp.tagged('{"gravity_score": 0.9, "identity_anchor": false}') AS m;

-- Tags that are there already.

SELECT is(m.meta_tags, v.expected::text[], format('high gravity with the tags %s gives %s', COALESCE(v.given::text, 'NULL'), v.expected))
FROM (VALUES
    (NULL::text[], '{high_gravity}'), ('{}', '{high_gravity}'), ('{work,urgent}', '{work,urgent,high_gravity}'),
    ('{high_gravity}', '{high_gravity}'), ('{b,high_gravity,a}', '{b,high_gravity,a}'),
    ('{b,NULL,a}', '{b,NULL,a,high_gravity}'), ('{NULL}', '{NULL,high_gravity}'), ('{High_Gravity}', '{High_Gravity,high_gravity}'),
    ('{a,a}', '{a,a,high_gravity}'), ('{"50% \\ ''🦊",""}', '{"50% \\ ''🦊","",high_gravity}')
) AS v (given, expected)
CROSS JOIN LATERAL pg_temp.tagged(jsonb_build_object('gravity_score', 0.9, 'meta_tags', v.given)) AS m;
SELECT is(m.meta_tags, NULL, 'NULL tags stay NULL when there is nothing to add')
FROM pg_temp.tagged('{"gravity_score": 0.1, "meta_tags": null}') AS m;
SELECT is(cardinality(m.meta_tags), 10001, 'ten thousand tags stay, and one is added')
FROM pg_temp.tagged(jsonb_build_object('gravity_score', 0.9, 'meta_tags', (SELECT array_agg('tag ' || i) FROM generate_series(1, 10000) AS i))) AS m;

-- Identity.

SELECT is(m.meta_tags, v.expected::text[], format('entities %s: %s', COALESCE(v.entities::text, 'NULL'), v.expected))
FROM (VALUES
    ('{Blu,Matt,Atlas,Ivy}'::text[], '{identity}'), ('{Ivy,Atlas,Matt,Blu}', '{identity}'), ('{x,Ivy,Atlas,y,Matt,Blu,Blu}', '{identity}'),
    ('{{Blu,Matt},{Atlas,Ivy}}', '{identity}'), ('{Blu,Matt,Atlas,Ivy,NULL}', '{identity}'),
    ('{Blu,Matt,Atlas}', '{}'), ('{blu,matt,atlas,ivy}', '{}'), ('{"Blu,Matt,Atlas,Ivy"}', '{}'), ('{NULL}', '{}'), ('{}', '{}'), (NULL, '{}')
) AS v (entities, expected)
CROSS JOIN LATERAL pg_temp.tagged(jsonb_build_object('entities', v.entities)) AS m;
SELECT is(m.meta_tags, '{high_gravity,identity}'::text[], 'both tags: high_gravity comes first, as in the specification')
FROM pg_temp.tagged('{"gravity_score": 0.9, "entities": ["Blu", "Matt", "Atlas", "Ivy"]}') AS m;
SELECT is(m.meta_tags, '{identity,x,high_gravity}'::text[], 'a tag that is there keeps its place')
FROM pg_temp.tagged('{"gravity_score": 0.9, "entities": ["Blu", "Matt", "Atlas", "Ivy"], "meta_tags": ["identity", "x"]}') AS m;
SELECT is(m.identity_anchor, false, 'identity entities alone make no identity anchor')
FROM pg_temp.tagged('{"entities": ["Blu", "Matt", "Atlas", "Ivy"]}') AS m;

SELECT gravity_memory_set('identity_match', 'any') IS NULL AS ignored \gset
SELECT is(m.meta_tags, v.expected::text[], format('identity_match any, entities %s: %s', COALESCE(v.entities::text, 'NULL'), v.expected))
FROM (VALUES ('{x,Ivy}'::text[], '{identity}'), ('{Blu,Matt,Atlas,Ivy}', '{identity}'), ('{x}', '{}'), ('{}', '{}'), (NULL, '{}')) AS v (entities, expected)
CROSS JOIN LATERAL pg_temp.tagged(jsonb_build_object('entities', v.entities)) AS m;
SELECT gravity_memory_set('identity_entities', '') IS NULL AS ignored \gset
SELECT is(m.meta_tags, '{}'::text[], 'an empty identity list tags nothing, matching any')
FROM pg_temp.tagged('{"entities": ["Blu", "Matt", "Atlas", "Ivy"]}') AS m;
SELECT gravity_memory_set('identity_match', 'all') IS NULL AS ignored \gset
SELECT is(m.meta_tags, '{}'::text[], 'nor matching all')
FROM pg_temp.tagged('{"entities": ["Blu", "Matt", "Atlas", "Ivy"]}') AS m;
SELECT gravity_memory_set('identity_entities', '["O''Brien, Zoë", "50%", "a\\b", "🦊"]') IS NULL AS ignored \gset
SELECT is(m.meta_tags, '{identity}'::text[], 'identity entities may hold commas, quotes, signs and emoji')
FROM pg_temp.tagged('{"entities": ["🦊", "a\\b", "50%", "O''Brien, Zoë"]}') AS m;
DELETE FROM gravity_memory_settings;

-- Time. One sentence per rule, whole words with their inflections, past before future before present.

SELECT is((pg_temp.tagged(jsonb_build_object('content', v.content))).temporal_type, v.expected,
          format('%s: %s', v.expected, COALESCE(quote_literal(regexp_replace(v.content, '[\n\r\t]+', '<break>')), 'NULL')))
FROM (VALUES
    ('past', 'Yesterday we met.'), ('past', 'That was yesterday''s news'), ('past', 'It rained last week'), ('past', 'LAST WEEK was hard'),
    ('past', E'I was there last\nweek'), ('past', E'last \t\r\n week'), ('past', 'I remember'), ('past', 'She remembers it all'),
    ('past', 'We remembered'), ('past', 'Remembering you'), ('past', 'I had seen it before.'), ('past', '(before)'), ('past', 'before🦊'),
    ('past', 'I remember that we will go there tomorrow'), ('past', 'Will you remember?'), ('past', 'I''ll call before next week'),
    ('past', 'before'), ('past', 'well-remembered'), ('past', 'last week/next week'),
    ('future', 'Tomorrow is the day'), ('future', 'tomorrow''s meeting'), ('future', 'See you next week!'), ('future', 'NEXT WEEK'),
    ('future', E'next\nweek'), ('future', 'It will rain'), ('future', 'WILL IT?'), ('future', 'will'), ('future', 'We plan a trip'),
    ('future', 'Her plans changed'), ('future', 'We planned it'), ('future', 'I am planning'), ('future', 'We are going to Rome'),
    ('future', E'going\n to'), ('future', 'I''ll be there'), ('future', 'I’ll be there'), ('future', 'We''LL see'), ('future', 'they’ll'),
    ('future', 'It won''t work'), ('future', 'It won’t work'), ('future', 'WON''T'), ('future', 'A plan, 50% done \ "quoted" ''plan'''),
    ('future', 'Mañana: tomorrow 🦊'), ('future', 'Free will'),
    ('present', 'William came by'), ('present', 'The planet is blue'), ('present', 'beforehand'), ('present', 'goodwill'),
    ('present', 'The willow'), ('present', 'I planted a tree'), ('present', 'The plane to Berlin'), ('present', 'An explanation, plainly'),
    ('present', 'She is willing'), ('present', 'Willpower'), ('present', 'In remembrance'), ('present', 'dismembered'),
    ('present', 'I am ill'), ('present', 'a shell, a bell, well'), ('present', 'the weekend'), ('present', 'last weekend'),
    ('present', 'next weekend'), ('present', 'lastweek'), ('present', 'last long week'), ('present', 'undergoing tomography'),
    ('present', 'going today'), ('present', 'wont'), ('present', 'swon''t'), ('present', '''llama'), ('present', 'I am here now.'),
    ('present', 'plan_b'), ('present', ''), ('present', '   '), ('present', E'\n'), ('present', '%_\\'), ('present', '🦊'), ('present', NULL)
) AS v (expected, content);
SELECT is((pg_temp.tagged(jsonb_build_object('content', repeat('word ', 200000) || 'yesterday'))).temporal_type, 'past',
          'a word is found at the end of a megabyte');
SELECT is((pg_temp.tagged(jsonb_build_object('content', 'I remember', 'temporal_type', v.given))).temporal_type, v.given,
          format('a temporal_type that is given, %L, is kept', v.given))
FROM (VALUES ('future'), ('present'), ('timeless'), ('')) AS v (given);
SELECT is((pg_temp.tagged('{"summary": "yesterday", "topic": "tomorrow"}')).temporal_type, 'present',
          'only the content decides, not the summary or the topic');

-- Updates. Tags follow gravity and entities, and are only ever added.

CREATE FUNCTION pg_temp.updated(p_memory jsonb, p_assignments text) RETURNS gravity_map
LANGUAGE plpgsql
AS $updated$
DECLARE
    v_memory gravity_map := pg_temp.tagged(p_memory);
BEGIN
    EXECUTE format('UPDATE gravity_map SET %s WHERE id = $1 RETURNING *', p_assignments) INTO v_memory USING v_memory.id;
    RETURN v_memory;
END
$updated$;

SELECT is((m.meta_tags, m.identity_anchor)::text, v.expected, v.description)
FROM (VALUES
    ('{"gravity_score": 0.5}', 'gravity_score = 0.85', '({high_gravity},t)', 'raising gravity to 0.85 tags'),
    ('{"gravity_score": 0.5}', 'gravity_score = 0.8499', '({},f)', 'raising it to less does not'),
    ('{"gravity_score": 0.9}', 'gravity_score = 0.1', '({high_gravity},t)', 'lowering gravity keeps the tag and the anchor'),
    ('{"gravity_score": 0.9}', 'gravity_score = NULL', '({high_gravity},t)', 'removing gravity keeps the tag and the anchor'),
    ('{"gravity_score": 0.9}', 'gravity_score = 0.95', '({high_gravity},t)', 'raising it again adds no second tag'),
    ('{"gravity_score": 0.5, "meta_tags": ["b", "a"]}', 'gravity_score = 0.9', '("{b,a,high_gravity}",t)', 'an update keeps the tags and their order'),
    ('{"gravity_score": 0.5, "meta_tags": null}', 'gravity_score = 0.9', '({high_gravity},t)', 'an update handles NULL tags'),
    ('{"entities": ["Blu"]}', 'entities = ''{Ivy,Atlas,Matt,Blu}''', '({identity},f)', 'an update that completes the entities tags identity'),
    ('{"entities": ["Blu", "Matt", "Atlas", "Ivy"]}', 'entities = NULL', '({identity},f)', 'one that removes them keeps the tag'),
    ('{"entities": ["Blu", "Matt", "Atlas", "Ivy"]}', 'entities = entities', '({identity},f)', 'identity is not doubled either'),
    ('{"gravity_score": 0.9}', 'meta_tags = ''{}'', identity_anchor = false', '({},f)', 'tags that the application takes away stay away'),
    ('{"gravity_score": 0.9}', 'content = ''x'', embedding = NULL, metadata = ''{}'', emotion_type = ''joy'', updated_at = now()',
     '({high_gravity},t)', 'an update of other columns leaves the tags alone'),
    ('{"gravity_score": 0.9}', 'gravity_score = gravity_score, entities = entities, content = content, meta_tags = ''{x}'', '
     'identity_anchor = false, temporal_type = temporal_type', '("{x,high_gravity}",t)',
     'a client that writes all columns back gets the tag again while gravity is high'),
    ('{"gravity_score": 0.5}', 'gravity_score = 0.9, meta_tags = ''{a}''', '("{a,high_gravity}",t)', 'tags given in the same update come first')
) AS v (memory, assignments, expected, description)
CROSS JOIN LATERAL pg_temp.updated(v.memory::jsonb, v.assignments) AS m;
SELECT is(m.temporal_type, v.expected, v.description)
FROM (VALUES
    ('{"content": "yesterday"}', 'content = ''tomorrow''', 'past', 'an update of the content leaves temporal_type alone'),
    ('{"content": "yesterday"}', 'temporal_type = NULL, gravity_score = 0.9', NULL, 'an update may set temporal_type to NULL'),
    ('{"content": "yesterday"}', 'temporal_type = ''future'', gravity_score = 0.9', 'future', 'or to another value')
) AS v (memory, assignments, expected, description)
CROSS JOIN LATERAL pg_temp.updated(v.memory::jsonb, v.assignments) AS m;

-- Statements of several rows, upserts, COPY.

INSERT INTO gravity_map (user_id, content, gravity_score)
SELECT 'pgtap tagging many', CASE i % 2 WHEN 0 THEN 'yesterday' ELSE 'tomorrow' END, i / 10.0 FROM generate_series(1, 10) AS i;
SELECT results_eq(
    $$SELECT m.gravity_score, m.meta_tags, m.temporal_type FROM gravity_map AS m WHERE m.user_id = 'pgtap tagging many' ORDER BY m.gravity_score$$,
    $$SELECT (i / 10.0)::double precision, CASE WHEN i >= 9 THEN '{high_gravity}' ELSE '{}' END::text[], CASE i % 2 WHEN 0 THEN 'past' ELSE 'future' END
      FROM generate_series(1, 10) AS i ORDER BY i$$,
    'in a statement of many rows each is tagged by its own values');
UPDATE gravity_map SET gravity_score = 0.9 WHERE user_id = 'pgtap tagging many';
SELECT is((SELECT count(*) FROM gravity_map AS m WHERE m.user_id = 'pgtap tagging many' AND m.meta_tags = '{high_gravity}'), 10::bigint,
          'an update of many rows tags each, and none twice');
INSERT INTO gravity_map (id, user_id, gravity_score, meta_tags) VALUES ('00000000-0000-4000-8000-0000000a0001', 'pgtap tagging upsert', 0.5, '{a}');
INSERT INTO gravity_map (id, user_id, gravity_score) VALUES ('00000000-0000-4000-8000-0000000a0001', 'pgtap tagging upsert', 0.9)
ON CONFLICT (id) DO UPDATE SET gravity_score = EXCLUDED.gravity_score;
SELECT results_eq(
    $$SELECT m.meta_tags, m.identity_anchor FROM gravity_map AS m WHERE m.user_id = 'pgtap tagging upsert'$$,
    $$VALUES ('{a,high_gravity}'::text[], true)$$, 'an upsert tags the row that was there');
COPY gravity_map (user_id, content, gravity_score, entities) FROM stdin;
pgtap tagging copy	I won't	0.85	{Blu,Matt,Atlas,Ivy}
\.
SELECT results_eq(
    $$SELECT m.meta_tags, m.identity_anchor, m.temporal_type FROM gravity_map AS m WHERE m.user_id = 'pgtap tagging copy'$$,
    $$VALUES ('{high_gravity,identity}'::text[], true, 'future')$$, 'COPY tags like an insert');

SELECT * FROM finish();
ROLLBACK;
