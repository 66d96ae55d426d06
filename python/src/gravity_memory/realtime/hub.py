"""The one connection that listens for all subscriptions of a client: made, watched, made again, and closed."""

from __future__ import annotations

import asyncio
import contextlib
import enum
import logging
import weakref

import psycopg
from psycopg import sql

from gravity_memory.config import Config, RealtimeConfig
from gravity_memory.connections import Connector
from gravity_memory.errors import (
    ConnectionLost,
    EventsLost,
    GravityMemoryError,
    ListenUnavailable,
    NotRecorded,
    is_connection_error,
    translated,
)
from gravity_memory.models import PAYLOAD_EVENTS
from gravity_memory.realtime.callbacks import CallbackThreads
from gravity_memory.realtime.feed import FeedReader, Look
from gravity_memory.realtime.link import Alarm, Link
from gravity_memory.realtime.payload import PayloadReader
from gravity_memory.realtime.pooler import refuse_transaction_pooling, unavailable
from gravity_memory.realtime.subscription import Request, Subscription
from gravity_memory.statements import Statements, locate

logger = logging.getLogger("gravity_memory")

_FIRST_REPOLL = 0.002
"""How soon to look again while transactions are open; doubled with each look that finds nothing."""
_CLOSING_SECONDS = 1.0
"""How long a statement may take to end when the hub is closed."""
_FEED_CHANNEL = "memory_changes"


class _Mode(enum.Enum):
    """What the database announces."""

    FEED = "feed"
    PAYLOAD = "payload"


class _ModeChanged(Exception):  # noqa: N818 - no error: a reason to connect anew
    """The settings are not those that the connection began with."""


