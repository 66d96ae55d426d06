-- _gravity_memory_matching_postings(p_user_id, p_query, p_count, p_eligible): the p_count best memories by BM25.
--
-- BM25 over the user's own memories, k1 = 1.2, b = 0.3: the sum over the query's terms of idf * f * (k1 + 1) / (f + k1 * (1 - b + b *
-- length / average length)), idf = ln(1 + (N - df + 0.5) / (df + 0.5)). N, df and the average are counted at query time:
-- counters would make every writer of a user wait for the others. A term that occurs in none of the user's memories says
-- nothing; of a long query the 32 rarest terms count.
-- Rare terms first: the postings of the rarest terms, up to 20,000 of them and of three terms at least, name the candidates; common terms
-- only re-score the best of these, because walking their postings costs most and tells least. Up to three terms, and up to
-- 20,000 postings, the answer is exact.
-- p_eligible restricts the answer (NULL: no restriction), not the statistics.
-- Returns three arrays of equal length, one entry per memory and term: the memory, the number of the term, and its share of the
-- score. is_reliable is false, and the arrays are NULL, when the caller has to look at the memories themselves: see
-- _gravity_memory_may_read_derived().
-- SECURITY DEFINER, because the derived tables are readable by their owner only.
CREATE FUNCTION @extschema@._gravity_memory_matching_postings(
    p_user_id text, p_query text, p_count integer, p_eligible uuid[],
    OUT is_reliable boolean, OUT memory_ids uuid[], OUT term_numbers integer[], OUT term_scores double precision[])
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_mergejoin = off
SET max_parallel_workers_per_gather = 0
SET jit = off
AS $_gravity_memory_matching_postings$
DECLARE
    v_postings_limit CONSTANT bigint := 20000;
    v_keys bigint[];
    v_counts bigint[];
    v_weights double precision[];
    v_total bigint;
    v_slope double precision;
    v_leading integer := 0;
    v_walked bigint := 0;
    v_candidates uuid[];
    v_wanted integer;
BEGIN
    is_reliable := false;
    IF NOT @extschema@._gravity_memory_may_read_derived(p_user_id, 'content') THEN
        RETURN;
    END IF;

    SELECT array_agg(r.term_key ORDER BY r.memories, r.term_key), array_agg(r.memories ORDER BY r.memories, r.term_key)
    INTO v_keys, v_counts
    FROM (
        SELECT t.term_key, c.memories
        FROM @extschema@._gravity_memory_query_terms(p_user_id, p_query) AS t
        CROSS JOIN LATERAL (
            SELECT count(*) AS memories FROM @extschema@.memory_postings AS p WHERE p.term_key = t.term_key
        ) AS c
        WHERE c.memories > 0
        ORDER BY c.memories, t.term_key
        LIMIT 32
    ) AS r;
    IF v_keys IS NULL THEN
        is_reliable := true;
        RETURN;
    END IF;

    -- A hash may be chosen that is that of another user's word. Whoever may read every memory is told by the caller, who looks whose the found
    -- ones are; row security would hide them from the one for whose sake it matters. Set operations never become nested loops.
    IF p_user_id = @extschema@.gravity_memory_current_user_id()
       AND EXISTS (SELECT p.memory_id FROM @extschema@.memory_postings AS p WHERE p.term_key = ANY (v_keys)
                   EXCEPT
                   SELECT d.memory_id FROM @extschema@.memory_digests AS d WHERE d.user_id = p_user_id) THEN
        RETURN;
    END IF;

    -- k1 * (1 - b + b * length / average) = 0.84 + slope * length.
    SELECT count(*), 0.36 / GREATEST(avg(d.length), 1)
    INTO v_total, v_slope
    FROM @extschema@.memory_digests AS d
    WHERE d.user_id = p_user_id;
    -- GREATEST: while another session writes, a posting may be counted whose document was not.
    v_weights := ARRAY(SELECT 2.2 * ln(1 + (GREATEST(v_total - c.memories, 0) + 0.5) / (c.memories + 0.5))
                    FROM unnest(v_counts) WITH ORDINALITY AS c (memories, number) ORDER BY c.number);

    LOOP
        v_leading := v_leading + 1;
        v_walked := v_walked + v_counts[v_leading];
        CONTINUE WHEN v_leading < cardinality(v_keys)
                      AND (v_leading < 3 OR v_walked + v_counts[v_leading + 1] <= v_postings_limit);

        v_wanted := CASE WHEN v_leading = cardinality(v_keys) THEN p_count ELSE GREATEST(500, 2 * p_count) END;
        IF p_eligible IS NULL THEN
            v_candidates := ARRAY(
                SELECT p.memory_id
                FROM unnest(v_keys[:v_leading], v_weights[:v_leading]) AS t (term_key, weight)
                JOIN @extschema@.memory_postings AS p ON p.term_key = t.term_key
                GROUP BY p.memory_id
                ORDER BY sum(t.weight * p.frequency / (p.frequency + 0.84::double precision + v_slope * p.length)) DESC,
                         p.memory_id
                LIMIT v_wanted);
        ELSE
            v_candidates := ARRAY(
                SELECT p.memory_id
                FROM unnest(v_keys[:v_leading], v_weights[:v_leading]) AS t (term_key, weight)
                JOIN @extschema@.memory_postings AS p ON p.term_key = t.term_key
                -- IS TRUE makes it a hash table; the planner takes arrays for short and would join by nested loops.
                WHERE (p.memory_id IN (SELECT unnest(p_eligible))) IS TRUE
                GROUP BY p.memory_id
                ORDER BY sum(t.weight * p.frequency / (p.frequency + 0.84::double precision + v_slope * p.length)) DESC,
                         p.memory_id
                LIMIT v_wanted);
        END IF;
        -- Too few of the rare terms' memories may be answered: the common terms have to name candidates too.
        EXIT WHEN v_leading = cardinality(v_keys) OR cardinality(v_candidates) >= p_count;
    END LOOP;

    SELECT array_agg(r.memory_id), array_agg(r.term_number), array_agg(r.term_score)
    INTO memory_ids, term_numbers, term_scores
    FROM (
        SELECT s.memory_id, s.term_number, s.term_score
        FROM (
            SELECT c.memory_id, t.term_number::integer AS term_number, b.term_score,
                   sum(b.term_score) OVER (PARTITION BY c.memory_id) AS score
            FROM unnest(v_candidates) AS c (memory_id)
            CROSS JOIN unnest(v_keys, v_weights) WITH ORDINALITY AS t (term_key, weight, term_number)
            CROSS JOIN LATERAL (
                -- LIMIT keeps the planner from reading all postings of a term instead of looking this one up.
                SELECT t.weight * q.frequency / (q.frequency + 0.84::double precision + v_slope * q.length) AS term_score
                FROM @extschema@.memory_postings AS q
                WHERE q.term_key = t.term_key AND q.memory_id = c.memory_id
                LIMIT 1
            ) AS b
        ) AS s
        ORDER BY s.score DESC, s.memory_id
        LIMIT p_count * cardinality(v_keys)::bigint
    ) AS r;
    is_reliable := true;
END
$_gravity_memory_matching_postings$;

COMMENT ON FUNCTION @extschema@._gravity_memory_matching_postings(text, text, integer, uuid[]) IS
    'The memories of a user that match a query best by BM25, with each term''s share of the score.';
