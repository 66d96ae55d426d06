"""How much of everything a run of the benchmark takes: the whole, a few minutes, or just enough to show that it runs."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Sizes of one run.

    Attributes:
        name: of the scale.
        sizes: numbers of memories at which the timeline query is measured, rising.
        main: number of memories for everything else that needs a large table; one of `sizes`.
        narrow_from: from this many memories on, embeddings have 8 dimensions, and no index on them is built.
        dimensions: of embeddings below that.
        bulk: rows of one bulk insert, into a table that holds `bulk_base` memories.
        bulk_base: see there.
        hot: memories of one user and emotion.
        clients: concurrent writers of single rows.
        seconds: how long each load of concurrent clients lasts.
        cache_rows: expired cache entries to purge.
        queries: how many queries a latency is the median and 99th percentile of.
        repeat: of how many runs a bulk figure is the median.
    """

    name: str
    sizes: tuple[int, ...]
    main: int
    narrow_from: int
    dimensions: int
    bulk: tuple[int, ...]
    bulk_base: int
    hot: tuple[int, ...]
    clients: tuple[int, ...]
    seconds: int
    cache_rows: int
    queries: int
    repeat: int


FULL = Scale(
    name="full",
    sizes=(100_000, 1_000_000, 10_000_000),
    main=1_000_000,
    narrow_from=10_000_000,
    dimensions=384,
    bulk=(20_000, 100_000),
    bulk_base=100_000,
    hot=(1_000, 10_000, 50_000),
    clients=(1, 8, 32),
    seconds=10,
    cache_rows=1_000_000,
    queries=500,
    repeat=3,
)
QUICK = Scale(
    name="quick",
    sizes=(20_000, 100_000),
    main=100_000,
    narrow_from=10_000_000,
    dimensions=384,
    bulk=(5_000, 20_000),
    bulk_base=20_000,
    hot=(1_000, 5_000),
    clients=(1, 8),
    seconds=3,
    cache_rows=100_000,
    queries=200,
    repeat=2,
)
SMOKE = Scale(
    name="smoke",
    sizes=(1_000, 12_000),
    main=12_000,
    narrow_from=10_000_000,
    dimensions=64,
    bulk=(500,),
    bulk_base=1_000,
    hot=(100, 300),
    clients=(1, 2),
    seconds=1,
    cache_rows=1_000,
    queries=10,
    repeat=1,
)
SCALES = {scale.name: scale for scale in (FULL, QUICK, SMOKE)}
