-- Rebuild: CALL gravity_memory_rebuild_recall() derives anew what recall reads, for the users who need it, and commits as it goes.
--
-- So this file alone runs outside a transaction. Its rows belong to users called 'pgtap rebuild ...', and are deleted at its end; what a run
-- that was broken off left is deleted at its start. INFO is what the procedure says; PostgreSQL shows it whatever is asked for.
DO $search_path$
BEGIN
    PERFORM set_config('search_path', string_agg(DISTINCT quote_ident(n.nspname), ', '), false)
    FROM pg_catalog.pg_extension AS e
    JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace
    WHERE e.extname IN ('gravity_memory', 'pgtap', 'vector');
    PERFORM set_config('client_min_messages', 'error', false);
END
$search_path$;
\ir support/vectors.psql
\ir support/derived.psql
DELETE FROM gravity_map WHERE user_id LIKE 'pgtap rebuild %';
DELETE FROM memory_recall_gaps WHERE user_id LIKE 'pgtap rebuild %';
SELECT plan(17);

-- Memories that were loaded without triggers, as pg_restore --disable-triggers does.
SET session_replication_role = replica;
INSERT INTO gravity_map (user_id, content, embedding)
SELECT v.user_id, 'tulips ' || i, pg_temp.direction(1, i) FROM (VALUES ('pgtap rebuild ada', 25), ('pgtap rebuild bob', 5)) AS v (user_id, memories)
CROSS JOIN LATERAL generate_series(1, v.memories) AS i;
RESET session_replication_role;
CREATE TEMPORARY TABLE before_rebuild AS SELECT m.id, m.ctid AS place, m.xmin::text AS version FROM gravity_map AS m WHERE m.user_id LIKE 'pgtap rebuild %';
SELECT is((SELECT count(*) FROM memory_digests AS d WHERE d.user_id LIKE 'pgtap rebuild %'), 0::bigint, 'from memories loaded without triggers nothing is derived');

CALL gravity_memory_rebuild_recall(p_user_id => 'pgtap rebuild ada', p_batch_size => 10);
SELECT is((SELECT count(*) FROM memory_digests AS d WHERE d.user_id = 'pgtap rebuild ada'), 25::bigint, 'a rebuild of one user derives its memories');
SELECT is((SELECT count(*) FROM memory_digests AS d WHERE d.user_id = 'pgtap rebuild bob'), 0::bigint, 'and no other''s');
SELECT is((SELECT array_agg(b.memories ORDER BY b.memories) FROM (SELECT count(*) AS memories FROM memory_digests AS d WHERE d.user_id = 'pgtap rebuild ada'
                                                                  GROUP BY d.xmin) AS b),
          '{5,10,10}'::bigint[], 'in batches of the size asked for, each committed by itself');
SELECT is_empty('SELECT FROM memory_recall_gaps', 'and leaves no note');
SELECT is((SELECT count(*) FROM recall_memories('pgtap rebuild ada', 'tulip', p_limit => 100)), 25::bigint, 'then recall finds them');
SELECT set_eq('SELECT m.id, m.ctid AS place, m.xmin::text AS version FROM gravity_map AS m WHERE m.user_id LIKE ''pgtap rebuild %''', 'SELECT * FROM before_rebuild',
              'the memories themselves are as they were');

CALL gravity_memory_rebuild_recall();
SELECT is((SELECT count(*) FROM memory_digests AS d WHERE d.user_id = 'pgtap rebuild bob'), 0::bigint, 'without arguments only users that are noted are done');
INSERT INTO memory_recall_gaps (user_id, is_every_user) VALUES ('pgtap rebuild bob', false), ('pgtap rebuild nobody', false);
CALL gravity_memory_rebuild_recall();
SELECT is_empty('SELECT * FROM pg_temp.wrong_derived()', 'with them, their derived rows are complete');
SELECT is_empty('SELECT FROM memory_recall_gaps', 'and they are noted no longer, not even who has no memories');

-- Everything, whatever was done to the derived rows.
SET session_replication_role = replica;
DELETE FROM gravity_map WHERE user_id LIKE 'pgtap rebuild %' AND content = 'tulips 1';
UPDATE gravity_map SET content = 'roses' WHERE user_id LIKE 'pgtap rebuild %' AND content = 'tulips 2';
UPDATE gravity_map SET user_id = 'pgtap rebuild carl' WHERE user_id = 'pgtap rebuild bob' AND content = 'tulips 3';
RESET session_replication_role;
DELETE FROM memory_digests WHERE user_id = 'pgtap rebuild ada' AND length > 1 AND memory_id IN (
    SELECT m.id FROM gravity_map AS m WHERE m.user_id = 'pgtap rebuild ada' AND m.content = 'tulips 4');
DELETE FROM memory_postings WHERE memory_id IN (SELECT m.id FROM gravity_map AS m WHERE m.user_id = 'pgtap rebuild ada' AND m.content = 'tulips 5');
SELECT cmp_ok((SELECT count(*) FROM pg_temp.wrong_derived()), '>', 10::bigint, 'derived rows can be missing, too many, or wrong');
CALL gravity_memory_rebuild_recall(p_everything => true);
SELECT is_empty('SELECT * FROM pg_temp.wrong_derived()', 'a rebuild of everything puts all of them right');
SELECT is_empty('SELECT FROM memory_recall_gaps', 'and leaves no note');
CALL gravity_memory_rebuild_recall(100000, NULL, true);
SELECT is_empty('SELECT * FROM pg_temp.wrong_derived()', 'a second one changes nothing');
CALL gravity_memory_rebuild_recall(1, 'pgtap rebuild ada', false);
SELECT is_empty('SELECT * FROM pg_temp.wrong_derived()', 'nor does one of single memories');

DELETE FROM gravity_map WHERE user_id LIKE 'pgtap rebuild %';
SELECT is((SELECT count(*) FROM gravity_map AS m WHERE m.user_id LIKE 'pgtap rebuild %') + (SELECT count(*) FROM memory_digests AS d WHERE d.user_id LIKE 'pgtap rebuild %')
          + (SELECT count(*) FROM memory_recall_gaps), 0::bigint, 'this file leaves nothing behind');
SELECT is_empty('SELECT * FROM pg_temp.wrong_derived()', 'no posting either');
SELECT * FROM finish();
