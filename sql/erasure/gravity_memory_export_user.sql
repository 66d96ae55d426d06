-- gravity_memory_export_user(p_user_id): everything that the tables of gravity_memory hold of a user, as JSON lines.
--
-- The first line says what this is: {"gravity_memory": version, "format": 1, "user_id", "exported_at"}. Each other one is a row,
-- {"table", "row"},
-- with every column, the application's own included: memories, arcs, links, cache, sessions, patterns, events. Embeddings are written as
-- pgvector prints them, numbers in full, times in UTC. "json_nulls" names columns that hold the JSON value null, which "row" cannot tell
-- from NULL. Types that are not PostgreSQL's own are written as text. What does not come back: the bounds of arrays that do not begin at 1, JSON null
-- inside of jsonb[], and money where lc_monetary differs. What recall reads is left out: it follows from the memories. A link is exported when memory and arc are both the user's.
-- One statement, one snapshot. gravity_memory_import_user() makes the same rows elsewhere.
-- Errors: 22004 for NULL; 55000 when a table is missing; 42501 for whoever may not see all of it.
CREATE FUNCTION @extschema@.gravity_memory_export_user(p_user_id text)
RETURNS SETOF text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET extra_float_digits = 1
SET timezone = 'UTC'
SET datestyle = 'ISO, YMD'
SET intervalstyle = 'postgres'
AS $gravity_memory_export_user$
DECLARE
    v_table record;
BEGIN
    PERFORM @extschema@._gravity_memory_check_erasure('gravity_memory_export_user', p_user_id);
    RETURN QUERY
    SELECT json_build_object(
        'gravity_memory', (SELECT e.extversion FROM pg_extension AS e WHERE e.extname = 'gravity_memory'),
        'format', 1, 'user_id', p_user_id, 'exported_at', now())::text;
    FOR v_table IN
        SELECT c.table_name, c.row_order, r.relation,
               CASE c.table_name
                   WHEN 'memory_arc_associations' THEN
                       'EXISTS (SELECT FROM @extschema@.gravity_map AS m WHERE m.id = t.memory_id AND m.user_id = $1) '
                       'AND EXISTS (SELECT FROM @extschema@.memory_arcs AS a WHERE a.id = t.arc_id AND a.user_id = $1)'
                   ELSE c.condition
               END AS condition,
               -- A type of an extension may have its own cast to json, which nothing reads again: hstore has.
               (SELECT string_agg(CASE WHEN y.typtype = 'c' OR b.typnamespace = 'pg_catalog'::regnamespace THEN format('t.%I', a.attname)
                                       ELSE format('t.%I::text', a.attname) END, ', ' ORDER BY a.attnum)
                FROM pg_attribute AS a
                JOIN pg_type AS y ON y.oid = a.atttypid
                JOIN pg_type AS b ON b.oid = COALESCE(NULLIF(y.typbasetype, 0), y.oid)
                WHERE a.attrelid = r.relation AND a.attnum > 0 AND NOT a.attisdropped) AS columns,
               COALESCE((SELECT string_agg(format('CASE WHEN json_typeof(t.%I::json) = ''null'' THEN %L END', a.attname, a.attname), ', '
                                           ORDER BY a.attnum)
                         FROM pg_attribute AS a
                         JOIN pg_type AS y ON y.oid = a.atttypid
                         WHERE a.attrelid = r.relation AND a.attnum > 0 AND NOT a.attisdropped
                           AND COALESCE(NULLIF(y.typbasetype, 0), y.oid) IN ('json'::regtype, 'jsonb'::regtype)), 'NULL::text') AS json_nulls
        FROM @extschema@._gravity_memory_erasure_catalogue() AS c
        CROSS JOIN LATERAL (SELECT @extschema@._gravity_memory_qualified_name(c.table_name)::regclass AS relation) AS r
        WHERE c.export_order IS NOT NULL
        ORDER BY c.export_order
    LOOP
        -- A line break outside of strings is white space, and only a column of type json can bring one.
        RETURN QUERY EXECUTE format(
            'SELECT translate(''{"table":%s,"row":'' || (SELECT row_to_json(x.*)::text FROM (SELECT %s) AS x) '
            '|| CASE WHEN n.names = ''{}'' THEN '''' ELSE '',"json_nulls":'' || array_to_json(n.names)::text END || ''}'', E''\n\r'', ''  '') '
            'FROM %s AS t CROSS JOIN LATERAL (SELECT array_remove(ARRAY[%s], NULL) AS names) AS n WHERE %s ORDER BY %s',
            to_json(v_table.table_name), v_table.columns, v_table.relation, v_table.json_nulls, v_table.condition, v_table.row_order)
        USING p_user_id;
    END LOOP;
END
$gravity_memory_export_user$;

COMMENT ON FUNCTION @extschema@.gravity_memory_export_user(text) IS
    'Everything that the tables of gravity_memory hold of a user, as JSON lines, for gravity_memory_import_user() or for the user.

The first line says what this is; each other one is a row: its table, and every column, the application''s own
included. What recall reads is left out: it follows from the memories. One snapshot.
Errors: 22004 for NULL; 55000 when a table is missing; 42501 for who may not see all of it.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_export_user(text) FROM PUBLIC;
