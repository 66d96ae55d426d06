"""How long statements take at the client."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.databases import Connection

_WARM_UP = 20
_FEWEST = 5


@dataclass(frozen=True)
class Latency:
    """Wall time of one statement, in milliseconds, over many calls.

    Attributes:
        p50, p99: median and 99th percentile; of fewer than a hundred calls, the latter is close to the longest.
        rows: median number of rows returned.
        fewest: smallest number of rows returned.
        calls: how many were timed.
    """

    p50: float
    p99: float
    rows: float
    fewest: int
    calls: int


@dataclass
class _Measured:
    """Of one statement: times in milliseconds, rows, and what is spent, warm-up and all, in seconds."""

    wall: list[float] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    spent: float = 0.0


def latencies(
    connections: Mapping[str, Connection],
    statements: Mapping[str, str],
    calls: Sequence[Mapping[str, Any]],
    *,
    patience: float = float("inf"),
    keep: Callable[[str, int, list[tuple[Any, ...]]], None] | None = None,
) -> dict[str, Latency]:
    """Run each contestant's statement with the parameters of each call, in turn: what else runs slows all alike.

    Statements are prepared on the server from the sixth call on, as psycopg does unless the connection says
    otherwise; the first calls warm up and do not count. Time is taken when the whole result has arrived, before Python
    makes objects of it. Results come in binary form: as text, 50 embeddings would take longer than most queries.

    Args:
        connections: by contestant's name, or whatever `statements` has.
        statements: by the same names, with named parameters.
        calls: the parameters.
        patience: seconds for one statement; what takes longer is called fewer times, but at least five, or as often as
            there are calls.
        keep: told the name, the number of the call, and the rows, outside of the time measured.
    """
    found = {name: _Measured() for name in statements}
    for number in range(-min(_WARM_UP, len(calls)), len(calls)):
        for name, statement in statements.items():
            one = found[name]
            enough = len(one.wall) >= _FEWEST or number < -1
            if one.spent > patience and enough:
                continue
            began = time.perf_counter()
            answer = connections[name].execute(statement.encode(), calls[number], binary=True)
            took = time.perf_counter() - began
            one.spent += took
            if number >= 0:
                one.wall.append(1000 * took)
                one.rows.append(answer.rowcount)
                if keep is not None:
                    keep(name, number, answer.fetchall())
    return {
        name: Latency(
            float(np.median(one.wall)),
            float(np.percentile(one.wall, 99)),
            float(np.median(one.rows)),
            min(one.rows),
            len(one.wall),
        )
        for name, one in found.items()
    }
