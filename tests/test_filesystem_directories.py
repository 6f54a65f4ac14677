"""A directory that a compaction removes as empty while a save is about to put something into it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from moai_patterns.backends import fileops
from moai_patterns.backends.base import Batch
from moai_patterns.backends.filesystem.backend import FilesystemBackend
from moai_patterns.testing.pools import MIDNIGHT, stored


@contextmanager
def checked(path: Path) -> Iterator[FilesystemBackend]:
    """The store in a tree, to be written to; every byte of it is checked."""
    with closing(FilesystemBackend(str(path))) as store:
        yield store
        assert store.check(read_data=True) == []


def test_a_directory_that_goes_while_a_file_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A day's directory removed as empty right after a save made it is made again, as often as it takes."""
    with checked(tmp_path / "tree") as store:
        make_dirs = fileops.make_dirs
        gone: list[bool] = []

        def made_and_gone(place: str) -> None:
            make_dirs(place)
            if place.endswith("29") and len(gone) < 3:
                gone.append(fileops.remove_dir(place))

        monkeypatch.setattr(fileops, "make_dirs", made_and_gone)
        store.write(Batch([stored("a", MIDNIGHT)]))
        assert gone == [True] * 3
        assert store.get("a") is not None


@pytest.mark.parametrize("before", ["it is found", "it is looked at"])
def test_a_directory_that_goes_while_it_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, before: str
) -> None:
    """A month's directory removed as empty at any moment of a save that makes it is made again."""
    mkdir = os.mkdir
    gone: list[str] = []

    def made_and_gone(place: str, mode: int) -> None:
        mkdir(place, mode)
        if place.endswith("11") and not gone:
            gone.append(place)
            os.rmdir(place)
            if before == "it is found":
                raise FileExistsError(17, "File exists", place)

    with checked(tmp_path / "tree") as store:
        monkeypatch.setattr(os, "mkdir", made_and_gone)
        store.write(Batch([stored("a", MIDNIGHT)]))
        assert gone
        assert store.get("a") is not None
