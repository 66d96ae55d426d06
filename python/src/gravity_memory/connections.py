"""How connections are made: the pool for queries, and the single one that listens."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any, TypeAlias

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from gravity_memory.config import Config

AsyncRows: TypeAlias = psycopg.AsyncConnection[tuple[Any, ...]]
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
    """Makes connections of its own, outside of any pool, for listening.

    Args:
        source: a connection string, or the pool whose connection string is used.
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
        conninfo, further = self._source, dict[str, Any]()
        if not isinstance(conninfo, str):
            pool = conninfo
            conninfo = await _value(pool.conninfo)
            further = dict(await _value(pool.kwargs) or {})
            for name in _NOT_FOR_LISTENING:
                further.pop(name, None)
        arguments = {**parameters(conninfo, self._config), **further}
        # Some of what psycopg takes is no parameter of libpq.
        arguments |= {"autocommit": True, "prepare_threshold": None}
        return await psycopg.AsyncConnection.connect("", **arguments)


async def _value(given: Any | Callable[[], Any]) -> Any:
    """Newer pools take functions where older ones take values, so that passwords can change."""
    value = given() if callable(given) else given
    return await value if inspect.isawaitable(value) else value
