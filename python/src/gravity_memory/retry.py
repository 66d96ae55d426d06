"""When a call is tried again."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from gravity_memory.config import RetryConfig
from gravity_memory.errors import is_connection_error


@dataclass
class Attempts:
    """The attempts of one call.

    Every call may be repeated: it reads, or what it writes has ids that were made before the first attempt.

    Attributes:
        failures: how many have failed.
    """

    config: RetryConfig
    failures: int = 0

    @property
    def is_retry(self) -> bool:
        """An attempt failed before, and may have written."""
        return self.failures > 0

    def pause_after(self, error: BaseException) -> float | None:
        """Seconds until the next attempt, or None when the error stands."""
        # A unique violation in a repetition is the first attempt, committed while this one waited for it.
        is_own_echo = self.is_retry and isinstance(error, psycopg.errors.UniqueViolation)
        # The pool has waited for as long as it is allowed to, or waits no more.
        is_final = isinstance(error, PoolClosed | PoolTimeout | TooManyRequests)
        if is_final or not (is_connection_error(error) or is_own_echo) or self.failures >= self.config.attempts:
            return None
        self.failures += 1
        return self.config.pause(self.failures)
