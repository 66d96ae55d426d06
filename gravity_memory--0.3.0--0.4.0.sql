\echo Use "ALTER EXTENSION gravity_memory UPDATE TO '0.4.0'" to load this file. \quit

-- sql/setup/preflight.sql

-- Refuses, with the way out, a schema in which functions of these names were made by hand.
--
-- CREATE FUNCTION would stop at the first of them with an error that says nothing of the others; and of two search functions of
-- one name that differ in their parameters, PostgREST can call neither.
DO $preflight$
DECLARE
    v_functions text;
BEGIN
    -- So that the hint names functions and types in full: whoever follows it may have any search_path.
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    SELECT pg_catalog.string_agg(p.oid::pg_catalog.regprocedure::pg_catalog.text, ', ' ORDER BY p.proname)
    INTO v_functions
    FROM pg_catalog.pg_proc AS p
    WHERE p.pronamespace OPERATOR(pg_catalog.=) '@extschema@'::pg_catalog.regnamespace
      AND ((p.pronargs OPERATOR(pg_catalog.=) 0
            AND p.proname OPERATOR(pg_catalog.=) ANY (
                ARRAY['auto_tag_high_gravity', 'notify_memory_created', 'trigger_arc_building', 'cleanup_old_cache']::pg_catalog.name[]))
           OR p.proname OPERATOR(pg_catalog.=) ANY (
                ARRAY['match_memories', 'gravity_weighted_search', 'find_similar_memories', 'get_conversation_context',
                      'recall_memories']::pg_catalog.name[]))
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d
                      JOIN pg_catalog.pg_extension AS e ON e.oid OPERATOR(pg_catalog.=) d.refobjid
                      WHERE d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass
                        AND d.objid OPERATOR(pg_catalog.=) p.oid AND d.deptype OPERATOR(pg_catalog.=) 'e'
                        AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
                        AND e.extname OPERATOR(pg_catalog.=) 'gravity_memory');
    IF v_functions IS NOT NULL THEN
        RAISE EXCEPTION 'functions that gravity_memory brings exist already: %', v_functions
            USING ERRCODE = 'duplicate_function',
                  HINT = pg_catalog.format('Run DROP ROUTINE %s CASCADE; it drops their triggers too, and no row. Then try again.',
                                           v_functions);
    END IF;
END
$preflight$;

-- sql/upgrades/0.3.0--0.4.0.sql

-- By hand, before the objects of 0.4.0: what their CREATE OR REPLACE leaves undone.

-- sql/schedules/_gravity_memory_is_same_job.sql

-- _gravity_memory_is_same_job(p_command, p_wanted): does a job's command call the function that a job of the catalogue calls?
--
-- p_wanted is the catalogue's "SELECT schema.function()". A job made by hand may leave out the schema, end in a semicolon, say
-- "SELECT * FROM" or be spelled in capitals, as that of the specification's comment: SELECT cleanup_old_cache().
CREATE FUNCTION @extschema@._gravity_memory_is_same_job(p_command text, p_wanted text)
RETURNS boolean
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
AS $_gravity_memory_is_same_job$
    SELECT c.command IN (w.call, regexp_replace(w.call, '^.*\.', ''))
    FROM (SELECT regexp_replace(regexp_replace(lower(p_command), '[\s;]', '', 'g'), '^select(\*from)?', '')) AS c (command)
    CROSS JOIN (SELECT regexp_replace(regexp_replace(lower(p_wanted), '[\s;]', '', 'g'), '^select(\*from)?', '')) AS w (call)
$_gravity_memory_is_same_job$;

COMMENT ON FUNCTION @extschema@._gravity_memory_is_same_job(text, text) IS
    'Whether two commands of jobs call the same function, though one may be written otherwise.';

-- sql/schedules/gravity_memory_schedule_jobs.sql

-- gravity_memory_schedule_jobs(): schedules the jobs of the catalogue in pg_cron, or says how to run them elsewhere.
--
-- Returns the names of the jobs it created or changed: none when all is as it should be, so it can be called at any time.
-- A job made by hand that calls the same function, under any name and schedule, stays as it is, and none is made beside it.
-- Where pg_cron is not in this database, or a job of that name runs something else, a NOTICE says what to run where. It never raises an error: a database
-- without its jobs still works.
CREATE OR REPLACE FUNCTION @extschema@.gravity_memory_schedule_jobs()
RETURNS SETOF text
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_schedule_jobs$
DECLARE
    v_job record;
    v_is_current boolean;
    v_is_taken boolean;
    v_cron_database text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'pg_cron') THEN
        BEGIN
            v_cron_database := current_setting('cron.database_name', true);
        EXCEPTION WHEN insufficient_privilege THEN
            -- pg_cron shows it to superusers and pg_read_all_settings only; the advice is more general then.
            v_cron_database := NULL;
        END;
        FOR v_job IN SELECT c.* FROM @extschema@._gravity_memory_job_catalogue() AS c LOOP
            RAISE NOTICE 'gravity_memory: the job % is not scheduled, pg_cron is not in this database. %', v_job.job_name,
                CASE
                    WHEN v_cron_database = current_database() THEN
                        'Here, run: CREATE EXTENSION pg_cron; SELECT @extschema@.gravity_memory_schedule_jobs();'
                    WHEN v_cron_database IS NOT NULL THEN
                        format('In database %I, run: SELECT cron.schedule_in_database(%L, %L, %L, %L);', v_cron_database,
                               v_job.job_name || ' ' || current_database(), v_job.schedule, v_job.command, current_database())
                    ELSE
                        format('Run this from a scheduler of your choice, at %s: psql -d %s -c %s', v_job.schedule,
                               quote_literal(current_database()), quote_literal(v_job.command))
                END;
        END LOOP;
        RETURN;
    END IF;

    FOR v_job IN SELECT c.* FROM @extschema@._gravity_memory_job_catalogue() AS c LOOP
        BEGIN
            EXECUTE 'SELECT EXISTS (SELECT FROM cron.job AS j WHERE j.database = current_database()'
                    ' AND ((j.jobname = $1 AND j.schedule = $2 AND j.command = $3)'
                    '      OR ((j.jobname, j.command) IS DISTINCT FROM ($1, $3)'
                    '          AND @extschema@._gravity_memory_is_same_job(j.command, $3))))'
                INTO v_is_current USING v_job.job_name, v_job.schedule, v_job.command;
            EXECUTE 'SELECT EXISTS (SELECT FROM cron.job AS j WHERE j.jobname = $1 AND j.command <> $2 AND j.username = current_user)'
                INTO v_is_taken USING v_job.job_name, v_job.command;
            IF v_is_current THEN
                CONTINUE;
            ELSIF v_is_taken THEN
                RAISE NOTICE 'gravity_memory: the job % is not scheduled, because a job of that name runs something else. %', v_job.job_name,
                    format('Under another name, run: SELECT cron.schedule(%L, %L, %L);',
                           'gravity_memory ' || v_job.job_name, v_job.schedule, v_job.command);
            ELSE
                EXECUTE 'SELECT cron.schedule($1, $2, $3)' USING v_job.job_name, v_job.schedule, v_job.command;
                RETURN QUERY SELECT v_job.job_name;
            END IF;
        EXCEPTION WHEN OTHERS THEN
            RAISE NOTICE 'gravity_memory: the job % could not be scheduled (%). A role that may use pg_cron can run: %',
                v_job.job_name, SQLERRM,
                format('SELECT cron.schedule(%L, %L, %L);', v_job.job_name, v_job.schedule, v_job.command);
        END;
    END LOOP;
