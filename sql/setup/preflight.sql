-- Refuses, with the way out, a schema where the specification's functions were made by hand.
--
-- CREATE FUNCTION would stop at the first of them with an error that says nothing of the others.
DO $preflight$
DECLARE
    v_functions text;
BEGIN
    SELECT pg_catalog.string_agg(p.oid::pg_catalog.regprocedure::pg_catalog.text, ', ')
    INTO v_functions
    FROM pg_catalog.pg_proc AS p
    WHERE p.pronamespace OPERATOR(pg_catalog.=) '@extschema@'::pg_catalog.regnamespace
      AND p.pronargs OPERATOR(pg_catalog.=) 0
      AND p.proname OPERATOR(pg_catalog.=) ANY (
            ARRAY['auto_tag_high_gravity', 'notify_memory_created', 'trigger_arc_building', 'cleanup_old_cache']::pg_catalog.name[]);
    IF v_functions IS NOT NULL THEN
        RAISE EXCEPTION 'functions that gravity_memory brings exist already: %', v_functions
            USING ERRCODE = 'duplicate_function',
                  HINT = pg_catalog.format('Run DROP FUNCTION %s CASCADE; it drops their triggers too, and no row. Then try again.',
                                           v_functions);
    END IF;
END
$preflight$;
