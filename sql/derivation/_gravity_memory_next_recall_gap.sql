-- _gravity_memory_next_recall_gap(p_after, p_user_id): the next user of whom a rebuild has to make the derived rows anew.
--
-- In the order of user_id, after p_after (NULL: from the start), and only p_user_id when that is given. Returns one row, or none at the end:
-- the user, when it was noted, and the ids of all of its memories, or of those of which nothing is derived where nothing else is amiss.
CREATE FUNCTION @extschema@._gravity_memory_next_recall_gap(p_after text, p_user_id text)
RETURNS TABLE (user_id text, noted_at timestamptz, memory_ids uuid[])
LANGUAGE plpgsql
STABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_next_recall_gap$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    SELECT n.user_id, n.noted_at, ARRAY(
               SELECT m.id
               FROM @extschema@.gravity_map AS m
               WHERE m.user_id = n.user_id
                 AND NOT (n.only_missing AND EXISTS (
                     SELECT FROM @extschema@.memory_digests AS d WHERE d.user_id = n.user_id AND d.memory_id = m.id)))
    FROM (SELECT g.user_id, g.noted_at, g.only_missing
          FROM @extschema@.memory_recall_gaps AS g
          WHERE NOT g.is_every_user
            AND (p_after IS NULL OR g.user_id > p_after)
            AND (p_user_id IS NULL OR g.user_id = p_user_id)
          ORDER BY g.user_id
          LIMIT 1) AS n;
END
$_gravity_memory_next_recall_gap$;

COMMENT ON FUNCTION @extschema@._gravity_memory_next_recall_gap(text, text) IS
    'The next user whose derived rows a rebuild has to make anew, with the ids of its memories.';
REVOKE EXECUTE ON FUNCTION @extschema@._gravity_memory_next_recall_gap(text, text) FROM PUBLIC;
