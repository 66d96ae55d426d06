-- _gravity_memory_derive(p_user_ids, p_memory_ids): writes what recall reads, for memories that have none of it yet.
--
-- The arrays are of equal length: whose, and which. One statement for all three parts, because a statement of its own for each costs a
-- single insert as much as the rows do; and for all users, because one per user costs a load of many users a quarter more. Each
-- memory is looked up by its key: the plan is kept for the session, and was made before anyone knew how many there would be.
-- Returns how many it was done for: a memory that is gone, another user's by now, or hidden by row security is left out. Errors: 23505
-- when something is derived for one of them already.
CREATE FUNCTION @extschema@._gravity_memory_derive(p_user_ids text[], p_memory_ids uuid[])
RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_derive$
DECLARE
    v_config CONSTANT regconfig := @extschema@._gravity_memory_text_search_config();
    v_derived bigint;
BEGIN
    WITH memory AS MATERIALIZED (
        SELECT u.user_id, m.id, vector_schema.binary_quantize(m.embedding) AS signature, t.length, t.term_keys, t.frequencies
        FROM unnest(p_user_ids, p_memory_ids) AS u (user_id, id)
        CROSS JOIN LATERAL (SELECT g.id, g.user_id, g.content, g.created_at, g.embedding FROM @extschema@.gravity_map AS g
                            WHERE g.id = u.id LIMIT 1) AS m
        CROSS JOIN LATERAL @extschema@._gravity_memory_document_terms(v_config, u.user_id, m.content, m.created_at) AS t
        -- Not inside: planned on an empty table, the index on user_id looks as good as the key, and reads all memories of the user.
        WHERE m.user_id = u.user_id
    ), digest AS (
        INSERT INTO @extschema@.memory_digests (user_id, memory_id, length, signature, term_keys)
        SELECT m.user_id, m.id, m.length, m.signature, m.term_keys FROM memory AS m
    ), posting AS (
        INSERT INTO @extschema@.memory_postings (term_key, memory_id, frequency, length)
        SELECT k.term_key, m.id, k.frequency, LEAST(m.length, 32767)
        FROM memory AS m
        CROSS JOIN LATERAL unnest(m.term_keys, m.frequencies) AS k (term_key, frequency)
    )
    SELECT count(*) INTO v_derived FROM memory AS m;
    RETURN v_derived;
END
$_gravity_memory_derive$;

COMMENT ON FUNCTION @extschema@._gravity_memory_derive(text[], uuid[]) IS
    'Writes what recall reads for memories, and returns for how many.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_derive(text[], uuid[]) FROM PUBLIC;
