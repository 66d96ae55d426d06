-- gravity_weighted_search(query_embedding, user_id, match_threshold, gravity_weight, match_count): similar memories, weighed by gravity.
--
-- weighted_score = similarity * (1 - gravity_weight) + gravity_score * gravity_weight (the application's rule); a NULL gravity counts as
-- 0. Returns the match_count best by weighted_score among the memories with similarity >= match_threshold, best first, with
-- the columns of match_memories(); fewer only when fewer qualify.
-- Errors: as match_memories(); 22023 too for a gravity_weight outside 0..1.
CREATE FUNCTION @extschema@.gravity_weighted_search(
    query_embedding vector, user_id text, match_threshold double precision DEFAULT 0.7,
    gravity_weight double precision DEFAULT 0.3, match_count integer DEFAULT 10)
RETURNS TABLE (id uuid, content text, gravity_score double precision, emotion_type text, created_at timestamptz,
               similarity double precision, weighted_score double precision)
LANGUAGE plpgsql
STABLE
ROWS 10
SET search_path = pg_catalog, pg_temp
AS $gravity_weighted_search$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@._gravity_memory_check_search(
        'gravity_weighted_search()', gravity_weighted_search.user_id, match_threshold, match_count);
    PERFORM @extschema@._gravity_memory_check_embedding(query_embedding, 'gravity_weighted_search()');
    IF gravity_weight IS NULL OR NOT gravity_weight BETWEEN 0 AND 1 THEN
        RAISE EXCEPTION 'gravity_weighted_search(): gravity_weight must be a number from 0 to 1, not %',
            COALESCE(gravity_weight::text, 'NULL')
            USING ERRCODE = CASE WHEN gravity_weight IS NULL THEN 'null_value_not_allowed' ELSE 'invalid_parameter_value' END,
                  HINT = '0 orders by similarity alone, 1 by gravity alone.';
    END IF;
    RETURN QUERY
    SELECT m.id, m.content::text, m.gravity_score::double precision, m.emotion_type::text, m.created_at, n.similarity, n.score
    FROM @extschema@._gravity_memory_nearest(
             gravity_weighted_search.user_id, query_embedding, match_threshold, gravity_weight, match_count) AS n
    JOIN @extschema@.gravity_map AS m ON m.id = n.memory_id
    ORDER BY n.score DESC, m.id;
END
$gravity_weighted_search$;

COMMENT ON FUNCTION @extschema@.gravity_weighted_search(vector, text, double precision, double precision, integer) IS
    'A user''s memories that are similar to a vector, ordered by a mixture of similarity and gravity.

weighted_score = similarity * (1 - gravity_weight) + gravity_score * gravity_weight; a NULL gravity counts as 0.
match_threshold: cosine from -1 to 1, at least. gravity_weight: 0 to 1. match_count: 0 or more.
Errors: as match_memories(), and 22023 for a gravity_weight out of range.';
