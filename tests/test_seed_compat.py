"""The document's own examples run as they stand, and each weakness of earlier such stores is absent.

The numbers are those of a list of twenty weaknesses. Where other tests show the absence at length,
`ELSEWHERE` names them.
"""

from __future__ import annotations

import gzip
import json
import os
import sqlite3
import statistics
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import moai_patterns
from moai_patterns import PatternSchema, PatternStorage, Query, ValidationError
from samples import sample
from sources import ROOT

TREE = """
from moai_patterns import PatternStorage, Pattern, PatternType
import uuid
from datetime import datetime

# Create storage
storage = PatternStorage(
    backend="filesystem",
    base_path=".moai/patterns",
    compression_threshold_days=30,
    retention_days=90
)

# Save pattern
pattern: Pattern = {
    "pattern_id": str(uuid.uuid4()),
    "pattern_type": PatternType.TASK_COMPLETION,
    "timestamp": datetime.now().isoformat(),
    "data": {
        "task_type": "code_generation",
        "agent": "expert-backend",
        "duration_ms": 2500,
        "success": True
    },
    "context": {"project_name": "moai-adk"},
    "version": "1.0"
}

storage.save(pattern)

# Query patterns
patterns = storage.query(
    pattern_type=PatternType.TASK_COMPLETION,
    limit=10
)
"""
DATABASE = """
# Create SQLite storage
storage = PatternStorage(
    backend="sqlite",
    base_path=".moai/patterns/patterns"  # Creates patterns.db
)

# Save and query (same API)
storage.save(pattern)
patterns = storage.query(pattern_type=PatternType.AGENT_USAGE, limit=50)

# Close connection
storage.close()
"""
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
PERSISTENT = ("filesystem", "sqlite")
ELSEWHERE = {
    4: ("test_figures_processes.py::test_sixty_four_processes_save_6400_records",),
    5: (
        "test_figures_processes.py::test_sixty_four_processes_save_6400_records",
        "test_filesystem_kills.py::test_killed_processes_leave_what_they_said_and_nothing_in_part",
    ),
    6: ("test_bad_input_stores.py::test_damage_in_a_tree_is_named_and_the_rest_is_read",),
    10: ("test_storage.py::test_threads_share_one_storage",),
    13: (
        "test_lifecycle.py::test_a_long_lived_storage_maintains_itself",
        "test_lifecycle.py::test_given_retention_is_a_policy",
    ),
    15: ("test_bad_input_records.py::test_a_bad_record_is_refused_by_every_door",),
    16: (
        "test_schema_errors.py::test_bad_input_is_refused_with_place_and_rule",
        "test_schema_fields.py::test_no_value_makes_a_check_raise",
    ),
    17: ("test_cli.py::test_copy_and_export_and_import_bring_records_elsewhere",),
    19: ("test_hook.py::test_whatever_comes_in_is_kept_and_nothing_comes_out",),
    20: ("test_bad_input_records.py::test_a_bad_record_is_refused_by_every_door",),
}


@pytest.fixture(params=PERSISTENT)
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[PatternStorage]:
    """An empty storage on each persistent backend at a fixed time; every byte is checked at the end."""
    with PatternStorage(
        request.param,
        tmp_path / "store",
        clock=lambda: int(NOW.timestamp()) * 1_000_000_000,
        maintenance_interval=None,
    ) as opened:
        yield opened
        assert opened.check(read_data=True) == []


def days_ago(days: float) -> str:
    return (NOW - timedelta(days=days)).isoformat()


def ids(records: Sequence[dict[str, Any]]) -> list[str]:
    return [record["pattern_id"] for record in records]


def test_the_usage_examples_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tree, then the database, as shown: the pattern is in both, and the second closes."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(TREE, names)
    expected = {**names["pattern"], "pattern_type": "task_completion"}
    assert names["patterns"] == [expected]
    day = Path(".moai/patterns") / datetime.now(UTC).strftime("%Y")
    (file,) = day.glob("*/*/task_*.json")
    assert json.loads(file.read_text())["data"]["agent"] == "expert-backend"
    assert Path(".moai/patterns/index.json").is_file()
    names["storage"].close()

    exec(DATABASE, names)
    assert names["patterns"] == []
    with closing(sqlite3.connect(".moai/patterns/patterns.db")) as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(patterns)")]
        (found,) = database.execute("SELECT pattern_id, data FROM patterns")
    assert columns[:6] == ["pattern_id", "pattern_type", "timestamp", "data", "context", "version"]
    assert found[0] == expected["pattern_id"]
    with PatternStorage("filesystem") as again:
        assert again.load(expected["pattern_id"]) == expected


