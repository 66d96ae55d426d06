"""Arcs stay whole when many clients write at once, and when the server is killed under them."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest

from devtools.fixtures import Connection, NewServer
from devtools.servers import Server
from tests.python.arc_states import (
    Warnings,
    assert_totals_are_right,
    expected_arcs,
    rebuild_all,
    stored_arcs,
    stored_memories,
)

WRITERS = 16
_INSERT = """
    INSERT INTO gravity_map (user_id, content, emotion_type, gravity_score, created_at)
    VALUES (%s, %s, %s, %s, timestamptz '2026-01-01' + %s * interval '1 hour')
"""


class Crowd:
    """Clients of one database, each with a connection and a thread of its own, that start together."""

    def __init__(self, server: Server, database: str) -> None:
        self._server = server
        self._database = database
        self.warnings = Warnings()

    def run(self, work: Callable[[Connection, int], None], writers: int = WRITERS) -> None:
        """Run `work(connection, number)` in every client; the first exception is raised here."""
        ready = threading.Barrier(writers)

        def client(number: int) -> None:
            with self._server.connect(self._database) as connection:
                self.warnings.watch(connection)
                ready.wait(60)
                work(connection, number)

        with ThreadPoolExecutor(writers) as pool:
            for done in [pool.submit(client, number) for number in range(writers)]:
                done.result(300)


@pytest.fixture
def crowd(server: Server, db: Connection) -> Crowd:
    """Clients of the test's database."""
    return Crowd(server, db.info.dbname)


def _deadlocks(db: Connection) -> int:
    # A backend reports at its end at the latest, and the clients have disconnected; their backends end a little later.
    for _ in range(200):
        (others,) = db.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
            "AND backend_type = 'client backend'"
        ).fetchone() or (0,)
        if others == 0:
            break
        time.sleep(0.05)
    db.execute("SELECT pg_stat_clear_snapshot()")
    row = db.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone()
    assert row is not None
    return int(row[0])


def _assert_arcs_are_what_the_memories_say(db: Connection) -> None:
    built = stored_arcs(db)
    assert built == expected_arcs(stored_memories(db))
    rebuild_all(db)
    assert stored_arcs(db) == built


