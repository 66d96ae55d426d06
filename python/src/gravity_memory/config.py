"""What can be set. All times are in seconds.

The defaults are the values of the specification where it has one: 30 s, 15 s, a pool of 2 to 10 that closes what is
idle for 10 s, three retries 1 s to 10 s apart, 10 deliveries a second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from gravity_memory.errors import InvalidInput


@dataclass(frozen=True, kw_only=True)
class RealtimeConfig:
    """How events are listened for and handed over.

    Attributes:
        timeout: longest wait for the server to answer, to connect included; after it the connection counts as lost.
        heartbeat: how often a connection that only listens asks the server whether it is there.
        events_per_second: most deliveries a second to one subscription; what comes meanwhile is handed over, in order,
            with the next one. None: no limit.
        fallback_poll: how often the feed is looked at when nothing says that there is something new.
        shortest_pause: least time between two looks.
        largest_backlog: how many events may wait for one subscription. In feed mode it is then read on from there when
            it has caught up; in payload mode those that have waited longest are dropped, and `on_resync` is told.
        page_size: most events of one look, 1 to 100,000.
        callback_threads: how many plain callbacks may run at a time. Coroutine functions need no thread.
    """

    timeout: float = 30.0
    heartbeat: float = 15.0
    events_per_second: float | None = 10.0
    fallback_poll: float = 1.0
    shortest_pause: float = 0.005
    largest_backlog: int = 10_000
    page_size: int = 1_000
    callback_threads: int = 32

    def __post_init__(self) -> None:
        _require_positive(
            timeout=self.timeout,
            heartbeat=self.heartbeat,
            fallback_poll=self.fallback_poll,
            shortest_pause=self.shortest_pause,
        )
        if self.events_per_second is not None:
            _require_positive(events_per_second=self.events_per_second)
        _require_whole(1, largest_backlog=self.largest_backlog, callback_threads=self.callback_threads)
        _require_whole(1, page_size=self.page_size)
        if self.page_size > 100_000:
            raise InvalidInput(f"page_size must be from 1 to 100000, not {self.page_size}")


@dataclass(frozen=True, kw_only=True)
class PoolConfig:
    """The connections that queries share. The one that listens for all subscriptions is not among them.

    How many subscriptions there may be is not set here: see RealtimeChannelPool.

    Attributes:
        max: most connections.
        min: connections kept open.
        idle: a connection over `min` is closed when it was unused for this long, and the one that listens when nobody
            has subscribed for this long.
    """

    max: int = 10
    min: int = 2
    idle: float = 10.0

    def __post_init__(self) -> None:
        _require_whole(1, max=self.max)
        _require_whole(0, min=self.min)
        _require_positive(idle=self.idle)
        if self.min > self.max:
            raise InvalidInput(f"the pool's min ({self.min}) must not exceed its max ({self.max})")


@dataclass(frozen=True, kw_only=True)
class RetryConfig:
    """What happens after a lost connection. Each pause is twice the one before.

    Attributes:
        attempts: how often a query is tried again; 0: never. A subscription reconnects for ever, and tells its
            `on_error` after this many failures.
        delay: the first pause.
        max_delay: the longest pause.
    """

    attempts: int = 3
    delay: float = 1.0
    max_delay: float = 10.0

    def __post_init__(self) -> None:
        _require_whole(0, attempts=self.attempts)
        _require_positive(delay=self.delay, max_delay=self.max_delay)
        if self.delay > self.max_delay:
            raise InvalidInput(f"delay ({self.delay}) must not exceed max_delay ({self.max_delay})")

    def pause(self, failures: int) -> float:
        """Seconds to wait after this many failures in a row (1 or more)."""
        doublings = min(failures - 1, 60)
        return min(self.delay * 2.0**doublings, self.max_delay)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that can be set.

    Attributes:
        realtime: subscriptions.
        pool: connections for queries.
        retry: after a lost connection.
        prepare_threshold: after how many executions a statement is prepared on the server, as in psycopg. None: never,
            which works behind PgBouncer in transaction mode, too.
    """

    realtime: RealtimeConfig = field(default_factory=RealtimeConfig)
    pool: PoolConfig = field(default_factory=PoolConfig)
    retry: RetryConfig = field(default_factory=RetryConfig)
    prepare_threshold: int | None = None

    def __post_init__(self) -> None:
        if self.prepare_threshold is not None:
            _require_whole(0, prepare_threshold=self.prepare_threshold)


def _require_positive(**values: float) -> None:
    for name, value in values.items():
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not math.isfinite(value) or value <= 0:
            raise InvalidInput(f"{name} must be a number above 0, not {value!r}")


def _require_whole(least: int, **values: int) -> None:
    for name, value in values.items():
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise InvalidInput(f"{name} must be a whole number from {least} on, not {value!r}")
