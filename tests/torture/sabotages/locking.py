"""Locks that are forgotten, taken too late, too short, or in the wrong mode."""

from __future__ import annotations

from torture.sabotages.sabotage import Sabotage

SABOTAGES = (
    Sabotage(
        name="lock forgotten for a hot file",
        breaks="two processes that save at once give the same arrival number or spoil the change log",
        file="backends/filesystem/write.py",
        old="""\
            with self.tree.lock.held(timeout=self.timeout):
                log = self.open_log()
                # A known""",
        new="""\
            if self.tree.exists:
                log = self.open_log()
                # A known""",
        test="tests/test_filesystem_locks.py::test_every_file_gets_its_name_under_the_lock",
    ),
    Sabotage(
        name="lock forgotten for a batch",
        breaks="two processes that save batches at once spoil the change log",
        file="backends/filesystem/write.py",
        old="""\
                with self.tree.lock.held(timeout=self.timeout):
                    log = self.open_log()
                    if not fresh:""",
        new="""\
                if self.tree.exists:
                    log = self.open_log()
                    if not fresh:""",
        test="tests/test_filesystem_locks.py::test_every_file_gets_its_name_under_the_lock",
    ),
    Sabotage(
        name="a removal looks before it locks",
        breaks="a removal takes a revision that another process has just saved",
        file="backends/filesystem/write.py",
        old="""\
            with self.tree.lock.held(timeout=self.timeout):
                removed = self._publish_journal(self.open_log(), draft, remove)""",
        new="""\
            with self.tree.lock.held(timeout=self.timeout):
                log = self.open_log()
            removed = self._publish_journal(log, draft, remove)""",
        test="tests/test_filesystem_locks.py::test_every_file_gets_its_name_under_the_lock",
    ),
    Sabotage(
        name="exclusive locks are shared",
        breaks="no writer keeps another one out",
        file="backends/locking.py",
        old="""\
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)""",
        new="            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)",
        test="""\
tests/test_filesystem_locks.py::test_a_lock_whose_file_was_removed_is_taken_on_the_new_one""",
    ),
    Sabotage(
        name="a removed lock file still counts",
        breaks="whoever waited for a lock whose file was removed holds one that nobody else sees",
        file="backends/locking.py",
        old="""\
        if os.name == "posix" and os.fstat(self._descriptor).st_nlink == 0:
            self._close()  # somebody removed the file: others lock the new one
            return False
        return True
""",
        new="""\
        return True
""",
        test="""\
tests/test_filesystem_locks.py::test_a_lock_whose_file_was_removed_is_taken_on_the_new_one""",
    ),
    Sabotage(
        name="a child keeps its parent's lock",
        breaks="after a fork parent and child hold one lock together",
        file="backends/locking.py",
        old="""\
        self._mutex = allocate_lock()
        self.close()

    def __del__""",
        new="""\
        self._mutex = allocate_lock()

    def __del__""",
        test="tests/test_filesystem_locks.py::test_a_forked_child_shares_no_lock_with_its_parent",
    ),
    Sabotage(
        name="a deferred transaction",
        breaks="a batch that reads before it writes fails on another writer's commit, or waits in vain",
        file="backends/sqlite/write.py",
        old='        self._connection.execute("BEGIN IMMEDIATE")',
        new='        self._connection.execute("BEGIN")',
        test="tests/test_sqlite_locks.py::test_a_batch_keeps_other_writers_out_from_its_first_look",
    ),
    Sabotage(
        name="a checkpoint beside writers",
        breaks="a checkpoint runs while another connection writes: the WAL-reset bug",
        file="backends/sqlite/database.py",
        old="""\
            with self.lock.held(timeout=wait):
                if log""",
        new="""\
            with self.lock.held(shared=True, timeout=wait):
                if log""",
        test="tests/test_sqlite_processes.py::test_nobody_checkpoints_while_somebody_writes",
    ),
    Sabotage(
        name="writers beside a checkpoint",
        breaks="a writer begins while a checkpoint runs: the WAL-reset bug",
        file="backends/sqlite/write.py",
        old="""\
            with self.database.lock.held(shared=True, timeout=max(0.0, end - time.monotonic())):
                return action(connection)""",
        new="            return action(connection)",
        test="tests/test_sqlite_locks.py::test_a_write_holds_the_lock_that_checkpoints_wait_for",
    ),
    Sabotage(
        name="automatic checkpoints",
        breaks="SQLite checkpoints by itself, without the lock: the WAL-reset bug",
        file="backends/sqlite/database.py",
        old="""\
        connection.execute("PRAGMA wal_autocheckpoint = 0")
""",
        new="""\
        connection.execute("PRAGMA wal_autocheckpoint = 1000")
""",
        test="tests/test_sqlite_locks.py::test_connections_never_checkpoint_by_themselves",
    ),
    Sabotage(
        name="the last connection closes without the lock",
        breaks="the checkpoint of a closing connection races with a writer's: the WAL-reset bug",
        file="backends/sqlite/database.py",
        old="""\
            self.lock.acquire(timeout=min(self.timeout, _CLOSING_WAIT))
""",
        new="""\
            self.lock.acquire(shared=True, timeout=min(self.timeout, _CLOSING_WAIT))
""",
        test="tests/test_sqlite_locks.py::test_a_closing_connection_is_alone",
    ),
    Sabotage(
        name="a database is made without the lock",
        breaks="""\
of two processes that make a database at once, one replaces what the other has saved into""",
        file="backends/sqlite/creation.py",
        old="        store.lock.acquire(timeout=min(left, _TURN))",
        new="        store.lock.acquire(shared=True, timeout=min(left, _TURN))",
        test="tests/test_sqlite_locks.py::test_a_database_is_made_by_one_alone",
    ),
    Sabotage(
        name="a late maker replaces the manifest",
        breaks="""\
a process that opened the root before it was a tree puts an empty manifest over the compacted one""",
        file="backends/filesystem/tree.py",
        old="""\
            if not os.path.lexists(self.manifest):
""",
        new="""\
            if not self._exists:
""",
        test="tests/test_filesystem_locks.py::test_who_comes_late_makes_no_second_manifest",
    ),
    Sabotage(
        name="the pin is not waited for",
        breaks="a compaction removes the hot files that a scan has listed",
        file="backends/filesystem/maintaining.py",
        old="""\
            with self._pin().held(timeout=_PATIENCE):
                pass
""",
        new="",
        test="tests/test_filesystem_locks.py::test_a_scan_under_way_keeps_the_files_that_it_has_listed",
    ),
    Sabotage(
        name="segments are swept beside readers",
        breaks="a compaction removes journals and segments that a scan is about to read",
        file="backends/filesystem/maintaining.py",
        old="""\
            with self._pin().held(timeout=_PATIENCE):
                if whole""",
        new="""\
            with self._pin().held(shared=True, timeout=_PATIENCE):
                if whole""",
        test="tests/test_filesystem_locks.py::test_a_scan_that_begins_amid_a_sweep_keeps_its_journals",
    ),
    Sabotage(
        name="two compactions at once",
        breaks="two compactions build the same generation over each other",
        file="backends/filesystem/backend.py",
        old="                self._reserve.freeing(lambda: lock.acquire(timeout=self._timeout))",
        new="""\
                self._reserve.freeing(lambda: lock.acquire(shared=True, timeout=self._timeout))""",
        test="tests/test_filesystem_locks.py::test_one_compaction_at_a_time",
    ),
    Sabotage(
        name="retention fails beside a long compaction",
        breaks="whoever expires records is told that the store is busy while a large day is compacted",
        file="backends/filesystem/backend.py",
        old="""\
            with self._maintained(or_none=True) as maintenance:
                return""",
        new="""\
            with self._maintained() as maintenance:
                return""",
        test="""\
tests/test_filesystem_locks.py::test_what_expires_goes_while_a_compaction_is_at_a_large_day[retention]""",
    ),
    Sabotage(
        name="a removal fails beside a long compaction",
        breaks="whoever removes what is old is told that the store is busy while a large day is compacted",
        file="backends/filesystem/backend.py",
        old="""\
            with self._maintained(or_none=True) as maintenance:
                dropped""",
        new="""\
            with self._maintained() as maintenance:
                dropped""",
        test="""\
tests/test_filesystem_locks.py::test_what_expires_goes_while_a_compaction_is_at_a_large_day[a question]""",
    ),
    Sabotage(
        name="what was removed must be given back at once",
        breaks="retention has removed everything and fails at the end, beside a long compaction",
        file="backends/filesystem/backend.py",
        old="""\
        with suppress(BusyError):
            self.compact(())""",
        new="""\
        self.compact(())""",
        test="""\
tests/test_filesystem_locks.py::test_what_expires_goes_while_a_compaction_is_at_a_large_day[retention]""",
    ),
    Sabotage(
        name="an open session counts as over",
        breaks="a compaction removes the journal into which a session goes on writing",
        file="backends/filesystem/sweeping.py",
        old="""\
    if found.closed:
        return True
    owner""",
        new="""\
    if found.closed or found.hashes:
        return True
    owner""",
        test="""\
tests/test_filesystem_processes.py::test_what_a_session_writes_after_a_compaction_has_looked_stays""",
    ),
    Sabotage(
        name="a spool is claimed without its lock",
        breaks="a drain takes the spool from a process in the middle of a line",
        file="spool.py",
        old="""\
        with lock.held(timeout=_WAIT):
            refuse_unsafe_root(spool)
            rename(spool, path)""",
        new="""\
        refuse_unsafe_root(spool)
        rename(spool, path)""",
        test="tests/test_spool.py::test_nobody_takes_the_spool_from_a_process_that_is_appending",
    ),
    Sabotage(
        name="two drains at once",
        breaks="two processes drain one spool, and each goes by the other's place in it",
        file="spool.py",
        old="""\
            lock.acquire(timeout=0.0)
        except (BusyError""",
        new="""\
            lock.acquire(shared=True, timeout=0.0)
        except (BusyError""",
        test="tests/test_spool.py::test_one_process_drains_at_a_time",
    ),
    Sabotage(
        name="two upkeeps at once",
        breaks="maintenance runs in several processes at once",
        file="maintenance.py",
        old="""\
            lock.acquire(timeout=0.0)
        except BusyError:""",
        new="""\
            lock.acquire(shared=True, timeout=0.0)
        except BusyError:""",
        test="tests/test_filesystem_locks.py::test_one_upkeep_at_a_time[filesystem]",
    ),
)
