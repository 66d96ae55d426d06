"""Bulk inserts: what the triggers add to a row, in three ways to write many rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from psycopg.errors import Diagnostic

from bench.databases import Connection
from bench.suite.bench import Bench
from bench.suite.contestants import CONTESTANTS, GRAVITY, PLAIN, SPEC, Contestant
from bench.suite.copies import SPARE, copy_of, filled_databases, server_settings, set_triggers
from bench.suite.costs import Cost, Meter, difference, in_turn, median_cost, one
from bench.suite.part import Part
from bench.suite.results import Cell, Goal, Plot, Result, Table
from bench.suite.scales import Scale
from bench.suite.source import COLUMNS, HEAVIEST

_PER_STATEMENT = 1_000
_AT_MOST = 1.25
_JUDGED_FROM = 5_000
"""Fewer rows are written so quickly that what a statement costs once shows in the ratio."""

_LEFT_FROM = 100
"""What derive_bulk_rows is set to: all that is inserted here is more."""

_MANY, _ONE = "many users", "one user"
_SELECT, _COPY, _VALUES = "INSERT ... SELECT", "COPY, binary", f"INSERT, {_PER_STATEMENT:,} rows each"
# The text of a value is what most drivers send.
_TEXT_COLUMNS = ", ".join(f"{name}::text" for name in COLUMNS.split(", "))

_TRIGGERS: dict[str, tuple[str, ...]] = {
    "tagging": ("trigger_auto_tag_high_gravity",),
    "arcs": ("trigger_arc_building",),
    "notifications": ("trigger_notify_memory_created",),
    "derived rows for recall": ("trigger_keep_derived",),
}


@dataclass(frozen=True)
class _Arm:
    """What is compared: a contestant's table with all of its triggers (None) or only those named."""

    contestant: Contestant
    triggers: tuple[str, ...] | None
    leaves_deriving: bool = False
    """With the setting derive_bulk_rows: what recall reads is left to gravity_memory_rebuild_recall()."""

    @property
    def with_triggers(self) -> bool:
        return self.triggers is None and self.contestant != PLAIN


@dataclass(frozen=True)
class _Case:
    """How many rows of whom are written, and how."""

    way: str
    whose: str
    rows: int


_LEFT = _Arm(GRAVITY, None, leaves_deriving=True)
_ON_OFF = (_Arm(GRAVITY, None), _LEFT, _Arm(GRAVITY, ()), _Arm(SPEC, None), _Arm(SPEC, ()))
_PLAIN = _Arm(PLAIN, None)
_COMPARED = {GRAVITY.name: _Arm(GRAVITY, None), f"{GRAVITY.name}, deriving left": _LEFT, SPEC.name: _Arm(SPEC, None)}
_WHY = "Most of it are the rows that recall reads, one per term; derive_bulk_rows leaves them to a later call."
_WHY_LEFT = (
    "Most of what is left is tagging, row by row: two regular expressions over the content, and the settings, which "
    "are read anew for each row so that a change holds from the next one on."
)
_WHY_COPY = " A trigger before each row also keeps COPY from writing rows in batches."
_EVERY_SIZE = ((_SELECT, _MANY),)
_SMALLEST_SIZE = ((_COPY, _MANY), (_VALUES, _MANY), (_SELECT, _ONE))


