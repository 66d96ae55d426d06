-- _gravity_memory_bind_vector_schema(): puts the name of pgvector's schema where function bodies say "vector_schema.".
--
-- Bodies name pgvector's operators and functions in full, as OPERATOR(vector_schema.<=>), so that no search_path has to include a
-- schema in which others may create objects. The name is known only in the database; the comment that stays beside it lets
-- this function find the places again after ALTER EXTENSION vector SET SCHEMA.
-- Called at the end of the install script and by gravity_memory_setup(). Returns the functions it changed.
CREATE FUNCTION @extschema@._gravity_memory_bind_vector_schema()
RETURNS SETOF text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $_gravity_memory_bind_vector_schema$
DECLARE
    v_function record;
    v_place CONSTANT text := '(?:("(?:[^"]|"")+"|[a-z_][a-z0-9_$]*)/\*vector_schema\*/|(?<![:_[:alnum:]])vector_schema)\.';
    v_bound CONSTANT text := quote_ident(@extschema@._gravity_memory_vector_schema()) || '/*vector_schema*/.';
BEGIN
    -- Loads pgvector's library: before, its parameters are unknown, and only a superuser may name those in CREATE FUNCTION ... SET.
    EXECUTE format('SELECT %L::%I.vector', '[1]', @extschema@._gravity_memory_vector_schema());
    FOR v_function IN
        SELECT p.oid, p.oid::regprocedure::text AS signature, p.prosrc,
               regexp_replace(p.prosrc, v_place, replace(v_bound, '\', '\\'), 'g') AS bound_source
        FROM pg_proc AS p
        JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
        JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND d.refobjid = e.oid
        WHERE e.extname = 'gravity_memory'
          AND p.proname <> '_gravity_memory_bind_vector_schema'
          AND p.prosrc ~ v_place
        ORDER BY p.proname
    LOOP
        IF v_function.bound_source <> v_function.prosrc THEN
            EXECUTE replace(pg_get_functiondef(v_function.oid), v_function.prosrc, v_function.bound_source);
            RETURN QUERY SELECT v_function.signature;
        END IF;
    END LOOP;
END
$_gravity_memory_bind_vector_schema$;

COMMENT ON FUNCTION @extschema@._gravity_memory_bind_vector_schema() IS
    'Writes the name of pgvector''s schema into the functions that use its operators.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_bind_vector_schema() FROM PUBLIC;
