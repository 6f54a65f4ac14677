"""Records that go in although they are none, or are refused although they are."""

from __future__ import annotations

from torture.sabotages.sabotage import Sabotage

SABOTAGES = (
    Sabotage(
        name="NaN goes in",
        breaks="a number that JSON does not have is stored, and comes back as null",
        file="validation/sound.py",
        old="            if value - value != 0:",
        new="            if value != value:",
        test="""\
tests/test_schema_errors.py::test_bad_input_is_refused_with_place_and_rule[infinity in the metadata]""",
    ),
    Sabotage(
        name="integers beyond 64 bits go in",
        breaks="an integer that SQLite cannot hold is accepted",
        file="validation/sound.py",
        old="            if not -9223372036854775808 <= value <= 9223372036854775807:",
        new="            if not -9223372036854775808 <= value <= 18446744073709551615:",
        test="tests/test_schema_errors.py::test_bad_input_is_refused_with_place_and_rule[65 bits]",
    ),
    Sabotage(
        name="lone surrogates in keys go in",
        breaks="a key that UTF-8 cannot write is accepted, and the write fails",
        file="validation/sound.py",
        old="""\
            if not (key.isascii() or encodable(key)):
                return 0""",
        new="""\
            if not key:
                continue""",
        test="""\
tests/test_bad_input_records.py::test_a_bad_record_is_refused_by_every_door[memory-a lone surrogate \
in a key]""",
    ),
    Sabotage(
        name="nesting without an end",
        breaks="a record that nests deeper than every reader can follow is accepted",
        file="validation/verdict.py",
        old='        faithful = copy == value and written.count(b"{") + written.count(b"[") <= 100',
        new="        faithful = copy == value",
        test="tests/test_schema_errors.py::test_bad_input_is_refused_with_place_and_rule[101 levels]",
    ),
    Sabotage(
        name="tuples and other values pass for JSON",
        breaks="a value that JSON writes as something else is accepted and comes back changed",
        file="validation/verdict.py",
        old="        faithful = copy == value and",
        new="        faithful =",
        test="tests/test_verdict_engines.py::test_the_walks_agree_on_what_json_can_hold[133]",
    ),
    Sabotage(
        name="the caller's record is stored",
        breaks="what the caller changes afterwards changes what is stored",
        file="validation/verdict.py",
        old="""\
    if faithful:
        return copy
""",
        new="""\
    if faithful:
        return value
""",
        test="tests/test_storage.py::test_the_caller_keeps_its_record[memory]",
    ),
    Sabotage(
        name="unknown kinds go in",
        breaks="a record of a kind that nobody has registered is accepted",
        file="validation/verdict.py",
        old='        return find(record["pattern_type"], record.get("version", FIRST))',
        new="""\
        return find(record["pattern_type"], record.get("version", FIRST)) or find("hook_event")""",
        test="""\
tests/test_schema_errors.py::test_bad_input_is_refused_with_place_and_rule[an unknown kind]""",
    ),
    Sabotage(
        name="the version is ignored",
        breaks="a record that states a later version is measured by the first",
        file="validation/verdict.py",
        old='        return find(record["pattern_type"], record.get("version", FIRST))',
        new='        return find(record["pattern_type"], FIRST)',
        test="tests/test_schema_register.py::test_versions_stand_side_by_side",
    ),
    Sabotage(
        name="a refused batch is stored in part",
        breaks="records before a refused one are stored although the batch is refused",
        file="storage.py",
        old="""\
        admitted = _admit_all(patterns, 0, "nothing is stored")
        return self._save(admitted, operation) if admitted else Saved()""",
        new="""\
        saved = Saved()
        for position, pattern in enumerate(patterns):
            one = self._save(_admit_all([pattern], position, "nothing is stored"), operation)
            saved = Saved(*map(sum, zip(saved, one, strict=True)))
        return saved""",
        test="tests/test_storage.py::test_a_batch_is_all_or_nothing[memory]",
    ),
    Sabotage(
        name="what waited is not validated by the storage",
        breaks="a spool that somebody has changed brings in what is no record",
        file="storage.py",
        old="""\
        for record in records:
            admit(content(record))
        self._backend.write(Batch(records))""",
        new="        self._backend.write(Batch(records))",
        test="tests/test_saving.py::test_what_waits_is_validated",
    ),
    Sabotage(
        name="what waited is not validated by a hook",
        breaks="a spool that somebody has changed brings in what is no record",
        file="collect/hook.py",
        old='        if not valid({key: value for key, value in record.items() if key != "_meta"}):',
        new="        if not record or not valid:",
        test="tests/test_spool_refusals.py::test_a_capture_takes_in_nothing_invalid",
    ),
    Sabotage(
        name="a session does not validate",
        breaks="a session stores what a save refuses",
        file="session.py",
        old='        self._saver.save([admit(pattern)], "save", into=self._writer)',
        new='        self._saver.save([dict(pattern)], "save", into=self._writer)',
        test="tests/test_storage.py::test_a_session_saves_like_the_storage[memory]",
    ),
    Sabotage(
        name="ids that are paths go in to a hook",
        breaks="the check of the capture process lets an id with a backslash through",
        file="validation/compiled.py",
        old='    if "/" in text or "\\\\" in text or ".." in text:',
        new='    if "/" in text or ".." in text:',
        test="tests/test_verdict_teeth.py::test_the_generated_source_is_what_is_imported",
    ),
    Sabotage(
        name="the capture process takes true for a number",
        breaks="a hook stores a boolean where a number is asked for",
        file="validation/compiled.py",
        old="""\
    return type(item) is int


def _path_like""",
        new="""\
    return isinstance(item, int)


def _path_like""",
        test="tests/test_verdict_teeth.py::test_the_generated_source_is_what_is_imported",
    ),
)
