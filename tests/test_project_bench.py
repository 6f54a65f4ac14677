"""`make bench` measures what it says; how fast this machine is decides no test."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from sources import ROOT


def test_every_case_is_measured_on_every_persistent_backend(tmp_path: Path) -> None:
    """A run over small stores prints a ratio, a target and a verdict per case and backend."""
    environment = os.environ | {"N": "300", "TMPDIR": str(tmp_path)}
    program = [sys.executable, "-m", "benchmarks"]
    done = subprocess.run(program, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode in (0, 1), done.stderr
    rows = [line for line in done.stdout.splitlines() if "<=" in line]
    assert [
        (row.split()[0], backend) for row in rows for backend in ("filesystem", "sqlite") if backend in row
    ] == [
        ("save", "filesystem"),
        ("streaming", "filesystem"),
        ("save", "sqlite"),
        ("streaming", "sqlite"),
    ]
    assert all((" yes " in row) != (" NO " in row) for row in rows)
    assert list(tmp_path.iterdir()) == []
