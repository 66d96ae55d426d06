-- _gravity_memory_unsettled_arcs(): this transaction's note of arcs whose totals wait, as JSON.
--
-- {"writes": totals written so far, "at_once": true once totals may not wait, "waiting": {arc: {"changes": n, "members": n}}}. It stands
-- in the transaction-local parameter gravity_memory.arc_totals, which anyone can overwrite: it only ever decides when an arc is
-- recounted, never what is written, and what it loses is recounted at the commit. An unreadable note is an empty one.
CREATE FUNCTION @extschema@._gravity_memory_unsettled_arcs()
RETURNS jsonb
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_unsettled_arcs$
DECLARE
    v_note CONSTANT text := current_setting('gravity_memory.arc_totals', true);
BEGIN
    IF COALESCE(v_note, '') = '' THEN
        RETURN '{}'::jsonb;
    END IF;
    RETURN v_note::jsonb;
EXCEPTION WHEN data_exception THEN
    RETURN '{}'::jsonb;
END
$_gravity_memory_unsettled_arcs$;

COMMENT ON FUNCTION @extschema@._gravity_memory_unsettled_arcs() IS
    'This transaction''s note of arcs whose totals wait.';
