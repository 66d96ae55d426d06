-- The catalogue: what holds for every function, table and trigger of the extension. Runs last: it looks at what the others executed.
BEGIN;
\ir support/session.psql
SELECT EXISTS (SELECT FROM pg_available_extensions AS a WHERE a.name = 'plpgsql_check') AS has_plpgsql_check \gset
\if :has_plpgsql_check
    SELECT plan(27);
\else
    SELECT plan(25);
\endif
-- Other files' savepoints may have created objects; this one looks at the extension as it is installed.
CREATE TEMPORARY VIEW extension_function AS
SELECT p.oid, p.proname::text AS name, p.oid::regprocedure::text AS signature, p.proowner, p.prosecdef, p.proconfig, p.proacl, p.prolang, p.prorettype,
       p.prokind, p.prosrc,
       p.proname !~ '^_' AS is_public
FROM pg_proc AS p
JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e' AND d.refclassid = 'pg_extension'::regclass
JOIN pg_extension AS e ON e.oid = d.refobjid
WHERE e.extname = 'gravity_memory';

-- Functions.

SELECT cmp_ok((SELECT count(*) FROM extension_function), '>', 80::bigint, 'the functions of the extension are found');
SELECT is_empty($$SELECT f.signature FROM extension_function AS f WHERE COALESCE(obj_description(f.oid, 'pg_proc'), '') !~ '^.{20,}\.$'$$,
                'every function has a comment, a sentence');
SELECT bag_eq(
    $$SELECT f.name FROM extension_function AS f WHERE NOT COALESCE('search_path=pg_catalog, pg_temp' = ANY (f.proconfig), false)$$,
    ARRAY['gravity_memory_rebuild_recall', '_gravity_memory_document_terms'], 'every function but two pins its search_path');
SELECT is((SELECT row(f.prokind, f.prosrc ~ '\mCOMMIT\M', f.proconfig)::text FROM extension_function AS f WHERE f.name = 'gravity_memory_rebuild_recall'), '(p,t,)',
          'one of them commits, which no procedure with settings of its own may do');
SELECT is((SELECT row(l.lanname, p.provolatile, p.proretset, p.prosecdef, p.proconfig)::text
           FROM extension_function AS f JOIN pg_proc AS p ON p.oid = f.oid JOIN pg_language AS l ON l.oid = p.prolang WHERE f.name = '_gravity_memory_document_terms'), '(sql,s,t,f,)', 'the other is a query that PostgreSQL writes into the one that calls it');
SELECT bag_eq('SELECT f.name FROM extension_function AS f WHERE f.prokind <> ''f''', ARRAY['gravity_memory_rebuild_recall'], 'it is the only one that is no function');
SELECT is_empty($$SELECT f.signature FROM extension_function AS f JOIN pg_language AS l ON l.oid = f.prolang WHERE l.lanname NOT IN ('sql', 'plpgsql')$$,
                'every function is written in SQL or PL/pgSQL');
SELECT is_empty(
    $$SELECT f.signature, d.refobjid::regclass FROM extension_function AS f
      JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = f.oid AND d.refclassid = 'pg_class'::regclass$$,
    'no function depends on a table, so a dump can be restored in any order');

-- Rights.

SELECT bag_eq(
    'SELECT f.name FROM extension_function AS f WHERE f.prosecdef',
    ARRAY['_gravity_memory_keep_arc_totals', '_gravity_memory_keep_derived', '_gravity_memory_matching_postings', '_gravity_memory_nearest_signatures',
          '_gravity_memory_settle_at_commit', 'trigger_arc_building', '_gravity_memory_publish_memories', '_gravity_memory_publish_arcs',
          '_gravity_memory_break_feed_on_truncate'],
    'nine functions run with their owner''s rights, and no others');
