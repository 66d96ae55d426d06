"""What recall reads follows every write: rolled back, concurrent, interrupted by a crash, or made anew meanwhile."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import psycopg
import pytest

from devtools.fixtures import Connection, MakeDatabase, NewServer
from devtools.servers import Server
from tests.python.arc_states import Warnings
from tests.python.derived_rows import (
    add,
    assert_derived_rows_are_right,
    assert_recall_is_complete,
    assert_wrong_rows_are_noted,
    clustered,
    literal,
    recall_gaps,
    wrong_derived_rows,
)

DIMENSIONS = 64
"""From as many on, similarity is looked for by signature first."""

USERS = ["ada", "bob", "o'hara \"%_\\"]
_WORDS = ["lamp", "park", "bank", "dark", "lump", "ramp", "dump", "tulip"]
_POOL = clustered(64, 1, DIMENSIONS)
_SOME = "id IN (SELECT id FROM gravity_map ORDER BY md5(id::text || %(step)s) LIMIT %(few)s)"
_VALUES = "%(user)s, %(text)s, %(vector)s::vector"

STATEMENTS = {
    "one": f"INSERT INTO gravity_map (user_id, content, embedding) VALUES ({_VALUES})",
    "several, of all users": (
        "INSERT INTO gravity_map (user_id, content, embedding) SELECT u, %(text)s || n, %(vector)s::vector"
        " FROM unnest(%(users)s::text[]) AS u, generate_series(1, %(few)s) AS n"
    ),
    "one or, if it is there, other words": (
        f"INSERT INTO gravity_map (id, user_id, content, embedding) SELECT id, {_VALUES} FROM gravity_map WHERE {_SOME}"
        " UNION ALL SELECT gen_random_uuid(), " + _VALUES + " ON CONFLICT (id) DO UPDATE SET content = EXCLUDED.content"
    ),
    "merge": (
        f"MERGE INTO gravity_map AS m USING (SELECT id FROM gravity_map WHERE {_SOME}"
        " UNION ALL SELECT gen_random_uuid()) AS s ON m.id = s.id"
        " WHEN MATCHED AND m.content IS NULL THEN DELETE"
        " WHEN MATCHED THEN UPDATE SET content = %(text)s"
        f" WHEN NOT MATCHED THEN INSERT (user_id, content, embedding) VALUES ({_VALUES})"
    ),
    "words": f"UPDATE gravity_map SET content = %(text)s WHERE {_SOME}",
    "no words": f"UPDATE gravity_map SET content = CASE WHEN %(few)s %% 2 = 0 THEN '' END WHERE {_SOME}",
    "vector": f"UPDATE gravity_map SET embedding = %(vector)s::vector WHERE {_SOME}",
    "no vector": f"UPDATE gravity_map SET embedding = NULL WHERE {_SOME}",
    "other user": f"UPDATE gravity_map SET user_id = %(user)s WHERE {_SOME}",
    "other id": f"UPDATE gravity_map SET id = gen_random_uuid() WHERE {_SOME}",
    "other time": f"UPDATE gravity_map SET created_at = created_at - interval '40 days' WHERE {_SOME}",
    "no time": f"UPDATE gravity_map SET created_at = '-infinity' WHERE {_SOME}",
    "nothing that counts": f"UPDATE gravity_map SET gravity_score = 0.4, content = content WHERE {_SOME}",
    "gone": f"DELETE FROM gravity_map WHERE {_SOME}",
    "gone and come in one statement": (
        f"WITH gone AS (DELETE FROM gravity_map WHERE {_SOME} RETURNING user_id, content, embedding)"
        " INSERT INTO gravity_map (user_id, content, embedding)"
        " SELECT user_id, content || ' again', embedding FROM gone"
    ),
    "come and changed in one statement": (
        f"WITH come AS (INSERT INTO gravity_map (user_id, content, embedding) VALUES ({_VALUES}))"
        f" UPDATE gravity_map SET content = %(text)s WHERE {_SOME}"
    ),
}


class Writer:
    """Writes memories at random, of all users and in every way that SQL has, each seed in its own order."""

    def __init__(self, db: Connection, seed: int, most: int = 6) -> None:
        self._db = db
        self._choose = random.Random(seed)
        self._seed = seed
        self._most = most
        self._step = 0

    def write(self) -> None:
        """One statement, on at most so many memories."""
        self._step += 1
        # As many come as go, about.
        kinds = [*STATEMENTS, "one", "several, of all users"]
        self._db.execute(
            STATEMENTS[self._choose.choice(kinds)],
            {
                "user": self._choose.choice(USERS),
                "users": USERS,
                "text": " ".join(self._choose.choices(_WORDS, k=self._choose.randint(1, 9))),
                "vector": literal(_POOL[self._choose.randrange(len(_POOL))]),
                "step": f"{self._seed} {self._step}",
                "few": self._choose.randint(1, self._most),
            },
        )

    def write_and_sometimes_roll_back(self) -> None:
        """A transaction of a few statements, some of them in a savepoint; some of all are rolled back."""
        with self._db.transaction(force_rollback=self._choose.random() < 0.3):
            for _ in range(self._choose.randint(1, 3)):
                if self._choose.random() < 0.3:
                    with self._db.transaction(force_rollback=self._choose.random() < 0.5):
                        self.write()
                self.write()


@pytest.fixture
def store(server: Server, make_database: MakeDatabase) -> Iterator[Connection]:
    """A connection to an empty database for embeddings of DIMENSIONS dimensions."""
    with server.connect(make_database(["vector"])) as db:
        install(db)
        yield db


def install(db: Connection) -> None:
    """Create the extension for embeddings of DIMENSIONS dimensions."""
    db.execute("SET client_min_messages = warning")
    db.execute(f"SET gravity_memory.embedding_dimensions = {DIMENSIONS}")
    db.execute("CREATE EXTENSION gravity_memory")


def load_without_triggers(db: Connection, users: list[str], count: int) -> None:
    """Memories as an adopted table has them: nothing is derived, and everyone is noted."""
    db.execute("SET session_replication_role = replica")
    for number, user in enumerate(users):
        add(db, user, clustered(count, number, DIMENSIONS))
    db.execute("UPDATE gravity_map SET content = 'the tulip ' || id WHERE hashtext(id::text) %% 3 = 0", ())
    db.execute("RESET session_replication_role")
    db.execute("SELECT _gravity_memory_note_recall_gaps(NULL)")


def assert_right_and_complete(db: Connection) -> None:
    """Derived rows are right, and recall finds everything."""
    assert_derived_rows_are_right(db)
    assert_recall_is_complete(db, _POOL[0], "tulip")


def test_they_are_in_step_after_random_writes_and_rollbacks(store: Connection) -> None:
    warnings = Warnings()
    warnings.watch(store)
    writer = Writer(store, 11)
    for step in range(200):
        writer.write_and_sometimes_roll_back()
        if step % 10 == 0:
            assert_derived_rows_are_right(store)
    assert_right_and_complete(store)
    rows = store.execute("SELECT count(*) FROM memory_postings").fetchone()
    assert rows is not None
    assert rows[0] > 500
    store.execute("TRUNCATE gravity_map CASCADE")
    assert_right_and_complete(store)
    writer.write_and_sometimes_roll_back()
    assert_right_and_complete(store)
    assert warnings.messages == []


def test_they_are_in_step_after_copy_and_large_statements(store: Connection) -> None:
    with store.cursor() as cursor, cursor.copy("COPY gravity_map (user_id, content, embedding) FROM STDIN") as stream:
        for number in range(500):
            stream.write_row((USERS[number % 2], f"tulip {number}", literal(_POOL[number % 64])))
    store.execute("UPDATE gravity_map SET content = content || ' lamp', embedding = NULL WHERE user_id = 'ada'")
    assert_right_and_complete(store)
    store.execute("DELETE FROM gravity_map WHERE user_id = 'bob' AND hashtext(content) % 2 = 0")
    assert_right_and_complete(store)


def test_they_are_in_step_after_many_clients_wrote_at_once(store: Connection, server: Server) -> None:
    warnings = Warnings()

    def client(number: int) -> None:
        with server.connect(store.info.dbname) as db:
            warnings.watch(db)
            # One memory at a time: who changes several in one order waits for who changes them in another.
            writer = Writer(db, number, most=1)
            for _ in range(80):
                writer.write()

    with ThreadPoolExecutor(6) as pool:
        for done in [pool.submit(client, number) for number in range(6)]:
            done.result(300)
    assert_right_and_complete(store)
    assert warnings.messages == []


@pytest.mark.parametrize(
    "body",
    [
        "UPDATE gravity_map SET content = content || ' tulip' WHERE id = NEW.id AND content NOT LIKE '%tulip'",
        "DELETE FROM gravity_map WHERE id = NEW.id AND content LIKE '%dark%'",
        "INSERT INTO gravity_map (user_id, content) SELECT 'ada', 'tulip' WHERE NEW.content LIKE '%park%'",
        "UPDATE gravity_map SET user_id = 'bob' WHERE id = NEW.id AND user_id <> 'bob'",
    ],
)
def test_triggers_of_the_application_that_write_memories_too_leave_recall_complete(
    store: Connection, body: str
) -> None:
    store.execute(
        f"CREATE FUNCTION theirs() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body}; RETURN NULL; END $$".encode()
    )
    store.execute("CREATE TRIGGER theirs AFTER INSERT OR UPDATE ON gravity_map FOR EACH ROW EXECUTE FUNCTION theirs()")
    writer = Writer(store, 5)
    for _ in range(40):
        writer.write_and_sometimes_roll_back()
        assert_wrong_rows_are_noted(store)
    assert_recall_is_complete(store, _POOL[0], "tulip")
    store.execute("CALL gravity_memory_rebuild_recall()")
    assert_right_and_complete(store)


@contextmanager
def background(*tasks: Callable[[threading.Event], None]) -> Iterator[threading.Event]:
    """Run tasks in threads until the block ends; they return when the event is set, and their exceptions are raised."""
    stop = threading.Event()
    with ThreadPoolExecutor(len(tasks)) as pool:
        running = [pool.submit(task, stop) for task in tasks]
        try:
            yield stop
        finally:
            stop.set()
        for one in running:
            one.result(120)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for what other threads do, and fail when it does not come: they may have."""
    deadline = time.monotonic() + 180
    while not condition():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.01)


