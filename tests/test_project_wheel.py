"""What is released: the wheel, the sdist, and the locks they are tested with."""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
import tomllib
from email import message_from_string
from pathlib import Path
from zipfile import ZipFile

import pytest

from sources import PACKAGE, ROOT, files, relative

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PIN = re.compile(r"^([a-z0-9][a-z0-9._-]*)==(\S+)", re.MULTILINE)


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the sdist of this checkout and the wheel built from that sdist."""
    directory = tmp_path_factory.mktemp("released")
    build: list[str | Path] = [sys.executable, "-m", "build", "--no-isolation", "--outdir", directory, ROOT]
    done = subprocess.run(build, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


@pytest.fixture
def wheel(released: Path) -> ZipFile:
    """The wheel, opened for reading."""
    return ZipFile(next(released.glob("*.whl")))


def pins(lock: str) -> dict[str, str]:
    """The versions that a lock fixes."""
    return dict(PIN.findall((ROOT / ".ci" / lock).read_text(encoding="utf-8")))


def names(requirements: list[str]) -> set[str]:
    """The names of the packages that requirements ask for."""
    return {
        re.split(r"[^A-Za-z0-9._-]", line)[0].lower() for line in requirements if line[:1] not in ("", "#")
    }


def test_the_wheel_holds_the_package_and_the_schemas_and_nothing_else(wheel: ZipFile) -> None:
    """Each file of the package is in the wheel, and schemas/ as moai_patterns/_schemas."""
    with wheel:
        found = {name for name in wheel.namelist() if ".dist-info/" not in name}
    package = {relative(path) for path in files() if path.is_relative_to(PACKAGE)}
    schemas = {
        f"moai_patterns/_{relative(path)}" for path in files() if path.is_relative_to(ROOT / "schemas")
    }
    assert found == package | schemas
    assert "moai_patterns/py.typed" in found
    assert schemas


def test_the_wheel_says_what_it_needs_and_offers(wheel: ZipFile) -> None:
    """The metadata names the dependencies, the lowest Python, the licence and the command."""
    with wheel:
        read = {name.rpartition("/")[2]: name for name in wheel.namelist() if ".dist-info/" in name}
        metadata = message_from_string(wheel.read(read["METADATA"]).decode())
        entries = wheel.read(read["entry_points.txt"]).decode()
    needed = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert names(needed) == names(PROJECT["dependencies"])
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "MIT"
    assert "moai-patterns = moai_patterns.cli:main" in entries
    assert "LICENSE" in read


def test_the_sdist_holds_every_file_of_the_project(released: Path) -> None:
    """Whoever unpacks the sdist has what a clone has, and can run the tests."""
    with tarfile.open(next(released.glob("*.tar.gz"))) as archive:
        found = {name.partition("/")[2] for name in archive.getnames()}
    assert found - {"PKG-INFO"} == {relative(path) for path in files()} - {"PKG-INFO"}


def test_the_two_locks_agree_and_hold_all_that_is_asked_for() -> None:
    """The environment of the demo is part of that of the tests, and neither lacks a package."""
    development, runtime = pins("requirements.lock"), pins("runtime.lock")
    assert runtime.items() <= development.items()
    asked = {
        name: (ROOT / ".ci" / name).read_text().splitlines() for name in ("install.in", "requirements.in")
    }
    needed = names(PROJECT["dependencies"]) | names(asked["install.in"])
    assert needed <= runtime.keys()
    extras = [line for extra in PROJECT["optional-dependencies"].values() for line in extra]
    assert names(extras) | names(asked["requirements.in"]) <= development.keys()


@pytest.mark.parametrize("lock", ["requirements.lock", "runtime.lock"])
def test_a_lock_fixes_the_bytes_of_every_package(lock: str) -> None:
    """Each package has one version for an interpreter, and hashes; where they come from is open."""
    text = (ROOT / ".ci" / lock).read_text(encoding="utf-8")
    packages = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    versions = [line for line in map(str.splitlines, packages) if "python_full_version" not in line[0]]
    assert len(versions) == len({line[0].partition("==")[0] for line in versions})
    assert all("--hash=sha256:" in package for package in packages)
    assert "://" not in text
