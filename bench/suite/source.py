"""The memories that all contestants hold: made once per database, in the table source.memories, in the order of time.

What matters for plans and times is kept as applications have it:

- users are Zipf-distributed: the heaviest, `HEAVIEST`, has 8 % of all memories, most have a few;
- memories come in sessions of twelve turns, 100 seconds apart, in the last 120 days; four turns share a trace, five
  sessions a thread;
- gravity is skewed low (one in seven reaches 0.7); emotions, words, names and topics are Zipf-distributed; one memory
  in three is in the mood of its session;
- what triggers would set is what they would set: temporal_type, identity_anchor and the tags of high gravity and
  identity;
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

from bench import binary_copy
from bench.databases import Connection
from bench.vectors import Embeddings

HEAVIEST = "user-1"
NARROW = 8
COLUMNS = (
    "id, user_id, thread_id, session_id, memory_trace_id, content, gravity_score, emotion_type, entities, "
    "metadata, created_at, updated_at, embedding"
)
"""Of gravity_map: what an application writes, in the order in which source.memories has them after its number n."""

COPIED = ", ".join(name for name in COLUMNS.split(", ") if name not in {"id", "created_at", "updated_at"})
"""Of those, what a new memory takes from one that is copied."""

TAGGED = "temporal_type, meta_tags, identity_anchor"
"""Of gravity_map: the columns after those, as they are once the triggers have run."""

_USERS = 150_000
_DAYS = 120
_TURNS = 12
_CHUNK = 10_000
_POSTGRES_EPOCH = 946_684_800


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_EMOTIONS = _words(
    "neutral joy love sadness hope anger curiosity fear gratitude pride relief surprise longing shame trust awe "
    "grief calm"
)
_COMMON = _words(
    "the and to of a i you that it in we was for with on my is at this have be but not they so what about when her his "
    "had from or as are me he she there were then our out one up all said how just like would could"
)
_NAMED = ("Blu", "Matt", "Atlas", "Ivy")
_NAMES = 30_000
_TOPICS = 300
_SYLLABLES = _words(
    "ka lo mi ter san vel dor ni pa rum sel tor bel cor din fa gal hes jun kel mar nos pol rin sta tul ven wes"
)

# The words by which the triggers tell the time that a memory is about, and what they make of them.
_OPENINGS = ("yesterday ", "tomorrow ", "")
_TIMES = (b"past", b"future", b"present")

_TABLE = """
CREATE SCHEMA source;
CREATE UNLOGGED TABLE source.memories (
    n integer NOT NULL, id uuid NOT NULL, user_id text NOT NULL, thread_id text, session_id text, memory_trace_id text,
    content text, gravity_score double precision, emotion_type text, entities text[], metadata jsonb,
    created_at timestamptz, updated_at timestamptz, embedding {type}, temporal_type text, meta_tags text[],
    identity_anchor boolean
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
       m.created_at - c.n * interval '37 seconds', m.updated_at, m.embedding, m.temporal_type,
       m.meta_tags, m.identity_anchor
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
        base: make this many, and multiply them; their embeddings have `NARROW` dimensions.
        tick: called with the number of rows that were made since the last call.
    """
    made = count if base is None else base
    dimensions = dimensions if base is None else NARROW
    connection.execute(_TABLE.format(type=f"vector({dimensions})").encode())
    statement = f"COPY source.memories (n, {COLUMNS}, {TAGGED}) FROM STDIN (FORMAT binary)"
    with connection.cursor() as cursor, cursor.copy(statement.encode()) as copy:
        copy.write(binary_copy.HEADER)
        for rows, data in _chunks(made, dimensions):
            copy.write(data)
            tick(rows)
        copy.write(binary_copy.TRAILER)
    if base is not None:
        connection.execute("ALTER SCHEMA source RENAME TO source_base")
        connection.execute(_TABLE.format(type=f"vector({NARROW})").encode())
        connection.execute(
            sql.SQL(_MULTIPLY).format(
                copies=sql.Literal(count // base),
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
    for start in range(0, count, _CHUNK):
        stop = min(start + _CHUNK, count)
        size = stop - start
        vectors = embeddings.draw(size)
        gravity = np.where(
            random.random(size) < 1 / 7, 0.7 + 0.3 * random.random(size) ** 1.5, 0.7 * random.random(size)
        )
        lengths = random.integers(10, 40, size)
        choice = _zipf(random, len(words), int(lengths.sum()))
        emotion = _zipf(random, len(_EMOTIONS), size)
        moody = random.random(size) < 1 / 3
        names = _zipf(random, _NAMES, 3 * size)
        named = random.integers(4, size=size)
        topics = _zipf(random, _TOPICS, size)
        lot = random.random((3, size))
        ends = np.cumsum(lengths)
        rows = []
        for place in range(size):
            at = start + place
            user = int(rank[at])
            when = 0 if lot[0, place] < 0.2 else 1 if lot[0, place] < 0.35 else 2
            text = _OPENINGS[when] + " ".join(words[w] for w in choice[ends[place] - lengths[place] : ends[place]])
            mood = (user * 7 + int(session[at])) % len(_EMOTIONS) if moody[place] else emotion[place]
            entities = [f"Name {name}" for name in dict.fromkeys(names[3 * place : 3 * place + named[place]].tolist())]
            tags = [f"topic:{topics[place]}"] if lot[1, place] < 1 / 3 else []
            is_anchor = bool(gravity[place] >= 0.85)
            if is_anchor:
                tags.append("high_gravity")
            if lot[2, place] < 0.005:
                entities = list(_NAMED)
                tags.append("identity")
            moment = struct.pack(">q", int((created[at] - _POSTGRES_EPOCH) * 1e6))
            rows.append(
                binary_copy.row(
                    struct.pack(">i", at),
                    uuid.UUID(bytes=random.bytes(16), version=4).bytes,
                    f"user-{user}".encode(),
                    f"thread-{user}-{session[at] // 5}".encode(),
                    f"session-{user}-{session[at]}".encode(),
                    f"trace-{user}-{session[at]}-{turn[at] // 4}".encode(),
                    text.encode(),
                    struct.pack(">d", gravity[place]),
                    _EMOTIONS[mood].encode(),
                    binary_copy.text_array(entities),
                    b'\x01{"role": "user", "tokens": 40}',
                    moment,
                    moment,
                    binary_copy.vector(vectors[place]),
                    _TIMES[when],
                    binary_copy.text_array(tags),
                    struct.pack("?", is_anchor),
                )
            )
        yield size, b"".join(rows)


def _zipf(random: np.random.Generator, values: int, count: int) -> NDArray[np.int64]:
    """Numbers from 0 to values - 1, shape (count,), each as frequent as 1 over its place."""
    weights = np.cumsum(1 / np.arange(1, values + 1))
    return np.searchsorted(weights / weights[-1], random.random(count)).astype(np.int64)


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
    keys, which = np.unique(rank * np.int64(count) + session, return_inverse=True)
    began = random.random(len(keys)) * _DAYS * 86_400
    # A user's sessions are numbered in the order of time, so that those of one thread follow each other.
    began = began[np.lexsort((-began, keys // count))]
    now = np.datetime64("now").astype(np.int64)
    created = now - began[which] + 100.0 * (turn - _TURNS)
    order = np.argsort(created, kind="stable")
    return rank[order], session[order], turn[order], created[order]


def _vocabulary(random: np.random.Generator) -> list[str]:
    """20,000 words, common ones first, so that stop words are as frequent as they are in speech."""
    made = {"".join(random.choice(_SYLLABLES, 2 + k % 3)) for k in range(24_000)}
    return [*_COMMON, *sorted(made, key=lambda word: hash_of(word))[: 20_000 - len(_COMMON)]]


def hash_of(text: str) -> int:
    """A number that depends on the text alone, in every run."""
    return int.from_bytes(uuid.uuid5(uuid.NAMESPACE_OID, text).bytes[:8])
