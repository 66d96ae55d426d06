-- _gravity_memory_statistics_findings(): tables whose statistics the planner should not trust, for gravity_memory_check().
--
-- Never gathered on a table of more than 10,000 rows, as after pg_upgrade or a restore; or stale, when more than 10,000 rows and a
-- fifth of the table, which is twice what autovacuum waits for by default, changed since. What a session counts arrives a moment
-- late, so that a load may be counted after the ANALYZE that followed it: the table must have grown too, or ten minutes have
-- passed, in which autovacuum makes that good. Also autovacuum switched off on the server.
CREATE FUNCTION @extschema@._gravity_memory_statistics_findings()
RETURNS TABLE (severity text, finding text, object text, problem text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_statistics_findings$
BEGIN
    RETURN QUERY
    SELECT 'warning', f.finding, s.relid::regclass::text, f.problem, format('ANALYZE %s', s.relid::regclass)
    FROM @extschema@._gravity_memory_table_catalogue() AS t
    CROSS JOIN LATERAL (SELECT to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name)) AS oid) AS n
    JOIN pg_class AS c ON c.relkind = 'r' AND (c.oid = n.oid OR c.oid IN (SELECT p.relid FROM pg_partition_tree(n.oid) AS p))
    JOIN pg_stat_all_tables AS s ON s.relid = c.oid
    CROSS JOIN LATERAL (
        -- pg_stats says what was gathered, but hides it from whoever may not read the table; the counters say when, but a crash
        -- loses them.
        SELECT GREATEST(c.reltuples::double precision, s.n_live_tup, 0) AS rows,
               s.last_analyze IS NULL AND s.last_autoanalyze IS NULL
               AND NOT EXISTS (SELECT FROM pg_stats AS p WHERE p.schemaname = s.schemaname AND p.tablename = s.relname) AS is_new
    ) AS v
    CROSS JOIN LATERAL (VALUES
        ('missing_statistics', format('There are about %s rows, and no statistics of them: plans are guesses.', v.rows::bigint),
         v.is_new AND v.rows > 10000),
        ('stale_statistics',
         format('About %s of %s rows changed since statistics were gathered.', s.n_mod_since_analyze, v.rows::bigint),
         NOT v.is_new AND s.n_mod_since_analyze > 10000 AND s.n_mod_since_analyze > v.rows / 5
         AND (pg_relation_size(c.oid) / current_setting('block_size')::integer > 1.1 * c.relpages
              OR GREATEST(s.last_analyze, s.last_autoanalyze) < now() - interval '10 minutes'))
    ) AS f (finding, problem, applies)
    WHERE f.applies;

    IF NOT current_setting('autovacuum')::boolean OR NOT current_setting('track_counts')::boolean THEN
        RETURN QUERY SELECT 'warning', 'autovacuum_off', 'server',
            'Autovacuum, or track_counts without which it does nothing, is switched off.',
                            CASE WHEN current_setting('autovacuum')::boolean THEN 'ALTER SYSTEM SET track_counts = on'
                                 ELSE 'ALTER SYSTEM SET autovacuum = on' END;
    END IF;
END
$_gravity_memory_statistics_findings$;

COMMENT ON FUNCTION @extschema@._gravity_memory_statistics_findings() IS
    'Findings of gravity_memory_check() about the planner''s statistics.';
