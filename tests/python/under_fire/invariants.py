"""What holds whatever happened to a database, and the mixed work that is going on when it happens."""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from psycopg import sql

from devtools.fixtures import Connection
from devtools.servers import Server
from tests.python.arc_states import assert_totals_are_right, rebuild_all, stored_arcs
from tests.python.derived_rows import (
    assert_derived_rows_are_right,
    assert_recall_is_complete,
    assert_wrong_rows_are_noted,
    clustered,
    literal,
)

DIMENSIONS = 64
"""From as many on, similarity is looked for by signature first."""

POOL = clustered(64, 1, DIMENSIONS)
EMOTIONS = ("joy", "calm", "awe")
WORDS = ("lamp", "park", "bank", "dark", "lump", "ramp", "dump")
RARE = "tulip"
"""A word that few memories have."""
ADD = """
    INSERT INTO gravity_map (user_id, content, emotion_type, gravity_score, entities, embedding, created_at)
    VALUES (%s, %s, %s, %s, %s, %s::vector, timestamptz '2026-01-01' + %s * interval '1 hour') RETURNING id::text
"""
_ADD_MANY = """
    INSERT INTO gravity_map (user_id, content, emotion_type, gravity_score, entities, embedding, created_at)
    SELECT u, c, e, g, n::text[], v::vector, timestamptz '2026-01-01' + h * interval '1 hour'
    FROM unnest(%s::text[], %s::text[], %s::text[], %s::float8[], %s::text[], %s::text[], %s::integer[])
         AS r (u, c, e, g, n, v, h)
    RETURNING id::text
"""
_LINK = """
    WITH made AS (INSERT INTO memory_arcs (user_id, arc_name) VALUES (%s, %s) RETURNING id)
    INSERT INTO memory_arc_associations (memory_id, arc_id, user_id)
    SELECT m.id, made.id, m.user_id
    -- A memory that somebody is deleting would be a violation of the foreign key.
    FROM made, (SELECT g.id, g.user_id FROM gravity_map AS g WHERE g.user_id = %s ORDER BY md5(g.id::text || %s) LIMIT 3
                FOR KEY SHARE SKIP LOCKED) AS m
"""


_numbers = itertools.count(1)


@contextmanager
def own_server(server: Server, settings: dict[str, str] | None = None) -> Iterator[Server]:
    """A further server of the same installation, that keeps fsync on, for all tests of a module."""
    made = Server.create(
        server.installation, f"under_fire_{os.getpid()}_{next(_numbers)}", settings=settings, durable=True
    )
    try:
        made.start()
        yield made
    finally:
        made.stop("immediate")


def install(server: Server, database: str, settings: dict[str, str] | None = None) -> None:
    """Make a database for embeddings of DIMENSIONS dimensions, whose feed records what happens."""
    server.create_database(database, extensions=["vector"])
    with server.connect(database) as db:
        prepare(db, settings)


def prepare(db: Connection, settings: dict[str, str] | None = None) -> None:
    """Create the extension in a database that has vector, and switch the feed on."""
    db.execute("SET client_min_messages = warning")
    db.execute(f"SET gravity_memory.embedding_dimensions = {DIMENSIONS}")
    db.execute("CREATE EXTENSION gravity_memory")
    for name, value in {"feed": "on", **(settings or {})}.items():
        db.execute("SELECT gravity_memory_set(%s, %s)", (name, value))


