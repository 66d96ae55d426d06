"""The parts of the benchmark, in the order of the report."""

from __future__ import annotations

from bench.suite.part import Part
from bench.suite.parts.timeline import Timeline

PARTS: tuple[type[Part], ...] = (Timeline,)
