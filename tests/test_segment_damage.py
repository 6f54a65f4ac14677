"""Damaged segments: reported with their place, local in effect, and never a wrong record."""

from __future__ import annotations

import errno
import gzip
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from moai_patterns.backends.base import Batch
from moai_patterns.backends.filesystem.backend import FilesystemBackend
from moai_patterns.backends.filesystem.segment import Segment
from moai_patterns.errors import DamageError
from moai_patterns.instant import DAY
from moai_patterns.query import Query
from moai_patterns.testing.pools import MIDNIGHT
from moai_patterns.testing.pools import stored as saved
from segments import START, anew, files, made, some, stored

_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00"


def spoiled(raw: bytes, stride: int) -> Iterator[bytes]:
    """Every `stride`-th byte with one bit flipped, and every `stride`-th truncation."""
    for at in range(0, len(raw), stride):
        yield raw[:at] + bytes([raw[at] ^ 1 << at % 8]) + raw[at + 1 :]
        yield raw[:at]


def never_wrong(segment: Segment, records: list[dict[str, Any]], ids: list[str]) -> None:
    """Each answer is the right one, or `DamageError` after nothing but right records."""
    for reverse in (False, True):
        expected = records[::-1] if reverse else records
        found = []
        try:
            for record in segment.scan(reverse=reverse):
                found.append(record)  # noqa: PERF402  what came before the error counts
            assert found == expected
        except DamageError:
            assert found == expected[: len(found)]
    for identity in ids:
        try:
            answer = segment.find(identity)
        except DamageError:
            continue
        assert answer == [record for record in records if record["pattern_id"] == identity]


@pytest.mark.parametrize("which", [0, 1], ids=["data", "index"])
@pytest.mark.parametrize(("count", "stride"), [(5, 1), (140, 17)], ids=["one member", "two members"])
def test_no_flipped_bit_or_truncation_gives_a_wrong_answer(
    tmp_path: Path, count: int, stride: int, which: int
) -> None:
    """Whatever single damage either file has, `check` reports it and no wrong record comes out."""
    records = some(count)
    segment = made(tmp_path, records)
    path = files(segment)[which]
    raw = path.read_bytes()
    ids = ["unknown", records[0]["pattern_id"], records[-1]["pattern_id"]]

    for damaged in spoiled(raw, stride):
        path.write_bytes(damaged)
        assert anew(segment).check(read_data=True) != []
        never_wrong(anew(segment), records, ids)
    path.write_bytes(raw)
    assert anew(segment).check(read_data=True) == []


@pytest.mark.parametrize("stride", [29])
def test_no_damage_gives_a_wrong_answer_without_an_index(tmp_path: Path, stride: int) -> None:
    """The same with the side index gone: then every member is judged by what it decodes to."""
    records = some(140)
    segment = made(tmp_path, records)
    data, index = files(segment)
    index.unlink()
    ids = ["unknown", records[0]["pattern_id"], records[-1]["pattern_id"]]

    for damaged in spoiled(data.read_bytes(), stride):
        data.write_bytes(damaged)
        assert anew(segment).check(read_data=True) != []
        never_wrong(anew(segment), records, ids)


def members(raw: bytes) -> list[bytes]:
    """The members of a data file, the end marker last."""
    starts = [at for at in range(len(raw)) if raw[at : at + 8] == _HEADER]
    return [raw[start:end] for start, end in zip(starts, [*starts[1:], len(raw)], strict=True)]


