"""kill -9 of the server, and of single sessions, in the middle of everything: nothing acknowledged is lost.

Killing processes shows that recovery, and not an orderly end, makes things right. It does not show what a power failure
does to a disk that lies about having written; that is PostgreSQL's and the disk's matter.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest

from devtools.fixtures import Connection
from devtools.full_scale import bounded
from devtools.servers import Server
from tests.python.under_fire.invariants import (
    Worker,
    assert_every_invariant_holds,
    assert_no_acknowledged_memory_is_lost,
    install,
    own_server,
)

_DATABASE = "under_fire"
_SETTINGS = {"embedding_index_min_rows": "100", "embedding_lists": "5", "notify": "wakeup"}
_TRAINING = "train"
# What each of the sessions does; those that train and rebuild do nothing else, so that every kill meets them at it.
_KINDS: Sequence[Sequence[str]] = (
    ("insert", "insert", "batch", "transaction"),
    ("insert", "batch", "update", "delete", "arc_by_hand"),
    ("update", "update_any", "insert", "evolve", "rebuild_arcs"),
    ("cleanup", "insert", "recall"),
    ("rebuild_recall",),
    (_TRAINING,),
)
_INDEX_IS_BEING_BUILT = """
    SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND state = 'active' AND query LIKE 'CREATE INDEX CONCURRENTLY%'
