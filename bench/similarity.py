"""Similarity search: recall against the exact answer, time against the exact scan, and what derived rows cost.

    python3 -m devtools run bench.similarity                                  # all of it
    python3 -m devtools run bench.similarity methods --sizes 10000 --dimensions 1536

Parts, each with a table of its own in which everything was measured in turn, in the same session, warm, on one core:

methods   One user's search: exact scan, halfvec, vectors stored inline, match_memories, ivfflat and HNSW with a
          condition on the user. For each of --sizes and --dimensions.
inserts   What the derived rows cost an INSERT, for each of --dimensions.

Users of all sizes in a large table of many users, and searches across users, are the part `recall` of bench.suite.

Memories are copied with triggers off, and gravity_memory_rebuild_recall() derives their rows; their text is empty, so
that signatures alone are measured (bench.recall_latency has texts). fsync is off. On how the vectors are made, see
bench/vectors.py.
"""

# ruff: noqa: S608  (the SQL is put together from this file's own constants)

from __future__ import annotations

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator

import numpy as np

from bench.databases import Connection, add_database_options, measured_database
from bench.timing import Search, ids_of, measure, processor_milliseconds, show
from bench.vectors import Embeddings, literal, load
from devtools.errors import SetupError
from devtools.servers import ServerError, stop_on_terminate

PARTS = ("methods", "inserts")
PREFIX = "similarity "
USER = PREFIX + "of interest"
COUNT = 10
SETTINGS = {
    "shared_buffers": "4GB",
    "maintenance_work_mem": "1GB",
    "max_wal_size": "16GB",
    "max_parallel_workers_per_gather": "0",
    "autovacuum": "off",
    "jit": "off",
}
# A sort expression that no index on embedding serves.
EXACT = "SELECT id FROM gravity_map WHERE user_id = '{user}' ORDER BY (embedding <=> %s::vector) + 0 LIMIT {count}"
MATCH = "SELECT id FROM match_memories(%s::vector, -1, {count}, '{user}')"


