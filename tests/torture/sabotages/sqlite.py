"""The SQLite store: triggers, checksums, retries, replaced files."""

from __future__ import annotations

from torture.sabotages.sabotage import Sabotage

SABOTAGES = (
    Sabotage(
        name="history only of what changes its kind",
        breaks="superseded revisions are lost unless the kind changed too",
        file="backends/sqlite/layout.py",
        old="CREATE TRIGGER patterns_superseded AFTER UPDATE OF revision ON patterns BEGIN",
        new="""\
CREATE TRIGGER patterns_superseded AFTER UPDATE OF revision ON patterns WHEN old.timestamp <> \
new.timestamp BEGIN""",
        test="tests/test_sqlite_rows.py::test_a_change_of_data_alone_supersedes_a_revision",
    ),
    Sabotage(
        name="history of the new revision",
        breaks="the history holds the new revision in the place of the old",
        file="backends/sqlite/layout.py",
        old='    VALUES ({", ".join("old." + name for name in NAMES)});',
        new="""\
    VALUES ({", ".join(("new." if name == "data" else "old.") + name for name in NAMES)});""",
        test="tests/test_contract.py::TestSqlite::test_2_several_revisions_of_an_id_in_one_batch",
    ),
    Sabotage(
        name="a removal leaves the history",
        breaks="superseded revisions of a removed record stay in the file",
        file="backends/sqlite/layout.py",
        old="""\
    DELETE FROM history WHERE pattern_id = old.pattern_id;
""",
        new="",
        test="tests/test_sqlite_backend.py::test_a_removal_leaves_no_trace_of_the_payload",
    ),
    Sabotage(
        name="a removal leaves its tags",
        breaks="the tags of a removed record stay in the file",
        file="backends/sqlite/layout.py",
        old='_REMOVED = f"""CREATE TRIGGER patterns_removed AFTER DELETE ON patterns BEGIN{_UNTAG}',
        new='_REMOVED = """CREATE TRIGGER patterns_removed AFTER DELETE ON patterns BEGIN',
        test="tests/test_sqlite_backend.py::test_a_removal_leaves_no_trace_of_the_payload",
    ),
    Sabotage(
        name="a row's checksum is not looked at",
        breaks="a letter that was changed within a text is returned",
        file="backends/sqlite/write.py",
        old="        whole = checksum(row) == row[-1]",
        new="        whole = bool(checksum(row)) and row[-1] is not None",
        test="tests/test_sqlite_damage.py::test_a_changed_text_is_never_returned",
    ),
    Sabotage(
        name="the checksum leaves the context out",
        breaks="a damaged context is returned as it is",
        file="backends/sqlite/write.py",
        old="{row[3]}\\0{row[4]}\\0{row[5]}",
        new="{row[3]}\\0{row[5]}",
        test='tests/test_sqlite_rows.py::test_a_change_of_any_column_is_damage[context-{"tags":["y"]}]',
    ),
    Sabotage(
        name="the checksum leaves the instant out",
        breaks="a damaged instant moves a record to another day",
        file="backends/sqlite/write.py",
        old='{row[5]}\\0{row[8]}\\0{row[9]}\\0"',
        new='{row[5]}\\0{row[9]}\\0"',
        test="""\
tests/test_sqlite_rows.py::test_a_change_of_any_column_is_damage[instant-1764374400000001]""",
    ),
    Sabotage(
        name="a lost update",
        breaks="of two savers of the same next revision the second replaces the first",
        file="backends/sqlite/write.py",
        old='checksum = ?15, indexed = NULL WHERE pattern_id = ?1 AND revision = ?10 - 1"',
        new='checksum = ?15, indexed = NULL WHERE pattern_id = ?1 AND revision <= ?10"',
        test="tests/test_contract.py::TestSqlite::test_2_stale_or_skipped_revisions_are_refused",
    ),
    Sabotage(
        name="locked is not waited for",
        breaks="a save fails with a lock that another process holds for a moment",
        file="backends/sqlite/faults.py",
        old="""\
    return code(error) in _IN_THE_WAY


def translate""",
        new="""\
    return getattr(error, "sqlite_errorcode", 0) == _LOCKED


def translate""",
        test="tests/test_sqlite_processes.py::test_another_programs_transaction_is_waited_for",
    ),
    Sabotage(
        name="a replaced file is not noticed",
        breaks="a save is acknowledged into a file that has no name any more",
        file="backends/sqlite/write.py",
        old="""\
                    if self._is_current():
                        self.database.committed(connection)
                        return result""",
        new="""\
                    self.database.committed(connection)
                    return result""",
        test="""\
tests/test_sqlite_processes.py::test_no_save_is_acknowledged_into_a_file_that_is_gone[removed amid \
a write]""",
    ),
    Sabotage(
        name="a refused batch is left open",
        breaks="what a refused batch had written is committed with the next",
        file="backends/sqlite/write.py",
        old="            if kind is None:",
        new="            if self._connection.in_transaction:",
        test="tests/test_contract.py::TestSqlite::test_2_a_refused_batch_leaves_nothing",
    ),
    Sabotage(
        name="a connection survives a fork",
        breaks="a child writes through its parent's connection, and what it saved is lost",
        file="backends/sqlite/write.py",
        old="""\
        self._paused = self._mutex.acquire(timeout=max(self.database.timeout, 0.0))
        if self._paused and self._connection is not None:
            connection, self._connection = self._connection, None
            self._part(connection)""",
        new="        self._paused = self._mutex.acquire(timeout=max(self.database.timeout, 0.0))",
        test="tests/test_sqlite_processes.py::test_a_child_holds_its_own_lock",
    ),
    Sabotage(
        name="readers survive a fork",
        breaks="a child reads through its parent's connections, and the parent loses its locks",
        file="backends/sqlite/reading.py",
        old="""\
        idle, self._idle = self._idle, []
        self._part(*idle)
        self._held""",
        new="        self._held",
        test="tests/test_sqlite_locks.py::test_no_connection_of_the_parent_is_open_in_a_child",
    ),
    Sabotage(
        name="a long answer is of several moments",
        breaks="an answer that is read slowly shows parts of later batches",
        file="backends/sqlite/reading.py",
        old="""\
            self._work(reader, lambda: reader.connection.execute("BEGIN"))
            yield ask""",
        new="            yield ask",
        test="tests/test_sqlite_backend.py::test_a_removal_leaves_no_trace_of_the_payload",
    ),
    Sabotage(
        name="a scan begins when it is read",
        breaks="a scan shows what was written after it was asked for",
        file="backends/sqlite/reading.py",
        old="""\
        return next(rows), rows  # runs""",
        new="        return [], (row for row in rows if type(row) is not list)  #",
        test="tests/test_sqlite_backend.py::test_a_scan_sees_the_moment_of_its_call",
    ),
    Sabotage(
        name="an orphaned log is replayed",
        breaks="the log of a removed database comes back in the new one",
        file="backends/sqlite/creation.py",
        old="""\
                _set_aside(store.path)
                fileops.rename(draft""",
        new="                fileops.rename(draft",
        test="tests/test_sqlite_processes.py::test_an_orphaned_log_is_set_aside",
    ),
    Sabotage(
        name="created_at follows the revision",
        breaks="the column that tells when an id was first saved changes with it",
        file="backends/sqlite/write.py",
        old="""\
"UPDATE patterns SET pattern_type = ?2, timestamp = ?3, data = ?4, context = ?5, version = ?6, \"""",
        new="""\
"UPDATE patterns SET pattern_type = ?2, timestamp = ?3, data = ?4, context = ?5, version = ?6, \
created_at = ?7, \"""",
        test="tests/test_sqlite_backend.py::test_created_at_stays_that_of_the_first_revision",
    ),
    Sabotage(
        name="nobody looks whether an index names a record twice",
        breaks="a damaged entry of the index of tags brings a record into an answer a second time",
        file="backends/sqlite/rows.py",
        old="        if last is not None and (key >= last if newest else key <= last):",
        new="        if last is not None and (key > last and key < last):",
        test="tests/test_sqlite_damage.py::test_a_record_that_an_index_names_twice_is_damage",
    ),
    Sabotage(
        name="an emptied database counts as a new one",
        breaks="a store that was cut off to nothing begins anew, and nobody is told",
        file="backends/sqlite/creation.py",
        old='    is_known = os.path.lexists(path + ".reserve")',
        new="    is_known = False",
        test="tests/test_sqlite_damage.py::test_a_store_that_was_cut_off_to_nothing_is_damage[0]",
    ),
    Sabotage(
        name="a store that has just been made counts as cut off",
        breaks="of processes that begin a store at once some are told that it is damaged",
        file="backends/sqlite/creation.py",
        old="    if is_known and size <= 1:",
        new="    if is_known:",
        test="tests/test_sqlite_file.py::test_a_store_that_another_process_has_just_made_is_taken",
    ),
    Sabotage(
        name="one byte is taken for a database",
        breaks="SQLite takes a file of one byte for an empty one: a store that was cut off begins anew",
        file="backends/sqlite/database.py",
        old="    return (found.st_dev, found.st_ino) if found.st_size > 1 else None",
        new="    return (found.st_dev, found.st_ino) if found.st_size else None",
        test="tests/test_sqlite_damage.py::test_a_store_that_was_cut_off_to_nothing_is_damage[1]",
    ),
    Sabotage(
        name="a long log is never emptied",
        breaks="the write-ahead log grows without end",
        file="backends/sqlite/database.py",
        old="        if self._commits % _LOOK_EVERY == 1 or",
        new="        if self._commits % _LOOK_EVERY == 9 or",
        test="tests/test_sqlite_processes.py::test_only_short_processes_keep_the_log_bounded",
    ),
    Sabotage(
        name="what waits for the indexes is not looked at",
        breaks="the records that came last are not found",
        file="backends/sqlite/asking.py",
        old="        return WAITING if self.tags is None",
        new="        return '' if self.tags is None",
        test="tests/test_sqlite_indexing.py::test_indexed_or_not_a_record_is_found",
    ),
    Sabotage(
        name="revisions that wait for the index of tags are not looked at",
        breaks="a superseded revision that came last has no tags",
        file="backends/sqlite/asking.py",
        old=""" or "history" not in self.tables else WAITING_TAGS""",
        new=""" or True else WAITING_TAGS""",
        test="tests/test_sqlite_indexing.py::test_indexed_or_not_a_record_is_found",
    ),
    Sabotage(
        name="what waits comes in beyond the limit",
        breaks="an answer is longer than was asked for",
        file="backends/sqlite/backend.py",
        old="        if (statement.repeats or late) and",
        new="        if statement.repeats and",
        test="tests/test_sqlite_indexing.py::test_indexed_or_not_a_record_is_found",
    ),
    Sabotage(
        name="what waits and what is indexed are of two moments",
        breaks="a record that gets into the indexes while somebody asks is not found",
        file="backends/sqlite/reading.py",
        old="""                reader.connection.execute("BEGIN")
            return""",
        new="""                pass
            return""",
        test="tests/test_sqlite_indexing.py::test_what_gets_into_the_indexes_meanwhile_is_found",
    ),
    Sabotage(
        name="nobody compares what rows and arrival say of the indexes",
        breaks="where the number of what is indexed was damaged, records are missing, and nobody is told",
        file="backends/sqlite/indexing.py",
        old="    if type(seq) is not int or type(up_to) is not int or (indexed == 1) != (seq <= up_to):",
        new="    if up_to == '':",
        test="tests/test_sqlite_indexing.py::test_a_damaged_number_of_what_is_indexed_is_named[indexed + 3]",
    ),
    Sabotage(
        name="a revision keeps its predecessor's place in the indexes",
        breaks="a record is found where it was before it was changed",
        file="backends/sqlite/write.py",
        old=", indexed = NULL WHERE",
        new=" WHERE",
        test="tests/test_sqlite_indexing.py::test_indexed_or_not_a_record_is_found",
    ),
    Sabotage(
        name="damaged rows are indexed by what is left of them",
        breaks="a record whose tags were damaged is not found, and nobody is told",
        file="backends/sqlite/indexing.py",
        old="            must_be_whole(row)\n",
        new="            pass\n",
        test="tests/test_sqlite_indexing.py::test_a_damaged_row_that_waits_is_named",
    ),
    Sabotage(
        name="a removal leaves out what waits for the index",
        breaks="a removal leaves the records that came last",
        file="backends/sqlite/backend.py",
        old="        if statement.waiting and (fault := indexing.catch_up(held)):",
        new="        if statement.sql == '' and (fault := indexing.catch_up(held)):",
        test="tests/test_sqlite_indexing.py::test_indexed_or_not_a_record_is_found",
    ),
    Sabotage(
        name="tags of rows that wait count as indexed",
        breaks="what a process of the version before adds meanwhile comes twice",
        file="backends/sqlite/asking.py",
        old='_IN_TAGS = f"t.seq <= {UP_TO}"',
        new='_IN_TAGS = f"t.seq <> {UP_TO}"',
        test="tests/test_sqlite_upgrading.py::test_what_an_older_writer_adds_meanwhile_is_found_once",
    ),
    Sabotage(
        name="the indexes are never brought up to date",
        breaks="each question reads all that was ever saved",
        file="backends/sqlite/write.py",
        old="    if not at_once and first // _INDEXED_EVERY != (first + len(rows)) // _INDEXED_EVERY:",
        new="    if first < 0:",
        test="tests/test_sqlite_indexing.py::test_one_save_in_so_many_brings_the_indexes_up_to_date[1]",
    ),
    Sabotage(
        name="a row without its number is whole",
        breaks="a bit of the schema that takes the rows their numbers ends check with a fault of its own",
        file="backends/sqlite/write.py",
        old="    if type(row[_SEQ]) is not int:",
        new="    if not row:",
        test="tests/test_sqlite_damage.py::test_rows_that_have_lost_their_numbers_are_named",
    ),
)
