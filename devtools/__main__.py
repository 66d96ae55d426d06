"""Command line of the tools: `python3 -m devtools COMMAND`. Each command runs in the tools' virtual environment."""

from __future__ import annotations

import argparse
import sys

from devtools.errors import SetupError
from devtools.venv import enter_venv


def main(arguments: list[str]) -> int:
    """Choose the virtual environment and the module for a command, and continue there."""
    parser = argparse.ArgumentParser(prog="python3 -m devtools", description="Tools for developing gravity_memory.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("test", help="run the checks and the tests", add_help=False)
    commands.add_parser("lint", help="run the checks alone", add_help=False)
    commands.add_parser("demo", help="run the demonstration", add_help=False)
    commands.add_parser("run", help="run a Python module: run MODULE [ARGUMENTS]", add_help=False)
    chosen, rest = parser.parse_known_args(arguments)
    try:
        if chosen.command == "test":
            enter_venv("test", "devtools.runner", rest)
        elif chosen.command == "lint":
            enter_venv("test", "devtools.lint", rest)
        elif chosen.command == "demo":
            enter_venv("demo", "demo", rest)
        elif rest:
            enter_venv("test", rest[0], rest[1:])
        else:
            parser.error("run needs the name of a module")
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
