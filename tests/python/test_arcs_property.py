"""Whatever happened to the memories, the arcs are what the memories say.

Random histories run against the triggers, a brute-force model of the rule, and gravity_memory_rebuild_arcs(). They are
the same in every run; GRAVITY_MEMORY_EXAMPLES=2000 makes as many new random ones.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from devtools.fixtures import Connection
from tests.python.arc_states import (
    Memory,
    Rule,
    Warnings,
    assert_totals_are_right,
    expected_arcs,
    stored_arcs,
)

_EXAMPLES = os.environ.get("GRAVITY_MEMORY_EXAMPLES")
_histories = settings(
    max_examples=int(_EXAMPLES or 100),
    derandomize=_EXAMPLES is None,
    deadline=None,
    database=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)

_EPOCH = datetime(2026, 3, 28, tzinfo=UTC)
# Names with what means something in LIKE, regular expressions, arrays, JSON or SQL, and names that contain others.
_USERS = ("ada", "o'hara \"%_\\", "ad")
_EMOTIONS = ("joy", "enjoyment", "%", "a.c (x)", "😀 {b,NULL}", None, "")
_RULES = {
    "the specification's rule": Rule(),
    "pairs at a lower threshold": Rule(0.5, 2, timedelta(hours=12)),
    "five at a higher threshold": Rule(0.85, 5, timedelta(hours=48)),
}

_users = st.sampled_from(_USERS[:2] * 3 + _USERS)
_emotions = st.sampled_from(_EMOTIONS[:1] * 8 + _EMOTIONS)
_gravities = st.sampled_from((0.8, 0.85, 0.9, 1.0, 0.9, 0.8, 0.81, 0.79999, 0.5, 0.4, 0.0, None))
# On a grid of six hours, so that equal times and distances of exactly a window are common, or a microsecond beside it.
_times = st.builds(
    lambda steps, microseconds: _EPOCH + timedelta(hours=6 * steps, microseconds=microseconds),
    st.integers(0, 24),
    st.sampled_from((0, 0, 0, 0, -1, 1)),
)
_memories = st.builds(Memory, _users, _emotions, _gravities, _times)
_picks = st.lists(st.integers(0, 1000), min_size=1, max_size=5, unique=True)


@dataclass(frozen=True)
class Insert:
    """Write memories in one statement."""

    memories: list[Memory]
    how: str


@dataclass(frozen=True)
class Update:
    """Give memories, picked from those that there are, new values in one statement."""

    picks: list[int]
    changes: dict[str, Any]


@dataclass(frozen=True)
class Delete:
    """Delete memories, picked from those that there are, in one statement."""

    picks: list[int]


@dataclass(frozen=True)
class Evolve:
    """Let arcs become active, mature or dormant as of so many days after the first memory."""

    days: int


Step = Insert | Update | Delete | Evolve


@dataclass(frozen=True)
class Block:
    """Steps that are committed one by one, together, or up to a savepoint; or rolled back."""

    how: str
    steps: list[Step]


_changes = st.one_of(
    st.fixed_dictionaries({"gravity": _gravities}),
    st.fixed_dictionaries({"emotion": _emotions}),
    st.fixed_dictionaries({"at": _times}),
    st.fixed_dictionaries({"user": _users}),
    st.fixed_dictionaries({"gravity": _gravities, "emotion": _emotions, "at": _times, "user": _users}),
)
_inserts = st.builds(Insert, st.lists(_memories, min_size=1, max_size=6), st.sampled_from(("values", "copy", "upsert")))
_steps: st.SearchStrategy[Step] = st.one_of(
    _inserts, _inserts, st.builds(Update, _picks, _changes), st.builds(Delete, _picks)
)
_evolving_steps: st.SearchStrategy[Step] = st.one_of(_steps, _steps, st.builds(Evolve, st.integers(0, 16)))


def _blocks(steps: st.SearchStrategy[Step]) -> st.SearchStrategy[list[Block]]:
    how = st.sampled_from(("each", "each", "together", "to savepoint", "rolled back"))
    return st.lists(st.builds(Block, how, st.lists(steps, min_size=1, max_size=5)), min_size=1, max_size=7)


class History:
    """Runs blocks against the database and keeps the memories that should be there.

    Users get a prefix, so that many histories fit into one database.
    """

    _numbers = count(1)

    def __init__(self, db: Connection) -> None:
        self.db = db
        self.prefix = f"{next(self._numbers)}:"
        self.memories: dict[str, Memory] = {}

    @property
    def users(self) -> list[str]:
        """The users of this history."""
        return [self.prefix + name for name in _USERS]

    def run(self, blocks: Sequence[Block]) -> None:
        """Run all blocks."""
        for block in blocks:
            before = dict(self.memories)
            if block.how == "each":
                self._run_steps(block.steps)
            elif block.how == "together":
                with self.db.transaction():
                    self._run_steps(block.steps)
            elif block.how == "rolled back":
                with self.db.transaction(force_rollback=True):
                    self._run_steps(block.steps)
                self.memories = before
            else:
                middle = len(block.steps) // 2
                with self.db.transaction():
                    self._run_steps(block.steps[:middle])
                    before = dict(self.memories)
                    with self.db.transaction(force_rollback=True):
                        self._run_steps(block.steps[middle:])
                    self.memories = before

    def _run_steps(self, steps: Sequence[Step]) -> None:
        for step in steps:
            match step:
                case Insert(memories, how):
                    self._insert([replace(one, user=self.prefix + one.user) for one in memories], how)
                case Update(picks, changes):
                    self._update(self._picked(picks), changes)
                case Delete(picks):
                    keys = self._picked(picks)
                    self.db.execute("DELETE FROM gravity_map WHERE id = ANY (%s::uuid[])", (keys,))
                    for key in keys:
                        del self.memories[key]
                case Evolve(days):
                    self.db.execute("SELECT gravity_memory_evolve_arcs(%s)", (_EPOCH + timedelta(days=days),))

    def _picked(self, picks: Sequence[int]) -> list[str]:
        keys = list(self.memories)
        return sorted({keys[pick % len(keys)] for pick in picks}) if keys else []

    def _insert(self, memories: Sequence[Memory], how: str) -> None:
        rows = {str(uuid.uuid4()): one for one in memories}
        columns = "(id, user_id, emotion_type, gravity_score, created_at)"
        if how == "copy":
            with self.db.cursor().copy(f"COPY gravity_map {columns} FROM STDIN") as copy:
                for key, one in rows.items():
                    copy.write_row((key, one.user, one.emotion, one.gravity, one.at))
        else:
            if how == "upsert" and self.memories:
                # One row is there already and gets the values of the first new one.
                old, new = next(iter(self.memories)), next(iter(rows))
                rows = {old: rows.pop(new), **rows}
            self.db.execute(
                f"""
                INSERT INTO gravity_map {columns}
                SELECT * FROM unnest(%s::uuid[], %s::text[], %s::text[], %s::double precision[], %s::timestamptz[])
                ON CONFLICT (id) DO UPDATE
                SET user_id = EXCLUDED.user_id, emotion_type = EXCLUDED.emotion_type,
                    gravity_score = EXCLUDED.gravity_score, created_at = EXCLUDED.created_at
                """.encode(),
                (
                    list(rows),
                    [one.user for one in rows.values()],
                    [one.emotion for one in rows.values()],
                    [one.gravity for one in rows.values()],
                    [one.at for one in rows.values()],
                ),
            )
        self.memories |= rows

    def _update(self, keys: Sequence[str], changes: dict[str, Any]) -> None:
        values = dict(changes)
        if "user" in values:
            values["user"] = self.prefix + values["user"]
        columns = {"gravity": "gravity_score", "emotion": "emotion_type", "at": "created_at", "user": "user_id"}
        assignments = ", ".join(f"{columns[name]} = %({name})s" for name in values)
        statement = f"UPDATE gravity_map SET {assignments} WHERE id = ANY (%(keys)s::uuid[])"
        self.db.execute(statement.encode(), {**values, "keys": list(keys)})
        for key in keys:
            self.memories[key] = replace(self.memories[key], **values)

    def rebuild(self) -> None:
        """Rebuild the arcs of all users of this history."""
        for user in self.users:
            self.db.execute("SELECT gravity_memory_rebuild_arcs(%s)", (user,))


@pytest.fixture
def warnings(db: Connection) -> Warnings:
    """Of the test's own connection."""
    collected = Warnings()
    collected.watch(db)
    return collected


