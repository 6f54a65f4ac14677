"""Captures that vanish: the spool, its quarantine, and the hook before it."""

from __future__ import annotations

from torture.sabotages.sabotage import Sabotage

SABOTAGES = (
    Sabotage(
        name="a hook spools only what the medium refuses",
        breaks="a capture is lost in silence when a module of the store is broken",
        file="collect/hook.py",
        old="""\
        except Exception as error:  # noqa: BLE001  an import, the medium, a lock: the record must \
wait
            self._spool(records, error)""",
        new="""\
        except OSError as error:
            self._spool(records, error)""",
        test="""\
tests/test_hook_broken.py::test_a_broken_module_never_reaches_the_agent[backends.sqlite.write-missing]""",
    ),
    Sabotage(
        name="a hook only notes what it could not store",
        breaks="a capture that the store cannot take is lost",
        file="collect/hook.py",
        old="""\
            put(self._location, records, self._environ)
        finally:""",
        new="""\
            if not isinstance(error, StoreError):
                put(self._location, records, self._environ)
        finally:""",
        test="tests/test_hook.py::test_a_locked_store_makes_the_record_wait_in_the_spool[sqlite]",
    ),
    Sabotage(
        name="a wrong store name costs the record",
        breaks="a capture with a store name that means nothing is lost",
        file="collect/hook.py",
        old="""\
            if self._unusable is not None:
                raise self._unusable
""",
        new="""\
            if self._unusable is not None:
                return
""",
        test="tests/test_hook.py::test_a_wrong_store_name_costs_no_record[postgres:x]",
    ),
    Sabotage(
        name="a hook fails its agent",
        breaks="a fault of a capture blocks the agent",
        file="collect/hook.py",
        old="""\
    finally:
        os._exit(0)  # also swallows""",
        new="""\
    except Exception:
        os._exit(1)
    finally:
        os._exit(0)  # also swallows""",
        test="""\
tests/test_hook_broken.py::test_a_broken_module_never_reaches_the_agent[backends.fileops-syntax]""",
    ),
    Sabotage(
        name="a payload ends at the first pause",
        breaks="a payload that comes in pieces is captured in part",
        file="collect/hook.py",
        old="""\
            if _is_whole(b"".join(pieces)) or _is_silent(descriptor, _PATIENCE - _SILENCE):
                break""",
        new="            break",
        test="tests/test_hook.py::test_a_payload_that_comes_in_pieces_is_captured_whole",
    ),
    Sabotage(
        name="a torn line takes the next with it",
        breaks="a batch that is spooled behind a torn line cannot be read",
        file="spool.py",
        old='            append(path, line if _ends_whole(path) else b"\\n" + line)',
        new="            append(path, line)",
        test="tests/test_spool.py::test_a_disk_that_fills_up_in_the_middle_of_a_line_loses_nothing",
    ),
    Sabotage(
        name="a torn line is dropped",
        breaks="a line of the spool that cannot be read is lost without a trace",
        file="spool.py",
        old="""\
                self._set_aside({"reason": "torn or damaged", "line": line.decode("utf-8", \
"replace")})""",
        new="                return True",
        test="""\
tests/test_spool.py::test_a_line_that_cannot_be_read_is_set_aside_and_the_others_go_in[{"attempts": \
0, "records": [{"pattern_id": "x"}]}]""",
    ),
    Sabotage(
        name="a known id is enough",
        breaks="a spooled record whose id the store has with other content is lost without a trace",
        file="spool.py",
        old="""\
            if not _has(self._location, records):
                reason""",
        new="""\
            if not records:
                reason""",
        test="tests/test_spool_refusals.py::test_a_known_id_with_other_content_is_set_aside",
    ),
    Sabotage(
        name="the first of a batch is enough",
        breaks="of a spooled batch that the store has in part the rest is lost",
        file="spool.py",
        old="""\
        return all(
            any(same""",
        new="""\
        return any(
            any(same""",
        test="""\
tests/test_spool_refusals.py::test_a_batch_of_which_the_store_has_a_part_is_set_aside_whole""",
    ),
    Sabotage(
        name="a full disk is a refusal",
        breaks="records go into the quarantine because the disk was full five times",
        file="spool.py",
        old="""\
        "ENOSPC",
""",
        new="",
        test="tests/test_spool.py::test_a_fault_of_the_medium_counts_against_no_record[fault1]",
    ),
    Sabotage(
        name="a lock is a refusal",
        breaks="records go into the quarantine because the store was busy five times",
        file="spool.py",
        old="""\
    if isinstance(error, (BusyError, ReadOnlyError, LayoutError, DamageError, ImportError)):""",
        new="    if isinstance(error, (ReadOnlyError, LayoutError, DamageError, ImportError)):",
        test="tests/test_spool.py::test_a_fault_of_the_medium_counts_against_no_record[fault0]",
    ),
    Sabotage(
        name="refused for ever",
        breaks="a record that the store never takes is offered again and again",
        file="spool.py",
        old="""\
            attempts = entry["attempts"] + 1
""",
        new="""\
            attempts = entry["attempts"]
""",
        test="""\
tests/test_spool.py::test_what_is_refused_again_and_again_is_set_aside_with_its_reason[fault0]""",
    ),
    Sabotage(
        name="the newest first",
        breaks="what waits in a drain that was killed goes in behind what came later",
        file="spool.py",
        old="        for find in (_claimed, _claim):",
        new="        for find in (_claim, _claimed):",
        test="tests/test_spool.py::test_a_drain_with_a_limit_goes_on_where_it_stopped",
    ),
    Sabotage(
        name="a drain with a limit begins anew",
        breaks="a hook drains the same batches of a long spool each time",
        file="spool.py",
        old="""\
        elif end != offset:
""",
        new="""\
        elif end > offset + _PORTION:
""",
        test="tests/test_spool.py::test_a_drain_with_a_limit_goes_on_where_it_stopped",
    ),
    Sabotage(
        name="half done is done",
        breaks="what a drain with a limit has not come to is removed",
        file="spool.py",
        old="""\
            if enough or not self._take(line):
                return end, False""",
        new="""\
            if enough or not self._take(line):
                return end, enough""",
        test="tests/test_spool.py::test_a_drain_with_a_limit_goes_on_where_it_stopped",
    ),
    Sabotage(
        name="anybody's refuge",
        breaks="a spool among the temporary files that somebody else has put there is drained",
        file="location.py",
        old="    return (facts.st_mode & 0o170022, facts.st_uid) == (0o040000, os.getuid())",
        new="    return facts.st_mode & 0o170000 == 0o040000",
        test="""\
tests/test_spool.py::test_the_temporary_files_are_the_last_refuge_and_nobody_else_may_write_there""",
    ),
    Sabotage(
        name="a spool stays when its storage is busy with other things",
        breaks="what waits beside a store is taken in only when a storage is opened",
        file="storage.py",
        old="""\
        if self._spool is not None and (os.access(self._spool, os.F_OK) or time.monotonic() > \
self._look):""",
        new="        if self._spool is not None and time.monotonic() > self._look:",
        test="tests/test_saving.py::test_a_save_takes_in_what_waits[filesystem]",
    ),
    Sabotage(
        name="a failing drain fails the save",
        breaks="a save that is stored is reported as failed",
        file="storage.py",
        old="""\
        except Exception as fault:  # noqa: BLE001  whatever it is, the save before it is \
acknowledged""",
        new="        except PatternError as fault:",
        test="tests/test_saving.py::test_a_spool_that_cannot_be_drained_harms_no_save[filesystem]",
    ),
)
