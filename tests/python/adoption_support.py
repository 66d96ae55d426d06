"""What the tests of adoption share: the tables that are adopted, and other sessions that use them meanwhile."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from devtools import REPO
from devtools.fixtures import Connection
from devtools.servers import Server

MEMORY = "INSERT INTO gravity_map (user_id, content) VALUES ('traffic', 'I remember the harbour')"
TIMELINE = "SELECT content FROM gravity_map WHERE user_id = 'user-1' ORDER BY created_at DESC LIMIT 10"


def run_script(connection: Connection, name: str) -> None:
    """Run a file of tests/adoption."""
    connection.execute((REPO / "tests/adoption" / name).read_text(encoding="utf-8").encode())


def rows_of(connection: Connection, tables: dict[str, str]) -> list[tuple[object, ...]]:
    """Place, version and named columns of every row of the tables: they change when somebody touches a row."""
    found: list[tuple[object, ...]] = []
    for table, columns in tables.items():
        query = (
            "SELECT %s, count(*), md5(string_agg(concat(t.ctid, t.xmin, row({columns})), '' ORDER BY t.ctid))"
            " FROM {table} AS t"
        )
        found += connection.execute(query.format(table=table, columns=columns).encode(), (table,)).fetchall()
    return found


class Traffic(threading.Thread):
    """One statement again and again, each in a transaction of its own, and how long the slowest took.

    Attributes:
        done: how often it ran.
        longest: seconds that the slowest one took since `lap` was called last.
    """

    def __init__(self, server: Server, database: str, statement: str, lock_timeout: float) -> None:
        super().__init__(daemon=True)
        self.connection = server.connect(database)
        self.connection.execute(f"SET lock_timeout = '{lock_timeout}s'".encode())
        self.statement = statement.encode()
        self.done = 0
        self.longest = 0.0
        self.error: psycopg.Error | None = None
        self._stop_asked = threading.Event()

    def run(self) -> None:
        """Run it until told to stop."""
        try:
            while not self._stop_asked.is_set():
                began = time.perf_counter()
                self.connection.execute(self.statement)
                self.longest = max(self.longest, time.perf_counter() - began)
                self.done += 1
                # Other sessions than these two want the machine, too.
                time.sleep(0.002)
        except psycopg.Error as error:
            self.error = error

    def lap(self) -> float:
        """The longest one since the last lap, in seconds, once a further one has ended."""
        seen = self.done
        while self.done < seen + 2 and self.is_alive():
            time.sleep(0.002)
        longest, self.longest = self.longest, 0.0
        return longest

    def stop(self) -> None:
        """End it, and raise what it met."""
        self._stop_asked.set()
        self.join()
        self.connection.close()
        if self.error is not None:
            raise self.error


@contextmanager
def traffic(server: Server, database: str, *, lock_timeout: float) -> Iterator[tuple[Traffic, Traffic]]:
    """A session that writes memories and one that reads them, both failing when they wait longer for a lock."""
    both = (
        Traffic(server, database, MEMORY, lock_timeout),
        Traffic(server, database, TIMELINE, lock_timeout),
    )
    for one in both:
        one.start()
    try:
        yield both
    finally:
        errors = []
        for one in both:
            try:
                one.stop()
            except psycopg.Error as error:
                errors.append(error)
        if errors:
            raise errors[0]
