-- _gravity_memory_forget_derived(p_user_ids, p_memory_ids): removes what recall reads of memories.
--
-- The arrays are of equal length: whose, and which. The digest lists the keys of its postings, so they are found whatever the text search configuration is by now. Each row is looked up
-- by its key, and deleted by its place: the plan is kept for the session, and one that was made on empty tables would
-- otherwise compare every posting with every other.
CREATE FUNCTION @extschema@._gravity_memory_forget_derived(p_user_ids text[], p_memory_ids uuid[])
RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_forget_derived$
BEGIN
    WITH removed AS (
        DELETE FROM @extschema@.memory_digests AS d
        WHERE d.ctid = ANY (ARRAY(
            SELECT f.place
            FROM unnest(p_user_ids, p_memory_ids) AS u (user_id, memory_id)
            CROSS JOIN LATERAL (SELECT e.ctid AS place, e.memory_id FROM @extschema@.memory_digests AS e
                                WHERE e.user_id = u.user_id AND e.memory_id >= u.memory_id
                                  -- The bound keeps it from walking the rows that this transaction has deleted beyond it.
                                  AND e.memory_id <= u.memory_id
                                -- An order that only the key has: the index on length would read all of the user's digests.
                                ORDER BY e.memory_id LIMIT 1) AS f
            WHERE f.memory_id = u.memory_id))
        RETURNING d.memory_id, d.term_keys
    )
    DELETE FROM @extschema@.memory_postings AS p
    WHERE p.ctid = ANY (ARRAY(
        SELECT f.place
        FROM removed AS r
        CROSS JOIN LATERAL unnest(r.term_keys) AS k (term_key)
        CROSS JOIN LATERAL (SELECT q.ctid AS place FROM @extschema@.memory_postings AS q
                            WHERE q.term_key = k.term_key AND q.memory_id = r.memory_id LIMIT 1) AS f));
END
$_gravity_memory_forget_derived$;

COMMENT ON FUNCTION @extschema@._gravity_memory_forget_derived(text[], uuid[]) IS
    'Removes what recall reads of memories.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_forget_derived(text[], uuid[]) FROM PUBLIC;
