"""What a database announces, by its settings `notify` and `feed`."""

from __future__ import annotations

import enum

from gravity_memory.errors import NotRecorded
from gravity_memory.realtime.link import Link
from gravity_memory.statements import Statements


class Mode(enum.Enum):
    """How it announces what happens."""

    FEED = "feed"
    PAYLOAD = "payload"


class ModeChanged(Exception):  # noqa: N818 - no error: a reason to connect anew
    """The settings are not those that the connection began with."""


async def announced(link: Link, statements: Statements) -> tuple[Mode, int]:
    """What the database announces, and the process id of the server's side of the connection.

    Raises:
        NotRecorded: nothing.
    """
    rows = await link.execute(statements.announcements)
    settings = {row[0]: row[1] for row in rows}
    pid = int(rows[0][2])
    if settings.get("notify") == "wakeup" or settings.get("feed") == "on":
        return Mode.FEED, pid
    if settings.get("notify") == "payload":
        return Mode.PAYLOAD, pid
    raise NotRecorded(
        "the database announces nothing: the setting notify is off",
        hint="Run SELECT gravity_memory_set('notify', 'wakeup').",
    )
