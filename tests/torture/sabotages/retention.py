"""Records that expire too early, without being asked for, or without a copy."""

from __future__ import annotations

from torture.sabotages.sabotage import Sabotage

SABOTAGES = (
    Sabotage(
        name="a day too many expires",
        breaks="what lies on the very midnight of the cutoff expires",
        file="lifecycle.py",
        old="if day * DAY < limit}",
        new="if day * DAY <= limit}",
        test="tests/test_lifecycle.py::test_the_cutoff_is_exact[memory]",
    ),
    Sabotage(
        name="the cutoff is no midnight",
        breaks="the retention period ends at the time of day at which somebody asks",
        file="lifecycle.py",
        old="    return (now // DAY - days) * DAY",
        new="    return now - days * DAY",
        test="tests/test_lifecycle.py::test_retention_removes_what_lies_before_a_utc_midnight[memory]",
    ),
    Sabotage(
        name="the omitted retention expires",
        breaks="records expire although nobody gave a number of days",
        file="storage.py",
        old="        retained = None if isinstance(retention_days, _Omitted) else retention_days",
        new="        retained = retention_days",
        test="tests/test_lifecycle.py::test_nothing_expires_by_default[memory]",
    ),
    Sabotage(
        name="the clock is believed",
        breaks="a clock that stands before the newest record lets everything expire",
        file="lifecycle.py",
        old='    if newest is not None and newest["_meta"]["instant"] > stands:',
        new='    if newest is not None and newest["_meta"]["recorded_at"] > stands:',
        test="tests/test_lifecycle.py::test_a_clock_behind_the_newest_record_expires_nothing[memory]",
    ),
    Sabotage(
        name="the clock is looked at only when planning",
        breaks="a clock that is wrong when a plan is applied lets records expire",
        file="lifecycle.py",
        old="""\
        raise _beyond(todo, found, 0)
    _refuse_clock_behind(backend, clock)
""",
        new="""\
        raise _beyond(todo, found, 0)
""",
        test="""\
tests/test_lifecycle_limits.py::test_a_clock_that_is_wrong_by_the_time_of_the_removal_stops_it[memory]""",
    ),
    Sabotage(
        name="more goes than was planned",
        breaks="what was captured late into an expiring day goes although the plan did not list it",
        file="lifecycle.py",
        old="    return any(number > planned.get(kind, 0) for kind, number in counts.items())",
        new="    return any(number > planned.get(kind, number) for kind, number in counts.items())",
        test="""\
tests/test_lifecycle_limits.py::test_a_kind_that_was_not_planned_stops_the_removal[memory]""",
    ),
    Sabotage(
        name="counts of whole days are not compared again",
        breaks="what came into a compacted day after it was counted goes with it",
        file="backends/filesystem/maintaining.py",
        old="""\
        return [day for day in days if counts is None or content.heads[day].count == \
counts.get(day)]""",
        new="        return [day for day in days if counts is None or day in counts]",
        test="tests/test_lifecycle_limits.py::test_whole_days_go_only_as_they_were_counted",
    ),
    Sabotage(
        name="an updated record expires",
        breaks="a record that was saved anew while it expired is removed",
        file="lifecycle.py",
        old='        doomed.append(Removal(record["pattern_id"], record["_meta"]["revision"]))',
        new='        doomed.append(Removal(record["pattern_id"]))',
        test="tests/test_lifecycle.py::test_what_comes_before_the_removal_stays[True]",
    ),
    Sabotage(
        name="the store is its own archive",
        breaks="what expires is copied onto itself and then removed",
        file="lifecycle.py",
        old="    if archive is not None and archive.is_same_store(backend):",
        new="    if archive is backend:",
        test="tests/test_lifecycle.py::test_a_store_is_no_archive_of_itself[filesystem]",
    ),
    Sabotage(
        name="an archive is not compared",
        breaks="what expires is removed although its copy has other content",
        file="lifecycle.py",
        old="""\
        verify_copy(backend, archive, question)
""",
        new="",
        test="tests/test_lifecycle.py::test_a_bad_archive_removes_nothing[memory-missing]",
    ),
    Sabotage(
        name="an archive is not flushed",
        breaks="what expires is removed while its copy is in memory alone",
        file="lifecycle.py",
        old="""\
        archive.flush(ids)
""",
        new="",
        test="tests/test_lifecycle.py::test_an_archive_that_cannot_be_flushed_removes_nothing[memory]",
    ),
    Sabotage(
        name="the archive comes after the removal",
        breaks="what expires is removed before it is copied",
        file="lifecycle.py",
        old="""\
    removed = 0
    if archive is None:
        removed = backend.drop_days""",
        new="""\
    removed = 0
    if todo.cutoff is not None:
        removed = backend.drop_days""",
        test="tests/test_lifecycle_limits.py::test_compacted_days_are_in_the_archive_too[memory]",
    ),
    Sabotage(
        name="a failing archive is passed over",
        breaks="what could not be copied is removed all the same",
        file="lifecycle.py",
        old="""\
        copy(backend, archive, question)
        verify_copy(backend, archive, question)
        archive.flush(ids)""",
        new="""\
        try:
            copy(backend, archive, question)
            verify_copy(backend, archive, question)
        except DamageError:
            pass
        archive.flush(ids)""",
        test="tests/test_lifecycle.py::test_a_bad_archive_removes_nothing[memory-missing]",
    ),
    Sabotage(
        name="today is compacted",
        breaks="a day that is not over is compacted while it still fills",
        file="lifecycle.py",
        old="if day * DAY < closed)",
        new="if day * DAY <= closed)",
        test="tests/test_lifecycle_limits.py::test_a_day_that_is_not_over_is_not_compacted",
    ),
    Sabotage(
        name="an empty listing expires everything",
        breaks="a listing that comes back empty is taken for leave to remove",
        file="lifecycle.py",
        old="    if not found or any(",
        new="    if any(",
        test="tests/test_lifecycle.py::test_an_empty_listing_deletes_nothing",
    ),
    Sabotage(
        name="age goes by when it was recorded",
        breaks="""\
an imported record of long ago stays for another period, and a fresh one in the past goes""",
        file="backends/base.py",
        old='            kinds = found.setdefault(record["_meta"]["instant"] // DAY, {})',
        new='            kinds = found.setdefault(record["_meta"]["recorded_at"] // DAY, {})',
        test="tests/test_contract.py::TestMemory::test_8_days_count_heads_by_utc_day_and_kind",
    ),
    Sabotage(
        name="a record of the future stops compaction",
        breaks="what stands in the way of expiring keeps days from being compacted",
        file="maintenance.py",
        old="""\
            self._apply(lifecycle.plan(self._backend, keeping, clock=self._now))
            raise""",
        new="            raise",
        test="tests/test_lifecycle.py::test_a_record_of_the_future_stops_expiring_but_not_compacting",
    ),
)
