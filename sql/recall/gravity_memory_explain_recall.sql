-- gravity_memory_explain_recall(as recall_memories(), p_memory_id): why a memory is, or is not, in that answer.
--
-- Takes the parameters of recall_memories() in the same order, and the memory. Returns one row:
-- verdict: 'answered'; 'below limit' (ranked, but p_limit others are better); 'not listed' (neither among the best by meaning or by words,
-- nor a neighbour of one that is); 'filtered out'; 'unknown' (no memory of this user has that id, or the caller may not see it).
-- filtered_by: the filters it does not pass. rank: its place among the candidates of this recall, of which there are candidates.
-- The score and its components are those of recall_memories(), NULL unless it was ranked. similarity and bm25 are its own, computed
-- whether or not it was listed (NULL: no embedding, or not asked for; no word in common); explanation says it in a sentence.
-- Errors: those of recall_memories(); 22004 for a NULL p_memory_id.
CREATE FUNCTION @extschema@.gravity_memory_explain_recall(
    p_user_id text, p_query text DEFAULT NULL, p_embedding vector DEFAULT NULL, p_limit integer DEFAULT 10,
    p_since timestamptz DEFAULT NULL, p_until timestamptz DEFAULT NULL, p_emotion_type text DEFAULT NULL,
    p_entities text[] DEFAULT NULL, p_meta_tags text[] DEFAULT NULL, p_thread_id text DEFAULT NULL,
    p_session_id text DEFAULT NULL, p_min_gravity double precision DEFAULT NULL, p_metadata jsonb DEFAULT NULL,
    p_semantic_weight double precision DEFAULT 0.5, p_lexical_weight double precision DEFAULT 0.5,
    p_neighbour_weight double precision DEFAULT 0.5, p_gravity_weight double precision DEFAULT 0,
    p_recency_weight double precision DEFAULT 0, p_half_life interval DEFAULT '30 days', p_memory_id uuid DEFAULT NULL)
RETURNS TABLE (memory_id uuid, verdict text, explanation text, filtered_by text[], rank bigint, candidates bigint,
               score double precision, semantic_score double precision, lexical_score double precision,
               neighbour_score double precision, gravity_component double precision, recency_component double precision,
               similarity double precision, bm25 double precision)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $gravity_memory_explain_recall$
DECLARE
    v_filters CONSTANT jsonb := @extschema@._gravity_memory_checked_recall(
        'gravity_memory_explain_recall()', p_user_id, p_query IS NOT NULL OR p_embedding IS NOT NULL, p_limit, p_since, p_until,
        p_emotion_type, p_entities, p_meta_tags, p_thread_id, p_session_id, p_min_gravity, p_metadata,
        jsonb_build_object('semantic', p_semantic_weight, 'lexical', p_lexical_weight, 'neighbour', p_neighbour_weight,
                           'gravity', p_gravity_weight, 'recency', p_recency_weight), p_half_life);
    v_list_length CONSTANT integer := GREATEST(100, p_limit);
    v_condition record;
    v_passes boolean;
    v_last_score double precision;
    v_last_similarity double precision;
    v_last_bm25 double precision;
