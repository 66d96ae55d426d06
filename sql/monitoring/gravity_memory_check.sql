-- gravity_memory_check(): what is wrong with this installation, and the statement that mends it; no row when all is well.
--
-- Returns one row per finding, errors first: severity (error: something does not work; warning: it works slowly, or will fail;
-- notice: to be known), finding (a short name, the same in every version; docs/operations.md explains each), object, problem (in
-- words) and remedy: one statement that runs as it stands, outside a transaction block, NULL where none can be given. Some findings
-- take several statements: check again after the one returned. Reads the catalogues, the statistics, the settings, and samples of
-- gravity_map and memory_digests, so that it takes some tenths of a second, whatever the number of memories. Runs with the caller's
-- rights: what the caller may not look at is a notice, not_checked, and never an error.
CREATE FUNCTION @extschema@.gravity_memory_check()
RETURNS TABLE (severity text, finding text, object text, problem text, remedy text)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $gravity_memory_check$
    SELECT f.severity, f.finding, f.object, f.problem, f.remedy
    FROM unnest(ARRAY['table', 'owner', 'trigger', 'index', 'vector_index', 'job', 'derived', 'statistics', 'setting',
        'server']) AS u (family)
    CROSS JOIN LATERAL @extschema@._gravity_memory_findings(u.family) AS f
    ORDER BY array_position('{error,warning,notice}', f.severity), f.finding, f.object, f.problem
$gravity_memory_check$;

COMMENT ON FUNCTION @extschema@.gravity_memory_check() IS
    'What is wrong with this installation of gravity_memory, with the statement that mends it; no row when all is well.

severity: error (something does not work), warning (it works slowly, or will fail) or notice (to be known),
errors first. finding: a short name, the same in every version. remedy: one statement that runs as it stands,
outside a transaction block, or NULL; look again after it. Takes tenths of a second. Runs with the caller''s
rights; what the caller may not look at is a notice, not_checked: the owner of gravity_map sees most, a
superuser all.';
