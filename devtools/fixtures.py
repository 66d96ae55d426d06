"""The types of the fixtures that tests/python/conftest.py offers, for annotating tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import psycopg

from devtools.servers import Server

Connection = psycopg.Connection[tuple[Any, ...]]

EXTENSIONS = ("vector", "gravity_memory")


class MakeDatabase(Protocol):
    """See the fixture `make_database`."""

    def __call__(self, extensions: Sequence[str] = EXTENSIONS, *, owner: str | None = None) -> str:
        """Make a database with the extensions and return its name."""
        ...


class MakeRole(Protocol):
    """See the fixture `make_role`."""

    def __call__(self, attributes: str = "LOGIN") -> str:
        """Make a role with these attributes of CREATE ROLE and return its name."""
        ...


class NewServer(Protocol):
    """See the fixture `new_server`."""

    def __call__(
        self, settings: dict[str, str] | None = None, *, cron_database: str | None = None, durable: bool = False
    ) -> Server:
        """Start a further server; see Server.create."""
        ...
