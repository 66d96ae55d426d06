-- memory_changes_head(): the place in the feed of changes where it ends now, for those who begin to read it.
--
-- Returns a cursor for memory_changes_since(), for any user: from it on come the events of all transactions that this one does not see, its
-- own among them. A reader who shows memories takes the cursor first and reads the memories then: what falls between comes twice,
-- once read and once as an event, and nothing is missed. The cursor is good for feed_retention (7 days).
-- Errors: 55000 while nothing is recorded, 42501 where row security hides all events.
CREATE FUNCTION @extschema@.memory_changes_head()
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $memory_changes_head$
BEGIN
    PERFORM @extschema@._gravity_memory_check_feed();
    RETURN format('1/%s/%s', (SELECT c.system_identifier FROM pg_control_system() AS c),
                  @extschema@._gravity_memory_feed_place(@extschema@._gravity_memory_feed_snapshot(), clock_timestamp()));
END
$memory_changes_head$;

COMMENT ON FUNCTION @extschema@.memory_changes_head() IS
    'The cursor of the end of the feed of changes, for memory_changes_since().

Good for every user, and for feed_retention. Who shows memories takes the cursor first and reads them then: what
falls between comes twice, and nothing is missed.
Errors: 55000 while nothing is recorded (settings notify and feed); 42501 where row security hides all events.';
