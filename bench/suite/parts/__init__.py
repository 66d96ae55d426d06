"""The parts of the benchmark, in the order of the report."""

from __future__ import annotations

from bench.suite.part import Part
from bench.suite.parts.bulk import Bulk
from bench.suite.parts.catalogue import Catalogue
from bench.suite.parts.cleanup import Cleanup
from bench.suite.parts.feed import Feed
from bench.suite.parts.footprint import Footprint
from bench.suite.parts.hot_cluster import HotCluster
from bench.suite.parts.indexes import Indexes
from bench.suite.parts.realtime import Realtime
from bench.suite.parts.recall import Recall
from bench.suite.parts.timeline import Timeline
from bench.suite.parts.writers import Writers

PARTS: tuple[type[Part], ...] = (
    Timeline,
    Catalogue,
    Bulk,
    HotCluster,
    Writers,
    Feed,
    Realtime,
    Recall,
    Cleanup,
    Indexes,
    Footprint,
)
