"""A server without a free connection says so, and whoever waits for one goes on by itself when there is one."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest
from gravity_memory import Config, ConnectionLost, GravityMemory, Memory, PoolConfig, RealtimeConfig, RetryConfig

from devtools.fixtures import Connection
from devtools.servers import Server
from python.tests.client_support import Database, Heard, add, contents
from tests.python.under_fire.invariants import own_server

_PATIENT_BRIEFLY = Config(
    realtime=RealtimeConfig(events_per_second=None, timeout=5, fallback_poll=0.2),
    pool=PoolConfig(min=1, max=2),
    retry=RetryConfig(attempts=2, delay=0.05, max_delay=0.2),
)


class Hogs:
    """Sessions that do nothing but take up connections."""

    def __init__(self, server: Server, database: str) -> None:
        self._server = server
        self._database = database
        self._sessions: list[Connection] = []

    def take_all(self) -> str:
        """Take every connection that is free; what the server says to the next one."""
        while True:
            try:
                self._sessions.append(self._server.connect(self._database))
            except psycopg.OperationalError as error:
                return str(error)

    def leave(self) -> None:
        """Give all connections back."""
        while self._sessions:
            self._sessions.pop().close()


@pytest.fixture(scope="module")
def small_server(server: Server) -> Iterator[Server]:
    """A server for twelve connections, that logs the SQLSTATE of what it says."""
    with own_server(server, {"max_connections": "12", "log_line_prefix": "%e "}) as made:
        made.create_database("crowded", extensions=["vector", "gravity_memory"])
        with made.connect("crowded") as db:
            db.execute("SELECT gravity_memory_set('notify', 'wakeup')")
        yield made


@pytest.fixture
def hogs(small_server: Server) -> Iterator[Hogs]:
    """They leave when the test ends."""
    made = Hogs(small_server, "crowded")
    yield made
    made.leave()


def test_a_connection_too_many_gets_53300_and_costs_those_that_are_there_nothing(
    small_server: Server, hogs: Hogs
) -> None:
    with small_server.connect("crowded") as db:
        refusal = hogs.take_all()
        assert "too many clients" in refusal
        refused = [line for line in small_server.log_path.read_text().splitlines() if "too many clients" in line]
        assert refused
        assert all(line.startswith("53300 FATAL:") for line in refused)
        # Whoever is connected works on: writing starts no further process.
        for number in range(20):
            add(db, "bea", str(number))
        db.execute("CALL gravity_memory_rebuild_recall(p_everything => true)")
        assert db.execute("SELECT count(*) FROM recall_memories('bea', '7')").fetchone() == (1,)
        assert db.execute("SELECT * FROM gravity_memory_check() WHERE severity = 'error'").fetchall() == []
        hogs.leave()
    with small_server.connect("crowded") as db:
        assert db.execute("SELECT count(*) FROM gravity_map WHERE user_id = 'bea'").fetchone() == (20,)


def test_subscriptions_outlive_a_server_without_free_connections_and_miss_nothing(
    small_server: Server, hogs: Hogs
) -> None:
    database = Database(small_server, "crowded")
    errors: Heard[Exception] = Heard()
    heard: Heard[Memory] = Heard()
    with (
        small_server.connect("crowded") as writer,
        GravityMemory(database.dsn, config=_PATIENT_BRIEFLY) as memories,
    ):
        subscription = memories.subscribe_to_memories("ada", heard, on_error=errors)
        memories.remember("ada", "before")
        heard.wait(1)

        _cut_off(writer, hogs)
        add(writer, "ada", "while there was no connection")
        with pytest.raises(ConnectionLost, match="too many clients"):
            memories.remember("ada", "refused")
        (told,) = errors.wait(1)
        assert isinstance(told, ConnectionLost)
        assert "too many clients" in str(told)
        assert not subscription.closed
        assert contents(heard.items) == ["before"]

        hogs.leave()
        heard.wait(2)
        memories.remember("ada", "after")
        assert contents(heard.wait(3)) == ["before", "while there was no connection", "after"]
        time.sleep(0.3)
        assert len(heard.items) == 3
        assert len(errors.items) == 1, "an outage is told once"


def _cut_off(writer: Connection, hogs: Hogs) -> None:
    """End the client's sessions, and take their connections before it comes back."""
    ours = "FROM pg_stat_activity WHERE application_name = 'gravity-memory'"
    deadline = time.monotonic() + 60
    while True:
        hogs.take_all()
        if writer.execute(f"SELECT count(*) {ours}".encode()).fetchone() == (0,):
            return
        writer.execute(f"SELECT pg_terminate_backend(pid) {ours}".encode())
        assert time.monotonic() < deadline, "the client always finds a connection"
