-- gravity_memory_enable_rls(): row-level security for all tables: a role sees and writes the rows of its session's user only.
--
-- For tables that were adopted, or made by a version before 0.4.0; setup does the same for every table that it makes. Whose rows they
-- are says gravity_memory_current_user_id(). The owner of the tables, superusers and roles with BYPASSRLS are not bound.
-- Returns one row per thing it did (enable row security, create policy, replace policy), none a second time. Policies of others stay, and
-- PostgreSQL adds up what policies show: those that show more than ours are named in a WARNING.
-- Errors: 55000 before setup; 42501 for whoever does not own the tables. Nothing is changed then.
-- Locks each table that it changes for a moment, for readers too (ACCESS EXCLUSIVE), until the transaction ends.
CREATE FUNCTION @extschema@.gravity_memory_enable_rls()
RETURNS TABLE (action text, object text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_enable_rls$
DECLARE
    v_table record;
    v_others text;
BEGIN
    -- One of these at a time, and none beside setup: what is to be done is looked up after the wait.
    PERFORM pg_advisory_xact_lock(hashtextextended('gravity_memory_setup', 0));
    FOR v_table IN
        SELECT t.table_name, c.oid AS table_oid, c.relrowsecurity, p.policy_name,
               EXISTS (SELECT FROM pg_policy AS o WHERE o.polrelid = c.oid AND o.polname = p.policy_name) AS is_there
        FROM @extschema@._gravity_memory_table_catalogue() WITH ORDINALITY AS t
        LEFT JOIN pg_class AS c ON c.oid = to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name))
        LEFT JOIN @extschema@._gravity_memory_policy_catalogue() AS p ON p.table_name = t.table_name
        ORDER BY t.ordinality
    LOOP
        IF v_table.table_oid IS NULL THEN
            RAISE EXCEPTION 'the table % does not exist', v_table.table_name
                USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Run SELECT * FROM gravity_memory_setup() first.';
        END IF;
        IF v_table.policy_name IS NOT NULL AND NOT @extschema@._gravity_memory_has_policy(v_table.table_name) THEN
            PERFORM @extschema@._gravity_memory_make_policy(v_table.table_name);
            action := CASE WHEN v_table.is_there THEN 'replace policy' ELSE 'create policy' END;
            object := v_table.table_name || '.' || v_table.policy_name;
            RETURN NEXT;
        END IF;
        -- The policy first: nobody is shut out in between, and an error leaves both as they were.
        IF NOT v_table.relrowsecurity THEN
            EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', @extschema@._gravity_memory_qualified_name(v_table.table_name));
            action := 'enable row security';
            object := v_table.table_name;
            RETURN NEXT;
        END IF;
    END LOOP;

    SELECT string_agg(format('%I on %I', p.polname, t.table_name), ', ' ORDER BY t.table_name, p.polname) INTO v_others
    FROM @extschema@._gravity_memory_table_catalogue() AS t
    JOIN pg_policy AS p ON p.polrelid = to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name))
    LEFT JOIN @extschema@._gravity_memory_policy_catalogue() AS c ON c.table_name = t.table_name AND c.policy_name = p.polname
    WHERE c.policy_name IS NULL AND p.polpermissive;
    IF v_others IS NOT NULL THEN
        RAISE WARNING 'gravity_memory: other policies show rows beside those of gravity_memory: %', v_others
            USING HINT = 'A row is shown when one policy shows it. Drop those that show a role more than its user''s rows.';
    END IF;
END
$gravity_memory_enable_rls$;

COMMENT ON FUNCTION @extschema@.gravity_memory_enable_rls() IS
    'Row-level security for all tables of gravity_memory: a role sees and writes its session''s user''s rows only. Returns what it did.

For tables that were adopted, or made before 0.4.0; setup does it for those that it makes. Owner, superusers and
roles with BYPASSRLS are not bound. Policies of others stay; a WARNING names those that show more. Locks each
table that it changes (ACCESS EXCLUSIVE) until the transaction ends.
Errors: 55000 before setup; 42501 for who does not own the tables.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_enable_rls() FROM PUBLIC;
