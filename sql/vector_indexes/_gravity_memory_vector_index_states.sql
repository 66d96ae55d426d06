-- _gravity_memory_vector_index_states(): the two indexes on embedding, as they are and as they should be.
--
-- One row per index. is_wanted: embedding_index is not none, pgvector has such an index for these embeddings (1 to 2,000 dimensions, by
-- cosine at least 2), and at least embedding_index_min_rows memories have one: below that the exact answer costs a few milliseconds,
-- and an ivfflat index trained on few rows stays bad. An index that is there stays until there are only half as many, so that it does
-- not come and go with every estimate; one that is not there is not wanted while maintenance_work_mem is too small to build it.
-- index_serves, successor_serves: the index, or the successor built beside it, is there, valid, wanted, and fits: it is of the kind that
-- embedding_index says, and the number of lists of an ivfflat index is within a factor of two of what the rows ask for now, or
-- of what this session's memory allows, whichever is further. An index whose comment begins with "gravity_memory: train again" never
-- fits: the upgrade from 0.1.0, which trained them on an empty table, leaves that comment, and so may you.
-- definition: what follows the table's name in CREATE INDEX. is_buildable: maintenance_work_mem suffices. advice: what keeps the index
-- from being built, or from having the lists that it should have.
CREATE FUNCTION @extschema@._gravity_memory_vector_index_states()
RETURNS TABLE (index_name text, definition text, is_wanted boolean, is_buildable boolean, advice text,
               is_there boolean, index_oid oid, is_valid boolean, index_serves boolean, successor_oid oid, successor_serves boolean)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $_gravity_memory_vector_index_states$
DECLARE
    v_settings CONSTANT jsonb := @extschema@._gravity_memory_effective_settings();
    v_method CONSTANT text := v_settings ->> 'embedding_index';
    v_min_rows CONSTANT bigint := (v_settings ->> 'embedding_index_min_rows')::bigint;
    v_rows bigint;
    v_dimensions integer;
    v_lists record;
    v_is_buildable boolean;
    v_advice text;
BEGIN
    IF to_regclass('@extschema@.gravity_map') IS NULL THEN
        RETURN;
    END IF;
    v_rows := @extschema@._gravity_memory_embedded_rows();
    v_dimensions := COALESCE((SELECT a.atttypmod FROM pg_attribute AS a
                              WHERE a.attrelid = '@extschema@.gravity_map'::regclass AND a.attname = 'embedding' AND NOT a.attisdropped), -1);
    -- Each partition has an index of its own, with the same number of lists.
    SELECT l.* INTO v_lists
    FROM @extschema@._gravity_memory_ivfflat_lists(
        v_rows / GREATEST(1, (SELECT count(*) FROM pg_partition_tree('@extschema@.gravity_map') AS p WHERE p.isleaf)),
        v_dimensions) AS l;
    v_is_buildable := v_method <> 'ivfflat' OR v_lists.lists_fitting IS NOT NULL;
    v_advice := CASE
        WHEN v_method = 'none' OR v_rows < v_min_rows THEN NULL
        WHEN v_dimensions NOT BETWEEN 1 AND 2000 THEN
            'gravity_map.embedding has no dimension or more than 2000, and pgvector indexes no such column'
        WHEN NOT v_is_buildable THEN
            format('maintenance_work_mem must be at least %s MB to train ivfflat indexes on vectors of %s dimensions, and is %s',
                   v_lists.megabytes, v_dimensions, current_setting('maintenance_work_mem'))
        WHEN v_method = 'ivfflat' AND v_lists.lists_fitting < v_lists.lists_wanted THEN
            format('with maintenance_work_mem at %s the ivfflat indexes get %s lists, with %s MB or more the %s that suit the rows',
                   current_setting('maintenance_work_mem'), v_lists.lists_fitting, v_lists.megabytes, v_lists.lists_wanted)
    END;

    RETURN QUERY
    WITH existing AS (
        SELECT c.oid, c.relname::text AS name, i.indisvalid AND i.indisready AS valid,
               am.amname = v_method
               AND obj_description(c.oid, 'pg_class') NOT LIKE 'gravity\_memory: train again%' IS NOT FALSE
               AND (v_method <> 'ivfflat'
                    OR COALESCE((SELECT o.option_value::numeric FROM pg_options_to_table(c.reloptions) AS o
                                 WHERE o.option_name = 'lists'), 100)
                       BETWEEN COALESCE(v_lists.lists_fitting, v_lists.lists_wanted) / 2.0 AND v_lists.lists_wanted * 2.0) AS fits
        FROM pg_index AS i
        JOIN pg_class AS c ON c.oid = i.indexrelid
        JOIN pg_am AS am ON am.oid = c.relam
        WHERE i.indrelid = '@extschema@.gravity_map'::regclass
    )
    SELECT w.name,
           format('USING %s (embedding %I.%I)%s', v_method, @extschema@._gravity_memory_vector_schema(), w.operator_class,
                  CASE v_method WHEN 'ivfflat' THEN format(' WITH (lists = %s)', COALESCE(v_lists.lists_fitting, v_lists.lists_wanted))
                                ELSE '' END),
           v.wanted, v_is_buildable, CASE WHEN v_dimensions >= w.least_dimensions OR v_dimensions < 1 THEN v_advice END,
           e.oid IS NOT NULL, e.oid, COALESCE(e.valid, false), v.wanted AND COALESCE(e.valid AND e.fits, false),
           s.oid, v.wanted AND COALESCE(s.valid AND s.fits, false)
    FROM (VALUES ('idx_gravity_map_embedding_cosine', 'vector_cosine_ops', 2),
                 ('idx_gravity_map_embedding_l2', 'vector_l2_ops', 1)) AS w (name, operator_class, least_dimensions)
    LEFT JOIN existing AS e ON e.name = w.name
    LEFT JOIN existing AS s ON s.name = w.name || '_successor'
    CROSS JOIN LATERAL (SELECT v_method <> 'none' AND v_dimensions BETWEEN w.least_dimensions AND 2000
                               AND CASE WHEN e.valid OR s.valid THEN v_rows >= v_min_rows / 2.0
                                        ELSE v_rows >= v_min_rows AND v_is_buildable END AS wanted) AS v;
END
$_gravity_memory_vector_index_states$;

COMMENT ON FUNCTION @extschema@._gravity_memory_vector_index_states() IS
    'The indexes on embedding as they are and as the number of rows and the settings want them.';
