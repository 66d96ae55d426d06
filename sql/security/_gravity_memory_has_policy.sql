-- _gravity_memory_has_policy(p_table_name): whether a table has our policy, as we made it.
--
-- PostgreSQL prints an expression with casts and parentheses of its own, which differ with the type of user_id; they are left out on both
-- sides, and the catalogue writes aliases as they are printed. Where another version should print more than that, the answer is
-- false, which costs speed and shows nobody anything.
-- False for a table that has none in the catalogue.
CREATE FUNCTION @extschema@._gravity_memory_has_policy(p_table_name text)
RETURNS boolean
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off
AS $_gravity_memory_has_policy$
    SELECT EXISTS (
        SELECT
        FROM @extschema@._gravity_memory_policy_catalogue() AS c
        JOIN pg_policy AS p ON p.polrelid = to_regclass(@extschema@._gravity_memory_qualified_name(c.table_name)) AND p.polname = c.policy_name
        CROSS JOIN LATERAL (VALUES (pg_get_expr(p.polqual, p.polrelid), c.using_expression),
                                   (pg_get_expr(p.polwithcheck, p.polrelid), c.check_expression)) AS e (actual, wanted)
        WHERE c.table_name = p_table_name AND p.polpermissive AND p.polroles = ARRAY[0]::oid[]
          AND p.polcmd = CASE c.command WHEN 'ALL' THEN '*' ELSE 'r' END
        HAVING count(*) = 2
           AND bool_and(regexp_replace(e.actual, '::text|[\s()]', '', 'g')
                        IS NOT DISTINCT FROM regexp_replace(e.wanted, '::text|[\s()]', '', 'g')))
$_gravity_memory_has_policy$;

COMMENT ON FUNCTION @extschema@._gravity_memory_has_policy(text) IS
    'Whether a table has the policy of gravity_memory, unchanged.';
