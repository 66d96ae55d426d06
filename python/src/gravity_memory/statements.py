"""The statements behind the calls, for both clients.

Each call is a plan: a generator that yields commands and is sent their rows. What runs the commands, sync or async, is
in `sync_client` and `async_client`; the plans know nothing of connections. Everything is qualified with the schema of
the extension: the caller's search_path does not matter.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import operator
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeAlias, TypeVar
from uuid import UUID, uuid4

from psycopg import sql

from gravity_memory.errors import GravityMemoryError, InvalidInput, NotInstalled
from gravity_memory.models import Changes, Event, Finding, Match, Memory, NewMemory, RecalledMemory, Turn
from gravity_memory.raw_events import RawEvent
from gravity_memory.vectors import Vector, vector_text

T = TypeVar("T")
Row: TypeAlias = tuple[Any, ...]


@dataclass(frozen=True)
class Command:
    """A statement with its parameters."""

    query: sql.SQL | sql.Composed
    parameters: Sequence[Any] = ()


@dataclass(frozen=True)
class CopyCommand:
    """Rows for COPY ... FROM STDIN."""

    query: sql.SQL | sql.Composed
    rows: Sequence[Sequence[Any]]


Plan: TypeAlias = Generator[Command | CopyCommand, list[Row], T]

COPY_FROM = 1_000
"""From how many memories on `remember_many` uses COPY."""

# Times and metadata as texts, for the models to read: psycopg refuses times that Python does not have, and any time
# unless DateStyle is ISO; and what Python's json refuses would fail the whole result.
_TIME = "pg_catalog.to_json({}) OPERATOR(pg_catalog.#>>) '{{}}'"
_MEMORY_COLUMNS = sql.SQL(
    "id, user_id::text, thread_id::text, session_id::text, memory_trace_id::text, content::text, summary::text,"
    " topic::text, gravity_score::double precision, emotion_type::text, entities, meta_tags, identity_anchor,"
    f" temporal_type::text, metadata::text, {_TIME.format('created_at')}, {_TIME.format('updated_at')}"
)
# Named one by one: a later version of the extension may return more.
_RECALLED_COLUMNS = sql.SQL(
    f"r.id, r.content, {_TIME.format('r.created_at')}, r.gravity_score, r.emotion_type, r.session_id, r.thread_id,"
    " r.score, r.semantic_score, r.lexical_score, r.neighbour_score, r.gravity_component, r.recency_component,"
    " r.similarity, r.bm25"
)
_MATCH_COLUMNS = sql.SQL(
    f"r.id, r.content, r.gravity_score, r.emotion_type, {_TIME.format('r.created_at')}, r.similarity"
)
_TURN_COLUMNS = sql.SQL(
    f"r.id, r.content, r.gravity_score, r.emotion_type, {_TIME.format('r.created_at')}, r.metadata::pg_catalog.text"
)
_FINDING_COLUMNS = sql.SQL("r.severity, r.finding, r.object, r.problem, r.remedy")


def _event_columns(payload: str) -> sql.SQL:
    """Those of RawEvent, the payload as this expression has it."""
    return sql.SQL(f"c.user_id, c.event, c.subject_id, {payload}, {_TIME.format('c.created_at')}, c.next_cursor")


# The connection that listens has JSON as bytes anyway.
_LOOK_COLUMNS = _event_columns("c.payload")
# Without an encoding the server lets out no text that is not UTF-8, and bytes as they are.
_BYTES_COLUMNS = _event_columns("pg_catalog.convert_to(c.payload::pg_catalog.text, 'SQL_ASCII')")
_CHANGES_COLUMNS = _event_columns("c.payload::pg_catalog.text")


def locate() -> Plan[str]:
    """Where the extension is.

    Raises:
        NotInstalled: it is not in this database.
    """
    rows = yield Command(
        sql.SQL(
            "SELECT n.nspname FROM pg_catalog.pg_extension AS e"
            " JOIN pg_catalog.pg_namespace AS n ON n.oid OPERATOR(pg_catalog.=) e.extnamespace"
            " WHERE e.extname OPERATOR(pg_catalog.=) 'gravity_memory'"
        )
    )
    if not rows:
        raise NotInstalled(
            "the extension gravity_memory is not installed in this database",
            hint="Run CREATE EXTENSION gravity_memory, or name the schema of its functions.",
        )
    return str(rows[0][0])


def checked_user(user_id: str) -> str:
    """The user's id, if PostgreSQL can hold it.

    Raises:
        InvalidInput: it is no text, or has characters that PostgreSQL's text cannot have.
    """
    if not isinstance(user_id, str):
        raise InvalidInput(f"user_id must be a text, not {type(user_id).__name__}")
    if "\x00" in user_id:
        raise InvalidInput("user_id must not contain the NUL character: PostgreSQL's text cannot hold it")
    try:
        user_id.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"user_id cannot be written as UTF-8: {error.reason}") from error
    return user_id


def as_new_memory(given: NewMemory | Mapping[str, Any]) -> NewMemory:
    """A memory to be stored, with an id, its texts, numbers and lists in their own types.

    Raises:
        InvalidInput: a key is unknown, user_id is missing, or a value is of another type.
    """
    if isinstance(given, Mapping):
        known = {field.name for field in dataclasses.fields(NewMemory)}
        unknown = sorted(str(key) for key in given if key not in known)
        if unknown:
            raise InvalidInput(f"a memory has no {', '.join(unknown)}", hint=f"It may have {', '.join(sorted(known))}.")
        if "user_id" not in given:
            raise InvalidInput("a memory needs a user_id")
        given = NewMemory(**given)
    if not isinstance(given, NewMemory):
        raise InvalidInput(f"a memory is given as a dict or NewMemory, not as {type(given).__name__}")
    checked_user(given.user_id)
    _require_zone("created_at", given.created_at)
    identity = _uuid(given.id) if given.id is not None else uuid4()
    converted = {name: convert(name, getattr(given, name)) for name, convert in _CONVERSIONS.items()}
    return dataclasses.replace(given, id=identity, **converted)


class Statements:
    """The plans, for the extension in one schema."""

    def __init__(self, schema: str) -> None:
        self.schema = schema

    def named(self, name: str) -> sql.Identifier:
        """An object of the extension, in a statement that is executed with parameters, be they none.

        psycopg reads a percent sign there as the beginning of a placeholder, also in a name.
        """
        return sql.Identifier(self.schema.replace("%", "%%"), name)

    # Writing ----------------------------------------------------------------------------------------------------

    def remember(self, memory: NewMemory, *, is_retry: bool) -> Plan[Memory]:
        """Store a memory. A retry stores it unless the attempt before did."""
        columns = _columns(memory)
        names, values = list(columns), list(columns.values())
        insert = sql.SQL("INSERT INTO {table} ({names}) VALUES ({values}) {conflict} RETURNING {columns}").format(
            table=self.named("gravity_map"),
            names=sql.SQL(", ").join(map(sql.Identifier, names)),
            values=sql.SQL(", ").join(sql.Placeholder() * len(names)),
            conflict=sql.SQL("ON CONFLICT DO NOTHING" if is_retry else ""),
            columns=_MEMORY_COLUMNS,
        )
        rows = yield Command(insert, values)
        if not rows:
            select = sql.SQL("SELECT {} FROM {} WHERE id = %s").format(_MEMORY_COLUMNS, self.named("gravity_map"))
            rows = yield Command(select, [memory.id])
        if not rows:
            raise GravityMemoryError(
                f"the memory {memory.id} was refused as a duplicate, and cannot be read",
                hint="It may be stored already, where row security hides it.",
            )
        stored = Memory.from_row(rows[0])
        if is_retry and (stored.user_id != memory.user_id or stored.content != memory.content):
            raise InvalidInput(f"the id {memory.id} belongs to another memory", sqlstate="23505")
        return stored

    def remember_many(self, memories: Sequence[NewMemory], *, is_retry: bool) -> Plan[list[UUID]]:
        """Store memories, all or none, in one transaction. A retry stores them unless the attempt before did."""
        ids = [memory.id for memory in memories if isinstance(memory.id, UUID)]
        if is_retry:
            found = yield self._count_stored(memories)
            if found[0][0] == len(ids):
                return ids
        rows = [_columns(memory) for memory in memories]
        if len(rows) < COPY_FROM:
            yield self._insert(rows)
            return ids
        # COPY is not for those whom row security concerns.
        concerned = yield Command(
            sql.SQL("SELECT pg_catalog.row_security_active(%s::pg_catalog.text)"),
            [sql.Identifier(self.schema, "gravity_map").as_string(None)],
        )
        if concerned[0][0]:
            for start in range(0, len(rows), COPY_FROM):
                yield self._insert(rows[start : start + COPY_FROM])
            return ids
        # COPY knows no DEFAULT: one for each set of columns, which is one in all where memories are alike.
        alike: dict[tuple[str, ...], list[list[Any]]] = {}
        for row in rows:
            alike.setdefault(tuple(row), []).append(list(row.values()))
        for names, values in alike.items():
            query = sql.SQL("COPY {} ({}) FROM STDIN").format(
                sql.Identifier(self.schema, "gravity_map"), sql.SQL(", ").join(map(sql.Identifier, names))
            )
            yield CopyCommand(query, values)
        return ids

    def _count_stored(self, memories: Sequence[NewMemory]) -> Command:
        """How many of the memories are stored as they are given; those whose id another memory has are not."""
        query = sql.SQL(
            "SELECT count(DISTINCT m.id)"
            " FROM unnest(%s::uuid[], %s::text[], %s::text[]) AS given (id, user_id, content)"
            " JOIN {} AS m ON m.id = given.id AND m.user_id::text = given.user_id"
            " AND m.content::text IS NOT DISTINCT FROM given.content"
        ).format(self.named("gravity_map"))
        return Command(
            query,
            [
                [memory.id for memory in memories],
                [memory.user_id for memory in memories],
                [memory.content for memory in memories],
            ],
        )

    def _insert(self, rows: Sequence[Mapping[str, Any]]) -> Command:
        names = list(dict.fromkeys(name for row in rows for name in row))
        default, value = sql.SQL("DEFAULT"), sql.Placeholder()
        lines = [
            sql.SQL("({})").format(sql.SQL(", ").join(value if name in row else default for name in names))
            for row in rows
        ]
        query = sql.SQL("INSERT INTO {} ({}) VALUES {}").format(
            self.named("gravity_map"), sql.SQL(", ").join(map(sql.Identifier, names)), sql.SQL(", ").join(lines)
        )
        return Command(query, [row[name] for row in rows for name in names if name in row])

    # Reading ----------------------------------------------------------------------------------------------------

    def recall(self, arguments: Mapping[str, Any]) -> Plan[list[RecalledMemory]]:
        """What answers a question best; arguments of recall_memories() by name, None for its defaults."""
        rows = yield self._call("recall_memories", _RECALLED_COLUMNS, arguments)
        return [RecalledMemory.from_row(row) for row in rows]

    def match(self, arguments: Mapping[str, Any]) -> Plan[list[Match]]:
        """The memories most similar to a vector; arguments of match_memories() by name."""
        rows = yield self._call("match_memories", _MATCH_COLUMNS, arguments)
        return [Match.from_row(row) for row in rows]

    def context(self, arguments: Mapping[str, Any]) -> Plan[list[Turn]]:
        """The latest turns of a conversation; arguments of get_conversation_context() by name."""
        rows = yield self._call("get_conversation_context", _TURN_COLUMNS, arguments)
        return [Turn.from_row(row) for row in rows]

    def check(self) -> Plan[list[Finding]]:
        """What is wrong with the installation."""
        rows = yield self._call("gravity_memory_check", _FINDING_COLUMNS, {})
        return [Finding.from_row(row) for row in rows]

    def head(self) -> Plan[str]:
        """The end of the feed."""
        rows = yield Command(sql.SQL("SELECT {}()").format(self.named("memory_changes_head")))
        return str(rows[0][0])

    def changes(self, user_id: str, cursor: str, limit: int | None) -> Plan[Changes]:
        """A page of a user's feed. It ends before an event that cannot be read.

        Raises:
            GravityMemoryError: the first one cannot be read.
        """
        rows = yield Command(
            sql.SQL("SELECT {}, c.has_more, c.is_open FROM {}(%s, %s{}) AS c").format(
                _CHANGES_COLUMNS,
                self.named("memory_changes_since"),
                sql.SQL(", %s" if limit is not None else ""),
            ),
            [user_id, cursor, *([limit] if limit is not None else [])],
        )
        *found, last = rows
        events: list[Event] = []
        for row in found:
            try:
                events.append(RawEvent.from_row(row).read())
            except GravityMemoryError:
                if not events:
                    raise
                return Changes(events=events, next_cursor=str(events[-1].cursor), has_more=True, is_open=last[7])
        return Changes(events=events, next_cursor=last[5], has_more=last[6], is_open=last[7])

    @functools.cached_property
    def look(self) -> sql.Composed:
        """The statement that reads the feed for many users: text of an array of users, cursor, limit.

        Each row ends with the process id of the server's side of the connection.
        """
        return self._look(_LOOK_COLUMNS)

    @functools.cached_property
    def look_for_bytes(self) -> sql.Composed:
        """The same where the database has no encoding (SQL_ASCII)."""
        return self._look(_BYTES_COLUMNS)

    def _look(self, columns: sql.SQL) -> sql.Composed:
        return sql.SQL(
            "SELECT {}, c.has_more, c.is_open, pg_catalog.pg_backend_pid() FROM {}(%s::pg_catalog.text[], %s, %s) AS c"
        ).format(columns, self.named("gravity_memory_changes"))

    @functools.cached_property
    def announcements(self) -> sql.Composed:
        """The statement that reads the settings `notify` and `feed`, and the process id of the server's side."""
        return sql.SQL(
            "SELECT s.name, s.value, pg_catalog.pg_backend_pid() FROM {}() AS s WHERE s.name IN ('notify', 'feed')"
        ).format(self.named("gravity_memory_settings"))

    def _call(self, function: str, columns: sql.SQL, arguments: Mapping[str, Any]) -> Command:
        given = {name: value for name, value in arguments.items() if value is not None}
        query = sql.SQL("SELECT {} FROM {}({}) AS r").format(
            columns,
            self.named(function),
            sql.SQL(", ").join(sql.SQL("{} => %s").format(sql.Identifier(name)) for name in given),
        )
        return Command(query, list(given.values()))