class Worker:
    """One client's mixed work, the same for the same seed: it writes, changes, deletes, maintains, reads.

    Single statements change single memories, so that what waits for what in circles would be our doing: an application
    that changes several in different orders deadlocks by itself.

    Attributes:
        stored: ids of memories whose INSERT was acknowledged, and what they say.
        gone: ids that this client asked to delete; whether it happened is known where the answer came.
        operations: acknowledged, by kind.
    """

    def __init__(self, seed: int, users: Sequence[str] = ("ada", "bea", "o'hara \"%_\\")) -> None:
        self._chance = random.Random(seed)
        self._seed = seed
        self._users = users
        self._step = 0
        self.stored: dict[str, str] = {}
        self.gone: set[str] = set()
        self.operations: dict[str, int] = {}

    def _row(self) -> tuple[Any, ...]:
        chance = self._chance
        words = " ".join((*chance.choices(WORDS, k=chance.randint(1, 9)), RARE if chance.random() < 0.03 else ""))
        return (
            chance.choice(self._users),
            f"{self._seed}.{self._step} {words}",
            chance.choice((*EMOTIONS, None)),
            chance.choice((0.5, 0.8, 0.9, 1.0)),
            ["Blu", "Matt", "Atlas", "Ivy"][: chance.randint(0, 4)],
            literal(POOL[chance.randrange(len(POOL))]) if chance.random() < 0.8 else None,
            chance.randrange(240),
        )

    def work(self, db: Connection, kinds: Sequence[str]) -> str:
        """Do one thing of these kinds; which."""
        self._step += 1
        kind = self._chance.choice(kinds)
        getattr(self, f"_{kind}")(db)
        self.operations[kind] = self.operations.get(kind, 0) + 1
        return kind

    def _insert(self, db: Connection) -> None:
        row = self._row()
        self._acknowledge(db.execute(ADD, row).fetchall(), [row[1]])

    def _batch(self, db: Connection) -> None:
        rows = [self._row() for _ in range(self._chance.randint(2, 40))]
        columns: list[list[Any]] = [list(column) for column in zip(*rows, strict=True)]
        columns[4] = ["{" + ",".join(names) + "}" for names in columns[4]]
        found = db.execute(_ADD_MANY, columns).fetchall()
        self._acknowledge(found, [row[1] for row in rows])

    def _transaction(self, db: Connection) -> None:
        # One emotion: clients that take several in different orders would wait for each other.
        rows = [self._row() for _ in range(self._chance.randint(2, 8))]
        user, emotion = rows[0][0], rows[0][2]
        found = []
        with db.transaction():
            for row in rows:
                found += db.execute(ADD, (user, row[1], emotion, *row[3:])).fetchall()
        self._acknowledge(found, [row[1] for row in rows])

    def _acknowledge(self, found: Sequence[tuple[Any, ...]], contents: Sequence[str]) -> None:
        self.stored |= {row[0]: content for row, content in zip(found, contents, strict=True)}

    def remember_last(self, most: int) -> None:
        """Forget all but the last memories, so that a long run does not grow by what this keeps of them."""
        for key in list(self.stored)[:-most]:
            del self.stored[key]
        self.gone &= self.stored.keys()

    def _picked(self) -> str | None:
        keys = [key for key in list(self.stored)[-200:] if key not in self.gone]
        return self._chance.choice(keys) if keys else None

    def _update(self, db: Connection) -> None:
        user, content, emotion, gravity, _, vector, hour = self._row()
        assignment, value = self._chance.choice(
            (
                ("user_id = %s", user),
                ("emotion_type = %s", emotion),
                ("gravity_score = %s", gravity),
                ("embedding = %s::vector", vector),
                ("created_at = timestamptz '2026-01-01' + %s * interval '1 hour'", hour),
                ("summary = %s", content),
            )
        )
        db.execute(f"UPDATE gravity_map SET {assignment} WHERE id = %s".encode(), (value, self._picked()))

    def _update_any(self, db: Connection) -> None:
        # A memory of anybody, so that two clients change the same one.
        db.execute(
            "UPDATE gravity_map SET gravity_score = %s, emotion_type = %s"
            " WHERE id = (SELECT id FROM gravity_map ORDER BY md5(id::text || %s) LIMIT 1)",
            (self._chance.choice((0.5, 0.9)), self._chance.choice(EMOTIONS), str(self._step)),
        )

    def _delete(self, db: Connection) -> None:
        key = self._picked()
        if key is not None:
            self.gone.add(key)
            db.execute("DELETE FROM gravity_map WHERE id = %s", (key,))

    def _arc_by_hand(self, db: Connection) -> None:
        user = self._chance.choice(self._users)
        db.execute(_LINK, (user, f"by hand {self._seed}.{self._step}", user, str(self._step)))

    def _evolve(self, db: Connection) -> None:
        db.execute("SELECT gravity_memory_evolve_arcs(timestamptz '2026-01-05')")

    def _cleanup(self, db: Connection) -> None:
        db.execute(
            "INSERT INTO consciousness_cache (user_id, query_hash, created_at)"
            " SELECT 'ada', n::text, now() - n * interval '5 hours' FROM generate_series(1, 9) AS n"
        )
        db.execute("SELECT cleanup_old_cache(), gravity_memory_cleanup_events()")

    def _rebuild_recall(self, db: Connection) -> None:
        db.execute("CALL gravity_memory_rebuild_recall(20, p_user_id => %s)", (self._chance.choice(self._users),))

    def _rebuild_arcs(self, db: Connection) -> None:
        db.execute("SELECT gravity_memory_rebuild_arcs(%s)", (self._chance.choice(self._users),))

    def _train(self, db: Connection) -> None:
        # What the job train-vector-indexes does by and by: one statement after the other.
        for (statement,) in db.execute("SELECT gravity_memory_vector_index_ddl()").fetchall():
            db.execute(statement.encode())

    def _recall(self, db: Connection) -> None:
        vector = literal(POOL[self._chance.randrange(len(POOL))])
        user = self._chance.choice(self._users)
        db.execute("SELECT id FROM recall_memories(%s, %s, %s::vector)", (user, self._chance.choice(WORDS), vector))
        db.execute("SELECT id FROM match_memories(%s::vector, user_id => %s)", (vector, user))

    def _read_feed(self, db: Connection) -> None:
        user = self._chance.choice(self._users)
        row = db.execute("SELECT memory_changes_head()").fetchone()
        assert row is not None
        db.execute("SELECT count(*) FROM memory_changes_since(%s, %s)", (user, row[0]))


