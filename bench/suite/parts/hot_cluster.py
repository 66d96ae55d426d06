"""The worst case for building arcs: all memories are of one user and one emotion, and of high gravity."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from bench.databases import Connection
from bench.suite.bench import Bench
from bench.suite.contestants import GRAVITY, SPEC, Contestant, build, create_spec_embedding_indexes, create_tables, use
from bench.suite.copies import set_triggers
from bench.suite.part import Part
from bench.suite.results import Cell, Goal, Plot, Result, Table
from bench.suite.scales import Scale

_STATEMENT, _SINGLE = "one statement", "single inserts"
_AT_MOST = 2.0
_GROWTH_FROM = 5.0
"""The largest size must be so many times the smallest for a growth to show."""
_REPEATED_UP_TO = 10_000
"""Larger ones take so long that chance evens out within a run."""
_SPEC_UP_TO = 10_000
"""Each row counts all that are there: 50,000 would take the specification some half an hour."""

_COPIED = "thread_id, session_id, memory_trace_id, content, entities, metadata, embedding"
_INSERT = f"""
    INSERT INTO gravity_map (user_id, emotion_type, gravity_score, created_at, {_COPIED})
    SELECT 'user-hot', 'joy', 0.8 + mod(n, 20) / 100.0, now() - make_interval(secs => %(all)s - n), {_COPIED}
    FROM source.memories
"""  # noqa: S608 - names are ours


@dataclass(frozen=True)
class _Arm:
    name: str
    contestant: Contestant
    triggers: bool


_ARMS = (_Arm(GRAVITY.name, GRAVITY, True), _Arm(SPEC.name, SPEC, True), _Arm("no triggers", GRAVITY, False))


class HotCluster(Part):
    """Cost of a row at each number of rows, in one statement and one by one."""

    name: ClassVar[str] = "hot_cluster"
    title: ClassVar[str] = "A hot cluster"

    def __init__(self) -> None:
        self._found: dict[tuple[str, str, int], float] = {}

    def sizes(self, scale: Scale) -> tuple[int, ...]:
        """None: the tables are empty before each run."""
        return ()

    def result(self, bench: Bench) -> Result:
        """Every size in every arm, in turn."""
        scale = bench.scale
        plan = [(way, size, arm) for size in scale.hot for way in _WAYS for arm in _ARMS if _wanted(size, arm)]
        with _connections(bench) as connections, bench.progress() as progress:
            task = progress.add_task("hot cluster", total=len(plan))
            for way, size, arm in plan:
                # What is quadratic is slow enough to need no repetition.
                times = scale.repeat if size <= _REPEATED_UP_TO and arm.contestant != SPEC else 1
                figures = [_run(connections[arm], way, size, arm) for _ in range(times)]
                self._found[way, arm.name, size] = statistics.median(figures)
                progress.advance(task)
        return Result(
            part=self.name,
            title=self.title,
            method=(
                "Memories of one user and one emotion, a second apart, all with a gravity from 0.8 to 1, are "
                "written into empty tables: in one statement, and as single inserts that each commit "
                f"(synchronous_commit = off, so that the flush of the disk hides nothing). Median of {scale.repeat} "
                f"up to {_REPEATED_UP_TO:,} rows, once for the specification. Without triggers means "
                f"{GRAVITY.name}'s tables and indexes after DISABLE TRIGGER USER."
            ),
            tables=tuple(self._table(scale, way) for way in _WAYS),
            goals=tuple(self._goal(scale, way) for way in _WAYS),
            plots=tuple(self._plot(scale, way) for way in _WAYS),
        )

    def _growth(self, scale: Scale, way: str, arm: str) -> float | None:
        costs = [self._found[way, arm, size] for size in scale.hot if (way, arm, size) in self._found]
        return costs[-1] / costs[0] if len(costs) > 1 else None

    def _table(self, scale: Scale, way: str) -> Table:
        rows: list[tuple[Cell, ...]] = []
        for arm in _ARMS:
            costs = [self._found.get((way, arm.name, size)) for size in scale.hot]
            rows.append((arm.name, *costs, self._growth(scale, way, arm.name)))
        header = ("triggers", *(f"ms per row, {size:,} rows" for size in scale.hot), "growth")
        missing = any(not _wanted(size, arm) for size in scale.hot for arm in _ARMS)
        note = (
            f"More than {_SPEC_UP_TO:,} rows are left out for the specification, whose cost of a row grows with their "
            "number; growth is to the largest number measured."
            if missing
            else ""
        )
        return Table(way.capitalize(), header, tuple(rows), note)

    def _goal(self, scale: Scale, way: str) -> Goal:
        sizes = f"from {scale.hot[0]:,} to {scale.hot[-1]:,} memories"
        growth, theirs = (self._growth(scale, way, arm) for arm in (GRAVITY.name, SPEC.name))
        assert growth is not None
        largest = max((size for size in scale.hot if (way, SPEC.name, size) in self._found), default=0)
        compared = "" if theirs is None else f" (the specification: {theirs:.2f} to {largest:,})"
        tells = scale.hot[-1] / scale.hot[0] >= _GROWTH_FROM and scale.hot[0] >= 1_000
        return Goal(
            f"growth of a row's cost, {way}, {sizes}",
            f"at most {_AT_MOST:.0f} times",
            f"{growth:.2f} times{compared}",
            growth <= _AT_MOST if tells else None,
        )

    def _plot(self, scale: Scale, way: str) -> Plot:
        series: dict[str, tuple[tuple[float | str, float], ...]] = {
            arm.name: tuple(
                (size, self._found[way, arm.name, size]) for size in scale.hot if (way, arm.name, size) in self._found
            )
            for arm in _ARMS
        }
        name = f"hot-cluster-{way.replace(' ', '-')}"
        return Plot(name, f"Hot cluster, {way}", "memories", "ms per row", series, log_x=True, log_y=True)


def _wanted(size: int, arm: _Arm) -> bool:
    return arm.contestant != SPEC or size <= _SPEC_UP_TO


@contextlib.contextmanager
def _connections(bench: Bench) -> Iterator[dict[_Arm, Connection]]:
    """A database per arm with source.memories and the contestant's empty tables, and a session in each."""
    with contextlib.ExitStack() as stack:
        source = stack.enter_context(bench.database("hot_source"))
        bench.make_source(source, max(bench.scale.hot), bench.scale.dimensions)
        source.close()
        connections = {}
        for number, arm in enumerate(_ARMS):
            name = f"hot_{number}"
            bench.server.drop_database(name)
            stack.callback(bench.server.drop_database, name)
            bench.server.create_database(name, template="hot_source")
            connection = stack.enter_context(bench.server.connect(name))
            create_tables(connection, arm.contestant, bench.scale.dimensions)
            if arm.contestant == SPEC:
                create_spec_embedding_indexes(connection)
            build(connection, arm.contestant, lambda _: None)
            use(connection, arm.contestant)
            if not arm.triggers:
                set_triggers(connection, ())
            connection.execute("SET synchronous_commit = off")
            connections[arm] = connection
        yield connections


