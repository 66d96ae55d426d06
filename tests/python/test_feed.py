"""The feed of changes, with several sessions and a killed server: every event once, none lost, nobody held up."""

from __future__ import annotations

import itertools
import threading
import uuid

import psycopg
import pytest

from devtools.fixtures import Connection, MakeDatabase, NewServer
from devtools.servers import Server
from tests.python.feed_reader import Reader, reader_from_now

ADD = "INSERT INTO gravity_map (user_id, content) VALUES (%s, %s)"


@pytest.fixture
def fed(db: Connection) -> Connection:
    """A database that records events."""
    db.execute("SELECT gravity_memory_set('notify', 'wakeup')")
    return db


def test_a_transaction_that_commits_late_is_neither_lost_nor_does_it_hold_up_the_others(
    server: Server, fed: Connection
) -> None:
    reader = reader_from_now(fed, "ada")
    with server.connect(fed.info.dbname) as late:
        with late.transaction():
            late.execute(ADD, ("ada", "written first, committed last"))
            for content in ("one", "two"):
                fed.execute(ADD, ("ada", content))
            assert reader.look(fed) == ["one", "two"]
            assert reader.is_open
            fed.execute(ADD, ("ada", "three"))
            assert reader.look(fed) == ["three"]
            assert reader.look(fed) == []
        assert reader.look(fed) == ["written first, committed last"]
    assert reader.look(fed) == []


def test_an_open_transaction_of_another_database_holds_up_nobody(
    server: Server, fed: Connection, make_database: MakeDatabase
) -> None:
    with server.connect(make_database([])) as elsewhere, elsewhere.transaction():
        elsewhere.execute("SELECT pg_current_xact_id()")
        reader = reader_from_now(fed, "ada")
        fed.execute(ADD, ("ada", "at once"))
        assert reader.look(fed) == ["at once"]


def test_what_is_rolled_back_never_comes(server: Server, fed: Connection) -> None:
    reader = reader_from_now(fed, "ada")
    with server.connect(fed.info.dbname) as other:
        with other.transaction(force_rollback=True):
            other.execute(ADD, ("ada", "taken back"))
            assert reader.look(fed) == []
        with other.transaction():
            other.execute(ADD, ("ada", "kept"))
            with other.transaction(force_rollback=True):
                other.execute(ADD, ("ada", "taken back to the savepoint"))
    assert reader.look(fed) == ["kept"]


def test_a_reader_that_writes_in_its_own_transaction_gets_its_events_after_the_commit(
    server: Server, fed: Connection
) -> None:
    with server.connect(fed.info.dbname) as other:
        for commits in (True, False):
            with fed.transaction(force_rollback=not commits):
                fed.execute(ADD, ("ada", f"own, {commits}"))
                reader = reader_from_now(fed, "ada")
                other.execute(ADD, ("ada", "other's"))
                assert reader.look(fed) == ["other's"]
            assert reader.look(fed) == (["own, True"] if commits else [])


def test_the_events_of_one_memory_come_in_the_order_of_the_commits_even_if_the_later_writer_began_first(
    server: Server, fed: Connection
) -> None:
    fed.execute(ADD, ("ada", "0"))
    reader = reader_from_now(fed, "ada")
    with server.connect(fed.info.dbname) as early, server.connect(fed.info.dbname) as open_one:
        open_one.execute("BEGIN")
        with early.transaction():
            early.execute("SELECT pg_current_xact_id()")
            open_one.execute("SELECT pg_current_xact_id()")
            fed.execute("UPDATE gravity_map SET content = '1' WHERE user_id = 'ada'")
            early.execute("UPDATE gravity_map SET content = '2' WHERE user_id = 'ada'")
        assert reader.look(fed) == ["1", "2"]
        open_one.execute("ROLLBACK")


