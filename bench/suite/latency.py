"""How long statements take at the client."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.databases import Connection

_WARM_UP = 20


@dataclass(frozen=True)
class Latency:
    """Wall time of one statement, in milliseconds, over many calls.

    Attributes:
        p50, p99: median and 99th percentile.
        rows: median number of rows returned.
    """

    p50: float
    p99: float
    rows: float


def latencies(
    connections: Mapping[str, Connection], statements: Mapping[str, str], calls: Sequence[dict[str, Any]]
) -> dict[str, Latency]:
    """Run each contestant's statement with the parameters of each call, in turn, so that what else runs slows all alike.

    Statements are prepared on the server from the fifth call on, as drivers do; the first calls warm up and do not count.

    Args:
        connections: by contestant's name.
        statements: by contestant's name, with named parameters.
        calls: the parameters.
    """
    wall: dict[str, list[float]] = {name: [] for name in statements}
    rows: dict[str, list[int]] = {name: [] for name in statements}
    for number, parameters in enumerate([*calls[:_WARM_UP], *calls]):
        for name, statement in statements.items():
            began = time.perf_counter()
            found = connections[name].execute(statement.encode(), parameters).fetchall()
            took = 1000 * (time.perf_counter() - began)
            if number >= min(_WARM_UP, len(calls)):
                wall[name].append(took)
                rows[name].append(len(found))
    return {
        name: Latency(float(np.median(wall[name])), float(np.percentile(wall[name], 99)), float(np.median(rows[name])))
        for name in statements
    }
