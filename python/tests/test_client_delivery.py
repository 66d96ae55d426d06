"""How events are handed over: in order, at a rate, one at a time, and without one subscriber stalling another.

No server is needed: the tests queue the events themselves.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import os
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, TypeVar
from uuid import uuid4

import pytest
from gravity_memory import (
    ConnectionLost,
    Event,
    EventsLost,
    FeedExpired,
    GravityMemoryError,
    Memory,
    RealtimeConfig,
    Subscription,
    SubscriptionEvicted,
)
from gravity_memory.raw_events import RawEvent
from gravity_memory.realtime.callbacks import CallbackThreads
from gravity_memory.realtime.items import Request
from gravity_memory.realtime.lobby import Lobby

from devtools import REPO
from python.tests.client_support import Heard, contents, until

T = TypeVar("T")


class Reader:
    """Stands for the hub: queues events for its subscriptions."""

    def __init__(self, config: RealtimeConfig) -> None:
        self.loop = asyncio.get_running_loop()
        self.config = config
        self.threads = CallbackThreads(config.callback_threads)
        self.gone: list[Subscription] = []
        self.caught_up_again: list[Subscription] = []
        self.cursor = "start"
        self.number = 0

    def left(self, subscription: Subscription) -> None:
        self.gone.append(subscription)

    def caught_up(self, subscription: Subscription) -> None:
        self.caught_up_again.append(subscription)

    def subscribe(self, *callbacks: Callable[[Memory], object] | None, **more: Any) -> Subscription:
        """A subscription for memory_created, memory_updated, memory_deleted; live."""
        kinds = ("memory_created", "memory_updated", "memory_deleted")
        handlers = {kind: callback for kind, callback in zip(kinds, callbacks, strict=False) if callback is not None}
        request = Request(
            user_id="user", kinds=frozenset(handlers or kinds), handlers=handlers, convert=lambda e: e.memory, **more
        )
        subscription = Subscription(request, self)
        subscription.joined.set_result(None)
        subscription.place = self
        return subscription

    def send(self, *subscriptions: Subscription, event: str = "memory_created", count: int = 1) -> None:
        """Queue events, as a look that found them would."""
        base = self.cursor
        for _ in range(count):
            self.number += 1
            identity = uuid4()
            payload = json.dumps({"id": str(identity), "content": str(self.number), "metadata": {"a": [1]}})
            made = RawEvent(event, "user", identity, payload, datetime.now(UTC), f"after {self.number}")
            for subscription in (one for one in subscriptions if one.wants(event)):
                subscription.offer(made, base=base)
        self.cursor = f"look {self.number}"


def numbers(first: int, last: int) -> list[str]:
    return [str(number) for number in range(first, last + 1)]


def run(test: Callable[[Reader], Awaitable[T]], **config: Any) -> T:
    """Run a test on an event loop, with a reader of this configuration."""

    async def main() -> T:
        reader = Reader(RealtimeConfig(**{"events_per_second": None, **config}))
        try:
            return await test(reader)
        finally:
            reader.threads.close()

    return asyncio.run(main())


@dataclass
class Collect:
    """An asynchronous callback that notes what it gets."""

    items: list[Any] = field(default_factory=list)
    delay: float = 0

    async def __call__(self, item: Any) -> None:
        if self.delay:
            await asyncio.sleep(self.delay)
        self.items.append(item)


@pytest.mark.parametrize("kind", [Heard, Collect])
def test_every_event_is_handed_over_once_and_in_order(kind: Callable[[], Any]) -> None:
    async def test(reader: Reader) -> None:
        heard = kind()
        subscription = reader.subscribe(heard)
        for _ in range(20):
            reader.send(subscription, count=50)
            await asyncio.sleep(0)
        await until(lambda: len(heard.items) >= 1000)
        assert contents(heard.items) == numbers(1, 1000)

    run(test)


def test_plain_functions_and_coroutine_functions_of_one_subscription_keep_the_order() -> None:
    async def test(reader: Reader) -> None:
        order: list[str | None] = []

        async def updated(memory: Memory) -> None:
            await asyncio.sleep(0.001)
            order.append(memory.content)

        subscription = reader.subscribe(lambda memory: order.append(memory.content), updated)
        for _ in range(10):
            reader.send(subscription, count=3)
            reader.send(subscription, event="memory_updated", count=2)
        await until(lambda: len(order) >= 50)
        assert order == numbers(1, 50)

    run(test)


def test_a_function_that_returns_a_coroutine_has_it_awaited() -> None:
    async def test(reader: Reader) -> None:
        collect = Collect(delay=0.001)
        subscription = reader.subscribe(lambda memory: collect(memory))
        reader.send(subscription, count=5)
        await until(lambda: len(collect.items) == 5)
        assert contents(collect.items) == numbers(1, 5)

    run(test)


def test_there_are_no_more_deliveries_a_second_than_allowed_and_nothing_is_lost() -> None:
    async def test(reader: Reader) -> None:
        heard: Heard[Memory] = Heard()
        subscription = reader.subscribe(heard)
        began = time.monotonic()
        while time.monotonic() - began < 1.0:
            reader.send(subscription, count=3)
            await asyncio.sleep(0.005)
        sent = reader.number
        await heard.arrived(sent)
        assert contents(heard.items) == numbers(1, sent)
        # What is handed over at once is one delivery: its callbacks follow each other without a pause.
        starts = [heard.times[0]]
        for before, after in itertools.pairwise(heard.times):
            if after - before > 0.03:
                starts.append(after)
        assert 3 <= len(starts) <= 10 * (starts[-1] - starts[0]) + 1.5

    run(test, events_per_second=10)


def test_an_event_after_a_quiet_time_is_not_delayed() -> None:
    async def test(reader: Reader) -> None:
        heard: Heard[Memory] = Heard()
        subscription = reader.subscribe(heard)
        began = time.monotonic()
        reader.send(subscription)
        await heard.arrived(1)
        assert heard.times[0] - began < 0.5

    run(test, events_per_second=0.5)


@pytest.mark.parametrize("is_coroutine", [True, False])
def test_a_slow_callback_stalls_nobody_else(is_coroutine: bool) -> None:
    async def test(reader: Reader) -> None:
        release = threading.Event()

        async def slow_coroutine(_: Memory) -> None:
            while not release.is_set():
                await asyncio.sleep(0.01)

        def slow_function(_: Memory) -> None:
            release.wait(60)

        slow = [reader.subscribe(slow_coroutine if is_coroutine else slow_function) for _ in range(20)]
        heard: Heard[Memory] = Heard()
        quick = reader.subscribe(heard)
        reader.send(*slow, quick, count=10)
        await heard.arrived(10)
        assert all(subscription.cursor == "start" for subscription in slow)
        release.set()
        await until(lambda: all(subscription.cursor == "look 10" for subscription in slow))

    run(test)


def test_a_raising_callback_is_told_to_on_error_and_gets_the_next_event() -> None:
    async def test(reader: Reader) -> None:
        errors: Heard[Exception] = Heard()
        heard: Heard[Memory] = Heard()

        def raising(memory: Memory) -> None:
            heard(memory)
            if int(memory.content or 0) % 2:
                raise ValueError(memory.content)

        other: Heard[Memory] = Heard()
        subscriptions = [reader.subscribe(raising, on_error=errors), reader.subscribe(other)]
        reader.send(*subscriptions, count=6)
        assert contents(await heard.arrived(6)) == numbers(1, 6)
        assert [str(error) for error in await errors.arrived(3)] == ["1", "3", "5"]
        assert contents(await other.arrived(6)) == numbers(1, 6)
        await until(lambda: subscriptions[0].cursor == "look 6")

    run(test)


@pytest.mark.parametrize("error", [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), StopIteration()])
def test_whatever_a_plain_callback_raises_the_loop_goes_on(error: BaseException) -> None:
    async def test(reader: Reader) -> None:
        errors: Heard[Exception] = Heard()

        def raising(_: Memory) -> None:
            raise error

        subscription = reader.subscribe(raising, on_error=errors)
        reader.send(subscription, count=2)
        assert await errors.arrived(2) == [error, error]

    run(test)


def test_a_coroutine_that_cancels_itself_is_an_error_like_any_other() -> None:
    async def test(reader: Reader) -> None:
        errors: Heard[Exception] = Heard()

        async def cancelled(_: Memory) -> None:
            raise asyncio.CancelledError

        subscription = reader.subscribe(cancelled, on_error=errors)
        reader.send(subscription, count=2)
        assert len(await errors.arrived(2)) == 2

    run(test)


def test_without_on_error_what_a_callback_raises_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def test(reader: Reader) -> None:
        async def raising(_: Memory) -> None:
            raise ValueError("why not")

        subscription = reader.subscribe(raising)
        reader.send(subscription)
        await until(lambda: caplog.records)
        assert "why not" in caplog.text

    with caplog.at_level(logging.ERROR, "gravity_memory"):
        run(test)


def test_an_on_error_that_raises_is_logged_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    async def test(reader: Reader) -> None:
        heard: Heard[Memory] = Heard()

        def raising(memory: Memory) -> None:
            heard(memory)
            raise ValueError

        def worse(_: Exception) -> None:
            raise RuntimeError("worse")

        subscription = reader.subscribe(raising, on_error=worse)
        reader.send(subscription, count=3)
        await heard.arrived(3)
        await until(lambda: caplog.text.count("worse") >= 3)

    with caplog.at_level(logging.ERROR, "gravity_memory"):
        run(test)


@pytest.mark.parametrize("is_coroutine", [True, False])
def test_a_callback_may_unsubscribe_and_gets_nothing_more(is_coroutine: bool) -> None:
    async def test(reader: Reader) -> None:
        seen: list[str | None] = []

        def stop_at_three(memory: Memory) -> None:
            seen.append(memory.content)
            if len(seen) == 3:
                subscription()
                subscription()

        async def coroutine(memory: Memory) -> None:
            stop_at_three(memory)

        subscription = reader.subscribe(coroutine if is_coroutine else stop_at_three)
        reader.send(subscription, count=10)
        await until(lambda: reader.gone)
        reader.send(subscription, count=10)
        await asyncio.sleep(0.05)
        assert seen == ["1", "2", "3"]
        assert subscription.closed
        # From here the other seven come again.
        assert subscription.cursor == "after 3"

    run(test)


def test_nothing_starts_after_another_thread_has_unsubscribed_while_events_arrive() -> None:
    async def test(reader: Reader) -> None:
        for _ in range(20):
            heard: Heard[Memory] = Heard()
            subscription = reader.subscribe(heard)
            counts: list[int] = []

            def unsubscribe(heard: Heard[Memory], leave: Subscription, counts: list[int]) -> None:
                heard.wait(5)
                leave()
                # One callback may be running.
                counts.append(len(heard.items) + 1)

            thread = threading.Thread(target=unsubscribe, args=(heard, subscription, counts))
            thread.start()
            while thread.is_alive():
                reader.send(subscription, count=3)
                await asyncio.sleep(0)
            await until(lambda leave=subscription: leave in reader.gone)  # type: ignore[misc]
            await asyncio.sleep(0.005)
            assert len(heard.items) <= counts[0]
            assert contents(heard.items) == numbers(int(heard.items[0].content or 0), reader.number)[: len(heard.items)]

    run(test)


def test_the_cursor_is_behind_what_the_callback_has_not_finished() -> None:
    async def test(reader: Reader) -> None:
        steps: asyncio.Queue[None] = asyncio.Queue()
        done: list[Memory] = []

        async def stepwise(memory: Memory) -> None:
            await steps.get()
            done.append(memory)

        subscription = reader.subscribe(stepwise)
        assert subscription.cursor == "start"
        reader.cursor = "later"
        assert subscription.cursor == "later"
        reader.send(subscription, count=2)
        await asyncio.sleep(0.01)
        assert subscription.cursor == "later"
        steps.put_nowait(None)
        await until(lambda: done)
        await until(lambda: subscription.cursor == "after 1")
        steps.put_nowait(None)
        await until(lambda: subscription.cursor == "look 2")
        reader.cursor = "later still"
        assert subscription.cursor == "later still"
        subscription()
        reader.cursor = "without us"
        assert subscription.cursor == "later still"

    run(test)


def test_a_cursor_does_not_pass_what_came_between_closing_and_leaving() -> None:
    async def test(reader: Reader) -> None:
        heard: Heard[Memory] = Heard()
        subscription = reader.subscribe(heard)
        reader.send(subscription)
        await heard.arrived(1)
        await until(lambda: subscription.cursor == "look 1")
        thread = threading.Thread(target=subscription)
        thread.start()
        thread.join()
        # The loop has not heard of it yet.
        assert subscription.wants("memory_created")
        reader.send(subscription)
        await until(lambda: reader.gone)
        assert subscription.cursor == "look 1"
        assert len(heard.items) == 1

    run(test)


def test_without_callbacks_a_subscription_is_iterated_over() -> None:
    async def test(reader: Reader) -> None:
        subscription = reader.subscribe()
        reader.send(subscription, count=2)
        reader.send(subscription, event="memory_deleted")
        found = []
        async for event in subscription:
            found.append((event.event, event.payload["content"]))
            assert subscription.cursor == ("start" if len(found) == 1 else f"after {len(found) - 1}")
            if len(found) == 3:
                subscription()
        assert found == [("memory_created", "1"), ("memory_created", "2"), ("memory_deleted", "3")]
        with pytest.raises(StopAsyncIteration):
            await anext(subscription)

    run(test)


def test_another_thread_may_iterate_and_one_that_waits_is_released() -> None:
    async def test(reader: Reader) -> None:
        subscription = reader.subscribe()
        found: list[str] = []

        def consume() -> None:
            for event in subscription:
                found.append(event.payload["content"])

        thread = threading.Thread(target=consume)
        thread.start()
        for _ in range(10):
            reader.send(subscription, count=3)
            await asyncio.sleep(0.001)
        await until(lambda: len(found) == 30)
        await until(lambda: subscription.cursor == "look 30" or len(found) == 30)
        subscription()
        await asyncio.to_thread(thread.join)
        assert found == numbers(1, 30)

    run(test)


def test_iterating_on_the_loop_itself_is_refused_because_it_would_stop_it() -> None:
    async def test(reader: Reader) -> None:
        with pytest.raises(RuntimeError, match="async for"):
            next(reader.subscribe())

    run(test)


def test_a_subscription_with_callbacks_is_not_iterated_over() -> None:
    async def test(reader: Reader) -> None:
        with pytest.raises(TypeError, match="callbacks"):
            await anext(reader.subscribe(print))

    run(test)


def test_a_cancelled_wait_loses_no_event() -> None:
    async def test(reader: Reader) -> None:
        subscription = reader.subscribe()
        for _ in range(5):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(anext(subscription), 0.01)
        reader.send(subscription)
        assert (await anext(subscription)).payload["content"] == "1"

    run(test)


def test_the_rate_holds_for_iterating_too() -> None:
    async def test(reader: Reader) -> None:
        subscription = reader.subscribe()
        reader.send(subscription)
        await anext(subscription)
        began = time.monotonic()
        reader.send(subscription, count=5)
        for _ in range(5):
            await anext(subscription)
        assert 0.05 < time.monotonic() - began < 0.5

    run(test, events_per_second=10)


def test_subscribers_of_one_event_cannot_change_each_others() -> None:
    async def test(reader: Reader) -> None:
        def spoil(memory: Memory) -> None:
            assert memory.metadata is not None
            memory.metadata["a"].append("spoilt")

        heard: Heard[Memory] = Heard()
        spoilt = [reader.subscribe(spoil) for _ in range(3)]
        iterated = reader.subscribe()
        honest = reader.subscribe(heard)
        reader.send(*spoilt, iterated, honest)
        await until(lambda: all(one.cursor == "look 1" for one in spoilt))
        assert (await heard.arrived(1))[0].metadata == {"a": [1]}
        assert (await anext(iterated)).payload["metadata"] == {"a": [1]}

    run(test)


def test_an_eviction_is_told_and_ends_it_at_once() -> None:
    async def test(reader: Reader) -> None:
        errors: Heard[Exception] = Heard()
        heard: Heard[Memory] = Heard()
        subscription = reader.subscribe(heard, on_error=errors)
        iterated = reader.subscribe()
        reader.send(iterated, count=3)
        evicted = SubscriptionEvicted("no room")
        subscription.close(evicted)
        iterated.close(evicted)
        assert await errors.arrived(1) == [evicted]
        assert subscription.error is evicted
        assert iterated.cursor == "start"
        with pytest.raises(SubscriptionEvicted):
            await anext(iterated)
        with pytest.raises(StopAsyncIteration):
            await anext(iterated)

    run(test)


def test_what_ends_a_subscription_comes_after_the_events_before_it() -> None:
    async def test(reader: Reader) -> None:
        order: list[object] = []
        subscription = reader.subscribe(lambda memory: order.append(memory.content), on_error=order.append)
        iterated = reader.subscribe()
        reader.send(subscription, iterated, count=2)
        expired = FeedExpired("too old")
        for one in (subscription, iterated):
            one.end(expired)
            one.end(GravityMemoryError("a second end"))
        reader.send(subscription, iterated)
        await until(lambda: len(order) == 3)
        assert order == ["1", "2", expired]
        assert subscription.closed
        assert [(await anext(iterated)).payload["content"] for _ in range(2)] == ["1", "2"]
        with pytest.raises(FeedExpired):
            await anext(iterated)
        assert iterated.closed
        assert iterated.error is expired
        assert subscription.cursor == "after 2"

    run(test)


def test_a_resync_comes_between_the_events_before_and_after_it() -> None:
    async def test(reader: Reader) -> None:
        order: list[object] = []

        async def resync(error: EventsLost) -> None:
            await asyncio.sleep(0.01)
            order.append(error)

        subscription = reader.subscribe(lambda memory: order.append(memory.content), on_resync=resync)
        reader.send(subscription, count=2)
        lost = FeedExpired("a break")
        subscription.resync(lost, "new head")
        reader.cursor = "new head"
        reader.send(subscription)
        assert subscription.cursor == "start"
        await until(lambda: len(order) == 4)
        assert order == ["1", "2", lost, "3"]

    run(test)


def test_a_warning_does_not_end_it() -> None:
    async def test(reader: Reader) -> None:
        errors: Heard[Exception] = Heard()
        heard: Heard[Memory] = Heard()
        subscription = reader.subscribe(heard, on_error=errors)
        lost = ConnectionLost("three times")
        subscription.warn(lost)
        reader.send(subscription)
        assert await errors.arrived(1) == [lost]
        await heard.arrived(1)
        assert not subscription.closed

    run(test)


def test_a_full_backlog_says_when_it_has_room_again() -> None:
    async def test(reader: Reader) -> None:
        release = asyncio.Event()

        async def slow(_: Memory) -> None:
            await release.wait()

        subscription = reader.subscribe(slow)
        reader.send(subscription, count=10)
        assert subscription.room == 0
        subscription.is_waiting_for_room = True
        await asyncio.sleep(0.01)
        assert reader.caught_up_again == []
        release.set()
        await until(lambda: reader.caught_up_again)
        assert subscription.room == 10

    run(test, largest_backlog=10)


@pytest.mark.parametrize("is_iterated", [True, False])
def test_in_payload_mode_a_full_backlog_drops_the_oldest_and_tells_how_many_where_they_were(is_iterated: bool) -> None:
    async def test(reader: Reader) -> None:
        release = asyncio.Event()
        errors: Heard[Exception] = Heard()
        order: list[str | EventsLost | None] = []

        async def slow(memory: Memory) -> None:
            await release.wait()
            order.append(memory.content)

        async def resync(error: EventsLost) -> None:
            order.append(error)

        subscription = reader.subscribe(*([] if is_iterated else [slow]), on_resync=resync, on_error=errors)
        reader.send(subscription)
        await asyncio.sleep(0.01)
        for _ in range(99):
            subscription.make_room()
            reader.send(subscription)
        release.set()
        if is_iterated:
            await asyncio.sleep(0.01)
            assert order == []
            while order[-1:] != ["100"]:
                order.append((await anext(subscription)).payload["content"])
        else:
            await until(lambda: order[-1:] == ["100"])
        (lost,) = [one for one in order if isinstance(one, EventsLost)]
        position = order.index(lost)
        assert lost.count == 100 - (len(order) - 1)
        assert f"{lost.count} events" in repr(lost)
        assert order[:position] == ([] if is_iterated else ["1"])
        assert order[position + 1 :] == numbers(position + lost.count + 1, 100)
        assert 5 <= len(order) <= 12
        assert errors.items == []

    run(test, largest_backlog=10)


@pytest.mark.parametrize("is_awaited", [True, False])
def test_a_callback_that_cancels_its_task_has_had_its_event_and_gets_the_next(is_awaited: bool) -> None:
    async def test(reader: Reader) -> None:
        seen: list[str | None] = []
        errors: Heard[Exception] = Heard()

        async def cancelling(memory: Memory) -> None:
            seen.append(memory.content)
            if memory.content in ("2", "4"):
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
                await asyncio.sleep(0)

        subscription = reader.subscribe(
            cancelling if is_awaited else lambda memory: cancelling(memory), on_error=errors
        )
        reader.send(subscription, count=5)
        await until(lambda: len(seen) >= 5)
        reader.send(subscription)
        await until(lambda: len(seen) >= 6)
        assert seen == numbers(1, 6)
        await until(lambda: subscription.cursor == "look 6")
        assert ["was cancelled" in str(error) for error in await errors.arrived(2)] == [True, True]

    run(test)


def test_a_delivery_cancelled_while_a_thread_has_an_event_goes_on_when_the_thread_has_done() -> None:
    async def test(reader: Reader) -> None:
        begun, release = threading.Event(), threading.Event()
        seen: list[str | None] = []
        running: list[int] = []

        def slow(memory: Memory) -> None:
            running.append(1)
            seen.append(memory.content)
            assert len(running) == 1
            begun.set()
            release.wait(60)
            running.pop()

        subscription = reader.subscribe(slow)
        reader.send(subscription, count=5)
        await until(begun.is_set)
        for _ in range(3):
            for task in subscription.tasks():
                task.cancel()
            await asyncio.sleep(0.005)
        reader.send(subscription)
        await asyncio.sleep(0.005)
        assert seen == ["1"]
        release.set()
        await until(lambda: subscription.cursor == "look 6")
        assert seen == numbers(1, 6)

    run(test)


def test_when_iterating_news_come_between_the_events_before_and_after_them() -> None:
    async def test(reader: Reader) -> None:
        order: list[object] = []

        async def note(error: Exception) -> None:
            await asyncio.sleep(0.005)
            order.append(error)

        subscription = reader.subscribe(on_resync=note, on_error=lambda error: order.append(error))
        reader.send(subscription, count=2)
        lost, outage, expired = FeedExpired("a break"), ConnectionLost("three times"), FeedExpired("too old")
        subscription.resync(lost, "new head")
        reader.cursor = "new head"
        reader.send(subscription)
        subscription.warn(outage)
        reader.send(subscription)
        subscription.end(expired)
        await asyncio.sleep(0.01)
        assert order == []
        order.append((await anext(subscription)).payload["content"])
        order.append((await anext(subscription)).payload["content"])
        # Whoever is cancelled while it is told neither hears it twice nor is ahead of it.
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(subscription), 0.001)
        for _ in range(2):
            order.append((await anext(subscription)).payload["content"])
        assert subscription.cursor == "after 3"
        with pytest.raises(FeedExpired):
            await anext(subscription)
        assert order == ["1", "2", lost, "3", outage, "4", expired]

    run(test)


def test_another_thread_that_iterates_waits_for_the_news_too() -> None:
    async def test(reader: Reader) -> None:
        order: list[object] = []
        subscription = reader.subscribe(on_resync=order.append)
        reader.send(subscription)
        lost = EventsLost("a break")
        subscription.resync(lost, None)
        reader.send(subscription)

        def consume() -> None:
            for event in subscription:
                order.append(event.payload["content"])

        thread = threading.Thread(target=consume)
        thread.start()
        await until(lambda: len(order) == 3)
        assert order == ["1", lost, "2"]
        subscription()
        await asyncio.to_thread(thread.join)

    run(test)


def test_room_that_was_made_before_somebody_waited_for_it_is_found() -> None:
    async def test(reader: Reader) -> None:
        subscription = reader.subscribe()
        reader.send(subscription)
        await anext(subscription)
        assert subscription.room == 0
        await asyncio.to_thread(subscription._iteration.acknowledge)
        subscription.wait_for_room()
        await until(lambda: reader.caught_up_again)

    run(test, largest_backlog=1)


def test_the_cursor_stays_when_the_place_is_lost() -> None:
    async def test(reader: Reader) -> None:
        subscription = reader.subscribe()
        reader.cursor = "later"
        subscription.lose_place()
        reader.cursor = "without us"
        assert subscription.cursor == "later"

    run(test)


UNREADABLE = {
    "a number of 5,000 digits": '{"metadata": {"n": %s}}' % ("9" * 5000),
    "5,000 nested lists": '{"metadata": %s}' % ("[" * 5000 + "]" * 5000),
    "no UTF-8": b'{"content": "caf\xe9"}',
    "no object": "5",
}


@pytest.mark.parametrize("kind", [Heard, Collect, None])
@pytest.mark.parametrize("payload", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_an_event_that_cannot_be_read_is_an_error_of_its_own(
    kind: Callable[[], Any] | None, payload: str | bytes
) -> None:
    async def test(reader: Reader) -> None:
        errors: Heard[Exception] = Heard()
        heard = kind() if kind is not None else Collect()
        subscription = reader.subscribe(*([heard] if kind is not None else []), on_error=errors)
        reader.send(subscription)
        strange = RawEvent("memory_created", "user", uuid4(), payload, datetime.now(UTC), "after it")
        subscription.offer(strange, base=reader.cursor)
        reader.send(subscription)
        if kind is None:
            heard.items += [(await anext(subscription)).memory, (await anext(subscription)).memory]
        await until(lambda: len(heard.items) == 2)
        assert contents(heard.items) == ["1", "2"]
        (error,) = await errors.arrived(1)
        assert isinstance(error, GravityMemoryError)
        assert str(strange.subject_id) in str(error)
        assert "after it" in str(error)
        assert not subscription.closed
        if kind is not None:
            await until(lambda: subscription.cursor == "look 2")

    run(test)


def test_what_one_subscriber_can_read_several_can() -> None:
    async def test(reader: Reader) -> None:
        deep = '{"content": "deep", "metadata": {"a": %s}}' % ("[" * 500 + "]" * 500)
        event = RawEvent("memory_created", "user", uuid4(), deep, datetime.now(UTC), "after it")
        for subscription in (reader.subscribe(), reader.subscribe()):
            subscription.offer(event, base=reader.cursor)
            assert (await anext(subscription)).payload["content"] == "deep"

    run(test)


def test_callbacks_that_never_wait_leave_the_loop_its_turns() -> None:
    async def test(reader: Reader) -> None:
        turns = 0
        seen: list[int] = []

        async def tick() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        async def note(_: Memory) -> None:
            seen.append(turns)

        ticking = asyncio.create_task(tick())
        reader.send(reader.subscribe(note), count=1000)
        await until(lambda: len(seen) == 1000)
        ticking.cancel()
        assert seen[-1] - seen[0] >= 10

    run(test)


class Interrupting(deque[Any]):
    """Calls something before an item is taken, as a signal handler may be called."""

    handler: Callable[[], object]

    def popleft(self) -> Any:
        self.handler()
        return super().popleft()


def test_a_signal_handler_may_unsubscribe_whatever_it_interrupts() -> None:
    async def test(reader: Reader) -> None:
        subscription = reader.subscribe()
        reader.send(subscription)
        await asyncio.sleep(0.01)
        ready = subscription._iteration._ready = Interrupting(subscription._iteration._ready)
        ready.handler = subscription
        ended: list[list[Event]] = []
        thread = threading.Thread(target=lambda: ended.append(list(subscription)), daemon=True)
        thread.start()
        await until(lambda: ended, 10)
        assert ended == [[]]

    run(test)


def test_what_is_told_of_an_eviction_waits_for_the_callback_that_runs() -> None:
    async def test(reader: Reader) -> None:
        begun, release = threading.Event(), threading.Event()
        errors: Heard[Exception] = Heard()

        def slow(_: Memory) -> None:
            begun.set()
            release.wait(60)

        subscription = reader.subscribe(slow, on_error=errors)
        reader.send(subscription, count=2)
        await until(begun.is_set)
        evicted = SubscriptionEvicted("no room")
        subscription.close(evicted)
        # As a client does that is closed.
        subscription.cancel_callback()
        assert subscription.tasks()
        await asyncio.sleep(0.01)
        assert errors.items == []
        release.set()
        assert await errors.arrived(1) == [evicted]
        await until(lambda: not subscription.tasks())

    run(test)


def test_a_blocked_callback_does_not_keep_the_program_from_ending() -> None:
    program = (
        "import asyncio, threading\n"
        "from gravity_memory.realtime.callbacks import CallbackThreads\n"
        "async def main():\n"
        "    begun = threading.Event()\n"
        "    CallbackThreads(1).start(lambda: (begun.set(), threading.Event().wait()))\n"
        "    begun.wait()\n"
        "asyncio.run(main())\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(REPO / "python" / "src")}
    subprocess.run([sys.executable, "-B", "-c", program], env=environment, timeout=60, check=True)


def test_threads_that_are_closed_start_nothing_more_and_say_so() -> None:
    async def test(reader: Reader) -> None:
        release = threading.Event()
        running = reader.threads.start(release.wait, 60)
        waiting = reader.threads.start(release.wait, 60)
        reader.threads.close()
        release.set()
        assert await running
        with pytest.raises(RuntimeError, match="closed"):
            await waiting
        with pytest.raises(RuntimeError, match="closed"):
            await reader.threads.run(print, "no")

    run(test, callback_threads=1)


def test_a_thousand_subscriptions_share_one_event() -> None:
    async def test(reader: Reader) -> None:
        heard: Heard[Memory] = Heard()
        subscriptions = [reader.subscribe(heard) for _ in range(1000)]
        reader.send(*subscriptions)
        await heard.arrived(1000)
        assert {memory.content for memory in heard.items} == {"1"}

    run(test)


def test_whoever_comes_while_another_user_is_examined_is_let_in_after_having_been_examined_too() -> None:
    class Examiner:
        """Takes its time, in which somebody comes."""

        def __init__(self, lobby: Lobby, coming: list[Subscription]) -> None:
            self.lobby, self.coming, self.examined = lobby, coming, 0

        async def problem_with(self, _: str) -> GravityMemoryError | None:
            self.examined += 1
            if self.coming:
                self.lobby.enter(self.coming.pop())
            return None

    async def test(reader: Reader) -> None:
        lobby = Lobby()
        first, second = reader.subscribe(), reader.subscribe()
        lobby.enter(first)
        examiner = Examiner(lobby, [second])
        assert await lobby.let_in(examiner) == [(first, None)]
        assert lobby.has_newcomers
        assert await lobby.let_in(examiner) == [(second, None)]
        assert examiner.examined == 2
        assert lobby.is_empty

    run(test)
