"""A database that was dumped, upgraded, replicated or installed anew must hold what it held, and do what it did."""

from __future__ import annotations

import pytest
from psycopg import sql

from devtools.servers import Server
from tests.python.database_contents import Contents
from tests.python.populated import DERIVED_TABLES, FEED_TABLES, TABLES, populate

CHANNELS = ("memory_created", "memory_updated", "arc_created")
DIMENSIONS = 64
"""From as many on, similarity is looked for by signature first."""


def make_populated(server: Server, database: str, user: str, schema: str, reader: str) -> None:
    """Install the extension as `user`, in `schema`, and fill it. `reader` is granted a little of it."""
    with server.connect(database, user=user) as connection:
        if schema != "public":
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        connection.execute(f"SET gravity_memory.embedding_dimensions = {DIMENSIONS}".encode())
        connection.execute(sql.SQL("CREATE EXTENSION gravity_memory SCHEMA {}").format(sql.Identifier(schema)))
        populate(connection, schema, DIMENSIONS)
        # What was written without triggers has no derived rows. One user is noted, for the dump to carry the note.
        connection.execute(
            sql.SQL("SELECT {}._gravity_memory_note_recall_gaps('{{planted}}')").format(sql.Identifier(schema))
        )
        for statement in (
            "GRANT SELECT, INSERT ON {}.gravity_map TO {}",
            "GRANT SELECT (id, arc_name) ON {}.memory_arcs TO {}",
            "GRANT EXECUTE ON FUNCTION {}.gravity_memory_evolve_arcs(timestamptz) TO {}",
        ):
            connection.execute(sql.SQL(statement).format(sql.Identifier(schema), sql.Identifier(reader)))
        # What an owner may change about tables that are theirs.
        for statement in (
            "ALTER TABLE {}.gravity_map ADD COLUMN of_the_application text DEFAULT 'theirs'",
            "COMMENT ON COLUMN {}.gravity_map.of_the_application IS 'theirs'",
            "DROP INDEX {}.idx_gravity_map_temporal",
            "ALTER TABLE {}.memory_arcs DISABLE TRIGGER trigger_notify_arc_created",
        ):
            connection.execute(sql.SQL(statement).format(sql.Identifier(schema)))


def assert_same(restored: Contents, original: Contents) -> None:
    """Compare piece by piece, so that a failure names the table or the kind of object."""
    assert set(restored.rows) == set(original.rows)
    for table, rows in original.rows.items():
        assert restored.rows[table] == rows, table
    for kind, objects in original.catalogue.items():
        assert restored.catalogue[kind] == objects, kind


def assert_complete(original: Contents) -> None:
    """The database that was dumped is worth comparing with."""
    assert set(original.rows) == {*TABLES, *DERIVED_TABLES, *FEED_TABLES}
    assert all(original.rows.values())
    assert original.catalogue["tables in an extension"] == []
    assert len(original.catalogue["functions"]) > 20
    assert len(original.catalogue["triggers"]) >= 3
    assert any("planted" in str(row) for row in original.rows["gravity_map"])
    assert len(original.rows["memory_postings"]) > len(original.rows["memory_digests"]) > 10


def assert_next_insert_works(server: Server, database: str, schema: str) -> None:
    """A new memory is tagged and announced, and the second of its kind makes an arc (the dump's setting says two)."""
    with server.connect(database) as connection, server.connect(database) as listener:
        connection.execute(sql.SQL("SET search_path = {}").format(sql.Identifier(schema)))
        connection.execute("ALTER TABLE memory_arcs ENABLE TRIGGER trigger_notify_arc_created")
        for channel in CHANNELS:
            listener.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        complaints: list[str | None] = []
        connection.add_notice_handler(lambda diagnostic: complaints.append(diagnostic.message_primary))
        rows = [
            connection.execute(
                "INSERT INTO gravity_map (user_id, content, gravity_score, emotion_type)"
                " VALUES ('next', 'tomorrow', 0.9, 'awe') RETURNING meta_tags, temporal_type"
            ).fetchone()
            for _ in range(2)
        ]
        assert rows == [(["high_gravity"], "future")] * 2
        assert connection.execute("SELECT memory_count FROM memory_arcs WHERE user_id = 'next'").fetchall() == [(2,)]
        assert complaints == []
        heard = sorted(n.channel for n in listener.notifies(timeout=60, stop_after=3))
        assert heard == ["arc_created", "memory_created", "memory_created"]
        assert len(connection.execute("SELECT FROM recall_memories('next', 'tomorrow')").fetchall()) == 2


def answers(server: Server, database: str, schema: str, user: str) -> dict[str, dict[object, float]]:
    """What recall answers a database user about both users of the populated database: scores by memory."""
    vector = str([1 / (place + 3) for place in range(DIMENSIONS)])
    found = {}
    with server.connect(database, user=user) as connection:
        name = sql.Identifier(schema)
        for memory_user, words in (("user", "the trailing controls of the quotes"), ("planted", "remember yesterday")):
            for question, query in (
                ("by meaning", "SELECT id, similarity FROM {}.match_memories(%(vector)s, -1, 50, %(user)s)"),
                ("by words", "SELECT id, score FROM {}.recall_memories(%(user)s, %(words)s, p_limit => 50)"),
                ("by both", "SELECT id, score FROM {}.recall_memories(%(user)s, %(words)s, %(vector)s, p_limit => 50)"),
            ):
                rows = connection.execute(
                    sql.SQL(query).format(name), {"vector": vector, "user": memory_user, "words": words}
                ).fetchall()
                found[f"{memory_user} {question}"] = dict(rows)
    return found


def assert_answers_are(found: dict[str, dict[object, float]], wanted: dict[str, dict[object, float]]) -> None:
    """The same memories, with the same scores but for the order in which numbers were added up."""
    assert [question for question, rows in wanted.items() if not rows] == ["planted by meaning"], "they have no vectors"
    for question, rows in wanted.items():
        assert found[question] == pytest.approx(rows), question
