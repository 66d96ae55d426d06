-- _gravity_memory_feed_timeline(): the timeline of this server: another one after a standby took over, or after a restore to a point in time.
CREATE FUNCTION @extschema@._gravity_memory_feed_timeline()
RETURNS bigint
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_feed_timeline$
    SELECT CASE WHEN pg_is_in_recovery() THEN (SELECT c.timeline_id FROM pg_control_checkpoint() AS c)
                ELSE ('x' || left(pg_walfile_name(pg_current_wal_lsn()), 8))::bit(32)::bigint END
$_gravity_memory_feed_timeline$;

COMMENT ON FUNCTION @extschema@._gravity_memory_feed_timeline() IS
    'The timeline of the write-ahead log of this server.';