def test_after_a_crash_they_are_what_the_committed_memories_say(new_server: NewServer) -> None:
    server = new_server(durable=True)
    server.create_database("killed", extensions=["vector"])
    with server.connect("killed") as db:
        install(db)
    written = [0] * 4

    def write(number: int) -> Callable[[threading.Event], None]:
        def task(stop: threading.Event) -> None:
            try:
                with server.connect("killed") as db:
                    writer = Writer(db, number, most=1)
                    while not stop.is_set():
                        writer.write()
                        written[number] += 1
            except psycopg.OperationalError:
                return

        return task

    def rebuild(stop: threading.Event) -> None:
        try:
            with server.connect("killed") as db:
                while not stop.is_set():
                    db.execute("CALL gravity_memory_rebuild_recall(5, p_everything => true)")
        except psycopg.OperationalError:
            return

    with background(*map(write, range(4)), rebuild) as stop:
        wait_until(lambda: sum(written) >= 600)
        server.kill()
        stop.set()
    server.start()
    with server.connect("killed") as db:
        # Whom the rebuild had noted and not yet struck off is still noted, and what was committed is complete.
        assert_wrong_rows_are_noted(db)
        assert_recall_is_complete(db, _POOL[0], "tulip")
        Writer(db, 9).write()
        db.execute("CALL gravity_memory_rebuild_recall()")
        assert_right_and_complete(db)


