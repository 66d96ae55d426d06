"""A database with a released version becomes one like new: nothing it holds is lost, and what its owner chose stays."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import psycopg
import pytest
from psycopg import sql

from devtools.fixtures import Connection, MakeDatabase, MakeRole
from devtools.servers import Server
from tests.python.populated import TABLES, populate
from tests.python.upgrade_support import (
    CURRENT,
    FIRST,
    RELEASED,
    SUPERSEDED,
    catalogue,
    derived,
    differences,
    install,
    notices_of,
    remember,
    rows,
    tables_of,
    upgrade,
)

ODD = "My odd schema; 10% ÖÄ"
"""A schema whose name needs quotes; quotes, backslashes and dollars PostgreSQL refuses in an extension's schema."""


@dataclass(frozen=True)
class Arrangement:
    """Who has the extension where.

    Attributes:
        name: for the test's name.
        schema: the extension's; pgvector lives in another one.
        installer: who creates the extension, `superuser` or `owner` of the database.
        upgrader: who upgrades it.
        adopted: the table of the memories was there before, and the owner of the database has it.
    """

    name: str
    schema: str = "public"
    installer: str = "superuser"
    upgrader: str = "superuser"
    adopted: bool = False


ARRANGEMENTS = [
    Arrangement("in public"),
    Arrangement("in a schema that needs quotes", schema=ODD),
    Arrangement("of an owner who is no superuser", schema=ODD, installer="owner", upgrader="owner"),
    Arrangement("of an owner for whom a superuser upgrades", installer="owner"),
    Arrangement("with tables of another role", adopted=True),
]


def make_bare(server: Server, make_database: MakeDatabase, owner: str | None = None) -> str:
    """A database that has pgvector in the schema `extensions`, and finds it there."""
    name = make_database([], owner=owner)
    with server.connect(name) as connection:
        connection.execute("CREATE SCHEMA extensions")
        connection.execute("CREATE EXTENSION vector SCHEMA extensions")
        connection.execute("GRANT USAGE ON SCHEMA extensions TO PUBLIC")
        connection.execute(
            sql.SQL("ALTER DATABASE {} SET search_path = public, extensions").format(sql.Identifier(name))
        )
    return name


def make_installed(
    server: Server, make_database: MakeDatabase, arrangement: Arrangement, owner: str, version: str
) -> str:
    """A database with a version of the extension, arranged so."""
    name = make_bare(server, make_database, owner)
    with server.connect(name, user=owner) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(arrangement.schema)))
        if arrangement.adopted:
            connection.execute(
                "CREATE TABLE gravity_map (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_id text NOT NULL)"
            )
    installer = owner if arrangement.installer == "owner" else None
    with server.connect(name, user=installer) as connection:
        install(connection, arrangement.schema, version)
    return name


def secure(connection: Connection, schema: str) -> None:
    """Switch row security on, for all tables."""
    connection.execute(sql.SQL("SELECT count(*) FROM {}.gravity_memory_enable_rls()").format(sql.Identifier(schema)))


@pytest.mark.parametrize("version", RELEASED)
@pytest.mark.parametrize("arrangement", ARRANGEMENTS, ids=lambda arrangement: arrangement.name)
def test_an_upgraded_database_is_defined_like_a_fresh_one_and_no_row_was_touched(
    server: Server, make_role: MakeRole, make_database: MakeDatabase, arrangement: Arrangement, version: str
) -> None:
    owner = make_role()
    fresh = make_installed(server, make_database, arrangement, owner, CURRENT)
    upgraded = make_installed(server, make_database, arrangement, owner, version)
    with server.connect(upgraded) as connection:
        populate(connection, arrangement.schema)
        before = rows(connection, arrangement.schema, tables_of(connection, arrangement.schema))
        assert all(before[table] for table in TABLES)
    with server.connect(upgraded, user=owner if arrangement.upgrader == "owner" else None) as connection:
        upgrade(connection)
    with server.connect(upgraded) as connection, server.connect(fresh) as other:
        assert rows(connection, arrangement.schema, list(before)) == before
        wanted = catalogue(other, arrangement.schema)
        assert len(wanted["functions"]) > 80
        assert len(wanted["tables"]) > len(TABLES)
        # An upgrade leaves row security as it was, off for the tables of the application: see test_row_security.py.
        secure(connection, arrangement.schema)
        secure(other, arrangement.schema)
        wanted = catalogue(other, arrangement.schema)
        assert differences(catalogue(connection, arrangement.schema), wanted) == {}


