"""Is what the repository says about itself true? The version stands in the control file; the rest must agree."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

_NAME = "gravity_memory"
# What the PGXN meta specification 1.0.0 requires at the top level.
_REQUIRED = ("name", "version", "abstract", "maintainer", "license", "provides", "meta-spec")


def control_version(repo: Path) -> str:
    """default_version of the control file.

    Raises:
        ValueError: it is missing or not of the form 1.2.3, which PGXN and pgTLE ask for.
    """
    text = (repo / f"{_NAME}.control").read_text()
    found = re.search(r"^default_version\s*=\s*'(\d+\.\d+\.\d+)'\s*$", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"{_NAME}.control has no default_version of the form '1.2.3'")
    return found.group(1)


def metadata_problems(repo: Path) -> list[str]:
    """Everything that disagrees: META.json with the control file, released scripts with their checksums."""
    try:
        version = control_version(repo)
        meta: dict[str, Any] = json.loads((repo / "META.json").read_text())
    except (ValueError, OSError) as error:
        return [str(error)]
    script = f"{_NAME}--{version}.sql"
    problems = [f"META.json lacks {key!r}, which PGXN requires" for key in _REQUIRED if key not in meta]
    provided = meta.get("provides", {}).get(_NAME, {})
    expected = {
        "name": (meta.get("name"), _NAME),
        "version": (meta.get("version"), version),
        f"provides.{_NAME}.version": (provided.get("version"), version),
        f"provides.{_NAME}.file": (provided.get("file"), script),
        "license": (meta.get("license"), "postgresql"),
        "meta-spec.version": (meta.get("meta-spec", {}).get("version"), "1.0.0"),
    }
    problems += [
        f"META.json: {key} is {found!r}, and it should be {wanted!r}"
        for key, (found, wanted) in expected.items()
        if found != wanted
    ]
    requires = meta.get("prereqs", {}).get("runtime", {}).get("requires", {})
    problems += [
        f"META.json: prereqs.runtime.requires lacks {name!r}"
        for name in ("PostgreSQL", "vector")
        if name not in requires
    ]
    problems += [
        f"{name} is named in META.json and does not exist"
        for name in (provided.get("file"), provided.get("docfile"))
        if name and not (repo / name).is_file()
    ]
    return problems + _release_problems(repo, script)


def _release_problems(repo: Path, current: str) -> list[str]:
    """Released scripts are frozen: each is listed with its checksum and matches it."""
    lines = (repo / "devtools/released.sha256").read_text().splitlines()
    listed = {name: digest for digest, name in (line.split() for line in lines if line and not line.startswith("#"))}
    problems = []
    for name, digest in listed.items():
        path = repo / name
        if not path.is_file():
            problems.append(f"{name} was released and is gone")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            problems.append(f"{name} was released and has changed: raise the version and write an upgrade script")
    for path in sorted(repo.glob(f"{_NAME}--*.sql")):
        is_upgrade = path.name.count("--") == 2
        if path.name != current and not is_upgrade and path.name not in listed:
            problems.append(f"{path.name} is neither the current version nor listed in devtools/released.sha256")
    return problems