def test_recall_is_complete_while_they_are_made_for_a_table_that_is_written(store: Connection, server: Server) -> None:
    users = ["ada", "bob", "cleo"]
    load_without_triggers(store, users, 500)
    assert len(wrong_derived_rows(store)) > 1500
    assert_recall_is_complete(store, _POOL[0], "tulip")
    warnings = Warnings()
    seen: list[tuple[int, int]] = []
    writes = [0, 0]

    def write(number: int) -> Callable[[threading.Event], None]:
        def task(stop: threading.Event) -> None:
            with server.connect(store.info.dbname) as db:
                warnings.watch(db)
                writer = Writer(db, number, most=1)
                while not stop.is_set():
                    writer.write()
                    writes[number] += 1

        return task

    def check(stop: threading.Event) -> None:
        with server.connect(store.info.dbname) as db:
            while not stop.is_set():
                assert_recall_is_complete(db, _POOL[0], "tulip")
                row = db.execute(
                    "SELECT (SELECT count(*) FROM memory_digests), (SELECT count(*) FROM memory_recall_gaps)"
                ).fetchone()
                assert row is not None
                seen.append((row[0], row[1]))

    with background(write(0), write(1), check):
        wait_until(lambda: bool(seen) and min(writes) > 0)
        # Small batches, so that there is much to see in between.
        store.execute("CALL gravity_memory_rebuild_recall(p_batch_size => 7)")
        assert recall_gaps(store) == []
        before, checks = list(writes), len(seen)
        store.execute("CALL gravity_memory_rebuild_recall(p_batch_size => 100, p_everything => true)")
        wait_until(lambda: len(seen) > checks)
    # Batches appeared one after the other, each committed, while both writers went on.
    assert len({digests for digests, gaps in seen if gaps}) > 2, seen
    assert min(before) > 10, writes
    assert warnings.messages == []
    assert_right_and_complete(store)


