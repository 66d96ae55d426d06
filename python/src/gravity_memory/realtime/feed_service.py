"""Feed mode: look, hand over, and wait for a reason to look again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import psycopg
from psycopg import sql

from gravity_memory.config import Config
from gravity_memory.realtime.feed import FeedReader, Look
from gravity_memory.realtime.link import Link
from gravity_memory.realtime.lobby import Lobby
from gravity_memory.statements import Statements

_FIRST_REPOLL = 0.002
"""How soon to look again while transactions are open; doubled with each look that finds nothing."""


class FeedService:
    """Serves subscriptions from the feed of changes, over one connection at a time.

    Args:
        config: times.
        lobby: who is to be let in.
        works: called when the connection has proved to work.

    Attributes:
        channels: what to listen to.
        reader: where everybody stands.
    """

    channels = ("memory_changes",)

    def __init__(self, config: Config, lobby: Lobby, works: Callable[[], None]) -> None:
        self.reader = FeedReader(config.realtime)
        self._config = config.realtime
        self._idle = config.pool.idle
        self._lobby = lobby
        self._works = works
        self._notified = False

    def receive(self, _: psycopg.Notify) -> None:
        """Something was announced: look once more."""
        self._notified = True

    async def serve(self, link: Link, statements: Statements, pid: int) -> None:
        """Read for everybody, until nobody is here. pid: the server's process id.

        Raises:
            ConnectionLost, ListenUnavailable, psycopg.Error: it is over with this connection.
        """
        repoll = _FIRST_REPOLL
        while not self._lobby.is_closing:
            for subscription, lost in await self._lobby.let_in(link):
                self.reader.enter(subscription, lost)
            if not self.reader.has_work:
                if not await self._has_work_soon(link):
                    return
                continue
            # What has arrived by now this look answers; what arrives during it asks for another one.
            link.hear()
            link.alarm.clear()
            self._notified = False
            look = await self.reader.look(link, statements, pid)
            ended = asyncio.get_running_loop().time()
            self._works()
            if look.events or not look.is_open:
                repoll = _FIRST_REPOLL
            if await self._rest(link, look, repoll):
                repoll = _FIRST_REPOLL
            elif not look.again:
                repoll = min(repoll * 2, self._config.fallback_poll)
            # Whoever subscribes is not kept waiting.
            pause = ended + self._config.shortest_pause - asyncio.get_running_loop().time()
            if pause > 0 and not self._lobby.has_newcomers:
                await asyncio.sleep(pause)

    async def _rest(self, link: Link, look: Look, repoll: float) -> bool:
        """Wait until there is reason to look again; whether something woke us."""
        if self._notified or self._lobby.has_newcomers:
            return True
        if look.again:
            return False
        return await link.wait(repoll if look.is_open else self._config.fallback_poll)

    async def _has_work_soon(self, link: Link) -> bool:
        """Wait for subscriptions to read for; False: there are none, and have been none for a while."""
        if not self.reader.is_empty:
            # All have fallen behind. A look would have been the heartbeat.
            if not await link.wait(self._config.heartbeat):
                await link.execute(sql.SQL("SELECT 1"))
            return True
        loop = asyncio.get_running_loop()
        until = loop.time() + self._idle
        while self._lobby.is_empty and not self._lobby.is_closing and (left := until - loop.time()) > 0:
            await link.wait(left)
        return not self._lobby.is_empty
