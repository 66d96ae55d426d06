-- _gravity_memory_feed_place(p_snapshot, p_taken_at): a place in the feed of changes: everything that is visible in a snapshot has been read.
--
-- Parts, with / between: the server's timeline, when the snapshot was taken in microseconds, the snapshot. A cursor is 1 (the format), the
-- server's system identifier, and a place; between two pages, the place that the reader comes from, the one that the page leads to, and
-- the last event of the page. _gravity_memory_read_cursor() says what each part is for.
CREATE FUNCTION @extschema@._gravity_memory_feed_place(p_snapshot pg_snapshot, p_taken_at timestamptz)
RETURNS text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_feed_place$
    SELECT format('%s/%s/%s', @extschema@._gravity_memory_feed_timeline(), trunc(extract(epoch FROM p_taken_at) * 1000000), p_snapshot)
$_gravity_memory_feed_place$;

COMMENT ON FUNCTION @extschema@._gravity_memory_feed_place(pg_snapshot, timestamptz) IS
    'A place in the feed of changes, as the text that cursors are made of.';
