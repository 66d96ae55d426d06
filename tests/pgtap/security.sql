-- Row security: a role sees, changes and is counted in the rows of its session's user, and in no others.
BEGIN;
\ir support/session.psql
\ir support/vectors.psql
SELECT plan(105);

-- Whose session it is.

SELECT is(gravity_memory_current_user_id(), NULL, 'a session that says nothing is nobody''s');
SELECT is(gravity_memory_current_user_id(), v.expected, v.description)
FROM (VALUES
    (NULL, 'ana', 'ana', 'the setting names the user'),
    ('{"sub": "ana", "role": "authenticated"}', '', 'ana', 'so does sub of the claims'),
    ('{"sub": "ana"}', 'ben', 'ana', 'the claims decide before the setting'),
    ('{"role": "anon"}', 'ben', NULL, 'claims without sub are nobody''s, whatever the setting says'),
    ('{"sub": ""}', 'ben', NULL, 'so are those with an empty sub'),
    ('{"sub": null}', 'ben', NULL, 'or none'),
    ('[]', 'ben', NULL, 'or claims that are no object'),
    ('{"sub": 17}', '', '17', 'a number is its digits'),
    ('{"sub": "an''a \" % 😀"}', '', 'an''a " % 😀', 'any text will do'),
    ('', 'ben', 'ben', 'claims of an earlier request, which leave an empty text behind, are none'),
    ('', '', NULL, 'an empty setting is none')
) AS v (claims, setting, expected, description)
CROSS JOIN LATERAL (SELECT set_config('request.jwt.claims', COALESCE(v.claims, ''), true), set_config('gravity_memory.user_id', v.setting, true) OFFSET 0) AS s (c, u)
WHERE s.c IS NOT NULL AND s.u IS NOT NULL;
SELECT set_config('request.jwt.claims', '{broken', true) AS ignored \gset
SELECT is((pg_temp.error_of('SELECT gravity_memory_current_user_id()')).state, '22P02', 'claims that are no JSON are an error');
SELECT set_config('request.jwt.claims', '', true), set_config('gravity_memory.user_id', '', true) \gset ignored_

-- Switching it on and off.

SELECT bag_eq(
    'SELECT action, object FROM gravity_memory_enable_rls()',
    $$SELECT 'create policy' AS action, c.table_name || '.' || c.policy_name AS object FROM _gravity_memory_policy_catalogue() AS c
      UNION ALL SELECT 'enable row security', t.table_name FROM _gravity_memory_table_catalogue() AS t WHERE NOT t.is_closed$$,
    'it is switched on for every table, and each thing done is said');
SELECT is_empty('SELECT * FROM gravity_memory_enable_rls()', 'a second time there is nothing to do');
SELECT is_empty($$SELECT t.table_name FROM _gravity_memory_table_catalogue() AS t JOIN pg_class AS c ON c.oid = to_regclass(quote_ident(t.table_name)) WHERE NOT c.relrowsecurity$$,
                'every table has row security then');
SELECT is_empty($$SELECT t.table_name FROM _gravity_memory_table_catalogue() AS t JOIN pg_class AS c ON c.oid = to_regclass(quote_ident(t.table_name)) WHERE c.relforcerowsecurity$$,
                'and the owner is not bound');
SELECT bag_eq($$SELECT t.table_name FROM _gravity_memory_table_catalogue() AS t EXCEPT SELECT c.table_name FROM _gravity_memory_policy_catalogue() AS c$$,
              ARRAY['memory_arc_locks', 'memory_digests', 'memory_postings', 'memory_recall_gaps'], 'tables without a policy hold nothing that a role would read or write itself');
