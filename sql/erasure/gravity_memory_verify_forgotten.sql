-- gravity_memory_verify_forgotten(p_user_id): what the tables of gravity_memory still hold of a user.
--
-- Returns one row per table with the number of rows left, 0 included: all are 0 when nothing is left. Postings hold no user, only a
-- hash of user
-- and word: of those, all that belong to no memory at all are counted, whoever's they were; CALL
-- gravity_memory_rebuild_recall(p_everything => true)
-- removes them. Looks at the tables anew, and trusts no count that gravity_memory_forget_user() made.
-- Reads memory_postings from end to end, some seconds for millions of memories.
-- Errors: 22004 for NULL; 55000 when a table is missing; 42501 for whoever may not see all of it.
CREATE FUNCTION @extschema@.gravity_memory_verify_forgotten(p_user_id text)
RETURNS TABLE (table_name text, remaining bigint)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_verify_forgotten$
DECLARE
    v_rows record;
BEGIN
    PERFORM @extschema@._gravity_memory_check_erasure('gravity_memory_verify_forgotten', p_user_id);
    FOR v_rows IN
        SELECT c.table_name, c.condition FROM @extschema@._gravity_memory_erasure_catalogue() WITH ORDINALITY AS c ORDER BY c.ordinality
    LOOP
        table_name := v_rows.table_name;
        remaining := @extschema@._gravity_memory_count_of_user(
            v_rows.table_name,
            CASE v_rows.table_name
                WHEN 'memory_postings' THEN
                    v_rows.condition || ' OR NOT EXISTS (SELECT FROM @extschema@.gravity_map AS m WHERE m.id = memory_id)'
                ELSE v_rows.condition
            END, p_user_id);
        RETURN NEXT;
    END LOOP;
END
$gravity_memory_verify_forgotten$;

COMMENT ON FUNCTION @extschema@.gravity_memory_verify_forgotten(text) IS
    'What the tables of gravity_memory still hold of a user: one row per table; all counts are 0 when nothing is left.

Of memory_postings it counts rows that belong to no memory at all, whoever''s they were. Reads that table from
end to end.
Errors: 22004 for NULL; 55000 when a table is missing; 42501 for who may not see all of it.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_verify_forgotten(text) FROM PUBLIC;
