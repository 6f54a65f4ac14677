"""What lies in a tree, what a save and a load cost, and that compaction comes to an end."""

from __future__ import annotations

import gzip
import json
import os
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from moai_patterns.backends import fileops
from moai_patterns.backends.base import Batch, Removal
from moai_patterns.backends.filesystem import manifest, plain_files, reading
from moai_patterns.backends.filesystem.backend import FilesystemBackend, open_tree
from moai_patterns.backends.filesystem.names import hot_path, parse_hot
from moai_patterns.backends.filesystem.segment import Segment
from moai_patterns.backends.filesystem.segment_writer import SegmentFacts
from moai_patterns.backends.filesystem.write import TreeWriter
from moai_patterns.instant import DAY, SECOND
from moai_patterns.query import Query
from moai_patterns.testing.pools import MIDNIGHT, stored

EVERYTHING = Query(limit=None)
TODAY = MIDNIGHT // DAY


@pytest.fixture
def store(tmp_path: Path) -> Iterator[FilesystemBackend]:
    """An empty tree; every byte of it is checked at the end."""
    with closing(FilesystemBackend(str(tmp_path / "tree"))) as opened:
        yield opened
        assert opened.check(read_data=True) == []


def test_ids_alike_in_one_second_get_files_of_their_own(store: FilesystemBackend, tmp_path: Path) -> None:
    """Ids that share their first eight characters within one second keep apart, on disk and in answers."""
    ids = [f"0192f0c1-{n:04}" for n in range(50)]
    for identity in ids:
        store.write(Batch([stored(identity, MIDNIGHT)]))
    assert len(list((tmp_path / "tree" / "2025" / "11" / "29").iterdir())) == 50
    assert [record["pattern_id"] for record in store.scan(Query(limit=None, order="oldest"))] == ids


def test_kinds_called_like_short_names_keep_their_name(store: FilesystemBackend) -> None:
    """A kind named `task` is not taken for a task completion, in names, counts and questions."""
    kinds = ("task", "task_completion", "error", "agent_usage", "agent", "~task", "a_b", "a b/..", "")
    for number, kind in enumerate(kinds):
        store.write(Batch([stored(f"r{number}", MIDNIGHT, pattern_type=kind)]))
        name = hot_path(kind, MIDNIGHT + 3 * SECOND, "an_id", 255).rpartition("/")[2]
        assert parse_hot(name) == (kind, 3, 255)
    for _ in range(2):
        assert store.days() == {TODAY: dict.fromkeys(kinds, 1)}
        for number, kind in enumerate(kinds):
            found = list(store.scan(Query(pattern_type=[kind])))
            assert [record["pattern_id"] for record in found] == [f"r{number}"]
            assert store.count(Query(pattern_type=[kind], limit=None)) == 1
        store.compact([TODAY])


def test_ids_that_are_paths_stay_below_the_root(store: FilesystemBackend, tmp_path: Path) -> None:
    """No id or kind makes a file anywhere but in the directory of its day."""
    hostile = ("../../etc", "/abs", "a\0b", "..", ".", "x" * 1_000_000, "\n", "con", "\u202e", "~", "_")
    for identity in hostile:
        store.write(Batch([stored(identity, MIDNIGHT, pattern_type=identity[:40])]))
        assert store.get(identity) is not None
    assert {path.name for path in tmp_path.iterdir()} == {"tree", "tree.reserve"}
    assert len(list((tmp_path / "tree" / "2025" / "11" / "29").iterdir())) == len(hostile)


def test_an_id_comes_back_after_its_removal_again_and_again(store: FilesystemBackend) -> None:
    """Removed and saved anew on another day, across compactions, an id has only its last life."""
    for life in range(6):
        moment = MIDNIGHT + life % 3 * DAY
        store.write(Batch([stored("again", moment, data={"life": life})]))
        if life % 2:
            store.write(Batch([stored("again", moment, 2, data={"life": life})]))
        if life != 3:
            store.compact([TODAY, TODAY + 1] if life % 2 else [TODAY + life % 3])
        found = [(r["data"]["life"], r["_meta"]["revision"]) for r in store.history("again")]
        assert found == [(life, revision) for revision in range(1, 2 + life % 2)]
        assert [r["data"]["life"] for r in store.scan(EVERYTHING)] == [life]
        store.write(Batch(remove=[Removal("again")]))
        assert store.get("again") is None
        assert store.count(EVERYTHING) == 0
    store.compact([TODAY, TODAY + 1, TODAY + 2])
    assert store.uncompacted_days() == []


