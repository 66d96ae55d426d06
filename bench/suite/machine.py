"""The machine that figures come from, described without its name."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from bench.databases import Connection

_SETTINGS = (
    "shared_buffers",
    "work_mem",
    "maintenance_work_mem",
    "effective_cache_size",
    "max_wal_size",
    "fsync",
    "jit",
)


def describe(connection: Connection) -> dict[str, str]:
    """Processor, memory, system, PostgreSQL, pgvector and the server's settings that matter, by name."""
    settings = connection.execute(
        "SELECT string_agg(name || ' = ' || current_setting(name), ', ') FROM unnest(%s::text[]) AS s (name)",
        (list(_SETTINGS),),
    ).fetchone()
    versions = connection.execute(
        "SELECT current_setting('server_version'), (SELECT default_version FROM pg_available_extensions WHERE name "
        "= 'vector')"
    ).fetchone()
    assert settings is not None
    assert versions is not None
    return {
        "processor": f"{os.cpu_count()} x {_processor()}",
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.machine()}",
        "PostgreSQL": str(versions[0]),
        "pgvector": str(versions[1]),
        "settings": str(settings[0]),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())
