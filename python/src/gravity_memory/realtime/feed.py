"""Feed mode: the table of events is read for all subscribers at once, from where each of them stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import psycopg
from psycopg import sql

from gravity_memory.config import RealtimeConfig
from gravity_memory.errors import EventsLost, FeedExpired, GravityMemoryError, InvalidInput, translated
from gravity_memory.raw_events import RawEvent
from gravity_memory.realtime.items import copy_of
from gravity_memory.realtime.pooler import unavailable
from gravity_memory.realtime.subscription import Subscription
from gravity_memory.statements import Row, Statements, array_text

_GROUPS_PER_LOOK = 20
"""The group that follows the feed must not wait for a thousand that catch up."""

# Columns of the look behind those of the event.
_CURSOR, _HAS_MORE, _IS_OPEN, _PID = 5, 6, 7, 8

_INVALID_CURSOR = "22023"
"""The one error of bad input that is about the place of a group."""


class Executes(Protocol):
    """What runs statements on the connection that listens."""

    @property
    def has_encoding(self) -> bool:
        """The database knows which letters its texts consist of."""
        ...

    async def execute(self, query: sql.SQL | sql.Composed, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run a statement and return its rows."""
        ...


@dataclass(eq=False)
class Group:
    """Subscriptions that stand at one place of the feed and are read for together.

    Attributes:
        cursor: the place.
        is_whole: a look from there sees the feed as it is then. Between two pages it sees the feed as it was when the
            first page was read.
        members: by user, in the order of arrival.
        arrivals: members whose first look is still to come.
    """

    cursor: str
    is_whole: bool
    members: dict[str, dict[Subscription, None]] = field(default_factory=dict)
    arrivals: list[Subscription] = field(default_factory=list)
    _users: str | None = None

    def add(self, subscription: Subscription) -> None:
        """Take a subscription in."""
        if subscription.user_id not in self.members:
            self.members[subscription.user_id] = {}
            self._users = None
        self.members[subscription.user_id][subscription] = None
        subscription.place = self

    def discard(self, subscription: Subscription) -> None:
        """Let a subscription go, if it is here."""
        ours = self.members.get(subscription.user_id, {})
        ours.pop(subscription, None)
        if not ours and self.members.pop(subscription.user_id, None) is not None:
            self._users = None

    @property
    def users(self) -> str:
        """The users, as text of an array; kept, because a thousand of them are asked for hundreds of times a second."""
        if self._users is None:
            self._users = array_text(self.members)
        return self._users

    @property
    def only_member(self) -> Subscription | None:
        """The subscription, if there is only one."""
        if len(self.members) == 1:
            (ours,) = self.members.values()
            if len(ours) == 1:
                (only,) = ours
                return only
        return None

    def subscriptions(self) -> list[Subscription]:
        """All members."""
        return [subscription for ours in self.members.values() for subscription in ours]


@dataclass
class Look:
    """What a look found.

    Attributes:
        events: how many events.
        again: there is more to be read at once.
        is_open: transactions are under way that may have written more.
    """

    events: int = 0
    again: bool = False
    is_open: bool = False


def is_whole(cursor: str) -> bool:
    """Whether a cursor of the first format stands between two looks, and not between two pages of one.

    Of a format that we do not know we assume the latter, which costs one look more.
    """
    return cursor.startswith("1/") and cursor.count("/") == 4