class Hub:
    """Reads for all subscriptions of a client, on one event loop, while there are any.

    Args:
        connector: makes the connection.
        config: times, rate, backlog.
        schema: where the extension is; None: looked up.
    """

    def __init__(self, connector: Connector, config: Config, schema: str | None) -> None:
        self._connector = connector
        self._all = config
        self._schema = schema
        self.loop = asyncio.get_running_loop()
        self.threads = CallbackThreads(config.realtime.callback_threads)
        self._alarm = Alarm()
        self._feed = FeedReader(config.realtime)
        self._payload = PayloadReader()
        # Those that have ended may still be handing over.
        self._made: weakref.WeakSet[Subscription] = weakref.WeakSet()
        self._newcomers: dict[Subscription, None] = {}
        # Who was subscribed in payload mode when the connection broke, or the mode changed.
        self._uprooted: dict[Subscription, EventsLost] = {}
        self._runner: asyncio.Task[None] | None = None
        self._link: Link | None = None
        self._failures = 0
        self._is_closing = False
        self._notified = False

    @property
    def config(self) -> RealtimeConfig:
        """Rate and backlog, for the subscriptions."""
        return self._all.realtime

    # Subscribing ------------------------------------------------------------------------------------------------

    async def subscribe(self, request: Request) -> Subscription:
        """Make a subscription, and return when it is live: all that is committed from then on will be handed over.

        Raises:
            GravityMemoryError: it cannot be.
        """
        if self._is_closing:
            raise GravityMemoryError("the client is closed")
        subscription = Subscription(request, self)
        self._made.add(subscription)
        self._newcomers[subscription] = None
        if self._runner is None:
            self._runner = self.loop.create_task(self._run(), name="gravity-memory-hub")
        self._alarm.set()
        try:
            await subscription.joined
        except asyncio.CancelledError:
            was_closed = subscription.closed
            subscription.close()
            if was_closed:
                raise GravityMemoryError("the client was closed") from None
            raise
        return subscription

    def left(self, subscription: Subscription) -> None:
        """The subscription wants no more events."""
        self._newcomers.pop(subscription, None)
        self._uprooted.pop(subscription, None)
        self._feed.leave(subscription)
        self._payload.leave(subscription)
        if self._is_empty:
            self._alarm.set()

    def caught_up(self, subscription: Subscription) -> None:
        """The subscription has room again."""
        self._feed.caught_up(subscription)
        self._alarm.set()

    @property
    def _is_empty(self) -> bool:
        return not (self._newcomers or self._uprooted) and self._feed.is_empty and self._payload.is_empty

    def _everybody(self) -> list[Subscription]:
        found = [*self._newcomers, *self._uprooted, *self._feed.subscriptions(), *self._payload.subscriptions()]
        return list(dict.fromkeys(found))

    async def close(self) -> None:
        """End all subscriptions and close the connection. Coroutines that run as callbacks are cancelled."""
        self._is_closing = True
        callbacks = []
        for subscription in list(self._made):
            subscription.close()
            if (task := subscription.cancel_callback()) is not None:
                callbacks.append(task)
        self.threads.close()
        self._alarm.set()
        runner = self._runner
        if runner is not None and runner is not asyncio.current_task():
            await asyncio.wait({runner}, timeout=_CLOSING_SECONDS)
            if not runner.done() and self._link is not None:
                self._link.sever()
                await asyncio.wait({runner}, timeout=_CLOSING_SECONDS)
            if not runner.done():
                runner.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await runner
        if callbacks:
            await asyncio.wait(callbacks, timeout=_CLOSING_SECONDS)

    # Connecting -------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Serve while there are subscriptions; connect again whenever the connection breaks."""
        try:
            while not (self._is_closing or self._is_empty):
                try:
                    await self._connect_and_serve()
                except _ModeChanged:
                    self._uproot("the setting notify was changed")
                except (GravityMemoryError, psycopg.Error, OSError, TimeoutError) as error:
                    problem = error if isinstance(error, GravityMemoryError) else _in_our_words(error)
                    if isinstance(problem, NotRecorded | ListenUnavailable):
                        self._end_everybody(problem)
                    elif not self._is_closing:
                        await self._after_failure(problem)
        except asyncio.CancelledError:
            # The loop ends, and nobody has closed us.
            self._is_closing = True
            raise
        except BaseException as error:
            logger.exception("reading for the subscriptions has failed")
            problem = GravityMemoryError(f"reading for the subscriptions has failed: {error}")
            problem.__cause__ = error
            self._end_everybody(problem)
        finally:
            self._runner = None
            # Somebody may have come after the last look at who is here.
            if not (self._is_closing or self._is_empty):
                self._runner = self.loop.create_task(self._run(), name="gravity-memory-hub")

    async def _connect_and_serve(self) -> None:
        try:
            async with asyncio.timeout(self.config.timeout):
                connection = await self._connector.connect()
        except TimeoutError as error:
            raise ConnectionLost(f"no connection within {self.config.timeout:g} s") from error
        link = self._link = Link(connection, self.config.timeout, self._alarm, self._on_notify)
        try:
            statements = Statements(self._schema or await _located(link))
            mode, pid = await self._announced(link, statements)
            pid = await refuse_transaction_pooling(link, self._connector)
            if mode is _Mode.FEED:
                await link.execute(_listen(_FEED_CHANNEL))
                await self._serve_feed(link, statements, pid)
            else:
                for channel in PAYLOAD_EVENTS:
                    await link.execute(_listen(channel))
                await self._serve_payload(link, statements, pid)
        finally:
            self._link = None
            await link.close()

    async def _announced(self, link: Link, statements: Statements) -> tuple[_Mode, int]:
        """What the database announces, and the server's process id.

        Raises:
            NotRecorded: nothing.
        """
        rows = await link.execute(statements.announcements)
        settings = {row[0]: row[1] for row in rows}
        pid = int(rows[0][2])
        if settings.get("notify") == "wakeup" or settings.get("feed") == "on":
            return _Mode.FEED, pid
        if settings.get("notify") == "payload":
            return _Mode.PAYLOAD, pid
        raise NotRecorded(
            "the database announces nothing: the setting notify is off",
            hint="Run SELECT gravity_memory_set('notify', 'wakeup').",
        )

    async def _after_failure(self, problem: GravityMemoryError) -> None:
        """Tell those whom it concerns, and wait before the next attempt."""
        self._failures += 1
        logger.debug("the connection that listens has failed %s times: %s", self._failures, problem)
        self._uproot("the connection was lost")
        may_pass = isinstance(problem, ConnectionLost)
        retries = self._all.retry.attempts
        for subscription in self._everybody():
            if not subscription.joined.done():
                subscription.failures_to_join += 1
                if not may_pass or subscription.failures_to_join > retries:
                    subscription.end(problem)
            elif self._failures == max(1, retries):
                subscription.warn(problem)
        if self._is_empty:
            return
        until = self.loop.time() + self._all.retry.pause(self._failures)
        while not (self._is_closing or self._is_empty) and (left := until - self.loop.time()) > 0:
            await self._alarm.wait(left)

    def _uproot(self, what: str) -> None:
        """Payload mode keeps nothing: what was announced until we listen again is lost."""
        for subscription in self._payload.subscriptions():
            self._payload.leave(subscription)
            self._uprooted[subscription] = EventsLost(
                f"{what}; what was announced meanwhile is lost",
                hint="Read the memories; or have changes recorded: SELECT gravity_memory_set('notify', 'wakeup').",
            )

    def _end_everybody(self, error: GravityMemoryError) -> None:
        for subscription in self._everybody():
            subscription.end(error)

    def _on_notify(self, notification: psycopg.Notify) -> None:
        self._notified = True
        self._payload.receive(notification)

    # Feed mode --------------------------------------------------------------------------------------------------

    async def _serve_feed(self, link: Link, statements: Statements, pid: int) -> None:
        """Look, hand over, wait; until nobody is here."""
        repoll = _FIRST_REPOLL
        while not self._is_closing:
            self._let_in_to_feed()
            if not self._feed.has_work:
                if not await self._has_work_soon(link):
                    return
                continue
            # What has arrived by now this look answers; what arrives during it asks for another one.
            link.hear()
            self._alarm.clear()
            self._notified = False
            look = await self._feed.look(link, statements, pid)
            ended = self.loop.time()
            self._failures = 0
            if look.events or not look.is_open:
                repoll = _FIRST_REPOLL
            if await self._rest(link, look, repoll):
                repoll = _FIRST_REPOLL
            elif not look.again:
                repoll = min(repoll * 2, self.config.fallback_poll)
            # Whoever subscribes is not kept waiting.
            pause = ended + self.config.shortest_pause - self.loop.time()
            if pause > 0 and not self._newcomers:
                await asyncio.sleep(pause)

    async def _rest(self, link: Link, look: Look, repoll: float) -> bool:
        """Wait until there is reason to look again; whether something woke us."""
        if self._notified or self._newcomers:
            return True
        if look.again:
            return False
        return await link.wait(repoll if look.is_open else self.config.fallback_poll)

    def _let_in_to_feed(self) -> None:
        for subscription in list(self._newcomers):
            del self._newcomers[subscription]
            self._feed.enter(subscription)
        for subscription, lost in list(self._uprooted.items()):
            del self._uprooted[subscription]
            self._feed.enter(subscription, lost)

    async def _has_work_soon(self, link: Link) -> bool:
        """Wait for subscriptions to read for; False: there are none, and have been none for a while."""
        if not self._feed.is_empty:
            # All have fallen behind. A look would have been the heartbeat.
            if not await link.wait(self.config.heartbeat):
                await link.execute(sql.SQL("SELECT 1"))
            return True
        until = self.loop.time() + self._all.pool.idle
        while self._is_empty and not self._is_closing and (left := until - self.loop.time()) > 0:
            await link.wait(left)
        return not self._is_empty

    # Payload mode -----------------------------------------------------------------------------------------------

    async def _serve_payload(self, link: Link, statements: Statements, pid: int) -> None:
        """Hand over what arrives; until nobody is here."""
        self._refuse_feed_readers()
        beat = self.loop.time() + self.config.heartbeat
        until = None
        while not self._is_closing:
            self._failures = 0
            for subscription in list(self._newcomers):
                del self._newcomers[subscription]
                self._payload.enter(subscription)
            for subscription, lost in list(self._uprooted.items()):
                del self._uprooted[subscription]
                subscription.resync(lost, None)
                self._payload.enter(subscription)
            now = self.loop.time()
            if self._is_empty:
                until = until or now + self._all.pool.idle
                if now >= until:
                    return
            else:
                until = None
            if now >= beat:
                await self._heartbeat(link, statements, pid)
                beat = self.loop.time() + self.config.heartbeat
                continue
            await link.wait(min(beat, until or beat) - now)

    async def _heartbeat(self, link: Link, statements: Statements, pid: int) -> None:
        """Ask the server whether it is there, and whether it still announces what it did.

        Raises:
            ListenUnavailable: the server's side of the connection is another one.
            NotRecorded: it announces nothing any more.
        """
        mode, pid_now = await self._announced(link, statements)
        if pid_now != pid:
            raise unavailable()
        if mode is not _Mode.PAYLOAD:
            raise _ModeChanged

    def _refuse_feed_readers(self) -> None:
        """The feed was switched off while we were away; going on without it would break what was promised."""
        for subscription in self._feed.subscriptions():
            subscription.end(
                NotRecorded(
                    "the feed of changes was switched off",
                    hint="Run SELECT gravity_memory_set('notify', 'wakeup'), and subscribe again.",
                )
            )


def _listen(channel: str) -> sql.Composed:
    return sql.SQL("LISTEN {}").format(sql.Identifier(channel))


async def _located(link: Link) -> str:
    """The schema of the extension.

    Raises:
        NotInstalled: it is not in this database.
    """
    plan = locate()
    command = next(plan)
    try:
        plan.send(await link.execute(command.query))  # type: ignore[union-attr,unused-ignore]
    except StopIteration as found:
        return str(found.value)
    raise AssertionError("locating the extension takes one statement")


def _in_our_words(error: BaseException) -> GravityMemoryError:
    if isinstance(error, psycopg.Error) and not is_connection_error(error):
        problem = translated(error)
    else:
        problem = ConnectionLost(str(error) or type(error).__name__, sqlstate=getattr(error, "sqlstate", None))
    problem.__cause__ = error
    return problem