def used(server: Server, database: str, schema: str, user: str | None) -> None:
    """Write memories, recall some and change a setting, as an application does between two upgrades."""
    with server.connect(database, user=user) as connection:
        connection.execute(sql.SQL("SET search_path = {}, public, extensions").format(sql.Identifier(schema)))
        remember(connection, 60, dimensions=16)
        connection.execute("SELECT gravity_memory_set('arc_min_memories', '4')")
        connection.execute("UPDATE gravity_map SET content = content || ' again' WHERE user_id = 'user 1'")
        connection.execute("DELETE FROM gravity_map WHERE user_id = 'user 2' AND content LIKE '%comet1'")
        assert_recall_is_complete(connection)


@pytest.mark.parametrize("arrangement", [ARRANGEMENTS[0], ARRANGEMENTS[2]], ids=lambda arrangement: arrangement.name)
def test_going_from_version_to_version_and_using_each_ends_where_one_step_from_the_first_does(
    server: Server, make_role: MakeRole, make_database: MakeDatabase, arrangement: Arrangement
) -> None:
    owner = make_role()
    user = owner if arrangement.upgrader == "owner" else None
    stepwise = make_installed(server, make_database, arrangement, owner, FIRST)
    direct = make_installed(server, make_database, arrangement, owner, FIRST)
    for version in (*RELEASED[1:], CURRENT):
        with server.connect(stepwise, user=user) as connection:
            upgrade(connection, version)
            assert version_of(connection) == version
        used(server, stepwise, arrangement.schema, user)
    with server.connect(direct, user=user) as connection:
        upgrade(connection)
    with server.connect(stepwise) as connection, server.connect(direct) as other:
        wanted = catalogue(other, arrangement.schema)
        assert differences(catalogue(connection, arrangement.schema), wanted) == {}
        # What every version on the way derived is what this one would have.
        connection.execute(
            sql.SQL("SET search_path = {}, public, extensions").format(sql.Identifier(arrangement.schema))
        )
        assert connection.execute("SELECT count(*) FROM memory_recall_gaps").fetchone() == (0,)
        made = derived(connection)
        assert len(made[0]) > 100
        connection.execute("CALL gravity_memory_rebuild_recall(p_everything => true)")
        assert derived(connection) == made


@pytest.fixture(params=RELEASED)
def old(server: Server, make_database: MakeDatabase, request: pytest.FixtureRequest) -> Iterator[Connection]:
    """A connection, as superuser, to a database with a released version in public and pgvector in `extensions`."""
    with server.connect(make_bare(server, make_database)) as connection:
        install(connection, "public", request.param, dimensions=64)
        yield connection


@pytest.fixture
def first(server: Server, make_database: MakeDatabase) -> Iterator[Connection]:
    """The same with the first version, for what only an upgrade from there does."""
    with server.connect(make_bare(server, make_database)) as connection:
        install(connection, "public", FIRST, dimensions=64)
        yield connection


@pytest.fixture
def last(server: Server, make_database: MakeDatabase) -> Iterator[Connection]:
    """The same with the version before the current one."""
    with server.connect(make_bare(server, make_database)) as connection:
        install(connection, "public", RELEASED[-1], dimensions=64)
        yield connection


@pytest.fixture
def fresh(server: Server, make_database: MakeDatabase) -> Iterator[Connection]:
    """The same with the current version."""
    with server.connect(make_bare(server, make_database)) as connection:
        install(connection, "public", CURRENT, dimensions=64)
        yield connection