@pytest.mark.parametrize("statements", [1, 5], ids=["autocommit", "five inserts per transaction"])
def test_sixteen_writers_of_one_emotion_make_one_arc_with_every_member(
    db: Connection, crowd: Crowd, statements: int
) -> None:
    def write(connection: Connection, number: int) -> None:
        for batch in range(20 // statements):
            with connection.transaction():
                for one in range(statements):
                    name = f"{number}.{batch}.{one}"
                    connection.execute(_INSERT, ("ada", name, "joy", 0.8 + (number + batch) % 20 / 100, batch / 100))

    crowd.run(write)
    (arc,) = stored_arcs(db)
    assert len(arc.members) == WRITERS * 20
    _assert_arcs_are_what_the_memories_say(db)
    assert crowd.warnings.messages == []
    assert _deadlocks(db) == 0


def test_writers_of_many_users_and_emotions_in_one_statement_do_not_deadlock(db: Connection, crowd: Crowd) -> None:
    def write(connection: Connection, number: int) -> None:
        chance = random.Random(number)
        for _ in range(15):
            rows = [
                (
                    f"user {chance.randrange(4)}",
                    chance.choice(("joy", "calm", "awe")),
                    chance.uniform(0.7, 1),
                    chance.randrange(240),
                )
                for _ in range(12)
            ]
            connection.execute(
                """
                INSERT INTO gravity_map (user_id, emotion_type, gravity_score, created_at)
                SELECT u, e, g, timestamptz '2026-01-01' + h * interval '1 hour'
                FROM unnest(%s::text[], %s::text[], %s::double precision[], %s::integer[]) AS r (u, e, g, h)
                """,
                [list(column) for column in zip(*rows, strict=True)],
            )

    crowd.run(write)
    _assert_arcs_are_what_the_memories_say(db)
    assert crowd.warnings.messages == []
    assert _deadlocks(db) == 0


def _change_at_random(connection: Connection, chance: random.Random) -> None:
    """Insert some memories of two users and two emotions, or update or delete one of those that are there."""
    picked = "id = (SELECT id FROM gravity_map ORDER BY md5(id::text || %s) LIMIT 1)"
    what = chance.choice(("insert", "insert", "gravity", "emotion", "time", "delete"))
    if what == "insert":
        for _ in range(2):
            user, emotion = chance.choice(("ada", "bea")), chance.choice(("joy", "calm"))
            connection.execute(_INSERT, (user, "", emotion, chance.choice((0.7, 0.8, 0.9, 1.0)), chance.randrange(120)))
    elif what == "delete":
        connection.execute(f"DELETE FROM gravity_map WHERE {picked}".encode(), (str(chance.random()),))
    else:
        assignment, value = {
            "gravity": ("gravity_score = %s", chance.choice((0.7, 0.8, 0.9, 1.0))),
            "emotion": ("emotion_type = %s", chance.choice(("joy", "calm", None))),
            "time": ("created_at = timestamptz '2026-01-01' + %s * interval '1 hour'", chance.randrange(120)),
        }[what]
        statement = f"UPDATE gravity_map SET {assignment} WHERE {picked}"
        connection.execute(statement.encode(), (value, str(chance.random())))


def test_concurrent_inserts_updates_and_deletes_leave_what_a_rebuild_would_make(db: Connection, crowd: Crowd) -> None:
    """Each statement changes one row, so every deadlock would be ours, not one on rows locked in different orders."""

    def work(connection: Connection, number: int) -> None:
        chance = random.Random(number)
        for _ in range(40):
            _change_at_random(connection, chance)

    crowd.run(work, 8)
    assert crowd.warnings.messages == []
    assert_totals_are_right(db)
    _assert_arcs_are_what_the_memories_say(db)
    assert _deadlocks(db) == 0


def test_a_memory_that_another_transaction_locks_for_a_moment_still_joins_its_arc(
    server: Server, db: Connection
) -> None:
    """Applications lock a row before they change it. Whoever completes the cluster meanwhile waits a little for it."""
    db.execute(_INSERT, ("ada", "m1", "joy", 0.9, 0))
    db.execute(_INSERT, ("ada", "m2", "joy", 0.9, 1))
    with server.connect(db.info.dbname) as other, ThreadPoolExecutor(1) as pool:
        with db.transaction():
            db.execute("SELECT FROM gravity_map WHERE content = 'm1' FOR UPDATE")
            insert = pool.submit(other.execute, _INSERT, ("ada", "m3", "joy", 0.9, 2))
            active = "SELECT FROM pg_stat_activity WHERE pid = %s AND state = 'active'"
            while not insert.done() and not db.execute(active, (other.info.backend_pid,)).fetchall():
                db.execute("SELECT pg_stat_clear_snapshot()")
            db.execute("UPDATE gravity_map SET summary = 'about m1' WHERE content = 'm1'")
        insert.result(60)
    (arc,) = stored_arcs(db)
    assert len(arc.members) == 3


@pytest.mark.parametrize("first", ["the link", "the change"])
def test_an_arc_made_by_hand_counts_a_memory_that_changes_at_the_moment_it_is_linked(
    server: Server, db: Connection, first: str
) -> None:
    db.execute("INSERT INTO gravity_map (user_id, content, gravity_score) VALUES ('ada', 'a', 0.5), ('ada', 'b', 0.5)")
    db.execute("INSERT INTO memory_arcs (user_id, arc_name) VALUES ('ada', 'by hand')")
    link = (
        "INSERT INTO memory_arc_associations (memory_id, arc_id, user_id)"
        " SELECT m.id, a.id, 'ada' FROM gravity_map AS m, memory_arcs AS a WHERE m.content = %s"
    )
    change = "UPDATE gravity_map SET gravity_score = 0.9 WHERE content = %s"
    # An arc that was never counted is recounted at the commit; one that was is added to.
    db.execute(link, ("a",))
    statements = (link, change) if first == "the link" else (change, link)
    with server.connect(db.info.dbname) as other, ThreadPoolExecutor(1) as pool:
        with db.transaction():
            db.execute(statements[0].encode(), ("b",))
            second = pool.submit(other.execute, statements[1].encode(), ("b",))
            time.sleep(0.2)
            assert not second.done()
        second.result(60)
    assert db.execute("SELECT gravity_center, peak_gravity, memory_count FROM memory_arcs").fetchall() == [
        (0.7, 0.9, 2)
    ]


def test_a_memory_that_somebody_holds_for_long_is_linked_by_hand_with_a_warning(server: Server, db: Connection) -> None:
    warnings = Warnings()
    warnings.watch(db)
    db.execute("INSERT INTO gravity_map (user_id, gravity_score) VALUES ('ada', 0.5)")
    db.execute("INSERT INTO memory_arcs (user_id, arc_name) VALUES ('ada', 'by hand')")
    with server.connect(db.info.dbname) as other, other.transaction():
        other.execute("UPDATE gravity_map SET gravity_score = 0.9")
        db.execute(
            "INSERT INTO memory_arc_associations (memory_id, arc_id)"
            " SELECT m.id, a.id FROM gravity_map AS m, memory_arcs AS a"
        )
    assert len(warnings.messages) == 1
    assert "may be out of date" in warnings.messages[0]
    assert db.execute("SELECT count(*) FROM memory_arc_associations").fetchone() == (1,)


def test_arcs_evolve_while_members_come(db: Connection, crowd: Crowd) -> None:
    done = threading.Event()

    def work(connection: Connection, number: int) -> None:
        if number == 0:
            while not done.is_set():
                connection.execute("SELECT gravity_memory_evolve_arcs()")
        else:
            try:
                for one in range(40):
                    connection.execute(_INSERT, ("ada", f"{number}.{one}", "joy", 0.9, 0))
            finally:
                if number == 1:
                    done.set()

    crowd.run(work, 4)
    arcs = stored_arcs(db)
    assert crowd.warnings.messages == []
    assert sorted(key for arc in arcs for key in arc.members) == sorted(stored_memories(db)), "each in exactly one arc"
    assert sum(arc.stage in {"forming", "active"} for arc in arcs) <= 1
    assert_totals_are_right(db)


@contextmanager
def _writing(server: Server, database: str, acknowledged: list[str]) -> Iterator[None]:
    """While this lasts, four clients write in transactions of one to 120 inserts, until the server is gone.

    One emotion per transaction: clients that take several in different orders would wait for each other.
    """

    def client(number: int) -> None:
        numbers = itertools.count()
        chance = random.Random(number)
        try:
            with server.connect(database) as connection:
                while True:
                    names = [f"{number}.{next(numbers)}" for _ in range(chance.choice((1, 2, 120)))]
                    emotion = chance.choice(("joy", "calm"))
                    with connection.transaction():
                        for name in names:
                            connection.execute(_INSERT, ("ada", name, emotion, 0.9, chance.randrange(120)))
                    acknowledged.extend(names)
        except psycopg.OperationalError:
            return

    with ThreadPoolExecutor(4) as pool:
        clients = [pool.submit(client, number) for number in range(4)]
        yield
        for one in clients:
            one.result(60)


def test_arcs_are_whole_after_the_server_was_killed_under_its_writers(new_server: NewServer) -> None:
    server = new_server(durable=True)
    server.create_database("killed", extensions=["vector", "gravity_memory"])
    acknowledged: list[str] = []
    with _writing(server, "killed", acknowledged):
        deadline = time.monotonic() + 180
        while len(acknowledged) < 500 and time.monotonic() < deadline:
            time.sleep(0.01)
        server.kill()
    server.start()
    assert len(acknowledged) >= 500
    with server.connect("killed") as db:
        stored = {row[0] for row in db.execute("SELECT content FROM gravity_map").fetchall()}
        assert set(acknowledged) <= stored, "what was committed is there"
        _assert_arcs_are_what_the_memories_say(db)
        db.execute(_INSERT, ("ada", "afterwards", "joy", 0.9, 0))
        _assert_arcs_are_what_the_memories_say(db)
