"""Journals, sessions and the change log: what tells of removals, revisions and loose records."""

from __future__ import annotations

from torture.sabotages.sabotage import Sabotage

SABOTAGES = (
    Sabotage(
        name="a journal's checksum is not looked at",
        breaks="a flipped bit in the index of a journal gives records another time or id",
        file="backends/filesystem/journal.py",
        old="        if not sound or any(len(column) != count for column in columns):",
        new="        if any(len(column) != count for column in columns):",
        test="tests/test_filesystem_headers.py::test_a_changed_column_of_the_end_line_is_damage",
    ),
    Sabotage(
        name="a line's checksum is not looked at",
        breaks="a flipped bit in a record is returned as a value",
        file="backends/filesystem/sealed.py",
        old='    if at < 0 or raw[at:] != b"%b%d%b" % (mark, crc32(memoryview(raw)[:at]), tail):',
        new="    if at < 0 or not raw.endswith(tail):",
        test="""\
tests/test_bad_input_stores.py::test_damage_in_a_tree_is_named_and_the_rest_is_read[a hot file-flip]""",
    ),
    Sabotage(
        name="a cut journal counts as whole",
        breaks="a batch that a power cut has cut is shown in part",
        file="backends/filesystem/journal.py",
        old="""\
        self.damage = "" if self.closed or data.startswith(SESSIONS) else "its end line is missing\"""",
        new='        self.damage = ""',
        test="""\
tests/test_filesystem_faults.py::test_a_cut_journal_is_damage_and_a_killed_session_is_none""",
    ),
    Sabotage(
        name="a torn last line is damage",
        breaks="a session that was killed in the middle of a line makes the store unreadable",
        file="backends/filesystem/journal.py",
        old='        while (end := data.find(b"\\n", offset)) >= 0:',
        new="""\
        while offset < len(data) and (end := data.find(b"\\n", offset)) >= -1:
            end = len(data) if end < 0 else end""",
        test="""\
tests/test_filesystem_faults.py::test_a_cut_journal_is_damage_and_a_killed_session_is_none""",
    ),
    Sabotage(
        name="a removal takes what came after it",
        breaks="a record that was saved again after its removal stays away",
        file="backends/filesystem/overlay.py",
        old="        return bool(self.removed) and seq < self.removed.get(identity, HOT)",
        new="        return bool(self.removed) and identity in self.removed",
        test="tests/test_filesystem_tree.py::test_an_id_comes_back_after_its_removal_again_and_again",
    ),
    Sabotage(
        name="a removed revision supersedes",
        breaks="a record that came back is hidden behind a revision that was removed with it before",
        file="backends/filesystem/overlay.py",
        old="""\
            and not self.is_gone(identity, arrived)
""",
        new="",
        test="tests/test_filesystem_tree.py::test_an_id_comes_back_after_its_removal_again_and_again",
    ),
    Sabotage(
        name="an anchored line is dropped",
        breaks="an older revision becomes the head when the line that superseded it is compacted away",
        file="backends/filesystem/compaction.py",
        old="        return self._oldest_loose.get(hashed, revision) < revision",
        new="        return self._oldest_loose.get(hashed, revision) < revision - 1",
        test="tests/test_contract.py::TestFilesystem::test_8_days_count_heads_by_utc_day_and_kind",
    ),
    Sabotage(
        name="a removal goes before what it speaks of",
        breaks="a removed record comes back when the journal of its removal is compacted away first",
        file="backends/filesystem/sweeping.py",
        old="        bound = [entry for entry in going if not _about(entry[0]).isdisjoint(staying)]",
        new="        bound = [entry for entry in going if not {*entry[0].hashes}.isdisjoint(staying)]",
        test="tests/test_filesystem_steps.py::test_a_removal_outlives_a_session_that_it_speaks_of",
    ),
    Sabotage(
        name="what a damaged file speaks of is swept",
        breaks="the removal of an id is dropped while a file that may hold it cannot be read",
        file="backends/filesystem/maintaining.py",
        old="                if whole and with_journals:",
        new="                if with_journals:",
        test="tests/test_filesystem_steps.py::test_a_removal_outlives_a_file_that_nobody_can_read",
    ),
    Sabotage(
        name="the change log loses what it takes back",
        breaks="a save that failed hides the records that share its bucket",
        file="backends/filesystem/hotlog.py",
        old="            self._put_word(bucket, _checked(int(line[:12]), _slot(hashed)))",
        new="            self._put_word(bucket, _checked(0, _slot(hashed)))",
        test="""\
tests/test_filesystem_steps.py::test_a_save_that_fails_at_its_commit_hides_nothing_before_it[added0]""",
    ),
    Sabotage(
        name="the change log of another boot is believed",
        breaks="after a power cut a change log that the disk has in parts hides records",
        file="backends/filesystem/hotlog.py",
        old="            if header is None or header[_BOOT] != boot():",
        new="            if header is None:",
        test="""\
tests/test_filesystem_torn.py::test_torn_files_are_set_aside_after_a_start_of_the_machine[0]""",
    ),
    Sabotage(
        name="one chain of the change log",
        breaks="of several records of one batch in one bucket only the last is found",
        file="backends/filesystem/hotlog.py",
        old="""\
            previous = latest.get(bucket)
            if previous is None:
""",
        new="""\
            if True:
""",
        test="tests/test_contract.py::TestFilesystem::test_5_a_scan_shows_all_of_a_batch_or_nothing",
    ),
    Sabotage(
        name="checks of the change log are not looked at",
        breaks="a scrambled line of the change log leads to another record",
        file="backends/filesystem/hotlog.py",
        old='    if line[30:38] != b"%08x" % crc32(line[39:], crc32(line[:29], position & _WORD)):',
        new="    if len(line) < 40:",
        test="tests/test_filesystem_faults.py::test_no_scrambled_byte_of_the_log_gives_a_wrong_answer",
    ),
    Sabotage(
        name="a renewed log forgets removed numbers",
        breaks="an arrival number is given twice once the change log was made anew",
        file="backends/filesystem/rebuilding.py",
        old="    last = max([tree.last_compacted(), *(seq for _, seq, _, _ in found)])",
        new="    last = max([0, *(seq for _, seq, _, _ in found)])",
        test="""\
tests/test_filesystem_steps.py::test_arrival_numbers_ascend_although_the_clock_steps_back[True-True]""",
    ),
    Sabotage(
        name="what was moved counts as lost",
        breaks="a load beside a compaction reports damage",
        file="backends/filesystem/lookup.py",
        old="""\
                if damage.errno != errno.ENOENT:
                    raise
                fault""",
        new="""\
                if damage.errno:
                    raise
                fault""",
        test="""\
tests/test_filesystem_steps.py::test_a_load_that_meets_a_segment_just_replaced_looks_again""",
    ),
    Sabotage(
        name="what is lost is passed over",
        breaks="a file that was removed by hand is unknown instead of missing",
        file="backends/filesystem/lookup.py",
        old="""\
                if lost:
                    fault""",
        new="""\
                if lost and found:
                    fault""",
        test="tests/test_filesystem_missing.py::test_a_hot_file_removed_by_hand_is_missed",
    ),
    Sabotage(
        name="an announcement is never taken back",
        breaks="a record that a killed writer announced is missing for ever",
        file="backends/filesystem/write.py",
        old="""\
            log.settle()
        else:
            log.take_back()""",
        new="""\
            log.settle()
        elif announced:
            log.settle()""",
        test="tests/test_filesystem_missing.py::test_a_writer_that_dies_at_its_commit[False-file]",
    ),
    Sabotage(
        name="a session's bytes are counted from elsewhere",
        breaks="a session of several journals places its lines wrong in the change log",
        file="backends/filesystem/session.py",
        old="        return os.fstat(self._descriptor).st_nlink == 0",
        new="        return False",
        test="tests/test_filesystem_log.py::test_a_session_whose_tree_was_removed_begins_anew",
    ),
    Sabotage(
        name="a child goes on in its parent's journal",
        breaks="after a fork two processes write into one journal at the same place",
        file="backends/filesystem/session.py",
        old="        if self.offset > _MOST_BYTES or self._pid != os.getpid():",
        new="        if self.offset > _MOST_BYTES:",
        test="tests/test_filesystem_processes.py::test_a_forked_child_goes_on_with_a_session",
    ),
    Sabotage(
        name="a torn line stays in use",
        breaks="a save behind a torn line of a session is part of that line",
        file="backends/filesystem/session.py",
        old="""\
                self._open = None  # behind a torn line nothing more may be written; the next save \
begins anew
                growing.abandon()
""",
        new="",
        test="tests/test_filesystem_steps.py::test_a_session_begins_anew_behind_a_torn_line",
    ),
    Sabotage(
        name="what came during a compaction is swept",
        breaks="a record that was saved while its day was compacted is removed with its hot file",
        file="backends/filesystem/sweeping.py",
        old="                    is_cold = any(part.holds(hashed) for part in parts)",
        new="                    is_cold = day in folding.days",
        test="tests/test_filesystem_steps.py::test_what_comes_during_a_compaction_stays",
    ),
    Sabotage(
        name="a session forgets removals",
        breaks="a batch of a session that removes something besides adding one record only adds",
        file="backends/filesystem/session.py",
        old="        if len(batch.add) != 1 or batch.remove:",
        new="        if len(batch.add) != 1:",
        test="tests/test_filesystem_steps.py::test_a_session_takes_batches_of_any_form",
    ),
    Sabotage(
        name="hashes stand for ids",
        breaks="of two ids with one hash the newer revision of one hides the other",
        file="backends/filesystem/overlay.py",
        old="""\
            and self._read(found, position)["pattern_id"] == identity
""",
        new="""\
            and found.hashes[position] == digest(identity)
""",
        test="tests/test_filesystem_steps.py::test_loose_ids_with_one_hash_are_told_apart",
    ),
    Sabotage(
        name="a line counts when all is said about it",
        breaks="a line that is there and was refused is left out of the end line, and scans miss it",
        file="backends/filesystem/session.py",
        old="""\
            growing.columns.add(record, hashed, len(line), seq)
            log.settle()""",
        new="""\
            log.settle()
            growing.columns.add(record, hashed, len(line), seq)""",
        test="""\
tests/test_filesystem_steps.py::test_a_session_tells_of_a_line_that_was_there_when_it_was_refused""",
    ),
)
