-- _gravity_memory_break_feed(p_reason): notes that changes are missing from memory_events, for all users.
--
-- A reader whose cursor is older gets an error with p_reason and the way to start anew, instead of a feed with a hole in it. The note is an event
-- without a subject, of the user '', that no reader is given. It wakes nobody: an event that waits for the commit would keep setup from
-- altering the table in the same transaction.
CREATE FUNCTION @extschema@._gravity_memory_break_feed(p_reason text)
RETURNS void
LANGUAGE sql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_break_feed$
    INSERT INTO @extschema@.memory_events (user_id, event, payload, wakes)
    VALUES ('', 'feed_broken', jsonb_build_object('reason', p_reason), false)
$_gravity_memory_break_feed$;

COMMENT ON FUNCTION @extschema@._gravity_memory_break_feed(text) IS
    'Notes that the feed of changes has a hole here, so that its readers start anew.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_break_feed(text) FROM PUBLIC;
