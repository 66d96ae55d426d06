"""Leaving the demo's server running after the command has returned (option ``--keep``)."""

import os
import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType

#: What the background process writes to its parent when the demo is complete and the server stays.
DONE = b"done"


def run_in_background(work: Callable[[Callable[[], None]], int]) -> int:
    """Runs ``work`` in a process of its own, and returns as soon as that says that it stays.

    ``work`` is given a function; calling it lets this process return 0 to the shell, and pauses ``work`` until its
    process gets SIGTERM, which arrives there as SystemExit. So the server has one owner from its start to its end, and
    that owner cleans up. When ``work`` returns without calling it, its result is our result.

    Ctrl-C and SIGTERM on this side before that are passed on, and awaited.
    """
    reader, writer = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        os.close(reader)
        os.setsid()
        code = 1
        try:
            code = work(lambda: _stay(writer))
        except SystemExit as leaving:
            code = leaving.code if isinstance(leaving.code, int) else 1
        except Exception:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            # Not sys.exit: what the parent registered to run at its exit must not run twice.
            os._exit(code)
    os.close(writer)

    received: list[int] = []

    def forward(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        os.kill(child, signal.SIGTERM)

    previous = {number: signal.signal(number, forward) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        with os.fdopen(reader, "rb") as pipe:
            if pipe.read(len(DONE)) == DONE:
                return 0
        _, status = os.waitpid(child, 0)
        return 128 + received[0] if received else os.waitstatus_to_exitcode(status)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _stay(writer: int) -> None:
    """Lets go of the terminal, tells the parent, and sleeps until a signal ends this process."""
    sys.stdout.flush()
    sys.stderr.flush()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    os.close(nowhere)
    os.write(writer, DONE)
    os.close(writer)
    while True:
        signal.pause()
