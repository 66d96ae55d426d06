"""Whatever is written, however hostile, every trigger makes of it what a model in Python says.

Random histories of whole memories, under random settings: tags, arcs, events of the feed, notifications and derived
rows are compared after each. They are the same in every run; GRAVITY_MEMORY_EXAMPLES=2000 makes as many new random
ones, `make test-full` the same 2,000.
"""

from __future__ import annotations

import json
import math
import os
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from psycopg.types.json import Jsonb

from devtools.fixtures import Connection, MakeDatabase
from devtools.full_scale import bounded
from devtools.servers import Server
from tests.python import hostile_memories
from tests.python import trigger_model as model
from tests.python.arc_states import Rule, Warnings, expected_arcs, rebuild_all, stored_arcs
from tests.python.derived_rows import (
    assert_derived_rows_are_right,
    assert_wrong_rows_are_noted,
    recall_gaps,
    wrong_derived_rows,
)
from tests.python.hostile_memories import DIMENSIONS, EMOTIONS, GRAVITIES, IDENTITIES, TIMES, USERS, WILD_GRAVITIES
from tests.python.trigger_model import Event, Outcome, Row, Rules

_EXAMPLES = os.environ.get("GRAVITY_MEMORY_EXAMPLES")
_histories = settings(
    derandomize=_EXAMPLES is None,
    deadline=None,
    database=None,
    print_blob=True,
    report_multiple_bugs=False,
    suppress_health_check=list(HealthCheck),
)
_NEWEST = 18
"""The version of PostgreSQL on which most of the histories run; the others show that they do not differ."""

CHANNELS = ("memory_created", "memory_updated", "arc_created", "memory_changes")
_COLUMNS = dict.fromkeys(model.RECORDED, "") | {
    "entities": "::text[]",
    "meta_tags": "::text[]",
    "embedding": "::vector",
    "created_at": "::timestamptz",
    "updated_at": "::timestamptz",
}
_TABLES = "gravity_map, memory_arcs, memory_arc_associations, memory_events, memory_arc_locks"


