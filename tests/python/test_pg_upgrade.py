"""pg_upgrade takes databases with the extension from PostgreSQL 16 to 18, with all they hold and as ready as before."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from devtools.embedded import embedded_installation
from devtools.extension import install_extension
from devtools.fixtures import Connection
from devtools.process import run
from devtools.servers import Server
from tests.python.database_contents import Contents, read_contents
from tests.python.derived_rows import assert_derived_rows_are_right
from tests.python.feed_reader import Reader, reader_from_now
from tests.python.moved_database import (
    DIMENSIONS,
    answers,
    assert_answers_are,
    assert_next_insert_works,
    assert_same,
)
from tests.python.populated import populate
from tests.python.upgrade_support import CURRENT, RELEASED, catalogue, differences, install, upgrade

FROM, TO = 16, 18

DATABASES = {"current": CURRENT, "released": RELEASED[-1], "first": RELEASED[0]}
"""The databases that are upgraded, with the version of the extension that each has."""

SCHEMA = "My Memory"


@dataclass
class Upgraded:
    """The new server, and what the old one held.

    Attributes:
        server: PostgreSQL 18, with the data of 16.
        contents: of each database, before.
        answers: of recall, in the database `current`, before.
        reader: of the feed of the database `current`, before.
    """

    server: Server
    contents: dict[str, Contents] = field(default_factory=dict)
    answers: dict[str, dict[object, float]] = field(default_factory=dict)
    reader: Reader | None = None


@pytest.fixture(scope="module")
def upgraded(server: Server) -> Iterator[Upgraded]:
    """Databases of PostgreSQL 16, after pg_upgrade to 18."""
    if server.major != TO:
        pytest.skip(f"pg_upgrade is tried to PostgreSQL {TO}, from {FROM}: both are in the embedded package")
    new = Server.create(server.installation, "pg_upgraded")
    found = Upgraded(new)
    old_folder = Path(server.installation.run) / "old_major"
    old_folder.mkdir()
    installation = embedded_installation(FROM, old_folder)
    install_extension(installation)
    with Server.create(installation) as old:
        for name, version in DATABASES.items():
            _fill(old, name, version)
            with old.connect(name) as connection:
                found.contents[name] = read_contents(connection, SCHEMA)
        found.answers = answers(old, "current", SCHEMA, "postgres")
        with _connect(old, "current") as connection:
            found.reader = reader_from_now(connection, "next")
        # Since PostgreSQL 18 initdb switches checksums on; both must have them, or neither.
        old.stop()
        _as_account(old, "pg_checksums", "--enable", "--no-sync", f"--pgdata={old.folder}/data")
    _as_account(
        new,
        "pg_upgrade",
        f"--old-bindir={installation.bindir}",
        f"--new-bindir={server.installation.bindir}",
        f"--old-datadir={old.folder}/data",
        f"--new-datadir={new.folder}/data",
        f"--old-port={old.port}",
        f"--new-port={new.port}",
        f"--socketdir={new.folder}/socket",
        "--username=postgres",
        "--link",
        "--no-sync",
    )
    # Roles, with their passwords, are the old server's.
    new.password = old.password
    with new:
        yield found


def _connect(server: Server, name: str) -> Connection:
    """A connection that finds the extension's schema."""
    connection = server.connect(name)
    connection.execute(f'SET search_path = "{SCHEMA}", public'.encode())
    return connection


def _fill(server: Server, name: str, version: str) -> None:
    server.create_database(name, extensions=["vector"])
    with server.connect(name) as connection:
        install(connection, SCHEMA, version, dimensions=DIMENSIONS)
        populate(connection, SCHEMA, DIMENSIONS)
        if version == CURRENT:
            connection.execute(f'CALL "{SCHEMA}".gravity_memory_rebuild_recall(p_everything => true)'.encode())
        connection.execute("VACUUM ANALYZE")


def _as_account(server: Server, program: str, *arguments: str) -> None:
    """Run a program on a server's files, as the account that owns them."""
    run(
        [*server.installation.server_command(program), *arguments],
        doing=program,
        cwd=server.folder / "data",
        env={"PGPASSWORD": server.password},
    )


def test_every_row_and_definition_is_as_before_and_recall_answers_as_before(upgraded: Upgraded) -> None:
    for name, original in upgraded.contents.items():
        with upgraded.server.connect(name) as connection:
            found = read_contents(connection, SCHEMA)
        # An owner has one more privilege since PostgreSQL 17, MAINTAIN.
        for contents in (found, original):
            contents.catalogue["tables"] = [
                tuple(str(value).replace("arwdDxtm/", "arwdDxt/") for value in row)
                for row in contents.catalogue["tables"]
            ]
        assert_same(found, original)
    assert_answers_are(answers(upgraded.server, "current", SCHEMA, "postgres"), upgraded.answers)


def test_the_check_finds_nothing_and_the_next_memory_is_handled_as_ever(upgraded: Upgraded) -> None:
    with _connect(upgraded.server, "current") as connection:
        assert connection.execute("SELECT * FROM gravity_memory_check()").fetchall() == []
        assert upgraded.reader is not None
        with pytest.raises(psycopg.Error, match="issued by another server"):
            upgraded.reader.look(connection)
        reader = reader_from_now(connection, "next")
        assert_next_insert_works(upgraded.server, "current", SCHEMA)
        assert [content for content in reader.look(connection) if content] == ["tomorrow"] * 2
        assert_derived_rows_are_right(connection)
        connection.execute("CALL gravity_memory_rebuild_recall(p_everything => true)")
        assert_derived_rows_are_right(connection)


@pytest.mark.parametrize("name", [name for name, version in DATABASES.items() if version != CURRENT])
def test_the_extension_is_upgraded_after_the_server(upgraded: Upgraded, name: str) -> None:
    with upgraded.server.connect(name) as connection, upgraded.server.connect("current") as other:
        upgrade(connection)
        # An upgrade leaves row security as it was.
        for session in (connection, other):
            session.execute(
                sql.SQL("SELECT count(*) FROM {}.gravity_memory_enable_rls()").format(sql.Identifier(SCHEMA))
            )
        differ = differences(catalogue(connection, SCHEMA), catalogue(other, SCHEMA))
        assert differ == {}
    assert_next_insert_works(upgraded.server, name, SCHEMA)
