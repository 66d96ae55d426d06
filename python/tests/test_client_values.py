"""What goes in and what comes out: embeddings, configuration, models, errors. No server is needed."""

from __future__ import annotations

import dataclasses
import inspect
import math
import os
import pickle
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from uuid import UUID, uuid4

import gravity_memory
import numpy as np
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
    NewMemory,
    NotInstalled,
    NotRecorded,
    PoolConfig,
    RealtimeConfig,
    RetryConfig,
    ServerError,
)
from gravity_memory.cli import printable
from gravity_memory.errors import translated
from gravity_memory.models import timestamp
from gravity_memory.realtime.callbacks import is_coroutine_callback
from gravity_memory.realtime.feed import is_whole
from gravity_memory.statements import (
    array_text,
    as_new_memory,
    changes_arguments,
    checked_user,
    context_arguments,
    match_arguments,
    recall_arguments,
)
from gravity_memory.vectors import vector_text

from devtools import REPO
from devtools.metadata import control_version


@pytest.mark.parametrize(
    "given",
    [
        [1, 2.5, -3e-7],
        (1, 2.5, -3e-7),
        np.array([1, 2.5, -3e-7]),
        np.array([1, 2.5, -3e-7], dtype=np.float64)[::1],
    ],
)
def test_embeddings_are_lists_tuples_and_arrays(given: Any) -> None:
    text = vector_text(given)
    assert text is not None
    assert [float(part) for part in text.strip("[]").split(",")] == [1, 2.5, -3e-7]


def test_an_array_of_single_precision_keeps_its_values() -> None:
    given = np.array([0.1, 1 / 3], dtype=np.float32)
    text = vector_text(given)
    assert text is not None
    assert (np.array([float(part) for part in text.strip("[]").split(",")], dtype=np.float32) == given).all()


def test_no_embedding_stays_none() -> None:
    assert vector_text(None) is None


@pytest.mark.parametrize(
    "given",
    [
        [],
        np.array([]),
        [1.0, math.nan],
        [math.inf],
        np.array([-np.inf]),
        [[1.0, 2.0]],
        [np.array([1.0])],
        np.zeros((2, 2)),
        np.array(1.0),
        "[1,2]",
        b"12",
        ["one"],
        [None],
        [10**400],
        {1.0},
        5,
        [1j],
    ],
)
def test_what_is_no_embedding_is_refused(given: Any) -> None:
    with pytest.raises(InvalidInput):
        vector_text(given)


def test_numpy_rich_and_a_server_are_not_needed_to_import_the_package() -> None:
    script = "import sys, gravity_memory; sys.exit(bool({'numpy', 'rich'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "PYTHONPATH": str(REPO / "python" / "src")},
        check=False,
    )
    assert done.returncode == 0


def test_the_defaults_are_the_specifications_values() -> None:
    config = Config()
    assert (config.realtime.timeout, config.realtime.heartbeat) == (30, 15)
    assert (config.pool.max, config.pool.min, config.pool.idle) == (10, 2, 10)
    assert (config.retry.attempts, config.retry.delay, config.retry.max_delay) == (3, 1, 10)
    assert config.realtime.events_per_second == 10
    assert config.prepare_threshold is None


@pytest.mark.parametrize(
    ("kind", "wrong"),
    [
        (RealtimeConfig, {"timeout": 0}),
        (RealtimeConfig, {"timeout": math.nan}),
        (RealtimeConfig, {"heartbeat": -1}),
        (RealtimeConfig, {"events_per_second": 0}),
        (RealtimeConfig, {"events_per_second": "10"}),
        (RealtimeConfig, {"largest_backlog": 0}),
        (RealtimeConfig, {"largest_backlog": 1.5}),
        (RealtimeConfig, {"callback_threads": True}),
        (RealtimeConfig, {"page_size": 100_001}),
        (PoolConfig, {"max": 0}),
        (PoolConfig, {"min": 11}),
        (PoolConfig, {"idle": math.inf}),
        (RetryConfig, {"attempts": -1}),
        (RetryConfig, {"delay": 11}),
        (Config, {"prepare_threshold": -1}),
    ],
)
def test_a_configuration_that_means_nothing_is_refused(kind: Any, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(wrong)) if "min" not in wrong else "min"):
        kind(**wrong)