def recall_arguments(
    *, embedding: Vector | None, metadata: Mapping[str, Any] | None, **arguments: Any
) -> dict[str, Any]:
    """Arguments of recall_memories() by its own names, in forms that psycopg writes.

    Raises:
        InvalidInput: one of them means nothing.
    """
    for name in ("since", "until"):
        _require_zone(name, arguments.get(name))
    half_life = arguments.get("half_life")
    if half_life is not None and not isinstance(half_life, timedelta):
        raise InvalidInput(f"half_life must be a timedelta, not {type(half_life).__name__}")
    named = {f"p_{name}": _RECALL_CONVERSIONS.get(name, _same)(name, value) for name, value in arguments.items()}
    return {**named, "p_embedding": vector_text(embedding), "p_metadata": _json("metadata", metadata)}


def match_arguments(user_id: str, embedding: Vector, threshold: float | None, limit: int | None) -> dict[str, Any]:
    """Arguments of match_memories() by its own names, in forms that psycopg writes.

    Raises:
        InvalidInput: one of them means nothing.
    """
    if embedding is None:
        raise InvalidInput("match needs an embedding")
    return {
        "query_embedding": vector_text(embedding),
        "match_threshold": _number("threshold", threshold),
        "match_count": _whole("limit", limit),
        "user_id": checked_user(user_id),
    }


