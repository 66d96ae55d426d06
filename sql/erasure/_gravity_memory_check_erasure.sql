-- _gravity_memory_check_erasure(p_function, p_user_id): refuses what could only be done in part.
--
-- Errors: 22004 for p_user_id NULL; 55000 when a table is missing; 42501 where row security hides rows from the caller.
CREATE FUNCTION @extschema@._gravity_memory_check_erasure(p_function text, p_user_id text)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_check_erasure$
DECLARE
    v_table_name text;
BEGIN
    IF p_user_id IS NULL THEN
        RAISE EXCEPTION '%(): p_user_id must not be NULL', p_function
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Name the user.';
    END IF;
    FOR v_table_name IN SELECT c.table_name FROM @extschema@._gravity_memory_erasure_catalogue() AS c LOOP
        IF to_regclass(@extschema@._gravity_memory_qualified_name(v_table_name)) IS NULL THEN
            RAISE EXCEPTION 'the table % does not exist', v_table_name
                USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Run SELECT * FROM gravity_memory_setup() first.';
        END IF;
        IF row_security_active(@extschema@._gravity_memory_qualified_name(v_table_name)) THEN
            RAISE EXCEPTION 'row security hides rows of % from %', v_table_name, current_user
                USING ERRCODE = 'insufficient_privilege',
                      HINT = 'Run it as the owner of the tables, or as a role with BYPASSRLS; nothing was changed.';
        END IF;
    END LOOP;
END
$_gravity_memory_check_erasure$;

COMMENT ON FUNCTION @extschema@._gravity_memory_check_erasure(text, text) IS
    'Refuses to erase or export a user where that could only be done in part.';
