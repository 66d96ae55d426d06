"""A limited number of subscriptions, by key."""

from __future__ import annotations

import threading
from typing import Protocol

from gravity_memory.errors import GravityMemoryError, InvalidInput, SubscriptionEvicted


class Closable(Protocol):
    """What can be in the pool: a Subscription."""

    @property
    def closed(self) -> bool:
        """It has ended by itself."""
        ...

    def close(self, error: GravityMemoryError | None = None) -> None:
        """End it, for the reason given."""
        ...


class RealtimeChannelPool:
    """Keeps at most so many subscriptions, and makes room by closing the oldest. Usable from any thread.

    What it closes to make room is told: its `on_error` gets SubscriptionEvicted, and iterating over it raises that.

    Args:
        max_channels: most subscriptions at a time.
    """

    def __init__(self, max_channels: int = 10) -> None:
        if not isinstance(max_channels, int) or isinstance(max_channels, bool) or max_channels < 1:
            raise InvalidInput(f"max_channels must be a whole number from 1 on, not {max_channels!r}")
        self.max_channels = max_channels
        self._channels: dict[str, Closable] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        with self._lock:
            return len(self._open())

    def __contains__(self, key: object) -> bool:
        with self._lock:
            return key in self._open()

    def add(self, key: str, subscription: Closable) -> None:
        """Take a subscription in, as the newest.

        Another one that has this key is evicted, and the oldest when there is no room. One that is closed already is
        not taken in, and evicts nobody.
        """
        if subscription.closed:
            return
        evicted: list[tuple[str, Closable, str]] = []
        with self._lock:
            channels = self._open()
            before = channels.pop(key, None)
            if before is not None and before is not subscription:
                evicted.append((key, before, "another subscription took its key"))
            while len(channels) >= self.max_channels:
                oldest = next(iter(channels))
                evicted.append((oldest, channels.pop(oldest), f"there is room for {self.max_channels}"))
            channels[key] = subscription
        for name, closing, reason in evicted:
            closing.close(
                SubscriptionEvicted(
                    f"the subscription {name!r} was evicted from its pool: {reason}",
                    hint="Subscribe again with since=subscription.cursor, or make the pool larger.",
                )
            )

    def remove(self, key: str) -> None:
        """Unsubscribe what has this key, if there is anything."""
        with self._lock:
            found = self._channels.pop(key, None)
        if found is not None:
            found.close()

    def cleanup(self) -> None:
        """Unsubscribe all."""
        with self._lock:
            found, self._channels = self._channels, {}
        for subscription in found.values():
            subscription.close()

    def _open(self) -> dict[str, Closable]:
        """The subscriptions that have not ended by themselves; those that have are forgotten."""
        self._channels = {key: one for key, one in self._channels.items() if not one.closed}
        return self._channels
