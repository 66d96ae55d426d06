"""Subscriptions in feed mode: what is committed arrives, once, in order, whoever commits when."""

from __future__ import annotations

import asyncio
import itertools
import os
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any

import psycopg
import pytest
from gravity_memory import (
    Arc,
    AsyncGravityMemory,
    Config,
    ConnectionLost,
    Event,
    FeedExpired,
    GravityMemory,
    GravityMemoryError,
    InvalidInput,
    Memory,
    NotInstalled,
    NotRecorded,
    RealtimeChannelPool,
    RealtimeConfig,
    RetryConfig,
    Subscription,
    SubscriptionEvicted,
)
from gravity_memory.connections import Connector
from gravity_memory.realtime.callbacks import CallbackThreads
from gravity_memory.realtime.feed import FeedReader
from gravity_memory.realtime.hub import Hub
from gravity_memory.realtime.items import Request
from gravity_memory.statements import Statements
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from devtools.servers import Server
from python.tests.client_support import QUICK, Database, Heard, MakeClientDatabase, add, contents, until, wait_until

SPEC_DELAY = 0.1
"""The specification: a subscriber "should log within 100ms"."""

HOSTILE_USERS = [
    "",
    " ",
    "o'brien",
    'say "hi"',
    "100 %s %(x)s %%",
    "{a,b}",
    "back\\slash",
    "NULL",
    "new\nline\ttab",
    "\U0001f9e0 brain",
    "e\u0301 decomposed",
    "\u202e reversed",
    "x" * 8192,
    "\u00e9" * 4096,
    "'; DROP TABLE gravity_map; --",
]


def test_a_memory_reaches_the_callback_within_100_ms_of_its_commit(database: Database) -> None:
    with GravityMemory(database.dsn, config=QUICK) as memories, database.connect() as writer:
        heard: Heard[Memory] = Heard()
        memories.subscribe_to_memories("test-user", heard)
        commits = []
        for number in range(1, 22):
            add(writer, "test-user", str(number))
            commits.append(time.monotonic())
            heard.wait(number)
    delays = sorted(arrived - committed for arrived, committed in zip(heard.times, commits, strict=True))
    print(f"delay: median {delays[10] * 1000:.2f} ms, longest {delays[-1] * 1000:.2f} ms")
    assert delays[10] < SPEC_DELAY
    assert contents(heard.items) == [str(number) for number in range(1, 22)]


def test_created_updated_and_deleted_memories_arrive_whole(database: Database) -> None:
    async def main() -> None:
        async with AsyncGravityMemory(database.dsn, config=QUICK) as memories:
            created, updated, deleted = Heard[Memory](), Heard[Memory](), Heard[Memory]()
            await memories.subscribe_to_memories("user", created, updated, on_deleted=deleted)
            made = await memories.remember(
                "user",
                "I will remember Ivy",
                gravity_score=0.9,
                emotion_type="joy",
                entities=["Ivy"],
                metadata={"role": "user", "nested": [1, {"a": None}]},
                session_id="s",
                thread_id="t",
                memory_trace_id="m",
                topic="plants",
                summary="Ivy",
            )
            assert (await created.arrived(1))[0] == made
            assert made.meta_tags == ("high_gravity",)
            assert made.identity_anchor is True
            assert made.temporal_type == "past"
            database.execute("UPDATE gravity_map SET topic = 'gardens' WHERE id = %s", made.id)
            assert (await updated.arrived(1))[0].topic == "gardens"
            database.execute("DELETE FROM gravity_map WHERE id = %s", made.id)
            assert (await deleted.arrived(1))[0] == Memory(id=made.id, user_id="user")
            assert (len(created.items), len(updated.items)) == (1, 1)

    asyncio.run(main())


def test_arcs_arrive_as_they_form_and_change(database: Database) -> None:
    async def main() -> None:
        async with AsyncGravityMemory(database.dsn, config=QUICK) as memories:
            created, updated = Heard[Arc](), Heard[Arc]()
            await memories.subscribe_to_arcs("user", created, on_updated=updated)
            for gravity in (0.8, 0.9, 1.0):
                await memories.remember("user", gravity_score=gravity, emotion_type="joy")
            (arc,) = await created.arrived(1)
            assert (arc.arc_name, arc.emotion_type, arc.evolution_stage) == ("joy arc (auto-created)", "joy", "forming")
            await until(lambda: [one for one in [*created.items, *updated.items] if one.memory_count == 3])
            database.execute("DELETE FROM memory_arcs")

    asyncio.run(main())


def test_broadcasts_are_events_of_the_kinds_asked_for(database: Database) -> None:
    async def main() -> None:
        async with AsyncGravityMemory(database.dsn, config=QUICK) as memories:
            created, both = Heard[Event](), Heard[Event]()
            await memories.subscribe_to_broadcasts("user", created)
            await memories.subscribe_to_broadcasts("user", both, events=["memory_created", "memory_deleted"])
            made = await memories.remember("user", "text")
            database.execute("UPDATE gravity_map SET topic = 'x'")
            database.execute("DELETE FROM gravity_map")
            assert [event.event for event in await both.arrived(2)] == ["memory_created", "memory_deleted"]
            (event,) = created.items
            assert (event.user_id, event.subject_id, event.payload["content"]) == ("user", made.id, "text")
            assert event.memory == made
            for wrong in ([], ["memory_created", "other"], "memory_created"):
                with pytest.raises(InvalidInput):
                    await memories.subscribe_to_broadcasts("user", created, events=wrong)

    asyncio.run(main())


