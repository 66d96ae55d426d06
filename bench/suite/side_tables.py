"""Rows of the tables beside the memories: arcs of the application's own, cached answers, sessions, patterns, events.

They are made in this extension's schema and copied to the others', so that all three hold the same. Everything is a
function of source.memories and row numbers; users own as large a share of them as of the memories.
"""

from __future__ import annotations

from bench.databases import Connection
from bench.suite.contestants import CONTESTANTS, GRAVITY, PLAIN

TABLES = ("memory_arcs", "memory_arc_associations", "consciousness_cache", "active_sessions", "pattern_matrix")

# Beside the arcs that gravity_memory_rebuild_arcs() found: one for fifty memories, old ones dormant, of up to six
# memories.
_ARCS = """
INSERT INTO gravity.memory_arcs (user_id, arc_name, emotion_type, gravity_center, evolution_stage, memory_count,
                                 peak_gravity, first_memory_at, last_memory_at, created_at)
SELECT m.user_id, 'arc of ' || m.session_id, m.emotion_type, m.gravity_score,
       CASE WHEN m.created_at < now() - interval '60 days' THEN 'dormant'
            WHEN m.created_at < now() - interval '20 days' THEN 'mature'
            WHEN m.created_at < now() - interval '2 days' THEN 'active' ELSE 'forming' END,
       1 + m.n / 50 % 6, m.gravity_score, m.created_at - interval '1 day', m.created_at, m.created_at
FROM source.memories AS m
WHERE m.n % 50 = 0
"""
_ASSOCIATIONS = """
INSERT INTO gravity.memory_arc_associations (memory_id, arc_id, user_id, fusion_strength, created_at)
SELECT g.id, a.id, a.user_id, 0.5 + abs(hashtext(g.id::text)) % 50 / 100.0, a.created_at
FROM gravity.memory_arcs AS a
CROSS JOIN LATERAL (
    SELECT m.id FROM gravity.gravity_map AS m
    WHERE m.user_id = a.user_id AND m.created_at <= a.created_at ORDER BY m.created_at DESC LIMIT a.memory_count
) AS g
WHERE starts_with(a.arc_name, 'arc of ')
"""
# A day's answers and an hour's that the cleanup has not reached.
_CACHE = """
INSERT INTO gravity.consciousness_cache (user_id, query_hash, query_text, response, confidence, accessed_count,
                                         last_accessed, created_at)
SELECT m.user_id, md5(m.user_id || m.n % 40), left(m.content, 60), m.content || m.content, m.gravity_score, m.n % 5,
       now(), now() - interval '25 hours' * (1 - m.n / {memories}::double precision)
FROM source.memories AS m
WHERE m.n % 20 < 3
ORDER BY m.n
"""
_SESSIONS = """
INSERT INTO gravity.active_sessions (session_id, user_id, thread_id, session_status, message_count, current_mode,
                                     started_at, last_message_at)
SELECT m.session_id, min(m.user_id), min(m.thread_id),
       CASE WHEN max(m.created_at) > now() - interval '2 hours' THEN 'active'
            WHEN max(m.created_at) > now() - interval '2 days' THEN 'idle' ELSE 'ended' END,
       count(*), 'chat', min(m.created_at), max(m.created_at)
FROM source.memories AS m
GROUP BY m.session_id
ORDER BY min(m.created_at)
"""
_PATTERNS = """
INSERT INTO gravity.pattern_matrix (user_id, pattern_type, description, intensity, instances, first_detected,
                                    last_observed)
SELECT m.user_id,
       (ARRAY['recurring_theme', 'recurring_theme', 'recurring_theme', 'emotional_loop', 'emotional_loop',
              'behavioral_pattern', 'relationship_dynamic', 'growth_edge', 'avoidance'])[1 + m.n / 8 % 9],
       left(m.content, 80), m.gravity_score, jsonb_build_object('memory_ids', jsonb_build_array(m.id)),
       m.created_at - interval '30 days', m.created_at
FROM source.memories AS m
WHERE m.n % 8 = 0
"""
# What two weeks leave of the feed of changes, which the others do not have: an event a memory, each of a transaction of
# its own. The numbers are not those of transactions of this server.
_EVENTS = """
INSERT INTO gravity.memory_events (user_id, xid, event, subject_id, payload, wakes, created_at)
SELECT m.user_id, row_number() OVER (ORDER BY m.created_at, m.id)::text::xid8, 'memory_created', m.id,
       jsonb_build_object('id', m.id, 'user_id', m.user_id, 'content', m.content), false, m.created_at
FROM gravity.gravity_map AS m
WHERE m.created_at > now() - interval '14 days'
ORDER BY m.created_at
"""
_COPY = "INSERT INTO {schema}.{table} SELECT * FROM gravity.{table}"
_USER_INDEX = "CREATE INDEX ON {schema}.{table} (user_id)"


def fill_side_tables(connection: Connection, memories: int) -> None:
    """Fill them for all contestants, whose gravity_map is filled and whose indexes are built, and VACUUM ANALYZE them.

    Triggers do not fire. Plain pgvector's tables get an index on user_id here.

    Args:
        connection: to a stage's database.
        memories: how many source.memories has.
    """
    connection.execute("SET session_replication_role = replica")
    for statement in (_ARCS, _ASSOCIATIONS, _CACHE, _SESSIONS, _PATTERNS, _EVENTS):
        connection.execute(statement.replace("{memories}", str(memories)).encode())
    connection.execute("RESET session_replication_role")
    # The application's arcs and those found by rebuilding grow old alike.
    connection.execute("SELECT gravity.gravity_memory_evolve_arcs()")
    connection.execute("SET session_replication_role = replica")
    for contestant in CONTESTANTS:
        for table in TABLES:
            names = {"schema": contestant.schema, "table": table}
            if contestant != GRAVITY:
                connection.execute(_COPY.format(**names).encode())
            if contestant == PLAIN:
                connection.execute(_USER_INDEX.format(**names).encode())
            connection.execute("VACUUM ANALYZE {schema}.{table}".format(**names).encode())
    connection.execute("VACUUM ANALYZE gravity.memory_events")
    connection.execute("RESET session_replication_role")
