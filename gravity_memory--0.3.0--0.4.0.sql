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

-- sql/tables/_gravity_memory_table_catalogue.sql

-- _gravity_memory_table_catalogue(): the tables that setup creates or adopts, in an order in which foreign keys can be made.
--
-- table_constraints are added only when setup creates the table: an adopted table keeps the constraints its owner chose.
-- A derived table holds nothing that cannot be computed from gravity_map; setup fills it when it makes it. A closed table tells about
-- memories, and the policies of gravity_map do not reach it: it has row security always, also where the other tables have not.
-- storage is what follows WITH. Derived tables are vacuumed early: index-only scans depend on it.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_table_catalogue()
RETURNS TABLE (table_name text, table_constraints text[], purpose text, is_derived boolean, is_closed boolean, storage text)
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_table_catalogue$
VALUES
    ('gravity_map',
     ARRAY['PRIMARY KEY (id)',
           'CONSTRAINT gravity_map_gravity_score_range CHECK (gravity_score >= 0 AND gravity_score <= 1)'],
     'The memories: one row each, with content, embedding, gravity (importance), emotion and entities.', false, false, ''),
    ('memory_arcs',
     ARRAY['PRIMARY KEY (id)'],
     'Arcs: groups of memories that belong together. Arcs named ''<emotion> arc (auto-created)'' are kept by gravity_memory.',
     false, false, ''),
    ('memory_arc_associations',
     ARRAY['PRIMARY KEY (memory_id, arc_id)',
           'FOREIGN KEY (memory_id) REFERENCES @extschema@.gravity_map (id) ON DELETE CASCADE',
           'FOREIGN KEY (arc_id) REFERENCES @extschema@.memory_arcs (id) ON DELETE CASCADE'],
     'Which memory belongs to which arc, and how strongly.', false, false, ''),
    ('consciousness_cache',
     ARRAY['PRIMARY KEY (id)'],
     'Cached answers; cleanup_old_cache() deletes them when they are a day old.', false, false, ''),
    ('active_sessions',
     ARRAY['PRIMARY KEY (session_id)'],
     'Sessions of the application and their state.', false, false, ''),
    ('pattern_matrix',
     ARRAY['PRIMARY KEY (id)'],
     'Patterns that the application found in a user''s memories.', false, false, ''),
    ('memory_arc_locks',
     ARRAY['PRIMARY KEY (user_id, emotion_type)'],
     'Whoever looks for clusters of a user and emotion locks the row here, so that concurrent writers see each other''s '
     'memories. A row without an emotion, never seen by others, has an arc recounted at the commit. Rows may be deleted.',
     false, false, ''),
    ('gravity_memory_settings',
     ARRAY['PRIMARY KEY (name)'],
     'Settings that differ from their defaults; see gravity_memory_set() and gravity_memory_settings().', false, false, ''),
    ('memory_digests',
     ARRAY['PRIMARY KEY (user_id, memory_id) INCLUDE (signature)'],
     'One row per memory: what recall reads of it. Its length in words, the sign of each component of its embedding, one bit each, '
     'and the terms it is found by.',
     true, true, 'autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_vacuum_scale_factor = 0.02'),
    ('memory_postings',
     ARRAY['PRIMARY KEY (term_key, memory_id) INCLUDE (frequency, length)'],
     'One row per term and memory it occurs in; the key is a hash of user and term. Recall by words reads it.',
     true, true, 'autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_vacuum_scale_factor = 0.02'),
    ('memory_recall_gaps',
     ARRAY['PRIMARY KEY (user_id, is_every_user)'],
     'Users whose derived rows may be missing or wrong, so that recall does not rely on them; one row with is_every_user stands '
     'for all. CALL gravity_memory_rebuild_recall() works it off.',
     true, true, ''),
    ('memory_events',
     ARRAY['PRIMARY KEY (user_id, xid, event_id)'],
     'The feed of changes: one row per event of a memory or arc; memory_changes_since() reads it. gravity_memory_cleanup_events() '
     'deletes old rows.',
     false, true, 'autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_vacuum_scale_factor = 0.02')
$_gravity_memory_table_catalogue$;

COMMENT ON FUNCTION @extschema@._gravity_memory_table_catalogue() IS
    'The tables of gravity_memory in creation order, with the constraints of a newly created one.';

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

-- sql/security/gravity_memory_current_user_id.sql

-- gravity_memory_current_user_id(): whose memories this session stands for, as the policies of row security see it.
--
-- The member sub of request.jwt.claims, which PostgREST and Supabase set for each request; where there are no claims, the setting
-- gravity_memory.user_id, which an application sets for a connection or a transaction. NULL when neither names a user: the policies show no
-- row then. Claims without sub, as of Supabase's anonymous key, are nobody's, whatever the setting says.
-- Neither is a proof: whoever may send any SQL may set them. They bind requests, not people who write SQL.
-- Errors: 22P02 for claims that are no JSON; nothing is shown then, either.
CREATE FUNCTION @extschema@.gravity_memory_current_user_id()
RETURNS text
LANGUAGE sql
STABLE
PARALLEL SAFE
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_current_user_id$
    -- The same words as in _gravity_memory_policy_catalogue(): a policy that called this function would go with the extension.
    SELECT CASE WHEN current_setting('request.jwt.claims', true) <> ''
                THEN NULLIF(current_setting('request.jwt.claims', true)::jsonb ->> 'sub', '')
                ELSE NULLIF(current_setting('gravity_memory.user_id', true), '') END
$gravity_memory_current_user_id$;

COMMENT ON FUNCTION @extschema@.gravity_memory_current_user_id() IS
    'Whose rows row security shows: sub of request.jwt.claims, or else the setting gravity_memory.user_id; NULL for nobody.';

-- sql/security/_gravity_memory_policy_catalogue.sql

-- _gravity_memory_policy_catalogue(): the policies of row security, one at most per table; a table without one is the owner's alone.
--
-- Each shows a role the rows of the user for whom its session stands, and lets it write no others. A link needs a memory and an arc
-- that are
-- both the user's own: the totals of an arc tell about every memory in it. The user '' of memory_events is nobody: its rows tell every
-- reader of a break in the feed. Settings are read by everybody, because every trigger reads them, and written by the owner alone.
-- The policies call no function of the extension, so that they stay, and the rows stay hidden, when it is dropped. The SELECT around the
-- identity has it computed once per query and not once per row; and an index on user_id serves it.
CREATE FUNCTION @extschema@._gravity_memory_policy_catalogue()
RETURNS TABLE (table_name text, policy_name text, command text, using_expression text, check_expression text)
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_policy_catalogue$
    WITH who AS (
        SELECT '(SELECT CASE WHEN current_setting(''request.jwt.claims'', true) <> '''' '
               'THEN NULLIF(current_setting(''request.jwt.claims'', true)::jsonb ->> ''sub'', '''') '
               'ELSE NULLIF(current_setting(''gravity_memory.user_id'', true), '''') END AS user_id)' AS user_id
    )
    SELECT t.table_name, 'gravity_memory_own_rows', 'ALL', 'user_id = ' || w.user_id, 'user_id = ' || w.user_id
    FROM who AS w,
         unnest(ARRAY['gravity_map', 'memory_arcs', 'consciousness_cache', 'active_sessions', 'pattern_matrix']) AS t (table_name)
    UNION ALL
    SELECT 'memory_arc_associations', 'gravity_memory_own_rows', 'ALL',
           'EXISTS (SELECT FROM @extschema@.gravity_map m WHERE m.id = memory_arc_associations.memory_id AND m.user_id = '
           || w.user_id || ')',
           'EXISTS (SELECT FROM @extschema@.gravity_map m WHERE m.id = memory_arc_associations.memory_id AND m.user_id = '
           || w.user_id || ') AND EXISTS (SELECT FROM @extschema@.memory_arcs a WHERE a.id = memory_arc_associations.arc_id '
           'AND a.user_id = ' || w.user_id || ') AND COALESCE(user_id = ' || w.user_id || ', true)'
    FROM who AS w
    UNION ALL
    SELECT 'memory_events', 'gravity_memory_own_rows', 'SELECT', 'user_id = '''' OR user_id = ' || w.user_id, NULL
    FROM who AS w
    UNION ALL
    VALUES ('gravity_memory_settings', 'gravity_memory_readable_settings', 'SELECT', 'true', NULL)
$_gravity_memory_policy_catalogue$;

COMMENT ON FUNCTION @extschema@._gravity_memory_policy_catalogue() IS
    'The policies of row security that gravity_memory makes, with their expressions.';

-- sql/security/_gravity_memory_has_policy.sql

-- _gravity_memory_has_policy(p_table_name): whether a table has our policy, as we made it.
--
-- PostgreSQL prints an expression with casts and parentheses of its own, which differ with the type of user_id; they are left out on both
-- sides, and the catalogue writes aliases as they are printed. Where another version should print more than that, the answer is
-- false, which costs speed and shows nobody anything.
-- False for a table that has none in the catalogue.
CREATE FUNCTION @extschema@._gravity_memory_has_policy(p_table_name text)
RETURNS boolean
LANGUAGE sql
STABLE
SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off
AS $_gravity_memory_has_policy$
    SELECT EXISTS (
        SELECT
        FROM @extschema@._gravity_memory_policy_catalogue() AS c
        JOIN pg_policy AS p ON p.polrelid = to_regclass(@extschema@._gravity_memory_qualified_name(c.table_name)) AND p.polname = c.policy_name
        CROSS JOIN LATERAL (VALUES (pg_get_expr(p.polqual, p.polrelid), c.using_expression),
                                   (pg_get_expr(p.polwithcheck, p.polrelid), c.check_expression)) AS e (actual, wanted)
        WHERE c.table_name = p_table_name AND p.polpermissive AND p.polroles = ARRAY[0]::oid[]
          AND p.polcmd = CASE c.command WHEN 'ALL' THEN '*' ELSE 'r' END
        HAVING count(*) = 2
           AND bool_and(regexp_replace(e.actual, '::text|[\s()]', '', 'g')
                        IS NOT DISTINCT FROM regexp_replace(e.wanted, '::text|[\s()]', '', 'g')))
$_gravity_memory_has_policy$;

COMMENT ON FUNCTION @extschema@._gravity_memory_has_policy(text) IS
    'Whether a table has the policy of gravity_memory, unchanged.';

-- sql/security/_gravity_memory_make_policy.sql

-- _gravity_memory_make_policy(p_table_name): makes, or makes anew, our policy of a table. Returns whether there is one in the catalogue.
CREATE FUNCTION @extschema@._gravity_memory_make_policy(p_table_name text)
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET client_min_messages = warning
AS $_gravity_memory_make_policy$
DECLARE
    v_policy record;
    v_table CONSTANT text := @extschema@._gravity_memory_qualified_name(p_table_name);
BEGIN
    SELECT c.policy_name, c.command, c.using_expression, c.check_expression INTO v_policy
    FROM @extschema@._gravity_memory_policy_catalogue() AS c WHERE c.table_name = p_table_name;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    EXECUTE format('DROP POLICY IF EXISTS %I ON %s', v_policy.policy_name, v_table);
    EXECUTE format('CREATE POLICY %I ON %s FOR %s USING (%s)', v_policy.policy_name, v_table, v_policy.command, v_policy.using_expression)
            || CASE WHEN v_policy.check_expression IS NULL THEN '' ELSE ' WITH CHECK (' || v_policy.check_expression || ')' END;
    RETURN true;
END
$_gravity_memory_make_policy$;

COMMENT ON FUNCTION @extschema@._gravity_memory_make_policy(text) IS
    'Makes the policy of gravity_memory on a table, anew where there is one.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_make_policy(text) FROM PUBLIC;

-- sql/security/gravity_memory_enable_rls.sql

-- gravity_memory_enable_rls(): row-level security for all tables: a role sees and writes the rows of its session's user only.
--
-- For tables that were adopted, or made by a version before 0.4.0; setup does the same for every table that it makes. Whose rows they
-- are says gravity_memory_current_user_id(). The owner of the tables, superusers and roles with BYPASSRLS are not bound.
-- Returns one row per thing it did (enable row security, create policy, replace policy), none a second time. Policies of others stay, and
-- PostgreSQL adds up what policies show: those that show more than ours are named in a WARNING.
-- Errors: 55000 before setup; 42501 for whoever does not own the tables. Nothing is changed then.
-- Locks each table that it changes for a moment, for readers too (ACCESS EXCLUSIVE), until the transaction ends.
CREATE FUNCTION @extschema@.gravity_memory_enable_rls()
RETURNS TABLE (action text, object text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_enable_rls$
DECLARE
    v_table record;
    v_others text;
BEGIN
    FOR v_table IN
        SELECT t.table_name, c.oid AS table_oid, c.relrowsecurity, p.policy_name,
               EXISTS (SELECT FROM pg_policy AS o WHERE o.polrelid = c.oid AND o.polname = p.policy_name) AS is_there
        FROM @extschema@._gravity_memory_table_catalogue() WITH ORDINALITY AS t
        LEFT JOIN pg_class AS c ON c.oid = to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name))
        LEFT JOIN @extschema@._gravity_memory_policy_catalogue() AS p ON p.table_name = t.table_name
        ORDER BY t.ordinality
    LOOP
        IF v_table.table_oid IS NULL THEN
            RAISE EXCEPTION 'the table % does not exist', v_table.table_name
                USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Run SELECT * FROM gravity_memory_setup() first.';
        END IF;
        IF v_table.policy_name IS NOT NULL AND NOT @extschema@._gravity_memory_has_policy(v_table.table_name) THEN
            PERFORM @extschema@._gravity_memory_make_policy(v_table.table_name);
            action := CASE WHEN v_table.is_there THEN 'replace policy' ELSE 'create policy' END;
            object := v_table.table_name || '.' || v_table.policy_name;
            RETURN NEXT;
        END IF;
        -- The policy first: nobody is shut out in between, and an error leaves both as they were.
        IF NOT v_table.relrowsecurity THEN
            EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', @extschema@._gravity_memory_qualified_name(v_table.table_name));
            action := 'enable row security';
            object := v_table.table_name;
            RETURN NEXT;
        END IF;
    END LOOP;

    SELECT string_agg(format('%I on %I', p.polname, t.table_name), ', ' ORDER BY t.table_name, p.polname) INTO v_others
    FROM @extschema@._gravity_memory_table_catalogue() AS t
    JOIN pg_policy AS p ON p.polrelid = to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name))
    LEFT JOIN @extschema@._gravity_memory_policy_catalogue() AS c ON c.table_name = t.table_name AND c.policy_name = p.polname
    WHERE c.policy_name IS NULL AND p.polpermissive;
    IF v_others IS NOT NULL THEN
        RAISE WARNING 'gravity_memory: other policies show rows beside those of gravity_memory: %', v_others
            USING HINT = 'A row is shown when one policy shows it. Drop those that show a role more than its user''s rows.';
    END IF;