class Bulk(Part):
    """Rows per way, with and without triggers, and what each trigger of gravity_memory costs."""

    name: ClassVar[str] = "bulk"
    title: ClassVar[str] = "Bulk inserts"

    def __init__(self) -> None:
        self._costs: dict[tuple[_Case, _Arm], list[Cost]] = {}

    def sizes(self, scale: Scale) -> tuple[int, ...]:
        """None: each run starts from a copy of a database of its own."""
        return ()

    def result(self, bench: Bench) -> Result:
        """Every case in every arm, the arms in turn and in the other order in every second round."""
        scale = bench.scale
        with (
            server_settings(bench, autovacuum="off"),
            filled_databases(
                bench, CONTESTANTS, scale.bulk_base, max(scale.bulk), dimensions=scale.bulk_dimensions
            ) as databases,
            bench.progress() as progress,
        ):
            plan = list(self._plan(scale))
            task = progress.add_task("bulk inserts", total=len(plan))
            for case, arm in plan:
                with copy_of(bench, databases[arm.contestant], arm.contestant) as connection:
                    self._costs.setdefault((case, arm), []).append(_run(bench, connection, case, arm))
                progress.advance(task)
        return Result(
            part=self.name,
            title=self.title,
            method=(
                f"Rows are added to a table of {scale.bulk_base:,} memories with all of its indexes, those on the "
                f"embeddings of {scale.bulk_dimensions:,} dimensions too. Every run starts from the same state, a new "
                f"copy of one database, in a new session; median of {scale.repeat}. Without triggers means the same "
                "table after ALTER TABLE gravity_map DISABLE TRIGGER USER. Plain pgvector has a B-tree and HNSW. The "
                f"rows are the next ones in time: of many users, or all {HEAVIEST}'s, who has {_share(scale)} memories "
                f"before. All rows are one transaction, but statements of {_PER_STATEMENT:,} rows commit one by one, "
                "with their values as parameters in text form. Nobody listens to notifications. Deriving left: by "
                "derive_bulk_rows, the rows that recall reads are made later, by gravity_memory_rebuild_recall()."
            ),
            tables=(*self._tables(scale), self._breakdown(scale)),
            goals=self._goals(scale),
            plots=self._plots(scale),
        )

    def _plan(self, scale: Scale) -> Iterator[tuple[_Case, _Arm]]:
        for case in _cases(scale):
            for number in range(scale.repeat):
                for arm in in_turn(_ON_OFF, number):
                    yield case, arm
        yield _Case(_SELECT, _MANY, scale.bulk[0]), _PLAIN
        for number in range(scale.repeat):
            for arm in in_turn([_Arm(GRAVITY, names) for names in _TRIGGERS.values()], number):
                yield _Case(_SELECT, _MANY, scale.bulk[0]), arm

    def _cost(self, case: _Case, arm: _Arm) -> Cost:
        return median_cost(self._costs[case, arm])

    def _ratio(self, case: _Case, arm: _Arm) -> float:
        return self._cost(case, arm).milliseconds / self._cost(case, _Arm(arm.contestant, ())).milliseconds

    def _processor_ratio(self, case: _Case, arm: _Arm) -> float | None:
        on, off = (self._cost(case, one).processor for one in (arm, _Arm(arm.contestant, ())))
        return on / off if on is not None and off else None

    def _tables(self, scale: Scale) -> Iterator[Table]:
        header = (
            "contestant",
            "rows",
            "way",
            "of",
            "ms per row, triggers",
            "no triggers",
            "times",
            "processor ms per row, triggers",
            "no triggers",
            "times",
            "spread of the runs, triggers",
            "no triggers",
            "WAL kB per row, triggers",
            "no triggers",
        )
        rows: list[tuple[Cell, ...]] = []
        for name, on in _COMPARED.items():
            for case in _cases(scale):
                off = _Arm(on.contestant, ())
                costs = self._cost(case, on), self._cost(case, off)
                rows.append(
                    (
                        name,
                        case.rows,
                        case.way,
                        case.whose,
                        *(cost.milliseconds for cost in costs),
                        self._ratio(case, on),
                        *(cost.processor for cost in costs),
                        self._processor_ratio(case, on),
                        self._spread(case, on),
                        self._spread(case, off),
                        *(cost.wal / 1000 for cost in costs),
                    )
                )
        case = _Case(_SELECT, _MANY, scale.bulk[0])
        cost = self._cost(case, _PLAIN)
        beside = (None, cost.milliseconds, None, None, cost.processor, None, None, None, None, cost.wal / 1000)
        rows.append((PLAIN.name, case.rows, case.way, case.whose, *beside))
        yield Table(
            "With and without triggers", header, tuple(rows), "Spread: the slowest run in times of the quickest."
        )

    def _spread(self, case: _Case, arm: _Arm) -> float:
        found = [cost.milliseconds for cost in self._costs[case, arm]]
        return max(found) / min(found)

    def _breakdown(self, scale: Scale) -> Table:
        rows: list[tuple[Cell, ...]] = []
        case = _Case(_SELECT, _MANY, scale.bulk[0])
        none = self._cost(case, _Arm(GRAVITY, ()))
        arms: dict[str, tuple[str, ...] | None] = {"none": (), **_TRIGGERS, "all": None}
        for what, names in arms.items():
            cost = self._cost(case, _Arm(GRAVITY, names))
            added = cost.milliseconds - none.milliseconds
            ratio = cost.milliseconds / none.milliseconds
            processor = difference(none.processor, cost.processor)
            rows.append((what, cost.milliseconds, added, ratio, processor, cost.wal / 1000))
        return Table(
            f"What each trigger of {GRAVITY.name} costs, {_SELECT} of {scale.bulk[0]:,} rows",
            (
                "only this trigger enabled",
                "ms per row",
                "added ms",
                "times no trigger",
                "added processor ms",
                "WAL kB per row",
            ),
            tuple(rows),
        )

    def _goals(self, scale: Scale) -> tuple[Goal, ...]:
        goals = []
        for name, arm in _COMPARED.items():
            if arm.contestant != GRAVITY:
                continue
            for case in _cases(scale):
                ratio, theirs = self._ratio(case, arm), self._ratio(case, _Arm(SPEC, None))
                processor = self._processor_ratio(case, arm)
                by_processor = "" if processor is None else f", {processor:.2f} by processor time"
                goals.append(
                    Goal(
                        f"{name}, all triggers on: {case.way} of {case.rows:,} rows of {case.whose}",
                        f"at most {_AT_MOST} times the same table and indexes without triggers",
                        f"{ratio:.2f} times{by_processor} (the specification: {theirs:.2f})",
                        ratio <= _AT_MOST if case.rows >= _JUDGED_FROM else None,
                        "" if ratio <= _AT_MOST else _why(case, arm),
                    )
                )
        return tuple(goals)

    def _plots(self, scale: Scale) -> tuple[Plot, ...]:
        series: dict[str, tuple[tuple[float | str, float], ...]] = {
            name: tuple(
                (f"{case.way}, {case.rows:,} of {case.whose}", self._ratio(case, arm)) for case in _cases(scale)
            )
            for name, arm in _COMPARED.items()
        }
        title, label = "What the triggers cost", "times the same table without triggers"
        return (Plot("bulk", title, "way", label, series, kind="bars", limit=_AT_MOST),)


