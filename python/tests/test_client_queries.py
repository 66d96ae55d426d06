"""Remembering and recalling: results, errors, and what a lost connection does to a write."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import CancelledError
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import psycopg
import pytest
from gravity_memory import (
    AsyncGravityMemory,
    Config,
    ConnectionLost,
    FeedExpired,
    Finding,
    GravityMemory,
    GravityMemoryError,
    InvalidInput,
    Memory,
    NewMemory,
    NotInstalled,
    NotPermitted,
    NotRecorded,
    RealtimeConfig,
    RetryConfig,
    ServerError,
)
from gravity_memory.realtime import background
from gravity_memory.realtime.background import LoopThread
from gravity_memory.realtime.hub import Hub
from gravity_memory.statements import Plan, Statements
from psycopg.conninfo import make_conninfo
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from python.tests.client_support import PATIENCE, QUICK, Database, Heard, MakeClientDatabase, wait_until

DIMENSIONS = 1536

WRONG = "wrong"

ONE_ATTEMPT = Config(retry=RetryConfig(attempts=0))


def direction(*heads: float) -> list[float]:
    """A vector of the table's dimension that begins so."""
    return [*heads, *[0.0] * (DIMENSIONS - len(heads))]


@pytest.fixture
def memories(database: Database) -> Iterator[GravityMemory]:
    with GravityMemory(database.dsn, config=QUICK) as client:
        yield client


def test_a_memory_is_returned_as_the_database_completed_it(memories: GravityMemory) -> None:
    when = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    identity = uuid4()
    made = memories.remember(
        "o'brien",
        "tomorrow\n\U0001f9e0",
        embedding=np.array(direction(1.0)),
        gravity_score=1,
        emotion_type="hope",
        entities=["Ivy", 'with "quotes"'],
        session_id="s",
        thread_id="t",
        memory_trace_id="m",
        metadata={"a": [1, 2.5, None, {"b": "c"}]},
        created_at=when,
        summary="sum",
        topic="top",
        meta_tags=["mine"],
        id=str(identity),
    )
    assert made.id == identity
    assert (made.user_id, made.content) == ("o'brien", "tomorrow\n\U0001f9e0")
    assert made.entities == ("Ivy", 'with "quotes"')
    assert made.meta_tags == ("mine", "high_gravity")
    assert made.metadata == {"a": [1, 2.5, None, {"b": "c"}]}
    assert made.created_at == when
    assert (made.temporal_type, made.identity_anchor, made.gravity_score) == ("future", True, 1.0)


def test_what_is_not_given_gets_the_tables_defaults(memories: GravityMemory) -> None:
    made = memories.remember("user")
    assert (made.gravity_score, made.meta_tags, made.metadata, made.entities) == (0.5, (), {}, None)
    assert made.created_at is not None
    assert abs(datetime.now(UTC) - made.created_at) < timedelta(minutes=5)


@pytest.mark.parametrize("count", [1, 2, 999, 1000, 2500])
def test_many_memories_are_stored_in_order(database: Database, memories: GravityMemory, count: int) -> None:
    ids = memories.remember_many(
        NewMemory(user_id="user", content=f"{number}\t\\N", gravity_score=number % 2, entities=["a,b", "{}"])
        for number in range(count)
    )
    assert len(set(ids)) == count
    rows = database.execute("SELECT id, content, gravity_score, entities FROM gravity_map")
    assert sorted(rows) == sorted(
        (identity, f"{number}\t\\N", float(number % 2), ["a,b", "{}"]) for number, identity in enumerate(ids)
    )


@pytest.mark.parametrize("count", [6, 1200])
def test_memories_with_different_columns_get_their_own_defaults(
    database: Database, memories: GravityMemory, count: int
) -> None:
    given: list[NewMemory | dict[str, Any]] = []
    for number in range(0, count, 3):
        given.append({"user_id": "user", "content": str(number), "gravity_score": 0.25, "entities": []})
        given.append({"user_id": "user", "content": str(number + 1), "embedding": direction(1)})
        given.append(NewMemory(user_id="user", content=str(number + 2), metadata={"k": "v"}, entities=["x"]))
    ids = memories.remember_many(given)
    found = {
        row[0]: row[1:]
        for row in database.execute(
            "SELECT id, content, gravity_score, entities, embedding IS NULL, metadata FROM gravity_map"
        )
    }
    for number, identity in enumerate(ids):
        expected = [
            (0.25, [], True, {}),
            (0.5, None, False, {}),
            (0.5, ["x"], True, {"k": "v"}),
        ][number % 3]
        assert found[identity] == (str(number), *expected)


