-- Creates or adopts the tables, unless a dump is being restored, or the session said SET gravity_memory.setup = off.
--
-- A restore brings the tables, their rows, triggers and jobs itself; what CREATE EXTENSION made before would be in its way (a
-- job inserted here makes COPY cron.job fail and loses the other jobs). pg_dump and pg_restore say SET row_security = off, and
-- nobody else does. With gravity_memory.setup = off, no table is touched: the functions are there for a look at what setup would
-- do, and setup is called when its time has come.
DO $install$
DECLARE
    -- Empty where a session or transaction set it and took it back.
    v_setup CONSTANT text := pg_catalog.lower(pg_catalog.btrim(
        COALESCE(pg_catalog.current_setting('gravity_memory.setup', true), '')));
BEGIN
    IF pg_catalog.current_setting('row_security') OPERATOR(pg_catalog.<>) 'on' THEN
        RETURN;
    END IF;
    IF v_setup OPERATOR(pg_catalog.<>) ALL ('{on,off,""}'::pg_catalog.text[]) THEN
        RAISE EXCEPTION 'gravity_memory.setup must be on or off, not %', pg_catalog.quote_literal(v_setup)
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'RESET gravity_memory.setup; or SET gravity_memory.setup = off for the functions alone, without tables and '
                         'triggers.';
    END IF;
    -- CREATE EXTENSION hides notices; setup's say what is left to do, and are meant to be read.
    IF pg_catalog.current_setting('client_min_messages') OPERATOR(pg_catalog.=) 'warning' THEN
        PERFORM pg_catalog.set_config('client_min_messages', 'notice', true);
    END IF;
    IF v_setup OPERATOR(pg_catalog.=) 'off' THEN
        RAISE NOTICE 'gravity_memory: its functions are there; gravity_memory.setup is off, so that no table was touched.'
            USING HINT = 'SELECT * FROM @extschema@.gravity_memory_adoption_report() says what is to do, '
                         'SELECT * FROM @extschema@.gravity_memory_setup() does it.';
        RETURN;
    END IF;
    PERFORM @extschema@.gravity_memory_setup();
END
$install$;