-- A function without an ACL is everybody's.
CREATE TEMPORARY VIEW public_function AS
SELECT f.* FROM extension_function AS f
WHERE EXISTS (SELECT FROM aclexplode(COALESCE(f.proacl, acldefault('f', f.proowner))) AS a WHERE a.grantee = 0 AND a.privilege_type = 'EXECUTE');
SELECT bag_eq('SELECT f.name FROM public_function AS f WHERE f.prosecdef', ARRAY['_gravity_memory_matching_postings', '_gravity_memory_nearest_signatures'],
              'everybody may execute the two of them that read what is derived');
SELECT is_empty($$SELECT f.name FROM public_function AS f WHERE f.prosecdef AND f.prosrc !~ '_gravity_memory_may_read_derived\(p_user_id, ''\w+''\) THEN\s+RETURN;'$$,
                'which answer only whom _gravity_memory_may_read_derived() lets them');
SELECT bag_eq(
    'SELECT f.name FROM public_function AS f',
    ARRAY['_gravity_memory_adoption_mismatches', '_gravity_memory_mismatches_in', '_gravity_memory_is_same_job', '_gravity_memory_check_embedding', '_gravity_memory_check_search', '_gravity_memory_checked_recall',
          '_gravity_memory_checked_setting', '_gravity_memory_column_catalogue', '_gravity_memory_default_settings', '_gravity_memory_derived_findings',
          '_gravity_memory_document_terms', '_gravity_memory_findings', '_gravity_memory_index_findings', '_gravity_memory_job_findings', '_gravity_memory_owner_findings',
          '_gravity_memory_plain_index_definition', '_gravity_memory_sample_percent', '_gravity_memory_server_findings', '_gravity_memory_setting_findings',
          '_gravity_memory_statistics_findings', '_gravity_memory_table_counts', '_gravity_memory_table_findings', '_gravity_memory_trigger_findings',
          '_gravity_memory_vector_index_findings',
          '_gravity_memory_effective_settings', '_gravity_memory_embedded_rows', '_gravity_memory_embedding_dimensions', '_gravity_memory_is_schedule',
          '_gravity_memory_ivfflat_lists', '_gravity_memory_job_catalogue', '_gravity_memory_lexical_candidates', '_gravity_memory_matching_postings',
          '_gravity_memory_may_notify', '_gravity_memory_missing_indexes', '_gravity_memory_names_emotion', '_gravity_memory_nearest',
          '_gravity_memory_nearest_signatures', '_gravity_memory_notify', '_gravity_memory_passing', '_gravity_memory_qualified_name',
          '_gravity_memory_query_terms', '_gravity_memory_ranked_memories', '_gravity_memory_recall_conditions', '_gravity_memory_setting_definitions',
          '_gravity_memory_similar_memories', '_gravity_memory_superseded_indexes', '_gravity_memory_table_bytes', '_gravity_memory_table_catalogue', '_gravity_memory_text_search_config', '_gravity_memory_words',
          '_gravity_memory_trigger_catalogue', '_gravity_memory_unsettled_arcs', '_gravity_memory_vector_index_states', '_gravity_memory_vector_schema',
          'auto_tag_high_gravity', 'find_similar_memories', 'get_conversation_context', 'gravity_memory_check',
          'gravity_memory_explain_recall', 'gravity_memory_index_usage', 'gravity_memory_slow_queries', 'gravity_memory_stats',
          'gravity_memory_index_catalogue', 'gravity_memory_index_ddl', 'gravity_memory_search_all', 'gravity_memory_settings',
          'gravity_weighted_search', 'match_memories', 'notify_arc_created', 'notify_memory_created', 'recall_memories',
          '_gravity_memory_check_feed', '_gravity_memory_feed_place', '_gravity_memory_feed_snapshot', '_gravity_memory_feed_timeline',
          '_gravity_memory_read_cursor', '_gravity_memory_realtime_tables', '_gravity_memory_records_events', '_gravity_memory_wake_listeners',
          'gravity_memory_changes', 'memory_changes_head', 'memory_changes_since',
          '_gravity_memory_check_erasure', '_gravity_memory_erasure_catalogue', '_gravity_memory_has_policy', '_gravity_memory_policy_catalogue',
          'gravity_memory_current_user_id'],
    'everybody may execute what reads, and the triggers that run as the writer');
