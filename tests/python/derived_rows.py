"""Memories for the tests of recall, and whether what is derived from them is what it should be."""

from __future__ import annotations

import random
import uuid
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from devtools.fixtures import Connection

Vectors = NDArray[np.float32]
"""Unit vectors, shape (count, dimensions); one of them has the shape (dimensions,)."""

# Every row that is missing, superfluous or different, in both directions, with the terms derived anew.
_DIFFERENCES = """
WITH wanted AS MATERIALIZED (
    SELECT m.user_id::text AS user_id, m.id, t.length, binary_quantize(m.embedding)::bit varying AS signature,
           t.term_keys, t.frequencies
    FROM gravity_map AS m
    CROSS JOIN LATERAL _gravity_memory_document_terms(
        (SELECT value FROM gravity_memory_settings() WHERE name = 'text_search_config')::regconfig,
        m.user_id, m.content, m.created_at) AS t
), posting AS MATERIALIZED (
    SELECT k.term_key, w.id, k.frequency, LEAST(w.length, 32767) AS length
    FROM wanted AS w CROSS JOIN LATERAL unnest(w.term_keys, w.frequencies) AS k (term_key, frequency)
)
SELECT 'digest missing' AS problem, d.user_id, d.id
FROM (SELECT user_id, id, length, signature, term_keys FROM wanted
      EXCEPT ALL
      SELECT user_id, memory_id, length, signature, term_keys FROM memory_digests) AS d
UNION ALL
SELECT 'digest wrong', d.user_id, d.memory_id
FROM (SELECT user_id, memory_id, length, signature, term_keys FROM memory_digests
      EXCEPT ALL
      SELECT user_id, id, length, signature, term_keys FROM wanted) AS d
UNION ALL
SELECT 'posting missing', (SELECT user_id FROM wanted AS w WHERE w.id = p.id), p.id
FROM (TABLE posting EXCEPT ALL SELECT term_key, memory_id, frequency, length FROM memory_postings) AS p
UNION ALL
-- A posting does not say whose it is; that of a memory which is gone may be anyone's.
SELECT 'posting wrong', COALESCE((SELECT user_id FROM wanted AS w WHERE w.id = p.memory_id), '?'), p.memory_id
FROM (SELECT term_key, memory_id, frequency, length FROM memory_postings EXCEPT ALL TABLE posting) AS p
"""

_COPY_HEADER = b"PGCOPY\n\xff\r\n\x00" + bytes(8)
_COPY_END = b"\xff\xff"


def clustered(count: int, seed: int, dimensions: int) -> Vectors:
    """Unit vectors as models make them: 50 topics, a falling spectrum, and a mean half as long as what differs.

    Args:
        count: how many.
        seed: of the draw; the topics are the same for all seeds.
        dimensions: of each.
    """
    shape = np.random.default_rng(7)
    spectrum = np.arange(1, dimensions + 1)[:, None] ** -0.5
    basis = shape.standard_normal((dimensions, dimensions)) * spectrum
    topics = shape.standard_normal((50, dimensions)) * 0.6
    mean = shape.standard_normal(dimensions)
    draw = np.random.default_rng(seed)
    vectors = (topics[draw.integers(50, size=count)] + draw.standard_normal((count, dimensions))) @ basis
    vectors += 0.5 * np.linalg.norm(vectors, axis=1, keepdims=True) * mean / np.linalg.norm(mean)
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)


def literal(vector: Vectors) -> str:
    """One vector as pgvector reads it."""
    return "[" + ",".join(map(repr, map(float, vector))) + "]"


def new_ids(count: int, seed: int) -> list[uuid.UUID]:
    """Identifiers that are the same in every run, so that ties fall the same way."""
    generator = random.Random(seed)
    return [uuid.UUID(int=generator.getrandbits(128), version=4) for _ in range(count)]


def add(db: Connection, user: str, vectors: Vectors, ids: Sequence[uuid.UUID] | None = None) -> list[uuid.UUID]:
    """Insert one memory per vector, in one statement, and return their ids in the same order."""
    named = list(ids) if ids is not None else [uuid.uuid4() for _ in vectors]
    db.execute(
        "INSERT INTO gravity_map (id, user_id, embedding)"
        " SELECT i, %s, e::vector FROM unnest(%s::uuid[], %s::text[]) AS u (i, e)",
        (user, named, [literal(vector) for vector in vectors]),
    )
    return named


