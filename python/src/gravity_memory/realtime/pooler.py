"""PgBouncer and its like: LISTEN works through them only where a client keeps its connection to the server."""

from __future__ import annotations

import asyncio
import logging

import psycopg
from psycopg import sql

from gravity_memory.connections import Connector
from gravity_memory.errors import ConnectionLost, ListenUnavailable
from gravity_memory.realtime.link import Alarm, Link

logger = logging.getLogger("gravity_memory")

_PROBE_SECONDS = 5.0
"""How long a second connection may take: a pooler in session mode that has none left keeps it waiting."""


def unavailable() -> ListenUnavailable:
    """The error that says so."""
    return ListenUnavailable(
        "notifications cannot arrive here: a pooler in transaction mode gives every transaction another connection",
        hint="Subscribe over a direct connection, or a pool in session mode: pass its connection string as "
        "listen_conninfo. Queries may stay where they are.",
    )


async def server_pid(link: Link) -> int:
    """The process id of the server's side of the connection, as it says itself."""
    rows = await link.execute(sql.SQL("SELECT pg_catalog.pg_backend_pid()"))
    return int(rows[0][0])


async def refuse_transaction_pooling(link: Link, connector: Connector) -> int:
    """Find out whether the connection is ours alone before LISTEN is said on it; the server's process id.

    A pooler makes up the process id that a client is told when it connects. Behind one, a second connection opens a
    transaction: in transaction mode it gets the server's side that we used last, or we get another one meanwhile.

    Raises:
        ListenUnavailable: it is shared.
    """
    pid = await server_pid(link)
    if pid == link.connection.info.backend_pid:
        return pid
    other: Link | None = None
    try:
        try:
            async with asyncio.timeout(_PROBE_SECONDS):
                connection = await connector.connect()
            other = Link(connection, _PROBE_SECONDS, Alarm(), _ignore)
            await other.execute(sql.SQL("BEGIN"))
            other_pid = await server_pid(other)
        except (TimeoutError, ConnectionLost, psycopg.Error) as error:
            # Every look compares the process ids again.
            logger.debug("no second connection to compare with: %s", error)
            return pid
        # In this order: when there is one connection only, the other has it, and we would wait for it.
        if other_pid == pid or await server_pid(link) != pid:
            raise unavailable()
    finally:
        if other is not None:
            await other.close()
    return pid


def _ignore(_: psycopg.Notify) -> None:
    pass