def test_a_day_that_was_compacted_is_not_listed_again(store: FilesystemBackend, tmp_path: Path) -> None:
    """After a compaction its days are done; while a reader keeps it from sweeping, after the next one."""
    for n in range(5):
        store.write(Batch([stored(f"a{n}", MIDNIGHT + n), stored(f"b{n}", MIDNIGHT + DAY + n)]))
        store.write(Batch([stored(f"c{n}", MIDNIGHT + n)]))
    store.write(Batch([stored("a0", MIDNIGHT + DAY, 2)], [Removal("c1")]))
    scan = store.scan(EVERYTHING)
    next(scan)
    assert store.compact([TODAY]) == 8
    assert store.uncompacted_days() == [TODAY, TODAY + 1]
    assert len(list(scan)) == 13
    assert store.compact([TODAY]) == 0
    assert store.uncompacted_days() == [TODAY + 1]
    assert store.compact([TODAY + 1]) == 6
    assert store.uncompacted_days() == []
    assert list((tmp_path / "tree" / "journal").iterdir()) == []
    left = [path.name.split(".") for path in sorted(tmp_path.glob("tree/2025/11/*/*"))]
    assert [(name[0], name[2]) for name in left] == [
        (f"202511{day}", suffix) for day in ("29", "30") for suffix in ("idx", "jsonl")
    ]


def test_other_programs_read_segments_and_files(store: FilesystemBackend, tmp_path: Path) -> None:
    """zcat, DuckDB and pyarrow read segments as they are, and any JSON reader a hot file."""
    duckdb, pyarrow_json = pytest.importorskip("duckdb"), pytest.importorskip("pyarrow.json")
    store.write(Batch([stored(f"r{n:03}", MIDNIGHT + n, data={"n": n}) for n in range(300)]))
    store.compact([TODAY])
    store.write(Batch([stored("hot", MIDNIGHT + DAY)]))
    (segment,) = tmp_path.glob("tree/2025/11/29/*.jsonl.gz")
    (hot,) = tmp_path.glob("tree/2025/11/30/*.json")
    shown = subprocess.run(["zcat", segment], capture_output=True, check=True).stdout.splitlines()
    assert [json.loads(line)["pattern_id"] for line in shown] == [f"r{n:03}" for n in range(300)]
    query = "SELECT count(*), sum(data.n) FROM read_json(?)"
    assert duckdb.connect().sql(query, params=[str(segment)]).fetchall() == [(300, 299 * 150)]
    with gzip.open(segment) as lines:
        assert pyarrow_json.read_json(lines).num_rows == 300
    assert json.loads(hot.read_bytes())["pattern_id"] == "hot"


class Calls:
    """Counts the system calls of this process by name."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.made: Counter[str] = Counter()
        self.bytes = 0
        for name in (
            "open",
            "read",
            "pread",
            "write",
            "pwrite",
            "stat",
            "lstat",
            "fstat",
            "replace",
            "scandir",
        ):
            monkeypatch.setattr(os, name, self._counted(name, getattr(os, name)))

    def _counted(self, name: str, call: Callable[..., object]) -> Callable[..., object]:
        def counted(*arguments: object, **options: object) -> object:
            self.made[name] += 1
            result = call(*arguments, **options)
            if name in ("write", "pwrite"):
                self.bytes += len(arguments[1])  # type: ignore[arg-type]
            return result

        return counted


def test_a_save_and_a_load_cost_the_same_in_a_large_store(
    store: FilesystemBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """System calls and bytes of a save and a load do not grow with what is hot, journalled or compacted."""

    def costs(name: str) -> tuple[Counter[str], int]:
        with monkeypatch.context() as patched:
            calls = Calls(patched)
            store.write(Batch([stored(f"{name}-new", MIDNIGHT + 5 * DAY)]))
            assert store.get(f"{name}-new") is not None
            assert store.get("a-0000") is not None
            return calls.made, calls.bytes

    store.write(Batch([stored(f"a-{n:04}", MIDNIGHT + n) for n in range(10)]))
    store.compact([TODAY])
    store.get("a-0000")
    costs("x")
    small, bytes_small = costs("y")
    for n in range(400):
        store.write(Batch([stored(f"hot-{n}", MIDNIGHT + 4 * DAY + n)], fresh=True))
    for day in range(1, 4):
        for part in range(4):
            many = [stored(f"d{day}-{part}-{n}", MIDNIGHT + day * DAY + n) for n in range(1000)]
            store.write(Batch(many, fresh=True))
    store.compact([TODAY + 1, TODAY + 2])
    store.get("a-0000")
    costs("x-")
    large, bytes_large = costs("y-")
    assert bytes_large <= bytes_small + 20
    assert sum(large.values()) <= sum(small.values()) + 6  # a few lines more in a chain of the log
    for name in ("open", "write", "pwrite", "replace", "stat", "scandir"):
        assert large[name] == small[name], name


STREAM = """
import resource, sys
from moai_patterns.backends.base import Batch
from moai_patterns.backends.filesystem.backend import FilesystemBackend
from moai_patterns.instant import DAY
from moai_patterns.query import Query
from moai_patterns.testing.pools import MIDNIGHT, stored
path, count, text = sys.argv[1], int(sys.argv[2]), "x" * 400
store = FilesystemBackend(path)
for start in range(0, count, 1000):
    numbers = range(start, start + 1000)
    store.write(Batch([stored(f"r{n:08}", MIDNIGHT + n, data={"text": text}) for n in numbers], fresh=True))
def stream(order):
    assert sum(1 for _ in store.scan(Query(limit=None, order=order))) == count
