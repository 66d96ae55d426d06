-- Settings: gravity_memory_settings(), gravity_memory_set(), gravity_memory_reset().
BEGIN;
\ir support/session.psql
SELECT plan(181);

-- The list.

SELECT results_eq(
    $$SELECT s.name, s.value, s."default", s.unit FROM gravity_memory_settings() AS s ORDER BY s.name COLLATE "C"$$,
    $$VALUES
        ('arc_active_members', '5', '5', 'memories'),
        ('arc_dormant_after', '7 days', '7 days', 'interval'),
        ('arc_evolution_schedule', '15 * * * *', '15 * * * *', 'cron schedule'),
        ('arc_fusion_strength', '0.8', '0.8', 'strength 0..1'),
        ('arc_gravity_threshold', '0.8', '0.8', 'gravity 0..1'),
        ('arc_mature_after', '7 days', '7 days', 'interval'),
        ('arc_mature_members', '20', '20', 'memories'),
        ('arc_min_memories', '3', '3', 'memories'),
        ('arc_window', '24 hours', '24 hours', 'interval'),
        ('broadcast', 'off', 'off', ''),
        ('cache_cleanup_schedule', '0 * * * *', '0 * * * *', 'cron schedule'),
        ('cache_retention', '24 hours', '24 hours', 'interval'),
        ('derive_bulk_rows', '0', '0', 'rows'),
        ('embedding_index', 'ivfflat', 'ivfflat', ''),
        ('embedding_index_min_rows', '10000', '10000', 'memories'),
        ('embedding_index_schedule', '*/10 * * * *', '*/10 * * * *', 'cron schedule'),
        ('embedding_lists', '0', '0', 'lists'),
        ('embedding_probes', '0', '0', 'lists'),
        ('feed', 'off', 'off', ''),
        ('feed_cleanup_schedule', '30 * * * *', '30 * * * *', 'cron schedule'),
        ('feed_retention', '7 days', '7 days', 'interval'),
        ('high_gravity_threshold', '0.85', '0.85', 'gravity 0..1'),
        ('identity_entities', '{Blu,Matt,Atlas,Ivy}', '{Blu,Matt,Atlas,Ivy}', 'list of entities'),
        ('identity_match', 'all', 'all', ''),
        ('notify', 'payload', 'payload', ''),
        ('notify_bulk_rows', '1000', '1000', 'rows'),
        ('notify_queue_limit', '0.5', '0.5', 'share 0..1'),
        ('recall_margin', '2', '2', 'standard deviations'),
        ('recall_oversampling', '8', '8', 'memories per result'),
        ('setup_index_limit', '100', '100', 'MB'),
        ('temporal_future_pattern',
         '\m(tomorrow|next\s+week|will|won[''\u2019]t|plan(s|ned|ning)?|going\s+to)\M|[''\u2019]ll\M',
         '\m(tomorrow|next\s+week|will|won[''\u2019]t|plan(s|ned|ning)?|going\s+to)\M|[''\u2019]ll\M', 'regular expression'),
        ('temporal_past_pattern', '\m(yesterday|last\s+week|remember(s|ed|ing)?|before)\M',
         '\m(yesterday|last\s+week|remember(s|ed|ing)?|before)\M', 'regular expression'),
        ('text_search_config', 'english', 'english', 'text search configuration')$$,
    'every setting is listed with its value, its default (the specification''s, where it has one) and its unit');
SELECT is_empty(
    $$SELECT s.name FROM gravity_memory_settings() AS s WHERE s.meaning !~ '^\S.{20,}\.$'$$,
    'every setting has its meaning explained in a sentence');
SELECT set_eq(
    $$SELECT s.name FROM gravity_memory_settings() AS s WHERE s.meaning ~ '\(spec[,:)]'$$,
    ARRAY['high_gravity_threshold', 'identity_entities', 'identity_match', 'temporal_past_pattern', 'temporal_future_pattern',
          'arc_gravity_threshold', 'arc_window', 'arc_min_memories', 'arc_fusion_strength', 'notify', 'cache_retention',
          'cache_cleanup_schedule', 'embedding_index'],
    'the meaning says of which settings the specification gives the default');
