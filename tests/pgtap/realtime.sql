-- Realtime: Supabase's publication and its realtime.send(), on objects that imitate their documented contract. Supabase itself is not here:
-- realtime.send(payload jsonb, event text, topic text, private boolean) writes a row into realtime.messages and turns its own errors into a
-- WARNING; subscribers of postgres_changes read the publication supabase_realtime as the role authenticated, under its policies.
BEGIN;
\ir support/session.psql
SELECT plan(39);
SELECT quote_ident(n.nspname) AS extension_schema FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'gravity_memory' \gset

-- The publication.

CREATE FUNCTION pg_temp.published(p_publication text) RETURNS SETOF text LANGUAGE sql
AS $published$ SELECT t.tablename::text FROM pg_publication_tables AS t WHERE t.pubname = p_publication ORDER BY 1 $published$;
DROP PUBLICATION IF EXISTS supabase_realtime;
SELECT results_eq($$SELECT subject, requirement FROM gravity_memory_enable_realtime() WHERE status = 'done'$$,
                  $$VALUES ('supabase_realtime', 'publication'), ('gravity_map', 'in the publication'), ('memory_arcs', 'in the publication')$$,
                  'where there is no publication it is made, with memories and arcs');
SELECT results_eq($$SELECT * FROM pg_temp.published('supabase_realtime')$$, ARRAY['gravity_map', 'memory_arcs'], 'which it has');
SELECT is_empty($$SELECT * FROM gravity_memory_enable_realtime() WHERE status = 'done'$$, 'a second call changes nothing');
SELECT is((SELECT r.status || ' ' || COALESCE(r.remedy, '') FROM gravity_memory_enable_realtime() AS r WHERE r.requirement = 'wal_level = logical'),
          CASE current_setting('wal_level') WHEN 'logical' THEN 'ok ' ELSE 'missing ALTER SYSTEM SET wal_level = logical; then restart the server' END,
          'it says whether the server''s log holds what subscribers need');
SELECT is_empty($$SELECT r.subject, r.requirement FROM gravity_memory_enable_realtime() AS r WHERE r.status = 'missing' AND r.requirement <> 'wal_level = logical'
                  AND r.requirement !~ 'authenticated'$$, 'our own tables have all else that they need');
SELECT results_eq('SELECT * FROM gravity_memory_disable_realtime()', ARRAY['gravity_map', 'memory_arcs'], 'disabling takes both out');
SELECT is_empty($$SELECT * FROM pg_temp.published('supabase_realtime')$$, 'they are gone');
SELECT is_empty('SELECT * FROM gravity_memory_disable_realtime()', 'a second call finds nothing');
SELECT is((SELECT count(*) FROM pg_publication AS p WHERE p.pubname = 'supabase_realtime'), 1::bigint, 'the publication, with whatever else is in it, stays');
CREATE PUBLICATION "Übung; DROP 'x'" WITH (publish = 'insert');
SELECT is((SELECT r.remedy FROM gravity_memory_enable_realtime('Übung; DROP ''x''') AS r WHERE r.requirement = 'publishes insert and update'),
          'ALTER PUBLICATION "Übung; DROP ''x''" SET (publish = ''insert, update, delete'')', 'a publication of any name is checked, too');
SELECT results_eq($$SELECT * FROM pg_temp.published('Übung; DROP ''x''')$$, ARRAY['gravity_map', 'memory_arcs'], 'and filled');
CREATE PUBLICATION pgtap_everything FOR ALL TABLES;
SELECT is_empty($$SELECT * FROM gravity_memory_enable_realtime('pgtap_everything') WHERE status = 'done'$$, 'a publication of all tables has them already');
SELECT is_empty($$SELECT * FROM gravity_memory_disable_realtime('pgtap_everything')$$, 'and none to take out');
SELECT is((pg_temp.error_of(format('SELECT * FROM gravity_memory_enable_realtime(%L)', n.name))).state, '22023', format('%L is no name', left(n.name, 20)))
FROM (VALUES (''::text), (NULL), (repeat('x', 8000))) AS n (name);
SELECT is(e.state || ': ' || e.message, '42704: there is no publication ''nowhere''', 'one that is not there cannot be disabled')
FROM pg_temp.error_of($$SELECT * FROM gravity_memory_disable_realtime('nowhere')$$) AS e;
SELECT matches((pg_temp.error_of($$SELECT * FROM gravity_memory_disable_realtime(NULL)$$)).hint, '^There are: .*supabase_realtime', 'the HINT says which are');

-- What a table lacks.

ALTER TABLE memory_arcs REPLICA IDENTITY NOTHING;
SELECT is((SELECT r.remedy FROM gravity_memory_enable_realtime() AS r WHERE (r.subject, r.requirement) = ('memory_arcs', 'replica identity')),
          format('ALTER TABLE %s.memory_arcs REPLICA IDENTITY DEFAULT', :'extension_schema'), 'a replica identity that is missing comes with the statement that mends it');
