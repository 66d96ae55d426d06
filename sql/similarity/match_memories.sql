-- match_memories(query_embedding, match_threshold, match_count, user_id): a user's memories most similar to a vector.
--
-- Returns id, content, gravity_score, emotion_type, created_at and similarity (cosine, -1..1), most similar first: the match_count best
-- with similarity >= match_threshold (0.7), and fewer only when fewer qualify. Names and defaults are the application's.
-- Memories without embedding, or with a zero vector, are not found. match_count 0 and a user without memories: no rows.
-- Errors: 22004 for a NULL argument (user_id has to be given); 22023 for a threshold outside -1..1, a negative count, a vector of
-- another dimension or without direction. NaN and infinite components are refused by pgvector.
CREATE FUNCTION @extschema@.match_memories(
    query_embedding vector, match_threshold double precision DEFAULT 0.7, match_count integer DEFAULT 10, user_id text DEFAULT NULL)
RETURNS TABLE (id uuid, content text, gravity_score double precision, emotion_type text, created_at timestamptz,
               similarity double precision)
LANGUAGE plpgsql
STABLE
ROWS 10
SET search_path = pg_catalog, pg_temp
AS $match_memories$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@._gravity_memory_check_search('match_memories()', match_memories.user_id, match_threshold, match_count);
    PERFORM @extschema@._gravity_memory_check_embedding(query_embedding, 'match_memories()');
    RETURN QUERY
    SELECT m.id, m.content::text, m.gravity_score::double precision, m.emotion_type::text, m.created_at, n.similarity
    FROM @extschema@._gravity_memory_nearest(match_memories.user_id, query_embedding, match_threshold, 0, match_count) AS n
    JOIN @extschema@.gravity_map AS m ON m.id = n.memory_id
    ORDER BY n.similarity DESC, m.id;
END
$match_memories$;

COMMENT ON FUNCTION @extschema@.match_memories(vector, double precision, integer, text) IS
    'A user''s memories most similar to a vector, by cosine; as many as exist and reach the threshold.

user_id is required, though it has a default for the sake of its place. match_threshold: cosine from -1 to 1, at
least. match_count: 0 or more. Most similar first. Memories without embedding, or with a zero vector, are not
found.
Errors: 22004 for a NULL argument; 22023 for a value out of range, and a vector of another dimension or without
direction.';
