"""A server where nobody can put files, with the stand-in for pg_tle of tests/pg_tle.

pg_tle itself is to be had from GitHub, RDS and Supabase only, not from the registries that these tests install from.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devtools import REPO
from devtools.fixtures import Connection
from devtools.process import clean_environment, run
from devtools.servers import Server

STAND_IN = REPO / "tests/pg_tle"


def extension_folder(server: Server) -> Path:
    """Where the server looks for control files and scripts."""
    shared = run([f"{server.installation.bindir}/pg_config", "--sharedir"], doing="pg_config")
    return Path(shared.strip()) / "extension"


def add_stand_in(server: Server) -> None:
    """Let CREATE EXTENSION pg_tle create the stand-in."""
    for path in STAND_IN.iterdir():
        (extension_folder(server) / path.name).write_bytes(path.read_bytes())


def built(checkout: Path) -> bytes:
    """What `make tle` writes, in a checkout that may be written to.

    Raises:
        CalledProcessError: make failed.
    """
    command = ["make", "--silent", "-C", str(checkout), "tle"]
    subprocess.run(command, env=clean_environment(), check=True, capture_output=True)
    return (checkout / "build/gravity_memory--tle.sql").read_bytes()


def kept(connection: Connection) -> dict[str, bytes]:
    """What pg_tle was given, as the files that it stands for."""
    names = connection.execute(
        r"SELECT proname FROM pg_proc WHERE pronamespace = 'pgtle'::regnamespace AND proname ~ '\.(control|sql)$'"
    ).fetchall()
    found = {}
    for (name,) in names:
        row = connection.execute(f'SELECT pgtle."{name}"()'.encode()).fetchone()
        assert row is not None
        found[name] = row[0].encode()
    return found


@contextmanager
def answering(server: Server, connection: Connection) -> Iterator[None]:
    """While inside, CREATE and ALTER EXTENSION run what pg_tle was given, and nothing else, as its hook would."""
    files = {extension_folder(server) / name: content for name, content in kept(connection).items()}
    assert not [path for path in files if path.exists()]
    try:
        for path, content in files.items():
            path.write_bytes(content)
        yield
    finally:
        for path in files:
            path.unlink(missing_ok=True)
