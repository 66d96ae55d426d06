-- gravity_memory_vector_index_ddl(): the statements that bring the indexes on embedding up to date without blocking writers.
--
-- An index that is missing is built; one that is invalid, no longer wanted or on too few rows is dropped; one whose lists do not suit the
-- number of rows any more, or that is of another kind than embedding_index says, is replaced by a successor built beside it, so
-- that searches keep an index all the time. Returns one statement per row, in order, none when all is as it should be. Run each
-- outside a transaction block: in psql, SELECT ddl FROM gravity_memory_vector_index_ddl() AS ddl \gexec
-- Interrupted anywhere, or run by two sessions at a time, it does no harm: call it again and it says what is left to do.
-- Returns none, and a NOTICE says so, while another session builds or drops an index of the table. A WARNING says what keeps an index from
-- being built, a NOTICE that more maintenance_work_mem would make a better one. PostgreSQL cannot build or drop indexes of a
-- partitioned table concurrently: there the statements block writers while they run, and a NOTICE says so.
-- Where pg_cron is, gravity_memory_train_vector_indexes() does it by itself.
CREATE FUNCTION @extschema@.gravity_memory_vector_index_ddl()
RETURNS SETOF text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $gravity_memory_vector_index_ddl$
DECLARE
    v_table CONSTANT text := @extschema@._gravity_memory_qualified_name('gravity_map');
    v_settle CONSTANT text := 'SELECT ' || @extschema@._gravity_memory_qualified_name('_gravity_memory_settle_vector_indexes') || '()';
    v_kind CONSTANT "char" := (SELECT c.relkind FROM pg_class AS c WHERE c.oid = to_regclass(v_table));
    v_concurrently CONSTANT text := CASE v_kind WHEN 'p' THEN '' ELSE ' CONCURRENTLY' END;
    v_builder integer;
    v_advice record;
    v_statements text[];
BEGIN
    -- An index that is being built is invalid until it is done, and looks like something to drop. Who holds this lock builds or drops
    -- one, or vacuums; what other roles do is visible to superusers only.
    SELECT a.pid INTO v_builder
    FROM pg_locks AS l
    JOIN pg_stat_activity AS a ON a.pid = l.pid
    WHERE l.locktype = 'relation' AND l.relation = to_regclass(v_table) AND l.mode = 'ShareUpdateExclusiveLock'
      AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
      AND a.pid <> pg_backend_pid()
      AND a.query !~* '^\s*(autovacuum:|vacuum|analyze)'
    LIMIT 1;
    IF FOUND THEN
        RAISE NOTICE 'gravity_memory: session % is building or dropping an index of gravity_map, or vacuums it.', v_builder
            USING HINT = 'Call this again when it is done; pg_stat_progress_create_index shows how far it is.';
        RETURN;
    END IF;

    FOR v_advice IN
        SELECT s.advice AS text, bool_or(s.is_wanted AND s.is_buildable) AS is_built
        FROM @extschema@._gravity_memory_vector_index_states() AS s
        WHERE s.advice IS NOT NULL AND NOT s.index_serves AND NOT s.successor_serves
        GROUP BY s.advice
    LOOP
        IF v_advice.is_built THEN
            RAISE NOTICE 'gravity_memory: %.', v_advice.text
                USING HINT = 'SET maintenance_work_mem and call this again for more lists; where pg_cron does it, ALTER ROLE SET.';
        ELSE
            RAISE WARNING 'gravity_memory: the indexes on embedding cannot be built: %.', v_advice.text
                USING HINT = 'Raise maintenance_work_mem (where pg_cron builds: ALTER ROLE SET), shorten the embeddings, or set '
                             'embedding_index to hnsw, which needs less memory, or to none, which compares all memories.';
        END IF;
    END LOOP;

    v_statements := ARRAY(
        SELECT d.statement
        FROM (
            SELECT t.step, s.index_name AS ordinal, t.statement
            FROM @extschema@._gravity_memory_vector_index_states() AS s
            CROSS JOIN LATERAL (
                SELECT s.successor_oid IS NOT NULL AND (s.index_serves OR NOT s.successor_serves) AS drops_successor,
                       s.is_there AND NOT (s.is_valid AND s.is_wanted) AS drops_index,
                       s.successor_serves AND NOT s.index_serves AS takes_over,
                       s.is_wanted AND s.is_buildable AND NOT s.index_serves AND NOT s.successor_serves AS builds,
                       s.is_there AND s.is_valid AS has_index
            ) AS v
            CROSS JOIN LATERAL (VALUES
                (1, v.drops_successor OR v.drops_index OR v.takes_over, v_settle),
                (2, v.drops_successor, format('DROP INDEX%s IF EXISTS %s', v_concurrently,
                    @extschema@._gravity_memory_qualified_name(s.index_name || '_old_' || s.successor_oid))),
                (2, v.drops_index OR (v.takes_over AND s.is_there), format('DROP INDEX%s IF EXISTS %s', v_concurrently,
                    @extschema@._gravity_memory_qualified_name(s.index_name || '_old_' || s.index_oid))),
                (3, v.builds, format('CREATE INDEX%s %I ON %s %s', v_concurrently,
                    s.index_name || CASE WHEN v.has_index THEN '_successor' ELSE '' END, v_table, s.definition)),
                (4, v.builds AND v.has_index, v_settle),
                (5, v.builds AND v.has_index, format('DROP INDEX%s IF EXISTS %s', v_concurrently,
                    @extschema@._gravity_memory_qualified_name(s.index_name || '_old_' || s.index_oid)))
            ) AS t (step, is_needed, statement)
            WHERE t.is_needed
            UNION ALL
            -- What was set aside before.
            SELECT 2, c.relname::text,
                   format('DROP INDEX%s IF EXISTS %s', v_concurrently, @extschema@._gravity_memory_qualified_name(c.relname::text))
            FROM pg_index AS i
            JOIN pg_class AS c ON c.oid = i.indexrelid
            WHERE i.indrelid = to_regclass(v_table) AND c.relname ~ '^idx_gravity_map_embedding_(cosine|l2)_old_[0-9]+$'
        ) AS d
        GROUP BY d.step, d.statement
        ORDER BY d.step, min(d.ordinal));
    IF v_statements <> '{}' AND v_concurrently = '' THEN
        RAISE NOTICE 'gravity_memory: gravity_map is partitioned, so these statements block its writers while they run.'
            USING HINT = 'Run them when that does not matter.';
    END IF;
    RETURN QUERY SELECT u.statement FROM unnest(v_statements) AS u (statement);
END
$gravity_memory_vector_index_ddl$;

COMMENT ON FUNCTION @extschema@.gravity_memory_vector_index_ddl() IS
    'The statements that bring the indexes on embedding up to date without blocking writers; run each outside a transaction block.

In order, none when all is as it should be; in psql, SELECT ddl FROM gravity_memory_vector_index_ddl() AS ddl
\gexec runs them. Interrupted, or run by two sessions at a time, it does no harm: call it again. None, with a
NOTICE, while another session builds or drops an index of the table. A WARNING says what keeps an index from
being built, a NOTICE that more maintenance_work_mem would make a better one. Of a partitioned table, the
statements block writers while they run.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_vector_index_ddl() FROM PUBLIC;
