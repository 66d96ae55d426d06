"""Run other programs: a clean environment, and their output shown when they fail."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from devtools.errors import SetupError


def clean_environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """Our environment without the caller's PG* variables and make flags, with a UTF-8 locale in English.

    A developer's PGSERVICE or PGHOST must not send a test to their own server.
    """
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PG", "LC_", "MAKE", "MFLAGS")) and name not in {"LANGUAGE", "LANG", "PYTHONPATH"}
    }
    kept["LC_ALL"] = "C.UTF-8"
    path = kept.get("PATH", "/usr/bin:/bin").split(":")
    # An ordinary user's PATH often lacks the folders of chroot and debootstrap.
    kept["PATH"] = ":".join(path + [folder for folder in ("/usr/sbin", "/sbin") if folder not in path])
    kept.update(extra or {})
    return kept


def run(
    command: Sequence[str | Path], *, doing: str, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> str:
    """Run a command quietly and return what it printed (standard output and error together).

    Raises:
        SetupError: it failed or is not installed; the message carries the end of its output.
    """
    words = [str(word) for word in command]
    try:
        done = subprocess.run(
            words,
            env=clean_environment(env),
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
        )
    except FileNotFoundError as error:
        raise SetupError(f"{doing}: the program {words[0]!r} is not installed.") from error
    if done.returncode != 0:
        tail = "\n".join(done.stdout.splitlines()[-60:])
        raise SetupError(f"{doing} failed with exit code {done.returncode}: {' '.join(words)}\n{tail}")
    return done.stdout
