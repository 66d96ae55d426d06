"""The client for programs without asyncio."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import CancelledError
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

import psycopg
from psycopg.rows import tuple_row
from psycopg_pool import ConnectionPool, PoolTimeout

from gravity_memory.config import Config
from gravity_memory.connections import DIAGNOSIS_SECONDS, Connector, pool_arguments, used_up
from gravity_memory.errors import ConnectionLost, GravityMemoryError, translated
from gravity_memory.models import Changes, Finding, Match, Memory, NewMemory, RecalledMemory, Turn
from gravity_memory.realtime.background import LoopThread
from gravity_memory.realtime.hub import Hub
from gravity_memory.realtime.requests import (
    OnArc,
    OnError,
    OnEvent,
    OnMemory,
    OnResync,
    arc_request,
    broadcast_request,
    memory_request,
)
from gravity_memory.realtime.subscription import Request, Subscription
from gravity_memory.retry import Attempts
from gravity_memory.statements import (
    Command,
    CopyCommand,
    Plan,
    Row,
    Statements,
    as_new_memory,
    changes_arguments,
    checked_user,
    context_arguments,
    locate,
    match_arguments,
    recall_arguments,
)
from gravity_memory.vectors import Vector

T = TypeVar("T")


class GravityMemory:
    """The memories of a database: AsyncGravityMemory for programs without asyncio. Use it with `with`, or `close()` it.

    All calls may be made from any thread. Subscriptions are read for in one background thread, which is started with
    the first of them; there, callbacks that are coroutine functions run, too. They must not call this client; plain
    callbacks may.

    Args:
        source: a connection string of libpq, by default what the PG* variables say, or a pool, which stays the
            caller's: it is neither opened nor closed here. The connection that listens is made from its connection
            string and keyword arguments; its `configure` is for its own connections.
        config: timeouts, pool, retries, rates.
        schema: where the functions of the extension are; None: where the database says that it is installed.
        listen_conninfo: where to listen, when queries go through a pooler in transaction mode.
    """

    def __init__(
        self,
        source: str | ConnectionPool[Any] = "",
        *,
        config: Config | None = None,
        schema: str | None = None,
        listen_conninfo: str | None = None,
    ) -> None:
        self.config = config or Config()
        self._source = source
        self._pool: ConnectionPool[Any] | None = None if isinstance(source, str) else source
        self._schema = schema
        self._statements: Statements | None = Statements(schema) if schema is not None else None
        self._direct = Connector(source, self.config)
        self._connector = Connector(source if listen_conninfo is None else listen_conninfo, self.config)
        # Held while a connection is made; `_changing` never is, so that closing does not wait for a server.
        self._opening = threading.Lock()
        self._changing = threading.Lock()
        self._background: LoopThread | None = None
        self._hub: Hub | None = None
        self._is_closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End all subscriptions and close the connections.

        A coroutine that runs as a callback is cancelled; a plain callback runs to its end in its thread. Calls that
        other threads make meanwhile raise GravityMemoryError.

        Raises:
            RuntimeError: a coroutine that runs as a callback called it. Nothing is closed.
        """
        with self._changing:
            background = self._background
            if background is not None and background.is_here:
                raise RuntimeError("a coroutine that is a callback cannot close the client: use AsyncGravityMemory")
            self._is_closed = True
            self._background = None
        if background is not None:
            try:
                background.call(self._close_there())
            finally:
                background.stop()
        if self._pool is not None and isinstance(self._source, str):
            self._pool.close()

    async def _close_there(self) -> None:
        """Close the hub. Whoever subscribes after this is refused: both run on the same loop."""
        if self._hub is not None:
            await self._hub.close()

    # Memories ---------------------------------------------------------------------------------------------------

    def remember(
        self,
        user_id: str,
        content: str | None = None,
        *,
        embedding: Vector | None = None,
        gravity_score: float | None = None,
        emotion_type: str | None = None,
        entities: Sequence[str] | None = None,
        session_id: str | UUID | None = None,
        thread_id: str | UUID | None = None,
        memory_trace_id: str | UUID | None = None,
        metadata: Mapping[str, Any] | None = None,
        created_at: datetime | None = None,
        summary: str | None = None,
        topic: str | None = None,
        meta_tags: Sequence[str] | None = None,
        identity_anchor: bool | None = None,
        temporal_type: str | None = None,
        id: UUID | str | None = None,
    ) -> Memory:
        """Store a memory and return it as the database completed it: tags, time, defaults.

        Arguments and errors are those of AsyncGravityMemory.remember().
        """
        memory = as_new_memory(
            NewMemory(
                user_id=user_id,
                content=content,
                embedding=embedding,
                summary=summary,
                topic=topic,
                gravity_score=gravity_score,
                emotion_type=emotion_type,
                entities=entities,
                meta_tags=meta_tags,
                identity_anchor=identity_anchor,
                temporal_type=temporal_type,
                thread_id=thread_id,
                session_id=session_id,
                memory_trace_id=memory_trace_id,
                metadata=metadata,
                created_at=created_at,
                id=id,
            )
        )
        return self._run(lambda statements, is_retry: statements.remember(memory, is_retry=is_retry))

    def remember_many(self, memories: Iterable[NewMemory | Mapping[str, Any]]) -> list[UUID]:
        """Store memories in one transaction and return their ids, in order.

        Arguments and errors are those of AsyncGravityMemory.remember_many().
        """
        prepared = [as_new_memory(memory) for memory in memories]
        if not prepared:
            return []
        return self._run(
            lambda statements, is_retry: statements.remember_many(prepared, is_retry=is_retry), is_atomic=True
        )

    def recall(
        self,
        user_id: str,
        query: str | None = None,
        embedding: Vector | None = None,
        *,
        limit: int | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        emotion_type: str | None = None,
        entities: Sequence[str] | None = None,
        meta_tags: Sequence[str] | None = None,
        thread_id: str | UUID | None = None,
        session_id: str | UUID | None = None,
        min_gravity: float | None = None,
        metadata: Mapping[str, Any] | None = None,
        semantic_weight: float | None = None,
        lexical_weight: float | None = None,
        neighbour_weight: float | None = None,
        gravity_weight: float | None = None,
        recency_weight: float | None = None,
        half_life: timedelta | None = None,
    ) -> list[RecalledMemory]:
        """The user's memories that answer a question best, by meaning, words and the turns around them; best first.

        Arguments and errors are those of AsyncGravityMemory.recall().
        """
        arguments = recall_arguments(
            embedding=embedding,
            metadata=metadata,
            user_id=checked_user(user_id),
            query=query,
            limit=limit,
            since=since,
            until=until,
            emotion_type=emotion_type,
            entities=entities,
            meta_tags=meta_tags,
            thread_id=thread_id,
            session_id=session_id,
            min_gravity=min_gravity,
            semantic_weight=semantic_weight,
            lexical_weight=lexical_weight,
            neighbour_weight=neighbour_weight,
            gravity_weight=gravity_weight,
            recency_weight=recency_weight,
            half_life=half_life,
        )
        return self._run(lambda statements, _: statements.recall(arguments))

    def match(
        self, user_id: str, embedding: Vector, *, threshold: float | None = None, limit: int | None = None
    ) -> list[Match]:
        """The user's memories most similar to a vector, most similar first.

        Arguments and errors are those of AsyncGravityMemory.match().
        """
        arguments = match_arguments(user_id, embedding, threshold, limit)
        return self._run(lambda statements, _: statements.match(arguments))

    def context(self, user_id: str, memory_trace_id: str | UUID, *, limit: int | None = None) -> list[Turn]:
        """The latest turns of a conversation, in the order in which they were said; by default 10.

        Arguments and errors are those of AsyncGravityMemory.context().
        """
        arguments = context_arguments(user_id, memory_trace_id, limit)
        return self._run(lambda statements, _: statements.context(arguments))

    def check(self) -> list[Finding]:
        """What is wrong with the installation, errors first; empty when all is well."""
        return self._run(lambda statements, _: statements.check())

    def head(self) -> str:
        """The cursor of the end of the feed of changes, for `changes()` and for `since`.

        To show memories and follow them, take the cursor first and read the memories then.

        Raises:
            NotRecorded: the database keeps no feed.
        """
        return self._run(lambda statements, _: statements.head())

    def changes(self, user_id: str, cursor: str, limit: int | None = None) -> Changes:
        """What happened to a user's memories and arcs since the cursor; by default up to 100 events.

        Arguments and errors are those of AsyncGravityMemory.changes().
        """
        arguments = changes_arguments(user_id, cursor, limit)
        return self._run(lambda statements, _: statements.changes(*arguments))

    # Subscriptions ----------------------------------------------------------------------------------------------

    def subscribe_to_memories(
        self,
        user_id: str,
        on_created: OnMemory = None,
        on_updated: OnMemory = None,
        *,
        on_deleted: OnMemory = None,
        since: str | None = None,
        on_resync: OnResync = None,
        on_error: OnError = None,
    ) -> Subscription:
        """Follow a user's memories. Returns when it is live: everything committed from then on is handed over.

        Arguments and errors are those of AsyncGravityMemory.subscribe_to_memories().
        """
        return self._subscribe(
            memory_request(user_id, (on_created, on_updated, on_deleted), since, on_resync, on_error)
        )

    def subscribe_to_arcs(
        self,
        user_id: str,
        on_created: OnArc = None,
        *,
        on_updated: OnArc = None,
        on_deleted: OnArc = None,
        since: str | None = None,
        on_resync: OnResync = None,
        on_error: OnError = None,
    ) -> Subscription:
        """Follow a user's arcs, as `subscribe_to_memories` does memories; callbacks get an Arc.

        Arguments and errors are those of AsyncGravityMemory.subscribe_to_arcs().
        """
        return self._subscribe(arc_request(user_id, (on_created, on_updated, on_deleted), since, on_resync, on_error))

    def subscribe_to_broadcasts(
        self,
        user_id: str,
        on_event: OnEvent = None,
        *,
        events: Sequence[str] = ("memory_created",),
        since: str | None = None,
        on_resync: OnResync = None,
        on_error: OnError = None,
    ) -> Subscription:
        """Follow events of some kinds, as `subscribe_to_memories` does memories; the callback gets an Event.

        Arguments and errors are those of AsyncGravityMemory.subscribe_to_broadcasts().
        """
        return self._subscribe(broadcast_request(user_id, on_event, events, since, on_resync, on_error))

    def _subscribe(self, request: Request) -> Subscription:
        with self._changing:
            self._refuse_if_closed()
            if self._background is None:
                self._background = LoopThread()
            background = self._background
        try:
            return background.call(self._subscribe_there(request))
        except CancelledError:
            raise GravityMemoryError("the client was closed") from None

    async def _subscribe_there(self, request: Request) -> Subscription:
        self._refuse_if_closed()
        if self._hub is None:
            self._hub = Hub(self._connector, self.config, self._schema)
        return await self._hub.subscribe(request)

    # Running ----------------------------------------------------------------------------------------------------

    def _run(self, plan: Callable[[Statements, bool], Plan[T]], *, is_atomic: bool = False) -> T:
        """Run a plan on a connection of the pool, again where that is called for."""
        attempts = Attempts(self.config.retry)
        while True:
            try:
                pool = self._opened()
                with pool.connection() as connection:
                    if self._statements is None:
                        self._statements = Statements(drive(connection, locate()))
                    work = plan(self._statements, attempts.is_retry)
                    if not is_atomic:
                        return drive(connection, work)
                    with connection.transaction():
                        return drive(connection, work)
            except (psycopg.Error, UnicodeError) as error:
                if isinstance(error, PoolTimeout):
                    self._explain(error)
                pause = attempts.pause_after(error)
                if pause is None:
                    raise translated(error) from error
            time.sleep(pause)
            if self._pool is not None:
                # Those that broke with it.
                self._pool.check()

    def _opened(self) -> ConnectionPool[Any]:
        """The pool, which is opened for the first call.

        Raises:
            psycopg.Error: there is no connection to be had. The pool would not say why.
        """
        self._refuse_if_closed()
        if self._pool is None:
            seconds = self.config.realtime.timeout
            if not self._opening.acquire(timeout=seconds):
                raise ConnectionLost(f"no connection within {seconds:g} s")
            try:
                self._open()
            finally:
                self._opening.release()
        assert self._pool is not None
        return self._pool

    def _open(self) -> None:
        if self._pool is not None:
            return
        assert isinstance(self._source, str)
        if (problem := self._direct.problem_now()) is not None:
            raise problem
        with self._changing:
            self._refuse_if_closed()
            pool: ConnectionPool[Any] = ConnectionPool(**pool_arguments(self._source, self.config))
            pool.open()
            self._pool = pool

    def _explain(self, error: PoolTimeout) -> None:
        """Raise the reason why the pool had no connection in time."""
        problem = self._direct.problem_now(DIAGNOSIS_SECONDS)
        if problem is not None:
            raise translated(problem) from problem
        raise used_up(error) from error

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise GravityMemoryError("the client is closed")


def drive(connection: psycopg.Connection[Any], plan: Plan[T]) -> T:
    """Run the commands of a plan; its result."""
    with connection.cursor(row_factory=tuple_row) as cursor:
        try:
            command = next(plan)
            while True:
                command = plan.send(_perform(cursor, command))
        except StopIteration as ended:
            result: T = ended.value
            return result


def _perform(cursor: psycopg.Cursor[Row], command: Command | CopyCommand) -> list[Row]:
    if isinstance(command, Command):
        cursor.execute(command.query, command.parameters)
        return cursor.fetchall() if cursor.description else []
    with cursor.copy(command.query) as copy:
        for row in command.rows:
            copy.write_row(row)
    return []
