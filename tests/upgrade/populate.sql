-- Rows in every table that an application writes, for users whom no test uses, so that the tests meet an upgraded database that is in use.
-- None has an embedding: whether an index on embedding is wanted depends on how many rows have one, and tests count on their own.
-- tests/python/test_upgrade.py upgrades memories with embeddings.
SELECT gravity_memory_set('embedding_lists', '50');
INSERT INTO gravity_map (user_id, thread_id, session_id, memory_trace_id, content, gravity_score, emotion_type, entities, meta_tags, metadata,
                         created_at)
SELECT 'upgraded ' || u.n, 'upgraded thread', 'upgraded session ' || i.n / 10, 'upgraded trace', 'We will remember the upgraded lake ' || i.n,
       0.7 + i.n / 40.0, CASE WHEN i.n % 2 = 0 THEN 'upgraded joy' END, ARRAY['upgraded Blu'], ARRAY['upgraded'],
       '{"upgraded": true}', now() - i.n * interval '1 hour'
FROM generate_series(1, 4) AS u (n), generate_series(1, 12) AS i (n);
INSERT INTO consciousness_cache (user_id, query_hash, query_text, response)
SELECT 'upgraded 1', md5(n::text), 'upgraded', 'upgraded' FROM generate_series(1, 5) AS n;
INSERT INTO active_sessions (session_id, user_id) SELECT 'upgraded session ' || n, 'upgraded 1' FROM generate_series(1, 4) AS n;
INSERT INTO pattern_matrix (user_id, pattern_type) SELECT 'upgraded 1', 'upgraded' FROM generate_series(1, 5);
