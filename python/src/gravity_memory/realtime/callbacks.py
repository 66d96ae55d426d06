"""Running what the application gave us: coroutine functions on the event loop, plain ones in threads."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
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
    """The threads in which plain callbacks run.

    asyncio's own way to run something in a thread complains when the loop ends before the thread does; here the loop
    may.

    Args:
        most: how many run at a time; the threads are made when they are needed.
    """

    def __init__(self, most: int) -> None:
        self._executor = ThreadPoolExecutor(most, thread_name_prefix="gravity-memory-callback")

    async def run(self, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Run a function in a thread; its result, or its exception.

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

        def work() -> None:
            result: R | None = None
            failure: BaseException | None = None
            try:
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

        self._executor.submit(work)
        return await answer

    def close(self) -> None:
        """Start nothing more; what runs goes on to its end."""
        self._executor.shutdown(wait=False, cancel_futures=True)
