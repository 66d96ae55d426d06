"""What a subscription is made of: the request, the host that reads for it, and what waits to be handed over."""

from __future__ import annotations

import copy
import enum
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from gravity_memory.errors import GravityMemoryError
from gravity_memory.models import Event
from gravity_memory.raw_events import RawEvent
from gravity_memory.realtime.callbacks import Callback

E = TypeVar("E", bound=GravityMemoryError)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What somebody subscribes to.

    Attributes:
        user_id: whose events.
        kinds: which kinds.
        handlers: what is called with an event of a kind; empty: the subscription is iterated over.
        convert: makes what the handlers get.
        asked_for: the kinds that were asked for by name, or by a callback: where one is missing, that is refused.
        since: where to begin in the feed; None: now.
        on_resync: called with an EventsLost when events were missed.
        on_error: called with any other error; without it errors are logged.
    """

    user_id: str
    kinds: frozenset[str]
    handlers: Mapping[str, Callback]
    convert: Callable[[Event], object]
    asked_for: frozenset[str] = frozenset()
    since: str | None = None
    on_resync: Callback | None = None
    on_error: Callback | None = None


class Notice(enum.Enum):
    """What is told between events."""

    RESYNC = "resync"
    ERROR = "error"
    END = "end"


@dataclass(frozen=True, eq=False, slots=True)
class Item:
    """An event, or a notice, that waits to be handed over.

    Attributes:
        event: the event.
        notice, error: the notice; RESYNC without an error tells of the events that were dropped for want of room.
        cursor: where to go on when this has been handed over; None: where the item before said.
    """

    event: RawEvent | None = None
    notice: Notice | None = None
    error: GravityMemoryError | None = None
    cursor: str | None = None


def copy_of(error: E) -> E:
    """The same error, for one more subscription: whoever raises an exception writes into it."""
    copied = copy.copy(error)
    copied.__cause__ = error.__cause__
    return copied
