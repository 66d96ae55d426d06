"""The right answers to searches by vector, computed by this program from all vectors."""

from __future__ import annotations

import uuid

import numpy as np
from numpy.typing import NDArray

from bench import binary_copy
from bench.databases import Connection
from bench.vectors import Vectors

_CHUNK = 20_000


def nearest(
    connection: Connection, condition: str, dimensions: int, queries: Vectors, count: int
) -> list[list[uuid.UUID]]:
    """The ids of the memories whose cosine similarity to each query is greatest, best first.

    Args:
        connection: to a database with source.memories.
        condition: on source.memories, whose memories count; SQL.
        dimensions: of the embeddings.
        queries: shape (queries, dimensions), of length 1.
        count: how many for each query.
    """
    row = np.dtype(
        [
            ("fields", ">i2"),
            ("id_size", ">i4"),
            ("id", "V16"),
            ("size", ">i4"),
            ("shape", ">i4"),
            ("vector", ">f4", (dimensions,)),
        ]
    )
    best = np.full((len(queries), count), -np.inf, dtype=np.float32)
    ids = np.zeros((len(queries), count), dtype="V16")
    statement = f"COPY (SELECT id, embedding FROM source.memories WHERE {condition}) TO STDOUT (FORMAT binary)"  # noqa: S608 - ours
    waiting = bytearray()
    with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        seen_header = False
        for data in copy:
            waiting += data
            if not seen_header:
                if len(waiting) < len(binary_copy.HEADER):
                    continue
                del waiting[: len(binary_copy.HEADER)]
                seen_header = True
            if len(waiting) >= _CHUNK * row.itemsize:
                _merge(best, ids, waiting, row, queries)
    # What is left ends with the two bytes that say that there is no more.
    assert waiting.endswith(binary_copy.TRAILER)
    del waiting[-len(binary_copy.TRAILER) :]
    _merge(best, ids, waiting, row, queries)
    assert not waiting
    return [
        [uuid.UUID(bytes=bytes(ids[query, place])) for place in range(count) if best[query, place] > -np.inf]
        for query in range(len(queries))
    ]


def _merge(
    best: NDArray[np.float32], ids: NDArray[np.void], waiting: bytearray, row: np.dtype[np.void], queries: Vectors
) -> None:
    """Take the whole rows out of `waiting`, and keep the best of them and of what there was."""
    whole = len(waiting) // row.itemsize
    if not whole:
        return
    rows = np.frombuffer(bytes(waiting[: whole * row.itemsize]), dtype=row)
    del waiting[: whole * row.itemsize]
    vectors = rows["vector"].astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    similarity = queries @ vectors.T
    count = best.shape[1]
    for query in range(len(queries)):
        scores = np.concatenate([best[query], similarity[query]])
        names = np.concatenate([ids[query], rows["id"]])
        order = np.argsort(-scores, kind="stable")[:count] if len(scores) < 1000 else _top(scores, count)
        best[query], ids[query] = scores[order], names[order]


def _top(scores: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Places of the greatest scores, greatest first."""
    places = np.argpartition(-scores, count)[:count]
    return np.asarray(places[np.argsort(-scores[places], kind="stable")])
