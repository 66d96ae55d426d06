"""Who is to be read for, and is not yet."""

from __future__ import annotations

from typing import Protocol

from gravity_memory.errors import EventsLost, GravityMemoryError
from gravity_memory.realtime.subscription import Subscription


class Examiner(Protocol):
    """What knows which users the database can hold: the connection that listens."""

    async def problem_with(self, user_id: str) -> GravityMemoryError | None:
        """What keeps a user's id out of every statement, or None."""
        ...


class Lobby:
    """Subscriptions that wait to be let in by what serves the connection.

    Attributes:
        is_closing: nobody is to be served any more.
    """

    def __init__(self) -> None:
        self.is_closing = False
        self._newcomers: dict[Subscription, None] = {}
        # Who was subscribed in payload mode when the connection broke, or the mode changed, and what that one missed.
        self._uprooted: dict[Subscription, EventsLost] = {}

    @property
    def is_empty(self) -> bool:
        """Nobody waits."""
        return not (self._newcomers or self._uprooted)

    @property
    def has_newcomers(self) -> bool:
        """Somebody has just subscribed."""
        return bool(self._newcomers)

    def subscriptions(self) -> list[Subscription]:
        """Everybody."""
        return [*self._newcomers, *self._uprooted]

    def enter(self, subscription: Subscription, lost: EventsLost | None = None) -> None:
        """Have a subscription wait. lost: what it missed, when it was let in before."""
        if lost is None:
            self._newcomers[subscription] = None
        else:
            self._uprooted[subscription] = lost

    def leave(self, subscription: Subscription) -> None:
        """Forget a subscription."""
        self._newcomers.pop(subscription, None)
        self._uprooted.pop(subscription, None)

    async def let_in(self, link: Examiner) -> list[tuple[Subscription, EventsLost | None]]:
        """Everybody who waits now, and what they missed; they wait no more.

        Users whose id the database cannot hold are ended: every statement that names them would fail, for all others
        that it reads for, too.

        Raises:
            ConnectionLost, psycopg.Error: all go on waiting.
        """
        # Others may come while this waits: they have not been looked at, and are let in the next time.
        examined = list(self._newcomers)
        for subscription in examined:
            if (problem := await link.problem_with(subscription.user_id)) is not None:
                subscription.end(problem)
        entering: list[tuple[Subscription, EventsLost | None]] = [
            (subscription, None) for subscription in examined if subscription in self._newcomers
        ]
        for subscription, _ in entering:
            del self._newcomers[subscription]
        entering += self._uprooted.items()
        self._uprooted.clear()
        return entering
