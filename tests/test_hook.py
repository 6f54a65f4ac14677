"""The hook: a payload of the agent becomes stored records, and the agent hears nothing of it."""

from __future__ import annotations

import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hooks import HOOK, START, TOOL_USE, Project
from moai_patterns.instant import instant


@pytest.fixture(params=["filesystem", "sqlite"])
def project(request: pytest.FixtureRequest, tmp_store_dir: Path) -> Project:
    """A project with a store of each backend in turn."""
    return Project(tmp_store_dir, request.param)


@pytest.fixture
def sqlite_project(tmp_store_dir: Path) -> Project:
    return Project(tmp_store_dir, "sqlite")


def test_a_payload_becomes_a_record_with_its_own_id_and_time(project: Project) -> None:
    """The record is stamped when it is captured: a UUID of version 7 and microseconds in UTC."""
    before = time.time_ns() // 1000
    project.hook()
    after = time.time_ns() // 1000

    (record,) = project.records()
    meta = record["_meta"]
    assert record["pattern_type"] == "tool_use"
    assert record["data"]["tool_input"] == TOOL_USE["tool_input"]
    assert record["context"]["session_id"] == TOOL_USE["session_id"]
    assert before <= instant(record["timestamp"]) == meta["instant"] == meta["recorded_at"] <= after
    assert (meta["revision"], meta["operation"]) == (1, "save")
    identity = uuid.UUID(record["pattern_id"])
    assert (identity.version, identity.int >> 80) == (7, meta["instant"] // 1000)
    assert project.faults() == []


def test_each_call_is_a_new_record(project: Project) -> None:
    """The same payload twice is two events."""
    project.hook()
    project.hook()

    assert len({record["pattern_id"] for record in project.records()}) == 2


def test_the_records_of_one_payload_come_together(project: Project) -> None:
    """A failed result gives a tool use and an error derived from it, both stored."""
    project.hook({**TOOL_USE, "tool_response": "Error: Exit code 1\nno such file"})

    assert [record["pattern_type"] for record in project.records()] == ["tool_use", "error_occurrence"]
    assert project.faults() == []


@pytest.mark.parametrize(
    "raw",
    [
        b"garbage",
        b'{"hook_event_name": "Stop"',
        b"null",
        b"[]",
        b"3",
        b'"text"',
        b"{}",
        b'{"hook_event_name": "Never heard of", "a": 1}',
        b'{"hook_event_name": 3}',
        b'{"hook_event_name": "PostToolUse"}',
        b"\xff\xfe{\x00}\x00",
        b'{"a": "\xe9"}',
        b"\x00",
        b'\xef\xbb\xbf{"hook_event_name": "Stop"}',
        b'{"a": "\\ud800"}',
        b'{"a": 99999999999999999999}',
        b'{"a": NaN}',
        b'{"a": 1, "a": 2}',
        b"[" * 100_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
    ],
    ids=lambda raw: repr(raw[:30]),
)
def test_whatever_comes_in_is_kept_and_nothing_comes_out(sqlite_project: Project, raw: bytes) -> None:
    """Broken, strange and unknown payloads are one record each; the process ends with 0 and says nothing."""
    sqlite_project.hook(raw)

    assert len(sqlite_project.records()) == 1
    assert sqlite_project.faults() == []


@pytest.mark.parametrize("raw", [b"", b" \n\t"])
def test_nothing_is_no_event(sqlite_project: Project, raw: bytes) -> None:
    """An empty standard input leaves no trace."""
    sqlite_project.hook(raw)

    assert sqlite_project.records() == []
    assert list(sqlite_project.directory.iterdir()) == []


def test_a_payload_of_twenty_megabytes_goes_in_whole(project: Project) -> None:
    """A tool may return much; all of it is stored."""
    text = "line of a large file\n" * 1_000_000
    project.hook({**TOOL_USE, "tool_response": {"stdout": text}})

    (record,) = project.records()
    assert record["data"]["tool_response"]["stdout"] == text


def test_what_is_beyond_the_limit_is_read_and_named(sqlite_project: Project) -> None:
    """The agent never writes into a closed pipe, and the record says how much there was."""
    size = 70 << 20
    sqlite_project.hook(b'{"hook_event_name": "Stop", "a": "' + b"x" * size)

    (record,) = sqlite_project.records()
    assert record["data"]["reason"] == f"cut off: the payload has {size + 34} bytes, {64 << 20} are kept"
    assert len(record["data"]["raw"]) == 64 << 20


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-", ">/dev/full 2>&1"])
def test_closed_and_full_descriptors_do_not_matter(project: Project, closed: str) -> None:
    """A missing input is no event; a missing output is not needed; no file of the store gets its number."""
    project.hook(command=["sh", "-c", f'exec "$@" {closed}', "sh", *HOOK])

    expected = 0 if "<&-" in closed else 1
    assert len(project.records()) == expected
    assert project.faults() == []


def test_a_broken_pipe_behind_it_does_not_matter(project: Project) -> None:
    """An agent that has gone away in the meantime costs no record."""
    reading, writing = os.pipe()
    os.close(reading)
    with project.start(stdout=writing, stderr=writing) as process:
        process.communicate(json.dumps(TOOL_USE).encode())
    os.close(writing)

    assert process.returncode == 0
    assert len(project.records()) == 1


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("sent", [b"", b'{"hook_event_name": "Stop"'])
def test_a_signal_while_it_waits_ends_it_in_peace(
    sqlite_project: Project, number: signal.Signals, sent: bytes
) -> None:
    """Interrupted before the payload is whole, it keeps what has come and exits 0 without a word."""
    with sqlite_project.start() as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        process.stdin.write(sent)
        process.stdin.flush()
        wait_until(lambda: is_waiting(process.pid))
        process.send_signal(number)
        told = process.stdout.read() + process.stderr.read()

    assert (process.returncode, told) == (0, b"")
    kept = [record["data"]["raw"] for record in sqlite_project.records()]
    assert kept == ([sent.decode()] if sent else [])


@pytest.mark.parametrize("raw", [b"\xef\xbb\xbf{}", b'[{"a": 1}]', b'{"a"', b"\xff"])
def test_whatever_comes_is_captured_although_the_pipe_stays_open(sqlite_project: Project, raw: bytes) -> None:
    """Also what is no clean JSON object is kept before the agent loses its patience."""
    with sqlite_project.start() as process:
        assert process.stdin
        process.stdin.write(raw)
        process.stdin.flush()
        assert process.wait(timeout=60) == 0

    assert len(sqlite_project.records()) == 1


def test_a_payload_is_captured_although_the_pipe_stays_open(sqlite_project: Project) -> None:
    """Some versions of the agent never close it at the end of a session."""
    with sqlite_project.start() as process:
        assert process.stdin
        process.stdin.write(json.dumps({**TOOL_USE, "hook_event_name": "SessionEnd"}).encode())
        process.stdin.flush()
        assert process.wait(timeout=60) == 0

    assert len(sqlite_project.records()) == 1


def test_a_payload_that_comes_in_pieces_is_captured_whole(sqlite_project: Project) -> None:
    """A pause after a brace is no end while the document is open."""
    raw = json.dumps({"a": {"b": 1}, **TOOL_USE}).encode()
    cut = raw.index(b"}") + 1
    with sqlite_project.start() as process:
        assert process.stdin
        for piece in (raw[:cut], raw[cut : cut + 9], raw[cut + 9 :]):
            process.stdin.write(piece)
            process.stdin.flush()
            time.sleep(0.3)  # longer than the silence that ends a whole document
        process.stdin.close()
        assert process.wait() == 0

    (record,) = sqlite_project.records()
    assert record["data"]["tool_response"] == TOOL_USE["tool_response"]


def test_sixty_four_hooks_at_once_are_all_there(project: Project) -> None:
    """Many calls of tools end at the same moment: every record arrives, through the spool if need be."""
    processes = [project.start() for _ in range(64)]
    for number, process in enumerate(processes):
        assert process.stdin
        process.stdin.write(json.dumps({**TOOL_USE, "tool_use_id": f"toolu_{number}"}).encode())
        process.stdin.close()
    for process in processes:
        with process:
            assert process.stdout
            assert process.stderr
            told = process.stdout.read() + process.stderr.read()
        assert (process.returncode, told) == (0, b"")
    while project.waiting():  # a crowded machine may make one wait for more than half a second
        project.hook({"hook_event_name": "Setup"})

    uses = [record for record in project.records() if record["pattern_type"] == "tool_use"]
    assert {record["data"]["tool_use_id"] for record in uses} == {f"toolu_{number}" for number in range(64)}
    assert len(uses) == 64


def test_a_locked_store_makes_the_record_wait_in_the_spool(project: Project) -> None:
    """Half a second for the lock of another writer, then the spool; the next hook drains it."""
    project.hook()
    with held(project):
        project.hook({"hook_event_name": "Setup", "trigger": "init"})
        assert project.waiting() == 1
    (fault,) = project.faults()
    assert re.search(r"BusyError: .* (0\.[0-4]|0\.5 s|all the time)", fault)

    project.hook({"hook_event_name": "Notification", "message": "m"})
    assert project.waiting() == 0
    events = [record["context"]["metadata"]["event"] for record in project.records()]
    assert events == ["PostToolUse", "Notification", "Setup"]


@pytest.mark.parametrize("obstacle", ["a file", "no database", "a newer layout"])
def test_an_unusable_store_makes_records_wait_until_it_is_usable(project: Project, obstacle: str) -> None:
    """Whatever lies where the store should be: after the repair the next hook brings them in."""
    moai = project.directory / ".moai"
    store = Path(project.location[1])
    if obstacle == "a file":
        moai.write_text("in the way")
    elif project.location[0] == "sqlite":
        moai.mkdir()
        store.write_bytes(b"no database at all " * 100)
    elif obstacle == "no database":
        moai.mkdir()
        store.write_text("no directory")
    else:
        store.mkdir(parents=True)
        (store / "index.json").write_text('{"layout":99,"days":{}}')
    for number in range(3):
        project.hook({**TOOL_USE, "tool_use_id": f"toolu_{number}"})
    assert project.waiting() == 3
    assert len(project.faults()) == 3

    if obstacle == "a file":
        moai.unlink()
    elif store.is_dir():
        (store / "index.json").unlink()
    else:
        store.unlink()
    project.hook({**TOOL_USE, "tool_use_id": "toolu_3"})
    assert project.waiting() == 0
    uses = [record["data"]["tool_use_id"] for record in project.records()]
    assert uses == ["toolu_3", "toolu_0", "toolu_1", "toolu_2"]


def test_a_hook_drains_only_a_part_of_a_long_spool(project: Project) -> None:
    """After a long fault no single call pays for everything."""
    from moai_patterns.collect.hook import DRAINED
    from moai_patterns.spool import put

    for number in range(DRAINED + 5):
        put(project.location, [waiting_record(number)], project.environ)
    project.hook()
    assert project.waiting() == 5
    project.hook()
    assert project.waiting() == 0
    assert len(project.records()) == DRAINED + 7


@pytest.mark.parametrize("name", ["nonsense", "postgres:x", "memory:", "file:", "file:a\udcffb"])
def test_a_wrong_store_name_costs_no_record(sqlite_project: Project, name: str) -> None:
    """The record waits beside the default store of the project, and the log says why."""
    sqlite_project.environ["MOAI_PATTERNS_STORE"] = name
    sqlite_project.hook()
    default = Project(sqlite_project.directory, "filesystem")

    assert sqlite_project.records() == []
    if "\udcff" in name:
        made = {path.name for path in sqlite_project.directory.iterdir()}
        assert made == {"a\udcffb", "a\udcffb.reserve"}  # any bytes but NUL are a path here
    else:
        assert default.waiting() == 1
        assert "StoreNameError" in default.faults()[0] or "in memory" in default.faults()[0]


def limited(kind: int, size: int) -> Callable[[], None]:
    return lambda: resource.setrlimit(kind, (size, size))


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_FSIZE, 300),
        (resource.RLIMIT_AS, 64 << 20),
    ],
)
def test_a_full_disk_and_exhausted_limits_do_not_reach_the_agent(
    project: Project, kind: int, size: int
) -> None:
    """Where nothing at all can be written or opened, the record is lost and the agent still hears nothing."""
    project.hook({**TOOL_USE, "tool_response": "x" * 8_000_000}, preexec_fn=limited(kind, size))
    project.hook()

    assert TOOL_USE["tool_use_id"] in [record["data"].get("tool_use_id") for record in project.records()]


