"""PostgreSQL 17 with pgvector and pg_cron: Debian 13's packages in a root folder in the cache, used by chroot.

A run copies PostgreSQL inside that folder, as the other versions are copied, so runs never meet.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devtools.account import server_account
from devtools.apt import debian_mirror, install_packages, no_services
from devtools.cache import in_memory, make_once, run_folder
from devtools.installation import Installation
from devtools.process import run

MAJOR = 17
_SUITE = "trixie"
_PROGRAMS = Path(f"usr/lib/postgresql/{MAJOR}")
_SHARED = Path(f"usr/share/postgresql/{MAJOR}")
# PGXS's files come with postgresql-client, which postgresql-17 depends on.
_PACKAGES = (
    f"postgresql-{MAJOR}",
    f"postgresql-{MAJOR}-pgvector",
    f"postgresql-{MAJOR}-cron",
    f"postgresql-{MAJOR}-pgtap",
    "libtap-parser-sourcehandler-pgtap-perl",
    "make",
)


def prepare() -> None:
    """Make the root folder unless it is there.

    Raises:
        SetupError: we are not root, debootstrap is not to be had, or the mirror does not answer.
    """
    install_packages(["debootstrap"])
    root_folder()


def root_folder() -> Path:
    """The root folder, made when it is not there."""
    return make_once("debian13", "2 " + " ".join(_PACKAGES), _build, announce="Making a Debian 13 folder")


def _build(folder: Path) -> None:
    mirror = debian_mirror()
    command: list[str | Path] = ["debootstrap", "--variant=minbase"]
    if mirror.startswith("https:"):
        command.append("--include=ca-certificates")
    run([*command, _SUITE, folder, mirror], doing="debootstrap")
    apt: list[str | Path] = ["chroot", folder, "apt-get", "-o", "APT::Sandbox::User=root", "-o", "Acquire::Retries=3"]
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    with no_services(folder):
        run([*apt, "update", "-qq"], doing="apt-get update in the Debian 13 folder", env=quiet)
        run([*apt, "install", "-y", "-qq", "--no-install-recommends", *_PACKAGES], doing="apt-get install", env=quiet)
    run([*apt, "clean"], doing="apt-get clean")
    shutil.rmtree(folder / "var/lib/apt/lists")


@contextmanager
def folder_for_run() -> Iterator[Path]:
    """A run folder inside the root folder, where programs chrooted into it can reach it."""
    with run_folder(root_folder() / "tmp") as folder, in_memory(folder):
        yield folder


def installation(run: Path) -> Installation:
    """Copy PostgreSQL 17 into a run folder from `folder_for_run`."""
    root = root_folder()
    tree = run / "debian13"
    for folder in (_PROGRAMS, _SHARED):
        shutil.copytree(root / folder, tree / folder, symlinks=True)
    return Installation(
        major=MAJOR,
        origin="Debian 13",
        bindir=f"/{(tree / _PROGRAMS / 'bin').relative_to(root)}",
        run=str(run),
        root=str(root),
        has_pg_cron=True,
        account=server_account(root),
        has_pg_stat_statements=True,
    )
