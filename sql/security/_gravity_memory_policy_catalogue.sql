-- _gravity_memory_policy_catalogue(): the policies of row security, one at most per table; a table without one is the owner's alone.
--
-- Each shows a role the rows of the user for whom its session stands, and lets it write no others. A link needs a memory and an arc
-- that are
-- both the user's own: the totals of an arc tell about every memory in it. Events feed_broken of the user '' of memory_events are
-- nobody's: they tell every reader of a break in the feed. Settings are read by everybody, because every trigger reads them, and written by the owner alone.
-- The policies call no function of the extension, so that they stay, and the rows stay hidden, when it is dropped. The SELECT around the
-- identity has it computed once per query and not once per row; and an index on user_id serves it.
CREATE FUNCTION @extschema@._gravity_memory_policy_catalogue()
RETURNS TABLE (table_name text, policy_name text, command text, using_expression text, check_expression text)
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_policy_catalogue$
    WITH who AS (
        SELECT '(SELECT CASE WHEN current_setting(''request.jwt.claims'', true) <> '''' '
               'THEN NULLIF(current_setting(''request.jwt.claims'', true)::jsonb ->> ''sub'', '''') '
               'ELSE NULLIF(current_setting(''gravity_memory.user_id'', true), '''') END AS user_id)' AS user_id
    )
    SELECT t.table_name, 'gravity_memory_own_rows', 'ALL', 'user_id = ' || w.user_id, 'user_id = ' || w.user_id
    FROM who AS w,
         unnest(ARRAY['gravity_map', 'memory_arcs', 'consciousness_cache', 'active_sessions', 'pattern_matrix']) AS t (table_name)
    UNION ALL
    SELECT 'memory_arc_associations', 'gravity_memory_own_rows', 'ALL',
           'EXISTS (SELECT FROM @extschema@.gravity_map m WHERE m.id = memory_arc_associations.memory_id AND m.user_id = '
           || w.user_id || ')',
           'EXISTS (SELECT FROM @extschema@.gravity_map m WHERE m.id = memory_arc_associations.memory_id AND m.user_id = '
           || w.user_id || ') AND EXISTS (SELECT FROM @extschema@.memory_arcs a WHERE a.id = memory_arc_associations.arc_id '
           'AND a.user_id = ' || w.user_id || ') AND COALESCE(user_id = ' || w.user_id || ', true)'
    FROM who AS w
    UNION ALL
    SELECT 'memory_events', 'gravity_memory_own_rows', 'SELECT', '(user_id = '''' AND event = ''feed_broken'') OR user_id = ' || w.user_id, NULL
    FROM who AS w
    UNION ALL
    VALUES ('gravity_memory_settings', 'gravity_memory_readable_settings', 'SELECT', 'true', NULL)
$_gravity_memory_policy_catalogue$;

COMMENT ON FUNCTION @extschema@._gravity_memory_policy_catalogue() IS
    'The policies of row security that gravity_memory makes, with their expressions.';
