-- _gravity_memory_embedded_rows(): about how many memories have an embedding.
--
-- From the planner's statistics, scaled to the table's present size. Where some of the table has none, and up to 1,000 blocks, where a load
-- may have changed everything since they were gathered, the rows are counted too, which is quick up to 100,000 and stops there, and the
-- greater number is taken. Who may not read the column, or reads it under
-- row security, gets what the statistics say. 0 for a table without the column, to which setup adds it, and for what is no table: counting
-- the rows of a view would run its code before setup refuses it.
CREATE FUNCTION @extschema@._gravity_memory_embedded_rows()
RETURNS bigint
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_embedded_rows$
DECLARE
    v_may_count boolean;
    v_rows double precision;
    v_is_enough boolean;
BEGIN
    SELECT has_column_privilege(a.attrelid, a.attnum, 'SELECT') AND NOT row_security_active(c.oid) INTO v_may_count
    FROM pg_class AS c
    JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = 'embedding' AND NOT a.attisdropped
    WHERE c.oid = '@extschema@.gravity_map'::regclass AND c.relkind IN ('r', 'p');
    IF v_may_count IS NULL THEN
        RETURN 0;
    END IF;
    -- The rows of a partitioned table are in its partitions, of which autovacuum gathers statistics one by one. pg_stats hides what
    -- is under row security; reltuples alone is all there is then.
    SELECT sum(c.reltuples / NULLIF(c.relpages, 0) * s.pages * (1 - COALESCE(t.null_frac, 0)))
               FILTER (WHERE c.reltuples > 0 AND (t.null_frac IS NOT NULL OR NOT v_may_count)),
           bool_and(s.pages = 0 OR (c.reltuples > 0 AND t.null_frac IS NOT NULL)) AND sum(s.pages) > 1000
    INTO v_rows, v_is_enough
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL (SELECT pg_relation_size(c.oid) / current_setting('block_size')::integer AS pages) AS s
    LEFT JOIN pg_stats AS t
           ON t.schemaname = n.nspname AND t.tablename = c.relname AND t.attname = 'embedding' AND NOT t.inherited
    WHERE c.relkind = 'r'
      AND (c.oid = '@extschema@.gravity_map'::regclass
           OR c.oid IN (SELECT p.relid FROM pg_partition_tree('@extschema@.gravity_map') AS p));
    IF v_may_count AND v_is_enough IS NOT TRUE THEN
        v_rows := GREATEST(v_rows, (SELECT count(*) FROM (SELECT FROM @extschema@.gravity_map AS m
                                                          WHERE m.embedding IS NOT NULL LIMIT 100000) AS c));
    END IF;
    RETURN COALESCE(v_rows, 0)::bigint;
END
$_gravity_memory_embedded_rows$;

COMMENT ON FUNCTION @extschema@._gravity_memory_embedded_rows() IS
    'About how many memories have an embedding.';
