-- recall_memories(p_user_id, p_query, p_embedding, p_limit, filters, weights): the user's memories that answer a question best.
--
-- p_query is the question in words, p_embedding its embedding; either may be NULL. p_limit 0..1000.
-- Filters (NULL: not used): p_since <= created_at < p_until; p_emotion_type, p_thread_id, p_session_id equal; p_entities, p_meta_tags
-- and p_metadata contained; gravity_score >= p_min_gravity. A filtered recall ranks the memories that pass as it would rank
-- them were they the only ones to answer: a selective filter costs no results.
-- Weights 0..1: p_semantic_weight and p_lexical_weight of the two lists, p_neighbour_weight what a turn lends to the next one,
-- p_gravity_weight of gravity_score, p_recency_weight of exp(-age / p_half_life), so that recency is .37 at that age. How
-- the score is made: _gravity_memory_ranked_memories(). The defaults were chosen by cross-validation (bench/locomo.py).
-- Returns, best first, the memory with score = semantic_score + lexical_score + neighbour_score + gravity_component + recency_component, and
-- the raw cosine similarity and BM25 score (NULL when it was not among the best by that measure). Fewer rows than p_limit when fewer
-- memories match: a query of stop words alone, or an unknown user, gets an empty answer. Memories without embedding are
-- found by words and neighbours, those without content by meaning, neighbours and date.
-- Errors: 22004 for a NULL user, limit or weight and when p_query and p_embedding are both NULL; 22023 for a limit, weight, half-life or
-- minimum gravity out of range, and for an embedding of another dimension than the memories' or without direction (zero
-- vector). Of p_query the first 8,192 characters and the 32 rarest terms count.
CREATE FUNCTION @extschema@.recall_memories(
    p_user_id text, p_query text DEFAULT NULL, p_embedding vector DEFAULT NULL, p_limit integer DEFAULT 10,
    p_since timestamptz DEFAULT NULL, p_until timestamptz DEFAULT NULL, p_emotion_type text DEFAULT NULL,
    p_entities text[] DEFAULT NULL, p_meta_tags text[] DEFAULT NULL, p_thread_id text DEFAULT NULL,
    p_session_id text DEFAULT NULL, p_min_gravity double precision DEFAULT NULL, p_metadata jsonb DEFAULT NULL,
    p_semantic_weight double precision DEFAULT 0.5, p_lexical_weight double precision DEFAULT 0.5,
    p_neighbour_weight double precision DEFAULT 0.5, p_gravity_weight double precision DEFAULT 0,
    p_recency_weight double precision DEFAULT 0, p_half_life interval DEFAULT '30 days')
RETURNS TABLE (id uuid, content text, created_at timestamptz, gravity_score double precision, emotion_type text, session_id text,
               thread_id text, score double precision, semantic_score double precision, lexical_score double precision,
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
AS $recall_memories$
DECLARE
    v_filters CONSTANT jsonb := @extschema@._gravity_memory_checked_recall(
        'recall_memories()', p_user_id, p_query IS NOT NULL OR p_embedding IS NOT NULL, p_limit, p_since, p_until, p_emotion_type,
        p_entities, p_meta_tags, p_thread_id, p_session_id, p_min_gravity, p_metadata,
        jsonb_build_object('semantic', p_semantic_weight, 'lexical', p_lexical_weight, 'neighbour', p_neighbour_weight,
                           'gravity', p_gravity_weight, 'recency', p_recency_weight), p_half_life);
BEGIN
    RETURN QUERY
    SELECT m.id, m.content::text, m.created_at, m.gravity_score::double precision, m.emotion_type::text, m.session_id::text,
           m.thread_id::text, r.score, r.semantic_score, r.lexical_score, r.neighbour_score, r.gravity_component,
           r.recency_component, r.similarity, r.bm25
    FROM (
        SELECT k.*
        FROM @extschema@._gravity_memory_ranked_memories(
                 p_user_id, p_query, p_embedding, GREATEST(100, p_limit), v_filters, p_semantic_weight, p_lexical_weight,
                 p_neighbour_weight, p_gravity_weight, p_recency_weight, p_half_life) AS k
        ORDER BY k.score DESC, k.memory_id
        LIMIT p_limit
    ) AS r
    CROSS JOIN LATERAL (SELECT g.id, g.user_id, g.content, g.created_at, g.gravity_score, g.emotion_type, g.session_id, g.thread_id
                        FROM @extschema@.gravity_map AS g WHERE g.id = r.memory_id LIMIT 1) AS m
    -- Terms are found by hash: who writes the query can choose a word whose key is that of a word of another user.
    WHERE m.user_id = p_user_id
    ORDER BY r.score DESC, r.memory_id;
END
$recall_memories$;

COMMENT ON FUNCTION @extschema@.recall_memories(
    text, text, vector, integer, timestamptz, timestamptz, text, text[], text[], text, text, double precision, jsonb, double precision,
    double precision, double precision, double precision, double precision, interval) IS
    'The memories of a user that answer a question best, by meaning, words and the turns around them, with every component of the score.

p_query: the question in words; its first 8,192 characters and 32 rarest terms count. p_embedding: its
embedding. One of the two is required. p_limit: 0 to 1000 memories.
Filters, NULL for none: p_since <= created_at < p_until; p_emotion_type, p_thread_id, p_session_id equal; all of
p_entities and p_meta_tags; p_metadata contained; p_min_gravity, 0 to 1, at least.
Weights, 0 to 1, of which only the proportions matter: p_semantic_weight of similarity, p_lexical_weight of
words, p_neighbour_weight what a turn lends to the next one of its session, p_gravity_weight of gravity_score,
p_recency_weight of exp(-age / p_half_life).
Best first; score is the sum of semantic_score, lexical_score, neighbour_score, gravity_component and
recency_component; similarity (cosine) and bm25 are NULL where the memory was not among the best by that
measure. Fewer rows than p_limit only when fewer memories have to do with the question.
Errors: 22004 for a NULL user, limit or weight, and when there is neither query nor embedding; 22023 for a value
out of range, and an embedding of another dimension or without direction.';