def test_a_configuration_does_not_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().retry.attempts = 5  # type: ignore[misc]


def test_pauses_between_retries_double_up_to_the_longest() -> None:
    assert [RetryConfig().pause(failures) for failures in range(1, 7)] == [1, 2, 4, 8, 10, 10]
    assert RetryConfig().pause(10**6) == 10


def test_a_memory_takes_what_it_knows_from_a_payload() -> None:
    identity = uuid4()
    memory = Memory.from_payload(
        {
            "id": str(identity),
            "user_id": "user",
            "gravity_score": 1,
            "entities": ["Ivy", None],
            "meta_tags": [],
            "created_at": "2026-01-02T03:04:05.123456+02:00",
            "updated_at": None,
            "later_version": True,
        }
    )
    assert memory == Memory(
        id=identity,
        user_id="user",
        gravity_score=1.0,
        entities=("Ivy", None),  # type: ignore[arg-type]
        meta_tags=(),
        created_at=datetime(2026, 1, 2, 1, 4, 5, 123456, tzinfo=UTC),
    )
    assert isinstance(memory.gravity_score, float)
    assert memory.content is None
    with pytest.raises(dataclasses.FrozenInstanceError):
        memory.content = "other"  # type: ignore[misc]


def test_an_arc_takes_what_it_knows_from_a_payload() -> None:
    identity = uuid4()
    arc = Arc.from_payload({"id": str(identity), "arc_name": "joy", "memory_count": 3, "growth_vector": {"a": [1]}})
    assert arc == Arc(id=identity, arc_name="joy", memory_count=3, growth_vector={"a": [1]})


def test_an_event_leads_to_its_memory_and_its_arc() -> None:
    identity = uuid4()
    event = Event(
        event="memory_deleted",
        user_id="user",
        subject_id=identity,
        payload={"id": str(identity), "user_id": "user"},
        created_at=datetime.now(UTC),
    )
    assert event.memory == Memory(id=identity, user_id="user")
    assert event.arc == Arc(id=identity, user_id="user")
    assert event.cursor is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-01-02T03:04:05+00:00", datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)),
        ("2026-01-02T03:04:05.5-07:30", datetime(2026, 1, 2, 10, 34, 5, 500000, tzinfo=UTC)),
        ("infinity", datetime.max.replace(tzinfo=UTC)),
        ("-infinity", datetime.min.replace(tzinfo=UTC)),
        ("0044-03-15T12:00:00+00:00 BC", datetime.min.replace(tzinfo=UTC)),
        ("0001-01-01T00:00:00+14:00", datetime.min.replace(tzinfo=UTC)),
        ("294276-12-31T23:59:59+00:00", datetime.max.replace(tzinfo=UTC)),
    ],
)
def test_times_are_in_utc_and_those_beyond_pythons_become_the_nearest(text: str, expected: datetime) -> None:
    assert timestamp(text) == expected


def test_a_memory_given_as_a_dict_gets_an_id() -> None:
    made = as_new_memory({"user_id": "user", "content": "text"})
    assert isinstance(made.id, UUID)
    assert made == NewMemory(user_id="user", content="text", id=made.id)
    given = uuid4()
    assert as_new_memory(NewMemory(user_id="user", id=str(given))).id == given


@pytest.mark.parametrize(
    "given",
    [
        {"user_id": "user", "contents": "text"},
        {"content": "text"},
        {"user_id": None},
        "text",
        {"user_id": "u", "id": 5},
    ],
)
def test_what_is_no_memory_is_refused(given: Any) -> None:
    with pytest.raises(InvalidInput):
        as_new_memory(given)