def assert_no_acknowledged_memory_is_lost(db: Connection, workers: Sequence[Worker]) -> int:
    """Every memory whose INSERT was acknowledged is there unless its deletion was asked for; how many there were."""
    stored: dict[str, str] = dict(db.execute("SELECT id::text, content FROM gravity_map").fetchall())
    acknowledged = 0
    for worker in workers:
        kept = {key: content for key, content in worker.stored.items() if key not in worker.gone}
        assert {key: stored.get(key) for key in kept} == kept
        acknowledged += len(worker.stored)
    return acknowledged


def assert_every_invariant_holds(db: Connection, *, feed: bool = True) -> None:
    """Checks say nothing is wrong, arcs are what a rebuild makes, derived rows are right or known not to be.

    Afterwards derived rows are right, because a rebuild has run. The feed tells all, unless it says that it does not,
    or `feed` is false because some of it was purged.
    """
    assert_nothing_is_wrong(db)
    assert_totals_are_right(db)
    assert_links_are_of_their_user(db)
    built = stored_arcs(db)
    rebuild_all(db)
    assert stored_arcs(db) == built, "a rebuild changes nothing"
    assert_wrong_rows_are_noted(db)
    assert_recall_is_complete(db, np.asarray(POOL[0]), RARE)
    db.execute("CALL gravity_memory_rebuild_recall()")
    assert_derived_rows_are_right(db)
    assert_recall_is_complete(db, np.asarray(POOL[0]), RARE)
    if (
        feed
        and not db.execute("SELECT FROM memory_events WHERE event = 'feed_broken' AND user_id = '' LIMIT 1").fetchall()
    ):
        assert_feed_tells_all(db)
    assert_nothing_is_wrong(db)


def assert_nothing_is_wrong(db: Connection) -> None:
    """gravity_memory_check() knows of no error."""
    found = db.execute(
        "SELECT finding, object, problem FROM gravity_memory_check() WHERE severity = 'error'"
    ).fetchall()
    assert found == []


def assert_links_are_of_their_user(db: Connection) -> None:
    """No automatic arc holds a memory of another user or emotion."""
    strangers = db.execute(
        "SELECT a.id, m.id FROM memory_arcs AS a JOIN memory_arc_associations AS l ON l.arc_id = a.id"
        " JOIN gravity_map AS m ON m.id = l.memory_id"
        " WHERE a.arc_name = a.emotion_type || ' arc (auto-created)' AND a.evolution_stage IN ('forming', 'active')"
        " AND (m.user_id, m.emotion_type) IS DISTINCT FROM (a.user_id, a.emotion_type)"
    ).fetchall()
    assert strangers == []


_FEED = """
    WITH last AS (
        SELECT DISTINCT ON (e.user_id, e.subject_id) e.user_id, e.subject_id, e.event, e.payload
        FROM memory_events AS e WHERE e.event LIKE {kind} || '%' ORDER BY e.user_id, e.subject_id, e.event_id DESC
    ), told AS (
        SELECT l.user_id, l.subject_id, l.payload FROM last AS l WHERE l.event NOT LIKE '%deleted'
    ), stored AS (
        SELECT t.user_id, t.id, to_jsonb(t) - 'embedding' FROM {table} AS t
    )
    (TABLE told EXCEPT ALL TABLE stored) UNION ALL (TABLE stored EXCEPT ALL TABLE told) LIMIT 3
"""


def assert_feed_tells_all(db: Connection) -> None:
    """The last event of each memory and arc is what is stored, and what is not stored has none or was deleted last.

    For a feed that was on from the beginning, and of which nothing was purged.
    """
    for kind, table in (("memory", "gravity_map"), ("arc", "memory_arcs")):
        query = sql.SQL(_FEED).format(kind=sql.Literal(kind), table=sql.Identifier(table))
        assert db.execute(query).fetchall() == []
