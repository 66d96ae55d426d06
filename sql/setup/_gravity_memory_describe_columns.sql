-- _gravity_memory_describe_columns(): gives the columns of tables that setup made their comments.
--
-- A table that setup made is known by its comment, so that an adopted table keeps its owner's words, and the lack of them; and so does a
-- column that has a comment. Tables of a role that the caller is no member of are passed over: a comment is the owner's to make.
CREATE FUNCTION @extschema@._gravity_memory_describe_columns()
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_describe_columns$
DECLARE
    v_column record;
BEGIN
    FOR v_column IN
        SELECT t.table_name, w.column_name, w.purpose
        FROM @extschema@._gravity_memory_table_catalogue() AS t
        JOIN pg_class AS c ON c.oid = to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name))
        JOIN @extschema@._gravity_memory_column_catalogue() AS w ON w.table_name = t.table_name
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname = w.column_name AND NOT a.attisdropped
        WHERE obj_description(c.oid, 'pg_class') = t.purpose
          AND col_description(c.oid, a.attnum) IS NULL
          AND pg_has_role(c.relowner, 'USAGE')
        ORDER BY t.table_name, w.ordinal
    LOOP
        EXECUTE format('COMMENT ON COLUMN %s.%I IS %L', @extschema@._gravity_memory_qualified_name(v_column.table_name),
                       v_column.column_name, v_column.purpose);
    END LOOP;
END
$_gravity_memory_describe_columns$;

COMMENT ON FUNCTION @extschema@._gravity_memory_describe_columns() IS
    'Gives the columns of tables that setup made their comments.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_describe_columns() FROM PUBLIC;