SELECT ok(_gravity_memory_has_policy(c.table_name), format('the policy of %s is recognised', c.table_name)) FROM _gravity_memory_policy_catalogue() AS c;
SELECT ok(NOT _gravity_memory_has_policy('memory_digests'), 'and a table without one has none');
SAVEPOINT changed;
ALTER POLICY gravity_memory_own_rows ON gravity_map USING (true);
SELECT ok(NOT _gravity_memory_has_policy('gravity_map'), 'a policy that somebody changed is not ours any more');
SELECT results_eq('SELECT action, object FROM gravity_memory_enable_rls()', $$VALUES ('replace policy', 'gravity_map.gravity_memory_own_rows')$$, 'and is put right');
CREATE POLICY pgtap_wide ON gravity_map FOR SELECT USING (true);
SELECT is_empty('SELECT * FROM gravity_memory_enable_rls()', 'a policy of somebody else''s stays');
SELECT is((SELECT count(*) FROM gravity_memory_disable_rls() AS d WHERE d.action = 'disable row security' AND d.object = 'gravity_map'), 0::bigint,
          'and keeps row security on, when ours goes');
ROLLBACK TO changed;
SAVEPOINT off;
SELECT bag_eq(
    'SELECT action, object FROM gravity_memory_disable_rls()',
    $$SELECT 'drop policy' AS action, c.table_name || '.' || c.policy_name AS object FROM _gravity_memory_policy_catalogue() AS c
      UNION ALL SELECT 'disable row security', t.table_name FROM _gravity_memory_table_catalogue() AS t WHERE NOT t.is_closed$$,
    'it is switched off the same way');
SELECT is_empty('SELECT * FROM gravity_memory_disable_rls()', 'a second time there is nothing to do');
SELECT bag_eq($$SELECT t.table_name FROM _gravity_memory_table_catalogue() AS t JOIN pg_class AS c ON c.oid = to_regclass(quote_ident(t.table_name)) WHERE c.relrowsecurity$$,
              ARRAY['memory_digests', 'memory_postings', 'memory_recall_gaps', 'memory_events'], 'what is the owner''s alone stays closed');
ROLLBACK TO off;
SELECT is_empty('SELECT * FROM gravity_memory_setup()', 'setup leaves row security as it is');
DROP TABLE pattern_matrix;
SELECT is((SELECT count(*) FROM gravity_memory_setup() AS s WHERE s.action = 'create table'), 1::bigint, 'a table that setup makes');
SELECT ok(c.relrowsecurity AND _gravity_memory_has_policy('pattern_matrix'), 'has row security from the start') FROM pg_class AS c WHERE c.oid = 'pattern_matrix'::regclass;
SELECT pg_temp.new_role('gravity_memory_pgtap_plain') AS ignored \gset
GRANT EXECUTE ON FUNCTION gravity_memory_enable_rls(), gravity_memory_disable_rls(), _gravity_memory_make_policy(text) TO gravity_memory_pgtap_plain;
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_plain', 'SELECT * FROM gravity_memory_disable_rls()')).state, '42501', 'who does not own the tables cannot switch it off');
ALTER POLICY gravity_memory_own_rows ON gravity_map USING (true);
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_plain', 'SELECT * FROM gravity_memory_enable_rls()')).state, '42501', 'or change it');
SELECT count(*) AS ignored FROM gravity_memory_enable_rls() \gset
ALTER TABLE active_sessions RENAME TO pgtap_elsewhere;
SELECT is(e.state || '; ' || e.hint, '55000; Run SELECT * FROM gravity_memory_setup() first.', 'before setup there is nothing to secure') FROM pg_temp.error_of('SELECT * FROM gravity_memory_enable_rls()') AS e;
ALTER TABLE pgtap_elsewhere RENAME TO active_sessions;

-- What a role sees. Two users, with something in every table; the role may read and write everything that it can be granted.

SELECT gravity_memory_set('feed', 'on') IS NULL AS ignored \gset
INSERT INTO gravity_map (user_id, content, gravity_score, emotion_type, memory_trace_id, embedding)
SELECT u, 'the garden of ' || u || ' ' || i, 0.9, 'joy', 'trace', pg_temp.direction(i)
FROM unnest('{pgtap ana,pgtap ben}'::text[]) AS u, generate_series(1, 4) AS i;
INSERT INTO consciousness_cache (user_id, query_text) SELECT u, 'q' FROM unnest('{pgtap ana,pgtap ben,NULL}'::text[]) AS u;
INSERT INTO active_sessions (session_id, user_id) SELECT u, u FROM unnest('{pgtap ana,pgtap ben}'::text[]) AS u;
INSERT INTO pattern_matrix (user_id) SELECT u FROM unnest('{pgtap ana,pgtap ben}'::text[]) AS u;
SET CONSTRAINTS ALL IMMEDIATE;
SELECT pg_temp.new_role('gravity_memory_pgtap_app') AS ignored \gset
GRANT SELECT, INSERT, UPDATE, DELETE ON gravity_map, memory_arcs, memory_arc_associations, consciousness_cache, active_sessions, pattern_matrix, memory_arc_locks,
    gravity_memory_settings, memory_digests, memory_postings, memory_recall_gaps, memory_events TO gravity_memory_pgtap_app;
