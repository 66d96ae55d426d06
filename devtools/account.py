"""The unprivileged account that runs the servers: PostgreSQL refuses to run as root."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from devtools.cache import is_root
from devtools.errors import SetupError


@dataclass(frozen=True)
class Account:
    """A user of this machine, or of the folder that a server is chrooted into."""

    name: str
    uid: int
    gid: int

    @property
    def is_us(self) -> bool:
        """True when no change of user is needed."""
        return self.uid == os.geteuid()

    def own(self, path: Path) -> None:
        """Hand a file or folder to this account."""
        if not self.is_us:
            os.chown(path, self.uid, self.gid)


def server_account(root: Path | None = None) -> Account:
    """The account for servers: ourselves, or `postgres`, else `nobody`, when we are root.

    Args:
        root: look the names up in this folder's etc/passwd instead of the machine's.

    Raises:
        SetupError: we are root and there is neither of the two.
    """
    if not is_root():
        return Account("", os.geteuid(), os.getegid())
    lines = ((root or Path("/")) / "etc/passwd").read_text().splitlines()
    users = {fields[0]: fields for fields in (line.split(":") for line in lines) if len(fields) >= 4}
    for name in ("postgres", "nobody"):
        if name in users:
            return Account(name, int(users[name][2]), int(users[name][3]))
    raise SetupError("PostgreSQL refuses to run as root, and there is no user 'postgres' or 'nobody': create one.")
