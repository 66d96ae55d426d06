-- _gravity_memory_may_read_derived(p_user_id, p_column): may a SECURITY DEFINER function answer its caller from the derived tables?
--
-- Derived rows tell about memories, and the policies of gravity_map do not reach them. So they answer only a caller who may read
-- that column of every memory of that user: one with the privilege, who is not subject to row security, or whom our policy shows all
-- of that user's memories, because the session stands for the user. The caller is the role that was set, or
-- the one that logged in; a SECURITY DEFINER function of the application is judged by who called it. Everyone else is answered from the
-- memories themselves, under their own privileges and policies: more slowly, and the same.
-- False also while the user is listed in memory_recall_gaps, before setup has made the tables, and after a dump was restored by a
-- superuser, until setup hands the function over: read as a superuser, a table of somebody else might be a view with code in it.
CREATE FUNCTION @extschema@._gravity_memory_may_read_derived(p_user_id text, p_column text)
RETURNS boolean
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_may_read_derived$
DECLARE
    v_caller CONSTANT name := CASE WHEN current_setting('role') = 'none' THEN session_user ELSE current_setting('role')::name END;
    v_memories record;
BEGIN
    SELECT c.oid, c.relowner, c.relrowsecurity, c.relforcerowsecurity INTO v_memories
    FROM pg_class AS c
    WHERE c.oid = to_regclass('@extschema@.gravity_map') AND c.relkind IN ('r', 'p');
    IF (has_column_privilege(v_caller, v_memories.oid, 'id', 'SELECT')
        AND has_column_privilege(v_caller, v_memories.oid, 'user_id', 'SELECT')
        AND has_column_privilege(v_caller, v_memories.oid, p_column, 'SELECT')
        -- A memory is found by the words for its date, too.
        AND (p_column <> 'content' OR has_column_privilege(v_caller, v_memories.oid, 'created_at', 'SELECT'))) IS NOT TRUE THEN
        RETURN false;
    END IF;
    IF v_memories.relrowsecurity
       AND NOT (SELECT r.rolsuper OR r.rolbypassrls
                       OR (NOT v_memories.relforcerowsecurity AND pg_has_role(r.oid, v_memories.relowner, 'USAGE'))
                FROM pg_roles AS r WHERE r.rolname = v_caller)
       -- Permissive policies of the application show more, and restrictive ones less.
       AND (p_user_id = @extschema@.gravity_memory_current_user_id()
            AND @extschema@._gravity_memory_has_policy('gravity_map')
            AND NOT EXISTS (SELECT FROM pg_policy AS y
                            WHERE y.polrelid = v_memories.oid AND NOT y.polpermissive AND y.polcmd IN ('r', '*'))) IS NOT TRUE THEN
        RETURN false;
    END IF;
    -- Three tables: one that is missing makes the answer false too.
    IF (SELECT count(*) FROM pg_class AS c
        WHERE c.oid IN (to_regclass('@extschema@.memory_digests'), to_regclass('@extschema@.memory_postings'),
                        to_regclass('@extschema@.memory_recall_gaps'))
          AND pg_get_userbyid(c.relowner) = current_user AND c.relkind IN ('r', 'p')) < 3 THEN
        RETURN false;
    END IF;
    RETURN NOT EXISTS (SELECT FROM @extschema@.memory_recall_gaps AS g WHERE g.user_id = p_user_id AND NOT g.is_every_user)
       AND NOT EXISTS (SELECT FROM @extschema@.memory_recall_gaps AS g WHERE g.user_id = '' AND g.is_every_user);
END
$_gravity_memory_may_read_derived$;

COMMENT ON FUNCTION @extschema@._gravity_memory_may_read_derived(text, text) IS
    'Whether the caller of a SECURITY DEFINER function may be answered from what is derived from a user''s memories.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_may_read_derived(text, text) FROM PUBLIC;