def test_a_batch_that_is_being_made_keeps_writers_from_its_own_memories_only(store: Connection, server: Server) -> None:
    load_without_triggers(store, ["ada"], 60)
    with (
        server.connect(store.info.dbname, autocommit=False) as batch,
        server.connect(store.info.dbname) as writer,
    ):
        batch.execute("SELECT _gravity_memory_begin_rebuild(10, NULL, false)")
        batch.commit()
        row = batch.execute(
            "SELECT n.memory_ids FROM _gravity_memory_next_recall_gap(NULL, NULL) AS n"
            " CROSS JOIN LATERAL _gravity_memory_derive_batch(n.user_id, n.noted_at, n.memory_ids, 10, 0, '{}') AS b"
        ).fetchone()
        assert row is not None
        writer.execute("SET lock_timeout = '20s'")
        writer.execute("UPDATE gravity_map SET content = 'lamp' WHERE id = ANY (%s)", (row[0][10:],))
        writer.execute("INSERT INTO gravity_map (user_id, content) VALUES ('ada', 'lamp')")
        assert_recall_is_complete(writer, _POOL[0], "tulip")
        writer.execute("SET lock_timeout = '50ms'")
        for memory in row[0][:10]:
            with pytest.raises(psycopg.errors.LockNotAvailable):
                writer.execute("UPDATE gravity_map SET content = 'lamp' WHERE id = %s", (memory,))
        batch.commit()
        writer.execute("UPDATE gravity_map SET content = 'lamp' WHERE id = ANY (%s)", (row[0][:10],))
    store.execute("CALL gravity_memory_rebuild_recall()")
    assert_right_and_complete(store)


def test_a_rebuild_that_waits_for_a_writer_keeps_no_other_writer_waiting(store: Connection, server: Server) -> None:
    load_without_triggers(store, ["ada"], 100)
    memories = [row[0] for row in store.execute("SELECT id FROM gravity_map").fetchall()]
    with (
        server.connect(store.info.dbname, autocommit=False) as slow,
        server.connect(store.info.dbname) as writer,
        server.connect(store.info.dbname) as rebuilder,
        ThreadPoolExecutor(1) as pool,
    ):
        slow.execute("UPDATE gravity_map SET content = 'dark' WHERE id = %s", (memories[50],))
        running = pool.submit(rebuilder.execute, "CALL gravity_memory_rebuild_recall(p_batch_size => 10)")
        waiting = "SELECT wait_event_type FROM pg_stat_activity WHERE pid = %s"
        pid = rebuilder.info.backend_pid
        wait_until(lambda: store.execute(waiting, (pid,)).fetchone() == ("Lock",))
        # Everybody else's statements go through while it waits, on each memory; so does recall.
        writer.execute("SET lock_timeout = '20s'")
        writer.execute("UPDATE gravity_map SET content = 'lamp' WHERE id <> %s", (memories[50],))
        writer.execute("INSERT INTO gravity_map (user_id, content) VALUES ('ada', 'tulip')")
        assert_recall_is_complete(writer, _POOL[0], "tulip")
        assert not running.done()
        slow.commit()
        running.result(180)
    assert_right_and_complete(store)


def test_two_rebuilds_of_a_user_at_a_time_leave_each_others_memories_alone(store: Connection, server: Server) -> None:
    load_without_triggers(store, ["ada"], 40)
    memories = [row[0] for row in store.execute("SELECT id FROM gravity_map").fetchall()]
    derive = "SELECT _gravity_memory_derive_memories('ada', %s, false)"
    with server.connect(store.info.dbname, autocommit=False) as first:
        assert first.execute(derive, (memories[:30],)).fetchone() == ([],)
        row = store.execute(derive, (memories[20:],)).fetchone()
        assert row is not None
        assert set(row[0]) == set(memories[20:30]), "it comes back to those that the first one is at"
    with (
        ThreadPoolExecutor(2) as pool,
        server.connect(store.info.dbname) as one,
        server.connect(store.info.dbname) as two,
    ):
        rebuild = "CALL gravity_memory_rebuild_recall(3, p_user_id => 'ada')"
        for running in [pool.submit(db.execute, rebuild.encode()) for db in (one, two)]:
            running.result(180)
    assert_right_and_complete(store)


