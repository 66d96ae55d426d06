"""A subscription: what waits for one subscriber, and how it is handed over."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import threading
from collections import deque
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, Self

from gravity_memory.config import RealtimeConfig
from gravity_memory.errors import EventsLost, GravityMemoryError
from gravity_memory.models import Event
from gravity_memory.raw_events import RawEvent
from gravity_memory.realtime.callbacks import CallbackThreads
from gravity_memory.realtime.items import Item, Notice, Request
from gravity_memory.realtime.iterating import Iteration, drop_first_event
from gravity_memory.realtime.running import CallbackRunner

__all__ = ["Host", "Place", "Request", "Subscription"]

logger = logging.getLogger("gravity_memory")

_EVENTS_AT_A_TIME = 50
"""After so many the event loop gets its turn, also when no callback waits for anything."""
_PAUSE_AFTER_FAILURE = 1.0


class Place(Protocol):
    """Where in the feed a subscription stands when all that was read for it has been handed over."""

    cursor: str


class Host(Protocol):
    """What reads for subscriptions."""

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop on which everything but plain callbacks runs."""
        ...

    @property
    def threads(self) -> CallbackThreads:
        """Where plain callbacks run."""
        ...

    @property
    def config(self) -> RealtimeConfig:
        """Rate and backlog."""
        ...

    def left(self, subscription: Subscription) -> None:
        """The subscription wants no more events."""
        ...

    def caught_up(self, subscription: Subscription) -> None:
        """The subscription has room again, after it had none."""
        ...


