-- The feed of changes: what is recorded, who is woken, and what a reader gets from a cursor on. Concurrency, crashes and clients are tested in tests/python.
BEGIN;
\ir support/session.psql
SELECT plan(85);

-- As in notifications.sql: a pg_notify() that keeps what it is given, and a queue as full as a test wants.
CREATE SCHEMA pgtap_listener;
CREATE TABLE pgtap_listener.heard (n bigint GENERATED ALWAYS AS IDENTITY, channel text, payload text);
CREATE FUNCTION pgtap_listener.pg_notify(p_channel text, p_payload text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
AS $pg_notify$
BEGIN
    IF current_setting('pgtap.notify_fails', true) = 'on' THEN
        RAISE EXCEPTION 'the queue is broken';
    END IF;
    INSERT INTO pgtap_listener.heard (channel, payload) VALUES (p_channel, p_payload);
END
$pg_notify$;
CREATE FUNCTION pgtap_listener.pg_notification_queue_usage() RETURNS double precision
LANGUAGE sql
AS $usage$ SELECT COALESCE(NULLIF(current_setting('pgtap.queue_usage', true), '')::double precision, 0) $usage$;
GRANT USAGE ON SCHEMA pgtap_listener TO PUBLIC;
ALTER FUNCTION _gravity_memory_notify(text, json) SET search_path = pgtap_listener, pg_catalog, pg_temp;
ALTER FUNCTION _gravity_memory_may_notify(jsonb, text) SET search_path = pgtap_listener, pg_catalog, pg_temp;
ALTER FUNCTION _gravity_memory_wake_listeners() SET search_path = pgtap_listener, pg_catalog, pg_temp;
-- So that what waits for the commit happens at the end of each statement.
SET CONSTRAINTS ALL IMMEDIATE;

-- What this database holds is out of the way until the ROLLBACK.
DELETE FROM memory_events;

-- recorded(): the events that a statement records, in their order.
CREATE FUNCTION pg_temp.recorded(p_statement text) RETURNS SETOF memory_events
LANGUAGE plpgsql
AS $recorded$
DECLARE
    v_before CONSTANT bigint := (SELECT COALESCE(max(e.event_id), 0) FROM memory_events AS e);
BEGIN
    EXECUTE p_statement;
    RETURN QUERY SELECT e.* FROM memory_events AS e WHERE e.event_id > v_before ORDER BY e.event_id;
END
$recorded$;

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

-- By default: nothing.

SELECT is_empty($$SELECT * FROM pg_temp.recorded($q$INSERT INTO gravity_map (user_id) VALUES ('pgtap feed')$q$)$$, 'by default nothing is recorded');
SELECT is(e.state || ': ' || e.message || '; ' || e.hint,
          '55000: no events are recorded; Run SELECT gravity_memory_set(''notify'', ''wakeup''), or gravity_memory_set(''feed'', ''on'') to keep the '
          'notifications with data besides.', 'and a reader is told so, with what to do')
FROM pg_temp.error_of('SELECT memory_changes_head()') AS e;
SELECT is((pg_temp.error_of($$SELECT * FROM memory_changes_since('pgtap feed', 'x')$$)).state, '55000', 'whichever function it asks');

-- notify = wakeup.

SELECT gravity_memory_set('notify', 'wakeup') IS NULL AS ignored \gset
SELECT results_eq($$SELECT e.user_id, e.event, e.payload ->> 'reason' FROM memory_events AS e$$,
                  $$VALUES ('', 'feed_broken', 'no events were recorded until gravity_memory_set() was called')$$,
                  'switching it on notes that what happened before is not in the feed');
SELECT results_eq(
    $$SELECT h.channel, h.payload FROM pg_temp.heard($q$INSERT INTO gravity_map (user_id, content) VALUES ('pgtap feed', 'secret')$q$) AS h$$,
    $$VALUES ('memory_changes', '')$$, 'with notify = wakeup a new memory wakes listeners, and tells them nothing else');
SELECT results_eq(
    $$SELECT r.user_id, r.event, r.subject_id, r.payload - 'updated_at', r.wakes FROM pg_temp.recorded($q$
        INSERT INTO gravity_map (id, user_id, thread_id, session_id, memory_trace_id, content, summary, topic, gravity_score, emotion_type, entities,
                                 temporal_type, metadata, created_at)
        VALUES ('00000000-0000-4000-8000-0000000e0001', 'pgtap feed', 'a thread', 'a session', 'a trace', 'It''s 50% 🦊', 'short', 'fox', 0.75, 'joy',
                '{Ivy,"a b"}', 'past', '{"role": "user"}', '2024-05-06 07:08:09.123456+00')$q$) AS r$$,
    $$VALUES ('pgtap feed', 'memory_created', '00000000-0000-4000-8000-0000000e0001'::uuid,
              format('{"id": "00000000-0000-4000-8000-0000000e0001", "user_id": "pgtap feed", "thread_id": "a thread", "session_id": "a session",
                       "memory_trace_id": "a trace", "content": "It''s 50%% 🦊", "summary": "short", "topic": "fox", "gravity_score": 0.75,
                       "emotion_type": "joy", "entities": ["Ivy", "a b"], "meta_tags": [], "identity_anchor": false, "temporal_type": "past",
                       "metadata": {"role": "user"}, "created_at": %s}', to_json(timestamptz '2024-05-06 07:08:09.123456+00'))::jsonb, true)$$,
    'the event holds the memory as it is stored, without its embedding');
SELECT results_eq(
    $$SELECT r.event, r.payload ->> 'gravity_score', r.payload -> 'meta_tags' FROM pg_temp.recorded($q$
        UPDATE gravity_map SET gravity_score = 0.9 WHERE id = '00000000-0000-4000-8000-0000000e0001'$q$) AS r$$,
    $$VALUES ('memory_updated', '0.9', '["high_gravity"]'::jsonb)$$, 'an update is an event, with what other triggers made of it');
SELECT results_eq(
    $$SELECT r.user_id, r.event, r.subject_id FROM pg_temp.recorded($q$
        UPDATE gravity_map SET user_id = 'pgtap feed 2' WHERE id = '00000000-0000-4000-8000-0000000e0001'$q$) AS r$$,
    $$VALUES ('pgtap feed', 'memory_deleted', '00000000-0000-4000-8000-0000000e0001'::uuid),
             ('pgtap feed 2', 'memory_updated', '00000000-0000-4000-8000-0000000e0001')$$,
    'a memory given to another user is deleted for the one and updated for the other');
SELECT results_eq(
    $$SELECT r.user_id, r.event, r.subject_id, r.payload FROM pg_temp.recorded($q$
        DELETE FROM gravity_map WHERE id = '00000000-0000-4000-8000-0000000e0001'$q$) AS r$$,
    $$VALUES ('pgtap feed 2', 'memory_deleted', '00000000-0000-4000-8000-0000000e0001'::uuid,
              '{"id": "00000000-0000-4000-8000-0000000e0001", "user_id": "pgtap feed 2"}'::jsonb)$$,
    'a deletion is an event that says which memory it was');
SELECT results_eq(
    $$SELECT count(*), count(*) FILTER (WHERE r.wakes), count(DISTINCT r.subject_id) FROM pg_temp.recorded($q$
        INSERT INTO gravity_map (user_id) SELECT 'pgtap feed' FROM generate_series(1, 3000)$q$) AS r$$,
    'VALUES (3000::bigint, 1::bigint, 3000::bigint)', 'a statement of thousands of rows records each of them, and wakes once');
SELECT is_empty($$SELECT * FROM pg_temp.recorded($q$UPDATE gravity_map SET content = '' WHERE user_id = 'pgtap nobody'$q$)$$, 'a statement without rows records nothing');
SELECT is((SELECT array_agg(r.event ORDER BY r.event_id) FROM pg_temp.recorded($$
             INSERT INTO gravity_map (user_id, gravity_score, emotion_type) SELECT 'pgtap feed arcs', 0.9, 'joy' FROM generate_series(1, 3)$$) AS r
           WHERE r.event LIKE 'arc%'), ARRAY['arc_created', 'arc_updated'], 'a new arc is an event, and so are the totals of its members');
SELECT is((SELECT e.payload ->> 'arc_name' FROM memory_events AS e WHERE e.user_id = 'pgtap feed arcs' AND e.event = 'arc_created'),
          'joy arc (auto-created)', 'with the arc');
SELECT is((SELECT e.payload ->> 'memory_count' FROM memory_events AS e WHERE e.user_id = 'pgtap feed arcs' AND e.event = 'arc_updated'), '3', 'as it became');
SELECT results_eq($$SELECT r.event FROM pg_temp.recorded($q$DELETE FROM memory_arcs WHERE user_id = 'pgtap feed arcs'$q$) AS r$$, ARRAY['arc_deleted'],
                  'and its end is one');
SELECT results_eq($$SELECT r.event, r.payload ->> 'gravity_score' FROM pg_temp.recorded($q$
                      ALTER TABLE gravity_map DROP CONSTRAINT IF EXISTS gravity_map_gravity_score_range;
                      INSERT INTO gravity_map (user_id, gravity_score) VALUES ('pgtap feed', 'NaN')$q$) AS r$$,
                  $$VALUES ('memory_created', 'NaN')$$, 'a gravity that JSON has no number for is recorded as text');
SELECT is((SELECT length(r.payload ->> 'content') FROM pg_temp.recorded($$
             INSERT INTO gravity_map (user_id, content) VALUES (repeat('u', 2000), repeat('long ', 100000))$$) AS r), 500000,
          'nothing is too long for the feed');

-- What wakes, and what does not.

SELECT gravity_memory_set('notify', 'payload'), gravity_memory_set('feed', 'on') IS NULL AS ignored \gset
SELECT bag_eq($$SELECT h.channel FROM pg_temp.heard($q$INSERT INTO gravity_map (user_id) VALUES ('pgtap feed')$q$) AS h$$, ARRAY['memory_created', 'memory_changes'],
              'with feed = on and notify = payload listeners are told both ways');
SELECT gravity_memory_set('notify', 'off') IS NULL AS ignored \gset
SELECT is_empty($$SELECT * FROM pg_temp.heard($q$INSERT INTO gravity_map (user_id) VALUES ('pgtap feed silent')$q$)$$, 'with notify = off nobody is told');
SELECT is((SELECT count(*) FROM memory_events AS e WHERE e.user_id = 'pgtap feed silent'), 1::bigint, 'and the feed is kept');
SELECT gravity_memory_set('notify', 'wakeup') IS NULL AS ignored \gset
SELECT set_config('pgtap.queue_usage', '0.9', true) AS ignored \gset
SELECT is_empty($$SELECT * FROM pg_temp.heard($q$INSERT INTO gravity_map (user_id) VALUES ('pgtap feed full')$q$)$$, 'a queue that is nearly full is left alone');
SELECT is((SELECT count(*) FROM memory_events AS e WHERE e.user_id = 'pgtap feed full'), 1::bigint, 'the event is there');
SELECT set_config('pgtap.queue_usage', '', true), set_config('pgtap.notify_fails', 'on', true) AS ignored \gset
SELECT is((pg_temp.error_of($$INSERT INTO gravity_map (user_id) VALUES ('pgtap feed broken queue')$$)).message, NULL, 'a notification that fails costs no memory');
SELECT is((SELECT count(*) FROM memory_events AS e WHERE e.user_id = 'pgtap feed broken queue'), 1::bigint, 'nor its event');
SELECT set_config('pgtap.notify_fails', '', true) AS ignored \gset

-- Breaks.

ALTER TABLE memory_events ADD CONSTRAINT pgtap_refuses CHECK (event = 'feed_broken') NOT VALID;
SELECT is((pg_temp.error_of($$INSERT INTO gravity_map (id, user_id) VALUES ('00000000-0000-4000-8000-0000000e0002', 'pgtap feed')$$)).message, NULL,
          'a memory whose event cannot be recorded is stored');
SELECT is((SELECT e.payload ->> 'reason' FROM memory_events AS e ORDER BY e.event_id DESC LIMIT 1), 'events of memories could not be recorded', 'and the feed is broken there');
SELECT is((pg_temp.error_of($$INSERT INTO memory_arcs (user_id, arc_name) VALUES ('pgtap feed', 'by hand')$$)).message, NULL, 'so is an arc');
SELECT is((SELECT e.payload ->> 'reason' FROM memory_events AS e ORDER BY e.event_id DESC LIMIT 1), 'events of arcs could not be recorded', 'in the same way');
ALTER TABLE memory_events DROP CONSTRAINT pgtap_refuses;
ALTER TABLE memory_events RENAME TO pgtap_hidden;
SELECT is((pg_temp.error_of($$DELETE FROM gravity_map WHERE id = '00000000-0000-4000-8000-0000000e0002'$$)).message, NULL, 'nothing fails without the table');
SELECT matches(e.state || ': ' || e.message || '; ' || e.hint, '^55000: the table memory_events does not exist; Run SELECT', 'but a reader, who is told')
FROM pg_temp.error_of('SELECT memory_changes_head()') AS e;
ALTER TABLE pgtap_hidden RENAME TO memory_events;
TRUNCATE memory_events;
SELECT results_eq($$SELECT e.event, e.payload ->> 'reason' FROM memory_events AS e$$, $$VALUES ('feed_broken', 'memory_events was truncated')$$,
                  'a TRUNCATE of the events breaks the feed');
TRUNCATE memory_arcs, memory_arc_associations;
SELECT is((SELECT e.payload ->> 'reason' FROM memory_events AS e ORDER BY e.event_id DESC LIMIT 1), 'memory_arcs was truncated', 'and one of the arcs');
DROP TRIGGER trigger_publish_memories ON gravity_map;
SELECT count(*) AS ignored FROM gravity_memory_setup() \gset
SELECT is((SELECT e.payload ->> 'reason' FROM memory_events AS e ORDER BY e.event_id DESC LIMIT 1), 'events were not recorded until gravity_memory_setup() ran',
          'and a trigger that was missing');

-- Reading. This transaction's own events are nobody's before it commits, so some are given the numbers of old transactions.

DELETE FROM memory_events;
SELECT memory_changes_head() AS head \gset
INSERT INTO gravity_map (user_id, content) VALUES ('pgtap reader', 'own');
SELECT results_eq(format('SELECT event, next_cursor IS NULL, has_more FROM memory_changes_since(''pgtap reader'', %L)', :'head'),
                  'VALUES (NULL::text, false, false)'::text, 'a transaction does not read its own events: one row comes, with the cursor to go on from');
SELECT matches(:'head'::text, '^1/\d+/\d+/\d+/\d+:\d+:[\d,]*$', 'a cursor names the server, its timeline, the time and the snapshot');

-- cursor_at(): a cursor that has seen the transactions before a number, but for some that were open.
CREATE FUNCTION pg_temp.cursor_at(p_next bigint, p_open text DEFAULT '', p_age interval DEFAULT '0') RETURNS text LANGUAGE sql
AS $cursor_at$
    SELECT format('1/%s/%s/%s/%s:%s:%s', h[2], h[3], h[4]::numeric - 1000000 * extract(epoch FROM p_age)::bigint,
                  LEAST(p_next, NULLIF(split_part(p_open, ',', 1), '')::bigint), p_next, p_open)
    FROM (SELECT string_to_array(memory_changes_head(), '/') AS h) AS head
$cursor_at$;
DELETE FROM memory_events;
-- Written before the server began, which a cursor of the past would otherwise take for written after a crash.
INSERT INTO memory_events (user_id, xid, event, subject_id, payload, wakes, created_at)
SELECT v.user_id, v.xid::text::xid8, 'memory_created', gen_random_uuid(), jsonb_build_object('content', v.content), false, now() - interval '1 hour'
FROM (VALUES ('pgtap reader', 30, 'first written'), ('pgtap other', 30, 'other'), ('pgtap reader', 10, 'long open'), ('pgtap reader', 20, 'third'),
             ('pgtap reader', 40, 'last')) AS v (user_id, xid, content);
CREATE FUNCTION pg_temp.contents(p_cursor text, p_limit integer DEFAULT 100, p_user_ids text[] DEFAULT '{pgtap reader}') RETURNS text[] LANGUAGE sql
AS $contents$
    SELECT COALESCE(array_agg(c.payload ->> 'content') FILTER (WHERE c.event IS NOT NULL), '{}') FROM gravity_memory_changes(p_user_ids, p_cursor, p_limit) AS c
$contents$;
SELECT is(pg_temp.contents(pg_temp.cursor_at(5)), ARRAY['first written', 'long open', 'third', 'last'], 'a reader gets its user''s events, as they were written');
SELECT is(pg_temp.contents(pg_temp.cursor_at(25)), ARRAY['first written', 'last'], 'and only those that its cursor has not seen');
SELECT is(pg_temp.contents(pg_temp.cursor_at(25, '10')), ARRAY['first written', 'long open', 'last'], 'one that was open then is new, whatever its number');
SELECT is(pg_temp.contents(pg_temp.cursor_at(41)), '{}'::text[], 'after the last one there is nothing');
SELECT is(pg_temp.contents(pg_temp.cursor_at(25, '10'), 100, ARRAY(SELECT 'pgtap ' || n FROM generate_series(1, 30) AS n) || '{pgtap reader,pgtap other}'::text[]),
          ARRAY['first written', 'other', 'long open', 'last'], 'many users who looked a moment ago share one look, with the same answer');
SELECT is(pg_temp.contents(pg_temp.cursor_at(25, '10', '1 minute'), 100, ARRAY(SELECT 'pgtap ' || n FROM generate_series(1, 30) AS n) || '{pgtap reader,pgtap other}'::text[]),
          ARRAY['first written', 'other', 'long open', 'last'], 'as do those who have been away');
SELECT is(pg_temp.contents(pg_temp.cursor_at(5), 100, '{pgtap reader,pgtap reader}'), ARRAY['first written', 'long open', 'third', 'last'], 'naming a user twice doubles nothing');
SELECT is(pg_temp.contents(pg_temp.cursor_at(5), 100, '{}'), '{}'::text[], 'nobody has no events');

-- pages(): all events of a reader, so many at a time.
CREATE FUNCTION pg_temp.pages(p_cursor text, p_limit integer) RETURNS SETOF text LANGUAGE plpgsql
AS $pages$
DECLARE
    v_row record;
    v_more boolean := true;
BEGIN
    WHILE v_more LOOP
        FOR v_row IN SELECT * FROM memory_changes_since('pgtap reader', p_cursor, p_limit) LOOP
            IF v_row.event IS NOT NULL THEN
                RETURN NEXT v_row.payload ->> 'content';
            END IF;
            p_cursor := v_row.next_cursor;
            v_more := v_row.has_more;
        END LOOP;
    END LOOP;
END
$pages$;
SELECT results_eq(format('SELECT * FROM pg_temp.pages(pg_temp.cursor_at(25, ''10''), %s)', n), ARRAY['first written', 'long open', 'last'],
                  format('%s at a time they are the same', n)) FROM generate_series(1, 4) AS n;
SELECT pg_temp.cursor_at(5) AS start \gset
SELECT is((SELECT array_agg(pg_temp.contents(c.next_cursor)::text) FROM (SELECT e.next_cursor FROM memory_changes_since('pgtap reader', :'start') AS e OFFSET 1 LIMIT 2) AS c),
          ARRAY['{third,last}', '{last}'], 'each event has the cursor that goes on after it');
UPDATE memory_events SET xid = (pg_snapshot_xmax(pg_current_snapshot())::text::bigint + 1000000)::text::xid8 WHERE payload ->> 'content' = 'last';
SELECT is(pg_temp.contents(pg_temp.cursor_at(25)), ARRAY['first written'], 'an event that a dump brought from another server is no news');
INSERT INTO memory_events (user_id, xid, event, payload, wakes) VALUES ('', '35', 'feed_broken', '{"reason": "a test"}', false);
SELECT is(e.state || ': ' || e.message || '; ' || e.hint,
          '72000: the feed of changes has a break after this cursor: a test; Take a new cursor from SELECT memory_changes_head(), read the memories and arcs '
          'themselves, then go on from that cursor.', 'a break after the cursor is an error with the way to start anew')
FROM pg_temp.error_of(format('SELECT * FROM memory_changes_since(''pgtap reader'', %L)', pg_temp.cursor_at(25))) AS e;
SELECT is(pg_temp.contents(pg_temp.cursor_at(36)), '{}'::text[], 'one before it is none');
SELECT is_empty(format('SELECT FROM memory_changes_since('''', %L) WHERE event IS NOT NULL', pg_temp.cursor_at(36)), 'nobody is given the note itself');

-- Bad cursors and arguments.

SELECT is((pg_temp.error_of(format('SELECT * FROM memory_changes_since(''pgtap reader'', %L)', c.text))).state, '22023', format('%L is no cursor', left(c.text, 40)))
FROM (VALUES (NULL::text), (''), ('x'), ('1/2/3'), ('1/2/3/4/5:4:'), ('1/2/3/4/10:20:30'), ('1/2/3/99999999999999999999999/1:1:'), (repeat('1/', 5000)), ('''; DROP TABLE memory_events --'),
             ('2/1/1/1/1:1:'), ('1/1/1/1/1:1:/1:1:'), ('1/1/1/1/1:1:/1/1/1:1:'), ('🦊')) AS c (text);
SELECT matches((pg_temp.error_of($$SELECT * FROM memory_changes_since('pgtap reader', 'x')$$)).hint, '^Pass the last next_cursor', 'and the HINT says what is one');
SELECT is(e.state || ': ' || e.message, '72000: the cursor was issued by another server', 'a cursor of another server is none here')
FROM pg_temp.error_of(format('SELECT * FROM memory_changes_since(''pgtap reader'', %L)', regexp_replace(:'head', '^1/\d+', '1/1'))) AS e;
SELECT matches(e.state || ': ' || e.message || '; ' || e.hint, '^72000: the cursor has expired: it was issued at .+, and events are kept for 7 days; Take a new cursor', 'an old one has expired')
FROM pg_temp.error_of(format('SELECT * FROM memory_changes_since(''pgtap reader'', %L)', pg_temp.cursor_at(36, '', '8 days'))) AS e;
SELECT gravity_memory_set('feed_retention', '9 days') IS NULL AS ignored \gset
DELETE FROM memory_events WHERE event = 'feed_broken';
SELECT is((pg_temp.error_of(format('SELECT * FROM memory_changes_since(''pgtap reader'', %L)', pg_temp.cursor_at(36, '', '8 days')))).message, NULL, 'unless the setting feed_retention says otherwise');
SELECT is((pg_temp.error_of(format('SELECT * FROM memory_changes_since(''pgtap reader'', %L, %s)', :'head'::text, l.text))).state, '22023', format('a limit of %s is refused', l.text))
FROM (VALUES ('0'), ('-1'), ('100001'), ('NULL')) AS l (text);
SELECT is((pg_temp.error_of(format('SELECT * FROM memory_changes_since(NULL, %L)', :'head'))).state, '22004', 'so is no user');
SELECT is((pg_temp.error_of(format('SELECT * FROM gravity_memory_changes(NULL, %L)', :'head'))).state, '22004', 'or no users');

-- Cleanup.

DELETE FROM memory_events;
INSERT INTO memory_events (user_id, event, payload, wakes, created_at)
VALUES ('pgtap old', 'memory_created', '{}', false, now() - interval '18 days 1 second'), ('pgtap young', 'memory_created', '{}', false, now() - interval '17 days');
SELECT is(gravity_memory_cleanup_events(), 1::bigint, 'events go when they are twice as old as a cursor may be');
SELECT is((SELECT e.user_id FROM memory_events AS e), 'pgtap young', 'the younger ones stay');

-- Rights.

SELECT pg_temp.new_role('gravity_memory_pgtap_feed') AS ignored \gset
GRANT SELECT, INSERT, UPDATE, DELETE ON gravity_map, memory_arcs TO gravity_memory_pgtap_feed;
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_feed', $$INSERT INTO gravity_map (user_id) VALUES ('pgtap writer')$$)).message, NULL, 'a role that may write memories');
SELECT is((SELECT count(*) FROM memory_events AS e WHERE e.user_id = 'pgtap writer'), 1::bigint, 'records their events');
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_feed', $$INSERT INTO memory_events (user_id, event, payload, wakes) VALUES ('x', 'memory_created', '{}', true)$$)).state, '42501', 'but cannot make any up');
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_feed', 'SELECT gravity_memory_cleanup_events()')).state, '42501', 'nor delete them');
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_feed', format('SELECT * FROM memory_changes_since(''pgtap writer'', %L)', :'head'))).state, '42501', 'nor read them');
GRANT SELECT ON memory_events TO gravity_memory_pgtap_feed;
SELECT matches(e.state || ': ' || e.message || '; ' || e.hint, '^42501: row security hides every event from gravity_memory_pgtap_feed; Run SELECT \* FROM gravity_memory_enable_rls\(\) as the owner of the tables, or make a policy on memory_events',
               'with SELECT alone a reader is told that it would see nothing, and what to do')
FROM pg_temp.error_of_as('gravity_memory_pgtap_feed', format('SELECT * FROM memory_changes_since(''pgtap writer'', %L)', :'head')) AS e;
CREATE POLICY pgtap_reader ON memory_events FOR SELECT TO gravity_memory_pgtap_feed USING (user_id IN ('pgtap writer', ''));
UPDATE memory_events SET xid = '50' WHERE user_id IN ('pgtap writer', 'pgtap young');
SELECT is(pg_temp.answer_as('gravity_memory_pgtap_feed', format('SELECT event FROM memory_changes_since(''pgtap writer'', %L) WHERE event IS NOT NULL', pg_temp.cursor_at(45))),
          ARRAY['memory_created'], 'with a policy it reads its user''s events');
SELECT is(pg_temp.answer_as('gravity_memory_pgtap_feed', format('SELECT event FROM memory_changes_since(''pgtap young'', %L) WHERE event IS NOT NULL', pg_temp.cursor_at(45))),
          '{}'::text[], 'and no other''s');

SELECT * FROM finish();
ROLLBACK;
