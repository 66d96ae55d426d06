"""What the feed of changes adds to an insert: milliseconds, processor time, write-ahead log, disk."""

from __future__ import annotations

import time
from typing import ClassVar

from bench.databases import Connection
from bench.suite.bench import Bench
from bench.suite.contestants import GRAVITY
from bench.suite.copies import SPARE, copy_of, filled_databases, server_settings
from bench.suite.costs import Cost, Meter, in_turn, median_cost, one
from bench.suite.part import Part
from bench.suite.results import Cell, Plot, Result, Table
from bench.suite.scales import Scale
from bench.suite.source import COPIED

_INSERT = (
    f"INSERT INTO gravity_map ({COPIED}) SELECT {COPIED} FROM {SPARE} WHERE n >= %s AND n < %s"  # noqa: S608 - ours
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


class Feed(Part):
    """Inserts of one client with the feed off, on, and with listeners woken."""

    name: ClassVar[str] = "feed"
    title: ClassVar[str] = "What a row of the feed costs"

    def __init__(self) -> None:
        self._rounds: dict[tuple[str, str], list[Cost]] = {}
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
                    for arm in in_turn(list(_ARMS), number):
                        cost = _measured(connection, arm, way, rows)
                        self._rounds.setdefault((way, arm), []).append(cost)
            (size,) = one(
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

    def _median(self, way: str, arm: str) -> Cost:
        return median_cost(self._rounds[way, arm])

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


def _measured(connection: Connection, arm: str, way: str, rows: int) -> Cost:
    """Write a round of rows under an arm's settings, and see that their events are there, or none."""
    for setting, value in _ARMS[arm].items():
        connection.execute("SELECT gravity_memory_set(%s, %s)", (setting, value))
    events = _events(connection)
    # The first statement reads the settings anew.
    connection.execute(_INSERT, (0, 1), prepare=True)
    meter = Meter(connection)
    began = time.perf_counter()
    if way == _SINGLE:
        for number in range(rows):
            connection.execute(_INSERT, (number, number + 1), prepare=True)
    else:
        connection.execute(_INSERT, (0, rows), prepare=True)
    cost = meter.cost(time.perf_counter() - began, rows)
    assert _events(connection) - events == (0 if arm == _OFF else rows + 1)
    return cost


def _events(connection: Connection) -> int:
    (count,) = one(connection, "SELECT count(*) FROM memory_events WHERE event = 'memory_created'")
    assert isinstance(count, int)
    return count