SELECT bag_eq(
    'SELECT f.name FROM extension_function AS f EXCEPT SELECT f.name FROM public_function AS f',
    ARRAY['_gravity_memory_begin_rebuild', '_gravity_memory_bind_vector_schema', '_gravity_memory_clustered_near', '_gravity_memory_derive',
          '_gravity_memory_derive_batch', '_gravity_memory_derive_memories', '_gravity_memory_derive_or_note', '_gravity_memory_describe_columns', '_gravity_memory_leaves_deriving', '_gravity_memory_examine_cluster', '_gravity_memory_fill_recall',
          '_gravity_memory_forget_derived', '_gravity_memory_hand_over', '_gravity_memory_hold_members', '_gravity_memory_keep_arc_totals', '_gravity_memory_keep_derived',
          '_gravity_memory_link_memories', '_gravity_memory_lock_cluster', '_gravity_memory_may_read_derived', '_gravity_memory_may_write',
          '_gravity_memory_may_write_arcs', '_gravity_memory_may_write_derived', '_gravity_memory_next_recall_gap', '_gravity_memory_note_recall_gaps',
          '_gravity_memory_open_automatic_arc', '_gravity_memory_recount_arcs', '_gravity_memory_release_tables', '_gravity_memory_settle_arc_totals',
          '_gravity_memory_settle_at_commit', '_gravity_memory_settle_vector_indexes', '_gravity_memory_unsettle_arcs', 'cleanup_old_cache',
          'gravity_memory_evolve_arcs', 'gravity_memory_rebuild_arcs', 'gravity_memory_rebuild_recall', 'gravity_memory_reset',
          'gravity_memory_schedule_jobs', 'gravity_memory_set', 'gravity_memory_setup', 'gravity_memory_teardown',
          'gravity_memory_train_vector_indexes', 'gravity_memory_unschedule_jobs', 'gravity_memory_vector_index_ddl', 'trigger_arc_building',
          '_gravity_memory_break_feed', '_gravity_memory_break_feed_on_truncate', '_gravity_memory_broadcast', '_gravity_memory_may_write_events',
          '_gravity_memory_publish_arcs', '_gravity_memory_publish_memories', 'gravity_memory_cleanup_events', 'gravity_memory_disable_realtime',
          'gravity_memory_enable_realtime', '_gravity_memory_count_of_user', '_gravity_memory_make_policy', 'gravity_memory_disable_rls',
          'gravity_memory_enable_rls', 'gravity_memory_export_user', 'gravity_memory_forget_user', 'gravity_memory_import_user',
          'gravity_memory_verify_forgotten', '_gravity_memory_adoption_functions', '_gravity_memory_adoption_indexes', '_gravity_memory_adoption_jobs',
          '_gravity_memory_adoption_rows', '_gravity_memory_adoption_tables', '_gravity_memory_adoption_triggers', '_gravity_memory_settings_in',
          'gravity_memory_adoption_report'],
    'only who is granted it may execute what writes or administers');
SELECT is_empty(
    $$SELECT f.name, h.name FROM public_function AS f JOIN extension_function AS h ON regexp_replace(f.prosrc, '--[^\n]*', '', 'g') ~ ('\m' || h.name || '\(')
      WHERE NOT f.prosecdef AND NOT h.is_public AND h.prorettype <> 'trigger'::regtype AND h.oid NOT IN (SELECT p.oid FROM public_function AS p)$$,
    'and what everybody may execute calls no helper that only some may');
