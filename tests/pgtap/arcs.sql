-- Arcs: which memories are linked to which arc, and what an arc's totals say.
--
-- Every test has users of its own, so the file runs in a populated database. pg_temp.arcs(user) shows a user's arcs, oldest first, as
-- 'name [stage] members'; pg_temp.wrong_totals(user) lists arcs whose totals are not those of their members (an arc of which no member's
-- gravity is known keeps the gravity_center that it had).
-- That a fault is a WARNING, and COPY, are in tests/python: a script cannot see the one nor do the other.
BEGIN;
SET LOCAL client_min_messages = error;
SET LOCAL timezone = 'UTC';
SELECT plan(156);

DELETE FROM gravity_memory_settings;

CREATE FUNCTION pg_temp.remember(p_user text, p_content text, p_emotion text, p_gravity double precision, p_hours double precision)
RETURNS void LANGUAGE sql AS $remember$
    INSERT INTO gravity_map (user_id, content, emotion_type, gravity_score, created_at)
    VALUES (p_user, p_content, p_emotion, p_gravity, timestamptz '2026-01-01 00:00Z' + p_hours * interval '1 hour');
$remember$;

-- Memories a, b, c, ... an hour apart, in one statement.
CREATE FUNCTION pg_temp.remember_many(p_user text, p_emotion text, p_count integer, p_hours double precision DEFAULT 0)
RETURNS void LANGUAGE sql AS $remember_many$
    INSERT INTO gravity_map (user_id, content, emotion_type, gravity_score, created_at)
    SELECT p_user, chr(96 + n), p_emotion, 0.9, timestamptz '2026-01-01 00:00Z' + (p_hours + n - 1) * interval '1 hour'
    FROM generate_series(1, p_count) AS n;
$remember_many$;

CREATE FUNCTION pg_temp.arc(p_user text, p_name text, p_emotion text, p_stage text DEFAULT 'active',
                            p_created timestamptz DEFAULT '2026-01-01 00:00Z')
RETURNS uuid LANGUAGE sql AS $arc$
    INSERT INTO memory_arcs (user_id, arc_name, emotion_type, evolution_stage, created_at)
    VALUES (p_user, p_name, p_emotion, p_stage, p_created)
    RETURNING id;
$arc$;

CREATE FUNCTION pg_temp.arcs(p_user text) RETURNS text[] LANGUAGE sql AS $arcs$
    SELECT COALESCE(array_agg(s.line ORDER BY s.created_at, s.line), '{}')
    FROM (SELECT a.created_at,
                 concat(a.arc_name, ' [', a.evolution_stage, '] ', string_agg(m.content, ' ' ORDER BY m.content COLLATE "C")) AS line
          FROM memory_arcs AS a
          LEFT JOIN memory_arc_associations AS l ON l.arc_id = a.id
          LEFT JOIN gravity_map AS m ON m.id = l.memory_id
          WHERE a.user_id = p_user
          GROUP BY a.id) AS s;
$arcs$;

CREATE FUNCTION pg_temp.wrong_totals(p_user text) RETURNS SETOF text LANGUAGE sql AS $wrong_totals$
    SELECT format('%s: stored %s, members say %s', a.arc_name,
                  (a.memory_count, a.gravity_center, a.peak_gravity, a.first_memory_at, a.last_memory_at),
                  (t.n, t.mean, t.peak, t.first_at, t.last_at))
    FROM memory_arcs AS a
    CROSS JOIN LATERAL (
        SELECT count(*) AS n, avg(m.gravity_score) AS mean, max(m.gravity_score) AS peak,
               min(m.created_at) AS first_at, max(m.created_at) AS last_at
        FROM memory_arc_associations AS l
        JOIN gravity_map AS m ON m.id = l.memory_id
        WHERE l.arc_id = a.id) AS t
    WHERE a.user_id = p_user
      AND ((a.memory_count, a.peak_gravity, a.first_memory_at, a.last_memory_at) IS DISTINCT FROM (t.n, t.peak, t.first_at, t.last_at)
           OR (t.mean IS NOT NULL AND (a.gravity_center IS NULL OR abs(a.gravity_center - t.mean) > 1e-9)));
$wrong_totals$;

-------------------------------------------------------------------------------------------------------------------------------------
-- Which memories make an arc.

SELECT pg_temp.remember('tap-three', 'a', 'joy', 0.8, 0);
SELECT pg_temp.remember('tap-three', 'b', 'joy', 0.9, 1);
SELECT is(pg_temp.arcs('tap-three'), '{}', 'two memories make no arc');
SELECT pg_temp.remember('tap-three', 'c', 'joy', 1.0, 2);
SELECT is(pg_temp.arcs('tap-three'), ARRAY['joy arc (auto-created) [forming] a b c'],
          'the third within a day makes one arc, with the name and stage of the specification, and all three are members');
SELECT results_eq(
    $$SELECT emotion_type, memory_count, gravity_center, peak_gravity, first_memory_at, last_memory_at
      FROM memory_arcs WHERE user_id = 'tap-three'$$,
    $$VALUES ('joy', 3, 0.9::double precision, 1.0::double precision, '2026-01-01 00:00Z'::timestamptz, '2026-01-01 02:00Z'::timestamptz)$$,
    'the arc knows its emotion, how many members it has, their mean and highest gravity, and when the first and last were made');
SELECT results_eq(
    $$SELECT DISTINCT l.fusion_strength, l.user_id, l.created_at = now()
      FROM memory_arc_associations l JOIN memory_arcs a ON a.id = l.arc_id WHERE a.user_id = 'tap-three'$$,
    $$VALUES (0.8::double precision, 'tap-three', true)$$, 'links have fusion_strength 0.8, the user, and the time');
SELECT is((SELECT created_at FROM memory_arcs WHERE user_id = 'tap-three'), now(), 'the arc is created now, whenever its memories were');

-- Here, because a transaction that has written a hundred arcs computes the totals in another way.
SELECT pg_temp.remember_many('tap-guest', 'joy', 3), pg_temp.remember('tap-guest', 'x', 'joy', 0.1, 0);
INSERT INTO memory_arc_associations (memory_id, arc_id)
SELECT m.id, a.id FROM gravity_map m, memory_arcs a WHERE m.user_id = 'tap-guest' AND m.content = 'x' AND a.user_id = 'tap-guest';
SELECT pg_temp.remember('tap-guest', 'd', 'joy', 0.8, 1);
SELECT is(pg_temp.arcs('tap-guest'), ARRAY['joy arc (auto-created) [forming] a b c d x'], 'the application may link any memory to an automatic arc');
SELECT is_empty($$SELECT pg_temp.wrong_totals('tap-guest')$$, 'and its totals stay right when others join, whatever the gravity of the guest');

SELECT pg_temp.remember('tap-below', v.content, 'joy', v.gravity, v.hours)
FROM (VALUES ('a', 0.8, 0), ('b', 0.8, 1), ('c', 0.7999999999999999, 2), ('d', 0, 3), ('e', NULL, 4)) AS v (content, gravity, hours);
SELECT is(pg_temp.arcs('tap-below'), '{}', 'gravity below 0.8, by however little, and a gravity that is NULL do not count');
SELECT pg_temp.remember('tap-below', 'f', 'joy', 0.8, 5);
SELECT is(pg_temp.arcs('tap-below'), ARRAY['joy arc (auto-created) [forming] a b f'], 'gravity of exactly 0.8 counts');
SELECT pg_temp.remember('tap-below', 'g', 'joy', NULL, 5), pg_temp.remember('tap-below', 'h', 'joy', 0.79, 5);
SELECT is(pg_temp.arcs('tap-below'), ARRAY['joy arc (auto-created) [forming] a b f'],
          'an arc that is there takes no memory of low or unknown gravity');

