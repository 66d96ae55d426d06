"""Run the benchmark and write its report: `make bench`, `make bench-quick`, or with options `python3 -m devtools bench`."""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from bench.suite import machine
from bench.suite.bench import SERVER_SETTINGS, Bench
from bench.suite.part import Part
from bench.suite.parts import PARTS
from bench.suite.report import write_report
from bench.suite.results import save
from bench.suite.scales import SCALES
from devtools import REPO
from devtools.errors import SetupError
from devtools.servers import ServerError, embedded_server, stop_on_terminate


def main(arguments: list[str]) -> int:
    """Run the parts asked for, save each result as it is there, and write the report over all results of the folder."""
    parser = argparse.ArgumentParser(prog="python3 -m devtools run bench.suite", description=__doc__)
    parser.add_argument("--scale", choices=SCALES, default="full", help="how much of everything (default: full)")
    names = [part.name for part in PARTS]
    parser.add_argument("--parts", nargs="+", choices=names, default=names, help="which parts (default: all)")
    parser.add_argument(
        "--output",
        type=Path,
        default=REPO / "docs" / "benchmarks",
        help="folder for the report, plots and JSON; results of parts that are not run now stay (default: docs/benchmarks)",
    )
    parser.add_argument("--major", type=int, choices=(16, 18), default=18, help="PostgreSQL version (default: 18)")
    parser.add_argument("--report-only", action="store_true", help="measure nothing, write the report from the JSON files")
    chosen = parser.parse_args(arguments)
    stop_on_terminate()
    console = Console(soft_wrap=True)
    if not chosen.report_only:
        wanted = [part() for part in PARTS if part.name in chosen.parts]
        settings = SERVER_SETTINGS if chosen.scale != "smoke" else {"max_connections": "100"}
        try:
            with embedded_server(chosen.major, settings=settings, durable=True) as server:
                _measure(Bench(SCALES[chosen.scale], server, console), wanted, chosen.output)
        except (SetupError, ServerError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    console.print(f"The report: {write_report(chosen.output)}")
    return 0


def _measure(bench: Bench, parts: Sequence[Part], folder: Path) -> None:
    """Go through the stages that parts need, from small to large, and save each part's result as soon as it is complete."""
    with bench.server.connect() as connection:
        described = machine.describe(connection)
    spent = dict.fromkeys(parts, 0.0)
    waiting = list(parts)

    def finish(part: Part) -> None:
        bench.say(f"== {part.title}")
        began = time.perf_counter()
        result = part.result(bench)
        seconds = round(spent[part] + time.perf_counter() - began, 1)
        save(dataclasses.replace(result, scale=bench.scale.name, machine=described, seconds=seconds), folder / "data")
        for goal in result.goals:
            word = {True: "met", False: "MISSED", None: "not judged"}[goal.met]
            bench.say(f"   {word}: {goal.what}: {goal.measured} (wanted: {goal.wanted})")
        waiting.remove(part)

    for part in [part for part in parts if not part.sizes(bench.scale)]:
        finish(part)
    for size in sorted({size for part in waiting for size in part.sizes(bench.scale)}):
        with bench.stage(size) as stage:
            for part in [part for part in waiting if size in part.sizes(bench.scale)]:
                bench.say(f"-- {part.title}, {size:,} memories")
                began = time.perf_counter()
                part.measure(bench, stage)
                spent[part] += time.perf_counter() - began
                if size == max(part.sizes(bench.scale)):
                    finish(part)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
