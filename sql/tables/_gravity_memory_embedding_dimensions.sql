-- _gravity_memory_embedding_dimensions(): how many dimensions a new embedding column gets.
--
-- Read from the configuration parameter gravity_memory.embedding_dimensions, which one sets before CREATE EXTENSION or
-- gravity_memory_setup(); 1536 when it is not set. An existing column keeps its own dimension.
-- Errors: 22023 unless it is a whole number from 1 to 2000. The limit is that of pgvector's indexes on type vector.
CREATE FUNCTION @extschema@._gravity_memory_embedding_dimensions()
RETURNS integer
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_embedding_dimensions$
DECLARE
    v_text CONSTANT text := btrim(COALESCE(NULLIF(current_setting('gravity_memory.embedding_dimensions', true), ''), '1536'));
BEGIN
    IF v_text !~ '^[0-9]{1,9}$' OR v_text::integer NOT BETWEEN 1 AND 2000 THEN
        RAISE EXCEPTION 'gravity_memory.embedding_dimensions must be a whole number from 1 to 2000, not %', quote_literal(v_text)
            USING ERRCODE = 'invalid_parameter_value',
                  DETAIL = 'The ivfflat and hnsw indexes of pgvector take vectors of at most 2000 dimensions.',
                  HINT = 'For example: SET gravity_memory.embedding_dimensions = 384; a model with more than 2000 dimensions '
                         'usually offers a shortened output.';
    END IF;
    RETURN v_text::integer;
END
$_gravity_memory_embedding_dimensions$;

COMMENT ON FUNCTION @extschema@._gravity_memory_embedding_dimensions() IS
    'The dimension of a new embedding column, from gravity_memory.embedding_dimensions (1 to 2000, default 1536).';
