-- gravity_memory_index_ddl(): the statements that build the missing indexes without blocking writers.
--
-- Returns one statement per row, none when all indexes are there. Run each outside a transaction block, for example with
-- SELECT ddl FROM gravity_memory_index_ddl() AS ddl \gexec in psql. An invalid index, left by an interrupted build, is dropped first.
CREATE FUNCTION @extschema@.gravity_memory_index_ddl()
RETURNS SETOF text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_index_ddl$
    SELECT s.statement
    FROM @extschema@._gravity_memory_missing_indexes() AS m
    CROSS JOIN LATERAL (VALUES
            (1, CASE WHEN m.is_invalid THEN 'DROP INDEX CONCURRENTLY ' || @extschema@._gravity_memory_qualified_name(m.index_name) END),
            (2, m.concurrent_statement)
         ) AS s (step, statement)
    WHERE s.statement IS NOT NULL
    ORDER BY m.table_name, m.index_name, s.step
$gravity_memory_index_ddl$;

COMMENT ON FUNCTION @extschema@.gravity_memory_index_ddl() IS
    'The CREATE INDEX CONCURRENTLY statements for the indexes that are missing; run each outside a transaction block.

One statement per row, none when nothing is missing; in psql, SELECT ddl FROM gravity_memory_index_ddl() AS ddl
\gexec runs them. An invalid index, left by an interrupted build, is dropped first. The indexes on embedding
have gravity_memory_vector_index_ddl().';
