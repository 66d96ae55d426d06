-- _gravity_memory_table_findings(): what is wrong with the tables themselves, for gravity_memory_check().
--
-- Missing tables and columns, what keeps setup from adopting a table, derived tables that are open or have triggers of others,
-- tables that pg_dump would leave out, and autovacuum switched off. Read from the catalogues; one row of gravity_map is read where
-- its embeddings have no fixed dimension, to know which one to give them.
CREATE FUNCTION @extschema@._gravity_memory_table_findings()
RETURNS TABLE (severity text, finding text, object text, problem text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_table_findings$
DECLARE
    v_setup CONSTANT text := 'SELECT * FROM ' || @extschema@._gravity_memory_qualified_name('gravity_memory_setup') || '()';
    v_memories CONSTANT regclass := to_regclass(@extschema@._gravity_memory_qualified_name('gravity_map'));
    v_dimensions integer;
    v_has_embedding boolean := false;
BEGIN
    RETURN QUERY
    SELECT 'error', 'missing_table', t.table_name, format('The table %I does not exist.', t.table_name), v_setup
    FROM @extschema@._gravity_memory_table_catalogue() AS t
    WHERE to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name)) IS NULL;

    -- A column that setup cannot add is among the mismatches below.
    RETURN QUERY
    SELECT 'error', 'missing_column', c.table_name || '.' || c.column_name,
           format('The column %I of %I does not exist.', c.column_name, c.table_name), v_setup
    FROM @extschema@._gravity_memory_column_catalogue() AS c
    JOIN pg_class AS k ON k.oid = to_regclass(@extschema@._gravity_memory_qualified_name(c.table_name)) AND k.relkind IN ('r', 'p')
    WHERE NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = k.oid AND a.attname = c.column_name AND NOT a.attisdropped)
      AND c.modifiers <> 'NOT NULL' AND c.modifiers NOT LIKE '%gen_random_uuid()%';

    -- Its owner may have changed a table since it was adopted. Where the line ends in a statement, that is what mends it.
    RETURN QUERY
    SELECT 'error', 'table_mismatch',
           COALESCE(substring(m.line FROM '^the (?:foreign key|name) (\S+)'), split_part(m.line, ' ', 1)),
           'Setup cannot adopt it: ' || m.line || '.',
           replace(substring(m.line FROM ': (ALTER TABLE .*)$'), 'ALTER TABLE ', 'ALTER TABLE @extschema@.')
    FROM @extschema@._gravity_memory_adoption_mismatches() AS m (line)
    WHERE m.line !~ '^gravity_map\.embedding has no dimensions';

    SELECT a.atttypmod, true INTO v_dimensions, v_has_embedding
    FROM pg_attribute AS a
    JOIN pg_type AS t ON t.oid = a.atttypid
    -- Reading a view would run its code.
    JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
    WHERE a.attrelid = v_memories AND a.attname = 'embedding' AND NOT a.attisdropped AND t.typname = 'vector';
    IF v_has_embedding AND v_dimensions < 1 THEN
        IF has_column_privilege(v_memories, 'embedding', 'SELECT') THEN
            EXECUTE format('SELECT %I.vector_dims(m.embedding) FROM %s AS m WHERE m.embedding IS NOT NULL LIMIT 1',
                           @extschema@._gravity_memory_vector_schema(), @extschema@._gravity_memory_qualified_name('gravity_map'))
                INTO v_dimensions;
        END IF;
        IF v_dimensions IS NULL OR v_dimensions < 1 THEN
            v_dimensions := @extschema@._gravity_memory_embedding_dimensions();
        END IF;
        RETURN QUERY
        SELECT 'error', 'embedding_without_dimension', 'gravity_map.embedding',
               'The embeddings have no fixed dimension: pgvector indexes no such column, and vectors of another length fail searches.',
               format('ALTER TABLE %s ALTER COLUMN embedding TYPE %I.vector(%s)',
                   @extschema@._gravity_memory_qualified_name('gravity_map'),
                      @extschema@._gravity_memory_vector_schema(), v_dimensions);
    END IF;

    RETURN QUERY
    SELECT 'error', 'open_derived_table', t.table_name,
           format('Row security is off on %I: whoever was granted it reads what is derived from every memory.', t.table_name),
           format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', n.name)
    FROM @extschema@._gravity_memory_table_catalogue() AS t
    CROSS JOIN LATERAL (SELECT @extschema@._gravity_memory_qualified_name(t.table_name) AS name) AS n
    JOIN pg_class AS k ON k.oid = to_regclass(n.name)
    WHERE t.is_derived AND NOT k.relrowsecurity;

    RETURN QUERY
    SELECT 'error', 'foreign_trigger', format('%I on %I', g.tgname, t.table_name),
           format('The derived table %I has a trigger that is not ours: setup stops at it, and what is derived may be wrong.',
               t.table_name),
           format('DROP TRIGGER %I ON %s', g.tgname, n.name)
    FROM @extschema@._gravity_memory_table_catalogue() AS t
    CROSS JOIN LATERAL (SELECT @extschema@._gravity_memory_qualified_name(t.table_name) AS name) AS n
    JOIN pg_trigger AS g ON g.tgrelid = to_regclass(n.name) AND NOT g.tgisinternal
    WHERE t.is_derived;

    RETURN QUERY
    SELECT 'error', 'table_in_extension', t.table_name,
           format('%I is a member of the extension: pg_dump leaves its rows out, and DROP EXTENSION drops it.', t.table_name),
           'ALTER EXTENSION gravity_memory DROP TABLE ' || n.name
    FROM @extschema@._gravity_memory_table_catalogue() AS t
    CROSS JOIN LATERAL (SELECT @extschema@._gravity_memory_qualified_name(t.table_name) AS name) AS n
    JOIN pg_depend AS d ON d.classid = 'pg_class'::regclass AND d.objid = to_regclass(n.name) AND d.deptype = 'e'
    JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid AND e.extname = 'gravity_memory';

    -- The TOAST table, where embeddings and long contents are, has a switch of its own.
    RETURN QUERY
    SELECT 'warning', 'autovacuum_disabled', k.oid::regclass::text,
           format('Autovacuum is switched off for %s: statistics grow stale, dead rows stay, and index-only scans read the table.',
                  w.which || k.oid::regclass),
           format('ALTER TABLE %s RESET (%s)', k.oid::regclass, w.parameter)
    FROM @extschema@._gravity_memory_table_catalogue() AS t
    CROSS JOIN LATERAL (SELECT to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name)) AS oid) AS n
    JOIN pg_class AS k ON k.relkind = 'r' AND (k.oid = n.oid OR k.oid IN (SELECT p.relid FROM pg_partition_tree(n.oid) AS p))
    CROSS JOIN LATERAL (VALUES ('', 'autovacuum_enabled', k.oid),
        ('the TOAST table of ', 'toast.autovacuum_enabled', k.reltoastrelid))
         AS w (which, parameter, relation)
    JOIN pg_class AS o ON o.oid = w.relation
    CROSS JOIN LATERAL pg_options_to_table(o.reloptions) AS r
    WHERE r.option_name = 'autovacuum_enabled' AND NOT r.option_value::boolean;
END
$_gravity_memory_table_findings$;

COMMENT ON FUNCTION @extschema@._gravity_memory_table_findings() IS
    'Findings of gravity_memory_check() about tables and columns.';
