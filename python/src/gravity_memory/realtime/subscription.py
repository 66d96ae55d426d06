"""A subscription: what waits for one subscriber, and how it is handed over."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import copy
import dataclasses
import enum
import inspect
import logging
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from gravity_memory.config import RealtimeConfig
from gravity_memory.errors import EventsLost, GravityMemoryError
from gravity_memory.models import Event
from gravity_memory.realtime.callbacks import Callback, CallbackThreads, is_coroutine_callback

logger = logging.getLogger("gravity_memory")


@dataclass(frozen=True, kw_only=True)
class Request:
    """What somebody subscribes to.

    Attributes:
        user_id: whose events.
        kinds: which kinds.
        handlers: what is called with an event of a kind; empty: the subscription is iterated over.
        convert: makes what the handlers get.
        since: where to begin in the feed; None: now.
        on_resync: called with an EventsLost when events were missed.
        on_error: called with any other error; without it errors are logged.
    """

    user_id: str
    kinds: frozenset[str]
    handlers: Mapping[str, Callback]
    convert: Callable[[Event], object]
    since: str | None = None
    on_resync: Callback | None = None
    on_error: Callback | None = None


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


class _Notice(enum.Enum):
    """What is told between events."""

    RESYNC = "resync"
    ERROR = "error"
    END = "end"


@dataclass(frozen=True)
class _Item:
    """An event, or a notice, that waits to be handed over.

    Attributes:
        event: the event.
        is_shared: other subscriptions get the same event.
        notice, error: the notice.
        cursor: where to go on when this has been handed over; None: where the item before said.
    """

    event: Event | None = None
    is_shared: bool = False
    notice: _Notice | None = None
    error: GravityMemoryError | None = None
    cursor: str | None = None


class Subscription:
    """Events of one user, until it is called, closed, left as a context manager, or ends with an error.

    Calling it unsubscribes; that may be done from any thread, from a callback, and repeatedly. A callback that is
    running then runs to its end, and none is started after.

    Without callbacks it is iterated over, by one consumer, with `async for` or, from another thread than the event
    loop's, with `for`. Iteration stops when it is closed, and raises the error that ended it.

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
        self._is_coroutine = {kind: is_coroutine_callback(handler) for kind, handler in request.handlers.items()}
        # Only the loop's thread touches these.
        self.joined: asyncio.Future[None] = self._loop.create_future()
        self.is_waiting_for_room = False
        self.failures_to_join = 0
        self._queue: deque[_Item] = deque()
        self._task: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._next_delivery = 0.0
        self._is_ending = False
        # Where to resume. The loop's thread counts what was queued, whoever hands over counts what was handed over, and
        # the cursor is read without a lock: the order of reading and writing in `cursor`, `_put` and `_done` matters.
        self.place: Place | None = None
        self._resume: str | None = request.since
        self._queued = 0
        self._handed_over = 0
        self._dropped = 0
        self._drop_notice: EventsLost | None = None
        # For iterating, under the lock.
        self._lock = threading.Lock()
        self._is_closed = False
        self._ready: deque[_Item] = deque()
        self._in_hand: _Item | None = None
        self._waiter: concurrent.futures.Future[None] | None = None
        self._raises: GravityMemoryError | None = None

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
            self._raises = error
            self._ready.clear()
            self._wake()
        if self._is_in_loop():
            self._detach(error)
        else:
            # A loop that has ended has nothing to detach from.
            with contextlib.suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._detach, error)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._leave_in_order()
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._leave_in_order()
        self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while True:
            found = self._take()
            if isinstance(found, Event):
                return found
            if found is None:
                raise StopAsyncIteration
            await asyncio.wrap_future(found)

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Event:
        if self._is_in_loop():
            raise RuntimeError("waiting here would stop the event loop that brings the events: use async for")
        while True:
            found = self._take()
            if isinstance(found, Event):
                return found
            if found is None:
                raise StopIteration
            found.result()

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

    def offer(self, event: Event, *, is_shared: bool, base: str | None) -> None:
        """Queue an event. base: the cursor from which the look began that found it."""
        self._put(_Item(event=event, is_shared=is_shared, cursor=event.cursor), base)

    def make_room(self) -> None:
        """Where there is no room, drop the event that has waited longest.

        What is being handed over stays. Those that were dropped are told as one, with their number.
        """
        if self.room > 0:
            return
        with self._lock:
            was_dropped = _drop_first_event(self._ready)
        if not (was_dropped or _drop_first_event(self._queue)):
            return
        self._dropped += 1
        if self._drop_notice is None:
            self._drop_notice = EventsLost("")
            self._drop_notice.count = 0
            self._queue.appendleft(_Item(notice=_Notice.ERROR, error=self._drop_notice))
            self._queued += 1
            self._schedule()
        count = self._drop_notice.count = (self._drop_notice.count or 0) + 1
        self._drop_notice.message = f"the subscriber is too slow: events that waited were dropped ({count})"

    def resync(self, error: GravityMemoryError, cursor: str | None) -> None:
        """Queue the news that events were missed; from cursor on they come again."""
        self._put(_Item(notice=_Notice.RESYNC, error=error, cursor=cursor), None)

    def warn(self, error: GravityMemoryError) -> None:
        """Queue an error that does not end it."""
        self._put(_Item(notice=_Notice.ERROR, error=error), self.cursor)

    def end(self, error: GravityMemoryError) -> None:
        """Hand over what is queued, then close with this error."""
        if not self.joined.done():
            self.joined.set_exception(error)
            self.close()
        elif self.is_open:
            base = self.cursor
            self._is_ending = True
            self._leave()
            self._put(_Item(notice=_Notice.END, error=error), base)

    # Handing over -----------------------------------------------------------------------------------------------

    def _put(self, item: _Item, base: str | None) -> None:
        if base is not None and self._is_idle():
            self._resume = base
        self._queue.append(item)
        self._queued += 1
        self._schedule()

    def _done(self, item: _Item) -> None:
        if item.cursor is not None:
            self._resume = item.cursor
        self._handed_over += 1

    def _schedule(self) -> None:
        """See to it that what is queued is handed over, at the next time that the rate allows."""
        if not self._queue or self._task is not None or self._timer is not None:
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
        self._task = None
        if not task.cancelled() and (error := task.exception()) is not None and not self._is_closed:
            logger.error("a delivery to a subscriber of %r failed", self.user_id, exc_info=error)
        self._look_for_room()
        self._schedule()

    def _look_for_room(self) -> None:
        if self.is_waiting_for_room and self.is_open and self.room * 2 >= self._backlog:
            self.is_waiting_for_room = False
            self._host.caught_up(self)

    async def _deliver(self) -> None:
        """Hand over all that is queued now."""
        batch, self._queue = self._queue, deque()
        while batch:
            item = batch[0]
            if self._is_closed and item.notice is not _Notice.ERROR:
                batch.popleft()
            elif item.notice is not None:
                if item.notice is _Notice.END and self.request.handlers:
                    self._finish(item)
                await self._tell(item)
                batch.popleft()
                self._pass_on(item)
            elif not self.request.handlers:
                batch.popleft()
                self._pass_on(item)
            else:
                await self._call(batch)

    def _pass_on(self, item: _Item) -> None:
        """What has been handed over is done with; for iterating, it is when it has been asked for the next."""
        if self.request.handlers:
            self._done(item)
            return
        with self._lock:
            if not self._is_closed:
                self._ready.append(item)
                self._wake()

    def _finish(self, item: _Item) -> None:
        with self._lock:
            if not self._is_closed:
                self._is_closed = True
                self.error = item.error

    async def _call(self, batch: deque[_Item]) -> None:
        """Call the handler with the first event of the batch, and with those after it that need nothing else."""
        item = batch[0]
        assert item.event is not None
        handler = self.request.handlers[item.event.event]
        problem: BaseException | None = None
        if self._is_coroutine[item.event.event]:
            problem = await self._call_coroutine(lambda: handler(self._argument(item)))
        else:
            rest = await self._host.threads.run(self._call_plain, batch)
            if rest is None:
                return
            problem = rest if isinstance(rest, BaseException) else await self._call_coroutine(lambda: rest)
        self._done(batch.popleft())
        if problem is not None:
            await self._report(problem)

    async def _call_coroutine(self, start: Callable[[], object]) -> BaseException | None:
        """Await a callback; what it raised."""
        try:
            started = start()
            if inspect.isawaitable(started):
                await started
        except asyncio.CancelledError as error:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            return error
        except (Exception, SystemExit) as error:
            return error
        return None

    def _call_plain(self, batch: deque[_Item]) -> Awaitable[object] | BaseException | None:
        """In a thread: call handlers with events until one of them needs the loop; what that is.

        That is an exception to be reported, or what a handler returned to be awaited; the event is still in the batch.
        """
        while batch and not self._is_closed:
            item = batch[0]
            if item.event is None:
                return None
            if self._is_coroutine[item.event.event]:
                return None
            try:
                result = self.request.handlers[item.event.event](self._argument(item))
            except BaseException as error:
                return error
            if inspect.isawaitable(result):
                return result
            self._done(batch.popleft())
        return None

    def _argument(self, item: _Item) -> object:
        assert item.event is not None
        return self.request.convert(_own(item))

    async def _tell(self, item: _Item) -> None:
        """Tell a notice to whom it concerns."""
        news = item.error
        assert news is not None
        if self._drop_notice is not None and news is self._drop_notice:
            self._drop_notice = None
        if item.notice is _Notice.RESYNC:
            if self.request.on_resync is not None:
                problem = await self._call_any(self.request.on_resync, news)
                if problem is not None:
                    await self._report(problem)
            else:
                logger.warning("a subscriber of %r missed events: %s", self.user_id, news)
        elif item.notice is _Notice.ERROR or self.request.handlers or self.request.on_error is not None:
            # An iterator without on_error raises what ends it; nothing else needs to be said.
            await self._report(news)

    async def _report(self, error: BaseException) -> None:
        """Give an error to on_error, or log it."""
        if self.request.on_error is None:
            logger.error("subscription of %r: %s", self.user_id, error, exc_info=error)
            return
        problem = await self._call_any(self.request.on_error, error)
        if problem is not None:
            logger.error("on_error of a subscriber of %r failed", self.user_id, exc_info=problem)

    async def _call_any(self, callback: Callback, argument: object) -> BaseException | None:
        if is_coroutine_callback(callback):
            return await self._call_coroutine(lambda: callback(argument))
        try:
            result = await self._host.threads.run(callback, argument)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            return error
        return await self._call_coroutine(lambda: result)

    # Iterating --------------------------------------------------------------------------------------------------

    def _take(self) -> Event | concurrent.futures.Future[None] | None:
        """The next event; or None when there will be none; or what to wait for before asking again.

        Raises:
            GravityMemoryError: what ended the subscription; once.
            TypeError: it has callbacks.
        """
        if self.request.handlers:
            raise TypeError("this subscription has callbacks, and cannot be iterated over as well")
        with self._lock:
            self._acknowledge()
            while self._ready:
                item = self._ready.popleft()
                if item.event is not None:
                    self._in_hand = item
                    return _own(item)
                self._done(item)
                if item.notice is _Notice.END:
                    self._is_closed = True
                    self.error = self._raises = item.error
                    break
            if self._raises is not None:
                error, self._raises = self._raises, None
                raise error
            if self._is_closed:
                return None
            self._waiter = concurrent.futures.Future()
            return self._waiter

    def _acknowledge(self) -> None:
        """The event that was returned last has been handled."""
        if self._in_hand is not None:
            item, self._in_hand = self._in_hand, None
            self._done(item)
            if self.is_waiting_for_room:
                self._on_loop(self._look_for_room)

    def _leave_in_order(self) -> None:
        with self._lock:
            self._acknowledge()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and waiter.set_running_or_notify_cancel():
            waiter.set_result(None)

    # Leaving ----------------------------------------------------------------------------------------------------

    def _is_in_loop(self) -> bool:
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def _on_loop(self, function: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(function)

    def _leave(self) -> None:
        """Stay where we are in the feed, and have nothing more read for us."""
        place = self.place
        if place is not None and self._is_idle():
            self._resume = place.cursor
        self.place = None
        self._host.left(self)

    def _detach(self, error: GravityMemoryError | None) -> None:
        """On the loop's thread, after closing: drop what is queued, and say why it was closed."""
        self._leave()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._queue.clear()
        if not self.joined.done():
            self.joined.cancel()
        if error is not None and (self.request.handlers or self.request.on_error is not None):
            self._queue.append(_Item(notice=_Notice.ERROR, error=error))
            self._next_delivery = 0.0
            self._schedule()

    def cancel_callback(self) -> asyncio.Task[None] | None:
        """Cancel the coroutine that is running for it, unless that is who asks; the task to wait for."""
        if self._task is None or self._task is asyncio.current_task(self._loop):
            return None
        self._task.cancel()
        return self._task


def _drop_first_event(items: deque[_Item]) -> bool:
    """Drop the first event, leaving notices; whether there was one."""
    for position, item in enumerate(items):
        if item.event is not None:
            del items[position]
            return True
    return False


def _own(item: _Item) -> Event:
    """The event, with a payload that no other subscriber can change."""
    assert item.event is not None
    if not item.is_shared:
        return item.event
    return dataclasses.replace(item.event, payload=copy.deepcopy(item.event.payload))