FOREIGN = gzip.compress(b'{"pattern_id": "foreign"}\n', mtime=0)
CHANGES: dict[str, Callable[[list[bytes]], list[bytes]]] = {
    "the end marker is missing": lambda found: found[:-1],
    "the last member is missing, too": lambda found: found[:-2],
    "a member is missing": lambda found: [found[0], *found[2:]],
    "a member is there twice": lambda found: [found[0], *found],
    "two members are swapped": lambda found: [found[1], found[0], *found[2:]],
    "a foreign member stands in between": lambda found: [found[0], FOREIGN, *found[1:]],
    "a foreign member follows": lambda found: [*found, FOREIGN],
    "a second end marker follows": lambda found: [*found, found[-1]],
    "zeros follow": lambda found: [*found, bytes(512)],
    "the end marker comes early": lambda found: [found[0], found[-1], *found[1:]],
    "a header has a time": lambda found: [found[0][:4] + b"\x01" + found[0][5:], *found[1:]],
    "nothing is left": lambda _: [],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
@pytest.mark.parametrize("indexed", [True, False], ids=["with index", "without"])
def test_what_gzip_would_let_pass_is_reported(
    tmp_path: Path, change: Callable[[list[bytes]], list[bytes]], *, indexed: bool
) -> None:
    """Members added, lost, moved or padded are found by `check`, and never give a wrong answer."""
    records = some(300)
    segment = made(tmp_path, records)
    data, index = files(segment)
    data.write_bytes(b"".join(change(members(data.read_bytes()))))
    if not indexed:
        index.unlink()

    assert anew(segment).check(read_data=True) != []
    never_wrong(anew(segment), records, ["unknown", *(record["pattern_id"] for record in records[::50])])


def test_a_member_of_another_segment_is_not_taken_for_the_own(tmp_path: Path) -> None:
    """Sound bytes of the right length in the right place are damage when others were written there."""
    (tmp_path / "other").mkdir()
    segment, other = (
        made(tmp_path, [stored(1, START, note="a")]),
        made(tmp_path / "other", [stored(1, START, note="b")]),
    )
    theirs = files(other)[0].read_bytes()
    assert len(theirs) == segment.facts.data_bytes
    files(segment)[0].write_bytes(theirs)

    with pytest.raises(DamageError, match="member 0 at byte 0: its stored bytes"):
        segment.find("id-0001")
    assert segment.check(read_data=False) == []
    assert segment.check(read_data=True) != []


def test_damage_stays_in_its_member(tmp_path: Path) -> None:
    """A damaged member is named with file, number and offset; all others are read, even without index."""
    records = [stored(n, START + n) for n in range(384)]
    segment = made(tmp_path, records)
    data, index = files(segment)
    parts = members(data.read_bytes())
    broken = bytearray(parts[1])
    broken[len(broken) // 2] ^= 16
    data.write_bytes(b"".join([parts[0], bytes(broken), *parts[2:]]))

    with pytest.raises(DamageError, match=rf"20251129\.1\.jsonl\.gz, member 1 at byte {len(parts[0])}: "):
        list(segment.scan())
    for reader in (segment, anew(segment)):
        assert list(reader.scan(None, START + 126)) == records[:127]
        assert list(reader.scan(START + 257)) == records[257:]
        assert reader.find("id-0005") == [records[5]]
        assert reader.find("id-0300") == [records[300]]
        with pytest.raises(DamageError):
            reader.find("id-0200")
        with pytest.raises(DamageError):
            list(reader.scan(START + 130, START + 140))
        index.unlink(missing_ok=True)
    lost = [problem for problem in segment.check(read_data=True) if problem.records]
    assert [(problem.place, problem.records) for problem in lost] == [(str(data), 128)]


def test_the_index_is_a_cache(tmp_path: Path) -> None:
    """Missing, scrambled or another segment's, its loss changes no answer; `check` reports it."""
    records = some(300, ids=40)
    segment = made(tmp_path, records)
    index = files(segment)[1]
    (tmp_path / "other").mkdir()
    others = files(made(tmp_path / "other", some(299, ids=40)))[1].read_bytes()

    for content in (None, b"", b"scrambled", bytes(index.stat().st_size), others):
        index.unlink()
        if content is not None:
            index.write_bytes(content)
        else:
            index.mkdir()
        reader = anew(segment)
        assert list(reader.scan(reverse=True)) == records[::-1]
        assert all(
            len(reader.find(f"id-{n}")) == sum(r["pattern_id"] == f"id-{n}" for r in records)
            for n in range(41)
        )
        for read_data in (False, True):
            problems = reader.check(read_data=read_data)
            assert [(problem.place, problem.records) for problem in problems] == [(str(index), 0)]
        if content is None:
            index.rmdir()
            index.write_bytes(b"")


def test_a_missing_data_file_says_so(tmp_path: Path) -> None:
    """A reader tells by `errno` that a segment is gone, whether its index is there or not."""
    segment = made(tmp_path, some(3))
    for path in files(segment):
        path.unlink()
        with pytest.raises(DamageError) as caught:
            segment.find("id-0001")
        assert caught.value.errno == errno.ENOENT
        assert any(problem.records == 3 for problem in segment.check(read_data=False))


def test_a_bomb_in_place_of_the_data_is_not_decoded(tmp_path: Path) -> None:
    """Neither reading without an index nor `check` makes more than a bounded part of what a bomb holds."""
    segment = made(tmp_path, some(3))
    data, index = files(segment)
    data.write_bytes(gzip.compress(bytes(1 << 28), 9, mtime=0))
    index.unlink()

    tracemalloc.start()
    try:
        with pytest.raises(DamageError):
            list(segment.scan())
        assert segment.check(read_data=True) != []
        assert tracemalloc.get_traced_memory()[1] < 1 << 27
    finally:
        tracemalloc.stop()


def test_records_of_a_foreign_shape_are_damage(tmp_path: Path) -> None:
    """Lines that are JSON but no stored records never come out of a segment whose index is lost."""
    segment = made(tmp_path, some(3))
    data, index = files(segment)
    index.unlink()
    for line in (
        b"1",
        b"{}",
        b'{"pattern_id":1,"pattern_type":"a","_meta":{"instant":1,"revision":1,"seq":1}}',
    ):
        data.write_bytes(gzip.compress(line + b"\n", mtime=0) + members(data.read_bytes())[-1])
        with pytest.raises(DamageError, match="no stored record"):
            list(anew(segment).scan())


def test_a_fast_check_reads_no_members(tmp_path: Path) -> None:
    """Without `read_data` sizes and headers are compared, and a change inside is left to the full check."""
    segment = made(tmp_path, some(300))
    data = files(segment)[0]
    raw = data.read_bytes()
    data.write_bytes(raw[:99] + bytes([raw[99] ^ 1]) + raw[100:])

    assert segment.check(read_data=False) == []
    assert segment.check(read_data=True) != []
    data.write_bytes(raw + b"\0")
    assert [problem.sentence for problem in segment.check(read_data=False)] == [
        f"it has {len(raw) + 1} bytes, not {len(raw)}"
    ]


@pytest.mark.parametrize("damage", ["flip", "cut"])
def test_an_index_damaged_after_it_was_opened_is_made_anew(tmp_path: Path, damage: str) -> None:
    """Blocks are read when they are asked for; a damaged one costs a pass over the data, and no answer."""
    records = some(400)
    segment = made(tmp_path, records)
    assert segment.find("unknown") == []
    index = files(segment)[1]
    raw = bytearray(index.read_bytes())
    for at in range(len(raw) - 400 * 12, len(raw)):
        raw[at] ^= 1
    index.write_bytes(raw if damage == "flip" else raw[:-1000])

    for record in records:
        assert record in segment.find(record["pattern_id"])
    assert segment.find("unknown") == []
    assert [problem.place for problem in segment.check(read_data=True)] == [str(index)]


def _half(data: Path, index: Path) -> None:
    index.unlink()
    raw = bytearray(data.read_bytes())
    raw[len(raw) // 2] ^= 1
    data.write_bytes(raw)


def _cut(data: Path, index: Path) -> None:
    index.unlink()
    data.write_bytes(b"")


def _gone(data: Path, index: Path) -> None:
    data.unlink()


@pytest.mark.parametrize("late", [1, 2], ids=["hot file", "journal"])
@pytest.mark.parametrize("damage", [_half, _cut, _gone])
def test_a_damaged_segment_costs_no_record_that_came_later(
    tmp_path: Path, damage: Callable[[Path, Path], None], late: int
) -> None:
    """A compaction removes what a segment holds, not what it may hold; and other days are compacted."""
    day = MIDNIGHT // DAY
    with closing(FilesystemBackend(str(tmp_path / "tree"))) as store:
        store.write(Batch([saved(f"r{number:03}", MIDNIGHT + number) for number in range(300)]))
        store.compact([day])
    (data,) = tmp_path.glob("tree/*/*/*/*.jsonl.gz")
    damage(data, data.with_name(data.name.replace(".jsonl.gz", ".idx")))
    with closing(FilesystemBackend(str(tmp_path / "tree"))) as store:
        store.write(Batch([saved(f"z{number}", MIDNIGHT + 500) for number in range(late)]))
        store.write(Batch([saved("zzz", MIDNIGHT - 1)]))
        for _ in range(2):
            with pytest.raises(DamageError, match=data.name):
                store.compact([day - 1, day])
            assert all(store.get(f"z{number}") is not None for number in range(late))
            with pytest.raises(DamageError):
                list(store.scan(Query(limit=None)))
        assert len(list(tmp_path.glob("tree/*/*/28/*.jsonl.gz"))) == 1
        assert store.get("zzz") is not None


def test_a_damaged_segment_is_not_counted_by_guess(tmp_path: Path) -> None:
    """Whether it holds what lies beside it as a hot file decides the number, and nobody can tell."""
    with closing(FilesystemBackend(str(tmp_path / "tree"))) as store:
        store.write(Batch([saved(f"r{number:03}", MIDNIGHT + number) for number in range(300)]))
        store.compact([MIDNIGHT // DAY])
    (data,) = tmp_path.glob("tree/*/*/*/*.jsonl.gz")
    _half(data, data.with_name(data.name.replace(".jsonl.gz", ".idx")))
    with closing(FilesystemBackend(str(tmp_path / "tree"))) as store:
        store.write(Batch([saved("zzz", MIDNIGHT)]))
        with pytest.raises(DamageError, match=data.name):
            store.count(Query(limit=None))