stream("newest")
stream("arrival")
assert store.compact([MIDNIGHT // DAY]) == count
stream("newest")
stream("arrival")
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def test_opening_a_store_of_many_days_parses_no_manifest(
    store: FilesystemBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither opening nor saving a new id looks at the days, and a load looks at the one that has the id."""
    store.write(Batch([stored(f"r{n:04}", MIDNIGHT + n * DAY) for n in range(200)]))
    store.compact(range(TODAY, TODAY + 200))
    parsed: list[object] = []
    parse, look = manifest._parse, SegmentFacts.from_json

    def parsing(raw: bytes) -> manifest.Manifest:
        parsed.append(raw)
        return parse(raw)

    def looking(value: dict[str, object]) -> SegmentFacts:
        parsed.append(value)
        return look(value)

    monkeypatch.setattr(manifest, "_parse", parsing)
    monkeypatch.setattr(plain_files, "index", parsing)
    monkeypatch.setattr(SegmentFacts, "from_json", looking)
    with closing(TreeWriter(store.path)) as light:
        light.write([stored("new", MIDNIGHT)], fresh=True)
    with closing(open_tree(store.path)) as opened:
        assert parsed == []
        assert opened.get("r0100") is not None
        assert len(parsed) == 2


def test_arrival_order_of_everything_reads_a_store_twice(
    store: FilesystemBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Numbers are sorted in runs and across files of every form; no member is decoded for each record."""
    monkeypatch.setattr(reading, "_RUN", 7)
    chance = random.Random(4)
    numbers = list(range(400))
    chance.shuffle(numbers)  # so that no day is in the order of arrival
    for start in range(0, 400, 50):
        batch = [stored(f"r{n:03}", MIDNIGHT + n % 4 * DAY + n) for n in numbers[start : start + 50]]
        for record in batch[:10]:
            store.write(Batch([record]))
        store.write(Batch(batch[10:]))
        if start == 200:
            store.compact([TODAY, TODAY + 1])
            store.write(Batch([stored("r000", MIDNIGHT, 2)] if store.get("r000") else []))
    everything = Query(limit=None, order="arrival", revisions="all")
    decoded: list[int] = []
    lines = Segment.lines

    def counted(segment: Segment, number: int) -> list[bytes]:
        decoded.append(number)
        return lines(segment, number)

    monkeypatch.setattr(Segment, "lines", counted)
    found = list(store.scan(everything))
    assert found == sorted(store.scan(everything.but(order="oldest")), key=everything.key)
    assert [record["_meta"]["seq"] for record in found] == sorted({r["_meta"]["seq"] for r in found})
    assert len(decoded) <= 3
    onward = everything.but(cursor=everything.cursor_after(found[150]))
    assert list(store.scan(onward)) == found[151:]
    bounded = everything.but(
        start_date=MIDNIGHT + 5, end_date=MIDNIGHT + 2 * DAY + 20, pattern_type="agent_usage"
    )
    assert list(store.scan(bounded)) == [record for record in found if bounded.matches(record)]


def test_memory_hardly_grows_with_the_records_of_a_day(tmp_path: Path) -> None:
    """Storing, streaming and compacting 100 MB more of one day takes less than 20 MB more memory."""
    peaks = []
    for count in (2_000, 62_000):
        command = [sys.executable, "-c", STREAM, str(tmp_path / str(count)), str(count)]
        peaks.append(int(subprocess.run(command, capture_output=True, check=True).stdout))
    assert (peaks[1] - peaks[0]) * 1024 < 20_000_000


@pytest.mark.parametrize(
    ("act", "moment"),
    [("save", "date"), *((act, "rename") for act in ("save", "update", "many", "delete", "session"))],
)
def test_a_draft_that_was_taken_for_left_over_is_written_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: str, moment: str
) -> None:
    """Under a clock that was set ahead a compaction removes what another process is about to publish."""
    with closing(FilesystemBackend(str(tmp_path / "tree"))) as store:
        store.write(Batch([stored("old", MIDNIGHT)]))
        real = getattr(fileops, moment)
        gone: list[str] = []

        def sweep_first(path: str, *others: Any) -> None:
            if not gone and os.path.basename(os.path.dirname(path)) == "tmp":
                gone.append(path)
                os.unlink(path)
            real(path, *others)

        monkeypatch.setattr(fileops, moment, sweep_first)
        session = store.single_writer()
        acts: dict[str, Callable[[], object]] = {
            "save": lambda: store.write(Batch([stored("new", MIDNIGHT)])),
            "update": lambda: store.write(Batch([stored("old", MIDNIGHT, 2)])),
            "many": lambda: store.write(Batch([stored("new", MIDNIGHT), stored("other", MIDNIGHT)])),
            "delete": lambda: store.write(Batch(remove=[Removal("old")])),
            "session": lambda: session.write(Batch([stored("new", MIDNIGHT)])),
        }
        acts[act]()
        session.close()

        found = {(record["pattern_id"], record["_meta"]["revision"]) for record in store.scan(Query())}
        both = {("old", 1), ("new", 1)}
        expected = {"update": {("old", 2)}, "many": both | {("other", 1)}, "delete": set()}
        assert found == expected.get(act, both)
        assert gone
        assert store.check(read_data=True) == []
