-- _gravity_memory_wake_listeners(): deferred constraint trigger function on memory_events, once per statement that recorded something.
--
-- Sends the notification memory_changes, empty, unless another transaction that is about to commit does. Committing a notification takes a lock
-- of the whole database until the commit is over (781 instead of 21,072 inserts a second at 32 clients), so only one transaction
-- at a time carries it: the one that gets the advisory lock, which falls at its commit. Readers look again while transactions are open that
-- were open when they looked, and so see those that did not get it. It is asked for at the commit, and not in the statement, so
-- that a long transaction keeps nobody else from waking.
-- The settings, which cost more than all the rest, are read only while the queue of notifications is not empty.
-- Runs as whoever writes and touches no table. A fault is a WARNING: readers find the events at their next look.
CREATE FUNCTION @extschema@._gravity_memory_wake_listeners()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_wake_listeners$
BEGIN
    IF pg_try_advisory_xact_lock(hashtextextended('gravity_memory_wakeup', 0))
       AND (pg_notification_queue_usage() = 0
            OR @extschema@._gravity_memory_may_notify(@extschema@._gravity_memory_effective_settings(), 'memory_changes')) THEN
        PERFORM pg_notify('memory_changes', '');
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'gravity_memory: listeners were not woken: %', SQLERRM
        USING ERRCODE = SQLSTATE, HINT = 'The memories are stored, and their events recorded; listeners find them at their next look.';
    RETURN NULL;
END
$_gravity_memory_wake_listeners$;

COMMENT ON FUNCTION @extschema@._gravity_memory_wake_listeners() IS
    'Trigger function: tells listeners at the commit that there are new events, unless another transaction is doing so.';