SELECT results_eq(
    $$SELECT s.name FROM gravity_memory_settings() AS s$$,
    $$SELECT s.name FROM gravity_memory_settings() AS s ORDER BY s.name$$,
    'the list is ordered by name');
SELECT is_empty(
    $$SELECT s.name FROM gravity_memory_settings() AS s WHERE gravity_memory_set(s.name, s."default") IS DISTINCT FROM s."default"$$,
    'the default of every setting is itself a value that can be set');
SELECT is_empty('SELECT * FROM gravity_memory_settings', 'setting every default stores no override');

-- Setting and resetting.

SELECT is(gravity_memory_set('high_gravity_threshold', '0.9'), '0.9', 'gravity_memory_set() returns the value as stored');
SELECT results_eq(
    $$SELECT s.value, s."default" FROM gravity_memory_settings() AS s WHERE s.name = 'high_gravity_threshold'$$,
    $$VALUES ('0.9', '0.85')$$,
    'a changed setting is listed with its new value beside its default');
SELECT results_eq(
    'SELECT s.name, s.value FROM gravity_memory_settings AS s',
    $$VALUES ('high_gravity_threshold', '0.9')$$,
    'the table holds the override and nothing else');
SELECT is(gravity_memory_set('high_gravity_threshold', '0.95'), '0.95', 'a setting can be changed again');
SELECT is((SELECT count(*) FROM gravity_memory_settings), 1::bigint, 'and keeps one override');
SELECT is(gravity_memory_reset('high_gravity_threshold'), '0.85', 'gravity_memory_reset() returns the default');
SELECT is_empty('SELECT * FROM gravity_memory_settings', 'gravity_memory_reset() removes the override');
SELECT is(gravity_memory_reset('high_gravity_threshold'), '0.85', 'resetting what was never set is fine');
SELECT is(gravity_memory_set('arc_window', '2 days'), '2 days', 'a setting is changed');
SELECT is(gravity_memory_set('arc_window', '24 hours'), '24 hours', 'setting the default');
SELECT is_empty('SELECT * FROM gravity_memory_settings', 'removes the override like a reset');
SELECT is(gravity_memory_set('high_gravity_threshold', '0.850'), '0.85', 'a number is stored in one form, however it is written');
SELECT is_empty('SELECT * FROM gravity_memory_settings', 'so a default in another form stores no override either');

-- Valid forms, and how they are stored.

CREATE SCHEMA "pgtap words";
CREATE TEXT SEARCH CONFIGURATION "pgtap words"."of Ada" (COPY = english);
SELECT is((pg_temp.error_of(format('SELECT gravity_memory_set(%L, %L)', v.name, v.given))).message, NULL,
          format('%s accepts %L', v.name, left(v.given, 40)))
FROM (VALUES
    ('high_gravity_threshold', '0'), ('high_gravity_threshold', '1'), ('notify_bulk_rows', '0'),
    ('notify_bulk_rows', '1000000'), ('arc_min_memories', '2'), ('arc_min_memories', '100'), ('embedding_lists', '0'),
    ('embedding_lists', '32768'), ('embedding_probes', '0'), ('embedding_probes', '32768'), ('embedding_index_min_rows', '1'),
    ('embedding_index_min_rows', '1000000000'), ('recall_oversampling', '1'), ('recall_oversampling', '1000'), ('recall_margin', '0'),
    ('recall_margin', '20'), ('recall_margin', '2.5'), ('embedding_index', 'hnsw'), ('embedding_index', 'none'),
    ('text_search_config', 'simple'), ('arc_window', '1 second'), ('cache_retention', '1000 years'), ('cache_retention', 'P1DT2H'),
    ('identity_entities', repeat('x', 8192)), ('temporal_past_pattern', '(?n)^once\M'),
    ('temporal_past_pattern', repeat('x', 8192)), ('cache_cleanup_schedule', '*/5 0-6,22 1,15 * 1-5'),
    ('cache_cleanup_schedule', '30 seconds'), ('cache_cleanup_schedule', '1 second'), ('cache_cleanup_schedule', '59 seconds'),
    ('cache_cleanup_schedule', '0  3  *  *  0')
) AS v (name, given);

