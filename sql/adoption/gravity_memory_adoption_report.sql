-- gravity_memory_adoption_report(p_schema): what setup would find in a schema and do with it, before it does anything.
--
-- p_schema: where the tables are; NULL (default): the extension's own schema. With SET gravity_memory.setup = off, CREATE
-- EXTENSION makes functions only, in any schema, so that this can be asked before a table is touched, and where functions made by
-- hand would keep the extension from being created beside them. Changes nothing, takes no lock but that of reading, and works on a
-- standby. Returns one row per finding, what stops setup first: severity (blocks: setup or CREATE EXTENSION stops; change: setup
-- does something; note: to be known), finding (a short name, the same in every version), object, present (what is there), plan
-- (what setup does), lock (what is locked, and how long, by the plan or by the remedy where there is one) and remedy: a statement
-- for the owner to run before setup, NULL where there is nothing to run. docs/adoption.md goes through it. Sizes and rows are
-- estimates of the planner, and gravity_map is read in samples, so that it takes some tenths of a second, whatever the number of
-- memories; where it was never analyzed, up to 100,000 embeddings are counted, which reads the table until they are found. Errors:
-- 3F000 for a schema that does not exist. Reads with the caller's rights; who owns the tables may see all of it.
CREATE FUNCTION @extschema@.gravity_memory_adoption_report(p_schema text DEFAULT NULL)
RETURNS TABLE (severity text, finding text, object text, present text, plan text, lock text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $gravity_memory_adoption_report$
DECLARE
    v_own CONSTANT text := (SELECT n.nspname FROM pg_namespace AS n WHERE n.oid = '@extschema@'::regnamespace);
    v_schema CONSTANT text := COALESCE(p_schema, v_own);
BEGIN
    IF NOT EXISTS (SELECT FROM pg_namespace AS n WHERE n.nspname = v_schema) THEN
        RAISE EXCEPTION 'there is no schema %', quote_literal(v_schema)
            USING ERRCODE = 'invalid_schema_name',
                  HINT = COALESCE((SELECT 'Tables called gravity_map are in: ' || string_agg(n.nspname, ', ' ORDER BY n.nspname)
                      || '.'
                                   FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                                       WHERE c.relname = 'gravity_map'),
                                  'Name the schema of the tables, as it is in pg_namespace, without quotes.');
    END IF;

    RETURN QUERY
    SELECT f.*
    FROM (
        SELECT 'note', 'extension', 'gravity_memory', format('The extension is in the schema %I.', v_own),
               format('To adopt the tables of %I: DROP EXTENSION gravity_memory, then CREATE EXTENSION gravity_memory SCHEMA %I.',
                   v_schema, v_schema),
               'none', NULL
        WHERE v_schema <> v_own
        UNION ALL SELECT t.* FROM @extschema@._gravity_memory_adoption_functions(v_schema) AS t
        UNION ALL SELECT t.* FROM @extschema@._gravity_memory_adoption_tables(v_schema) AS t
        UNION ALL SELECT t.* FROM @extschema@._gravity_memory_adoption_triggers(v_schema) AS t
        UNION ALL SELECT t.* FROM @extschema@._gravity_memory_adoption_indexes(v_schema) AS t
        UNION ALL SELECT t.* FROM @extschema@._gravity_memory_adoption_rows(v_schema) AS t
        UNION ALL SELECT t.* FROM @extschema@._gravity_memory_adoption_jobs(v_schema) AS t
    ) AS f (severity, finding, object, present, plan, lock, remedy)
    ORDER BY array_position('{blocks,change,note}', f.severity), f.finding, f.object, f.present;
END
$gravity_memory_adoption_report$;

COMMENT ON FUNCTION @extschema@.gravity_memory_adoption_report(text) IS
    'What setup would find in a schema, do with it and lock, before it does anything; one row per finding, what stops it first.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_adoption_report(text) FROM PUBLIC;
