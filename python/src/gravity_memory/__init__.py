"""Client of the PostgreSQL extension gravity_memory: remember, recall, and follow what happens as it happens.

    from gravity_memory import GravityMemory

    with GravityMemory("postgresql://...") as memories:
        memories.subscribe_to_memories("user", lambda memory: print(memory.content))
        memories.remember("user", "the sea at night", gravity_score=0.8)

AsyncGravityMemory is the same for asyncio.
"""

from gravity_memory.async_client import AsyncGravityMemory
from gravity_memory.channel_pool import RealtimeChannelPool
from gravity_memory.config import Config, PoolConfig, RealtimeConfig, RetryConfig
from gravity_memory.errors import (
    ConnectionLost,
    EventsLost,
    FeedExpired,
    GravityMemoryError,
    InvalidInput,
    ListenUnavailable,
    NotInstalled,
    NotPermitted,
    NotRecorded,
    ServerError,
    SubscriptionEvicted,
)
from gravity_memory.models import Arc, Changes, Event, Finding, Match, Memory, NewMemory, RecalledMemory, Turn
from gravity_memory.realtime.subscription import Subscription
from gravity_memory.sync_client import GravityMemory

__version__ = "0.4.0"

__all__ = [
    "Arc",
    "AsyncGravityMemory",
    "Changes",
    "Config",
    "ConnectionLost",
    "Event",
    "EventsLost",
    "FeedExpired",
    "Finding",
    "GravityMemory",
    "GravityMemoryError",
    "InvalidInput",
    "ListenUnavailable",
    "Match",
    "Memory",
    "NewMemory",
    "NotInstalled",
    "NotPermitted",
    "NotRecorded",
    "PoolConfig",
    "RealtimeChannelPool",
    "RealtimeConfig",
    "RecalledMemory",
    "RetryConfig",
    "ServerError",
    "Subscription",
    "SubscriptionEvicted",
    "Turn",
    "__version__",
]
