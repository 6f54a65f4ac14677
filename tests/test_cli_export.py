"""`export` into a file: whole or not at all, readable by its owner, and nothing special is replaced."""

from __future__ import annotations

import json
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from moai_patterns.errors import StoreError
from moai_patterns.target import written
from samples import sample
from test_cli import lines, run

EXPORT = [sys.executable, "-m", "moai_patterns", "export", "--store", "file:tree"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a store of one record."""
    run("save", "--store", "file:tree", cwd=tmp_path, stdin=lines([sample("a")]))
    return tmp_path


def exported(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return run("export", *words, "--store", "file:tree", cwd=cwd)


def test_an_export_is_for_its_owner_alone(place: Path) -> None:
    """A new file, and one that replaces another, has the mode 0600, as the store has."""
    for _ in range(2):
        assert exported("all.jsonl", cwd=place).returncode == 0
        assert stat.S_IMODE((place / "all.jsonl").stat().st_mode) == 0o600
        (place / "all.jsonl").chmod(0o644)
    assert json.loads((place / "all.jsonl").read_text())["pattern_id"] == "a"


@pytest.mark.skipif(sys.platform == "win32", reason="needs POSIX modes")
def test_an_export_can_be_read_by_its_owner_under_any_umask(tmp_path: Path) -> None:
    """A umask that takes the owner's bits leaves a file of mode 0600 all the same."""
    before = os.umask(0o777)
    try:
        with written(str(tmp_path / "all.jsonl")) as file:
            file.write(b"{}")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "all.jsonl").stat().st_mode) == 0o600


@pytest.mark.parametrize("error", [KeyboardInterrupt, StoreError, ValueError])
def test_what_does_not_come_to_its_end_leaves_the_file_as_it_was(
    tmp_path: Path, error: type[BaseException]
) -> None:
    """Whatever ends it early: the earlier export stays whole, and nothing lies beside it."""
    target = tmp_path / "all.jsonl"
    target.write_text("earlier")

    def fail() -> None:
        with written(str(target)) as file:
            file.write(b"half of")
            file.flush()
            raise error

    with pytest.raises(error):
        fail()
    assert target.read_text() == "earlier"
    assert os.listdir(tmp_path) == ["all.jsonl"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_export_leaves_the_earlier_one(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C, or being told to end, in the middle of a long export; the exit code says so."""
    many = [sample(f"r{n}", agent="x" * 2000) for n in range(4000)]
    run("save", "--durability", "os", "--store", "file:tree", cwd=tmp_path, stdin=lines(many))
    (tmp_path / "all.jsonl").write_text("earlier")
    with subprocess.Popen([*EXPORT, "all.jsonl"], cwd=tmp_path, stderr=subprocess.PIPE, text=True) as process:
        while not (begun := [*tmp_path.glob("all.jsonl.*.tmp")]) and process.poll() is None:
            pass
        process.send_signal(number)
        assert process.stderr
        assert process.stderr.read() == "interrupted\n"
    assert begun
    assert process.returncode == 5
    assert (tmp_path / "all.jsonl").read_text() == "earlier"
    assert sorted(path.name for path in tmp_path.glob("all*")) == ["all.jsonl"]


def test_a_store_that_fails_leaves_the_earlier_export(place: Path) -> None:
    """A wrong question or store replaces nothing."""
    (place / "all.jsonl").write_text("earlier")
    assert exported("all.jsonl", "--where", "nonsense", cwd=place).returncode == 3
    assert run("export", "all.jsonl", "--store", "file:all.jsonl", cwd=place).returncode == 4
    assert (place / "all.jsonl").read_text() == "earlier"


def test_a_place_that_cannot_be_written_is_a_store_error(place: Path) -> None:
    """A directory and a missing one: exit code 4, the place in the message, nothing left behind."""
    (place / "directory").mkdir()
    for target in ("directory", "missing/all.jsonl"):
        failed = exported(target, cwd=place)
        assert failed.returncode == 4
        assert "cannot be written" in failed.stderr
        assert target in failed.stderr
        assert "Traceback" not in failed.stderr
    assert os.listdir(place / "directory") == []
    assert exported("", cwd=place).returncode == 2
    assert not [*place.glob("*.tmp")]


def test_a_pipe_is_written_and_stays_a_pipe(place: Path) -> None:
    """Whoever reads the other end gets the records."""
    pipe = place / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["cat", pipe], stdout=subprocess.PIPE, text=True) as reader:
        assert exported("pipe", cwd=place).returncode == 0
        assert reader.stdout
        assert json.loads(reader.stdout.read())["pattern_id"] == "a"
    assert stat.S_ISFIFO(pipe.stat().st_mode)


@pytest.mark.parametrize("name", ["-", "/dev/stdout", "/dev/fd/1", "link"])
def test_an_open_file_is_written_on_and_not_replaced(place: Path, name: str) -> None:
    """`/dev/stdout` may be a file that is being appended to: what stands in it stays."""
    (place / "link").symlink_to("/dev/stdout")
    (place / "log").write_text("before\n")
    before = (place / "log").stat().st_ino
    with (place / "log").open("a") as log:
        subprocess.run([*EXPORT, name], cwd=place, stdout=log, stderr=subprocess.PIPE, check=True)
    first, second = (place / "log").read_text().splitlines()
    assert (first, json.loads(second)["pattern_id"]) == ("before", "a")
    assert (place / "log").stat().st_ino == before
    assert (place / "link").is_symlink()


def test_a_link_to_a_file_is_followed(place: Path) -> None:
    """The file behind the link is replaced, the link stays."""
    (place / "real").write_text("earlier")
    (place / "link").symlink_to("real")
    assert exported("link", cwd=place).returncode == 0
    assert (place / "link").is_symlink()
    assert json.loads((place / "real").read_text())["pattern_id"] == "a"


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_other_forms_come_back_by_import_file(place: Path, form: str) -> None:
    """The ending says what is written and read; a second time nothing is new, and the report says so."""
    assert exported(f"all.{form}", cwd=place).returncode == 0
    done = run("import", "file", f"all.{form}", "--store", "sqlite:other", "--json", cwd=place)
    told = {"imported": 1, "added": 1, "revised": 0, "unchanged": 0, "skipped": 0}
    assert json.loads(done.stdout) == told
    again = run("import", "file", f"all.{form}", "--known", "skip", "--store", "sqlite:other", cwd=place)
    assert again.stdout == "0 records: 0 new, 0 revised, 0 unchanged, 1 known and left out\n"
    assert exported("some.csv", "--field", "pattern_id", "--field", "data.none", cwd=place).returncode == 0
    assert (place / "some.csv").read_text().splitlines() == ["pattern_id,data.none", "a,"]


def test_an_export_says_how_the_next_goes_on(place: Path) -> None:
    """In the order of arrival, by a cursor that takes in what came since."""
    first = exported("all.jsonl", "--order", "arrival", cwd=place).stderr
    words = first.splitlines()[-1].split()
    assert words[:3] == ["go", "on", "with"]
    since = exported("since.jsonl", *words[3:], cwd=place)
    assert (since.returncode, (place / "since.jsonl").read_text()) == (0, "")
    assert exported("x.xlsx", "--format", "csv", "--field", "source.x", cwd=place).returncode == 3
