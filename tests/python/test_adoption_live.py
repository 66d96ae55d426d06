"""The live application's tables are adopted while it writes and reads: nobody waits long."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

from devtools.fixtures import Connection, MakeDatabase
from devtools.full_scale import IS_FULL, bounded
from devtools.servers import Server
from tests.python.adoption_support import Traffic, rows_of, run_script, traffic
from tests.python.test_readme import examples, printed

ROWS = bounded(3_000, 1_000_000)
LONGEST_WAIT = bounded(20.0, 1.0)
"""Seconds that a statement may wait for a lock: the real bound is for a machine that does nothing else."""

ROLES = ("anon", "authenticated", "service_role")
TABLES = {
    "gravity_map": "id, user_id, thread_id, content, gravity_score, embedding, metadata, role, token_count, created_at",
    "memory_feedback": "id, memory_id, note",
}

_ROWS = """
INSERT INTO auth.users (id, email) SELECT md5('user ' || i)::uuid, i || '@example.org' FROM generate_series(1, 20) AS i;
ALTER TABLE gravity_map DISABLE TRIGGER USER;
INSERT INTO gravity_map (user_id, thread_id, content, gravity_score, emotion, entities, embedding, role, token_count,
                         created_at)
SELECT 'user-' || i % 1000, md5((i % 5000)::text)::uuid,
       'I remember the ' || (ARRAY['harbour', 'garden', 'winter', 'letter', 'train'])[1 + i % 5] || ' of ' || i,
       (i % 100) / 100.0, (ARRAY['joy', 'awe', 'hope'])[1 + i % 3],
       CASE i % 4 WHEN 0 THEN '[]' WHEN 1 THEN '["Blu"]' WHEN 2 THEN '["Blu", "Matt", "Atlas", "Ivy"]' END::jsonb,
       array_fill((i % 1000)::real, '{8}')::vector, 'user', 9, now() - interval '1 minute' * i
FROM generate_series(1, {rows}) AS i;
ALTER TABLE gravity_map ENABLE TRIGGER USER;
INSERT INTO memory_arcs (user_id, arc_name) SELECT 'user-' || i, 'an arc of theirs' FROM generate_series(1, 50) AS i;
INSERT INTO memory_feedback (memory_id, note) SELECT g.id, 'good' FROM gravity_map AS g LIMIT 10;
ANALYZE gravity_map;
"""


@pytest.fixture
def supabase_roles(server: Server) -> Iterator[None]:
    """The roles that Supabase has, which belong to the cluster; those made here are dropped, after the databases."""
    with server.connect() as connection:
        there = {name for (name,) in connection.execute("SELECT rolname FROM pg_roles").fetchall()}
        made = [name for name in ROLES if name not in there]
        for name in made:
            connection.execute(f"CREATE ROLE {name} {'BYPASSRLS' if name == 'service_role' else ''}".encode())
        yield
        for name in made:
            connection.execute(f"DROP ROLE {name}".encode())


@pytest.fixture
def application(supabase_roles: None, server: Server, make_database: MakeDatabase) -> Iterator[Connection]:
    """A connection to the live application's database."""
    with closing(server.connect(make_database(["vector"]))) as connection:
        run_script(connection, "live_tables.sql")
        connection.execute("SET jit = off")
        connection.execute(_ROWS.replace("{rows}", str(ROWS)).encode())
        yield connection


def look(connection: Connection) -> dict[tuple[str, str], tuple[str, str | None]]:
    """The report by finding and object: severity and remedy."""
    found = connection.execute(
        "SELECT finding, object, severity, remedy FROM gravity_memory_adoption_report()"
    ).fetchall()
    return {(finding, name): (severity, remedy) for finding, name, severity, remedy in found}


class Waits:
    """The longest that the application's two sessions took, by what was done meanwhile; shown by pytest -s."""

    def __init__(self, writer: Traffic, reader: Traffic) -> None:
        self.writer, self.reader = writer, reader

    def during(self, phase: str) -> None:
        """Take down what the phase that has just ended did to them."""
        written, read = self.writer.lap(), self.reader.lap()
        print(f"{phase}: longest INSERT {written * 1000:.0f} ms, longest SELECT {read * 1000:.0f} ms")


