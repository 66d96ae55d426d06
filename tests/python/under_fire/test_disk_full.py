"""A full disk costs the writes that found no room, and nothing else; with room again, everything goes on.

PostgreSQL's answer to a disk without room for data is SQLSTATE 53100, disk_full, for the statement; to one without room
for its log it is a crash, from which it recovers when there is room.
"""

from __future__ import annotations

import contextlib
import dataclasses
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from devtools.fixtures import Connection
from devtools.installation import Installation
from devtools.servers import Server, ServerError
from tests.python.arc_states import Warnings, rebuild_all
from tests.python.under_fire.invariants import (
    Worker,
    assert_every_invariant_holds,
    assert_no_acknowledged_memory_is_lost,
    prepare,
)
from tests.python.under_fire.small_disk import SmallDisk

_MB = 2**20
DISK_FULL = "53100"
FEED_EXPIRED = "72000"


@dataclasses.dataclass(frozen=True)
class OnSmallDisk(Installation):
    """An installation whose servers see a small disk.

    Attributes:
        enter: the words that run a program where the disk is.
    """

    enter: tuple[str, ...] = ()

    def server_command(self, program: str) -> list[str]:
        """As an installation's, where the disk is."""
        return [*self.enter, *super().server_command(program)]


@pytest.fixture
def disk(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    """A small disk with room for a database and some memories."""
    account = server.installation.account
    folder = Path(server.installation.run) / f"small_disk_{time.monotonic_ns()}"
    with SmallDisk(folder, 24 * _MB, account.uid, account.gid) as made:
        yield made
    folder.rmdir()


@pytest.fixture
def small_server(server: Server, disk: SmallDisk) -> Iterator[Server]:
    """A server that sees the disk, not started yet. Its data are elsewhere."""
    fields = {field.name: getattr(server.installation, field.name) for field in dataclasses.fields(Installation)}
    installation = OnSmallDisk(**fields, enter=tuple(disk.enter))
    settings = {"autovacuum": "off", "max_wal_size": "32MB", "min_wal_size": "32MB"}
    made = Server.create(installation, f"server_of_{disk.folder.name}", settings=settings, durable=True)
    yield made
    with contextlib.suppress(ServerError):
        made.stop("immediate")


def _fill(db: Connection, worker: Worker, most: int) -> Counter[str]:
    """Work until so many statements in a row have been refused; the SQLSTATEs of all that were refused."""
    refused: Counter[str] = Counter()
    in_a_row = 0
    while in_a_row < most:
        try:
            worker.work(db, ("insert", "batch", "batch", "update", "transaction", "delete"))
        except psycopg.Error as error:
            refused[error.sqlstate or str(error)] += 1
            in_a_row += 1
        else:
            in_a_row = 0
    return refused


def test_a_disk_without_room_for_memories_refuses_them_with_disk_full_and_all_goes_on_with_room(
    disk: SmallDisk, small_server: Server
) -> None:
    small_server.start()
    with small_server.connect() as db:
        db.execute(f"CREATE TABLESPACE small LOCATION '{disk.folder}'".encode())
        db.execute("CREATE DATABASE full_disk TABLESPACE small")
    worker = Worker(3)
    warnings = Warnings()
    with small_server.connect("full_disk") as db:
        db.execute("CREATE EXTENSION vector")
        prepare(db)
        worker.work(db, ("batch",))
        row = db.execute("SELECT memory_changes_head()").fetchone()
        assert row is not None
        cursor = row[0]
        db.execute("CHECKPOINT")
        disk.resize(disk.used() + _MB)
        warnings.watch(db)
        refused = _fill(db, worker, 12)
        print(f"{len(worker.stored)} memories stored, refused: {dict(refused)}, {len(warnings.messages)} warnings")
        assert refused.keys() == {DISK_FULL}, "nothing but the disk is to blame"

        # Reading goes on, and what was acknowledged is there.
        assert_no_acknowledged_memory_is_lost(db, [worker])
        worker.work(db, ("recall",))

    disk.resize(64 * _MB)
    with small_server.connect("full_disk") as db:
        _as_the_warnings_say(db, warnings)
        assert_no_acknowledged_memory_is_lost(db, [worker])
        assert_every_invariant_holds(db)
        if any("no events were recorded" in message for message in warnings.messages):
            # Readers are told that the feed has a hole, instead of being given one.
            with pytest.raises(psycopg.Error) as caught:
                db.execute("SELECT * FROM memory_changes_since('ada', %s)", (cursor,))
            assert caught.value.sqlstate == FEED_EXPIRED
        before = len(worker.stored)
        for _ in range(20):
            worker.work(db, ("insert", "batch", "update", "delete"))
        assert len(worker.stored) > before
        assert_every_invariant_holds(db)


def _write_until_it_breaks(db: Connection, worker: Worker) -> None:
    for _ in range(100_000):
        worker.work(db, ("insert", "batch", "update"))


def _as_the_warnings_say(db: Connection, warnings: Warnings) -> None:
    """Do what the HINTs of the WARNINGs say that came while the disk was full."""
    if any("arc" in message for message in warnings.messages):
        rebuild_all(db)
    if any("could not be told" in message for message in warnings.messages):
        db.execute("SELECT * FROM gravity_memory_setup()")
    if any("could not be noted" in message for message in warnings.messages):
        db.execute("CALL gravity_memory_rebuild_recall(p_everything => true)")


def test_a_disk_without_room_for_the_log_stops_the_server_and_with_room_nothing_acknowledged_is_lost(
    disk: SmallDisk, small_server: Server
) -> None:
    # The log alone is on the small disk, as initdb --waldir would have it.
    log = small_server.folder / "data" / "pg_wal"
    account = small_server.installation.account
    disk.run("cp", "--archive", f"{log}/.", str(disk.folder))
    disk.run("chown", "--recursive", f"{account.uid}:{account.gid}", str(disk.folder))
    disk.run("rm", "--recursive", str(log))
    disk.run("ln", "--symbolic", str(disk.folder), str(log))
    small_server.start()
    small_server.create_database("full_log", extensions=["vector"])
    worker = Worker(4)
    with small_server.connect("full_log") as db:
        prepare(db)
        worker.work(db, ("batch",))
        disk.resize(disk.used() + _MB)
        with pytest.raises(psycopg.OperationalError):
            _write_until_it_breaks(db, worker)
    disk.resize(256 * _MB)
    with contextlib.suppress(ServerError):
        small_server.stop("immediate")
    small_server.start()
    with small_server.connect("full_log") as db:
        acknowledged = assert_no_acknowledged_memory_is_lost(db, [worker])
        print(f"{acknowledged} memories acknowledged before the log was full")
        assert_every_invariant_holds(db)
        worker.work(db, ("insert",))
        assert_no_acknowledged_memory_is_lost(db, [worker])
