-- _gravity_memory_settle_at_commit(): deferred constraint trigger function on memory_arc_associations, per row.
--
-- Writes the totals that still wait when the transaction commits (see _gravity_memory_settle_arc_totals). The first row's call does the
-- work, the others find nothing. A call before the commit means that constraints are immediate in this transaction (SET CONSTRAINTS): from
-- then on totals never wait, because no call would come at the commit. SECURITY DEFINER for the reason given at _gravity_memory_keep_arc_totals.
CREATE FUNCTION @extschema@._gravity_memory_settle_at_commit()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $_gravity_memory_settle_at_commit$
BEGIN
    IF COALESCE(current_setting('gravity_memory.arc_totals_wait', true), '') <> 'never' THEN
        PERFORM set_config('gravity_memory.arc_totals_wait', 'never', true);
    END IF;
    IF COALESCE(current_setting('gravity_memory.arc_totals', true), '') NOT LIKE '%"waiting": {"%' THEN
        RETURN NULL;
    END IF;
    PERFORM @extschema@._gravity_memory_settle_arc_totals(true);
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'gravity_memory: the totals of an arc were not updated: %', SQLERRM
        USING ERRCODE = SQLSTATE, HINT = 'Run SELECT gravity_memory_rebuild_arcs(user_id) for the user.';
    RETURN NULL;
END
$_gravity_memory_settle_at_commit$;

COMMENT ON FUNCTION @extschema@._gravity_memory_settle_at_commit() IS
    'Trigger function: writes the totals of arcs that still wait when the transaction commits.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_settle_at_commit() FROM PUBLIC;
