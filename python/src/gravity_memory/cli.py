"""The command line: watch what happens to a user's memories, and look after the installation."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gravity_memory.async_client import AsyncGravityMemory
from gravity_memory.errors import EventsLost, GravityMemoryError, ListenUnavailable, NotRecorded
from gravity_memory.models import ALL_EVENTS, PAYLOAD_EVENTS, Event, Finding
from gravity_memory.realtime.subscription import Subscription
from gravity_memory.sync_client import GravityMemory

if TYPE_CHECKING:
    from rich.text import Text

_NO_RICH = "This needs the package rich: pip install 'gravity-memory[cli]'"
_LISTEN_ELSEWHERE = "Name a direct connection, or a pool in session mode, with --dsn or --listen-dsn."
_STYLES = {
    "memory_created": "green",
    "memory_updated": "yellow",
    "memory_deleted": "red",
    "arc_created": "magenta",
    "arc_updated": "cyan",
    "arc_deleted": "red",
    "error": "bold red",
    "warning": "yellow",
    "notice": "blue",
}


def main(arguments: Sequence[str]) -> int:
    """Do what the command line asks for; the exit code is 0 when all is well."""
    parser = argparse.ArgumentParser(prog="python -m gravity_memory", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    watch = commands.add_parser("watch", help="print what happens to a user's memories and arcs, until Ctrl-C")
    watch.add_argument("--user", required=True, help="whose memories")
    watch.add_argument("--listen-dsn", help="where to listen, when --dsn is a pooler in transaction mode")
    watch.add_argument("--since", help="a cursor to begin from (default: now)")
    doctor = commands.add_parser("doctor", help="print what gravity_memory_check() finds; fails when there is an error")
    for command in (watch, doctor):
        command.add_argument("--dsn", default="", help="connection string (default: the PG* variables)")
        command.add_argument("--schema", help="where the extension is (default: looked up)")
    chosen = parser.parse_args(arguments)
    try:
        import rich  # noqa: F401
    except ImportError:
        print(_NO_RICH, file=sys.stderr)
        return 2
    try:
        if chosen.command == "doctor":
            return _doctor(chosen.dsn, chosen.schema)
        asyncio.run(_watch(chosen))
    except KeyboardInterrupt:
        return 0
    except ListenUnavailable as error:
        print(f"error: {error.message}\nHINT: {_LISTEN_ELSEWHERE}", file=sys.stderr)
        return 1
    except GravityMemoryError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _doctor(dsn: str, schema: str | None) -> int:
    from rich.console import Console
    from rich.table import Table

    with GravityMemory(dsn, schema=schema) as memories:
        findings = memories.check()
    console = Console(highlight=False)
    if not findings:
        console.print("nothing found")
        return 0
    table = Table("severity", "finding", "object", "problem", "remedy")
    for finding in findings:
        table.add_row(*_cells(finding))
    console.print(table)
    return 1 if any(finding.severity == "error" for finding in findings) else 0


def _cells(finding: Finding) -> list[Text]:
    from rich.text import Text

    return [
        Text(finding.severity, style=_STYLES.get(finding.severity, "")),
        Text(finding.finding),
        Text(printable(finding.object or "")),
        Text(printable(finding.problem)),
        Text(printable(finding.remedy or "")),
    ]


async def _watch(chosen: argparse.Namespace) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False, soft_wrap=True)

    async def tell(error: Exception) -> None:
        console.print(Text(printable(str(error)), style="bold red"))

    async def resync(error: EventsLost) -> None:
        await tell(error)

    async with AsyncGravityMemory(chosen.dsn, schema=chosen.schema, listen_conninfo=chosen.listen_dsn) as memories:

        async def follow(kinds: Sequence[str]) -> Subscription:
            return await memories.subscribe_to_broadcasts(
                chosen.user, events=kinds, since=chosen.since, on_resync=resync, on_error=tell
            )

        limits = ""
        try:
            subscription = await follow(ALL_EVENTS)
        except NotRecorded:
            # Notifications with data are better than nothing, if there are any.
            subscription = await follow(PAYLOAD_EVENTS)
            limits = f" (the setting notify is payload: {', '.join(PAYLOAD_EVENTS)} only)"
        console.print(Text(f"watching {printable(chosen.user)}{limits}; Ctrl-C ends it", style="dim"))
        async for event in subscription:
            console.print(_line(event))


def _line(event: Event) -> Text:
    from rich.text import Text

    line = Text(event.created_at.astimezone().strftime("%H:%M:%S.%f")[:-3], style="dim")
    line.append(f"  {event.event:<15}", style=_STYLES.get(event.event, ""))
    line.append(f"  {event.subject_id}")
    if (gravity := event.payload.get("gravity_score")) is not None:
        line.append(f"  gravity {gravity}")
    what = event.payload.get("content") or event.payload.get("arc_name")
    if what:
        line.append(f"  {printable(str(what))}")
    return line


def printable(text: str) -> str:
    """The text on one line, without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else json.dumps(letter)[1:-1] for letter in text)
