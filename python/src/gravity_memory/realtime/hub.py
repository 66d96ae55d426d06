"""The one connection that listens for all subscriptions of a client: made, watched, made again, and closed."""

from __future__ import annotations

import asyncio
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
from gravity_memory.realtime.callbacks import CallbackThreads
from gravity_memory.realtime.feed_service import FeedService
from gravity_memory.realtime.items import Request, copy_of
from gravity_memory.realtime.link import Alarm, Link
from gravity_memory.realtime.lobby import Lobby
from gravity_memory.realtime.modes import Mode, ModeChanged, announced
from gravity_memory.realtime.payload_service import PayloadService
from gravity_memory.realtime.pooler import refuse_transaction_pooling
from gravity_memory.realtime.subscription import Subscription
from gravity_memory.statements import Statements, locate

logger = logging.getLogger("gravity_memory")

_CLOSING_SECONDS = 1.0
"""How long a statement may take to end when the hub is closed, and what is told to end a subscription to be told."""


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
        self._lobby = Lobby()
        self._feed = FeedService(config, self._lobby, self._works)
        self._payload = PayloadService(config, self._lobby, self._works)
        # Those that have ended may still be handing over.
        self._made: weakref.WeakSet[Subscription] = weakref.WeakSet()
        self._runner: asyncio.Task[None] | None = None
        self._link: Link | None = None
        self._failures = 0

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
        if self._lobby.is_closing:
            raise GravityMemoryError("the client is closed")
        subscription = Subscription(request, self)
        self._made.add(subscription)
        self._lobby.enter(subscription)
        if self._runner is None:
            self._runner = self.loop.create_task(self._run(), name="gravity-memory-hub")
        self._alarm.set()
        try:
            await subscription.joined
        except asyncio.CancelledError:
            was_closed = subscription.closed
            subscription.close()
            task = asyncio.current_task()
            if was_closed and not (task is not None and task.cancelling()):
                raise GravityMemoryError("the client was closed") from None
            raise
        return subscription

    def left(self, subscription: Subscription) -> None:
        """The subscription wants no more events."""
        self._lobby.leave(subscription)
        self._feed.reader.leave(subscription)
        self._payload.reader.leave(subscription)
        if self._is_empty:
            self._alarm.set()

    def caught_up(self, subscription: Subscription) -> None:
        """The subscription has room again."""
        self._feed.reader.caught_up(subscription)
        self._alarm.set()

    @property
    def _is_empty(self) -> bool:
        return self._lobby.is_empty and self._feed.reader.is_empty and self._payload.reader.is_empty

    def _everybody(self) -> list[Subscription]:
        readers = (self._lobby, self._feed.reader, self._payload.reader)
        return list(dict.fromkeys(subscription for reader in readers for subscription in reader.subscriptions()))

    async def close(self) -> None:
        """End all subscriptions and close the connection. Coroutines that run as callbacks are cancelled.

        What `on_error` is to be told of a subscription that had ended before is told, if that takes no longer than a
        second.
        """
        self._lobby.is_closing = True
        for subscription in list(self._made):
            subscription.close()
            subscription.cancel_callback()
        self._alarm.set()
        runner = self._runner
        if runner is not None and runner is not asyncio.current_task():
            await asyncio.wait({runner}, timeout=_CLOSING_SECONDS)
            if not runner.done() and self._link is not None:
                self._link.sever()
                await asyncio.wait({runner}, timeout=_CLOSING_SECONDS)
            if not runner.done():
                runner.cancel()
            await asyncio.wait({runner}, timeout=_CLOSING_SECONDS)
        await self._finish_telling()
        for subscription in list(self._made):
            subscription.abandon()
        await self._finish_telling()
        self.threads.close()

    async def _finish_telling(self) -> None:
        """Wait for what runs for the subscriptions, as long as closing may take."""
        until = self.loop.time() + _CLOSING_SECONDS
        while (left := until - self.loop.time()) > 0:
            tasks = {task for subscription in list(self._made) for task in subscription.tasks()}
            tasks.discard(asyncio.current_task())
            if not tasks:
                return
            await asyncio.wait(tasks, timeout=left)

    # Connecting -------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        """Serve while there are subscriptions; connect again whatever fails."""
        try:
            while not (self._lobby.is_closing or self._is_empty):
                try:
                    await self._connect_and_serve()
                except ModeChanged:
                    self._uproot("the setting notify was changed")
                except Exception as error:
                    problem = error if isinstance(error, GravityMemoryError) else _in_our_words(error)
                    if isinstance(problem, NotRecorded | ListenUnavailable):
                        self._end_everybody(problem)
                    elif not self._lobby.is_closing:
                        await self._after_failure(problem)
        except asyncio.CancelledError:
            # The loop ends, and nobody has closed us.
            self._lobby.is_closing = True
            for subscription in list(self._made):
                subscription.close()
                subscription.abandon()
            raise
        except BaseException as error:
            logger.exception("reading for the subscriptions has failed")
            problem = GravityMemoryError(f"reading for the subscriptions has failed: {error}")
            problem.__cause__ = error
            self._end_everybody(problem)
        finally:
            self._runner = None
            # Somebody may have come after the last look at who is here.
            if not (self._lobby.is_closing or self._is_empty):
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
            mode, _ = await announced(link, statements)
            pid = await refuse_transaction_pooling(link, self._connector)
            if mode is Mode.PAYLOAD:
                self._refuse_feed_readers()
            service = self._feed if mode is Mode.FEED else self._payload
            for channel in service.channels:
                await link.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
            await service.serve(link, statements, pid)
        finally:
            self._link = None
            await link.close()

    def _works(self) -> None:
        self._failures = 0

    async def _after_failure(self, problem: GravityMemoryError) -> None:
        """Tell those whom it concerns, and wait before the next attempt."""
        self._failures += 1
        logger.debug("the connection that listens has failed %s times: %s", self._failures, problem)
        self._uproot("the connection was lost")
        # What nobody expected is not the fault of those who have just come either.
        may_pass = isinstance(problem, ConnectionLost) or type(problem) is GravityMemoryError
        retries = self._all.retry.attempts
        for subscription in self._everybody():
            if not subscription.joined.done():
                subscription.failures_to_join += 1
                if not may_pass or subscription.failures_to_join > retries:
                    subscription.end(copy_of(problem))
            elif self._failures == max(1, retries):
                subscription.warn(copy_of(problem))
        if self._is_empty:
            return
        until = self.loop.time() + self._all.retry.pause(self._failures)
        while not (self._lobby.is_closing or self._is_empty) and (left := until - self.loop.time()) > 0:
            await self._alarm.wait(left)

    def _uproot(self, what: str) -> None:
        """Payload mode keeps nothing: what was announced until we listen again is lost."""
        for subscription in self._payload.reader.subscriptions():
            self._payload.reader.leave(subscription)
            lost = EventsLost(
                f"{what}; what was announced meanwhile is lost",
                hint="Read the memories; or have changes recorded: SELECT gravity_memory_set('notify', 'wakeup').",
            )
            self._lobby.enter(subscription, lost)

    def _end_everybody(self, error: GravityMemoryError) -> None:
        for subscription in self._everybody():
            subscription.end(copy_of(error))

    def _refuse_feed_readers(self) -> None:
        """The feed was switched off while we were away; going on without it would break what was promised."""
        for subscription in self._feed.reader.subscriptions():
            subscription.end(
                NotRecorded(
                    "the feed of changes was switched off",
                    hint="Run SELECT gravity_memory_set('notify', 'wakeup'), and subscribe again.",
                )
            )

    def _on_notify(self, notification: psycopg.Notify) -> None:
        self._feed.receive(notification)
        self._payload.receive(notification)


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


def _in_our_words(error: Exception) -> GravityMemoryError:
    if isinstance(error, psycopg.Error) and not is_connection_error(error):
        problem = translated(error)
    elif isinstance(error, psycopg.Error | OSError):
        problem = ConnectionLost(str(error) or type(error).__name__, sqlstate=getattr(error, "sqlstate", None))
    else:
        logger.error("reading for the subscriptions has failed, and is tried again", exc_info=error)
        problem = GravityMemoryError(f"reading for the subscriptions has failed: {error!r}")
    problem.__cause__ = error
    return problem
