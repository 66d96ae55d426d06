"""The purge of expired cache entries while an application works: what it does to that, and what it leaves."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import ClassVar

from bench.databases import Connection
from bench.suite.bench import Bench
from bench.suite.contestants import GRAVITY, SPEC, Contestant, use
from bench.suite.copies import SPARE, copy_of, filled_databases, server_settings
from bench.suite.load import Load, Observed, Script, joined, run_clients
from bench.suite.part import Part
from bench.suite.results import Cell, Plot, Result, Table
from bench.suite.scales import Scale
from bench.suite.source import COLUMNS

_CLIENTS = 2
_PER_SECOND = 200.0
_BATCH = 5_000
_LOOKUPS = 20
_SETTLE = 1.0

_USERS = 1_000
# As many as expire in twelve hours are kept. Responses are of some 400 bytes.
_CACHE = f"""
    INSERT INTO consciousness_cache
        (user_id, query_hash, query_text, response, confidence, accessed_count, last_accessed, created_at)
    SELECT 'user-' || 1 + n %% {_USERS}, md5(n::text), 'What did we say about number ' || n || ', and when?',
           repeat(md5(n::text || 'a') || ' ', 12), 0.5 + n %% 50 / 100.0, n %% 4, c.at, c.at
    FROM generate_series(0, %(rows)s - 1) AS n
    CROSS JOIN LATERAL
        (SELECT %(last)s::timestamptz - (%(rows)s - n) * %(hours)s * interval '1 hour' / %(rows)s) AS c (at)
"""  # noqa: S608 - names are ours

_TIMELINE = """\\set user random_zipfian(1, 150000, 1.05)
SELECT * FROM gravity_map
WHERE user_id = 'user-' || :user::text AND created_at > now() - interval '7 days' AND gravity_score >= 0.7
ORDER BY created_at DESC LIMIT 50;
"""
_LOOKUP = """
SELECT response, confidence FROM consciousness_cache
WHERE user_id = 'user-' || (1 + {n} % 1000)::text AND query_hash = md5({n}::text)
  AND created_at > now() - interval '1 hour'
ORDER BY created_at DESC LIMIT 1
"""
_COPIED = ", ".join(name for name in COLUMNS.split(", ") if name not in {"id", "created_at", "updated_at"})
_INSERT = f"""\\set n random(0, {{last}})
INSERT INTO gravity_map ({_COPIED}) SELECT {_COPIED} FROM {SPARE} WHERE n = :n;
"""  # noqa: S608 - names are ours
_SPARE = 2_000


@dataclass(frozen=True)
class _Purged:
    """What a purge took: seconds in all and of its longest transaction, and how many rows it deleted."""

    seconds: float
    longest: float
    rows: int


def _at_once(connection: Connection) -> _Purged:
    before = _number(connection, "SELECT count(*) FROM consciousness_cache")
    began = time.perf_counter()
    connection.execute("SELECT cleanup_old_cache()")
    seconds = time.perf_counter() - began
    return _Purged(seconds, seconds, int(before - _number(connection, "SELECT count(*) FROM consciousness_cache")))


def _in_batches(connection: Connection) -> _Purged:
    """Each batch is a transaction."""
    statement = f"""
        DELETE FROM consciousness_cache WHERE id IN (
            SELECT id FROM consciousness_cache WHERE created_at < now() - interval '24 hours'
            ORDER BY created_at LIMIT {_BATCH} FOR UPDATE SKIP LOCKED)
    """  # noqa: S608 - a number of ours
    took = []
    rows = 0
    began = time.perf_counter()
    while True:
        start = time.perf_counter()
        deleted = connection.execute(statement.encode()).rowcount
        took.append(time.perf_counter() - start)
        rows += deleted
        if deleted == 0:
            return _Purged(time.perf_counter() - began, max(took), rows)


@dataclass(frozen=True)
class _Arm:
    """Whose table is purged, and how."""

    name: str
    contestant: Contestant
    purge: Callable[[Connection], _Purged]


_ARMS = (
    _Arm(GRAVITY.name, GRAVITY, _at_once),
    _Arm(f"{GRAVITY.name}'s table, by {_BATCH:,} rows", GRAVITY, _in_batches),
    _Arm(SPEC.name, SPEC, _at_once),
)


@dataclass(frozen=True)
class _Alone:
    """A purge that nothing runs beside, and what it leaves; sizes in bytes, of the table with its indexes."""

    purged: _Purged
    wal: float
    dead: float
    size_before: float
    size_after: float
    size_vacuumed: float
    vacuum_seconds: float


@dataclass(frozen=True)
class _Beside:
    """A purge beside an application, and the application's statements before it and meanwhile."""

    purged: _Purged
    without: dict[str, Observed]
    during: dict[str, Observed]


