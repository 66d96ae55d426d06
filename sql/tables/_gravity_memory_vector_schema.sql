-- _gravity_memory_vector_schema(): the schema pgvector lives in, which need not be ours.
--
-- Looked up, because @extschema:vector@ needs PostgreSQL 16.
CREATE FUNCTION @extschema@._gravity_memory_vector_schema()
RETURNS name
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_vector_schema$
    SELECT n.nspname
    FROM pg_extension AS e
    JOIN pg_namespace AS n ON n.oid = e.extnamespace
    WHERE e.extname = 'vector'
$_gravity_memory_vector_schema$;

COMMENT ON FUNCTION @extschema@._gravity_memory_vector_schema() IS
    'The schema that the extension vector is installed in.';
