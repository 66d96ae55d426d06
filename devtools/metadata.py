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


def released_versions(repo: Path) -> tuple[str, ...]:
    """The versions before the current one, the oldest first, by their installation scripts."""
    current = control_version(repo)
    found = (re.fullmatch(rf"{_NAME}--(\d+\.\d+\.\d+)\.sql", path.name) for path in repo.glob(f"{_NAME}--*.sql"))
    versions = [match[1] for match in found if match and match[1] != current]
    return tuple(sorted(versions, key=lambda version: [int(part) for part in version.split(".")]))


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
    return problems + _release_problems(repo, script) + _upgrade_problems(repo, version)


def upgrades_to(repo: Path, version: str) -> list[tuple[str, str]]:
    """The upgrade scripts that lead straight to a version: the version they start from and the file, sorted."""
    found = (re.fullmatch(rf"{_NAME}--(.+?)--(.+)\.sql", path.name) for path in repo.glob(f"{_NAME}--*--*.sql"))
    return sorted((match[1], match[0]) for match in found if match and match[2] == version)


def _released(repo: Path) -> dict[str, str]:
    """Checksum by released script."""
    lines = (repo / "devtools/released.sha256").read_text().splitlines()
    return {name: digest for digest, name in (line.split() for line in lines if line and not line.startswith("#"))}


def _release_problems(repo: Path, current: str) -> list[str]:
    """Released scripts are frozen: each is listed with its checksum and matches it."""
    listed = _released(repo)
    problems = []
    for name, digest in listed.items():
        path = repo / name
        if not path.is_file():
            problems.append(f"{name} was released and is gone")
        elif hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            problems.append(f"{name} was released and has changed: raise the version and write an upgrade script")
    current_scripts = {current, *(name for _, name in upgrades_to(repo, control_version(repo)))}
    problems += [
        f"{path.name} is neither of the current version nor listed in devtools/released.sha256"
        for path in sorted(repo.glob(f"{_NAME}--*.sql"))
        if path.name not in listed and path.name not in current_scripts
    ]
    return problems


def _upgrade_problems(repo: Path, version: str) -> list[str]:
    """Every released version leads to the current one, over scripts that are released or built from sql/upgrades/."""
    listed = _released(repo)
    problems = []
    reached, left = {version}, [version]
    while left:
        target = left.pop()
        for start, name in upgrades_to(repo, target):
            part = f"sql/upgrades/{start}--{target}.sql"
            if name not in listed and not (repo / part).is_file():
                problems.append(f"{name} is not built: {part} does not exist")
            if start not in reached:
                reached.add(start)
                left.append(start)
    for name in listed:
        found = re.fullmatch(rf"{_NAME}--(\d+\.\d+\.\d+)\.sql", name)
        if found and found[1] not in reached:
            problems.append(
                f"No upgrade script leads from {found[1]} to {version}: write sql/upgrades/{found[1]}--{version}.sql"
            )
    return problems
