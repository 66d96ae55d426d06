"""The three that are compared: this extension, the specification's SQL as written, and plain pgvector.

Each has its tables in a schema of its own, in the same database, and is filled from source.memories. The tables are
alike; what differs is what stands on them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from psycopg import sql

from bench.databases import Connection
from bench.suite.source import COLUMNS, TAGGED
from devtools import REPO


@dataclass(frozen=True)
class Contestant:
    """One way to store memories.

    Attributes:
        name: as reports show it.
        schema: where its tables are.
    """

    name: str
    schema: str


GRAVITY = Contestant("gravity_memory", "gravity")
SPEC = Contestant("the specification", "spec")
PLAIN = Contestant("plain pgvector", "plain")
CONTESTANTS = (GRAVITY, SPEC, PLAIN)

Say = Callable[[str], None]

_SPECIFICATION = REPO / "tests/adoption"

# Whose arcs are built after loading: the rest have few memories each, and there are very many of them.
_USERS_WITH_ARCS = 1_000

_TABLES = (
    "gravity_map",
    "memory_arcs",
    "memory_arc_associations",
    "consciousness_cache",
    "active_sessions",
    "pattern_matrix",
)
_INDEXES = """
    SELECT format('DROP INDEX %%I.%%I', schemaname, indexname) FROM pg_indexes
    WHERE schemaname = %(schema)s
      AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = format('%%I.%%I', schemaname, indexname)::regclass)
"""
_OTHER_TABLES = """
    SELECT format('DROP TABLE %%I.%%I', schemaname, tablename) FROM pg_tables
    WHERE schemaname = %(schema)s AND tablename <> ALL (%(tables)s)
"""


def use(connection: Connection, contestant: Contestant) -> None:
    """Make a contestant's tables the ones that unqualified names mean in this session. pgvector is in public."""
    connection.execute(sql.SQL("SET search_path = {}, public").format(sql.Identifier(contestant.schema)))


def create_tables(connection: Connection, contestant: Contestant, dimensions: int) -> None:
    """Create a contestant's empty tables with their keys and nothing else on them, and `use` them.

    They are what gravity_memory_setup() creates, so that all three have the same columns, types and defaults. Beside
    gravity_memory's own tables of that database, it can be called before or after those are there.
    """
    parameters = {"schema": contestant.schema, "tables": list(_TABLES)}
    schema = sql.Identifier(contestant.schema)
    owned = connection.execute(
        "SELECT extnamespace::regnamespace::text FROM pg_extension WHERE extname = 'gravity_memory'"
    )
    assert owned.fetchone() is None, "create the tables of all contestants before gravity_memory is created"
    connection.execute("SET client_min_messages = warning")
    connection.execute(sql.SQL("CREATE SCHEMA {}").format(schema))
    connection.execute(sql.SQL("SET gravity_memory.embedding_dimensions = {}").format(sql.Literal(dimensions)))
    connection.execute(sql.SQL("CREATE EXTENSION gravity_memory SCHEMA {}").format(schema))
    connection.execute("DROP EXTENSION gravity_memory CASCADE")
    for query in (_INDEXES, _OTHER_TABLES):
        for (statement,) in connection.execute(query.encode(), parameters).fetchall():
            connection.execute(statement)
    use(connection, contestant)


def fill(connection: Connection, contestant: Contestant, condition: str = "true") -> float:
    """Copy memories from source.memories in the order of time; the triggers do not fire. Returns seconds.

    Args:
        connection: to the database of both.
        contestant: whose gravity_map is filled.
        condition: on source.memories, which ones; SQL.
    """
    began = time.perf_counter()
    connection.execute("SET session_replication_role = replica")
    columns = f"{COLUMNS}, {TAGGED}"
    connection.execute(
        f"INSERT INTO {contestant.schema}.gravity_map ({columns}) "  # noqa: S608 - names are ours
        f"SELECT {columns} FROM source.memories WHERE {condition} ORDER BY n".encode()
    )
    connection.execute("RESET session_replication_role")
    seconds = time.perf_counter() - began
    # As autovacuum does within a minute: what is built next goes by the number of rows.
    connection.execute(f"ANALYZE {contestant.schema}.gravity_map".encode())
    return seconds


