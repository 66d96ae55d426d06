"""pgTAP and pg_prove for the embedded servers: Debian's packages, downloaded and unpacked without root.

pgTAP is plain SQL, so the files built for one PostgreSQL load in the others; pg_prove is Perl.
"""

from __future__ import annotations

import dataclasses
import shutil
import subprocess
from pathlib import Path

from devtools.apt import PrivateApt, install_packages, require_apt, unpack
from devtools.cache import is_root, make_once
from devtools.errors import SetupError
from devtools.installation import Installation
from devtools.process import run

_PROVE = "libtap-parser-sourcehandler-pgtap-perl"
# Each release of Debian carries pgTAP for its own PostgreSQL.
_PGTAP = tuple(f"postgresql-{major}-pgtap" for major in (15, 17, 18, 16))


def pgtap_files() -> Path:
    """Folder with the two packages unpacked, downloaded once."""
    require_apt("pgTAP")
    return make_once("pgtap", "1", _download, announce="Downloading pgTAP and pg_prove")


def _download(folder: Path) -> None:
    apt = PrivateApt("apt")
    name = next((name for name in _PGTAP if apt.has(name)), None)
    if name is None:
        raise SetupError(f"This machine's apt sources offer none of {', '.join(_PGTAP)}.")
    for package in apt.download([name, _PROVE], folder):
        unpack(package, folder)
        package.unlink()


def add_pgtap(installation: Installation) -> Installation:
    """Put pgTAP into an installation and return it with pg_prove named.

    Raises:
        SetupError: apt or Perl is missing, or the download failed.
    """
    files = pgtap_files()
    require_perl()
    share = run([f"{installation.bindir}/pg_config", "--sharedir"], doing="pg_config").strip()
    for path in sorted(files.glob("usr/share/postgresql/*/extension/pgtap*")):
        shutil.copy(path, Path(share) / "extension" / path.name)
    # Copied, because make splits the program's path at spaces, and the cache's path may have some.
    tools = Path(installation.run) / "pg_prove"
    shutil.copytree(files / "usr/share/perl5", tools / "perl5")
    shutil.copy(files / "usr/bin/pg_prove", tools / "pg_prove")
    return dataclasses.replace(installation, perl_lib=str(tools / "perl5"), pg_prove=str(tools / "pg_prove"))


def require_perl() -> None:
    """See that perl has its standard library, which Debian keeps apart from the perl that every system has."""
    if shutil.which("perl") is not None:
        probe = subprocess.run(["perl", "-MTAP::Harness", "-e", "1"], capture_output=True, check=False)
        if probe.returncode == 0:
            return
    if not is_root():
        raise SetupError("pg_prove needs perl with its standard library. On Debian: sudo apt-get install perl")
    install_packages(["perl"])
