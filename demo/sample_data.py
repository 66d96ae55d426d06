"""The sample data of the demo: memories, live memories and query sentences, with their sentence embeddings.

Files beside this module:

* ``sample_memories.jsonl``: the history, one memory per line, oldest first. ``seconds_ago`` is the age of the
  memory when the demo loads it, so the history always ends today.
* ``sample_live.jsonl``: the memories that are inserted while another session listens, in this order.
* ``sample_queries.jsonl``: ``{"user_id", "query"}``, the sentences of the similarity search, and with ``"answer"``, the
  content of the memory that answers it, the questions of the recall.
* ``sample_embeddings.npy``: shape (memories + live + queries, 384), float16, unit length, rows in the order of the
  three files above. A memory without content has no embedding: its row is zero.
* ``sample_embeddings.json``: which model made the rows, and a digest of the texts they were made from.

Why this format: NumPy's ``.npy`` opens anywhere with ``numpy.load``, and its header plus ``struct``'s half-precision
code ``e`` let the demo read it with the standard library alone, in a few milliseconds. Half precision takes about
0.3 MB (as JSON text it would be some 2 MB that nobody could read) and changes a cosine similarity by less than 0.001.
"""

import ast
import hashlib
import json
import math
import operator
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

DIRECTORY = Path(__file__).resolve().parent
MEMORIES_FILE = DIRECTORY / "sample_memories.jsonl"
LIVE_FILE = DIRECTORY / "sample_live.jsonl"
QUERIES_FILE = DIRECTORY / "sample_queries.jsonl"
EMBEDDINGS_FILE = DIRECTORY / "sample_embeddings.npy"
MANIFEST_FILE = DIRECTORY / "sample_embeddings.json"

#: The columns of gravity_map that a line of sample_memories.jsonl or sample_live.jsonl may carry.
COLUMNS = (
    "user_id",
    "thread_id",
    "session_id",
    "memory_trace_id",
    "content",
    "summary",
    "topic",
    "gravity_score",
    "emotion_type",
    "entities",
    "meta_tags",
    "temporal_type",
    "metadata",
)


class SampleDataError(Exception):
    """The sample files are damaged or do not belong together."""


@dataclass(frozen=True)
class Memory:
    """One memory to insert.

    ``columns`` holds only what the JSON line states, so that the database sets the rest (``temporal_type``,
    ``identity_anchor``, defaults). ``embedding`` is pgvector's text form of 384 numbers, or None.
    ``seconds_ago`` is the age at load, in seconds; 0 for a live memory.
    """

    seconds_ago: int
    columns: dict[str, Any]
    embedding: str | None

    def created_at(self, now: datetime) -> datetime:
        """The time of the memory, when the load happens at ``now``."""
        return now - timedelta(seconds=self.seconds_ago)


@dataclass(frozen=True)
class Query:
    """A sentence to search for among one user's memories.

    ``embedding`` is pgvector's text form. ``answer`` is the content of the memory that answers a question; None for a
    sentence that has no such memory.
    """

    user_id: str
    text: str
    embedding: str
    answer: str | None


