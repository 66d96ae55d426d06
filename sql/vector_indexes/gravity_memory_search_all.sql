-- gravity_memory_search_all(query_embedding, match_threshold, match_count): memories of all users most similar to a vector.
--
-- Returns id, user_id, content, gravity_score, emotion_type, created_at and similarity (cosine, -1..1), most similar first: of the match_count
-- (10) nearest memories that the caller may see, those with similarity >= match_threshold (0.7). Uses the index on embedding
-- and sets how much of it to search (ivfflat.probes by the index's lists, hnsw.ef_search by match_count), so the answer is
-- approximate: the bar is a recall@10 of .95. Where the index gives fewer rows than asked for, all memories are compared; so are all that a
-- caller under row security may see, because an index finds the nearest of all and, of those, the few that pass a policy
-- are not the nearest of the ones that do. For the memories of one user, match_memories() is exact and quicker. Zero vectors are not
-- found. Errors: as match_memories().
CREATE FUNCTION @extschema@.gravity_memory_search_all(
    query_embedding vector, match_threshold double precision DEFAULT 0.7, match_count integer DEFAULT 10)
RETURNS TABLE (id uuid, user_id text, content text, gravity_score double precision, emotion_type text, created_at timestamptz,
               similarity double precision)
LANGUAGE plpgsql
STABLE
ROWS 10
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_custom_plan
SET jit = off
-- These are given values below; naming them here restores the caller's when the function ends.
SET ivfflat.probes = 1
SET hnsw.ef_search = 40
AS $gravity_memory_search_all$
#variable_conflict use_column
DECLARE
    v_settings CONSTANT jsonb := @extschema@._gravity_memory_effective_settings();
    v_lists integer;
    v_probes integer := (v_settings ->> 'embedding_probes')::integer;
    v_ids uuid[];
BEGIN
    PERFORM @extschema@._gravity_memory_check_search('gravity_memory_search_all()', '', match_threshold, match_count);
    PERFORM @extschema@._gravity_memory_check_embedding(query_embedding, 'gravity_memory_search_all()');
    IF match_count = 0 THEN
        RETURN;
    END IF;

    IF NOT row_security_active('@extschema@.gravity_map') THEN
        SELECT max(COALESCE((SELECT o.option_value::integer FROM pg_options_to_table(c.reloptions) AS o WHERE o.option_name = 'lists'), 100))
        INTO v_lists
        FROM pg_index AS i
        JOIN pg_class AS c ON c.oid = i.indexrelid
        JOIN pg_am AS am ON am.oid = c.relam
        WHERE i.indrelid = '@extschema@.gravity_map'::regclass AND i.indisvalid AND am.amname = 'ivfflat';
        IF v_probes = 0 THEN
            v_probes := LEAST(32768, GREATEST(5, ceil(1.5 * sqrt(COALESCE(v_lists, 100)))))::integer;
        END IF;
        PERFORM set_config('ivfflat.probes', v_probes::text, true);
        PERFORM set_config('hnsw.ef_search', LEAST(1000, GREATEST(100, 2 * match_count::bigint))::text, true);
        v_ids := ARRAY(
            SELECT m.id FROM @extschema@.gravity_map AS m
            WHERE m.embedding IS NOT NULL
            ORDER BY m.embedding OPERATOR(vector_schema.<=>) query_embedding
            LIMIT match_count);
    END IF;
    IF v_ids IS NULL OR cardinality(v_ids) < match_count THEN
        -- By an expression that no index has. Zero vectors come last.
        v_ids := ARRAY(
            SELECT m.id FROM @extschema@.gravity_map AS m
            WHERE m.embedding IS NOT NULL
            ORDER BY (m.embedding OPERATOR(vector_schema.<=>) query_embedding) + 0
            LIMIT match_count);
    END IF;

    RETURN QUERY
    SELECT r.id, r.user_id, r.content, r.gravity_score, r.emotion_type, r.created_at, r.similarity
    FROM (SELECT m.id, m.user_id::text AS user_id, m.content::text AS content, m.gravity_score::double precision AS gravity_score,
                 m.emotion_type::text AS emotion_type, m.created_at,
                 1 - (m.embedding OPERATOR(vector_schema.<=>) query_embedding) AS similarity
          FROM unnest(v_ids) AS f (id)
          JOIN @extschema@.gravity_map AS m ON m.id = f.id) AS r
    WHERE r.similarity >= match_threshold AND r.similarity < 'NaN'
    ORDER BY r.similarity DESC, r.id;
END
$gravity_memory_search_all$;

COMMENT ON FUNCTION @extschema@.gravity_memory_search_all(vector, double precision, integer) IS
    'Memories of all users most similar to a vector, by cosine, through the index on embedding.

match_threshold: cosine from -1 to 1, at least. match_count: 0 or more. Of what the caller may see, most similar
first; approximate where the index is used, exact where there is none, where it gives too few rows, and under
row security, which compares all memories.
Errors: as match_memories().';
