"""What a listening connection receives, when, and what it never costs: a memory."""

from __future__ import annotations

import json
import statistics
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import psycopg
import pytest
from psycopg import sql

from devtools.fixtures import Connection
from devtools.servers import Server

CHANNELS = ("memory_created", "memory_updated", "arc_created")
LONGEST_PAYLOAD = 7_999
"""PostgreSQL refuses payloads of 8,000 bytes and more."""

SPEC_DELAY_MS = 100.0
"""The specification: a subscriber "should log within 100ms"."""


class Listener:
    """A connection that listens on all of our channels."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        for channel in CHANNELS:
            connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))

    def heard(self, count: int) -> list[tuple[str, dict[str, Any]]]:
        """Wait for `count` notifications, then make sure that nothing follows; channel and payload of each."""
        return [(channel, json.loads(payload)) for channel, payload in self.heard_raw(count)]

    def heard_raw(self, count: int) -> list[tuple[str, str]]:
        """The same, with the payloads as they came."""
        heard: list[tuple[str, str]] = []
        if count:
            while len(heard) < count:
                arrived = list(self.connection.notifies(timeout=60, stop_after=count - len(heard)))
                assert arrived, f"only {len(heard)} of {count} notifications arrived"
                heard += [(n.channel, n.payload) for n in arrived]
        heard += [(n.channel, n.payload) for n in self.connection.notifies(timeout=0.1)]
        assert len(heard) == count
        return heard


@pytest.fixture
def listener(server: Server, db: Connection) -> Iterator[Listener]:
    """A second connection to the database of `db`, listening."""
    with server.connect(db.info.dbname) as connection:
        yield Listener(connection)


def complaints(connection: Connection) -> list[str]:
    """Collect the WARNINGs that a connection gets from now on."""
    found: list[str] = []

    def handle(diagnostic: psycopg.errors.Diagnostic) -> None:
        if diagnostic.severity_nonlocalized == "WARNING":
            found.append(diagnostic.message_primary or "")

    connection.add_notice_handler(handle)
    return found


def test_memory_created_carries_the_specifications_json(db: Connection, listener: Listener) -> None:
    row = db.execute(
        "INSERT INTO gravity_map (user_id, thread_id, session_id, gravity_score, emotion_type, content)"
        " VALUES ('a \"user\"', 'thread', 'session', 0.75, 'joy', 'text') RETURNING id, created_at"
    ).fetchone()
    assert row is not None
    ((channel, message),) = listener.heard(1)
    assert channel == "memory_created"
    assert datetime.fromisoformat(message.pop("created_at")) == row[1]
    assert message == {
        "id": str(row[0]),
        "user_id": 'a "user"',
        "thread_id": "thread",
        "session_id": "session",
        "gravity_score": 0.75,
        "emotion_type": "joy",
    }


def test_what_a_memory_lacks_is_null(db: Connection, listener: Listener) -> None:
    db.execute("INSERT INTO gravity_map (user_id, gravity_score) VALUES ('user', NULL)")
    ((_, message),) = listener.heard(1)
    assert list(message) == [
        "id",
        "user_id",
        "thread_id",
        "session_id",
        "gravity_score",
        "emotion_type",
        "created_at",
    ]
    assert [key for key, value in message.items() if value is None] == [
        "thread_id",
        "session_id",
        "gravity_score",
        "emotion_type",
    ]


def test_memory_updated_carries_the_same_keys_with_the_new_values(db: Connection, listener: Listener) -> None:
    db.execute("INSERT INTO gravity_map (user_id, gravity_score) VALUES ('user', 0.5)")
    ((_, created),) = listener.heard(1)
    db.execute("UPDATE gravity_map SET gravity_score = 0.6, emotion_type = 'hope'")
    ((channel, updated),) = listener.heard(1)
    assert channel == "memory_updated"
    assert updated == created | {"gravity_score": 0.6, "emotion_type": "hope"}


def test_arc_created_announces_the_arc_that_a_cluster_made(db: Connection, listener: Listener) -> None:
    for gravity in (0.8, 0.9, 1.0):
        db.execute(
            "INSERT INTO gravity_map (user_id, gravity_score, emotion_type) VALUES ('user', %s, 'joy')", (gravity,)
        )
    arcs = [message for channel, message in listener.heard(4) if channel == "arc_created"]
    row = db.execute("SELECT id, created_at FROM memory_arcs").fetchone()
    assert row is not None
    (arc,) = arcs
    assert datetime.fromisoformat(arc.pop("created_at")) == row[1]
    assert arc.pop("gravity_center") == pytest.approx(0.9)
    assert arc == {
        "id": str(row[0]),
        "user_id": "user",
        "arc_name": "joy arc (auto-created)",
        "evolution_stage": "forming",
    }


def test_an_arc_made_by_hand_is_announced_too(db: Connection, listener: Listener) -> None:
    db.execute("INSERT INTO memory_arcs (user_id, arc_name) VALUES ('user', 'by hand')")
    ((channel, message),) = listener.heard(1)
    assert (channel, message["arc_name"], message["gravity_center"]) == ("arc_created", "by hand", None)


def test_a_rolled_back_memory_is_not_announced(server: Server, db: Connection, listener: Listener) -> None:
    with server.connect(db.info.dbname, autocommit=False) as writer:
        writer.execute("INSERT INTO gravity_map (user_id) VALUES ('rolled back')")
        writer.rollback()
        writer.execute("INSERT INTO gravity_map (user_id) VALUES ('committed')")
        assert listener.heard(0) == []
        writer.commit()
    ((_, message),) = listener.heard(1)
    assert message["user_id"] == "committed"


def test_copy_announces_each_memory(db: Connection, listener: Listener) -> None:
    with db.cursor().copy("COPY gravity_map (user_id, content) FROM STDIN") as copy:
        for number in range(5):
            copy.write_row((f"user {number}", "copied"))
    assert [message["user_id"] for _, message in listener.heard(5)] == [f"user {number}" for number in range(5)]


def test_a_thousand_memories_of_one_statement_are_announced_one_by_one(db: Connection, listener: Listener) -> None:
    ids = db.execute(
        "INSERT INTO gravity_map (user_id) SELECT 'user ' || i % 3 FROM generate_series(1, 1000) AS i"
        " RETURNING id::text"
    ).fetchall()
    heard = listener.heard(1000)
    assert {channel for channel, _ in heard} == {"memory_created"}
    assert sorted((message["id"],) for _, message in heard) == sorted(ids)


def test_more_than_a_thousand_are_announced_once_per_user_with_their_number(db: Connection, listener: Listener) -> None:
    db.execute("INSERT INTO gravity_map (user_id) SELECT 'user ' || i % 3 FROM generate_series(1, 1001) AS i")
    heard = sorted(listener.heard(3), key=lambda item: str(item[1]["user_id"]))
    assert heard == [
        ("memory_created", {"user_id": "user 0", "count": 333}),
        ("memory_created", {"user_id": "user 1", "count": 334}),
        ("memory_created", {"user_id": "user 2", "count": 334}),
    ]
    db.execute("UPDATE gravity_map SET topic = 'all'")
    assert {channel for channel, _ in listener.heard(3)} == {"memory_updated"}


def test_the_number_of_rows_from_which_messages_are_bundled_is_a_setting(db: Connection, listener: Listener) -> None:
    db.execute("SELECT gravity_memory_set('notify_bulk_rows', '2')")
    db.execute("INSERT INTO gravity_map (user_id) SELECT 'user' FROM generate_series(1, 2)")
    assert len(listener.heard(2)) == 2
    db.execute("INSERT INTO gravity_map (user_id) SELECT 'user' FROM generate_series(1, 3)")
    assert listener.heard(1) == [("memory_created", {"user_id": "user", "count": 3})]


@pytest.mark.parametrize("letter", ["x", "\u00e9", "\U0001f9e0", '"', "\\", "\n"])
def test_a_payload_is_whole_up_to_the_limit_and_shortened_beyond_it(
    db: Connection, listener: Listener, letter: str
) -> None:
    # A fixed time: printed times lose trailing zeros, and with them bytes.
    insert = (
        "INSERT INTO gravity_map (user_id, thread_id, session_id, created_at)"
        " VALUES ('the user', %s, %s, '2026-01-02 03:04:05.123456+00') RETURNING id::text"
    )
    db.execute(insert, ("", "s"))
    ((_, empty),) = listener.heard_raw(1)
    size = len(json.dumps(letter, ensure_ascii=False).encode()) - 2
    room = LONGEST_PAYLOAD - len(empty.encode())
    thread = letter * (room // size) + "x" * (room % size)

    db.execute(insert, (thread, "s"))
    ((_, whole),) = listener.heard_raw(1)
    assert len(whole.encode()) == LONGEST_PAYLOAD
    assert json.loads(whole)["thread_id"] == thread
    assert "truncated" not in json.loads(whole)

    found = complaints(db)
    row = db.execute(insert, (thread + "x", "s")).fetchone()
    ((_, shortened),) = listener.heard(1)
    assert row == (shortened["id"],)
    assert shortened["user_id"] == "the user"
    assert shortened["truncated"] is True
    # Half an identifier would be a wrong one.
    assert shortened["thread_id"] is None
    assert shortened["session_id"] == "s"
    assert found == []


def test_id_and_user_survive_when_everything_is_too_long(db: Connection, listener: Listener) -> None:
    user, long = "u" * 5_000, "x" * 7_900
    row = db.execute(
        "INSERT INTO gravity_map (user_id, thread_id, session_id, emotion_type, gravity_score)"
        " VALUES (%s, %s, %s, %s, 0.5) RETURNING id::text",
        (user, long, long, long),
    ).fetchone()
    ((_, message),) = listener.heard(1)
    assert row == (message["id"],)
    assert message["user_id"] == user
    assert message["truncated"] is True
    assert message["gravity_score"] == 0.5


def test_a_user_that_fits_no_payload_still_keeps_the_memory(db: Connection, listener: Listener) -> None:
    found = complaints(db)
    row = db.execute("INSERT INTO gravity_map (user_id) VALUES (repeat('u', 9000)) RETURNING id::text").fetchone()
    ((_, message),) = listener.heard(1)
    assert row == (message["id"],)
    assert message["truncated"] is True
    assert db.execute("SELECT count(*) FROM gravity_map").fetchone() == (1,)
    assert found == []


def test_nothing_is_announced_while_notify_is_off(db: Connection, listener: Listener) -> None:
    db.execute("SELECT gravity_memory_set('notify', 'off')")
    for _ in range(3):
        db.execute("INSERT INTO gravity_map (user_id, gravity_score, emotion_type) VALUES ('user', 0.9, 'joy')")
    db.execute("UPDATE gravity_map SET topic = 'x'")
    assert db.execute("SELECT count(*) FROM memory_arcs").fetchone() == (1,)
    assert listener.heard(0) == []
    db.execute("SELECT gravity_memory_reset('notify')")
    db.execute("INSERT INTO gravity_map (user_id) VALUES ('user')")
    assert [channel for channel, _ in listener.heard(1)] == ["memory_created"]


def test_a_queue_that_a_stuck_listener_fills_costs_the_announcement_and_not_the_memory(
    server: Server, db: Connection
) -> None:
    with server.connect(db.info.dbname, autocommit=False) as stuck, server.connect(db.info.dbname) as reader:
        stuck.execute("LISTEN memory_created")
        stuck.commit()
        stuck.execute("SELECT 1")  # now in a transaction, so the queue cannot be emptied
        for _ in range(8):
            db.execute("SELECT pg_notify('somebody', repeat('x', 7900))")
        usage = db.execute("SELECT pg_notification_queue_usage()").fetchone()
        assert usage is not None
        assert usage[0] > 0
        db.execute("SELECT gravity_memory_set('notify_queue_limit', '0')")
        listener = Listener(reader)
        found = complaints(db)
        db.execute("INSERT INTO gravity_map (user_id) VALUES ('user')")
        assert len(found) == 1
        assert "memory_created is not announced" in found[0]
        assert listener.heard(0) == []
        assert db.execute("SELECT count(*) FROM gravity_map").fetchone() == (1,)
        stuck.rollback()
    # The queue moves on as soon as the listener does.
    deadline = time.monotonic() + 120
    while db.execute("SELECT pg_notification_queue_usage()").fetchone() != (0,):
        assert time.monotonic() < deadline
        # The tail of the queue advances when somebody sends or a listener reads.
        db.execute("SELECT pg_notify('somebody', '')")
        time.sleep(0.05)
    with server.connect(db.info.dbname) as reader:
        listener = Listener(reader)
        db.execute("INSERT INTO gravity_map (user_id) VALUES ('user')")
        assert len(listener.heard(1)) == 1


def test_a_memory_arrives_within_100_ms_of_its_commit(db: Connection, listener: Listener) -> None:
    arrivals: dict[str, float] = {}
    rounds = 21

    def receive() -> None:
        for notification in listener.connection.notifies(timeout=120, stop_after=rounds):
            arrivals[json.loads(notification.payload)["id"]] = time.monotonic()

    thread = threading.Thread(target=receive)
    thread.start()
    commits = {}
    for _ in range(rounds):
        row = db.execute("INSERT INTO gravity_map (user_id) VALUES ('user') RETURNING id::text").fetchone()
        assert row is not None
        commits[row[0]] = time.monotonic()
        time.sleep(0.01)
    thread.join()
    assert set(arrivals) == set(commits)
    # A delay below zero means that the listener had it before the writer's own answer came.
    delays = [1000 * (arrivals[key] - commits[key]) for key in commits]
    print(f"delay: median {statistics.median(delays):.3f} ms, longest {max(delays):.3f} ms")
    assert statistics.median(delays) < SPEC_DELAY_MS