END
$gravity_memory_enable_rls$;

COMMENT ON FUNCTION @extschema@.gravity_memory_enable_rls() IS
    'Row-level security for all tables of gravity_memory: a role sees and writes its session''s user''s rows only. Returns what it did.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_enable_rls() FROM PUBLIC;

-- sql/security/gravity_memory_disable_rls.sql

-- gravity_memory_disable_rls(): takes the policies of gravity_memory away, and row security from tables that have no other policy.
--
-- What a role may read is then what it was granted. Tables that are the owner's alone (derived rows, events) stay closed. Returns
-- one row per thing it did
-- (drop policy, disable row security), none a second time.
-- Errors: 42501 for whoever does not own the tables. Locks each table that it changes until the transaction ends (ACCESS EXCLUSIVE).
CREATE FUNCTION @extschema@.gravity_memory_disable_rls()
RETURNS TABLE (action text, object text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_disable_rls$
DECLARE
    v_table record;
BEGIN
    FOR v_table IN
        SELECT t.table_name, t.is_closed, c.oid AS table_oid, p.policy_name
        FROM @extschema@._gravity_memory_table_catalogue() WITH ORDINALITY AS t
        JOIN pg_class AS c ON c.oid = to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name)) AND c.relrowsecurity
        LEFT JOIN @extschema@._gravity_memory_policy_catalogue() AS p
               ON p.table_name = t.table_name
              AND EXISTS (SELECT FROM pg_policy AS o WHERE o.polrelid = c.oid AND o.polname = p.policy_name)
        ORDER BY t.ordinality
    LOOP
        IF v_table.policy_name IS NOT NULL THEN
            EXECUTE format('DROP POLICY %I ON %s', v_table.policy_name, @extschema@._gravity_memory_qualified_name(v_table.table_name));
            action := 'drop policy';
            object := v_table.table_name || '.' || v_table.policy_name;
            RETURN NEXT;
        END IF;
        IF NOT v_table.is_closed AND NOT EXISTS (SELECT FROM pg_policy AS o WHERE o.polrelid = v_table.table_oid) THEN
            EXECUTE format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', @extschema@._gravity_memory_qualified_name(v_table.table_name));
            action := 'disable row security';
            object := v_table.table_name;
            RETURN NEXT;
        END IF;
    END LOOP;
END
$gravity_memory_disable_rls$;

COMMENT ON FUNCTION @extschema@.gravity_memory_disable_rls() IS
    'Drops the policies of gravity_memory and switches row security off where no other policy is left. Returns what it did.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_disable_rls() FROM PUBLIC;

-- sql/tagging/auto_tag_high_gravity.sql

-- auto_tag_high_gravity(): trigger function, BEFORE INSERT OR UPDATE OF gravity_score, entities on gravity_map, per row.
--
-- Rules (spec): gravity at or over high_gravity_threshold adds the tag high_gravity and sets identity_anchor; the identity
-- entities add the tag identity; a NULL temporal_type becomes past, future or present, in this order, by the words of the content.
-- Beyond the spec: a tag that is there is not added again; a NULL or NaN gravity is not high; the words are whole words with
-- their inflections, so that William is no future and a planet no plan; an UPDATE adds tags too and never takes one away.
-- Rows that gravity_memory_import_user() brings stay as they come: their tags were given where they were written.
-- Runs as the writer and touches nothing but NEW. A fault in it (a setting broken by hand, tags in two dimensions) is a
-- WARNING: the memory is stored as it came.
CREATE OR REPLACE FUNCTION @extschema@.auto_tag_high_gravity()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $auto_tag_high_gravity$
DECLARE
    v_settings jsonb;
    v_identity text[];
BEGIN
    IF TG_OP = 'INSERT' AND current_setting('gravity_memory.importing', true) = 'on' THEN
        RETURN NEW;
    END IF;
    v_settings := @extschema@._gravity_memory_effective_settings();

    IF NEW.gravity_score >= (v_settings ->> 'high_gravity_threshold')::double precision
       AND NEW.gravity_score < 'Infinity' THEN
        NEW.identity_anchor := true;
        IF NOT COALESCE('high_gravity' = ANY (NEW.meta_tags), false) THEN
            NEW.meta_tags := array_append(COALESCE(NEW.meta_tags, '{}'), 'high_gravity');
        END IF;
    END IF;

    v_identity := (v_settings ->> 'identity_entities')::text[];
    IF v_identity <> '{}'
       AND (NEW.entities @> v_identity OR (v_settings ->> 'identity_match' = 'any' AND NEW.entities && v_identity))
       AND NOT COALESCE('identity' = ANY (NEW.meta_tags), false) THEN
        NEW.meta_tags := array_append(COALESCE(NEW.meta_tags, '{}'), 'identity');
    END IF;

    IF TG_OP = 'INSERT' AND NEW.temporal_type IS NULL THEN
        NEW.temporal_type := CASE
            WHEN NEW.content ~* (v_settings ->> 'temporal_past_pattern') THEN 'past'
            WHEN NEW.content ~* (v_settings ->> 'temporal_future_pattern') THEN 'future'
            ELSE 'present'
        END;
    END IF;
    RETURN NEW;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'gravity_memory: memory % was stored without all of its tags: %', NEW.id, SQLERRM
        USING ERRCODE = SQLSTATE, HINT = 'See SELECT * FROM gravity_memory_settings() for the rules in force.';
    RETURN NEW;
END
$auto_tag_high_gravity$;

COMMENT ON FUNCTION @extschema@.auto_tag_high_gravity() IS
    'Trigger function: tags a memory by gravity and entities and sets its temporal_type from its words.';

-- sql/arcs/_gravity_memory_keep_arc_totals.sql

-- _gravity_memory_keep_arc_totals(): trigger function, AFTER INSERT, UPDATE, DELETE and TRUNCATE on memory_arc_associations, per statement.
--
-- Whoever links or unlinks a memory, the application included, the arc's totals follow. New members of an open arc are added to
-- its running mean, so that the cost of a link does not grow with the arc; all else is recounted, and so is an arc made by hand
-- that was never counted before.
-- SECURITY DEFINER, because a writer who may only insert memories links them through trigger_arc_building(), and because deleting a
-- memory cascades here. It writes nothing but totals computed from the tables.
-- A fault is a WARNING: the link, or the deletion of a memory, stands.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_keep_arc_totals()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $_gravity_memory_keep_arc_totals$
DECLARE
    v_arc record;
    v_state jsonb;
    v_writes bigint;
    v_left uuid[] := '{}'::uuid[];