@pytest.mark.parametrize(
    "arguments",
    [
        ["hook", "claude-code", "--store", "sqlite:other"],
        ["hook", "claude-code", "--store=sqlite:other.db"],
        ["--store", "sqlite:other", "hook", "claude-code"],
        ["--store=sqlite:other", "hook", "claude-code", "--unknown", "word"],
    ],
)
def test_the_store_may_be_named_before_and_behind(sqlite_project: Project, arguments: list[str]) -> None:
    """A relative path counts from the project, not from the directory the agent is in."""
    elsewhere = sqlite_project.directory / "deep"
    elsewhere.mkdir()
    sqlite_project.hook(command=[*START, *arguments], cwd=elsewhere)

    assert list(elsewhere.iterdir()) == []
    sqlite_project.location = ("sqlite", str(sqlite_project.directory / "other.db"))
    assert len(sqlite_project.records()) == 1


def test_without_a_setting_the_store_is_the_projects_own(tmp_store_dir: Path) -> None:
    """It is the tree `.moai/patterns` in the project."""
    project = Project(tmp_store_dir, "filesystem")
    del project.environ["MOAI_PATTERNS_STORE"]
    project.hook()

    assert len(project.records()) == 1


def test_a_working_directory_that_is_gone_does_not_matter(project: Project, tmp_path: Path) -> None:
    """The agent may have removed the directory it is in; the project is named by its own variable."""
    gone = tmp_path / "gone"
    gone.mkdir()
    project.hook(command=["sh", "-c", 'rmdir "$PWD" && exec "$@"', "sh", *HOOK], cwd=gone)

    assert not gone.exists()
    assert len(project.records()) == 1
    assert project.faults() == []


