-- _gravity_memory_similar_memories(p_user_id, p_embedding, p_count, p_eligible, p_filters): the p_count memories most similar to a vector.
--
-- Among p_eligible, when that is given, otherwise among those that pass p_filters ({}: all). Four times p_count are taken by signature and
-- ranked by full vector: the end of a list of a hundred decides nothing, so it need not be as exact as
-- _gravity_memory_nearest() makes it, at several times the cost. With filters, so many signatures are looked at that enough of
-- them pass. A few hundred eligible memories are compared without signatures, and so are all where signatures may not be read, or
-- say too little.
-- Returns the memories by similarity, best first.
CREATE FUNCTION @extschema@._gravity_memory_similar_memories(
    p_user_id text, p_embedding vector, p_count integer, p_eligible uuid[], p_filters jsonb,
    OUT memory_ids uuid[], OUT similarities double precision[])
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_mergejoin = off
SET max_parallel_workers_per_gather = 0
SET jit = off
AS $_gravity_memory_similar_memories$
DECLARE
    v_compared uuid[];
    v_asked integer := CASE WHEN p_filters = '{}' THEN 4 ELSE 16 END * p_count;
    v_found integer;
    v_distances integer[];
BEGIN
    IF cardinality(p_eligible) <= 5 * p_count THEN
        v_compared := p_eligible;
    ELSIF vector_schema.vector_dims(p_embedding) >= 64 THEN
        LOOP
            SELECT n.memory_ids, n.distances, cardinality(n.memory_ids) INTO v_compared, v_distances, v_found
            FROM @extschema@._gravity_memory_nearest_signatures(p_user_id, vector_schema.binary_quantize(p_embedding), v_asked) AS n;
            -- Signatures that are mostly alike, as those of embeddings without negative components, do not say who is nearer.
            IF v_distances[v_found / 4 + 1] = v_distances[v_found] AND v_found = v_asked THEN
                v_compared := NULL;
            END IF;
            EXIT WHEN p_filters = '{}' OR v_compared IS NULL;
            v_compared := @extschema@._gravity_memory_passing(p_user_id, p_filters, v_compared, 4 * p_count);
            EXIT WHEN cardinality(v_compared) = 4 * p_count OR v_found < v_asked;
            v_asked := LEAST(v_asked * 8::bigint, 2147483647 / 10);
        END LOOP;
    END IF;

    IF v_compared IS NULL AND p_filters = '{}' THEN
        SELECT array_agg(c.memory_id), array_agg(c.similarity) INTO memory_ids, similarities
        FROM @extschema@._gravity_memory_nearest(p_user_id, p_embedding, -1, 0, p_count) AS c;
        RETURN;
    END IF;
    v_compared := COALESCE(v_compared, p_eligible, @extschema@._gravity_memory_passing(p_user_id, p_filters, NULL, NULL));
    SELECT array_agg(c.id), array_agg(c.similarity) INTO memory_ids, similarities
    FROM (
        SELECT r.id, r.similarity
        FROM (
            SELECT m.id, 1 - (m.embedding OPERATOR(vector_schema.<=>) p_embedding) AS similarity
            FROM unnest(v_compared) AS e (id)
            -- LIMIT keeps the planner from reading all memories of the user, of whom it does not know that they are many.
            CROSS JOIN LATERAL (SELECT g.id, g.user_id, g.embedding FROM @extschema@.gravity_map AS g WHERE g.id = e.id LIMIT 1) AS m
            WHERE m.user_id = p_user_id AND m.embedding IS NOT NULL
              AND vector_schema.vector_dims(m.embedding) = vector_schema.vector_dims(p_embedding)
            OFFSET 0
        ) AS r
        WHERE r.similarity < 'NaN'
        ORDER BY r.similarity DESC, r.id
        LIMIT p_count
    ) AS c;
    -- Memories without direction, or that nobody can see any more, stood among the signatures in the place of others.
    IF p_filters = '{}' AND cardinality(v_compared) = 4 * p_count AND COALESCE(cardinality(memory_ids), 0) < p_count THEN
        SELECT array_agg(c.memory_id), array_agg(c.similarity) INTO memory_ids, similarities
        FROM @extschema@._gravity_memory_nearest(p_user_id, p_embedding, -1, 0, p_count) AS c;
    END IF;
END
$_gravity_memory_similar_memories$;

COMMENT ON FUNCTION @extschema@._gravity_memory_similar_memories(text, vector, integer, uuid[], jsonb) IS
    'The memories of a user most similar to a vector among those that pass the filters of a recall.';