BEGIN
    -- An import brings the totals, too.
    IF NOT @extschema@._gravity_memory_may_write_arcs() OR (TG_OP = 'INSERT' AND current_setting('gravity_memory.importing', true) = 'on') THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' THEN
        FOR v_arc IN
            SELECT n.arc_id, count(*)::integer AS members, count(m.gravity_score) AS weighed, sum(m.gravity_score) AS gravity,
                   max(m.gravity_score) AS peak, min(m.created_at) AS first_at, max(m.created_at) AS last_at
            FROM new_rows AS n
            -- OFFSET 0 keeps this a lookup by id: to statistics gathered during a long load the table is empty, and a join reads it all.
            CROSS JOIN LATERAL (SELECT g.gravity_score, g.created_at FROM @extschema@.gravity_map AS g WHERE g.id = n.memory_id OFFSET 0)
                AS m
            GROUP BY n.arc_id
            ORDER BY n.arc_id
        LOOP
            v_state := @extschema@._gravity_memory_unsettled_arcs();
            v_writes := COALESCE((v_state ->> 'writes')::bigint, 0);
            -- An arc that waits for its recount must not be added to: its count is already behind.
            -- After 100 writes, only small arcs, and those that this transaction has not written yet, are written at once.
            UPDATE @extschema@.memory_arcs AS a
            SET gravity_center = (CASE WHEN a.memory_count > 0 THEN a.gravity_center * a.memory_count ELSE 0 END + v_arc.gravity)
                                 / (COALESCE(a.memory_count, 0) + v_arc.members),
                memory_count = COALESCE(a.memory_count, 0) + v_arc.members,
                peak_gravity = GREATEST(a.peak_gravity, v_arc.peak),
                first_memory_at = LEAST(a.first_memory_at, v_arc.first_at),
                last_memory_at = GREATEST(a.last_memory_at, v_arc.last_at),
                updated_at = now()
            WHERE a.id = v_arc.arc_id
              -- IS TRUE keeps the planner to the primary key: without statistics it reads all of a partial index instead.
              AND (a.arc_name = a.emotion_type || ' arc (auto-created)' OR (a.memory_count > 0 AND a.first_memory_at IS NOT NULL))
                  IS TRUE
              AND (a.memory_count = 0 OR a.gravity_center IS NOT NULL)
              AND (a.evolution_stage IN ('forming', 'active')) IS TRUE
              AND v_arc.weighed = v_arc.members AND v_arc.gravity < 'Infinity'
              AND NOT COALESCE(v_state -> 'waiting' ? a.id::text, false)
              AND (v_writes < 100 OR a.updated_at <> now() OR a.memory_count < 100);
            IF FOUND THEN
                PERFORM set_config('gravity_memory.arc_totals',
                                   (v_state || jsonb_build_object('writes', v_writes + 1))::text, true);
            ELSE
                v_left := v_left || array_fill(v_arc.arc_id, ARRAY[v_arc.members]);
            END IF;
        END LOOP;
        PERFORM @extschema@._gravity_memory_unsettle_arcs(v_left);
    ELSIF TG_OP = 'TRUNCATE' THEN
        PERFORM @extschema@._gravity_memory_recount_arcs(ARRAY(SELECT a.id FROM @extschema@.memory_arcs AS a WHERE a.memory_count > 0));
    ELSIF TG_OP = 'DELETE' THEN
        PERFORM @extschema@._gravity_memory_unsettle_arcs(ARRAY(SELECT o.arc_id FROM old_rows AS o));
    ELSE
        PERFORM @extschema@._gravity_memory_unsettle_arcs(ARRAY(
            SELECT c.arc_id
            FROM ((SELECT o.memory_id, o.arc_id FROM old_rows AS o EXCEPT SELECT n.memory_id, n.arc_id FROM new_rows AS n)
                  UNION ALL
                  (SELECT n.memory_id, n.arc_id FROM new_rows AS n EXCEPT SELECT o.memory_id, o.arc_id FROM old_rows AS o)) AS c));
    END IF;

    -- Inside another trigger or a cascade there is more to come; whoever is outermost settles, at the latest the commit.
    IF pg_trigger_depth() = 1 THEN
        PERFORM @extschema@._gravity_memory_settle_arc_totals();
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'gravity_memory: the totals of an arc were not updated: %', SQLERRM
        USING ERRCODE = SQLSTATE, HINT = 'Run SELECT gravity_memory_rebuild_arcs(user_id) for the user.';
    RETURN NULL;
END
$_gravity_memory_keep_arc_totals$;

COMMENT ON FUNCTION @extschema@._gravity_memory_keep_arc_totals() IS
    'Trigger function: keeps an arc''s running mean, count, peak and times as its members come and go.';

-- sql/arcs/trigger_arc_building.sql

-- trigger_arc_building(): trigger function, AFTER INSERT, UPDATE and DELETE on gravity_map, once per statement.
--
-- Rules (spec): memories of one user and emotion with gravity at or over arc_gravity_threshold, arc_min_memories of them within
-- arc_window, are linked to the open arc of that emotion, or to a new arc '<emotion> arc (auto-created)'. A NULL or NaN gravity and a
-- NULL or empty emotion build nothing. Beyond the spec: the members that stood there before the cluster was complete
-- are linked too, and an UPDATE or DELETE is followed, so that arcs are always what the memories say.
-- Clusters are handled in one order (user, emotion), so that two statements cannot wait for each other; and with plain statements per
-- cluster, because distributed engines refuse to join a transition table with a table.
-- SECURITY DEFINER, because a writer may hold no more than SELECT and INSERT on gravity_map; only the rows that the writer's own
-- privileges and policies let it write get here. A fault is a WARNING: the memories stay as they were written.
CREATE OR REPLACE FUNCTION @extschema@.trigger_arc_building()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $trigger_arc_building$
DECLARE
    v_threshold double precision;
    v_cluster record;
    v_changed uuid[];
BEGIN
    -- An import brings the arcs, too.
    IF NOT @extschema@._gravity_memory_may_write_arcs() OR (TG_OP = 'INSERT' AND current_setting('gravity_memory.importing', true) = 'on') THEN
        RETURN NULL;
    END IF;
    -- Not in DECLARE: what fails there is not caught below, and the insert would fail with it.
    v_threshold := (@extschema@._gravity_memory_effective_settings() ->> 'arc_gravity_threshold')::double precision;

    IF TG_OP = 'INSERT' THEN
        FOR v_cluster IN
            SELECT n.user_id, n.emotion_type, array_agg(n.id) AS memory_ids, array_agg(n.created_at) AS created_ats
            FROM new_rows AS n
            WHERE n.gravity_score >= v_threshold AND n.gravity_score < 'Infinity' AND n.emotion_type <> ''
              AND n.user_id IS NOT NULL AND n.created_at IS NOT NULL
            GROUP BY n.user_id, n.emotion_type
            ORDER BY n.user_id, n.emotion_type
        LOOP
            PERFORM @extschema@._gravity_memory_examine_cluster(
                v_cluster.user_id, v_cluster.emotion_type, v_cluster.memory_ids, v_cluster.created_ats);
        END LOOP;
    ELSIF TG_OP = 'DELETE' THEN
        FOR v_cluster IN
            SELECT o.user_id, o.emotion_type, array_agg(o.id) AS memory_ids, array_agg(o.created_at) AS created_ats
            FROM old_rows AS o
            WHERE o.gravity_score >= v_threshold AND o.gravity_score < 'Infinity' AND o.emotion_type <> ''
              AND o.user_id IS NOT NULL AND o.created_at IS NOT NULL
            GROUP BY o.user_id, o.emotion_type
            ORDER BY o.user_id, o.emotion_type
        LOOP
            PERFORM @extschema@._gravity_memory_examine_cluster(
                v_cluster.user_id, v_cluster.emotion_type, v_cluster.memory_ids, v_cluster.created_ats);
        END LOOP;
    ELSE
        -- A changed gravity makes the cluster take its turn, too, even where membership stays: an insert beside it adds to the
        -- running mean. Set differences instead of a join on id: the plan is cached, and a nested loop over two large
        -- transition tables would be quadratic.
        FOR v_cluster IN
            WITH old_state AS (
                SELECT o.user_id, o.emotion_type, o.id, o.created_at, o.gravity_score
                FROM old_rows AS o
                WHERE o.gravity_score >= v_threshold AND o.gravity_score < 'Infinity' AND o.emotion_type <> ''
                  AND o.user_id IS NOT NULL AND o.created_at IS NOT NULL
            ), new_state AS (
                SELECT n.user_id, n.emotion_type, n.id, n.created_at, n.gravity_score
                FROM new_rows AS n
                WHERE n.gravity_score >= v_threshold AND n.gravity_score < 'Infinity' AND n.emotion_type <> ''
                  AND n.user_id IS NOT NULL AND n.created_at IS NOT NULL
            )
            SELECT c.user_id, c.emotion_type, array_agg(c.id) AS memory_ids, array_agg(c.created_at) AS created_ats
            FROM ((TABLE old_state EXCEPT TABLE new_state) UNION ALL (TABLE new_state EXCEPT TABLE old_state)) AS c
            GROUP BY c.user_id, c.emotion_type
            ORDER BY c.user_id, c.emotion_type
        LOOP
            PERFORM @extschema@._gravity_memory_examine_cluster(
                v_cluster.user_id, v_cluster.emotion_type, v_cluster.memory_ids, v_cluster.created_ats);
        END LOOP;
        -- After the clusters are locked, because an insert locks the cluster first and the arc second.
        v_changed := ARRAY(
            SELECT c.id
            FROM (SELECT n.id, n.gravity_score, n.created_at FROM new_rows AS n
                  EXCEPT
                  SELECT o.id, o.gravity_score, o.created_at FROM old_rows AS o) AS c);
        IF v_changed <> '{}' THEN
            PERFORM @extschema@._gravity_memory_recount_arcs(ARRAY(
                SELECT DISTINCT l.arc_id
                FROM unnest(v_changed) AS c (id)
                CROSS JOIN LATERAL (SELECT a.arc_id FROM @extschema@.memory_arc_associations AS a WHERE a.memory_id = c.id OFFSET 0) AS l));
        END IF;
    END IF;
    PERFORM @extschema@._gravity_memory_settle_arc_totals();
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'gravity_memory: the arcs were not updated after an % on gravity_map: %', TG_OP, SQLERRM
        USING ERRCODE = SQLSTATE,
              HINT = 'The memories are stored. Run SELECT gravity_memory_rebuild_arcs(user_id) for the users concerned.';
    RETURN NULL;
END
$trigger_arc_building$;

COMMENT ON FUNCTION @extschema@.trigger_arc_building() IS
    'Trigger function: links clustered memories of high gravity to arcs, once per statement, and follows updates and deletes.';

-- sql/notifications/notify_memory_created.sql