def context_arguments(user_id: str, memory_trace_id: str | UUID, limit: int | None) -> dict[str, Any]:
    """Arguments of get_conversation_context() by its own names, in forms that psycopg writes.

    Raises:
        InvalidInput: one of them means nothing.
    """
    if memory_trace_id is None:
        raise InvalidInput("context needs a memory_trace_id")
    return {
        "user_id": checked_user(user_id),
        "memory_trace_id": _name("memory_trace_id", memory_trace_id),
        "limit": _whole("limit", limit),
    }


def changes_arguments(user_id: str, cursor: str, limit: int | None) -> tuple[str, str, int | None]:
    """Arguments of memory_changes_since(), in forms that psycopg writes.

    Raises:
        InvalidInput: one of them means nothing.
    """
    if not isinstance(cursor, str):
        raise InvalidInput(f"the cursor must be a text, not {type(cursor).__name__}")
    return checked_user(user_id), cursor, _whole("limit", limit)


def array_text(texts: Iterable[str]) -> str:
    """PostgreSQL's text form of an array of texts."""
    quoted = (text.replace("\\", "\\\\").replace('"', '\\"') for text in texts)
    return "{" + ",".join(f'"{text}"' for text in quoted) + "}"


def _columns(memory: NewMemory) -> dict[str, Any]:
    """The columns that a memory has a value for, in forms that psycopg writes."""
    values: dict[str, Any] = {field.name: getattr(memory, field.name) for field in dataclasses.fields(memory)} | {
        "embedding": vector_text(memory.embedding),
        "metadata": _json("metadata", memory.metadata),
    }
    return {name: value for name, value in values.items() if value is not None}


