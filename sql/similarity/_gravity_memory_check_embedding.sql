-- _gravity_memory_check_embedding(p_embedding, p_caller): refuses a query vector that cannot be compared, and says why.
--
-- Errors: 22004 for NULL; 22023 for a dimension other than that of gravity_map.embedding, and for a vector without direction, whose cosine
-- similarity to anything is undefined. NaN and infinite components never get here: pgvector refuses them (22000).
CREATE FUNCTION @extschema@._gravity_memory_check_embedding(p_embedding vector, p_caller text)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_check_embedding$
DECLARE
    v_dimensions integer;
BEGIN
    IF p_embedding IS NULL THEN
        RAISE EXCEPTION '% needs a query vector, not NULL', p_caller
            USING ERRCODE = 'null_value_not_allowed',
                  HINT = 'Pass the embedding of the question, made by the model that made the memories'' embeddings.';
    END IF;
    SELECT a.atttypmod INTO v_dimensions
    FROM pg_attribute AS a
    WHERE a.attrelid = to_regclass('@extschema@.gravity_map') AND a.attname = 'embedding' AND NOT a.attisdropped;
    IF v_dimensions > 0 AND v_dimensions <> vector_schema.vector_dims(p_embedding) THEN
        RAISE EXCEPTION '%: the query vector has % dimensions, the memories'' embeddings have %', p_caller,
            vector_schema.vector_dims(p_embedding), v_dimensions
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Use the model that made the memories'' embeddings; vectors of different models cannot be compared.';
    END IF;
    -- Not "norm = 0": components so small that their squares vanish give no similarity either.
    IF NOT ((p_embedding OPERATOR(vector_schema.<=>) p_embedding) < 'NaN') THEN
        RAISE EXCEPTION '%: the query vector has no direction (all components are zero, or far too small or large)', p_caller
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'A model returns such a vector for no text; look at what was embedded.';
    END IF;
END
$_gravity_memory_check_embedding$;

COMMENT ON FUNCTION @extschema@._gravity_memory_check_embedding(vector, text) IS
    'Refuses a query vector that is NULL, of another dimension than the memories'' embeddings, or without direction.';