-- notify_memory_created(): trigger function, AFTER INSERT and AFTER UPDATE on gravity_map, once per statement.
--
-- Announces every new memory on channel memory_created and every updated one on memory_updated, with the JSON of the specification: id,
-- user_id, thread_id, session_id, gravity_score, emotion_type, created_at. A statement that writes more than notify_bulk_rows
-- rows announces {"user_id", "count"} once per user. Listeners get it when the transaction commits.
-- Silent unless the setting notify is payload, and for imported rows, which are nothing new; a WARNING and silence when the notification queue is fuller than notify_queue_limit, because
-- a full queue fails every commit. Any other fault is a WARNING too: a notification never costs a memory.
CREATE OR REPLACE FUNCTION @extschema@.notify_memory_created()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $notify_memory_created$
DECLARE
    v_settings jsonb;
    v_channel CONSTANT text := CASE TG_OP WHEN 'INSERT' THEN 'memory_created' ELSE 'memory_updated' END;
BEGIN
    v_settings := @extschema@._gravity_memory_effective_settings();
    IF v_settings ->> 'notify' <> 'payload' OR (TG_OP = 'INSERT' AND current_setting('gravity_memory.importing', true) = 'on')
       OR NOT @extschema@._gravity_memory_may_notify(v_settings, v_channel) THEN
        RETURN NULL;
    END IF;
    IF (SELECT count(*) FROM new_rows) > (v_settings ->> 'notify_bulk_rows')::bigint THEN
        PERFORM @extschema@._gravity_memory_notify(v_channel, json_build_object('user_id', u.user_id, 'count', u.memories))
        FROM (SELECT n.user_id, count(*) AS memories FROM new_rows AS n GROUP BY n.user_id) AS u;
    ELSE
        PERFORM @extschema@._gravity_memory_notify(v_channel, json_build_object(
            'id', n.id, 'user_id', n.user_id, 'thread_id', n.thread_id, 'session_id', n.session_id,
            'gravity_score', n.gravity_score, 'emotion_type', n.emotion_type, 'created_at', n.created_at))
        FROM new_rows AS n;
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'gravity_memory: % was not announced: %', v_channel, SQLERRM
        USING ERRCODE = SQLSTATE, HINT = 'The memories are stored.';
    RETURN NULL;
END
$notify_memory_created$;

COMMENT ON FUNCTION @extschema@.notify_memory_created() IS
    'Trigger function: announces new memories on channel memory_created and updated ones on memory_updated.';

-- sql/notifications/notify_arc_created.sql

-- notify_arc_created(): trigger function, AFTER INSERT on memory_arcs, once per statement.
--
-- Announces every new arc, automatic or made by hand, on channel arc_created: id, user_id, arc_name, gravity_center, evolution_stage,
-- created_at. A statement that makes more than notify_bulk_rows arcs announces {"user_id", "count"} once per user. Faults and a
-- nearly full queue are treated as in notify_memory_created().
CREATE OR REPLACE FUNCTION @extschema@.notify_arc_created()
RETURNS trigger
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $notify_arc_created$
DECLARE
    v_settings jsonb;
BEGIN
    v_settings := @extschema@._gravity_memory_effective_settings();
    IF v_settings ->> 'notify' <> 'payload' OR current_setting('gravity_memory.importing', true) = 'on'
       OR NOT @extschema@._gravity_memory_may_notify(v_settings, 'arc_created') THEN
        RETURN NULL;
    END IF;
    IF (SELECT count(*) FROM new_rows) > (v_settings ->> 'notify_bulk_rows')::bigint THEN
        PERFORM @extschema@._gravity_memory_notify('arc_created', json_build_object('user_id', u.user_id, 'count', u.arcs))
        FROM (SELECT n.user_id, count(*) AS arcs FROM new_rows AS n GROUP BY n.user_id) AS u;
    ELSE
        PERFORM @extschema@._gravity_memory_notify('arc_created', json_build_object(
            'id', n.id, 'user_id', n.user_id, 'arc_name', n.arc_name, 'gravity_center', n.gravity_center,
            'evolution_stage', n.evolution_stage, 'created_at', n.created_at))
        FROM new_rows AS n;
    END IF;
    RETURN NULL;
EXCEPTION WHEN OTHERS THEN
    RAISE WARNING 'gravity_memory: arc_created was not announced: %', SQLERRM
        USING ERRCODE = SQLSTATE, HINT = 'The arcs are stored.';
    RETURN NULL;
END
$notify_arc_created$;

COMMENT ON FUNCTION @extschema@.notify_arc_created() IS
    'Trigger function: announces new arcs on channel arc_created.';

-- sql/realtime/gravity_memory_enable_realtime.sql

-- gravity_memory_enable_realtime(p_publication): publishes changes of memories and arcs, for Supabase's postgres_changes or any subscriber.
--
-- Adds gravity_map and memory_arcs to the publication, and makes it where it does not exist, as on plain PostgreSQL. Calling it again changes
-- nothing. Returns what it did (status done) and what it found: ok, or missing with the statement that mends it, for wal_level, the
-- primary key, the replica identity, and, where there is the role authenticated (Supabase), its SELECT privilege and policies. A remedy
-- is not executed: who may read is for the application to decide.
-- Errors: 22023 for an impossible name; 42501 for a role that may not change the publication or does not own the tables; 55000 before setup.
-- No table is added then.
CREATE OR REPLACE FUNCTION @extschema@.gravity_memory_enable_realtime(p_publication text DEFAULT 'supabase_realtime')
RETURNS TABLE (subject text, requirement text, status text, remedy text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_enable_realtime$
DECLARE
    v_publishes_changes boolean;
    v_table record;
    v_subscriber CONSTANT name := (SELECT r.rolname FROM pg_roles AS r WHERE r.rolname = 'authenticated');
BEGIN
    IF COALESCE(p_publication, '') = '' OR octet_length(p_publication) > 63 THEN
        RAISE EXCEPTION 'gravity_memory_enable_realtime(): % is no name for a publication', COALESCE(quote_literal(p_publication), 'NULL')
            USING ERRCODE = 'invalid_parameter_value', HINT = 'Supabase''s is supabase_realtime; a name has 1 to 63 bytes.';
    END IF;
    IF EXISTS (SELECT FROM @extschema@._gravity_memory_realtime_tables() AS t
               WHERE to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name)) IS NULL) THEN
        RAISE EXCEPTION 'the tables of gravity_memory are not there'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Run SELECT * FROM gravity_memory_setup() first.';
    END IF;

    SELECT p.pubinsert AND p.pubupdate INTO v_publishes_changes FROM pg_publication AS p WHERE p.pubname = p_publication;
    IF NOT FOUND THEN
        BEGIN
            EXECUTE format('CREATE PUBLICATION %I', p_publication);
        EXCEPTION WHEN insufficient_privilege THEN
            RAISE EXCEPTION 'the publication % does not exist and % may not create it', p_publication, current_user
                USING ERRCODE = 'insufficient_privilege', HINT = format('GRANT CREATE ON DATABASE %I TO %I, or run it as another role.',
                                                                        current_database(), current_user);
        END;
        v_publishes_changes := true;
        subject := p_publication;
        requirement := 'publication';
        status := 'done';
        remedy := NULL;
        RETURN NEXT;
    END IF;

    FOR v_table IN
        SELECT t.table_name, @extschema@._gravity_memory_qualified_name(t.table_name) AS qualified_name, c.oid, c.relreplident, c.relrowsecurity,
               EXISTS (SELECT FROM pg_publication_tables AS k
                       WHERE k.pubname = p_publication AND k.schemaname = n.nspname AND k.tablename = c.relname) AS is_published,
               EXISTS (SELECT FROM pg_index AS i WHERE i.indrelid = c.oid AND i.indisprimary) AS has_key,
               EXISTS (SELECT FROM pg_policy AS y WHERE y.polrelid = c.oid AND y.polcmd IN ('r', '*')) AS has_policy
        FROM @extschema@._gravity_memory_realtime_tables() AS t
        JOIN pg_class AS c ON c.oid = to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name))
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
    LOOP
        subject := v_table.table_name;
        requirement := 'in the publication';
        status := 'ok';
        remedy := NULL;
        IF NOT v_table.is_published THEN
            BEGIN
                EXECUTE format('ALTER PUBLICATION %I ADD TABLE %s', p_publication, v_table.qualified_name);
            EXCEPTION WHEN insufficient_privilege THEN
                RAISE EXCEPTION '% may not add % to the publication %', current_user, v_table.table_name, p_publication
                    USING ERRCODE = 'insufficient_privilege',
                          DETAIL = SQLERRM, HINT = 'Run it as a role that owns both the table and the publication, or as a superuser.';
            END;
            status := 'done';
        END IF;
        RETURN NEXT;

        requirement := 'primary key';
        status := CASE WHEN v_table.has_key THEN 'ok' ELSE 'missing' END;
        remedy := CASE WHEN NOT v_table.has_key THEN format('ALTER TABLE %s ADD PRIMARY KEY (id)', v_table.qualified_name) END;
        RETURN NEXT;

        -- Without one, UPDATE and DELETE on a published table fail.
        requirement := 'replica identity';
        status := CASE WHEN v_table.relreplident IN ('f', 'i') OR (v_table.relreplident = 'd' AND v_table.has_key) THEN 'ok' ELSE 'missing' END;
        remedy := CASE WHEN status = 'missing' THEN
            format('ALTER TABLE %s REPLICA IDENTITY %s', v_table.qualified_name, CASE WHEN v_table.has_key THEN 'DEFAULT' ELSE 'FULL' END) END;
        RETURN NEXT;

        IF v_subscriber IS NOT NULL THEN
            requirement := format('SELECT for %I', v_subscriber);
            status := CASE WHEN has_table_privilege(v_subscriber, v_table.oid, 'SELECT') THEN 'ok' ELSE 'missing' END;
            remedy := CASE WHEN status = 'missing' THEN format('GRANT SELECT ON %s TO %I', v_table.qualified_name, v_subscriber) END;
            RETURN NEXT;

            requirement := format('row security that shows %I its own rows', v_subscriber);
            status := CASE WHEN v_table.relrowsecurity AND v_table.has_policy THEN 'ok' ELSE 'missing' END;
            remedy := CASE WHEN status = 'missing' THEN 'SELECT * FROM @extschema@.gravity_memory_enable_rls()' END;
            RETURN NEXT;
        END IF;
    END LOOP;

    subject := p_publication;
    requirement := 'publishes insert and update';
    status := CASE WHEN v_publishes_changes THEN 'ok' ELSE 'missing' END;
    remedy := CASE WHEN status = 'missing' THEN format('ALTER PUBLICATION %I SET (publish = ''insert, update, delete'')', p_publication) END;
    RETURN NEXT;
    subject := 'server';
    requirement := 'wal_level = logical';
    status := CASE WHEN current_setting('wal_level') = 'logical' THEN 'ok' ELSE 'missing' END;
    remedy := CASE WHEN status = 'missing' THEN 'ALTER SYSTEM SET wal_level = logical; then restart the server' END;
    RETURN NEXT;
END
$gravity_memory_enable_realtime$;