@pytest.mark.parametrize("user", ["nul \x00", "half \ud800", 5, None])
def test_a_user_that_postgresql_cannot_hold_is_refused(user: Any) -> None:
    with pytest.raises(InvalidInput):
        checked_user(user)


@pytest.mark.parametrize(
    "wrong",
    [
        {"since": datetime(2026, 1, 1)},
        {"until": "yesterday"},
        {"entities": "Ivy"},
        {"meta_tags": [5]},
        {"half_life": 30},
        {"metadata": ["list"]},
        {"metadata": {"a": math.nan}},
        {"metadata": {"a": object()}},
    ],
)
def test_recall_refuses_arguments_that_mean_nothing(wrong: dict[str, Any]) -> None:
    neutral = dict.fromkeys(
        ["embedding", "metadata", "since", "until", "entities", "meta_tags", "half_life", "user_id"], None
    )
    with pytest.raises(InvalidInput, match=next(iter(wrong))):
        recall_arguments(**{**neutral, **wrong})


_NEUTRAL = ["embedding", "metadata", "since", "until", "entities", "meta_tags", "half_life", "user_id"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"query": 5},
        {"query": b"sea"},
        {"limit": 2.5},
        {"limit": "5"},
        {"limit": True},
        {"limit": 3_000_000_000},
        {"limit": -(2**31) - 1},
        {"emotion_type": 5},
        {"thread_id": 5},
        {"session_id": ["s"]},
        {"min_gravity": "high"},
        {"gravity_weight": 1j},
        {"recency_weight": [0.5]},
        {"entities": 5},
        {"meta_tags": {"a": 1}.values()},
    ],
)
def test_an_argument_of_another_type_is_refused_by_its_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(wrong))):
        recall_arguments(**{**dict.fromkeys(_NEUTRAL, None), **wrong})


@pytest.mark.parametrize(
    "wrong",
    [
        {"content": 5},
        {"summary": b"text"},
        {"topic": ["a"]},
        {"emotion_type": uuid4()},
        {"thread_id": 5},
        {"gravity_score": "high"},
        {"gravity_score": True},
        {"identity_anchor": "yes"},
        {"created_at": "today"},
        {"entities": [None]},
        {"meta_tags": b"tag"},
    ],
)
def test_a_memory_with_a_value_of_another_type_is_refused_by_its_name(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(wrong))):
        as_new_memory({"user_id": "user", **wrong})


def test_what_a_call_cannot_do_without_is_asked_for() -> None:
    with pytest.raises(InvalidInput, match="embedding"):
        match_arguments("user", None, None, None)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="memory_trace_id"):
        context_arguments("user", None, None)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="cursor"):
        changes_arguments("user", 5, None)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="limit"):
        changes_arguments("user", "1/2", 2.5)  # type: ignore[arg-type]
    with pytest.raises(InvalidInput, match="threshold"):
        match_arguments("user", [1.0], "near", None)  # type: ignore[arg-type]


def test_a_generator_of_texts_is_read_once_and_kept() -> None:
    made = as_new_memory({"user_id": "user", "entities": (name for name in ["Ada"]), "meta_tags": iter(["tag"])})
    assert (made.entities, made.meta_tags) == (["Ada"], ["tag"])
    arguments = recall_arguments(**dict.fromkeys(_NEUTRAL, None) | {"entities": iter(["Ada"])})
    assert arguments["p_entities"] == ["Ada"]


