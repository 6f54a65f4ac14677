"""Trees in the plain layout of the document: recognised, read exactly, never written."""

from __future__ import annotations

import gzip
import json
import os
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from moai_patterns import PatternStorage, field
from moai_patterns.backends.base import Batch, Problem
from moai_patterns.backends.filesystem.plain import PlainTree, is_plain
from moai_patterns.backends.memory import MemoryBackend
from moai_patterns.errors import DamageError, ReadOnlyError, StoreError
from moai_patterns.instant import DAY, instant
from moai_patterns.query import Query
from samples import sample

DAYS = ("2025/11/27", "2025/11/28", "2025/11/29")


def put(root: Path, pattern: Any, *, name: str = "", folder: str = "", packed: bool = False) -> Path:
    """Write a pattern file as the document's storage does; text is written as it stands."""
    if isinstance(pattern, dict):
        folder = folder or pattern["timestamp"][:10].replace("-", "/")
        name = name or f"task_{pattern['pattern_id'][:8]}"
    path = root / folder / f"{name}.json{'.gz' if packed else ''}"
    path.parent.mkdir(parents=True, exist_ok=True)
    text = pattern if isinstance(pattern, str) else json.dumps(pattern, indent=2, ensure_ascii=False)
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    return path


def put_index(root: Path, patterns: dict[str, Path]) -> None:
    """Write the id map as the document's storage does."""
    entries = {
        identity: {"path": str(path.relative_to(root)), "type": "task_completion", "timestamp": "-"}
        for identity, path in patterns.items()
    }
    (root / "index.json").write_text(json.dumps(entries, indent=2))


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """Three patterns on three days, the first one compressed and still under its old name in the index."""
    patterns = [sample(f"p{n}-0000", f"2025-11-{27 + n}T10:00:00Z", kind) for n, kind in enumerate(KINDS)]
    files = {p["pattern_id"]: put(tmp_path, p, packed=n == 0) for n, p in enumerate(patterns)}
    files["p0-0000"] = files["p0-0000"].with_suffix("")
    put_index(tmp_path, files)
    return tmp_path


KINDS = ("task_completion", "error_occurrence", "task_completion")


def ids(tree: PlainTree, **asked: Any) -> list[str]:
    return [record["pattern_id"] for record in tree.scan(Query(**asked))]


def test_patterns_come_back_exactly_compressed_or_not(tree: Path) -> None:
    """Each pattern comes back as it was saved, with facts of our own that follow from it and its path."""
    records = list(PlainTree(str(tree)).scan(Query(order="arrival")))

    assert [r.pop("_meta") for r in records] == [
        {"instant": moment, "revision": 1, "recorded_at": moment, "operation": "import", "seq": seq}
        for seq, moment in enumerate((instant(f"2025-11-{day}T10:00Z") for day in (27, 28, 29)), start=1)
    ]
    assert records == [
        sample(f"p{n}-0000", f"2025-11-{27 + n}T10:00:00Z", kind) for n, kind in enumerate(KINDS)
    ]


def test_questions_are_answered_in_their_order(tree: Path) -> None:
    """Kinds, bounds, ids, conditions, limit and cursor mean what they mean everywhere."""
    plain = PlainTree(str(tree))

    assert ids(plain) == ["p2-0000", "p1-0000", "p0-0000"]
    assert ids(plain, order="oldest", limit=2) == ["p0-0000", "p1-0000"]
    assert ids(plain, pattern_type="error_occurrence") == ["p1-0000"]
    assert ids(plain, start_date="2025-11-28T10:00Z", end_date="2025-11-28T10:00Z") == ["p1-0000"]
    assert ids(plain, ids=("p2-0000", "none")) == ["p2-0000"]
    assert ids(plain, where=field("data.duration_ms") > 1) == ["p2-0000", "p0-0000"]
    first = next(plain.scan(Query()))
    assert ids(plain, cursor=Query().cursor_after(first)) == ["p1-0000", "p0-0000"]
    head = plain.get("p0-0000")
    assert head is not None
    assert head["data"] == sample()["data"]
    assert plain.get("none") is None
    assert plain.count(Query(limit=None)) == 3
    assert plain.sizes()["hot"] > plain.sizes()["cold"] > 0


