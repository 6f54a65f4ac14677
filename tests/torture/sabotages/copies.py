"""Copies between stores, and imports: what is left out, doubled, or believed without a look."""

from __future__ import annotations

from torture.sabotages.sabotage import Sabotage

SABOTAGES = (
    Sabotage(
        name="a copy without its history",
        breaks="superseded revisions are not copied",
        file="backup.py",
        old="""\
        whole[head["pattern_id"]] = [*(old for old in before if old["_meta"]["revision"] < last), \
head]""",
        new="""\
        whole[head["pattern_id"]] = [*(old for old in before if old["_meta"]["revision"] > last), \
head]""",
        test="tests/test_backup.py::test_a_revision_that_comes_during_a_copy_does_not_break_it",
    ),
    Sabotage(
        name="a comparison of heads alone",
        breaks="a copy that lacks superseded revisions is found good",
        file="backup.py",
        old="""\
        if position == len(known):
            return revisions[number:]
        position += 1
    return""",
        new="""\
        if position == len(known):
            break
        position += 1
    return""",
        test="tests/test_backup.py::test_a_revision_that_comes_during_a_copy_does_not_break_it",
    ),
    Sabotage(
        name="a comparison of what is there",
        breaks="a record that is missing in the copy is not noticed",
        file="backup.py",
        old="""\
            known = there.get(identity, [])
            if lacking""",
        new="""\
            known = there.get(identity, revisions)
            if lacking""",
        test="tests/test_lifecycle.py::test_a_bad_archive_removes_nothing[memory-missing]",
    ),
    Sabotage(
        name="a comparison of numbers",
        breaks="a copy with other content and as many revisions is found good",
        file="backup.py",
        old="            if lacking := _lacking(revisions, known):",
        new="            if (lacking := _lacking(revisions, known)) and len(known) < len(revisions):",
        test="tests/test_backup.py::test_a_copy_with_other_content_is_named[change0]",
    ),
    Sabotage(
        name="the copy's own revision stays the head",
        breaks="of an id that the target knows otherwise the source's head does not become the head",
        file="backup.py",
        old="    return [] if same(content(known[-1]), content(revisions[-1])) else revisions[-1:]",
        new="    return []",
        test="tests/test_backup.py::test_revisions_that_the_target_lacks_follow_its_own[memory]",
    ),
    Sabotage(
        name="a copy counts revisions from one",
        breaks="a copy into a store that knows the id is refused for ever",
        file="backup.py",
        old='        first = known[-1]["_meta"]["revision"] + 1 if known else 1',
        new='        first = known[-1]["_meta"]["revision"] if known else 1',
        test="tests/test_backup.py::test_what_the_target_knows_otherwise_gets_a_further_revision",
    ),
    Sabotage(
        name="a copy stamps anew",
        breaks="the facts about a record, when it came and from whom, do not come with a copy",
        file="backup.py",
        old='    meta = {key: value for key, value in record["_meta"].items() if key != "seq"}',
        new="""\
    meta = {key: value for key, value in record["_meta"].items() if key in ("instant", \
"recorded_at", "operation")}""",
        test="tests/test_backup.py::test_a_copy_has_all_revisions_and_facts[memory-memory]",
    ),
    Sabotage(
        name="the last batch is left out",
        breaks="a copy leaves out what does not fill a batch",
        file="backup.py",
        old="""\
    while batch := list(islice(remaining, BATCH)):
        yield batch""",
        new="""\
    while batch := list(islice(remaining, BATCH)):
        yield batch
        if len(batch) < BATCH - 1:
            break
        next(remaining, None)""",
        test="tests/test_backup.py::test_a_copy_that_broke_off_is_completed_by_the_next",
    ),
    Sabotage(
        name="the target's key is replaced",
        breaks="what is redacted in the target later has other placeholders than before",
        file="backup.py",
        old="""\
        if os.path.lexists(target) or not os.path.lexists(source):
            return
        key = fileops.read(source)
        fileops.make_dirs(os.path.dirname(target))
""",
        new="""\
        if not os.path.lexists(source):
            return
        key = fileops.read(source)
        fileops.make_dirs(os.path.dirname(target))
        fileops.remove(target)
""",
        test="tests/test_backup.py::test_the_key_of_redacted_secrets_comes_along[filesystem]",
    ),
    Sabotage(
        name="equal payloads become one",
        breaks="of two equal payloads in a log only one is imported",
        file="collect/importing.py",
        old='        identity = derived_id("payload", content, recording.number(content))',
        new='        identity = derived_id("payload", content)',
        test="tests/test_import.py::test_equal_payloads_are_counted_one_by_one",
    ),
    Sabotage(
        name="ids by position",
        breaks="an import of a file that grew or moved doubles what was there",
        file="collect/importing.py",
        old='        identity = derived_id("payload", content, recording.number(content))',
        new='        identity = derived_id("payload", content, entry.offset, recording.path)',
        test="tests/test_import.py::test_payloads_are_told_by_content_in_any_form[array]",
    ),
    Sabotage(
        name="an assumed time is assumed anew",
        breaks="importing the same file again moves its records in time",
        file="collect/intake.py",
        old='    return {**record, "timestamp": stored["timestamp"], "context": context}',
        new='    return {**record, "context": context}',
        test="tests/test_import.py::test_payloads_take_the_time_of_their_session",
    ),
    Sabotage(
        name="fewer lines win",
        breaks="an older copy of a transcript replaces what a newer one told",
        file="collect/intake.py",
        old="""\
    if known.get("lines", 0) > told.get("lines", 0):
        return stored""",
        new="""\
    if known.get("lines", 0) > told.get("lines", 0):
        return record""",
        test="tests/test_import.py::test_a_transcript_that_grew_comes_to_the_same_records[9]",
    ),
    Sabotage(
        name="what was filled in is emptied",
        breaks="importing a payload again takes away what a transcript had told",
        file="collect/intake.py",
        old="""\
    if "filled" in known:  # a transcript has told since what this payload had left open
        return stored
""",
        new="",
        test="""\
tests/test_import.py::test_what_a_transcript_filled_in_stays_when_the_payload_is_read_again""",
    ),
    Sabotage(
        name="a damaged line ends the file",
        breaks="what comes behind a torn line of a transcript is not imported",
        file="collect/importing.py",
        old="""\
                    self._summary.skip(recording.path, line, found.reason)
                    continue""",
        new="""\
                    self._summary.skip(recording.path, line, found.reason)
                    break""",
        test="tests/test_import.py::test_damaged_lines_are_named_and_the_rest_goes_in",
    ),
    Sabotage(
        name="the last batch of an import is not written",
        breaks="an import reports records that it has not stored",
        file="collect/importing.py",
        old="""\
        self._intake.flush()
        self._summary.filled""",
        new="        self._summary.filled",
        test="tests/test_import.py::test_equal_payloads_are_counted_one_by_one",
    ),
)
