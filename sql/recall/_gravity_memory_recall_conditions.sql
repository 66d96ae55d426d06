-- _gravity_memory_recall_conditions(p_filters): the filters of recall_memories() as conditions on gravity_map AS m.
--
-- p_filters has one entry per filter in use, as recall_memories() names them without p_. The conditions carry their values as literals, so
-- that each query is planned for the values it has. Identifiers of conversations are compared as text, because adopted tables
-- may hold them as uuid. Returns the filter's name and its condition.
CREATE FUNCTION @extschema@._gravity_memory_recall_conditions(p_filters jsonb)
RETURNS TABLE (filter text, condition text)
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_recall_conditions$
    SELECT f.key, format(c.template, f.value)
    FROM (VALUES
            (1, 'since', 'm.created_at >= %L::timestamptz'),
            (2, 'until', 'm.created_at < %L::timestamptz'),
            (3, 'emotion_type', 'm.emotion_type = %L'),
            (4, 'entities', 'm.entities @> %L::text[]'),
            (5, 'meta_tags', 'm.meta_tags @> %L::text[]'),
            (6, 'thread_id', 'm.thread_id::text = %L'),
            (7, 'session_id', 'm.session_id::text = %L'),
            -- NaN sorts above every number.
            (8, 'min_gravity', 'm.gravity_score >= %L AND m.gravity_score < ''Infinity'''),
            (9, 'metadata', 'm.metadata @> %L::jsonb')
         ) AS c (ordinal, filter, template)
    JOIN jsonb_each_text(p_filters) AS f ON f.key = c.filter
    ORDER BY c.ordinal
$_gravity_memory_recall_conditions$;

COMMENT ON FUNCTION @extschema@._gravity_memory_recall_conditions(jsonb) IS
    'The filters of a recall as conditions on gravity_map.';
