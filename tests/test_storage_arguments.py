"""What the storage is given: limits, names and paths, and what has no meaning."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from moai_patterns import PatternStorage, Query, QueryError
from moai_patterns.backends.memory import MemoryBackend
from samples import sample

OPEN: Any = PatternStorage  # what is given wrongly here no type checker would let through


def test_a_query_without_a_limit_means_all_of_it() -> None:
    """Only the documented signature of `query` stops at 100 by itself."""
    with PatternStorage("memory") as storage, PatternStorage("memory") as other:
        storage.save_many(sample(f"p{n:03}") for n in range(150))
        everything = Query("task_completion")
        assert len(storage.query()) == len(storage.query("task_completion")) == 100
        assert len(storage.query(everything)) == storage.count(everything) == 150
        assert len(list(storage.iter(everything))) == storage.copy_to(other, everything) == 150
        assert storage.delete(everything) == 150


def test_a_query_stands_in_the_place_of_all_its_parameters() -> None:
    """Whatever is given beside it would be ignored, and is refused."""
    with PatternStorage("memory") as storage:
        for beside in ({"limit": 2}, {"tags": ["x"]}, {"order": "oldest"}, {"end_date": "2025-01-01"}):
            with pytest.raises(QueryError, match="not both"):
                storage.query(Query(), **beside)


@pytest.mark.parametrize(
    ("ask", "name"),
    [
        (lambda s: s.delete_old_patterns("5"), "retention_days"),
        (lambda s: s.delete(None), "delete"),
        (lambda s: s.delete(5), "delete"),
        (lambda s: s.iter("task_completion"), "pattern_type="),
        (lambda s: s.count("task_completion"), "pattern_type="),
        (lambda s: s.apply(None), "plan"),
        (lambda s: s.apply(s.plan(), archive="memory:"), "archive"),
        (lambda s: s.plan(policy=5), "policy"),
        (lambda s: s.plan("now"), "now"),
        (lambda s: s.copy_to(None), "other"),
        (lambda s: s.copy_to(OPEN("memory"), "kind"), "query"),
        (lambda s: s.save_many([], batch_size=None), "batch_size"),
        (lambda s: s.save_many([], batch_size=1.5), "batch_size"),
        (lambda s: s.save_many([], batch_size=True), "batch_size"),
        (lambda s: s.get_many("id1"), "ids"),
        (lambda s: s.get_many(None), "ids"),
        (lambda s: OPEN("memory", retention_days=None), "retention_days"),
        (lambda s: OPEN("memory", retention_days=-1), "retention_days"),
        (lambda s: OPEN("memory", compression_threshold_days="x"), "compression_threshold_days"),
        (lambda s: OPEN("memory", timeout=None), "timeout"),
        (lambda s: OPEN("memory", timeout="x"), "timeout"),
        (lambda s: OPEN("memory", timeout=float("nan")), "timeout"),
        (lambda s: OPEN("memory", timeout=float("inf")), "timeout"),
        (lambda s: OPEN("memory", timeout=-1), "timeout"),
        (lambda s: OPEN("memory", timeout=1e10), "timeout is a number of seconds from 0 to 1,000,000"),
        (lambda s: OPEN("memory", actor=b"me"), "actor"),
        (lambda s: OPEN("memory", actor="\ud800"), "actor"),
        (lambda s: OPEN("memory", actor=float("nan")), "actor"),
        (lambda s: OPEN(MemoryBackend), "backend"),
        (lambda s: OPEN(None), "backend"),
        (lambda s: OPEN("filesystem", None), "base_path"),
        (lambda s: OPEN("filesystem", ""), "base_path"),
        (lambda s: OPEN("sqlite", b"dd"), "base_path"),
        (lambda s: OPEN("sqlite", "d\0d"), "base_path"),
    ],
)
def test_an_argument_without_meaning_is_refused_by_its_name(ask: Callable[[Any], object], name: str) -> None:
    """A typed error, a ValueError, that names the parameter as the caller wrote it."""
    with PatternStorage("memory") as storage:
        storage.save(sample("id1"))
        with pytest.raises(ValueError, match=name):
            ask(storage)
        assert storage.count() == 1


def test_a_store_in_memory_takes_any_path() -> None:
    """It ignores it."""
    for path in (None, "", b"x"):
        assert OPEN("memory", path).save(sample())


@pytest.mark.parametrize("backend", ["filesystem", "sqlite"])
def test_a_relative_path_is_meant_where_the_storage_was_opened(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Everything beside the store stays beside it when the process goes elsewhere."""
    (tmp_path / "there").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    with PatternStorage(backend, "dd/") as storage:
        assert storage.config.base_path == "dd/"
        monkeypatch.chdir(tmp_path / "elsewhere")
        storage.save(sample())
        storage.maintain()
    found = {path.name for path in (tmp_path / "there").iterdir()}
    assert found >= ({"dd.db", "dd.db.maintenance"} if backend == "sqlite" else {"dd", "dd.maintenance"})
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_fault_of_the_stream_says_what_is_stored() -> None:
    """What the caller's iterator raises goes through, with a note; a batch that is refused has one too."""

    def stream() -> Iterator[dict[str, Any]]:
        yield from (sample(f"p{n}") for n in range(5))
        raise RuntimeError("the file ended")

    with PatternStorage("memory") as storage:
        with pytest.raises(RuntimeError, match="ended") as caught:
            storage.save_many(stream(), batch_size=2)
        assert caught.value.__notes__ == ["the stream broke off at record 5; the first 4 records are stored"]
        assert storage.count() == 4


@pytest.mark.parametrize("backend", ["memory", "filesystem", "sqlite"])
def test_bytes_are_hot_and_cold_on_every_backend(backend: str, tmp_path: Path) -> None:
    """A backend without one of them says 0."""
    with PatternStorage(backend, tmp_path / "store") as storage:
        assert {"hot", "cold"} <= set(storage.stats()["bytes"])
