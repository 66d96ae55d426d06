-- _gravity_memory_is_same_job(p_command, p_wanted): does a job's command call the function that a job of the catalogue calls?
--
-- p_wanted is the catalogue's "SELECT schema.function()". A job made by hand may leave out the schema, end in a semicolon, say
-- "SELECT * FROM" or be spelled in capitals, as that of the specification's comment: SELECT cleanup_old_cache().
CREATE FUNCTION @extschema@._gravity_memory_is_same_job(p_command text, p_wanted text)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $_gravity_memory_is_same_job$
    SELECT c.command IN (w.call, regexp_replace(w.call, '^.*\.', ''))
    FROM (SELECT regexp_replace(regexp_replace(lower(p_command), '[\s;]', '', 'g'), '^select(\*from)?', '')) AS c (command)
    CROSS JOIN (SELECT regexp_replace(regexp_replace(lower(p_wanted), '[\s;]', '', 'g'), '^select(\*from)?', '')) AS w (call)
$_gravity_memory_is_same_job$;

COMMENT ON FUNCTION @extschema@._gravity_memory_is_same_job(text, text) IS
    'Whether two commands of jobs call the same function, though one may be written otherwise.';