COMMENT ON FUNCTION @extschema@.gravity_memory_enable_realtime(text) IS
    'Adds memories and arcs to a publication for realtime subscribers and says what they still need.';

-- sql/feed/_gravity_memory_publish_memories.sql

-- _gravity_memory_publish_memories(): trigger function, AFTER INSERT, UPDATE and DELETE on gravity_map, once per statement.
--
-- Records one event per memory in memory_events while the setting feed or notify asks for it: memory_created, memory_updated and memory_deleted,
-- with all of the memory's columns that the specification knows but the embedding. A memory that an UPDATE gives to another user, or another
-- id, is deleted where it was and updated where it is. Sends new memories to Supabase's topics, too, while the setting broadcast is on.
-- Where events could not be recorded the feed is broken, so that its readers start anew.
-- SECURITY DEFINER, because a writer may hold no more than INSERT on gravity_map, and nobody but the owner writes events: who could
-- would tell another user's application what never happened. A fault is a WARNING: the memories stay as they were written.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_publish_memories()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_publish_memories$
DECLARE
    v_settings CONSTANT jsonb := @extschema@._gravity_memory_effective_settings();
    v_wakes boolean;
BEGIN
    IF TG_OP = 'INSERT' AND v_settings ->> 'broadcast' = 'on' AND current_setting('gravity_memory.importing', true) IS DISTINCT FROM 'on' THEN
        BEGIN
            PERFORM @extschema@._gravity_memory_broadcast(b.user_id, b.payload)
            FROM (SELECT n.user_id::text AS user_id, json_build_object(
                             'id', n.id, 'user_id', n.user_id, 'thread_id', n.thread_id, 'session_id', n.session_id,
                             'gravity_score', n.gravity_score, 'emotion_type', n.emotion_type, 'created_at', n.created_at)::jsonb AS payload
                  FROM new_rows AS n
                  WHERE (SELECT count(*) FROM new_rows) <= (v_settings ->> 'notify_bulk_rows')::bigint
                  UNION ALL
                  SELECT n.user_id::text, jsonb_build_object('user_id', n.user_id, 'count', count(*))
                  FROM new_rows AS n
                  WHERE (SELECT count(*) FROM new_rows) > (v_settings ->> 'notify_bulk_rows')::bigint
                  GROUP BY n.user_id) AS b;
        EXCEPTION WHEN OTHERS THEN
            RAISE WARNING 'gravity_memory: memory_created was not broadcast: %', SQLERRM
                USING ERRCODE = SQLSTATE, HINT = 'The memories are stored.';
        END;
    END IF;
    IF NOT @extschema@._gravity_memory_records_events(v_settings) THEN
        RETURN NULL;
    END IF;

    v_wakes := v_settings ->> 'notify' <> 'off';
    BEGIN
        IF NOT @extschema@._gravity_memory_may_write_events() THEN
            RETURN NULL;
        END IF;
        IF TG_OP = 'UPDATE' THEN
            INSERT INTO @extschema@.memory_events (user_id, event, subject_id, payload, wakes)
            SELECT d.user_id, 'memory_deleted', d.id, jsonb_build_object('id', d.id, 'user_id', d.user_id),
                   v_wakes AND row_number() OVER () = 1
            FROM (SELECT o.id, o.user_id::text AS user_id FROM old_rows AS o
                  EXCEPT
                  SELECT n.id, n.user_id::text FROM new_rows AS n) AS d
            WHERE d.user_id IS NOT NULL;
        END IF;
        IF TG_OP = 'DELETE' THEN
            INSERT INTO @extschema@.memory_events (user_id, event, subject_id, payload, wakes)
            SELECT o.user_id, 'memory_deleted', o.id, jsonb_build_object('id', o.id, 'user_id', o.user_id),
                   v_wakes AND row_number() OVER () = 1
            FROM old_rows AS o
            WHERE o.user_id IS NOT NULL;
        ELSE
            INSERT INTO @extschema@.memory_events (user_id, event, subject_id, payload, wakes)
            SELECT n.user_id, CASE TG_OP WHEN 'INSERT' THEN 'memory_created' ELSE 'memory_updated' END, n.id,
                   jsonb_build_object(
                       'id', n.id, 'user_id', n.user_id, 'thread_id', n.thread_id, 'session_id', n.session_id,
                       'memory_trace_id', n.memory_trace_id, 'content', n.content, 'summary', n.summary, 'topic', n.topic,
                       'gravity_score', n.gravity_score, 'emotion_type', n.emotion_type, 'entities', n.entities,
                       'meta_tags', n.meta_tags, 'identity_anchor', n.identity_anchor, 'temporal_type', n.temporal_type,
                       'metadata', n.metadata, 'created_at', n.created_at, 'updated_at', n.updated_at),
                   v_wakes AND row_number() OVER () = 1
            FROM new_rows AS n
            WHERE n.user_id IS NOT NULL;
        END IF;
    EXCEPTION WHEN OTHERS THEN
        RAISE WARNING 'gravity_memory: no events were recorded (% on gravity_map): %', TG_OP, SQLERRM
            USING ERRCODE = SQLSTATE, HINT = 'The memories are stored. Readers of the feed are told to start anew.';
        BEGIN
            PERFORM @extschema@._gravity_memory_break_feed('events of memories could not be recorded');
        EXCEPTION WHEN OTHERS THEN
            RAISE WARNING 'gravity_memory: readers of the feed could not be told that it misses events: %', SQLERRM
                USING ERRCODE = SQLSTATE, HINT = 'Run SELECT * FROM gravity_memory_setup().';
        END;
    END;
    RETURN NULL;
END
$_gravity_memory_publish_memories$;

COMMENT ON FUNCTION @extschema@._gravity_memory_publish_memories() IS
    'Trigger function: records what happens to memories in memory_events, and broadcasts new ones, where settings ask for it.';

-- sql/feed/_gravity_memory_check_feed.sql

-- _gravity_memory_check_feed(): whether the caller can read the feed; an error where it would be empty for ever.
--
-- Errors: 55000 while nothing is recorded or the table is missing, 42501 where row security hides every event from the caller.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_check_feed()
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_check_feed$
BEGIN
    IF NOT @extschema@._gravity_memory_records_events(@extschema@._gravity_memory_effective_settings()) THEN
        RAISE EXCEPTION 'no events are recorded'
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Run SELECT gravity_memory_set(''notify'', ''wakeup''), or gravity_memory_set(''feed'', ''on'') to keep '
                         'the notifications with data besides.';
    END IF;
    IF to_regclass('@extschema@.memory_events') IS NULL THEN
        RAISE EXCEPTION 'the table memory_events does not exist'
            USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Run SELECT * FROM gravity_memory_setup().';
    END IF;
    IF row_security_active('@extschema@.memory_events')
       AND NOT EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = '@extschema@.memory_events'::regclass AND p.polcmd IN ('r', '*')) THEN
        RAISE EXCEPTION 'row security hides every event from %', current_user
            USING ERRCODE = 'insufficient_privilege',
                  HINT = 'Run SELECT * FROM gravity_memory_enable_rls() as the owner of the tables, or make a policy on memory_events that shows a role its user''s events, and those of the user '''', which say '
                         'that the feed has a break: CREATE POLICY ... FOR SELECT USING (user_id IN (..., '''')).';
    END IF;
END
$_gravity_memory_check_feed$;

COMMENT ON FUNCTION @extschema@._gravity_memory_check_feed() IS
    'Refuses a reader of the feed for whom it would be empty for ever.';

-- sql/derivation/_gravity_memory_may_read_derived.sql

-- _gravity_memory_may_read_derived(p_user_id, p_column): may a SECURITY DEFINER function answer its caller from the derived tables?
--
-- Derived rows tell about memories, and the policies of gravity_map do not reach them. So they answer only a caller who may read
-- that column of every memory of that user: one with the privilege, who is not subject to row security, or whom our policy shows all
-- of that user's memories, because the session stands for the user. The caller is the role that was set, or
-- the one that logged in; a SECURITY DEFINER function of the application is judged by who called it. Everyone else is answered from the
-- memories themselves, under their own privileges and policies: more slowly, and the same.
-- False also while the user is listed in memory_recall_gaps, before setup has made the tables, and after a dump was restored by a
-- superuser, until setup hands the function over: read as a superuser, a table of somebody else might be a view with code in it.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_may_read_derived(p_user_id text, p_column text)
RETURNS boolean
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_may_read_derived$
DECLARE
    v_caller CONSTANT name := CASE WHEN current_setting('role') = 'none' THEN session_user ELSE current_setting('role')::name END;
    v_memories record;
BEGIN
    SELECT c.oid, c.relowner, c.relrowsecurity, c.relforcerowsecurity INTO v_memories
    FROM pg_class AS c
    WHERE c.oid = to_regclass('@extschema@.gravity_map') AND c.relkind IN ('r', 'p');
    IF (has_column_privilege(v_caller, v_memories.oid, 'id', 'SELECT')
        AND has_column_privilege(v_caller, v_memories.oid, 'user_id', 'SELECT')
        AND has_column_privilege(v_caller, v_memories.oid, p_column, 'SELECT')
        -- A memory is found by the words for its date, too.
        AND (p_column <> 'content' OR has_column_privilege(v_caller, v_memories.oid, 'created_at', 'SELECT'))) IS NOT TRUE THEN
        RETURN false;
    END IF;
    IF v_memories.relrowsecurity
       AND NOT (SELECT r.rolsuper OR r.rolbypassrls
                       OR (NOT v_memories.relforcerowsecurity AND pg_has_role(r.oid, v_memories.relowner, 'USAGE'))
                FROM pg_roles AS r WHERE r.rolname = v_caller)
       -- Permissive policies of the application show more, and restrictive ones less.
       AND (p_user_id = @extschema@.gravity_memory_current_user_id()
            AND @extschema@._gravity_memory_has_policy('gravity_map')
            AND NOT EXISTS (SELECT FROM pg_policy AS y
                            WHERE y.polrelid = v_memories.oid AND NOT y.polpermissive AND y.polcmd IN ('r', '*'))) IS NOT TRUE THEN
        RETURN false;
    END IF;
    -- Three tables: one that is missing makes the answer false too.
    IF (SELECT count(*) FROM pg_class AS c
        WHERE c.oid IN (to_regclass('@extschema@.memory_digests'), to_regclass('@extschema@.memory_postings'),
                        to_regclass('@extschema@.memory_recall_gaps'))
          AND pg_get_userbyid(c.relowner) = current_user AND c.relkind IN ('r', 'p')) < 3 THEN
        RETURN false;
    END IF;
    RETURN NOT EXISTS (SELECT FROM @extschema@.memory_recall_gaps AS g WHERE g.user_id = p_user_id AND NOT g.is_every_user)
       AND NOT EXISTS (SELECT FROM @extschema@.memory_recall_gaps AS g WHERE g.user_id = '' AND g.is_every_user);
