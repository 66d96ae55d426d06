-- Teardown and DROP EXTENSION: the memories stay, whatever happens to the extension.
BEGIN;
\ir support/session.psql
SELECT plan(31);

INSERT INTO gravity_map (user_id, content, gravity_score, emotion_type) SELECT 'pgtap teardown', 'before', 0.9, 'joy' FROM generate_series(1, 3);
INSERT INTO consciousness_cache (user_id, created_at) VALUES ('pgtap teardown', now() - interval '2 days');
INSERT INTO active_sessions (session_id, user_id) VALUES ('pgtap teardown', 'pgtap teardown');
INSERT INTO pattern_matrix (user_id) VALUES ('pgtap teardown');
SELECT gravity_memory_set('high_gravity_threshold', '0.7') IS NULL AS ignored \gset
-- A trigger cannot be dropped while the transaction has still to run it.
SET CONSTRAINTS ALL IMMEDIATE;

-- The tables belong to the database's owner, not to the extension.

SELECT is_empty(
    $$SELECT d.objid::regclass FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
      WHERE d.classid = 'pg_class'::regclass AND d.deptype = 'e' AND e.extname = 'gravity_memory'$$,
    'no table, index or sequence is a member of the extension, so pg_dump dumps them');
CREATE FUNCTION pg_temp.attach() RETURNS SETOF text LANGUAGE plpgsql AS $attach$
BEGIN
    ALTER EXTENSION gravity_memory ADD TABLE gravity_map;
    PERFORM gravity_memory_setup();
    RETURN QUERY SELECT d.objid::regclass::text FROM pg_depend AS d
                 WHERE d.classid = 'pg_class'::regclass AND d.deptype = 'e' AND d.objid = 'gravity_map'::regclass;
END
$attach$;
SELECT is_empty('SELECT * FROM pg_temp.attach()', 'setup releases a table that became a member');

-- DROP EXTENSION without CASCADE.

SELECT is((pg_temp.error_of('DROP EXTENSION gravity_memory')).state, '2BP01', 'DROP EXTENSION is refused while triggers stand');
SELECT matches((pg_temp.error_of('DROP EXTENSION gravity_memory')).detail, 'trigger trigger_auto_tag_high_gravity on table gravity_map depends on function',
               'and says which');

-- Teardown.

SELECT results_eq(
    $$SELECT action, object FROM gravity_memory_teardown() WHERE action <> 'unschedule job'$$,
    $$VALUES ('drop trigger', 'trigger_arc_building'), ('drop trigger', 'trigger_arc_building_on_delete'), ('drop trigger', 'trigger_arc_building_on_update'),
             ('drop trigger', 'trigger_auto_tag_high_gravity'), ('drop trigger', 'trigger_break_feed_on_truncate'), ('drop trigger', 'trigger_keep_derived'),
             ('drop trigger', 'trigger_keep_derived_on_delete'), ('drop trigger', 'trigger_keep_derived_on_truncate'),
             ('drop trigger', 'trigger_keep_derived_on_update'), ('drop trigger', 'trigger_notify_memory_created'),
             ('drop trigger', 'trigger_notify_memory_updated'), ('drop trigger', 'trigger_publish_memories'),
             ('drop trigger', 'trigger_publish_memories_on_delete'), ('drop trigger', 'trigger_publish_memories_on_update'),
             ('drop trigger', 'trigger_arc_totals_on_delete'), ('drop trigger', 'trigger_arc_totals_on_insert'),
             ('drop trigger', 'trigger_arc_totals_on_truncate'), ('drop trigger', 'trigger_arc_totals_on_update'),
             ('drop trigger', 'trigger_arc_totals_at_commit'), ('drop trigger', 'trigger_break_feed_on_arcs_truncate'),
             ('drop trigger', 'trigger_notify_arc_created'), ('drop trigger', 'trigger_publish_arcs'), ('drop trigger', 'trigger_publish_arcs_on_delete'),
             ('drop trigger', 'trigger_publish_arcs_on_update'), ('drop trigger', 'trigger_break_feed_on_events_truncate'),
             ('drop trigger', 'trigger_wake_listeners')$$,
    'teardown removes every trigger, and says so');
SELECT is_empty('SELECT * FROM gravity_memory_teardown()', 'a second teardown finds nothing');
SELECT is_empty(
    $$SELECT t.tgname FROM pg_trigger AS t JOIN pg_proc AS p ON p.oid = t.tgfoid
      JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
      JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'gravity_memory'$$,
    'no trigger uses the extension any more');