def test_all_are_stored_or_none(database: Database, memories: GravityMemory) -> None:
    for count in (10, 2000):
        bad = [{"user_id": "user", "content": str(n), "gravity_score": 0.5} for n in range(count)]
        bad[-1]["gravity_score"] = 2
        with pytest.raises(InvalidInput) as caught:
            memories.remember_many(bad)
        assert caught.value.sqlstate == "23514"
        # Found before anything is sent.
        with pytest.raises(InvalidInput):
            memories.remember_many([*bad[:-1], {"user": "typo"}])
    assert database.execute("SELECT count(*) FROM gravity_map") == [(0,)]


@contextlib.contextmanager
def role_of(database: Database, rights: str) -> Iterator[str]:
    """A role that may log in, with rights on gravity_map; the connection string with it."""
    role = f"role_of_{database.name}"
    database.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{database.server.password}'")
    try:
        database.execute(f"GRANT {rights} ON gravity_map TO {role}")
        yield make_conninfo(database.dsn, user=role)
    finally:
        database.execute(f"DROP OWNED BY {role}")
        database.execute(f"DROP ROLE {role}")


def test_a_client_bound_by_row_security_has_its_user_named_in_the_connection_string(database: Database) -> None:
    role = f"client_role_{database.name}"
    database.execute("INSERT INTO gravity_map (user_id, content) VALUES ('ben', 'a lamp of his')")
    database.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{database.server.password}'")
    try:
        database.execute(f"GRANT SELECT, INSERT ON gravity_map TO {role}")
        database.execute(f"GRANT SELECT ON memory_events TO {role}")
        dsn = make_conninfo(database.dsn, user=role, options="-c gravity_memory.user_id=ada")
        heard: Heard[Memory] = Heard()
        with GravityMemory(dsn, config=QUICK) as memories:
            memories.subscribe_to_memories("ada", heard)
            memories.remember("ada", "a lamp of hers")
            heard.wait(1)
            assert [memory.content for memory in memories.recall("ada", "lamp")] == ["a lamp of hers"]
            assert memories.recall("ben", "lamp") == []
            with pytest.raises(NotPermitted):
                memories.remember("ben", "not hers to say")
    finally:
        database.execute(f"DROP OWNED BY {role}")
        database.execute(f"DROP ROLE {role}")


def test_thousands_are_stored_under_row_security(database: Database) -> None:
    database.execute("ALTER TABLE gravity_map ENABLE ROW LEVEL SECURITY")
    database.execute("CREATE POLICY own ON gravity_map USING (user_id = 'user') WITH CHECK (user_id = 'user')")
    given = [{"user_id": "user", "content": str(number), "entities": ["x"] * (number % 2)} for number in range(2001)]
    with role_of(database, "SELECT, INSERT") as dsn, GravityMemory(dsn, config=QUICK) as client:
        with pytest.raises(NotPermitted):
            client.remember_many([*given, {"user_id": "other"}])
        assert database.execute("SELECT count(*) FROM gravity_map") == [(0,)]
        ids = client.remember_many(given)
    stored = database.execute("SELECT id, content FROM gravity_map")
    assert sorted(stored) == sorted((identity, str(number)) for number, identity in enumerate(ids))


def test_no_memories_are_no_statement() -> None:
    with GravityMemory("host=127.0.0.1 port=1") as client:
        assert client.remember_many([]) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"gravity_score": 1.5},
        {"gravity_score": "high"},
        {"content": "nul \x00"},
        {"content": "half \ud800"},
        {"embedding": [1.0, 2.0]},
        {"embedding": [float("nan")] * DIMENSIONS},
        {"entities": "Ivy"},
        {"metadata": {"nul": "\x00"}},
        {"metadata": {1, 2}},
        {"created_at": datetime(2026, 1, 1)},
        {"id": "no uuid"},
    ],
)
def test_what_cannot_be_stored_is_refused(database: Database, memories: GravityMemory, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput):
        memories.remember("user", **wrong)
    with pytest.raises(InvalidInput):
        memories.remember_many([{"user_id": "user", **wrong}])
    assert database.execute("SELECT count(*) FROM gravity_map") == [(0,)]