@pytest.mark.timeout(bounded(600, 7200))
def test_the_live_applications_tables_are_adopted_while_it_goes_on(server: Server, application: Connection) -> None:
    application.execute("SET gravity_memory.setup = off")
    with traffic(server, application.info.dbname, lock_timeout=LONGEST_WAIT) as sessions:
        waits = Waits(*sessions)
        waits.during("nothing else")
        application.execute("CREATE EXTENSION gravity_memory")
        waits.during("CREATE EXTENSION, functions only")
        found = look(application)
        waits.during("the report")
        blocks = {name: remedy for (_, name), (severity, remedy) in found.items() if severity == "blocks"}
        assert blocks == {
            "gravity_map.entities": "ALTER TABLE public.gravity_map RENAME COLUMN entities TO entities_before",
            "memory_arcs.id": "ALTER TABLE public.memory_arcs RENAME COLUMN arc_id TO id",
        }
        assert found["same_index", "idx_gravity_map_user_created"] == (
            "change",
            "ALTER INDEX public.gravity_map_user_created_idx RENAME TO idx_gravity_map_user_created",
        )
        assert found["other_name", "gravity_map.emotion"] == (
            "note",
            "ALTER TABLE public.gravity_map RENAME COLUMN emotion TO emotion_type",
        )
        for finding in (
            ("row_security", "gravity_map"),
            ("publication", "supabase_realtime"),
            ("own_trigger", "a_touch_memory on gravity_map"),
            ("foreign_key", "memory_feedback_memory_id_fkey on public.memory_feedback"),
            ("default_privileges", f"{server.user} in public"),
        ):
            assert found[finding][0] == "note"

        before = application.execute("SELECT max(created_at), clock_timestamp() FROM gravity_map").fetchone()
        assert before is not None
        application.execute("BEGIN")
        application.execute("SET LOCAL lock_timeout = '1s'")
        for remedy in (
            *blocks.values(),
            found["same_index", "idx_gravity_map_user_created"][1],
            found["other_name", "gravity_map.emotion"][1],
        ):
            assert remedy is not None
            application.execute(remedy.encode())
        application.execute("SELECT * FROM gravity_memory_setup(p_build_indexes => false)")
        application.execute("COMMIT")
        waits.during("the remedies and setup")
        old = "(SELECT * FROM gravity_map WHERE user_id <> 'traffic')"
        rows = application.execute(f"SELECT count(*) FROM {old} AS g".encode()).fetchone()
        assert rows == (ROWS,)
        for (statement,) in application.execute("SELECT gravity_memory_index_ddl()").fetchall():
            application.execute(statement.encode())
        waits.during("the indexes")
        application.execute("CALL gravity_memory_rebuild_recall()")
        waits.during("gravity_memory_rebuild_recall()")
        writer = sessions[0]
    assert writer.done > 10

    left = [(finding, name) for (finding, name), (severity, _) in look(application).items() if severity != "note"]
    assert left == []
    assert application.execute("SELECT * FROM gravity_memory_setup(false)").fetchall() == []
    # What was written meanwhile is all there, and since setup it is tagged.
    tagged = application.execute(
        "SELECT count(*), count(temporal_type) > 0 FROM gravity_map WHERE user_id = 'traffic'"
    ).fetchone()
    assert tagged == (writer.done, True)
    recalled = application.execute(
        "SELECT content FROM recall_memories('user-7', 'the winter of 7', p_limit => 1)"
    ).fetchone()
    assert recalled == ("I remember the winter of 7",)
    assert application.execute("SELECT count(*) FROM memory_recall_gaps").fetchone() == (0,)


def test_no_row_of_the_live_application_is_touched(application: Connection) -> None:
    before = rows_of(application, TABLES)
    links = application.execute("SELECT arc_id, user_id, arc_name FROM memory_arcs ORDER BY 1").fetchall()
    application.execute("SET gravity_memory.setup = off")
    application.execute("CREATE EXTENSION gravity_memory")
    for (_, _), (severity, remedy) in look(application).items():
        if severity == "blocks" and remedy is not None:
            application.execute(remedy.encode())
    application.execute("SELECT * FROM gravity_memory_setup(p_build_indexes => false)")
    assert rows_of(application, TABLES) == before
    assert application.execute("SELECT id, user_id, arc_name FROM memory_arcs ORDER BY 1").fetchall() == links
    published = application.execute("SELECT tablename FROM pg_publication_tables ORDER BY 1").fetchall()
    assert published == [("gravity_map",), ("memory_arcs",)]
    policies = application.execute("SELECT policyname FROM pg_policies WHERE tablename = 'gravity_map'").fetchall()
    assert policies == [("own_memories",)]


@pytest.mark.skipif(IS_FULL, reason="says nothing more of a million rows")
def test_the_guide_adopts_the_live_applications_tables_and_their_entities(
    server: Server, application: Connection
) -> None:
    # It could be at work just now, and the guide's patience is short.
    application.execute("ALTER TABLE gravity_map SET (autovacuum_enabled = off)")
    printed(server, application.info.dbname, examples("docs/adoption.md", "sql live"))
    blocks = [key for key, (severity, _) in look(application).items() if severity == "blocks"]
    assert blocks == []
    counted = application.execute(
        "SELECT count(*) FILTER (WHERE entities @> '{Blu,Matt,Atlas,Ivy}'), count(entities), count(emotion_type)"
        " FROM gravity_map"
    ).fetchone()
    assert counted == (ROWS // 4, ROWS // 4 * 3, ROWS)
