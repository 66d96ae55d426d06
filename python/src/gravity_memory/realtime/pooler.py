"""PgBouncer and its like: LISTEN works through them only where a client keeps its connection to the server."""

from __future__ import annotations

import asyncio
import contextlib
import logging

import psycopg

from gravity_memory.connections import AsyncRows, Connector
from gravity_memory.errors import GravityMemoryError, ListenUnavailable
from gravity_memory.realtime.link import Link

logger = logging.getLogger("gravity_memory")

_PROBE_SECONDS = 5.0
"""How long a second connection may take: a pooler in session mode that has none left keeps it waiting."""


def unavailable() -> ListenUnavailable:
    """The error that says so."""
    return ListenUnavailable(
        "notifications cannot arrive here: a pooler in transaction mode gives every transaction another connection",
        hint="Subscribe over a direct connection, or a pool in session mode: pass its connection string as listen_conninfo. "
        "Queries may stay where they are.",
    )


async def server_pid(link: Link) -> int:
    """The process id of the server's side of the connection, as it says itself."""
    rows = await link.execute("SELECT pg_catalog.pg_backend_pid()")
    return int(rows[0][0])


async def refuse_transaction_pooling(link: Link, connector: Connector) -> int:
    """Find out whether the connection is ours alone before LISTEN is said on it; the server's process id.

    A pooler makes up the process id that a client is told when it connects. Behind one, a second connection opens a
    transaction: in transaction mode it gets the server's side that we used last, or we get another one now.

    Raises:
        ListenUnavailable: it is shared.
    """
    pid = await server_pid(link)
    if pid == link.connection.info.backend_pid:
        return pid
    if await _pid_of_another(connector, link) == pid:
        raise unavailable()
    return pid


async def _pid_of_another(connector: Connector, link: Link) -> int | None:
    """The process id that a second connection has in a transaction; None when that cannot be found out.

    Raises:
        ListenUnavailable: while that transaction is open, our connection is on another server process than before.
    """
    before = await server_pid(link)
    other: AsyncRows | None = None
    try:
        async with asyncio.timeout(_PROBE_SECONDS):
            other = await connector.connect()
            await other.execute("BEGIN")
            row = await (await other.execute("SELECT pg_catalog.pg_backend_pid()")).fetchone()
        found = int(row[0]) if row else None
    except (TimeoutError, psycopg.Error) as error:
        # Every look compares the process ids again.
        logger.debug("no second connection to compare with: %s", error)
        found = None
    try:
        if found is not None and await server_pid(link) != before:
            raise unavailable()
    finally:
        if other is not None:
            with contextlib.suppress(psycopg.Error, GravityMemoryError):
                await other.close()
    return found