END
$gravity_memory_schedule_jobs$;

COMMENT ON FUNCTION @extschema@.gravity_memory_schedule_jobs() IS
    'Schedules the jobs in pg_cron and returns those it changed; without pg_cron, a NOTICE says what to run.';

-- sql/tables/vector_type_path.sql

-- Makes pgvector's types visible, unqualified, to the rest of this script, and nothing else but pg_catalog's.
--
-- Functions below take parameters of type vector, and @extschema:vector@ needs PostgreSQL 16. The script's own search_path would find the
-- type too, but looks into the extension's schema first, where somebody may have put a type of that name. CREATE
-- EXTENSION restores the search_path when it ends.
DO $vector_type_path$
BEGIN
    PERFORM pg_catalog.set_config(
        'search_path', pg_catalog.format('pg_catalog, %I, pg_temp', @extschema@._gravity_memory_vector_schema()), true);
    -- Loads pgvector's library: before, its parameters are unknown, and only a superuser may name those in CREATE FUNCTION ... SET.
    EXECUTE pg_catalog.format('SELECT %L::%I.vector', '[1]', @extschema@._gravity_memory_vector_schema());
END
$vector_type_path$;

-- sql/setup/_gravity_memory_mismatches_in.sql

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

-- sql/setup/_gravity_memory_adoption_mismatches.sql

-- _gravity_memory_adoption_mismatches(): why existing tables cannot be adopted, one line per mismatch, each with what to do.
--
-- Setup refuses when there is one. See _gravity_memory_mismatches_in(), which looks. Returns nothing when all fits.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_adoption_mismatches()
RETURNS SETOF text
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_adoption_mismatches$
    SELECT m.problem || ': ' || m.advice
    FROM @extschema@._gravity_memory_mismatches_in(
        (SELECT n.nspname::text FROM pg_namespace AS n WHERE n.oid = '@extschema@'::regnamespace)) AS m
    ORDER BY m.table_name, m.ordinal, m.problem
$_gravity_memory_adoption_mismatches$;

COMMENT ON FUNCTION @extschema@._gravity_memory_adoption_mismatches() IS
    'Why existing tables cannot be adopted: one line per mismatch, with what to do.';

-- sql/monitoring/_gravity_memory_job_findings.sql

-- _gravity_memory_job_findings(): jobs of pg_cron that are missing, switched off or failing, for gravity_memory_check().
--
-- Nothing where pg_cron is not in this database: another scheduler may run the jobs. A job counts by the function it calls, whatever
-- its name. It fails when its latest run did; of train-vector-index-step, whose command changes, the runs are looked at that are not
-- older than a day. pg_cron shows a role its own jobs only: whoever sees none of ours, and may not see all, gets an error, which
-- gravity_memory_check() reports as not checked. Errors: 42501 for a role that may not read the jobs.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_job_findings()
RETURNS TABLE (severity text, finding text, object text, problem text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_job_findings$
DECLARE
    v_schedule CONSTANT text := 'SELECT ' || @extschema@._gravity_memory_qualified_name('gravity_memory_schedule_jobs') || '()';
    v_wanted record;
    v_job record;
    v_run record;
    v_is_hidden boolean;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension AS e WHERE e.extname = 'pg_cron') THEN
        RETURN;
    END IF;
    FOR v_wanted IN SELECT c.* FROM @extschema@._gravity_memory_job_catalogue() AS c LOOP
        EXECUTE 'SELECT j.jobid, j.jobname, j.schedule, j.active FROM cron.job AS j'
                ' WHERE @extschema@._gravity_memory_is_same_job(j.command, $1) AND j.database = current_database()'
                ' ORDER BY j.active DESC, j.command = $1 DESC, j.jobid DESC LIMIT 1'
            INTO v_job USING v_wanted.command;
        IF v_job.jobid IS NULL THEN
            EXECUTE 'SELECT row_security_active(''cron.job'')' INTO v_is_hidden;
            IF v_is_hidden THEN
                RAISE EXCEPTION 'the jobs of other roles are hidden from %, and % is not among its own', current_user,
                    v_wanted.job_name
                    USING ERRCODE = 'insufficient_privilege', HINT = 'Check as the role that owns the jobs, or as a superuser.';
            END IF;
            EXECUTE 'SELECT EXISTS (SELECT FROM cron.job AS j WHERE j.jobname = $1 AND j.username = current_user)'
                INTO v_is_hidden USING v_wanted.job_name;
            RETURN QUERY SELECT 'error', 'missing_job', v_wanted.job_name, format('No job of pg_cron runs %s.', v_wanted.command),
                CASE WHEN v_is_hidden  -- by another job of that name
                     THEN format('SELECT cron.schedule(%L, %L, %L)', 'gravity_memory ' || v_wanted.job_name, v_wanted.schedule,
                         v_wanted.command)
                     ELSE v_schedule END;
            CONTINUE;
        END IF;
        IF NOT v_job.active THEN
            RETURN QUERY SELECT 'notice', 'inactive_job', v_job.jobname::text, 'The job is switched off.',
                                format('SELECT cron.alter_job(%s, active := true)', v_job.jobid);
        END IF;
        IF v_job.schedule <> v_wanted.schedule THEN
            RETURN QUERY SELECT 'warning', 'changed_job', v_job.jobname::text,
                                format('The job runs at %s, the settings say %s.', v_job.schedule, v_wanted.schedule),
                                format('SELECT cron.alter_job(%s, schedule := %L)', v_job.jobid, v_wanted.schedule);
        END IF;
        EXECUTE 'SELECT d.status, d.return_message, d.start_time FROM cron.job_run_details AS d'
                ' WHERE d.jobid = $1 AND d.status IN (''succeeded'', ''failed'') ORDER BY d.runid DESC LIMIT 1'
            INTO v_run USING v_job.jobid;
        IF v_run.status = 'failed' THEN
            RETURN QUERY SELECT 'error', 'failing_job', v_job.jobname::text,
                                format('Its latest run, at %s, failed: %s', v_run.start_time, btrim(v_run.return_message, E' \n')),
                                v_wanted.command;
        END IF;
    END LOOP;

    RETURN QUERY EXECUTE
        'SELECT ''error'', ''failing_job'', ''train-vector-index-step'','
        '       format(''Its run at %s failed: %s'', r.start_time, btrim(r.return_message, E'' \n'')), r.command'
        ' FROM (SELECT d.* FROM cron.job_run_details AS d'
        '       WHERE d.database = current_database() AND d.command ~ ''INDEX.* \S*idx_gravity_map_embedding_'''
        '         AND d.start_time > now() - interval ''1 day'' AND d.status IN (''succeeded'', ''failed'')'
        '       ORDER BY d.runid DESC LIMIT 1) AS r'
        ' WHERE r.status = ''failed''';
