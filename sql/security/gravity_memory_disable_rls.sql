-- gravity_memory_disable_rls(): takes the policies of gravity_memory away, and row security from tables that have no other policy.
--
-- What a role may read is then what it was granted. Tables that are the owner's alone (derived rows, events) stay closed. Returns
-- one row per thing it did
-- (drop policy, disable row security), none a second time.
-- Errors: 42501 for whoever does not own the tables. Locks each table that it changes until the transaction ends (ACCESS EXCLUSIVE).
CREATE FUNCTION @extschema@.gravity_memory_disable_rls()
RETURNS TABLE (action text, object text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_disable_rls$
DECLARE
    v_table record;
BEGIN
    -- One of these at a time, and none beside setup: what is to be done is looked up after the wait.
    PERFORM pg_advisory_xact_lock(hashtextextended('gravity_memory_setup', 0));
    FOR v_table IN
        SELECT t.table_name, t.is_closed, c.oid AS table_oid, p.policy_name
        FROM @extschema@._gravity_memory_table_catalogue() WITH ORDINALITY AS t
        JOIN pg_class AS c ON c.oid = to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name)) AND c.relrowsecurity
        LEFT JOIN @extschema@._gravity_memory_policy_catalogue() AS p
               ON p.table_name = t.table_name
              AND EXISTS (SELECT FROM pg_policy AS o WHERE o.polrelid = c.oid AND o.polname = p.policy_name)
        ORDER BY t.ordinality
    LOOP
        IF v_table.policy_name IS NOT NULL THEN
            EXECUTE format('DROP POLICY %I ON %s', v_table.policy_name, @extschema@._gravity_memory_qualified_name(v_table.table_name));
            action := 'drop policy';
            object := v_table.table_name || '.' || v_table.policy_name;
            RETURN NEXT;
        END IF;
        IF NOT v_table.is_closed AND NOT EXISTS (SELECT FROM pg_policy AS o WHERE o.polrelid = v_table.table_oid) THEN
            EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', @extschema@._gravity_memory_qualified_name(v_table.table_name));
            action := 'disable row security';
            object := v_table.table_name;
            RETURN NEXT;
        END IF;
    END LOOP;
END
$gravity_memory_disable_rls$;

COMMENT ON FUNCTION @extschema@.gravity_memory_disable_rls() IS
    'Drops the policies of gravity_memory and switches row security off where no other policy is left. Returns what it did.

What a role may read is then what it was granted. Derived rows and events stay closed. Locks each table that it
changes (ACCESS EXCLUSIVE) until the transaction ends.
Errors: 42501 for who does not own the tables.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_disable_rls() FROM PUBLIC;
