-- _gravity_memory_settle_arc_totals(): recounts the arcs whose totals have waited long enough.
--
-- Why totals may wait at all: every UPDATE of an arc leaves a dead version that the same transaction cannot get rid of, and each
-- further UPDATE walks past all of them. 10,000 single inserts in one transaction took 21 s that way. So totals are written at
-- once for the first 100 writes of a transaction, and for arcs of fewer than 100 members; else an arc waits until its changes reach
-- a tenth of its members, or for the commit, or SET CONSTRAINTS ALL IMMEDIATE. When more than 100 arcs wait, the one with the most
-- changes is recounted, so that the note stays short.
CREATE FUNCTION @extschema@._gravity_memory_settle_arc_totals()
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_settle_arc_totals$
DECLARE
    v_state jsonb := @extschema@._gravity_memory_unsettled_arcs();
    v_waiting CONSTANT jsonb := COALESCE(v_state -> 'waiting', '{}');
    v_writes CONSTANT bigint := COALESCE((v_state ->> 'writes')::bigint, 0);
    v_due uuid[];
BEGIN
    IF v_waiting = '{}' THEN
        RETURN;
    END IF;
    SELECT array_agg(w.arc_id) INTO v_due
    FROM (
        SELECT e.key::uuid AS arc_id, (e.value ->> 'changes')::bigint AS changes, (e.value ->> 'members')::bigint AS members,
               row_number() OVER (ORDER BY (e.value ->> 'changes')::bigint DESC) AS place, count(*) OVER () AS arcs
        FROM jsonb_each(v_waiting) AS e
    ) AS w
    WHERE v_writes < 100
       OR COALESCE((v_state ->> 'at_once')::boolean, false)
       OR w.members < 100
       OR w.changes >= 0.1 * w.members
       OR (w.arcs > 100 AND w.place = 1);
    IF v_due IS NULL THEN
        RETURN;
    END IF;

    PERFORM @extschema@._gravity_memory_recount_arcs(v_due);
    -- Read again: the recount may have deleted an arc, whose links then reported their change.
    v_state := @extschema@._gravity_memory_unsettled_arcs();
    PERFORM set_config('gravity_memory.arc_totals', (v_state || jsonb_build_object(
        'writes', v_writes + cardinality(v_due), 'waiting', COALESCE(v_state -> 'waiting', '{}') - v_due::text[]))::text, true);
END
$_gravity_memory_settle_arc_totals$;

COMMENT ON FUNCTION @extschema@._gravity_memory_settle_arc_totals() IS
    'Recounts the arcs whose totals are due in this transaction.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_settle_arc_totals() FROM PUBLIC;