END
$_gravity_memory_job_findings$;

COMMENT ON FUNCTION @extschema@._gravity_memory_job_findings() IS
    'Findings of gravity_memory_check() about the jobs of pg_cron.';

-- sql/adoption/_gravity_memory_settings_in.sql

-- _gravity_memory_settings_in(p_schema): the settings that setup would find in force in a schema, as one JSON object of text
-- values.
--
-- The defaults, and the overrides in a table gravity_memory_settings that an earlier installation left there. Anything else of
-- that name is not read: reading a view would run its code. Who may not read it gets the defaults.
CREATE FUNCTION @extschema@._gravity_memory_settings_in(p_schema text)
RETURNS jsonb
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
AS $_gravity_memory_settings_in$
DECLARE
    v_overrides jsonb;
BEGIN
    IF (SELECT count(*) = 2 AND bool_and(a.atttypid = 'text'::regtype) AND bool_and(has_column_privilege(c.oid, a.attnum, 'SELECT'))
        FROM pg_class AS c
        JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attname IN ('name', 'value') AND NOT a.attisdropped
        WHERE c.oid = to_regclass(format('%I.%I', p_schema, 'gravity_memory_settings')) AND c.relkind = 'r') THEN
        EXECUTE format('SELECT jsonb_object_agg(s.name, s.value) FROM %I.gravity_memory_settings AS s WHERE s.name IS NOT NULL',
            p_schema)
            INTO v_overrides;
    END IF;
    RETURN @extschema@._gravity_memory_default_settings() || COALESCE(v_overrides, '{}');
END
$_gravity_memory_settings_in$;

COMMENT ON FUNCTION @extschema@._gravity_memory_settings_in(text) IS
    'The settings in force in a schema: the defaults overlaid with what stands there in gravity_memory_settings.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_settings_in(text) FROM PUBLIC;

-- sql/adoption/_gravity_memory_adoption_functions.sql

-- _gravity_memory_adoption_functions(p_schema): what gravity_memory_adoption_report() says of functions made by hand.
--
-- Those that keep CREATE EXTENSION from working in p_schema: of the same name and parameters as one of ours, and, of the search
-- functions, of the same name alone, because PostgREST can call neither of two. The remedy renames them: triggers, views and
-- policies go on using them under the new name, until setup gives the triggers ours. DROP ... CASCADE would drop all of these.
CREATE FUNCTION @extschema@._gravity_memory_adoption_functions(p_schema text)
RETURNS TABLE (severity text, finding text, object text, present text, plan text, lock text, remedy text)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_adoption_functions$
    WITH ours AS (
        SELECT p.oid, p.proname, p.proargtypes
        FROM pg_proc AS p
        JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
        JOIN pg_extension AS e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
        WHERE e.extname = 'gravity_memory'
    )
    SELECT 'blocks', 'function_by_hand', p.oid::regprocedure::text,
           concat_ws('; ',
               format('Made by hand, owner %I', pg_get_userbyid(p.proowner)),
               -- The specification's sources, without comments and blanks.
               CASE WHEN md5(regexp_replace(p.prosrc, '--[^\n]*|\s', '', 'g')) = CASE p.proname
                             WHEN 'auto_tag_high_gravity' THEN '1c01e5cfc7c971a50edf1667b222ec1c'
                             WHEN 'notify_memory_created' THEN 'f4864c33a491aa59b563daab48b5423c'
                             WHEN 'trigger_arc_building' THEN '8388c8d8a1cd9ad5719d6e65c43a9b25'
                             WHEN 'cleanup_old_cache' THEN 'bef18293f4a0aed705ebbaca69d39c93' END
                    THEN 'as in the specification' ELSE 'not the specification''s' END,
               CASE WHEN p.prosecdef THEN 'SECURITY DEFINER' END,
               'EXECUTE granted to ' || (SELECT string_agg(CASE WHEN x.grantee = 0 THEN 'PUBLIC'
                   ELSE pg_get_userbyid(x.grantee)::text END, ', ')
                                         FROM aclexplode(COALESCE(p.proacl, acldefault('f', p.proowner))) AS x
                                         WHERE x.grantee <> p.proowner),
               'used by ' || (SELECT string_agg(pg_describe_object(d.classid, d.objid, d.objsubid), ', ' ORDER BY d.classid,
                   d.objid)
                              FROM pg_depend AS d
                              WHERE d.refclassid = 'pg_proc'::regclass AND d.refobjid = p.oid AND d.deptype IN ('n', 'a'))) || '.',
           'CREATE EXTENSION stops. Renamed, it stays in use until setup replaces the triggers; grant EXECUTE on ours anew.',
           'none', format('ALTER ROUTINE %s RENAME TO %I', p.oid::regprocedure, p.proname || '_by_hand')
    FROM pg_proc AS p
    WHERE p.pronamespace = (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = p_schema)
      AND p.prokind IN ('f', 'p')
      AND NOT EXISTS (SELECT FROM ours AS o WHERE o.oid = p.oid)
      AND EXISTS (SELECT FROM ours AS o
                  WHERE o.proname = p.proname
                    AND (o.proargtypes = p.proargtypes
                         OR o.proname IN ('match_memories', 'gravity_weighted_search', 'find_similar_memories',
                             'get_conversation_context',
                                          'recall_memories')))
$_gravity_memory_adoption_functions$;

COMMENT ON FUNCTION @extschema@._gravity_memory_adoption_functions(text) IS
    'What gravity_memory_adoption_report() says of functions made by hand.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_adoption_functions(text) FROM PUBLIC;

