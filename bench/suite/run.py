"""One run of the benchmark: the parts, one after the other, on the stages that they need."""

from __future__ import annotations

import dataclasses
import datetime
import time
import traceback
from collections.abc import Sequence
from pathlib import Path

from bench.suite import machine
from bench.suite.bench import Bench, Stage
from bench.suite.part import Part
from bench.suite.results import save


class Run:
    """Goes through the stages that parts need, from small to large, and saves what each part finds at once.

    A part of several sizes is saved after each of them. One that fails is told about and left out; a stage that fails
    is left out for all parts.

    Args:
        bench: the server and the scale.
        parts: what to measure, in this order.
        folder: where the results' folder `data` is.
    """

    def __init__(self, bench: Bench, parts: Sequence[Part], folder: Path) -> None:
        self._bench = bench
        self._parts = parts
        self._folder = folder
        self._spent = dict.fromkeys(parts, 0.0)
        self._failures: list[str] = []
        self._failed: dict[Part, str] = {}
        self._measured: dict[Part, int] = dict.fromkeys(parts, 0)
        with bench.server.connect() as connection:
            self._machine = machine.describe(connection)

    def measure(self) -> list[str]:
        """Measure, and say what failed, a line for each."""
        staged = [part for part in self._parts if part.sizes(self._bench.scale)]
        for part in self._parts:
            if part not in staged:
                self._bench.say(f"-- {part.title}")
                self._finish(part)
        for size in sorted({size for part in staged for size in part.sizes(self._bench.scale)}):
            here = [part for part in staged if size in part.sizes(self._bench.scale)]
            if all(part in self._failed for part in here):
                continue
            try:
                with self._bench.stage(size) as stage:
                    for part in here:
                        self._measure_on(part, stage)
            except Exception as error:
                self._fail(f"the databases of {size:,} memories", error)
                for part in here:
                    if 0 < self._measured[part] < len(part.sizes(self._bench.scale)) and part not in self._failed:
                        self._finish(part, missing=f"{size:,} memories: {_said(error)}")
        return self._failures

    def _measure_on(self, part: Part, stage: Stage) -> None:
        if part in self._failed:
            return
        self._bench.say(f"-- {part.title}, {stage.memories:,} memories")
        began = time.perf_counter()
        try:
            part.measure(self._bench, stage)
        except Exception as error:
            self._fail(f"{part.name}, {stage.memories:,} memories", error)
            self._failed[part] = _said(error)
            if self._measured[part]:
                self._finish(part, missing=f"{stage.memories:,} memories: {_said(error)}")
            return
        self._spent[part] += time.perf_counter() - began
        self._measured[part] += 1
        sizes = part.sizes(self._bench.scale)
        self._finish(
            part, missing="" if self._measured[part] == len(sizes) else "larger numbers of memories: not reached"
        )

    def _finish(self, part: Part, missing: str = "") -> None:
        began = time.perf_counter()
        try:
            result = part.result(self._bench)
        except Exception as error:
            self._fail(part.name, error)
            self._failed[part] = _said(error)
            return
        result = dataclasses.replace(
            result,
            scale=self._bench.scale.name,
            machine=self._machine,
            seconds=round(self._spent[part] + time.perf_counter() - began, 1),
            date=datetime.datetime.now(datetime.UTC).date().isoformat(),
            missing=missing,
        )
        save(result, self._folder / "data")
        for goal in result.goals:
            word = {True: "met", False: "MISSED", None: "not judged"}[goal.met]
            self._bench.say(f"   {word}: {goal.what}: {goal.measured} (wanted: {goal.wanted})")

    def _fail(self, what: str, error: Exception) -> None:
        self._failures.append(f"{what}: {_said(error)}")
        self._bench.say(f"   FAILED: {what}")
        traceback.print_exception(error)


def _said(error: Exception) -> str:
    """An exception in one line."""
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}".rstrip(": ")
