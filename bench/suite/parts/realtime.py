"""From an INSERT to the callback of a subscriber: one, a hundred, a thousand of them, idle and under load."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from gravity_memory import AsyncGravityMemory, Config, Memory
from gravity_memory.config import RealtimeConfig
from psycopg.conninfo import make_conninfo

from bench.suite.bench import Bench
from bench.suite.contestants import GRAVITY
from bench.suite.part import Part
from bench.suite.results import Cell, Goal, Plot, Result, Table
from bench.suite.scales import Scale
from devtools import REPO

_IDLE, _BUSY = "idle", "busy"
_IDLE_RATE = 20.0
_LIMITS = {_IDLE: 20.0, _BUSY: 100.0}
_SPEC_LIMIT = 100.0
_CLIENTS = {_IDLE: 1, _BUSY: 4}
_SHARE = 10
"""Under load, a subscriber is one of so many users, where there are as many."""
_DATABASE = "bench_realtime"
_ARRIVAL_SECONDS = 60.0


@dataclass(frozen=True)
class _Latency:
    """Milliseconds from before the INSERT to the callback, and what was looked at to get there."""

    p50: float
    p99: float
    longest: float
    events: int
    per_second: float


class Realtime(Part):
    """Latency of subscriptions in feed mode."""

    name: ClassVar[str] = "realtime"
    title: ClassVar[str] = "From insert to callback"

    def __init__(self) -> None:
        self._found: dict[tuple[str, int], _Latency] = {}

    def sizes(self, scale: Scale) -> tuple[int, ...]:
        """None: it makes a small database of its own."""
        return ()

    def result(self, bench: Bench) -> Result:
        """Every number of subscribers, idle and busy."""
        scale = bench.scale
        with bench.database(_DATABASE) as connection, bench.progress() as progress:
            connection.execute("SET gravity_memory.embedding_dimensions = 8")
            connection.execute("CREATE EXTENSION gravity_memory")
            connection.execute("SELECT gravity_memory_set('notify', 'wakeup')")
            task = progress.add_task("insert to callback", total=2 * len(scale.subscribers))
            for load in (_IDLE, _BUSY):
                for subscribers in scale.subscribers:
                    self._found[load, subscribers] = asyncio.run(_measured(bench, load, subscribers))
                    progress.advance(task)
        return Result(
            part=self.name,
            title=self.title,
            method=(
                f"The Python client follows so many users, over its one connection, with {GRAVITY.name}'s notify = "
                "wakeup. Another process inserts memories of a few words, without embeddings, one per transaction, "
                "each user in turn, at moments at random: "
                f"idle, {_IDLE_RATE:.0f} a second; busy, {scale.events_per_second:,} a second from "
                f"{_CLIENTS[_BUSY]} connections, to {_SHARE} times as many users as subscribe, but no more than "
                f"{max(scale.subscribers):,}. The limit of ten deliveries a second is off. "
                "Time runs from before the INSERT is sent to the call of on_created in the subscriber's process. "
                "The server and both processes share the machine. Every event arrives once, or the part fails."
            ),
            tables=(self._table(scale),),
            goals=tuple(self._goal(load, subscribers) for load in (_IDLE, _BUSY) for subscribers in scale.subscribers),
            plots=(self._plot(scale),),
        )

    def _table(self, scale: Scale) -> Table:
        rows: list[tuple[Cell, ...]] = []
        for load in (_IDLE, _BUSY):
            for subscribers in scale.subscribers:
                one = self._found[load, subscribers]
                rows.append((load, subscribers, one.per_second, one.events, one.p50, one.p99, one.longest))
        header = ("load", "subscribers", "inserts/s", "events measured", "p50 ms", "p99 ms", "longest ms")
        return Table("Insert to callback", header, tuple(rows))

    def _goal(self, load: str, subscribers: int) -> Goal:
        one = self._found[load, subscribers]
        return Goal(
            f"p99 from insert to callback, {subscribers:,} subscriber{'s' if subscribers > 1 else ''}, {load}",
            f"less than {_LIMITS[load]:.0f} ms",
            f"{one.p99:.1f} ms",
            one.p99 < _LIMITS[load] if one.events >= 100 else None,
            f"p50: {one.p50:.1f} ms.",
        )

    def _plot(self, scale: Scale) -> Plot:
        series: dict[str, tuple[tuple[float | str, float], ...]] = {
            f"{load}, {name}": tuple(
                (subscribers, getattr(self._found[load, subscribers], name)) for subscribers in scale.subscribers
            )
            for load in (_IDLE, _BUSY)
            for name in ("p50", "p99")
        }
        return Plot(
            "realtime",
            "From insert to callback",
            "subscribers",
            "ms",
            series,
            log_x=True,
            log_y=True,
            limit=_SPEC_LIMIT,
        )


async def _measured(bench: Bench, load: str, subscribers: int) -> _Latency:
    """Subscribe, have memories written, and wait until each of the subscribers' has arrived."""
    scale = bench.scale
    rate = _IDLE_RATE if load == _IDLE else float(scale.events_per_second)
    users = subscribers if load == _IDLE else min(_SHARE * subscribers, max(scale.subscribers))
    count = max(scale.queries, subscribers) if load == _IDLE else scale.events_per_second * scale.seconds
    conninfo = make_conninfo(**bench.server.parameters(_DATABASE))
    arrived: dict[str, float] = {}

    async def on_created(memory: Memory) -> None:
        at = time.monotonic()
        assert str(memory.id) not in arrived, "an event came twice"
        arrived[str(memory.id)] = at

    config = Config(realtime=RealtimeConfig(events_per_second=None))
    async with AsyncGravityMemory(conninfo, config=config) as client:
        for number in range(subscribers):
            await client.subscribe_to_memories(f"user {number}", on_created)
        command = (sys.executable, "-B", "-m", "bench.suite.timed_inserts", conninfo)
        writer = await asyncio.create_subprocess_exec(
            *command,
            *(str(rate), str(count), str(users), str(_CLIENTS[load])),
            cwd=REPO,
            stdout=asyncio.subprocess.PIPE,
        )
        output, _ = await writer.communicate()
        assert writer.returncode == 0
        began = {memory: float(at) for memory, at in (line.split() for line in output.decode().splitlines())}
        wanted = sum(1 for turn in range(count) if turn % users < subscribers)
        until = time.monotonic() + _ARRIVAL_SECONDS
        while len(arrived) < wanted and time.monotonic() < until:
            await asyncio.sleep(0.05)
    assert len(arrived) == wanted, f"{len(arrived)} of {wanted} events arrived"
    milliseconds = np.array([1000 * (at - began[memory]) for memory, at in arrived.items()])
    took = max(began.values()) - min(began.values())
    return _Latency(
        p50=float(np.percentile(milliseconds, 50)),
        p99=float(np.percentile(milliseconds, 99)),
        longest=float(milliseconds.max()),
        events=len(milliseconds),
        per_second=len(began) / took if took else 0.0,
    )
