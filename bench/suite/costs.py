"""What rows cost that one session writes: time, processor time, write-ahead log."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from bench.databases import Connection
from bench.timing import processor_milliseconds

T = TypeVar("T")


@dataclass(frozen=True)
class Cost:
    """Of one row: milliseconds, those of the server process's processor time, and bytes of WAL."""

    milliseconds: float
    processor: float | None
    wal: float


class Meter:
    """Processor time and WAL of a session's server process, from when it is made on."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._process = connection.info.backend_pid
        (self._lsn,) = one(connection, "SELECT pg_current_wal_insert_lsn()")
        self._used = processor_milliseconds(self._process)

    def cost(self, seconds: float, rows: int) -> Cost:
        """The cost of each of so many rows, which took so many seconds together."""
        processor = difference(self._used, processor_milliseconds(self._process))
        (wal,) = one(self._connection, f"SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '{self._lsn}')::float8")
        assert isinstance(wal, float)
        return Cost(1000 * seconds / rows, None if processor is None else processor / rows, wal / rows)


def median_cost(costs: Sequence[Cost]) -> Cost:
    """The median of each figure."""
    processor = [cost.processor for cost in costs if cost.processor is not None]
    return Cost(
        statistics.median(cost.milliseconds for cost in costs),
        statistics.median(processor) if processor else None,
        statistics.median(cost.wal for cost in costs),
    )


def difference(before: float | None, after: float | None) -> float | None:
    """What was added; None where one of both is not known."""
    return None if before is None or after is None else after - before


def in_turn(arms: Sequence[T], number: int) -> Sequence[T]:
    """The arms of a comparison, in the other order in every second round."""
    return arms if number % 2 == 0 else arms[::-1]


def one(connection: Connection, query: str) -> tuple[object, ...]:
    """The only row of a query."""
    found = connection.execute(query.encode()).fetchone()
    assert found is not None
    return found
