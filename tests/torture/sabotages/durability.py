"""Bytes and names that are not on the medium when they should be, or acknowledged before they are."""

from __future__ import annotations

from torture.sabotages.sabotage import Sabotage

SABOTAGES = (
    Sabotage(
        name="no fsync of directories",
        breaks="a file whose name is not flushed is gone after a power cut, whatever its bytes did",
        file="backends/fileops.py",
        old="""\
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, \
"O_CLOEXEC", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
""",
        new="""\
    if not os.path.isdir(path):
        raise NotADirectoryError(errno.ENOTDIR, "this is no directory", path)
""",
        test="""\
tests/test_filesystem_durable.py::test_a_compaction_removes_nothing_before_what_replaces_it_is_flushed""",
    ),
    Sabotage(
        name="no fsync of a new file",
        breaks="at level record the name of a file survives a power cut and its bytes do not",
        file="backends/fileops.py",
        old="""\
        write(descriptor, data)
        if sync:
            os.fsync(descriptor)
    except BaseException:
        os.close(descriptor)
        remove(path)
""",
        new="""\
        write(descriptor, data)
    except BaseException:
        os.close(descriptor)
        remove(path)
""",
        test="""\
tests/test_filesystem_durable.py::test_a_batch_is_acknowledged_when_its_bytes_and_its_name_are_flushed[save-record]""",
    ),
    Sabotage(
        name="a hot file's directory is not flushed",
        breaks="a single save at level record is acknowledged before its name is on the medium",
        file="backends/filesystem/write.py",
        old="""\
            raise
        if self._sync:
            self.sync_directory(os.path.dirname(target))

    def _is_known""",
        new="""\
            raise

    def _is_known""",
        test="""\
tests/test_filesystem_durable.py::test_a_batch_is_acknowledged_when_its_bytes_and_its_name_are_flushed[save-record]""",
    ),
    Sabotage(
        name="a batch's directory is not flushed",
        breaks="a batch at level group is acknowledged before its journal's name is on the medium",
        file="backends/filesystem/write.py",
        old="""\
        if self._sync:
            self.sync_directory(self.tree.journals)
        return removed""",
        new="        return removed",
        test="""\
tests/test_filesystem_durable.py::test_a_batch_is_acknowledged_when_its_bytes_and_its_name_are_flushed[batch-group]""",
    ),
    Sabotage(
        name="parents of a new day are not flushed",
        breaks="the first save of a month is lost with its new directories in a power cut",
        file="backends/filesystem/write.py",
        old="""\
        fileops.sync_dir(directory)
        while (parent""",
        new="""\
        fileops.sync_dir(directory)
        while directory == self.tree.journals and (parent""",
        test="""\
tests/test_filesystem_log.py::test_the_entries_of_all_new_directories_are_flushed[nothing]""",
    ),
    Sabotage(
        name="group is taken for os",
        breaks="a batch at level group is acknowledged while it is in memory alone",
        file="backends/filesystem/write.py",
        old='self._sync = durability != "os"',
        new='self._sync = durability == "record"',
        test="""\
tests/test_filesystem_durable.py::test_a_batch_is_acknowledged_when_its_bytes_and_its_name_are_flushed[batch-group]""",
    ),
    Sabotage(
        name="the manifest is not flushed before its rename",
        breaks="after a power cut the manifest is empty and the sources of its segments are gone",
        file="backends/filesystem/manifest.py",
        old="""\
    fileops.create(fresh, data, sync=True)
""",
        new="""\
    fileops.create(fresh, data)
""",
        test="""\
tests/test_filesystem_durable.py::test_a_compaction_removes_nothing_before_what_replaces_it_is_flushed""",
    ),
    Sabotage(
        name="the manifest's name is not flushed",
        breaks="after a power cut the old manifest is back, and with it days whose removal was acknowledged",
        file="backends/filesystem/manifest.py",
        old="""\
    fileops.sync_dir(tree.root)


def load(""",
        new="""\


def load(""",
        test="tests/test_filesystem_durable.py::test_days_that_are_removed_whole_are_flushed",
    ),
    Sabotage(
        name="segments are not flushed",
        breaks="a compaction removes hot files whose segment a power cut can still take",
        file="backends/filesystem/segment_writer.py",
        old="""\
        fileops.sync(self._descriptor)
        self._close()""",
        new="        self._close()",
        test="""\
tests/test_filesystem_durable.py::test_a_compaction_removes_nothing_before_what_replaces_it_is_flushed""",
    ),
    Sabotage(
        name="directories of segments are not flushed",
        breaks="a compaction removes hot files while the name of their segment is in memory alone",
        file="backends/filesystem/compaction.py",
        old="""\
    directory = os.path.dirname(stem)
    while len(directory) >= len(tree.root):
        fileops.sync_dir(directory)
        directory = os.path.dirname(directory)
    return facts""",
        new="    return facts",
        test="""\
tests/test_filesystem_durable.py::test_a_compaction_removes_nothing_before_what_replaces_it_is_flushed""",
    ),
    Sabotage(
        name="a session's line is not flushed",
        breaks="a session at level record acknowledges a save before it is on the medium",
        file="backends/filesystem/session.py",
        old="""\
        if writer.durability == "record":
            try:
                growing.sync()""",
        new="""\
        if writer.durability == "record" and growing.is_full():
            try:
                growing.sync()""",
        test="""\
tests/test_filesystem_durable.py::test_the_journal_of_a_session_has_a_durable_name[record]""",
    ),
    Sabotage(
        name="a session's end is not flushed",
        breaks="a session at level group ends before its saves are on the medium",
        file="backends/filesystem/session.py",
        old='            growing.close(sync=self._writer.durability != "os")',
        new='            growing.close(sync=self._writer.durability == "record")',
        test="""\
tests/test_filesystem_durable.py::test_the_journal_of_a_session_has_a_durable_name[group]""",
    ),
    Sabotage(
        name="a session goes on after a failed flush",
        breaks="after a failed fsync nothing that follows it in the file may be acknowledged",
        file="backends/filesystem/session.py",
        old="""\
            except BaseException:  # nobody knows what of it the medium holds, so nothing more is \
added to it
                self._open = None
                growing.abandon()
                raise""",
        new="""\
            except BaseException:
                raise""",
        test="""\
tests/test_filesystem_log.py::test_a_session_adds_nothing_to_a_journal_that_could_not_be_flushed""",
    ),
    Sabotage(
        name="the name of a session's journal is not flushed",
        breaks="a session at level record acknowledges saves in a file without a durable name",
        file="backends/filesystem/session.py",
        old="""\
        if self._writer.durability != "os":
            self._writer.sync_directory(self._writer.tree.journals)
        return growing""",
        new="        return growing",
        test="""\
tests/test_filesystem_durable.py::test_the_journal_of_a_session_has_a_durable_name[record]""",
    ),
    Sabotage(
        name="a shortened journal is not flushed",
        breaks="a compaction removes a journal whose remainder a power cut can still take",
        file="backends/filesystem/sweeping.py",
        old="    fileops.create(fresh, rest.data, sync=True)",
        new="    fileops.create(fresh, rest.data)",
        test="""\
tests/test_filesystem_durable.py::test_a_compaction_removes_nothing_before_what_replaces_it_is_flushed""",
    ),
    Sabotage(
        name="the first manifest is not flushed",
        breaks="a power cut after the first save leaves an empty manifest: no tree at all",
        file="backends/filesystem/tree.py",
        old='"seq":0,"days":{}}\\n\', sync=True)',
        new='"seq":0,"days":{}}\\n\')',
        test="tests/test_filesystem_durable.py::test_the_first_manifest_is_flushed",
    ),
    Sabotage(
        name="SQLite at group does not flush",
        breaks="a batch at level group is acknowledged while the log is in memory alone",
        file="backends/sqlite/database.py",
        old='level = "NORMAL" if self.durability == "os" else "FULL"',
        new='level = "FULL" if self.durability == "record" else "NORMAL"',
        test="tests/test_sqlite_processes.py::test_each_level_flushes_what_it_promises",
    ),
    Sabotage(
        name="a session in SQLite is not flushed at its end",
        breaks="a session at level group ends before its saves are on the medium",
        file="backends/sqlite/backend.py",
        old="""\
            self._writer.database.flush()
        finally:""",
        new="""\
            pass
        finally:""",
        test="tests/test_sqlite_durable.py::test_a_session_is_flushed_once_when_it_ends",
    ),
    Sabotage(
        name="a known record is acknowledged without a flush",
        breaks="""\
saving again what a process at level os wrote is acknowledged at level record, and lost""",
        file="saving.py",
        old='        if saved.unchanged and self._backend.durability != "os":',
        new='        if saved.unchanged and not saved.added and self._backend.durability == "group":',
        test="""\
tests/test_saving.py::test_an_equal_record_is_acknowledged_when_it_is_on_the_medium[record-sqlite]""",
    ),
    Sabotage(
        name="a failed flush is tried again",
        breaks="""\
what an fsync that failed did not bring to the medium is acknowledged by the next that succeeds""",
        file="saving.py",
        old="""\
_TRANSIENT = frozenset({errno.EAGAIN, errno.EINTR, errno.EBUSY, errno.EDEADLK, errno.ETXTBSY})""",
        new="""\
_TRANSIENT = frozenset({errno.EAGAIN, errno.EINTR, errno.EBUSY, errno.EDEADLK, errno.EIO})""",
        test="tests/test_storage.py::test_faults_of_durability_are_never_tried_again[5]",
    ),
    Sabotage(
        name="flush forgets directories",
        breaks="what is flushed for somebody else's save has bytes on the medium and no name",
        file="backends/filesystem/write.py",
        old="""\
            if os.path.isdir(directory):
                self.sync_directory(directory)""",
        new="""\
            if os.path.isdir(directory) and directory == self.tree.journals:
                self.sync_directory(directory)""",
        test="""\
tests/test_filesystem_durable.py::test_flushing_ids_flushes_their_files_and_the_names_of_these""",
    ),
    Sabotage(
        name="flush forgets the name of SQLite's log",
        breaks="a new database is flushed and the directory entry of its log is not",
        file="backends/sqlite/database.py",
        old="""\
            fileops.sync_dir(os.path.dirname(self.path))
        except OSError as error:""",
        new="        except OSError as error:",
        test="tests/test_sqlite_durable.py::test_flushing_ids_flushes_the_log_and_its_name",
    ),
    Sabotage(
        name="the name of a new database is not flushed",
        breaks="a power cut takes a database with all that was acknowledged at level record",
        file="backends/sqlite/creation.py",
        old="""\
                for entered in (directory, *map(os.path.dirname, made)):
                    fileops.sync_dir(entered)
""",
        new="",
        test="tests/test_sqlite_durable.py::test_a_new_database_has_a_durable_name",
    ),
)
