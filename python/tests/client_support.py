"""What several tests of the Python client need."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Protocol, TypeVar
from uuid import UUID, uuid4

import psycopg
from gravity_memory import Config, RealtimeConfig, RetryConfig
from psycopg.conninfo import make_conninfo

from devtools.servers import Server

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds to wait for what must happen, on a busy machine."""

QUICK = Config(realtime=RealtimeConfig(events_per_second=None, timeout=20), retry=RetryConfig(delay=0.1, max_delay=0.5))
"""No limit of deliveries, and soon back after a lost connection."""


class MakeClientDatabase(Protocol):
    """See the fixture `make_database`."""

    def __call__(self, notify: str = "wakeup", feed: str = "off") -> Database:
        """Make a database with these settings."""
        ...


@dataclass
class Database:
    """A database with the extension, and another session's way to write to it."""

    server: Server
    name: str

    @property
    def dsn(self) -> str:
        """Its connection string."""
        return make_conninfo(**self.server.parameters(self.name))

    def connect(self, *, autocommit: bool = True) -> psycopg.Connection[tuple[Any, ...]]:
        """A connection to it."""
        return self.server.connect(self.name, autocommit=autocommit)

    def execute(self, query: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Run a statement in a session of its own; its rows."""
        with self.connect() as connection:
            cursor = connection.execute(query, parameters or None)
            return cursor.fetchall() if cursor.description else []

    def add(self, user: str, *contents: str) -> None:
        """Store memories, each in a transaction of its own."""
        with self.connect() as connection:
            for content in contents:
                add(connection, user, content)

    def listeners(self) -> list[int]:
        """The process ids of the sessions of the client that have said LISTEN, or look at the feed."""
        rows = self.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database()"
            " AND (query LIKE 'LISTEN%' OR query LIKE '%gravity_memory_changes%'"
            " OR query LIKE '%memory_changes_head%') AND pid <> pg_backend_pid()"
        )
        return [row[0] for row in rows]

    def cut_listeners(self) -> int:
        """End those sessions; how many there were."""
        pids = self.listeners()
        self.execute("SELECT pg_terminate_backend(p) FROM unnest(%s::integer[]) AS p", pids)
        return len(pids)


def add(connection: psycopg.Connection[tuple[Any, ...]], user: str, content: str) -> UUID:
    """Store a memory on a connection; its id."""
    identity = uuid4()
    connection.execute("INSERT INTO gravity_map (id, user_id, content) VALUES (%s, %s, %s)", (identity, user, content))
    return identity


@dataclass
class Heard(Generic[T]):
    """Collects what a callback gets, from any thread: it is the callback."""

    items: list[T] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def __call__(self, item: T) -> None:
        with self._changed:
            self.items.append(item)
            self.times.append(time.monotonic())
            self._changed.notify_all()

    def wait(self, count: int, seconds: float = PATIENCE) -> list[T]:
        """Wait until that many have come; all that have."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.items) >= count, seconds), (
                f"{len(self.items)} of {count} came: {self.items[-5:]}"
            )
            return list(self.items)

    async def arrived(self, count: int, seconds: float = PATIENCE) -> list[T]:
        """The same, on an event loop."""
        await until(lambda: len(self.items) >= count, seconds)
        return list(self.items)


def contents(memories: Sequence[Any]) -> list[str]:
    """What the memories say."""
    return [memory.content for memory in memories]


async def until(is_so: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait on an event loop until something is so."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.005)


def wait_until(is_so: Callable[[], object], seconds: float = PATIENCE) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.005)
