"""Latency of recall_memories() for one user, and what the derived rows cost an insert.

    python3 -m devtools run bench.recall_latency
    python3 -m devtools run bench.recall_latency --sizes 1000 10000 --dimensions 1536

Texts are 8 to 40 words of a vocabulary of 20,000 with Zipf's distribution, the most frequent word in every tenth text;
embeddings lie around 200 centres. Queries are 3 to 8 such words and the embedding of a memory like the others.

Measured: wall time at the client, and, where /proc shows it (the server's machine, as root or the same user), the
processor time of the server process, which other work on the machine disturbs less. The ratio says how many times as
quick as the exact cosine scan of all of the user's memories in the same run. One session, warm, no parallel workers.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg import sql

from bench.databases import Connection, add_database_options, measured_database, vacuum
from devtools.errors import SetupError
from devtools.servers import ServerError, stop_on_terminate

USER = "recall latency"
SESSION_TURNS = 30
QUERIES = 300
#: Of the statements that read most of the memories.
FEW_QUERIES = 60
WARM_UP = 20
INSERTS = 2000
DERIVED_TRIGGER = "trigger_keep_derived"
DERIVED_INDEX = "idx_gravity_map_session_turns"

#: So that what is measured is in memory, as it is on a server that is used.
SERVER_SETTINGS = {"shared_buffers": "1GB", "autovacuum": "off"}

EXACT = "exact cosine scan"
STATEMENTS = {
    # An expression that no index serves.
    EXACT: "SELECT id FROM gravity_map WHERE user_id = %(user)s "
    "ORDER BY (embedding <=> %(vector)s::vector) + 0 LIMIT 10",
    "match_memories": "SELECT * FROM match_memories(%(vector)s::vector, -1, 10, %(user)s)",
    "recall by words": "SELECT * FROM recall_memories(%(user)s, %(text)s)",
    "recall by meaning": "SELECT * FROM recall_memories(%(user)s, NULL, %(vector)s::vector)",
    "recall": "SELECT * FROM recall_memories(%(user)s, %(text)s, %(vector)s::vector)",
    "recall, one session": "SELECT * FROM recall_memories(%(user)s, %(text)s, %(vector)s::vector, p_session_id => '7')",
    "recall, half the memories": "SELECT * FROM recall_memories(%(user)s, %(text)s, %(vector)s::vector, "
    "p_since => timestamptz '2020-01-01 00:00Z' + %(half)s * interval '1 minute')",
}

Vectors = NDArray[np.float32]


class Material:
    """Makes texts and vectors; the same for the same seed."""

    def __init__(self, dimensions: int, seed: int = 1) -> None:
        self.random = np.random.default_rng(seed)
        letters = np.array(list("bcdfghklmnprstvz"))
        self.words = ["".join(w) for w in self.random.choice(letters, (20000, 7))]
        shares = 1 / (np.arange(20000) + 25)
        self.cumulated = np.cumsum(shares / shares.sum())
        self.centres = self.random.standard_normal((200, dimensions)).astype(np.float32)

    def text(self, shortest: int = 8, longest: int = 40) -> str:
        """Words, drawn by frequency."""
        count = int(self.random.integers(shortest, longest + 1))
        return " ".join(self.words[n] for n in np.searchsorted(self.cumulated, self.random.random(count)))

    def vectors(self, count: int) -> Vectors:
        """Vectors of shape (count, dimensions), of length 1."""
        made = self.centres[self.random.integers(0, 200, count)]
        made = made + self.random.standard_normal(made.shape).astype(np.float32)
        unit: Vectors = made / np.linalg.norm(made, axis=1, keepdims=True)
        return unit


def vector_text(vector: Vectors) -> str:
    """A vector of shape (dimensions,) in pgvector's text form."""
    return "[" + ",".join(f"{x:.5f}" for x in vector.tolist()) + "]"