-- sql/adoption/_gravity_memory_adoption_tables.sql

-- _gravity_memory_adoption_tables(p_schema): what gravity_memory_adoption_report() says of tables and columns.
--
-- The tables that are there with their size, the columns that setup would add, the tables it would create, what it cannot adopt,
-- who owns them, and what hangs on them: partitions, row security, publications, foreign keys, default privileges.
CREATE FUNCTION @extschema@._gravity_memory_adoption_tables(p_schema text)
RETURNS TABLE (severity text, finding text, object text, present text, plan text, lock text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_adoption_tables$
DECLARE
    v_present regclass[] := ARRAY(SELECT c.oid::regclass
                                  FROM @extschema@._gravity_memory_table_catalogue() AS t
                                  JOIN pg_class AS c ON c.oid = to_regclass(format('%I.%I', p_schema, t.table_name))
                                  WHERE c.relkind IN ('r', 'p'));
    v_owner CONSTANT name := (SELECT pg_get_userbyid(c.relowner) FROM pg_class AS c
                              WHERE c.oid = to_regclass(format('%I.%I', p_schema, 'gravity_map')) AND c.relkind IN ('r', 'p'));
BEGIN
    RETURN QUERY
    SELECT 'blocks', 'table_mismatch', m.object, m.problem || '.', 'Setup stops: ' || m.advice || '.', m.lock, m.remedy
    FROM @extschema@._gravity_memory_mismatches_in(p_schema) AS m;

    IF NOT has_schema_privilege(p_schema, 'CREATE') THEN
        RETURN QUERY SELECT 'blocks', 'no_create', p_schema, format('%I may not create anything in the schema %I.', current_user,
            p_schema),
            'Setup stops at the first table that it creates.', 'none',
            format('GRANT CREATE, USAGE ON SCHEMA %I TO %I', p_schema, current_user);
    END IF;

    RETURN QUERY
    SELECT 'blocks', 'other_owner', c.relname::text, format('It belongs to %I, of whom %I is no member.',
        pg_get_userbyid(c.relowner), current_user),
           'Setup stops: only the owner of a table adds columns and triggers to it.', 'none',
           format('GRANT %I TO %I', pg_get_userbyid(c.relowner), current_user)
    FROM pg_class AS c
    WHERE c.oid = ANY (v_present) AND NOT pg_has_role(c.relowner, 'USAGE');

    RETURN QUERY
    SELECT 'note', 'table', c.relname::text,
           format('%s%s, %s with indexes, owner %I, %s.',
                  CASE c.relkind WHEN 'p' THEN 'A partitioned table, its rows are in its partitions' ELSE 'A table' END,
                  CASE WHEN c.relkind = 'p' THEN '' WHEN c.reltuples < 0 THEN ', never analyzed' ELSE format(', about %s rows',
                      c.reltuples::bigint) END,
                  pg_size_pretty(COALESCE((SELECT sum(pg_total_relation_size(p.relid)) FROM pg_partition_tree(c.oid) AS p
                      WHERE p.isleaf),
                                          pg_total_relation_size(c.oid))),
                  pg_get_userbyid(c.relowner),
                  COALESCE((SELECT 'with columns of its own: ' || string_agg(a.attname, ', ' ORDER BY a.attnum)
                            FROM pg_attribute AS a
                            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                              AND NOT EXISTS (SELECT FROM @extschema@._gravity_memory_column_catalogue() AS w
                                              WHERE w.table_name = c.relname AND w.column_name = a.attname)),
                           'without other columns')),
           'Adopt it: no row is touched, no constraint added, columns of its own stay.', 'none', NULL::text
    FROM pg_class AS c
    WHERE c.oid = ANY (v_present);

    RETURN QUERY
    SELECT 'note', 'embedding_dimensions', 'gravity_map.embedding', format('The embeddings have %s dimensions.', a.atttypmod),
           'Keep them so; gravity_memory.embedding_dimensions has no say in an existing column.', 'none', NULL::text
    FROM pg_attribute AS a
    JOIN pg_type AS t ON t.oid = a.atttypid AND t.typname = 'vector'
    WHERE a.attrelid = ANY (v_present) AND a.attrelid = to_regclass(format('%I.%I', p_schema, 'gravity_map'))
      AND a.attname = 'embedding' AND NOT a.attisdropped AND a.atttypmod > 0;

    RETURN QUERY
    SELECT 'change', 'missing_columns', t.table_name, format('Missing: %s.', string_agg(w.column_name, ', ' ORDER BY w.ordinal)),
           'add column ' || string_agg(format('%I %s', w.column_name, btrim(w.data_type || ' ' || w.modifiers)), ', '
               ORDER BY w.ordinal),
           'ACCESS EXCLUSIVE until the transaction is over; no row is rewritten', NULL::text
    FROM @extschema@._gravity_memory_table_catalogue() AS t
    JOIN @extschema@._gravity_memory_column_catalogue() AS w ON w.table_name = t.table_name
    WHERE to_regclass(format('%I.%I', p_schema, t.table_name)) = ANY (v_present)
      AND w.modifiers <> 'NOT NULL' AND w.modifiers NOT LIKE '%gen_random_uuid()%'
      AND NOT EXISTS (SELECT FROM pg_attribute AS a
                      WHERE a.attrelid = to_regclass(format('%I.%I', p_schema, t.table_name)) AND a.attname = w.column_name
                        AND NOT a.attisdropped)
    GROUP BY t.table_name;

    -- Columns of ours that the insert of an automatic arc leaves to their defaults.
    RETURN QUERY
    SELECT 'note', 'no_default', 'memory_arcs.' || a.attname, 'It is NOT NULL and has no default.',
           'Keep it so. Automatic arcs cannot be written then, and a WARNING says so each time.', 'ACCESS EXCLUSIVE, for a moment',
           format('ALTER TABLE %I.memory_arcs ALTER COLUMN %I %s', p_schema, a.attname,
                  CASE a.attname WHEN 'id' THEN 'SET DEFAULT gen_random_uuid()' ELSE 'DROP NOT NULL' END)
    FROM pg_attribute AS a
    WHERE a.attrelid = ANY (v_present) AND a.attrelid = to_regclass(format('%I.%I', p_schema, 'memory_arcs'))
      AND a.attname IN ('id', 'peak_gravity', 'growth_vector', 'first_memory_at', 'last_memory_at')
      AND a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AND NOT a.attisdropped;

    -- The live application's own name.
    RETURN QUERY
    SELECT 'note', 'other_name', format('%s.%s', o.table_name, o.actual), format('There is no column %I, and one %I.', o.wanted,
        o.actual),
           format('Setup adds an empty %I; renamed before, this one is used, and the application has to call it so.', o.wanted),
           'ACCESS EXCLUSIVE, for a moment',
           format('ALTER TABLE %I.%I RENAME COLUMN %I TO %I', p_schema, o.table_name, o.actual, o.wanted)
    FROM (VALUES ('gravity_map', 'emotion', 'emotion_type')) AS o (table_name, actual, wanted)
    JOIN pg_attribute AS a
      ON a.attrelid = to_regclass(format('%I.%I', p_schema, o.table_name)) AND a.attrelid = ANY (v_present)
     AND a.attname = o.actual AND NOT a.attisdropped AND a.atttypid IN ('text'::regtype, 'varchar'::regtype)
    WHERE NOT EXISTS (SELECT FROM pg_attribute AS w
                      WHERE w.attrelid = a.attrelid AND w.attname = o.wanted AND NOT w.attisdropped);

    RETURN QUERY
    SELECT 'change', 'missing_table', t.table_name, 'There is none.',
           'create table, with its indexes and triggers' || CASE WHEN v_owner <> current_user THEN format('; it is given to %I',
               v_owner) ELSE '' END,
           CASE WHEN t.table_name = 'memory_arc_associations' AND v_present <> '{}'
                THEN 'SHARE ROW EXCLUSIVE on the tables it refers to, until the transaction is over: writers wait' ELSE 'none' END,
           NULL::text
    FROM @extschema@._gravity_memory_table_catalogue() AS t
    WHERE to_regclass(format('%I.%I', p_schema, t.table_name)) IS NULL;

    RETURN QUERY
    SELECT 'note', 'partitioned', c.relname::text,
           format('%s partitions.', (SELECT count(*) FROM pg_partition_tree(c.oid) AS p WHERE p.isleaf)),
           'Its indexes are built without CONCURRENTLY, which PostgreSQL does not offer there.',
               'SHARE while each index is built: writers wait',
           NULL::text
    FROM pg_class AS c
    WHERE c.oid = ANY (v_present) AND c.relkind = 'p';

    RETURN QUERY
    SELECT 'note', 'row_security', c.relname::text,
           format('Row security is on%s; %s.', CASE WHEN c.relforcerowsecurity THEN ', for the owner too' ELSE '' END,
                  COALESCE('policies: ' || (SELECT string_agg(format('%I (%s, %s)', p.polname,
                                                  CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE'
                                                                WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
                                                  (SELECT string_agg(CASE WHEN r.oid = 0 THEN 'PUBLIC'
                                                      ELSE pg_get_userbyid(r.oid)::text END, ', ')
                                                   FROM unnest(p.polroles) AS r (oid))), '; ' ORDER BY p.polname)
                                            FROM pg_policy AS p WHERE p.polrelid = c.oid),
                           'without any policy, so that only the owner and BYPASSRLS roles see rows')),
           CASE WHEN c.relname = 'gravity_map' AND c.relforcerowsecurity AND NOT EXISTS (
                         SELECT FROM pg_roles AS r WHERE r.oid = c.relowner AND (r.rolsuper OR r.rolbypassrls))
                THEN 'Keep it. Arcs and what recall reads cannot be kept while the owner, whose functions do that, sees no rows.'
                ELSE 'Keep it. Who recalls gets what these policies allow.' END,
           'none',
           CASE WHEN c.relname = 'gravity_map' AND c.relforcerowsecurity AND NOT EXISTS (
                         SELECT FROM pg_roles AS r WHERE r.oid = c.relowner AND (r.rolsuper OR r.rolbypassrls))
                THEN format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', c.oid::regclass) END
    FROM pg_class AS c
    JOIN @extschema@._gravity_memory_table_catalogue() AS t ON t.table_name = c.relname
    WHERE c.oid = ANY (v_present) AND c.relrowsecurity
      -- Those that setup makes so: row security without a policy.
      AND NOT (t.is_closed AND NOT c.relforcerowsecurity AND NOT EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = c.oid));

    RETURN QUERY
    SELECT 'note', 'publication', p.pubname::text,
           CASE WHEN p.puballtables THEN 'Publishes all tables.'
                ELSE 'Publishes ' || concat_ws(', ', CASE WHEN s.is_schema THEN format('all tables of the schema %I', p_schema) END,
                    r.tables) || '.' END,
           CASE WHEN p.puballtables OR s.is_schema
                THEN 'Keep it. It will publish the tables that setup creates, too, and its subscribers need them then.'
                ELSE 'Keep it, as it is; gravity_memory_enable_realtime() adds tables to supabase_realtime.' END,
           'none', NULL::text
    FROM pg_publication AS p
    CROSS JOIN LATERAL (SELECT EXISTS (SELECT FROM pg_publication_namespace AS n
                                       WHERE n.pnpubid = p.oid AND n.pnnspid = (SELECT x.oid FROM pg_namespace AS x
                                           WHERE x.nspname = p_schema))
                        AS is_schema) AS s
    CROSS JOIN LATERAL (SELECT string_agg(c.relname, ', ' ORDER BY c.relname) AS tables
                        FROM pg_publication_rel AS r JOIN pg_class AS c ON c.oid = r.prrelid
                        WHERE r.prpubid = p.oid AND r.prrelid = ANY (v_present)) AS r
    WHERE p.puballtables OR s.is_schema OR r.tables IS NOT NULL;

    RETURN QUERY
    SELECT 'note', 'foreign_key', format('%I on %s', k.conname, k.conrelid::regclass), pg_get_constraintdef(k.oid) || '.',
           CASE WHEN k.confrelid = ANY (v_present) AND NOT k.conrelid = ANY (v_present) AND k.confdeltype IN ('a', 'r')
                THEN 'Keep it. It refuses the deletion of rows that it refers to.' ELSE 'Keep it.' END, 'none', NULL::text
    FROM pg_constraint AS k
    WHERE k.contype = 'f' AND (k.conrelid = ANY (v_present) OR k.confrelid = ANY (v_present)) AND k.conparentid = 0
      -- Those among our own tables are as they should be, or a mismatch.
      AND NOT (k.conrelid = ANY (v_present) AND k.confrelid = ANY (v_present));

    RETURN QUERY
    SELECT 'note', 'no_foreign_key', 'memory_arc_associations', format('No foreign key refers to %I.', r.name),
           'Keep it so. Links to rows that are deleted stay, and nothing reads them.', 'none',
           format('ALTER TABLE %I.memory_arc_associations ADD FOREIGN KEY (%I) REFERENCES %I.%I (id) ON DELETE CASCADE NOT VALID',
                  p_schema, r.column_name, p_schema, r.name)
    FROM (VALUES ('gravity_map', 'memory_id'), ('memory_arcs', 'arc_id')) AS r (name, column_name)
    JOIN pg_class AS c ON c.oid = ANY (v_present) AND c.relname = 'memory_arc_associations' AND c.relkind = 'r'
    WHERE to_regclass(format('%I.%I', p_schema, r.name)) = ANY (v_present)
      AND NOT EXISTS (SELECT FROM pg_constraint AS k
                      WHERE k.contype = 'f' AND k.conrelid = c.oid AND k.confrelid = to_regclass(format('%I.%I', p_schema,
                          r.name)));

    -- Supabase gives what is created in public to anon, so that a REVOKE from PUBLIC does not reach it.
    RETURN QUERY
    SELECT 'note', 'default_privileges', format('%I in %I', pg_get_userbyid(d.defaclrole), p_schema),
           format('What this role creates there is given to others: %s.', string_agg(DISTINCT format('%s on %s to %s',
                      x.privilege_type, CASE d.defaclobjtype WHEN 'r' THEN 'tables' ELSE 'functions' END,
                      CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE pg_get_userbyid(x.grantee)::text END), '; ')),
           'New tables and functions get these privileges, too. Look at who may write the new tables when it is done.', 'none',
           format('ALTER DEFAULT PRIVILEGES FOR ROLE %I%s REVOKE ALL ON %s FROM %s', pg_get_userbyid(d.defaclrole),
                  CASE WHEN d.defaclnamespace = 0 THEN '' ELSE format(' IN SCHEMA %I', p_schema) END,
                  CASE d.defaclobjtype WHEN 'r' THEN 'TABLES' ELSE 'FUNCTIONS' END,
                  string_agg(DISTINCT CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END, ', '))
    FROM pg_default_acl AS d
    CROSS JOIN LATERAL aclexplode(d.defaclacl) AS x
    WHERE d.defaclobjtype IN ('r', 'f') AND x.grantee <> d.defaclrole AND pg_get_userbyid(d.defaclrole) = current_user
      AND d.defaclnamespace IN (0, (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = p_schema))
      AND NOT (d.defaclobjtype = 'f' AND x.grantee = 0)
    GROUP BY d.oid, d.defaclrole, d.defaclnamespace, d.defaclobjtype;