@pytest.fixture(params=list(_RULES.values()), ids=list(_RULES))
def rule(request: pytest.FixtureRequest, db: Connection) -> Rule:
    """A rule, in force in the test's database."""
    chosen: Rule = request.param
    values = {
        "arc_gravity_threshold": str(chosen.threshold),
        "arc_min_memories": str(chosen.memories),
        "arc_window": f"{chosen.window.total_seconds() / 3600:g} hours",
    }
    for name, value in values.items():
        db.execute("SELECT gravity_memory_set(%s, %s)", (name, value))
    return chosen


@_histories
@given(blocks=_blocks(_steps))
def test_arcs_are_what_the_memories_say_whatever_their_history(
    db: Connection, rule: Rule, warnings: Warnings, blocks: list[Block]
) -> None:
    history = History(db)
    history.run(blocks)
    built = stored_arcs(db, history.users)
    assert built == expected_arcs(history.memories, rule)

    history.rebuild()
    assert stored_arcs(db, history.users) == built, "a rebuild changes nothing"

    db.execute("DELETE FROM memory_arcs WHERE user_id = ANY (%s)", (history.users,))
    assert stored_arcs(db, history.users) == set()
    history.rebuild()
    assert stored_arcs(db, history.users) == built, "a rebuild from nothing makes the same arcs"
    assert warnings.messages == []


