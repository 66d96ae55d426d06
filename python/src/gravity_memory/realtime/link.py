"""The connection that listens, with what asyncio needs around it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
from psycopg import sql
from psycopg.pq.misc import PGnotify
from psycopg.types.json import set_json_loads

from gravity_memory.connections import AsyncRows
from gravity_memory.errors import ConnectionLost, GravityMemoryError, translated

_TAKE_ALL = ("UTF8", "SQL_ASCII")
"""Encodings of databases that hold every text that we can send."""


class Alarm:
    """Something to wait for, with a time limit. It stays set until somebody has waited for it."""

    def __init__(self) -> None:
        self._is_set = False
        self._waiting: asyncio.Future[None] | None = None

    def set(self) -> None:
        """Wake whoever waits, or will wait next."""
        self._is_set = True
        self._wake()

    def clear(self) -> None:
        """Forget that it was set."""
        self._is_set = False

    async def wait(self, seconds: float) -> bool:
        """Wait until it is set, at most so long; whether it was."""
        if not self._is_set and seconds > 0:
            loop = asyncio.get_running_loop()
            self._waiting = loop.create_future()
            timer = loop.call_later(seconds, self._wake)
            try:
                await self._waiting
            finally:
                timer.cancel()
                self._waiting = None
        was_set, self._is_set = self._is_set, False
        return was_set

    def _wake(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(None)


class Link:
    """A connection whose every statement has a time limit, and that hears notifications between statements.

    JSON comes as bytes.

    Args:
        connection: in autocommit mode; nobody else uses it.
        timeout: seconds for a statement.
        alarm: is set when a notification arrives, or the connection breaks; also an attribute.
        on_notify: gets each notification.
    """

    def __init__(
        self,
        connection: AsyncRows,
        timeout: float,
        alarm: Alarm,
        on_notify: Callable[[psycopg.Notify], None],
    ) -> None:
        self.connection = connection
        self._timeout = timeout
        self.alarm = alarm
        self._on_notify = on_notify
        self._is_late = False
        self._broken: BaseException | None = None
        # Those that come with a statement's answer; psycopg's own handler ends it at a text that is no UTF-8.
        connection.pgconn.notify_handler = self._pass_on
        # What Python cannot read in one event must not end the look that has found it.
        set_json_loads(_unread, connection)

    @property
    def has_encoding(self) -> bool:
        """The database knows which letters its texts consist of, and can send all of them as UTF-8."""
        return self._encoding != "SQL_ASCII"

    @property
    def _encoding(self) -> str | None:
        return self.connection.info.parameter_status("server_encoding")

    async def execute(self, query: sql.SQL | sql.Composed, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement and return its rows.

        Raises:
            ConnectionLost: it was not answered in time; the connection is unusable.
            psycopg.Error: it failed.
        """
        if self._broken is not None:
            raise ConnectionLost("the connection was closed by the server") from self._broken
        loop = asyncio.get_running_loop()
        timer = loop.call_later(self._timeout, self._give_up)
        try:
            cursor = await self.connection.execute(query, parameters)
            return await cursor.fetchall() if cursor.description else []
        except psycopg.Error as error:
            if self._is_late:
                raise ConnectionLost(f"the server did not answer within {self._timeout:g} s") from error
            raise
        finally:
            timer.cancel()

    def _give_up(self) -> None:
        self._is_late = True
        self.sever()

    def hear(self) -> None:
        """Take the notifications that have arrived."""
        pgconn = self.connection.pgconn
        try:
            pgconn.consume_input()
            while (notification := pgconn.notifies()) is not None:
                self._pass_on(notification)
                self.alarm.set()
        except psycopg.Error as error:
            self._broken = error
            self.alarm.set()

    def _pass_on(self, notification: PGnotify) -> None:
        """Anyone may send anything, in a database without an encoding also what is no UTF-8."""
        channel, payload = (text.decode(errors="replace") for text in (notification.relname, notification.extra))
        self._on_notify(psycopg.Notify(channel, payload, notification.be_pid))

    async def problem_with(self, user_id: str) -> GravityMemoryError | None:
        """What keeps a user's id out of every statement: the encoding of the database lacks a letter of it.

        Raises:
            ConnectionLost, psycopg.Error: it could not be found out.
        """
        if user_id.isascii() or self._encoding in _TAKE_ALL:
            return None
        try:
            await self.execute(sql.SQL("SELECT %s::pg_catalog.text"), [user_id])
        except psycopg.DataError as error:
            problem = translated(error)
            problem.__cause__ = error
            return problem
        return None

    async def wait(self, seconds: float) -> bool:
        """Wait for the alarm, at most so long, and let notifications set it; whether it was set.

        Raises:
            ConnectionLost: the connection broke.
        """
        loop = asyncio.get_running_loop()
        descriptor = self.connection.pgconn.socket
        loop.add_reader(descriptor, self.hear)
        try:
            was_set = await self.alarm.wait(seconds)
        finally:
            loop.remove_reader(descriptor)
        if self._broken is not None:
            raise ConnectionLost("the connection was closed by the server") from self._broken
        return was_set

    def sever(self) -> None:
        """End the connection under whoever waits for an answer on it: the wait ends with an error.

        Unlike closing, this leaves the file descriptor to psycopg; unlike cancelling, it does not ask a server that
        does not answer.
        """
        with (
            contextlib.suppress(OSError, psycopg.Error),
            socket.socket(fileno=os.dup(self.connection.pgconn.socket)) as doubled,
        ):
            doubled.shutdown(socket.SHUT_RDWR)

    async def close(self) -> None:
        """Close the connection."""
        await self.connection.close()


def _unread(data: str | bytes) -> str | bytes:
    return data
