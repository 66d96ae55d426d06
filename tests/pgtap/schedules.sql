-- Schedules: the jobs cleanup-cache, cleanup-events, evolve-arcs and train-vector-indexes in pg_cron, and what happens where pg_cron is not.
--
-- pg_cron works in one database of a server, the one that cron.database_name names. Where that is this one, the tests below look
-- at its jobs; elsewhere they prove that nothing needs it.
BEGIN;
\ir support/session.psql
SELECT current_setting('cron.database_name', true) IS NOT DISTINCT FROM current_database()
       AND EXISTS (SELECT FROM pg_available_extensions AS a WHERE a.name = 'pg_cron') AS has_pg_cron \gset
\if :has_pg_cron
    SELECT plan(21 + 30);
\else
    SELECT plan(21 + 10);
\endif
SELECT quote_ident(n.nspname) AS extension_schema FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'gravity_memory' \gset

-- Everywhere: what the jobs are.

SELECT bag_eq('SELECT j.job_name, j.schedule, j.command FROM _gravity_memory_job_catalogue() AS j',
    format($$VALUES ('cleanup-cache', '0 * * * *', 'SELECT %1$s.cleanup_old_cache()'),
                    ('cleanup-events', '30 * * * *', 'SELECT %1$s.gravity_memory_cleanup_events()'), ('evolve-arcs', '15 * * * *', 'SELECT %1$s.gravity_memory_evolve_arcs()'),
                    ('train-vector-indexes', '*/10 * * * *', 'SELECT %1$s.gravity_memory_train_vector_indexes()')$$,
           :'extension_schema'),
    'cleanup-cache runs hourly, as in the specification, cleanup-events and evolve-arcs too, and train-vector-indexes every ten minutes');
-- A job made by hand may say it in other words.
SELECT is(_gravity_memory_is_same_job(v.command, 'SELECT app.cleanup_old_cache()'), v.answer,
          format('%s is %sthe same as the job''s', quote_nullable(regexp_replace(v.command, '\s+', ' ', 'g')), CASE WHEN v.answer THEN '' ELSE 'not ' END))
FROM (VALUES ('SELECT cleanup_old_cache()', true), (E'select\n app.cleanup_old_cache( ) ;', true), ('SELECT * FROM app.cleanup_old_cache();', true),
             ('SELECT other.cleanup_old_cache()', false), ('SELECT cleanup_old_cache(), 1', false), ('VACUUM', false)) AS v (command, answer);
CREATE FUNCTION pg_temp.ran(p_command text) RETURNS text
LANGUAGE plpgsql SET search_path = pg_catalog
AS $ran$
DECLARE v_count bigint;
BEGIN
    EXECUTE p_command INTO v_count;
    RETURN 'ran';
EXCEPTION WHEN OTHERS THEN
    RETURN SQLERRM;
END
$ran$;
SELECT is(pg_temp.ran(j.command), 'ran', format('the command of %s runs under any search_path', j.job_name))
FROM _gravity_memory_job_catalogue() AS j ORDER BY j.job_name;
INSERT INTO consciousness_cache (user_id, created_at) VALUES ('pgtap schedules', now() - interval '2 days');
SELECT is(pg_temp.ran((SELECT j.command FROM _gravity_memory_job_catalogue() AS j WHERE j.job_name = 'cleanup-cache')), 'ran', 'when cleanup-cache runs,');
SELECT is_empty($$SELECT FROM consciousness_cache AS c WHERE c.user_id = 'pgtap schedules'$$, 'old cache entries are gone');
INSERT INTO memory_arcs (user_id, arc_name, evolution_stage, last_memory_at) VALUES ('pgtap schedules', 'old', 'active', now() - interval '8 days');
SELECT is(pg_temp.ran((SELECT j.command FROM _gravity_memory_job_catalogue() AS j WHERE j.job_name = 'evolve-arcs')), 'ran', 'when evolve-arcs runs,');
SELECT is((SELECT a.evolution_stage FROM memory_arcs AS a WHERE a.user_id = 'pgtap schedules'), 'dormant', 'a forgotten arc is dormant');
SELECT is(gravity_memory_train_vector_indexes(), NULL, 'train-vector-indexes has nothing to do while there are too few memories');
SELECT pg_temp.new_role('gravity_memory_pgtap_schedules') AS ignored \gset
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_schedules', 'SELECT gravity_memory_schedule_jobs()')).state, '42501',
          'a role without privileges can neither schedule');
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_schedules', 'SELECT gravity_memory_train_vector_indexes()')).state, '42501',
          'nor train the vector indexes');
SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_schedules', 'SELECT gravity_memory_unschedule_jobs()')).state, '42501', 'nor unschedule');
GRANT EXECUTE ON FUNCTION gravity_memory_schedule_jobs(), gravity_memory_unschedule_jobs() TO gravity_memory_pgtap_schedules;
SELECT gravity_memory_set('arc_evolution_schedule', '45 3 * * *') IS NULL AS ignored \gset
SELECT is((SELECT j.schedule FROM _gravity_memory_job_catalogue() AS j WHERE j.job_name = 'evolve-arcs'), '45 3 * * *', 'the schedules are settings');
SELECT gravity_memory_set('embedding_index_schedule', '0 2 * * 0') IS NULL AS ignored \gset
SELECT is((SELECT j.schedule FROM _gravity_memory_job_catalogue() AS j WHERE j.job_name = 'train-vector-indexes'), '0 2 * * 0', 'all of them');
SELECT gravity_memory_reset('embedding_index_schedule') IS NULL AS ignored \gset
SELECT gravity_memory_reset('arc_evolution_schedule') IS NULL AS ignored \gset

\if :has_pg_cron
    SELECT diag('pg_cron works in this database: its jobs are tested');
    CREATE EXTENSION IF NOT EXISTS pg_cron;
    SELECT count(*) AS ignored FROM gravity_memory_unschedule_jobs() \gset
    CREATE FUNCTION pg_temp.jobs() RETURNS SETOF text
    LANGUAGE sql
    AS $jobs$
        SELECT format('%s|%s|%s|%s', j.jobname, j.schedule, replace(j.command, e.extnamespace::regnamespace || '.', ''), j.active)
        FROM cron.job AS j CROSS JOIN pg_extension AS e
        WHERE e.extname = 'gravity_memory' AND j.database = current_database()
          AND j.jobname IN ('cleanup-cache', 'cleanup-events', 'evolve-arcs', 'train-vector-indexes', 'train-vector-index-step') ORDER BY j.jobname
    $jobs$;
    SELECT cron.schedule('pgtap own', '1 1 1 1 *', 'SELECT 1') AS ignored \gset

    SELECT is_empty('SELECT * FROM pg_temp.jobs()', 'before, no job of ours is there');
    SELECT results_eq('SELECT j FROM gravity_memory_schedule_jobs() AS j ORDER BY j', ARRAY['cleanup-cache', 'cleanup-events', 'evolve-arcs', 'train-vector-indexes'],
        'scheduling returns the jobs it made');
    SELECT results_eq('SELECT * FROM pg_temp.jobs()',
        ARRAY['cleanup-cache|0 * * * *|SELECT cleanup_old_cache()|t', 'cleanup-events|30 * * * *|SELECT gravity_memory_cleanup_events()|t', 'evolve-arcs|15 * * * *|SELECT gravity_memory_evolve_arcs()|t',
              'train-vector-indexes|*/10 * * * *|SELECT gravity_memory_train_vector_indexes()|t'], 'and they are in pg_cron');
    SELECT is_empty('SELECT * FROM gravity_memory_schedule_jobs()', 'a second call changes nothing');
    SELECT is((SELECT count(*) FROM pg_temp.jobs()), 4::bigint, 'and doubles nothing');
    SELECT is_empty('SELECT * FROM gravity_memory_setup()', 'nor does setup');
    SELECT gravity_memory_set('cache_cleanup_schedule', '*/10 * * * *') IS NULL AS ignored \gset
    SELECT results_eq('SELECT * FROM pg_temp.jobs()',
        ARRAY['cleanup-cache|*/10 * * * *|SELECT cleanup_old_cache()|t', 'cleanup-events|30 * * * *|SELECT gravity_memory_cleanup_events()|t', 'evolve-arcs|15 * * * *|SELECT gravity_memory_evolve_arcs()|t',
              'train-vector-indexes|*/10 * * * *|SELECT gravity_memory_train_vector_indexes()|t'],
        'a changed setting changes its job at once');
    SELECT gravity_memory_reset('cache_cleanup_schedule') IS NULL AS ignored \gset
    SELECT is((SELECT j FROM pg_temp.jobs() AS j LIMIT 1), 'cleanup-cache|0 * * * *|SELECT cleanup_old_cache()|t', 'and its reset, too');
    UPDATE cron.job SET active = false WHERE jobname = 'cleanup-cache' AND database = current_database();
    SELECT is_empty('SELECT * FROM gravity_memory_schedule_jobs()', 'a job that was switched off on purpose stays so');
    SELECT is((SELECT j FROM pg_temp.jobs() AS j LIMIT 1), 'cleanup-cache|0 * * * *|SELECT cleanup_old_cache()|f', 'and nothing else of it changes');
    SELECT count(*) AS ignored FROM cron.unschedule('evolve-arcs') \gset
    SELECT results_eq('SELECT action, object FROM gravity_memory_setup()', $$VALUES ('schedule job', 'evolve-arcs')$$, 'setup schedules a job that is missing');
    SELECT results_eq($$SELECT action, object FROM gravity_memory_teardown() WHERE action = 'unschedule job'$$,
        $$VALUES ('unschedule job', 'cleanup-cache'), ('unschedule job', 'cleanup-events'), ('unschedule job', 'evolve-arcs'), ('unschedule job', 'train-vector-indexes')$$,
        'teardown removes the jobs');
    SELECT is_empty('SELECT * FROM pg_temp.jobs()', 'and they are gone');
    SELECT is_empty('SELECT * FROM gravity_memory_unschedule_jobs()', 'unscheduling again finds nothing');
    SELECT is((SELECT count(*) FROM cron.job AS j WHERE j.jobname = 'pgtap own'), 1::bigint, 'jobs of others stay');
    SELECT results_eq($$SELECT object FROM gravity_memory_setup() WHERE action = 'schedule job' ORDER BY object$$,
        ARRAY['cleanup-cache', 'cleanup-events', 'evolve-arcs', 'train-vector-indexes'],
        'setup after a teardown brings them back');
    SELECT cron.schedule('cleanup-cache', '0 0 * * *', 'SELECT 1') AS ignored \gset
    SELECT results_eq('SELECT * FROM gravity_memory_unschedule_jobs()', ARRAY['cleanup-events', 'evolve-arcs', 'train-vector-indexes'], 'a job that only shares our name is not ours');
    SELECT is((SELECT j.command FROM cron.job AS j WHERE j.jobname = 'cleanup-cache' AND j.database = current_database()), 'SELECT 1', 'and stays');
    SELECT results_eq('SELECT * FROM gravity_memory_schedule_jobs()', ARRAY['cleanup-events', 'evolve-arcs', 'train-vector-indexes'], 'scheduling does not take its name from it');
    SELECT is((SELECT j.command FROM cron.job AS j WHERE j.jobname = 'cleanup-cache' AND j.database = current_database()), 'SELECT 1', 'nor change it');
    SELECT count(*) AS ignored FROM gravity_memory_unschedule_jobs() \gset
    SELECT count(*) AS ignored FROM cron.unschedule('cleanup-cache') \gset
    SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_schedules', 'SELECT gravity_memory_schedule_jobs()')).message, NULL,
        'a role that may not use pg_cron is told so, without an error');
    SELECT is_empty('SELECT * FROM pg_temp.jobs()', 'and nothing is scheduled');
    SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_schedules', 'SELECT gravity_memory_unschedule_jobs()')).message, NULL, 'nor does unscheduling fail for it');
    SELECT is((SELECT count(*) FROM cron.job AS j WHERE j.jobname = 'pgtap own'), 1::bigint, 'it leaves the jobs of others alone');

    -- A step of the training of the vector indexes.
    INSERT INTO gravity_map (user_id, embedding) SELECT 'pgtap schedules', array_fill(g, '{1536}')::vector FROM generate_series(1, 3) AS g;
    SELECT gravity_memory_set('embedding_index_min_rows', '2') IS NULL AS ignored \gset
    SELECT matches(gravity_memory_train_vector_indexes(), '^CREATE INDEX CONCURRENTLY idx_gravity_map_embedding_cosine ON ', 'training returns the step that it scheduled');
    SELECT matches(j, '^train-vector-index-step\|\d+ \d+ \d+ \d+ \*\|CREATE INDEX CONCURRENTLY idx_gravity_map_embedding_cosine ON .*\|t$',
        'for one minute of the year') FROM pg_temp.jobs() AS j WHERE j ~ '^train-vector-index-step';
    SELECT count(*) AS ignored FROM gravity_memory_train_vector_indexes() \gset
    SELECT is((SELECT count(*) FROM pg_temp.jobs() AS j WHERE j ~ '^train-vector-index-step'), 1::bigint, 'the next call replaces it');
    SELECT gravity_memory_set('embedding_index', 'none') IS NULL AS ignored \gset
    SELECT is(gravity_memory_train_vector_indexes(), NULL, 'when nothing is left to do, there is no step');
    SELECT is((SELECT count(*) FROM pg_temp.jobs() AS j WHERE j ~ '^train-vector-index-step'), 0::bigint, 'and its job is gone');
    SELECT gravity_memory_reset('embedding_index') IS NULL AS ignored \gset
    SELECT count(*) AS ignored FROM gravity_memory_train_vector_indexes() \gset
    SELECT results_eq('SELECT * FROM gravity_memory_unschedule_jobs()', ARRAY['train-vector-index-step'], 'a step that has not run is unscheduled with the other jobs');
