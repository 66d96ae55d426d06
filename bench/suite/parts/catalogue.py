"""The queries that gravity_memory_index_catalogue() says its indexes are for: plan and time of each."""

from __future__ import annotations

import contextlib
from typing import ClassVar

from bench.suite.bench import Bench, Stage
from bench.suite.contestants import CONTESTANTS, GRAVITY, PLAIN, SPEC, use
from bench.suite.latency import Latency, latencies
from bench.suite.part import Part
from bench.suite.plans import OURS_ALONE, Index, Plan, catalogue, explain, probes
from bench.suite.results import Goal, Plot, Result, Table

_LIMIT = 100.0
"""Milliseconds, from the specification: "Target: <100ms"."""
_JUDGED_FROM = 100_000
_WHY_SORTED = (
    "These are the specification's indexes as it writes them. A wider one would be one more for every insert, and for "
    "every change of an arc's totals, to spare the sort of some rows"
)
"""Fewer memories say nothing: a small table is read from end to end because that is quickest."""


class Catalogue(Part):
    """Every query for the heaviest and the median user."""

    name: ClassVar[str] = "catalogue"
    title: ClassVar[str] = "The queries of the index catalogue"

    def __init__(self) -> None:
        self._memories = 0
        self._indexes: list[Index] = []
        self._plans: dict[tuple[str, str], dict[str, Plan]] = {}
        self._times: dict[tuple[str, str], dict[str, Latency]] = {}

    def measure(self, bench: Bench, stage: Stage) -> None:
        """Plans first, then times."""
        self._memories = stage.memories
        with contextlib.ExitStack() as stack:
            connections = {}
            for contestant in CONTESTANTS:
                connection = stack.enter_context(bench.server.connect(stage.database))
                use(connection, contestant)
                connections[contestant.name] = connection
            self._indexes = catalogue(connections[GRAVITY.name])
            asked = probes(connections[GRAVITY.name])
            progress = stack.enter_context(bench.progress())
            task = progress.add_task("queries", total=len(self._indexes))
            for index in self._indexes:
                takes_part = {
                    name: connection
                    for name, connection in connections.items()
                    if name == GRAVITY.name or index.table not in OURS_ALONE
                }
                for user, probe in index.users(asked).items():
                    self._plans[index.name, user] = {
                        name: explain(connection, index.statement, probe) for name, connection in takes_part.items()
                    }
                    self._times[index.name, user] = latencies(
                        takes_part,
                        dict.fromkeys(takes_part, index.statement),
                        [probe] * bench.scale.queries,
                        patience=bench.scale.patience,
                    )
                progress.advance(task)

    def result(self, bench: Bench) -> Result:
        """A table of plans and times, one of the queries, and a picture of the times for the heaviest user."""
        return Result(
            part=self.name,
            title=self.title,
            method=(
                f"{self._memories:,} memories; arcs, cached answers, sessions, patterns and events in proportion. Each "
                "query is the one that the catalogue names for the index. The heaviest user has 8 % of all "
                "memories and asks for what is commonest; the median user is the one of the median memory and asks "
                "for what is in the middle. Plans are of EXPLAIN ANALYZE with the planner's settings untouched. "
                f"Times are the client's, the three contestants in turn, prepared, warm, {bench.scale.queries} "
                "calls, fewer of what is slow. Plain pgvector has an index on user_id on every table, and HNSW."
            ),
            tables=(self._table(), self._queries()),
            goals=self._goals(),
            plots=(self._plot(),),
        )

    def _table(self) -> Table:
        rows: list[tuple[str | int | float | None, ...]] = []
        for (index, user), plans in self._plans.items():
            times = self._times[index, user]
            ours = plans[GRAVITY.name]
            cells: list[str | int | float | None] = [
                index,
                user,
                ours.returned,
                str(ours),
                ", ".join(sorted(ours.indexes)),
            ]
            for contestant in CONTESTANTS:
                one = times.get(contestant.name)
                cells += [one.p50, one.p99] if one is not None else [None, None]
            theirs = plans.get(SPEC.name)
            cells.append(str(theirs) if theirs is not None and str(theirs) != str(ours) else None)
            rows.append(tuple(cells))
        header: tuple[str, ...] = ("query of", "user", "rows", "plan", "index taken", "p50 ms", "p99 ms")
        header += tuple(f"{contestant.name}: {which} ms" for contestant in (SPEC, PLAIN) for which in ("p50", "p99"))
        return Table(
            "Plans and times",
            (*header, "the specification's plan, where it differs"),
            tuple(rows),
            "Nodes are named from the top down. Empty: the same plan, or there is no such table.",
        )

    def _queries(self) -> Table:
        rows = tuple((index.name, "yes" if index.in_spec else "no", f"`{index.serves}`") for index in self._indexes)
        return Table("The queries", ("index", "named by the specification", "query"), rows)

    def _plot(self) -> Plot:
        series: dict[str, tuple[tuple[float | str, float], ...]] = {}
        for contestant in CONTESTANTS:
            points: list[tuple[float | str, float]] = []
            for (index, user), times in self._times.items():
                if user != "median" and contestant.name in times:
                    points.append((index.removeprefix("idx_"), times[contestant.name].p50))
            series[contestant.name] = tuple(points)
        return Plot(
            "catalogue",
            f"Catalogue queries, heaviest user or everybody, {self._memories:,} memories",
            "",
            "p50 ms",
            series,
            kind="dots",
            log_y=True,
            limit=_LIMIT,
        )

    def _goals(self) -> tuple[Goal, ...]:
        ours = {key: plans[GRAVITY.name] for key, plans in self._plans.items()}
        serves = {index.name: index.serves for index in self._indexes}
        scanned = [f"{index} ({user})" for (index, user), plan in ours.items() if plan.scanned]
        sorting = [
            f"{index} ({user}: {plan.sorted_rows:,} rows)"
            for (index, user), plan in ours.items()
            if plan.sorts_in_vain(serves[index])
        ]
        slow = {key: times[GRAVITY.name].p99 for key, times in self._times.items()}
        personal = [key for key in slow if ":user_id" in serves[key[0]]]
        late = [
            f"{index} ({user}: {slow[index, user]:.0f} ms)" for index, user in personal if slow[index, user] >= _LIMIT
        ]
        count = len(ours)
        can_tell = self._memories >= _JUDGED_FROM
        return (
            _goal("catalogue queries with a sequential scan", scanned, count, can_tell),
            _goal("catalogue queries with a sort that an index could spare", sorting, count, can_tell, _WHY_SORTED),
            _goal(
                f"catalogue queries of one user with a p99 of {_LIMIT:.0f} ms or more", late, len(personal), can_tell
            ),
        )


def _goal(what: str, found: list[str], count: int, can_tell: bool, why: str = "") -> Goal:
    """The goal that there be none; it names those that there are, and says why."""
    measured = f"{len(found) or 'none'} of {count}"
    named = f"{', '.join(found)}. {why}".rstrip(". ") + "." if found else ""
    return Goal(what, "none", measured, not found if can_tell else None, named)
