"""A subscriber or standby holds what its source holds and adds nothing; on its own, it does what the source did."""

from __future__ import annotations

import itertools
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from psycopg import sql

from devtools.fixtures import Connection
from devtools.servers import Server
from tests.python.database_contents import Contents, read_contents
from tests.python.derived_rows import assert_derived_rows_are_right, recall_gaps
from tests.python.feed_reader import reader_from_now
from tests.python.moved_database import (
    CHANNELS,
    DIMENSIONS,
    answers,
    assert_answers_are,
    assert_next_insert_works,
)
from tests.python.populated import populate

MAJORS = {15, 18}
"""Where this is tried: subscriptions run triggers and row security by other rules since PostgreSQL 16."""

_numbers = itertools.count(1)


@dataclass
class Pair:
    """A server to replicate from, and one for subscribers."""

    source: Server
    target: Server
    subscriptions: list[tuple[str, str]] = field(default_factory=list)


@pytest.fixture(scope="module")
def pair(server: Server) -> Iterator[Pair]:
    """Two servers of the installation, the first with wal_level = logical."""
    if server.major not in MAJORS:
        pytest.skip(f"replication is tried on PostgreSQL {', '.join(map(str, sorted(MAJORS)))}")
    # Before PostgreSQL 16, copies of tables begin one per interval.
    settings = {"wal_level": "logical", "wal_retrieve_retry_interval": "100ms"}
    with (
        Server.create(server.installation, "publisher", settings=settings) as source,
        Server.create(server.installation, "subscriber", settings=settings) as target,
    ):
        yield Pair(source, target)


@dataclass
class Source:
    """A populated database that records its feed, with derived rows for every memory.

    Attributes:
        pair: the servers.
        name: the database's, on both.
        connection: as the superuser.
    """

    pair: Pair
    name: str
    connection: Connection

    def write(self) -> None:
        """Do to memories and arcs what applications do, so that every trigger runs."""
        for statement in (
            "INSERT INTO gravity_map (user_id, memory_trace_id, content, gravity_score, emotion_type)"
            " SELECT 'writer', 'trace', 'I remember the quince ' || i, 0.9, 'trust' FROM generate_series(1, 5) AS i",
            "UPDATE gravity_map SET content = 'no fruit', gravity_score = 0.2 WHERE content LIKE '%quince 3'",
            "DELETE FROM gravity_map WHERE content LIKE '%quince 4'",
            "UPDATE memory_arcs SET arc_name = 'renamed' WHERE user_id = 'planted'",
            "INSERT INTO gravity_map (user_id, gravity_score, emotion_type)"
            " VALUES ('user', 0.95, 'joy'), ('user', 0.9, 'joy')",
            "SELECT gravity_memory_evolve_arcs()",
            "SELECT gravity_memory_set('arc_dormant_after', '8 days')",
            "TRUNCATE pattern_matrix",
            "INSERT INTO pattern_matrix (user_id) VALUES ('after the truncate')",
        ):
            self.connection.execute(statement.encode())

    def contents(self) -> Contents:
        """What it holds now."""
        return read_contents(self.connection, "public")


@pytest.fixture
def source(pair: Pair) -> Iterator[Source]:
    """A database to replicate from."""
    name = f"replicated_{next(_numbers)}"
    pair.source.create_database(name, extensions=["vector"])
    with pair.source.connect(name) as connection:
        connection.execute(f"SET gravity_memory.embedding_dimensions = {DIMENSIONS}".encode())
        connection.execute("CREATE EXTENSION gravity_memory")
        populate(connection, "public", DIMENSIONS)
        connection.execute("CALL gravity_memory_rebuild_recall(p_everything => true)")
        yield Source(pair, name, connection)