def part_methods(connection: Connection, dimensions: int, size: int, chosen: argparse.Namespace) -> None:
    """One user with `size` memories among others: a fifth as many, at least 40,000, of ten other users."""
    source = Embeddings(dimensions)
    others = max(size // 5, chosen.others)
    _load(connection, [(USER, size), *((f"{PREFIX}{i}", others // 10) for i in range(10))], source)
    queries = [literal(vector) for vector in source.draw(chosen.queries)]
    exact_run = ids_of(connection, EXACT.format(user=USER, count=COUNT))
    searches = {"exact scan": Search(exact_run)}
    for name, kind, storage in (("halfvec", f"halfvec({dimensions})", "external"), ("inline", "vector", "plain")):
        connection.execute(
            f"CREATE TABLE measured_{name} (id uuid, user_id text, embedding {kind});"
            f"ALTER TABLE measured_{name} ALTER embedding SET STORAGE {storage};"
            f"INSERT INTO measured_{name} SELECT id, user_id, embedding FROM gravity_map;"
            f"CREATE INDEX ON measured_{name} (user_id)"
        )
        connection.execute(f"VACUUM ANALYZE measured_{name}")
        cast = kind.split("(")[0]
        searches[f"exact scan, {name}"] = Search(
            ids_of(
                connection,
                f"SELECT id FROM measured_{name} WHERE user_id = '{USER}'"
                f" ORDER BY (embedding <=> %s::{cast}) + 0 LIMIT {COUNT}",
            )
        )
    for method, options, effort in (
        ("ivfflat", f"lists = {max(10, (size + others) // 1000)}", "SET ivfflat.probes = 10"),
        ("hnsw", "m = 16", "SET hnsw.ef_search = 100"),
    ):
        if method in chosen.without:
            continue
        # Without an index on user_id, so that the planner takes the one on embedding.
        connection.execute(f"CREATE TABLE measured_{method} AS SELECT id, user_id, embedding FROM gravity_map")
        began = time.perf_counter()
        connection.execute(
            f"CREATE INDEX ON measured_{method} USING {method} (embedding vector_cosine_ops) WITH ({options})"
        )
        print(f"{method} ({options}) built in {time.perf_counter() - began:.0f} s", flush=True)
        connection.execute(f"VACUUM ANALYZE measured_{method}")
        statement = (
            f"SELECT id FROM measured_{method} WHERE user_id = '{USER}' ORDER BY embedding <=> %s::vector LIMIT {COUNT}"
        )
        for scan, title in (("off", ""), ("relaxed_order", ", iterative scan")):
            before = f"{effort}; SET {method}.iterative_scan = {scan}"
            connection.execute(before.encode())
            served = _is_served(connection, statement, queries[0])
            searches[f"{method}{title}{'' if served else ' (planner: no index)'}"] = Search(
                ids_of(connection, statement), before
            )
    searches["match_memories"] = Search(ids_of(connection, MATCH.format(user=USER, count=COUNT)))
    searches["match_memories, threshold 0.7"] = Search(
        ids_of(connection, MATCH.format(user=USER, count=COUNT).replace("-1", "0.7"))
    )
    exact = [exact_run(query) for query in queries]
    timings = measure(connection, searches, queries, exact, chosen.rounds)
    show(f"One user with {size:,} of {size + others:,} memories, {dimensions} dimensions, ten nearest", timings)


def part_inserts(connection: Connection, dimensions: int, chosen: argparse.Namespace) -> None:
    """What the derived rows cost an INSERT; the other triggers are off, and turns with and without alternate."""
    source = Embeddings(dimensions)
    _load(connection, [(USER, 20_000)], source)
    connection.execute("ALTER TABLE gravity_map DISABLE TRIGGER USER")
    text = " ".join(f"word{n}" for n in range(20))
    vectors = [literal(vector) for vector in source.draw(500)]
    process = connection.info.backend_pid
    print(f"\n### Milliseconds that the derived rows add to an INSERT, {dimensions} dimensions\n")
    print("| memories | per statement | without | with | difference |\n|---|---|---|---|---|")
    for content, content_vectors, title in (
        (None, vectors, "vector, no text"),
        (text, [None] * len(vectors), "20 words, no vector"),
        (text, vectors, "20 words and vector"),
    ):
        for rows in (1, 500):
            spent: dict[bool, list[float]] = {False: [], True: []}
            for turn in range(2 * max(10, 2 * chosen.rounds)):
                derives = turn % 2 == 1
                word = "ENABLE" if derives else "DISABLE"
                with connection.transaction(force_rollback=True):
                    connection.execute(f"ALTER TABLE gravity_map {word} TRIGGER trigger_keep_derived")
                    connection.execute(_INSERT, (USER, content, content_vectors[:1]))
                    before, began = processor_milliseconds(process), time.perf_counter()
                    for place in range(0, len(vectors), rows):
                        connection.execute(_INSERT, (USER, content, content_vectors[place : place + rows]))
                    after = processor_milliseconds(process)
                    wall = 1000 * (time.perf_counter() - began)
                    milliseconds = wall if before is None or after is None else after - before
                    spent[derives].append(milliseconds / len(vectors))
            without, having = (float(np.median(spent[derives])) for derives in (False, True))
            print(f"| {title} | {rows} | {without:.3f} | {having:.3f} | {having - without:.3f} |", flush=True)
    connection.execute("ALTER TABLE gravity_map ENABLE TRIGGER USER")


_INSERT = (
    "INSERT INTO gravity_map (user_id, content, embedding) SELECT %s, %s, e::vector FROM unnest(%s::text[]) AS n (e)"
)


def _load(connection: Connection, users: list[tuple[str, int]], source: Embeddings) -> None:
    began = time.perf_counter()
    load(connection, users, source)
    print(f"\n{sum(size for _, size in users):,} memories stored in {time.perf_counter() - began:.0f} s", flush=True)


def _is_served(connection: Connection, statement: str, query: str) -> bool:
    """Whether the planner takes an index for the order."""
    plan = connection.execute(f"EXPLAIN {statement}".encode(), (query,)).fetchall()
    return any("Order By:" in line for (line,) in plan)


@contextlib.contextmanager
def _database(chosen: argparse.Namespace, dimensions: int) -> Iterator[Connection]:
    """A database without memories, and without statements prepared in it: plans are made for each query."""
    with measured_database(chosen.dsn, dimensions, PREFIX, major=chosen.major, settings=SETTINGS) as connection:
        connection.prepare_threshold = None
        try:
            yield connection
        finally:
            if not connection.broken:
                for name in ("halfvec", "inline", "ivfflat", "hnsw"):
                    connection.execute(f"DROP TABLE IF EXISTS measured_{name}")


def main(arguments: list[str]) -> int:
    """Run the parts asked for."""
    summary, _, rest = __doc__.partition("\n")
    parser = argparse.ArgumentParser(
        prog="python3 -m devtools run bench.similarity",
        description=summary,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=f"of {', '.join(PARTS)} (default: all)")
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000], help="default: 10000 100000")
    parser.add_argument("--dimensions", type=int, nargs="+", default=[1536, 384], help="default: 1536 384")
    parser.add_argument("--others", type=int, default=40_000, help="other users' memories in methods (default: 40000)")
    parser.add_argument("--queries", type=int, default=40, help="default: 40")
    parser.add_argument("--rounds", type=int, default=3, help="how often each query is run (default: 3)")
    parser.add_argument("--without", choices=("ivfflat", "hnsw"), nargs="*", default=[], help="indexes to leave out")
    add_database_options(parser)
    chosen = parser.parse_args(arguments)
    if not set(chosen.parts) <= set(PARTS):
        parser.error(f"the parts are {', '.join(PARTS)}")
    stop_on_terminate()
    try:
        for dimensions in chosen.dimensions:
            for size in chosen.sizes if "methods" in chosen.parts else []:
                with _database(chosen, dimensions) as connection:
                    part_methods(connection, dimensions, size, chosen)
            if "inserts" in chosen.parts:
                with _database(chosen, dimensions) as connection:
                    part_inserts(connection, dimensions, chosen)
    except (SetupError, ServerError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
