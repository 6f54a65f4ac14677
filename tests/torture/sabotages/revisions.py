"""Times, revisions and conflicts: what becomes of a record that is saved again, or somewhere else."""

from __future__ import annotations

from torture.sabotages.sabotage import Sabotage

SABOTAGES = (
    Sabotage(
        name="offsets are added",
        breaks="a time with an offset lies on the wrong side of UTC",
        file="instant.py",
        old='        seconds += east if parts[8] == "-" else -east',
        new='        seconds -= east if parts[8] == "-" else -east',
        test="tests/test_instant.py::test_offsets_are_taken_away",
    ),
    Sabotage(
        name="every fourth year is a leap year",
        breaks="February 29 of 2100 is a date",
        file="instant.py",
        old="    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)",
        new="    leap = year % 4 == 0",
        test="tests/test_instant.py::test_everything_else_is_refused_with_a_reason[1900-02-29]",
    ),
    Sabotage(
        name="a short fraction is microseconds",
        breaks=".25 is read as 25 microseconds",
        file="instant.py",
        old='int(parts[6][:6].ljust(6, "0"))',
        new="int(parts[6][:6])",
        test="tests/test_instant.py::test_a_fraction_is_one_of_a_second[25-250000]",
    ),
    Sabotage(
        name="a fraction is rounded",
        breaks="a time at the very end of a day moves into the next",
        file="instant.py",
        old='    result = seconds * SECOND + int(parts[6][:6].ljust(6, "0"))',
        new='    result = seconds * SECOND + round(float("0." + parts[6]) * SECOND)',
        test="""\
tests/test_instant.py::test_every_written_form_is_read[2025-11-29T10:00:00.1234567899Z-2025-11-29T10:00:00.123456Z]""",
    ),
    Sabotage(
        name="no zone means UTC",
        breaks="a time without a zone is not the local time that it was written in",
        file="instant.py",
        old='    elif parts[7] != "Z":',
        new='    elif parts[7] not in ("Z", "0"):',
        test="tests/test_instant.py::test_a_stamp_without_zone_is_local_time",
    ),
    Sabotage(
        name="days before 1970 round towards it",
        breaks="a record before 1970 lies in the directory of the next day",
        file="instant.py",
        old="    days, rest = divmod(moment, DAY)",
        new="""\
    days = int(moment / DAY)
    rest = moment - days * DAY""",
        test="tests/test_instant.py::test_every_instant_survives_its_text",
    ),
    Sabotage(
        name="leap seconds and hour 24 go in",
        breaks="a time that no clock shows is accepted",
        file="instant.py",
        old="    if hour > 23 or minute > 59 or second > 59:",
        new="    if hour > 24 or minute > 59 or second > 60:",
        test="tests/test_instant.py::test_everything_else_is_refused_with_a_reason[2025-11-29T24:00]",
    ),
    Sabotage(
        name="equal content is a revision",
        breaks="saving the same record again makes another revision",
        file="saving.py",
        old="        elif same(content(head), content(record)):",
        new="        elif content(head) is content(record):",
        test="tests/test_saving.py::test_saving_what_is_there_writes_nothing[memory]",
    ),
    Sabotage(
        name="a boolean in the place of a number is equal",
        breaks="a change from 1 to true is not stored",
        file="saving.py",
        old="        elif same(content(head), content(record)):",
        new="        elif content(head) == content(record):",
        test="tests/test_saving.py::test_a_boolean_in_the_place_of_a_number_is_a_change[memory]",
    ),
    Sabotage(
        name="only data counts as content",
        breaks="a change of the timestamp or the context is not stored",
        file="saving.py",
        old="        elif same(content(head), content(record)):",
        new='        elif same(head["data"], record["data"]):',
        test="tests/test_saving.py::test_any_part_of_a_record_can_change[change0]",
    ),
    Sabotage(
        name="revisions of a batch do not follow each other",
        breaks="two changes of one id in a batch are refused",
        file="saving.py",
        old="""\
        heads[record["pattern_id"]] = record
        add.append(record)""",
        new="        add.append(record)",
        test="tests/test_saving.py::test_revisions_of_one_id_in_a_batch_follow_each_other[memory]",
    ),
    Sabotage(
        name="a conflict is resolved by the heads before",
        breaks="who is overtaken again gives up, or replaces what came in between",
        file="saving.py",
        old="""\
                fresh = False
                heads = self._heads(records)""",
        new="""\
                fresh = False
                heads = heads or self._heads(records)""",
        test="tests/test_saving.py::test_who_is_overtaken_again_and_again_comes_in_behind",
    ),
    Sabotage(
        name="a conflict is success",
        breaks="a save that another process overtook is acknowledged and not stored",
        file="saving.py",
        old="""\
                if heads is not None and time.monotonic() > deadline:
                    raise
                fresh""",
        new="""\
                if heads is not None:
                    return saved
                fresh""",
        test="tests/test_saving.py::test_who_is_overtaken_again_and_again_comes_in_behind",
    ),
    Sabotage(
        name="all ids are fresh",
        breaks="a known id is stored twice",
        file="saving.py",
        old="                    batch = Batch(add, fresh=fresh)",
        new="                    batch = Batch(add, fresh=fresh or not heads)",
        test="tests/test_saving.py::test_saving_what_is_there_writes_nothing[filesystem]",
    ),
    Sabotage(
        name="ids of a millisecond in any order",
        breaks="ids that were made in one millisecond do not sort as they were made",
        file="identifiers.py",
        old="    tick = milliseconds << 12 | (rest << 12) // 1000",
        new="    tick = milliseconds << 12",
        test="tests/test_identifiers.py::test_ids_of_other_threads_sort_by_their_microseconds",
    ),
    Sabotage(
        name="ids step back with the clock",
        breaks="an id that is made after the clock was set back sorts before its predecessor",
        file="identifiers.py",
        old="    if last - _STEP_BACK < tick <= last:",
        new="    if tick == last:",
        test="tests/test_identifiers.py::test_a_thread_never_goes_back[0]",
    ),
    Sabotage(
        name="a batch is checked against the store alone",
        breaks="in memory of what the batch itself does to an id nothing is known",
        file="backends/filesystem/write.py",
        old="""\
            heads[identity] = revision
""",
        new="",
        test="tests/test_contract.py::TestFilesystem::test_2_several_revisions_of_an_id_in_one_batch",
    ),
    Sabotage(
        name="a removal of any revision",
        breaks="a removal of a revision that is no longer the head removes the head",
        file="backends/filesystem/write.py",
        old='            if head is not None and revision in (None, head["_meta"]["revision"]):',
        new="            if head is not None:",
        test="tests/test_contract.py::TestFilesystem::test_2_removing_what_is_not_there_is_no_error",
    ),
)