@dataclass
class Subscriber:
    """A database that subscribes to a source; in the beginning it has the source's tables, empty."""

    source: Source
    connection: Connection

    def subscribe(self, publication: str) -> None:
        """Follow a publication of the source, and wait for what is there."""
        settings = psycopg.conninfo.make_conninfo(**self.source.pair.source.parameters(self.source.name))
        self.connection.execute(
            sql.SQL("CREATE SUBSCRIPTION {} CONNECTION {} PUBLICATION {}").format(
                sql.Identifier(self.source.name), sql.Literal(settings), sql.Identifier(publication)
            )
        )
        wait_until(
            lambda: (
                self.connection.execute("SELECT bool_and(srsubstate = 'r') FROM pg_subscription_rel").fetchone()
                == (True,)
            )
        )
        self.catch_up()

    def catch_up(self) -> None:
        """Wait until everything that is committed at the source has arrived."""
        end = self.source.connection.execute("SELECT pg_current_wal_insert_lsn()").fetchone()
        assert end is not None
        arrived = "SELECT replay_lsn >= %s FROM pg_stat_replication WHERE application_name = %s"
        wait_until(lambda: self.source.connection.execute(arrived, (end[0], self.source.name)).fetchone() == (True,))

    def switch_over(self) -> None:
        """What the guide says to do when the subscriber becomes the database that is written to."""
        self.catch_up()
        self.connection.execute(sql.SQL("DROP SUBSCRIPTION {}").format(sql.Identifier(self.source.name)))
        self.connection.execute("TRUNCATE memory_events")
        assert self.connection.execute("SELECT * FROM gravity_memory_setup()").fetchall() == []

    def contents(self) -> Contents:
        """What it holds now."""
        return read_contents(self.connection, "public")

    def server_says(self) -> list[str]:
        """The warnings in its server's log, and the errors of the workers that replicate."""
        text = self.source.pair.target.log_path.read_text()
        return re.findall(rf"^.*\] (?:{self.source.name} WARNING| (?:WARNING|ERROR)): .*$", text, re.MULTILINE)


@pytest.fixture
def subscriber(source: Source) -> Iterator[Subscriber]:
    """A database with the source's definitions, as pg_dump --schema-only gives them."""
    target = source.pair.target
    target.create_database(source.name)
    schema = source.pair.source.client("pg_dump", "--schema-only", "--no-publications", source.name).stdout
    target.psql(schema.decode(), database=source.name)
    with target.connect(source.name) as connection:
        made = Subscriber(source, connection)
        yield made
        connection.execute("SELECT")
        for (name,) in connection.execute("SELECT subname FROM pg_subscription WHERE subenabled").fetchall():
            connection.execute(sql.SQL("DROP SUBSCRIPTION {}").format(sql.Identifier(name)))


def wait_until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait for something that happens soon.

    Raises:
        AssertionError: it does not.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def findings(connection: Connection) -> list[tuple[Any, ...]]:
    """What gravity_memory_check() finds, but for statistics, which autovacuum brings in its own time."""
    return connection.execute(
        "SELECT finding, object, problem FROM gravity_memory_check() WHERE finding !~ 'statistics$'"
    ).fetchall()


def test_a_subscriber_to_all_tables_has_the_same_rows_and_its_own_triggers_add_none(
    source: Source, subscriber: Subscriber
) -> None:
    source.connection.execute("CREATE PUBLICATION everything FOR ALL TABLES")
    with source.pair.target.connect(source.name) as listener:
        for channel in (*CHANNELS, "memory_changes"):
            listener.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        subscriber.subscribe("everything")
        source.write()
        subscriber.catch_up()
        assert list(listener.notifies(timeout=0.2)) == []
    original, replicated = source.contents(), subscriber.contents()
    assert all(original.rows[table] for table in original.rows if table != "memory_recall_gaps")
    assert replicated.rows == original.rows
    assert_derived_rows_are_right(subscriber.connection)
    assert findings(subscriber.connection) == findings(source.connection) == []
    assert_answers_are(
        answers(source.pair.target, source.name, "public", "postgres"),
        answers(source.pair.source, source.name, "public", "postgres"),
    )
    source.connection.execute("TRUNCATE gravity_map CASCADE")
    subscriber.catch_up()
    assert subscriber.contents().rows == source.contents().rows
    assert subscriber.server_says() == []


