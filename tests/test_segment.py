"""Segments: written once, read by id and by range, by us and by any tool that reads gzip."""

from __future__ import annotations

import gc
import gzip
import json
import os
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import orjson
import pyarrow.json
import pytest
from hypothesis import given
from hypothesis import strategies as st

from moai_patterns.backends.filesystem import codec, sideindex
from moai_patterns.backends.filesystem import segment as segment_module
from moai_patterns.backends.filesystem.names import digest
from moai_patterns.backends.filesystem.segment import Segment
from moai_patterns.backends.filesystem.segment_writer import SegmentFacts, key, write_segment
from moai_patterns.errors import DamageError
from segments import KINDS, START, files, made, some, stored

BOUNDS = st.one_of(st.none(), st.integers(START - 2, START + 42))


@given(
    st.integers(1, 400),
    st.integers(0, 2**16),
    st.sampled_from([0, 1, 7, 500]),
    BOUNDS,
    BOUNDS,
    st.one_of(st.none(), st.lists(st.sampled_from([*KINDS, "unknown"]), max_size=3)),
    st.booleans(),
)
def test_a_scan_yields_what_a_list_would(  # noqa: PLR0917  drawn
    tmp_path_factory: pytest.TempPathFactory,
    count: int,
    seed: int,
    ids: int,
    since: int | None,
    until: int | None,
    kinds: list[str] | None,
    reverse: bool,
) -> None:
    """Whatever is asked, nothing that fits is missing, nothing is outside the bounds, and the order holds."""
    records = some(count, seed=seed, ids=ids)
    segment = made(tmp_path_factory.mktemp("segment"), records)

    wanted = tuple(kinds) if kinds is not None else None
    found = list(segment.scan(since, until, wanted, reverse=reverse))
    within = [
        record
        for record in (reversed(records) if reverse else records)
        if (since is None or record["_meta"]["instant"] >= since)
        and (until is None or record["_meta"]["instant"] <= until)
    ]
    assert [record for record in within if wanted is None or record["pattern_type"] in wanted] == [
        record for record in found if wanted is None or record["pattern_type"] in wanted
    ]
    positions = [within.index(record) for record in found]
    assert positions == sorted(set(positions))
    assert segment.check(read_data=True) == []


@given(st.integers(1, 400), st.integers(0, 2**16), st.sampled_from([0, 1, 7, 500]))
def test_find_returns_every_revision_of_an_id(
    tmp_path_factory: pytest.TempPathFactory, count: int, seed: int, ids: int
) -> None:
    """An id gives all its revisions, oldest first, wherever in the segment they are; an unknown one none."""
    records = some(count, seed=seed, ids=ids)
    segment = made(tmp_path_factory.mktemp("segment"), records)

    for identity in {record["pattern_id"] for record in records}:
        revisions = [record for record in records if record["pattern_id"] == identity]
        assert segment.find(identity) == sorted(revisions, key=lambda r: int(r["_meta"]["revision"]))
        assert segment.may_hold(digest(identity))
    assert segment.find("unknown") == []
    assert not segment.may_hold(digest("unknown"))


def test_the_facts_say_what_is_in_a_segment(tmp_path: Path) -> None:
    """Counts, spans, sizes and digests are those of the records and files; JSON keeps them."""
    records = some(300, ids=50)
    segment = made(tmp_path, records)
    facts = segment.facts
    data, index = files(segment)
    ids = [record["pattern_id"] for record in records]

    assert (facts.name, facts.count) == ("20251129.1", 300)
    assert facts.kinds == {kind: sum(r["pattern_type"] == kind for r in records) for kind in sorted(KINDS)}
    assert (facts.first, facts.last) == (key(records[0])[0], key(records[-1])[0])
    assert (facts.first_id, facts.last_id) == (min(ids), max(ids))
    assert (facts.seq_first, facts.seq_last) == (1, 300)
    assert (facts.data_bytes, facts.index_bytes) == (data.stat().st_size, index.stat().st_size)
    assert SegmentFacts.from_json(json.loads(json.dumps(facts.to_json()))) == facts


