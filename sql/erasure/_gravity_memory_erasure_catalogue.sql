-- _gravity_memory_erasure_catalogue(): by table, which rows tell about a user: a condition on $1, the user's id.
--
-- In an order in which they can be deleted without work for nothing: links before arcs, both before memories, whose triggers would
-- otherwise
-- settle arcs that are about to go; postings before the digests that lead to them; what triggers write, last. Tables with an
-- export_order are
-- exported, in an order in which they can be imported, rows by row_order; the others hold nothing that does not follow from these.
-- Events are not imported: they tell what happened on the server that wrote them. Rows of memory_events with the event feed_broken,
-- and the note of memory_recall_gaps for everybody, are nobody's.
CREATE FUNCTION @extschema@._gravity_memory_erasure_catalogue()
RETURNS TABLE (table_name text, condition text, export_order integer, row_order text)
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_erasure_catalogue$
VALUES
    ('memory_arc_associations',
     '(memory_id, arc_id) IN (SELECT l.memory_id, l.arc_id FROM @extschema@.memory_arc_associations AS l '
     'JOIN @extschema@.gravity_map AS m ON m.id = l.memory_id WHERE m.user_id = $1 '
     'UNION SELECT l.memory_id, l.arc_id FROM @extschema@.memory_arc_associations AS l '
     'JOIN @extschema@.memory_arcs AS a ON a.id = l.arc_id WHERE a.user_id = $1 '
     'UNION SELECT l.memory_id, l.arc_id FROM @extschema@.memory_arc_associations AS l WHERE l.user_id = $1)', 3, 'memory_id, arc_id'),
    ('memory_arcs', 'user_id = $1', 2, 'created_at, id'),
    ('memory_postings',
     '(term_key, memory_id) IN (SELECT k.term_key, d.memory_id FROM @extschema@.memory_digests AS d '
     'CROSS JOIN LATERAL unnest(d.term_keys) AS k (term_key) WHERE d.user_id = $1)', NULL, NULL),
    ('memory_digests', 'user_id = $1', NULL, NULL),
    ('gravity_map', 'user_id = $1', 1, 'created_at, id'),
    ('consciousness_cache', 'user_id = $1', 4, 'created_at, id'),
    ('active_sessions', 'user_id = $1', 5, 'session_id'),
    ('pattern_matrix', 'user_id = $1', 6, 'created_at, id'),
    ('memory_recall_gaps', 'user_id = $1 AND NOT is_every_user', NULL, NULL),
    ('memory_arc_locks', 'user_id = $1', NULL, NULL),
    ('memory_events', 'user_id = $1 AND event <> ''feed_broken''', 7, 'event_id')
$_gravity_memory_erasure_catalogue$;

COMMENT ON FUNCTION @extschema@._gravity_memory_erasure_catalogue() IS
    'By table, which rows tell about a user, and in which order they are exported.';