def test_a_subscriber_does_not_let_its_feed_be_read_which_would_have_holes(
    source: Source, subscriber: Subscriber
) -> None:
    subscriber.connection.execute("SELECT gravity_memory_set('feed', 'on')")
    before = reader_from_now(subscriber.connection, "writer")
    subscriber.connection.execute("DELETE FROM gravity_memory_settings")
    source.connection.execute("CREATE PUBLICATION everything FOR TABLES IN SCHEMA public")
    subscriber.subscribe("everything")
    source.write()
    subscriber.catch_up()
    for statement in (
        "SELECT memory_changes_head()",
        "SELECT * FROM memory_changes_since('writer', '1/1/1/1/1:1:')",
    ):
        with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState, match="by a subscription"):
            subscriber.connection.execute(statement.encode())
    subscriber.switch_over()
    with pytest.raises(psycopg.Error, match="break after this cursor: memory_events was truncated") as refusal:
        before.look(subscriber.connection)
    assert refusal.value.sqlstate == "72000"


def test_after_the_switch_the_subscriber_does_all_that_the_publisher_did(
    source: Source, subscriber: Subscriber
) -> None:
    source.connection.execute("CREATE PUBLICATION everything FOR ALL TABLES")
    subscriber.subscribe("everything")
    source.write()
    old_reader = reader_from_now(source.connection, "writer")
    subscriber.switch_over()
    db = subscriber.connection
    assert findings(db) == []

    reader = reader_from_now(db, "writer")
    arcs = "SELECT id, memory_count FROM memory_arcs WHERE user_id = 'writer'"
    before = db.execute(arcs).fetchall()
    assert [count for _, count in before] == [3]
    db.execute(
        "INSERT INTO gravity_map (user_id, content, gravity_score, emotion_type)"
        " VALUES ('writer', 'the quince again', 0.9, 'trust')"
    )
    assert db.execute(arcs).fetchall() == [(before[0][0], 4)], "it joins the arc that was replicated"
    assert sorted(reader.look(db), key=str) == [None, "the quince again"], "the arc changed, too"
    with pytest.raises(psycopg.Error, match="issued by another server"):
        old_reader.look(db)
    found = db.execute("SELECT content FROM recall_memories('writer', 'quince', p_neighbour_weight => 0)").fetchall()
    assert sorted(row[0] for row in found) == [
        *(f"I remember the quince {number}" for number in (1, 2, 5)),
        "the quince again",
    ]
    db.execute("DELETE FROM gravity_map WHERE user_id = 'writer'")
    assert db.execute(arcs).fetchall() == []
    assert_next_insert_works(source.pair.target, source.name, "public")
    assert_derived_rows_are_right(db)
    assert subscriber.server_says() == []


def test_a_subscriber_to_the_memories_alone_says_that_recall_misses_them_and_how_to_mend_it(
    source: Source, subscriber: Subscriber
) -> None:
    source.connection.execute("CREATE PUBLICATION memories FOR TABLE gravity_map")
    subscriber.subscribe("memories")
    source.write()
    subscriber.switch_over()
    db = subscriber.connection
    wanted = "SELECT id FROM gravity_map WHERE content LIKE '%quince%' ORDER BY 1"
    recalled = "SELECT id FROM recall_memories('writer', 'quince', p_neighbour_weight => 0) ORDER BY 1"
    assert db.execute(recalled).fetchall() == []
    (remedy,) = db.execute(
        "SELECT remedy FROM gravity_memory_check() WHERE severity = 'error' AND finding = 'missing_derived_rows'"
    ).fetchall()
    db.execute(remedy[0].encode())
    assert_derived_rows_are_right(db)
    assert recall_gaps(db) == []
    assert len(db.execute(wanted).fetchall()) == 3
    assert db.execute(recalled).fetchall() == db.execute(wanted).fetchall()
    # Arcs are made of what is there by the function that is there for it.
    assert db.execute("SELECT count(*) FROM memory_arcs").fetchone() == (0,)
    db.execute("SELECT gravity_memory_rebuild_arcs('writer')")
    assert db.execute("SELECT memory_count FROM memory_arcs").fetchall() == [(3,)]