END
$_gravity_memory_adoption_tables$;

COMMENT ON FUNCTION @extschema@._gravity_memory_adoption_tables(text) IS
    'What gravity_memory_adoption_report() says of tables and columns.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_adoption_tables(text) FROM PUBLIC;

-- sql/adoption/_gravity_memory_adoption_triggers.sql

-- _gravity_memory_adoption_triggers(p_schema): what gravity_memory_adoption_report() says of triggers.
--
-- Triggers of ours that are missing, one row per table; those of the same name that setup replaces; and those of others, which
-- stay and run beside ours. One that announces on our channels or makes arcs does again what ours do: that is read from the
-- source of its function, so that what it does through other functions is not seen.
CREATE FUNCTION @extschema@._gravity_memory_adoption_triggers(p_schema text)
RETURNS TABLE (severity text, finding text, object text, present text, plan text, lock text, remedy text)
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $_gravity_memory_adoption_triggers$
    WITH wanted AS (
        SELECT c.trigger_name, c.table_name, k.oid AS table_oid, t.oid AS trigger_oid,
               -- As the catalogue would be if the extension were in that schema.
               replace(c.definition, ' @extschema@.', format(' %I.', p_schema)) AS definition
        FROM @extschema@._gravity_memory_trigger_catalogue() AS c
        JOIN pg_class AS k ON k.oid = to_regclass(format('%I.%I', p_schema, c.table_name)) AND k.relkind IN ('r', 'p')
        LEFT JOIN pg_trigger AS t ON t.tgrelid = k.oid AND t.tgname = c.trigger_name
    ), others AS (
        SELECT t.oid, t.tgname, t.tgrelid, k.is_derived, k.table_name, t.tgenabled,
               p.prosrc ~* 'notify' AND p.prosrc ~ 'memory_created|memory_updated|arc_created' AS notifies,
               p.prosrc ~* 'insert\s+into\s+\S*memory_arc' AS makes_arcs
        FROM @extschema@._gravity_memory_table_catalogue() AS k
        JOIN pg_trigger AS t ON t.tgrelid = to_regclass(format('%I.%I', p_schema, k.table_name)) AND NOT t.tgisinternal
        JOIN pg_proc AS p ON p.oid = t.tgfoid
        WHERE NOT EXISTS (SELECT FROM wanted AS w WHERE w.trigger_oid = t.oid)
    )
    SELECT 'change', 'missing_triggers', w.table_name, 'Missing: ' || string_agg(w.trigger_name, ', ' ORDER BY w.trigger_name)
        || '.',
           'create trigger, ' || count(*) || ' of them',
           'SHARE ROW EXCLUSIVE until the transaction is over: writers wait', NULL::text
    FROM wanted AS w
    WHERE w.trigger_oid IS NULL
    GROUP BY w.table_name
    UNION ALL
    SELECT 'change', 'changed_trigger', format('%I on %I', w.trigger_name, w.table_name), pg_get_triggerdef(w.trigger_oid) || '.',
           'replace trigger: ' || w.definition,
           'ACCESS EXCLUSIVE until the transaction is over: readers and writers wait', NULL
    FROM wanted AS w
    WHERE pg_get_triggerdef(w.trigger_oid) <> w.definition
    UNION ALL
    SELECT CASE WHEN o.is_derived THEN 'blocks' ELSE 'note' END,
           CASE WHEN o.is_derived THEN 'foreign_trigger' WHEN o.notifies OR o.makes_arcs THEN 'doubled_trigger'
               ELSE 'own_trigger' END,
           format('%I on %I', o.tgname, o.table_name), pg_get_triggerdef(o.oid) || CASE o.tgenabled WHEN 'D'
               THEN ' (switched off).' ELSE '.' END,
           CASE WHEN o.is_derived THEN 'Setup stops: no trigger but ours may stand on what is derived.'
                ELSE 'Keep it. It runs beside ours' || CASE
                         WHEN o.notifies AND o.makes_arcs
                             THEN ', and seems to announce on our channels and to make arcs, as ours do: both happen twice then'
                         WHEN o.notifies THEN ', and seems to announce on our channels, as ours do: listeners hear of a memory twice then'
                         WHEN o.makes_arcs THEN ', and seems to make arcs, as ours do: a cluster may get two then'
                         ELSE '' END || '.' END,
           CASE WHEN o.is_derived OR o.notifies OR o.makes_arcs THEN 'ACCESS EXCLUSIVE, for a moment' ELSE 'none' END,
           CASE WHEN o.is_derived OR o.notifies OR o.makes_arcs THEN format('DROP TRIGGER %I ON %s', o.tgname,
               o.tgrelid::regclass) END
    FROM others AS o