BEGIN
    IF p_memory_id IS NULL THEN
        RAISE EXCEPTION 'gravity_memory_explain_recall() needs a memory'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Pass p_memory_id, the id of the memory to explain.';
    END IF;
    memory_id := p_memory_id;
    IF p_embedding IS NOT NULL THEN
        PERFORM @extschema@._gravity_memory_check_embedding(p_embedding, 'gravity_memory_explain_recall()');
    END IF;

    SELECT NULLIF(1 - (m.embedding OPERATOR(vector_schema.<=>) p_embedding), 'NaN')
    INTO similarity
    FROM @extschema@.gravity_map AS m
    WHERE m.id = p_memory_id AND m.user_id = p_user_id;
    IF NOT FOUND THEN
        verdict := 'unknown';
        explanation := 'No memory of this user has this id, or you may not see it.';
        RETURN NEXT;
        RETURN;
    END IF;
    SELECT c.bm25 INTO bm25
    FROM @extschema@._gravity_memory_lexical_candidates(p_user_id, p_query, 1, ARRAY[p_memory_id], '{}') AS c;

    filtered_by := '{}';
    FOR v_condition IN SELECT c.filter, c.condition FROM @extschema@._gravity_memory_recall_conditions(v_filters) AS c LOOP
        EXECUTE format('SELECT (%s) IS TRUE FROM @extschema@.gravity_map AS m WHERE m.id = $1 AND m.user_id = $2',
                       v_condition.condition)
        INTO v_passes USING p_memory_id, p_user_id;
        IF NOT v_passes THEN
            filtered_by := filtered_by || v_condition.filter;
        END IF;
    END LOOP;
    IF filtered_by <> '{}' THEN
        verdict := 'filtered out';
        explanation := format('It does not pass: %s.',
                              (SELECT string_agg('p_' || f, ', ') FROM unnest(filtered_by) AS f));
        RETURN NEXT;
        RETURN;
    END IF;

    WITH ranked AS MATERIALIZED (
        SELECT k.*, row_number() OVER (ORDER BY k.score DESC, k.memory_id) AS rank, count(*) OVER () AS candidates
        FROM @extschema@._gravity_memory_ranked_memories(
                 p_user_id, p_query, p_embedding, v_list_length, v_filters, p_semantic_weight, p_lexical_weight,
                 p_neighbour_weight, p_gravity_weight, p_recency_weight, p_half_life) AS k
    )
    SELECT r.rank, a.candidates, r.score, r.semantic_score, r.lexical_score, r.neighbour_score, r.gravity_component,
           r.recency_component, a.last_score, a.last_similarity, a.last_bm25
    INTO rank, candidates, score, semantic_score, lexical_score, neighbour_score, gravity_component, recency_component,
         v_last_score, v_last_similarity, v_last_bm25
    FROM (SELECT count(*) AS candidates, min(k.score) FILTER (WHERE k.rank <= p_limit) AS last_score,
                 min(k.similarity) AS last_similarity, min(k.bm25) AS last_bm25
          FROM ranked AS k) AS a
    LEFT JOIN ranked AS r ON r.memory_id = p_memory_id;

    IF rank <= p_limit THEN
        verdict := 'answered';
        explanation := format('Ranked %s of %s candidates, within p_limit %s.', rank, candidates, p_limit);
    ELSIF rank IS NOT NULL THEN
        verdict := 'below limit';
        explanation := format('Ranked %s of %s candidates with score %s; the last one answered within p_limit %s has %s.',
                              rank, candidates, round(score::numeric, 4), p_limit,
                              COALESCE(round(v_last_score::numeric, 4)::text, 'none'));
    ELSE
        verdict := 'not listed';
        explanation := format(
            'Not among the %s best by meaning (%s) or by words (%s), and no such memory is within two turns of it in its session.',
            v_list_length,
            CASE WHEN p_embedding IS NULL THEN 'no p_embedding given' WHEN p_semantic_weight = 0 THEN 'p_semantic_weight is 0'
                 WHEN similarity IS NULL THEN 'it has no embedding, or one without direction'
                 ELSE format('similarity %s, the last listed has %s', round(similarity::numeric, 4),
                             COALESCE(round(v_last_similarity::numeric, 4)::text, 'none')) END,
            CASE WHEN p_query IS NULL THEN 'no p_query given' WHEN p_lexical_weight = 0 THEN 'p_lexical_weight is 0'
                 WHEN bm25 IS NULL THEN 'no term in common'
                 ELSE format('BM25 %s, the last listed has %s', round(bm25::numeric, 4),
                             COALESCE(round(v_last_bm25::numeric, 4)::text, 'none')) END);
    END IF;
    RETURN NEXT;
END
$gravity_memory_explain_recall$;

COMMENT ON FUNCTION @extschema@.gravity_memory_explain_recall(
    text, text, vector, integer, timestamptz, timestamptz, text, text[], text[], text, text, double precision, jsonb, double precision,
    double precision, double precision, double precision, double precision, interval, uuid) IS
    'Why a memory is or is not in the answer of recall_memories() with the same parameters.

p_memory_id: the memory, required; all others as recall_memories(). One row. verdict: answered; below limit
(p_limit others are better); not listed (neither among the best by meaning or words, nor near one that is);
filtered out (filtered_by says by what); unknown (no memory of this user, or hidden from the caller). rank among
so many candidates; score and components NULL unless it was ranked; similarity and bm25 are its own, listed or
not.
Errors: those of recall_memories(); 22004 when p_memory_id is NULL.';
