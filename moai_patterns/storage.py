"""`PatternStorage`: validate, stamp, write one batch; ask one query; the same on every backend."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from types import TracebackType
from typing import Any, Literal, Self

from moai_patterns import backup, exchange, lifecycle, spool
from moai_patterns.arguments import must_be, must_be_days, must_be_seconds, must_be_text
from moai_patterns.asking import Questions
from moai_patterns.backends.base import Backend, Batch, Problem, Repair
from moai_patterns.backends.opening import open_backend
from moai_patterns.errors import PatternError, QueryError, StoreError, ValidationError
from moai_patterns.exchange import Format, Imported, Known
from moai_patterns.instant import DAY, isoformat
from moai_patterns.lifecycle import Outcome, Plan, Policy
from moai_patterns.location import KEY, SPOOL, absolute, beside, parse_store
from moai_patterns.maintenance import Upkeep
from moai_patterns.query import Query, Record, content
from moai_patterns.saving import Saved, Saver, retried
from moai_patterns.schema import admit
from moai_patterns.session import Session, captured
from moai_patterns.values import shortened

Durability = Literal["os", "group", "record"]
BATCH = 1000
_WITH_SPOOL = ("filesystem", "sqlite")
_LOOK_EVERY = 60.0  # seconds between looks for what waits elsewhere than in the spool beside the store
_LOG = logging.getLogger("moai_patterns")


class _Omitted(int):
    """A number of days that nobody asked for: shown in `.config`, but no policy by itself."""


_RETENTION = _Omitted(90)


@dataclass(frozen=True, slots=True)
class StorageConfig:
    """How a storage was opened."""

    backend: str
    base_path: str
    compression_threshold_days: int = 30
    retention_days: int = 90
    index_enabled: bool = True


class PatternStorage(Questions):
    """A store of validated records on one backend.

    Parameters:
        backend: `filesystem`, `sqlite`, `memory`, the name of an entry point in
            `moai_patterns.backends`, or a backend object.
        base_path: the root of the tree, or the database, to which `.db` is appended unless it is
            there. Ignored by `memory`. Default `.moai/patterns`.
        compression_threshold_days: closed UTC days older than this are compacted. Default 30.
        retention_days: the default of `delete_old_patterns`. Given explicitly it is also what
            `maintain` expires by; omitted it is 90 and nothing expires by itself.
        durability: what `save` waits for: `os` (survives any kill of the process), `group` (one
            flush to the disk per batch), `record` (each acknowledged save survives a power cut).
        timeout: seconds to wait for other writers before `BusyError`. Default 30.
        actor: who saves, kept with each revision.
        clock: returns nanoseconds since 1970-01-01 UTC. Default `time.time_ns`.
        maintenance_interval: seconds after which a storage that is still open runs `maintain` in the
            background, at most once per interval over all processes; None for never. Default 3600.

    Raises `ValueError` for an unknown backend or durability and for days that are no number, and
    `StoreError` for a path that is no store. Safe to use from several threads and after a fork.

    >>> with PatternStorage("memory") as storage:
    ...     identity = storage.capture("error_occurrence", {"error_type": "E501", "error_message": "long"})
    ...     storage.load(identity)["data"]["error_type"]
    'E501'
    """

    def __init__(
        self,
        backend: str | Backend = "filesystem",
        base_path: str | os.PathLike[str] = ".moai/patterns",
        compression_threshold_days: int = 30,
        retention_days: int = _RETENTION,
        *,
        durability: Durability = "os",
        timeout: float = 30.0,
        actor: str | None = None,
        clock: Callable[[], int] = time.time_ns,
        maintenance_interval: float | None = 3600.0,
    ) -> None:
        if durability not in ("os", "group", "record"):
            raise ValueError(f"durability is os, group or record, not {shortened(durability)}")
        must_be_days("compression_threshold_days", compression_threshold_days)
        must_be_days("retention_days", retention_days)
        must_be_seconds("timeout", timeout)
        must_be_text("actor", actor)
        retained = None if isinstance(retention_days, _Omitted) else retention_days
        self._policy = Policy(compression_threshold_days, retained)
        name = backend if isinstance(backend, str) else type(backend).__name__
        named = isinstance(backend, str) and backend != "memory"
        path = absolute(name, base_path) if named else ""
        shown = os.fspath(base_path) if isinstance(base_path, str | os.PathLike) else ""
        self.config = StorageConfig(name, shown, compression_threshold_days, int(retention_days))
        self._clock = clock
        self._timeout = timeout
        self._backend = open_backend(backend, path, durability=durability, timeout=timeout)
        self._saver = Saver(self._backend, clock=clock, actor=actor, timeout=timeout)
        self._place = (name, path) if name in _WITH_SPOOL else None
        self._spool = None if self._place is None else beside(self._place, SPOOL)
        upkeep_place = None if self._place is None else beside(self._place, ".maintenance")
        self._upkeep = Upkeep(
            self._backend, self._policy, clock=clock, place=upkeep_place, interval=maintenance_interval
        )
        self._drain()

    @property
    def backend(self) -> Backend:
        """The backend underneath."""
        return self._backend

    # Writing

    def save(self, pattern: Mapping[str, Any]) -> Literal[True]:
        """Validate a record and store it; a known id with other content becomes its next revision.

        Raises `ValidationError` with every violation, and then nothing was written; `StoreError`
        when the medium refuses.
        """
        self._save([admit(pattern)], "save")
        return True

    def capture(self, kind: str, data: Mapping[str, Any], context: Mapping[str, Any] | None = None) -> str:
        """Store `data` as a new record of `kind`, stamped with the time and a time-ordered UUID.

        Returns the id. Raises like `save`.
        """
        record = captured(kind, data, context, self._clock() // 1000)
        self._save([record], "save", fresh=True)
        return str(record["pattern_id"])

    def save_batch(self, patterns: Iterable[Mapping[str, Any]], *, operation: str = "save") -> Saved:
        """Store records as one batch, all or nothing, and return what became of them.

        Raises `ValidationError` that names the position of the first refused record.
        """
        admitted = _admit_all(patterns, 0, "nothing is stored")
        return self._save(admitted, operation) if admitted else Saved()

    def save_many(self, patterns: Iterable[Mapping[str, Any]], *, batch_size: int = BATCH) -> int:
        """Store a stream of records in batches, each all or nothing, and return how many there were.

        Holds one batch (default 1,000 records) in memory. A refused record raises `ValidationError`
        that names its position in the stream and says what is stored: every batch before its own.
        """
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size < 1:
            raise ValueError(f"batch_size is a whole number of at least 1, not {shortened(batch_size)}")
        stream = iter(patterns)
        stored = 0
        while batch := _next_batch(stream, batch_size, stored):
            outcome = f"the first {stored} records of the stream are stored, the others are not"
            admitted = _admit_all(batch, stored, outcome)
            try:
                self._save(admitted, "save")
            except PatternError as error:
                error.add_note(f"in the batch from record {stored} on; {outcome}")
                raise
            stored += len(batch)
        return stored

    def session(self) -> Session:
        """Return a context manager for many saves by one writer, cheaper each than `save`."""
        return Session(self._saver, self._backend.single_writer(), self._clock)

    def delete(self, which: str | Query) -> int:
        """Remove a record by id, or all that answer a query, with their history; return how many."""
        query = Query(ids=(which,)) if isinstance(which, str) else which
        must_be("what to delete", query, Query)
        if query.revisions != "heads":
            raise QueryError("a record goes with all its revisions; ask for heads")
        return retried(lambda: self._backend.delete(query), self._timeout)

    def _save(self, records: list[Record], operation: str, *, fresh: bool = False) -> Saved:
        saved = self._saver.save(records, operation, fresh=fresh)
        if self._spool is not None and (os.access(self._spool, os.F_OK) or time.monotonic() > self._look):
            self._drain()
        self._upkeep.after_save()
        return saved

    def _drain(self) -> None:
        """Take in what captures could not store; a fault leaves it where it waits."""
        if self._place is None:
            return
        self._look = time.monotonic() + _LOOK_EVERY
        try:
            spool.drain(self._place, self._take_in)
        except Exception as fault:  # noqa: BLE001  whatever it is, the save before it is acknowledged
            _LOG.warning("the spool of %s could not be drained: %s", self.config.base_path, fault)

    def _take_in(self, records: list[Record]) -> None:
        for record in records:
            admit(content(record))
        self._backend.write(Batch(records))

    # Keeping

    def stats(self) -> dict[str, Any]:
        """Return counts per kind and day, bytes, oldest and newest timestamp, spool and versions."""
        days = self._backend.days()
        kinds: dict[str, int] = {}
        for counts in days.values():
            for kind, number in counts.items():
                kinds[kind] = kinds.get(kind, 0) + number
        oldest = next(self._backend.scan(Query(limit=1, order="oldest")), None)
        newest = next(self._backend.scan(Query(limit=1)), None)
        return {
            "count": sum(kinds.values()),
            "kinds": dict(sorted(kinds.items())),
            "days": {isoformat(day * DAY)[:10]: counts for day, counts in sorted(days.items())},
            "bytes": {"hot": 0, "cold": 0, **self._backend.sizes()},
            "oldest": oldest and oldest["timestamp"],
            "newest": newest and newest["timestamp"],
            "spool": spool.status(self._place) if self._place else {},
            "versions": self._backend.facts(),
        }

    def delete_old_patterns(self, retention_days: int | None = None) -> int:
        """Remove every record before the UTC midnight `retention_days` days ago; return how many.

        The default is `config.retention_days`. Raises `RetentionError` when the clock is behind the
        newest record.
        """
        days = self.config.retention_days if retention_days is None else retention_days
        must_be_days("retention_days", days)
        return self.apply(self.plan(policy=Policy(None, days))).expired

    def compress_old_files(self) -> int:
        """Compact the closed days beyond the threshold; return how many records were moved.

        0 on backends without files. A compaction that runs already is waited for.
        """
        return self.apply(self.plan(policy=Policy(self._policy.compress_after_days))).compacted

    def plan(self, now: int | None = None, *, policy: Policy | None = None) -> Plan:
        """Return what would be compacted and expired at `now` (UTC microseconds; default the clock)."""
        if policy is not None:
            must_be("policy", policy, Policy)
        if now is not None:
            must_be("now", now, int)
        return lifecycle.plan(self._backend, policy or self._policy, now, clock=self._now)

    def apply(
        self,
        plan: Plan,
        *,
        archive: PatternStorage | None = None,
        on_day: Callable[[int], None] = lambda day: None,
    ) -> Outcome:
        """Do what a plan says; what expires is first copied to `archive`, compared and flushed there.

        Raises `RetentionError` when the archive is this store, or when more would go than was planned.
        """
        must_be("plan", plan, Plan)
        if archive is not None:
            must_be("archive", archive, PatternStorage)
        target = None if archive is None else archive._backend
        return lifecycle.apply(self._backend, plan, archive=target, on_day=on_day, clock=self._now)

    def _now(self) -> int:
        return self._clock() // 1000

    def maintain(self) -> Outcome | None:
        """Plan and apply this storage's policy; None when another process is at it."""
        return self._upkeep.run()

    def copy_to(
        self,
        other: PatternStorage,
        query: Query | None = None,
        *,
        on_batch: Callable[[int], None] = lambda records: None,
        on_refused: Callable[[Problem], None] | None = None,
    ) -> int:
        """Copy records with their history into another storage; return how many were new to it.

        Can be repeated after an interruption. An id that is there with other content gets further
        revisions. The key of redacted secrets comes along where the other has none, so that importing the
        same file there finds the same ids. `on_batch` hears how many records each step has read. Out of
        a store in the plain layout `on_refused` hears of what is damaged or no valid record, and the rest
        is copied; without it the first such raises `DamageError`.
        """
        must_be("other", other, PatternStorage)
        if query is not None:
            must_be("query", query, Query)
        if self._place is not None and other._place is not None:
            backup.copy_key(beside(self._place, KEY), beside(other._place, KEY))
        return backup.copy(self._backend, other._backend, query, on_batch, on_refused, timeout=self._timeout)

    def import_from(
        self,
        path: str | os.PathLike[str],
        *,
        form: Format | None = None,
        known: Known = "overwrite",
        on_batch: Callable[[int], None] = lambda records: None,
    ) -> Imported:
        """Store the records of a file that `export_to` has written whole, and return what became of them.

        Parameters:
            path: the file.
            form: `jsonl`, `csv` or `parquet`. Default: by the ending of the file.
            known: what becomes of a record whose id is known: `overwrite` makes it the next revision, `merge`
                the stored one with all members that it has, `skip` leaves the stored one.
            on_batch: hears how many records each step has read.

        In batches of 1,000, each all or nothing; can be repeated. Raises `ValidationError` with the place of
        the first refused record, and then every batch before its own is stored; `QueryError` for another
        form, `StoreError` for a file that cannot be read.
        """
        if known not in ("overwrite", "merge", "skip"):
            raise QueryError(f"known is overwrite, merge or skip, not {shortened(known)}")
        name = os.fspath(path)
        total = Imported()
        chosen = exchange.format_of(name, form)
        try:
            file = open(name, "rb")  # noqa: SIM115  only what opening raises is about the file
        except OSError as error:
            raise StoreError(error.errno, f"cannot be read: {error.strerror}", name) from error
        with file, closing(exchange.read(file, chosen, name)) as stream:
            while batch := list(islice(stream, BATCH)):
                total = total.plus(self._import(batch, known))
                on_batch(len(batch))
        return total

    def _import(self, batch: Sequence[tuple[str, Record]], known: Known) -> Imported:
        stored: dict[str, Record] = {}
        if known != "overwrite":
            ids = {record["pattern_id"] for _, record in batch if isinstance(record.get("pattern_id"), str)}
            stored = {one["pattern_id"]: one for one in self.get_many(ids) if one is not None}
        taken = []
        for place, record in exchange.resolved(batch, stored, known):
            try:
                taken.append(admit(record))
            except ValidationError as error:
                raise ValidationError(f"{place}: {error}", error.violations) from None
        saved = self._save(taken, "import") if taken else Saved()
        return Imported(*saved, skipped=len(batch) - len(taken))

    def check(self, *, read_data: bool = False) -> list[Problem]:
        """Look for damage without changing anything; empty when all is well.

        `read_data` reads every stored byte, otherwise sizes, counts and indexes are compared.
        """
        return self._backend.check(read_data=read_data)

    def repair(self, *, dry_run: bool = False) -> list[Repair]:
        """Mend what `check` finds; return what was done, or with `dry_run` what would be done.

        What is whole goes on as it is. A damaged original is never deleted but moved to a quarantine beside
        the data, where `check` names it until somebody removes it. Where the newest revision of a record is
        lost, the one before it is its head again. May be interrupted at any time and run again; a second
        repair does nothing. Raises `BusyError` when others keep the store for longer than `timeout`, and
        `ReadOnlyError`.
        """
        return self._backend.repair(dry_run=dry_run)

    def close(self) -> None:
        """Release files, locks and connections; a second call does nothing."""
        self._upkeep.close()
        self._backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_store(store: str, **options: Any) -> PatternStorage:
    """Return the storage that `file:PATH`, `sqlite:PATH` or `memory:` names.

    `options` are the keyword parameters of `PatternStorage`. Raises `StoreError` for another form.

    >>> open_store("memory:").config.backend
    'memory'
    """
    backend, base_path = parse_store(store)
    return PatternStorage(backend, base_path, **options)


def _next_batch(stream: Iterator[Mapping[str, Any]], size: int, stored: int) -> list[Mapping[str, Any]]:
    """Return the next records; a fault of the stream says in a note how far it came."""
    batch: list[Mapping[str, Any]] = []
    try:
        batch.extend(islice(stream, size))
    except Exception as error:
        read = stored + len(batch)
        error.add_note(f"the stream broke off at record {read}; the first {stored} records are stored")
        raise
    return batch


def _admit_all(patterns: Iterable[Mapping[str, Any]], first: int, outcome: str) -> list[Record]:
    """Validate records; the refusal of one names its position and what is stored."""
    admitted = []
    for position, pattern in enumerate(patterns, start=first):
        try:
            admitted.append(admit(pattern))
        except ValidationError as error:
            raise ValidationError(f"record {position}: {error}; {outcome}", error.violations) from None
    return admitted
