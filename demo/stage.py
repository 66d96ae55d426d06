"""What the sections of the demo share."""

from collections.abc import Callable
from dataclasses import dataclass

from demo.sample_data import SampleData
from demo.store import Connection
from demo.terminal import Terminal

#: The specification's target for its indexed queries and for a notification, in milliseconds.
SPECIFIED_MILLISECONDS = 100.0


@dataclass(frozen=True)
class Stage:
    """What a section works with.

    Attributes:
        terminal: where it writes.
        connection: the first session, in autocommit mode, in a database of the demo's own.
        connect: opens another session like it; who calls it closes it.
        data: the sample data.
    """

    terminal: Terminal
    connection: Connection
    connect: Callable[[], Connection]
    data: SampleData