def test_of_several_files_with_one_id_the_latest_is_the_pattern(tmp_path: Path) -> None:
    """The latest instant decides, then the path; what it replaces is not shown."""
    put(tmp_path, sample("same", "2025-11-28T10:00:00Z", note="old"), name="z")
    put(tmp_path, sample("same", "2025-11-29T10:00:00+09:00", note="later"), name="a")
    put(tmp_path, sample("same", "2025-11-29T01:00:00Z", note="latest"), name="b")
    plain = PlainTree(str(tmp_path))

    assert [record["data"]["note"] for record in plain.scan(Query())] == ["latest"]
    assert ids(plain, end_date="2025-11-28T23:00Z") == []


def test_a_write_is_refused_and_names_the_way_out(tree: Path) -> None:
    """Saving into a plain tree changes nothing and says which command brings it over."""
    before = sorted((path, path.stat().st_mtime_ns) for path in tree.rglob("*"))

    with pytest.raises(ReadOnlyError, match=r"moai-patterns copy --store file:.* file:NEW"):
        PlainTree(str(tree)).write(Batch())
    assert sorted((path, path.stat().st_mtime_ns) for path in tree.rglob("*")) == before


def test_a_closed_tree_answers_nothing(tree: Path) -> None:
    """After `close` a question is an error; a second `close` is none."""
    plain = PlainTree(str(tree))
    plain.close()
    plain.close()

    with pytest.raises(StoreError, match="closed"):
        plain.get("p0-0000")


def test_files_that_come_and_go_are_noticed(tree: Path) -> None:
    """A tree that its own storage still writes is read as it is now."""
    plain = PlainTree(str(tree))
    assert len(ids(plain)) == 3
    (tree / "2025/11/28/task_p1-0000.json").unlink()
    put(tree, sample("new", "2025-11-30T10:00:00Z"))

    assert ids(plain) == ["new", "p2-0000", "p0-0000"]


def test_a_file_that_changes_under_an_answer_is_reported(tree: Path) -> None:
    """An answer under way never yields a pattern that it was not about."""
    plain = PlainTree(str(tree))
    answer = plain.scan(Query())
    next(answer)
    put(tree, sample("p9", "2025-11-28T11:00:00Z"), name="task_p1-0000")

    with pytest.raises(StoreError, match=r"task_p1-0000\.json changed while"):
        next(answer)


def test_a_pattern_of_the_early_collector_is_read_with_its_kind(tmp_path: Path) -> None:
    """The collector's key `type` is read as the kind."""
    pattern = sample("pat-20251129-100000-001", "2025-11-29T10:00:00")
    pattern["type"] = pattern.pop("pattern_type")
    put(tmp_path, pattern)

    [record] = PlainTree(str(tmp_path)).scan(Query())
    assert record["pattern_type"] == "task_completion"
    assert "type" not in record


BROKEN = {
    "empty": "",
    "cut off": '{"pattern_id": "p',
    "no object": "[1]",
    "no pattern": '{"name": "x"}',
    "no data": '{"pattern_id": "x", "pattern_type": "t", "timestamp": "2025-11-28", "data": null}',
    "no time": '{"pattern_id": "x", "pattern_type": "t", "timestamp": "2025-13-28", "data": {}}',
    "NaN": '{"pattern_id": "x", "pattern_type": "t", "timestamp": "2025-11-28", "data": {"a": NaN}}',
    "twice": '{"pattern_id": "x", "pattern_id": "x", "pattern_type": "t", "timestamp": "2025", "data": {}}',
    "integer": '{"pattern_id": "x", "pattern_type": "t", "timestamp": "2025-11-28", "data": {"a": %d}}'
    % 2**64,
    "surrogate": '{"pattern_id": "\\ud800", "pattern_type": "t", "timestamp": "2025-11-28", "data": {}}',
    "deep": '{"pattern_id": "x", "pattern_type": "t", "timestamp": "2025-11-28", "data": %s}'
    % ('{"a":' * 10_000 + "1" + "}" * 10_000),
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=BROKEN)
@pytest.mark.parametrize("packed", [False, True])
def test_a_broken_file_is_named_and_the_rest_stays_readable(tree: Path, text: str, *, packed: bool) -> None:
    """A full scan stops, `check` reports, and other days and the ids of other files are still answered."""
    broken = put(tree, text, name="task_p1-0000", folder="2025/11/28", packed=packed)
    if packed:
        (tree / "2025/11/28/task_p1-0000.json").unlink()
    plain = PlainTree(str(tree))

    with pytest.raises(DamageError, match=broken.name):
        list(plain.scan(Query()))
    for asked in ({"start_date": "2025-11-29T13:59Z"}, {"end_date": "2025-11-27T10:01Z"}):
        with pytest.raises(DamageError, match=broken.name):  # the day of a folder may be that of any zone
            ids(plain, **asked)
    with pytest.raises(DamageError, match=broken.name):
        plain.get("p1-0000")
    assert plain.get("p2-0000") is not None
    assert plain.get("p0-0000") is not None
    assert plain.get("none") is None
    assert ids(plain, start_date="2025-11-30T00:00Z") == []
    assert [(problem.place, problem.records) for problem in plain.check()] == [(str(broken), 1)]


