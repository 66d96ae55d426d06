"""Where downloads and built things are kept, and how each is made only once.

The cache never lies inside the checkout: PGXS breaks on spaces in paths, and a checkout may be read-only.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from devtools.errors import SetupError
from devtools.say import say

_MEMORY_FOLDER = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a private name
_MEMORY_NEEDED = 6 * 2**30
"""Bytes: what a version's tests take, and as much again for the servers."""

_PLAIN_PATH = re.compile(r"[A-Za-z0-9._/+-]+")


def is_root() -> bool:
    """True when we may install packages and must not run PostgreSQL as ourselves."""
    return os.geteuid() == 0


def cache_dir() -> Path:
    """Folder for downloads and the virtual environment, made on first use.

    Root's folder is readable by everyone, because the servers run as another user. An ordinary user's is private.

    Raises:
        SetupError: the folder cannot be made.
    """
    if chosen := os.environ.get("GRAVITY_MEMORY_CACHE"):
        path = Path(chosen).absolute()
        # Root also builds and bootstraps in there, with programs that split paths at spaces.
        if is_root() and not _PLAIN_PATH.fullmatch(str(path)):
            raise SetupError(f"GRAVITY_MEMORY_CACHE={path}: use a path of letters, digits and . _ - + / only.")
    elif is_root():
        path = Path("/var/cache/gravity_memory")
    else:
        base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        path = Path(base).absolute() / "gravity_memory"
    try:
        path.mkdir(parents=True, exist_ok=True)
        if is_root():
            path.chmod(0o755)
    except OSError as error:
        raise SetupError(
            f"Cannot use the cache folder {path}: {error.strerror}. Set GRAVITY_MEMORY_CACHE to a folder you can write."
        ) from error
    return path


def make_once(name: str, key: str, build: Callable[[Path], None], *, announce: str) -> Path:
    """Return the cache folder `name`, building it unless a finished one for `key` is there.

    The stamp is written last, so an interrupted build is thrown away and done again, and a changed key (other pins,
    another package version) rebuilds. A lock keeps two runs from building at once.

    Args:
        name: folder name inside the cache.
        key: whatever the content depends on.
        build: fills the empty folder it is given.
        announce: what is being done, for the person waiting.
    """
    folder = cache_dir() / name
    stamp = cache_dir() / f"{name}.stamp"
    if _is_finished(folder, stamp, key):
        return folder
    with locked(name):
        if _is_finished(folder, stamp, key):
            return folder
        say(f"{announce} ...")
        began = time.monotonic()
        stamp.unlink(missing_ok=True)
        remove_tree(folder)
        folder.mkdir()
        build(folder)
        stamp.write_text(key)
        say(f"{announce}: {time.monotonic() - began:.1f} s")
    return folder


def _is_finished(folder: Path, stamp: Path, key: str) -> bool:
    return folder.is_dir() and stamp.is_file() and stamp.read_text() == key


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the cache's lock called `name`: other runs on this machine wait."""
    with (cache_dir() / f"{name}.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def remove_tree(folder: Path) -> None:
    """Delete a folder of ours, refusing when something is mounted inside it."""
    if not folder.exists():
        return
    inside = str(folder.resolve()) + "/"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        if line.split()[4].startswith(inside):
            raise SetupError(f"{line.split()[4]} is still mounted. Unmount it, then run this again.")
    shutil.rmtree(folder)


@contextlib.contextmanager
def run_folder(parent: Path | None = None) -> Iterator[Path]:
    """A fresh folder for one run, readable by the account that runs the servers, removed afterwards.

    Its path has only plain characters, whatever TMPDIR or the checkout are called: PGXS cannot cope with others.
    """
    if parent is None:
        parent = Path(tempfile.gettempdir())
        if not _PLAIN_PATH.fullmatch(str(parent)):
            parent = Path("/tmp")  # noqa: S108 - mkdtemp makes a private name
    folder = Path(tempfile.mkdtemp(prefix="gravity_memory_", dir=parent))
    if is_root():
        folder.chmod(0o755)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if folder.exists():
            say(f"warning: {folder} could not be removed")


@contextlib.contextmanager
def memory_run_folder() -> Iterator[Path]:
    """A run folder in memory, for servers whose data nobody wants to keep; where there is too little, as `run_folder`.

    Tests drop databases by the hundred. For each new file, ext4 then looks for an inode that was not freed within the
    last minutes, which takes as long as the tests themselves. TMPDIR, where somebody set it, is where they wanted it.
    """
    with run_folder(None if os.environ.get("TMPDIR") or not _has_room_in_memory() else _MEMORY_FOLDER) as folder:
        yield folder


PRIVATE_MOUNTS = "GRAVITY_MEMORY_PRIVATE_MOUNTS"
"""Environment variable of a process whose mounts nobody else sees, and which end with it."""


@contextlib.contextmanager
def in_memory(folder: Path) -> Iterator[None]:
    """Keep in memory what is written into a folder that has to lie where it does, like `memory_run_folder` elsewhere.

    Only where nothing is left mounted should we be killed; otherwise, and where there is too little, it stays on disk.
    """
    if PRIVATE_MOUNTS not in os.environ or os.environ.get("TMPDIR") or not _has_room_in_memory():
        yield
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=0755", "gravity_memory", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=False)


def _has_room_in_memory() -> bool:
    """Whether programs can run from the folder in memory, and a server's data fit beside the server."""
    try:
        mounted = os.statvfs(_MEMORY_FOLDER)
        (available,) = re.findall(r"^MemAvailable: +(\d+) kB$", Path("/proc/meminfo").read_text(), re.MULTILINE)
    except (OSError, ValueError):
        return False
    may_run = not mounted.f_flag & os.ST_NOEXEC and os.access(_MEMORY_FOLDER, os.W_OK | os.X_OK)
    return may_run and min(mounted.f_bavail * mounted.f_frsize, 1024 * int(available)) >= _MEMORY_NEEDED