def assert_recall_is_complete(connection: Connection) -> None:
    """Searches by meaning find what comparing every memory finds, and searches by word every memory with the word."""
    questions = connection.execute(
        "SELECT DISTINCT ON (user_id) user_id, embedding::text, split_part(content, ' ', 3) FROM gravity_map"
        " WHERE embedding IS NOT NULL AND content LIKE 'lamp %' ORDER BY user_id, id"
    ).fetchall()
    assert len(questions) >= 2
    for user, embedding, word in questions:
        wanted = connection.execute(
            "SELECT id FROM gravity_map WHERE user_id = %s AND embedding IS NOT NULL"
            " ORDER BY embedding <=> %s::vector, id",
            (user, embedding),
        ).fetchall()
        found = connection.execute("SELECT id FROM match_memories(%s, -1, 10, %s)", (embedding, user)).fetchall()
        assert found == wanted[:10]
        assert len(found) == 10
        wanted = connection.execute(
            "SELECT id FROM gravity_map WHERE user_id = %s AND content ~ ('\\m' || %s || '\\M') ORDER BY 1",
            (user, word),
        ).fetchall()
        found = connection.execute(
            "SELECT id FROM recall_memories(%s, %s, p_limit => 100, p_neighbour_weight => 0) ORDER BY 1", (user, word)
        ).fetchall()
        assert found == wanted
        assert len(found) >= 2


def test_recall_is_complete_at_once_and_what_it_reads_is_what_a_rebuild_makes(old: Connection) -> None:
    remember(old, 300)
    upgrade(old)
    assert old.execute("SELECT count(*) FROM memory_recall_gaps").fetchone() == (0,)
    made = derived(old)
    assert len(made[0]) == 300
    assert len(made[1]) > 900
    assert_recall_is_complete(old)
    old.execute("CALL gravity_memory_rebuild_recall(p_everything => true)")
    assert derived(old) == made


def test_from_a_version_without_derived_tables_recall_is_complete_above_the_limit_of_setup_too_and_a_notice_says_more(
    first: Connection,
) -> None:
    first.execute("SELECT gravity_memory_set('setup_index_limit', '0')")
    remember(first, 300)
    first.execute(f"DROP INDEX CONCURRENTLY {SUPERSEDED}".encode())
    told = notices_of(first)
    with first.transaction():
        upgrade(first)
        # Readers of the memories wait for nothing, since no index is left to be dropped, and writers until here.
        held = first.execute("SELECT mode FROM pg_locks WHERE relation = 'gravity_map'::regclass").fetchall()
        assert ("ShareRowExclusiveLock",) in held
        assert ("AccessExclusiveLock",) not in held
    assert any("CALL public.gravity_memory_rebuild_recall()" in line for line in told), told
    assert derived(first) == [[], []]
    assert_recall_is_complete(first)
    remember(first, 20)
    assert_recall_is_complete(first)
    first.execute("CALL gravity_memory_rebuild_recall(p_batch_size => 50)")
    assert first.execute("SELECT count(*) FROM memory_recall_gaps").fetchone() == (0,)
    made = derived(first)
    assert len(made[0]) == 320
    assert_recall_is_complete(first)
    first.execute("CALL gravity_memory_rebuild_recall(p_everything => true)")
    assert derived(first) == made


@pytest.fixture
def before_the_feed(server: Server, make_database: MakeDatabase) -> Iterator[Connection]:
    """A database with the last version that had no feed of changes."""
    with server.connect(make_bare(server, make_database)) as connection:
        install(connection, "public", "0.2.1", dimensions=64)
        yield connection


def locks_beyond_those_of_writers(connection: Connection) -> list[tuple[str, str]]:
    """What this session holds that readers or writers wait for: (table, mode), sorted.

    A comment on a column takes SHARE UPDATE EXCLUSIVE, for which neither waits.
    """
    held = connection.execute(
        "SELECT DISTINCT relation::regclass::text, mode FROM pg_locks AS l JOIN pg_tables AS t"
        " ON t.schemaname = 'public' AND l.relation = format('public.%I', t.tablename)::regclass"
        " WHERE mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock', 'ShareUpdateExclusiveLock')"
    ).fetchall()
    return sorted((table, mode) for table, mode in held)


def test_an_upgrade_that_brings_no_table_has_nobody_wait(last: Connection) -> None:
    remember(last, 300)
    made = derived(last)
    with last.transaction():
        upgrade(last)
        assert locks_beyond_those_of_writers(last) == []
    assert derived(last) == made
    assert_recall_is_complete(last)