class Subscription:
    """Events of one user, until it is called, closed, left as a context manager, or ends with an error.

    Calling it unsubscribes; that may be done from any thread, from a callback, from a signal handler of a thread that
    is not the event loop's, and repeatedly. A callback that is running then runs to its end, and none is started after.

    Without callbacks it is iterated over, by one consumer, with `async for` or, from another thread than the event
    loop's, with `for`. Iteration stops when it is closed, and raises the error that ended it. `on_resync` and
    `on_error` are called when the consumer reaches the place between two events where they belong.

    Attributes:
        user_id: whose events.
        error: what ended it, or None.
    """

    def __init__(self, request: Request, host: Host) -> None:
        self.user_id = request.user_id
        self.request = request
        self.error: GravityMemoryError | None = None
        self._host = host
        self._loop = host.loop
        rate = host.config.events_per_second
        self._interval = 1 / rate if rate else 0.0
        self._backlog = host.config.largest_backlog
        self._is_closed = False
        # A signal handler that closes us may interrupt whoever holds it.
        self._lock = threading.RLock()
        self._iteration = Iteration(self, self._lock)
        self._runner = CallbackRunner(request, host.threads, self.done, lambda: self._is_closed)
        # Only the loop's thread touches these.
        self.joined: asyncio.Future[None] = self._loop.create_future()
        self.is_waiting_for_room = False
        self.failures_to_join = 0
        self._queue: deque[Item] = deque()
        # What is being handed over, by the task or by a thread that a cancelled task has left at work.
        self._batch: deque[Item] = deque()
        self._task: asyncio.Task[None] | None = None
        self._telling: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._next_delivery = 0.0
        self._is_ending = False
        self._is_abandoned = False
        # Where to resume. The loop's thread counts what was queued, whoever hands over counts what was handed over, and
        # the cursor is read without a lock: the order of reading and writing in `cursor`, `_put` and `done` matters.
        self.place: Place | None = None
        self._resume: str | None = request.since
        self._queued = 0
        self._handed_over = 0
        self._dropped = 0
        self._dropped_untold = 0

    # For the application ----------------------------------------------------------------------------------------

    @property
    def closed(self) -> bool:
        """Nothing will be handed over any more."""
        return self._is_closed

    @property
    def cursor(self) -> str | None:
        """Where to resume with `since`: all before it was handed over, and the callback has returned.

        When iterating, an event has been handed over when the next one is asked for, or the context manager left in
        order. None in payload mode, which cannot resume.
        """
        place = self.place
        here = place.cursor if place is not None else None
        if here is not None and self._is_idle():
            return here
        return self._resume

    def _is_idle(self) -> bool:
        queued = self._queued
        return self._handed_over + self._dropped >= queued

    def __call__(self) -> None:
        """Unsubscribe."""
        self.close()

    def close(self, error: GravityMemoryError | None = None) -> None:
        """Unsubscribe; with an error, which `on_error` gets and iterating raises, end it for that reason."""
        with self._lock:
            if self._is_closed:
                return
            self._is_closed = True
            self.error = error
            self._iteration.close(error)
        if self._is_in_loop():
            self._detach(error)
        elif not self._on_loop(lambda: self._detach(error)):
            # A loop that has ended has nothing to detach from.
            self._iteration.wake()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._iteration.acknowledge()
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._iteration.acknowledge()
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        self._refuse_callbacks()
        while True:
            found = self._iteration.take()
            if isinstance(found, Event):
                return found
            if found is None:
                raise StopAsyncIteration
            await asyncio.wrap_future(found)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        self._refuse_callbacks()
        if self._is_in_loop():
            raise RuntimeError("waiting here would stop the event loop that brings the events: use async for")
        while True:
            found = self._iteration.take()
            if isinstance(found, Event):
                return found
            if found is None:
                raise StopIteration
            found.result()

    def _refuse_callbacks(self) -> None:
        if self.request.handlers:
            raise TypeError("this subscription has callbacks, and cannot be iterated over as well")

    # For whoever reads for it, on the loop's thread --------------------------------------------------------------

    @property
    def room(self) -> int:
        """How many events may still be queued."""
        return max(0, self._backlog - (self._queued - self._handed_over - self._dropped))

    @property
    def is_open(self) -> bool:
        """It has neither been closed, nor is it about to end."""
        return not (self._is_closed or self._is_ending)

    def wants(self, event: str) -> bool:
        """Whether events of this kind are for it.

        One that was closed by another thread takes them until it has left: its cursor must not move past what nobody
        got.
        """
        return event in self.request.kinds and not self._is_ending

    def offer(self, event: RawEvent, *, base: str | None) -> None:
        """Queue an event. base: the cursor from which the look began that found it."""
        self._put(Item(event=event, cursor=event.cursor), base)

    def wait_for_room(self) -> None:
        """Say `caught_up()` to the host as soon as there is room again."""
        self.is_waiting_for_room = True
        # Whoever has emptied it since it was found full, in another thread, did not see that we wait.
        self._loop.call_soon(self._look_for_room)

    def make_room(self) -> None:
        """Where there is no room, drop the event that has waited longest.

        What is being handed over stays. Those that were dropped are told as one, with their number, in their place.
        """
        if self.room > 0:
            return
        was_ready = self._iteration.drop_first_event()
        if not (was_ready or drop_first_event(self._queue)):
            return
        self._dropped += 1
        self._dropped_untold += 1
        if self._dropped_untold == 1:
            news = Item(notice=Notice.RESYNC)
            self._queued += 1
            if was_ready:
                self._iteration.put_first(news)
            else:
                self._queue.appendleft(news)
                self._schedule()

    def resync(self, error: GravityMemoryError, cursor: str | None) -> None:
        """Queue the news that events were missed; from cursor on they come again."""
        self._put(Item(notice=Notice.RESYNC, error=error, cursor=cursor), None)

    def warn(self, error: GravityMemoryError) -> None:
        """Queue an error that does not end it."""
        self._put(Item(notice=Notice.ERROR, error=error), self.cursor)

    def end(self, error: GravityMemoryError) -> None:
        """Hand over what is queued, then close with this error."""
        if not self.joined.done():
            self.joined.set_exception(error)
            self.close()
        elif self.is_open:
            base = self.cursor
            self._is_ending = True
            self._leave()
            self._put(Item(notice=Notice.END, error=error), base)

    def lose_place(self) -> None:
        """Stand nowhere in the feed, until there is another place; the cursor stays."""
        place = self.place
        if place is not None and self._is_idle():
            self._resume = place.cursor
        self.place = None

    # Handing over -----------------------------------------------------------------------------------------------

    def _put(self, item: Item, base: str | None) -> None:
        if base is not None and self._is_idle():
            self._resume = base
        self._queue.append(item)
        self._queued += 1
        self._schedule()

    def done(self, item: Item) -> None:
        """It has been handed over. From any thread, one at a time."""
        if item.cursor is not None:
            self._resume = item.cursor
        self._handed_over += 1

    def _schedule(self) -> None:
        """See to it that what is queued is handed over, at the next time that the rate allows."""
        if not (self._queue or self._batch) or self._is_abandoned:
            return
        if self._task is not None or self._timer is not None:
            return
        now = self._loop.time()
        if now < self._next_delivery:
            self._timer = self._loop.call_at(self._next_delivery, self._on_timer)
            return
        self._next_delivery = now + self._interval
        self._task = self._loop.create_task(self._deliver())
        self._task.add_done_callback(self._on_delivered)

    def _on_timer(self) -> None:
        self._timer = None
        self._schedule()

    def _on_delivered(self, task: asyncio.Task[None]) -> None:
        """Go on with what it has left, if it was cancelled or failed."""
        self._task = None
        if not task.cancelled() and (error := task.exception()) is not None and not self._is_closed:
            logger.error("a delivery to a subscriber of %r failed", self.user_id, exc_info=error)
            self._next_delivery = max(self._next_delivery, self._loop.time() + _PAUSE_AFTER_FAILURE)
        if self._is_closed:
            # A thread that is still at work holds the batch.
            left = [*(() if self._runner.is_in_thread else self._batch), *self._queue]
            self._batch, self._queue = deque(), deque(item for item in left if item.notice is Notice.ERROR)
        self._look_for_room()
        self._schedule()

    def _look_for_room(self) -> None:
        if self.is_waiting_for_room and self.is_open and self.room * 2 >= self._backlog:
            self.is_waiting_for_room = False
            self._host.caught_up(self)

    async def _deliver(self) -> None:
        """Hand over all that is queued now, and before it what an earlier delivery has left."""
        await self._runner.settle()
        batch = self._batch
        batch.extend(self._queue)
        self._queue.clear()
        count = 0
        while batch:
            item = batch[0]
            if item.event is not None and self.request.handlers and not self._is_closed:
                await self._runner.call(batch)
            else:
                batch.popleft()
                await self._pass_on(item)
            count += 1
            if count % _EVENTS_AT_A_TIME == 0:
                await asyncio.sleep(0)

    async def _pass_on(self, item: Item) -> None:
        """Tell a notice, or, for iterating, have it or the event taken."""
        if self._is_closed and item.notice is not Notice.ERROR:
            return
        if not (self.request.handlers or self._is_closed):
            self._iteration.put(item)
            return
        if item.notice is Notice.END:
            self.finish(item)
        try:
            await self._tell(item)
        finally:
            self.done(item)

    def finish(self, item: Item) -> None:
        """Be closed, for the reason of a notice that has been reached."""
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self.error = item.error

    async def _tell(self, item: Item) -> None:
        """Tell a notice to whom it concerns."""
        if item.notice is Notice.RESYNC:
            await self._runner.resync(item.error or self._dropped_events())
        elif item.notice is Notice.ERROR or self.request.handlers or self.request.on_error is not None:
            # An iterator without on_error raises what ends it; nothing else needs to be said.
            assert item.error is not None
            await self._runner.report(item.error)

    def _dropped_events(self) -> EventsLost:
        count, self._dropped_untold = self._dropped_untold, 0
        error = EventsLost(
            f"the subscriber is too slow: {count} events that waited were dropped",
            hint="Read the memories; or have changes recorded: SELECT gravity_memory_set('notify', 'wakeup').",
        )
        error.count = count
        return error

    # For iterating ----------------------------------------------------------------------------------------------

    def tell_soon(self, item: Item) -> bool:
        """Tell a notice that the consumer has reached, and let it go on then; False: the loop has ended."""
        return self._on_loop(lambda: self._begin_telling(item))

    def _begin_telling(self, item: Item) -> None:
        if self._is_abandoned or (self._is_closed and item.notice is not Notice.END):
            self._iteration.told(item)
            return
        task = self._loop.create_task(self._tell_reached(item))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _tell_reached(self, item: Item) -> None:
        try:
            await self._tell(item)
        finally:
            self._iteration.told(item)

    def acknowledged(self) -> None:
        """The consumer has done with an event."""
        if self.is_waiting_for_room:
            self._on_loop(self._look_for_room)

    # Leaving ----------------------------------------------------------------------------------------------------

    def _is_in_loop(self) -> bool:
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def _on_loop(self, function: Callable[[], None]) -> bool:
        """Have it done on the loop's thread; False: the loop has ended."""
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function)
            return True
        return False

    def _leave(self) -> None:
        """Stay where we are in the feed, and have nothing more read for us."""
        self.lose_place()
        self._host.left(self)

    def _detach(self, error: GravityMemoryError | None) -> None:
        """On the loop's thread, after closing: drop what is queued, and say why it was closed."""
        # Not in close(): whom a signal handler has interrupted just before it waits would not notice.
        self._iteration.wake()
        self._leave()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._queue.clear()
        if self._task is None:
            self._batch = deque()
        if not self.joined.done():
            self.joined.cancel()
        if error is not None and (self.request.handlers or self.request.on_error is not None):
            self._queue.append(Item(notice=Notice.ERROR, error=error))
            self._queued += 1
            self._next_delivery = 0.0
            self._schedule()

    def tasks(self) -> set[asyncio.Task[None]]:
        """What runs for it on the loop."""
        return self._telling | ({self._task} if self._task is not None else set())

    def cancel_callback(self) -> None:
        """After closing: cancel the coroutine that has an event, unless that is who asks, and wait for no thread.

        A notice that is being told is left alone; one that is queued is told when the thread has done.
        """
        if self._task is None or self._task is asyncio.current_task(self._loop):
            return
        if self._runner.is_in_event or self._runner.is_in_thread:
            self._task.cancel()

    def abandon(self) -> None:
        """After closing: cancel everything that runs for it, and begin nothing more."""
        self._is_abandoned = True
        for task in self.tasks():
            if task is not asyncio.current_task(self._loop):
                task.cancel()
