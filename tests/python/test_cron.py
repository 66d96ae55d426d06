"""pg_cron runs our jobs, and nobody else's job is lost; without pg_cron, a NOTICE says what to run instead."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from psycopg import sql

from devtools.fixtures import EXTENSIONS, Connection, MakeDatabase, MakeRole, NewServer
from devtools.legs import CRON_DATABASE
from devtools.servers import Server

MAJORS_WITH_CRON = {15, 17}
"""The versions of the test matrix whose servers come with pg_cron (the embedded ones do not)."""

SECONDS_SCHEDULES = (1, 5)
"""From this version on pg_cron takes schedules such as '2 seconds'."""

CLEANUP = "SELECT public.cleanup_old_cache()"
EVENTS = "SELECT public.gravity_memory_cleanup_events()"
EVOLVE = "SELECT public.gravity_memory_evolve_arcs()"
TRAIN = "SELECT public.gravity_memory_train_vector_indexes()"
JOBS = [
    ("cleanup-cache", "0 * * * *", CLEANUP),
    ("cleanup-events", "30 * * * *", EVENTS),
    ("evolve-arcs", "15 * * * *", EVOLVE),
    ("train-vector-indexes", "*/10 * * * *", TRAIN),
]
NAMES = [name for name, _, _ in JOBS]


def jobs(connection: Connection) -> list[tuple[object, ...]]:
    """Name, schedule and command of every active job."""
    return connection.execute(
        "SELECT jobname, schedule, command FROM cron.job WHERE active ORDER BY jobname, command"
    ).fetchall()


def notices_of(connection: Connection) -> list[str]:
    """Collect the messages that a connection gets from now on."""
    found: list[str] = []
    connection.add_notice_handler(lambda diagnostic: found.append(diagnostic.message_primary or ""))
    return found


def test_the_server_has_pg_cron_exactly_where_the_matrix_promises_it(server: Server) -> None:
    with server.connect() as connection:
        available = connection.execute("SELECT FROM pg_available_extensions WHERE name = 'pg_cron'").fetchone()
        preloaded = connection.execute("SELECT current_setting('shared_preload_libraries')").fetchone()
    assert preloaded is not None
    runs = available is not None and "pg_cron" in preloaded[0]
    assert server.has_pg_cron == runs
    assert runs == (server.major in MAJORS_WITH_CRON)


def test_creating_the_extension_schedules_its_jobs(cron_db: Connection) -> None:
    assert jobs(cron_db) == JOBS


def test_setup_again_makes_no_doubles(cron_db: Connection) -> None:
    before = cron_db.execute("SELECT * FROM cron.job ORDER BY jobid").fetchall()
    assert cron_db.execute("SELECT * FROM gravity_memory_setup()").fetchall() == []
    assert cron_db.execute("SELECT * FROM gravity_memory_schedule_jobs()").fetchall() == []
    assert cron_db.execute("SELECT * FROM cron.job ORDER BY jobid").fetchall() == before


def test_setup_restores_a_lost_job_and_leaves_one_switched_off_on_purpose(cron_db: Connection) -> None:
    cron_db.execute("SELECT cron.unschedule('cleanup-cache')")
    cron_db.execute("SELECT cron.alter_job(jobid, active := false) FROM cron.job WHERE jobname = 'evolve-arcs'")
    done = cron_db.execute("SELECT action, object FROM gravity_memory_setup() ORDER BY object").fetchall()
    assert done == [("schedule job", "cleanup-cache")]
    active_ones = [name for name, _, _ in jobs(cron_db)]
    assert active_ones == ["cleanup-cache", "cleanup-events", "train-vector-indexes"]
    active = cron_db.execute("SELECT active FROM cron.job WHERE jobname = 'evolve-arcs'").fetchone()
    assert active == (False,)


def test_teardown_removes_our_jobs_and_keeps_others(cron_db: Connection) -> None:
    cron_db.execute("SELECT cron.schedule('theirs', '1 2 * * *', 'SELECT 1')")
    removed = cron_db.execute("SELECT object FROM gravity_memory_teardown() WHERE action = 'unschedule job'").fetchall()
    assert removed == [(name,) for name in NAMES]
    assert jobs(cron_db) == [("theirs", "1 2 * * *", "SELECT 1")]
    cron_db.execute("SELECT * FROM gravity_memory_setup()")
    assert [name for name, _, _ in jobs(cron_db)] == sorted([*NAMES, "theirs"])


def test_jobs_that_drop_extension_cascade_left_are_taken_up_again(cron_db: Connection) -> None:
    cron_db.execute("SELECT cron.alter_job(jobid, active := false) FROM cron.job WHERE jobname = 'evolve-arcs'")
    cron_db.execute("SELECT cron.schedule('theirs', '1 2 * * *', 'SELECT 1')")
    before = cron_db.execute("SELECT * FROM cron.job ORDER BY jobid").fetchall()
    cron_db.execute("DROP EXTENSION gravity_memory CASCADE")
    assert cron_db.execute("SELECT * FROM cron.job ORDER BY jobid").fetchall() == before
    cron_db.execute("CREATE EXTENSION gravity_memory")
    assert cron_db.execute("SELECT * FROM cron.job ORDER BY jobid").fetchall() == before
    assert len(before) == len(JOBS) + 1


def test_another_job_that_is_called_cleanup_cache_stays_as_it_is(cron_db: Connection) -> None:
    theirs = ("cleanup-cache", "5 5 * * *", "DELETE FROM their_cache")
    cron_db.execute("SELECT * FROM gravity_memory_teardown()")
    cron_db.execute("SELECT cron.schedule(%s, %s, %s)", theirs)
    found = notices_of(cron_db)
    cron_db.execute("SELECT * FROM gravity_memory_setup()")
    assert theirs in jobs(cron_db)
    # Two jobs of one role cannot share a name: whoever installs must be told that ours does not run.
    assert [job for job in jobs(cron_db) if job[2] == CLEANUP] or any("cleanup-cache" in notice for notice in found)
    cron_db.execute("SELECT * FROM gravity_memory_teardown()")
    assert theirs in jobs(cron_db)


def test_another_roles_job_that_is_called_cleanup_cache_stays_beside_ours(
    cron_db: Connection, server: Server, make_role: MakeRole
) -> None:
    role = make_role()
    cron_db.execute(sql.SQL("GRANT USAGE ON SCHEMA cron TO {}").format(sql.Identifier(role)))
    with server.connect(cron_db.info.dbname, user=role) as connection:
        connection.execute("SELECT cron.schedule('cleanup-cache', '5 5 * * *', 'SELECT 1')")
    cron_db.execute("SELECT * FROM gravity_memory_setup()")
    assert jobs(cron_db)[:2] == [("cleanup-cache", "5 5 * * *", "SELECT 1"), ("cleanup-cache", "0 * * * *", CLEANUP)]
    cron_db.execute("SELECT * FROM gravity_memory_teardown()")
    assert jobs(cron_db) == [("cleanup-cache", "5 5 * * *", "SELECT 1")]
    cron_db.execute("DELETE FROM cron.job")


def test_a_changed_schedule_is_applied_at_once_and_reset_with_the_setting(cron_db: Connection) -> None:
    cron_db.execute("SELECT gravity_memory_set('cache_cleanup_schedule', '30 3 * * *')")
    assert jobs(cron_db)[0] == ("cleanup-cache", "30 3 * * *", CLEANUP)
    cron_db.execute("SELECT gravity_memory_reset('cache_cleanup_schedule')")
    assert jobs(cron_db)[0] == ("cleanup-cache", "0 * * * *", CLEANUP)
    assert jobs(cron_db) == JOBS


@pytest.fixture
def running_cron(server: Server, new_server: NewServer) -> Iterator[Connection]:
    """The database of pg_cron in a fresh server.

    pg_cron's launcher ends for good when the database it works in is dropped, as happens in the shared server.
    """
    if not server.has_pg_cron:
        pytest.skip(f"PostgreSQL {server.major} comes without pg_cron here")
    own = new_server(cron_database=CRON_DATABASE)
    with own.connect(CRON_DATABASE) as connection:
        for extension in ("pg_cron", *EXTENSIONS):
            connection.execute(sql.SQL("CREATE EXTENSION {}").format(sql.Identifier(extension)))
        yield connection


def test_pg_cron_runs_the_job_and_expired_cache_entries_disappear(running_cron: Connection) -> None:
    running_cron.execute(
        "INSERT INTO consciousness_cache (user_id, created_at)"
        " VALUES ('expired', now() - interval '25 hours'), ('recent', now() - interval '23 hours')"
    )
    row = running_cron.execute("SELECT extversion FROM pg_extension WHERE extname = 'pg_cron'").fetchone()
    assert row is not None
    version = tuple(int(part) for part in row[0].split("-")[0].split("."))
    schedule = "1 second" if version >= SECONDS_SCHEDULES else "* * * * *"
    running_cron.execute("SELECT gravity_memory_set('cache_cleanup_schedule', %s)", (schedule,))
    deadline = time.monotonic() + 300
    while (left := running_cron.execute("SELECT user_id FROM consciousness_cache ORDER BY 1").fetchall()) != [
        ("recent",)
    ]:
        assert time.monotonic() < deadline, left
        time.sleep(0.25)
    # The row disappears before pg_cron writes down that the job has ended.
    while True:
        runs = running_cron.execute(
            "SELECT DISTINCT d.status, d.command FROM cron.job_run_details AS d"
            " WHERE d.status NOT IN ('starting', 'running', 'connecting', 'sending')"
        ).fetchall()
        if runs:
            break
        assert time.monotonic() < deadline
        time.sleep(0.25)
    assert runs == [("succeeded", CLEANUP)]


def test_in_a_database_without_pg_cron_a_notice_says_what_to_run_where(
    server: Server, make_database: MakeDatabase
) -> None:
    name = make_database(["vector"])
    with server.connect(name) as connection:
        found = notices_of(connection)
        connection.execute("CREATE EXTENSION gravity_memory")
        told = {job: next(notice for notice in found if job in notice) for job in NAMES}
        for job, _, command in JOBS:
            assert "pg_cron is not in this database" in told[job]
            assert command in told[job]
        if server.cron_database is None:
            assert f"psql -d '{name}' -c" in told["cleanup-cache"]
            assert "0 * * * *" in told["cleanup-cache"]
            return
        assert f"In database {server.cron_database}, run: SELECT cron.schedule_in_database(" in told["cleanup-cache"]

    # What it says can be run as it stands there, and works.
    with server.connect(server.cron_database) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_cron")
        for notice in told.values():
            connection.execute(notice.split("run: ", 1)[1].encode())
        scheduled = connection.execute(
            "SELECT schedule, command FROM cron.job WHERE database = %s ORDER BY command", (name,)
        ).fetchall()
        assert scheduled == sorted([(schedule, command) for _, schedule, command in JOBS], key=lambda job: job[1])
        connection.execute("DELETE FROM cron.job WHERE database = %s", (name,))


def test_where_pg_cron_belongs_but_is_not_yet_a_notice_says_how_to_add_it(server: Server) -> None:
    if server.cron_database is None:
        pytest.skip(f"PostgreSQL {server.major} comes without pg_cron here")
    server.drop_database(server.cron_database)
    server.create_database(server.cron_database, extensions=["vector"])
    try:
        with server.connect(server.cron_database) as connection:
            found = notices_of(connection)
            connection.execute("CREATE EXTENSION gravity_memory")
            advice = {notice.split("run: ", 1)[1] for notice in found if "run: " in notice}
            assert len(advice) == 1
            connection.execute(advice.pop().encode())
            assert jobs(connection) == JOBS
    finally:
        server.drop_database(server.cron_database)
        server.create_database(server.cron_database)


def test_the_extension_installs_for_an_owner_who_may_not_use_pg_cron(
    server: Server, cron_db: Connection, make_role: MakeRole
) -> None:
    owner = make_role()
    cron_db.execute("SELECT * FROM gravity_memory_teardown()")
    cron_db.execute("DROP EXTENSION gravity_memory")
    cron_db.execute(sql.SQL("CREATE SCHEMA memory AUTHORIZATION {}").format(sql.Identifier(owner)))
    cron_db.execute(
        sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(sql.Identifier(cron_db.info.dbname), sql.Identifier(owner))
    )
    with server.connect(cron_db.info.dbname, user=owner) as connection:
        found = notices_of(connection)
        connection.execute("CREATE EXTENSION gravity_memory SCHEMA memory")
        assert any("cleanup-cache" in notice and "cron.schedule" in notice for notice in found)
        connection.execute("INSERT INTO memory.gravity_map (user_id) VALUES ('user')")
    assert jobs(cron_db) == []


def test_an_owner_who_may_use_pg_cron_gets_jobs_of_their_own(
    server: Server, cron_db: Connection, make_role: MakeRole
) -> None:
    owner = make_role()
    cron_db.execute("SELECT * FROM gravity_memory_teardown()")
    cron_db.execute("DROP EXTENSION gravity_memory")
    cron_db.execute(sql.SQL("CREATE SCHEMA memory AUTHORIZATION {}").format(sql.Identifier(owner)))
    cron_db.execute(sql.SQL("GRANT USAGE ON SCHEMA cron TO {}").format(sql.Identifier(owner)))
    cron_db.execute(
        sql.SQL("GRANT CREATE ON DATABASE {} TO {}").format(sql.Identifier(cron_db.info.dbname), sql.Identifier(owner))
    )
    with server.connect(cron_db.info.dbname, user=owner) as connection:
        connection.execute("CREATE EXTENSION gravity_memory SCHEMA memory")
        scheduled = cron_db.execute("SELECT jobname, username, command FROM cron.job ORDER BY jobname").fetchall()
        assert scheduled == [(name, owner, command.replace("public.", "memory.")) for name, _, command in JOBS]
        connection.execute("SELECT * FROM memory.gravity_memory_teardown()")
    assert jobs(cron_db) == []
