-- _gravity_memory_document_terms(p_config, p_user_id, p_content, p_created_at): what a memory can be found by.
--
-- The lexemes of its content under the text search configuration, and three terms for the month, day and year (UTC) it was created
-- in ('@m5', '@d8', '@y2023'; no lexeme contains @), which a query with a date in it asks for. Content is split at everything that is
-- neither letter nor digit first, because the parser keeps advice/assistance as one word.
-- A term is stored as a 64-bit hash of user and term, so that one narrow index serves all users and none sees another's terms.
-- Returns one row: the number of words that are not stop words, and two arrays of equal length: the terms' keys and how often each
-- occurs. Only the first 100,000 characters count: a tsvector holds no more than a megabyte.
-- Written so that PostgreSQL inlines it into the query that calls it, which halves its cost, and bulk inserts call it for every row: that
-- is why it is a SELECT that returns a table and, alone among the functions, pins no search_path; everything in it is qualified.
CREATE FUNCTION @extschema@._gravity_memory_document_terms(
    p_config regconfig, p_user_id text, p_content text, p_created_at timestamptz)
RETURNS TABLE (length integer, term_keys bigint[], frequencies smallint[])
LANGUAGE sql
STABLE
ROWS 1
AS $_gravity_memory_document_terms$
    SELECT COALESCE(pg_catalog.sum(t.words), 0)::pg_catalog.int4,
           COALESCE(pg_catalog.array_agg(pg_catalog.hashtextextended(
               t.term COLLATE pg_catalog."C", pg_catalog.hashtextextended(p_user_id COLLATE pg_catalog."C", 0))), '{}'),
           COALESCE(pg_catalog.array_agg(t.frequency), '{}')
    FROM (
        SELECT l.lexeme AS term, pg_catalog.cardinality(l.positions) AS words, pg_catalog.cardinality(l.positions)::pg_catalog.int2 AS frequency
        FROM pg_catalog.unnest(pg_catalog.to_tsvector(
            p_config, @extschema@._gravity_memory_words(pg_catalog."left"(p_content, 100000)))) AS l
        UNION ALL
        SELECT pg_catalog.concat('@', d.field, pg_catalog.date_part(d.name, pg_catalog.timezone('UTC', p_created_at))), 0, 1::pg_catalog.int2
        FROM (VALUES ('m', 'month'), ('d', 'day'), ('y', 'year')) AS d (field, name)
        WHERE pg_catalog.isfinite(p_created_at)
    ) AS t
$_gravity_memory_document_terms$;

COMMENT ON FUNCTION @extschema@._gravity_memory_document_terms(regconfig, text, text, timestamptz) IS
    'The terms a memory is found by, as keys with frequencies, and its length in words.';
