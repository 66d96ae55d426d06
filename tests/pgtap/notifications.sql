-- Notifications: what is announced, on which channel, with which data. How listeners get it is tested with real clients, in tests/python.
BEGIN;
\ir support/session.psql
SELECT plan(61);

-- A transaction that is rolled back announces nothing, so the two functions that speak to PostgreSQL's queue are made to find
-- a pg_notify() that keeps what it is given, and passes it on, and a queue as full as a test wants.
CREATE SCHEMA pgtap_listener;
CREATE TABLE pgtap_listener.heard (n bigint GENERATED ALWAYS AS IDENTITY, channel text, payload text);
CREATE FUNCTION pgtap_listener.pg_notify(p_channel text, p_payload text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
AS $pg_notify$
BEGIN
    IF current_setting('pgtap.notify_fails', true) = 'on' THEN
        RAISE EXCEPTION 'the queue is broken';
    END IF;
    PERFORM pg_catalog.pg_notify(p_channel, p_payload);
    INSERT INTO pgtap_listener.heard (channel, payload) VALUES (p_channel, p_payload);
END
$pg_notify$;
CREATE FUNCTION pgtap_listener.pg_notification_queue_usage() RETURNS double precision
LANGUAGE sql
AS $usage$ SELECT COALESCE(NULLIF(current_setting('pgtap.queue_usage', true), '')::double precision, 0) $usage$;
GRANT USAGE ON SCHEMA pgtap_listener TO PUBLIC;
ALTER FUNCTION _gravity_memory_notify(text, json) SET search_path = pgtap_listener, pg_catalog, pg_temp;
ALTER FUNCTION _gravity_memory_may_notify(jsonb, text) SET search_path = pgtap_listener, pg_catalog, pg_temp;

-- heard(): what a statement announces.
CREATE FUNCTION pg_temp.heard(p_statement text) RETURNS TABLE (channel text, payload text)
LANGUAGE plpgsql
AS $heard$
DECLARE
    v_before CONSTANT bigint := (SELECT COALESCE(max(h.n), 0) FROM pgtap_listener.heard AS h);
BEGIN
    EXECUTE p_statement;
    RETURN QUERY SELECT h.channel, h.payload FROM pgtap_listener.heard AS h WHERE h.n > v_before ORDER BY h.n;
END
$heard$;

-- memory_created.

SELECT results_eq(
    $$SELECT h.channel, h.payload::jsonb FROM pg_temp.heard($q$
        INSERT INTO gravity_map (id, user_id, thread_id, session_id, gravity_score, emotion_type, created_at, content)
        VALUES ('00000000-0000-4000-8000-0000000b0001', 'pgtap notify', 'a thread', 'a session', 0.75, 'joy', '2024-05-06 07:08:09.123456+00', 'secret')$q$) AS h$$,
    $$VALUES ('memory_created', format('{"id": "00000000-0000-4000-8000-0000000b0001", "user_id": "pgtap notify", "thread_id": "a thread",
        "session_id": "a session", "gravity_score": 0.75, "emotion_type": "joy", "created_at": %s}',
        to_json(timestamptz '2024-05-06 07:08:09.123456+00'))::jsonb)$$,
    'a new memory is announced on memory_created with the specification''s data');
SELECT results_eq(
    $$SELECT k FROM pg_temp.heard($q$INSERT INTO gravity_map (user_id) VALUES ('pgtap notify')$q$) AS h CROSS JOIN LATERAL json_object_keys(h.payload::json) AS k$$,
    ARRAY['id', 'user_id', 'thread_id', 'session_id', 'gravity_score', 'emotion_type', 'created_at'],
    'with its seven keys, in its order, whether they have values or not');
