"""Run the checks once, then every test on every PostgreSQL version, and print one table."""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from devtools import REPO
from devtools.cache import cache_dir, is_root
from devtools.counts import Counts, count_junit, count_tap
from devtools.errors import SetupError
from devtools.extension import install_extension, make_command
from devtools.image import check_image
from devtools.installation import Installation
from devtools.legs import CRON_DATABASE, LEGS, Leg
from devtools.lint import run_checks
from devtools.process import clean_environment
from devtools.say import say
from devtools.servers import Server, ServerError, stop_on_terminate

SERVER_VARIABLE = "GRAVITY_MEMORY_SERVER"
"""Environment variable with the path of a file from Server.to_json, for tests/python."""


IMAGE = "image"
"""The leg that builds the Dockerfile."""
_ALL = (*(str(major) for major in LEGS), IMAGE)
_NEED_ROOT = {*(str(major) for major, leg in LEGS.items() if leg.needs_root), IMAGE}

# Log lines about the server, not about a statement: tests provoke thousands of those.
_GRAVE = ("PANIC:", "FATAL:", "WARNING:  terminating", "was terminated by signal")


# Seconds for the SQL tests of one leg: a hang must not use up the whole run.
_PATIENCE = 900


@dataclass
class LegResult:
    """What happened on one PostgreSQL version. A `problem` is why it could not run to the end."""

    major: int
    origin: str = ""
    pgtap: Counts = field(default_factory=Counts)
    upgraded: Counts = field(default_factory=Counts)
    isolation: Counts = field(default_factory=Counts)
    pytest: Counts = field(default_factory=Counts)
    seconds_setup: float = 0.0
    seconds: float = 0.0
    problem: str = ""

    @property
    def counts(self) -> Counts:
        """All of the leg's tests; a problem counts as one failure."""
        total = self.pgtap + self.upgraded + self.isolation + self.pytest
        return total + Counts(failed=1) if self.problem else total


def main(arguments: list[str]) -> int:
    """Run what the command line asks for; the exit code is 0 only when all of it passed."""
    parser = argparse.ArgumentParser(prog="python3 -m devtools test", description=__doc__)
    parser.add_argument(
        "--legs", help=f"what to run, separated by commas: {', '.join(_ALL)} (default: all that can run here)"
    )
    parser.add_argument("--no-lint", action="store_true", help="leave the checks out")
    chosen = parser.parse_args(arguments)
    stop_on_terminate()
    try:
        wanted, left_out = _choose(chosen.legs)
    except ValueError as error:
        parser.error(str(error))
    began = time.monotonic()
    checks = Counts()
    if not chosen.no_lint:
        say("Checks")
        results = run_checks()
        checks = Counts(sum(result.passed for result in results), sum(not result.passed for result in results))
    legs = [_run_leg(LEGS[int(name)]) for name in wanted if name != IMAGE]
    if IMAGE in wanted:
        checks += _check_image()
    _print_table(checks, legs, left_out, time.monotonic() - began)
    total = sum((leg.counts for leg in legs), checks)
    say(f"{total.passed} passed, {total.failed} failed")
    return 1 if total.failed or not total.passed else 0


def _choose(text: str | None) -> tuple[list[str], dict[str, str]]:
    """What to run, and what is left out with the reason.

    Asked for by name, as root or in CI, a leg is mandatory: what it lacks makes it fail, it does not vanish.

    Raises:
        ValueError: there is no such leg.
    """
    if text is not None:
        wanted = text.split(",")
        if not set(wanted) <= set(_ALL):
            raise ValueError(f"--legs {text}: choose from {', '.join(_ALL)}")
        return wanted, {name: "not asked for" for name in _ALL if name not in wanted}
    if is_root() or os.environ.get("CI", "").lower() in {"1", "true", "yes"}:
        return list(_ALL), {}
    reason = "installing its packages needs root"
    return (
        [name for name in _ALL if name not in _NEED_ROOT],
        {name: reason for name in _ALL if name in _NEED_ROOT},
    )


def _check_image() -> Counts:
    """Build the Dockerfile and use the image; one check."""
    say("\nDockerfile")
    began = time.monotonic()
    try:
        if not is_root():
            raise SetupError("Building the image needs root.")
        check_image()
    except (SetupError, OSError) as error:
        say(f"  FAILED: {error}")
        return Counts(failed=1)
    say(f"  ok     the image builds, starts, schedules its jobs ({time.monotonic() - began:.1f} s)")
    return Counts(passed=1)


