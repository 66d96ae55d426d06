-- _gravity_memory_settle_arc_totals(p_all): recounts the arcs whose members changed since their totals were last written.
--
-- Why totals may wait at all: every UPDATE of an arc leaves a dead version that the same transaction cannot get rid of, and each
-- further UPDATE walks past all of them. 10,000 single inserts in one transaction took 21 s that way. So totals are written at
-- once for the first 100 writes of a transaction; after that an arc waits until its unwritten changes reach 10% of its members, or
-- for the commit (p_all), or SET CONSTRAINTS ALL IMMEDIATE. At most 100 arcs wait.
--
-- The state stands in the transaction-local parameter gravity_memory.arc_totals as {"writes": n, "waiting": {arc: changes}}. Anyone can
-- overwrite it, so it only ever decides when to recount, never what the totals are.
CREATE FUNCTION @extschema@._gravity_memory_settle_arc_totals(p_all boolean)
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_settle_arc_totals$
DECLARE
    v_state jsonb := COALESCE(NULLIF(current_setting('gravity_memory.arc_totals', true), '')::jsonb, '{}');
    v_waiting CONSTANT jsonb := COALESCE(v_state -> 'waiting', '{}');
    v_writes CONSTANT bigint := COALESCE((v_state ->> 'writes')::bigint, 0);
    v_due uuid[];
BEGIN
    IF v_waiting = '{}' THEN
        RETURN;
    END IF;
    SELECT array_agg(w.key::uuid) INTO v_due
    FROM jsonb_each_text(v_waiting) AS w
    LEFT JOIN @extschema@.memory_arcs AS a ON a.id = w.key::uuid
    WHERE p_all
       OR current_setting('gravity_memory.arc_totals_wait', true) = 'never'
       OR v_writes < 100 OR w.value::bigint >= 0.1 * COALESCE(a.memory_count, 0);
    IF v_due IS NULL THEN
        RETURN;
    END IF;

    PERFORM @extschema@._gravity_memory_recount_arcs(v_due);
    -- Read again: the recount may have deleted an arc, whose links then reported their change.
    v_state := COALESCE(NULLIF(current_setting('gravity_memory.arc_totals', true), '')::jsonb, '{}');
    PERFORM set_config('gravity_memory.arc_totals', jsonb_build_object(
        'writes', v_writes + cardinality(v_due),
        'waiting', COALESCE(v_state -> 'waiting', '{}') - v_due::text[])::text, true);
END
$_gravity_memory_settle_arc_totals$;

COMMENT ON FUNCTION @extschema@._gravity_memory_settle_arc_totals(boolean) IS
    'Recounts the arcs whose totals are due in this transaction, or all that wait.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_settle_arc_totals(boolean) FROM PUBLIC;
