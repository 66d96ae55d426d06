"""Fixtures for the tests of the Python client.

    python3 -B -m devtools run pytest -q python/tests

They run against the server that GRAVITY_MEMORY_SERVER describes, or else start an embedded PostgreSQL 18.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from devtools.cache import memory_run_folder
from devtools.fixtures import NewServer
from devtools.parts import SERVER_VARIABLE
from devtools.servers import Server, embedded_server
from python.tests.client_support import Database, MakeClientDatabase

_TEMPLATE = "gravity_memory_client_template"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The running server."""
    described = os.environ.get(SERVER_VARIABLE)
    if described:
        yield Server.attach(Path(described).read_text())
        return
    with embedded_server(18, folder=memory_run_folder) as started:
        yield started


@pytest.fixture(scope="session")
def template(server: Server) -> Iterator[str]:
    """A database with the extensions, to copy from."""
    server.create_database(_TEMPLATE, extensions=["vector", "gravity_memory"])
    yield _TEMPLATE
    server.drop_database(_TEMPLATE)


@pytest.fixture
def make_database(server: Server, template: str) -> Iterator[MakeClientDatabase]:
    """Make databases with the extension; `notify` and `feed` are its settings."""
    made: list[str] = []

    def make(notify: str = "wakeup", feed: str = "off") -> Database:
        name = f"gravity_memory_client_{os.getpid()}_{next(_numbers)}"
        server.create_database(name, template=template)
        made.append(name)
        database = Database(server, name)
        database.execute("SELECT gravity_memory_set('notify', %s), gravity_memory_set('feed', %s)", notify, feed)
        return database

    yield make
    for name in made:
        server.drop_database(name)


@pytest.fixture
def database(make_database: MakeClientDatabase) -> Database:
    """A database that keeps the feed of changes."""
    return make_database()


@pytest.fixture
def payload_database(make_database: MakeClientDatabase) -> Database:
    """A database whose notifications carry their data, and that keeps nothing."""
    return make_database(notify="payload")


@pytest.fixture
def new_server(server: Server) -> Iterator[NewServer]:
    """Start further servers, for tests that stop or kill one."""
    started: list[Server] = []

    def start(
        settings: dict[str, str] | None = None, *, cron_database: str | None = None, durable: bool = False
    ) -> Server:
        name = f"client_server_{os.getpid()}_{next(_numbers)}"
        made = Server.create(server.installation, name, settings=settings, cron_database=cron_database, durable=durable)
        started.append(made)
        made.start()
        return made

    yield start
    for made in started:
        made.stop("immediate")
