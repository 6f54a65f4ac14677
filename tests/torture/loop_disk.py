"""A file system of our own on a loop device, whose power can really be cut.

The ioctl EXT4_IOC_SHUTDOWN with the flag NOLOGFLUSH (linux/fs/ext4/ext4.h) makes a mounted ext4 forget
whatever is not on its medium; mounting it again replays its journal, as after a power loss.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import time
from pathlib import Path
from typing import Self

_SHUTDOWN = 0x8004587D
_NO_LOG_FLUSH = 2
_SIZE = 24 << 20
_TRIES = 100


class LoopDisk:
    """An ext4 in an image file below `place`; leave the `with` statement and nothing of it is mounted."""

    def __init__(self, place: Path) -> None:
        self._empty = place / "empty.img"
        self._image = place / "disk.img"
        self.root = place / "mounted"
        self._mounted = False
        self.root.mkdir(parents=True)
        with self._empty.open("wb") as file:
            file.truncate(_SIZE)
        options = "lazy_itable_init=0,lazy_journal_init=0"
        _run("mkfs.ext4", "-q", "-b", "4096", "-J", "size=4", "-E", options, str(self._empty))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *of_no_interest: object) -> None:
        self.unmount()

    def begin(self) -> None:
        """Mount an empty file system."""
        self.unmount()
        shutil.copyfile(self._empty, self._image)
        self.mount()

    def mount(self) -> None:
        """Mount what is on the medium."""
        _run("mount", "-o", "loop", str(self._image), str(self.root))
        self._mounted = True

    def cut(self) -> int:
        """Cut the power; return the moment (monotonic nanoseconds) before which all still worked."""
        descriptor = os.open(self.root, os.O_RDONLY)
        try:
            moment = time.monotonic_ns()
            fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
        finally:
            os.close(descriptor)
        return moment

    def unmount(self) -> None:
        """Unmount it; who was just killed may keep it busy for a moment."""
        for left in range(_TRIES if self._mounted else 0, 0, -1):
            done = subprocess.run(["umount", str(self.root)], capture_output=True, text=True, check=False)
            if done.returncode == 0:
                break
            if left == 1:
                subprocess.run(["umount", "-l", str(self.root)], check=True)
                raise OSError(f"still in use: {done.stderr}")
            time.sleep(0.02)
        self._mounted = False


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
