"""Payload mode: hand over what arrives, and ask the server now and then whether it is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import psycopg

from gravity_memory.config import Config
from gravity_memory.models import PAYLOAD_EVENTS
from gravity_memory.realtime.link import Link
from gravity_memory.realtime.lobby import Lobby
from gravity_memory.realtime.modes import Mode, ModeChanged, announced
from gravity_memory.realtime.payload import PayloadReader
from gravity_memory.realtime.pooler import unavailable
from gravity_memory.statements import Statements


class PayloadService:
    """Serves subscriptions from notifications that carry their data, over one connection at a time.

    Args:
        config: times.
        lobby: who is to be let in.
        works: called when the connection has proved to work.

    Attributes:
        channels: what to listen to.
        reader: who listens for whom.
    """

    channels = PAYLOAD_EVENTS

    def __init__(self, config: Config, lobby: Lobby, works: Callable[[], None]) -> None:
        self.reader = PayloadReader()
        self._heartbeat = config.realtime.heartbeat
        self._idle = config.pool.idle
        self._lobby = lobby
        self._works = works

    def receive(self, notification: psycopg.Notify) -> None:
        """Hand a notification over."""
        self.reader.receive(notification)

    async def serve(self, link: Link, statements: Statements, pid: int) -> None:
        """Hand over what arrives, until nobody is here. pid: the server's process id.

        Raises:
            ModeChanged, NotRecorded: the database announces something else, or nothing, any more.
            ConnectionLost, ListenUnavailable, psycopg.Error: it is over with this connection.
        """
        loop = asyncio.get_running_loop()
        beat = loop.time() + self._heartbeat
        until = None
        while not self._lobby.is_closing:
            self._works()
            for subscription, lost in await self._lobby.let_in(link):
                if lost is not None:
                    subscription.resync(lost, None)
                self.reader.enter(subscription)
            now = loop.time()
            if self.reader.is_empty and self._lobby.is_empty:
                until = until or now + self._idle
                if now >= until:
                    return
            else:
                until = None
            if now >= beat:
                await self._ask(link, statements, pid)
                beat = loop.time() + self._heartbeat
                continue
            await link.wait(min(beat, until or beat) - now)

    async def _ask(self, link: Link, statements: Statements, pid: int) -> None:
        """Ask the server whether it is there, and whether it still announces what it did.

        Raises:
            ListenUnavailable: the server's side of the connection is another one.
            ModeChanged, NotRecorded: see serve().
        """
        mode, pid_now = await announced(link, statements)
        if pid_now != pid:
            raise unavailable()
        if mode is not Mode.PAYLOAD:
            raise ModeChanged
