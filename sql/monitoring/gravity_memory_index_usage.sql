-- gravity_memory_index_usage(): how much each index of our tables is used, what it is for and what it takes.
--
-- Returns one row per index, those of the application's own included, most used first: table and index, scans, the time of the last
-- one (NULL on PostgreSQL 15, which does not keep it), index entries read and rows fetched by them, size in bytes;
-- never_used_since, when there was no scan: since when that is known, which is when the counters of this database or of the server
-- were last reset or lost in a crash, or when the index was made, if that is later; whether it is in
-- gravity_memory_index_catalogue() and in the specification; serves: the catalogue's query, or the constraint that the index keeps,
-- which needs it whatever its scans; and whether it is valid. An index of a partitioned table is one row, the sum of its
-- partitions'. Counters are of this server: a replica counts its own. Errors: 55000 when none of our tables is there.
CREATE FUNCTION @extschema@.gravity_memory_index_usage()
RETURNS TABLE (table_name text, index_name text, scans bigint, last_scan timestamptz, tuples_read bigint, tuples_fetched bigint,
               size_bytes bigint, never_used_since timestamptz, in_catalogue boolean, in_spec boolean, serves text,
                   is_valid boolean)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $gravity_memory_index_usage$
DECLARE
    v_counting_since timestamptz;
BEGIN
    IF NOT EXISTS (SELECT FROM @extschema@._gravity_memory_table_catalogue() AS t
                   WHERE to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name)) IS NOT NULL) THEN
        RAISE EXCEPTION 'the tables of gravity_memory do not exist'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Run SELECT * FROM @extschema@.gravity_memory_setup() first.';
    END IF;
    -- A database whose counters were never reset says NULL; what the whole server counts began no later than they did.
    v_counting_since := GREATEST(
        (SELECT d.stats_reset FROM pg_stat_database AS d WHERE d.datname = current_database()),
        (SELECT LEAST(b.stats_reset, w.stats_reset, a.stats_reset) FROM pg_stat_bgwriter AS b, pg_stat_wal AS w,
            pg_stat_archiver AS a));

    RETURN QUERY
    SELECT t.relname::text, k.relname::text, u.scans, u.last_scan, u.tuples_read, u.tuples_fetched, u.size_bytes,
           CASE WHEN u.scans = 0 THEN v_counting_since END,
           c.index_name IS NOT NULL, COALESCE(c.in_spec, false), COALESCE(c.serves, pg_get_constraintdef(q.oid)), i.indisvalid
    FROM @extschema@._gravity_memory_table_catalogue() AS o
    CROSS JOIN LATERAL (SELECT to_regclass(@extschema@._gravity_memory_qualified_name(o.table_name)) AS oid) AS n
    JOIN pg_class AS t ON t.oid = n.oid OR t.oid IN (SELECT p.relid FROM pg_partition_tree(n.oid) AS p)
    JOIN pg_index AS i ON i.indrelid = t.oid
    JOIN pg_class AS k ON k.oid = i.indexrelid AND NOT k.relispartition
    CROSS JOIN LATERAL (
        -- to_jsonb(): last_idx_scan is not in PostgreSQL 15, and naming it would be an error there.
        SELECT COALESCE(sum(s.idx_scan), 0)::bigint AS scans, max((to_jsonb(s) ->> 'last_idx_scan')::timestamptz) AS last_scan,
               COALESCE(sum(s.idx_tup_read), 0)::bigint AS tuples_read, COALESCE(sum(s.idx_tup_fetch), 0)::bigint AS tuples_fetched,
               COALESCE(sum(pg_relation_size(s.indexrelid)), 0)::bigint AS size_bytes
        FROM pg_stat_all_indexes AS s
        WHERE s.indexrelid = k.oid OR s.indexrelid IN (SELECT p.relid FROM pg_partition_tree(k.oid) AS p)
    ) AS u
    LEFT JOIN @extschema@.gravity_memory_index_catalogue() AS c ON c.index_name = k.relname AND c.table_name = t.relname
    LEFT JOIN pg_constraint AS q ON q.conindid = k.oid AND q.contype IN ('p', 'u', 'x')
    ORDER BY u.scans DESC, t.relname, k.relname;
END
$gravity_memory_index_usage$;

COMMENT ON FUNCTION @extschema@.gravity_memory_index_usage() IS
    'How much each index of the tables of gravity_memory is used, since when never, what it serves and how large it is.

One row per index, the application''s own included, most used first. scans, last_scan (NULL on PostgreSQL 15),
tuples_read and tuples_fetched are this server''s counters: a replica has its own. size_bytes with partitions.
never_used_since: where there was no scan, since when that is known. serves: the catalogue''s query, or the
constraint that needs the index whatever its scans.
Errors: 55000 when none of the tables is there.';
