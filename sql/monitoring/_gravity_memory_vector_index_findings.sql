-- _gravity_memory_vector_index_findings(): indexes on embedding that do not suit the rows, for gravity_memory_check().
--
-- Judged as the job train-vector-indexes judges them; see _gravity_memory_vector_index_states(). Where that job runs it mends them
-- by itself, one statement at a time, and the finding is a notice. Replacing an index takes several statements: the one returned is
-- the next, so check again after it. Who may not execute gravity_memory_vector_index_ddl() is told its name.
CREATE FUNCTION @extschema@._gravity_memory_vector_index_findings()
RETURNS TABLE (severity text, finding text, object text, problem text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
SET quote_all_identifiers = off
-- gravity_memory_vector_index_ddl() says in notices what stands in the rows here.
SET client_min_messages = error
AS $_gravity_memory_vector_index_findings$
DECLARE
    v_table CONSTANT regclass := to_regclass(@extschema@._gravity_memory_qualified_name('gravity_map'));
    v_ddl CONSTANT text := @extschema@._gravity_memory_qualified_name('gravity_memory_vector_index_ddl') || '()';
    v_is_partitioned CONSTANT boolean := EXISTS (SELECT FROM pg_class AS c WHERE c.oid = v_table AND c.relkind = 'p');
    v_severity text := 'warning';
    v_has_job boolean;
    v_statements text[];
BEGIN
    IF v_table IS NULL THEN
        RETURN;
    END IF;
    IF has_function_privilege(v_ddl, 'EXECUTE') THEN
        v_statements := ARRAY(SELECT s.ddl FROM @extschema@.gravity_memory_vector_index_ddl() WITH ORDINALITY AS s (ddl, step)
            ORDER BY s.step);
    ELSE
        v_statements := ARRAY['SELECT ddl FROM ' || v_ddl || ' AS ddl \gexec'];
    END IF;
    IF NOT v_is_partitioned AND EXISTS (SELECT FROM pg_extension AS e WHERE e.extname = 'pg_cron') THEN
        BEGIN
            EXECUTE 'SELECT EXISTS (SELECT FROM cron.job AS j WHERE j.database = current_database() AND j.active AND j.command LIKE'
                    ' ''%gravity_memory_train_vector_indexes()'')' INTO v_has_job;
        EXCEPTION WHEN insufficient_privilege THEN
            v_has_job := false;
        END;
        IF v_has_job THEN
            v_severity := 'notice';
        END IF;
    END IF;

    RETURN QUERY
    SELECT v_severity, f.finding, s.index_name, f.problem,
           -- What concerns the other index alone is in that one's row; renaming, and the name of the function, concern both.
           (SELECT u.statement FROM unnest(v_statements) WITH ORDINALITY AS u (statement, step)
            WHERE u.statement !~ '^(CREATE|DROP) ' OR strpos(u.statement, s.index_name) > 0 ORDER BY u.step LIMIT 1)
    FROM @extschema@._gravity_memory_vector_index_states() AS s
    CROSS JOIN LATERAL (VALUES
        ('missing_vector_index',
            'There are memories enough to train it; until it is built, searches across users compare all of them.',
         s.is_wanted AND s.index_oid IS NULL AND NOT s.successor_serves),
        ('untrained_vector_index',
         'The index has another kind, or a number of lists that the memories have outgrown, or is invalid: it should be '
         || s.definition || '.', s.is_wanted AND s.index_oid IS NOT NULL AND NOT s.index_serves),
        ('unwanted_vector_index',
         'The index stands on fewer memories than embedding_index_min_rows, or embedding_index says none: it finds little and '
         'costs writers.',
         NOT s.is_wanted AND s.index_oid IS NOT NULL),
        ('unfinished_vector_index', 'A successor of the index was built and has not taken its place, or was left half built.',
         s.successor_oid IS NOT NULL AND NOT (s.is_wanted AND s.index_oid IS NOT NULL AND NOT s.index_serves))
    ) AS f (finding, problem, applies)
    WHERE f.applies;

    RETURN QUERY
    SELECT v_severity, 'unfinished_vector_index', c.relname::text, 'The index was replaced, and is still there.',
           format('DROP INDEX%s IF EXISTS %s', CASE WHEN v_is_partitioned THEN '' ELSE ' CONCURRENTLY' END, c.oid::regclass)
    FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indexrelid
    WHERE i.indrelid = v_table AND c.relname ~ '^idx_gravity_map_embedding_(cosine|l2)_old_[0-9]+$';

    RETURN QUERY
    SELECT 'warning', 'vector_index_memory', string_agg(s.index_name, ', ' ORDER BY s.index_name),
           'They cannot be built: ' || s.advice || '.',
           format('ALTER ROLE %I SET maintenance_work_mem = ''%s MB''', current_user,
               substring(s.advice FROM 'at least ([0-9]+) MB'))
    FROM @extschema@._gravity_memory_vector_index_states() AS s
    WHERE NOT s.is_wanted AND NOT s.is_buildable AND s.advice ~ '^maintenance_work_mem' AND s.index_oid IS NULL
    GROUP BY s.advice;
END
$_gravity_memory_vector_index_findings$;

COMMENT ON FUNCTION @extschema@._gravity_memory_vector_index_findings() IS
    'Findings of gravity_memory_check() about the indexes on embedding.';
