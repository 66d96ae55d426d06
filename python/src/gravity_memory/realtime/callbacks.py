"""Running what the application gave us: coroutine functions on the event loop, plain ones in threads."""

from __future__ import annotations

import asyncio
import functools
import inspect
import queue
import threading
from collections.abc import Callable
from typing import Any, ParamSpec, TypeAlias, TypeVar

P = ParamSpec("P")
R = TypeVar("R")

Callback: TypeAlias = Callable[[Any], object]
"""A plain or a coroutine function of one argument; what it returns is ignored."""


def is_coroutine_callback(function: Callback) -> bool:
    """Whether calling it returns at once, with something to be awaited."""
    bare: Any = function
    while isinstance(bare, functools.partial):
        bare = bare.func
    called = type(bare).__call__ if callable(bare) else None
    return inspect.iscoroutinefunction(bare) or inspect.iscoroutinefunction(called)


class CallbackThreads:
    """The threads in which plain callbacks run. They do not keep the program from ending, whatever runs in them.

    That is why this is no ThreadPoolExecutor, whose threads are waited for when the program ends. And asyncio's own way
    to run something in a thread complains when the loop ends before the thread does; here the loop may.

    Args:
        most: how many run at a time; the threads are made when they are needed.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._made = 0
        # What to do; called with True, it is refused. None: nothing more will come.
        self._work: queue.SimpleQueue[Callable[[bool], None] | None] = queue.SimpleQueue()
        self._idle = threading.Semaphore(0)
        self._is_closed = False

    def start(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> asyncio.Future[R]:
        """Begin to run a function in a thread, and return what will have its result, or its exception.

        Nothing stops what has begun; cancelling the future does not.

        Raises:
            RuntimeError: the threads are closed, or the interpreter is about to end.
        """
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[R] = loop.create_future()

        def tell(result: R | None, error: BaseException | None) -> None:
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(result)  # type: ignore[arg-type]

        def work(is_refused: bool) -> None:
            result: R | None = None
            failure: BaseException | None = None
            try:
                if is_refused:
                    raise RuntimeError("the client was closed")
                result = function(*args, **kwargs)
            except StopIteration as error:
                # A future cannot carry it.
                failure = RuntimeError("the callback raised StopIteration")
                failure.__cause__ = error
            except BaseException as error:
                failure = error
            # The loop may have ended meanwhile.
            if not loop.is_closed():
                try:
                    loop.call_soon_threadsafe(tell, result, failure)
                except RuntimeError:
                    return

        self._submit(work)
        return answer

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a function in a thread; its result, or its exception.

        Raises:
            RuntimeError: see start().
        """
        return await self.start(function, *args, **kwargs)

    def close(self) -> None:
        """Start nothing more; what runs goes on to its end, unless the program ends first."""
        self._is_closed = True
        self._work.put(None)

    def _submit(self, work: Callable[[bool], None]) -> None:
        if self._is_closed:
            raise RuntimeError("the client was closed")
        if self._idle.acquire(blocking=False) or self._made == self._most:
            self._work.put(work)
            return
        name = f"gravity-memory-callback-{self._made}"
        threading.Thread(target=self._serve, args=(work,), name=name, daemon=True).start()
        self._made += 1

    def _serve(self, work: Callable[[bool], None] | None) -> None:
        while work is not None:
            work(self._is_closed)
            # Or else what the callback had would be kept until the next one comes.
            del work
            try:
                work = self._work.get_nowait()
            except queue.Empty:
                self._idle.release()
                work = self._work.get()
        # For the next thread.
        self._work.put(None)
