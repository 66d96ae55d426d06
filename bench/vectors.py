"""Vectors that are clustered as sentence embeddings are, and a quick way to store them as memories."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from bench import binary_copy
from bench.databases import Connection, vacuum

Vectors = NDArray[np.float32]

TOPICS = 200
CHUNK = 10_000
"""How many vectors are drawn at a time: the whole of a large table would not fit into memory."""

_SPAN_MICROSECONDS = 8 * 10**14

# What searches by vector do not use; loading is quicker without. What stays is what the exact scan may use.
_NEEDLESS_INDEXES = """
    SELECT format('DROP INDEX %I', index_name) FROM gravity_memory_index_catalogue()
    WHERE table_name = 'gravity_map' AND to_regclass(index_name) IS NOT NULL
      AND index_name NOT IN ('idx_gravity_map_user_id', 'idx_gravity_map_user_created', 'idx_gravity_map_user_gravity')
"""


class Embeddings:
    """A source of unit vectors: topics with uneven weights, a falling spectrum and a common mean.

    Signs tell the neighbours of such vectors apart a little worse than those of sentence embeddings of chat turns.

    Args:
        dimensions: length of each vector.
        seed: the same seed gives the same topics and the same sequence.
    """

    def __init__(self, dimensions: int, seed: int = 1) -> None:
        self._random = np.random.default_rng(seed)
        spectrum = np.arange(1, dimensions + 1, dtype=np.float32)[:, None] ** np.float32(-0.5)
        self._basis = self._random.standard_normal((dimensions, dimensions), dtype=np.float32) * spectrum
        self._topics = self._random.standard_normal((TOPICS, dimensions), dtype=np.float32) * np.float32(0.6)
        mean = self._random.standard_normal(dimensions, dtype=np.float32)
        self._mean = mean * np.float32(0.15 / np.linalg.norm(mean))
        weights = 1 / np.arange(1, TOPICS + 1)
        self._weights = weights / weights.sum()

    def draw(self, count: int) -> Vectors:
        """Draw vectors: shape (count, dimensions), float32, length 1."""
        topics = self._random.choice(TOPICS, count, p=self._weights)
        noise = self._random.standard_normal((count, self._topics.shape[1]), dtype=np.float32)
        vectors = (self._topics[topics] + noise) @ self._basis
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        vectors += self._mean
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors.astype(np.float32)


def literal(vector: Vectors) -> str:
    """A vector of shape (dimensions,) in pgvector's text form."""
    return "[" + ",".join(map(repr, map(float, vector))) + "]"


def load(connection: Connection, users: Sequence[tuple[str, int]], source: Embeddings) -> None:
    """Store memories without text in random order, as those of all users would have come, and derive their rows.

    The triggers do not fire: rows are copied, and `gravity_memory_rebuild_recall` derives what recall reads.

    Args:
        connection: to a database with an empty gravity_map.
        users: each user with its number of memories.
        source: of their embeddings.
    """
    for (statement,) in connection.execute(_NEEDLESS_INDEXES).fetchall():
        connection.execute(statement)
    connection.execute("SET session_replication_role = replica")
    with (
        connection.cursor() as cursor,
        cursor.copy(
            "COPY gravity_map (id, user_id, gravity_score, created_at, embedding) FROM STDIN (FORMAT binary)"
        ) as copy,
    ):
        copy.write(binary_copy.HEADER)
        for row in _rows(users, source):
            copy.write(row)
        copy.write(binary_copy.TRAILER)
    connection.execute("RESET session_replication_role")
    connection.execute("CALL gravity_memory_rebuild_recall(p_batch_size => 2000, p_everything => true)")
    vacuum(connection)


def _rows(users: Sequence[tuple[str, int]], source: Embeddings) -> Iterator[bytes]:
    """The rows in the binary form of COPY."""
    random = np.random.default_rng(2)
    order = np.repeat(np.arange(len(users)), [count for _, count in users])
    random.shuffle(order)
    names = [name.encode() for name, _ in users]
    for start in range(0, len(order), CHUNK):
        part = order[start : start + CHUNK]
        vectors = source.draw(len(part))
        gravity = random.random(len(part))
        moments = random.integers(_SPAN_MICROSECONDS, size=len(part))
        for place, user in enumerate(part):
            yield binary_copy.row(
                uuid.UUID(bytes=random.bytes(16), version=4).bytes,
                names[user],
                struct.pack(">d", float(gravity[place])),
                struct.pack(">q", int(moments[place])),
                binary_copy.vector(vectors[place]),
            )
