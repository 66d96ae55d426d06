-- _gravity_memory_nearest(p_user_id, p_embedding, p_threshold, p_gravity_weight, p_count): a user's best memories for a vector.
--
-- score = similarity * (1 - p_gravity_weight) + gravity * p_gravity_weight; a NULL, NaN or infinite gravity counts as 0. Returns the p_count
-- best by score among the memories with similarity >= p_threshold, best first, and fewer only when fewer qualify. Memories without
-- embedding, or with a zero vector, have no similarity and are never returned.
--
-- Signatures (the sign of each component, one bit) put the user's memories in approximate order; they are then ranked by their full
-- vectors in that order, until no further one can be expected to enter the answer. Two vectors with the angle a between them
-- differ in about d * a / pi of their d signs, with the spread of a binomial distribution. Whoever enters has at least a known
-- similarity: that of the last row of the answer so far (with gravity: what the highest gravity leaves to be reached), or the
-- threshold. So everything up to the distance of that similarity plus recall_margin standard deviations is ranked; the mean is corrected
-- by what the twenty most similar rows so far show, because components of real embeddings are not independent. (Not by the most similar of
-- each slice: those of a slice far away have distances above the mean because they lie in it, and one would never stop.) When
-- the first candidates are not enough, the others are fetched by distance. That goes on by itself for larger
-- users, longer answers and embeddings whose signs say little; where they say nothing every memory is compared, as it is with
-- fewer than 64 dimensions, for a user with few memories, and while the signatures may not be read. At least ten rows are
-- made sure of.
-- Candidates are looked up one by one: with hash and merge joins the planner would read the whole table for a few hundred of them.
-- The vector indexes are of no use here: with a condition on the user they return too few rows, or wrong ones, silently.
CREATE FUNCTION @extschema@._gravity_memory_nearest(
    p_user_id text, p_embedding vector, p_threshold double precision, p_gravity_weight double precision, p_count integer)
RETURNS TABLE (memory_id uuid, similarity double precision, score double precision)
LANGUAGE plpgsql
STABLE
ROWS 10
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET max_parallel_workers_per_gather = 0
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $_gravity_memory_nearest$
DECLARE
    v_settings CONSTANT jsonb := @extschema@._gravity_memory_effective_settings();
    v_margin CONSTANT double precision := (v_settings ->> 'recall_margin')::double precision;
    v_kept CONSTANT bigint := GREATEST(p_count, 10);
    v_dimensions CONSTANT double precision := vector_schema.vector_dims(p_embedding);
    v_few CONSTANT integer := 500000 / v_dimensions;
    v_are_few boolean;
    v_highest_gravity double precision := 0;
    v_limit bigint;
    v_candidates uuid[];
    v_distances integer[];
    v_done integer := 0;
    v_goal bigint;
    v_ids uuid[] := '{}'::uuid[];
    v_similarities double precision[] := '{}'::double precision[];
    v_scores double precision[] := '{}'::double precision[];
    v_near_similarities double precision[] := '{}'::double precision[];
    v_near_distances integer[] := '{}'::integer[];
    v_reach double precision;
    v_offset double precision;
    v_needed double precision;
    v_share double precision;
    v_last_distance double precision;
    v_is_settled boolean := false;
