"""Fail unless tests take every branch of the modules that decide what is stored and what is found."""

from __future__ import annotations

import io
import sys
from pathlib import Path

from coverage import Coverage

ROOT = Path(__file__).resolve().parent.parent
WHOLE = (
    *("errors", "instant", "identifiers", "records"),
    *("validation/mirror", "validation/registry", "validation/verdict", "validation/compiled", "schema"),
    *("values", "moments", "conditions", "query", "results"),
    *("saving", "session", "asking", "storage"),
)


def main() -> int:
    """Print one line when all is covered, else the report of what is not."""
    modules = [ROOT / "moai_patterns" / f"{name}.py" for name in WHOLE]
    if missing := [path.name for path in modules if not path.is_file()]:
        print("coverage: no such module:", ", ".join(missing), file=sys.stderr)
        return 2
    measured = Coverage()
    measured.load()
    report = io.StringIO()
    total = measured.report(include=[str(path) for path in modules], file=report, show_missing=True)
    if total < 100:
        print(report.getvalue(), "coverage: every branch of these modules needs a test", file=sys.stderr)
        return 1
    print(f"coverage: every line and branch of {len(WHOLE)} modules: {', '.join(WHOLE)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
