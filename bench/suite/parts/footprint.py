"""What it takes: disk, memory, the time to install, and the time to set up on a table that is there."""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from typing import ClassVar

from bench.suite.bench import Bench, Stage
from bench.suite.contestants import (
    CONTESTANTS,
    GRAVITY,
    PLAIN,
    SPEC,
    Contestant,
    create_tables,
    spec_indexes,
    spec_triggers,
    use,
)
from bench.suite.memory import allocated, private
from bench.suite.part import Part
from bench.suite.parts.timeline import QUERY
from bench.suite.plans import catalogue, explain, probes
from bench.suite.results import Cell, Plot, Result, Table
from bench.suite.source import COLUMNS, HEAVIEST

_MILLION = 1_000_000
_MB = 2**20

_DISK = """
SELECT c.relname, pg_relation_size(c.oid), pg_indexes_size(c.oid),
       COALESCE(pg_total_relation_size(NULLIF(c.reltoastrelid, 0)), 0)
FROM pg_class AS c
WHERE c.relnamespace = to_regnamespace(%s) AND c.relkind = 'r' AND pg_total_relation_size(c.oid) > %s
ORDER BY pg_total_relation_size(c.oid) DESC
"""
_OWN = ("memory_digests", "memory_postings", "memory_recall_gaps", "memory_arc_locks", "gravity_memory_settings")
_VECTOR_INDEXES = """
SELECT COALESCE(sum(pg_relation_size(i.indexrelid)), 0) FROM pg_index AS i
JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_am AS a ON a.oid = c.relam
WHERE i.indrelid = to_regclass(%s) AND a.amname IN ('ivfflat', 'hnsw')
"""
_INSERTED = 1_000
_INSERT = f"""
INSERT INTO gravity_map ({COLUMNS})
SELECT gen_random_uuid(), {COLUMNS.partition(", ")[2]} FROM source.memories ORDER BY n DESC LIMIT {_INSERTED}
"""  # noqa: S608 - names are ours
_WORDS = "what did you say about that and when"


@dataclass(frozen=True)
class _Held:
    """Of a session: bytes in PostgreSQL's memory contexts, and in memory of its own; None where that is not told."""

    allocated: int
    private: int | None