class Cleanup(Part):
    """The foreground's p50 and p99 without and with the purge, and the purge's own figures."""

    name: ClassVar[str] = "cleanup"
    title: ClassVar[str] = "Cleanup of the cache"

    def __init__(self) -> None:
        self._alone: dict[_Arm, _Alone] = {}
        self._beside: dict[_Arm, _Beside] = {}
        self._lookup: dict[Contestant, float] = {}

    def sizes(self, scale: Scale) -> tuple[int, ...]:
        """None: each run starts from a copy of a database of its own."""
        return ()

    def result(self, bench: Bench) -> Result:
        """Every way to purge, on its own and beside the foreground."""
        scale = bench.scale
        contestants = (GRAVITY, SPEC)
        with (
            server_settings(bench, autovacuum="off"),
            filled_databases(bench, contestants, scale.bulk_base, min(_SPARE, scale.bulk_base)) as databases,
            bench.progress() as progress,
        ):
            task = progress.add_task("cleanup", total=2 * len(_ARMS))
            for contestant in contestants:
                with bench.server.connect(databases[contestant]) as connection:
                    self._lookup[contestant] = _fill_cache(connection, contestant, scale)
            for arm in _ARMS:
                with copy_of(bench, databases[arm.contestant], arm.contestant) as connection:
                    self._alone[arm] = _purge_alone(connection, arm)
                progress.advance(task)
                with copy_of(bench, databases[arm.contestant], arm.contestant) as connection:
                    self._beside[arm] = _purge_beside(bench, connection, arm, self._alone[arm].purged.seconds)
                progress.advance(task)
        return Result(
            part=self.name,
            title=self.title,
            method=(
                f"consciousness_cache holds {scale.cache_rows:,} entries older than cache_retention and "
                f"{_kept(scale):,} younger ones. {_CLIENTS} clients of pgbench begin {_PER_SECOND:.0f} prepared "
                "statements a second at random moments, four in ten the test query, four in ten lookups in the "
                f"cache, two in ten inserts of one memory into a table of {scale.bulk_base:,}; a statement's time "
                "counts from the moment at which it should have begun. First without the purge, then, on the same "
                "copy of the database, while cleanup_old_cache() runs. Beside it, the same deletion as a client "
                "could do it, each batch a transaction. Autovacuum is off, so that what is left can be seen. The "
                "specification has no index on this table: a lookup alone reads all of it "
                f"({1000 * self._lookup[SPEC]:.1f} ms, {GRAVITY.name} {1000 * self._lookup[GRAVITY]:.2f} ms), and "
                "its foreground does without."
            ),
            tables=(self._foreground(), self._purges()),
            plots=(self._plot(),),
        )

    def _foreground(self) -> Table:
        rows: list[tuple[Cell, ...]] = []
        for arm, beside in self._beside.items():
            for name, without in beside.without.items():
                during = beside.during[name]
                figures = [one.percentile(share) for one in (without, during) for share in (50, 99)]
                before, meanwhile = without.percentile(99), during.percentile(99)
                ratio = meanwhile / before if before is not None and meanwhile is not None else None
                rows.append(
                    (
                        arm.name,
                        name,
                        *figures,
                        ratio,
                        len(during.milliseconds),
                        float(during.milliseconds.max(initial=0)),
                    )
                )
        header = (
            "purge",
            "statement",
            "p50 ms without",
            "p99 ms without",
            "p50 ms meanwhile",
            "p99 ms meanwhile",
            "times, p99",
            "statements meanwhile",
            "slowest ms meanwhile",
        )
        return Table("The foreground without the purge, and meanwhile", header, tuple(rows))

    def _purges(self) -> Table:
        rows: list[tuple[Cell, ...]] = []
        for arm, alone in self._alone.items():
            rows.append(
                (
                    arm.name,
                    alone.purged.rows,
                    alone.purged.seconds,
                    self._beside[arm].purged.seconds,
                    self._beside[arm].purged.longest,
                    alone.wal / 1e6,
                    int(alone.dead),
                    alone.size_before / 1e6,
                    alone.size_after / 1e6,
                    alone.size_vacuumed / 1e6,
                    alone.vacuum_seconds,
                )
            )
        header = (
            "purge",
            "rows",
            "s alone",
            "s beside the foreground",
            "its longest transaction s",
            "WAL MB",
            "dead rows after",
            "table and indexes MB before",
            "after",
            "after VACUUM",
            "VACUUM s",
        )
        return Table("The purge", header, tuple(rows))

    def _plot(self) -> Plot:
        ours, batches = self._beside[_ARMS[0]], self._beside[_ARMS[1]]
        series: dict[str, tuple[tuple[float | str, float], ...]] = {
            "without": _p99(ours.without),
            "cleanup_old_cache()": _p99(ours.during),
            "in batches": _p99(batches.during),
        }
        return Plot("cleanup", "Foreground while the cache is purged", "statement", "p99 ms", series, kind="bars")


