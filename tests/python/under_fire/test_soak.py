"""Mixed work for a long time: sessions, the client, and what is kept beside the memories do not grow.

The number of memories is held, so that whatever grows does so with the work and not with the data. What a session holds
is what PostgreSQL itself says of its memory contexts, which a leak of some bytes per statement shows within seconds.
"""

from __future__ import annotations

import os
import re
import statistics
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from gravity_memory import Config, GravityMemory, Memory, RealtimeConfig

from devtools.fixtures import Connection, NewServer
from devtools.full_scale import IS_FULL, bounded
from devtools.servers import Server
from python.tests.client_support import Database
from tests.python.arc_states import Warnings
from tests.python.under_fire.invariants import (
    Worker,
    assert_every_invariant_holds,
    install,
)

SECONDS = float(os.environ.get("GRAVITY_MEMORY_SOAK_SECONDS") or bounded(15.0, 3600.0))
MEMORIES = 1_500
"""About so many are kept."""

LARGEST_GROWTH = 256 * 1024
"""Bytes that a session may hold more in the last third than in the one after the warm-up.

A function for a case that seldom happens is compiled at its first use, which costs some 50 kB once: 125 kB were seen.
"""
LARGEST_CLIENT_GROWTH = 8 * 2**20
"""Bytes of resident memory that the process with the client, and all of this test, may gain."""

_DATABASE = "soak"
_RETENTION = "30 seconds"
_KINDS: Sequence[Sequence[str]] = (
    ("insert", "insert", "insert", "batch", "transaction", "arc_by_hand"),
    ("update", "update", "update_any", "insert", "delete"),
    ("recall", "recall", "read_feed"),
    ("evolve", "cleanup", "rebuild_recall", "rebuild_arcs"),
)
_HELD = "SELECT name, sum(used_bytes)::bigint FROM pg_backend_memory_contexts GROUP BY name"
_TRIM = f"""
    DELETE FROM gravity_map WHERE id IN (SELECT id FROM gravity_map ORDER BY updated_at DESC, id OFFSET {MEMORIES})
"""
# Automatic arcs go with their last member.
_TRIM_ARCS = """
    DELETE FROM memory_arcs WHERE id IN (
        SELECT id FROM memory_arcs WHERE arc_name LIKE 'by hand%' ORDER BY created_at DESC, id OFFSET 100)
"""


@dataclass
class Gauge:
    """What something holds over time.

    Attributes:
        times: seconds since the start, of each sample.
        bytes: what was held then.
        parts: what it consisted of at some of the samples, and at the last; to keep them all would be a leak of ours.
    """

    times: list[float] = field(default_factory=list)
    bytes: list[int] = field(default_factory=list)
    parts: dict[int, Counter[str]] = field(default_factory=dict)
    last: Counter[str] = field(default_factory=Counter)

    def add(self, when: float, parts: Counter[str]) -> None:
        """A sample."""
        self.times.append(when)
        self.bytes.append(parts.total())
        self.last = parts
        if len(self.bytes).bit_count() == 1:
            self.parts[len(self.bytes)] = parts

    def grown(self) -> dict[str, int]:
        """What the last sample holds more of than one at about the middle, the most first."""
        more = self.last - self.parts[max(self.parts)]
        return dict(more.most_common(5))

    def growth(self) -> int:
        """By how much the last third's median is above that of the middle third; the first third is the warm-up."""
        end = self.times[-1]
        middle = [held for when, held in zip(self.times, self.bytes, strict=True) if end / 3 <= when < end * 2 / 3]
        last = [held for when, held in zip(self.times, self.bytes, strict=True) if when >= end * 2 / 3]
        assert len(middle) >= 3
        assert len(last) >= 3
        return round(statistics.median(last) - statistics.median(middle))


def _held_by(db: Connection) -> Counter[str]:
    """Bytes in use by memory context, of those of one name together."""
    return Counter(dict(db.execute(_HELD).fetchall()))