def test_the_usage_examples_are_the_documents() -> None:
    """What runs here is what the document shows, but for the name of the package."""
    document = ROOT.parent / "shared" / "seeds" / "pattern-storage-and-schema.md"
    if not document.is_file():
        pytest.skip("needs the document in ../shared/seeds")
    text = document.read_text(encoding="utf-8").replace("moai_flow.patterns", "moai_patterns")
    assert f"```python{TREE}```" in text
    assert f"```python{DATABASE}```" in text


def test_the_documented_names_come_from_the_package() -> None:
    """Every exported name of the document is there, and the numbers of fields are the documented ones."""
    for name in (
        *("PatternType", "TaskCompletionData", "ErrorOccurrenceData", "AgentUsageData", "UserCorrectionData"),
        *("PatternContext", "Pattern", "PatternSchema", "StorageConfig", "PatternStorage"),
    ):
        assert hasattr(moai_patterns, name), name
    counts = {
        name: len(getattr(moai_patterns, name).__annotations__)
        for name in ("TaskCompletionData", "ErrorOccurrenceData", "AgentUsageData", "UserCorrectionData")
    }
    assert list(counts.values()) == [12, 11, 12, 9]
    assert len(moai_patterns.PatternContext.__annotations__) == 10
    assert len([name for name in dir(PatternSchema) if name.startswith("validate_")]) == 6


def test_weakness_1_compacted_records_stay_readable(storage: PatternStorage) -> None:
    """After compaction load by id and every query find what they found before."""
    storage.save_many(sample(f"p{n}", days_ago(40 + n), tags=["t"]) for n in range(5))
    before = list(storage.query(limit=None))
    storage.compress_old_files()
    assert [storage.load(f"p{n}") for n in range(5)] == before
    assert storage.query(limit=None) == before
    assert len(storage.query("task_completion", tags=["t"], start_date=days_ago(44))) == 5


def test_weakness_2_equal_seconds_and_first_characters_do_not_collide(storage: PatternStorage) -> None:
    """Ids that share their first eight characters within a second are different records."""
    names = [f"pat-20251129-100000-{n:03}" for n in range(50)]
    for name in names:
        storage.save(sample(name, "2025-11-29T10:00:00Z", note=name))
    assert sorted(ids(storage.query(limit=None))) == names
    assert all(record["data"]["note"] == record["pattern_id"] for record in storage.iter())


def test_weakness_3_another_timestamp_moves_the_record(storage: PatternStorage) -> None:
    """An id that is saved again for another day is found once, there."""
    storage.save(sample("a", days_ago(3)))
    storage.save(sample("a", days_ago(50)))
    assert storage.query() == [sample("a", days_ago(50))]
    assert storage.query(start_date=days_ago(4)) == []


def written() -> int:
    """The bytes that this process handed to the system so far."""
    try:
        counters = Path("/proc/self/io").read_text(encoding="utf-8")
    except OSError:
        pytest.skip("needs the system's count of written bytes")
    return int(counters.partition("wchar: ")[2].split()[0])


def test_weakness_4_a_save_does_not_rewrite_what_is_there(storage: PatternStorage, tmp_path: Path) -> None:
    """A save among 500 records writes what it wrote among ten, and leaves the manifest as it is."""
    costs = []
    for number in range(500):
        before = written()
        storage.save(sample(f"pattern-{number:03}"))
        costs.append(written() - before)
    early, late = statistics.median(costs[5:15]), statistics.median(costs[-10:])
    print(f"\n{storage.config.backend}: {early:,} bytes written per save at first, {late:,} at last")
    assert late <= early * 1.5
    for manifest in tmp_path.glob("store/index.json"):
        assert manifest.stat().st_size < 200


def test_weakness_5_readers_never_see_half_a_record(storage: PatternStorage, tmp_path: Path) -> None:
    """While one thread saves, every file and row that another opening reads is whole."""
    done = threading.Event()
    torn: list[BaseException] = []

    def read() -> None:
        try:
            with PatternStorage(storage.config.backend, tmp_path / "store") as other:
                while not done.is_set():
                    for record in other.iter():
                        assert record["data"]["note"] == record["pattern_id"] * 100
        except BaseException as error:
            torn.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(150):
        storage.save(sample(f"p{number}", note=f"p{number}" * 100))
    done.set()
    reader.join()
    assert torn == []


