"""Concurrent writers of single memories: what notifications do to commits."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from bench.suite.bench import Bench
from bench.suite.contestants import CONTESTANTS, GRAVITY, PLAIN, SPEC, Contestant
from bench.suite.copies import SPARE, copy_of, filled_databases, server_settings, set_triggers
from bench.suite.costs import in_turn
from bench.suite.load import Load, Script, run_clients
from bench.suite.part import Part
from bench.suite.results import Goal, Plot, Result, Table
from bench.suite.scales import Scale
from bench.suite.source import COPIED

_SPARE = 5_000
_AT_LEAST = 0.9
_JUDGED_FROM = 3
"""Loads of fewer seconds differ by more than is asked for."""
# One memory per statement and transaction, taken from a table, so that pgbench needs no text of vectors.
_SCRIPT = f"""\\set n random(0, {{last}})
INSERT INTO gravity_map ({COPIED}) SELECT {COPIED} FROM {SPARE} WHERE n = :n;
"""  # noqa: S608 - names are ours

_AS_IS, _SLOW = "as the disk is", "1 ms more"
# The one who flushes waits so many microseconds before; no others need to be active for that.
_FLUSHES: dict[str, dict[str, str]] = {_AS_IS: {}, _SLOW: {"commit_delay": "1000", "commit_siblings": "0"}}


@dataclass(frozen=True)
class _Arm:
    """A contestant's table; triggers off, or on, and for gravity_memory what the setting notify is."""

    name: str
    contestant: Contestant
    triggers: bool = True
    notify: str | None = None


_PAYLOAD = _Arm(f"{GRAVITY.name}, notify = payload", GRAVITY, notify="payload")
_WAKEUP = _Arm(f"{GRAVITY.name}, notify = wakeup", GRAVITY, notify="wakeup")
_OFF = _Arm(f"{GRAVITY.name}, notify = off", GRAVITY, notify="off")
_COMPARED = (_PAYLOAD, _WAKEUP, _OFF)
"""Runs of a few seconds differ by more than these do: they take turns, several times."""
_ARMS = (
    *_COMPARED,
    _Arm(SPEC.name, SPEC),
    _Arm(f"{GRAVITY.name}, no triggers", GRAVITY, triggers=False),
    _Arm(PLAIN.name, PLAIN),
)


