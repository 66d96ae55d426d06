"""Does the Dockerfile build an image that starts and works? Tried with buildah, which needs no Docker engine.

The official PostgreSQL image cannot be had everywhere, so a stand-in base is made of Debian 13's packages, which have
the same names; `image-check.sh` does in it what the official image's entry point does.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from devtools import REPO, debian13
from devtools.apt import install_packages
from devtools.cache import run_folder
from devtools.extension import copy_sources
from devtools.process import run

_BASE = "localhost/stand-in"
_IMAGE = "localhost/gravity_memory"
# Left out of the base, which is copied several times: what belongs to servers that run, and what only takes up space.
# Without LLVM there is no JIT compilation, so the check switches it off.
_SERVERS = ("tmp/*", "dev/shm/*")
_NOT_IN_BASE = (
    *_SERVERS,
    *("var/cache/*", "usr/share/doc/*", "usr/share/locale/*", "usr/share/man/*", "**/libLLVM*"),
)


def check_image() -> str:
    """Build the image and use it; returns what its check printed.

    Raises:
        SetupError: a step failed; the message carries its output.
    """
    install_packages(["buildah"])
    debian13.prepare()
    with run_folder() as folder:
        buildah = ["buildah", "--storage-driver=vfs", f"--root={folder}/images", f"--runroot={folder}/run"]
        _make_base(buildah, folder)
        context = copy_sources(folder)
        shutil.copy(REPO / "Dockerfile", context)
        (context / "devtools").mkdir()
        shutil.copy(REPO / "devtools/docker-init.sh", context / "devtools")
        build = ["bud", "--isolation=chroot", "--format=docker", f"--build-arg=BASE={_BASE}", f"--tag={_IMAGE}"]
        run([*buildah, *build, context], doing="Building the image")
        container = _last_line(run([*buildah, "from", _IMAGE], doing="buildah from"))
        check = Path(__file__).with_name("image-check.sh")
        run([*buildah, "copy", container, check, "/check.sh"], doing="buildah copy")
        start = ["run", "--isolation=chroot", "--user=postgres", container, "sh", "/check.sh"]
        return run([*buildah, *start], doing="Using the image")


def _make_base(buildah: list[str], folder: Path) -> None:
    """Commit the root folder of PostgreSQL 17's leg, with the variables that the official image sets."""
    container = _last_line(run([*buildah, "from", "scratch"], doing="buildah from scratch"))
    ignored = folder / "ignored"
    ignored.write_text("\n".join(_NOT_IN_BASE))
    root = debian13.root_folder()
    add: list[str | Path] = ["add", f"--contextdir={root}", f"--ignorefile={ignored}", container, root, "/"]
    run([*buildah, *add], doing="buildah add")
    programs = f"/usr/lib/postgresql/{debian13.MAJOR}/bin"
    path = f"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:{programs}"
    run(
        [*buildah, "config", f"--env=PG_MAJOR={debian13.MAJOR}", f"--env={path}", container],
        doing="buildah config",
    )
    run([*buildah, "commit", "--rm", container, _BASE], doing="buildah commit")


def _last_line(text: str) -> str:
    return text.splitlines()[-1].strip()
