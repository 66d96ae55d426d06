"""Iterating over a subscription: what one consumer takes, on the event loop or in any thread."""

from __future__ import annotations

import concurrent.futures
import threading
from collections import deque
from typing import Protocol

from gravity_memory.errors import GravityMemoryError
from gravity_memory.models import Event
from gravity_memory.realtime.items import Item, Notice


class Owner(Protocol):
    """The subscription that is iterated over."""

    def finish(self, item: Item) -> None:
        """The consumer has reached what ends it."""
        ...

    def done(self, item: Item) -> None:
        """It has been handed over."""
        ...

    def tell_soon(self, item: Item) -> bool:
        """Have a notice told, and call `told()` then; False: there is nobody left to do so."""
        ...

    def acknowledged(self) -> None:
        """An event has been handed over, and there may be room."""
        ...


class Iteration:
    """What is ready for a consumer, in order. Notices are told when the consumer reaches them, and it waits for that.

    Args:
        owner: whose it is.
        lock: of the owner, reentrant: a signal handler may close it at any point.
    """

    def __init__(self, owner: Owner, lock: threading.RLock) -> None:
        self._owner = owner
        self._lock = lock
        self._ready: deque[Item] = deque()
        self._in_hand: Item | None = None
        self._telling: Item | None = None
        self._waiter: concurrent.futures.Future[None] | None = None
        self._raises: GravityMemoryError | None = None
        self._is_over = False

    def put(self, item: Item) -> None:
        """Have an event or a notice handed over, after all others."""
        with self._lock:
            if not self._is_over:
                self._ready.append(item)
                self.wake()

    def put_first(self, item: Item) -> None:
        """Have a notice told before all others."""
        with self._lock:
            if not self._is_over:
                self._ready.appendleft(item)
                self.wake()

    def drop_first_event(self) -> bool:
        """Drop the event that has waited longest; whether there was one."""
        with self._lock:
            return drop_first_event(self._ready)

    def take(self) -> Event | concurrent.futures.Future[None] | None:
        """The next event; or None when there will be none; or what to wait for before asking again.

        Raises:
            GravityMemoryError: what ended the subscription; once.
        """
        with self._lock:
            self.acknowledge()
            # Made before we look at what there is: a signal handler that closes us meanwhile wakes it.
            waiter = self._waiter = concurrent.futures.Future()
            while self._telling is None:
                try:
                    item = self._ready.popleft()
                except IndexError:
                    break
                if (event := self._reached(item)) is not None:
                    return event
            else:
                return waiter
            if self._raises is not None:
                error, self._raises = self._raises, None
                raise error
            return None if self._is_over else waiter

    def _reached(self, item: Item) -> Event | None:
        if item.event is not None:
            try:
                event = item.event.read()
            except GravityMemoryError as error:
                self._tell(Item(notice=Notice.ERROR, error=error, cursor=item.cursor))
                return None
            self._in_hand = item
            return event
        if item.notice is Notice.END:
            self._is_over = True
            self._raises = item.error
            self._owner.finish(item)
        self._tell(item)
        return None

    def _tell(self, item: Item) -> None:
        self._telling = item
        if not self._owner.tell_soon(item):
            self.told(item)

    def told(self, item: Item) -> None:
        """A notice has been told: the consumer may go on."""
        with self._lock:
            if self._telling is item:
                self._telling = None
                self._owner.done(item)
                self.wake()

    def acknowledge(self) -> None:
        """The event that was returned last has been handled."""
        with self._lock:
            item, self._in_hand = self._in_hand, None
            if item is not None:
                self._owner.done(item)
                self._owner.acknowledged()

    def close(self, error: GravityMemoryError | None) -> None:
        """Hand over nothing more. Whoever waits is not woken here."""
        with self._lock:
            self._is_over = True
            self._raises = error
            self._telling = None
            self._ready.clear()

    def wake(self) -> None:
        """Have the consumer ask again, if it waits."""
        with self._lock:
            waiter, self._waiter = self._waiter, None
            if waiter is not None and waiter.set_running_or_notify_cancel():
                waiter.set_result(None)


def drop_first_event(items: deque[Item]) -> bool:
    """Drop the first event, leaving notices; whether there was one."""
    for position, item in enumerate(items):
        if item.event is not None:
            del items[position]
            return True
    return False
