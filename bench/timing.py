"""Searches measured side by side: how long each takes, and how much of the exact answer it returns."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.databases import Connection

Ids = list[uuid.UUID]

_WARM_UP = 3


@dataclass(frozen=True)
class Search:
    """One way to search.

    Attributes:
        run: takes a query vector in pgvector's text form and returns ids, best first.
        before: a statement to run first, outside of the time measured; it may be empty.
        every: it is run for every so-manieth query only, because it is slow.
    """

    run: Callable[[str], Ids]
    before: str = ""
    every: int = 1


@dataclass(frozen=True)
class Timing:
    """What was measured of one search.

    Attributes:
        name: of the search.
        recall: mean share of the exact answer that was found; None where there is nothing to compare with.
        fewest_rows: of any query.
        p50, p99: wall time at the client in milliseconds.
        processor: median time of the server's process in milliseconds; None where /proc does not tell.
    """

    name: str
    recall: float | None
    fewest_rows: int
    p50: float
    p99: float
    processor: float | None


def ids_of(connection: Connection, statement: str, *after: object) -> Callable[[str], Ids]:
    """A function that runs a statement with a query vector as its first parameter and returns its first column."""
    return lambda query: [row[0] for row in connection.execute(statement.encode(), (query, *after)).fetchall()]


def processor_milliseconds(process: int) -> float | None:
    """Processor time that a server process has used, or None where /proc does not tell."""
    try:
        return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e6
    except OSError:
        return None


def measure(
    connection: Connection,
    searches: Mapping[str, Search],
    queries: Sequence[str],
    exact: Sequence[Ids] | None,
    rounds: int,
) -> list[Timing]:
    """Run each search with all queries, one search after the other, and again in the same order, round by round.

    So what else the machine does slows all alike, and each search finds its own data in the caches, as in use.

    Args:
        connection: whose server process is watched.
        searches: by name.
        queries: vectors in pgvector's text form.
        exact: the right answers to them.
        rounds: how often each query is run.
    """
    process = connection.info.backend_pid
    for search in searches.values():
        connection.execute(search.before.encode())
        for query in queries[:_WARM_UP]:
            search.run(query)
    wall: dict[str, list[float]] = {name: [] for name in searches}
    processor: dict[str, list[float]] = {name: [] for name in searches}
    shares: dict[str, list[float]] = {name: [] for name in searches}
    fewest: dict[str, int] = {}
    for _ in range(rounds):
        for name, search in searches.items():
            connection.execute(search.before.encode())
            for number, query in enumerate(queries):
                if number % search.every:
                    continue
                before, began = processor_milliseconds(process), time.perf_counter()
                found = search.run(query)
                wall[name].append(1000 * (time.perf_counter() - began))
                after = processor_milliseconds(process)
                if before is not None and after is not None:
                    processor[name].append(after - before)
                fewest[name] = min(fewest.get(name, len(found)), len(found))
                if exact is not None and exact[number]:
                    shares[name].append(len(set(found) & set(exact[number])) / len(exact[number]))
    return [
        Timing(
            name,
            float(np.mean(shares[name])) if shares[name] else None,
            fewest[name],
            float(np.median(wall[name])),
            float(np.percentile(wall[name], 99)),
            float(np.median(processor[name])) if processor[name] else None,
        )
        for name in searches
    ]


def show(title: str, timings: Sequence[Timing]) -> None:
    """Print a table; the ratios are of the medians, against the first row's."""
    print(f"\n### {title}\n")
    print("| search | recall | rows | p50 ms | p99 ms | processor ms | times as quick |")
    print("|---|---|---|---|---|---|---|")
    for one in timings:
        recall = "" if one.recall is None else f"{one.recall:.4f}"
        processor = "" if one.processor is None else f"{one.processor:.2f}"
        ratio = timings[0].p50 / one.p50
        cells = (one.name, recall, one.fewest_rows, f"{one.p50:.2f}", f"{one.p99:.2f}", processor, f"{ratio:.1f}")
        print("| " + " | ".join(map(str, cells)) + " |", flush=True)
