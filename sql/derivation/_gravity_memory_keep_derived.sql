-- _gravity_memory_keep_derived(): trigger function, AFTER INSERT, UPDATE, DELETE and TRUNCATE on gravity_map, once per statement.
--
-- Keeps memory_digests and memory_postings in step with the memories. An UPDATE is followed where content, embedding, time, user or id
-- changed, whichever column the statement named: triggers of the application may set them too. Set differences stand where one
-- would join on id: the plan is kept for the session, and a nested loop over two large transition tables would be quadratic.
-- A memory that the owner itself cannot see (FORCE ROW LEVEL SECURITY) or that a trigger removed again leaves a note, as a fault does.
-- Users are handled one by one and in order, with plain statements, for the reasons given at trigger_arc_building().
-- SECURITY DEFINER, because a writer may hold no more than SELECT and INSERT on gravity_map, and nobody but the owner reads or writes the
-- derived tables. A fault is a WARNING: the memories stay as they were written, and the users are noted in memory_recall_gaps, so
-- that recall does not rely on what is derived from their memories.
CREATE FUNCTION @extschema@._gravity_memory_keep_derived()
RETURNS trigger
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
AS $_gravity_memory_keep_derived$
DECLARE
    v_user record;
    v_user_ids text[];
    v_derived_ids uuid[];
BEGIN
    BEGIN
        IF NOT @extschema@._gravity_memory_may_write_derived() THEN
            RETURN NULL;
        END IF;
        IF TG_OP = 'INSERT' THEN
            FOR v_user IN
                SELECT n.user_id::text AS user_id, array_agg(n.id) AS ids
                FROM new_rows AS n
                WHERE n.user_id IS NOT NULL
                GROUP BY 1
                ORDER BY 1
            LOOP
                -- An AFTER ROW trigger of the application that updates the new memory had it derived already.
                v_derived_ids := ARRAY(
                    SELECT u.id
                    FROM unnest(v_user.ids) AS u (id)
                    -- An order that only the key has, as in _gravity_memory_forget_derived().
                    CROSS JOIN LATERAL (SELECT e.memory_id FROM @extschema@.memory_digests AS e
                                        WHERE e.user_id = v_user.user_id AND e.memory_id >= u.id
                                        ORDER BY e.memory_id LIMIT 1) AS d
                    WHERE d.memory_id = u.id);
                IF v_derived_ids <> '{}' THEN
                    PERFORM @extschema@._gravity_memory_forget_derived(v_user.user_id, v_derived_ids);
                END IF;
                IF @extschema@._gravity_memory_derive(v_user.user_id, v_user.ids) < cardinality(v_user.ids) THEN
                    PERFORM @extschema@._gravity_memory_note_recall_gaps(ARRAY[v_user.user_id]);
                END IF;
            END LOOP;
        ELSIF TG_OP = 'DELETE' THEN
            FOR v_user IN
                SELECT o.user_id::text AS user_id, array_agg(o.id) AS ids
                FROM old_rows AS o
                WHERE o.user_id IS NOT NULL
                GROUP BY 1
                ORDER BY 1
            LOOP
                PERFORM @extschema@._gravity_memory_forget_derived(v_user.user_id, v_user.ids);
            END LOOP;
        ELSIF TG_OP = 'TRUNCATE' THEN
            TRUNCATE @extschema@.memory_digests, @extschema@.memory_postings, @extschema@.memory_recall_gaps;
        ELSE
            FOR v_user IN
                SELECT c.user_id, array_agg(c.id) FILTER (WHERE NOT c.is_new) AS old_ids,
                       array_agg(c.id) FILTER (WHERE c.is_new) AS new_ids
                FROM (SELECT d.user_id::text AS user_id, d.id, false AS is_new
                      FROM (SELECT o.user_id, o.id, o.content, o.created_at, o.embedding FROM old_rows AS o
                            EXCEPT
                            SELECT n.user_id, n.id, n.content, n.created_at, n.embedding FROM new_rows AS n) AS d
                      UNION ALL
                      SELECT e.user_id::text, e.id, true
                      FROM (SELECT n.user_id, n.id, n.content, n.created_at, n.embedding FROM new_rows AS n
                            EXCEPT
                            SELECT o.user_id, o.id, o.content, o.created_at, o.embedding FROM old_rows AS o) AS e) AS c
                WHERE c.user_id IS NOT NULL
                GROUP BY c.user_id
                ORDER BY c.user_id
            LOOP
                IF v_user.old_ids IS NOT NULL THEN
                    PERFORM @extschema@._gravity_memory_forget_derived(v_user.user_id, v_user.old_ids);
                END IF;
                IF v_user.new_ids IS NOT NULL
                   AND @extschema@._gravity_memory_derive(v_user.user_id, v_user.new_ids) < cardinality(v_user.new_ids) THEN
                    PERFORM @extschema@._gravity_memory_note_recall_gaps(ARRAY[v_user.user_id]);
                END IF;
            END LOOP;
        END IF;
    EXCEPTION WHEN OTHERS THEN
        RAISE WARNING 'gravity_memory: what recall reads was not updated (% on gravity_map): %', TG_OP, SQLERRM
            USING ERRCODE = SQLSTATE,
                  HINT = 'The memories are stored, and recall stays complete, but slower, until CALL gravity_memory_rebuild_recall() '
                         'has run.';
        IF TG_OP = 'INSERT' THEN
            v_user_ids := ARRAY(SELECT n.user_id::text FROM new_rows AS n);
        ELSIF TG_OP = 'UPDATE' THEN
            v_user_ids := ARRAY(SELECT n.user_id::text FROM new_rows AS n UNION SELECT o.user_id::text FROM old_rows AS o);
        ELSIF TG_OP = 'DELETE' THEN
            v_user_ids := ARRAY(SELECT o.user_id::text FROM old_rows AS o);
        END IF;
        -- In the handler and not around the whole: a block that catches errors is a subtransaction, and every insert would pay for it.
        BEGIN
            -- NULL, after a TRUNCATE, notes every user: the terms of memories that are gone would still be counted.
            PERFORM @extschema@._gravity_memory_note_recall_gaps(v_user_ids);
        EXCEPTION WHEN OTHERS THEN
            RAISE WARNING 'gravity_memory: the users whose derived rows are wrong could not be noted: %', SQLERRM
                USING ERRCODE = SQLSTATE,
                      HINT = 'Run SELECT * FROM gravity_memory_setup(), then CALL gravity_memory_rebuild_recall(p_everything => true).';
        END;
    END;
    RETURN NULL;
END
$_gravity_memory_keep_derived$;

COMMENT ON FUNCTION @extschema@._gravity_memory_keep_derived() IS
    'Trigger function: keeps what recall reads in step with gravity_map, once per statement.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_keep_derived() FROM PUBLIC;