def test_recall_passes_what_is_given_by_the_databases_names() -> None:
    arguments = recall_arguments(
        embedding=[1, 2],
        metadata={"role": "user"},
        user_id="user",
        since=datetime(2026, 1, 1, tzinfo=timezone(timedelta(hours=2))),
        until=None,
        entities=("Ivy",),
        meta_tags=None,
        half_life=timedelta(days=3),
    )
    assert arguments["p_embedding"] == "[1.0,2.0]"
    assert arguments["p_metadata"] == '{"role": "user"}'
    assert arguments["p_entities"] == ["Ivy"]
    assert arguments["p_half_life"] == timedelta(days=3)


def test_an_array_of_texts_is_quoted() -> None:
    assert array_text(["a", 'b"', "c\\", "", "NULL", "{,}"]) == '{"a","b\\"","c\\\\","","NULL","{,}"}'


def test_cursors_between_pages_are_told_apart() -> None:
    assert is_whole("1/7/1/99/5:5:")
    assert not is_whole("1/7/1/99/5:5:/5:6:5/12")
    assert not is_whole("2/anything")


def test_an_error_says_what_to_do() -> None:
    error = NotRecorded("nothing is recorded", sqlstate="55000", hint="Switch it on.")
    assert str(error) == "nothing is recorded\nHINT: Switch it on."
    assert (error.sqlstate, error.hint) == ("55000", "Switch it on.")
    assert isinstance(error, GravityMemoryError)
    copied = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert (str(copied), copied.sqlstate) == (str(error), "55000")
    assert isinstance(InvalidInput("x"), ValueError)


@pytest.mark.parametrize(
    ("original", "expected"),
    [
        (psycopg.errors.SnapshotTooOld("x"), FeedExpired),
        (psycopg.errors.ObjectNotInPrerequisiteState("x"), NotRecorded),
        (psycopg.errors.InvalidParameterValue("x"), InvalidInput),
        (psycopg.errors.CheckViolation("x"), InvalidInput),
        (psycopg.errors.AdminShutdown("x"), ConnectionLost),
        (psycopg.OperationalError("gone"), ConnectionLost),
        (psycopg.DataError("NUL"), InvalidInput),
        (psycopg.errors.DiskFull("x"), ServerError),
        (psycopg.errors.UndefinedFunction("x"), NotInstalled),
        (UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"), InvalidInput),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), ServerError),
    ],
)
def test_errors_of_the_server_become_ours(
    original: psycopg.Error | UnicodeError, expected: type[GravityMemoryError]
) -> None:
    error = translated(original)
    assert type(error) is expected
    assert error.sqlstate == getattr(original, "sqlstate", None)


def test_coroutine_callbacks_are_recognised_in_their_disguises() -> None:
    import functools

    async def coroutine(_: object) -> None: ...

    class Asynchronous:
        async def __call__(self, _: object) -> None: ...

        async def method(self, _: object) -> None: ...

    assert is_coroutine_callback(coroutine)
    assert is_coroutine_callback(functools.partial(coroutine))
    assert is_coroutine_callback(Asynchronous())
    assert is_coroutine_callback(Asynchronous().method)
    assert not is_coroutine_callback(print)
    assert not is_coroutine_callback(lambda _: coroutine(_))


def test_both_clients_have_the_same_calls() -> None:
    def calls(client: type[Any]) -> dict[str, inspect.Signature]:
        return {
            name: inspect.signature(member)
            for name, member in inspect.getmembers(client, inspect.isfunction)
            if not name.startswith("_")
        }

    assert calls(GravityMemory) == calls(AsyncGravityMemory)


def test_the_version_is_the_extensions() -> None:
    assert gravity_memory.__version__ == control_version(REPO)


def test_every_public_name_is_there_and_documented() -> None:
    for name in gravity_memory.__all__:
        assert hasattr(gravity_memory, name)
        if not name.startswith("__"):
            assert inspect.getdoc(getattr(gravity_memory, name)), name


def test_a_terminal_is_not_obeyed() -> None:
    assert re.fullmatch(r"[ -~]*", printable("a\x1b[2J\nb\t\u202e"))
    assert printable("Grüße, 世界") == "Grüße, 世界"