SELECT is(gravity_memory_set(v.name, v.given), v.stored, format('%s takes %L as %L', v.name, v.given, v.stored))
FROM (VALUES
    ('high_gravity_threshold', ' 0.5 ', '0.5'), ('high_gravity_threshold', '5e-1', '0.5'),
    ('notify_bulk_rows', '5.0', '5'), ('notify_bulk_rows', ' 1e3 ', '1000'),
    ('cache_retention', '  2 hours ', '2 hours'),
    ('identity_match', 'ANY', 'any'), ('notify', ' Off ', 'off'), ('embedding_index', ' HNSW ', 'hnsw'),
    ('text_search_config', ' German ', 'german'), ('text_search_config', 'pg_catalog.simple', 'simple'),
    ('text_search_config', '"pgtap words"."of Ada"', '"pgtap words"."of Ada"'), ('recall_margin', '2.50', '2.5'),
    ('identity_entities', '', '{}'), ('identity_entities', '  ', '{}'), ('identity_entities', '{}', '{}'),
    ('identity_entities', '[]', '{}'),
    ('identity_entities', 'Blu', '{Blu}'), ('identity_entities', ' Blu ,  Matt Smith ', '{Blu,"Matt Smith"}'),
    ('identity_entities', '{"a,b",c}', '{"a,b",c}'), ('identity_entities', '["a,b", "say \"hi\"", "NULL"]', '{"a,b","say \"hi\"","NULL"}'),
    ('identity_entities', 'O''Brien, 50%, a\b', '{O''Brien,50%,"a\\b"}'), ('identity_entities', 'Zoë, 🦊', '{Zoë,🦊}'),
    ('cache_cleanup_schedule', ' 0 4 * * * ', '0 4 * * *')
) AS v (name, given, stored);

-- Refusals.

SELECT is((pg_temp.error_of(format('SELECT gravity_memory_set(%L, %L)', v.name, v.given))).state, '22023',
          format('%s refuses %s', v.name, COALESCE(quote_literal(left(v.given, 40)), 'NULL')))
FROM (VALUES
    ('high_gravity_threshold', NULL), ('high_gravity_threshold', ''), ('high_gravity_threshold', 'high'),
    ('high_gravity_threshold', '-0.001'), ('high_gravity_threshold', '1.001'), ('high_gravity_threshold', 'NaN'),
    ('high_gravity_threshold', 'Infinity'), ('high_gravity_threshold', '1e999999'),
    ('arc_min_memories', '1'), ('arc_min_memories', '101'), ('arc_min_memories', '2.5'), ('arc_min_memories', 'NaN'),
    ('arc_min_memories', NULL), ('embedding_lists', '-1'), ('embedding_lists', '32769'), ('embedding_probes', '-1'), ('embedding_probes', '1.5'),
    ('embedding_index', NULL), ('embedding_index', 'gin'), ('embedding_index', ''), ('embedding_index_min_rows', '0'),
    ('embedding_index_min_rows', '1000000001'), ('embedding_index_schedule', 'often'), ('recall_oversampling', '0'), ('recall_oversampling', '1001'),
    ('recall_margin', '-0.1'), ('recall_margin', '20.1'), ('recall_margin', 'NaN'),
    ('text_search_config', NULL), ('text_search_config', ''), ('text_search_config', 'klingon'), ('text_search_config', 'pg_catalog.klingon'),
    ('text_search_config', 'nowhere.english'), ('text_search_config', '13063'), ('text_search_config', ' 13063 '), ('text_search_config', '-'), ('text_search_config', 'a b'),
    ('text_search_config', 'of Ada'), ('text_search_config', 'english; DROP TABLE gravity_map'),
    ('arc_window', NULL), ('arc_window', ''), ('arc_window', '0'), ('arc_window', '-1 hour'), ('arc_window', '1 day -24 hours'),
    ('arc_window', 'soon'), ('arc_window', '1001 years'), ('arc_window', 'infinity'),
    ('identity_match', NULL), ('identity_match', ''), ('identity_match', 'some'), ('notify', 'on'),
    ('identity_entities', NULL), ('identity_entities', 'Blu,,Matt'), ('identity_entities', ','), ('identity_entities', '{Blu,NULL}'),
    ('identity_entities', '{Blu,""}'), ('identity_entities', '{Blu'), ('identity_entities', '{{a,b},{c,d}}'),
    ('identity_entities', '["Blu", null]'), ('identity_entities', '["Blu"'),
    ('temporal_past_pattern', NULL), ('temporal_past_pattern', ''), ('temporal_past_pattern', 'x*'),
    ('temporal_past_pattern', '('), ('temporal_past_pattern', '[a'), ('temporal_future_pattern', 'soon|'),
    ('cache_cleanup_schedule', NULL), ('cache_cleanup_schedule', ''), ('cache_cleanup_schedule', '* * * *'),
    ('cache_cleanup_schedule', '* * * * * *'), ('cache_cleanup_schedule', '60 seconds'), ('cache_cleanup_schedule', 'every hour'),
    ('cache_cleanup_schedule', 'once in a blue moon'), ('cache_cleanup_schedule', '60 * * * *'),
    ('arc_evolution_schedule', '0 seconds')
) AS v (name, given);