SELECT (SELECT r.remedy FROM gravity_memory_enable_realtime() AS r WHERE (r.subject, r.requirement) = ('memory_arcs', 'replica identity')) AS remedy \gset
:remedy;
SELECT is((SELECT r.status FROM gravity_memory_enable_realtime() AS r WHERE (r.subject, r.requirement) = ('memory_arcs', 'replica identity')), 'ok', 'which does');
SELECT NOT EXISTS (SELECT FROM pg_roles AS r WHERE r.rolname = 'authenticated') AS lacks_role \gset
\if :lacks_role
    CREATE ROLE authenticated;
\endif
REVOKE ALL ON gravity_map, memory_arcs FROM authenticated;
SELECT bag_eq($$SELECT r.subject, r.requirement, r.status FROM gravity_memory_enable_realtime() AS r WHERE r.requirement ~ 'authenticated'$$,
    $$VALUES ('gravity_map', 'SELECT for authenticated', 'missing'), ('gravity_map', 'row security that shows authenticated its own rows', 'missing'),
             ('memory_arcs', 'SELECT for authenticated', 'missing'), ('memory_arcs', 'row security that shows authenticated its own rows', 'missing')$$,
    'with Supabase''s role it says what the role may not see yet, and grants nothing by itself');
SELECT string_agg(r.remedy, '; ') AS remedies FROM gravity_memory_enable_realtime() AS r WHERE r.requirement ~ 'authenticated' \gset
:remedies;
SELECT is_empty($$SELECT * FROM gravity_memory_enable_realtime() AS r WHERE r.requirement ~ 'authenticated' AND r.status <> 'ok'$$, 'its remedies mend that');
DO $grant$ BEGIN EXECUTE format('GRANT USAGE ON SCHEMA %s TO authenticated',
    (SELECT quote_ident(n.nspname) FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'gravity_memory')); END $grant$;
INSERT INTO gravity_map (user_id, content) VALUES ('pgtap ada', 'ada''s'), ('pgtap bob', 'bob''s');
SELECT set_config('request.jwt.claims', '{"sub": "pgtap ada", "role": "authenticated"}', true) AS ignored \gset
SELECT is(pg_temp.answer_as('authenticated', 'SELECT content FROM gravity_map'), ARRAY['ada''s'], 'so that a user sees its own memories, and no other''s');

DROP PUBLICATION pgtap_everything;

-- Rights.

SELECT pg_temp.new_role('gravity_memory_pgtap_realtime') AS ignored \gset
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_realtime', 'SELECT * FROM gravity_memory_enable_realtime()')).state, '42501', 'a role without privileges cannot publish');
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_realtime', 'SELECT * FROM gravity_memory_disable_realtime()')).state, '42501', 'nor stop it');
GRANT EXECUTE ON FUNCTION gravity_memory_enable_realtime(text) TO gravity_memory_pgtap_realtime;
SELECT is(e.state || ': ' || e.message, '42501: the publication pgtap_other does not exist and gravity_memory_pgtap_realtime may not create it', 'not even with EXECUTE: it needs CREATE on the database')
FROM pg_temp.error_of_as('gravity_memory_pgtap_realtime', $$SELECT * FROM gravity_memory_enable_realtime('pgtap_other')$$) AS e;
ALTER PUBLICATION supabase_realtime DROP TABLE gravity_map;
SELECT matches(e.state || ': ' || e.message || '; ' || e.hint, '^42501: gravity_memory_pgtap_realtime may not add gravity_map to the publication supabase_realtime; Run it as a role that owns',
               'and to own the publication and the tables')
FROM pg_temp.error_of_as('gravity_memory_pgtap_realtime', 'SELECT * FROM gravity_memory_enable_realtime()') AS e;

-- Broadcast.

SELECT to_regnamespace('realtime') IS NULL AS lacks_realtime \gset
\if :lacks_realtime
    CREATE SCHEMA realtime;
\endif
SELECT gravity_memory_set('broadcast', 'on') IS NULL AS ignored \gset
SELECT is((pg_temp.error_of($$INSERT INTO gravity_map (user_id) VALUES ('pgtap broadcast')$$)).message, NULL, 'where there is no realtime.send() memories are stored');
CREATE TABLE realtime.messages (id bigint GENERATED ALWAYS AS IDENTITY, topic text NOT NULL, extension text NOT NULL, payload jsonb, event text, private boolean);
CREATE FUNCTION realtime.send(payload jsonb, event text, topic text, private boolean DEFAULT true) RETURNS void LANGUAGE plpgsql
AS $send$
BEGIN
    BEGIN
        INSERT INTO realtime.messages (payload, event, topic, private, extension) VALUES (payload, event, topic, private, 'broadcast');
    EXCEPTION WHEN OTHERS THEN
        RAISE WARNING 'ErrorSendingBroadcastMessage: %', SQLERRM;
    END;