@pytest.mark.parametrize(
    "change",
    [{"count": "3"}, {"count": True}, {"kinds": {"a": 1.5}}, {"kinds": []}, {"more": 1}, {"name": None}],
)
def test_facts_of_another_shape_are_damage(tmp_path: Path, change: dict[str, Any]) -> None:
    """What is not exactly the facts of a segment is refused with what it is."""
    facts = made(tmp_path, some(1)).facts.to_json()

    wrong: Any
    for wrong in ({**facts, **change}, {"name": "x"}, None, []):
        if wrong != facts:
            with pytest.raises(DamageError, match="no facts of a segment"):
                SegmentFacts.from_json(wrong)


def test_equal_records_give_equal_bytes(tmp_path: Path) -> None:
    """Writing a day twice makes the same two files: nothing of time, name or chance is in them."""
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    first, second = (made(tmp_path / name, some(300)) for name in ("a", "b"))

    assert first.facts == second.facts
    assert [path.read_bytes() for path in files(first)] == [path.read_bytes() for path in files(second)]


def test_any_tool_reads_a_segment(tmp_path: Path) -> None:
    """zcat, Python's gzip, DuckDB and pyarrow read all lines of the file as it is."""
    records = some(300)
    segment = made(tmp_path, records)
    data = str(files(segment)[0])

    shown = subprocess.run(["zcat", data], check=True, capture_output=True).stdout
    assert [json.loads(line) for line in shown.splitlines()] == records
    with gzip.open(data) as lines:
        assert [json.loads(line) for line in lines] == records
    rows = duckdb.execute("SELECT pattern_id, _meta.seq FROM read_json(?)", [data]).fetchall()
    assert rows == [(record["pattern_id"], record["_meta"]["seq"]) for record in records]
    table = pyarrow.json.read_json(data)
    assert table.column("pattern_id").to_pylist() == [record["pattern_id"] for record in records]


def test_the_recordings_shrink_to_a_sixth(tmp_path: Path, shared_data: Path) -> None:
    """Recorded payloads take at most a sixth of their bytes as readable JSON files, side index included."""
    payloads = [
        payload
        for path in sorted((shared_data / "claude-code-hooks").glob("*.json"))
        for payload in json.loads(path.read_bytes())
    ]
    records = [
        stored(n, START + n, "tool_use", payload=payload) for n, payload in enumerate(payloads, start=1)
    ]
    facts = made(tmp_path, records).facts

    hot = sum(len(orjson.dumps(record, option=orjson.OPT_INDENT_2)) for record in records)
    assert hot >= 6 * (facts.data_bytes + facts.index_bytes)


def test_without_isal_segments_are_written_and_read_by_zlib(tmp_path: Path) -> None:
    """A process that lacks isal reads what isal wrote, and writes what one with isal reads."""
    ours = made(tmp_path, some(300))
    program = """
import sys
sys.modules["isal"] = None
from pathlib import Path
from moai_patterns.backends.filesystem.segment import Segment
from segments import made, some
assert list(Segment(sys.argv[1], made(Path(sys.argv[2]), some(300)).facts).scan()) == some(300)
"""
    other = tmp_path / "other"
    other.mkdir()
    tests = str(Path(__file__).parent)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([tests, str(Path(tests).parent)])}
    subprocess.run([sys.executable, "-c", program, ours.path, str(other)], check=True, env=environment)

    theirs = Segment(str(other / "20251129.1"), ours.facts)
    assert list(theirs.scan()) == some(300)


def test_members_hold_128_records_or_a_megabyte(tmp_path: Path) -> None:
    """A reader holds one member, so that large records share one with few others."""
    text = "".join(f"{number} " for number in range(60_000))  # 350,000 characters
    large = [stored(number, START, note=text) for number in range(1, 7)]

    assert len(_members(files(made(_sub(tmp_path), large))[0].read_bytes())) == 2 + 1
    assert len(_members(files(made(_sub(tmp_path), some(300)))[0].read_bytes())) == 3 + 1


def _sub(place: Path) -> Path:
    made_here = place / f"d{len(list(place.iterdir()))}"
    made_here.mkdir()
    return made_here


