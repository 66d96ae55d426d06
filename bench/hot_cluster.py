"""What a row costs when all memories belong to one cluster: the worst case for building arcs.

    python3 -m devtools run bench.hot_cluster            # on an embedded PostgreSQL 18 of its own
    python3 -m devtools run bench.hot_cluster --json

Three databases with the same tables and indexes, in one run: with gravity_memory's triggers, with the triggers as the
specification writes them (bench/spec_triggers.sql), and with none. For each, 1,000 and 10,000 rows of one user and one
emotion in one statement, as single inserts in one transaction, and as single inserts that each commit. fsync is off.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import psycopg

from devtools.errors import SetupError
from devtools.servers import Server, ServerError, embedded_server, stop_on_terminate

Connection = psycopg.Connection[tuple[Any, ...]]

_STATEMENT = b"""
    INSERT INTO gravity_map (user_id, content, emotion_type, gravity_score, entities)
    SELECT 'ada', 'We talked about number ' || n, 'joy', 0.8 + mod(n, 20) / 100.0, ARRAY['Ada']
    FROM generate_series(1, %s) AS n
"""
_SINGLE = b"""
    INSERT INTO gravity_map (user_id, content, emotion_type, gravity_score, entities)
    VALUES ('ada', %s, 'joy', %s, ARRAY['Ada'])
"""


@dataclass(frozen=True)
class Measurement:
    """Milliseconds per row of one way to insert, in one database; None where it was not measured.

    Attributes:
        database: whose triggers.
        way: how the rows were inserted.
        small_ms, large_ms: per row, at the smaller and the larger number of rows.
    """

    database: str
    way: str
    small_ms: float
    large_ms: float | None

    @property
    def ratio(self) -> float | None:
        """How many times as much a row costs at the larger number of rows: 1 is flat, 10 is quadratic."""
        return None if self.large_ms is None else self.large_ms / self.small_ms


def _in_one_statement(connection: Connection, rows: int) -> None:
    connection.execute(_STATEMENT, (rows,))


def _one_by_one(connection: Connection, rows: int) -> None:
    for number in range(rows):
        parameters = (f"We talked about number {number}", 0.8 + number % 20 / 100)
        connection.execute(_SINGLE, parameters, prepare=True)


def _in_one_transaction(connection: Connection, rows: int) -> None:
    with connection.transaction():
        _one_by_one(connection, rows)


_WAYS: dict[str, Callable[[Connection, int], None]] = {
    "one statement": _in_one_statement,
    "single inserts, one transaction": _in_one_transaction,
    "single inserts, each commits": _one_by_one,
}

_DATABASES = ("gravity_memory", "specification", "no triggers")


def _prepare(server: Server, database: str) -> None:
    server.create_database(database, extensions=["vector", "gravity_memory"])
    if database == "gravity_memory":
        return
    with server.connect(database) as connection:
        connection.execute("SELECT * FROM gravity_memory_teardown()")
        if database == "specification":
            connection.execute((Path(__file__).parent / "spec_triggers.sql").read_bytes())


def _milliseconds_per_row(server: Server, database: str, way: str, rows: int, repeat: int) -> float:
    """The median of some runs, each on empty tables and in a session of its own."""
    figures = []
    for _ in range(repeat):
        with server.connect(database) as connection:
            connection.execute("SET client_min_messages = error")
            connection.execute("TRUNCATE gravity_map, memory_arcs, memory_arc_associations")
            began = time.perf_counter()
            _WAYS[way](connection, rows)
            figures.append((time.perf_counter() - began) * 1000 / rows)
    return statistics.median(figures)


def measure(server: Server, small: int, large: int, repeat: int, *, all_of_spec: bool) -> Iterator[Measurement]:
    """Measure every way in every database, yielding each result as it is there.

    The specification's single inserts are left out at the larger number unless `all_of_spec`: they take as long as
    its one statement does, which shows the growth already.
    """
    for database in _DATABASES:
        _prepare(server, database)
    for way in _WAYS:
        for database in _DATABASES:
            wanted = database != "specification" or way == "one statement" or all_of_spec
            # What is quadratic is slow enough to need no repetition.
            times = 1 if database == "specification" else repeat
            yield Measurement(
                database,
                way,
                _milliseconds_per_row(server, database, way, small, repeat),
                _milliseconds_per_row(server, database, way, large, times) if wanted else None,
            )


def _cells(one: Measurement) -> tuple[str, ...]:
    large = "not measured" if one.large_ms is None else f"{one.large_ms:.3f}"
    ratio = "" if one.ratio is None else f"{one.ratio:.2f}"
    return (one.way, one.database, f"{one.small_ms:.3f}", large, ratio)


def main(arguments: list[str]) -> int:
    """Run the benchmark on an embedded server and print a table, or JSON."""
    parser = argparse.ArgumentParser(
        prog="python3 -m devtools run bench.hot_cluster", description=__doc__.split("\n")[0]
    )
    parser.add_argument("--major", type=int, choices=(16, 18), default=18, help="PostgreSQL version (default: 18)")
    parser.add_argument("--small", type=int, default=1000, metavar="ROWS", help="default: 1000")
    parser.add_argument("--large", type=int, default=10_000, metavar="ROWS", help="default: 10000")
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="the median of N runs is shown (default: 3)")
    parser.add_argument("--all", action="store_true", help="also the specification's single inserts at --large")
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    chosen = parser.parse_args(arguments)
    if min(chosen.small, chosen.large, chosen.repeat) < 1:
        parser.error("--small, --large and --repeat take whole numbers from 1")
    stop_on_terminate()
    widths = (33, 16, 16, 16, 6)
    header = ("", "triggers", f"ms/row {chosen.small:,}", f"ms/row {chosen.large:,}", "ratio")
    results = []
    try:
        with embedded_server(chosen.major) as server:
            if not chosen.json:
                print(f"PostgreSQL {server.major}, one user, one emotion, fsync off")
                print("".join(cell.ljust(width) for cell, width in zip(header, widths, strict=True)).rstrip())
            for one in measure(server, chosen.small, chosen.large, chosen.repeat, all_of_spec=chosen.all):
                results.append(one)
                if not chosen.json:
                    line = "".join(cell.ljust(width) for cell, width in zip(_cells(one), widths, strict=True))
                    print(line.rstrip(), flush=True)
    except (SetupError, ServerError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if chosen.json:
        document = {
            "postgresql": chosen.major,
            "small_rows": chosen.small,
            "large_rows": chosen.large,
            "results": [{**asdict(one), "ratio": one.ratio} for one in results],
        }
        print(json.dumps(document, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
