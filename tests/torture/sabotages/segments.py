"""Segments, manifests and compaction: what closed days become."""

from __future__ import annotations

from torture.sabotages.sabotage import Sabotage

SABOTAGES = (
    Sabotage(
        name="a member's checksum is not looked at",
        breaks="""\
a member of another segment, or a damaged one that gzip lets pass, is taken for the own""",
        file="backends/filesystem/segment.py",
        old="        if crc32(stored) != member.crc:",
        new="        if not stored:",
        test="tests/test_segment_damage.py::test_a_member_of_another_segment_is_not_taken_for_the_own",
    ),
    Sabotage(
        name="any index will do",
        breaks="the side index of another segment is believed",
        file="backends/filesystem/segment.py",
        old="        if (index.data_sha256.hex(), index.count) != (facts.data_sha256, facts.count):",
        new="        if index.count != facts.count:",
        test="tests/test_filesystem_steps.py::test_the_index_of_another_segment_is_not_believed",
    ),
    Sabotage(
        name="an index's checksum is not looked at",
        breaks="a scrambled side index hides records",
        file="backends/filesystem/sideindex.py",
        old="        if crc32(view[_CHECKED_FROM:]) != crc:",
        new="        if not crc:",
        test="""\
tests/test_segment_damage.py::test_no_flipped_bit_or_truncation_gives_a_wrong_answer[one \
member-index]""",
    ),
    Sabotage(
        name="a block's checksum is not looked at",
        breaks="hashes of a side index that were damaged on the disk hide records",
        file="backends/filesystem/sideindex.py",
        old="        if crc32(data) != self._block_crcs[number]:",
        new="        if len(data) < length * _ENTRY:",
        test="tests/test_segment_damage.py::test_an_index_damaged_after_it_was_opened_is_made_anew[flip]",
    ),
    Sabotage(
        name="the manifest's checksum is not looked at",
        breaks="a scrambled manifest is believed",
        file="backends/filesystem/manifest.py",
        old='    if mark and checksum != b\'%b"}\\n\' % _checksum(content + b"}").encode():',
        new="    if mark and not checksum:",
        test="""\
tests/test_bad_input_stores.py::test_damage_in_a_tree_is_named_and_the_rest_is_read[the \
manifest-flip]""",
    ),
    Sabotage(
        name="dead journals live",
        breaks="a journal that a compaction has replaced counts again",
        file="backends/filesystem/manifest.py",
        old="""\
    dead = tuple(body.get("dead", ()))
""",
        new="""\
    dead = ()
""",
        test="""\
tests/test_filesystem_kills.py::test_a_death_before_each_call_of_a_compaction_changes_no_answer""",
    ),
    Sabotage(
        name="the copy of the manifest is left behind",
        breaks="what was removed comes back when the manifest is damaged",
        file="backends/filesystem/manifest.py",
        old="""\
    _publish(tree, second, copy_path(tree))
""",
        new="""\
    if content.generation < 2:
        _publish(tree, second, copy_path(tree))
""",
        test="""\
tests/test_filesystem_faults.py::test_what_was_removed_stays_so_without_the_manifest[gone]""",
    ),
    Sabotage(
        name="the copy is not mended",
        breaks="a copy of the manifest that a kill has left behind brings back what was removed since",
        file="backends/filesystem/maintaining.py",
        old="""\
        if not content.damage:
            manifest.renew_copy(self._tree)
        elif""",
        new="""\
        if not content.damage:
            pass
        elif""",
        test="""\
tests/test_filesystem_steps.py::test_a_compaction_mends_a_copy_of_the_manifest_that_was_left_behind""",
    ),
    Sabotage(
        name="the oldest generation is recovered",
        breaks="without a manifest a day is answered by the segment it had before the last compaction",
        file="backends/filesystem/manifest.py",
        old="        if known is None or known[0] < generation:",
        new="        if known is None or known[0] > generation:",
        test="""\
tests/test_filesystem_steps.py::test_without_manifests_the_newest_segment_of_a_day_counts""",
    ),
    Sabotage(
        name="the same generation again",
        breaks="a compaction overwrites the segment that readers have open, and the only copy there is",
        file="backends/filesystem/compaction.py",
        old="""\
    generation = known.generation + 1
""",
        new="""\
    generation = known.generation or 1
""",
        test="""\
tests/test_filesystem_steps.py::test_a_compaction_that_fails_leaves_the_segment_it_was_to_replace""",
    ),
    Sabotage(
        name="guesses are compacted",
        breaks="after the loss of both manifests a compaction makes removed records permanent",
        file="backends/filesystem/compaction.py",
        old="    if known.guessed and any(manifest.segment_files(tree)):",
        new="    if known.guessed and known.lost:",
        test="""\
tests/test_filesystem_faults.py::test_without_both_manifests_segments_speak_for_themselves""",
    ),
    Sabotage(
        name="a damaged day stops all others",
        breaks="one file that cannot be read keeps every day from being compacted",
        file="backends/filesystem/compaction.py",
        old="""\
        except DamageError as damage:
            damaged[day] = str(damage)
            continue""",
        new="""\
        except DamageError as damage:
            damaged[day] = str(damage)
            break""",
        test="""\
tests/test_filesystem_faults.py::test_a_damaged_hot_file_keeps_its_day_from_being_compacted_and_no_other""",
    ),
    Sabotage(
        name="superseded revisions are dropped",
        breaks="a compaction forgets the history of what was changed",
        file="backends/filesystem/compaction.py",
        old='        becomes = "history" if superseded or was == "history" else "heads"',
        new='        becomes = "" if superseded else was or "heads"',
        test="tests/test_contract.py::TestFilesystem::test_8_compacted_records_change_like_any_other",
    ),
    Sabotage(
        name="the history is not rewritten",
        breaks="superseded revisions of a record that was removed stay in their segment",
        file="backends/filesystem/compaction.py",
        old='        if part == "history" and not folding.changed and day not in known.history:',
        new='        if part == "history" and (not folding.changed or day not in folding.days):',
        test="tests/test_contract.py::TestFilesystem::test_8_compaction_changes_no_answer",
    ),
    Sabotage(
        name="removed records are compacted",
        breaks="a record that was removed comes back with the compaction of its day",
        file="backends/filesystem/compaction.py",
        old="""\
        return not self.drops(record, seq)
""",
        new="""\
        return True
""",
        test="tests/test_contract.py::TestFilesystem::test_8_compaction_changes_no_answer",
    ),
    Sabotage(
        name="stale segments are left",
        breaks="a removal in a compacted day is dropped and its record comes back",
        file="backends/filesystem/compaction.py",
        old="        self.rewritten = self.stale | {day for day in self.days if self.has_loose(day)}",
        new="""\
        self.rewritten = {day for day in self.days if day in self.stale or self.has_loose(day)}""",
        test="tests/test_contract.py::TestFilesystem::test_8_compaction_changes_no_answer",
    ),
    Sabotage(
        name="doubles within a day",
        breaks="a record that is in a segment and still in its hot file comes twice",
        file="backends/filesystem/reading.py",
        old="""\
            if this != last:  # a record may be in a segment and still where it came from
                last = this
                yield record""",
        new="""\
            if this is not last:
                last = this
                yield record""",
        test="""\
tests/test_filesystem_kills.py::test_a_death_before_each_call_of_a_compaction_changes_no_answer""",
    ),
    Sabotage(
        name="a late save into a compacted day is hidden",
        breaks="what is saved into a day after its compaction is not found",
        file="backends/filesystem/compaction.py",
        old="""\
    if day in folding.days:
        keep =""",
        new="""\
    if day in folding.days and folding.snapshot.cold.segment("heads", day) is None:
        keep =""",
        test="""\
tests/test_filesystem_steps.py::test_what_comes_late_into_a_compacted_day_is_compacted_too""",
    ),
    Sabotage(
        name="days with history are dropped whole",
        breaks="a day is removed unread and superseded revisions of its records stay",
        file="backends/filesystem/maintaining.py",
        old="        days = [] if content.history else [day for day, _",
        new="        days = [day for day, _",
        test="tests/test_filesystem_steps.py::test_a_day_goes_with_the_history_of_its_records",
    ),
    Sabotage(
        name="a segment spans too few ids",
        breaks="an id at the end of a segment's range is not found",
        file="backends/filesystem/cold.py",
        old="""\
            if last >= identity:
                yield day""",
        new="""\
            if last > identity:
                yield day""",
        test="tests/test_filesystem_tree.py::test_an_id_comes_back_after_its_removal_again_and_again",
    ),
    Sabotage(
        name="ids are looked for in one day",
        breaks="an id in the range of several segments is looked for in the last alone",
        file="backends/filesystem/cold.py",
        old="        while at >= 0 and self._last_so_far[at] >= identity:",
        new="        while at >= 0 and self._sorted[at][1] >= identity:",
        test="tests/test_contract.py::TestFilesystem::test_8_compaction_changes_no_answer",
    ),
    Sabotage(
        name="an end marker that nobody writes",
        breaks="a segment whose end is cut off looks whole",
        file="backends/filesystem/segment_writer.py",
        old="""\
        data.write(codec.compress(b""))
""",
        new="",
        test="tests/test_segment_damage.py::test_damage_stays_in_its_member",
    ),
    Sabotage(
        name="arrival skips a segment",
        breaks="a reader that follows the arrivals misses what was compacted",
        file="backends/filesystem/arrival.py",
        old="            if day in days and segment.facts.seq_last >= _after(query):",
        new="            if day in days and segment.facts.seq_first >= _after(query):",
        test="tests/test_filesystem_tree.py::test_arrival_order_of_everything_reads_a_store_twice",
    ),
    Sabotage(
        name="a damaged segment counts as holding whatever it may hold",
        breaks="a compaction removes what was saved into a day whose segment is damaged",
        file="backends/filesystem/sweeping.py",
        old="                    is_cold = any(part.holds(hashed) for part in parts)",
        new="                    is_cold = any(part.may_hold(hashed) for part in parts)",
        test="""\
tests/test_segment_damage.py::test_a_damaged_segment_costs_no_record_that_came_later[_half-hot file]""",
    ),
    Sabotage(
        name="a segment that cannot be read stops all",
        breaks="one damaged day keeps all others from being compacted",
        file="backends/filesystem/compaction.py",
        old="                    with suppress(DamageError):",
        new="                    with suppress():",
        test="""\
tests/test_segment_damage.py::test_a_damaged_segment_costs_no_record_that_came_later[_gone-hot file]""",
    ),
    Sabotage(
        name="a damaged segment is counted by its facts",
        breaks="a count leaves out what came late into a day whose segment is damaged",
        file="backends/filesystem/counting.py",
        old="            elif not heads.holds(hashed):",
        new="            elif not heads.may_hold(hashed):",
        test="tests/test_segment_damage.py::test_a_damaged_segment_is_not_counted_by_guess",
    ),
)
