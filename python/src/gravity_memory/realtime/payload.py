"""Payload mode: notifications carry their data, and nothing is kept. What nobody heard is lost."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg

from gravity_memory.errors import EventsLost, NotRecorded
from gravity_memory.models import PAYLOAD_EVENTS
from gravity_memory.raw_events import RawEvent
from gravity_memory.realtime.items import copy_of
from gravity_memory.realtime.subscription import Subscription

logger = logging.getLogger("gravity_memory")

_LONG_USER = 5_000
"""From how many bytes of JSON on a user's id may have been left out of a payload, which holds 8,000."""


class PayloadReader:
    """Who listens for which user, and what arrives for them."""

    def __init__(self) -> None:
        self._members: dict[str, dict[Subscription, None]] = {}

    @property
    def is_empty(self) -> bool:
        """Nobody listens."""
        return not self._members

    def subscriptions(self) -> list[Subscription]:
        """Everybody."""
        return [subscription for ours in self._members.values() for subscription in ours]

    def enter(self, subscription: Subscription) -> None:
        """Take in who has subscribed, from now on.

        It is refused, with NotRecorded, when it asks for what this mode does not have.
        """
        if (problem := _unserved(subscription)) is not None:
            subscription.end(problem)
            return
        self._members.setdefault(subscription.user_id, {})[subscription] = None
        if not subscription.joined.done():
            subscription.joined.set_result(None)

    def leave(self, subscription: Subscription) -> None:
        """Forget a subscription."""
        ours = self._members.get(subscription.user_id, {})
        ours.pop(subscription, None)
        if not ours:
            self._members.pop(subscription.user_id, None)

    def receive(self, notification: psycopg.Notify) -> None:
        """Hand a notification to the subscribers of its user."""
        if notification.channel not in PAYLOAD_EVENTS:
            return
        try:
            payload = json.loads(notification.payload)
        except (ValueError, RecursionError):
            payload = None
        # Anyone who may connect may send anything on these channels.
        if not isinstance(payload, dict):
            logger.warning("not the extension's, on %s: %.200r", notification.channel, notification.payload)
            return
        user_id = payload.get("user_id")
        if user_id is None:
            self._tell_long_users()
            return
        wanting = [one for one in self._members.get(str(user_id), ()) if one.wants(notification.channel)]
        if not wanting:
            return
        if "id" not in payload:
            self._tell_bulk(wanting, notification.channel, payload)
            return
        try:
            subject = UUID(str(payload["id"]))
        except ValueError:
            logger.warning("a notification on %s has no id: %.200r", notification.channel, payload)
            return
        event = RawEvent(notification.channel, str(user_id), subject, notification.payload, datetime.now(UTC))
        for subscription in wanting:
            subscription.make_room()
            subscription.offer(event, base=None)

    def _tell_bulk(self, subscriptions: list[Subscription], channel: str, payload: dict[str, Any]) -> None:
        count = payload.get("count")
        problem = EventsLost(
            f"one statement wrote {count} rows of the user, which were announced as a whole ({channel})",
            hint="Read them; or raise the setting notify_bulk_rows; or have changes recorded: "
            "SELECT gravity_memory_set('notify', 'wakeup').",
        )
        problem.count = count if isinstance(count, int) else None
        for subscription in subscriptions:
            subscription.resync(copy_of(problem), None)

    def _tell_long_users(self) -> None:
        """A payload without its user may be any of those whose id does not fit into one."""
        problem = EventsLost("an event came without its user, whose id is too long for a notification")
        for subscription in self.subscriptions():
            if len(json.dumps(subscription.user_id)) >= _LONG_USER:
                subscription.resync(copy_of(problem), None)


def _unserved(subscription: Subscription) -> NotRecorded | None:
    """What the subscription asks for and notifications with data do not have."""
    request = subscription.request
    missing = sorted(request.asked_for - set(PAYLOAD_EVENTS))
    if missing:
        what = f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} announced by the feed of changes only"
    elif request.since is not None:
        what = "a cursor can be resumed from while the feed of changes is on only"
    else:
        return None
    return NotRecorded(
        what, hint="Run SELECT gravity_memory_set('notify', 'wakeup'), or gravity_memory_set('feed', 'on')."
    )