SELECT pg_temp.remember_many('tap-empty', NULL, 4), pg_temp.remember_many('tap-empty', '', 4);
SELECT is(pg_temp.arcs('tap-empty'), '{}', 'memories without emotion, be it NULL or empty, make no arc');

SELECT pg_temp.remember('tap-day', v.content, 'joy', 0.9, v.hours) FROM (VALUES ('a', 0), ('b', 12), ('c', 24)) AS v (content, hours);
SELECT is(pg_temp.arcs('tap-day'), '{}', 'the first and third exactly 24 hours apart make no arc');
SELECT pg_temp.remember('tap-day-less', v.content, 'joy', 0.9, v.hours)
FROM (VALUES ('a', 0), ('b', 12), ('c', 24 - 1e-6 / 3600)) AS v (content, hours);
SELECT is((SELECT max(created_at) FROM gravity_map WHERE user_id = 'tap-day-less'), timestamptz '2026-01-01 23:59:59.999999Z',
          '(one microsecond less than 24 hours)');
SELECT is(pg_temp.arcs('tap-day-less'), ARRAY['joy arc (auto-created) [forming] a b c'], 'a microsecond closer they do');

SELECT pg_temp.remember('tap-chain', v.content, 'joy', 0.9, v.hours)
FROM (VALUES ('a', 0), ('b', 10), ('c', 20), ('d', 30), ('e', 43), ('f', 90), ('g', 91)) AS v (content, hours);
SELECT is(pg_temp.arcs('tap-chain'), ARRAY['joy arc (auto-created) [forming] a b c d e'],
          'an arc may last longer than a day: each member has two others within a day, memories that stand apart are left out');
SELECT pg_temp.remember('tap-chain', 'h', 'joy', 0.9, 92);
SELECT is(pg_temp.arcs('tap-chain'), ARRAY['joy arc (auto-created) [forming] a b c d e f g h'],
          'another cluster of the emotion joins the arc while that is open');

SELECT pg_temp.remember('tap-backwards', v.content, 'joy', 0.9, v.hours)
FROM (VALUES ('c', 20), ('a', 0), ('e', 100), ('b', 10), ('d', 90)) AS v (content, hours);
SELECT is(pg_temp.arcs('tap-backwards'), ARRAY['joy arc (auto-created) [forming] a b c'], 'the order in which memories are written does not matter');
SELECT pg_temp.remember('tap-backwards', 'f', 'joy', 0.9, 80);
SELECT is(pg_temp.arcs('tap-backwards'), ARRAY['joy arc (auto-created) [forming] a b c d e f'], 'a memory written late completes a cluster before others');
SELECT is_empty($$SELECT pg_temp.wrong_totals('tap-backwards')$$, 'totals are right after out-of-order writes');

SELECT pg_temp.remember('tap-same-time', v, 'joy', 0.9, 0) FROM unnest('{a,b,c,d}'::text[]) AS v;
SELECT is(pg_temp.arcs('tap-same-time'), ARRAY['joy arc (auto-created) [forming] a b c d'], 'memories of the very same moment make an arc');

SELECT pg_temp.remember('tap-old', v.content, 'joy', 0.9, v.hours - 87600) FROM (VALUES ('a', 0), ('b', 1), ('c', 2)) AS v (content, hours);
SELECT is(pg_temp.arcs('tap-old'), ARRAY['joy arc (auto-created) [forming] a b c'],
          'memories of years ago make an arc when they were made close together');

-------------------------------------------------------------------------------------------------------------------------------------
-- Statements of every kind.

SELECT pg_temp.remember_many('tap-rows', 'joy', 3);
SELECT is(pg_temp.arcs('tap-rows'), ARRAY['joy arc (auto-created) [forming] a b c'], 'one statement may bring the whole cluster');
INSERT INTO gravity_map (user_id, content, emotion_type, gravity_score, created_at)
SELECT user_id, upper(content), emotion_type, gravity_score, created_at + interval '1 minute' FROM gravity_map WHERE user_id = 'tap-rows';
SELECT is(pg_temp.arcs('tap-rows'), ARRAY['joy arc (auto-created) [forming] A B C a b c'], 'INSERT ... SELECT joins the open arc');
SELECT is_empty($$SELECT pg_temp.wrong_totals('tap-rows')$$, 'totals are right after statements with several rows');

INSERT INTO gravity_map (user_id, content, emotion_type, gravity_score, created_at)
SELECT 'tap-mixed-' || u, e || n, e, 0.8 + n / 100.0, '2026-01-01'
FROM generate_series(1, 3) AS u, unnest('{joy,calm,awe}'::text[]) AS e, generate_series(1, 3) AS n
WHERE e <> 'awe' OR n < 3;
SELECT is((SELECT array_agg(pg_temp.arcs('tap-mixed-' || u) ORDER BY u) FROM generate_series(1, 3) AS u),
          (SELECT array_agg(ARRAY['calm arc (auto-created) [forming] calm1 calm2 calm3', 'joy arc (auto-created) [forming] joy1 joy2 joy3'])
           FROM generate_series(1, 3)),
          'one statement with many users and emotions makes the arcs of each');

INSERT INTO gravity_map (id, user_id, content, emotion_type, gravity_score, created_at)
SELECT ('00000000-0000-4000-8000-00000000000' || n)::uuid, 'tap-upsert', chr(96 + n), 'joy', CASE WHEN n = 3 THEN 0.5 ELSE 0.9 END, '2026-01-01'
FROM generate_series(1, 3) AS n;
SELECT is(pg_temp.arcs('tap-upsert'), '{}', '(the third is of low gravity)');
INSERT INTO gravity_map (id, user_id, content, emotion_type, gravity_score, created_at)
VALUES ('00000000-0000-4000-8000-000000000003', 'tap-upsert', 'c', 'joy', 0.95, '2026-01-01'),
       ('00000000-0000-4000-8000-000000000004', 'tap-upsert', 'd', 'joy', 0.85, '2026-01-01')
ON CONFLICT (id) DO UPDATE SET gravity_score = EXCLUDED.gravity_score;
SELECT is(pg_temp.arcs('tap-upsert'), ARRAY['joy arc (auto-created) [forming] a b c d'],
          'INSERT ... ON CONFLICT DO UPDATE links the row that it adds and the one whose gravity it raises');
SELECT is_empty($$SELECT pg_temp.wrong_totals('tap-upsert')$$, 'totals are right after ON CONFLICT DO UPDATE');
INSERT INTO gravity_map (id, user_id, content, emotion_type, gravity_score)
VALUES ('00000000-0000-4000-8000-000000000003', 'tap-upsert', 'c', 'joy', 0.99) ON CONFLICT DO NOTHING;
SELECT is(pg_temp.arcs('tap-upsert'), ARRAY['joy arc (auto-created) [forming] a b c d'], 'ON CONFLICT DO NOTHING changes nothing');
MERGE INTO gravity_map AS g
USING (VALUES ('00000000-0000-4000-8000-000000000001'::uuid, 'gone'), ('00000000-0000-4000-8000-000000000002', 'low'),
              ('00000000-0000-4000-8000-000000000005', 'new')) AS s (id, what)