def _members(data: bytes) -> list[int]:
    """The offsets at which a member begins, by its whole header."""
    return [at for at in range(len(data)) if data[at : at + 8] == b"\x1f\x8b\x08\x00\x00\x00\x00\x00"]


def test_kinds_beyond_the_63rd_are_found(tmp_path: Path) -> None:
    """A store with very many kinds of its own answers by kind as any other."""
    records = [stored(n, START + n) for n in range(400)]
    for number, record in enumerate(records):
        record["pattern_type"] = f"kind{number // 4}"
    segment = made(tmp_path, records)

    for kind in ("kind0", "kind62", "kind63", "kind99"):
        found = [r for r in segment.scan(None, None, (kind,)) if r["pattern_type"] == kind]
        assert found == [r for r in records if r["pattern_type"] == kind]
    assert list(segment.scan(None, None, ("none",))) == []


def test_bounds_include_the_ends_of_members(tmp_path: Path) -> None:
    """A bound that is the first or the last instant of a member includes it."""
    records = [stored(n, START + n) for n in range(384)]
    segment = made(tmp_path, records)

    for at in (0, 127, 128, 129, 255, 256, 383):
        assert list(segment.scan(START + at, None)) == records[at:]
        assert list(segment.scan(None, START + at)) == records[: at + 1]
        assert list(segment.scan(START + at, START + at)) == [records[at]]


