"""The checks that need no server: style, types, the security of the installation script, agreeing metadata."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from dataclasses import dataclass

from devtools import MODULES, REPO
from devtools.cache import cache_dir
from devtools.metadata import control_version, metadata_problems, upgrades_to
from devtools.process import clean_environment
from devtools.say import say

_PYTHON_FOLDERS = ("devtools", "demo", "bench", "tests/python", "python")


_NO_SEARCH_PATH = (
    # A procedure that commits cannot pin its search_path; everything in it is qualified, which pgspot checks.
    "extschema.gravity_memory_rebuild_recall(p_batch_size integer,p_user_id text,p_everything boolean)",
    # PostgreSQL inlines only what pins nothing; everything in it is qualified, too.
    "extschema._gravity_memory_document_terms(p_config regconfig,p_user_id text,p_content text,"
    "p_created_at timestamptz,length integer,term_keys bigint[],frequencies smallint[])",
)
_PGSPOT_COUNTS = re.compile(r"Errors: \d+ Warnings: \d+ Unknown: \d+")
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
    version = control_version(REPO)
    script = f"gravity_memory--{version}.sql"
    folders = [name for name in _PYTHON_FOLDERS if any((REPO / name).glob("**/*.py"))]
    python = sys.executable
    pgspot = [
        python,
        "-m",
        "pgspot",
        *(word for name in _NO_SEARCH_PATH for word in ("--proc-without-search-path", name)),
    ]
    schema = [python, "-m", "check_jsonschema", "--schemafile", "devtools/pgxn-meta.schema.json"]
    known_schema = [python, "-m", "check_jsonschema", "--builtin-schema"]
    workflow = ".github/workflows/test.yml"
    commands = {
        "ruff check": [python, "-m", "ruff", "check", "--no-cache", *folders],
        "ruff format": [python, "-m", "ruff", "format", "--no-cache", "--check", "--diff", *folders],
        "mypy --strict": [python, "-m", "mypy", "--cache-dir", str(cache_dir() / "mypy"), *folders],
        "tests of devtools": [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "devtools/tests"],
        "scripts are what sql/ builds": ["make", "--silent", "check-script"],
        "META.json by PGXN's specification": [*schema, "META.json"],
        "compose.yaml by Compose's specification": [*known_schema, "vendor.compose-spec", "compose.yaml"],
        "workflow by GitHub's specification": [*known_schema, "vendor.github-workflows", workflow],
        "workflow has time limits": [*known_schema, "custom.github-workflows-require-timeout", workflow],
        f"pgspot {script}": [*pgspot, script],
    }
    for start, upgrade in upgrades_to(REPO, version):
        # Appended to the script it builds on: what that one made without OR REPLACE, this one may replace. PostgreSQL
        # itself lets an extension's script replace nothing that is not the extension's.
        commands[f"pgspot {upgrade}"] = [*pgspot, "--append", f"gravity_memory--{start}.sql", upgrade]
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
        env=clean_environment({"PYTHONPATH": MODULES, "PYTHONDONTWRITEBYTECODE": "1"}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        check=False,
    )
    output = done.stdout
    counts = _PGSPOT_COUNTS.findall(output)
    if name.startswith("pgspot") and counts and counts[-1] == "Errors: 0 Warnings: 0 Unknown: 0":
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
