"""Dump and restore bring back every row and definition, run no trigger, and the next memory is handled as ever."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

import pytest
from psycopg import sql

from devtools.fixtures import Connection, MakeDatabase, MakeRole
from devtools.servers import Server
from tests.python.database_contents import read_contents
from tests.python.derived_rows import assert_derived_rows_are_right
from tests.python.moved_database import (
    CHANNELS,
    DIMENSIONS,
    answers,
    assert_answers_are,
    assert_complete,
    assert_next_insert_works,
    assert_same,
    make_populated,
)
from tests.python.populated import DERIVED_TABLES, FEED_TABLES, populate

Dump = list[tuple[str, bytes]]
"""The parts of a dump, in order: the folder that one is in, or else what pg_dump wrote."""


@dataclass(frozen=True)
class Way:
    """A way to dump and restore.

    Attributes:
        name: for the test's name.
        parts: options of pg_dump, for each part that is dumped by itself; all are dumped before any is restored.
        load: the program that restores a part, with its options.
        in_folder: the dump is a folder; else it goes from standard output to standard input.
    """

    name: str
    parts: tuple[tuple[str, ...], ...]
    load: tuple[str, ...]
    in_folder: bool = False

    def dumped(self, server: Server, database: str, user: str | None = None, *options: str) -> Dump:
        """Dump a database."""
        dump = []
        for part in self.parts:
            folder = ""
            if self.in_folder:
                folder = server.installation.inside(Path(server.installation.run) / f"dump_{uuid.uuid4()}")
            into = [f"--file={folder}"] if folder else []
            done = server.client("pg_dump", *part, *options, *into, database, user=user)
            dump.append((folder, done.stdout))
        return dump

    def restore(self, server: Server, database: str, dump: Dump, user: str | None = None) -> None:
        """Restore a dump into a database, failing at the first error."""
        program, *options = self.load
        for folder, text in dump:
            source = [folder] if folder else []
            server.client(program, *options, f"--dbname={database}", *source, database=database, user=user, input=text)


_PSQL = ("psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file=-")
_RESTORE = ("pg_restore", "--exit-on-error")
PLAIN = Way("plain", ((),), _PSQL)
CUSTOM = Way("custom", (("--format=custom",),), _RESTORE)
ONE_TRANSACTION = Way("one transaction", (("--format=custom",),), (*_RESTORE, "--single-transaction"))
INSERTS = Way("inserts", (("--inserts",),), _PSQL)
CLEAN = Way("in place of", (("--format=custom",),), (*_RESTORE, "--clean", "--if-exists"))
FOLDER = Way("folder, two jobs", (("--format=directory", "--jobs=2"),), (*_RESTORE, "--jobs=2"), in_folder=True)
SECTIONS = Way("section by section", (("--section=pre-data",), ("--section=data",), ("--section=post-data",)), _PSQL)
# Where --disable-triggers would end with switching on the triggers that their owner had switched off.
_AS_REPLICA = (*_PSQL[:-1], "--command=SET session_replication_role = replica", _PSQL[-1])
SCHEMA_THEN_ROWS = Way("schema, then rows", (("--schema-only",), ("--data-only",)), _AS_REPLICA)
ONE_SCHEMA = Way("one schema", (('--schema="My Memory"', "--extension=gravity_memory"),), _PSQL)
ROWS = Way("rows of one schema", (("--data-only", "--disable-triggers", '--schema="My Memory"'),), _PSQL)
ALL_ROWS = Way("rows", (("--data-only", "--disable-triggers"),), _PSQL)
ROWS_OF_AN_OWNER = Way("rows", (("--data-only",),), _PSQL)


@pytest.mark.parametrize(
    ("way", "restorer", "schema"),
    [
        (PLAIN, "superuser", "public"),
        (PLAIN, "owner", "public"),
        (PLAIN, "owner", "My Memory"),
        (CUSTOM, "superuser", "My Memory"),
        (CUSTOM, "owner", "public"),
        (ONE_TRANSACTION, "superuser", "public"),
        (INSERTS, "owner", "public"),
        (FOLDER, "superuser", "My Memory"),
        (FOLDER, "owner", "public"),
        (SECTIONS, "owner", "My Memory"),
        (SCHEMA_THEN_ROWS, "superuser", "public"),
        (ONE_SCHEMA, "owner", "My Memory"),
    ],
    ids=lambda value: value.name if isinstance(value, Way) else value,
)
def test_a_restored_database_is_identical(
    server: Server, make_role: MakeRole, make_database: MakeDatabase, way: Way, restorer: str, schema: str
) -> None:
    owner, reader = make_role(), make_role()
    source = make_database(["vector"], owner=owner)
    make_populated(server, source, owner, schema, reader)
    with server.connect(source) as connection:
        original = read_contents(connection, schema)
    assert_complete(original)

    target = make_target(make_database, restorer, owner)
    with server.connect(target) as listener:
        for channel in CHANNELS:
            listener.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        dump_and_restore(server, way, source, target, restorer, owner)
        assert list(listener.notifies(timeout=0.2)) == []

    with server.connect(target) as connection:
        assert_same(read_contents(connection, schema), original)
    assert_answers_are(answers(server, target, schema, owner), answers(server, source, schema, owner))
    assert_next_insert_works(server, target, schema)


def test_a_dump_replaces_what_became_of_the_database_since(
    server: Server, make_role: MakeRole, make_database: MakeDatabase
) -> None:
    database = make_database(["vector"])
    make_populated(server, database, server.user, "public", make_role())
    with server.connect(database) as connection:
        original = read_contents(connection, "public")
        dump = CLEAN.dumped(server, database)
        connection.execute("INSERT INTO gravity_map (user_id) VALUES ('surplus')")
        connection.execute("DROP TABLE pattern_matrix")
    CLEAN.restore(server, database, dump)
    with server.connect(database) as connection:
        assert_same(read_contents(connection, "public"), original)
    assert_next_insert_works(server, database, "public")


def make_target(make_database: MakeDatabase, restorer: str, owner: str) -> str:
    """An empty database. An owner who is no superuser finds pgvector in it, and could not create it."""
    return make_database(["vector"] if restorer == "owner" else [], owner=owner)


def dump_and_restore(server: Server, way: Way, source: str, target: str, restorer: str, owner: str) -> None:
    """Dump and restore, as the superuser or as the owner, who leaves out the extensions that are not theirs."""
    if restorer == "owner":
        way.restore(server, target, way.dumped(server, source, owner, "--extension=gravity_memory"), owner)
    else:
        way.restore(server, target, way.dumped(server, source))


@pytest.mark.parametrize("restorer", ["superuser", "owner"])
def test_setup_after_a_restore_changes_nothing_but_what_was_missing(
    server: Server, make_role: MakeRole, make_database: MakeDatabase, restorer: str
) -> None:
    owner, reader = make_role(), make_role()
    source = make_database(["vector"], owner=owner)
    target = make_target(make_database, restorer, owner)
    make_populated(server, source, owner, "public", reader)
    dump_and_restore(server, CUSTOM, source, target, restorer, owner)
    with server.connect(target) as connection:
        rows = read_contents(connection, "public").rows
        done = connection.execute("SELECT action, object FROM gravity_memory_setup()").fetchall()
        # The owner had dropped this index; a superuser's restore made the functions the superuser's.
        assert ("create index", "idx_gravity_map_temporal") in done
        assert {action for action, _ in done} <= {"create index", "change owner"}
        assert (restorer == "superuser") == any(action == "change owner" for action, _ in done)
        definers = connection.execute(
            "SELECT DISTINCT pg_get_userbyid(proowner) FROM pg_proc WHERE prosecdef AND proname LIKE '%gravity_memory%'"
        ).fetchall()
        assert definers == [(owner,)]
        assert read_contents(connection, "public").rows == rows
    assert_answers_are(answers(server, target, "public", owner), answers(server, source, "public", owner))
    assert_next_insert_works(server, target, "public")


def test_rows_alone_go_into_a_database_where_the_extension_was_created(
    server: Server, make_role: MakeRole, make_database: MakeDatabase
) -> None:
    owner, reader = make_role(), make_role()
    source, target = make_database(["vector"], owner=owner), make_database(["vector"], owner=owner)
    make_populated(server, source, owner, "My Memory", reader)
    create_empty(server, target, owner, "My Memory")
    ROWS.restore(server, target, ROWS.dumped(server, source))
    with server.connect(source) as one, server.connect(target) as other:
        original, restored = read_contents(one, "My Memory"), read_contents(other, "My Memory")
    assert_complete(original)
    assert restored.rows == original.rows
    assert restored.catalogue["sequences"] == original.catalogue["sequences"]
    assert_answers_are(answers(server, target, "My Memory", owner), answers(server, source, "My Memory", owner))
    assert_next_insert_works(server, target, "My Memory")


def create_empty(server: Server, database: str, owner: str, schema: str) -> None:
    """Create the extension as its owner does, with tables into which rows of a populated database fit."""
    with server.connect(database, user=owner) as connection:
        name = sql.Identifier(schema)
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(name))
        connection.execute(f"SET gravity_memory.embedding_dimensions = {DIMENSIONS}".encode())
        connection.execute(sql.SQL("CREATE EXTENSION gravity_memory SCHEMA {}").format(name))
        connection.execute(sql.SQL("ALTER TABLE {}.gravity_map ADD COLUMN of_the_application text").format(name))


def test_an_owner_who_may_not_disable_triggers_tears_down_loads_the_rows_and_sets_up(
    server: Server, make_role: MakeRole, make_database: MakeDatabase
) -> None:
    owner, reader = make_role(), make_role()
    source, target = make_database(["vector"], owner=owner), make_database(["vector"], owner=owner)
    make_populated(server, source, owner, "public", reader)
    create_empty(server, target, owner, "public")
    with server.connect(target, user=owner) as connection:
        connection.execute("SELECT * FROM gravity_memory_teardown()")
        dump = ROWS_OF_AN_OWNER.dumped(server, source, owner)
        ROWS_OF_AN_OWNER.restore(server, target, dump, owner)
        connection.execute("SELECT * FROM gravity_memory_setup()")
    with server.connect(source) as one, server.connect(target) as other:
        original, restored = read_contents(one, "public").rows, read_contents(other, "public").rows
        assert_derived_rows_are_right(other)
        added = set(restored["memory_events"]) - set(original["memory_events"])
    for table in set(original) - {*DERIVED_TABLES, *FEED_TABLES}:
        assert restored[table] == original[table], table
    # Whoever reads the feed is told that it missed something.
    assert len(restored["memory_events"]) == len(original["memory_events"]) + len(added)
    assert ["feed_broken" in str(row) for row in added] == [True]
    assert_next_insert_works(server, target, "public")


def test_one_table_alone_can_be_dumped_and_restored_into_another_installation(
    server: Server, make_role: MakeRole, make_database: MakeDatabase
) -> None:
    source, target = make_database(["vector"]), make_database()
    make_populated(server, source, server.user, "public", make_role())
    PLAIN.restore(server, target, PLAIN.dumped(server, source, None, "--data-only", "--table=pattern_matrix"))
    with server.connect(source) as one, server.connect(target) as other:
        query = "SELECT to_jsonb(p) FROM pattern_matrix AS p ORDER BY id"
        rows = one.execute(query).fetchall()
        assert len(rows) >= 10
        assert other.execute(query).fetchall() == rows


def test_the_memories_alone_can_be_restored_into_a_database_without_the_extension(
    server: Server, make_role: MakeRole, make_database: MakeDatabase
) -> None:
    source, target = make_database(["vector"]), make_database(["vector"])
    make_populated(server, source, server.user, "public", make_role())
    # The triggers' functions are the extension's; whoever leaves the extension behind tears down first.
    with server.connect(source) as connection:
        connection.execute("SELECT * FROM gravity_memory_teardown()")
        original = connection.execute("SELECT to_jsonb(g) FROM gravity_map AS g ORDER BY id").fetchall()
    PLAIN.restore(server, target, PLAIN.dumped(server, source, None, "--table=gravity_map"))
    with server.connect(target) as connection:
        assert connection.execute("SELECT to_jsonb(g) FROM gravity_map AS g ORDER BY id").fetchall() == original
        # The extension adopts what is there.
        connection.execute("CREATE EXTENSION gravity_memory")
        assert connection.execute("SELECT to_jsonb(g) FROM gravity_map AS g ORDER BY id").fetchall() == original
        underived = "SELECT id FROM gravity_map EXCEPT SELECT memory_id FROM memory_digests"
        assert connection.execute(underived).fetchall() == []
    assert_answers_are(answers(server, target, "public", server.user), answers(server, source, "public", server.user))


def cron_jobs(connection: Connection) -> list[tuple[object, ...]]:
    """All of pg_cron's jobs."""
    return connection.execute(
        "SELECT jobname, schedule, command, database, username, active FROM cron.job ORDER BY jobname, command"
    ).fetchall()