ON g.id = s.id
WHEN MATCHED AND s.what = 'gone' THEN DELETE
WHEN MATCHED THEN UPDATE SET gravity_score = 0.2
WHEN NOT MATCHED THEN INSERT (id, user_id, content, emotion_type, gravity_score, created_at) VALUES (s.id, 'tap-upsert', 'e', 'joy', 0.8, '2026-01-01');
SELECT is(pg_temp.arcs('tap-upsert'), ARRAY['joy arc (auto-created) [forming] c d e'], 'MERGE inserts, updates and deletes, and the arc follows');
SELECT is_empty($$SELECT pg_temp.wrong_totals('tap-upsert')$$, 'totals are right after MERGE');
WITH gone AS (DELETE FROM gravity_map WHERE id = '00000000-0000-4000-8000-000000000005'),
     raised AS (UPDATE gravity_map SET gravity_score = 1 WHERE id = '00000000-0000-4000-8000-000000000003')
INSERT INTO gravity_map (user_id, content, emotion_type, gravity_score, created_at) VALUES ('tap-upsert', 'f', 'joy', 0.8, '2026-01-01');
SELECT is(pg_temp.arcs('tap-upsert'), ARRAY['joy arc (auto-created) [forming] c d f'], 'one statement that deletes, updates and inserts is followed');
SELECT is_empty($$SELECT pg_temp.wrong_totals('tap-upsert')$$, 'totals are right after that');

SAVEPOINT before_more;
SELECT pg_temp.remember('tap-upsert', 'g', 'joy', 0.8, 0);
ROLLBACK TO before_more;
SELECT is(pg_temp.arcs('tap-upsert'), ARRAY['joy arc (auto-created) [forming] c d f'], 'what is rolled back to a savepoint is in no arc');
SELECT is_empty($$SELECT pg_temp.wrong_totals('tap-upsert')$$, 'totals are right after a rollback to a savepoint');

-------------------------------------------------------------------------------------------------------------------------------------
-- Users and emotions are apart.

SELECT pg_temp.remember('tap-apart-1', 'a', 'joy', 0.9, 0), pg_temp.remember('tap-apart-2', 'b', 'joy', 0.9, 0),
       pg_temp.remember('tap-apart-1', 'c', 'joy', 0.9, 0), pg_temp.remember('tap-apart-2', 'd', 'joy', 0.9, 0);
SELECT is(pg_temp.arcs('tap-apart-1') || pg_temp.arcs('tap-apart-2'), '{}', 'memories of different users make no arc together');

