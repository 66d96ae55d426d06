"""Similarity search as a client relies on it: as good as comparing everything, whatever the user's share of the table.

Vectors are clustered as those of models are (derived_rows.clustered): the nearest of evenly spread ones are no nearer
than the rest, and say nothing. They have 128 dimensions instead of the usual 384 to 1,536, so that 100,000 are loaded
in seconds; that makes it harder, not easier, because each dimension is one bit of the signature that candidates are
chosen by. The table is not a million rows but the users themselves: a search never looks at the rows of others.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest

from devtools.fixtures import Connection, MakeDatabase
from devtools.servers import Server
from tests.python.derived_rows import Vectors, add, clustered, copy, literal, matched, nearest, new_ids, recall_gaps

DIMENSIONS = 128
SIZES = (10, 1_000, 10_000, 100_000)


@dataclass(frozen=True)
class User:
    """A user and its memories.

    Attributes:
        name: the user_id.
        ids: of its memories.
        vectors: their embeddings, in the same order; shape (len(ids), DIMENSIONS).
    """

    name: str
    ids: list[uuid.UUID]
    vectors: Vectors

    def similarities(self, query: Vectors) -> Vectors:
        """The similarity of every memory to a query, best first."""
        return np.asarray(np.sort(self.vectors @ query)[::-1])


@pytest.fixture(scope="module")
def users() -> dict[int, User]:
    """One user of each size."""
    return {size: User(f"user of {size}", new_ids(size, size), clustered(size, size, DIMENSIONS)) for size in SIZES}


@pytest.fixture(scope="module")
def crowd(server: Server, users: dict[int, User]) -> Iterator[Connection]:
    """One table with the memories of all of them, derived after a load without triggers. Tests only read it."""
    name = "gravity_memory_similarity"
    server.drop_database(name)
    server.create_database(name, extensions=["vector"])
    try:
        with server.connect(name) as db:
            db.execute("SET client_min_messages = warning")
            db.execute(f"SET gravity_memory.embedding_dimensions = {DIMENSIONS}")
            db.execute("CREATE EXTENSION gravity_memory")
            # Indexes that no search reads would take most of the loading time.
            unread = db.execute(
                "SELECT to_regclass(index_name)::text FROM gravity_memory_index_catalogue()"
                " WHERE table_name = 'gravity_map' AND index_name NOT IN"
                " ('idx_gravity_map_user_id', 'idx_gravity_map_user_gravity') AND to_regclass(index_name) IS NOT NULL"
            ).fetchall()
            db.execute(f"DROP INDEX {', '.join(row[0] for row in unread)}")
            db.execute("ALTER TABLE gravity_map DISABLE TRIGGER USER")
            for user in users.values():
                copy(db, user.name, user.vectors, user.ids)
            db.execute("ALTER TABLE gravity_map ENABLE TRIGGER USER")
            db.execute("CALL gravity_memory_rebuild_recall(p_batch_size => 10000, p_everything => true)")
            assert recall_gaps(db) == []
            db.execute("VACUUM ANALYZE")
            yield db
    finally:
        server.drop_database(name)


@pytest.fixture
def store(server: Server, make_database: MakeDatabase) -> Iterator[Connection]:
    """A connection to a database for embeddings of DIMENSIONS dimensions."""
    with server.connect(make_database(["vector"])) as db:
        db.execute("SET client_min_messages = warning")
        db.execute(f"SET gravity_memory.embedding_dimensions = {DIMENSIONS}")
        db.execute("CREATE EXTENSION gravity_memory")
        yield db


@pytest.mark.parametrize("size", SIZES)
def test_recall_at_ten_is_that_of_comparing_everything(crowd: Connection, users: dict[int, User], size: int) -> None:
    user = users[size]
    found = wanted = 0
    for query in clustered(20 if size > 10_000 else 50, 99, DIMENSIONS):
        answer = matched(crowd, user.name, query, 10)
        assert len(answer) == min(10, size)
        assert len(set(answer)) == len(answer)
        found += len(nearest(user.ids, user.vectors, query, 10) & set(answer))
        wanted += len(answer)
    assert found / wanted >= 0.99, f"{found} of {wanted}"


@pytest.mark.parametrize("size", SIZES)
def test_as_many_memories_are_answered_as_exist_and_reach_the_threshold(
    crowd: Connection, users: dict[int, User], size: int
) -> None:
    user = users[size]
    answered: list[int] = []
    existing: list[int] = []
    for query in clustered(2 if size > 10_000 else 10, 98, DIMENSIONS):
        similarities = user.similarities(query)
        # The first threshold keeps hundreds of a large user, the last one a handful.
        for last in (size - 1, min(300, size // 2), min(5, size // 2)):
            threshold = max(-1.0, float(similarities[last]) - 1e-6)
            for count in (1, 50):
                answered.append(len(matched(crowd, user.name, query, count, threshold)))
                existing.append(min(count, int((similarities >= threshold).sum())))
    assert answered == existing


def test_a_count_beyond_the_users_memories_answers_all_of_them(crowd: Connection, users: dict[int, User]) -> None:
    for size in (10, 1_000):
        query = clustered(1, 97, DIMENSIONS)[0]
        assert sorted(matched(crowd, f"user of {size}", query, 2_000_000_000)) == sorted(users[size].ids)


def test_recall_by_meaning_alone_is_nearly_that_of_comparing_everything(
    crowd: Connection, users: dict[int, User]
) -> None:
    # It compares the 400 memories that are nearest by signature, of 128 bits here, and no more.
    for size, least in ((10, 1.0), (1_000, 0.99), (10_000, 0.9)):
        user = users[size]
        found = wanted = 0
        for query in clustered(20, 96, DIMENSIONS):
            answer = crowd.execute(
                "SELECT id FROM recall_memories(%s, p_embedding => %s::vector)", (user.name, literal(query))
            ).fetchall()
            assert len(answer) == min(10, size)
            found += len(nearest(user.ids, user.vectors, query, 10) & {row[0] for row in answer})
            wanted += len(answer)
        assert found / wanted >= least, f"{found} of {wanted} for {size}"


def test_similar_memories_of_a_memory_are_those_of_comparing_everything(
    crowd: Connection, users: dict[int, User]
) -> None:
    user = users[10_000]
    found = 0
    for place in range(20):
        rows = crowd.execute("SELECT id FROM find_similar_memories(%s, -1, 10)", (user.ids[place],)).fetchall()
        best = nearest(user.ids, user.vectors, user.vectors[place], 11) - {user.ids[place]}
        found += len(best & {row[0] for row in rows})
    assert found / 200 >= 0.99


def test_a_threshold_and_gravity_choose_the_same_memories_as_comparing_everything(store: Connection) -> None:
    add(store, "u", clustered(3000, 1, DIMENSIONS))
    store.execute("UPDATE gravity_map SET gravity_score = (hashtext(id::text) & 1023) / 1023.0")
    exact = """
        SELECT id FROM (SELECT id, 1 - (embedding <=> %s::vector) AS s, gravity_score AS g FROM gravity_map
                        WHERE user_id = 'u' OFFSET 0) AS r
        WHERE s >= %s ORDER BY s * (1 - %s) + g * %s DESC, id LIMIT 10
    """
    found = wanted = 0
    for query in clustered(15, 2, DIMENSIONS):
        for threshold in (-1.0, 0.2, 0.5):
            for weight in (0.0, 0.3, 1.0):
                text = literal(query)
                truth = [row[0] for row in store.execute(exact, (text, threshold, weight, weight)).fetchall()]
                rows = store.execute(
                    "SELECT id FROM gravity_weighted_search(%s::vector, 'u', %s, %s, 10)", (text, threshold, weight)
                ).fetchall()
                found += len(set(truth) & {row[0] for row in rows})
                wanted += len(truth)
                assert len(rows) == len(truth)
    assert wanted > 1000
    assert found / wanted >= 0.99


@pytest.mark.parametrize("kind", ["all components positive", "three dimensions used", "all the same"])
def test_embeddings_whose_signs_say_nothing_are_compared_by_their_values(store: Connection, kind: str) -> None:
    draw = np.random.default_rng(3)
    vectors = np.abs(draw.standard_normal((1500, DIMENSIONS))).astype(np.float32)
    if kind == "three dimensions used":
        vectors[:, 3:] = 0
        vectors[:, :3] -= 0.5
    if kind == "all the same":
        vectors[:] = vectors[0]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    ids = add(store, "u", vectors)
    place = {memory: number for number, memory in enumerate(ids)}
    found = 0
    for query in vectors[:10]:
        rows = matched(store, "u", query)
        assert len(rows) == 10
        tenth = np.sort(vectors @ query)[-10]
        found += sum(float(vectors[place[row]] @ query) >= tenth - 1e-6 for row in rows)
    assert found >= 99


def test_a_search_planned_before_there_were_memories_reads_no_more_than_one_planned_afterwards(
    store: Connection, server: Server
) -> None:
    # Plans are kept for the session, and a table without statistics looks small whichever way it is read.
    vectors = clustered(4000, 1, DIMENSIONS)
    search = (
        "SELECT count(*) FROM match_memories(%(vector)s::vector, -1, 10, 'u') AS m,"
        " recall_memories('u', 'joy', %(vector)s::vector) AS r"
    )
    blocks = (
        "SELECT sum(pg_stat_get_xact_blocks_fetched(c.oid))::bigint FROM pg_class AS c"
        " WHERE c.relnamespace = 'public'::regnamespace"
    )
    for table in ("gravity_map", "memory_digests", "memory_postings"):
        store.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)")
    values = {"vector": literal(vectors[0])}

    def cost(db: Connection) -> int:
        with db.transaction():
            before = db.execute(blocks).fetchone()
            assert db.execute(search, values).fetchone() == (100,)
            after = db.execute(blocks).fetchone()
        assert before is not None
        assert after is not None
        return int(after[0] or 0) - int(before[0] or 0)

    with server.connect(store.info.dbname) as early:
        for _ in range(6):
            early.execute(search, values)
        add(store, "u", vectors)
        store.execute("UPDATE gravity_map SET content = 'joy' WHERE hashtext(id::text) % 10 = 0")
        stale = cost(early)
    store.execute("VACUUM ANALYZE")
    with server.connect(store.info.dbname) as late:
        cost(late)
        fresh = cost(late)
    assert stale <= 3 * fresh, f"{stale} blocks against {fresh}"
