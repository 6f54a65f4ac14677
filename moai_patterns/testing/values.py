"""Clause 1: what was written comes back exactly, in every form of the store."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from moai_patterns.backends.base import Batch
from moai_patterns.instant import DAY, FIRST, LAST
from moai_patterns.query import Query, Record
from moai_patterns.testing.clauses import Clauses
from moai_patterns.testing.compare import agree, heads, must
from moai_patterns.testing.pools import IDS, MIDNIGHT, MOMENTS, SPELLINGS, TEXTS, VALUES, spelling, stored

NESTING = 100


class RoundTrip(Clauses):
    """Clause 1."""

    def _returns(self, path: Path, records: Sequence[Record]) -> None:
        """Every way to read gives these records back exactly, in every form."""
        wanted = sorted(records, key=Query().key, reverse=True)
        for form, store in self.forms(path, [Batch(copy.deepcopy(records))]):
            agree(heads(store), wanted, f"scan, {form}")
            for record in wanted:
                identity = record["pattern_id"]
                found = store.get(identity)
                must(found is not None, f"get({identity!r}), {form}: None")
                agree([found] if found else [], [record], f"get({identity!r}), {form}")
                agree(store.history(identity), [record], f"history({identity!r}), {form}")

    def test_1_values_keep_type_and_value(self, tmp_path: Path) -> None:
        """Numbers to the last bit, booleans, null, empty and nested values come back with their types."""
        records = [stored(f"v{at}", MIDNIGHT + at, data={"value": value}) for at, value in enumerate(VALUES)]
        records.append(
            stored("all", MIDNIGHT, data={"values": list(VALUES)}, context={"metadata": list(VALUES)})
        )
        self._returns(tmp_path / "store", records)

    def test_1_texts_keep_every_character(self, tmp_path: Path) -> None:
        """Text of any characters comes back unchanged as a value, a key, a tag and a version."""
        self._returns(
            tmp_path / "store",
            [
                stored(
                    f"t{at}",
                    MIDNIGHT + at,
                    data={"text": text, text: [text]},
                    context={"tags": [text]},
                    version=text,
                )
                for at, text in enumerate(TEXTS)
            ],
        )

    def test_1_absence_null_and_empty_stay_apart(self, tmp_path: Path) -> None:
        """An absent member, a null one and an empty one are three things; nothing is filled in or dropped."""
        members: tuple[dict[str, Any], ...] = (
            {},
            {"context": {}},
            {"context": {"tags": []}},
            {"context": {"tags": None, "agent": None}},
            {"context": {"agent": ""}},
            {"version": "1.0"},
            {"data": {"a": None}},
            {"data": {"a": {}}},
            {"data": {"a": []}},
            {"data": {"": None}},
        )
        records = [stored(f"m{at}", MIDNIGHT + at, **given) for at, given in enumerate(members)]
        records[0]["_meta"]["actor"] = "somebody"
        records[1]["_meta"]["actor"] = None
        self._returns(tmp_path / "store", records)

    def test_1_unknown_envelope_members_stay(self, tmp_path: Path) -> None:
        """Members that the envelope does not know are kept, whatever their name."""
        names = (
            "source",
            "id",
            "seq",
            "instant",
            "revision",
            "kind",
            "tags",
            "rowid",
            "_id",
            "",
            "a.b",
            "'",
            "\0",
        )
        records = [{**stored(f"u{at}", MIDNIGHT + at), name: {name: at}} for at, name in enumerate(names)]
        records.append({**stored("all", MIDNIGHT), **dict.fromkeys(names)})
        self._returns(tmp_path / "store", records)

    def test_1_timestamps_keep_their_text(self, tmp_path: Path) -> None:
        """Zone, digits of the fraction and spelling of a timestamp stay; `_meta` alone says the instant."""
        texts = [spelling(MIDNIGHT, *how) for how in SPELLINGS]
        texts += [
            "2025-11-29",
            "2025-11-29 00:00",
            "2025-11-29T00:00:00.000000999Z",
            "2025-11-28T15:00-09:00",
        ]
        records = [stored(f"s{at}", MIDNIGHT, timestamp=text) for at, text in enumerate(texts)]
        self._returns(tmp_path / "store", records)

    def test_1_ids_and_kinds_are_any_text(self, tmp_path: Path) -> None:
        """Ids that share a beginning, differ in case or normal form, or look like paths are different ids."""
        ids = (
            *IDS,
            "..",
            ".",
            "a/b",
            "/etc",
            "C:\\x",
            "con",
            "-",
            " ",
            "x" * 255,
            "\U0001f600" * 63,
            "0",
            "00",
        )
        records = [stored(identity, MIDNIGHT) for identity in ids]
        kinds = (
            "Own",
            "own",
            "x" * 64,
            "own.kind-1_2",
            "a/../../b",
            "..",
            "nul\0",
            "\u00e4",
            "task",
            "tool_use",
        )
        records += [stored(f"k{at}", MIDNIGHT, pattern_type=kind) for at, kind in enumerate(kinds)]
        self._returns(tmp_path / "store", records)

    def test_1_deep_nesting_and_many_members(self, tmp_path: Path) -> None:
        """A payload nested 100 levels deep and one with 5,000 members come back."""
        deep: Any = 0
        for level in range(NESTING - 2):  # the record and its data are two levels
            deep = [deep] if level % 2 else {"x": deep}
        wide = {f"member {at}": at for at in range(5_000)}
        records = [stored("deep", MIDNIGHT, data={"x": deep}), stored("wide", MIDNIGHT, data=wide)]
        self._returns(tmp_path / "store", records)

    def test_1_every_instant_of_the_calendar(self, tmp_path: Path) -> None:
        """Instants from the year 1 to 9999, to the microsecond, before 1970 too."""
        moments = (*MOMENTS, FIRST + 1, FIRST + DAY, LAST - DAY, -DAY, -DAY - 1, 0, 1, DAY - 1, DAY)
        self._returns(tmp_path / "store", [stored(f"i{at}", moment) for at, moment in enumerate(moments)])

    def test_1_what_the_caller_holds_is_a_copy(self, tmp_path: Path) -> None:
        """Changing a record after writing it, or one that was read, at any depth, changes nothing stored."""
        given = stored("a", MIDNIGHT, data={"deep": {"list": [1]}}, context={"tags": ["a"]})
        wanted = copy.deepcopy(given)
        with self.store(tmp_path / "store") as store:
            store.write(Batch([given]))
            ways: dict[str, Callable[[], list[Record]]] = {
                "write was given": lambda: [given],
                "scan gave": lambda: heads(store),
                "get gave": lambda: [found for found in [store.get("a")] if found],
                "history gave": lambda: store.history("a"),
            }
            for way, held in ways.items():
                for record in held():
                    _spoil(record)
                agree(heads(store), [wanted], f"after changing what {way}")


def _spoil(record: Record) -> None:
    """Change a record at every depth."""
    record["data"]["deep"]["list"].append("changed")
    record["data"]["deep"]["new"] = "changed"
    record["context"]["tags"].clear()
    record["_meta"]["instant"] += 1
    record["new"] = "changed"