@pytest.mark.parametrize("limit", ["0", "100"])
def test_an_upgrade_that_brings_a_table_and_triggers_has_writers_wait_for_it_and_no_reader(
    before_the_feed: Connection, limit: str
) -> None:
    last = before_the_feed
    last.execute("SELECT gravity_memory_set('setup_index_limit', %s)", (limit,))
    remember(last, 300)
    made = derived(last)
    told = notices_of(last)
    with last.transaction():
        upgrade(last)
        assert [lock for lock in locks_beyond_those_of_writers(last) if lock[0] != "memory_events"] == [
            ("gravity_map", "ShareRowExclusiveLock"),
            ("memory_arcs", "ShareRowExclusiveLock"),
        ]
    assert not any("rebuild_recall" in line for line in told), told
    assert derived(last) == made
    assert_recall_is_complete(last)


def test_an_upgrade_drops_the_index_that_another_one_supersedes(old: Connection) -> None:
    upgrade(old)
    assert old.execute("SELECT to_regclass(%s)", (SUPERSEDED,)).fetchone() == (None,)
    assert old.execute("SELECT * FROM gravity_memory_index_ddl()").fetchall() == []


def test_an_upgrade_records_nothing_until_it_is_asked_to_and_then_everything(old: Connection) -> None:
    remember(old, 50)
    upgrade(old)
    remember(old, 5)
    assert old.execute("SELECT count(*) FROM memory_events").fetchone() == (0,)
    old.execute("SELECT gravity_memory_set('notify', 'wakeup')")
    row = old.execute("SELECT memory_changes_head()").fetchone()
    assert row is not None
    remember(old, 5)
    users = [user for (user,) in old.execute("SELECT DISTINCT user_id FROM gravity_map").fetchall()]
    events = old.execute(
        "SELECT event FROM gravity_memory_changes(%s, %s) WHERE event = 'memory_created'", (users, row[0])
    ).fetchall()
    assert len(events) == 5


def test_whose_recall_was_to_be_mended_before_is_mended_afterwards(last: Connection) -> None:
    remember(last, 300)
    made = derived(last)
    last.execute("DELETE FROM memory_postings WHERE memory_id IN (SELECT id FROM gravity_map WHERE user_id = 'user 1')")
    last.execute("DELETE FROM memory_digests WHERE user_id = 'user 1'")
    last.execute("INSERT INTO memory_recall_gaps (user_id, is_every_user) VALUES ('user 1', false)")
    upgrade(last)
    assert last.execute("SELECT user_id FROM memory_recall_gaps").fetchall() == [("user 1",)]
    assert_recall_is_complete(last)
    last.execute("CALL gravity_memory_rebuild_recall()")
    assert last.execute("SELECT count(*) FROM memory_recall_gaps").fetchone() == (0,)
    assert derived(last) == made


def test_a_session_that_was_open_meanwhile_knows_everything_new(server: Server, old: Connection) -> None:
    remember(old, 50)
    calls = [
        "SELECT count(*) FROM gravity_memory_settings()",
        "SELECT gravity_memory_set('notify', 'off')",
        "SELECT gravity_memory_reset('notify')",
        "SELECT cleanup_old_cache()",
        "SELECT gravity_memory_evolve_arcs()",
        "SELECT count(*) FROM gravity_memory_index_catalogue()",
        "INSERT INTO gravity_map (user_id, gravity_score, emotion_type) VALUES ('open', 0.9, 'joy')",
        "UPDATE gravity_map SET gravity_score = 0.95 WHERE user_id = 'open'",
    ]
    if version_of(old) != FIRST:
        calls += SEARCHES
    with server.connect(old.info.dbname) as pooled, server.connect(old.info.dbname) as new:
        # Often enough for PostgreSQL to keep the plans.
        for _ in range(7):
            for call in calls:
                pooled.execute(call.encode())
        upgrade(old)
        settings = "SELECT * FROM gravity_memory_settings() ORDER BY 1"
        assert pooled.execute(settings).fetchall() == new.execute(settings).fetchall()
        effective = "SELECT _gravity_memory_effective_settings()"
        assert pooled.execute(effective).fetchall() == new.execute(effective).fetchall()
        # A default that a kept plan had computed in would be another one, or none.
        for (name,) in new.execute("SELECT name FROM gravity_memory_settings() ORDER BY 1").fetchall():
            reset = "SELECT gravity_memory_reset(%s)"
            assert pooled.execute(reset, (name,)).fetchall() == new.execute(reset, (name,)).fetchall()
        assert pooled.execute("SELECT gravity_memory_set('recall_margin', '3')").fetchone() == ("3",)
        assert pooled.execute("SELECT gravity_memory_reset('recall_margin')").fetchone() == ("2",)
        assert pooled.execute("SELECT * FROM gravity_memory_setup()").fetchall() == []
        for call in (*calls, *SEARCHES):
            assert pooled.execute(call.encode()).rowcount > 0 or call.startswith("CALL"), call
        assert pooled.execute("SELECT count(*) FROM memory_digests WHERE user_id = 'open'").fetchone() == (8,)
        assert_recall_is_complete(pooled)


