-- _gravity_memory_table_bytes(p_table_name): the size of one of our tables on disk, its partitions included, without indexes.
CREATE FUNCTION @extschema@._gravity_memory_table_bytes(p_table_name text)
RETURNS bigint
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_table_bytes$
    SELECT pg_table_size(r.relation) + COALESCE((SELECT sum(pg_table_size(t.relid)) FROM pg_partition_tree(r.relation) AS t
                                                 WHERE t.isleaf AND t.relid <> r.relation), 0)::bigint
    FROM (SELECT @extschema@._gravity_memory_qualified_name(p_table_name)::regclass AS relation) AS r
$_gravity_memory_table_bytes$;

COMMENT ON FUNCTION @extschema@._gravity_memory_table_bytes(text) IS
    'The bytes of a table of gravity_memory and its partitions.';