@pytest.fixture
def standby(source: Source) -> Iterator[Server]:
    """A physical standby of the source's server."""
    with Server.create_standby(source.pair.source, f"standby_{source.name}") as made:
        yield made


VECTOR = "array_fill(0.25, ARRAY[64])::vector"
READS = {
    "recall_memories": f"SELECT id, score FROM recall_memories('writer', 'quince', {VECTOR}, p_limit => 50)",
    "gravity_memory_explain_recall": "SELECT e.verdict, e.rank, e.score, e.explanation FROM gravity_map AS m,"
    f" gravity_memory_explain_recall('writer', 'quince', {VECTOR}, p_memory_id => m.id) AS e ORDER BY m.id",
    "match_memories": f"SELECT id, similarity FROM match_memories({VECTOR}, -1, 50, 'user')",
    "gravity_weighted_search": f"SELECT id, weighted_score FROM gravity_weighted_search({VECTOR}, 'user', -1)",
    "find_similar_memories": "SELECT m.id, s.id, s.similarity FROM gravity_map AS m,"
    " find_similar_memories(m.id, -1) AS s WHERE m.embedding IS NOT NULL ORDER BY 1, 2",
    "get_conversation_context": "SELECT * FROM get_conversation_context('writer', 'trace')",
    "gravity_memory_search_all": f"SELECT id, similarity FROM gravity_memory_search_all({VECTOR}, -1, 50)",
    "gravity_memory_settings": "SELECT * FROM gravity_memory_settings()",
    "gravity_memory_index_ddl": "SELECT * FROM gravity_memory_index_ddl()",
    "gravity_memory_vector_index_ddl": "SELECT * FROM gravity_memory_vector_index_ddl()",
    "gravity_memory_index_usage": "SELECT index_name, is_valid, in_spec FROM gravity_memory_index_usage() ORDER BY 1",
    "gravity_memory_stats": "SELECT category, name, value FROM gravity_memory_stats()"
    " WHERE category <> 'notifications'",
    "gravity_memory_stats of a user": "SELECT category, name, value FROM gravity_memory_stats('writer')",
    "gravity_memory_check": "SELECT finding, object FROM gravity_memory_check() WHERE finding !~ 'statistics$'",
}
"""Every function that reads, asked for what does not change by itself."""


def test_a_standby_answers_as_its_primary_and_goes_on_as_primary_once_it_is_promoted(
    source: Source, standby: Server
) -> None:
    primary = source.connection
    reader = reader_from_now(primary, "writer")
    source.write()
    end = primary.execute("SELECT pg_current_wal_insert_lsn()").fetchone()
    with standby.connect(source.name) as db:
        wait_until(lambda: db.execute("SELECT pg_last_wal_replay_lsn() >= %s", end).fetchone() == (True,))
        for name, query in READS.items():
            assert db.execute(query.encode()).fetchall() == primary.execute(query.encode()).fetchall(), name
        assert_answers_are(
            answers(standby, source.name, "public", "postgres"),
            answers(source.pair.source, source.name, "public", "postgres"),
        )
        original, copied = source.contents(), read_contents(db, "public")
        # Sequences are logged ahead: a standby takes up to 32 numbers for used.
        (primary_sequence,), (copied_sequence,) = (c.catalogue.pop("sequences") for c in (original, copied))
        assert copied_sequence[:-1] == primary_sequence[:-1]
        assert copied == original
        # What was read from the standby is not read again once that has become the primary.
        assert len(reader.look(db)) > 5

        db.execute("SELECT pg_promote()")
        db.execute(
            "INSERT INTO gravity_map (user_id, content, gravity_score, emotion_type)"
            " VALUES ('writer', 'the quince again', 0.9, 'trust')"
        )
        assert sorted(reader.look(db), key=str) == [None, "the quince again"], "and the arc it joined"
        assert db.execute("SELECT memory_count FROM memory_arcs WHERE user_id = 'writer'").fetchall() == [(4,)]
        assert_next_insert_works(standby, source.name, "public")
        assert_derived_rows_are_right(db)
        assert findings(db) == []