SELECT is_empty(
    $$SELECT f.signature, a.grantee::regrole FROM extension_function AS f CROSS JOIN LATERAL aclexplode(f.proacl) AS a WHERE a.grantee NOT IN (0, f.proowner)$$,
    'and it is granted to nobody by default');

-- Tables and triggers.

SELECT is_empty(
    $$SELECT pg_describe_object(d.classid, d.objid, d.objsubid) FROM pg_depend AS d JOIN pg_extension AS e ON e.oid = d.refobjid
      WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'gravity_memory' AND d.classid <> 'pg_proc'::regclass$$,
    'functions are the only members of the extension: no table, index, sequence or type');
SELECT bag_eq(
    'SELECT t.table_name FROM _gravity_memory_table_catalogue() AS t WHERE to_regclass(quote_ident(t.table_name)) IS NOT NULL',
    ARRAY['gravity_map', 'memory_arcs', 'memory_arc_associations', 'consciousness_cache', 'active_sessions', 'pattern_matrix', 'memory_arc_locks',
          'gravity_memory_settings', 'memory_digests', 'memory_postings', 'memory_recall_gaps', 'memory_events'],
    'the six tables of the application, the locks, the settings, what recall reads and the feed are there');
SELECT is_empty(
    $$SELECT t.table_name FROM _gravity_memory_table_catalogue() AS t
      WHERE COALESCE(obj_description(to_regclass(quote_ident(t.table_name)), 'pg_class'), '') !~ '^.{20,}\.$'
      UNION ALL
      SELECT format('%s.%s', c.table_name, a.attname) FROM _gravity_memory_column_catalogue() AS c
      JOIN pg_attribute AS a ON a.attrelid = to_regclass(quote_ident(c.table_name)) AND a.attname = c.column_name
      WHERE COALESCE(col_description(a.attrelid, a.attnum), '') !~ '^.{7,}\.$'$$,
    'every table and every column has a comment');
-- pg_get_triggerdef() leaves out the schema of a function that the search_path finds.
CREATE FUNCTION pg_temp.trigger_definition(p_trigger oid) RETURNS text LANGUAGE sql SET search_path = pg_catalog
AS $trigger_definition$ SELECT pg_get_triggerdef(p_trigger) $trigger_definition$;
SELECT bag_eq(
    $$SELECT t.tgname::text, t.tgrelid::regclass::text, pg_temp.trigger_definition(t.oid), t.tgenabled::text
      FROM pg_trigger AS t JOIN extension_function AS f ON f.oid = t.tgfoid$$,
    $$SELECT c.trigger_name, c.table_name, c.definition, 'O' FROM _gravity_memory_trigger_catalogue() AS c$$,
    'the triggers are those of the catalogue, as it defines them, and enabled');
SELECT is_empty(
    $$SELECT v.* FROM (VALUES ('trigger_auto_tag_high_gravity', 'auto_tag_high_gravity'), ('trigger_notify_memory_created', 'notify_memory_created'),
                              ('trigger_arc_building', 'trigger_arc_building')) AS v (trigger_name, function_name)
      EXCEPT
      SELECT t.tgname, f.name FROM pg_trigger AS t JOIN extension_function AS f ON f.oid = t.tgfoid WHERE t.tgrelid = 'gravity_map'::regclass$$,
    'the specification''s three triggers stand on gravity_map with its functions');
SELECT is((SELECT e.extversion FROM pg_extension AS e WHERE e.extname = 'gravity_memory'),
          (SELECT a.default_version FROM pg_available_extensions AS a WHERE a.name = 'gravity_memory'), 'the installed version is the current one');

-- Executed by the tests. The counters of a session arrive when it ends, which may take a moment.

SELECT is(current_setting('track_functions'), 'all', 'PostgreSQL counts the calls of functions in this database');
CREATE TEMPORARY VIEW never_called AS
SELECT f.* FROM extension_function AS f WHERE COALESCE(pg_stat_get_function_calls(f.oid), 0) = 0;
DO $wait$
BEGIN
    FOR i IN 1 .. 300 LOOP
        PERFORM pg_stat_clear_snapshot();
        EXIT WHEN NOT EXISTS (SELECT FROM never_called);
        PERFORM pg_sleep(0.1);
    END LOOP;
