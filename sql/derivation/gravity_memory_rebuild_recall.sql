-- gravity_memory_rebuild_recall(p_batch_size, p_user_id, p_everything): derives what recall reads from memories that are there already.
--
-- For tables adopted with rows, after a load with triggers disabled, after a WARNING that says so, and after the dimension of the embeddings
-- was changed. Works off memory_recall_gaps: the users that setup or a trigger noted; p_user_id does one user, noted or not;
-- p_everything does all users. Searches are complete all the while: those of users not done yet look at every memory.
-- Commits after each batch of p_batch_size memories (1 to 100000), so that a writer waits for the moment of one batch at most, and only
-- for a memory in it. Interrupted, it goes on where it was when it is called again. Says how far it is every few seconds.
-- Call it outside a transaction block. Errors: 22023 for a bad argument, 2D000 inside a transaction block.
-- A procedure that commits cannot pin search_path, so everything in it is qualified.
CREATE PROCEDURE @extschema@.gravity_memory_rebuild_recall(
    p_batch_size integer DEFAULT 500, p_user_id text DEFAULT NULL, p_everything boolean DEFAULT false)
LANGUAGE plpgsql
AS $gravity_memory_rebuild_recall$
DECLARE
    v_users bigint;
    v_users_done bigint := 0;
    v_memories bigint := 0;
    v_said_at timestamptz := pg_catalog.clock_timestamp();
    v_user_id text;
    v_noted_at timestamptz;
    v_ids uuid[];
    v_done integer;
    v_passed_over uuid[];
    v_is_finished boolean;
BEGIN
    v_users := @extschema@._gravity_memory_begin_rebuild(p_batch_size, p_user_id, p_everything);
    COMMIT;
    LOOP
        SELECT g.user_id, g.noted_at, g.memory_ids INTO v_user_id, v_noted_at, v_ids
        FROM @extschema@._gravity_memory_next_recall_gap(v_user_id, p_user_id) AS g;
        EXIT WHEN v_user_id IS NULL;
        v_done := 0;
        v_passed_over := '{}';
        v_is_finished := false;
        WHILE NOT v_is_finished LOOP
            SELECT b.p_done, b.p_passed_over, b.is_finished INTO v_done, v_passed_over, v_is_finished
            FROM @extschema@._gravity_memory_derive_batch(v_user_id, v_noted_at, v_ids, p_batch_size, v_done, v_passed_over) AS b;
            COMMIT;
            IF pg_catalog.clock_timestamp() OPERATOR(pg_catalog.-) v_said_at OPERATOR(pg_catalog.>) '5 seconds'::pg_catalog.interval THEN
                RAISE INFO 'gravity_memory: % of % users done, now at % of % memories of %',
                    v_users_done, v_users, v_done, pg_catalog.cardinality(v_ids), pg_catalog.quote_literal(v_user_id);
                v_said_at := pg_catalog.clock_timestamp();
            END IF;
        END LOOP;
        v_users_done := v_users_done OPERATOR(pg_catalog.+) 1;
        v_memories := v_memories OPERATOR(pg_catalog.+) pg_catalog.cardinality(v_ids);
    END LOOP;
    RAISE INFO 'gravity_memory: recall rebuilt for % users, % memories', v_users_done, v_memories;
END
$gravity_memory_rebuild_recall$;

COMMENT ON PROCEDURE @extschema@.gravity_memory_rebuild_recall(integer, text, boolean) IS
    'Derives what recall reads from memories that are there already, in batches that do not block writers; can be interrupted.

p_batch_size: memories in a batch, 1 to 100000; each batch is a transaction, and a writer of one of its memories
waits for it.
p_user_id: this user alone, noted or not. p_everything: all users, noted or not. Neither: the users in
memory_recall_gaps.
Says how far it is every few seconds, and goes on where it was when it is called again. Call it outside a
transaction block.
Errors: 22023 for a bad batch size, and for a user and everything at a time; 2D000 inside a transaction block;
42501 where row security hides memories from the caller; 42704 where the text search configuration of the
settings is gone.';
REVOKE EXECUTE ON PROCEDURE @extschema@.gravity_memory_rebuild_recall(integer, text, boolean) FROM PUBLIC;
