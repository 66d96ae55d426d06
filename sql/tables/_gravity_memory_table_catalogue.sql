-- _gravity_memory_table_catalogue(): the tables that setup creates or adopts, in an order in which foreign keys can be made.
--
-- table_constraints are added only when setup creates the table: an adopted table keeps the constraints its owner chose.
-- A derived table holds nothing that cannot be computed from gravity_map; setup fills it when it makes it. A closed table tells about
-- memories, and the policies of gravity_map do not reach it: it has row security always, also where the other tables have not.
-- storage is what follows WITH. Derived tables are vacuumed early: index-only scans depend on it.
CREATE FUNCTION @extschema@._gravity_memory_table_catalogue()
RETURNS TABLE (table_name text, table_constraints text[], purpose text, is_derived boolean, is_closed boolean, storage text)
LANGUAGE sql
IMMUTABLE
SET search_path = pg_catalog, pg_temp
AS $_gravity_memory_table_catalogue$
VALUES
    ('gravity_map',
     ARRAY['PRIMARY KEY (id)',
           'CONSTRAINT gravity_map_gravity_score_range CHECK (gravity_score >= 0 AND gravity_score <= 1)'],
     'The memories: one row each, with content, embedding, gravity (importance), emotion and entities.', false, false, ''),
    ('memory_arcs',
     ARRAY['PRIMARY KEY (id)'],
     'Arcs: groups of memories that belong together. Arcs named ''<emotion> arc (auto-created)'' are kept by gravity_memory.',
     false, false, ''),
    ('memory_arc_associations',
     ARRAY['PRIMARY KEY (memory_id, arc_id)',
           'FOREIGN KEY (memory_id) REFERENCES @extschema@.gravity_map (id) ON DELETE CASCADE',
           'FOREIGN KEY (arc_id) REFERENCES @extschema@.memory_arcs (id) ON DELETE CASCADE'],
     'Which memory belongs to which arc, and how strongly.', false, false, ''),
    ('consciousness_cache',
     ARRAY['PRIMARY KEY (id)'],
     'Cached answers; cleanup_old_cache() deletes them when they are a day old.', false, false, ''),
    ('active_sessions',
     ARRAY['PRIMARY KEY (session_id)'],
     'Sessions of the application and their state.', false, false, ''),
    ('pattern_matrix',
     ARRAY['PRIMARY KEY (id)'],
     'Patterns that the application found in a user''s memories.', false, false, ''),
    ('memory_arc_locks',
     ARRAY['PRIMARY KEY (user_id, emotion_type)'],
     'Whoever looks for clusters of a user and emotion locks the row here, so that concurrent writers see each other''s '
     'memories. A row without an emotion, never seen by others, has an arc recounted at the commit. Rows may be deleted.',
     false, false, ''),
    ('gravity_memory_settings',
     ARRAY['PRIMARY KEY (name)'],
     'Settings that differ from their defaults; see gravity_memory_set() and gravity_memory_settings().', false, false, ''),
    ('memory_digests',
     ARRAY['PRIMARY KEY (user_id, memory_id) INCLUDE (signature)'],
     'One row per memory: what recall reads of it. Its length in words, the sign of each component of its embedding, one bit each, '
     'and the terms it is found by.',
     true, true, 'autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_vacuum_scale_factor = 0.02'),
    ('memory_postings',
     ARRAY['PRIMARY KEY (term_key, memory_id) INCLUDE (frequency, length)'],
     'One row per term and memory it occurs in; the key is a hash of user and term. Recall by words reads it.',
     true, true, 'autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_vacuum_scale_factor = 0.02'),
    ('memory_recall_gaps',
     ARRAY['PRIMARY KEY (user_id, is_every_user)'],
     'Users whose derived rows may be missing or wrong, so that recall does not rely on them; one row with is_every_user stands '
     'for all. CALL gravity_memory_rebuild_recall() works it off.',
     true, true, ''),
    ('memory_events',
     ARRAY['PRIMARY KEY (user_id, xid, event_id)'],
     'The feed of changes: one row per event of a memory or arc; memory_changes_since() reads it. gravity_memory_cleanup_events() '
     'deletes old rows.',
     false, true, 'autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_vacuum_scale_factor = 0.02')
$_gravity_memory_table_catalogue$;

COMMENT ON FUNCTION @extschema@._gravity_memory_table_catalogue() IS
    'The tables of gravity_memory in creation order, with the constraints of a newly created one.';
