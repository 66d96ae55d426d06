"""How much a run of the benchmark takes of everything: all of it, a few minutes' worth, or just enough to run."""

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
        bulk_dimensions: of the embeddings there.
        hot: memories of one user and emotion.
        clients: concurrent writers of single rows.
        subscribers: how many follow a user's memories.
        events_per_second: memories written for them.
        seconds: how long each load of concurrent clients lasts.
        cache_rows: expired cache entries to purge.
        queries: how many queries a latency is the median and 99th percentile of.
        repeat: of how many runs a bulk figure is the median.
        patience: seconds after which a slow statement is not called again; see latency.latencies().
    """

    name: str
    sizes: tuple[int, ...]
    main: int
    narrow_from: int
    dimensions: int
    bulk: tuple[int, ...]
    bulk_base: int
    bulk_dimensions: int
    hot: tuple[int, ...]
    clients: tuple[int, ...]
    subscribers: tuple[int, ...]
    events_per_second: int
    seconds: int
    cache_rows: int
    queries: int
    repeat: int
    patience: float


FULL = Scale(
    name="full",
    sizes=(100_000, 1_000_000, 10_000_000),
    main=1_000_000,
    narrow_from=10_000_000,
    dimensions=256,
    bulk=(20_000, 100_000),
    bulk_base=50_000,
    bulk_dimensions=1_536,
    hot=(1_000, 10_000, 50_000),
    clients=(1, 8, 32),
    subscribers=(1, 100, 1_000),
    events_per_second=1_000,
    seconds=5,
    cache_rows=1_000_000,
    queries=500,
    repeat=2,
    patience=2.0,
)
QUICK = Scale(
    name="quick",
    sizes=(20_000, 100_000),
    main=100_000,
    narrow_from=10_000_000,
    dimensions=384,
    bulk=(5_000,),
    bulk_base=20_000,
    bulk_dimensions=1_536,
    hot=(1_000, 5_000),
    clients=(1, 8),
    subscribers=(1, 100),
    events_per_second=500,
    seconds=3,
    cache_rows=100_000,
    queries=200,
    repeat=2,
    patience=0.3,
)
SMOKE = Scale(
    name="smoke",
    sizes=(500, 10_500),
    main=10_500,
    narrow_from=10_000_000,
    dimensions=64,
    bulk=(200,),
    bulk_base=500,
    bulk_dimensions=64,
    hot=(50, 100),
    clients=(2,),
    subscribers=(1, 5),
    events_per_second=50,
    seconds=1,
    cache_rows=500,
    queries=10,
    repeat=1,
    patience=0.02,
)
SCALES = {scale.name: scale for scale in (FULL, QUICK, SMOKE)}
