-- _gravity_memory_settle_at_commit(): deferred constraint trigger function on memory_arc_locks, per row that names an arc.
--
-- Recounts an arc whose totals may still wait when the transaction commits (see _gravity_memory_unsettle_arcs). The event stands on this
-- private table, so that it is in nobody's way: PostgreSQL refuses TRUNCATE and ALTER TABLE on a table with pending events. A call
-- before the commit means that constraints are immediate (SET CONSTRAINTS): from then on totals never wait.
-- SECURITY DEFINER for the reason given at _gravity_memory_keep_arc_totals.
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
DECLARE
    v_state jsonb;
BEGIN
    IF TG_RELID IS DISTINCT FROM to_regclass('@extschema@.memory_arc_locks') THEN
        RAISE WARNING 'gravity_memory: % keeps what belongs to memory_arc_locks and does nothing for another table', TG_NAME;
        RETURN NULL;
    END IF;
    IF NOT @extschema@._gravity_memory_may_write_arcs() THEN
        RETURN NULL;
    END IF;
    PERFORM @extschema@._gravity_memory_recount_arcs(ARRAY[NEW.user_id::uuid]);
    v_state := @extschema@._gravity_memory_unsettled_arcs();
    PERFORM set_config('gravity_memory.arc_totals', (v_state || jsonb_build_object(
        'at_once', true, 'waiting', COALESCE(v_state -> 'waiting', '{}') - NEW.user_id))::text, true);
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'gravity_memory: the totals of an arc were not updated: %', SQLERRM
        USING ERRCODE = SQLSTATE, HINT = 'Run SELECT gravity_memory_rebuild_arcs(user_id) for the user.';
    RETURN NULL;
END
$_gravity_memory_settle_at_commit$;

COMMENT ON FUNCTION @extschema@._gravity_memory_settle_at_commit() IS
    'Trigger function: recounts an arc whose totals may still wait when the transaction commits.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_settle_at_commit() FROM PUBLIC;