SELECT id AS ben_memory FROM gravity_map WHERE user_id = 'pgtap ben' LIMIT 1 \gset
SELECT id AS ana_memory FROM gravity_map WHERE user_id = 'pgtap ana' LIMIT 1 \gset
SELECT id AS ben_arc FROM memory_arcs WHERE user_id = 'pgtap ben' LIMIT 1 \gset
SELECT id AS ana_arc FROM memory_arcs WHERE user_id = 'pgtap ana' LIMIT 1 \gset

SELECT is(pg_temp.answer_as('gravity_memory_pgtap_app', format('SELECT count(*) FROM %I', t.table_name)), '{0}'::text[], 'nobody''s session sees nothing of ' || t.table_name)
FROM _gravity_memory_table_catalogue() AS t WHERE t.table_name NOT IN ('gravity_memory_settings', 'memory_events');
SELECT set_config('gravity_memory.user_id', 'pgtap ana', true) AS ignored \gset
SELECT is(pg_temp.answer_as('gravity_memory_pgtap_app', format('SELECT DISTINCT user_id FROM %I', v.table_name)), '{pgtap ana}'::text[], 'ana''s session sees her rows of ' || v.table_name)
FROM (VALUES ('gravity_map'), ('memory_arcs'), ('memory_arc_associations'), ('consciousness_cache'), ('active_sessions'), ('pattern_matrix')) AS v (table_name);
SELECT is(pg_temp.answer_as('gravity_memory_pgtap_app', $$SELECT DISTINCT user_id FROM memory_events WHERE user_id <> ''$$), '{pgtap ana}'::text[], 'and her events');
SELECT is(pg_temp.answer_as('gravity_memory_pgtap_app', format('SELECT count(*) FROM %I', t.table_name)), '{0}'::text[], 'but nothing of ' || t.table_name)
FROM (VALUES ('memory_digests'), ('memory_postings'), ('memory_recall_gaps'), ('memory_arc_locks')) AS t (table_name);
SELECT is(pg_temp.answer_as('gravity_memory_pgtap_app', 'SELECT name || value FROM gravity_memory_settings'), '{feedon}'::text[], 'settings are everybody''s to read');

-- Writing.

SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_app', v.statement)).state, '42501', v.description)
FROM (VALUES
    ($$INSERT INTO gravity_map (user_id) VALUES ('pgtap ben')$$, 'she cannot write memories for ben'),
    ($$INSERT INTO gravity_map (user_id) VALUES ('pgtap ana'), ('pgtap ben')$$, 'not beside her own'),
    ($$UPDATE gravity_map SET user_id = 'pgtap ben'$$, 'or give him hers'),
    ($$INSERT INTO memory_arcs (user_id, arc_name) VALUES ('pgtap ben', 'x')$$, 'nor make arcs for him'),
    (format($$INSERT INTO memory_arc_associations (memory_id, arc_id) VALUES (%L, %L)$$, :'ana_memory', :'ben_arc'), 'nor link her memory to his arc, whose totals would tell of hers'),
    (format($$INSERT INTO memory_arc_associations (memory_id, arc_id) VALUES (%L, %L)$$, :'ben_memory', :'ana_arc'), 'nor his memory to her arc, whose totals would tell of his'),
    ($$UPDATE memory_arc_associations SET user_id = 'pgtap ben'$$, 'nor pass her links off as his'),
    ($$INSERT INTO consciousness_cache (user_id) VALUES ('pgtap ben')$$, 'nor fill his cache'),
    ($$INSERT INTO consciousness_cache (user_id) VALUES (NULL)$$, 'or everybody''s'),
    ($$INSERT INTO active_sessions (session_id, user_id) VALUES ('pgtap new', 'pgtap ben')$$, 'nor open sessions for him'),
    ($$INSERT INTO pattern_matrix (user_id) VALUES ('pgtap ben')$$, 'nor find patterns'),
    ($$INSERT INTO memory_events (user_id, event, payload, wakes) VALUES ('pgtap ana', 'memory_created', '{}', true)$$, 'nor make up events, not even her own'),
    ($$INSERT INTO gravity_memory_settings (name, value) VALUES ('notify', 'off')$$, 'nor change settings, whatever she was granted'),
    ($$INSERT INTO memory_digests (user_id, memory_id, length, term_keys) VALUES ('pgtap ana', gen_random_uuid(), 1, '{}')$$, 'nor what recall reads'),
    (format($$INSERT INTO gravity_map (id, user_id) VALUES (%L, 'pgtap ana') ON CONFLICT (id) DO UPDATE SET content = 'x'$$, :'ben_memory'), 'nor overwrite his memory by its id')
) AS v (statement, description);
SELECT is((SELECT count(*) FROM gravity_map AS m WHERE m.user_id = 'pgtap ben' AND m.content ~ '^the garden of pgtap ben'), 4::bigint, 'all that is his is as it was');
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_app', v.statement)).message, NULL, v.description)
FROM (VALUES
    ($$UPDATE gravity_map SET content = 'hers' WHERE user_id = 'pgtap ben'$$, 'an UPDATE of his memories is no error'),
    ('DELETE FROM gravity_map WHERE user_id = ''pgtap ben''', 'nor is a DELETE'),
    ('DELETE FROM memory_arcs WHERE user_id = ''pgtap ben''', 'or one of his arcs'),
    ('DELETE FROM memory_arc_associations WHERE user_id = ''pgtap ben''', 'or of his links'),
    ('DELETE FROM memory_events', 'or of events'),
    ('DELETE FROM gravity_memory_settings', 'or of settings'),
    ('UPDATE consciousness_cache SET response = ''hers'' WHERE user_id IS DISTINCT FROM ''pgtap ana''', 'or an UPDATE of his cache'),
    ('DELETE FROM active_sessions WHERE user_id = ''pgtap ben''', 'or a DELETE of his sessions'),
    ('DELETE FROM pattern_matrix WHERE user_id = ''pgtap ben''', 'or of his patterns')
) AS v (statement, description);
SELECT results_eq(
    $$SELECT (SELECT count(*) FROM gravity_map AS m WHERE m.user_id = 'pgtap ben' AND m.content <> 'hers'), (SELECT count(*) FROM memory_arcs AS a WHERE a.user_id = 'pgtap ben'),
             (SELECT count(*) FROM memory_arc_associations AS l WHERE l.user_id = 'pgtap ben'), (SELECT count(*) FROM memory_events AS e WHERE e.user_id = 'pgtap ben') > 0,
             (SELECT count(*) FROM gravity_memory_settings AS s), (SELECT count(*) FROM consciousness_cache AS c WHERE c.response IS NULL),
             (SELECT count(*) FROM active_sessions AS s WHERE s.user_id = 'pgtap ben'), (SELECT count(*) FROM pattern_matrix AS p WHERE p.user_id = 'pgtap ben')$$,
    $$VALUES (4::bigint, 1::bigint, 4::bigint, true, 1::bigint, 3::bigint, 1::bigint, 1::bigint)$$, 'and changes nothing');
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_app', $$
    INSERT INTO gravity_map (user_id, content, gravity_score, emotion_type) SELECT 'pgtap ana', 'her own', 0.9, 'calm' FROM generate_series(1, 3);
    UPDATE gravity_map SET topic = 'x'; DELETE FROM gravity_map WHERE emotion_type = 'calm' AND topic IS NULL;
    INSERT INTO memory_arcs (user_id, arc_name) VALUES ('pgtap ana', 'by hand');
    INSERT INTO memory_arc_associations (memory_id, arc_id) SELECT m.id, a.id FROM gravity_map AS m, memory_arcs AS a WHERE a.arc_name = 'by hand' AND m.emotion_type = 'joy';
    INSERT INTO consciousness_cache (user_id) VALUES ('pgtap ana'); INSERT INTO pattern_matrix (user_id) VALUES ('pgtap ana');
    UPDATE active_sessions SET current_mode = 'x'; DELETE FROM pattern_matrix$$)).message, NULL, 'her own rows are hers to write');
