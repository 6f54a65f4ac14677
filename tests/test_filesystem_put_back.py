"""Parts of files that were moved, and older versions that were put back: each is sound by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from moai_patterns import DamageError, PatternStorage
from moai_patterns.instant import DAY, instant
from samples import sample

IDS = [f"id-{number}" for number in range(12)]


def stored(place: Path) -> dict[str, str]:
    """The timestamp of each id that a store knows, asked one by one and all together."""
    with PatternStorage("filesystem", place, maintenance_interval=None) as storage:
        one_by_one = {identity: found["timestamp"] for identity in IDS if (found := storage.load(identity))}
        together = {record["pattern_id"]: record["timestamp"] for record in storage.iter()}
    assert one_by_one == together
    return one_by_one


def filled(place: Path, ids: list[str], day: str = "2025-11-29") -> PatternStorage:
    """An open store with these ids, some of them in their second revision."""
    storage = PatternStorage("filesystem", place, maintenance_interval=None)
    for identity in ids:
        storage.save(sample(identity, f"{day}T10:00:00Z"))
    storage.save_many(sample(identity, f"{day}T11:00:00Z") for identity in ids[::2])
    return storage


@pytest.mark.parametrize("name", ["heads", "log.1"])
@pytest.mark.parametrize("twice", [False, True], ids=["swapped", "doubled"])
def test_moved_parts_of_the_change_log_change_no_answer(tmp_path: Path, name: str, *, twice: bool) -> None:
    """Blocks of the change log that stand in another place than they were written to are not believed."""
    filled(tmp_path / "s", IDS).close()
    right = stored(tmp_path / "s")
    path = tmp_path / "s/index" / name
    whole = path.read_bytes()
    for at in range(0, len(whole) - 512, 512):
        block, following = whole[at : at + 512], whole[at + 512 : at + 1024]
        moved = block + block + whole[at + 512 :] if twice else following + block + whole[at + 1024 :]
        path.write_bytes(whole[:at] + moved)
        assert stored(tmp_path / "s") == right
        for other in (tmp_path / "s/index").iterdir():
            other.unlink()
        assert stored(tmp_path / "s") == right
        path = next((tmp_path / "s/index").glob(name.partition(".")[0] + "*"))
        whole = path.read_bytes()


def test_an_older_table_of_the_change_log_is_not_believed(tmp_path: Path) -> None:
    """The table from before the last saves, put back beside a log that has them, hides none of them."""
    storage = filled(tmp_path / "s", IDS[:6])
    older = (tmp_path / "s/index/heads").read_bytes()
    storage.save_many(sample(identity, "2025-11-30T12:00:00Z") for identity in IDS)
    storage.close()
    (tmp_path / "s/index/heads").write_bytes(older)

    assert set(stored(tmp_path / "s").values()) == {"2025-11-30T12:00:00Z"}


@pytest.mark.parametrize("settled", [True, False])
def test_an_older_manifest_is_not_believed(tmp_path: Path, *, settled: bool) -> None:
    """A manifest from before the last compaction gives way to the copy of the newer one, and is named."""
    place = tmp_path / "s"
    older = b""
    for number, day in enumerate(("2025-11-01", "2025-11-02")):
        older = (place / "index.json").read_bytes() if number else older
        with filled(place, IDS[number * 6 : number * 6 + 6], day) as storage:
            storage.backend.compact([instant(f"{day}T00:00Z") // DAY])  # type: ignore[attr-defined]
    right = stored(place)
    (place / "index.json").write_bytes(older)
    if not settled:
        for path in (place / "index").iterdir():
            path.unlink()

    assert stored(place) == right
    with PatternStorage("filesystem", place, maintenance_interval=None) as storage:
        (problem,) = storage.check(read_data=True)
        assert problem.place == str(place / "index.json")
        assert "older than its copy" in problem.sentence
        storage.backend.reclaim()  # type: ignore[attr-defined]
        assert storage.check(read_data=True) == []
    assert stored(place) == right


def test_a_session_that_lost_its_end_is_damaged(tmp_path: Path) -> None:
    """A session's journal that ends before a line that was acknowledged is refused by scans, and named."""
    with PatternStorage("filesystem", tmp_path / "s", maintenance_interval=None) as storage:
        with storage.session() as session:
            for identity in IDS[:3]:
                session.save(sample(identity))
        (path,) = (tmp_path / "s/journal").iterdir()
        lines = path.read_bytes().splitlines(keepends=True)
        for end in (2, 3):
            path.write_bytes(b"".join(lines[:end]))
            with pytest.raises(DamageError, match=path.name):
                storage.count()
            assert storage.load(IDS[0]) is not None
            assert any(problem.place == str(path) for problem in storage.check())
        path.write_bytes(b"".join(lines[:4]))
        assert storage.count() == 3
        assert storage.check() == []
