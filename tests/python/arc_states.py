"""What the arc tests compare: the arcs in a database, and the arcs that a set of memories should make."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import psycopg

from devtools.fixtures import Connection

AUTOMATIC_SUFFIX = " arc (auto-created)"


@dataclass(frozen=True)
class Memory:
    """What decides about arcs: whose memory, which emotion, its gravity (0..1) and when it was created."""

    user: str
    emotion: str | None
    gravity: float | None
    at: datetime


@dataclass(frozen=True)
class Rule:
    """The settings that say which memories form arcs; the defaults are the specification's."""

    threshold: float = 0.8
    memories: int = 3
    window: timedelta = timedelta(hours=24)


@dataclass(frozen=True)
class Arc:
    """An arc with its members' ids, and totals rounded so that float noise below 1e-9 does not count."""

    user: str
    name: str
    emotion: str | None
    stage: str
    members: frozenset[str]
    mean: float | None
    peak: float | None
    first: datetime | None
    last: datetime | None


def expected_arcs(memories: Mapping[str, Memory], rule: Rule = Rule()) -> set[Arc]:
    """The arcs of a database in which nothing was ever closed or made by hand, by brute force.

    A memory is clustered when it is one of `rule.memories` memories of its user and emotion, at or over the threshold,
    in some half-open stretch of time as long as the window; it suffices to try the stretches that begin at a memory.
    """
    groups: dict[tuple[str, str], dict[str, Memory]] = {}
    for key, memory in memories.items():
        if memory.emotion and memory.gravity is not None and memory.gravity >= rule.threshold:
            groups.setdefault((memory.user, memory.emotion), {})[key] = memory
    arcs = set()
    for (user, emotion), group in groups.items():
        clustered: set[str] = set()
        for start in group.values():
            stretch = {key for key, one in group.items() if start.at <= one.at < start.at + rule.window}
            if len(stretch) >= rule.memories:
                clustered |= stretch
        if clustered:
            arcs.add(_arc(user, emotion + AUTOMATIC_SUFFIX, emotion, "forming", {key: group[key] for key in clustered}))
    return arcs


def _arc(user: str, name: str, emotion: str | None, stage: str, members: Mapping[str, Memory]) -> Arc:
    gravities = [one.gravity for one in members.values() if one.gravity is not None]
    times = [one.at for one in members.values()]
    return Arc(
        user,
        name,
        emotion,
        stage,
        frozenset(members),
        round(math.fsum(gravities) / len(gravities), 8) if gravities else None,
        max(gravities, default=None),
        min(times, default=None),
        max(times, default=None),
    )


def stored_arcs(db: Connection, users: Iterable[str] | None = None) -> set[Arc]:
    """The arcs with the totals that are stored, of the users given or of all.

    Raises:
        AssertionError: a stored memory_count is not the number of members, or two arcs are equal.
    """
    rows = db.execute(
        """
        SELECT a.user_id, a.arc_name, a.emotion_type, a.evolution_stage, a.memory_count,
               COALESCE(array_agg(l.memory_id::text) FILTER (WHERE l.memory_id IS NOT NULL), '{}'),
               a.gravity_center, a.peak_gravity, a.first_memory_at, a.last_memory_at
        FROM memory_arcs AS a LEFT JOIN memory_arc_associations AS l ON l.arc_id = a.id
        WHERE %(users)s::text[] IS NULL OR a.user_id = ANY (%(users)s)
        GROUP BY a.id
        """,
        {"users": None if users is None else list(users)},
    ).fetchall()
    arcs = set()
    for user, name, emotion, stage, count, members, mean, *rest in rows:
        assert count == len(members), f"{user}: {name} stores {count} members and has {len(members)}"
        peak, first, last = rest
        arcs.add(
            Arc(
                user,
                name,
                emotion,
                stage,
                frozenset(members),
                mean if mean is None else round(mean, 8),
                peak,
                first,
                last,
            )
        )
    assert len(arcs) == len(rows)
    return arcs


def stored_memories(db: Connection) -> dict[str, Memory]:
    """All memories by id."""
    rows = db.execute("SELECT id::text, user_id, emotion_type, gravity_score, created_at FROM gravity_map").fetchall()
    return {key: Memory(*rest) for key, *rest in rows}


def assert_totals_are_right(db: Connection, users: Iterable[str] | None = None) -> None:
    """Every arc's totals are those of its members as they are now (mean within 1e-8)."""
    memories = stored_memories(db)
    for arc in stored_arcs(db, users):
        members = {key: memories[key] for key in arc.members}
        wanted = _arc(arc.user, arc.name, arc.emotion, arc.stage, members)
        if not members:
            # Made by hand: it keeps its last centre, so that the application finds it where it was.
            wanted = replace(wanted, mean=arc.mean)
        assert arc == wanted, f"{arc} should be {wanted}"


def rebuild_all(db: Connection) -> None:
    """Rebuild the arcs of every user, in one order."""
    users = db.execute("SELECT user_id FROM gravity_map UNION SELECT user_id FROM memory_arcs ORDER BY 1").fetchall()
    for (user,) in users:
        db.execute("SELECT gravity_memory_rebuild_arcs(%s)", (user,))


class Warnings:
    """The WARNINGs of some connections; a correct run has none, because each says that an arc was left incomplete."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self._lock = threading.Lock()

    def watch(self, connection: psycopg.Connection[Any]) -> None:
        """Collect this connection's WARNINGs from now on."""
        connection.add_notice_handler(self._note)

    def _note(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        if diagnostic.severity_nonlocalized == "WARNING":
            with self._lock:
                self.messages.append(diagnostic.message_primary or "")
