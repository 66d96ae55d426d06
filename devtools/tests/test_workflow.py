"""GitHub's workflow tests what the project supports, by commands that the Makefile has."""

from __future__ import annotations

import re
from typing import Any

from ruamel.yaml import YAML

from devtools import REPO
from devtools.legs import LEGS


def jobs() -> dict[str, Any]:
    """The workflow's jobs."""
    loaded = YAML(typ="safe").load((REPO / ".github/workflows/test.yml").read_text())
    found: dict[str, Any] = loaded["jobs"]
    return found


def test_the_tests_and_the_image_run_on_every_supported_version() -> None:
    for name in ("installcheck", "image"):
        assert jobs()[name]["strategy"]["matrix"]["postgresql"] == sorted(LEGS), name


def test_every_goal_of_make_exists() -> None:
    goals = set(re.findall(r"^([a-z][a-z0-9 -]*):(?!=)", (REPO / "Makefile").read_text(), re.MULTILINE))
    known = {"install", *(goal for line in goals for goal in line.split())}
    called = {
        goal
        for job in jobs().values()
        for step in job["steps"]
        for goal in re.findall(r"\bmake ([a-z-]+)(?= |$)", step.get("run", ""), re.MULTILINE)
    }
    assert {"install", "installcheck", "lint", "test"} <= called <= known


def test_the_packages_are_those_of_the_version_under_test() -> None:
    for job in jobs().values():
        for step in job["steps"]:
            assert not re.search(r"postgresql-\d", step.get("run", ""))
