-- _gravity_memory_plain_index_definition(p_definition): what an index is good for, in a form in which two definitions can be
-- compared.
--
-- p_definition is what follows the table's name in CREATE INDEX, as the catalogue writes it or as pg_get_indexdef() prints it. Left
-- out is what changes no plan (storage parameters, included columns) and what depends on the types of adopted columns (casts), then
-- parentheses and blanks, which PostgreSQL sets in its own way. The kind of an index on embedding is a setting, and left out too,
-- and so is pgvector's default operator class, which PostgreSQL does not print.
CREATE FUNCTION @extschema@._gravity_memory_plain_index_definition(p_definition text)
RETURNS text
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
AS $_gravity_memory_plain_index_definition$
    SELECT replace(regexp_replace(regexp_replace(regexp_replace(regexp_replace(
        CASE WHEN p_definition ~ '^USING ' THEN p_definition ELSE 'USING btree ' || p_definition END,
        ' (INCLUDE|WITH) \([^)]*\)', '', 'g'),
        '::(character varying|double precision|numeric|text|boolean|uuid)(\[\])?', '', 'g'),
        '^USING (?:ivfflat|hnsw) \(embedding(?: .*vector_l2_ops)?', 'USING vectors (embedding'),
        '[\s()\]]', '', 'g'),
        '=ANYARRAY[', 'IN')
$_gravity_memory_plain_index_definition$;

COMMENT ON FUNCTION @extschema@._gravity_memory_plain_index_definition(text) IS
    'An index definition without what changes no plan, for comparing.';
