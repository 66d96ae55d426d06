"""Run parts of a test run beside each other, each in a process of its own.

What a part says appears at once, each line behind the part's name; so two parts can be followed, and one of them read
alone with grep. A part's process belongs to a session of its own: Ctrl-C and SIGTERM reach this process, which then
ends the parts in order, and they their servers.
"""

from __future__ import annotations

import functools
import selectors
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from devtools import MODULES, REPO
from devtools.cache import PRIVATE_MOUNTS, is_root, run_folder
from devtools.parts import PartResult
from devtools.process import clean_environment, with_our_life
from devtools.say import say

PROGRAM = (sys.executable, "-m", "devtools.parts")
"""Runs a part."""

HEARTBEAT_SECONDS = 60.0
"""After so long without a line, one says what is running."""

STOP_SECONDS = 150.0
"""What a part gets to stop its servers and remove its folder before it is killed."""


_UNSHARE = ("unshare", "--mount", "--propagation", "private", "--")


@functools.cache
def _may_unshare() -> bool:
    """Whether a part can get mounts of its own, which end with it."""
    if not is_root() or shutil.which("unshare") is None:
        return False
    return subprocess.run([*_UNSHARE, "true"], check=False, capture_output=True).returncode == 0


class _Running:
    """A part's process, and what it said since its last whole line."""

    def __init__(self, name: str, words: Sequence[str], report: Path) -> None:
        self.name = name
        self.began = time.monotonic()
        self._report = report
        self._rest = b""
        self.process = subprocess.Popen(
            with_our_life([*_UNSHARE, *words, name, str(report)] if _may_unshare() else [*words, name, str(report)]),
            env=clean_environment(
                {
                    "PYTHONPATH": MODULES,
                    "PYTHONDONTWRITEBYTECODE": "1",
                    **({PRIVATE_MOUNTS: "1"} if _may_unshare() else {}),
                }
            ),
            cwd=REPO,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            bufsize=0,
        )
        assert self.process.stdout is not None
        self.output = self.process.stdout

    def lines(self, chunk: bytes) -> list[str]:
        """The whole lines that a further piece of output completes; an empty one is the end, and completes the last."""
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        if not chunk and self._rest:
            whole, self._rest = [self._rest], b""
        return [line.decode(errors="replace") for line in whole]

    def result(self) -> PartResult:
        """Wait for the process and take what it reported."""
        code = self.process.wait()
        try:
            return PartResult.from_json(self._report.read_text())
        except (OSError, ValueError):
            problem = f"the process that ran it ended with exit code {code} and left no report"
            return PartResult(self.name, seconds=time.monotonic() - self.began, problem=problem)


class _Board:
    """The parts that are running now, and the results of those that have ended."""

    def __init__(self, words: Sequence[str], folder: Path, selector: selectors.BaseSelector, width: int) -> None:
        self.running: dict[str, _Running] = {}
        self.results: dict[str, PartResult] = {}
        self._words, self._folder, self._selector, self._width = words, folder, selector, width
        self._last_said = time.monotonic()

    def start(self, name: str) -> None:
        """Start a part."""
        part = self.running[name] = _Running(name, self._words, self._folder / f"{name}.json")
        self._selector.register(part.output, selectors.EVENT_READ, part)

    def listen(self) -> None:
        """Pass on what is said within a second, and take the results of parts that end."""
        ready: list[_Running] = [key.data for key, _ in self._selector.select(timeout=1.0)]
        for part in ready:
            chunk = part.output.read(65536)
            self._say(part.name, part.lines(chunk))
            if not chunk:
                self._end(part)
        for part in list(self.running.values()):
            # A program that it left behind may hold its output open.
            if part not in ready and part.process.poll() is not None:
                self._say(part.name, part.lines(b""))
                self._end(part)
        if self.running and time.monotonic() - self._last_said > HEARTBEAT_SECONDS:
            ages = (f"{part.name} for {time.monotonic() - part.began:.0f} s" for part in self.running.values())
            self._say("", [f"running: {', '.join(ages)}"])

    def stop(self) -> None:
        """End the parts that are running, all at the same time; what has not ended in time is killed."""
        for part in self.running.values():
            if part.process.poll() is None:
                part.process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while self.running and time.monotonic() < deadline:
            self.listen()
        for part in self.running.values():
            part.process.kill()
            part.process.wait()

    def _say(self, name: str, lines: Sequence[str]) -> None:
        for line in lines:
            say(f"{name:{self._width}} | {line}".rstrip())
            self._last_said = time.monotonic()

    def _end(self, part: _Running) -> None:
        self._selector.unregister(part.output)
        part.output.close()
        self.results[part.name] = part.result()
        del self.running[part.name]


def run_side_by_side(
    names: Sequence[str], jobs: int, after: Mapping[str, str], words: Sequence[str] = PROGRAM
) -> list[PartResult]:
    """Run the parts, at most `jobs` at a time, begun in the order given.

    Args:
        names: the parts.
        jobs: how many at a time.
        after: parts that begin only when another one has ended, if that one is run at all.
        words: the program that runs a part; it is given the part's name and the file for its result.

    Returns:
        The results in the order of `names`.
    """
    waiting = list(names)
    with run_folder() as folder, selectors.DefaultSelector() as selector:
        board = _Board(words, folder, selector, max(len(name) for name in names))
        try:
            while waiting or board.running:
                unfinished = {*waiting, *board.running}
                ready = [name for name in waiting if after.get(name) not in unfinished]
                for name in ready[: jobs - len(board.running)]:
                    waiting.remove(name)
                    board.start(name)
                board.listen()
        except BaseException:
            board.stop()
            raise
    return [board.results[name] for name in names]