def test_sixteen_writers_and_readers_of_any_page_size_agree_on_every_event(server: Server, fed: Connection) -> None:
    head = reader_from_now(fed, "ada").cursor
    readers = [Reader("ada", head, limit) for limit in (1, 7, 1000)]
    rounds, writers = 30, 16
    done = threading.Event()
    failures: list[BaseException] = []

    def write(number: int) -> None:
        try:
            with server.connect(fed.info.dbname) as connection:
                for turn in range(rounds):
                    with connection.transaction(force_rollback=turn % 7 == 3):
                        connection.execute(ADD, ("ada", f"{number} {turn} a"))
                        connection.execute(ADD, (f"user {number}", "somebody else's"))
                        connection.execute(ADD, ("ada", f"{number} {turn} b"))
        except BaseException as error:
            failures.append(error)

    def read(reader: Reader) -> None:
        try:
            with server.connect(fed.info.dbname) as connection:
                while not done.is_set():
                    reader.look(connection)
                reader.look(connection)
        except BaseException as error:
            failures.append(error)

    reading = [threading.Thread(target=read, args=(reader,)) for reader in readers]
    writing = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
    for thread in (*reading, *writing):
        thread.start()
    for thread in writing:
        thread.join()
    done.set()
    for thread in reading:
        thread.join()
    assert not failures
    wanted = sorted(
        f"{number} {turn} {which}"
        for number in range(writers)
        for turn in range(rounds)
        for which in "ab"
        if turn % 7 != 3
    )
    for reader in readers:
        assert sorted(reader.seen) == wanted
        for number in range(writers):
            own = [content for content in reader.seen if content.split()[0] == str(number)]
            assert own == sorted(own, key=lambda content: (int(content.split()[1]), content[-1]))


def test_many_users_get_from_one_look_what_each_would_get_alone(server: Server, fed: Connection) -> None:
    users = [f"user {number}" for number in range(200)]
    head = reader_from_now(fed, "").cursor
    with server.connect(fed.info.dbname) as late, late.transaction():
        late.execute(ADD, (users[5], "late"))
        middle = reader_from_now(fed, "").cursor
        for number, user in enumerate(users):
            fed.execute(ADD, (user, str(number)))
    for cursor in (head, middle):
        together = fed.execute(
            "SELECT user_id, payload ->> 'content' FROM gravity_memory_changes(%s, %s) WHERE event IS NOT NULL",
            (users, cursor),
        ).fetchall()
        alone = [(user, content) for user in users for content in Reader(user, cursor).look(fed)]
        assert sorted(together) == sorted(alone)
        assert len(together) == 201


def test_every_event_comes_exactly_once_when_the_server_is_killed_and_numbers_of_transactions_are_given_anew(
    new_server: NewServer,
) -> None:
    # What commits or rolls back without waiting for the disk leaves no trace there when the server is killed at once.
    server = new_server({"synchronous_commit": "off", "wal_writer_delay": "10s", "autovacuum": "off"}, durable=True)
    server.create_database("fed", extensions=["vector", "gravity_memory"])
    with server.connect("fed") as connection:
        connection.execute("SELECT gravity_memory_set('notify', 'wakeup')")
        reader = reader_from_now(connection, "ada")
        connection.execute("SET synchronous_commit = on")
        connection.execute(ADD, ("ada", "before"))
        connection.execute("SET synchronous_commit = off")
        assert reader.look(connection) == ["before"]
        for _ in range(50):
            connection.execute("BEGIN")
            connection.execute("SELECT pg_current_xact_id()")
            connection.execute("ROLLBACK")
        assert reader.look(connection) == []
        row = connection.execute("SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint").fetchone()
        assert row is not None
        reached = row[0]
        server.kill()
    server.start()
    with server.connect("fed") as connection:
        connection.execute(ADD, ("ada", "after"))
        row = connection.execute("SELECT max(xid::text::bigint) FROM memory_events").fetchone()
        assert row is not None
        assert row[0] < reached, "the number was not given twice, so this test would prove nothing"
        assert reader.look(connection) == ["after"]
        assert reader.look(connection) == []
        connection.execute(ADD, ("ada", "and on"))
        assert reader.look(connection) == ["and on"]
    assert reader.seen == ["before", "after", "and on"]


