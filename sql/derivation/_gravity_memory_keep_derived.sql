-- _gravity_memory_keep_derived(): trigger function, AFTER INSERT, UPDATE, DELETE and TRUNCATE on gravity_map, once per statement.
--
-- Keeps memory_digests and memory_postings in step with the memories. An UPDATE is followed where content, embedding, time, user or id
-- changed, whichever column the statement named: triggers of the application may set them too. Set differences stand where one
-- would join on id: the plan is kept for the session, and a nested loop over two large transition tables would be quadratic.
-- A memory that the owner itself cannot see (FORCE ROW LEVEL SECURITY) or that a trigger removed again leaves a note, as a fault does.
-- Nobody waits for anybody here: whoever writes a memory holds its row, and what is derived is the memory's own. An INSERT of more than
-- derive_bulk_rows rows only notes its users; such INSERTs of the same users wait for each other.
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
    -- Memories handled in one go: enough to make the cost of a statement small, few enough to fit into work_mem.
    v_part_size CONSTANT integer := 1000;
    v_part record;
    v_user_ids text[];
BEGIN
    IF TG_RELID IS DISTINCT FROM to_regclass('@extschema@.gravity_map') THEN
        RAISE WARNING 'gravity_memory: % keeps what belongs to gravity_map and does nothing for another table', TG_NAME;
        RETURN NULL;
    END IF;
    BEGIN
        IF NOT @extschema@._gravity_memory_may_write_derived() THEN
            RETURN NULL;
        END IF;
        IF TG_OP = 'INSERT' THEN
            IF @extschema@._gravity_memory_leaves_deriving((SELECT count(*) FROM new_rows)) THEN
                BEGIN
                    PERFORM @extschema@._gravity_memory_note_recall_gaps(ARRAY(SELECT n.user_id::text FROM new_rows AS n), true);
                    RETURN NULL;
                EXCEPTION WHEN deadlock_detected OR lock_not_available THEN
                    -- Another load notes the same users in another order: this one derives at once after all.
                    NULL;
                END;
            END IF;
            FOR v_part IN
                SELECT array_agg(r.user_id ORDER BY r.number) AS user_ids, array_agg(r.id ORDER BY r.number) AS ids
                FROM (SELECT n.user_id::text AS user_id, n.id, row_number() OVER () AS number
                      FROM new_rows AS n
                      WHERE n.user_id IS NOT NULL) AS r
                GROUP BY r.number / v_part_size
            LOOP
                -- An AFTER ROW trigger of the application that updates the new memory had it derived already.
                IF EXISTS (SELECT
                           FROM unnest(v_part.user_ids, v_part.ids) AS u (user_id, id)
                           -- An order that only the key has, as in _gravity_memory_forget_derived().
                           CROSS JOIN LATERAL (SELECT e.memory_id FROM @extschema@.memory_digests AS e
                                               WHERE e.user_id = u.user_id AND e.memory_id >= u.id AND e.memory_id <= u.id
                                               ORDER BY e.memory_id LIMIT 1) AS d
                           WHERE d.memory_id = u.id) THEN
                    PERFORM @extschema@._gravity_memory_forget_derived(v_part.user_ids, v_part.ids);
                END IF;
                PERFORM @extschema@._gravity_memory_derive_or_note(v_part.user_ids, v_part.ids);
            END LOOP;
        ELSIF TG_OP = 'DELETE' THEN
            FOR v_part IN
                SELECT array_agg(r.user_id ORDER BY r.number) AS user_ids, array_agg(r.id ORDER BY r.number) AS ids
                FROM (SELECT o.user_id::text AS user_id, o.id, row_number() OVER () AS number
                      FROM old_rows AS o
                      WHERE o.user_id IS NOT NULL) AS r
                GROUP BY r.number / v_part_size
            LOOP
                PERFORM @extschema@._gravity_memory_forget_derived(v_part.user_ids, v_part.ids);
            END LOOP;
        ELSIF TG_OP = 'TRUNCATE' THEN
            TRUNCATE @extschema@.memory_digests, @extschema@.memory_postings, @extschema@.memory_recall_gaps;
        ELSE
            -- What is old is forgotten before anything is derived: false sorts before true.
            FOR v_part IN
                SELECT r.is_new, array_agg(r.user_id ORDER BY r.number) AS user_ids, array_agg(r.id ORDER BY r.number) AS ids
                FROM (SELECT c.user_id, c.id, c.is_new, row_number() OVER (PARTITION BY c.is_new) AS number
                      FROM (SELECT d.user_id::text AS user_id, d.id, false AS is_new
                            FROM (SELECT o.user_id, o.id, o.content, o.created_at, o.embedding FROM old_rows AS o
                                  EXCEPT
                                  SELECT n.user_id, n.id, n.content, n.created_at, n.embedding FROM new_rows AS n) AS d
                            UNION ALL
                            SELECT e.user_id::text, e.id, true
                            FROM (SELECT n.user_id, n.id, n.content, n.created_at, n.embedding FROM new_rows AS n
                                  EXCEPT
                                  SELECT o.user_id, o.id, o.content, o.created_at, o.embedding FROM old_rows AS o) AS e) AS c
                      WHERE c.user_id IS NOT NULL) AS r
                GROUP BY r.is_new, r.number / v_part_size
                ORDER BY r.is_new
            LOOP
                IF v_part.is_new THEN
                    PERFORM @extschema@._gravity_memory_derive_or_note(v_part.user_ids, v_part.ids);
                ELSE
                    PERFORM @extschema@._gravity_memory_forget_derived(v_part.user_ids, v_part.ids);
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