class Writers(Part):
    """Inserts per second and latency over the number of clients."""

    name: ClassVar[str] = "writers"
    title: ClassVar[str] = "Concurrent single-row inserts"

    def __init__(self) -> None:
        self._loads: dict[tuple[str, _Arm, int], list[Load]] = {}

    def sizes(self, scale: Scale) -> tuple[int, ...]:
        """None: each run starts from a copy of a database of its own."""
        return ()

    def result(self, bench: Bench) -> Result:
        """Every number of clients in every arm, as the disk is and with a longer flush."""
        scale = bench.scale
        plan = list(self._plan(scale))
        spare = min(_SPARE, scale.bulk_base)
        with (
            server_settings(bench, autovacuum="off"),
            filled_databases(bench, CONTESTANTS, scale.bulk_base, spare) as databases,
            bench.progress() as progress,
        ):
            task = progress.add_task("concurrent writers", total=len(plan))
            for flush, clients, arm in plan:
                with copy_of(bench, databases[arm.contestant], arm.contestant) as connection:
                    if arm.notify is not None:
                        connection.execute("SELECT gravity_memory_set('notify', %s)", (arm.notify,))
                    if not arm.triggers:
                        set_triggers(connection, ())
                    load = run_clients(
                        bench.server,
                        connection.info.dbname,
                        arm.contestant,
                        {"insert": Script(_SCRIPT.format(last=spare - 1))},
                        clients=clients,
                        seconds=scale.seconds,
                        settings=_FLUSHES[flush],
                    )
                self._loads.setdefault((flush, arm, clients), []).append(load)
                progress.advance(task)
        return Result(
            part=self.name,
            title=self.title,
            method=(
                f"pgbench with prepared statements for {scale.seconds} s: each transaction writes one memory with "
                f"its embedding, of one of many users, to a table of {scale.bulk_base:,} with all indexes; every run "
                f"on a new copy. The settings of notify take turns, {_rounds(scale)} times; shown is the median run. "
                "Nobody listens. Once as the disk is, and once with commit_delay = 1000 and "
                "commit_siblings = 0: who flushes the log waits 1 ms before, as on a slower disk or with a "
                "synchronous standby; others that commit meanwhile share that flush. A transaction with a "
                "notification holds a lock of the whole server until it has committed, so those cannot share it."
            ),
            tables=tuple(self._table(scale, flush) for flush in _FLUSHES),
            goals=tuple(self._goal(scale, flush, clients) for flush in _FLUSHES for clients in scale.clients),
            plots=tuple(self._plot(scale, flush) for flush in _FLUSHES),
        )

    def _goal(self, scale: Scale, flush: str, clients: int) -> Goal:
        share = self._per_second(flush, _WAKEUP, clients) / self._per_second(flush, _OFF, clients)
        rates = {arm: [load.per_second for load in self._loads[flush, arm, clients]] for arm in (_WAKEUP, _OFF)}
        spread = "; ".join(f"{min(rates[arm]):,.0f} to {max(rates[arm]):,.0f}" for arm in rates)
        return Goal(
            f"inserts per second with the feed of changes, {clients} clients, commit flush {flush}",
            f"at least {_AT_LEAST:.0%} of those with notifications off",
            f"{share:.0%}",
            share >= _AT_LEAST if scale.seconds >= _JUDGED_FROM else None,
            f"Inserts per second of the single runs, with it and without: {spread}.",
        )

    def _median(self, flush: str, arm: _Arm, clients: int) -> Load:
        found = sorted(self._loads[flush, arm, clients], key=lambda load: load.per_second)
        return found[len(found) // 2]

    def _per_second(self, flush: str, arm: _Arm, clients: int) -> float:
        return self._median(flush, arm, clients).per_second

    def _plan(self, scale: Scale) -> Iterator[tuple[str, int, _Arm]]:
        for flush in _FLUSHES:
            for clients in scale.clients:
                for number in range(_rounds(scale)):
                    for arm in in_turn(_COMPARED, number):
                        yield flush, clients, arm
                for arm in _ARMS[len(_COMPARED) :]:
                    yield flush, clients, arm

    def _table(self, scale: Scale, flush: str) -> Table:
        rows = []
        for clients in scale.clients:
            for arm in _ARMS:
                load = self._median(flush, arm, clients)
                times = load.observed["insert"]
                ratio = load.per_second / self._per_second(flush, _PAYLOAD, clients)
                rows.append((clients, arm.name, load.per_second, ratio, times.percentile(50), times.percentile(99)))
        header = ("clients", "table", "inserts/s", "times payload", "p50 ms", "p99 ms")
        return Table(f"Commit flush: {flush}", header, tuple(rows), self._note(scale, flush))

    def _note(self, scale: Scale, flush: str) -> str:
        """What more clients bring, in words."""
        first, last = scale.clients[0], scale.clients[-1]
        gains = {arm: self._per_second(flush, arm, last) / self._per_second(flush, arm, first) for arm in _COMPARED}
        return (
            f"{last} clients write {gains[_OFF]:.1f} times as much as {first} without notifications, "
            f"{gains[_PAYLOAD]:.1f} times with them, and {gains[_WAKEUP]:.1f} times with the feed of changes."
        )

    def _plot(self, scale: Scale, flush: str) -> Plot:
        series: dict[str, tuple[tuple[float | str, float], ...]] = {
            arm.name: tuple((clients, self._per_second(flush, arm, clients)) for clients in scale.clients)
            for arm in _ARMS
        }
        name = "writers" if flush == _AS_IS else "writers-slow-flush"
        return Plot(
            name, f"Single-row inserts, commit flush {flush}", "clients", "inserts/s", series, log_x=True, log_y=True
        )


def _rounds(scale: Scale) -> int:
    return scale.repeat + 1
