-- _gravity_memory_adoption_rows(p_schema): what gravity_memory_adoption_report() says of the rows.
--
-- Reads about 200 blocks of gravity_map, and all of memory_arcs: gravity outside 0 to 1, memories without a user, lengths of
-- embeddings where the column has none, entities that are JSON. Duplicate identifiers are looked for only where no unique index
-- keeps them out, and only in a table up to setup_index_limit; in a larger one, building that index finds them. What the caller
-- may not read, or reads under row security, is not looked at, and a row says so. Nothing here keeps setup from working but twin
-- arcs.
CREATE FUNCTION @extschema@._gravity_memory_adoption_rows(p_schema text)
RETURNS TABLE (severity text, finding text, object text, present text, plan text, lock text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_adoption_rows$
DECLARE
    v_memories CONSTANT text := format('%I.%I', p_schema, 'gravity_map');
    v_arcs CONSTANT text := format('%I.%I', p_schema, 'memory_arcs');
    v_settings CONSTANT jsonb := @extschema@._gravity_memory_settings_in(p_schema);
    v_types jsonb;
    v_bytes numeric;
    v_percent numeric;
    v_rows bigint;
    v_found bigint;
    v_lowest integer;
    v_highest integer;
    v_is_few boolean;
    v_must_derive boolean;
    v_table record;
BEGIN
    FOR v_table IN
        SELECT c.relname FROM pg_class AS c
        WHERE c.oid IN (to_regclass(v_memories), to_regclass(v_arcs)) AND c.relkind IN ('r', 'p')
          AND NOT (has_table_privilege(c.oid, 'SELECT') AND NOT row_security_active(c.oid))
    LOOP
        RETURN QUERY SELECT 'note', 'not_looked_at', v_table.relname::text,
            format('%I may not read all of its rows.', current_user), 'Its rows were not looked at.', 'none', NULL::text;
    END LOOP;

    -- Types by name: a column of a type of somebody's own is not read.
    SELECT jsonb_object_agg(a.attname, a.atttypid::regtype::text) INTO v_types
    FROM pg_attribute AS a
    JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
    WHERE c.oid = to_regclass(v_memories) AND a.attnum > 0 AND NOT a.attisdropped
      AND has_table_privilege(c.oid, 'SELECT') AND NOT row_security_active(c.oid);
    IF v_types IS NOT NULL THEN
        SELECT sum(pg_relation_size(p.relid)) FILTER (WHERE p.isleaf) INTO v_bytes
            FROM pg_partition_tree(v_memories::regclass) AS p;
        v_bytes := COALESCE(v_bytes, pg_relation_size(v_memories::regclass));
        v_percent := LEAST(100, 100.0 * 200 * current_setting('block_size')::integer / GREATEST(v_bytes, 1));

        IF v_types ->> 'gravity_score' IN ('double precision', 'numeric', 'real') THEN
            EXECUTE format('SELECT count(*), count(*) FILTER (WHERE NOT m.gravity_score::double precision BETWEEN 0 AND 1)'
                           ' FROM %s AS m TABLESAMPLE SYSTEM (%s)', v_memories, v_percent) INTO v_rows, v_found;
            RETURN QUERY
            SELECT 'note', 'gravity_out_of_range', 'gravity_map.gravity_score',
                   format('%s of %s rows looked at have a gravity below 0, above 1 or NaN.', v_found, v_rows),
                   'Keep it. NaN and infinity count as not high; nothing checks what is written to an adopted table.', 'none',
                   format('UPDATE %s SET gravity_score = CASE WHEN gravity_score BETWEEN 0 AND 1 THEN gravity_score WHEN gravity_score = ''NaN'' '
                          'THEN NULL WHEN gravity_score < 0 THEN 0 ELSE 1 END WHERE NOT gravity_score BETWEEN 0 AND 1', v_memories)
            WHERE v_found > 0;
        END IF;

        IF v_types ->> 'user_id' IN ('text', 'character varying', 'uuid') THEN
            EXECUTE format('SELECT count(*), count(*) FILTER (WHERE m.user_id IS NULL) FROM %s AS m TABLESAMPLE SYSTEM (%s)',
                v_memories, v_percent)
                INTO v_rows, v_found;
            RETURN QUERY
            SELECT 'note', 'no_user', 'gravity_map.user_id', format('%s of %s rows looked at have none.', v_found, v_rows),
                   'Keep them. They are tagged, and neither form arcs nor are recalled.', 'none', NULL::text
            WHERE v_found > 0;
        END IF;

        IF v_types ->> 'entities' IN ('jsonb', 'json') THEN
            EXECUTE format('SELECT count(m.entities), count(*) FILTER (WHERE jsonb_typeof(m.entities::jsonb) <> ''array'''
                           ' OR EXISTS (SELECT FROM jsonb_array_elements(CASE jsonb_typeof(m.entities::jsonb) WHEN ''array'' THEN m.entities::jsonb'
                           ' ELSE ''[]'' END) AS e WHERE jsonb_typeof(e) <> ''string'')) FROM %s AS m TABLESAMPLE SYSTEM (%s)',
                               v_memories, v_percent)
                INTO v_rows, v_found;
            RETURN QUERY
            SELECT 'note', 'entities_json', 'gravity_map.entities',
                   format('%s of %s values looked at are not arrays of strings.', v_found, v_rows),
                   'Renamed away, the column can be copied in batches into the text[] that setup adds; triggers then tag what is copied.',
                   'none', NULL::text;
        END IF;

        IF v_types ->> 'embedding' ~ '(^|\.)vector$'
           AND EXISTS (SELECT FROM pg_attribute AS a JOIN pg_type AS t ON t.oid = a.atttypid
                       JOIN pg_extension AS x ON x.extname = 'vector' AND x.extnamespace = t.typnamespace
                       WHERE a.attrelid = v_memories::regclass AND a.attname = 'embedding' AND a.atttypmod < 0) THEN
            EXECUTE format('SELECT count(m.embedding), min(%I.vector_dims(m.embedding)), max(%I.vector_dims(m.embedding))'
                           ' FROM %s AS m TABLESAMPLE SYSTEM (%s)', @extschema@._gravity_memory_vector_schema(),
                           @extschema@._gravity_memory_vector_schema(), v_memories, v_percent) INTO v_rows, v_lowest, v_highest;
            RETURN QUERY
            SELECT 'note', 'embedding_lengths', 'gravity_map.embedding',
                   format('%s embeddings looked at have from %s to %s dimensions.', v_rows, v_lowest, v_highest),
                   'All must have the same before the column can be given it.', 'none',
                   CASE WHEN v_lowest = v_highest THEN format('SET gravity_memory.embedding_dimensions = %s', v_lowest) END
            WHERE v_rows > 0;
        END IF;

        IF v_bytes <= 1024 * 1024 * (v_settings ->> 'setup_index_limit')::numeric
           AND EXISTS (SELECT FROM @extschema@._gravity_memory_mismatches_in(p_schema) AS m
                       WHERE m.object = 'gravity_map.id' AND m.ordinal = 100) AND v_types ->> 'id' = 'uuid' THEN
            EXECUTE format('SELECT count(*) - count(DISTINCT m.id) FROM %s AS m', v_memories) INTO v_found;
            RETURN QUERY
            SELECT 'blocks', 'duplicate_keys', 'gravity_map.id', format('%s rows have no id, or one that another row has.',
                v_found),
                   'The unique index on id cannot be built while they are there.', 'none', NULL::text
            WHERE v_found > 0;
        END IF;

        -- Setup derives what recall reads when it attaches the triggers that keep it; above this it notes every user instead.
        v_must_derive := EXISTS (
                SELECT FROM @extschema@._gravity_memory_table_catalogue() AS t
                WHERE t.is_derived AND to_regclass(format('%I.%I', p_schema, t.table_name)) IS NULL)
            OR EXISTS (
                SELECT FROM @extschema@._gravity_memory_trigger_catalogue() AS c
                WHERE c.definition ~ '_gravity_memory_keep_derived\(\)$'
                  AND NOT EXISTS (SELECT FROM pg_trigger AS g WHERE g.tgrelid = to_regclass(v_memories)
                      AND g.tgname = c.trigger_name));
        IF v_must_derive THEN
            EXECUTE format('SELECT count(*) FROM (SELECT FROM %s AS m LIMIT 10001) AS m', v_memories) INTO v_rows;
            v_is_few := v_rows <= 10000
                AND (SELECT pg_table_size(v_memories::regclass) + COALESCE(sum(pg_table_size(p.relid)) FILTER (WHERE p.isleaf
                    AND p.relid <> v_memories::regclass), 0)
                     FROM pg_partition_tree(v_memories::regclass) AS p) <= 1024 * 1024 * (v_settings ->> 'setup_index_limit')::numeric;
            RETURN QUERY
            SELECT 'change', 'rows_to_derive', 'memory_digests, memory_postings',
                   format('%s memories, of which nothing is derived.', CASE WHEN v_rows > 10000 THEN 'More than 10000'
                       ELSE v_rows::text END),
                   CASE WHEN v_is_few THEN 'derive rows, at once'
                       ELSE 'derive rows, afterwards by CALL gravity_memory_rebuild_recall(), in batches' END,
                   CASE WHEN v_is_few THEN format('Writers wait for about %s s', round(v_rows * 0.0003, 1)) ELSE 'none' END,
                       NULL::text
            WHERE v_rows > 0;
            RETURN QUERY
            SELECT 'note', 'old_memories', 'gravity_map', 'The memories that are there.',
                   'Keep them as they are: they are neither tagged nor announced, and join arcs when gravity_memory_rebuild_arcs(user_id) runs.',
                   'none', NULL::text
            WHERE v_rows > 0;
        END IF;
    END IF;

    -- The specification's own trigger makes twins when two sessions insert at once.
    SELECT jsonb_object_agg(a.attname, a.atttypid::regtype::text) INTO v_types
    FROM pg_attribute AS a
    JOIN pg_class AS c ON c.oid = a.attrelid AND c.relkind IN ('r', 'p')
    WHERE c.oid = to_regclass(v_arcs) AND a.attnum > 0 AND NOT a.attisdropped
      AND has_table_privilege(c.oid, 'SELECT') AND NOT row_security_active(c.oid);
    IF (SELECT count(*) = 4 AND bool_and(t.value IN ('text', 'character varying')) FROM jsonb_each_text(v_types) AS t
        WHERE t.key IN ('user_id', 'emotion_type', 'arc_name', 'evolution_stage'))
       AND NOT EXISTS (SELECT FROM pg_index AS i
                       WHERE i.indexrelid = to_regclass(format('%I.%I', p_schema, 'idx_memory_arcs_open_automatic'))
                           AND i.indisvalid) THEN
        EXECUTE format('SELECT COALESCE(sum(d.n - 1), 0) FROM (SELECT count(*) AS n FROM %s AS a WHERE a.evolution_stage IN (''forming'', ''active'')'
                       ' AND a.arc_name = a.emotion_type || '' arc (auto-created)'' AND a.user_id IS NOT NULL GROUP BY a.user_id, a.emotion_type) AS d',
                       v_arcs) INTO v_found;
        RETURN QUERY
        SELECT 'blocks', 'twin_arcs', 'memory_arcs',
               format('%s open automatic arcs have a twin of the same user and emotion.', v_found),
               'Setup stops, or the build of idx_memory_arcs_open_automatic does: of such arcs there may be one. Close all but the newest.',
               'none',
               format('UPDATE %1$s AS a SET evolution_stage = ''dormant'' WHERE a.evolution_stage IN (''forming'', ''active'')'
                      ' AND a.arc_name = a.emotion_type || '' arc (auto-created)'' AND a.ctid <> (SELECT o.ctid FROM %1$s AS o'
                      ' WHERE o.user_id = a.user_id AND o.emotion_type = a.emotion_type AND o.arc_name = a.arc_name'
                      ' AND o.evolution_stage IN (''forming'', ''active'') ORDER BY %2$s o.ctid DESC LIMIT 1)', v_arcs,
                      CASE WHEN v_types ? 'created_at' THEN 'o.created_at DESC NULLS LAST,' ELSE '' END)
        WHERE v_found > 0;
    END IF;
END
$_gravity_memory_adoption_rows$;

COMMENT ON FUNCTION @extschema@._gravity_memory_adoption_rows(text) IS
    'What gravity_memory_adoption_report() says of rows.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_adoption_rows(text) FROM PUBLIC;