SELECT is(h.payload::jsonb ->> 'gravity_score', '0.5', 'defaults are announced as they are stored')
FROM pg_temp.heard($$INSERT INTO gravity_map (user_id) VALUES ('pgtap notify')$$) AS h;
SELECT is(h.payload::jsonb -> 'thread_id', 'null'::jsonb, 'NULL is announced as null')
FROM pg_temp.heard($$INSERT INTO gravity_map (user_id) VALUES ('pgtap notify')$$) AS h;
SELECT is(h.payload::jsonb ->> 'thread_id', v.text, format('the text %s arrives as it is', to_json(v.text)))
FROM (VALUES ('it''s "quoted"'), ('50% \ _'), (E'line\nbreak\ttab'), ('Zoë 🦊 日本'), ('')) AS v (text)
CROSS JOIN LATERAL pg_temp.heard(format('INSERT INTO gravity_map (user_id, thread_id) VALUES (''pgtap notify'', %L)', v.text)) AS h;
SELECT results_eq(
    $$SELECT h.channel, h.payload::jsonb ->> 'thread_id' FROM pg_temp.heard($q$
        INSERT INTO gravity_map (user_id, thread_id) SELECT 'pgtap notify', i FROM generate_series(1, 3) AS i$q$) AS h ORDER BY 2$$,
    $$VALUES ('memory_created', '1'), ('memory_created', '2'), ('memory_created', '3')$$, 'a statement of three rows announces each');
SELECT is_empty($$SELECT * FROM pg_temp.heard('INSERT INTO gravity_map (user_id) SELECT ''x'' WHERE false')$$, 'a statement without rows announces nothing');

-- memory_updated.

SELECT results_eq(
    $$SELECT h.channel, h.payload::jsonb - 'created_at' FROM pg_temp.heard($q$
        UPDATE gravity_map SET gravity_score = 0.25, emotion_type = 'hope' WHERE id = '00000000-0000-4000-8000-0000000b0001'$q$) AS h$$,
    $$VALUES ('memory_updated', '{"id": "00000000-0000-4000-8000-0000000b0001", "user_id": "pgtap notify", "thread_id": "a thread",
        "session_id": "a session", "gravity_score": 0.25, "emotion_type": "hope"}'::jsonb)$$,
    'an update is announced on memory_updated, with the new values');
SELECT results_eq(
    $$SELECT k FROM pg_temp.heard($q$UPDATE gravity_map SET content = 'x' WHERE id = '00000000-0000-4000-8000-0000000b0001'$q$) AS h
      CROSS JOIN LATERAL json_object_keys(h.payload::json) AS k$$,
    ARRAY['id', 'user_id', 'thread_id', 'session_id', 'gravity_score', 'emotion_type', 'created_at'],
    'and the same keys; an update of any column counts');
SELECT is_empty($$SELECT * FROM pg_temp.heard('UPDATE gravity_map SET content = content WHERE user_id = ''nobody of pgtap''')$$,
                'an update that meets no row announces nothing');
SELECT results_eq(
    $$SELECT h.channel, h.payload::jsonb ->> 'thread_id' FROM pg_temp.heard($q$
        INSERT INTO gravity_map (id, user_id, thread_id)
        VALUES ('00000000-0000-4000-8000-0000000b0001', 'pgtap notify', 'old'), ('00000000-0000-4000-8000-0000000b0002', 'pgtap notify', 'new')
        ON CONFLICT (id) DO UPDATE SET thread_id = EXCLUDED.thread_id$q$) AS h ORDER BY 1$$,
    $$VALUES ('memory_created', 'new'), ('memory_updated', 'old')$$, 'an upsert announces each row for what happened to it');
SELECT is_empty($$SELECT * FROM pg_temp.heard($q$DELETE FROM gravity_map WHERE user_id = 'pgtap notify'$q$)$$, 'a deletion is not announced');

-- arc_created.

