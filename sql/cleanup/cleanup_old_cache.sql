-- cleanup_old_cache(): deletes entries of consciousness_cache older than cache_retention (24 hours, spec).
--
-- Returns how many it deleted. Entries that another session holds are passed over and go with the next run, so it never waits for a
-- writer; readers use entries of the last hour and never meet it. Scheduled as the job cleanup-cache (hourly, spec).
CREATE FUNCTION @extschema@.cleanup_old_cache()
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $cleanup_old_cache$
DECLARE
    v_oldest_kept CONSTANT timestamptz := now() - (@extschema@._gravity_memory_effective_settings() ->> 'cache_retention')::interval;
    v_deleted bigint;
BEGIN
    DELETE FROM @extschema@.consciousness_cache AS c
    USING (SELECT e.id FROM @extschema@.consciousness_cache AS e
           WHERE e.created_at < v_oldest_kept
           FOR UPDATE SKIP LOCKED) AS expired
    WHERE c.id = expired.id;
    GET DIAGNOSTICS v_deleted = ROW_COUNT;
    RETURN v_deleted;
END
$cleanup_old_cache$;

COMMENT ON FUNCTION @extschema@.cleanup_old_cache() IS
    'Deletes cache entries older than the setting cache_retention and returns how many.

Entries that another session holds are passed over and go with the next run, so it waits for no writer. The job
cleanup-cache runs it hourly. One transaction, whatever the number of entries.';
REVOKE EXECUTE ON FUNCTION @extschema@.cleanup_old_cache() FROM PUBLIC;