SELECT bag_eq($$SELECT a.arc_name, a.memory_count FROM memory_arcs AS a WHERE a.user_id = 'pgtap ana'$$,
              $$VALUES ('joy arc (auto-created)', 4), ('calm arc (auto-created)', 3), ('by hand', 4)$$, 'and her arcs follow');
SELECT is((SELECT count(*) FROM memory_digests AS d WHERE d.user_id = 'pgtap ana'), 7::bigint, 'with what recall reads');

-- Functions. tests/python/test_row_security.py tries every one of them.

SELECT is(pg_temp.answer_as('gravity_memory_pgtap_app', 'SELECT value FROM gravity_memory_stats() WHERE (category, name) = (''total'', ''memories'')'), '{7}'::text[], 'she is counted in her own memories');
SELECT is(pg_temp.answer_as('gravity_memory_pgtap_app', 'SELECT value FROM gravity_memory_stats(''pgtap ben'') WHERE (category, name) = (''total'', ''memories'')'), '{0}'::text[], 'and he is not');
SELECT is(cardinality(pg_temp.answer_as('gravity_memory_pgtap_app', $$SELECT id FROM recall_memories('pgtap ana', 'garden', p_limit => 100)$$)), 4, 'recall finds hers');
SELECT is(pg_temp.answer_as('gravity_memory_pgtap_app', $$SELECT id FROM recall_memories('pgtap ben', 'garden', p_limit => 100)$$), '{}'::text[], 'and none of his');

