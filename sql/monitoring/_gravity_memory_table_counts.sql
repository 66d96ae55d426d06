-- _gravity_memory_table_counts(p_table_name, p_user_id): what gravity_memory_stats() counts in one table.
--
-- gravity_map is read once: the rows are grouped by all that is counted, in an aggregate that parallel workers can share, and the
-- groups, which are few, are added up by each. How many users there are is another pass, over an index; a count of distinct values
-- would sort the table.
CREATE FUNCTION @extschema@._gravity_memory_table_counts(p_table_name text, p_user_id text)
RETURNS TABLE (category text, name text, value numeric)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
-- With a user the plan uses an index on user_id, without one it must not.
SET plan_cache_mode = force_custom_plan
AS $_gravity_memory_table_counts$
BEGIN
    CASE p_table_name
        WHEN 'gravity_map' THEN
            RETURN QUERY
            WITH kinds AS MATERIALIZED (
                SELECT m.emotion_type::text AS emotion, m.temporal_type::text AS temporal, m.meta_tags AS tags,
                       count(*) AS memories,
                       count(m.embedding) AS embedded, count(*) FILTER (WHERE m.identity_anchor) AS anchors,
                       count(*) FILTER (WHERE m.created_at > now() - interval '1 day') AS day,
                       count(*) FILTER (WHERE m.created_at > now() - interval '7 days') AS week,
                       count(*) FILTER (WHERE m.created_at > now() - interval '30 days') AS month
                FROM @extschema@.gravity_map AS m
                WHERE p_user_id IS NULL OR m.user_id = p_user_id
                GROUP BY m.emotion_type, m.temporal_type, m.meta_tags
            )
            SELECT v.category, v.name, v.value
            FROM (SELECT COALESCE(sum(k.memories), 0) AS memories, COALESCE(sum(k.embedded), 0) AS embedded,
                         COALESCE(sum(k.anchors), 0) AS anchors, COALESCE(sum(k.day), 0) AS day, COALESCE(sum(k.week), 0) AS week,
                         COALESCE(sum(k.month), 0) AS month
                  FROM kinds AS k) AS t
            CROSS JOIN LATERAL (VALUES
                ('total', 'memories', t.memories), ('total', 'with embedding', t.embedded),
                    ('total', 'identity anchors', t.anchors),
                ('growth', 'last day', t.day), ('growth', 'last 7 days', t.week), ('growth', 'last 30 days', t.month)
            ) AS v (category, name, value)
            UNION ALL
            (SELECT 'tag', l.tag, sum(k.memories) AS memories
             FROM kinds AS k
             LEFT JOIN LATERAL (SELECT DISTINCT u.tag FROM unnest(k.tags) AS u (tag)) AS l ON true
             GROUP BY l.tag ORDER BY memories DESC, l.tag)
            UNION ALL
            (SELECT 'emotion', k.emotion, sum(k.memories) AS memories FROM kinds AS k GROUP BY k.emotion ORDER BY memories DESC,
                k.emotion)
            UNION ALL
            (SELECT 'temporal_type', k.temporal, sum(k.memories) AS memories
             FROM kinds AS k GROUP BY k.temporal ORDER BY memories DESC, k.temporal);
            IF p_user_id IS NULL THEN
                RETURN QUERY SELECT 'total', 'users', count(*)::numeric FROM (SELECT m.user_id FROM @extschema@.gravity_map AS m
                                                                              GROUP BY m.user_id) AS u;
            END IF;
        WHEN 'memory_arcs' THEN
            RETURN QUERY
            WITH stages AS MATERIALIZED (
                SELECT a.evolution_stage::text AS stage, count(*)::numeric AS arcs
                FROM @extschema@.memory_arcs AS a
                WHERE p_user_id IS NULL OR a.user_id = p_user_id
                GROUP BY a.evolution_stage
            )
            SELECT 'total', 'arcs', COALESCE(sum(s.arcs), 0) FROM stages AS s
            UNION ALL
            (SELECT 'arc_stage', s.stage, s.arcs FROM stages AS s ORDER BY s.arcs DESC, s.stage);
        WHEN 'memory_arc_associations' THEN
            RETURN QUERY
            SELECT 'total', 'arc members', count(*)::numeric
            FROM @extschema@.memory_arc_associations AS l
            -- Links that were made by hand may lack their user.
            WHERE p_user_id IS NULL OR l.arc_id IN (SELECT a.id FROM @extschema@.memory_arcs AS a WHERE a.user_id = p_user_id);
        WHEN 'consciousness_cache' THEN
            RETURN QUERY
            SELECT 'cache', v.name, v.value
            FROM (SELECT count(*)::numeric AS entries, count(*)
                FILTER (WHERE c.created_at < now() - s.retention)::numeric AS expired,
                         COALESCE(sum(c.accessed_count), 0)::numeric AS hits
                  FROM @extschema@.consciousness_cache AS c
                  CROSS JOIN (SELECT (@extschema@._gravity_memory_effective_settings() ->> 'cache_retention')::interval AS retention) AS s
                  WHERE p_user_id IS NULL OR c.user_id = p_user_id) AS t
            CROSS JOIN LATERAL (VALUES ('entries', t.entries), ('expired', t.expired), ('hits', t.hits)) AS v (name, value);
        WHEN 'active_sessions' THEN
            RETURN QUERY
            SELECT 'total', 'sessions', count(*)::numeric
            FROM @extschema@.active_sessions AS s WHERE p_user_id IS NULL OR s.user_id = p_user_id;
        WHEN 'pattern_matrix' THEN
            RETURN QUERY
            SELECT 'total', 'patterns', count(*)::numeric
            FROM @extschema@.pattern_matrix AS m WHERE p_user_id IS NULL OR m.user_id = p_user_id;
        WHEN 'memory_digests' THEN
            RETURN QUERY
            SELECT 'derived', v.name, v.value
            FROM (SELECT count(*)::numeric AS digests, COALESCE(sum(cardinality(d.term_keys)), 0)::numeric AS postings
                  FROM @extschema@.memory_digests AS d WHERE p_user_id IS NULL OR d.user_id = p_user_id) AS t
            CROSS JOIN LATERAL (VALUES ('digests', t.digests), ('postings', t.postings)) AS v (name, value);
        WHEN 'memory_events' THEN
            RETURN QUERY
            SELECT 'feed', 'events', count(*)::numeric
            FROM @extschema@.memory_events AS e WHERE p_user_id IS NULL OR e.user_id = p_user_id;
        WHEN 'memory_recall_gaps' THEN
            RETURN QUERY
            SELECT 'derived', v.name, v.value
            FROM (SELECT count(*)
                FILTER (WHERE NOT g.is_every_user AND (p_user_id IS NULL OR g.user_id = p_user_id))::numeric AS gaps,
                         count(*) FILTER (WHERE g.is_every_user)::numeric AS gaps_of_everyone
                  FROM @extschema@.memory_recall_gaps AS g) AS t
            CROSS JOIN LATERAL (VALUES ('gaps', t.gaps), ('gaps of everyone', t.gaps_of_everyone)) AS v (name, value);
    END CASE;
END
$_gravity_memory_table_counts$;

COMMENT ON FUNCTION @extschema@._gravity_memory_table_counts(text, text) IS
    'What gravity_memory_stats() counts in one table.';