SEARCHES = [
    "SELECT * FROM recall_memories('user 1', 'lamp comet1', array_fill(1, '{64}')::vector)",
    "SELECT * FROM match_memories(array_fill(1, '{64}')::vector, -1, 5, 'user 1')",
    "SELECT * FROM gravity_memory_search_all(array_fill(1, '{64}')::vector, -1, 5)",
    "SELECT * FROM find_similar_memories((SELECT min(id::text)::uuid FROM gravity_map WHERE user_id = 'user 1'"
    " AND embedding IS NOT NULL))",
    "CALL gravity_memory_rebuild_recall()",
]
"""What applications call since 0.2.0."""


@pytest.mark.parametrize("isolation", ["read committed", "repeatable read"])
def test_a_memory_that_is_being_written_while_derived_tables_come_is_found(
    server: Server, first: Connection, isolation: str
) -> None:
    remember(first, 50)
    first.execute(f"SET default_transaction_isolation = '{isolation}'".encode())
    failures: list[BaseException] = []

    def run() -> None:
        try:
            upgrade(first)
        except BaseException as error:
            failures.append(error)

    upgrading = threading.Thread(target=run)
    with server.connect(first.info.dbname, autocommit=False) as writer, server.connect(first.info.dbname) as observer:
        writer.execute("INSERT INTO gravity_map (user_id, content) VALUES ('user 1', 'meanwhile')")
        upgrading.start()
        await_lock(observer, first.info.backend_pid)
        writer.commit()
        upgrading.join()
        assert failures == []
        writer.execute("INSERT INTO gravity_map (user_id, content) VALUES ('user 1', 'meanwhile too')")
        writer.commit()
        found = observer.execute("SELECT content FROM recall_memories('user 1', 'meanwhile') WHERE content ~ '^mean'")
        assert sorted(found.fetchall()) == [("meanwhile",), ("meanwhile too",)]
        assert_recall_is_complete(observer)


