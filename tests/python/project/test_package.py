"""What is released is what sql/ builds, says which version it is, and installs from PGXN's archive."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from devtools import REPO
from devtools.cache import memory_run_folder
from devtools.extension import copy_sources, make_command
from devtools.metadata import control_version, metadata_problems
from devtools.pgxn import pgxn
from devtools.process import clean_environment, run
from devtools.servers import Server, embedded_server

NAME = "gravity_memory"
_numbers = itertools.count(1)


@contextmanager
def visible_folder(server: Server) -> Iterator[Path]:
    """A folder that the server's installation, which may live in a root folder of its own, can see."""
    path = Path(server.installation.run) / f"package-{os.getpid()}-{next(_numbers)}"
    path.mkdir()
    yield path
    shutil.rmtree(path)


@pytest.fixture
def folder(server: Server) -> Iterator[Path]:
    """A `visible_folder` for one test."""
    with visible_folder(server) as path:
        yield path


@pytest.fixture(scope="module")
def archive(server: Server) -> Iterator[Path]:
    """What `make dist` makes of these files, committed to a repository of their own."""
    with visible_folder(server) as folder:
        checkout = folder / "checkout"
        ignored = shutil.ignore_patterns(".git", "__pycache__", "build", "*.zip", ".hypothesis", ".*_cache")
        shutil.copytree(REPO, checkout, ignore=ignored)
        # An export of the sources has no repository, and the tests run there too.
        git = ["git", "-c", "user.name=tests", "-c", "user.email=tests@example.org", "-c", "init.defaultBranch=main"]
        commit = ["commit", "--quiet", "--message=all", "--no-gpg-sign"]
        for arguments in (["init", "--quiet"], ["add", "--all"], commit):
            run([*git, *arguments], doing="git", cwd=checkout, env={"HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"})
        run(["make", "--silent", "dist"], doing="make dist", cwd=checkout, env={"HOME": str(folder)})
        yield checkout / f"{NAME}-{control_version(REPO)}.zip"


def installed(server: Server, source: Path, folder: Path) -> dict[str, bytes]:
    """The files that `make install DESTDIR=...` puts into the extension folder; fails when there are others."""
    target = folder / "destination"
    command = make_command(server.installation, source)
    run(
        [*command, f"DESTDIR={server.installation.inside(target)}", "install"],
        doing="make install",
        cwd=Path("/"),
    )
    files = [path for path in target.rglob("*") if not path.is_dir()]
    assert {path.parent.name for path in files} == {"extension"}
    return {path.name: path.read_bytes() for path in files}


def shipped() -> dict[str, bytes]:
    """The control file and every versioned script of the checkout."""
    paths = [REPO / f"{NAME}.control", *REPO.glob(f"{NAME}--*.sql")]
    return {path.name: path.read_bytes() for path in paths}


def test_make_builds_exactly_the_script_that_is_committed(tmp_path: Path) -> None:
    source = copy_sources(tmp_path)
    built = sorted(source.glob(f"{NAME}--*{control_version(REPO)}.sql"))
    assert source / f"{NAME}--{control_version(REPO)}.sql" in built
    for script in built:
        script.unlink()
    # PGXS is not needed for it: no PostgreSQL has to be installed where it is built.
    run(["make", "--silent", "-C", source, "PG_CONFIG=/nonexistent"], doing="make")
    for script in built:
        assert script.read_bytes() == (REPO / script.name).read_bytes(), script.name


def test_check_script_notices_a_script_that_sql_does_not_build(tmp_path: Path) -> None:
    source = copy_sources(tmp_path)
    command = ["make", "--silent", "-C", str(source), "check-script"]
    assert subprocess.run(command, env=clean_environment(), capture_output=True, check=False).returncode == 0
    with (source / f"{NAME}--{control_version(REPO)}.sql").open("a") as script:
        script.write("-- by hand\n")
    failed = subprocess.run(command, env=clean_environment(), capture_output=True, check=False)
    assert failed.returncode != 0
    assert b"run make" in failed.stderr


def test_every_object_in_sql_is_part_of_the_script() -> None:
    listed = [
        line.split("#")[0].strip()
        for line in (REPO / "sql/load_order.txt").read_text().splitlines()
        if line.split("#")[0].strip()
    ]
    found = {str(path.relative_to(REPO / "sql")) for path in (REPO / "sql").rglob("*.sql")}
    upgrades = {name for name in found if name.startswith("upgrades/")}
    assert sorted(listed) == sorted(found - upgrades)
    # What only an upgrade does is part of the upgrade scripts, whole.
    scripts = [path.read_text() for path in REPO.glob(f"{NAME}--*--*.sql")]
    for name in upgrades:
        part = (REPO / "sql" / name).read_text()
        assert any(part in script for script in scripts), name


def test_the_metadata_agree_with_the_control_file() -> None:
    assert metadata_problems(REPO) == []
    meta = json.loads((REPO / "META.json").read_text())
    assert meta["version"] == meta["provides"][NAME]["version"] == control_version(REPO)


def test_the_server_offers_the_version_of_the_control_file(server: Server) -> None:
    with server.connect() as connection:
        row = connection.execute(
            "SELECT default_version, comment FROM pg_available_extensions WHERE name = %s", (NAME,)
        ).fetchone()
    assert row is not None
    assert row[0] == control_version(REPO)
    assert row[1]


def test_make_install_installs_the_control_file_and_the_scripts_and_nothing_else(server: Server, folder: Path) -> None:
    assert installed(server, copy_sources(folder), folder) == shipped()


def test_pgxns_archive_holds_what_pgxn_asks_for(archive: Path) -> None:
    version = control_version(REPO)
    with zipfile.ZipFile(archive) as opened:
        names = opened.namelist()
        prefix = f"{NAME}-{version}/"
        assert all(name.startswith(prefix) for name in names)
        inside = {name.removeprefix(prefix) for name in names}
        meta = json.loads(opened.read(f"{prefix}META.json"))
    assert {"META.json", "Makefile", f"{NAME}.control", f"{NAME}--{version}.sql", "README.md", "LICENSE"} <= inside
    assert "sql/load_order.txt" in inside
    for provided in meta["provides"].values():
        assert {provided["file"], provided["docfile"]} <= inside
    assert not [name for name in inside if name.startswith(".git/") or name.endswith((".pyc", ".zip"))]


def test_the_extension_installs_from_pgxns_archive(server: Server, folder: Path, archive: Path) -> None:
    with zipfile.ZipFile(archive) as opened:
        opened.extractall(folder)
    source = folder / f"{NAME}-{control_version(REPO)}"
    assert installed(server, source, folder) == shipped()


def test_pgxns_client_installs_the_archive_and_creates_the_extension(archive: Path, tmp_path: Path) -> None:
    with embedded_server(18, extension=False, folder=memory_run_folder) as bare:
        bare.create_database("shop", extensions=["vector"])

        def client(*words: str) -> None:
            chosen = f"--pg_config={bare.installation.bindir}/pg_config"
            pgxn([*words, chosen, str(archive)], folder=tmp_path, env=bare.environment("shop"))

        client("install")
        client("load", "--yes")
        with bare.connect("shop") as connection:
            found = connection.execute("SELECT extversion FROM pg_extension WHERE extname = %s", (NAME,)).fetchall()
            assert found == [(control_version(REPO),)]
