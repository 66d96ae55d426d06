-- _gravity_memory_ranked_memories(...): every memory that a recall considers, with its score and the components of it.
--
-- Two lists of p_list_length memories each: the most similar ones by cosine, scaled to (similarity - that of the list's last) / best (the
-- list's last counts as 0 when the list is full, otherwise 0 similarity does), and the best by BM25.
-- A memory lends to the two turns before and after it in its session, w = p_neighbour_weight per turn: of its scaled
-- similarity w and w^2, added up; of each term's share of BM25 sqrt(w) and w, but a term counts once for a memory, where it is
-- strongest, so that a name that both speakers keep repeating is no evidence. The lexical sum is scaled by the best one found.
-- Measured (bench/locomo.py): evidence recall@10 .82; with all that neighbours have added up, .80; without neighbours, .72. The best of
-- both lists lend, two fifths of p_list_length of them: from a fifth to all, recall is the same within .003, and the turns around
-- a memory cost more to look up than the memory itself.
-- score = semantic + lexical + neighbour + gravity + recency, each with its weight in it: semantic and lexical are the memory's own, neighbour
-- is what the turns around add to both, gravity is gravity_score, recency exp(-age / half-life). NULL and NaN gravity count as 0.
-- Filters decide which memories may be answered, and which are in the lists: others neither appear nor lend. The statistics
-- of BM25 stay those of all memories of the user.
-- Returns memory_id, score and its components, and the raw similarity and BM25 (NULL outside that list).
CREATE FUNCTION @extschema@._gravity_memory_ranked_memories(
    p_user_id text, p_query text, p_embedding vector, p_list_length integer, p_filters jsonb,
    p_semantic_weight double precision, p_lexical_weight double precision, p_neighbour_weight double precision,
    p_gravity_weight double precision, p_recency_weight double precision, p_half_life interval)
RETURNS TABLE (memory_id uuid, score double precision, semantic_score double precision, lexical_score double precision,
               neighbour_score double precision, gravity_component double precision, recency_component double precision,
               similarity double precision, bm25 double precision)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_mergejoin = off
SET max_parallel_workers_per_gather = 0
SET jit = off
AS $_gravity_memory_ranked_memories$
DECLARE
    -- A selective filter is evaluated once; of one that many memories pass, only what is looked at is tested.
    v_eligible_limit CONSTANT integer := 2000;
    v_eligible uuid[];
    v_similar_ids uuid[] := '{}'::uuid[];
    v_similarities double precision[] := '{}'::double precision[];
    v_base double precision;
BEGIN
    IF p_filters <> '{}' THEN
        v_eligible := @extschema@._gravity_memory_passing(p_user_id, p_filters, NULL, v_eligible_limit + 1);
        IF v_eligible = '{}' THEN
            RETURN;
        END IF;
        IF cardinality(v_eligible) > v_eligible_limit THEN
            v_eligible := NULL;
        END IF;
    END IF;

    IF p_embedding IS NOT NULL AND p_semantic_weight > 0 THEN
        PERFORM @extschema@._gravity_memory_check_embedding(p_embedding, 'recall_memories()');
        SELECT COALESCE(s.memory_ids, '{}'), COALESCE(s.similarities, '{}') INTO v_similar_ids, v_similarities
        FROM @extschema@._gravity_memory_similar_memories(p_user_id, p_embedding, p_list_length, v_eligible, p_filters) AS s;
        SELECT CASE WHEN count(*) = p_list_length THEN GREATEST(min(u.similarity), 0) ELSE 0 END
        INTO v_base
        FROM unnest(v_similarities) AS u (similarity);
    END IF;

    RETURN QUERY
    WITH semantic AS MATERIALIZED (
        SELECT u.memory_id, u.similarity,
               CASE WHEN max(u.similarity) OVER () > 0
                    THEN GREATEST(u.similarity - v_base, 0) / max(u.similarity) OVER () ELSE 0 END AS scaled
        FROM unnest(v_similar_ids, v_similarities) AS u (memory_id, similarity)
    ), lexical AS MATERIALIZED (
        SELECT c.memory_id, c.bm25, c.term_numbers, c.term_scores
        FROM @extschema@._gravity_memory_lexical_candidates(
                 p_user_id, CASE WHEN p_lexical_weight > 0 THEN p_query END, p_list_length, v_eligible, p_filters) AS c
    ), listed AS MATERIALIZED (
        SELECT COALESCE(s.memory_id, l.memory_id) AS memory_id,
               p_semantic_weight * COALESCE(s.scaled, 0) + p_lexical_weight * COALESCE(l.bm25 / max(l.bm25) OVER (), 0) AS worth
        FROM semantic AS s
        FULL JOIN lexical AS l ON l.memory_id = s.memory_id
    ), lender AS MATERIALIZED (
        SELECT m.id, m.session_id, m.created_at
        FROM (SELECT i.memory_id FROM listed AS i
              WHERE p_neighbour_weight > 0
              ORDER BY i.worth DESC, i.memory_id
              LIMIT (SELECT 2 * p_list_length / 5)) AS u
        -- LIMIT keeps the planner from reading all memories of the user instead of looking these up.
        CROSS JOIN LATERAL (SELECT g.id, g.user_id, g.session_id, g.created_at FROM @extschema@.gravity_map AS g
                            WHERE g.id = u.memory_id LIMIT 1) AS m
        WHERE m.user_id = p_user_id AND m.session_id IS NOT NULL
    ), turn AS MATERIALIZED (
        SELECT i.memory_id AS lender_id, i.memory_id, 0 AS distance
        FROM listed AS i
        UNION ALL
        SELECT l.id, t.id, t.distance
        FROM lender AS l
        CROSS JOIN LATERAL (
            SELECT p.id, row_number() OVER () AS distance
            FROM (SELECT m.id FROM @extschema@.gravity_map AS m
                  WHERE m.user_id = p_user_id AND m.session_id = l.session_id AND (m.created_at, m.id) < (l.created_at, l.id)
                  ORDER BY m.created_at DESC, m.id DESC
                  LIMIT 2) AS p
            UNION ALL
            SELECT n.id, row_number() OVER ()
            FROM (SELECT m.id FROM @extschema@.gravity_map AS m
                  WHERE m.user_id = p_user_id AND m.session_id = l.session_id AND (m.created_at, m.id) > (l.created_at, l.id)
                  ORDER BY m.created_at, m.id
                  LIMIT 2) AS n
        ) AS t
    ), by_term AS (
        SELECT t.memory_id, max(u.term_score * power(p_neighbour_weight, t.distance / 2.0::double precision)) AS term_score
        FROM turn AS t
        JOIN lexical AS l ON l.memory_id = t.lender_id
        CROSS JOIN LATERAL unnest(l.term_numbers, l.term_scores) AS u (term_number, term_score)
        GROUP BY t.memory_id, u.term_number
    ), by_words AS (
        SELECT b.memory_id, sum(b.term_score) AS total, max(sum(b.term_score)) OVER () AS best
        FROM by_term AS b
        GROUP BY b.memory_id
    ), by_meaning AS (
        SELECT t.memory_id, sum(s.scaled * power(p_neighbour_weight, t.distance)) AS total
        FROM turn AS t
        JOIN semantic AS s ON s.memory_id = t.lender_id
        GROUP BY t.memory_id
    ), weighed AS (
        -- Read only when it weighs.
        SELECT d.memory_id, m.created_at, m.gravity_score
        FROM (SELECT DISTINCT t.memory_id FROM turn AS t WHERE p_gravity_weight > 0 OR p_recency_weight > 0) AS d
        CROSS JOIN LATERAL (SELECT g.created_at, g.gravity_score FROM @extschema@.gravity_map AS g
                            WHERE g.id = d.memory_id LIMIT 1) AS m
    ), component AS (
        SELECT c.memory_id AS id,
               p_semantic_weight * COALESCE(s.scaled, 0) AS semantic,
               p_lexical_weight * COALESCE(l.bm25 / w.best, 0) AS lexical,
               p_semantic_weight * COALESCE(g.total, 0) + p_lexical_weight * COALESCE(w.total / w.best, 0) AS with_neighbours,
               p_gravity_weight * CASE WHEN m.gravity_score BETWEEN 0 AND 1 THEN m.gravity_score::double precision ELSE 0 END
                   AS gravity,
               -- Infinite times are legal, and their age is no interval.
               p_recency_weight * CASE WHEN m.created_at >= now() THEN 1
                                       WHEN isfinite(m.created_at)
                                       THEN exp(GREATEST(- date_part('epoch', now() - m.created_at)
                                                         / date_part('epoch', p_half_life), -700))
                                       ELSE 0 END AS recency,
               s.similarity, l.bm25
        FROM (SELECT DISTINCT t.memory_id FROM turn AS t) AS c
        LEFT JOIN weighed AS m ON m.memory_id = c.memory_id
        LEFT JOIN semantic AS s ON s.memory_id = c.memory_id
        LEFT JOIN lexical AS l ON l.memory_id = c.memory_id
        LEFT JOIN by_words AS w ON w.memory_id = c.memory_id
        LEFT JOIN by_meaning AS g ON g.memory_id = c.memory_id
    )
    SELECT c.id, c.with_neighbours + c.gravity + c.recency, c.semantic, c.lexical,
           -- Both halves of the difference are computed differently; what is left of equal values is not a neighbour's doing.
           CASE WHEN c.with_neighbours - c.semantic - c.lexical > 1e-12 THEN c.with_neighbours - c.semantic - c.lexical ELSE 0 END,
           c.gravity, c.recency, c.similarity, c.bm25
    FROM component AS c
    WHERE (c.similarity IS NOT NULL OR c.bm25 IS NOT NULL OR c.with_neighbours > 0)
      AND (p_filters = '{}'
           OR c.id IN (SELECT unnest(@extschema@._gravity_memory_passing(
                           p_user_id, p_filters, ARRAY(SELECT DISTINCT t.memory_id FROM turn AS t), NULL))));
END
$_gravity_memory_ranked_memories$;

COMMENT ON FUNCTION @extschema@._gravity_memory_ranked_memories(
    text, text, vector, integer, jsonb, double precision, double precision, double precision, double precision, double precision,
    interval) IS
    'Every memory that a recall considers, with its score and the components of it.';
