-- _gravity_memory_missing_indexes(): the indexes of the catalogue that a database lacks.
--
-- An index is there when one of its name stands on its table and is valid: a DBA may have tuned its definition. An invalid index,
-- left by an interrupted CREATE INDEX CONCURRENTLY, counts as missing and has to be dropped first. The indexes on embedding are missing
-- only when there are rows enough to train them; see gravity_memory_vector_index_ddl().
-- Returns the table, the CREATE INDEX statement without and with CONCURRENTLY, and whether an invalid index is in the way.
CREATE FUNCTION @extschema@._gravity_memory_missing_indexes()
RETURNS TABLE (index_name text, table_name text, statement text, concurrent_statement text, is_invalid boolean)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_missing_indexes$
    SELECT c.index_name, c.table_name,
           format('CREATE%s INDEX %I ON %s %s', u.word, c.index_name, t.name, c.definition),
           format('CREATE%s INDEX%s %I ON %s %s', u.word,
                  -- PostgreSQL builds no index of a partitioned table concurrently.
                  CASE WHEN (SELECT k.relkind FROM pg_class AS k WHERE k.oid = to_regclass(t.name)) = 'p' THEN '' ELSE ' CONCURRENTLY' END,
                  c.index_name, t.name, c.definition),
           i.indexrelid IS NOT NULL
    FROM @extschema@.gravity_memory_index_catalogue() AS c
    CROSS JOIN LATERAL (SELECT CASE WHEN c.is_unique THEN ' UNIQUE' ELSE '' END AS word) AS u
    CROSS JOIN LATERAL (SELECT @extschema@._gravity_memory_qualified_name(c.table_name) AS name) AS t
    LEFT JOIN pg_index AS i
           ON i.indexrelid = to_regclass(@extschema@._gravity_memory_qualified_name(c.index_name))
          AND i.indrelid = to_regclass(t.name)
    WHERE to_regclass(t.name) IS NOT NULL
      AND i.indisvalid IS NOT TRUE
      -- pgvector has no cosine index for vectors of one dimension, which have no angle.
      AND NOT (c.index_name = 'idx_gravity_map_embedding_cosine'
               AND EXISTS (SELECT FROM pg_attribute AS a
                           WHERE a.attrelid = to_regclass(t.name) AND a.attname = 'embedding' AND a.atttypmod = 1))
      AND NOT EXISTS (SELECT FROM @extschema@._gravity_memory_vector_index_states() AS v
                      WHERE v.index_name = c.index_name AND NOT v.is_wanted)
$_gravity_memory_missing_indexes$;

COMMENT ON FUNCTION @extschema@._gravity_memory_missing_indexes() IS
    'The indexes of the catalogue that are missing or invalid, with the statements that make them.';
