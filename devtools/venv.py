"""The tools' virtual environment: made once, in the cache, from pinned requirements.

This module and what it imports use the standard library only, because it runs before anything is installed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from devtools import MODULES, REPO
from devtools.cache import cache_dir, is_root, make_once
from devtools.errors import SetupError
from devtools.process import clean_environment, run
from devtools.say import say

OLDEST_PYTHON = (3, 11)
_REQUIREMENTS = {"demo": "requirements-demo.txt", "test": "requirements-test.txt"}


def enter_venv(purpose: str, module: str, arguments: list[str]) -> None:
    """Replace this process by `python -m module arguments` in a virtual environment that fits the purpose.

    Does not return.

    Args:
        purpose: `demo` (server and client only) or `test` (also the test tools).
        module: module to run, found from the checkout.
        arguments: its command line.

    Raises:
        SetupError: Python is too old or cannot make virtual environments, or the packages cannot be installed.
    """
    python = _prepared_python(purpose)
    environment = clean_environment()
    environment["PYTHONPATH"] = MODULES
    # The checkout may be read-only, and must not fill with caches that a root run leaves behind.
    environment["PYTHONDONTWRITEBYTECODE"] = "1"
    for name in ("LC_ALL", "LANG"):
        if name in os.environ:
            environment[name] = os.environ[name]
    os.execve(  # noqa: S606 - no shell is wanted
        python, [str(python), "-m", module, *arguments], environment
    )


def _prepared_python(purpose: str) -> Path:
    if sys.version_info < OLDEST_PYTHON:
        wanted = ".".join(map(str, OLDEST_PYTHON))
        raise SetupError(
            f"Python {wanted} or newer is needed, and {sys.executable} is {sys.version.split()[0]}. "
            "Name a newer one: make PYTHON=python3.12 ..."
        )
    version = "".join(map(str, sys.version_info[:2]))
    folder = make_once(
        f"venv-{purpose}-{version}", _key(purpose), lambda folder: _build(folder, purpose), announce=_announce(purpose)
    )
    return folder / "bin" / "python"


def _announce(purpose: str) -> str:
    return f"Installing the {purpose} packages from PyPI into {cache_dir()}"


def _wanted(purpose: str) -> list[Path]:
    names = ["demo"] if purpose == "demo" else ["demo", "test"]
    return [REPO / "devtools" / _REQUIREMENTS[name] for name in names]


def _key(purpose: str) -> str:
    return sys.version + "\n" + "\n".join(path.read_text() for path in _wanted(purpose))


def _build(folder: Path, purpose: str) -> None:
    _require_ensurepip()
    # Not the interpreter of another virtual environment: it may go away while our stamp stays.
    base = getattr(sys, "_base_executable", sys.executable)
    run([base, "-m", "venv", folder], doing="Making a virtual environment")
    files = [word for path in _wanted(purpose) for word in ("-r", str(path))]
    # No dependency is resolved: the files name them all.
    flags = ["--quiet", "--disable-pip-version-check", "--no-input", "--only-binary=:all:", "--no-deps"]
    run([folder / "bin" / "python", "-m", "pip", "install", *flags, *files], doing="Installing Python packages")


def _require_ensurepip() -> None:
    """Debian keeps ensurepip in a package of its own; root installs it, others are told its name."""
    probe = [sys.executable, "-c", "import ensurepip, venv"]
    if subprocess.run(probe, capture_output=True, check=False).returncode == 0:
        return
    package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
    if is_root():
        say(f"Installing {package}, which Python needs for virtual environments ...")
        environment = {"DEBIAN_FRONTEND": "noninteractive"}
        run(["apt-get", "update", "-qq"], doing="apt-get update", env=environment)
        run(["apt-get", "install", "-y", "-qq", package], doing=f"Installing {package}", env=environment)
    else:
        raise SetupError(
            f"{sys.executable} cannot make virtual environments. On Debian or Ubuntu: sudo apt-get install {package}"
        )
