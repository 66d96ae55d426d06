-- _gravity_memory_names_emotion(p_arc_name, p_emotion_type): does an arc's name contain the emotion as a whole word, in any case?
--
-- For arcs that the application made without an emotion_type. The emotion is literal text: joy is not in 'enjoyment', and % only in a
-- name with a % of its own.
CREATE FUNCTION @extschema@._gravity_memory_names_emotion(p_arc_name text, p_emotion_type text)
RETURNS boolean
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $_gravity_memory_names_emotion$
    SELECT CASE
        -- Cheap first test: most names cannot contain the emotion, and an emotion may be kilobytes long.
        WHEN strpos(lower(p_arc_name), lower(p_emotion_type)) = 0 THEN false
        ELSE p_arc_name ~* ('(^|\W)' || regexp_replace(p_emotion_type, '([^[:alnum:]])', '\\\1', 'g') || '(\W|$)')
    END
$_gravity_memory_names_emotion$;

COMMENT ON FUNCTION @extschema@._gravity_memory_names_emotion(text, text) IS
    'Whether an arc''s name contains an emotion as a whole word.';
