-- _gravity_memory_query_terms(p_user_id, p_query): the terms a query asks for, as keys of that user.
--
-- The lexemes of the query, and dates: names of months (English, or their first three letters), numbers from 1 to 31 beside them, four-digit
-- years, and dates written 2023-05-08. 'may' counts as a month only beside a number or after in, of, since, last and the
-- like, for it is a verb more often. Stop words are no terms: a query of stop words has none.
-- Only the first 8,192 characters are read. Returns one row per distinct term.
CREATE FUNCTION @extschema@._gravity_memory_query_terms(p_user_id text, p_query text)
RETURNS TABLE (term text, term_key bigint)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $_gravity_memory_query_terms$
DECLARE
    v_config CONSTANT regconfig := @extschema@._gravity_memory_text_search_config();
    v_seed CONSTANT bigint := hashtextextended(p_user_id COLLATE "C", 0);
    v_query CONSTANT text := lower(left(p_query, 8192));
    v_month_names CONSTANT text := '(january|february|march|april|may|june|july|august|september|october|november|december|'
                                   'jan|feb|mar|apr|jun|jul|aug|sept|sep|oct|nov|dec)';
    v_months CONSTANT text[] := '{jan,feb,mar,apr,may,jun,jul,aug,sep,oct,nov,dec}'::text[];
BEGIN
    RETURN QUERY
    SELECT t.term, hashtextextended(t.term COLLATE "C", v_seed)
    FROM (
        SELECT l.lexeme
        FROM unnest(to_tsvector(v_config, @extschema@._gravity_memory_words(v_query))) AS l
        UNION
        SELECT '@m' || array_position(v_months, left(r.found[1], 3))
        FROM regexp_matches(v_query, '\m' || v_month_names || '\M', 'g') AS r (found)
        WHERE r.found[1] <> 'may'
           OR v_query ~ '\m(in|of|on|since|until|till|before|after|during|by|last|this|next|early|mid|late)\s+may\M'
           OR v_query ~ '\mmay\s+[0-9]|[0-9](st|nd|rd|th)?\s+(of\s+)?may\M'
        UNION
        SELECT '@d' || COALESCE(r.found[1], r.found[2])::integer
        FROM regexp_matches(v_query, '\m([0-9]{1,2})(?:st|nd|rd|th)?(?:\s+of)?\s+' || '(?:' || substr(v_month_names, 2) || '\M'
                                     '|' || '\m(?:' || substr(v_month_names, 2) || '\.?\s+([0-9]{1,2})(?:st|nd|rd|th)?\M', 'g')
             AS r (found)
        WHERE COALESCE(r.found[1], r.found[2])::integer BETWEEN 1 AND 31
        UNION
        SELECT '@y' || r.found[1]
        FROM regexp_matches(v_query, '\m((?:19|20)[0-9]{2})\M', 'g') AS r (found)
        UNION
        SELECT unnest(ARRAY['@m' || r.found[1]::integer, '@d' || r.found[2]::integer])
        FROM regexp_matches(v_query, '\m(?:19|20)[0-9]{2}-([01][0-9])-([0-3][0-9])\M', 'g') AS r (found)
    ) AS t (term);
END
$_gravity_memory_query_terms$;

COMMENT ON FUNCTION @extschema@._gravity_memory_query_terms(text, text) IS
    'The terms that a query asks for: its lexemes and the dates in it, with their keys for one user.';