$_gravity_memory_adoption_triggers$;

COMMENT ON FUNCTION @extschema@._gravity_memory_adoption_triggers(text) IS
    'What gravity_memory_adoption_report() says of triggers.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_adoption_triggers(text) FROM PUBLIC;

-- sql/adoption/_gravity_memory_adoption_indexes.sql

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

-- sql/adoption/_gravity_memory_adoption_rows.sql

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

-- sql/adoption/_gravity_memory_adoption_jobs.sql

-- _gravity_memory_adoption_jobs(p_schema): what gravity_memory_adoption_report() says of the jobs of pg_cron.
--
-- A job made by hand that calls the same function is kept and not doubled, whatever its name; one of our name that runs something
-- else is kept, too, and ours is not scheduled. pg_cron shows a role its own jobs only. Without pg_cron one row says so.
CREATE FUNCTION @extschema@._gravity_memory_adoption_jobs(p_schema text)
RETURNS TABLE (severity text, finding text, object text, present text, plan text, lock text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
AS $_gravity_memory_adoption_jobs$
DECLARE
    v_wanted record;
    v_job record;
    v_name text;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension AS e WHERE e.extname = 'pg_cron') THEN
        RETURN QUERY SELECT 'note', 'no_pg_cron', 'pg_cron', 'pg_cron is not in this database.',
            'Schedule no job; a NOTICE of setup says what to run where.', 'none', NULL::text;
        RETURN;
    END IF;
    IF NOT (has_schema_privilege('cron', 'USAGE') AND has_table_privilege('cron.job', 'SELECT')) THEN
        RETURN QUERY SELECT 'note', 'not_looked_at', 'cron.job', format('%I may not use pg_cron.', current_user),
            'Schedule no job; a NOTICE of setup says what a role that may use pg_cron runs.', 'none',
            format('GRANT USAGE ON SCHEMA cron TO %I', current_user);
        RETURN;
    END IF;
    FOR v_wanted IN
        SELECT c.job_name, s.settings ->> d.setting AS schedule, replace(c.command, ' @extschema@.', format(' %I.',
            p_schema)) AS command
        FROM @extschema@._gravity_memory_job_catalogue() AS c
        JOIN (VALUES ('cleanup-cache', 'cache_cleanup_schedule'), ('cleanup-events', 'feed_cleanup_schedule'),
                     ('evolve-arcs', 'arc_evolution_schedule'), ('train-vector-indexes', 'embedding_index_schedule'))
             AS d (job_name, setting) ON d.job_name = c.job_name
        CROSS JOIN (SELECT @extschema@._gravity_memory_settings_in(p_schema) AS settings) AS s
    LOOP
        EXECUTE 'SELECT j.jobname, j.schedule, j.command, j.username, j.active FROM cron.job AS j'
                ' WHERE j.database = current_database() AND @extschema@._gravity_memory_is_same_job(j.command, $1)'
                ' ORDER BY j.active DESC, j.jobid LIMIT 1'
            INTO v_job USING v_wanted.command;
        v_name := COALESCE(v_job.jobname, v_wanted.job_name);
        IF v_job.command IS NOT NULL THEN
            RETURN QUERY SELECT 'note', 'same_job', v_name,
                format('Runs %s at %s as %I%s.', v_job.command, v_job.schedule, v_job.username,
                       CASE WHEN v_job.active THEN '' ELSE ', and is switched off' END),
                'Keep it, and schedule none beside it; it calls ours from then on.', 'none', NULL::text;
            CONTINUE;
        END IF;
        EXECUTE 'SELECT j.jobname, j.schedule, j.command FROM cron.job AS j WHERE j.jobname = $1 AND j.username = current_user LIMIT 1'
            INTO v_job USING v_wanted.job_name;
        IF v_job.command IS NOT NULL THEN
            RETURN QUERY SELECT 'note', 'other_job', v_wanted.job_name, format('A job of that name runs something else: %s',
                v_job.command),
                'Keep it. Ours is not scheduled; when setup is done, schedule it under another name.', 'none',
                format('SELECT cron.schedule(%L, %L, %L)', 'gravity_memory ' || v_wanted.job_name, v_wanted.schedule,
                    v_wanted.command);
        ELSE
            RETURN QUERY SELECT 'change', 'missing_job', v_wanted.job_name, format('No job runs %s.', v_wanted.command),
                format('schedule job, at %s', v_wanted.schedule), 'none', NULL::text;
        END IF;
    END LOOP;