SELECT is((SELECT count(*) FROM gravity_map AS m WHERE m.user_id = 'pgtap teardown' AND m.meta_tags = '{high_gravity}'), 3::bigint, 'the memories stay');
SELECT is((SELECT count(*) FROM memory_arc_associations AS l WHERE l.user_id = 'pgtap teardown'), 3::bigint, 'and their links');
SELECT is((SELECT a.memory_count FROM memory_arcs AS a WHERE a.user_id = 'pgtap teardown'), 3, 'and arcs');
SELECT is((SELECT s.value FROM gravity_memory_settings AS s WHERE s.name = 'high_gravity_threshold'), '0.7', 'and settings');
SELECT is_empty('SELECT * FROM gravity_memory_index_ddl()', 'and indexes');
INSERT INTO gravity_map (user_id, content, gravity_score, emotion_type) SELECT 'pgtap teardown 2', 'before, or: tulips', 0.9, 'joy' FROM generate_series(1, 3);
SELECT results_eq($$SELECT DISTINCT m.meta_tags, m.temporal_type FROM gravity_map AS m WHERE m.user_id = 'pgtap teardown 2'$$,
                  $$VALUES ('{}'::text[], NULL::text)$$, 'after teardown memories are stored as they are');
SELECT is_empty($$SELECT FROM memory_arcs AS a WHERE a.user_id = 'pgtap teardown 2'$$, 'and form no arcs');
SELECT is_empty($$SELECT FROM memory_digests AS d WHERE d.user_id = 'pgtap teardown 2'$$, 'and nothing is derived from them');
SELECT is((SELECT count(*) FROM gravity_memory_setup() WHERE action = 'create trigger'),
          (SELECT count(*) FROM _gravity_memory_trigger_catalogue()), 'setup undoes a teardown');
SELECT is((SELECT count(*) FROM memory_digests AS d WHERE d.user_id = 'pgtap teardown 2'), 3::bigint, 'derives what was written in between');
SELECT is((SELECT count(*) FROM recall_memories('pgtap teardown 2', 'tulip')), 3::bigint, 'so that recall finds it');
INSERT INTO gravity_map (user_id, gravity_score) VALUES ('pgtap teardown 3', 0.7);
SELECT is((SELECT m.meta_tags FROM gravity_map AS m WHERE m.user_id = 'pgtap teardown 3'), '{high_gravity}'::text[],
          'and the settings made before hold again');
SELECT pg_temp.new_role('gravity_memory_pgtap_teardown') AS ignored \gset
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_teardown', 'SELECT gravity_memory_teardown()')).state, '42501',
          'a role without privileges cannot tear down');

-- DROP EXTENSION after teardown, and with CASCADE.

SELECT count(*) AS ignored FROM gravity_memory_teardown() \gset
SELECT is((pg_temp.error_of('DROP EXTENSION gravity_memory')).message, NULL, 'after teardown DROP EXTENSION needs no CASCADE');
SELECT is((SELECT count(*) FROM gravity_map AS m WHERE m.user_id = 'pgtap teardown'), 3::bigint, 'and keeps the memories');
DO $again$ BEGIN EXECUTE format('CREATE EXTENSION gravity_memory SCHEMA %I',
    (SELECT n.nspname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.oid = 'gravity_map'::regclass)); END $again$;
SELECT is((SELECT s.value FROM gravity_memory_settings() AS s WHERE s.name = 'high_gravity_threshold'), '0.7',
          'CREATE EXTENSION takes up the tables again, with the settings made before');
SELECT is((SELECT count(*) FROM gravity_map AS m WHERE m.user_id = 'pgtap teardown'), 3::bigint, 'and the memories');
SELECT is_empty('SELECT * FROM gravity_memory_setup()', 'and leaves nothing to do');
DROP EXTENSION gravity_memory CASCADE;
SELECT is((SELECT count(*) FROM gravity_map AS m WHERE m.user_id = 'pgtap teardown'), 3::bigint, 'DROP EXTENSION CASCADE keeps every memory');
SELECT is((SELECT array[(SELECT count(*) FROM memory_arcs AS a WHERE a.user_id = 'pgtap teardown'),
                        (SELECT count(*) FROM memory_arc_associations AS l WHERE l.user_id = 'pgtap teardown'),
                        (SELECT count(*) FROM consciousness_cache AS c WHERE c.user_id = 'pgtap teardown'),
                        (SELECT count(*) FROM active_sessions AS s WHERE s.user_id = 'pgtap teardown'),
                        (SELECT count(*) FROM pattern_matrix AS p WHERE p.user_id = 'pgtap teardown'),
                        (SELECT count(*) FROM gravity_memory_settings AS s WHERE s.name = 'high_gravity_threshold')]),
          '{1,3,1,1,1,1}'::bigint[], 'and every row of the other tables');
SELECT is((SELECT count(*) FROM memory_digests AS d WHERE d.user_id = 'pgtap teardown'), 3::bigint, 'even the derived ones');
SELECT is_empty($$SELECT FROM pg_trigger AS t WHERE t.tgrelid = 'gravity_map'::regclass AND t.tgname LIKE 'trigger\_%'$$, 'and takes the triggers with it');
SELECT is((SELECT count(*) FROM pg_index AS i WHERE i.indrelid = 'gravity_map'::regclass AND i.indexrelid::regclass::text ~ 'idx_gravity_map_'),
          17::bigint, 'the indexes stay');
SELECT is((pg_temp.error_of($$INSERT INTO gravity_map (user_id, gravity_score) VALUES ('pgtap teardown 4', 0.9)$$)).message, NULL,
          'and memories can be written without the extension');

SELECT * FROM finish();
ROLLBACK;