def _same(_: str, value: Any) -> Any:
    return value


def _text(name: str, value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise InvalidInput(f"{name} must be a text, not {type(value).__name__}")


def _name(name: str, value: Any) -> str | None:
    """A text by which an application names something: UUIDs are common."""
    return str(value) if isinstance(value, UUID) else _text(name, value)


def _texts(name: str, values: Any) -> list[str] | None:
    if values is None:
        return None
    # Read once: it may be a generator.
    listed: list[Any] = list(values) if isinstance(values, Iterable) and not isinstance(values, str) else [None]
    if not all(isinstance(value, str) for value in listed):
        raise InvalidInput(f"{name} must be a list of texts")
    return listed


def _number(name: str, value: Any) -> float | None:
    """A number; Decimal, and numbers of numpy, are some, too."""
    if value is None:
        return None
    try:
        if not isinstance(value, str | bytes | bool):
            return float(value)
    except (TypeError, ValueError, OverflowError):
        pass
    raise InvalidInput(f"{name} must be a number, not {value!r:.100}")


def _whole(name: str, value: Any) -> int | None:
    """A number of type integer; those of numpy are some, too."""
    if value is None:
        return None
    try:
        whole = None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        whole = None
    if whole is None:
        raise InvalidInput(f"{name} must be a whole number, not {type(value).__name__}")
    if not -(2**31) <= whole < 2**31:
        raise InvalidInput(f"{name} is out of range: PostgreSQL takes whole numbers below {2**31}")
    return whole


def _truth(name: str, value: Any) -> bool | None:
    if value is None or isinstance(value, bool):
        return value
    if getattr(getattr(value, "dtype", None), "kind", None) == "b" and getattr(value, "ndim", 1) == 0:
        return bool(value)
    raise InvalidInput(f"{name} must be True or False, not {type(value).__name__}")


_CONVERSIONS: dict[str, Callable[[str, Any], Any]] = {
    **dict.fromkeys(("content", "summary", "topic", "emotion_type", "temporal_type"), _text),
    **dict.fromkeys(("thread_id", "session_id", "memory_trace_id"), _name),
    **dict.fromkeys(("entities", "meta_tags"), _texts),
    "gravity_score": _number,
    "identity_anchor": _truth,
}
"""What a memory's columns hold."""

_RECALL_CONVERSIONS: dict[str, Callable[[str, Any], Any]] = {
    "query": _text,
    "limit": _whole,
    "emotion_type": _text,
    **dict.fromkeys(("thread_id", "session_id"), _name),
    **dict.fromkeys(("entities", "meta_tags"), _texts),
    **dict.fromkeys(
        (
            "min_gravity",
            "semantic_weight",
            "lexical_weight",
            "neighbour_weight",
            "gravity_weight",
            "recency_weight",
        ),
        _number,
    ),
}
"""What recall_memories() takes, where it is not looked at otherwise."""


def _json(name: str, value: Mapping[str, Any] | None) -> str | None:
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise InvalidInput(f"{name} must be a dict, not {type(value).__name__}")
    try:
        return json.dumps(dict(value), allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"{name} cannot be written as JSON: {error}") from error


def _uuid(value: UUID | str) -> UUID:
    try:
        return value if isinstance(value, UUID) else UUID(value)
    except (ValueError, AttributeError, TypeError) as error:
        raise InvalidInput(f"{value!r} is no UUID") from error


def _require_zone(name: str, value: datetime | None) -> None:
    if value is None:
        return
    if not isinstance(value, datetime):
        raise InvalidInput(f"{name} must be a datetime, not {type(value).__name__}")
    if value.tzinfo is None:
        raise InvalidInput(f"{name} must carry a time zone, for example datetime.now(timezone.utc)")