def _run_leg(leg: Leg) -> LegResult:
    say(f"\nPostgreSQL {leg.major}")
    result = LegResult(leg.major)
    began = time.monotonic()
    try:
        if leg.needs_root and not is_root():
            raise SetupError(f"PostgreSQL {leg.major} needs root: its packages are installed with apt-get.")
        leg.prepare()
        with leg.folder() as folder:
            installation = leg.installation(folder)
            result.origin = installation.origin
            source = install_extension(installation)
            server = Server.create(installation, cron_database=CRON_DATABASE if installation.has_pg_cron else None)
            try:
                with server:
                    result.seconds_setup = time.monotonic() - began
                    say(f"  server ready after {result.seconds_setup:.1f} s")
                    _test(installation, server, source, result)
            finally:
                if result.counts.failed or sys.exc_info()[0] is not None:
                    _keep_log(server)
    except (SetupError, ServerError, OSError) as error:
        result.problem = str(error)
        say(f"  FAILED: {error}")
    result.seconds = time.monotonic() - began
    return result


def _test(installation: Installation, server: Server, source: Path, result: LegResult) -> None:
    result.pgtap = _installcheck(installation, server, source, "installcheck-pgtap", "pgTAP")
    result.upgraded = _installcheck(installation, server, source, "installcheck-upgraded", "pgTAP, upgraded")
    result.isolation = _installcheck(installation, server, source, "installcheck-isolation", "isolation")
    result.pytest = _pytest(server)


def _installcheck(installation: Installation, server: Server, source: Path, target: str, title: str) -> Counts:
    """Run one part of `make installcheck` against the server; everything but the passes is shown when it fails."""
    began = time.monotonic()
    environment = server.environment()
    if installation.perl_lib:
        environment["PERL5LIB"] = installation.perl_lib
    try:
        done = subprocess.run(
            [*make_command(installation, source), "PROVE_FLAGS=--verbose", target],
            env=clean_environment(environment),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            check=False,
            timeout=_PATIENCE,
        )
    except subprocess.TimeoutExpired as error:
        said = error.stdout.decode(errors="replace") if isinstance(error.stdout, bytes) else ""
        raise SetupError(f"make {target} did not end within {_PATIENCE} s. It said:\n{said[-4000:]}") from error
    lines = done.stdout.splitlines()
    counts = count_tap(lines).with_exit_code(done.returncode)
    say(f"  {title}: {counts} ({time.monotonic() - began:.1f} s)")
    if counts.failed or counts.skipped:
        for line in lines:
            if not line.startswith("ok ") or "#" in line:
                say(f"    {line}")
    return counts


def _pytest(server: Server) -> Counts:
    began = time.monotonic()
    folder = Path(server.installation.run)
    description = folder / "server.json"
    description.touch(0o600)
    description.write_text(server.to_json())
    report = folder / "pytest.xml"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", "tests/python"],
        env=clean_environment(
            {
                SERVER_VARIABLE: str(description),
                "PYTHONPATH": str(REPO),
                "PYTHONDONTWRITEBYTECODE": "1",
                "HYPOTHESIS_STORAGE_DIRECTORY": str(folder / "hypothesis"),
            }
        ),
        cwd=REPO,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    counts = count_junit(report).with_exit_code(done.returncode)
    say(f"  pytest: {counts} ({time.monotonic() - began:.1f} s)")
    return counts


def _keep_log(server: Server) -> None:
    """Keep a failing leg's server log, and show what it says about the server itself, or its end if it is down."""
    if not server.log_path.exists():
        return
    logs = cache_dir() / "logs"
    logs.mkdir(exist_ok=True)
    kept = logs / f"postgresql-{server.major}.log"
    shutil.copyfile(server.log_path, kept)
    lines = server.log_path.read_text(errors="replace").splitlines()
    grave = [line for line in lines if any(word in line for word in _GRAVE)]
    say(f"  The server's log ({len(lines)} lines) is kept as {kept}")
    for line in grave[-40:] if server.was_stopped else lines[-40:]:
        say(f"    {line}")


def _print_table(checks: Counts, legs: list[LegResult], left_out: dict[str, str], seconds: float) -> None:
    rows = [("PostgreSQL", "from", "pgTAP", "upgraded", "isolation", "pytest", "set-up s", "all s")]
    for leg in legs:
        cells = (str(leg.pgtap), str(leg.upgraded), str(leg.isolation), str(leg.pytest))
        rows.append((str(leg.major), leg.origin, *cells, f"{leg.seconds_setup:.1f}", f"{leg.seconds:.1f}"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    say("")
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for leg in legs:
        if leg.problem:
            say(f"PostgreSQL {leg.major} FAILED: {leg.problem.splitlines()[0]}")
    for name, reason in left_out.items():
        say(f"{'Dockerfile' if name == IMAGE else f'PostgreSQL {name}'} left out: {reason}")
    say(f"checks: {checks}")
    say(f"all together: {seconds:.1f} s")


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("interrupted")
