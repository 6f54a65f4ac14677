"""The hook in a broken installation, and with secrets: nothing reaches the agent, nothing leaks."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from hooks import ROOT, TOOL_USE, Project
from moai_patterns.collect import faults

SECRET = "ghp_" + "a1B2c3D4e5F6" * 3
STORED_ANYWAY = ("spool", "collect.faults", "collect.matching", "backends.filesystem.backend")
SPOOLED = ("backends.sqlite.write", "backends.sqlite.database", "backends.fileops")
WITHOUT_PAYLOAD = ("collect.redact", "collect.literals")
MAPPED_AS_RAW = ("collect.claude_code", "collect.tool_results", "validation.compiled")
LOST = ("collect.hook", "collect", "lightjson", "location", "errors", "identifiers", "instant")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the package that a test may damage, with its bytecode left out."""
    copied = tmp_path_factory.mktemp("installed")
    shutil.copytree(
        ROOT / "moai_patterns", copied / "moai_patterns", ignore=shutil.ignore_patterns("__pycache__")
    )
    return copied


@pytest.fixture
def project(tmp_store_dir: Path, package: Path) -> Project:
    made = Project(tmp_store_dir, "sqlite")
    made.environ["PYTHONPATH"] = str(package)
    made.environ["PYTHONDONTWRITEBYTECODE"] = "1"
    return made


def broken(package: Path, module: str, how: str) -> tuple[Path, bytes]:
    """Remove a module or put nonsense into it; return what restores it."""
    path = package.joinpath("moai_patterns", *module.split("."))
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    source = path.read_bytes()
    if how == "missing":
        path.unlink()
    else:
        path.write_text("import no_such_module" if how == "import" else "def broken(:")
    return path, source


@pytest.mark.parametrize("how", ["missing", "import", "syntax"])
@pytest.mark.parametrize("module", [*STORED_ANYWAY, *SPOOLED, *WITHOUT_PAYLOAD, *MAPPED_AS_RAW, *LOST])
def test_a_broken_module_never_reaches_the_agent(
    project: Project, package: Path, module: str, how: str
) -> None:
    """Exit code 0 and silence; the record is kept as far as the rest of the package can."""
    path, source = broken(package, module, how)
    try:
        project.hook()
    finally:
        path.write_bytes(source)

    if module in LOST and (module, how) != ("collect", "missing"):  # a package without the file is one too
        return
    if module in SPOOLED[:2]:
        assert project.waiting() == 1
        assert "write: " in project.faults()[0]
        project.hook()
        assert len(project.records()) == 2
    elif module not in SPOOLED:
        (record,) = project.records()
        raw = TOOL_USE["tool_use_id"] in json.dumps(record)
        assert raw == (module not in WITHOUT_PAYLOAD)
        if module in WITHOUT_PAYLOAD + MAPPED_AS_RAW:
            assert record["data"]["reason"].endswith("Error while mapping")


@pytest.mark.parametrize("module", ["collect.claude_code", "backends.sqlite.write", "validation.compiled"])
def test_what_a_module_prints_does_not_get_out(project: Project, package: Path, module: str) -> None:
    """A warning, a trace or a forgotten print of whatever is loaded is not heard."""
    path = package.joinpath("moai_patterns", *module.split(".")).with_suffix(".py")
    source = path.read_bytes()
    noise = b"import os, sys\nos.write(1, b'noise')\nsys.stderr.write('noise')\n"
    try:
        path.write_bytes(source.replace(b"import annotations\n", b"import annotations\n" + noise, 1))
        assert noise in path.read_bytes()
        project.hook()
    finally:
        path.write_bytes(source)

    assert len(project.records()) == 1