"""


class Sessions:
    """Sessions at work, one per element of _KINDS, until the server goes away under them."""

    def __init__(self, server: Server, seed: int) -> None:
        self.workers = [Worker(100 * seed + number) for number in range(len(_KINDS))]
        self._server = server
        self._stop = threading.Event()
        self._began = [threading.Event() for _ in _KINDS]
        self.lost = 0

    @contextmanager
    def at_work(self, *, come_back: bool) -> Iterator[None]:
        """While this lasts they work, and come back when their connection is lost if they are to."""
        with ThreadPoolExecutor(len(_KINDS)) as pool:
            running = [pool.submit(self._work, number, come_back) for number in range(len(_KINDS))]
            try:
                for began in self._began:
                    assert began.wait(120)
                yield
            except BaseException:
                self._stop.set()
                raise
            if come_back:
                self._stop.set()
            # Else until each has lost its server: sessions outlive the postmaster for the statement they are at.
            for one in running:
                one.result(120)

    def _work(self, number: int, come_back: bool) -> None:
        while not self._stop.is_set():
            try:
                with self._server.connect(_DATABASE) as db:
                    db.execute("SET client_min_messages = error")
                    while not self._stop.is_set():
                        if _KINDS[number] == (_TRAINING,):
                            # There is always something to train: another number of lists.
                            lists = 2 + self.workers[number].operations.get(_TRAINING, 0) % 9
                            db.execute("SELECT gravity_memory_set('embedding_lists', %s)", (str(lists),))
                        self.workers[number].work(db, _KINDS[number])
                        self._began[number].set()
            except psycopg.errors.DeadlockDetected:
                raise
            except psycopg.OperationalError:
                self.lost += 1
                if not come_back:
                    return
                time.sleep(0.05)
            except psycopg.errors.UndefinedObject:
                # An index that another session, or the one before it, has dropped already.
                continue


def _mended(db: Connection) -> None:
    """Do what the job that trains the vector indexes does after an interruption: run what is left to do."""
    db.execute("SELECT gravity_memory_set('embedding_lists', '3')")
    for _ in range(20):
        todo = db.execute("SELECT gravity_memory_vector_index_ddl()").fetchall()
        if not todo:
            break
        for (statement,) in todo:
            db.execute(statement.encode())
    found = db.execute(
        "SELECT c.relname::text, i.indisvalid FROM pg_index AS i JOIN pg_class AS c ON c.oid = i.indexrelid"
        " WHERE i.indrelid = 'gravity_map'::regclass AND c.relname LIKE 'idx_gravity_map_embedding%' ORDER BY 1"
    ).fetchall()
    assert found == [("idx_gravity_map_embedding_cosine", True), ("idx_gravity_map_embedding_l2", True)]


@pytest.fixture(scope="module")
def filled(server: Server) -> Iterator[tuple[Server, Worker]]:
    """A server of our own, and who filled its database."""
    with own_server(server) as made:
        yield made, _prefilled(made)


def _prefilled(server: Server) -> Worker:
    """A database with some hundred memories, so that there is something to train, rebuild and clean up."""
    install(server, _DATABASE, _SETTINGS)
    worker = Worker(1)
    with server.connect(_DATABASE) as db:
        while len(worker.stored) < 400:
            worker.work(db, ("batch",))
    return worker


@pytest.mark.timeout(bounded(600, 3600))
def test_a_server_killed_in_the_middle_of_everything_loses_no_memory_and_is_right_after_recovery(
    filled: tuple[Server, Worker],
) -> None:
    server, filler = filled
    workers = [filler]
    chance = random.Random(6)
    rounds = bounded(2, 20)
    operations: Counter[str] = Counter()
    for turn in range(1, rounds + 1):
        sessions = Sessions(server, turn)
        workers += sessions.workers
        with server.connect(_DATABASE) as watcher, sessions.at_work(come_back=False):
            time.sleep(chance.uniform(0.3, 1.5))
            deadline = time.monotonic() + 60
            # In the middle of a training, every time.
            while watcher.execute(_INDEX_IS_BEING_BUILT).fetchone() == (0,):
                assert time.monotonic() < deadline, "nobody trains"
            server.kill()
        assert sessions.lost == len(sessions.workers), "every session lost its connection"
        server.start()
        with server.connect(_DATABASE) as db:
            acknowledged = assert_no_acknowledged_memory_is_lost(db, workers)
            assert_every_invariant_holds(db)
            _mended(db)
        for worker in sessions.workers:
            operations.update(worker.operations)
    print(f"{rounds} kills, {acknowledged} memories acknowledged, {operations.total()} operations: {dict(operations)}")
    assert acknowledged > 400


@pytest.mark.timeout(bounded(600, 3600))
def test_sessions_killed_one_by_one_take_the_others_with_them_and_lose_no_memory(
    filled: tuple[Server, Worker],
) -> None:
    server, _ = filled
    sessions = Sessions(server, 1000)
    workers = sessions.workers
    chance = random.Random(7)
    killed = 0
    with sessions.at_work(come_back=True):
        for _ in range(bounded(2, 20)):
            killed += _kill_a_session(server, chance)
            time.sleep(chance.uniform(0.3, 0.8))
    with server.connect(_DATABASE) as db:
        acknowledged = assert_no_acknowledged_memory_is_lost(db, workers)
        assert_every_invariant_holds(db)
        _mended(db)
    print(f"{killed} sessions killed, {sessions.lost} connections lost, {acknowledged} memories acknowledged")
    assert sessions.lost >= killed


def _wait_for_the_end(db: Connection, deadline: float) -> None:
    while time.monotonic() < deadline:
        try:
            db.execute("SELECT 1")
        except psycopg.OperationalError:
            return
        time.sleep(0.005)
    raise AssertionError("the server did not notice that a session was killed")


def _kill_a_session(server: Server, chance: random.Random) -> int:
    """Send kill -9 to a working session; the postmaster then ends all others and recovers, as after a crash."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            with server.connect(_DATABASE) as db:
                pids = db.execute(
                    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'"
                    " AND backend_type = 'client backend' AND pid <> pg_backend_pid() ORDER BY pid"
                ).fetchall()
                if pids:
                    os.kill(chance.choice(pids)[0], signal.SIGKILL)
                    # Until the server has noticed, a second kill would be the same one.
                    _wait_for_the_end(db, deadline)
                    return 1
        except psycopg.OperationalError:
            time.sleep(0.02)
    raise AssertionError("no session was at work")
