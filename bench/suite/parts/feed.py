"""What the feed of changes adds to an insert: milliseconds, processor time, write-ahead log, disk."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import ClassVar

from bench.databases import Connection
from bench.suite.bench import Bench
from bench.suite.contestants import GRAVITY
from bench.suite.copies import SPARE, copy_of, filled_databases, server_settings
from bench.suite.part import Part
from bench.suite.results import Cell, Plot, Result, Table
from bench.suite.scales import Scale
from bench.suite.source import COLUMNS
from bench.timing import processor_milliseconds

_COPIED = ", ".join(name for name in COLUMNS.split(", ") if name not in {"id", "created_at", "updated_at"})
_INSERT = (
    f"INSERT INTO gravity_map ({_COPIED}) SELECT {_COPIED} FROM {SPARE} WHERE n >= %s AND n < %s"  # noqa: S608 - ours
).encode()

_OFF, _ON, _WAKEUP = "no feed, notify = off", "feed = on, notify = off", "notify = wakeup"
_ARMS = {
    _OFF: {"feed": "off", "notify": "off"},
    _ON: {"feed": "on", "notify": "off"},
    _WAKEUP: {"feed": "off", "notify": "wakeup"},
}
_SINGLE, _MANY = "1 row a statement", "many rows a statement"
_SINGLES, _MOST = 50, 1_000
_ROUNDS = {_SINGLE: 20, _MANY: 5}
"""Per `Scale.repeat`; a round is _SINGLES single inserts, or one statement of _MOST rows."""


@dataclass(frozen=True)
class _Cost:
    """Of one row of a round: milliseconds, those of the server process's processor time, and bytes of WAL."""

    milliseconds: float
    processor: float | None
    wal: float


class Feed(Part):
    """Inserts of one client with the feed off, on, and with listeners woken."""

    name: ClassVar[str] = "feed"
    title: ClassVar[str] = "What a row of the feed costs"

    def __init__(self) -> None:
        self._rounds: dict[tuple[str, str], list[_Cost]] = {}
        self._event_bytes = 0.0

    def sizes(self, scale: Scale) -> tuple[int, ...]:
        """None: it makes a small database of its own."""
        return ()

    def result(self, bench: Bench) -> Result:
        """Both ways, the arms in turn and in the other order in every second round."""
        scale = bench.scale
        most = min(_MOST, scale.bulk_base)
        with (
            server_settings(bench, autovacuum="off"),
            filled_databases(bench, (GRAVITY,), scale.bulk_base, most) as databases,
            copy_of(bench, databases[GRAVITY], GRAVITY) as connection,
        ):
            for way, rows in ((_SINGLE, _SINGLES), (_MANY, most)):
                for number in range(_ROUNDS[way] * scale.repeat):
                    for arm in list(_ARMS) if number % 2 == 0 else list(_ARMS)[::-1]:
                        cost = _measured(connection, arm, way, rows)
                        self._rounds.setdefault((way, arm), []).append(cost)
            (size,) = _one(
                connection, "SELECT pg_total_relation_size('memory_events')::float8 / count(*) FROM memory_events"
            )
            assert isinstance(size, float)
            self._event_bytes = size
        return Result(
            part=self.name,
            title=self.title,
            method=(
                f"One client, one connection, a table of {scale.bulk_base:,} memories with embeddings of "
                f"{scale.dimensions:,} dimensions, and all triggers. {_SINGLE}: rounds of {_SINGLES} statements, each "
                f"a transaction; {_MANY}: {most:,}, one transaction. The arms take turns in one database; median of "
                "the rounds. Nobody listens."
            ),
            tables=(self._table(),),
            plots=(self._plot(),),
        )

    def _median(self, way: str, arm: str) -> _Cost:
        found = self._rounds[way, arm]
        processor = [cost.processor for cost in found if cost.processor is not None]
        return _Cost(
            statistics.median(cost.milliseconds for cost in found),
            statistics.median(processor) if processor else None,
            statistics.median(cost.wal for cost in found),
        )

    def _table(self) -> Table:
        rows: list[tuple[Cell, ...]] = []
        for way in _ROUNDS:
            without = self._median(way, _OFF)
            for arm in _ARMS:
                cost = self._median(way, arm)
                added = cost.milliseconds - without.milliseconds
                ratio = cost.milliseconds / without.milliseconds
                rows.append((way, arm, cost.milliseconds, added, ratio, cost.processor, cost.wal / 1000))
        header = (
            "inserts", "settings", "ms per row", "added ms", "times no feed", "processor ms per row", "WAL kB per row",
        )  # fmt: skip
        note = f"An event takes {self._event_bytes:,.0f} bytes on disk, its two indexes included."
        return Table("Inserts with the feed of changes", header, tuple(rows), note)

    def _plot(self) -> Plot:
        series: dict[str, tuple[tuple[float | str, float], ...]] = {
            arm: tuple((way, self._median(way, arm).milliseconds) for way in _ROUNDS) for arm in _ARMS
        }
        return Plot("feed", "Inserts with the feed of changes", "", "ms per row", series, kind="bars")


def _measured(connection: Connection, arm: str, way: str, rows: int) -> _Cost:
    """Write a round of rows under an arm's settings, and see that their events are there, or none."""
    for setting, value in _ARMS[arm].items():
        connection.execute("SELECT gravity_memory_set(%s, %s)", (setting, value))
    events = _events(connection)
    process = connection.info.backend_pid
    # The first statement reads the settings anew.
    connection.execute(_INSERT, (0, 1), prepare=True)
    (lsn,) = _one(connection, "SELECT pg_current_wal_insert_lsn()")
    used, began = processor_milliseconds(process), time.perf_counter()
    if way == _SINGLE:
        for number in range(rows):
            connection.execute(_INSERT, (number, number + 1), prepare=True)
    else:
        connection.execute(_INSERT, (0, rows), prepare=True)
    took, used_after = time.perf_counter() - began, processor_milliseconds(process)
    (wal,) = _one(connection, f"SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '{lsn}')::float8")
    assert _events(connection) - events == (0 if arm == _OFF else rows + 1)
    assert isinstance(wal, float)
    processor = None if used is None or used_after is None else (used_after - used) / rows
    return _Cost(1000 * took / rows, processor, wal / rows)


def _events(connection: Connection) -> int:
    (count,) = _one(connection, "SELECT count(*) FROM memory_events WHERE event = 'memory_created'")
    assert isinstance(count, int)
    return count


def _one(connection: Connection, query: str) -> tuple[object, ...]:
    found = connection.execute(query.encode()).fetchone()
    assert found is not None
    return found
