"""Files of the wrong mode, in the wrong place, or that are no files."""

from __future__ import annotations

from torture.sabotages.sabotage import Sabotage

SABOTAGES = (
    Sabotage(
        name="readable for everybody",
        breaks="records can be read by every user of the machine",
        file="backends/fileops.py",
        old="_FILE = 0o600",
        new="_FILE = 0o644",
        test="tests/test_filesystem_faults.py::test_any_umask_gives_private_files",
    ),
    Sabotage(
        name="the umask decides about files",
        breaks="under a strict umask the owner cannot read what was stored",
        file="backends/fileops.py",
        old="""\
                os.fchmod(descriptor, _FILE)
""",
        new="""\
                pass
""",
        test="tests/test_filesystem_faults.py::test_any_umask_gives_private_files",
    ),
    Sabotage(
        name="the umask decides about directories",
        breaks="under a strict umask nothing can be stored in a directory that was just made",
        file="backends/fileops.py",
        old="""\
            if os.name == "posix" and stat.S_IMODE(os.stat(path).st_mode) & _DIRECTORY != _DIRECTORY:
                os.chmod(path, _DIRECTORY)  # the umask took bits that the owner needs
""",
        new="",
        test="tests/test_filesystem_faults.py::test_any_umask_gives_private_files",
    ),
    Sabotage(
        name="symbolic links are followed",
        breaks="a link in the place of a file leads out of the store",
        file="backends/fileops.py",
        old="""\
    | getattr(os, "O_NOFOLLOW", 0)
""",
        new="",
        test="""\
tests/test_spool.py::test_what_cannot_be_written_beside_the_store_waits_in_a_refuge[link]""",
    ),
    Sabotage(
        name="a short write is whole",
        breaks="a write that the system took in part is acknowledged",
        file="backends/fileops.py",
        old="""\
    written = os.write(descriptor, data)
    while written < len(data):
        written += os.write(descriptor, memoryview(data)[written:])


def read_at""",
        new="""\
    os.write(descriptor, data)


def read_at""",
        test="tests/test_filesystem_faults.py::test_a_disk_that_fills_up_at_any_byte[session]",
    ),
    Sabotage(
        name="a short append is whole",
        breaks="a line of the spool that a full disk has cut is taken for stored",
        file="backends/fileops.py",
        old="""\
        if written < len(data):
            raise OSError(errno.ENOSPC""",
        new="""\
        if written < 1:
            raise OSError(errno.ENOSPC""",
        test="tests/test_spool.py::test_a_disk_that_fills_up_in_the_middle_of_a_line_loses_nothing",
    ),
    Sabotage(
        name="the rest of a failed file stays",
        breaks="a full disk is filled further by what could not be written",
        file="backends/fileops.py",
        old="""\
    except BaseException:
        os.close(descriptor)
        remove(path)
        raise
    os.close(descriptor)""",
        new="""\
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)""",
        test="tests/test_filesystem_faults.py::test_a_disk_that_fills_up_at_any_byte[session]",
    ),
    Sabotage(
        name="a failed publication leaves its draft",
        breaks="temporary files pile up with each save that is refused",
        file="backends/filesystem/write.py",
        old="""\
        except BaseException:
            fileops.remove(temporary)
            raise
        if self._sync:
            self.sync_directory(os.path.dirname(target))""",
        new="""\
        except BaseException:
            raise
        if self._sync:
            self.sync_directory(os.path.dirname(target))""",
        test="tests/test_filesystem_faults.py::test_a_disk_that_fills_up_at_any_byte[save]",
    ),
    Sabotage(
        name="drafts of others are removed",
        breaks="a compaction removes the file that a writer is about to publish",
        file="backends/filesystem/sweeping.py",
        old="_GRACE = 3600.0",
        new="_GRACE = 0.0",
        test="tests/test_filesystem_faults.py::test_old_temporary_files_go_and_new_ones_stay",
    ),
    Sabotage(
        name="ids become paths",
        breaks="an id with dots and slashes leads out of the tree",
        file="backends/filesystem/names.py",
        old="""\
    if not (begin.isascii() and begin.isalnum()):
        begin = escape(begin)""",
        new='    begin = begin.replace("/", "-")',
        test="tests/test_filesystem_tree.py::test_ids_that_are_paths_stay_below_the_root",
    ),
    Sabotage(
        name="kinds that are called like short names",
        breaks="a kind called task comes back as task_completion",
        file="backends/filesystem/names.py",
        old='    return "~" + kind if kind in _LONG else "_".join',
        new='    return "_".join',
        test="tests/test_filesystem_tree.py::test_kinds_called_like_short_names_keep_their_name",
    ),
    Sabotage(
        name="a newer layout is written",
        breaks="a store of a later version is changed by rules that are not its own",
        file="backends/filesystem/tree.py",
        old="        if start.startswith(b'{\"layout\":') and found.isdigit():",
        new="        if start.startswith(b'{\"layout\":') and found.isdigit() and int(found) < LAYOUT:",
        test="""\
tests/test_bad_input_stores.py::test_a_newer_layout_is_refused_and_left_alone[filesystem]""",
    ),
    Sabotage(
        name="a link to a database is followed",
        breaks="a symbolic link leads a writer out of the store",
        file="backends/sqlite/database.py",
        old="""\
        found = os.lstat(path)
    except FileNotFoundError:""",
        new="""\
        found = os.stat(path)
    except FileNotFoundError:""",
        test="tests/test_sqlite_file.py::test_what_is_no_store_is_refused_and_left_alone",
    ),
    Sabotage(
        name="a foreign directory becomes a store",
        breaks="a directory with several other things in it is filled with the files of a store",
        file="backends/filesystem/tree.py",
        old="""\
        if inside & _PARTS:
            return True
""",
        new="""\
        if inside & _PARTS or len(inside) > 1:
            return True
""",
        test="tests/test_filesystem_steps.py::test_a_directory_with_other_things_in_it_is_left_alone",
    ),
)
