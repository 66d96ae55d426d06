-- find_similar_memories(memory_id, similarity_threshold, max_results): the memories of the same user most similar to a given one.
--
-- Returns the columns of match_memories(), most similar first, without the memory itself: the max_results best with similarity >=
-- similarity_threshold (0.7). A memory without embedding, or with a zero vector, has no similar ones: no rows.
-- Errors: P0002 for a memory that does not exist or that the caller may not see; 22004 and 22023 as match_memories().
CREATE FUNCTION @extschema@.find_similar_memories(
    memory_id uuid, similarity_threshold double precision DEFAULT 0.7, max_results integer DEFAULT 10)
RETURNS TABLE (id uuid, content text, gravity_score double precision, emotion_type text, created_at timestamptz,
               similarity double precision)
LANGUAGE plpgsql
STABLE
ROWS 10
SET search_path = pg_catalog, pg_temp
AS $find_similar_memories$
#variable_conflict use_column
DECLARE
    v_memory record;
BEGIN
    IF find_similar_memories.memory_id IS NULL THEN
        RAISE EXCEPTION 'find_similar_memories() needs a memory_id, not NULL'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Pass the id of a memory in gravity_map.';
    END IF;
    SELECT m.user_id::text AS user_id, m.embedding INTO v_memory
    FROM @extschema@.gravity_map AS m WHERE m.id = find_similar_memories.memory_id;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'find_similar_memories(): there is no memory %', find_similar_memories.memory_id
            USING ERRCODE = 'no_data_found', HINT = 'It was deleted, or row security hides it.';
    END IF;
    PERFORM @extschema@._gravity_memory_check_search(
        'find_similar_memories()', v_memory.user_id, similarity_threshold, max_results);
    IF v_memory.embedding IS NULL
       OR NOT ((v_memory.embedding OPERATOR(vector_schema.<=>) v_memory.embedding) < 'NaN')
       OR max_results = 0 THEN
        RETURN;
    END IF;
    -- One more than wanted: the memory itself is among the nearest, or as near as others.
    RETURN QUERY
    SELECT m.id, m.content::text, m.gravity_score::double precision, m.emotion_type::text, m.created_at, n.similarity
    FROM @extschema@._gravity_memory_nearest(
             v_memory.user_id, v_memory.embedding, similarity_threshold, 0, LEAST(max_results, 2147483646) + 1) AS n
    JOIN @extschema@.gravity_map AS m ON m.id = n.memory_id
    WHERE n.memory_id <> find_similar_memories.memory_id
    ORDER BY n.similarity DESC, m.id
    LIMIT max_results;
END
$find_similar_memories$;

COMMENT ON FUNCTION @extschema@.find_similar_memories(uuid, double precision, integer) IS
    'The memories of the same user that are most similar to a given one, by cosine.

similarity_threshold: cosine from -1 to 1, at least. max_results: 0 or more. Most similar first, without the
memory itself; none for a memory without embedding, or with a zero vector.
Errors: P0002 for a memory that does not exist or is hidden from the caller; 22004 for a NULL argument; 22023
for a value out of range.';