def test_an_interrupted_rebuild_goes_on_where_it_was(store: Connection, server: Server) -> None:
    users = [f"u{number}" for number in range(5)]
    load_without_triggers(store, users, 100)
    with server.connect(store.info.dbname, autocommit=False) as holder:
        # A lock on a memory of the last user stops it there.
        holder.execute("SELECT FROM gravity_map WHERE user_id = 'u4' LIMIT 1 FOR UPDATE")
        store.execute("SET lock_timeout = '200ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            store.execute("CALL gravity_memory_rebuild_recall(p_batch_size => 30)")
        store.execute("RESET lock_timeout")
        assert recall_gaps(store) == ["u4"]
        assert {user for _, user, _ in wrong_derived_rows(store)} <= {"u4"}
        assert_recall_is_complete(store, _POOL[0], "tulip")
    done = "SELECT user_id, ctid::text, xmin::text FROM memory_digests WHERE user_id <> 'u4' ORDER BY 1, 2"
    before = store.execute(done).fetchall()
    assert len(before) == 400
    store.execute("CALL gravity_memory_rebuild_recall()")
    assert store.execute(done).fetchall() == before, "who was done is not done again"
    assert_right_and_complete(store)


def test_a_user_noted_again_while_it_is_done_stays_noted(store: Connection) -> None:
    load_without_triggers(store, ["ada"], 20)
    store.execute("SELECT _gravity_memory_begin_rebuild(10, NULL, false)")
    gap = store.execute("SELECT * FROM _gravity_memory_next_recall_gap(NULL, NULL)").fetchone()
    assert gap is not None
    # As the trigger does when it could not follow a write.
    store.execute("SELECT _gravity_memory_note_recall_gaps('{ada}')")
    done = store.execute("SELECT is_finished FROM _gravity_memory_derive_batch(%s, %s, %s, 100, 0, '{}')", gap)
    assert done.fetchone() == (True,)
    assert recall_gaps(store) == ["ada"]
    store.execute("CALL gravity_memory_rebuild_recall()")
    assert_right_and_complete(store)


def test_a_rebuild_of_one_user_leaves_the_others_noted(store: Connection) -> None:
    load_without_triggers(store, ["ada", "bob"], 50)
    store.execute("CALL gravity_memory_rebuild_recall(p_user_id => 'bob')")
    assert recall_gaps(store) == ["ada"]
    assert {user for _, user, _ in wrong_derived_rows(store)} == {"ada"}
    assert_recall_is_complete(store, _POOL[0], "tulip")


def test_a_rebuild_puts_right_what_was_changed_by_hand(store: Connection) -> None:
    writer = Writer(store, 3)
    for _ in range(40):
        writer.write()
    store.execute("DELETE FROM memory_postings WHERE length % 2 = 0")
    store.execute("DELETE FROM memory_digests WHERE length % 3 = 0")
    store.execute("UPDATE memory_digests SET length = 7, signature = ~ signature")
    store.execute(
        "INSERT INTO memory_digests (user_id, memory_id, length, term_keys)"
        " VALUES ('gone', gen_random_uuid(), 1, '{5}'), ('ada', gen_random_uuid(), 1, '{}')"
    )
    assert wrong_derived_rows(store) != []
    store.execute("CALL gravity_memory_rebuild_recall(p_everything => true)")
    assert_right_and_complete(store)


def test_a_write_that_cannot_be_followed_is_stored_and_noted(store: Connection) -> None:
    store.execute("CREATE TEXT SEARCH CONFIGURATION public.gone (COPY = english)")
    store.execute("SELECT gravity_memory_set('text_search_config', 'public.gone')")
    store.execute("DROP TEXT SEARCH CONFIGURATION public.gone")
    notices: list[str] = []
    store.add_notice_handler(lambda notice: notices.append(notice.message_primary or ""))
    store.execute("INSERT INTO gravity_map (user_id, content) VALUES ('ada', 'the tulip'), ('bob', 'the tulip')")
    assert [notice for notice in notices if "what recall reads was not updated" in notice] == notices
    assert len(notices) == 1
    assert recall_gaps(store) == ["ada", "bob"]
    store.execute("SELECT gravity_memory_reset('text_search_config')")
    assert_recall_is_complete(store, _POOL[0], "tulip")
    store.execute("CALL gravity_memory_rebuild_recall()")
    assert_right_and_complete(store)
