"""Running the callbacks of one subscription, one at a time."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Awaitable, Callable

from gravity_memory.errors import GravityMemoryError
from gravity_memory.realtime.callbacks import Callback, CallbackThreads, is_coroutine_callback
from gravity_memory.realtime.items import Item, Request

logger = logging.getLogger("gravity_memory")


class CallbackRunner:
    """Calls what a subscriber gave, on the event loop or in a thread, and tells what goes wrong there.

    Args:
        request: the callbacks.
        threads: where plain ones run.
        done: called, from any thread, when an event has been handed over.
        is_closed: whether no further event is wanted.

    Attributes:
        is_in_event: a coroutine runs that has an event, and may be cancelled.
        is_in_thread: the delivery waits for a thread.
    """

    def __init__(
        self,
        request: Request,
        threads: CallbackThreads,
        done: Callable[[Item], None],
        is_closed: Callable[[], bool],
    ) -> None:
        self._request = request
        self._threads = threads
        self._done = done
        self._is_closed = is_closed
        self._is_coroutine = {kind: is_coroutine_callback(handler) for kind, handler in request.handlers.items()}
        # What a thread is at work on.
        self._pending: tuple[asyncio.Future[Awaitable[object] | BaseException | None], deque[Item]] | None = None
        self._cut_off = False
        self.is_in_event = False

    @property
    def is_in_thread(self) -> bool:
        """A thread is at work on events; it ends with the one that it has when the subscription is closed."""
        return self._pending is not None

    async def call(self, events: deque[Item]) -> None:
        """Call the handler with the first event, and with those after it that need nothing else; take them out.

        When this is cancelled while the subscription is open, the event that a coroutine had has been handed over. A
        thread goes on, and must be waited for with `settle()`.
        """
        item = events[0]
        assert item.event is not None
        handler = self._request.handlers[item.event.event]
        if not self._is_coroutine[item.event.event]:
            self._pending = (self._threads.start(self._call_plain, events), events)
            await self.settle()
            return
        try:
            argument = self._argument(item)
        except Exception as error:
            await self._finish(events, error)
        else:
            await self._finish(events, await self._await_with_event(events, lambda: handler(argument)))

    async def settle(self) -> None:
        """Wait for the thread that is at work, also for a delivery that was cancelled, and for what it leaves to do."""
        if self._cut_off:
            self._cut_off = False
            await self.report(GravityMemoryError("the callback was cancelled, and has had its event"))
        if self._pending is None:
            return
        answer, events = self._pending
        try:
            rest = await asyncio.shield(answer)
        except asyncio.CancelledError:
            raise
        except BaseException:
            self._pending = None
            raise
        self._pending = None
        if isinstance(rest, BaseException):
            await self._finish(events, rest)
        elif rest is not None:
            await self._finish(events, await self._await_with_event(events, lambda: rest))

    async def resync(self, error: GravityMemoryError) -> None:
        """Tell on_resync that events were missed, or log it."""
        if self._request.on_resync is None:
            logger.warning("a subscriber of %r missed events: %s", self._request.user_id, error)
            return
        problem = await self._call_any(self._request.on_resync, error)
        if problem is not None:
            await self.report(problem)

    async def report(self, error: BaseException) -> None:
        """Give an error to on_error, or log it."""
        if self._request.on_error is None:
            logger.error("subscription of %r: %s", self._request.user_id, error, exc_info=error)
            return
        problem = await self._call_any(self._request.on_error, error)
        if problem is not None:
            logger.error("on_error of a subscriber of %r failed", self._request.user_id, exc_info=problem)

    async def _finish(self, events: deque[Item], problem: BaseException | None) -> None:
        self._done(events.popleft())
        if problem is not None:
            await self.report(problem)

    async def _await_with_event(self, events: deque[Item], start: Callable[[], object]) -> BaseException | None:
        """Await a callback that has the first event; what it raised."""
        self.is_in_event = True
        try:
            return await _awaited(start)
        except asyncio.CancelledError:
            if not self._is_closed():
                self._done(events.popleft())
                self._cut_off = True
            raise
        finally:
            self.is_in_event = False

    def _call_plain(self, events: deque[Item]) -> Awaitable[object] | BaseException | None:
        """In a thread: call handlers with events until one of them needs the loop; what that is.

        That is an exception to be reported, or what a handler returned to be awaited; the event is still there.
        """
        while events and not self._is_closed():
            item = events[0]
            if item.event is None or self._is_coroutine[item.event.event]:
                return None
            try:
                result = self._request.handlers[item.event.event](self._argument(item))
            except BaseException as error:
                return error
            if inspect.isawaitable(result):
                return result
            self._done(events.popleft())
        return None

    def _argument(self, item: Item) -> object:
        assert item.event is not None
        return self._request.convert(item.event.read())

    async def _call_any(self, callback: Callback, argument: object) -> BaseException | None:
        if is_coroutine_callback(callback):
            return await _awaited(lambda: callback(argument))
        try:
            result = await self._threads.run(callback, argument)
        except asyncio.CancelledError as error:
            if _is_cancelled():
                raise
            return error
        except BaseException as error:
            return error
        return await _awaited(lambda: result)


async def _awaited(start: Callable[[], object]) -> BaseException | None:
    """Await a callback; what it raised."""
    try:
        started = start()
        if inspect.isawaitable(started):
            await started
    except asyncio.CancelledError as error:
        if _is_cancelled():
            raise
        return error
    except (Exception, SystemExit) as error:
        return error
    return None


def _is_cancelled() -> bool:
    """Whether it is the task that is cancelled, and not something that it waits for."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