def test_a_server_that_is_killed_between_two_pages_repeats_nothing_and_skips_nothing(new_server: NewServer) -> None:
    server = new_server({"synchronous_commit": "off", "wal_writer_delay": "10s", "autovacuum": "off"}, durable=True)
    server.create_database("fed", extensions=["vector", "gravity_memory"])
    with server.connect("fed") as connection:
        connection.execute("SELECT gravity_memory_set('notify', 'wakeup')")
        start = reader_from_now(connection, "ada").cursor
        connection.execute("SET synchronous_commit = on")
        for content in "abc":
            connection.execute(ADD, ("ada", content))
        connection.execute("SET synchronous_commit = off")
        for _ in range(50):
            connection.execute("BEGIN")
            connection.execute("SELECT pg_current_xact_id()")
            connection.execute("ROLLBACK")
        first = connection.execute(
            "SELECT payload ->> 'content', next_cursor FROM memory_changes_since('ada', %s, 2)", (start,)
        ).fetchall()
        assert [content for content, _ in first] == ["a", "b", None]
        server.kill()
    server.start()
    with server.connect("fed") as connection:
        reader = Reader("ada", first[-1][1], limit=1)
        connection.execute(ADD, ("ada", "d"))
        assert reader.look(connection) == ["c", "d"]
        for content in "ef":
            connection.execute(ADD, ("ada", content))
        assert reader.look(connection) == ["e", "f"]


def test_a_killed_server_loses_no_event_of_a_committed_memory(new_server: NewServer) -> None:
    server = new_server(durable=True)
    server.create_database("fed", extensions=["vector", "gravity_memory"])
    with server.connect("fed") as connection:
        connection.execute("SELECT gravity_memory_set('notify', 'wakeup')")
        reader = reader_from_now(connection, "ada", limit=3)
    for _ in range(3):
        writing = threading.Thread(target=_write_until_it_breaks, args=(server,))
        writing.start()
        with server.connect("fed") as connection:
            while len(reader.look(connection)) < 5:
                pass
            server.kill()
        writing.join()
        server.start()
    with server.connect("fed") as connection:
        reader.look(connection)
        stored = connection.execute("SELECT content FROM gravity_map WHERE user_id = 'ada'").fetchall()
    assert sorted(reader.seen) == sorted(content for (content,) in stored)


def _write_until_it_breaks(server: Server) -> None:
    try:
        with server.connect("fed") as connection:
            for number in itertools.count():
                connection.execute(ADD, ("ada", f"{number} {uuid.uuid4()}"))
    except psycopg.OperationalError:
        pass


def test_listeners_are_woken_by_one_of_many_writers_and_find_the_events_of_all(server: Server, fed: Connection) -> None:
    reader = reader_from_now(fed, "ada")
    with server.connect(fed.info.dbname) as listener:
        listener.execute("LISTEN memory_changes")

        def write(number: int) -> None:
            with server.connect(fed.info.dbname) as connection:
                for turn in range(20):
                    connection.execute(ADD, ("ada", f"{number} {turn}"))

        writers = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in writers:
            thread.start()
        woken = 0
        while len(reader.seen) < 160:
            woken += len(list(listener.notifies(timeout=1, stop_after=1)))
            while reader.look(listener) or reader.is_open:
                pass
        for thread in writers:
            thread.join()
    assert woken > 0
    assert len(set(reader.seen)) == 160


def test_a_long_transaction_keeps_nobody_from_waking_listeners(server: Server, fed: Connection) -> None:
    with server.connect(fed.info.dbname) as listener, server.connect(fed.info.dbname) as long:
        listener.execute("LISTEN memory_changes")
        with long.transaction():
            long.execute(ADD, ("ada", "long"))
            fed.execute(ADD, ("ada", "short"))
            assert len(list(listener.notifies(timeout=10, stop_after=1))) == 1
        assert len(list(listener.notifies(timeout=10, stop_after=1))) == 1