def _weighted(*parts: tuple[int, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """One of the strategies, as often as its weight says: one_of() takes equal ones for one."""
    places = [strategy for weight, strategy in parts for _ in range(weight)]
    return st.integers(0, len(places) - 1).flatmap(places.__getitem__)


# Few users and emotions, so that there are clusters, and times on a grid, so that equal ones are common. Now and then
# a memory that belongs to nobody, which the table refuses.
_users = st.sampled_from((*["ada"] * 140, *USERS * 15, None))
_emotions = st.sampled_from(("joy",) * 8 + EMOTIONS)
_EPOCH = datetime(2026, 3, 28, tzinfo=UTC)
_grid = st.builds(
    lambda steps, microseconds: _EPOCH + timedelta(hours=6 * steps, microseconds=microseconds),
    st.integers(0, 12),
    st.sampled_from((0, 0, 0, 0, -1, 1)),
)
_times = _weighted((9, _grid), (1, st.sampled_from(TIMES)))


def _memories(gravities: st.SearchStrategy[float | None]) -> st.SearchStrategy[Row]:
    # The rest comes from one number: hypothesis has room for a few thousand choices, which would be few memories.
    return st.builds(
        lambda seed, decisive: hostile_memories.memory(seed) | decisive,
        st.integers(0, 2**32),
        st.fixed_dictionaries(
            {"user_id": _users, "gravity_score": gravities, "emotion_type": _emotions, "created_at": _times}
        ),
    )


_rules = st.builds(
    Rules,
    is_adopted=st.booleans(),
    high_gravity=st.sampled_from((0.85, 0.85, 0.5, 1.0)),
    identity=st.sampled_from((IDENTITIES, IDENTITIES, ('O"Neill, {x}', "blu"), ())),
    identity_match=st.sampled_from(("all", "any")),
    arcs=st.sampled_from((Rule(), Rule(0.5, 2, timedelta(hours=12)), Rule(0.85, 5, timedelta(hours=48)))),
    notify=st.sampled_from(("payload", "payload", "wakeup", "off")),
    feed=st.sampled_from(("on", "on", "off")),
    notify_bulk_rows=st.sampled_from((1000, 1000, 2, 0)),
    derive_bulk_rows=st.sampled_from((0, 0, 2)),
    text_search_config=st.sampled_from(("english", "english", "simple")),
)


@dataclass(frozen=True)
class Insert:
    """Write memories in one statement."""

    memories: list[Row]
    how: str


@dataclass(frozen=True)
class Update:
    """Give memories, picked from those that there are, new values in one statement."""

    picks: list[int]
    changes: Row


@dataclass(frozen=True)
class Delete:
    """Delete memories, picked from those that there are, in one statement."""

    picks: list[int]


Step = Insert | Update | Delete


@dataclass(frozen=True)
class Block:
    """Steps that are committed one by one, together, or up to a savepoint; or rolled back."""

    how: str
    steps: list[Step]


def _blocks(rules: Rules) -> st.SearchStrategy[list[Block]]:
    # A wild one now and then, which our table refuses, and an adopted one takes.
    wild = st.sampled_from(WILD_GRAVITIES)
    memories = _memories(_weighted((5 if rules.is_adopted else 100, st.sampled_from(GRAVITIES)), (1, wild)))
    picks = st.lists(st.integers(0, 1000), min_size=1, max_size=5, unique=True)
    how = st.sampled_from(("values", "values", "copy", "upsert"))
    changes = memories.flatmap(
        lambda row: st.lists(st.sampled_from(sorted(row)), min_size=1, max_size=4, unique=True).map(
            lambda names: {name: row[name] for name in names}
        )
    )
    inserts = st.builds(Insert, st.lists(memories, min_size=1, max_size=6), how)
    steps = _weighted((4, inserts), (3, st.builds(Update, picks, changes)), (1, st.builds(Delete, picks)))
    hows = st.sampled_from(("each", "each", "together", "to savepoint", "rolled back"))
    return st.lists(st.builds(Block, hows, st.lists(steps, min_size=1, max_size=4)), min_size=1, max_size=5)


_cases = _rules.flatmap(lambda rules: st.tuples(st.just(rules), _blocks(rules)))


@dataclass
class State:
    """What should be there: the memories, and what their statements left behind."""

    rows: dict[str, Row] = field(default_factory=dict)
    events: list[Counter[Event]] = field(default_factory=list)
    gaps: set[str] = field(default_factory=set)
    announced: list[tuple[str, Row]] = field(default_factory=list)
    recorded: bool = False

    def copy(self) -> State:
        """A state to come back to."""
        return State(dict(self.rows), list(self.events), set(self.gaps), list(self.announced), self.recorded)

    def add(self, outcome: Outcome) -> None:
        """A statement left this behind."""
        self.events += [one for one in outcome.events if one]
        self.recorded = self.recorded or any(outcome.events)
        self.gaps |= outcome.gaps
        # PostgreSQL sends what is the same only once per transaction.
        self.announced += [one for one in outcome.announced if one not in self.announced]


class History:
    """Runs blocks against an emptied database and against the model."""

    memories_written = 0
    statements = 0

    def __init__(self, db: Connection, rules: Rules, heard: list[tuple[str, str]], warnings: Warnings) -> None:
        self.db = db
        self.rules = rules
        self.state = State()
        self.arcs_announced: list[str] = []
        self._is_refused = False
        self._heard = heard
        self._said = warnings
        self._empty()

    def _empty(self) -> None:
        self.db.execute("SELECT gravity_memory_set('notify', 'off'), gravity_memory_set('feed', 'off')")
        self.db.execute(f"TRUNCATE {_TABLES}".encode())
        constraint = "ALTER TABLE gravity_map DROP CONSTRAINT IF EXISTS gravity_map_gravity_score_range"
        if not self.rules.is_adopted:
            constraint += (
                ", ADD CONSTRAINT gravity_map_gravity_score_range CHECK (gravity_score >= 0 AND gravity_score <= 1)"
            )
        self.db.execute(constraint.encode())
        for name, value in self.rules.values().items():
            self.db.execute("SELECT gravity_memory_set(%s, %s)", (name, value))
        self.db.execute("CALL gravity_memory_rebuild_recall()")
        row = self.db.execute("SELECT COALESCE(max(event_id), 0) FROM memory_events").fetchone()
        assert row is not None
        self.first_event = row[0]
        self.cursor = None
        if self.rules.records:
            head = self.db.execute("SELECT memory_changes_head()").fetchone()
            assert head is not None
            self.cursor = head[0]
        self._heard.clear()
        self._said.messages.clear()

    def run(self, blocks: Sequence[Block]) -> None:
        """Run all blocks, and compare what each committed transaction announced."""
        for block in blocks:
            if block.how == "each":
                for step in block.steps:
                    self._transaction(lambda step=step: self._steps([step]))  # type: ignore[misc]
            elif block.how == "rolled back":
                before = self.state.copy()
                with self.db.transaction(force_rollback=True):
                    self._steps(block.steps)
                self.state = before
                self._compare_announced([], woken=False)
            elif block.how == "together":
                self._transaction(lambda block=block: self._steps(block.steps))  # type: ignore[misc]
            else:
                self._transaction(lambda block=block: self._to_savepoint(block.steps))  # type: ignore[misc]

    def _to_savepoint(self, steps: Sequence[Step]) -> None:
        middle = len(steps) // 2
        self._steps(steps[:middle])
        before = self.state.copy()
        with self.db.transaction(force_rollback=True):
            self._steps(steps[middle:])
        self.state = before

    def _transaction(self, work: Callable[[], None]) -> None:
        self.state.announced, self.state.recorded = [], False
        with self.db.transaction():
            work()
        self._compare_announced(self.state.announced, woken=self.state.recorded and self.rules.notify != "off")

    def _compare_announced(self, wanted: list[tuple[str, Row]], *, woken: bool) -> None:
        # Notifications come before the answer to the next statement at the latest.
        self.db.execute("SELECT 1")
        heard = [(channel, payload) for channel, payload in self._heard if channel != "arc_created"]
        self.arcs_announced += [payload for channel, payload in self._heard if channel == "arc_created"]
        self._heard.clear()
        assert heard.count(("memory_changes", "")) == int(woken)
        said = [(channel, payload) for channel, payload in heard if channel != "memory_changes"]
        assert all(len(payload.encode()) <= model.LONGEST_PAYLOAD for _, payload in said)
        parsed = [(channel, model.from_json(json.loads(payload))) for channel, payload in said]
        matches = [
            [channel == wanted_channel and model.payload_says(payload, row) for wanted_channel, row in wanted]
            for channel, payload in parsed
        ]
        assert all(map(any, matches)), "nobody expected one of them"
        assert all(map(any, zip(*matches, strict=True))) or not wanted, "one is missing"
        assert bool(parsed) == bool(wanted)
        if not any("truncated" in payload for _, payload in parsed):
            # Those that only differ in what was too long are one: PostgreSQL sends what is the same only once.
            assert len(parsed) == len(wanted)

    def _steps(self, steps: Sequence[Step]) -> None:
        for step in steps:
            before = self.state.copy()
            warned = len(self._said.messages)
            expected = 0
            try:
                with self.db.transaction():
                    match step:
                        case Insert(memories, how):
                            expected = self._insert(memories, how)
                        case Update(picks, changes):
                            expected = self._update(self._picked(picks), changes)
                        case Delete(picks):
                            self._delete(self._picked(picks))
            except (psycopg.errors.NotNullViolation, psycopg.errors.CheckViolation):
                self.state = before
                assert self._is_refused
                event("refused")
            else:
                assert not self._is_refused
                assert len(self._said.messages) - warned == expected, self._said.messages[warned:]
                History.statements += 1

    def _picked(self, picks: Sequence[int]) -> list[str]:
        keys = list(self.state.rows)
        return sorted({keys[pick % len(keys)] for pick in picks}) if keys else []

    def _insert(self, memories: Sequence[Row], how: str) -> int:
        rows = [{"id": str(uuid.uuid4()), **one} for one in memories]
        replaced: list[tuple[Row, Row]] = []
        tagged = [model.tagged(row, self.rules, is_new=True) for row in rows]
        warned = sum(is_warned for _, is_warned in tagged)
        new = [row for row, _ in tagged]
        if how == "upsert" and self.state.rows:
            # One row is there already and gets the values of the first new one, as tagged for the insert.
            old = next(iter(self.state.rows.values()))
            rows[0]["id"] = new[0]["id"] = old["id"]
            row, is_warned = model.tagged(new.pop(0), self.rules, is_new=False)
            warned += is_warned
            replaced = [(old, row)]
        self._is_refused = any(self.rules.refuses(row) for row in rows)
        names = ", ".join(_COLUMNS)
        if how == "copy":
            with self.db.cursor().copy(f"COPY gravity_map ({names}) FROM STDIN".encode()) as copy:
                for row in rows:
                    copy.write_row([_parameter(name, row[name]) for name in _COLUMNS])
        else:
            values = f"({', '.join('%s' + cast for cast in _COLUMNS.values())})"
            updates = ", ".join(f"{name} = EXCLUDED.{name}" for name in _COLUMNS if name != "id")
            statement = f"INSERT INTO gravity_map ({names}) VALUES {', '.join([values] * len(rows))}"
            if how == "upsert":
                statement += f" ON CONFLICT (id) DO UPDATE SET {updates}"
            self.db.execute(statement.encode(), [_parameter(name, row[name]) for row in rows for name in _COLUMNS])
        History.memories_written += len(rows)
        # The triggers of the update come first.
        if how == "upsert":
            self.state.rows |= {row["id"]: row for _, row in replaced}
            self.state.add(model.updated(replaced, self.rules))
        self.state.rows |= {row["id"]: row for row in new}
        self.state.add(model.inserted(new, self.rules))
        return warned

    def _update(self, keys: Sequence[str], changes: Row) -> int:
        pairs = []
        warned = 0
        self._is_refused = False
        for key in keys:
            old = self.state.rows[key]
            new = {**old, **changes}
            self._is_refused |= self.rules.refuses(new)
            if {"gravity_score", "entities"} & changes.keys():
                new, is_warned = model.tagged(new, self.rules, is_new=False)
                warned += is_warned
            pairs.append((old, new))
        assignments = ", ".join(f"{name} = %s{_COLUMNS[name]}" for name in changes)
        self.db.execute(
            f"UPDATE gravity_map SET {assignments} WHERE id = ANY (%s::uuid[])".encode(),
            [*(_parameter(name, value) for name, value in changes.items()), list(keys)],
        )
        self.state.rows |= {new["id"]: new for _, new in pairs}
        self.state.add(model.updated(pairs, self.rules))
        return warned

    def _delete(self, keys: Sequence[str]) -> None:
        self._is_refused = False
        self.db.execute("DELETE FROM gravity_map WHERE id = ANY (%s::uuid[])", (list(keys),))
        self.state.add(model.deleted([self.state.rows.pop(key) for key in keys], self.rules))

    # Comparing ------------------------------------------------------------------------------------------------------

    def compare(self) -> None:
        """Everything that the triggers keep is what the model says."""
        self._compare_memories()
        self._compare_events()
        self._compare_arcs()
        self._compare_derived()

    def _compare_memories(self) -> None:
        stored = {
            row["id"]: {**model.from_json(row), "embedding": embedding}
            for row, embedding in self.db.execute("SELECT to_jsonb(g), embedding::real[] FROM gravity_map AS g")
        }
        assert stored.keys() == self.state.rows.keys()
        for key, row in self.state.rows.items():
            wanted = {**model.as_json(row, model.RECORDED), "embedding": row["embedding"]}
            assert {
                name: (stored[key][name], value) for name, value in wanted.items() if stored[key][name] != value
            } == {}

    def _compare_events(self) -> None:
        rows = self.db.execute(
            "SELECT user_id, event, subject_id::text, payload FROM memory_events"
            " WHERE event_id > %s AND event <> 'feed_broken' ORDER BY event_id",
            (self.first_event,),
        ).fetchall()
        recorded = [
            Event.of(row[0], row[1], row[2], model.from_json(row[3])) for row in rows if row[1].startswith("memory_")
        ]
        events = iter(recorded)
        for wanted in self.state.events:
            assert Counter(islice(events, wanted.total())) == wanted
        assert list(events) == []
        if not self.rules.records:
            assert rows == []
            return

        users = sorted({row[0] for row in rows} | {"nobody"})
        read = self.db.execute(
            "SELECT user_id, event, subject_id::text, payload FROM gravity_memory_changes(%s, %s, 1000)"
            " WHERE event IS NOT NULL",
            (users, self.cursor),
        ).fetchall()
        assert len(rows) < 1000, "one page holds it all"
        for user in users:
            assert [row for row in read if row[0] == user] == [row for row in rows if row[0] == user]

        # Whoever applies the events of arcs one after the other has the arcs.
        arcs: dict[str, Row] = {}
        for _, what, subject, payload in rows:
            if what == "arc_deleted":
                del arcs[subject]
            elif what.startswith("arc_"):
                assert (subject in arcs) == (what == "arc_updated")
                arcs[subject] = payload
        assert arcs == {row[0]: row[1] for row in self.db.execute("SELECT id::text, to_jsonb(a) FROM memory_arcs AS a")}
        if self.rules.notify == "payload" and self.rules.notify_bulk_rows > 0:
            made = sorted(subject for _, what, subject, _ in rows if what == "arc_created")
            assert sorted(json.loads(payload)["id"] for payload in self.arcs_announced) == made

    def _compare_arcs(self) -> None:
        memories = {key: memory for key, row in self.state.rows.items() if (memory := model.arc_memory(row))}
        built = stored_arcs(self.db)
        assert built == expected_arcs(memories, self.rules.arcs)
        rebuild_all(self.db)
        assert stored_arcs(self.db) == built
        event(f"{min(len(built), 3)} arcs")

    def _compare_derived(self) -> None:
        assert set(recall_gaps(self.db)) == self.state.gaps
        if self.state.gaps:
            assert_wrong_rows_are_noted(self.db)
        else:
            assert wrong_derived_rows(self.db) == []
        before = self._derived()
        self.db.execute("CALL gravity_memory_rebuild_recall(3, p_everything => true)")
        assert_derived_rows_are_right(self.db)
        if not self.state.gaps:
            assert self._derived() == before, "a rebuild makes the same rows"

    def _derived(self) -> list[list[Any]]:
        return [
            sorted(self.db.execute(f"SELECT t::text FROM {table} AS t".encode()).fetchall())
            for table in ("memory_digests", "memory_postings")
        ]


def _parameter(name: str, value: Any) -> Any:
    if name == "metadata":
        return Jsonb(value)
    if name == "embedding" and value is not None:
        return "[" + ",".join(map(repr, value)) + "]"
    return value


@pytest.fixture
def store(server: Server, make_database: MakeDatabase) -> Iterator[Connection]:
    """A connection to an empty database for embeddings of DIMENSIONS dimensions."""
    with server.connect(make_database(["vector"])) as db:
        db.execute("SET client_min_messages = warning")
        db.execute(f"SET gravity_memory.embedding_dimensions = {DIMENSIONS}")
        db.execute("CREATE EXTENSION gravity_memory")
        yield db


@pytest.mark.timeout(bounded(600, 3600))
@pytest.mark.filterwarnings("ignore:Generating overly large repr")
def test_triggers_make_of_random_memories_with_hostile_text_what_the_model_says(
    server: Server, store: Connection
) -> None:
    warnings = Warnings()
    warnings.watch(store)
    heard: list[tuple[str, str]] = []
    store.add_notify_handler(lambda one: heard.append((one.channel, one.payload)))
    for channel in CHANNELS:
        store.execute(f"LISTEN {channel}".encode())
    before = (History.memories_written, History.statements)
    runs = 0

    @settings(_histories, max_examples=int(_EXAMPLES or bounded(50 if server.major == _NEWEST else 15, 2000)))
    @given(_cases)
    def histories(case: tuple[Rules, list[Block]]) -> None:
        nonlocal runs
        runs += 1
        rules, blocks = case
        history = History(store, rules, heard, warnings)
        history.run(blocks)
        history.compare()

    histories()
    written, statements = History.memories_written - before[0], History.statements - before[1]
    print(f"{runs} histories, {written} memories, {statements} statements")
    assert written >= 2 * runs, "histories that hold hardly any memories show nothing"
    severe = store.execute("SELECT finding, problem FROM gravity_memory_check() WHERE severity = 'error'").fetchall()
    assert severe == []


def test_the_model_knows_its_rules() -> None:
    """The model is itself checked, on cases small enough to do by hand."""
    assert [
        model.temporal_type(text)
        for text in ("I REMEMBERED", "William's planet", "we won\u2019t", "beforehand", "they'll", "last \n week", None)
    ] == ["past", "present", "future", "present", "future", "past", "present"]
    row: Row = {"gravity_score": 0.85, "entities": ["Blu", None], "meta_tags": None, "temporal_type": None}
    row |= {"identity_anchor": False, "content": "", "id": "1", "user_id": "ada"}
    rules = Rules()
    assert model.tagged(row, rules, is_new=True) == (
        {**row, "meta_tags": ["high_gravity"], "identity_anchor": True, "temporal_type": "present"},
        False,
    )
    tags = model.tagged(row, replace(rules, identity_match="any"), is_new=False)[0]["meta_tags"]
    assert tags == ["high_gravity", "identity"]
    assert model.tagged({**row, "meta_tags": [["a"], ["b"]]}, rules, is_new=True)[1]
    assert model.tagged({**row, "gravity_score": math.nan}, rules, is_new=False)[0]["meta_tags"] is None
    assert rules.refuses({**row, "gravity_score": math.nan})
    long = {"id": "1", "user_id": "ada", "thread_id": "t" * 9000, "session_id": "s"}
    assert model.payload_says({**long, "thread_id": None, "truncated": True}, long)
    assert not model.payload_says({**long, "session_id": None, "truncated": True}, long)
    assert not model.payload_says({**long, "thread_id": "t", "truncated": True}, long)
