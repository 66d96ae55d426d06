"""The memories that all contestants hold: made once per database, in the table source.memories, in the order of time.

What matters for plans and times is kept as applications have it:

- users are Zipf-distributed: the heaviest, `HEAVIEST`, has 8 % of all memories, most have a few;
- memories come in sessions of twelve turns, 100 seconds apart, in the last 120 days; four turns share a trace, five sessions
  a thread;
- gravity is skewed low (one in seven reaches 0.7), emotions and words are Zipf-distributed, moods last for a session;
- embeddings are clustered, with a falling spectrum (bench/vectors.py), and none is missing.

The same number of memories gives the same data in every run, but for the moment that "now" was.
"""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from psycopg import sql

from bench.databases import Connection
from bench.vectors import Embeddings

HEAVIEST = "user-1"
NARROW = 8
COLUMNS = (
    "id, user_id, thread_id, session_id, memory_trace_id, content, gravity_score, emotion_type, entities, "
    "metadata, created_at, updated_at, embedding"
)
"""Of gravity_map, in the order in which source.memories has them after its number n."""

_USERS = 150_000
_DAYS = 120
_TURNS = 12
_CHUNK = 10_000
_HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
_POSTGRES_EPOCH = 946_684_800
_EMOTIONS = (
    "neutral joy love sadness hope anger curiosity fear gratitude pride relief surprise longing shame trust awe grief calm"
).split()
_COMMON = (
    "the and to of a i you that it in we was for with on my is at this have be but not they so what about when her his "
    "had from or as are me he she there were then our out will one up all said how just like would could"
).split()
_SYLLABLES = "ka lo mi ter san vel dor ni pa rum sel tor bel cor din fa gal hes jun kel mar nos pol rin sta tul ven wes".split()

_TABLE = """
CREATE SCHEMA source;
CREATE UNLOGGED TABLE source.memories (
    n integer NOT NULL, id uuid NOT NULL, user_id text NOT NULL, thread_id text, session_id text, memory_trace_id text, content text,
    gravity_score double precision, emotion_type text, entities text[], metadata jsonb, created_at timestamptz, updated_at timestamptz,
    embedding {type}
)
"""
_FINISH = """
ALTER TABLE source.memories ADD PRIMARY KEY (n);
CREATE INDEX ON source.memories (user_id, n);
VACUUM ANALYZE source.memories
"""
# Ten times the users, but the heaviest one, who has ten times the memories instead: so his share stays.
_MULTIPLY = """
INSERT INTO source.memories
SELECT m.n * {copies} + c.n, gen_random_uuid(), m.user_id || c.suffix, m.thread_id || c.tail, m.session_id || c.tail,
       m.memory_trace_id || c.tail, left(m.content, 60), m.gravity_score, m.emotion_type, m.entities, '{{}}',
       m.created_at - c.n * interval '37 seconds', m.updated_at, subvector(m.embedding, 1, {narrow})
FROM {base}.memories AS m
CROSS JOIN LATERAL (
    SELECT c.n, '-' || c.n AS tail, CASE WHEN m.user_id = {heaviest} THEN '' ELSE '-' || c.n END AS suffix
    FROM generate_series(0, {copies} - 1) AS c (n)
) AS c
"""


