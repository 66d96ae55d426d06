-- _gravity_memory_adoption_functions(p_schema): what gravity_memory_adoption_report() says of functions made by hand.
--
-- Those that keep CREATE EXTENSION from working in p_schema: of the same name and parameters as one of ours, and, of the search
-- functions, of the same name alone, because PostgREST can call neither of two. The remedy renames them: triggers, views and
-- policies go on using them under the new name, until setup gives the triggers ours. DROP ... CASCADE would drop all of these.
CREATE FUNCTION @extschema@._gravity_memory_adoption_functions(p_schema text)
RETURNS TABLE (severity text, finding text, object text, present text, plan text, lock text, remedy text)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_adoption_functions$
    WITH ours AS (
        SELECT p.oid, p.proname, p.proargtypes
        FROM pg_proc AS p
        JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
        JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
        WHERE e.extname = 'gravity_memory'
    )
    SELECT 'blocks', 'function_by_hand', p.oid::regprocedure::text,
           concat_ws('; ',
               format('Made by hand, owner %I', pg_get_userbyid(p.proowner)),
               -- The specification's sources, without comments and blanks.
               CASE WHEN md5(regexp_replace(p.prosrc, '--[^\n]*|\s', '', 'g')) = CASE p.proname
                             WHEN 'auto_tag_high_gravity' THEN '1c01e5cfc7c971a50edf1667b222ec1c'
                             WHEN 'notify_memory_created' THEN 'f4864c33a491aa59b563daab48b5423c'
                             WHEN 'trigger_arc_building' THEN '8388c8d8a1cd9ad5719d6e65c43a9b25'
                             WHEN 'cleanup_old_cache' THEN 'bef18293f4a0aed705ebbaca69d39c93' END
                    THEN 'as in the specification' ELSE 'not the specification''s' END,
               CASE WHEN p.prosecdef THEN 'SECURITY DEFINER' END,
               'EXECUTE granted to ' || (SELECT string_agg(CASE WHEN x.grantee = 0 THEN 'PUBLIC'
                   ELSE pg_get_userbyid(x.grantee)::text END, ', ')
                                         FROM aclexplode(COALESCE(p.proacl, acldefault('f', p.proowner))) AS x
                                         WHERE x.grantee <> p.proowner),
               'used by ' || (SELECT string_agg(pg_describe_object(d.classid, d.objid, d.objsubid), ', ' ORDER BY d.classid,
                   d.objid)
                              FROM pg_depend AS d
                              WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid = p.oid AND d.deptype IN ('n', 'a'))) || '.',
           'CREATE EXTENSION stops. Renamed, it stays in use until setup replaces the triggers; grant EXECUTE on ours anew.',
           'none', format('ALTER ROUTINE %s RENAME TO %I', p.oid::regprocedure, p.proname || '_by_hand')
    FROM pg_proc AS p
    WHERE p.pronamespace = (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = p_schema)
      AND p.prokind IN ('f', 'p')
      AND NOT EXISTS (SELECT FROM ours AS o WHERE o.oid = p.oid)
      AND EXISTS (SELECT FROM ours AS o
                  WHERE o.proname = p.proname
                    AND (o.proargtypes = p.proargtypes
                         OR o.proname IN ('match_memories', 'gravity_weighted_search', 'find_similar_memories',
                             'get_conversation_context',
                                          'recall_memories')))
$_gravity_memory_adoption_functions$;

COMMENT ON FUNCTION @extschema@._gravity_memory_adoption_functions(text) IS
    'What gravity_memory_adoption_report() says of functions made by hand.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_adoption_functions(text) FROM PUBLIC;