-- A memory of the user '', whom nobody stands for, and breaks of the feed, which everybody sees.
SAVEPOINT nobodys;
INSERT INTO gravity_map (user_id, content) VALUES ('', 'nobody''s secret');
INSERT INTO memory_events (user_id, event, payload, wakes) VALUES ('', 'feed_broken', '{}', false);
SELECT is(pg_temp.answer_as('gravity_memory_pgtap_app', $$SELECT DISTINCT event FROM memory_events WHERE user_id = ''$$), '{feed_broken}'::text[], 'of the user '''' a session sees the breaks of the feed alone');
ROLLBACK TO nobodys;

-- The functions that triggers run with the owner's rights work for our tables alone: who was granted EXECUTE may attach them anywhere.
SAVEPOINT attached;
CREATE TABLE pgtap_alike (LIKE gravity_map INCLUDING DEFAULTS);
CREATE TRIGGER pgtap_publish AFTER INSERT ON pgtap_alike REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION _gravity_memory_publish_memories();
CREATE TRIGGER pgtap_derive AFTER DELETE ON pgtap_alike REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION _gravity_memory_keep_derived();
CREATE TRIGGER pgtap_arcs AFTER DELETE ON pgtap_alike REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION trigger_arc_building();
CREATE TABLE pgtap_arcs_alike (LIKE memory_arcs INCLUDING DEFAULTS);
CREATE TRIGGER pgtap_publish AFTER INSERT ON pgtap_arcs_alike REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION _gravity_memory_publish_arcs();
CREATE TABLE pgtap_links_alike (LIKE memory_arc_associations INCLUDING DEFAULTS);
CREATE TRIGGER pgtap_totals AFTER DELETE ON pgtap_links_alike REFERENCING OLD TABLE AS old_rows FOR EACH STATEMENT EXECUTE FUNCTION _gravity_memory_keep_arc_totals();
CREATE TABLE pgtap_locks_alike (LIKE memory_arc_locks);
CREATE CONSTRAINT TRIGGER pgtap_settle AFTER INSERT ON pgtap_locks_alike FOR EACH ROW EXECUTE FUNCTION _gravity_memory_settle_at_commit();
CREATE TRIGGER pgtap_break AFTER TRUNCATE ON pgtap_locks_alike FOR EACH STATEMENT EXECUTE FUNCTION _gravity_memory_break_feed_on_truncate();
CREATE FUNCTION pg_temp.state_of_ben() RETURNS text LANGUAGE sql AS $state$
    SELECT concat((SELECT count(*) FROM memory_events), (SELECT count(*) FROM memory_digests), (SELECT string_agg(a::text, '' ORDER BY a.id) FROM memory_arcs AS a))
$state$;
UPDATE memory_arcs SET memory_count = 99 WHERE id = :'ben_arc';
SELECT pg_temp.state_of_ben() AS before \gset
INSERT INTO pgtap_alike SELECT * FROM gravity_map WHERE user_id = 'pgtap ben';
DELETE FROM pgtap_alike;
INSERT INTO pgtap_arcs_alike SELECT * FROM memory_arcs WHERE id = :'ben_arc';
INSERT INTO pgtap_links_alike SELECT * FROM memory_arc_associations WHERE arc_id = :'ben_arc';
DELETE FROM pgtap_links_alike;
INSERT INTO pgtap_locks_alike VALUES (:'ben_arc', '');
TRUNCATE pgtap_locks_alike;
SET CONSTRAINTS ALL IMMEDIATE;
SELECT is(pg_temp.state_of_ben(), :'before', 'they forge no event, and undo neither what recall reads nor totals of arcs');
ROLLBACK TO attached;

-- Quick recall: own memories are answered from what is derived, as they are to the owner, while our policy is all that hides memories.

SELECT format($$SELECT m FROM _gravity_memory_matching_postings(%%L, 'garden', 100, NULL) AS p, unnest(p.memory_ids) AS m$$) AS postings \gset
SELECT is(cardinality(pg_temp.answer_as('gravity_memory_pgtap_app', format(:'postings', 'pgtap ana'))), 4, 'what is derived of her memories is read for her');
SELECT is(pg_temp.answer_as('gravity_memory_pgtap_app', format(:'postings', 'pgtap ben')), '{}'::text[], 'what is derived of his is not');
-- A word can be chosen whose hash is that of a word of his.
SAVEPOINT collision;
INSERT INTO memory_postings (term_key, memory_id, frequency, length)
SELECT t.term_key, :'ben_memory', 7, 1 FROM _gravity_memory_query_terms('pgtap ana', 'chosen') AS t;
SELECT is(pg_temp.answer_as('gravity_memory_pgtap_app', $$SELECT p.is_reliable::text || COALESCE(p.memory_ids::text, '') FROM _gravity_memory_matching_postings('pgtap ana', 'chosen garden', 100, NULL) AS p$$),
          '{false}'::text[], 'then nothing derived is told');
SELECT is(cardinality(pg_temp.answer_as('gravity_memory_pgtap_app', $$SELECT id FROM recall_memories('pgtap ana', 'chosen garden', p_limit => 100)$$)), 4, 'and recall finds hers by looking at them');
ROLLBACK TO collision;
SAVEPOINT restrictive;
CREATE POLICY pgtap_restrictive ON gravity_map AS RESTRICTIVE FOR SELECT USING (content !~ ' 1$');
SELECT is(pg_temp.answer_as('gravity_memory_pgtap_app', format(:'postings', 'pgtap ana')), '{}'::text[], 'nor hers, when another policy hides some');
SELECT is(cardinality(pg_temp.answer_as('gravity_memory_pgtap_app', $$SELECT id FROM recall_memories('pgtap ana', 'garden', p_limit => 100)$$)), 3, 'which recall does not find then');
ROLLBACK TO restrictive;
ALTER POLICY gravity_memory_own_rows ON gravity_map USING (user_id = gravity_memory_current_user_id() AND content !~ ' 1$');
SELECT is(pg_temp.answer_as('gravity_memory_pgtap_app', format(:'postings', 'pgtap ana')), '{}'::text[], 'or when ours was changed');
SELECT is(cardinality(pg_temp.answer_as('gravity_memory_pgtap_app', $$SELECT id FROM recall_memories('pgtap ana', 'garden', p_limit => 100)$$)), 3, 'which holds for recall as well');

SELECT * FROM finish();
ROLLBACK;
