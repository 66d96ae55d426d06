"""A user is forgotten in one transaction, and moves elsewhere by the commands that the documentation shows."""

from __future__ import annotations

import os
import re
import subprocess
import threading
from pathlib import Path

import psycopg
import pytest

from devtools import REPO
from devtools.fixtures import Connection, MakeDatabase
from devtools.servers import Server

_TABLES = (
    "gravity_map",
    "memory_arcs",
    "memory_arc_associations",
    "consciousness_cache",
    "active_sessions",
    "pattern_matrix",
)
_SHELL = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)

_FILL = """
SELECT gravity_memory_set('feed', 'on');
INSERT INTO gravity_map (user_id, content, gravity_score, emotion_type, metadata, embedding)
SELECT u, 'a "quoted" memory \\ of ' || u || E', the\\nnumber ' || i || ' 😀', 0.7 + i / 100.0, 'joy', '{"a": [null]}',
       CASE WHEN i % 2 = 0 THEN (SELECT array_agg(sin(d * i))::vector FROM generate_series(1, 1536) AS d) END
FROM unnest('{ana,ben}'::text[]) AS u, generate_series(1, 20) AS i;
INSERT INTO consciousness_cache (user_id, query_text) VALUES ('ana', E'tab\\tand \\x01'), ('ben', 'q');
INSERT INTO active_sessions (session_id, user_id) VALUES ('a', 'ana'), ('b', 'ben');
INSERT INTO pattern_matrix (user_id, instances) VALUES ('ana', 'null'), ('ben', '[]');
"""


def rows_of(connection: Connection, user: str) -> dict[str, list[str]]:
    """Every row of a user, as PostgreSQL prints it, by table."""
    return {
        table: [
            row[0]
            for row in connection.execute(
                f"SELECT t::text FROM {table} AS t WHERE user_id = %s ORDER BY 1".encode(), (user,)
            ).fetchall()
        ]
        for table in _TABLES
    }


def test_the_documented_commands_move_a_user_to_another_database(
    server: Server, db: Connection, make_database: MakeDatabase, tmp_path: Path
) -> None:
    db.execute(_FILL)
    elsewhere = make_database()
    export, load = _SHELL.findall((REPO / "docs/security.md").read_text(encoding="utf-8"))
    installation = server.installation
    # In a root folder of its own a client finds no file of ours; a client of another version does as well.
    psql = Path(installation.bindir) / "psql" if installation.root is None else Path("/usr/bin/psql")
    environment = {
        **os.environ,
        "PATH": f"{psql.parent}:{os.environ['PATH']}",
        "PGHOST": server.host,
        "PGPORT": str(server.port),
        "PGUSER": server.user,
        "PGPASSWORD": server.password,
    }
    for script, database in ((export, db.info.dbname), (load, elsewhere)):
        done = subprocess.run(
            ["bash", "-euc", script],
            cwd=tmp_path,
            env={**environment, "PGDATABASE": database},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "ERROR" not in done.stderr
    with server.connect(elsewhere) as connection:
        assert rows_of(connection, "ana") == rows_of(db, "ana")
        assert {len(rows) for rows in rows_of(connection, "ben").values()} == {0}
        assert connection.execute("SELECT count(*) FROM gravity_memory_check()").fetchone() == (0,)
        found = connection.execute("SELECT id FROM recall_memories('ana', 'memory of ana', p_limit => 50)").fetchall()
        assert len(found) == 20


def test_an_import_notifies_nobody_and_the_feed_records_it(
    server: Server, db: Connection, make_database: MakeDatabase
) -> None:
    db.execute(_FILL)
    lines = [row[0] for row in db.execute("SELECT gravity_memory_export_user('ana')").fetchall()]
    with server.connect(make_database()) as connection, server.connect(connection.info.dbname) as listener:
        connection.execute("SELECT gravity_memory_set('feed', 'on')")
        for channel in ("memory_created", "memory_updated", "arc_created"):
            listener.execute(f"LISTEN {channel}".encode())
        connection.execute("SELECT count(*) FROM gravity_memory_import_user('ana', %s)", (lines,))
        connection.execute("INSERT INTO gravity_map (user_id, content) VALUES ('ana', 'after')")
        heard = list(listener.notifies(timeout=30, stop_after=1))
        assert [note.channel for note in heard] == ["memory_created"]
        assert connection.execute("SELECT id::text FROM gravity_map WHERE content = 'after'").fetchone() == (
            heard[0].payload.split('"')[3],
        )
        recorded = connection.execute(
            "SELECT event, count(*) FROM memory_events WHERE user_id = 'ana' GROUP BY 1 ORDER BY 1"
        ).fetchall()
        assert recorded == [("arc_created", 1), ("memory_created", 21)]


def test_who_is_forgotten_in_a_transaction_that_is_rolled_back_is_all_there(db: Connection) -> None:
    db.execute(_FILL)
    before = rows_of(db, "ana")
    events = db.execute("SELECT count(*) FROM memory_events").fetchone()
    with db.transaction(force_rollback=True):
        db.execute("SELECT count(*) FROM gravity_memory_forget_user('ana')")
        assert {len(rows) for rows in rows_of(db, "ana").values()} == {0}
    assert rows_of(db, "ana") == before
    assert db.execute("SELECT count(*) FROM memory_events").fetchone() == events
    assert db.execute("SELECT count(*) FROM gravity_memory_check()").fetchone() == (0,)


def test_a_table_of_the_application_that_refers_to_a_memory_stops_the_deletion_and_says_so(db: Connection) -> None:
    db.execute(_FILL)
    db.execute("CREATE TABLE note (memory_id uuid REFERENCES gravity_map (id))")
    db.execute("INSERT INTO note SELECT id FROM gravity_map WHERE user_id = 'ana' LIMIT 1")
    before = rows_of(db, "ana")
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match="note"):
        db.execute("SELECT count(*) FROM gravity_memory_forget_user('ana')")
    assert rows_of(db, "ana") == before