def test_a_wakeup_that_is_rolled_back_wakes_nobody_and_the_next_look_finds_what_it_should_have_announced(
    server: Server, fed: Connection
) -> None:
    reader = reader_from_now(fed, "ada")
    with server.connect(fed.info.dbname) as listener, server.connect(fed.info.dbname) as holder:
        listener.execute("LISTEN memory_changes")
        with holder.transaction(force_rollback=True):
            holder.execute(ADD, ("ada", "taken back"))
            # What happens at a commit, without the commit: now it carries the wake-up, and others leave it to it.
            holder.execute("SET CONSTRAINTS ALL IMMEDIATE")
            fed.execute(ADD, ("ada", "kept"))
        assert list(listener.notifies(timeout=0.3)) == []
    assert reader.look(fed) == ["kept"]


def test_a_prepared_transaction_is_open_until_it_is_committed(new_server: NewServer) -> None:
    server = new_server({"max_prepared_transactions": "5"})
    server.create_database("fed", extensions=["vector", "gravity_memory"])
    with server.connect("fed") as connection, server.connect("fed") as other:
        # A transaction that notifies cannot be prepared, so such applications read the feed without being woken.
        connection.execute("SELECT gravity_memory_set('notify', 'off'), gravity_memory_set('feed', 'on')")
        reader = reader_from_now(connection, "ada")
        other.execute("BEGIN")
        other.execute(ADD, ("ada", "prepared"))
        other.execute("PREPARE TRANSACTION 'a memory'")
        assert reader.look(connection) == []
        assert reader.is_open
        other.execute("COMMIT PREPARED 'a memory'")
        assert reader.look(connection) == ["prepared"]


def test_readers_are_told_to_start_anew_after_a_truncate_and_can(server: Server, fed: Connection) -> None:
    reader = reader_from_now(fed, "ada")
    fed.execute(ADD, ("ada", "gone"))
    fed.execute("TRUNCATE gravity_map CASCADE")
    with pytest.raises(psycopg.Error, match="has a break after this cursor: gravity_map was truncated") as caught:
        reader.look(fed)
    assert caught.value.sqlstate == "72000"
    assert "memory_changes_head()" in (caught.value.diag.message_hint or "")
    reader = reader_from_now(fed, "ada")
    fed.execute(ADD, ("ada", "new"))
    assert reader.look(fed) == ["new"]


def test_a_feed_that_was_off_for_a_while_has_its_readers_start_anew(fed: Connection) -> None:
    reader = reader_from_now(fed, "ada")
    fed.execute("SELECT gravity_memory_set('notify', 'off')")
    with pytest.raises(psycopg.Error, match="no events are recorded"):
        reader.look(fed)
    fed.execute(ADD, ("ada", "missed"))
    fed.execute("SELECT gravity_memory_set('notify', 'wakeup')")
    with pytest.raises(psycopg.Error, match="has a break after this cursor"):
        reader.look(fed)
    assert reader_from_now(fed, "ada").look(fed) == []


def test_changing_other_settings_breaks_no_feed(fed: Connection) -> None:
    reader = reader_from_now(fed, "ada")
    fed.execute("SELECT gravity_memory_set('feed', 'on'), gravity_memory_set('notify', 'payload')")
    fed.execute("SELECT gravity_memory_set('arc_window', '2 hours'), gravity_memory_reset('arc_window')")
    fed.execute("SELECT * FROM gravity_memory_setup()")
    fed.execute(ADD, ("ada", "on"))
    assert reader.look(fed) == ["on"]


def test_events_restored_from_a_dump_are_no_news_and_old_cursors_are_refused(
    server: Server, fed: Connection, make_database: MakeDatabase
) -> None:
    old = reader_from_now(fed, "ada")
    fed.execute(ADD, ("ada", "dumped"))
    dump = server.client("pg_dump", "--dbname", fed.info.dbname).stdout
    restored = make_database([])
    server.client("psql", "--quiet", "--set=ON_ERROR_STOP=1", "--dbname", restored, input=dump)
    with server.connect(restored) as connection:
        connection.execute("SELECT * FROM gravity_memory_setup()")
        assert connection.execute("SELECT count(*) FROM memory_events WHERE user_id = 'ada'").fetchone() == (1,)
        reader = reader_from_now(connection, "ada")
        connection.execute(ADD, ("ada", "new"))
        assert reader.look(connection) == ["new"]
        assert old.look(fed) == ["dumped"]
