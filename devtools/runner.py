"""Run the checks once and every test on every PostgreSQL version, several at a time, and print one table."""

from __future__ import annotations

import argparse
import os
import sys
import time

from devtools.cache import is_root
from devtools.counts import Counts
from devtools.legs import LEGS
from devtools.parts import CHECKS, IMAGE, PartResult, run_part
from devtools.say import say
from devtools.servers import stop_on_terminate
from devtools.side_by_side import run_side_by_side

_ALL = (*(str(major) for major in LEGS), IMAGE)
_NEED_ROOT = {*(str(major) for major, leg in LEGS.items() if leg.needs_root), IMAGE}

# The longest first: 18 has most tests, and where pg_cron is, 15 and 17, some wait for the minute.
_FIRST = (CHECKS, "18", "15", "17")
# The image is made of the root folder in which the leg's server lives.
_AFTER = {IMAGE: "17"}


def main(arguments: list[str]) -> int:
    """Run what the command line asks for; the exit code is 0 only when all of it passed."""
    parser = argparse.ArgumentParser(prog="python3 -m devtools test", description=__doc__)
    parser.add_argument(
        "--legs", help=f"what to run, separated by commas: {', '.join(_ALL)} (default: all that can run here)"
    )
    parser.add_argument("--no-lint", action="store_true", help="leave the checks out")
    parser.add_argument(
        "--jobs",
        type=_positive,
        default=_jobs(len(os.sched_getaffinity(0))),
        help="how many of them at a time (default: 3, and 1 on a single processor)",
    )
    chosen = parser.parse_args(arguments)
    stop_on_terminate()
    try:
        wanted, left_out = _choose(chosen.legs)
    except ValueError as error:
        parser.error(str(error))
    began = time.monotonic()
    names = [*([] if chosen.no_lint else [CHECKS]), *wanted]
    if chosen.jobs > 1 and len(names) > 1:
        order = sorted(names, key=lambda name: _FIRST.index(name) if name in _FIRST else len(_FIRST))
        found = {result.name: result for result in run_side_by_side(order, chosen.jobs, _AFTER)}
        results = [found[name] for name in names]
    else:
        results = [run_part(name) for name in names]
    _print_table(results, left_out, time.monotonic() - began)
    total = sum((result.counts for result in results), Counts())
    say(f"{total.passed} passed, {total.failed} failed")
    return 1 if total.failed or not total.passed else 0


def _jobs(processors: int) -> int:
    """How many parts run at a time: one more than keep two processors busy, because tests also wait."""
    return 1 if processors == 1 else 3


def _positive(text: str) -> int:
    """A number of jobs.

    Raises:
        ArgumentTypeError: it is none, or below one.
    """
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1 on")
    return int(text)


def _choose(text: str | None) -> tuple[list[str], dict[str, str]]:
    """What to run, and what is left out with the reason.

    Asked for by name, as root or in CI, a leg is mandatory: what it lacks makes it fail, it does not vanish.

    Raises:
        ValueError: there is no such leg, or one is named twice.
    """
    if text is not None:
        wanted = text.split(",")
        if not set(wanted) <= set(_ALL) or len(set(wanted)) < len(wanted):
            raise ValueError(f"--legs {text}: choose from {', '.join(_ALL)}, each once")
        return wanted, {name: "not asked for" for name in _ALL if name not in wanted}
    if is_root() or os.environ.get("CI", "").lower() in {"1", "true", "yes"}:
        return list(_ALL), {}
    reason = "installing its packages needs root"
    return (
        [name for name in _ALL if name not in _NEED_ROOT],
        {name: reason for name in _ALL if name in _NEED_ROOT},
    )


def _title(name: str) -> str:
    return {CHECKS: "Checks", IMAGE: "Dockerfile"}.get(name, f"PostgreSQL {name}")


def _print_table(results: list[PartResult], left_out: dict[str, str], seconds: float) -> None:
    rows = [("PostgreSQL", "from", "pgTAP", "upgraded", "isolation", "pytest", "set-up s", "all s")]
    for leg in results:
        if leg.is_leg:
            cells = (str(leg.pgtap), str(leg.upgraded), str(leg.isolation), str(leg.pytest))
            rows.append((leg.name, leg.origin, *cells, f"{leg.seconds_setup:.1f}", f"{leg.seconds:.1f}"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    say("")
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    for part in results:
        if part.problem:
            say(f"{_title(part.name)} FAILED: {part.problem.splitlines()[0]}")
    for name, reason in left_out.items():
        say(f"{_title(name)} left out: {reason}")
    say(f"checks: {sum((part.checks for part in results), Counts())}")
    say(f"all together: {seconds:.1f} s")


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        sys.exit("interrupted")