END
$wait$;
SELECT is_empty('SELECT f.signature FROM never_called AS f WHERE f.is_public AND f.prorettype <> ''trigger''::regtype', 'every public function was executed by a test');
SELECT is_empty('SELECT f.signature FROM never_called AS f WHERE f.prorettype = ''trigger''::regtype', 'and every trigger function');
SELECT is_empty('SELECT f.signature FROM never_called AS f WHERE NOT f.is_public AND f.prorettype <> ''trigger''::regtype', 'and every helper');

-- Static analysis.

\if :has_plpgsql_check
    CREATE EXTENSION IF NOT EXISTS plpgsql_check;
    SELECT to_regnamespace('cron') IS NULL AS lacks_pg_cron \gset
    \if :lacks_pg_cron
        -- What our functions use of pg_cron, with pg_cron's types, so that those statements can be checked here too.
        CREATE SCHEMA cron;
        CREATE TABLE cron.job (jobid bigint, schedule text, command text, database text, username text, active boolean, jobname text);
        CREATE TABLE cron.job_run_details (jobid bigint, runid bigint, job_pid integer, database text, username text, command text, status text,
                                           return_message text, start_time timestamptz, end_time timestamptz);
        CREATE FUNCTION cron.schedule(job_name text, schedule text, command text) RETURNS bigint LANGUAGE sql AS 'SELECT 1::bigint';
        CREATE FUNCTION cron.unschedule(job_id bigint) RETURNS boolean LANGUAGE sql AS 'SELECT true';
    \endif
    SELECT to_regnamespace('realtime') IS NULL AS lacks_realtime \gset
    \if :lacks_realtime
        -- And of Supabase's realtime server.
        CREATE SCHEMA realtime;
        CREATE FUNCTION realtime.send(payload jsonb, event text, topic text, private boolean DEFAULT true) RETURNS void LANGUAGE sql AS 'SELECT';
    \endif
    SELECT is_empty(
        $$SELECT f.signature, c.lineno, c.level, c.message, c.query
          FROM extension_function AS f JOIN pg_language AS l ON l.oid = f.prolang
          CROSS JOIN LATERAL plpgsql_check_function_tb(f.oid, fatal_errors => false) AS c
          WHERE l.lanname = 'plpgsql' AND f.prorettype <> 'trigger'::regtype
            -- The application's clients call it by this name.
            AND (f.name, c.message) <> ('get_conversation_context', 'name of parameter "limit" is reserved keyword')$$,
        'plpgsql_check finds nothing in the functions');
    -- A function with triggers for several events is checked once for each; the transition tables that one event lacks are named too,
    -- because the branches of the other events use them.
    SELECT is_empty(
        $$SELECT f.signature, t.tgname, c.lineno, c.level, c.message, c.query
          FROM extension_function AS f JOIN pg_trigger AS t ON t.tgfoid = f.oid
          CROSS JOIN LATERAL (SELECT bool_or(o.tgnewtable IS NOT NULL OR o.tgoldtable IS NOT NULL) AS has_tables
                              FROM pg_trigger AS o WHERE o.tgfoid = f.oid) AS h
          CROSS JOIN LATERAL plpgsql_check_function_tb(f.oid, t.tgrelid, fatal_errors => false,
              oldtable => CASE WHEN h.has_tables THEN 'old_rows' END, newtable => CASE WHEN h.has_tables THEN 'new_rows' END) AS c$$,
        'nor in the trigger functions, each with its table and transition tables');
\else
    SELECT diag('plpgsql_check is not available on this server: its findings are tested where it is (PostgreSQL 15 of Debian 12)');
\endif

SELECT * FROM finish();
ROLLBACK;
