-- _gravity_memory_feed_cursor(p_snapshot, p_issued_at): a place in the feed of changes, as text.
--
-- Parts: 1 (the format), the server's system identifier, its timeline, when it was issued in microseconds, and the snapshot: every event of a
-- transaction visible in it has been read. _gravity_memory_read_cursor() takes it apart and says what each part is for; between
-- two pages, gravity_memory_changes() appends how far it is.
CREATE FUNCTION @extschema@._gravity_memory_feed_cursor(p_snapshot pg_snapshot, p_issued_at timestamptz)
RETURNS text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_feed_cursor$
    SELECT format('1/%s/%s/%s/%s', (SELECT c.system_identifier FROM pg_control_system() AS c),
                  @extschema@._gravity_memory_feed_timeline(), trunc(extract(epoch FROM p_issued_at) * 1000000), p_snapshot)
$_gravity_memory_feed_cursor$;

COMMENT ON FUNCTION @extschema@._gravity_memory_feed_cursor(pg_snapshot, timestamptz) IS
    'A place in the feed of changes, as the text that readers keep.';
