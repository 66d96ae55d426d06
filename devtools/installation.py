"""One PostgreSQL installed in a run's own folder, where an extension can be added without touching anything else."""

from __future__ import annotations

import dataclasses
import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path

from devtools.account import Account, server_account


@dataclass(frozen=True)
class Installation:
    """PostgreSQL's programs and files, copied for one run.

    Attributes:
        major: PostgreSQL's major version.
        origin: where it comes from, in words.
        bindir: folder of its programs, as seen from inside `root`.
        run: this run's folder, as seen from outside.
        root: folder to chroot into for every program, or None.
        has_pg_cron: pg_cron can be preloaded.
        has_pg_stat_statements: pg_stat_statements can be preloaded.
        perl_lib: folder for PERL5LIB so that pg_prove works, as seen from inside `root`, or None.
        pg_prove: the program, as seen from inside `root`.
        isolation_regress: pg_isolation_regress, when the installation's own does not work.
        account: who runs the server. Chosen once: packages that another leg installs meanwhile may bring an account
            that would be chosen afterwards.
    """

    major: int
    origin: str
    bindir: str
    run: str
    root: str | None = None
    has_pg_cron: bool = False
    has_pg_stat_statements: bool = False
    perl_lib: str | None = None
    pg_prove: str = "pg_prove"
    isolation_regress: str | None = None
    account: Account = field(default_factory=server_account)

    def inside(self, path: Path) -> str:
        """A path of ours as programs of this installation see it."""
        return f"/{path.relative_to(self.root)}" if self.root else str(path)

    def command(self, program: str) -> list[str]:
        """The words that run a client program of this major (`psql`, `pg_dump`, ...); append its arguments."""
        return [*self._enter(), f"{self.bindir}/{program}"]

    def foreign_command(self, program: str) -> list[str]:
        """The words that run a program that is not PostgreSQL's own (`make`), where this installation lives."""
        return [*self._enter(), program]

    def server_command(self, program: str) -> list[str]:
        """The words that run a server program (`initdb`, `postgres`) as the unprivileged account.

        The kernel sends the program SIGINT, PostgreSQL's fast shutdown, should we die without stopping it.
        """
        words = [*self._enter()]
        account = self.account
        if shutil.which("setpriv"):
            words += ["setpriv", "--pdeathsig", "INT"]
            if not account.is_us:
                words += [f"--reuid={account.uid}", f"--regid={account.gid}", "--clear-groups"]
        elif not account.is_us:
            words += ["runuser", "-u", account.name, "--"]
        return [*words, f"{self.bindir}/{program}"]

    def _enter(self) -> list[str]:
        return ["chroot", self.root] if self.root else []

    def to_json(self) -> str:
        """For handing the installation to a child process."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Installation:
        """The inverse of `to_json`."""
        fields = json.loads(text)
        return cls(**{**fields, "account": Account(**fields["account"])})
