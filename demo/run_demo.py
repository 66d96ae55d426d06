"""The demo: a PostgreSQL server of its own, gravity_memory in it, and what it does with some weeks of memories.

Run by ``make demo``. Exit codes: 0 when everything it said holds, 1 when something does not or the server failed,
130 after Ctrl-C.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable
from urllib.parse import quote

import psycopg

from demo.background import run_in_background
from demo.claims import ClaimError
from demo.sample_data import SampleDataError, load
from demo.sections import SECTIONS
from demo.stage import Stage
from demo.terminal import Terminal
from devtools.errors import SetupError
from devtools.servers import Server, ServerError, embedded_server, stop_on_terminate

DATABASE = "demo"
INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Runs the command line; returns the exit code."""
    parser = argparse.ArgumentParser(prog="demo", description=(__doc__ or "").splitlines()[0])
    parser.add_argument(
        "--keep", action="store_true", help="leave the server running when the demo is over, and say how to stop it"
    )
    chosen = parser.parse_args(arguments)
    # A terminal that cannot show a character gets a question mark for it, not an error.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="replace")  # type: ignore[union-attr]
    if chosen.keep:
        return run_in_background(lambda stay: run(lambda server: _leave_running(server, stay)))
    return run(_wait_for_enter)


def run(finish: Callable[[Server], None]) -> int:
    """Starts a server, runs the sections, calls ``finish``, and stops the server whatever happened; the exit code."""
    stop_on_terminate()
    started = time.perf_counter()
    terminal = Terminal()
    try:
        data = load()
        with embedded_server() as server:
            server.create_database(DATABASE, extensions=["vector"])
            with server.connect(DATABASE) as connection:
                stage = Stage(terminal, connection, lambda: server.connect(DATABASE), data)
                for section in SECTIONS:
                    section(stage)
            _say_how_to_connect(terminal, server, time.perf_counter() - started)
            finish(server)
    except KeyboardInterrupt:
        print("\nInterrupted; the server is stopped and its folder removed.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except ClaimError as error:
        print(f"\nThe demo failed: {error}", file=sys.stderr)
        return 1
    except (SampleDataError, SetupError, ServerError, psycopg.Error) as error:
        print(f"\nThe demo failed: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def _say_how_to_connect(terminal: Terminal, server: Server, seconds: float) -> None:
    terminal.heading("Your turn")
    terminal.say(f"All of this took {seconds:.1f} s. While the server runs, connect with either of:")
    terminal.line()
    terminal.raw(server.psql_command(DATABASE))
    parameters = server.parameters(DATABASE)
    terminal.raw(
        f"postgresql://{parameters['user']}:{quote(str(parameters['password']), safe='')}"
        f"@{parameters['host']}:{parameters['port']}/{DATABASE}"
    )
    terminal.line()


def _wait_for_enter(server: Server) -> None:
    """At a terminal, keeps the server until Enter (or Ctrl-C, or Ctrl-D); elsewhere returns at once."""
    if not sys.stdin.isatty():
        print("   Standard input is no terminal: the server is stopped now. To keep it:")
        print("   python3 -m devtools demo --keep")
        return
    try:
        input(f"   PostgreSQL listens on port {server.port}. Press Enter to stop it. ")
    except (EOFError, KeyboardInterrupt):
        print()


def _leave_running(server: Server, stay: Callable[[], None]) -> None:
    print(f"   PostgreSQL goes on listening on port {server.port}. Stop it, and remove all of it, with:")
    print(f"\n   kill {os.getpid()}\n", flush=True)
    stay()


if __name__ == "__main__":
    sys.exit(main())
