"""Behind a real PgBouncer: queries in transaction mode, subscriptions in session mode, and a clear error else."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

import psycopg
import pytest
from gravity_memory import AsyncGravityMemory, GravityMemory, ListenUnavailable, Memory
from gravity_memory.cli import main
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from devtools.cache import is_root, run_folder
from python.tests.client_support import PATIENCE, QUICK, Database, Heard, MakeClientDatabase, contents

_PROGRAM = os.environ.get("GRAVITY_MEMORY_PGBOUNCER") or shutil.which(
    "pgbouncer", path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
)


class StartPooler(Protocol):
    """See the fixture `pooler`."""

    def __call__(self, mode: str, *, notify: str = "wakeup", **settings: object) -> PooledDatabase: ...


class PooledDatabase(Database):
    """A database whose `dsn` leads through PgBouncer; everything else goes to the server itself."""

    port = 0

    @property
    def dsn(self) -> str:
        return make_conninfo(super().dsn, port=self.port)

    @property
    def direct(self) -> str:
        """The server itself."""
        return super().dsn


@pytest.fixture
def pooler(make_database: MakeClientDatabase) -> Iterator[StartPooler]:
    """Start PgBouncer before a fresh database: `pooler("transaction", default_pool_size=5)`."""
    if _PROGRAM is None:
        pytest.skip("pgbouncer is not installed")
    program = _PROGRAM
    started: list[subprocess.Popen[bytes]] = []

    def start(mode: str, *, notify: str = "wakeup", **settings: object) -> PooledDatabase:
        database = make_database(notify=notify)
        pooled = PooledDatabase(database.server, database.name)
        pooled.port = _free_port()
        config = folder / f"{len(started)}.ini"
        config.write_text(_configuration(pooled, mode, folder, settings))
        # It refuses to run as root.
        user = "nobody" if is_root() else None
        log_path = folder / f"{len(started)}.log"
        with log_path.open("wb") as log:
            process = subprocess.Popen([program, str(config)], user=user, stdout=log, stderr=subprocess.STDOUT)
        started.append(process)
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                psycopg.connect(pooled.dsn, connect_timeout=5).close()
                return pooled
            except psycopg.OperationalError:
                assert process.poll() is None, log_path.read_text()
                assert time.monotonic() < deadline, log_path.read_text()
                time.sleep(0.05)

    with run_folder() as folder:
        yield start
        for process in started:
            process.terminate()
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _configuration(database: PooledDatabase, mode: str, folder: Path, settings: Mapping[str, object]) -> str:
    server = conninfo_to_dict(database.direct)
    users = folder / "users"
    users.write_text(f'"{server["user"]}" "{server["password"]}"\n')
    lines = {
        "listen_addr": "127.0.0.1",
        "listen_port": database.port,
        "unix_socket_dir": "",
        "auth_type": "plain",
        "auth_file": users,
        "pool_mode": mode,
        **settings,
    }
    return f"[databases]\n* = host={server['host']} port={server['port']}\n[pgbouncer]\n" + "".join(
        f"{name} = {value}\n" for name, value in lines.items()
    )


@pytest.mark.parametrize("pool_size", [1, 3])
@pytest.mark.parametrize("round_robin", [0, 1])
def test_listening_in_transaction_mode_is_refused_and_queries_work(
    pooler: StartPooler, pool_size: int, round_robin: int
) -> None:
    database = pooler("transaction", default_pool_size=pool_size, server_round_robin=round_robin)
    with GravityMemory(database.dsn, config=QUICK) as memories:
        for number in range(20):
            memories.remember("user", f"sea {number}")
        ids = memories.remember_many({"user_id": "user", "content": str(number)} for number in range(1500))
        assert len(ids) == 1500
        assert memories.recall("user", "sea")
        assert memories.changes("user", memories.head()).events == []
        with pytest.raises(ListenUnavailable, match="transaction mode") as caught:
            memories.subscribe_to_memories("user", print)
        assert "listen_conninfo" in (caught.value.hint or "")


def test_queries_may_be_pooled_while_listening_is_direct(pooler: StartPooler) -> None:
    database = pooler("transaction")
    with GravityMemory(database.dsn, config=QUICK, listen_conninfo=database.direct) as memories:
        heard: Heard[Memory] = Heard()
        memories.subscribe_to_memories("user", heard)
        memories.remember("user", "x")
        assert contents(heard.wait(1)) == ["x"]


def test_watch_says_how_to_listen_elsewhere_and_does(pooler: StartPooler, capsys: pytest.CaptureFixture[str]) -> None:
    database = pooler("transaction")
    watch = ["watch", "--user", "user", "--dsn", database.dsn]
    assert main(watch) == 1
    error = capsys.readouterr().err
    assert "transaction mode" in error
    assert "--listen-dsn" in error
    # It listens, and says so: no such cursor.
    assert main([*watch, "--listen-dsn", database.direct, "--since", "nonsense"]) == 1
    assert "cursor" in capsys.readouterr().err


@pytest.mark.parametrize("notify", ["wakeup", "payload"])
def test_subscriptions_work_in_session_mode(pooler: StartPooler, notify: str) -> None:
    database = pooler("session", notify=notify)

    async def main() -> None:
        async with AsyncGravityMemory(database.dsn, config=QUICK) as memories:
            heard: Heard[Memory] = Heard()
            await memories.subscribe_to_memories("user", heard)
            made = [await memories.remember("user", str(number)) for number in range(20)]
            assert [memory.id for memory in await heard.arrived(20)] == [memory.id for memory in made]

    asyncio.run(main())


def test_a_pool_that_is_used_up_by_the_listener_does_not_keep_it_from_listening(
    pooler: StartPooler,
) -> None:
    database = pooler("session", default_pool_size=1)
    with GravityMemory(database.direct, config=QUICK, listen_conninfo=database.dsn) as memories:
        heard: Heard[Memory] = Heard()
        memories.subscribe_to_memories("user", heard)
        memories.remember("user", "x")
        assert contents(heard.wait(1)) == ["x"]


def test_a_pooler_that_goes_away_and_comes_back_costs_nothing(pooler: StartPooler) -> None:
    database = pooler("session")
    with GravityMemory(database.direct, config=QUICK, listen_conninfo=database.dsn) as memories:
        heard: Heard[Memory] = Heard()
        memories.subscribe_to_memories("user", heard)
        for number in range(5):
            memories.remember("user", str(number))
            database.cut_listeners()
        assert contents(heard.wait(5)) == [str(number) for number in range(5)]
