-- _gravity_memory_superseded_indexes(): indexes that an earlier version made, and that another index of the catalogue serves for by now.
--
-- By name and definition: an index of that name that somebody made differently is theirs. Setup drops them, in an upgraded database and in
-- one that was restored from an older dump.
-- idx_gravity_map_user_session (0.1.0 to 0.2.0): idx_gravity_map_session_turns, read backwards, gives the same order.
CREATE FUNCTION @extschema@._gravity_memory_superseded_indexes()
RETURNS SETOF text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_superseded_indexes$
    SELECT s.index_name
    FROM (VALUES
        ('idx_gravity_map_user_session', 'gravity_map',
         'USING btree (user_id, session_id, created_at DESC) WHERE (session_id IS NOT NULL)')
    ) AS s (index_name, table_name, definition)
    JOIN pg_index AS i
      ON i.indexrelid = to_regclass(@extschema@._gravity_memory_qualified_name(s.index_name))
     AND i.indrelid = to_regclass(@extschema@._gravity_memory_qualified_name(s.table_name))
    WHERE right(pg_get_indexdef(i.indexrelid), length(s.definition)) = s.definition
$_gravity_memory_superseded_indexes$;

COMMENT ON FUNCTION @extschema@._gravity_memory_superseded_indexes() IS
    'Indexes that an earlier version made and that no query needs any more.';
