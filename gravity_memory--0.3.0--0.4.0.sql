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

-- sql/arcs/_gravity_memory_hold_members.sql

-- _gravity_memory_hold_members(p_memory_ids): keeps memories that are being linked by hand from changing until the commit.
--
-- Whoever changes a memory's gravity recounts the arcs that hold it, but does not see a link that is not committed; whoever links
-- it does not see a change that is not. Both at a time would leave the arc with totals of no moment. Automatic arcs need no such
-- lock: their writers take turns by cluster. A memory that another transaction holds is looked at again for half a second, as
-- in _gravity_memory_link_memories(), because that transaction may be waiting for locks of ours; then a WARNING says so, and the
-- arc is to be recounted at the commit, which comes too early only for a transaction that outlives ours.
-- Returns whether all are held.
CREATE FUNCTION @extschema@._gravity_memory_hold_members(p_memory_ids uuid[])
RETURNS boolean
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_hold_members$
DECLARE
    v_held uuid[];
BEGIN
    FOR v_attempt IN 1..50 LOOP
        v_held := ARRAY(SELECT g.id FROM @extschema@.gravity_map AS g WHERE g.id = ANY (p_memory_ids)
                        FOR NO KEY UPDATE SKIP LOCKED);
        IF cardinality(v_held) = (SELECT count(*) FROM @extschema@.gravity_map AS g WHERE g.id = ANY (p_memory_ids)) THEN
            RETURN true;
        END IF;
        PERFORM pg_sleep(0.01);
    END LOOP;
    RAISE WARNING 'gravity_memory: the totals of an arc may be out of date: another transaction is changing a memory linked to it'
        USING ERRCODE = 'lock_not_available', HINT = 'Link the memory again when the other transaction has ended.';
    RETURN false;
END
$_gravity_memory_hold_members$;

COMMENT ON FUNCTION @extschema@._gravity_memory_hold_members(uuid[]) IS
    'Keeps memories that are being linked from changing until the transaction ends, and returns whether it could.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_hold_members(uuid[]) FROM PUBLIC;

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
    v_are_held boolean;
BEGIN
    IF NOT @extschema@._gravity_memory_may_write_arcs() THEN
        RETURN NULL;
    END IF;
    IF TG_OP = 'INSERT' THEN
        v_are_held := CASE WHEN pg_trigger_depth() > 1 THEN true
                           ELSE @extschema@._gravity_memory_hold_members(ARRAY(SELECT n.memory_id FROM new_rows AS n)) END;
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
            WHERE a.id = v_arc.arc_id AND v_are_held
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

-- sql/derivation/_gravity_memory_derive_memories.sql

-- _gravity_memory_derive_memories(p_user_id, p_memory_ids, p_wait): derives what recall reads, for memories that are there already.
--
-- Locks each row against changes, not against reading, for the moment of one batch, so that what was derived from an older version never
-- overwrites what a trigger derived from a newer one, and two rebuilds never derive the same memory at a time (FOR SHARE would let
-- them); who only refers to the memory does not notice. Without p_wait, rows that another transaction is changing are passed over:
-- waiting for several of them could deadlock.
-- Returns the memories it passed over, which have to be tried again. Memories that are gone are left out.
CREATE OR REPLACE FUNCTION @extschema@._gravity_memory_derive_memories(p_user_id text, p_memory_ids uuid[], p_wait boolean)
RETURNS uuid[]
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $_gravity_memory_derive_memories$
DECLARE
    v_locked uuid[];
    v_user_ids text[];
BEGIN
    IF p_wait THEN
        v_locked := ARRAY(SELECT m.id FROM @extschema@.gravity_map AS m
                          WHERE m.id = ANY (p_memory_ids) AND m.user_id = p_user_id
                          FOR NO KEY UPDATE);
    ELSE
        v_locked := ARRAY(SELECT m.id FROM @extschema@.gravity_map AS m
                          WHERE m.id = ANY (p_memory_ids) AND m.user_id = p_user_id
                          FOR NO KEY UPDATE SKIP LOCKED);
    END IF;

    v_user_ids := array_fill(p_user_id, ARRAY[cardinality(v_locked)]);
    PERFORM @extschema@._gravity_memory_forget_derived(v_user_ids, v_locked);
    BEGIN
        PERFORM @extschema@._gravity_memory_derive(v_user_ids, v_locked);
    EXCEPTION WHEN unique_violation THEN
        -- Postings whose digests were removed by hand: only a look at all postings finds them.
        DELETE FROM @extschema@.memory_postings AS p WHERE p.memory_id = ANY (v_locked);
        PERFORM @extschema@._gravity_memory_derive(v_user_ids, v_locked);
    END;

    RETURN ARRAY(
        SELECT m.id FROM @extschema@.gravity_map AS m
        WHERE NOT p_wait AND m.id = ANY (p_memory_ids) AND m.user_id = p_user_id
        EXCEPT
        SELECT l.id FROM unnest(v_locked) AS l (id));
END
$_gravity_memory_derive_memories$;

COMMENT ON FUNCTION @extschema@._gravity_memory_derive_memories(text, uuid[], boolean) IS
    'Derives what recall reads from memories that are there already, and returns those it has to come back to.';

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
