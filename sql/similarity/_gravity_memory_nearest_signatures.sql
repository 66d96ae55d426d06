-- _gravity_memory_nearest_signatures(p_user_id, p_signature, p_count, p_farthest): a user's memories whose signatures differ in fewest bits.
--
-- The p_count nearest, and of those only the ones that differ in at most p_farthest bits, when that is given.
-- Seq and bitmap scans are switched off for the planner: only the index-only scan reads nothing but the user's own rows in order, and
-- without statistics the planner does not know.
-- Returns the memories and the numbers of bits, nearest first, or NULLs when the caller has to look at the memories themselves: see
-- _gravity_memory_may_read_derived(), and after the dimension of the embeddings was changed.
-- SECURITY DEFINER, because the derived tables are readable by their owner only.
CREATE FUNCTION @extschema@._gravity_memory_nearest_signatures(
    p_user_id text, p_signature bit varying, p_count integer, p_farthest integer DEFAULT NULL,
    OUT memory_ids uuid[], OUT distances integer[])
LANGUAGE plpgsql
STABLE
SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET enable_seqscan = off
SET enable_bitmapscan = off
SET max_parallel_workers_per_gather = 0
SET jit = off
AS $_gravity_memory_nearest_signatures$
BEGIN
    IF NOT @extschema@._gravity_memory_may_read_derived(p_user_id, 'embedding') THEN
        RETURN;
    END IF;
    SELECT COALESCE(array_agg(n.memory_id), '{}'), COALESCE(array_agg(n.distance), '{}') INTO memory_ids, distances
    FROM (SELECT d.memory_id, (d.signature OPERATOR(vector_schema.<~>) p_signature)::integer AS distance
          FROM @extschema@.memory_digests AS d
          WHERE d.user_id = p_user_id AND d.signature IS NOT NULL
            -- The distance of the p_count-th of some memories is no less than that of the p_count-th of all: most are not even sorted.
            AND (d.signature OPERATOR(vector_schema.<~>) p_signature) <= COALESCE(p_farthest, (
                SELECT CASE WHEN count(*) = p_count THEN max(f.distance) ELSE 'Infinity' END
                FROM (SELECT s.distance
                      FROM (SELECT e.signature OPERATOR(vector_schema.<~>) p_signature AS distance
                            FROM @extschema@.memory_digests AS e
                            WHERE e.user_id = p_user_id AND e.signature IS NOT NULL
                            LIMIT 4 * p_count::bigint) AS s
                      ORDER BY s.distance
                      LIMIT p_count) AS f))
          ORDER BY 2, 1
          LIMIT p_count) AS n;
EXCEPTION WHEN data_exception THEN
    -- Signatures of another length.
    memory_ids := NULL;
    distances := NULL;
END
$_gravity_memory_nearest_signatures$;

COMMENT ON FUNCTION @extschema@._gravity_memory_nearest_signatures(text, bit varying, integer, integer) IS
    'The memories of a user whose signatures are nearest to one, or NULL when the memories themselves have to be looked at.';