def copy(db: Connection, user: str, vectors: Vectors, ids: Sequence[uuid.UUID]) -> None:
    """Insert one memory per vector with COPY in binary form, which loads 100,000 in a second or two."""
    name, dimensions = user.encode(), vectors.shape[1]
    fields = [
        ("fields", ">i2"),
        ("id_size", ">i4"),
        ("id", "V16"),
        ("user_size", ">i4"),
        ("user", f"V{len(name)}"),
        ("vector_size", ">i4"),
        ("dimensions", ">i2"),
        ("unused", ">i2"),
        ("vector", ">f4", (dimensions,)),
    ]
    rows = np.zeros(len(vectors), dtype=np.dtype(fields))
    rows["fields"], rows["id_size"], rows["user_size"] = 3, 16, len(name)
    rows["vector_size"], rows["dimensions"] = 4 + 4 * dimensions, dimensions
    rows["id"] = np.frombuffer(b"".join(one.bytes for one in ids), dtype="V16")
    rows["user"], rows["vector"] = np.void(name), vectors
    with db.cursor() as cursor:
        statement = "COPY gravity_map (id, user_id, embedding) FROM STDIN (FORMAT binary)"
        with cursor.copy(statement) as stream:
            stream.write(_COPY_HEADER + rows.tobytes() + _COPY_END)


def nearest(ids: Sequence[uuid.UUID], vectors: Vectors, query: Vectors, count: int) -> set[uuid.UUID]:
    """The exact answer: the ids of the `count` vectors most similar to the query."""
    return {ids[place] for place in np.argsort(-(vectors @ query), kind="stable")[:count]}


def matched(db: Connection, user: str, query: Vectors, count: int = 10, threshold: float = -1) -> list[uuid.UUID]:
    """What match_memories() answers."""
    rows = db.execute(
        "SELECT id FROM match_memories(query_embedding => %s::vector, match_threshold => %s, match_count => %s,"
        " user_id => %s)",
        (literal(query), threshold, count, user),
    ).fetchall()
    return [row[0] for row in rows]


def wrong_derived_rows(db: Connection) -> list[tuple[str, str, uuid.UUID]]:
    """Every derived row that is not what the memories say: what is wrong, user, memory; empty when all are right."""
    return [(row[0], row[1], row[2]) for row in db.execute(_DIFFERENCES).fetchall()]


def recall_gaps(db: Connection) -> list[str]:
    """The users whose derived rows recall does not rely on; '*' stands for everyone."""
    rows = db.execute("SELECT CASE WHEN is_every_user THEN '*' ELSE user_id END FROM memory_recall_gaps ORDER BY 1")
    return [row[0] for row in rows.fetchall()]


def assert_derived_rows_are_right(db: Connection) -> None:
    """All derived rows are what the memories say, and recall relies on them."""
    assert wrong_derived_rows(db)[:5] == []
    assert recall_gaps(db) == []


def assert_wrong_rows_are_noted(db: Connection) -> None:
    """Derived rows are what the memories say, or recall does not rely on those of that user."""
    noted = recall_gaps(db)
    if "*" not in noted:
        assert [row for row in wrong_derived_rows(db) if row[1] not in noted][:5] == []


_ANSWERS = """
SELECT u.user_id,
       (SELECT array_agg(m.id ORDER BY m.id) FROM match_memories(%(vector)s::vector, -1, 1000000, u.user_id) AS m),
       (SELECT array_agg(g.id ORDER BY g.id) FROM gravity_map AS g
        WHERE g.user_id = u.user_id AND g.embedding IS NOT NULL),
       (SELECT array_agg(r.id ORDER BY r.id)
        FROM recall_memories(u.user_id, %(word)s, p_limit => 1000, p_neighbour_weight => 0) AS r),
       (SELECT array_agg(g.id ORDER BY g.id) FROM gravity_map AS g
        WHERE g.user_id = u.user_id AND to_tsvector('english', g.content) @@ plainto_tsquery('english', %(word)s))
FROM (SELECT DISTINCT g.user_id FROM gravity_map AS g) AS u
"""


def assert_recall_is_complete(db: Connection, vector: Vectors, word: str) -> None:
    """Every memory with an embedding is found by meaning, and every one with a word by that word, user by user.

    Args:
        db: reads everything in one statement, so that what others write meanwhile is in both halves or in neither.
        vector: to search by; any will do.
        word: to search by; no user has more than 1,000 memories with it.
    """
    for user, by_meaning, with_embedding, by_words, with_word in db.execute(
        _ANSWERS, {"vector": literal(vector), "word": word}
    ).fetchall():
        assert by_meaning == with_embedding, f"by meaning, {user}"
        assert by_words == with_word, f"by words, {user}"
