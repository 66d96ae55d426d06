"""The version matrix: which PostgreSQL each leg tests, and whether it can run here."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from devtools import debian12, debian13
from devtools.cache import memory_run_folder
from devtools.embedded import embedded_installation
from devtools.installation import Installation
from devtools.pgtap import add_pgtap, pgtap_files

CRON_DATABASE = "gravity_memory_cron"
"""The database where pg_cron works in the test servers that have it."""


@dataclass(frozen=True)
class Leg:
    """One PostgreSQL version of the matrix.

    Attributes:
        major: PostgreSQL's major version.
        needs_root: its packages can be installed by root only.
        prepare: downloads and builds what is cached.
        folder: a run folder where its installation can live.
        installation: PostgreSQL in that folder, with pgTAP.
    """

    major: int
    needs_root: bool
    prepare: Callable[[], object]
    folder: Callable[[], AbstractContextManager[Path]]
    installation: Callable[[Path], Installation]


def _embedded(major: int) -> Leg:
    return Leg(
        major=major,
        needs_root=False,
        prepare=pgtap_files,
        folder=memory_run_folder,
        installation=lambda folder: add_pgtap(embedded_installation(major, folder)),
    )


LEGS: dict[int, Leg] = {
    leg.major: leg
    for leg in (
        Leg(debian12.MAJOR, True, debian12.prepare, memory_run_folder, debian12.installation),
        _embedded(16),
        Leg(debian13.MAJOR, True, debian13.prepare, debian13.folder_for_run, debian13.installation),
        _embedded(18),
    )
}
