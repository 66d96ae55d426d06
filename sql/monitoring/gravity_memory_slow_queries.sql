-- gravity_memory_slow_queries(p_limit): the slowest statements that touch our tables or functions, by pg_stat_statements.
--
-- The query of the specification's section on monitoring, for this database alone, and for all our tables and functions. Returns
-- query, calls, mean_exec_time, max_exec_time and total_exec_time in milliseconds, and rows, the slowest mean first; as in the
-- view, one row per statement and role. Who is no member of pg_read_all_stats sees the statements of roles that it is a member of.
-- Errors: 22023 unless p_limit is at least 1; 55000 when pg_stat_statements is not installed in this database, not preloaded, or
-- older than 1.8, with a HINT that says what to do; 42501 where pg_stat_statements is closed to the caller.
CREATE FUNCTION @extschema@.gravity_memory_slow_queries(p_limit integer DEFAULT 10)
RETURNS TABLE (query text, calls bigint, mean_exec_time double precision, max_exec_time double precision,
    total_exec_time double precision,
               rows bigint)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
AS $gravity_memory_slow_queries$
DECLARE
    v_schema CONSTANT name := (SELECT n.nspname FROM pg_extension AS e JOIN pg_namespace AS n ON n.oid = e.extnamespace
                               WHERE e.extname = 'pg_stat_statements');
    v_names text;
    v_found jsonb;
    v_detail text;
BEGIN
    IF p_limit IS NULL OR p_limit < 1 THEN
        RAISE EXCEPTION 'gravity_memory_slow_queries(): p_limit must be at least 1, not %', COALESCE(p_limit::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'It is how many statements are returned: 10 when left out.';
    END IF;
    IF v_schema IS NULL THEN
        RAISE EXCEPTION 'pg_stat_statements is not installed in database %', current_database()
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Add pg_stat_statements to shared_preload_libraries and restart the server; then, in this database, run '
                         'CREATE EXTENSION pg_stat_statements. It is one of PostgreSQL''s contrib modules.';
    END IF;

    -- Names of ours as whole words: gravity_map is no gravity_mapping.
    SELECT '\m(' || string_agg(o.name, '|') || ')\M' INTO v_names
    FROM (SELECT t.table_name AS name FROM @extschema@._gravity_memory_table_catalogue() AS t
          UNION
          SELECT p.proname::text
          FROM pg_proc AS p
          JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
          JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
          WHERE e.extname = 'gravity_memory') AS o;
    EXECUTE format(
        'SELECT jsonb_agg(to_jsonb(f)) FROM ('
        'SELECT s.query, s.calls, s.mean_exec_time, s.max_exec_time, s.total_exec_time, s.rows FROM %I.pg_stat_statements AS s'
        ' WHERE s.dbid = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database()) AND s.query ~* $1'
        ' ORDER BY s.mean_exec_time DESC, s.query LIMIT $2) AS f', v_schema)
        INTO v_found USING v_names, p_limit;
    RETURN QUERY
    SELECT f.query, f.calls, f.mean_exec_time, f.max_exec_time, f.total_exec_time, f.rows
    FROM jsonb_to_recordset(v_found) AS f (query text, calls bigint, mean_exec_time double precision,
        max_exec_time double precision,
                                           total_exec_time double precision, rows bigint)
    ORDER BY f.mean_exec_time DESC, f.query;
EXCEPTION
    WHEN undefined_column OR undefined_table THEN
        GET STACKED DIAGNOSTICS v_detail = MESSAGE_TEXT;
        RAISE EXCEPTION 'pg_stat_statements is older than 1.8 in database %', current_database()
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = v_detail,
                HINT = 'Run ALTER EXTENSION pg_stat_statements UPDATE.';
    WHEN object_not_in_prerequisite_state THEN
        IF v_schema IS NULL THEN
            RAISE;
        END IF;
        GET STACKED DIAGNOSTICS v_detail = MESSAGE_TEXT;
        RAISE EXCEPTION 'pg_stat_statements is installed, and not loaded'
            USING ERRCODE = 'object_not_in_prerequisite_state', DETAIL = v_detail,
                  HINT = 'Add pg_stat_statements to shared_preload_libraries and restart the server.';
END
$gravity_memory_slow_queries$;

COMMENT ON FUNCTION @extschema@.gravity_memory_slow_queries(integer) IS
    'The slowest statements that touch the tables or functions of gravity_memory, by pg_stat_statements.

Of this database, slowest mean first, p_limit of them, at least 1; times in milliseconds. Who is no member of
pg_read_all_stats sees the statements of its own roles.
Errors: 22023 for a bad limit; 55000 where pg_stat_statements is not installed, not loaded or older than 1.8;
42501 where it is closed to the caller.';
