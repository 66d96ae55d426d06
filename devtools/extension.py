"""Install gravity_memory from this checkout into an installation, the way its users do: with `make install`."""

from __future__ import annotations

import shutil
import stat
from pathlib import Path

from devtools import REPO
from devtools.installation import Installation
from devtools.process import run

_FILES = ("Makefile", "META.json", "gravity_memory.control")
_FOLDERS = ("sql", "tests/pgtap", "tests/adoption", "tests/upgrade", "tests/isolation")


def copy_sources(folder: Path) -> Path:
    """Copy what `make install` and `make installcheck` need into a plain folder, and return it.

    PGXS cannot cope with every character in a path, and the servers' account may not be able to read the checkout.
    """
    target = folder / "source"
    target.mkdir()
    for name in _FILES:
        shutil.copy(REPO / name, target / name)
    for script in sorted(REPO.glob("gravity_memory--*.sql")):
        shutil.copy(script, target / script.name)
    for name in _FOLDERS:
        if (REPO / name).is_dir():
            shutil.copytree(REPO / name, target / name)
    # The checkout may be read-only; the copy is built in, and removed later.
    for path in target.rglob("*"):
        path.chmod(path.stat().st_mode | stat.S_IWUSR)
    return target


def install_extension(installation: Installation) -> Path:
    """Build and install the extension; returns the copied sources, where installcheck can run.

    Raises:
        SetupError: `make install` failed; the message carries its output.
    """
    source = copy_sources(Path(installation.run))
    run(
        [*make_command(installation, source), "install"],
        doing=f"make install for PostgreSQL {installation.major}",
        cwd=Path("/"),
    )
    return source


def make_command(installation: Installation, source: Path) -> list[str]:
    """The words that run make in the copied sources for this installation; append the goal."""
    words = [
        *installation.foreign_command("make"),
        "--silent",
        "-C",
        installation.inside(source),
        f"PG_CONFIG={installation.bindir}/pg_config",
        f"PG_PROVE={installation.pg_prove}",
    ]
    if installation.isolation_regress:
        words.append(f"ISOLATION_REGRESS={installation.isolation_regress}")
    return words
