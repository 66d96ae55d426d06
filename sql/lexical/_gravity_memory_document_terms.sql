-- _gravity_memory_document_terms(p_config, p_user_id, p_content, p_created_at): what a memory can be found by.
--
-- The lexemes of its content under the text search configuration, and three terms for the month, day and year (UTC) it was created
-- in ('@m5', '@d8', '@y2023'; no lexeme contains @), which a query with a date in it asks for. Content is split at everything that is
-- neither letter nor digit first, because the parser keeps advice/assistance as one word.
-- A term is stored as a 64-bit hash of user and term, so that one narrow index serves all users and none sees another's terms.
-- Returns the number of words that are not stop words, and two arrays of equal length: the terms' keys and how often each occurs. Only
-- the first 100,000 characters count: a tsvector holds no more than a megabyte.
CREATE FUNCTION @extschema@._gravity_memory_document_terms(
    p_config regconfig, p_user_id text, p_content text, p_created_at timestamptz,
    OUT length integer, OUT term_keys bigint[], OUT frequencies smallint[])
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_document_terms$
DECLARE
    v_seed CONSTANT bigint := hashtextextended(p_user_id COLLATE "C", 0);
    v_utc CONSTANT timestamp := p_created_at AT TIME ZONE 'UTC';
    v_content CONSTANT tsvector :=
        to_tsvector(p_config, @extschema@._gravity_memory_words(left(p_content, 100000)));
BEGIN
    SELECT COALESCE(sum(cardinality(l.positions)), 0),
           COALESCE(array_agg(hashtextextended(l.lexeme COLLATE "C", v_seed)), '{}'),
           COALESCE(array_agg(cardinality(l.positions)::smallint), '{}')
    INTO length, term_keys, frequencies
    FROM unnest(v_content) AS l;
    IF isfinite(v_utc) THEN
        term_keys := term_keys
            || hashtextextended(('@m' || date_part('month', v_utc)) COLLATE "C", v_seed)
            || hashtextextended(('@d' || date_part('day', v_utc)) COLLATE "C", v_seed)
            || hashtextextended(('@y' || date_part('year', v_utc)) COLLATE "C", v_seed);
        frequencies := frequencies || '{1,1,1}'::smallint[];
    END IF;
END
$_gravity_memory_document_terms$;

COMMENT ON FUNCTION @extschema@._gravity_memory_document_terms(regconfig, text, text, timestamptz) IS
    'The terms a memory is found by, as keys with frequencies, and its length in words.';
