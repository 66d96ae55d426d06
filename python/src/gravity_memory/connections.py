"""How connections are made: the pool for queries, and the single one that listens."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from gravity_memory.config import Config
from gravity_memory.errors import GravityMemoryError, translated

AsyncRows: TypeAlias = psycopg.AsyncConnection[tuple[Any, ...]]
DIAGNOSIS_SECONDS = 5.0
"""How long to look for the reason when a pool has waited in vain."""

AnyPool: TypeAlias = AsyncConnectionPool[Any] | ConnectionPool[Any]

# What a pool may hand to its connections that would change what ours reads.
_NOT_FOR_LISTENING = ("row_factory", "cursor_factory", "context")


def parameters(conninfo: str, config: Config) -> dict[str, Any]:
    """Connection parameters: the caller's, and for what they leave open, ours.

    Keepalives find a connection whose other end has gone without a word.

    Raises:
        psycopg.ProgrammingError: conninfo is no connection string.
    """
    timeout = config.realtime.timeout
    ours: dict[str, Any] = {
        "connect_timeout": max(2, math.ceil(timeout)),
        "client_encoding": "UTF8",
        "fallback_application_name": "gravity-memory",
        "keepalives": 1,
        "keepalives_idle": max(1, math.ceil(config.realtime.heartbeat)),
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": math.ceil(timeout * 1000),
    }
    return ours | conninfo_to_dict(conninfo)


def used_up(error: psycopg.Error) -> GravityMemoryError:
    """The error that says why a pool had no connection to give while the server has."""
    problem = translated(error)
    problem.hint = (
        "The server can be reached: all connections of the pool were in use. Raise PoolConfig.max, or have fewer calls "
        "at a time."
    )
    return problem


def pool_arguments(conninfo: str, config: Config) -> dict[str, Any]:
    """Keyword arguments for a pool that is opened later, sync or async."""
    chosen = parameters(conninfo, config)
    return {
        "conninfo": "",
        "kwargs": {**chosen, "autocommit": True, "prepare_threshold": config.prepare_threshold},
        "min_size": config.pool.min,
        "max_size": config.pool.max,
        "max_idle": config.pool.idle,
        "timeout": config.realtime.timeout,
        "open": False,
        "name": "gravity-memory",
    }


class Connector:
    """Makes connections of its own, outside of any pool, for listening, and to find out why a pool has none.

    Args:
        source: a connection string, or the pool whose connection string and keyword arguments are used. Its
            `configure`, `check` and `reset` are not: they are made for its own connections, sync or async.
        config: timeouts.
    """

    def __init__(self, source: str | AnyPool, config: Config) -> None:
        self._source = source
        self._config = config

    async def connect(self) -> AsyncRows:
        """A new connection in autocommit mode; statements are never prepared.

        Raises:
            psycopg.Error: there is none to be had.
        """
        return await psycopg.AsyncConnection.connect("", **await self._arguments())

    async def problem(self, seconds: float | None = None) -> psycopg.Error | None:
        """Why there is no connection to be had; None: there is. It takes `seconds`, or the timeout, for each host."""
        try:
            connection = await psycopg.AsyncConnection.connect("", **await self._arguments() | _within(seconds))
        except psycopg.Error as error:
            return error
        await connection.close()
        return None

    def problem_now(self, seconds: float | None = None) -> psycopg.Error | None:
        """The same without asyncio. The source is no async pool."""
        try:
            psycopg.connect("", **self._arguments_now() | _within(seconds)).close()
        except psycopg.Error as error:
            return error
        return None

    async def _arguments(self) -> dict[str, Any]:
        if isinstance(self._source, str):
            return self._merged(self._source, {})
        return self._merged(await _value(self._source.conninfo), await _value(self._source.kwargs) or {})

    def _arguments_now(self) -> dict[str, Any]:
        if isinstance(self._source, str):
            return self._merged(self._source, {})
        return self._merged(_value_now(self._source.conninfo), _value_now(self._source.kwargs) or {})

    def _merged(self, conninfo: str, further: Mapping[str, Any]) -> dict[str, Any]:
        chosen = {name: value for name, value in further.items() if name not in _NOT_FOR_LISTENING}
        # Some of what psycopg takes is no parameter of libpq. Notifications are read as UTF-8.
        ours = {"autocommit": True, "prepare_threshold": None, "client_encoding": "UTF8"}
        return {**parameters(conninfo, self._config), **chosen, **ours}


def _within(seconds: float | None) -> dict[str, Any]:
    return {} if seconds is None else {"connect_timeout": max(2, math.ceil(seconds))}


async def _value(given: Any | Callable[[], Any]) -> Any:
    """Newer pools take functions where older ones take values, so that passwords can change."""
    value = _value_now(given)
    return await value if inspect.isawaitable(value) else value


def _value_now(given: Any | Callable[[], Any]) -> Any:
    return given() if callable(given) else given