def test_an_id_that_is_taken_is_refused(memories: GravityMemory) -> None:
    made = memories.remember("user", "first")
    with pytest.raises(InvalidInput) as caught:
        memories.remember("user", "second", id=made.id)
    assert caught.value.sqlstate == "23505"
    assert isinstance(caught.value.__cause__, psycopg.errors.UniqueViolation)


def test_memories_are_recalled_by_words_and_meaning_with_filters(memories: GravityMemory) -> None:
    memories.remember("user", "the sea at night", embedding=direction(1), emotion_type="calm", session_id="s")
    memories.remember("user", "a mountain", embedding=direction(0, 1), entities=["Ivy"], metadata={"k": 1})
    memories.remember("other", "the sea as well", embedding=direction(1))
    found = memories.recall("user", "sea", direction(1, 0.1))
    assert found[0].content == "the sea at night"
    assert found[0].similarity == pytest.approx(0.995, abs=0.001)
    assert found[0].bm25 is not None
    assert found[0].score == pytest.approx(
        found[0].semantic_score
        + found[0].lexical_score
        + found[0].neighbour_score
        + found[0].gravity_component
        + found[0].recency_component
    )
    assert [one.content for one in memories.recall("user", "mountain sea", entities=["Ivy"])] == ["a mountain"]
    assert [one.content for one in memories.recall("user", "mountain sea", metadata={"k": 1})] == ["a mountain"]
    assert memories.recall("user", "sea", until=datetime(2020, 1, 1, tzinfo=UTC)) == []
    assert len(memories.recall("user", "sea mountain", limit=1, gravity_weight=0.5, half_life=timedelta(days=1))) == 1
    with pytest.raises(InvalidInput, match="p_query or p_embedding") as caught:
        memories.recall("user")
    assert caught.value.sqlstate == "22004"
    assert caught.value.hint
    with pytest.raises(InvalidInput, match="p_limit"):
        memories.recall("user", "sea", limit=1001)


def test_memories_are_matched_by_similarity(memories: GravityMemory) -> None:
    near = memories.remember("user", "near", embedding=direction(1))
    memories.remember("user", "far", embedding=direction(0, 1))
    (found,) = memories.match("user", tuple(direction(1, 0.1)))
    assert (found.id, found.content) == (near.id, "near")
    assert len(memories.match("user", direction(1), threshold=-1)) == 2
    assert len(memories.match("user", direction(1), threshold=-1, limit=1)) == 1
    with pytest.raises(InvalidInput, match="dimensions"):
        memories.match("user", [1.0])


def test_a_conversation_is_returned_in_the_order_it_was_said(memories: GravityMemory) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    memories.remember_many(
        {
            "user_id": "user",
            "content": str(number),
            "memory_trace_id": "talk",
            "metadata": {"role": ["user", "assistant"][number % 2]},
            "created_at": start + timedelta(seconds=number),
        }
        for number in range(12)
    )
    turns = memories.context("user", "talk")
    assert [turn.content for turn in turns] == [str(number) for number in range(2, 12)]
    assert turns[0].metadata == {"role": "user"}
    assert len(memories.context("user", "talk", limit=3)) == 3


def test_times_that_python_does_not_have_are_the_nearest_that_it_has(database: Database) -> None:
    database.execute(
        "INSERT INTO gravity_map (user_id, content, created_at, memory_trace_id, embedding) VALUES"
        " ('user', 'sea 1', '-infinity', 'talk', %s::vector),"
        " ('user', 'sea 2', '2026-01-02 03:04:05+00', 'talk', NULL),"
        " ('user', 'sea 3', 'infinity', 'talk', NULL)",
        str(direction(1)),
    )
    expected = [
        datetime.min.replace(tzinfo=UTC),
        datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        datetime.max.replace(tzinfo=UTC),
    ]
    # In whatever form the database shows times.
    dsn = make_conninfo(database.dsn, options="-c DateStyle=German -c TimeZone=Asia/Kathmandu")
    with GravityMemory(dsn, config=QUICK) as client:
        assert [turn.created_at for turn in client.context("user", "talk")] == expected
        assert sorted(found.created_at for found in client.recall("user", "sea")) == expected
        assert [found.created_at for found in client.match("user", direction(1))] == expected[:1]
        assert client.remember("user", created_at=expected[1]).created_at == expected[1]