def test_weakness_6_a_broken_index_does_not_stop_anything(tmp_path: Path) -> None:
    """With a manifest that is no JSON every record is found and saving goes on; check reports it."""
    with PatternStorage("filesystem", tmp_path, maintenance_interval=None) as storage:
        storage.save_many([sample("old", "2024-01-01T10:00Z"), sample("new", days_ago(1))])
        storage.compress_old_files()
    (tmp_path / "index.json").write_text('{"layout":1, broken')
    with PatternStorage("filesystem", tmp_path, maintenance_interval=None) as storage:
        assert "index.json" in " ".join(problem.place for problem in storage.check())
        assert storage.save(sample("more"))
        assert all(storage.load(identity) for identity in ("old", "new", "more"))


def test_weakness_7_what_cannot_be_written_leaves_no_file(storage: PatternStorage, tmp_path: Path) -> None:
    """A value that JSON does not have is refused before a byte is written."""
    storage.save(sample())
    before = sorted((path, path.stat().st_size) for path in tmp_path.rglob("*"))
    for value in (object(), {1, 2}, b"bytes", 1j, datetime.now(UTC)):
        with pytest.raises(ValidationError, match=r"\$\.data\.note"):
            storage.save(sample("bad", note=value))
    assert sorted((path, path.stat().st_size) for path in tmp_path.rglob("*")) == before


def test_weakness_8_zones_and_naive_times_stand_side_by_side(storage: PatternStorage) -> None:
    """Bounds and retention work over aware and naive timestamps, given as any of them."""
    stamps = ("2025-11-29T10:00:00Z", "2025-11-29T10:00:00", "2025-11-29T10:00:00+09:00", "2025-11-29")
    storage.save_many(sample(f"p{n}", stamp) for n, stamp in enumerate(stamps))
    for bound in (*stamps, datetime(2025, 11, 28), datetime(2025, 11, 28, tzinfo=UTC)):
        storage.query(start_date=bound, end_date=bound)
    assert len(storage.query(start_date="2025-11-28", end_date=datetime(2025, 12, 1))) == 4
    assert storage.delete_old_patterns(30) == 4


def test_weakness_9_fractions_and_zones_come_back(storage: PatternStorage) -> None:
    """A timestamp is the text that it was, to the last digit and with its zone."""
    for number, stamp in enumerate(("2025-11-29T10:00:00.123456789+09:00", "2025-11-29 10:00", "2025-11-29")):
        storage.save(sample(f"p{number}", stamp))
        assert storage.load(f"p{number}") == sample(f"p{number}", stamp)


def test_weakness_10_any_thread_may_save(storage: PatternStorage) -> None:
    """A save from another thread than the one that opened the storage is stored."""
    saved: list[bool] = []
    thread = threading.Thread(target=lambda: saved.append(storage.save(sample())))
    thread.start()
    thread.join()
    assert saved == [True]
    assert storage.load("pattern-1") == sample()


def test_weakness_11_the_limit_comes_after_the_tags(storage: PatternStorage) -> None:
    """A rare tag among many newer records is found with limit 1."""
    storage.save(sample("rare", days_ago(9), tags=["rare", "all"]))
    storage.save_many(sample(f"p{n:03}", days_ago(1), tags=["all"]) for n in range(200))
    assert ids(storage.query(tags=["rare"], limit=1)) == ["rare"]


def test_weakness_12_deleting_compacted_records_leaves_no_trace(
    storage: PatternStorage, tmp_path: Path
) -> None:
    """After retention of compacted days nothing answers, and no file holds the payload any more."""
    storage.save_many(sample(f"p{n}", days_ago(100), note="gone-and-forgotten") for n in range(20))
    storage.save(sample("kept", days_ago(1)))
    storage.compress_old_files()
    assert storage.delete_old_patterns() == 20
    assert storage.load("p3") is None
    assert ids(storage.query()) == ["kept"]
    for path in tmp_path.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            text = gzip.decompress(content) if path.suffix == ".gz" and content else content
            assert b"gone-and-forgotten" not in text, path


def test_weakness_13_the_configured_retention_is_the_default(tmp_path: Path) -> None:
    """`delete_old_patterns()` without an argument goes by what the storage was opened with."""
    clock = int(NOW.timestamp()) * 1_000_000_000
    with PatternStorage("filesystem", tmp_path, retention_days=10, clock=lambda: clock) as storage:
        storage.save_many([sample("a", days_ago(11)), sample("b", days_ago(9))])
        assert storage.delete_old_patterns() == 1
        assert ids(storage.query()) == ["b"]


