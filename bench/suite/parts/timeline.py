"""The specification's test query: a user's significant memories of the last seven days, newest first."""

from __future__ import annotations

import contextlib
from typing import ClassVar

from bench.suite.bench import Bench, Stage
from bench.suite.contestants import CONTESTANTS, GRAVITY, SPEC, use
from bench.suite.latency import Latency, latencies
from bench.suite.part import Part
from bench.suite.results import Goal, Plot, Result, Table
from bench.suite.scales import Scale
from bench.suite.source import HEAVIEST

QUERY = """
    SELECT * FROM gravity_map
    WHERE user_id = %(user_id)s AND created_at > now() - interval '7 days' AND gravity_score >= 0.7
    ORDER BY created_at DESC LIMIT 50
"""
# Users by their share of the writes, as the requests of an application come.
_ANY_USERS = """
    SELECT user_id FROM source.memories
    WHERE n IN (SELECT (k * 7919::bigint) %% %(memories)s FROM generate_series(1, %(count)s) AS k)
"""
_LESS = 5
_GROWTH = 1.5
_WHY = (
    "One memory in seven is significant here, so that the specification's index finds 50 of them among some 350; "
    "reading and sending 50 whole memories costs both the same."
)
_JUDGED_FROM = 100_000
"""Below, both answer at once, and the ratio says nothing."""


class Timeline(Part):
    """The query, any user and the heaviest, at every size."""

    name: ClassVar[str] = "timeline"
    title: ClassVar[str] = "The specification's test query"

    def __init__(self) -> None:
        self._found: dict[tuple[str, int], dict[str, Latency]] = {}

    def sizes(self, scale: Scale) -> tuple[int, ...]:
        """All."""
        return scale.sizes

    def measure(self, bench: Bench, stage: Stage) -> None:
        """The heaviest user over and over, then many users."""
        count = bench.scale.queries
        with contextlib.ExitStack() as stack:
            connections = {}
            for contestant in CONTESTANTS:
                connections[contestant.name] = stack.enter_context(bench.server.connect(stage.database))
                use(connections[contestant.name], contestant)
            users = (
                connections[GRAVITY.name].execute(_ANY_USERS, {"memories": stage.memories, "count": count}).fetchall()
            )
            statements = {contestant.name: QUERY for contestant in CONTESTANTS}
            for whose, calls in (
                ("any user", [{"user_id": user} for (user,) in users]),
                ("the heaviest user", [{"user_id": HEAVIEST}] * count),
            ):
                self._found[whose, stage.memories] = latencies(connections, statements, calls, patience=60)

    def result(self, bench: Bench) -> Result:
        """A table and a plot for each kind of user."""
        tables = [self._table(bench, whose) for whose in ("any user", "the heaviest user")]
        plots = [
            self._plot(bench, whose, f"timeline-{whose.split()[-2]}") for whose in ("any user", "the heaviest user")
        ]
        return Result(
            part=self.name,
            title=self.title,
            method=(
                f"{' '.join(QUERY.split())}. Each contestant holds the same memories; {bench.scale.queries} calls "
                "each, in turn, prepared, results in binary form, after a warm-up; times are the client's. The "
                f"heaviest user has 8 % of all memories. From {bench.scale.narrow_from:,} memories on, embeddings "
                "have 8 dimensions and no index."
            ),
            tables=tuple(tables),
            goals=self._goals(bench),
            plots=tuple(plots),
        )

    def _sizes(self, bench: Bench) -> list[int]:
        """Those measured so far."""
        return [size for size in bench.scale.sizes if ("the heaviest user", size) in self._found]

    def _table(self, bench: Bench, whose: str) -> Table:
        rows = []
        for size in self._sizes(bench):
            found = self._found[whose, size]
            for contestant in CONTESTANTS:
                one = found[contestant.name]
                ratio = found[SPEC.name].p99 / one.p99
                rows.append((size, contestant.name, one.rows, one.p50, one.p99, ratio))
        header = ("memories", "contestant", "rows", "p50 ms", "p99 ms", "times as quick as the specification, p99")
        return Table(whose, header, tuple(rows))

    def _plot(self, bench: Bench, whose: str, name: str) -> Plot:
        series: dict[str, tuple[tuple[float | str, float], ...]] = {
            contestant.name: tuple((size, self._found[whose, size][contestant.name].p99) for size in self._sizes(bench))
            for contestant in CONTESTANTS
        }
        return Plot(name, f"Test query, {whose}", "memories", "p99 ms", series, log_x=True, log_y=True)

    def _goals(self, bench: Bench) -> tuple[Goal, ...]:
        goals = []
        sizes = self._sizes(bench)
        heaviest = [self._found["the heaviest user", size] for size in sizes]
        for size, found in zip(sizes, heaviest, strict=True):
            less = found[SPEC.name].p99 / found[GRAVITY.name].p99
            what = f"p99 for the heaviest user at {size:,} memories"
            met = less >= _LESS if size >= _JUDGED_FROM else None
            median = f"By the median 1/{found[SPEC.name].p50 / found[GRAVITY.name].p50:.1f}."
            why = median if met is not False else f"{median} {_WHY}"
            goals.append(Goal(what, f"at most 1/{_LESS} of the specification's", f"1/{less:.1f}", met, why))
        if len(sizes) > 1:
            growth = heaviest[-1][GRAVITY.name].p99 / heaviest[0][GRAVITY.name].p99
            what = f"growth of that from {sizes[0]:,} to {sizes[-1]:,} memories"
            met = growth <= _GROWTH if sizes[0] >= _JUDGED_FROM else None
            goals.append(Goal(what, f"at most {_GROWTH} times", f"{growth:.2f} times", met))
        return tuple(goals)
