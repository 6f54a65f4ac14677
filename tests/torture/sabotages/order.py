"""Steps in the wrong sequence, and answers or arrivals in the wrong order."""

from __future__ import annotations

from torture.sabotages.sabotage import Sabotage

SABOTAGES = (
    Sabotage(
        name="publish and unlink swapped",
        breaks="a compaction removes hot files before the manifest names the segment that holds them",
        file="backends/filesystem/maintaining.py",
        old="""\
            compaction.flush_journals(folding, folding.days - set(damaged))
            with""",
        new="""\
            compaction.flush_journals(folding, folding.days - set(damaged))
            sweeping.hot_files(self._tree, folding, Cold(self._tree, content), set())
            with""",
        test="""\
tests/test_filesystem_kills.py::test_a_death_before_each_call_of_a_compaction_changes_no_answer""",
    ),
    Sabotage(
        name="a hot file is published before it is announced",
        breaks="a writer that is killed in between leaves a record that a load by id does not find",
        file="backends/filesystem/write.py",
        old="""\
                    log.append([hashed], [(seq, 1, relative)])
                    self.publish(temporary, target)
""",
        new="""\
                    self.publish(temporary, target)
                    log.append([hashed], [(seq, 1, relative)])
""",
        test="tests/test_filesystem_missing.py::test_a_writer_that_dies_at_its_commit[True-file]",
    ),
    Sabotage(
        name="a journal is published before it is announced",
        breaks="a writer that is killed in between leaves a batch that a load by id does not find",
        file="backends/filesystem/write.py",
        old="""\
        log.append(hashes, changes)
        self.publish(path, os.path.join(self.tree.journals, name))
""",
        new="""\
        self.publish(path, os.path.join(self.tree.journals, name))
        log.append(hashes, changes)
""",
        test="tests/test_filesystem_missing.py::test_a_writer_that_dies_at_its_commit[True-journal]",
    ),
    Sabotage(
        name="settled before it is committed",
        breaks="a writer that is killed in between leaves a change log that speaks of a lost record",
        file="backends/filesystem/write.py",
        old="""\
                    self.publish(temporary, target)
                    log.settle()
""",
        new="""\
                    log.settle()
                    self.publish(temporary, target)
""",
        test="tests/test_filesystem_missing.py::test_a_writer_that_dies_at_its_commit[False-file]",
    ),
    Sabotage(
        name="the file is dated after it has its name",
        breaks="a writer killed in between leaves a hot file whose arrival number is another one",
        file="backends/filesystem/write.py",
        old="""\
                    fileops.date(temporary, seq)
                    log.append([hashed], [(seq, 1, relative)])
                    self.publish(temporary, target)
""",
        new="""\
                    log.append([hashed], [(seq, 1, relative)])
                    self.publish(temporary, target)
                    fileops.date(target, seq)
""",
        test="""\
tests/test_filesystem_steps.py::test_a_hot_file_has_its_arrival_number_when_it_gets_its_name""",
    ),
    Sabotage(
        name="journals go one by one",
        breaks="""\
a kill while journals are removed leaves a removal without the record it speaks of, or the reverse""",
        file="backends/filesystem/sweeping.py",
        old="""\
        with writer.locked() as log:
            commit(tree, after, log)
    for name in present:""",
        new="    for name in present:",
        test="""\
tests/test_filesystem_kills.py::test_a_death_before_each_call_of_a_compaction_changes_no_answer""",
    ),
    Sabotage(
        name="a journal goes before its remainder is there",
        breaks="a kill while a journal is shortened loses the lines that had to stay",
        file="backends/filesystem/sweeping.py",
        old="""\
            if kept:
                _shorten(writer, _Remainder(found, kept, folding))
""",
        new="""\
            if kept:
                rest = _Remainder(found, kept, folding)
                fileops.remove(found.path)
                _shorten(writer, rest)
""",
        test="""\
tests/test_filesystem_kills.py::test_a_death_before_each_call_of_a_compaction_changes_no_answer""",
    ),
    Sabotage(
        name="where there is no room journals go one by one",
        breaks="of sessions and batches that went on together one goes before an older revision in the other",
        file="backends/filesystem/sweeping.py",
        old="        if latest < min((first for first, _ in spans[number:]), default=latest + 1):",
        new="        if latest:",
        test="""\
tests/test_filesystem_kills.py::test_nor_does_one_where_journals_go_one_after_the_other""",
    ),
    Sabotage(
        name="segments go before the manifest",
        breaks="days are removed from the disk before the manifest forgets them",
        file="backends/filesystem/compaction.py",
        old="""\
    for suffix in (DATA, INDEX):
        fileops.remove(stem + suffix)  # of a run that was killed before its commit
""",
        new="""\
    for suffix in (DATA, INDEX):
        fileops.remove(stem + suffix)
    for _, other, _, path in list(manifest.segment_files(tree)):
        if other == day and path != stem:
            fileops.remove(path + INDEX)
""",
        test="""\
tests/test_filesystem_kills.py::test_a_death_before_each_call_of_a_compaction_changes_no_answer""",
    ),
    Sabotage(
        name="arrival numbers follow the clock alone",
        breaks="a clock that steps back gives numbers that were given before",
        file="backends/filesystem/hotlog.py",
        old="        return max(self._held()[_SEQ] + 1, time.time_ns() // 1000)",
        new="        return time.time_ns() // 1000",
        test="""\
tests/test_filesystem_steps.py::test_arrival_numbers_ascend_although_the_clock_steps_back[False-False]""",
    ),
    Sabotage(
        name="SQLite forgets the numbers of what was removed",
        breaks="an arrival number is given twice once the last record is removed",
        file="backends/sqlite/write.py",
        old="""\
_NEXT = "1 + max(ifnull((SELECT max(seq) FROM patterns), 0), (SELECT highest_removed FROM arrival))\"""",
        new='_NEXT = "1 + ifnull((SELECT max(seq) FROM patterns), 0)"',
        test="tests/test_sqlite_backend.py::test_arrival_numbers_are_never_reused",
    ),
    Sabotage(
        name="ids break ties the wrong way",
        breaks="records of one instant come in another order on SQLite than elsewhere",
        file="backends/sqlite/asking.py",
        old='"newest": "instant DESC, pattern_id DESC, revision DESC",',
        new='"newest": "instant DESC, pattern_id, revision DESC",',
        test="tests/test_contract.py::TestSqlite::test_3_newest_and_oldest_are_mirrored_total_orders",
    ),
    Sabotage(
        name="order by the text of the timestamp",
        breaks="records with different offsets are sorted by what their timestamp looks like",
        file="query.py",
        old='        return (meta["instant"], record["pattern_id"], meta["revision"])',
        new='        return (record.get("timestamp", ""), record["pattern_id"], meta["revision"])',
        test="tests/test_contract.py::TestMemory::test_3_the_instant_decides_not_the_text",
    ),
    Sabotage(
        name="ties within a second by file name",
        breaks="hot records of one second come in the order of their ids, not of their microseconds",
        file="backends/filesystem/reading.py",
        old="                alive.sort(key=key, reverse=newest)\n",
        new="",
        test="tests/test_filesystem_steps.py::test_hot_files_of_one_second_come_by_their_microseconds",
    ),
    Sabotage(
        name="days are read oldest first",
        breaks="a question for the newest begins with the oldest day",
        file="backends/filesystem/reading.py",
        old="""\
        for day in sorted((day for day in self.days() if low <= day <= high), reverse=newest):""",
        new="        for day in sorted(day for day in self.days() if low <= day <= high):",
        test="""\
tests/test_contract.py::TestFilesystem::test_3_newest_and_oldest_are_mirrored_total_orders""",
    ),
    Sabotage(
        name="the spool is cleared before the store has it",
        breaks="a drain that is killed loses the batch that it was at",
        file="spool.py",
        old="""\
            end, done = self._portion(file, offset)
        if done:
            remove(path)
        elif""",
        new="""\
            remove(path)
            end, done = self._portion(file, offset)
        if done:
            pass
        elif""",
        test="tests/test_spool.py::test_a_fault_of_the_medium_counts_against_no_record[fault0]",
    ),
)
