"""A big table that is in use is adopted without blocking it: its indexes are left to be built concurrently."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from devtools.fixtures import Connection, MakeDatabase
from devtools.servers import Server

ROWS = 50_000
DATABASE = "gravity_memory_adoption"
LIMIT_BYTES = 100 * 1024 * 1024  # the default of setup_index_limit, 100 MB

# The application's own table before the extension: some of the columns that the specification needs, and one more.
_TABLE = """
CREATE TABLE gravity_map (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    user_id text NOT NULL,
    thread_id uuid,
    content text,
    gravity_score double precision DEFAULT 0.5,
    emotion text,
    emotion_type text,
    embedding vector(32),
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE TEMPORARY TABLE texts AS
    SELECT n, string_agg(md5(n || ' ' || k), ' ') AS content
    FROM generate_series(0, 499) AS n, generate_series(1, 80) AS k GROUP BY n;
INSERT INTO gravity_map (user_id, thread_id, content, gravity_score, emotion, emotion_type, embedding, created_at)
SELECT 'user-' || i % 500, gen_random_uuid(),
       t.content, (i % 100) / 100.0, 'joy', CASE WHEN i % 3 = 0 THEN 'joy' END,
       (SELECT array_agg(abs(hashint8(i * 100 + k) % 1000)) FROM generate_series(1, 32) AS k)::vector,
       now() - interval '1 minute' * i
FROM generate_series(1, {rows}) AS i
JOIN texts AS t ON t.n = i % 500;
ANALYZE gravity_map;
"""

_FINGERPRINT = """
SELECT count(*), md5(string_agg(g.xmin::text || g.ctid::text || md5(g.content) || g.id, '' ORDER BY g.ctid)),
       pg_relation_filenode('gravity_map')
FROM gravity_map AS g
"""


@pytest.fixture(scope="module")
def populated(server: Server) -> Iterator[None]:
    """A database with the application's table of 50,000 rows and pgvector; tests work in copies of it."""
    server.drop_database(DATABASE)
    server.create_database(DATABASE, extensions=["vector"])
    with server.connect(DATABASE) as connection:
        connection.execute("SET jit = off")
        connection.execute(_TABLE.format(rows=ROWS).encode())
        row = connection.execute("SELECT pg_table_size('gravity_map')").fetchone()
        assert row is not None
        assert row[0] > LIMIT_BYTES
    yield
    server.drop_database(DATABASE)


@pytest.fixture
def application(server: Server, populated: None) -> Iterator[Connection]:
    """A connection to a copy of the application's database."""
    name = f"{DATABASE}_copy"
    server.drop_database(name)
    server.create_database(name, template=DATABASE)
    with server.connect(name) as connection:
        yield connection
    server.drop_database(name)


def adopt(connection: Connection) -> list[tuple[str | None, str | None]]:
    """Create the extension over the table; returns its notices with their hints."""
    notices: list[tuple[str | None, str | None]] = []
    connection.add_notice_handler(
        lambda diagnostic: notices.append((diagnostic.message_primary, diagnostic.message_hint))
    )
    connection.execute("CREATE EXTENSION gravity_memory")
    return notices


def statements(connection: Connection) -> list[str]:
    """What gravity_memory_index_ddl() returns."""
    return [statement for (statement,) in connection.execute("SELECT gravity_memory_index_ddl()").fetchall()]


class Writer(threading.Thread):
    """Inserts memories, one transaction each, until it is told to stop."""

    def __init__(self, server: Server, database: str) -> None:
        super().__init__()
        self.connection = server.connect(database)
        self.written = 0
        self.error: Exception | None = None
        self._stop_asked = threading.Event()

    def run(self) -> None:
        """Write."""
        try:
            while not self._stop_asked.is_set():
                self.connection.execute(
                    "INSERT INTO gravity_map (user_id, gravity_score, emotion_type, embedding)"
                    " VALUES ('writer', 0.9, 'hope', array_fill(1, ARRAY[32])::vector)"
                )
                self.written += 1
        except psycopg.Error as error:
            self.error = error

    def wait_for(self, rows: int) -> None:
        """Wait until so many rows are written."""
        while self.written < rows and self.is_alive():
            time.sleep(0.01)

    def stop(self) -> None:
        """End it, and raise what it met."""
        self._stop_asked.set()
        self.join()
        self.connection.close()
        if self.error is not None:
            raise self.error


@contextmanager
def writing(server: Server, database: str) -> Iterator[Writer]:
    """Write from another session meanwhile."""
    writer = Writer(server, database)
    writer.start()
    try:
        yield writer
    finally:
        writer.stop()


def test_a_big_table_is_adopted_without_touching_a_row_or_building_an_index_on_it(application: Connection) -> None:
    before = application.execute(_FINGERPRINT).fetchone()
    notices = adopt(application)
    assert application.execute(_FINGERPRINT).fetchone() == before
    left = statements(application)
    wanted = application.execute(
        "SELECT count(*) FROM gravity_memory_index_catalogue() WHERE table_name = 'gravity_map'"
    ).fetchone()
    assert (len(left),) == wanted
    assert all("CONCURRENTLY" in statement for statement in left)
    hints = [hint for message, hint in notices if message and "indexes are missing" in message]
    assert len(hints) == 1
    assert hints[0] is not None
    assert "gravity_memory_index_ddl()" in hints[0]
    # The small tables, which are new, have theirs.
    assert not any(" ON public.memory_arcs" in statement for statement in left)


def test_the_indexes_are_built_while_another_session_writes(server: Server, application: Connection) -> None:
    adopt(application)
    progress = []
    with writing(server, application.info.dbname) as writer:
        for statement in statements(application):
            before = writer.written
            application.execute(statement.encode())
            progress.append(writer.written - before)
        writer.wait_for(3)
    assert sum(progress) > 0
    assert statements(application) == []
    assert application.execute("SELECT * FROM gravity_memory_setup()").fetchall() == []
    row = application.execute("SELECT count(*) FROM gravity_map").fetchone()
    assert row == (ROWS + writer.written,)
    # The memories written meanwhile were handled as always.
    arc = application.execute("SELECT user_id, memory_count FROM memory_arcs").fetchall()
    assert arc == [("writer", writer.written)]


def cancelled_build(server: Server, connection: Connection) -> str:
    """Cancel a concurrent build half-way; returns the name of the invalid index it leaves."""
    database = connection.info.dbname
    statement = next(text for text in statements(connection) if "idx_gravity_map_user_created " in text)
    with server.connect(database, autocommit=False) as blocker, server.connect(database) as builder:
        # A concurrent build waits for every transaction that has written to the table.
        blocker.execute("INSERT INTO gravity_map (user_id) VALUES ('blocker')")
        failed: list[psycopg.Error] = []

        def build() -> None:
            try:
                builder.execute(statement.encode())
            except psycopg.Error as error:
                failed.append(error)

        thread = threading.Thread(target=build)
        thread.start()
        deadline = time.monotonic() + 180
        while connection.execute(
            "SELECT to_regclass('idx_gravity_map_user_created') IS NULL"
            " OR (SELECT wait_event_type IS DISTINCT FROM 'Lock' FROM pg_stat_activity WHERE pid = %s)",
            (builder.info.backend_pid,),
        ).fetchone() != (False,):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        connection.execute("SELECT pg_cancel_backend(%s)", (builder.info.backend_pid,))
        thread.join()
        assert [type(error) for error in failed] == [psycopg.errors.QueryCanceled]
        blocker.rollback()
    invalid = connection.execute("SELECT indexrelid::regclass::text FROM pg_index WHERE NOT indisvalid").fetchall()
    assert invalid == [("idx_gravity_map_user_created",)]
    return "idx_gravity_map_user_created"


def index_is_valid(connection: Connection, name: str) -> bool:
    """Whether the index is there and usable."""
    row = connection.execute("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(%s)", (name,)).fetchone()
    return row == (True,)


def test_an_index_whose_concurrent_build_was_cancelled_is_dropped_and_built_again(
    server: Server, application: Connection
) -> None:
    adopt(application)
    name = cancelled_build(server, application)
    repair = [statement for statement in statements(application) if name in statement]
    assert [statement.split()[0] for statement in repair] == ["DROP", "CREATE"]
    for statement in repair:
        assert "CONCURRENTLY" in statement
        application.execute(statement.encode())
    assert index_is_valid(application, name)
    assert not any(name in statement for statement in statements(application))


def test_setup_repairs_a_cancelled_build_when_it_is_told_to_build_indexes(
    server: Server, application: Connection
) -> None:
    adopt(application)
    name = cancelled_build(server, application)
    # Left to itself it does not block the big table's writers.
    assert application.execute("SELECT * FROM gravity_memory_setup()").fetchall() == []
    assert not index_is_valid(application, name)
    built = application.execute(
        "SELECT object FROM gravity_memory_setup(true) WHERE action = 'create index'"
    ).fetchall()
    assert (name,) in built
    assert index_is_valid(application, name)
    assert statements(application) == []


def test_a_larger_limit_lets_setup_build_the_indexes(application: Connection) -> None:
    adopt(application)
    assert statements(application) != []
    application.execute("SELECT gravity_memory_set('setup_index_limit', '100000')")
    application.execute("SELECT * FROM gravity_memory_setup()")
    assert statements(application) == []


def test_an_update_with_setup_switched_off_brings_functions_and_leaves_the_tables_alone(
    server: Server, make_database: MakeDatabase
) -> None:
    trigger = "SELECT count(*) FROM pg_trigger WHERE tgname = 'trigger_arc_building'"
    with server.connect(make_database(["vector"])) as connection:
        connection.execute("CREATE EXTENSION gravity_memory VERSION '0.3.0'")
        connection.execute("DROP TRIGGER trigger_arc_building ON gravity_map")
        connection.execute("SET gravity_memory.setup = off")
        connection.execute("ALTER EXTENSION gravity_memory UPDATE")
        assert connection.execute(trigger).fetchone() == (0,)
        found = connection.execute(
            "SELECT finding, present FROM gravity_memory_adoption_report() WHERE finding = 'missing_triggers'"
        ).fetchall()
        assert found == [("missing_triggers", "Missing: trigger_arc_building.")]
        connection.execute("SELECT * FROM gravity_memory_setup()")
        assert connection.execute(trigger).fetchone() == (1,)
