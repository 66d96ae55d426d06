-- _gravity_memory_adoption_jobs(p_schema): what gravity_memory_adoption_report() says of the jobs of pg_cron.
--
-- A job made by hand that calls the same function is kept and not doubled, whatever its name; one of our name that runs something
-- else is kept, too, and ours is not scheduled. pg_cron shows a role its own jobs only. Without pg_cron one row says so.
CREATE FUNCTION @extschema@._gravity_memory_adoption_jobs(p_schema text)
RETURNS TABLE (severity text, finding text, object text, present text, plan text, lock text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
AS $_gravity_memory_adoption_jobs$
DECLARE
    v_wanted record;
    v_job record;
    v_name text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension AS e WHERE e.extname = 'pg_cron') THEN
        RETURN QUERY SELECT 'note', 'no_pg_cron', 'pg_cron', 'pg_cron is not in this database.',
            'Schedule no job; a NOTICE of setup says what to run where.', 'none', NULL::text;
        RETURN;
    END IF;
    IF NOT (has_schema_privilege('cron', 'USAGE') AND has_table_privilege('cron.job', 'SELECT')) THEN
        RETURN QUERY SELECT 'note', 'not_looked_at', 'cron.job', format('%I may not use pg_cron.', current_user),
            'Schedule no job; a NOTICE of setup says what a role that may use pg_cron runs.', 'none',
            format('GRANT USAGE ON SCHEMA cron TO %I', current_user);
        RETURN;
    END IF;
    FOR v_wanted IN
        SELECT c.job_name, s.settings ->> d.setting AS schedule, replace(c.command, ' @extschema@.', format(' %I.',
            p_schema)) AS command
        FROM @extschema@._gravity_memory_job_catalogue() AS c
        JOIN (VALUES ('cleanup-cache', 'cache_cleanup_schedule'), ('cleanup-events', 'feed_cleanup_schedule'),
                     ('evolve-arcs', 'arc_evolution_schedule'), ('train-vector-indexes', 'embedding_index_schedule'))
             AS d (job_name, setting) ON d.job_name = c.job_name
        CROSS JOIN (SELECT @extschema@._gravity_memory_settings_in(p_schema) AS settings) AS s
    LOOP
        EXECUTE 'SELECT j.jobname, j.schedule, j.command, j.username, j.active FROM cron.job AS j'
                ' WHERE j.database = current_database() AND @extschema@._gravity_memory_is_same_job(j.command, $1)'
                ' ORDER BY j.active DESC, j.jobid LIMIT 1'
            INTO v_job USING v_wanted.command;
        v_name := COALESCE(v_job.jobname, v_wanted.job_name);
        IF v_job.command IS NOT NULL THEN
            RETURN QUERY SELECT 'note', 'same_job', v_name,
                format('Runs %s at %s as %I%s.', v_job.command, v_job.schedule, v_job.username,
                       CASE WHEN v_job.active THEN '' ELSE ', and is switched off' END),
                'Keep it, and schedule none beside it; it calls ours from then on.', 'none', NULL::text;
            CONTINUE;
        END IF;
        EXECUTE 'SELECT j.jobname, j.schedule, j.command FROM cron.job AS j WHERE j.jobname = $1 AND j.username = current_user LIMIT 1'
            INTO v_job USING v_wanted.job_name;
        IF v_job.command IS NOT NULL THEN
            RETURN QUERY SELECT 'note', 'other_job', v_wanted.job_name, format('A job of that name runs something else: %s',
                v_job.command),
                'Keep it. Ours is not scheduled; when setup is done, schedule it under another name.', 'none',
                format('SELECT cron.schedule(%L, %L, %L)', 'gravity_memory ' || v_wanted.job_name, v_wanted.schedule,
                    v_wanted.command);
        ELSE
            RETURN QUERY SELECT 'change', 'missing_job', v_wanted.job_name, format('No job runs %s.', v_wanted.command),
                format('schedule job, at %s', v_wanted.schedule), 'none', NULL::text;
        END IF;
    END LOOP;
END
$_gravity_memory_adoption_jobs$;

COMMENT ON FUNCTION @extschema@._gravity_memory_adoption_jobs(text) IS
    'What gravity_memory_adoption_report() says of jobs.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_adoption_jobs(text) FROM PUBLIC;
