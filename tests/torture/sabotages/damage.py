"""Checks that see nothing, and damage that is set aside too early, too late, or for good."""

from __future__ import annotations

from torture.sabotages.sabotage import Sabotage

SABOTAGES = (
    Sabotage(
        name="check reads no hot files",
        breaks="a damaged hot file is no finding",
        file="backends/filesystem/checking.py",
        old="    elif read_data and (sentence := hot_fault(entry.path, day, parsed)):",
        new="    elif read_data and size < 2 and (sentence := hot_fault(entry.path, day, parsed)):",
        test="""\
tests/test_bad_input_stores.py::test_damage_in_a_tree_is_named_and_the_rest_is_read[a hot file-flip]""",
    ),
    Sabotage(
        name="check does not compare names",
        breaks="a hot file under the name of another record is no finding",
        file="backends/filesystem/checking.py",
        old="""\
    if (record["pattern_type"], second, digest(record["pattern_id"])) != parsed or meta["revision"] \
!= 1:""",
        new='    if record["pattern_type"] != parsed[0]:',
        test="tests/test_filesystem_steps.py::test_a_file_under_another_name_is_a_finding",
    ),
    Sabotage(
        name="check keeps silent about journals",
        breaks="a damaged journal is no finding",
        file="backends/filesystem/checking.py",
        old="""\
            if found.damage:
                yield Problem(path, found.damage)""",
        new="""\
            if found.damage and not found.closed:
                yield Problem(path, found.damage)""",
        test="""\
tests/test_bad_input_stores.py::test_damage_in_a_tree_is_named_and_the_rest_is_read[a batch-flip]""",
    ),
    Sabotage(
        name="check misses nothing",
        breaks="a file that was removed by hand is no finding",
        file="backends/filesystem/checking.py",
        old="        if not (removed or moved or is_cold):",
        new="        if removed and not (moved or is_cold):",
        test="tests/test_filesystem_missing.py::test_a_hot_file_removed_by_hand_is_missed",
    ),
    Sabotage(
        name="check does not read segments",
        breaks="a flipped bit in a segment is no finding of a check that reads every byte",
        file="backends/filesystem/checking.py",
        old="            yield from segment.check(read_data=read_data)",
        new="            yield from segment.check(read_data=False)",
        test="""\
tests/test_bad_input_stores.py::test_damage_in_a_tree_is_named_and_the_rest_is_read[a segment-flip]""",
    ),
    Sabotage(
        name="check says nothing of what was set aside",
        breaks="torn files lie in the quarantine and nobody hears of them",
        file="backends/filesystem/checking.py",
        old="""\
        lambda: (Problem(path, _SET_ASIDE) for path in quarantine.held(tree)),
""",
        new="",
        test="""\
tests/test_filesystem_torn.py::test_torn_files_are_set_aside_after_a_start_of_the_machine[0]""",
    ),
    Sabotage(
        name="check of one moment only",
        breaks="a check beside a compaction reports damage that is none",
        file="backends/filesystem/checking.py",
        old="    if found and _state(tree) != before:",
        new="    if found and _state(tree) == before:",
        test="tests/test_filesystem_steps.py::test_a_finding_that_a_compaction_explains_is_none",
    ),
    Sabotage(
        name="SQLite is not asked",
        breaks="a damaged page of a database is no finding",
        file="backends/sqlite/checking.py",
        old='    for (line,) in ask("PRAGMA integrity_check"):',
        new="""\
    for (line,) in ask("PRAGMA schema_version"):
        line = "ok" if line else line""",
        test="tests/test_sqlite_damage.py::test_a_scrambled_index_is_found",
    ),
    Sabotage(
        name="indexes are not compared with rows",
        breaks="an index that lacks a row is no finding, and answers are too short",
        file="backends/sqlite/checking.py",
        old='    for (line,) in ask("PRAGMA integrity_check"):',
        new='    for (line,) in ask("PRAGMA quick_check"):',
        test="tests/test_sqlite_damage.py::test_a_scrambled_index_is_found",
    ),
    Sabotage(
        name="an index is believed",
        breaks="a damaged entry of an index makes a question return what does not answer it",
        file="backends/sqlite/rows.py",
        old="        if not matches(one):",
        new="        if not one:",
        test="tests/test_sqlite_damage.py::test_a_record_without_the_tag_is_no_answer",
    ),
    Sabotage(
        name="a removal believes an index",
        breaks="a damaged entry of an index makes a removal take a record that was not meant",
        file="backends/sqlite/asking.py",
        old='    every = [f"seq IN ({_numbers(asked)})", *asked.of_rows()]',
        new='    every = [f"seq IN ({_numbers(asked)})"]',
        test="tests/test_sqlite_damage.py::test_a_removal_goes_by_the_rows",
    ),
    Sabotage(
        name="missing revisions are not missed",
        breaks="a history with a gap is no finding",
        file="backends/sqlite/gaps.py",
        old="""\
    for seq, identity, revision in ask(_GAPS):
""",
        new="""\
    for seq, identity, revision in ask(_GAPS + " AND p.revision < 0"):
""",
        test="tests/test_sqlite_damage.py::test_check_names_what_is_wrong[a lost revision]",
    ),
    Sabotage(
        name="tags are not compared",
        breaks="a tag that the index lacks is no finding, and a question for it finds nothing",
        file="backends/sqlite/checking.py",
        old="    if indexed.sum != tagged.sum:",
        new="    if indexed.sum[0] > tagged.sum[0]:",
        test="tests/test_sqlite_damage.py::test_check_names_what_is_wrong[a lost tag]",
    ),
    Sabotage(
        name="torn files are removed",
        breaks="what a power cut left torn is deleted instead of set aside",
        file="backends/filesystem/torn.py",
        old="""\
            quarantine.move(tree, path)
""",
        new="""\
            fileops.remove(path)
""",
        test="""\
tests/test_filesystem_torn.py::test_torn_files_are_set_aside_after_a_start_of_the_machine[0]""",
    ),
    Sabotage(
        name="any torn file is set aside",
        breaks="damage of long ago vanishes from the answers as if it had never been stored",
        file="backends/filesystem/torn.py",
        old="        if newest - moment <= _UNFLUSHED and not _is_whole_file(path):",
        new="        if newest - moment >= 0 and not _is_whole_file(path):",
        test="""\
tests/test_filesystem_steps.py::test_what_was_torn_long_before_the_machine_was_started_is_damage""",
    ),
    Sabotage(
        name="set aside without a crash",
        breaks="a file that was damaged while the machine ran vanishes from the answers",
        file="backends/filesystem/torn.py",
        old="""\
    if not 0 < newest < booted():
        return False""",
        new="""\
    if not newest:
        return False""",
        test="tests/test_filesystem_torn.py::test_the_same_damage_without_a_crash_is_damage[False]",
    ),
    Sabotage(
        name="damage is passed over",
        breaks="a scan leaves out a hot file that cannot be read",
        file="backends/filesystem/reading.py",
        old="""\
            return read_hot(path)
        except FileNotFoundError:
            self.must_be_in_place()""",
        new="""\
            return read_hot(path)
        except DamageError:
            return None
        except FileNotFoundError:
            self.must_be_in_place()""",
        test="tests/test_filesystem_steps.py::test_a_removal_outlives_a_file_that_nobody_can_read",
    ),
    Sabotage(
        name="a listed file may be missing",
        breaks="a scan leaves out what was listed and is gone, whatever the reason",
        file="backends/filesystem/reading.py",
        old="""\
            if self._explains(day, name):
                return None
            raise DamageError(errno.ENOENT, "it was listed a moment ago and is missing now", path) \
from None""",
        new="            return None",
        test="tests/test_filesystem_steps.py::test_a_listed_file_that_somebody_removes_is_damage",
    ),
    Sabotage(
        name="damaged journals are scanned around",
        breaks="a scan leaves out the lines of a damaged journal",
        file="backends/filesystem/reading.py",
        old="""\
        for found in self.journals:
            if found.damage:
                raise""",
        new="""\
        for found in self.journals:
            if found.damage and not found.hashes:
                raise""",
        test="tests/test_filesystem_missing.py::test_a_journal_cut_in_half_keeps_its_first_half",
    ),
    Sabotage(
        name="an unreadable directory is empty",
        breaks="a day that may not be listed is taken for an empty one",
        file="backends/filesystem/reading.py",
        old="""\
                    if parsed is not None:
                        yield parsed[1], entry.name, parsed[0], parsed[2]
        except (FileNotFoundError, NotADirectoryError):""",
        new="""\
                    if parsed is not None:
                        yield parsed[1], entry.name, parsed[0], parsed[2]
        except OSError:""",
        test="tests/test_filesystem_faults.py::test_a_directory_that_cannot_be_read_is_a_finding",
    ),
)
