"""What each index costs when rows are written and on disk, and what it is worth to the query that it is there for."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from psycopg import sql

from bench.databases import Connection
from bench.suite.bench import Bench, Stage
from bench.suite.contestants import GRAVITY, use
from bench.suite.part import Part
from bench.suite.plans import Index, Plan, Probe, catalogue, explain, probes
from bench.suite.results import Cell, Goal, Plot, Result, Table
from bench.timing import processor_milliseconds

_SINGLES = 200
_BATCH = 10 * _SINGLES
"""Rows inserted one by one, and in one statement; of a table that has few, fewer."""
_JUDGED_FROM = 100_000

_HNSW = Index("HNSW instead of ivfflat", "gravity_map", False, "USING hnsw (embedding vector_cosine_ops)", "", False)
"""What embedding_index = hnsw builds."""

# Row by row on the server: a client's way to it and back would be most of the time.
_ONE_BY_ONE = """
DO $$
DECLARE
    v_row {schema}.{table};
BEGIN
    FOR v_row IN SELECT * FROM {schema}.{table} LOOP
        INSERT INTO {schema}.{target} VALUES (v_row.*);
    END LOOP;
END
$$
"""


@dataclass
class _Cost:
    """What one index costs.

    Attributes:
        size: bytes in the stage.
        rows: in its table there.
        batch, single: microseconds of processor time that it adds to a row, in a statement of many rows and of one.
        batch_share: what it adds to a batch, relative to a table with the primary key only.
    """

    size: int
    rows: int
    batch: float = 0.0
    single: float = 0.0
    batch_share: float = 0.0


class Indexes(Part):
    """Each index on its own."""

    name: ClassVar[str] = "indexes"
    title: ClassVar[str] = "What each index costs, and what it gives"

    def __init__(self) -> None:
        self._memories = 0
        self._indexes: list[Index] = []
        self._costs: dict[str, _Cost] = {}
        self._base = 0
        self._hnsw: _Cost | None = None
        self._with: dict[tuple[str, str], Plan] = {}
        self._without: dict[tuple[str, str], Plan] = {}

    def measure(self, bench: Bench, stage: Stage) -> None:
        """Sizes, plans with and without each index, then inserts."""
        self._memories = stage.memories
        self._base = min(bench.scale.bulk_base, stage.memories)
        with bench.server.connect(stage.database) as connection, bench.progress() as progress:
            use(connection, GRAVITY)
            self._indexes = catalogue(connection)
            asked = probes(connection)
            task = progress.add_task("indexes", total=2 * len(self._indexes) + 1)
            for index in self._indexes:
                self._costs[index.name] = _size(connection, index)
                self._plan(connection, index, asked)
                progress.advance(task)
            rounds = 2 * bench.scale.repeat + 1
            copies = _Copies("", (), ())
            for index in sorted(self._indexes, key=lambda one: one.table):
                if index.table != copies.table:
                    copies = _copy(connection, index.table, self._base, rounds)
                _insert(connection, index, copies, self._costs[index.name], rounds)
                progress.advance(task)
            copies = _copy(connection, "gravity_map", self._base, rounds)
            self._hnsw = _Cost(0, self._base)
            # One row takes milliseconds, so that one round tells.
            self._hnsw.size = _insert(connection, _HNSW, copies, self._hnsw, 1)
            progress.advance(task)
            connection.execute("DROP SCHEMA indexed CASCADE")

    def _plan(self, connection: Connection, index: Index, asked: dict[str, Probe]) -> None:
        for user, probe in index.users(asked).items():
            self._with[index.name, user] = explain(connection, index.statement, probe)
        with _without(connection, index):
            for user, probe in index.users(asked).items():
                self._without[index.name, user] = explain(connection, index.statement, probe)

    def result(self, bench: Bench) -> Result:
        """A table of costs and one of worth."""
        return Result(
            part=self.name,
            title=self.title,
            method=(
                f"Sizes and plans: {self._memories:,} memories, as in the part on the catalogue. Inserts: into a "
                f"copy of at most {self._base:,} rows of the table with nothing but its primary key, and into "
                f"another such copy with the index, in turn; batches of {_BATCH:,} rows, and {_SINGLES} rows one by "
                f"one in one transaction. A figure is the median of {2 * bench.scale.repeat + 1} differences in "
                "processor time, in microseconds a row; what lies within a microsecond or two of zero is noise. "
                "The work that GIN puts off is included. Without it: the same query when the index alone is "
                "dropped, in a transaction that is taken back."
            ),
            tables=(self._cost_table(), self._worth_table()),
            goals=self._goals(),
            plots=self._plots(),
        )

    def _cost_table(self) -> Table:
        rows: list[tuple[Cell, ...]] = []
        for index in self._indexes:
            cost = self._costs[index.name]
            rows.append(
                (
                    index.name,
                    f"`{index.definition}`",
                    "yes" if index.in_spec else "no",
                    cost.rows,
                    cost.size / 2**20,
                    cost.size / max(cost.rows, 1) * 1e6 / 2**20,
                    cost.batch,
                    cost.single,
                    f"{100 * cost.batch_share:+.0f} %",
                )
            )
        if self._hnsw is not None:
            one = self._hnsw
            size = (one.size / 2**20, one.size / one.rows * 1e6 / 2**20)
            rows.append(
                (
                    _HNSW.name,
                    f"`{_HNSW.definition}`",
                    "no",
                    one.rows,
                    *size,
                    one.batch,
                    one.single,
                    f"{100 * one.batch_share:+.0f} %",
                )
            )
        header = (
            "index",
            "definition",
            "named by the specification",
            "rows of its table",
            "MB",
            "MB per million rows",
            "µs a row, batch",
            "µs a row, single",
            "batch, against none but the primary key",
        )
        return Table("Cost", header, tuple(rows))

    def _worth_table(self) -> Table:
        rows: list[tuple[Cell, ...]] = []
        for (name, user), plan in self._with.items():
            bare = self._without[name, user]
            others = ", ".join(sorted(bare.indexes)) or "none"
            rows.append(
                (
                    name,
                    user,
                    "yes" if name in plan.indexes else "no",
                    plan.milliseconds,
                    bare.milliseconds,
                    plan.pages,
                    bare.pages,
                    others,
                    str(bare),
                )
            )
        header = (
            "query of",
            "user",
            "it is taken",
            "ms with it",
            "ms without it",
            "pages with it",
            "pages without it",
            "index taken instead",
            "plan without it",
        )
        return Table(
            "Worth to the query that it is there for",
            header,
            tuple(rows),
            "Times are of execution on the server, warm.",
        )

    def _plots(self) -> tuple[Plot, ...]:
        def points(values: dict[str, float]) -> tuple[tuple[float | str, float], ...]:
            return tuple((name.removeprefix("idx_"), value) for name, value in values.items())

        size = {
            i.name: self._costs[i.name].size / max(self._costs[i.name].rows, 1) * 1e6 / 2**20 for i in self._indexes
        }
        batch = {i.name: max(self._costs[i.name].batch, 0.1) for i in self._indexes}
        return (
            Plot(
                "indexes-size",
                "Size of each index",
                "",
                "MB per million rows",
                {"size": points(size)},
                kind="dots",
                log_y=True,
            ),
            Plot(
                "indexes-inserts",
                "What each index adds to an insert, in batches",
                "",
                "microseconds a row (at 0.1: too little to tell)",
                {"batch": points(batch)},
                kind="dots",
                log_y=True,
            ),
        )

    def _goals(self) -> tuple[Goal, ...]:
        ours = [index for index in self._indexes if not index.in_spec]
        taken = {name for plan in self._with.values() for name in plan.indexes}
        idle = [index.name for index in ours if index.name not in taken]
        met = not idle if self._memories >= _JUDGED_FROM else None
        return (
            Goal(
                "indexes that the specification does not name and no catalogue query uses",
                "none",
                f"{len(idle) or 'none'} of {len(ours)}",
                met,
                ", ".join(idle),
            ),
        )


def _size(connection: Connection, index: Index) -> _Cost:
    statement = sql.SQL("SELECT pg_relation_size(to_regclass(%s)), (SELECT count(*) FROM {})").format(
        sql.Identifier(index.table)
    )
    row = connection.execute(statement, (index.name,)).fetchone()
    assert row is not None
    size, rows = row
    assert size is not None, f"{index.name} is not there"
    return _Cost(size, rows)


@contextlib.contextmanager
def _without(connection: Connection, index: Index) -> Iterator[None]:
    """As if the index were not there, for this session."""
    with connection.transaction(force_rollback=True):
        connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(index.name)))
        yield


@dataclass(frozen=True)
class _Copies:
    """The copies of a table in the schema `indexed`.

    Attributes:
        table: what they are copies of.
        batches: numbers of rows in each of the tables of new rows that are inserted in one statement.
        singles: the same of the rows that are inserted one by one; both have an entry for each round, or none, when the
            table has hardly any rows.
    """

    table: str
    batches: tuple[int, ...]
    singles: tuple[int, ...]


def _copy(connection: Connection, table: str, base: int, rounds: int) -> _Copies:
    """Make two copies of a table with its primary key, which lack its last rows, and tables of those rows."""
    key = connection.execute(
        "SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = to_regclass(%s) AND contype = 'p'",
        (table,),
    ).fetchone()
    total = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))).fetchone()
    assert key is not None
    assert total is not None
    new = min(_BATCH + _SINGLES, total[0] // (2 * rounds))
    singles = new * _SINGLES // (_BATCH + _SINGLES)
    kept = total[0] - new * rounds
    parts = {name: (min(base, kept), kept - min(base, kept)) for name in ("bare", "having")}
    for number in range(rounds):
        parts[f"batch_{number}"] = (new - singles, kept + number * new)
        parts[f"single_{number}"] = (singles, kept + number * new + new - singles)
    for statement in (
        "SET client_min_messages = warning",
        # Rows come in the order in which they were written, the newest last.
        "SET synchronize_seqscans = off",
        "SET max_parallel_workers_per_gather = 0",
        "DROP SCHEMA IF EXISTS indexed CASCADE",
        "CREATE SCHEMA indexed",
    ):
        connection.execute(statement)
    for name, (limit, offset) in parts.items():
        connection.execute(f"CREATE TABLE indexed.{name} (LIKE {table} INCLUDING DEFAULTS)".encode())
        rows = f"SELECT * FROM {table} LIMIT {limit} OFFSET {offset}"  # noqa: S608 - names are ours
        connection.execute(f"INSERT INTO indexed.{name} {rows}".encode())
    for name in ("bare", "having"):
        connection.execute(f"ALTER TABLE indexed.{name} ADD {key[0]}".encode())
    connection.execute("RESET synchronize_seqscans")
    connection.execute("RESET max_parallel_workers_per_gather")
    connection.execute("VACUUM ANALYZE indexed.bare")
    connection.execute("VACUUM ANALYZE indexed.having")
    some = rounds if singles else 0
    return _Copies(table, (new - singles,) * some, (singles,) * some)


def _insert(connection: Connection, index: Index, copies: _Copies, cost: _Cost, rounds: int) -> int:
    """Put the index on one of the copies, insert into both in turn, note the difference, and take all of it back.

    Returns:
        The size of the index on the copy, in bytes.
    """
    unique = "UNIQUE " if index.is_unique else ""
    connection.execute(f"CREATE {unique}INDEX measured ON indexed.having {index.definition}".encode())
    row = connection.execute("SELECT pg_relation_size('indexed.measured')").fetchone()
    assert row is not None
    is_gin = index.definition.startswith("USING gin")
    many: dict[str, list[float]] = {"bare": [], "having": []}
    singly: dict[str, list[float]] = {"bare": [], "having": []}
    for number, (batch, singles) in enumerate(list(zip(copies.batches, copies.singles, strict=True))[:rounds]):
        # Whoever comes first finds the rows to be inserted in a colder cache.
        for name in ("bare", "having") if number % 2 else ("having", "bare"):
            clean = is_gin and name == "having"
            statement = f"INSERT INTO indexed.{name} SELECT * FROM indexed.batch_{number}"  # noqa: S608 - names are ours
            many[name].append(_microseconds(connection, statement, clean) / batch)
            statement = _ONE_BY_ONE.format(schema="indexed", table=f"single_{number}", target=name)
            singly[name].append(_microseconds(connection, statement, clean) / singles)
    connection.execute("DROP INDEX indexed.measured")
    for name in ("bare", "having"):
        for number in range(len(many[name])):
            for source in ("batch", "single"):
                _take_back(connection, name, f"{source}_{number}")
        connection.execute(f"VACUUM (TRUNCATE on) indexed.{name}".encode())
    if many["bare"]:
        cost.batch = float(np.median(np.subtract(many["having"], many["bare"])))
        cost.single = float(np.median(np.subtract(singly["having"], singly["bare"])))
        cost.batch_share = cost.batch / float(np.median(many["bare"]))
    return int(row[0])


def _take_back(connection: Connection, target: str, source: str) -> None:
    """Delete from a copy what was inserted from a table of new rows, by its primary key."""
    row = connection.execute(
        "SELECT array_agg(a.attname::text) FROM pg_index AS i JOIN pg_attribute AS a ON a.attrelid = i.indrelid"
        " AND a.attnum = ANY ((i.indkey::smallint[])[0:i.indnkeyatts - 1])"
        " WHERE i.indrelid = to_regclass(%s) AND i.indisprimary",
        (f"indexed.{target}",),
    ).fetchone()
    assert row is not None
    condition = " AND ".join(f"t.{name} = s.{name}" for name in row[0])
    statement = f"DELETE FROM indexed.{target} AS t USING indexed.{source} AS s WHERE {condition}"  # noqa: S608 - names are ours
    connection.execute(statement.encode())


def _microseconds(connection: Connection, statement: str, clean: bool) -> float:
    """Processor time of the server's process for a statement; wall time where /proc does not tell."""
    process = connection.info.backend_pid
    before, began = processor_milliseconds(process), time.perf_counter()
    connection.execute(statement.encode())
    if clean:
        connection.execute("SELECT gin_clean_pending_list('indexed.measured')")
    wall = 1000 * (time.perf_counter() - began)
    after = processor_milliseconds(process)
    return 1000 * (wall if before is None or after is None else after - before)
