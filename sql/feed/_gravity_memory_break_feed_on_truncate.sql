-- _gravity_memory_break_feed_on_truncate(): trigger function, AFTER TRUNCATE on gravity_map, memory_arcs and memory_events.
--
-- A TRUNCATE does not say what it removed, so there is no event for each row: readers of the feed start anew. SECURITY DEFINER and faults as in
-- _gravity_memory_publish_memories().
CREATE FUNCTION @extschema@._gravity_memory_break_feed_on_truncate()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_break_feed_on_truncate$
BEGIN
    IF to_regclass('@extschema@.gravity_map') IS DISTINCT FROM TG_RELID AND to_regclass('@extschema@.memory_arcs') IS DISTINCT FROM TG_RELID
       AND to_regclass('@extschema@.memory_events') IS DISTINCT FROM TG_RELID THEN
        RAISE WARNING 'gravity_memory: % keeps what belongs to our tables and does nothing for another one', TG_NAME;
        RETURN NULL;
    END IF;
    IF @extschema@._gravity_memory_records_events(@extschema@._gravity_memory_effective_settings())
       AND @extschema@._gravity_memory_may_write_events() THEN
        PERFORM @extschema@._gravity_memory_break_feed(TG_TABLE_NAME || ' was truncated');
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'gravity_memory: readers of the feed could not be told that % was truncated: %', TG_TABLE_NAME, SQLERRM
        USING ERRCODE = SQLSTATE, HINT = 'Run SELECT * FROM gravity_memory_setup().';
    RETURN NULL;
END
$_gravity_memory_break_feed_on_truncate$;

COMMENT ON FUNCTION @extschema@._gravity_memory_break_feed_on_truncate() IS
    'Trigger function: has readers of the feed start anew after a TRUNCATE.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_break_feed_on_truncate() FROM PUBLIC;
