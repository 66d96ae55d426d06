"""Concurrent clients: pgbench, with every transaction's latency."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.suite.contestants import Contestant
from devtools.process import clean_environment
from devtools.servers import Server, ServerError

_RATE = re.compile(r"^tps = ([\d.]+) \(without initial connection time\)", re.MULTILINE)


@dataclass(frozen=True)
class Script:
    """What a client does over and over.

    Attributes:
        text: in the language of pgbench scripts.
        weight: how often it is chosen, among all scripts of a load.
    """

    text: str
    weight: int = 1


@dataclass(frozen=True)
class Observed:
    """Transactions of one script: arrays of one length, in the order in which they ended.

    Attributes:
        ended: seconds since 1970, float64.
        milliseconds: how long each took, float64; at a given rate, from when it should have begun.
    """

    ended: NDArray[np.float64]
    milliseconds: NDArray[np.float64]

    def between(self, first: float, last: float) -> Observed:
        """Those that were under way at some moment between two times in seconds since 1970."""
        began = self.ended - self.milliseconds / 1000
        chosen = (self.ended >= first) & (began <= last)
        return Observed(self.ended[chosen], self.milliseconds[chosen])

    def percentile(self, share: float) -> float | None:
        """Of their milliseconds; None of none."""
        return float(np.percentile(self.milliseconds, share)) if len(self.milliseconds) else None


@dataclass(frozen=True)
class Load:
    """What clients did.

    Attributes:
        per_second: transactions per second of all clients together, the time to connect not counted.
        observed: by name of the script.
    """

    per_second: float
    observed: dict[str, Observed]


def run_clients(
    server: Server,
    database: str,
    contestant: Contestant,
    scripts: Mapping[str, Script],
    *,
    clients: int,
    seconds: int,
    rate: float | None = None,
    settings: Mapping[str, str] | None = None,
) -> Load:
    """Let clients run scripts, with prepared statements, and wait for them.

    Args:
        server: where.
        database: in which database.
        contestant: whose tables unqualified names mean.
        scripts: by name.
        clients: how many at a time, each with a connection of its own.
        seconds: for how long.
        rate: transactions per second of all clients together, at random moments; None: as many as they can.
        settings: of PostgreSQL, for these connections.

    Raises:
        ServerError: a statement failed.
    """
    options = {"search_path": f"{contestant.schema},public", "client_min_messages": "warning", **(settings or {})}
    environment = server.environment(database) | {
        "PGOPTIONS": " ".join(f"-c {name}={value}" for name, value in options.items())
    }
    # Where the server's programs see it, if they live in a folder of their own.
    with tempfile.TemporaryDirectory(dir=server.folder) as folder:
        inside = server.installation.inside(Path(folder))
        command = [
            *server.installation.command("pgbench"),
            "--no-vacuum",
            "--protocol=prepared",
            "--log",
            f"--log-prefix={inside}/times",
        ]
        command += [f"--client={clients}", f"--time={seconds}"]
        if rate is not None:
            command.append(f"--rate={rate}")
        for number, script in enumerate(scripts.values()):
            path = Path(folder) / f"{number}.sql"
            path.write_text(script.text, encoding="utf-8")
            command.append(f"--file={inside}/{path.name}@{script.weight}")
        done = subprocess.run(
            command, env=clean_environment(environment), cwd="/", capture_output=True, text=True, check=False
        )
        found = _RATE.search(done.stdout)
        if done.returncode != 0 or found is None or "WARNING" in done.stderr:
            raise ServerError(
                f"pgbench failed with exit code {done.returncode}:\n{done.stderr[-2000:]}{done.stdout[-2000:]}"
            )
        lines = [line for path in Path(folder).glob("times.*") for line in path.read_text().splitlines()]
    return Load(float(found[1]), _observed(lines, list(scripts)))


def joined(parts: Sequence[Observed]) -> Observed:
    """Several loads of one script as one, in the order of time."""
    return Observed(np.concatenate([one.ended for one in parts]), np.concatenate([one.milliseconds for one in parts]))


def _observed(lines: list[str], names: list[str]) -> dict[str, Observed]:
    """A line has: client, number, microseconds, script, end in seconds, its microseconds, and at a rate the delay."""
    table = np.array([[float(field) for field in line.split()[:6]] for line in lines]).reshape(-1, 6)
    ended = table[:, 4] + table[:, 5] / 1e6
    order = np.argsort(ended, kind="stable")
    table, ended = table[order], ended[order]
    return {
        name: Observed(ended[table[:, 3] == number], table[table[:, 3] == number, 2] / 1000)
        for number, name in enumerate(names)
    }
