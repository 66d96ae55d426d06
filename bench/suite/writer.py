"""A client that writes all the while, to see how long it has to wait."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

import psycopg

from bench.databases import Connection
from bench.suite.contestants import Contestant

_PAUSE = 0.05

# A memory as an application writes it, of a user whom nobody else has; the embedding is one that is there.
_PREPARE = """
CREATE TEMPORARY TABLE written AS
    SELECT 'somebody who writes'::text AS user_id, thread_id, session_id, content, gravity_score, emotion_type,
           entities, embedding
    FROM source.memories WHERE n = 0
"""
_WRITE = """
INSERT INTO {schema}.gravity_map (user_id, thread_id, session_id, content, gravity_score, emotion_type, entities,
                                  embedding)
SELECT * FROM written
"""


class Writer:
    """Inserts a row into a contestant's gravity_map every 50 ms, and takes it back, until its `with` block ends.

    Taken back, so that all contestants go on to hold the same; a VACUUM removes what is left of it.

    Args:
        connect: opens its connection, which is closed at the end.
        contestant: whose gravity_map it writes to.
    """

    def __init__(self, connect: Callable[[], Connection], contestant: Contestant) -> None:
        self._connection = connect()
        self._connection.execute(_PREPARE)
        self._write = _WRITE.format(schema=contestant.schema).encode()
        self._lock = threading.Lock()
        self._longest = 0.0
        self._asked = 0.0
        self._began: float | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._error: psycopg.Error | None = None

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._connection.close()
        if self._error is not None and error is None:
            raise self._error

    def longest(self) -> float:
        """The longest that an insert took since this was called last, in seconds.

        One that is under way counts for as long as it has taken, and the rest of it the next time.
        """
        with self._lock:
            self._note()
            self._asked = time.perf_counter()
            longest, self._longest = self._longest, 0.0
            return longest

    def _note(self) -> None:
        """Take into account the insert that is under way, if one is."""
        if self._began is not None:
            self._longest = max(self._longest, time.perf_counter() - max(self._began, self._asked))

    def _run(self) -> None:
        while not self._stop.wait(_PAUSE):
            with self._lock:
                self._began = time.perf_counter()
            try:
                with self._connection.transaction(force_rollback=True):
                    self._connection.execute(self._write)
            except psycopg.Error as error:
                self._error = error
                return
            finally:
                with self._lock:
                    self._note()
                    self._began = None
