"""A small database that would show it if a dump lost or changed anything, or a restore ran the triggers."""

from __future__ import annotations

from psycopg import sql

from devtools.fixtures import Connection

DIMENSIONS = 16

TABLES = (
    "gravity_map",
    "memory_arcs",
    "memory_arc_associations",
    "consciousness_cache",
    "active_sessions",
    "pattern_matrix",
    "memory_arc_locks",
    "gravity_memory_settings",
)
"""What populate() fills: the tables that every version has."""

DERIVED_TABLES = ("memory_digests", "memory_postings", "memory_recall_gaps")
"""What is derived from the memories."""

FEED_TABLES = ("memory_events",)
"""What changes are recorded in; populate() has it kept, in versions that can."""

HOSTILE_TEXTS = (
    "tab\there, newline\nhere, carriage return\r\nhere",
    "\\. and \\N and \\\\ and \\x41",
    "'; DROP TABLE gravity_map; --",
    'double "quotes", {braces}, $dollars$, %percent%, _underscores_',
    "NULL",
    "",
    "   leading and trailing   ",
    "\u200b zero width, \u202e right to left, \U0001f9e0 \u00e9 e\u0301 \ufeff",
    "a long text " + "that is stored out of line " * 2000,
    "\x01\x02\x7f control characters",
)

# Rows that the triggers would have changed: high gravity without a tag, words of the past without a temporal_type, a
# cluster without an arc, an arc with totals that are not those of its members.
_UNTOUCHED_BY_TRIGGERS = """
INSERT INTO gravity_map (user_id, content, gravity_score, emotion_type, entities, meta_tags, identity_anchor,
                         temporal_type)
SELECT 'planted', 'I remember yesterday', 0.95, 'grief', '{Blu,Matt,Atlas,Ivy}', NULL, false, NULL
FROM generate_series(1, 5);
INSERT INTO gravity_map (user_id, content, gravity_score)
VALUES ('planted', NULL, NULL), ('planted', '', 0), ('planted', 'x', 1);
INSERT INTO memory_arcs (user_id, arc_name, emotion_type, gravity_center, memory_count, peak_gravity)
VALUES ('planted', 'an arc with wrong totals', 'awe', 0.123, 99, 0.001);
INSERT INTO memory_arc_associations (memory_id, arc_id, user_id, fusion_strength)
SELECT g.id, a.id, 'planted', 0.1 FROM gravity_map AS g, memory_arcs AS a
WHERE g.content = 'x' AND a.arc_name = 'an arc with wrong totals';
"""

_OTHER_TABLES = """
INSERT INTO consciousness_cache (user_id, query_hash, query_text, response, confidence, accessed_count, created_at)
VALUES (left(%(text)s, 40), md5(%(text)s), %(text)s, %(text)s, 'NaN', 3, '2020-02-29 23:59:59.999999+14'),
       (NULL, NULL, NULL, NULL, 0.5, 0, now());
INSERT INTO active_sessions (session_id, user_id, thread_id, session_status, mode_history, last_message_at)
VALUES ('session ' || left(%(text)s, 40), left(%(text)s, 40), NULL, 'idle', jsonb_build_array(%(text)s), 'infinity');
INSERT INTO pattern_matrix (user_id, pattern_type, description, intensity, instances, metadata)
VALUES (left(%(text)s, 40), 'breakthrough', %(text)s, 1e-300, '{"memory_ids": []}',
        jsonb_build_object('text', %(text)s));
"""


def populate(connection: Connection, schema: str, dimensions: int = DIMENSIONS) -> None:
    """Fill every table of the extension in `schema`, made with this many dimensions, as the tables' owner.

    Triggers fill the derived tables, where there are any; the memories of the user `planted` are written without them.
    """
    connection.execute(sql.SQL("SET search_path = {}").format(sql.Identifier(schema)))
    connection.execute("SELECT gravity_memory_set('arc_min_memories', '2')")
    connection.execute(
        "SELECT gravity_memory_set(s.name, 'on') FROM gravity_memory_settings() AS s WHERE s.name = 'feed'"
    )
    connection.execute("SELECT gravity_memory_set('identity_entities', 'Blu, \"Ma''tt\", Ätlas')")
    connection.execute("SELECT gravity_memory_set('cache_cleanup_schedule', '7 * * * *')")
    for number, text in enumerate(HOSTILE_TEXTS):
        connection.execute(
            "INSERT INTO gravity_map (user_id, thread_id, content, summary, gravity_score, emotion_type, entities,"
            " meta_tags, embedding, metadata, created_at)"
            " SELECT 'user', left(%(text)s, 40), %(text)s, %(text)s, %(gravity)s, left(%(text)s, 20),"
            " ARRAY[left(%(text)s, 40), NULL], ARRAY[left(%(text)s, 40)], %(embedding)s,"
            " jsonb_build_object(%(text)s, %(text)s), now() - interval '1 minute' * %(number)s",
            {
                "text": text,
                "number": number,
                "gravity": number / len(HOSTILE_TEXTS),
                "embedding": str([1 / (number + place + 3) for place in range(dimensions)]),
            },
        )
        for statement in _OTHER_TABLES.split(";\n")[:-1]:
            connection.execute(statement.encode(), {"text": text})
    for emotion in ("joy", "joy", "joy", "hope", "hope", "sadness"):
        connection.execute(
            "INSERT INTO gravity_map (user_id, gravity_score, emotion_type) VALUES ('user', 0.9, %s)", (emotion,)
        )
    connection.execute("SELECT gravity_memory_evolve_arcs()")
    for table in TABLES[:3]:
        connection.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(sql.Identifier(table)))
    connection.execute(_UNTOUCHED_BY_TRIGGERS)
    for table in TABLES[:3]:
        connection.execute(sql.SQL("ALTER TABLE {} ENABLE TRIGGER USER").format(sql.Identifier(table)))
    connection.execute("RESET search_path")