@pytest.mark.parametrize("metadata", ['{"n": %s}' % ("9" * 5000), '{"n": %s}' % ("[" * 5000 + "]" * 5000)])
def test_metadata_that_python_cannot_read_is_named(database: Database, memories: GravityMemory, metadata: str) -> None:
    identity = uuid4()
    database.execute(
        "INSERT INTO gravity_map (id, user_id, content, memory_trace_id, metadata)"
        " VALUES (%s, 'user', 'sea', 'talk', %s::jsonb)",
        identity,
        metadata,
    )
    with pytest.raises(GravityMemoryError, match=f"metadata of the memory {identity}") as caught:
        memories.context("user", "talk")
    assert not isinstance(caught.value, InvalidInput)
    assert caught.value.hint
    # What does not return metadata does not mind.
    assert memories.recall("user", "sea")[0].id == identity


def test_text_that_is_in_no_encoding_is_an_error_of_the_server(
    database: Database, memories: GravityMemory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def head(_: Statements) -> Plan[str]:
        yield from ()
        return b"\xff".decode()

    monkeypatch.setattr(Statements, "head", head)
    with pytest.raises(ServerError, match="encoding"):
        memories.head()

    async def main() -> None:
        async with AsyncGravityMemory(database.dsn, config=QUICK) as client:
            with pytest.raises(ServerError, match="encoding"):
                await client.head()

    asyncio.run(main())


def test_columns_that_a_later_version_adds_do_no_harm(database: Database, memories: GravityMemory) -> None:
    database.execute("CREATE SCHEMA before")
    for name in ("recall_memories", "match_memories", "get_conversation_context", "gravity_memory_check"):
        ((schema, arguments, result, identity, count),) = database.execute(
            "SELECT pronamespace::regnamespace::text, pg_get_function_arguments(oid), pg_get_function_result(oid),"
            " oid::regprocedure::text, pronargs FROM pg_proc WHERE proname = %s",
            name,
        )
        database.execute(f"ALTER EXTENSION gravity_memory DROP FUNCTION {identity}")
        database.execute(f"ALTER FUNCTION {identity} SET SCHEMA before")
        passed = ", ".join(f"${number + 1}" for number in range(count))
        database.execute(
            f"CREATE FUNCTION {schema}.{name}({arguments})"
            f" RETURNS {result.replace('TABLE(', 'TABLE(later_version text, ')}"
            f" LANGUAGE sql AS $$ SELECT 'new'::text, b.* FROM before.{name}({passed}) AS b $$"
        )
    made = memories.remember("user", "the sea", embedding=direction(1), memory_trace_id="talk")
    assert [found.id for found in memories.recall("user", "sea")] == [made.id]
    assert [found.id for found in memories.match("user", direction(1))] == [made.id]
    assert [turn.id for turn in memories.context("user", "talk")] == [made.id]
    assert all(finding.problem for finding in memories.check())


def test_numbers_of_numpy_and_uuids_are_taken(memories: GravityMemory) -> None:
    talk = uuid4()
    made = memories.remember(
        "user",
        "sea",
        gravity_score=np.float32(0.25),  # type: ignore[arg-type]
        identity_anchor=np.bool_(True),  # type: ignore[arg-type]
        thread_id=talk,
        session_id=talk,
        memory_trace_id=talk,
        entities=(name for name in ["Ada", "Ivy"]),  # type: ignore[arg-type]
    )
    assert (made.thread_id, made.session_id, made.memory_trace_id) == (str(talk),) * 3
    assert (made.gravity_score, made.identity_anchor, made.entities) == (0.25, True, ("Ada", "Ivy"))
    assert memories.context("user", talk, limit=np.int64(1))[0].id == made.id  # type: ignore[arg-type]
    found = memories.recall(
        "user",
        "sea",
        limit=np.int16(5),  # type: ignore[arg-type]
        min_gravity=np.float32(0.1),  # type: ignore[arg-type]
        thread_id=talk,
        entities=(name for name in ["Ada"]),  # type: ignore[arg-type]
    )
    assert [one.id for one in found] == [made.id]
    assert memories.recall("user", "sea", entities=(name for name in ["Eve"])) == []  # type: ignore[arg-type]


def test_not_installed_is_what_is_missing_of_the_extension_only(database: Database, memories: GravityMemory) -> None:
    with GravityMemory(database.dsn, schema="nowhere", config=ONE_ATTEMPT) as client:
        for call in (client.check, client.head, lambda: client.remember("user")):
            with pytest.raises(NotInstalled, match="nowhere"):
                call()
    database.execute(
        "CREATE FUNCTION broken() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM no_such_function(); END $$"
    )
    database.execute("CREATE TRIGGER broken BEFORE INSERT ON gravity_map FOR EACH ROW EXECUTE FUNCTION broken()")
    with pytest.raises(ServerError, match="no_such_function") as caught:
        memories.remember("user")
    assert caught.value.sqlstate == "42883"


def test_check_returns_typed_findings(database: Database, memories: GravityMemory) -> None:
    before = memories.check()
    database.execute("DROP TRIGGER trigger_auto_tag_high_gravity ON gravity_map")
    found = [finding for finding in memories.check() if finding not in before]
    assert all(isinstance(finding, Finding) for finding in found)
    assert any(finding.severity == "error" and finding.remedy for finding in found)


def test_the_feed_is_read_by_hand_from_cursor_to_cursor(memories: GravityMemory) -> None:
    cursor = memories.head()
    memories.remember_many({"user_id": "user", "content": str(number)} for number in range(5))
    page = memories.changes("user", cursor, 3)
    assert [event.memory.content for event in page.events] == ["0", "1", "2"]
    assert page.has_more
    assert page.events[-1].cursor is not None
    rest = memories.changes("user", page.next_cursor)
    assert [event.memory.content for event in rest.events] == ["3", "4"]
    assert not rest.has_more
    again = memories.changes("user", page.events[0].cursor or "")
    assert [event.memory.content for event in again.events] == ["1", "2", "3", "4"]
    with pytest.raises(InvalidInput):
        memories.changes("user", "nonsense")
    with pytest.raises(InvalidInput):
        memories.changes("user", cursor, 0)


def test_a_page_from_before_a_break_is_an_error_with_the_way_out(database: Database, memories: GravityMemory) -> None:
    cursor = memories.head()
    database.execute("TRUNCATE gravity_map CASCADE")
    with pytest.raises(FeedExpired) as caught:
        memories.changes("user", cursor)
    assert caught.value.sqlstate == "72000"
    assert "memory_changes_head" in (caught.value.hint or "")


def test_without_a_feed_its_calls_say_how_to_switch_it_on(make_database: MakeClientDatabase) -> None:
    with GravityMemory(make_database(notify="payload").dsn) as client, pytest.raises(NotRecorded) as caught:
        client.head()
    assert "wakeup" in (caught.value.hint or "")


def test_a_role_without_rights_is_told_so(database: Database) -> None:
    role = f"client_reader_{database.name}"
    database.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{database.server.password}'")
    try:
        dsn = f"{database.dsn} user={role}"
        with GravityMemory(dsn) as client, pytest.raises(NotPermitted):
            client.remember("user")
    finally:
        database.execute(f"DROP OWNED BY {role}")
        database.execute(f"DROP ROLE {role}")


def test_a_server_that_cannot_be_reached_is_an_error_in_time() -> None:
    config = Config(realtime=RealtimeConfig(timeout=1), retry=RetryConfig(attempts=1, delay=0.05))
    with GravityMemory("host=127.0.0.1 port=1 user=nobody dbname=none", config=config) as client:
        began = time.monotonic()
        with pytest.raises(ConnectionLost):
            client.check()
        assert time.monotonic() - began < 20


def test_why_there_is_no_connection_is_said_at_once(database: Database) -> None:
    dsn = make_conninfo(database.dsn, password=WRONG)
    with (
        GravityMemory(dsn, config=ONE_ATTEMPT) as client,
        pytest.raises(ConnectionLost, match="password authentication failed"),
    ):
        client.check()

    async def main() -> None:
        async with AsyncGravityMemory(dsn, config=ONE_ATTEMPT) as client:
            with pytest.raises(ConnectionLost, match="password authentication failed"):
                await client.check()

    asyncio.run(main())


def test_why_a_pool_has_no_connection_is_said(database: Database) -> None:
    wrong: dict[str, Any] = {
        "conninfo": make_conninfo(database.dsn, password=WRONG),
        "min_size": 1,
        "timeout": 0.1,
    }
    with (
        ConnectionPool(**wrong, open=True) as pool,
        GravityMemory(pool) as client,
        pytest.raises(ConnectionLost, match="password authentication failed"),
    ):
        client.check()

    async def main() -> None:
        async with AsyncConnectionPool(**wrong, open=False) as pool, AsyncGravityMemory(pool) as client:
            with pytest.raises(ConnectionLost, match="password authentication failed"):
                await client.check()

    asyncio.run(main())


def test_a_pool_that_is_used_up_is_told_from_a_server_that_is_gone(database: Database) -> None:
    with (
        ConnectionPool(database.dsn, min_size=1, max_size=1, timeout=0.1, open=True) as pool,
        pool.connection(timeout=PATIENCE),
        GravityMemory(pool) as client,
        pytest.raises(ConnectionLost) as caught,
    ):
        client.check()
    assert "PoolConfig.max" in (caught.value.hint or "")


def test_closing_does_not_wait_for_a_server_that_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"host=127.0.0.1 port={silent.getsockname()[1]} user=u dbname=d sslmode=disable gssencmode=disable"
        client = GravityMemory(place, config=QUICK)
        errors: list[GravityMemoryError] = []

        def ask() -> None:
            try:
                client.check()
            except GravityMemoryError as error:
                errors.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        connection = silent.accept()[0]
        client.close()
        connection.close()
        thread.join()
    assert len(errors) == 1


def test_connections_that_broke_while_idle_are_replaced(database: Database, memories: GravityMemory) -> None:
    memories.check()
    for _ in range(3):
        database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE application_name = 'gravity-memory' AND datname = current_database()"
        )
        assert memories.remember("user").user_id == "user"
    assert database.execute("SELECT count(*) FROM gravity_map") == [(3,)]