\else
    SELECT diag('pg_cron does not work in this database: what is tested is that nothing needs it');
    SELECT is_empty('SELECT * FROM gravity_memory_schedule_jobs()', 'without pg_cron scheduling returns no job, and no error');
    SELECT is_empty('SELECT * FROM gravity_memory_unschedule_jobs()', 'nor does unscheduling');
    SELECT is_empty($$SELECT * FROM gravity_memory_setup() WHERE action = 'schedule job'$$, 'setup does without');
    SELECT is((SELECT count(*) FROM gravity_memory_teardown() WHERE action = 'unschedule job'), 0::bigint, 'teardown too');
    SELECT is((SELECT count(*) FROM gravity_memory_setup() WHERE action = 'create trigger'),
              (SELECT count(*) FROM _gravity_memory_trigger_catalogue()), 'which brings back all else');
    SELECT is((pg_temp.error_of($$SELECT gravity_memory_set('cache_cleanup_schedule', '*/10 * * * *')$$)).message, NULL, 'a schedule can be set for later');
    SELECT is((SELECT j.schedule FROM _gravity_memory_job_catalogue() AS j WHERE j.job_name = 'cleanup-cache'), '*/10 * * * *', 'and is what a job will get');
    SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_schedules', 'SELECT gravity_memory_schedule_jobs()')).message, NULL, 'no role gets an error');
    SELECT is((pg_temp.error_of_as('gravity_memory_pgtap_schedules', 'SELECT gravity_memory_unschedule_jobs()')).message, NULL, 'for either call');
    INSERT INTO gravity_map (user_id, embedding) SELECT 'pgtap schedules', array_fill(g, '{1536}')::vector FROM generate_series(1, 3) AS g;
    SELECT gravity_memory_set('embedding_index_min_rows', '2') IS NULL AS ignored \gset
    SELECT is(gravity_memory_train_vector_indexes(), NULL, 'training, with an index to build, says what to run, and schedules nothing');
\endif

SELECT * FROM finish();
ROLLBACK;
