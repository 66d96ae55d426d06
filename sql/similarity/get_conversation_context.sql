-- get_conversation_context(user_id, memory_trace_id, limit): the latest turns of one conversation, in the order they were said.
--
-- Returns id, content, gravity_score, emotion_type, created_at and metadata (where the application keeps the role) of the last "limit"
-- (10) memories of the user with this memory_trace_id, oldest first. An unknown user or trace, and limit 0: no rows.
-- Errors: 22004 for a NULL argument; 22023 for a negative limit.
CREATE FUNCTION @extschema@.get_conversation_context(user_id text, memory_trace_id text, "limit" integer DEFAULT 10)
RETURNS TABLE (id uuid, content text, gravity_score double precision, emotion_type text, created_at timestamptz, metadata jsonb)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $get_conversation_context$
#variable_conflict use_column
BEGIN
    PERFORM @extschema@._gravity_memory_check_search('get_conversation_context()', get_conversation_context.user_id, 0, "limit");
    IF get_conversation_context.memory_trace_id IS NULL THEN
        RAISE EXCEPTION 'get_conversation_context() needs a memory_trace_id, not NULL'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Pass the memory_trace_id of the conversation.';
    END IF;
    RETURN QUERY
    SELECT t.id, t.content, t.gravity_score, t.emotion_type, t.created_at, t.metadata
    FROM (
        SELECT m.id, m.content::text AS content, m.gravity_score::double precision AS gravity_score,
               m.emotion_type::text AS emotion_type, m.created_at, m.metadata
        FROM @extschema@.gravity_map AS m
        WHERE m.memory_trace_id::text = get_conversation_context.memory_trace_id
          AND m.user_id = get_conversation_context.user_id
        ORDER BY m.created_at DESC, m.id DESC
        LIMIT get_conversation_context."limit"
    ) AS t
    ORDER BY t.created_at, t.id;
END
$get_conversation_context$;

COMMENT ON FUNCTION @extschema@.get_conversation_context(text, text, integer) IS
    'The latest memories of one conversation (memory_trace_id) of a user, oldest first.

limit: how many of the latest, 0 or more. An unknown user or conversation has none.
Errors: 22004 for a NULL argument; 22023 for a negative limit.';
