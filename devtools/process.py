"""Run other programs: a clean environment, and their output shown when they fail."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
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


def with_our_life(words: Sequence[str]) -> list[str]:
    """The words that run a program to which the kernel sends SIGTERM should we die without stopping it."""
    return [*(["setpriv", "--pdeathsig", "TERM"] if shutil.which("setpriv") else []), *words]


def run_to_end(
    words: Sequence[str],
    *,
    env: Mapping[str, str],
    cwd: Path,
    capture: bool = False,
    timeout: float | None = None,
    patience: float = 60.0,
) -> tuple[int, str]:
    """Run a program that starts others, in a session of its own; whatever stops us stops all of them.

    Args:
        words: the program and its arguments.
        env: the whole environment.
        cwd: where it runs.
        capture: return what it prints (standard output and error) instead of passing it on.
        timeout: seconds until it is stopped.
        patience: seconds it gets to clean up behind itself when it is stopped before its end.

    Returns:
        Its exit code, and what it printed.

    Raises:
        subprocess.TimeoutExpired: it did not end in time, and was stopped; carries what it printed.
    """
    process = subprocess.Popen(
        with_our_life(words),
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE if capture else None,
        stderr=subprocess.STDOUT if capture else None,
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=timeout)
    except BaseException:
        _stop_group(process, patience)
        raise
    return process.returncode, (said or b"").decode(errors="replace")


def _stop_group(process: subprocess.Popen[bytes], patience: float) -> None:
    """End a process and all of its group: in order if it can, else at once."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(patience)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