END
$_gravity_memory_adoption_jobs$;

COMMENT ON FUNCTION @extschema@._gravity_memory_adoption_jobs(text) IS
    'What gravity_memory_adoption_report() says of jobs.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_adoption_jobs(text) FROM PUBLIC;

-- sql/adoption/gravity_memory_adoption_report.sql

-- gravity_memory_adoption_report(p_schema): what setup would find in a schema and do with it, before it does anything.
--
-- p_schema: where the tables are; NULL (default): the extension's own schema. With SET gravity_memory.setup = off, CREATE
-- EXTENSION makes functions only, in any schema, so that this can be asked before a table is touched, and where functions made by
-- hand would keep the extension from being created beside them. Changes nothing, takes no lock but that of reading, and works on a
-- standby. Returns one row per finding, what stops setup first: severity (blocks: setup or CREATE EXTENSION stops; change: setup
-- does something; note: to be known), finding (a short name, the same in every version), object, present (what is there), plan
-- (what setup does), lock (what is locked, and how long, by the plan or by the remedy where there is one) and remedy: a statement
-- for the owner to run before setup, NULL where there is nothing to run. docs/adoption.md goes through it. Sizes and rows are
-- estimates of the planner, and gravity_map is read in samples, so that it takes some tenths of a second, whatever the number of
-- memories; where it was never analyzed, up to 100,000 embeddings are counted, which reads the table until they are found. Errors:
-- 3F000 for a schema that does not exist. Reads with the caller's rights; who owns the tables may see all of it.
CREATE FUNCTION @extschema@.gravity_memory_adoption_report(p_schema text DEFAULT NULL)
RETURNS TABLE (severity text, finding text, object text, present text, plan text, lock text, remedy text)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET jit = off
SET standard_conforming_strings = on
SET quote_all_identifiers = off
AS $gravity_memory_adoption_report$
DECLARE
    v_own CONSTANT text := (SELECT n.nspname FROM pg_namespace AS n WHERE n.oid = '@extschema@'::regnamespace);
    v_schema CONSTANT text := COALESCE(p_schema, v_own);
