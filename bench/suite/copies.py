"""Databases with one contestant each, and copies of them, so that every run starts from the same state."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from psycopg import sql

from bench.databases import Connection
from bench.suite.bench import Bench
from bench.suite.contestants import (
    GRAVITY,
    SPEC,
    Contestant,
    build,
    create_spec_embedding_indexes,
    create_tables,
    fill,
    use,
)
from bench.suite.source import COLUMNS

SPARE = "source.spare"
"""In a filled database, the memories of source.memories that are not in gravity_map; n counts from 0."""

# Copying files makes two checkpoints, which small databases are not worth.
_COPY_FILES_FROM = 10_000

_DERIVED = ("memory_digests", "memory_postings", "memory_arcs", "memory_arc_associations")


@contextlib.contextmanager
def filled_databases(
    bench: Bench, contestants: tuple[Contestant, ...], base: int, spare: int, *, dimensions: int | None = None
) -> Iterator[dict[Contestant, str]]:
    """A database for each contestant with the first `base` memories and all that stands on them; nobody is connected.

    Args:
        bench: the run.
        contestants: which; the others' tables are not made.
        base: how many memories gravity_map holds.
        spare: how many more, the next ones in time, are in SPARE, to be inserted.
        dimensions: of embeddings; None means the scale's.

    Yields:
        The names of the databases.
    """
    dimensions = dimensions or bench.scale.dimensions
    with contextlib.ExitStack() as stack:
        with bench.database("filled_source") as connection:
            bench.make_source(connection, base + spare, dimensions)
            connection.close()
            names = {}
            for contestant in contestants:
                name = f"filled_{contestant.schema}"
                bench.server.drop_database(name)
                stack.callback(bench.server.drop_database, name)
                bench.server.create_database(name, template="filled_source")
                with bench.server.connect(name) as filled:
                    _fill(bench, filled, contestant, base, dimensions)
                names[contestant] = name
        yield names


def _fill(bench: Bench, connection: Connection, contestant: Contestant, base: int, dimensions: int) -> None:
    create_tables(connection, contestant, dimensions)
    if contestant == SPEC:
        create_spec_embedding_indexes(connection)
    bench.say(f"{contestant.name}: {base:,} memories are loaded")
    fill(connection, contestant, f"n < {base}")
    build(connection, contestant, lambda _: None)
    for statement in (
        f"CREATE UNLOGGED TABLE {SPARE} AS SELECT n - {base} AS n, {COLUMNS} "  # noqa: S608 - names are ours
        f"FROM source.memories WHERE n >= {base}",
        f"ALTER TABLE {SPARE} ADD PRIMARY KEY (n)",
        "DROP TABLE source.memories",
        f"VACUUM ANALYZE {SPARE}",
    ):
        connection.execute(statement.encode())


@contextlib.contextmanager
def copy_of(bench: Bench, database: str, contestant: Contestant) -> Iterator[Connection]:
    """A copy of a filled database, its pages in PostgreSQL's cache, and a new session in it that `use`s the contestant.

    A copy starts with an empty cache. To fill it, one memory is deleted and the tables are vacuumed, which reads every
    page of them and of their indexes.
    """
    name = "copied"
    strategy = sql.SQL("file_copy" if bench.scale.bulk_base >= _COPY_FILES_FROM else "wal_log")
    bench.server.drop_database(name)
    with bench.server.connect() as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY {}").format(
                sql.Identifier(name), sql.Identifier(database), strategy
            )
        )
    try:
        with bench.server.connect(name) as connection:
            use(connection, contestant)
            connection.execute("DELETE FROM gravity_map WHERE id = (SELECT id FROM gravity_map ORDER BY id LIMIT 1)")
            tables = ("gravity_map", *(_DERIVED if contestant == GRAVITY else ()))
            for table in tables:
                connection.execute(
                    sql.SQL("VACUUM (INDEX_CLEANUP on, BUFFER_USAGE_LIMIT 0) {}").format(sql.Identifier(table))
                )
            connection.execute(f"SELECT sum(length(s::text)) FROM {SPARE} AS s".encode())  # noqa: S608 - ours
        with bench.server.connect(name) as connection:
            use(connection, contestant)
            yield connection
    finally:
        bench.server.drop_database(name)


@contextlib.contextmanager
def server_settings(bench: Bench, **settings: str) -> Iterator[None]:
    """Settings of the whole server, as long as the block lasts; those only that need no restart."""
    with bench.server.connect() as connection:
        try:
            for name, value in settings.items():
                connection.execute(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
            connection.execute("SELECT pg_reload_conf()")
            yield
        finally:
            for name in settings:
                connection.execute(sql.SQL("ALTER SYSTEM RESET {}").format(sql.Identifier(name)))
            connection.execute("SELECT pg_reload_conf()")


def set_triggers(connection: Connection, enabled: tuple[str, ...] | None) -> None:
    """Leave only these triggers of gravity_map enabled; None enables all of them."""
    if enabled is None:
        connection.execute("ALTER TABLE gravity_map ENABLE TRIGGER USER")
        return
    connection.execute("ALTER TABLE gravity_map DISABLE TRIGGER USER")
    for name in enabled:
        connection.execute(sql.SQL("ALTER TABLE gravity_map ENABLE TRIGGER {}").format(sql.Identifier(name)))
