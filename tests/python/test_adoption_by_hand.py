"""Where the specification's SQL was applied by hand, one transaction adopts it: nothing is lost or doubled."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from devtools import REPO
from devtools.fixtures import Connection, MakeDatabase
from devtools.legs import CRON_DATABASE
from devtools.servers import Server
from tests.python.adoption_support import rows_of, run_script
from tests.python.database_contents import read_contents
from tests.python.test_readme import examples, printed

TABLES = {
    "gravity_map": "id, user_id, content, gravity_score, emotion_type, meta_tags, identity_anchor, temporal_type",
    "memory_arcs": "id, user_id, arc_name, gravity_center, evolution_stage, created_at",
    "memory_arc_associations": "memory_id, arc_id, fusion_strength",
    "consciousness_cache": "id, response, created_at",
}
FUNCTIONS = ("auto_tag_high_gravity", "cleanup_old_cache", "notify_memory_created", "trigger_arc_building")

_MEMORIES = """
INSERT INTO gravity_map (user_id, content, gravity_score, emotion_type, embedding)
SELECT 'user-' || i % 5, 'I remember ' || i, 0.7 + (i % 3) / 10.0, CASE i % 2 WHEN 0 THEN 'joy' ELSE 'awe' END,
       array_fill(i::real, '{8}')::vector
FROM generate_series(1, 60) AS i;
INSERT INTO memory_arcs (user_id, arc_name) VALUES ('user-1', 'an arc that somebody made');
INSERT INTO consciousness_cache (user_id, response) VALUES ('user-1', 'an answer');
"""

# What stands in docs/adoption.md, statement by statement.
BESIDE = (
    "CREATE SCHEMA adoption",
    "SET gravity_memory.setup = off",
    "CREATE EXTENSION gravity_memory SCHEMA adoption",
    "CREATE TEMPORARY TABLE report AS SELECT * FROM adoption.gravity_memory_adoption_report('public')",
    "DROP EXTENSION gravity_memory",
    "DROP SCHEMA adoption",
)


def apply_by_hand(connection: Connection) -> None:
    """The specification's tables, triggers and indexes, and memories written through those triggers."""
    run_script(connection, "specification_tables.sql")
    run_script(connection, "specification_triggers.sql")
    connection.execute(_MEMORIES.encode())
    run_script(connection, "specification_indexes.sql")


@pytest.fixture
def by_hand(server: Server, make_database: MakeDatabase) -> Iterator[Connection]:
    """A connection to a database with pgvector and the specification's SQL."""
    with server.connect(make_database(["vector"])) as connection:
        apply_by_hand(connection)
        yield connection


def report(connection: Connection) -> list[tuple[str, str]]:
    """What keeps the extension from being created, with its remedy; looked at as docs/adoption.md says."""
    for statement in BESIDE:
        connection.execute(statement.encode())
    blocks = "SELECT object, remedy FROM report WHERE severity = 'blocks' ORDER BY object"
    return connection.execute(blocks).fetchall()


def begin_adoption(connection: Connection, way: str) -> None:
    """Adopt in a transaction that is left open: with the functions made by hand renamed, or dropped."""
    blocks = report(connection)
    connection.execute("BEGIN")
    connection.execute("SET LOCAL lock_timeout = '10s'")
    if way == "renamed":
        for _, remedy in blocks:
            connection.execute(remedy.encode())
    else:
        names = ", ".join(name for name, _ in blocks)
        connection.execute(f"DROP ROUTINE {names} CASCADE".encode())
    connection.execute("CREATE EXTENSION gravity_memory")
    connection.execute("SELECT * FROM gravity_memory_setup(p_build_indexes => false)")


def build_indexes(connection: Connection) -> None:
    """Build what setup left to be built concurrently, and derive what recall reads."""
    for (statement,) in connection.execute("SELECT gravity_memory_index_ddl()").fetchall():
        connection.execute(statement.encode())
    connection.execute("CALL gravity_memory_rebuild_recall()")


def announced(server: Server, connection: Connection, statement: str) -> list[str]:
    """The channels on which a statement is announced to a listener."""
    with server.connect(connection.info.dbname) as listener:
        listener.execute("LISTEN memory_created")
        listener.execute("LISTEN arc_created")
        connection.execute(statement.encode())
        connection.execute("SELECT pg_notify('memory_created', 'the last')")
        found: list[str] = []
        for notification in listener.notifies(timeout=60):
            if notification.payload == "the last":
                return found
            found.append(notification.channel)
    raise AssertionError("the last notification did not arrive")


