"""A limited number of subscriptions: the oldest makes room, and is told."""

from __future__ import annotations

import threading

import pytest
from gravity_memory import GravityMemoryError, InvalidInput, RealtimeChannelPool, SubscriptionEvicted


class Channel:
    """What a subscription is to the pool."""

    def __init__(self) -> None:
        self.closed = False
        self.error: GravityMemoryError | None = None

    def close(self, error: GravityMemoryError | None = None) -> None:
        assert not self.closed
        self.closed = True
        self.error = error


def test_the_oldest_is_evicted_and_told() -> None:
    pool = RealtimeChannelPool()
    channels = [Channel() for _ in range(12)]
    for number, channel in enumerate(channels):
        pool.add(f"user {number}", channel)
    assert [channel.closed for channel in channels] == [True] * 2 + [False] * 10
    assert isinstance(channels[0].error, SubscriptionEvicted)
    assert "'user 0'" in str(channels[0].error)
    assert len(pool) == 10
    assert "user 0" not in pool
    assert "user 11" in pool


def test_a_key_given_again_evicts_its_subscription_and_no_other() -> None:
    pool = RealtimeChannelPool(2)
    first, second, third = Channel(), Channel(), Channel()
    pool.add("a", first)
    pool.add("b", second)
    pool.add("a", third)
    assert isinstance(first.error, SubscriptionEvicted)
    assert not second.closed
    assert not third.closed


def test_a_subscription_added_again_becomes_the_newest_and_stays_open() -> None:
    pool = RealtimeChannelPool(2)
    first, second, third = Channel(), Channel(), Channel()
    pool.add("a", first)
    pool.add("b", second)
    pool.add("a", first)
    pool.add("c", third)
    assert (first.closed, second.closed) == (False, True)


def test_what_has_ended_by_itself_makes_room_first() -> None:
    pool = RealtimeChannelPool(2)
    first, second, third = Channel(), Channel(), Channel()
    pool.add("a", first)
    pool.add("b", second)
    second.closed = True
    pool.add("c", third)
    assert not first.closed
    assert len(pool) == 2


def test_what_has_ended_before_it_is_added_evicts_nobody() -> None:
    pool = RealtimeChannelPool(1)
    first, ended = Channel(), Channel()
    ended.closed = True
    pool.add("a", first)
    pool.add("a", ended)
    pool.add("b", ended)
    assert not first.closed
    assert "a" in pool
    assert len(pool) == 1


def test_remove_unsubscribes_quietly_and_forgives_an_unknown_key() -> None:
    pool = RealtimeChannelPool()
    channel = Channel()
    pool.add("a", channel)
    pool.remove("a")
    pool.remove("a")
    assert channel.closed
    assert channel.error is None
    assert len(pool) == 0


def test_cleanup_unsubscribes_all() -> None:
    pool = RealtimeChannelPool()
    channels = [Channel() for _ in range(5)]
    for number, channel in enumerate(channels):
        pool.add(str(number), channel)
    pool.cleanup()
    assert all(channel.closed and channel.error is None for channel in channels)
    assert len(pool) == 0


def test_threads_may_share_a_pool() -> None:
    pool = RealtimeChannelPool(10)
    made: list[Channel] = []

    def fill(thread: int) -> None:
        for number in range(200):
            channel = Channel()
            made.append(channel)
            pool.add(f"{thread} {number % 7}", channel)

    threads = [threading.Thread(target=fill, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(not channel.closed for channel in made) == len(pool) <= 10


@pytest.mark.parametrize("wrong", [0, -1, 1.5, True, "10"])
def test_a_limit_that_means_nothing_is_refused(wrong: object) -> None:
    with pytest.raises(InvalidInput):
        RealtimeChannelPool(wrong)  # type: ignore[arg-type]
