"""A disk that is small: a file system in memory that only a server started for it sees.

It is mounted in a mount namespace of its own, which root may make, and an ordinary user together with a user namespace.
The namespace lives as long as its keeper, a process of ours that also says how large the disk is; when the keeper ends,
by itself or because we did, the disk is gone, and nothing stays mounted.

As a program, this file is the keeper: python small_disk.py FOLDER BYTES UID GID. It says "ready", then sets the size to
each number of bytes that it reads, until there are no more.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

_CLONE_NEWNS = 0x00020000
_CLONE_NEWUSER = 0x10000000
_MS_REMOUNT = 32
_MS_REC = 16384
_MS_PRIVATE = 1 << 18


class SmallDisk:
    """A small disk at a folder, for whoever runs with the words of `enter` in front.

    Raises:
        RuntimeError: neither root's way nor an ordinary user's works here; the message says what was refused.
    """

    def __init__(self, folder: Path, size: int, uid: int, gid: int) -> None:
        folder.mkdir()
        os.chown(folder, uid, gid)
        self.folder = folder
        self._keeper = subprocess.Popen(
            [sys.executable, "-B", __file__, str(folder), str(size), str(uid), str(gid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._expect("ready")

    def _expect(self, word: str) -> None:
        assert self._keeper.stdout is not None
        said = self._keeper.stdout.readline().strip()
        if said != word:
            said += self._keeper.stdout.read()
            self.close()
            raise RuntimeError(
                f"No small disk can be mounted: {said}\nRoot needs the capability CAP_SYS_ADMIN; an ordinary user needs"
                " a kernel that lets users make user namespaces (sysctl user.max_user_namespaces,"
                " kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)."
            )

    @property
    def enter(self) -> list[str]:
        """The words that run a program where the disk is."""
        user = [] if os.geteuid() == 0 else ["--user", "--preserve-credentials"]
        return ["nsenter", f"--target={self._keeper.pid}", *user, "--mount", "--"]

    def resize(self, size: int) -> None:
        """Give the disk this many bytes."""
        assert self._keeper.stdin is not None
        self._keeper.stdin.write(f"{size}\n")
        self._keeper.stdin.flush()
        self._expect("resized")

    def used(self) -> int:
        """Bytes that are in use."""
        said = subprocess.run(
            [*self.enter, "df", "--block-size=1", "--output=used", str(self.folder)],
            capture_output=True,
            text=True,
            check=True,
        )
        return int(said.stdout.split()[-1])

    def run(self, *words: str) -> None:
        """Run a program where the disk is."""
        subprocess.run([*self.enter, *words], check=True, capture_output=True)

    def close(self) -> None:
        """End the keeper, and with it the disk, as soon as nobody uses it."""
        for stream in (self._keeper.stdin, self._keeper.stdout):
            if stream is not None:
                stream.close()
        self._keeper.wait(30)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _checked(result: int, what: str) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def _keep(folder: str, size: int, uid: int, gid: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if os.geteuid() == 0:
        _checked(libc.unshare(_CLONE_NEWNS), "unshare")
    else:
        _checked(libc.unshare(_CLONE_NEWNS | _CLONE_NEWUSER), "unshare, as an ordinary user")
        Path("/proc/self/setgroups").write_text("deny")
        Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    _checked(libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None), "making mounts private")

    def mount(flags: int, bytes_: int) -> None:
        options = f"size={bytes_},mode=0700,uid={uid},gid={gid}"
        _checked(libc.mount(b"none", folder.encode(), b"tmpfs", flags, options.encode()), "mount")

    mount(0, size)
    print("ready", flush=True)
    for line in sys.stdin:
        mount(_MS_REMOUNT, int(line))
        print("resized", flush=True)


if __name__ == "__main__":
    _keep(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
