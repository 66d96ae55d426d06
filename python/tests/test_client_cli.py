"""`python -m gravity_memory`, as a person runs it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys

import pytest
from gravity_memory.cli import main

from devtools import REPO
from python.tests.client_support import Database, MakeClientDatabase, wait_until


def command(*arguments: str, database: Database) -> tuple[list[str], dict[str, str]]:
    """The words and the environment that run the client's command line."""
    environment = {
        **os.environ,
        **database.server.environment(database.name),
        "PYTHONPATH": str(REPO / "python" / "src"),
        "COLUMNS": "200",
        "PYTHONUNBUFFERED": "1",
    }
    return [sys.executable, "-m", "gravity_memory", *arguments], environment


def run(*arguments: str, database: Database) -> subprocess.CompletedProcess[str]:
    words, environment = command(*arguments, database=database)
    return subprocess.run(words, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_doctor_says_what_is_wrong_and_fails_when_it_is_an_error(database: Database) -> None:
    done = run("doctor", "--dsn", database.dsn, database=database)
    assert done.returncode == 0, done.stderr
    assert "error" not in done.stdout
    database.execute("DROP TRIGGER trigger_auto_tag_high_gravity ON gravity_map")
    done = run("doctor", database=database)
    assert done.returncode == 1
    assert "trigger_auto_tag_high_gravity" in re.sub(r"[\s│]+", "", done.stdout) or "trigger" in done.stdout


def test_doctor_without_the_extension_or_the_server_says_so(database: Database) -> None:
    database.execute("DROP EXTENSION gravity_memory CASCADE")
    done = run("doctor", database=database)
    assert done.returncode == 1
    assert "not installed" in done.stderr
    assert "Traceback" not in done.stderr


def test_watch_prints_events_until_it_is_interrupted(database: Database) -> None:
    words, environment = command("watch", "--user", "o'brien", database=database)
    with subprocess.Popen(
        words, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as watching:
        assert watching.stdout is not None
        assert watching.stderr is not None
        assert "watching o'brien" in watching.stdout.readline()
        database.add("other", "not this")
        database.add("o'brien", "the sea [red]\x1b[2J at night")
        database.execute("DELETE FROM gravity_map")
        first, second = watching.stdout.readline(), watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        assert watching.wait(60) == 0
        assert watching.stderr.read() == ""
    assert "memory_created" in first
    assert "the sea [red]\\u001b[2J at night" in first
    assert "memory_deleted" in second


def test_watch_goes_on_after_a_cut_connection(database: Database) -> None:
    words, environment = command("watch", "--user", "user", database=database)
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        watching.stdout.readline()
        wait_until(lambda: database.cut_listeners())
        database.add("user", "after the cut")
        assert "after the cut" in watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        watching.wait(60)


def test_watch_shows_what_payload_mode_has_and_says_what_it_lacks(payload_database: Database) -> None:
    words, environment = command("watch", "--user", "user", database=payload_database)
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        assert "memory_created, memory_updated, arc_created only" in watching.stdout.readline()
        payload_database.add("user", "x")
        assert "memory_created" in watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        assert watching.wait(60) == 0


def test_watch_of_a_database_that_announces_nothing_says_so(
    make_database: MakeClientDatabase, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["watch", "--user", "user", "--dsn", make_database(notify="off").dsn]) == 1
    assert "notify is off" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [(), ("watch",), ("nonsense",)])
def test_a_wrong_command_line_is_explained(database: Database, arguments: tuple[str, ...]) -> None:
    done = run(*arguments, database=database)
    assert done.returncode == 2
    assert "usage" in done.stderr


def test_a_cursor_to_begin_from_brings_what_was_missed(database: Database) -> None:
    ((cursor,),) = database.execute("SELECT memory_changes_head()")
    database.add("user", "missed")
    words, environment = command("watch", "--user", "user", "--since", cursor, database=database)
    with subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) as watching:
        assert watching.stdout is not None
        lines = watching.stdout.readline() + watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        watching.wait(60)
    assert "missed" in lines
