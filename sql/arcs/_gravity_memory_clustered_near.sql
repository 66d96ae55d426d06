-- _gravity_memory_clustered_near(p_user_id, p_emotion_type, p_memory_ids, p_created_ats): which memories stand in a cluster?
--
-- Of the memories of one user and emotion with gravity at or over arc_gravity_threshold, a memory is clustered when it is one of
-- arc_min_memories whose created_at lie less than arc_window apart (spec: 3 within 24 hours). That depends on nothing but the memories,
-- not on the order in which they came, so that arcs can be rebuilt from them.
-- The arrays name the places in time where something changed. With k = arc_min_memories, only memories between these places, and the
-- k - 1 before the first and after the last, can have become clustered or ceased to be; so only those are looked at,
-- and one more insert costs the same however many memories there are. NULL arrays look at all memories of the user and emotion.
-- Returns the memories looked at, each with whether it is clustered.
--
-- Sorting is switched off for the planner, because only idx_gravity_map_arc_cluster gives neighbours in order, and without
-- statistics it takes another index and sorts all memories of the user for every insert.
CREATE FUNCTION @extschema@._gravity_memory_clustered_near(
    p_user_id text, p_emotion_type text, p_memory_ids uuid[], p_created_ats timestamptz[])
RETURNS TABLE (memory_id uuid, is_clustered boolean)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET enable_sort = off
SET enable_incremental_sort = off
AS $_gravity_memory_clustered_near$
DECLARE
    v_settings CONSTANT jsonb := @extschema@._gravity_memory_effective_settings();
    v_threshold CONSTANT double precision := (v_settings ->> 'arc_gravity_threshold')::double precision;
    v_window CONSTANT interval := (v_settings ->> 'arc_window')::interval;
    v_reach CONSTANT integer := (v_settings ->> 'arc_min_memories')::integer - 1;
    v_first record;
    v_last record;
    v_ids uuid[];
    v_times timestamptz[];
    v_near boolean[];
BEGIN
    IF p_memory_ids IS NOT NULL AND v_threshold >= 0.8 THEN
        SELECT p.id, p.created_at INTO v_first
        FROM unnest(p_memory_ids, p_created_ats) AS p (id, created_at) ORDER BY p.created_at, p.id LIMIT 1;
        SELECT p.id, p.created_at INTO v_last
        FROM unnest(p_memory_ids, p_created_ats) AS p (id, created_at) ORDER BY p.created_at DESC, p.id DESC LIMIT 1;

        -- The constant 0.8 repeats the predicate of idx_gravity_map_arc_cluster; the planner cannot prove it from a variable.
        SELECT array_agg(c.id), array_agg(c.created_at), array_agg(c.near)
        INTO v_ids, v_times, v_near
        FROM (
            SELECT b.id, b.created_at, row_number() OVER (ORDER BY b.created_at DESC, b.id DESC) <= v_reach AS near
            FROM (
                SELECT m.id, m.created_at
                FROM @extschema@.gravity_map AS m
                WHERE m.user_id = p_user_id AND m.emotion_type = p_emotion_type
                  AND m.gravity_score >= 0.8 AND m.gravity_score >= v_threshold AND m.gravity_score < 'Infinity'
                  AND (m.created_at, m.id) < (v_first.created_at, v_first.id)
                ORDER BY m.created_at DESC, m.id DESC
                LIMIT 2 * v_reach
            ) AS b
            UNION ALL
            SELECT w.id, w.created_at, true
            FROM (
                SELECT m.id, m.created_at
                FROM @extschema@.gravity_map AS m
                WHERE m.user_id = p_user_id AND m.emotion_type = p_emotion_type
                  AND m.gravity_score >= 0.8 AND m.gravity_score >= v_threshold AND m.gravity_score < 'Infinity'
                  AND (m.created_at, m.id) >= (v_first.created_at, v_first.id)
                  AND (m.created_at, m.id) <= (v_last.created_at, v_last.id)
                ORDER BY m.created_at, m.id
            ) AS w
            UNION ALL
            SELECT a.id, a.created_at, row_number() OVER (ORDER BY a.created_at, a.id) <= v_reach
            FROM (
                SELECT m.id, m.created_at
                FROM @extschema@.gravity_map AS m
                WHERE m.user_id = p_user_id AND m.emotion_type = p_emotion_type
                  AND m.gravity_score >= 0.8 AND m.gravity_score >= v_threshold AND m.gravity_score < 'Infinity'
                  AND (m.created_at, m.id) > (v_last.created_at, v_last.id)
                ORDER BY m.created_at, m.id
                LIMIT 2 * v_reach
            ) AS a
        ) AS c;
    ELSE
        -- All memories of the user and emotion: asked for, or because a lower threshold has no index that gives them in order.
        SELECT array_agg(m.id), array_agg(m.created_at), array_agg(true)
        INTO v_ids, v_times, v_near
        FROM @extschema@.gravity_map AS m
        WHERE m.user_id = p_user_id AND m.emotion_type = p_emotion_type
          AND m.gravity_score >= v_threshold AND m.gravity_score < 'Infinity';
    END IF;

    RETURN QUERY
    SELECT r.id, r.is_clustered
    FROM (
        SELECT s.id, s.near,
               bool_or(s.starts_cluster) OVER (ORDER BY s.created_at, s.id ROWS BETWEEN v_reach PRECEDING AND CURRENT ROW)
                   AS is_clustered
        FROM (
            -- Infinite times are close to nothing. The difference, unlike a sum, depends on no time zone and cannot overflow.
            SELECT t.id, t.created_at, t.near,
                   CASE WHEN isfinite(t.created_at) AND isfinite(t.completed_at)
                        THEN t.completed_at - t.created_at < v_window ELSE false END AS starts_cluster
            FROM (
                SELECT u.id, u.created_at, u.near, lead(u.created_at, v_reach) OVER (ORDER BY u.created_at, u.id) AS completed_at
                FROM unnest(v_ids, v_times, v_near) AS u (id, created_at, near)
            ) AS t
        ) AS s
    ) AS r
    WHERE r.near;
END
$_gravity_memory_clustered_near$;

COMMENT ON FUNCTION @extschema@._gravity_memory_clustered_near(text, text, uuid[], timestamptz[]) IS
    'Whether the memories of a user and emotion near given places in time stand in a cluster.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_clustered_near(text, text, uuid[], timestamptz[]) FROM PUBLIC;
