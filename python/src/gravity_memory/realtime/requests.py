"""What each kind of subscription asks for."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from gravity_memory.errors import EventsLost, InvalidInput
from gravity_memory.models import ALL_EVENTS, ARC_EVENTS, MEMORY_EVENTS, Arc, Event, Memory
from gravity_memory.realtime.callbacks import Callback
from gravity_memory.realtime.items import Request
from gravity_memory.statements import checked_user

OnMemory: TypeAlias = Callable[[Memory], object] | None
OnArc: TypeAlias = Callable[[Arc], object] | None
OnEvent: TypeAlias = Callable[[Event], object] | None
OnResync: TypeAlias = Callable[[EventsLost], object] | None
OnError: TypeAlias = Callable[[Exception], object] | None


def memory_request(
    user_id: str, handlers: Sequence[OnMemory], since: str | None, on_resync: OnResync, on_error: OnError
) -> Request:
    """Memories: handlers for created, updated and deleted ones."""
    named = dict(zip(MEMORY_EVENTS, handlers, strict=True))
    return _request(user_id, named, MEMORY_EVENTS, lambda event: event.memory, since, on_resync, on_error)


def arc_request(
    user_id: str, handlers: Sequence[OnArc], since: str | None, on_resync: OnResync, on_error: OnError
) -> Request:
    """Arcs: handlers for created, updated and deleted ones."""
    named = dict(zip(ARC_EVENTS, handlers, strict=True))
    return _request(user_id, named, ARC_EVENTS, lambda event: event.arc, since, on_resync, on_error)


def broadcast_request(
    user_id: str,
    on_event: OnEvent,
    events: Sequence[str],
    since: str | None,
    on_resync: OnResync,
    on_error: OnError,
) -> Request:
    """Events of some kinds, as they are."""
    unknown = sorted(set(map(str, events)) - set(ALL_EVENTS)) if not isinstance(events, str) else [events]
    if unknown or not events:
        raise InvalidInput(
            f"events must be a list of kinds of events, not {', '.join(unknown) or 'empty'}",
            hint=f"There are {', '.join(ALL_EVENTS)}.",
        )
    named = dict.fromkeys(events, on_event)
    request = _request(user_id, named, events, lambda event: event, since, on_resync, on_error)
    return dataclasses.replace(request, asked_for=frozenset(events))


def _request(
    user_id: str,
    handlers: Mapping[str, Callback | None],
    kinds: Sequence[str],
    convert: Callable[[Event], object],
    since: str | None,
    on_resync: OnResync,
    on_error: OnError,
) -> Request:
    """A request for the kinds that have a handler; without any, for all kinds, to be iterated over.

    Raises:
        InvalidInput: the user, the cursor or a callback is none.
    """
    given = {kind: handler for kind, handler in handlers.items() if handler is not None}
    for callback in (*given.values(), on_resync, on_error):
        if callback is not None and not callable(callback):
            raise InvalidInput(f"a callback must be a function, not {type(callback).__name__}")
    if since is not None and (not isinstance(since, str) or "\x00" in since or not since.isascii()):
        raise InvalidInput("since must be a cursor of the feed, a text")
    return Request(
        user_id=checked_user(user_id),
        kinds=frozenset(given or kinds),
        handlers=given,
        convert=convert,
        asked_for=frozenset(given),
        since=since,
        on_resync=on_resync,
        on_error=on_error,
    )