def load(connection: Connection, material: Material, first: int, last: int) -> None:
    """Adds memories first..last-1 of the user, a minute apart, in sessions."""
    with (
        connection.cursor() as cursor,
        cursor.copy("COPY gravity_map (user_id, session_id, created_at, content, embedding) FROM STDIN") as copy,
    ):
        for start in range(first, last, 1000):
            for place, vector in enumerate(material.vectors(min(1000, last - start)), start):
                minute = np.datetime64("2020-01-01T00:00") + place
                copy.write_row((USER, str(place // SESSION_TURNS), f"{minute}Z", material.text(), vector_text(vector)))
    vacuum(connection)


def processor_milliseconds(process: int) -> float | None:
    """Processor time a server process has used, or None where /proc does not tell."""
    try:
        return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e6
    except OSError:
        return None


def measure(connection: Connection, material: Material, size: int) -> None:
    """Print median and 99th percentile of each statement, for a user with so many memories."""
    process = connection.info.backend_pid
    texts = [material.text(3, 8) for _ in range(QUERIES)]
    vectors = [vector_text(vector) for vector in material.vectors(QUERIES)]
    exact = 0.0
    for name, statement in STATEMENTS.items():
        wall, processor = [], []
        for number in range(FEW_QUERIES if name in (EXACT, "recall, half the memories") else QUERIES):
            given = {"user": USER, "text": texts[number], "vector": vectors[number], "half": size // 2}
            before, start = processor_milliseconds(process), time.perf_counter()
            connection.execute(statement.encode(), given, prepare=True).fetchall()
            wall.append((time.perf_counter() - start) * 1000)
            after = processor_milliseconds(process)
            if before is not None and after is not None:
                processor.append(after - before)
        median = percentile(processor or wall, 50)
        exact = median if name == EXACT else exact
        cells = [f"{percentile(v, q):.1f}" if v else "-" for v in (wall, processor) for q in (50, 99)]
        print(f"| {size} | {name} | " + " | ".join(cells) + f" | {exact / median:.1f} |", flush=True)


def percentile(milliseconds: Sequence[float], share: int) -> float:
    """A percentile without the first, cold measurements."""
    return float(np.percentile(milliseconds[WARM_UP:], share))


def insert_cost(connection: Connection, material: Material, rows: int) -> float:
    """Milliseconds per memory that the derived rows add to inserts of `rows` memories per statement.

    With and without the trigger and the index that recall needs, in turn; the memories are rolled back.
    """
    spent = {True: 0.0, False: 0.0}
    statement = (
        "INSERT INTO gravity_map (user_id, session_id, content, embedding) "
        "SELECT %s, 'new', t, v::vector FROM unnest(%s::text[], %s::text[]) AS n (t, v)"
    )
    process = connection.info.backend_pid
    repeats = 4
    for repeat in range(2 * repeats):
        with_derived = repeat % 2 == 0
        texts = [material.text() for _ in range(INSERTS // repeats)]
        vectors = [vector_text(vector) for vector in material.vectors(len(texts))]
        with connection.transaction(force_rollback=True):
            if not with_derived:
                connection.execute(
                    sql.SQL("ALTER TABLE gravity_map DISABLE TRIGGER {}").format(sql.Identifier(DERIVED_TRIGGER))
                )
                connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(DERIVED_INDEX)))
            for place in range(0, len(texts), rows):
                before, start = processor_milliseconds(process), time.perf_counter()
                connection.execute(statement, (USER, texts[place : place + rows], vectors[place : place + rows]))
                after = processor_milliseconds(process)
                spent[with_derived] += (
                    (time.perf_counter() - start) * 1000 if before is None or after is None else after - before
                )
    return (spent[True] - spent[False]) / INSERTS


def main(arguments: list[str]) -> int:
    """Load, measure and print, for each number of memories."""
    parser = argparse.ArgumentParser(
        prog="python3 -m devtools run bench.recall_latency", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument(
        "--sizes", type=int, nargs="+", default=[10_000, 100_000], help="memories of the user (default: 10000 100000)"
    )
    parser.add_argument("--dimensions", type=int, default=384, help="of the embeddings (default: 384)")
    add_database_options(parser)
    chosen = parser.parse_args(arguments)
    sizes = sorted(set(chosen.sizes))
    if sizes[0] < 1 or not 1 <= chosen.dimensions <= 2000:
        parser.error("--sizes takes whole numbers from 1, --dimensions one from 1 to 2000")
    stop_on_terminate()
    try:
        with measured_database(
            chosen.dsn, chosen.dimensions, USER, major=chosen.major, settings=SERVER_SETTINGS
        ) as connection:
            connection.execute("SET max_parallel_workers_per_gather = 0")
            material = Material(chosen.dimensions)
            load_average = ", ".join(f"{load:.1f}" for load in os.getloadavg())
            print(f"{chosen.dimensions} dimensions, milliseconds; load of the machine before: {load_average}")
            print("| memories | | wall p50 | wall p99 | processor p50 | processor p99 | times as quick |")
            print("|---|---|---|---|---|---|---|")
            loaded = 0
            for size in sizes:
                load(connection, material, loaded, size)
                loaded = size
                measure(connection, material, size)
                for rows in (1, 500):
                    cost = insert_cost(connection, material, rows)
                    print(f"| {size} | derived rows, inserts of {rows} | {cost:.3f} per memory | | | | |", flush=True)
    except (SetupError, ServerError, psycopg.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
