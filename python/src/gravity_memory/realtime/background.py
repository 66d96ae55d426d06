"""An event loop in a thread of its own, for those who have none."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Coroutine
from concurrent.futures import CancelledError
from typing import Any, TypeVar

T = TypeVar("T")

logger = logging.getLogger("gravity_memory")

_STOPPING_SECONDS = 1.0
"""How long what was cancelled may take to end."""


class LoopThread:
    """A thread that runs an event loop until it is stopped. It does not keep the program from ending."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        # Between looking at the flag and handing over work, the loop must not end: work would wait for ever.
        self._submitting = threading.Lock()
        self._is_stopping = False
        self._thread = threading.Thread(target=self._run, name="gravity-memory", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_forever()
            # What came too late to be told that we stop has not begun, or was not there to be cancelled.
            self._loop.run_until_complete(self._cancel_all())
        finally:
            self._loop.close()

    @property
    def is_here(self) -> bool:
        """Whether the caller runs in this thread."""
        return threading.current_thread() is self._thread

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine there, and wait for its result.

        Raises:
            RuntimeError: the caller runs there, and would wait for itself.
            concurrent.futures.CancelledError: the loop was stopped, before or meanwhile.
        """
        if self.is_here:
            work.close()
            raise RuntimeError("a coroutine that is a callback cannot wait for the client: use AsyncGravityMemory")
        with self._submitting:
            if self._is_stopping:
                work.close()
                raise CancelledError
            future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def stop(self) -> None:
        """End the loop and the thread; what still runs on the loop is cancelled, and left to itself if it goes on."""
        with self._submitting:
            if not self._is_stopping:
                self._is_stopping = True
                self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _cancel_all(self) -> None:
        tasks = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in tasks:
            task.cancel()
        if tasks:
            _, surviving = await asyncio.wait(tasks, timeout=_STOPPING_SECONDS)
            for task in surviving:
                logger.warning("it goes on after it was cancelled, and is left behind: %s", task.get_name())
        await self._loop.shutdown_asyncgens()
