-- _gravity_memory_job_catalogue(): the jobs that keep a database in order, with the schedules in force.
--
-- cleanup-cache and its hourly schedule come from the specification. The commands name their schema, because pg_cron runs them
-- with the search_path of the role.
CREATE FUNCTION @extschema@._gravity_memory_job_catalogue()
RETURNS TABLE (job_name text, schedule text, command text)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_job_catalogue$
    SELECT j.job_name, s.settings ->> j.setting, j.command
    FROM (VALUES
            ('cleanup-cache', 'cache_cleanup_schedule', 'SELECT @extschema@.cleanup_old_cache()'),
            ('cleanup-events', 'feed_cleanup_schedule', 'SELECT @extschema@.gravity_memory_cleanup_events()'),
            ('evolve-arcs', 'arc_evolution_schedule', 'SELECT @extschema@.gravity_memory_evolve_arcs()'),
            ('train-vector-indexes', 'embedding_index_schedule', 'SELECT @extschema@.gravity_memory_train_vector_indexes()')
         ) AS j (job_name, setting, command)
    CROSS JOIN (SELECT @extschema@._gravity_memory_effective_settings() AS settings) AS s
$_gravity_memory_job_catalogue$;

COMMENT ON FUNCTION @extschema@._gravity_memory_job_catalogue() IS
    'The scheduled jobs of gravity_memory: name, schedule in force, command.';
