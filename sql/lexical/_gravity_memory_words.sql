-- _gravity_memory_words(p_text): a text in lower case with blanks for everything that is neither letter nor digit.
--
-- Before the parser, which keeps advice/assistance as one word. In a database whose locale is C, PostgreSQL knows no letters beyond
-- ASCII: there, in UTF-8, every other character counts as one, or accented and Asian letters would be gone.
CREATE FUNCTION @extschema@._gravity_memory_words(p_text text)
RETURNS text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $_gravity_memory_words$
BEGIN
    IF getdatabaseencoding() = 'UTF8' THEN
        -- A statement of its own: in other encodings chr() refuses this number, even where it is not needed.
        IF chr(233) !~ '[[:alnum:]]' THEN
            RETURN regexp_replace(lower(p_text), '[^[:alnum:]\u0080-\U0010FFFF]+', ' ', 'g');
        END IF;
    END IF;
    RETURN regexp_replace(lower(p_text), '[^[:alnum:]]+', ' ', 'g');
END
$_gravity_memory_words$;

COMMENT ON FUNCTION @extschema@._gravity_memory_words(text) IS
    'A text in lower case with blanks for everything that is neither letter nor digit.';
