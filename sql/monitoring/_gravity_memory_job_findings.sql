-- _gravity_memory_job_findings(): jobs of pg_cron that are missing, switched off or failing, for gravity_memory_check().
--
-- Nothing where pg_cron is not in this database: another scheduler may run the jobs. A job counts by the function it calls, whatever
-- its name. It fails when its latest run did; of train-vector-index-step, whose command changes, the runs are looked at that are not
-- older than a day. pg_cron shows a role its own jobs only: whoever sees none of ours, and may not see all, gets an error, which
-- gravity_memory_check() reports as not checked. Errors: 42501 for a role that may not read the jobs.
CREATE FUNCTION @extschema@._gravity_memory_job_findings()
RETURNS TABLE (severity text, finding text, object text, problem text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_job_findings$
DECLARE
    v_schedule CONSTANT text := 'SELECT ' || @extschema@._gravity_memory_qualified_name('gravity_memory_schedule_jobs') || '()';
    v_wanted record;
    v_job record;
    v_run record;
    v_is_hidden boolean;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension AS e WHERE e.extname = 'pg_cron') THEN
        RETURN;
    END IF;
    FOR v_wanted IN SELECT c.* FROM @extschema@._gravity_memory_job_catalogue() AS c LOOP
        EXECUTE 'SELECT j.jobid, j.jobname, j.schedule, j.active FROM cron.job AS j'
                ' WHERE @extschema@._gravity_memory_is_same_job(j.command, $1) AND j.database = current_database()'
                ' ORDER BY j.active DESC, j.command = $1 DESC, j.jobid DESC LIMIT 1'
            INTO v_job USING v_wanted.command;
        IF v_job.jobid IS NULL THEN
            EXECUTE 'SELECT row_security_active(''cron.job'')' INTO v_is_hidden;
            IF v_is_hidden THEN
                RAISE EXCEPTION 'the jobs of other roles are hidden from %, and % is not among its own', current_user,
                    v_wanted.job_name
                    USING ERRCODE = 'insufficient_privilege', HINT = 'Check as the role that owns the jobs, or as a superuser.';
            END IF;
            EXECUTE 'SELECT EXISTS (SELECT FROM cron.job AS j WHERE j.jobname = $1 AND j.username = current_user)'
                INTO v_is_hidden USING v_wanted.job_name;
            RETURN QUERY SELECT 'error', 'missing_job', v_wanted.job_name, format('No job of pg_cron runs %s.', v_wanted.command),
                CASE WHEN v_is_hidden  -- by another job of that name
                     THEN format('SELECT cron.schedule(%L, %L, %L)', 'gravity_memory ' || v_wanted.job_name, v_wanted.schedule,
                         v_wanted.command)
                     ELSE v_schedule END;
            CONTINUE;
        END IF;
        IF NOT v_job.active THEN
            RETURN QUERY SELECT 'notice', 'inactive_job', v_job.jobname::text, 'The job is switched off.',
                                format('SELECT cron.alter_job(%s, active := true)', v_job.jobid);
        END IF;
        IF v_job.schedule <> v_wanted.schedule THEN
            RETURN QUERY SELECT 'warning', 'changed_job', v_job.jobname::text,
                                format('The job runs at %s, the settings say %s.', v_job.schedule, v_wanted.schedule),
                                format('SELECT cron.alter_job(%s, schedule := %L)', v_job.jobid, v_wanted.schedule);
        END IF;
        EXECUTE 'SELECT d.status, d.return_message, d.start_time FROM cron.job_run_details AS d'
                ' WHERE d.jobid = $1 AND d.status IN (''succeeded'', ''failed'') ORDER BY d.runid DESC LIMIT 1'
            INTO v_run USING v_job.jobid;
        IF v_run.status = 'failed' THEN
            RETURN QUERY SELECT 'error', 'failing_job', v_job.jobname::text,
                                format('Its latest run, at %s, failed: %s', v_run.start_time, btrim(v_run.return_message, E' \n')),
                                v_wanted.command;
        END IF;
    END LOOP;

    RETURN QUERY EXECUTE
        'SELECT ''error'', ''failing_job'', ''train-vector-index-step'','
        '       format(''Its run at %s failed: %s'', r.start_time, btrim(r.return_message, E'' \n'')), r.command'
        ' FROM (SELECT d.* FROM cron.job_run_details AS d'
        '       WHERE d.database = current_database() AND d.command ~ ''INDEX.* \S*idx_gravity_map_embedding_'''
        '         AND d.start_time > now() - interval ''1 day'' AND d.status IN (''succeeded'', ''failed'')'
        '       ORDER BY d.runid DESC LIMIT 1) AS r'
        ' WHERE r.status = ''failed''';
END
$_gravity_memory_job_findings$;

COMMENT ON FUNCTION @extschema@._gravity_memory_job_findings() IS
    'Findings of gravity_memory_check() about the jobs of pg_cron.';
