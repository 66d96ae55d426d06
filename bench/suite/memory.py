"""What a server process holds of its own."""

from __future__ import annotations

import re
from pathlib import Path

from bench.databases import Connection

_CONTEXTS = "SELECT sum(total_bytes) FROM pg_backend_memory_contexts"
_ANONYMOUS = re.compile(r"^Pss_Anon:\s+(\d+) kB", re.MULTILINE)


def allocated(connection: Connection) -> int:
    """Bytes in PostgreSQL's memory contexts of this session's process."""
    row = connection.execute(_CONTEXTS).fetchone()
    assert row is not None
    return int(row[0])


def private(connection: Connection) -> int | None:
    """Bytes of this session's process that belong to it alone, its share of what was forked off included.

    None where the operating system does not tell. Shared memory, which all processes use together, does not count.
    """
    try:
        text = Path(f"/proc/{connection.info.backend_pid}/smaps_rollup").read_text()
    except OSError:
        return None
    found = _ANONYMOUS.search(text)
    return None if found is None else 1024 * int(found[1])
