"""The names of stores, and where the files beside a store stand."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from moai_patterns.errors import StoreError
from moai_patterns.location import (
    StoreNameError,
    beside,
    default_store,
    in_project,
    in_refuge,
    is_private,
    parse_store,
    refuges,
    spools,
)


@pytest.mark.parametrize(
    ("text", "location"),
    [
        ("file:.moai/patterns", ("filesystem", ".moai/patterns")),
        ("file:/a/b/", ("filesystem", "/a/b")),
        ("file:/", ("filesystem", "/")),
        ("file:C:\\stores\\one", ("filesystem", "C:\\stores\\one")),
        ("file:mit blank: und störe", ("filesystem", "mit blank: und störe")),
        ("sqlite:seen", ("sqlite", "seen.db")),
        ("sqlite:seen.db", ("sqlite", "seen.db")),
        ("memory:", ("memory", "")),
    ],
)
def test_a_name_stands_for_a_backend_and_a_path(text: str, location: tuple[str, str]) -> None:
    """The scheme chooses the backend; a database ends in `.db`."""
    assert parse_store(text) == location


def test_a_tilde_is_the_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    """A settings file, unlike a shell, expands nothing by itself."""
    monkeypatch.setenv("HOME", "/home/who")

    assert parse_store("file:~/seen") == ("filesystem", "/home/who/seen")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "file",
        "seen.db",
        "/a/b",
        "C:\\seen",
        "postgres:x",
        "file:",
        "file:  ",
        "memory:x",
        "memory",
        "FILE:x",
    ],
)
def test_anything_else_is_refused_with_the_forms_there_are(text: str) -> None:
    """A text that names no store is a `StoreError` and a `ValueError`, and says what to write."""
    with pytest.raises(StoreNameError, match=r"names no store: .*(file:PATH|memory:)") as refusal:
        parse_store(text)

    assert isinstance(refusal.value, StoreError)
    assert isinstance(refusal.value, ValueError)


@pytest.mark.parametrize(
    "text", ["file:///a/b", "sqlite:///seen.db", "file:a\0b", "file:a\ud800b", None, 3, b"file:x"]
)
def test_nonsense_is_refused_with_its_reason(text: str) -> None:
    """URLs, NUL, half characters and other types are named for what they are."""
    with pytest.raises(StoreNameError, match="names no store"):
        parse_store(text)


def test_the_default_is_a_tree_in_the_project() -> None:
    """Without a setting it is `.moai/patterns`, of the project where a hook runs, else of the directory."""
    assert default_store({}) == "file:.moai/patterns"
    assert default_store({"CLAUDE_PROJECT_DIR": "/p"}) == "file:/p/.moai/patterns"
    assert default_store({"MOAI_PATTERNS_STORE": "", "CLAUDE_PROJECT_DIR": "/p"}) == "file:/p/.moai/patterns"


def test_a_setting_counts_and_its_relative_path_starts_in_the_project() -> None:
    """All hooks of a project find one store, in whatever directory the agent is."""
    assert default_store({"MOAI_PATTERNS_STORE": "sqlite:a/b"}) == "sqlite:a/b.db"
    assert default_store({"MOAI_PATTERNS_STORE": "sqlite:a", "CLAUDE_PROJECT_DIR": "/p"}) == "sqlite:/p/a.db"
    assert default_store({"MOAI_PATTERNS_STORE": "file:/x", "CLAUDE_PROJECT_DIR": "/p"}) == "file:/x"
    assert in_project("memory:", {"CLAUDE_PROJECT_DIR": "/p"}) == "memory:"
    with pytest.raises(StoreNameError):
        default_store({"MOAI_PATTERNS_STORE": "nonsense"})


def test_files_of_a_store_stand_beside_it() -> None:
    """The suffix goes behind the path that the backend uses."""
    assert beside(("filesystem", "a/b/"), ".spool") == "a/b.spool"
    assert beside(("sqlite", "a/b"), ".log") == "a/b.db.log"
    assert beside(("sqlite", "a/b.db"), ".log") == "a/b.db.log"


def test_refuges_are_the_state_directory_and_the_temporary_files() -> None:
    """A state directory that is no absolute path is left out, as its specification demands."""
    assert refuges({"XDG_STATE_HOME": "/s", "HOME": "/h", "TMPDIR": "/t"})[0] == "/s/moai-patterns"
    assert refuges({"HOME": "/h", "TMPDIR": "/t"}) == [
        "/h/.local/state/moai-patterns",
        f"/t/moai-patterns-{os.getuid()}",
    ]
    assert len(refuges({"XDG_STATE_HOME": "here", "TMPDIR": "/t"})) == 1


def test_a_store_has_one_name_in_a_refuge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Relative, linked and absolute paths to one store agree; others differ; any length fits."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path / "real")
    names = {
        in_refuge(("filesystem", path), "/r") for path in ("a", f"{tmp_path}/real/a", f"{tmp_path}/link/a")
    }
    others = {
        in_refuge(("filesystem", path), "/r")
        for path in ("b", "a/b", "a%2Fb", "ä" * 80 + "b", "ä" * 80 + "c")
    }

    assert len(names) == 1
    assert len(others | names) == 6
    assert all("/" not in name.removeprefix("/r/") and len(name) < 200 for name in others)


def test_only_a_directory_of_ones_own_is_trusted(tmp_path: Path) -> None:
    """What others may write to, and a link, is no refuge."""
    mine, open_to_all, link = tmp_path / "mine", tmp_path / "open", tmp_path / "link"
    mine.mkdir(mode=0o700)
    open_to_all.mkdir()
    open_to_all.chmod(0o777)
    link.symlink_to(mine)

    assert [is_private(str(path)) for path in (mine, open_to_all, link)] == [True, False, False]


def test_spools_are_found_beside_the_store_and_in_the_refuge(tmp_path: Path) -> None:
    """Those with something in them, or in the middle of a drain, are named."""
    environ = {"XDG_STATE_HOME": str(tmp_path / "state"), "TMPDIR": str(tmp_path / "none")}
    location = ("sqlite", str(tmp_path / "a"))
    assert spools(location, environ) == []

    (tmp_path / "a.db.spool").touch()
    (tmp_path / "state/moai-patterns").mkdir(parents=True, mode=0o700)
    draining = Path(in_refuge(location, refuges(environ)[0]) + ".spool.draining")
    draining.mkdir()

    assert spools(location, environ) == [
        str(tmp_path / "a.db.spool"),
        str(draining).removesuffix(".draining"),
    ]
    assert spools(("memory", ""), environ) == []
