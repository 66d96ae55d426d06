"""Does the Dockerfile build an image that starts and works, as compose.yaml says? Tried with buildah.

There is no Docker engine to be had everywhere, and no official PostgreSQL image. So Debian 13's packages, which have
the same names, stand in for the latter, and `image-check.sh` does in a container what its entry point does.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from devtools import REPO, debian13
from devtools.account import server_account
from devtools.apt import install_packages
from devtools.cache import memory_run_folder
from devtools.compose import Service, read_compose
from devtools.counts import Counts, count_tap
from devtools.errors import SetupError
from devtools.extension import copy_sources, make_command
from devtools.full_scale import IS_FULL
from devtools.process import clean_environment, run, with_our_life
from devtools.servers import free_port

_OFFICIAL = f"docker.io/library/postgres:{debian13.MAJOR}"
_IMAGE = "localhost/gravity_memory"
_PASSWORD = "image check"  # noqa: S105 - of a server that lives for a minute
_READY = "image-check: ready"
# Left out of the base, which is copied several times: what belongs to servers that run, and what only takes up space.
# Without LLVM there is no JIT compilation, so the check switches it off.
_NOT_IN_BASE = (
    *("tmp/*", "dev/shm/*", "var/lib/postgresql/*"),
    *("var/cache/*", "usr/share/doc/*", "usr/share/locale/*", "usr/share/man/*", "usr/share/i18n/*"),
    *("**/libLLVM*", "**/libz3.so*", f"usr/lib/postgresql/{debian13.MAJOR}/lib/bitcode/*"),
)
# Of the pgTAP tests, those that depend on what the image brings: pg_cron, our files, the text search's dictionaries.
_BRIEF = ("schedules", "setup", "teardown", "tagging", "lexical")


def check_image() -> Counts:
    """Build the image, use it, and use its data in another container.

    Tests run against it: all of installcheck with GRAVITY_MEMORY_TEST_FULL=1, else some, because PostgreSQL 17's leg
    runs all of it on the same packages. Returns how many.

    Raises:
        SetupError: a step failed; the message carries its output.
    """
    install_packages(["buildah"])
    debian13.prepare()
    service = read_compose({"PG_MAJOR": str(debian13.MAJOR), "POSTGRES_PASSWORD": _PASSWORD})
    with memory_run_folder() as folder:
        buildah = ["buildah", "--storage-driver=vfs", f"--root={folder}/images", f"--runroot={folder}/run"]
        _make_base(buildah, folder)
        _build(buildah, folder, service)
        volume = folder / "volume"
        volume.mkdir()
        server_account(debian13.root_folder()).own(volume)
        with _container(buildah, service, volume, "first") as port:
            tests = _installcheck(port)
        # Compose makes another container of a service whose image changed: the volume is all that it shares.
        with _container(buildah, service, volume, "again"):
            return tests


def _make_base(buildah: list[str], folder: Path) -> None:
    """Commit the root folder of PostgreSQL 17's leg as the official image, with the variables that the latter sets."""
    container = _last_line(run([*buildah, "from", "scratch"], doing="buildah from scratch"))
    ignored = folder / "ignored"
    ignored.write_text("\n".join(_NOT_IN_BASE))
    root = debian13.root_folder()
    add: list[str | Path] = ["add", f"--contextdir={root}", f"--ignorefile={ignored}", container, root, "/"]
    run([*buildah, *add], doing="buildah add")
    programs = f"/usr/lib/postgresql/{debian13.MAJOR}/bin"
    path = f"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:{programs}"
    # initdb takes the cluster's locale from LANG, which is en_US.utf8 there.
    variables = (f"--env=PG_MAJOR={debian13.MAJOR}", f"--env={path}", "--env=LANG=C.UTF-8")
    run([*buildah, "config", *variables, container], doing="buildah config")
    run([*buildah, "commit", "--rm", container, _OFFICIAL], doing="buildah commit")


def _build(buildah: list[str], folder: Path, service: Service) -> None:
    """Build the Dockerfile with compose.yaml's arguments, in a copy of the checkout, of which .dockerignore chooses."""
    context = copy_sources(folder)
    for name in ("Dockerfile", ".dockerignore"):
        shutil.copy(REPO / name, context)
    (context / "devtools").mkdir()
    shutil.copy(REPO / "devtools/docker-init.sh", context / "devtools")
    arguments = [f"--build-arg={name}={value}" for name, value in service.build_arguments.items()]
    build = ["bud", "--isolation=chroot", "--format=docker", "--pull-never", *arguments, f"--tag={_IMAGE}"]
    run([*buildah, *build, context], doing="Building the image")


@contextmanager
def _container(buildah: list[str], service: Service, volume: Path, phase: str) -> Iterator[int]:
    """A container in which image-check.sh went through its phase's checks, and its server still runs.

    Yields the server's port. The container ends in order, and is removed.
    """
    container = _last_line(run([*buildah, "from", "--pull-never", _IMAGE], doing="buildah from"))
    run([*buildah, "copy", container, Path(__file__).with_name("image-check.sh"), "/check.sh"], doing="buildah copy")
    port = free_port()
    environment = {**service.environment, "PGPORT": str(port), "HEALTH_CHECK": service.health_check}
    words = [
        *(*buildah, "run", "--isolation=chroot", "--user=postgres", f"--volume={volume}:{service.volume}"),
        *(f"--env={name}={value}" for name, value in environment.items()),
        *(container, "sh", "/check.sh", phase, *service.command),
    ]
    # It goes on when its input ends, which it also does when we do.
    process = subprocess.Popen(
        with_our_life(words),
        env=clean_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    )
    assert process.stdin is not None
    assert process.stdout is not None
    said: list[str] = []
    try:
        for line in process.stdout:
            if line.strip() == _READY:
                yield port
                break
            said.append(line)
    finally:
        process.stdin.close()
        said += process.stdout.readlines()
        if process.wait() != 0:
            raise SetupError(
                f"Using the image, {phase}, failed with exit code {process.returncode}:\n{''.join(said[-60:])}"
            )
    run([*buildah, "rm", container], doing="buildah rm")


def _installcheck(port: int) -> Counts:
    """Run tests against the server in the container, by the programs of the root folder that the image was made of.

    Raises:
        SetupError: a test failed.
    """
    brief = [f"PGTAP_TESTS={' '.join(f'tests/pgtap/{name}.sql' for name in _BRIEF)}", "installcheck-pgtap"]
    with debian13.folder_for_run() as folder:
        installation = debian13.installation(folder)
        environment = {"PGHOST": "127.0.0.1", "PGPORT": str(port), "PGUSER": "postgres", "PGPASSWORD": _PASSWORD}
        said = run(
            [
                *make_command(installation, copy_sources(folder)),
                *("PROVE_FLAGS=--verbose", *(["installcheck"] if IS_FULL else brief)),
            ],
            doing="make installcheck on the image's server",
            env={**environment, "PGOPTIONS": "-c jit=off"},
            cwd=Path("/"),
        )
    counts = count_tap(said.splitlines())
    if counts.failed or not counts.passed:
        raise SetupError(f"make installcheck on the image's server: {counts}\n{said[-4000:]}")
    return counts


def _last_line(text: str) -> str:
    return text.splitlines()[-1].strip()
