"""Dump and restore bring back every row and definition, run no trigger, and the next memory is handled as ever."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from psycopg import sql

from devtools.fixtures import Connection, MakeDatabase, MakeRole
from devtools.servers import Server
from tests.python.database_contents import Contents, read_contents
from tests.python.populated import DERIVED_TABLES, FEED_TABLES, TABLES, populate

CHANNELS = ("memory_created", "memory_updated", "arc_created")
DIMENSIONS = 64
"""From as many on, similarity is looked for by signature first."""


@dataclass(frozen=True)
class Way:
    """A way to dump and restore.

    Attributes:
        name: for the test's name.
        dump: options of pg_dump.
        load: the program that restores, with its options; the dump is its standard input.
    """

    name: str
    dump: tuple[str, ...]
    load: tuple[str, ...]

    def dumped(self, server: Server, database: str, user: str | None = None, *options: str) -> bytes:
        """Dump a database."""
        return server.client("pg_dump", *self.dump, *options, database, user=user).stdout

    def restore(self, server: Server, database: str, dump: bytes, user: str | None = None) -> None:
        """Restore a dump into a database, failing at the first error."""
        program, *options = self.load
        server.client(program, *options, f"--dbname={database}", database=database, user=user, input=dump)


_PSQL = ("psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file=-")
PLAIN = Way("plain", (), _PSQL)
CUSTOM = Way("custom", ("--format=custom",), ("pg_restore", "--exit-on-error"))
WAYS = [
    PLAIN,
    CUSTOM,
    Way("one transaction", ("--format=custom",), ("pg_restore", "--exit-on-error", "--single-transaction")),
    Way("inserts", ("--inserts",), _PSQL),
]


def make_populated(server: Server, database: str, user: str, schema: str, reader: str) -> None:
    """Install the extension as `user`, in `schema`, and fill it. `reader` is granted a little of it."""
    with server.connect(database, user=user) as connection:
        if schema != "public":
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        connection.execute(f"SET gravity_memory.embedding_dimensions = {DIMENSIONS}".encode())
        connection.execute(sql.SQL("CREATE EXTENSION gravity_memory SCHEMA {}").format(sql.Identifier(schema)))
        populate(connection, schema, DIMENSIONS)
        # What was written without triggers has no derived rows. One user is noted, for the dump to carry the note.
        connection.execute(
            sql.SQL("SELECT {}._gravity_memory_note_recall_gaps('{{planted}}')").format(sql.Identifier(schema))
        )
        for statement in (
            "GRANT SELECT, INSERT ON {}.gravity_map TO {}",
            "GRANT SELECT (id, arc_name) ON {}.memory_arcs TO {}",
            "GRANT EXECUTE ON FUNCTION {}.gravity_memory_evolve_arcs(timestamptz) TO {}",
        ):
            connection.execute(sql.SQL(statement).format(sql.Identifier(schema), sql.Identifier(reader)))
        # What an owner may change about tables that are theirs.
        for statement in (
            "ALTER TABLE {}.gravity_map ADD COLUMN of_the_application text DEFAULT 'theirs'",
            "COMMENT ON COLUMN {}.gravity_map.of_the_application IS 'theirs'",
            "DROP INDEX {}.idx_gravity_map_temporal",
            "ALTER TABLE {}.memory_arcs DISABLE TRIGGER trigger_notify_arc_created",
        ):
            connection.execute(sql.SQL(statement).format(sql.Identifier(schema)))


def assert_same(restored: Contents, original: Contents) -> None:
    """Compare piece by piece, so that a failure names the table or the kind of object."""
    assert set(restored.rows) == set(original.rows)
    for table, rows in original.rows.items():
        assert restored.rows[table] == rows, table
    for kind, objects in original.catalogue.items():
        assert restored.catalogue[kind] == objects, kind


def assert_complete(original: Contents) -> None:
    """The database that was dumped is worth comparing with."""
    assert set(original.rows) == {*TABLES, *DERIVED_TABLES, *FEED_TABLES}
    assert all(original.rows.values())
    assert original.catalogue["tables in an extension"] == []
    assert len(original.catalogue["functions"]) > 20
    assert len(original.catalogue["triggers"]) >= 3
    assert any("planted" in str(row) for row in original.rows["gravity_map"])
    assert len(original.rows["memory_postings"]) > len(original.rows["memory_digests"]) > 10


def assert_next_insert_works(server: Server, database: str, schema: str) -> None:
    """A new memory is tagged and announced, and the second of its kind makes an arc (the dump's setting says two)."""
    with server.connect(database) as connection, server.connect(database) as listener:
        connection.execute(sql.SQL("SET search_path = {}").format(sql.Identifier(schema)))
        connection.execute("ALTER TABLE memory_arcs ENABLE TRIGGER trigger_notify_arc_created")
        for channel in CHANNELS:
            listener.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        complaints: list[str | None] = []
        connection.add_notice_handler(lambda diagnostic: complaints.append(diagnostic.message_primary))
        rows = [
            connection.execute(
                "INSERT INTO gravity_map (user_id, content, gravity_score, emotion_type)"
                " VALUES ('next', 'tomorrow', 0.9, 'awe') RETURNING meta_tags, temporal_type"
            ).fetchone()
            for _ in range(2)
        ]
        assert rows == [(["high_gravity"], "future")] * 2
        assert connection.execute("SELECT memory_count FROM memory_arcs WHERE user_id = 'next'").fetchall() == [(2,)]
        assert complaints == []
        heard = sorted(n.channel for n in listener.notifies(timeout=60, stop_after=3))
        assert heard == ["arc_created", "memory_created", "memory_created"]
        assert len(connection.execute("SELECT FROM recall_memories('next', 'tomorrow')").fetchall()) == 2


def answers(server: Server, database: str, schema: str, user: str) -> dict[str, dict[object, float]]:
    """What recall answers a database user about both users of the populated database: scores by memory."""
    vector = str([1 / (place + 3) for place in range(DIMENSIONS)])
    found = {}
    with server.connect(database, user=user) as connection:
        name = sql.Identifier(schema)
        for memory_user, words in (("user", "the trailing controls of the quotes"), ("planted", "remember yesterday")):
            for question, query in (
                ("by meaning", "SELECT id, similarity FROM {}.match_memories(%(vector)s, -1, 50, %(user)s)"),
                ("by words", "SELECT id, score FROM {}.recall_memories(%(user)s, %(words)s, p_limit => 50)"),
                ("by both", "SELECT id, score FROM {}.recall_memories(%(user)s, %(words)s, %(vector)s, p_limit => 50)"),
            ):
                rows = connection.execute(
                    sql.SQL(query).format(name), {"vector": vector, "user": memory_user, "words": words}
                ).fetchall()
                found[f"{memory_user} {question}"] = dict(rows)
    return found


def assert_answers_are(found: dict[str, dict[object, float]], wanted: dict[str, dict[object, float]]) -> None:
    """The same memories, with the same scores but for the order in which numbers were added up."""
    assert [question for question, rows in wanted.items() if not rows] == ["planted by meaning"], "they have no vectors"
    for question, rows in wanted.items():
        assert found[question] == pytest.approx(rows), question


@pytest.mark.parametrize(
    ("way", "restorer", "schema"),
    [
        *[(way, restorer, "public") for way in WAYS for restorer in ("superuser", "owner")],
        (PLAIN, "owner", "My Memory"),
        (CUSTOM, "superuser", "My Memory"),
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


def populate_cron(connection: Connection) -> None:
    """Fill the database and schedule a job of somebody else's."""
    connection.execute("SELECT cron.schedule('somebody''s report', '3 4 * * *', $$SELECT 'it''s theirs'$$)")
    connection.execute(f"ALTER TABLE gravity_map ALTER COLUMN embedding TYPE vector({DIMENSIONS}) USING NULL".encode())
    populate(connection, "public", DIMENSIONS)