@pytest.mark.parametrize("way", ["renamed", "dropped"])
def test_a_database_made_by_hand_is_adopted_with_nothing_lost_and_nothing_doubled(
    server: Server, by_hand: Connection, way: str
) -> None:
    rows = rows_of(by_hand, TABLES)
    indexes = by_hand.execute("SELECT indexrelid, pg_relation_filenode(indexrelid) FROM pg_index").fetchall()
    arcs = by_hand.execute("SELECT id, arc_name FROM memory_arcs ORDER BY id").fetchall()
    assert len(arcs) > 1

    begin_adoption(by_hand, way)
    by_hand.execute("COMMIT")
    assert rows_of(by_hand, TABLES) == rows
    if way == "renamed":
        by_hand.execute(f"DROP ROUTINE {', '.join(name + '_by_hand' for name in FUNCTIONS)}".encode())
    build_indexes(by_hand)

    assert rows_of(by_hand, TABLES) == rows
    assert by_hand.execute("SELECT id, arc_name FROM memory_arcs ORDER BY id").fetchall() == arcs
    # The indexes are those that were there, and no other does the same as one of them.
    now = by_hand.execute("SELECT indexrelid, pg_relation_filenode(indexrelid) FROM pg_index").fetchall()
    assert set(indexes) <= set(now)
    doubled = by_hand.execute(
        "SELECT indrelid::regclass, min(indexrelid::regclass::text), max(indexrelid::regclass::text) FROM pg_index"
        " WHERE indrelid IN (SELECT to_regclass(table_name) FROM _gravity_memory_table_catalogue())"
        " GROUP BY indrelid, regexp_replace(pg_get_indexdef(indexrelid), '^.* USING ', '') HAVING count(*) > 1"
    ).fetchall()
    assert doubled == []
    # One set of triggers, ours.
    by_hand.execute("SET search_path = pg_catalog")
    triggers = by_hand.execute(
        "SELECT tgname, pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal"
    ).fetchall()
    wanted = by_hand.execute(
        "SELECT trigger_name, definition FROM public._gravity_memory_trigger_catalogue()"
    ).fetchall()
    by_hand.execute("RESET search_path")
    assert sorted(triggers) == sorted(wanted)
    # A memory is announced and tagged once, and joins the arc that was made by hand.
    insert = (
        "INSERT INTO gravity_map (user_id, content, gravity_score, emotion_type)"
        " VALUES ('user-1', 'Tomorrow', 0.9, 'awe')"
    )
    assert announced(server, by_hand, insert) == ["memory_created"]
    tagged = by_hand.execute("SELECT meta_tags, temporal_type FROM gravity_map WHERE content = 'Tomorrow'").fetchall()
    assert tagged == [(["high_gravity"], "future")]
    joined = by_hand.execute(
        "SELECT a.arc_name FROM memory_arc_associations AS l JOIN gravity_map AS g ON g.id = l.memory_id"
        " JOIN memory_arcs AS a ON a.id = l.arc_id WHERE g.content = 'Tomorrow'"
    ).fetchall()
    assert joined == [("awe arc (auto-created)",)]
    assert by_hand.execute("SELECT id, arc_name FROM memory_arcs ORDER BY id").fetchall() == arcs
    # And nothing is left to do.
    assert by_hand.execute("SELECT * FROM gravity_memory_setup(false)").fetchall() == []
    # The specification's indexes on embedding, on too few rows, are for gravity_memory_vector_index_ddl() to drop.
    findings = by_hand.execute(
        "SELECT DISTINCT finding FROM gravity_memory_check() WHERE severity <> 'notice'"
    ).fetchall()
    assert findings == [("unwanted_vector_index",)]


def test_who_writes_meanwhile_meets_the_old_triggers_or_the_new_ones_and_never_none(
    server: Server, by_hand: Connection
) -> None:
    insert = "INSERT INTO gravity_map (user_id, content, gravity_score) VALUES ('meanwhile', 'Tomorrow', 0.9)"
    begin_adoption(by_hand, "dropped")
    with server.connect(by_hand.info.dbname) as writer:
        thread = threading.Thread(target=lambda: writer.execute(insert))
        thread.start()
        waiting = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = %s"
        deadline = time.monotonic() + 60
        while by_hand.execute(waiting, (writer.info.backend_pid,)).fetchone() != (True,):
            assert time.monotonic() < deadline
            time.sleep(0.01)
            by_hand.execute("SELECT pg_stat_clear_snapshot()")
        by_hand.execute("COMMIT")
        thread.join()
    row = by_hand.execute("SELECT meta_tags, temporal_type FROM gravity_map WHERE user_id = 'meanwhile'").fetchall()
    assert row == [(["high_gravity"], "future")]
    assert by_hand.execute("SELECT count(*) FROM memory_digests WHERE user_id = 'meanwhile'").fetchone() == (1,)


