"""A second session that listens for notifications, and notes when each one arrived."""

import json
import queue
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg import sql

#: How often the listening thread looks whether it should stop, in seconds. It sleeps on the socket in between, so
#: this does not delay a notification.
STOP_CHECK_SECONDS = 0.1


@dataclass(frozen=True)
class Arrival:
    """A notification: its channel, its JSON payload, and ``time.perf_counter()`` when it arrived."""

    channel: str
    payload: dict[str, Any]
    at: float


class Listener:
    """Listens on channels over a connection of its own, in a thread, while used as a context manager.

    The connection must be in autocommit mode: a session in a transaction receives nothing. It is closed at the end.
    """

    def __init__(self, connection: psycopg.Connection[tuple[Any, ...]], channels: Sequence[str]) -> None:
        self._connection = connection
        self._channels = channels
        self._arrivals: queue.Queue[Arrival | psycopg.Error] = queue.Queue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="listener", daemon=True)

    def __enter__(self) -> Self:
        for channel in self._channels:
            self._connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()
        self._connection.close()

    def next(self, timeout: float) -> Arrival | None:
        """The next notification, in the order of arrival, or None when none came within ``timeout`` seconds.

        Raises psycopg.Error when the listening connection broke.
        """
        try:
            arrival = self._arrivals.get(timeout=timeout)
        except queue.Empty:
            return None
        if isinstance(arrival, psycopg.Error):
            raise arrival
        return arrival

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                for notification in self._connection.notifies(timeout=STOP_CHECK_SECONDS):
                    at = time.perf_counter()
                    self._arrivals.put(Arrival(notification.channel, json.loads(notification.payload), at))
                    if self._stop.is_set():
                        break
        except psycopg.Error as error:
            self._arrivals.put(error)
