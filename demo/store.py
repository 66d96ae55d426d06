"""The demo's access to the database: loading memories, and the questions that several sections ask."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString, TypeAlias

import psycopg

from demo.sample_data import Memory

Connection: TypeAlias = psycopg.Connection[tuple[Any, ...]]

#: One statement for any number of memories. What a memory does not say is left to the triggers and the defaults.
INSERT_MEMORIES: LiteralString = """
INSERT INTO gravity_map (user_id, thread_id, session_id, memory_trace_id, content, summary, topic, gravity_score,
    emotion_type, entities, meta_tags, temporal_type, metadata, created_at, embedding)
SELECT m.user_id, m.thread_id, m.session_id, m.memory_trace_id, m.content, m.summary, m.topic, m.gravity_score,
    m.emotion_type, m.entities, COALESCE(m.meta_tags, '{}'), m.temporal_type, m.metadata, m.created_at,
    m.embedding::vector
FROM jsonb_to_recordset(%(memories)s::jsonb) AS m (user_id text, thread_id text, session_id text,
    memory_trace_id text, content text, summary text, topic text, gravity_score double precision,
    emotion_type text, entities text[], meta_tags text[], temporal_type text, metadata jsonb,
    created_at timestamptz, embedding text)
RETURNING id
"""


@dataclass(frozen=True)
class Arc:
    """An arc as it stands: its stage, and how many memories it has."""

    id: str
    user_id: str
    name: str
    stage: str
    members: int


def insert_memories(connection: Connection, memories: Iterable[Memory], now: datetime) -> list[str]:
    """Inserts memories in one statement, as they would have been at ``now``; returns their ids in order."""
    rows = [
        {**memory.columns, "created_at": memory.created_at(now).isoformat(), "embedding": memory.embedding}
        for memory in memories
    ]
    found = connection.execute(INSERT_MEMORIES, {"memories": json.dumps(rows)}).fetchall()
    return [str(row[0]) for row in found]


def value(connection: Connection, statement: LiteralString, parameters: dict[str, Any] | None = None) -> Any:
    """The first column of the first row that a statement returns; LookupError when it returns none."""
    row = connection.execute(statement, parameters).fetchone()
    if row is None:
        raise LookupError(f"no row: {statement}")
    return row[0]


def settings(connection: Connection) -> dict[str, str]:
    """The settings in force, by name."""
    return dict(connection.execute("SELECT name, value FROM gravity_memory_settings()").fetchall())


def arcs(connection: Connection) -> list[Arc]:
    """Every arc, by its beginning."""
    rows = connection.execute(
        "SELECT id::text, user_id, arc_name, evolution_stage, memory_count FROM memory_arcs "
        "ORDER BY first_memory_at, id"
    ).fetchall()
    return [Arc(*row) for row in rows]
