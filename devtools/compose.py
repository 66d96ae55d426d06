"""What compose.yaml says, read by Docker Compose itself, which needs no Docker engine for that."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from devtools import REPO
from devtools.apt import PrivateApt, debian_keyring, debian_mirror, unpack
from devtools.cache import make_once
from devtools.errors import SetupError
from devtools.process import run

_PLUGIN = Path("usr/libexec/docker/cli-plugins/docker-compose")


@dataclass(frozen=True)
class Service:
    """The database of compose.yaml.

    Attributes:
        build_arguments: for the Dockerfile.
        command: what the container runs.
        environment: of the container.
        health_check: a command for sh, which succeeds in a healthy container.
        volume: where the container sees the volume.
    """

    build_arguments: dict[str, str]
    command: list[str]
    environment: dict[str, str]
    health_check: str
    volume: str


def read_compose(variables: dict[str, str]) -> Service:
    """Let Docker Compose check compose.yaml and fill the variables in.

    Raises:
        SetupError: Compose refuses the file, or the file has no service as we expect it.
    """
    command: list[str | Path] = [_compose(), "--file", REPO / "compose.yaml", "config", "--format", "json"]
    said = run(command, doing="docker-compose config", env=variables)
    try:
        service: dict[str, Any] = json.loads(said)["services"]["database"]
        (volume,) = service["volumes"]
        kind, health_check = service["healthcheck"]["test"]
        if kind != "CMD-SHELL" or volume["type"] != "volume":
            raise ValueError(kind, volume)
        return Service(
            build_arguments=service["build"]["args"],
            command=service["command"],
            environment=service["environment"],
            # Compose doubles what the container's shell is to expand.
            health_check=health_check.replace("$$", "$"),
            volume=volume["target"],
        )
    except (KeyError, TypeError, ValueError) as error:
        raise SetupError(
            f"compose.yaml: no service as the check expects it: {error!r}. Compose says:\n{said}"
        ) from error


def _compose() -> Path:
    """The program, from Debian 13's package, unpacked: Debian 12's is older than the form of our file."""
    return make_once("docker-compose", "1", _download, announce="Downloading Docker Compose") / _PLUGIN


def _download(folder: Path) -> None:
    source = f"deb [signed-by={debian_keyring()}] {debian_mirror()} trixie main\n"
    (package,) = PrivateApt("apt-compose", source).download(["docker-compose"], folder)
    unpack(package, folder)
    package.unlink()
