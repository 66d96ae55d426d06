"""Fixtures for the tests that need a client, several servers or a clock.

`make test` starts a server for each PostgreSQL version and names it in GRAVITY_MEMORY_SERVER; pytest run by hand
starts an embedded PostgreSQL 18 of its own:

    python3 -m devtools run pytest tests/python/test_something.py

The types of the fixtures, for annotating tests, are in devtools.fixtures.

The server belongs to the whole session. A test that stops, kills or reconfigures a server takes `new_server`.
"""

from __future__ import annotations

import itertools
import os
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from pytest_postgresql import factories
from pytest_postgresql.executors import NoopExecutor

from devtools.cache import memory_run_folder
from devtools.fixtures import EXTENSIONS, Connection, MakeDatabase, MakeRole, NewServer
from devtools.legs import CRON_DATABASE
from devtools.parts import SERVER_VARIABLE
from devtools.servers import Server, embedded_server


def pytest_configure() -> None:
    """End in order when somebody stops us, too: the fixtures stop their servers. An exception would fail one test."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _leave)


def _leave(number: int, _frame: object) -> None:
    pytest.exit(f"stopped by {signal.Signals(number).name}", returncode=128 + number)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let the command line name the server, too."""
    parser.addoption(
        "--gravity-memory-server",
        default=os.environ.get(SERVER_VARIABLE),
        help=f"file that describes the running server (default: ${SERVER_VARIABLE}; else an embedded one is started)",
    )


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The running server, with psql, pg_dump, pg_restore and the others of its major version.

    See devtools.servers.Server: `client`, `psql`, `connect`, `parameters`, `major`, `has_pg_cron`.
    """
    described = request.config.getoption("--gravity-memory-server")
    if described:
        yield Server.attach(Path(described).read_text())
        return
    with embedded_server(18, folder=memory_run_folder) as started:
        yield started


class _BareExecutor(NoopExecutor):
    """A server whose databases are copies of template1; pytest-postgresql asks it for the template's name."""

    @property
    def template_dbname(self) -> str:
        return "template1"


@pytest.fixture(scope="session")
def bare_executor(server: Server) -> NoopExecutor:
    """The server in pytest-postgresql's terms."""
    return _BareExecutor(
        host=server.host, port=server.port, user=server.user, password=server.password, dbname="template1", options=""
    )


def _load_extensions(**parameters: Any) -> None:
    """Fill pytest-postgresql's template database."""
    wanted = {name: parameters[name] for name in ("host", "port", "user", "password", "dbname")}
    with psycopg.connect(**wanted, autocommit=True) as connection:
        for name in EXTENSIONS:
            connection.execute(sql.SQL("CREATE EXTENSION {}").format(sql.Identifier(name)))


extended_template = factories.postgresql_noproc(
    dbname="gravity_memory_test", load=[_load_extensions], depends_on="bare_executor"
)
extended_database = factories.postgresql("extended_template")


@pytest.fixture
def db(extended_database: Connection) -> Connection:
    """A connection, as superuser and in autocommit, to a fresh database with vector and gravity_memory.

    The database is a copy of one made for the session, so a test pays some 50 ms for it. Open further connections to
    the same one with `server.connect(db.info.dbname)`.
    """
    extended_database.autocommit = True
    return extended_database


@pytest.fixture
def make_database(server: Server, make_role: MakeRole) -> Iterator[MakeDatabase]:
    """Make databases: `make_database()` with the extensions, `make_database([])` bare, `owner=` another role's.

    Each call returns a name; all are dropped after the test, before the roles of `make_role` are, which may own them.
    `CREATE EXTENSION` runs as the superuser.
    """
    names: list[str] = []

    def make(extensions: Sequence[str] = EXTENSIONS, *, owner: str | None = None) -> str:
        name = _unused("gravity_memory_db")
        server.create_database(name)
        names.append(name)
        if owner is not None:
            with server.connect() as connection:
                connection.execute(
                    sql.SQL("ALTER DATABASE {} OWNER TO {}").format(sql.Identifier(name), sql.Identifier(owner))
                )
        with server.connect(name) as connection:
            for extension in extensions:
                connection.execute(sql.SQL("CREATE EXTENSION {}").format(sql.Identifier(extension)))
        return name

    yield make
    for name in names:
        server.drop_database(name)


@pytest.fixture
def make_role(server: Server) -> Iterator[MakeRole]:
    """Make roles: each call returns a name that `server.connect(database, user=name)` accepts.

    The roles are dropped after the test with what they own and were granted in any database.
    """
    names: list[str] = []

    def make(attributes: str = "LOGIN") -> str:
        name = _unused("gravity_memory_role")
        with server.connect() as connection:
            connection.execute(
                sql.SQL("CREATE ROLE {} PASSWORD {} ").format(sql.Identifier(name), sql.Literal(server.password))
                + sql.SQL(attributes)
            )
        names.append(name)
        return name

    yield make
    if names:
        _drop_roles(server, names)


def _drop_roles(server: Server, names: list[str]) -> None:
    with server.connect() as connection:
        found = connection.execute("SELECT datname FROM pg_catalog.pg_database WHERE datallowconn").fetchall()
    roles = sql.SQL(", ").join(map(sql.Identifier, names))
    for (database,) in found:
        with server.connect(database) as connection:
            # A database that such a role made stays, and would keep the role from being dropped.
            connection.execute(sql.SQL("REASSIGN OWNED BY {} TO CURRENT_USER").format(roles))
            connection.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(roles))
    with server.connect() as connection:
        connection.execute(sql.SQL("DROP ROLE {}").format(roles))


@pytest.fixture
def cron_db(server: Server) -> Iterator[Connection]:
    """A connection to the one database where pg_cron works, emptied, with pg_cron, vector and gravity_memory.

    Skips on the PostgreSQL versions without pg_cron.
    """
    if not server.has_pg_cron:
        pytest.skip(f"PostgreSQL {server.major} comes without pg_cron here")
    server.drop_database(CRON_DATABASE)
    server.create_database(CRON_DATABASE, extensions=["pg_cron", *EXTENSIONS])
    with server.connect(CRON_DATABASE) as connection:
        yield connection
    server.drop_database(CRON_DATABASE)
    server.create_database(CRON_DATABASE)


@pytest.fixture
def new_server(server: Server) -> Iterator[NewServer]:
    """Start further servers of the same installation, for tests that stop, kill or reconfigure one."""
    started: list[Server] = []

    def start(
        settings: dict[str, str] | None = None, *, cron_database: str | None = None, durable: bool = False
    ) -> Server:
        made = Server.create(
            server.installation, _unused("server"), settings=settings, cron_database=cron_database, durable=durable
        )
        started.append(made)
        made.start()
        return made

    yield start
    for made in started:
        made.stop("immediate")


_numbers = itertools.count(1)


def _unused(prefix: str) -> str:
    """A name that this session has not used."""
    return f"{prefix}_{os.getpid()}_{next(_numbers)}"