def _run(connection: Connection, way: str, size: int, arm: _Arm) -> float:
    """Milliseconds per row, in empty tables."""
    connection.execute("TRUNCATE gravity_map, memory_arcs, memory_arc_associations")
    began = time.perf_counter()
    _WAYS[way](connection, size)
    took = 1000 * (time.perf_counter() - began) / size
    query = "SELECT (SELECT count(*) FROM gravity_map), (SELECT count(*) FROM memory_arc_associations)"
    found = connection.execute(query.encode()).fetchone()
    # All of them are linked but, by the specification, the two that stood there before there were three.
    linked = 0 if not arm.triggers else size if arm.contestant == GRAVITY else None
    assert found is not None
    assert found[0] == size
    assert found[1] == linked or (linked is None and found[1] > 0), found
    return took


def _in_one_statement(connection: Connection, size: int) -> None:
    connection.execute(f"{_INSERT} WHERE n < %(size)s ORDER BY n".encode(), {"size": size, "all": size})


def _one_by_one(connection: Connection, size: int) -> None:
    statement = f"{_INSERT} WHERE n = %(n)s".encode()
    for number in range(size):
        connection.execute(statement, {"n": number, "all": size}, prepare=True)


_WAYS: dict[str, Callable[[Connection, int], None]] = {_STATEMENT: _in_one_statement, _SINGLE: _one_by_one}