class Cutter:
    """Cuts a client's connections while its writes wait for a lock, before or after they have taken effect."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def cut_waiting(self) -> None:
        """Cut every session that waits for a lock on gravity_map, once there is one."""
        deadline = time.monotonic() + PATIENCE
        while not self._database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE wait_event_type = 'Lock' AND datname = current_database()"
        ):
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.mark.parametrize("count", [1, 5, 1500])
def test_a_write_that_was_cut_is_repeated_and_stored_once(
    database: Database, memories: GravityMemory, count: int
) -> None:
    results: list[Any] = []

    def write() -> None:
        if count == 1:
            results.append([memories.remember("user", "0").id])
        else:
            results.append(memories.remember_many({"user_id": "user", "content": str(n)} for n in range(count)))

    with database.connect(autocommit=False) as blocker:
        blocker.execute("LOCK TABLE gravity_map IN SHARE MODE")
        thread = threading.Thread(target=write)
        thread.start()
        Cutter(database).cut_waiting()
        blocker.rollback()
    thread.join()
    stored: list[tuple[UUID]] = database.execute("SELECT id FROM gravity_map")
    assert sorted(row[0] for row in stored) == sorted(results[0])


class LosingProxy:
    """Stands between client and server, and cuts the connection instead of passing on certain answers."""

    def __init__(self, host: str, port: int, lost: bytes, losses: int) -> None:
        self._server = (host, port)
        self._lost = lost
        self.losses = losses
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> LosingProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client = self._listener.accept()[0]
                server = socket.create_connection(self._server)
                for source, target, is_answer in ((client, server, False), (server, client, True)):
                    threading.Thread(target=self._pass_on, args=(source, target, is_answer), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        with contextlib.suppress(OSError), source:
            while data := source.recv(65536):
                if is_answer and self.losses and self._lost in data:
                    self.losses -= 1
                    break
                target.sendall(data)
            # Closing wakes nobody who waits on the same socket.
            target.shutdown(socket.SHUT_RDWR)


@pytest.mark.parametrize(("count", "answer"), [(1, b"INSERT 0 1\0"), (5, b"COMMIT\0"), (1500, b"COMMIT\0")])
def test_a_write_that_took_effect_unheard_is_not_stored_again(database: Database, count: int, answer: bytes) -> None:
    with (
        LosingProxy(database.server.host, database.server.port, answer, losses=2) as proxy,
        GravityMemory(make_conninfo(database.dsn, port=proxy.port, sslmode="disable"), config=QUICK) as client,
    ):
        if count == 1:
            made = client.remember("user", "once")
            assert (made.content, made.gravity_score) == ("once", 0.5)
            ids = [made.id]
        else:
            ids = client.remember_many({"user_id": "user", "content": str(n)} for n in range(count))
        assert proxy.losses < 2
    assert sorted(row[0] for row in database.execute("SELECT id FROM gravity_map")) == sorted(ids)


def test_when_no_attempt_is_answered_repeating_the_call_with_its_id_tells_whether_one_took_effect(
    database: Database,
) -> None:
    identity = uuid4()
    with LosingProxy(database.server.host, database.server.port, b"INSERT 0 ", losses=99) as proxy:
        dsn = make_conninfo(database.dsn, port=proxy.port, sslmode="disable")
        with GravityMemory(dsn, config=QUICK) as client, pytest.raises(ConnectionLost):
            client.remember("user", "once", id=identity)
    with GravityMemory(database.dsn, config=QUICK) as client, pytest.raises(InvalidInput) as caught:
        client.remember("user", "once", id=identity)
    assert caught.value.sqlstate == "23505"
    assert database.execute("SELECT id, content FROM gravity_map") == [(identity, "once")]


def test_ids_that_other_memories_have_are_no_success_of_a_repetition(database: Database) -> None:
    with GravityMemory(database.dsn, config=QUICK) as client:
        taken = client.remember_many({"user_id": "user", "content": "first"} for _ in range(5))
    config = Config(retry=RetryConfig(attempts=2, delay=0.05))
    # The refusal of the first attempt is not heard.
    with LosingProxy(database.server.host, database.server.port, b"C23505\0", losses=1) as proxy:
        dsn = make_conninfo(database.dsn, port=proxy.port, sslmode="disable")
        with GravityMemory(dsn, config=config) as client, pytest.raises(InvalidInput) as caught:
            client.remember_many({"user_id": "user", "content": "second", "id": identity} for identity in taken)
        assert proxy.losses == 0
    assert caught.value.sqlstate == "23505"


def test_both_clients_agree(database: Database) -> None:
    async def main() -> None:
        async with AsyncGravityMemory(database.dsn, config=QUICK) as client:
            made = await client.remember("user", "the sea", embedding=direction(1), memory_trace_id="m")
            ids = await client.remember_many({"user_id": "user", "content": str(n)} for n in range(1100))
            assert len(ids) == 1100
            with GravityMemory(database.dsn, config=QUICK) as other:
                assert (await client.recall("user", "sea"))[0].id == other.recall("user", "sea")[0].id == made.id
                assert await client.match("user", direction(1)) == other.match("user", direction(1))
                assert await client.context("user", "m") == other.context("user", "m")
                assert await client.check() == other.check()
            with pytest.raises(InvalidInput):
                await client.remember("user", gravity_score=5)

    asyncio.run(main())


def test_many_tasks_share_the_pool(database: Database) -> None:
    async def main() -> None:
        async with AsyncGravityMemory(database.dsn, config=QUICK) as client:
            await asyncio.gather(*(client.remember("user", str(number)) for number in range(100)))
            rows = database.execute(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE application_name = 'gravity-memory' AND datname = current_database()"
            )
            assert rows[0][0] <= 10

    asyncio.run(main())
    assert database.execute("SELECT count(*) FROM gravity_map") == [(100,)]


def test_a_closed_client_says_so(database: Database) -> None:
    client = GravityMemory(database.dsn)
    client.check()
    client.close()
    client.close()
    with pytest.raises(GravityMemoryError, match="closed"):
        client.check()
    wait_until(
        lambda: (
            database.execute(
                "SELECT FROM pg_stat_activity"
                " WHERE application_name = 'gravity-memory' AND datname = current_database()"
            )
            == []
        )
    )


def test_a_coroutine_callback_cannot_close_the_client_and_leaves_it_as_it_is(database: Database) -> None:
    client = GravityMemory(database.dsn, config=QUICK)
    told: Heard[object] = Heard()

    async def close(memory: Memory) -> None:
        try:
            client.close()
        except RuntimeError as error:
            told(error)
        else:
            told(memory)

    client.subscribe_to_memories("user", close)
    for number in (1, 2):
        client.remember("user")
        assert isinstance(told.wait(number)[-1], RuntimeError)
    client.close()
    assert client._background is None
    wait_until(lambda: not database.listeners())


def test_whoever_subscribes_while_the_client_is_closed_is_told_so(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = GravityMemory(database.dsn, config=QUICK)
    entered = threading.Event()

    async def never(*_: object) -> None:
        entered.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Hub, "subscribe", never)
    told: Heard[GravityMemoryError] = Heard()

    def subscribe() -> None:
        try:
            client.subscribe_to_memories("user", print)
        except GravityMemoryError as error:
            told(error)

    threading.Thread(target=subscribe, daemon=True).start()
    entered.wait(PATIENCE)
    client.close()
    assert "closed" in str(told.wait(1)[0])
    subscribe()
    assert "closed" in str(told.wait(2)[1])


def test_subscribing_and_closing_at_the_same_time_ends(database: Database) -> None:
    for _ in range(3):
        client = GravityMemory(database.dsn, config=QUICK)
        ends: Heard[BaseException] = Heard()
        begun = threading.Event()

        def subscribe(client: GravityMemory = client, ends: Heard[BaseException] = ends, begun: Any = begun) -> None:
            try:
                while True:
                    client.subscribe_to_memories("user", print)
                    begun.set()
            except BaseException as problem:
                ends(problem)

        for _ in range(3):
            threading.Thread(target=subscribe, daemon=True).start()
        begun.wait(PATIENCE)
        client.close()
        assert {type(error) for error in ends.wait(3)} == {GravityMemoryError}


def test_a_stopped_loop_takes_no_work_and_cancels_what_it_has() -> None:
    thread = LoopThread()
    told: Heard[BaseException] = Heard()
    entered = threading.Event()

    async def wait() -> None:
        entered.set()
        await asyncio.Event().wait()

    def call() -> None:
        try:
            thread.call(wait())
        except BaseException as error:
            told(error)

    threading.Thread(target=call, daemon=True).start()
    entered.wait(PATIENCE)
    thread.stop()
    thread.stop()
    assert isinstance(told.wait(1)[0], CancelledError)
    call()
    assert isinstance(told.wait(2)[1], CancelledError)


def test_what_goes_on_after_it_was_cancelled_does_not_keep_the_loop_from_ending(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(background, "_STOPPING_SECONDS", 0.05)
    thread = LoopThread()
    entered = threading.Event()

    async def stubborn() -> None:
        while True:
            try:
                entered.set()
                await asyncio.sleep(PATIENCE)
            except asyncio.CancelledError:
                continue

    def call() -> None:
        with contextlib.suppress(BaseException):
            thread.call(stubborn())

    threading.Thread(target=call, daemon=True).start()
    entered.wait(PATIENCE)
    thread.stop()
    assert not thread._thread.is_alive()
    assert "goes on" in caplog.text


def test_kinds_of_events_that_payload_mode_lacks_are_refused_when_they_are_asked_for(
    payload_database: Database,
) -> None:
    with GravityMemory(payload_database.dsn, config=QUICK) as client:
        for callback in (None, print):
            with pytest.raises(NotRecorded, match="memory_deleted"):
                client.subscribe_to_broadcasts("user", callback, events=["memory_created", "memory_deleted"])
        # Those who take what there is are served.
        client.subscribe_to_memories("user")
        client.subscribe_to_broadcasts("user")