def test_ids_with_one_hash_are_told_apart(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The hash only says where to look; the id in the record decides."""
    for module in (segment_module, sideindex):
        monkeypatch.setattr(module, "digest", lambda _: 7)
    records = some(200)
    segment = made(tmp_path, records)

    assert segment.find(records[150]["pattern_id"]) == [records[150]]
    assert segment.find("unknown") == []


def test_an_open_segment_keeps_less_than_a_byte_a_record(tmp_path: Path) -> None:
    """Hundreds of open segments are no burden: what is looked up by id is looked up on the disk."""
    segment = made(tmp_path, some(20_000))
    segment.find("unknown")
    segment.close()
    gc.collect()

    tracemalloc.start()
    try:
        assert segment.find("id-0777")
        assert segment.find("unknown") == []
        assert tracemalloc.get_traced_memory()[0] < 20_000
    finally:
        tracemalloc.stop()


def test_a_scan_decodes_only_the_members_it_needs(tmp_path: Path) -> None:
    """Members outside the bounds or without the kinds are not even looked at: damage there is not met."""
    records = [stored(n, START + n, KINDS[n >= 256]) for n in range(384)]
    segment = made(tmp_path, records)
    data = files(segment)[0]
    raw = bytearray(data.read_bytes())
    raw[_members(bytes(raw))[1] + 50] ^= 1
    data.write_bytes(raw)

    assert list(segment.scan(None, START + 127, None)) == records[:128]
    assert list(segment.scan(START + 256, None, None, reverse=True)) == records[:255:-1]
    assert list(segment.scan(None, None, (KINDS[1],))) == records[256:]
    with pytest.raises(DamageError):
        list(segment.scan(START + 128, START + 128, None))


def test_records_out_of_order_are_refused_and_nothing_is_left(tmp_path: Path) -> None:
    """Descending, equal and no records at all are refused within a member and across two."""
    for records in (some(3)[::-1], some(2)[:1] * 2, [*some(128), some(128)[0]], []):
        with pytest.raises(ValueError, match="segment"):
            made(tmp_path, records)
        assert list(tmp_path.iterdir()) == []


def test_a_failing_source_leaves_no_files(tmp_path: Path) -> None:
    """When the records end in an error, what was written until then is removed."""

    def source() -> Iterator[dict[str, Any]]:
        yield from some(300)
        raise KeyError("gone")

    with pytest.raises(KeyError):
        write_segment(str(tmp_path / "s"), source())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="needs a limit of the file size")
def test_a_full_medium_leaves_no_files(tmp_path: Path) -> None:
    """Wherever the room ends, in the data or in the index, the error is the system's and no file stays."""
    import resource

    facts = made(_sub(tmp_path), some(300)).facts
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    sizes = (0, 1, facts.data_bytes // 2, facts.data_bytes - 1, facts.index_bytes - 1)
    for size in sizes:
        place = _sub(tmp_path)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            with pytest.raises(OSError, match="File too large"):
                made(place, some(300))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert list(place.iterdir()) == []


def test_files_that_are_there_are_left_alone(tmp_path: Path) -> None:
    """A generation is written once: an existing data file or index is an error and stays as it is."""
    for suffix in (".jsonl.gz", ".idx"):
        place = _sub(tmp_path)
        (place / f"20251129.1{suffix}").write_text("mine")
        with pytest.raises(FileExistsError):
            made(place, some(3))
        assert [path.read_text() for path in place.iterdir()] == ["mine"]


def test_writing_takes_little_memory_per_record(tmp_path: Path) -> None:
    """From 5,000 to 15,000 records the peak grows by the index alone: at most 40 bytes a record."""

    def peak(count: int) -> int:
        tracemalloc.reset_peak()
        write_segment(str(tmp_path / str(count)), (stored(n, START + n) for n in range(count)))
        return tracemalloc.get_traced_memory()[1]

    tracemalloc.start()
    try:
        peak(1000)
        small = peak(5_000)
        assert peak(15_000) - small < 40 * 10_000
    finally:
        tracemalloc.stop()


def test_reading_takes_the_memory_of_one_member(tmp_path: Path) -> None:
    """A scan over 20,000 records, in either direction, holds less than a megabyte."""
    segment = made(tmp_path, [stored(n, START + n) for n in range(20_000)])
    segment.may_hold(0)  # opens the files
    tracemalloc.start()
    try:
        for reverse in (False, True):
            assert sum(1 for _ in segment.scan(reverse=reverse)) == 20_000
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


def test_an_open_segment_outlives_its_files(tmp_path: Path) -> None:
    """After a compaction has removed the files, whoever had them open reads on, iterators too."""
    records = some(300)
    segment = made(tmp_path, records)
    answer = segment.scan()
    first = next(answer)
    for path in files(segment):
        path.unlink()
    segment.close()

    assert [first, *answer] == records
    with pytest.raises(DamageError, match="missing"):
        segment.find("id-0001")


def test_a_closed_segment_opens_again(tmp_path: Path) -> None:
    """`close` gives back every descriptor, may be called twice, and the next use works."""
    segment = made(tmp_path, some(6000))  # large enough for an index that is mapped
    open_before = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
    for _ in range(3):
        assert len(segment.find("id-0001")) == 1
        segment.close()
        segment.close()
    if sys.platform == "linux":
        assert len(os.listdir("/proc/self/fd")) == open_before


def test_many_threads_read_one_segment(tmp_path: Path) -> None:
    """Finds and scans of eight threads on one object all give what one thread gets."""
    records = some(1000)
    segment = made(tmp_path, records)
    wrong: list[object] = []

    def work(offset: int) -> None:
        try:
            wrong.extend(r for r in records[offset::8] if segment.find(r["pattern_id"]) != [r])
            if list(segment.scan(reverse=True)) != records[::-1]:
                wrong.append(offset)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(offset,)) for offset in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_member_never_decodes_to_more_than_it_should() -> None:
    """What a bomb would become is not made: decoding stops one byte beyond the expected size."""
    bomb = gzip.compress(bytes(1 << 26), 9)
    tracemalloc.start()
    try:
        with pytest.raises(codec.CodecError, match="more than 1000 bytes"):
            codec.decompress(bomb, 1000)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@given(st.binary(max_size=3000))
def test_a_member_comes_back_as_it_was(raw: bytes) -> None:
    """Any bytes survive, and any other length is refused."""
    packed = codec.compress(raw)

    assert codec.decompress(packed, len(raw)) == raw
    assert gzip.decompress(packed) == raw
    for wrong, size in (
        (packed, len(raw) + 1),
        (packed, len(raw) - 1),
        (packed + b"x", len(raw)),
        (packed[:-1], len(raw)),
    ):
        if size >= 0:
            with pytest.raises(codec.CodecError):
                codec.decompress(wrong, size)
