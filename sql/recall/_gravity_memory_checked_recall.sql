-- _gravity_memory_checked_recall(...): refuses parameters of recall_memories() that mean nothing, and packs the filters in use.
--
-- Returns the filters as _gravity_memory_recall_conditions() takes them. Errors: 22004 null_value_not_allowed for a NULL user, limit or
-- weight, and when neither query nor embedding is given; 22023 invalid_parameter_value for a limit outside 0..1000, a
-- weight outside 0..1, a half-life that is not positive, and a minimum gravity outside 0..1 (NaN included).
CREATE FUNCTION @extschema@._gravity_memory_checked_recall(
    p_caller text, p_user_id text, p_has_query boolean, p_limit integer, p_since timestamptz, p_until timestamptz,
    p_emotion_type text, p_entities text[], p_meta_tags text[], p_thread_id text, p_session_id text,
    p_min_gravity double precision, p_metadata jsonb, p_weights jsonb, p_half_life interval)
RETURNS jsonb
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_checked_recall$
DECLARE
    v_bad record;
BEGIN
    IF p_user_id IS NULL THEN
        RAISE EXCEPTION '% needs a user', p_caller
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Pass p_user_id: memories are recalled per user.';
    END IF;
    IF NOT p_has_query THEN
        RAISE EXCEPTION '% needs p_query or p_embedding', p_caller
            USING ERRCODE = 'null_value_not_allowed',
                  HINT = 'Either may be NULL, not both. To list memories by time or gravity, select from @extschema@.gravity_map.';
    END IF;
    IF p_limit IS NULL OR p_limit NOT BETWEEN 0 AND 1000 THEN
        RAISE EXCEPTION '%: p_limit must be a whole number from 0 to 1000, not %', p_caller, COALESCE(p_limit::text, 'NULL')
            USING ERRCODE = CASE WHEN p_limit IS NULL THEN 'null_value_not_allowed' ELSE 'invalid_parameter_value' END,
                  HINT = 'Recall ranks the best of a user''s memories; to read all of them, select from @extschema@.gravity_map.';
    END IF;
    SELECT w.key, w.value INTO v_bad
    FROM jsonb_each_text(p_weights) AS w
    -- BETWEEN refuses NaN, which sorts above every number.
    WHERE (w.value::double precision BETWEEN 0 AND 1) IS NOT TRUE
    ORDER BY w.key
    LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION '%: p_%_weight must be a number from 0 to 1, not %', p_caller, v_bad.key, COALESCE(v_bad.value, 'NULL')
            USING ERRCODE = CASE WHEN v_bad.value IS NULL THEN 'null_value_not_allowed' ELSE 'invalid_parameter_value' END,
                  HINT = 'A weight of 0 leaves that component out; only the proportions of the weights matter to the order.';
    END IF;
    IF p_half_life IS NULL OR p_half_life <= interval '0' OR NOT isfinite(p_half_life) THEN
        RAISE EXCEPTION '%: p_half_life must be an interval greater than zero, not %', p_caller, COALESCE(p_half_life::text, 'NULL')
            USING ERRCODE = CASE WHEN p_half_life IS NULL THEN 'null_value_not_allowed' ELSE 'invalid_parameter_value' END,
                  HINT = 'For example interval ''30 days''. To ignore age, leave p_recency_weight at 0.';
    END IF;
    IF p_min_gravity IS NOT NULL AND NOT p_min_gravity BETWEEN 0 AND 1 THEN
        RAISE EXCEPTION '%: p_min_gravity must be a number from 0 to 1, not %', p_caller, p_min_gravity
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Leave it NULL to recall memories of any gravity.';
    END IF;
    RETURN jsonb_strip_nulls(jsonb_build_object(
        'since', p_since, 'until', p_until, 'emotion_type', p_emotion_type, 'entities', p_entities::text,
        'meta_tags', p_meta_tags::text, 'thread_id', p_thread_id, 'session_id', p_session_id,
        'min_gravity', p_min_gravity, 'metadata', p_metadata::text));
END
$_gravity_memory_checked_recall$;

COMMENT ON FUNCTION @extschema@._gravity_memory_checked_recall(
    text, text, boolean, integer, timestamptz, timestamptz, text, text[], text[], text, text, double precision, jsonb, jsonb, interval) IS
    'Refuses impossible parameters of recall_memories() and returns the filters in use.';
