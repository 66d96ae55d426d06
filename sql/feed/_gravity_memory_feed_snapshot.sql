-- _gravity_memory_feed_snapshot(): which transactions a reader of the feed sees, now.
--
-- PostgreSQL's snapshot, without the reader's own transaction: that may still be rolled back, and what it commits comes later. A standby does not
-- tell which transactions are open there, so that everything from the oldest open one on waits.
CREATE FUNCTION @extschema@._gravity_memory_feed_snapshot()
RETURNS pg_snapshot
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_feed_snapshot$
DECLARE
    v_snapshot CONSTANT pg_snapshot := pg_current_snapshot();
    v_own CONSTANT xid8 := pg_current_xact_id_if_assigned();
BEGIN
    IF pg_is_in_recovery() THEN
        RETURN format('%s:%s:', pg_snapshot_xmin(v_snapshot), pg_snapshot_xmin(v_snapshot))::pg_snapshot;
    END IF;
    IF v_own IS NULL OR v_own >= pg_snapshot_xmax(v_snapshot) THEN
        RETURN v_snapshot;
    END IF;
    RETURN format('%s:%s:%s', LEAST(pg_snapshot_xmin(v_snapshot), v_own), pg_snapshot_xmax(v_snapshot),
                  (SELECT string_agg(o.xid::text, ',' ORDER BY o.xid)
                   FROM (SELECT x AS xid FROM pg_snapshot_xip(v_snapshot) AS x UNION SELECT v_own) AS o))::pg_snapshot;
END
$_gravity_memory_feed_snapshot$;

COMMENT ON FUNCTION @extschema@._gravity_memory_feed_snapshot() IS
    'The transactions that a reader of the feed sees: those of the current snapshot but its own.';
