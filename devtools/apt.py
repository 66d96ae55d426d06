"""Debian's packages: installed by root, or downloaded and unpacked by anyone without touching the system.

Downloads use lists and a cache of our own, so they need neither root nor an earlier `apt-get update`, and the
machine's own sources and mirrors are used as configured.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from devtools.cache import cache_dir, locked
from devtools.errors import SetupError
from devtools.process import run
from devtools.say import say

_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# Wait for another package manager, and try a mirror again before giving up.
_PATIENT = ["-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"]
# The lock of what changes the machine's own packages and lists, or reads the latter.
_MACHINE = "apt-install"
_QUIET = {"DEBIAN_FRONTEND": "noninteractive"}


def require_apt(purpose: str) -> None:
    """Refuse in words when this is no Debian-like system."""
    if shutil.which("apt-get") is None:
        raise SetupError(f"{purpose} comes from Debian's packages, and there is no apt-get on this machine.")


def missing_packages(names: Iterable[str]) -> list[str]:
    """Those of the packages that are not installed on this machine."""
    status = run(["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\\n"], doing="dpkg-query")
    installed = {line.split()[0] for line in status.splitlines() if line.endswith(" installed")}
    return [name for name in names if name not in installed]


def install_packages(names: Sequence[str]) -> None:
    """Install packages on this machine, as root, with no service started by their installation.

    Raises:
        SetupError: apt refuses, for example because this release of Debian has no such package.
    """
    if not missing_packages(names):
        return
    with locked(_MACHINE), no_services(Path("/")):
        # What runs beside us may have installed them while we waited.
        missing = missing_packages(names)
        if not missing:
            return
        say(f"Installing Debian packages: {' '.join(missing)} ...")
        run(["apt-get", *_PATIENT, "update", "-qq"], doing="apt-get update", env=_QUIET)
        run(
            ["apt-get", *_PATIENT, "install", "-y", "-qq", "--no-install-recommends", *missing],
            doing="apt-get install",
            env=_QUIET,
        )


class no_services:  # noqa: N801 - reads as a verb in `with`
    """While inside, packages installed under `root` start no service (Debian policy: policy-rc.d exits with 101)."""

    def __init__(self, root: Path) -> None:
        self._policy = root / "usr/sbin/policy-rc.d"
        self._ours = False

    def __enter__(self) -> None:
        if not self._policy.exists():
            self._policy.write_text("#!/bin/sh\nexit 101\n")
            self._policy.chmod(0o755)
            self._ours = True

    def __exit__(self, *_: object) -> None:
        if self._ours:
            self._policy.unlink()


_refreshed: set[PrivateApt] = set()
"""Those whose lists this process has refreshed."""


@dataclass(frozen=True)
class PrivateApt:
    """apt-get with lists and a cache in our own cache folder.

    Attributes:
        name: the folder's name.
        sources: content of sources.list, or empty for the machine's own sources.
    """

    name: str
    sources: str = ""

    def _options(self) -> list[str]:
        folder = cache_dir() / self.name
        for part in ("state/lists/partial", "cache/archives/partial"):
            (folder / part).mkdir(parents=True, exist_ok=True)
        options = [
            *_PATIENT,
            "-o",
            f"Dir::State={folder}/state",
            "-o",
            "Dir::State::status=/var/lib/dpkg/status",
            "-o",
            f"Dir::Cache={folder}/cache",
            # Otherwise root's apt downloads as a user who cannot write here.
            "-o",
            "APT::Sandbox::User=",
            # The machine's hooks belong to its own lists.
            "-o",
            "APT::Update::Post-Invoke-Success=",
        ]
        if self.sources:
            (folder / "sources.list").write_text(self.sources)
            options += ["-o", f"Dir::Etc::sourcelist={folder}/sources.list", "-o", "Dir::Etc::sourceparts=-"]
        return options

    def download(self, names: Sequence[str], into: Path) -> list[Path]:
        """Download binary packages into a folder, after refreshing the lists.

        Raises:
            SetupError: apt cannot reach its mirrors or knows no such package.
        """
        self._update()
        run(["apt-get", *self._options(), "download", *names], doing=f"Downloading {' '.join(names)}", cwd=into)
        return sorted(into.glob("*.deb"))

    def download_source(self, name: str, into: Path) -> list[Path]:
        """Download a source package's files into a folder, signatures checked by apt, nothing unpacked."""
        self._update()
        run(
            ["apt-get", *self._options(), "source", "--download-only", name],
            doing=f"Downloading the source of {name}",
            cwd=into,
        )
        return sorted(into.iterdir())

    def has(self, name: str) -> bool:
        """True when the sources offer the package."""
        self._update()
        shown = run(["apt-cache", *self._options(), "policy", name], doing="apt-cache policy")
        return "Candidate:" in shown and "Candidate: (none)" not in shown

    def _update(self) -> None:
        if self not in _refreshed:
            run(["apt-get", *self._options(), "update", "-qq"], doing="apt-get update in our own folder", env=_QUIET)
            _refreshed.add(self)


def unpack(package: Path, into: Path) -> None:
    """Unpack a .deb's files into a folder; no script of the package runs."""
    run(["dpkg", "--extract", package, into], doing=f"Unpacking {package.name}")


def debian_mirror() -> str:
    """The mirror of Debian's main archive that this machine is configured to use.

    Raises:
        SetupError: none is configured, for example on Ubuntu.
    """
    require_apt("A Debian archive")
    with locked(_MACHINE):
        listed = run(
            ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"],
            doing="Listing apt's sources",
        )
    for line in listed.splitlines():
        uri, _, release = line.rpartition(" ")
        if uri.rstrip("/").endswith("/debian") and "security" not in release:
            return uri.rstrip("/")
    raise SetupError("apt has no source for Debian's main archive on this machine, and its mirror is needed.")


def debian_keyring() -> Path:
    """The keys that Debian's archive is signed with."""
    if not os.access(_KEYRING, os.R_OK):
        raise SetupError(f"{_KEYRING} is missing: install the package debian-archive-keyring.")
    return _KEYRING
