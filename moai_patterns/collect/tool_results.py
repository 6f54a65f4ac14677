"""What the result of a tool call says: failed, refused with a word, changed by the user.

One reading for hooks and transcripts. The capture process imports this module, so it is light.
"""

from __future__ import annotations

from moai_patterns.lightjson import dumps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Record = dict[str, Any]
    Derived = tuple[str, Record, list[str]]

AGENT = "claude-code"
EXCERPT = 4_096  # characters of a message that stands in full in the record it is derived from
_TAG = 200
_LARGEST = 2**63 - 1
_FLAGS = (("is_error", True), ("isError", True), ("success", False))
_INTERRUPTED = ("interrupted", "wasInterrupted")
_REFUSED = ("The user doesn't want to", "User rejected tool use", "[Request interrupted by user")
_SAID = ("the user said:", "reason for the rejection:")
_OUTPUTS = (
    ("new_string", "newString"),
    ("content", "content"),
    ("new_source", "new_source"),
    ("edits", "edits"),
    ("plan", "plan"),
    ("command", "command"),
)


def failure(response: Any) -> str | None:
    """Return the message of a tool response that says it failed, None for any other.

    >>> failure({"success": False, "error": "no such file"})
    'no such file'
    >>> failure({"stdout": "", "stderr": "warning: unused"}) is None
    True
    """
    if isinstance(response, str):
        return response if response.startswith(("Error: ", "<tool_use_error>")) else None
    if not isinstance(response, dict):
        return None
    said = response.get("error")
    if isinstance(said, str) and said:
        return said
    if any(response.get(flag) is value for flag, value in _FLAGS):
        return plain_text(response.get("content") or response.get("stderr") or response.get("stdout"))
    if any(response.get(flag) is True for flag in _INTERRUPTED):
        return plain_text(response.get("stderr")) or "interrupted"
    return None


def derive(call: Record, message: str | None) -> Iterator[Derived]:
    """Yield what follows from a tool call: kind, data and the members that were assumed.

    `call` is the data of a `tool_use`, `message` the text of its failure or None. A refusal with
    feedback is a `user_correction`, any other failure an `error_occurrence`; an output that the user
    changed is a `user_correction`.
    """
    if message is not None:
        feedback = refusal(message)
        if feedback:
            data = _correction(call, "refusal", "")
            yield "user_correction", {**data, "user_feedback": feedback}, ["data.corrected_output"]
        else:
            interrupted = _is_interrupted(call.get("tool_response"))
            data = {"error_message": without_frame(message)[:EXCERPT], **error(message, interrupted)}
            data["function_name"] = call["tool_name"]
            yield "error_occurrence", {**data, **place(call.get("tool_input"))}, []
    response = call.get("tool_response")
    if isinstance(response, dict) and response.get("userModified") is True:
        corrected = _output(response, 1)
        assumed = ["data.corrected_output"] if corrected is None else []
        yield "user_correction", _correction(call, "edit", corrected or ""), assumed


def refusal(message: str) -> str | None:
    r"""Return what the user said when refusing a tool call: None for no refusal, empty for no word.

    >>> refusal("The user doesn't want to proceed with this tool use. [...] the user said:\ntoo slow")
    'too slow'
    """
    text = without_frame(message)
    if not text.startswith(_REFUSED):
        return None
    for marker in _SAID:
        _, found, said = text.partition(marker)
        if found:
            return said.strip()
    return ""


def error(message: str, interrupted: bool = False) -> Record:
    """Return the type of an error by its message, and whether the user caused it."""
    text = without_frame(message)
    if interrupted:
        return {"error_type": "interrupted", "user_intervention": True}
    if text.startswith(_REFUSED):
        return {"error_type": "rejected", "user_intervention": True}
    if text.startswith("Exit code "):
        return {"error_type": "exit_code"}
    return {"error_type": "tool_use_error" if "<tool_use_error>" in message[:40] else "tool_error"}


def without_frame(message: str) -> str:
    """Return a failure's message without what Claude Code puts around it."""
    text = message.strip().removeprefix("<tool_use_error>").removesuffix("</tool_use_error>")
    return text.removeprefix("Error: ")


def place(tool_input: Any) -> Record:
    """Return the `file_path` that a tool was called with, if any."""
    if isinstance(tool_input, dict):
        for key in ("file_path", "notebook_path"):
            if isinstance(tool_input.get(key), str) and tool_input[key]:
                return {"file_path": tool_input[key]}
    return {}


def reported_duration(response: Any) -> Any:
    """Return the milliseconds that a tool's own response reports, None when it does not."""
    if not isinstance(response, dict):
        return None
    return response.get("durationMs", response.get("totalDurationMs"))


def measure(*candidates: Any) -> int | float | None:
    """Return the first candidate that is a number a record can hold, zero or more."""
    for value in candidates:
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _LARGEST:
            return value
    return None


def count(*candidates: Any) -> int | None:
    """Return the first candidate that is a number, as a whole one."""
    found = measure(*candidates)
    return None if found is None else min(int(found), _LARGEST)


def plain_text(content: Any) -> str:
    r"""Return the text of a message content: a string, or the text of a list of blocks.

    >>> plain_text([{"type": "text", "text": "a"}, {"type": "image"}, {"type": "text", "text": "b"}])
    'a\nb'
    """
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        return ""
    texts = [block.get("text") for block in content if isinstance(block, dict)]
    return "\n".join(text for text in texts if isinstance(text, str))


def tags(*names: Any) -> list[str]:
    """Return the tags of a record: the agent, and whichever names are short texts."""
    return [AGENT, *(name for name in names if isinstance(name, str) and 0 < len(name) <= _TAG)]


def project_name(directory: Any) -> str | None:
    r"""Return the last part of a working directory, POSIX or Windows.

    >>> project_name("/home/dev/shop/"), project_name(r"C:\work\shop"), project_name("/")
    ('shop', 'shop', None)
    """
    if not isinstance(directory, str):
        return None
    return directory.replace("\\", "/").rstrip("/").rpartition("/")[2] or None


def _correction(call: Record, how: str, corrected: str) -> Record:
    original = _output(call.get("tool_input"), 0)
    if original is None:
        original = dumps(call.get("tool_input"))
    return {
        "original_output": original,
        "corrected_output": corrected,
        "correction_type": how,
        "agent": AGENT,
        "task_type": call["tool_name"],
    }


def _output(holder: Any, side: int) -> str | None:
    """What a tool was to write or run (side 0: its input), or did write (side 1: its response)."""
    if not isinstance(holder, dict):
        return None
    for names in _OUTPUTS:
        value = holder.get(names[side])
        if isinstance(value, str):
            return value
        if isinstance(value, list):
            parts = [part.get("new_string") for part in value if isinstance(part, dict)]
            return "\n".join(part for part in parts if isinstance(part, str))
    return None


def _is_interrupted(response: Any) -> bool:
    return isinstance(response, dict) and any(response.get(flag) is True for flag in _INTERRUPTED)
