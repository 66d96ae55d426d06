"""How long ALTER EXTENSION gravity_memory UPDATE takes, and how long readers and writers wait for it meanwhile.

    python3 -m devtools run bench.upgrade [--from VERSION]

For each size a database with a released version is filled with its triggers switched off (arcs and tags are not what is
measured); what the version derives from memories is derived. Then one session upgrades it, while a second inserts a
memory and a third reads one, over and over; the longest that either took is what the upgrade made it wait. From 0.1.0,
which derives nothing, an upgrade of more than setup_index_limit, or 10,000 memories, leaves deriving what recall reads
to gravity_memory_rebuild_recall(), which is timed after it; from later ones that finds nothing to do.
"""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Sequence

import psycopg
from psycopg import sql

from devtools import REPO
from devtools.metadata import control_version, released_versions
from devtools.servers import Server, ServerError, embedded_server, stop_on_terminate

RELEASED = released_versions(REPO)
SIZES = ((7_000, 1536), (100_000, 384))
"""Memories and dimensions: below setup_index_limit and above it."""

_LOAD = """
INSERT INTO gravity_map (user_id, session_id, content, embedding)
SELECT 'user ' || i %% 100, i / 3000,
       'a memory of ' || md5(i::text) || ' and ' || md5((i + 1)::text) || ' in the garden',
       (SELECT array_agg(sin(i * d)) FROM generate_series(1, %(dimensions)s) AS d)::vector
FROM generate_series(1, %(memories)s) AS i
"""


class Waiting(threading.Thread):
    """Runs a statement over and over in a session of its own; `longest` is the most it took, in seconds."""

    def __init__(self, server: Server, database: str, statement: str) -> None:
        super().__init__()
        self._server, self._database, self._statement = server, database, statement
        self._stopped = threading.Event()
        self.longest = 0.0

    def run(self) -> None:
        """Measure until `finish` is called."""
        with self._server.connect(self._database) as connection:
            while not self._stopped.is_set():
                began = time.perf_counter()
                connection.execute(self._statement.encode())
                self.longest = max(self.longest, time.perf_counter() - began)

    def finish(self) -> float:
        """Stop, and return the longest time in seconds."""
        self._stopped.set()
        self.join()
        return self.longest


def measure(server: Server, version: str, memories: int, dimensions: int) -> Sequence[str]:
    """Upgrade a database of a version with so many memories; returns the cells of a row of the table."""
    database = f"upgraded_{memories}_{dimensions}"
    server.create_database(database, extensions=["vector"])
    with server.connect(database) as connection:
        connection.execute(sql.SQL("SET gravity_memory.embedding_dimensions = {}").format(sql.Literal(dimensions)))
        connection.execute(sql.SQL("CREATE EXTENSION gravity_memory VERSION {}").format(sql.Literal(version)))
        connection.execute("SET session_replication_role = replica")
        connection.execute(_LOAD, {"memories": memories, "dimensions": dimensions})
        connection.execute("RESET session_replication_role")
        derives = connection.execute("SELECT to_regclass('memory_digests') IS NOT NULL").fetchone()
        if derives == (True,):
            connection.execute("CALL gravity_memory_rebuild_recall(p_everything => true)")
            connection.execute("VACUUM ANALYZE memory_digests, memory_postings")
        connection.execute("VACUUM ANALYZE gravity_map")
        row = connection.execute("SELECT pg_size_pretty(pg_table_size('gravity_map'))").fetchone()
        writer = Waiting(server, database, "INSERT INTO gravity_map (user_id, content) VALUES ('writer', 'one more')")
        reader = Waiting(server, database, "SELECT content FROM gravity_map WHERE user_id = 'user 7' LIMIT 1")
        writer.start()
        reader.start()
        time.sleep(1)
        began = time.perf_counter()
        connection.execute("ALTER EXTENSION gravity_memory UPDATE")
        upgrade = time.perf_counter() - began
        waits = writer.finish(), reader.finish()
        began = time.perf_counter()
        connection.execute("CALL gravity_memory_rebuild_recall()")
        rebuild = time.perf_counter() - began
    size = row[0] if row else ""
    return [f"{memories:,} x {dimensions}, {size}", *(f"{s:.2f}" for s in (upgrade, *waits, rebuild))]


def main(arguments: list[str]) -> int:
    """Measure each size and print a table, in seconds."""
    parser = argparse.ArgumentParser(
        prog="python3 -m devtools run bench.upgrade", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--major", type=int, choices=(16, 18), default=18, help="embedded PostgreSQL (default: 18)")
    parser.add_argument(
        "--from",
        dest="version",
        choices=RELEASED,
        default=RELEASED[-1],
        help="released version that is upgraded (default: the newest)",
    )
    chosen = parser.parse_args(arguments)
    stop_on_terminate()
    print(f"PostgreSQL {chosen.major}, from {chosen.version} to {control_version(REPO)}, seconds")
    print("| gravity_map | upgrade | longest INSERT beside it | longest SELECT | rebuild_recall afterwards |")
    print("|---|---|---|---|---|", flush=True)
    try:
        with embedded_server(chosen.major) as server:
            for memories, dimensions in SIZES:
                print("| " + " | ".join(measure(server, chosen.version, memories, dimensions)) + " |", flush=True)
    except (ServerError, psycopg.Error) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
