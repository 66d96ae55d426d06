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