def make_source(
    connection: Connection, count: int, dimensions: int, *, base: int | None = None, tick: Callable[[int], None]
) -> None:
    """Create and fill source.memories.

    Args:
        connection: to a database with pgvector and without a schema named source.
        count: how many memories.
        dimensions: of their embeddings.
        base: make this many, and multiply them; the copies' embeddings keep their first `NARROW` dimensions only.
        tick: called with the number of rows that were made since the last call.
    """
    made = count if base is None else base
    connection.execute(_TABLE.format(type=f"vector({dimensions})").encode())
    statement = f"COPY source.memories (n, {COLUMNS}) FROM STDIN (FORMAT binary)"
    with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        copy.write(_HEADER)
        for rows, data in _chunks(made, dimensions):
            copy.write(data)
            tick(rows)
        copy.write(struct.pack(">h", -1))
    if base is not None:
        connection.execute("ALTER SCHEMA source RENAME TO source_base")
        connection.execute(_TABLE.format(type=f"vector({NARROW})").encode())
        connection.execute(
            sql.SQL(_MULTIPLY).format(
                copies=sql.Literal(count // base),
                narrow=sql.Literal(NARROW),
                base=sql.Identifier("source_base"),
                heaviest=sql.Literal(HEAVIEST),
            )
        )
        connection.execute("DROP SCHEMA source_base CASCADE")
        tick(count - base)
    for finish in _FINISH.split(";"):
        connection.execute(finish.encode())


def _chunks(count: int, dimensions: int) -> Iterator[tuple[int, bytes]]:
    """Rows in the binary form of COPY, some at a time, with their number."""
    random = np.random.default_rng(7)
    rank, session, turn, created = _sessions(random, count)
    embeddings = Embeddings(dimensions, seed=7)
    words = _vocabulary(random)
    weights = np.cumsum(1 / np.arange(1, len(words) + 1))
    weights /= weights[-1]
    moods = random.integers(len(_EMOTIONS), size=count)
    emotion_weights = np.cumsum(1 / np.arange(1, len(_EMOTIONS) + 1))
    emotion_weights /= emotion_weights[-1]
    name = random.integers(3_000, size=count)
    for start in range(0, count, _CHUNK):
        stop = min(start + _CHUNK, count)
        size = stop - start
        vectors = embeddings.draw(size).astype(">f4")
        gravity = np.where(random.random(size) < 1 / 7, 0.7 + 0.3 * random.random(size) ** 1.5, 0.7 * random.random(size))
        lengths = random.integers(10, 40, size)
        choice = np.searchsorted(weights, random.random(int(lengths.sum())))
        feeling = np.searchsorted(emotion_weights, random.random(size))
        ends = np.cumsum(lengths)
        rows = []
        for place in range(size):
            at = start + place
            user = int(rank[at])
            text = " ".join(words[w] for w in choice[ends[place] - lengths[place] : ends[place]])
            mood = feeling[place] if moods[at] % 3 else (user * 7 + int(session[at])) % len(_EMOTIONS)
            entities = [f"Name {name[at]}"] if name[at] % 3 else [f"Name {name[at]}", "Blu", "Matt", "Atlas", "Ivy"][: name[at] % 6]
            moment = struct.pack(">q", int((created[at] - _POSTGRES_EPOCH) * 1e6))
            rows.append(
                _row(
                    struct.pack(">i", at),
                    uuid.UUID(bytes=random.bytes(16), version=4).bytes,
                    f"user-{user}".encode(),
                    f"thread-{user}-{session[at] // 5}".encode(),
                    f"session-{user}-{session[at]}".encode(),
                    f"trace-{user}-{session[at]}-{turn[at] // 4}".encode(),
                    text.encode(),
                    struct.pack(">d", gravity[place]),
                    _EMOTIONS[mood].encode(),
                    _text_array(entities),
                    b'\x01{"role": "user", "tokens": 40}',
                    moment,
                    moment,
                    struct.pack(">hh", dimensions, 0) + vectors[place].tobytes(),
                )
            )
        yield size, b"".join(rows)


def _sessions(
    random: np.random.Generator, count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """User's rank, number of the user's session, turn within it and time in seconds since 1970: each of shape (count,).

    Rows are in the order of time; the newest are of this minute.
    """
    weights = 1 / np.arange(1, _USERS + 1)
    rank = np.sort(random.choice(_USERS, count, p=weights / weights.sum()) + 1)
    first = np.searchsorted(rank, rank)
    number = np.arange(count) - first
    session, turn = number // _TURNS, number % _TURNS
    _, which = np.unique(rank * np.int64(count) + session, return_inverse=True)
    began = random.random(which.max() + 1) * _DAYS * 86_400
    now = np.datetime64("now").astype(np.int64)
    created = now - began[which] + 100.0 * (turn - _TURNS)
    order = np.argsort(created, kind="stable")
    return rank[order], session[order], turn[order], created[order]


def _vocabulary(random: np.random.Generator) -> list[str]:
    """20,000 words, common ones first, so that stop words are as frequent as they are in speech."""
    made = {"".join(random.choice(_SYLLABLES, 2 + k % 3)) for k in range(24_000)}
    return _COMMON + sorted(made, key=lambda word: hash_of(word))[: 20_000 - len(_COMMON)]


def hash_of(text: str) -> int:
    """A number that depends on the text alone, in every run."""
    return int.from_bytes(uuid.uuid5(uuid.NAMESPACE_OID, text).bytes[:8])


def _row(*fields: bytes) -> bytes:
    return struct.pack(">h", len(fields)) + b"".join(struct.pack(">i", len(one)) + one for one in fields)


def _text_array(values: list[str]) -> bytes:
    """A text[] in the binary form of COPY."""
    if not values:
        return struct.pack(">iiI", 0, 0, 25)
    data = [value.encode() for value in values]
    return struct.pack(">iiIii", 1, 0, 25, len(data), 1) + b"".join(struct.pack(">i", len(one)) + one for one in data)
