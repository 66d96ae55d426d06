"""One more memory costs the same in a cluster of 10,000 as in one of 1,000.

Counted in blocks that PostgreSQL reads, which is the same on every machine, not in time; `hot_cluster` of
bench.suite measures the time. Limits are twice the cost at a tenth of the size; a quadratic method would be at ten
times.
"""

from __future__ import annotations

from typing import Protocol

import pytest

from devtools.fixtures import Connection
from devtools.servers import Server

_TABLES = ("gravity_map", "memory_arcs", "memory_arc_associations", "memory_arc_locks")

_INSERT = """
    INSERT INTO gravity_map (user_id, emotion_type, gravity_score, created_at)
    SELECT %(user)s, 'joy', 0.8 + mod(n, 20) / 100.0, timestamptz '2026-01-01' + (%(first)s + n) * interval '1 minute'
    FROM generate_series(1, %(rows)s) AS n
"""

# Memories of users who were never moved enough for an arc.
_QUIET_USERS = """
    INSERT INTO gravity_map (user_id, emotion_type, gravity_score, created_at)
    SELECT 'quiet ' || mod(n, 1000), (ARRAY['joy', 'calm', 'awe'])[1 + mod(n, 3)], mod(n, 75) / 100.0,
           timestamptz '2025-06-01' + n * interval '13 minutes'
    FROM generate_series(1, 20000) AS n
"""

# Blocks of these tables, their indexes and TOAST tables that this transaction looked at, in memory or not.
_BLOCKS = """
    SELECT sum(pg_stat_get_xact_blocks_fetched(r.oid))::bigint
    FROM (SELECT c.oid FROM pg_class AS c WHERE c.oid = ANY (%(tables)s::regclass[])
          UNION ALL
          SELECT i.indexrelid FROM pg_index AS i WHERE i.indrelid = ANY (%(tables)s::regclass[])) AS r
"""


class Measure(Protocol):
    """See the fixture `measure`."""

    def __call__(self, statement: str, first: int, rows: int, user: str = "ada") -> float: ...


@pytest.fixture(params=["no statistics", "new statistics", "statistics without arcs"])
def measure(request: pytest.FixtureRequest, server: Server, db: Connection) -> Measure:
    """`measure(statement, first, rows, user)`: blocks per row of a statement, whatever the planner knows.

    It knows nothing, or what was there just before the statement, or what was there before the first arc. Autovacuum
    stays away, which would gather statistics at a moment of its own. Each measurement has a session of its own, so that
    none uses plans made for a smaller cluster.
    """
    knows = request.param
    for table in _TABLES:
        db.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)".encode())
    if knows == "statistics without arcs":
        # What recall reads is no matter here, and takes longest to make.
        db.execute("ALTER TABLE gravity_map DISABLE TRIGGER trigger_keep_derived")
        db.execute(_QUIET_USERS.encode())
        db.execute("ALTER TABLE gravity_map ENABLE TRIGGER trigger_keep_derived")
        db.execute(f"VACUUM ANALYZE {', '.join(_TABLES)}".encode())

    def blocks_per_row(statement: str, first: int, rows: int, user: str = "ada") -> float:
        if knows == "new statistics":
            db.execute(f"ANALYZE {', '.join(_TABLES)}".encode())
        with server.connect(db.info.dbname, autocommit=False) as connection:
            connection.execute(statement.encode(), {"user": user, "first": first, "rows": rows})
            # What waits for the commit is a cost of the statement, too.
            connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
            (blocks,) = connection.execute(_BLOCKS.encode(), {"tables": list(_TABLES)}).fetchone() or (0,)
        return float(blocks) / rows

    return blocks_per_row


def _members(db: Connection) -> list[int]:
    return sorted(count for (count,) in db.execute("SELECT memory_count FROM memory_arcs").fetchall())