@pytest.mark.parametrize("way", [PLAIN, CUSTOM], ids=lambda way: way.name)
def test_the_database_of_pg_cron_keeps_all_jobs(server: Server, cron_db: Connection, way: Way) -> None:
    name = cron_db.info.dbname
    populate_cron(cron_db)
    original, jobs = read_contents(cron_db, "public"), cron_jobs(cron_db)
    assert [job[:3] for job in jobs] == [
        ("cleanup-cache", "7 * * * *", "SELECT public.cleanup_old_cache()"),
        ("cleanup-events", "30 * * * *", "SELECT public.gravity_memory_cleanup_events()"),
        ("evolve-arcs", "15 * * * *", "SELECT public.gravity_memory_evolve_arcs()"),
        ("somebody's report", "3 4 * * *", "SELECT 'it''s theirs'"),
        ("train-vector-indexes", "*/10 * * * *", "SELECT public.gravity_memory_train_vector_indexes()"),
    ]
    cron_db.close()

    # pg_cron works in one database only, so the same one is dumped, dropped and made again from the dump.
    dump = way.dumped(server, name)
    server.drop_database(name)
    server.create_database(name)
    way.restore(server, name, dump)
    with server.connect(name) as connection:
        assert cron_jobs(connection) == jobs
        assert_same(read_contents(connection, "public"), original)
        connection.execute("SELECT * FROM gravity_memory_setup()")
        assert cron_jobs(connection) == jobs
    assert_next_insert_works(server, name, "public")


