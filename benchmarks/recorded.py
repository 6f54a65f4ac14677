"""A payload that an agent really handed to its hook, where recordings lie beside the checkout."""

from __future__ import annotations

import json
from pathlib import Path

from moai_patterns.bench import processes

_RECORDINGS = Path(__file__).resolve().parents[2] / "shared/data/claude-code-hooks/post_tool_use.json"


def payload() -> bytes:
    """Return the recorded payload of median length, or one that is made up like it."""
    try:
        known = json.loads(_RECORDINGS.read_text())
    except FileNotFoundError:
        return processes.payload()
    payloads = sorted((json.dumps(one).encode() for one in known), key=len)
    return payloads[len(payloads) // 2]
