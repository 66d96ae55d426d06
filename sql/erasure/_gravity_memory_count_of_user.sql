-- _gravity_memory_count_of_user(p_table_name, p_condition, p_user_id): how many rows of a table tell about a user.
CREATE FUNCTION @extschema@._gravity_memory_count_of_user(p_table_name text, p_condition text, p_user_id text)
RETURNS bigint
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_count_of_user$
DECLARE
    v_count bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM %s WHERE %s', @extschema@._gravity_memory_qualified_name(p_table_name), p_condition)
    INTO v_count USING p_user_id;
    RETURN v_count;
END
$_gravity_memory_count_of_user$;

COMMENT ON FUNCTION @extschema@._gravity_memory_count_of_user(text, text, text) IS
    'How many rows of a table a condition of the erasure catalogue finds for a user.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_count_of_user(text, text, text) FROM PUBLIC;