BEGIN
    IF NOT EXISTS (SELECT FROM pg_namespace AS n WHERE n.nspname = v_schema) THEN
        RAISE EXCEPTION 'there is no schema %', quote_literal(v_schema)
            USING ERRCODE = 'invalid_schema_name',
                  HINT = COALESCE((SELECT 'Tables called gravity_map are in: ' || string_agg(n.nspname, ', ' ORDER BY n.nspname)
                      || '.'
                                   FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
                                       WHERE c.relname = 'gravity_map'),
                                  'Name the schema of the tables, as it is in pg_namespace, without quotes.');
    END IF;

    RETURN QUERY
    SELECT f.*
    FROM (
        SELECT 'note', 'extension', 'gravity_memory', format('The extension is in the schema %I.', v_own),
               format('To adopt the tables of %I: DROP EXTENSION gravity_memory, then CREATE EXTENSION gravity_memory SCHEMA %I.',
                   v_schema, v_schema),
               'none', NULL
        WHERE v_schema <> v_own
        UNION ALL SELECT t.* FROM @extschema@._gravity_memory_adoption_functions(v_schema) AS t
        UNION ALL SELECT t.* FROM @extschema@._gravity_memory_adoption_tables(v_schema) AS t
        UNION ALL SELECT t.* FROM @extschema@._gravity_memory_adoption_triggers(v_schema) AS t
        UNION ALL SELECT t.* FROM @extschema@._gravity_memory_adoption_indexes(v_schema) AS t
        UNION ALL SELECT t.* FROM @extschema@._gravity_memory_adoption_rows(v_schema) AS t
        UNION ALL SELECT t.* FROM @extschema@._gravity_memory_adoption_jobs(v_schema) AS t
    ) AS f (severity, finding, object, present, plan, lock, remedy)
    ORDER BY array_position('{blocks,change,note}', f.severity), f.finding, f.object, f.present;
END
$gravity_memory_adoption_report$;

COMMENT ON FUNCTION @extschema@.gravity_memory_adoption_report(text) IS
    'What setup would find in a schema, do with it and lock, before it does anything; one row per finding, what stops it first.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_adoption_report(text) FROM PUBLIC;

-- sql/setup/bind_vector_schema.sql

-- Writes the name of pgvector's schema into the functions above, before anything calls them; also while a dump is being restored.
DO $bind_vector_schema$
BEGIN
    PERFORM @extschema@._gravity_memory_bind_vector_schema();
END
$bind_vector_schema$;

-- sql/upgrades/owners.sql

-- Gives what this script made to the owner of the extension, who need not be who runs it.
--
-- A superuser may run it for the owner, who could otherwise not replace these functions with the next version's. pg_dump compares
-- privileges with those that the script left; a REVOKE, though nothing is left to revoke, has them recorded under the new owner.
DO $owners$
DECLARE
    v_function record;
BEGIN
    FOR v_function IN
        SELECT p.oid::pg_catalog.regprocedure AS signature, pg_catalog.pg_get_userbyid(e.extowner) AS owner,
               NOT pg_catalog.has_function_privilege('public', p.oid, 'EXECUTE') AS is_revoked
        FROM pg_catalog.pg_proc AS p
        JOIN pg_catalog.pg_depend AS d
          ON d.classid OPERATOR(pg_catalog.=) 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid OPERATOR(pg_catalog.=) p.oid
         AND d.deptype OPERATOR(pg_catalog.=) 'e'
         AND d.refclassid OPERATOR(pg_catalog.=) 'pg_catalog.pg_extension'::pg_catalog.regclass
        JOIN pg_catalog.pg_extension AS e ON e.oid OPERATOR(pg_catalog.=) d.refobjid
        WHERE e.extname OPERATOR(pg_catalog.=) 'gravity_memory'
          AND pg_catalog.pg_get_userbyid(p.proowner) OPERATOR(pg_catalog.=) CURRENT_USER
          AND p.proowner OPERATOR(pg_catalog.<>) e.extowner
    LOOP
        EXECUTE pg_catalog.format('ALTER ROUTINE %s OWNER TO %I', v_function.signature, v_function.owner);
        IF v_function.is_revoked THEN
            EXECUTE pg_catalog.format('REVOKE EXECUTE ON ROUTINE %s FROM PUBLIC', v_function.signature);
        END IF;
    END LOOP;
END
$owners$;

-- sql/setup/install.sql

-- Creates or adopts the tables, unless a dump is being restored, or the session said SET gravity_memory.setup = off.
--
-- A restore brings the tables, their rows, triggers and jobs itself; what CREATE EXTENSION made before would be in its way (a
-- job inserted here makes COPY cron.job fail and loses the other jobs). pg_dump and pg_restore say SET row_security = off, and
-- nobody else does. With gravity_memory.setup = off, no table is touched: the functions are there for a look at what setup would
-- do, and setup is called when its time has come.
DO $install$
DECLARE
    -- Empty where a session or transaction set it and took it back.
    v_setup CONSTANT text := pg_catalog.lower(pg_catalog.btrim(
        COALESCE(pg_catalog.current_setting('gravity_memory.setup', true), '')));
BEGIN
    IF pg_catalog.current_setting('row_security') OPERATOR(pg_catalog.<>) 'on' THEN
        RETURN;
    END IF;
    IF v_setup OPERATOR(pg_catalog.<>) ALL ('{on,off,""}'::pg_catalog.text[]) THEN
        RAISE EXCEPTION 'gravity_memory.setup must be on or off, not %', pg_catalog.quote_literal(v_setup)
            USING ERRCODE = 'invalid_parameter_value',
                  HINT = 'RESET gravity_memory.setup; or SET gravity_memory.setup = off for the functions alone, without tables and '
                         'triggers.';
    END IF;
    -- CREATE EXTENSION hides notices; setup's say what is left to do, and are meant to be read.
    IF pg_catalog.current_setting('client_min_messages') OPERATOR(pg_catalog.=) 'warning' THEN
        PERFORM pg_catalog.set_config('client_min_messages', 'notice', true);
    END IF;
    IF v_setup OPERATOR(pg_catalog.=) 'off' THEN
        RAISE NOTICE 'gravity_memory: its functions are there; gravity_memory.setup is off, so that no table was touched.'
            USING HINT = 'SELECT * FROM @extschema@.gravity_memory_adoption_report() says what is to do, '
                         'SELECT * FROM @extschema@.gravity_memory_setup() does it.';
        RETURN;
    END IF;
    PERFORM @extschema@.gravity_memory_setup();
END
$install$;
