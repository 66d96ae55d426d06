"""The checks that need no server: style, types, the security of the installation script, agreeing metadata."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass

from devtools import REPO
from devtools.cache import cache_dir
from devtools.metadata import control_version, metadata_problems
from devtools.process import clean_environment
from devtools.say import say

_PYTHON_FOLDERS = ("devtools", "demo", "bench", "tests/python")


_PGSPOT_GAVE_UP = """\
pgspot found nothing wrong but stopped at something it cannot parse, so what follows is unchecked. Known cases: RETURN
NEXT with an expression (assign the output columns, or use RETURN QUERY), and SQL-standard function bodies.
"""


@dataclass(frozen=True)
class CheckResult:
    """How one check ended; `output` is what to show when it failed."""

    name: str
    passed: bool
    output: str


def run_checks() -> list[CheckResult]:
    """Run every check, also when an earlier one fails, and print a line for each."""
    script = f"gravity_memory--{control_version(REPO)}.sql"
    folders = [name for name in _PYTHON_FOLDERS if any((REPO / name).glob("**/*.py"))]
    python = sys.executable
    commands = {
        "ruff check": [python, "-m", "ruff", "check", "--no-cache", *folders],
        "ruff format": [python, "-m", "ruff", "format", "--no-cache", "--check", "--diff", *folders],
        "mypy --strict": [python, "-m", "mypy", "--cache-dir", str(cache_dir() / "mypy"), *folders],
        "tests of devtools": [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "devtools/tests"],
        "script is what sql/ builds": ["make", "--silent", "check-script"],
        f"pgspot {script}": [python, "-m", "pgspot", script],
    }
    results = []
    for name, command in commands.items():
        results.append(_report(_run(name, command)))
    problems = metadata_problems(REPO)
    results.append(_report(CheckResult("META.json, control file, released scripts", not problems, "\n".join(problems))))
    return results


def _run(name: str, command: list[str]) -> CheckResult:
    done = subprocess.run(
        command,
        cwd=REPO,
        env=clean_environment({"PYTHONPATH": str(REPO), "PYTHONDONTWRITEBYTECODE": "1"}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    output = done.stdout
    if name.startswith("pgspot") and "Errors: 0 Warnings: 0 Unknown: 0" in output:
        output += _PGSPOT_GAVE_UP
    return CheckResult(name, done.returncode == 0, output)


def _report(result: CheckResult) -> CheckResult:
    say(f"  {'ok    ' if result.passed else 'FAILED'} {result.name}")
    if not result.passed:
        say(result.output)
    return result


def main() -> int:
    """Run the checks alone."""
    began = time.monotonic()
    results = run_checks()
    failed = sum(not result.passed for result in results)
    say(f"checks: {time.monotonic() - began:.1f} s")
    say(f"{len(results) - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