def test_an_upgrade_that_gets_no_lock_in_time_changes_nothing_and_can_be_repeated(
    server: Server, first: Connection
) -> None:
    remember(first, 50)
    definitions, contents = catalogue(first, "public"), rows(first, "public", TABLES)
    first.execute("SET lock_timeout = '50ms'")
    with server.connect(first.info.dbname, autocommit=False) as writer:
        writer.execute("UPDATE gravity_map SET topic = 'a long transaction' WHERE user_id = 'user 1'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            upgrade(first)
        writer.rollback()
    assert catalogue(first, "public") == definitions
    assert rows(first, "public", TABLES) == contents
    upgrade(first)
    assert version_of(first) == CURRENT
    assert_recall_is_complete(first)


def await_lock(observer: Connection, pid: int) -> None:
    """Wait until a session waits for a lock on a table."""
    deadline = time.monotonic() + 180
    waiting = "SELECT FROM pg_locks WHERE pid = %s AND NOT granted AND locktype = 'relation'"
    while observer.execute(waiting, (pid,)).fetchone() is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("schema", ["public", ODD])
def test_an_application_with_a_search_function_from_before_ours_is_told_and_nothing_changes(
    server: Server, make_database: MakeDatabase, schema: str
) -> None:
    with server.connect(make_bare(server, make_database)) as connection:
        install(connection, schema, FIRST)
        populate(connection, schema)
        quoted = sql.Identifier(schema)
        for statement in (
            "CREATE FUNCTION {0}.match_memories(query_embedding extensions.vector, match_count integer)"
            " RETURNS integer LANGUAGE sql AS 'SELECT 1'",
            "CREATE FUNCTION {0}.find_similar_memories(text) RETURNS integer LANGUAGE sql AS 'SELECT 1'",
        ):
            connection.execute(sql.SQL(statement).format(quoted))
        definitions, contents = catalogue(connection, schema), rows(connection, schema, TABLES)
        with pytest.raises(psycopg.errors.DuplicateFunction) as refusal:
            upgrade(connection)
        assert "match_memories" in str(refusal.value)
        assert "find_similar_memories" in str(refusal.value)
        assert catalogue(connection, schema) == definitions

        # What the hint says can be run as it stands.
        hint = refusal.value.diag.message_hint
        assert hint is not None
        connection.execute(hint.removeprefix("Run ").split("; it drops")[0].encode())
        upgrade(connection)
        assert version_of(connection) == CURRENT
        assert rows(connection, schema, TABLES) == contents
        assert connection.execute(
            "SELECT count(*) FROM pg_proc WHERE proname IN ('match_memories', 'find_similar_memories')"
        ).fetchone() == (2,)


def test_tables_that_do_not_fit_are_named_and_nothing_changes(first: Connection) -> None:
    first.execute("CREATE TABLE memory_digests (memory_id text)")
    first.execute("ALTER TABLE gravity_map ALTER COLUMN content TYPE xml USING NULL")
    definitions = catalogue(first, "public")
    with pytest.raises(psycopg.errors.DatatypeMismatch) as refusal:
        upgrade(first)
    detail = refusal.value.diag.message_detail
    assert detail is not None
    assert "memory_digests.memory_id" in detail
    assert "gravity_map.content" in detail
    assert catalogue(first, "public") == definitions


def version_of(connection: Connection) -> str:
    """The version of the extension in this database."""
    row = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'gravity_memory'").fetchone()
    assert row is not None
    return str(row[0])


def test_there_is_one_way_and_no_way_back(old: Connection) -> None:
    version = version_of(old)
    path = "SELECT path FROM pg_extension_update_paths('gravity_memory') WHERE source = %s AND target = %s"
    steps = (*RELEASED[RELEASED.index(version) :], CURRENT)
    assert old.execute(path, (version, CURRENT)).fetchone() == ("--".join(steps),)
    assert old.execute(path, (CURRENT, version)).fetchone() == (None,)
    upgrade(old)
    with pytest.raises(psycopg.errors.InvalidParameterValue, match="no update path"):
        upgrade(old, version)
    upgrade(old)
    assert version_of(old) == CURRENT


def test_settings_stay_as_they_were_set(old: Connection) -> None:
    old.execute("SELECT gravity_memory_set('embedding_lists', '200')")
    old.execute("SELECT gravity_memory_set('arc_min_memories', '4')")
    # No version stores a value that is its default; a dump of one whose default was another may hold it.
    old.execute("INSERT INTO gravity_memory_settings VALUES ('notify_bulk_rows', '1000')")
    upgrade(old)
    wanted = {"embedding_lists": "200", "arc_min_memories": "4", "notify_bulk_rows": "1000"}
    stored: dict[str, str] = dict(old.execute("SELECT name, value FROM gravity_memory_settings").fetchall())
    assert stored == wanted
    in_force: dict[str, str] = dict(old.execute("SELECT name, value FROM gravity_memory_settings()").fetchall())
    assert {name: in_force[name] for name in wanted} == wanted
    assert in_force["recall_margin"] == "2"


def test_what_the_owner_changed_about_indexes_and_triggers_stays(old: Connection) -> None:
    for statement in (
        "DROP INDEX idx_gravity_map_emotion",
        "CREATE INDEX idx_gravity_map_emotion ON gravity_map (emotion_type) WHERE gravity_score > 0.1",
        "CREATE INDEX of_the_application ON gravity_map (topic)",
        "ALTER TABLE gravity_map DISABLE TRIGGER trigger_arc_building",
        "ALTER TABLE memory_arcs ENABLE ALWAYS TRIGGER trigger_notify_arc_created",
        "ALTER TABLE gravity_map ADD COLUMN of_the_application text DEFAULT 'theirs'",
        "ALTER TABLE gravity_map ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY of_the_application ON gravity_map USING (user_id = current_user)",
        "COMMENT ON TABLE gravity_map IS 'theirs'",
        "COMMENT ON COLUMN memory_arcs.arc_name IS 'theirs'",
        "ALTER TABLE gravity_map SET (fillfactor = 70)",
    ):
        old.execute(statement.encode())
    kinds = ("tables", "columns", "indexes", "triggers", "policies", "constraints")
    version_of_old = version_of(old)
    is_first = version_of_old == FIRST
    before = catalogue(old, "public")
    upgrade(old)
    after = catalogue(old, "public")
    # The first version's indexes that found nothing, because they were made on an empty table, are no loss.
    untrained = [row for row in before["indexes"] if "_embedding_" in str(row[0])]
    assert len(untrained) == (2 if is_first else 0)
    superseded = [row for row in before["indexes"] if row[0] == SUPERSEDED]
    assert len(superseded) == (1 if version_of_old < "0.2.1" else 0)
    # Columns that had no comment may have got ours.
    uncommented = [row[:-1] for row in before["columns"] if row[-1] is None]
    before["columns"] = [row for row in before["columns"] if row[-1] is not None]
    assert [row for row in uncommented if row not in [after_row[:-1] for after_row in after["columns"]]] == []
    for kind in kinds:
        lost = [row for row in before[kind] if row not in after[kind] and row not in untrained]
        assert lost == (superseded if kind == "indexes" else []), kind
    new = [row for row in after["triggers"] if row not in before["triggers"]]
    # Four that keep derived rows, and ten that keep the feed.
    assert [row[2] for row in new] == ["O"] * (14 if is_first else 10 if version_of_old < "0.3.0" else 0)


def test_privileges_that_the_owner_granted_stay_and_are_dumped(
    server: Server, make_database: MakeDatabase, make_role: MakeRole, old: Connection
) -> None:
    role, other = make_role(), make_role()
    for statement in (
        "GRANT EXECUTE ON FUNCTION gravity_memory_set(text, text) TO {0}",
        "GRANT EXECUTE ON FUNCTION cleanup_old_cache() TO {0}",
        "REVOKE EXECUTE ON FUNCTION gravity_memory_index_catalogue() FROM PUBLIC",
        "GRANT SELECT ON gravity_map TO {0}",
        "ALTER FUNCTION gravity_memory_setup(boolean) OWNER TO {1}",
    ):
        old.execute(sql.SQL(statement).format(sql.Identifier(role), sql.Identifier(other)))
    may = (
        "SELECT has_function_privilege(%(role)s, 'gravity_memory_set(text, text)', 'EXECUTE'),"
        " has_function_privilege(%(role)s, 'cleanup_old_cache()', 'EXECUTE'),"
        " has_function_privilege(%(role)s, 'gravity_memory_index_catalogue()', 'EXECUTE'),"
        " has_function_privilege(%(role)s, 'gravity_memory_setup(boolean)', 'EXECUTE'),"
        " has_function_privilege(%(role)s, 'gravity_memory_train_vector_indexes()', 'EXECUTE'),"
        " has_table_privilege(%(role)s, 'gravity_map', 'SELECT'),"
        " has_table_privilege(%(role)s, 'memory_digests', 'SELECT')"
    )
    wanted = (True, True, False, False, False, True, False)
    upgrade(old)
    assert old.execute(may, {"role": role}).fetchone() == wanted
    assert old.execute(
        "SELECT pg_get_userbyid(proowner) FROM pg_proc WHERE proname = 'gravity_memory_setup'"
    ).fetchall() == [(other,)]
    with server.connect(make_bare(server, make_database)) as connection:
        dump_and_restore(server, old, connection)
        assert connection.execute(may, {"role": role}).fetchone() == wanted


def dump_and_restore(server: Server, source: Connection, target: Connection) -> None:
    """Dump the schema public and the extension that is in it, and load both into a database that has pgvector."""
    dump = server.client("pg_dump", "--extension=gravity_memory", "--schema=public", source.info.dbname)
    # pg_dump says that it makes the schema, too, when it was told to dump it.
    script = dump.stdout.decode().replace("CREATE SCHEMA public;", "")
    server.psql(script, database=target.info.dbname)


def test_indexes_that_were_made_on_an_empty_table_are_trained_once_there_are_rows_enough(first: Connection) -> None:
    remember(first, 300)
    first.execute("SELECT gravity_memory_set('setup_index_limit', '0')")
    upgrade(first)
    first.execute("SELECT gravity_memory_set('embedding_index_min_rows', '100')")
    first.execute("ANALYZE gravity_map")
    definition = (
        "SELECT indexname, indexdef FROM pg_indexes WHERE indexname LIKE 'idx_gravity_map_embedding%' ORDER BY 1"
    )
    assert ["lists='100'" in row[1] for row in first.execute(definition).fetchall()] == [True, True]
    for (statement,) in first.execute("SELECT * FROM gravity_memory_vector_index_ddl()").fetchall():
        first.execute(statement.encode())
    assert ["lists='10'" in row[1] for row in first.execute(definition).fetchall()] == [True, True]
    assert first.execute("SELECT * FROM gravity_memory_vector_index_ddl()").fetchall() == []


def test_a_dump_of_a_released_version_becomes_like_new_when_setup_has_run(
    server: Server, make_database: MakeDatabase, old: Connection, fresh: Connection
) -> None:
    remember(old, 300)
    old.execute("SELECT gravity_memory_set('arc_min_memories', '4')")
    contents = old.execute("SELECT to_jsonb(g) FROM gravity_map AS g ORDER BY id").fetchall()
    with server.connect(make_bare(server, make_database)) as restored:
        dump_and_restore(server, old, restored)
        assert version_of(restored) == CURRENT
        # Until then everything works; without derived tables, by looking at every memory.
        told = notices_of(restored)
        assert_recall_is_complete(restored)
        restored.execute("INSERT INTO gravity_map (user_id, content) VALUES ('next', 'quince')")
        assert [row[0] for row in restored.execute("SELECT content FROM recall_memories('next', 'quince')")] == [
            "quince"
        ]
        assert told == []
        restored.execute("DELETE FROM gravity_map WHERE user_id = 'next'")

        done = restored.execute("SELECT action, object FROM gravity_memory_setup()").fetchall()
        is_first = version_of(old) == FIRST
        assert (("drop index", SUPERSEDED) in done) == (version_of(old) < "0.2.1")
        assert (("create table", "memory_events") in done) == (version_of(old) < "0.3.0")
        assert (("create table", "memory_digests") in done) == is_first
        assert (("derive rows", "memory_digests, memory_postings") in done) == is_first
        assert restored.execute("SELECT to_jsonb(g) FROM gravity_map AS g ORDER BY id").fetchall() == contents
        assert restored.execute("SELECT value FROM gravity_memory_settings").fetchall() == [("4",)]
        assert len(derived(restored)[0]) == 300
        assert_recall_is_complete(restored)
        secure(restored, "public")
        secure(fresh, "public")
        assert differences(catalogue(restored, "public"), catalogue(fresh, "public")) == {}


@pytest.mark.parametrize("version", RELEASED)
def test_the_upgrade_adds_its_jobs_and_keeps_the_others(cron_db: Connection, version: str) -> None:
    for statement in (
        "SELECT * FROM gravity_memory_teardown()",
        "DROP EXTENSION gravity_memory",
        "CREATE SCHEMA memory",
        f"CREATE EXTENSION gravity_memory SCHEMA memory VERSION '{version}'",
        "SELECT memory.gravity_memory_set('cache_cleanup_schedule', '7 * * * *')",
        "SELECT cron.alter_job(jobid, active := false) FROM cron.job WHERE jobname = 'evolve-arcs'",
        "SELECT cron.schedule('theirs', '1 2 * * *', 'SELECT 1')",
    ):
        cron_db.execute(statement.encode())
    query = "SELECT jobid, jobname, schedule, command, active FROM cron.job ORDER BY jobid"
    before = cron_db.execute(query).fetchall()
    training = ("train-vector-indexes", "*/10 * * * *", "SELECT memory.gravity_memory_train_vector_indexes()", True)
    assert (training in [row[1:] for row in before]) == (version != FIRST)
    has_feed = version >= "0.3.0"
    assert len(before) == (3 if version == FIRST else 5 if has_feed else 4)
    upgrade(cron_db)
    after = cron_db.execute(query).fetchall()
    assert after[: len(before)] == before
    cleanup = ("cleanup-events", "30 * * * *", "SELECT memory.gravity_memory_cleanup_events()", True)
    added = sorted(row[1:] for row in after[len(before) :])
    assert added == ([cleanup, training] if version == FIRST else [] if has_feed else [cleanup])