def test_weakness_14_the_age_of_a_file_means_nothing(tmp_path: Path) -> None:
    """Compaction and retention go by the record's own time, whatever the file system says."""
    clock = int(NOW.timestamp()) * 1_000_000_000
    with PatternStorage("filesystem", tmp_path, clock=lambda: clock) as storage:
        storage.save(sample("old", days_ago(40)))
        storage.save(sample("new", days_ago(1)))
        for path in tmp_path.glob("*/*/*/*.json"):
            ancient = "new" in path.name
            os.utime(path, (1, 1) if ancient else (time.time(), time.time()))
        assert storage.compress_old_files() == 1
        assert list(tmp_path.glob("2026/02/28/*.json"))
        assert storage.delete_old_patterns(30) == 1
        assert ids(storage.query()) == ["new"]


def test_weakness_15_no_id_leaves_the_directory(storage: PatternStorage, tmp_path: Path) -> None:
    """Ids that look like paths are refused when saved, and are simply unknown when asked for."""
    for name in ("../out", "a/b", "..", "/etc/passwd", "a\\b"):
        with pytest.raises(ValidationError):
            storage.save(sample(name))
        assert storage.load(name) is None
    assert {path.name.split(".")[0] for path in tmp_path.iterdir()} <= {"store"}


def test_weakness_16_a_refusal_says_why() -> None:
    """Every violation has its path and reason, unchecked fields are checked, and nothing raises."""
    bad = sample(duration_ms="x", files_created=-1, coverage_percent=101)
    assert {violation.path for violation in PatternSchema.errors(bad)} == {
        "$.data.coverage_percent",
        "$.data.duration_ms",
        "$.data.files_created",
    }
    wrong: list[Any] = [None, [], "x", {"severity": []}, {"context": None}]
    for value in wrong:
        assert PatternSchema.validate_pattern(value) is False
        assert PatternSchema.validate_user_correction(value) is False


def test_weakness_17_the_missing_verbs_are_there(storage: PatternStorage) -> None:
    """Delete by id, count, iteration, paging, update, batch, and copying to another backend."""
    assert storage.save_many(sample(f"p{n}", days_ago(n)) for n in range(10)) == 10
    assert storage.save(sample("p3", days_ago(3), note="updated"))
    assert storage.delete("p4") == 1
    assert (storage.count(), len(list(storage.iter()))) == (9, 9)
    first = storage.query(limit=5)
    assert ids(first) + ids(storage.query(limit=5, cursor=first.cursor)) == ids(list(storage.iter()))
    assert [found is None for found in storage.get_many(["p3", "p4"])] == [False, True]
    with PatternStorage("memory") as other:
        assert storage.copy_to(other) == 9
        assert list(other.iter()) == list(storage.iter())


def test_weakness_18_nothing_is_claimed_that_is_not_there(root: Path) -> None:
    """The README speaks of searching text only when there is a search."""
    readme = (root / "README.md").read_text(encoding="utf-8").lower()
    if "full-text" in readme or "full text" in readme:
        assert hasattr(PatternStorage, "search")


def test_weakness_19_there_is_one_kind_of_pattern() -> None:
    """Everything that captures makes the one record that the schema knows and the storage validates."""
    with PatternStorage("memory") as storage:
        storage.capture("task_completion", sample()["data"])
        with pytest.raises(ValidationError):
            storage.capture("task_completion", {**sample()["data"], "duration_ms": -1})
        assert [PatternSchema.validate_pattern(record) for record in storage.iter()] == [True]
    owners = [name for name, module in sys.modules.items() if "Pattern" in vars(module) and "moai_p" in name]
    assert {id(sys.modules[name].Pattern) for name in owners} == {id(moai_patterns.Pattern)}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_weakness_20_no_number_that_json_lacks(storage: PatternStorage, value: float) -> None:
    """NaN and Infinity are refused in checked and in unknown fields, and as a value to compare with."""
    for record in (sample(coverage_percent=value), sample(unknown=value)):
        with pytest.raises(ValidationError, match="not finite"):
            storage.save(record)
    with pytest.raises(ValueError, match="no JSON value"):
        storage.count(Query(where={"data.coverage_percent": value}))


@pytest.mark.parametrize("name", [name for names in ELSEWHERE.values() for name in names])
def test_what_is_shown_elsewhere_is_there(name: str) -> None:
    """The tests that the list names exist."""
    file, _, test = name.partition("::")
    assert f"def {test}(" in (ROOT / "tests" / file).read_text(encoding="utf-8")