END
$_gravity_memory_may_read_derived$;

COMMENT ON FUNCTION @extschema@._gravity_memory_may_read_derived(text, text) IS
    'Whether the caller of a SECURITY DEFINER function may be answered from what is derived from a user''s memories.';

-- sql/setup/gravity_memory_setup.sql

-- gravity_memory_setup(p_build_indexes): creates what is missing and adopts what is there.
--
-- Creates missing tables, with row-level security (gravity_memory_enable_rls() does that for others), adds missing columns (no row is touched: defaults are constants or now()), builds missing indexes, makes or
-- mends the triggers, hands new tables and the SECURITY DEFINER functions to the owner of gravity_map, and schedules the jobs. CREATE
-- EXTENSION calls it; call it again after restoring a dump as another role, after gravity_memory_teardown(), or when
-- something was dropped by accident.
-- p_build_indexes: true builds all missing indexes now; false builds none; NULL (default) builds them on tables up to
-- setup_index_limit and leaves the others, with a NOTICE, to gravity_memory_index_ddl(), which does not block writers. The same
-- decides whether what recall reads is derived now, NULL up to 10,000 memories, or left to gravity_memory_rebuild_recall().
-- Returns one row per thing it did, none when nothing was to do.
-- Errors: 42804 datatype_mismatch with every mismatch in the DETAIL when existing tables do not fit; nothing is changed then. 22023 for
-- an impossible gravity_memory.embedding_dimensions. Needs the privileges of the owner of the tables.
CREATE OR REPLACE FUNCTION @extschema@.gravity_memory_setup(p_build_indexes boolean DEFAULT NULL)
RETURNS TABLE (action text, object text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET quote_all_identifiers = off
AS $gravity_memory_setup$
DECLARE
    v_mismatches text[];
    v_object record;
    v_limit_bytes bigint;
    v_indexes_left integer := 0;
    v_must_fill boolean := false;
    v_must_break boolean := false;
    -- What others committed since the snapshot of such a transaction was taken is in the table, and not seen.
    v_sees_all boolean := current_setting('transaction_isolation') NOT IN ('repeatable read', 'serializable');
    v_foreign_triggers text;
    v_client_min_messages CONSTANT text := current_setting('client_min_messages');
BEGIN
    -- One setup at a time; two would race to create the same objects.
    PERFORM pg_advisory_xact_lock(hashtextextended('gravity_memory_setup', 0));

    v_mismatches := ARRAY(SELECT @extschema@._gravity_memory_adoption_mismatches());
    IF v_mismatches <> '{}' THEN
        RAISE EXCEPTION 'gravity_memory cannot adopt the existing tables in schema %: % mismatch(es)',
            '@extschema@', cardinality(v_mismatches)
            USING ERRCODE = 'datatype_mismatch',
                  DETAIL = array_to_string(v_mismatches, E'\n'),
                  HINT = 'Change the columns as each line says, then run this again. Nothing was changed.';
    END IF;

    -- What setup writes there fires it with setup's privileges, and what recall reads there might not be what was derived.
    SELECT string_agg(format('%I on %s', t.tgname, t.tgrelid::regclass), ', ' ORDER BY t.tgrelid, t.tgname) INTO v_foreign_triggers
    FROM @extschema@._gravity_memory_table_catalogue() AS c
    JOIN pg_trigger AS t ON t.tgrelid = to_regclass(@extschema@._gravity_memory_qualified_name(c.table_name))
    WHERE c.is_derived AND NOT t.tgisinternal;
    IF v_foreign_triggers IS NOT NULL THEN
        RAISE EXCEPTION 'the derived tables of gravity_memory have triggers that are not its own: %', v_foreign_triggers
            USING ERRCODE = 'object_not_in_prerequisite_state',
                  HINT = 'Drop them, run this again, then CALL gravity_memory_rebuild_recall(p_everything => true).';
    END IF;

    -- The name of pgvector's schema, which may have changed.
    RETURN QUERY SELECT 'bind function', b FROM @extschema@._gravity_memory_bind_vector_schema() AS b;

    -- Tables.
    FOR v_object IN
        SELECT t.table_name, t.table_constraints, t.purpose, t.is_derived, t.storage,
               string_agg(format('%I %s %s', c.column_name, c.data_type, c.modifiers), ', ' ORDER BY c.ordinal) AS columns
        FROM @extschema@._gravity_memory_table_catalogue() WITH ORDINALITY AS t
        JOIN @extschema@._gravity_memory_column_catalogue() AS c ON c.table_name = t.table_name
        WHERE to_regclass(@extschema@._gravity_memory_qualified_name(t.table_name)) IS NULL
        GROUP BY t.table_name, t.table_constraints, t.purpose, t.is_derived, t.storage, t.ordinality
        ORDER BY t.ordinality
    LOOP
        EXECUTE format('CREATE TABLE %s (%s, %s)', @extschema@._gravity_memory_qualified_name(v_object.table_name), v_object.columns,
                       array_to_string(v_object.table_constraints, ', '))
                || CASE WHEN v_object.storage <> '' THEN format(' WITH (%s)', v_object.storage) ELSE '' END;
        EXECUTE format('COMMENT ON TABLE %s IS %L', @extschema@._gravity_memory_qualified_name(v_object.table_name), v_object.purpose);
        IF v_object.table_name = 'gravity_memory_settings' THEN
            -- Before the table is released: a grant made in an extension's script counts as the extension's, and is not dumped.
            EXECUTE format('GRANT SELECT ON %s TO PUBLIC', @extschema@._gravity_memory_qualified_name(v_object.table_name));
        END IF;
        -- Only tables that setup makes: on a table that is there, it would hide rows from an application that names no user.
        PERFORM @extschema@._gravity_memory_make_policy(v_object.table_name);
        EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', @extschema@._gravity_memory_qualified_name(v_object.table_name));
        v_must_fill := v_must_fill OR v_object.is_derived;
        v_must_break := v_must_break OR v_object.table_name = 'memory_events';
        v_sees_all := v_sees_all OR v_object.table_name = 'gravity_map';
        action := 'create table';
        object := v_object.table_name;
        RETURN NEXT;
    END LOOP;
    IF v_must_fill THEN
        -- What is left in one derived table does not go with what another one, made anew, will be given.
        TRUNCATE @extschema@.memory_digests, @extschema@.memory_postings;
    END IF;
    PERFORM @extschema@._gravity_memory_release_tables();

    -- Columns.
    FOR v_object IN
        SELECT c.table_name, c.column_name, c.data_type, c.modifiers
        FROM @extschema@._gravity_memory_column_catalogue() AS c
        WHERE NOT EXISTS (SELECT FROM pg_attribute AS a
                          WHERE a.attrelid = to_regclass(@extschema@._gravity_memory_qualified_name(c.table_name))
                            AND a.attname = c.column_name AND NOT a.attisdropped)
        ORDER BY c.table_name, c.ordinal
    LOOP
        EXECUTE format('ALTER TABLE %s ADD COLUMN %I %s %s',
                       @extschema@._gravity_memory_qualified_name(v_object.table_name), v_object.column_name, v_object.data_type, v_object.modifiers);
        action := 'add column';
        object := v_object.table_name || '.' || v_object.column_name;
        RETURN NEXT;
    END LOOP;

    -- Indexes. pgvector's notice about training an index on an empty table is not for whoever installs.
    v_limit_bytes := 1024 * 1024 * (@extschema@._gravity_memory_effective_settings() ->> 'setup_index_limit')::bigint;
    PERFORM set_config('client_min_messages', 'warning', true);
    FOR v_object IN
        SELECT m.index_name, m.table_name, m.statement, m.is_invalid
        FROM @extschema@._gravity_memory_missing_indexes() AS m
        ORDER BY m.table_name, m.index_name
    LOOP
        IF COALESCE(p_build_indexes, @extschema@._gravity_memory_table_bytes(v_object.table_name) <= v_limit_bytes) THEN
            IF v_object.is_invalid THEN
                EXECUTE 'DROP INDEX ' || @extschema@._gravity_memory_qualified_name(v_object.index_name);
            END IF;
            EXECUTE v_object.statement;
            action := 'create index';
            object := v_object.index_name;
            RETURN NEXT;
        ELSE
            v_indexes_left := v_indexes_left + 1;
        END IF;
    END LOOP;
    -- An index on embedding that was made while there were too few rows to train it finds little for ever after.
    FOR v_object IN
        SELECT i.index_name FROM @extschema@._gravity_memory_vector_index_states() AS i
        WHERE i.is_there AND NOT i.is_wanted
          AND COALESCE(p_build_indexes, @extschema@._gravity_memory_table_bytes('gravity_map') <= v_limit_bytes)
        ORDER BY i.index_name
    LOOP
        EXECUTE 'DROP INDEX ' || @extschema@._gravity_memory_qualified_name(v_object.index_name);
        action := 'drop index';
        object := v_object.index_name;
        RETURN NEXT;
    END LOOP;
    PERFORM set_config('client_min_messages', v_client_min_messages, true);
    IF v_indexes_left > 0 THEN
        RAISE NOTICE 'gravity_memory: % indexes are missing and were not built, because that would block writers.', v_indexes_left
            USING HINT = 'Run the statements that SELECT @extschema@.gravity_memory_index_ddl() returns; they build concurrently.';
    END IF;

    -- Triggers.
    FOR v_object IN
        SELECT c.trigger_name, c.table_name, c.definition, t.oid AS trigger_oid
        FROM @extschema@._gravity_memory_trigger_catalogue() AS c
        LEFT JOIN pg_trigger AS t
               ON t.tgrelid = to_regclass(@extschema@._gravity_memory_qualified_name(c.table_name)) AND t.tgname = c.trigger_name
        WHERE t.oid IS NULL OR pg_get_triggerdef(t.oid) <> c.definition
        ORDER BY c.table_name, c.trigger_name
    LOOP
        IF v_object.trigger_oid IS NOT NULL THEN
            EXECUTE format('DROP TRIGGER %I ON %s', v_object.trigger_name, @extschema@._gravity_memory_qualified_name(v_object.table_name));
        END IF;
        EXECUTE v_object.definition;
        -- What was written while it was missing has no derived rows, or wrong ones.
        v_must_fill := v_must_fill OR v_object.definition ~ '_gravity_memory_keep_derived\(\)$';
        v_must_break := v_must_break OR v_object.definition ~ '_gravity_memory_(publish_memories|publish_arcs|break_feed_on_truncate)\(\)$';
        action := CASE WHEN v_object.trigger_oid IS NULL THEN 'create trigger' ELSE 'replace trigger' END;
        object := v_object.trigger_name;
        RETURN NEXT;
    END LOOP;

    -- Derived rows of memories that are there already.
    IF v_must_fill AND (NOT v_sees_all OR EXISTS (SELECT FROM @extschema@.gravity_map) OR EXISTS (SELECT FROM @extschema@.memory_digests)) THEN
        -- Deriving costs .3 ms a memory, whatever its size, and writers wait.
        IF COALESCE(p_build_indexes,
                    @extschema@._gravity_memory_table_bytes('gravity_map') <= v_limit_bytes
                    AND (SELECT count(*) FROM (SELECT FROM @extschema@.gravity_map LIMIT 10001) AS m) <= 10000)
           AND v_sees_all AND NOT row_security_active('@extschema@.gravity_map') THEN
            PERFORM @extschema@._gravity_memory_fill_recall();
            action := 'derive rows';
            object := 'memory_digests, memory_postings';
            RETURN NEXT;
        ELSE
            PERFORM @extschema@._gravity_memory_note_recall_gaps(NULL);
            RAISE NOTICE 'gravity_memory: searches look at every memory of a user until what they read is derived.'
                USING HINT = 'Run CALL @extschema@.gravity_memory_rebuild_recall(); it works in batches and does not block writers.';
        END IF;
    END IF;

    IF v_must_break AND @extschema@._gravity_memory_records_events(@extschema@._gravity_memory_effective_settings()) THEN
        -- Nothing recorded what was written while they were missing.
        PERFORM @extschema@._gravity_memory_break_feed('events were not recorded until gravity_memory_setup() ran');
    END IF;

    RETURN QUERY SELECT h.action, h.object FROM @extschema@._gravity_memory_hand_over() AS h;
    -- As late as possible: readers wait from here on, until the transaction is over.
    FOR object IN SELECT i FROM @extschema@._gravity_memory_superseded_indexes() AS i LOOP
        EXECUTE 'DROP INDEX ' || @extschema@._gravity_memory_qualified_name(object);
        action := 'drop index';
        RETURN NEXT;
    END LOOP;
    RETURN QUERY SELECT 'schedule job', j FROM @extschema@.gravity_memory_schedule_jobs() AS j;
END
$gravity_memory_setup$;

COMMENT ON FUNCTION @extschema@.gravity_memory_setup(boolean) IS
    'Creates or adopts the tables with their indexes, triggers and jobs; idempotent; returns one row per thing it did.';

-- sql/erasure/_gravity_memory_erasure_catalogue.sql

-- _gravity_memory_erasure_catalogue(): by table, which rows tell about a user: a condition on $1, the user's id.
--
-- In an order in which they can be deleted without work for nothing: links before arcs, both before memories, whose triggers would
-- otherwise
-- settle arcs that are about to go; postings before the digests that lead to them; what triggers write, last. Tables with an
-- export_order are
-- exported, in an order in which they can be imported, rows by row_order; the others hold nothing that does not follow from these.
-- Events are not imported: they tell what happened on the server that wrote them. Rows of memory_events with the event feed_broken,
-- and the note of memory_recall_gaps for everybody, are nobody's.
CREATE FUNCTION @extschema@._gravity_memory_erasure_catalogue()
RETURNS TABLE (table_name text, condition text, export_order integer, row_order text)
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_erasure_catalogue$
VALUES
    ('memory_arc_associations',
     'memory_id IN (SELECT m.id FROM @extschema@.gravity_map AS m WHERE m.user_id = $1) '
     'OR arc_id IN (SELECT a.id FROM @extschema@.memory_arcs AS a WHERE a.user_id = $1) OR user_id = $1', 3, 'memory_id, arc_id'),
    ('memory_arcs', 'user_id = $1', 2, 'created_at, id'),
    ('memory_postings',
     '(term_key, memory_id) IN (SELECT k.term_key, d.memory_id FROM @extschema@.memory_digests AS d '
     'CROSS JOIN LATERAL unnest(d.term_keys) AS k (term_key) WHERE d.user_id = $1)', NULL, NULL),
    ('memory_digests', 'user_id = $1', NULL, NULL),
    ('gravity_map', 'user_id = $1', 1, 'created_at, id'),
    ('consciousness_cache', 'user_id = $1', 4, 'created_at, id'),
    ('active_sessions', 'user_id = $1', 5, 'session_id'),
    ('pattern_matrix', 'user_id = $1', 6, 'created_at, id'),
    ('memory_recall_gaps', 'user_id = $1 AND NOT is_every_user', NULL, NULL),
    ('memory_arc_locks', 'user_id = $1', NULL, NULL),
    ('memory_events', 'user_id = $1 AND event <> ''feed_broken''', 7, 'event_id')
$_gravity_memory_erasure_catalogue$;

COMMENT ON FUNCTION @extschema@._gravity_memory_erasure_catalogue() IS
    'By table, which rows tell about a user, and in which order they are exported.';

-- sql/erasure/_gravity_memory_check_erasure.sql

-- _gravity_memory_check_erasure(p_function, p_user_id): refuses what could only be done in part.
--
-- Errors: 22004 for p_user_id NULL; 55000 when a table is missing; 42501 where row security hides rows from the caller.
CREATE FUNCTION @extschema@._gravity_memory_check_erasure(p_function text, p_user_id text)
RETURNS void
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_check_erasure$
DECLARE
    v_table_name text;
BEGIN
    IF p_user_id IS NULL THEN
        RAISE EXCEPTION '%(): p_user_id must not be NULL', p_function
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Name the user.';
    END IF;
    FOR v_table_name IN SELECT c.table_name FROM @extschema@._gravity_memory_erasure_catalogue() AS c LOOP
        IF to_regclass(@extschema@._gravity_memory_qualified_name(v_table_name)) IS NULL THEN
            RAISE EXCEPTION 'the table % does not exist', v_table_name
                USING ERRCODE = 'object_not_in_prerequisite_state', HINT = 'Run SELECT * FROM gravity_memory_setup() first.';
        END IF;
        IF row_security_active(@extschema@._gravity_memory_qualified_name(v_table_name)) THEN
            RAISE EXCEPTION 'row security hides rows of % from %', v_table_name, current_user
                USING ERRCODE = 'insufficient_privilege',
                      HINT = 'Run it as the owner of the tables, or as a role with BYPASSRLS; nothing was changed.';
        END IF;
    END LOOP;
END
$_gravity_memory_check_erasure$;

COMMENT ON FUNCTION @extschema@._gravity_memory_check_erasure(text, text) IS
    'Refuses to erase or export a user where that could only be done in part.';

-- sql/erasure/_gravity_memory_count_of_user.sql

-- _gravity_memory_count_of_user(p_table_name, p_condition, p_user_id): how many rows of a table tell about a user.
CREATE FUNCTION @extschema@._gravity_memory_count_of_user(p_table_name text, p_condition text, p_user_id text)
RETURNS bigint
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_count_of_user$
DECLARE
    v_count bigint;
BEGIN
    EXECUTE format('SELECT count(*) FROM %s WHERE %s', @extschema@._gravity_memory_qualified_name(p_table_name), p_condition)
    INTO v_count USING p_user_id;
    RETURN v_count;
END
$_gravity_memory_count_of_user$;

COMMENT ON FUNCTION @extschema@._gravity_memory_count_of_user(text, text, text) IS
    'How many rows of a table a condition of the erasure catalogue finds for a user.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_count_of_user(text, text, text) FROM PUBLIC;

-- sql/erasure/gravity_memory_forget_user.sql

-- gravity_memory_forget_user(p_user_id): removes every trace of a user from the tables of gravity_memory, in the caller's transaction.
--
-- Memories, links, arcs, cache, sessions, patterns, what recall reads, events (those that the deletion itself writes, too), locks
-- and notes.
-- Returns the receipt: one row per table with the number of rows that it held, 0 included. gravity_memory_verify_forgotten() proves it.
-- Links of the user's memories to another user's arc go too, and that arc's totals follow.
-- What somebody writes for the user meanwhile stays: stop the user's writers first. Out of its reach: tables of the application without a
-- foreign key that cascades, backups, WAL until it is recycled, the server's log, dead rows until VACUUM, texts of queries in
-- pg_stat_statements,
-- messages of Supabase's realtime, and settings (identity_entities may hold a name).
-- Errors: 22004 for NULL; 55000 when a table is missing; 42501 for whoever may not delete all of it; 23503 when a table of the
-- application still
-- refers to a memory. Nothing is removed then.
-- Reads memory_postings from end to end when rows of the user may be in it that no digest leads to (memory_recall_gaps notes the user).
CREATE FUNCTION @extschema@.gravity_memory_forget_user(p_user_id text)
RETURNS TABLE (table_name text, removed bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_forget_user$
DECLARE
    v_rows record;
    v_memory_ids uuid[];
    v_held bigint[];
    v_stray bigint;
BEGIN
    PERFORM @extschema@._gravity_memory_check_erasure('gravity_memory_forget_user', p_user_id);
    IF EXISTS (SELECT FROM @extschema@.memory_recall_gaps AS g WHERE g.user_id = p_user_id OR g.is_every_user)
       OR EXISTS (SELECT FROM @extschema@.gravity_map AS m
                  WHERE m.user_id = p_user_id
                    AND NOT EXISTS (SELECT FROM @extschema@.memory_digests AS d WHERE d.user_id = p_user_id AND d.memory_id = m.id)) THEN
        v_memory_ids := ARRAY(SELECT m.id FROM @extschema@.gravity_map AS m WHERE m.user_id = p_user_id
                              UNION SELECT d.memory_id FROM @extschema@.memory_digests AS d WHERE d.user_id = p_user_id);
    END IF;

    -- Before anything is deleted: triggers dissolve arcs that lose their members, and write events.
    SELECT array_agg(v.remaining) INTO v_held
    FROM (SELECT c.ordinality, x.remaining
          FROM @extschema@._gravity_memory_erasure_catalogue() WITH ORDINALITY AS c
          CROSS JOIN LATERAL (SELECT @extschema@._gravity_memory_count_of_user(c.table_name, c.condition, p_user_id) AS remaining) AS x
          ORDER BY c.ordinality) AS v;

    FOR v_rows IN
        SELECT c.table_name, c.condition, v_held[c.ordinality] AS held
        FROM @extschema@._gravity_memory_erasure_catalogue() WITH ORDINALITY AS c ORDER BY c.ordinality
    LOOP
        IF v_rows.table_name = 'memory_arc_locks'
           AND EXISTS (SELECT FROM pg_trigger AS t
                       WHERE t.tgrelid = '@extschema@.memory_arc_locks'::regclass AND t.tgname = 'trigger_arc_totals_at_commit') THEN
            -- What triggers put off to the commit writes locks and events: it is done now, and put off again for the rest of the
            -- transaction.
            SET CONSTRAINTS @extschema@.trigger_arc_totals_at_commit IMMEDIATE;
            SET CONSTRAINTS @extschema@.trigger_arc_totals_at_commit DEFERRED;
        END IF;
        EXECUTE format('DELETE FROM %s WHERE %s', @extschema@._gravity_memory_qualified_name(v_rows.table_name), v_rows.condition)
        USING p_user_id;
        table_name := v_rows.table_name;
        removed := v_rows.held;
        IF v_rows.table_name = 'memory_postings' AND v_memory_ids <> '{}' THEN
            DELETE FROM @extschema@.memory_postings AS p WHERE p.memory_id = ANY (v_memory_ids);
            GET DIAGNOSTICS v_stray = ROW_COUNT;
            removed := removed + v_stray;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$gravity_memory_forget_user$;

COMMENT ON FUNCTION @extschema@.gravity_memory_forget_user(text) IS
    'Removes every trace of a user from the tables of gravity_memory; returns one row per table with the number of rows removed.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_forget_user(text) FROM PUBLIC;

-- sql/erasure/gravity_memory_verify_forgotten.sql

-- gravity_memory_verify_forgotten(p_user_id): what the tables of gravity_memory still hold of a user.
--
-- Returns one row per table with the number of rows left, 0 included: all are 0 when nothing is left. Postings hold no user, only a
-- hash of user
-- and word: of those, all that belong to no memory at all are counted, whoever's they were; CALL
-- gravity_memory_rebuild_recall(p_everything => true)
-- removes them. Looks at the tables anew, and trusts no count that gravity_memory_forget_user() made.
-- Reads memory_postings from end to end, some seconds for millions of memories.
-- Errors: 22004 for NULL; 55000 when a table is missing; 42501 for whoever may not see all of it.
CREATE FUNCTION @extschema@.gravity_memory_verify_forgotten(p_user_id text)
RETURNS TABLE (table_name text, remaining bigint)
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_verify_forgotten$
DECLARE
    v_rows record;
BEGIN
    PERFORM @extschema@._gravity_memory_check_erasure('gravity_memory_verify_forgotten', p_user_id);
    FOR v_rows IN
        SELECT c.table_name, c.condition FROM @extschema@._gravity_memory_erasure_catalogue() WITH ORDINALITY AS c ORDER BY c.ordinality
    LOOP
        table_name := v_rows.table_name;
        remaining := @extschema@._gravity_memory_count_of_user(
            v_rows.table_name,
            CASE v_rows.table_name
                WHEN 'memory_postings' THEN
                    v_rows.condition || ' OR NOT EXISTS (SELECT FROM @extschema@.gravity_map AS m WHERE m.id = memory_id)'
                ELSE v_rows.condition
            END, p_user_id);
        RETURN NEXT;
    END LOOP;
END
$gravity_memory_verify_forgotten$;

COMMENT ON FUNCTION @extschema@.gravity_memory_verify_forgotten(text) IS
    'What the tables of gravity_memory still hold of a user: one row per table; all counts are 0 when nothing is left.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_verify_forgotten(text) FROM PUBLIC;

-- sql/erasure/gravity_memory_export_user.sql

-- gravity_memory_export_user(p_user_id): everything that the tables of gravity_memory hold of a user, as JSON lines.
--
-- The first line says what this is: {"gravity_memory": version, "format": 1, "user_id", "exported_at"}. Each other one is a row,
-- {"table", "row"},
-- with every column, the application's own included: memories, arcs, links, cache, sessions, patterns, events. Embeddings are written as
-- pgvector prints them, numbers in full, times in UTC. "json_nulls" names columns that hold the JSON value null, which "row" cannot tell
-- from NULL. What recall reads is left out: it follows from the memories. A link is exported when memory and arc are both the user's.
-- One statement, one snapshot. gravity_memory_import_user() makes the same rows elsewhere.
-- Errors: 22004 for NULL; 55000 when a table is missing; 42501 for whoever may not see all of it.
CREATE FUNCTION @extschema@.gravity_memory_export_user(p_user_id text)
RETURNS SETOF text
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
SET extra_float_digits = 1
SET timezone = 'UTC'
AS $gravity_memory_export_user$
DECLARE
    v_table record;
BEGIN
    PERFORM @extschema@._gravity_memory_check_erasure('gravity_memory_export_user', p_user_id);
    RETURN QUERY
    SELECT json_build_object(
        'gravity_memory', (SELECT e.extversion FROM pg_extension AS e WHERE e.extname = 'gravity_memory'),
        'format', 1, 'user_id', p_user_id, 'exported_at', now())::text;
    FOR v_table IN
        SELECT c.table_name, c.row_order, r.relation,
               CASE c.table_name
                   WHEN 'memory_arc_associations' THEN
                       'EXISTS (SELECT FROM @extschema@.gravity_map AS m WHERE m.id = t.memory_id AND m.user_id = $1) '
                       'AND EXISTS (SELECT FROM @extschema@.memory_arcs AS a WHERE a.id = t.arc_id AND a.user_id = $1)'
                   ELSE c.condition
               END AS condition,
               COALESCE((SELECT string_agg(format('CASE WHEN t.%I::text = ''null'' THEN %L END', a.attname, a.attname), ', ' ORDER BY a.attnum)
                         FROM pg_attribute AS a
                         WHERE a.attrelid = r.relation AND a.attnum > 0 AND NOT a.attisdropped
                           AND a.atttypid IN ('json'::regtype, 'jsonb'::regtype)), 'NULL::text') AS json_nulls
        FROM @extschema@._gravity_memory_erasure_catalogue() AS c
        CROSS JOIN LATERAL (SELECT @extschema@._gravity_memory_qualified_name(c.table_name)::regclass AS relation) AS r
        WHERE c.export_order IS NOT NULL
        ORDER BY c.export_order
    LOOP
        -- A line break outside of strings is white space, and only a column of type json can bring one.
        RETURN QUERY EXECUTE format(
            'SELECT translate(''{"table":%s,"row":'' || row_to_json(t)::text '
            '|| CASE WHEN n.names = ''{}'' THEN '''' ELSE '',"json_nulls":'' || array_to_json(n.names)::text END || ''}'', E''\n\r'', ''  '') '
            'FROM %s AS t CROSS JOIN LATERAL (SELECT array_remove(ARRAY[%s], NULL) AS names) AS n WHERE %s ORDER BY %s',
            to_json(v_table.table_name), v_table.relation, v_table.json_nulls, v_table.condition, v_table.row_order)
        USING p_user_id;
    END LOOP;
END
$gravity_memory_export_user$;

COMMENT ON FUNCTION @extschema@.gravity_memory_export_user(text) IS
    'Everything that the tables of gravity_memory hold of a user, as JSON lines, for gravity_memory_import_user() or for the user.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_export_user(text) FROM PUBLIC;

-- sql/erasure/gravity_memory_import_user.sql

-- gravity_memory_import_user(p_user_id, p_lines): makes the rows that gravity_memory_export_user() wrote.
--
-- p_lines: the lines, all at once, or in their order in several calls, for a user whose export is larger than memory. Rows that are
-- there, by any
-- key, are left as they are, so that importing twice changes nothing; events are left out, because they tell what happened elsewhere.
-- Tags, arcs and totals stay as they were exported and nobody is notified: the triggers see gravity_memory.importing, set for this
-- call. Whoever sets
-- it for a transaction of their own does without them. What recall reads is derived as for any insert, and the feed records the rows.
-- Returns one row per table of the lines: how many rows were inserted, and how many left out.
-- Errors: 22004 for NULL; 22023 for lines of another user, of another format, or that are no export, 22P02 for those that are no
-- JSON; 42703 where
-- the table lacks a column of the export; 23503 for links to rows that are not there; those of the tables themselves, as for
-- embeddings of another
-- dimension; 55000 when a table is missing; 42501 for whoever may not write all of it. Nothing is imported then.
CREATE FUNCTION @extschema@.gravity_memory_import_user(p_user_id text, p_lines text[])
RETURNS TABLE (table_name text, inserted bigint, left_out bigint)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $gravity_memory_import_user$
DECLARE
    v_lines json[];
    v_rows record;
    v_columns text[];
    v_missing text;
    v_problem text;
BEGIN
    PERFORM @extschema@._gravity_memory_check_erasure('gravity_memory_import_user', p_user_id);
    IF p_lines IS NULL THEN
        RAISE EXCEPTION 'gravity_memory_import_user(): p_lines must not be NULL'
            USING ERRCODE = 'null_value_not_allowed', HINT = 'Pass the lines that gravity_memory_export_user() returned.';
    END IF;
    BEGIN
        v_lines := ARRAY(SELECT l.line::json FROM unnest(p_lines) WITH ORDINALITY AS l (line, number) WHERE l.line ~ '\S' ORDER BY l.number);
    EXCEPTION WHEN invalid_text_representation OR untranslatable_character THEN
        RAISE EXCEPTION 'gravity_memory_import_user(): a line is no JSON: %', SQLERRM
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
    WHERE CASE
              WHEN json_typeof(l.line) <> 'object' THEN true
              WHEN l.line -> 'table' IS NULL THEN
                  l.line -> 'gravity_memory' IS NULL OR (l.line ->> 'user_id' = p_user_id AND l.line ->> 'format' = '1') IS NOT TRUE
              ELSE l.line -> 'gravity_memory' IS NOT NULL OR c.table_name IS NULL OR COALESCE(json_typeof(l.line -> 'row'), '') <> 'object'
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
                         CASE WHEN a.atttypid IN ('json'::regtype, 'jsonb'::regtype)
                              THEN format('CASE WHEN (l.line -> ''json_nulls'')::jsonb ? %L THEN ''null'' ELSE r.%I END', n.name, n.name)
                              ELSE format('r.%I', n.name) END, ', ' ORDER BY n.number)
                     FROM unnest(v_columns) WITH ORDINALITY AS n (name, number)
                     JOIN pg_attribute AS a ON a.attrelid = v_rows.relation AND a.attname = n.name),
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
    PERFORM set_config('gravity_memory.importing', '', true);

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
    'Makes the rows that gravity_memory_export_user() wrote for a user; returns one row per table with the numbers inserted and left out.';
REVOKE EXECUTE ON FUNCTION @extschema@.gravity_memory_import_user(text, text[]) FROM PUBLIC;

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

-- Creates or adopts the tables, unless a dump is being restored.
--
-- A restore brings the tables, their rows, triggers and jobs itself; what CREATE EXTENSION made before would be in its way (a
-- job inserted here makes COPY cron.job fail and loses the other jobs). pg_dump and pg_restore say SET row_security = off, and
-- nobody else does.
DO $install$
BEGIN
    IF pg_catalog.current_setting('row_security') OPERATOR(pg_catalog.=) 'on' THEN
        -- CREATE EXTENSION hides notices; setup's say what is left to do, and are meant to be read.
        IF pg_catalog.current_setting('client_min_messages') OPERATOR(pg_catalog.=) 'warning' THEN
            PERFORM pg_catalog.set_config('client_min_messages', 'notice', true);
        END IF;
        PERFORM @extschema@.gravity_memory_setup();
    END IF;
END
$install$;