SELECT pg_temp.remember('tap-names', v.e || n, v.e, 0.9, 0)
FROM (VALUES ('joy'), ('enjoyment'), ('Joy'), ('joy '), ('%'), ('_'), ('a.c'), ('abc'), ('o''hara "x"'), ('\'), ('😀'), ('😁'), ('é'), (E'\n')) AS v (e),
     generate_series(1, 3) AS n;
SELECT is((SELECT count(*) FROM memory_arcs WHERE user_id = 'tap-names'), 14::bigint,
          'emotions that look alike, wildcards, quotes, backslashes and emoji each have an arc of their own');
SELECT is_empty(
    $$SELECT a.arc_name, m.content FROM memory_arcs a JOIN memory_arc_associations l ON l.arc_id = a.id JOIN gravity_map m ON m.id = l.memory_id
      WHERE a.user_id = 'tap-names' AND (m.emotion_type <> a.emotion_type OR a.arc_name <> m.emotion_type || ' arc (auto-created)')$$,
    'and hold memories of exactly their emotion');
SELECT is((SELECT array_agg(DISTINCT memory_count) FROM memory_arcs WHERE user_id = 'tap-names'), '{3}', 'three each');

SELECT lives_ok($$SELECT pg_temp.remember('tap-long', c, repeat('é', 4096), 0.9, 0) FROM unnest('{a,b,c,d}'::text[]) AS c$$,
                'an emotion of 8 kB is stored');
SELECT is(pg_temp.arcs('tap-long'), ARRAY[repeat('é', 4096) || ' arc (auto-created) [forming] a b c d'], 'and makes an arc');
SELECT pg_temp.remember_many(repeat('tap-long-user ', 500), 'joy', 3);
SELECT is(pg_temp.arcs(repeat('tap-long-user ', 500)), ARRAY['joy arc (auto-created) [forming] a b c'], 'so does a user_id of 7 kB');

-------------------------------------------------------------------------------------------------------------------------------------
-- Open and closed arcs.

SELECT pg_temp.remember_many('tap-stage-' || s, 'joy', 3) FROM unnest('{forming,active,mature,dormant,archived}'::text[]) AS s;
UPDATE memory_arcs SET evolution_stage = substr(user_id, 11), created_at = '2026-01-01' WHERE user_id LIKE 'tap-stage-%';
SELECT pg_temp.remember('tap-stage-' || s, 'd', 'joy', 0.9, 3) FROM unnest('{forming,active,mature,dormant,archived}'::text[]) AS s;
SELECT is(pg_temp.arcs('tap-stage-forming'), ARRAY['joy arc (auto-created) [forming] a b c d'], 'a forming arc takes later members');
SELECT is(pg_temp.arcs('tap-stage-active'), ARRAY['joy arc (auto-created) [active] a b c d'], 'an active arc takes later members');
SELECT is(pg_temp.arcs('tap-stage-' || s),
          ARRAY['joy arc (auto-created) [' || s || '] a b c', 'joy arc (auto-created) [forming] d'],
          format('an arc that is %s takes none: the memory opens a new one and those before stay where they are', s))
FROM unnest('{mature,dormant,archived}'::text[]) AS s;
SELECT pg_temp.remember('tap-stage-mature', 'e', 'joy', 0.9, 4);
SELECT is(pg_temp.arcs('tap-stage-mature'), ARRAY['joy arc (auto-created) [mature] a b c', 'joy arc (auto-created) [forming] d e'],
          'and the next memory joins that');
SELECT is_empty($$SELECT pg_temp.wrong_totals(user_id) FROM memory_arcs WHERE user_id LIKE 'tap-stage-%'$$, 'totals are right in all of these');

-------------------------------------------------------------------------------------------------------------------------------------
-- Arcs made by hand.

SELECT pg_temp.arc('tap-hand-1', 'Our summer', 'joy'), pg_temp.remember_many('tap-hand-1', 'joy', 3);
SELECT is(pg_temp.arcs('tap-hand-1'), ARRAY['Our summer [active] a b c'], 'an arc made by hand is joined when its emotion_type equals, whatever its name');
SELECT is_empty($$SELECT pg_temp.wrong_totals('tap-hand-1')$$, 'its totals are kept, too');
SELECT pg_temp.remember('tap-hand-1', 'd', 'joy', 0.8, 3);
SELECT is(pg_temp.arcs('tap-hand-1'), ARRAY['Our summer [active] a b c d'], 'later members join it');
SELECT is_empty($$SELECT pg_temp.wrong_totals('tap-hand-1')$$, 'and its totals are kept');
DELETE FROM gravity_map WHERE user_id = 'tap-hand-1' AND content <> 'd';
SELECT is(pg_temp.arcs('tap-hand-1'), ARRAY['Our summer [active] d'], 'a memory that stands alone by now stays in an arc made by hand');
DELETE FROM gravity_map WHERE user_id = 'tap-hand-1';
SELECT is(pg_temp.arcs('tap-hand-1'), ARRAY['Our summer [active] '], 'an arc made by hand stays when its last member is deleted');
SELECT is((SELECT memory_count FROM memory_arcs WHERE user_id = 'tap-hand-1'), 0, 'with a memory_count of 0');

SELECT pg_temp.arc('tap-hand-' || v.n, v.arc_name, v.arc_emotion), pg_temp.remember_many('tap-hand-' || v.n, v.emotion, 3)
FROM (VALUES (10, 'Days of Joy, 2026', NULL, 'joy'), (11, 'joy', '', 'joy'), (12, 'my 😀 days', NULL, '😀'), (13, 'the a.c days', NULL, 'a.c'),
             (14, '100 % love', NULL, '%'), (15, 'joyful or joy', NULL, 'joy'), (16, 'pure bitter-sweet', NULL, 'bitter-sweet')) AS v (n, arc_name, arc_emotion, emotion);
SELECT is((SELECT array_agg(pg_temp.arcs('tap-hand-' || n) ORDER BY n) FROM generate_series(10, 16) AS n),
          ARRAY[ARRAY['Days of Joy, 2026 [active] a b c'], ARRAY['joy [active] a b c'], ARRAY['my 😀 days [active] a b c'],
                ARRAY['the a.c days [active] a b c'], ARRAY['100 % love [active] a b c'], ARRAY['joyful or joy [active] a b c'],
                ARRAY['pure bitter-sweet [active] a b c']],
          'an arc made by hand without emotion_type, NULL or empty, is joined when its name has the emotion as a whole word');

SELECT pg_temp.arc('tap-hand-' || v.n, v.arc_name, v.arc_emotion, 'active', '2020-01-01'), pg_temp.remember_many('tap-hand-' || v.n, v.emotion, 3)
FROM (VALUES (20, 'enjoyment', NULL, 'joy'), (21, 'all arcs', NULL, '%'), (22, 'a_b', NULL, '_'), (23, 'the abc days', NULL, 'a.c'),
             (24, 'joy', 'calm', 'joy'), (25, 'joyful', NULL, 'joy'), (26, 'Our summer', 'Joy', 'joy'), (27, 'x', NULL, '.*'),
             (28, 'a😀b', NULL, '😀')) AS v (n, arc_name, arc_emotion, emotion);
SELECT is((SELECT array_agg((pg_temp.arcs('tap-hand-' || n))[1] ORDER BY n) FROM generate_series(20, 28) AS n),
          ARRAY['enjoyment [active] ', 'all arcs [active] ', 'a_b [active] ', 'the abc days [active] ', 'joy [active] ', 'joyful [active] ',
                'Our summer [active] ', 'x [active] ', 'a😀b [active] '],
          'not as a part of a word, by wildcards or regular expressions, or when its emotion_type is another one');
SELECT is((SELECT array_agg(DISTINCT cardinality(pg_temp.arcs('tap-hand-' || n))) FROM generate_series(20, 28) AS n), '{2}',
          'and an automatic arc is made there');

SELECT pg_temp.arc('tap-newest', 'older', 'joy', 'active', '2026-01-01'), pg_temp.arc('tap-newest', 'newer joy', NULL, 'forming', '2026-01-02'),
       pg_temp.arc('tap-newest', 'newest but closed', 'joy', 'mature', '2026-01-03'),
       pg_temp.arc('tap-newest', 'newest but dormant', 'joy', 'dormant', '2026-01-04'), pg_temp.remember_many('tap-newest', 'joy', 3);
SELECT is(pg_temp.arcs('tap-newest'),
          ARRAY['older [active] ', 'newer joy [forming] a b c', 'newest but closed [mature] ', 'newest but dormant [dormant] '],
          'of several open arcs that fit, the newest takes the members; closed ones take none');
SELECT pg_temp.arc('tap-newest', 'newest', 'joy', 'active', '2026-01-05'), pg_temp.remember('tap-newest', 'd', 'joy', 0.9, 3);
SELECT is((pg_temp.arcs('tap-newest'))[2] || (pg_temp.arcs('tap-newest'))[5], 'newer joy [forming] a b cnewest [active] d',
          'a newer arc takes later members and none of those that another arc has');
SELECT pg_temp.remember_many('tap-newer', 'joy', 3), pg_temp.arc('tap-newer', 'by hand', 'joy', 'active', now() + interval '1 hour'),
       pg_temp.remember('tap-newer', 'd', 'joy', 0.9, 3);
SELECT is(pg_temp.arcs('tap-newer'), ARRAY['joy arc (auto-created) [forming] a b c', 'by hand [active] d'],
          'an arc made by hand that is newer than the automatic one takes over');
SELECT pg_temp.arc('tap-other-user', 'by hand', 'joy'), pg_temp.remember_many('tap-not-mine', 'joy', 3);
SELECT is(pg_temp.arcs('tap-other-user'), ARRAY['by hand [active] '], 'an arc of another user is never joined');

SELECT pg_temp.arc('tap-spec', 'joy arc (auto-created)', NULL), pg_temp.remember_many('tap-spec', 'joy', 3);
SELECT is(pg_temp.arcs('tap-spec'), ARRAY['joy arc (auto-created) [active] a b c'],
          'an arc that the specification''s own trigger left, without emotion_type, is joined');

SELECT pg_temp.remember_many('tap-rename', 'joy', 3);
UPDATE memory_arcs SET arc_name = 'Our summer' WHERE user_id = 'tap-rename';
DELETE FROM gravity_map WHERE user_id = 'tap-rename' AND content = 'a';
SELECT is(pg_temp.arcs('tap-rename'), ARRAY['Our summer [forming] b c'], 'an automatic arc that was renamed is the application''s own: its members stay');
SELECT is_empty($$SELECT pg_temp.wrong_totals('tap-rename')$$, 'with right totals');
SELECT pg_temp.remember('tap-rename', 'd', 'joy', 0.9, 0);
SELECT is(pg_temp.arcs('tap-rename'), ARRAY['Our summer [forming] b c d'], 'and later members join it');

-------------------------------------------------------------------------------------------------------------------------------------
-- Updates and deletions.

SELECT pg_temp.remember('tap-raise', 'a', 'joy', 0.9, 0), pg_temp.remember('tap-raise', 'b', 'joy', 0.9, 1), pg_temp.remember('tap-raise', 'c', 'joy', 0.1, 2),
       pg_temp.remember('tap-raise', 'd', 'joy', NULL, 3);
UPDATE gravity_map SET gravity_score = 0.8 WHERE user_id = 'tap-raise' AND content = 'c';
SELECT is(pg_temp.arcs('tap-raise'), ARRAY['joy arc (auto-created) [forming] a b c'], 'a gravity that rises to 0.8 completes a cluster');
UPDATE gravity_map SET gravity_score = 0.9 WHERE user_id = 'tap-raise' AND content = 'd';
SELECT is(pg_temp.arcs('tap-raise'), ARRAY['joy arc (auto-created) [forming] a b c d'], 'a gravity that was NULL joins when it is set');
UPDATE gravity_map SET gravity_score = 1 WHERE user_id = 'tap-raise' AND content = 'b';
SELECT is((SELECT (memory_count, round(gravity_center::numeric, 9), peak_gravity) FROM memory_arcs WHERE user_id = 'tap-raise')::text, '(4,0.900000000,1)',
          'a member''s gravity that changes changes mean and peak');
UPDATE gravity_map SET gravity_score = 0.8 WHERE user_id = 'tap-raise' AND content = 'b';
SELECT is_empty($$SELECT pg_temp.wrong_totals('tap-raise')$$, 'the peak goes down with the member that made it');
UPDATE gravity_map SET content = content, summary = 'x', updated_at = now() WHERE user_id = 'tap-raise';
SELECT is(pg_temp.arcs('tap-raise'), ARRAY['joy arc (auto-created) [forming] a b c d'], 'an UPDATE of other columns changes nothing');
UPDATE gravity_map SET gravity_score = 0.79 WHERE user_id = 'tap-raise' AND content = 'a';
SELECT is(pg_temp.arcs('tap-raise'), ARRAY['joy arc (auto-created) [forming] b c d'], 'a member whose gravity falls below 0.8 leaves');
SELECT is_empty($$SELECT pg_temp.wrong_totals('tap-raise')$$, 'with right totals');
UPDATE gravity_map SET gravity_score = NULL WHERE user_id = 'tap-raise' AND content = 'b';
SELECT is(pg_temp.arcs('tap-raise'), '{}', 'a cluster that falls apart loses its automatic arc');
SELECT is((SELECT count(*) FROM memory_arc_associations l JOIN gravity_map m ON m.id = l.memory_id WHERE m.user_id = 'tap-raise'), 0::bigint, 'and all links');

SELECT pg_temp.remember_many('tap-change', 'joy', 4), pg_temp.remember_many('tap-change', 'calm', 2);
UPDATE gravity_map SET emotion_type = 'calm', content = 'x' WHERE user_id = 'tap-change' AND emotion_type = 'joy' AND content = 'd';
SELECT is(pg_temp.arcs('tap-change'), ARRAY['calm arc (auto-created) [forming] a b x', 'joy arc (auto-created) [forming] a b c'],
          'a member whose emotion changes leaves one arc and joins the other');
SELECT is_empty($$SELECT pg_temp.wrong_totals('tap-change')$$, 'with right totals in both');
UPDATE gravity_map SET emotion_type = NULL WHERE user_id = 'tap-change' AND content = 'x';
UPDATE gravity_map SET emotion_type = '' WHERE user_id = 'tap-change' AND emotion_type = 'joy' AND content = 'a';
SELECT is(pg_temp.arcs('tap-change'), '{}', 'a member whose emotion becomes NULL or empty leaves');

SELECT pg_temp.remember_many('tap-from', 'joy', 3), pg_temp.remember_many('tap-to', 'joy', 2);
UPDATE gravity_map SET user_id = 'tap-to', content = 'x' WHERE user_id = 'tap-from' AND content = 'c';
SELECT is(pg_temp.arcs('tap-from') || pg_temp.arcs('tap-to'), ARRAY['joy arc (auto-created) [forming] a b x'],
          'a memory that moves to another user leaves and joins');

SELECT pg_temp.remember_many('tap-move', 'joy', 4);
UPDATE gravity_map SET created_at = created_at + interval '30 days' WHERE user_id = 'tap-move' AND content = 'd';
SELECT is(pg_temp.arcs('tap-move'), ARRAY['joy arc (auto-created) [forming] a b c'], 'a member that moves in time out of the cluster leaves');
SELECT is_empty($$SELECT pg_temp.wrong_totals('tap-move')$$, 'with right totals');
UPDATE gravity_map SET created_at = '2026-01-01 05:00Z' WHERE user_id = 'tap-move' AND content = 'd';
SELECT is(pg_temp.arcs('tap-move'), ARRAY['joy arc (auto-created) [forming] a b c d'], 'and joins when it comes back');
UPDATE gravity_map SET created_at = created_at + interval '90 days' WHERE user_id = 'tap-move';
SELECT is(pg_temp.arcs('tap-move'), ARRAY['joy arc (auto-created) [forming] a b c d'], 'a cluster that moves as a whole keeps its arc');
SELECT is_empty($$SELECT pg_temp.wrong_totals('tap-move')$$, 'with the new first and last times');

SELECT pg_temp.remember_many('tap-delete', 'joy', 4);
DELETE FROM gravity_map WHERE user_id = 'tap-delete' AND content = 'd';
SELECT is(pg_temp.arcs('tap-delete'), ARRAY['joy arc (auto-created) [forming] a b c'], 'a deleted memory is gone from its arc');
SELECT is_empty($$SELECT pg_temp.wrong_totals('tap-delete')$$, 'with right totals');
DELETE FROM gravity_map WHERE user_id = 'tap-delete' AND content = 'b';
SELECT is(pg_temp.arcs('tap-delete'), '{}', 'when too few are left, the automatic arc is gone');
SELECT pg_temp.remember('tap-delete', 'e', 'joy', 0.9, 3);
SELECT is(pg_temp.arcs('tap-delete'), ARRAY['joy arc (auto-created) [forming] a c e'], 'and comes back when they are enough again');

SELECT pg_temp.remember('tap-split', v.content, 'joy', 0.9, v.hours) FROM (VALUES ('a', 0), ('b', 10), ('c', 20), ('d', 30), ('e', 40)) AS v (content, hours);
DELETE FROM gravity_map WHERE user_id = 'tap-split' AND content = 'c';
SELECT is(pg_temp.arcs('tap-split'), '{}', 'a chain that loses its middle falls apart on both sides');

SELECT pg_temp.remember_many('tap-closed', 'joy', 4);
UPDATE memory_arcs SET evolution_stage = 'mature' WHERE user_id = 'tap-closed';
DELETE FROM gravity_map WHERE user_id = 'tap-closed' AND content IN ('a', 'b');
UPDATE gravity_map SET gravity_score = 0.3 WHERE user_id = 'tap-closed' AND content = 'c';
SELECT is(pg_temp.arcs('tap-closed'), ARRAY['joy arc (auto-created) [mature] c d'], 'a closed arc is history: it keeps its members while they live');
SELECT is_empty($$SELECT pg_temp.wrong_totals('tap-closed')$$, 'with right totals');
DELETE FROM gravity_map WHERE user_id = 'tap-closed';
SELECT is(pg_temp.arcs('tap-closed'), '{}', 'an automatic arc without members is gone, closed or not');

-------------------------------------------------------------------------------------------------------------------------------------
-- The application's own links.

SELECT pg_temp.arc('tap-links', 'mine', 'none'), pg_temp.arc('tap-links', 'other', 'none', 'mature', '2026-01-02');
SELECT pg_temp.remember('tap-links', v.content, 'joy', v.gravity, 0) FROM (VALUES ('a', 0.1), ('b', 0.3), ('c', NULL)) AS v (content, gravity);
INSERT INTO memory_arc_associations (memory_id, arc_id)
SELECT m.id, a.id FROM gravity_map m, memory_arcs a WHERE m.user_id = 'tap-links' AND a.user_id = 'tap-links' AND a.arc_name = 'mine';
SELECT is(pg_temp.arcs('tap-links'), ARRAY['mine [active] a b c', 'other [mature] '], '(three linked by the application)');
SELECT is_empty($$SELECT pg_temp.wrong_totals('tap-links')$$, 'totals follow links that the application makes, unknown gravity counted but not averaged');
UPDATE memory_arc_associations SET arc_id = (SELECT id FROM memory_arcs WHERE user_id = 'tap-links' AND arc_name = 'other')
WHERE memory_id = (SELECT id FROM gravity_map WHERE user_id = 'tap-links' AND content = 'b');
SELECT is(pg_temp.arcs('tap-links'), ARRAY['mine [active] a c', 'other [mature] b'], '(one moved by the application)');
SELECT is_empty($$SELECT pg_temp.wrong_totals('tap-links')$$, 'totals follow links that the application moves, in both arcs');
UPDATE memory_arc_associations SET fusion_strength = 0.1 WHERE memory_id IN (SELECT id FROM gravity_map WHERE user_id = 'tap-links');
DELETE FROM memory_arc_associations WHERE memory_id = (SELECT id FROM gravity_map WHERE user_id = 'tap-links' AND content = 'a');
SELECT is_empty($$SELECT pg_temp.wrong_totals('tap-links')$$, 'totals follow links that the application removes');

SELECT pg_temp.remember_many('tap-truncate', 'joy', 3);
-- Neither TRUNCATE nor ALTER TABLE works while deferred triggers wait.
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
SAVEPOINT before_truncate;
TRUNCATE memory_arc_associations;
SELECT is_empty($$SELECT pg_temp.wrong_totals('tap-truncate')$$, 'TRUNCATE of the links empties the totals or removes the arc');
ROLLBACK TO before_truncate;

-------------------------------------------------------------------------------------------------------------------------------------
-- Many rows in one transaction.

DO $many$
BEGIN
    FOR i IN 1..160 LOOP
        PERFORM pg_temp.remember('tap-many', 'm' || i, 'joy', 0.8 + (i % 20) / 100.0, i / 10.0);
    END LOOP;
END
$many$;
SET CONSTRAINTS ALL IMMEDIATE;
SELECT is((SELECT memory_count FROM memory_arcs WHERE user_id = 'tap-many'), 160, '160 single inserts in one transaction make one arc of 160');
SELECT is_empty($$SELECT pg_temp.wrong_totals('tap-many')$$, 'with right totals after SET CONSTRAINTS ALL IMMEDIATE');
SELECT pg_temp.remember('tap-many', 'm161', 'joy', 1, 16.1);
SELECT is_empty($$SELECT pg_temp.wrong_totals('tap-many')$$, 'while constraints are immediate, totals are right after every statement');
SET CONSTRAINTS ALL DEFERRED;
DO $many$
BEGIN
    FOR i IN 162..180 LOOP
        PERFORM pg_temp.remember('tap-many', 'm' || i, 'joy', 0.8 + (i % 20) / 100.0, i / 10.0);
    END LOOP;
END
$many$;
DELETE FROM gravity_map WHERE user_id = 'tap-many' AND content = 'm161';
UPDATE gravity_map SET gravity_score = 0.81 WHERE user_id = 'tap-many' AND content = 'm1';
UPDATE gravity_map SET gravity_score = 0.2 WHERE user_id = 'tap-many' AND content = 'm2';
SET CONSTRAINTS ALL IMMEDIATE;
SELECT is_empty($$SELECT pg_temp.wrong_totals('tap-many')$$, 'and right again after more inserts, an update and a deletion');
SET CONSTRAINTS ALL DEFERRED;
SELECT pg_temp.remember_many('tap-wide-' || n, 'joy', 3) FROM generate_series(1, 130) AS n;
SET CONSTRAINTS ALL IMMEDIATE;
SELECT is_empty($$SELECT pg_temp.wrong_totals('tap-wide-' || n) FROM generate_series(1, 130) AS n$$, 'a transaction that writes 130 arcs leaves right totals in all');
SET CONSTRAINTS ALL DEFERRED;

-------------------------------------------------------------------------------------------------------------------------------------
-- Settings.

SAVEPOINT settings;
SELECT gravity_memory_set('arc_gravity_threshold', '0.9');
SELECT pg_temp.remember('tap-set-1', v.content, 'joy', v.gravity, 0) FROM (VALUES ('a', 0.89), ('b', 0.9), ('c', 0.9), ('d', 0.95)) AS v (content, gravity);
SELECT is(pg_temp.arcs('tap-set-1'), ARRAY['joy arc (auto-created) [forming] b c d'], 'arc_gravity_threshold can be raised');
SELECT gravity_memory_set('arc_gravity_threshold', '0.5');
SELECT pg_temp.remember('tap-set-2', v.content, 'joy', v.gravity, v.hours)
FROM (VALUES ('a', 0.5, 0), ('b', 0.49, 0), ('c', 0.6, 10), ('d', 0.7, 20), ('e', 0.9, 100)) AS v (content, gravity, hours);
SELECT is(pg_temp.arcs('tap-set-2'), ARRAY['joy arc (auto-created) [forming] a c d'], 'and lowered, where no index serves');
SELECT gravity_memory_rebuild_arcs('tap-set-1');
SELECT is(pg_temp.arcs('tap-set-1'), ARRAY['joy arc (auto-created) [forming] a b c d'], 'gravity_memory_rebuild_arcs() applies a changed threshold to the past');
ROLLBACK TO settings;

SELECT gravity_memory_set('arc_window', '2 hours');
SELECT pg_temp.remember('tap-set-3', v.content, 'joy', 0.9, v.hours) FROM (VALUES ('a', 0), ('b', 1), ('c', 2), ('d', 2.9)) AS v (content, hours);
SELECT is(pg_temp.arcs('tap-set-3'), ARRAY['joy arc (auto-created) [forming] b c d'], 'arc_window can be made shorter');
ROLLBACK TO settings;

SELECT gravity_memory_set('arc_min_memories', '2');
SELECT pg_temp.remember_many('tap-set-4', 'joy', 2), pg_temp.remember('tap-set-4', 'x', 'joy', 0.9, 100);
SELECT is(pg_temp.arcs('tap-set-4'), ARRAY['joy arc (auto-created) [forming] a b'], 'arc_min_memories can be two');
SELECT gravity_memory_set('arc_min_memories', '5');
SELECT pg_temp.remember('tap-set-5', chr(96 + n), 'joy', 0.9, n) FROM generate_series(1, 4) AS n;
SELECT is(pg_temp.arcs('tap-set-5'), '{}', 'or five: four are too few then');
SELECT pg_temp.remember('tap-set-5', 'e', 'joy', 0.9, 0);
SELECT is(pg_temp.arcs('tap-set-5'), ARRAY['joy arc (auto-created) [forming] a b c d e'], 'and the fifth makes the arc of all five');
DELETE FROM gravity_map WHERE user_id = 'tap-set-5' AND content = 'c';
SELECT is(pg_temp.arcs('tap-set-5'), '{}', 'which falls apart when there are four');
ROLLBACK TO settings;

SELECT gravity_memory_set('arc_fusion_strength', '0.35');
SELECT pg_temp.remember_many('tap-set-6', 'joy', 3);
SELECT is((SELECT array_agg(DISTINCT l.fusion_strength) FROM memory_arc_associations l JOIN gravity_map m ON m.id = l.memory_id WHERE m.user_id = 'tap-set-6'),
          '{0.35}', 'arc_fusion_strength is what links get');
ROLLBACK TO settings;

-------------------------------------------------------------------------------------------------------------------------------------
-- gravity_memory_evolve_arcs(). Judged as of 2030, with arcs that count back from there.

CREATE FUNCTION pg_temp.evolving(p_label text, p_stage text, p_members integer, p_age interval, p_idle interval)
RETURNS void LANGUAGE sql AS $evolving$
    INSERT INTO memory_arcs (user_id, arc_name, emotion_type, evolution_stage, memory_count, created_at, first_memory_at, last_memory_at)
    VALUES ('tap-evolve', p_label, 'joy', p_stage, p_members, timestamptz '2030-01-01' - p_age, timestamptz '2030-01-01' - p_age,
            timestamptz '2030-01-01' - p_idle);
$evolving$;
CREATE FUNCTION pg_temp.stages() RETURNS SETOF text LANGUAGE sql AS $stages$
    SELECT arc_name || ' -> ' || COALESCE(evolution_stage, 'NULL') FROM memory_arcs WHERE user_id = 'tap-evolve' ORDER BY arc_name COLLATE "C";
$stages$;

SELECT gravity_memory_evolve_arcs('2030-01-01');
SELECT pg_temp.evolving(v.label, v.stage, v.members, v.age::interval, v.idle::interval)
FROM (VALUES ('a forming, 4 members', 'forming', 4, '1 day', '1 day'),
             ('b forming, 5 members', 'forming', 5, '1 day', '1 day'),
             ('c forming, 20 members', 'forming', 20, '1 day', '1 day'),
             ('d forming, 4 members, a week old', 'forming', 4, '30 days', '1 day'),
             ('e forming, 5 members, a week old', 'forming', 5, '7 days', '1 day'),
             ('f active, 19 members', 'active', 19, '1 day', '1 day'),
             ('g active, 20 members', 'active', 20, '1 day', '1 day'),
             ('h active, just under a week old', 'active', 6, '6 days 23:59:59.999999', '1 day'),
             ('i active, a week old', 'active', 6, '7 days', '1 day'),
             ('j active, 1 member', 'active', 1, '1 day', '1 day'),
             ('k forming, a week idle', 'forming', 3, '7 days', '7 days'),
             ('l forming, just under a week idle', 'forming', 3, '7 days', '6 days 23:59:59.999999'),
             ('m active, a week idle', 'active', 25, '8 days', '7 days'),
             ('n mature, a week idle', 'mature', 25, '30 days', '7 days'),
             ('o mature, just under a week idle', 'mature', 1, '30 days', '6 days 23:59:59.999999'),
             ('p dormant, but new members', 'dormant', 25, '8 days', '0'),
             ('q archived', 'archived', 25, '300 days', '300 days'),
             ('r no stage', NULL, 25, '300 days', '300 days'),
             ('s no members since it was made a week ago', 'active', 0, '7 days', NULL),
             ('t no members, new', 'active', NULL, '6 days', NULL)) AS v (label, stage, members, age, idle);
CREATE TEMP TABLE stage_before AS SELECT id, evolution_stage FROM memory_arcs;
SELECT is(gravity_memory_evolve_arcs('2030-01-01'), 9::bigint, 'gravity_memory_evolve_arcs() returns how many arcs changed stage');
SELECT is((SELECT count(*) FROM memory_arcs a JOIN stage_before b USING (id) WHERE a.evolution_stage IS DISTINCT FROM b.evolution_stage), 9::bigint, 'and so many did');
SELECT results_eq('SELECT pg_temp.stages()', ARRAY[
    'a forming, 4 members -> forming', 'b forming, 5 members -> active', 'c forming, 20 members -> mature',
    'd forming, 4 members, a week old -> forming', 'e forming, 5 members, a week old -> mature',
    'f active, 19 members -> active', 'g active, 20 members -> mature', 'h active, just under a week old -> active', 'i active, a week old -> mature',
    'j active, 1 member -> active',
    'k forming, a week idle -> dormant', 'l forming, just under a week idle -> forming', 'm active, a week idle -> dormant',
    'n mature, a week idle -> dormant', 'o mature, just under a week idle -> mature', 'p dormant, but new members -> dormant',
    'q archived -> archived', 'r no stage -> NULL', 's no members since it was made a week ago -> dormant', 't no members, new -> active'],
    'arcs become active, mature and dormant exactly at their limits; other stages are the application''s own');
SELECT is(gravity_memory_evolve_arcs('2030-01-01'), 0::bigint, 'running it again changes nothing');
SELECT results_eq($$SELECT DISTINCT updated_at = now() FROM memory_arcs JOIN stage_before b USING (id) WHERE user_id = 'tap-evolve'
                    AND memory_arcs.evolution_stage IS DISTINCT FROM b.evolution_stage$$, 'VALUES (true)', 'what changed says when it was updated');

SAVEPOINT evolution;
SELECT gravity_memory_set('arc_active_members', '2'), gravity_memory_set('arc_mature_members', '19'), gravity_memory_set('arc_mature_after', '6 days'),
       gravity_memory_set('arc_dormant_after', '12 hours');
SELECT pg_temp.evolving('u 2 members', 'forming', 2, '1 day', '1 hour'), pg_temp.evolving('v 19 members', 'active', 19, '1 day', '1 hour'),
       pg_temp.evolving('w 6 days', 'active', 3, '6 days', '1 hour'), pg_temp.evolving('x 12 hours idle', 'active', 3, '1 day', '12 hours');
SELECT gravity_memory_evolve_arcs('2030-01-01');
SELECT results_eq('SELECT * FROM pg_temp.stages() AS s WHERE s >= ''u''', ARRAY['u 2 members -> active', 'v 19 members -> mature', 'w 6 days -> mature', 'x 12 hours idle -> dormant'],
                  'all four limits are settings');
ROLLBACK TO evolution;
SELECT pg_temp.remember('tap-now', chr(96 + n), 'joy', 0.9, 0) FROM generate_series(1, 5) AS n;
UPDATE gravity_map SET created_at = now() WHERE user_id = 'tap-now';
SELECT lives_ok('SELECT gravity_memory_evolve_arcs(NULL)', 'without a time, NULL or left out, it judges by now');
SELECT is(pg_temp.arcs('tap-now'), ARRAY['joy arc (auto-created) [active] a b c d e'], 'five members of today are active');
SELECT is(gravity_memory_evolve_arcs(), 0::bigint, 'and left out it is the same');

-------------------------------------------------------------------------------------------------------------------------------------
-- gravity_memory_rebuild_arcs().

SELECT throws_ok('SELECT gravity_memory_rebuild_arcs(NULL)', '22004', NULL, 'gravity_memory_rebuild_arcs() refuses a user that is NULL');
CREATE FUNCTION pg_temp.hint_of(p_sql text) RETURNS text LANGUAGE plpgsql AS $hint_of$
DECLARE
    v_hint text;
BEGIN
    EXECUTE p_sql;
    RETURN 'no error';
EXCEPTION WHEN OTHERS THEN
    GET STACKED DIAGNOSTICS v_hint = PG_EXCEPTION_HINT;
    RETURN v_hint;
END
$hint_of$;
SELECT matches(pg_temp.hint_of('SELECT gravity_memory_rebuild_arcs(NULL)'), 'For all users: SELECT .*gravity_memory_rebuild_arcs\(user_id\)', 'with a HINT that says what to run');
SELECT is(gravity_memory_rebuild_arcs('tap-nobody'), 0::bigint, 'a user without memories has no arcs');

ALTER TABLE gravity_map DISABLE TRIGGER USER;
SELECT pg_temp.remember('tap-load', v.content, v.emotion, v.gravity, v.hours)
FROM (VALUES ('a', 'joy', 0.9, 0), ('b', 'joy', 0.8, 10), ('c', 'joy', 1, 20), ('d', 'joy', 0.9, 100), ('e', 'joy', 0.1, 5), ('f', 'calm', 0.9, 0),
             ('g', 'calm', 0.9, 0), ('h', 'calm', 0.9, 0), ('i', NULL, 0.9, 0), ('j', '', 0.9, 0), ('k', 'awe', 0.9, 0)) AS v (content, emotion, gravity, hours);
SELECT is(pg_temp.arcs('tap-load'), '{}', '(loaded with the triggers disabled)');
SELECT is(gravity_memory_rebuild_arcs('tap-load'), 2::bigint, 'after such a load, a rebuild returns how many automatic arcs there are');
SELECT is(pg_temp.arcs('tap-load'), ARRAY['calm arc (auto-created) [forming] f g h', 'joy arc (auto-created) [forming] a b c'], 'and has made those that the triggers would have');
SELECT is_empty($$SELECT pg_temp.wrong_totals('tap-load')$$, 'with right totals');
DELETE FROM gravity_map WHERE user_id = 'tap-load' AND emotion_type = 'calm';
ALTER TABLE gravity_map ENABLE TRIGGER USER;
SELECT gravity_memory_rebuild_arcs('tap-load');
SELECT is(pg_temp.arcs('tap-load'), ARRAY['joy arc (auto-created) [forming] a b c'], 'it removes the arc of an emotion that is gone');

UPDATE memory_arcs SET memory_count = 77, gravity_center = 0.1, peak_gravity = NULL, first_memory_at = 'infinity', last_memory_at = NULL WHERE user_id = 'tap-load';
SELECT gravity_memory_rebuild_arcs('tap-load');
SELECT is_empty($$SELECT pg_temp.wrong_totals('tap-load')$$, 'it repairs totals that something else overwrote');
SET CONSTRAINTS ALL IMMEDIATE;
SET CONSTRAINTS ALL DEFERRED;
ALTER TABLE memory_arc_associations DISABLE TRIGGER USER;
DELETE FROM memory_arc_associations WHERE memory_id IN (SELECT id FROM gravity_map WHERE user_id = 'tap-load' AND content IN ('a', 'b'));
INSERT INTO memory_arc_associations (memory_id, arc_id)
SELECT m.id, a.id FROM gravity_map m, memory_arcs a WHERE m.user_id = 'tap-load' AND m.content = 'd' AND a.user_id = 'tap-load';
ALTER TABLE memory_arc_associations ENABLE TRIGGER USER;
SELECT gravity_memory_rebuild_arcs('tap-load');
SELECT is(pg_temp.arcs('tap-load'), ARRAY['joy arc (auto-created) [forming] a b c'], 'it makes missing links and removes those that do not belong');
SELECT is_empty($$SELECT pg_temp.wrong_totals('tap-load')$$, 'with right totals');

SELECT pg_temp.remember_many('tap-history', 'joy', 3);
UPDATE memory_arcs SET evolution_stage = 'mature' WHERE user_id = 'tap-history';
SELECT pg_temp.remember('tap-history', 'd', 'joy', 0.9, 3), pg_temp.arc('tap-history', 'by hand', 'calm'), pg_temp.remember_many('tap-history', 'calm', 3);
SELECT is(gravity_memory_rebuild_arcs('tap-history'), 2::bigint, '(a closed arc, an open one and one made by hand)');
SELECT is(pg_temp.arcs('tap-history'), ARRAY['by hand [active] a b c', 'joy arc (auto-created) [forming] d', 'joy arc (auto-created) [mature] a b c'],
          'it leaves members in closed arcs and in arcs made by hand');

-------------------------------------------------------------------------------------------------------------------------------------
-- Unusual values and faults.

SELECT lives_ok($$INSERT INTO gravity_map (user_id, content, emotion_type, gravity_score, created_at)
                  SELECT 'tap-infinite', t || n, 'joy', 0.9, t::timestamptz FROM unnest('{infinity,-infinity}'::text[]) AS t, generate_series(1, 3) AS n$$,
                'memories of infinite time are stored');
SELECT pg_temp.remember_many('tap-infinite', 'joy', 3);
SELECT is(pg_temp.arcs('tap-infinite'), ARRAY['joy arc (auto-created) [forming] a b c'], 'and are never close to others, nor in their way');
SELECT lives_ok($$INSERT INTO gravity_map (user_id, content, emotion_type, gravity_score, created_at)
                  SELECT 'tap-last', chr(96 + n), 'joy', 0.9, '294276-12-31 23:59:59Z' FROM generate_series(1, 3) AS n$$, 'memories of the last day that there is are stored');
SELECT is(pg_temp.arcs('tap-last'), ARRAY['joy arc (auto-created) [forming] a b c'], 'and make an arc like those of any day');

ALTER TABLE gravity_map DROP CONSTRAINT gravity_map_gravity_score_range;
SELECT lives_ok($$SELECT pg_temp.remember('tap-nan', v || n, 'joy', v::double precision, 0) FROM unnest('{NaN,Infinity,-Infinity}'::text[]) AS v, generate_series(1, 3) AS n$$,
                'where the range check was dropped, NaN and infinite gravity are stored');
SELECT is(pg_temp.arcs('tap-nan'), '{}', 'and make no arc');
SELECT pg_temp.remember('tap-nan', 'a', 'joy', 7, 0), pg_temp.remember('tap-nan', 'b', 'joy', 1, 0), pg_temp.remember('tap-nan', 'c', 'joy', 0.8, 0);
SELECT is(pg_temp.arcs('tap-nan'), ARRAY['joy arc (auto-created) [forming] a b c'], 'while finite gravity does');
UPDATE gravity_map SET gravity_score = 'NaN' WHERE user_id = 'tap-nan' AND content = 'a';
SELECT is(pg_temp.arcs('tap-nan'), '{}', 'a member whose gravity becomes NaN leaves');

SAVEPOINT faults;
ALTER TABLE memory_arcs ADD CONSTRAINT refuse CHECK (user_id <> 'tap-refused') NOT VALID;
SELECT lives_ok($$SELECT pg_temp.remember_many('tap-refused', 'joy', 3)$$, 'a fault in the arcs does not fail the insert');
SELECT lives_ok($$UPDATE gravity_map SET gravity_score = 0.95 WHERE user_id = 'tap-refused'$$, 'nor an update');
SELECT is((SELECT count(*) FROM gravity_map WHERE user_id = 'tap-refused' AND gravity_score = 0.95), 3::bigint, 'the memories are there as written');
ALTER TABLE memory_arcs DROP CONSTRAINT refuse;
SELECT gravity_memory_rebuild_arcs('tap-refused');
SELECT is(pg_temp.arcs('tap-refused'), ARRAY['joy arc (auto-created) [forming] a b c'], 'and a rebuild makes their arcs when the fault is gone');
SELECT lives_ok($$DELETE FROM gravity_map WHERE user_id = 'tap-refused'$$, '(and they can be deleted)');

ALTER TABLE memory_arcs RENAME TO memory_arcs_elsewhere;
SELECT lives_ok($$SELECT pg_temp.remember_many('tap-missing', 'joy', 3)$$, 'nor does a missing table');
ALTER TABLE memory_arcs_elsewhere RENAME TO memory_arcs;
SELECT is((SELECT count(*) FROM gravity_map WHERE user_id = 'tap-missing'), 3::bigint, 'the memories are there');
ROLLBACK TO faults;

SET LOCAL gravity_memory.arc_totals = 'garbage';
SELECT lives_ok($$SELECT pg_temp.remember_many('tap-garbage', 'joy', 3)$$, 'a session that overwrites the parameter gravity_memory.arc_totals can still insert');
SET LOCAL gravity_memory.arc_totals = '{"writes": 1e9, "waiting": {"x": 1}}';
SELECT lives_ok($$SELECT pg_temp.remember_many('tap-garbage', 'calm', 3)$$, 'whatever it writes there');
SET LOCAL gravity_memory.arc_totals = '[1]';
SELECT lives_ok($$DELETE FROM gravity_map WHERE user_id = 'tap-rename'$$, 'and delete');
SET LOCAL gravity_memory.arc_totals = '';
SELECT is((SELECT count(*) FROM gravity_map WHERE user_id = 'tap-garbage'), 6::bigint, 'its memories are there');
SELECT gravity_memory_rebuild_arcs('tap-garbage');
SELECT is(pg_temp.arcs('tap-garbage'), ARRAY['calm arc (auto-created) [forming] a b c', 'joy arc (auto-created) [forming] a b c'], 'and a rebuild makes their arcs');
SELECT is_empty($$SELECT pg_temp.wrong_totals('tap-garbage')$$, 'with right totals');

SELECT * FROM finish();
ROLLBACK;
