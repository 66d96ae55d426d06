-- _gravity_memory_make_policy(p_table_name): makes, or makes anew, our policy of a table. Returns whether there is one in the catalogue.
CREATE FUNCTION @extschema@._gravity_memory_make_policy(p_table_name text)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $_gravity_memory_make_policy$
DECLARE
    v_policy record;
    v_table CONSTANT text := @extschema@._gravity_memory_qualified_name(p_table_name);
BEGIN
    SELECT c.policy_name, c.command, c.using_expression, c.check_expression INTO v_policy
    FROM @extschema@._gravity_memory_policy_catalogue() AS c WHERE c.table_name = p_table_name;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP POLICY IF EXISTS %I ON %s', v_policy.policy_name, v_table);
    EXECUTE format('CREATE POLICY %I ON %s FOR %s USING (%s)', v_policy.policy_name, v_table, v_policy.command, v_policy.using_expression)
            || CASE WHEN v_policy.check_expression IS NULL THEN '' ELSE ' WITH CHECK (' || v_policy.check_expression || ')' END;
    RETURN true;
END
$_gravity_memory_make_policy$;

COMMENT ON FUNCTION @extschema@._gravity_memory_make_policy(text) IS
    'Makes the policy of gravity_memory on a table, anew where there is one.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_make_policy(text) FROM PUBLIC;
