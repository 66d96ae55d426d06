"""PGXN's client: Debian's packages of it and of what it needs, downloaded and unpacked without root.

PyPI has its source only, and the tools' virtual environment is made of wheels.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from devtools.apt import PrivateApt, require_apt, unpack
from devtools.cache import make_once
from devtools.process import run

_PACKAGES = ("pgxnclient", "python3-six")
_MODULES = Path("usr/lib/python3/dist-packages")


def pgxn(arguments: Sequence[str], *, folder: Path, env: Mapping[str, str]) -> str:
    """Run `pgxn` with these arguments in a folder and return what it printed; `env` names the server.

    Raises:
        SetupError: it failed, or the packages are not to be had.
    """
    require_apt("PGXN's client")
    modules = make_once("pgxnclient", "1", _download, announce="Downloading PGXN's client") / _MODULES
    code = "import sys; from pgxnclient.cli import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-B", "-c", code, *arguments]
    environment = {**env, "PYTHONPATH": str(modules), "HOME": str(folder)}
    return run(command, doing=f"pgxn {arguments[0]}", env=environment, cwd=folder)


def _download(folder: Path) -> None:
    for package in PrivateApt("apt").download(_PACKAGES, folder):
        unpack(package, folder)
        package.unlink()
