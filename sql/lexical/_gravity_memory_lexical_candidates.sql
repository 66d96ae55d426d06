-- _gravity_memory_lexical_candidates(p_user_id, p_query, p_count, p_eligible, p_filters): the p_count best memories of a user by BM25.
--
-- Among p_eligible, when that is given, otherwise among those that pass p_filters ({}: all): four times as many are looked at first, and
-- only when too few of them pass, all memories that do are listed. The statistics are those of all memories either way.
-- The score is defined at _gravity_memory_matching_postings(), which answers from the derived tables. Where they may not be read, the
-- terms of all memories of the user are derived here and now: slower, and complete.
-- Returns the memory, its BM25 score, and the terms behind it: their numbers and their shares of the score.
CREATE FUNCTION @extschema@._gravity_memory_lexical_candidates(
    p_user_id text, p_query text, p_count integer, p_eligible uuid[], p_filters jsonb)
RETURNS TABLE (memory_id uuid, bm25 double precision, term_numbers integer[], term_scores double precision[])
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET max_parallel_workers_per_gather = 0
SET jit = off
AS $_gravity_memory_lexical_candidates$
DECLARE
    v_found record;
    v_found_ids uuid[];
    v_passing uuid[] := p_eligible;
    v_config regconfig;
BEGIN
    IF p_count <= 0 THEN
        RETURN;
    END IF;
    IF p_eligible IS NULL AND p_filters <> '{}' THEN
        v_found := @extschema@._gravity_memory_matching_postings(p_user_id, p_query, 4 * p_count, NULL);
        v_found_ids := ARRAY(SELECT DISTINCT f.id FROM unnest(v_found.memory_ids) AS f (id));
        v_passing := @extschema@._gravity_memory_passing(p_user_id, p_filters, v_found_ids, NULL);
        IF NOT v_found.is_reliable
           OR (cardinality(v_passing) < p_count AND cardinality(v_found_ids) >= 4 * p_count) THEN
            v_passing := @extschema@._gravity_memory_passing(p_user_id, p_filters, NULL, NULL);
            v_found := @extschema@._gravity_memory_matching_postings(p_user_id, p_query, p_count, v_passing);
        END IF;
    ELSE
        v_found := @extschema@._gravity_memory_matching_postings(p_user_id, p_query, p_count, p_eligible);
    END IF;
    -- Terms are found by hash. Who writes content or a query can choose a word whose key is that of a word of another user: then, and
    -- hardly ever by chance, a memory of that one is among those found, perhaps in the place of others. From a caller whom row security
    -- binds it would be hidden here: _gravity_memory_matching_postings() has looked for it.
    IF v_found.is_reliable
       AND NOT EXISTS (SELECT FROM (SELECT DISTINCT u.id FROM unnest(v_found.memory_ids) AS u (id)) AS f
                       CROSS JOIN LATERAL (SELECT m.user_id FROM @extschema@.gravity_map AS m WHERE m.id = f.id LIMIT 1) AS o
                       WHERE o.user_id <> p_user_id) THEN
        RETURN QUERY
        SELECT u.memory_id, sum(u.term_score), array_agg(u.term_number ORDER BY u.term_number),
               array_agg(u.term_score ORDER BY u.term_number)
        FROM unnest(v_found.memory_ids, v_found.term_numbers, v_found.term_scores) AS u (memory_id, term_number, term_score)
        WHERE v_passing IS NULL OR u.memory_id IN (SELECT unnest(v_passing))
        GROUP BY u.memory_id
        ORDER BY 2 DESC, 1
        LIMIT p_count;
        RETURN;
    END IF;

    v_config := @extschema@._gravity_memory_text_search_config();
    RETURN QUERY
    WITH document AS MATERIALIZED (
        SELECT m.id, d.length, d.term_keys, d.frequencies
        FROM @extschema@.gravity_map AS m
        CROSS JOIN LATERAL @extschema@._gravity_memory_document_terms(v_config, m.user_id, m.content, m.created_at) AS d
        WHERE m.user_id = p_user_id
    ), statistic AS (
        SELECT count(*) AS total, GREATEST(avg(d.length)::double precision, 1) AS average FROM document AS d
    ), posting AS MATERIALIZED (
        SELECT d.id, LEAST(d.length, 32767) AS length, k.term_key, k.frequency
        FROM document AS d
        CROSS JOIN LATERAL unnest(d.term_keys, d.frequencies) AS k (term_key, frequency)
        JOIN @extschema@._gravity_memory_query_terms(p_user_id, p_query) AS t ON t.term_key = k.term_key
    ), term AS (
        SELECT c.term_key, row_number() OVER (ORDER BY c.memories, c.term_key)::integer AS term_number,
               ln(1 + (s.total - c.memories + 0.5) / (c.memories + 0.5))::double precision AS idf, s.average
        FROM (SELECT p.term_key, count(*) AS memories FROM posting AS p GROUP BY p.term_key) AS c
        CROSS JOIN statistic AS s
        ORDER BY c.memories, c.term_key
        LIMIT 32
    )
    SELECT s.id, sum(s.term_score), array_agg(s.term_number ORDER BY s.term_number),
           array_agg(s.term_score ORDER BY s.term_number)
    FROM (
        SELECT p.id, t.term_number,
               t.idf * 2.2::double precision * p.frequency
               / (p.frequency + 1.2::double precision * (0.7::double precision
                                                         + 0.3::double precision * p.length / t.average)) AS term_score
        FROM posting AS p
        JOIN term AS t ON t.term_key = p.term_key
    ) AS s
    WHERE v_passing IS NULL OR s.id IN (SELECT unnest(v_passing))
    GROUP BY s.id
    ORDER BY 2 DESC, 1
    LIMIT p_count;
END
$_gravity_memory_lexical_candidates$;

COMMENT ON FUNCTION @extschema@._gravity_memory_lexical_candidates(text, text, integer, uuid[], jsonb) IS
    'The memories of a user that match a query best by BM25, complete also while derived rows are missing.';
