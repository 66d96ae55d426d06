-- _gravity_memory_mismatches_in(p_schema): why the tables of a schema cannot be adopted, one row per mismatch.
--
-- Looks at every table of the catalogue that exists in p_schema: its kind, the types of its columns, columns that cannot be added
-- to a table with rows, the unique key that foreign keys need, and columns of the arc tables that our inserts could not fill.
-- Columns that are merely missing, and columns of the application's own, are no mismatch. Returns the table; an ordinal within it;
-- the object; problem and advice, in words; remedy, the statement that mends it without losing a value, NULL where only the owner
-- can know it; and lock: what that statement locks the table with. Where values would have to be converted, the remedy renames the
-- column away, which takes a moment whatever the size; setup then adds an empty one, and the values can be copied in batches. A
-- column that setup cannot add is converted where it stands.
CREATE FUNCTION @extschema@._gravity_memory_mismatches_in(p_schema text)
RETURNS TABLE (table_name text, ordinal integer, object text, problem text, advice text, remedy text, lock text)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_mismatches_in$
    WITH existing AS (
        SELECT t.table_name, c.oid AS table_oid, c.relkind, format('%I.%I', p_schema, t.table_name) AS name,
               'ACCESS EXCLUSIVE, for a moment' AS briefly,
               format('ACCESS EXCLUSIVE while the table is rewritten (%s)',
                   pg_size_pretty(pg_total_relation_size(c.oid))) AS rewriting
        FROM @extschema@._gravity_memory_table_catalogue() AS t
        JOIN pg_class AS c ON c.oid = to_regclass(format('%I.%I', p_schema, t.table_name))
    ), wanted AS (
        SELECT e.table_name, e.table_oid, e.relkind, e.name, e.briefly, e.rewriting, w.ordinal, w.column_name, w.modifiers,
               -- The dimension of an existing embedding column is its owner's choice: types are compared without their modifier.
               regexp_replace(w.data_type, '\([0-9]+\)$', '') AS type_name, w.data_type, w.also_accepted,
               a.attnum, a.atttypid, a.atttypmod, format_type(a.atttypid, NULL) AS actual_type, a.attgenerated,
               -- Setup can add it.
               w.modifiers <> 'NOT NULL' AND w.modifiers NOT LIKE '%gen_random_uuid()%' AS is_addable
        FROM existing AS e
        JOIN @extschema@._gravity_memory_column_catalogue() AS w ON w.table_name = e.table_name
        LEFT JOIN pg_attribute AS a ON a.attrelid = e.table_oid AND a.attname = w.column_name AND NOT a.attisdropped
        WHERE e.relkind IN ('r', 'p')
    )
    SELECT m.*
    FROM (
        SELECT e.table_name, 0 AS ordinal, e.table_name AS object,
               format('%I is not a table', e.table_name) AS problem,
               'rename it away, or create the extension in another schema' AS advice,
               CASE e.relkind WHEN 'c' THEN format('ALTER TYPE %s RENAME TO %I', e.name, e.table_name || '_before')
                              ELSE format('ALTER TABLE %s RENAME TO %I', e.name, e.table_name || '_before') END AS remedy,
               e.briefly AS lock
        FROM existing AS e
        WHERE e.relkind NOT IN ('r', 'p')
        UNION ALL
        SELECT w.table_name, w.ordinal, w.table_name || '.' || w.column_name,
               format('%I.%I is %s, must be %s', w.table_name, w.column_name, w.actual_type, w.data_type),
               format('convert it, or rename it away and setup adds an empty %I, then copy the values', w.column_name),
               CASE WHEN c.is_convertible THEN
                        format('ALTER TABLE %s ALTER COLUMN %I TYPE %s', w.name, w.column_name, w.data_type)
                    WHEN w.is_addable THEN
                        format('ALTER TABLE %s RENAME COLUMN %I TO %I', w.name, w.column_name, w.column_name || '_before') END,
               CASE WHEN c.is_convertible THEN w.rewriting WHEN w.is_addable THEN w.briefly END
        FROM wanted AS w
        CROSS JOIN LATERAL (
            SELECT (w.type_name = 'text' AND NOT w.is_addable)
                OR EXISTS (SELECT FROM pg_cast AS k
                           WHERE k.castsource = w.atttypid AND k.casttarget = to_regtype(w.type_name) AND k.castcontext <> 'e')
                AS is_convertible
        ) AS c
        WHERE w.attnum IS NOT NULL
          -- format_type() leaves out the schema of a type that is visible, which under our search_path pgvector's never is.
          AND w.actual_type <> w.type_name
          AND w.actual_type <> ALL (w.also_accepted)
        UNION ALL
        SELECT w.table_name, w.ordinal, w.table_name || '.' || w.column_name,
               format('%I.%I is generated, must be an ordinary column', w.table_name, w.column_name),
               format('ALTER TABLE %I ALTER COLUMN %I DROP EXPRESSION', w.table_name, w.column_name),
               -- Only what is stored can stay when its expression goes.
               CASE WHEN w.attgenerated = 's' THEN format('ALTER TABLE %s ALTER COLUMN %I DROP EXPRESSION', w.name, w.column_name)
                    WHEN w.is_addable THEN
                        format('ALTER TABLE %s RENAME COLUMN %I TO %I', w.name, w.column_name, w.column_name || '_before') END,
               w.briefly
        FROM wanted AS w
        WHERE w.attgenerated <> ''
        UNION ALL
        SELECT w.table_name, w.ordinal, w.table_name || '.' || w.column_name,
               format('%I.%I is missing and cannot be added to a table with rows', w.table_name, w.column_name),
               format('rename the column that holds it, or add it as %s %s', w.data_type, w.modifiers),
               -- The live application's key of memory_arcs is called arc_id.
               'ALTER TABLE ' || w.name || ' RENAME COLUMN ' || quote_ident(k.attname) || ' TO ' || quote_ident(w.column_name),
               CASE WHEN k.attname IS NOT NULL THEN w.briefly END
        FROM wanted AS w
        LEFT JOIN LATERAL (
            SELECT a.attname
            FROM pg_index AS i
            JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]
            WHERE i.indrelid = w.table_oid AND i.indisprimary AND i.indnkeyatts = 1
              AND w.column_name = 'id' AND format_type(a.atttypid, NULL) = w.type_name
        ) AS k ON true
        WHERE w.attnum IS NULL AND NOT w.is_addable
        UNION ALL
        SELECT w.table_name, w.ordinal, w.table_name || '.' || w.column_name,
               format('%I.%I has %s dimensions, must have from 1 to 2000, for the indexes of pgvector',
                      w.table_name, w.column_name, CASE WHEN w.atttypmod < 0 THEN 'no' ELSE 'too many' END),
               format('ALTER TABLE %I ALTER COLUMN %I TYPE %s', w.table_name, w.column_name, w.data_type),
               CASE WHEN w.atttypmod < 0 THEN format('ALTER TABLE %s ALTER COLUMN %I TYPE %s', w.name, w.column_name, w.data_type)
                    ELSE format('ALTER TABLE %s RENAME COLUMN %I TO %I', w.name, w.column_name, w.column_name || '_before') END,
               CASE WHEN w.atttypmod < 0 THEN w.rewriting ELSE w.briefly END
        FROM wanted AS w
        WHERE w.attnum IS NOT NULL AND w.column_name = 'embedding' AND w.actual_type = w.type_name
          AND (w.atttypmod < 0 OR w.atttypmod > 2000)
        UNION ALL
        SELECT e.table_name, 150, format('%s.%I', e.table_name, k.conname),
               format('the foreign key %I of %I would refuse the deletion of memories that arcs link', k.conname, e.table_name),
               'make it ON DELETE CASCADE',
               format('ALTER TABLE %s DROP CONSTRAINT %I, ADD CONSTRAINT %I FOREIGN KEY (%s) REFERENCES %s (%s) ON DELETE CASCADE%s',
                      e.name, k.conname, k.conname, f.columns, k.confrelid::regclass, f.referenced,
                      CASE e.relkind WHEN 'p' THEN '' ELSE ' NOT VALID' END),
               'ACCESS EXCLUSIVE on both tables, for a moment; VALIDATE CONSTRAINT afterwards locks nobody out'
        FROM existing AS e
        JOIN pg_constraint AS k ON k.conrelid = e.table_oid AND k.contype = 'f' AND k.confdeltype <> 'c'
        CROSS JOIN LATERAL (
            SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY u.n) AS columns,
                   string_agg(quote_ident(b.attname), ', ' ORDER BY u.n) AS referenced
            FROM unnest(k.conkey, k.confkey) WITH ORDINALITY AS u (own, other, n)
            JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = u.own
            JOIN pg_attribute AS b ON b.attrelid = k.confrelid AND b.attnum = u.other
        ) AS f
        WHERE e.table_name = 'memory_arc_associations'
          AND k.confrelid = ANY (ARRAY(SELECT x.table_oid FROM existing AS x WHERE x.table_name IN ('gravity_map', 'memory_arcs')))
        UNION ALL
        SELECT c.table_name, 200, c.index_name,
               format('the name %I belongs to another relation, and %I needs it for an index', c.index_name, c.table_name),
               'rename that relation',
               CASE o.relkind WHEN 'c' THEN format('ALTER TYPE %I.%I RENAME TO %I', p_schema, c.index_name, c.index_name
                   || '_before')
                              WHEN 'i' THEN format('ALTER INDEX %I.%I RENAME TO %I', p_schema, c.index_name, c.index_name
                                  || '_before')
                              ELSE format('ALTER TABLE %I.%I RENAME TO %I', p_schema, c.index_name, c.index_name || '_before') END,
               CASE o.relkind WHEN 'i' THEN 'SHARE UPDATE EXCLUSIVE on the index: nobody waits'
                              ELSE 'ACCESS EXCLUSIVE on that relation, for a moment' END
        FROM @extschema@.gravity_memory_index_catalogue() AS c
        JOIN pg_class AS o ON o.oid = to_regclass(format('%I.%I', p_schema, c.index_name))
        WHERE NOT EXISTS (SELECT FROM pg_index AS i
                          WHERE i.indexrelid = o.oid AND i.indrelid = to_regclass(format('%I.%I', p_schema, c.table_name)))
        UNION ALL
        SELECT w.table_name, 100, w.table_name || '.' || w.column_name,
               format('%I has no primary key or unique constraint on (%I)', w.table_name, w.column_name),
               format('ALTER TABLE %I ADD PRIMARY KEY (%I)', w.table_name, w.column_name),
               CASE w.relkind WHEN 'p' THEN format('ALTER TABLE %s ADD UNIQUE (%I)', w.name, w.column_name)
                              ELSE format('CREATE UNIQUE INDEX CONCURRENTLY ON %s (%I)', w.name, w.column_name) END,
               CASE w.relkind WHEN 'p' THEN 'ACCESS EXCLUSIVE while the index is built'
                   ELSE 'SHARE UPDATE EXCLUSIVE: nobody waits' END
        FROM wanted AS w
        WHERE w.table_name IN ('gravity_map', 'memory_arcs') AND w.column_name = 'id' AND w.attnum IS NOT NULL
          AND NOT EXISTS (SELECT FROM pg_index AS i
                          WHERE i.indrelid = w.table_oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
                            AND i.indnkeyatts = 1 AND i.indkey[0] = w.attnum)
        UNION ALL
        SELECT e.table_name, 100 + a.attnum, format('%s.%I', e.table_name, a.attname),
               format('%I.%I is NOT NULL without a default, so arcs could not be written', e.table_name, a.attname),
               'give it a default or drop NOT NULL',
               CASE WHEN NOT EXISTS (SELECT FROM pg_index AS i
                                     WHERE i.indrelid = e.table_oid AND i.indisprimary AND a.attnum = ANY (i.indkey))
                    THEN format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL', e.name, a.attname) END,
               e.briefly
        FROM existing AS e
        JOIN pg_attribute AS a ON a.attrelid = e.table_oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE e.table_name IN ('memory_arcs', 'memory_arc_associations')
          AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND a.attgenerated = ''
          AND NOT EXISTS (SELECT FROM @extschema@._gravity_memory_column_catalogue() AS w
                          WHERE w.table_name = e.table_name AND w.column_name = a.attname)
    ) AS m (table_name, ordinal, object, problem, advice, remedy, lock)
$_gravity_memory_mismatches_in$;

COMMENT ON FUNCTION @extschema@._gravity_memory_mismatches_in(text) IS
    'Why the tables of a schema cannot be adopted: one row per mismatch, with what to do.';
