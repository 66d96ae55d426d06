-- _gravity_memory_hand_over(): makes the owner of gravity_map the owner of our other tables and of the SECURITY DEFINER functions.
--
-- A SECURITY DEFINER function that writes a table should hold no more power than the table's owner: were it a superuser's, that owner's
-- own triggers would run as superuser. The other functions stay with whoever installed them, who also calls them; the owner of the
-- tables is granted EXECUTE. Tables are handed over when they belong to whoever runs setup, which are those that it made.
-- Returns one row per table and per SECURITY DEFINER function. Where the role may not do that, a WARNING says so and all stays as it is.
CREATE FUNCTION @extschema@._gravity_memory_hand_over()
RETURNS TABLE (action text, object text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_hand_over$
DECLARE
    v_owner CONSTANT name := (SELECT pg_get_userbyid(c.relowner) FROM pg_class AS c WHERE c.oid = '@extschema@.gravity_map'::regclass);
    v_table_name text;
    v_function record;
BEGIN
    FOR v_table_name IN
        SELECT t.table_name
        FROM @extschema@._gravity_memory_table_catalogue() AS t
        JOIN pg_class AS c ON c.oid = to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name))
        WHERE pg_get_userbyid(c.relowner) = current_user AND v_owner <> current_user
    LOOP
        EXECUTE format('ALTER TABLE %s OWNER TO %I', @extschema@._gravity_memory_qualified_name(v_table_name), v_owner);
        action := 'change owner';
        object := v_table_name;
        RETURN NEXT;
    END LOOP;

    FOR v_function IN
        SELECT p.oid::regprocedure AS signature, p.proname, p.prosecdef
        FROM pg_proc AS p
        JOIN pg_depend AS d
          ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass
        JOIN pg_extension AS e ON e.oid = d.refobjid
        WHERE e.extname = 'gravity_memory'
          AND CASE WHEN p.prosecdef THEN pg_get_userbyid(p.proowner) <> v_owner
                   ELSE NOT has_function_privilege(v_owner, p.oid, 'EXECUTE') END
        ORDER BY p.proname
    LOOP
        IF v_function.prosecdef THEN
            EXECUTE format('ALTER FUNCTION %s OWNER TO %I', v_function.signature, v_owner);
            action := 'change owner';
            object := v_function.proname;
            RETURN NEXT;
        ELSE
            EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO %I', v_function.signature, v_owner);
        END IF;
    END LOOP;
EXCEPTION WHEN insufficient_privilege THEN
    RAISE WARNING 'gravity_memory: tables and functions were not handed over to %, who owns gravity_map: %', v_owner, SQLERRM
        USING ERRCODE = SQLSTATE,
              HINT = 'Run SELECT * FROM gravity_memory_setup() as a superuser, or give that role CREATE on the schema.';
END
$_gravity_memory_hand_over$;

COMMENT ON FUNCTION @extschema@._gravity_memory_hand_over() IS
    'Gives our tables and the SECURITY DEFINER functions to the owner of gravity_map.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_hand_over() FROM PUBLIC;