class Footprint(Part):
    """Disk, memory and set-up time."""

    name: ClassVar[str] = "footprint"
    title: ClassVar[str] = "Disk, memory, and time to set up"

    def __init__(self) -> None:
        self._memories = 0
        self._disk: dict[str, list[tuple[str, int, int, int]]] = {}
        self._vectors: dict[str, int] = {}
        self._held: dict[tuple[str, str], _Held] = {}
        self._touched: dict[str, int] = {}
        self._stage: Stage | None = None

    def measure(self, bench: Bench, stage: Stage) -> None:
        """Disk of every table, then memory of sessions that do one thing."""
        self._memories, self._stage = stage.memories, stage
        with bench.server.connect(stage.database) as connection:
            for contestant in CONTESTANTS:
                rows = connection.execute(_DISK, (contestant.schema, 0)).fetchall()
                self._disk[contestant.name] = [
                    (str(name), int(heap), int(indexes), int(toast)) for name, heap, indexes, toast in rows
                ]
                row = connection.execute(_VECTOR_INDEXES, (f"{contestant.schema}.gravity_map",)).fetchone()
                assert row is not None
                self._vectors[contestant.name] = int(row[0])
            use(connection, GRAVITY)
            asked = probes(connection)
            self._touched = {
                user: sum(explain(connection, index.statement, probe).pages for index in catalogue(connection))
                for user, probe in asked.items()
            }
            vector = asked["heaviest"]["embedding"]
        for contestant in CONTESTANTS:
            self._hold(bench, stage, contestant, vector)

    def _hold(self, bench: Bench, stage: Stage, contestant: Contestant, vector: str) -> None:
        parameters = {"user": HEAVIEST, "user_id": HEAVIEST, "vector": vector, "words": _WORDS}
        nearest = "SELECT id FROM gravity_map ORDER BY embedding <=> %(vector)s LIMIT 10"
        calls: dict[str, str] = {"nothing": "SELECT 1", "the specification's test query": QUERY}
        if contestant == GRAVITY:
            calls |= {
                "match_memories()": "SELECT * FROM match_memories(%(vector)s, -1, 10, %(user)s)",
                "recall_memories()": "SELECT * FROM recall_memories(%(user)s, %(words)s, %(vector)s)",
                "search across users": "SELECT * FROM gravity_memory_search_all(%(vector)s, -1)",
            }
        else:
            calls["search across users"] = nearest
        calls[f"INSERT of {_INSERTED:,} memories"] = _INSERT
        for what, statement in calls.items():
            # A session of its own, so that nothing is left of what was done before.
            with bench.server.connect(stage.database) as connection:
                use(connection, contestant)
                with connection.transaction(force_rollback=True):
                    connection.execute(statement.encode(), parameters if "%(" in statement else None)
                self._held[contestant.name, what] = _Held(allocated(connection), private(connection))

    def result(self, bench: Bench) -> Result:
        """Tables of all of it."""
        assert self._stage is not None
        runs = 2 * bench.scale.repeat + 1
        installing = {contestant: self._install(bench, contestant, runs) for contestant in (GRAVITY, SPEC)}
        install_rows: list[tuple[Cell, ...]] = [
            (
                "gravity_memory: CREATE EXTENSION",
                min(installing[GRAVITY]),
                statistics.median(installing[GRAVITY]),
                max(installing[GRAVITY]),
            ),
            (
                "the specification: its indexes and triggers, on tables that are there",
                min(installing[SPEC]),
                statistics.median(installing[SPEC]),
                max(installing[SPEC]),
            ),
        ]
        return Result(
            part=self.name,
            title=self.title,
            method=(
                f"{self._memories:,} memories of {self._stage.dimensions} dimensions, with the other tables in "
                "proportion. Disk is PostgreSQL's count, and per million memories. Memory is of a session that did "
                "one thing, before it ends: what PostgreSQL's memory contexts hold (pg_backend_memory_contexts), "
                "and what the process has for itself by the operating system (Pss_Anon; shared buffers do not "
                f"count). The catalogue's queries are those of that part. Installing is timed {runs} times in new "
                "databases. Setting up is timed while a client inserts a row every 50 ms, in a table that is "
                "filled already; its longest wait is given beside."
            ),
            tables=(
                self._disk_table(),
                self._setup_table(),
                Table(
                    "Installing in an empty database",
                    ("what", "shortest s", "median s", "longest s"),
                    tuple(install_rows),
                ),
                *self._memory_tables(),
            ),
            plots=(self._plot(),),
        )

    def _install(self, bench: Bench, contestant: Contestant, runs: int) -> list[float]:
        seconds = []
        for _ in range(runs):
            with bench.database("installing") as connection:
                connection.execute("SET client_min_messages = warning")
                if contestant == SPEC:
                    create_tables(connection, SPEC, bench.scale.dimensions)
                    statements = [*spec_indexes(), spec_triggers()]
                else:
                    statements = ["CREATE EXTENSION gravity_memory"]
                began = time.perf_counter()
                for statement in statements:
                    connection.execute(statement.encode())
                seconds.append(time.perf_counter() - began)
        return seconds

    def _disk_table(self) -> Table:
        rows: list[tuple[Cell, ...]] = []
        scaled = _MILLION / self._memories / _MB
        for name, tables in self._disk.items():
            for table, heap, indexes, toast in tables:
                if (heap + indexes + toast) * scaled < 1:
                    continue
                what = f"{table} (its own)" if table in _OWN else table
                rows.append(
                    (name, what, heap * scaled, toast * scaled, indexes * scaled, (heap + toast + indexes) * scaled)
                )
            total = [
                sum(sizes) * scaled
                for sizes in zip(*((heap, toast, indexes) for _, heap, indexes, toast in tables), strict=True)
            ]
            rows.append((name, "all", *total, sum(total)))
            rows.append(
                (
                    name,
                    "of these, vector indexes",
                    None,
                    None,
                    self._vectors[name] * scaled,
                    self._vectors[name] * scaled,
                )
            )
        header = ("contestant", "table", "rows MB", "TOAST MB", "indexes MB", "all MB")
        return Table(
            "Disk per million memories",
            header,
            tuple(rows),
            "Its own: what recall reads, and locks. Tables of less than a megabyte are left out.",
        )

    def _setup_table(self) -> Table:
        assert self._stage is not None
        rows: list[tuple[Cell, ...]] = []
        for contestant in CONTESTANTS:
            seconds = self._stage.seconds[contestant.name]
            waits = self._stage.waits[contestant.name]
            for step, took in seconds.items():
                if step != "load":
                    rows.append((contestant.name, step, took, waits[step]))
            rows.append(
                (contestant.name, "all", sum(s for step, s in seconds.items() if step != "load"), max(waits.values()))
            )
        return Table(
            f"Setting up on a table of {self._memories:,} memories",
            ("contestant", "step", "s", "longest wait of a writer, s"),
            tuple(rows),
            "The specification's ivfflat indexes are there before the rows are, as its migrations have it, so that "
            f"this does not contain them: they make loading take {self._load(SPEC):.0f} s, against "
            f"{self._load(PLAIN):.0f} s without any index.",
        )

    def _load(self, contestant: Contestant) -> float:
        assert self._stage is not None
        return self._stage.seconds[contestant.name]["load"]

    def _memory_tables(self) -> tuple[Table, Table]:
        rows: list[tuple[Cell, ...]] = []
        for (name, what), held in self._held.items():
            rows.append((name, what, held.allocated / _MB, None if held.private is None else held.private / _MB))
        touched: tuple[tuple[Cell, ...], ...] = tuple(
            (user, pages, pages * 8192 / _MB) for user, pages in self._touched.items()
        )
        return (
            Table(
                "Memory of a session", ("contestant", "after", "memory contexts MB", "private memory MB"), tuple(rows)
            ),
            Table(
                "Pages that all catalogue queries together look at, once each",
                ("user", "pages of 8 kB", "MB"),
                touched,
                "A page counts each time that it is looked at: what has to fit into the cache is less.",
            ),
        )

    def _plot(self) -> Plot:
        scaled = _MILLION / self._memories / 2**30
        kinds: dict[str, dict[str, float]] = {}
        for contestant in CONTESTANTS:
            tables = self._disk[contestant.name]
            shared = [one for one in tables if one[0] not in _OWN]
            own = sum(sum(one[1:]) for one in tables if one[0] in _OWN)
            vectors = self._vectors[contestant.name]
            sizes = {
                "rows": sum(one[1] + one[3] for one in shared),
                "indexes": sum(one[2] for one in shared) - vectors,
                "vector indexes": vectors,
                "gravity_memory's own tables": own,
            }
            for kind, size in sizes.items():
                kinds.setdefault(kind, {})[contestant.name] = size * scaled
        series: dict[str, tuple[tuple[float | str, float], ...]] = {
            kind: tuple(found.items()) for kind, found in kinds.items()
        }
        return Plot("footprint", "Disk per million memories", "", "GB", series, kind="bars")