@pytest.mark.parametrize("where", ["at the end", "in the middle"])
def test_an_insert_costs_the_same_in_a_cluster_ten_times_as_large(db: Connection, measure: Measure, where: str) -> None:
    def cost(size: int) -> float:
        return sum(measure(_INSERT, size + n if where == "at the end" else size // 2, 1) for n in range(5)) / 5

    db.execute(_INSERT.encode(), {"user": "ada", "first": 0, "rows": 1000})
    small = cost(1000)
    db.execute(_INSERT.encode(), {"user": "ada", "first": 1000, "rows": 9000})
    large = cost(10_000)
    assert _members(db) == [10_010]
    assert large <= 2 * small, f"{large:.0f} blocks per row against {small:.0f}"


def test_a_member_of_an_arc_made_by_hand_costs_the_same_in_one_ten_times_as_large(
    db: Connection, measure: Measure
) -> None:
    db.execute("INSERT INTO memory_arcs (user_id, arc_name, emotion_type) VALUES ('ada', 'Our summer', 'joy')")
    db.execute(_INSERT.encode(), {"user": "ada", "first": 0, "rows": 1000})
    small = measure(_INSERT, 1000, 1)
    db.execute(_INSERT.encode(), {"user": "ada", "first": 1001, "rows": 8999})
    large = measure(_INSERT, 10_000, 1)
    assert _members(db) == [10_001]
    assert large <= 2 * small, f"{large:.0f} blocks per row against {small:.0f}"


def test_a_row_of_a_statement_costs_the_same_when_it_has_ten_times_as_many(db: Connection, measure: Measure) -> None:
    small = measure(_INSERT, 0, 1000, "bea")
    large = measure(_INSERT, 0, 10_000, "ada")
    assert _members(db) == [1000, 10_000]
    assert large <= 2 * small, f"{large:.0f} blocks per row against {small:.0f}"


def test_a_single_insert_costs_the_same_in_a_transaction_with_ten_times_as_many(
    db: Connection, measure: Measure
) -> None:
    body = _INSERT.replace("%(user)s", "p_user").replace("%(first)s", "(p_first + v_number)").replace("%(rows)s", "1")
    db.execute(
        f"""
        CREATE PROCEDURE insert_one_by_one(p_user text, p_first integer, p_rows integer) LANGUAGE plpgsql AS $$
        BEGIN
            FOR v_number IN 1..p_rows LOOP
                {body};
            END LOOP;
        END $$
        """.encode()
    )
    call = "CALL insert_one_by_one(%(user)s, %(first)s, %(rows)s)"
    small = measure(call, 0, 300, "bea")
    large = measure(call, 0, 3000, "ada")
    assert _members(db) == [300, 3000]
    assert large <= 2 * small, f"{large:.0f} blocks per row against {small:.0f}"


def test_an_insert_costs_no_more_after_statistics_were_gathered_during_its_transaction(
    server: Server, db: Connection
) -> None:
    """Autovacuum does that in a long load, and does not see the rows: to the planner the table is many empty pages."""
    for table in _TABLES:
        db.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = false)".encode())
    with server.connect(db.info.dbname, autocommit=False) as connection:

        def cost(first: int) -> int:
            before = connection.execute(_BLOCKS.encode(), {"tables": list(_TABLES)}).fetchone()
            for number in range(50):
                connection.execute(_INSERT.encode(), {"user": "ada", "first": first + number, "rows": 1})
            after = connection.execute(_BLOCKS.encode(), {"tables": list(_TABLES)}).fetchone()
            assert before is not None
            assert after is not None
            return int(after[0]) - int(before[0])

        connection.execute(_INSERT.encode(), {"user": "ada", "first": 0, "rows": 3000})
        quiet = cost(3000)
        db.execute(f"ANALYZE {', '.join(_TABLES)}".encode())
        disturbed = cost(3050)
    assert disturbed <= 2 * quiet, f"{disturbed / 50:.0f} blocks per row against {quiet / 50:.0f}"
