"""The parts of a test run: the checks, each PostgreSQL version, the image. Runs one, and says how it ended.

As a module, it runs one part in a process of its own, for devtools.side_by_side: python -m devtools.parts NAME REPORT.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from devtools import MODULES, REPO
from devtools.cache import cache_dir, is_root
from devtools.counts import Counts, count_junit, count_tap
from devtools.errors import SetupError
from devtools.extension import install_extension, make_command
from devtools.image import check_image
from devtools.installation import Installation
from devtools.legs import CRON_DATABASE, LEGS, Leg
from devtools.lint import run_checks
from devtools.process import clean_environment, run_to_end
from devtools.say import say
from devtools.servers import Server, ServerError, stop_on_terminate

SERVER_VARIABLE = "GRAVITY_MEMORY_SERVER"
"""Environment variable with the path of a file from Server.to_json, for tests/python."""

CHECKS = "checks"
"""The part that needs no server."""
IMAGE = "image"
"""The part that builds the Dockerfile."""

_CLIENT = {18: "python/tests", 15: "python/tests/test_client_pgbouncer.py"}
"""Tests of the client, which hardly depend on the server: all on the newest, those of PgBouncer where it comes."""

_PROJECT = "tests/python/project"
_PROJECT_MAJORS = (18,)
"""Where scripts, archives, the reference and the benchmark are tested: in a leg that begins early."""

_OUTER_MAJORS = (15, 18)
_OUTER = tuple(f"tests/python/test_{name}.py" for name in ("arcs_cost", "arcs_property", "row_security", "similarity"))
"""Long tests of what is the same on every version unless the oldest or the newest differs."""

_UNDER_FIRE = "tests/python/under_fire"
_UNDER_FIRE_MAJORS = (18,)
"""Where servers are killed, crowded and filled up: a minute, for what hardly depends on the version."""

# Log lines about the server, not about a statement: tests provoke thousands of those.
_GRAVE = ("PANIC:", "FATAL:", "WARNING:  terminating", "was terminated by signal")

# Seconds for the SQL tests of one leg: a hang must not use up the whole run. With two legs on two busy cores they take
# a tenth of that.
_PATIENCE = 900


@dataclass
class PartResult:
    """What happened in one part.

    Attributes:
        name: the part's.
        origin: where the leg's PostgreSQL comes from.
        pgtap, upgraded, isolation, pytest: a leg's tests.
        checks: what CHECKS and IMAGE count.
        seconds_setup, seconds: until a leg's server was ready, and in all.
        problem: why it could not run to the end, or empty.
    """

    name: str
    origin: str = ""
    pgtap: Counts = field(default_factory=Counts)
    upgraded: Counts = field(default_factory=Counts)
    isolation: Counts = field(default_factory=Counts)
    pytest: Counts = field(default_factory=Counts)
    checks: Counts = field(default_factory=Counts)
    seconds_setup: float = 0.0
    seconds: float = 0.0
    problem: str = ""

    @property
    def counts(self) -> Counts:
        """All of the part's tests; a problem counts as one failure."""
        total = self.pgtap + self.upgraded + self.isolation + self.pytest + self.checks
        return total + Counts(failed=1) if self.problem else total

    @property
    def is_leg(self) -> bool:
        """It is a PostgreSQL version."""
        return self.name not in {CHECKS, IMAGE}

    def to_json(self) -> str:
        """For the process that waits for this part."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> PartResult:
        """The inverse of `to_json`."""
        fields: dict[str, Any] = json.loads(text)
        for name in ("pgtap", "upgraded", "isolation", "pytest", "checks"):
            fields[name] = Counts(**fields[name])
        return cls(**fields)


def run_part(name: str) -> PartResult:
    """Run the part of this name and say what happens as it does."""
    if name == CHECKS:
        return _run_checks()
    if name == IMAGE:
        return _check_image()
    return _run_leg(LEGS[int(name)])


def _run_checks() -> PartResult:
    say("Checks")
    began = time.monotonic()
    results = run_checks()
    counts = Counts(sum(result.passed for result in results), sum(not result.passed for result in results))
    return PartResult(CHECKS, checks=counts, seconds=time.monotonic() - began)


def _check_image() -> PartResult:
    """Build the Dockerfile and use the image: one check, and the SQL tests run against it."""
    say("\nDockerfile")
    began = time.monotonic()
    try:
        if not is_root():
            raise SetupError("Building the image needs root.")
        tests = check_image()
        counts = tests + Counts(passed=1)
        say(
            f"  ok     the image builds, starts as compose.yaml says, runs its jobs, passes tests ({tests}),"
            f" keeps its data ({time.monotonic() - began:.1f} s)"
        )
    except (SetupError, OSError) as error:
        say(f"  FAILED: {error}")
        counts = Counts(failed=1)
    return PartResult(IMAGE, checks=counts, seconds=time.monotonic() - began)


def _run_leg(leg: Leg) -> PartResult:
    say(f"\nPostgreSQL {leg.major}")
    result = PartResult(str(leg.major))
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


def _test(installation: Installation, server: Server, source: Path, result: PartResult) -> None:
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
        code, said = run_to_end(
            [*make_command(installation, source), "PROVE_FLAGS=--verbose", target],
            env=clean_environment(environment),
            cwd=Path("/"),
            capture=True,
            timeout=_PATIENCE,
        )
    except subprocess.TimeoutExpired as error:
        said = error.stdout.decode(errors="replace") if isinstance(error.stdout, bytes) else error.stdout or ""
        raise SetupError(f"make {target} did not end within {_PATIENCE} s. It said:\n{said[-4000:]}") from error
    lines = said.splitlines()
    counts = count_tap(lines).with_exit_code(code)
    say(f"  {title}: {counts} ({time.monotonic() - began:.1f} s)")
    if counts.failed or counts.skipped:
        for line in lines:
            if not line.startswith("ok ") or "#" in line:
                say(f"    {line}")
    return counts


def pytest_paths(major: int) -> list[str]:
    """What pytest is told to collect on a version: what hardly depends on it, on some versions only."""
    paths = ["tests/python"]
    if major in _CLIENT:
        paths.append(_CLIENT[major])
    elsewhere = {_UNDER_FIRE: _UNDER_FIRE_MAJORS, _PROJECT: _PROJECT_MAJORS, **dict.fromkeys(_OUTER, _OUTER_MAJORS)}
    paths += [f"--ignore={path}" for path, majors in elsewhere.items() if major not in majors]
    return paths


def _pytest(server: Server) -> Counts:
    began = time.monotonic()
    folder = Path(server.installation.run)
    description = folder / "server.json"
    description.touch(0o600)
    description.write_text(server.to_json())
    report = folder / "pytest.xml"
    code, _ = run_to_end(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
            *(f"--junitxml={report}", f"--basetemp={folder / 'pytest'}", *pytest_paths(server.major)),
        ],
        env=clean_environment(
            {
                SERVER_VARIABLE: str(description),
                "PYTHONPATH": MODULES,
                "PYTHONDONTWRITEBYTECODE": "1",
                "HYPOTHESIS_STORAGE_DIRECTORY": str(folder / "hypothesis"),
            }
        ),
        cwd=REPO,
    )
    counts = count_junit(report).with_exit_code(code)
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


def main(arguments: list[str]) -> int:
    """Run one part and write its result; the exit code is 0 also when tests failed."""
    name, report = arguments
    stop_on_terminate()
    Path(report).write_text(run_part(name).to_json())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
