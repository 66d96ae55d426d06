-- _gravity_memory_adoption_indexes(p_schema): what gravity_memory_adoption_report() says of indexes.
--
-- Those that are missing or invalid, and whether setup builds them at once (on tables up to setup_index_limit) or leaves them to
-- gravity_memory_index_ddl(), which builds concurrently; those of our names with another definition, which setup keeps; and those
-- of other names that serve the same, which need nothing but our name. Whether the two on embedding suit the rows is judged as
-- setup does.
CREATE FUNCTION @extschema@._gravity_memory_adoption_indexes(p_schema text)
RETURNS TABLE (severity text, finding text, object text, present text, plan text, lock text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_adoption_indexes$
DECLARE
    v_settings CONSTANT jsonb := @extschema@._gravity_memory_settings_in(p_schema);
    v_limit CONSTANT numeric := 1024 * 1024 * (v_settings ->> 'setup_index_limit')::numeric;
    v_method CONSTANT text := v_settings ->> 'embedding_index';
    v_min_rows CONSTANT bigint := (v_settings ->> 'embedding_index_min_rows')::bigint;
    v_memories CONSTANT regclass := (SELECT c.oid FROM pg_class AS c
                                     WHERE c.oid = to_regclass(format('%I.%I', p_schema, 'gravity_map')) AND c.relkind IN ('r',
                                         'p'));
    v_at_once CONSTANT text := 'SHARE while it is built and until the transaction is over: writers wait';
    v_concurrently CONSTANT text := 'SHARE UPDATE EXCLUSIVE: nobody waits';
    v_dimensions integer;
    v_is_large boolean;
    v_pages bigint;
    v_rows double precision;
    v_may_look boolean := false;
BEGIN
    RETURN QUERY
    WITH tables AS (
        SELECT t.table_name, k.oid, k.relkind, format('%I.%I', p_schema, t.table_name) AS name,
               pg_table_size(k.oid) + COALESCE((SELECT sum(pg_table_size(p.relid)) FROM pg_partition_tree(k.oid) AS p
                                                WHERE p.isleaf AND p.relid <> k.oid), 0) AS bytes,
               CASE k.relkind WHEN 'p' THEN '' ELSE ' CONCURRENTLY' END AS word
        FROM @extschema@._gravity_memory_table_catalogue() AS t
        JOIN pg_class AS k ON k.oid = to_regclass(format('%I.%I', p_schema, t.table_name)) AND k.relkind IN ('r', 'p')
    ), existing AS (
        SELECT i.indrelid, i.indexrelid, c.relname, i.indisvalid, i.indisunique,
               substring(pg_get_indexdef(i.indexrelid) FROM ' (USING .*)$') AS definition,
               EXISTS (SELECT FROM pg_constraint AS k WHERE k.conindid = i.indexrelid) AS is_constraint
        FROM pg_index AS i
        JOIN pg_class AS c ON c.oid = i.indexrelid
        WHERE i.indrelid IN (SELECT t.oid FROM tables AS t)
    ), wanted AS (
        SELECT c.index_name, c.is_unique, c.definition, t.oid AS table_oid, t.name, t.bytes, t.word, t.relkind, e.indexrelid,
            e.indisvalid,
               e.indisunique, e.definition AS own_definition,
               (SELECT min(o.relname) FROM existing AS o
                WHERE o.indrelid = t.oid AND o.relname <> c.index_name AND o.indisvalid AND NOT o.is_constraint
                  AND (o.indisunique OR NOT c.is_unique)
                  AND @extschema@._gravity_memory_plain_index_definition(o.definition)
                      = @extschema@._gravity_memory_plain_index_definition(c.definition)) AS same
        FROM @extschema@.gravity_memory_index_catalogue() AS c
        JOIN tables AS t ON t.table_name = c.table_name
        LEFT JOIN existing AS e ON e.indrelid = t.oid AND e.relname = c.index_name
        WHERE c.index_name !~ '^idx_gravity_map_embedding_'
    )
    SELECT 'change', CASE WHEN w.indexrelid IS NULL THEN 'missing_index' ELSE 'invalid_index' END, w.index_name,
           CASE WHEN w.indexrelid IS NULL THEN 'There is none of this name.'
                ELSE 'It is invalid, after a build that failed or was interrupted.' END,
           CASE WHEN w.bytes <= v_limit THEN 'create index, at once: '
               ELSE 'create index, afterwards by gravity_memory_index_ddl(): ' END
               || CASE WHEN w.indexrelid IS NULL THEN '' ELSE 'DROP INDEX, then ' END
               || format('CREATE%s INDEX%s %I ON %s %s', CASE WHEN w.is_unique THEN ' UNIQUE' ELSE '' END,
                         CASE WHEN w.bytes <= v_limit THEN '' ELSE w.word END, w.index_name, w.name, w.definition),
           CASE WHEN w.bytes <= v_limit THEN v_at_once WHEN w.relkind = 'p' THEN 'SHARE while it is built: writers wait'
                ELSE v_concurrently END,
           NULL::text
    FROM wanted AS w
    WHERE w.indisvalid IS NOT TRUE AND w.same IS NULL
    UNION ALL
    SELECT 'change', 'same_index', w.index_name, format('%I serves the same, under another name.', w.same),
           CASE WHEN w.bytes <= v_limit THEN 'create index, at once'
               ELSE 'create index, afterwards by gravity_memory_index_ddl()' END
               || '; unless the other one is renamed before, which spares a second index',
           'SHARE UPDATE EXCLUSIVE on the index: nobody waits',
           -- What is invalid and has the name goes first.
           COALESCE('DROP INDEX' || w.word || ' ' || w.indexrelid::regclass::text,
                    format('ALTER INDEX %I.%I RENAME TO %I', p_schema, w.same, w.index_name))
    FROM wanted AS w
    WHERE w.indisvalid IS NOT TRUE AND w.same IS NOT NULL
    UNION ALL
    SELECT 'note', 'changed_index', w.index_name,
           format('It is %s%s; ours would be %s%s.', CASE WHEN w.indisunique THEN 'UNIQUE ' ELSE '' END, w.own_definition,
                  CASE WHEN w.is_unique THEN 'UNIQUE ' ELSE '' END, w.definition),
           'Keep it, whatever it is good for. Dropped, it is built anew like a missing one.',
           CASE w.relkind WHEN 'p' THEN 'ACCESS EXCLUSIVE, for a moment' ELSE v_concurrently END,
           format('DROP INDEX%s %s', w.word, w.indexrelid::regclass)
    FROM wanted AS w
    WHERE w.indisvalid
      AND (@extschema@._gravity_memory_plain_index_definition(w.own_definition)
               <> @extschema@._gravity_memory_plain_index_definition(w.definition)
           OR w.indisunique <> w.is_unique)
    UNION ALL
    SELECT 'note', 'invalid_index', e.relname::text,
        'It is invalid, after a build that failed or was interrupted: it costs writers and serves nobody.',
           'Keep it.', v_concurrently, format('DROP INDEX%s %s', t.word, e.indexrelid::regclass)
    FROM existing AS e
    JOIN tables AS t ON t.oid = e.indrelid
    WHERE NOT e.indisvalid AND NOT EXISTS (SELECT FROM wanted AS w WHERE w.index_name = e.relname)
      AND e.relname !~ '^idx_gravity_map_embedding_(cosine|l2)$';

    IF v_memories IS NULL THEN
        RETURN;
    END IF;
    -- As _gravity_memory_superseded_indexes() has it, whose tables are those of our own schema.
    RETURN QUERY
    SELECT 'change', 'unsuitable_index', c.relname::text, 'An earlier version made it.',
           'drop index: idx_gravity_map_session_turns, read backwards, gives the same order',
           'ACCESS EXCLUSIVE until the transaction is over: readers and writers wait', NULL::text
    FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indexrelid
    WHERE i.indrelid = v_memories AND c.relname = 'idx_gravity_map_user_session'
      AND pg_get_indexdef(i.indexrelid) LIKE '% USING btree (user\_id, session\_id, created\_at DESC) WHERE (session\_id IS NOT NULL)';

    -- The two on embedding.
    SELECT a.atttypmod, has_column_privilege(a.attrelid, a.attnum, 'SELECT') AND NOT row_security_active(a.attrelid)
    INTO v_dimensions, v_may_look
    FROM pg_attribute AS a
    JOIN pg_type AS t ON t.oid = a.atttypid AND t.typname = 'vector'
    WHERE a.attrelid = v_memories AND a.attname = 'embedding' AND NOT a.attisdropped;
    IF v_dimensions IS NULL THEN
        RETURN;
    END IF;
    SELECT sum(pg_relation_size(c.oid)) / current_setting('block_size')::integer,
           sum(c.reltuples / NULLIF(c.relpages, 0) * pg_relation_size(c.oid) / current_setting('block_size')::integer
               * (1 - t.null_frac)) FILTER (WHERE c.reltuples > 0)
    INTO v_pages, v_rows
    FROM pg_class AS c
    JOIN pg_namespace AS n ON n.oid = c.relnamespace
    LEFT JOIN pg_stats AS t
           ON t.schemaname = n.nspname AND t.tablename = c.relname AND t.attname = 'embedding' AND NOT t.inherited
    WHERE c.relkind = 'r' AND (c.oid = v_memories OR c.oid IN (SELECT p.relid FROM pg_partition_tree(v_memories) AS p));
    IF v_may_look AND (v_pages <= 1000 OR v_rows IS NULL) THEN
        EXECUTE format('SELECT count(*) FROM (SELECT FROM %I.gravity_map AS m WHERE m.embedding IS NOT NULL LIMIT 100000) AS c',
            p_schema)
            INTO v_rows;
    END IF;
    v_rows := COALESCE(v_rows, 0);
    v_is_large := (SELECT pg_table_size(v_memories) + COALESCE(sum(pg_table_size(p.relid)) FILTER (WHERE p.isleaf
        AND p.relid <> v_memories), 0)
                   FROM pg_partition_tree(v_memories) AS p) > v_limit;

    RETURN QUERY
    SELECT s.kind, s.finding, w.name,
           CASE WHEN e.oid IS NULL THEN format('There is none; about %s memories have an embedding.', v_rows::bigint)
                WHEN NOT e.valid THEN 'It is invalid, after a build that failed or was interrupted.'
                ELSE format('It is %s; about %s memories have an embedding.', e.definition, v_rows::bigint) END,
           CASE s.finding
               WHEN 'missing_index' THEN CASE WHEN v_is_large
                   THEN 'create index, afterwards by the job train-vector-indexes, or by gravity_memory_index_ddl()'
                                              ELSE 'create index, at once' END
               WHEN 'invalid_index' THEN CASE WHEN v_is_large
                   THEN 'create index, afterwards by the job train-vector-indexes, or by gravity_memory_index_ddl()'
                                              ELSE 'create index, at once' END
               WHEN 'unsuitable_index'
                   THEN format('drop index%s: embedding_index = %s, and below %s memories with an embedding none is kept',
                                                   CASE WHEN v_is_large THEN ', afterwards by the job train-vector-indexes'
                                                       ELSE '' END,
                                                   v_method, v_min_rows / 2)
               ELSE 'Keep it; the job train-vector-indexes replaces it concurrently when its kind or its lists do not suit. What was built '
                    || 'on an empty table finds little, and PostgreSQL does not tell: mark it, if it may have been.' END,
           CASE WHEN s.finding = 'embedding_index' THEN 'none'
                WHEN v_is_large THEN v_concurrently
                WHEN s.finding = 'unsuitable_index' THEN 'ACCESS EXCLUSIVE until the transaction is over: readers and writers wait'
                ELSE v_at_once END,
           CASE s.finding WHEN 'embedding_index' THEN format('COMMENT ON INDEX %s IS %L', e.oid::regclass,
               'gravity_memory: train again') END
    FROM (VALUES ('idx_gravity_map_embedding_cosine', 2), ('idx_gravity_map_embedding_l2', 1)) AS w (name, least_dimensions)
    LEFT JOIN LATERAL (
        SELECT i.indexrelid AS oid, i.indisvalid AS valid, substring(pg_get_indexdef(i.indexrelid)
            FROM ' (USING .*)$') AS definition
        FROM pg_index AS i
        WHERE i.indrelid = v_memories AND i.indexrelid = to_regclass(format('%I.%I', p_schema, w.name))
    ) AS e ON true
    CROSS JOIN LATERAL (
        SELECT v_method <> 'none' AND v_dimensions BETWEEN w.least_dimensions AND 2000
               AND CASE WHEN e.valid THEN v_rows >= v_min_rows / 2.0
                        ELSE v_rows >= v_min_rows
                             AND (v_method <> 'ivfflat'
                                  OR (SELECT l.lists_fitting IS NOT NULL
                                      FROM @extschema@._gravity_memory_ivfflat_lists(v_rows::bigint,
                                          v_dimensions) AS l)) END AS is_wanted
    ) AS v
    CROSS JOIN LATERAL (
        SELECT CASE WHEN e.valid AND v.is_wanted THEN 'note' ELSE 'change' END AS kind,
               CASE WHEN e.oid IS NULL THEN 'missing_index'
                    WHEN NOT v.is_wanted THEN 'unsuitable_index'
                    WHEN NOT e.valid THEN 'invalid_index' ELSE 'embedding_index' END AS finding
    ) AS s
    WHERE v.is_wanted OR e.oid IS NOT NULL;

    RETURN QUERY
    SELECT 'note', 'embedding_index', c.relname::text,
           format('An index on embedding of another name: %s.', substring(pg_get_indexdef(i.indexrelid) FROM ' (USING .*)$')),
           format('Keep it. Ours, %s, is built beside it when there are %s memories with an embedding; unless this one gets its name.', n.name, v_min_rows),
           'SHARE UPDATE EXCLUSIVE on the index: nobody waits',
           CASE WHEN to_regclass(format('%I.%I', p_schema, n.name)) IS NULL
                THEN format('ALTER INDEX %s RENAME TO %I', i.indexrelid::regclass, n.name) END
    FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_am AS a ON a.oid = c.relam AND a.amname IN ('ivfflat', 'hnsw')
    JOIN pg_opclass AS o ON o.oid = i.indclass[0]
    CROSS JOIN LATERAL (SELECT CASE o.opcname WHEN 'vector_cosine_ops' THEN 'idx_gravity_map_embedding_cosine'
                                              ELSE 'idx_gravity_map_embedding_l2' END AS name) AS n
    WHERE i.indrelid = v_memories AND i.indisvalid AND c.relname !~ '^idx_gravity_map_embedding_(cosine|l2)($|_successor$|_old_)'
      AND o.opcname IN ('vector_cosine_ops', 'vector_l2_ops');
END
$_gravity_memory_adoption_indexes$;

COMMENT ON FUNCTION @extschema@._gravity_memory_adoption_indexes(text) IS
    'What gravity_memory_adoption_report() says of indexes.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_adoption_indexes(text) FROM PUBLIC;
