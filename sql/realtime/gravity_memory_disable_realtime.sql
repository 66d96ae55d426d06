-- gravity_memory_disable_realtime(p_publication): takes memories and arcs out of a publication, and leaves the publication.
--
-- Returns the tables it took out, none when none was in it. A publication FOR ALL TABLES, or for the whole schema, has no tables to take out.
-- Errors: 42704 where there is no such publication; 42501 for a role that does not own it.
CREATE FUNCTION @extschema@.gravity_memory_disable_realtime(p_publication text DEFAULT 'supabase_realtime')
RETURNS TABLE (table_name text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_disable_realtime$
DECLARE
    v_table_name text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_publication AS p WHERE p.pubname = p_publication) THEN
        RAISE EXCEPTION 'there is no publication %', COALESCE(quote_literal(p_publication), 'NULL')
            USING ERRCODE = 'undefined_object',
                  HINT = format('There are: %s.', COALESCE((SELECT string_agg(p.pubname, ', ' ORDER BY p.pubname) FROM pg_publication AS p), 'none'));
    END IF;
    FOR v_table_name IN
        SELECT t.table_name
        FROM @extschema@._gravity_memory_realtime_tables() AS t
        JOIN pg_publication_rel AS r ON r.prrelid = to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name))
        JOIN pg_publication AS p ON p.oid = r.prpubid
        WHERE p.pubname = p_publication
        ORDER BY t.table_name
    LOOP
        EXECUTE format('ALTER PUBLICATION %I DROP TABLE %s', p_publication, @extschema@._gravity_memory_qualified_name(v_table_name));
        table_name := v_table_name;
        RETURN NEXT;
    END LOOP;
END
$gravity_memory_disable_realtime$;

COMMENT ON FUNCTION @extschema@.gravity_memory_disable_realtime(text) IS
    'Takes memories and arcs out of a publication and returns which.

The publication stays. None are returned when none was in it, or when it is FOR ALL TABLES or of the whole
schema.
Errors: 42704 where there is no such publication; 42501 for a role that does not own it.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_disable_realtime(text) FROM PUBLIC;