def test_help_is_for_people(sqlite_project: Project) -> None:
    """With --help the command explains itself instead of waiting for a payload."""
    with sqlite_project.start([*HOOK, "--help"]) as process:
        told, _ = process.communicate(b"")

    assert b"claude-code" in told
    assert list(sqlite_project.directory.iterdir()) == []


def test_a_module_started_by_name_is_the_same_command(sqlite_project: Project) -> None:
    """`python -m moai_patterns hook claude-code` captures too."""
    sqlite_project.hook(command=[START[0], "-m", "moai_patterns", "hook", "claude-code"])

    assert len(sqlite_project.records()) == 1


def test_real_payloads_go_in(project: Project, shared_data: Path) -> None:
    """Of each recorded event a few payloads, a process for each: none is spooled, none refused."""
    sent: list[Any] = []
    for recording in sorted((shared_data / "claude-code-hooks").glob("*.json")):
        payloads = json.loads(recording.read_text())
        sent += payloads[:: max(1, len(payloads) // 4)]
    for payload in sent:
        project.hook(payload)

    primary = [record for record in project.records() if "primary" not in record["context"]["metadata"]]
    assert len(primary) == len(sent) > 20
    assert (project.waiting(), project.faults()) == (0, [])


def waiting_record(number: int) -> dict[str, Any]:
    stamp = "2025-11-29T01:00:00.250000Z"
    meta = {"instant": instant(stamp), "revision": 1, "recorded_at": instant(stamp), "operation": "save"}
    data = {"event": "Setup"}
    return {
        "pattern_id": f"waiting-{number}",
        "pattern_type": "hook_event",
        "timestamp": stamp,
        "data": data,
        "_meta": meta,
    }


def held(project: Project) -> Any:
    """The lock that keeps writers out of a store."""
    backend, path = project.location
    if backend == "filesystem":
        from moai_patterns.backends.filesystem.tree import Tree

        return Tree(path).lock.held()
    from moai_patterns.backends.sqlite.write import TableWriter

    return TableWriter(path).database.lock.held()


def wait_until(happens: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not happens():
        assert time.monotonic() < end
        time.sleep(0.005)


def is_waiting(pid: int) -> bool:
    """Whether a process sleeps in a read of its standard input, or in the poll for more of it."""
    told = subprocess.run(["cat", f"/proc/{pid}/syscall"], capture_output=True, text=True, check=False).stdout
    return told.startswith(("0 0x0 ", "7 "))


def test_a_working_directory_that_is_gone_costs_no_record(project: Project, tmp_path: Path) -> None:
    """Where the default store cannot even be named, the record waits in a refuge."""
    gone = tmp_path / "gone"
    gone.mkdir()
    environ = {name: value for name, value in project.environ.items() if name != "CLAUDE_PROJECT_DIR"}
    del environ["MOAI_PATTERNS_STORE"]
    command = f"cd {gone} && rmdir {gone} && exec {sys.executable} -m moai_patterns hook claude-code"
    done = subprocess.run(
        ["sh", "-c", command],
        env=environ,
        input=b'{"hook_event_name": "Stop"}',
        capture_output=True,
        check=True,
    )

    assert (done.stdout, done.stderr) == (b"", b"")
    (spool,) = Path(environ["HOME"]).rglob("*.spool")
    assert b"Stop" in spool.read_bytes()


def test_a_directory_that_can_never_be_made_costs_no_record(project: Project) -> None:
    """A store below a place that takes no directories is a fault like any other."""
    project.environ["MOAI_PATTERNS_STORE"] = "file:/proc/nowhere/store"
    project.hook({"hook_event_name": "Stop"})

    (spool,) = Path(project.environ["HOME"]).rglob("*.spool")
    assert b"Stop" in spool.read_bytes()