def test_each_user_gets_their_own_and_strange_names_are_names(database: Database) -> None:
    async def main() -> None:
        async with AsyncGravityMemory(database.dsn, config=QUICK) as memories:
            heard: dict[str, Heard[Memory]] = {user: Heard() for user in HOSTILE_USERS}
            for user in HOSTILE_USERS:
                await memories.subscribe_to_memories(user, heard[user])
            for user in HOSTILE_USERS:
                await memories.remember(user, user)
            await memories.remember_many({"user_id": user, "content": "again"} for user in HOSTILE_USERS)
            for user in HOSTILE_USERS:
                assert contents(await heard[user].arrived(2)) == [user, "again"]
            await asyncio.sleep(0.05)
            assert {len(one.items) for one in heard.values()} == {2}

    asyncio.run(main())


def test_what_is_committed_after_subscribing_is_never_missed(database: Database) -> None:
    stop = threading.Event()
    written: list[str] = []

    def write() -> None:
        with database.connect() as connection:
            while not stop.is_set():
                text = str(len(written))
                add(connection, "user", text)
                written.append(text)

    thread = threading.Thread(target=write)
    thread.start()
    try:
        with GravityMemory(database.dsn, config=QUICK) as memories:
            found: list[tuple[int, Heard[Memory]]] = []
            for _ in range(40):
                heard: Heard[Memory] = Heard()
                memories.subscribe_to_memories("user", heard)
                # The next one, which may be on its way, is committed after this line, or before it.
                found.append((len(written) + 1, heard))
            enough = len(written) + 5
            wait_until(lambda: len(written) >= enough)
            stop.set()
            thread.join()
            for first, heard in found:
                wait_until(lambda h=heard: h.items and h.items[-1].content == written[-1])  # type: ignore[misc]
                got = contents(heard.items)
                assert got == written[int(got[0]) :]
                assert int(got[0]) <= first
    finally:
        stop.set()
        thread.join()


def test_a_transaction_that_commits_late_is_neither_missed_nor_waited_for(database: Database) -> None:
    async def main() -> None:
        async with AsyncGravityMemory(database.dsn, config=QUICK) as memories:
            heard: Heard[Memory] = Heard()
            await memories.subscribe_to_memories("user", heard)
            with database.connect(autocommit=False) as late:
                add(late, "user", "late")
                for number in range(5):
                    database.add("user", f"early {number}")
                assert contents(await heard.arrived(5)) == [f"early {number}" for number in range(5)]
                await asyncio.sleep(0.1)
                late.commit()
                committed = time.monotonic()
            await heard.arrived(6)
            assert heard.items[5].content == "late"
            print(f"{(heard.times[5] - committed) * 1000:.1f} ms after its commit")
            database.add("user", "after")
            assert contents(await heard.arrived(7))[5:] == ["late", "after"]

    asyncio.run(main())


def test_what_is_rolled_back_does_not_arrive(database: Database) -> None:
    async def main() -> None:
        async with AsyncGravityMemory(database.dsn, config=QUICK) as memories:
            heard: Heard[Memory] = Heard()
            await memories.subscribe_to_memories("user", heard)
            with database.connect(autocommit=False) as writer:
                add(writer, "user", "rolled back")
                writer.rollback()
                with writer.transaction():
                    add(writer, "user", "kept")
                    with writer.transaction(force_rollback=True):
                        add(writer, "user", "undone by a savepoint")
                writer.commit()
            await heard.arrived(1)
            await asyncio.sleep(0.1)
            assert contents(heard.items) == ["kept"]

    asyncio.run(main())


def test_a_wake_up_that_is_lost_costs_a_second_at_most(database: Database) -> None:
    async def main() -> None:
        async with AsyncGravityMemory(database.dsn, config=QUICK) as memories:
            heard: Heard[Memory] = Heard()
            await memories.subscribe_to_memories("user", heard)
            with database.connect(autocommit=False) as holder:
                # Whoever holds this lock is expected to send the wake-up, and this one never does.
                holder.execute("SELECT pg_advisory_xact_lock(hashtextextended('gravity_memory_wakeup', 0))")
                await asyncio.sleep(0.5)
                database.add("user", "silent")
                committed = time.monotonic()
                await heard.arrived(1)
                assert heard.times[0] - committed < 5
                holder.rollback()

    asyncio.run(main())


def test_whoever_commits_without_a_wake_up_while_another_sends_one_is_seen_soon(database: Database) -> None:
    config = Config(realtime=RealtimeConfig(events_per_second=None, fallback_poll=1000))

    async def main() -> None:
        async with AsyncGravityMemory(database.dsn, config=config) as memories:
            heard: Heard[Memory] = Heard()
            await memories.subscribe_to_memories("user", heard)
            with database.connect(autocommit=False) as sender, database.connect(autocommit=False) as silent:
                add(silent, "user", "silent")
                # The sender is about to commit, so the other one leaves waking to it.
                sender.execute("SELECT pg_advisory_xact_lock(hashtextextended('gravity_memory_wakeup', 0))")
                database.execute("SELECT pg_notify('memory_changes', '')")
                await asyncio.sleep(0.05)
                silent.commit()
                await heard.arrived(1)
                sender.rollback()

    asyncio.run(main())


