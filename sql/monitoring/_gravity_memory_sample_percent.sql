-- _gravity_memory_sample_percent(p_table_name): how much of a table TABLESAMPLE SYSTEM is to read, so that it is about 200 blocks.
--
-- A number from 0 to 100; 100 for up to 200 blocks, whose every row is read then. Partitions count.
CREATE FUNCTION @extschema@._gravity_memory_sample_percent(p_table_name text)
RETURNS real
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $_gravity_memory_sample_percent$
    SELECT LEAST(100, 100.0 * 200 * current_setting('block_size')::integer
                      / NULLIF(pg_relation_size(r.relation)
                               + COALESCE((SELECT sum(pg_relation_size(t.relid)) FROM pg_partition_tree(r.relation) AS t
                                           WHERE t.isleaf AND t.relid <> r.relation), 0), 0))::real
    FROM (SELECT @extschema@._gravity_memory_qualified_name(p_table_name)::regclass AS relation) AS r
$_gravity_memory_sample_percent$;

COMMENT ON FUNCTION @extschema@._gravity_memory_sample_percent(text) IS
    'The percentage of a table that is about 200 blocks, for TABLESAMPLE SYSTEM.';
