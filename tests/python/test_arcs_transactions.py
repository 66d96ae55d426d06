"""What arcs promise about transactions: totals at commit, COPY, and faults that are told and fail nothing."""

from __future__ import annotations

import pytest

from devtools.fixtures import Connection
from tests.python.arc_states import Warnings, assert_totals_are_right, stored_arcs

_INSERT = "INSERT INTO gravity_map (user_id, content, emotion_type, gravity_score) VALUES ('ada', %s, 'joy', %s)"


@pytest.fixture
def warnings(db: Connection) -> Warnings:
    """Of the test's own connection."""
    collected = Warnings()
    collected.watch(db)
    return collected


def _insert(db: Connection, rows: int) -> None:
    for number in range(rows):
        db.execute(_INSERT, (str(number), 0.8 + number % 20 / 100))


@pytest.mark.parametrize("constraints", ["DEFERRED", "IMMEDIATE"])
@pytest.mark.parametrize("rows", [99, 100, 101, 102, 103, 104, 160])
def test_totals_are_right_after_a_transaction_of_many_inserts(db: Connection, rows: int, constraints: str) -> None:
    with db.transaction():
        db.execute(f"SET CONSTRAINTS ALL {constraints}".encode())
        _insert(db, rows)
    (arc,) = stored_arcs(db)
    assert len(arc.members) == rows
    assert_totals_are_right(db)


def test_totals_are_right_when_constraints_were_immediate_for_a_moment(db: Connection) -> None:
    with db.transaction():
        _insert(db, 160)
        db.execute("SET CONSTRAINTS ALL IMMEDIATE")
        db.execute("SET CONSTRAINTS ALL DEFERRED")
        assert_totals_are_right(db)
        _insert(db, 1)
    assert_totals_are_right(db)


def test_totals_are_right_when_the_last_inserts_of_many_are_rolled_back(db: Connection) -> None:
    with db.transaction():
        _insert(db, 110)
        with db.transaction(force_rollback=True):
            _insert(db, 30)
        with db.transaction(force_rollback=True):
            db.execute("DELETE FROM gravity_map WHERE content < '5'")
        _insert(db, 2)
    (arc,) = stored_arcs(db)
    assert len(arc.members) == 112
    assert_totals_are_right(db)


def test_totals_are_right_after_many_transactions_of_one_session(db: Connection) -> None:
    _insert(db, 120)
    assert_totals_are_right(db)
    with db.transaction():
        _insert(db, 120)
        db.execute("DELETE FROM gravity_map WHERE content = '7'")
    assert_totals_are_right(db)


def test_copy_builds_arcs(db: Connection, warnings: Warnings) -> None:
    with db.cursor().copy("COPY gravity_map (user_id, content, emotion_type, gravity_score) FROM STDIN") as copy:
        for number in range(2000):
            copy.write_row((f"user {number % 10}", str(number), "joy", 0.8 + number % 20 / 100))
    assert sorted(len(arc.members) for arc in stored_arcs(db)) == [200] * 10
    assert_totals_are_right(db)
    assert warnings.messages == []


def test_truncating_the_memories_leaves_no_arc_that_counts_them(db: Connection) -> None:
    _insert(db, 5)
    db.execute("TRUNCATE gravity_map CASCADE")
    _insert(db, 3)
    assert_totals_are_right(db)


_FAULTS = {
    "a constraint refuses the arc": "ALTER TABLE memory_arcs ADD CHECK (user_id <> 'ada')",
    "a constraint refuses the link": "ALTER TABLE memory_arc_associations ADD CHECK (fusion_strength <> 0.8)",
    "the arcs are gone": "ALTER TABLE memory_arcs RENAME TO elsewhere",
    "the locks are gone": "DROP TABLE memory_arc_locks",
}


@pytest.mark.parametrize("fault", list(_FAULTS.values()), ids=list(_FAULTS))
def test_a_fault_in_the_arcs_is_a_warning_that_says_how_to_repair_them(
    db: Connection, warnings: Warnings, fault: str
) -> None:
    hints: list[str | None] = []
    db.add_notice_handler(lambda diagnostic: hints.append(diagnostic.message_hint))
    db.execute(fault.encode())
    _insert(db, 3)
    db.execute("UPDATE gravity_map SET gravity_score = 0.1 WHERE content = '0'")
    db.execute("DELETE FROM gravity_map WHERE content = '1'")
    stored = db.execute("SELECT content, gravity_score FROM gravity_map ORDER BY content").fetchall()
    assert stored == [("0", 0.1), ("2", pytest.approx(0.82))]
    assert warnings.messages
    assert all(message.startswith("gravity_memory: ") for message in warnings.messages)
    assert any("gravity_memory_rebuild_arcs(user_id)" in (hint or "") for hint in hints)
