"""What the calls return and the callbacks get.

Times are in UTC; those beyond Python's years, like infinity, are the last or first one that it has. What has no value
is None.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self, TypeVar
from uuid import UUID

from gravity_memory.errors import GravityMemoryError
from gravity_memory.vectors import Vector

M = TypeVar("M", bound="Memory | RecalledMemory | Match | Turn | Finding")

MEMORY_EVENTS = ("memory_created", "memory_updated", "memory_deleted")
ARC_EVENTS = ("arc_created", "arc_updated", "arc_deleted")
ALL_EVENTS = (*MEMORY_EVENTS, *ARC_EVENTS)
"""The kinds of events that the feed records."""

PAYLOAD_EVENTS = ("memory_created", "memory_updated", "arc_created")
"""Those of them that notifications with data announce."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """A memory, without its embedding.

    From the feed and from `remember()` all is filled in. A notification with data (payload mode) carries id, user_id,
    thread_id, session_id, gravity_score, emotion_type and created_at, a deletion id and user_id.
    """

    id: UUID
    user_id: str | None = None
    thread_id: str | None = None
    session_id: str | None = None
    memory_trace_id: str | None = None
    content: str | None = None
    summary: str | None = None
    topic: str | None = None
    gravity_score: float | None = None
    emotion_type: str | None = None
    entities: tuple[str, ...] | None = None
    meta_tags: tuple[str, ...] | None = None
    identity_anchor: bool | None = None
    temporal_type: str | None = None
    metadata: dict[str, Any] | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Self:
        """The memory that an event's JSON describes; unknown keys are left out."""
        return cls(**_fields(cls, payload))

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> Self:
        """The memory in a row with the columns of this class, in their order.

        Raises:
            GravityMemoryError: Python cannot read the metadata.
        """
        return _from_row(cls, row)


