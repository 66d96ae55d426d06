"""A reader of the feed of changes, as an application would write one: a cursor, and what came from it on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from devtools.fixtures import Connection


@dataclass
class Reader:
    """Reads one user's events, page by page.

    Attributes:
        user_id: whose.
        cursor: where to go on.
        limit: events per page.
        seen: the contents of the memories in the events, in the order in which they came.
        is_open: whether the last look said that transactions were under way.
    """

    user_id: str
    cursor: str
    limit: int = 100
    seen: list[Any] = field(default_factory=list)
    is_open: bool = False

    def look(self, connection: Connection) -> list[Any]:
        """Read all that is there; returns what is new."""
        new: list[Any] = []
        more = True
        while more:
            rows = connection.execute(
                "SELECT event, payload ->> 'content', next_cursor, has_more, is_open"
                " FROM memory_changes_since(%s, %s, %s)",
                (self.user_id, self.cursor, self.limit),
            ).fetchall()
            *events, last = rows
            assert last[0] is None
            new += [content for _, content, *_ in events]
            self.cursor, more, self.is_open = last[2], last[3], last[4]
        self.seen += new
        return new


def reader_from_now(connection: Connection, user_id: str, limit: int = 100) -> Reader:
    """A reader that begins at the end of the feed."""
    row = connection.execute("SELECT memory_changes_head()").fetchone()
    assert row is not None
    return Reader(user_id, row[0], limit)