END
$send$;
INSERT INTO gravity_map (id, user_id, thread_id, session_id, content, gravity_score, emotion_type, created_at)
VALUES ('00000000-0000-4000-8000-0000000f0001', 'pgtap ''broadcast'' 🦊', 't', 's', 'secret', 0.75, 'joy', '2024-05-06 07:08:09+00');
SELECT results_eq('SELECT m.topic, m.event, m.private, m.payload FROM realtime.messages AS m',
    $$VALUES ('broadcasts:pgtap ''broadcast'' 🦊', 'memory_created', true,
              format('{"id": "00000000-0000-4000-8000-0000000f0001", "user_id": "pgtap ''broadcast'' 🦊", "thread_id": "t", "session_id": "s",
                       "gravity_score": 0.75, "emotion_type": "joy", "created_at": %s}', to_json(timestamptz '2024-05-06 07:08:09+00'))::jsonb)$$,
    'with it a new memory is one private message to its user''s topic, with the specification''s data');
DELETE FROM realtime.messages;
UPDATE gravity_map SET content = '' WHERE id = '00000000-0000-4000-8000-0000000f0001';
SELECT is_empty('SELECT FROM realtime.messages', 'an update is none');
INSERT INTO gravity_map (user_id) SELECT 'pgtap broadcast' FROM generate_series(1, 5);
SELECT is((SELECT count(*) FROM realtime.messages), 5::bigint, 'a statement of five memories sends five');
DELETE FROM realtime.messages;
SELECT gravity_memory_set('notify_bulk_rows', '4') IS NULL AS ignored \gset
INSERT INTO gravity_map (user_id) SELECT 'pgtap broadcast' FROM generate_series(1, 5);
SELECT results_eq('SELECT m.topic, m.payload FROM realtime.messages AS m', $$VALUES ('broadcasts:pgtap broadcast', '{"user_id": "pgtap broadcast", "count": 5}'::jsonb)$$,
                  'beyond notify_bulk_rows it sends one per user, with the count');
ALTER TABLE realtime.messages ADD CHECK (false) NOT VALID;
SELECT is((pg_temp.error_of($$INSERT INTO gravity_map (user_id) VALUES ('pgtap broadcast fails')$$)).message, NULL, 'a message that cannot be sent costs no memory');
CREATE OR REPLACE FUNCTION realtime.send(payload jsonb, event text, topic text, private boolean DEFAULT true) RETURNS void LANGUAGE plpgsql
AS $send$ BEGIN RAISE EXCEPTION 'broken'; END $send$;
SELECT is((pg_temp.error_of($$INSERT INTO gravity_map (user_id) VALUES ('pgtap broadcast fails')$$)).message, NULL, 'nor does an error of realtime.send()');
SELECT is((SELECT count(*) FROM gravity_map AS m WHERE m.user_id = 'pgtap broadcast fails'), 2::bigint, 'the memories are there');
SELECT gravity_memory_set('feed', 'on') IS NULL AS ignored \gset
SELECT is((SELECT count(*) FROM memory_events AS e WHERE e.user_id = 'pgtap broadcast fails'), 0::bigint, 'without the feed there were no events');
INSERT INTO gravity_map (user_id) VALUES ('pgtap broadcast fails');
SELECT is((SELECT count(*) FROM memory_events AS e WHERE e.user_id = 'pgtap broadcast fails'), 1::bigint, 'and with it a broadcast that fails costs no event');

-- A realtime.send() of somebody else's does not run with the rights of the owner of the memories.
CREATE TABLE pg_temp.stolen (role name);
GRANT ALL ON pg_temp.stolen TO PUBLIC;
DROP FUNCTION realtime.send(jsonb, text, text, boolean);
GRANT USAGE, CREATE ON SCHEMA realtime TO gravity_memory_pgtap_realtime;
SET LOCAL ROLE gravity_memory_pgtap_realtime;
CREATE FUNCTION realtime.send(payload jsonb, event text, topic text, private boolean DEFAULT true) RETURNS void LANGUAGE sql
AS $send$ INSERT INTO pg_temp.stolen VALUES (current_user) $send$;
RESET ROLE;
INSERT INTO gravity_map (user_id) VALUES ('pgtap broadcast trap');
SELECT is_empty('SELECT FROM pg_temp.stolen', 'a realtime.send() of a role that is not trusted is not called');
SELECT is((SELECT count(*) FROM gravity_map AS m WHERE m.user_id = 'pgtap broadcast trap'), 1::bigint, 'and the memory is stored');

SELECT * FROM finish();
ROLLBACK;
