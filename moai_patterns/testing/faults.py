"""Clause 9: damage is reported with its place, and no foreign exception gets out."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

from moai_patterns.backends.base import BackendBase, Batch, Derived
from moai_patterns.errors import PatternError
from moai_patterns.query import Query, Record
from moai_patterns.testing.answers import dense
from moai_patterns.testing.clauses import Clauses, persists
from moai_patterns.testing.compare import content, equal, heads, must, refuses
from moai_patterns.testing.pools import MIDNIGHT, stored

T = TypeVar("T")


class Reporting(Clauses):
    """Clause 9."""

    @persists
    def test_9_damage_is_reported_with_its_place(self, tmp_path: Path) -> None:
        """After each wound check names the place; a read gives the right records or an error that does."""
        home, pristine = tmp_path / "home", tmp_path / "pristine"
        home.mkdir()
        everything, current = self._filled(home / "store")
        shutil.copytree(home, pristine)  # with what a backend may lay beside its path
        wounds = 0
        for place in self.damage(home / "store"):
            wounds += 1
            self._wounded(home / "store", place, everything, current)
            shutil.rmtree(home)
            shutil.copytree(pristine, home)
        must(wounds > 0, "damage(path) yielded no wound")
        with self.store(home / "store") as store:
            equal(content(store), everything, "the store that was put back")

    def _filled(self, path: Path) -> tuple[list[Record], list[Record]]:
        """Fill a store, half of it compacted, and return all its revisions and its heads."""
        with self.store(path) as store:
            for batch in dense(90, 20):
                store.write(batch)
            store.compact(sorted(store.days())[::2])
            store.write(Batch([stored(f"hot-{at}", MIDNIGHT + at) for at in range(4)]))
            return content(store), heads(store)

    def _wounded(self, path: Path, place: str, everything: list[Record], current: list[Record]) -> None:
        """Open, check, read, compact and read again; each step is right or refuses by the damage's name."""
        try:
            store = self._opened(path)
        except PatternError as error:
            must(_names(str(error), place or None), f"{place}: opening refuses and names only: {error}")
            return
        try:
            found = _findings(store)
            must(
                any(place in finding for finding in found) or not place, f"{place}: check names only {found}"
            )
            _right_or_refused(store, everything, current, place or None, f"{place}, before a compaction")
            _attempt(lambda: store.compact(sorted(store.days())))
            _right_or_refused(
                store, everything, current, "" if place else None, f"{place}, after a compaction"
            )
        finally:
            store.close()

    def _opened(self, path: Path) -> BackendBase:
        opened = self.open(path)
        return opened if isinstance(opened, BackendBase) else Derived(opened)

    def test_9_a_closed_store_refuses(self, tmp_path: Path) -> None:
        """After close every verb raises an error of this package, and a second close does nothing."""
        store = self._opened(tmp_path / "store")
        store.write(Batch([stored(f"r{at}", MIDNIGHT + at) for at in range(300)]))
        begun = store.scan(Query(limit=None))
        first = next(begun)
        store.close()
        store.close()
        refuses(PatternError, "write to a closed store", store.write, Batch([stored("late", MIDNIGHT)]))
        refuses(PatternError, "scan of a closed store", lambda: list(store.scan(Query())))
        refuses(PatternError, "get from a closed store", store.get, "r1")
        rest = _attempt(lambda: list(begun))
        if rest is not None:
            equal(
                [record["pattern_id"] for record in (first, *rest)],
                [f"r{at}" for at in range(299, -1, -1)],
                "a scan that had begun before close and did not refuse",
            )

    @persists
    def test_9_a_path_that_is_no_store(self, tmp_path: Path) -> None:
        """Where something foreign is in the way, only errors of this package get out and it stays."""
        foreign = {"text": b"neither a store nor a database\n" * 100, "line": b"no line end", "empty": b""}
        for name, content_there in foreign.items():
            (tmp_path / name).write_bytes(content_there)
        (tmp_path / "dir").mkdir()
        (tmp_path / "dir" / "stranger.txt").write_bytes(b"here first")
        for name in (*foreign, "text/below", "dir"):
            store = _attempt(partial(self._opened, tmp_path / name))
            if store is not None:
                _attempt(partial(store.write, Batch([stored("one", MIDNIGHT)])))
                _attempt(partial(heads, store))
                store.close()
        for name in ("text", "line"):
            must((tmp_path / name).read_bytes() == foreign[name], f"the foreign file {name!r} was changed")
        must((tmp_path / "dir" / "stranger.txt").read_bytes() == b"here first", "a foreign file was changed")


def _attempt(act: Callable[[], T]) -> T | None:
    """Return what `act` returns, or None when it raises an error of this package; others get out."""
    try:
        return act()
    except PatternError:
        return None


def _findings(store: BackendBase) -> list[str]:
    try:
        return [f"{problem.place}: {problem.sentence}" for problem in store.check(read_data=True)]
    except PatternError as error:
        return [str(error)]


def _right_or_refused(
    store: BackendBase, everything: list[Record], current: list[Record], place: str | None, when: str
) -> None:
    """Every read gives exactly what was stored, or an error that names the place; None allows no error."""
    for query, wanted in (
        (Query(limit=None, order="arrival", revisions="all"), everything),
        (Query(limit=None), current),
    ):
        found, refused = _read(store, query)
        must(refused is None or _names(refused, place), f"{when}: a scan refuses and names only: {refused}")
        right = wanted if refused is None else wanted[: len(found)]
        equal(found, right, f"{when}: scan {query.order} first")
    for record in current:
        try:
            equal(store.get(record["pattern_id"]), record, f"{when}: get({record['pattern_id']!r})")
        except PatternError as error:
            must(_names(str(error), place), f"{when}: get refuses and names only: {error}")


def _names(refusal: str, place: str | None) -> bool:
    return place is not None and place in refusal


def _read(store: BackendBase, query: Query) -> tuple[list[Record], str | None]:
    """Return what a scan yields until its end, or until it refuses, and the refusal."""
    found: list[Record] = []
    try:
        found.extend(store.scan(query))  # keeps what came before an error
    except PatternError as error:
        return found, str(error)
    return found, None
