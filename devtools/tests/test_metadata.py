"""Each disagreement between META.json, the control file and the released scripts is found."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from devtools.metadata import metadata_problems, released_versions


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A small repository in which everything agrees."""
    (tmp_path / "gravity_memory.control").write_text("default_version = '1.2.0'\n")
    (tmp_path / "gravity_memory--1.2.0.sql").write_text("SELECT 1;")
    (tmp_path / "gravity_memory--1.1.0.sql").write_text("SELECT 0;")
    (tmp_path / "gravity_memory--1.1.0--1.2.0.sql").write_text("SELECT 01;")
    (tmp_path / "sql/upgrades").mkdir(parents=True)
    (tmp_path / "sql/upgrades/1.1.0--1.2.0.sql").write_text("SELECT 0;")
    (tmp_path / "devtools").mkdir()
    digest = hashlib.sha256(b"SELECT 0;").hexdigest()
    (tmp_path / "devtools/released.sha256").write_text(f"# Comment\n{digest}  gravity_memory--1.1.0.sql\n")
    _write(tmp_path, {})
    return tmp_path


def _write(repo: Path, changed: dict[str, Any]) -> None:
    meta: dict[str, Any] = {
        "name": "gravity_memory",
        "version": "1.2.0",
        "abstract": "A",
        "maintainer": "M",
        "license": "postgresql",
        "provides": {"gravity_memory": {"file": "gravity_memory--1.2.0.sql", "version": "1.2.0"}},
        "prereqs": {"runtime": {"requires": {"PostgreSQL": "15.0.0", "vector": "0.5.0"}}},
        "meta-spec": {"version": "1.0.0"},
    }
    (repo / "META.json").write_text(json.dumps(meta | changed))


def test_a_repository_that_agrees_has_no_problem(repo: Path) -> None:
    assert metadata_problems(repo) == []


def test_another_version_in_meta_is_found(repo: Path) -> None:
    _write(repo, {"version": "1.1.0"})
    assert metadata_problems(repo) == ["META.json: version is '1.1.0', and it should be '1.2.0'"]


def test_a_provided_file_of_another_version_is_found(repo: Path) -> None:
    _write(repo, {"provides": {"gravity_memory": {"file": "gravity_memory--1.1.0.sql", "version": "1.1.0"}}})
    assert len(metadata_problems(repo)) == 2


def test_a_missing_prerequisite_is_found(repo: Path) -> None:
    _write(repo, {"prereqs": {}})
    assert [problem.split()[-1] for problem in metadata_problems(repo)] == ["'PostgreSQL'", "'vector'"]


def test_a_control_file_without_three_part_version_is_found(repo: Path) -> None:
    (repo / "gravity_memory.control").write_text("default_version = '1.2'\n")
    assert "default_version" in metadata_problems(repo)[0]


def test_a_changed_released_script_is_found(repo: Path) -> None:
    (repo / "gravity_memory--1.1.0.sql").write_text("SELECT 2;")
    assert "has changed" in metadata_problems(repo)[0]


def test_a_released_script_that_is_gone_is_found(repo: Path) -> None:
    (repo / "gravity_memory--1.1.0.sql").unlink()
    assert "is gone" in metadata_problems(repo)[0]


def test_an_old_script_that_is_not_listed_is_found(repo: Path) -> None:
    (repo / "gravity_memory--1.0.0.sql").write_text("SELECT 3;")
    assert "gravity_memory--1.0.0.sql" in metadata_problems(repo)[0]


def test_a_released_version_from_which_no_upgrade_leads_on_is_found(repo: Path) -> None:
    (repo / "gravity_memory--1.1.0--1.2.0.sql").unlink()
    assert metadata_problems(repo) == [
        "No upgrade script leads from 1.1.0 to 1.2.0: write sql/upgrades/1.1.0--1.2.0.sql"
    ]


def test_an_upgrade_over_several_released_scripts_will_do(repo: Path) -> None:
    released = {
        "gravity_memory--1.0.0.sql": b"SELECT 3;",
        "gravity_memory--1.0.0--1.1.0.sql": b"SELECT 4;",
    }
    with (repo / "devtools/released.sha256").open("a") as listed:
        for name, content in released.items():
            (repo / name).write_bytes(content)
            listed.write(f"{hashlib.sha256(content).hexdigest()}  {name}\n")
    assert metadata_problems(repo) == []
    (repo / "gravity_memory--1.0.0--1.1.0.sql").write_text("SELECT 5;")
    assert ["has changed" in problem for problem in metadata_problems(repo)] == [True]


def test_an_upgrade_script_that_is_not_built_from_the_sources_is_found(repo: Path) -> None:
    (repo / "sql/upgrades/1.1.0--1.2.0.sql").unlink()
    assert metadata_problems(repo) == [
        "gravity_memory--1.1.0--1.2.0.sql is not built: sql/upgrades/1.1.0--1.2.0.sql does not exist"
    ]


def test_an_old_upgrade_script_that_is_not_listed_is_found(repo: Path) -> None:
    (repo / "gravity_memory--1.0.0--1.1.0.sql").write_text("SELECT 4;")
    (repo / "sql/upgrades/1.0.0--1.1.0.sql").write_text("")
    assert metadata_problems(repo) == [
        "gravity_memory--1.0.0--1.1.0.sql is neither of the current version nor listed in devtools/released.sha256"
    ]


def test_released_versions_are_those_with_an_installation_script_of_their_own_the_oldest_first(repo: Path) -> None:
    for version in ("1.0.0", "0.10.0", "0.9.3"):
        (repo / f"gravity_memory--{version}.sql").touch()
    assert released_versions(repo) == ("0.9.3", "0.10.0", "1.0.0", "1.1.0")
