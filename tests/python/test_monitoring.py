"""What a DBA looks at: the check, whose remedies run as they stand, the counts, the use of indexes, slow queries.

Most findings are tested in tests/pgtap/monitoring.sql. Here are those that need several sessions, several servers,
pg_cron or pg_stat_statements, or a remedy that cannot run inside a transaction.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from devtools.fixtures import EXTENSIONS, Connection, MakeDatabase, MakeRole, NewServer
from devtools.servers import Server

MAJORS_WITH_STATEMENTS = {15, 17}
"""The versions of the test matrix whose servers come with contrib modules (the embedded ones do not)."""

HOSTILE = 'O\'Neill "%s" 💧'

_MEMORIES = """
INSERT INTO gravity_map (user_id, session_id, content, gravity_score, emotion_type, entities, embedding, created_at)
SELECT 'user ' || floor(sqrt(n % 900)), 'session ' || n / 12, 'We will meet at the lake ' || n, (n % 100) / 100.0,
       (ARRAY['joy', 'love', 'fear', NULL])[1 + n % 4], ARRAY['Blu', 'Name ' || n % 7],
       CASE WHEN n % 8 > 0 THEN (SELECT array_agg(sin(n * d)) FROM generate_series(1, 8) AS d)::{vector}.vector END,
       now() - n * interval '5 minutes'
