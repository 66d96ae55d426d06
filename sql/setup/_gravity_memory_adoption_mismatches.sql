-- _gravity_memory_adoption_mismatches(): why existing tables cannot be adopted, one line per mismatch, each with what to do.
--
-- Setup refuses when there is one. See _gravity_memory_mismatches_in(), which looks. Returns nothing when all fits.
CREATE FUNCTION @extschema@._gravity_memory_adoption_mismatches()
RETURNS SETOF text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_adoption_mismatches$
    SELECT m.problem || ': ' || m.advice
    FROM @extschema@._gravity_memory_mismatches_in(
        (SELECT n.nspname::text FROM pg_namespace AS n WHERE n.oid = '@extschema@'::regnamespace)) AS m
    ORDER BY m.table_name, m.ordinal, m.problem
$_gravity_memory_adoption_mismatches$;

COMMENT ON FUNCTION @extschema@._gravity_memory_adoption_mismatches() IS
    'Why existing tables cannot be adopted: one line per mismatch, with what to do.';
