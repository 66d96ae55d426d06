"""Exactly once, whatever happens to the connection and the server."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from typing import Any

import psycopg
import pytest
from gravity_memory import (
    AsyncGravityMemory,
    Config,
    ConnectionLost,
    Event,
    GravityMemory,
    Memory,
    RealtimeConfig,
    RetryConfig,
)

from devtools.fixtures import NewServer
from python.tests.client_support import QUICK, Database, Heard, add, contents, until, wait_until


class Writer:
    """Writes numbered memories of two users until it is stopped, whatever happens to its connection.

    A commit whose outcome a lost connection hides is looked up: `committed` holds what is in the table, in order.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self.count = 0

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def committed(self, user: str) -> list[str]:
        rows = self._database.execute(
            "SELECT content FROM gravity_map WHERE user_id = %s ORDER BY content::integer", user
        )
        return [row[0] for row in rows]

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                with self._database.connect() as connection:
                    while not self._stop.is_set():
                        add(connection, f"user {self.count % 2}", str(self.count))
                        self.count += 1
            except psycopg.OperationalError:
                # It may have been committed; that number is not used again.
                self.count += 1
                time.sleep(0.02)


def test_every_event_arrives_once_when_connections_are_cut(database: Database) -> None:
    with GravityMemory(database.dsn, config=QUICK) as memories, Writer(database) as writer:
        heard: list[Heard[Memory]] = [Heard(), Heard()]
        start = memories.head()
        for number in range(2):
            memories.subscribe_to_memories(f"user {number}", heard[number], since=start)
        before = [writer.committed(f"user {number}") for number in range(2)]
        cut = 0
        for _ in range(15):
            time.sleep(0.1)
            cut += database.cut_listeners()
        writer.stop()
        assert cut >= 5
        for number in range(2):
            committed = writer.committed(f"user {number}")
            wait_until(lambda n=number, c=committed: heard[n].items and heard[n].items[-1].content == c[-1])  # type: ignore[misc]
            got = contents(heard[number].items)
            assert got == committed[len(committed) - len(got) :]
            assert len(got) >= len(committed) - len(before[number])


def test_every_event_arrives_once_when_the_server_is_killed_and_comes_back(new_server: NewServer) -> None:
    server = new_server(durable=True)
    server.create_database("crash", extensions=["vector", "gravity_memory"])
    database = Database(server, "crash")
    database.execute("SELECT gravity_memory_set('notify', 'wakeup')")
    errors: Heard[Exception] = Heard()
    with GravityMemory(database.dsn, config=QUICK) as memories:
        heard: list[Heard[Memory]] = [Heard(), Heard()]
        iterated: Heard[Event] = Heard()
        start = memories.head()
        for number in range(2):
            memories.subscribe_to_memories(f"user {number}", heard[number], since=start, on_error=errors)
        events = memories.subscribe_to_memories("user 0", since=start)

        def iterate() -> None:
            for event in events:
                iterated(event)

        thread = threading.Thread(target=iterate)
        thread.start()
        with Writer(database) as writer:
            for _ in range(3):
                time.sleep(0.7)
                server.kill()
                time.sleep(0.3)
                server.start()
            time.sleep(0.5)
        for number in range(2):
            committed = writer.committed(f"user {number}")
            wait_until(lambda n=number, c=committed: heard[n].items and heard[n].items[-1].content == c[-1])  # type: ignore[misc]
            assert contents(heard[number].items) == committed
            print(f"user {number}: {len(committed)} memories")
        wait_until(lambda: len(iterated.items) == len(heard[0].items))
        assert [event.payload["content"] for event in iterated.items] == contents(heard[0].items)
        events()
        thread.join()


def test_a_transaction_open_across_a_lost_connection_arrives_when_it_commits(database: Database) -> None:
    with GravityMemory(database.dsn, config=QUICK) as memories, database.connect(autocommit=False) as late:
        heard: Heard[Memory] = Heard()
        memories.subscribe_to_memories("user", heard)
        add(late, "user", "late")
        database.add("user", "before the cut")
        heard.wait(1)
        wait_until(lambda: database.cut_listeners())
        database.add("user", "after the cut")
        heard.wait(2)
        late.commit()
        assert contents(heard.wait(3)) == ["before the cut", "after the cut", "late"]


def test_a_server_that_stops_answering_counts_as_lost(database: Database) -> None:
    config = Config(
        realtime=RealtimeConfig(events_per_second=None, timeout=1, fallback_poll=0.2),
        retry=RetryConfig(delay=0.1, max_delay=0.2),
    )
    with GravityMemory(database.dsn, config=config) as memories:
        heard: Heard[Memory] = Heard()
        memories.subscribe_to_memories("user", heard)
        (pid,) = database.listeners()
        os.kill(pid, signal.SIGSTOP)
        try:
            database.add("user", "unheard")
            assert contents(heard.wait(1)) == ["unheard"]
            assert pid not in database.listeners() or len(database.listeners()) == 2
        finally:
            os.kill(pid, signal.SIGCONT)
        database.add("user", "next")
        assert contents(heard.wait(2)) == ["unheard", "next"]


def test_a_client_can_be_closed_while_the_server_does_not_answer(database: Database) -> None:
    with GravityMemory(database.dsn, config=QUICK) as memories:
        memories.subscribe_to_memories("user", print)
        (pid,) = database.listeners()
        os.kill(pid, signal.SIGSTOP)
        try:
            time.sleep(1.2)
            began = time.monotonic()
            memories.close()
            assert time.monotonic() - began < 10
        finally:
            os.kill(pid, signal.SIGCONT)


def test_a_lasting_outage_is_told_once_and_ends_by_itself(new_server: NewServer) -> None:
    server = new_server()
    server.create_database("outage", extensions=["vector", "gravity_memory"])
    database = Database(server, "outage")
    database.execute("SELECT gravity_memory_set('notify', 'wakeup')")
    config = Config(realtime=QUICK.realtime, retry=RetryConfig(attempts=2, delay=0.05, max_delay=0.1))
    with GravityMemory(database.dsn, config=config) as memories:
        errors: Heard[Exception] = Heard()
        heard: Heard[Memory] = Heard()
        subscription = memories.subscribe_to_memories("user", heard, on_error=errors)
        server.stop("immediate")
        assert isinstance(errors.wait(1)[0], ConnectionLost)
        with pytest.raises(ConnectionLost):
            memories.subscribe_to_memories("other", print)
        time.sleep(0.5)
        assert len(errors.items) == 1
        assert not subscription.closed
        server.start()
        database.add("user", "back")
        assert contents(heard.wait(1)) == ["back"]


def test_a_restart_in_order_loses_nothing_either(new_server: NewServer) -> None:
    server = new_server()
    server.create_database("restart", extensions=["vector", "gravity_memory"])
    database = Database(server, "restart")
    database.execute("SELECT gravity_memory_set('notify', 'wakeup')")

    async def main() -> None:
        async with AsyncGravityMemory(database.dsn, config=QUICK) as memories:
            heard: Heard[Memory] = Heard()
            await memories.subscribe_to_memories("user", heard)
            for number in range(3):
                await memories.remember("user", f"before {number}")
                await asyncio.to_thread(server.restart)
                await memories.remember("user", f"after {number}")
            await heard.arrived(6)
            expected: list[Any] = [f"{when} {number}" for number in range(3) for when in ("before", "after")]
            assert contents(heard.items) == expected
            await until(lambda: database.listeners())

    asyncio.run(main())
