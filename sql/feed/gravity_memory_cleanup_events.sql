-- gravity_memory_cleanup_events(): deletes events that no cursor can ask for any more.
--
-- Returns how many it deleted. A cursor is good for feed_retention; an event goes when it is twice as old, because it may have been
-- written long before it was committed. Only a transaction that stays open for longer than feed_retention may lose
-- events to readers who are away. Scheduled as the job cleanup-events.
CREATE FUNCTION @extschema@.gravity_memory_cleanup_events()
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_cleanup_events$
DECLARE
    v_oldest_kept CONSTANT timestamptz :=
        now() - 2 * (@extschema@._gravity_memory_effective_settings() ->> 'feed_retention')::interval;
    v_deleted bigint;
BEGIN
    DELETE FROM @extschema@.memory_events AS e WHERE e.created_at < v_oldest_kept;
    GET DIAGNOSTICS v_deleted = ROW_COUNT;
    RETURN v_deleted;
END
$gravity_memory_cleanup_events$;

COMMENT ON FUNCTION @extschema@.gravity_memory_cleanup_events() IS
    'Deletes events older than twice the setting feed_retention and returns how many.

The job cleanup-events runs it hourly.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_cleanup_events() FROM PUBLIC;