def test_many_writers_at_once_lose_nothing_and_repeat_nothing(database: Database) -> None:
    writers, each = 8, 60

    def write(number: int) -> None:
        with database.connect(autocommit=False) as connection:
            for count in range(each):
                add(connection, f"user {number % 4}", f"{number}.{count}")
                (connection.rollback if count % 5 == 4 else connection.commit)()

    with GravityMemory(database.dsn, config=QUICK) as memories:
        heard: list[Heard[Memory]] = [Heard() for _ in range(4)]
        for number in range(4):
            memories.subscribe_to_memories(f"user {number}", heard[number])
        threads = [threading.Thread(target=write, args=(number,)) for number in range(writers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        kept = [count for count in range(each) if count % 5 != 4]
        for number in range(4):
            got = contents(heard[number].wait(2 * len(kept)))
            for writer in (number, number + 4):
                assert [one for one in got if one.startswith(f"{writer}.")] == [f"{writer}.{count}" for count in kept]
            assert len(got) == 2 * len(kept)


def test_a_thousand_subscribers_cost_one_connection(database: Database) -> None:
    async def main() -> None:
        async with AsyncGravityMemory(database.dsn, config=QUICK) as memories:
            heard: list[Heard[Memory]] = [Heard() for _ in range(1000)]
            subscribed = time.monotonic()
            await asyncio.gather(
                *(memories.subscribe_to_memories(f"user {number}", heard[number]) for number in range(1000))
            )
            print(f"subscribed in {time.monotonic() - subscribed:.2f} s")
            rows = database.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE application_name = 'gravity-memory' AND datname = current_database()"
            )
            assert rows == [(1,)]
            await memories.remember_many(
                {"user_id": f"user {number % 1000}", "content": str(number)} for number in range(3000)
            )
            for number in range(1000):
                got = contents(await heard[number].arrived(3))
                assert got == [str(number + 1000 * count) for count in range(3)]

    asyncio.run(main())


def test_subscribers_one_after_the_other_become_one_group(database: Database) -> None:
    with GravityMemory(database.dsn, config=QUICK) as memories:
        heard: Heard[Memory] = Heard()
        for number in range(100):
            memories.subscribe_to_memories(f"user {number}", heard)
        database.add("user 99", "x")
        heard.wait(1)
        assert memories._hub is not None
        assert len(memories._hub._feed.reader._groups) == 1


def test_a_subscription_resumes_where_another_one_was_left(database: Database) -> None:
    async def main() -> None:
        cursor: str | None = None
        got: list[str | None] = []
        total = 0
        for round_ in range(6):
            async with AsyncGravityMemory(database.dsn, config=QUICK) as memories:
                heard: Heard[Memory] = Heard()
                subscription = await memories.subscribe_to_memories("user", heard, since=cursor)
                database.add("user", *(str(total + number) for number in range(5)))
                total += 5
                # Sometimes in the middle of a page.
                await heard.arrived(1 if round_ % 2 else total - len(got))
                subscription()
                await asyncio.sleep(0.05)
                got += contents(heard.items)
                cursor = subscription.cursor
            database.add("user", str(total), str(total + 1))
            total += 2
        async with AsyncGravityMemory(database.dsn, config=QUICK) as memories:
            await memories.subscribe_to_memories("user", heard := Heard[Memory](), since=cursor)
            await heard.arrived(total - len(got))
            got += contents(heard.items)
        assert got == [str(number) for number in range(total)]

    asyncio.run(main())


def test_many_that_resume_from_different_places_end_up_in_one_group(database: Database) -> None:
    async def main() -> None:
        async with AsyncGravityMemory(database.dsn, config=QUICK) as memories:
            cursors = []
            for number in range(60):
                cursors.append(await memories.head())
                database.add("user", str(number))
            heard: list[Heard[Memory]] = [Heard() for _ in cursors]
            await asyncio.gather(
                *(
                    memories.subscribe_to_memories("user", one, since=cursor)
                    for one, cursor in zip(heard, cursors, strict=True)
                )
            )
            database.add("user", "live")
            for number, one in enumerate(heard):
                expected = [*map(str, range(number, 60)), "live"]
                assert contents(await one.arrived(len(expected))) == expected
            assert memories._hub is not None
            await until(lambda: memories._hub is not None and len(memories._hub._feed.reader._groups) == 1)

    asyncio.run(main())


@pytest.mark.parametrize("cursor", ["", "nonsense", "1/2/3", "1/1/1/1/1:1:/1:1:/x", "\u00e9", "nul\x00"])
def test_what_is_no_cursor_is_refused_and_harms_nobody(database: Database, cursor: str) -> None:
    async def main() -> None:
        async with AsyncGravityMemory(database.dsn, config=QUICK) as memories:
            heard: Heard[Memory] = Heard()
            await memories.subscribe_to_memories("user", heard)
            with pytest.raises(InvalidInput, match="cursor"):
                await memories.subscribe_to_memories("user", heard, since=cursor)
            database.add("user", "goes on")
            assert contents(await heard.arrived(1)) == ["goes on"]

    asyncio.run(main())


def test_a_cursor_of_another_server_has_expired(database: Database) -> None:
    async def main() -> None:
        async with AsyncGravityMemory(database.dsn, config=QUICK) as memories:
            parts = (await memories.head()).split("/")
            foreign = "/".join([parts[0], str(int(parts[1]) + 1), *parts[2:]])
            with pytest.raises(FeedExpired, match="another server") as caught:
                await memories.subscribe_to_memories("user", print, since=foreign)
            assert "memory_changes_head" in (caught.value.hint or "")
            resyncs: Heard[Any] = Heard()
            heard: Heard[Memory] = Heard()
            await memories.subscribe_to_memories("user", heard, since=foreign, on_resync=resyncs)
            assert isinstance((await resyncs.arrived(1))[0], FeedExpired)
            database.add("user", "from here")
            assert contents(await heard.arrived(1)) == ["from here"]

    asyncio.run(main())


def test_after_a_truncate_those_who_can_start_anew_do_and_the_others_end(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async def main() -> None:
        async with AsyncGravityMemory(database.dsn, config=QUICK) as memories:
            order: list[Any] = []
            errors: Heard[Any] = Heard()

            async def resync(error: Exception) -> None:
                order.append(error)

            await memories.subscribe_to_memories("user", lambda memory: order.append(memory.content), on_resync=resync)
            ended = await memories.subscribe_to_memories("user", lambda _: None, on_error=errors)
            iterated = await memories.subscribe_to_memories("user")
            database.add("user", "before")
            await until(lambda: order)
            database.execute("TRUNCATE gravity_map CASCADE")
            await until(lambda: len(order) == 2)
            database.add("user", "after")
            await until(lambda: len(order) == 3)
            assert order[0] == "before"
            assert isinstance(order[1], FeedExpired)
            assert order[2] == "after"
            assert isinstance((await errors.arrived(1))[0], FeedExpired)
            assert isinstance(ended.error, FeedExpired)
            assert (await anext(iterated)).payload["content"] == "before"
            with pytest.raises(FeedExpired, match="truncated"):
                await anext(iterated)

    asyncio.run(main())


def test_the_feed_is_read_page_by_page(database: Database) -> None:
    config = Config(realtime=RealtimeConfig(events_per_second=None, page_size=7))

    async def main() -> None:
        async with AsyncGravityMemory(database.dsn, config=config) as memories:
            cursor = await memories.head()
            await memories.remember_many({"user_id": f"user {n % 3}", "content": str(n)} for n in range(100))
            heard: list[Heard[Memory]] = [Heard() for _ in range(3)]
            for number in range(3):
                await memories.subscribe_to_memories(f"user {number}", heard[number], since=cursor)
            for number in range(3):
                expected = [str(n) for n in range(100) if n % 3 == number]
                assert contents(await heard[number].arrived(len(expected))) == expected

    asyncio.run(main())


def test_a_subscriber_that_falls_behind_loses_nothing_and_holds_up_nobody(database: Database) -> None:
    config = Config(realtime=RealtimeConfig(events_per_second=None, largest_backlog=20, page_size=50))

    async def main() -> None:
        async with AsyncGravityMemory(database.dsn, config=config) as memories:
            release = asyncio.Event()
            slow: list[str | None] = []

            async def callback(memory: Memory) -> None:
                await release.wait()
                slow.append(memory.content)

            quick: Heard[Memory] = Heard()
            behind = await memories.subscribe_to_memories("user", callback)
            await memories.subscribe_to_memories("user", quick)
            await memories.remember_many({"user_id": "user", "content": str(n)} for n in range(300))
            await quick.arrived(300)
            assert slow == []
            database.add("user", *(str(n) for n in range(300, 310)))
            release.set()
            await until(lambda: len(slow) == 310)
            database.add("user", "310")
            await until(lambda: len(slow) == 311)
            assert slow == [str(n) for n in range(311)]
            assert contents(await quick.arrived(311)) == slow
            hub = memories._hub
            assert hub is not None
            await until(lambda: len(hub._feed.reader._groups) == 1 and not hub._feed.reader._behind)
            await until(lambda: behind.cursor == hub._feed.reader._groups[0].cursor)

    asyncio.run(main())


def test_an_only_subscriber_that_falls_behind_is_read_on_for_too(database: Database) -> None:
    config = Config(realtime=RealtimeConfig(events_per_second=None, largest_backlog=3, heartbeat=0.2))

    async def main() -> None:
        async with AsyncGravityMemory(database.dsn, config=config) as memories:
            subscription = await memories.subscribe_to_memories("user")
            await memories.remember_many({"user_id": "user", "content": str(n)} for n in range(50))
            await asyncio.sleep(1)
            got = [(await anext(subscription)).payload["content"] for _ in range(50)]
            assert got == [str(n) for n in range(50)]

    asyncio.run(main())


def test_the_limit_of_deliveries_coalesces_and_loses_nothing(database: Database) -> None:
    with GravityMemory(database.dsn) as memories:
        heard: Heard[Memory] = Heard()
        memories.subscribe_to_memories("user", heard)
        began = time.monotonic()
        database.add("user", *map(str, range(200)))
        heard.wait(200)
        assert contents(heard.items) == [str(number) for number in range(200)]
        deliveries = 1 + sum(after - before > 0.05 for before, after in itertools.pairwise(heard.times))
        assert deliveries <= 10 * (heard.times[-1] - began) + 2


def test_a_pool_of_channels_evicts_the_oldest_subscription(database: Database) -> None:
    async def main() -> None:
        async with AsyncGravityMemory(database.dsn, config=QUICK) as memories:
            pool = RealtimeChannelPool()
            heard: list[Heard[Memory]] = [Heard() for _ in range(11)]
            errors: Heard[Exception] = Heard()
            for number in range(11):
                pool.add(
                    f"user {number}",
                    await memories.subscribe_to_memories(f"user {number}", heard[number], on_error=errors),
                )
            assert isinstance((await errors.arrived(1))[0], SubscriptionEvicted)
            for number in range(11):
                database.add(f"user {number}", "x")
            for number in range(1, 11):
                await heard[number].arrived(1)
            assert heard[0].items == []
            pool.cleanup()
            assert memories._hub is not None
            await until(lambda: memories._hub is not None and memories._hub._is_empty)

    asyncio.run(main())


def test_unsubscribing_while_events_arrive_leaves_the_others_whole(database: Database) -> None:
    stop = threading.Event()
    written: list[str] = []

    def write() -> None:
        with database.connect() as connection:
            while not stop.is_set():
                add(connection, "user", str(len(written)))
                written.append(str(len(written)))

    with GravityMemory(database.dsn, config=QUICK) as memories:
        lasting: Heard[Memory] = Heard()
        memories.subscribe_to_memories("user", lasting)
        thread = threading.Thread(target=write)
        thread.start()
        try:
            for _ in range(30):
                heard: Heard[Memory] = Heard()
                subscription = memories.subscribe_to_memories("user", heard)
                heard.wait(1)
                subscription()
                got = contents(heard.items)
                assert got == [str(n) for n in range(int(got[0]), int(got[0]) + len(got))]
        finally:
            stop.set()
            thread.join()
        assert contents(lasting.wait(len(written))) == written


def test_the_connection_is_closed_when_nobody_listens_and_opened_when_somebody_does(database: Database) -> None:
    from gravity_memory import PoolConfig

    config = Config(realtime=QUICK.realtime, pool=PoolConfig(idle=0.2, min=0))

    async def main() -> None:
        async with AsyncGravityMemory(database.dsn, config=config) as memories:
            for number in range(2):
                heard: Heard[Memory] = Heard()
                async with await memories.subscribe_to_memories("user", heard):
                    assert len(database.listeners()) == 1
                    database.add("user", str(number))
                    await heard.arrived(1)
                await until(lambda: database.listeners() == [])

    asyncio.run(main())


def test_two_clients_of_one_program_do_not_disturb_each_other(database: Database) -> None:
    with GravityMemory(database.dsn, config=QUICK) as one, GravityMemory(database.dsn, config=QUICK) as other:
        first, second = Heard[Memory](), Heard[Memory]()
        one.subscribe_to_memories("user", first)
        other.subscribe_to_memories("user", second)
        one.remember("user", "a")
        first.wait(1)
        second.wait(1)
        one.close()
        other.remember("user", "b")
        assert contents(second.wait(2)) == ["a", "b"]
        assert contents(first.items) == ["a"]


def test_a_plain_callback_may_use_the_client_and_subscribe(database: Database) -> None:
    with GravityMemory(database.dsn, config=QUICK) as memories:
        answers: Heard[Memory] = Heard()

        def answer(memory: Memory) -> None:
            if not answers.items:
                memories.subscribe_to_memories("other", answers)
            memories.remember("other", f"answer to {memory.content}")

        memories.subscribe_to_memories("user", answer)
        memories.remember("user", "question")
        assert contents(answers.wait(1)) == ["answer to question"]


def test_a_coroutine_callback_of_the_sync_client_may_not_wait_for_it(database: Database) -> None:
    with GravityMemory(database.dsn, config=QUICK) as memories:
        errors: Heard[Exception] = Heard()

        async def wrong(_: Memory) -> None:
            memories.subscribe_to_memories("other", print)

        memories.subscribe_to_memories("user", wrong, on_error=errors)
        memories.remember("user", "x")
        assert "AsyncGravityMemory" in str(errors.wait(1)[0])


def test_closing_the_client_ends_its_subscriptions(database: Database) -> None:
    async def main() -> None:
        memories = AsyncGravityMemory(database.dsn, config=QUICK)
        started = asyncio.Event()
        ended: list[str] = []

        async def endless(_: Memory) -> None:
            started.set()
            try:
                await asyncio.sleep(3600)
            finally:
                ended.append("cancelled")

        subscription = await memories.subscribe_to_memories("user", endless)
        iterated = await memories.subscribe_to_memories("user")
        waiting = asyncio.create_task(anext(iterated, None))
        await memories.remember("user", "x")
        await started.wait()
        await memories.close()
        assert ended == ["cancelled"]
        assert subscription.closed
        assert await waiting is None or (await anext(iterated, None)) is None
        with pytest.raises(GravityMemoryError, match="closed"):
            await memories.subscribe_to_memories("user", print)
        with pytest.raises(GravityMemoryError, match="closed"):
            await memories.head()
        await memories.close()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
    assert database.listeners() == []


def test_a_subscription_is_a_context_manager(database: Database) -> None:
    with GravityMemory(database.dsn, config=QUICK) as memories:
        with memories.subscribe_to_memories("user") as events:
            memories.remember("user", "x")
            assert next(events).memory.content == "x"
        assert events.closed
        assert list(events) == []


def test_a_pool_of_the_caller_is_used_and_left_open(database: Database) -> None:
    with ConnectionPool(database.dsn, min_size=1, open=True) as pool:
        with GravityMemory(pool, config=QUICK) as memories:
            heard: Heard[Memory] = Heard()
            memories.subscribe_to_memories("user", heard)
            memories.remember("user", "x")
            heard.wait(1)
        with pool.connection() as connection:
            assert connection.execute("SELECT count(*) FROM gravity_map").fetchone() == (1,)

    async def main() -> None:
        async with (
            AsyncConnectionPool(database.dsn, min_size=1, open=False) as async_pool,
            AsyncGravityMemory(async_pool, config=QUICK) as memories,
        ):
            heard: Heard[Memory] = Heard()
            await memories.subscribe_to_memories("user", heard)
            await memories.remember("user", "y")
            await heard.arrived(1)

    asyncio.run(main())


def test_the_extension_may_be_in_any_schema_and_the_search_path_anywhere(make_database: MakeClientDatabase) -> None:
    database = make_database()
    database.execute("DROP EXTENSION gravity_memory CASCADE")
    database.execute('CREATE SCHEMA "my App%"')
    database.execute('CREATE EXTENSION gravity_memory SCHEMA "my App%"')
    database.execute("""SELECT "my App%".gravity_memory_set('notify', 'wakeup')""")
    dsn = make_conninfo(database.dsn, options="-c search_path=pg_catalog")
    for schema in (None, "my App%"):
        with GravityMemory(dsn, config=QUICK, schema=schema) as memories:
            heard: Heard[Memory] = Heard()
            memories.subscribe_to_memories("user", heard)
            memories.remember("user", "x", embedding=[0.5] * 1536)
            memories.remember_many([{"user_id": "user", "content": str(n)} for n in range(3)])
            heard.wait(4)
            assert len(memories.match("user", [0.5] * 1536)) >= 1
            assert memories.recall("user", "x")
            assert memories.changes("user", memories.head()).events == []


def test_a_database_without_the_extension_says_so(make_database: MakeClientDatabase) -> None:
    database = make_database()
    database.execute("DROP EXTENSION gravity_memory CASCADE")
    with GravityMemory(database.dsn, config=QUICK) as memories:
        with pytest.raises(NotInstalled, match="not installed"):
            memories.subscribe_to_memories("user", print)
        with pytest.raises(NotInstalled, match="not installed"):
            memories.check()


def test_a_database_that_announces_nothing_says_so(make_database: MakeClientDatabase) -> None:
    database = make_database(notify="off")
    with GravityMemory(database.dsn, config=QUICK) as memories:
        with pytest.raises(NotRecorded, match="announces nothing") as caught:
            memories.subscribe_to_memories("user", print)
        assert "wakeup" in (caught.value.hint or "")


def test_a_feed_without_wake_ups_is_read_every_second(make_database: MakeClientDatabase) -> None:
    database = make_database(notify="off", feed="on")
    with GravityMemory(database.dsn, config=QUICK) as memories:
        heard: Heard[Memory] = Heard()
        memories.subscribe_to_memories("user", heard)
        memories.remember("user", "x")
        heard.wait(1)


def test_a_feed_that_is_switched_off_ends_its_subscriptions(database: Database) -> None:
    async def main() -> None:
        async with AsyncGravityMemory(database.dsn, config=QUICK) as memories:
            subscription = await memories.subscribe_to_memories("user")
            database.execute("SELECT gravity_memory_set('notify', 'off')")
            with pytest.raises(NotRecorded):
                await anext(subscription)

    asyncio.run(main())


def test_a_server_that_is_not_there_is_an_error_after_the_retries() -> None:
    config = Config(retry=RetryConfig(attempts=2, delay=0.05, max_delay=0.1))
    with GravityMemory("host=127.0.0.1 port=1 user=nobody dbname=none", config=config) as memories:
        with pytest.raises(ConnectionLost):
            memories.subscribe_to_memories("user", print)
        with pytest.raises(InvalidInput):
            GravityMemory("no=such=thing").subscribe_to_memories("user", print)


def test_subscribing_may_be_cancelled(database: Database) -> None:
    async def main() -> None:
        async with AsyncGravityMemory(database.dsn, config=QUICK) as memories:
            task = asyncio.create_task(memories.subscribe_to_memories("user", print))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await until(lambda: memories._hub is not None and memories._hub._is_empty)

    asyncio.run(main())


def test_callbacks_and_cursors_of_the_wrong_kind_are_refused(database: Database) -> None:
    with GravityMemory(database.dsn, config=QUICK) as memories:
        with pytest.raises(InvalidInput, match="callback"):
            memories.subscribe_to_memories("user", "print")  # type: ignore[arg-type]
        with pytest.raises(InvalidInput, match="since"):
            memories.subscribe_to_memories("user", print, since=5)  # type: ignore[arg-type]
        with pytest.raises(InvalidInput, match="user_id"):
            memories.subscribe_to_memories(None, print)  # type: ignore[arg-type]


def test_a_role_that_may_not_read_the_feed_is_told_so(database: Database) -> None:
    role = f"client_role_{database.name}"
    database.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{database.server.password}'")
    try:
        dsn = make_conninfo(database.dsn, user=role)
        with GravityMemory(dsn, config=QUICK) as memories, pytest.raises(GravityMemoryError) as caught:
            memories.subscribe_to_memories("user", print)
        assert caught.value.sqlstate == "42501"
        assert isinstance(caught.value.__cause__, psycopg.errors.InsufficientPrivilege)
    finally:
        database.execute(f"DROP OWNED BY {role}")
        database.execute(f"DROP ROLE {role}")


class Desk:
    """Stands for the hub and for the connection that listens: a reader of the feed, and what a look is answered."""

    has_encoding = True

    def __init__(self, answer: Callable[[], Awaitable[list[Any]]]) -> None:
        self.loop = asyncio.get_running_loop()
        self.config = QUICK.realtime
        self.threads = CallbackThreads(1)
        self.reader = FeedReader(self.config)
        self._answer = answer

    def left(self, subscription: Subscription) -> None:
        self.reader.leave(subscription)

    def caught_up(self, subscription: Subscription) -> None:
        self.reader.caught_up(subscription)

    def subscribe(self, **more: Any) -> Subscription:
        """A subscription that is live."""
        kinds = frozenset(("memory_created",))
        request = Request(user_id="user", kinds=kinds, handlers={}, convert=lambda event: event, **more)
        subscription = Subscription(request, self)
        self.reader.enter(subscription)
        return subscription

    async def look(self) -> None:
        """Look once."""
        await self.reader.look(self, Statements("public"), 1)

    async def execute(self, query: Any, parameters: Any = ()) -> list[Any]:
        return await self._answer() if parameters else []


EMPTY = [(None, None, None, None, None, "1/1/place/:/", False, False, 1)]


class Expired(psycopg.DatabaseError):
    """What the server says of a place that is gone."""

    sqlstate = "72000"


def test_unsubscribing_during_the_look_that_would_have_failed_harms_nobody() -> None:
    async def main() -> None:
        async def answer() -> list[Any]:
            if leaving.closed:
                return EMPTY
            leaving()
            raise Expired("too old")

        desk = Desk(answer)
        leaving = desk.subscribe(since="old")
        staying = desk.subscribe(since="other")
        await desk.look()
        await desk.look()
        assert leaving.error is None
        assert staying.is_open
        assert staying.cursor == "1/1/place/:/"

    asyncio.run(main())


def test_each_of_those_that_end_together_has_an_error_of_its_own() -> None:
    async def main() -> None:
        answers: list[Any] = [EMPTY, Expired("too old")]

        async def answer() -> list[Any]:
            found = answers.pop(0)
            if isinstance(found, Exception):
                raise found
            return list(found)

        desk = Desk(answer)
        both = [desk.subscribe(since="old") for _ in range(2)]
        resyncing = desk.subscribe(since="old", on_resync=print)
        await desk.look()
        assert {one.cursor for one in (*both, resyncing)} == {"1/1/place/:/"}
        await desk.look()
        # It has no other place yet.
        assert resyncing.cursor == "1/1/place/:/"
        errors = []
        for one in both:
            with pytest.raises(FeedExpired) as caught:
                await anext(one)
            errors.append(caught.value)
        assert errors[0] is not errors[1]
        assert [(error.sqlstate, type(error.__cause__)) for error in errors] == [("72000", Expired)] * 2

    asyncio.run(main())


def test_what_python_cannot_read_concerns_its_own_subscribers_only(database: Database) -> None:
    with GravityMemory(database.dsn, config=QUICK) as memories:
        eve, bob, errors, others = Heard[Memory](), Heard[Memory](), Heard[Exception](), Heard[Exception]()
        start = memories.head()
        memories.subscribe_to_memories("eve", eve, on_error=errors)
        memories.subscribe_to_memories("bob", bob, on_error=others)
        poison = "INSERT INTO gravity_map (user_id, metadata) VALUES ('eve', %s::text::jsonb)"
        database.add("eve", "before")
        database.execute(poison, '{"n": %s}' % ("9" * 5000))
        database.execute(poison, '{"n": %s}' % ("[" * 2000 + "]" * 2000))
        database.add("eve", "after")
        database.add("bob", "bob")
        assert contents(eve.wait(2)) == ["before", "after"]
        assert contents(bob.wait(1)) == ["bob"]
        assert len(errors.wait(2)) == 2
        assert others.items == []
        # By hand: the page ends before such an event; then it is the first, and the error says what comes after it.
        page = memories.changes("eve", start)
        assert [event.payload["content"] for event in page.events] == ["before"]
        assert page.has_more
        with pytest.raises(GravityMemoryError, match="cannot be read") as caught:
            memories.changes("eve", page.next_cursor)
        cursor = str(caught.value.hint).rsplit(" ", 1)[1]
        with pytest.raises(GravityMemoryError, match="cannot be read") as caught:
            memories.changes("eve", cursor)
        cursor = str(caught.value.hint).rsplit(" ", 1)[1]
        assert [event.payload["content"] for event in memories.changes("eve", cursor).events] == ["after"]


def test_an_error_that_nobody_expected_is_one_more_reason_to_try_again(
    database: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looks = FeedReader.look
    failures = [ValueError("strange"), ZeroDivisionError("stranger")]

    async def failing(self: FeedReader, *arguments: Any) -> Any:
        if failures:
            raise failures.pop()
        return await looks(self, *arguments)

    with GravityMemory(database.dsn, config=QUICK) as memories:
        heard: Heard[Memory] = Heard()
        subscription = memories.subscribe_to_memories("user", heard)
        monkeypatch.setattr(FeedReader, "look", failing)
        database.add("user", "x")
        assert contents(heard.wait(1)) == ["x"]
        assert not subscription.closed
        assert failures == []
        assert "stranger" in caplog.text


@pytest.fixture
def make_encoded(server: Server) -> Iterator[Callable[[str], Database]]:
    """Make databases of another encoding, with the extension."""
    made: list[str] = []

    def make(encoding: str) -> Database:
        name = f"gravity_memory_client_{encoding.lower()}_{os.getpid()}"
        database = Database(server, name)
        with server.connect() as connection:
            statement = "CREATE DATABASE {} TEMPLATE template0 ENCODING {} LC_COLLATE 'C' LC_CTYPE 'C'"
            connection.execute(sql.SQL(statement).format(sql.Identifier(name), sql.Literal(encoding)))
        made.append(name)
        database.execute("CREATE EXTENSION gravity_memory CASCADE")
        return database

    yield make
    for name in made:
        server.drop_database(name)


def test_a_user_whom_the_database_cannot_hold_is_refused_alone(make_encoded: Callable[[str], Database]) -> None:
    database = make_encoded("LATIN1")
    for notify in ("wakeup", "payload"):
        database.execute("SELECT gravity_memory_set('notify', %s)", notify)
        _refuses_alone(database, [None] if notify == "payload" else [None, "head"])


def _refuses_alone(database: Database, places: Sequence[str | None]) -> None:
    with GravityMemory(database.dsn, config=QUICK) as memories:
        heard: Heard[Memory] = Heard()
        memories.subscribe_to_memories("caf\u00e9", heard)
        for place in places:
            since = memories.head() if place is not None else None
            with pytest.raises(InvalidInput, match="LATIN1"):
                memories.subscribe_to_memories("\u65e5\u672c", print, since=since)
        made = memories.remember("caf\u00e9", "na\u00efve")
        assert heard.wait(1)[0].id == made.id


def test_a_database_without_an_encoding_is_read_as_far_as_it_is_utf_8(
    make_encoded: Callable[[str], Database],
) -> None:
    database = make_encoded("SQL_ASCII")
    database.execute("SELECT gravity_memory_set('notify', 'wakeup')")
    with GravityMemory(database.dsn, config=QUICK) as memories:
        heard: Heard[Memory] = Heard()
        errors: Heard[Exception] = Heard()
        subscription = memories.subscribe_to_memories("caf\u00e9", heard, on_error=errors)
        # The server ends a connection to which it cannot send what somebody has notified.
        database.execute("SELECT pg_notify('memory_changes', E'\\xe9')")
        database.execute("INSERT INTO gravity_map (user_id, content) VALUES (%s, E'\\xe9')", "caf\u00e9")
        memories.remember("caf\u00e9", "na\u00efve")
        assert contents(heard.wait(1)) == ["na\u00efve"]
        assert "cannot be read" in str(errors.wait(1)[0])
        assert not subscription.closed


def test_an_eviction_is_told_though_the_client_is_closed_at_once(database: Database) -> None:
    with GravityMemory(database.dsn, config=QUICK) as memories:
        begun = threading.Event()
        release = threading.Event()
        errors: Heard[Exception] = Heard()

        def slow(_: Memory) -> None:
            begun.set()
            release.wait(60)

        subscription = memories.subscribe_to_memories("user", slow, on_error=errors)
        memories.remember("user", "x")
        begun.wait(60)
        pool = RealtimeChannelPool(1)
        pool.add("a", subscription)
        pool.add("b", memories.subscribe_to_memories("user"))
        threading.Timer(0.1, release.set).start()
    assert [type(error) for error in errors.items] == [SubscriptionEvicted]


class NeverConnects(Connector):
    """Waits for a connection for ever, also for a while after it was told to stop."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        self.stop = asyncio.Event()

    async def connect(self) -> Any:
        try:
            await asyncio.sleep(3600)
        finally:
            self.stopping.set()
            await self.stop.wait()


def test_whoever_is_cancelled_while_closing_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gravity_memory.realtime.hub._CLOSING_SECONDS", 0.2)

    async def main() -> None:
        connector = NeverConnects()
        hub = Hub(connector, QUICK, "public")
        request = Request(user_id="user", kinds=frozenset(), handlers={}, convert=lambda event: event)
        subscribing = asyncio.create_task(hub.subscribe(request))
        await asyncio.sleep(0.01)
        closing = asyncio.create_task(hub.close())
        await connector.stopping.wait()
        closing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await closing
        with pytest.raises(GravityMemoryError, match="closed"):
            await subscribing
        connector.stop.set()
        await hub.close()

    asyncio.run(main())


def test_subscribing_that_is_cancelled_while_the_client_closes_is_cancelled() -> None:
    async def main() -> None:
        hub = Hub(NeverConnects(), QUICK, "public")
        request = Request(user_id="user", kinds=frozenset(), handlers={}, convert=lambda event: event)
        subscribing = asyncio.create_task(hub.subscribe(request))
        await asyncio.sleep(0)
        subscribing.cancel()
        closing = asyncio.create_task(hub.close())
        for subscription in list(hub._made):
            subscription.close()
        with pytest.raises(asyncio.CancelledError):
            await subscribing
        await closing

    asyncio.run(main())
