"""Subscriptions in payload mode: what is announced while we listen arrives; what is lost is told."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from gravity_memory import (
    Arc,
    AsyncGravityMemory,
    Config,
    Event,
    EventsLost,
    GravityMemory,
    Memory,
    NotRecorded,
    RealtimeConfig,
    RetryConfig,
)
from psycopg.conninfo import make_conninfo

from python.tests.client_support import QUICK, Database, Heard, contents, until

_BEATING = Config(
    realtime=RealtimeConfig(events_per_second=None, heartbeat=0.2), retry=RetryConfig(delay=0.1, max_delay=0.2)
)


def test_created_and_updated_memories_and_new_arcs_arrive(payload_database: Database) -> None:
    async def main() -> None:
        async with AsyncGravityMemory(payload_database.dsn, config=QUICK) as memories:
            created, updated, arcs = Heard[Memory](), Heard[Memory](), Heard[Arc]()
            subscription = await memories.subscribe_to_memories("user", created, updated)
            await memories.subscribe_to_arcs("user", arcs)
            made = [
                await memories.remember("user", "text", gravity_score=g, emotion_type="joy") for g in (0.8, 0.9, 1.0)
            ]
            await memories.remember("other")
            got = await created.arrived(3)
            assert [memory.id for memory in got] == [memory.id for memory in made]
            assert (got[0].gravity_score, got[0].emotion_type, got[0].content) == (0.8, "joy", None)
            assert got[0].created_at == made[0].created_at
            assert (await arcs.arrived(1))[0].arc_name == "joy arc (auto-created)"
            payload_database.execute("UPDATE gravity_map SET emotion_type = 'hope' WHERE id = %s", made[0].id)
            assert (await updated.arrived(1))[0].emotion_type == "hope"
            assert subscription.cursor is None

    asyncio.run(main())


def test_events_are_iterated_over(payload_database: Database) -> None:
    with GravityMemory(payload_database.dsn, config=QUICK) as memories:
        with memories.subscribe_to_broadcasts("user") as events:
            made = memories.remember("user")
            event = next(events)
        assert (event.event, event.subject_id, event.cursor) == ("memory_created", made.id, None)


def test_what_only_the_feed_has_is_refused(payload_database: Database) -> None:
    async def main() -> None:
        async with AsyncGravityMemory(payload_database.dsn, config=QUICK) as memories:
            with pytest.raises(NotRecorded, match="memory_deleted"):
                await memories.subscribe_to_memories("user", on_deleted=print)
            with pytest.raises(NotRecorded, match="arc_deleted, arc_updated"):
                await memories.subscribe_to_arcs("user", on_updated=print, on_deleted=print)
            with pytest.raises(NotRecorded, match="memory_deleted"):
                await memories.subscribe_to_broadcasts("user", events=["memory_created", "memory_deleted"])
            with pytest.raises(NotRecorded, match="cursor"):
                await memories.subscribe_to_memories("user", print, since="1/1/1/1/1:1:")
            with pytest.raises(NotRecorded):
                await memories.head()

    asyncio.run(main())


def test_a_bulk_is_told_with_its_number(payload_database: Database) -> None:
    async def main() -> None:
        async with AsyncGravityMemory(payload_database.dsn, config=QUICK) as memories:
            heard, lost = Heard[Memory](), Heard[EventsLost]()
            await memories.subscribe_to_memories("user", heard, on_resync=lost)
            await memories.remember_many({"user_id": "user"} for _ in range(1001))
            assert [error.count for error in await lost.arrived(1)] == [1001]
            await memories.remember_many({"user_id": "user", "content": "few"} for _ in range(999))
            await heard.arrived(999)
            assert len(lost.items) == 1

    asyncio.run(main())


def test_a_lost_connection_is_told_because_events_may_be_lost(payload_database: Database) -> None:
    async def main() -> None:
        async with AsyncGravityMemory(payload_database.dsn, config=QUICK) as memories:
            heard, lost = Heard[Memory](), Heard[EventsLost]()
            await memories.subscribe_to_memories("user", heard, on_resync=lost)
            await until(lambda: payload_database.cut_listeners())
            (error,) = await lost.arrived(1)
            assert type(error) is EventsLost
            # Whoever reads the memories when it is told, and listens on, misses nothing.
            made = await memories.remember("user")
            assert [memory.id for memory in await heard.arrived(1)] == [made.id]

    asyncio.run(main())


def test_without_on_resync_a_loss_is_logged(payload_database: Database, caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with AsyncGravityMemory(payload_database.dsn, config=QUICK) as memories:
            await memories.subscribe_to_memories("user", print)
            await until(lambda: payload_database.cut_listeners())
            await until(lambda: "missed events" in caplog.text)

    with caplog.at_level(logging.WARNING, "gravity_memory"):
        asyncio.run(main())


def test_the_heartbeat_finds_a_changed_mode_and_goes_on_in_it(payload_database: Database) -> None:
    async def main() -> None:
        async with AsyncGravityMemory(payload_database.dsn, config=_BEATING) as memories:
            heard, lost = Heard[Memory](), Heard[EventsLost]()
            subscription = await memories.subscribe_to_memories("user", heard, on_resync=lost)
            payload_database.execute("SELECT gravity_memory_set('notify', 'wakeup')")
            await lost.arrived(1)
            await memories.remember("user", "from the feed")
            assert contents(await heard.arrived(1)) == ["from the feed"]
            assert subscription.cursor is not None

    asyncio.run(main())


def test_a_database_that_falls_silent_ends_its_subscriptions(payload_database: Database) -> None:
    async def main() -> None:
        async with AsyncGravityMemory(payload_database.dsn, config=_BEATING) as memories:
            subscription = await memories.subscribe_to_memories("user")
            payload_database.execute("SELECT gravity_memory_set('notify', 'off')")
            with pytest.raises(NotRecorded):
                await anext(subscription)

    asyncio.run(main())


def test_with_the_feed_on_as_well_the_feed_is_read(payload_database: Database) -> None:
    payload_database.execute("SELECT gravity_memory_set('feed', 'on')")
    with GravityMemory(payload_database.dsn, config=QUICK) as memories:
        heard: Heard[Memory] = Heard()
        subscription = memories.subscribe_to_memories("user", heard)
        memories.remember("user", "whole")
        assert contents(heard.wait(1)) == ["whole"]
        assert subscription.cursor is not None


@pytest.mark.parametrize("user", ["o'brien", 'say "hi"', "100 %s", "\U0001f9e0", "back\\slash\n"])
def test_strange_users_are_users(payload_database: Database, user: str) -> None:
    with GravityMemory(payload_database.dsn, config=QUICK) as memories:
        heard: Heard[Memory] = Heard()
        memories.subscribe_to_memories(user, heard)
        made = memories.remember(user)
        assert heard.wait(1)[0].id == made.id


def test_an_encoding_of_the_caller_is_for_queries_only(payload_database: Database) -> None:
    dsn = make_conninfo(payload_database.dsn, client_encoding="LATIN1")
    with GravityMemory(dsn, config=QUICK) as memories:
        heard: Heard[Memory] = Heard()
        memories.subscribe_to_memories("caf\u00e9", heard)
        made = memories.remember("caf\u00e9")
        assert heard.wait(1)[0].id == made.id


def test_a_user_too_long_for_a_notification_is_told_to_read(payload_database: Database) -> None:
    user = "x" * 8192
    with GravityMemory(payload_database.dsn, config=QUICK) as memories:
        heard, lost, other = Heard[Memory](), Heard[EventsLost](), Heard[Any]()
        memories.subscribe_to_memories(user, heard, on_resync=lost)
        memories.subscribe_to_memories("short", other, on_resync=other)
        memories.remember(user)
        lost.wait(1)
        assert heard.items == []
        assert other.items == []


def test_what_others_send_on_our_channels_does_no_harm(
    payload_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with GravityMemory(payload_database.dsn, config=QUICK) as memories:
        heard, errors = Heard[Event](), Heard[Exception]()
        memories.subscribe_to_broadcasts("user", heard, on_error=errors)
        for payload in ("", "nonsense", "[]", "5", "{}", '{"user_id": "user"}', '{"user_id": "user", "id": "x"}'):
            payload_database.execute("SELECT pg_notify('memory_created', %s)", payload)
        payload_database.execute("SELECT pg_notify('memory_changes', '')")
        made = memories.remember("user")
        assert [event.subject_id for event in heard.wait(1)] == [made.id]
        assert errors.items == []
