"""The client for asyncio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from types import TracebackType
from typing import Any, Self, TypeVar
from uuid import UUID

import psycopg
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from gravity_memory.config import Config
from gravity_memory.connections import DIAGNOSIS_SECONDS, AsyncRows, Connector, pool_arguments, used_up
from gravity_memory.errors import ConnectionLost, GravityMemoryError, translated
from gravity_memory.models import Changes, Finding, Match, Memory, NewMemory, RecalledMemory, Turn
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


class AsyncGravityMemory:
    """The memories of a database, for asyncio: use it with `async with`, or `close()` it.

    Queries share a pool of connections; all subscriptions share one further connection. Calls are tried again after a
    lost connection (`config.retry`), writes too: a memory has its id before it is sent, and is stored once, however
    often it is sent.

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
        source: str | AsyncConnectionPool[Any] = "",
        *,
        config: Config | None = None,
        schema: str | None = None,
        listen_conninfo: str | None = None,
    ) -> None:
        self.config = config or Config()
        self._source = source
        self._pool: AsyncConnectionPool[Any] | None = None if isinstance(source, str) else source
        self._schema = schema
        self._statements: Statements | None = Statements(schema) if schema is not None else None
        self._direct = Connector(source, self.config)
        self._connector = Connector(source if listen_conninfo is None else listen_conninfo, self.config)
        self._opening = asyncio.Lock()
        self._hub: Hub | None = None
        self._is_closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End all subscriptions and close the connections. Coroutines that run as callbacks are cancelled."""
        self._is_closed = True
        if self._hub is not None:
            await self._hub.close()
        if self._pool is not None and isinstance(self._source, str):
            await self._pool.close()

    # Memories ---------------------------------------------------------------------------------------------------

    async def remember(
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

        What is None gets the table's default. The id is made here unless it is given; so the memory is stored once even
        when the connection breaks and the call is repeated. Needs SELECT on gravity_map besides INSERT.

        Args:
            user_id: whose.
            content: its text.
            embedding: list, tuple or array, of the dimension of the table.
            gravity_score: importance, 0 to 1.
            emotion_type: joy, grief and the like.
            entities: names it mentions.
            session_id: the session it comes from; its turns are neighbours in recall.
            thread_id: the thread it belongs to.
            memory_trace_id: the conversation, for `context()`.
            metadata: anything that JSON can hold; the application keeps the role here.
            created_at: with a time zone; by default now.
            summary: a shorter text.
            topic: what it is about.
            meta_tags: tags, to which the database adds its own.
            identity_anchor: belongs to who the user is.
            temporal_type: past, present or future; by default the database tells by the content.
            id: its id, when it was made elsewhere.

        Raises:
            InvalidInput: an argument means nothing, or breaks a constraint of the table; an id that is taken is one.
            ConnectionLost: no attempt was answered; whether one took effect is unknown. Repeated with the same id, the
                call stores the memory, or says that the id is taken (SQLSTATE 23505): then it is stored.
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
        return await self._run(lambda statements, is_retry: statements.remember(memory, is_retry=is_retry))

    async def remember_many(self, memories: Iterable[NewMemory | Mapping[str, Any]]) -> list[UUID]:
        """Store memories in one transaction and return their ids, in order.

        Below 1,000 memories by one INSERT, from then on by COPY, one for each set of columns that the memories have, or
        by INSERTs of 1,000 where row security concerns the role, which COPY is not for. The database announces a
        statement of more than `notify_bulk_rows` memories as a whole in payload mode.

        Raises:
            InvalidInput: one of them means nothing, or an id is taken; none is stored.
            ConnectionLost: no attempt was answered; whether one took effect is unknown.
        """
        prepared = [as_new_memory(memory) for memory in memories]
        if not prepared:
            return []
        return await self._run(
            lambda statements, is_retry: statements.remember_many(prepared, is_retry=is_retry), is_atomic=True
        )

    async def recall(
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

        What is None is left to the database: see recall_memories().

        Args:
            user_id: whose memories.
            query: the question in words; it or `embedding` must be given, best both.
            embedding: the question's embedding.
            limit: how many, 0 to 1,000.
            since: only memories created at this time or later.
            until: only memories created before this time.
            emotion_type: only memories with this emotion.
            entities: only memories that mention all of these.
            meta_tags: only memories with all of these tags.
            thread_id: only memories of this thread.
            session_id: only memories of this session.
            min_gravity: only memories of at least this gravity, 0 to 1.
            metadata: only memories whose metadata contains this.
            semantic_weight: weight of meaning, 0 to 1.
            lexical_weight: weight of words, 0 to 1.
            neighbour_weight: what a turn lends to the next one, 0 to 1.
            gravity_weight: weight of gravity, 0 to 1.
            recency_weight: weight of recency, 0 to 1.
            half_life: the age at which recency has fallen to .37.

        Raises:
            InvalidInput: an argument means nothing.
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
        return await self._run(lambda statements, _: statements.recall(arguments))

    async def match(
        self, user_id: str, embedding: Vector, *, threshold: float | None = None, limit: int | None = None
    ) -> list[Match]:
        """The user's memories most similar to a vector, most similar first.

        Args:
            user_id: whose memories.
            embedding: the vector.
            threshold: least cosine similarity, -1 to 1; by default .7.
            limit: how many; by default 10.

        Raises:
            InvalidInput: an argument means nothing.
        """
        arguments = match_arguments(user_id, embedding, threshold, limit)
        return await self._run(lambda statements, _: statements.match(arguments))

    async def context(self, user_id: str, memory_trace_id: str | UUID, *, limit: int | None = None) -> list[Turn]:
        """The latest turns of a conversation, in the order in which they were said; by default 10.

        Raises:
            InvalidInput: an argument means nothing.
            GravityMemoryError: Python cannot read the metadata of one of them, for example a number of 5,000 digits.
        """
        arguments = context_arguments(user_id, memory_trace_id, limit)
        return await self._run(lambda statements, _: statements.context(arguments))

    async def check(self) -> list[Finding]:
        """What is wrong with the installation, errors first; empty when all is well."""
        return await self._run(lambda statements, _: statements.check())

    async def head(self) -> str:
        """The cursor of the end of the feed of changes, for `changes()` and for `since`.

        To show memories and follow them, take the cursor first and read the memories then.

        Raises:
            NotRecorded: the database keeps no feed.
        """
        return await self._run(lambda statements, _: statements.head())

    async def changes(self, user_id: str, cursor: str, limit: int | None = None) -> Changes:
        """What happened to a user's memories and arcs since the cursor; by default up to 100 events.

        Raises:
            FeedExpired: the feed cannot be read on from there; the hint says how to start anew.
            NotRecorded: the database keeps no feed.
            InvalidInput: it is no cursor.
            GravityMemoryError: Python cannot read the first event; the hint has the cursor after it. A page ends before
                such an event, with has_more.
        """
        arguments = changes_arguments(user_id, cursor, limit)
        return await self._run(lambda statements, _: statements.changes(*arguments))

    # Subscriptions ----------------------------------------------------------------------------------------------

    async def subscribe_to_memories(
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

        Coroutine functions are awaited on the event loop, plain functions run in a thread; one at a time and in order
        for each subscription. A callback that raises has had its event. Without callbacks, iterate over the
        subscription.

        Args:
            user_id: whose memories.
            on_created: called with each new Memory.
            on_updated: called with each updated one.
            on_deleted: called with each deleted one, of which id and user_id are left. Feed mode only.
            since: a cursor to resume from: another subscription's `cursor`, or one of `head()`. Feed mode only.
            on_resync: called with an EventsLost when events were missed, so that the memories be read anew. In feed
                mode the subscription goes on from the end of the feed then; without on_resync it ends with that error.
            on_error: called with what a callback raised, with a lost connection that lasts (`config.retry.attempts`
                failures; it goes on trying), and with what ends the subscription. Without it these are logged.

        Raises:
            NotRecorded: the database announces nothing, or not what was asked for.
            ListenUnavailable: a pooler is in the way.
            FeedExpired: `since` is too old, and there is no on_resync.
            InvalidInput: `since` is no cursor, user_id no user.
            ConnectionLost: the server cannot be reached.
        """
        return await self._subscribe(
            memory_request(user_id, (on_created, on_updated, on_deleted), since, on_resync, on_error)
        )

    async def subscribe_to_arcs(
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

        Updates and deletions of arcs are in feed mode only.
        """
        return await self._subscribe(
            arc_request(user_id, (on_created, on_updated, on_deleted), since, on_resync, on_error)
        )

    async def subscribe_to_broadcasts(
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

        Args:
            user_id: whose events.
            on_event: called with each Event.
            events: the kinds, of models.ALL_EVENTS.
            since: see subscribe_to_memories.
            on_resync: see subscribe_to_memories.
            on_error: see subscribe_to_memories.
        """
        return await self._subscribe(broadcast_request(user_id, on_event, events, since, on_resync, on_error))

    async def _subscribe(self, request: Request) -> Subscription:
        self._refuse_if_closed()
        if self._hub is None:
            self._hub = Hub(self._connector, self.config, self._schema)
        return await self._hub.subscribe(request)

    # Running ----------------------------------------------------------------------------------------------------

    async def _run(self, plan: Callable[[Statements, bool], Plan[T]], *, is_atomic: bool = False) -> T:
        """Run a plan on a connection of the pool, again where that is called for."""
        attempts = Attempts(self.config.retry)
        while True:
            try:
                pool = await self._opened()
                async with pool.connection() as connection:
                    if self._statements is None:
                        self._statements = Statements(await drive(connection, locate()))
                    work = plan(self._statements, attempts.is_retry)
                    if not is_atomic:
                        return await drive(connection, work)
                    async with connection.transaction():
                        return await drive(connection, work)
            except (psycopg.Error, UnicodeError) as error:
                if isinstance(error, PoolTimeout):
                    await self._explain(error)
                pause = attempts.pause_after(error)
                if pause is None:
                    raise translated(error) from error
            await asyncio.sleep(pause)
            if self._pool is not None:
                # Those that broke with it.
                await self._pool.check()

    async def _opened(self) -> AsyncConnectionPool[Any]:
        """The pool, which is opened for the first call.

        Raises:
            psycopg.Error: there is no connection to be had. The pool would not say why.
        """
        self._refuse_if_closed()
        if self._pool is None:
            seconds = self.config.realtime.timeout
            try:
                async with asyncio.timeout(seconds):
                    await self._opening.acquire()
            except TimeoutError as error:
                raise ConnectionLost(f"no connection within {seconds:g} s") from error
            try:
                await self._open()
            finally:
                self._opening.release()
        assert self._pool is not None
        return self._pool

    async def _open(self) -> None:
        if self._pool is not None:
            return
        assert isinstance(self._source, str)
        if (problem := await self._direct.problem()) is not None:
            raise problem
        pool: AsyncConnectionPool[Any] = AsyncConnectionPool(**pool_arguments(self._source, self.config))
        await pool.open()
        if self._is_closed:
            await pool.close()
        self._refuse_if_closed()
        self._pool = pool

    async def _explain(self, error: PoolTimeout) -> None:
        """Raise the reason why the pool had no connection in time."""
        problem = await self._direct.problem(DIAGNOSIS_SECONDS)
        if problem is not None:
            raise translated(problem) from problem
        raise used_up(error) from error

    def _refuse_if_closed(self) -> None:
        if self._is_closed:
            raise GravityMemoryError("the client is closed")


async def drive(connection: AsyncRows, plan: Plan[T]) -> T:
    """Run the commands of a plan; its result."""
    async with connection.cursor(row_factory=tuple_row) as cursor:
        try:
            command = next(plan)
            while True:
                command = plan.send(await _perform(cursor, command))
        except StopIteration as ended:
            result: T = ended.value
            return result


async def _perform(cursor: psycopg.AsyncCursor[Row], command: Command | CopyCommand) -> list[Row]:
    if isinstance(command, Command):
        await cursor.execute(command.query, command.parameters)
        return await cursor.fetchall() if cursor.description else []
    async with cursor.copy(command.query) as copy:
        for row in command.rows:
            await copy.write_row(row)
    return []