def _resident() -> Counter[str]:
    """Bytes of this process that are in memory and no file's."""
    (kilobytes,) = re.findall(r"^RssAnon:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    return Counter(process=1024 * int(kilobytes))


def _loop(
    db: Connection, step: Callable[[], object], gauge: Gauge, began: float, seconds: float, stop: threading.Event
) -> None:
    """Repeat a step and look at what the session holds, forty times in all or every second."""
    pause = min(1.0, seconds / 40)
    look_at = began + pause
    while (now := time.monotonic()) < began + seconds and not stop.is_set():
        step()
        if now >= look_at:
            gauge.add(now - began, _held_by(db))
            look_at = now + pause


@pytest.mark.timeout(SECONDS + 600)
def test_nothing_grows_but_with_the_memories_under_mixed_load(new_server: NewServer) -> None:
    server = new_server(
        {"autovacuum_naptime": "1s", "autovacuum_vacuum_cost_delay": "0", "autovacuum_vacuum_threshold": "20"}
    )
    install(server, _DATABASE, {"notify": "wakeup", "feed_retention": _RETENTION})
    workers = [Worker(seed) for seed in range(len(_KINDS))]
    _grow(server, workers[0])
    gauges = [Gauge() for _ in _KINDS]
    ours = Gauge()
    warnings = Warnings()
    stop = threading.Event()
    heard: Counter[str] = Counter()
    sizes: list[int] = []
    began = time.monotonic()

    def session(number: int) -> None:
        try:
            with server.connect(_DATABASE) as db:
                warnings.watch(db)

                def step() -> None:
                    workers[number].work(db, _KINDS[number])
                    workers[number].remember_last(300)
                    if number == 3:
                        db.execute(_TRIM.encode())
                        db.execute(_TRIM_ARCS.encode())

                _loop(db, step, gauges[number], began, SECONDS, stop)
        except BaseException:
            stop.set()
            raise

    def listen(memory: Memory) -> None:
        heard[str(memory.user_id)] += 1

    config = Config(realtime=RealtimeConfig(events_per_second=None))
    with (
        GravityMemory(Database(server, _DATABASE).dsn, config=config) as memories,
        server.connect(_DATABASE) as db,
        ThreadPoolExecutor(len(_KINDS)) as pool,
    ):
        memories.subscribe_to_memories("ada", listen)
        running = [pool.submit(session, number) for number in range(len(_KINDS))]

        def look() -> None:
            ours.add(time.monotonic() - began, _resident())
            sizes.append(_bytes_on_disk(db))
            time.sleep(min(1.0, SECONDS / 40))

        while not stop.is_set() and time.monotonic() < began + SECONDS:
            look()
        for one in running:
            one.result(60)
    growths = {" ".join(sorted(set(kinds))): gauge.growth() for kinds, gauge in zip(_KINDS, gauges, strict=True)}
    operations: Counter[str] = Counter()
    for worker in workers:
        operations.update(worker.operations)
    middle, last = _thirds(sizes)
    print(
        f"{SECONDS:.0f} s, {operations.total()} operations {dict(operations)}, {heard.total()} events heard\n"
        f"held at the end: {[gauge.bytes[-1] for gauge in gauges]}, growth of sessions: {growths}\n"
        f"of this process: {ours.growth()}, of the tables and indexes: {middle} to {last}"
    )
    assert [message for message in warnings.messages if "may be out of date" not in message] == []
    assert heard.total() > 0
    assert min(operations.values()) >= 3
    assert max(growths.values()) <= LARGEST_GROWTH, [gauge.grown() for gauge in gauges]
    assert ours.growth() <= LARGEST_CLIENT_GROWTH
    # In a short run tables still fill the room that updates need.
    assert last <= middle * (1.25 if IS_FULL else 1.6)
    with server.connect(_DATABASE) as db:
        _assert_nothing_is_kept_for_nobody(db)


def _thirds(values: Sequence[int]) -> tuple[int, int]:
    third = len(values) // 3
    return round(statistics.median(values[third : 2 * third])), round(statistics.median(values[2 * third :]))


def _grow(server: Server, worker: Worker) -> None:
    """Fill the database to about what is kept."""
    with server.connect(_DATABASE) as db:
        while db.execute(f"SELECT count(*) >= {MEMORIES} FROM gravity_map".encode()).fetchone() != (True,):
            worker.work(db, ("batch",))
        db.execute("VACUUM ANALYZE")
    worker.operations.clear()


def _bytes_on_disk(db: Connection) -> int:
    """Of all tables but the feed's, which holds what was done in the last minute, and so follows the speed of work."""
    row = db.execute(
        "SELECT sum(pg_total_relation_size(c.oid))::bigint FROM pg_class AS c"
        " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'"
        " AND c.relname <> 'memory_events'"
    ).fetchone()
    assert row is not None
    return int(row[0])


def _assert_nothing_is_kept_for_nobody(db: Connection) -> None:
    """What is derived belongs to memories; events go when they are old; dead rows go by themselves."""
    db.execute("SELECT gravity_memory_set('feed_retention', '0.5 seconds')")
    time.sleep(1.2)
    db.execute("SELECT gravity_memory_cleanup_events(), cleanup_old_cache()")
    counts = db.execute(
        "SELECT (SELECT count(*) FROM gravity_map), (SELECT count(*) FROM memory_digests),"
        " (SELECT count(*) FROM memory_events WHERE event <> 'feed_broken'), (SELECT count(*) FROM memory_arc_locks)"
    ).fetchone()
    assert counts is not None
    memories, digests, events, locks = counts
    print(f"{memories} memories, {digests} digests, {events} events, {locks} locks")
    assert digests == memories
    assert events == 0
    assert locks <= 3 * 3, "one per user and emotion at most"
    # Nothing of the feed is left to compare.
    assert_every_invariant_holds(db, feed=False)
    deadline = time.monotonic() + 60
    dead = (
        "SELECT relname::text, n_dead_tup, n_live_tup FROM pg_stat_user_tables"
        " WHERE n_dead_tup > 100 + 0.3 * n_live_tup"
    )
    while found := db.execute(dead.encode()).fetchall():
        assert time.monotonic() < deadline, f"dead rows stay: {found}"
        time.sleep(0.2)
        db.execute("SELECT pg_stat_clear_snapshot()")


def test_the_gauge_sees_a_session_that_keeps_some_hundred_bytes_of_each_statement(db: Connection) -> None:
    gauge = Gauge()
    number = 0

    def step() -> None:
        nonlocal number
        number += 1
        db.execute("INSERT INTO gravity_map (user_id, content) VALUES ('ada', 'tulip')")
        # A parameter of its own each time, which the session keeps.
        db.execute("SELECT set_config(%s, repeat('x', 300), false)", (f"leak.n{number}",))

    _loop(db, step, gauge, time.monotonic(), 2.0, threading.Event())
    assert gauge.growth() > 0.15 * 300 * number
