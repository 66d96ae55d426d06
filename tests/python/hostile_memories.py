"""Whole memories at random, with text that means something to SQL, LIKE, arrays, JSON, COPY or a terminal."""

from __future__ import annotations

import math
import random
from datetime import UTC, datetime
from typing import Any

from tests.python.trigger_model import Row

DIMENSIONS = 8
LONG = "8 kB \\ % '" + "x" * 8182
"""As long as a name may be that nobody would type; an index takes it because it can be compressed."""
USERS = ("ada", "o'hara \"%_\\", "ad", "", "漢\u202e😀", LONG)
EMOTIONS = ("joy", "enjoyment", "%", "a.c (x)", "😀 {b,NULL}", LONG, "", None)
IDENTITIES = ("Blu", "Matt", "Atlas", "Ivy")

_PIECES = (
    *("'", '"', "%", "_", "\\", "\\.", "\\N", "{}", "{a,NULL}", "$$", "NULL", "--", ";", "\t", "\r\n", "\x01\x7f"),
    *(
        "😀",
        "\U0001f469\u200d\U0001f52c",
        "e\u0301",
        "\u0301",
        "\u202eright to left",
        "عربي",
        "漢字",
        "ß",
        "İ",
        "\ufeff",
    ),
    *("yesterday", "Last  Week", "remembering", "BEFORE", "beforehand", "tomorrow", "next\nweek", "will", "William"),
    *("won't", "won\u2019t", "plans", "planet", "going to", "I'll", "they\u2019ll", "tulip", "tulips", "tulip/lamp"),
    *("the", "a" * 3000, "word " * 50, "2026-03-28", "1e309", ""),
)
_GAPS = (" ", " ", " ", "", "\n", "_", "-", "'", "é", "\u0301", "😀", "\u200b", ".")
_NAMES = (None, None, "t", "o'\"\\%", "é" * 4000, LONG, "")
_TAGS = ("a", "high_gravity", "identity", "NULL", "", "{,}", '"', None)
_ENTITIES = (*IDENTITIES, "blu", 'O"Neill, {x}', LONG, "", None)
# What a vector of single precision holds, or rounds as PostgreSQL prints it.
_NUMBERS = (0.0, 1.0, -1.0, 0.5, -0.25, 1e-38, 3e38)
TIMES = ("infinity", "-infinity", datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 1, tzinfo=UTC))
GRAVITIES = (0.8, 0.85, 0.9, 1.0, 0.9, 0.8, 0.79999, 0.5, 0.1, 0.0, None)
WILD_GRAVITIES = (0.8, 0.85, 0.9, 1.0, None, math.nan, math.inf, -math.inf, 2.5, -5.0, 1e-300)
"""What only a table without our constraint takes."""


def text(chance: random.Random) -> str | None:
    """A text of pieces, or of any characters but NUL, which PostgreSQL has not, or none."""
    kind = chance.random()
    if kind < 0.1:
        return None
    if kind < 0.3:
        return "".join(character(chance) for _ in range(chance.randrange(30)))
    return "".join(chance.choice(_PIECES) + chance.choice(_GAPS) for _ in range(chance.randrange(7)))


def character(chance: random.Random) -> str:
    """Any character that UTF-8 has, each plane as often."""
    low, high = chance.choice(((1, 0x7F), (0x80, 0x7FF), (0x800, 0xD7FF), (0xE000, 0xFFFF), (0x10000, 0x10FFFF)))
    return chr(chance.randint(low, high))


def json_value(chance: random.Random, depth: int = 2) -> Any:
    """Anything that jsonb holds."""
    kind = chance.randrange(8 if depth else 5)
    if kind < 5:
        return (None, True, chance.randrange(-(10**30), 10**30), -0.125, text(chance))[kind]
    size = range(chance.randrange(3))
    if kind == 5:
        return [json_value(chance, depth - 1) for _ in size]
    return {text(chance) or "": json_value(chance, depth - 1) for _ in size}


def memory(seed: int) -> Row:
    """A memory in full but for user, emotion, gravity and time, which decide about arcs; the same for the same seed."""
    chance = random.Random(seed)
    tags: list[Any] | None = [chance.choice(_TAGS) for _ in range(chance.randrange(4))]
    entities: list[Any] | None = [chance.choice(_ENTITIES) for _ in range(chance.randrange(7))]
    tags = chance.choice((tags, tags, tags, None, [["a", "b"], [None, "high_gravity"]]))
    entities = chance.choice(
        (entities, entities, None, [*IDENTITIES, "Blu"], [*IDENTITIES], [["Blu", "Matt"], ["Atlas", "Ivy"]])
    )
    vector: list[float] | None = [chance.choice(_NUMBERS) for _ in range(DIMENSIONS)]
    return {
        "thread_id": chance.choice(_NAMES),
        "session_id": chance.choice(_NAMES),
        "memory_trace_id": chance.choice(_NAMES),
        "content": text(chance),
        "summary": text(chance),
        "topic": text(chance),
        "entities": entities,
        "meta_tags": tags,
        "identity_anchor": chance.random() < 0.2,
        "temporal_type": chance.choice((None, None, None, "past", "future", "", "odd '%")),
        "metadata": {text(chance) or "": json_value(chance) for _ in range(chance.randrange(3))},
        "updated_at": chance.choice((datetime(2026, 1, 1, tzinfo=UTC), *TIMES)),
        "embedding": chance.choice((vector, vector, None, [0.0] * DIMENSIONS)),
    }