def test_a_broken_file_nobody_owns_could_be_any_id(tree: Path) -> None:
    """Without an entry in the index a broken file may hold the id that is asked for."""
    (tree / "index.json").unlink()
    put(tree, "{", name="broken", folder="2025/11/28")

    with pytest.raises(DamageError, match="broken"):
        PlainTree(str(tree)).get("none")


def test_damaged_and_bottomless_gzip_is_reported(tree: Path) -> None:
    """A cut-off member, bytes that are no gzip and a bomb are damage; nothing is decompressed for ever."""
    packed = tree / "2025/11/27/task_p0-0000.json.gz"
    whole = packed.read_bytes()
    bombs = [gzip.compress(bytes(1 << 28), 9), gzip.compress(bytes(1 << 26), 9) * 2]
    tracemalloc.start()
    try:
        for data in (whole[:-1], whole[: len(whole) // 2], b"no gzip", whole + b"rest", *bombs):
            packed.write_bytes(data)
            assert [problem.place for problem in PlainTree(str(tree)).check()] == [str(packed)]
        assert tracemalloc.get_traced_memory()[1] < 5 << 25
    finally:
        tracemalloc.stop()


@pytest.mark.skipif(os.name != "posix", reason="needs FIFOs and symlinks")
def test_only_regular_files_are_opened(tree: Path) -> None:
    """A FIFO never hangs a reader and a symlink is not followed; both are reported."""
    os.mkfifo(tree / "2025/11/27/fifo.json")
    (tree / "2025/11/27/link.json").symlink_to("/etc/hostname")
    (tree / "2025/11/26").symlink_to(tree / "2025/11/27")

    places = [Path(problem.place).name for problem in PlainTree(str(tree)).check()]
    assert places == ["fifo.json", "link.json"]


def test_check_compares_the_index_with_the_files(tree: Path) -> None:
    """An id whose file is gone or holds another pattern is reported; the compressed one is no finding."""
    (tree / "2025/11/28/task_p1-0000.json").unlink()
    put(tree, sample("thief", "2025-11-29T11:00:00Z"), name="task_p2-0000")

    sentences = [problem.sentence for problem in PlainTree(str(tree)).check(read_data=True)]
    assert sentences == [
        "'p1-0000' should be in 2025/11/28/task_p1-0000.json, which is not there",
        "'p2-0000' should be in 2025/11/29/task_p2-0000.json, which holds 'thief'",
    ]


def test_an_unreadable_index_is_reported_and_not_needed(tree: Path) -> None:
    """All patterns are found without the index."""
    (tree / "index.json").write_text("{")
    plain = PlainTree(str(tree))

    assert len(ids(plain)) == 3
    assert plain.get("p1-0000") is not None
    assert [problem.place for problem in plain.check()] == [str(tree / "index.json")]


def test_plain_trees_are_recognised(tree: Path) -> None:
    """By the id map, or without one (absent, empty, broken) by the pattern files."""
    assert is_plain(str(tree))
    for text in ("{}", "{", ""):
        (tree / "index.json").write_text(text)
        assert is_plain(str(tree))
    (tree / "index.json").unlink()
    assert is_plain(str(tree))


def test_other_directories_are_not_plain(tmp_path: Path) -> None:
    """Neither nothing, nor an empty or foreign directory, nor a tree of our own is in the plain layout."""
    assert not is_plain(str(tmp_path / "missing"))
    assert not is_plain(str(tmp_path))
    (tmp_path / "file").write_text("{}")
    assert not is_plain(str(tmp_path / "file"))
    put(tmp_path, '{"title": "a post"}', name="post", folder="2025/11/28")
    assert not is_plain(str(tmp_path))
    put(tmp_path, {**sample(), "_meta": {"instant": 1}})
    assert not is_plain(str(tmp_path))
    put(tmp_path, sample("other"), name="0", folder="2025/11/01")
    assert is_plain(str(tmp_path))
    for text in ('{"layout": 1, "days": {}}', '{"name": "a package"}', "[1]"):
        (tmp_path / "index.json").write_text(text)
        assert not is_plain(str(tmp_path))


def test_a_fresh_plain_tree_is_read_and_empty(tmp_path: Path) -> None:
    """A directory with nothing but an empty id map opens read-only; it never becomes a store of ours."""
    (tmp_path / "index.json").write_text("{}")
    with PatternStorage("filesystem", tmp_path) as storage:
        assert storage.count() == 0
        assert storage.check() == []
        with pytest.raises(ReadOnlyError):
            storage.save(sample())
    assert [path.name for path in tmp_path.iterdir()] == ["index.json"]


INVALID: dict[str, dict[str, Any]] = {
    "an id with a slash": {"pattern_id": "a/b"},
    "an unknown kind": {"pattern_type": "nope"},
    "an array as context": {"context": []},
    "null as context": {"context": None},
    "a number as tags": {"context": {"tags": 5}},
    "null as tags": {"context": {"tags": None}},
    "a text as tags": {"context": {"tags": "tea"}},
}


@pytest.mark.parametrize("change", INVALID.values(), ids=INVALID)
def test_what_is_no_valid_record_is_read_but_not_copied(tree: Path, change: dict[str, Any]) -> None:
    """It answers questions, `check` names it, a copy stops at it or leaves it out, as it is told."""
    path = put(tree, {**sample("odd", "2025-11-28T11:00:00Z"), **change}, name="odd")
    put(tree, "{", name="broken", folder="2025/11/28")
    refused: list[Problem] = []
    with PatternStorage("filesystem", tree) as plain, PatternStorage("memory") as native:
        assert [Path(problem.place).name for problem in plain.check()] == ["broken.json", "odd.json"]
        with pytest.raises(DamageError, match=r"broken\.json"):
            plain.copy_to(native)
        assert plain.copy_to(native, on_refused=refused.append) == 3
        assert [Path(problem.place).name for problem in refused] == ["broken.json", "odd.json"]
        (tree / "2025/11/28/broken.json").unlink()
        assert plain.count(tags=["tea"]) == plain.count(tags=["t"]) == 0
        assert plain.count() == 4
        with pytest.raises(DamageError, match="no valid record"):
            plain.copy_to(native)
        path.unlink()
        assert plain.copy_to(native) == 0
        assert native.count() == 3


STAMPS = [
    "2025-11-28T10:00:00Z",
    "2025-11-28T23:59:59.999999-10:00",
    "2025-11-29T00:00:00+09:00",
    "2025-11-28",
]


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(STAMPS), st.booleans(), st.integers(0, 3)),
        max_size=8,
    ),
    st.sampled_from(["newest", "oldest"]),
    st.one_of(st.none(), st.integers(-2, 2)),
    st.one_of(st.none(), st.integers(0, 3)),
)
def test_a_plain_tree_answers_like_the_oracle(
    tmp_path_factory: pytest.TempPathFactory,
    files: list[Any],
    order: Any,
    shift: int | None,
    limit: int | None,
) -> None:
    """Whatever files there are, each question gets the answer that a store in memory gives."""
    root = tmp_path_factory.mktemp("plain")
    latest: dict[str, Any] = {}
    for number, (identity, stamp, packed, value) in enumerate(files):
        pattern = sample(identity, stamp, note=value)
        path = str(put(root, pattern, name=f"task_{number}", packed=packed))
        key = (instant(stamp), path)
        if identity not in latest or latest[identity][0] < key:
            latest[identity] = (key, pattern)
    oracle = MemoryBackend()
    for (moment, _), pattern in latest.values():
        oracle.write(Batch(add=[{**pattern, "_meta": {"instant": moment, "revision": 1}}]))
    bound = None if shift is None else instant("2025-11-29T00:00Z") + shift * DAY // 2
    query = Query(order=order, limit=limit, start_date=bound)

    answer = [{**record, "_meta": None} for record in PlainTree(str(root)).scan(query)]
    assert answer == [{**record, "_meta": None} for record in oracle.scan(query)]
