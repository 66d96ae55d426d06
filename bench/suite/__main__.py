"""Run the benchmark and write its report.

    make bench                                                      # all of it
    make bench-quick                                                # a tenth, in a few minutes
    python3 -m devtools run bench.suite --parts timeline recall     # some of it; the other parts' results stay
    python3 -m devtools run bench.suite --report-only               # only the report, from the results that are there

Results are saved as JSON as soon as a part is done, so that an interrupted run keeps what it has. See bench/README.md.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from bench.suite.bench import SERVER_SETTINGS, Bench
from bench.suite.parts import PARTS
from bench.suite.report import ReportError, write_report
from bench.suite.run import Run
from bench.suite.scales import SCALES
from devtools import REPO
from devtools.errors import SetupError
from devtools.servers import ServerError, embedded_server, stop_on_terminate


def main(arguments: list[str]) -> int:
    """Run the parts asked for, save each result as it is there, and write the report over all results of the folder.

    Returns:
        0, or 1 when a part or the report failed. A part that fails does not keep the others from running.
    """
    summary, _, rest = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(
        prog="python3 -m devtools run bench.suite",
        description=summary,
        epilog=rest,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--scale", choices=SCALES, default="full", help="how much of everything (default: full)")
    names = [part.name for part in PARTS]
    parser.add_argument("--parts", nargs="+", choices=names, default=names, help="which parts (default: all)")
    parser.add_argument(
        "--output",
        type=Path,
        default=REPO / "docs" / "benchmarks",
        help="folder for the report, plots and JSON; other parts' results there stay (default: docs/benchmarks)",
    )
    parser.add_argument("--major", type=int, choices=(16, 18), default=18, help="PostgreSQL version (default: 18)")
    parser.add_argument(
        "--report-only", action="store_true", help="measure nothing, write the report from the JSON files"
    )
    chosen = parser.parse_args(arguments)
    if chosen.output.exists() and not chosen.output.is_dir():
        parser.error(f"--output: {chosen.output} is not a folder")
    stop_on_terminate()
    console = Console(soft_wrap=True)
    failures: list[str] = []
    if not chosen.report_only:
        wanted = [part() for part in PARTS if part.name in chosen.parts]
        # Where nothing is to be learned from times, small memory and no fsync.
        matters = chosen.scale != "smoke"
        settings = SERVER_SETTINGS if matters else {"max_connections": "100"}
        try:
            with embedded_server(chosen.major, settings=settings, durable=matters) as server:
                run = Run(Bench(SCALES[chosen.scale], server, console), wanted, chosen.output)
                failures = run.measure()
        except (SetupError, ServerError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    try:
        console.print(f"The report: {write_report(chosen.output, names)}")
    except ReportError as error:
        failures.append(str(error))
    for failure in failures:
        print(f"error: {failure}", file=sys.stderr)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
