"""What the triggers should make of memories: tags, events, notifications and gaps, in plain Python.

It knows the specification and what the docs promise beyond it, and nothing of how the triggers do it. Arcs have a model
of their own in tests.python.arc_states.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.python.arc_states import Memory, Rule

Row = dict[str, Any]
"""A memory by column. `created_at` and `updated_at` are datetimes, or 'infinity' or '-infinity'."""

ANNOUNCED = ("id", "user_id", "thread_id", "session_id", "gravity_score", "emotion_type", "created_at")
"""What a notification tells (specification)."""

RECORDED = (
    *("id", "user_id", "thread_id", "session_id", "memory_trace_id", "content", "summary", "topic", "gravity_score"),
    *("emotion_type", "entities", "meta_tags", "identity_anchor", "temporal_type", "metadata"),
    *("created_at", "updated_at"),
)
"""What an event of the feed tells: everything but the embedding."""

LONGEST_PAYLOAD = 7_999
"""Bytes: PostgreSQL refuses more in a notification."""

_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}
_PAST = re.compile(r"(?<!\w)(yesterday|last[ \t\n\r\f\v]+week|remember(s|ed|ing)?|before)(?!\w)")
_FUTURE = re.compile(
    r"(?<!\w)(tomorrow|next[ \t\n\r\f\v]+week|will|won['\u2019]t|plan(s|ned|ning)?|going[ \t\n\r\f\v]+to)(?!\w)"
    r"|['\u2019]ll(?!\w)"
)


@dataclass(frozen=True)
class Rules:
    """Settings; the defaults are those of the extension.

    Attributes:
        is_adopted: gravity_map has no constraint on gravity_score, as an adopted table may.
    """

    is_adopted: bool = False
    high_gravity: float = 0.85
    identity: tuple[str, ...] = ("Blu", "Matt", "Atlas", "Ivy")
    identity_match: str = "all"
    arcs: Rule = field(default_factory=Rule)
    notify: str = "payload"
    feed: str = "off"
    notify_bulk_rows: int = 1000
    derive_bulk_rows: int = 0
    text_search_config: str = "english"

    @property
    def records(self) -> bool:
        """Changes are recorded in the feed."""
        return self.notify == "wakeup" or self.feed == "on"

    def values(self) -> dict[str, str]:
        """As gravity_memory_set() takes them."""
        return {
            "high_gravity_threshold": repr(self.high_gravity),
            "identity_entities": json.dumps(self.identity),
            "identity_match": self.identity_match,
            "arc_gravity_threshold": repr(self.arcs.threshold),
            "arc_min_memories": str(self.arcs.memories),
            "arc_window": f"{self.arcs.window / timedelta(hours=1):g} hours",
            "notify": self.notify,
            "feed": self.feed,
            "notify_bulk_rows": str(self.notify_bulk_rows),
            "derive_bulk_rows": str(self.derive_bulk_rows),
            "text_search_config": self.text_search_config,
        }

    def refuses(self, row: Row) -> bool:
        """The table's constraints do not let this memory in."""
        gravity = row["gravity_score"]
        return row["user_id"] is None or not (self.is_adopted or gravity is None or 0 <= gravity <= 1)


def flat(array: Sequence[Any] | None) -> list[Any]:
    """The elements of an array of any dimensions."""
    return [deep for one in array or [] for deep in (flat(one) if isinstance(one, list) else [one])]


def temporal_type(content: str | None) -> str:
    """What the words of a memory say about its time."""
    text = (content or "").translate(_LOWER)
    return "past" if _PAST.search(text) else "future" if _FUTURE.search(text) else "present"


def tagged(row: Row, rules: Rules, *, is_new: bool) -> tuple[Row, bool]:
    """The memory as the tagging trigger leaves it, and whether that is with a WARNING.

    Tags in two dimensions take no further tag; what comes after the one that failed is left as it came.
    """
    result = dict(row)
    gravity = row["gravity_score"]
    found = set(rules.identity) & set(flat(row["entities"]))
    due = {
        "high_gravity": gravity is not None and rules.high_gravity <= gravity < math.inf,
        "identity": bool(found) and (rules.identity_match == "any" or found == set(rules.identity)),
    }
    for tag in (tag for tag, is_due in due.items() if is_due):
        if tag == "high_gravity":
            result["identity_anchor"] = True
        tags = result["meta_tags"] or []
        if tag not in flat(tags):
            if any(isinstance(one, list) for one in tags):
                return result, True
            result["meta_tags"] = [*tags, tag]
    if is_new and row["temporal_type"] is None:
        result["temporal_type"] = temporal_type(row["content"])
    return result, False


def as_json(row: Row, columns: Sequence[str]) -> Row:
    """The columns as PostgreSQL's JSON has them: numbers that JSON lacks are texts."""
    result = {name: row[name] for name in columns}
    gravity = result["gravity_score"]
    if gravity is not None and not math.isfinite(gravity):
        result["gravity_score"] = "NaN" if math.isnan(gravity) else "Infinity" if gravity > 0 else "-Infinity"
    return result


