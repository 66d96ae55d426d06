"""The script of `make tle` installs the extension, and every upgrade, where nobody can put files.

On the stand-in for pg_tle in tests/pg_tle, which says what of pg_tle it does.
"""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg import errors, sql

from devtools import REPO
from devtools.cache import memory_run_folder
from devtools.extension import copy_sources
from devtools.fixtures import Connection
from devtools.process import run
from devtools.servers import Server, embedded_server
from tests.python.project.pg_tle import add_stand_in, answering, built, extension_folder, kept
from tests.python.test_readme import examples
from tests.python.upgrade_support import CURRENT, RELEASED

NAME = "gravity_memory"
OWNER = "customer"
DATABASE = "customer"


@pytest.fixture(scope="module")
def tle_server() -> Iterator[Server]:
    """A server that has the files of pgvector and of pg_tle's stand-in, and none of gravity_memory."""
    with embedded_server(18, extension=False, folder=memory_run_folder) as started:
        add_stand_in(started)
        with started.connect() as connection:
            connection.execute(f"CREATE ROLE {OWNER} LOGIN PASSWORD '{started.password}'".encode())
        yield started


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What `make tle` writes."""
    return built(copy_sources(tmp_path_factory.mktemp("tle"))).decode()


@pytest.fixture
def customer(tle_server: Server) -> Iterator[Connection]:
    """The owner of a database as managed services hand it out: no superuser, pgvector in a schema of its own."""
    tle_server.create_database(DATABASE)
    with tle_server.connect(DATABASE) as connection:
        connection.execute(f"ALTER DATABASE {DATABASE} OWNER TO {OWNER}".encode())
        connection.execute("CREATE SCHEMA extensions")
        connection.execute("CREATE EXTENSION vector SCHEMA extensions")
        connection.execute("CREATE EXTENSION pg_tle")
        connection.execute(f"GRANT USAGE ON SCHEMA extensions TO {OWNER}".encode())
        connection.execute(f"GRANT CREATE ON SCHEMA public TO {OWNER}".encode())
        connection.execute(f"GRANT pgtle_admin TO {OWNER}".encode())
    with tle_server.connect(DATABASE, user=OWNER) as connection:
        yield connection
    tle_server.drop_database(DATABASE)


def hand_over(server: Server, script: str) -> None:
    """Run a script of `make tle` as its header says."""
    server.psql(script, "--single-transaction", database=DATABASE, user=OWNER)


def scripts() -> dict[str, bytes]:
    """Every script of the checkout."""
    return {path.name: path.read_bytes() for path in REPO.glob(f"{NAME}--*.sql")}


def version(connection: Connection) -> str:
    """The version that is installed."""
    row = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'gravity_memory'").fetchone()
    assert row is not None
    return str(row[0])


def remembers(connection: Connection) -> None:
    """A memory is stored, tagged and recalled."""
    connection.execute(
        "INSERT INTO gravity_map (user_id, content, gravity_score) VALUES ('ana', 'The cake stands, three tiers.', 0.9)"
    )
    assert connection.execute("SELECT meta_tags, temporal_type FROM gravity_map").fetchall() == [
        (["high_gravity"], "present")
    ]
    found = connection.execute("SELECT content FROM recall_memories('ana', 'How many tiers has the cake?')").fetchall()
    assert found == [("The cake stands, three tiers.",)]


def test_pg_tle_is_given_every_script_byte_for_byte(tle_server: Server, customer: Connection, script: str) -> None:
    hand_over(tle_server, script)
    given = kept(customer)
    control = given.pop(f"{NAME}.control").decode()
    assert given == scripts()
    # A server with files reads the same from our own control file; pg_tle adds itself to what is required.
    for line in (REPO / f"{NAME}.control").read_text().splitlines():
        assert line.replace("'vector'", "'vector,pg_tle'") in control.splitlines()


def test_an_owner_who_is_no_superuser_installs_without_files(
    tle_server: Server, customer: Connection, script: str
) -> None:
    hand_over(tle_server, script)
    assert not list(extension_folder(tle_server).glob(f"{NAME}*"))
    with answering(tle_server, customer):
        customer.execute("CREATE EXTENSION gravity_memory")
    assert version(customer) == CURRENT
    remembers(customer)


@pytest.mark.parametrize("chosen", RELEASED)
def test_a_released_version_can_be_chosen_and_upgraded_without_files(
    tle_server: Server, customer: Connection, script: str, chosen: str
) -> None:
    hand_over(tle_server, script)
    customer.execute("SET client_min_messages = error")
    with answering(tle_server, customer):
        customer.execute(sql.SQL("CREATE EXTENSION gravity_memory VERSION {}").format(sql.Literal(chosen)))
        assert version(customer) == chosen
        customer.execute("INSERT INTO gravity_map (user_id, content) VALUES ('ivy', 'kept')")
        customer.execute("ALTER EXTENSION gravity_memory UPDATE")
    assert version(customer) == CURRENT
    assert customer.execute("DELETE FROM gravity_map RETURNING content").fetchall() == [("kept",)]
    remembers(customer)


def test_the_script_of_a_later_version_runs_after_an_earlier_ones(
    tle_server: Server, customer: Connection, script: str, tmp_path: Path
) -> None:
    before = RELEASED[-1]
    checkout = copy_sources(tmp_path)
    control = checkout / f"{NAME}.control"
    control.write_text(control.read_text().replace(CURRENT, before))
    for path in checkout.glob(f"{NAME}--*{CURRENT}.sql"):
        path.unlink()
    earlier = run(["sh", "sql/tle/build.sh", NAME], doing="build.sh", cwd=checkout)
    hand_over(tle_server, earlier)
    with answering(tle_server, customer):
        customer.execute("CREATE EXTENSION gravity_memory")
    assert version(customer) == before
    for _ in range(2):
        hand_over(tle_server, script)
    with answering(tle_server, customer):
        customer.execute("ALTER EXTENSION gravity_memory UPDATE")
    assert version(customer) == CURRENT


def test_uninstalling_makes_room_for_another_build_of_the_same_version(
    tle_server: Server, customer: Connection, script: str
) -> None:
    hand_over(tle_server, script)
    customer.execute("SELECT pgtle.uninstall_extension('gravity_memory')")
    assert kept(customer) == {}
    hand_over(tle_server, script)
    assert scripts().items() <= kept(customer).items()


@pytest.mark.parametrize("quote", ["$gravity_memory_tle$", "$_pgtle_o_$", "$_pgtle_i_$"])
def test_make_tle_refuses_a_script_in_which_its_quotes_or_those_of_pg_tle_occur(tmp_path: Path, quote: str) -> None:
    checkout = copy_sources(tmp_path)
    with (checkout / f"{NAME}--{RELEASED[0]}.sql").open("a") as released:
        released.write(f"-- {quote}\n")
    with pytest.raises(subprocess.CalledProcessError) as failed:
        built(checkout)
    assert f"{quote}, which quotes the scripts for pg_tle, occurs in".encode() in failed.value.stderr
    assert not list((checkout / "build").iterdir())


@pytest.fixture
def supabase(tle_server: Server, customer: Connection) -> Iterator[Connection]:
    """The customer's database with roles, default privileges and a publication like Supabase's."""
    roles = ("anon", "authenticated", "service_role")
    with tle_server.connect(DATABASE) as connection:
        for role in roles:
            connection.execute(f"CREATE ROLE {role} {'BYPASSRLS' if role == 'service_role' else ''}".encode())
            connection.execute(f"GRANT {role} TO {OWNER}".encode())
            connection.execute(f"GRANT USAGE ON SCHEMA public, extensions TO {role}".encode())
            for kind in ("TABLES", "ROUTINES", "SEQUENCES"):
                connection.execute(
                    f"ALTER DEFAULT PRIVILEGES FOR ROLE {OWNER} IN SCHEMA public GRANT ALL ON {kind} TO {role}".encode()
                )
        connection.execute(
            f"CREATE PUBLICATION supabase_realtime; ALTER PUBLICATION supabase_realtime OWNER TO {OWNER}"
        )
    yield customer
    with tle_server.connect(DATABASE) as connection:
        for role in roles:
            connection.execute(f"DROP OWNED BY {role}; DROP ROLE {role}".encode())


def as_request(connection: Connection, role: str, user: str) -> None:
    """Go on as PostgREST does for a request of this user."""
    connection.execute(f"SET ROLE {role}".encode())
    connection.execute("SELECT set_config('request.jwt.claims', %s, false)", (json.dumps({"sub": user}),))


def test_the_guide_for_supabase_leads_to_memories_that_each_user_has_alone(
    tle_server: Server, supabase: Connection, script: str
) -> None:
    hand_over(tle_server, script)
    statements = [example.sql for example in examples("docs/supabase.md")]
    assert len(statements) > 6
    with answering(tle_server, supabase):
        tle_server.psql("\n".join(statements), database=DATABASE, user=OWNER)

    as_request(supabase, "authenticated", "ana")
    supabase.execute("INSERT INTO gravity_map (user_id, content) VALUES ('ana', 'The cake stands, three tiers.')")
    with pytest.raises(errors.InsufficientPrivilege):
        supabase.execute("INSERT INTO gravity_map (user_id, content) VALUES ('rafael', 'not his own')")
    recalled = "SELECT content FROM recall_memories('ana', 'How many tiers has the cake?')"
    assert supabase.execute(recalled).fetchall() == [("The cake stands, three tiers.",)]
    as_request(supabase, "authenticated", "rafael")
    assert supabase.execute(recalled).fetchall() == []
    assert supabase.execute("SELECT FROM gravity_map").fetchall() == []
    as_request(supabase, "service_role", "")
    assert supabase.execute("SELECT user_id FROM gravity_map").fetchall() == [("ana",)]
    supabase.execute("RESET ROLE")
    published = supabase.execute("SELECT tablename FROM pg_publication_tables ORDER BY 1").fetchall()
    assert published == [("gravity_map",), ("memory_arcs",)]


def test_without_the_guides_step_4_supabase_gives_the_owners_functions_away(
    tle_server: Server, supabase: Connection, script: str
) -> None:
    given_away = """
        SELECT count(*) FROM pg_proc AS p JOIN pg_depend AS d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid
        JOIN pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'gravity_memory' AND d.deptype = 'e'
        WHERE NOT has_function_privilege('public', p.oid, 'EXECUTE')
          AND (has_function_privilege('anon', p.oid, 'EXECUTE')
               OR has_function_privilege('authenticated', p.oid, 'EXECUTE'))"""
    hand_over(tle_server, script)
    guide = (REPO / "docs/supabase.md").read_text(encoding="utf-8")
    (step,) = re.findall(r"^DO \$close\$.*?^\$close\$;", guide, re.MULTILINE | re.DOTALL)
    with answering(tle_server, supabase):
        supabase.execute("CREATE EXTENSION gravity_memory")
    before = supabase.execute(given_away).fetchone()
    assert before is not None
    assert before[0] > 0
    supabase.execute(step.encode())
    assert supabase.execute(given_away).fetchone() == (0,)
    as_request(supabase, "anon", "ana")
    with pytest.raises(errors.InsufficientPrivilege):
        supabase.execute("SELECT gravity_memory_set('notify', 'off')")


def test_the_checkout_is_laid_out_as_dbdev_asks() -> None:
    # https://github.com/supabase/dbdev/blob/master/docs/extension_structure.md
    (control,) = REPO.glob("*.control")
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{1,31}", control.stem)
    assert (REPO / "README.md").is_file()
    for name in scripts():
        assert re.fullmatch(rf"{control.stem}(--\d+\.\d+\.\d+){{1,2}}\.sql", name), name
    assert f"{control.stem}--{CURRENT}.sql" in scripts()