def _cases(scale: Scale) -> list[_Case]:
    smallest = [_Case(way, whose, scale.bulk[0]) for way, whose in _SMALLEST_SIZE]
    return [_Case(way, whose, rows) for rows in scale.bulk for way, whose in _EVERY_SIZE] + smallest


def _why(case: _Case, arm: _Arm) -> str:
    """Why the bar is missed."""
    return (_WHY_LEFT if arm.leaves_deriving else _WHY) + (_WHY_COPY if case.way == _COPY else "")


def _share(scale: Scale) -> str:
    return f"8 % of the {scale.bulk_base:,}"


def _run(bench: Bench, connection: Connection, case: _Case, arm: _Arm) -> Cost:
    """Write the rows, and make sure that they and what the triggers make of them are there."""
    if arm.contestant != PLAIN:
        set_triggers(connection, arm.triggers)
    if arm.leaves_deriving:
        connection.execute("SELECT gravity_memory_set('derive_bulk_rows', %s)", (str(_LEFT_FROM),))
    warnings: list[str] = []
    connection.add_notice_handler(lambda one: _note(one, warnings))
    before = _count(connection)
    # The first statement of a session fills the caches of the catalogues; it is not what a row costs.
    connection.execute(b"SELECT * FROM gravity_map LIMIT 1").fetchall()
    meter = Meter(connection)
    seconds = _WAYS[case.way](bench, connection, case)
    cost = meter.cost(seconds, case.rows)
    assert not warnings, warnings[:3]
    assert _count(connection) - before == case.rows
    if arm.contestant == GRAVITY and arm.with_triggers and not arm.leaves_deriving:
        missing = "SELECT count(*) FROM (SELECT id FROM gravity_map EXCEPT SELECT memory_id FROM memory_digests) AS m"
        assert one(connection, missing) == (0,)
    return cost


def _note(one: Diagnostic, warnings: list[str]) -> None:
    if one.severity_nonlocalized == "WARNING":
        warnings.append(str(one.message_primary))


def _count(connection: Connection) -> int:
    (count,) = one(connection, "SELECT count(*) FROM gravity_map")
    assert isinstance(count, int)
    return count


def _chosen(case: _Case, columns: str, first: int, stop: int) -> bytes:
    """A query for rows of the spare memories, with the user that the case wants."""
    if case.whose == _ONE:
        columns = columns.replace("user_id", f"'{HEAVIEST}'", 1)
    query = f"SELECT {columns} FROM {SPARE} WHERE n >= {first} AND n < {stop} ORDER BY n"  # noqa: S608 - names are ours
    return query.encode()


def _insert_select(_: Bench, connection: Connection, case: _Case) -> float:
    began = time.perf_counter()
    connection.execute(b"INSERT INTO gravity_map (" + COLUMNS.encode() + b") " + _chosen(case, COLUMNS, 0, case.rows))
    return time.perf_counter() - began


def _copy(_: Bench, connection: Connection, case: _Case) -> float:
    with connection.cursor() as cursor:
        with cursor.copy(b"COPY (" + _chosen(case, COLUMNS, 0, case.rows) + b") TO STDOUT (FORMAT binary)") as out:
            blocks = [bytes(block) for block in out]
        began = time.perf_counter()
        with cursor.copy(f"COPY gravity_map ({COLUMNS}) FROM STDIN (FORMAT binary)".encode()) as copy:
            for block in blocks:
                copy.write(block)
        return time.perf_counter() - began


def _values(bench: Bench, connection: Connection, case: _Case) -> float:
    """Only the INSERT statements are timed, not the fetching of their values by another session."""
    place = "(" + ", ".join(["%s"] * len(COLUMNS.split(", "))) + ")"
    seconds = 0.0
    with bench.server.connect(connection.info.dbname) as reader:
        for first in range(0, case.rows, _PER_STATEMENT):
            rows = reader.execute(
                _chosen(case, _TEXT_COLUMNS, first, min(first + _PER_STATEMENT, case.rows))
            ).fetchall()
            places = ", ".join([place] * len(rows))
            statement = f"INSERT INTO gravity_map ({COLUMNS}) VALUES {places}"  # noqa: S608 - names are ours
            values = [value for row in rows for value in row]
            began = time.perf_counter()
            connection.execute(statement.encode(), values, prepare=True)
            seconds += time.perf_counter() - began
    return seconds


_WAYS: dict[str, Callable[[Bench, Connection, _Case], float]] = {
    _SELECT: _insert_select,
    _COPY: _copy,
    _VALUES: _values,
}
