-- _gravity_memory_check_search(p_caller, p_user_id, p_threshold, p_count): refuses search parameters that mean nothing.
--
-- Errors: 22004 for a NULL; 22023 for a threshold outside -1..1 (NaN included) and for a negative count. A count of 0 is legal and
-- finds nothing; a count larger than the number of memories finds them all.
CREATE FUNCTION @extschema@._gravity_memory_check_search(
    p_caller text, p_user_id text, p_threshold double precision, p_count integer)
RETURNS void
LANGUAGE plpgsql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_check_search$
BEGIN
    IF p_user_id IS NULL THEN
        RAISE EXCEPTION '% needs a user_id, not NULL', p_caller
            USING ERRCODE = 'null_value_not_allowed',
                  HINT = 'Memories are searched per user; @extschema@.gravity_memory_search_all() searches all users.';
    END IF;
    IF p_threshold IS NULL OR NOT p_threshold BETWEEN -1 AND 1 THEN
        RAISE EXCEPTION '%: the similarity threshold must be a number from -1 to 1, not %', p_caller, COALESCE(p_threshold::text, 'NULL')
            USING ERRCODE = CASE WHEN p_threshold IS NULL THEN 'null_value_not_allowed' ELSE 'invalid_parameter_value' END,
                  HINT = 'Cosine similarity is 1 for the same direction, 0 for unrelated; -1 lets everything through.';
    END IF;
    IF p_count IS NULL OR p_count < 0 THEN
        RAISE EXCEPTION '%: the number of results must be 0 or more, not %', p_caller, COALESCE(p_count::text, 'NULL')
            USING ERRCODE = CASE WHEN p_count IS NULL THEN 'null_value_not_allowed' ELSE 'invalid_parameter_value' END,
                  HINT = 'A number larger than the user''s memories returns all that qualify.';
    END IF;
END
$_gravity_memory_check_search$;

COMMENT ON FUNCTION @extschema@._gravity_memory_check_search(text, text, double precision, integer) IS
    'Refuses a NULL user, a threshold that is no cosine similarity, and a negative number of results.';