SELECT results_eq(
    $$SELECT h.channel, h.payload::jsonb FROM pg_temp.heard($q$
        INSERT INTO memory_arcs (id, user_id, arc_name, gravity_center, created_at)
        VALUES ('00000000-0000-4000-8000-0000000b0003', 'pgtap notify', 'by hand', 0.5, '2024-05-06 07:08:09+00')$q$) AS h$$,
    $$VALUES ('arc_created', format('{"id": "00000000-0000-4000-8000-0000000b0003", "user_id": "pgtap notify", "arc_name": "by hand",
        "gravity_center": 0.5, "evolution_stage": "forming", "created_at": %s}', to_json(timestamptz '2024-05-06 07:08:09+00'))::jsonb)$$,
    'an arc made by hand is announced on arc_created');
SELECT results_eq(
    $$SELECT k FROM pg_temp.heard($q$INSERT INTO memory_arcs (user_id, arc_name) VALUES ('pgtap notify', 'x')$q$) AS h
      CROSS JOIN LATERAL json_object_keys(h.payload::json) AS k$$,
    ARRAY['id', 'user_id', 'arc_name', 'gravity_center', 'evolution_stage', 'created_at'], 'with its six keys');
SELECT results_eq(
    $$SELECT h.channel, h.payload::jsonb ->> 'arc_name', round((h.payload::jsonb ->> 'gravity_center')::numeric, 6) FROM pg_temp.heard($q$
        INSERT INTO gravity_map (user_id, gravity_score, emotion_type) VALUES ('pgtap notify arc', 0.8, 'joy'), ('pgtap notify arc', 0.9, 'joy'), ('pgtap notify arc', 1, 'joy')$q$) AS h
      WHERE h.channel <> 'memory_created'$$,
    $$VALUES ('arc_created', 'joy arc (auto-created)', 0.9)$$, 'an automatic arc is announced, once, with the mean gravity of its first members');
SELECT is_empty(
    $$SELECT * FROM pg_temp.heard($q$INSERT INTO gravity_map (user_id, gravity_score, emotion_type) VALUES ('pgtap notify arc', 0.8, 'joy')$q$) AS h
      WHERE h.channel = 'arc_created'$$, 'a memory that joins an arc announces no new one');
SELECT is_empty($$SELECT * FROM pg_temp.heard($q$UPDATE memory_arcs SET growth_vector = '{}' WHERE user_id = 'pgtap notify arc'$q$)$$,
                'changes of an arc are not announced');
SET CONSTRAINTS ALL IMMEDIATE;

-- Off.

SELECT gravity_memory_set('notify', 'off') IS NULL AS ignored \gset
SELECT is_empty(
    $$SELECT * FROM pg_temp.heard($q$
        INSERT INTO gravity_map (user_id, gravity_score, emotion_type) SELECT 'pgtap notify off', 0.9, 'joy' FROM generate_series(1, 3);
        UPDATE gravity_map SET content = 'x' WHERE user_id = 'pgtap notify off';
        INSERT INTO memory_arcs (user_id, arc_name) VALUES ('pgtap notify off', 'x')$q$)$$,
    'with notify off nothing is announced on any channel');
SELECT is((SELECT a.memory_count FROM memory_arcs AS a WHERE a.user_id = 'pgtap notify off' AND a.emotion_type = 'joy'), 3, 'and all else goes on');
SELECT gravity_memory_reset('notify') IS NULL AS ignored \gset
SELECT is((SELECT count(*) FROM pg_temp.heard($$INSERT INTO gravity_map (user_id) VALUES ('pgtap notify')$$)), 1::bigint, 'a reset turns them on again');

-- Many rows.

SELECT is((SELECT count(*) FROM pg_temp.heard($$INSERT INTO gravity_map (user_id) SELECT 'pgtap notify bulk' FROM generate_series(1, 1000)$$)), 1000::bigint,
          'a statement of 1,000 rows announces each');
SELECT results_eq(
    $$SELECT h.channel, h.payload::jsonb FROM pg_temp.heard($q$
        INSERT INTO gravity_map (user_id) SELECT 'pgtap notify bulk ' || i % 2 FROM generate_series(1, 1001) AS i$q$) AS h ORDER BY h.payload$$,
    $$VALUES ('memory_created', '{"user_id": "pgtap notify bulk 0", "count": 500}'::jsonb),
             ('memory_created', '{"user_id": "pgtap notify bulk 1", "count": 501}')$$,
    'one of 1,001 rows announces how many there are, once per user');
SELECT results_eq(
    $$SELECT h.channel, h.payload::jsonb FROM pg_temp.heard($q$UPDATE gravity_map SET content = 'x' WHERE user_id LIKE 'pgtap notify bulk _'$q$) AS h ORDER BY h.payload$$,
    $$VALUES ('memory_updated', '{"user_id": "pgtap notify bulk 0", "count": 500}'::jsonb),
             ('memory_updated', '{"user_id": "pgtap notify bulk 1", "count": 501}')$$, 'so does an update');
SELECT results_eq(
    $$SELECT h.channel, h.payload::jsonb FROM pg_temp.heard($q$INSERT INTO memory_arcs (user_id, arc_name) SELECT 'pgtap notify bulk', i FROM generate_series(1, 1001) AS i$q$) AS h$$,
    $$VALUES ('arc_created', '{"user_id": "pgtap notify bulk", "count": 1001}'::jsonb)$$, 'and a statement that makes many arcs');
SELECT is((SELECT count(*) FROM pg_temp.heard($$INSERT INTO memory_arcs (user_id, arc_name) SELECT 'pgtap notify bulk', i FROM generate_series(1, 1000) AS i$$)),
          1000::bigint, '1,000 arcs are announced one by one');
SELECT gravity_memory_set('notify_bulk_rows', '2') IS NULL AS ignored \gset
SELECT is((SELECT count(*) FROM pg_temp.heard($$INSERT INTO gravity_map (user_id) SELECT 'pgtap notify' FROM generate_series(1, 2)$$)), 2::bigint,
          'with notify_bulk_rows 2, two rows are announced one by one');
SELECT is((SELECT h.payload::jsonb -> 'count' FROM pg_temp.heard($$INSERT INTO gravity_map (user_id) SELECT 'pgtap notify' FROM generate_series(1, 3)$$) AS h), '3'::jsonb,
          'and three by their number');
SELECT gravity_memory_set('notify_bulk_rows', '0') IS NULL AS ignored \gset
SELECT is((SELECT h.payload::jsonb -> 'count' FROM pg_temp.heard($$INSERT INTO gravity_map (user_id) VALUES ('pgtap notify')$$) AS h), '1'::jsonb,
          'with 0, even one row');
SELECT gravity_memory_reset('notify_bulk_rows') IS NULL AS ignored \gset

-- Long texts. PostgreSQL refuses a payload of 8,000 bytes; the recorder passes everything on to it.

-- padded(): announces a memory whose payload would have so many bytes, filled up in thread_id.
CREATE FUNCTION pg_temp.padded(p_bytes integer) RETURNS text
LANGUAGE sql
AS $padded$
    SELECT h.payload FROM pg_temp.heard(format(
        'INSERT INTO gravity_map (user_id, thread_id) VALUES (''pgtap notify'', repeat(''x'', %s))',
        p_bytes - (SELECT octet_length(e.payload)
                   FROM pg_temp.heard('INSERT INTO gravity_map (user_id, thread_id) VALUES (''pgtap notify'', '''')') AS e))) AS h
$padded$;
SELECT is((octet_length(p), p::jsonb ? 'truncated')::text, '(7999,f)', 'a payload of 7,999 bytes is sent whole')
FROM pg_temp.padded(7999) AS p;
SELECT is((octet_length(p) < 7999, p::jsonb -> 'truncated', p::jsonb -> 'thread_id')::text, '(t,true,null)',
          'one of 8,000 bytes loses its longest text and says "truncated": true')
FROM pg_temp.padded(8000) AS p;
SELECT is_empty(
    $$SELECT b FROM generate_series(7900, 8100, 7) AS b CROSS JOIN LATERAL pg_temp.padded(b) AS p
      WHERE octet_length(p) > 7999 OR p::jsonb ->> 'user_id' <> 'pgtap notify' OR p::jsonb -> 'id' IS NULL$$,
    'around the limit every payload fits, is JSON, and has id and user_id');

SELECT is((h.payload::jsonb - 'id' - 'created_at')::text, v.expected::jsonb::text, v.description)
FROM (VALUES
    ('thread_id, session_id', 'repeat(''t'', 5000), repeat(''s'', 4000)',
     format('{"user_id": "pgtap notify", "thread_id": null, "session_id": "%s", "gravity_score": 0.5, "emotion_type": null, "truncated": true}', repeat('s', 4000)),
     'the longest text goes first, the others stay'),
    ('thread_id, session_id, emotion_type', 'repeat(''t'', 9000), repeat(''s'', 8500), repeat(''e'', 8192)',
     '{"user_id": "pgtap notify", "thread_id": null, "session_id": null, "gravity_score": 0.5, "emotion_type": null, "truncated": true}',
     'as many go as must'),
    ('thread_id', 'repeat(E''\x01'', 2000)',
     '{"user_id": "pgtap notify", "thread_id": null, "session_id": null, "gravity_score": 0.5, "emotion_type": null, "truncated": true}',
     'control characters, six bytes each in JSON, count as such'),
    ('thread_id', 'repeat(''"'', 4500)',
     '{"user_id": "pgtap notify", "thread_id": null, "session_id": null, "gravity_score": 0.5, "emotion_type": null, "truncated": true}',
     'and quotes, two bytes each'),
    ('thread_id', 'repeat(''🦊'', 2000)',
     '{"user_id": "pgtap notify", "thread_id": null, "session_id": null, "gravity_score": 0.5, "emotion_type": null, "truncated": true}',
     'bytes count, not characters'),
    ('thread_id', 'repeat(''🦊'', 1900)',
     format('{"user_id": "pgtap notify", "thread_id": "%s", "session_id": null, "gravity_score": 0.5, "emotion_type": null}', repeat('🦊', 1900)),
     'a text of many bytes that fits is whole')
) AS v (columns, expressions, expected, description)
CROSS JOIN LATERAL pg_temp.heard(format('INSERT INTO gravity_map (user_id, %s) VALUES (''pgtap notify'', %s)', v.columns, v.expressions)) AS h;
SELECT is((length(p ->> 'user_id'), p -> 'thread_id', p -> 'truncated', p ? 'id')::text, '(7000,null,true,t)', 'a long user_id survives a longer payload')
FROM pg_temp.heard($$INSERT INTO gravity_map (user_id, thread_id) VALUES (repeat('u', 7000), repeat('t', 2000))$$) AS h
CROSS JOIN LATERAL (SELECT h.payload::jsonb AS p) AS j;
SELECT is((length(p ->> 'user_id'), p -> 'thread_id', p -> 'truncated', p ? 'id')::text, '(7000,null,true,t)', 'even one longer than the texts that go')
FROM pg_temp.heard($$INSERT INTO gravity_map (user_id, thread_id) VALUES (repeat('u', 7000), repeat('t', 1000))$$) AS h
CROSS JOIN LATERAL (SELECT h.payload::jsonb AS p) AS j;
SELECT is((p -> 'user_id', p -> 'truncated', length(p ->> 'id'))::text, '(null,true,36)', 'a user_id of 8 kB fits in no payload: it is null, the id is there')
FROM pg_temp.heard($$INSERT INTO gravity_map (user_id) VALUES (repeat('u', 8192))$$) AS h CROSS JOIN LATERAL (SELECT h.payload::jsonb AS p) AS j;
SELECT is((SELECT count(*) FROM gravity_map AS m WHERE m.user_id = repeat('u', 8192)), 1::bigint, 'and the memory is stored');
SELECT is(h.payload::jsonb, '{"user_id": null, "count": 1001, "truncated": true}'::jsonb, 'a count for such a user is announced without the user')
FROM pg_temp.heard($$INSERT INTO gravity_map (user_id) SELECT repeat('u', 8192) FROM generate_series(1, 1001)$$) AS h;
SELECT is((p -> 'arc_name', p ->> 'user_id', p -> 'truncated')::text, '(null,"pgtap notify",true)', 'an arc of a long name is announced without it')
FROM pg_temp.heard($$INSERT INTO memory_arcs (user_id, arc_name) VALUES ('pgtap notify', repeat('a', 8192))$$) AS h CROSS JOIN LATERAL (SELECT h.payload::jsonb AS p) AS j;

-- A queue that fills up: skipped over the limit, never an error.

SELECT is((SELECT count(*) FROM pg_temp.heard(format(
              'SELECT set_config(''pgtap.queue_usage'', %L, true); INSERT INTO gravity_map (user_id) VALUES (''pgtap notify queue'')', v.usage))), v.announced,
          format('a queue in use by %s is %s', v.usage, CASE v.announced WHEN 1 THEN 'used' ELSE 'left alone' END))
FROM (VALUES ('0', 1::bigint), ('0.5', 1), ('0.500001', 0), ('1', 0)) AS v (usage, announced);
SELECT is((SELECT count(*) FROM gravity_map AS m WHERE m.user_id = 'pgtap notify queue'), 4::bigint, 'the memories are stored in any case');
SELECT is_empty($$SELECT * FROM pg_temp.heard($q$UPDATE gravity_map SET content = 'x' WHERE user_id = 'pgtap notify queue'$q$)$$, 'updates are not announced either');
SELECT is_empty($$SELECT * FROM pg_temp.heard($q$INSERT INTO memory_arcs (user_id, arc_name) VALUES ('pgtap notify queue', 'x')$q$)$$, 'nor arcs');
SELECT gravity_memory_set('notify_queue_limit', '1') IS NULL AS ignored \gset
SELECT is((SELECT count(*) FROM pg_temp.heard($$INSERT INTO gravity_map (user_id) VALUES ('pgtap notify queue')$$)), 1::bigint,
          'the setting notify_queue_limit says how full is too full');
SELECT set_config('pgtap.queue_usage', '', true) AS ignored \gset
SELECT gravity_memory_set('notify_queue_limit', '0') IS NULL AS ignored \gset
SELECT is((SELECT count(*) FROM pg_temp.heard($$INSERT INTO gravity_map (user_id) VALUES ('pgtap notify queue')$$)), 1::bigint, 'with 0, an empty queue is used');

-- Any other fault.

SELECT set_config('pgtap.notify_fails', 'on', true) AS ignored \gset
SELECT is((pg_temp.error_of(v.statement)).message, NULL, v.description)
FROM (VALUES
    ('INSERT INTO gravity_map (user_id) VALUES (''pgtap notify fault'')', 'a fault in notifying never fails an insert'),
    ('UPDATE gravity_map SET content = ''x'' WHERE user_id = ''pgtap notify fault''', 'nor an update'),
    ('INSERT INTO memory_arcs (user_id, arc_name) VALUES (''pgtap notify fault'', ''x'')', 'nor a new arc')
) AS v (statement, description);
SELECT is((SELECT count(*) FROM gravity_map AS m WHERE m.user_id = 'pgtap notify fault' AND m.content = 'x'), 1::bigint, 'all of it is stored');
SELECT set_config('pgtap.notify_fails', '', true) AS ignored \gset

-- A writer without any other right.

SELECT pg_temp.new_role('gravity_memory_pgtap_notify') AS ignored \gset
GRANT SELECT, INSERT ON gravity_map TO gravity_memory_pgtap_notify;
SELECT bag_eq(
    $$SELECT h.channel FROM pg_temp.heard($q$SELECT pg_temp.error_of_as('gravity_memory_pgtap_notify',
        'INSERT INTO gravity_map (user_id, gravity_score, emotion_type) SELECT ''pgtap notify writer'', 0.9, ''joy'' FROM generate_series(1, 3)')$q$) AS h$$,
    ARRAY['memory_created', 'memory_created', 'memory_created', 'arc_created'],
    'what a role with nothing but SELECT and INSERT writes is announced, the arc included');

SELECT * FROM finish();
ROLLBACK;
