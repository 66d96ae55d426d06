-- gravity_memory_import_user(p_user_id, p_lines): makes the rows that gravity_memory_export_user() wrote.
--
-- p_lines: the lines, all at once, or in their order in several calls, for a user whose export is larger than memory. Rows that are
-- there, by any
-- key, are left as they are, so that importing twice changes nothing; events are left out, because they tell what happened elsewhere.
-- Tags, arcs and totals stay as they were exported and nobody is notified: the triggers see gravity_memory.importing, set for this
-- call. Whoever sets
-- it for a transaction of their own does without them. What recall reads is derived as for any insert, and the feed records the rows.
-- Sequences of the application's identity columns are not moved on.
-- Returns one row per table of the lines: how many rows were inserted, and how many left out, because a row with one of their keys is there.
-- Errors: 22004 for NULL; 22023 for lines of another user, of another format, or that are no export, 22P02 for those that are no
-- JSON; 42703 where
-- the table lacks a column of the export; 23503 for links to rows that are not there; those of the tables themselves, as for
-- embeddings of another
-- dimension; 55000 when a table is missing; 42501 for whoever may not write all of it. Nothing is imported then.
CREATE FUNCTION @extschema@.gravity_memory_import_user(p_user_id text, p_lines text[])
RETURNS TABLE (table_name text, inserted bigint, left_out bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET datestyle = 'ISO, YMD'
SET intervalstyle = 'postgres'
AS $gravity_memory_import_user$
DECLARE
    v_lines json[];
    v_rows record;
    v_columns text[];
    v_missing text;
    v_problem text;
    v_importing text;
BEGIN
    PERFORM @extschema@._gravity_memory_check_erasure('gravity_memory_import_user', p_user_id);
    IF p_lines IS NULL THEN
        RAISE EXCEPTION 'gravity_memory_import_user(): p_lines must not be NULL'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Pass the lines that gravity_memory_export_user() returned.';
    END IF;
    BEGIN
        v_lines := ARRAY(SELECT CASE WHEN l.line ~ '\S' THEN l.line::json END
                         FROM unnest(p_lines) WITH ORDINALITY AS l (line, number) ORDER BY l.number);
    EXCEPTION WHEN invalid_text_representation THEN
        v_problem := SQLERRM;
        FOR v_number IN 1 .. cardinality(p_lines) LOOP
            BEGIN
                PERFORM CASE WHEN p_lines[v_number] ~ '\S' THEN p_lines[v_number]::json END;
            EXCEPTION WHEN invalid_text_representation THEN
                v_problem := format('line %s: %s', v_number, SQLERRM);
                EXIT;
            END;
        END LOOP;
        RAISE EXCEPTION 'gravity_memory_import_user(): no JSON, %', v_problem
            USING ERRCODE = 'invalid_text_representation',
                  HINT = 'Pass each line of gravity_memory_export_user() as one element, as it was written.';
    END;

    SELECT CASE
               WHEN json_typeof(l.line) <> 'object' OR (l.line -> 'gravity_memory' IS NULL) = (l.line -> 'table' IS NULL) THEN
                   format('line %s is no line of an export', l.number)
               WHEN l.line -> 'gravity_memory' IS NOT NULL THEN
                   CASE WHEN l.line ->> 'format' IS DISTINCT FROM '1' THEN format('the format %s is not known', l.line -> 'format')
                        ELSE format('the lines are those of the user %s', l.line -> 'user_id') END
               WHEN c.table_name IS NULL THEN format('line %s: there is no table %s', l.number, l.line -> 'table')
               ELSE format('line %s belongs to the user %s', l.number, COALESCE(l.line -> 'row' ->> 'user_id', 'NULL'))
           END
    INTO v_problem
    FROM unnest(v_lines) WITH ORDINALITY AS l (line, number)
    LEFT JOIN @extschema@._gravity_memory_erasure_catalogue() AS c ON c.export_order IS NOT NULL AND c.table_name =
        CASE WHEN json_typeof(l.line) = 'object' THEN l.line ->> 'table' END
    WHERE l.line IS NOT NULL AND CASE
              WHEN json_typeof(l.line) <> 'object' THEN true
              WHEN l.line -> 'table' IS NULL THEN
                  l.line -> 'gravity_memory' IS NULL OR (l.line ->> 'user_id' = p_user_id AND l.line ->> 'format' = '1') IS NOT TRUE
              ELSE l.line -> 'gravity_memory' IS NOT NULL OR c.table_name IS NULL OR COALESCE(json_typeof(l.line -> 'row'), '') <> 'object'
                   OR l.line ->> 'row' ~ '^\s*\{\s*\}\s*$'
                   OR (l.line -> 'row' ->> 'user_id' IS DISTINCT FROM p_user_id
                       AND NOT (c.table_name = 'memory_arc_associations' AND l.line -> 'row' ->> 'user_id' IS NULL))
          END
    ORDER BY l.number
    LIMIT 1;
    IF v_problem IS NOT NULL THEN
        RAISE EXCEPTION 'gravity_memory_import_user(): %', v_problem
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Pass the lines that gravity_memory_export_user() returned for this user; nothing was imported.';
    END IF;

    v_importing := COALESCE(current_setting('gravity_memory.importing', true), '');
    PERFORM set_config('gravity_memory.importing', 'on', true);
    FOR v_rows IN
        SELECT c.table_name, r.relation, array_agg(l.line ORDER BY l.number) AS lines,
               -- The keys of the longest row; a row that lacks one holds nothing there.
               (SELECT array_agg(k.name ORDER BY k.name)
                FROM (SELECT DISTINCT json_object_keys(x.line -> 'row') AS name
                      FROM unnest(array_agg(l.line)) AS x (line)) AS k) AS names
        FROM unnest(v_lines) WITH ORDINALITY AS l (line, number)
        JOIN @extschema@._gravity_memory_erasure_catalogue() AS c ON c.table_name = l.line ->> 'table'
        CROSS JOIN LATERAL (SELECT @extschema@._gravity_memory_qualified_name(c.table_name)::regclass AS relation) AS r
        GROUP BY c.table_name, r.relation, c.export_order
        ORDER BY c.export_order
    LOOP
        table_name := v_rows.table_name;
        left_out := cardinality(v_rows.lines);
        inserted := 0;
        IF v_rows.table_name <> 'memory_events' THEN
            SELECT string_agg(quote_ident(n.name), ', ' ORDER BY n.name) INTO v_missing
            FROM unnest(v_rows.names) AS n (name)
            WHERE NOT EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = v_rows.relation AND a.attname = n.name
                                AND a.attnum > 0 AND NOT a.attisdropped);
            IF v_missing IS NOT NULL THEN
                RAISE EXCEPTION 'the table % lacks columns of the export: %', v_rows.table_name, v_missing
                    USING ERRCODE = 'undefined_column', HINT = 'Add them as they are in the database that the rows come from; nothing was imported.';
            END IF;
            v_columns := ARRAY(SELECT a.attname::text FROM pg_attribute AS a
                               WHERE a.attrelid = v_rows.relation AND a.attname = ANY (v_rows.names) AND a.attgenerated = ''
                               ORDER BY a.attnum);
            BEGIN
                EXECUTE format(
                    'INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM unnest($1) AS l (line) '
                    'CROSS JOIN LATERAL json_populate_record(NULL::%s, l.line -> ''row'') AS r ON CONFLICT DO NOTHING',
                    v_rows.relation,
                    (SELECT string_agg(quote_ident(n.name), ', ' ORDER BY n.number)
                     FROM unnest(v_columns) WITH ORDINALITY AS n (name, number)),
                    (SELECT string_agg(
                         CASE WHEN COALESCE(NULLIF(y.typbasetype, 0), y.oid) IN ('json'::regtype, 'jsonb'::regtype)
                              THEN format('CASE WHEN (l.line -> ''json_nulls'')::jsonb ? %L THEN ''null'' ELSE r.%I END', n.name, n.name)
                              ELSE format('r.%I', n.name) END, ', ' ORDER BY n.number)
                     FROM unnest(v_columns) WITH ORDINALITY AS n (name, number)
                     JOIN pg_attribute AS a ON a.attrelid = v_rows.relation AND a.attname = n.name
                     JOIN pg_type AS y ON y.oid = a.atttypid),
                    v_rows.relation)
                USING v_rows.lines;
            EXCEPTION WHEN foreign_key_violation THEN
                RAISE EXCEPTION 'gravity_memory_import_user(): rows of % refer to what is not there: %', v_rows.table_name, SQLERRM
                    USING ERRCODE = 'foreign_key_violation',
                          HINT = 'Import the lines in their order, for a user who has no memories and arcs here yet; see gravity_memory_forget_user().';
            END;
            GET DIAGNOSTICS inserted = ROW_COUNT;
            left_out := left_out - inserted;
        END IF;
        RETURN NEXT;
    END LOOP;
    PERFORM set_config('gravity_memory.importing', v_importing, true);

    IF EXISTS (SELECT
               FROM unnest(v_lines) AS l (line)
               LEFT JOIN @extschema@.gravity_map AS m ON m.id = (l.line -> 'row' ->> 'memory_id')::uuid AND m.user_id = p_user_id
               LEFT JOIN @extschema@.memory_arcs AS a ON a.id = (l.line -> 'row' ->> 'arc_id')::uuid AND a.user_id = p_user_id
               WHERE l.line ->> 'table' = 'memory_arc_associations' AND (m.id IS NULL OR a.id IS NULL)) THEN
        RAISE EXCEPTION 'gravity_memory_import_user(): a link leads to a memory or an arc of another user'
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'Pass the lines that gravity_memory_export_user() returned for this user; nothing was imported.';
    END IF;
END
$gravity_memory_import_user$;

COMMENT ON FUNCTION @extschema@.gravity_memory_import_user(text, text[]) IS
    'Makes the rows that gravity_memory_export_user() wrote for a user; returns one row per table with the numbers inserted and left out.

p_lines: all lines at once, or in their order in several calls. Rows that are there stay as they are, so that
importing twice changes nothing; events are left out. Tags, arcs and totals come as they were exported, and
nobody is notified.
Errors: 22004 for NULL; 22023 for lines of another user or format; 22P02 for lines that are no JSON; 42703 where
a table lacks a column; 23503 for links to rows that are not there; 55000 when a table is missing; 42501 for who
may not write all of it; those of the tables. Nothing is imported then.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_import_user(text, text[]) FROM PUBLIC;