@_histories
@given(blocks=_blocks(_evolving_steps))
def test_a_rebuild_equals_the_triggers_when_arcs_were_closed_in_between(
    db: Connection, warnings: Warnings, blocks: list[Block]
) -> None:
    history = History(db)
    history.run(blocks)
    built = stored_arcs(db, history.users)
    assert_totals_are_right(db, history.users)

    # Every memory of a cluster is in exactly one arc of its emotion, and no open arc has other members.
    for wanted in expected_arcs(history.memories):
        note(f"{wanted.user} {wanted.emotion}")
        arcs = [arc for arc in built if (arc.user, arc.emotion) == (wanted.user, wanted.emotion)]
        for key in wanted.members:
            assert sum(key in arc.members for arc in arcs) == 1
    clustered = {key for arc in expected_arcs(history.memories) for key in arc.members}
    for arc in built:
        if arc.stage in {"forming", "active"}:
            assert arc.members <= clustered

    history.rebuild()
    assert stored_arcs(db, history.users) == built
    assert warnings.messages == []


def test_the_model_knows_its_rule() -> None:
    """The brute-force model is itself checked, on cases small enough to do by hand."""

    def hours(*values: float) -> dict[str, Memory]:
        return {str(n): Memory("u", "joy", 0.9, _EPOCH + timedelta(hours=value)) for n, value in enumerate(values)}

    def members(memories: dict[str, Memory]) -> list[list[str]]:
        return sorted(sorted(arc.members) for arc in expected_arcs(memories))

    assert members(hours(0, 1)) == []
    assert members(hours(0, 1, 23.999)) == [["0", "1", "2"]]
    assert members(hours(0, 1, 24)) == []
    assert members(hours(0, 10, 20, 30, 54, 60)) == [["0", "1", "2", "3"]]
    assert members(hours(5, 5, 5)) == [["0", "1", "2"]]