BEGIN
    IF p_count <= 0 THEN
        RETURN;
    END IF;
    IF p_gravity_weight > 0 THEN
        SELECT m.gravity_score INTO v_highest_gravity
        FROM @extschema@.gravity_map AS m
        WHERE m.user_id = p_user_id AND m.gravity_score < 'Infinity' ORDER BY m.gravity_score DESC LIMIT 1;
        v_highest_gravity := GREATEST(v_highest_gravity, 0);
    END IF;

    -- So few memories that to compare them all, as they lie in the table, costs less than to look up a part of them.
    v_are_few := (SELECT count(*) FROM (SELECT FROM @extschema@.gravity_map AS m WHERE m.user_id = p_user_id
                                        LIMIT v_few + 1) AS f) <= v_few;

    v_goal := 10 * (v_settings ->> 'recall_oversampling')::bigint + 4 * (v_kept - 10);
    v_limit := GREATEST(320, 2 * v_goal);

    <<candidates>>
    WHILE NOT v_are_few AND v_dimensions >= 64 AND v_limit <= 200001 LOOP
        SELECT n.memory_ids, n.distances INTO v_candidates, v_distances
        FROM @extschema@._gravity_memory_nearest_signatures(
            p_user_id, vector_schema.binary_quantize(p_embedding), v_limit::integer, v_reach::integer) AS n;
        EXIT WHEN v_candidates IS NULL OR cardinality(v_candidates) > 200000;
        -- Up to which distance the candidates are all that there are.
        v_reach := CASE WHEN v_reach >= v_dimensions OR (v_reach IS NULL AND cardinality(v_candidates) < v_limit) THEN 'Infinity'
                        WHEN v_reach IS NULL THEN v_distances[cardinality(v_distances)] - 1
                        ELSE v_reach END;
        WHILE v_done < cardinality(v_candidates) LOOP
            v_goal := LEAST(v_goal, cardinality(v_candidates));
            WITH slice AS MATERIALIZED (
                SELECT r.id, r.similarity, r.distance,
                       r.similarity * (1 - p_gravity_weight)
                       + CASE WHEN abs(r.gravity) < 'Infinity' THEN r.gravity ELSE 0 END * p_gravity_weight AS score
                FROM (
                    -- OFFSET 0 keeps the distance from being computed once for the filter and again for the result.
                    SELECT m.id, 1 - (m.embedding OPERATOR(vector_schema.<=>) p_embedding) AS similarity, c.distance,
                           m.gravity_score::double precision AS gravity
                    FROM unnest(v_candidates[v_done + 1 : v_goal], v_distances[v_done + 1 : v_goal]) AS c (id, distance)
                    -- LIMIT keeps the planner from reading all memories of the user, of whom it does not know that they are many.
                    CROSS JOIN LATERAL (SELECT g.id, g.user_id, g.embedding, g.gravity_score FROM @extschema@.gravity_map AS g
                                        WHERE g.id = c.id LIMIT 1) AS m
                    WHERE m.user_id = p_user_id
                    OFFSET 0
                ) AS r
                WHERE r.similarity < 'NaN'
            ), nearest AS MATERIALIZED (
                SELECT u.similarity, u.distance FROM unnest(v_near_similarities, v_near_distances) AS u (similarity, distance)
                UNION ALL
                SELECT s.similarity, s.distance FROM slice AS s
                ORDER BY similarity DESC
                LIMIT 20
            )
            SELECT array_agg(b.id ORDER BY b.score DESC, b.id), array_agg(b.similarity ORDER BY b.score DESC, b.id),
                   array_agg(b.score ORDER BY b.score DESC, b.id),
                   (SELECT array_agg(o.similarity) FROM nearest AS o), (SELECT array_agg(o.distance) FROM nearest AS o),
                   (SELECT avg(o.distance - v_dimensions * acos(LEAST(o.similarity, 1)) / pi()) FROM nearest AS o)
            INTO v_ids, v_similarities, v_scores, v_near_similarities, v_near_distances, v_offset
            FROM (SELECT u.id, u.similarity, u.score FROM unnest(v_ids, v_similarities, v_scores) AS u (id, similarity, score)
                  UNION ALL
                  SELECT s.id, s.similarity, s.score FROM slice AS s WHERE s.similarity >= p_threshold
                  ORDER BY score DESC, id
                  LIMIT v_kept) AS b;
            v_done := v_goal;

            -- The similarity that a row not ranked yet must have, and how far away its signature may then be.
            v_needed := GREATEST(p_threshold, -1, CASE WHEN p_gravity_weight < 1 THEN
                (v_scores[v_kept] - p_gravity_weight * v_highest_gravity) / (1 - p_gravity_weight) END);
            v_share := LEAST(GREATEST(acos(LEAST(v_needed, 1)) / pi() + COALESCE(v_offset, 0) / v_dimensions, 0.01), 0.99);
            v_last_distance := v_dimensions * v_share + v_margin * sqrt(v_dimensions * v_share * (1 - v_share));
            v_is_settled := CASE WHEN v_done < cardinality(v_candidates) THEN v_needed > -1 AND v_distances[v_done] > v_last_distance
                                 ELSE v_reach >= LEAST(v_last_distance, v_dimensions) END;
            EXIT candidates WHEN v_is_settled;
            -- Up to the last candidate within that distance, but with a new estimate when four times as many have been ranked.
            SELECT LEAST(GREATEST(count(*) FILTER (WHERE d.distance <= v_last_distance) + 1, v_done + 1), 4 * v_done) INTO v_goal
            FROM unnest(v_distances) AS d (distance);
        END LOOP;
        -- No candidate at all, or all are ranked and it takes more: those up to the distance known by now, and a little to spare.
        v_is_settled := v_candidates = '{}';
        EXIT WHEN v_is_settled;
        v_reach := ceil(LEAST(v_last_distance + sqrt(v_dimensions) / 4, v_dimensions));
        v_limit := 200001;
    END LOOP;

    IF v_is_settled THEN
        RETURN QUERY
        SELECT u.id, u.similarity, u.score
        FROM unnest(v_ids, v_similarities, v_scores) WITH ORDINALITY AS u (id, similarity, score, rank)
        ORDER BY u.rank
        LIMIT p_count;
        RETURN;
    END IF;

    -- Sorted by an expression that no vector index has, and OFFSET 0 as above.
    RETURN QUERY
    SELECT r.id, r.similarity,
           r.similarity * (1 - p_gravity_weight)
           + CASE WHEN abs(r.gravity) < 'Infinity' THEN r.gravity ELSE 0 END * p_gravity_weight AS score
    FROM (
        SELECT m.id, 1 - (m.embedding OPERATOR(vector_schema.<=>) p_embedding) AS similarity,
               m.gravity_score::double precision AS gravity
        FROM @extschema@.gravity_map AS m
        WHERE m.user_id = p_user_id AND m.embedding IS NOT NULL
          AND vector_schema.vector_dims(m.embedding) = vector_schema.vector_dims(p_embedding)
        OFFSET 0
    ) AS r
    WHERE r.similarity >= p_threshold AND r.similarity < 'NaN'
    ORDER BY 3 DESC, 1
    LIMIT p_count;
END
$_gravity_memory_nearest$;

COMMENT ON FUNCTION @extschema@._gravity_memory_nearest(text, vector, double precision, double precision, integer) IS
    'A user''s best memories for a vector, by cosine similarity and gravity, as exact as a comparison with all of them.';
