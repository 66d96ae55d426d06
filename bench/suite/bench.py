"""What every part of the benchmark is given: a server, databases with the contestants in them, and somebody to tell."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench.databases import Connection
from bench.suite.contestants import (
    CONTESTANTS,
    Contestant,
    build,
    create_spec_embedding_indexes,
    create_tables,
    fill,
)
from bench.suite.scales import Scale
from bench.suite.side_tables import fill_side_tables
from bench.suite.source import NARROW, make_source
from bench.suite.writer import Writer
from devtools.servers import Server

SERVER_SETTINGS = {
    "shared_buffers": "4GB",
    "effective_cache_size": "12GB",
    "work_mem": "64MB",
    "maintenance_work_mem": "3GB",
    "max_wal_size": "6GB",
    "checkpoint_timeout": "30min",
    "random_page_cost": "1.1",
    "max_connections": "200",
}


@dataclass
class Stage:
    """A database with the memories of one size and all three contestants.

    Attributes:
        database: its name.
        memories: how many each holds.
        dimensions: of their embeddings.
        seconds: by contestant's name, how long each step of building took; "load" is the copying of rows.
        waits: by contestant's name and step, the longest that a client who inserted a row every 50 ms meanwhile had to
            wait for it, in seconds.
    """

    database: str
    memories: int
    dimensions: int
    seconds: dict[str, dict[str, float]] = field(default_factory=dict)
    waits: dict[str, dict[str, float]] = field(default_factory=dict)


@dataclass
class Bench:
    """A run of the benchmark.

    Attributes:
        scale: sizes.
        server: a durable embedded server with pgvector and gravity_memory installed.
        console: where to tell; progress bars are drawn there.
    """

    scale: Scale
    server: Server
    console: Console

    def say(self, text: str) -> None:
        """Print a line."""
        self.console.print(text, highlight=False)

    @contextlib.contextmanager
    def progress(self) -> Iterator[Progress]:
        """Progress bars; `add_task(description, total=...)` and `advance(task, n)`."""
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        with Progress(*columns, console=self.console, transient=True) as progress:
            yield progress

    @contextlib.contextmanager
    def database(self, name: str) -> Iterator[Connection]:
        """A new database with pgvector, and a connection to it in autocommit; it is dropped at the end."""
        self.server.drop_database(name)
        self.server.create_database(name, extensions=["vector"])
        try:
            with self.server.connect(name) as connection:
                yield connection
        finally:
            self.server.drop_database(name)

    def make_source(self, connection: Connection, count: int, dimensions: int) -> None:
        """Fill source.memories of a new database; see bench/suite/source.py."""
        base = self.scale.main if count >= self.scale.narrow_from else None
        with self.progress() as progress:
            task = progress.add_task(f"{count:,} memories are made", total=count)
            make_source(connection, count, dimensions, base=base, tick=lambda rows: progress.advance(task, rows))

    @contextlib.contextmanager
    def stage(self, memories: int) -> Iterator[Stage]:
        """A database with this many memories in source.memories and with each contestant, dropped at the end.

        From `scale.narrow_from` memories on, embeddings have 8 dimensions, no index on them is built, nothing is
        derived from the memories, and the other tables are empty.
        """
        narrow = memories >= self.scale.narrow_from
        dimensions = NARROW if narrow else self.scale.dimensions
        stage = Stage(f"stage_{memories}", memories, dimensions)
        with self.database(stage.database) as connection:
            self.make_source(connection, memories, self.scale.dimensions)
            for contestant in CONTESTANTS:
                create_tables(connection, contestant, dimensions)
            if not narrow:
                create_spec_embedding_indexes(connection)
            for contestant in reversed(CONTESTANTS):
                self._build(stage, connection, contestant, whole=not narrow)
            if not narrow:
                self.say("arcs, cached answers, sessions and patterns")
                fill_side_tables(connection, memories)
            connection.execute("CHECKPOINT")
            connection.execute("DISCARD ALL")
            yield stage

    def _build(self, stage: Stage, connection: Connection, contestant: Contestant, *, whole: bool) -> None:
        """Load a contestant's memories and put on them what it has, while somebody goes on writing."""
        self.say(f"{contestant.name}: {stage.memories:,} memories are loaded")
        seconds = {"load": fill(connection, contestant)}
        waits: dict[str, float] = {}
        with Writer(lambda: self.server.connect(stage.database), contestant) as writer:

            def ended(step: str) -> None:
                waits[step] = writer.longest()

            seconds |= build(connection, contestant, self.say, embeddings=whole, derived=whole, ended=ended)
        stage.seconds[contestant.name] = seconds
        stage.waits[contestant.name] = waits
