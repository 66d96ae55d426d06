"""Parts of a test run beside each other: in order, within the limit, told apart, and none outlives its end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from devtools import REPO
from devtools.counts import Counts
from devtools.side_by_side import run_side_by_side

# Does what its name says, and writes into the folder of the test when it began and ended.
_PART = """
import json, os, pathlib, subprocess, sys, time
name, report = sys.argv[1:]
folder = pathlib.Path(__file__).parent
(folder / f"{name}.began").write_text(str(time.monotonic()))
print(f"this is {name}", flush=True)
if name == "dies":
    os._exit(3)
if name == "hangs":
    (folder / "pids").write_text(json.dumps([os.getpid()]))
    time.sleep(600)
if name == "leaves":
    # A program that it leaves behind keeps its output open.
    child = subprocess.Popen(["sleep", "600"])
    (folder / "left").write_text(str(child.pid))
time.sleep(0.3)
print("its last line", end="", flush=True)
pathlib.Path(report).write_text(json.dumps({"name": name, "pytest": {"passed": 2}, **{
    kind: {} for kind in ("pgtap", "upgraded", "isolation", "checks")}}))
(folder / f"{name}.ended").write_text(str(time.monotonic()))
"""


@pytest.fixture
def program(tmp_path: Path) -> tuple[str, ...]:
    path = tmp_path / "part.py"
    path.write_text(_PART)
    return (sys.executable, str(path))


@pytest.fixture
def at(tmp_path: Path) -> Callable[[str], float]:
    """When something happened, in seconds."""
    return lambda event: float((tmp_path / event).read_text())


def test_results_come_in_the_order_asked_for_and_lines_say_whose_they_are(
    program: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    results = run_side_by_side(["one", "three"], 2, {}, program)
    assert [(result.name, result.counts) for result in results] == [("one", Counts(2)), ("three", Counts(2))]
    said = capsys.readouterr().out.splitlines()
    assert sorted(said) == [
        *("one   | its last line", "one   | this is one"),
        *("three | its last line", "three | this is three"),
    ]


def test_no_more_run_at_a_time_than_allowed(program: tuple[str, ...], at: Callable[[str], float]) -> None:
    run_side_by_side(["a", "b", "c"], 2, {}, program)
    assert at("b.began") < at("a.ended")
    assert at("c.began") > min(at("a.ended"), at("b.ended"))


def test_a_part_that_needs_another_to_have_ended_waits_for_it(
    program: tuple[str, ...], at: Callable[[str], float]
) -> None:
    run_side_by_side(["a", "b", "c"], 3, {"b": "c", "c": "not run"}, program)
    assert at("c.began") < at("a.ended")
    assert at("b.began") > at("c.ended")


def test_a_part_that_dies_without_a_report_has_failed_and_the_others_go_on(program: tuple[str, ...]) -> None:
    dead, alive = run_side_by_side(["dies", "lives"], 2, {}, program)
    assert dead.counts == Counts(failed=1)
    assert "exit code 3" in dead.problem
    assert alive.counts == Counts(2)


def test_a_program_that_a_part_leaves_behind_is_not_waited_for(program: tuple[str, ...], tmp_path: Path) -> None:
    began = time.monotonic()
    (result,) = run_side_by_side(["leaves"], 2, {}, program)
    os.kill(int((tmp_path / "left").read_text()), signal.SIGKILL)
    assert result.counts == Counts(2)
    assert time.monotonic() - began < 300


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_whatever_stops_the_run_stops_its_parts(
    program: tuple[str, ...], tmp_path: Path, number: signal.Signals
) -> None:
    script = (
        "from devtools.servers import stop_on_terminate; from devtools.side_by_side import run_side_by_side;"
        f" stop_on_terminate(); run_side_by_side(['hangs', 'short'], 2, {{}}, {program!r})"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=REPO,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(REPO)},
    ) as run:
        _await(lambda: (tmp_path / "pids").exists() and (tmp_path / "pids").read_text() != "")
        (part,) = json.loads((tmp_path / "pids").read_text())
        run.send_signal(number)
        assert run.wait(120) != 0
    _await(lambda: not _is_alive(part))


def _await(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