@dataclass(frozen=True)
class SampleData:
    """Everything the demo loads. ``memories`` is ordered by time, oldest first."""

    memories: list[Memory]
    live: list[Memory]
    queries: list[Query]
    dimensions: int
    model: str


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON Lines file, in order. Raises SampleDataError naming the line that is not an object."""
    rows: list[dict[str, Any]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise SampleDataError(f"{path.name}, line {number}: {error}") from error
        if not isinstance(row, dict):
            raise SampleDataError(f"{path.name}, line {number}: not a JSON object")
        rows.append(row)
    return rows


def embedded_texts() -> list[str]:
    """The texts behind the rows of the embedding file, in its order: memories, live memories, queries.

    A memory without content gives the empty string.
    """
    memories = [*read_jsonl(MEMORIES_FILE), *read_jsonl(LIVE_FILE)]
    texts = [memory.get("content") or "" for memory in memories]
    texts.extend(query["query"] for query in read_jsonl(QUERIES_FILE))
    return texts


def texts_digest(texts: Iterable[str]) -> str:
    """SHA-256 (hexadecimal) over the texts in order; tells whether the embeddings belong to these texts."""
    return hashlib.sha256(json.dumps(list(texts), ensure_ascii=True).encode("ascii")).hexdigest()


def read_npy_float16(path: Path) -> list[tuple[float, ...]]:
    """The rows of a two-dimensional little-endian float16 ``.npy`` file. Raises SampleDataError for any other file."""
    data = path.read_bytes()
    if data[:8] != b"\x93NUMPY\x01\x00":
        raise SampleDataError(f"{path.name}: not a version 1.0 .npy file")
    (header_length,) = struct.unpack_from("<H", data, 8)
    start = 10 + header_length
    header = ast.literal_eval(data[10:start].decode("latin-1"))
    shape = header["shape"]
    if header["descr"] != "<f2" or header["fortran_order"] or len(shape) != 2:
        raise SampleDataError(f"{path.name}: expected a row-major float16 matrix, found {header}")
    rows, columns = shape
    if len(data) - start != rows * columns * 2:
        raise SampleDataError(f"{path.name}: the file is shorter or longer than its header says")
    return list(struct.iter_unpack(f"<{columns}e", data[start:]))


def vector_literal(values: Sequence[float]) -> str | None:
    """The text form that pgvector takes of a row, or None for a zero row (a memory without content).

    A zero vector has no direction: stored, it would make every cosine distance to it NaN.
    """
    if not any(values):
        return None
    return "[" + ",".join(f"{value:.6g}" for value in values) + "]"


def _memory(row: dict[str, Any], embedding: str | None, where: str) -> Memory:
    """A Memory from its JSON object; raises SampleDataError for a key that is no column."""
    columns = {key: value for key, value in row.items() if key != "seconds_ago"}
    unknown = sorted(set(columns) - set(COLUMNS))
    if unknown:
        raise SampleDataError(f"{where}: unknown key(s) {', '.join(unknown)}; known are {', '.join(COLUMNS)}")
    return Memory(seconds_ago=int(row.get("seconds_ago", 0)), columns=columns, embedding=embedding)


def load() -> SampleData:
    """Reads all sample files. Raises SampleDataError when they do not belong together."""
    memories, live, queries = read_jsonl(MEMORIES_FILE), read_jsonl(LIVE_FILE), read_jsonl(QUERIES_FILE)
    manifest = json.loads(MANIFEST_FILE.read_text(encoding="utf-8"))
    if manifest["texts_sha256"] != texts_digest(embedded_texts()):
        raise SampleDataError(
            "the sample texts have changed since their embeddings were computed; run demo/make_sample_data.py again"
        )
    literals = [vector_literal(row) for row in read_npy_float16(EMBEDDINGS_FILE)]
    if len(literals) != len(memories) + len(live) + len(queries):
        raise SampleDataError(f"{EMBEDDINGS_FILE.name} has {len(literals)} rows, which is not one per sample text")
    loaded = [
        _memory(row, literal, f"{MEMORIES_FILE.name}, line {number}")
        for number, (row, literal) in enumerate(zip(memories, literals, strict=False), start=1)
    ]
    live_literals = literals[len(memories) : len(memories) + len(live)]
    loaded_live = [
        _memory(row, literal, f"{LIVE_FILE.name}, line {number}")
        for number, (row, literal) in enumerate(zip(live, live_literals, strict=True), start=1)
    ]
    known = {(row["user_id"], row.get("content")) for row in memories}
    loaded_queries = []
    for row, literal in zip(queries, literals[len(memories) + len(live) :], strict=True):
        if literal is None:
            raise SampleDataError(f"{QUERIES_FILE.name}: the query {row['query']!r} has no embedding")
        query = Query(user_id=row["user_id"], text=row["query"], embedding=literal, answer=row.get("answer"))
        if query.answer is not None and (query.user_id, query.answer) not in known:
            raise SampleDataError(f"{QUERIES_FILE.name}: {query.user_id} has no memory {query.answer!r}")
        loaded_queries.append(query)
    loaded.sort(key=lambda memory: -memory.seconds_ago)
    return SampleData(
        memories=loaded,
        live=loaded_live,
        queries=loaded_queries,
        dimensions=int(manifest["dimensions"]),
        model=str(manifest["model"]),
    )


def nearest(data: SampleData, query: Query, count: int) -> list[Memory]:
    """The memories of the query's user with the highest cosine similarity to it, best first, live ones included.

    Computed here and not in the database, to check what the database finds.
    """
    wanted = _parse(query.embedding)
    scored = [
        (_cosine(_parse(memory.embedding), wanted), memory)
        for memory in [*data.memories, *data.live]
        if memory.embedding is not None and memory.columns["user_id"] == query.user_id
    ]
    scored.sort(key=lambda pair: -pair[0])
    return [memory for _, memory in scored[:count]]


def _parse(literal: str) -> list[float]:
    return [float(number) for number in json.loads(literal)]


def _cosine(one: Sequence[float], other: Sequence[float]) -> float:
    product: float = sum(map(operator.mul, one, other))
    return product / (math.hypot(*one) * math.hypot(*other))