class FeedReader:
    """Where all subscriptions stand in the feed, and the looks that move them on.

    Those that stand at one place form a group, for which one statement reads. Several groups are read in one snapshot,
    so that those that were read to the end stand at one place, and become one group. Whoever falls behind leaves its
    group, and comes back when it has caught up.
    """

    def __init__(self, config: RealtimeConfig) -> None:
        self._config = config
        self._groups: list[Group] = []
        # Who has no place yet, and why it lost the one it had.
        self._homeless: dict[Subscription, EventsLost | None] = {}
        self._behind: dict[Subscription, Group] = {}

    # Who is here ------------------------------------------------------------------------------------------------

    @property
    def is_empty(self) -> bool:
        """Nobody is to be read for."""
        return not (self._groups or self._homeless or self._behind)

    @property
    def has_work(self) -> bool:
        """A look would read something."""
        return bool(self._groups or self._homeless)

    def subscriptions(self) -> list[Subscription]:
        """Everybody."""
        return [
            *(subscription for group in self._groups for subscription in group.subscriptions()),
            *self._homeless,
            *self._behind,
        ]

    def enter(self, subscription: Subscription, lost: EventsLost | None = None) -> None:
        """Take in who has subscribed. lost: what it missed, when it was subscribed before."""
        since = subscription.request.since
        if since is None or lost is not None:
            self._homeless[subscription] = lost
            return
        for group in self._groups:
            # Only with others who have just arrived: whoever is being read for may be ahead before the next look.
            if group.cursor == since and len(group.arrivals) == sum(map(len, group.members.values())):
                break
        else:
            group = Group(since, is_whole(since))
            self._groups.append(group)
        group.add(subscription)
        group.arrivals.append(subscription)

    def leave(self, subscription: Subscription) -> None:
        """Forget a subscription."""
        self._homeless.pop(subscription, None)
        self._behind.pop(subscription, None)
        for group in self._groups:
            group.discard(subscription)
        self._groups = [group for group in self._groups if group.members]

    def caught_up(self, subscription: Subscription) -> None:
        """Read again for a subscription that had fallen behind."""
        group = self._behind.pop(subscription, None)
        if group is not None:
            self._groups.append(group)

    # Looking ----------------------------------------------------------------------------------------------------

    async def look(self, link: Executes, statements: Statements, pid: int) -> Look:
        """Read for everybody, and hand over what there is.

        Raises:
            ListenUnavailable: the server's side of the connection is not the one with this process id any more.
            psycopg.Error, ConnectionLost: the look failed; nobody has moved on past what it was given.
        """
        look = Look()
        # Who comes later must wait for a later snapshot.
        homeless = dict(self._homeless)
        due = self._due()
        look.again = len(due) < len(self._groups)
        standing: list[Group] = []
        if len(due) > 1:
            await link.execute(sql.SQL("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"))
        for group in due:
            was_whole = group.is_whole
            try:
                rows = await self._read(link, statements, group)
            except psycopg.Error as error:
                if not self._fail(group, translated(error), error):
                    raise
                look.again = True
                # What failed has ended the snapshot, too.
                break
            last = rows[-1]
            if last[_PID] != pid:
                raise unavailable()
            self._hand_over(group, rows)
            look.events += len(rows) - 1
            look.is_open = look.is_open or last[_IS_OPEN]
            if group.is_whole and was_whole:
                standing.append(group)
            else:
                look.again = True
        if len(due) > 1:
            await link.execute(sql.SQL("COMMIT"))
        self._groups = [group for group in self._groups if group.members]
        self._merge([group for group in standing if group in self._groups])
        if homeless:
            await self._settle(link, statements, homeless, standing)
        return look

    def _due(self) -> list[Group]:
        """The groups to read for now: the largest, and the others by turns."""
        largest = max(self._groups, key=lambda group: len(group.members), default=None)
        others = [group for group in self._groups if group is not largest]
        due = others[: _GROUPS_PER_LOOK - 1]
        if largest is None:
            return due
        self._groups = [largest, *others[len(due) :], *due]
        return [largest, *due]

    async def _read(self, link: Executes, statements: Statements, group: Group) -> list[Row]:
        limit = self._config.page_size
        if (only := group.only_member) is not None:
            limit = min(limit, max(1, only.room))
        look = statements.look if link.has_encoding else statements.look_for_bytes
        return await link.execute(look, [group.users, group.cursor, limit])

    def _hand_over(self, group: Group, rows: Sequence[Row]) -> None:
        """Queue the events for their subscribers, and move the group on."""
        base = position = group.cursor
        is_at_base = True
        for subscription in group.arrivals:
            _has_joined(subscription)
        group.arrivals.clear()
        for row in rows[:-1]:
            wanting = [one for one in group.members.get(row[0], ()) if one.wants(row[1])]
            if wanting:
                event = RawEvent.from_row(row)
                for subscription in wanting:
                    if subscription.room == 0:
                        self._fall_behind(subscription, Group(position, group.is_whole and is_at_base))
                    else:
                        subscription.offer(event, base=base)
            position, is_at_base = row[_CURSOR], False
        group.cursor = rows[-1][_CURSOR]
        group.is_whole = not rows[-1][_HAS_MORE]

    def _fall_behind(self, subscription: Subscription, group: Group) -> None:
        for other in self._groups:
            other.discard(subscription)
        group.add(subscription)
        self._behind[subscription] = group
        subscription.wait_for_room()

    def _merge(self, standing: list[Group]) -> None:
        """Make one group of those that stand at the same snapshot."""
        if len(standing) < 2:
            return
        largest = max(standing, key=lambda group: len(group.members))
        for group in standing:
            if group is not largest:
                for subscription in group.subscriptions():
                    largest.add(subscription)
                self._forget(group)

    async def _settle(
        self,
        link: Executes,
        statements: Statements,
        homeless: dict[Subscription, EventsLost | None],
        standing: list[Group],
    ) -> None:
        """Give a place to those without one: the one that this look ended at, or else the end of the feed."""
        home = next((group for group in standing if group in self._groups), None)
        if home is None:
            rows = await link.execute(sql.SQL("SELECT {}()").format(statements.named("memory_changes_head")))
            home = Group(rows[0][0], is_whole=True)
        for subscription, lost in homeless.items():
            # It may have left meanwhile.
            if subscription not in self._homeless:
                continue
            del self._homeless[subscription]
            if lost is not None:
                subscription.resync(lost, home.cursor)
            home.add(subscription)
            _has_joined(subscription)
        if home.members and home not in self._groups:
            self._groups.append(home)

    def _fail(self, group: Group, error: GravityMemoryError, cause: BaseException) -> bool:
        """Part with a group whose place in the feed is gone, or was none; False: that is not what the error says.

        All of it is affected: its members share the place. Those who have left during the look are no members any more,
        nor need the group be among ours.
        """
        is_expired = isinstance(error, FeedExpired)
        if not is_expired and not (isinstance(error, InvalidInput) and error.sqlstate == _INVALID_CURSOR):
            return False
        error.__cause__ = cause
        self._forget(group)
        for subscription in group.subscriptions():
            problem = copy_of(error)
            if isinstance(problem, FeedExpired) and subscription.request.on_resync is not None:
                subscription.lose_place()
                self._homeless[subscription] = problem
            else:
                subscription.end(problem)
        return True

    def _forget(self, group: Group) -> None:
        self._groups = [other for other in self._groups if other is not group]


def _has_joined(subscription: Subscription) -> None:
    if not subscription.joined.done():
        subscription.joined.set_result(None)
