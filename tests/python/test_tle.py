"""The script of `make tle` installs the extension, and every upgrade, where nobody can put files.

On the stand-in for pg_tle in tests/pg_tle, which says what of pg_tle it does.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from pg_tle import add_stand_in, answering, built, extension_folder, kept
from psycopg import sql
from upgrade_support import CURRENT, RELEASED

from devtools import REPO
from devtools.cache import memory_run_folder
from devtools.extension import copy_sources
from devtools.fixtures import Connection
from devtools.process import run
from devtools.servers import Server, embedded_server

NAME = "gravity_memory"
OWNER = "customer"
DATABASE = "customer"


@pytest.fixture(scope="module")
def tle_server(server: Server) -> Iterator[Server]:
    """A server that has the files of pgvector and of pg_tle's stand-in, and none of gravity_memory."""
    if server.major != 18:
        pytest.skip("pg_tle's server is an embedded one of its own, the same on every leg: the one of 18 runs it")
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


def test_the_checkout_is_laid_out_as_dbdev_asks() -> None:
    # https://github.com/supabase/dbdev/blob/master/docs/extension_structure.md
    (control,) = REPO.glob("*.control")
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{1,31}", control.stem)
    assert (REPO / "README.md").is_file()
    for name in scripts():
        assert re.fullmatch(rf"{control.stem}(--\d+\.\d+\.\d+){{1,2}}\.sql", name), name
    assert f"{control.stem}--{CURRENT}.sql" in scripts()