def test_rows_alone_bring_the_jobs_of_pg_cron_along_where_teardown_removed_those_that_were_there(
    server: Server, cron_db: Connection
) -> None:
    name = cron_db.info.dbname
    populate_cron(cron_db)
    original, jobs = read_contents(cron_db, "public").rows, cron_jobs(cron_db)
    cron_db.close()
    dump = ALL_ROWS.dumped(server, name)
    server.drop_database(name)
    server.create_database(name, extensions=["pg_cron", "vector"])
    with server.connect(name) as connection:
        connection.execute(f"SET gravity_memory.embedding_dimensions = {DIMENSIONS}".encode())
        connection.execute("CREATE EXTENSION gravity_memory")
        connection.execute("SELECT * FROM gravity_memory_teardown()")
        ALL_ROWS.restore(server, name, dump)
        done = connection.execute("SELECT DISTINCT action FROM gravity_memory_setup()").fetchall()
        assert sorted(done) == [("create trigger",), ("derive rows",)]
        assert cron_jobs(connection) == jobs
        restored = read_contents(connection, "public").rows
    for table in set(original) - {*DERIVED_TABLES, *FEED_TABLES}:
        assert restored[table] == original[table], table
    assert_next_insert_works(server, name, "public")


def populate_cron(connection: Connection) -> None:
    """Fill the database and schedule a job of somebody else's."""
    connection.execute("SELECT cron.schedule('somebody''s report', '3 4 * * *', $$SELECT 'it''s theirs'$$)")
    connection.execute(f"ALTER TABLE gravity_map ALTER COLUMN embedding TYPE vector({DIMENSIONS}) USING NULL".encode())
    populate(connection, "public", DIMENSIONS)
