-- _gravity_memory_index_findings(): indexes that are missing, invalid or others than the catalogue says, for
-- gravity_memory_check().
--
-- Invalid indexes of any name, because they cost writers and serve nobody; those that another session is building at this moment
-- are left out where the caller may see that. Not the two indexes on embedding, but for their operator class: whether they suit the
-- rows is in _gravity_memory_vector_index_findings(). An index whose definition the owner tuned for a purpose is a notice, no more.
CREATE FUNCTION @extschema@._gravity_memory_index_findings()
RETURNS TABLE (severity text, finding text, object text, problem text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_index_findings$
BEGIN
    RETURN QUERY
    SELECT CASE WHEN c.is_unique THEN 'error' ELSE 'warning' END, 'missing_index', m.index_name,
           CASE WHEN c.is_unique THEN 'The unique index does not exist, and arcs need it to stay single: '
                ELSE 'The index does not exist; without it this reads too much: ' END || c.serves,
           m.concurrent_statement
    FROM @extschema@._gravity_memory_missing_indexes() AS m
    JOIN @extschema@.gravity_memory_index_catalogue() AS c ON c.index_name = m.index_name
    WHERE NOT m.is_invalid AND m.index_name !~ '^idx_gravity_map_embedding_'
      -- The name may belong to something else, which _gravity_memory_table_findings() reports.
      AND to_regclass(@extschema@._gravity_memory_qualified_name(m.index_name)) IS NULL;

    RETURN QUERY
    SELECT 'error', 'invalid_index', k.relname::text,
           format('The index of %s is invalid, after a build that failed or was interrupted: it costs writers and serves nobody.',
                  i.indrelid::regclass),
           CASE WHEN k.relkind = 'I' OR t.relkind = 'p' THEN format('DROP INDEX %s', k.oid::regclass)
                ELSE format('DROP INDEX CONCURRENTLY %s', k.oid::regclass) END
    FROM @extschema@._gravity_memory_table_catalogue() AS c
    CROSS JOIN LATERAL (SELECT to_regclass(@extschema@._gravity_memory_qualified_name(c.table_name)) AS oid) AS n
    JOIN pg_class AS t ON t.oid = n.oid OR t.oid IN (SELECT p.relid FROM pg_partition_tree(n.oid) AS p)
    JOIN pg_index AS i ON i.indrelid = t.oid AND NOT i.indisvalid
    JOIN pg_class AS k ON k.oid = i.indexrelid
    WHERE k.relname !~ '^idx_gravity_map_embedding_(cosine|l2)'
      AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index AS b WHERE b.index_relid = k.oid);

    RETURN QUERY
    SELECT 'notice', 'changed_index', c.index_name,
           format('The catalogue says %s, for: %s The index is %s.', c.definition, c.serves, d.definition),
           format('DROP INDEX%s %s', CASE t.relkind WHEN 'p' THEN '' ELSE ' CONCURRENTLY' END, i.indexrelid::regclass)
    FROM @extschema@.gravity_memory_index_catalogue() AS c
    JOIN pg_class AS t ON t.oid = to_regclass(@extschema@._gravity_memory_qualified_name(c.table_name))
    JOIN pg_index AS i
      ON i.indexrelid = to_regclass(@extschema@._gravity_memory_qualified_name(c.index_name)) AND i.indrelid = t.oid
          AND i.indisvalid
    CROSS JOIN LATERAL (SELECT CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END
                               || substring(pg_get_indexdef(i.indexrelid) FROM ' (USING .*)$') AS definition) AS d
    WHERE @extschema@._gravity_memory_plain_index_definition(regexp_replace(d.definition, '^UNIQUE ', ''))
          <> @extschema@._gravity_memory_plain_index_definition(c.definition)
       OR i.indisunique <> c.is_unique;
END
$_gravity_memory_index_findings$;

COMMENT ON FUNCTION @extschema@._gravity_memory_index_findings() IS
    'Findings of gravity_memory_check() about indexes.';