FROM generate_series(1, {rows}) AS n
"""


def findings(connection: Connection, schema: str = "public") -> list[tuple[str, str, str]]:
    """Severity, finding and object of each row of the check."""
    function = sql.Identifier(schema, "gravity_memory_check")
    return connection.execute(sql.SQL("SELECT severity, finding, object FROM {}()").format(function)).fetchall()


def mend(connection: Connection, schema: str = "public") -> list[tuple[str, str, str]]:
    """Execute the remedies, each as it was returned, until the check returns none; return what it still finds."""
    function = sql.Identifier(schema, "gravity_memory_check")
    query = sql.SQL("SELECT remedy FROM {}() WHERE remedy IS NOT NULL LIMIT 1").format(function)
    for _ in range(12):
        row = connection.execute(query).fetchone()
        if row is None:
            break
        connection.execute(row[0].encode())
    return findings(connection, schema)


def load(connection: Connection, rows: int, vector_schema: str = "public") -> None:
    """Insert memories of 8 dimensions, one hour of twelve, of thirty users."""
    script = sql.SQL(_MEMORIES).format(rows=sql.Literal(rows), vector=sql.Identifier(vector_schema))
    connection.execute(script)


@pytest.fixture
def small_db(server: Server, make_database: MakeDatabase) -> Iterator[Connection]:
    """A connection to a database whose embeddings have 8 dimensions, with a few hundred memories."""
    with server.connect(make_database(["vector"])) as connection:
        connection.execute("SET gravity_memory.embedding_dimensions = 8")
        connection.execute("CREATE EXTENSION gravity_memory")
        load(connection, 400)
        yield connection


# Healthy installations.


def test_an_installation_that_just_began_and_one_with_a_bulk_load_are_healthy(db: Connection) -> None:
    assert findings(db) == []
    db.execute("ALTER TABLE gravity_map ALTER COLUMN embedding TYPE vector(8)")
    load(db, 3_000)
    db.execute("ANALYZE")
    assert findings(db) == []
    db.execute("SELECT gravity_memory_evolve_arcs()")
    db.execute("UPDATE gravity_map SET gravity_score = 0.95 WHERE user_id = 'user 3'")
    db.execute("DELETE FROM gravity_map WHERE user_id = 'user 4'")
    assert findings(db) == []


def test_adopted_tables_are_healthy_when_the_statements_that_setup_names_have_run(
    server: Server, make_database: MakeDatabase, make_role: MakeRole
) -> None:
    owner = make_role()
    database = make_database(["vector"], owner=owner)
    with server.connect(database, user=owner) as theirs:
        theirs.execute(
            "CREATE TABLE gravity_map (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_id varchar(50) NOT NULL,"
            " session_id uuid, thread_id uuid, content varchar, gravity_score numeric(4, 3), emotion_type varchar,"
            " entities text[], created_at timestamptz NOT NULL DEFAULT now(), embedding vector(8), own jsonb)"
        )
        theirs.execute(
            "CREATE TABLE memory_arcs (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_id varchar NOT NULL,"
            " arc_name varchar NOT NULL, emotion_type varchar, evolution_stage varchar)"
        )
        theirs.execute(
            "INSERT INTO gravity_map (user_id, content, gravity_score, emotion_type)"
            " SELECT 'user ' || n % 9, 'the lake', 0.9, 'joy' FROM generate_series(1, 900) AS n"
        )
    with server.connect(database) as administrator:
        administrator.execute("CREATE EXTENSION gravity_memory")
        assert findings(administrator) == []
        administrator.execute("SELECT gravity_memory_set('setup_index_limit', '0')")
        administrator.execute("SELECT gravity_memory_teardown()")
        administrator.execute("DROP EXTENSION gravity_memory")
        administrator.execute("DROP INDEX idx_gravity_map_user_thread")
        administrator.execute("DROP TABLE memory_digests, memory_postings, memory_recall_gaps")
        administrator.execute("CREATE EXTENSION gravity_memory")
        found = {(severity, finding) for severity, finding, _ in findings(administrator)}
        assert found == {("warning", "missing_index"), ("warning", "recall_gaps")}
        for (statement,) in administrator.execute("SELECT gravity_memory_index_ddl()").fetchall():
            administrator.execute(statement.encode())
        administrator.execute("CALL gravity_memory_rebuild_recall()")
        assert findings(administrator) == []
    # The owner of the tables is not the owner of the extension, and may look at all of it just the same.
    with server.connect(database, user=owner) as theirs:
        assert findings(theirs) == []


def test_an_installation_of_a_database_owner_in_a_schema_of_its_own_is_healthy(
    server: Server, make_database: MakeDatabase, make_role: MakeRole
) -> None:
    owner, schema = make_role(), "memory %s 💧"
    with server.connect(make_database([], owner=owner)) as administrator:
        administrator.execute("CREATE SCHEMA extensions")
        administrator.execute("CREATE EXTENSION vector SCHEMA extensions")
        administrator.execute("GRANT USAGE ON SCHEMA extensions TO PUBLIC")
        with server.connect(administrator.info.dbname, user=owner) as connection:
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
            connection.execute("SET gravity_memory.embedding_dimensions = 8")
            connection.execute(sql.SQL("CREATE EXTENSION gravity_memory SCHEMA {}").format(sql.Identifier(schema)))
            assert findings(connection, schema) == []
            # Remedies name their objects in full.
            for statement in (
                "DROP TABLE {}.pattern_matrix",
                "DROP INDEX {}.idx_gravity_map_tags",
                "ALTER TABLE {}.gravity_map DISABLE TRIGGER trigger_arc_building",
                "INSERT INTO {}.gravity_memory_settings VALUES ('arc_window', 'soon'), ('arc_min_memories', '21')",
                "ALTER TABLE {}.gravity_map ALTER COLUMN embedding TYPE extensions.vector",
            ):
                connection.execute(sql.SQL(statement).format(sql.Identifier(schema)))
            assert len(findings(connection, schema)) == 5
            assert mend(connection, schema) == []


def test_a_partitioned_table_is_healthy_and_its_indexes_are_counted_as_one(
    server: Server, make_database: MakeDatabase
) -> None:
    with server.connect(make_database(["vector"])) as connection:
        connection.execute(
            "CREATE TABLE gravity_map (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), user_id text NOT NULL,"
            " embedding vector(8)) PARTITION BY HASH (id)"
        )
        for remainder in (0, 1):
            connection.execute(
                f"CREATE TABLE part_{remainder} PARTITION OF gravity_map"
                f" FOR VALUES WITH (MODULUS 2, REMAINDER {remainder})".encode()
            )
        connection.execute("CREATE EXTENSION gravity_memory")
        load(connection, 400)
        assert findings(connection) == []
        connection.execute("CREATE INDEX only_here ON part_0 (summary)")
        rows = connection.execute(
            "SELECT table_name, index_name, size_bytes > 0 FROM gravity_memory_index_usage()"
            " WHERE index_name IN ('only_here', 'idx_gravity_map_user_id') OR table_name LIKE 'part%' ORDER BY 1"
        ).fetchall()
        assert rows == [("gravity_map", "idx_gravity_map_user_id", True), ("part_0", "only_here", True)]
        connection.execute("ALTER TABLE part_1 SET (autovacuum_enabled = off)")
        connection.execute("DROP INDEX idx_gravity_map_user_id")
        assert [finding for _, finding, _ in findings(connection)] == ["autovacuum_disabled", "missing_index"]
        assert mend(connection) == []


# Remedies that run outside a transaction only.


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        (["DROP INDEX idx_gravity_map_user_id"], {"missing_index"}),
        (
            ["UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_gravity_map_tags'::regclass"],
            {"invalid_index"},
        ),
        (
            ["DROP INDEX idx_gravity_map_tags", "CREATE INDEX idx_gravity_map_tags ON gravity_map (meta_tags)"],
            {"changed_index"},
        ),
        (["SELECT gravity_memory_set('embedding_index_min_rows', '300')"], {"missing_vector_index"}),
        (
            [
                "SELECT gravity_memory_set('embedding_index_min_rows', '300')",
                "CREATE INDEX idx_gravity_map_embedding_cosine ON gravity_map"
                " USING ivfflat (embedding vector_cosine_ops) WITH (lists = 300)",
                "CREATE INDEX idx_gravity_map_embedding_l2 ON gravity_map USING hnsw (embedding vector_l2_ops)",
            ],
            {"untrained_vector_index"},
        ),
        (["INSERT INTO memory_recall_gaps (user_id, is_every_user) VALUES ('user 1', false)"], {"recall_gaps"}),
        (["INSERT INTO memory_recall_gaps (user_id, is_every_user) VALUES ('', true)"], {"recall_gaps"}),
        (
            [
                "SET session_replication_role = replica",
                "INSERT INTO gravity_map (user_id, content) VALUES ('user 1', 'loaded'), ('user ''new''', 'loaded')",
                "RESET session_replication_role",
            ],
            {"missing_derived_rows"},
        ),
        (
            [
                "SET session_replication_role = replica",
                "DELETE FROM gravity_map WHERE user_id = 'user 1'",
                "RESET session_replication_role",
            ],
            {"wrong_derived_rows"},
        ),
        (
            ["ALTER TABLE gravity_map ALTER COLUMN embedding TYPE vector(3) USING subvector(embedding, 1, 3)"],
            {"signature_length"},
        ),
        (["SELECT gravity_memory_set('text_search_config', 'simple')"], {"recall_gaps"}),
    ],
)
def test_what_the_check_finds_is_mended_by_its_remedies_as_they_stand(
    small_db: Connection, statements: list[str], found: set[str]
) -> None:
    assert findings(small_db) == []
    for statement in statements:
        small_db.execute(statement.encode())
    assert {finding for _, finding, _ in findings(small_db)} == found
    assert mend(small_db) == []


def test_vector_indexes_that_lack_memory_say_how_much_they_need(
    server: Server, small_db: Connection, make_role: MakeRole
) -> None:
    owner = make_role("LOGIN SUPERUSER")
    small_db.execute(
        sql.SQL("ALTER ROLE {} SET maintenance_work_mem = '1MB'").format(sql.Identifier(owner)),
    )
    small_db.execute("SELECT gravity_memory_set('embedding_index_min_rows', '300')")
    small_db.execute("SELECT gravity_memory_set('embedding_lists', '500')")
    with server.connect(small_db.info.dbname, user=owner) as connection:
        assert [finding for _, finding, _ in findings(connection)] == ["vector_index_memory"]
        remedy = connection.execute("SELECT remedy FROM gravity_memory_check()").fetchone()
        assert remedy is not None
        connection.execute(remedy[0].encode())
    with server.connect(small_db.info.dbname, user=owner) as connection:
        assert mend(connection) == []


def test_statistics_that_were_never_gathered_and_stale_ones_are_found(db: Connection) -> None:
    # Autovacuum would gather them, some time within the next minute.
    db.execute("ALTER TABLE pattern_matrix SET (autovacuum_enabled = off)")
    for finding in ("missing_statistics", "stale_statistics"):
        db.execute("INSERT INTO pattern_matrix (user_id) SELECT 'user' FROM generate_series(1, 10001)")
        deadline = time.monotonic() + 30
        # What a session counts arrives a moment after its transaction.
        while ("warning", finding, "public.pattern_matrix") not in findings(db):
            assert time.monotonic() < deadline, findings(db)
            time.sleep(0.1)
        db.execute("ANALYZE pattern_matrix")
        assert [name for _, name, _ in findings(db)] == ["autovacuum_disabled"]
    assert mend(db) == []


def test_autovacuum_switched_off_on_the_server_is_found(new_server: NewServer) -> None:
    own = new_server({"autovacuum": "off"})
    own.create_database("own", extensions=EXTENSIONS)
    with own.connect("own") as connection:
        assert findings(connection) == [("warning", "autovacuum_off", "server")]
        remedy = connection.execute("SELECT remedy FROM gravity_memory_check()").fetchone()
        assert remedy is not None
        connection.execute(remedy[0].encode())
        connection.execute("SELECT pg_reload_conf()")
        deadline = time.monotonic() + 30
        while findings(connection) != []:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_queue_over_its_limit_is_found_with_the_sessions_that_may_hold_it(server: Server, db: Connection) -> None:
    with server.connect(db.info.dbname, autocommit=False) as stuck:
        stuck.execute("LISTEN memory_created")
        stuck.commit()
        stuck.execute("SELECT 1")
        for _ in range(8):
            db.execute("SELECT pg_notify('somebody', repeat('x', 7900))")
        db.execute("SELECT gravity_memory_set('notify_queue_limit', '0')")
        assert findings(db) == [("error", "notification_queue", "pg_notification_queue_usage()")]
        usage = db.execute("SELECT value FROM gravity_memory_stats() WHERE name = 'queue usage'").fetchone()
        assert usage is not None
        assert usage[0] > 0
        remedy = db.execute("SELECT remedy FROM gravity_memory_check()").fetchone()
        assert remedy is not None
        assert stuck.info.backend_pid in [row[0] for row in db.execute(remedy[0].encode()).fetchall()]


# Who is told what.


def test_under_row_security_nobody_is_told_of_the_memories_of_others(
    server: Server, db: Connection, make_role: MakeRole
) -> None:
    user = make_role()
    role = sql.Identifier(user)
    hidden = "a user whom nobody knows"
    for owner in (user, user, hidden):
        db.execute(
            "INSERT INTO gravity_map (user_id, content, emotion_type, meta_tags) VALUES (%s, 'x', %s, %s)",
            (owner, owner, [owner]),
        )
    # A user noted in memory_recall_gaps, and derived rows that are missing: what the check tells the owner.
    db.execute("INSERT INTO memory_recall_gaps (user_id, is_every_user) VALUES (%s, false)", (hidden,))
    for table in ("gravity_map", "memory_arcs", "memory_digests", "memory_recall_gaps", "consciousness_cache"):
        db.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(sql.Identifier(table), role))
    db.execute("ALTER TABLE gravity_map ENABLE ROW LEVEL SECURITY")
    db.execute("CREATE POLICY own_rows ON gravity_map USING (user_id = current_user)")
    assert ("total", "memories", 3) in db.execute("SELECT * FROM gravity_memory_stats()").fetchall()
    with server.connect(db.info.dbname, user=user) as connection:
        counts = connection.execute("SELECT category, name, value FROM gravity_memory_stats()").fetchall()
        assert ("total", "memories", 2) in counts
        assert ("total", "users", 1) in counts
        assert ("emotion", user, 2) in counts
        assert ("derived", "digests", 0) in counts
        assert ("derived", "gaps", 0) in counts
        assert ("not counted", "memory_arc_associations", None) in counts
        others = connection.execute("SELECT * FROM gravity_memory_stats(%s)", (hidden,)).fetchall()
        assert ("total", "memories", 0) in others
        told = [
            *counts,
            *others,
            *connection.execute("SELECT * FROM gravity_memory_check()").fetchall(),
            *connection.execute("SELECT * FROM gravity_memory_index_usage()").fetchall(),
        ]
        assert hidden not in repr(told)
        assert findings(connection) == [("notice", "not_checked", "derived findings")]


def test_a_role_that_may_read_everything_counts_everything(server: Server, db: Connection, make_role: MakeRole) -> None:
    reader = make_role()
    db.execute("SELECT count(*) FROM gravity_memory_disable_rls()")
    db.execute("INSERT INTO gravity_map (user_id, content) VALUES ('user', 'x'), ('other', 'y')")
    db.execute(sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}").format(sql.Identifier(reader)))
    with server.connect(db.info.dbname, user=reader) as connection:
        counts = connection.execute("SELECT category, name, value FROM gravity_memory_stats()").fetchall()
    assert ("total", "memories", 2) in counts
    assert not [name for category, name, _ in counts if category == "not counted"]
    # The derived tables have row security and no policy: only their owner sees what is in them.
    assert ("derived", "digests", 0) in counts


# Slow queries.


@pytest.fixture
def statements_db(server: Server, db: Connection) -> Connection:
    """A database with pg_stat_statements in a schema of its own. Skips on the versions without contrib modules."""
    if not server.has_pg_stat_statements:
        pytest.skip(f"PostgreSQL {server.major} comes without pg_stat_statements here")
    db.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(HOSTILE)))
    db.execute(sql.SQL("CREATE EXTENSION pg_stat_statements SCHEMA {}").format(sql.Identifier(HOSTILE)))
    return db


def test_the_server_has_pg_stat_statements_exactly_where_the_matrix_promises_it(server: Server) -> None:
    with server.connect() as connection:
        available = connection.execute(
            "SELECT FROM pg_available_extensions WHERE name = 'pg_stat_statements'"
        ).fetchone()
        preloaded = connection.execute("SELECT current_setting('shared_preload_libraries')").fetchone()
    assert preloaded is not None
    runs = available is not None and "pg_stat_statements" in preloaded[0]
    assert server.has_pg_stat_statements == runs
    assert runs == (server.major in MAJORS_WITH_STATEMENTS)


def slow_queries(connection: Connection, limit: int = 100) -> list[str]:
    """The statements that gravity_memory_slow_queries() returns."""
    rows = connection.execute("SELECT query FROM gravity_memory_slow_queries(%s)", (limit,)).fetchall()
    return [row[0] for row in rows]


def test_slow_queries_are_those_of_this_database_that_touch_our_tables_or_functions(
    server: Server, statements_db: Connection, make_database: MakeDatabase
) -> None:
    db = statements_db
    db.execute("INSERT INTO gravity_map (user_id, content) VALUES ('user', 'x')")
    db.execute("CREATE TABLE gravity_mapping (id integer)")
    slow = "SELECT pg_sleep($1), count(*) FROM gravity_map"
    # So much slower than all else here that it is the slowest on a busy machine, too.
    db.execute("SELECT pg_sleep(2), count(*) FROM gravity_map")
    db.execute("SELECT count(*) FROM PATTERN_MATRIX")
    db.execute("SELECT * FROM recall_memories('user', 'x')")
    db.execute("SELECT count(*) FROM gravity_mapping")
    db.execute("SELECT pg_sleep(0.2)")
    with server.connect(make_database()) as other:
        other.execute("SELECT pg_sleep(0.2), count(*) AS elsewhere FROM gravity_map")
    # The function is one of ours, too: on a busy server, which has many statements, it may be the slowest itself.
    found = [query for query in slow_queries(db) if "gravity_memory_slow_queries" not in query]
    assert found[0] == slow
    assert "SELECT count(*) FROM PATTERN_MATRIX" in found
    assert "SELECT * FROM recall_memories($1, $2)" in found
    assert not [query for query in found if "gravity_mapping" in query or "elsewhere" in query]
    assert "SELECT pg_sleep($1)" not in found
    assert len(slow_queries(db, 1)) == 1
    row = db.execute(
        "SELECT calls, mean_exec_time >= 2000, max_exec_time >= mean_exec_time, total_exec_time >= mean_exec_time, rows"
        " FROM gravity_memory_slow_queries(1000) WHERE query = %s",
        (slow,),
    ).fetchone()
    assert row == (1, True, True, True, 1)


def test_a_role_sees_no_statements_of_others(server: Server, statements_db: Connection, make_role: MakeRole) -> None:
    reader = make_role()
    role = sql.Identifier(reader)
    statements_db.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(sql.Identifier(HOSTILE), role))
    statements_db.execute(sql.SQL("GRANT SELECT ON gravity_map TO {}").format(role))
    statements_db.execute("SELECT count(*) AS secret FROM gravity_map")
    with server.connect(statements_db.info.dbname, user=reader) as connection:
        connection.execute("SELECT count(*) AS own FROM gravity_map")
        found = slow_queries(connection)
        assert "SELECT count(*) AS own FROM gravity_map" in found
        assert not [query for query in found if "secret" in query]
    with server.connect(statements_db.info.dbname) as connection:
        connection.execute(sql.SQL("GRANT pg_read_all_stats TO {}").format(role))
    with server.connect(statements_db.info.dbname, user=reader) as connection:
        assert [query for query in slow_queries(connection) if "secret" in query]


def error_of_slow_queries(connection: Connection) -> tuple[str, str]:
    """The HINT and the SQLSTATE that gravity_memory_slow_queries() fails with."""
    with pytest.raises(psycopg.errors.ObjectNotInPrerequisiteState) as caught:
        connection.execute("SELECT * FROM gravity_memory_slow_queries()")
    return caught.value.diag.message_hint or "", caught.value.diag.message_primary or ""


def test_without_pg_stat_statements_a_hint_names_both_steps(db: Connection) -> None:
    hint, message = error_of_slow_queries(db)
    assert "not installed" in message
    assert "shared_preload_libraries" in hint
    assert "CREATE EXTENSION pg_stat_statements" in hint


def test_pg_stat_statements_that_is_not_preloaded_or_is_old_says_what_to_do(
    server: Server, statements_db: Connection, new_server: NewServer
) -> None:
    statements_db.execute("DROP EXTENSION pg_stat_statements")
    statements_db.execute("CREATE EXTENSION pg_stat_statements VERSION '1.7'")
    hint, message = error_of_slow_queries(statements_db)
    assert "older than 1.8" in message
    assert hint == "Run ALTER EXTENSION pg_stat_statements UPDATE."
    statements_db.execute("ALTER EXTENSION pg_stat_statements UPDATE")
    slow_queries(statements_db)

    own = new_server({"shared_preload_libraries": ""})
    own.create_database("own", extensions=[*EXTENSIONS, "pg_stat_statements"])
    with own.connect("own") as connection:
        hint, message = error_of_slow_queries(connection)
        assert "not loaded" in message
        assert "shared_preload_libraries" in hint


# Jobs of pg_cron.


def test_jobs_that_are_missing_switched_off_or_at_other_times_are_found_and_mended(cron_db: Connection) -> None:
    assert findings(cron_db) == []
    cron_db.execute("SELECT cron.unschedule('cleanup-cache')")
    cron_db.execute("SELECT cron.alter_job(jobid, active := false) FROM cron.job WHERE jobname = 'evolve-arcs'")
    cron_db.execute(
        "SELECT cron.alter_job(jobid, schedule := '1 1 * * *') FROM cron.job WHERE jobname = 'train-vector-indexes'"
    )
    assert findings(cron_db) == [
        ("error", "missing_job", "cleanup-cache"),
        ("warning", "changed_job", "train-vector-indexes"),
        ("notice", "inactive_job", "evolve-arcs"),
    ]
    assert mend(cron_db) == []


def test_a_job_whose_name_another_one_has_is_mended_under_a_name_of_its_own(cron_db: Connection) -> None:
    cron_db.execute("SELECT cron.unschedule('cleanup-cache')")
    cron_db.execute("SELECT cron.schedule('cleanup-cache', '5 5 * * *', 'SELECT 1')")
    assert findings(cron_db) == [("error", "missing_job", "cleanup-cache")]
    assert mend(cron_db) == []
    theirs = cron_db.execute("SELECT command FROM cron.job WHERE jobname = 'cleanup-cache'").fetchall()
    assert theirs == [("SELECT 1",)]


def test_a_job_fails_when_its_latest_run_did(cron_db: Connection) -> None:
    def ran(job: str, status: str, message: str) -> None:
        cron_db.execute(
            "INSERT INTO cron.job_run_details (jobid, runid, database, command, status, return_message, start_time)"
            " SELECT j.jobid, nextval('cron.runid_seq'), j.database, j.command, %s, %s, now() FROM cron.job AS j"
            " WHERE j.jobname = %s",
            (status, message, job),
        )

    ran("evolve-arcs", "failed", "an older failure")
    ran("evolve-arcs", "succeeded", "1 row")
    assert findings(cron_db) == []
    ran("cleanup-cache", "succeeded", "1 row")
    ran("cleanup-cache", "failed", f"ERROR:  {HOSTILE}\n")
    ran("cleanup-cache", "running", "")
    assert findings(cron_db) == [("error", "failing_job", "cleanup-cache")]
    row = cron_db.execute("SELECT problem, remedy FROM gravity_memory_check()").fetchone()
    assert row is not None
    assert row[0].endswith(f"failed: ERROR:  {HOSTILE}")
    # Run by hand it says what is wrong; pg_cron's next run of it clears the finding.
    cron_db.execute(row[1].encode())
    ran("cleanup-cache", "succeeded", "1 row")
    assert findings(cron_db) == []

    # A step of the training has a command of its own.
    cron_db.execute(
        "INSERT INTO cron.job_run_details (jobid, runid, database, command, status, return_message, start_time)"
        " VALUES (0, nextval('cron.runid_seq'), current_database(), 'CREATE INDEX CONCURRENTLY"
        " idx_gravity_map_embedding_l2 ON public.gravity_map', 'failed', 'No space left on device', now())"
    )
    assert findings(cron_db) == [("error", "failing_job", "train-vector-index-step")]
    cron_db.execute("UPDATE cron.job_run_details SET start_time = now() - interval '25 hours' WHERE jobid = 0")
    assert findings(cron_db) == []
    cron_db.execute("DELETE FROM cron.job_run_details")


def test_where_the_job_trains_vector_indexes_one_that_is_due_is_a_notice(cron_db: Connection) -> None:
    cron_db.execute("ALTER TABLE gravity_map ALTER COLUMN embedding TYPE vector(8)")
    load(cron_db, 400)
    cron_db.execute("SELECT gravity_memory_set('embedding_index_min_rows', '300')")
    assert {(severity, finding) for severity, finding, _ in findings(cron_db)} == {("notice", "missing_vector_index")}
    cron_db.execute("SELECT cron.unschedule('train-vector-indexes')")
    assert {(severity, finding) for severity, finding, _ in findings(cron_db)} == {
        ("error", "missing_job"),
        ("warning", "missing_vector_index"),
    }


def test_a_role_that_may_not_read_the_jobs_is_told_so(server: Server, cron_db: Connection, make_role: MakeRole) -> None:
    stranger = make_role()
    with server.connect(cron_db.info.dbname, user=stranger) as connection:
        assert ("notice", "not_checked", "job findings") in findings(connection)
    cron_db.execute(sql.SQL("GRANT USAGE ON SCHEMA cron TO {}").format(sql.Identifier(stranger)))
    with server.connect(cron_db.info.dbname, user=stranger) as connection:
        assert ("notice", "not_checked", "job findings") in findings(connection)
        assert "missing_job" not in [finding for _, finding, _ in findings(connection)]
