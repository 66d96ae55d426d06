"""Sixteen clients do everything at once, by hand and by maintenance: nobody deadlocks, and all is right."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import psycopg

from devtools.fixtures import Connection, MakeDatabase
from devtools.full_scale import bounded
from devtools.servers import Server
from tests.python.arc_states import Warnings
from tests.python.under_fire.invariants import (
    Worker,
    assert_every_invariant_holds,
    assert_no_acknowledged_memory_is_lost,
    prepare,
)

WRITERS = 16
_OFTEN = ("insert", "insert", "batch", "transaction", "update", "update", "update_any", "delete", "arc_by_hand")
_MAINTENANCE = ("evolve", "cleanup", "rebuild_recall", "rebuild_arcs", "recall", "read_feed")


def test_sixteen_clients_that_write_and_maintain_at_once_never_deadlock_and_leave_everything_right(
    server: Server, make_database: MakeDatabase
) -> None:
    database = make_database(["vector"])
    with server.connect(database) as db:
        # Few users and short loads that leave deriving to a rebuild: more to meet over.
        prepare(db, {"notify": "wakeup"})
    workers = [Worker(seed) for seed in range(WRITERS)]
    warnings = Warnings()
    ready = threading.Barrier(WRITERS)
    deadline = time.monotonic() + bounded(4.0, 120.0)
    failures: list[psycopg.Error] = []

    def client(number: int) -> None:
        with server.connect(database) as connection:
            warnings.watch(connection)
            ready.wait(60)
            while time.monotonic() < deadline and not failures:
                try:
                    workers[number].work(connection, _OFTEN * 2 + _MAINTENANCE)
                except psycopg.Error as error:
                    failures.append(error)

    with ThreadPoolExecutor(WRITERS) as pool:
        for done in [pool.submit(client, number) for number in range(WRITERS)]:
            done.result(400)
    assert [(error.sqlstate, str(error)) for error in failures] == []
    # Whoever links a memory by hand may give up waiting for it on a busy machine; the totals are checked below.
    assert [message for message in warnings.messages if "may be out of date" not in message] == []
    operations: Counter[str] = Counter()
    for worker in workers:
        operations.update(worker.operations)
    with server.connect(database) as db:
        acknowledged = assert_no_acknowledged_memory_is_lost(db, workers)
        print(f"{acknowledged} memories stored, {operations.total()} operations: {dict(operations)}")
        assert min(operations[kind] for kind in (*_OFTEN, *_MAINTENANCE)) > 0
        _assert_arcs_formed(db)
        assert_every_invariant_holds(db)
        assert _deadlocks(db) == 0


def _assert_arcs_formed(db: Connection) -> None:
    row = db.execute(
        "SELECT count(*) FILTER (WHERE arc_name LIKE '%(auto-created)'),"
        " count(*) FILTER (WHERE arc_name LIKE 'by hand%') FROM memory_arcs"
    ).fetchone()
    assert row is not None
    assert row[0] >= 3
    assert row[1] >= 3


def _deadlocks(db: Connection) -> int:
    """A backend reports at its end at the latest, and those of clients that have disconnected end a little later."""
    deadline = time.monotonic() + 30
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    while db.execute(f"{others} AND backend_type = 'client backend'".encode()).fetchone() != (0,):
        assert time.monotonic() < deadline, "sessions did not end"
        time.sleep(0.05)
    db.execute("SELECT pg_stat_clear_snapshot()")
    row = db.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").fetchone()
    assert row is not None
    return int(row[0])