def from_json(payload: Mapping[str, Any]) -> Row:
    """A payload with its times read, and its gravity a float: JSON knows one kind of numbers."""
    result = dict(payload)
    if isinstance(result.get("gravity_score"), int):
        result["gravity_score"] = float(result["gravity_score"])
    for name in ("created_at", "updated_at"):
        if result.get(name) is not None and not result[name].endswith("infinity"):
            result[name] = datetime.fromisoformat(result[name])
    return result


def arc_memory(row: Row) -> Memory | None:
    """What decides about arcs; None for a memory that can be in none: with an infinite time, it is near nothing."""
    if isinstance(row["created_at"], str):
        return None
    gravity = row["gravity_score"]
    return Memory(
        row["user_id"], row["emotion_type"], gravity if math.isfinite(gravity or 0) else None, row["created_at"]
    )


@dataclass(frozen=True)
class Event:
    """An event of the feed, of a memory."""

    user: str
    event: str
    subject: str
    payload: str

    @classmethod
    def of(cls, user: str, event: str, subject: str, payload: Row) -> Event:
        """Payloads are compared as texts, so that events can be counted."""
        return cls(user, event, subject, json.dumps(payload, sort_keys=True, default=str))


@dataclass
class Outcome:
    """What a transaction leaves behind beside the memories: per statement its events, and its notifications."""

    events: list[Counter[Event]] = field(default_factory=list)
    announced: list[tuple[str, Row]] = field(default_factory=list)
    gaps: set[str] = field(default_factory=set)
    warnings: int = 0


def inserted(rows: Sequence[Row], rules: Rules) -> Outcome:
    """What an INSERT of these memories, tagged already, leaves behind."""
    result = _written("memory_created", rows, rules)
    if 0 < rules.derive_bulk_rows < len(rows) and len(rows) > 1:
        result.gaps = {row["user_id"] for row in rows}
    return result


def updated(changes: Sequence[tuple[Row, Row]], rules: Rules) -> Outcome:
    """What an UPDATE leaves behind that makes of each first memory the second."""
    result = _written("memory_updated", [new for _, new in changes], rules)
    if rules.records:
        moved = [old for old, new in changes if old["user_id"] != new["user_id"]]
        result.events.insert(0, _deletions(moved))
    return result


def deleted(rows: Sequence[Row], rules: Rules) -> Outcome:
    """What a DELETE of these memories leaves behind."""
    return Outcome(events=[_deletions(rows)] if rules.records else [])


def _deletions(rows: Sequence[Row]) -> Counter[Event]:
    return Counter(
        Event.of(row["user_id"], "memory_deleted", row["id"], {"id": row["id"], "user_id": row["user_id"]})
        for row in rows
    )


def _written(event: str, rows: Sequence[Row], rules: Rules) -> Outcome:
    result = Outcome()
    if rules.records:
        result.events.append(
            Counter(Event.of(row["user_id"], event, row["id"], as_json(row, RECORDED)) for row in rows)
        )
    if rules.notify == "payload":
        if len(rows) > rules.notify_bulk_rows:
            counts = Counter(row["user_id"] for row in rows)
            result.announced = [(event, {"user_id": user, "count": number}) for user, number in counts.items()]
        else:
            result.announced = [(event, as_json(row, ANNOUNCED)) for row in rows]
    return result


def payload_says(heard: Row, wanted: Row) -> bool:
    """Whether a notification is the wanted one, or the wanted one shortened because it had to be.

    What was too long is null, the id is always there, and nothing is missing that would have had room; but where the
    user alone is too long, all texts are null, the time among them.
    """
    if "truncated" not in heard:
        return heard == wanted
    texts = {name: value for name, value in wanted.items() if isinstance(value, str)}
    if heard["truncated"] is not True or {*heard} != {*wanted, "truncated"} or heard.get("id") != wanted.get("id"):
        return False
    gone = [name for name in texts if heard[name] is None and wanted[name] is not None]
    if "user_id" in gone and heard.get("created_at") is None:
        gone.append("created_at")
    kept = {name: value for name, value in wanted.items() if name not in gone}
    longest_kept = max((len(texts[name].encode()) for name in texts if name in kept and name != "user_id"), default=0)
    shortest_gone = min((len(texts[name].encode()) for name in gone if name in texts), default=0)
    size = sum(len(json.dumps(value, ensure_ascii=False).encode()) for value in texts.values())
    return (
        bool(gone)
        and all(heard[name] == value for name, value in kept.items())
        # The frame around the texts, with names, numbers and the time, is shorter than this.
        and size > LONGEST_PAYLOAD - 300
        and (shortest_gone >= longest_kept / 6 or "user_id" in gone)
    )
