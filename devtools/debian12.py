"""PostgreSQL 15 with pg_cron and plpgsql_check: Debian 12's packages, pgvector built from Debian 13's source.

Only the packages are installed on the machine. The server runs from a copy of them in the run's folder, where
pgvector and gravity_memory are added, so the machine's own PostgreSQL stays as its packages left it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from devtools.apt import PrivateApt, debian_keyring, debian_mirror, install_packages
from devtools.cache import make_once
from devtools.errors import SetupError
from devtools.installation import Installation
from devtools.process import run

MAJOR = 15
_PROGRAMS = Path(f"/usr/lib/postgresql/{MAJOR}")
_SHARED = Path(f"/usr/share/postgresql/{MAJOR}")
_PACKAGES = (
    f"postgresql-{MAJOR}",
    f"postgresql-{MAJOR}-cron",
    f"postgresql-{MAJOR}-pgtap",
    f"postgresql-{MAJOR}-plpgsql-check",
    f"postgresql-server-dev-{MAJOR}",
    "libtap-parser-sourcehandler-pgtap-perl",
    "pgbouncer",
    "build-essential",
)


def prepare() -> None:
    """Install the packages and build pgvector, unless that is done.

    Raises:
        SetupError: we are not root, apt lacks the packages, or the build failed.
    """
    install_packages(_PACKAGES)
    _pgvector()


def installation(run_folder: Path) -> Installation:
    """Copy PostgreSQL 15 into a run folder; its programs find their files relative to themselves."""
    tree = run_folder / "debian12"
    for folder in (_PROGRAMS, _SHARED):
        shutil.copytree(folder, tree / folder.relative_to("/"), symlinks=True)
    built = _pgvector()
    for folder in (_PROGRAMS, _SHARED):
        relative = folder.relative_to("/")
        shutil.copytree(built / relative, tree / relative, dirs_exist_ok=True)
    return Installation(
        major=MAJOR,
        origin="Debian 12",
        bindir=str(tree / _PROGRAMS.relative_to("/") / "bin"),
        run=str(run_folder),
        has_pg_cron=True,
        has_pg_stat_statements=True,
    )


def _pgvector() -> Path:
    """The installed files of pgvector. Debian 12 has no such package, so Debian 13's source is compiled."""
    return make_once(
        f"pgvector-{MAJOR}", _server_version(), _build_pgvector, announce=f"Building pgvector for PostgreSQL {MAJOR}"
    )


def _server_version() -> str:
    return run([_PROGRAMS / "bin/pg_config", "--version"], doing="pg_config")


def _build_pgvector(folder: Path) -> None:
    source = f"deb-src [signed-by={debian_keyring()}] {debian_mirror()} trixie main\n"
    download = folder / "download"
    download.mkdir()
    files = PrivateApt("apt-source", source).download_source("pgvector", download)
    archive = next((file for file in files if ".orig.tar." in file.name), None)
    if archive is None:
        raise SetupError(f"The source package of pgvector has no .orig.tar: {[file.name for file in files]}")
    run(["tar", "--extract", "--file", archive, "--directory", download], doing="Unpacking pgvector")
    tree = next(path for path in sorted(download.iterdir()) if path.is_dir())
    # OPTFLAGS: the compiler's default would fit this machine's processor only, and the cache may be copied.
    make: list[str | Path] = ["make", "-C", tree, f"PG_CONFIG={_PROGRAMS}/bin/pg_config", "OPTFLAGS=", "with_llvm=no"]
    run([*make, "-j2"], doing="Compiling pgvector")
    run([*make, "install", f"DESTDIR={folder}"], doing="Installing pgvector into the cache")
    shutil.rmtree(download)
