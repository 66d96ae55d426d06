"""The README's examples run, and do what it says."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from devtools import REPO
from python.tests.client_support import Database

_README = (REPO / "python" / "README.md").read_text(encoding="utf-8")
_EXAMPLES = re.findall(r"^```python\n(.*?)^```\n(?:\nprints\n\n```\n(.*?)^```)?", _README, re.MULTILINE | re.DOTALL)


def test_there_are_examples_for_both_clients() -> None:
    together = "".join(code for code, _ in _EXAMPLES)
    assert "with GravityMemory(" in together
    assert "async with AsyncGravityMemory(" in together


@pytest.mark.parametrize("number", range(len(_EXAMPLES)))
def test_an_example_runs_and_prints_what_is_shown(database: Database, tmp_path: Path, number: int) -> None:
    code, shown = _EXAMPLES[number]
    script = tmp_path / "example.py"
    script.write_text(code)
    done = subprocess.run(
        [sys.executable, "-W", "error", str(script)],
        env={**os.environ, "PYTHONPATH": str(REPO / "python" / "src"), "DATABASE_URL": database.dsn},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    if shown:
        assert done.stdout == shown