@pytest.mark.parametrize(
    "payload",
    [
        {**TOOL_USE, "tool_response": {"stdout": f"token: {SECRET}"}},
        {**TOOL_USE, "tool_response": f"Error: {SECRET}"},
        {**TOOL_USE, SECRET: [SECRET]},
        {"hook_event_name": "UserPromptSubmit", "prompt": f"use {SECRET} please"},
        f'{{"hook_event_name": "Stop", "a": "{SECRET}"'.encode(),
        f'{{"a": "\xe9", "b": "{SECRET}"}}'.encode("latin-1"),
        json.dumps({**TOOL_USE, "tool_response": SECRET}).replace("ghp_", "\\u0067hp_").encode(),
    ],
    ids=["output", "error", "key", "prompt", "torn", "latin-1", "escaped"],
)
@pytest.mark.parametrize("place", ["store", "spool", "refuge"])
def test_a_secret_is_gone_before_the_first_byte_is_written(
    tmp_store_dir: Path, payload: Any, place: str
) -> None:
    """Neither the store nor the spool, the log nor a refuge ever holds it; its family and hash remain."""
    project = Project(tmp_store_dir, "sqlite")
    if place != "store":
        target = Path(project.location[1]) if place == "spool" else project.directory / ".moai"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"no database at all " * 100)
    project.hook(payload)

    assert bool(project.waiting()) == (place != "store")
    assert SECRET.encode() not in project.everything()
    assert SECRET[4:].encode() not in project.everything()
    assert b"[REDACTED:github" in project.everything()


def test_redaction_is_off_only_by_an_explicit_setting(tmp_store_dir: Path) -> None:
    """Whoever switches it off gets the payload as it came."""
    project = Project(tmp_store_dir, "sqlite")
    project.environ["MOAI_PATTERNS_REDACT"] = "off"
    project.hook({**TOOL_USE, "tool_response": SECRET})

    assert project.records()[0]["data"]["tool_response"] == SECRET


def test_the_log_keeps_the_last_faults_and_no_payload(tmp_path: Path) -> None:
    """It tells step, kind and place of an error; the messages of most errors may quote what they choke on."""
    location, environ = ("filesystem", str(tmp_path / "deep/patterns")), {"TMPDIR": str(tmp_path / "tmp")}
    for number in range(2000):
        faults.note(location, "map", ValueError(SECRET), now=number, environ=environ)
    faults.note(location, "write", OSError(28, "No space left", "/where"), now=3000, environ=environ)

    told = faults.recent(location, environ)
    log = tmp_path / "deep/patterns.log"
    assert 0 < len(told) <= faults.KEPT
    assert told[-2]["error"] == "ValueError"
    assert told[-1] == {
        "at": "1970-01-01T00:00:00.003000Z",
        "step": "write",
        "error": "OSError: No space left: /where",
        "where": "",
    }
    assert log.stat().st_size < 100_000
    assert SECRET not in log.read_text()
    assert log.stat().st_mode & 0o777 == 0o600


def test_a_fault_that_cannot_be_logged_beside_the_store_is_logged_in_a_refuge(tmp_path: Path) -> None:
    """Both logs are read together; a torn line is passed over; where nothing can be written, nothing is."""
    location, environ = ("sqlite", str(tmp_path / "deep/patterns.db")), {"TMPDIR": str(tmp_path / "tmp")}
    faults.note(location, "map", ValueError(), now=1, environ=environ)
    log = tmp_path / "deep/patterns.db.log"
    log.write_text(log.read_text() + '{"at": "torn')
    shutil.move(tmp_path / "deep", tmp_path / "away")
    (tmp_path / "deep").write_text("in the way")
    faults.note(location, "write", ValueError(), now=2, environ=environ)
    (tmp_path / "deep").unlink()
    shutil.move(tmp_path / "away", tmp_path / "deep")
    assert [fault["step"] for fault in faults.recent(location, environ)] == ["map", "write"]

    shutil.rmtree(tmp_path / "deep")
    shutil.rmtree(tmp_path / "tmp")
    (tmp_path / "deep").touch()
    (tmp_path / "tmp").touch()
    faults.note(location, "write", ValueError(), now=3, environ=environ)
    assert faults.recent(location, environ) == []


@pytest.mark.parametrize("module", MAPPED_AS_RAW)
def test_a_payload_that_cannot_be_mapped_keeps_no_secret(
    project: Project, package: Path, module: str
) -> None:
    """What is stored as text because the mapping is broken is redacted before."""
    path, source = broken(package, module, "import")
    try:
        project.hook({**TOOL_USE, "tool_response": {"stdout": f"token: {SECRET}"}})
    finally:
        path.write_bytes(source)
    assert SECRET.encode() not in project.everything()
    assert b"[REDACTED:github" in project.everything()
