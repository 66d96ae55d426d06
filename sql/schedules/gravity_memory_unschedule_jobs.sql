-- gravity_memory_unschedule_jobs(): removes this database's jobs of gravity_memory from pg_cron, and no others.
--
-- A job is ours when both its name and its command are: another job that happens to be called cleanup-cache stays. The step that
-- gravity_memory_train_vector_indexes() scheduled last is ours too.
-- Returns the names of the jobs it removed.
CREATE FUNCTION @extschema@.gravity_memory_unschedule_jobs()
RETURNS SETOF text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_unschedule_jobs$
DECLARE
    v_job record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron')
       OR NOT has_schema_privilege('cron', 'USAGE') THEN
        RETURN;
    END IF;
    FOR v_job IN EXECUTE
        'SELECT j.jobid, j.jobname FROM cron.job AS j'
        ' LEFT JOIN @extschema@._gravity_memory_job_catalogue() AS c ON c.job_name = j.jobname AND c.command = j.command'
        ' WHERE j.database = current_database()'
        ' AND (c.job_name IS NOT NULL OR (j.jobname = ''train-vector-index-step'' AND j.command ~ ''idx_gravity_map_embedding_''))'
        ' ORDER BY j.jobname'
    LOOP
        EXECUTE 'SELECT cron.unschedule($1)' USING v_job.jobid;
        RETURN QUERY SELECT v_job.jobname::text;
    END LOOP;
END
$gravity_memory_unschedule_jobs$;

COMMENT ON FUNCTION @extschema@.gravity_memory_unschedule_jobs() IS
    'Removes the jobs of gravity_memory from pg_cron and returns their names; other jobs stay.

A job is ours when both its name and its command are.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_unschedule_jobs() FROM PUBLIC;
