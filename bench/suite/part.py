"""What a part of the benchmark is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from bench.suite.bench import Bench, Stage
from bench.suite.results import Result
from bench.suite.scales import Scale


class Part(ABC):
    """One question that the benchmark answers; made anew for each run.

    Attributes:
        name: as --parts and the file of its result have it.
        title: its heading in the report.
    """

    name: ClassVar[str]
    title: ClassVar[str]

    def sizes(self, scale: Scale) -> tuple[int, ...]:
        """On the stages of which sizes it is measured; none, if it makes databases of its own."""
        return (scale.main,)

    def measure(self, bench: Bench, stage: Stage) -> None:
        """Measure on a stage, and remember what was found. Called once per size, from small to large."""
        raise NotImplementedError

    @abstractmethod
    def result(self, bench: Bench) -> Result:
        """Measure what needs no stage, and say what was found.

        Called while the stage measured last is still there, and, for a part of several sizes, after each of them.
        """
