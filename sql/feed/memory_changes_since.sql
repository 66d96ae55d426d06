-- memory_changes_since(p_user_id, p_cursor, p_limit): what happened to a user's memories and arcs since a cursor was taken.
--
-- gravity_memory_changes() for one user; columns, order, promises and errors are described there.
CREATE FUNCTION @extschema@.memory_changes_since(p_user_id text, p_cursor text, p_limit integer DEFAULT 100)
RETURNS TABLE (user_id text, event text, subject_id uuid, payload jsonb, created_at timestamptz,
               next_cursor text, has_more boolean, is_open boolean)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $memory_changes_since$
BEGIN
    IF p_user_id IS NULL THEN
        RAISE EXCEPTION 'memory_changes_since(): p_user_id must not be NULL'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Name the user whose changes you want.';
    END IF;
    RETURN QUERY SELECT c.* FROM @extschema@.gravity_memory_changes(ARRAY[p_user_id], p_cursor, p_limit) AS c;
END
$memory_changes_since$;

COMMENT ON FUNCTION @extschema@.memory_changes_since(text, text, integer) IS
    'What happened to a user''s memories and arcs since the cursor: events in order, then a row with the cursor to go on from.

gravity_memory_changes() for one user: columns, order, promises and errors are described there.';
