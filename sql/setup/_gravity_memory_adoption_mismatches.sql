-- _gravity_memory_adoption_mismatches(): why existing tables cannot be adopted, one line per mismatch, each with what to do.
--
-- Looks at every table of the catalogue that exists: its kind, the types of its columns, columns that cannot be added to a table
-- with rows, the unique key that foreign keys need, and columns of the arc tables that our inserts could not fill.
-- Columns that are merely missing, and columns of the application's own, are no mismatch. Returns nothing when all fits.
CREATE FUNCTION @extschema@._gravity_memory_adoption_mismatches()
RETURNS SETOF text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_adoption_mismatches$
    WITH existing AS (
        SELECT t.table_name, c.oid AS table_oid, c.relkind
        FROM @extschema@._gravity_memory_table_catalogue() AS t
        JOIN pg_class AS c ON c.oid = to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name))
    ), wanted AS (
        SELECT e.table_name, e.table_oid, w.ordinal, w.column_name, w.modifiers,
               -- The dimension of an existing embedding column is its owner's choice: types are compared without their modifier.
               regexp_replace(w.data_type, '\([0-9]+\)$', '') AS type_name, w.data_type, w.also_accepted,
               a.attnum, format_type(a.atttypid, NULL) AS actual_type, a.attgenerated
        FROM existing AS e
        JOIN @extschema@._gravity_memory_column_catalogue() AS w ON w.table_name = e.table_name
        LEFT JOIN pg_attribute AS a ON a.attrelid = e.table_oid AND a.attname = w.column_name AND NOT a.attisdropped
        WHERE e.relkind IN ('r', 'p')
    )
    SELECT m.problem
    FROM (
        SELECT e.table_name, 0 AS ordinal,
               format('%I is not a table: rename it away, or create the extension in another schema', e.table_name) AS problem
        FROM existing AS e
        WHERE e.relkind NOT IN ('r', 'p')
        UNION ALL
        SELECT w.table_name, w.ordinal,
               format('%I.%I is %s, must be %s: convert it, or rename it away and setup adds an empty %I, then copy the values',
                      w.table_name, w.column_name, w.actual_type, w.data_type, w.column_name)
        FROM wanted AS w
        WHERE w.attnum IS NOT NULL
          -- format_type() leaves out the schema of a type that is visible, which under our search_path pgvector's never is.
          AND w.actual_type <> w.type_name
          AND w.actual_type <> ALL (w.also_accepted)
        UNION ALL
        SELECT w.table_name, w.ordinal,
               format('%I.%I is generated, must be an ordinary column: ALTER TABLE %I ALTER COLUMN %I DROP EXPRESSION',
                      w.table_name, w.column_name, w.table_name, w.column_name)
        FROM wanted AS w
        WHERE w.attgenerated <> ''
        UNION ALL
        SELECT w.table_name, w.ordinal,
               format('%I.%I is missing and cannot be added to a table with rows: rename the column that holds it, or add it as %s %s',
                      w.table_name, w.column_name, w.data_type, w.modifiers)
        FROM wanted AS w
        WHERE w.attnum IS NULL
          AND (w.modifiers = 'NOT NULL' OR w.modifiers LIKE '%gen_random_uuid()%')
        UNION ALL
        SELECT w.table_name, w.ordinal,
               format('%I.%I has %s dimensions, must have from 1 to 2000, for the indexes of pgvector: ALTER TABLE %I ALTER COLUMN %I TYPE %s',
                      w.table_name, w.column_name, CASE WHEN a.atttypmod < 0 THEN 'no' ELSE 'too many' END,
                      w.table_name, w.column_name, w.data_type)
        FROM wanted AS w
        JOIN pg_attribute AS a ON a.attrelid = w.table_oid AND a.attnum = w.attnum
        WHERE w.column_name = 'embedding' AND w.actual_type = w.type_name AND (a.atttypmod < 0 OR a.atttypmod > 2000)
        UNION ALL
        SELECT e.table_name, 150,
               format('the foreign key %I of %I would refuse the deletion of memories that arcs link: make it ON DELETE CASCADE',
                      k.conname, e.table_name)
        FROM existing AS e
        JOIN pg_constraint AS k ON k.conrelid = e.table_oid AND k.contype = 'f' AND k.confdeltype <> 'c'
        WHERE e.table_name = 'memory_arc_associations'
          AND k.confrelid = ANY (ARRAY(SELECT x.table_oid FROM existing AS x WHERE x.table_name IN ('gravity_map', 'memory_arcs')))
        UNION ALL
        SELECT c.table_name, 200,
               format('the name %I belongs to another relation, and %I needs it for an index: rename that relation',
                      c.index_name, c.table_name)
        FROM @extschema@.gravity_memory_index_catalogue() AS c
        JOIN pg_class AS o ON o.oid = to_regclass(@extschema@._gravity_memory_qualified_name(c.index_name))
        WHERE NOT EXISTS (SELECT FROM pg_index AS i
                          WHERE i.indexrelid = o.oid
                            AND i.indrelid = to_regclass(@extschema@._gravity_memory_qualified_name(c.table_name)))
        UNION ALL
        SELECT w.table_name, 100,
               format('%I has no primary key or unique constraint on (%I): ALTER TABLE %I ADD PRIMARY KEY (%I)',
                      w.table_name, w.column_name, w.table_name, w.column_name)
        FROM wanted AS w
        WHERE w.table_name IN ('gravity_map', 'memory_arcs') AND w.column_name = 'id' AND w.attnum IS NOT NULL
          AND NOT EXISTS (SELECT FROM pg_index AS i
                          WHERE i.indrelid = w.table_oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL
                            AND i.indnkeyatts = 1 AND i.indkey[0] = w.attnum)
        UNION ALL
        SELECT e.table_name, 100 + a.attnum,
               format('%I.%I is NOT NULL without a default, so arcs could not be written: give it a default or drop NOT NULL',
                      e.table_name, a.attname)
        FROM existing AS e
        JOIN pg_attribute AS a ON a.attrelid = e.table_oid AND a.attnum > 0 AND NOT a.attisdropped
        WHERE e.table_name IN ('memory_arcs', 'memory_arc_associations')
          AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND a.attgenerated = ''
          AND NOT EXISTS (SELECT FROM @extschema@._gravity_memory_column_catalogue() AS w
                          WHERE w.table_name = e.table_name AND w.column_name = a.attname)
    ) AS m (table_name, ordinal, problem)
    ORDER BY m.table_name, m.ordinal, m.problem
$_gravity_memory_adoption_mismatches$;

COMMENT ON FUNCTION @extschema@._gravity_memory_adoption_mismatches() IS
    'Why existing tables cannot be adopted: one line per mismatch, with what to do.';