def test_users_are_forgotten_while_others_write(server: Server, db: Connection) -> None:
    """Neither waits for the other for ever, and what others wrote is whole."""
    db.execute(_FILL)
    stop = threading.Event()
    written: list[int] = []
    faults: list[Exception] = []

    def write(number: int) -> None:
        try:
            with server.connect(db.info.dbname) as connection:
                count = 0
                while not stop.is_set():
                    connection.execute(
                        "INSERT INTO gravity_map (user_id, content, gravity_score, emotion_type)"
                        " VALUES (%s, 'written meanwhile', 0.9, 'joy'), ('ben', 'for ben', 0.9, 'joy')",
                        (f"user {number}",),
                    )
                    count += 1
                written.append(count)
        except psycopg.Error as error:
            faults.append(error)

    writers = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for writer in writers:
        writer.start()
    for _ in range(10):
        db.execute(
            "INSERT INTO gravity_map (user_id, gravity_score, emotion_type)"
            " SELECT 'ana', 0.9, 'joy' FROM generate_series(1, 20)"
        )
        db.execute("SELECT count(*) FROM gravity_memory_forget_user('ana')")
        left = db.execute("SELECT sum(remaining) FROM gravity_memory_verify_forgotten('ana')").fetchone()
        assert left == (0,)
    stop.set()
    for writer in writers:
        writer.join(timeout=60)
    assert not faults
    assert db.execute("SELECT count(*) FROM gravity_map WHERE content = 'for ben'").fetchone() == (sum(written),)
    assert db.execute("SELECT count(*) FROM gravity_memory_check() WHERE severity = 'error'").fetchone() == (0,)
    sums = db.execute(
        "SELECT a.user_id FROM memory_arcs AS a WHERE a.memory_count <>"
        " (SELECT count(*) FROM memory_arc_associations AS l WHERE l.arc_id = a.id)"
    ).fetchall()
    assert sums == []


def test_of_two_who_forget_a_user_at_once_one_gets_the_receipt(server: Server, db: Connection) -> None:
    db.execute(_FILL)
    receipts: list[int] = []

    def forget() -> None:
        with server.connect(db.info.dbname) as connection:
            row = connection.execute("SELECT sum(removed) FROM gravity_memory_forget_user('ana')").fetchone()
            assert row is not None
            receipts.append(int(row[0]))

    threads = [threading.Thread(target=forget) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    assert min(receipts) == 0
    assert max(receipts) > 40