def build(
    connection: Connection,
    contestant: Contestant,
    say: Say,
    *,
    embeddings: bool = True,
    derived: bool = True,
    ended: Say = lambda _: None,
) -> dict[str, float]:
    """Put on a filled table what the contestant puts there: indexes, triggers, derived rows, arcs. Vacuums at the end.

    Args:
        connection: to the database.
        contestant: whose tables are there and filled; `use` is called for it.
        say: told what is being done.
        embeddings: also the indexes on the embedding.
        derived: for this extension, also what recall reads, and arcs.
        ended: told each step when it has ended.

    Returns:
        Seconds of each step, in order, by what it was.
    """
    use(connection, contestant)
    connection.execute("SET client_min_messages = warning")
    steps = {GRAVITY: _build_gravity, SPEC: _build_spec, PLAIN: _build_plain}[contestant](embeddings, derived)
    seconds: dict[str, float] = {}
    for what, statements in steps:
        say(f"{contestant.name}: {what}")
        began = time.perf_counter()
        for statement in statements(connection):
            connection.execute(statement.encode())
        seconds[what] = time.perf_counter() - began
        ended(what)
    return seconds


_Step = tuple[str, Callable[[Connection], list[str]]]


def _build_gravity(embeddings: bool, derived: bool) -> list[_Step]:
    steps: list[_Step] = [
        ("CREATE EXTENSION", lambda _: ["CREATE EXTENSION gravity_memory SCHEMA gravity"]),
        ("gravity_memory_index_ddl()", lambda c: _column(c, "SELECT ddl FROM gravity_memory_index_ddl() AS ddl")),
    ]
    if derived:
        # It commits for every user, and what a crash took back would be derived again.
        rebuild = [
            "SET synchronous_commit = off",
            "CALL gravity_memory_rebuild_recall(2000)",
            "RESET synchronous_commit",
        ]
        steps.append(("gravity_memory_rebuild_recall()", lambda _: rebuild))
        steps.append((f"gravity_memory_rebuild_arcs(), {_USERS_WITH_ARCS:,} users", lambda _: [_REBUILD_ARCS]))
    if embeddings:
        statement = "SELECT ddl FROM gravity_memory_vector_index_ddl() AS ddl"
        steps.append(("gravity_memory_vector_index_ddl()", lambda c: _column(c, statement)))
    tables = "SELECT format('VACUUM ANALYZE gravity.%I', tablename) FROM pg_tables WHERE schemaname = 'gravity'"
    steps.append(("VACUUM ANALYZE", lambda c: _column(c, tables)))
    return steps


_REBUILD_ARCS = f"""
    SELECT sum(gravity_memory_rebuild_arcs(user_id))
    FROM (SELECT user_id FROM gravity_map GROUP BY user_id ORDER BY count(*) DESC LIMIT {_USERS_WITH_ARCS}) AS u
"""  # noqa: S608 - a number of ours


def _build_spec(embeddings: bool, _derived: bool) -> list[_Step]:
    return [
        ("indexes", lambda _: [one for one in spec_indexes() if embeddings or "ivfflat" not in one]),
        ("triggers", lambda _: [spec_triggers()]),
        ("VACUUM ANALYZE", lambda _: ["VACUUM ANALYZE gravity_map"]),
    ]


def _build_plain(embeddings: bool, _derived: bool) -> list[_Step]:
    steps: list[_Step] = [("index on user_id", lambda _: ["CREATE INDEX ON gravity_map (user_id)"])]
    if embeddings:
        hnsw = "CREATE INDEX gravity_map_hnsw ON gravity_map USING hnsw (embedding vector_cosine_ops)"
        steps.append(("HNSW index", lambda _: [hnsw]))
    steps.append(("VACUUM ANALYZE", lambda _: ["VACUUM ANALYZE gravity_map"]))
    return steps


def spec_triggers() -> str:
    """The specification's functions and triggers; unqualified names in them mean what search_path says."""
    return (_SPECIFICATION / "specification_triggers.sql").read_text(encoding="utf-8")


def spec_indexes() -> list[str]:
    """The specification's CREATE INDEX statements, one by one; the ivfflat ones name 100 lists."""
    text = (_SPECIFICATION / "specification_indexes.sql").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    statements = [one.strip() for one in "\n".join(lines).split(";")]
    return [one for one in statements if one.startswith("CREATE INDEX")]


def create_spec_embedding_indexes(connection: Connection) -> None:
    """The specification's two ivfflat indexes, for an empty table: that is when its migrations run.

    Its other indexes are the same whether they are built before or after the rows are there, and `build` makes them
    after.
    """
    use(connection, SPEC)
    connection.execute("SET client_min_messages = warning")
    for statement in spec_indexes():
        if "ivfflat" in statement:
            connection.execute(statement.encode())


def _column(connection: Connection, query: str) -> list[str]:
    return [str(row[0]) for row in connection.execute(query.encode()).fetchall()]