SELECT is((pg_temp.error_of(format('SELECT gravity_memory_set(%L, %L)', v.name, '('))).hint,
          format('It takes %s. The default is %L.', v.takes, v.default_value),
          format('the hint says what %s takes', v.name))
FROM (VALUES
    ('high_gravity_threshold', 'a number from 0 to 1', '0.85'),
    ('arc_min_memories', 'a whole number from 2 to 100', '3'),
    ('arc_window', 'an interval greater than zero, such as ''24 hours'' or ''7 days''', '24 hours'),
    ('identity_match', 'one of: all, any', 'all'),
    ('notify', 'one of: payload, wakeup, off', 'payload'),
    ('embedding_index', 'one of: ivfflat, hnsw, none', 'ivfflat'),
    ('embedding_probes', 'a whole number from 0 to 32768', '0'),
    ('recall_margin', 'a number from 0 to 20', '2'),
    ('temporal_past_pattern', 'a PostgreSQL regular expression (ARE) that does not match the empty string',
     '\m(yesterday|last\s+week|remember(s|ed|ing)?|before)\M'),
    ('cache_cleanup_schedule', 'a cron schedule of five fields, such as ''0 * * * *'', or ''30 seconds''', '0 * * * *')
) AS v (name, takes, default_value);
SELECT is((pg_temp.error_of($$SELECT gravity_memory_set('identity_entities', '{')$$)).hint,
          'It takes a list such as ''Blu, Matt'', ''{Blu,Matt}'' or ''["Blu", "Matt"]'', without empty entries. '
          'The default is ''{Blu,Matt,Atlas,Ivy}''.',
          'the hint says what identity_entities takes');
SELECT matches((pg_temp.error_of($$SELECT gravity_memory_set('text_search_config', 'klingon')$$)).hint,
               '^It takes one of this database''s text search configurations, .*: (.*, )?english, .*"pgtap words"\."of Ada".*\. The default is ''english''\.$',
               'the hint names the text search configurations that there are, the database''s own ones too');
SELECT is((pg_temp.error_of($$SELECT gravity_memory_set('notify', 'it''s')$$)).message,
          'invalid value for gravity_memory setting notify: ''it''''s''', 'the message quotes the refused value');
SELECT cmp_ok(length((pg_temp.error_of(format('SELECT gravity_memory_set(%L, %L)', 'notify', repeat('x', 1000000)))).message),
              '<', 300, 'a very long value does not make the message long');

SELECT is(v.error, ROW('22023', format('unknown gravity_memory setting: %s', v.shown))::text, format('the unknown name %s is refused', v.shown))
FROM (
    SELECT n.shown, (SELECT ROW(e.state, e.message)::text FROM pg_temp.error_of(format(n.call, n.name)) AS e) AS error
    FROM (VALUES
        ('SELECT gravity_memory_set(%L, ''1'')', 'high_gravity', '''high_gravity'''),
        ('SELECT gravity_memory_set(%L, ''1'')', '', ''''''),
        ('SELECT gravity_memory_set(%L, ''1'')', NULL, 'NULL'),
        ('SELECT gravity_memory_set(%L, NULL)', 'Notify', '''Notify'''),
        ('SELECT gravity_memory_reset(%L)', 'a''b\c%s🦊', 'E''a''''b\\c%s🦊'''),
        ('SELECT gravity_memory_reset(%L)', NULL, 'NULL')
    ) AS n (call, name, shown)
) AS v;
SELECT is((pg_temp.error_of($$SELECT gravity_memory_reset('nonsense')$$)).hint,
          'The settings are: ' || (SELECT string_agg(s.name, ', ' ORDER BY s.name) FROM gravity_memory_settings() AS s) || '.',
          'the hint for an unknown name lists all settings');