@dataclass(frozen=True, kw_only=True)
class Arc:
    """An arc of memories that belong together.

    From the feed all is filled in. A notification with data carries id, user_id, arc_name, gravity_center,
    evolution_stage and created_at, a deletion id and user_id.
    """

    id: UUID
    user_id: str | None = None
    arc_name: str | None = None
    emotion_type: str | None = None
    gravity_center: float | None = None
    evolution_stage: str | None = None
    memory_count: int | None = None
    peak_gravity: float | None = None
    growth_vector: Any = None
    first_memory_at: datetime | None = None
    last_memory_at: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Self:
        """The arc that an event's JSON describes; unknown keys are left out."""
        return cls(**_fields(cls, payload))


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to a memory or arc.

    Attributes:
        event: one of ALL_EVENTS.
        user_id: whose memory or arc.
        subject_id: its id.
        payload: its columns as JSON, without the embedding.
        created_at: when it was written; in payload mode, when the notification arrived.
        cursor: the place in the feed after this event, for `since` and `changes()`; None in payload mode.
    """

    event: str
    user_id: str
    subject_id: UUID | None
    payload: dict[str, Any]
    created_at: datetime
    cursor: str | None = None

    @property
    def memory(self) -> Memory:
        """The memory that the event is about."""
        return Memory.from_payload(self.payload)

    @property
    def arc(self) -> Arc:
        """The arc that the event is about."""
        return Arc.from_payload(self.payload)


@dataclass(frozen=True, kw_only=True)
class Changes:
    """A page of the feed.

    Attributes:
        events: what happened, in order.
        next_cursor: where to go on.
        has_more: the limit was reached; the rest is there already.
        is_open: transactions are under way that may have written more.
    """

    events: list[Event]
    next_cursor: str
    has_more: bool
    is_open: bool


@dataclass(frozen=True, kw_only=True)
class RecalledMemory:
    """A memory that answers a question, with the parts that make up its score.

    score = semantic_score + lexical_score + neighbour_score + gravity_component + recency_component. similarity
    (cosine, -1 to 1) and bm25 are None when the memory was not among the best by that measure.
    """

    id: UUID
    content: str | None
    created_at: datetime
    gravity_score: float | None
    emotion_type: str | None
    session_id: str | None
    thread_id: str | None
    score: float
    semantic_score: float
    lexical_score: float
    neighbour_score: float
    gravity_component: float
    recency_component: float
    similarity: float | None
    bm25: float | None

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> Self:
        """The memory in a row of recall_memories()."""
        return _from_row(cls, row)


@dataclass(frozen=True, kw_only=True)
class Match:
    """A memory similar to a vector; similarity is the cosine, -1 to 1."""

    id: UUID
    content: str | None
    gravity_score: float | None
    emotion_type: str | None
    created_at: datetime
    similarity: float

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> Self:
        """The memory in a row of match_memories()."""
        return _from_row(cls, row)


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A turn of a conversation."""

    id: UUID
    content: str | None
    gravity_score: float | None
    emotion_type: str | None
    created_at: datetime
    metadata: dict[str, Any] | None

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> Self:
        """The turn in a row of get_conversation_context().

        Raises:
            GravityMemoryError: Python cannot read the metadata.
        """
        return _from_row(cls, row)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What gravity_memory_check() found.

    Attributes:
        severity: error, warning or notice.
        finding: a short name, the same in every version.
        object: what it is about.
        problem: what is wrong, in words.
        remedy: a statement that mends it, or None.
    """

    severity: str
    finding: str
    object: str | None
    problem: str
    remedy: str | None

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> Self:
        """The finding in a row of gravity_memory_check()."""
        return _from_row(cls, row)


@dataclass(frozen=True, kw_only=True)
class NewMemory:
    """A memory to be stored. What is None gets the table's default; the id is made here unless it is given."""

    user_id: str
    content: str | None = None
    embedding: Vector | None = None
    summary: str | None = None
    topic: str | None = None
    gravity_score: float | None = None
    emotion_type: str | None = None
    entities: Sequence[str] | None = None
    meta_tags: Sequence[str] | None = None
    identity_anchor: bool | None = None
    temporal_type: str | None = None
    thread_id: str | UUID | None = None
    session_id: str | UUID | None = None
    memory_trace_id: str | UUID | None = None
    metadata: Mapping[str, Any] | None = None
    created_at: datetime | None = None
    id: UUID | str | None = None


def timestamp(text: str) -> datetime:
    """A time as PostgreSQL writes it into JSON, in UTC; beyond Python's years, the last or first one."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        is_past = text.startswith("-") or text.endswith("BC") or text.startswith("0001")
        return (datetime.min if is_past else datetime.max).replace(tzinfo=UTC)


_CONVERSIONS: dict[str, Callable[[Any], Any]] = {
    "UUID": lambda value: value if isinstance(value, UUID) else UUID(value),
    "float | None": float,
    "tuple[str, ...] | None": tuple,
    "datetime": lambda value: timestamp(value) if isinstance(value, str) else value,
    "datetime | None": lambda value: timestamp(value) if isinstance(value, str) else value,
}


def _from_row(model: type[M], row: Sequence[Any]) -> M:
    """A model from a row with its fields, in their order; times and metadata are texts."""
    values = dict(zip((field.name for field in dataclasses.fields(model)), row, strict=True))
    if values.get("metadata") is not None:
        values["metadata"] = _parsed_metadata(values["metadata"], values["id"])
    return model(**_fields(model, values))


def _parsed_metadata(text: str, identity: UUID) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise GravityMemoryError(
            f"Python cannot read the metadata of the memory {identity}: {error}",
            hint="PostgreSQL's jsonb holds longer numbers and deeper nesting than Python's json reads: mend it by SQL.",
        ) from error


def _fields(model: type[Any], payload: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments for a model: the keys that it knows, with their values in its types."""
    found = {}
    for field in dataclasses.fields(model):
        value = payload.get(field.name)
        convert = _CONVERSIONS.get(str(field.type))
        found[field.name] = value if value is None or convert is None else convert(value)
    return found
