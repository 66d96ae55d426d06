-- gravity_memory_schedule_jobs(): schedules the jobs of the catalogue in pg_cron, or says how to run them elsewhere.
--
-- Returns the names of the jobs it created or changed: none when all is as it should be, so it can be called at any time.
-- A job made by hand that calls the same function, under any name and schedule, stays as it is, and none is made beside it.
-- Where pg_cron is not in this database, or a job of that name runs something else, a NOTICE says what to run where. It never raises an error: a database
-- without its jobs still works.
CREATE FUNCTION @extschema@.gravity_memory_schedule_jobs()
RETURNS SETOF text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_schedule_jobs$
DECLARE
    v_job record;
    v_is_current boolean;
    v_is_taken boolean;
    v_cron_database text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron') THEN
        BEGIN
            v_cron_database := current_setting('cron.database_name', true);
        EXCEPTION WHEN insufficient_privilege THEN
            -- pg_cron shows it to superusers and pg_read_all_settings only; the advice is more general then.
            v_cron_database := NULL;
        END;
        FOR v_job IN SELECT c.* FROM @extschema@._gravity_memory_job_catalogue() AS c LOOP
            RAISE NOTICE 'gravity_memory: the job % is not scheduled, pg_cron is not in this database. %', v_job.job_name,
                CASE
                    WHEN v_cron_database = current_database() THEN
                        'Here, run: CREATE EXTENSION pg_cron; SELECT @extschema@.gravity_memory_schedule_jobs();'
                    WHEN v_cron_database IS NOT NULL THEN
                        format('In database %I, run: SELECT cron.schedule_in_database(%L, %L, %L, %L);', v_cron_database,
                               v_job.job_name || ' ' || current_database(), v_job.schedule, v_job.command, current_database())
                    ELSE
                        format('Run this from a scheduler of your choice, at %s: psql -d %s -c %s', v_job.schedule,
                               quote_literal(current_database()), quote_literal(v_job.command))
                END;
        END LOOP;
        RETURN;
    END IF;

    FOR v_job IN SELECT c.* FROM @extschema@._gravity_memory_job_catalogue() AS c LOOP
        BEGIN
            EXECUTE 'SELECT EXISTS (SELECT FROM cron.job AS j WHERE j.database = current_database()'
                    ' AND ((j.jobname = $1 AND j.schedule = $2 AND j.command = $3)'
                    '      OR ((j.jobname, j.command) IS DISTINCT FROM ($1, $3)'
                    '          AND @extschema@._gravity_memory_is_same_job(j.command, $3))))'
                INTO v_is_current USING v_job.job_name, v_job.schedule, v_job.command;
            EXECUTE 'SELECT EXISTS (SELECT FROM cron.job AS j WHERE j.jobname = $1 AND j.command <> $2 AND j.username = current_user)'
                INTO v_is_taken USING v_job.job_name, v_job.command;
            IF v_is_current THEN
                CONTINUE;
            ELSIF v_is_taken THEN
                RAISE NOTICE 'gravity_memory: the job % is not scheduled, because a job of that name runs something else. %', v_job.job_name,
                    format('Under another name, run: SELECT cron.schedule(%L, %L, %L);',
                           'gravity_memory ' || v_job.job_name, v_job.schedule, v_job.command);
            ELSE
                EXECUTE 'SELECT cron.schedule($1, $2, $3)' USING v_job.job_name, v_job.schedule, v_job.command;
                RETURN QUERY SELECT v_job.job_name;
            END IF;
        EXCEPTION WHEN OTHERS THEN
            RAISE NOTICE 'gravity_memory: the job % could not be scheduled (%). A role that may use pg_cron can run: %',
                v_job.job_name, SQLERRM,
                format('SELECT cron.schedule(%L, %L, %L);', v_job.job_name, v_job.schedule, v_job.command);
        END;
    END LOOP;
END
$gravity_memory_schedule_jobs$;

COMMENT ON FUNCTION @extschema@.gravity_memory_schedule_jobs() IS
    'Schedules the jobs in pg_cron and returns those it changed; without pg_cron, a NOTICE says what to run.

None are returned when all is as it should be. A job of that name that runs something else stays, and a NOTICE
says so. Never an error: a database without its jobs still works.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_schedule_jobs() FROM PUBLIC;
