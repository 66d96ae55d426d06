"""Where a measurement puts its memories: an embedded server of its own, or a database that the caller names."""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Iterator, Mapping
from typing import Any

import psycopg
from psycopg import sql

from devtools.errors import SetupError
from devtools.servers import embedded_server

Connection = psycopg.Connection[tuple[Any, ...]]

_DATABASE = "measured"


def add_database_options(parser: argparse.ArgumentParser) -> None:
    """Add --dsn and --major, the choice between a database of the caller's and an embedded server."""
    parser.add_argument(
        "--dsn",
        help="connection string of a database with vector, gravity_memory and an empty gravity_map; what is loaded is "
        "deleted afterwards (default: an embedded PostgreSQL of its own)",
    )
    parser.add_argument("--major", type=int, choices=(16, 18), default=18, help="embedded PostgreSQL (default: 18)")


@contextlib.contextmanager
def measured_database(
    dsn: str | None, dimensions: int, user_prefix: str, *, major: int = 18, settings: Mapping[str, str] | None = None
) -> Iterator[Connection]:
    """A connection, in autocommit, to a database with gravity_memory and no memories.

    Args:
        dsn: of a database that is there; the memories of users with the prefix are deleted from it at the end. None
            starts an embedded server, which is removed at the end.
        dimensions: of gravity_map.embedding.
        user_prefix: what the users' names begin with, of whom the measurement will store memories.
        major: version of the embedded server, 16 or 18.
        settings: lines for the embedded server's postgresql.conf.

    Raises:
        SetupError: the database has memories, or embeddings of another dimension, or lacks gravity_memory.
        ServerError: the embedded server did not start.
    """
    if dsn is None:
        with embedded_server(major, settings=settings) as server:
            server.create_database(_DATABASE, extensions=["vector"])
            with server.connect(_DATABASE) as connection:
                connection.execute(
                    sql.SQL("SET gravity_memory.embedding_dimensions = {}").format(sql.Literal(dimensions))
                )
                connection.execute("CREATE EXTENSION gravity_memory")
                yield connection
        return
    with psycopg.connect(dsn, autocommit=True) as connection:
        _require_room(connection, dimensions)
        try:
            yield connection
        finally:
            if not connection.broken:
                connection.execute("DELETE FROM gravity_map WHERE starts_with(user_id, %s)", (user_prefix,))


def _require_room(connection: Connection, dimensions: int) -> None:
    found = connection.execute(
        "SELECT atttypmod FROM pg_attribute WHERE attrelid = to_regclass('gravity_map') AND attname = 'embedding'"
    ).fetchone()
    if found is None:
        raise SetupError("There is no gravity_map in that database: CREATE EXTENSION gravity_memory CASCADE makes it.")
    if found[0] != dimensions:
        raise SetupError(
            f"gravity_map.embedding has {found[0]} dimensions, this measurement {dimensions}. Before CREATE EXTENSION: "
            f"SET gravity_memory.embedding_dimensions = {dimensions}"
        )
    if connection.execute("SELECT FROM gravity_map LIMIT 1").fetchone() is not None:
        raise SetupError("gravity_map is not empty: give this measurement a database of its own.")


def vacuum(connection: Connection) -> None:
    """What autovacuum does within a minute on a running server; index-only scans and plans depend on it."""
    for table in ("gravity_map", "memory_digests", "memory_postings"):
        connection.execute(sql.SQL("VACUUM ANALYZE {}").format(sql.Identifier(table)))
