-- gravity_memory_train_vector_indexes(): starts the next of the statements of gravity_memory_vector_index_ddl() through pg_cron.
--
-- CREATE INDEX CONCURRENTLY can run neither in a function nor beside another statement, but pg_cron runs a command that is one
-- statement as it is. So the job train-vector-indexes calls this every embedding_index_schedule; this renames what is to be
-- renamed and schedules one further job, train-vector-index-step, for the next minute. The call after that removes or replaces it. What is
-- to do is read from the catalogues, never remembered, so a step that was interrupted is mended by the next ones. One that failed is
-- tried again after a day: it may be a large build for which there is no room on the disk.
-- Returns the statement it scheduled; NULL when there is nothing to do, when a step is due or running, and where it cannot work: a
-- NOTICE says what to run without pg_cron and for a partitioned table, whose writers the statements would block.
CREATE FUNCTION @extschema@.gravity_memory_train_vector_indexes()
RETURNS text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_train_vector_indexes$
DECLARE
    v_step_job CONSTANT text := 'train-vector-index-step';
    v_kind CONSTANT "char" := (SELECT c.relkind FROM pg_class AS c WHERE c.oid = to_regclass('@extschema@.gravity_map'));
    v_statement text;
    v_zone text;
    v_minute timestamp;
    v_schedules text[];
    v_job record;
    v_failure text;
BEGIN
    IF v_kind IS NULL THEN
        RETURN NULL;
    END IF;
    IF v_kind = 'p' OR NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron') THEN
        IF EXISTS (SELECT FROM @extschema@.gravity_memory_vector_index_ddl()) THEN
            RAISE NOTICE 'gravity_memory: the indexes on embedding are to be built or trained again, %.',
                CASE v_kind WHEN 'p' THEN 'which blocks the writers of a partitioned table' ELSE 'and pg_cron is not in this database' END
                USING HINT = 'Run in psql: SELECT ddl FROM @extschema@.gravity_memory_vector_index_ddl() AS ddl \gexec';
        END IF;
        RETURN NULL;
    END IF;

    BEGIN
        PERFORM @extschema@._gravity_memory_settle_vector_indexes();
    EXCEPTION WHEN lock_not_available THEN
        RAISE NOTICE 'gravity_memory: % (%)', SQLERRM, 'a step that is still running, or a maintenance command';
        RETURN NULL;
    END;
    SELECT s.ddl INTO v_statement
    FROM @extschema@.gravity_memory_vector_index_ddl() WITH ORDINALITY AS s (ddl, step) ORDER BY s.step LIMIT 1;

    -- pg_cron reads schedules in cron.timezone (GMT where it has no such parameter). Who may not see it gets one that comes every quarter of
    -- an hour, in every time zone; one that comes once a year is better, should the next call take long. The first is for the
    -- next minute, unless that is too close; the others tell whether an earlier step is still due.
    BEGIN
        v_zone := COALESCE(NULLIF(current_setting('cron.timezone', true), ''), 'GMT');
    EXCEPTION WHEN insufficient_privilege THEN
        v_zone := NULL;
    END;
    v_minute := date_trunc('minute', clock_timestamp() AT TIME ZONE COALESCE(v_zone, 'GMT') + interval '15 seconds') + interval '1 minute';
    v_schedules := ARRAY(
        SELECT CASE WHEN v_zone IS NOT NULL THEN to_char(m.minute, 'FMMI FMHH24 FMDD FMMM') || ' *'
                    ELSE (SELECT string_agg(q::text, ',' ORDER BY q)
                          FROM generate_series(extract(minute FROM m.minute)::integer % 15, 59, 15) AS q) || ' * * * *' END
        FROM (SELECT o, v_minute - o * interval '1 minute' AS minute FROM generate_series(0, 3) AS o) AS m
        ORDER BY m.o);

    EXECUTE 'SELECT j.jobid, j.schedule, j.command FROM cron.job AS j'
            ' WHERE j.jobname = $1 AND j.database = current_database() AND j.username = current_user'
        INTO v_job USING v_step_job;
    IF v_job.command = v_statement AND v_job.schedule = ANY (v_schedules) THEN
        RETURN NULL;
    END IF;
    IF v_job.jobid IS NOT NULL THEN
        EXECUTE 'SELECT cron.unschedule($1)' USING v_job.jobid;
    END IF;
    IF v_statement IS NULL THEN
        RETURN NULL;
    END IF;

    -- The same index, whatever its number of lists. Not a step that ended with the server.
    EXECUTE 'SELECT d.return_message FROM cron.job_run_details AS d'
            ' WHERE split_part(d.command, '' USING '', 1) = split_part($1, '' USING '', 1) AND d.database = current_database()'
            ' AND d.status = ''failed'' AND d.start_time > now() - interval ''1 day'' AND d.return_message <> ''server restarted'''
            ' ORDER BY d.start_time DESC LIMIT 1'
        INTO v_failure USING v_statement;
    IF v_failure IS NOT NULL THEN
        RAISE WARNING 'gravity_memory: % failed within the last day, and is tried again after it: %',
            split_part(v_statement, ' USING ', 1), btrim(v_failure, E' \n')
            USING HINT = 'To try at once, run in psql: SELECT ddl FROM @extschema@.gravity_memory_vector_index_ddl() AS ddl \gexec';
        RETURN NULL;
    END IF;

    EXECUTE 'SELECT cron.schedule($1, $2, $3)' USING v_step_job, v_schedules[1], v_statement;
    RETURN v_statement;
END
$gravity_memory_train_vector_indexes$;

COMMENT ON FUNCTION @extschema@.gravity_memory_train_vector_indexes() IS
    'Schedules, through pg_cron, the next statement that brings the indexes on embedding up to date, and returns it.

NULL when there is nothing to do, when a statement is due or running, and where it cannot work: without pg_cron
and for a partitioned table a NOTICE says what to run. One that failed is tried again after a day. The job
train-vector-indexes runs it.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_train_vector_indexes() FROM PUBLIC;
