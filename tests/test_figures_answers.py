"""Real recordings: 200 generated questions have one answer on every backend, compacted or not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import orjson
import pytest

from moai_patterns import PatternStorage, Query
from recordings import Questions, imported

QUESTIONS = 200
ORACLE = "memory"
PERSISTENT = ("filesystem", "sqlite")
Stores = dict[str, PatternStorage]
Answer = tuple[bytes, int, bytes]


@pytest.fixture
def stores(tmp_path: Path, shared_data: Path) -> Iterator[Stores]:
    """All recordings in each backend; every byte of the stores is checked at the end."""
    with ExitStack() as stack:
        opened = {
            backend: stack.enter_context(imported(backend, tmp_path / backend, shared_data))
            for backend in (ORACLE, *PERSISTENT)
        }
        yield opened
        assert [storage.check(read_data=True) for storage in opened.values()] == [[], [], []]


def answer(storage: PatternStorage, question: Query) -> Answer:
    """The records to the last bit, their number, and the page that the cursor leads to."""
    found = storage.query(question)
    following = storage.query(question.but(cursor=found.cursor)) if found.cursor else []
    return text(found), storage.count(question), text(following)


def text(records: Iterable[dict[str, object]]) -> bytes:
    """Records as text, which tells 1 from 1.0 and from True."""
    return orjson.dumps(list(records), option=orjson.OPT_SORT_KEYS)


def differing(stores: Stores, questions: list[Query], expected: list[Answer]) -> list[tuple[str, Query]]:
    """The backends and questions whose answers are not the expected ones."""
    return [
        (backend, question)
        for question, right in zip(questions, expected, strict=True)
        for backend in PERSISTENT
        if answer(stores[backend], question) != right
    ]


def test_200_questions_have_one_answer_before_and_after_compaction(stores: Stores) -> None:
    """Kinds, bounds, tags, conditions, orders, limits and cursors mean the same on all backends."""
    records = list(stores[ORACLE].iter(order="oldest"))
    drawn = Questions(records, seed=20251129)
    questions = [drawn.draw() for _ in range(QUESTIONS)]
    expected = [answer(stores[ORACLE], question) for question in questions]
    counts = [count for _, count, _ in expected]

    assert differing(stores, questions, expected) == []
    moved = stores["filesystem"].compress_old_files()
    assert moved == len(records)
    assert stores["filesystem"].stats()["bytes"]["hot"] == 0
    assert differing(stores, questions, expected) == []

    followed = sum(page != b"[]" for _, _, page in expected)
    print(
        f"\n{len(records)} records, {QUESTIONS} questions: {sum(map(bool, counts))} with an answer, "
        f"{sum(counts)} records in the answers, {followed} followed by a page; asked: {dict(drawn.asked)}"
    )
    assert sum(map(bool, counts)) > QUESTIONS / 3, "most questions find nothing: they show little"
    assert min(drawn.asked.values()) >= 10
    assert followed >= 10
