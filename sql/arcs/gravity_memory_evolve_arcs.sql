-- gravity_memory_evolve_arcs(p_now): moves arcs to the stage that their members call for.
--
-- forming becomes active at arc_active_members members; active becomes mature at arc_mature_members members, or
-- arc_mature_after after its beginning (the earlier of created_at and first_memory_at); any of them becomes dormant when its newest member is
-- arc_dormant_after old. A forming arc that qualifies passes both steps at once. The specification names the stages and no rule:
-- these are ours. Arcs in other stages are the application's own and stay untouched, as do arcs that a writer holds
-- at the moment: the next run finds them. Mature and dormant arcs take no new members.
-- p_now (default now()) is the time to judge by; replays of history give their own.
-- Returns how many arcs changed stage. Scheduled as the job evolve-arcs; running it twice changes nothing more.
CREATE FUNCTION @extschema@.gravity_memory_evolve_arcs(p_now timestamptz DEFAULT pg_catalog.now())
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_evolve_arcs$
DECLARE
    v_settings CONSTANT jsonb := @extschema@._gravity_memory_effective_settings();
    v_active_members CONSTANT integer := (v_settings ->> 'arc_active_members')::integer;
    v_mature_members CONSTANT integer := (v_settings ->> 'arc_mature_members')::integer;
    v_mature_after CONSTANT interval := (v_settings ->> 'arc_mature_after')::interval;
    v_dormant_after CONSTANT interval := (v_settings ->> 'arc_dormant_after')::interval;
    v_now CONSTANT timestamptz := COALESCE(p_now, now());
    v_changed bigint;
BEGIN
    WITH judged AS (
        SELECT a.id, a.evolution_stage,
               CASE
                   WHEN COALESCE(a.last_memory_at, a.created_at) <= v_now - v_dormant_after THEN 'dormant'
                   WHEN a.evolution_stage = 'mature' THEN 'mature'
                   WHEN a.evolution_stage = 'forming' AND COALESCE(a.memory_count, 0) < v_active_members THEN 'forming'
                   WHEN COALESCE(a.memory_count, 0) >= v_mature_members
                        OR LEAST(a.created_at, a.first_memory_at) <= v_now - v_mature_after THEN 'mature'
                   ELSE 'active'
               END AS next_stage
        FROM @extschema@.memory_arcs AS a
        WHERE a.evolution_stage IN ('forming', 'active', 'mature')
    ), moving AS (
        SELECT a.id, j.next_stage
        FROM @extschema@.memory_arcs AS a
        JOIN judged AS j ON j.id = a.id
        WHERE j.next_stage <> j.evolution_stage
        FOR NO KEY UPDATE OF a SKIP LOCKED
    )
    UPDATE @extschema@.memory_arcs AS a
    SET evolution_stage = m.next_stage, updated_at = now()
    FROM moving AS m
    WHERE a.id = m.id;
    GET DIAGNOSTICS v_changed = ROW_COUNT;
    RETURN v_changed;
END
$gravity_memory_evolve_arcs$;

COMMENT ON FUNCTION @extschema@.gravity_memory_evolve_arcs(timestamptz) IS
    'Moves arcs from forming to active, mature and dormant by their members and age; returns how many changed stage.

p_now is the time to judge by; replays of history give their own. The rules are the settings arc_active_members,
arc_mature_members, arc_mature_after and arc_dormant_after. Arcs in other stages are the application''s and stay
as they are; arcs that a writer holds are left to the next run. The job evolve-arcs runs it hourly.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_evolve_arcs(timestamptz) FROM PUBLIC;
