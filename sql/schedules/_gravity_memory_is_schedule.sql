-- _gravity_memory_is_schedule(p_schedule): is this a schedule that pg_cron takes?
--
-- Five fields (minute, hour, day of month, month, day of week) of *, numbers in range, ranges, steps, lists and English
-- abbreviations, with $ for the last day of the month; or '1 second' to '59 seconds', which needs pg_cron 1.5.
CREATE FUNCTION @extschema@._gravity_memory_is_schedule(p_schedule text)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $_gravity_memory_is_schedule$
    SELECT p_schedule ~ '^\s*([1-9]|[1-5][0-9])\s+seconds?\s*$'
        OR COALESCE((
            SELECT cardinality(f.fields) = 5
                   AND bool_and(f.fields[n.ordinality] ~* format('^(\*|(%1$s)(-(%1$s))?)(/[1-9][0-9]?)?(,(\*|(%1$s)(-(%1$s))?)(/[1-9][0-9]?)?)*$', n.value))
            FROM (SELECT regexp_split_to_array(btrim(p_schedule), '\s+') AS fields) AS f
            CROSS JOIN unnest(ARRAY[
                '[0-5]?[0-9]',
                '[01]?[0-9]|2[0-3]',
                '0?[1-9]|[12][0-9]|3[01]|[$]',
                '0?[1-9]|1[0-2]|jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec',
                '[0-7]|sun|mon|tue|wed|thu|fri|sat'
            ]) WITH ORDINALITY AS n (value, ordinality)
            GROUP BY f.fields), false)
$_gravity_memory_is_schedule$;

COMMENT ON FUNCTION @extschema@._gravity_memory_is_schedule(text) IS
    'Whether a text is a schedule that pg_cron takes.';
