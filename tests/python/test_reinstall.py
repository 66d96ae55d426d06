"""Removing the extension leaves every row; creating it again brings back all that it did."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

from devtools.fixtures import MakeDatabase, MakeRole
from devtools.servers import Server
from tests.python.database_contents import read_contents
from tests.python.derived_rows import assert_derived_rows_are_right
from tests.python.feed_reader import reader_from_now
from tests.python.moved_database import answers, assert_answers_are, assert_next_insert_works, make_populated
from tests.python.populated import DERIVED_TABLES, FEED_TABLES

REMOVALS = {
    "teardown": ("SELECT * FROM gravity_memory_teardown()", "DROP EXTENSION gravity_memory"),
    "cascade": ("DROP EXTENSION gravity_memory CASCADE",),
}


@pytest.mark.parametrize(("removal", "schema"), [("teardown", "My Memory"), ("cascade", "public")])
def test_what_was_removed_and_created_again_holds_every_row_and_does_what_it_did(
    server: Server, make_role: MakeRole, make_database: MakeDatabase, removal: str, schema: str
) -> None:
    owner, reader = make_role(), make_role()
    database = make_database(["vector"], owner=owner)
    make_populated(server, database, owner, schema, reader)
    with server.connect(database, user=owner) as connection, server.connect(database) as observer:
        connection.execute(sql.SQL("SET search_path = {}, public").format(sql.Identifier(schema)))
        connection.execute("ALTER TABLE memory_arcs ENABLE TRIGGER trigger_notify_arc_created")
        connection.execute(
            "CREATE INDEX idx_gravity_map_temporal ON gravity_map (temporal_type) WHERE temporal_type IS NOT NULL"
        )
        connection.execute("CALL gravity_memory_rebuild_recall(p_everything => true)")
        cursor = reader_from_now(connection, "user")
        arcs = "SELECT id, arc_name, memory_count, evolution_stage FROM memory_arcs ORDER BY id"
        original, original_arcs = read_contents(observer, schema), connection.execute(arcs).fetchall()
        recalled = answers(server, database, schema, owner)

        for statement in REMOVALS[removal]:
            connection.execute(statement.encode())
        bare = read_contents(observer, schema)
        assert bare.rows == original.rows
        assert bare.catalogue["indexes"] == original.catalogue["indexes"]
        assert bare.catalogue["triggers"] == []
        assert not [row for row in bare.catalogue["functions"] if "gravity_memory" in str(row)]
        # Whoever is without the extension for a while goes on writing.
        connection.execute(
            "INSERT INTO gravity_map (user_id, content, gravity_score, emotion_type)"
            " VALUES ('user', 'a medlar', 0.9, 'joy')"
        )

        connection.execute(sql.SQL("CREATE EXTENSION gravity_memory SCHEMA {}").format(sql.Identifier(schema)))
        assert connection.execute("SELECT * FROM gravity_memory_setup()").fetchall() == []
        with pytest.raises(psycopg.Error, match="events were not recorded until") as refusal:
            cursor.look(connection)
        assert refusal.value.sqlstate == "72000"
        connection.execute("SELECT gravity_memory_rebuild_arcs('user')")
        assert connection.execute(
            "SELECT a.arc_name FROM gravity_map AS g JOIN memory_arc_associations AS l ON l.memory_id = g.id"
            " JOIN memory_arcs AS a ON a.id = l.arc_id WHERE g.content = 'a medlar'"
        ).fetchall() == [("joy arc (auto-created)",)]
        assert connection.execute("SELECT content FROM recall_memories('user', 'medlar', p_limit => 1)").fetchall() == [
            ("a medlar",)
        ]

        connection.execute("DELETE FROM gravity_map WHERE content = 'a medlar'")
        again = read_contents(observer, schema)
        assert connection.execute(arcs).fetchall() == original_arcs
        observer.execute(sql.SQL("SET search_path = {}, public").format(sql.Identifier(schema)))
        assert_derived_rows_are_right(observer)
    for table in set(original.rows) - {*DERIVED_TABLES, *FEED_TABLES, "memory_arcs", "memory_arc_locks"}:
        assert again.rows[table] == original.rows[table], table
    for kind in set(original.catalogue) - {"functions", "sequences"}:
        assert again.catalogue[kind] == original.catalogue[kind], kind
    # What was granted on functions went with them.
    assert [row[:-1] for row in again.catalogue["functions"]] == [row[:-1] for row in original.catalogue["functions"]]
    assert_answers_are(answers(server, database, schema, owner), recalled)
    assert_next_insert_works(server, database, schema)
