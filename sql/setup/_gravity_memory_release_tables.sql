-- _gravity_memory_release_tables(): makes sure that no table of ours, and no sequence of one, is a member of the extension.
--
-- Tables created while CREATE EXTENSION or ALTER EXTENSION UPDATE runs become members, and pg_dump leaves out the rows of members. Released, they
-- are dumped and restored like any table, and DROP EXTENSION leaves them.
CREATE FUNCTION @extschema@._gravity_memory_release_tables()
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_release_tables$
DECLARE
    v_table_name text;
    v_sequence regclass;
BEGIN
    FOR v_table_name IN
        SELECT t.table_name
        FROM @extschema@._gravity_memory_table_catalogue() AS t
        JOIN pg_depend AS d
          ON d.classid = 'pg_class'::regclass AND d.objid = to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name))
        JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
        WHERE d.deptype = 'e' AND e.extname = 'gravity_memory'
    LOOP
        EXECUTE 'ALTER EXTENSION gravity_memory DROP TABLE ' || @extschema@._gravity_memory_qualified_name(v_table_name);
    END LOOP;
    -- The sequence of an identity column.
    FOR v_sequence IN
        SELECT d.objid::regclass
        FROM pg_depend AS d
        JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
        JOIN pg_class AS c ON d.classid = 'pg_class'::regclass AND d.objid = c.oid
        WHERE d.deptype = 'e' AND e.extname = 'gravity_memory' AND c.relkind = 'S'
    LOOP
        EXECUTE 'ALTER EXTENSION gravity_memory DROP SEQUENCE ' || v_sequence;
    END LOOP;
END
$_gravity_memory_release_tables$;

COMMENT ON FUNCTION @extschema@._gravity_memory_release_tables() IS
    'Detaches the tables from the extension, so that they are dumped and kept like any others.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_release_tables() FROM PUBLIC;
