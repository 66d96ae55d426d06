"""Each violation of PGXN's specification of META.json is found by the schema that `make lint` checks it with."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from devtools import REPO

SCHEMA = json.loads((REPO / "devtools/pgxn-meta.schema.json").read_text())
Meta = dict[str, Any]


def minimal() -> Meta:
    """What the specification requires, and nothing else."""
    return {
        "name": "pair",
        "version": "0.1.2",
        "abstract": "A pair",
        "maintainer": "Somebody <somebody@example.org>",
        "license": "postgresql",
        "provides": {"pair": {"file": "pair.sql", "version": "0.1.2"}},
        "meta-spec": {"version": "1.0.0"},
    }


def problems(meta: Meta) -> list[str]:
    """What the schema finds, as paths."""
    return [error.json_path for error in Draft202012Validator(SCHEMA).iter_errors(meta)]


def test_the_schema_itself_is_valid() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_what_the_specification_requires_will_do() -> None:
    assert problems(minimal()) == []


@pytest.mark.parametrize("key", sorted(minimal()))
def test_a_missing_mandatory_field_is_found(key: str) -> None:
    meta = minimal()
    del meta[key]
    assert problems(meta) == ["$"]


VIOLATIONS: dict[str, tuple[Callable[[Meta], object], str | None]] = {
    "a version of two parts": (lambda meta: meta.update(version="1.2"), "$.version"),
    "a version with a leading zero": (lambda meta: meta.update(version="1.02.3"), "$.version"),
    "a name with a space": (lambda meta: meta.update(name="a pair"), "$.name"),
    "a name of one character": (lambda meta: meta.update(name="p"), "$.name"),
    "an empty abstract": (lambda meta: meta.update(abstract=""), "$.abstract"),
    "no maintainer in a list": (lambda meta: meta.update(maintainer=[]), "$.maintainer"),
    "an unknown license": (lambda meta: meta.update(license="PostgreSQL"), "$.license"),
    "a license that is no address": (lambda meta: meta.update(license={"PostgreSQL": "yes"}), "$.license"),
    "nothing provided": (lambda meta: meta.update(provides={}), "$.provides"),
    "an extension without version": (lambda meta: meta["provides"]["pair"].pop("version"), "$.provides.pair"),
    "a file outside": (lambda meta: meta["provides"]["pair"].update(file="../pair.sql"), "$.provides.pair.file"),
    "an absolute file": (lambda meta: meta["provides"]["pair"].update(docfile="/pair.md"), "$.provides.pair.docfile"),
    "a specification of another kind": (lambda meta: meta.update({"meta-spec": {"version": "2.0.0"}}), None),
    "an unknown field": (lambda meta: meta.update(keywords=["pair"]), "$"),
    "an unknown phase": (lambda meta: meta.update(prereqs={"install": {"requires": {"vector": 0}}}), "$.prereqs"),
    "a prerequisite of two parts": (
        lambda meta: meta.update(prereqs={"runtime": {"requires": {"vector": "0.7"}}}),
        None,
    ),
    "an unknown release status": (lambda meta: meta.update(release_status="beta"), "$.release_status"),
    "a tag with a slash": (lambda meta: meta.update(tags=["a/b"]), "$.tags[0]"),
    "a repository without its type": (
        lambda meta: meta.update(resources={"repository": {"url": "https://example.org/pair.git"}}),
        "$.resources.repository",
    ),
}


@pytest.mark.parametrize("violation", VIOLATIONS)
def test_a_violation_is_found(violation: str) -> None:
    change, path = VIOLATIONS[violation]
    meta = minimal()
    change(meta)
    assert [path or "somewhere"] == [found if path else "somewhere" for found in problems(meta)]


def test_custom_fields_ranges_and_lists_are_allowed() -> None:
    meta = minimal()
    meta.update(
        {
            "x_colour": "blue",
            "maintainer": ["Somebody", "Somebody else"],
            "license": ["postgresql", "mit"],
            "prereqs": {"runtime": {"requires": {"PostgreSQL": ">= 15.0.0, != 16.1.0, < 20.0.0", "vector": 0}}},
            "tags": ["key value"],
        }
    )
    assert problems(meta) == []


def test_the_check_of_make_lint_fails_where_the_schema_does(tmp_path: Path) -> None:
    meta = tmp_path / "META.json"
    command = [sys.executable, "-m", "check_jsonschema", "--schemafile", "devtools/pgxn-meta.schema.json", str(meta)]
    for version, code in (("0.1.2", 0), ("0.1", 1)):
        meta.write_text(json.dumps(minimal() | {"version": version}))
        done = subprocess.run(command, cwd=REPO, capture_output=True, check=False)
        assert done.returncode == code, done.stdout.decode()