DELETE FROM gravity_memory_settings;
SELECT is_empty($$
    SELECT FROM pg_temp.error_of($q$SELECT gravity_memory_set('notify_bulk_rows', '7'), gravity_memory_set('notify', 'x')$q$) AS e
    JOIN gravity_memory_settings AS s ON true$$,
    'a refused value changes nothing');

-- Effect, at once.

SELECT gravity_memory_set('high_gravity_threshold', '0.5') IS NULL AS ignored \gset
INSERT INTO gravity_map (user_id, gravity_score) VALUES ('pgtap settings 1', 0.5);
SELECT gravity_memory_reset('high_gravity_threshold') IS NULL AS ignored \gset
INSERT INTO gravity_map (user_id, gravity_score) VALUES ('pgtap settings 2', 0.5);
SELECT results_eq(
    $$SELECT m.user_id, m.meta_tags FROM gravity_map AS m WHERE m.user_id LIKE 'pgtap settings _' ORDER BY m.user_id$$,
    $$VALUES ('pgtap settings 1', '{high_gravity}'::text[]), ('pgtap settings 2', '{}')$$,
    'a setting and its reset hold from the next statement on, in the same transaction');

SELECT gravity_memory_set('temporal_past_pattern', '\mlong\s+ago\M') IS NULL AS ignored \gset
SELECT gravity_memory_set('temporal_future_pattern', '\msomeday\M') IS NULL AS ignored \gset
INSERT INTO gravity_map (user_id, content)
VALUES ('pgtap settings 3', 'Long  ago'), ('pgtap settings 4', 'SOMEDAY'), ('pgtap settings 5', 'yesterday, tomorrow');
SELECT results_eq(
    $$SELECT m.temporal_type FROM gravity_map AS m WHERE m.user_id IN ('pgtap settings 3', 'pgtap settings 4', 'pgtap settings 5')
      ORDER BY m.user_id$$,
    ARRAY['past', 'future', 'present'],
    'the temporal patterns can be replaced');

SELECT gravity_memory_set('cache_cleanup_schedule', '30 4 * * *') IS NULL AS ignored \gset
SELECT is((SELECT j.schedule FROM _gravity_memory_job_catalogue() AS j WHERE j.job_name = 'cleanup-cache'), '30 4 * * *',
          'a changed schedule is the schedule of the job');

-- Who may.

SELECT pg_temp.new_role('gravity_memory_pgtap_settings') AS ignored \gset
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_settings', $$SELECT gravity_memory_set('notify', 'off')$$)).state, '42501',
          'a role without privileges cannot set');
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_settings', $$SELECT gravity_memory_reset('notify')$$)).state, '42501',
          'nor reset');
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_settings', 'SELECT * FROM gravity_memory_settings()')).message, NULL,
          'and can read all settings');
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_settings', $$INSERT INTO gravity_memory_settings VALUES ('notify', 'off')$$)).state, '42501',
          'but not write the table of overrides');
GRANT EXECUTE ON FUNCTION gravity_memory_set(text, text) TO gravity_memory_pgtap_settings;
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_settings', $$SELECT gravity_memory_set('notify', 'off')$$)).state, '42501',
          'the right to run gravity_memory_set() is worth nothing without the right to write the table');

-- Without the table.

DROP TABLE gravity_memory_settings;
SELECT results_eq('SELECT s.value FROM gravity_memory_settings() AS s', 'SELECT s."default" FROM gravity_memory_settings() AS s',
                  'without the table of overrides the defaults hold');
SELECT is(e.state || ' ' || e.message, '55000 the table gravity_memory_settings does not exist',
          'setting needs the table')
FROM pg_temp.error_of($$SELECT gravity_memory_set('notify', 'off')$$) AS e;
SELECT matches((pg_temp.error_of($$SELECT gravity_memory_reset('notify')$$)).hint, '^Run SELECT \* FROM .+\.gravity_memory_setup\(\) first\.$',
               'and so does resetting; the hint says how to get it');

SELECT * FROM finish();
ROLLBACK;
