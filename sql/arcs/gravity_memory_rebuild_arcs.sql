-- gravity_memory_rebuild_arcs(p_user_id): recomputes a user's automatic arcs from the memories.
--
-- The result equals what the triggers built: every clustered memory in the open arc of its emotion, unless a closed arc or an
-- arc made by hand holds it already; nothing else in that arc; all totals counted anew. Closed arcs keep their members, because
-- which run of gravity_memory_evolve_arcs() closed them when is not written in the memories. Arcs made by hand are not
-- recounted. For use after a load with triggers disabled, after a changed setting, and after a WARNING from trigger_arc_building().
-- Returns how many automatic arcs the user has then. Errors: 22004 when p_user_id is NULL; 42501 where row security hides
-- memories or arcs from the caller, who would undo the arcs of what it does not see. Unknown users have no arcs: 0.
CREATE FUNCTION @extschema@.gravity_memory_rebuild_arcs(p_user_id text)
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $gravity_memory_rebuild_arcs$
DECLARE
    v_emotion_type text;
    v_automatic CONSTANT text := ' arc (auto-created)';
BEGIN
    IF p_user_id IS NULL THEN
        RAISE EXCEPTION 'gravity_memory_rebuild_arcs() needs a user'
            USING ERRCODE = 'null_value_not_allowed',
                  HINT = 'For all users: SELECT @extschema@.gravity_memory_rebuild_arcs(user_id) '
                         'FROM (SELECT DISTINCT user_id FROM @extschema@.gravity_map) AS u.';
    END IF;
    IF row_security_active('@extschema@.gravity_map') OR row_security_active('@extschema@.memory_arcs') THEN
        RAISE EXCEPTION 'row security hides memories or arcs from %', current_user
            USING ERRCODE = 'insufficient_privilege',
                  HINT = 'Run it as a role with BYPASSRLS, or as the owner of the tables without FORCE ROW LEVEL SECURITY; no arc was changed.';
    END IF;
    FOR v_emotion_type IN
        SELECT m.emotion_type FROM @extschema@.gravity_map AS m WHERE m.user_id = p_user_id AND m.emotion_type <> ''
        UNION
        SELECT a.emotion_type FROM @extschema@.memory_arcs AS a
        WHERE a.user_id = p_user_id AND a.arc_name = a.emotion_type || v_automatic
        ORDER BY 1
    LOOP
        PERFORM @extschema@._gravity_memory_examine_cluster(p_user_id, v_emotion_type, NULL, NULL);
    END LOOP;
    PERFORM @extschema@._gravity_memory_recount_arcs(ARRAY(
        SELECT a.id FROM @extschema@.memory_arcs AS a
        WHERE a.user_id = p_user_id AND a.arc_name = a.emotion_type || v_automatic));
    RETURN (SELECT count(*) FROM @extschema@.memory_arcs AS a
            WHERE a.user_id = p_user_id AND a.arc_name = a.emotion_type || v_automatic);
END
$gravity_memory_rebuild_arcs$;

COMMENT ON FUNCTION @extschema@.gravity_memory_rebuild_arcs(text) IS
    'Recomputes a user''s automatic arcs from the memories and returns how many there are.

The result is what the triggers would have built: for use after a load with triggers disabled, after a changed
setting, and after a WARNING that arcs were not updated. Closed arcs and arcs made by hand keep their members.
An unknown user has no arcs: 0.
Errors: 22004 when p_user_id is NULL; 42501 where row security hides memories or arcs from the caller.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_rebuild_arcs(text) FROM PUBLIC;