def _p99(observed: dict[str, Observed]) -> tuple[tuple[float | str, float], ...]:
    found = ((name, one.percentile(99)) for name, one in observed.items())
    return tuple((name, value) for name, value in found if value is not None)


def _kept(scale: Scale) -> int:
    return scale.cache_rows // 2


def _fill_cache(connection: Connection, contestant: Contestant, scale: Scale) -> float:
    """Fill the cache, and return how many seconds a lookup takes, the median of some.

    The entries to be kept are of the last twelve hours; the others were made in the day before they expired.
    """
    use(connection, contestant)
    now = connection.execute("SELECT now()").fetchone()
    expired = connection.execute("SELECT now() - interval '24 hours 1 minute'").fetchone()
    assert now is not None
    assert expired is not None
    connection.execute(_CACHE.encode(), {"rows": scale.cache_rows, "last": expired[0], "hours": 24})
    connection.execute(_CACHE.encode(), {"rows": _kept(scale), "last": now[0], "hours": 12})
    connection.execute("VACUUM ANALYZE consciousness_cache")
    took = []
    for number in range(_LOOKUPS):
        query = _LOOKUP.format(n=f"({_kept(scale) - 1 - number})")
        began = time.perf_counter()
        found = connection.execute(query.encode()).fetchall()
        took.append(time.perf_counter() - began)
        assert len(found) == 1, query
    return statistics.median(took)


def _number(connection: Connection, query: str) -> float:
    found = connection.execute(query.encode()).fetchone()
    assert found is not None
    return float(found[0])


def _size(connection: Connection) -> float:
    return _number(connection, "SELECT pg_total_relation_size('consciousness_cache')")


def _position(connection: Connection) -> float:
    return _number(connection, "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')")


def _purge_alone(connection: Connection, arm: _Arm) -> _Alone:
    size_before, position = _size(connection), _position(connection)
    purged = arm.purge(connection)
    wal = _position(connection) - position
    connection.execute("SELECT pg_stat_force_next_flush()")
    dead = _number(connection, "SELECT pg_stat_get_dead_tuples('consciousness_cache'::regclass)")
    size_after = _size(connection)
    began = time.perf_counter()
    connection.execute("VACUUM consciousness_cache")
    took = time.perf_counter() - began
    return _Alone(purged, wal, dead, size_before, size_after, _size(connection), took)


def _purge_beside(bench: Bench, connection: Connection, arm: _Arm, expected: float) -> _Beside:
    """Run the foreground alone, then once more with the purge in its middle."""
    scripts = _scripts(bench.scale, arm.contestant)
    name = connection.info.dbname
    over = threading.Event()

    def foreground(seconds: int) -> Load:
        return run_clients(
            bench.server, name, arm.contestant, scripts, clients=_CLIENTS, seconds=seconds, rate=_PER_SECOND
        )

    def until_over() -> list[Load]:
        # Beside the foreground the purge takes longer; how much is not known before.
        loads = []
        while not over.is_set():
            loads.append(foreground(bench.scale.seconds + 2 + int(2 * expected)))
        return loads

    # Sessions that begin fill their caches first, in both cases before what counts.
    began = time.time() + _SETTLE
    alone = foreground(max(bench.scale.seconds, int(expected)) + 1).observed
    without = {script: one.between(began, time.time()) for script, one in alone.items()}
    with ThreadPoolExecutor(1) as pool:
        loads = pool.submit(until_over)
        try:
            time.sleep(_SETTLE)
            began = time.time()
            purged = arm.purge(connection)
            ended = time.time()
        finally:
            over.set()
        during = {script: joined([load.observed[script] for load in loads.result()]) for script in scripts}
    return _Beside(purged, without, {script: one.between(began, ended) for script, one in during.items()})


def _scripts(scale: Scale, contestant: Contestant) -> dict[str, Script]:
    kept = _kept(scale)
    # Of the last half an hour, because time goes on.
    lookup = f"\\set n random({kept - 1 - kept // 24}, {kept - 1})\n{_LOOKUP.format(n=':n::int')};\n"
    scripts = {
        "test query": Script(_TIMELINE, 4),
        "lookup": Script(lookup, 4),
        "insert": Script(_INSERT.format(last=min(_SPARE, scale.bulk_base) - 1), 2),
    }
    if contestant == SPEC:
        del scripts["lookup"]
    return scripts