def test_an_adoption_that_is_rolled_back_changes_nothing(server: Server, by_hand: Connection) -> None:
    before = read_contents(by_hand, "public")
    begin_adoption(by_hand, "renamed")
    by_hand.execute("ROLLBACK")
    assert read_contents(by_hand, "public") == before
    assert announced(server, by_hand, "INSERT INTO gravity_map (user_id) VALUES ('as before')") == ["memory_created"]


def test_behind_a_long_transaction_lock_timeout_gives_up_cleanly_and_lets_others_pass(
    server: Server, make_database: MakeDatabase
) -> None:
    database = make_database(["vector"])
    with server.connect(database) as connection, server.connect(database, autocommit=False) as long:
        run_script(connection, "specification_tables.sql")
        before = read_contents(connection, "public")
        # A reader's transaction is enough: a column cannot be added beside it.
        long.execute("SELECT count(*) FROM gravity_map")
        connection.execute("SET lock_timeout = '100ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            connection.execute("CREATE EXTENSION gravity_memory")
        assert read_contents(connection, "public") == before
        connection.execute("INSERT INTO gravity_map (user_id) VALUES ('passes')")
        connection.execute("SET gravity_memory.setup = off")
        connection.execute("CREATE EXTENSION gravity_memory")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            connection.execute("SELECT * FROM gravity_memory_setup(p_build_indexes => false)")
        assert connection.execute("SELECT to_regclass('memory_digests')").fetchone() == (None,)
        assert connection.execute("SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal").fetchone() == (0,)
        long.rollback()
        connection.execute("SELECT * FROM gravity_memory_setup(p_build_indexes => false)")
        connection.execute("INSERT INTO gravity_map (user_id, gravity_score) VALUES ('tagged', 0.9)")
        tags = connection.execute("SELECT meta_tags FROM gravity_map WHERE user_id = 'tagged'").fetchone()
        assert tags == (["high_gravity"],)


def catalogue_counts(connection: Connection) -> dict[str, int]:
    """How many rows each system catalogue has."""
    names = connection.execute(
        "SELECT c.relname FROM pg_class AS c WHERE c.relnamespace = 'pg_catalog'::regnamespace AND c.relkind = 'r'"
    ).fetchall()
    counts = {}
    for (name,) in names:
        row = connection.execute(sql.SQL("SELECT count(*) FROM pg_catalog.{}").format(sql.Identifier(name))).fetchone()
        assert row is not None
        counts[name] = row[0]
    # Autovacuum's analysis may come at any time.
    del counts["pg_statistic"]
    return counts


def test_looking_first_leaves_nothing_behind(by_hand: Connection) -> None:
    # The first temporary table makes the schema of the session's temporary tables.
    by_hand.execute("CREATE TEMPORARY TABLE report (object text)")
    by_hand.execute("DROP TABLE report")
    contents = read_contents(by_hand, "public")
    counts = catalogue_counts(by_hand)
    with pytest.raises(psycopg.errors.DuplicateFunction):
        by_hand.execute("CREATE EXTENSION gravity_memory")
    found = report(by_hand)
    assert [name for name, _ in found] == [f"public.{name}()" for name in FUNCTIONS]
    by_hand.execute("DROP TABLE report")
    assert read_contents(by_hand, "public") == contents
    assert catalogue_counts(by_hand) == counts
    assert by_hand.execute("SELECT count(*) FROM pg_namespace WHERE nspname = 'adoption'").fetchone() == (0,)


def test_the_report_reads_in_a_read_only_transaction_and_locks_nothing_but_for_reading(by_hand: Connection) -> None:
    for statement in BESIDE[:3]:
        by_hand.execute(statement.encode())
    with by_hand.transaction():
        by_hand.execute("SET TRANSACTION READ ONLY")
        by_hand.execute("SELECT count(*) FROM adoption.gravity_memory_adoption_report('public')")
        modes = by_hand.execute(
            "SELECT DISTINCT mode FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation'"
        ).fetchall()
    assert modes == [("AccessShareLock",)]


def test_a_cleanup_job_made_by_hand_is_kept_and_not_doubled(server: Server) -> None:
    if not server.has_pg_cron:
        pytest.skip(f"PostgreSQL {server.major} comes without pg_cron here")
    server.drop_database(CRON_DATABASE)
    server.create_database(CRON_DATABASE, extensions=["pg_cron", "vector"])
    listed = "SELECT jobname, schedule, command FROM cron.job ORDER BY jobname"
    try:
        with server.connect(CRON_DATABASE) as connection:
            apply_by_hand(connection)
            connection.execute("SELECT cron.schedule('cleanup-cache', '0 * * * *', 'SELECT cleanup_old_cache()')")
            connection.execute(
                "SELECT cron.schedule('their arcs', '5 5 * * *', 'SELECT public.gravity_memory_evolve_arcs();')"
            )
            begin_adoption(connection, "renamed")
            connection.execute("COMMIT")
            told = connection.execute("SELECT object FROM report WHERE finding = 'same_job' ORDER BY 1").fetchall()
            assert told == [("cleanup-cache",), ("their arcs",)]
            jobs = [
                ("cleanup-cache", "0 * * * *", "SELECT cleanup_old_cache()"),
                ("cleanup-events", "30 * * * *", "SELECT public.gravity_memory_cleanup_events()"),
                ("their arcs", "5 5 * * *", "SELECT public.gravity_memory_evolve_arcs();"),
                ("train-vector-indexes", "*/10 * * * *", "SELECT public.gravity_memory_train_vector_indexes()"),
            ]
            assert connection.execute(listed).fetchall() == jobs
            assert connection.execute("SELECT gravity_memory_schedule_jobs()").fetchall() == []
            missing = connection.execute("SELECT object FROM gravity_memory_check() WHERE finding = 'missing_job'")
            assert missing.fetchall() == []
            connection.execute("SELECT * FROM gravity_memory_teardown()")
            assert connection.execute(listed).fetchall() == [jobs[0], jobs[2]]
            connection.execute("DELETE FROM cron.job")
    finally:
        server.drop_database(CRON_DATABASE)
        server.create_database(CRON_DATABASE)


def test_adopted_names_that_need_quotes_are_reported_and_mended(server: Server, make_database: MakeDatabase) -> None:
    with server.connect(make_database(["vector"])) as connection:
        connection.execute('CREATE SCHEMA "The App"')
        connection.execute('SET search_path = "The App", public')
        apply_by_hand(connection)
        connection.execute("SET search_path = public")
        connection.execute("SET gravity_memory.setup = off")
        connection.execute('CREATE SCHEMA "Beside It"')
        connection.execute('CREATE EXTENSION gravity_memory SCHEMA "Beside It"')
        found = connection.execute(
            'SELECT remedy FROM "Beside It".gravity_memory_adoption_report(%s) WHERE severity = %s',
            ("The App", "blocks"),
        ).fetchall()
        assert len(found) == len(FUNCTIONS)
        connection.execute("DROP EXTENSION gravity_memory")
        for (remedy,) in found:
            connection.execute(remedy.encode())
        connection.execute('CREATE EXTENSION gravity_memory SCHEMA "The App"')
        again = sql.SQL("SELECT action FROM {}.gravity_memory_setup(false)").format(sql.Identifier("The App"))
        done = [action for (action,) in connection.execute(again).fetchall()]
        assert done.count("replace trigger") == 3
        assert connection.execute(again).fetchall() == []


def test_the_guide_adopts_what_was_made_by_hand(server: Server, by_hand: Connection) -> None:
    rows = rows_of(by_hand, TABLES)
    # It could be at work just now, and the guide's patience is short.
    by_hand.execute("ALTER TABLE gravity_map SET (autovacuum_enabled = off)")
    printed(server, by_hand.info.dbname, examples("docs/adoption.md"))
    assert rows_of(by_hand, TABLES) == rows
    left = by_hand.execute("SELECT FROM pg_proc WHERE proname LIKE '%by_hand'").fetchall()
    assert left == []
    by_hand.execute("INSERT INTO gravity_map (user_id, content, gravity_score) VALUES ('reader', 'Tomorrow', 0.9)")
    found = by_hand.execute("SELECT meta_tags, temporal_type FROM gravity_map WHERE user_id = 'reader'").fetchall()
    assert found == [(["high_gravity"], "future")]


def test_the_guide_explains_every_finding() -> None:
    section = (REPO / "docs/adoption.md").read_text(encoding="utf-8").split("\n## Look first\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| (`.*?) \| (\w+) \|", section, re.MULTILINE)
    explained = {(severity, name) for names, severity in rows for name in re.findall("`(.*?)`", names)}
    returned: set[tuple[str, str]] = set()
    for path in REPO.glob("sql/adoption/*.sql"):
        source = re.sub(r"--.*", "", path.read_text(encoding="utf-8"))
        returned |= set(re.findall(r"'(blocks|change|note)', '(\w+)'", source))
    assert len(returned) > 25
    # Those whose severity or name is an expression.
    returned |= {
        ("change", "missing_index"),
        ("change", "invalid_index"),
        ("change", "unsuitable_index"),
        ("blocks", "foreign_trigger"),
        ("note", "own_trigger"),
        ("note", "doubled_trigger"),
    }
    assert {name for _, name in explained} == {name for _, name in returned}
    # An invalid index of somebody else is a note, in the same words.
    assert returned - explained == {("note", "invalid_index")}
