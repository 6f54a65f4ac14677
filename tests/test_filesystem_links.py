"""Links in the place of a tree's directories: never followed, and named."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from moai_patterns import PatternStorage, StoreError
from samples import sample
from stores import contents


def use(place: Path) -> None:
    """Save and ask: whoever meets the link first says so."""
    with PatternStorage("filesystem", place, maintenance_interval=None) as storage:
        storage.save(sample("new"))
        storage.save_batch([sample("c"), sample("d")])
        storage.count()


@pytest.mark.parametrize("part", ["index", "journal", "tmp", "2025", "2025/11", "2025/11/29", "history"])
@pytest.mark.parametrize("dangling", [True, False])
def test_a_linked_directory_is_never_followed(tmp_path: Path, part: str, *, dangling: bool) -> None:
    """Neither asking nor saving touches what a link leads to, in the place of any directory of a tree."""
    place, outside = tmp_path / "s", tmp_path / "outside"
    with PatternStorage("filesystem", place, maintenance_interval=None) as storage:
        storage.save_batch([sample("a"), sample("b")])
        storage.save(sample("hot"))
    if (place / part).exists():
        (place / part).rename(tmp_path / "moved")
    if not dangling:
        outside.mkdir()
        (outside / "29").mkdir()
        (outside / "log.1").write_bytes(b"not yours")
    before = contents(tmp_path / "outside")
    (place / part).symlink_to(outside, target_is_directory=True)

    with pytest.raises(StoreError, match="symbolic link"):
        use(place)
    assert contents(tmp_path / "outside") == before
    assert outside.exists() is not dangling


def test_a_linked_spool_is_named(tmp_path: Path) -> None:
    """A link or a FIFO in the place of a quarantine is refused as a fault of the store."""
    (tmp_path / "s.quarantine").symlink_to(tmp_path / "s.quarantine")
    with (
        PatternStorage("filesystem", tmp_path / "s", maintenance_interval=None) as storage,
        pytest.raises(StoreError, match="quarantine"),
    ):
        storage.stats()


def test_sizes_pass_over_what_cannot_be_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that somebody turns into a link in a circle amid the look takes up no space."""
    look = os.lstat

    def swapped(path: str) -> os.stat_result:
        if str(path).endswith(".json"):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        return look(path)

    with PatternStorage("filesystem", tmp_path / "s", maintenance_interval=None) as storage:
        storage.save(sample())
        assert storage.stats()["bytes"]["hot"] > 0
        monkeypatch.setattr("moai_patterns.backends.filesystem.counting.os.lstat", swapped)
        assert storage.stats()["bytes"]["hot"] == 0
