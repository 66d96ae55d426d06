"""No test vanishes: every file of tests is run on some PostgreSQL version, the ordinary ones on all."""

from __future__ import annotations

from devtools import REPO
from devtools.legs import LEGS
from devtools.parts import pytest_paths


def _files(major: int) -> set[str]:
    """The files that pytest collects on a version, by the paths it is given."""
    paths = pytest_paths(major)
    ignored = [path.removeprefix("--ignore=") for path in paths if path.startswith("--ignore=")]
    found = {
        str(file.relative_to(REPO))
        for path in paths
        if not path.startswith("--")
        for file in ([REPO / path] if path.endswith(".py") else (REPO / path).glob("**/test_*.py"))
    }
    return {file for file in found if not any(file == path or file.startswith(f"{path}/") for path in ignored)}


def test_every_test_file_runs_on_some_version() -> None:
    there = {
        str(file.relative_to(REPO)) for folder in ("tests", "python") for file in REPO.glob(f"{folder}/**/test_*.py")
    }
    assert there == set().union(*(_files(major) for major in LEGS))


def test_the_oldest_and_the_newest_version_run_all_ordinary_tests_and_the_others_nearly_all() -> None:
    ordinary = {str(file.relative_to(REPO)) for file in REPO.glob("tests/python/test_*.py")}
    assert len(ordinary) > 20
    for major in LEGS:
        assert len(ordinary - _files(major)) == (0 if major in {min(LEGS), max(LEGS)} else 4)


def test_whatever_the_server_is_put_through_runs_on_the_newest_version() -> None:
    assert any(file.startswith("tests/python/under_fire/") for file in _files(max(LEGS)))
